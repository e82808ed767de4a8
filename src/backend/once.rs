//! A single job, waited for: how a frontend asks a binary for the tests it contains.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use serde_bytes::ByteBuf;

use super::capture;
use super::frame::{Inbox, encode};
use super::launch::{BackendError, Launched, SlotConfig, launch};
use super::process::nothing;
use super::request::{Request, Resolved, Response};
use super::roots::Roots;
use crate::job::{Exit, Job, Ladder, Limits, Output, Status};

/// How long a binary may take to list its tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one job in a slot of its own and waits for it. Never call it from async code.
///
/// # Errors
/// When no slot process can be started; a job that cannot be started is an [`Output`].
pub fn run_once(job: &Job, roots: &Roots, config: &SlotConfig) -> Result<Output, BackendError> {
    match roots.job(job) {
        Ok(resolved) => run_resolved(resolved, config),
        Err(error) => Ok(nothing(Exit::NotStarted(error.to_string()))),
    }
}

fn run_resolved(job: Resolved, config: &SlotConfig) -> Result<Output, BackendError> {
    let mut launched = launch(&config.launcher)?;
    let answered = converse(&mut launched, job, config);
    // The slot ends when its socket closes.
    drop(launched.socket);
    let ended = launched.process.wait();
    match answered {
        Err(BackendError::Talk(_)) if ended.is_ok() => {
            Err(BackendError::Ended(ended.map_or_else(|_| String::new(), |status| format!(": {status}"))))
        }
        answered => answered,
    }
}

fn converse(launched: &mut Launched, job: Resolved, config: &SlotConfig) -> Result<Output, BackendError> {
    let requests = [encode(&Request::Setup(config.setup()))?, encode(&Request::Run(job))?];
    launched.socket.write_all(&requests.concat()).map_err(BackendError::Talk)?;
    let mut inbox = Inbox::default();
    loop {
        match inbox.next()? {
            Some(Response::Ready(_)) => {}
            Some(Response::Refused(why)) => return Err(BackendError::Refused(why)),
            Some(Response::Done(output)) => return Ok(output),
            None => receive(launched, &mut inbox).map_err(BackendError::Talk)?,
        }
    }
}

fn receive(launched: &mut Launched, inbox: &mut Inbox) -> io::Result<()> {
    match rustix::io::retry_on_intr(|| rustix::io::read(&launched.socket, spare_capacity(inbox.room())))? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Why a program did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no slot to run it in.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// It did not start.
    #[error("{0}")]
    NotStarted(String),
    /// It ended other than with exit code 0; the text is the last line it wrote.
    #[error("`{command}` {how}{last}")]
    Failed {
        /// Its command line.
        command: String,
        /// How it ended.
        how: String,
        /// `: ` and its last words, if any.
        last: String,
    },
    /// It answered at greater length than is kept.
    #[error("`{0}` wrote more than {limit} bytes", limit = capture::LARGEST)]
    Endless(String),
}

/// Runs a command and returns what it writes to standard output.
///
/// # Errors
/// When it cannot be started, fails, takes longer than a minute, or writes without end.
pub fn ask(command: &[String], cwd: &Path, config: &SlotConfig) -> Result<String, AskError> {
    let job = Resolved {
        argv: command.iter().map(|word| ByteBuf::from(word.as_bytes())).collect(),
        env: Vec::new(),
        cwd: ByteBuf::from(OsString::from(cwd).into_vec()),
        limits: Limits { wall: PATIENCE, output: capture::LARGEST, ladder: Ladder::Kill },
    };
    let output = run_resolved(job, config)?;
    let words = command.join(" ");
    let how = match &output.exit {
        Exit::Ended(Status::Code(0)) if output.stdout.dropped > 0 => return Err(AskError::Endless(words)),
        Exit::Ended(Status::Code(0)) => {
            return Ok(String::from_utf8_lossy(&output.stdout.bytes).into_owned());
        }
        Exit::Ended(Status::Code(code)) => format!("failed with exit code {code}"),
        Exit::Ended(Status::Signal(signal)) => format!("was ended by signal {signal}"),
        Exit::TimedOut(_) => format!("did not end within {} s", PATIENCE.as_secs()),
        Exit::NotStarted(why) | Exit::Lost(why) => return Err(AskError::NotStarted(why.clone())),
        Exit::Cancelled => "was cancelled".to_owned(),
    };
    Err(AskError::Failed { command: words, how, last: last_words(&output) })
}

fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr.bytes);
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map_or_else(String::new, |line| format!(": {line}"))
}
