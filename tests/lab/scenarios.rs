//! Joining, trust that spreads and goes, and two networks with one machine in both. Each prints its figures.

use std::thread;
use std::time::{Duration, Instant};

use crate::docker::{Error, Result, docker, exec};
use crate::plan::CLIENT;
use crate::runs::{self, Tree};
use crate::world::{Ground, Machine, World};

/// No wait of a scenario is longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// Until everybody looks for what a decision brings.
const WATCH: Duration = Duration::from_secs(3);

/// Prints a figure.
fn figure(what: &str, time: Duration) {
    println!("{what:<72} {:>7.2} s", time.as_secs_f64());
}

fn connected(world: &World, at: usize, others: usize) -> Result<()> {
    let script = format!("meshctl status --json | grep -q \"\\\"connected\\\": {others},\"");
    world.wait(at, &format!("{others} others connected"), &script, PATIENCE).map(drop)
}

/// How soon a new machine, and one that comes back, is there for others.
pub(crate) fn join(ground: &Ground) -> Result<()> {
    println!("\njoin: three nodes and a client on one network, no address typed");
    World::start(ground, "join", vec![Machine::plain(); 4])?.within(joins)
}

fn joins(world: &mut World) -> Result<()> {
    world.introduce()?;
    figure("all approved; everybody trusts the client and is trusted", world.wait_for_mutual(CLIENT, 3)?);
    let begun = Instant::now();
    let new = world.add(Machine::plain())?;
    connected(world, CLIENT, 4)?;
    figure("cold: container created to connected at the client (engine included)", begun.elapsed());
    let begun = Instant::now();
    world.approve(CLIENT, &[new])?;
    world.approve(new, &[CLIENT])?;
    world.wait_for_mutual(CLIENT, 4)?;
    figure("cold: two approvals to trusted both ways", begun.elapsed());
    let begun = Instant::now();
    docker(&["restart", "-t", "3", &world.container(new)])?;
    world.wait_for_mutual(CLIENT, 4)?;
    figure("warm: `docker restart` to trusted both ways again (engine included)", begun.elapsed());
    docker(&["kill", &world.container(new)])?;
    // Nobody says goodbye for a machine that is killed; the connection ends with it.
    world.wait_for_mutual(CLIENT, 3)?;
    let begun = Instant::now();
    docker(&["start", &world.container(new)])?;
    world.wait_for_mutual(CLIENT, 4)?;
    figure("warm: killed, `docker start` to trusted both ways again", begun.elapsed());
    let begun = Instant::now();
    exec(&world.container(CLIENT), "meshctl restart")?;
    world.wait_for_mutual(CLIENT, 4)?;
    figure("warm: `meshctl restart` at the client to all four again", begun.elapsed());
    Ok(())
}

/// Prints a figure beside what the node is meant to reach.
fn beside(what: &str, seconds: f64, aim: Option<f64>) {
    let words = match aim {
        Some(aim) if seconds <= aim => format!("aim {aim:.0} s: met"),
        Some(aim) => format!("aim {aim:.0} s: NOT MET"),
        None => String::new(),
    };
    println!("{what:<72} {seconds:>7.2} s  {words}");
}

/// How trust spreads over a star of approvals, and how a revocation goes round. Times are taken within the machines, since
/// the engine takes longer for a command than some of what is measured.
pub(crate) fn trust(ground: &Ground, nodes: usize, gossip: bool) -> Result<()> {
    let with = if gossip { "with" } else { "without" };
    println!(
        "\ntrust: {nodes} nodes {with} gossip; each and the client approve each other, nodes never approve nodes"
    );
    let ground = Ground { gossip, ..ground.clone() };
    let machine = Machine { background: true, ..Machine::plain() };
    World::start(&ground, &format!("trust-{nodes}-{with}"), vec![machine; nodes + 1])?
        .within(|world| trusts(world, nodes, gossip))
}

fn trusts(world: &World, nodes: usize, gossip: bool) -> Result<()> {
    // What issue 3 asks for: in force everywhere, and sixteen nodes by each other.
    let in_force = Some(if gossip { 2.0 } else { 10.0 });
    let (lost, frozen) = (nodes, nodes - 1);
    let others: Vec<usize> = (1..nodes).collect();
    let early: Vec<usize> = (0..nodes).collect();
    let everybody: Vec<usize> = (0..=nodes).collect();
    let begun = Instant::now();
    world.introduce_to(&others)?;
    figure("all approvals typed (engine included)", begun.elapsed());
    let begun = Instant::now();
    world.each(&early, |machine| world.wait_for_mutual(machine, nodes - 1))?;
    figure("last approval to everybody trusted and connected by everybody", begun.elapsed());

    let holds = |machine: usize, is: &str| -> Result<f64> {
        // A node that does not answer decided nothing.
        let script = format!(
            "meshctl status >/dev/null && {is} meshctl why {} --json | grep -q \"\\\"trusted\\\"\"",
            world.key(lost)
        );
        world.wait_until(machine, "a decision about a node is in force", &script, PATIENCE)
    };
    // Everybody looks already when the decision is taken.
    let decided = |watching: &[usize], decision: &str, is: &str| -> Result<f64> {
        let all = [&[CLIENT], watching].concat();
        let moments = world.each(&all, |machine| {
            if machine == CLIENT {
                thread::sleep(WATCH);
                world.begun(CLIENT, decision)
            } else {
                holds(machine, is)
            }
        })?;
        if moments[1..].iter().any(|moment| *moment < moments[0]) {
            return Err(Error::Confused("a decision was in force before it was taken".to_owned()));
        }
        Ok(latest(&moments[1..]) - moments[0])
    };
    let approve = format!("meshctl approve --yes {}", world.key(lost));
    beside("a node approved at the client to trusted everywhere", decided(&others, &approve, "")?, in_force);

    world.each(&everybody, |machine| world.clock(machine, "meshctl stop >/dev/null 2>&1"))?;
    let from =
        latest(&world.each(&everybody, |machine| world.clock(machine, "meshctl start >/dev/null 2>&1"))?);
    let mutual = format!("meshctl status --json | grep -q \"\\\"mutual\\\": {nodes},\"");
    let whole = |machine| world.wait_until(machine, "all others trusted both ways", &mutual, PATIENCE);
    let at = latest(&world.each(&everybody, whole)?);
    let aim = (nodes <= 16).then_some(4.0);
    beside("all started again, the last of them to everybody trusted by everybody", at - from, aim);

    let rest: Vec<usize> = (1..frozen).collect();
    docker(&["pause", &world.container(frozen)])?;
    let revoke = format!("meshctl revoke {} --yes --reason lost", world.key(lost));
    beside("a node revoked at the client to not trusted anywhere", decided(&rest, &revoke, "!")?, in_force);
    let from = world.clock(CLIENT, "true")?;
    docker(&["unpause", &world.container(frozen)])?;
    beside("a node that was frozen meanwhile has learned of it", holds(frozen, "!")? - from, None);
    let begun = Instant::now();
    docker(&["restart", "-t", "3", &world.container(1)])?;
    world.wait(1, "the node answers", "meshctl status >/dev/null 2>&1", PATIENCE)?;
    holds(1, "!")?;
    world.wait_for_mutual(1, nodes - 1)?;
    figure("restarted: still not trusted, all others are", begun.elapsed());
    Ok(())
}

fn latest(moments: &[f64]) -> f64 {
    moments.iter().copied().fold(0.0, f64::max)
}

/// A client that is interrupted in the middle of a run, by each signal that a person or a system may send.
pub(crate) fn interrupt(ground: &Ground, tree: &Tree) -> Result<()> {
    println!("\ninterrupt: three nodes and a client whose run ends early");
    let local = runs::alone(ground, tree)?;
    for signal in ["INT", "TERM", "KILL"] {
        runs::interrupted(ground, tree, &local, signal)?;
        println!(
            "{signal}: nothing of the run is left within half a second, and the report says what was known"
        );
    }
    Ok(())
}

/// Two networks; the client reaches only the relay, until the far node joins the client's network.
pub(crate) fn bridges(ground: &Ground, tree: &Tree) -> Result<()> {
    println!(
        "\nbridges: the client in one network, a node in another, a relay in both; approvals client-relay-node"
    );
    let on = |networks: &[usize]| Machine { networks: networks.to_vec(), ..Machine::plain() };
    World::start(ground, "bridges", vec![on(&[0]), on(&[0, 1]), on(&[1])])?
        .within(|world| bridged(world, tree))
}

fn bridged(world: &World, tree: &Tree) -> Result<()> {
    let (relay, far) = (1, 2);
    tree.put(world)?;
    world.approve(CLIENT, &[relay])?;
    world.approve(relay, &[CLIENT, far])?;
    world.approve(far, &[relay])?;
    let trusts = |at: usize, whom: usize| {
        let script = format!("meshctl why {} --json | grep -q \"\\\"trusted\\\"\"", world.key(whom));
        world.wait(at, "trust by way of the relay", &script, PATIENCE)
    };
    let begun = Instant::now();
    trusts(CLIENT, far)?;
    trusts(far, CLIENT)?;
    figure("client and far node trust each other, though they never met", begun.elapsed());
    let used = |words: &str| -> Result<String> {
        let script = "run-tests --workspace /tmp/tree --engine embedded --min-remote 0 --remote-only -p plain mjsunit \
                      2>&1 || true";
        let output = exec(&world.container(CLIENT), script)?;
        let passed = output.contains(" 0 failed");
        if passed { Ok(output) } else { Err(Error::Confused(format!("{words}: {output}"))) }
    };
    let output = used("apart")?;
    if !output.contains("n1 ") || output.contains("n2 ") {
        return Err(Error::Confused(format!("only the relay can be used while apart:\n{output}")));
    }
    let begun = Instant::now();
    docker(&["network", "connect", world.network(0), &world.container(far)])?;
    world.wait_for_mutual(CLIENT, 2)?;
    figure("far node joins the client's network to trusted both ways", begun.elapsed());
    let output = used("together")?;
    if !output.contains("n2 ") {
        return Err(Error::Confused(format!("the far node is not used after it joined:\n{output}")));
    }
    Ok(())
}
