//! The audit log: one line an event, each with the hash of the line before.
//!
//! Events come from the keyring and the node, lines go to the store. Tamper-evident, not tamper-proof: whoever owns
//! the account can write a new log, but not one that ends in a head noted elsewhere. Pure; the store has the file.

use std::fmt;

use crate::key::PublicKey;
use crate::keyring::{Recovery, RightsChange};
use crate::rights::Rights;
use crate::statement::{Reason, StatementId};
use crate::text;

/// Bytes of the text of one line; longer text of a note is cut.
pub const MAX_TEXT: usize = 4096;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditEvent {
    /// The owner approved a key.
    Approved {
        /// Whom.
        key: PublicKey,
        /// For what.
        rights: Rights,
        /// How far.
        depth: u8,
        /// Which denials were overridden.
        despite: Vec<StatementId>,
    },
    /// The owner withdrew an approval.
    Forgot(PublicKey),
    /// The owner denied a key.
    Revoked {
        /// Whom.
        key: PublicKey,
        /// Why.
        reason: Reason,
        /// The denial; `None` where this node had no denial left and blocked the key instead.
        denial: Option<StatementId>,
    },
    /// The owner blocked a key.
    Blocked(PublicKey),
    /// The owner lifted a block.
    Unblocked(PublicKey),
    /// The owner ignores the denials of a key.
    Voided(PublicKey),
    /// The owner heeds the denials of a key again.
    Unvoided(PublicKey),
    /// A key retired itself.
    Retired(PublicKey),
    /// The allowlist or the policy was read again.
    Reloaded,
    /// An own snapshot was signed.
    Published(u64),
    /// The standing of a key changed.
    Trust {
        /// Whose, from what to what.
        change: RightsChange,
        /// Over which keys the best path leads, nearest first; empty for a root and for a loss.
        via: Vec<PublicKey>,
        /// The statement that brought it, if one did.
        cause: Option<StatementId>,
    },
    /// Two contents of one version of a key's snapshot.
    Conflict(PublicKey, u64),
    /// Recovery began, or ended.
    Recovery(Option<Recovery>),
    /// Something the store repaired or cut when it was opened.
    Store(String),
    /// An event of the node: `job`, `pairing`, `kill`.
    Node {
        /// One word without blanks.
        what: &'static str,
        /// The rest of the line; control characters are escaped.
        text: String,
    },
}

impl fmt::Display for AuditEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approved { key, rights, depth, despite } => {
                write!(f, "approved {key} rights={rights} depth={depth}")?;
                despite.iter().try_for_each(|id| write!(f, " despite={id}"))
            }
            Self::Forgot(key) => write!(f, "forgot {key}"),
            Self::Revoked { key, reason, denial: Some(id) } => {
                write!(f, "revoked {key} reason={reason} denial={id}")
            }
            Self::Revoked { key, reason, denial: None } => {
                write!(f, "revoked {key} reason={reason} blocked-only")
            }
            Self::Blocked(key) => write!(f, "blocked {key}"),
            Self::Unblocked(key) => write!(f, "unblocked {key}"),
            Self::Voided(key) => write!(f, "voided {key}"),
            Self::Unvoided(key) => write!(f, "unvoided {key}"),
            Self::Retired(key) => write!(f, "retired {key}"),
            Self::Reloaded => f.write_str("reloaded"),
            Self::Published(version) => write!(f, "published version={version}"),
            Self::Trust { change, via, cause } => write_trust(f, change, via, cause.as_ref()),
            Self::Conflict(key, version) => write!(f, "conflict {key} version={version}"),
            Self::Recovery(Some(reason)) => write!(f, "recovery began: {reason:?}"),
            Self::Recovery(None) => f.write_str("recovery ended"),
            Self::Store(text) => write!(f, "store {}", tame(text)),
            Self::Node { what, text } => write!(f, "{what} {}", tame(text)),
        }
    }
}

fn write_trust(
    f: &mut fmt::Formatter<'_>,
    change: &RightsChange,
    via: &[PublicKey],
    cause: Option<&StatementId>,
) -> fmt::Result {
    write!(f, "trust {} {} -> {}", change.key, change.before, change.after)?;
    via.iter().try_for_each(|key| write!(f, " via={key}"))?;
    cause.iter().try_for_each(|id| write!(f, " cause={id}"))
}

/// No line breaks, no escapes, no endless lines.
fn tame(text: &str) -> String {
    let escape = |letter: char| {
        let plain = text::is_plain(letter.encode_utf8(&mut [0; 4]));
        if plain { letter.to_string() } else { letter.escape_unicode().to_string() }
    };
    let mut tamed = String::new();
    for piece in text.chars().map(escape) {
        if tamed.len() + piece.len() > MAX_TEXT {
            break;
        }
        tamed.push_str(&piece);
    }
    tamed
}

/// The hash of the last line: 64 hex digits; of an empty log the hash of nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head(String);

/// A log whose lines do not follow from each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "audit log: line {line} does not follow from the line before it; hint: it was changed after it was written"
)]
pub struct BrokenChain {
    /// Counted from 1.
    pub line: usize,
}

impl Default for Head {
    fn default() -> Self {
        Self(blake3::hash(b"").to_hex().to_string())
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Head {
    /// The line for an event (without its line break) and the head after it.
    #[must_use]
    pub fn line(&self, event: &AuditEvent, now: u64) -> (String, Self) {
        let content = format!("{} {event}", text::timestamp(now));
        let next = self.after(&content);
        (format!("{next} {content}"), next)
    }

    /// What the last line claims to be the head: to go on after a break, which stays visible.
    pub(crate) fn of_last_line(log: &str) -> Self {
        let hash = log.lines().last().and_then(|line| line.split(' ').next());
        Self(hash.unwrap_or_default().chars().take(64).collect())
    }

    fn after(&self, content: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.0.as_bytes()).update(b"\n").update(content.as_bytes());
        Self(hasher.finalize().to_hex().to_string())
    }

    /// The first line of a log that continues an older one.
    #[must_use]
    pub fn continuation(&self) -> String {
        format!("{CONTINUES}{self}")
    }
}

const CONTINUES: &str = "continues ";

/// Checks every line of a log and returns its head.
///
/// # Errors
/// [`BrokenChain`] with the first line that does not follow.
pub fn verify(log: &str) -> Result<Head, BrokenChain> {
    let mut lines = log.lines();
    let older = lines.next().and_then(|first| first.strip_prefix(CONTINUES));
    verify_after(&older.map_or_else(Head::default, |head| Head(head.to_owned())), log)
}

/// Checks every line of a log that follows one with the given head.
///
/// # Errors
/// [`BrokenChain`] with the first line that does not follow.
pub fn verify_after(older: &Head, log: &str) -> Result<Head, BrokenChain> {
    let mut head = older.clone();
    for (line, text) in (1..).zip(log.lines()) {
        if line == 1 && text == head.continuation() {
            continue;
        }
        let (hash, content) = text.split_once(' ').ok_or(BrokenChain { line })?;
        head = head.after(content);
        if head.0 != hash {
            return Err(BrokenChain { line });
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(texts: &[&str]) -> (String, Head) {
        let mut head = Head::default();
        let mut log = String::new();
        for (now, text) in (0..).zip(texts) {
            let (line, next) = head.line(&AuditEvent::Node { what: "job", text: (*text).to_owned() }, now);
            log.push_str(&line);
            log.push('\n');
            head = next;
        }
        (log, head)
    }

    #[test]
    fn a_chain_verifies_to_its_head() {
        let (text, head) = log(&["one", "two\nthree\u{1b}[2J"]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("two\\u{a}three\\u{1b}[2J"));
        assert_eq!(verify(&text), Ok(head.clone()));
        let (line, next) = head.line(&AuditEvent::Reloaded, 9);
        assert_eq!(verify(&format!("{}\n{line}\n", head.continuation())), Ok(next));
        assert_eq!(verify(""), Ok(Head::default()));
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let (text, head) = log(&["one", "two", "three"]);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert_ne!(verify(&changed), Ok(head.clone()), "byte {at}");
        }
        let without_second: Vec<&str> =
            text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line).collect();
        assert_eq!(verify(&without_second.join("\n")), Err(BrokenChain { line: 2 }));
    }
}
