//! What to ship of a directory, as a manifest and blobs.
//!
//! A walk finds the files and looks at each once; content is read only where something about a file differs from the
//! last time. Small files are read and packed by groups, large ones are cut into chunks at places that depend on the
//! content near them, so that a re-linked shell keeps most of its chunks. Links are followed: what travels is content.

mod cache;
mod content;
#[cfg(test)]
mod tests;
mod walk;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cache::Cache;

use super::id::BlobId;
use super::manifest::{FORMAT, Manifest, ManifestError};
use super::pack::PackError;
use super::store::{Store, StoreError};
use crate::job::Root;

/// Which files of a directory are shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Of a build directory: these programs by name, and the snapshots, ICU data and shared libraries beside them.
    Build {
        /// Paths below the build directory, such as `d8`.
        programs: Vec<String>,
    },
    /// Of a checkout: everything below these paths, or the files themselves; what is not there is left out.
    Workspace {
        /// Paths below the checkout, such as `test/mjsunit`.
        paths: Vec<String>,
    },
}

/// What is being shipped.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// Its name: the hash of the manifest's encoding, which is in the store like all its blobs.
    pub id: BlobId,
    /// The tree.
    pub manifest: Manifest,
    /// Files left out because they cannot travel, each with the reason; at most [`SKIPPED_MAX`].
    pub skipped: Vec<(PathBuf, String)>,
    /// Bytes of content that had to be read; 0 where nothing changed.
    pub bytes_read: u64,
}

/// Files named as left out; more are left out without being named.
pub const SKIPPED_MAX: usize = 100;

/// Why a directory cannot be shipped.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The system's reason.
    #[error("read {}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file was written to meanwhile, twice.
    #[error("{} changes while it is read\nhint: wait for the build to end", .0.display())]
    Changing(PathBuf),
    /// A program to run is not there.
    #[error("no program {}", .0.display())]
    NoProgram(PathBuf),
    /// Too large to be a tree of tests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A pack cannot be made.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The blobs cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads what changed since the last scan, keeps its blobs in the store, and names the tree.
///
/// `cache` is a file that remembers what was read; losing it costs time only. `now` is the time of day: what was
/// written just before is not remembered, as it may change again without looking different. Blocks; uses some threads
/// where there is much to read. Pin the blobs before the store's grace is over.
///
/// # Errors
/// Where something selected cannot be read or kept.
pub fn scan(
    dir: &Path,
    selection: &Selection,
    store: &Store,
    cache: &Path,
    now: SystemTime,
) -> Result<Scanned, ScanError> {
    match attempt(dir, selection, store, cache, now) {
        // Somebody was writing just then.
        Err(ScanError::Changing(_)) => attempt(dir, selection, store, cache, now),
        result => result,
    }
}

fn attempt(
    dir: &Path,
    selection: &Selection,
    store: &Store,
    cache_file: &Path,
    now: SystemTime,
) -> Result<Scanned, ScanError> {
    let found = walk::walk(dir, selection)?;
    let mut cache = Cache::load(cache_file);
    let content = content::read(&found.files, store, &mut cache, now)?;
    let root = match selection {
        Selection::Build { .. } => Root::Build,
        Selection::Workspace { .. } => Root::Workspace,
    };
    let manifest = Manifest { format: FORMAT, root, packs: content.packs, files: content.files };
    let (id, bytes) = manifest.encode()?;
    store.put(&id, &bytes)?;
    if let Err(error) = cache.save(cache_file) {
        tracing::warn!(%error, path = %cache_file.display(), "what was read is not remembered");
    }
    Ok(Scanned { id, manifest, skipped: found.skipped, bytes_read: content.bytes_read })
}

/// Names the file in an error.
fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ScanError {
    let path = path.to_owned();
    move |source| ScanError::Io { path, source }
}
