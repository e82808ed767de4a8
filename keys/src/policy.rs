//! What the owner decided beside the approvals: blocked keys, voided deniers, answered denials.
//!
//! ```text
//! block ed25519:…  # comment
//! void ed25519:…
//! answer <statement id>
//! ```
//! Pure text in, pure text out; the store reads and writes the file. Comments and order are kept. None of it is ever
//! published, but for the answers about approved keys. Denials adopted by the node itself are no decision of its
//! owner and live in the store's log, in one append with what brought them.

use std::fmt;

use crate::closure::Local;
use crate::key::{KeyError, PublicKey};
use crate::statement::{BadId, StatementId};

/// Bytes of the file.
pub const MAX_FILE: usize = 512 * 1024;
/// Decisions in it: far more than a person makes.
pub const MAX_RULES: usize = 4096;

const HEADER: &str = "\
# Local decisions: `block KEY` refuses a key, `void KEY` ignores its denials, `answer ID` overrides one denial.
";

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Refuse this key whoever vouches for it.
    Block(PublicKey),
    /// Ignore the denials of this key.
    Void(PublicKey),
    /// Override this denial.
    Answer(StatementId),
}

/// The decisions, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The rule of each line, if it has one, and its text.
    lines: Vec<(Option<Rule>, String)>,
}

/// Why a policy is not taken; names the line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A word that begins no rule.
    #[error("line {line}: unknown rule {word:?}; hint: `block`, `void` or `answer`")]
    Word {
        /// The line.
        line: usize,
        /// What stands there.
        word: String,
    },
    /// No key behind the word.
    #[error("line {line}: {source}")]
    Key {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: KeyError,
    },
    /// No statement id behind the word.
    #[error("line {line}: {source}")]
    Id {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: BadId,
    },
    /// Something behind the rule.
    #[error("line {line}: nothing may follow but a comment")]
    Rest {
        /// The line.
        line: usize,
    },
    /// More than [`MAX_FILE`] bytes.
    #[error("a policy of {0} bytes, at most {MAX_FILE} are allowed")]
    Large(usize),
    /// More than [`MAX_RULES`] rules.
    #[error("more than {MAX_RULES} rules")]
    Full,
}

impl Policy {
    /// A policy without decisions, with a line of explanation.
    #[must_use]
    pub fn empty() -> Self {
        Self { lines: HEADER.lines().map(|line| (None, line.to_owned())).collect() }
    }

    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`], with the number of the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_FILE {
            return Err(PolicyError::Large(text.len()));
        }
        let numbered = (1..).zip(text.split_terminator('\n'));
        let lines = numbered.map(|(line, text)| Ok((parse_line(line, text)?, text.to_owned())));
        let policy = Self { lines: lines.collect::<Result<_, PolicyError>>()? };
        if policy.rules().count() > MAX_RULES { Err(PolicyError::Full) } else { Ok(policy) }
    }

    /// Every decision, in the order of the file.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        self.lines.iter().filter_map(|(rule, _)| *rule)
    }

    /// The decisions as the closure wants them.
    #[must_use]
    pub fn local(&self) -> Local {
        let mut local = Local::default();
        for rule in self.rules() {
            match rule {
                Rule::Block(key) => local.block.insert(key),
                Rule::Void(key) => local.void.insert(key),
                Rule::Answer(id) => local.answers.insert(id),
            };
        }
        local
    }

    /// Adds a decision at the end, unless it is there; says whether it was added.
    ///
    /// # Errors
    /// [`PolicyError::Full`].
    pub fn add(&mut self, rule: Rule) -> Result<bool, PolicyError> {
        if self.rules().any(|held| held == rule) {
            return Ok(false);
        }
        if self.rules().count() >= MAX_RULES {
            return Err(PolicyError::Full);
        }
        self.lines.push((Some(rule), rule.to_string()));
        Ok(true)
    }

    /// Takes a decision away; says whether it was there.
    pub fn remove(&mut self, rule: Rule) -> bool {
        let before = self.lines.len();
        self.lines.retain(|(held, _)| *held != Some(rule));
        self.lines.len() != before
    }
}

fn parse_line(line: usize, text: &str) -> Result<Option<Rule>, PolicyError> {
    let content = text.split_once('#').map_or(text, |(content, _)| content);
    let mut words = content.split_whitespace();
    let Some(word) = words.next() else { return Ok(None) };
    let value = words.next().unwrap_or_default();
    let key = || value.parse().map_err(|source| PolicyError::Key { line, source });
    let rule = match word {
        "block" => Rule::Block(key()?),
        "void" => Rule::Void(key()?),
        "answer" => Rule::Answer(value.parse().map_err(|source| PolicyError::Id { line, source })?),
        other => return Err(PolicyError::Word { line, word: other.chars().take(20).collect() }),
    };
    if words.next().is_some() { Err(PolicyError::Rest { line }) } else { Ok(Some(rule)) }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(key) => write!(f, "block {key}"),
            Self::Void(key) => write!(f, "void {key}"),
            Self::Answer(id) => write!(f, "answer {id}"),
        }
    }
}

/// The file: every line ends with a line break.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(_, text)| writeln!(f, "{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn rules_round_trip_with_comments() {
        let key = Identity::from_secret_bytes([1; 32]).expect("a key").public();
        let id = StatementId::from_bytes([9; 32]);
        let text = format!("# mine\nblock {key}  # noisy\n\nanswer {id}\n");
        let mut policy = Policy::parse(&text).expect("a policy");
        assert_eq!(policy.to_string(), text);
        assert_eq!(policy.add(Rule::Void(key)), Ok(true));
        assert_eq!(policy.add(Rule::Void(key)), Ok(false));
        let local = policy.local();
        assert!(local.block.contains(&key) && local.void.contains(&key) && local.answers.contains(&id));
        assert!(policy.remove(Rule::Block(key)) && !policy.remove(Rule::Block(key)));
        assert_eq!(policy.to_string(), format!("# mine\n\nanswer {id}\nvoid {key}\n"));
    }

    #[test]
    fn errors_name_the_line() {
        let fails = |text: &str| Policy::parse(text).expect_err(text).to_string();
        assert_eq!(fails("\nallow x\n"), "line 2: unknown rule \"allow\"; hint: `block`, `void` or `answer`");
        assert_eq!(fails("block x\n"), "line 1: a key begins with `ed25519:`");
        assert!(fails("answer x\n").starts_with("line 1: \"x\" is no statement id"));
        let id = StatementId::from_bytes([9; 32]);
        assert_eq!(fails(&format!("answer {id} x\n")), "line 1: nothing may follow but a comment");
    }
}
