//! Starting and stopping the node of this home.
//!
//! A node started here runs apart from the terminal, in a session of its own, with its words in the log file. Whether
//! one runs is told by its lock, whether it is ready by its socket.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::process::{Pid, Signal, kill_process, setsid};

use super::failure::Failure;
use super::{Context, ask, logs};
use crate::cli::meshd::MESHD_ARGUMENT;
use crate::local::client::ClientError;
use crate::local::wire::{Reply, Request};
use crate::node::files::{HOME_VARIABLE, Running};

/// How long a node may take until it answers: it reads its files and tries its containment.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// How long a node may take to end: it lets peers know and kills what it runs.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes a log may have when a node starts: more than a node says in months.
const LOG_MAX: u64 = 8 << 20;
/// Lines of the log shown when a node ends at once.
const LAST_WORDS: usize = 10;

/// `meshctl start`.
pub(super) async fn start(context: &Context) -> Result<(), Failure> {
    if let Ok(client) = ask::connect(context).await {
        context.shell.note(&format!("the node runs already (process {})", client.node().pid));
        return Ok(());
    }
    // Errors a person can mend come from here, not from a log.
    context.home.settings()?;
    context.home.cookie()?;
    context.home.check_socket()?;
    context.home.make_folders()?;
    let log = open_log(context)?;
    let before = logs::length(&context.home.log_file());
    let mut child = spawn(context, log)?;
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if let Ok(client) = ask::connect(context).await {
            context.shell.note(&format!("the node runs (process {})", client.node().pid));
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            let log = logs::tail(&context.home.log_file(), before, LAST_WORDS).unwrap_or_default();
            return Err(Failure::Died { status, log: log.trim_end().to_owned() });
        }
        if Instant::now() > deadline {
            return Err(Failure::Slow { pid: child.id() });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// This program again, which becomes the node: only a process that leads no group can leave the session.
fn spawn(context: &Context, log: File) -> Result<Child, Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(|source| Failure::Start { program: "meshctl".into(), source })?;
    let copy = log.try_clone().map_err(|source| Failure::Write { file: context.home.log_file(), source })?;
    let mut command = Command::new(&program);
    // The log is a file: colours would be noise.
    command.env("NO_COLOR", "1");
    // The file may be called otherwise: one file with three names.
    command.arg0("meshctl").arg("detached").stdin(Stdio::null()).stdout(copy).stderr(log).current_dir("/");
    if let Some(home) = &context.given {
        command.env(HOME_VARIABLE, home);
    }
    command.spawn().map_err(|source| Failure::Start { program, source })
}

/// The log, to be added to. One that has grown becomes the one before it; older ones are gone.
fn open_log(context: &Context) -> Result<File, Failure> {
    let path = context.home.log_file();
    if logs::length(&path) > LOG_MAX {
        let rotated = fs_err::rename(&path, path.with_extension("log.1"));
        rotated.map_err(|source| Failure::Write { file: path.clone(), source })?;
    }
    let file = fs_err::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    file.map(|file| file.into_parts().0).map_err(|source| Failure::Write { file: path, source })
}

/// `meshctl detached`: leaves the terminal and becomes `meshd`.
pub(super) fn become_node() -> Result<(), Failure> {
    // A leader of a group cannot; then there is no terminal to leave, or the caller wants it so.
    let _ = setsid();
    let mut node = node()?;
    let source = node.exec();
    Err(Failure::Start { program: node.get_program().into(), source })
}

/// `meshd` beside this program, else this program in its place.
fn node() -> Result<Command, Failure> {
    let own = std::env::current_exe();
    let own = own.map_err(|source| Failure::Start { program: "meshctl".into(), source })?;
    let beside = own.with_file_name("meshd");
    if beside.is_file() {
        return Ok(Command::new(beside));
    }
    let mut node = Command::new(own);
    node.arg(MESHD_ARGUMENT);
    Ok(node)
}

/// `meshctl stop`.
pub(super) async fn stop(context: &Context) -> Result<(), Failure> {
    let Some(running) = running(context)? else {
        return Err(Failure::NotRunning(context.home.live_socket()));
    };
    end(context, running).await?;
    context.shell.note("the node has stopped");
    Ok(())
}

/// `meshctl restart`: also starts a node that does not run.
pub(super) async fn restart(context: &Context) -> Result<(), Failure> {
    if let Some(running) = running(context)? {
        end(context, running).await?;
    }
    start(context).await
}

fn running(context: &Context) -> Result<Option<Running>, Failure> {
    Ok(context.home.running()?)
}

/// Asks the node to stop, by its socket or else by a signal, and waits until its lock is free.
async fn end(context: &Context, running: Running) -> Result<(), Failure> {
    if ask_to_stop(context).await.is_err() {
        let pid = running.pid.and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    let deadline = Instant::now() + STOP_PATIENCE;
    while context.home.running()?.is_some() {
        if Instant::now() > deadline {
            return Err(Failure::Stubborn { pid: running.pid.unwrap_or_default() });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn ask_to_stop(context: &Context) -> Result<(), Failure> {
    let mut client = ask::connect_to_change(context).await?;
    match client.ask(Request::Stop).await {
        Ok(Reply::Ok) | Err(ClientError::Closed) => Ok(()),
        Ok(_) => Err(ClientError::Confused.into()),
        Err(error) => Err(error.into()),
    }
}
