//! Telling people and programs what happens: sinks of run events.
//!
//! Sees [`RunEvent`]s only, never the session; decides nothing.

use std::io;

use crate::run::event::RunEvent;

/// A consumer of run events. One method: everything a sink needs is in the event.
pub trait Sink {
    /// Takes the next event.
    ///
    /// # Errors
    /// When what it writes to fails (full disk, closed pipe).
    fn event(&mut self, event: &RunEvent) -> io::Result<()>;
}
