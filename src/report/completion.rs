//! The file `ci` appends a line a result to (`--ci-test-completion`), so that something else can follow the run.
//!
//! Input: run events. Output: lines, written as results come. Names are raw: it is a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::Sink;
use super::file::FileError;
use super::runs::Runs;
use super::simple::message;
use super::wording::Wording;
use crate::run::event::RunEvent;

/// The sink.
#[derive(Debug)]
pub(crate) struct Completion {
    file: File,
    wording: Wording,
    runs: Runs,
}

impl Completion {
    /// Appends to the file, making it where there is none.
    pub(crate) fn open(path: &Path, wording: Wording) -> Result<Self, FileError> {
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(|source| FileError::Write { path: path.to_owned(), source })?;
        Ok(Completion { file, wording, runs: Runs::default() })
    }
}

impl Sink for Completion {
    fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        let settled = match event {
            RunEvent::CaseFinished { finished, .. } => self.runs.settle(finished).into_iter().collect(),
            RunEvent::Ended(_) => self.runs.abandon(),
            RunEvent::Started(_)
            | RunEvent::CaseStarted { .. }
            | RunEvent::Tick { .. }
            | RunEvent::Machines { .. }
            | RunEvent::Notice(_)
            | RunEvent::Stopping(_) => Vec::new(),
        };
        let lines = settled.iter().map(|case| message(case, self.wording, str::to_owned));
        lines.into_iter().try_for_each(|line| self.file.write_all(line.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{everything, story};

    #[test]
    fn lines_are_appended_as_results_come() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("completion");
        std::fs::write(&path, "before\n").unwrap();
        let mut sink = Completion::open(&path, Wording::V102).unwrap();
        let events = story(everything());
        events[..5].iter().for_each(|event| sink.event(event).unwrap());
        insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap(), @"
        before
        mjsunit/good default: PASS
        mjsunit/bad default: FAIL
        ");
    }
}
