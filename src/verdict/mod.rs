//! The only judge: check + output -> what happened.
//!
//! Pure: never reads a file, a clock or a process. The expected texts arrive inside the check, the output comes from
//! the backend of whatever machine ran the job; the session counts what is said here.

mod diff;
mod filecheck;
mod lines;
mod message;

use std::path::Path;

use crate::frontend::dialect::{Dialect, Era};
use crate::frontend::discover::{Check, ExitRule};
use crate::frontend::status::Actual;
use crate::job::{Exit, Output, Status};

/// SIGABRT never counts as a crash (reference §5.6).
const SIGABRT: i32 = 6;

/// What a run amounted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What happened; none when the job could not be run (infra, never a verdict).
    pub actual: Option<Actual>,
    /// The process crashed, whatever was expected of it.
    pub crashed: bool,
    /// Where the check found the output to differ.
    pub difference: Option<String>,
    /// What V8 shows in place of standard output (mkgrokdump).
    pub shown: Option<String>,
}

/// Says what a finished job amounts to.
///
/// The order is V8's: a crash, a timeout, then the suite's own check, inverted for negative tests.
pub fn judge(check: &Check, negative: bool, output: &Output, dialect: Dialect) -> Judgement {
    let settled = |actual, crashed| Judgement { actual, crashed, difference: None, shown: None };
    match &output.exit {
        Exit::NotStarted(_) | Exit::Lost(_) | Exit::Cancelled => settled(None, false),
        Exit::TimedOut(_) => settled(Some(Actual::Timeout), false),
        Exit::Ended(Status::Signal(signal)) if *signal != SIGABRT => settled(Some(Actual::Crash), true),
        Exit::Ended(status) => {
            let finding = examine(check, *status, output, dialect);
            let failed = finding.failed != negative;
            let actual = Some(if failed { Actual::Fail } else { Actual::Pass });
            let difference = finding.details.filter(|_| failed);
            Judgement { actual, crashed: false, difference, shown: finding.shown }
        }
    }
}

/// What V8 shows of an unexpected run since 11.x, whatever was wrong with it: how standard output differs from the
/// expectation file, line by line; none where there is no such file or no difference.
pub fn details(check: &Check, file: Option<&Path>, output: &Output) -> Option<String> {
    let (Check::Message { expected, .. } | Check::Lines { expected, .. }) = check else { return None };
    let stdout = String::from_utf8_lossy(&output.stdout.bytes);
    // Python reads files with `\n` for every line end, but splits outputs where any line ends.
    let expected = expected.replace("\r\n", "\n");
    let expected: Vec<&str> = expected.split_inclusive('\n').collect();
    let actual = lines::split_keeping_ends(&stdout);
    let name = file.map(|file| file.display().to_string()).unwrap_or_default();
    let difference = diff::unified(&expected, &actual, &name, "<actual>")?;
    Some(format!("Output does not match expectation:\n{difference}"))
}

/// What a check found in an output.
#[derive(Debug, Default, PartialEq, Eq)]
struct Finding {
    /// The check is not satisfied.
    failed: bool,
    /// How it differs.
    details: Option<String>,
    /// What is shown in place of standard output.
    shown: Option<String>,
}

impl Finding {
    fn failed_if(failed: bool) -> Self {
        Finding { failed, ..Finding::default() }
    }

    fn difference(details: Option<String>) -> Self {
        Finding { failed: details.is_some(), details, shown: None }
    }
}

fn examine(check: &Check, status: Status, output: &Output, dialect: Dialect) -> Finding {
    let exited_zero = status == Status::Code(0);
    let stdout = || String::from_utf8_lossy(&output.stdout.bytes);
    match check {
        Check::ExitCode => Finding::failed_if(!exited_zero),
        Check::Message { exit: ExitRule::Zero, .. } if !exited_zero => Finding::failed_if(true),
        Check::Message { exit: ExitRule::NonZero, .. } if exited_zero => Finding::failed_if(true),
        Check::Message { expected, basename, .. } => {
            Finding::difference(message::difference(expected, basename, &stdout(), dialect))
        }
        Check::Lines { exit: true, .. } if !exited_zero => Finding::failed_if(true),
        Check::Lines { expected, comments, .. } => {
            let stdout = stdout();
            // A webkit test that printed nothing met contradictory flags and gave up at once.
            if *comments && dialect.era >= Era::V13 && stdout.trim().is_empty() {
                return Finding::default();
            }
            Finding::difference(lines::difference(expected, *comments, &stdout, dialect))
        }
        Check::NoFailed => Finding::failed_if(!exited_zero || stdout().contains("FAILED!")),
        Check::Test262 { exception, completes } => {
            Finding::failed_if(test262_failed(exception.as_deref(), *completes, exited_zero, &stdout()))
        }
        Check::Grokdump { expected } => grokdump(expected, &stdout(), dialect),
        Check::AllRun => {
            let text = stdout();
            Finding::failed_if(
                !exited_zero || !text.contains("All tests have run.") || text.contains("FAIL:"),
            )
        }
        Check::FileCheck { must_fail, .. } if *must_fail == exited_zero => Finding::failed_if(true),
        Check::FileCheck { source, .. } => {
            let both = stdout() + String::from_utf8_lossy(&output.stderr.bytes);
            Finding::difference(filecheck::difference(source, &both))
        }
    }
}

/// test262: the exit code, `FAILED!`, the completion of async tests; with `negative.type` also the exception's name
/// (reference §4.8).
fn test262_failed(exception: Option<&str>, completes: bool, exited_zero: bool, stdout: &str) -> bool {
    let incomplete = completes && !stdout.contains("Test262:AsyncTestComplete");
    let wrong_exception = exception.is_some_and(|name| thrown(stdout) != Some(name));
    !exited_zero || stdout.contains("FAILED!") || incomplete || wrong_exception
}

/// The exception that d8 reports as `file:line: Name: …` (`^(?:\w:)?[^:]*:[0-9]+: ([^: ]+?)($|: )`, first match).
fn thrown(stdout: &str) -> Option<&str> {
    stdout.split('\n').find_map(thrown_in_line)
}

fn thrown_in_line(line: &str) -> Option<&str> {
    let after_drive = match line.char_indices().nth(1) {
        Some((at, ':')) if line.starts_with(|c: char| c.is_alphanumeric() || c == '_') => {
            Some(&line[at + 1..])
        }
        _ => None,
    };
    after_drive.and_then(thrown_after_drive).or_else(|| thrown_after_drive(line))
}

fn thrown_after_drive(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(':')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = rest[digits..].strip_prefix(": ").filter(|_| digits > 0)?;
    let name = &rest[..rest.find([':', ' ']).unwrap_or(rest.len())];
    let tail = &rest[name.len()..];
    (!name.is_empty() && (tail.is_empty() || tail.starts_with(": "))).then_some(name)
}

/// mkgrokdump: the lines of the checked-in file, or a build that is not for shipping (reference §4.11). Where a build
/// for shipping differs, V8 shows how instead of the output.
fn grokdump(expected: &str, stdout: &str, dialect: Dialect) -> Finding {
    let lines = |text: &str| -> Vec<String> {
        lines::split(text, dialect).into_iter().map(|line| format!("{line}\n")).collect()
    };
    let (wanted, got) = (lines(expected), lines(stdout));
    if wanted == got || stdout.contains("generated from a non-shipping build") {
        return Finding::default();
    }
    let shown = if stdout.contains("generated from a shipping build") {
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let got: Vec<&str> = got.iter().map(String::as_str).collect();
        diff::unified(&wanted, &got, "expected_path", "")
            .map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned())
    } else {
        Some(format!("Unexpected output:\n\n{stdout}"))
    };
    Finding { failed: true, details: None, shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::dialect::Era;
    use crate::job::Captured;
    use std::time::Duration;

    fn output(exit: Exit, stdout: &str) -> Output {
        Output {
            exit,
            stdout: Captured { bytes: stdout.as_bytes().to_vec(), dropped: 0 },
            stderr: Captured::default(),
            duration: Duration::ZERO,
            max_rss: 0,
        }
    }

    fn actual(check: &Check, negative: bool, exit: Exit, stdout: &str) -> Option<Actual> {
        judge(check, negative, &output(exit, stdout), Dialect::new(Era::V102)).actual
    }

    #[test]
    fn exits_are_told_apart_before_any_check() {
        let check = |exit| actual(&Check::ExitCode, false, exit, "");
        assert_eq!(check(Exit::Ended(Status::Code(0))), Some(Actual::Pass));
        assert_eq!(check(Exit::Ended(Status::Code(1))), Some(Actual::Fail));
        assert_eq!(check(Exit::Ended(Status::Signal(11))), Some(Actual::Crash));
        assert_eq!(check(Exit::Ended(Status::Signal(SIGABRT))), Some(Actual::Fail), "SIGABRT is FAIL");
        assert_eq!(check(Exit::TimedOut(Status::Signal(9))), Some(Actual::Timeout));
        assert_eq!(check(Exit::TimedOut(Status::Code(0))), Some(Actual::Timeout));
        assert_eq!(check(Exit::NotStarted("no such file".into())), None);
        assert_eq!(check(Exit::Lost("slot died".into())), None);
        assert_eq!(check(Exit::Cancelled), None);
    }

    #[test]
    fn negative_inverts_the_check_but_not_crash_or_timeout() {
        let check = |exit| actual(&Check::ExitCode, true, exit, "");
        assert_eq!(check(Exit::Ended(Status::Code(0))), Some(Actual::Fail));
        assert_eq!(check(Exit::Ended(Status::Code(1))), Some(Actual::Pass));
        assert_eq!(check(Exit::Ended(Status::Signal(11))), Some(Actual::Crash));
        assert_eq!(check(Exit::TimedOut(Status::Signal(9))), Some(Actual::Timeout));
    }

    #[test]
    fn the_thrown_exception_is_read_from_the_first_reporting_line() {
        for (line, name) in [
            ("test.js:12: SyntaxError: Unexpected token", Some("SyntaxError")),
            ("test.js:12: Test262Error", Some("Test262Error")),
            ("C:\\a\\test.js:3: TypeError: x", Some("TypeError")),
            ("noise\n/a/b.js:3: RangeError: y\nz.js:1: Error: w", Some("RangeError")),
            ("test.js:12: two words", None),
            ("test.js:x: Error: y", None),
            ("no colon at all", None),
            ("", None),
        ] {
            assert_eq!(thrown(line), name, "{line}");
        }
    }

    #[test]
    fn test262_needs_exit_text_completion_and_exception() {
        let zero = || Exit::Ended(Status::Code(0));
        let plain = Check::Test262 { exception: None, completes: false };
        assert_eq!(actual(&plain, false, zero(), ""), Some(Actual::Pass));
        assert_eq!(actual(&plain, false, zero(), "FAILED!"), Some(Actual::Fail));
        let complete = Check::Test262 { exception: None, completes: true };
        assert_eq!(actual(&complete, false, zero(), ""), Some(Actual::Fail));
        assert_eq!(actual(&complete, false, zero(), "Test262:AsyncTestComplete"), Some(Actual::Pass));
        let throws = Check::Test262 { exception: Some("TypeError".into()), completes: false };
        assert_eq!(actual(&throws, false, zero(), "a.js:1: TypeError: x"), Some(Actual::Pass));
        assert_eq!(actual(&throws, false, zero(), "a.js:1: RangeError: x"), Some(Actual::Fail));
    }

    #[test]
    fn mozilla_fails_on_its_own_word() {
        let zero = || Exit::Ended(Status::Code(0));
        assert_eq!(actual(&Check::NoFailed, false, zero(), "a FAILED! b"), Some(Actual::Fail));
        assert_eq!(actual(&Check::NoFailed, true, zero(), "a FAILED! b"), Some(Actual::Pass));
        assert_eq!(actual(&Check::NoFailed, false, zero(), "fine"), Some(Actual::Pass));
    }

    #[test]
    fn a_grokdump_of_a_non_shipping_build_passes() {
        let check = Check::Grokdump { expected: "a\nb\n".into() };
        let zero = || Exit::Ended(Status::Code(0));
        assert_eq!(actual(&check, false, zero(), "a\nb\n"), Some(Actual::Pass));
        assert_eq!(actual(&check, false, zero(), "a\nc\n"), Some(Actual::Fail));
        assert_eq!(
            actual(&check, false, zero(), "# generated from a non-shipping build"),
            Some(Actual::Pass)
        );
    }

    #[test]
    fn a_blank_line_more_fails_a_grokdump() {
        let check = Check::Grokdump { expected: "a\nb\n".into() };
        assert_eq!(actual(&check, false, Exit::Ended(Status::Code(0)), "a\n\nb\n"), Some(Actual::Fail));
    }

    #[test]
    fn a_wrong_grokdump_is_shown_as_v8_shows_it() {
        let check = Check::Grokdump { expected: "a\nb\n".into() };
        let shown = |text: &str| {
            let output = output(Exit::Ended(Status::Code(0)), text);
            judge(&check, false, &output, Dialect::new(Era::V62)).shown
        };
        assert_eq!(shown("oops\n").unwrap(), "Unexpected output:\n\noops\n");
        let shipping = "a\n# generated from a shipping build\n";
        let difference =
            "--- expected_path\n+++ \n@@ -1,2 +1,2 @@\n a\n-b\n+# generated from a shipping build";
        assert_eq!(shown(shipping).unwrap(), difference);
        assert_eq!(shown("a\nb\n"), None);
    }
}
