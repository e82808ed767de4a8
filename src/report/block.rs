//! The block of text that shows a failure, as each generation of V8 words it.
//!
//! Pure. Compact styles show stdout before stderr and the command without the working directory; simple styles the
//! other way round. A job that could not be run is no failure and has words of its own.

use super::python::strip;
use super::render::line;
use super::runs::Settled;
use super::untrusted::{Guard, text};
use super::wording::Wording;
use crate::job::{Captured, Exit, Status};
use crate::run::event::{CaseInfo, Finished};

/// What every block of a style has in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Whose words.
    pub(crate) wording: Wording,
    /// Who reads them.
    pub(crate) guard: Guard,
    /// In V8's colours.
    pub(crate) color: bool,
}

/// The parts of a block that V8 colours.
#[derive(Debug, Clone, Copy)]
enum Part {
    Stdout,
    Stderr,
    Command,
    Failure,
}

impl Look {
    /// `=== suite/name [negative] (flaky) ===`.
    pub(crate) fn header(self, case: &CaseInfo, flaky: bool) -> String {
        let negative = if case.negative { " [negative]" } else { "" };
        let flaky = if flaky { " (flaky)" } else { "" };
        format!("=== {}{negative}{flaky} ===\n", self.guard.line(&case.name))
    }

    /// The block of the compact styles. V8 loses the differences of a case that ran more than once.
    pub(crate) fn compact(self, case: &Settled) -> String {
        let run = case.last();
        let mut block = self.header(&run.case, false);
        for (part, stream) in [(Part::Stdout, &run.output.stdout), (Part::Stderr, &run.output.stderr)] {
            let python2 = self.wording.is_python2();
            let text = text(stream, python2);
            let text = strip(&text, python2);
            if !text.is_empty() {
                line(&mut block, self.paint(part, &self.guard.block(text)));
            }
        }
        if let Some(details) =
            run.details.as_ref().filter(|_| self.wording.shows_details() && !case.is_rerun())
        {
            line(&mut block, self.paint(Part::Failure, &self.guard.block(details)));
        }
        let command =
            if self.wording.sees_each_run() { &run.case.command } else { &run.case.relative_command };
        line(&mut block, self.paint(Part::Command, &format!("Command: {}", self.guard.line(command))));
        for words in self.outcome(run, self.wording.names_failures()) {
            line(&mut block, self.paint(Part::Failure, &words));
        }
        block
    }

    /// The block of the simple styles, below its header.
    pub(crate) fn simple(self, run: &Finished) -> String {
        let mut block = String::new();
        for (name, stream) in [("stderr", &run.output.stderr), ("stdout", &run.output.stdout)] {
            if !stream.bytes.is_empty() {
                line(&mut block, format_args!("--- {name} ---"));
                line(&mut block, self.stripped(stream));
            }
        }
        let relative = self.wording >= Wording::V157;
        let command = if relative { &run.case.relative_command } else { &run.case.command };
        line(&mut block, format_args!("Command: {}", self.guard.line(command)));
        self.outcome(run, false).iter().for_each(|words| line(&mut block, words));
        block
    }

    /// The last lines: how it ended.
    fn outcome(self, run: &Finished, complete: bool) -> Vec<String> {
        if run.actual.is_none() {
            return vec!["--- NOT RUN ---".to_owned(), self.guard.line(&not_run(run)).into_owned()];
        }
        let mut lines = Vec::new();
        if run.crashed {
            lines.push(format!("exit code: {}", self.code(run)));
            lines.push("--- CRASHED ---".to_owned());
        } else if timed_out(run) {
            lines.push("--- TIMEOUT ---".to_owned());
        } else if complete && run.case.marked_fail {
            lines.push("--- UNEXPECTED PASS ---".to_owned());
            lines.extend(run.reason.as_ref().map(|reason| self.guard.line(reason).into_owned()));
        } else if complete {
            lines.push("--- FAILED ---".to_owned());
        }
        lines
    }

    /// `-11`, or `-11 [FFFFFFF5]` where V8 adds the bits.
    fn code(self, run: &Finished) -> String {
        let code = exit_code(&run.output.exit).unwrap_or_default();
        if self.wording.names_failures() { format!("{code} [{code:02X}]") } else { code.to_string() }
    }

    fn stripped(self, stream: &Captured) -> String {
        let python2 = self.wording.is_python2();
        self.guard.block(strip(&text(stream, python2), python2)).into_owned()
    }

    fn paint(self, part: Part, text: &str) -> String {
        let codes = match part {
            Part::Stdout => "1",
            Part::Stderr => "31",
            Part::Command => "33",
            Part::Failure => "1;31",
        };
        // Older generations colour the output only.
        let plain = !self.wording.names_failures() && matches!(part, Part::Command | Part::Failure);
        if !self.color || plain { text.to_owned() } else { format!("\x1b[{codes}m{text}\x1b[0m") }
    }
}

/// Whether a run is shown as a failure. Generations that see each run show every rerun so, whatever came of it.
pub(crate) fn shown_as_failure(run: &Finished, wording: Wording) -> bool {
    run.unexpected || (wording.sees_each_run() && run.run > 1)
}

/// Whether its time was up.
pub(crate) fn timed_out(run: &Finished) -> bool {
    matches!(run.output.exit, Exit::TimedOut(_))
}

/// The exit code as Python gives it: a signal is negative; none where nothing ran.
pub(crate) fn exit_code(exit: &Exit) -> Option<i32> {
    match exit {
        Exit::Ended(Status::Code(code)) | Exit::TimedOut(Status::Code(code)) => Some(*code),
        Exit::Ended(Status::Signal(signal)) | Exit::TimedOut(Status::Signal(signal)) => Some(-signal),
        Exit::NotStarted(_) | Exit::Lost(_) | Exit::Cancelled => None,
    }
}

/// Why a job could not be run.
pub(crate) fn not_run(run: &Finished) -> String {
    match (&run.reason, &run.output.exit) {
        (Some(reason), _) | (None, Exit::NotStarted(reason) | Exit::Lost(reason)) => reason.clone(),
        (None, Exit::Cancelled) => "cancelled".to_owned(),
        (None, Exit::Ended(_) | Exit::TimedOut(_)) => "its result could not be judged".to_owned(),
    }
}
