//! Whole nodes without network or disk: their machines under owners who change their minds, lost messages, restarts.

mod world;

use world::World;

/// Schedules a plain `cargo test` tries.
const SCHEDULES: u64 = 60;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("TESTMESH_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("TESTMESH_CASES").unwrap_or(SCHEDULES)).collect(),
    }
}

/// Whatever was lost, repeated or restarted on the way: when the network is whole again, no node trusts a key that it
/// would not trust if it held every statement its circle knows and every revocation, and every node lets in exactly those it trusts.
#[test]
fn at_rest_nobody_is_trusted_too_much() {
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.live();
            world.settle();
            world.check();
        });
        assert!(
            outcome.is_ok(),
            "seed {seed} fails; repeat with TESTMESH_SEED={seed} cargo test --test it trust::"
        );
    }
}

/// A chain A-B-C of approvals makes A and C trust each other by way of B; when A revokes B, it is gone everywhere.
#[test]
fn trust_spreads_along_a_chain_and_a_revocation_takes_it_back() {
    let mut world = World::quiet(3);
    world.approve_both(0, 1);
    world.approve_both(1, 2);
    world.settle();
    assert!(world.trusts(0, 2) && world.trusts(2, 0), "the chain carries trust both ways");
    assert_eq!(world.admitted(0), [1, 2]);
    world.revoke(0, 1);
    world.settle();
    assert!(!world.trusts(0, 1) && !world.trusts(0, 2) && !world.trusts(2, 0), "nothing is left of it");
    assert!(!world.trusts(2, 1), "C has heard of the denial, although it approved B itself");
    assert!(world.admitted(0).is_empty());
}

/// The same without gossip, and with the revoker restarted in between: pulling alone is enough.
#[test]
fn a_revocation_needs_no_gossip_and_survives_a_restart() {
    let mut world = World::quiet(3);
    world.gossip = false;
    world.approve_both(0, 1);
    world.approve_both(1, 2);
    world.approve_both(0, 2);
    world.settle();
    world.revoke(0, 1);
    world.restart(0);
    world.settle();
    assert!(!world.trusts(2, 1) && world.trusts(2, 0));
}
