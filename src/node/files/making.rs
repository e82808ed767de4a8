//! Making folders and files so that a failure leaves nothing behind.

use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;

use super::HomeError;

/// What was made so far; taken back unless kept.
#[derive(Debug, Default)]
#[must_use = "what was made is taken back when this is dropped"]
pub struct Making {
    made: Vec<PathBuf>,
}

impl Making {
    /// Makes a folder and those above it, for the owner only; leaves one that is there.
    pub(super) fn folder(&mut self, path: &Path) -> Result<(), HomeError> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            self.folder(above)?;
        }
        let make = |source| HomeError::Make { path: path.to_owned(), source };
        fs_err::create_dir(path).map_err(make)?;
        self.made.push(path.to_owned());
        fs_err::set_permissions(path, PermissionsExt::from_mode(0o700)).map_err(make)
    }

    /// Makes a file with these bytes, whole or not at all; leaves one that is there.
    pub(super) fn file(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> Result<(), HomeError> {
        if fs_err::symlink_metadata(path).is_ok() {
            return Ok(());
        }
        let make = |source| HomeError::Make { path: path.to_owned(), source };
        let draft = path.with_extension(format!("new-{}", std::process::id()));
        let written = write(&draft, mode, bytes).and_then(|()| fs_err::hard_link(&draft, path));
        let _ = fs_err::remove_file(&draft);
        match written {
            Ok(()) => self.made.push(path.to_owned()),
            // Another setup was first: its file counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(make(error)),
        }
        Ok(())
    }

    /// Keeps all that was made.
    #[must_use]
    pub fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.made)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            // A folder in which somebody else put something stays.
            let _ = if path.is_dir() { fs_err::remove_dir(path) } else { fs_err::remove_file(path) };
        }
    }
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether only this account can use a file or folder.
pub(super) fn check_private(path: &Path) -> Result<(), HomeError> {
    let read = |source| HomeError::Read { path: path.to_owned(), source };
    let metadata = fs_err::metadata(path).map_err(read)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(HomeError::Foreign { path: path.to_owned(), owner: metadata.uid() });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(HomeError::Loose { path: path.to_owned(), mode });
    }
    Ok(())
}
