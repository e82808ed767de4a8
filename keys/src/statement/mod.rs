//! The three signed statements, and nothing else: `Vouches`, `Deny`, `Retire` (security rules §2.2).
//!
//! Made by the keyring from commands, or read from peers and the store as bytes. A payload travels verbatim and is
//! signed verbatim; decoding is strict (`wire`), signing separates domains and kinds (`signed`). No trust is decided
//! here, and nothing here knows who may say what.

mod signed;
mod wire;

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use crate::key::PublicKey;
use crate::rights::Rights;

pub use self::signed::{Signed, Unverified, signing_buffer};
pub use self::wire::StatementError;

/// Entries of one snapshot: a person approves tens of machines; 256 keep it below [`MAX_VOUCHES`].
pub const MAX_ENTRIES: usize = 256;
/// Bytes of a label.
pub const MAX_LABEL: usize = 64;
/// Denials one entry may answer.
pub const MAX_ANSWERS: usize = 8;
/// Bytes of the note of a denial or a retirement.
pub const MAX_NOTE: usize = 128;
/// Bytes of the payload of a snapshot.
pub const MAX_VOUCHES: usize = 32 * 1024;
/// Bytes of the payload of a denial or a retirement.
pub const MAX_REVOCATION: usize = 512;
/// Longest life of a snapshot in seconds (90 days): it bounds how long a withheld revocation can matter.
pub const MAX_LEASE: u64 = 90 * 24 * 60 * 60;

/// The name of a statement: BLAKE3 of kind and payload, without the signature, so that no second signature of the
/// same words can slip past a list of names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub(crate) [u8; 32]);

/// What a key vouches for: one document an issuer, replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouches {
    /// Who says so.
    pub issuer: PublicKey,
    /// The highest wins; two contents of one version are a conflict.
    pub version: u64,
    /// Unix seconds, as claimed by the issuer.
    pub issued_at: u64,
    /// Unix seconds; from the next second on it carries no trust. At most [`MAX_LEASE`] after `issued_at`.
    pub not_after: u64,
    /// Strictly ascending by subject, at most [`MAX_ENTRIES`], never the issuer itself.
    pub entries: Vec<Entry>,
}

/// One line of [`Vouches`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who is vouched for.
    pub subject: PublicKey,
    /// For what; none means suspended: listed, not trusted.
    pub rights: Rights,
    /// How many more hops its own vouches carry; 0 is a leaf.
    pub depth: u8,
    /// What the issuer calls it: a claim. At most [`MAX_LABEL`] bytes, no control characters.
    pub label: String,
    /// Denials of the subject which the issuer overrides, strictly ascending, at most [`MAX_ANSWERS`].
    pub answers: Vec<StatementId>,
}

/// A permanent refusal of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deny {
    /// Who says so.
    pub issuer: PublicKey,
    /// Who is refused; never the issuer (that is a [`Retire`]).
    pub subject: PublicKey,
    /// Why.
    pub reason: Reason,
    /// Unix seconds, as claimed by the issuer; advice only.
    pub issued_at: u64,
    /// Tells two denials of one key apart, so that an answer to the first does not answer the second.
    pub nonce: [u8; 8],
    /// For people, at most [`MAX_NOTE`] bytes, no control characters.
    pub note: String,
}

/// A key's own end, signed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retire {
    /// Subject and signer.
    pub key: PublicKey,
    /// Unix seconds, as claimed.
    pub issued_at: u64,
    /// A hint for people, never followed.
    pub successor: Option<PublicKey>,
    /// For people, at most [`MAX_NOTE`] bytes, no control characters.
    pub note: String,
}

/// Why a key is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// Any of the three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// See [`Vouches`].
    Vouches(Vouches),
    /// See [`Deny`].
    Deny(Deny),
    /// See [`Retire`].
    Retire(Retire),
}

/// Which of the three, with its format number; part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Vouches`], format 1.
    Vouches,
    /// [`Deny`], format 1.
    Deny,
    /// [`Retire`], format 1.
    Retire,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Vouches, Self::Deny, Self::Retire];

    /// The signed tag: kind and format number.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Vouches => "vouches/1",
            Self::Deny => "deny/1",
            Self::Retire => "retire/1",
        }
    }

    /// The longest payload of this kind in bytes.
    #[must_use]
    pub const fn max_payload(self) -> usize {
        match self {
            Self::Vouches => MAX_VOUCHES,
            Self::Deny | Self::Retire => MAX_REVOCATION,
        }
    }
}

impl Statement {
    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Vouches(_) => Kind::Vouches,
            Self::Deny(_) => Kind::Deny,
            Self::Retire(_) => Kind::Retire,
        }
    }

    /// Who must have signed it.
    #[must_use]
    pub const fn issuer(&self) -> PublicKey {
        match self {
            Self::Vouches(vouches) => vouches.issuer,
            Self::Deny(deny) => deny.issuer,
            Self::Retire(retire) => retire.key,
        }
    }

    /// Whether it is a denial or a retirement: those are carried by everyone and accepted from anyone.
    #[must_use]
    pub const fn is_revocation(&self) -> bool {
        !matches!(self, Self::Vouches(_))
    }
}

impl Vouches {
    /// The entry about a key.
    #[must_use]
    pub fn entry(&self, subject: &PublicKey) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.subject.cmp(subject)).ok()?;
        self.entries.get(at)
    }
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Compromised, Self::Left, Self::Misbehaving];

    /// The word people type and read.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Compromised => "compromised",
            Self::Left => "left",
            Self::Misbehaving => "misbehaving",
        }
    }
}

/// A word that is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown reason {0:?}; hint: `lost`, `compromised`, `left` or `misbehaving`")]
pub struct UnknownReason(String);

impl FromStr for Reason {
    type Err = UnknownReason;
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.word() == text)
            .ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl StatementId {
    /// A name as received.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 letters: for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// Text that is no statement id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no statement id; hint: 52 letters a-z and digits 2-7")]
pub struct BadId(String);

impl FromStr for StatementId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let refused = || BadId(text.chars().take(64).collect());
        if text.chars().any(|letter| letter.is_ascii_uppercase()) {
            return Err(refused());
        }
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| refused())?;
        Ok(Self(bytes.try_into().map_err(|_| refused())?))
    }
}

impl Serialize for StatementId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serde_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for StatementId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
        }
        let bytes: serde_bytes::ByteArray<32> = Deserialize::deserialize(deserializer)?;
        Ok(Self(bytes.into_array()))
    }
}
