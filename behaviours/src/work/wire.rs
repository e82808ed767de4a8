//! What a job is and what became of it, in the form that travels.
//!
//! Made by the client's frontend, read by the backend that runs it, here or on another machine.
//! A job names files relative to a [`Root`]; the backend puts the roots in, so that on the submitting machine the
//! command line is byte for byte V8's and on a peer only the roots differ. Nothing here knows what a test is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which job of which run, and the how-manieth try, so that a late answer is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// Chosen at random by the client for one run.
    pub run: u64,
    /// Counts the jobs of a run from 0.
    pub sequence: u32,
    /// Counts the times this job was handed out, from 0.
    pub attempt: u16,
}

/// A directory that the machine running the job puts in front of a relative path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Root {
    /// The checkout under test.
    Workspace,
    /// The build directory with the shell and its data files.
    Build,
    /// This project's own program, which holds the embedded engine: a file, so the path below it is empty.
    Program,
}

/// A file below a [`Root`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RootedPath {
    /// The directory it is relative to.
    pub root: Root,
    /// `/`-separated, relative, without `..`; empty for the root itself.
    pub path: String,
}

/// One argument or environment value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arg {
    /// Passed as it is.
    Text(String),
    /// The absolute path of a file.
    Path(RootedPath),
    /// The path of a workspace file as seen from the working directory (V8 of 2025 passes files so).
    Relative(RootedPath),
    /// A path inside a longer text, such as `TEST_FILE_NAME="…"`.
    Within {
        /// What stands before the path.
        before: String,
        /// The file.
        path: RootedPath,
        /// What stands behind it.
        after: String,
    },
}

/// How a process group is ended when its time is up (V8's ladder, by era).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ladder {
    /// SIGKILL at once (6.2, 10.2).
    Kill,
    /// SIGTERM, 100 ms, SIGKILL (2015 and newest).
    TermThenKill,
}

/// What one job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall time from start to the kill ladder.
    pub wall: Duration,
    /// Bytes kept of each stream; what comes after is counted, read and dropped.
    pub output: u64,
    /// How the group is ended.
    pub ladder: Ladder,
}

/// One process to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Which one.
    pub id: JobId,
    /// Program and arguments; the first names the program (a bare name is looked up in `PATH`).
    pub argv: Vec<Arg>,
    /// Set on top of the environment the backend offers.
    pub env: Vec<(String, Arg)>,
    /// Working directory.
    pub cwd: RootedPath,
    /// Bounds.
    pub limits: Limits,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// By itself, with this exit code (0..=255 on POSIX).
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Every way a job can come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It ran to its end.
    Ended(Status),
    /// Its time was up and the ladder ended it.
    TimedOut(Status),
    /// It could not be started; the text is the system's reason. Infra, never a verdict.
    NotStarted(String),
    /// The machine or slot that ran it is gone. Infra, never a verdict.
    Lost(String),
    /// Ended because the client asked.
    Cancelled,
}

/// The kept beginning of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// At most [`Limits::output`] bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// How many more there were.
    pub dropped: u64,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// From before the start to after the wait.
    pub duration: Duration,
    /// Largest resident set of the process in bytes; 0 where unknown.
    pub max_rss: u64,
}
