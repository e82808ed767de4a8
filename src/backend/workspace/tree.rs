//! Files and folders of a tree, made and removed through the descriptors of their folders and never through a link.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Folders while a tree is made.
const OPEN_FOLDER: Mode = Mode::from_raw_mode(0o755);
/// Folders of a tree in use.
const CLOSED_FOLDER: Mode = Mode::from_raw_mode(0o555);
const FILE: Mode = Mode::from_raw_mode(0o444);
const PROGRAM: Mode = Mode::from_raw_mode(0o555);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, u32, i64, i64)", into = "(u64, u64, u32, i64, i64)")]
pub(super) struct Look {
    inode: u64,
    size: u64,
    mode: u32,
    changed: i64,
    changed_nanos: i64,
}

impl From<(u64, u64, u32, i64, i64)> for Look {
    fn from((inode, size, mode, changed, changed_nanos): (u64, u64, u32, i64, i64)) -> Self {
        Self { inode, size, mode, changed, changed_nanos }
    }
}

impl From<Look> for (u64, u64, u32, i64, i64) {
    fn from(look: Look) -> Self {
        (look.inode, look.size, look.mode, look.changed, look.changed_nanos)
    }
}

impl Look {
    fn at(known: &std::fs::Metadata) -> Self {
        Self {
            inode: known.ino(),
            size: known.len(),
            mode: known.mode(),
            changed: known.ctime(),
            changed_nanos: known.ctime_nsec(),
        }
    }
}

/// A tree being made, with the folders on the way to where it is being worked on.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    open: Vec<(String, OwnedFd)>,
}

impl Tree {
    /// Opens the tree, making its root where there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match rustix::fs::mkdir(path, OPEN_FOLDER) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let root = rustix::fs::open(path, folder_flags(), Mode::empty())?;
        rustix::fs::fchmod(&root, OPEN_FOLDER)?;
        Ok(Self { root, open: Vec::new() })
    }

    /// Makes a file that is not there, with the folders above it; how it looks.
    pub(super) fn make(
        &mut self,
        path: &str,
        executable: bool,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Look> {
        let (folder, name) = split(path);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(self.enter(folder)?, name, flags, Mode::RUSR)?;
        let mut file = File::from(made);
        fill(&mut file)?;
        // The mode asked for above passes through the umask.
        rustix::fs::fchmod(&file, if executable { PROGRAM } else { FILE })?;
        Ok(Look::at(&file.metadata()?))
    }

    /// Removes a file, and the folders above it that are empty then.
    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        let (mut folder, mut name) = split(path);
        rustix::fs::unlinkat(self.enter(folder)?, name, AtFlags::empty())?;
        while !folder.is_empty() {
            (folder, name) = split(folder);
            match rustix::fs::unlinkat(self.enter(folder)?, name, AtFlags::REMOVEDIR) {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes a folder unwritable; the empty path is the root.
    pub(super) fn close(&mut self, folder: &str) -> io::Result<()> {
        Ok(rustix::fs::fchmod(self.enter(folder)?, CLOSED_FOLDER)?)
    }

    /// The folder's descriptor; folders are made where they are missing, and can be written to.
    fn enter(&mut self, folder: &str) -> io::Result<&OwnedFd> {
        let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        let common = self.open.iter().zip(&parts).take_while(|((known, _), part)| known == *part).count();
        self.open.truncate(common);
        for part in parts.into_iter().skip(common) {
            let above = self.open.last().map_or(&self.root, |(_, folder)| folder);
            match rustix::fs::mkdirat(above, part, OPEN_FOLDER) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let folder = rustix::fs::openat(above, part, folder_flags(), Mode::empty())?;
            rustix::fs::fchmod(&folder, OPEN_FOLDER)?;
            self.open.push((part.to_owned(), folder));
        }
        Ok(self.open.last().map_or(&self.root, |(_, folder)| folder))
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Shows every file below a folder to `look_at`; whether all of them pleased it and all of the tree could be read.
/// A link never does.
pub(super) fn each(place: &Path, look_at: &mut impl FnMut(&str, Look) -> bool) -> bool {
    let is_folder = place.symlink_metadata().is_ok_and(|known| known.is_dir());
    is_folder && each_below(place, "", look_at).unwrap_or(false)
}

fn each_below(full: &Path, path: &str, look_at: &mut impl FnMut(&str, Look) -> bool) -> io::Result<bool> {
    for entry in std::fs::read_dir(full)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { return Ok(false) };
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let known = entry.metadata()?;
        let pleases = match known.is_dir() {
            true => each_below(&entry.path(), &path, look_at)?,
            false => known.is_file() && look_at(&path, Look::at(&known)),
        };
        if !pleases {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a tree or file, whatever is in it; best effort.
pub(super) fn remove(path: &Path) {
    let Ok(known) = path.symlink_metadata() else { return };
    if !known.is_dir() {
        let _ = std::fs::remove_file(path);
        return;
    }
    // Folders of finished trees cannot be written to. Nobody else works on this one, so the path is what it was.
    let _ = rustix::fs::chmod(path, OPEN_FOLDER);
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        remove(&entry.path());
    }
    let _ = std::fs::remove_dir(path);
}

/// Writes content to a file.
pub(super) fn write(content: &[u8]) -> impl FnOnce(&mut File) -> io::Result<()> {
    move |file| file.write_all(content)
}
