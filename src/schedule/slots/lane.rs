//! One submitter of a node: what it has queued, what runs, what it has used, and its results.

use std::collections::VecDeque;
use std::time::Duration;

use super::outbox::Outbox;
use super::types::Scope;
use crate::job::JobId;

/// A job that waits for a slot.
#[derive(Debug)]
pub(super) struct Queued<P> {
    pub(super) id: JobId,
    pub(super) payload: P,
    pub(super) expires: Duration,
    pub(super) since: Duration,
}

/// One submitter.
#[derive(Debug)]
pub(super) struct Lane<P, R> {
    pub(super) queue: VecDeque<Queued<P>>,
    pub(super) outbox: Outbox<R>,
    /// Accepted jobs that were dropped while nobody could be told.
    pub(super) owed: Vec<JobId>,
    /// Since when it cannot be reached.
    pub(super) gone: Option<Duration>,
    /// Whether what ran for it has been ended since.
    pub(super) cleared: bool,
    pub(super) running: u32,
    /// Slot time of finished jobs, and the sum of the starting times of running ones.
    used: Duration,
    starts: Duration,
}

impl<P, R: Clone> Lane<P, R> {
    /// A submitter that has used as much as those it joins, so that nobody saves up by being away.
    pub(super) fn new(used: Duration) -> Self {
        Lane {
            queue: VecDeque::new(),
            outbox: Outbox::new(),
            owed: Vec::new(),
            gone: None,
            cleared: false,
            running: 0,
            used,
            starts: Duration::ZERO,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.running == 0 && self.outbox.is_empty() && self.owed.is_empty()
    }

    /// Slot time it has used, that of running jobs included.
    pub(super) fn used(&self, now: Duration) -> Duration {
        self.used + (now * self.running).saturating_sub(self.starts)
    }

    /// Its first job after a pause: it has used at least as much as the others.
    pub(super) fn awake(&mut self, floor: Duration) {
        if self.queue.is_empty() && self.running == 0 {
            self.used = self.used.max(floor);
        }
    }

    pub(super) fn start(&mut self, now: Duration) {
        self.running += 1;
        self.starts += now;
    }

    pub(super) fn end(&mut self, since: Duration, now: Duration) {
        self.running -= 1;
        self.starts = self.starts.saturating_sub(since);
        self.used += now.saturating_sub(since);
    }

    /// Takes matching jobs out of the queue.
    pub(super) fn unqueue(&mut self, takes: impl Fn(&Queued<P>) -> bool) -> Vec<JobId> {
        let taken: Vec<JobId> = self.queue.iter().filter(|job| takes(job)).map(|job| job.id).collect();
        if !taken.is_empty() {
            self.queue.retain(|job| !takes(job));
        }
        taken
    }
}

impl Scope {
    pub(super) fn covers(self, id: JobId) -> bool {
        match self {
            Scope::Job(job) => job == id,
            Scope::Run(run) => run == id.run,
            Scope::All => true,
        }
    }
}
