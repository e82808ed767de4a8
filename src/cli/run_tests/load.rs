//! From names on the command line to suites with their tests and rules.
//!
//! The order is V8's: groups are expanded, suites come as first mentioned, folders that do not exist are dropped with
//! a word (V8 dropped them silently), and each suite's status file is read before its tests are listed.

use std::path::Path;

use super::config::{Config, Setup};
use crate::engine::Engine;
use crate::frontend::dialect::Era;
use crate::frontend::discover::groups;
use crate::frontend::discover::matcher::{Patterns, nearest};
use crate::frontend::discover::{DiscoverError, Suite, SuiteContext, Test};
use crate::frontend::hashed::set_order;
use crate::frontend::properties::{Switches, variables};
use crate::frontend::select::{Criteria, Listed, Selection, named, select};
use crate::frontend::status::{StatusError, StatusFile, Variables, Warning};
use crate::frontend::variants::VariantTable;
use crate::frontend::words;

/// Why the tests cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// A suite.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// A status file.
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// What loading yields beside the selection.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Cases, and what was left out.
    pub selection: Selection,
    /// What V8's own runner prints meanwhile.
    pub words: Vec<String>,
    /// Lines for the person: suites left out, names that matched nothing, unknown status variables.
    pub notices: Vec<String>,
}

/// Lists, reads and selects.
///
/// # Errors
/// On a status file that cannot be understood or a suite that cannot be listed.
pub(super) fn load(
    config: &Config,
    setup: &Setup,
    context: &SuiteContext<'_>,
    engine: &Engine,
    table: &VariantTable,
) -> Result<Loaded, LoadError> {
    let mut notices = Vec::new();
    let variables = variables(config.dialect, &setup.build, &switches(config, setup));
    let mut words = words::of_variables(&variables, &setup.build, &config.runner, config.dialect);
    let arguments = groups::expand(&config.tests, &config.runner, config.dialect, setup.build.i18n());
    let mut suites = Vec::new();
    for name in groups::suites(&arguments) {
        if let Some(suite) = open(config, context, engine, &name, &mut notices)? {
            if config.args.verbose && !config.dialect.is_old() {
                words.push(format!(">>> Loading test suite: {name}"));
            }
            suites.push(list(config, &variables, context, table, suite, &arguments, &mut notices)?);
        }
    }
    let selection = select(suites, &criteria(config, setup, table));
    Ok(Loaded { selection, words, notices })
}

fn open(
    config: &Config,
    context: &SuiteContext<'_>,
    engine: &Engine,
    name: &str,
    notices: &mut Vec<String>,
) -> Result<Option<Suite>, DiscoverError> {
    if !config.test_root.join(name).is_dir() {
        if config.tests_named && !groups::is_group(name, &config.runner, config.dialect) {
            notices.push(unknown_suite(&config.test_root, name));
        }
        return Ok(None);
    }
    match Suite::open(context, name) {
        Err(error @ DiscoverError::UnknownKind { .. }) => {
            notices.push(format!("{error}; left out"));
            Ok(None)
        }
        Err(error) => Err(error),
        Ok(suite) if !engine.can_run(suite.name()) => {
            notices.push(format!("suite {name} left out: the {} engine cannot run it", engine.name()));
            Ok(None)
        }
        Ok(suite) => Ok(Some(suite)),
    }
}

fn unknown_suite(test_root: &Path, name: &str) -> String {
    let entries = std::fs::read_dir(test_root).into_iter().flatten().flatten();
    let folders: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let near = nearest(folders.iter().map(String::as_str), name);
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    format!("no suite {name} in {}{hint}", test_root.display())
}

fn list(
    config: &Config,
    variables: &Variables,
    context: &SuiteContext<'_>,
    table: &VariantTable,
    suite: Suite,
    arguments: &[String],
    notices: &mut Vec<String>,
) -> Result<Listed, LoadError> {
    let rules = {
        let path = suite.status_file();
        let file = StatusFile::read(&path, config.dialect)?;
        let mut warnings = Vec::new();
        let rules = file.evaluate(variables, table.names(), config.dialect, &mut warnings)?;
        notices.extend(warnings.iter().map(Warning::to_string));
        rules
    };
    let listing = suite.list(context)?;
    notices.extend(listing.left_out);
    let patterns = Patterns::of_suite(arguments, suite.name(), config.dialect);
    for pattern in patterns.unmatched(listing.tests.iter().map(|test| &*test.name)) {
        let near = nearest(listing.tests.iter().map(|test| &*test.name), pattern);
        let hint = if near.is_empty() { String::new() } else { format!("; nearest: {}", near.join(", ")) };
        notices.push(format!("no test matches {}/{pattern}{hint}", suite.name()));
    }
    // 6.2 keeps test262's names in a set, which shows where it cuts shards.
    let cut = config.shard.is_some() && config.dialect.era == Era::V62 && suite.is_test262();
    let hashed = cut.then(|| hashed_positions(&listing.tests, |test| patterns.matches(&test.name)));
    Ok(Listed {
        tests: named(listing.tests, &patterns),
        candidates: listing.candidates,
        suite,
        rules,
        hashed,
    })
}

/// Positions among the tests kept, in the order of a set of all names.
fn hashed_positions(tests: &[Test], keeps: impl Fn(&Test) -> bool) -> Vec<u32> {
    let names: Vec<&str> = tests.iter().map(|test| &*test.name).collect();
    let mut kept = 0;
    let positions: Vec<Option<u32>> = tests
        .iter()
        .map(|test| {
            let position = keeps(test).then_some(kept);
            kept += u32::from(position.is_some());
            position
        })
        .collect();
    set_order(&names).into_iter().filter_map(|at| positions[at]).collect()
}

fn switches<'a>(config: &Config, setup: &'a Setup) -> Switches<'a> {
    Switches {
        gc_stress: config.args.gc_stress,
        random_gc_stress: config.args.random_gc_stress,
        isolates: config.args.isolates,
        no_harness: config.args.no_harness,
        novfp3: config.args.novfp3,
        run_simulator_tests: config.args.dont_skip_slow_simulator_tests,
        extra_flags: &setup.extra_flags,
    }
}

fn criteria(config: &Config, setup: &Setup, table: &VariantTable) -> Criteria {
    Criteria {
        dialect: config.dialect,
        variants: setup.variants.clone(),
        every_variant: table.names().to_vec(),
        slow: config.slow,
        pass_fail: config.pass_fail,
        flaky: config.flaky,
        run_skipped: config.args.run_skipped,
        shard: config.shard.map(|shard| (shard.count, shard.run)),
        seeds: config.seeds.count,
    }
}
