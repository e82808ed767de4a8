//! preparser (until 2019): `.pyt` files that call `Test(…)` and `Template(…)(…)` (reference §4.11).
//!
//! They are Python programs, with functions and loops, so Python runs them: a few lines of ours define the two names,
//! run the file and print what it asked for. Without a Python the suite is left out, with a word.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Check, DiscoverError, Listing, Part, Recipe, Suite, SuiteContext, Test};
use crate::frontend::dialect::Dialect;
use crate::job::Arg;

/// Defines what the files call and prints a JSON object a test.
const PROGRAM: &str = r#"
import json, re, sys
def Test(name, source, expectation, extra_flags=[]):
    print(json.dumps({"name": name, "source": source, "throws": bool(expectation), "flags": extra_flags}))
def Template(name, source):
    def make(replacements, expectation):
        testname, testsource = name, source
        # The longest first: one key may begin another.
        for key in sorted(replacements, key=len, reverse=True):
            testname = testname.replace("$" + key, replacements[key])
            testsource = testsource.replace("$" + key, replacements[key])
        Test(testname, testsource, expectation)
    return make
with open(sys.argv[1]) as file:
    # The files are Python 2, to which \\u means nothing in a string.
    text = re.sub(r"(?<!\\)\\u", r"\\\\u", file.read())
exec(compile(text, sys.argv[1], "exec"), {"Test": Test, "Template": Template})
"#;

/// The interpreter, as the caller's lister knows it.
pub const PYTHON: &str = "python3";

/// One test as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Snippet {
    name: String,
    source: String,
    throws: bool,
    flags: Vec<String>,
}

/// Snippets by the test's name.
pub(super) type Snippets = BTreeMap<String, Snippet>;

/// Lists the tests of all `.pyt` files, by file.
pub(super) fn list(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let mut listing = Listing::default();
    let mut known = Snippets::new();
    for file in files(suite)? {
        let path = suite.root.join(format!("{file}.pyt"));
        match (context.lister)(PYTHON, &["-c", PROGRAM, &path.to_string_lossy()]).and_then(|text| read(&text))
        {
            Ok(snippets) => {
                for snippet in snippets {
                    let name = format!("{file}/{}", snippet.name);
                    listing.tests.push(Test::named(name.clone(), None));
                    known.insert(name, snippet);
                }
            }
            Err(what) => listing.left_out.push(format!("{} left out: {what}", path.display())),
        }
    }
    listing.candidates = listing.tests.len();
    // A suite is listed once; a second listing would find the same.
    let _ = suite.snippets.set(known);
    Ok(listing)
}

fn files(suite: &Suite) -> Result<Vec<String>, DiscoverError> {
    let entries = std::fs::read_dir(&suite.root)
        .map_err(|source| DiscoverError::Unreadable { path: suite.root.clone(), source })?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".pyt").map(str::to_owned)).collect();
    names.sort_unstable();
    Ok(names)
}

fn read(text: &str) -> Result<Vec<Snippet>, String> {
    text.lines().map(|line| serde_json::from_str(line).map_err(|error| error.to_string())).collect()
}

/// Describes a test: the snippet on the command line, before the variant's flags.
pub(super) fn recipe(suite: &Suite, dialect: Dialect, test: &Test) -> Result<Recipe, DiscoverError> {
    let snippet = suite.snippets.get().and_then(|snippets| snippets.get(&*test.name));
    let path = || suite.root.join(&*test.name);
    let snippet = snippet.ok_or_else(|| DiscoverError::Vanished { path: path() })?;
    let mut flags = vec!["-e".to_owned(), snippet.source.replace('\n', " ")];
    flags.extend(snippet.throws.then(|| "--throws".to_owned()));
    flags.extend(snippet.flags.iter().cloned());
    let mut recipe = Recipe::d8(Check::ExitCode);
    if dialect.is_old() {
        recipe.own_flags = flags;
        recipe.layout = &[Part::TestFlags];
    } else {
        recipe.files = flags.into_iter().map(Arg::Text).collect();
    }
    Ok(recipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_prints_is_read_back() {
        let line = r#"{"name": "a", "source": "x\ny", "throws": true, "flags": ["--f"]}"#;
        let snippets = read(line).unwrap();
        assert_eq!((snippets[0].name.as_str(), snippets[0].throws), ("a", true));
        assert!(read("Traceback").is_err());
    }
}
