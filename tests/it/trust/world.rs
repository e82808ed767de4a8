//! A network of node machines in virtual time, driven by one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use testmesh::backend::Tier;
use testmesh::local::wire::{Approve, Key, Reason, Reply, Request, Revoke, Rights, Who};
use testmesh::node::event::{Action, Client, Event, GossipRef, Now, Purpose, ReplyTo};
use testmesh::node::state::{About, State};
use testmesh::node::trust::Trust;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::status::hello::{HelloRequest, HelloResponse};
use testmesh_behaviours::status::wire::{StatusRequest, StatusResponse};
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::identity::Identity;
use testmesh_keys::keyring::{Keyring, Record, Seed};
use testmesh_keys::policy::Policy;

/// Seconds since the epoch when every world begins.
const EPOCH: u64 = 1_800_000_000;

/// Turns of a world that lives, and of one that settles; a turn is half a second.
const TURNS: usize = 60;
const SETTLING: usize = 160;

/// One node.
struct Node {
    identity: Arc<Identity>,
    state: State,
    /// What its disk holds.
    disk: Disk,
    /// Whom its network lets in.
    admitted: BTreeSet<usize>,
    blocked: BTreeSet<usize>,
    linked: BTreeSet<usize>,
}

#[derive(Clone)]
struct Disk {
    allowlist: Allowlist,
    policy: Policy,
    records: Vec<Record>,
}

enum Message {
    Hello(Purpose, HelloRequest),
    HelloAnswer(Purpose, Result<HelloResponse, String>),
    Status(Purpose, StatusRequest),
    StatusAnswer(Purpose, Result<StatusResponse, String>),
    Gossip(Vec<u8>),
}

struct Letter {
    from: usize,
    to: usize,
    message: Message,
}

/// Nodes, what is on its way between them, and chance.
pub(crate) struct World {
    nodes: Vec<Node>,
    letters: Vec<Letter>,
    replies: BTreeMap<u64, (usize, usize, Purpose)>,
    chance: u64,
    turn: u64,
    /// Letters of a hundred that are lost.
    loss: u64,
    pub(crate) gossip: bool,
    count: u64,
}

fn about(identity: &Identity) -> About {
    About {
        key: NodeKey::new(*identity.public().as_bytes()),
        name: identity.public().short(),
        version: "0".to_owned(),
        platform: Default::default(),
        slots: 1,
        speed: 1000,
        tier: Tier::Contained,
        mesh: "sim".to_owned(),
        mdns: false,
        pid: 1,
        home: String::new(),
        accept_unsandboxed: false,
        warnings: Vec::new(),
    }
}

impl Node {
    fn boot(identity: &Arc<Identity>, disk: &Disk, unix: u64) -> State {
        let Disk { allowlist, policy, records } = disk.clone();
        let keyring = Keyring::new(identity.clone(), Seed { allowlist, policy, records }, unix);
        State::new(about(identity), Trust::new(keyring))
    }
}

impl World {
    /// Few nodes, no loss, nothing happening by itself.
    pub(crate) fn quiet(count: usize) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            letters: Vec::new(),
            replies: BTreeMap::new(),
            chance: 1,
            turn: 0,
            loss: 0,
            gossip: true,
            count: 0,
        };
        for number in 0..count {
            let byte = u8::try_from(number + 1).unwrap();
            let identity = Arc::new(Identity::from_secret_bytes([byte; 32]).unwrap());
            let disk = Disk { allowlist: Allowlist::empty(), policy: Policy::empty(), records: Vec::new() };
            let state = Node::boot(&identity, &disk, EPOCH);
            let empty = BTreeSet::new;
            world.nodes.push(Node {
                identity,
                state,
                disk,
                admitted: empty(),
                blocked: empty(),
                linked: empty(),
            });
        }
        (0..count).for_each(|node| world.begin(node));
        world
    }

    /// A world with the habits of its seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self::quiet(3 + usize::try_from(seed % 4).unwrap());
        world.chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        world.loss = world.draw(40);
        world.gossip = world.draw(3) > 0;
        world
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn any(&mut self) -> usize {
        let count = self.nodes.len() as u64;
        usize::try_from(self.draw(count)).unwrap()
    }

    fn unix(&self) -> u64 {
        EPOCH + self.turn / 2
    }

    fn now(&self) -> Now {
        Now { mono: Duration::from_millis(500 * self.turn), unix: self.unix() }
    }

    fn key(&self, node: usize) -> NodeKey {
        NodeKey::new(*self.nodes[node].identity.public().as_bytes())
    }

    fn node(&self, key: &NodeKey) -> Option<usize> {
        (0..self.nodes.len()).find(|node| self.key(*node) == *key)
    }

    fn begin(&mut self, node: usize) {
        let now = self.now();
        let actions = self.nodes[node].state.begin(now);
        self.perform(node, actions);
    }

    fn happen(&mut self, node: usize, event: Event) {
        let now = self.now();
        let actions = self.nodes[node].state.handle(event, now);
        self.perform(node, actions);
    }

    fn perform(&mut self, node: usize, actions: Vec<Action>) {
        for action in actions {
            self.act(node, action);
        }
    }

    fn post(&mut self, from: usize, to: usize, message: Message) {
        self.letters.push(Letter { from, to, message });
    }

    fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::Admit(key) => drop(self.node(&key).map(|peer| self.nodes[node].admitted.insert(peer))),
            Action::Expel(key) => {
                let Some(peer) = self.node(&key) else { return };
                self.nodes[node].admitted.remove(&peer);
                self.part(node, peer);
            }
            Action::Block(key) => {
                let Some(peer) = self.node(&key) else { return };
                self.nodes[node].blocked.insert(peer);
                self.part(node, peer);
            }
            Action::Unblock(key) => drop(self.node(&key).map(|peer| self.nodes[node].blocked.remove(&peer))),
            Action::SayHello { to, purpose, request } => {
                if let Some(peer) = self.node(&to) {
                    self.post(node, peer, Message::Hello(purpose, request));
                }
            }
            Action::AskStatus { to, purpose, request } => {
                let Some(peer) = self.node(&to) else { return };
                if self.nodes[node].admitted.contains(&peer) {
                    self.post(node, peer, Message::Status(purpose, request));
                } else {
                    self.post(peer, node, Message::StatusAnswer(purpose, Err("not trusted".to_owned())));
                }
            }
            Action::AnswerHello(ReplyTo(reply), answer) => {
                if let Some((from, to, purpose)) = self.replies.remove(&reply) {
                    self.post(from, to, Message::HelloAnswer(purpose, Ok(answer)));
                }
            }
            Action::AnswerStatus(ReplyTo(reply), answer) => {
                if let Some((from, to, purpose)) = self.replies.remove(&reply) {
                    self.post(from, to, Message::StatusAnswer(purpose, Ok(answer)));
                }
            }
            Action::Announce(bytes) if self.gossip => {
                for peer in self.nodes[node].linked.clone() {
                    if self.nodes[node].admitted.contains(&peer) {
                        self.post(node, peer, Message::Gossip(bytes.clone()));
                    }
                }
            }
            Action::Persist(change) => {
                let disk = &mut self.nodes[node].disk;
                for record in change.persist {
                    match record {
                        Record::Allowlist(allowlist) => disk.allowlist = allowlist,
                        Record::Policy(policy) => disk.policy = policy,
                        other => disk.records.push(other),
                    }
                }
            }
            Action::Tell(_, Reply::Error(error)) => assert!(self.loss > 0 || !error.text.is_empty()),
            _ => {}
        }
    }

    fn meet(&mut self, one: usize, other: usize) {
        let blocked = self.nodes[one].blocked.contains(&other) || self.nodes[other].blocked.contains(&one);
        if one == other || blocked || !self.nodes[one].linked.insert(other) {
            return;
        }
        self.nodes[other].linked.insert(one);
        for (node, peer, inbound) in [(one, other, false), (other, one, true)] {
            let peer = self.key(peer);
            self.happen(node, Event::Connected { peer, address: "/memory/1".to_owned(), inbound });
        }
    }

    fn part(&mut self, one: usize, other: usize) {
        if !self.nodes[one].linked.remove(&other) {
            return;
        }
        self.nodes[other].linked.remove(&one);
        self.letters.retain(|letter| ![(one, other), (other, one)].contains(&(letter.from, letter.to)));
        for (node, peer) in [(one, other), (other, one)] {
            let peer = self.key(peer);
            self.happen(node, Event::Disconnected { peer, why: None });
        }
    }

    fn deliver(&mut self, letter: Letter) {
        let Letter { from, to, message } = letter;
        if !self.nodes[to].linked.contains(&from) {
            return;
        }
        let key = self.key(from);
        self.count += 1;
        let reply = self.count;
        match message {
            Message::Hello(purpose, request) => {
                self.replies.insert(reply, (to, from, purpose));
                self.happen(to, Event::Hello { from: key, request, reply: ReplyTo(reply) });
            }
            Message::HelloAnswer(purpose, answer) => {
                self.happen(to, Event::HelloAnswer { from: key, purpose, answer });
            }
            Message::Status(purpose, request) if self.nodes[to].admitted.contains(&from) => {
                self.replies.insert(reply, (to, from, purpose));
                self.happen(to, Event::Status { from: key, request, reply: ReplyTo(reply) });
            }
            Message::Status(purpose, _) => {
                self.post(to, from, Message::StatusAnswer(purpose, Err("not admitted".to_owned())));
            }
            Message::StatusAnswer(purpose, answer) => {
                self.happen(to, Event::StatusAnswer { from: key, purpose, answer });
            }
            Message::Gossip(bytes) => {
                if self.nodes[to].admitted.contains(&from) {
                    self.happen(to, Event::Gossip { from: key, id: GossipRef(reply), bytes });
                }
            }
        }
    }

    /// One turn: most of what is on its way arrives, in any order, some of it twice or never; time passes.
    fn pass(&mut self, lossy: bool) {
        self.turn += 1;
        for _ in 0..6 {
            let mut letters = std::mem::take(&mut self.letters);
            while !letters.is_empty() {
                let place = usize::try_from(self.draw(letters.len() as u64)).unwrap();
                let letter = letters.swap_remove(place);
                let lost = lossy && self.draw(100) < self.loss;
                if !lost {
                    self.deliver(letter);
                }
            }
        }
        for node in 0..self.nodes.len() {
            self.happen(node, Event::Tick);
        }
    }

    fn command(&mut self, node: usize, request: Request) {
        self.happen(node, Event::Client { client: Client { id: 1, ask: 1 }, request });
    }

    fn approve(&mut self, node: usize, other: usize) {
        let approve = Approve {
            who: Who::Key(Key(self.key(other).bytes())),
            rights: Rights::ALL,
            depth: 3,
            label: Some(format!("n{other}")),
            despite: Vec::new(),
        };
        self.command(node, Request::Approve(approve));
    }

    pub(crate) fn approve_both(&mut self, one: usize, other: usize) {
        self.approve(one, other);
        self.approve(other, one);
    }

    pub(crate) fn revoke(&mut self, node: usize, other: usize) {
        let who = Who::Key(Key(self.key(other).bytes()));
        let (reason, note) = (Reason::Lost, String::new());
        self.command(node, Request::Revoke(Revoke { who, reason, note, dry_run: false }));
    }

    /// The process ends and starts anew with what its disk holds.
    pub(crate) fn restart(&mut self, node: usize) {
        for peer in self.nodes[node].linked.clone() {
            self.part(node, peer);
        }
        let unix = self.unix();
        let Node { identity, disk, .. } = &self.nodes[node];
        let state = Node::boot(identity, disk, unix);
        let node_mut = &mut self.nodes[node];
        node_mut.state = state;
        node_mut.admitted.clear();
        self.begin(node);
    }

    /// Owners approve, forget and revoke, machines come, go and restart, for a while.
    pub(crate) fn live(&mut self) {
        for _ in 0..TURNS {
            let (one, other) = (self.any(), self.any());
            if one != other {
                let who = Who::Key(Key(self.key(other).bytes()));
                match self.draw(24) {
                    0..8 => self.approve(one, other),
                    8 | 9 => self.command(one, Request::Forget { who, keep_denials: true }),
                    10 => self.revoke(one, other),
                    11 => self.restart(one),
                    12..15 => self.part(one, other),
                    _ => self.meet(one, other),
                }
            }
            self.pass(true);
        }
    }

    /// The network is whole and loses nothing, until nothing happens any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..SETTLING {
            for one in 0..self.nodes.len() {
                (0..one).for_each(|other| self.meet(one, other));
            }
            self.pass(false);
        }
    }

    pub(crate) fn trusts(&self, node: usize, other: usize) -> bool {
        self.nodes[node].state.trust().given(&self.key(other)).any()
    }

    pub(crate) fn admitted(&self, node: usize) -> Vec<usize> {
        self.nodes[node].admitted.iter().copied().collect()
    }

    /// Nodes that a node exchanges statements with, directly or by others: along links where both let the other in.
    fn circle(&self, node: usize) -> BTreeSet<usize> {
        let mutual = |one: usize, other: usize| {
            self.nodes[one].admitted.contains(&other) && self.nodes[other].admitted.contains(&one)
        };
        let (mut circle, mut todo) = (BTreeSet::from([node]), vec![node]);
        while let Some(one) = todo.pop() {
            for other in (0..self.nodes.len()).filter(|other| mutual(one, *other)) {
                if circle.insert(other) {
                    todo.push(other);
                }
            }
        }
        circle
    }

    /// What a node would trust if it held every revocation ever made, and every snapshot in its circle. Who does not
    /// trust a node does not show it its snapshots.
    fn ideal(&self, node: usize) -> Keyring {
        let Node { identity, disk, .. } = &self.nodes[node];
        let circle = self.circle(node);
        let known = |(holder, record): &(usize, Record)| match record {
            Record::Statement(signed) => signed.statement().is_revocation() || circle.contains(holder),
            _ => *holder == node,
        };
        // What each holds now; the log also remembers what was dropped because it did not matter any more.
        let held = |(holder, node): (usize, &Node)| {
            let records = node.state.trust().keyring().records();
            records.into_iter().map(|record| (holder, record)).collect::<Vec<_>>()
        };
        let all = self.nodes.iter().enumerate().flat_map(held);
        let records = all.filter(known).map(|(_, record)| record).collect();
        let Disk { allowlist, policy, .. } = disk.clone();
        Keyring::new(identity.clone(), Seed { allowlist, policy, records }, self.unix())
    }

    pub(crate) fn check(&self) {
        for node in 0..self.nodes.len() {
            let ideal = self.ideal(node);
            for other in (0..self.nodes.len()).filter(|other| *other != node) {
                let key = self.nodes[other].identity.public();
                let (has, may) = (
                    self.nodes[node].state.trust().given(&self.key(other)).0,
                    ideal.decision().rights(&key).bits(),
                );
                assert_eq!(has & !may, 0, "node {node} trusts {other} with {has}, {may} would be right");
                let admitted = self.nodes[node].admitted.contains(&other);
                assert_eq!(admitted, has != 0, "node {node} lets {other} in, or not, unlike it trusts it");
            }
        }
    }
}
