//! Everything a node knows about trust, for `meshctl trust` and `why`.

use serde::{Deserialize, Serialize};

use super::key::{Key, Named, Rights};
use super::peer::{Path, Standing};
use super::request::Reason;
use super::status::Recovery;

/// Why a key is trusted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Whom it is about.
    pub who: Named,
    /// The decision.
    pub standing: Standing,
    /// "I trust you", as the peer said last; none where it has not said.
    pub trusts_you: Option<Rights>,
    /// The path of each right, the best first; where both share one there is one. Empty where there is none.
    pub paths: Vec<Path>,
    /// Keys that stand on every path: without any of them the trust ends.
    pub hangs_on: Vec<Named>,
    /// Denials about the key that are known here, in force or not.
    pub denials: Vec<Denial>,
}

/// Roots, statements and what follows from them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// What you approved.
    pub roots: Vec<Root>,
    /// Every key somebody said something about, with the decision and the best path, sorted by key.
    pub decisions: Vec<Why>,
    /// What others vouch for.
    pub snapshots: Vec<Snapshot>,
    /// Who denied whom.
    pub denials: Vec<Denial>,
    /// Keys that ended themselves.
    pub retirements: Vec<Retirement>,
    /// Keys refused on this machine only.
    pub blocked: Vec<Named>,
    /// Keys whose denials are ignored on this machine.
    pub void: Vec<Named>,
    /// Keys that two machines use.
    pub conflicts: Vec<Conflict>,
}

/// An approval of yours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Whom.
    pub who: Named,
    /// For what.
    pub rights: Rights,
    /// How many more hops its vouches carry.
    pub depth: u8,
    /// Unix seconds; none where the allowlist does not say.
    pub approved_at: Option<u64>,
    /// Denials of it that you override.
    pub despite: Vec<String>,
}

/// One issuer's newest snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Who vouches.
    pub issuer: Named,
    /// The highest wins.
    pub version: u64,
    /// Seconds until its lease ends; 0 where it has ended.
    pub lease_left: u64,
    /// Whom it is for.
    pub entries: Vec<SnapshotEntry>,
}

/// One line of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEntry {
    /// Whom; the name is the issuer's label.
    pub who: Named,
    /// For what; none means suspended.
    pub rights: Rights,
    /// How many more hops.
    pub depth: u8,
}

/// What recovery can bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Why the node publishes nothing.
    pub recovery: Recovery,
    /// This node's own newest snapshot, as its peers know it; none where none came yet.
    pub snapshot: Option<Snapshot>,
    /// Entries of it that are not approved here: a restoration approves them again.
    pub missing: Vec<SnapshotEntry>,
}

/// A denial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Its first letters, for `approve --despite`.
    pub id: String,
    /// Who denies.
    pub issuer: Named,
    /// Who is denied.
    pub subject: Named,
    /// Why.
    pub reason: Reason,
    /// Claimed.
    pub note: String,
    /// Unix seconds, as claimed.
    pub issued_at: u64,
    /// Whether it counts here: the issuer is reached with depth left and not void, and nobody entitled answered.
    pub in_force: bool,
}

/// A key's own end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// Which key.
    pub who: Named,
    /// The key it says comes next: a hint, never followed.
    pub successor: Option<Key>,
    /// Claimed.
    pub note: String,
    /// Unix seconds, as claimed.
    pub issued_at: u64,
}

/// Two documents of one version: two machines use the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Whose key.
    pub issuer: Named,
    /// The version that exists twice.
    pub version: u64,
}
