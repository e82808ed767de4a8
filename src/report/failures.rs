//! The failures that V8's simple styles tell at the end: a block each, then how many there were.
//!
//! Pure. Input: settled cases. Invariant: what could not be run is counted apart from what failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frame::Manner;
use super::render::line;
use super::runs::Settled;
use super::wording::Wording;
use crate::run::event::Finished;

/// The failures to tell at the end.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Which cases, and whether they are only flaky. 6.2 has an entry a failing run.
    entries: Vec<(u32, bool)>,
    /// The run to show: 6.2 shows the last run of a case in all its entries.
    shown: BTreeMap<u32, Arc<Finished>>,
    crashes: usize,
}

impl Failures {
    /// Takes a case; remembers it if it failed, or failed at first.
    pub(crate) fn add(&mut self, case: &Settled, wording: Wording) {
        let run = case.last();
        let index = run.case.index;
        if run.unexpected {
            self.entries.push((index, false));
            self.shown.insert(index, run.clone());
            self.crashes += usize::from(run.crashed);
        } else if case.is_rerun() && wording.names_flaky() {
            self.entries.push((index, true));
            self.shown.insert(index, case.first().clone());
            self.crashes += usize::from(case.first().crashed);
        } else if let Some(shown) = self.shown.get_mut(&index) {
            *shown = run.clone();
        }
    }

    /// Their blocks and counts.
    pub(crate) fn tell(&self, manner: &Manner) -> String {
        let mut text = "\n".to_owned();
        for (index, flaky) in &self.entries {
            if let Some(run) = self.shown.get(index) {
                text.push_str(&manner.look.header(&run.case, *flaky));
                text.push_str(&manner.look.simple(run));
            }
        }
        text + &self.count(manner.look.wording)
    }

    fn count(&self, wording: Wording) -> String {
        if self.entries.is_empty() {
            return "===\n=== All tests succeeded\n===\n".to_owned();
        }
        let not_run = self.shown.values().filter(|run| run.actual.is_none()).count();
        let flaky = self.entries.iter().filter(|(_, flaky)| *flaky).count();
        let crashes = if wording.counts_crashes() { self.crashes } else { 0 };
        let mut text = "\n===\n".to_owned();
        for (count, words) in [
            (self.entries.len() - not_run, "tests failed"),
            (flaky, "tests were flaky"),
            (crashes, "tests CRASHED"),
            (not_run, "tests could not be run"),
        ] {
            if count > 0 {
                line(&mut text, format_args!("=== {count} {words}"));
            }
        }
        text + "===\n"
    }
}
