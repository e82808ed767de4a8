//! `meshd`: the node of a machine. With a hidden first argument it is one of the programs it starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    testmesh::cli::program(testmesh::cli::meshd::main)
}
