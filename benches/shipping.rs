//! What it costs to ship a test tree and a shell: scanning, packing, moving, making the tree; ratios to plain copies.
//!
//! Makes a tree of as many small files as asked for (default 50,000) and a pseudo-shell of 100 MB, and prints medians.
//! Everything stays on this host; the stream is a loopback TCP connection without encryption. Asserts nothing on time.
//! `cargo bench --bench shipping -- FILES ROUNDS [--json FILE]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "common/figures.rs"]
mod figures;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use figures::Figures;
use futures::{AsyncRead, AsyncWrite};
use serde_json::{Value, json};
use testmesh::backend::Workspaces;
use testmesh::blobs::manifest::Chunk;
use testmesh::blobs::transfer::{Coming, Gate, fetch, serve};
use testmesh::blobs::wire::{NodeKey, WANTS_MAX, Want};
use testmesh::blobs::{Offers, Scanned, Selection, Store, StoreConfig, scan};
use tokio::net::{TcpListener, TcpStream};

/// Files in one folder, about as in test262.
const FOLDER: usize = 25;
/// Bytes of the shell.
const SHELL: usize = 100 << 20;

fn main() {
    let mut words = std::env::args().skip(1).collect();
    let figures = Figures::take(&mut words);
    let mut numbers = words.iter().filter_map(|word| word.parse::<usize>().ok());
    let files = numbers.next().unwrap_or(50_000);
    let rounds = numbers.next().unwrap_or(3).max(1);
    let place = tempfile::tempdir().expect("a temporary folder");
    plant(&place.path().join("v8"), files).expect("room for the tree");
    println!("{files} files, a shell of {} MB, {rounds} rounds, medians, wall", SHELL >> 20);
    let table = Table { figures, rounds };
    tree(place.path(), &table);
    shell(place.path(), &table);
}

fn plant(root: &Path, files: usize) -> std::io::Result<()> {
    let data = root.join("test/test262/data/test");
    for index in 0..files {
        let folder = data.join(format!("f{}", index / FOLDER));
        if index % FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        let body =
            "assert.sameValue(actual, expected, 'as the specification says');\n".repeat(5 + index % 40);
        let text = format!("// Test {index}.\n/*---\ndescription: number {index}\n---*/\n{body}");
        fs::write(folder.join(format!("t{index}.js")), text)?;
    }
    Ok(())
}

fn store(dir: &Path) -> Store {
    Store::open(StoreConfig { floor: 0, ..StoreConfig::new(dir.to_owned()) }).expect("a store")
}

/// Scans as if it were later, when everything has settled.
fn ship(place: &Path, dir: &str, store: &Store, selection: &Selection) -> Scanned {
    let later = SystemTime::now() + Duration::from_secs(60);
    scan(&place.join(dir), selection, store, &place.join("cache"), later).expect("a scan")
}

fn tree(place: &Path, table: &Table) {
    let selection = Selection::Workspace { paths: vec!["test".to_owned()] };
    let (mut first, mut second, mut changed, mut walk) = (vec![], vec![], vec![], vec![]);
    let mut last = None;
    for round in 0..table.rounds {
        let store = store(&place.join(format!("tree-{round}")));
        let _ = fs::remove_file(place.join("cache"));
        walk.push(timed(|| read_all(&place.join("v8/test"))));
        first.push(timed(|| ship(place, "v8", &store, &selection)));
        second.push(timed(|| assert_eq!(ship(place, "v8", &store, &selection).bytes_read, 0)));
        let before = ship(place, "v8", &store, &selection);
        let file = place.join("v8/test/test262/data/test/f7/t175.js");
        fs::write(file, format!("changed {round}")).expect("a changed file");
        changed.push(timed(|| last = Some(ship(place, "v8", &store, &selection))));
        let after = last.as_ref().expect("a scan");
        if round == 0 {
            let blobs = after.manifest.blobs();
            let size: u64 = blobs.iter().map(|blob| u64::from(blob.len)).sum();
            let raw = after.manifest.tree_bytes();
            println!("tree of {raw} bytes in {} packs of {size} bytes", blobs.len());
            table.bytes("one changed file ships", new_bytes(&before, after, &store), None);
        }
    }
    table.row("read all, one thread", &walk, None);
    table.row("first scan: read, pack, keep", &first, Some(&walk));
    table.row("second scan, nothing changed", &second, Some(&walk));
    table.row("scan, one file changed", &changed, Some(&walk));
    let scanned = last.expect("a scan");
    make(place, &scanned, &store(&place.join(format!("tree-{}", table.rounds - 1))), table);
}

fn make(place: &Path, scanned: &Scanned, store: &Store, table: &Table) {
    let (mut copy, mut made, mut again) = (vec![], vec![], vec![]);
    for round in 0..table.rounds {
        copy.push(timed(|| copy_all(&place.join("v8"), &place.join(format!("copy-{round}")))));
        let workspaces = Workspaces::open(&place.join(format!("trees-{round}")), 2).expect("a folder");
        made.push(timed(|| drop(workspaces.prepare(store, &scanned.id).expect("a tree"))));
        again.push(timed(|| drop(workspaces.prepare(store, &scanned.id).expect("a tree"))));
    }
    table.row("plain copy of the tree", &copy, None);
    table.row("make the tree from packs", &made, Some(&copy));
    table.row("check it for the next run", &again, Some(&copy));
}

fn shell(place: &Path, table: &Table) {
    let mut bytes = noise(SHELL, 1);
    fs::create_dir_all(place.join("out")).expect("a folder");
    fs::write(place.join("out/d8"), &bytes).expect("a shell");
    let selection = Selection::Build { programs: vec!["d8".to_owned()] };
    let from = store(&place.join("shell"));
    let mut before = None;
    let first = timed(|| before = Some(ship(place, "out", &from, &selection)));
    table.row("scan of the shell", &[first], None);
    let before = before.expect("a scan");
    relink(&mut bytes);
    fs::write(place.join("out/d8"), &bytes).expect("a shell");
    let after = ship(place, "out", &from, &selection);
    let new = new_bytes(&before, &after, &from);
    table.bytes("shell linked anew ships", new, Some(new as f64 / SHELL as f64));
    let again = new_bytes(&after, &ship(place, "out", &from, &selection), &from);
    table.bytes("unchanged shell ships", again, None);
    let (mut raw, mut sent) = (vec![], vec![]);
    for round in 0..table.rounds {
        raw.push(timed(|| run(copy_over_tcp(&bytes))));
        let to = store(&place.join(format!("received-{round}")));
        sent.push(timed(|| run(send_over_tcp(&from, &to, &after.manifest.blobs()))));
    }
    table.row("raw TCP copy of the shell", &raw, None);
    table.row("store to store over TCP", &sent, Some(&raw));
}

/// Forty places where something was added, taken away or changed, as in a program linked after an edit.
fn relink(bytes: &mut Vec<u8>) {
    for place in 1..40 {
        let at = place * SHELL / 41;
        let (taken, added) = (place * 7 % 300, place * 13 % 400);
        bytes.splice(at..at + taken, noise(added, place as u64));
    }
}

fn new_bytes(before: &Scanned, after: &Scanned, store: &Store) -> u64 {
    let known = before.manifest.blobs();
    let blobs: u64 = after
        .manifest
        .blobs()
        .iter()
        .filter(|blob| !known.contains(blob))
        .map(|blob| u64::from(blob.len))
        .sum();
    let manifest = if before.id == after.id { 0 } else { store.length(&after.id).unwrap_or_default() };
    blobs + manifest
}

/// Bytes that neither repeat nor compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (near, far) = futures::join!(TcpStream::connect(address), listener.accept());
    (near.expect("a connection"), far.expect("a connection").0)
}

/// The bytes through a connection and into a file.
async fn copy_over_tcp(bytes: &[u8]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut near, mut far) = connected().await;
    let send = async {
        near.write_all(bytes).await.expect("sent");
        drop(near);
    };
    let receive = async {
        let mut file = tempfile::tempfile().expect("a file");
        let mut buffer = vec![0; 256 << 10];
        loop {
            match far.read(&mut buffer).await.expect("received") {
                0 => break,
                count => file.write_all(&buffer[..count]).expect("written"),
            }
        }
    };
    futures::join!(send, receive);
}

async fn send_over_tcp(from: &Store, to: &Store, blobs: &[Chunk]) {
    let (near, far) = connected().await;
    let offers = Arc::new(Mutex::new(Offers::new()));
    let gate = Gate::admit(offers, NodeKey::new([1; 32]));
    let receive = async {
        let mut near = Tcp(near);
        for part in blobs.chunks(WANTS_MAX) {
            let want = |blob: &Chunk| Want { id: blob.id, offset: 0, most: blob.len.into(), insist: true };
            let wants: Vec<Want> = part.iter().map(want).collect();
            fetch(&mut near, to, &wants, |_| ()).await.expect("received");
        }
        drop(near);
    };
    futures::join!(async { serve(Tcp(far), from, Coming::default(), gate).await.expect("served") }, receive);
    assert!(blobs.iter().all(|blob| to.has(&blob.id)));
}

/// A futures stream over a tokio one.
struct Tcp(TcpStream);

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut [u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let mut room = tokio::io::ReadBuf::new(buffer);
        let read = tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), cx, &mut room);
        read.map_ok(|()| room.filled().len())
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(std::pin::Pin::new(&mut self.0), cx, buffer)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(std::pin::Pin::new(&mut self.0), cx)
    }

    fn poll_close(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut self.0), cx)
    }
}

fn read_all(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            read_all(&entry.path());
        } else if let Ok(mut file) = fs::File::open(entry.path()) {
            let mut bytes = Vec::new();
            let _ = file.read_to_end(&mut bytes);
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    let _ = fs::create_dir(to);
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy_all(&entry.path(), &target);
        } else {
            let _ = fs::copy(entry.path(), target);
        }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

/// What is printed, and where it is told to programs.
struct Table {
    figures: Figures,
    rounds: usize,
}

impl Table {
    /// Seconds, and the ratio to a floor measured beside.
    fn row(&self, what: &str, times: &[Duration], floor: Option<&[Duration]>) {
        let time = median(times).as_secs_f64();
        let ratio = floor.map(|floor| time / median(floor).as_secs_f64());
        let words = ratio.map_or_else(String::new, |ratio| format!("  {ratio:6.2} x"));
        println!("{what:30} {time:8.3} s{words}");
        self.tell(what, &json!({ "seconds": time, "ratio": ratio }));
    }

    /// Bytes that travel, and their share of all.
    fn bytes(&self, what: &str, bytes: u64, share: Option<f64>) {
        let words = share.map_or_else(String::new, |share| format!(", {share:.3} x"));
        println!("{what:26} {bytes:10} bytes{words}");
        self.tell(what, &json!({ "bytes": bytes, "share": share }));
    }

    fn tell(&self, what: &str, figures: &Value) {
        self.figures.add("shipping", what, figures).expect("figures written");
    }
}
