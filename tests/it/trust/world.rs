//! A network of node machines in virtual time, driven by one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use testmesh::backend::Tier;
use testmesh::local::wire::{Approve, Key, Mdns, Reason, Reply, Request, Revoke, Rights, Who};
use testmesh::node::event::{Action, Client, Event, GossipRef, Now, Purpose, ReplyTo};
use testmesh::node::state::{About, State};
use testmesh::node::trust::Trust;
use testmesh_behaviours::check::Check;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::status::hello::{HelloRequest, HelloResponse};
use testmesh_behaviours::status::wire::{StatusRequest, StatusResponse};
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::identity::Identity;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{Change, Keyring, Record, Recovery, Seed};
use testmesh_keys::policy::Policy;
use testmesh_keys::statement::{Kind, Unverified};

/// Seconds since the epoch when every world begins.
pub(super) const EPOCH: u64 = 1_800_000_000;

/// A turn of a world that lives, and of one that settles.
const TURN: Duration = Duration::from_millis(500);
const SETTLING_TURN: Duration = Duration::from_millis(2500);

/// A world is at rest when nothing has changed for so many settling turns: more than any repetition of a node waits.
const REST: usize = 20;
/// It must come to rest within so many.
const SETTLING_MAX: usize = 300;
/// Messages may cause messages, so often within one turn; then they must have died down. Two comparisons of as many pages
/// as there are in a test.
const ROUNDS: usize = 200;

/// One node.
pub(super) struct Node {
    pub(super) identity: Arc<Identity>,
    pub(super) state: State,
    /// What its disk holds.
    pub(super) disk: Disk,
    pub(super) backups: Vec<Disk>,
    /// Nothing can be written any more.
    pub(super) full: bool,
    /// Whether its process runs.
    pub(super) up: bool,
    /// Seconds its clock is ahead.
    pub(super) skew: i64,
    /// Whose statements it never passes on.
    pub(super) drops: BTreeSet<NodeKey>,
    /// Whom its network lets in.
    pub(super) admitted: BTreeSet<usize>,
    pub(super) blocked: BTreeSet<usize>,
    pub(super) linked: BTreeSet<usize>,
    /// Its process ends at the next write: before it, or after it.
    dies: Option<bool>,
    /// Which of its processes this is.
    process: u32,
}

#[derive(Clone)]
pub(super) struct Disk {
    pub(super) allowlist: Allowlist,
    pub(super) policy: Policy,
    pub(super) records: Vec<Record>,
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

/// What sets one world apart from another.
pub(super) struct Habits {
    /// Letters of a hundred that are lost.
    pub(super) loss: u64,
    pub(super) gossip: bool,
    /// Whether clocks are wrong, disks fail, machines are put back.
    pub(super) clocks: bool,
    pub(super) disks: bool,
    /// Who can reach whom; everybody everybody where empty.
    pub(super) wires: BTreeSet<(usize, usize)>,
}

/// Nodes, what is on its way between them, and chance.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) habits: Habits,
    /// Every statement ever published, as signed.
    pub(super) published: Vec<Vec<u8>>,
    letters: Vec<Letter>,
    replies: BTreeMap<u64, (usize, usize, Purpose)>,
    chance: u64,
    clock: Duration,
    /// Seconds by which all clocks were put forward.
    pub(super) aged: u64,
    count: u64,
}

fn about(identity: &Identity) -> About {
    About {
        works: true,
        key: NodeKey::new(*identity.public().as_bytes()),
        name: identity.public().short(),
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

impl Disk {
    fn empty() -> Self {
        Self { allowlist: Allowlist::empty(), policy: Policy::empty(), records: Vec::new() }
    }

    /// What a process that starts now makes of it.
    pub(super) fn read(&self, identity: &Arc<Identity>, unix: u64) -> Keyring {
        let Disk { allowlist, policy, records } = self.clone();
        Keyring::new(identity.clone(), Seed { allowlist, policy, records }, unix)
    }

    fn write(&mut self, change: &Change) {
        for record in &change.persist {
            match record {
                Record::Allowlist(allowlist) => self.allowlist = allowlist.clone(),
                Record::Policy(policy) => self.policy = policy.clone(),
                other => self.records.push(other.clone()),
            }
        }
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl World {
    /// Few nodes, no loss, nothing happening by itself.
    pub(crate) fn quiet(count: usize) -> Self {
        let habits = Habits { loss: 0, gossip: true, clocks: false, disks: false, wires: BTreeSet::new() };
        let mut world = Self {
            nodes: Vec::new(),
            habits,
            published: Vec::new(),
            letters: Vec::new(),
            replies: BTreeMap::new(),
            chance: 1,
            clock: Duration::ZERO,
            aged: 0,
            count: 0,
        };
        for number in 0..count {
            let byte = u8::try_from(number + 1).unwrap();
            let identity = Arc::new(Identity::from_secret_bytes([byte; 32]).unwrap());
            let disk = Disk::empty();
            let state = State::new(about(&identity), Trust::new(disk.read(&identity, EPOCH)));
            world.nodes.push(Node {
                identity,
                state,
                disk,
                backups: Vec::new(),
                full: false,
                up: true,
                skew: 0,
                drops: BTreeSet::new(),
                admitted: BTreeSet::new(),
                blocked: BTreeSet::new(),
                linked: BTreeSet::new(),
                dies: None,
                process: 0,
            });
        }
        (0..count).for_each(|node| world.begin(node));
        world
    }

    /// A world with the habits of its seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self::quiet(3 + usize::try_from(seed % 4).unwrap());
        world.chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        world.habits.loss = world.draw(50);
        world.habits.gossip = world.draw(3) > 0;
        world.habits.clocks = world.draw(3) == 0;
        world.habits.disks = world.draw(2) == 0;
        if world.draw(3) == 0 {
            world.lay_wires();
        }
        if world.draw(3) == 0 {
            let (dropper, issuer) = (world.any(), world.any());
            world.drops(dropper, issuer);
        }
        for node in 1..world.nodes.len() {
            if world.draw(5) == 0 {
                world.stop(node);
            }
        }
        world
    }

    /// A connected network in which not everybody reaches everybody.
    fn lay_wires(&mut self) {
        for node in 1..self.nodes.len() {
            let earlier = usize::try_from(self.draw(node as u64)).unwrap();
            self.habits.wires.insert(pair(node, earlier));
            let further = self.any();
            if further != node && self.draw(2) == 0 {
                self.habits.wires.insert(pair(node, further));
            }
        }
    }

    /// Only these can reach each other.
    pub(crate) fn allow_only(&mut self, wires: &[(usize, usize)]) {
        self.habits.wires = wires.iter().map(|(one, other)| pair(*one, *other)).collect();
    }

    /// A node passes nothing of an issuer on from now on, its own statements included.
    pub(crate) fn drops(&mut self, node: usize, issuer: usize) {
        let key = self.key(issuer);
        self.nodes[node].drops.insert(key);
    }

    pub(super) fn draw(&mut self, below: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    pub(super) fn any(&mut self) -> usize {
        let count = self.nodes.len() as u64;
        usize::try_from(self.draw(count)).unwrap()
    }

    /// What a node's clock shows.
    pub(super) fn unix(&self, node: usize) -> u64 {
        let right = EPOCH + self.aged + self.clock.as_secs();
        right.saturating_add_signed(self.nodes[node].skew)
    }

    fn now(&self, node: usize) -> Now {
        Now { mono: self.clock, unix: self.unix(node) }
    }

    pub(super) fn key(&self, node: usize) -> NodeKey {
        NodeKey::new(*self.nodes[node].identity.public().as_bytes())
    }

    fn node(&self, key: &NodeKey) -> Option<usize> {
        (0..self.nodes.len()).find(|node| self.key(*node) == *key)
    }

    fn begin(&mut self, node: usize) {
        let now = self.now(node);
        let actions = self.nodes[node].state.begin(now);
        self.perform(node, actions);
    }

    fn happen(&mut self, node: usize, event: Event) {
        let now = self.now(node);
        let recovery = |state: &State| state.trust().keyring().recovery().is_some();
        let at = &mut self.nodes[node];
        let before = recovery(&at.state);
        let actions = at.state.handle(event, now);
        if before && recovery(&at.state) {
            let silent = !actions.iter().any(|action| at.publishes_snapshot(action));
            assert!(silent, "node {node} publishes in recovery");
        }
        self.perform(node, actions);
    }

    fn perform(&mut self, node: usize, actions: Vec<Action>) {
        let process = self.nodes[node].process;
        for action in actions {
            // It may have died of what an action brought about.
            if self.nodes[node].process != process {
                return;
            }
            if let Action::Persist(change) = action {
                match self.persist(node, &change) {
                    Persisted::Yes => {}
                    Persisted::No(undone) => return self.perform(node, undone),
                    Persisted::Dead => return self.restart(node),
                }
            } else {
                self.act(node, action);
            }
        }
    }

    /// What the driver does about a write, on a disk that may be full and with a process that may die.
    fn persist(&mut self, node: usize, change: &Change) -> Persisted {
        let at = &mut self.nodes[node];
        let dies = at.dies.take();
        if dies == Some(false) {
            return Persisted::Dead;
        }
        if at.full {
            let undone = at.state.persist_failed("no space left on device");
            return if undone.is_empty() { Persisted::Yes } else { Persisted::No(undone) };
        }
        at.disk.write(change);
        if dies == Some(true) {
            return Persisted::Dead;
        }
        self.published.extend(change.publish.iter().map(|signed| signed.bytes().to_vec()));
        Persisted::Yes
    }

    fn post(&mut self, from: usize, to: usize, message: Message) {
        let bounds = match &message {
            Message::Hello(_, request) => request.check(),
            Message::HelloAnswer(_, Ok(answer)) => answer.check(),
            Message::Status(_, request) => request.check(),
            Message::StatusAnswer(_, Ok(answer)) => answer.check(),
            _ => Ok(()),
        };
        bounds.unwrap();
        if let Some(message) = self.nodes[from].withhold(message) {
            self.letters.push(Letter { from, to, message });
        }
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
                if let Some((from, to, purpose)) = self.replies.remove(&reply)
                    && self.nodes[node].admitted.contains(&to)
                {
                    self.post(from, to, Message::StatusAnswer(purpose, Ok(answer)));
                }
            }
            Action::Announce(bytes) if self.habits.gossip => {
                for peer in self.nodes[node].linked.clone() {
                    if self.nodes[node].admitted.contains(&peer) {
                        self.post(node, peer, Message::Gossip(bytes.clone()));
                    }
                }
            }
            Action::CatchUp => {
                let at = &mut self.nodes[node];
                if !at.full {
                    at.disk.records = at.state.trust().keyring().records();
                    at.state.caught_up();
                }
            }
            Action::Tell(_, Reply::Error(error)) => assert!(!error.text.is_empty()),
            _ => {}
        }
    }

    /// Whether two can reach each other now.
    pub(super) fn may_meet(&self, one: usize, other: usize) -> bool {
        let wires = &self.habits.wires;
        let (one_node, other_node) = (&self.nodes[one], &self.nodes[other]);
        let blocked = one_node.blocked.contains(&other) || other_node.blocked.contains(&one);
        let wired = wires.is_empty() || wires.contains(&pair(one, other));
        one != other && !blocked && wired && one_node.up && other_node.up
    }

    pub(super) fn meet(&mut self, one: usize, other: usize) {
        if !self.may_meet(one, other) || !self.nodes[one].linked.insert(other) {
            return;
        }
        self.nodes[other].linked.insert(one);
        for (node, peer, inbound) in [(one, other, false), (other, one, true)] {
            let peer = self.key(peer);
            self.happen(node, Event::Connected { peer, address: "/memory/1".to_owned(), inbound });
        }
    }

    pub(super) fn part(&mut self, one: usize, other: usize) {
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
        let admitted = self.nodes[to].admitted.contains(&from);
        match message {
            Message::Hello(purpose, request) => {
                self.replies.insert(reply, (to, from, purpose));
                self.happen(to, Event::Hello { from: key, request, reply: ReplyTo(reply) });
            }
            Message::HelloAnswer(purpose, answer) => {
                self.happen(to, Event::HelloAnswer { from: key, purpose, answer });
            }
            Message::Status(purpose, request) if admitted => {
                self.replies.insert(reply, (to, from, purpose));
                self.happen(to, Event::Status { from: key, request, reply: ReplyTo(reply) });
            }
            Message::Status(purpose, _) => {
                self.post(to, from, Message::StatusAnswer(purpose, Err("not admitted".to_owned())));
            }
            Message::StatusAnswer(purpose, answer) => {
                let answer = if admitted { answer } else { Err("not trusted".to_owned()) };
                self.happen(to, Event::StatusAnswer { from: key, purpose, answer });
            }
            Message::Gossip(bytes) if admitted => {
                self.happen(to, Event::Gossip { from: key, id: GossipRef(reply), bytes });
            }
            Message::Gossip(_) => {}
        }
    }

    /// A statement of old is told again.
    pub(super) fn replay(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.letters.push(Letter { from, to, message: Message::Gossip(bytes) });
    }

    /// One turn: what is on its way arrives, in any order, some of it twice or never; time passes.
    pub(super) fn pass(&mut self, lossy: bool) {
        self.clock += if lossy { TURN } else { SETTLING_TURN };
        let mut rounds = 0;
        while !self.letters.is_empty() && (!lossy || rounds < 6) {
            rounds += 1;
            assert!(rounds < ROUNDS, "messages cause messages without end");
            let mut letters = std::mem::take(&mut self.letters);
            while !letters.is_empty() {
                let place = usize::try_from(self.draw(letters.len() as u64)).unwrap();
                let letter = letters.swap_remove(place);
                let lost = lossy && self.draw(100) < self.habits.loss;
                if !lost {
                    self.deliver(letter);
                }
            }
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].up {
                self.happen(node, Event::Tick);
            }
        }
    }

    pub(super) fn command(&mut self, node: usize, request: Request) {
        if self.nodes[node].up {
            self.happen(node, Event::Client { client: Client { id: 1, ask: 1 }, request });
        }
    }

    pub(super) fn who(&self, node: usize) -> Who {
        Who::Key(Key(self.key(node).bytes()))
    }

    pub(super) fn approve(
        &mut self,
        node: usize,
        other: usize,
        rights: Rights,
        depth: u8,
        despite: Vec<String>,
    ) {
        let label = Some(format!("n{other}"));
        let approve = Approve { who: self.who(other), rights, depth, label, name: String::new(), despite };
        self.command(node, Request::Approve(approve));
    }

    /// A key that no node of this world has is approved.
    pub(super) fn approve_key(&mut self, node: usize, key: PublicKey) {
        let who = Who::Key(Key(*key.as_bytes()));
        let (label, despite) = (Some("bad".to_owned()), Vec::new());
        self.command(
            node,
            Request::Approve(Approve {
                who,
                rights: Rights::ALL,
                depth: 3,
                label,
                name: String::new(),
                despite,
            }),
        );
    }

    pub(crate) fn approve_both(&mut self, one: usize, other: usize) {
        self.approve(one, other, Rights::ALL, 3, Vec::new());
        self.approve(other, one, Rights::ALL, 3, Vec::new());
    }

    pub(crate) fn revoke(&mut self, node: usize, other: usize) {
        let who = self.who(other);
        let (reason, note) = (Reason::Lost, String::new());
        self.command(node, Request::Revoke(Revoke { who, reason, note, dry_run: false }));
    }

    pub(crate) fn forget(&mut self, node: usize, other: usize) {
        let who = self.who(other);
        self.command(node, Request::Forget { who, keep_denials: true });
    }

    pub(crate) fn block(&mut self, node: usize, other: usize) {
        let who = self.who(other);
        self.command(node, Request::Block(who));
    }

    /// The process ends.
    pub(super) fn stop(&mut self, node: usize) {
        for peer in self.nodes[node].linked.clone() {
            self.part(node, peer);
        }
        let node = &mut self.nodes[node];
        node.up = false;
        node.process += 1;
        node.admitted.clear();
        node.blocked.clear();
        node.dies = None;
    }

    /// A process begins with what its disk holds.
    pub(super) fn start(&mut self, node: usize) {
        let unix = self.unix(node);
        let at = &mut self.nodes[node];
        at.up = true;
        at.state = State::new(about(&at.identity), Trust::new(at.disk.read(&at.identity, unix)));
        self.begin(node);
    }

    /// The process ends and starts anew with what its disk holds.
    pub(crate) fn restart(&mut self, node: usize) {
        self.stop(node);
        self.start(node);
    }

    /// The process will be killed at its next write.
    pub(super) fn kill_at_next_write(&mut self, node: usize, after: bool) {
        self.nodes[node].dies = Some(after);
    }

    /// The home is copied elsewhere.
    pub(crate) fn back_up(&mut self, node: usize) {
        let disk = self.nodes[node].disk.clone();
        self.nodes[node].backups.push(disk);
    }

    /// The home is put back to its last copy, as a virtual machine is to its snapshot.
    pub(crate) fn roll_back(&mut self, node: usize) {
        let Some(disk) = self.nodes[node].backups.pop() else { return };
        self.stop(node);
        self.nodes[node].disk = disk;
        self.start(node);
    }

    /// The log of statements is lost; the key and what the owner wrote are not.
    pub(super) fn lose_store(&mut self, node: usize) {
        self.stop(node);
        self.nodes[node].disk.records = vec![Record::Recovery(Some(Recovery::LostStore))];
        self.start(node);
    }

    /// The network is whole and loses nothing, disks have room and machines run, until nothing happens any more.
    pub(crate) fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].dies = None;
            // What could not be written is not on the disk: a new process begins with what is, an old one catches up.
            let full = std::mem::take(&mut self.nodes[node].full) && self.draw(2) == 0;
            if full || !self.nodes[node].up {
                self.restart(node);
            }
        }
        let (mut last, mut rest) = (self.print(), 0);
        for _ in 0..SETTLING_MAX {
            for one in 0..self.nodes.len() {
                (0..one).for_each(|other| self.meet(one, other));
            }
            self.pass(false);
            let print = self.print();
            rest = if print == last { rest + 1 } else { 0 };
            last = print;
            if rest >= REST {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// What a node amounts to: its statements, whom it trusts, whom it lets in, and what it waits for.
    fn print(&self) -> Vec<impl PartialEq + use<>> {
        let print = |node: &Node| {
            let keyring = node.state.trust().keyring();
            let trusted: Vec<_> = keyring.decision().trusted().collect();
            (keyring.digest(), keyring.recovery(), trusted, node.admitted.clone(), node.linked.clone())
        };
        self.nodes.iter().map(print).collect()
    }

    pub(crate) fn trusts(&self, node: usize, other: usize) -> bool {
        self.nodes[node].state.trust().given(&self.key(other)).any()
    }

    pub(crate) fn blocked(&self, node: usize, other: usize) -> bool {
        self.nodes[node].blocked.contains(&other)
    }

    pub(crate) fn admitted(&self, node: usize) -> Vec<usize> {
        self.nodes[node].admitted.iter().copied().collect()
    }
}

/// What became of a write.
enum Persisted {
    Yes,
    No(Vec<Action>),
    Dead,
}

impl Node {
    fn publishes_snapshot(&self, action: &Action) -> bool {
        let Action::Persist(change) = action else { return false };
        change.publish.iter().any(|signed| signed.statement().kind() == Kind::Vouches)
    }

    fn hides(&self, bytes: &[u8]) -> bool {
        let issuer = Unverified::decode(bytes).map(|statement| statement.statement().issuer());
        issuer.is_ok_and(|issuer| self.drops.contains(&NodeKey::new(*issuer.as_bytes())))
    }

    /// A message without what this node keeps to itself.
    fn withhold(&self, mut message: Message) -> Option<Message> {
        if self.drops.is_empty() {
            return Some(message);
        }
        match &mut message {
            Message::Hello(_, HelloRequest::Revocations(statements))
            | Message::HelloAnswer(_, Ok(HelloResponse::Revocations { statements, .. }))
            | Message::Status(_, StatusRequest::Push(statements))
            | Message::StatusAnswer(_, Ok(StatusResponse::Statements(statements))) => {
                statements.retain(|bytes| !self.hides(bytes));
            }
            Message::StatusAnswer(_, Ok(StatusResponse::Page { entries, .. })) => {
                entries.retain(|entry| !self.drops.contains(&entry.issuer));
            }
            Message::Gossip(bytes) if self.hides(bytes) => return None,
            _ => {}
        }
        Some(message)
    }
}
