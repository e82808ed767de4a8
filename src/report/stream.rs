//! V8's `stream`: a line a result, and nothing more about failures.
//!
//! Input: run events. Output: V8's bytes, with its slip of an `s` behind the name.

use super::block::timed_out;
use super::frame::{Frame, Manner};
use super::render::{Render, Text};
use crate::run::event::{Finished, RunEvent};

/// The machine of the style.
#[derive(Debug)]
pub(crate) struct Stream {
    frame: Frame,
}

impl Stream {
    /// Before a run.
    pub(crate) fn new(manner: Manner) -> Self {
        Stream { frame: Frame::new(manner) }
    }
}

impl Render for Stream {
    fn event(&mut self, event: &RunEvent) -> Text {
        let settled = self.frame.follow(event);
        let mut text = self.frame.says(event);
        for case in &settled {
            let run = case.last();
            let name = self.frame.manner.look.guard.line(&run.case.name);
            text.out.push_str(&format!("{}: {name}s\n", word(run)));
        }
        if let RunEvent::Ended(summary) = event {
            text.out.push_str(&self.frame.closing(summary));
        }
        text
    }
}

fn word(run: &Finished) -> &'static str {
    match () {
        () if !run.unexpected => "PASS",
        () if run.actual.is_none() => "NOT RUN",
        () if run.crashed => "CRASH",
        () if timed_out(run) => "TIMEOUT",
        () if run.case.marked_fail => "UNEXPECTED PASS",
        () => "FAIL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{everything, manner, story, tell};
    use crate::report::wording::Wording;

    #[test]
    fn each_result_is_a_line() {
        insta::assert_snapshot!(tell(Stream::new(manner(Wording::V102)), &story(everything())), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        PASS: mjsunit/goods
        FAIL: mjsunit/bads
        CRASH: mjsunit/crashs
        TIMEOUT: mjsunit/slows
        UNEXPECTED PASS: mjsunit/betters
        FAIL: message/negatives
        NOT RUN: mjsunit/losts
        PASS: mjsunit/flakys
        >>> 10 base tests produced 8 (80%) non-filtered tests
        >>> 7 tests ran
        ");
    }
}
