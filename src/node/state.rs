//! What a node decides: the pure machine between its network, its store and its clients.
//!
//! [`State::handle`] takes an [`Event`] and the time and returns the [`Action`]s to perform, in order. It never waits,
//! reads a clock or a file, or draws randomness, so whole meshes of states run in a simulator. Trust itself is computed
//! by the `keys` crate from signed statements; this keeps the network in step with it: who is admitted, who is told
//! what, and that every statement reaches everyone it concerns. Losing trust takes effect in the turn that learns of it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_bytes::ByteBuf;
use testmesh_behaviours::id::{NodeKey, StatementId};
use testmesh_behaviours::status::hello::{Hello, HelloRequest, HelloResponse, Platform, Rights};
use testmesh_behaviours::status::wire::{ADDRESSES_MAX, Load, StatusRequest, StatusResponse, Trusted};
use testmesh_behaviours::work::message::{Refusal, WorkRequest, WorkResponse};
use testmesh_behaviours::work::offer::{OfferError, SignedOffer};
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::policy::Policy;

use super::clients::Clients;
use super::event::{Action, Client, ClientId, Event, Judgement, Now, Purpose, ReplyTo};
use super::inbound::Inbound;
use super::outbound::{self, Candidate, Outbound};
use super::pace::Pace;
use super::peers::{Connection, Peer, Peers};
use super::trust::{Change, Taken, Trust};
use crate::backend::Tier;
use crate::local::run::RunRequest;
use crate::local::wire::{Mdns, Topic};

/// How long a greeting waits for its answer before it is said again.
const GREET_AGAIN: Duration = Duration::from_secs(5);

/// How often an answered greeting is repeated.
const GREET_EVERY: Duration = Duration::from_secs(30);

/// How often it is tried to write what could not be written.
const CATCH_UP_EVERY: Duration = Duration::from_secs(10);

/// How often trust is decided anew although no lease ended and nothing came: a guard, and nearly nothing.
const DECIDE_EVERY: Duration = Duration::from_secs(60);

/// How often a changed load is told, and peers that run our tests are asked for a sign of life.
pub const LOAD_EVERY: Duration = Duration::from_secs(1);

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its key.
    pub key: NodeKey,
    /// The name its owner gave it.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// What it runs on.
    pub platform: Platform,
    /// Jobs it runs at once.
    pub slots: u32,
    /// Whether tests of other machines run here: where something contains them, or the owner does not mind.
    pub works: bool,
    /// How fast a core of it is, in thousandths of the reference machine.
    pub speed: u32,
    /// The containment tier in force.
    pub tier: Tier,
    /// The mesh it belongs to.
    pub mesh: String,
    /// Whether it looks for peers by multicast.
    pub mdns: Mdns,
    /// Whether its owner left it open where to listen.
    pub local: bool,
    /// Its process.
    pub pid: u32,
    /// The folder with its key.
    pub home: String,
    /// Whether jobs of others run without containment, because the owner said so.
    pub accept_unsandboxed: bool,
    /// What its owner should know, such as why the tier is not higher.
    pub warnings: Vec<String>,
}

/// The state of a node.
#[derive(Debug)]
pub struct State {
    pub(super) about: About,
    pub(super) trust: Trust,
    pub(super) peers: Peers,
    pace: Pace,
    pub(super) listening: Vec<String>,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    pub(super) clients: Clients,
    /// When time was last let pass for trust, and what the clock showed at the last tick.
    decided: Now,
    /// Why something that holds in memory is not on the disk, and when that was last tried.
    pub(super) unwritten: Option<String>,
    caught_up: Duration,
    /// Why a list that the owner edited cannot be read; what was read before is in force.
    pub(super) unreadable: Option<String>,
    /// Whom the network bars.
    blocked: BTreeSet<NodeKey>,
    /// Who asked for the change of this turn, and trust before it.
    pub(super) undo: Option<(Client, Trust)>,
    pub(super) out: Vec<Action>,
    /// What peers were last told, and when.
    told_load: (Duration, Load),
    /// When the next comparison in turn may begin.
    pub(super) turn: Duration,
}

/// All writes of a turn in the place of the first: a peer that hands over a hundred statements costs one wait for the
/// disk, not a hundred.
fn written_at_once(actions: Vec<Action>) -> Vec<Action> {
    let mut out: Vec<Action> = Vec::with_capacity(actions.len());
    let mut first = None;
    for action in actions {
        match (action, first) {
            (Action::Persist(more), Some(place)) => {
                if let Some(Action::Persist(all)) = out.get_mut(place) {
                    all.persist.extend(more.persist);
                    all.publish.extend(more.publish);
                    all.audit.extend(more.audit);
                }
            }
            (action, _) => {
                if matches!(action, Action::Persist(_)) {
                    first = Some(out.len());
                }
                out.push(action);
            }
        }
    }
    out
}

impl State {
    /// A node that has just started with what its store held.
    pub fn new(about: About, trust: Trust) -> Self {
        Self {
            inbound: Inbound::new(about.slots, about.tier),
            about,
            trust,
            peers: Peers::default(),
            pace: Pace::default(),
            listening: Vec::new(),
            outbound: Outbound::default(),
            clients: Clients::default(),
            decided: Now { mono: Duration::ZERO, unix: 0 },
            unwritten: None,
            caught_up: Duration::ZERO,
            unreadable: None,
            blocked: BTreeSet::new(),
            undo: None,
            out: Vec::new(),
            told_load: (Duration::ZERO, Load::default()),
            turn: Duration::ZERO,
        }
    }

    /// What follows from something that happened.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Action> {
        self.undo = None;
        match event {
            Event::Listening(address) => self.listens(address, true),
            Event::ListenEnded(address) => self.listens(address, false),
            Event::ListenFailed(why) => self.out.push(Action::Log(format!("a listener failed: {why}"))),
            Event::Connected { peer, address, inbound } => self.connected(peer, address, inbound, now),
            Event::Disconnected { peer, why } => self.disconnected(peer, why, now),
            Event::Discovered { peer, address } => self.discovered(peer, address, now),
            Event::DialFailed { peer, address, why } => self.dial_failed(peer, &address, why, now),
            Event::Hello { from, request, reply } => self.hello(from, request, reply, now),
            Event::HelloAnswer { from, purpose, answer } => self.hello_answer(from, &purpose, answer, now),
            Event::Status { from, request, reply } => self.status(from, request, reply, now),
            Event::StatusAnswer { from, purpose, answer } => self.status_answer(from, &purpose, answer, now),
            Event::Gossip { from, id, bytes } => {
                let judgement = self.receive(&bytes, from, now);
                self.out.push(Action::Judge(id, judgement));
            }
            Event::Work { from, request, reply } => self.work(from, request, reply, now),
            Event::WorkAnswer { from, purpose, answer } => self.work_answer(from, purpose, answer, now),
            Event::Prepared { submitter, run, result } => {
                self.inbound.prepared(submitter, run, result, now, &mut self.out);
            }
            Event::Scanned { run, result } => {
                let candidates = self.candidates();
                self.outbound.scanned(run, result, &candidates, &mut self.out);
            }
            Event::Served { peer, bytes } => self.outbound.shipped(peer, bytes, &mut self.out),
            Event::JobDone { slot, id, output } => {
                self.inbound.finished(slot, id, output, now, &mut self.out);
            }
            Event::Client { client, request } => self.client(client, request, now),
            Event::ClientGone(id) => self.client_gone(id, now),
            Event::Edited(edited) => self.edited(edited, now),
            Event::Tick => self.tick(now),
            Event::Due => self.inbound.wake(now, &mut self.out),
            Event::Stop => self.out.push(Action::Stop),
        }
        self.clients.flush(&mut self.out);
        written_at_once(std::mem::take(&mut self.out))
    }

    /// When [`Event::Due`] is wanted, on the clock of [`Now::mono`]; none while nothing waits for a moment.
    pub fn due(&self) -> Option<Duration> {
        self.inbound.due()
    }

    /// The name its owner gave it.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// Whom this node trusts, and why.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The first turn: the network learns whom the store trusts.
    pub fn begin(&mut self, now: Now) -> Vec<Action> {
        self.decided = now;
        let change = self.trust.tick(now.unix);
        self.apply(change, None, now);
        self.trust.trusted().into_iter().for_each(|(key, _)| self.out.push(Action::Admit(key)));
        std::mem::take(&mut self.out)
    }

    /// Lists that were edited by hand. One that cannot be read changes nothing, and is complained of until it can.
    fn edited(&mut self, edited: Result<Box<(Allowlist, Policy)>, String>, now: Now) {
        self.unreadable = edited.as_ref().err().cloned();
        self.clients.changed(Topic::Status);
        let Ok(edited) = edited else { return };
        let (allowlist, policy) = *edited;
        let change = self.trust.reload(allowlist, policy, now.unix);
        self.clients.changed(Topic::Trust);
        self.apply(change, None, now);
    }

    fn meet(&mut self, key: NodeKey, now: Now) -> &mut Peer {
        let trust = &self.trust;
        self.peers.meet(key, now, |key| trust.given(key).any())
    }

    fn listens(&mut self, address: String, there: bool) {
        self.listening.retain(|known| *known != address);
        if there {
            self.listening.push(address);
        }
        self.clients.changed(Topic::Status);
    }

    fn connected(&mut self, key: NodeKey, address: String, inbound: bool, now: Now) {
        if !inbound {
            self.peers.reached(&address);
        }
        let peer = self.meet(key, now);
        if !inbound {
            peer.seen_at(address.clone());
        }
        peer.trouble = None;
        peer.connection = Some(Connection { address, since: now.mono, inbound });
        self.greet(key, now);
        self.peer_changed(key);
    }

    fn discovered(&mut self, key: NodeKey, address: String, now: Now) {
        self.meet(key, now).seen_at(address);
        self.clients.changed(Topic::Peers);
    }

    fn disconnected(&mut self, key: NodeKey, why: Option<String>, now: Now) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.parted();
            peer.trouble = why;
        }
        let orderly = self.peers.get(&key).is_some_and(|peer| peer.goodbye);
        self.inbound.disconnected(key, now, &mut self.out);
        self.outbound.gone(key, false, orderly, &mut self.out);
        self.peer_changed(key);
    }

    fn dial_failed(&mut self, key: Option<NodeKey>, address: &str, why: String, now: Now) {
        let trust = &self.trust;
        let shown = key.filter(|key| self.peers.get(key).is_some() || trust.given(key).any());
        let (news, topic) = match shown {
            Some(key) => {
                let peer = self.peers.note(key, |key| trust.given(key).any());
                let before = peer.trouble.replace(why.clone());
                (before.as_deref() != Some(&why), Topic::Peers)
            }
            None => (self.peers.not_reached(address, &why, now.unix), Topic::Status),
        };
        // Said once, not at every try: forged records must not fill the log.
        if news {
            self.out.push(Action::Log(format!("cannot connect to {address}: {why}")));
            self.clients.changed(topic);
        }
    }

    /// How this node introduces itself to a peer.
    fn introduction(&self, to: &NodeKey) -> Hello {
        Hello {
            version: self.about.version.clone(),
            name: self.about.name.clone(),
            digest: self.trust.digest(),
            revocations: self.trust.revocation_digest(),
            trust: self.trust.given(to),
            platform: self.about.platform.clone(),
        }
    }

    fn greet(&mut self, key: NodeKey, now: Now) {
        let hello = self.introduction(&key);
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.told = Some(hello.trust);
            peer.greeting = Some((now.mono, false));
        }
        let request = HelloRequest::Hello(hello);
        self.out.push(Action::SayHello { to: key, purpose: Purpose::Greeting, request });
    }

    fn hello(&mut self, from: NodeKey, request: HelloRequest, reply: ReplyTo, now: Now) {
        let answer = match request {
            HelloRequest::Hello(hello) => {
                let mine = self.introduction(&from);
                self.introduced(from, hello, now);
                HelloResponse::Hello(mine)
            }
            HelloRequest::Revocations(statements) => {
                let taken = self.receive_all(&statements, from, now);
                HelloResponse::Taken(taken)
            }
            HelloRequest::FetchRevocations { after } => {
                let (statements, more) = self.trust.revocations_after(after);
                HelloResponse::Revocations { statements, more }
            }
            HelloRequest::Goodbye => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.goodbye = true;
                }
                HelloResponse::Noted
            }
        };
        self.out.push(Action::AnswerHello(reply, answer));
    }

    fn hello_answer(
        &mut self,
        from: NodeKey,
        purpose: &Purpose,
        answer: Result<HelloResponse, String>,
        now: Now,
    ) {
        match (purpose, answer) {
            (Purpose::Greeting, Ok(HelloResponse::Hello(hello))) => {
                if let Some((_, answered)) = self.peers.get_mut(&from).and_then(|peer| peer.greeting.as_mut())
                {
                    *answered = true;
                }
                self.introduced(from, hello, now);
            }
            (Purpose::RevocationPage, Ok(HelloResponse::Revocations { statements, more })) => {
                self.receive_all(&statements, from, now);
                let last = statements.last().filter(|_| more).and_then(|last| Trust::name_of_statement(last));
                if let Some(after) = last
                    && self.peers.get_mut(&from).is_some_and(|peer| peer.turn_page(after))
                {
                    self.fetch_revocations(from, Some(after));
                }
            }
            (Purpose::Greeting, Err(why)) => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.trouble = Some(why);
                    self.clients.changed(Topic::Peers);
                }
            }
            (Purpose::Courtesy, Err(_)) => self.untold(from),
            _ => {}
        }
    }

    /// A peer said who it is and what it lets us do.
    fn introduced(&mut self, from: NodeKey, hello: Hello, now: Now) {
        let foreign = hello.revocations;
        let equal = hello.digest == self.trust.digest();
        let (changed, shown) = self.meet(from, now).heard(hello);
        // Revocations are taken from anyone: a stranger may hold the one that matters.
        if foreign != self.trust.revocation_digest()
            && !self.mutual(&from)
            && self.meet(from, now).open_pages(now.mono)
        {
            self.fetch_revocations(from, None);
        }
        if shown {
            self.peer_changed(from);
        }
        if changed && self.mutual(&from) {
            self.tell_load(from);
            self.inbound.connected(from, now, &mut self.out);
        }
        if equal {
            self.found_equal(from, now);
        } else {
            self.compare(from, now);
        }
    }

    fn took_load(&mut self, from: NodeKey, load: Load, now: Now) {
        self.outbound.alive(from, &mut self.out);
        let peer = self.meet(from, now);
        if peer.load != load {
            peer.load = load;
            self.peer_changed(from);
        }
    }

    fn fetch_revocations(&mut self, from: NodeKey, after: Option<StatementId>) {
        let request = HelloRequest::FetchRevocations { after };
        self.out.push(Action::SayHello { to: from, purpose: Purpose::RevocationPage, request });
    }

    /// Whether both sides let the other do something, so that statements may be exchanged.
    pub(super) fn mutual(&self, key: &NodeKey) -> bool {
        let gives = self.peers.get(key).is_some_and(|peer| peer.connection.is_some() && peer.gives_us.any());
        gives && self.trust.given(key).any()
    }

    /// Asks a peer where others are that this node trusts and has no connection to: multicast does not reach everywhere.
    pub(super) fn ask_around(&mut self, of: NodeKey) {
        let connected = |key: &NodeKey| self.peers.get(key).is_some_and(|peer| peer.connection.is_some());
        let mut trusted = self.trust.trusted().into_iter().filter(|(key, _)| *key != self.about.key);
        if trusted.any(|(key, _)| !connected(&key)) {
            self.out.push(Action::AskStatus { to: of, purpose: Purpose::View, request: StatusRequest::View });
        }
    }

    fn look_for(&mut self, view: &[Trusted]) {
        for seen in view {
            let connected = self.peers.get(&seen.key).is_some_and(|peer| peer.connection.is_some());
            if connected || seen.key == self.about.key || !self.trust.given(&seen.key).any() {
                continue;
            }
            let addresses = seen.addresses.iter().cloned();
            self.out.extend(addresses.map(|address| Action::Remember(seen.key, address)));
        }
    }

    fn status(&mut self, from: NodeKey, request: StatusRequest, reply: ReplyTo, now: Now) {
        let answer = match request {
            StatusRequest::Compare { digest, .. } if digest == self.trust.digest() => StatusResponse::Same,
            StatusRequest::Compare { after, .. } => {
                let (entries, more) = self.trust.page(after);
                StatusResponse::Page { entries, more }
            }
            StatusRequest::Fetch(ids) => StatusResponse::Statements(self.trust.fetch(&ids)),
            StatusRequest::Push(statements) => {
                StatusResponse::Taken(self.receive_all(&statements, from, now))
            }
            StatusRequest::Load(load) => {
                self.took_load(from, load, now);
                StatusResponse::Load(self.load())
            }
            StatusRequest::View => StatusResponse::View(self.trust.view(|key| self.addresses(key))),
        };
        self.out.push(Action::AnswerStatus(reply, answer));
    }

    fn status_answer(
        &mut self,
        from: NodeKey,
        purpose: &Purpose,
        answer: Result<StatusResponse, String>,
        now: Now,
    ) {
        match (purpose, answer) {
            (Purpose::Compare(after), Ok(StatusResponse::Page { entries, more })) => {
                self.reconcile(from, *after, &entries, more, now);
            }
            (Purpose::Compare(_), Ok(StatusResponse::Same)) => self.compared(&from),
            (Purpose::Fetch, Ok(StatusResponse::Statements(statements))) => {
                let taken = self.receive_all(&statements, from, now);
                self.turn_page(from, taken > 0, now);
            }
            (Purpose::Compare(_) | Purpose::Fetch, _) => self.not_compared(from),
            (Purpose::Courtesy, Err(_)) => self.untold(from),
            (Purpose::Load, Ok(StatusResponse::Load(load))) => self.took_load(from, load, now),
            (Purpose::View, Ok(StatusResponse::View(view))) => self.look_for(&view),
            _ => {}
        }
    }

    fn receive_all(&mut self, statements: &[ByteBuf], from: NodeKey, now: Now) -> u32 {
        let accept = |state: &mut Self, bytes: &ByteBuf| state.receive(bytes, from, now) == Judgement::Accept;
        statements.iter().map(|bytes| u32::from(accept(self, bytes))).sum()
    }

    /// A statement from a peer. Accepted ones are new.
    fn receive(&mut self, bytes: &[u8], from: NodeKey, now: Now) -> Judgement {
        let (taken, change) = self.trust.receive(bytes, from, &mut self.pace, now);
        self.apply(change, Some(from), now);
        match taken {
            Taken::Judged(judgement) => judgement,
            Taken::TooSoon => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.behind = true;
                }
                Judgement::Ignore
            }
        }
    }

    /// Brings the world in step with a change of trust: written first, then told, then enforced.
    pub(super) fn apply(&mut self, change: Change, giver: Option<NodeKey>, now: Now) {
        if !change.persist.persist.is_empty() || !change.persist.audit.is_empty() {
            self.out.push(Action::Persist(Box::new(change.persist)));
        }
        self.bar();
        // Enforced before it is told: who lost trust hears nothing more.
        for key in &change.lost {
            self.out.push(Action::Expel(*key));
            self.trust_lost(*key, now);
        }
        for key in &change.altered {
            self.right_lost(*key, now);
        }
        for key in &change.gained {
            self.out.push(Action::Admit(*key));
        }
        self.spread(&change.news, giver);
        for key in change.gained.iter().chain(&change.lost).chain(&change.altered) {
            self.regreet(*key, now);
            self.compare(*key, now);
        }
        if !change.news.is_empty() || !change.gained.is_empty() || !change.lost.is_empty() {
            self.clients.changed(Topic::Trust);
        }
    }

    /// Bars whom the owner blocked, and nobody else, since the first turn: a block outlives the process.
    fn bar(&mut self) {
        let wanted = self.trust.blocked();
        self.out.extend(self.blocked.difference(&wanted).map(|key| Action::Unblock(*key)));
        self.out.extend(wanted.difference(&self.blocked).map(|key| Action::Block(*key)));
        self.blocked = wanted;
    }

    /// The owner's wish was taken back: nothing of the turn was done.
    pub(super) fn unbar(&mut self) {
        self.blocked = self.trust.blocked();
    }

    /// All that is known is on the disk again.
    pub fn caught_up(&mut self) {
        self.unwritten = None;
    }

    /// Tells a connected peer what it may do here now.
    fn regreet(&mut self, key: NodeKey, now: Now) {
        let given = self.trust.given(&key);
        let stale = |peer: &Peer| peer.connection.is_some() && peer.told.is_some_and(|told| told != given);
        if self.peers.get(&key).is_some_and(stale) {
            self.greet(key, now);
        }
    }

    fn tick(&mut self, now: Now) {
        // All that trust depends on besides time was decided when it came. A clock put back makes leases longer.
        let decided = self.decided;
        if now.unix < decided.unix || now.mono >= decided.mono + DECIDE_EVERY || self.trust.is_due(now.unix) {
            self.decided = now;
            let change = self.trust.tick(now.unix);
            self.apply(change, None, now);
        }
        self.decided.unix = now.unix;
        if self.unwritten.is_some() && now.mono >= self.caught_up + CATCH_UP_EVERY {
            self.caught_up = now.mono;
            self.out.push(Action::CatchUp);
        }
        self.compare_in_turn(now);
        // A greeting that was lost is said again, because everything else waits for it; an answered one now and then,
        // because two that cross may arrive in the wrong order.
        let due = |peer: &Peer| {
            let every = |answered| if answered { GREET_EVERY } else { GREET_AGAIN };
            peer.greeting.is_some_and(|(said, answered)| now.mono >= said + every(answered))
        };
        let ungreeted: Vec<NodeKey> =
            self.peers.iter().filter(|(_, peer)| due(peer)).map(|(key, _)| *key).collect();
        ungreeted.into_iter().for_each(|key| self.greet(key, now));
        self.inbound.tick(now, &mut self.out);
        self.outbound.tick(now, &mut self.out);
        self.exchange_load(now);
    }

    /// Tells trusted peers a changed load; peers of a run of ours are asked for a sign of life.
    fn exchange_load(&mut self, now: Now) {
        if now.mono < self.told_load.0 + LOAD_EVERY {
            return;
        }
        let load = self.load();
        let everyone = load != self.told_load.1;
        self.told_load = (now.mono, load);
        let members: BTreeSet<NodeKey> = self.outbound.members().collect();
        let asked = |key: &NodeKey| everyone || members.contains(key);
        let mutual: Vec<NodeKey> =
            self.peers.connected().filter(|key| asked(key) && self.mutual(key)).collect();
        mutual.into_iter().for_each(|to| self.tell_load(to));
    }

    fn tell_load(&mut self, to: NodeKey) {
        let request = StatusRequest::Load(self.load());
        self.out.push(Action::AskStatus { to, purpose: Purpose::Load, request });
    }

    pub(super) fn load(&self) -> Load {
        let usage = self.inbound.usage();
        Load {
            slots: if self.about.works { u16::try_from(usage.slots).unwrap_or(u16::MAX) } else { 0 },
            running: u16::try_from(usage.running).unwrap_or(u16::MAX),
            queued: u32::try_from(usage.queued).unwrap_or(u32::MAX),
            paused: usage.paused,
            speed: self.about.speed,
            tier: u8::from(self.about.tier == Tier::Contained),
        }
    }

    /// Something about a peer changed that runs and watchers care about.
    fn peer_changed(&mut self, key: NodeKey) {
        if let Some(candidate) = self.candidate(&key) {
            self.outbound.candidate(&candidate, &mut self.out);
        }
        self.clients.changed(Topic::Peers);
    }

    /// A peer that may work for this machine, if it may: connected, trusted both ways, and its load known.
    fn candidate(&self, key: &NodeKey) -> Option<Candidate> {
        let peer = self.peers.get(key)?;
        let may = self.trust.given(key).has(Rights::WORK) && peer.gives_us.has(Rights::SUBMIT);
        let known = peer.load.slots > 0 && peer.connection.is_some();
        (may && known).then(|| Candidate {
            key: *key,
            name: self.name_of(key),
            platform: (peer.platform.os.clone(), peer.platform.arch.clone()),
            slots: if peer.load.paused { 0 } else { peer.load.slots.into() },
            slowness: slowness(self.about.speed, peer.load.speed),
        })
    }

    fn candidates(&self) -> Vec<Candidate> {
        self.peers.connected().filter_map(|key| self.candidate(&key)).collect()
    }

    /// A peer as people here know it: by our own name for it, else by its claim.
    pub(super) fn name_of(&self, key: &NodeKey) -> String {
        let claimed = || self.peers.get(key).map(|peer| peer.name.clone()).filter(|name| !name.is_empty());
        self.trust.label(key).or_else(claimed).unwrap_or_else(|| key.to_string())
    }

    /// Where a peer was reached, for others that look for it.
    fn addresses(&self, key: &NodeKey) -> Vec<String> {
        self.peers
            .get(key)
            .map(|peer| peer.addresses.iter().rev().take(ADDRESSES_MAX).cloned().collect())
            .unwrap_or_default()
    }

    /// Whether a peer's jobs may start: its statements and ours were compared, so that a revocation would be known.
    fn reconciled(&self, key: &NodeKey) -> bool {
        self.peers.get(key).and_then(|peer| peer.compared).is_some_and(|compared| compared.complete)
    }

    fn work(&mut self, from: NodeKey, request: WorkRequest, reply: ReplyTo, now: Now) {
        let submits = self.trust.given(&from).has(Rights::SUBMIT);
        let works = self.trust.given(&from).has(Rights::WORK);
        let reconciled = self.reconciled(&from);
        let out = &mut self.out;
        let answer = match request {
            WorkRequest::RunOpen(_) | WorkRequest::Offer(_) if submits && !self.about.works => {
                WorkResponse::Refused(Refusal::Unable("it runs no tests of other machines".to_owned()))
            }
            // A trial runs a program, too. It is asked again.
            WorkRequest::RunOpen(_) if submits && !reconciled => WorkResponse::Refused(Refusal::Full),
            WorkRequest::RunOpen(open) if submits => self.inbound.open(from, open, now, out),
            WorkRequest::RunOpen(open) => self.inbound.refuse(from, open.run, out),
            WorkRequest::Offer(signed) if submits => self.offer(from, &signed, now),
            WorkRequest::Cancel { run, which } if submits => {
                self.inbound.cancel(from, run, &which, now, out);
                WorkResponse::Done
            }
            WorkRequest::RunClose(run) if submits => {
                self.inbound.close(from, run, now, out);
                WorkResponse::Done
            }
            WorkRequest::RunReady { run, why } if works => {
                self.outbound.ready(from, run, why, out);
                WorkResponse::Done
            }
            WorkRequest::GiveBack { run, jobs } if works => {
                self.outbound.given_back(from, run, jobs, out);
                WorkResponse::Done
            }
            WorkRequest::Results(results) if works => {
                self.outbound.alive(from, out);
                self.outbound.results(from, results, out)
            }
            _ => WorkResponse::Refused(Refusal::NotTrusted),
        };
        self.out.push(Action::AnswerWork(reply, answer));
    }

    fn offer(&mut self, from: NodeKey, signed: &SignedOffer, now: Now) -> WorkResponse {
        if !self.reconciled(&from) {
            return WorkResponse::Refused(Refusal::Full);
        }
        match signed.open(&from, &self.about.key, now.unix, Trust::verify) {
            Ok(offer) => self.inbound.offer(offer, now, &mut self.out),
            Err(OfferError::Signature) => WorkResponse::Refused(Refusal::NotTrusted),
            Err(OfferError::Expired { .. }) => WorkResponse::Refused(Refusal::Stale),
            Err(error) => WorkResponse::Refused(Refusal::Malformed(error.to_string())),
        }
    }

    fn work_answer(
        &mut self,
        from: NodeKey,
        purpose: Purpose,
        answer: Result<WorkResponse, String>,
        now: Now,
    ) {
        let out = &mut self.out;
        match (purpose, answer) {
            (Purpose::OpenRun(run), answer) => self.outbound.opened(from, run, answer, out),
            (Purpose::Offer { run, jobs }, answer) => {
                self.outbound.alive(from, out);
                self.outbound.offered(from, run, jobs, answer, out);
            }
            (Purpose::Results { run, batch, part }, Ok(WorkResponse::Results(_))) => {
                self.inbound.acknowledged(from, run, batch, part, now, out);
            }
            (Purpose::Results { run, batch, part }, _) => self.inbound.undelivered(from, run, batch, part),
            _ => {}
        }
    }

    pub(super) fn run(&mut self, client: Client, request: RunRequest, now: Now) {
        let client = client.id;
        match request {
            RunRequest::Open(open) => {
                let takes_part = |candidate: &&Candidate| outbound::wanted(&open.only, candidate);
                let peers = self.candidates().iter().filter(takes_part).count();
                let peers = u32::try_from(peers).unwrap_or(u32::MAX);
                self.outbound.open(client, *open, self.about.slots, peers, &mut self.out);
            }
            RunRequest::Want(count) => self.inbound.want(client, count, now, &mut self.out),
            RunRequest::Release(count) => self.inbound.release(client, count, now, &mut self.out),
            RunRequest::Offer { peer, jobs } => {
                let trust = &self.trust;
                let sign = |bytes: &[u8]| trust.sign(bytes);
                self.outbound.offer(client, peer, jobs, (self.about.key, sign), now, &mut self.out);
            }
            RunRequest::Cancel { peer, jobs } => self.outbound.cancel(client, peer, jobs, &mut self.out),
            RunRequest::Close => self.outbound.close(client, &mut self.out),
        }
    }

    fn client_gone(&mut self, client: ClientId, now: Now) {
        self.outbound.close(client, &mut self.out);
        self.inbound.client_gone(client, now, &mut self.out);
        self.clients.gone(client);
    }

    /// What a right that is gone allowed ends, though another is left.
    fn right_lost(&mut self, key: NodeKey, now: Now) {
        let given = self.trust.given(&key);
        if !given.has(Rights::SUBMIT) {
            self.inbound.expelled(key, now, &mut self.out);
        }
        if !given.has(Rights::WORK) {
            self.outbound.gone(key, true, false, &mut self.out);
        }
    }

    fn trust_lost(&mut self, key: NodeKey, now: Now) {
        self.inbound.expelled(key, now, &mut self.out);
        self.outbound.gone(key, true, false, &mut self.out);
    }
}

/// How long a peer takes for what takes this machine 1000, by what both claim; 1000 where one of them does not say.
/// A first guess: a run learns better.
fn slowness(own: u32, peer: u32) -> u32 {
    let known = own > 0 && peer > 0;
    let slowness = u64::from(own) * 1000 / u64::from(peer.max(1));
    if known { u32::try_from(slowness).unwrap_or(u32::MAX).max(1) } else { 1000 }
}

#[cfg(test)]
mod tests;
