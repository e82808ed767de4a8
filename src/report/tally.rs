//! What our own styles count, and the summary they make of it.
//!
//! Pure. Input: settled cases. Output: numbers and the text behind the last test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::render::line;
use super::runs::Settled;
use super::slowest::{Brief, Top};
use super::talk::{Tone, Voice, seconds, title};
use super::untrusted::Guard;
use crate::frontend::status::Actual;
use crate::run::event::{CaseInfo, Finished, Summary};

/// Slowest tests in the summary.
const SLOWEST: usize = 5;
/// Failures named in the summary.
const NAMED: usize = 20;
/// Tests shown that could not be run for one and the same reason: a missing shell is missing for all.
const ALIKE: usize = 3;

/// The counts of a run so far.
#[derive(Debug)]
pub(crate) struct Tally {
    /// As expected.
    pub(crate) passed: usize,
    /// Not as expected.
    pub(crate) failed: usize,
    /// As expected only in a rerun; counted among the passed, too.
    pub(crate) flaky: usize,
    /// Without a verdict.
    pub(crate) not_run: usize,
    named: Vec<(&'static str, Arc<CaseInfo>)>,
    /// How many could not be run, by the reason.
    reasons: BTreeMap<String, usize>,
    slowest: Top<Duration, Brief>,
}

impl Tally {
    /// Nothing counted.
    pub(crate) fn new() -> Self {
        Tally {
            passed: 0,
            failed: 0,
            flaky: 0,
            not_run: 0,
            named: Vec::new(),
            reasons: BTreeMap::new(),
            slowest: Top::new(SLOWEST),
        }
    }

    /// Cases that are settled.
    pub(crate) fn done(&self) -> usize {
        self.passed + self.failed + self.not_run
    }

    /// Counts a case; whether it is worth a block of its own.
    pub(crate) fn add(&mut self, case: &Settled) -> bool {
        let run = case.last();
        if let Some(brief) = Brief::of(run) {
            self.slowest.add(brief.duration, brief);
        }
        let word = self.count(run, case.is_rerun());
        self.named.extend(word.map(|word| (word, run.case.clone())));
        word.is_some() && !self.is_known(run)
    }

    /// Whether enough was shown that could not be run for the same reason.
    fn is_known(&mut self, run: &Finished) -> bool {
        let Some(reason) = run.reason.as_ref().filter(|_| run.actual.is_none()) else { return false };
        let count = self.reasons.entry(reason.clone()).or_default();
        *count += 1;
        *count > ALIKE
    }

    fn count(&mut self, run: &Finished, rerun: bool) -> Option<&'static str> {
        let (counter, word) = match run.actual {
            None => (&mut self.not_run, Some("not run")),
            Some(_) if !run.unexpected => {
                self.flaky += usize::from(rerun);
                (&mut self.passed, rerun.then_some("flaky"))
            }
            Some(Actual::Pass) => (&mut self.failed, Some("unexpected pass")),
            Some(Actual::Fail) => (&mut self.failed, Some("fail")),
            Some(Actual::Crash) => (&mut self.failed, Some("crash")),
            Some(Actual::Timeout) => (&mut self.failed, Some("timeout")),
        };
        *counter += 1;
        word
    }

    /// The text behind the last test.
    pub(crate) fn summary(&self, summary: &Summary, voice: Voice) -> String {
        let mut text = String::new();
        if summary.remaining > 0 {
            let words = format!("stopped early: {} did not run", tests(summary.remaining));
            line(&mut text, voice.say(Tone::Odd, &words));
        }
        self.name(&mut text);
        self.list_slowest(&mut text);
        let tone = if self.failed + self.not_run > 0 { Tone::Bad } else { Tone::Good };
        line(&mut text, voice.say(tone, &self.line(summary)));
        text
    }

    fn line(&self, summary: &Summary) -> String {
        let mut words = vec![format!("{} passed", self.passed)];
        if self.flaky > 0 {
            words.push(format!("{} of them only when run again", self.flaky));
        }
        words.push(format!("{} failed", self.failed));
        if self.not_run > 0 {
            words.push(format!("{} could not be run", self.not_run));
        }
        format!("{} in {}: {}", tests(self.done()), seconds(summary.elapsed), words.join(", "))
    }

    fn name(&self, text: &mut String) {
        if self.named.is_empty() {
            return;
        }
        line(text, "not as expected:");
        for (word, case) in self.named.iter().take(NAMED) {
            line(text, format_args!("  {word:<15} {}", title(case)));
        }
        let hidden = self.reasons.values().any(|count| *count > ALIKE);
        if self.named.len() > NAMED {
            let shown = if hidden { "" } else { ", shown above" };
            line(text, format_args!("  and {} more{shown}", self.named.len() - NAMED));
        }
        for (reason, count) in self.reasons.iter().filter(|(_, count)| **count > ALIKE) {
            let reason = Guard::Escape.line(reason);
            line(text, format_args!("{} could not be run for the same reason: {reason}", tests(*count)));
        }
    }

    fn list_slowest(&self, text: &mut String) {
        let slowest = self.slowest.list();
        if slowest.is_empty() {
            return;
        }
        line(text, "slowest:");
        for brief in slowest {
            line(text, format_args!("  {:>15} {}", seconds(brief.duration), title(&brief.case)));
        }
    }
}

/// `1 test`, `2 tests`.
pub(crate) fn tests(count: usize) -> String {
    format!("{count} {}", if count == 1 { "test" } else { "tests" })
}
