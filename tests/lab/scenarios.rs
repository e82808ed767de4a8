//! Joining, trust that spreads and goes, and two networks with one machine in both. Each prints its figures.

use std::time::{Duration, Instant};

use crate::docker::{Error, Result, docker, exec};
use crate::plan::CLIENT;
use crate::runs::Tree;
use crate::world::{Ground, Machine, World};

/// No wait of a scenario is longer.
const PATIENCE: Duration = Duration::from_secs(180);

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
    let mut world = World::start(ground, 9_001, vec![Machine::plain(); 4])?;
    world.introduce()?;
    figure("all approved; everybody trusts the client and is trusted", world.wait_for_mutual(CLIENT, 3)?);
    let begun = Instant::now();
    let new = world.add(Machine::plain())?;
    connected(&world, CLIENT, 4)?;
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

/// How trust spreads over a star of approvals, and how a revocation goes round.
pub(crate) fn trust(ground: &Ground, nodes: usize) -> Result<()> {
    println!("\ntrust: {nodes} nodes; each and the client approve each other, nodes never approve nodes");
    let world = World::start(ground, 9_100 + nodes as u64, vec![Machine::plain(); nodes + 1])?;
    let begun = Instant::now();
    world.introduce()?;
    figure("all approvals typed", begun.elapsed());
    let everybody = world.nodes();
    let begun = Instant::now();
    world.each(&everybody, |machine| world.wait_for_mutual(machine, nodes))?;
    figure("last approval to everybody trusted and connected by everybody", begun.elapsed());

    let (lost, frozen) = (nodes, nodes - 1);
    let rest: Vec<usize> = (0..frozen).collect();
    docker(&["pause", &world.container(frozen)])?;
    let begun = Instant::now();
    let revoke = format!("meshctl revoke {} --yes --reason lost", world.key(lost));
    exec(&world.container(CLIENT), &revoke)?;
    let distrusts = |machine: usize| -> Result<Duration> {
        let script = format!("! meshctl why {} --json | grep -q \"\\\"trusted\\\"\"", world.key(lost));
        world.wait(machine, "the revoked node is not trusted", &script, PATIENCE)
    };
    world.each(&rest, distrusts)?;
    figure("a node revoked at the client to not trusted anywhere", begun.elapsed());
    let begun = Instant::now();
    docker(&["unpause", &world.container(frozen)])?;
    distrusts(frozen)?;
    figure("a node that was frozen meanwhile has learned of it", begun.elapsed());
    let begun = Instant::now();
    docker(&["restart", "-t", "3", &world.container(1)])?;
    world.wait(1, "the node answers", "meshctl status >/dev/null 2>&1", PATIENCE)?;
    distrusts(1)?;
    world.wait_for_mutual(1, nodes - 1)?;
    figure("restarted: still not trusted, all others are", begun.elapsed());
    Ok(())
}

/// Two networks; the client reaches only the relay, until the far node joins the client's network.
pub(crate) fn bridges(ground: &Ground, tree: &Tree) -> Result<()> {
    println!(
        "\nbridges: the client in one network, a node in another, a relay in both; approvals client-relay-node"
    );
    let on = |networks: &[usize]| Machine { networks: networks.to_vec(), ..Machine::plain() };
    let world = World::start(ground, 9_002, vec![on(&[0]), on(&[0, 1]), on(&[1])])?;
    let (relay, far) = (1, 2);
    tree.put(&world)?;
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
