//! Traces replayed with sleeping tests on real nodes, beside the shortest time possible.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::measure::tree;
use crate::nodes::{Mesh, Node};
use crate::tree::Tree;
use crate::{Options, Result};

/// A little generator: the same tests in every run.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }

    fn lognormal(&mut self, median: f64, sigma: f64, most: f64) -> f64 {
        let (one, two) = (self.next().max(f64::MIN_POSITIVE), self.next());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
        (median * (sigma * normal).exp()).min(most)
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
            Trace::Lognormal => "lognormal, median 150 ms",
            Trace::Mjsunit => "mjsunit-like, with poles",
        }
    }

    /// One of a few tests that take very long; they are marked SLOW.
    fn is_pole(self, index: usize) -> bool {
        matches!(self, Trace::Mjsunit) && index % 500 == 7
    }

    /// Durations of as many tests as `slots` need so many seconds for.
    fn tests(self, seconds: f64, slots: usize) -> Vec<Duration> {
        let mut random = Random(1);
        let (mut tests, mut work) = (Vec::new(), 0.0);
        while work < seconds * slots as f64 {
            let test = match self {
                Trace::Uniform => random.between(0.05, 0.55),
                // The longest takes as much of the run as 60 s do of the 140 s that the simulator plays.
                Trace::Lognormal => random.lognormal(0.15, 1.2, seconds * 0.4),
                // A pole of a quarter of the whole run and more, as 15-60 s are in a run of a minute.
                Trace::Mjsunit if self.is_pole(tests.len()) => random.between(seconds / 4.0, seconds * 0.95),
                Trace::Mjsunit => random.lognormal(0.08, 1.0, seconds / 4.0),
            };
            // What the name says is what is slept.
            let test = Duration::from_millis((test * 1e3) as u64 + 1);
            work += test.as_secs_f64();
            tests.push(test);
        }
        tests
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let (count, slots) = (options.number("--nodes", 8).max(4), options.number("--slots", 4).max(1));
    let seconds = options.number("--seconds", 20).max(2) as f64;
    let place = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mesh = runtime.block_on(Mesh::start(&place.path().join("nodes"), &vec![slots; count]))?;
    println!(
        "\n{count} nodes with {slots} slots each, sleeping tests; shortest time: max(longest, work / slots)\n"
    );
    println!("| trace | tests | durations | machines | shortest s | took s | ratio | ran twice |");
    println!("|---|---|---|---|---|---|---|---|");
    for trace in [Trace::Uniform, Trace::Lognormal, Trace::Mjsunit] {
        let tests = trace.tests(seconds, slots * count);
        let work: f64 = tests.iter().map(Duration::as_secs_f64).sum();
        let longest = tests.iter().map(Duration::as_secs_f64).fold(0.0, f64::max);
        let shortest = longest.max(work / (slots * count) as f64);
        let tree = Tree::plant(&place.path().join(trace.name()), tests.iter().copied())?;
        tree.mark_slow(|index| trace.is_pole(index))?;
        let plain = floor(&tree, &tests, slots * count)?;
        println!(
            "| {} | {} | known | none: xargs -P{} of the same programs, longest first | {shortest:.2} | {plain:.2} | {:.3} | |",
            trace.name(),
            tests.len(),
            slots * count,
            plain / shortest
        );
        options.figures.add(
            "spread floor",
            trace.name(),
            &json!({ "shortest_s": shortest, "took_s": plain }),
        )?;
        let half = shortest / 2.0;
        // One as good as lost, one worth a tenth, from half time.
        let faulty = longest.max(half + half * count as f64 / (count as f64 - 1.9));
        let cases = [
            ("first run", "all well", shortest, None),
            ("known", "all well", shortest, None),
            ("known", "one 10 x slower and one frozen from half time", faulty, Some(half)),
        ];
        for (durations, machines, shortest, fault) in cases {
            let Ran { seconds, twice } = replay(&mesh, tree.root(), slots, None, fault)?;
            println!(
                "| {} | {} | {durations} | {machines} | {shortest:.2} | {seconds:.2} | {:.3} | {twice} |",
                trace.name(),
                tests.len(),
                seconds / shortest,
            );
            let all = json!({
                "nodes": count, "slots": slots, "tests": tests.len(), "durations": durations, "machines": machines,
                "shortest_s": shortest, "took_s": seconds, "ratio": seconds / shortest, "extra": twice,
            });
            options.figures.add("spread", trace.name(), &all)?;
            if fault.is_some() {
                runtime.block_on(mend(&mesh))?;
            }
        }
    }
    Ok(())
}

/// Seconds the same programs take without us: what this machine itself adds to the shortest time.
fn floor(tree: &Tree, tests: &[Duration], slots: usize) -> Result<f64> {
    let mut sorted = tests.to_vec();
    sorted.sort_by_key(|test| std::cmp::Reverse(*test));
    let names: Vec<String> = sorted.iter().map(|test| format!("t-{}ms.js\n", test.as_millis())).collect();
    let mut command = std::process::Command::new("xargs");
    command.arg(format!("-P{slots}")).arg("-n1").arg(tree.shell()).stdin(Stdio::piped());
    let begun = Instant::now();
    let mut process = command.spawn()?;
    let mut stdin = process.stdin.take().ok_or("no input")?;
    stdin.write_all(names.concat().as_bytes())?;
    drop(stdin);
    if !process.wait()?.success() {
        return Err("xargs failed".into());
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// The same tests on one node, two, and so on.
pub(crate) fn speedup(options: &Options) -> Result<()> {
    let (count, slots) = (options.number("--nodes", 8).max(2), options.number("--slots", 2).max(1));
    let seconds = options.number("--seconds", 40).max(4) as f64;
    let place = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mesh = runtime.block_on(Mesh::start(&place.path().join("nodes"), &vec![slots; count]))?;
    let tests = Trace::Uniform.tests(seconds, slots);
    let work: f64 = tests.iter().map(Duration::as_secs_f64).sum();
    let tree = Tree::plant(&place.path().join("v8"), tests.iter().copied())?;
    // Content travels and durations are learned.
    replay(&mesh, tree.root(), slots, None, None)?;
    println!("\n{} sleeping tests, uniform 50-550 ms, {slots} slots a node\n", tests.len());
    println!("| nodes | took s | shortest s | speed-up | of the number of nodes |\n|---|---|---|---|---|");
    let mut alone = None;
    for nodes in std::iter::successors(Some(1), |nodes| Some(nodes * 2)).take_while(|nodes| *nodes <= count) {
        let Ran { seconds, .. } = replay(&mesh, tree.root(), slots, Some(nodes), None)?;
        let speedup = *alone.get_or_insert(seconds) / seconds;
        let (shortest, share) = (work / (slots * nodes) as f64, speedup / nodes as f64);
        println!("| {nodes} | {seconds:.2} | {shortest:.2} | {speedup:.2} | {share:.2} |");
        let all = json!({ "nodes": nodes, "slots": slots, "took_s": seconds, "shortest_s": shortest, "speedup": speedup });
        options.figures.add("speedup", &nodes.to_string(), &all)?;
    }
    Ok(())
}

struct Ran {
    seconds: f64,
    twice: u64,
}

/// One run, on so many nodes or all; after so many seconds the third node is slow and the fourth frozen.
fn replay(mesh: &Mesh, tree: &Path, slots: usize, nodes: Option<usize>, fault: Option<f64>) -> Result<Ran> {
    let names: Vec<&str> = mesh.nodes.iter().map(|node| node.name.as_str()).collect();
    let peers = match nodes {
        None => String::new(),
        Some(1) => "--nonetwork".to_owned(),
        Some(nodes) => format!("--peers={}", names[1..nodes].join(",")),
    };
    let mut command = mesh.run(tree, &["-p", "plain"]);
    command.args(Some(peers).filter(|peers| !peers.is_empty()));
    command.arg(format!("-j{slots}")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let process = command.spawn()?;
    let ended = std::thread::scope(|scope| -> Result<_> {
        let waiting = scope.spawn(move || process.wait_with_output());
        if let Some(seconds) = fault {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            std::fs::write(slow_mark(&mesh.nodes[2]), "")?;
            signal(&mesh.nodes[3], Signal::STOP);
        }
        Ok(waiting.join().map_err(|_| "a thread panicked")??)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let text = [&ended.stdout[..], &ended.stderr[..]]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat();
    if !ended.status.success() {
        return Err(format!("the run failed\n{text}").into());
    }
    let before = text.split(" ran twice at once").next().filter(|before| before.len() < text.len());
    let twice = before.and_then(|before| before.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
    Ok(Ran { seconds, twice })
}

/// All is well again.
async fn mend(mesh: &Mesh) -> Result<()> {
    std::fs::remove_file(slow_mark(&mesh.nodes[2]))?;
    signal(&mesh.nodes[3], Signal::CONT);
    let others = mesh.nodes.len() - 1;
    for node in &mesh.nodes {
        node.wait(|status| status.mutual as usize == others && status.load.running == 0).await?;
    }
    Ok(())
}

fn slow_mark(node: &Node) -> std::path::PathBuf {
    node.folder.join("cache/workspaces/slow")
}

/// To the node and all it runs, as `docker pause` does.
fn signal(node: &Node, signal: Signal) {
    for pid in tree(node.pid()).into_iter().filter_map(Pid::from_raw) {
        // One that has just ended is not there to be told.
        let _ = kill_process(pid, signal);
    }
}
