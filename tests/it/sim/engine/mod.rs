//! A world in virtual time: runs with real dispatchers, machines with real slots, and between them a network that
//! delays, loses, reorders and repeats. One seed, one course of events.
//!
//! Breaches of what must always hold panic where they happen: a second delivery, an answer nobody gave, more processes
//! than slots. Used by the integration tests and by the makespan benchmark.

mod chaos;
mod client;
mod node;
mod random;

use std::collections::BTreeMap;
use std::time::Duration;

use testmesh::job::JobId;
use testmesh::schedule::dispatch::{self, Class, Leaving, Refusal, TaskId, WorkerId};
use testmesh::schedule::slots::{self, Offer, Refused, Scope, Submitter};

pub(crate) use chaos::chaos;
use client::LIMIT;
pub(crate) use client::{Client, HERE, Test, worker};
pub(crate) use node::Node;
use node::{Answer, Payload, Process};
pub(crate) use random::Random;

/// What can befall a machine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Kill(usize),
    /// It dies and nobody is told.
    Vanish(usize),
    Restart(usize),
    Freeze(usize),
    Thaw(usize),
    Cut(usize),
    Heal(usize),
    Slow(usize, f64),
    Break(usize),
    Deny(usize),
    Revoke(usize),
    Pause(usize),
    Resume(usize),
    Join(usize),
}

/// How messages travel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Net {
    pub(crate) latency: Duration,
    /// At most this much more, at random: messages overtake each other.
    pub(crate) jitter: Duration,
    pub(crate) loss: f64,
    pub(crate) repeat: f64,
}

/// From a client to a node.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    Offer { number: u64, jobs: Vec<(TaskId, u16, Payload)> },
    Cancel(Vec<(TaskId, u16)>),
    Acknowledge(Vec<JobId>),
}

/// From a node to a client.
#[derive(Debug, Clone)]
pub(crate) enum Up {
    Reply { number: u64, accepted: Vec<JobId>, refused: Vec<(JobId, Refused)>, denied: bool },
    Results(Vec<(JobId, Answer)>),
    GiveBack(Vec<JobId>),
    Beat,
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    ToNode { node: usize, life: u32, client: usize, message: Down },
    ToClient { client: usize, node: usize, message: Up },
    NodeTick { node: usize, life: u32, at: Duration },
    ClientTick { client: usize, at: Duration },
    JobEnd { node: usize, life: u32, slot: u32, id: JobId },
    OwnEnd { client: usize, task: TaskId, attempt: u16, answer: Answer },
    OfferTimeout { client: usize, number: u64 },
    Beat { node: usize },
    Fault(Fault),
    Left { client: usize, node: usize, leaving: Leaving },
    Joined { client: usize, node: usize },
    OpenOwn { client: usize },
    Unreachable { node: usize },
}

/// How long an offer may go unanswered.
const OFFER_TIMEOUT: Duration = Duration::from_secs(1);
/// From the end of a connection to its being noticed.
const NOTICE: Duration = Duration::from_millis(50);
/// From a cut cable to its being noticed by the node.
const CUT_NOTICE: Duration = Duration::from_secs(5);
/// Through the socket to the node of the same machine: in order, without loss.
const SOCKET: Duration = Duration::from_micros(50);
/// What a kill takes.
const KILL: Duration = Duration::from_millis(5);
/// Bytes of a message, of an offered job and of a result, as they are on the wire, roughly.
const MESSAGE_BYTES: u64 = 200;
const JOB_BYTES: u64 = 150;
const RESULT_BYTES: u64 = 120;

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    sequence: u64,
    events: BTreeMap<(Duration, u64), Event>,
    random: Random,
    net: Net,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    pub(crate) steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64, net: Net) -> Self {
        World {
            now: Duration::ZERO,
            sequence: 0,
            events: BTreeMap::new(),
            random: Random::new(seed),
            net,
            nodes: Vec::new(),
            clients: Vec::new(),
            steps: 0,
        }
    }

    /// A machine that is there from the start.
    pub(crate) fn add_node(&mut self, slots: u32) -> usize {
        self.nodes.push(Node::new(slots));
        let node = self.nodes.len() - 1;
        let first = client::BEAT.mul_f64(self.random.unit());
        self.at(first, Event::Beat { node });
        node
    }

    pub(crate) fn add_client(&mut self, client: Client) -> usize {
        self.clients.push(client);
        self.clients.len() - 1
    }

    pub(crate) fn fault(&mut self, at: Duration, fault: Fault) {
        self.at(at, Event::Fault(fault));
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((at.max(self.now), self.sequence), event);
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Lets a client see every node that is up, and start.
    pub(crate) fn begin(&mut self, client: usize) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].up {
                let slots = self.nodes[node].count;
                self.clients[client].join(node, slots, self.now);
            }
        }
        self.pump_client(client);
    }

    /// Runs until every task is delivered; panics when virtual time or steps run out first.
    pub(crate) fn run(&mut self, until: Duration) {
        while self.clients.iter().any(|client| client.open > 0) {
            assert!(self.step(until), "not over after {until:?}: {}", self.describe());
        }
    }

    /// Goes on until nothing runs any more; panics if something still does at `until`.
    pub(crate) fn drain(&mut self, until: Duration) {
        while self.nodes.iter().any(|node| node.up && !node.frozen && !node.processes.is_empty()) {
            assert!(self.step(until), "something still runs: {}", self.describe());
        }
    }

    fn describe(&self) -> String {
        let open: Vec<_> = self.clients.iter().map(|client| client.open).collect();
        let running: Vec<_> = self.nodes.iter().map(|node| (node.up, node.processes.len())).collect();
        format!("open tasks {open:?}, machines {running:?}, now {:?}, {} steps", self.now, self.steps)
    }

    fn step(&mut self, until: Duration) -> bool {
        let Some(((at, _), event)) = self.events.pop_first() else { return false };
        self.now = at;
        self.steps += 1;
        if at > until {
            return false;
        }
        if let Some(node) = frozen_target(&event).filter(|node| self.nodes[*node].frozen) {
            self.nodes[node].held.push(event);
            return true;
        }
        self.handle(event);
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::ToNode { node, life, client, message } => self.at_node(node, life, client, message),
            Event::ToClient { client, node, message } => self.at_client(client, node, message),
            Event::NodeTick { node, life, at } => {
                if self.nodes[node].life == life && self.nodes[node].armed == Some(at) {
                    self.nodes[node].armed = None;
                    self.nodes[node].slots.tick(self.now);
                    self.pump_node(node);
                }
            }
            Event::ClientTick { client, at } => {
                if self.clients[client].armed == Some(at) {
                    self.clients[client].armed = None;
                    let now = self.now;
                    self.clients[client].measured(|dispatch| dispatch.tick(now));
                    self.pump_client(client);
                }
            }
            Event::JobEnd { node, life, slot, id } => self.job_end(node, life, slot, id),
            Event::OwnEnd { client, task, attempt, answer } => self.own_end(client, task, attempt, answer),
            Event::OfferTimeout { client, number } => self.offer_timeout(client, number),
            Event::Beat { node } => {
                if self.nodes[node].up {
                    (0..self.clients.len()).for_each(|client| self.send_up(node, client, Up::Beat));
                }
                self.after(client::BEAT, Event::Beat { node });
            }
            Event::Fault(fault) => self.befall(fault),
            Event::Left { client, node, leaving } => {
                self.clients[client].dispatch.worker_left(worker(node), leaving, self.now);
                self.pump_client(client);
            }
            Event::Joined { client, node } => self.joined(client, node),
            Event::OpenOwn { client } => {
                self.clients[client].open_own(self.now);
                self.pump_client(client);
            }
            Event::Unreachable { node } => {
                if self.nodes[node].cut {
                    for client in 0..self.clients.len() {
                        let who = self.submitter(client, node);
                        self.nodes[node].slots.disconnected(&who, self.now);
                    }
                    self.pump_node(node);
                }
            }
        }
    }

    fn joined(&mut self, client: usize, node: usize) {
        let Node { up, count, .. } = self.nodes[node];
        if up {
            self.clients[client].join(node, count, self.now);
            if self.clients[client].home == Some(node) && self.clients[client].own_open {
                self.clients[client].dispatch.worker_changed(HERE, 0, self.now);
            }
            self.pump_client(client);
        }
    }

    fn submitter(&self, client: usize, node: usize) -> Submitter<usize> {
        match self.clients[client].home == Some(node) {
            true => Submitter::Own(client as u64),
            false => Submitter::Remote(client),
        }
    }

    // The network.

    fn delay(&mut self) -> Duration {
        self.net.latency + self.net.jitter.mul_f64(self.random.unit())
    }

    fn send(&mut self, client: usize, node: usize, bytes: u64, event: &Event) {
        self.nodes[node].messages += 1;
        self.nodes[node].bytes += bytes;
        if self.clients[client].home == Some(node) {
            return self.after(SOCKET, event.clone());
        }
        if self.nodes[node].cut || self.random.chance(self.net.loss) {
            return;
        }
        let times = 1 + u32::from(self.random.chance(self.net.repeat));
        for _ in 0..times {
            let delay = self.delay();
            self.after(delay, event.clone());
        }
    }

    fn send_up(&mut self, node: usize, client: usize, message: Up) {
        let bytes = match &message {
            Up::Reply { .. } | Up::GiveBack(_) | Up::Beat => MESSAGE_BYTES,
            Up::Results(results) => MESSAGE_BYTES + RESULT_BYTES * results.len() as u64,
        };
        self.send(client, node, bytes, &Event::ToClient { client, node, message });
    }

    fn send_down(&mut self, client: usize, node: usize, message: Down) {
        let bytes = match &message {
            Down::Offer { jobs, .. } => MESSAGE_BYTES + JOB_BYTES * jobs.len() as u64,
            Down::Cancel(_) | Down::Acknowledge(_) => MESSAGE_BYTES,
        };
        let life = self.nodes[node].life;
        self.send(client, node, bytes, &Event::ToNode { node, life, client, message });
    }

    // Nodes.

    fn at_node(&mut self, node: usize, life: u32, client: usize, message: Down) {
        let who = self.submitter(client, node);
        let now = self.now;
        let machine = &mut self.nodes[node];
        if machine.life != life || !machine.up || machine.cut {
            return;
        }
        match message {
            Down::Offer { number, jobs } => {
                let id = |task: TaskId, attempt| JobId { run: client as u64, sequence: task.0, attempt };
                let expires = now + Duration::from_secs(60);
                let offers = jobs.into_iter().map(|(task, attempt, payload)| Offer {
                    id: id(task, attempt),
                    expires,
                    payload,
                });
                let denied = machine.denies;
                let reply = match denied {
                    true => slots::Reply {
                        refused: offers.map(|offer| (offer.id, Refused::Busy)).collect(),
                        ..slots::Reply::default()
                    },
                    false => machine.slots.offer(&who, offers.collect(), now),
                };
                let slots::Reply { accepted, refused, .. } = reply;
                self.send_up(node, client, Up::Reply { number, accepted, refused, denied });
            }
            Down::Cancel(jobs) => {
                for (task, attempt) in jobs {
                    let id = JobId { run: client as u64, sequence: task.0, attempt };
                    let dropped = machine.slots.cancel(&who, Scope::Job(id), now);
                    debug_assert!(dropped.len() <= 1);
                }
            }
            Down::Acknowledge(ids) => machine.slots.acknowledged(&who, &ids, now),
        }
        self.pump_node(node);
    }

    fn pump_node(&mut self, node: usize) {
        let now = self.now;
        for action in self.nodes[node].slots.actions(now) {
            match action {
                slots::Action::Run { slot, id, submitter, payload } => {
                    self.spawn(node, slot, id, &submitter, payload);
                }
                slots::Action::Kill { slot, id } => {
                    let life = self.nodes[node].life;
                    let process = self.nodes[node].processes.get_mut(&slot).expect("a process to kill");
                    assert_eq!(process.id, id, "another process is killed");
                    process.killed = true;
                    process.ends = now + KILL;
                    self.after(KILL, Event::JobEnd { node, life, slot, id });
                }
                slots::Action::SendResults { submitter, results } => {
                    self.send_up(node, number(&submitter), Up::Results(results));
                }
                slots::Action::GiveBack { submitter, ids } => {
                    self.send_up(node, number(&submitter), Up::GiveBack(ids));
                }
                slots::Action::Arm(at) => {
                    let life = self.nodes[node].life;
                    self.nodes[node].armed = Some(at);
                    self.at(at, Event::NodeTick { node, life, at });
                }
            }
        }
    }

    fn spawn(&mut self, node: usize, slot: u32, id: JobId, who: &Submitter<usize>, payload: Payload) {
        let machine = &mut self.nodes[node];
        let takes = match machine.broken {
            true => Duration::from_millis(1),
            false => payload.duration.mul_f64(machine.slow).min(LIMIT),
        };
        let ends = self.now + takes;
        machine.spawn(slot, Process { id, began: self.now, ends, killed: false });
        let life = machine.life;
        self.at(ends, Event::JobEnd { node, life, slot, id });
        if payload.poison && matches!(who, Submitter::Remote(_)) {
            self.after(takes / 2, Event::Fault(Fault::Kill(node)));
        }
    }

    fn job_end(&mut self, node: usize, life: u32, slot: u32, id: JobId) {
        let now = self.now;
        let machine = &mut self.nodes[node];
        if machine.life != life {
            return;
        }
        let Some(process) = machine.processes.get(&slot).filter(|process| process.id == id) else { return };
        if process.ends > now {
            let ends = process.ends;
            return self.at(ends, Event::JobEnd { node, life, slot, id });
        }
        let answer = match (process.killed, machine.broken) {
            (true, _) => Answer::Killed,
            (false, true) => Answer::Broken,
            (false, false) => Answer::Ran(now - process.began),
        };
        machine.processes.remove(&slot);
        machine.slots.finished(slot, id, answer, RESULT_BYTES as usize, now);
        self.pump_node(node);
    }

    // Clients.

    fn at_client(&mut self, client: usize, node: usize, message: Up) {
        let (now, id) = (self.now, worker(node));
        match message {
            Up::Beat => self.clients[client].dispatch.heard(id, now),
            Up::Reply { number, accepted, refused, denied } => {
                if self.clients[client].offers.remove(&number).is_none() {
                    return;
                }
                let why = if denied { Refusal::Denied("no".to_owned()) } else { Refusal::Busy };
                let run = &mut self.clients[client];
                for job in accepted {
                    run.measured(|dispatch| dispatch.accepted(id, TaskId(job.sequence), job.attempt, now));
                }
                for (job, reason) in refused {
                    // A repeated offer is refused as such; the first one counts.
                    if reason != Refused::Replayed {
                        run.dispatch.refused(id, TaskId(job.sequence), job.attempt, &why, now);
                    }
                }
            }
            Up::Results(results) => {
                for (job, answer) in &results {
                    self.answered(client, id, TaskId(job.sequence), job.attempt, *answer);
                }
                let ids = results.iter().map(|(job, _)| *job).collect();
                self.send_down(client, node, Down::Acknowledge(ids));
            }
            Up::GiveBack(ids) => {
                for job in ids {
                    let task = TaskId(job.sequence);
                    self.clients[client].dispatch.refused(id, task, job.attempt, &Refusal::Busy, now);
                }
            }
        }
        self.pump_client(client);
    }

    fn answered(&mut self, client: usize, id: WorkerId, task: TaskId, attempt: u16, answer: Answer) {
        let run = &mut self.clients[client];
        let class = match answer {
            Answer::Ran(duration) => Class::Ran { duration },
            Answer::Broken => Class::Infra { why: "No space left on device".to_owned() },
            Answer::Killed => Class::Cancelled,
        };
        if matches!(answer, Answer::Ran(_)) {
            run.answers.insert((id, task, attempt));
        }
        let now = self.now;
        run.measured(|dispatch| dispatch.finished(id, task, attempt, &class, now));
    }

    fn own_end(&mut self, client: usize, task: TaskId, attempt: u16, answer: Answer) {
        if self.clients[client].own.remove(&(task, attempt)) {
            self.answered(client, HERE, task, attempt, answer);
            self.pump_client(client);
        }
    }

    fn offer_timeout(&mut self, client: usize, number: u64) {
        let Some((node, jobs)) = self.clients[client].offers.remove(&number) else { return };
        let why = Refusal::Unreachable("no answer".to_owned());
        for (task, attempt) in jobs {
            self.clients[client].dispatch.refused(worker(node), task, attempt, &why, self.now);
        }
        self.pump_client(client);
    }

    fn pump_client(&mut self, client: usize) {
        let mut offers: BTreeMap<WorkerId, Vec<(TaskId, u16)>> = BTreeMap::new();
        let mut cancels: BTreeMap<WorkerId, Vec<(TaskId, u16)>> = BTreeMap::new();
        let now = self.now;
        loop {
            let actions = self.clients[client].actions(now);
            // A delivery may submit a confirmation, which asks for another round.
            let again = actions.iter().any(|action| matches!(action, dispatch::Action::Deliver { .. }));
            for action in actions {
                match action {
                    dispatch::Action::Start { worker, task, attempt } => {
                        offers.entry(worker).or_default().push((task, attempt));
                    }
                    dispatch::Action::Cancel { worker, task, attempt } => {
                        cancels.entry(worker).or_default().push((task, attempt));
                    }
                    dispatch::Action::Deliver { task, worker, attempt, ending } => {
                        self.clients[client].delivered(task, worker, attempt, &ending, now);
                    }
                    dispatch::Action::Exclude { worker, why } => {
                        self.clients[client].excluded.push((worker, why));
                    }
                    dispatch::Action::Arm(at) => {
                        self.clients[client].armed = Some(at);
                        self.at(at, Event::ClientTick { client, at });
                    }
                }
            }
            if !again {
                break;
            }
        }
        self.send_cancels(client, cancels);
        self.send_offers(client, offers);
    }

    fn send_cancels(&mut self, client: usize, cancels: BTreeMap<WorkerId, Vec<(TaskId, u16)>>) {
        for (id, jobs) in cancels {
            if id != HERE {
                self.send_down(client, id.0 as usize, Down::Cancel(jobs));
                continue;
            }
            for (task, attempt) in jobs {
                self.after(KILL, Event::OwnEnd { client, task, attempt, answer: Answer::Killed });
            }
        }
    }

    fn send_offers(&mut self, client: usize, offers: BTreeMap<WorkerId, Vec<(TaskId, u16)>>) {
        for (id, jobs) in offers {
            if id == HERE {
                jobs.into_iter().for_each(|(task, attempt)| self.own_start(client, task, attempt));
                continue;
            }
            let node = id.0 as usize;
            let run = &mut self.clients[client];
            let number = run.next_offer;
            run.next_offer += 1;
            run.offers.insert(number, (node, jobs.clone()));
            let payload = |task: TaskId| {
                let Test { duration, poison, .. } = run.tests[task.0 as usize];
                Payload { duration, poison }
            };
            let jobs = jobs.into_iter().map(|(task, attempt)| (task, attempt, payload(task))).collect();
            self.send_down(client, node, Down::Offer { number, jobs });
            self.after(OFFER_TIMEOUT, Event::OfferTimeout { client, number });
        }
    }

    fn own_start(&mut self, client: usize, task: TaskId, attempt: u16) {
        let run = &mut self.clients[client];
        run.own.insert((task, attempt));
        run.executions += 1;
        assert!(run.own.len() <= run.own_slots as usize, "more processes than slots of its own");
        let takes = run.tests[task.0 as usize].duration;
        self.after(takes, Event::OwnEnd { client, task, attempt, answer: Answer::Ran(takes) });
    }

    // What befalls machines.

    fn befall(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::Kill(node) => self.kill(node, true),
            Fault::Vanish(node) => self.kill(node, false),
            Fault::Restart(node) | Fault::Join(node) => {
                if !self.nodes[node].up {
                    self.nodes[node].up = true;
                    self.rejoin(node);
                }
            }
            Fault::Freeze(node) => self.nodes[node].frozen = self.nodes[node].up,
            Fault::Thaw(node) => {
                self.nodes[node].frozen = false;
                let held = std::mem::take(&mut self.nodes[node].held);
                held.into_iter().for_each(|event| self.handle(event));
            }
            Fault::Cut(node) => {
                self.nodes[node].cut = true;
                self.after(CUT_NOTICE, Event::Unreachable { node });
            }
            Fault::Heal(node) => {
                self.nodes[node].cut = false;
                for client in 0..self.clients.len() {
                    let who = self.submitter(client, node);
                    self.nodes[node].slots.connected(&who, now);
                }
                self.pump_node(node);
            }
            Fault::Slow(node, factor) => self.slow(node, factor),
            Fault::Break(node) => self.nodes[node].broken = true,
            Fault::Deny(node) => self.nodes[node].denies = true,
            Fault::Revoke(node) => self.revoke(node),
            Fault::Pause(node) | Fault::Resume(node) => {
                let pause = matches!(fault, Fault::Pause(_));
                match pause {
                    true => self.nodes[node].slots.pause(now),
                    false => self.nodes[node].slots.resume(now),
                }
                self.pump_node(node);
            }
        }
    }

    fn kill(&mut self, node: usize, noticed: bool) {
        if !self.nodes[node].up {
            return;
        }
        self.nodes[node].die();
        for client in 0..self.clients.len() {
            if self.clients[client].home == Some(node) {
                // Without its node a client has no peers; it goes on by itself.
                for other in 0..self.nodes.len() {
                    let leaving = if other == node { Leaving::Lost } else { Leaving::Drained };
                    self.after(NOTICE, Event::Left { client, node: other, leaving });
                }
                self.after(NOTICE * 2, Event::OpenOwn { client });
            } else if noticed {
                self.after(NOTICE, Event::Left { client, node, leaving: Leaving::Lost });
            }
        }
    }

    fn rejoin(&mut self, node: usize) {
        for client in 0..self.clients.len() {
            let all = self.clients[client].home == Some(node);
            let nodes = if all { 0..self.nodes.len() } else { node..node + 1 };
            nodes.for_each(|node| self.after(NOTICE * 4, Event::Joined { client, node }));
        }
    }

    fn slow(&mut self, node: usize, factor: f64) {
        let now = self.now;
        let machine = &mut self.nodes[node];
        machine.set_slow(factor, now);
        let life = machine.life;
        let ends: Vec<_> =
            machine.processes.iter().map(|(slot, process)| (*slot, process.id, process.ends)).collect();
        for (slot, id, ends) in ends {
            self.at(ends, Event::JobEnd { node, life, slot, id });
        }
    }

    /// Every client and this node stop trusting each other.
    fn revoke(&mut self, node: usize) {
        let now = self.now;
        for client in 0..self.clients.len() {
            if self.clients[client].home == Some(node) {
                continue;
            }
            self.nodes[node].slots.expelled(&client, now);
            self.clients[client].revoked.insert(worker(node));
            self.clients[client].dispatch.worker_left(worker(node), Leaving::Revoked, now);
            self.pump_client(client);
        }
        self.nodes[node].denies = true;
        self.pump_node(node);
        let owned = |process: &Process| {
            let client = usize::try_from(process.id.run).expect("few clients");
            self.clients[client].home == Some(node)
        };
        let all = self.nodes[node].processes.values();
        assert!(all.into_iter().all(|process| process.killed || owned(process)), "it runs on without trust");
    }
}

fn number(submitter: &Submitter<usize>) -> usize {
    match submitter {
        Submitter::Own(client) => usize::try_from(*client).expect("few clients"),
        Submitter::Remote(client) => *client,
    }
}

/// The machine that must not be frozen for this to happen.
fn frozen_target(event: &Event) -> Option<usize> {
    match event {
        Event::ToNode { node, .. }
        | Event::NodeTick { node, .. }
        | Event::JobEnd { node, .. }
        | Event::Unreachable { node }
        | Event::Beat { node } => Some(*node),
        _ => None,
    }
}
