//! wasm-spec-tests and wasm-js (reference §4.11).

use std::path::{Path, PathBuf};

use super::js::list_files;
use super::walk::Walk;
use super::{Check, DiscoverError, Listing, Part, Recipe, Suite, SuiteContext, Test, metadata};
use crate::frontend::python::{Literal, constants};

/// Where the web platform tests' absolute paths begin.
const WPT_ROOT: &str = "/wasm/jsapi/";

/// What wasm-js tests are called.
const ANY: &str = ".any";

/// Where the tests are: below `tests` since 2019.
fn tests_root(suite: &Suite, context: &SuiteContext<'_>) -> PathBuf {
    if context.dialect.is_old() { suite.root.clone() } else { suite.root.join("tests") }
}

fn listing(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let root = tests_root(suite, context);
    // The folder is fetched apart from the checkout.
    if !root.is_dir() {
        return Ok(Listing::default());
    }
    let walk = Walk { excluded: &[], links: !context.dialect.is_old(), dialect: context.dialect };
    list_files(suite, context, walk, &root, "", &[])
}

/// Lists wasm-spec-tests.
pub(super) fn list_spec(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    listing(suite, context)
}

/// Lists wasm-js: only `.any.js` files, whose names lose both endings.
pub(super) fn list_js(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let all = listing(suite, context)?;
    let tests = all.tests.into_iter().filter_map(|test| {
        let scripted = test.source.as_deref().is_some_and(|source| source.ends_with(".any.js"));
        let name = test.name.strip_suffix(ANY).filter(|_| scripted)?.to_owned();
        Some(Test { name: name.into_boxed_str(), ..test })
    });
    Ok(Listing { tests: tests.collect(), candidates: all.candidates, left_out: all.left_out })
}

/// Flags of the proposal a test belongs to, from the suite's own table.
fn proposal_flags(suite: &Suite, path: &str, otherwise: &[&str]) -> Vec<String> {
    let table = constants(&suite.config).remove("proposal_flags");
    let Some(Literal::List(proposals)) = table else {
        return otherwise.iter().map(|flag| (*flag).to_owned()).collect();
    };
    let entry = |proposal: &Literal| {
        let entries = proposal.entries()?;
        let value = |key: &str| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        Some((value("name")?.as_text()?.to_owned(), value("flags")?.texts()?))
    };
    let mut known = proposals.iter().filter_map(entry);
    known
        .find(|(name, _)| path.contains(&format!("proposals/{name}")))
        .map_or_else(|| otherwise.iter().map(|flag| (*flag).to_owned()).collect(), |(_, flags)| flags)
}

/// Describes a wasm-spec test.
pub(super) fn recipe_spec(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
) -> Result<Recipe, DiscoverError> {
    let (path, _) = suite.source(context, test)?;
    let mut recipe = Recipe::d8(Check::ExitCode);
    recipe.files = vec![context.path(&path)];
    recipe.layout = &[Part::TestFlags, Part::Mode, Part::Files];
    if !context.dialect.is_old() {
        recipe.source_flags = proposal_flags(suite, &test.name, &[]);
    }
    Ok(recipe)
}

/// Describes a wasm-js test.
pub(super) fn recipe_js(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
) -> Result<Recipe, DiscoverError> {
    let (path, source) = suite.source(context, test)?;
    let mut recipe = Recipe::d8(Check::ExitCode);
    let own = |name: &str| context.path(&suite.root.join(name));
    recipe.files = if suite.names("testharness-additions.js", true) {
        let mjsunit = context.path(&context.test_root.join("mjsunit/mjsunit.js"));
        vec![mjsunit, own("third_party/testharness.js"), own("testharness-additions.js"), own("report.js")]
    } else {
        vec![own("testharness.js")]
    };
    for script in metadata::meta_scripts(&source) {
        recipe.files.push(context.path(&script_path(suite, context, &path, &script)?));
    }
    recipe.files.push(context.path(&path));
    recipe.files.push(own(if suite.names("testharness-after.js", false) {
        "testharness-after.js"
    } else {
        "after.js"
    }));
    recipe.source_flags = proposal_flags(suite, &test.name, &["--wasm-staging"]);
    recipe.timeout_factor = if metadata::has_long_timeout(&source) { 10 } else { 1 };
    Ok(recipe)
}

/// Where a `META: script=` is: below the tests for the web platform's absolute paths (in the proposal's or wpt's
/// own folder), else beside the test.
fn script_path(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Path,
    script: &str,
) -> Result<PathBuf, DiscoverError> {
    let folder = test.parent().unwrap_or(test);
    let root = tests_root(suite, context);
    if let Some(rest) = script.strip_prefix(WPT_ROOT) {
        let inside = folder.strip_prefix(&root).unwrap_or(folder);
        let mut parts = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let own = match parts.next().as_deref() {
            Some("proposals") => parts.next().map(|name| root.join("proposals").join(name)),
            Some("wpt") => Some(root.join("wpt")),
            _ => None,
        };
        return Ok(own.unwrap_or(root).join(rest));
    }
    if script.starts_with('/') {
        let what = format!("unexpected absolute path for script: \"{script}\"");
        return Err(DiscoverError::Source { path: test.to_owned(), what });
    }
    Ok(folder.join(script))
}
