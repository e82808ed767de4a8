//! V8's `dots`, `verbose` and `ci`: a mark or a line a result, failures at the end.
//!
//! Input: run events, of which ticks tell how long nothing was printed. Output: V8's bytes.

use std::time::Duration;

use super::block::{shown_as_failure, timed_out};
use super::clock;
use super::failures::Failures;
use super::frame::{Frame, Manner};
use super::render::{Render, Text, line};
use super::running::Running;
use super::runs::Settled;
use super::wording::Wording;
use crate::run::event::{CaseInfo, Finished, RunEvent};

/// Dots in a row.
const ROW: usize = 50;
/// `verbose` says that it still works after this much silence, so that nobody kills it for its silence.
const SILENCE: Duration = Duration::from_secs(30);
/// `ci` prints the time after this much silence.
const CI_SILENCE: Duration = Duration::from_secs(60);
/// Without a result for this long, V8's pool sends a heartbeat (since 7.x).
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A mark a result.
    Dots,
    /// A line a result.
    Verbose,
    /// Only the time now and then.
    Ci,
}

/// The machine behind the three styles.
#[derive(Debug)]
pub(crate) struct Simple {
    kind: Kind,
    frame: Frame,
    running: Running,
    failures: Failures,
    results: usize,
    last_result: Duration,
    last_printed: Duration,
}

impl Simple {
    /// Before a run.
    pub(crate) fn new(kind: Kind, manner: Manner) -> Self {
        Simple {
            kind,
            frame: Frame::new(manner),
            running: Running::default(),
            failures: Failures::default(),
            results: 0,
            last_result: Duration::ZERO,
            last_printed: Duration::ZERO,
        }
    }

    fn begin(&mut self) -> String {
        self.failures = Failures::default();
        (self.results, self.last_result, self.last_printed) = (0, Duration::ZERO, Duration::ZERO);
        match self.frame.info() {
            Some(info) if self.frame.wording().sees_each_run() => format!("Running {} tests\n", info.cases),
            _ => String::new(),
        }
    }

    fn result(&mut self, case: &Settled) -> String {
        self.results += 1;
        self.last_result = self.frame.now();
        self.failures.add(case, self.frame.wording());
        match self.kind {
            Kind::Dots => self.dot(case.last()),
            Kind::Verbose => {
                self.last_printed = self.frame.now();
                let guard = self.frame.manner.look.guard;
                message(case, self.frame.wording(), |name| guard.line(name).into_owned())
            }
            Kind::Ci => self.date(),
        }
    }

    fn dot(&self, run: &Finished) -> String {
        let row = if self.results > 1 && self.results % ROW == 1 { "\n" } else { "" };
        let mark = match () {
            () if !shown_as_failure(run, self.frame.wording()) => '.',
            () if run.actual.is_none() => 'N',
            () if run.crashed => 'C',
            () if timed_out(run) => 'T',
            () => 'F',
        };
        format!("{row}{mark}")
    }

    fn date(&mut self) -> String {
        if self.frame.now().saturating_sub(self.last_printed) <= CI_SILENCE {
            return String::new();
        }
        self.last_printed = self.frame.now();
        format!("{}\n", clock::date(self.frame.local()))
    }

    fn tick(&mut self) -> Text {
        if self.kind == Kind::Dots || !self.heartbeat() {
            return Text::default();
        }
        self.last_printed = self.frame.now();
        let mut text = Text::out("Still working...\n");
        if self.frame.wording().logs() && self.frame.manner.verbose {
            let time = clock::time(self.frame.local());
            self.processes().iter().for_each(|process| line(&mut text.err, format_args!("{time} {process}")));
        } else if self.lists_processes() {
            self.processes().iter().for_each(|process| line(&mut text.out, process));
        }
        text
    }

    fn heartbeat(&self) -> bool {
        let since = |then: Duration| self.frame.now().saturating_sub(then);
        match self.frame.wording() {
            Wording::V2015 => false,
            Wording::V62 => since(self.last_printed.max(self.last_result)) >= SILENCE,
            _ => since(self.last_result) >= HEARTBEAT && since(self.last_printed) > SILENCE,
        }
    }

    /// V8's list; it shows process ids, which a report does not know.
    fn processes(&self) -> Vec<String> {
        let guard = self.frame.manner.look.guard;
        let process = |(case, _): (&CaseInfo, _)| format!("pid: ? cmd: {}", guard.line(&case.command));
        let title = "List of processes:".to_owned();
        [title].into_iter().chain(self.running.oldest().into_iter().map(process)).collect()
    }

    fn lists_processes(&self) -> bool {
        !self.frame.wording().sees_each_run() && !self.frame.wording().logs()
    }

    /// What V8's pool says when it ends.
    fn winding_up(&self) -> String {
        if self.kind == Kind::Dots || !self.lists_processes() {
            return String::new();
        }
        "Joining workers\nList of processes:\nDraining queues\nList of processes:\n".to_owned()
    }
}

impl Render for Simple {
    fn event(&mut self, event: &RunEvent) -> Text {
        let settled = self.frame.follow(event);
        self.running.follow(event);
        let mut text = self.frame.says(event);
        match event {
            RunEvent::Started(_) => text.out.push_str(&self.begin()),
            RunEvent::Tick { .. } => return self.tick(),
            _ => {}
        }
        for case in &settled {
            let shown = self.result(case);
            text.out.push_str(&shown);
        }
        text.out.push_str(self.frame.mutters(event));
        if let RunEvent::Ended(summary) = event {
            text.out.push_str(&self.winding_up());
            text.out.push_str(&self.failures.tell(&self.frame.manner));
            text.out.push_str(&self.frame.closing(summary));
        }
        text
    }
}

/// The line of `verbose` for a result, also kept by `ci` in its file.
pub(crate) fn message(case: &Settled, wording: Wording, name: impl Fn(&str) -> String) -> String {
    let run = case.last();
    let label = name(&run.case.name);
    if wording.names_flaky() {
        let all: Vec<&str> = case.all().map(|run| status(run, wording)).collect();
        return format!("{label} {}: {}\n", name(variant(&run.case)), all.join(" "));
    }
    let starting = if wording == Wording::V2015 { format!("Starting {label}...\n") } else { String::new() };
    let variant =
        if wording.sees_each_run() { String::new() } else { format!(" {}", name(variant(&run.case))) };
    let done = if wording.says_done_running() { "Done running " } else { "" };
    format!("{starting}{done}{label}{variant}: {}\n", status(run, wording))
}

/// The variant as V8 prints it.
pub(crate) fn variant(case: &CaseInfo) -> &str {
    if case.variant.is_empty() { "default" } else { &case.variant }
}

/// The word for a run in `verbose` and in the schedule log; time-outs are failures there.
pub(crate) fn status(run: &Finished, wording: Wording) -> &'static str {
    match () {
        () if !shown_as_failure(run, wording) => {
            if wording.names_flaky() {
                "PASS"
            } else {
                "pass"
            }
        }
        () if run.actual.is_none() => "NOT RUN",
        () if run.crashed => "CRASH",
        () => "FAIL",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::fixture::{
        case, crash, everything, fail, info, interrupted, manner, pass, reruns, story, tell,
    };

    fn told(kind: Kind, wording: Wording, results: Vec<Finished>) -> String {
        tell(Simple::new(kind, manner(wording)), &story(results))
    }

    #[test]
    fn dots_of_62_have_an_entry_a_failing_run_with_the_last_output() {
        insta::assert_snapshot!(told(Kind::Dots, Wording::V62, everything()), @"
        >>> Running tests for x64.release
        Running 8 tests
        .FCTFFNFF
        === mjsunit/bad ===
        --- stderr ---
        err
        --- stdout ---
        out 1
        out 2
        Command: /v8/out/d8 --test /v8/test/mjsunit/bad.js --nohard-abort
        === mjsunit/crash ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/crash.js --nohard-abort
        exit code: -11
        --- CRASHED ---
        === mjsunit/slow ===
        --- stderr ---
        slow
        --- stdout ---

        Command: /v8/out/d8 --test /v8/test/mjsunit/slow.js --nohard-abort
        --- TIMEOUT ---
        === mjsunit/better ===
        --- stdout ---
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/better.js --nohard-abort
        === message/negative [negative] ===
        --- stderr ---
        err
        --- stdout ---
        out 1
        out 2
        Command: /v8/out/d8 --test /v8/test/message/negative.js --nohard-abort
        === mjsunit/lost ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/lost.js --nohard-abort
        --- NOT RUN ---
        d8: no such file
        === mjsunit/flaky ===
        --- stdout ---
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort

        ===
        === 6 tests failed
        === 1 tests CRASHED
        === 1 tests could not be run
        ===
        ");
    }

    #[test]
    fn dots_of_102_name_flaky_tests() {
        insta::assert_snapshot!(told(Kind::Dots, Wording::V102, everything()), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        .FCTFFN.
        === mjsunit/bad ===
        --- stderr ---
        err
        --- stdout ---
        out 1
        out 2
        Command: /v8/out/d8 --test /v8/test/mjsunit/bad.js --nohard-abort
        === mjsunit/crash ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/crash.js --nohard-abort
        exit code: -11 [FFFFFFF5]
        --- CRASHED ---
        === mjsunit/slow ===
        --- stderr ---
        slow
        --- stdout ---

        Command: /v8/out/d8 --test /v8/test/mjsunit/slow.js --nohard-abort
        --- TIMEOUT ---
        === mjsunit/better ===
        --- stdout ---
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/better.js --nohard-abort
        === message/negative [negative] ===
        --- stderr ---
        err
        --- stdout ---
        out 1
        out 2
        Command: /v8/out/d8 --test /v8/test/message/negative.js --nohard-abort
        === mjsunit/lost ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/lost.js --nohard-abort
        --- NOT RUN ---
        d8: no such file
        === mjsunit/flaky (flaky) ===
        --- stderr ---
        err
        --- stdout ---
        out 1
        out 2
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort

        ===
        === 6 tests failed
        === 1 tests were flaky
        === 1 tests CRASHED
        === 1 tests could not be run
        ===
        >>> 10 base tests produced 8 (80%) non-filtered tests
        >>> 7 tests ran
        ");
    }

    #[test]
    fn since_116_nothing_counts_crashes() {
        let results = || vec![crash(case(0, "a/b"))];
        insta::assert_snapshot!(told(Kind::Dots, Wording::V126, results()), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        C
        === a/b ===
        Command: /v8/out/d8 --test /v8/test/a/b.js --nohard-abort
        exit code: -11 [FFFFFFF5]
        --- CRASHED ---

        ===
        === 1 tests failed
        ===
        >>> 10 base tests produced 1 (10%) non-filtered tests
        >>> 1 tests ran
        ");
        insta::assert_snapshot!(told(Kind::Dots, Wording::V157, results()), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        C
        === a/b ===
        Command: out/d8 --test test/a/b.js --nohard-abort
        exit code: -11 [FFFFFFF5]
        --- CRASHED ---

        ===
        === 1 tests failed
        ===
        >>> 10 base tests produced 1 (10%) non-filtered tests
        >>> 1 tests ran
        ");
    }

    #[test]
    fn dots_break_after_fifty() {
        let results = (0..101).map(|index| pass(case(index, "a/b"))).collect();
        insta::assert_snapshot!(told(Kind::Dots, Wording::V102, results), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ..................................................
        ..................................................
        .
        ===
        === All tests succeeded
        ===
        >>> 10 base tests produced 101 (1010%) non-filtered tests
        >>> 101 tests ran
        ");
    }

    #[test]
    fn verbose_of_2015_says_when_a_test_starts() {
        insta::assert_snapshot!(told(Kind::Verbose, Wording::V2015, vec![pass(case(0, "a/b")), crash(case(1, "a/c"))]), @"
        >>> Running tests for x64.release
        Running 2 tests
        Starting a/b...
        Done running a/b: pass
        Starting a/c...
        Done running a/c: CRASH

        === a/c ===
        Command: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        exit code: -11
        --- CRASHED ---

        ===
        === 1 tests failed
        === 1 tests CRASHED
        ===
        ");
    }

    #[test]
    fn verbose_of_62_79_102() {
        let lines = |wording| {
            let all = told(Kind::Verbose, wording, everything());
            all.split("\n\n").next().unwrap_or_default().to_owned()
        };
        insta::assert_snapshot!(lines(Wording::V62), @"
        >>> Running tests for x64.release
        Running 8 tests
        Done running mjsunit/good: pass
        Done running mjsunit/bad: FAIL
        Done running mjsunit/crash: CRASH
        Done running mjsunit/slow: FAIL
        Done running mjsunit/better: FAIL
        Done running message/negative: FAIL
        Done running mjsunit/lost: NOT RUN
        Done running mjsunit/flaky: FAIL
        Done running mjsunit/flaky: FAIL
        ");
        insta::assert_snapshot!(lines(Wording::V79), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        Done running mjsunit/good default: pass
        Done running mjsunit/bad default: FAIL
        Done running mjsunit/crash stress: CRASH
        Done running mjsunit/slow default: FAIL
        Done running mjsunit/better default: FAIL
        Done running message/negative default: FAIL
        Done running mjsunit/lost default: NOT RUN
        Done running mjsunit/flaky default: pass
        Joining workers
        List of processes:
        Draining queues
        List of processes:
        ");
        assert!(lines(Wording::V90).contains("\nmjsunit/good default: pass\nmjsunit/bad default: FAIL\n"));
        insta::assert_snapshot!(lines(Wording::V102), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        mjsunit/good default: PASS
        mjsunit/bad default: FAIL
        mjsunit/crash stress: CRASH
        mjsunit/slow default: FAIL
        mjsunit/better default: FAIL
        message/negative default: FAIL
        mjsunit/lost default: NOT RUN
        mjsunit/flaky default: FAIL PASS
        Joining workers
        List of processes:
        Draining queues
        List of processes:
        ");
    }

    #[test]
    fn verbose_of_126_logs_instead_of_winding_up() {
        insta::assert_snapshot!(told(Kind::Verbose, Wording::V126, vec![pass(case(0, "a/b"))]), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        a/b default: PASS

        ===
        === All tests succeeded
        ===
        >>> 10 base tests produced 1 (10%) non-filtered tests
        >>> 1 tests ran
        ");
    }

    #[test]
    fn an_interrupted_run_tells_reruns_that_never_came_back() {
        let results = reruns(vec![fail(case(0, "a/b")), pass(case(0, "a/b"))]);
        insta::assert_snapshot!(tell(Simple::new(Kind::Verbose, manner(Wording::V102)), &interrupted(results, 1)), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        >>> Ctrl-C detected, early abort...
        a/b default: FAIL
        Joining workers
        List of processes:
        Draining queues
        List of processes:

        === a/b ===
        --- stderr ---
        err
        --- stdout ---
        out 1
        out 2
        Command: /v8/out/d8 --test /v8/test/a/b.js --nohard-abort

        ===
        === 1 tests failed
        ===
        >>> 10 base tests produced 1 (10%) non-filtered tests
        >>> 0 tests ran
        ");
    }

    fn silence(kind: Kind, wording: Wording, verbose: bool) -> String {
        let manner = Manner { verbose, ..manner(wording) };
        let seconds = Duration::from_secs;
        let mut events = vec![RunEvent::Started(Arc::new(info(2)))];
        let [first, second] = [case(0, "a/b"), case(1, "a/c")].map(Arc::new);
        events.push(RunEvent::CaseStarted { case: first, run: 1, at: seconds(0) });
        events.push(RunEvent::CaseStarted { case: second, run: 1, at: seconds(1) });
        events.extend((2..=40).map(|second| RunEvent::Tick { at: seconds(second) }));
        events.push(RunEvent::CaseFinished { finished: Arc::new(pass(case(0, "a/b"))), at: seconds(41) });
        events.extend((42..=110).map(|second| RunEvent::Tick { at: seconds(second) }));
        events.push(RunEvent::CaseFinished { finished: Arc::new(pass(case(1, "a/c"))), at: seconds(111) });
        tell(Simple::new(kind, manner), &events)
    }

    #[test]
    fn long_silence_is_broken() {
        insta::assert_snapshot!(silence(Kind::Verbose, Wording::V62, false), @"
        >>> Running tests for x64.release
        Running 2 tests
        Still working...
        Done running a/b: pass
        Still working...
        Still working...
        Done running a/c: pass
        ");
        insta::assert_snapshot!(silence(Kind::Verbose, Wording::V102, false), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        Still working...
        List of processes:
        pid: ? cmd: /v8/out/d8 --test /v8/test/a/b.js --nohard-abort
        pid: ? cmd: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        a/b default: PASS
        Still working...
        List of processes:
        pid: ? cmd: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        Still working...
        List of processes:
        pid: ? cmd: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        a/c default: PASS
        ");
        insta::assert_snapshot!(silence(Kind::Verbose, Wording::V126, true), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        # /v8/out/d8 --test /v8/test/a/b.js --nohard-abort
        # /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        Still working...
        a/b default: PASS
        Still working...
        Still working...
        a/c default: PASS
        ~~~ standard error ~~~
        22:13:51 List of processes:
        22:13:51 pid: ? cmd: /v8/out/d8 --test /v8/test/a/b.js --nohard-abort
        22:13:51 pid: ? cmd: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        22:14:32 List of processes:
        22:14:32 pid: ? cmd: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        22:15:03 List of processes:
        22:15:03 pid: ? cmd: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        ");
        assert!(!silence(Kind::Verbose, Wording::V2015, false).contains("Still working"));
        assert!(!silence(Kind::Dots, Wording::V102, false).contains("Still working"));
    }

    #[test]
    fn ci_prints_the_time_after_a_minute_of_results() {
        let mut events = story((0..130).map(|index| pass(case(index, "a/b"))).collect());
        events.retain(|event| !matches!(event, RunEvent::CaseStarted { .. }));
        insta::assert_snapshot!(tell(Simple::new(Kind::Ci, manner(Wording::V102)), &events), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        2023-11-14 22:14:21
        2023-11-14 22:15:22
        Joining workers
        List of processes:
        Draining queues
        List of processes:

        ===
        === All tests succeeded
        ===
        >>> 10 base tests produced 130 (1300%) non-filtered tests
        >>> 130 tests ran
        ");
    }
}
