//! Whom the owner of this machine approved: one key a line, comments and order kept.
//!
//! ```text
//! # key  rights  depth  label  # comment
//! ed25519:…  submit,work  3  desk-alice  # approved 2026-03-01
//! ```
//! Only the key is needed; the rest defaults to both rights, depth 3, no label. Pure text in, pure text out; the
//! store reads and writes the file. Unchanged lines come out byte for byte as they came in.

use std::collections::BTreeMap;
use std::fmt;

use crate::closure::{DEFAULT_DEPTH, Grant, MAX_DEPTH};
use crate::key::{KeyError, PublicKey};
use crate::rights::{Rights, UnknownRight};
use crate::statement::{MAX_ENTRIES, MAX_LABEL};
use crate::text;

/// Approved keys: each becomes an entry of the own snapshot.
pub const MAX_ROOTS: usize = MAX_ENTRIES;
/// Bytes of a line; a key, a label and a sentence.
pub const MAX_LINE: usize = 1024;
/// Bytes of the file.
pub const MAX_FILE: usize = 512 * 1024;

/// What a new list begins with.
const HEADER: &str = "\
# Keys this machine trusts, one a line: key, rights, depth, label. `meshctl approve` adds them.
# rights: submit (its tests run here), work (its results count here); depth: how many more hops its own vouches carry.
";

/// The list, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowlist {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// A comment or a blank line.
    Other(String),
    Root {
        root: Root,
        /// As it stands in the file.
        text: String,
    },
}

/// One approved key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Whom.
    pub key: PublicKey,
    /// For what, and how far its word carries.
    pub grant: Grant,
    /// What the owner calls it; may be empty.
    pub label: String,
    /// What stands behind `#` on its line; may be empty.
    pub comment: String,
}

/// Why a list is not taken; names the line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowlistError {
    /// No key where a key should be.
    #[error("line {line}: {source}")]
    Key {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: KeyError,
    },
    /// No rights where rights should be.
    #[error("line {line}: {source}")]
    Rights {
        /// The line.
        line: usize,
        /// What is wrong with them.
        source: UnknownRight,
    },
    /// No depth where a depth should be.
    #[error("line {line}: {text:?} is no depth; hint: a number from 0 to {MAX_DEPTH}")]
    Depth {
        /// The line.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A label that is too long or has characters that steer a terminal.
    #[error("line {line}: {source}")]
    Label {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: LabelError,
    },
    /// A key that stands on an earlier line.
    #[error("line {line}: this key stands on line {first} already")]
    Twice {
        /// The line.
        line: usize,
        /// Where it stands first.
        first: usize,
    },
    /// More than [`MAX_LINE`] bytes.
    #[error("line {line} has more than {MAX_LINE} bytes")]
    LongLine {
        /// The line.
        line: usize,
    },
    /// More than [`MAX_FILE`] bytes.
    #[error("a list of {0} bytes, at most {MAX_FILE} are allowed")]
    Large(usize),
    /// More than [`MAX_ROOTS`] keys.
    #[error("more than {MAX_ROOTS} keys; hint: `forget` those that are no longer used")]
    Full,
}

/// Why a text is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Too long.
    #[error("a label of {0} bytes, at most {MAX_LABEL} are allowed")]
    Long(usize),
    /// Control or direction-changing characters.
    #[error("a label may not contain control characters")]
    Control,
    /// It would be read as something else.
    #[error("a label may not begin with `#`, contain ` #`, or have blanks at its ends or two in a row")]
    Form,
}

/// Whether a text can be a label.
///
/// # Errors
/// [`LabelError`].
pub fn check_label(label: &str) -> Result<(), LabelError> {
    if label.len() > MAX_LABEL {
        return Err(LabelError::Long(label.len()));
    }
    if !text::is_plain(label) {
        return Err(LabelError::Control);
    }
    let words: Vec<&str> = label.split_whitespace().collect();
    if words.join(" ") != label || words.iter().any(|word| word.starts_with('#')) {
        return Err(LabelError::Form);
    }
    Ok(())
}

impl Allowlist {
    /// A list without keys, with a few lines of explanation.
    #[must_use]
    pub fn empty() -> Self {
        Self { lines: HEADER.lines().map(|line| Line::Other(line.to_owned())).collect() }
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`AllowlistError`], with the number of the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, AllowlistError> {
        if text.len() > MAX_FILE {
            return Err(AllowlistError::Large(text.len()));
        }
        let mut seen = BTreeMap::new();
        let mut lines = Vec::new();
        for (line, text) in (1..).zip(text.split_terminator('\n')) {
            let parsed = parse_line(line, text)?;
            if let Line::Root { root, .. } = &parsed
                && let Some(first) = seen.insert(root.key, line)
            {
                return Err(AllowlistError::Twice { line, first });
            }
            lines.push(parsed);
        }
        if seen.len() > MAX_ROOTS {
            return Err(AllowlistError::Full);
        }
        Ok(Self { lines })
    }

    /// Every approved key, in the order of the file.
    pub fn roots(&self) -> impl Iterator<Item = &Root> {
        self.lines.iter().filter_map(|line| match line {
            Line::Root { root, .. } => Some(root),
            Line::Other(_) => None,
        })
    }

    /// The line of a key.
    #[must_use]
    pub fn get(&self, key: &PublicKey) -> Option<&Root> {
        self.roots().find(|root| root.key == *key)
    }

    /// The approvals as a decision wants them.
    #[must_use]
    pub fn grants(&self) -> BTreeMap<PublicKey, Grant> {
        self.roots().map(|root| (root.key, root.grant)).collect()
    }

    /// Approves a key: changes its line in place or adds one at the end.
    ///
    /// # Errors
    /// [`AllowlistError::Full`]; [`AllowlistError::Label`] or [`AllowlistError::LongLine`] (line 0) where the new
    /// line could not be read back. Nothing is changed then.
    pub fn put(&mut self, root: Root) -> Result<(), AllowlistError> {
        check_label(&root.label).map_err(|source| AllowlistError::Label { line: 0, source })?;
        let text = root.to_string();
        if text.len() > MAX_LINE || !text::is_plain(&root.comment) {
            return Err(AllowlistError::LongLine { line: 0 });
        }
        let known = self.lines.iter_mut().find(|line| line.key() == Some(root.key));
        if let Some(line) = known {
            *line = Line::Root { root, text };
            return Ok(());
        }
        if self.roots().count() >= MAX_ROOTS {
            return Err(AllowlistError::Full);
        }
        self.lines.push(Line::Root { root, text });
        Ok(())
    }

    /// Takes the line of a key away; says whether there was one.
    pub fn remove(&mut self, key: &PublicKey) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| line.key() != Some(*key));
        self.lines.len() != before
    }
}

impl Line {
    fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Root { root, .. } => Some(root.key),
            Self::Other(_) => None,
        }
    }
}

fn parse_line(line: usize, text: &str) -> Result<Line, AllowlistError> {
    if text.len() > MAX_LINE {
        return Err(AllowlistError::LongLine { line });
    }
    let (content, comment) = split_comment(text);
    let mut words = content.split_whitespace();
    let Some(key) = words.next() else { return Ok(Line::Other(text.to_owned())) };
    let key = key.parse().map_err(|source| AllowlistError::Key { line, source })?;
    let rights = match words.next() {
        Some(word) => word.parse().map_err(|source| AllowlistError::Rights { line, source })?,
        None => Rights::ALL,
    };
    let depth = words.next().map_or(Ok(DEFAULT_DEPTH), |word| parse_depth(line, word))?;
    let label = words.collect::<Vec<_>>().join(" ");
    check_label(&label).map_err(|source| AllowlistError::Label { line, source })?;
    let root = Root { key, grant: Grant { rights, depth }, label, comment: comment.to_owned() };
    Ok(Line::Root { root, text: text.to_owned() })
}

/// A comment begins at the `#` that begins the line or follows a blank.
fn split_comment(text: &str) -> (&str, &str) {
    let begins = |at: &usize| text[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let at = text.match_indices('#').map(|(at, _)| at).find(begins);
    at.map_or((text, ""), |at| (&text[..at], text[at + 1..].trim()))
}

fn parse_depth(line: usize, word: &str) -> Result<u8, AllowlistError> {
    let depth = word.parse().ok().filter(|depth| *depth <= MAX_DEPTH);
    depth.ok_or_else(|| AllowlistError::Depth { line, text: word.chars().take(20).collect() })
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}", self.key, self.grant.rights, self.grant.depth)?;
        if !self.label.is_empty() {
            write!(f, "  {}", self.label)?;
        }
        if !self.comment.is_empty() {
            write!(f, "  # {}", self.comment)?;
        }
        Ok(())
    }
}

/// The file: every line ends with a line break.
impl fmt::Display for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| match line {
            Line::Other(text) | Line::Root { text, .. } => writeln!(f, "{text}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn key(seed: u8) -> PublicKey {
        Identity::from_secret_bytes([seed; 32]).expect("a key").public()
    }

    #[test]
    fn a_line_needs_its_key_only() {
        let list = Allowlist::parse(&format!("{}\n", key(1))).expect("a list");
        let root = list.get(&key(1)).expect("the root");
        assert_eq!(root.grant, Grant { rights: Rights::ALL, depth: DEFAULT_DEPTH });
        assert_eq!(root.label, "");
    }

    #[test]
    fn changing_one_line_keeps_the_others() {
        let text = format!("# mine\n\n  {}   work 1 rack 7   # in the cellar\n# end\n{} \n", key(1), key(2));
        let mut list = Allowlist::parse(&text).expect("a list");
        assert_eq!(list.to_string(), text);
        let rack = list.get(&key(1)).expect("the rack");
        assert_eq!((rack.label.as_str(), rack.comment.as_str()), ("rack 7", "in the cellar"));
        let root = Root { label: "desk".into(), ..list.get(&key(2)).expect("two").clone() };
        list.put(root).expect("room");
        assert!(list.remove(&key(1)) && !list.remove(&key(1)));
        assert_eq!(list.to_string(), format!("# mine\n\n# end\n{}  submit,work  3  desk\n", key(2)));
    }

    #[test]
    fn errors_name_the_line() {
        let fails = |text: &str| Allowlist::parse(text).expect_err(text).to_string();
        let one = key(1);
        assert_eq!(fails("# a\nfoo\n"), "line 2: a key begins with `ed25519:`");
        assert_eq!(
            fails(&format!("{one} run\n")),
            "line 1: unknown right \"run\"; hint: `submit`, `work`, `submit,work` or `none`"
        );
        assert_eq!(
            fails(&format!("{one} work 9\n")),
            "line 1: \"9\" is no depth; hint: a number from 0 to 4"
        );
        assert_eq!(fails(&format!("{one}\n\n{one} work\n")), "line 3: this key stands on line 1 already");
        assert_eq!(
            fails(&format!("{one} work 1 a\u{1b}b\n")),
            "line 1: a label may not contain control characters"
        );
        assert!(fails(&"#".repeat(MAX_LINE + 1)).starts_with("line 1 has more"));
    }

    #[test]
    fn a_label_that_would_not_read_back_is_refused() {
        for label in ["# a", "a #b", " a", "a  b", "a\tb", "\u{202e}a"] {
            assert!(check_label(label).is_err(), "{label:?}");
        }
        assert!(check_label(&"x".repeat(65)).is_err() && check_label("a#b c").is_ok());
    }
}
