//! The list of the slowest (or largest) runs, of a fixed length. Pure.

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
    /// The machine that ran it, if not this one.
    pub(crate) peer: Option<String>,
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
            peer: run.peer.clone(),
        })
    }

    /// The word for what was not expected; empty if nothing was.
    pub(crate) fn result(&self) -> &'static str {
        self.unexpected.map_or("", Actual::name)
    }
}

/// Keeps the entries with the greatest keys; among equals, those that came last.
///
/// A heap that moves its entries as Python's `heapq` does, because V8 lists equals in the order they have there.
#[derive(Debug)]
pub(crate) struct Top<K, T> {
    size: usize,
    count: usize,
    heap: Vec<(K, usize, T)>,
}

impl<K: Ord + Copy, T> Top<K, T> {
    /// An empty list of at most this length.
    pub(crate) fn new(size: usize) -> Self {
        Top { size, count: 0, heap: Vec::new() }
    }

    /// Offers an entry.
    pub(crate) fn add(&mut self, key: K, entry: T) {
        self.count += 1;
        self.heap.push((key, self.count, entry));
        self.rise(self.heap.len() - 1);
        if self.heap.len() > self.size {
            self.remove_least();
        }
    }

    /// The entries, greatest first.
    pub(crate) fn list(&self) -> Vec<&T> {
        let mut entries: Vec<_> = self.heap.iter().collect();
        entries.sort_by_key(|(key, _, _)| std::cmp::Reverse(*key));
        entries.into_iter().map(|(_, _, entry)| entry).collect()
    }

    fn remove_least(&mut self) {
        self.heap.swap_remove(0);
        let mut place = 0;
        // The last entry sinks to the bottom along the lesser children and rises from there.
        while let Some(child) = self.lesser_child(place) {
            self.heap.swap(place, child);
            place = child;
        }
        self.rise(place);
    }

    fn lesser_child(&self, place: usize) -> Option<usize> {
        let (left, right) = (2 * place + 1, 2 * place + 2);
        let lesser = if right < self.heap.len() && self.key(right) < self.key(left) { right } else { left };
        (left < self.heap.len()).then_some(lesser)
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.key(place) < self.key((place - 1) / 2) {
            self.heap.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn key(&self, place: usize) -> (K, usize) {
        let (key, count, _) = &self.heap[place];
        (*key, *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_kept_and_of_equals_the_last() {
        let mut top = Top::new(3);
        for (key, name) in [(2, "a"), (1, "b"), (3, "c"), (2, "d"), (0, "e")] {
            top.add(key, name);
        }
        assert_eq!(top.list(), [&"c", &"a", &"d"]);
        // As Python lists them: the order within its heap.
        let mut equals = Top::new(5);
        (1..=20).for_each(|number| equals.add(0, number));
        assert_eq!(equals.list(), [&16, &17, &19, &20, &18]);
        let mut none = Top::new(0);
        none.add(1, ());
        assert!(none.list().is_empty());
    }
}
