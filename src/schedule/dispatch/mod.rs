//! Which worker runs which task of a run, until every task has exactly one answer.
//!
//! Pure: no clock, no I/O, no randomness. Inputs are what the session wants run and what the workers report; outputs
//! are [`Action`]s, fetched with [`Dispatch::actions`] after each input or after a few. It never sees a command, an
//! output or a verdict: the caller keeps the output of a `finished` at hand until the actions after it have told
//! whether it is the one that counts.
//!
//! Every cost is logarithmic in tasks and workers. `assign` hands out, `watch` looks after what was handed out, `give`
//! moves tasks between the queue and the workers, `inputs` takes the workers' reports.

mod assign;
mod give;
mod inputs;
mod pending;
mod rest;
mod speed;
mod task;
#[cfg(test)]
mod tests;
mod types;
mod watch;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pending::Pending;
use speed::Typical;
use task::{Key, Task};
pub use types::{
    Action, Class, Config, Ending, Estimate, Joined, Kind, Leaving, Refusal, Spec, TaskId, Totals, WorkerId,
    WorkerReport,
};
use worker::Worker;

/// The dispatcher of one run.
#[derive(Debug, Default)]
pub struct Dispatch {
    config: Config,
    /// The latest moment an input named.
    now: Duration,
    /// Tasks without an answer.
    tasks: BTreeMap<TaskId, Task>,
    next_task: u32,
    pending: Pending,
    /// Work that waits: microseconds of known tasks, number of unknown ones.
    pending_known: u64,
    pending_unknown: u64,
    /// Second copies among what waits.
    hedged: u64,
    typical: Typical,
    workers: BTreeMap<WorkerId, Worker>,
    /// Usable workers, the fastest first; the key is the bit pattern of the slowness, which orders as it does.
    ranks: BTreeSet<(u64, WorkerId)>,
    /// Thousandths of an average slot that all usable workers together are worth.
    capacity: u64,
    /// Usable workers that take any task, and usable ones of this machine.
    eligible: [usize; 2],
    /// Since when there is none of them.
    none_since: [Option<Duration>; 2],
    /// Numbers what workers have queued.
    order: u64,
    /// Tasks on one worker, by the time they should be finished.
    races: BTreeSet<Key>,
    /// Tasks by the time somebody must look after them.
    alarms: BTreeSet<Key>,
    /// Workers by the time something changes by itself.
    wakes: BTreeSet<(Duration, WorkerId)>,
    /// Workers that may want something, and those that want something and found nothing.
    visit: BTreeSet<WorkerId>,
    idle: BTreeSet<WorkerId>,
    /// Something came into the queue since the idle ones looked.
    fresh: bool,
    /// When an idle worker may race, and when idle ones look again.
    race_at: Option<Duration>,
    look_at: Option<Duration>,
    armed: Option<Duration>,
    stopped: bool,
    totals: Totals,
    actions: Vec<Action>,
}

impl Dispatch {
    /// A run without tasks and workers.
    pub fn new(config: Config) -> Self {
        Dispatch { config, none_since: [Some(Duration::ZERO); 2], ..Self::default() }
    }

    /// Adds a task to run; its number is new. Tasks of equal estimate start in the order they were submitted.
    pub fn submit(&mut self, spec: Spec, now: Duration) -> TaskId {
        self.advance(now);
        let id = TaskId(self.next_task);
        self.next_task = self.next_task.saturating_add(1);
        self.totals.submitted += 1;
        self.tasks.insert(id, Task::new(spec));
        if self.stopped {
            self.deliver(id, None, 0, Ending::Cancelled);
        } else {
            self.enqueue(id, spec.urgent);
        }
        id
    }

    /// Ends the run: everything that runs is cancelled, every task without an answer is delivered as cancelled, and so
    /// is whatever is submitted later.
    pub fn cancel_all(&mut self, now: Duration) {
        self.advance(now);
        self.stopped = true;
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        all.into_iter().for_each(|task| self.deliver(task, None, 0, Ending::Cancelled));
    }

    /// What is to be done now, in order. Offers are made here, so that several inputs make one batch.
    pub fn actions(&mut self, now: Duration) -> Vec<Action> {
        self.advance(now);
        self.assign();
        self.arm();
        std::mem::take(&mut self.actions)
    }

    /// Whether every submitted task has had its answer.
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// What is known of a worker, for the summary and the progress line.
    pub fn report(&self, worker: WorkerId) -> Option<WorkerReport> {
        self.workers.get(&worker).map(Worker::report)
    }

    /// Counts of the whole run.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Microseconds of work that wait for a worker.
    fn pending_work(&self) -> u64 {
        self.pending_known.saturating_add(self.pending_unknown.saturating_mul(self.typical.micros()))
    }

    /// How long the workers need for what waits, in microseconds, `without` so much of their capacity.
    fn horizon(&self, without: u64) -> u64 {
        match self.capacity.saturating_sub(without) {
            0 => u64::MAX,
            capacity => self.pending_work().saturating_mul(1000) / capacity,
        }
    }

    /// Changes a worker and keeps the indexes that depend on it.
    fn with<R>(&mut self, id: WorkerId, change: impl FnOnce(&mut Worker) -> R) -> Option<R> {
        let worker = self.workers.get_mut(&id)?;
        let before = standing(worker, self.config.remote_only);
        let result = change(worker);
        let after = standing(worker, self.config.remote_only);
        let wake = worker.wake_at(self.now);
        let woken = std::mem::replace(&mut worker.wake_key, wake);
        if woken != wake {
            woken.map(|at| self.wakes.remove(&(at, id)));
            wake.map(|at| self.wakes.insert((at, id)));
        }
        self.restand(id, before, after);
        Some(result)
    }

    fn restand(&mut self, id: WorkerId, before: Standing, after: Standing) {
        if before == after {
            return;
        }
        self.capacity = (self.capacity + after.capacity).saturating_sub(before.capacity);
        if before.rank != after.rank {
            before.rank.map(|rank| self.ranks.remove(&(rank, id)));
            after.rank.map(|rank| self.ranks.insert((rank, id)));
        }
        for lane in 0..2 {
            self.eligible[lane] += usize::from(after.eligible[lane]);
            self.eligible[lane] -= usize::from(before.eligible[lane]);
            match (self.eligible[lane], self.none_since[lane]) {
                (0, None) => self.none_since[lane] = Some(self.now),
                (0, Some(_)) => {}
                _ => self.none_since[lane] = None,
            }
        }
    }
}

/// What the indexes hold of a worker.
#[derive(PartialEq)]
struct Standing {
    capacity: u64,
    rank: Option<u64>,
    eligible: [bool; 2],
}

fn standing(worker: &Worker, remote_only: bool) -> Standing {
    let local = worker.kind == Kind::Local;
    // Its slots are lent to somebody and come back: no reason to give up.
    let waits = local && worker.presence == worker::Presence::Here;
    let anywhere = worker.usable() && !(local && remote_only);
    Standing {
        capacity: if anywhere { worker.capacity() } else { 0 },
        rank: anywhere.then(|| worker.slowness.factor().to_bits()),
        eligible: [anywhere || (waits && !remote_only), waits],
    }
}
