//! Running the real program in a home of its own.

use std::os::unix::fs::PermissionsExt;
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

const CONFIG: &str = r#"{"current_cpu": "x64", "target_cpu": "x64", "v8_current_cpu": "x64", "v8_target_cpu": "x64",
    "is_debug": false, "dcheck_always_on": false, "is_component_build": false, "v8_enable_i18n_support": true}"#;

/// A checkout of V8 12.6 with so many empty tests of mjsunit, and a build whose d8 is a script.
pub(crate) fn plant(root: &Path, tests: usize, shell: &str) {
    let version = "#define V8_MAJOR_VERSION 12\n#define V8_MINOR_VERSION 6\n#define V8_BUILD_NUMBER 0\n";
    write(root, "include/v8-version.h", version);
    write(root, "tools/run-tests.py", "# The runner of the tree.\n");
    write(root, "test/mjsunit/mjsunit.js", "");
    write(root, "test/mjsunit/mjsunit.status", "[[ALWAYS, {}]]");
    (0..tests).for_each(|number| write(root, &format!("test/mjsunit/t{number:02}.js"), ""));
    write(root, "out/x64.release/v8_build_config.json", CONFIG);
    write(root, "out/x64.release/d8", shell);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(root.join("out/x64.release/d8"), executable).unwrap();
}
