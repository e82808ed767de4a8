//! A task without its answer yet, and the copies of it that were handed out.

use std::time::Duration;

use super::pending::{Lane, Place};
use super::types::{Estimate, Spec, TaskId, WorkerId};

/// What V8's SLOW mark is taken to mean while nothing else is known: most of a minute somewhere.
const SLOW: Duration = Duration::from_secs(20);
/// Where tasks of unknown duration stand among known ones: before the many short ones, because a new test that turns
/// out long must not start last.
pub(super) const UNKNOWN_WEIGHT: Duration = Duration::from_secs(1);
/// Copies remembered, so that a late answer counts. Older ones are forgotten.
const MAX_COPIES: usize = 8;
/// A known duration is overdue after this many times its expectation …
const OVERDUE_FACTOR: f64 = 2.5;
/// … and this much more; below it no machine is blamed.
const OVERDUE_SLACK: Duration = Duration::from_secs(1);
/// A worker ends a test itself at its limit; after this much more it has lost it.
const GRACE: Duration = Duration::from_secs(10);
/// The longest limit that is believed.
const LONGEST_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Where a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// In the worker's queue, as far as is known; the number orders the queue.
    Queued(u64),
    /// On a slot, as far as is known.
    Running,
    /// Taken back, but an answer would count.
    Gone,
    /// It could not be run there.
    Failed,
}

/// A copy of a task on a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    pub(super) worker: WorkerId,
    pub(super) attempt: u16,
    /// The worker's [`epoch`](super::worker::Worker::epoch) when it was handed out.
    pub(super) epoch: u32,
    pub(super) at: At,
    /// When it began, as far as is known.
    pub(super) since: Duration,
    /// When it should be finished.
    pub(super) finish: Duration,
    /// When it becomes overdue; none if it did or its duration is unknown.
    pub(super) soft: Option<Duration>,
    /// Its worker has said that it takes it.
    pub(super) taken: bool,
}

impl Copy {
    pub(super) fn live(&self) -> bool {
        matches!(self.at, At::Queued(_) | At::Running)
    }

    fn alarm(&self, limit: Duration) -> Option<Duration> {
        let hard = self.since + limit.min(LONGEST_LIMIT) + GRACE;
        (self.at == At::Running).then(|| self.soft.map_or(hard, |soft| soft.min(hard)))
    }
}

/// A task without its answer.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) estimate: Estimate,
    pub(super) limit: Duration,
    pub(super) lane: Lane,
    pub(super) urgent: bool,
    pub(super) copies: Vec<Copy>,
    /// The number of the next copy.
    pub(super) attempts: u16,
    /// Copies that began or may have begun.
    pub(super) tries: u16,
    /// Workers lost with it on a slot.
    pub(super) lost: u8,
    /// Those of this machine among them.
    pub(super) lost_here: u8,
    /// Workers that could not run it, and the last one's words.
    pub(super) infra: u8,
    pub(super) why: Option<String>,
    /// Its place in the queue, while it waits.
    pub(super) place: Option<Place>,
    /// It waits for a second copy, which is counted as spent already.
    pub(super) hedged: bool,
    /// Its keys in the dispatcher's indexes.
    pub(super) race_key: Option<Duration>,
    pub(super) alarm_key: Option<Duration>,
}

impl Task {
    pub(super) fn new(spec: Spec) -> Self {
        Task {
            estimate: spec.estimate,
            limit: spec.limit,
            lane: Lane { local_only: spec.local_only, heavy: spec.heavy },
            urgent: spec.urgent,
            copies: Vec::new(),
            attempts: 0,
            tries: 0,
            lost: 0,
            lost_here: 0,
            infra: 0,
            why: None,
            place: None,
            hedged: false,
            race_key: None,
            alarm_key: None,
        }
    }

    /// Orders the queue; microseconds.
    pub(super) fn weight(&self) -> u64 {
        micros(match self.estimate {
            Estimate::Known(duration) => duration,
            Estimate::Slow => SLOW,
            Estimate::Unknown => UNKNOWN_WEIGHT,
        })
    }

    /// What it should take on an average worker, in microseconds, at least one.
    pub(super) fn expected(&self, typical: u64) -> u64 {
        match self.estimate {
            Estimate::Known(duration) => micros(duration).max(1),
            Estimate::Slow => micros(SLOW),
            Estimate::Unknown => typical.max(1),
        }
    }

    /// The duration that is known of it.
    pub(super) fn known(&self) -> Option<Duration> {
        match self.estimate {
            Estimate::Known(duration) => Some(duration),
            Estimate::Slow | Estimate::Unknown => None,
        }
    }

    /// When a copy that begins now becomes overdue.
    pub(super) fn overdue(&self, now: Duration, slowness: f64) -> Option<Duration> {
        let expected = self.known()?.min(LONGEST_LIMIT);
        Some(now + OVERDUE_SLACK + expected.mul_f64(OVERDUE_FACTOR * slowness.max(1.0)))
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Copy> {
        self.copies.iter().filter(|copy| copy.live())
    }

    pub(super) fn copy_mut(&mut self, worker: WorkerId, attempt: u16) -> Option<&mut Copy> {
        self.copies.iter_mut().find(|copy| copy.worker == worker && copy.attempt == attempt)
    }

    pub(super) fn copy(&self, worker: WorkerId, attempt: u16) -> Option<&Copy> {
        self.copies.iter().find(|copy| copy.worker == worker && copy.attempt == attempt)
    }

    pub(super) fn forget(&mut self, worker: WorkerId, attempt: u16) {
        self.copies.retain(|copy| (copy.worker, copy.attempt) != (worker, attempt));
    }

    /// Adds a copy, forgetting the oldest that is gone when there are too many.
    pub(super) fn add(&mut self, copy: Copy) {
        if self.copies.len() >= MAX_COPIES
            && let Some(oldest) = self.copies.iter().position(|copy| !copy.live())
        {
            self.copies.remove(oldest);
        }
        self.copies.push(copy);
    }

    /// When it should be finished, if one worker alone has it and another could.
    pub(super) fn race_at(&self) -> Option<Duration> {
        let mut live = self.live();
        let only = live.next()?;
        let alone = live.next().is_none() && self.place.is_none() && !self.lane.local_only;
        alone.then_some(only.finish)
    }

    /// When somebody must look after it.
    pub(super) fn alarm_at(&self) -> Option<Duration> {
        self.copies.iter().filter_map(|copy| copy.alarm(self.limit)).min()
    }

    /// Whether this copy has outlived its limit.
    pub(super) fn is_lost(&self, copy: &Copy, now: Duration) -> bool {
        copy.at == At::Running && copy.since + self.limit.min(LONGEST_LIMIT) + GRACE <= now
    }
}

/// In whole microseconds, bounded.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(u64::MAX / 4096)
}

/// Its key in an index.
pub(super) type Key = (Duration, TaskId);
