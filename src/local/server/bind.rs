//! Making the socket: for the owner only, in place of a stale one, never in place of anything else.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Bytes a socket's path may have: what the kernel's address holds, without the closing zero.
#[cfg(target_os = "linux")]
pub const SOCKET_PATH_MAX: usize = 107;
/// Bytes a socket's path may have: what the kernel's address holds, without the closing zero.
#[cfg(not(target_os = "linux"))]
pub const SOCKET_PATH_MAX: usize = 103;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The kernel cannot name it.
    #[error("the socket's path {} has {} bytes, {SOCKET_PATH_MAX} fit\nhint: give a shorter --home, or set XDG_RUNTIME_DIR",
        .0.display(), .0.as_os_str().len())]
    TooLong(PathBuf),
    /// A node is there already.
    #[error("another node answers on {}\nhint: `meshctl status` shows it; several nodes on one host need a --home each", .0.display())]
    Answered(PathBuf),
    /// Something else is there.
    #[error("{} is in the way and is no socket", .0.display())]
    NotASocket(PathBuf),
    /// Others could reach the socket.
    #[error("{} is open to others\nhint: chmod 0700 {}", .0.display(), .0.display())]
    Open(PathBuf),
    /// The system refused.
    #[error("cannot listen on {}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

/// Whether the kernel can name this socket.
pub(crate) fn fits(path: &Path) -> Result<(), BindError> {
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(BindError::TooLong(path.to_owned()));
    }
    Ok(())
}

pub(super) fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let system = |source| BindError::System { path: path.to_owned(), source };
    fits(path)?;
    private(path.parent().unwrap_or(Path::new("/")))?;
    make_room(path)?;
    let listener = UnixListener::bind(path).map_err(system)?;
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(system)?;
    Ok(listener)
}

/// The folder is what keeps others out between making the socket and narrowing its mode.
fn private(folder: &Path) -> Result<(), BindError> {
    let system = |source| BindError::System { path: folder.to_owned(), source };
    let mode = fs_err::metadata(folder).map_err(system)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(BindError::Open(folder.to_owned()));
    }
    Ok(())
}

/// Removes a socket that nobody answers. Two starting nodes cannot meet here: each holds its home's lock.
fn make_room(path: &Path) -> Result<(), BindError> {
    let system = |source| BindError::System { path: path.to_owned(), source };
    let kind = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
    };
    if !kind.is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::Answered(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs_err::remove_file(path).map_err(system)
        }
        Err(error) => Err(system(error)),
    }
}
