//! How fast trust spreads in large meshes, and what it costs: `cargo bench --bench trust -- [NODES …] [--json FILE]`.
//!
//! The real machines of nodes (`node::state`), joined by a simulated network in virtual time: everybody is connected to
//! everybody, a message takes a millisecond, gossip goes to eight neighbours. The first node has approved all others and
//! they it. Measured are the start of the whole mesh at once, one node that joins it, and one that the first revokes,
//! with gossip and without; messages and bytes are those a node sends, the mean. Nothing is asserted on time.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "common/figures.rs"]
mod figures;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use figures::Figures;
use serde::Serialize;
use testmesh::backend::Tier;
use testmesh::local::wire::{Approve, Key, Mdns, Reason, Request, Revoke, Rights, Who};
use testmesh::node::event::{Action, Client, Event, GossipRef, Judgement, Now, Purpose, ReplyTo};
use testmesh::node::state::{About, State};
use testmesh::node::trust::Trust;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::status::hello::{HelloRequest, HelloResponse};
use testmesh_behaviours::status::wire::{StatusRequest, StatusResponse};
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::identity::Identity;
use testmesh_keys::keyring::{Keyring, Seed};
use testmesh_keys::policy::Policy;

/// Seconds since the epoch when every world begins.
const EPOCH: u64 = 1_800_000_000;
/// One way.
const LATENCY: Duration = Duration::from_millis(1);
/// As `node::driver` ticks.
const TICK: Duration = Duration::from_millis(500);
/// As many neighbours as gossip keeps.
const NEIGHBOURS: usize = 8;
/// How often it is looked whether all is as awaited.
const LOOK: Duration = Duration::from_millis(5);
/// Virtual time after which something is said not to come.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let figures = Figures::take(&mut words);
    let mut sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![8, 32, 100];
    }
    println!(
        "| nodes | gossip | event | virtual ms until all agree | messages a node | kB a node | CPU ms a node |"
    );
    println!("|---|---|---|---|---|---|---|");
    for size in sizes {
        for gossip in [true, false] {
            play(size, gossip, &figures);
        }
    }
}

fn play(size: usize, gossip: bool, figures: &Figures) {
    let mut world = World::new(size + 1, gossip);
    let last = size;
    let all: Vec<usize> = (0..size).collect();
    let row = |world: &mut World, event: &str, agreed: Option<Duration>, cpu: Duration| {
        let (messages, bytes) = world.take_sent();
        let (count, cpu) = (size as f64, cpu.as_secs_f64() * 1e3 / size as f64);
        let (messages, bytes) = (messages as f64 / count, bytes as f64 / count / 1e3);
        let time =
            agreed.map_or_else(|| "never".to_owned(), |time| format!("{:.0}", time.as_secs_f64() * 1e3));
        let word = if gossip { "on" } else { "off" };
        println!("| {size} | {word} | {event} | {time} | {messages:.1} | {bytes:.1} | {cpu:.2} |");
        let all = serde_json::json!({
            "nodes": size, "gossip": gossip, "virtual_ms": agreed.map(|time| time.as_secs_f64() * 1e3),
            "messages_a_node": messages, "kbytes_a_node": bytes, "cpu_ms_a_node": cpu,
        });
        if let Err(error) = figures.add("trust", event, &all) {
            println!("cannot write the figures: {error}");
        }
    };
    for node in 1..=last {
        world.approve(0, node);
        world.approve(node, 0);
    }
    world.take_sent();
    let begun = cpu();
    all.iter().for_each(|one| (0..*one).for_each(|other| world.meet(*one, other)));
    let agreed = world.until(|world| all.iter().all(|one| world.trusts_all(*one, &all)));
    row(&mut world, "all start at once", agreed, cpu().saturating_sub(begun));
    world.rest();
    let begun = cpu();
    all.iter().for_each(|other| world.meet(last, *other));
    let everybody: Vec<usize> = (0..=last).collect();
    let agreed = world.until(|world| {
        world.trusts_all(last, &all) && all.iter().all(|one| world.trusts_all(*one, &everybody))
    });
    row(&mut world, "one joins", agreed, cpu().saturating_sub(begun));
    world.rest();
    let begun = cpu();
    world.revoke(0, last);
    let agreed = world.until(|world| all.iter().all(|one| !world.trusts(*one, last)));
    row(&mut world, "one is revoked", agreed, cpu().saturating_sub(begun));
    world.rest();
    let begun = cpu();
    world.pass(Duration::from_secs(60));
    row(
        &mut world,
        "a minute in which nothing happens",
        Some(Duration::from_secs(60)),
        cpu().saturating_sub(begun),
    );
}

/// CPU this process has used.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

struct Node {
    state: State,
    key: NodeKey,
    admitted: BTreeSet<usize>,
    linked: BTreeSet<usize>,
    gossip: BTreeMap<u64, (usize, Vec<u8>)>,
    /// Hashes of the gossip that came or was said.
    seen: BTreeSet<[u8; 32]>,
}

enum Message {
    Hello(Purpose, HelloRequest),
    HelloAnswer(Purpose, HelloResponse),
    Status(Purpose, StatusRequest),
    StatusAnswer(Purpose, Result<StatusResponse, String>),
    Gossip(Vec<u8>),
}

enum Happening {
    Letter { from: usize, to: usize, message: Box<Message> },
    Tick(usize),
}

/// Nodes and what is on its way between them.
struct World {
    nodes: Vec<Node>,
    keys: BTreeMap<NodeKey, usize>,
    heap: BinaryHeap<std::cmp::Reverse<(Duration, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    replies: BTreeMap<u64, (usize, usize, Purpose)>,
    now: Duration,
    count: u64,
    gossip: bool,
    /// Messages and bytes of them.
    sent: (u64, u64),
}

impl World {
    fn new(count: usize, gossip: bool) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            keys: BTreeMap::new(),
            heap: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            replies: BTreeMap::new(),
            now: Duration::ZERO,
            count: 0,
            gossip,
            sent: (0, 0),
        };
        for number in 0..count {
            let mut secret = [7; 32];
            secret[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let identity = Arc::new(Identity::from_secret_bytes(secret).expect("a key"));
            let key = NodeKey::new(*identity.public().as_bytes());
            let seed = Seed { allowlist: Allowlist::empty(), policy: Policy::empty(), records: Vec::new() };
            let state = State::new(about(key), Trust::new(Keyring::new(identity, seed, EPOCH)));
            let (admitted, linked, seen) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            world.nodes.push(Node { state, key, admitted, linked, gossip: BTreeMap::new(), seen });
            world.keys.insert(key, number);
            // They did not start at the same moment.
            world.at(TICK * (number as u32 % 97) / 97, Happening::Tick(number));
        }
        for node in 0..count {
            let now = world.clock();
            let actions = world.nodes[node].state.begin(now);
            world.perform(node, actions);
        }
        world
    }

    fn clock(&self) -> Now {
        Now { mono: self.now, unix: EPOCH + self.now.as_secs() }
    }

    fn at(&mut self, time: Duration, happening: Happening) {
        self.count += 1;
        self.heap.push(std::cmp::Reverse((time, self.count)));
        self.happenings.insert(self.count, happening);
    }

    fn take_sent(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.sent)
    }

    fn happen(&mut self, node: usize, event: Event) {
        let now = self.clock();
        let actions = self.nodes[node].state.handle(event, now);
        self.perform(node, actions);
    }

    fn perform(&mut self, node: usize, actions: Vec<Action>) {
        actions.into_iter().for_each(|action| self.act(node, action));
    }

    fn post<T: Serialize>(&mut self, from: usize, to: usize, bytes: &T, message: Message) {
        let length = cbor4ii::serde::to_vec(Vec::new(), bytes).map_or(0, |bytes| bytes.len());
        self.sent.0 += 1;
        self.sent.1 += length as u64;
        self.at(self.now + LATENCY, Happening::Letter { from, to, message: Box::new(message) });
    }

    fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::Admit(key) => {
                let peer = self.keys[&key];
                self.nodes[node].admitted.insert(peer);
            }
            Action::Expel(key) => {
                let peer = self.keys[&key];
                self.nodes[node].admitted.remove(&peer);
                self.part(node, peer);
            }
            Action::SayHello { to, purpose, request } => {
                let to = self.keys[&to];
                let bytes = request.clone();
                self.post(node, to, &bytes, Message::Hello(purpose, request));
            }
            Action::AskStatus { to, purpose, request } => {
                let to = self.keys[&to];
                if self.nodes[node].admitted.contains(&to) {
                    let bytes = request.clone();
                    self.post(node, to, &bytes, Message::Status(purpose, request));
                }
            }
            Action::AnswerHello(ReplyTo(reply), answer) => {
                if let Some((from, to, purpose)) = self.replies.remove(&reply) {
                    let bytes = answer.clone();
                    self.post(from, to, &bytes, Message::HelloAnswer(purpose, answer));
                }
            }
            Action::AnswerStatus(ReplyTo(reply), answer) => {
                if let Some((from, to, purpose)) = self.replies.remove(&reply) {
                    let bytes = answer.clone();
                    self.post(from, to, &bytes, Message::StatusAnswer(purpose, Ok(answer)));
                }
            }
            Action::Announce(bytes) if self.gossip => {
                self.nodes[node].seen.insert(*blake3::hash(&bytes).as_bytes());
                self.spread(node, None, &bytes);
            }
            Action::Judge(GossipRef(number), judgement) => {
                let passed = self.nodes[node].gossip.remove(&number);
                if let Some((from, bytes)) = passed.filter(|_| judgement == Judgement::Accept) {
                    self.spread(node, Some(from), &bytes);
                }
            }
            _ => {}
        }
    }

    /// To neighbours, spread over the mesh.
    fn spread(&mut self, node: usize, giver: Option<usize>, bytes: &[u8]) {
        let count = self.nodes.len();
        let step = (count / NEIGHBOURS).max(1);
        let near = (1..count).step_by(step).map(|distance| (node + distance) % count);
        let near: Vec<usize> = near.take(NEIGHBOURS).filter(|peer| Some(*peer) != giver).collect();
        for peer in near {
            if self.nodes[node].linked.contains(&peer) && self.nodes[node].admitted.contains(&peer) {
                self.post(node, peer, &serde_bytes::Bytes::new(bytes), Message::Gossip(bytes.to_vec()));
            }
        }
    }

    fn meet(&mut self, one: usize, other: usize) {
        if !self.nodes[one].linked.insert(other) {
            return;
        }
        self.nodes[other].linked.insert(one);
        for (node, peer, inbound) in [(one, other, false), (other, one, true)] {
            let peer = self.nodes[peer].key;
            self.happen(node, Event::Connected { peer, address: "/memory/1".to_owned(), inbound });
        }
    }

    fn part(&mut self, one: usize, other: usize) {
        if !self.nodes[one].linked.remove(&other) {
            return;
        }
        self.nodes[other].linked.remove(&one);
        for (node, peer) in [(one, other), (other, one)] {
            let peer = self.nodes[peer].key;
            self.happen(node, Event::Disconnected { peer, why: None });
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        if !self.nodes[to].linked.contains(&from) {
            return;
        }
        let key = self.nodes[from].key;
        self.count += 1;
        let reply = self.count;
        match message {
            Message::Hello(purpose, request) => {
                self.replies.insert(reply, (to, from, purpose));
                self.happen(to, Event::Hello { from: key, request, reply: ReplyTo(reply) });
            }
            Message::HelloAnswer(purpose, answer) => {
                self.happen(to, Event::HelloAnswer { from: key, purpose, answer: Ok(answer) });
            }
            Message::Status(purpose, request) if self.nodes[to].admitted.contains(&from) => {
                self.replies.insert(reply, (to, from, purpose));
                self.happen(to, Event::Status { from: key, request, reply: ReplyTo(reply) });
            }
            Message::Status(purpose, _) => {
                let refused = Message::StatusAnswer(purpose, Err("not admitted".to_owned()));
                self.post(to, from, &(), refused);
            }
            Message::StatusAnswer(purpose, answer) => {
                self.happen(to, Event::StatusAnswer { from: key, purpose, answer });
            }
            Message::Gossip(bytes) => {
                let known = !self.nodes[to].seen.insert(*blake3::hash(&bytes).as_bytes());
                if !known && self.nodes[to].admitted.contains(&from) {
                    self.nodes[to].gossip.insert(reply, (from, bytes.clone()));
                    self.happen(to, Event::Gossip { from: key, id: GossipRef(reply), bytes });
                }
            }
        }
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(std::cmp::Reverse((at, number))) = self.heap.peek().copied()
            && at <= end
        {
            self.heap.pop();
            self.now = at;
            match self.happenings.remove(&number) {
                Some(Happening::Letter { from, to, message }) => self.deliver(from, to, *message),
                Some(Happening::Tick(node)) => {
                    self.happen(node, Event::Tick);
                    self.at(at + TICK, Happening::Tick(node));
                }
                None => {}
            }
        }
        self.now = end;
    }

    /// How long it takes; none if it does not come.
    fn until(&mut self, ready: impl Fn(&Self) -> bool) -> Option<Duration> {
        let begun = self.now;
        while self.now < begun + PATIENCE {
            if ready(self) {
                return Some(self.now - begun);
            }
            self.pass(LOOK);
        }
        None
    }

    /// Until what was set off has come to its end.
    fn rest(&mut self) {
        self.pass(Duration::from_secs(20));
        self.take_sent();
    }

    fn approve(&mut self, node: usize, other: usize) {
        let approve = Approve {
            who: Who::Key(Key(self.nodes[other].key.bytes())),
            rights: Rights::ALL,
            depth: 2,
            label: Some(format!("n{other}")),
            name: String::new(),
            despite: Vec::new(),
        };
        self.happen(
            node,
            Event::Client { client: Client { id: 1, ask: 1 }, request: Request::Approve(approve) },
        );
    }

    fn revoke(&mut self, node: usize, other: usize) {
        let who = Who::Key(Key(self.nodes[other].key.bytes()));
        let revoke = Revoke { who, reason: Reason::Lost, note: String::new(), dry_run: false };
        self.happen(
            node,
            Event::Client { client: Client { id: 1, ask: 1 }, request: Request::Revoke(revoke) },
        );
    }

    fn trusts(&self, node: usize, other: usize) -> bool {
        self.nodes[node].state.trust().given(&self.nodes[other].key).any()
    }

    fn trusts_all(&self, node: usize, others: &[usize]) -> bool {
        others.iter().all(|other| *other == node || self.trusts(node, *other))
    }
}

fn about(key: NodeKey) -> About {
    About {
        works: true,
        key,
        name: format!("{key:?}").chars().take(16).collect(),
        version: "0".to_owned(),
        platform: Default::default(),
        slots: 1,
        speed: 1000,
        tier: Tier::Contained,
        mesh: "sim".to_owned(),
        mdns: Mdns::Off,
        local: false,
        pid: 1,
        home: String::new(),
        accept_unsandboxed: false,
        warnings: Vec::new(),
    }
}
