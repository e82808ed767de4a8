//! V8's `--log-test-schedule` (reference §6.7): when each run started and ended.
//!
//! Input: run events. Output: a file with a line a run, replaced when the run ends. Names are raw: it is a file.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Sink;
use super::file::ReportFile;
use super::python::float;
use super::runs::{Runs, Settled};
use super::simple::{status, variant};
use super::wording::Wording;
use crate::run::event::{Finished, RunEvent};

/// The sink.
#[derive(Debug)]
pub(crate) struct ScheduleLog {
    file: ReportFile,
    wording: Wording,
    epoch: Duration,
    runs: Runs,
    ends: Vec<(u32, u32, Duration)>,
    lines: String,
}

impl ScheduleLog {
    /// A log in that file.
    pub(crate) fn new(file: ReportFile, wording: Wording) -> Self {
        ScheduleLog {
            file,
            wording,
            epoch: Duration::ZERO,
            runs: Runs::default(),
            ends: Vec::new(),
            lines: String::new(),
        }
    }

    fn finished(&mut self, run: &Arc<Finished>, at: Duration) {
        self.ends.push((run.case.index, run.run, at));
        if let Some(case) = self.runs.settle(run) {
            self.settled(&case);
        }
    }

    fn settled(&mut self, case: &Settled) {
        for run in case.all() {
            let end = self.take_end(run);
            let start = end.saturating_sub(run.output.duration);
            let (start, end) =
                (float((self.epoch + start).as_secs_f64()), float((self.epoch + end).as_secs_f64()));
            let (name, variant, status) = (&run.case.name, variant(&run.case), status(run, self.wording));
            self.lines.push_str(&format!("{name} {variant}: {status} ({start}:{end})\n"));
        }
    }

    /// When a run of a case not settled before ended; there are only as many as cases that run again.
    fn take_end(&mut self, run: &Finished) -> Duration {
        let at = self.ends.iter().position(|(case, number, _)| (*case, *number) == (run.case.index, run.run));
        at.map(|at| self.ends.swap_remove(at).2).unwrap_or_default()
    }
}

impl Sink for ScheduleLog {
    fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.epoch = info.epoch,
            RunEvent::CaseFinished { finished, at } => self.finished(finished, *at),
            RunEvent::Ended(_) => {
                for case in self.runs.abandon() {
                    self.settled(&case);
                }
                return self.file.replace(self.lines.as_bytes()).map_err(io::Error::other);
            }
            RunEvent::CaseStarted { .. }
            | RunEvent::Tick { .. }
            | RunEvent::Machines { .. }
            | RunEvent::Notice(_)
            | RunEvent::Stopping(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{everything, filed, story};

    #[test]
    fn each_run_has_its_line() {
        let text = filed(|file| ScheduleLog::new(file, Wording::V126), "", &story(everything()));
        insta::assert_snapshot!(text, @"
        mjsunit/good default: PASS (1700000000.875:1700000001.0)
        mjsunit/bad default: FAIL (1700000001.875:1700000002.0)
        mjsunit/crash stress: CRASH (1700000002.875:1700000003.0)
        mjsunit/slow default: FAIL (1700000003.875:1700000004.0)
        mjsunit/better default: FAIL (1700000004.875:1700000005.0)
        message/negative default: FAIL (1700000005.875:1700000006.0)
        mjsunit/lost default: NOT RUN (1700000006.875:1700000007.0)
        mjsunit/flaky default: FAIL (1700000007.875:1700000008.0)
        mjsunit/flaky default: PASS (1700000008.875:1700000009.0)
        ");
    }
}
