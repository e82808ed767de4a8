//! What the owner of a slot and the slot process say to each other.
//!
//! The two are the same program, so these types need no versions. Texts are bytes, because an argument of a Unix
//! process need not be UTF-8.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::contain::{Containment, Tier};
use super::environment::Environment;
use crate::job::{Limits, Output};

/// A job in this machine's paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Program and arguments; a program without a slash is looked up in `PATH`.
    pub argv: Vec<ByteBuf>,
    /// Set on top of the slot's environment.
    pub env: Vec<(ByteBuf, ByteBuf)>,
    /// Working directory, absolute.
    pub cwd: ByteBuf,
    /// Bounds.
    pub limits: Limits,
}

/// What holds for all jobs of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setup {
    /// What every job's environment starts from.
    pub(super) environment: Environment,
    /// Protection to take on before the first job.
    pub(super) containment: Option<Containment>,
}

/// To the slot.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Comes first; answered by [`Response::Ready`] or [`Response::Refused`].
    Setup(Setup),
    /// Run this; answered by [`Response::Done`]. At most one at a time.
    Run(Resolved),
    /// End what runs. Not answered by itself; ignored when nothing runs.
    Cancel,
}

/// From the slot.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    /// The slot can run jobs, contained so far.
    Ready(Tier),
    /// It cannot, and why.
    Refused(String),
    /// What became of the job.
    Done(Output),
}
