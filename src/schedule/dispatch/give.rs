//! Moves tasks between the queue, the workers and their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Dispatch;
use super::pending::Place;
use super::task::{At, Copy, micros};
use super::types::{Action, Ending, Estimate, Kind, TaskId, WorkerId};
use super::worker::{Held, Worker};

/// Workers lost with a task on a slot before it is suspected: once is bad luck, twice is a pattern.
pub(super) const SUSPECT_AFTER: u8 = 2;
/// Losses of workers of this machine with a task on a slot before it is given up: it has nowhere else to go.
const GIVE_UP_LOST: u8 = 3;
/// Tries after which a task stays on this machine.
const LOCAL_AFTER: u16 = 8;
/// Tries after which a task is given up.
const GIVE_UP_TRIES: u16 = 12;
/// Offers, refused ones included, after which a task stays on this machine.
const LOCAL_AFTER_ATTEMPTS: u16 = 100;
/// Offers, refused ones included, after which a task is given up: with the longest waits between them, half an hour.
const GIVE_UP_ATTEMPTS: u16 = 1000;
/// Extra executions a run may always have.
const EXTRA_ALWAYS: u64 = 4;
/// One extra execution in so many tasks.
const EXTRA_EACH: u64 = 40;

impl Dispatch {
    /// Puts a task into the queue.
    pub(super) fn enqueue(&mut self, id: TaskId, first: bool) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.place.is_some() {
            return;
        }
        let local_only = task.lane.local_only;
        let place = Place::new(first || task.urgent, task.weight(), id);
        task.place = Some(place);
        match task.estimate {
            Estimate::Unknown => self.pending_unknown += 1,
            _ => self.pending_known = self.pending_known.saturating_add(task.weight()),
        }
        self.pending.insert(task.lane, place);
        self.fresh = true;
        self.wait_anew(usize::from(local_only));
        self.reindex(id);
    }

    /// Patience with an empty field of workers begins anew if it was over already.
    fn wait_anew(&mut self, lane: usize) {
        if let Some(since) = &mut self.none_since[lane]
            && *since + self.config.patience <= self.now
        {
            *since = self.now;
        }
    }

    /// Takes a task out of the queue.
    pub(super) fn dequeue(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(place) = task.place.take() else { return };
        self.hedged -= u64::from(std::mem::take(&mut task.hedged));
        match task.estimate {
            Estimate::Unknown => self.pending_unknown = self.pending_unknown.saturating_sub(1),
            _ => self.pending_known = self.pending_known.saturating_sub(task.weight()),
        }
        self.pending.remove(task.lane, &place);
    }

    /// Keeps a task on this machine from now on.
    pub(super) fn keep_here(&mut self, id: TaskId) {
        let waits = self.tasks.get(&id).is_some_and(|task| task.place.is_some());
        self.dequeue(id);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.lane.local_only = true;
        }
        if waits {
            self.enqueue(id, true);
        }
    }

    /// Brings the indexes up to date with a task.
    pub(super) fn reindex(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let (race, alarm) = (task.race_at(), task.alarm_at());
        let raced = std::mem::replace(&mut task.race_key, race);
        let alarmed = std::mem::replace(&mut task.alarm_key, alarm);
        if raced != race {
            raced.map(|at| self.races.remove(&(at, id)));
            race.map(|at| self.races.insert((at, id)));
        }
        if alarmed != alarm {
            alarmed.map(|at| self.alarms.remove(&(at, id)));
            alarm.map(|at| self.alarms.insert((at, id)));
        }
    }

    /// Hands a task to a worker, onto a slot or into its queue.
    pub(super) fn give(&mut self, worker: WorkerId, id: TaskId, queued: bool) {
        self.dequeue(id);
        let (now, typical, order) = (self.now, self.typical.micros(), self.order);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let attempt = task.attempts;
        let expected = task.expected(typical);
        let heavy = task.lane.heavy;
        let held = Held { task: id, attempt, work: expected };
        let given = self.workers.get_mut(&worker).map(|worker| {
            let wait = if queued { queue_time(worker) } else { Duration::ZERO };
            hold(worker, held, queued.then_some(order), heavy);
            (wait, worker.slowness.factor(), worker.epoch)
        });
        let Some((wait, slowness, epoch)) = given else { return };
        self.order += 1;
        self.totals.started += 1;
        if let Some(first) = task.live().next() {
            self.totals.extra += 1;
            self.totals.unproven += u64::from(unproven(&self.workers, first.worker));
        }
        task.attempts = task.attempts.saturating_add(1);
        task.tries = task.tries.saturating_add(1);
        let finish = now + wait + Duration::from_micros(expected).mul_f64(slowness);
        let (at, soft) = match queued {
            true => (At::Queued(order), None),
            false => (At::Running, task.overdue(now, slowness)),
        };
        task.add(Copy { worker, attempt, epoch, at, since: now, finish, soft, taken: false });
        self.actions.push(Action::Start { worker, task: id, attempt });
        self.reindex(id);
    }

    /// Takes a live copy off its worker, which then runs the next of its queue.
    pub(super) fn detach(&mut self, worker: WorkerId, id: TaskId, at: At) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            match at {
                At::Queued(order) => {
                    let held = worker.queued.remove(&order);
                    worker.queued_work = worker.queued_work.saturating_sub(held.map_or(0, |held| held.work));
                }
                At::Running => drop(worker.running.remove(&id)),
                At::Gone | At::Failed => return,
            }
            worker.heavy.remove(&id);
        }
        self.promote(worker);
        self.visit.insert(worker);
    }

    /// What is queued behind a free slot of a worker runs now, as far as is known.
    pub(super) fn promote(&mut self, worker: WorkerId) {
        while let Some(held) = self.workers.get_mut(&worker).and_then(next_of_queue) {
            self.on_slot(worker, held.task, held.attempt);
        }
    }

    /// A copy began.
    pub(super) fn on_slot(&mut self, worker: WorkerId, id: TaskId, attempt: u16) {
        let (now, typical) = (self.now, self.typical.micros());
        let slowness = self.workers.get(&worker).map_or(1.0, |worker| worker.slowness.factor());
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let finish = now + Duration::from_micros(task.expected(typical)).mul_f64(slowness);
        let soft = task.overdue(now, slowness);
        if let Some(copy) = task.copy_mut(worker, attempt) {
            *copy = Copy { at: At::Running, since: now, finish, soft, ..*copy };
        }
        self.reindex(id);
    }

    /// Takes everything back from a worker. `blame`: what ran there may be the cause; `cancel`: it can still hear it.
    pub(super) fn withdraw(&mut self, worker: WorkerId, blame: bool, cancel: bool) {
        let Some((running, queued)) = self.with(worker, Worker::drain) else { return };
        self.with(worker, |worker| worker.lost(running.len() + queued.len()));
        self.totals.lost += (running.len() + queued.len()) as u64;
        let all =
            running.into_iter().map(|held| (held, true)).chain(queued.into_iter().map(|held| (held, false)));
        for ((task, attempt), ran) in all {
            if cancel {
                self.actions.push(Action::Cancel { worker, task, attempt });
            }
            self.lost_copy(worker, task, attempt, ran && blame, ran);
        }
    }

    /// A copy is taken back; its task goes to the front of the queue unless another worker has it.
    pub(super) fn lost_copy(&mut self, worker: WorkerId, id: TaskId, attempt: u16, blame: bool, ran: bool) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if let Some(copy) = task.copy_mut(worker, attempt) {
            copy.at = At::Gone;
        }
        task.tries -= u16::from(!ran && task.tries > 0);
        task.lost = task.lost.saturating_add(u8::from(blame));
        let here = self.workers.get(&worker).is_some_and(|worker| worker.kind == Kind::Local);
        task.lost_here = task.lost_here.saturating_add(u8::from(blame && here));
        let suspect = task.lost >= SUSPECT_AFTER && !task.lane.local_only;
        if suspect {
            self.totals.suspected += 1;
            self.keep_here(id);
        }
        self.requeue(id, true);
    }

    /// Puts a task back if no worker has it; gives it up where it was tried too often.
    pub(super) fn requeue(&mut self, id: TaskId, first: bool) {
        self.reindex(id);
        let Some(task) = self.tasks.get(&id) else { return };
        let (waits, local_only) = (task.place.is_some(), task.lane.local_only);
        if task.live().next().is_some() {
            return;
        }
        let (tries, attempts) = (task.tries, task.attempts);
        let often = tries >= LOCAL_AFTER || (attempts >= LOCAL_AFTER_ATTEMPTS && !self.config.remote_only);
        if waits {
            if often && !local_only {
                self.keep_here(id);
            }
            return self.wait_anew(usize::from(often || local_only));
        }
        let words = task.why.as_deref().map(|why| format!("; the last words: {why}")).unwrap_or_default();
        if task.lost_here >= GIVE_UP_LOST {
            let why = format!("it was running on {} machines when they were lost{words}", task.lost);
            return self.deliver(id, None, 0, Ending::Infra(why));
        }
        if tries >= GIVE_UP_TRIES || attempts >= GIVE_UP_ATTEMPTS {
            let why = format!("it was handed out {attempts} times without an answer{words}");
            return self.deliver(id, None, 0, Ending::Infra(why));
        }
        if often {
            self.keep_here(id);
        }
        self.enqueue(id, first);
    }

    /// Gives the one answer to a task and takes it back from everybody else.
    pub(super) fn deliver(&mut self, id: TaskId, worker: Option<WorkerId>, attempt: u16, ending: Ending) {
        self.dequeue(id);
        let Some(task) = self.tasks.remove(&id) else { return };
        task.race_key.map(|at| self.races.remove(&(at, id)));
        task.alarm_key.map(|at| self.alarms.remove(&(at, id)));
        self.totals.delivered += 1;
        self.actions.push(Action::Deliver { task: id, worker, attempt, ending });
        for copy in task.copies.iter().filter(|copy| copy.live()) {
            self.cancel(id, copy);
        }
    }

    /// Cancels a live copy; its slot is free when its end is known.
    pub(super) fn cancel(&mut self, task: TaskId, copy: &Copy) {
        let now = self.now;
        let Copy { worker, attempt, at, .. } = *copy;
        self.actions.push(Action::Cancel { worker, task, attempt });
        self.with(worker, |worker| worker.end(task, attempt, now));
        self.detach(worker, task, at);
    }

    /// Whether a task that this worker has may run elsewhere, too: if that keeps the run within its share of extra
    /// executions, and in any case where the worker has never answered anything.
    pub(super) fn may_spend(&self, on: WorkerId) -> bool {
        let spent = self.totals.extra - self.totals.unproven + self.hedged;
        unproven(&self.workers, on) || spent < EXTRA_ALWAYS + self.totals.submitted / EXTRA_EACH
    }
}

/// Whether a worker has never run anything in this run.
fn unproven(workers: &BTreeMap<WorkerId, Worker>, id: WorkerId) -> bool {
    workers.get(&id).is_some_and(|worker| !worker.proven())
}

/// When a worker comes to the end of its queue, from now.
fn queue_time(worker: &Worker) -> Duration {
    let slots = f64::from(worker.slots.max(1));
    Duration::from_micros(worker.queued_work).mul_f64(worker.slowness.factor() / slots)
}

fn hold(worker: &mut Worker, held: Held, queued: Option<u64>, heavy: bool) {
    match queued {
        Some(order) => {
            worker.queued_work = worker.queued_work.saturating_add(held.work);
            worker.queued.insert(order, held);
        }
        None => drop(worker.running.insert(held.task, held.attempt)),
    }
    if heavy {
        worker.heavy.insert(held.task);
    }
    worker.idle_since = None;
}

/// Moves the first of the queue onto a free slot.
fn next_of_queue(worker: &mut Worker) -> Option<Held> {
    let slots = usize::try_from(worker.slots).unwrap_or(usize::MAX);
    if worker.running.len() >= slots {
        return None;
    }
    let (_, held) = worker.queued.pop_first()?;
    worker.queued_work = worker.queued_work.saturating_sub(held.work);
    worker.running.insert(held.task, held.attempt);
    Some(held)
}

/// The time between, in microseconds; none if it is over.
pub(super) fn until(at: Duration, now: Duration) -> u64 {
    micros(at.saturating_sub(now))
}
