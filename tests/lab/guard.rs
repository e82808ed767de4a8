//! Cleaning up, whatever becomes of the lab: a process of its own that waits for the lab's end.
//!
//! It reads standard input; when that ends, because the lab is done, was interrupted or was killed, it removes
//! everything with the lab's label. It leads a process group of its own, so that Ctrl-C does not reach it. A guard that
//! was killed, too, is made up for by the next lab.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::docker::{Error, Result, remove_all};

/// The hidden first argument.
pub(crate) const ARGUMENT: &str = "--guard";

/// What a lab says that came to its end: nothing of it is on the way any more.
const DONE: &str = "done";

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
        if let Some(mut said) = self.0.stdin.take() {
            // A guard that is gone hears nothing; the next lab cleans up.
            let _ = said.write_all(DONE.as_bytes());
        }
        // It ends after what it removes.
        let _ = self.0.wait();
    }
}

/// The guard's own life; whether everything could be removed.
pub(crate) fn watch(whose: &str) -> bool {
    let mut said = String::new();
    // Whatever can be read; only a whole word counts.
    let _ = io::stdin().read_to_string(&mut said);
    let failed = remove_all(whose, said != DONE);
    failed.iter().for_each(|words| eprintln!("lab: not removed: {words}"));
    failed.is_empty()
}
