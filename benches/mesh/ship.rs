//! What leaves a client's node when a shell goes to many nodes, and how long it takes.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use testmesh::local::client::Client;
use testmesh::local::run::{RunReply, RunRequest};
use testmesh::local::wire::{Reply, Request};

use crate::first::open;
use crate::lines::Lines;
use crate::nodes::Mesh;
use crate::tree::Tree;
use crate::{Options, Result};

/// Nothing here takes a busy machine longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of the real program, which a link leaves where they are.
const PROGRAM: usize = 2 << 20;

pub(crate) fn run(options: &Options) -> Result<()> {
    let (nodes, megabytes) = (options.number("--nodes", 8), options.number("--megabytes", 100));
    let place = tempfile::tempdir()?;
    let tree = Tree::plant(&place.path().join("v8"), std::iter::repeat_n(Duration::ZERO, 20))?;
    tree.inflate(megabytes << 20)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let slots = vec![1; nodes + 1];
    let megabits = options.number("--megabits", 0);
    let lines = (megabits > 0).then(|| Lines::lay(nodes + 1, megabits)).transpose()?;
    let mesh = runtime.block_on(Mesh::start_on(&place.path().join("nodes"), &slots, lines))?;
    let bytes = std::fs::read(tree.shell())?;
    let lines = if megabits > 0 { format!(", a line of {megabits} Mbit/s each") } else { String::new() };
    println!("\na shell of {megabytes} MB to {nodes} nodes on this machine{lines}\n");
    println!(
        "| step | content sent by the client's node | on its lines | of the shell | seconds | of a plain copy | CPU s |"
    );
    println!("|---|---|---|---|---|---|---|");
    let plain = raw_copy(&bytes, &place.path().join("copy"), mesh.lines.as_ref())?;
    println!("| one plain copy over TCP | | | 1.000 | {plain:.3} | 1.00 | |");
    let size = bytes.len() as f64;
    let steps = [("first run", false), ("unchanged", false), ("linked again, forty places changed", true)];
    for (number, (step, relinked)) in (1..).zip(steps) {
        if relinked {
            tree.relink(PROGRAM)?;
        }
        let cpu = mesh.cpu();
        let Sent { content, lines, seconds } = runtime.block_on(ship(&mesh, &tree, number, nodes))?;
        let cpu = mesh.cpu() - cpu;
        let on_lines = lines.map_or_else(|| "(no ss)".to_owned(), |bytes| bytes.to_string());
        println!(
            "| {step} | {content} | {on_lines} | {:.4} | {seconds:.3} | {:.2} | {cpu:.2} |",
            content as f64 / size,
            seconds / plain
        );
        let all = json!({
            "nodes": nodes, "megabits": megabits, "shell_bytes": bytes.len(), "content_bytes": content, "line_bytes": lines,
            "seconds": seconds, "plain_copy_seconds": plain, "ratio_bytes": content as f64 / size, "cpu_s": cpu,
        });
        options.figures.add("ship", step, &all)?;
    }
    Ok(())
}

struct Sent {
    content: u64,
    lines: Option<u64>,
    seconds: f64,
}

/// Opens a run and waits until all nodes are ready for it.
async fn ship(mesh: &Mesh, tree: &Tree, number: u64, nodes: usize) -> Result<Sent> {
    let own = mesh.own();
    let before = line_bytes(mesh);
    let mut client = Client::connect(&own.socket(), "bench", None).await?;
    let begun = Instant::now();
    client.send(Request::Run(RunRequest::Open(Box::new(open(tree, number))))).await?;
    let (mut content, mut ready) = (0, BTreeSet::new());
    while ready.len() < nodes {
        let answer = tokio::time::timeout(PATIENCE, client.next()).await??;
        match answer.reply {
            Reply::Run(RunReply::Shipped(bytes)) => content += bytes,
            Reply::Run(RunReply::Ready { peer, .. }) => {
                ready.insert(peer);
            }
            Reply::Run(RunReply::Unfit { why, .. } | RunReply::Unshippable(why)) => return Err(why.into()),
            _ => {}
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    // What was sent last is told a moment later.
    while let Ok(answer) = tokio::time::timeout(Duration::from_millis(300), client.next()).await {
        if let Reply::Run(RunReply::Shipped(bytes)) = answer?.reply {
            content += bytes;
        }
    }
    let lines = line_bytes(mesh).zip(before).map(|(after, before)| after - before);
    Ok(Sent { content, lines, seconds })
}

/// Bytes that the client's node has sent on its TCP connections, as the kernel counts them; none without `ss`.
fn line_bytes(mesh: &Mesh) -> Option<u64> {
    let pid = mesh.own().pid();
    let mut ss = mesh.lines.as_ref().map_or_else(|| Command::new("ss"), |lines| lines.command(0, "ss"));
    let told = ss.args(["-tinpHO", "state", "established"]).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let own = format!("pid={pid},");
    let sent = |line: &str| {
        let word = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("bytes_sent:"));
        word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
    };
    told.status.success().then(|| text.lines().filter(|line| line.contains(&own)).map(sent).sum())
}

/// Seconds for the bytes through one TCP connection into a file, over the same lines.
fn raw_copy(bytes: &[u8], to: &std::path::Path, lines: Option<&Lines>) -> Result<f64> {
    let host = lines.map_or_else(|| "127.0.0.1".to_owned(), |lines| lines.address(1));
    let listener = socket(lines, 1, || TcpListener::bind((host, 0)))?;
    let address = listener.local_addr()?;
    let begun = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let receiver = scope.spawn(move || -> std::io::Result<()> {
            let (mut stream, mut file) = (listener.accept()?.0, std::fs::File::create(to)?);
            let mut buffer = vec![0; 256 << 10];
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    count => file.write_all(&buffer[..count])?,
                }
            }
        });
        let mut stream = socket(lines, 0, || TcpStream::connect(address))?;
        stream.write_all(bytes)?;
        drop(stream);
        Ok(receiver.join().map_err(|_| "the receiver panicked")??)
    })?;
    Ok(begun.elapsed().as_secs_f64())
}

/// A socket on a node's line: it stays there, whoever uses it.
fn socket<S: Send>(
    lines: Option<&Lines>,
    node: usize,
    make: impl FnOnce() -> std::io::Result<S> + Send,
) -> Result<S> {
    let made = std::thread::scope(|scope| {
        let making = scope.spawn(|| {
            if let Some(lines) = lines {
                lines.enter(node).map_err(|error| error.to_string())?;
            }
            make().map_err(|error| error.to_string())
        });
        making.join()
    });
    Ok(made.map_err(|_| "a thread panicked")??)
}
