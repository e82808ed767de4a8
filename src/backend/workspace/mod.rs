//! Makes a directory out of a manifest: the tree a peer's jobs run in.
//!
//! Every tree is made beside its place and renamed, so it is there as a whole or not at all. Files are copies of the
//! store's content, 0444 or 0555, in folders of 0555; names come from a stranger's manifest and are checked as a whole
//! before the first file is made, and made through the descriptor of their folder, never through a link. A tree that
//! is not in use becomes the next one by changing only what differs. Before a tree is used again, every file of it must
//! look as it did when it was made.
//!
//! Nothing here fetches: all blobs are in the store, or the caller learns which one is not.

mod making;
mod record;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::Record;

use crate::blobs::pack::PackError;
use crate::blobs::path::PathError;
use crate::blobs::{BlobId, Manifest, ManifestError, Store, StoreError, id};

/// Ends the name of a record.
const RECORD: &str = "record";
/// Begins the name of a tree that is being made or taken down.
const UNFINISHED: &str = "tmp-";

/// Directories made of manifests, kept for the next run; clones share them. One process a folder.
#[derive(Debug, Clone)]
pub struct Workspaces {
    dir: PathBuf,
    most: usize,
    // Held while a tree is made, so that two runs of one manifest make it once.
    making: Arc<Mutex<()>>,
    users: Arc<Mutex<Users>>,
}

/// Trees in use, and when they last were.
#[derive(Debug, Default)]
struct Users {
    uses: BTreeMap<BlobId, usize>,
    last: BTreeMap<BlobId, u64>,
    clock: u64,
}

/// A tree in use; it stays as it is while this or a clone lives.
#[derive(Debug, Clone)]
pub struct Workspace {
    path: PathBuf,
    _use: Arc<Use>,
}

/// One user of a tree.
#[derive(Debug)]
struct Use {
    id: BlobId,
    users: Arc<Mutex<Users>>,
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut users = lock(&self.users);
        if let Some(count) = users.uses.get_mut(&self.id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                users.uses.remove(&self.id);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic may leave half-done is on disk, and checked before it is used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a tree could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// A blob of it is not in the store.
    #[error("blob {0} of the tree is missing")]
    Missing(BlobId),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A pack of it cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Its paths cannot be files together.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system's reason.
    #[error("make {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Workspaces {
    /// Opens or makes the folder, clearing away unfinished trees. At most `most` unused trees are kept.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn open(dir: &Path, most: usize) -> Result<Self, WorkspaceError> {
        std::fs::create_dir_all(dir).map_err(failed(dir))?;
        let this = Self { dir: dir.to_owned(), most, making: Arc::default(), users: Arc::default() };
        for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
            this.clear(&entry.map_err(failed(dir))?);
        }
        Ok(this)
    }

    /// The tree of a manifest whose blobs are all in the store; made, or found from an earlier run and checked.
    /// Blocks for as long as it takes to write the tree.
    ///
    /// # Errors
    /// Where a blob is missing or the tree cannot be written; nothing half-made is left.
    pub fn prepare(&self, store: &Store, manifest: &BlobId) -> Result<Workspace, WorkspaceError> {
        let _making = lock(&self.making);
        let workspace = Workspace { path: self.place(manifest), _use: Arc::new(self.begin(manifest)) };
        // Another run uses it: it was checked then.
        if lock(&self.users).uses.get(manifest).is_some_and(|count| *count > 1) {
            return Ok(workspace);
        }
        if Record::load(&self.record(manifest)).is_some_and(|record| record.matches(&workspace.path)) {
            return Ok(workspace);
        }
        self.remove(manifest);
        let bytes = store.read(manifest)?.ok_or(WorkspaceError::Missing(*manifest))?;
        let decoded = Manifest::decode(&bytes)?;
        self.bound();
        self.make(store, manifest, &decoded)?;
        Ok(workspace)
    }

    /// Makes a tree out of another one that is not in use, or from nothing.
    fn make(&self, store: &Store, id: &BlobId, manifest: &Manifest) -> Result<(), WorkspaceError> {
        let scratch = self.dir.join(format!("{UNFINISHED}{id}"));
        tree::remove(&scratch);
        let base = self.take_base(manifest, &scratch);
        let made = match making::make(store, manifest, base, &scratch) {
            Ok(record) => self.finish(id, &record, &scratch),
            Err(error) => Err(error),
        };
        if made.is_err() {
            tree::remove(&scratch);
            self.remove(id);
        }
        made
    }

    fn finish(&self, id: &BlobId, record: &Record, scratch: &Path) -> Result<(), WorkspaceError> {
        let file = self.record(id);
        record.save(&file).map_err(failed(&file))?;
        std::fs::rename(scratch, self.place(id)).map_err(failed(scratch))
    }

    /// Moves the unused tree that has most in common to `scratch`; its record, or none where no tree is near.
    fn take_base(&self, manifest: &Manifest, scratch: &Path) -> Option<Record> {
        let groups: Vec<BlobId> = making::groups(manifest);
        let near = |id: &BlobId| {
            let record = Record::load(&self.record(id))?;
            let shared = record.shared(manifest.root, &groups);
            (shared * 2 >= groups.len().max(1)).then_some((shared, *id, record))
        };
        let unused = self.unused();
        let (_, id, record) = unused.iter().filter_map(near).max_by_key(|(shared, id, _)| (*shared, *id))?;
        let place = self.place(&id);
        let sound = record.matches(&place);
        // Without its record it is no tree any more, whatever happens next.
        let taken = std::fs::remove_file(self.record(&id)).is_ok();
        if sound && taken && std::fs::rename(&place, scratch).is_ok() {
            return Some(record);
        }
        self.remove(&id);
        None
    }

    /// Removes the trees that were not used for longest, leaving room for one more.
    fn bound(&self) {
        let mut unused = self.unused();
        let last = lock(&self.users).last.clone();
        // Those of an earlier process come first.
        unused.sort_by_key(|id| (last.get(id).copied().unwrap_or_default(), *id));
        let excess = unused.len().saturating_sub(self.most);
        unused.iter().take(excess).for_each(|id| self.remove(id));
    }

    fn unused(&self) -> Vec<BlobId> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| id::parse(entry.file_name().to_str()?));
        let users = lock(&self.users);
        named.filter(|id| !users.uses.contains_key(id)).collect()
    }

    fn begin(&self, id: &BlobId) -> Use {
        let mut users = lock(&self.users);
        users.clock += 1;
        let now = users.clock;
        users.last.insert(*id, now);
        *users.uses.entry(*id).or_default() += 1;
        Use { id: *id, users: Arc::clone(&self.users) }
    }

    fn place(&self, id: &BlobId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    fn record(&self, id: &BlobId) -> PathBuf {
        self.dir.join(format!("{id}.{RECORD}"))
    }

    fn remove(&self, id: &BlobId) {
        let _ = std::fs::remove_file(self.record(id));
        tree::remove(&self.place(id));
        lock(&self.users).last.remove(id);
    }

    /// Removes what an earlier process left unfinished.
    fn clear(&self, entry: &std::fs::DirEntry) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { return };
        let (stem, is_record) = match name.strip_suffix(&format!(".{RECORD}")) {
            Some(stem) => (stem, true),
            None => (name, false),
        };
        let partner = id::parse(stem).map(|id| if is_record { self.place(&id) } else { self.record(&id) });
        let lonely = partner.is_some_and(|partner| !partner.exists());
        if name.starts_with(UNFINISHED) || lonely {
            tree::remove(&entry.path());
        }
    }
}

impl Workspace {
    /// The root of the tree, absolute where the folder was.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Names the file in an error.
fn failed(path: &Path) -> impl FnOnce(io::Error) -> WorkspaceError {
    let path = path.to_owned();
    move |source| WorkspaceError::Io { path, source }
}
