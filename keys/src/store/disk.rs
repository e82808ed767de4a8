//! The few ways this crate touches files: private reads, staged whole-file writes, appends that can be taken back.
//!
//! Every file is opened without following links and checked after it is opened. A write is bounded by the room the
//! store was given; where it fails, the caller puts the old state back.

use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use fs_err::{File, OpenOptions};
use rustix::fs::OFlags;

use crate::store::error::StoreError;

/// Mode of every file of a home.
pub(super) const FILE_MODE: u32 = 0o600;
/// Mode of a home.
pub(super) const DIR_MODE: u32 = 0o700;

/// What may still reach the disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// Bytes, or steps where it is fatal; `None` is no bound but the disk's.
    left: Option<u64>,
    /// Whether whoever writes is dead at the bound: nothing is put back then. Each half of a write is a step, and so is
    /// a file made, renamed, cut or removed.
    fatal: bool,
}

impl Room {
    pub(super) const fn of(left: Option<u64>) -> Self {
        Self { left, fatal: false }
    }

    pub(super) const fn life(left: u64) -> Self {
        Self { left: Some(left), fatal: true }
    }

    /// How many of so many bytes may be written, which count as written then.
    fn allow(&mut self, bytes: usize) -> usize {
        let Some(left) = &mut self.left else { return bytes };
        let (allowed, cost) = match *left {
            0 if self.fatal => (0, 0),
            1 if self.fatal => (bytes / 2, 1),
            _ if self.fatal => (bytes, 2),
            room => {
                let allowed = usize::try_from(room).unwrap_or(usize::MAX).min(bytes);
                (allowed, u64::try_from(allowed).unwrap_or(room))
            }
        };
        *left -= cost;
        allowed
    }

    /// Before anything but a write: a file made, renamed, cut or removed.
    fn step(&mut self, path: &Path) -> Result<(), StoreError> {
        match &mut self.left {
            Some(left) if self.fatal => {
                *left = left.checked_sub(1).ok_or_else(|| StoreError::Full { path: path.to_owned() })?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Renames a file.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.step(from)?;
        Ok(fs_err::rename(from, to)?)
    }

    /// Writes all of it, or what there is room for and then fails.
    fn write(&mut self, file: &mut File, bytes: &[u8]) -> Result<(), StoreError> {
        let path = file.path().to_owned();
        let allowed = self.allow(bytes.len());
        let part = bytes.get(..allowed).unwrap_or(bytes);
        file.write_all(part).map_err(|error| full_or_io(error, &path))?;
        if part.len() < bytes.len() { Err(StoreError::Full { path }) } else { Ok(()) }
    }
}

fn full_or_io(error: std::io::Error, path: &Path) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full { path: path.to_owned() }
        }
        _ => StoreError::Io(error),
    }
}

/// No links; and a pipe in the place of a file must not make an open wait.
#[expect(clippy::cast_possible_wrap, reason = "open(2) takes its flags as int")]
fn no_follow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32
}

/// Makes a home that only its owner may enter, or checks the one that is there.
pub(super) fn make_home(home: &Path) -> Result<(), StoreError> {
    if !fs_err::exists(home)? {
        // fs-err has no builder with a mode; the error names the path all the same.
        let made = std::fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(home);
        made.map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", home.display())))?;
    }
    check_home(home)
}

/// A home must be the owner's own and closed to others.
pub(super) fn check_home(home: &Path) -> Result<(), StoreError> {
    let found = fs_err::metadata(home)?;
    if !found.is_dir() {
        return Err(StoreError::NotAFile { path: home.to_owned() });
    }
    check_owner(home, &found, DIR_MODE)
}

fn check_owner(path: &Path, found: &std::fs::Metadata, wanted: u32) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me {
        return Err(StoreError::ForeignOwner { path: path.to_owned(), owner: found.uid(), me });
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Loose { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

/// Opens a file that must be plain, the owner's and private; `None` where it does not exist.
pub(super) fn open_private(path: &Path, options: &mut OpenOptions) -> Result<Option<File>, StoreError> {
    let file = match options.custom_flags(no_follow()).mode(FILE_MODE).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(_) if is_link(path) => return Err(StoreError::NotAFile { path: path.to_owned() }),
        Err(error) => return Err(full_or_io(error, path)),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(StoreError::NotAFile { path: path.to_owned() });
    }
    check_owner(path, &found, FILE_MODE)?;
    Ok(Some(file))
}

/// Why an open without following links failed; only words depend on it.
fn is_link(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Reads a private file whole, but no more than `max` bytes and one; `None` where it does not exist.
pub(super) fn read_private(path: &Path, max: usize) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(read_marked(path, max)?.map(|(bytes, _)| bytes))
}

fn read_marked(path: &Path, max: usize) -> Result<Option<(Vec<u8>, Mark)>, StoreError> {
    let Some(file) = open_private(path, OpenOptions::new().read(true))? else { return Ok(None) };
    // Before it is read: what is written meanwhile makes another mark.
    let mark = Mark::of(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some((bytes, mark)))
}

/// As [`read_private`], as text, with the mark of what was read.
pub(super) fn read_text(path: &Path, max: usize) -> Result<Option<(String, Mark)>, StoreError> {
    let Some((bytes, mark)) = read_marked(path, max)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| StoreError::NotText { path: path.to_owned() })?;
    Ok(Some((text, mark)))
}

/// What tells one content of a file from the next without reading it: a file edited in place has another time or
/// length, one put in its place another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    inode: (u64, u64),
    len: u64,
    modified: (i64, i64),
}

impl Mark {
    pub(super) fn of(found: &std::fs::Metadata) -> Self {
        Self {
            inode: (found.dev(), found.ino()),
            len: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }

    /// Of the file that is there now; `None` where there is none, or it cannot be looked at.
    pub(super) fn at(path: &Path) -> Option<Self> {
        fs_err::symlink_metadata(path).ok().map(|found| Self::of(&found))
    }
}

/// A whole new content beside its file, on the disk but not in force.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    path: PathBuf,
}

impl Staged {
    /// Writes `path.new` and syncs it.
    pub(super) fn write(path: &Path, bytes: &[u8], room: &mut Room) -> Result<Self, StoreError> {
        let mut name = path.as_os_str().to_owned();
        name.push(STAGED_SUFFIX);
        let beside = PathBuf::from(name);
        room.step(&beside)?;
        remove_if_there(&beside)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        let file = options.open(&beside).map_err(|error| full_or_io(error, &beside))?;
        let mut staged = Self { file, path: path.to_owned() };
        match staged.fill(bytes, room) {
            Ok(()) => Ok(staged),
            Err(error) => {
                staged.discard(room);
                Err(error)
            }
        }
    }

    fn fill(&mut self, bytes: &[u8], room: &mut Room) -> Result<(), StoreError> {
        room.write(&mut self.file, bytes)?;
        let path = self.file.path().to_owned();
        self.file.sync_all().map_err(|error| full_or_io(error, &path))
    }

    /// Puts it in force in one step; the folder must be synced after.
    pub(super) fn commit(self, room: &mut Room) -> Result<File, StoreError> {
        room.rename(self.file.path(), &self.path)?;
        let (file, _) = self.file.into_parts();
        Ok(File::from_parts(file, self.path))
    }

    /// Puts it in force only if no such file is there yet; says whether it did.
    pub(super) fn commit_new(self) -> Result<bool, StoreError> {
        let linked = fs_err::hard_link(self.file.path(), &self.path);
        self.discard(&mut Room::default());
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(StoreError::Io(error)),
        }
    }

    /// Takes it away again. What cannot be removed now is removed when the home is opened next.
    pub(super) fn discard(self, room: &mut Room) {
        if room.step(&self.path).is_ok() {
            let _ = fs_err::remove_file(self.file.path());
        }
    }
}

const STAGED_SUFFIX: &str = ".new";

/// Removes what a stopped process staged.
pub(super) fn remove_staged(path: &Path) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(STAGED_SUFFIX);
    remove_if_there(Path::new(&name))
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::Io(error)),
        _ => Ok(()),
    }
}

/// Makes names in a folder last.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    Ok(File::open(dir)?.sync_all()?)
}

/// A file that only grows, and whose growth can be taken back.
#[derive(Debug)]
pub(super) struct Appender {
    file: File,
    len: u64,
}

impl Appender {
    /// Opens a private file at its end and cuts what lies behind `len`.
    pub(super) fn open(path: &Path, len: u64) -> Result<Self, StoreError> {
        let file = open_private(path, OpenOptions::new().read(true).write(true))?;
        let file = file.ok_or_else(|| StoreError::Missing { path: path.to_owned() })?;
        Self::from_file(file, len)
    }

    pub(super) fn from_file(file: File, len: u64) -> Result<Self, StoreError> {
        let mut appender = Self { file, len };
        if appender.file.metadata()?.len() != len {
            // Not synced: until the next append syncs it, the torn end would only be cut once more.
            appender.file.set_len(len)?;
        }
        appender.file.seek(SeekFrom::Start(len))?;
        Ok(appender)
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Appends; on failure the file is as long as before.
    pub(super) fn append(&mut self, bytes: &[u8], room: &mut Room, sync: bool) -> Result<(), StoreError> {
        let before = self.len;
        let path = self.file.path().to_owned();
        let mut written = room.write(&mut self.file, bytes);
        if written.is_ok() && sync {
            written = self.file.sync_data().map_err(|error| full_or_io(error, &path));
        }
        if written.is_ok() {
            self.len += u64::try_from(bytes.len()).unwrap_or(0);
        } else {
            self.cut_to(before, room)?;
        }
        written
    }

    /// Takes back what was appended behind `len`.
    pub(super) fn cut_to(&mut self, len: u64, room: &mut Room) -> Result<(), StoreError> {
        room.step(self.file.path())?;
        self.file.set_len(len)?;
        self.file.seek(SeekFrom::Start(len))?;
        self.len = len;
        Ok(())
    }
}
