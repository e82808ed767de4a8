//! Arguments, words and exit codes of the programs. The only part that prints or exits.

pub mod lab;
pub mod meshctl;
pub mod meshd;
pub mod run_tests;
pub mod words;

use std::ffi::OsString;
use std::process::ExitCode;

/// Any of the programs: what it is for, or with a hidden first argument one of those it starts, so that a program
/// finds the others in its own file.
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
        _ => main(arguments),
    }
}
