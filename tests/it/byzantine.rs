//! Peers that are trusted and do not keep to the protocol: real nodes and runs against a peer that is a script.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::AsyncWriteExt;
use serde_bytes::{ByteArray, ByteBuf};
use testmesh::blobs::wire::{Answer, Ask, Given, read_frame, write_frame};
use testmesh::blobs::{BlobId, Chunk, LargeFile, Manifest, hash};
use testmesh::job::{Arg, Captured, Exit, Job, JobId, Ladder, Limits, Output, Root, RootedPath, Status};
use testmesh::local::run::pack;
use testmesh::node::machine::platform;
use testmesh_behaviours::blobs::stream::BlobStream;
use testmesh_behaviours::event::Event;
use testmesh_behaviours::id::{Digest, NodeKey};
use testmesh_behaviours::network::{Network, NetworkConfig};
use testmesh_behaviours::status::hello::{Hello, HelloRequest, HelloResponse, Rights};
use testmesh_behaviours::status::wire::{Load, StatusRequest, StatusResponse};
use testmesh_behaviours::work::message::{
    OfferReply, Refusal, Results, RunId, RunOpen, Which, WorkRequest, WorkResponse,
};
use testmesh_behaviours::work::offer::{InputDigest, LIFE_MAX, Offer, SignedOffer};
use testmesh_behaviours::{Multiaddr, PeerId};
use testmesh_keys::identity::Identity;

use crate::support::plant;

/// Tests in the tree.
const TESTS: usize = 40;
/// Nothing that these tests wait for takes a loaded machine longer.
const PATIENCE: Duration = Duration::from_secs(180);
const MESH: &str = "byzantine";

const SHELL: &str = "#!/bin/sh\nfor last; do :; done\ncase $last in print*) echo 'testmesh canary'; exit 0 ;; esac\nsleep 0.05\n";
fn ctl(home: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_meshctl")).arg("--home").arg(home).args(arguments).output().unwrap()
}

/// Asks a node for its status until that is as it should be.
fn status_when(home: &Path, what: &str, holds: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let told = ctl(home, &["status", "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_slice(&told).unwrap_or_default();
        if holds(&status) {
            return status;
        }
        assert!(std::time::Instant::now() < until, "not yet so: {what}");
    }
}

/// An honest node that trusts the enemy.
struct Node {
    process: Child,
    home: PathBuf,
    address: Multiaddr,
    peer: PeerId,
    key: NodeKey,
    _folder: tempfile::TempDir,
}

impl Node {
    fn start(enemy: &Identity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        assert!(ctl(&home, &["setup", "--name", "honest", "--mesh", MESH]).status.success());
        let add = |name: &str, text: &str| {
            let file = home.join(name);
            let old = std::fs::read_to_string(&file).unwrap();
            std::fs::write(file, old + text).unwrap();
        };
        add("config.toml", "\nmdns = false\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nslots = 2\n");
        add("allowlist", &format!("{} submit,work 1 enemy\n", enemy.public()));
        let process = Command::new(env!("CARGO_BIN_EXE_meshd"))
            .args(["--while-stdin-is-open", "--home"])
            .arg(&home)
            .stdin(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let status = status_when(&home, "it listens", |status| {
            status["listen"].as_array().is_some_and(|all| !all.is_empty())
        });
        let address = status["listen"][0].as_str().unwrap().parse().unwrap();
        let key: testmesh_keys::key::PublicKey = status["key"].as_str().unwrap().parse().unwrap();
        let key = NodeKey::new(*key.as_bytes());
        Node { process, home, address, peer: key.peer().unwrap(), key, _folder: folder }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What reaches the enemy.
enum Heard {
    /// The honest node has said that it trusts it.
    Trusted,
    /// A request; the return value answers it.
    Work(WorkRequest),
    /// The answer to one of its own.
    Answer(WorkResponse),
    /// Content is asked for.
    Blob(BlobStream),
}

/// A trusted peer that does what a function says.
struct Enemy {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Enemy {
    fn start(
        identity: &Identity,
        node: &Node,
        mut does: impl FnMut(&mut Network, Heard) -> WorkResponse + Send + 'static,
    ) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (secret, peer, address) = (identity.secret_bytes(), node.peer, node.address.clone());
        let over = Arc::clone(&ends);
        let work = async move {
            let mut network = Network::new(NetworkConfig::new(secret, MESH)).unwrap();
            network.admit(peer);
            network.dial(&address);
            let mut trusted = false;
            let mut clock = tokio::time::interval(Duration::from_millis(20));
            while !over.load(Ordering::Relaxed) {
                let event = tokio::select! {
                    event = network.next() => event,
                    _ = clock.tick() => continue,
                };
                match event {
                    Event::Connected { peer, .. } => {
                        network.say_hello(peer, HelloRequest::Hello(hello()));
                        network.ask_status(peer, StatusRequest::Load(load()));
                    }
                    Event::Disconnected { .. } => network.dial(&address),
                    Event::Hello { reply, .. } => network.answer_hello(reply, HelloResponse::Hello(hello())),
                    Event::HelloAnswer { answer: HelloResponse::Hello(theirs), .. }
                        if theirs.trust == Rights::ALL && !std::mem::replace(&mut trusted, true) =>
                    {
                        does(&mut network, Heard::Trusted);
                    }
                    Event::Status { request: StatusRequest::Load(_), reply, .. } => {
                        network.answer_status(reply, StatusResponse::Load(load()));
                    }
                    Event::Status { reply, .. } => network.answer_status(reply, StatusResponse::Same),
                    Event::Work { request, reply, .. } => {
                        let answer = does(&mut network, Heard::Work(request));
                        network.answer_work(reply, answer);
                    }
                    Event::WorkAnswer { answer, .. } => drop(does(&mut network, Heard::Answer(answer))),
                    Event::BlobStream { stream, .. } => drop(does(&mut network, Heard::Blob(stream))),
                    _ => {}
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(work));
        Enemy { ends, thread: Some(thread) }
    }
}

impl Drop for Enemy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "the enemy panicked");
    }
}

fn hello() -> Hello {
    let (version, name) = (env!("CARGO_PKG_VERSION").to_owned(), "enemy".to_owned());
    let [digest, revocations] = [Digest::new([0; 32]); 2];
    Hello { version, name, digest, revocations, trust: Rights::ALL, platform: platform() }
}

fn load() -> Load {
    Load { slots: 4, speed: 1_000, tier: 1, ..Load::default() }
}

fn identity(number: u8) -> Identity {
    Identity::from_secret_bytes([number; 32]).unwrap()
}

/// How a worker misbehaves once it has said that it is ready and has taken jobs.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Nothing is heard of them again.
    Silent,
    /// All are given back, again and again.
    GivesBack,
    /// Results of jobs nobody offered, of other runs and other attempts, each of them a lie, and each twice.
    Invents,
    /// Batches that are no results, that unpack to more than anybody sends, and whose parts never all come.
    Babbles,
    /// Thousands of messages for every offer, none of which helps.
    Floods,
}

fn lie(id: JobId) -> (JobId, Output) {
    let stdout = Captured { bytes: b"a lie".to_vec(), dropped: 0 };
    let (stderr, exit) = (Captured::default(), Exit::Ended(Status::Code(1)));
    (id, Output { exit, stdout, stderr, duration: Duration::from_millis(1), max_rss: 0 })
}

impl Manner {
    /// A worker that behaves like this.
    fn worker(self, node: &Node) -> impl FnMut(&mut Network, Heard) -> WorkResponse + Send + 'static {
        let (peer, mut batch) = (node.peer, 0);
        move |network, heard| match heard {
            Heard::Work(WorkRequest::RunOpen(open)) => {
                // Nothing was fetched and no trial run made.
                network.send_work(peer, WorkRequest::RunReady { run: open.run, why: None });
                WorkResponse::Done
            }
            Heard::Work(WorkRequest::Offer(signed)) => {
                let offer: Offer = cbor4ii::serde::from_slice(&signed.bytes).unwrap();
                let accepted: Vec<JobId> = offer.jobs.iter().map(|job| job.id).collect();
                for request in self.after(&offer, &accepted, &mut batch) {
                    network.send_work(peer, request);
                }
                WorkResponse::Offer(OfferReply { accepted, refused: Vec::new(), room: 64 })
            }
            _ => WorkResponse::Done,
        }
    }

    fn after(self, offer: &Offer, jobs: &[JobId], batch: &mut u64) -> Vec<WorkRequest> {
        let run = offer.run;
        let mut part = |run, bytes: Vec<u8>, part, parts| {
            *batch += u64::from(part == 0);
            WorkRequest::Results(Results { run, batch: *batch - 1, part, parts, bytes: ByteBuf::from(bytes) })
        };
        match self {
            Manner::Silent => Vec::new(),
            Manner::GivesBack => vec![WorkRequest::GiveBack { run, jobs: jobs.to_vec() }],
            Manner::Invents => {
                let invented = |change: fn(&mut JobId)| {
                    let changed = jobs.iter().map(|id| {
                        let mut id = *id;
                        change(&mut id);
                        lie(id)
                    });
                    pack(&changed.collect::<Vec<_>>()).unwrap()
                };
                let others = invented(|id| id.run ^= 1);
                let requests = [
                    part(run, invented(|id| id.sequence += 100_000), 0, 1),
                    part(run, invented(|id| id.attempt += 7), 0, 1),
                    part(run, others.clone(), 0, 1),
                    part(RunId(run.0 ^ 1), others, 0, 1),
                ];
                requests.iter().chain(&requests).cloned().collect()
            }
            Manner::Babbles => vec![
                part(run, b"no results".to_vec(), 0, 1),
                part(run, zstd::bulk::compress(&vec![0; 200 << 20], 1).unwrap(), 0, 1),
                part(run, vec![7; 1_000_000], 0, 32),
                part(run, vec![7; 1_000_000], 0, 32),
                part(run, vec![7; 1_000_000], 31, 32),
            ],
            Manner::Floods => {
                let ready = |_| WorkRequest::RunReady { run, why: None };
                let endless = (0..100).map(|_| part(run, vec![7; 1_000_000], 0, 2));
                (0..2000).map(ready).chain(endless).collect()
            }
        }
    }
}

/// A run over a worker that behaves like this: verdicts are those of a local run, each once, and it ends.
fn run_with(manner: Manner, number: u8) -> String {
    let enemy = identity(number);
    let node = Node::start(&enemy);
    let _worker = Enemy::start(&enemy, &node, manner.worker(&node));
    status_when(&node.home, "the enemy is trusted and trusts", |status| status["mutual"] == 1);
    let root = node.home.join("v8");
    plant(&root, TESTS, SHELL);
    let mut child = Command::new(env!("CARGO_BIN_EXE_run-tests"))
        .arg(format!("--workspace={}", root.display()))
        .args(["--outdir=out/x64.release", "--variants=default", "--min-remote=0", "-p", "verbose"])
        .args(["-j1", "mjsunit"])
        .env("TESTMESH_HOME", &node.home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = rustix::process::Pid::from_child(&child);
    let (done, waits) = channel();
    let watchdog = std::thread::spawn(move || {
        let hangs = waits.recv_timeout(PATIENCE).is_err();
        if hangs {
            // One that has ended meanwhile is not there to be killed.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        hangs
    });
    let [mut out, mut err] = [String::new(), String::new()];
    let mut errors = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        std::io::Read::read_to_string(&mut errors, &mut err).unwrap();
        err
    });
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut out).unwrap();
    let status = child.wait().unwrap();
    // The watchdog may have given up already.
    let _ = done.send(());
    let err = reader.join().unwrap();
    assert!(!watchdog.join().unwrap(), "{manner:?}: the run does not end\n{out}{err}");
    assert_eq!(status.code(), Some(0), "{manner:?}\n{out}{err}");
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, outcome) in out.lines().filter_map(|line| line.split_once(" default: ")) {
        assert_eq!(outcome, "PASS", "{manner:?}: {name}");
        *told.entry(name).or_default() += 1;
    }
    assert_eq!((told.len(), told.values().max()), (TESTS, Some(&1)), "{manner:?}\n{out}{err}");
    let told = out + &err;
    assert!(told.contains("enemy"), "{manner:?}: it was not used\n{told}");
    told
}

#[test]
fn a_worker_that_takes_jobs_and_is_silent_costs_no_test() {
    let told = run_with(Manner::Silent, 11);
    assert!(told.contains("ran twice at once") && told.contains("enemy              0 tests"), "{told}");
}

#[test]
fn a_worker_that_gives_everything_back_costs_no_test() {
    let told = run_with(Manner::GivesBack, 12);
    assert!(told.contains("enemy              0 tests"), "{told}");
}

#[test]
fn results_that_nobody_asked_for_change_nothing() {
    let told = run_with(Manner::Invents, 13);
    assert!(!told.contains("contradicted"), "nobody asked, so nobody listens: {told}");
}

#[test]
fn results_that_are_none_change_nothing() {
    let told = run_with(Manner::Babbles, 14);
    assert!(told.contains("enemy is not used any more in this run: its results cannot be read"), "{told}");
}

#[test]
fn a_worker_that_floods_costs_no_test() {
    let told = run_with(Manner::Floods, 15);
    assert!(told.contains("enemy              0 tests"), "{told}");
}

/// What a submitter serves when it is asked for a blob.
#[derive(Debug, Clone, Copy)]
enum Serves {
    /// What was asked for, whatever it is.
    Right,
    /// As many other bytes.
    Wrong,
    /// Says it sends more than was asked for, and goes on for ever.
    Endless,
}

async fn serve(mut stream: BlobStream, blobs: BTreeMap<BlobId, Vec<u8>>, serves: Serves) {
    while let Ok(ask) = read_frame::<Ask>(&mut stream).await {
        let contents = ask.wants.iter().map(|want| blobs.get(&want.id).cloned().unwrap_or_default());
        let contents: Vec<Vec<u8>> = contents.collect();
        for content in &contents {
            let length = if matches!(serves, Serves::Endless) { u64::MAX } else { content.len() as u64 };
            if write_frame(&mut stream, &Answer::Sending { length }).await.is_err() {
                return;
            }
        }
        if write_frame(&mut stream, &Given::default()).await.is_err() {
            return;
        }
        for content in contents {
            let wrong = || content.iter().map(|byte| byte ^ 1).collect();
            let bytes: Vec<u8> = match serves {
                Serves::Right => content.clone(),
                Serves::Wrong => wrong(),
                Serves::Endless => vec![0; 1 << 16],
            };
            while stream.write_all(&bytes).await.is_ok() && matches!(serves, Serves::Endless) {}
        }
        // Whoever asked may have gone.
        let _ = stream.flush().await;
    }
}

fn job(run: RunId, sequence: u32) -> Job {
    let cwd = RootedPath { root: Root::Workspace, path: String::new() };
    let limits = Limits { wall: Duration::from_secs(10), output: 1 << 16, ladder: Ladder::Kill };
    let id = JobId { run: run.0, sequence, attempt: 0 };
    Job { id, argv: vec![Arg::Text("/bin/true".to_owned())], env: Vec::new(), cwd, limits }
}

fn open(run: RunId, manifest: BlobId) -> RunOpen {
    let inputs = vec![InputDigest { root: Root::Workspace, manifest }];
    RunOpen { run, inputs, canary: job(run, 0), answer: ByteBuf::new() }
}

fn manifest(path: &str) -> (BlobId, Vec<u8>) {
    let content = Chunk { id: hash(b"content"), len: 7 };
    let file = LargeFile { path: path.to_owned(), executable: false, chunks: vec![content] };
    let manifest = Manifest { format: 1, root: Root::Workspace, packs: Vec::new(), files: vec![file] };
    let bytes = cbor4ii::serde::to_vec(Vec::new(), &manifest).unwrap();
    (hash(&bytes), bytes)
}

/// A submitter that opens a run; what the node says of it comes out.
fn submitter(
    node: &Node,
    (manifest, bytes): (BlobId, Vec<u8>),
    serves: Serves,
    said: Sender<Option<String>>,
) -> impl FnMut(&mut Network, Heard) -> WorkResponse + Send + 'static {
    let (peer, run) = (node.peer, RunId(7));
    let blobs = BTreeMap::from([(manifest, bytes), (hash(b"content"), b"content".to_vec())]);
    move |network, heard| {
        match heard {
            Heard::Trusted => drop(network.send_work(peer, WorkRequest::RunOpen(open(run, manifest)))),
            // Not reconciled yet, so not now.
            Heard::Answer(WorkResponse::Refused(_)) => {
                network.send_work(peer, WorkRequest::RunOpen(open(run, manifest)));
            }
            Heard::Blob(stream) => drop(tokio::spawn(serve(stream, blobs.clone(), serves))),
            Heard::Work(WorkRequest::RunReady { why, .. }) => said.send(why).unwrap(),
            _ => {}
        }
        WorkResponse::Done
    }
}

fn prepare(number: u8, what: (BlobId, Vec<u8>), serves: Serves) -> (Option<String>, PathBuf, Node) {
    let enemy = identity(number);
    let node = Node::start(&enemy);
    let (said, hears): (_, Receiver<Option<String>>) = channel();
    let _submitter = Enemy::start(&enemy, &node, submitter(&node, what, serves, said));
    let why = hears.recv_timeout(PATIENCE).unwrap();
    let store = node.home.join("cache/blobs/objects");
    (why, store, node)
}

/// Everything below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn an_honest_submitter_of_this_kind_is_served() {
    let (why, store, _node) = prepare(21, manifest("test/right"), Serves::Right);
    assert_eq!(why, None);
    assert_eq!(files(&store).len(), 2);
}

#[test]
fn content_that_is_not_what_its_name_says_is_not_kept() {
    let (why, store, _node) = prepare(22, manifest("test/wrong"), Serves::Wrong);
    assert!(why.as_ref().is_some_and(|why| why.contains("cannot be had")), "{why:?}");
    assert_eq!(files(&store), Vec::<PathBuf>::new());
}

#[test]
fn content_without_end_is_not_listened_to() {
    let (why, store, _node) = prepare(23, manifest("test/endless"), Serves::Endless);
    assert!(why.as_ref().is_some_and(|why| why.contains("cannot be had")), "{why:?}");
    assert_eq!(files(&store), Vec::<PathBuf>::new());
}

#[test]
fn a_manifest_that_leads_out_of_its_tree_makes_no_file() {
    for (number, path) in [(24, "../../../evil"), (25, "/tmp/evil"), (26, "test/../../evil")] {
        let (why, _, node) = prepare(number, manifest(path), Serves::Right);
        assert!(why.as_ref().is_some_and(|why| why.contains("evil")), "{path}: {why:?}");
        assert!(!files(&node.home).iter().any(|file| file.ends_with("evil")), "{path}");
    }
}

/// Offers that a node must not take, and what it says of each.
#[test]
fn offers_that_do_not_hold_are_refused_with_their_reason() {
    let (enemy, stranger) = (identity(31), identity(32));
    let node = Node::start(&enemy);
    let (said, hears) = channel();
    let (peer, audience) = (node.peer, node.key);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let right = Offer {
        run: RunId(7),
        submitter: NodeKey::new(*enemy.public().as_bytes()),
        audience,
        sequence: 0,
        expires: now + 60,
        nonce: ByteArray::new([1; 16]),
        inputs: Vec::new(),
        jobs: vec![job(RunId(7), 1)],
    };
    let signed = |offer: &Offer, by: &Identity| SignedOffer::new(offer, |bytes| by.sign(bytes)).unwrap();
    let mut torn = signed(&right, &enemy);
    torn.bytes[20] ^= 1;
    let somebody = NodeKey::new(*stranger.public().as_bytes());
    let offers = [
        ("signed by another", signed(&right, &stranger), "NotTrusted"),
        ("changed on its way", torn, "NotTrusted"),
        ("another's", signed(&Offer { submitter: somebody, ..right.clone() }, &enemy), "Malformed"),
        ("for another", signed(&Offer { audience: somebody, ..right.clone() }, &enemy), "Malformed"),
        ("jobs of another run", signed(&Offer { run: RunId(8), ..right.clone() }, &enemy), "Malformed"),
        ("expired", signed(&Offer { expires: now - 1, ..right.clone() }, &enemy), "Stale"),
        ("too long", signed(&Offer { expires: now + 2 * LIFE_MAX, ..right.clone() }, &enemy), "Stale"),
        ("of no open run", signed(&right, &enemy), "UnknownRun"),
        ("said again", signed(&right, &enemy), "Stale"),
    ];
    let words: Vec<(&str, &str)> = offers.iter().map(|(what, _, word)| (*what, *word)).collect();
    let mut waiting: Vec<SignedOffer> = offers.into_iter().map(|(_, offer, _)| offer).rev().collect();
    let _submitter = Enemy::start(&enemy, &node, move |network, heard| {
        match heard {
            Heard::Trusted => {}
            // Not reconciled yet, so not now.
            Heard::Answer(WorkResponse::Refused(Refusal::Full)) => {}
            Heard::Answer(answer) => {
                waiting.pop();
                said.send(format!("{answer:?}")).unwrap();
            }
            _ => return WorkResponse::Done,
        }
        if let Some(next) = waiting.last() {
            network.send_work(peer, WorkRequest::Offer(next.clone()));
        } else {
            // What is not its own cannot be cancelled; the node answers and goes on.
            let which = Which::All;
            network.send_work(peer, WorkRequest::Cancel { run: RunId(99), which });
        }
        WorkResponse::Done
    });
    for (what, word) in words {
        let answer = hears.recv_timeout(PATIENCE).unwrap();
        assert!(answer.contains(word), "{what}: {answer}");
    }
    let cancelled = hears.recv_timeout(PATIENCE).unwrap();
    assert_eq!(cancelled, "Done");
}
