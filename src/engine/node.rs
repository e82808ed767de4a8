//! Node.js as a V8 shell: where it is, and the prelude that offers d8's globals.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::EngineError;

/// The prelude, run as Node's main script.
const PRELUDE: &str = include_str!("node_prelude.js");

/// What d8 offers and the prelude does not.
pub const UNSUPPORTED: &[&str] = &[
    "flags that V8 reads only while it starts, such as --stack-size of other threads or --jitless",
    "flags that this Node's V8 does not know: they are ignored",
    "d8.dom, d8.serializer, d8.profiler, d8.debugger, d8.wasm and the inspector",
    "Realm.sharedPropertyNames, Realm.detachGlobal, Realm.navigate",
    "--isolate runs in the same isolate, in a fresh context",
];

/// The `node` in `PATH` that starts.
pub(super) fn find() -> Result<PathBuf, EngineError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).map(|dir| dir.join("node"));
    let program = candidates.into_iter().find(|path| path.is_file()).ok_or(EngineError::NoNode)?;
    let started =
        Command::new(&program).args(["-e", "process.stdout.write('ready')"]).stdin(Stdio::null()).output();
    match started {
        Ok(output) if output.stdout == b"ready" => Ok(program),
        Ok(output) => {
            let what = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(EngineError::Broken { path: program, what })
        }
        Err(error) => Err(EngineError::Broken { path: program, what: error.to_string() }),
    }
}

/// Writes the prelude below a folder, under a name that changes with its text, and returns its path.
pub(super) fn prelude(cache: &Path) -> io::Result<PathBuf> {
    let sum = PRELUDE.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = cache.join(format!("node-prelude-{sum:016x}.js"));
    if std::fs::read(&path).is_ok_and(|bytes| bytes == PRELUDE.as_bytes()) {
        return Ok(path);
    }
    fs_err::create_dir_all(cache)?;
    let temporary = cache.join(format!("node-prelude.{}.tmp", std::process::id()));
    fs_err::write(&temporary, PRELUDE)?;
    fs_err::rename(&temporary, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prelude_is_written_once_and_mended() {
        let dir = tempfile::tempdir().unwrap();
        let path = prelude(dir.path()).unwrap();
        std::fs::write(&path, "torn").unwrap();
        assert_eq!(prelude(dir.path()).unwrap(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), PRELUDE);
    }
}
