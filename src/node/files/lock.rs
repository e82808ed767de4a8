//! One node a home: a locked file that says which process it is and where it listens.
//!
//! The lock counts, not the file: the kernel lets go of it when the process ends, so a file left behind is harmless.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::{FlockOperation, flock};

use super::{Home, HomeError};

/// Bytes read of a lock file: a number and a path.
const LOCK_FILE_MAX: u64 = 8 << 10;

/// How long somebody who only looks may hold the lock, and how often that may happen in a row.
const A_LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 10;

/// A home that is this process's; free again when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: fs_err::File,
}

/// A node that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its process; none where the file does not say (it is just starting).
    pub pid: Option<i32>,
    /// Its socket.
    pub socket: Option<PathBuf>,
}

pub(super) fn take(home: &Home) -> Result<Lock, HomeError> {
    let path = home.lock_file();
    let make = |source| HomeError::Make { path: path.clone(), source };
    let mut file = open(&path, true).map_err(make)?;
    if !patiently(&file).map_err(make)? {
        let pid = read(&mut file).pid;
        return Err(HomeError::InUse { home: home.keys().to_owned(), pid });
    }
    let text = format!("{}\n{}\n", std::process::id(), home.socket().display());
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(make)?;
    Ok(Lock { _file: file })
}

pub(super) fn running(home: &Home) -> Result<Option<Running>, HomeError> {
    let path = home.lock_file();
    let failed = |source| HomeError::Read { path: path.clone(), source };
    let mut file = match open(&path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if try_lock(&file, FlockOperation::NonBlockingLockShared).map_err(failed)? {
        return Ok(None);
    }
    Ok(Some(read(&mut file)))
}

fn open(path: &Path, create: bool) -> io::Result<fs_err::File> {
    fs_err::OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)
}

/// Takes the lock for good. Somebody who only looks holds it for a moment.
fn patiently(file: &fs_err::File) -> io::Result<bool> {
    for _ in 0..LOOKS {
        if try_lock(file, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(true);
        }
        std::thread::sleep(A_LOOK);
    }
    try_lock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Takes the lock if it is free; gone with the file.
fn try_lock(file: &fs_err::File, how: FlockOperation) -> io::Result<bool> {
    match flock(file.file(), how) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What the file says; whoever holds the lock wrote it.
fn read(file: &mut fs_err::File) -> Running {
    let mut text = String::new();
    let _ = file.take(LOCK_FILE_MAX).read_to_string(&mut text);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok()).filter(|pid| *pid > 1);
    let socket = lines.next().filter(|line| !line.is_empty()).map(PathBuf::from);
    Running { pid, socket }
}
