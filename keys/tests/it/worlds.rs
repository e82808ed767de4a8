//! Random worlds: six nodes, snapshots in several versions and conflicts, denials, retirements, local decisions.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::model::{Denial, Doc, Node, Owner, Said, Vouch};
use crate::support::NODES;

/// A world, the moment it is looked at, and what a property may add to it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) owner: Owner,
    pub(crate) said: Vec<Said>,
    pub(crate) now: u64,
    /// Seconds that pass.
    pub(crate) later: u64,
    /// The same statements in another order, some of them twice.
    pub(crate) reordered: Vec<Said>,
    /// Somebody, and somebody else.
    pub(crate) one: Node,
    pub(crate) two: Node,
    /// For choices among what a world happens to hold.
    pub(crate) pick: usize,
}

fn denials() -> impl Strategy<Value = Vec<Denial>> {
    let denial =
        (0..NODES, 0..NODES, 0..2u8).prop_map(|(issuer, subject, nonce)| Denial { issuer, subject, nonce });
    vec(denial, 0..=4)
        .prop_map(|all| all.into_iter().filter(|denial| denial.issuer != denial.subject).collect())
}

/// Which of the denials about a subject are answered, by a bit each.
fn answered(denials: &[Denial], subject: Node, mask: u8) -> BTreeSet<Denial> {
    let chosen = |(at, _): &(usize, &Denial)| mask >> at & 1 == 1;
    let all = denials.iter().enumerate().filter(chosen).map(|(_, denial)| *denial);
    all.filter(|denial| denial.subject == subject).collect()
}

prop_compose! {
    fn vouch()(
        there in prop::bool::weighted(0.35),
        rights in select(vec![1u8, 2, 3, 3, 3, 0]),
        depth in select(vec![0u8, 1, 2, 9]),
        mask in (any::<u8>(), any::<u8>()).prop_map(|(a, b)| a & b | a & 1),
    ) -> Option<(u8, u8, u8)> {
        there.then_some((rights, depth, mask))
    }
}

prop_compose! {
    fn doc(issuer: Node, version: u64, denials: Vec<Denial>)(
        not_after in select(vec![5u64, 10, 20]),
        vouches in vec(vouch(), NODES),
        conflict in prop::bool::weighted(0.05),
    ) -> Vec<Said> {
        let mut entries = BTreeMap::new();
        for (subject, vouch) in vouches.into_iter().enumerate().filter(|(subject, _)| *subject != issuer) {
            let Some((rights, depth, mask)) = vouch else { continue };
            let answers = answered(&denials, subject, mask);
            entries.insert(subject, Vouch { rights, depth, answers });
        }
        let mut said = vec![Said::Doc(Doc { issuer, version, not_after, entries })];
        if conflict {
            said.push(Said::Doc(Doc { issuer, version, not_after: 7, entries: BTreeMap::new() }));
        }
        said
    }
}

fn docs(denials: Vec<Denial>) -> impl Strategy<Value = Vec<Said>> {
    let of = move |issuer: Node| {
        let denials = denials.clone();
        select(vec![1u64, 2, 2, 3]).prop_flat_map(move |versions| {
            let all: Vec<_> = (1..=versions).map(|version| doc(issuer, version, denials.clone())).collect();
            all.prop_map(|each| each.concat())
        })
    };
    (0..NODES).map(of).collect::<Vec<_>>().prop_map(|each| each.concat())
}

prop_compose! {
    fn root()(
        there in prop::bool::weighted(0.4),
        rights in select(vec![3u8, 3, 1, 2]),
        depth in select(vec![0u8, 1, 9, 9]),
        block in prop::bool::weighted(0.05),
        void in prop::bool::weighted(0.05),
    ) -> (Option<(u8, u8)>, bool, bool) {
        (there.then_some((rights, depth)), block, void)
    }
}

prop_compose! {
    fn owner(denials: Vec<Denial>)(
        roots in vec(root(), NODES),
        answers in vec(prop::bool::weighted(0.15), denials.len()),
    ) -> Owner {
        let mut owner = Owner::default();
        for (node, (root, block, void)) in roots.into_iter().enumerate().skip(1) {
            owner.roots.extend(root.map(|root| (node, root)));
            owner.block.extend(block.then_some(node));
            owner.void.extend(void.then_some(node));
        }
        owner.answers = denials.iter().zip(answers).filter(|(_, yes)| *yes).map(|(denial, _)| *denial).collect();
        owner
    }
}

fn said(denials: Vec<Denial>) -> impl Strategy<Value = Vec<Said>> {
    let retired = prop::option::weighted(0.25, 0..NODES);
    let denied: Vec<Said> = denials.iter().copied().map(Said::Deny).collect();
    (docs(denials), retired).prop_map(move |(mut said, retired)| {
        said.extend(denied.iter().cloned());
        said.extend(retired.map(Said::Retire));
        said
    })
}

/// Any world.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let world = denials().prop_flat_map(|denials| (owner(denials.clone()), said(denials)));
    let with_order = world.prop_flat_map(|(owner, said)| {
        let len = said.len();
        let again = subsequence(said.clone(), len.min(5));
        (Just(owner), Just(said.clone()), Just(said).prop_shuffle(), again)
    });
    let times = (select(vec![1u64, 6, 12]), select(vec![1u64, 5, 20]));
    let choices = (1..NODES, 1..NODES, 0..1000usize).prop_filter("two nodes", |(one, two, _)| one != two);
    (with_order, times, choices).prop_map(
        |((owner, said, mut reordered, again), (now, later), (one, two, pick))| {
            reordered.extend(again);
            let two = denied_subject(&said, pick)
                .filter(|subject| *subject != one && *subject != owner.me)
                .unwrap_or(two);
            Case { owner, said, now, later, reordered, one, two, pick }
        },
    )
}

/// Every second world looks at somebody who is denied: there the rules are at odds with each other.
fn denied_subject(said: &[Said], pick: usize) -> Option<Node> {
    let denied = said.iter().rev().find_map(|said| match said {
        Said::Deny(denial) => Some(denial.subject),
        Said::Doc(_) | Said::Retire(_) => None,
    });
    denied.filter(|_| pick.is_multiple_of(2))
}
