//! Hands out: free slots first, then a little ahead, then a second copy of what holds up the end.

use std::time::Duration;

use super::Dispatch;
use super::give::until;
use super::pending::Lane;
use super::task::{At, Copy, Task, UNKNOWN_WEIGHT, micros};
use super::types::{Action, Kind, TaskId, WorkerId};
use super::worker::Worker;

/// Work queued on a worker beyond its slots, in its own time, microseconds: long enough to cover the way there and
/// back and a batch of results, short enough to lose little with it.
const AHEAD: u64 = 100_000;
/// Longer tests are not queued behind others at all: what a free slot waits for the next one is nothing beside them.
const LONG: u64 = 1_000_000;
/// Queued tests for a slot at most, however short they are; bounds a message.
const DEPTH: usize = 32;
/// A worker slower than the fastest by this factor gets only what it can finish before the others are through.
const SLOW: f64 = 1.5;
/// After so long without work a worker takes anything, as long as the end can still be raced.
const STARVED: Duration = Duration::from_secs(1);
/// A second copy must promise to be sooner by this factor …
const SOONER: f64 = 1.3;
/// … and by this much, microseconds; the second for tests that only wait in a queue.
const MARGIN: u64 = 200_000;
const MARGIN_QUEUED: u64 = 30_000;
/// At the end of a run a test is raced when it takes half as long again as expected, and at least this much longer.
const LATE: Duration = Duration::from_millis(500);
/// A test of unknown duration is raced when it has taken so many times what is typical, and at least `LONG_UNKNOWN`.
const LATE_UNKNOWN: u32 = 8;
/// Below it an unknown test is not raced.
const LONG_UNKNOWN: Duration = Duration::from_secs(2);
/// Candidates for a race that are looked at from either end.
const LOOK: usize = 16;
/// Idle workers that may find nothing to race before the rest is not asked.
const ASK: usize = 8;

impl Dispatch {
    pub(super) fn assign(&mut self) {
        if std::mem::take(&mut self.fresh) {
            self.visit.append(&mut self.idle);
        }
        let visit = std::mem::take(&mut self.visit);
        let mut turn: Vec<(u64, Kind, WorkerId)> = visit.into_iter().filter_map(|id| self.rank(id)).collect();
        turn.sort_unstable();
        let turn: Vec<WorkerId> = turn.into_iter().map(|(_, _, id)| id).collect();
        // One slot of each after the other, so that few tasks spread over many machines.
        let mut open = turn.clone();
        while !open.is_empty() && !self.pending.is_empty() {
            open.retain(|worker| self.fill_slot(*worker));
        }
        turn.iter().for_each(|worker| self.fill_ahead(*worker));
        self.idle_ones(&turn);
    }

    fn rank(&self, id: WorkerId) -> Option<(u64, Kind, WorkerId)> {
        let worker = self.workers.get(&id)?;
        worker.usable().then(|| (worker.slowness.factor().to_bits(), worker.kind, id))
    }

    /// Gives a free slot the first task that fits it.
    fn fill_slot(&mut self, id: WorkerId) -> bool {
        let Some(worker) = self.workers.get(&id) else { return false };
        if worker.free(self.now) == 0 {
            return false;
        }
        let Some(task) = self.pick(worker) else { return false };
        self.give(id, task, false);
        true
    }

    /// The first task in the queue that this worker may and should take.
    fn pick(&self, worker: &Worker) -> Option<TaskId> {
        let light = |local_only| Lane { local_only, heavy: false };
        let heavy = worker.heavy.len() < self.config.heavy_limit.max(1);
        let lanes = |local_only| {
            let more = heavy.then_some(Lane { local_only, heavy: true });
            std::iter::once(light(local_only)).chain(more)
        };
        let fits = |task| self.tasks.get(&task).is_some_and(|task| self.admits(worker, task));
        let here = worker.kind == Kind::Local;
        let own = here.then(|| self.pending.first(lanes(true), u64::MAX, fits)).flatten();
        own.or_else(|| {
            let anywhere = !here || !self.config.remote_only;
            anywhere.then(|| self.pending.first(lanes(false), self.cap(worker), fits)).flatten()
        })
    }

    /// A worker does not get a task that it has, nor at first one that it could not run while others are left to try.
    fn admits(&self, worker: &Worker, task: &Task) -> bool {
        let mut here = task.copies.iter().filter(|copy| copy.worker == worker.id);
        let has = here.clone().any(Copy::live);
        let failed = here.any(|copy| copy.at == At::Failed);
        let others = self.eligible[usize::from(task.lane.local_only)] > task.copies.len();
        !has && (!failed || !others || self.starved(worker))
    }

    /// Whether it has had nothing to do for so long that rules of taste do not hold any more.
    fn starved(&self, worker: &Worker) -> bool {
        worker.idle_since.is_some_and(|since| self.now.saturating_sub(since) >= STARVED)
    }

    /// The longest task a worker should take, in microseconds on an average one: a slow one not what would outlast
    /// all that waits.
    fn cap(&self, worker: &Worker) -> u64 {
        let slowness = worker.slowness.factor();
        let raced = self.starved(worker) && self.may_spend(worker.id);
        if raced || slowness <= SLOW * self.best() {
            return u64::MAX;
        }
        let cap = (self.horizon(worker.capacity()) as f64 / slowness) as u64;
        let unknown = cap >= self.typical.micros().saturating_mul(2);
        if unknown { cap.max(micros(UNKNOWN_WEIGHT)) } else { cap }
    }

    /// The slowness of the fastest.
    pub(super) fn best(&self) -> f64 {
        self.ranks.first().map_or(1.0, |(bits, _)| f64::from_bits(*bits))
    }

    /// Queues a little behind the slots of a worker.
    fn fill_ahead(&mut self, id: WorkerId) {
        if self.pending.is_empty() {
            return;
        }
        let share = self.horizon(0);
        let target = AHEAD.min(share / 2);
        if self.workers.get(&id).is_none_or(|worker| !wants_more(worker, self.now, target)) {
            return;
        }
        while let Some(task) = self.next_ahead(id, target, share) {
            self.give(id, task, true);
        }
    }

    fn next_ahead(&self, id: WorkerId, target: u64, share: u64) -> Option<TaskId> {
        let worker = self.workers.get(&id)?;
        if worker.queued.len() >= depth(worker) {
            return None;
        }
        let task = self.pick(worker)?;
        let slowness = worker.slowness.factor();
        let expected = self.tasks.get(&task)?.expected(self.typical.micros());
        let takes = (expected as f64 * slowness) as u64;
        let batch = takes <= target && queue_micros(worker, expected) <= target;
        let single = worker.queued.is_empty() && takes <= LONG && takes.saturating_mul(2) <= share;
        (batch || single).then_some(task)
    }

    /// Workers that found nothing race the last tasks, or wait.
    fn idle_ones(&mut self, turn: &[WorkerId]) {
        let mut nothing = 0;
        for id in turn {
            while nothing < ASK && self.race(*id) {
                nothing = 0;
            }
            let now = self.now;
            let free = |worker: &&mut Worker| worker.free(now) > 0;
            if let Some(worker) = self.workers.get_mut(id).filter(free) {
                nothing += 1;
                worker.idle_since.get_or_insert(now);
                self.idle.insert(*id);
            }
        }
    }

    /// Gives an idle worker a second copy of the task that it most helps with. Whether it got one.
    fn race(&mut self, id: WorkerId) -> bool {
        let Some(worker) = self.workers.get(&id) else { return false };
        if worker.free(self.now) == 0 || (worker.kind == Kind::Local && self.config.remote_only) {
            return false;
        }
        if !self.pending.is_empty() && self.pick(worker).is_some() {
            return false;
        }
        let (mut due, mut found) = (None, None);
        for (_, task) in self.races.iter().rev().take(LOOK).chain(self.races.iter().take(LOOK)) {
            match self.race_due(worker, *task) {
                Some(at) if at <= self.now => {
                    found = Some(*task);
                    break;
                }
                Some(at) => due = Some(due.map_or(at, |due: Duration| due.min(at))),
                None => {}
            }
        }
        if let Some(task) = found {
            self.second_copy(id, task);
            return true;
        }
        if let Some(at) = due {
            self.race_at =
                Some(self.race_at.filter(|known| *known > self.now).map_or(at, |known| known.min(at)));
        }
        false
    }

    /// From when on a second copy on this worker makes sense; none if never.
    fn race_due(&self, worker: &Worker, id: TaskId) -> Option<Duration> {
        let task = self.tasks.get(&id)?;
        let copy = task.live().next()?;
        let heavy = task.lane.heavy && worker.heavy.len() >= self.config.heavy_limit.max(1);
        let queued = matches!(copy.at, At::Queued(_));
        if heavy || !self.admits(worker, task) || !(queued || self.may_spend(copy.worker)) {
            return None;
        }
        let expected = Duration::from_micros(task.expected(self.typical.micros()));
        let fresh = expected.mul_f64(worker.slowness.factor() * SOONER);
        let margin = Duration::from_micros(if queued { MARGIN_QUEUED } else { MARGIN });
        if until(copy.finish, self.now) > micros(fresh + margin) {
            return Some(self.now);
        }
        let length = copy.finish.saturating_sub(copy.since);
        match (task.known(), copy.at) {
            (Some(_), _) | (None, At::Queued(_)) => Some(copy.finish + (length / 2).max(LATE)),
            (None, _) => Some(copy.since + (length * LATE_UNKNOWN).max(LONG_UNKNOWN)),
        }
    }

    /// Starts a second copy; one that only waits in a queue moves instead.
    fn second_copy(&mut self, id: WorkerId, task: TaskId) {
        let copy = self.tasks.get(&task).and_then(|task| task.live().next().copied());
        if let Some(copy) = copy.filter(|copy| matches!(copy.at, At::Queued(_))) {
            self.actions.push(Action::Cancel { worker: copy.worker, task, attempt: copy.attempt });
            self.detach(copy.worker, task, copy.at);
            if let Some(copy) =
                self.tasks.get_mut(&task).and_then(|task| task.copy_mut(copy.worker, copy.attempt))
            {
                copy.at = At::Gone;
            }
        }
        self.give(id, task, false);
    }
}

fn depth(worker: &Worker) -> usize {
    usize::try_from(worker.slots).unwrap_or(usize::MAX).saturating_mul(DEPTH)
}

/// The time a worker needs for its queue and a task more, in microseconds.
fn queue_micros(worker: &Worker, more: u64) -> u64 {
    let work = worker.queued_work.saturating_add(more) as f64;
    (work * worker.slowness.factor() / f64::from(worker.slots.max(1))) as u64
}

/// Whether its queue is down to half of what it may be, so that offers come in batches.
fn wants_more(worker: &Worker, now: Duration, target: u64) -> bool {
    let short = worker.queued.is_empty()
        || (queue_micros(worker, 0) < target / 2 && worker.queued.len() < depth(worker) / 2);
    worker.may_queue(now) && short
}
