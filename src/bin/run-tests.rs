//! `run-tests`: runs a V8 checkout's tests. With a hidden first argument it is one of the programs it starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    testmesh::cli::program(testmesh::cli::run_tests::main)
}
