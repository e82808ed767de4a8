//! A machine of the simulated world: real slots, imagined processes.

use std::collections::BTreeMap;
use std::time::Duration;

use testmesh::job::JobId;
use testmesh::schedule::slots::{Config, Slots};

use super::Event;
use super::client::LIMIT;

/// A test on its way through a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    pub(crate) duration: Duration,
    /// Brings down the machine it runs on, unless that is the client's own.
    pub(crate) poison: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Ran(Duration),
    Broken,
    Killed,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: JobId,
    pub(crate) began: Duration,
    pub(crate) ends: Duration,
    pub(crate) killed: bool,
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) slots: Slots<usize, Payload, Answer>,
    pub(crate) count: u32,
    pub(crate) up: bool,
    pub(crate) frozen: bool,
    pub(crate) cut: bool,
    /// Fails whatever it is given, at once.
    pub(crate) broken: bool,
    /// Takes nothing.
    pub(crate) denies: bool,
    pub(crate) slow: f64,
    /// Counts restarts: what was meant for an earlier life is lost.
    pub(crate) life: u32,
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) armed: Option<Duration>,
    /// What happened to it while it was frozen.
    pub(crate) held: Vec<Event>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) executions: u64,
}

impl Node {
    pub(crate) fn new(count: u32) -> Self {
        Node {
            slots: Slots::new(Config::new(count)),
            count,
            up: true,
            frozen: false,
            cut: false,
            broken: false,
            denies: false,
            slow: 1.0,
            life: 0,
            processes: BTreeMap::new(),
            armed: None,
            held: Vec::new(),
            messages: 0,
            bytes: 0,
            executions: 0,
        }
    }

    /// Everything in it is gone.
    pub(crate) fn die(&mut self) {
        self.up = false;
        self.frozen = false;
        self.life += 1;
        self.processes.clear();
        self.held.clear();
        self.armed = None;
        self.slots = Slots::new(Config::new(self.count));
    }

    /// A process begins; panics if its slot is taken or there are more than slots.
    pub(crate) fn spawn(&mut self, slot: u32, process: Process) {
        assert!(slot < self.count, "a slot that does not exist");
        assert!(self.processes.insert(slot, process).is_none(), "two processes on one slot");
        assert!(self.processes.len() <= self.count as usize, "more processes than slots");
        self.executions += 1;
    }

    /// Its processes take `factor` times as long from now on.
    pub(crate) fn set_slow(&mut self, factor: f64, now: Duration) {
        let change = factor / self.slow;
        self.slow = factor;
        for process in self.processes.values_mut().filter(|process| !process.killed) {
            let ends = now + process.ends.saturating_sub(now).mul_f64(change);
            process.ends = ends.min(process.began + LIMIT);
        }
    }
}
