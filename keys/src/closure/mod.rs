//! PURE: who is trusted, for what, by which path (security rules §2.4).
//!
//! Roots, local policy, statements and the time go in ([`Inputs`]), a [`Decision`] comes out; nothing is remembered
//! between calls, no hash order, no clock. The strata, in order:
//!
//! ```text
//! 0  universe U   reachable from roots, blind to denials, retirements, leases, rights; I = U with depth left
//! 1  denials D    issued in I and not void, and the adopted ones: who may deny is settled before any denial is read
//! 2  roots        denied unless every denial about them is answered by the owner
//! 3  others       denied unless every denial about them is answered by the owner or by a live root
//! 4  trusted      reachable through unexpired snapshots, never to or through a dead key, rights kept by every hop
//! ```
//! Two strata with a negation and no cycle: the result is unique, and a denial, a retirement or the passing of time
//! can only take trust away.

mod reach;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use crate::key::PublicKey;
use crate::rights::Rights;
use crate::set::StatementSet;
use crate::statement::{Signed, Statement, StatementId};

use self::reach::{Field, Seeds};

pub use self::why::{Denial, Path, Standing, Step, Vouch, Why, explain};

/// Most hops a root may be given: a path has at most one step more.
pub const MAX_DEPTH: u8 = 4;
/// What `approve` gives unless told otherwise: at most four steps from you.
pub const DEFAULT_DEPTH: u8 = 3;
/// Keys of a universe, by (distance, key); roots always fit. With 256 entries each that is a few milliseconds.
pub const MAX_UNIVERSE: usize = 1024;

/// What the owner gave a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// For what; none is a suspended root.
    pub rights: Rights,
    /// How many more hops its vouches carry; values above [`MAX_DEPTH`] count as that.
    pub depth: u8,
}

/// What the owner decided beside the roots. Never published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// Keys refused whoever vouches for them.
    pub block: BTreeSet<PublicKey>,
    /// Keys whose denials are ignored.
    pub void: BTreeSet<PublicKey>,
    /// Denials overridden.
    pub answers: BTreeSet<StatementId>,
}

/// Everything a decision depends on, but the time.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// This node.
    pub me: PublicKey,
    /// Whom its owner approved.
    pub roots: &'a BTreeMap<PublicKey, Grant>,
    /// What else its owner decided.
    pub local: &'a Local,
    /// Denials that were in force here once.
    pub adopted: &'a BTreeMap<StatementId, Signed>,
    /// What everybody said.
    pub set: &'a StatementSet,
}

/// Who is trusted at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    rights: BTreeMap<PublicKey, Rights>,
    universe: BTreeMap<PublicKey, u8>,
    denied: BTreeMap<PublicKey, Vec<StatementId>>,
    in_force: BTreeMap<StatementId, PublicKey>,
    hops: [BTreeMap<PublicKey, Hop>; 2],
    next_expiry: Option<u64>,
    overflow: bool,
}

/// The last hop of the best path to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// Who vouches; `None` is this node's own approval.
    pub from: Option<PublicKey>,
    /// How many more hops may follow.
    pub depth_left: u8,
}

/// The two rights a path is computed for.
pub const PATH_RIGHTS: [Rights; 2] = [Rights::SUBMIT, Rights::WORK];

/// Decides. `now` in unix seconds; a snapshot counts up to and with its `not_after`.
#[must_use]
pub fn decide(inputs: &Inputs<'_>, now: u64) -> Decision {
    let seeds = Seeds::new(inputs);
    let universe = reach::universe(&seeds);
    let about = denials_by_subject(inputs, &universe);
    let denied = denied(inputs, &about, now);
    let dead = |key: &PublicKey| {
        denied.contains_key(key) || inputs.local.block.contains(key) || inputs.set.retirement(key).is_some()
    };
    let mut decision = Decision {
        universe: universe.reached(&seeds),
        in_force: in_force(inputs, &about),
        next_expiry: next_expiry(inputs, &universe, now),
        overflow: universe.overflow,
        ..Decision::default()
    };
    let alive = reach::alive(&seeds, &universe, dead);
    for (right, hops) in PATH_RIGHTS.into_iter().zip(&mut decision.hops) {
        *hops = reach::trusted(inputs, &seeds, &alive, right, now);
        for key in hops.keys() {
            let rights = decision.rights.entry(*key).or_default();
            *rights = *rights | right;
        }
    }
    decision.denied = denied;
    decision
}

type BySubject = BTreeMap<PublicKey, BTreeSet<StatementId>>;

/// Stratum 1: every denial that counts, before answers. Adopted ones count whoever issued them.
fn denials_by_subject(inputs: &Inputs<'_>, universe: &Field) -> BySubject {
    let mut about = BySubject::new();
    for (id, deny) in inputs.set.denials() {
        let may_deny = universe.depth_left(inputs, &deny.issuer).is_some_and(|left| left >= 1);
        if may_deny && !inputs.local.void.contains(&deny.issuer) {
            about.entry(deny.subject).or_default().insert(id);
        }
    }
    for (id, signed) in inputs.adopted {
        if let Statement::Deny(deny) = signed.statement() {
            about.entry(deny.subject).or_default().insert(*id);
        }
    }
    about
}

/// Strata 2 and 3: who is denied, and by which unanswered denials.
fn denied(inputs: &Inputs<'_>, about: &BySubject, now: u64) -> BTreeMap<PublicKey, Vec<StatementId>> {
    let unanswered = |ids: &BTreeSet<StatementId>| -> Vec<StatementId> {
        ids.iter().filter(|id| !inputs.local.answers.contains(*id)).copied().collect()
    };
    let mut denied: BTreeMap<_, _> = about
        .iter()
        .map(|(subject, ids)| (*subject, unanswered(ids)))
        .filter(|(_, ids)| !ids.is_empty())
        .collect();
    let answers = answers_of_roots(inputs, &denied, now);
    denied.retain(|subject, ids| {
        if !inputs.roots.contains_key(subject) {
            ids.retain(|id| !answers.contains(&(*subject, *id)));
        }
        !ids.is_empty()
    });
    denied
}

/// What live roots answer in current snapshots, about keys other than themselves.
fn answers_of_roots(
    inputs: &Inputs<'_>,
    denied: &BTreeMap<PublicKey, Vec<StatementId>>,
    now: u64,
) -> BTreeSet<(PublicKey, StatementId)> {
    let live = |root: &&PublicKey| {
        !denied.contains_key(*root)
            && !inputs.local.block.contains(*root)
            && inputs.set.retirement(root).is_none()
    };
    let mut answers = BTreeSet::new();
    for vouches in inputs.roots.keys().filter(live).filter_map(|root| inputs.set.vouches(root)) {
        if vouches.not_after < now {
            continue;
        }
        for entry in vouches.entries.iter().filter(|entry| entry.subject != vouches.issuer) {
            answers.extend(entry.answers.iter().map(|id| (entry.subject, *id)));
        }
    }
    answers
}

/// Denials in force, with their subjects: those that the owner did not answer.
fn in_force(inputs: &Inputs<'_>, about: &BySubject) -> BTreeMap<StatementId, PublicKey> {
    let each = about.iter().flat_map(|(subject, ids)| ids.iter().map(|id| (*id, *subject)));
    each.filter(|(id, _)| !inputs.local.answers.contains(id)).collect()
}

/// The first second at which a snapshot of the universe stops counting.
fn next_expiry(inputs: &Inputs<'_>, universe: &Field, now: u64) -> Option<u64> {
    let nodes = universe.numbers().filter_map(|at| inputs.set.graph().node_at(at));
    nodes.map(|node| node.not_after).filter(|not_after| *not_after >= now).min()?.checked_add(1)
}

impl Decision {
    /// What a key may do; nothing for a stranger.
    #[must_use]
    pub fn rights(&self, key: &PublicKey) -> Rights {
        self.rights.get(key).copied().unwrap_or(Rights::NONE)
    }

    /// Every trusted key with its rights, in order of keys.
    pub fn trusted(&self) -> impl Iterator<Item = (PublicKey, Rights)> {
        self.rights.iter().map(|(key, rights)| (*key, *rights))
    }

    /// Whether a key is reached at all, denied or not: its snapshot is stored, its revocations matter.
    #[must_use]
    pub fn in_universe(&self, key: &PublicKey) -> bool {
        self.universe.contains_key(key)
    }

    /// Every key reached, with the depth it has left, in order of keys.
    pub fn universe(&self) -> impl Iterator<Item = (PublicKey, u8)> {
        self.universe.iter().map(|(key, left)| (*key, *left))
    }

    /// Whether the denials of a key count here (unless the owner voids them): it is reached and not a leaf.
    #[must_use]
    pub fn may_deny(&self, key: &PublicKey) -> bool {
        self.universe.get(key).is_some_and(|left| *left >= 1)
    }

    /// The unanswered denials about a key; empty where it is not denied.
    #[must_use]
    pub fn denials_of(&self, key: &PublicKey) -> &[StatementId] {
        self.denied.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every denied key with the denials that hold it, in order of keys.
    pub fn denied(&self) -> impl Iterator<Item = (PublicKey, &[StatementId])> {
        self.denied.iter().map(|(key, ids)| (*key, ids.as_slice()))
    }

    /// Denials in force and their subjects, in order of ids.
    pub fn in_force(&self) -> impl Iterator<Item = (StatementId, PublicKey)> {
        self.in_force.iter().map(|(id, subject)| (*id, *subject))
    }

    /// The last hop of the best path to a key for one right ([`PATH_RIGHTS`]).
    #[must_use]
    pub fn hop(&self, right: Rights, key: &PublicKey) -> Option<Hop> {
        let at = PATH_RIGHTS.iter().position(|each| *each == right)?;
        self.hops.get(at)?.get(key).copied()
    }

    /// The unix second from which on less may be trusted, unless something is renewed.
    #[must_use]
    pub const fn next_expiry(&self) -> Option<u64> {
        self.next_expiry
    }

    /// Whether more keys were reached than [`MAX_UNIVERSE`]: the farthest are left out.
    #[must_use]
    pub const fn overflow(&self) -> bool {
        self.overflow
    }
}
