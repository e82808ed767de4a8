//! Why a key stands as it stands: the path hop by hop, the denials, what all of it hangs on.
//!
//! Pure; reads a decision and its inputs, changes neither. For people and `--json`.

use serde::Serialize;

use crate::closure::{Decision, Inputs, Local, MAX_DEPTH, PATH_RIGHTS, decide};
use crate::key::PublicKey;
use crate::rights::Rights;
use crate::statement::{Reason, Signed, Statement, StatementId};

/// How a key stands and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// Whom this is about.
    pub key: PublicKey,
    /// What it may do here.
    pub rights: Rights,
    /// In one word, with the cause.
    pub standing: Standing,
    /// The best path for SUBMIT.
    pub submit: Option<Path>,
    /// The best path for WORK.
    pub work: Option<Path>,
    /// Keys on whose standing all of it hangs, nearest first: without one of them the key is not trusted at all.
    pub hangs_on: Vec<PublicKey>,
}

/// How a key stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// This node itself.
    Me,
    /// It has at least one right.
    Trusted,
    /// Blocked by the owner of this node.
    Blocked,
    /// It retired itself; with the key it named to follow it, a claim.
    Retired(Option<PublicKey>),
    /// Denied, by these denials.
    Denied(Vec<Denial>),
    /// Reached, but every path lost its right, its lease or a hop.
    Lapsed,
    /// No path at all.
    Unknown,
}

/// A denial, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// Its name, for `approve --despite`.
    pub id: StatementId,
    /// Who denies.
    pub issuer: PublicKey,
    /// Who is denied.
    pub subject: PublicKey,
    /// Why.
    pub reason: Reason,
    /// Unix seconds, as claimed.
    pub issued_at: u64,
    /// As claimed.
    pub note: String,
}

/// From this node to a key, for one right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Path {
    /// At least one, in order; the first begins at this node.
    pub steps: Vec<Step>,
}

/// One hop of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who trusts.
    pub from: PublicKey,
    /// Who is trusted.
    pub to: PublicKey,
    /// What `from` calls it; empty for this node's own approvals, whose labels are in the allowlist.
    pub label: String,
    /// How many more hops may follow.
    pub depth_left: u8,
    /// `None` for this node's own approval.
    pub vouch: Option<Vouch>,
}

/// The snapshot a hop rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Vouch {
    /// Of the snapshot.
    pub version: u64,
    /// Unix seconds.
    pub not_after: u64,
}

/// Explains how a key stands in a decision made from these inputs at this time.
#[must_use]
pub fn explain(inputs: &Inputs<'_>, decision: &Decision, key: &PublicKey, now: u64) -> Why {
    let [submit, work] = PATH_RIGHTS.map(|right| path(inputs, decision, right, key));
    let rights = decision.rights(key);
    let standing = standing(inputs, decision, key);
    let hangs_on = hangs_on(inputs, &[&submit, &work], key, now);
    Why { key: *key, rights, standing, submit, work, hangs_on }
}

fn standing(inputs: &Inputs<'_>, decision: &Decision, key: &PublicKey) -> Standing {
    if *key == inputs.me {
        return Standing::Me;
    }
    if inputs.local.block.contains(key) {
        return Standing::Blocked;
    }
    if let Some(retire) = inputs.set.retirement(key) {
        return Standing::Retired(retire.successor);
    }
    let denials = decision.denials_of(key);
    if !denials.is_empty() {
        let each = denials.iter().filter_map(|id| inputs.set.get(id).or_else(|| inputs.adopted.get(id)));
        return Standing::Denied(each.filter_map(Denial::of).collect());
    }
    if !decision.rights(key).is_none() {
        return Standing::Trusted;
    }
    if decision.in_universe(key) { Standing::Lapsed } else { Standing::Unknown }
}

/// Follows the hops back to this node. Depth grows at every hop back, so there are at most `MAX_DEPTH + 1`.
fn path(inputs: &Inputs<'_>, decision: &Decision, right: Rights, key: &PublicKey) -> Option<Path> {
    let mut steps = Vec::new();
    let mut to = *key;
    for _ in 0..=MAX_DEPTH {
        let hop = decision.hop(right, &to)?;
        let vouches = hop.from.and_then(|from| inputs.set.vouches(&from));
        let label = vouches.and_then(|vouches| vouches.entry(&to)).map(|entry| entry.label.clone());
        let vouch = vouches.map(|vouches| Vouch { version: vouches.version, not_after: vouches.not_after });
        let from = hop.from.unwrap_or(inputs.me);
        steps.push(Step { from, to, label: label.unwrap_or_default(), depth_left: hop.depth_left, vouch });
        if hop.from.is_none() {
            steps.reverse();
            return Some(Path { steps });
        }
        to = from;
    }
    None
}

/// Which keys on the paths are needed: blocking one of them would leave no right at all.
fn hangs_on(inputs: &Inputs<'_>, paths: &[&Option<Path>], key: &PublicKey, now: u64) -> Vec<PublicKey> {
    let mut hops: Vec<PublicKey> = Vec::new();
    for step in paths.iter().copied().flatten().flat_map(|path| &path.steps) {
        if step.to != *key && !hops.contains(&step.to) {
            hops.push(step.to);
        }
    }
    hops.retain(|hop| {
        let mut local: Local = inputs.local.clone();
        local.block.insert(*hop);
        decide(&Inputs { local: &local, ..*inputs }, now).rights(key).is_none()
    });
    hops
}

impl Denial {
    /// The denial in a statement, if it is one.
    #[must_use]
    pub fn of(signed: &Signed) -> Option<Self> {
        let Statement::Deny(deny) = signed.statement() else { return None };
        Some(Self {
            id: signed.id(),
            issuer: deny.issuer,
            subject: deny.subject,
            reason: deny.reason,
            issued_at: deny.issued_at,
            note: deny.note.clone(),
        })
    }
}
