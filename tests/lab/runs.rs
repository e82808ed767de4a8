//! Runs of the lab's tree: alone, for what must come out, and on a mesh in which something goes wrong.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::docker::{Error, Result, complaints_of, docker, exec, exec_piped, text};
use crate::faults::{Over, mend, perform};
use crate::ideal::{Allowance, Calm, Outage, ideal, median, noise};
use crate::plan::{CLIENT, Fault, NODES, Plan, name};
use crate::processes::Watched;
use crate::tree;
use crate::verdicts::{Verdicts, case, left_over, shares};
use crate::world::{Ground, Machine, World};

/// Seconds that no run takes, whatever goes wrong; far more than any is allowed.
const RUN_LIMIT: u64 = 120;

/// How long processes of a run may be left where nobody could tell them: a node that lost its submitter waits a while
/// before it gives up.
const AFTERMATH: Duration = Duration::from_secs(30);

/// Runs without faults, each on a fresh mesh, whose middle one is the measure.
const CALM_RUNS: usize = 3;

/// Of a thousand cases so many are told when a run is interrupted.
const INTERRUPTED_AT: u32 = 300;

/// What is run, and where its results go.
const ARGUMENTS: &str = "--workspace /tmp/tree --engine embedded --run-skipped --random-seed 1 -p verbose -j 1 \
     --min-remote 0 --json-test-results /tmp/results.json mjsunit message webkit intl test262";

/// A tree on this machine, to be copied into clients.
#[derive(Debug)]
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    /// Writes it.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        tree::write(&folder.path().join("tree"))?;
        Ok(Tree(folder))
    }

    /// Copies it into the client of a world.
    pub(crate) fn put(&self, world: &World) -> Result<()> {
        let from = text(&self.0.path().join("tree"));
        docker(&["cp", &from, &format!("{}:/tmp/tree", world.container(CLIENT))]).map(drop)
    }
}

/// How a run is to go.
#[derive(Debug, Default)]
struct Course<'a> {
    arguments: &'a str,
    /// What goes wrong on the way, in order.
    faults: Vec<Fault>,
    /// Where all processes of it must be gone at once when it is over.
    listening: Vec<usize>,
    /// Sent to the client on the way.
    signal: Option<&'a str>,
}

/// A run that is over.
#[derive(Debug)]
struct Ran {
    output: String,
    code: Option<i32>,
    took: f64,
    /// What was not there, and when.
    outages: Vec<Outage>,
    /// What went wrong with faults, and what was left of the run.
    complaints: Vec<String>,
}

/// Runs the tree in the client, with faults on the way.
fn run(world: &World, course: &Course<'_>) -> Result<Ran> {
    let client = world.container(CLIENT);
    exec(&client, "rm -f /tmp/results.json")?;
    let arguments = course.arguments;
    let script = format!(
        "exec timeout -s KILL {RUN_LIMIT} sh -c 'echo $$ >/tmp/run.pid; exec run-tests {ARGUMENTS} {arguments} 2>&1'"
    );
    let watched = Watched::of(world, &course.listening)?;
    world.note(&format!("run-tests {ARGUMENTS} {arguments}"));
    let begun = Instant::now();
    let mut process = exec_piped(&client, &script)?;
    let lines = process.stdout.take().map(|out| BufReader::new(out).lines()).into_iter().flatten();
    let cases = u32::try_from(tree::CASES).unwrap_or(u32::MAX);
    let (over, mut output, mut told) = (Over::default(), String::new(), 0);
    let (mut waiting, mut signal) = (course.faults.clone(), course.signal);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let (mut last_sign, mut seen) = (begun, 0);
        for line in lines.map_while(std::result::Result::ok) {
            told += u32::from(case(&line).is_some());
            world.note(&line);
            output.push_str(&line);
            output.push('\n');
            while waiting.first().is_some_and(|fault| told >= 1.max(fault.at * cases / 1000)) {
                let (fault, over) = (waiting.remove(0), &over);
                threads.push(scope.spawn(move || (fault.to_string(), perform(world, &fault, over, begun))));
            }
            if told >= INTERRUPTED_AT * cases / 1000
                && let Some(signal) = signal.take()
            {
                world.note(&format!("signal {signal} to the client"));
                seen = watched.left().len();
                exec(&client, &format!("kill -{signal} $(cat /tmp/run.pid)"))?;
                last_sign = Instant::now();
            }
        }
        let code = process.wait()?.code();
        let took = begun.elapsed().as_secs_f64();
        world.note("the run is over");
        let since = if course.signal.is_some() { last_sign } else { Instant::now() };
        let mut complaints = if world.means().processes { watched.all_gone(since) } else { Vec::new() };
        if course.signal.is_some() && world.means().processes && seen == 0 {
            complaints
                .push("no process was seen while the run went on: that none is left says nothing".to_owned());
        }
        over.tell();
        let mut outages = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok((_, Ok(more))) => outages.extend(more),
                Ok((fault, Err(error))) => complaints.push(format!("{fault}: {error}")),
                Err(_) => complaints.push("a thread of the lab panicked".to_owned()),
            }
        }
        let said = complaints_of(&mut process);
        said.lines().for_each(|line| world.note(line));
        Ok(Ran { output, code, took, outages, complaints })
    })
}

/// What a run said of its cases.
fn verdicts(world: &World, ran: &Ran) -> Result<Verdicts> {
    let last: Vec<&str> = ran.output.lines().rev().take(3).collect();
    if ran.code == Some(137) {
        let what = format!("the run did not end; its last words: {last:?}");
        return Err(Error::Late { what, limit: Duration::from_secs(RUN_LIMIT) });
    }
    let json = exec(&world.container(CLIENT), "cat /tmp/results.json").map_err(|error| {
        let code = ran.code;
        Error::Confused(format!("no results: {error}\nexit code {code:?}; its last words: {last:?}"))
    })?;
    Verdicts::of(&ran.output, &json, ran.code).map_err(Error::Confused)
}

/// What must come out: the tree on one machine without a mesh.
pub(crate) fn alone(ground: &Ground, tree: &Tree) -> Result<Verdicts> {
    World::start(ground, "alone", vec![Machine::plain()])?.within(|world| {
        tree.put(world)?;
        let course = Course { arguments: "--nonetwork", ..Course::default() };
        let verdicts = verdicts(world, &run(world, &course)?)?;
        if verdicts.cases() != tree::CASES {
            let words = format!("{} cases, {} expected", verdicts.cases(), tree::CASES);
            return Err(Error::Confused(words));
        }
        Ok(verdicts)
    })
}

/// What every run is measured against.
#[derive(Debug)]
pub(crate) struct Measure {
    /// What must come out.
    pub(crate) local: Verdicts,
    /// A fresh mesh where nothing goes wrong.
    pub(crate) calm: Calm,
}

/// The tree on one machine, then on meshes where nothing goes wrong.
pub(crate) fn measure(ground: &Ground, tree: &Tree) -> Result<Measure> {
    let local = alone(ground, tree)?;
    let calm = |number: usize| -> Result<(f64, f64)> {
        World::start(ground, &format!("calm-{number}"), vec![Machine::plain(); NODES + 1])?.within(|world| {
            gather(world, tree)?;
            let ran = run(world, &Course { listening: (0..=NODES).collect(), ..Course::default() })?;
            let verdicts = verdicts(world, &ran)?;
            let complaints = [ran.complaints, verdicts.complaints(&local)].concat();
            if !complaints.is_empty() || remote(&verdicts) == 0 {
                return Err(Error::Confused(format!("a run where nothing goes wrong: {complaints:?}")));
            }
            Ok((ran.took, verdicts.work))
        })
    };
    let times = (0..CALM_RUNS).map(calm).collect::<Result<Vec<_>>>()?;
    let (took, work) = times.into_iter().unzip();
    let calm = Calm { took: median(took), work: median(work), machines: NODES + 1 };
    Ok(Measure { local, calm })
}

/// Everything in place: the tree, and nodes that trust the client.
fn gather(world: &World, tree: &Tree) -> Result<Duration> {
    tree.put(world)?;
    world.introduce()?;
    world.wait_for_mutual(CLIENT, NODES)
}

/// How a seed went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// One line for people.
    pub(crate) line: String,
    /// What was not as it must be.
    pub(crate) complaints: Vec<String>,
    /// All logs by time, where there are complaints or they are wanted.
    pub(crate) logs: Option<PathBuf>,
    /// Faults that this machine cannot make.
    pub(crate) left_out: usize,
}

/// A fresh mesh, a run, the faults of a seed, and all checks.
pub(crate) fn seed(ground: &Ground, tree: &Tree, measure: &Measure, seed: u64, keep: bool) -> Outcome {
    let plan = Plan::of(seed);
    let (skewed, small) = (plan.skewed(), plan.small_homes());
    let machine = |number: usize| Machine {
        skewable: skewed.contains(&number),
        small_home: small.contains(&number),
        ..Machine::plain()
    };
    let world = World::start(ground, &format!("seed-{seed}"), (0..=NODES).map(machine).collect());
    let tried = world.and_then(|world| world.within(|world| trial(world, tree, measure, &plan, keep)));
    tried.unwrap_or_else(|error| Outcome {
        line: format!("seed {seed}: {plan}: broke off"),
        complaints: vec![error.to_string()],
        logs: None,
        left_out: 0,
    })
}

fn trial(world: &World, tree: &Tree, measure: &Measure, plan: &Plan, keep: bool) -> Result<Outcome> {
    let left_out = plan.faults.iter().filter(|fault| crate::faults::impossible(world, fault).is_some());
    let left_out = left_out.count();
    let joined = gather(world, tree)?;
    let ran = run(
        world,
        &Course {
            arguments: if plan.remote_only { "--remote-only" } else { "" },
            faults: plan.faults.clone(),
            listening: plan.listening(),
            signal: None,
        },
    )?;
    let verdicts = verdicts(world, &ran)?;
    let mut complaints = ran.complaints;
    complaints.extend(verdicts.complaints(&measure.local));
    let idle = plan.spared().into_iter().map(name);
    let idle = idle.filter(|node| verdicts.shares.get(node).is_none_or(|count| *count == 0));
    complaints.extend(idle.map(|node| format!("{node} was there all the time and ran nothing")));
    mend(world)?;
    complaints.extend(orphans(world)?);
    let again = world.wait_for_mutual(CLIENT, NODES);
    let whole = match &again {
        Ok(time) => {
            complaints.extend(works(world)?);
            format!("{:.1} s", time.as_secs_f64())
        }
        Err(error) => {
            complaints.push(format!("the mesh is not whole again: {error}"));
            "never".to_owned()
        }
    };
    let there: Vec<usize> = (usize::from(plan.remote_only)..=NODES).collect();
    let allowance = Allowance {
        ideal: ideal(measure.calm, &there, &ran.outages),
        noise: noise(measure.calm, verdicts.work, &ran.outages),
        losses: plan.losses(),
    };
    let (took, allowed) = (ran.took, allowance.words());
    if took > allowance.seconds() {
        complaints.push(format!("it took {took:.1} s, allowed were {allowed}"));
    }
    let line = format!(
        "seed {}: {plan}: {} cases, {} of them on nodes, in {took:.1} s (allowed {allowed}), joined in {:.1} s, whole \
         again in {whole}: {}",
        plan.seed,
        verdicts.cases(),
        remote(&verdicts),
        joined.as_secs_f64(),
        if complaints.is_empty() { "clean" } else { "NOT CLEAN" }
    );
    let logs = if keep || !complaints.is_empty() { Some(world.keep_logs()?) } else { None };
    Ok(Outcome { line, complaints, logs, left_out })
}

/// A run whose client is interrupted: nothing of it is left anywhere, and the report says what was known.
pub(crate) fn interrupted(ground: &Ground, tree: &Tree, local: &Verdicts, signal: &str) -> Result<()> {
    let title = format!("signal-{}", signal.to_lowercase());
    World::start(ground, &title, vec![Machine::plain(); NODES + 1])?.within(|world| {
        gather(world, tree)?;
        let listening = (0..=NODES).collect();
        let ran = run(world, &Course { listening, signal: Some(signal), ..Course::default() })?;
        let mut complaints = ran.complaints.clone();
        // Nobody writes a report who is killed.
        if signal != "KILL" {
            complaints.extend(verdicts(world, &ran)?.complaints_of_part(local));
        }
        complaints.extend(works(world)?);
        if complaints.is_empty() { Ok(()) } else { Err(Error::Confused(complaints.join("\n"))) }
    })
}

/// A short run after everything: which nodes do not take part again.
fn works(world: &World) -> Result<Vec<String>> {
    let words = "--workspace /tmp/tree --engine embedded --random-seed 1 -p verbose --remote-only";
    let script =
        format!("timeout {RUN_LIMIT} run-tests {words} 'mjsunit/busy/b0[0-2]*' 2>&1; echo \"code $?\"");
    let output = exec(&world.container(CLIENT), &script)?;
    output.lines().filter(|line| case(line).is_none()).for_each(|line| world.note(line));
    let shares = shares(&output);
    let idle = world.nodes().into_iter().map(name);
    let idle = idle.filter(|node| shares.get(node).is_none_or(|count| *count == 0));
    let mut complaints: Vec<String> =
        idle.map(|node| format!("{node} runs nothing after everything is over")).collect();
    if !output.lines().any(|line| line == "code 0") {
        complaints.push("the run after everything is over was not clean".to_owned());
    }
    Ok(complaints)
}

/// Tests that other machines than the client answered.
fn remote(verdicts: &Verdicts) -> usize {
    let of_nodes = verdicts.shares.iter().filter(|(name, _)| name.starts_with('n'));
    of_nodes.map(|(_, count)| count).sum()
}

/// Processes that should not be there any more, in any container.
fn orphans(world: &World) -> Result<Vec<String>> {
    let begun = Instant::now();
    let all: Vec<usize> = std::iter::once(CLIENT).chain(world.nodes()).collect();
    loop {
        let listed = world
            .each(&all, |machine| docker(&["top", &world.container(machine), "-eo", "stat,pid,args"]))?;
        let left: Vec<String> = all
            .iter()
            .zip(&listed)
            .flat_map(|(machine, text)| {
                left_over(text).into_iter().map(|line| format!("left at {}: {line}", name(*machine)))
            })
            .collect();
        if left.is_empty() || begun.elapsed() > AFTERMATH {
            return Ok(left);
        }
        thread::sleep(Duration::from_millis(200));
    }
}
