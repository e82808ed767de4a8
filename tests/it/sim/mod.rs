//! The dispatcher and the slots together, in a simulated world.

mod engine;

use std::time::Duration;

use engine::{Client, Fault, Net, Random, Test, World, chaos};
use testmesh::schedule::dispatch::{Config, Estimate};

/// Worlds a plain `cargo test` tries.
const WORLDS: u64 = 60;

/// How many worlds: `TESTMESH_CASES_SIM` counts before `TESTMESH_CASES`.
fn cases() -> u64 {
    let number = |name: &str| std::env::var(name).ok().and_then(|cases| cases.parse().ok());
    number("TESTMESH_CASES_SIM").or_else(|| number("TESTMESH_CASES")).unwrap_or(WORLDS)
}

/// Every task gets exactly one answer, no machine runs more than its slots, every run ends: whatever happens. A seed
/// that fails is named; `TESTMESH_SEED=N` repeats it alone.
#[test]
fn no_world_loses_a_test_or_counts_one_twice() {
    let seeds: Vec<u64> = match std::env::var("TESTMESH_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..cases()).collect(),
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| chaos(seed));
        assert!(
            outcome.is_ok(),
            "seed {seed} fails; repeat with TESTMESH_SEED={seed} cargo test --test it sim::"
        );
    }
}

/// The same seed takes the same course.
#[test]
fn a_seed_is_a_course() {
    let course = |seed| {
        let world = chaos(seed).world;
        (world.steps, world.now, world.clients.iter().map(|client| client.done_at).collect::<Vec<Duration>>())
    };
    (0..5).for_each(|seed| assert_eq!(course(seed), course(seed)));
}

const LAN: Net =
    Net { latency: Duration::from_micros(300), jitter: Duration::from_micros(400), loss: 0.0, repeat: 0.0 };
const LONGEST: Duration = Duration::from_secs(3600);

/// Known tests of 50 to 550 ms, from the machine `home` if any.
fn client(seed: u64, tests: usize, home: Option<usize>) -> (Client, Duration) {
    let (mut random, mut work) = (Random::new(seed), Duration::ZERO);
    let mut client = Client::new(home, Config::default());
    for _ in 0..tests {
        let duration = random.between(Duration::from_millis(50), Duration::from_millis(550));
        work += duration;
        client.submit_test(Test::new(duration, Estimate::Known(duration)), Duration::ZERO);
    }
    (client, work)
}

/// In virtual time, so nothing is timed here.
#[test]
fn a_run_takes_hardly_longer_than_it_must() {
    for (faulty, bound) in [(false, 1.03), (true, 1.15)] {
        let mut world = World::new(1, LAN);
        (0..16).for_each(|_| {
            world.add_node(8);
        });
        let (run, work) = client(1, 6000, None);
        let run = world.add_client(run);
        let ideal = work / (16 * 8);
        if faulty {
            world.fault(ideal / 2, Fault::Slow(3, 10.0));
            world.fault(ideal / 2, Fault::Freeze(5));
        }
        world.begin(run);
        world.run(LONGEST);
        let ratio = world.clients[run].done_at.as_secs_f64() / ideal.as_secs_f64();
        let executions: u64 = world.nodes.iter().map(|node| node.executions).sum();
        assert!(ratio <= bound, "{ratio} times the shortest possible");
        assert!(executions <= 6000 + 6000 * 3 / 100, "{executions} executions");
    }
}

/// Two peers with much to do get the same from a third one; its own run gets all while it lasts.
#[test]
fn a_machine_is_shared_by_its_guests_and_served_to_its_owner_first() {
    let mut world = World::new(1, LAN);
    world.add_node(8);
    let (guest, work) = client(1, 400, None);
    let (owner, own_work) = client(2, 400, Some(0));
    let runs = [world.add_client(guest), world.add_client(client(3, 400, None).0), world.add_client(owner)];
    runs.into_iter().for_each(|run| world.begin(run));
    world.run(LONGEST);
    let done = |run: usize| world.clients[runs[run]].done_at.as_secs_f64();
    let alone = own_work.as_secs_f64() / 8.0;
    assert!(done(2) < alone * 1.2, "the owner waited: {} instead of {alone}", done(2));
    assert!((done(0) / done(1) - 1.0).abs() < 0.15, "guests differ: {} and {}", done(0), done(1));
    let all = (2.0 * work.as_secs_f64() + own_work.as_secs_f64()) / 8.0;
    assert!(done(0).max(done(1)) < all * 1.2, "slots stood idle: {} instead of {all}", done(0).max(done(1)));
}
