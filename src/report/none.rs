//! V8's `none`: no progress, only what went wrong.
//!
//! Input: run events. Output: V8's first and last lines, and the blocks of failures as they happen.

use super::frame::{Frame, Manner};
use super::render::{Render, Text};
use crate::run::event::RunEvent;

/// The machine of the style.
#[derive(Debug)]
pub(crate) struct Quiet {
    frame: Frame,
}

impl Quiet {
    /// Before a run.
    pub(crate) fn new(manner: Manner) -> Self {
        Quiet { frame: Frame::new(manner) }
    }
}

impl Render for Quiet {
    fn event(&mut self, event: &RunEvent) -> Text {
        let settled = self.frame.follow(event);
        let mut text = self.frame.says(event);
        for case in settled.iter().filter(|case| case.last().unexpected) {
            text.out.push_str(&self.frame.manner.look.compact(case));
        }
        if let RunEvent::Ended(summary) = event {
            text.out.push_str(&self.frame.closing(summary));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{case, crash, manner, pass, story, tell};
    use crate::report::wording::Wording;

    #[test]
    fn only_failures_are_shown() {
        let results = vec![pass(case(0, "a/b")), crash(case(1, "a/c"))];
        insta::assert_snapshot!(tell(Quiet::new(manner(Wording::V157)), &story(results)), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        === a/c ===
        Command: out/d8 --test test/a/c.js --nohard-abort
        exit code: -11 [FFFFFFF5]
        --- CRASHED ---
        >>> 10 base tests produced 2 (20%) non-filtered tests
        >>> 2 tests ran
        ");
    }
}
