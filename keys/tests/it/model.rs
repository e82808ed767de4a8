//! The rules of the closure once more, as plainly as they can be written, on numbers instead of keys.
//!
//! Independent of the crate: maps and loops, no numbering, no levels, no caps. With a [`Mutant`] it makes one known
//! mistake, so that the properties themselves are tested.

use std::collections::{BTreeMap, BTreeSet};

/// A node.
pub(crate) type Node = usize;
/// SUBMIT and WORK.
pub(crate) const BITS: [u8; 2] = [1, 2];
/// Hops a root may be given.
pub(crate) const MAX_DEPTH: i32 = 4;

/// A denial: issuer, subject, nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Denial {
    pub(crate) issuer: Node,
    pub(crate) subject: Node,
    pub(crate) nonce: u8,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Doc {
    pub(crate) issuer: Node,
    pub(crate) version: u64,
    pub(crate) not_after: u64,
    pub(crate) entries: BTreeMap<Node, Vouch>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Vouch {
    pub(crate) rights: u8,
    pub(crate) depth: u8,
    pub(crate) answers: BTreeSet<Denial>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Doc(Doc),
    Deny(Denial),
    Retire(Node),
}

impl Said {
    pub(crate) fn issuer(&self) -> Node {
        match self {
            Self::Doc(doc) => doc.issuer,
            Self::Deny(denial) => denial.issuer,
            Self::Retire(node) => *node,
        }
    }
}

/// What the owner of the deciding node gave and decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) me: Node,
    pub(crate) roots: BTreeMap<Node, (u8, u8)>,
    pub(crate) block: BTreeSet<Node>,
    pub(crate) void: BTreeSet<Node>,
    pub(crate) answers: BTreeSet<Denial>,
    pub(crate) adopted: BTreeSet<Denial>,
}

/// A mistake somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    DeniedIssuersLoseTheirSay,
    AnyMemberMayAnswer,
    UniverseHonoursExpiry,
    RetiredKeysLosePastDenials,
    NoAdoption,
    LastWriterWins,
    LocalApprovalBeatsDenial,
    DepthIgnored,
    DeniedKeysStayHops,
}

/// The merged statements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// `None` is a conflict.
    pub(crate) docs: BTreeMap<Node, (u64, Option<Doc>)>,
    pub(crate) denials: BTreeSet<Denial>,
    pub(crate) retired: BTreeSet<Node>,
}

impl Merged {
    pub(crate) fn of(said: &[Said], mutant: Option<Mutant>) -> Self {
        let mut merged = Self::default();
        for each in said {
            match each {
                Said::Doc(doc) => merged.put(doc, mutant),
                Said::Deny(denial) => drop(merged.denials.insert(*denial)),
                Said::Retire(node) => drop(merged.retired.insert(*node)),
            }
        }
        merged
    }

    fn put(&mut self, doc: &Doc, mutant: Option<Mutant>) {
        let new = (doc.version, Some(doc.clone()));
        match self.docs.get(&doc.issuer) {
            Some((version, _)) if *version > doc.version => {}
            Some(held) if held.0 == doc.version && held.1.as_ref() == Some(doc) => {}
            Some((version, _)) if *version == doc.version && mutant != Some(Mutant::LastWriterWins) => {
                self.docs.insert(doc.issuer, (doc.version, None));
            }
            Some(_) | None => drop(self.docs.insert(doc.issuer, new)),
        }
    }

    pub(crate) fn doc(&self, node: Node) -> Option<&Doc> {
        self.docs.get(&node)?.1.as_ref()
    }
}

/// Depth left and last voucher (`None` is the owner) of every key reached.
pub(crate) type Reached = BTreeMap<Node, (i32, Option<Node>)>;

/// What was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) trusted: BTreeMap<Node, u8>,
    pub(crate) universe: BTreeMap<Node, i32>,
    pub(crate) denied: BTreeSet<Node>,
    pub(crate) dead: BTreeSet<Node>,
    pub(crate) in_force: BTreeSet<Denial>,
    pub(crate) answered: BTreeSet<Denial>,
    pub(crate) paths: [Reached; 2],
}

/// What a walk may pass.
struct Walk<'a> {
    owner: &'a Owner,
    merged: &'a Merged,
    dead: &'a BTreeSet<Node>,
    /// Leases count up to this time; `None` ignores them.
    now: Option<u64>,
    /// The right that every hop must keep; `None` ignores rights.
    bit: Option<u8>,
    mutant: Option<Mutant>,
}

impl Walk<'_> {
    fn carries(&self, rights: u8) -> bool {
        self.bit.is_none_or(|bit| rights & bit != 0)
    }

    /// Relaxes until nothing changes.
    fn reach(&self) -> Reached {
        let mut best = Reached::new();
        for (root, (rights, depth)) in &self.owner.roots {
            if *root != self.owner.me && !self.dead.contains(root) && self.carries(*rights) {
                best.insert(*root, (i32::from(*depth).min(MAX_DEPTH), None));
            }
        }
        while self.relax(&mut best) {}
        best
    }

    fn relax(&self, best: &mut Reached) -> bool {
        let mut changed = false;
        for (from, (left, _)) in best.clone() {
            let Some(doc) = self.merged.doc(from) else { continue };
            if left <= 0 || self.now.is_some_and(|now| doc.not_after < now) {
                continue;
            }
            for (to, vouch) in &doc.entries {
                let passed = match self.mutant {
                    Some(Mutant::DepthIgnored) => left,
                    _ => (left - 1).min(i32::from(vouch.depth)),
                };
                let better = best.get(to).is_none_or(|(held, _)| passed > *held);
                let allowed = *to != self.owner.me && !self.dead.contains(to) && self.carries(vouch.rights);
                if better && allowed {
                    best.insert(*to, (passed, Some(from)));
                    changed = true;
                }
            }
        }
        changed
    }
}

/// Decides as the rules say, or with one mistake.
pub(crate) fn evaluate(owner: &Owner, said: &[Said], now: u64, mutant: Option<Mutant>) -> Outcome {
    let merged = Merged::of(said, mutant);
    let nobody = BTreeSet::new();
    let leases = (mutant == Some(Mutant::UniverseHonoursExpiry)).then_some(now);
    let walk = Walk { owner, merged: &merged, dead: &nobody, now: leases, bit: None, mutant };
    let universe: BTreeMap<Node, i32> =
        walk.reach().into_iter().map(|(node, (left, _))| (node, left)).collect();

    let counted = denials_that_count(owner, &merged, &universe, mutant);
    let hard: BTreeSet<Node> = owner.block.union(&merged.retired).copied().collect();
    let beats = mutant == Some(Mutant::LocalApprovalBeatsDenial);
    let denied_roots: BTreeSet<Node> = counted
        .iter()
        .filter(|denial| owner.roots.contains_key(&denial.subject) && !beats)
        .filter(|denial| !owner.answers.contains(denial))
        .map(|denial| denial.subject)
        .collect();
    let answered = answers(owner, &merged, &universe, &denied_roots, &hard, now, mutant);
    let mut denied = denied_roots;
    for denial in &counted {
        if !owner.roots.contains_key(&denial.subject)
            && !owner.answers.contains(denial)
            && !answered.contains(denial)
        {
            denied.insert(denial.subject);
        }
    }
    let dead: BTreeSet<Node> = denied.union(&hard).copied().collect();
    let walls = if mutant == Some(Mutant::DeniedKeysStayHops) { &hard } else { &dead };
    let paths = BITS.map(|bit| {
        Walk { owner, merged: &merged, dead: walls, now: Some(now), bit: Some(bit), mutant }.reach()
    });
    let mut trusted: BTreeMap<Node, u8> = BTreeMap::new();
    for (bit, reached) in BITS.into_iter().zip(&paths) {
        for node in reached.keys().filter(|node| !dead.contains(node)) {
            *trusted.entry(*node).or_default() |= bit;
        }
    }
    let in_force = counted.difference(&owner.answers).copied().collect();
    Outcome { trusted, universe, denied, dead, in_force, answered, paths }
}

fn denials_that_count(
    owner: &Owner,
    merged: &Merged,
    universe: &BTreeMap<Node, i32>,
    mutant: Option<Mutant>,
) -> BTreeSet<Denial> {
    let mut counted = BTreeSet::new();
    for denial in &merged.denials {
        let reached = universe.get(&denial.issuer).is_some_and(|left| *left >= 1);
        let adopted = owner.adopted.contains(denial) && mutant != Some(Mutant::NoAdoption);
        let retired =
            mutant == Some(Mutant::RetiredKeysLosePastDenials) && merged.retired.contains(&denial.issuer);
        let silenced = mutant == Some(Mutant::DeniedIssuersLoseTheirSay)
            && counted.iter().any(|earlier: &Denial| earlier.subject == denial.issuer);
        if (reached && !owner.void.contains(&denial.issuer) && !retired && !silenced) || adopted {
            counted.insert(*denial);
        }
    }
    counted
}

fn answers(
    owner: &Owner,
    merged: &Merged,
    universe: &BTreeMap<Node, i32>,
    denied_roots: &BTreeSet<Node>,
    hard: &BTreeSet<Node>,
    now: u64,
    mutant: Option<Mutant>,
) -> BTreeSet<Denial> {
    let anyone = mutant == Some(Mutant::AnyMemberMayAnswer);
    let speakers: Vec<Node> =
        if anyone { universe.keys().copied().collect() } else { owner.roots.keys().copied().collect() };
    let mut answered = BTreeSet::new();
    for speaker in speakers {
        if denied_roots.contains(&speaker) || hard.contains(&speaker) {
            continue;
        }
        let Some(doc) = merged.doc(speaker).filter(|doc| doc.not_after >= now) else { continue };
        for (subject, vouch) in &doc.entries {
            // An answer counts about the key it stands beside.
            answered.extend(vouch.answers.iter().filter(|denial| denial.subject == *subject));
        }
    }
    answered
}
