//! `run-tests`: runs a V8 checkout's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == testmesh::backend::SLOT_ARGUMENT) {
        return testmesh::backend::slot_main();
    }
    ExitCode::SUCCESS
}
