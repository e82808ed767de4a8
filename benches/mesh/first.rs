//! How long it takes until a peer has answered for the first time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use serde_json::json;
use testmesh::job::{Arg, Job, JobId, Ladder, Limits, Root, RootedPath};
use testmesh::local::client::Client;
use testmesh::local::run::{Open, RunReply, RunRequest, Source, unpack};
use testmesh::local::wire::{Reply, Request};
use testmesh_behaviours::id::NodeKey;

use crate::measure::{median, tree};
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
        let mut phases: [Vec<f64>; 5] = Default::default();
        for round in 0..rounds {
            let number = 1_000 + round as u64;
            let joined = runtime.block_on(join_by_hand(&mut mesh, &few, number, forget))?;
            phases.iter_mut().zip(joined).for_each(|(all, phase)| all.push(phase));
            phases[4].push(runtime.block_on(join(&mut mesh, &many, forget))?);
        }
        let names = [
            format!("a node {what} joins: its start to trusted by the client's"),
            "… asked to take part in a run of 20 tests that is open".to_owned(),
            "… ready for it".to_owned(),
            "… its first result".to_owned(),
            format!(
                "the same, joining a run of {MANY} tests under way: its start to its first test under way"
            ),
        ];
        names.iter().zip(phases).for_each(|(name, phase)| table.row(name, phase));
    }
    let made = (0..rounds).map(|round| make_files(&place.path().join(format!("made-{round}"))));
    let floor = format!("floor of that: {MANY} small files made on this file system, nothing else");
    table.row(&floor, made.collect::<Result<_>>()?);
    table.print(options)
}

/// Milliseconds for as many files as the tree of a node that joins has. A file system that just lost many files can take
/// a thousand times longer for a new one.
fn make_files(folder: &Path) -> Result<f64> {
    std::fs::create_dir(folder)?;
    let begun = Instant::now();
    for file in 0..MANY {
        std::fs::write(folder.join(file.to_string()), "x")?;
    }
    Ok(millis(begun))
}

struct Table {
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    fn row(&mut self, what: &str, millis: Vec<f64>) {
        self.rows.push((what.to_owned(), millis));
    }

    fn print(&self, options: &Options) -> Result<()> {
        println!("\n| until | median ms | worst ms | of |\n|---|---|---|---|");
        for (what, millis) in &self.rows {
            let worst = millis.iter().copied().fold(0.0, f64::max);
            println!("| {what} | {:.1} | {worst:.1} | {} |", median(millis), millis.len());
            options.figures.add("first", what, &json!({ "median_ms": median(millis), "all_ms": millis }))?;
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

/// Stops the last node and waits until the client's has noticed.
async fn stop_last(mesh: &mut Mesh, forget: bool) -> Result<()> {
    let last = mesh.nodes.len() - 1;
    let others = u32::try_from(last).unwrap_or(u32::MAX);
    mesh.nodes[last].end()?;
    if forget {
        let _ = std::fs::remove_dir_all(mesh.nodes[last].folder.join("cache"));
    }
    mesh.own().wait(|status| status.mutual < others).await?;
    Ok(())
}

/// Stops the last node and starts it again while a run is open. Milliseconds from its start until the client's node
/// trusts it and it trusts back, asks it to take part, has it ready, and has its first result.
async fn join_by_hand(mesh: &mut Mesh, tree: &Tree, number: u64, forget: bool) -> Result<[f64; 4]> {
    stop_last(mesh, forget).await?;
    let last = mesh.nodes.len() - 1;
    let others = u32::try_from(last).unwrap_or(u32::MAX);
    let name = mesh.nodes[last].name.clone();
    let mut client = Client::connect(&mesh.own().socket(), "bench", None).await?;
    client.send(Request::Run(RunRequest::Open(Box::new(open(tree, number))))).await?;
    while !matches!(client.next().await?.reply, Reply::Run(RunReply::Ready { .. })) {}
    let begun = Instant::now();
    mesh.nodes[last].begin()?;
    let mesh = &*mesh;
    let mutual = async {
        mesh.own().wait(|status| status.mutual >= others).await?;
        Ok::<f64, Box<dyn std::error::Error>>(millis(begun))
    };
    let run = async {
        let (mut asked, mut ready, mut joined) = (0.0, 0.0, None);
        loop {
            let answer = tokio::time::timeout(PATIENCE, client.next()).await??;
            match answer.reply {
                Reply::Run(RunReply::Preparing { name: of, .. }) if of == name => asked = millis(begun),
                Reply::Run(RunReply::Ready { peer, name: of, .. }) if of == name && joined.is_none() => {
                    ready = millis(begun);
                    joined = Some(peer);
                    offer(&mut client, peer, number, 0).await?;
                }
                // It does not take jobs yet: as the dispatcher would, try again.
                Reply::Run(RunReply::Offered { peer, refused, .. }) if Some(peer) == joined => {
                    if let Some((job, _)) = refused.first() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        offer(&mut client, peer, number, job.attempt + 1).await?;
                    }
                }
                Reply::Run(RunReply::Results { peer, .. }) if Some(peer) == joined => {
                    return Ok::<[f64; 3], Box<dyn std::error::Error>>([asked, ready, millis(begun)]);
                }
                Reply::Run(RunReply::Unfit { why, .. }) => return Err(why.into()),
                _ => {}
            }
        }
    };
    let (mutual, run) = futures::join!(mutual, run);
    let [asked, ready, result] = run?;
    Ok([mutual?, asked, ready, result])
}

async fn offer(client: &mut Client, peer: NodeKey, number: u64, attempt: u16) -> Result<()> {
    let mut job = job(number, 0, &["test/mjsunit/t000000.js"]);
    job.id.attempt = attempt;
    client.send(Request::Run(RunRequest::Offer { peer, jobs: vec![job] })).await?;
    Ok(())
}

/// Stops the last node and starts it again in the middle of a run. Milliseconds until it runs a test.
async fn join(mesh: &mut Mesh, tree: &Tree, forget: bool) -> Result<f64> {
    stop_last(mesh, forget).await?;
    let last = mesh.nodes.len() - 1;
    let mut command = mesh.run(tree.root(), &["--remote-only"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // The run is under way.
    wait_for_test(mesh.nodes[1].pid()).await?;
    let begun = Instant::now();
    mesh.nodes[last].begin()?;
    wait_for_test(mesh.nodes[last].pid()).await?;
    let took = millis(begun);
    run.kill()?;
    run.wait()?;
    Ok(took)
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
