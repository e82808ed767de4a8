//! Suites with one file of rules each: mkgrokdump, promises-aplus, filecheck, debugging (reference §4.11).

use super::js::list_files;
use super::walk::Walk;
use super::{
    Check, DiscoverError, Listing, Part, Recipe, Shell, Suite, SuiteContext, Test, metadata, source_flags,
};
use crate::job::{Arg, Root, RootedPath};

/// mkgrokdump: its output against the checked-in constants.
pub(super) fn recipe_mkgrokdump(context: &SuiteContext<'_>) -> Result<Recipe, DiscoverError> {
    let path = context.workspace.join("tools/v8heapconst.py");
    let expected = std::fs::read(&path).map_err(|source| DiscoverError::Unreadable { path, source })?;
    let expected = String::from_utf8_lossy(&expected).into_owned();
    let mut recipe = Recipe::new(Shell::Named("mkgrokdump".to_owned()), Check::Grokdump { expected });
    recipe.layout = &[];
    recipe.bare = true;
    Ok(recipe)
}

/// promises-aplus: every script of the data folder's tests.
pub(super) fn list_promises(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let root = suite.root.join("promises-tests/lib/tests");
    if !root.is_dir() {
        return Ok(Listing::default());
    }
    let walk = Walk { excluded: &["helpers"], links: false, dialect: context.dialect };
    list_files(suite, context, walk, &root, "", &[])
}

/// Describes a promises-aplus test.
pub(super) fn recipe_promises(suite: &Suite, context: &SuiteContext<'_>, test: &Test) -> Recipe {
    let own = |name: &str| context.path(&suite.root.join("lib").join(name));
    let source = context.workspace.join(test.source.as_deref().unwrap_or_default());
    let mut recipe = Recipe::d8(Check::AllRun);
    recipe.files = ["global.js", "require.js", "mocha.js", "adapter.js"].map(own).to_vec();
    recipe.files.extend([context.path(&source), own("run-tests.js")]);
    recipe.suite_flags = vec!["--allow-natives-syntax".to_owned()];
    recipe.layout = &[Part::TestFlags, Part::Mode, Part::Suite, Part::Files];
    recipe.negative = std::fs::read(source).is_ok_and(|bytes| metadata::latin1(&bytes).contains("@negative"));
    recipe
}

/// Lists filecheck.
pub(super) fn list_filecheck(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let walk = Walk { excluded: &[], links: true, dialect: context.dialect };
    list_files(suite, context, walk, &suite.root, "", &[])
}

/// Describes a filecheck test: its own source holds the directives.
pub(super) fn recipe_filecheck(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
) -> Result<Recipe, DiscoverError> {
    let (path, source) = suite.source(context, test)?;
    let base = test.name.rsplit('/').next().unwrap_or_default();
    let must_fail = base.starts_with("crash");
    let flags = source_flags(metadata::flags(&source, context.dialect), &path)?;
    let mut recipe = Recipe::d8(Check::FileCheck { source, must_fail });
    recipe.files = vec![context.path(&path)];
    recipe.source_flags = flags;
    Ok(recipe)
}

/// Lists debugging: Python programs that drive a debugger.
pub(super) fn list_debugging(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let walk = Walk { excluded: &[], links: true, dialect: context.dialect };
    let files = walk.files(&suite.root)?;
    let helper =
        |file: &str| ["gdb_rsp.py", "testcfg.py", "__init__.py"].iter().any(|name| file.ends_with(name));
    let tests = files.iter().filter(|file| !helper(file)).filter_map(|file| {
        let name = file.strip_suffix(".py")?.to_owned();
        let path = suite.root.join(file);
        let relative = path.strip_prefix(context.workspace).unwrap_or(&path).to_string_lossy().into_owned();
        Some(Test::named(name, Some(relative)))
    });
    Ok(Listing { candidates: files.len(), ..Listing::of_tests(tests.collect()) })
}

/// Describes a debugging test: `python test.py -- <build>/d8 …`.
pub(super) fn recipe_debugging(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
) -> Result<Recipe, DiscoverError> {
    let (path, source) = suite.source(context, test)?;
    let shell = Arg::Path(RootedPath { root: Root::Build, path: "d8".to_owned() });
    let command =
        vec![Arg::Text("python3".to_owned()), context.path(&path), Arg::Text("--".to_owned()), shell];
    let mut recipe = Recipe::new(Shell::Command(command), Check::ExitCode);
    recipe.source_flags = source_flags(metadata::python_flags(&source), &path)?;
    Ok(recipe)
}
