//! What trusted peers tell each other about trust and load: `/testmesh/status/2`.
//!
//! Statements are opaque bytes with a name; who signed what is for the `keys` crate. Two nodes reconcile by comparing
//! a digest, then names page by page, fetching what is missing; gossip only makes them do it sooner.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::hello::{Rights, WORD_MAX};
use crate::check::{Check, Excess, most, text};
use crate::id::{Digest, NodeKey, StatementId};

/// The protocol's name on the wire.
pub const PROTOCOL: &str = "/testmesh/status/2";
/// Bytes of a request: a push of statements.
pub const REQUEST_MAX: u64 = 512 * 1024;
/// Bytes of a response: a view of all peers with their addresses.
pub const RESPONSE_MAX: u64 = 1024 * 1024;
/// Streams of this protocol at once on one connection, both directions together.
pub const STREAMS_MAX: usize = 16;
/// Entries of a page of names. There may be any number of pages, so that nothing is hidden behind a bound.
pub const PAGE_MAX: usize = 256;
/// Names in one fetch: a whole page.
pub const FETCH_MAX: usize = PAGE_MAX;
/// Bytes of statements in one message; what does not fit is asked for again.
pub const STATEMENT_BYTES_MAX: usize = 448 * 1024;
/// Addresses told of one peer.
pub const ADDRESSES_MAX: usize = 4;
/// Bytes of an address: IPv6, port and peer take 110.
pub const ADDRESS_MAX: usize = 128;
/// Peers in a view of trust: all a closure may hold.
pub const VIEW_MAX: usize = 1_024;

/// A statement somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VectorEntry {
    /// Who signed it.
    pub issuer: NodeKey,
    /// What it is: 0 vouches, 1 denies, 2 retires.
    pub kind: u8,
    /// Which of the issuer's snapshots; 0 for a revocation or retirement.
    pub version: u64,
    /// Its name.
    pub id: StatementId,
}

/// How busy a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Jobs it runs at once.
    pub slots: u16,
    /// Jobs running now.
    pub running: u16,
    /// Jobs waiting.
    pub queued: u32,
    /// Its owner has paused it: it takes no job.
    pub paused: bool,
    /// Speed in thousandths of a reference machine; 0 where not measured.
    pub speed: u32,
    /// The containment tier in force, 0 to 3.
    pub tier: u8,
}

/// Somebody the answering node trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Whom.
    pub key: NodeKey,
    /// With what.
    pub rights: Rights,
    /// The name the answering node knows it by. Claimed.
    pub name: String,
    /// Where the answering node reaches or sees it, as multiaddresses: for nodes that no multicast reaches.
    pub addresses: Vec<String>,
}

/// Asked of a trusted peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusRequest {
    /// This is the digest of all I hold: answer `Same`, or a `Page` of what you hold.
    Compare {
        /// Of the whole set, whichever page is asked for.
        digest: Digest,
        /// The last name of the page before; none for the first page.
        after: Option<StatementId>,
    },
    /// Send me these statements.
    Fetch(Vec<StatementId>),
    /// Statements you lack.
    Push(Vec<ByteBuf>),
    /// This is my load; answer with yours.
    Load(Load),
    /// Whom do you trust?
    View,
}

/// Answers to [`StatusRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusResponse {
    /// Our digests are equal.
    Same,
    /// What I hold, behind the name asked for.
    Page {
        /// In order of their names, which all differ.
        entries: Vec<VectorEntry>,
        /// Whether there is another page.
        more: bool,
    },
    /// Those of the statements asked for that I hold and that fit.
    Statements(Vec<ByteBuf>),
    /// So many of the statements pushed were new and are kept.
    Taken(u32),
    /// My load.
    Load(Load),
    /// Whom I trust, sorted by key.
    View(Vec<Trusted>),
    /// Not now; the text says why.
    Refused(String),
}

fn statements(statements: &[ByteBuf]) -> Result<(), Excess> {
    most("statements", statements.len(), FETCH_MAX)?;
    most("statement bytes", statements.iter().map(|one| one.len()).sum(), STATEMENT_BYTES_MAX)
}

impl Check for Trusted {
    fn check(&self) -> Result<(), Excess> {
        text("name", &self.name, WORD_MAX)?;
        most("addresses", self.addresses.len(), ADDRESSES_MAX)?;
        self.addresses.iter().try_for_each(|address| text("address", address, ADDRESS_MAX))
    }
}

impl Check for StatusRequest {
    fn check(&self) -> Result<(), Excess> {
        match self {
            Self::Fetch(ids) => most("fetch", ids.len(), FETCH_MAX),
            Self::Push(pushed) => statements(pushed),
            Self::Compare { .. } | Self::Load(_) | Self::View => Ok(()),
        }
    }
}

impl Check for StatusResponse {
    fn check(&self) -> Result<(), Excess> {
        match self {
            Self::Page { entries, .. } => most("page", entries.len(), PAGE_MAX),
            Self::Statements(sent) => statements(sent),
            Self::View(trusted) => {
                most("view", trusted.len(), VIEW_MAX)?;
                trusted.iter().try_for_each(Check::check)
            }
            Self::Refused(why) => text("refusal", why, 4 * WORD_MAX),
            Self::Same | Self::Taken(_) | Self::Load(_) => Ok(()),
        }
    }
}
