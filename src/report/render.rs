//! What a style is: a pure machine from events to text.
//!
//! Input: the events of a run, in order. Output: text for standard output and for standard error. Invariants: text
//! depends on events and configuration only; no clock, no I/O. Does not decide when to write: the printer does.

use std::fmt::Write;

use crate::run::event::RunEvent;

/// Text an event calls for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// For standard output.
    pub(crate) out: String,
    /// For standard error: talk that is no part of the report.
    pub(crate) err: String,
}

impl Text {
    /// Text for standard output only.
    pub(crate) fn out(text: impl Into<String>) -> Self {
        Text { out: text.into(), err: String::new() }
    }

    /// A line for standard error only.
    pub(crate) fn err(line: &str) -> Self {
        Text { out: String::new(), err: format!("{line}\n") }
    }
}

/// A style of telling a run.
pub(crate) trait Render {
    /// The text the next event calls for.
    fn event(&mut self, event: &RunEvent) -> Text;
}

/// Adds a line.
pub(crate) fn line(text: &mut String, line: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
