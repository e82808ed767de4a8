//! What workers report.

use std::time::Duration;

use super::Dispatch;
use super::speed::learn_known;
use super::task::{At, Copy};
use super::types::{Action, Class, Ending, Joined, Kind, Leaving, Refusal, TaskId, WorkerId};
use super::worker::{Presence, Worker};

/// Workers a run knows at most; more are not used. A bound on memory, far above any LAN.
const MAX_WORKERS: usize = 4096;
/// Workers that could not run a task before it stays on this machine.
const INFRA_LOCAL: u8 = 3;
/// Once a worker's speed has changed so much, the expectations of its tasks are made anew.
const RESPEED: f64 = 1.25;

impl Dispatch {
    /// A worker is there. A number that has left before keeps its record: what excluded it still does.
    pub fn worker_joined(&mut self, worker: WorkerId, joined: Joined, now: Duration) {
        self.advance(now);
        if self.workers.contains_key(&worker) {
            self.with(worker, |known| known.rejoin(&joined, now));
        } else if self.workers.len() < MAX_WORKERS {
            let mut new = Worker::new(worker, &joined, now);
            new.presence = Presence::Left;
            self.workers.insert(worker, new);
            self.with(worker, |new| new.presence = Presence::Here);
        }
        if let Some(why) = joined.unfit {
            self.shut_out(worker, why);
        }
        self.visit.insert(worker);
    }

    /// A worker has another number of slots now; 0 is paused: what runs goes on, nothing new starts.
    pub fn worker_changed(&mut self, worker: WorkerId, slots: u32, now: Duration) {
        self.hear(worker, now);
        self.with(worker, |worker| worker.resize(slots));
        if slots == 0 {
            self.unqueue(worker);
        }
        self.promote(worker);
        self.visit.insert(worker);
    }

    /// Takes back what a worker has queued; nobody's fault.
    fn unqueue(&mut self, worker: WorkerId) {
        let Some(known) = self.workers.get(&worker) else { return };
        let queued: Vec<_> = known.queued.iter().map(|(order, held)| (*order, *held)).collect();
        for (order, held) in queued {
            self.actions.push(Action::Cancel { worker, task: held.task, attempt: held.attempt });
            self.detach(worker, held.task, At::Queued(order));
            self.lost_copy(worker, held.task, held.attempt, false, false);
        }
    }

    /// A worker is gone. Its tasks go elsewhere; its late answers count unless it was revoked.
    pub fn worker_left(&mut self, worker: WorkerId, leaving: Leaving, now: Duration) {
        self.advance(now);
        let revoked = leaving == Leaving::Revoked;
        self.with(worker, |worker| {
            worker.epoch += u32::from(revoked);
            if !worker.excluded() {
                worker.presence = Presence::Left;
            }
        });
        self.withdraw(worker, leaving == Leaving::Lost, false);
    }

    /// Use a worker no more in this run, for a reason of the caller's.
    pub fn exclude(&mut self, worker: WorkerId, why: &str, now: Duration) {
        self.advance(now);
        self.shut_out(worker, why.to_owned());
    }

    pub(super) fn shut_out(&mut self, worker: WorkerId, why: String) {
        if self.workers.get(&worker).is_none_or(Worker::excluded) {
            return;
        }
        self.with(worker, |worker| {
            worker.epoch += 1;
            worker.presence = Presence::Excluded(why.clone());
        });
        self.actions.push(Action::Exclude { worker, why });
        self.withdraw(worker, false, true);
    }

    /// A worker's result was contradicted by this machine. A few of them exclude it.
    pub fn disagreed(&mut self, worker: WorkerId, now: Duration) {
        self.advance(now);
        if let Some(Some(why)) = self.with(worker, Worker::disagreed) {
            self.shut_out(worker, why);
        }
    }

    /// A worker has shown that it is alive (a heartbeat, any message).
    pub fn heard(&mut self, worker: WorkerId, now: Duration) {
        self.hear(worker, now);
    }

    fn hear(&mut self, worker: WorkerId, now: Duration) {
        self.advance(now);
        let back = self.with(worker, |worker| {
            worker.hear(now);
            let back = worker.presence == Presence::Silent;
            if back {
                worker.presence = Presence::Here;
            }
            back
        });
        if back == Some(true) {
            self.visit.insert(worker);
        }
    }

    /// A worker took a task into its queue. One that gave it back before saying so took nothing.
    pub fn accepted(&mut self, worker: WorkerId, task: TaskId, attempt: u16, now: Duration) {
        self.hear(worker, now);
        let copy = self.tasks.get_mut(&task).and_then(|task| task.copy_mut(worker, attempt));
        if let Some(copy) = copy {
            copy.taken = true;
            self.with(worker, Worker::took);
        }
    }

    /// The time after which workers end a task themselves, once its command line is made; replaces [`Spec::limit`](super::Spec::limit).
    pub fn limit(&mut self, task: TaskId, limit: Duration, now: Duration) {
        self.advance(now);
        if let Some(known) = self.tasks.get_mut(&task) {
            known.limit = limit;
            self.reindex(task);
        }
    }

    /// A worker began to run a task. Optional: without it the oldest tasks of a worker are taken to run.
    pub fn started(&mut self, worker: WorkerId, task: TaskId, attempt: u16, now: Duration) {
        self.hear(worker, now);
        let Some(copy) = self.counted(worker, task, attempt) else { return };
        let At::Queued(order) = copy.at else { return };
        let Some(known) = self.workers.get_mut(&worker) else { return };
        if let Some(held) = known.queued.remove(&order) {
            known.queued_work = known.queued_work.saturating_sub(held.work);
            known.running.insert(task, attempt);
            self.on_slot(worker, task, attempt);
        }
    }

    /// A worker does not take a task, or gives it back unstarted, at any time after its `Start`.
    pub fn refused(&mut self, worker: WorkerId, task: TaskId, attempt: u16, why: &Refusal, now: Duration) {
        self.advance(now);
        if !matches!(why, Refusal::Unreachable(_)) {
            self.hear(worker, now);
            self.with(worker, |worker| worker.stalled = None);
        }
        self.with(worker, |worker| worker.ended(task, attempt));
        self.visit.insert(worker);
        let Some(copy) = self.counted(worker, task, attempt) else { return };
        if !copy.live() {
            return;
        }
        // What it had taken and gives back is no refusal of the kind that taking the next one makes up for.
        self.with(worker, |worker| if copy.taken { worker.gave_back(now) } else { worker.refused(now) });
        self.detach(worker, task, copy.at);
        let shut_out = match why {
            Refusal::Busy => None,
            Refusal::Unreachable(words) => {
                self.words(task, words);
                None
            }
            Refusal::Denied(words) => {
                self.words(task, words);
                self.with(worker, |worker| worker.denied(words)).flatten()
            }
        };
        if *why == Refusal::Busy {
            self.untried(worker, task, attempt);
        } else {
            self.lost_copy(worker, task, attempt, false, false);
        }
        if let Some(why) = shut_out {
            self.shut_out(worker, why);
        }
    }

    /// A copy never began, and its worker may be asked again.
    fn untried(&mut self, worker: WorkerId, id: TaskId, attempt: u16) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.forget(worker, attempt);
            task.tries = task.tries.saturating_sub(1);
        }
        self.requeue(id, false);
    }

    fn words(&mut self, task: TaskId, words: &str) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.why = Some(words.to_owned());
        }
    }

    /// A worker's answer. Late, repeated and unasked ones have no effect but a count.
    pub fn finished(&mut self, worker: WorkerId, task: TaskId, attempt: u16, class: &Class, now: Duration) {
        self.hear(worker, now);
        let copy = self.counted(worker, task, attempt);
        let counts = copy
            .is_some_and(|copy| copy.live() || (copy.at == At::Gone && matches!(class, Class::Ran { .. })));
        self.with(worker, |worker| {
            // Saying that it has ended what was cancelled is an answer, too: a slow machine does. One that nobody
            // waits for is none.
            if worker.ended(task, attempt) || (copy.is_some() && *class != Class::Cancelled) {
                worker.rest.answers(now);
            }
            worker.stalled = None;
            if !counts && *class != Class::Cancelled {
                worker.late();
            }
        });
        self.visit.insert(worker);
        let Some(copy) = copy.filter(|_| counts) else {
            self.totals.late += u64::from(*class != Class::Cancelled);
            return;
        };
        self.detach(worker, task, copy.at);
        match class {
            Class::Ran { duration } => self.ran(worker, task, copy, *duration),
            Class::Infra { why } => self.failed(worker, task, attempt, why),
            Class::Cancelled => self.given_back(worker, task, attempt),
        }
    }

    /// The copy that this worker's answer belongs to, if its answer may count.
    fn counted(&self, worker: WorkerId, task: TaskId, attempt: u16) -> Option<Copy> {
        let copy = self.tasks.get(&task)?.copy(worker, attempt)?;
        let known = self.workers.get(&worker)?;
        (copy.epoch == known.epoch).then_some(*copy)
    }

    fn ran(&mut self, worker: WorkerId, task: TaskId, copy: Copy, duration: Duration) {
        let estimate = self.tasks.get(&task).map(|task| (task.known(), task.estimate));
        let mut typical = self.typical;
        self.with(worker, |worker| {
            worker.ran(duration);
            match estimate {
                Some((Some(known), _)) if copy.live() => {
                    learn_known(&mut worker.slowness, duration, known);
                }
                Some((None, super::Estimate::Unknown)) if copy.live() => {
                    typical.learn(&mut worker.slowness, duration);
                }
                _ => {}
            }
        });
        self.typical = typical;
        let mut beaten = Vec::new();
        if let Some(task) = self.tasks.get_mut(&task) {
            task.forget(worker, copy.attempt);
            let before = |other: &&Copy| other.at == At::Running && other.since < copy.since;
            beaten.extend(task.live().filter(before).map(|other| (other.worker, other.since)));
        }
        self.deliver(task, Some(worker), copy.attempt, Ending::Ran);
        beaten.into_iter().for_each(|(loser, since)| self.beaten(loser, since));
        self.respeed(worker);
    }

    /// Another worker ended a task first that this one had since then. This machine is trusted to answer.
    fn beaten(&mut self, loser: WorkerId, since: Duration) {
        let now = self.now;
        let why = self.with(loser, |loser| match loser.kind {
            Kind::Local => None,
            Kind::Peer => loser.rest.beaten(since, now),
        });
        if let Some(why) = why.flatten() {
            self.shut_out(loser, why);
        }
    }

    /// Makes the expectations of a worker's tasks anew if its speed has changed.
    fn respeed(&mut self, worker: WorkerId) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        let factor = known.slowness.factor();
        let change = factor / known.used_factor;
        if (1.0 / RESPEED..RESPEED).contains(&change) {
            return;
        }
        known.used_factor = factor;
        let queued = known.queued.values().map(|held| (held.task, held.attempt));
        let held: Vec<(TaskId, u16)> =
            known.running.iter().map(|(task, attempt)| (*task, *attempt)).chain(queued).collect();
        held.into_iter().for_each(|(task, attempt)| self.reconsider(worker, task, attempt, change));
    }

    fn failed(&mut self, worker: WorkerId, id: TaskId, attempt: u16, why: &str) {
        let shut_out = self.with(worker, |worker| worker.failed(why)).flatten();
        let local = self.workers.get(&worker).is_some_and(|worker| worker.kind == Kind::Local);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.why = Some(why.to_owned());
            task.infra = task.infra.saturating_add(1);
            if let Some(copy) = task.copy_mut(worker, attempt) {
                copy.at = At::Failed;
            }
            let others = task.live().next().is_some();
            let stays = task.infra >= INFRA_LOCAL && !task.lane.local_only;
            if local && !others {
                self.deliver(id, Some(worker), attempt, Ending::Infra(why.to_owned()));
            } else if stays {
                self.keep_here(id);
            }
            self.requeue(id, true);
        }
        if let Some(why) = shut_out {
            self.shut_out(worker, why);
        }
    }

    /// A worker ended a task by itself: it owes nobody an answer, but is left alone for a while.
    fn given_back(&mut self, worker: WorkerId, id: TaskId, attempt: u16) {
        let now = self.now;
        self.with(worker, |worker| worker.gave_back(now));
        if let Some(task) = self.tasks.get_mut(&id) {
            task.forget(worker, attempt);
        }
        self.requeue(id, false);
    }
}
