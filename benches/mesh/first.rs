//! How long it takes until a peer has answered for the first time.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use serde_json::json;
use testmesh::job::{Arg, Job, JobId, Ladder, Limits, Root, RootedPath};
use testmesh::local::client::Client;
use testmesh::local::run::{Open, RunReply, RunRequest, Source, unpack};
use testmesh::local::wire::{Reply, Request};

use crate::measure::{Figures, median, tree};
use crate::nodes::Mesh;
use crate::tree::Tree;
use crate::{Options, Result};

/// Tests of the run whose first answer is waited for.
const TESTS: usize = 20;
/// Long enough to be seen running.
const SLEEP: Duration = Duration::from_millis(50);
/// Tests of the run that a node joins: more than are done while it does.
const MANY: usize = 4000;
/// Nothing here takes a busy machine longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> Result<()> {
    let rounds = options.number("--rounds", 5).max(1);
    let place = tempfile::tempdir()?;
    let few = Tree::plant(&place.path().join("few"), std::iter::repeat_n(Duration::ZERO, TESTS))?;
    let many = Tree::plant(&place.path().join("many"), std::iter::repeat_n(SLEEP, MANY))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut mesh = runtime.block_on(Mesh::start(&place.path().join("nodes"), &[2, 2, 2]))?;
    let mut table = Table { rows: Vec::new() };
    let cold = first_answer(&mesh, &few)?;
    table.row("first run on the mesh: start of run-tests to the first answer", vec![cold]);
    let mut warm = Vec::new();
    let mut phases = Vec::new();
    for round in 0..rounds {
        warm.push(first_answer(&mesh, &few)?);
        phases.push(runtime.block_on(by_hand(&mesh, &few, round as u64 + 1))?);
    }
    table.row("warm mesh: start of run-tests to the first answer", warm);
    let names = [
        "… the same without run-tests: connected, status asked for",
        "… inputs named (unchanged since the last run)",
        "… first peer ready (workspace there, trial run done)",
        "… first result, offered when ready",
    ];
    for (index, name) in names.iter().enumerate() {
        table.row(name, phases.iter().map(|phase| phase[index]).collect());
    }
    for (what, forget) in [("with nothing in its store", true), ("that has the inputs", false)] {
        let (mut mutual, mut started) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let joined = runtime.block_on(join(&mut mesh, &many, forget))?;
            mutual.push(joined.0);
            started.push(joined.1);
        }
        table.row(&format!("a node {what} joins: its start to trusted by the client's"), mutual);
        table.row("… to its first test under way", started);
    }
    table.print(options)
}

struct Table {
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    fn row(&mut self, what: &str, millis: Vec<f64>) {
        self.rows.push((what.to_owned(), millis));
    }

    fn print(&self, options: &Options) -> Result<()> {
        let figures = Figures::to(options.json.as_ref());
        println!("\n| until | median ms | worst ms | of |\n|---|---|---|---|");
        for (what, millis) in &self.rows {
            let worst = millis.iter().copied().fold(0.0, f64::max);
            println!("| {what} | {:.1} | {worst:.1} | {} |", median(millis), millis.len());
            figures.add("first", what, &json!({ "median_ms": median(millis), "all_ms": millis }))?;
        }
        Ok(())
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Milliseconds from the start of a run on peers only to its first finished test.
fn first_answer(mesh: &Mesh, tree: &Tree) -> Result<f64> {
    let mut command = mesh.run(tree.root(), &["--remote-only", "-p", "verbose"]);
    let begun = Instant::now();
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let out = process.stdout.take().ok_or("no output")?;
    let mut first = None;
    for line in BufReader::new(out).lines() {
        if line?.contains(" default: ") && first.is_none() {
            first = Some(millis(begun));
        }
    }
    process.wait()?;
    Ok(first.ok_or("no test finished")?)
}

/// Milliseconds from the beginning to each step of a run, as a client of the socket sees them.
async fn by_hand(mesh: &Mesh, tree: &Tree, number: u64) -> Result<[f64; 4]> {
    let begun = Instant::now();
    let mut client = Client::connect(&mesh.own().socket(), "bench", None).await?;
    client.ask(Request::Status).await?;
    let connected = millis(begun);
    client.send(Request::Run(RunRequest::Open(Box::new(open(tree, number))))).await?;
    let (mut scanned, mut ready) = (0.0, None);
    loop {
        let answer = tokio::time::timeout(PATIENCE, client.next()).await??;
        match answer.reply {
            Reply::Run(RunReply::Scanned { .. }) => scanned = millis(begun),
            Reply::Run(RunReply::Ready { peer, .. }) if ready.is_none() => {
                ready = Some(millis(begun));
                let jobs = vec![job(number, 0, &["test/mjsunit/t000000.js"])];
                client.send(Request::Run(RunRequest::Offer { peer, jobs })).await?;
            }
            Reply::Run(RunReply::Results { bytes, .. }) => {
                let results = unpack(&bytes)?;
                if results.is_empty() {
                    return Err("an empty batch of results".into());
                }
                let ready = ready.ok_or("a result before a peer was ready")?;
                return Ok([connected, scanned, ready, millis(begun)]);
            }
            Reply::Run(RunReply::Unfit { why, .. } | RunReply::Unshippable(why)) => return Err(why.into()),
            _ => {}
        }
    }
}

/// What a run of the tree needs.
pub(crate) fn open(tree: &Tree, run: u64) -> Open {
    let build = tree.shell().parent().map(ToOwned::to_owned).unwrap_or_default();
    let paths = vec!["test/mjsunit".to_owned()];
    Open {
        run,
        sources: vec![
            Source { root: Root::Workspace, dir: tree.root().to_owned(), paths },
            Source { root: Root::Build, dir: build, paths: vec!["d8".to_owned()] },
        ],
        canary: job(run, u32::MAX, &["-e", "print('there')"]),
        answer: ByteBuf::from(b"there\n".to_vec()),
        platform: (std::env::consts::OS.to_owned(), std::env::consts::ARCH.to_owned()),
        only: Vec::new(),
    }
}

fn job(run: u64, sequence: u32, words: &[&str]) -> Job {
    let shell = Arg::Path(RootedPath { root: Root::Build, path: "d8".to_owned() });
    let words = words.iter().map(|word| Arg::Text((*word).to_owned()));
    Job {
        id: JobId { run, sequence, attempt: 0 },
        argv: std::iter::once(shell).chain(words).collect(),
        env: Vec::new(),
        cwd: RootedPath { root: Root::Workspace, path: String::new() },
        limits: Limits { wall: PATIENCE, output: 1 << 16, ladder: Ladder::Kill },
    }
}

/// Stops the last node and starts it again in the middle of a run. Milliseconds until the client's node trusts it and
/// it trusts back, and until it runs a test.
async fn join(mesh: &mut Mesh, tree: &Tree, forget: bool) -> Result<(f64, f64)> {
    let last = mesh.nodes.len() - 1;
    let others = u32::try_from(last).unwrap_or(u32::MAX);
    mesh.nodes[last].end()?;
    if forget {
        let _ = std::fs::remove_dir_all(mesh.nodes[last].folder.join("cache"));
    }
    mesh.own().wait(|status| status.mutual < others).await?;
    let mut command = mesh.run(tree.root(), &["--remote-only"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // The run is under way.
    wait_for_test(mesh.nodes[1].pid()).await?;
    let begun = Instant::now();
    mesh.nodes[last].begin()?;
    let pid = mesh.nodes[last].pid();
    let mutual = async {
        mesh.own().wait(|status| status.mutual >= others).await?;
        Ok::<f64, Box<dyn std::error::Error>>(millis(begun))
    };
    let started = async {
        wait_for_test(pid).await?;
        Ok::<f64, Box<dyn std::error::Error>>(millis(begun))
    };
    let (mutual, started) = futures::join!(mutual, started);
    run.kill()?;
    run.wait()?;
    Ok((mutual?, started?))
}

/// Waits until a test runs below a process; the trial run is none.
async fn wait_for_test(node: u32) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let is_test = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("test/mjsunit/t")
        };
        if tree(node).iter().any(is_test) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err("no test came".into())
}
