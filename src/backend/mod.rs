//! RUNS one job. The same code on the client and on every node; knows nothing of tests, verdicts or who asked.
//!
//! A job becomes a process in four steps. [`Roots`] turns its paths into this machine's ([`Resolved`]). A [`Slot`]
//! hands it, as one frame over a socket pair, to a slot process: a small re-exec of this program ([`slot_main`]) that
//! runs one job after another and is never large enough for starting a process to become slow. The slot starts the
//! program without a shell, captures both streams up to a cap, ends the whole process group when its time is up, and
//! leaves no descendant behind. What became of it comes back as an [`Output`](crate::job::Output).
//!
//! When the socket closes, because its owner ended or was killed, the slot ends what it runs and exits; when the slot
//! itself is killed, the system ends its child. Whatever keeps a job from starting is an
//! [`Exit::NotStarted`](crate::job::Exit::NotStarted), never an error of the caller.

mod environment;
mod roots;

mod contain;
#[cfg(target_os = "linux")]
mod lockdown;
mod probe;

mod client;
mod launch;
mod once;

mod frame;
mod request;
mod slot;

mod capture;
mod course;
mod explain;
mod group;
mod loader;
mod process;
mod program;

mod workspace;

#[cfg(target_os = "linux")]
mod orphans;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", expect(dead_code, reason = "compiled on Linux for its tests only"))]
mod portable;
#[cfg(target_os = "linux")]
mod spawn;

pub use client::Slot;
pub use contain::{Containment, Tier};
pub use environment::Environment;
pub use launch::{BackendError, Launcher, SlotConfig};
pub use once::{AskError, ask, run_once};
pub use probe::{PROBE_ARGUMENT, Targets, probe_main};
pub use request::Resolved;
pub use roots::{RootError, Roots};
pub use slot::{SLOT_ARGUMENT, slot_main};
pub use workspace::{Workspace, WorkspaceError, Workspaces};
