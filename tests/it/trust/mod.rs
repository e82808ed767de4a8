//! Whole nodes without network or disk: their machines under owners who change their minds, lost messages, restarts,
//! restored backups, full disks, wrong clocks, liars by omission and machines that come late.

mod check;
mod full;
mod life;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Schedules a plain `cargo test` tries.
const SCHEDULES: u64 = 200;

/// The seeds to try: one, or so many from the first on; `TESTMESH_CASES_TRUST` counts before `TESTMESH_CASES`.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("TESTMESH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TESTMESH_CASES_TRUST").or_else(|| number("TESTMESH_CASES")).unwrap_or(SCHEDULES),
    }
}

/// One schedule from its first to its last turn.
fn schedule(seed: u64) {
    let mut world = World::new(seed);
    world.live();
    world.settle();
    world.check();
}

/// Whatever was lost, repeated, restored or restarted on the way: when the network is whole again, nodes come to rest,
/// every node holds every statement that can reach it, trusts exactly whom those statements lead to, loses nothing in a
/// restart, and lets in exactly those it trusts.
#[test]
fn at_rest_nobody_is_trusted_too_much() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let failed = std::sync::Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if std::panic::catch_unwind(|| schedule(seed)).is_err() {
                eprintln!("repeat with: TESTMESH_SEED={seed} cargo test --test it trust::at_rest");
                failed.lock().unwrap().push(seed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} fail; each said above how to repeat it");
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
    world.habits.gossip = false;
    world.approve_both(0, 1);
    world.approve_both(1, 2);
    world.approve_both(0, 2);
    world.settle();
    world.revoke(0, 1);
    world.restart(0);
    world.settle();
    assert!(!world.trusts(2, 1) && world.trusts(2, 0));
}

/// A node that is put back to before it revoked somebody learns of it from those who heard.
#[test]
fn a_restored_backup_brings_no_trust_back() {
    let mut world = World::quiet(3);
    world.approve_both(0, 1);
    world.approve_both(0, 2);
    world.settle();
    world.back_up(0);
    world.revoke(0, 1);
    world.settle();
    world.roll_back(0);
    assert!(world.trusts(0, 1), "the backup knows nothing of it");
    world.settle();
    assert!(!world.trusts(0, 1) && world.trusts(0, 2));
    world.check();
}

/// What was only forgotten stays so, too: the newer snapshot of the node itself comes back from its peers.
#[test]
fn a_restored_backup_does_not_approve_whom_its_owner_forgot() {
    let mut world = World::quiet(3);
    world.approve_both(0, 1);
    world.approve_both(0, 2);
    world.settle();
    world.back_up(0);
    world.forget(0, 1);
    world.settle();
    world.roll_back(0);
    world.settle();
    assert!(!world.trusts(0, 1) && world.trusts(0, 2));
    world.check();
}

/// A machine that was blocked stays out after a restart.
#[test]
fn a_block_outlives_the_process() {
    let mut world = World::quiet(2);
    world.approve_both(0, 1);
    world.settle();
    world.block(0, 1);
    world.settle();
    world.restart(0);
    assert!(world.blocked(0, 1), "blocked from the first turn on");
    world.settle();
    world.check();
    assert!(!world.trusts(0, 1) && world.trusts(1, 0));
}

/// One relay that keeps a denial to itself stops nothing where there is another way.
#[test]
fn a_selective_dropper_is_routed_around() {
    let mut world = World::quiet(4);
    for (one, other) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
        world.approve_both(one, other);
    }
    world.allow_only(&[(0, 1), (1, 2), (2, 3), (3, 0)]);
    world.drops(1, 0);
    world.settle();
    world.revoke(0, 2);
    world.settle();
    assert!(!world.trusts(3, 2), "told by 0 itself");
    assert!(!world.trusts(1, 2), "the dropper hides what it knows, and knows it");
    world.check();
}
