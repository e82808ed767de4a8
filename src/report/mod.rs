//! Telling people and programs what happens: sinks of run events.
//!
//! Sees [`RunEvent`]s only, never the session; decides nothing. A style is a pure machine from events to text
//! (`render`); only `printer` and [`file`] write. Text that a test, a file name or a peer made passes
//! [`untrusted`] before it reaches a terminal.

pub mod config;
pub mod untrusted;
pub mod wording;

mod clock;
mod python;

mod fanout;
mod file;
mod printer;
mod render;

mod block;
mod failures;
mod frame;
mod running;
mod runs;

mod bar;
mod compact;
mod none;
mod plain;
mod simple;
mod stream;
mod talk;
mod tally;

mod completion;
mod flakiness;
mod json;
mod junit;
mod schedule_log;
mod slowest;
mod time;

#[cfg(test)]
mod fixture;

use std::io;

pub use config::{Outputs, Probe, ReportConfig, ReportError, Style, Terminal, build, open};
pub use file::{FileError, ReportFile};
pub use wording::Wording;

use crate::run::event::RunEvent;

/// A consumer of run events. One method: everything a sink needs is in the event.
pub trait Sink {
    /// Takes the next event.
    ///
    /// # Errors
    /// When what it writes to fails (full disk, closed pipe).
    fn event(&mut self, event: &RunEvent) -> io::Result<()>;
}
