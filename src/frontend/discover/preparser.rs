//! preparser (until 2019): `.pyt` files that call `Test(…)` and `Template(…)(…)` (reference §4.11).
//!
//! They are Python programs, with functions and loops, so Python runs them: a few lines of ours define the two names,
//! run the file and print what it asked for. Without a Python the suite is left out, with a word.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Check, DiscoverError, Listing, Part, Recipe, Suite, SuiteContext, Test, metadata, source_flags};
use crate::frontend::dialect::Era;
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
    if context.dialect.era == Era::V2015 {
        listing.tests = scripts(suite, context)?;
    }
    for file in files(suite, ".pyt")? {
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

/// 2015: every script of the folder is a test, too.
fn scripts(suite: &Suite, context: &SuiteContext<'_>) -> Result<Vec<Test>, DiscoverError> {
    let test = |file: String| {
        let path = suite.root.join(format!("{file}.js"));
        let source = path.strip_prefix(context.workspace).unwrap_or(&path).to_string_lossy().into_owned();
        Test::named(file, Some(source))
    };
    Ok(files(suite, ".js")?.into_iter().map(test).collect())
}

/// 2015: whether a script is expected to throw: a line `name:message…` of a file says so.
fn throws(suite: &Suite, name: &str) -> bool {
    let text = std::fs::read(suite.root.join("preparser.expectation")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut rules = lines.filter_map(|line| line.split_once(':'));
    rules.any(|(known, _)| known == name)
}

/// 2015: the script stands on both sides of its flags.
fn recipe_script(suite: &Suite, context: &SuiteContext<'_>, test: &Test) -> Result<Recipe, DiscoverError> {
    let (path, source) = suite.source(context, test)?;
    let mut recipe = Recipe::d8(Check::ExitCode);
    recipe.files = vec![context.path(&path)];
    recipe.suite_flags = throws(suite, &test.name).then(|| "--throws".to_owned()).into_iter().collect();
    recipe.source_flags = source_flags(metadata::flags(&source, context.dialect), &path)?;
    recipe.dropped_flag = Some("--enable-slow-asserts");
    recipe.layout = &[Part::Files, Part::Suite, Part::TestFlags, Part::Source, Part::Mode, Part::Files];
    Ok(recipe)
}

fn files(suite: &Suite, suffix: &str) -> Result<Vec<String>, DiscoverError> {
    let entries = std::fs::read_dir(&suite.root)
        .map_err(|source| DiscoverError::Unreadable { path: suite.root.clone(), source })?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(suffix).map(str::to_owned)).collect();
    names.sort_unstable();
    Ok(names)
}

fn read(text: &str) -> Result<Vec<Snippet>, String> {
    text.lines().map(|line| serde_json::from_str(line).map_err(|error| error.to_string())).collect()
}

/// Describes a test: the snippet on the command line, before the variant's flags.
pub(super) fn recipe(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
) -> Result<Recipe, DiscoverError> {
    if test.source.is_some() {
        return recipe_script(suite, context, test);
    }
    let snippet = suite.snippets.get().and_then(|snippets| snippets.get(&*test.name));
    let path = || suite.root.join(&*test.name);
    let snippet = snippet.ok_or_else(|| DiscoverError::Vanished { path: path() })?;
    let mut flags = vec!["-e".to_owned(), snippet.source.replace('\n', " ")];
    flags.extend(snippet.throws.then(|| "--throws".to_owned()));
    flags.extend(snippet.flags.iter().cloned());
    let mut recipe = Recipe::d8(Check::ExitCode);
    if context.dialect.is_old() {
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
