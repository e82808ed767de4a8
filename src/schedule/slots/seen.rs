//! Ids of jobs that were offered, until the offer expires: a copy of an old offer does not run again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::job::JobId;

/// Ids remembered of one submitter: a thousand tests a second with offers that live for two minutes. A full memory
/// refuses; it never forgets early.
const MAX_EACH: usize = 131_072;
/// Ids remembered in all, some 30 MB.
const MAX_TOTAL: usize = 262_144;

/// The ids of all submitters.
#[derive(Debug)]
pub(super) struct Seen<K> {
    ids: BTreeMap<K, BTreeSet<JobId>>,
    expiry: BTreeSet<(Duration, K, JobId)>,
}

impl<K: Ord + Clone> Seen<K> {
    pub(super) fn new() -> Self {
        Seen { ids: BTreeMap::new(), expiry: BTreeSet::new() }
    }

    pub(super) fn contains(&self, key: &K, id: JobId) -> bool {
        self.ids.get(key).is_some_and(|ids| ids.contains(&id))
    }

    /// Whether one more can be remembered.
    pub(super) fn has_room(&self, key: &K) -> bool {
        self.expiry.len() < MAX_TOTAL && self.ids.get(key).is_none_or(|ids| ids.len() < MAX_EACH)
    }

    pub(super) fn insert(&mut self, key: &K, id: JobId, expires: Duration) {
        if self.ids.entry(key.clone()).or_default().insert(id) {
            self.expiry.insert((expires, key.clone(), id));
        }
    }

    /// Forgets what has expired.
    pub(super) fn forget(&mut self, now: Duration) {
        while self.expiry.first().is_some_and(|(at, _, _)| *at <= now) {
            let Some((_, key, id)) = self.expiry.pop_first() else { return };
            let Some(ids) = self.ids.get_mut(&key) else { continue };
            ids.remove(&id);
            if ids.is_empty() {
                self.ids.remove(&key);
            }
        }
    }
}
