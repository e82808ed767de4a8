//! Every mistake is noticed by its property: a test of the tests.
//!
//! Each mutant meets a world made for it, where the outcome does not hang on luck, and random worlds from one fixed
//! seed. The same worlds must pass without the mistake, in the model and in the crate.

use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};

use crate::agreement::{Crate, Model};
use crate::model::{Denial, Doc, Mutant, Node, Owner, Said, Vouch};
use crate::properties::{Engine, named};
use crate::worlds::{Case, case};

/// Random worlds each mutant meets at most.
const WORLDS: usize = 4000;

/// What one node says of others: rights, depth, answers.
fn doc(issuer: Node, version: u64, not_after: u64, about: &[(Node, &[Denial])]) -> Said {
    let vouch =
        |answers: &[Denial]| Vouch { rights: 3, depth: 3, answers: answers.iter().copied().collect() };
    let entries: BTreeMap<Node, Vouch> =
        about.iter().map(|(node, answers)| (*node, vouch(answers))).collect();
    Said::Doc(Doc { issuer, version, not_after, entries })
}

fn denial(issuer: Node, subject: Node) -> Denial {
    Denial { issuer, subject, nonce: 0 }
}

fn world(roots: &[Node], said: Vec<Said>) -> Case {
    let roots = roots.iter().map(|node| (*node, (3, 3))).collect();
    let owner = Owner { me: 0, roots, block: BTreeSet::new(), ..Owner::default() };
    let reordered = said.iter().rev().cloned().collect();
    Case { owner, said, now: 1, later: 20, reordered, one: 1, two: 2, pick: 0 }
}

/// The mutant, the property that notices it, and a world where it must.
fn directed() -> Vec<(Mutant, &'static str, Case)> {
    let against_three = denial(1, 3);
    let said_by_one =
        vec![doc(1, 1, 20, &[(2, &[]), (3, &[])]), doc(2, 1, 20, &[(3, &[])]), Said::Deny(against_three)];
    let through_two = |not_after: u64| {
        // Root 1 reaches 2 by a lease that may end, 2 denies 3, which root 4 vouches for.
        vec![doc(1, 1, not_after, &[(2, &[])]), doc(4, 1, 50, &[(3, &[])]), Said::Deny(denial(2, 3))]
    };
    vec![
        (Mutant::DeniedIssuersLoseTheirSay, "P15", world(&[1, 2], vec![])),
        (
            Mutant::AnyMemberMayAnswer,
            "P12",
            // 2 is no root, is reached, vouches for 3, and may not answer what 1 said about it.
            Case { one: 2, two: 3, ..world(&[1], said_by_one) },
        ),
        (Mutant::UniverseHonoursExpiry, "P10", world(&[1, 4], through_two(5))),
        (
            Mutant::RetiredKeysLosePastDenials,
            "P4",
            Case { one: 2, two: 1, ..world(&[1, 4], through_two(20)) },
        ),
        (Mutant::NoAdoption, "P14", world(&[2, 4], through_two(20))),
        (
            Mutant::LastWriterWins,
            "P1",
            world(&[1], vec![doc(1, 1, 20, &[(2, &[])]), doc(1, 1, 20, &[(3, &[])])]),
        ),
        (Mutant::LocalApprovalBeatsDenial, "P15", world(&[1, 2], vec![])),
        (Mutant::DepthIgnored, "P9", world(&[1], vec![doc(1, 1, 20, &[(2, &[])])])),
        (
            Mutant::DeniedKeysStayHops,
            "P7",
            world(
                &[1, 4],
                vec![doc(1, 1, 20, &[(2, &[])]), doc(2, 1, 20, &[(3, &[])]), Said::Deny(denial(4, 2))],
            ),
        ),
    ]
}

#[test]
fn every_mutant_is_noticed_in_a_world_made_for_it() {
    for (mutant, name, case) in directed() {
        let (_, property) = named(name);
        let engines: [&dyn Engine; 2] = [&Model(None), &Crate];
        for engine in engines {
            assert_eq!(property(engine, &case), Ok(()), "{name} fails without {mutant:?}");
        }
        assert!(property(&Model(Some(mutant)), &case).is_err(), "{name} does not notice {mutant:?}");
    }
}

#[test]
fn every_mutant_is_noticed_in_random_worlds() {
    for (mutant, name, _) in directed() {
        let (_, property) = named(name);
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let strategy = case();
        let noticed = (0..WORLDS).find(|_| {
            let case = strategy.new_tree(&mut runner).expect("a world").current();
            property(&Model(Some(mutant)), &case).is_err()
        });
        assert!(noticed.is_some(), "{name} does not notice {mutant:?} in {WORLDS} worlds");
    }
}
