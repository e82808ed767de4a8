//! A resolved job as `execve` takes it; finds the program the way `execvp` would.

use std::ffi::{CString, NulError, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Access;

use super::environment::Prepared;
use super::request::Resolved;

/// Where programs are looked for when the job's environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A job, ready to execute.
#[derive(Debug)]
pub(super) struct Command {
    /// The file to execute.
    pub(super) program: CString,
    /// Program name and arguments.
    pub(super) argv: Vec<CString>,
    /// `NAME=value` texts.
    pub(super) env: Vec<CString>,
    /// Working directory.
    pub(super) cwd: CString,
}

/// Why a job cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("job has no command")]
    Empty,
    #[error("an argument or variable contains a NUL byte: {0}")]
    Nul(#[from] NulError),
    #[error("`{0}` is not in PATH")]
    NotInPath(String),
    #[error("`{0}` in PATH is not executable")]
    NotExecutable(String),
}

impl Command {
    /// The command of a job in an environment.
    pub(super) fn new(job: &Resolved, environment: &Prepared) -> Result<Self, CommandError> {
        let name = job.argv.first().ok_or(CommandError::Empty)?;
        let env = environment.on_top(&job.env)?;
        let program = if name.contains(&b'/') {
            CString::new(name.as_slice())?
        } else {
            search(name, path_of(&env), Path::new(OsStr::from_bytes(&job.cwd)))?
        };
        let argv = job.argv.iter().map(|arg| CString::new(arg.as_slice())).collect::<Result<_, _>>()?;
        Ok(Self { program, argv, env, cwd: CString::new(job.cwd.as_slice())? })
    }
}

fn path_of(env: &[CString]) -> &[u8] {
    env.iter().find_map(|text| text.as_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH)
}

/// The first executable file of that name; folders of the path are relative to the job's working directory.
fn search(name: &[u8], path: &[u8], cwd: &Path) -> Result<CString, CommandError> {
    let mut refused = None;
    for folder in path.split(|byte| *byte == b':') {
        let file = cwd.join(OsStr::from_bytes(folder)).join(OsStr::from_bytes(name));
        if !name.is_empty() && file.is_file() {
            if rustix::fs::access(&file, Access::EXEC_OK).is_ok() {
                return Ok(CString::new(file.into_os_string().as_bytes())?);
            }
            refused.get_or_insert(file);
        }
    }
    Err(match refused {
        Some(file) => CommandError::NotExecutable(file.display().to_string()),
        None => CommandError::NotInPath(String::from_utf8_lossy(name).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_path_is_searched_as_execvp_does() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        for (file, mode) in [("a/tool", 0o644), ("b/tool", 0o755), ("b/data", 0o644)] {
            fs_err::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs_err::write(root.join(file), "").unwrap();
            fs_err::set_permissions(root.join(file), PermissionsExt::from_mode(mode)).unwrap();
        }
        fs_err::create_dir(root.join("b/folder")).unwrap();
        let find =
            |name: &str| search(name.as_bytes(), b"a:missing:b", root).map_err(|error| error.to_string());
        let expected = root.join("b/tool");
        assert_eq!(find("tool").unwrap().as_bytes(), expected.as_os_str().as_bytes());
        assert_eq!(find("data"), Err(format!("`{}/b/data` in PATH is not executable", root.display())));
        for name in ["folder", "none", ""] {
            assert_eq!(find(name), Err(format!("`{name}` is not in PATH")));
        }
    }
}
