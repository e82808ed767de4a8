//! Where the files of a node are, and those of them that belong to nobody else: folders, cookie, lock.
//!
//! Either below the XDG directories or all below one folder, so that several nodes can share a host. The key,
//! allowlist and statements in [`Home::keys`] belong to the `keys` crate; the settings to [`super::settings`]. Every
//! error names its file, and [`Home::setup`] leaves nothing behind when it fails.

mod cookie;
mod lock;
mod making;

use std::io;
use std::path::{Path, PathBuf};

pub use lock::{Lock, Running};
pub use making::Making;

use super::settings::{self, Settings, SettingsError};
use crate::local::server::{BindError, fits};
use crate::local::wire::Cookie;

/// Environment variable that names the folder of a node, as `--home` does.
pub const HOME_VARIABLE: &str = "TESTMESH_HOME";

/// Why files of a node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither given nor known.
    #[error("this account has no home folder\nhint: give one with --home or {HOME_VARIABLE}")]
    NoHome,
    /// A folder or file cannot be made.
    #[error("cannot make {}; nothing was changed\nhint: is it writable? another folder can be given with --home", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no node in this home yet.
    #[error("no node is set up in {}: {} is missing\nhint: `meshctl setup` makes one", home.display(), missing.display())]
    NotSetUp {
        /// The home.
        home: PathBuf,
        /// What is missing.
        missing: PathBuf,
    },
    /// Others can read what only the owner may.
    #[error("{} is open to others (mode {mode:04o})\nhint: chmod {} {}", path.display(),
        if path.is_dir() { "0700" } else { "0600" }, path.display())]
    Loose {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is another account's.
    #[error("{} belongs to account {owner}, not to you", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// A file holds something else.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// Another process uses this home.
    #[error("a node runs in {} already{}\nhint: `meshctl status` shows it; several nodes on one host need a --home each",
        home.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// The home.
        home: PathBuf,
        /// By which process, where known.
        pid: Option<i32>,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The socket's path cannot be used.
    #[error(transparent)]
    Socket(#[from] BindError),
}

/// The paths of one node. Nothing is touched until a method says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    keys: PathBuf,
    config: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
    cache: PathBuf,
}

impl Home {
    /// A node with everything below one folder.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Home {
            keys: folder.to_owned(),
            config: folder.to_owned(),
            state: folder.to_owned(),
            runtime: folder.join("run"),
            cache: folder.join("cache"),
        }
    }

    /// This account's node, or the one below `given`. Relative folders are taken from the working directory.
    ///
    /// # Errors
    /// [`HomeError::NoHome`]; [`HomeError::Read`] where there is no working directory.
    pub fn find(given: Option<&Path>) -> Result<Self, HomeError> {
        if let Some(folder) = given {
            let read = |source| HomeError::Read { path: folder.to_owned(), source };
            return Ok(Self::at(&std::path::absolute(folder).map_err(read)?));
        }
        let project = directories::ProjectDirs::from("", "", "testmesh").ok_or(HomeError::NoHome)?;
        let state = project.state_dir().unwrap_or(project.data_local_dir()).to_owned();
        Ok(Home {
            keys: project.data_local_dir().to_owned(),
            config: project.config_local_dir().to_owned(),
            runtime: project.runtime_dir().map_or_else(|| state.join("run"), Path::to_owned),
            cache: project.cache_dir().to_owned(),
            state,
        })
    }

    /// The folder of the `keys` crate: identity, allowlist, policy, statements, audit log.
    #[must_use]
    pub fn keys(&self) -> &Path {
        &self.keys
    }

    /// The settings.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The cookie of requests that change trust; beside the key, where no test can look.
    #[must_use]
    pub fn cookie_file(&self) -> PathBuf {
        self.keys.join("cookie")
    }

    /// Where a node that starts now makes its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("mesh.sock")
    }

    /// Locked while a node runs; holds its process and socket.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.state.join("meshd.pid")
    }

    /// What a node started in the background says.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.state.join("meshd.log")
    }

    /// What can be fetched again: blobs, workspaces.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Makes folders, settings and cookie where they are missing. Returns what it made; a second call makes nothing.
    ///
    /// `name` is what a new node calls itself; the host's name where not given.
    ///
    /// # Errors
    /// Names what could not be made; then nothing was.
    pub fn setup(&self, name: Option<&str>, mesh: Option<&str>) -> Result<Vec<PathBuf>, HomeError> {
        Ok(self.setup_unless_dropped(name, mesh)?.keep())
    }

    /// As [`Home::setup`], but what it made goes again unless it is kept: for callers who may fail later.
    ///
    /// # Errors
    /// As [`Home::setup`].
    pub fn setup_unless_dropped(&self, name: Option<&str>, mesh: Option<&str>) -> Result<Making, HomeError> {
        self.check_socket()?;
        let mut making = Making::default();
        self.folders(&mut making)?;
        making.file(&self.settings_file(), 0o644, settings::fresh(name, mesh)?.as_bytes())?;
        making.file(&self.cookie_file(), 0o600, &cookie::fresh()?)?;
        Ok(making)
    }

    /// Makes the folders a running node needs (the system empties the runtime folder when nobody is logged in).
    ///
    /// # Errors
    /// [`HomeError::Make`]; [`HomeError::Loose`] and [`HomeError::Foreign`] for a folder that others can use.
    pub fn make_folders(&self) -> Result<(), HomeError> {
        let mut making = Making::default();
        self.folders(&mut making)?;
        let _ = making.keep();
        Ok(())
    }

    fn folders(&self, making: &mut Making) -> Result<(), HomeError> {
        for folder in [&self.keys, &self.config, &self.state, &self.cache, &self.runtime] {
            making.folder(folder)?;
        }
        making::check_private(&self.keys)?;
        making::check_private(&self.runtime)
    }

    /// Whether the kernel can name the socket.
    ///
    /// # Errors
    /// [`BindError::TooLong`].
    pub fn check_socket(&self) -> Result<(), HomeError> {
        Ok(fits(&self.socket())?)
    }

    /// What the owner set.
    ///
    /// # Errors
    /// Where there is no file, or what in it cannot be used.
    pub fn settings(&self) -> Result<Settings, HomeError> {
        let path = self.settings_file();
        let text = fs_err::read_to_string(&path).map_err(|error| self.unreadable(&path, error))?;
        Ok(settings::parse(&path, &text)?)
    }

    /// The cookie.
    ///
    /// # Errors
    /// Where it is missing, damaged, or others can read it.
    pub fn cookie(&self) -> Result<Cookie, HomeError> {
        let path = self.cookie_file();
        let bytes = fs_err::read(&path).map_err(|error| self.unreadable(&path, error))?;
        making::check_private(&path)?;
        let why = "it should hold 32 bytes; remove it, then `meshctl setup` and `meshctl restart`";
        let bytes = bytes.try_into().map_err(|_| HomeError::Damaged { path, why })?;
        Ok(Cookie::new(bytes))
    }

    fn unreadable(&self, path: &Path, source: io::Error) -> HomeError {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            return HomeError::NotSetUp { home: self.keys.clone(), missing: path };
        }
        HomeError::Read { path, source }
    }

    /// Takes this home for a node that starts; dropped when it ends, however it ends.
    ///
    /// # Errors
    /// [`HomeError::InUse`] where another node has it.
    pub fn lock(&self) -> Result<Lock, HomeError> {
        lock::take(self)
    }

    /// The node that runs in this home, if one does.
    ///
    /// # Errors
    /// [`HomeError::Read`].
    pub fn running(&self) -> Result<Option<Running>, HomeError> {
        lock::running(self)
    }

    /// Where the node that runs here listens, or would.
    #[must_use]
    pub fn live_socket(&self) -> PathBuf {
        // A node started by the system may have another runtime folder than a person's shell.
        let running = self.running().ok().flatten();
        running.and_then(|running| running.socket).unwrap_or_else(|| self.socket())
    }
}

#[cfg(test)]
mod tests;
