//! What a null test costs above the bare start of its process, by the way it takes.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::measure::{children_cpu, median};
use crate::nodes::{Mesh, Node, run_tests};
use crate::tree::Tree;
use crate::{Options, Result};

/// Tests at once: as many as the figures this is compared with were made with.
const PARALLEL: usize = 2;

/// One way to run the tests, and what it cost in each round.
struct Way {
    name: &'static str,
    what: &'static str,
    cpu: Vec<f64>,
    /// Parts of it: the client with what it started itself, and the nodes' own processes without tests.
    client: Vec<f64>,
    nodes: Vec<f64>,
    wall: Vec<f64>,
}

const WAYS: [(&str, &str); 6] = [
    ("floor", "xargs -P2 -n1"),
    ("alone", "run-tests --nonetwork -j2"),
    ("own node", "run-tests -j2, slots granted by the node, no peer used"),
    ("one peer", "run-tests --remote-only, one peer with 2 slots"),
    ("two", "run-tests -j1 and one peer with 1 slot"),
    ("three", "run-tests -j1 and two peers with 1 slot each"),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    let (tests, rounds) = (options.number("--tests", 5000), options.number("--rounds", 5).max(1));
    let place = tempfile::tempdir()?;
    let tree = Tree::plant(&place.path().join("v8"), std::iter::repeat_n(Duration::ZERO, tests))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The third node is there only for the last way; idle nodes cost nothing that shows.
    let pair = runtime.block_on(Mesh::start(&place.path().join("pair"), &[PARALLEL, PARALLEL]))?;
    let ones = runtime.block_on(Mesh::start(&place.path().join("ones"), &[1, 1, 1]))?;
    let mut ways =
        WAYS.map(|(name, what)| Way { name, what, cpu: vec![], client: vec![], nodes: vec![], wall: vec![] });
    // The first time, content travels and durations are learned.
    for way in &ways {
        once(way.name, tests, &tree, &pair, &ones)?;
    }
    for round in 0..rounds {
        for place in 0..ways.len() {
            // Another one goes first in every round.
            let way = &mut ways[(place + round) % WAYS.len()];
            let Cost { client, meshes, nodes, wall } = once(way.name, tests, &tree, &pair, &ones)?;
            let per_test = |seconds: f64| seconds * 1e3 / tests as f64;
            way.cpu.push(per_test(client + meshes));
            way.client.push(per_test(client));
            way.nodes.push(per_test(nodes));
            way.wall.push(wall);
        }
    }
    report(&ways, tests, rounds, options)
}

fn report(ways: &[Way], tests: usize, rounds: usize, options: &Options) -> Result<()> {
    let (floor, floor_wall) = (median(&ways[0].cpu), median(&ways[0].wall));
    println!(
        "\n{tests} null tests, {PARALLEL} at once, medians of {rounds} rounds; CPU of the client, all nodes and all tests\n"
    );
    println!(
        "| way | CPU ms a test | above the floor | of it client | nodes | null tests/s | of the floor's | what |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for way in ways {
        let (cpu, client, nodes) = (median(&way.cpu), median(&way.client), median(&way.nodes));
        let rate = tests as f64 / median(&way.wall);
        println!(
            "| {} | {cpu:.3} | {:.3} | {client:.3} | {nodes:.3} | {rate:.0} | {:.2} | {} |",
            way.name,
            cpu - floor,
            floor_wall / median(&way.wall),
            way.what
        );
        let all = json!({
            "cpu_ms": cpu, "above_floor_ms": cpu - floor, "client_ms": client, "nodes_ms": nodes,
            "tests_per_s": rate, "of_floor_rate": floor_wall / median(&way.wall), "command": way.what, "tests": tests, "rounds": rounds, "all_cpu_ms": way.cpu,
        });
        options.figures.add("overhead", way.name, &all)?;
    }
    Ok(())
}

/// Seconds.
struct Cost {
    /// The client and all it started.
    client: f64,
    /// The nodes and all they started.
    meshes: f64,
    /// The nodes themselves.
    nodes: f64,
    wall: f64,
}

fn once(way: &str, tests: usize, tree: &Tree, pair: &Mesh, ones: &Mesh) -> Result<Cost> {
    let mut command = match way {
        "floor" => floor(tests, tree),
        "alone" => run_tests(tree.root(), &pair.own().folder, &["--nonetwork", "-j2"]),
        "own node" => pair.run(tree.root(), &["-j2", "--peers=nobody"]),
        "one peer" => pair.run(tree.root(), &["--remote-only"]),
        "two" => ones.run(tree.root(), &["-j1", "--peers=n2"]),
        _ => ones.run(tree.root(), &["-j1", "--peers=n2,n3"]),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let own = || [pair, ones].iter().flat_map(|mesh| &mesh.nodes).map(Node::own_cpu).sum::<f64>();
    let before = (children_cpu()?, pair.cpu() + ones.cpu(), own());
    let begun = Instant::now();
    let ended = command.output()?;
    let wall = begun.elapsed().as_secs_f64();
    let after = (children_cpu()?, pair.cpu() + ones.cpu(), own());
    if !ended.status.success() {
        let words =
            [&ended.stdout[..], &ended.stderr[..]].map(|text| String::from_utf8_lossy(text).into_owned());
        return Err(format!("{way}: {command:?} failed\n{}", words.concat()).into());
    }
    Ok(Cost { client: after.0 - before.0, meshes: after.1 - before.1, nodes: after.2 - before.2, wall })
}

/// The same words as `run-tests` gives the shell, without the test's name.
fn floor(tests: usize, tree: &Tree) -> Command {
    let mut command = Command::new("sh");
    let script = format!("yes test/mjsunit/t.js | head -n {tests} | xargs -P{PARALLEL} -n1 \"$0\" --test");
    command.args(["-c", &script]).arg(tree.shell()).current_dir(tree.root()).stdin(Stdio::null());
    command
}
