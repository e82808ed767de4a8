//! Puts this machine's directories in front of a job's relative paths.
//!
//! Reads no disk. A path comes from whoever made the job, so one that leaves its root is refused.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde_bytes::ByteBuf;

use super::request::Resolved;
use crate::job::{Arg, Job, Root, RootedPath};

/// The directories of this machine that jobs are relative to; all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The checkout under test.
    pub workspace: PathBuf,
    /// The build directory.
    pub build: PathBuf,
    /// This project's own program: a file. Each of them can stand in for the others.
    pub program: PathBuf,
    /// What relative arguments are relative to.
    pub cwd: PathBuf,
}

/// Why a path of a job is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// It would leave its root.
    #[error("path `{0}` of the job leaves its root")]
    Leaves(String),
    /// No file system can hold it.
    #[error("path `{0}` of the job contains a NUL byte")]
    Nul(String),
}

impl Roots {
    /// An argument or environment value as this machine passes it.
    ///
    /// # Errors
    /// When its path leaves its root.
    pub fn resolve(&self, arg: &Arg) -> Result<OsString, RootError> {
        match arg {
            Arg::Text(text) => Ok(text.into()),
            Arg::Path(path) => self.path(path).map(PathBuf::into_os_string),
            Arg::Relative(path) => self.path(path).map(|path| self.seen_from_cwd(path)),
            Arg::Within { before, path, after } => {
                let mut text = OsString::from(before);
                text.push(self.path(path)?);
                text.push(after);
                Ok(text)
            }
        }
    }

    /// The absolute path of a file.
    ///
    /// # Errors
    /// When it leaves its root.
    pub fn path(&self, path: &RootedPath) -> Result<PathBuf, RootError> {
        let inside = checked(&path.path)?;
        let root = self.root(path.root);
        // Joining an empty path would append a slash.
        Ok(if inside.is_empty() { root.to_owned() } else { root.join(inside) })
    }

    /// The job in this machine's paths.
    ///
    /// # Errors
    /// When one of its paths leaves its root.
    pub fn job(&self, job: &Job) -> Result<Resolved, RootError> {
        let bytes = |arg: &Arg| Ok(ByteBuf::from(self.resolve(arg)?.into_vec()));
        let variable = |(name, value): &(String, Arg)| Ok((ByteBuf::from(name.as_bytes()), bytes(value)?));
        Ok(Resolved {
            argv: job.argv.iter().map(bytes).collect::<Result<_, _>>()?,
            env: job.env.iter().map(variable).collect::<Result<_, _>>()?,
            cwd: ByteBuf::from(self.path(&job.cwd)?.into_os_string().into_vec()),
            limits: job.limits,
        })
    }

    fn root(&self, root: Root) -> &Path {
        match root {
            Root::Workspace => &self.workspace,
            Root::Build => &self.build,
            Root::Program => &self.program,
        }
    }

    fn seen_from_cwd(&self, path: PathBuf) -> OsString {
        match path.strip_prefix(&self.cwd) {
            Ok(below) if below.as_os_str().is_empty() => ".".into(),
            Ok(below) => below.as_os_str().to_owned(),
            Err(_) => path.into_os_string(),
        }
    }
}

fn checked(path: &str) -> Result<&str, RootError> {
    if path.contains('\0') {
        return Err(RootError::Nul(path.to_owned()));
    }
    let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if leaves { Err(RootError::Leaves(path.to_owned())) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn roots() -> Roots {
        Roots {
            workspace: "/w/v8".into(),
            build: "/w/v8/out/x64".into(),
            program: "/opt/bin/run-tests".into(),
            cwd: "/w/v8".into(),
        }
    }

    fn file(root: Root, path: &str) -> RootedPath {
        RootedPath { root, path: path.to_owned() }
    }

    fn check(arg: &Arg, expected: &str) {
        assert_eq!(roots().resolve(arg), Ok(expected.into()));
    }

    #[test]
    fn arguments_get_their_roots() {
        check(&Arg::Text("--a=../b".to_owned()), "--a=../b");
        check(&Arg::Path(file(Root::Workspace, "test/a.js")), "/w/v8/test/a.js");
        check(&Arg::Path(file(Root::Workspace, "")), "/w/v8");
        check(&Arg::Path(file(Root::Build, "d8")), "/w/v8/out/x64/d8");
        check(&Arg::Relative(file(Root::Workspace, "test/a.js")), "test/a.js");
        check(&Arg::Relative(file(Root::Build, "d8")), "out/x64/d8");
        check(&Arg::Relative(file(Root::Workspace, "")), ".");
        check(&Arg::Relative(file(Root::Program, "")), "/opt/bin/run-tests");
        let path = file(Root::Workspace, "a b");
        check(&Arg::Within { before: "F=\"".to_owned(), path, after: "\"".to_owned() }, "F=\"/w/v8/a b\"");
    }

    #[test]
    fn names_with_dots_are_no_way_out() {
        check(&Arg::Path(file(Root::Workspace, "a/..b/c..")), "/w/v8/a/..b/c..");
    }

    #[test]
    fn paths_that_leave_their_root_are_refused() {
        for path in ["..", "../x", "a/../../x", "a/..", "/etc/passwd", "/"] {
            let refused = RootError::Leaves(path.to_owned());
            assert_eq!(roots().path(&file(Root::Build, path)), Err(refused), "{path}");
        }
        assert_eq!(roots().path(&file(Root::Build, "a\0b")), Err(RootError::Nul("a\0b".to_owned())));
    }

    proptest! {
        #[test]
        fn what_is_not_refused_stays_below_its_root(path in "(\\.|/|[ab]){0,8}") {
            if let Ok(resolved) = roots().path(&file(Root::Build, &path)) {
                let mut depth = 0i32;
                for part in resolved.strip_prefix("/w/v8/out/x64").unwrap().components() {
                    depth += if part == std::path::Component::ParentDir { -1 } else { 1 };
                    prop_assert!(depth >= 0);
                }
            }
        }
    }
}
