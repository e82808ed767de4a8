//! Does to containers what a plan says, and undoes it.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::docker::{Result, docker, exec, in_network};
use crate::ideal::Outage;
use crate::plan::{CLIENT, Fault, Kind, name};
use crate::world::{SKEW_FILE, World};

/// Where the file lies that fills a disk.
const FILLER: &str = "/mesh/node/cache/filler";

/// The one that fills the rest of a home.
const HOME_FILLER: &str = "/mesh/node/filler";

/// How long a machine may take to end in order.
const FAREWELL: &str = "3";

/// How often a container is tried to be frozen.
const PAUSE_TRIES: usize = 5;

/// Longer than any run.
const LONG: Duration = Duration::from_secs(3_600);

/// Packets on a link with delay wait so long.
const DELAY: &str = "40ms";

/// Tells those who wait that the run is over.
#[derive(Debug, Default)]
pub(crate) struct Over {
    over: Mutex<bool>,
    told: Condvar,
}

impl Over {
    /// Now it is.
    pub(crate) fn tell(&self) {
        if let Ok(mut over) = self.over.lock() {
            *over = true;
        }
        self.told.notify_all();
    }

    /// Waits so long, or until the run is over.
    fn wait(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let Ok(mut over) = self.over.lock() else { return };
        while !*over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let Ok((guard, _)) = self.told.wait_timeout(over, left) else { return };
            over = guard;
        }
    }
}

/// Performs a fault, leaves it for its time, and undoes it; what the machines could not do meanwhile, in seconds since the
/// beginning of the run. What cannot be done here is written into the diary.
pub(crate) fn perform(world: &World, fault: &Fault, over: &Over, begun: Instant) -> Result<Vec<Outage>> {
    if let Some(why) = impossible(world, fault) {
        world.note(&format!("left out: {fault}: {why}"));
        return Ok(Vec::new());
    }
    let from = begun.elapsed();
    world.note(&fault.to_string());
    let undo = begin(world, fault);
    world.note(&format!("done: {fault}"));
    match fault.kind {
        Kind::Kill | Kind::OwnNode => over.wait(LONG),
        Kind::Restart => {}
        _ => over.wait(fault.lasting),
    }
    // Undone also when only half of it was done.
    let undone = end(world, fault);
    world.note(&format!("over: {fault}"));
    undo.and(undone)?;
    // What the end of the run cut short had gone on.
    let until = if fault.is_for_good() {
        f64::INFINITY
    } else {
        begun.elapsed().max(from + fault.lasting).as_secs_f64()
    };
    let (from, capacity) = (from.as_secs_f64(), fault.capacity());
    Ok(fault.out().into_iter().map(|machine| Outage { machine, from, until, capacity }).collect())
}

/// Why it cannot be done here; none: it can.
pub(crate) fn impossible(world: &World, fault: &Fault) -> Option<&'static str> {
    let means = world.means();
    match fault.kind {
        Kind::Loss if !means.filters => Some("no filters in network namespaces"),
        Kind::Narrow if !means.netem && !means.shaping => Some("no shaping of links"),
        Kind::Skew if means.faketime.is_none() => Some("no libfaketime"),
        _ => None,
    }
}

fn begin(world: &World, fault: &Fault) -> Result<()> {
    for machine in &fault.machines {
        let container = world.container(*machine);
        match fault.kind {
            Kind::Kill | Kind::Crash => drop(docker(&["kill", &container])?),
            Kind::Restart => drop(docker(&["restart", "-t", FAREWELL, &container])?),
            Kind::Pause => pause(&container)?,
            Kind::Disconnect | Kind::CutOff => {
                drop(docker(&["network", "disconnect", "-f", world.network(0), &container])?);
            }
            Kind::Partition if world.means().filters => partition(world, *machine, &fault.machines)?,
            Kind::Partition => drop(docker(&["network", "disconnect", "-f", world.network(0), &container])?),
            Kind::Loss => {
                let rule =
                    format!("-m statistic --mode random --probability 0.{:02} -j DROP", fault.strength);
                in_network(&container, &format!("iptables -A INPUT {rule}; iptables -A OUTPUT {rule}"))?;
            }
            Kind::Narrow => {
                let rate = fault.strength;
                let words = if world.means().netem {
                    format!("tc qdisc add dev eth0 root netem rate {rate}kbit delay {DELAY}")
                } else {
                    format!("tc qdisc add dev eth0 root tbf rate {rate}kbit burst 8kb latency 400ms")
                };
                in_network(&container, &words)?;
            }
            Kind::SlowCpu => {
                let share = format!("0.{:02}", fault.strength);
                docker(&["update", "--cpus", &share, &container])?;
            }
            Kind::FullDisk => {
                // It ends with an error when nothing more fits, as it should.
                exec(&container, &format!("dd if=/dev/zero of={FILLER} bs=64k 2>/dev/null; true"))?;
            }
            Kind::FullHome => {
                let fill =
                    |file: &str| format!("dd if=/dev/zero of={file} bs=4k 2>/dev/null; echo >>{file}; true");
                exec(&container, &format!("{}; {}", fill(HOME_FILLER), fill(FILLER)))?;
            }
            Kind::Skew => {
                let sign = if fault.strength < 0 { '-' } else { '+' };
                exec(&container, &format!("echo {sign}{}s >{SKEW_FILE}", fault.strength.abs()))?;
            }
            // The first line of the file is the process.
            Kind::OwnNode => drop(exec(&container, "kill -9 $(head -n 1 /mesh/node/meshd.pid)")?),
        }
    }
    Ok(())
}

/// Freezes a container. On a busy machine the engine gives up now and then, and thaws what it froze.
fn pause(container: &str) -> Result<()> {
    let mut tries = 1;
    loop {
        match docker(&["pause", container]) {
            Err(_) if tries < PAUSE_TRIES => tries += 1,
            paused => return paused.map(drop),
        }
    }
}

fn end(world: &World, fault: &Fault) -> Result<()> {
    for machine in &fault.machines {
        let container = world.container(*machine);
        match fault.kind {
            // Another fault may have begun it again already; then it runs, or is not paused, and that is fine.
            Kind::Kill | Kind::Crash => drop(docker(&["start", &container])?),
            Kind::Restart => {}
            Kind::Pause => drop(docker(&["unpause", &container])),
            Kind::Disconnect | Kind::CutOff => reconnect(world, *machine)?,
            Kind::Partition if world.means().filters => drop(in_network(&container, "iptables -F")),
            Kind::Partition => reconnect(world, *machine)?,
            Kind::Loss => drop(in_network(&container, "iptables -F")),
            Kind::Narrow => drop(in_network(&container, "tc qdisc del dev eth0 root")),
            Kind::SlowCpu => {
                let all = world.means().cores.to_string();
                docker(&["update", "--cpus", &all, &container])?;
            }
            Kind::FullDisk | Kind::FullHome => {
                drop(exec(&container, &format!("rm -f {FILLER} {HOME_FILLER}")));
            }
            Kind::Skew => drop(exec(&container, &format!("echo +0s >{SKEW_FILE}"))),
            Kind::OwnNode => drop(exec(&container, "meshctl start")?),
        }
    }
    Ok(())
}

/// Nothing passes between one of a group and those outside it.
fn partition(world: &World, machine: usize, group: &[usize]) -> Result<()> {
    let others = std::iter::once(CLIENT).chain(world.nodes()).filter(|other| !group.contains(other));
    let addresses: Vec<String> = others.filter_map(|other| world.address(other)).collect();
    let rules: Vec<String> = addresses
        .iter()
        .map(|address| {
            format!("iptables -A INPUT -s {address} -j DROP; iptables -A OUTPUT -d {address} -j DROP")
        })
        .collect();
    in_network(&world.container(machine), &rules.join("; ")).map(drop)
}

fn reconnect(world: &World, machine: usize) -> Result<()> {
    if world.address(machine).is_none() {
        docker(&["network", "connect", world.network(0), &world.container(machine)])?;
    }
    Ok(())
}

/// Puts everything right that faults may have left behind when they overlapped: everybody runs, in the network.
pub(crate) fn mend(world: &World) -> Result<()> {
    let all: Vec<usize> = std::iter::once(CLIENT).chain(world.nodes()).collect();
    let mend = |machine: usize| -> Result<()> {
        let container = world.container(machine);
        let state = docker(&["inspect", "--format", "{{.State.Status}}", &container])?;
        match state.trim() {
            "running" => {}
            "paused" => drop(docker(&["unpause", &container])?),
            other => {
                world.note(&format!("{} is {other}; started", name(machine)));
                docker(&["start", &container])?;
            }
        }
        reconnect(world, machine)?;
        if world.means().filters {
            in_network(&container, "iptables -F; tc qdisc del dev eth0 root 2>/dev/null || true")?;
        }
        exec(&container, &format!("rm -f {FILLER} {HOME_FILLER}; echo +0s >{SKEW_FILE}")).map(drop)
    };
    world.each(&all, mend)?;
    exec(&world.container(CLIENT), "meshctl start").map(drop)
}
