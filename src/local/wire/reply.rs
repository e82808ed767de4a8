//! What the node answers.

use serde::{Deserialize, Serialize};

use super::key::{Key, Named, Rights};
use super::peer::{Peer, Seen};
use super::run::RunReply;
use super::status::Status;
use super::trust::{Found, Trust, Why};

/// An answer, or one of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; nothing to say.
    Ok,
    /// To [`super::Request::Status`].
    Status(Box<Status>),
    /// To [`super::Request::Peers`], sorted by key.
    Peers(Vec<Peer>),
    /// To [`super::Request::Trust`].
    Trust(Box<Trust>),
    /// To [`super::Request::Why`].
    Why(Box<Why>),
    /// To [`super::Request::Key`].
    Key(OwnKey),
    /// To [`super::Request::Audit`].
    Audit(Audit),
    /// To [`super::Request::Seen`], sorted by key.
    Seen(Vec<Seen>),
    /// To [`super::Request::Found`].
    Found(Box<Found>),
    /// To [`super::Request::Reload`]: the lists are in force.
    Reloaded {
        /// Settings that differ from those in force, by name: a restart puts them in force.
        waiting: Vec<String>,
    },
    /// To what changes trust.
    Done(Consequences),
    /// To [`super::Request::Watch`]: ask again about these. Several changes may come as one.
    Changed(Vec<Topic>),
    /// To [`super::Request::Run`].
    Run(RunReply),
    /// It could not be done, and nothing was changed.
    Error(Error),
}

/// What to ask about again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// The node itself: addresses, load, warnings.
    Status,
    /// Who is here and how busy they are.
    Peers,
    /// Approvals, statements, decisions.
    Trust,
}

/// The node's own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnKey {
    /// The key.
    pub key: Key,
    /// The node's name.
    pub name: String,
    /// The key file's text, to send to others.
    pub file: String,
    /// The words people compare.
    pub words: Vec<String>,
}

/// The end of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Oldest first; each line holds the hash of the one before.
    pub lines: Vec<String>,
    /// Hash of the last line, to note elsewhere.
    pub head: String,
    /// Where the chain is broken, in words; none where every line fits the one before.
    pub broken: Option<String>,
}

/// What a change of trust did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consequences {
    /// Whether it was done.
    pub outcome: Outcome,
    /// Whom it was about; the node itself for `retire` and `recover`.
    pub who: Named,
    /// Who became trusted, or trusted for more.
    pub gained: Vec<Shift>,
    /// Who lost trust or a right; where `who` is among them it comes first.
    pub lost: Vec<Shift>,
    /// Jobs running or queued here of those who may not submit any more: they stop.
    pub jobs_stopped: u32,
    /// What the owner should know, one line each.
    pub notes: Vec<String>,
}

/// Rights of one key before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Whose.
    pub who: Named,
    /// Until now.
    pub before: Rights,
    /// From now on.
    pub after: Rights,
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Made, kept on disk and announced.
    Done,
    /// It was so already.
    Unchanged,
    /// Not made: only asked.
    DryRun,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{text}")]
pub struct Error {
    /// For programs.
    pub kind: ErrorKind,
    /// One sentence without a period.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Names close to one that is unknown, the closest first. Claimed.
    pub nearest: Vec<String>,
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The cookie is missing or wrong.
    Unauthorised,
    /// No machine goes by that name or key.
    UnknownPeer,
    /// Several machines go by that name.
    Ambiguous,
    /// The request makes no sense, such as approving oneself.
    Invalid,
    /// A rule forbids it: a full list, recovery mode, a denial without `--despite`.
    Refused,
    /// The node could not do it: disk, network.
    Failed,
    /// Too many clients, or the node is stopping.
    Busy,
}

impl Error {
    /// An error without hint.
    #[must_use]
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Error { kind, text: text.into(), hint: None, nearest: Vec::new() }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
