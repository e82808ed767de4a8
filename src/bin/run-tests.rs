//! `run-tests`: runs a V8 checkout's tests. With a hidden first argument it is one of the programs it starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some(testmesh::engine::EMBEDDED_ARGUMENT) => {
            testmesh::engine::embedded::main(arguments[2..].to_vec())
        }
        Some(testmesh::backend::SLOT_ARGUMENT) => testmesh::backend::slot_main(),
        _ => testmesh::cli::run_tests::main(arguments),
    }
}
