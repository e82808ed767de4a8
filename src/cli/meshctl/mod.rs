//! `meshctl`, from the words typed to the exit code: the person's hand on this machine's node.
//!
//! Parses, asks the node through its socket, shows the answer. It decides nothing about trust; what works without a
//! node is setting up, showing the own key, starting and reading the log.

mod args;

mod approve;
mod ask;
mod change;
mod failure;
mod files;
mod identity;
mod logs;
mod process;
mod render;
mod setup;
mod show;

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::args::{Args, Command, KeyCommand};
use self::failure::Failure;
use super::words::{Shell, chain};
use crate::local::wire::{Recover, Request};
use crate::node::files::Home;

/// What every command gets.
struct Context {
    home: Home,
    /// The folder of `--home`, absolute.
    given: Option<PathBuf>,
    shell: Shell,
}

/// Runs the program. 0: done; 1: refused or failed; 2: mistyped; 3: no node runs here.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let shell = Shell::of("meshctl");
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return shell.usage(&error),
    };
    let done = context(args.home, shell).and_then(|context| run(&context, args.command));
    done.map_or_else(|error| report(&error), |()| ExitCode::SUCCESS)
}

fn context(home: Option<PathBuf>, shell: Shell) -> Result<Context, Failure> {
    let given = home.map(|home| std::path::absolute(&home).unwrap_or(home));
    Ok(Context { home: Home::find(given.as_deref())?, given, shell })
}

fn report(error: &Failure) -> ExitCode {
    Shell::of("meshctl").error(&chain(error));
    ExitCode::from(error.exit_code())
}

fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Setup(given) => setup::setup(context, &given),
        Command::Start => wait_for(process::start(context)),
        Command::Stop => wait_for(process::stop(context)),
        Command::Restart => wait_for(process::restart(context)),
        Command::Detached => process::become_node(),
        Command::Status { watch: false, listing } => wait_for(show::status(context, listing)),
        Command::Status { watch: true, listing } => wait_for(show::watch(context, listing)),
        Command::Peers { seen: false, listing } => wait_for(show::peers(context, listing)),
        Command::Peers { seen: true, listing } => wait_for(show::seen(context, listing)),
        Command::Why(simple) => wait_for(show::why(context, &simple)),
        Command::Trust(listing) => wait_for(show::trust(context, listing)),
        Command::Audit { lines, head, listing } => wait_for(show::audit(context, lines, head, listing)),
        Command::Key(KeyCommand::Export { output }) => setup::export(context, output.as_deref()),
        Command::Key(KeyCommand::Show(listing)) => setup::show(context, listing),
        Command::Approve(approve) => wait_for(approve::approve(context, &approve)),
        Command::Revoke(revoke) => wait_for(change::revoke(context, &revoke)),
        Command::Retire { certificate: Some(file), yes, listing, .. } => {
            wait_for(change::retire_by_certificate(context, &file, yes, listing))
        }
        Command::Retire { certificate: None, successor, note, yes, listing } => {
            wait_for(change::retire(context, successor, note, yes, listing))
        }
        Command::Forget { who, drop_denials, listing } => {
            let forget = Request::Forget { who: ask::who(&who.who)?, keep_denials: !drop_denials };
            wait_for(change::change(context, "forgotten", forget, listing))
        }
        Command::Block(simple) => wait_for(change::simple(context, "blocked", Request::Block, &simple)),
        Command::Unblock(simple) => wait_for(change::simple(context, "unblocked", Request::Unblock, &simple)),
        Command::Void(simple) => wait_for(change::simple(context, "void", Request::Void, &simple)),
        Command::Unvoid(simple) => {
            wait_for(change::simple(context, "heeded again", Request::Unvoid, &simple))
        }
        Command::Recover { restore: false, fresh: false, listing } => wait_for(show::found(context, listing)),
        Command::Recover { restore, listing, .. } => {
            let how = if restore { Recover::Restore } else { Recover::Fresh };
            wait_for(change::change(context, "recovered", Request::Recover(how), listing))
        }
        Command::Dial { address } => {
            let note = format!("dialling {address}; `meshctl status` shows how it goes");
            wait_for(change::plain(context, Request::Dial { address: address.to_string() }, &note))
        }
        Command::Pause => {
            wait_for(change::plain(context, Request::Pause, "paused: no more jobs of others start"))
        }
        Command::Resume => wait_for(change::plain(context, Request::Resume, "resumed")),
        Command::Reload => wait_for(change::reload(context)),
        Command::Logs { lines, follow } => logs::logs(context, lines, follow),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "meshctl", &mut context.shell.stdout());
            Ok(())
        }
    }
}

/// Runs a command that talks to the node.
fn wait_for(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::Runtime)?.block_on(command)
}
