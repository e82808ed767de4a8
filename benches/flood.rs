//! What floods cost a node, and whether those it trusts are served meanwhile: figures, nothing asserted.
//!
//! A real `meshd` on loopback, a friend that asks it for its load twenty times a second, and an enemy: first a
//! stranger, then a machine the owner approved by mistake. Printed of each flood: how much, how long, the node's
//! memory before and at most, bytes written to its home, and the friend's longest wait.
//!
//! ```text
//! cargo bench --bench flood -- [HOW MANY] [--json FILE]        default 20000
//! ```
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "common/figures.rs"]
mod figures;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use figures::Figures;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts as TransportDial, PortUse, Transport};
use libp2p::core::{Endpoint, upgrade::Version};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Codec, Config, ProtocolSupport, cbor};
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, gossipsub, noise, tcp, yamux};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use testmesh_behaviours::event::Event;
use testmesh_behaviours::gossip::{gossip, topic};
use testmesh_behaviours::id::{Digest, NodeKey};
use testmesh_behaviours::network::{Network, NetworkConfig};
use testmesh_behaviours::status::hello::{self, Hello, HelloRequest, HelloResponse, Rights};
use testmesh_behaviours::status::wire::{self, Load, StatusRequest, StatusResponse};
use testmesh_keys::identity::Identity;
use testmesh_keys::statement::{Deny, Reason, Signed, Statement, Vouches};

const MESH: &str = "flood";
/// Handshakes under way at once.
const AT_ONCE: usize = 48;

fn main() {
    let mut words = std::env::args().skip(1).collect();
    let figures = Figures::take(&mut words);
    let count = words.iter().filter_map(|word| word.parse().ok()).next_back().unwrap_or(20_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (friend, enemy) = (identity(1), identity(2));
    let node = Node::start(&[&friend, &enemy]);
    let meter = Arc::new(Meter::default());
    let ends = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| befriend(&friend, &node, &meter, &ends));
        scope.spawn(|| weigh(&node, &meter, &ends));
        while meter.answers.lock().expect("answers").is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        println!(
            "{:44} {:>9} {:>8} {:>17} {:>9} {:>9}",
            "flood", "count", "seconds", "MiB before..most", "written", "wait ms"
        );
        let measure = |what: &str, flood: &mut dyn FnMut() -> u64| {
            let all = measure(&node, &meter, what, flood);
            figures.add("flood", what, &all).expect("figures written");
        };
        measure("nothing, for comparison", &mut || {
            std::thread::sleep(Duration::from_secs(3));
            0
        });
        measure("stranger: connections and handshakes", &mut || {
            runtime.block_on(dials(&node, count.min(10_000)))
        });
        measure("stranger: connections that say nothing", &mut || runtime.block_on(silence(&node, 2_000)));
        measure("stranger: hellos", &mut || {
            runtime.block_on(hellos(&node, &identity(3), count.min(100_000)))
        });
        measure("stranger: gossip", &mut || {
            runtime.block_on(announce(&node, &identity(3), count.min(20_000), Noise::Bytes))
        });
        measure("trusted: gossip of its own snapshots", &mut || {
            runtime.block_on(announce(&node, &enemy, count.min(20_000), Noise::Snapshots))
        });
        measure("trusted: denials pushed, each before the last", &mut || {
            runtime.block_on(push(&node, &enemy, count.min(20_000)))
        });
        measure("trusted: gossip of anything", &mut || {
            runtime.block_on(announce(&node, &enemy, count, Noise::Bytes))
        });
        measure("trusted: torn, nested and oversized requests", &mut || {
            runtime.block_on(malformed(&node, &enemy, count.min(20_000)))
        });
        measure("nothing, afterwards", &mut || {
            std::thread::sleep(Duration::from_secs(3));
            0
        });
        ends.store(true, Ordering::Relaxed);
    });
}

fn identity(number: u8) -> Identity {
    Identity::from_secret_bytes([number; 32]).expect("a key")
}

fn keypair(identity: &Identity) -> Keypair {
    Keypair::ed25519_from_bytes(identity.secret_bytes()).expect("a key")
}

/// The node under test.
struct Node {
    process: Child,
    folder: tempfile::TempDir,
    address: Multiaddr,
    peer: PeerId,
}

impl Node {
    fn start(approved: &[&Identity]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("home");
        let ctl = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
            command.arg("--home").arg(&home).args(arguments).output().expect("meshctl")
        };
        ctl(&["setup", "--name", "node", "--mesh", MESH]);
        let add = |name: &str, text: &str| {
            let file = home.join(name);
            let old = std::fs::read_to_string(&file).expect("a file of the home");
            std::fs::write(file, old + text).expect("a file of the home");
        };
        add("config.toml", "\nmdns = false\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nslots = 1\n");
        let lines: String = approved.iter().map(|one| format!("{}\n", one.public())).collect();
        add("allowlist", &lines);
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let process = Command::new(env!("CARGO_BIN_EXE_meshd"))
            .arg("--home")
            .arg(&home)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("meshd");
        let status = loop {
            let output = ctl(&["status", "--json"]);
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if status["listen"].as_array().is_some_and(|all| !all.is_empty()) {
                break status;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let address = status["listen"][0].as_str().expect("an address").parse().expect("an address");
        let key: testmesh_keys::key::PublicKey =
            status["key"].as_str().expect("a key").parse().expect("a key");
        let peer = NodeKey::new(*key.as_bytes()).peer().expect("a peer");
        Self { process, folder, address, peer }
    }

    fn status_line(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Ticks of processor time so far, a hundred a second.
    fn ticks(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        field(11) + field(12)
    }

    fn written(&self) -> u64 {
        size(&self.folder.path().join("home"))
    }

    /// Until it has nothing more to do, a minute at most.
    fn rest(&self) {
        for _ in 0..120 {
            let before = self.ticks();
            std::thread::sleep(Duration::from_millis(500));
            if self.ticks() <= before + 3 {
                return;
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    };
    let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.iter().map(|path| size(path)).sum()
}

/// What is seen of the node from outside.
#[derive(Default)]
struct Meter {
    /// How long the friend waited, each time.
    answers: Mutex<Vec<Duration>>,
    failures: AtomicU64,
    most: AtomicU64,
}

fn weigh(node: &Node, meter: &Meter, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        meter.most.fetch_max(node.status_line("VmRSS:"), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn measure(node: &Node, meter: &Meter, what: &str, flood: &mut dyn FnMut() -> u64) -> Value {
    node.rest();
    let (before, written) = (node.status_line("VmRSS:"), node.written());
    meter.most.store(before, Ordering::Relaxed);
    meter.answers.lock().expect("answers").clear();
    let begun = Instant::now();
    let count = flood();
    let took = begun.elapsed();
    node.rest();
    let answers = std::mem::take(&mut *meter.answers.lock().expect("answers"));
    let wait = answers.iter().max().map_or(0, Duration::as_millis);
    let (most, failed) = (meter.most.load(Ordering::Relaxed), meter.failures.swap(0, Ordering::Relaxed));
    let failed = if failed > 0 { format!(", {failed} unanswered") } else { String::new() };
    let range = format!("{:.1}..{:.1}", before as f64 / 1024.0, most as f64 / 1024.0);
    let grown = node.written().saturating_sub(written);
    println!("{what:44} {count:>9} {:>8.1} {range:>17} {grown:>9} {wait:>9}{failed}", took.as_secs_f64());
    json!({
        "count": count, "seconds": took.as_secs_f64(), "kib_before": before, "kib_most": most, "bytes_written": grown,
        "longest_wait_ms": u64::try_from(wait).unwrap_or(u64::MAX),
    })
}

fn introduction() -> HelloRequest {
    HelloRequest::Hello(Hello {
        version: "0".to_owned(),
        name: "flood".to_owned(),
        digest: Digest::new([0; 32]),
        revocations: Digest::new([0; 32]),
        trust: Rights::ALL,
        platform: Default::default(),
    })
}

/// Asks for the load, and notes how long each answer took.
fn befriend(identity: &Identity, node: &Node, meter: &Meter, ends: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut network = Network::new(NetworkConfig::new(identity.secret_bytes(), MESH)).expect("a network");
        network.admit(node.peer);
        network.dial(&node.address);
        let mut asked: Option<Instant> = None;
        let mut clock = tokio::time::interval(Duration::from_millis(50));
        while !ends.load(Ordering::Relaxed) {
            tokio::select! {
                event = network.next() => match event {
                    Event::Connected { peer, .. } => drop(network.say_hello(peer, introduction())),
                    Event::Disconnected { .. } => network.dial(&node.address),
                    Event::Hello { reply, .. } => network.answer_hello(reply, HelloResponse::Noted),
                    Event::Status { reply, .. } => network.answer_status(reply, StatusResponse::Same),
                    Event::StatusAnswer { .. } => {
                        if let Some(since) = asked.take() {
                            meter.answers.lock().expect("answers").push(since.elapsed());
                        }
                    }
                    Event::RequestFailed { .. }
                        if asked.take().is_some() && !meter.answers.lock().expect("answers").is_empty() =>
                    {
                        meter.failures.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {}
                },
                _ = clock.tick() => if asked.is_none() {
                    asked = Some(Instant::now());
                    network.ask_status(node.peer, StatusRequest::Load(Load::default()));
                },
            }
        }
    });
}

fn transport(keypair: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    let noise =
        noise::Config::new(keypair).expect("noise").with_prologue(format!("testmesh/1:{MESH}").into_bytes());
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(Duration::from_secs(10))
        .boxed()
}

async fn dials(node: &Node, count: u64) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let begun = Arc::new(AtomicU64::new(0));
    let tasks = (0..AT_ONCE).map(|_| {
        let (done, begun, address) = (done.clone(), begun.clone(), node.address.clone());
        tokio::spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < count {
                let mut transport = transport(&Keypair::generate_ed25519());
                let how = TransportDial { role: Endpoint::Dialer, port_use: PortUse::New };
                if let Ok(dial) = transport.dial(address.clone(), how) {
                    done.fetch_add(u64::from(dial.await.is_ok()), Ordering::Relaxed);
                }
            }
        })
    });
    futures::future::join_all(tasks).await;
    count
}

async fn silence(node: &Node, count: u64) -> u64 {
    let mut parts = node.address.iter();
    let (Some(libp2p::multiaddr::Protocol::Ip4(ip)), Some(libp2p::multiaddr::Protocol::Tcp(port))) =
        (parts.next(), parts.next())
    else {
        return 0;
    };
    let mut open = Vec::new();
    for _ in 0..count {
        // Refused ones count, too.
        if let Ok(stream) = tokio::net::TcpStream::connect((ip, port)).await {
            open.push(stream);
        }
        if open.len() >= 500 {
            open.clear();
        }
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    count
}

/// A machine with a tongue of its own.
#[derive(NetworkBehaviour)]
struct Enemy {
    hello: cbor::Behaviour<HelloRequest, HelloResponse>,
    status: cbor::Behaviour<StatusRequest, StatusResponse>,
    gossip: testmesh_behaviours::gossip::Gossip,
}

fn enemy(identity: &Identity) -> Swarm<Enemy> {
    let keypair = keypair(identity);
    let config = || Config::default().with_max_concurrent_streams(1000);
    let speak = |protocol: &'static str| [(StreamProtocol::new(protocol), ProtocolSupport::Full)];
    let behaviour = Enemy {
        hello: cbor::Behaviour::new(speak(hello::PROTOCOL), config()),
        status: cbor::Behaviour::new(speak(wire::PROTOCOL), config()),
        gossip: gossip(&keypair).expect("gossip"),
    };
    let forever = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(Duration::from_secs(u64::MAX));
    Swarm::new(transport(&keypair), behaviour, keypair.public().to_peer_id(), forever)
}

async fn connected(swarm: &mut Swarm<Enemy>, node: &Node) {
    swarm.dial(node.address.clone()).expect("a dial");
    while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    swarm.behaviour_mut().hello.send_request(&node.peer, introduction());
}

/// So many hellos, four at a time; an unanswered one counts, too.
async fn hellos(node: &Node, identity: &Identity, count: u64) -> u64 {
    let mut swarm = enemy(identity);
    connected(&mut swarm, node).await;
    let (mut sent, mut over) = (1, 0);
    while over < count {
        while sent < count && sent < over + 4 {
            swarm.behaviour_mut().hello.send_request(&node.peer, introduction());
            sent += 1;
        }
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(EnemyEvent::Hello(
                request_response::Event::Message {
                    message: request_response::Message::Response { .. }, ..
                }
                | request_response::Event::OutboundFailure { .. },
            )) => over += 1,
            SwarmEvent::ConnectionClosed { .. } => {
                swarm.dial(node.address.clone()).expect("a dial");
            }
            _ => {}
        }
    }
    count
}

/// What is announced.
#[derive(Clone, Copy, PartialEq)]
enum Noise {
    Bytes,
    Snapshots,
}

fn unix() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs()
}

fn snapshot(identity: &Identity, number: u64) -> Vec<u8> {
    let version = (unix() << 16) + number;
    let (issuer, issued_at) = (identity.public(), unix());
    let vouches = Vouches { issuer, version, issued_at, not_after: issued_at + 1000, entries: Vec::new() };
    Signed::new(Statement::Vouches(vouches), identity).expect("a statement").bytes().to_vec()
}

async fn announce(node: &Node, identity: &Identity, count: u64, noise: Noise) -> u64 {
    let mut swarm = enemy(identity);
    connected(&mut swarm, node).await;
    let limit = tokio::time::Instant::now() + Duration::from_secs(5);
    // A stranger waits in vain.
    let subscribed = async {
        while !matches!(
            swarm.select_next_some().await,
            SwarmEvent::Behaviour(EnemyEvent::Gossip(gossipsub::Event::Subscribed { .. }))
        ) {}
    };
    if tokio::time::timeout_at(limit, subscribed).await.is_err() {
        return 0;
    }
    let mut sent = 0;
    while sent < count {
        let bytes = match noise {
            Noise::Bytes => [&sent.to_le_bytes()[..], &[7; 100]].concat(),
            Noise::Snapshots => snapshot(identity, sent),
        };
        match swarm.behaviour_mut().gossip.publish(topic(), bytes) {
            Ok(_) => sent += 1,
            Err(gossipsub::PublishError::Duplicate) => sent += 1,
            Err(_) if !swarm.is_connected(&node.peer) => return sent,
            Err(_) => {}
        }
        // Sends what is queued.
        while tokio::time::timeout(
            Duration::from_micros(if sent % 64 == 0 { 500 } else { 0 }),
            swarm.select_next_some(),
        )
        .await
        .is_ok()
        {}
    }
    let _ = tokio::time::timeout(Duration::from_secs(2), async {
        loop {
            swarm.select_next_some().await;
        }
    })
    .await;
    sent
}

/// Denials in the order that displaces those held, each time.
async fn push(node: &Node, identity: &Identity, count: u64) -> u64 {
    let mut denials: Vec<Signed> = (0..count)
        .map(|number| {
            let mut subject = [9; 32];
            subject[..8].copy_from_slice(&number.to_le_bytes());
            let subject = Identity::from_secret_bytes(subject).expect("a key").public();
            let nonce = number.to_le_bytes();
            let (issuer, reason, issued_at) = (identity.public(), Reason::Misbehaving, unix());
            let deny = Deny { issuer, subject, reason, issued_at, nonce, note: String::new() };
            Signed::new(Statement::Deny(deny), identity).expect("a statement")
        })
        .collect();
    denials.sort_by_key(|denial| std::cmp::Reverse(denial.id()));
    let mut swarm = enemy(identity);
    connected(&mut swarm, node).await;
    let mut batches = denials.chunks(32).peekable();
    let mut under_way = 0;
    while batches.peek().is_some() || under_way > 0 {
        while under_way < 4
            && let Some(batch) = batches.next()
        {
            let batch = batch.iter().map(|denial| ByteBuf::from(denial.bytes().to_vec())).collect();
            swarm.behaviour_mut().status.send_request(&node.peer, StatusRequest::Push(batch));
            under_way += 1;
        }
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(EnemyEvent::Status(
                request_response::Event::Message {
                    message: request_response::Message::Response { .. }, ..
                }
                | request_response::Event::OutboundFailure { .. },
            )) => under_way -= 1,
            SwarmEvent::ConnectionClosed { .. } => return count,
            _ => {}
        }
    }
    count
}

/// Sends bytes as they are.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.take(1 << 20).read_to_end(&mut bytes).await.map(|_| bytes)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> std::io::Result<Vec<u8>> {
        self.read_request(protocol, io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> std::io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> std::io::Result<()> {
        self.write_request(protocol, io, bytes).await
    }
}

async fn malformed(node: &Node, identity: &Identity, count: u64) -> u64 {
    let keypair = keypair(identity);
    let protocol = (StreamProtocol::new(wire::PROTOCOL), ProtocolSupport::Full);
    let behaviour = request_response::Behaviour::<Raw>::new([protocol], Config::default());
    let forever = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(Duration::from_secs(u64::MAX));
    let mut swarm = Swarm::new(transport(&keypair), behaviour, keypair.public().to_peer_id(), forever);
    swarm.dial(node.address.clone()).expect("a dial");
    while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    let good = cbor4ii::serde::to_vec(Vec::new(), &StatusRequest::Push(vec![ByteBuf::from(vec![1; 500])]))
        .expect("a request");
    let bad = |number: u64| match number % 5 {
        // Cut, nested a hundred thousand deep, a list of 2^62, too long, another type.
        0 => good[..usize::try_from(number).unwrap_or(0) % good.len()].to_vec(),
        1 => vec![0x81; 100_000],
        2 => [&[0xa1, 0x64][..], b"Push", &[0x9b, 0x40, 0, 0, 0, 0, 0, 0, 0]].concat(),
        3 if number % 100 == 3 => vec![0x41; wire::REQUEST_MAX as usize + 1000],
        _ => vec![0xf6; 64],
    };
    let (mut sent, mut over) = (0, 0);
    while over < count {
        while sent < count && sent < over + 8 {
            swarm.behaviour_mut().send_request(&node.peer, bad(sent));
            sent += 1;
        }
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(
                request_response::Event::Message {
                    message: request_response::Message::Response { .. }, ..
                }
                | request_response::Event::OutboundFailure { .. },
            ) => over += 1,
            SwarmEvent::ConnectionClosed { .. } => return over,
            _ => {}
        }
    }
    over
}
