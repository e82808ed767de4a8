//! fuzzer and fuzzilli: every plain file of a sub folder is one input of that folder's binary (reference §4.11).

use super::walk::{Walk, folders};
use super::{Check, DiscoverError, Listing, Part, Recipe, Shell, Suite, SuiteContext, Test};
use crate::frontend::python::{Literal, constants};

/// Lists the inputs of all sub folders that belong to a fuzzer; which these are is read from the suite's
/// configuration, else from the folders.
pub(super) fn list(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let own = constants(&suite.config).remove("SUB_TESTS");
    let named = |folder: &String| {
        suite.names(&format!("'{folder}'"), true) || suite.names(&format!("\"{folder}\""), true)
    };
    let mut sub = own.as_ref().and_then(Literal::texts).unwrap_or_else(|| {
        // 6.2 keeps the list inside a class.
        folders(&suite.root).into_iter().filter(named).collect()
    });
    if !context.dialect.is_old() {
        sub.sort_unstable();
    }
    let mut listing = Listing::default();
    for folder in sub.iter().filter(|folder| suite.root.join(folder).is_dir()) {
        let names = files(suite, context, folder)?;
        listing.candidates += names.len();
        listing.tests.extend(names.iter().map(|name| test(suite, context, name)));
    }
    Ok(listing)
}

/// Lists fuzzilli's one folder. V8's own loader knows no ending for its files and drops every one, unless the suite's
/// configuration says otherwise.
pub(super) fn list_fuzzilli(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    if !suite.root.join("test").is_dir() {
        return Ok(Listing::default());
    }
    let names = files(suite, context, "test")?;
    let kept = suite.names("_should_filter_by_name", true) || suite.names("extensions", true);
    let tests = names.iter().filter(|_| kept).map(|name| test(suite, context, name)).collect();
    Ok(Listing { candidates: names.len(), ..Listing::of_tests(tests) })
}

fn files(suite: &Suite, context: &SuiteContext<'_>, folder: &str) -> Result<Vec<String>, DiscoverError> {
    let walk = Walk { excluded: &[], links: !context.dialect.is_old(), dialect: context.dialect };
    let files = walk.files(&suite.root.join(folder))?;
    // 6.2 looks at the folder itself only.
    let deep = !context.dialect.is_old();
    Ok(files
        .iter()
        .filter(|name| deep || !name.contains('/'))
        .map(|name| format!("{folder}/{name}"))
        .collect())
}

fn test(suite: &Suite, context: &SuiteContext<'_>, name: &str) -> Test {
    let path = suite.root.join(name);
    let relative = path.strip_prefix(context.workspace).unwrap_or(&path).to_string_lossy().into_owned();
    Test::named(name.to_owned(), Some(relative))
}

/// Describes a test: the file, the seed, the extra flags, nothing else.
pub(super) fn recipe(suite: &Suite, context: &SuiteContext<'_>, test: &Test) -> Recipe {
    let folder = test.name.rsplit_once('/').map_or("", |(folder, _)| folder).replace('/', "_");
    let shell = match suite.name.as_str() {
        "fuzzilli" => "v8_fuzzilli_test".to_owned(),
        _ => format!("v8_simple_{folder}_fuzzer"),
    };
    let mut recipe = Recipe::new(Shell::Named(shell), Check::ExitCode);
    recipe.files = vec![context.path(&suite.root.join(&*test.name))];
    recipe.layout = &[Part::Files];
    recipe.bare = true;
    recipe
}
