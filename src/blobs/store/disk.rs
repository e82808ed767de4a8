//! The files of a store: `objects/ab/abcd…`, `partial/abcd…`, and scratch files that become either.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::blobs::id::{BlobId, parse};
use crate::blobs::manifest::BLOB_MAX;

/// Where blobs lie.
pub(super) const OBJECTS: &str = "objects";
/// Where beginnings of blobs lie.
pub(super) const PARTIALS: &str = "partial";
/// Where files are written before they are renamed.
pub(super) const SCRATCH: &str = "tmp";

/// Names scratch files of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    device: u64,
    inode: u64,
    changed: (i64, i64),
    /// Bytes.
    pub(super) length: u64,
    /// Also the time of the last use.
    pub(super) modified: SystemTime,
}

/// A blob's file.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: BlobId,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
}

/// A blob's place.
pub(super) fn object(dir: &Path, id: &BlobId) -> PathBuf {
    let name = id.to_string();
    let folder = name.get(..2).unwrap_or_default();
    dir.join(OBJECTS).join(folder).join(&name)
}

/// Opens a regular file, never through a link; none where there is none.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// The state of a file now.
pub(super) fn seen(file: &File) -> io::Result<Seen> {
    let known = file.metadata()?;
    Ok(Seen {
        device: known.dev(),
        inode: known.ino(),
        changed: (known.ctime(), known.ctime_nsec()),
        length: known.len(),
        modified: known.modified()?,
    })
}

/// The content of a file that nobody writes to, with its state.
pub(super) fn read_all(file: &mut File) -> io::Result<(Seen, Vec<u8>)> {
    let before = seen(file)?;
    if before.length > BLOB_MAX {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.length).unwrap_or_default());
    file.take(BLOB_MAX + 1).read_to_end(&mut bytes)?;
    if seen(file)? != before || bytes.len() as u64 != before.length {
        return Err(io::Error::other("the file changes"));
    }
    Ok((before, bytes))
}

/// Writes a file and renames it to its place; nothing is left where that fails.
pub(super) fn write_beside(
    dir: &Path,
    place: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<Seen> {
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    let scratch = dir.join(SCRATCH).join(format!("{}-{count}", std::process::id()));
    // The mode is the last thing to change before the rename: readers see none but read-only files.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&scratch)?;
    let written = fill(&mut file)
        .and_then(|()| file.set_permissions(Permissions::from_mode(0o444)))
        .and_then(|()| rename(&scratch, place))
        .and_then(|()| seen(&file));
    if written.is_err() {
        let _ = std::fs::remove_file(&scratch);
    }
    written
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match (std::fs::rename(from, to), to.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            std::fs::rename(from, to)
        }
        (result, _) => result,
    }
}

/// All blobs there are; what is not one is passed over.
pub(super) fn objects(dir: &Path) -> Vec<Object> {
    let folders = std::fs::read_dir(dir.join(OBJECTS)).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let object = |entry: std::fs::DirEntry| {
        let id = parse(entry.file_name().to_str()?)?;
        let known = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Object { id, length: known.len(), modified: known.modified().ok()? })
    };
    files.filter_map(object).collect()
}

/// Removes scratch files whose process is gone.
pub(super) fn clear_scratch(dir: &Path) {
    for entry in std::fs::read_dir(dir.join(SCRATCH)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split_once('-')?.0.parse().ok());
        let alive = owner.and_then(rustix::process::Pid::from_raw).is_some_and(|pid| {
            // Another user's process cannot be asked, but it is alive.
            !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
        });
        if !alive {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Removes the oldest files of a folder until only so many are left.
pub(super) fn drop_oldest(folder: &Path, most: usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let dated = |entry: std::fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    let mut files: Vec<(SystemTime, PathBuf)> = entries.filter_map(dated).collect();
    files.sort();
    let excess = files.len().saturating_sub(most);
    for (_, path) in files.iter().take(excess) {
        let _ = std::fs::remove_file(path);
    }
}
