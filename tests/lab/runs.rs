//! Runs of the lab's tree: alone, for what must come out, and on a mesh in which something goes wrong.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::docker::{Error, Result, complaints_of, docker, exec, exec_piped, text};
use crate::faults::{Over, mend, perform};
use crate::plan::{CLIENT, NODES, Plan, name};
use crate::tree;
use crate::verdicts::{Verdicts, case, left_over, shares};
use crate::world::{Ground, Machine, World};

/// Seconds that no run takes, whatever goes wrong and however busy this machine is.
const RUN_LIMIT: u64 = 600;

/// How long processes of a run may be left: a node that lost its submitter waits a while before it gives up.
const AFTERMATH: Duration = Duration::from_secs(30);

/// Allowed for each machine whose tests are lost.
const LOSS_COSTS: f64 = 3.0;

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

/// A run that is over.
#[derive(Debug)]
struct Ran {
    verdicts: Verdicts,
    output: String,
    took: Duration,
    errors: Vec<String>,
}

/// Runs the tree in the client, with faults on the way.
fn run(world: &World, arguments: &str, plan: Option<&Plan>) -> Result<Ran> {
    let client = world.container(CLIENT);
    exec(&client, "rm -f /tmp/results.json")?;
    let script = format!("exec timeout -s KILL {RUN_LIMIT} run-tests {ARGUMENTS} {arguments} 2>&1");
    world.note(&format!("run-tests {ARGUMENTS} {arguments}"));
    let begun = Instant::now();
    let mut process = exec_piped(&client, &script)?;
    let lines = process.stdout.take().map(|out| BufReader::new(out).lines()).into_iter().flatten();
    let cases = u32::try_from(tree::CASES).unwrap_or(u32::MAX);
    let over = Over::default();
    let (mut output, mut told) = (String::new(), 0);
    let mut waiting = plan.map_or(Vec::new(), |plan| plan.faults.clone());
    let (status, took, errors) = thread::scope(|scope| {
        let mut threads = Vec::new();
        for line in lines.map_while(std::result::Result::ok) {
            if let Some((name, outcome)) = case(&line) {
                told += 1;
                world.note(&format!("{outcome} {name}"));
            } else if line.contains(" tests ") || line.contains("elsewhere") {
                world.note(&line);
            }
            output.push_str(&line);
            output.push('\n');
            while waiting.first().is_some_and(|fault| told >= 1.max(fault.at * cases / 1000)) {
                let (fault, over) = (waiting.remove(0), &over);
                threads.push(scope.spawn(move || (fault.to_string(), perform(world, &fault, over))));
            }
        }
        let status = process.wait();
        let took = begun.elapsed();
        world.note("the run is over");
        over.tell();
        let mut errors = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok((_, Ok(()))) => {}
                Ok((fault, Err(error))) => errors.push(format!("{fault}: {error}")),
                Err(_) => errors.push("a thread of the lab panicked".to_owned()),
            }
        }
        (status, took, errors)
    });
    let code = status?.code();
    let said = complaints_of(&mut process);
    if code == Some(137) {
        let last: Vec<&str> = output.lines().rev().take(3).collect();
        let what = format!("the run did not end; its last words: {last:?}");
        return Err(Error::Late { what, limit: Duration::from_secs(RUN_LIMIT) });
    }
    let json = exec(&client, "cat /tmp/results.json").map_err(|error| {
        let last: Vec<&str> = output.lines().rev().take(3).collect();
        Error::Confused(format!("no results: {error}\nexit code {code:?}; {said}; its last words: {last:?}"))
    })?;
    let verdicts = Verdicts::of(&output, &json, code).map_err(Error::Confused)?;
    Ok(Ran { verdicts, output, took, errors })
}

/// What must come out: the tree on one machine without a mesh.
fn alone(ground: &Ground, tree: &Tree) -> Result<Verdicts> {
    let world = World::start(ground, 0, vec![Machine::plain()])?;
    tree.put(&world)?;
    let ran = run(&world, "--nonetwork", None)?;
    if ran.verdicts.cases() != tree::CASES {
        let words = format!("{} cases, {} expected", ran.verdicts.cases(), tree::CASES);
        return Err(Error::Confused(words));
    }
    Ok(ran.verdicts)
}

/// What every run is measured against.
#[derive(Debug)]
pub(crate) struct Measure {
    /// What must come out.
    pub(crate) local: Verdicts,
    /// Seconds that a mesh takes where nothing goes wrong.
    pub(crate) calm: f64,
}

/// The tree on one machine, then on a mesh where nothing goes wrong.
pub(crate) fn measure(ground: &Ground, tree: &Tree) -> Result<Measure> {
    let local = alone(ground, tree)?;
    let world = World::start(ground, 0, vec![Machine::plain(); NODES + 1])?;
    tree.put(&world)?;
    world.introduce()?;
    world.wait_for_mutual(CLIENT, NODES)?;
    let ran = run(&world, "", None)?;
    let complaints = ran.verdicts.complaints(&local);
    if !complaints.is_empty() || remote(&ran.verdicts) == 0 {
        return Err(Error::Confused(format!("a run where nothing goes wrong: {complaints:?}")));
    }
    Ok(Measure { local, calm: ran.took.as_secs_f64() })
}

/// How a seed went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// One line for people.
    pub(crate) line: String,
    /// What was not as it must be.
    pub(crate) complaints: Vec<String>,
    /// All logs by time and the output, where there are complaints or they are wanted.
    pub(crate) logs: Option<(String, String)>,
    /// Whether it took no longer than without faults and three seconds a loss.
    pub(crate) in_time: bool,
    /// Faults that this machine cannot make.
    pub(crate) left_out: usize,
}

/// A fresh mesh, a run, the faults of a seed, and all checks.
pub(crate) fn seed(
    ground: &Ground,
    tree: &Tree,
    measure: &Measure,
    seed: u64,
    keep: bool,
) -> Result<Outcome> {
    let plan = Plan::of(seed);
    let skewed = plan.skewed();
    let machine = |number: usize| Machine { skewable: skewed.contains(&number), ..Machine::plain() };
    let begun = World::start(ground, seed + 1, (0..=NODES).map(machine).collect());
    let broke_off = |error: &Error, logs: String| Outcome {
        line: format!("seed {seed}: {plan}: broke off"),
        complaints: vec![error.to_string()],
        logs: Some((logs, String::new())),
        in_time: false,
        left_out: 0,
    };
    let world = match begun {
        Ok(world) => world,
        Err(error) => return Ok(broke_off(&error, String::new())),
    };
    let left_out =
        plan.faults.iter().filter(|fault| crate::faults::impossible(&world, fault).is_some()).count();
    let mut outcome =
        trial(&world, tree, measure, &plan, keep).unwrap_or_else(|error| broke_off(&error, world.logs()));
    outcome.left_out = left_out;
    Ok(outcome)
}

fn trial(world: &World, tree: &Tree, measure: &Measure, plan: &Plan, keep: bool) -> Result<Outcome> {
    tree.put(world)?;
    world.introduce()?;
    let joined = world.wait_for_mutual(CLIENT, NODES)?;
    let ran = run(world, if plan.remote_only { "--remote-only" } else { "" }, Some(plan))?;
    let mut complaints = ran.errors;
    complaints.extend(ran.verdicts.complaints(&measure.local));
    let idle = plan.spared().into_iter().map(name);
    let idle = idle.filter(|node| ran.verdicts.shares.get(node).is_none_or(|count| *count == 0));
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
    // Without the client's own slots there are fewer.
    let share = if plan.remote_only { (NODES + 1) as f64 / NODES as f64 } else { 1.0 };
    let calm = measure.calm * share;
    let allowed = calm + LOSS_COSTS * plan.losses() as f64;
    let took = ran.took.as_secs_f64();
    let line = format!(
        "seed {}: {plan}: {} cases, {} of them on nodes, in {took:.1} s (without faults {calm:.1}, allowed {allowed:.1}), joined in {:.1} s, whole \
         again in {whole}: {}",
        plan.seed,
        ran.verdicts.cases(),
        remote(&ran.verdicts),
        joined.as_secs_f64(),
        if complaints.is_empty() { "clean" } else { "NOT CLEAN" }
    );
    let logs = (keep || !complaints.is_empty()).then(|| (world.logs(), ran.output));
    Ok(Outcome { line, complaints, logs, in_time: took <= allowed, left_out: 0 })
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

/// Keeps the logs of a seed; where.
pub(crate) fn keep(seed: u64, logs: &(String, String)) -> Result<PathBuf> {
    let base = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = base.join("lab").join(format!("seed-{seed}"));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("merged.log"), &logs.0)?;
    std::fs::write(folder.join("output.txt"), &logs.1)?;
    Ok(folder)
}
