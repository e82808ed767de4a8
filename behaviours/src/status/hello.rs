//! What strangers may say to each other: `/testmesh/hello/1`.
//!
//! The only protocol besides identify and ping that a peer outside the closure is answered on. Everything in it is
//! claimed by the other side and small. It says who is there and in which direction trust already holds, carries
//! revocations (which anyone may hand over) and a goodbye.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::check::{Check, Excess, most, text};
use crate::id::{Digest, StatementId};

/// The protocol's name on the wire.
pub const PROTOCOL: &str = "/testmesh/hello/1";
/// Bytes of a request: a stranger may cost this much memory a stream.
pub const REQUEST_MAX: u64 = 16 * 1024;
/// Bytes of a response.
pub const RESPONSE_MAX: u64 = 16 * 1024;
/// Streams of this protocol at once on one connection, both directions together.
pub const STREAMS_MAX: usize = 4;
/// Revocations in one message: sixteen of the largest (512 bytes and a signature) fill a message.
pub const REVOCATIONS_MAX: usize = 24;
/// Bytes of revocations in one message; leaves room for the frame around them.
pub const REVOCATION_BYTES_MAX: usize = 14 * 1024;
/// Bytes of a name, a version or a platform's words.
pub const WORD_MAX: usize = 64;

/// Rights one node gives another, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rights(pub u8);

impl Rights {
    /// No trust.
    pub const NONE: Self = Self(0);
    /// Its jobs run here.
    pub const SUBMIT: Self = Self(1);
    /// Its results count here.
    pub const WORK: Self = Self(2);
    /// Both.
    pub const ALL: Self = Self(3);

    /// Whether all of `other` is among these.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is any at all.
    #[must_use]
    pub fn any(self) -> bool {
        self.0 != 0
    }
}

/// What a node runs on, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Processor architecture, such as `x86_64`.
    pub arch: String,
    /// C library and its version, such as `glibc 2.36`; empty where unknown.
    pub libc: String,
    /// A hash of the processor's features; equal features, equal number.
    pub features: u64,
}

/// How a node introduces itself. Every field is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the program, such as `0.1.0`.
    pub version: String,
    /// The name its owner gave it. Not unique, not checked.
    pub name: String,
    /// Over all statements it holds: equal digests need no exchange.
    pub digest: Digest,
    /// Over the revocations it holds.
    pub revocations: Digest,
    /// What it lets the receiver do: "I trust you".
    pub trust: Rights,
    /// What it runs on.
    pub platform: Platform,
}

/// Asked of anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloRequest {
    /// Here I am; said on connect and whenever something in it changes.
    Hello(Hello),
    /// Revocations the receiver may lack, signed and opaque here.
    Revocations(Vec<ByteBuf>),
    /// Which revocations do you hold, in order of their names, behind this one?
    FetchRevocations {
        /// The last name of the page before; none for the first page.
        after: Option<StatementId>,
    },
    /// This node stops now and is not lost.
    Goodbye,
}

/// Answers to [`HelloRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloResponse {
    /// Here I am too.
    Hello(Hello),
    /// So many of the revocations handed over were new and are kept.
    Taken(u32),
    /// A page of revocations.
    Revocations {
        /// In order of their names.
        statements: Vec<ByteBuf>,
        /// Whether there is another page.
        more: bool,
    },
    /// Understood; nothing to say.
    Noted,
    /// Not now, or not to you.
    Refused(String),
}

fn platform(platform: &Platform) -> Result<(), Excess> {
    text("platform.os", &platform.os, WORD_MAX)?;
    text("platform.arch", &platform.arch, WORD_MAX)?;
    text("platform.libc", &platform.libc, WORD_MAX)
}

fn revocations(statements: &[ByteBuf]) -> Result<(), Excess> {
    most("revocations", statements.len(), REVOCATIONS_MAX)?;
    most("revocation bytes", statements.iter().map(|one| one.len()).sum(), REVOCATION_BYTES_MAX)
}

impl Check for Hello {
    fn check(&self) -> Result<(), Excess> {
        text("version", &self.version, WORD_MAX)?;
        text("name", &self.name, WORD_MAX)?;
        platform(&self.platform)
    }
}

impl Check for HelloRequest {
    fn check(&self) -> Result<(), Excess> {
        match self {
            Self::Hello(hello) => hello.check(),
            Self::Revocations(statements) => revocations(statements),
            Self::FetchRevocations { .. } | Self::Goodbye => Ok(()),
        }
    }
}

impl Check for HelloResponse {
    fn check(&self) -> Result<(), Excess> {
        match self {
            Self::Hello(hello) => hello.check(),
            Self::Revocations { statements, .. } => revocations(statements),
            Self::Refused(why) => text("refusal", why, 4 * WORD_MAX),
            Self::Taken(_) | Self::Noted => Ok(()),
        }
    }
}
