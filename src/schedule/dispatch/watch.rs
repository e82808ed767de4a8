//! Looks after what was handed out: silent workers, overdue and lost tasks, tasks that nobody can run.

use std::time::Duration;

use super::Dispatch;
use super::give::{SUSPECT_AFTER, until};
use super::task::{At, Copy};
use super::types::{Action, Ending, TaskId, WorkerId};
use super::worker::Presence;

/// How often idle workers look at a queue that holds nothing for them.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A task on a worker that became slow gets a second copy if that should be sooner by this factor …
const SOONER: f64 = 1.25;
/// … and by this much, microseconds.
const MARGIN: u64 = 500_000;
/// A test of unknown duration on a worker that has become slower than the fastest by this factor gets one in any case.
const CRAWLS: f64 = 3.0;

impl Dispatch {
    /// Time has passed; call it at the armed moment.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
        self.wake_workers();
        self.look_after_tasks();
        self.lose_patience();
        let look = self.look_at.is_some_and(|at| at <= self.now);
        let race = self.race_at.is_some_and(|at| at <= self.now);
        if look || race {
            self.look_at = None;
            self.race_at = None;
            self.fresh = true;
        }
    }

    fn wake_workers(&mut self) {
        while let Some((at, id)) = self.wakes.first().copied().filter(|(at, _)| *at <= self.now) {
            let now = self.now;
            self.with(id, |worker| worker.forget_ended(now));
            if self.workers.get(&id).is_some_and(|worker| worker.is_silent(now)) {
                self.with(id, |worker| worker.presence = Presence::Silent);
                self.withdraw(id, true, true);
            }
            self.visit.insert(id);
            // Whatever happens, no entry is looked at twice.
            if self.wakes.remove(&(at, id))
                && let Some(worker) = self.workers.get_mut(&id)
            {
                worker.wake_key = None;
            }
        }
    }

    fn look_after_tasks(&mut self) {
        while let Some((_, id)) = self.alarms.first().copied().filter(|(at, _)| *at <= self.now) {
            let Some(task) = self.tasks.get_mut(&id) else { return };
            let lost: Vec<Copy> =
                task.copies.iter().filter(|copy| task.is_lost(copy, self.now)).copied().collect();
            let mut overdue = Vec::new();
            for copy in task.copies.iter_mut().filter(|copy| copy.soft.is_some_and(|soft| soft <= self.now)) {
                copy.soft = None;
                overdue.push(copy.worker);
            }
            self.reindex(id);
            lost.iter().for_each(|copy| self.over_limit(id, copy));
            overdue.into_iter().for_each(|worker| self.overdue(worker, id));
        }
    }

    /// A worker should have ended the task itself by now: it lost it, or it hangs.
    fn over_limit(&mut self, id: TaskId, copy: &Copy) {
        let Copy { worker, attempt, .. } = *copy;
        if let Some(task) = self.tasks.get_mut(&id) {
            task.why = Some("no answer within the time limit".to_owned());
        }
        self.actions.push(Action::Cancel { worker, task: id, attempt });
        self.detach(worker, id, copy.at);
        self.lost_copy(worker, id, attempt, true, true);
        let failed = self.with(worker, |worker| worker.failed("no answer within the time limit"));
        if let Some(Some(why)) = failed {
            self.shut_out(worker, why);
        }
    }

    /// A task takes far longer than it should; nothing new for its worker until something comes from there.
    fn overdue(&mut self, worker: WorkerId, id: TaskId) {
        let now = self.now;
        self.with(worker, |worker| worker.stall(now));
        self.hedge(id);
    }

    /// Queues a second copy of a task that one worker has.
    fn hedge(&mut self, id: TaskId) {
        let task = self.tasks.get(&id).filter(|task| task.race_at().is_some());
        let only = task.and_then(|task| task.live().next()).map(|copy| copy.worker);
        if only.is_some_and(|worker| self.may_spend(worker)) {
            self.enqueue(id, true);
            self.hedged += 1;
            if let Some(task) = self.tasks.get_mut(&id) {
                task.hedged = true;
            }
        }
    }

    /// The speed of a worker has changed by a factor: expects a copy on it anew, and elsewhere too if that is sooner.
    pub(super) fn reconsider(&mut self, worker: WorkerId, id: TaskId, attempt: u16, change: f64) {
        let (now, typical, best) = (self.now, self.typical.micros(), self.best());
        let horizon = self.horizon(0);
        let factor = self.workers.get(&worker).map_or(1.0, |worker| worker.slowness.factor());
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let fresh = (task.expected(typical) as f64 * best * SOONER) as u64;
        let known = task.known().is_some();
        let crawls = factor > CRAWLS * best;
        let Some(copy) = task.copy_mut(worker, attempt) else { return };
        copy.finish = now + copy.finish.saturating_sub(now).mul_f64(change);
        let left = until(copy.finish, now);
        let running = copy.at == At::Running;
        self.reindex(id);
        let sooner = left > fresh.saturating_add(MARGIN) && left > horizon;
        if running && if known { sooner } else { crawls } {
            self.hedge(id);
        }
    }

    /// Ends tasks that have had no worker for too long.
    fn lose_patience(&mut self) {
        for (lane, local_only) in [(0, false), (1, true)] {
            let over = self.none_since[lane].is_some_and(|since| since + self.config.patience <= self.now);
            if !over {
                continue;
            }
            for task in self.pending.tasks(local_only) {
                self.nobody_for(task, local_only);
            }
        }
    }

    fn nobody_for(&mut self, id: TaskId, local_only: bool) {
        let Some(task) = self.tasks.get(&id) else { return };
        if task.live().next().is_some() {
            return;
        }
        let mut why = match (local_only, self.config.remote_only) {
            (true, _) => "there are no slots on this machine".to_owned(),
            (false, true) => "no other machine is left to run it".to_owned(),
            (false, false) => "no machine is left to run it".to_owned(),
        };
        if task.lost >= SUSPECT_AFTER {
            why = format!("it was running on {} machines when they were lost, and {why}", task.lost);
        } else if let Some(words) = &task.why {
            why = format!("{why}; the last words: {words}");
        }
        self.deliver(id, None, 0, Ending::Infra(why));
    }

    /// Arms the next moment at which something must be looked at.
    pub(super) fn arm(&mut self) {
        let waits = !self.pending.is_empty();
        if waits && !self.idle.is_empty() {
            self.look_at = Some(self.look_at.filter(|at| *at > self.now).unwrap_or(self.now + LOOK_AGAIN));
        } else {
            self.look_at = None;
        }
        let race = self.race_at.filter(|_| !self.idle.is_empty() && !self.tasks.is_empty());
        let patience = self.none_since.iter().flatten().map(|since| *since + self.config.patience);
        let patience = patience.filter(|at| waits && *at > self.now).min();
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let wake = self.wakes.first().map(|(at, _)| *at).filter(|_| !self.tasks.is_empty());
        let next = [self.look_at, race, patience, alarm, wake].into_iter().flatten().min();
        if let Some(at) = next.filter(|_| next != self.armed) {
            self.actions.push(Action::Arm(at));
        }
        self.armed = next;
    }
}
