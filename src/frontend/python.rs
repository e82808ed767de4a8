//! Python as V8's runner uses it for data: literals, read with Python's own grammar.
//!
//! Evaluates nothing but literals and what is made of them by name, `+`, `|`, `list(…)`, `set(…)`, `dict(…)` and
//! unpacking; whatever else a file contains is passed over. Python 2 files are read as far as their grammar allows.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ruff_python_ast::{Expr, Number, Operator, PySourceType, Stmt};
use ruff_text_size::{Ranged, TextSize};

/// A place in a file, with what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The line's text.
    pub text: String,
}

impl fmt::Display for Place {
    /// `file:line:column`, the line, and a caret below the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent: String = self
            .text
            .chars()
            .take(self.column.saturating_sub(1) as usize)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let (path, line, column) = (self.path.display(), self.line, self.column);
        write!(f, "{path}:{line}:{column}\n    {}\n    {indent}^", self.text)
    }
}

/// A file's text with its name, able to say where something stands.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file, as people should see it.
    pub path: &'a Path,
    /// What is in it.
    pub text: &'a str,
}

impl Source<'_> {
    /// The line of an offset, from 1.
    pub fn line(&self, offset: TextSize) -> u32 {
        let before = &self.text.as_bytes()[..offset.to_usize().min(self.text.len())];
        u32::try_from(before.iter().filter(|byte| **byte == b'\n').count())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    /// Where an offset is.
    pub fn place(&self, offset: TextSize) -> Place {
        let mut at = offset.to_usize().min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        let column = self.text[start..at].chars().count();
        Place {
            path: self.path.to_owned(),
            line: self.line(offset),
            column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
            text: self.text[start..end].trim_end_matches('\r').to_owned(),
        }
    }
}

/// A value written down in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// `None`.
    None,
    /// A list, tuple or set, in order.
    List(Vec<Literal>),
    /// A dictionary, in order; a later key replaces an earlier one.
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Literal::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Literal::Int(int) => i32::try_from(*int).ok().map(f64::from),
            Literal::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// The texts of a list of texts.
    pub fn texts(&self) -> Option<Vec<String>> {
        let Literal::List(items) = self else { return None };
        items.iter().map(|item| item.as_text().map(str::to_owned)).collect()
    }

    /// The entries of a dictionary with text keys.
    pub fn entries(&self) -> Option<Vec<(&str, &Literal)>> {
        let Literal::Dict(items) = self else { return None };
        items.iter().map(|(key, value)| Some((key.as_text()?, value))).collect()
    }
}

/// Literals assigned at the top level of a file, by name. The last assignment counts.
pub type Constants = BTreeMap<String, Literal>;

/// Reads the constants of a file's text.
pub fn constants(text: &str) -> Constants {
    assigned(text, |_, _| ())
}

/// The constants of a text; each name assigned at its top level is told with the place of the assignment.
fn assigned(text: &str, mut told: impl FnMut(&str, TextSize)) -> Constants {
    let parsed = ruff_python_parser::parse_unchecked_source(text, PySourceType::Python);
    let mut constants = Constants::new();
    for statement in parsed.suite() {
        if let Some((name, value)) = assignment(statement) {
            told(name, statement.range().start());
            match literal(value, &constants) {
                Some(literal) => constants.insert(name.to_owned(), literal),
                // A name that is no longer a literal must not keep an older value.
                None => constants.remove(name),
            };
        }
    }
    constants
}

/// The tables of one of the tree's files. What is there and cannot be used is remembered, with its line, so that a
/// built-in table never takes its place silently.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    path: PathBuf,
    constants: Constants,
    lines: BTreeMap<String, u32>,
    complaints: Vec<String>,
}

impl Tables {
    /// Reads a file; one that is not there has no tables.
    pub fn read(path: &Path) -> Self {
        match std::fs::read(path) {
            Ok(bytes) => Tables::new(path, &String::from_utf8_lossy(&bytes)),
            Err(error) => {
                let gone = error.kind() == std::io::ErrorKind::NotFound;
                let complaint = format!("cannot read {}: {error}; built-in tables are used", path.display());
                let complaints = if gone { Vec::new() } else { vec![complaint] };
                Tables { path: path.to_owned(), complaints, ..Tables::default() }
            }
        }
    }

    /// The tables of a file's text.
    pub fn new(path: &Path, text: &str) -> Self {
        let source = Source { path, text };
        let mut lines = BTreeMap::new();
        let constants = assigned(text, |name, at| {
            lines.insert(name.to_owned(), source.line(at));
        });
        Tables { path: path.to_owned(), constants, lines, complaints: Vec::new() }
    }

    /// A table in the shape that `shape` knows; none if the file has no such name, or, with a complaint, if it has it
    /// in a shape that cannot be read.
    pub fn take<T>(&mut self, name: &str, shape: impl Fn(&Literal) -> Option<T>) -> Option<T> {
        let table = self.constants.get(name).and_then(shape);
        if let (None, Some(line)) = (&table, self.lines.get(name)) {
            let path = self.path.display();
            self.complaints
                .push(format!("{path}:{line}: {name} is no plain table; a built-in one is used instead"));
        }
        table
    }

    /// What could not be used, each with file and line.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }
}

fn assignment(statement: &Stmt) -> Option<(&str, &Expr)> {
    match statement {
        Stmt::Assign(assign) => match assign.targets.as_slice() {
            [Expr::Name(name)] => Some((name.id.as_str(), &assign.value)),
            _ => None,
        },
        Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
            (Expr::Name(name), Some(value)) => Some((name.id.as_str(), value)),
            _ => None,
        },
        _ => None,
    }
}

/// The value of an expression, where it is a literal or made of literals.
fn literal(expression: &Expr, known: &Constants) -> Option<Literal> {
    match expression {
        Expr::StringLiteral(text) => Some(Literal::Text(text.value.to_str().to_owned())),
        Expr::NumberLiteral(number) => match &number.value {
            Number::Int(int) => int.as_i64().map(Literal::Int),
            Number::Float(float) => Some(Literal::Float(*float)),
            Number::Complex { .. } => None,
        },
        Expr::BooleanLiteral(value) => Some(Literal::Bool(value.value)),
        Expr::NoneLiteral(_) => Some(Literal::None),
        Expr::Name(name) => known.get(name.id.as_str()).cloned(),
        Expr::List(list) => items(&list.elts, known),
        Expr::Tuple(tuple) => items(&tuple.elts, known),
        Expr::Set(set) => items(&set.elts, known),
        Expr::Dict(dict) => dictionary(&dict.items, known),
        Expr::BinOp(operation) => {
            joined(operation.op, literal(&operation.left, known)?, literal(&operation.right, known)?)
        }
        Expr::Call(call) => called(call, known),
        Expr::Subscript(subscript) => {
            let Literal::Dict(entries) = literal(&subscript.value, known)? else { return None };
            let key = literal(&subscript.slice, known)?;
            entries.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
        }
        _ => None,
    }
}

fn items(expressions: &[Expr], known: &Constants) -> Option<Literal> {
    let mut items = Vec::new();
    for expression in expressions {
        if let Expr::Starred(starred) = expression {
            let Literal::List(more) = literal(&starred.value, known)? else { return None };
            items.extend(more);
        } else {
            items.push(literal(expression, known)?);
        }
    }
    Some(Literal::List(items))
}

fn dictionary(items: &[ruff_python_ast::DictItem], known: &Constants) -> Option<Literal> {
    let mut entries = Vec::new();
    for item in items {
        let value = literal(&item.value, known)?;
        match &item.key {
            Some(key) => insert(&mut entries, literal(key, known)?, value),
            // `**other`
            None => {
                let Literal::Dict(more) = value else { return None };
                more.into_iter().for_each(|(key, value)| insert(&mut entries, key, value));
            }
        }
    }
    Some(Literal::Dict(entries))
}

fn insert(entries: &mut Vec<(Literal, Literal)>, key: Literal, value: Literal) {
    match entries.iter_mut().find(|(known, _)| *known == key) {
        Some(entry) => entry.1 = value,
        None => entries.push((key, value)),
    }
}

fn joined(operator: Operator, left: Literal, right: Literal) -> Option<Literal> {
    match (operator, left, right) {
        (Operator::Add | Operator::BitOr, Literal::List(left), Literal::List(right)) => {
            Some(Literal::List([left, right].concat()))
        }
        (Operator::Add, Literal::Text(left), Literal::Text(right)) => Some(Literal::Text(left + &right)),
        _ => None,
    }
}

/// `list(x)`, `set(x)`, `tuple(x)`, `frozenset(x)`, `sorted(x)` keep the items; `dict(a=…)` makes a dictionary.
fn called(call: &ruff_python_ast::ExprCall, known: &Constants) -> Option<Literal> {
    let Expr::Name(function) = &*call.func else { return None };
    let (positional, keywords) = (&call.arguments.args, &call.arguments.keywords);
    match (function.id.as_str(), &**positional, keywords.is_empty()) {
        ("list" | "set" | "tuple" | "frozenset" | "sorted", [argument], true) => literal(argument, known),
        ("list" | "set" | "tuple" | "frozenset", [], true) => Some(Literal::List(Vec::new())),
        ("dict", [], _) => {
            let entry = |keyword: &ruff_python_ast::Keyword| {
                let name = Literal::Text(keyword.arg.as_ref()?.as_str().to_owned());
                Some((name, literal(&keyword.value, known)?))
            };
            keywords.iter().map(entry).collect::<Option<_>>().map(Literal::Dict)
        }
        _ => None,
    }
}

/// Reads a file and parses it as one Python expression.
///
/// # Errors
/// With the place and the parser's words when it is no expression.
pub fn expression(source: Source<'_>) -> Result<Expr, (Place, String)> {
    ruff_python_parser::parse_expression(source.text)
        .map(ruff_python_parser::Parsed::into_expr)
        .map_err(|error| (source.place(error.location.start()), error.error.to_string()))
}

/// Where an expression begins.
pub fn start(expression: &Expr) -> TextSize {
    expression.range().start()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn constant(text: &str, name: &str) -> Option<Literal> {
        constants(text).remove(name)
    }

    #[test]
    fn literals_and_what_is_made_of_them() {
        let text = "A = ['x', \"y\"]\nB = A + ['z']\nC = {'k': [B, 1, True, None], **{'l': 'm' 'n'}}\nD = [*A, 'w']\n\
                    E = set(['q'])\nF: dict = dict(a='b')\nG = open('x')\nH = {'a', 'b'}\n";
        assert_eq!(constant(text, "B").unwrap().texts().unwrap(), ["x", "y", "z"]);
        assert_eq!(constant(text, "D").unwrap().texts().unwrap(), ["x", "y", "w"]);
        assert_eq!(constant(text, "E").unwrap().texts().unwrap(), ["q"]);
        let dictionary = constant(text, "C").unwrap();
        assert_eq!(dictionary.entries().unwrap()[1], ("l", &Literal::Text("mn".into())));
        assert_eq!(constant(text, "F").unwrap().entries().unwrap().len(), 1);
        assert_eq!(constant(text, "G"), None);
        assert_eq!(constant(text, "H").unwrap().texts().unwrap().len(), 2);
    }

    #[test]
    fn python_2_files_are_read_as_far_as_they_go() {
        let text = "A = ['x']\nprint \"Unknown %s\" % A\nB = A + ['y']\ndef f():\n  print 'x'\nC = 'z'\n";
        assert_eq!(constant(text, "B").unwrap().texts().unwrap(), ["x", "y"]);
        assert_eq!(constant(text, "C"), Some(Literal::Text("z".into())));
    }

    #[test]
    fn a_table_that_cannot_be_read_is_complained_of_with_its_line() {
        let text = "A = ['x']\nB = [open('y')]\nC = ['z'] if A else []\nC = 5\n";
        let mut tables = Tables::new(Path::new("v.py"), text);
        assert_eq!(tables.take("A", Literal::texts).unwrap(), ["x"]);
        assert_eq!(tables.take("missing", Literal::texts), None);
        assert!(tables.complaints().is_empty());
        assert_eq!(tables.take("B", Literal::texts), None);
        assert_eq!(tables.take("C", Literal::texts), None);
        let complaints = tables.complaints().join("\n");
        assert!(complaints.starts_with("v.py:2: B is no plain table"), "{complaints}");
        assert!(complaints.contains("v.py:4: C is no plain table"), "{complaints}");
    }

    #[test]
    fn a_place_shows_its_line_and_a_caret() {
        let text = "first\n\tsecond line\nthird";
        let source = Source { path: Path::new("a.status"), text };
        let place = source.place(TextSize::new(14));
        assert_eq!(place.to_string(), "a.status:2:9\n    \tsecond line\n    \t       ^");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}", python in "[\\[\\]{}()'\",:=a-z \n*+]{0,80}") {
            constants(&text);
            constants(&python);
            let source = Source { path: Path::new("x"), text: &python };
            if let Err((place, _)) = expression(source) {
                prop_assert!(place.line >= 1);
            }
        }
    }
}
