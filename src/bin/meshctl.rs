//! `meshctl`: the person's hand on this machine's node. With a hidden first argument it is one of the programs it starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    testmesh::cli::program(testmesh::cli::meshctl::main)
}
