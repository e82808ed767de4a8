//! Starts slot processes.
//!
//! A slot process is this program again, started without touching the memory of its owner, however large that is.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::contain::Containment;
use super::environment::Environment;
use super::frame::FrameError;
#[cfg(target_os = "linux")]
use super::orphans::end_session;
#[cfg(not(target_os = "linux"))]
use super::portable::end_session;
use super::request::Setup;
use super::slot::SLOT_ARGUMENT;

/// How slots are started and what their jobs find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotConfig {
    /// What every job's environment starts from.
    pub environment: Environment,
    /// What is started.
    pub launcher: Launcher,
    /// Protection for jobs of others; none: the jobs are this account's own.
    pub containment: Option<Containment>,
}

impl SlotConfig {
    /// Slots that are re-execs of this program.
    pub fn new(environment: Environment) -> Self {
        Self { environment, launcher: Launcher::this_program(), containment: None }
    }

    /// Slots for jobs of others.
    #[must_use]
    pub fn contained(mut self, containment: Containment) -> Self {
        self.containment = Some(containment);
        self
    }

    /// The same for slot number `index`: a contained slot has a scratch folder of its own, the home of its jobs.
    #[must_use]
    pub fn of_slot(&self, index: usize) -> Self {
        let Some(containment) = self.containment.clone() else { return self.clone() };
        let containment = containment.of_slot(index);
        let environment =
            self.environment.clone().with("HOME", &containment.scratch).with("TMPDIR", &containment.scratch);
        Self { environment, containment: Some(containment), launcher: self.launcher.clone() }
    }

    pub(super) fn setup(&self) -> Setup {
        Setup { environment: self.environment.clone(), containment: self.containment.clone() }
    }
}

/// A program whose `main` calls [`slot_main`](super::slot_main) when its arguments are these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Launcher {
    /// This program, even when its file has been replaced since it started.
    pub fn this_program() -> Self {
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_default()
        };
        Self { program, arguments: vec![SLOT_ARGUMENT.into()] }
    }
}

/// Why no job can be run at all.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The process that runs the jobs did not start.
    #[error("cannot start slot process `{}`", .program.display())]
    Launch {
        /// What was started.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It started and is not what it should be.
    #[error("cannot talk to a slot process")]
    Talk(#[source] io::Error),
    /// It says that it cannot run jobs.
    #[error("slot process cannot run jobs: {0}")]
    Refused(String),
    /// It ended.
    #[error("slot process ended unexpectedly{0}")]
    Ended(String),
}

impl From<FrameError> for BackendError {
    fn from(error: FrameError) -> Self {
        Self::Talk(io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }
}

/// A slot process and the owner's end of its socket.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) process: Child,
    pub(super) socket: UnixStream,
}

pub(super) fn launch(launcher: &Launcher) -> Result<Launched, BackendError> {
    let failed = |source| BackendError::Launch { program: launcher.program.clone(), source };
    let (socket, its_end) = UnixStream::pair().map_err(failed)?;
    let process = Command::new(&launcher.program)
        .args(&launcher.arguments)
        .stdin(Stdio::from(OwnedFd::from(its_end)))
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    Ok(Launched { process, socket })
}

/// Makes sure that a slot process that closed its socket, or does not answer, has ended, and what it ran with it. Says
/// how it ended: `: signal: 9 (SIGKILL)`. May take a moment.
pub(super) fn bury(mut process: Child) -> String {
    // One that has ended is not there to be killed.
    let _ = process.kill();
    let status = process.wait();
    if !status.as_ref().is_ok_and(ExitStatus::success)
        && let Ok(id) = i32::try_from(process.id())
    {
        end_session(id);
    }
    status.map_or_else(|_| String::new(), |status| format!(": {status}"))
}
