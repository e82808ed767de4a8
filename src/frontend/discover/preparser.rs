//! preparser (until 2019): `.pyt` files that call `Test(…)` and `Template(…)(…)` (reference §4.11).
//!
//! They are Python programs; what they are made of here is literals, loops-free calls, and templates with
//! replacements, and only that is understood. Anything else names the line instead of guessing.

use std::collections::BTreeMap;
use std::path::Path;

use ruff_python_ast::{Expr, ExprCall, PySourceType, Stmt};

use super::{Check, DiscoverError, Listing, Part, Recipe, Suite, Test};
use crate::frontend::python::{Source, start};
use crate::job::Arg;

/// One test as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snippet {
    name: String,
    source: String,
    throws: bool,
    flags: Vec<String>,
}

/// Lists the tests of all `.pyt` files, by file.
pub(super) fn list(suite: &Suite) -> Result<Listing, DiscoverError> {
    let mut listing = Listing::default();
    for file in files(suite)? {
        match snippets(suite, &file) {
            Ok(snippets) => {
                let names = snippets.into_iter().map(|snippet| format!("{file}/{}", snippet.name));
                listing.tests.extend(names.map(|name| Test::named(name, None)));
            }
            // A file that needs a real Python leaves out its own tests, and says so.
            Err(error @ DiscoverError::Source { .. }) => listing.left_out.push(format!("{error}; left out")),
            Err(error) => return Err(error),
        }
    }
    listing.candidates = listing.tests.len();
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

/// Describes a test: the snippet on the command line, before the variant's flags.
pub(super) fn recipe(suite: &Suite, test: &Test) -> Result<Recipe, DiscoverError> {
    let (file, name) = test.name.split_once('/').unwrap_or((&test.name, ""));
    let path = suite.root.join(format!("{file}.pyt"));
    let found = snippets(suite, file)?.into_iter().find(|snippet| snippet.name == name);
    let snippet = found.ok_or(DiscoverError::Vanished { path })?;
    let mut recipe = Recipe::d8(Check::ExitCode);
    recipe.files = vec![Arg::Text("-e".to_owned()), Arg::Text(snippet.source.replace('\n', " "))];
    recipe.files.extend(snippet.throws.then(|| Arg::Text("--throws".to_owned())));
    recipe.files.extend(snippet.flags.into_iter().map(Arg::Text));
    recipe.layout = &[Part::Files, Part::TestFlags];
    Ok(recipe)
}

fn snippets(suite: &Suite, file: &str) -> Result<Vec<Snippet>, DiscoverError> {
    let path = suite.root.join(format!("{file}.pyt"));
    let bytes =
        std::fs::read(&path).map_err(|source| DiscoverError::Unreadable { path: path.clone(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    read(&path, &text)
        .map_err(|(line, what)| DiscoverError::Source { path, what: format!("line {line}: {what}") })
}

type Problem = (u32, String);

/// Reads the statements of a file.
fn read(path: &Path, text: &str) -> Result<Vec<Snippet>, Problem> {
    let source = Source { path, text };
    let parsed = ruff_python_parser::parse_unchecked_source(text, PySourceType::Python);
    let mut reader = Reader { source, templates: BTreeMap::new(), snippets: Vec::new() };
    parsed.suite().iter().try_for_each(|statement| reader.statement(statement))?;
    Ok(reader.snippets)
}

struct Reader<'a> {
    source: Source<'a>,
    /// Name and source of each template, by the name it is assigned to.
    templates: BTreeMap<String, (String, String)>,
    snippets: Vec<Snippet>,
}

impl Reader<'_> {
    fn problem<T>(&self, at: &Expr, what: &str) -> Result<T, Problem> {
        Err((self.source.line(start(at)), what.to_owned()))
    }

    fn statement(&mut self, statement: &Stmt) -> Result<(), Problem> {
        match statement {
            Stmt::Assign(assign) => self.assign(&assign.targets, &assign.value),
            Stmt::Expr(expression) => match &*expression.value {
                Expr::Call(call) => self.call(call),
                Expr::StringLiteral(_) => Ok(()),
                other => self.problem(other, "only Test(…) and templates are understood"),
            },
            Stmt::FunctionDef(function) => {
                Err((self.source.line(function.range.start()), "functions are not understood".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn assign(&mut self, targets: &[Expr], value: &Expr) -> Result<(), Problem> {
        let ([Expr::Name(name)], Expr::Call(call)) = (targets, value) else {
            return self.problem(value, "only templates may be assigned");
        };
        let template = self.template(call)?;
        self.templates.insert(name.id.to_string(), template);
        Ok(())
    }

    fn template(&self, call: &ExprCall) -> Result<(String, String), Problem> {
        match (&*call.func, &*call.arguments.args) {
            (Expr::Name(function), [name, source]) if function.id.as_str() == "Template" => {
                Ok((self.text(name)?, self.text(source)?))
            }
            (function, _) => self.problem(function, "a template needs a name and a source"),
        }
    }

    fn call(&mut self, call: &ExprCall) -> Result<(), Problem> {
        let arguments = &*call.arguments.args;
        match &*call.func {
            Expr::Name(function) if function.id.as_str() == "Test" => self.test(arguments, &call.func),
            Expr::Name(function) => {
                let template = self.templates.get(function.id.as_str()).cloned();
                self.use_template(template, arguments, &call.func)
            }
            Expr::Call(inner) => {
                let template = self.template(inner)?;
                self.use_template(Some(template), arguments, &call.func)
            }
            other => self.problem(other, "only Test(…) and templates are understood"),
        }
    }

    fn test(&mut self, arguments: &[Expr], at: &Expr) -> Result<(), Problem> {
        let [name, source, expectation, rest @ ..] = arguments else {
            return self.problem(at, "Test needs a name, a source and an expectation");
        };
        let flags = match rest {
            [Expr::List(list), ..] => {
                list.elts.iter().map(|flag| self.text(flag)).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        let (name, source) = (self.text(name)?, self.text(source)?);
        self.snippets.push(Snippet { name, source, throws: throws(expectation), flags });
        Ok(())
    }

    fn use_template(
        &mut self,
        template: Option<(String, String)>,
        arguments: &[Expr],
        at: &Expr,
    ) -> Result<(), Problem> {
        let (Some((mut name, mut source)), [Expr::Dict(replacements), expectation, ..]) =
            (template, arguments)
        else {
            return self.problem(at, "a template needs replacements and an expectation");
        };
        for item in &replacements.items {
            let Some(key) = &item.key else { continue };
            let (key, value) = (format!("${}", self.text(key)?), self.text(&item.value)?);
            name = name.replace(&key, &value);
            source = source.replace(&key, &value);
        }
        self.snippets.push(Snippet { name, source, throws: throws(expectation), flags: Vec::new() });
        Ok(())
    }

    fn text(&self, expression: &Expr) -> Result<String, Problem> {
        match expression {
            Expr::StringLiteral(text) => Ok(text.value.to_str().to_owned()),
            other => self.problem(other, "a string was expected"),
        }
    }
}

/// `None` expects success, a name an exception.
fn throws(expectation: &Expr) -> bool {
    !matches!(expectation, Expr::NoneLiteral(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_templates() {
        let text = "# c\nTest('a', 'x\\ny', None)\nTest(\"b\", \"\"\"z\"\"\", 'syntax', ['--f'])\n\
                    t = Template('c-$k', 'var $k;')\nt({'k': 'one'}, None)\nTemplate('d', 'e')({}, 'x')\n";
        let snippets = read(Path::new("p.pyt"), text).unwrap();
        let names: Vec<&str> = snippets.iter().map(|snippet| snippet.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c-one", "d"]);
        assert_eq!(snippets[2].source, "var one;");
        assert_eq!((snippets[1].throws, &snippets[1].flags[..]), (true, &["--f".to_owned()][..]));
    }

    #[test]
    fn anything_else_names_its_line() {
        let (line, what) = read(Path::new("p.pyt"), "\nfoo.bar()\n").unwrap_err();
        assert_eq!((line, what.as_str()), (2, "only Test(…) and templates are understood"));
    }
}
