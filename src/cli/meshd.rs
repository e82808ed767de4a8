//! `meshd`: the node of a machine, in the foreground.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use super::words::{Shell, chain};
use crate::node::files::{HOME_VARIABLE, Home};
use crate::node::start;

/// The argument that makes any of the programs a node.
pub const MESHD_ARGUMENT: &str = "--meshd";

/// The argument that makes a node end with whoever started it.
pub const WATCH_ARGUMENT: &str = "--while-stdin-is-open";

/// What is logged unless told otherwise.
const DEFAULT_LOG: &str = "info,libp2p=warn,libp2p_mdns=error,libp2p_gossipsub=error";

/// The node of this machine: meets others on the LAN, runs tests for those it trusts.
#[derive(Debug, Parser)]
#[command(name = "meshd", version)]
struct Args {
    /// Folder with everything of the node (default: this account's folders).
    #[arg(long, env = HOME_VARIABLE, value_name = "DIR")]
    home: Option<PathBuf>,
    /// What to log, such as `debug` or `info,libp2p=debug`.
    #[arg(long, default_value = DEFAULT_LOG, value_name = "FILTER")]
    log: String,
    /// End when standard input is closed, as it is when the starting program ends.
    #[arg(long, hide = true)]
    while_stdin_is_open: bool,
}

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let shell = Shell::of("meshd");
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return shell.usage(&error),
    };
    let filter = match EnvFilter::try_new(&args.log) {
        Ok(filter) => filter,
        Err(error) => {
            shell.error(&format!("--log {}: {error}", args.log));
            return ExitCode::from(2);
        }
    };
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell.error(&chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let home = Home::find(args.home.as_deref())?;
    // One thread for what decides, one so that bulk data and encryption do not hold it up.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let watched = args.while_stdin_is_open;
    let end = async move {
        if watched {
            closed().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    // On the runtime's own threads: from a third one, every event of the network would cost a switch of threads.
    runtime.block_on(runtime.spawn(async move { start::run(&home, end).await }))??;
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    Ok(())
}

/// Waits until standard input ends.
async fn closed() {
    let ended = tokio::task::spawn_blocking(|| {
        // Nothing is said there; whatever it is, only the end counts.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    });
    let _ = ended.await;
}
