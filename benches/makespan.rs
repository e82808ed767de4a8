//! How well runs are spread: `cargo bench --bench makespan -- [spread | scale | chaos SEEDS] [--json FILE]`; all
//! but chaos without words.
//!
//! Real dispatchers and real slots in a simulated world with virtual time (tests/it/sim/engine). `spread` replays
//! duration traces on 16 machines with 8 slots each and compares the time a run takes with the shortest possible,
//! max(longest test, work / slots). `scale` measures messages, bytes and the dispatcher's own time on large meshes.
//! `chaos` runs the random worlds of the tests, many more of them. Nothing is asserted on time; prints Markdown.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../tests/it/sim/engine/mod.rs"]
mod engine;
#[path = "common/figures.rs"]
mod figures;

use std::time::Duration;

use engine::{Client, Fault, HERE, Net, Random, Test, World, chaos, worker};
use figures::Figures;
use serde_json::{Value, json};
use testmesh::schedule::dispatch::{Config, Estimate};

const NODES: usize = 16;
const SLOTS: u32 = 8;
/// A LAN.
const NET: Net =
    Net { latency: Duration::from_micros(300), jitter: Duration::from_micros(400), loss: 0.0, repeat: 0.0 };
/// No run takes longer, in virtual time.
const LONGEST: Duration = Duration::from_secs(100_000);
/// Durations of earlier runs are off by about this factor, up or down.
const NOISE: f64 = 0.1;
/// Worlds a figure is the median of.
const ROUNDS: u64 = 5;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let figures = Figures::take(&mut words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["spread"] => spread(&figures),
        ["scale"] => scale(&figures),
        ["chaos", seeds] => many_worlds(seeds.parse().unwrap_or(1000)),
        _ => {
            spread(&figures);
            scale(&figures);
        }
    }
}

#[derive(Clone, Copy)]
enum Trace {
    Uniform,
    Lognormal,
    Mjsunit,
}

impl Trace {
    fn name(self) -> &'static str {
        match self {
            Trace::Uniform => "uniform 50-550 ms",
            Trace::Lognormal => "lognormal, median 150 ms, up to 60 s",
            Trace::Mjsunit => "mjsunit-like, poles up to 60 s",
        }
    }

    /// Durations, and whether the test is marked SLOW.
    fn tests(self, random: &mut Random) -> Vec<(Duration, bool)> {
        let (millis, secs) = (Duration::from_millis, Duration::from_secs);
        let count = match self {
            Trace::Uniform => 20_000,
            Trace::Lognormal => 60_000,
            Trace::Mjsunit => 100_000,
        };
        let one = |index: usize| match self {
            Trace::Uniform => (random.between(millis(50), millis(550)), false),
            Trace::Lognormal => (random.lognormal(millis(150), 1.2, secs(60)), false),
            Trace::Mjsunit if index % 500 == 7 => (random.between(secs(15), secs(60)), true),
            Trace::Mjsunit => (random.lognormal(millis(80), 1.0, secs(15)), false),
        };
        (0..count).map(one).collect()
    }
}

/// What one run came to.
struct Outcome {
    ratio: f64,
    extra: f64,
    messages: f64,
}

fn spread(figures: &Figures) {
    println!("| trace | durations | machines | time / ideal | extra executions | messages a test |");
    println!("|---|---|---|---|---|---|");
    for trace in [Trace::Uniform, Trace::Lognormal, Trace::Mjsunit] {
        for known in [true, false] {
            for faulty in [false, true] {
                let mut all: Vec<Outcome> =
                    (0..ROUNDS).map(|seed| replay(trace, known, faulty, seed)).collect();
                all.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
                let Outcome { ratio, messages, .. } = all[all.len() / 2];
                let worst = all.last().map_or(0.0, |outcome| outcome.ratio);
                let extra = all.iter().map(|outcome| outcome.extra).fold(0.0, f64::max);
                let durations = if known { "known" } else { "first run" };
                let machines = if faulty { "one 10x slower, one frozen at half time" } else { "all well" };
                println!(
                    "| {} | {durations} | {machines} | {ratio:.3} (worst {worst:.3}) | {:.2} % | {messages:.2} |",
                    trace.name(),
                    extra * 100.0,
                );
                let all = json!({
                    "nodes": NODES, "slots": SLOTS, "durations": durations, "machines": machines, "ratio": ratio,
                    "worst": worst, "extra": extra, "messages_a_test": messages,
                });
                tell(figures, "makespan", trace.name(), &all);
            }
        }
    }
}

fn tell(figures: &Figures, bench: &str, what: &str, all: &Value) {
    figures.add(bench, what, all).expect("figures written");
}

fn replay(trace: Trace, known: bool, faulty: bool, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let tests = trace.tests(&mut random);
    let work: Duration = tests.iter().map(|(duration, _)| *duration).sum();
    let longest = tests.iter().map(|(duration, _)| *duration).max().unwrap_or_default();
    let ideal = longest.max(work / (SLOTS * NODES as u32));
    let mut world = World::new(seed, NET);
    (0..NODES).for_each(|_| {
        world.add_node(SLOTS);
    });
    let mut client = Client::new(None, Config::default());
    for (duration, slow) in &tests {
        let noise = random.lognormal(Duration::from_secs(1), NOISE, Duration::from_secs(9)).as_secs_f64();
        let estimate = match (known, slow) {
            (true, _) => Estimate::Known(duration.mul_f64(noise)),
            (false, true) => Estimate::Slow,
            (false, false) => Estimate::Unknown,
        };
        client.submit_test(Test::new(*duration, estimate), Duration::ZERO);
    }
    let client = world.add_client(client);
    if faulty {
        world.fault(ideal / 2, Fault::Slow(3, 10.0));
        world.fault(ideal / 2, Fault::Freeze(5));
    }
    world.begin(client);
    world.run(LONGEST);
    let executions: u64 = world.nodes.iter().map(|node| node.executions).sum();
    let messages: u64 = world.nodes.iter().map(|node| node.messages).sum();
    Outcome {
        ratio: world.clients[client].done_at.as_secs_f64() / ideal.as_secs_f64(),
        extra: (executions as f64 - tests.len() as f64) / tests.len() as f64,
        messages: messages as f64 / tests.len() as f64,
    }
}

fn scale(figures: &Figures) {
    println!();
    println!(
        "| machines x slots | tests | time / ideal | messages a machine | bytes a test | dispatcher a test |"
    );
    println!("|---|---|---|---|---|---|");
    for (nodes, tests) in [(16, 100_000), (100, 1_000_000), (1000, 1_000_000)] {
        large(nodes, tests, figures);
    }
}

fn large(nodes: usize, tests: usize, figures: &Figures) {
    let mut random = Random::new(1);
    let mut world = World::new(1, NET);
    (0..nodes).for_each(|_| {
        world.add_node(SLOTS);
    });
    let mut client = Client::new(None, Config::default());
    client.cpu = Some(Duration::ZERO);
    let mut work = Duration::ZERO;
    for _ in 0..tests {
        let duration = random.lognormal(Duration::from_millis(60), 0.8, Duration::from_secs(5));
        work += duration;
        client.submit_test(Test::new(duration, Estimate::Known(duration)), Duration::ZERO);
    }
    let client = world.add_client(client);
    world.begin(client);
    world.run(LONGEST);
    let run = &world.clients[client];
    let ideal = work.as_secs_f64() / (nodes as f64 * f64::from(SLOTS));
    let messages: u64 = world.nodes.iter().map(|node| node.messages).sum();
    let bytes: u64 = world.nodes.iter().map(|node| node.bytes).sum();
    let cpu = run.cpu.unwrap_or_default();
    let (ratio, cpu) = (run.done_at.as_secs_f64() / ideal, cpu.as_secs_f64() * 1e6 / tests as f64);
    let (messages, bytes) = (messages / nodes as u64, bytes / tests as u64);
    println!("| {nodes} x {SLOTS} | {tests} | {ratio:.3} | {messages} | {bytes} | {cpu:.2} us |");
    let all = json!({
        "nodes": nodes, "slots": SLOTS, "tests": tests, "ratio": ratio, "messages_a_node": messages,
        "bytes_a_test": bytes, "dispatcher_us_a_test": cpu,
    });
    tell(figures, "scale", &format!("{nodes} machines, {tests} tests"), &all);
}

fn many_worlds(seeds: u64) {
    let (mut tasks, mut lost, mut extra, mut late, mut excluded, mut here) = (0, 0, 0, 0, 0, 0);
    for seed in 0..seeds {
        let Ok(outcome) = std::panic::catch_unwind(|| chaos(seed)) else {
            println!("seed {seed} fails; repeat with TESTMESH_SEED={seed} cargo test --test it sim::");
            continue;
        };
        let world = outcome.world;
        for client in &world.clients {
            let totals = client.dispatch.totals();
            tasks += totals.delivered;
            lost += totals.lost;
            extra += totals.extra;
            late += totals.late;
            excluded += client.excluded.len();
            let own = [Some(HERE), client.home.map(worker)];
            let own = own.into_iter().flatten().filter_map(|own| client.dispatch.report(own));
            here += own.map(|report| report.answered).sum::<u64>();
        }
    }
    println!(
        "{seeds} worlds, {tasks} tasks, each answered once: {here} here, {lost} taken back, {extra} extra"
    );
    println!("starts, {late} late answers, {excluded} exclusions.");
}
