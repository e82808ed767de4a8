//! Cleaning up, whatever becomes of the lab: a process of its own that waits for the lab's end.
//!
//! It reads standard input; when that ends, because the lab is done, was interrupted or was killed, it removes
//! everything with the lab's label. It leads a process group of its own, so that Ctrl-C does not reach it.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::docker::{Error, Result, remove_all};

/// The hidden first argument.
pub(crate) const ARGUMENT: &str = "--guard";

/// A lab that is watched over.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Watches over a lab of that name from now on.
    pub(crate) fn over(whose: &str) -> Result<Self> {
        let start = |error| Error::Start("the guard".to_owned(), error);
        let program = std::env::current_exe().map_err(start)?;
        let mut command = Command::new(program);
        command.args([ARGUMENT, whose]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().map(Guard).map_err(start)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends after what it removes.
        let _ = self.0.wait();
    }
}

/// The guard's own life.
pub(crate) fn watch(whose: &str) {
    // Nothing is said there; only the end counts.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    remove_all(whose);
}
