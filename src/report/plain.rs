//! Our style where nobody watches: failures as they happen, a word now and then, a summary.
//!
//! Input: run events, of which ticks tell how long nothing was printed. Output: text without cursor movement.

use std::time::Duration;

use super::render::{Render, Text};
use super::running::Running;
use super::runs::{Runs, Settled};
use super::talk::{Voice, seconds, stopping, title};
use super::tally::{Tally, tests};
use super::untrusted::Guard;
use crate::run::event::{RunEvent, RunInfo};

/// Something is printed at least this often, so that nobody kills a run for its silence.
const SILENCE: Duration = Duration::from_secs(60);

/// The machine of the style.
#[derive(Debug)]
pub(crate) struct Plain {
    voice: Voice,
    cases: usize,
    tally: Tally,
    runs: Runs,
    running: Running,
    last_printed: Duration,
}

impl Plain {
    /// Before a run.
    pub(crate) fn new(voice: Voice) -> Self {
        Plain {
            voice,
            cases: 0,
            tally: Tally::new(),
            runs: Runs::default(),
            running: Running::default(),
            last_printed: Duration::ZERO,
        }
    }

    fn begin(&mut self, info: &RunInfo) -> String {
        *self = Plain::new(self.voice);
        self.cases = info.cases;
        opening(info)
    }

    fn settle(&mut self, case: &Settled) -> String {
        if self.tally.add(case) { self.voice.block(case) } else { String::new() }
    }

    fn tick(&mut self, at: Duration) -> String {
        if at.saturating_sub(self.last_printed) < SILENCE {
            return String::new();
        }
        let longest = self.running.oldest().first().map_or_else(String::new, |(case, start)| {
            format!("; {} runs for {}", title(case), seconds(at.saturating_sub(*start)))
        });
        let (done, failed) = (self.tally.done(), self.tally.failed);
        format!("{done} of {} done, {failed} failed{longest}\n", tests(self.cases))
    }

    fn end(&mut self) -> String {
        self.runs.abandon().iter().map(|case| self.settle(case)).collect()
    }
}

impl Render for Plain {
    fn event(&mut self, event: &RunEvent) -> Text {
        self.running.follow(event);
        let (out, at) = match event {
            RunEvent::Started(info) => (self.begin(info), None),
            RunEvent::CaseFinished { finished, at } => match self.runs.settle(finished) {
                Some(case) => (self.settle(&case), Some(*at)),
                None => (self.voice.retry(finished), Some(*at)),
            },
            RunEvent::Tick { at } => (self.tick(*at), Some(*at)),
            RunEvent::Notice(notice) => return Text::err(&Guard::Escape.line(notice)),
            RunEvent::Stopping(stop) => return Text::err(stopping(*stop)),
            RunEvent::Ended(summary) => (self.end() + &self.tally.summary(summary, self.voice), None),
            RunEvent::CaseStarted { .. } => (String::new(), None),
        };
        if let (Some(at), false) = (at, out.is_empty()) {
            self.last_printed = at;
        }
        Text::out(out)
    }
}

/// The line before the first test.
pub(crate) fn opening(info: &RunInfo) -> String {
    let slots = if info.slots == 1 { "1 slot".to_owned() } else { format!("{} slots", info.slots) };
    let [arch, mode, workspace] =
        [&info.arch, &info.mode, &info.workspace].map(|text| Guard::Escape.line(text));
    format!("{} for {arch}.{mode} on {slots}, in {workspace}\n", tests(info.cases))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::fixture::{case, everything, fail, info, interrupted, names, pass, story, tell};
    use crate::run::event::{CaseInfo, Finished};

    fn plain() -> Plain {
        Plain::new(Voice { color: false })
    }

    #[test]
    fn failures_as_they_happen_and_a_summary() {
        insta::assert_snapshot!(tell(plain(), &story(everything())), @"
        8 tests for x64.release on 2 slots, in /v8
        FAIL            mjsunit/bad
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        ended:    exit code 1, after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/bad.js --nohard-abort

        CRASH           mjsunit/crash (stress)
        ended:    signal 11 (SIGSEGV), after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/crash.js --nohard-abort

        TIMEOUT         mjsunit/slow
        --- stderr ---
        slow
        ended:    its time was up, after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/slow.js --nohard-abort

        UNEXPECTED PASS mjsunit/better
        --- stdout ---
        fine
        ended:    exit code 0, after 125 ms
        expected: FAIL
        repeat:   cd /v8 && out/d8 --test test/mjsunit/better.js --nohard-abort

        FAIL            message/negative
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        ended:    exit code 1, after 125 ms
        expected: PASS (a negative test: it passes by failing)
        repeat:   cd /v8 && out/d8 --test test/message/negative.js --nohard-abort

        NOT RUN         mjsunit/lost
        why:      d8: no such file
        repeat:   cd /v8 && out/d8 --test test/mjsunit/lost.js --nohard-abort

        TRY AGAIN       mjsunit/flaky: FAIL in run 1
        FLAKY           mjsunit/flaky
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        ended:    exit code 1, after 125 ms
        runs:     FAIL, as expected
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/flaky.js --nohard-abort

        not as expected:
          fail            mjsunit/bad
          crash           mjsunit/crash (stress)
          timeout         mjsunit/slow
          unexpected pass mjsunit/better
          fail            message/negative
          not run         mjsunit/lost
          flaky           mjsunit/flaky
        slowest:
                   125 ms mjsunit/crash (stress)
                   125 ms mjsunit/slow
                   125 ms mjsunit/flaky
                   125 ms message/negative
                   125 ms mjsunit/better
        8 tests in 10.0 s: 2 passed, 1 of them only when run again, 5 failed, 1 could not be run
        ");
    }

    #[test]
    fn a_shell_that_is_missing_for_all_is_shown_thrice() {
        let lost = |index| {
            let reason = Some("d8: no such file".to_owned());
            let run = fail(case(index, &format!("a/t{index}")));
            Finished { actual: None, reason, ..run }
        };
        let text = tell(plain(), &story((0..30).map(lost).collect()));
        assert_eq!(text.matches("NOT RUN").count(), 3, "{text}");
        assert!(text.contains("30 tests could not be run for the same reason: d8: no such file\n"), "{text}");
        assert!(text.contains("  and 10 more\n"), "{text}");
    }

    #[test]
    fn a_good_run_is_short() {
        insta::assert_snapshot!(tell(plain(), &story(vec![pass(case(0, "a/b"))])), @"
        1 test for x64.release on 2 slots, in /v8
        slowest:
                   125 ms a/b
        1 test in 2.0 s: 1 passed, 0 failed
        ");
    }

    #[test]
    fn facts_have_their_lines() {
        let case = CaseInfo { why: vec!["test/a/a.status:3: 'b*'".to_owned()], ..case(0, "a/b") };
        let run = Finished {
            reason: Some("Rule X expected a flag contradiction.".to_owned()),
            details: Some("- a\n+ b\n".to_owned()),
            peer: Some("attic\u{1b}[1m".to_owned()),
            ..fail(case)
        };
        insta::assert_snapshot!(tell(plain(), &story(vec![run])), @r"
        1 test for x64.release on 2 slots, in /v8
        FAIL            a/b
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        - a
        + b
        ended:    exit code 1, after 125 ms
        expected: PASS
        reason:   Rule X expected a flag contradiction.
        rule:     test/a/a.status:3: 'b*'
        ran on:   attic\x1b[1m
        repeat:   cd /v8 && out/d8 --test test/a/b.js --nohard-abort

        not as expected:
          fail            a/b
        slowest:
                   125 ms a/b
        1 test in 2.0 s: 0 passed, 1 failed
        ");
    }

    #[test]
    fn hostile_and_endless_output_is_tamed() {
        let mut run = fail(case(0, "a/b"));
        let output = Arc::make_mut(&mut run.output);
        output.stdout.bytes =
            (0..200).map(|line| format!("line {line} \x1b[1m\n")).collect::<String>().into_bytes();
        output.stderr.bytes = "é".repeat(3000).into_bytes();
        output.stderr.dropped = 5;
        let text = tell(plain(), &story(vec![run]));
        assert!(text.contains("line 39 \\x1b[1m\n[80 lines left out]\nline 120"), "{text}");
        assert!(text.contains("é [1000 characters left out]\n[5 more bytes were not kept]\n"), "{text}");
        assert!(!text.contains('␛'));
        insta::assert_snapshot!(tell(plain(), &story(names())), @r"
        3 tests for x64.release on 2 slots, in /v8
        FAIL            mjsunit/\x1b[2Jclear\u{202e}nrut
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        ended:    exit code 1, after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/\x1b[2Jclear\u{202e}nrut.js --nohard-abort

        not as expected:
          fail            mjsunit/\x1b[2Jclear\u{202e}nrut
        slowest:
                   125 ms mjsunit/long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-
                   125 ms mjsunit/ünïcödé-😀
                   125 ms mjsunit/\x1b[2Jclear\u{202e}nrut
        3 tests in 4.0 s: 2 passed, 1 failed
        ");
    }

    #[test]
    fn an_interrupted_run_says_so() {
        insta::assert_snapshot!(tell(plain(), &interrupted(everything(), 8)), @"
        8 tests for x64.release on 2 slots, in /v8
        FAIL            mjsunit/bad
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        ended:    exit code 1, after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/bad.js --nohard-abort

        CRASH           mjsunit/crash (stress)
        ended:    signal 11 (SIGSEGV), after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/crash.js --nohard-abort

        TIMEOUT         mjsunit/slow
        --- stderr ---
        slow
        ended:    its time was up, after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/slow.js --nohard-abort

        UNEXPECTED PASS mjsunit/better
        --- stdout ---
        fine
        ended:    exit code 0, after 125 ms
        expected: FAIL
        repeat:   cd /v8 && out/d8 --test test/mjsunit/better.js --nohard-abort

        FAIL            message/negative
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        ended:    exit code 1, after 125 ms
        expected: PASS (a negative test: it passes by failing)
        repeat:   cd /v8 && out/d8 --test test/message/negative.js --nohard-abort

        NOT RUN         mjsunit/lost
        why:      d8: no such file
        repeat:   cd /v8 && out/d8 --test test/mjsunit/lost.js --nohard-abort

        TRY AGAIN       mjsunit/flaky: FAIL in run 1
        FAIL            mjsunit/flaky
        --- stdout ---
        out 1
        out 2
        --- stderr ---
        err
        ended:    exit code 1, after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/flaky.js --nohard-abort

        stopped early: 1 test did not run
        not as expected:
          fail            mjsunit/bad
          crash           mjsunit/crash (stress)
          timeout         mjsunit/slow
          unexpected pass mjsunit/better
          fail            message/negative
          not run         mjsunit/lost
          fail            mjsunit/flaky
        slowest:
                   125 ms mjsunit/crash (stress)
                   125 ms mjsunit/slow
                   125 ms mjsunit/flaky
                   125 ms message/negative
                   125 ms mjsunit/better
        8 tests in 9.0 s: 1 passed, 6 failed, 1 could not be run
        ~~~ standard error ~~~
        interrupted: ending the tests that run (again to leave at once)
        ");
    }

    #[test]
    fn long_silence_is_broken() {
        let mut style = plain();
        style.event(&RunEvent::Started(Arc::new(info(3))));
        style.event(&RunEvent::CaseStarted {
            case: Arc::new(case(0, "a/b")),
            run: 1,
            at: Duration::from_secs(1),
        });
        let tick =
            |style: &mut Plain, second| style.event(&RunEvent::Tick { at: Duration::from_secs(second) }).out;
        assert_eq!(tick(&mut style, 59), "");
        assert_eq!(tick(&mut style, 60), "0 of 3 tests done, 0 failed; a/b runs for 59.0 s\n");
        assert_eq!(tick(&mut style, 61), "");
        assert_eq!(tick(&mut style, 121), "0 of 3 tests done, 0 failed; a/b runs for 2 min 0 s\n");
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let strip = |text: String| {
            let mut rest = text.as_str();
            let mut plain = String::new();
            while let Some((before, after)) = rest.split_once("␛[") {
                plain.push_str(before);
                rest = after.split_once('m').unwrap().1;
            }
            plain + rest
        };
        let colored = tell(Plain::new(Voice { color: true }), &story(everything()));
        assert!(colored.contains("␛[1;31mCRASH"));
        assert_eq!(strip(colored), tell(plain(), &story(everything())));
    }
}
