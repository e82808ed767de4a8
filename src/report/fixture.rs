//! Runs to tell in tests: cases, results, and the events they make.

use std::sync::Arc;
use std::time::Duration;

use super::Sink;
use super::block::Look;
use super::file::ReportFile;
use super::frame::Manner;
use super::render::Render;
use super::untrusted::Guard;
use super::wording::Wording;
use crate::frontend::dialect::{Dialect, Era};
use crate::frontend::status::Actual;
use crate::job::{Captured, Exit, Output, Status};
use crate::run::event::{CaseInfo, Finished, RunEvent, RunInfo, Stop, Summary};

/// A case that is expected to pass.
pub(crate) fn case(index: u32, name: &str) -> CaseInfo {
    let arguments = vec!["--test".to_owned(), format!("/v8/test/{name}.js"), "--nohard-abort".to_owned()];
    CaseInfo {
        index,
        name: name.to_owned(),
        variant: "default".to_owned(),
        variant_flags: vec![],
        test_flags: vec![],
        command: format!("/v8/out/d8 {}", arguments.join(" ")),
        relative_command: format!("out/d8 --test test/{name}.js --nohard-abort"),
        repeat: format!("cd /v8 && out/d8 --test test/{name}.js --nohard-abort"),
        arguments,
        shell: "d8".to_owned(),
        expected: vec!["PASS"],
        negative: false,
        marked_fail: false,
        slow: false,
        heavy: false,
        random_seed: 7,
        why: vec![],
    }
}

/// Output of a process that ended so after a tenth of a second.
pub(crate) fn output(exit: Exit, stdout: &str, stderr: &str) -> Output {
    let stream = |text: &str| Captured { bytes: text.as_bytes().to_vec(), dropped: 0 };
    Output {
        exit,
        stdout: stream(stdout),
        stderr: stream(stderr),
        duration: Duration::from_millis(125),
        max_rss: 0,
    }
}

fn finished(case: CaseInfo, output: Output, actual: Option<Actual>, unexpected: bool) -> Finished {
    Finished {
        case: Arc::new(case),
        run: 1,
        reruns: false,
        output: Arc::new(output),
        actual,
        unexpected,
        crashed: actual == Some(Actual::Crash),
        reason: None,
        details: None,
        difference: None,
        peer: None,
    }
}

/// It passed, as expected.
pub(crate) fn pass(case: CaseInfo) -> Finished {
    finished(case, output(Exit::Ended(Status::Code(0)), "fine\n", ""), Some(Actual::Pass), false)
}

/// It failed with output on both streams.
pub(crate) fn fail(case: CaseInfo) -> Finished {
    let output = output(Exit::Ended(Status::Code(1)), "\nout 1\nout 2\n", "err\n");
    finished(case, output, Some(Actual::Fail), true)
}

/// It crashed without a word.
pub(crate) fn crash(case: CaseInfo) -> Finished {
    finished(case, output(Exit::Ended(Status::Signal(11)), "", ""), Some(Actual::Crash), true)
}

/// It ran too long.
pub(crate) fn timeout(case: CaseInfo) -> Finished {
    finished(case, output(Exit::TimedOut(Status::Signal(9)), " \n", "slow\n"), Some(Actual::Timeout), true)
}

/// It passed though it is marked FAIL.
pub(crate) fn unexpected_pass(case: CaseInfo) -> Finished {
    let case = CaseInfo { marked_fail: true, expected: vec!["FAIL"], ..case };
    let output = output(Exit::Ended(Status::Code(0)), "fine\n", "");
    finished(case, output, Some(Actual::Pass), true)
}

/// It could not be started.
pub(crate) fn not_run(case: CaseInfo) -> Finished {
    finished(case, output(Exit::NotStarted("d8: no such file".to_owned()), "", ""), None, true)
}

/// The runs of one case in order: each but the last is followed by another.
pub(crate) fn reruns(runs: Vec<Finished>) -> Vec<Finished> {
    let last = runs.len();
    let number = |(index, run): (usize, Finished)| Finished {
        run: u32::try_from(index + 1).unwrap(),
        reruns: index + 1 < last,
        ..run
    };
    runs.into_iter().enumerate().map(number).collect()
}

/// What is run, for so many cases.
pub(crate) fn info(cases: usize) -> RunInfo {
    RunInfo {
        dialect: Dialect::new(Era::V102),
        arch: "x64".to_owned(),
        mode: "release".to_owned(),
        mode_flags: vec!["--nohard-abort".to_owned()],
        cases,
        base_tests: cases,
        listed: 10,
        slots: 2,
        workspace: "/v8".to_owned(),
        epoch: Duration::from_secs(1_700_000_000),
    }
}

/// One result a second, and the end a second after the last.
pub(crate) fn story(results: Vec<Finished>) -> Vec<RunEvent> {
    let cases = results.iter().filter(|run| run.run == 1).count();
    let mut events = vec![RunEvent::Started(Arc::new(info(cases)))];
    let end = Duration::from_secs(results.len() as u64 + 1);
    let summary = summary(&results, end);
    for (second, run) in (1..).zip(results) {
        let (at, start) = (Duration::from_secs(second), Duration::from_secs(second - 1));
        events.push(RunEvent::CaseStarted { case: run.case.clone(), run: run.run, at: start });
        events.push(RunEvent::CaseFinished { finished: Arc::new(run), at });
    }
    events.push(RunEvent::Ended(Arc::new(summary)));
    events
}

/// The story, stopped by Ctrl-C after so many results.
pub(crate) fn interrupted(results: Vec<Finished>, after: usize) -> Vec<RunEvent> {
    let all = results.len();
    let mut events = story(results.into_iter().take(after).collect());
    let Some(RunEvent::Ended(summary)) = events.pop() else { unreachable!("a story ends") };
    events.push(RunEvent::Stopping(Stop::Interrupt));
    events.push(RunEvent::Ended(Arc::new(Summary {
        stop: Some(Stop::Interrupt),
        remaining: all - after,
        nothing_compared: false,
        ..(*summary).clone()
    })));
    events
}

fn summary(results: &[Finished], elapsed: Duration) -> Summary {
    let last = || results.iter().filter(|run| !run.reruns);
    let count = |holds: fn(&Finished) -> bool| last().filter(|run| holds(run)).count();
    Summary {
        stop: None,
        runs: results.len(),
        passed: count(|run| !run.unexpected),
        failed: count(|run| run.unexpected && run.actual.is_some()),
        flaky: count(|run| !run.unexpected && run.run > 1),
        infra: count(|run| run.actual.is_none()),
        remaining: 0,
        nothing_compared: false,
        elapsed,
    }
}

/// The usual manner of a generation, off a terminal.
pub(crate) fn manner(wording: Wording) -> Manner {
    let look = Look { wording, guard: Guard::Exact, color: false };
    Manner { look, verbose: false, preface: vec![], utc_offset: 0 }
}

/// Everything a style says of a story: its output with cursor movement made visible, then standard error.
pub(crate) fn tell(mut style: impl Render, events: &[RunEvent]) -> String {
    let (mut out, mut err) = (String::new(), String::new());
    for event in events {
        let text = style.event(event);
        out.push_str(&text.out);
        err.push_str(&text.err);
    }
    let separator = if err.is_empty() { "" } else { "~~~ standard error ~~~\n" };
    visible(&(out + separator + &err))
}

/// Returns, escapes and overrides of direction as visible characters.
pub(crate) fn visible(text: &str) -> String {
    text.replace('\r', "␍").replace('\x1b', "␛").replace('\u{202e}', "⟲")
}

/// One of everything.
pub(crate) fn everything() -> Vec<Finished> {
    let mut results = vec![
        pass(case(0, "mjsunit/good")),
        fail(case(1, "mjsunit/bad")),
        crash(CaseInfo { variant: "stress".to_owned(), ..case(2, "mjsunit/crash") }),
        timeout(case(3, "mjsunit/slow")),
        unexpected_pass(case(4, "mjsunit/better")),
        fail(CaseInfo { negative: true, ..case(5, "message/negative") }),
        not_run(case(6, "mjsunit/lost")),
    ];
    results.extend(reruns(vec![fail(case(7, "mjsunit/flaky")), pass(case(7, "mjsunit/flaky"))]));
    results
}

/// Results with names that are long, that are not ASCII, and that are meant to steer a terminal.
pub(crate) fn names() -> Vec<Finished> {
    let long = format!("mjsunit/{}", "long-".repeat(20));
    let hostile = "mjsunit/\u{1b}[2Jclear\u{202e}nrut";
    vec![pass(case(0, &long)), pass(case(1, "mjsunit/ünïcödé-😀")), fail(case(2, hostile))]
}

/// What a file sink leaves in a file that held something before.
pub(crate) fn filed<S: Sink>(
    make: impl FnOnce(ReportFile) -> S,
    before: &str,
    events: &[RunEvent],
) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report");
    if !before.is_empty() {
        std::fs::write(&path, before).unwrap();
    }
    let mut sink = make(ReportFile::open(&path).unwrap());
    events.iter().for_each(|event| sink.event(event).unwrap());
    std::fs::read_to_string(&path).unwrap()
}
