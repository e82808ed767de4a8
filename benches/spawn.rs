//! What a test costs above the bare start of its process: `cargo bench --bench spawn -- [TESTS] [ROUNDS] [--json FILE]`.
//!
//! Runs a program that does nothing, two at a time, in three ways in turn, round after round: through `xargs -P2 -n1`
//! (the floor), through local slots with capture and limits on, and through the standard library's `Command` straight
//! from the process that owns the run. Prints medians. CPU is user and system time of the whole tree, as the kernel
//! sums it up for a parent that has waited for it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "common/figures.rs"]
mod figures;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use figures::Figures;
use serde_json::json;
use testmesh::backend::{Environment, Roots, SLOT_ARGUMENT, SlotConfig, slot_main};
use testmesh::job::{Arg, Exit, Job, JobId, Ladder, Limits, Root, RootedPath, Status};
use testmesh::worker::local::LocalSlots;

/// As many as the figures this is compared with were made with.
const PARALLEL: usize = 2;

/// Kernel ticks a second in `/proc/PID/stat`, on every Linux.
const TICKS: f64 = 100.0;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let figures = Figures::take(&mut arguments);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments == [SLOT_ARGUMENT] {
        return slot_main();
    }
    let done = match arguments[..] {
        ["--play", way, tests, program] => play(way, tests, program),
        [] => measure(2000, 7, &figures),
        [tests] => numbers(tests, "7").and_then(|(tests, rounds)| measure(tests, rounds, &figures)),
        [tests, rounds, ..] => {
            numbers(tests, rounds).and_then(|(tests, rounds)| measure(tests, rounds, &figures))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn numbers(tests: &str, rounds: &str) -> Result<(usize, usize)> {
    Ok((tests.parse()?, rounds.parse()?))
}

/// One way to run the tests, and what it cost in each round.
struct Way {
    name: &'static str,
    /// CPU milliseconds a test.
    cpu: Vec<f64>,
    /// Wall milliseconds a test.
    wall: Vec<f64>,
}

fn measure(tests: usize, rounds: usize, figures: &Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = null_program(folder.path())?;
    let mut ways = ["xargs", "slots", "command"].map(|name| Way { name, cpu: vec![], wall: vec![] });
    for round in 0..rounds {
        for place in 0..ways.len() {
            // Another one goes first in every round.
            let way = &mut ways[(place + round) % 3];
            let (cpu, begun) = (children_cpu()?, Instant::now());
            run(way.name, tests, &program)?;
            let wall = begun.elapsed();
            way.cpu.push((children_cpu()? - cpu) * 1e3 / tests as f64);
            way.wall.push(wall.as_secs_f64() * 1e3 / tests as f64);
        }
    }
    println!("{tests} tests, {PARALLEL} at a time, medians of {rounds} rounds: {}", program.display());
    println!(
        "{:<10} {:>12} {:>12} {:>12} {:>8}",
        "way", "cpu ms/test", "above floor", "wall ms/test", "ratio"
    );
    let floor = median(&ways[0].cpu);
    for way in &ways {
        let (cpu, wall) = (median(&way.cpu), median(&way.wall));
        println!("{:<10} {cpu:>12.3} {:>12.3} {wall:>12.3} {:>8.2}", way.name, cpu - floor, cpu / floor);
        let all = json!({ "tests": tests, "cpu_ms": cpu, "above_floor_ms": cpu - floor, "wall_ms": wall, "ratio": cpu / floor });
        figures.add("spawn", way.name, &all)?;
    }
    Ok(())
}

/// A static program that returns 0 where there is a C compiler, else `/bin/true`.
fn null_program(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("null.c");
    fs_err::write(&source, "int main(void) { return 0; }\n")?;
    let program = folder.join("null");
    let compiled = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source).status();
    Ok(if compiled.is_ok_and(|status| status.success()) { program } else { "/bin/true".into() })
}

/// Seconds of CPU used by all descendants that ended and were waited for.
fn children_cpu() -> Result<f64> {
    let stat = fs_err::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(')').ok_or("unknown format of /proc/self/stat")?.1;
    let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(13) + ticks(14)) / TICKS)
}

fn run(way: &str, tests: usize, program: &Path) -> Result<()> {
    let mut command = if way == "xargs" {
        let mut xargs = Command::new("xargs");
        xargs.args(["-P", &PARALLEL.to_string(), "-n", "1"]).arg(program).stdin(Stdio::piped());
        xargs
    } else {
        let mut again = Command::new(std::env::current_exe()?);
        again.args(["--play", way, &tests.to_string()]).arg(program).stdin(Stdio::piped());
        again
    };
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take()
        && way == "xargs"
    {
        stdin.write_all("test\n".repeat(tests).as_bytes())?;
    }
    if child.wait()?.success() { Ok(()) } else { Err(format!("{way} failed").into()) }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs all tests in one way, in a process that does nothing else.
fn play(way: &str, tests: &str, program: &str) -> Result<()> {
    let tests = tests.parse()?;
    if way == "command" { with_command(tests, program) } else { with_slots(tests, program) }
}

fn with_slots(tests: usize, program: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let here = std::env::current_dir()?;
        let roots = Roots { workspace: here.clone(), build: here.clone(), program: here.clone(), cwd: here };
        let config = SlotConfig::new(Environment::inherited_utf8());
        let mut slots = LocalSlots::open(PARALLEL, roots, &config).await?;
        let mut jobs = (0..).take(tests).map(|sequence| job(sequence, program));
        for (slot, job) in (0..PARALLEL).zip(&mut jobs) {
            slots.start(slot, job.id, &job);
        }
        for _ in 0..tests {
            let (slot, _, output) = slots.next_finished().await;
            if output.exit != Exit::Ended(Status::Code(0)) {
                return Err(format!("{:?}", output.exit).into());
            }
            if let Some(job) = jobs.next() {
                slots.start(slot, job.id, &job);
            }
        }
        slots.shutdown().await;
        Ok(())
    })
}

fn job(sequence: u32, program: &str) -> Job {
    let text = |text: &str| Arg::Text(text.to_owned());
    Job {
        id: JobId { run: 1, sequence, attempt: 0 },
        argv: vec![text(program), text("test")],
        env: Vec::new(),
        cwd: RootedPath { root: Root::Workspace, path: String::new() },
        limits: Limits { wall: Duration::from_secs(60), output: 10 << 20, ladder: Ladder::Kill },
    }
}

fn with_command(tests: usize, program: &str) -> Result<()> {
    let share = |thread: usize| (tests + thread) / PARALLEL;
    let work = |count: usize| -> std::io::Result<()> {
        for _ in 0..count {
            Command::new(program).arg("test").stdin(Stdio::null()).output()?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PARALLEL).map(|thread| scope.spawn(move || work(share(thread)))).collect();
        threads.into_iter().try_for_each(|thread| Ok(thread.join().map_err(|_| "a thread panicked")??))
    })
}
