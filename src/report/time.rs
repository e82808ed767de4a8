//! V8's `--time` (reference §6.3, §6.6): the slowest tests behind the run.
//!
//! Input: run events. Output, when the run ends: up to 6.2 twenty lines on standard error, since then a list and the
//! details of each entry on standard output.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{minutes_cut, minutes_rounded};
use super::render::{Render, Text, line};
use super::runs::{Runs, Settled};
use super::slowest::{Brief, Top};
use super::untrusted::Guard;
use super::wording::Wording;
use crate::run::event::{CaseInfo, Finished, RunEvent};

/// Entries in lists whose length cannot be chosen.
const FIXED_LIST: usize = 20;

/// The machine of the list.
#[derive(Debug)]
pub(crate) struct Time {
    wording: Wording,
    guard: Guard,
    length: usize,
    runs: Runs,
    top: Top<Duration, Brief>,
    last: BTreeMap<u32, (Arc<CaseInfo>, Duration)>,
}

impl Time {
    /// A list of at most `length` entries where a generation lets one choose.
    pub(crate) fn new(wording: Wording, guard: Guard, length: usize) -> Self {
        let length = if wording <= Wording::V79 { FIXED_LIST } else { length };
        Time { wording, guard, length, runs: Runs::default(), top: Top::new(length), last: BTreeMap::new() }
    }

    fn finished(&mut self, run: &Arc<Finished>) {
        if !self.wording.sees_each_run() {
            self.runs.settle(run).iter().flat_map(Settled::all).for_each(|run| add(&mut self.top, run));
        } else if run.actual.is_some() {
            self.last.insert(run.case.index, (run.case.clone(), run.output.duration));
        }
    }

    /// 6.2: each case with its last run.
    fn old(&self, elapsed: Duration) -> Text {
        let mut text = Text::out("\n");
        line(&mut text.err, format_args!("--- Total time: {} ---", minutes_rounded(elapsed)));
        let mut all: Vec<_> = self.last.values().collect();
        all.sort_by_key(|(_, duration)| std::cmp::Reverse(*duration));
        for (index, (case, duration)) in all.into_iter().take(self.length).enumerate() {
            let (time, name) = (minutes_rounded(*duration), self.guard.line(&case.name));
            line(&mut text.err, format_args!("{:4} ({time}) {name}", index + 1));
        }
        text
    }

    fn new_list(&self) -> Text {
        let mut text = Text::default();
        for brief in self.top.list() {
            let mark = if brief.case.slow { "" } else { " *" };
            let name = self.guard.line(&brief.case.name);
            line(&mut text.out, format_args!("{} {name}{mark}", minutes_cut(brief.duration)));
        }
        text.out.push_str("\nDetails:\n\n");
        self.top.list().into_iter().for_each(|brief| self.details(brief, &mut text.out));
        text
    }

    fn details(&self, brief: &Brief, out: &mut String) {
        let case = &brief.case;
        line(out, format_args!("Test: {}", self.guard.line(&case.name)));
        line(out, format_args!("Flags: {}", self.guard.line(&case.arguments.join(" "))));
        line(out, format_args!("Command: {}", self.guard.line(&case.relative_command)));
        line(out, format_args!("Duration: {}", minutes_cut(brief.duration)));
    }
}

fn add(top: &mut Top<Duration, Brief>, run: &Finished) {
    if let Some(brief) = Brief::of(run) {
        top.add(brief.duration, brief);
    }
}

impl Render for Time {
    fn event(&mut self, event: &RunEvent) -> Text {
        match event {
            RunEvent::Started(_) => *self = Time::new(self.wording, self.guard, self.length),
            RunEvent::CaseFinished { finished, .. } => self.finished(finished),
            RunEvent::Ended(summary) if self.wording.sees_each_run() => return self.old(summary.elapsed),
            RunEvent::Ended(_) => {
                self.runs.abandon().iter().flat_map(Settled::all).for_each(|run| add(&mut self.top, run));
                return self.new_list();
            }
            RunEvent::CaseStarted { .. }
            | RunEvent::Tick { .. }
            | RunEvent::Machines { .. }
            | RunEvent::Notice(_)
            | RunEvent::Stopping(_) => {}
        }
        Text::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{case, everything, pass, reruns, story, tell};
    use crate::run::event::Finished;

    fn told(wording: Wording, results: Vec<Finished>) -> String {
        tell(Time::new(wording, Guard::Exact, 3), &story(results))
    }

    fn lasting(index: u32, millis: u64) -> Finished {
        let mut run = pass(CaseInfo { slow: index == 1, ..case(index, &format!("a/t{index}")) });
        Arc::make_mut(&mut run.output).duration = Duration::from_millis(millis);
        run
    }

    #[test]
    fn up_to_62_twenty_lines_on_standard_error() {
        let mut results: Vec<Finished> = (0..22).map(|index| lasting(index, 10 * u64::from(index))).collect();
        results.extend(reruns(vec![lasting(30, 5000), lasting(30, 1)]));
        insta::assert_snapshot!(told(Wording::V62, results), @"

        ~~~ standard error ~~~
        --- Total time: 00:25.000 ---
           1 (00:00.210) a/t21
           2 (00:00.200) a/t20
           3 (00:00.190) a/t19
           4 (00:00.180) a/t18
           5 (00:00.170) a/t17
           6 (00:00.160) a/t16
           7 (00:00.150) a/t15
           8 (00:00.140) a/t14
           9 (00:00.130) a/t13
          10 (00:00.120) a/t12
          11 (00:00.110) a/t11
          12 (00:00.100) a/t10
          13 (00:00.090) a/t9
          14 (00:00.080) a/t8
          15 (00:00.070) a/t7
          16 (00:00.060) a/t6
          17 (00:00.050) a/t5
          18 (00:00.040) a/t4
          19 (00:00.030) a/t3
          20 (00:00.020) a/t2
        ");
    }

    #[test]
    fn since_102_a_list_and_details() {
        let results = vec![lasting(0, 1), lasting(1, 61_234), lasting(2, 3_600_500)];
        insta::assert_snapshot!(told(Wording::V102, results), @"
        00:00:500 a/t2 *
        01:01:234 a/t1
        00:00:001 a/t0 *

        Details:

        Test: a/t2
        Flags: --test /v8/test/a/t2.js --nohard-abort
        Command: out/d8 --test test/a/t2.js --nohard-abort
        Duration: 00:00:500
        Test: a/t1
        Flags: --test /v8/test/a/t1.js --nohard-abort
        Command: out/d8 --test test/a/t1.js --nohard-abort
        Duration: 01:01:234
        Test: a/t0
        Flags: --test /v8/test/a/t0.js --nohard-abort
        Command: out/d8 --test test/a/t0.js --nohard-abort
        Duration: 00:00:001
        ");
        assert_eq!(told(Wording::V102, everything()).matches("Test: ").count(), 3);
    }
}
