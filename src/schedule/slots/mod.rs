//! Which accepted job runs next on this machine.
//!
//! Pure: no clock, no I/O, no randomness. Offers, cancellations and ends of processes go in, [`Action`]s come out.
//! Never sees what a job is: the payload `P` of a job and its result `R` pass through. `K` names a remote submitter.
//!
//! This machine's own clients come first, always: their jobs are started before any other's, though nobody's running
//! job is ended for them. Among own clients, and among peers, the one that has used the least slot time is next. A job
//! that has waited for [`QUEUE_PATIENCE`] is given back: it could run elsewhere, and who sent it must not take it to
//! run.

mod lane;
mod outbox;
mod seen;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeMap;
use std::time::Duration;

use lane::{Lane, Queued};
use seen::Seen;
pub use types::{Action, Config, Offer, Refused, Reply, Scope, Submitter, Usage};

use crate::job::JobId;

/// After this long in the queue a peer's job is given back. Submitters queue a fraction of a second of work.
pub const QUEUE_PATIENCE: Duration = Duration::from_secs(3);
/// How long jobs of a peer that cannot be reached go on: the connection may come back.
pub const GONE_GRACE: Duration = Duration::from_secs(10);
/// How long results are kept for a peer that cannot be reached.
pub const RESULTS_KEPT: Duration = Duration::from_secs(120);
/// Submitters known at once; those with nothing here are forgotten first.
const MAX_SUBMITTERS: usize = 256;
/// Bytes of unacknowledged results of one submitter; beyond it none of its jobs is started.
const RESULT_BYTES_EACH: usize = 64 << 20;
/// The same in all; beyond it the results of absent submitters are dropped, the oldest run first.
const RESULT_BYTES_TOTAL: usize = 256 << 20;

/// A job on a slot.
#[derive(Debug)]
struct Running<K> {
    id: JobId,
    submitter: Submitter<K>,
    since: Duration,
    killed: bool,
    /// Nobody may have its result.
    discard: bool,
}

/// The slots of one node.
#[derive(Debug)]
pub struct Slots<K, P, R> {
    config: Config,
    now: Duration,
    paused: bool,
    lanes: BTreeMap<Submitter<K>, Lane<P, R>>,
    running: BTreeMap<u32, Running<K>>,
    queued: usize,
    seen: Seen<K>,
    /// The slot time that the last submitter to start a job had used: of own ones, of peers.
    floor: [Duration; 2],
    armed: Option<Duration>,
    actions: Vec<Action<K, P, R>>,
}

impl<K: Ord + Clone, P, R: Clone> Slots<K, P, R> {
    /// Free slots without submitters.
    pub fn new(config: Config) -> Self {
        Slots {
            config,
            now: Duration::ZERO,
            paused: false,
            lanes: BTreeMap::new(),
            running: BTreeMap::new(),
            queued: 0,
            seen: Seen::new(),
            floor: [Duration::ZERO; 2],
            armed: None,
            actions: Vec::new(),
        }
    }

    /// Jobs somebody wants run; answered at once. The caller has checked signature, audience and trust.
    pub fn offer(&mut self, from: &Submitter<K>, jobs: Vec<Offer<P>>, now: Duration) -> Reply {
        self.advance(now);
        self.seen.forget(now);
        if !self.admit(from) {
            let refused = jobs.into_iter().map(|job| (job.id, Refused::Busy)).collect();
            return Reply { refused, ..Reply::default() };
        }
        let mut reply = Reply::default();
        for job in jobs {
            match self.refusal(from, &job) {
                Some(why) => reply.refused.push((job.id, why)),
                None => {
                    reply.accepted.push(job.id);
                    self.enqueue(from, job);
                }
            }
        }
        reply.room = u32::try_from(self.room(from)).unwrap_or(u32::MAX);
        reply
    }

    /// Makes sure that a submitter is known; false if there is no room for one more.
    fn admit(&mut self, from: &Submitter<K>) -> bool {
        let floor = self.floor[class(from)];
        if !self.lanes.contains_key(from) {
            if self.lanes.len() >= MAX_SUBMITTERS {
                self.lanes.retain(|_, lane| !lane.is_empty());
            }
            if self.lanes.len() >= MAX_SUBMITTERS {
                return false;
            }
            self.lanes.insert(from.clone(), Lane::new(floor));
        }
        self.reach(from);
        if let Some(lane) = self.lanes.get_mut(from) {
            lane.awake(floor);
        }
        true
    }

    fn refusal(&self, from: &Submitter<K>, job: &Offer<P>) -> Option<Refused> {
        if let Submitter::Remote(key) = from {
            if self.seen.contains(key, job.id) {
                return Some(Refused::Replayed);
            }
            if self.paused {
                return Some(Refused::Paused);
            }
            if job.expires > self.now + self.config.longest_expiry {
                return Some(Refused::Expired);
            }
            if !self.seen.has_room(key) {
                return Some(Refused::Busy);
            }
        }
        if job.expires <= self.now {
            return Some(Refused::Expired);
        }
        (self.room(from) == 0).then_some(Refused::Busy)
    }

    fn room(&self, from: &Submitter<K>) -> usize {
        let Some(lane) = self.lanes.get(from) else { return 0 };
        if lane.outbox.bytes() >= RESULT_BYTES_EACH {
            return 0;
        }
        let each = self.config.queue_each.saturating_sub(lane.queue.len());
        each.min(self.config.queue_total.saturating_sub(self.queued))
    }

    fn enqueue(&mut self, from: &Submitter<K>, job: Offer<P>) {
        if let Submitter::Remote(key) = from {
            self.seen.insert(key, job.id, job.expires);
        }
        if let Some(lane) = self.lanes.get_mut(from) {
            let Offer { id, expires, payload } = job;
            lane.queue.push_back(Queued { id, payload, expires, since: self.now });
            self.queued += 1;
        }
    }

    /// The process of a `Run` is gone and its slot free, after its own end or a `Kill`. `bytes` is the size of the
    /// result. Has no effect if this slot does not run this job.
    pub fn finished(&mut self, slot: u32, id: JobId, result: R, bytes: usize, now: Duration) {
        let Some(running) = self.take_off(slot, id, now) else { return };
        if let Some(lane) = self.lanes.get_mut(&running.submitter).filter(|_| !running.discard) {
            lane.outbox.push(id, result, bytes, now);
            self.shed();
        }
        self.forget_empty(&running.submitter);
    }

    /// The same for a job that nobody waits for the result of.
    pub fn ended(&mut self, slot: u32, id: JobId, now: Duration) {
        if let Some(running) = self.take_off(slot, id, now) {
            self.forget_empty(&running.submitter);
        }
    }

    fn take_off(&mut self, slot: u32, id: JobId, now: Duration) -> Option<Running<K>> {
        self.advance(now);
        self.running.get(&slot).filter(|running| running.id == id)?;
        let running = self.running.remove(&slot)?;
        if let Some(lane) = self.lanes.get_mut(&running.submitter) {
            lane.end(running.since, now);
        }
        Some(running)
    }

    /// Whose job a slot runs, if it runs this one and somebody may have its result.
    pub fn runs_for(&self, slot: u32, id: JobId) -> Option<&Submitter<K>> {
        let running = self.running.get(&slot).filter(|running| running.id == id && !running.discard)?;
        Some(&running.submitter)
    }

    /// Drops results of absent submitters while there are too many.
    fn shed(&mut self) {
        while self.lanes.values().map(|lane| lane.outbox.bytes()).sum::<usize>() > RESULT_BYTES_TOTAL {
            let absent =
                self.lanes.values_mut().filter(|lane| lane.gone.is_some() && !lane.outbox.is_empty());
            let Some(lane) = absent.min_by_key(|lane| lane.gone) else { return };
            let Some(run) = lane.outbox.oldest_run() else { return };
            lane.outbox.drop_run(Some(run));
        }
    }

    /// Drops and kills jobs of a submitter. Returns those that never ran; of killed ones the result follows. Results of
    /// a whole run that is cancelled are forgotten.
    pub fn cancel(&mut self, from: &Submitter<K>, scope: Scope, now: Duration) -> Vec<JobId> {
        self.advance(now);
        let Some(lane) = self.lanes.get_mut(from) else { return Vec::new() };
        let dropped = lane.unqueue(|job| scope.covers(job.id));
        match scope {
            Scope::Job(_) => {}
            Scope::Run(run) => lane.outbox.drop_run(Some(run)),
            Scope::All => lane.outbox.drop_run(None),
        }
        self.queued -= dropped.len();
        self.kill(from, scope, false);
        dropped
    }

    fn kill(&mut self, from: &Submitter<K>, scope: Scope, discard: bool) {
        let mine = self.running.iter_mut().filter(|(_, job)| job.submitter == *from && scope.covers(job.id));
        for (slot, job) in mine {
            job.discard |= discard;
            if !std::mem::replace(&mut job.killed, true) {
                self.actions.push(Action::Kill { slot: *slot, id: job.id });
            }
        }
    }

    /// The submitter has these results; they are forgotten.
    pub fn acknowledged(&mut self, from: &Submitter<K>, ids: &[JobId], now: Duration) {
        self.advance(now);
        if let Some(lane) = self.lanes.get_mut(from) {
            lane.outbox.acknowledge(ids);
        }
        self.forget_empty(from);
    }

    /// A submitter can be reached (again): unacknowledged results are sent once more.
    pub fn connected(&mut self, submitter: &Submitter<K>, now: Duration) {
        self.advance(now);
        self.reach(submitter);
    }

    fn reach(&mut self, submitter: &Submitter<K>) {
        let Some(lane) = self.lanes.get_mut(submitter) else { return };
        if lane.gone.take().is_none() {
            return;
        }
        lane.cleared = false;
        lane.outbox.again();
        let ids = std::mem::take(&mut lane.owed);
        if !ids.is_empty() {
            self.actions.push(Action::GiveBack { submitter: submitter.clone(), ids });
        }
    }

    /// A submitter cannot be reached. A client of this machine is gone with its jobs; a peer may come back.
    pub fn disconnected(&mut self, submitter: &Submitter<K>, now: Duration) {
        self.advance(now);
        match submitter {
            Submitter::Own(_) => self.wipe(submitter),
            Submitter::Remote(_) => {
                if let Some(lane) = self.lanes.get_mut(submitter) {
                    lane.gone.get_or_insert(now);
                }
            }
        }
    }

    /// Trust was taken back: its queue is dropped, its jobs are killed and its results forgotten in this turn.
    pub fn expelled(&mut self, key: &K, now: Duration) {
        self.advance(now);
        self.wipe(&Submitter::Remote(key.clone()));
        let told = Submitter::Remote(key.clone());
        self.actions
            .retain(|action| !matches!(action, Action::GiveBack { submitter, .. } if *submitter == told));
    }

    fn wipe(&mut self, submitter: &Submitter<K>) {
        let Some(lane) = self.lanes.get_mut(submitter) else { return };
        self.queued -= lane.queue.len();
        lane.queue.clear();
        lane.owed.clear();
        lane.outbox.drop_run(None);
        self.kill(submitter, Scope::All, true);
        self.forget_empty(submitter);
    }

    /// An own client or an absent peer with nothing here is forgotten.
    fn forget_empty(&mut self, submitter: &Submitter<K>) {
        let goes = |lane: &Lane<P, R>| {
            lane.is_empty() && (lane.gone.is_some() || matches!(submitter, Submitter::Own(_)))
        };
        if self.lanes.get(submitter).is_some_and(goes) {
            self.lanes.remove(submitter);
        }
    }

    /// Starts nothing more for other machines and gives back what they have queued; what runs may end.
    pub fn pause(&mut self, now: Duration) {
        self.advance(now);
        self.paused = true;
        self.give_back(|submitter, _| class(submitter) == 1);
    }

    /// Gives back matching jobs.
    fn give_back(&mut self, takes: impl Fn(&Submitter<K>, &Queued<P>) -> bool) {
        for (submitter, lane) in &mut self.lanes {
            let ids = lane.unqueue(|job| takes(submitter, job));
            self.queued -= ids.len();
            if ids.is_empty() {
                continue;
            }
            if lane.gone.is_some() {
                lane.owed.extend(ids);
            } else {
                self.actions.push(Action::GiveBack { submitter: submitter.clone(), ids });
            }
        }
    }

    /// Ends a pause.
    pub fn resume(&mut self, now: Duration) {
        self.advance(now);
        self.paused = false;
    }

    /// Another number of slots; slots above it run what they have to its end.
    pub fn resize(&mut self, slots: u32, now: Duration) {
        self.advance(now);
        self.config.slots = slots;
    }

    /// Time has passed; call it at the armed moment.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
        self.seen.forget(now);
        self.give_back(|who, job| {
            job.expires <= now || patience(who).is_some_and(|most| job.since + most <= now)
        });
        let gone: Vec<_> =
            self.lanes.iter().filter_map(|(who, lane)| Some((who.clone(), lane.gone?))).collect();
        for (submitter, since) in gone {
            if since + GONE_GRACE <= now {
                self.clear(&submitter);
            }
            if since + RESULTS_KEPT <= now {
                self.wipe(&submitter);
            }
        }
    }

    /// Ends what an absent peer has here; it is told when it comes back.
    fn clear(&mut self, submitter: &Submitter<K>) {
        let Some(lane) = self.lanes.get_mut(submitter) else { return };
        lane.cleared = true;
        let ids = lane.unqueue(|_| true);
        self.queued -= ids.len();
        lane.owed.extend(ids);
        self.kill(submitter, Scope::All, false);
        self.forget_empty(submitter);
    }

    /// What is to be done now, in order.
    pub fn actions(&mut self, now: Duration) -> Vec<Action<K, P, R>> {
        self.advance(now);
        while let Some(slot) = self.free_slot() {
            if !self.start_next(slot) {
                break;
            }
        }
        self.send();
        self.arm();
        std::mem::take(&mut self.actions)
    }

    /// A slot that runs nothing, if one more process may run.
    fn free_slot(&self) -> Option<u32> {
        let full = self.running.len() >= usize::try_from(self.config.slots).unwrap_or(usize::MAX);
        let mut slots = 0..self.config.slots;
        if full { None } else { slots.find(|slot| !self.running.contains_key(slot)) }
    }

    fn start_next(&mut self, slot: u32) -> bool {
        let Some(submitter) = self.next_submitter() else { return false };
        let Some(lane) = self.lanes.get_mut(&submitter) else { return false };
        let Some(job) = lane.queue.pop_front() else { return false };
        self.queued -= 1;
        if job.expires <= self.now {
            self.actions.push(Action::GiveBack { submitter, ids: vec![job.id] });
            return true;
        }
        let floor = &mut self.floor[class(&submitter)];
        *floor = (*floor).max(lane.used(self.now));
        lane.start(self.now);
        let running = Running {
            id: job.id,
            submitter: submitter.clone(),
            since: self.now,
            killed: false,
            discard: false,
        };
        self.running.insert(slot, running);
        self.actions.push(Action::Run { slot, id: job.id, submitter, payload: job.payload });
        true
    }

    /// Whose job is next: an own client's, or that of who has used the least.
    fn next_submitter(&mut self) -> Option<Submitter<K>> {
        let now = self.now;
        let may = |lane: &Lane<P, R>| {
            !lane.queue.is_empty() && lane.gone.is_none() && lane.outbox.bytes() < RESULT_BYTES_EACH
        };
        let ready = self.lanes.iter().filter(|(_, lane)| may(lane));
        let next = ready.min_by_key(|(who, lane)| (class(who), lane.used(now)))?;
        Some(next.0.clone())
    }

    fn send(&mut self) {
        for (submitter, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.gone.is_none()) {
            for results in lane.outbox.batches(lane.queue.is_empty(), self.now) {
                self.actions.push(Action::SendResults { submitter: submitter.clone(), results });
            }
        }
    }

    fn arm(&mut self) {
        let now = self.now;
        let next = self.lanes.iter().filter_map(|(who, lane)| wake_at(lane, patience(who))).min();
        let next = next.map(|at| at.max(now));
        if let Some(at) = next.filter(|_| next != self.armed) {
            self.actions.push(Action::Arm(at));
        }
        self.armed = next;
    }

    /// Running and queued work, for status and announcements.
    pub fn usage(&self) -> Usage<K> {
        let submitters =
            self.lanes.iter().map(|(who, lane)| (who.clone(), lane.running, lane.queue.len())).collect();
        Usage {
            slots: self.config.slots,
            running: u32::try_from(self.running.len()).unwrap_or(u32::MAX),
            queued: self.queued,
            paused: self.paused,
            submitters,
        }
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }
}

/// Own clients before peers.
fn class<K>(submitter: &Submitter<K>) -> usize {
    usize::from(matches!(submitter, Submitter::Remote(_)))
}

/// How long its jobs wait; an own client's wait for their turn, since they have nowhere else to go.
fn patience<K>(submitter: &Submitter<K>) -> Option<Duration> {
    matches!(submitter, Submitter::Remote(_)).then_some(QUEUE_PATIENCE)
}

/// When something of a submitter changes by itself.
fn wake_at<P, R: Clone>(lane: &Lane<P, R>, patience: Option<Duration>) -> Option<Duration> {
    if let Some(gone) = lane.gone {
        let kept = !lane.outbox.is_empty() || !lane.owed.is_empty();
        return match lane.cleared {
            false => Some(gone + GONE_GRACE),
            true => kept.then_some(gone + RESULTS_KEPT),
        };
    }
    let oldest = lane.queue.front();
    let back = oldest.map(|job| patience.map_or(job.expires, |most| job.expires.min(job.since + most)));
    [back, lane.outbox.wake_at()].into_iter().flatten().min()
}
