//! test262 (and 2015's test262-es6): two roots, frontmatter, strict and sloppy runs (reference §4.8).

use std::path::Path;
use std::thread;

use super::frontmatter::{self, Record};
use super::walk::Walk;
use super::{Check, DiscoverError, Listing, Part, Recipe, Strictness, Subtest, Suite, SuiteContext, Test};
use crate::frontend::dialect::Era;
use crate::frontend::python::{Literal, constants};
use crate::job::Arg;

/// Bytes of a test read at first; nearly every frontmatter ends before.
const HEAD: usize = 4096;

/// Where tests are, below the suite's folder. A local test of the same name is what runs.
const ROOTS: [&str; 2] = ["data/test", "local-tests/test"];

/// Lists both roots and reads the flags of every test.
pub(super) fn list(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let excluded: &[&str] = match (context.i18n, context.dialect.era >= Era::V13) {
        (true, _) => &[],
        (false, false) => &["intl402"],
        (false, true) => &["intl402", "Intl402"],
    };
    let walk = Walk { excluded, links: !context.dialect.is_old(), dialect: context.dialect };
    let mut listing = Listing::default();
    let mut seen = std::collections::HashSet::new();
    for root in ROOTS.map(|root| suite.root.join(root)).iter().filter(|root| root.is_dir()) {
        let files =
            walk.files(root).map_err(|source| DiscoverError::Unreadable { path: root.clone(), source })?;
        listing.candidates += files.len();
        for file in files {
            let Some(name) = file.strip_suffix(".js").filter(|name| !name.ends_with("_FIXTURE")) else {
                continue;
            };
            if seen.insert(name.to_owned()) {
                let source = source_path(suite, context, name);
                listing.tests.push(Test::named(name.to_owned(), Some(source)));
            }
        }
    }
    let skipped = skipped_features(suite);
    read_strictness(context, &mut listing.tests, &skipped)?;
    Ok(listing)
}

/// The local test of a name, else the one from data; relative to the checkout.
fn source_path(suite: &Suite, context: &SuiteContext<'_>, name: &str) -> String {
    let local = suite.root.join(ROOTS[1]).join(format!("{name}.js"));
    let path = if local.is_file() { local } else { suite.root.join(ROOTS[0]).join(format!("{name}.js")) };
    path.strip_prefix(context.workspace).unwrap_or(&path).to_string_lossy().into_owned()
}

/// Features whose tests are not listed (a set in the tree's testcfg.py).
fn skipped_features(suite: &Suite) -> Vec<String> {
    let skipped = constants(&suite.config).remove("SKIPPED_FEATURES");
    skipped.as_ref().and_then(Literal::texts).unwrap_or_default()
}

/// Reads the frontmatter of all tests on every processor and drops those with skipped features.
fn read_strictness(
    context: &SuiteContext<'_>,
    tests: &mut Vec<Test>,
    skipped: &[String],
) -> Result<(), DiscoverError> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let part = tests.len().div_ceil(workers).max(1);
    let workspace = context.workspace;
    let results: Vec<Result<Vec<usize>, DiscoverError>> = thread::scope(|scope| {
        let chunks = tests.chunks_mut(part).enumerate();
        let handles: Vec<_> = chunks
            .map(|(index, chunk)| scope.spawn(move || read_chunk(workspace, chunk, index * part, skipped)))
            .collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    });
    let mut dropped = Vec::new();
    for result in results {
        dropped.extend(result?);
    }
    let mut index = 0;
    let mut next = dropped.into_iter().peekable();
    tests.retain(|_| {
        let drop = next.next_if_eq(&index).is_some();
        index += 1;
        !drop
    });
    Ok(())
}

/// Sets the strictness of a chunk; returns the positions of tests to drop.
fn read_chunk(
    workspace: &Path,
    tests: &mut [Test],
    first: usize,
    skipped: &[String],
) -> Result<Vec<usize>, DiscoverError> {
    let mut dropped = Vec::new();
    let mut buffer = vec![0; HEAD];
    for (offset, test) in tests.iter_mut().enumerate() {
        let path = workspace.join(test.source.as_deref().unwrap_or_default());
        let record = head_record(&path, &mut buffer)?;
        test.strictness = if record.has("noStrict") {
            Strictness::AsIs
        } else if record.has("onlyStrict") {
            Strictness::OnlyStrict
        } else {
            Strictness::Both
        };
        if record.features.iter().any(|feature| skipped.contains(feature)) {
            dropped.push(first + offset);
        }
    }
    Ok(dropped)
}

/// The record of a file, from its head if the frontmatter ends there.
fn head_record(path: &Path, buffer: &mut [u8]) -> Result<Record, DiscoverError> {
    use std::io::Read;
    let unreadable = |source| DiscoverError::Unreadable { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let read = file.read(buffer).map_err(unreadable)?;
    let head = String::from_utf8_lossy(&buffer[..read]);
    let complete = read < buffer.len() || matches!(frontmatter::block(&head), Ok(Some(_)));
    if complete {
        return record(path, &head);
    }
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).map_err(unreadable)?;
    record(path, &String::from_utf8_lossy(&[&buffer[..read], &rest].concat()))
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
        (test.name.starts_with("built-ins/Atomics"), "harness-agent.js", true),
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
