//! Status file text -> sections, with Python's own grammar (reference §2.1).
//!
//! Checks the shape and the keywords of the era; evaluates no condition.

use std::path::{Path, PathBuf};

use ruff_python_ast::Expr;

use super::outcome::Keyword;
use crate::frontend::dialect::{Dialect, Era};
use crate::frontend::python::{self, Place, Source};

/// Why a status file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Something at a place.
    #[error("{what} at {place}{}", hint_line(.hint))]
    At {
        /// What is wrong.
        what: String,
        /// Where.
        place: Box<Place>,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// The file cannot be read.
    #[error("cannot read the status file {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The file is no text.
    #[error("the status file {} is not UTF-8: bad byte in line {line}", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

fn hint_line(hint: &Option<&'static str>) -> String {
    hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default()
}

/// A condition: Python source, parsed.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) expression: Expr,
    pub(super) place: Place,
}

/// An outcome: a keyword, or a text that stands for flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Keyword(Keyword),
    /// `'--flag'` or `'Flags: --a --b'`.
    Text(String),
}

/// What stands on the right of a rule.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Outcome(Outcome),
    /// Outcomes that count if the condition holds.
    Conditional(Condition, Vec<Outcome>),
}

/// One rule of a section.
#[derive(Debug, Clone)]
pub(super) struct RawRule {
    pub(super) key: String,
    pub(super) line: u32,
    pub(super) items: Vec<Item>,
}

/// One section.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// None for `ALWAYS`.
    pub(super) condition: Option<Condition>,
    pub(super) rules: Vec<RawRule>,
}

/// Parses a status file.
pub(super) fn parse(path: &Path, text: &str, dialect: Dialect) -> Result<Vec<Section>, StatusError> {
    let source = Source { path, text };
    let parser = Parser { source, dialect };
    let file = python::expression(source).map_err(|(place, what)| StatusError::At {
        what: format!("syntax error: {what}"),
        place: Box::new(place),
        hint: Some("a status file is one Python list of [condition, {rule: outcomes}] sections"),
    })?;
    let sections = parser.list(&file, "a status file must be a list of sections")?;
    sections.iter().map(|section| parser.section(section)).collect()
}

struct Parser<'a> {
    source: Source<'a>,
    dialect: Dialect,
}

impl Parser<'_> {
    fn fail<T>(
        &self,
        at: &Expr,
        what: impl Into<String>,
        hint: Option<&'static str>,
    ) -> Result<T, StatusError> {
        let place = Box::new(self.source.place(python::start(at)));
        Err(StatusError::At { what: what.into(), place, hint })
    }

    fn list<'e>(&self, expression: &'e Expr, what: &str) -> Result<&'e [Expr], StatusError> {
        match expression {
            Expr::List(list) => Ok(&list.elts),
            other => self.fail(other, what, None),
        }
    }

    fn section(&self, expression: &Expr) -> Result<Section, StatusError> {
        let [condition, rules] = self.list(expression, "a section must be a list")? else {
            return self.fail(
                expression,
                "a section must have exactly 2 entries: a condition and rules",
                None,
            );
        };
        let Expr::Dict(rules) = rules else {
            return self.fail(rules, "the second entry of a section must be a dictionary", None);
        };
        let mut parsed: Vec<RawRule> = Vec::new();
        for item in &rules.items {
            let Some(key) = &item.key else {
                return self.fail(&item.value, "`**` has no place in a status file", None);
            };
            let rule = self.rule(key, &item.value)?;
            // The last of equal keys counts, in the place of the first, as in a Python dictionary.
            match parsed.iter_mut().find(|known| known.key == rule.key) {
                Some(known) => *known = rule,
                None => parsed.push(rule),
            }
        }
        Ok(Section { condition: self.condition(condition)?, rules: parsed })
    }

    fn condition(&self, expression: &Expr) -> Result<Option<Condition>, StatusError> {
        match expression {
            Expr::Name(name) if name.id.as_str() == "ALWAYS" => Ok(None),
            Expr::StringLiteral(text) if text.value.to_str() == "ALWAYS" => Ok(None),
            Expr::StringLiteral(text) => {
                let inner = Source { path: self.source.path, text: text.value.to_str() };
                let place = self.source.place(python::start(expression));
                match python::expression(Source { text: inner.text.trim_start(), ..inner }) {
                    Ok(expression) => Ok(Some(Condition { expression, place })),
                    Err((_, what)) => Err(StatusError::At {
                        what: format!("syntax error in a condition: {what}"),
                        place: Box::new(place),
                        hint: None,
                    }),
                }
            }
            other => self.fail(other, "a condition must be ALWAYS or a string", None),
        }
    }

    fn rule(&self, key: &Expr, value: &Expr) -> Result<RawRule, StatusError> {
        let Expr::StringLiteral(text) = key else {
            return self.fail(key, "a rule key must be a string", None);
        };
        let name = text.value.to_str();
        if name.is_empty() {
            return self.fail(key, "a rule key must not be empty", Some("`*` matches every test"));
        }
        let items = match value {
            Expr::List(list) => list.elts.iter().map(|item| self.item(item)).collect::<Result<_, _>>()?,
            single => vec![Item::Outcome(self.outcome(single)?)],
        };
        Ok(RawRule { key: name.to_owned(), line: self.source.line(python::start(key)), items })
    }

    fn item(&self, expression: &Expr) -> Result<Item, StatusError> {
        let Expr::List(list) = expression else {
            return self.outcome(expression).map(Item::Outcome);
        };
        let [condition, outcomes @ ..] = list.elts.as_slice() else {
            return self.fail(expression, "a conditional outcome needs a condition", None);
        };
        let outcomes = outcomes.iter().map(|outcome| self.outcome(outcome)).collect::<Result<Vec<_>, _>>()?;
        match self.condition(condition)? {
            Some(condition) => Ok(Item::Conditional(condition, outcomes)),
            None => Ok(Item::Conditional(always(self.source.place(python::start(condition))), outcomes)),
        }
    }

    fn outcome(&self, expression: &Expr) -> Result<Outcome, StatusError> {
        match expression {
            Expr::Name(name) => match keyword(name.id.as_str(), self.dialect) {
                Some(keyword) => Ok(Outcome::Keyword(keyword)),
                None => {
                    let what = format!("name '{}' is not defined", name.id);
                    self.fail(expression, what, Some("it is no outcome that this version of V8 knows"))
                }
            },
            Expr::StringLiteral(text) => Ok(self.quoted(text.value.to_str())),
            other => self.fail(other, "an outcome must be a keyword or a string", None),
        }
    }

    fn quoted(&self, text: &str) -> Outcome {
        keyword(text, self.dialect).map_or_else(|| Outcome::Text(text.to_owned()), Outcome::Keyword)
    }
}

fn always(place: Place) -> Condition {
    let expression =
        Expr::BooleanLiteral(ruff_python_ast::ExprBooleanLiteral { value: true, ..Default::default() });
    Condition { expression, place }
}

/// The keyword of a name, if the era knows it (reference §2.1).
fn keyword(name: &str, dialect: Dialect) -> Option<Keyword> {
    let keyword = Keyword::ALL.into_iter().find(|keyword| keyword.name() == name)?;
    let era = dialect.era;
    let known = match keyword {
        Keyword::Skip | Keyword::Fail | Keyword::Pass | Keyword::Crash | Keyword::Slow => true,
        Keyword::FailOk | Keyword::NoVariants => true,
        Keyword::Okay | Keyword::FastVariants | Keyword::PassOrFail => era <= Era::V62,
        Keyword::Timeout => era <= Era::V62 && dialect.version < (6, 2),
        Keyword::Flaky => era == Era::V2015,
        Keyword::FailSloppy => era >= Era::V62,
        Keyword::Heavy | Keyword::FailPhaseOnly => era >= Era::V102,
        Keyword::FuzzRare => era >= Era::V13,
    };
    known.then_some(keyword)
}
