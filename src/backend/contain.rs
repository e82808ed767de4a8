//! What the jobs of other people may touch on this machine, and how strongly that is enforced.
//!
//! A slot takes its [`Containment`] on once, before its first job; everything it starts inherits it. The enforcing is
//! `lockdown`'s; whether it really holds is for the [`probe`](super::probe) to say. Decides nothing about who may run
//! what.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How strongly a slot is contained, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Process group, limits and a clean environment only.
    Open,
    /// Landlock of a kernel that cannot keep signals and abstract sockets inside, or no seccomp: shown as `1-`.
    Partial,
    /// Landlock with scopes, and seccomp.
    Contained,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Open => "0",
            Tier::Partial => "1-",
            Tier::Contained => "1",
        })
    }
}

/// What the jobs of a contained slot may touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containment {
    /// Folders and files to read and execute, beyond the system's own.
    pub readable: Vec<PathBuf>,
    /// The folder to write to; emptied after each job. It is also every job's `HOME` and `TMPDIR`.
    pub scratch: PathBuf,
}

/// Why a slot could not contain itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContainError {
    /// No folder for the jobs' own files.
    #[error("scratch folder `{}` cannot be made: {source}", .path.display())]
    Scratch { path: PathBuf, source: io::Error },
    /// The system refused a protection that it offers.
    #[error("{what}: {why}")]
    Refused { what: &'static str, why: String },
}

impl Containment {
    /// The same for slot number `index`: each has a scratch folder of its own.
    #[must_use]
    pub(super) fn of_slot(mut self, index: usize) -> Self {
        self.scratch = self.scratch.join(index.to_string());
        self
    }

    /// Takes the protection on, for this process and all it starts, for ever.
    pub(super) fn enter(&self) -> Result<Tier, ContainError> {
        let failed = |source| ContainError::Scratch { path: self.scratch.clone(), source };
        std::fs::create_dir_all(&self.scratch).map_err(failed)?;
        self.empty_scratch();
        #[cfg(target_os = "linux")]
        return super::lockdown::enter(self);
        #[cfg(not(target_os = "linux"))]
        return Ok(Tier::Open);
    }

    /// Removes what the last job left, so that no job meets another's files.
    pub(super) fn empty_scratch(&self) {
        empty(&self.scratch);
    }
}

/// Removes what is inside a folder, as far as possible; what stays is the owner's to see in the next job's failure.
fn empty(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _ = if is_folder {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
    }
}
