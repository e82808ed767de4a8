//! Random worlds in which much goes wrong.

use std::time::Duration;

use testmesh::schedule::dispatch::{Config, Estimate};

use super::{Client, Fault, Net, Random, Test, World};

/// No world may take longer, in virtual time: the work is minutes, the longest waits are the test limit and patience.
const LONGEST: Duration = Duration::from_secs(3600);

/// What came of a world.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) world: World,
}

/// Makes the world of a seed, runs it to its end, and panics if anything that must hold does not.
pub(crate) fn chaos(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut world = World::new(seed, net(&mut random));
    let nodes = 1 + random.below(6) as usize;
    (0..nodes).for_each(|_| {
        world.add_node(1 + random.below(4) as u32);
    });
    for number in 0..1 + random.below(3) as usize {
        let config = Config { heavy_limit: 1, ..Config::default() };
        let mut client = Client::new(Some(number.min(nodes - 1)), config);
        let tests = 1 + random.below(120);
        (0..tests).for_each(|_| client.submit_test(test(&mut random), Duration::ZERO));
        world.add_client(client);
    }
    if random.chance(0.8) {
        befall(&mut random, &mut world, nodes);
    }
    (0..world.clients.len()).for_each(|client| world.begin(client));
    world.run(LONGEST);
    let end = world.now + LONGEST;
    world.drain(end);
    check(&world);
    Outcome { world }
}

fn net(random: &mut Random) -> Net {
    let millis = Duration::from_millis;
    let bad = random.chance(0.6);
    Net {
        latency: random.between(Duration::from_micros(100), millis(if bad { 80 } else { 2 })),
        jitter: if bad { random.between(Duration::ZERO, millis(150)) } else { Duration::ZERO },
        loss: if bad { random.unit() * 0.3 } else { 0.0 },
        repeat: if bad { random.unit() * 0.2 } else { 0.0 },
    }
}

fn test(random: &mut Random) -> Test {
    let duration = random.lognormal(Duration::from_millis(200), 1.5, Duration::from_secs(20));
    let estimate = match random.below(4) {
        0 => Estimate::Unknown,
        1 if duration > Duration::from_secs(2) => Estimate::Slow,
        2 => Estimate::Known(duration.mul_f64(0.2 + random.unit() * 3.0)),
        _ => Estimate::Known(duration),
    };
    Test {
        local_only: random.chance(0.03),
        heavy: random.chance(0.05),
        doubtful: random.chance(0.05),
        poison: random.chance(0.005),
        ..Test::new(duration, estimate)
    }
}

/// Node 0 is the first client's own; of what befalls machines it knows kills only.
fn befall(random: &mut Random, world: &mut World, nodes: usize) {
    let homes = nodes.min(world.clients.len());
    let mut deaths_at_home = 0;
    for _ in 0..1 + random.below(8) {
        let at = random.between(Duration::ZERO, Duration::from_secs(20));
        let later = at + random.between(Duration::from_millis(100), Duration::from_secs(30));
        let node = random.below(nodes as u64) as usize;
        let home = node < homes;
        let what = random.below(10);
        // A test that was running on this machine at three deaths of its node is given up.
        deaths_at_home += u32::from(home && what < 2);
        if home && what < 2 && deaths_at_home > 2 {
            continue;
        }
        let (first, second) = match what {
            0 | 1 => (Fault::Kill(node), Some(Fault::Restart(node))),
            2 => (Fault::Slow(node, 10.0), Some(Fault::Slow(node, 1.0))),
            3 => (Fault::Pause(node), Some(Fault::Resume(node))),
            _ if home => continue,
            4 => (Fault::Freeze(node), Some(Fault::Thaw(node))),
            5 => (Fault::Cut(node), Some(Fault::Heal(node))),
            6 => (Fault::Vanish(node), Some(Fault::Join(node))),
            7 => (Fault::Break(node), None),
            8 => (Fault::Deny(node), None),
            _ => (Fault::Revoke(node), None),
        };
        world.fault(at, first);
        if let Some(second) = second.filter(|_| random.chance(0.7)) {
            world.fault(later, second);
        }
    }
}

fn check(world: &World) {
    for client in &world.clients {
        assert!(client.delivered.iter().all(|times| *times == 1), "a task without its one answer");
        assert!(client.dispatch.is_idle());
        let totals = client.dispatch.totals();
        assert_eq!(totals.submitted, totals.delivered);
        assert_eq!(client.infra, [] as [String; 0], "this machine was there all the time");
        let (extra, most) = (totals.extra - totals.unproven, 4 + totals.submitted / 40);
        assert!(extra <= most, "{extra} extra executions of {}", totals.submitted);
    }
}
