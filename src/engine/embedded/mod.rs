//! The embedded engine: QuickJS as a d8-like shell, so that a machine with nothing else installed can run tests.
//!
//! One process a test, like any shell. Flags it does not know are ignored, as they are V8's; `%Natives` are a syntax
//! error to QuickJS, and there are no realms, workers or WebAssembly.

#![expect(clippy::print_stdout, clippy::print_stderr, clippy::exit, reason = "this is a program of its own")]

mod command;
mod shell;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the shell with what stands behind its name on the command line.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let arguments = arguments.into_iter().map(|text| text.to_string_lossy().into_owned());
    let command = command::Command::parse(arguments);
    // Every group runs, also after one that failed.
    let results: Vec<bool> = command.groups.iter().map(|group| shell::run(group, &command)).collect();
    let success = results.into_iter().all(|success| success);
    ExitCode::from(u8::from(success == command.throws))
}
