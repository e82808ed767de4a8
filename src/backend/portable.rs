//! Starting processes on Unix systems other than Linux: the standard library's way.
//!
//! Offers what `spawn` and `orphans` offer on Linux, as far as it goes: a process group instead of a new session, no
//! notice of an exit (the caller asks), no hold on descendants that leave the group or outlive a killed slot.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::io::Errno;
use rustix::process::Signal;

use super::explain::{Stage, StartError};
use super::group::Leader;
use super::process::Ended;
use super::program::Command;
use crate::job::Status;

/// Starts processes.
pub(super) struct Spawner;

/// A process that runs.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    leader: Leader,
}

/// A process and its streams.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Spawner {
    pub(super) fn prepare() -> io::Result<Self> {
        // A session leader already: then there is nothing to leave.
        let _ = rustix::process::setsid();
        Ok(Self)
    }

    pub(super) fn start(&mut self, command: &Command) -> Result<Started, StartError> {
        let failed = |stage, error: &io::Error| {
            StartError::new(stage, Errno::from_io_error(error).unwrap_or(Errno::INVAL))
        };
        let cwd = Path::new(text(&command.cwd));
        std::fs::read_dir(cwd).map_err(|error| failed(Stage::Directory, &error))?;
        let mut process = standard(command, cwd).spawn().map_err(|error| failed(Stage::Execute, &error))?;
        let pipes = process.stdout.take().zip(process.stderr.take());
        let leader = i32::try_from(process.id()).ok().and_then(Leader::new);
        match (pipes, leader) {
            (Some((stdout, stderr)), Some(leader)) => {
                Ok(Started { child: Child { process, leader }, stdout: stdout.into(), stderr: stderr.into() })
            }
            _ => Err(StartError::new(Stage::Pipe, Errno::PIPE)),
        }
    }
}

fn standard(command: &Command, cwd: &Path) -> std::process::Command {
    let mut standard = std::process::Command::new(text(&command.program));
    if let Some((name, arguments)) = command.argv.split_first() {
        standard.arg0(text(name)).args(arguments.iter().map(text));
    }
    let variable = |definition: &CString| {
        let bytes = definition.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&bytes[..at]).to_owned(), OsStr::from_bytes(&bytes[at + 1..]).to_owned()))
    };
    standard
        .env_clear()
        .envs(command.env.iter().filter_map(variable))
        .current_dir(cwd)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    standard
}

fn text(text: &CString) -> &OsStr {
    OsStr::from_bytes(text.as_bytes())
}

impl Child {
    pub(super) fn leader(&self) -> Leader {
        self.leader
    }

    pub(super) fn exit(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Ends what is left of the group together with its leader, because nothing will find it later.
    pub(super) fn reap(&mut self) -> Option<Ended> {
        let status = self.process.try_wait().ok().flatten()?;
        self.leader.signal_group(Signal::KILL);
        Some(Ended { status: status_of(status), max_rss: 0 })
    }
}

fn status_of(status: ExitStatus) -> Status {
    status.signal().map_or_else(|| Status::Code(status.code().unwrap_or(0)), Status::Signal)
}

/// Nothing can be found here that left its group.
pub(super) fn sweep() {}

/// A killed slot takes nothing along here.
pub(super) fn end_session(_slot: i32) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str, cwd: &str) -> Command {
        let text = |text: &str| CString::new(text).unwrap();
        Command {
            program: text("/bin/sh"),
            argv: ["sh", "-c", script].map(text).to_vec(),
            env: vec![text("A=b=c")],
            cwd: text(cwd),
        }
    }

    fn wait(child: &mut Child) -> Status {
        loop {
            if let Some(ended) = child.reap() {
                return ended.status;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_command_runs_in_its_folder_and_environment() {
        let started = Spawner.start(&command("pwd; echo $A; exit 3", "/"));
        let Started { mut child, stdout, .. } = started.unwrap();
        assert_eq!(io::read_to_string(std::fs::File::from(stdout)).unwrap(), "/\nb=c\n");
        assert_eq!(wait(&mut child), Status::Code(3));
    }

    #[test]
    fn a_group_can_be_ended() {
        let started = Spawner.start(&command("kill -STOP $$", "/"));
        let mut child = started.unwrap().child;
        child.leader().signal_group(Signal::KILL);
        assert_eq!(wait(&mut child), Status::Signal(9));
    }

    #[test]
    fn a_missing_folder_is_told_from_a_missing_program() {
        let error = Spawner.start(&command("", "/nowhere")).unwrap_err();
        assert_eq!(error, StartError::new(Stage::Directory, Errno::NOENT));
    }
}
