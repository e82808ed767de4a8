//! test262 (and 2015's test262-es6): two roots, frontmatter, strict and sloppy runs (reference §4.8).

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;

use super::frontmatter::{self, Record};
use super::walk::{File, Walk};
use super::{Check, DiscoverError, Listing, Part, Recipe, Strictness, Subtest, Suite, SuiteContext, Test};
use crate::frontend::dialect::Era;
use crate::frontend::python::{Literal, constants};
use crate::job::Arg;

/// Bytes of a test read at first; nearly every frontmatter ends before.
const HEAD: usize = 4096;

/// Threads a processor that read heads: they wait for a disk whose cache is cold (8 bring 2.3 s down to 1.0 s) and
/// cost nothing where it is warm.
const READERS: usize = 8;

/// Ending of a test's file.
const SUFFIX: &str = ".js";

/// Where tests are, below the suite's folder. A local test of the same name is what runs.
const ROOTS: [&str; 2] = ["data/test", "local-tests/test"];

/// What the head of a test's file says of how it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glance {
    /// No test: another kind of file.
    Other,
    /// A test.
    Test(Strictness),
    /// A test with a feature that the tree leaves out.
    Skipped,
}

/// Lists both roots and reads the flags of every test. A test whose frontmatter is broken is listed all the same, so
/// that it costs the others nothing: what is wrong is told when it is to run.
pub(super) fn list(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let excluded: &[&str] = match (context.i18n, context.dialect.era >= Era::V13) {
        (true, _) => &[],
        (false, false) => &["intl402"],
        (false, true) => &["intl402", "Intl402"],
    };
    let walk = Walk { excluded, links: !context.dialect.is_old(), dialect: context.dialect };
    let skipped = skipped_features(suite);
    let threads = thread::available_parallelism().map_or(1, usize::from) * READERS;
    let roots = ROOTS.map(|root| suite.root.join(root));
    let walked = |root: &PathBuf| match root.is_dir() {
        true => walk.look(root, threads, |file| glance(file, &skipped)),
        false => Ok(Vec::new()),
    };
    let (data, local) = (walked(&roots[0])?, walked(&roots[1])?);
    let mut listing = Listing { candidates: data.len() + local.len(), ..Listing::default() };
    listing.tests.reserve(data.len());
    let bases = roots.map(|root| {
        let base = root.strip_prefix(context.workspace).unwrap_or(&root).to_string_lossy().into_owned();
        base + "/"
    });
    let own: HashMap<&str, Glance> = local.iter().map(|(file, glance)| (file.as_str(), *glance)).collect();
    let mut doubled = HashSet::new();
    for (file, glance) in &data {
        // A local test runs in the place of the one of its name.
        match own.get(file.as_str()) {
            Some(local) => {
                doubled.insert(file.as_str());
                add(&mut listing, file, *local, &bases[1]);
            }
            None => add(&mut listing, file, *glance, &bases[0]),
        }
    }
    for (file, glance) in &local {
        if !doubled.contains(file.as_str()) || runs_twice(suite, context, file) {
            add(&mut listing, file, *glance, &bases[1]);
        }
    }
    Ok(listing)
}

/// Since 10.2 a local test is listed once for itself and once for the one it stands for; ~13 mends that where the test
/// is a staging one.
fn runs_twice(suite: &Suite, context: &SuiteContext<'_>, file: &str) -> bool {
    let mended = suite.names("local_staging_implementation", context.dialect.era >= Era::V13);
    let once = mended && file.starts_with("staging");
    !context.dialect.is_old() && !once
}

fn add(listing: &mut Listing, file: &str, glance: Glance, base: &str) {
    if let (Glance::Test(strictness), Some(name)) = (glance, file.strip_suffix(SUFFIX)) {
        let source = Some([base, file].concat().into_boxed_str());
        listing.tests.push(Test { name: name.into(), source, strictness, dependency: None });
    }
}

/// Features whose tests are not listed (a set in the tree's testcfg.py).
fn skipped_features(suite: &Suite) -> Vec<String> {
    let skipped = constants(&suite.config).remove("SKIPPED_FEATURES");
    skipped.as_ref().and_then(Literal::texts).unwrap_or_default()
}

/// Reads as much of a file as its frontmatter takes.
fn glance(file: &File<'_>, skipped: &[String]) -> Glance {
    let is_test = file.name.strip_suffix(SUFFIX).is_some_and(|name| !name.ends_with("_FIXTURE"));
    if !is_test {
        return Glance::Other;
    }
    let Some(record) = head_record(file) else { return Glance::Test(Strictness::AsIs) };
    if record.features.iter().any(|feature| skipped.contains(feature)) {
        return Glance::Skipped;
    }
    Glance::Test(if record.has("noStrict") {
        Strictness::AsIs
    } else if record.has("onlyStrict") {
        Strictness::OnlyStrict
    } else {
        Strictness::Both
    })
}

/// The record of a file, from its head if the frontmatter ends there; none if it cannot be read or understood.
fn head_record(file: &File<'_>) -> Option<Record> {
    let mut file = file.open().ok()?;
    let mut head = [0; HEAD];
    let read = file.read(&mut head).ok()?;
    let head = &head[..read];
    if read < HEAD || frontmatter::is_whole(head) {
        return frontmatter::parse_bytes(head).ok();
    }
    let mut whole = head.to_vec();
    file.read_to_end(&mut whole).ok()?;
    frontmatter::parse_bytes(&whole).ok()
}

fn record(path: &Path, source: &str) -> Result<Record, DiscoverError> {
    frontmatter::parse(source).map_err(|what| DiscoverError::Source {
        path: path.to_owned(),
        what: format!("bad frontmatter: {what}"),
    })
}

/// Sloppy and strict runs of every variant; a FAIL_PHASE_ONLY test is also run in reverse. V8 gives the reverse of a
/// test that runs both ways to its strict run only and repeats the sloppy one.
pub(super) fn subtests(test: &Test, variants: &[u16], fast: bool, fail_phase_only: bool) -> Vec<Subtest> {
    let mut subtests = Vec::new();
    for reverse in [false, true].into_iter().take(if fail_phase_only { 2 } else { 1 }) {
        for variant in variants {
            let subtest = |strict, reverse| Subtest {
                instead: None,
                variant: *variant,
                fast,
                strict,
                phase_only: fail_phase_only,
                reverse,
            };
            match test.strictness {
                Strictness::AsIs => subtests.push(subtest(false, reverse)),
                Strictness::OnlyStrict => subtests.push(subtest(true, reverse)),
                Strictness::Both => subtests.extend([subtest(false, false), subtest(true, reverse)]),
            }
        }
    }
    subtests
}

/// Describes a test.
pub(super) fn recipe(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
    subtest: &Subtest,
) -> Result<Recipe, DiscoverError> {
    let (path, source) = suite.source(context, test)?;
    // Latin-1 keeps every ASCII byte, and only those matter in frontmatter.
    let record = record(&path, &source)?;
    let modern = !context.dialect.is_old();
    let late = context.dialect.era >= Era::V13;
    let mut recipe = Recipe::d8(if modern || record.negative_type.is_some() {
        let completes = late && record.has("async");
        Check::Test262 { exception: record.negative_type.clone(), completes }
    } else {
        Check::NoFailed
    });
    recipe.files = files(suite, context, test, &path, &record, subtest);
    recipe.suite_flags = suite_flags(&record, modern);
    let features = context.features.iter().filter(|(feature, _)| record.features.contains(feature));
    let feature_flags = features.flat_map(|(_, flags)| flags.iter().cloned());
    if modern {
        recipe.suite_flags.extend(feature_flags);
        recipe.suite_flags.push("--no-arguments".to_owned());
    } else {
        recipe.feature_flags = feature_flags.collect();
    }
    if suite.name == "test262-es6" {
        recipe.suite_flags.insert(0, "--harmony".to_owned());
    }
    recipe.layout =
        &[Part::TestFlags, Part::Mode, Part::Files, Part::Suite, Part::StatusFlags, Part::Features];
    // 2015 inverted the result; later d8's --throws does.
    recipe.negative = context.dialect.era == Era::V2015 && (record.negative || source.contains("@negative"));
    Ok(recipe)
}

fn suite_flags(record: &Record, modern: bool) -> Vec<String> {
    let mut flags = Vec::new();
    let mut add = |applies: bool, flag: &str| {
        if applies {
            flags.push(flag.to_owned());
        }
    };
    add(modern, "--ignore-unhandled-promises");
    add(record.negative, "--throws");
    add(record.includes.iter().any(|file| file == "detachArrayBuffer.js"), "--allow-natives-syntax");
    flags
}

/// Whether a test shares its memory with agents: 6.2 looks at the beginning of its path, later runners at its folders.
fn atomics(test: &Test, era: Era) -> bool {
    let prefix = if era >= Era::V102 { "built-ins/Atomics/" } else { "built-ins/Atomics" };
    test.name.starts_with(prefix)
}

/// The harness, the includes, the test.
fn files(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
    path: &Path,
    record: &Record,
    subtest: &Subtest,
) -> Vec<Arg> {
    let era = context.dialect.era;
    let late = era >= Era::V13;
    let own = |name: &str| context.path(&suite.root.join(name));
    let harness = |name: &str| context.path(&suite.root.join("data/harness").join(name));
    let has = |feature: &str| record.features.iter().any(|known| known == feature);
    let mut files = Vec::new();
    if !(late && record.has("raw")) {
        files.extend([harness("sta.js"), harness("assert.js"), own("harness-adapt.js")]);
    }
    let phase_only = subtest.phase_only && !subtest.reverse;
    let optional = [
        (atomics(test, era), "harness-agent.js", true),
        (has("IsHTMLDDA"), "harness-ishtmldda.js", era >= Era::V102),
        (has("source-phase-imports"), "harness-abstractmodulesource.js", era >= Era::V157),
        (phase_only, "harness-adapt-donotevaluate.js", era >= Era::V102),
        (late && record.has("async"), "harness-done.js", late),
    ];
    files.extend(
        optional
            .into_iter()
            .filter(|(wanted, name, era)| *wanted && suite.names(name, *era))
            .map(|(_, name, _)| own(name)),
    );
    for include in &record.includes {
        // The only include that V8 brings itself.
        let native = include == "detachArrayBuffer.js";
        files.push(if native { own(include) } else { harness(include) });
    }
    if era >= Era::V62 && record.has("module") {
        files.push(Arg::Text("--module".to_owned()));
    }
    if era >= Era::V157 && record.has("CanBlockIsFalse") && suite.names("--no-can-block", true) {
        files.push(Arg::Text("--no-can-block".to_owned()));
    }
    files.push(context.path(path));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(strictness: Strictness) -> Test {
        Test { strictness, ..Test::named("a".to_owned(), None) }
    }

    #[test]
    fn doubling_and_reverse_runs_in_v8s_order() {
        let ways = |strictness, phase| -> Vec<(u16, bool, bool)> {
            let subtests = subtests(&test(strictness), &[0, 1], false, phase);
            subtests.into_iter().map(|one| (one.variant, one.strict, one.reverse)).collect()
        };
        assert_eq!(ways(Strictness::AsIs, false), [(0, false, false), (1, false, false)]);
        assert_eq!(ways(Strictness::Both, false).len(), 4);
        assert_eq!(ways(Strictness::Both, false)[..2], [(0, false, false), (0, true, false)]);
        assert_eq!(ways(Strictness::OnlyStrict, true)[2..], [(0, true, true), (1, true, true)]);
        assert_eq!(ways(Strictness::Both, true)[4..6], [(0, false, false), (0, true, true)]);
    }

    #[test]
    fn latin_1_keeps_the_frontmatter() {
        let source = super::super::metadata::latin1("// ü\n/*---\nflags: [onlyStrict]\n---*/".as_bytes());
        assert!(frontmatter::parse(&source).unwrap().has("onlyStrict"));
    }
}
