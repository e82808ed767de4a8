//! Running the real program in a home of its own.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The program, with a home that goes away.
pub(crate) struct Program {
    home: TempDir,
}

impl Program {
    pub(crate) fn new() -> Self {
        Program { home: tempfile::tempdir().unwrap() }
    }

    /// A folder for the test's own files.
    pub(crate) fn folder(&self) -> &Path {
        self.home.path()
    }

    /// A command line that is not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_run-tests"));
        command.args(arguments).env("TESTMESH_HOME", self.home.path()).current_dir(self.home.path());
        // What a machine's own environment might change.
        for name in ["GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX", "CLAUDECODE", "AI_AGENT", "NO_COLOR"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command line to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Writes a file below a folder, with the folders it needs.
pub(crate) fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
