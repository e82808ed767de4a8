//! The list of the slowest (or largest) runs, of a fixed length. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::block::exit_code;
use crate::frontend::status::Actual;
use crate::run::event::{CaseInfo, Finished};

/// A run without its output, so that keeping it costs little.
#[derive(Debug, Clone)]
pub(crate) struct Brief {
    /// Which case.
    pub(crate) case: Arc<CaseInfo>,
    /// Which run of it, from 1.
    pub(crate) run: u32,
    /// As Python gives it.
    pub(crate) exit_code: Option<i32>,
    /// From start to end.
    pub(crate) duration: Duration,
    /// What it was, where that was not expected.
    pub(crate) unexpected: Option<Actual>,
    /// Largest resident set in bytes.
    pub(crate) max_rss: u64,
}

impl Brief {
    /// The run; nothing where none took place.
    pub(crate) fn of(run: &Finished) -> Option<Self> {
        let actual = run.actual?;
        Some(Brief {
            case: run.case.clone(),
            run: run.run,
            exit_code: exit_code(&run.output.exit),
            duration: run.output.duration,
            unexpected: run.unexpected.then_some(actual),
            max_rss: run.output.max_rss,
        })
    }
}

/// Keeps the entries with the greatest keys; among equals, those that came last.
#[derive(Debug)]
pub(crate) struct Top<K, T> {
    size: usize,
    count: usize,
    entries: BTreeMap<(K, usize), T>,
}

impl<K: Ord + Copy, T> Top<K, T> {
    /// An empty list of at most this length.
    pub(crate) fn new(size: usize) -> Self {
        Top { size, count: 0, entries: BTreeMap::new() }
    }

    /// Offers an entry.
    pub(crate) fn add(&mut self, key: K, entry: T) {
        self.count += 1;
        self.entries.insert((key, self.count), entry);
        if self.entries.len() > self.size {
            self.entries.pop_first();
        }
    }

    /// The entries, greatest first; equals in the order in which they came.
    pub(crate) fn list(&self) -> Vec<&T> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|((key, _), _)| std::cmp::Reverse(*key));
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_kept_and_equals_keep_their_order() {
        let mut top = Top::new(3);
        for (key, name) in [(2, "a"), (1, "b"), (3, "c"), (2, "d"), (0, "e")] {
            top.add(key, name);
        }
        assert_eq!(top.list(), [&"c", &"a", &"d"]);
        let mut none = Top::new(0);
        none.add(1, ());
        assert!(none.list().is_empty());
    }
}
