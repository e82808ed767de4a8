//! Arguments, words and exit codes of the programs. The only part that prints or exits.

pub mod lab;
pub mod meshctl;
pub mod meshd;
pub mod run_tests;
pub mod words;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Any of the programs: what its name says, else what it was built for; with a hidden first argument one of those it
/// starts. So a program finds the others in its own file, and one file with three names is enough.
pub fn program(main: fn(Vec<OsString>) -> ExitCode) -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some(crate::engine::EMBEDDED_ARGUMENT) => crate::engine::embedded::main(arguments.split_off(2)),
        Some(crate::backend::PROBE_ARGUMENT) => crate::backend::probe_main(&arguments[2..]),
        Some(crate::backend::SLOT_ARGUMENT) => crate::backend::slot_main(),
        Some(meshd::MESHD_ARGUMENT) => {
            arguments.remove(1);
            meshd::main(arguments)
        }
        _ => named(&arguments).unwrap_or(main)(arguments),
    }
}

/// The program whose name this one was called by.
fn named(arguments: &[OsString]) -> Option<fn(Vec<OsString>) -> ExitCode> {
    match Path::new(arguments.first()?).file_name()?.to_str()? {
        "run-tests" => Some(run_tests::main),
        "meshd" => Some(meshd::main),
        "meshctl" => Some(meshctl::main),
        _ => None,
    }
}
