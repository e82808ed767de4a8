//! fuzzer and fuzzilli: every plain file of a sub folder is one input of that folder's binary (reference §4.11).

use super::walk::folders;
use super::{Check, DiscoverError, Listing, Part, Recipe, Shell, Suite, SuiteContext, Test};

/// Lists the inputs of all sub folders that belong to a fuzzer; which these are is read from the suite's
/// configuration, else from the folders.
pub(super) fn list(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let known = |folder: &String| {
        suite.names(&format!("'{folder}'"), true) || suite.names(&format!("\"{folder}\""), true)
    };
    let mut listing = Listing::default();
    for folder in folders(&suite.root).iter().filter(|folder| known(folder)) {
        let mut names = files(suite, folder)?;
        names.sort_unstable();
        listing.candidates += names.len();
        listing.tests.extend(names.into_iter().map(|name| test(suite, context, &name)));
    }
    Ok(listing)
}

/// Lists fuzzilli's one folder.
pub(super) fn list_fuzzilli(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    if !suite.root.join("test").is_dir() {
        return Ok(Listing::default());
    }
    let mut names = files(suite, "test")?;
    names.sort_unstable();
    Ok(Listing::of_tests(names.iter().map(|name| test(suite, context, name)).collect()))
}

fn files(suite: &Suite, folder: &str) -> Result<Vec<String>, DiscoverError> {
    let path = suite.root.join(folder);
    let entries = std::fs::read_dir(&path).map_err(|source| DiscoverError::Unreadable { path, source })?;
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    Ok(files
        .filter_map(|entry| entry.file_name().into_string().ok())
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
    let folder = test.name.split('/').next().unwrap_or_default();
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
