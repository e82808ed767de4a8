//! A worker as the dispatcher knows it: what it holds, how slow it is, whether it can be relied on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rest::Rest;
use super::speed::Slowness;
use super::types::{Joined, Kind, TaskId, WorkerId, WorkerReport};

/// Heartbeats that may be missing before a worker counts as silent: one may be lost, two may be late.
const MISSING: u32 = 3;
/// Tasks in a row that a worker could not run before it is excluded. From the second on it gets fewer at a time.
const MAX_STREAK: u32 = 6;
/// What a task that could not be run adds to a worker's score; one that ran takes 1 off.
const INFRA_SCORE: u32 = 3;
/// Score that excludes: a quarter of the tasks fails, for long.
const MAX_SCORE: u32 = 60;
/// Tasks denied in a row before a worker is excluded.
const MAX_DENIED: u32 = 3;
/// Results contradicted by this machine before a worker is excluded.
const MAX_DISAGREEMENTS: u64 = 3;
/// Waiting time after a first refusal, doubled up to `LONGEST_BACKOFF`.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// Between offers to a worker that refuses all; what it costs to find out that it has room again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// A cancelled task's slot counts as free after this long without an answer.
const ENDING: Duration = Duration::from_secs(2);
/// How long a worker with an overdue task gets nothing new if it stays quiet.
const STALL: Duration = Duration::from_secs(5);
/// Slots that are believed of one machine.
const MAX_SLOTS: u32 = 4096;
/// Capacity is counted in thousandths of an average slot.
const MILLI: f64 = 1000.0;

/// Whether it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    /// No sign of life; back with the next one.
    Silent,
    Left,
    Excluded(String),
}

/// Copies, by task and attempt.
pub(super) type Copies = Vec<(TaskId, u16)>;

/// A task a worker holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) task: TaskId,
    pub(super) attempt: u16,
    pub(super) work: u64,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) kind: Kind,
    pub(super) slots: u32,
    queues: bool,
    heartbeat: Option<Duration>,
    pub(super) presence: Presence,
    /// Answers to copies of an earlier epoch do not count: trust was lost in between.
    pub(super) epoch: u32,
    heard: Duration,
    pub(super) slowness: Slowness,
    /// The factor that the expectations of its tasks were made with.
    pub(super) used_factor: f64,
    /// What is on its slots, as far as is known, with the attempt.
    pub(super) running: BTreeMap<TaskId, u16>,
    /// What it has queued, in order.
    pub(super) queued: BTreeMap<u64, Held>,
    pub(super) queued_work: u64,
    /// Cancelled tasks that may still hold a slot, and when that is not believed any more.
    ending: BTreeMap<(TaskId, u16), Duration>,
    /// Heavy tasks it holds.
    pub(super) heavy: BTreeSet<TaskId>,
    backoff: Duration,
    retry_at: Duration,
    /// A task is overdue and nothing has come since: nothing new until something does, or until then.
    pub(super) stalled: Option<Duration>,
    streak: u32,
    denied: u32,
    pub(super) rest: Rest,
    score: u32,
    /// Since when it has had a free slot and nothing for it.
    pub(super) idle_since: Option<Duration>,
    /// Its key among the times to wake up at.
    pub(super) wake_key: Option<Duration>,
    counts: WorkerReport,
}

impl Worker {
    pub(super) fn new(id: WorkerId, joined: &Joined, now: Duration) -> Self {
        let slowness = Slowness::new(joined.slowness);
        let counts = WorkerReport {
            kind: joined.kind,
            slots: 0,
            present: false,
            holds: 0,
            answered: 0,
            busy: Duration::ZERO,
            slowness: 1.0,
            infra: 0,
            refused: 0,
            lost: 0,
            late: 0,
            disagreements: 0,
            excluded: None,
        };
        Worker {
            id,
            kind: joined.kind,
            slots: joined.slots.min(MAX_SLOTS),
            queues: joined.queues,
            heartbeat: joined.heartbeat.filter(|beat| !beat.is_zero()),
            presence: Presence::Here,
            epoch: 0,
            heard: now,
            slowness,
            used_factor: slowness.factor(),
            running: BTreeMap::new(),
            queued: BTreeMap::new(),
            queued_work: 0,
            ending: BTreeMap::new(),
            heavy: BTreeSet::new(),
            backoff: Duration::ZERO,
            retry_at: Duration::ZERO,
            stalled: None,
            streak: 0,
            denied: 0,
            rest: Rest::new(now),
            score: 0,
            idle_since: None,
            wake_key: None,
            counts,
        }
    }

    /// It is back. What is known of its speed and its failures stays.
    pub(super) fn rejoin(&mut self, joined: &Joined, now: Duration) {
        self.slots = joined.slots.min(MAX_SLOTS);
        self.queues = joined.queues;
        self.heartbeat = joined.heartbeat.filter(|beat| !beat.is_zero());
        self.heard = now;
        self.backoff = Duration::ZERO;
        self.retry_at = Duration::ZERO;
        if self.presence != Presence::Here && !self.excluded() {
            self.presence = Presence::Here;
        }
    }

    pub(super) fn resize(&mut self, slots: u32) {
        self.slots = slots.min(MAX_SLOTS);
    }

    pub(super) fn excluded(&self) -> bool {
        matches!(self.presence, Presence::Excluded(_))
    }

    pub(super) fn usable(&self) -> bool {
        self.presence == Presence::Here && self.slots > 0
    }

    /// Thousandths of an average slot that it is worth.
    pub(super) fn capacity(&self) -> u64 {
        if !self.usable() {
            return 0;
        }
        (f64::from(self.slots) * MILLI / self.slowness.factor()) as u64
    }

    pub(super) fn holds(&self) -> usize {
        self.running.len() + self.queued.len()
    }

    /// Slots that could take a task now.
    pub(super) fn free(&self, now: Duration) -> usize {
        if !self.open(now) {
            return 0;
        }
        let busy = self.running.len() + self.queued.len() + self.ending.len();
        self.allowed().saturating_sub(busy)
    }

    /// Whether tasks may be queued behind those on its slots.
    pub(super) fn may_queue(&self, now: Duration) -> bool {
        self.queues && self.open(now) && self.streak < 2
    }

    fn open(&self, now: Duration) -> bool {
        let rests = self.retry_at.max(self.rest.until());
        self.usable() && self.stalled.is_none_or(|until| until <= now) && now >= rests
    }

    /// One of its tasks is overdue. This machine is trusted to answer.
    pub(super) fn stall(&mut self, now: Duration) {
        self.stalled = (self.kind == Kind::Peer).then_some(now + STALL);
    }

    /// Tasks on slots at once: fewer after failures.
    fn allowed(&self) -> usize {
        let fewer = self.slots >> self.streak.saturating_sub(1).min(31);
        usize::try_from(fewer.max(1)).unwrap_or(usize::MAX)
    }

    pub(super) fn hear(&mut self, now: Duration) {
        self.heard = self.heard.max(now);
    }

    /// Whether it has missed its signs of life.
    pub(super) fn is_silent(&self, now: Duration) -> bool {
        self.silent_at().is_some_and(|at| at <= now)
    }

    fn silent_at(&self) -> Option<Duration> {
        let beat = self.heartbeat.filter(|_| self.presence == Presence::Here)?;
        Some(self.heard + beat * MISSING)
    }

    /// When something changes by itself.
    pub(super) fn wake_at(&self, now: Duration) -> Option<Duration> {
        let ending = self.ending.values().min().copied().filter(|_| self.queues);
        let rests = [self.retry_at, self.rest.until()].into_iter().filter(|until| *until > now).min();
        let stalled = self.stalled.filter(|until| *until > now);
        [self.silent_at(), ending, rests, stalled].into_iter().flatten().min()
    }

    /// A task was cancelled; its slot is free after its answer.
    pub(super) fn end(&mut self, task: TaskId, attempt: u16, now: Duration) {
        self.ending.insert((task, attempt), now + ENDING);
    }

    /// The answer of a cancelled task.
    pub(super) fn ended(&mut self, task: TaskId, attempt: u16) -> bool {
        self.ending.remove(&(task, attempt)).is_some()
    }

    /// Gives up waiting for answers of cancelled tasks. Slots of this process always answer.
    pub(super) fn forget_ended(&mut self, now: Duration) {
        if self.queues {
            self.ending.retain(|_, until| *until > now);
        }
    }

    /// Empties it; returns what was on its slots and what was queued.
    pub(super) fn drain(&mut self) -> (Copies, Copies) {
        let running = std::mem::take(&mut self.running).into_iter().collect();
        let queued = std::mem::take(&mut self.queued);
        let queued = queued.into_values().map(|held| (held.task, held.attempt)).collect();
        self.queued_work = 0;
        self.ending.clear();
        self.heavy.clear();
        self.stalled = None;
        (running, queued)
    }

    pub(super) fn ran(&mut self, duration: Duration) {
        self.counts.answered += 1;
        self.counts.busy += duration;
        self.streak = 0;
        self.denied = 0;
        self.score = self.score.saturating_sub(1);
        self.took();
    }

    /// It takes tasks: no more waiting.
    pub(super) fn took(&mut self) {
        self.backoff = Duration::ZERO;
        self.retry_at = Duration::ZERO;
    }

    /// Why it must be excluded after a task it could not run, if it must. This machine never is.
    pub(super) fn failed(&mut self, why: &str) -> Option<String> {
        self.counts.infra += 1;
        self.streak += 1;
        self.score = self.score.saturating_add(INFRA_SCORE);
        let (streak, often) = (self.streak >= MAX_STREAK, self.score >= MAX_SCORE);
        match (self.kind, streak, often) {
            (Kind::Peer, true, _) => {
                Some(format!("it could not run {} tests in a row; the last: {why}", self.streak))
            }
            (Kind::Peer, false, true) => {
                Some(format!("it could not run {} tests; the last: {why}", self.counts.infra))
            }
            _ => None,
        }
    }

    /// It has run something in this run. This machine is trusted to.
    pub(super) fn proven(&self) -> bool {
        self.kind == Kind::Local || self.counts.answered > 0
    }

    /// It gave a task back that it had taken.
    pub(super) fn gave_back(&mut self, now: Duration) {
        if self.kind == Kind::Local {
            return self.refused(now);
        }
        self.counts.refused += 1;
        self.rest.gave_back(now);
    }

    /// Waits longer before the next offer.
    pub(super) fn refused(&mut self, now: Duration) {
        self.counts.refused += 1;
        if self.retry_at > now {
            return;
        }
        self.backoff = (self.backoff * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
        self.retry_at = now + self.backoff;
    }

    /// Why it must be excluded after it denied a task, if it must.
    pub(super) fn denied(&mut self, why: &str) -> Option<String> {
        self.denied += 1;
        let enough = self.denied >= MAX_DENIED && self.kind == Kind::Peer;
        enough.then(|| format!("it takes no tests of this run: {why}"))
    }

    pub(super) fn disagreed(&mut self) -> Option<String> {
        self.counts.disagreements += 1;
        let times = self.counts.disagreements;
        (times >= MAX_DISAGREEMENTS)
            .then(|| format!("{times} of its results were contradicted by this machine"))
    }

    pub(super) fn late(&mut self) {
        self.counts.late += 1;
    }

    pub(super) fn lost(&mut self, tasks: usize) {
        self.counts.lost += tasks as u64;
    }

    pub(super) fn report(&self) -> WorkerReport {
        let excluded = match &self.presence {
            Presence::Excluded(why) => Some(why.clone()),
            _ => None,
        };
        WorkerReport {
            slots: if self.presence == Presence::Here { self.slots } else { 0 },
            present: self.presence == Presence::Here,
            holds: self.holds(),
            slowness: self.slowness.factor(),
            excluded,
            ..self.counts.clone()
        }
    }
}
