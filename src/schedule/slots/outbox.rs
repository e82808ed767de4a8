//! Results of one submitter, from the end of a job to the submitter's acknowledgement.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::job::JobId;

/// A batch is sent when it has so many bytes …
const BATCH_BYTES: usize = 64 * 1024;
/// … or so many results …
const BATCH_COUNT: usize = 64;
/// … or is so old. The submitter keeps 50 to 200 ms of work queued here, so it does not run dry meanwhile.
const BATCH_AGE: Duration = Duration::from_millis(20);
/// A message holds no second result beyond this; well below what the transport takes.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Results sent and not acknowledged; more wait.
const MAX_UNACKNOWLEDGED: usize = 1024;
/// Waiting time for an acknowledgement, doubled each time up to `LONGEST_RESEND`.
const RESEND: Duration = Duration::from_secs(2);
/// Between repetitions to somebody who is connected and does not answer.
const LONGEST_RESEND: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Entry<R> {
    id: JobId,
    result: R,
    bytes: usize,
    since: Duration,
    tries: u32,
}

/// The results of one submitter.
#[derive(Debug)]
pub(super) struct Outbox<R> {
    fresh: VecDeque<Entry<R>>,
    sent: BTreeMap<JobId, Entry<R>>,
    due: BTreeSet<(Duration, JobId)>,
    bytes: usize,
}

impl<R: Clone> Outbox<R> {
    pub(super) fn new() -> Self {
        Outbox { fresh: VecDeque::new(), sent: BTreeMap::new(), due: BTreeSet::new(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.sent.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, id: JobId, result: R, bytes: usize, now: Duration) {
        self.bytes += bytes;
        self.fresh.push_back(Entry { id, result, bytes, since: now, tries: 0 });
    }

    /// The submitter has these.
    pub(super) fn acknowledge(&mut self, ids: &[JobId]) {
        for id in ids {
            if let Some(entry) = self.sent.remove(id) {
                self.due.remove(&(due(&entry), *id));
                self.bytes -= entry.bytes;
            }
        }
    }

    /// Drops results, of one run or all.
    pub(super) fn drop_run(&mut self, run: Option<u64>) {
        let goes = |id: &JobId| run.is_none_or(|run| id.run == run);
        self.fresh.retain(|entry| !goes(&entry.id));
        self.sent.retain(|id, _| !goes(id));
        self.due.retain(|(_, id)| !goes(id));
        let left = self.fresh.iter().chain(self.sent.values());
        self.bytes = left.map(|entry| entry.bytes).sum();
    }

    /// The run whose results have waited longest.
    pub(super) fn oldest_run(&self) -> Option<u64> {
        let all = self.fresh.iter().chain(self.sent.values());
        all.min_by_key(|entry| (entry.since, entry.id)).map(|entry| entry.id.run)
    }

    /// Sends everything once more as soon as possible: the submitter is back.
    pub(super) fn again(&mut self) {
        self.due.clear();
        for (_, entry) in std::mem::take(&mut self.sent).into_iter().rev() {
            self.fresh.push_front(Entry { tries: 0, ..entry });
        }
    }

    /// Batches to send now. `waiting`: the submitter waits for these results, so they do not wait for more.
    pub(super) fn batches(&mut self, waiting: bool, now: Duration) -> Vec<Vec<(JobId, R)>> {
        self.overdue(now);
        let mut batches = Vec::new();
        while self.is_due(waiting, now) && self.sent.len() < MAX_UNACKNOWLEDGED {
            batches.push(self.batch(now));
        }
        batches
    }

    fn overdue(&mut self, now: Duration) {
        let mut late = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.due.pop_first() else { break };
            late.extend(self.sent.remove(&id));
        }
        late.into_iter().rev().for_each(|entry| self.fresh.push_front(entry));
    }

    fn is_due(&self, waiting: bool, now: Duration) -> bool {
        let Some(first) = self.fresh.front() else { return false };
        waiting
            || first.tries > 0
            || first.since + BATCH_AGE <= now
            || self.fresh.len() >= BATCH_COUNT
            || self.fresh.iter().map(|entry| entry.bytes).sum::<usize>() >= BATCH_BYTES
    }

    fn batch(&mut self, now: Duration) -> Vec<(JobId, R)> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(entry) = self.fresh.front() {
            if batch.len() >= BATCH_COUNT || (!batch.is_empty() && bytes + entry.bytes > MESSAGE_BYTES) {
                break;
            }
            let Some(mut entry) = self.fresh.pop_front() else { break };
            bytes += entry.bytes;
            batch.push((entry.id, entry.result.clone()));
            entry.since = now;
            entry.tries += 1;
            self.due.insert((due(&entry), entry.id));
            self.sent.insert(entry.id, entry);
        }
        batch
    }

    /// When the next batch is due.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        let fresh = self.fresh.front().filter(|_| self.sent.len() < MAX_UNACKNOWLEDGED);
        let fresh = fresh.map(|entry| entry.since + BATCH_AGE);
        let again = self.due.first().map(|(at, _)| *at);
        [fresh, again].into_iter().flatten().min()
    }
}

/// When a sent result is sent again.
fn due<R>(entry: &Entry<R>) -> Duration {
    let doubled = RESEND * 2u32.saturating_pow(entry.tries.saturating_sub(1).min(8));
    entry.since + doubled.min(LONGEST_RESEND)
}
