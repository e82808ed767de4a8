//! What programs of this host may ask of the node.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::key::{Key, Rights};
use super::run::RunRequest;

/// Asked of a node by a program of its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// How the node is: [`super::Reply::Status`].
    Status,
    /// Everyone it knows of: [`super::Reply::Peers`].
    Peers,
    /// Everything about trust: [`super::Reply::Trust`].
    Trust,
    /// Why somebody is trusted or not: [`super::Reply::Why`].
    Why(Who),
    /// The node's own key: [`super::Reply::Key`].
    Key,
    /// The last lines of the audit log: [`super::Reply::Audit`].
    Audit {
        /// At most so many.
        lines: u32,
    },
    /// Who is on the network: [`super::Reply::Seen`].
    Seen,
    /// Trust a key. Answered by [`super::Reply::Done`], as is every request from here to `Recover`.
    Approve(Approve),
    /// Take your own approval back.
    Forget {
        /// Whom.
        who: Who,
        /// Issue the denials it issued again as this node's own, so that they stay in force.
        keep_denials: bool,
    },
    /// Forget, and deny for everyone who reaches this node.
    Revoke(Revoke),
    /// End this node's own key, everywhere and for ever.
    Retire {
        /// The key that comes next: a hint for people.
        successor: Option<Key>,
        /// For people, at most 128 bytes.
        note: String,
    },
    /// Refuse a key on this machine only.
    Block(Who),
    /// Take a block back.
    Unblock(Who),
    /// Ignore the denials of a key on this machine only.
    Void(Who),
    /// Heed them again.
    Unvoid(Who),
    /// End another key, or this node's, by the certificate made with it: the bytes of a signed statement.
    Certificate(ByteBuf),
    /// End recovery mode.
    Recover(Recover),
    /// What recovery would find: [`super::Reply::Found`].
    Found,
    /// Connect to an address: [`super::Reply::Ok`] once it is being dialled; how it went stands in the peers, or in
    /// [`super::Status::unreached`] where nobody was reached.
    Dial {
        /// A multiaddress, with or without the peer's id.
        address: String,
    },
    /// Start no more jobs of others.
    Pause,
    /// Start them again.
    Resume,
    /// Stop the node: [`super::Reply::Ok`], then the connection ends.
    Stop,
    /// Tell what changes from now on: [`super::Reply::Ok`], then [`super::Reply::Changed`] until the connection ends.
    Watch,
    /// Read the settings and the allowlist again.
    Reload,
    /// About a run of tests.
    Run(RunRequest),
}

impl Request {
    /// Whether it changes trust, or what of this machine others may use, and so needs the cookie. A test that finds a
    /// way to the socket must not get further than looking.
    #[must_use]
    pub fn needs_cookie(&self) -> bool {
        match self {
            Self::Status | Self::Peers | Self::Trust | Self::Why(_) | Self::Key => false,
            Self::Audit { .. } | Self::Seen | Self::Watch | Self::Run(_) | Self::Found => false,
            Self::Approve(_) | Self::Forget { .. } | Self::Revoke(_) | Self::Retire { .. } => true,
            Self::Block(_) | Self::Unblock(_) | Self::Void(_) | Self::Unvoid(_) => true,
            Self::Certificate(_) | Self::Recover(_) => true,
            Self::Dial { .. } | Self::Pause | Self::Resume | Self::Stop | Self::Reload => true,
        }
    }
}

/// A key as a person gives it; the node finds out whom a name means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// From a key file or typed in full.
    Key(Key),
    /// A label you gave, or a name claimed by exactly one machine.
    Name(String),
}

/// Whom to trust, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    /// Whom; a name must be seen on the network by one machine only.
    pub who: Who,
    /// For what.
    pub rights: Rights,
    /// How many more hops its vouches carry.
    pub depth: u8,
    /// What to call it, at most 64 bytes; where not given it keeps the label it has, or gets the name it claims.
    pub label: Option<String>,
    /// What its key file calls it; a claim, and may be empty.
    pub name: String,
    /// Denials of it to override: ids, or beginnings of at least 8 letters.
    pub despite: Vec<String>,
}

/// How recovery mode ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recover {
    /// What was lost is given up: what the allowlist says now is published.
    Fresh,
    /// What this node's own snapshot says, as its peers gave it back, is approved again and published.
    Restore,
}

/// Whom to deny, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// Whom.
    pub who: Who,
    /// Why.
    pub reason: Reason,
    /// For people, at most 128 bytes.
    pub note: String,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// Why a key is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The machine is lost or stolen.
    Lost,
    /// Somebody else has the key.
    Compromised,
    /// Its owner left.
    Left,
    /// It lies, floods or harms.
    Misbehaving,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 4] = [Self::Lost, Self::Compromised, Self::Left, Self::Misbehaving];

    /// The word people type and read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Compromised => "compromised",
            Self::Left => "left",
            Self::Misbehaving => "misbehaving",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|reason| reason.word() == text);
        found.ok_or_else(|| "one of lost, compromised, left, misbehaving was expected".to_owned())
    }
}

/// 32 random bytes in a file that only the owner can read. `Debug` does not show them.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cookie(ByteArray<32>);

impl Cookie {
    /// From its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Cookie(ByteArray::new(bytes))
    }

    /// The bytes, for the file.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        self.0.into_array()
    }
}

impl PartialEq for Cookie {
    /// Looks at every byte, so that time says nothing about how many are right.
    fn eq(&self, other: &Self) -> bool {
        let differing =
            self.0.iter().zip(other.0.iter()).fold(0, |all, (mine, theirs)| all | (mine ^ theirs));
        differing == 0
    }
}

impl Eq for Cookie {}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}
