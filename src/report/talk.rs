//! The words of our own styles: failures with the command that repeats them, and the summary.
//!
//! Pure. Everything from tests, files and peers is escaped, on a terminal or not: these styles are for people.
//! Readable without colour; V8's words are elsewhere.

use std::time::Duration;

use super::block::not_run;
use super::python::strip;
use super::render::line;
use super::runs::Settled;
use super::untrusted::{Guard, text};
use crate::frontend::status::Actual;
use crate::job::{Captured, Exit, Status};
use crate::run::event::{CaseInfo, Finished, Stop};

/// Lines shown of the beginning of a long output.
const HEAD_LINES: usize = 40;
/// Lines shown of its end.
const TAIL_LINES: usize = 80;
/// Characters shown of one line.
const LINE_LENGTH: usize = 2000;

/// Colours, where wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    /// Whether to use any.
    pub(crate) color: bool,
}

/// What a colour means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// Something failed.
    Bad,
    /// Something is odd.
    Odd,
    /// Less important.
    Dim,
}

impl Voice {
    /// The text in a colour.
    pub(crate) fn say(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Odd => "33",
            Tone::Dim => "2",
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A case that did not end as expected, or did so only in a rerun.
    pub(crate) fn block(self, case: &Settled) -> String {
        let flaky = !case.last().unexpected;
        let run = if flaky { case.first() } else { case.last() };
        let (tone, word) = if flaky { (Tone::Odd, "FLAKY") } else { (Tone::Bad, word(run)) };
        let mut block = format!("{} {}\n", self.say(tone, &format!("{word:<15}")), title(&run.case));
        self.output(run, &mut block);
        if let Some(difference) = run.difference.as_ref().or(run.details.as_ref()) {
            line(&mut block, Guard::Escape.block(strip(difference, false)));
        }
        for (label, words) in facts(case, run) {
            line(&mut block, format_args!("{} {words}", self.say(Tone::Dim, &format!("{label:<9}"))));
        }
        block.push('\n');
        block
    }

    fn output(self, run: &Finished, block: &mut String) {
        for (name, stream) in [("stdout", &run.output.stdout), ("stderr", &run.output.stderr)] {
            let shown = shortened(stream);
            if !shown.is_empty() {
                line(block, self.say(Tone::Dim, &format!("--- {name} ---")));
                line(block, shown);
            }
        }
    }

    /// A run that will be repeated.
    pub(crate) fn retry(self, run: &Finished) -> String {
        let word = self.say(Tone::Odd, &format!("{:<15}", "TRY AGAIN"));
        format!("{word} {}: {} in run {}\n", title(&run.case), word_for(run), run.run)
    }
}

/// What is known of a case beside its output, each with its label.
fn facts(case: &Settled, run: &Finished) -> Vec<(&'static str, String)> {
    let escape = |text: &str| Guard::Escape.line(text).into_owned();
    let mut facts = match run.actual {
        None => vec![("why:", escape(&not_run(run)))],
        Some(_) => vec![("ended:", format!("{}, after {}", ending(run), seconds(run.output.duration)))],
    };
    if case.is_rerun() {
        let words: Vec<&str> = case.all().map(|run| word_for(run)).collect();
        facts.push(("runs:", words.join(", ")));
    }
    if run.actual.is_some() {
        let negative = if run.case.negative { " (a negative test: it passes by failing)" } else { "" };
        facts.push(("expected:", format!("{}{negative}", run.case.expected.join(" or "))));
        facts.extend(run.reason.iter().map(|reason| ("reason:", escape(reason))));
    }
    facts.extend(run.case.why.iter().map(|rule| ("rule:", escape(rule))));
    facts.extend(run.peer.iter().map(|peer| ("ran on:", escape(peer))));
    // A test that has no command line cannot be repeated.
    facts.extend((!run.case.repeat.is_empty()).then(|| ("repeat:", escape(&run.case.repeat))));
    facts
}

/// The word for a run that did not end as expected.
fn word(run: &Finished) -> &'static str {
    match run.actual {
        None => "NOT RUN",
        Some(Actual::Pass) => "UNEXPECTED PASS",
        Some(actual) => actual.name(),
    }
}

fn word_for(run: &Finished) -> &'static str {
    if run.unexpected { word(run) } else { "as expected" }
}

/// How a run ended, in words.
fn ending(run: &Finished) -> String {
    match &run.output.exit {
        Exit::Ended(Status::Code(code)) => format!("exit code {code}"),
        Exit::Ended(Status::Signal(signal)) => format!("signal {signal}{}", name(*signal)),
        Exit::TimedOut(_) => "its time was up".to_owned(),
        Exit::NotStarted(_) | Exit::Lost(_) | Exit::Cancelled => "it was not run".to_owned(),
    }
}

/// Names of the signals that end test shells.
fn name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        5 => " (SIGTRAP)",
        6 => " (SIGABRT)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

/// `suite/name (variant)`, escaped; `default` goes without saying.
pub(crate) fn title(case: &CaseInfo) -> String {
    let name = Guard::Escape.line(&case.name);
    match &*case.variant {
        "" | "default" => name.into_owned(),
        variant => format!("{name} ({})", Guard::Escape.line(variant)),
    }
}

/// A duration for people.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// What is said when the run stops early.
pub(crate) fn stopping(stop: Stop) -> &'static str {
    match stop {
        Stop::Interrupt => "interrupted: ending the tests that run (again to leave at once)",
        Stop::Terminate => "told to terminate: ending the tests that run",
        Stop::TooManyFailures => "too many failures: ending the tests that run",
        Stop::TotalTimeout => "the time for the whole run is up: ending the tests that run",
    }
}

/// Output with its middle left out where it is long.
fn shortened(stream: &Captured) -> String {
    let text = text(stream, false);
    let lines: Vec<&str> = strip(&text, false).lines().collect();
    let cut = |lines: &[&str]| lines.iter().map(|line| cut(line)).collect::<Vec<_>>();
    if lines.len() <= HEAD_LINES + TAIL_LINES {
        return cut(&lines).join("\n");
    }
    let left_out = lines.len() - HEAD_LINES - TAIL_LINES;
    let mut shown = cut(&lines[..HEAD_LINES]);
    shown.push(format!("[{left_out} lines left out]"));
    shown.extend(cut(&lines[lines.len() - TAIL_LINES..]));
    shown.join("\n")
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_LENGTH) {
        None => Guard::Escape.block(line).into_owned(),
        Some((end, _)) => {
            let left_out = line[end..].chars().count();
            format!("{} [{left_out} characters left out]", Guard::Escape.block(&line[..end]))
        }
    }
}
