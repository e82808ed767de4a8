//! What must hold of any implementation of the rules (security rules §2.11), the crate's and the model's.
//!
//! Each property takes an engine and a case and says what is wrong, if anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{BITS, Denial, Doc, MAX_DEPTH, Merged, Node, Outcome, Owner, Said, Vouch};
use crate::worlds::Case;

/// An implementation of the rules.
pub(crate) trait Engine {
    /// Decides.
    fn decide(&self, owner: &Owner, said: &[Said], now: u64) -> Outcome;
    /// The merged set, in some form that is equal for equal sets.
    fn merged(&self, said: &[Said]) -> Vec<u8>;
}

/// What is wrong.
pub(crate) type Verdict = Result<(), String>;
/// A named property.
pub(crate) type Property = (&'static str, fn(&dyn Engine, &Case) -> Verdict);

/// All of them.
pub(crate) const ALL: [Property; 17] = [
    ("P1", merge_is_order_and_duplicate_free),
    ("P2", decision_depends_on_the_set),
    ("P3", a_denial_never_adds_trust),
    ("P4", a_retirement_never_adds_trust),
    ("P5", strangers_change_nothing),
    ("P6", dead_keys_are_never_trusted),
    ("P7", every_hop_is_live_and_trusted),
    ("P8", every_hop_has_a_current_entry_with_the_right),
    ("P9", depth_shrinks_at_every_hop),
    ("P10", time_only_removes),
    ("P11", replaying_an_old_version_changes_nothing),
    ("P12", only_the_owner_or_a_live_root_answers),
    ("P13", without_denials_a_vouch_never_removes),
    ("P14", an_adopted_denial_outlives_its_author),
    ("P15", mutual_denial_removes_both),
    ("P22", a_path_iff_trusted),
    ("P25", being_trusted_says_nothing),
];

/// The property of a name.
pub(crate) fn named(name: &str) -> Property {
    *ALL.iter().find(|(each, _)| *each == name).expect("a property")
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// Whether everything in `less` is in `more`.
fn within(less: &BTreeMap<Node, u8>, more: &BTreeMap<Node, u8>) -> bool {
    less.iter().all(|(node, rights)| more.get(node).copied().unwrap_or(0) & rights == *rights)
}

fn no_more(engine: &dyn Engine, case: &Case, extra: Said, now: u64) -> Verdict {
    let before = engine.decide(&case.owner, &case.said, case.now).trusted;
    let after = engine.decide(&case.owner, &with(&case.said, [extra.clone()]), now).trusted;
    ensure(within(&after, &before), || format!("{extra:?} made {before:?} into {after:?}"))
}

fn with(said: &[Said], extra: impl IntoIterator<Item = Said>) -> Vec<Said> {
    said.iter().cloned().chain(extra).collect()
}

fn merge_is_order_and_duplicate_free(engine: &dyn Engine, case: &Case) -> Verdict {
    ensure(engine.merged(&case.said) == engine.merged(&case.reordered), || "another set".to_owned())
}

fn decision_depends_on_the_set(engine: &dyn Engine, case: &Case) -> Verdict {
    let one = engine.decide(&case.owner, &case.said, case.now);
    let two = engine.decide(&case.owner, &case.reordered, case.now);
    ensure(one.trusted == two.trusted && one.dead == two.dead, || format!("{one:?} and {two:?}"))
}

fn a_denial_never_adds_trust(engine: &dyn Engine, case: &Case) -> Verdict {
    no_more(engine, case, Said::Deny(Denial { issuer: case.one, subject: case.two, nonce: 7 }), case.now)
}

fn a_retirement_never_adds_trust(engine: &dyn Engine, case: &Case) -> Verdict {
    no_more(engine, case, Said::Retire(case.one), case.now)
}

fn strangers_change_nothing(engine: &dyn Engine, case: &Case) -> Verdict {
    let all = engine.decide(&case.owner, &case.said, case.now);
    let reached = |said: &&Said| all.universe.contains_key(&said.issuer());
    let inside: Vec<Said> = case.said.iter().filter(reached).cloned().collect();
    let fewer = engine.decide(&case.owner, &inside, case.now);
    ensure(fewer.trusted == all.trusted, || {
        format!("{:?} without strangers {:?}", all.trusted, fewer.trusted)
    })
}

fn dead_keys_are_never_trusted(engine: &dyn Engine, case: &Case) -> Verdict {
    let outcome = engine.decide(&case.owner, &case.said, case.now);
    let both: Vec<&Node> = outcome.dead.iter().filter(|node| outcome.trusted.contains_key(node)).collect();
    ensure(both.is_empty(), || format!("{both:?} are dead and trusted"))
}

/// From a key back to its root; `None` where it does not end.
fn path(outcome: &Outcome, right: usize, key: Node) -> Option<Vec<Node>> {
    let mut path = vec![key];
    let mut at = key;
    for _ in 0..20 {
        match outcome.paths[right].get(&at)?.1 {
            None => return Some(path),
            Some(from) => at = from,
        }
        path.push(at);
    }
    None
}

/// Every trusted key with its path, for both rights.
fn each_path(outcome: &Outcome) -> impl Iterator<Item = (usize, Node, Option<Vec<Node>>)> {
    let rights = BITS.into_iter().enumerate();
    rights.flat_map(move |(right, bit)| {
        let trusted = outcome.trusted.iter().filter(move |(_, rights)| *rights & bit != 0);
        trusted.map(move |(node, _)| (right, *node, path(outcome, right, *node)))
    })
}

fn every_hop_is_live_and_trusted(engine: &dyn Engine, case: &Case) -> Verdict {
    let outcome = engine.decide(&case.owner, &case.said, case.now);
    for (right, node, path) in each_path(&outcome) {
        for hop in path.unwrap_or_default() {
            let rights = outcome.trusted.get(&hop).copied().unwrap_or(0);
            let live = !outcome.dead.contains(&hop) && rights & BITS[right] != 0;
            ensure(live, || format!("{node} is reached through {hop}, which is not trusted"))?;
        }
    }
    Ok(())
}

fn every_hop_has_a_current_entry_with_the_right(engine: &dyn Engine, case: &Case) -> Verdict {
    let outcome = engine.decide(&case.owner, &case.said, case.now);
    let merged = Merged::of(&case.said, None);
    for (right, node, path) in each_path(&outcome) {
        let path = path.unwrap_or_default();
        let root = path.last().and_then(|root| case.owner.roots.get(root));
        ensure(root.is_some_and(|(rights, _)| rights & BITS[right] != 0), || format!("{node}: no root"))?;
        for hop in path.windows(2) {
            let doc = merged.doc(hop[1]).filter(|doc| doc.not_after >= case.now);
            let entry = doc.and_then(|doc| doc.entries.get(&hop[0]));
            ensure(entry.is_some_and(|entry| entry.rights & BITS[right] != 0), || {
                format!("{node}: {hop:?}")
            })?;
        }
    }
    Ok(())
}

fn depth_shrinks_at_every_hop(engine: &dyn Engine, case: &Case) -> Verdict {
    let outcome = engine.decide(&case.owner, &case.said, case.now);
    let merged = Merged::of(&case.said, None);
    for (right, node, path) in each_path(&outcome) {
        let path = path.ok_or_else(|| format!("the path of {node} has no end"))?;
        let left = |node: &Node| outcome.paths[right].get(node).map_or(-1, |(left, _)| *left);
        ensure(path.len() <= 5, || format!("{node} is {} steps away", path.len()))?;
        for hop in path.windows(2) {
            let entry = merged.doc(hop[1]).and_then(|doc| doc.entries.get(&hop[0]));
            let most = entry.map_or(-1, |entry| i32::from(entry.depth).min(left(&hop[1]) - 1));
            ensure(left(&hop[0]) <= most, || format!("{node}: {hop:?} keeps its depth"))?;
        }
        let root = path.last().expect("a path has a root");
        let granted = case.owner.roots.get(root).map_or(-1, |(_, depth)| i32::from(*depth).min(MAX_DEPTH));
        ensure(left(root) <= granted, || format!("root {root} has more depth than it was given"))?;
    }
    Ok(())
}

fn time_only_removes(engine: &dyn Engine, case: &Case) -> Verdict {
    let before = engine.decide(&case.owner, &case.said, case.now).trusted;
    let after = engine.decide(&case.owner, &case.said, case.now + case.later).trusted;
    ensure(within(&after, &before), || format!("time made {before:?} into {after:?}"))
}

fn replaying_an_old_version_changes_nothing(engine: &dyn Engine, case: &Case) -> Verdict {
    let newest =
        |issuer: Node| Merged::of(&case.said, None).docs.get(&issuer).map_or(0, |(version, _)| *version);
    let old = |said: &&Said| matches!(said, Said::Doc(doc) if doc.version < newest(doc.issuer));
    let replayed: Vec<Said> = case.said.iter().filter(old).cloned().collect();
    ensure(engine.merged(&with(&case.said, replayed)) == engine.merged(&case.said), || {
        "another set".to_owned()
    })
}

fn only_the_owner_or_a_live_root_answers(engine: &dyn Engine, case: &Case) -> Verdict {
    let (attacker, subject) = (case.one, case.two);
    let merged = Merged::of(&case.said, None);
    let Some(doc) = merged.doc(attacker) else { return Ok(()) };
    let Some(entry) = doc.entries.get(&subject) else { return Ok(()) };
    if case.owner.roots.contains_key(&attacker) {
        return Ok(());
    }
    let answers = merged.denials.iter().filter(|denial| denial.subject == subject).copied().collect();
    let mut forged = Doc { version: doc.version + 1, ..doc.clone() };
    forged.entries.insert(subject, Vouch { answers, ..entry.clone() });
    no_more(engine, case, Said::Doc(forged), case.now)
}

fn without_denials_a_vouch_never_removes(engine: &dyn Engine, case: &Case) -> Verdict {
    let docs: Vec<Said> = case.said.iter().filter(|said| matches!(said, Said::Doc(_))).cloned().collect();
    let owner = Owner { answers: BTreeSet::new(), void: BTreeSet::new(), ..case.owner.clone() };
    let merged = Merged::of(&docs, None);
    let Some(doc) = merged.doc(case.one).filter(|doc| doc.not_after >= case.now) else { return Ok(()) };
    let mut wider = Doc { version: doc.version + 1, ..doc.clone() };
    let none = Vouch { rights: 0, depth: 0, answers: BTreeSet::new() };
    let entry = wider.entries.entry(case.two).or_insert(none);
    entry.rights = 3;
    entry.depth = entry.depth.max(3);
    let before = engine.decide(&owner, &docs, case.now).trusted;
    let after = engine.decide(&owner, &with(&docs, [Said::Doc(wider)]), case.now).trusted;
    ensure(within(&before, &after), || format!("a vouch made {before:?} into {after:?}"))
}

fn an_adopted_denial_outlives_its_author(engine: &dyn Engine, case: &Case) -> Verdict {
    let outcome = engine.decide(&case.owner, &case.said, case.now);
    let in_force: Vec<Denial> = outcome.in_force.iter().copied().collect();
    let Some(denial) = in_force.get(case.pick % in_force.len().max(1)) else { return Ok(()) };
    let mut owner = Owner { adopted: outcome.in_force.clone(), ..case.owner.clone() };
    owner.roots.remove(&denial.issuer);
    let merged = Merged::of(&case.said, None);
    let without_author = merged.docs.iter().map(|(issuer, (version, doc))| {
        let mut entries = doc.clone().map(|doc| doc.entries).unwrap_or_default();
        entries.remove(&denial.issuer);
        Said::Doc(Doc { issuer: *issuer, version: version + 1, not_after: 20, entries })
    });
    let after = engine.decide(&owner, &with(&case.said, without_author), case.now);
    let answered = after.answered.contains(denial) && !owner.roots.contains_key(&denial.subject);
    let trusted = after.trusted.contains_key(&denial.subject);
    ensure(answered || !trusted, || format!("{denial:?} was undone by the withdrawal of its author"))
}

fn mutual_denial_removes_both(engine: &dyn Engine, case: &Case) -> Verdict {
    let (one, two) = (case.one, case.two);
    let outcome = engine.decide(&case.owner, &case.said, case.now);
    let speaks = |node: &Node| {
        outcome.universe.get(node).is_some_and(|left| *left >= 1) && !case.owner.void.contains(node)
    };
    if !speaks(&one) || !speaks(&two) {
        return Ok(());
    }
    let duel = [
        Said::Deny(Denial { issuer: one, subject: two, nonce: 9 }),
        Said::Deny(Denial { issuer: two, subject: one, nonce: 9 }),
    ];
    for order in [duel.clone(), [duel[1].clone(), duel[0].clone()]] {
        let after = engine.decide(&case.owner, &with(&case.said, order), case.now).trusted;
        let left: Vec<&Node> = [&one, &two].into_iter().filter(|node| after.contains_key(node)).collect();
        ensure(left.is_empty(), || format!("{left:?} survived the duel of {one} and {two}"))?;
    }
    Ok(())
}

fn a_path_iff_trusted(engine: &dyn Engine, case: &Case) -> Verdict {
    let outcome = engine.decide(&case.owner, &case.said, case.now);
    for (right, bit) in BITS.into_iter().enumerate() {
        for node in 0..crate::support::NODES {
            let trusted = outcome.trusted.get(&node).copied().unwrap_or(0) & bit != 0;
            let reached = path(&outcome, right, node).is_some();
            ensure(trusted == reached, || format!("{node}: trusted {trusted}, a path {reached}"))?;
        }
    }
    Ok(())
}

fn being_trusted_says_nothing(engine: &dyn Engine, case: &Case) -> Verdict {
    let all = Vouch { rights: 3, depth: 4, answers: BTreeSet::new() };
    let vouching = case.said.iter().cloned().map(|said| match said {
        Said::Doc(mut doc) if doc.issuer != case.owner.me => {
            doc.entries.insert(case.owner.me, all.clone());
            Said::Doc(doc)
        }
        other => other,
    });
    let silent = case.said.iter().cloned().map(|said| match said {
        Said::Doc(mut doc) => {
            doc.entries.remove(&case.owner.me);
            Said::Doc(doc)
        }
        other => other,
    });
    let one = engine.decide(&case.owner, &vouching.collect::<Vec<_>>(), case.now).trusted;
    let two = engine.decide(&case.owner, &silent.collect::<Vec<_>>(), case.now).trusted;
    ensure(one == two, || format!("{two:?} became {one:?} because others trust this node"))
}
