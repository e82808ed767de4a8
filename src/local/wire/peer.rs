//! One other machine, as this node sees it.

use serde::{Deserialize, Serialize};

use super::key::{Key, Named, Rights};
use super::request::Reason;

/// A machine that was seen, approved or vouched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its only name that counts.
    pub key: Key,
    /// What it or a voucher calls it. Claimed; empty where nobody said one.
    pub name: String,
    /// What you called it when you approved it.
    pub label: Option<String>,
    /// "I trust you", as the peer said last; none where it has not said.
    pub trusts_you: Option<Rights>,
    /// "You trust it", and otherwise why not.
    pub standing: Standing,
    /// The best path to it; empty hops where there is none.
    pub path: Path,
    /// What it runs on. Claimed.
    pub platform: Option<Platform>,
    /// How busy it says it is.
    pub load: Option<Load>,
    /// Version of its program. Claimed; none where it has not said.
    pub version: Option<String>,
    /// Where it was reached last, or could be, as multiaddresses; the one in use comes first.
    pub addresses: Vec<String>,
    /// Seconds since it was last heard; none where never since the start.
    pub last_seen: Option<u64>,
    /// Whether there is a connection now.
    pub connected: bool,
    /// Why connecting to it failed last, where it did and nothing has worked since.
    pub trouble: Option<String>,
}

/// A decision about a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Trusted, with what is left after every hop.
    Trusted {
        /// For what.
        rights: Rights,
        /// How many more hops its own vouches carry here; 0 is a leaf.
        depth: u8,
        /// Whether you approved it yourself.
        approved: bool,
    },
    /// Nobody this node trusts vouches for it.
    Stranger,
    /// It is out, whoever vouches for it.
    Refused(Refusal),
}

/// What keeps a key out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Somebody entitled denied it.
    Denied {
        /// Who.
        by: Named,
        /// Why.
        reason: Reason,
        /// Seconds since the denial was issued, by the denier's clock.
        age: u64,
        /// The denial's first letters, for `approve --despite`.
        id: String,
    },
    /// It ended itself.
    Retired {
        /// The key it says comes next: a hint, never followed.
        successor: Option<Key>,
    },
    /// You blocked it here.
    Blocked,
    /// It is reached, but every path lost its right, its lease or a hop.
    Lapsed,
}

/// From this node to a key, hop by hop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// What the whole path gives.
    pub rights: Rights,
    /// The first begins here, the last ends at the key.
    pub hops: Vec<Hop>,
}

/// One step of trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Who trusts; this node in the first hop.
    pub from: Named,
    /// Who is trusted.
    pub to: Named,
    /// By what.
    pub kind: HopKind,
    /// How many more hops may follow.
    pub depth: u8,
}

/// What a hop rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HopKind {
    /// Your own approval.
    Approved {
        /// Unix seconds; none where the allowlist does not say.
        at: Option<u64>,
    },
    /// An entry in somebody's snapshot.
    Vouched {
        /// Version of the snapshot.
        version: u64,
        /// Seconds until its lease ends.
        lease_left: u64,
    },
}

/// What a machine runs on, as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `x86_64`.
    pub arch: String,
    /// C library with version; empty where unknown.
    pub libc: String,
}

/// How busy a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Jobs it runs at once.
    pub slots: u16,
    /// Jobs running.
    pub running: u16,
    /// Jobs waiting.
    pub queued: u32,
    /// Its owner paused it.
    pub paused: bool,
    /// Speed in thousandths of this machine; 0 where not measured.
    pub speed: u32,
    /// Containment tier, 0 to 3.
    pub tier: u8,
}

/// A machine on the network, trusted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Who.
    pub key: Key,
    /// Claimed.
    pub name: String,
    /// Where, as multiaddresses.
    pub addresses: Vec<String>,
    /// Seconds since it was last heard.
    pub last_seen: u64,
    /// What this node thinks of it.
    pub standing: Standing,
}
