//! Blobs on disk, named by their hash: a cache that may lose content but never gives out anything else.
//!
//! A blob is written beside its place, hashed and renamed, so that another process sees all of it or nothing. Nothing is
//! synced: what this process has not hashed itself, or what was touched since by anybody (device, inode, size or
//! change time differ), is hashed before it is given out, and goes where it is not what its name says. So a torn file
//! after a crash costs a fetch, and a sync a blob is saved.
//!
//! Several processes may share the folder. A pin is known only to the process that holds it; what others have just put
//! or read is left alone for [`StoreConfig::grace`].

mod disk;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use disk::Seen;

use super::id::{BlobId, hash};
use super::manifest::BLOB_MAX;

/// Beginnings of blobs that are kept at once; each is below [`BLOB_MAX`], nearly all below a tenth of it.
pub const PARTIALS_MAX: usize = 64;
/// How exactly use is remembered on disk; finer would write at every read.
const USE_GRAIN: Duration = Duration::from_secs(600);
/// Puts after which the folder is counted again, for what other processes put meanwhile.
const RECOUNT: u32 = 1_024;
/// Share of the cap that one eviction frees beyond what is needed, so that not every blob evicts: 1/20.
const SLACK: u64 = 20;

/// Where a store lies and how large it may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Made where it is missing; holds nothing else.
    pub dir: PathBuf,
    /// Bytes of all blobs; nothing is kept beyond.
    pub cap: u64,
    /// Bytes of the file system that are left to others.
    pub floor: u64,
    /// How long what was just put or used cannot be evicted, for pins of other processes.
    pub grace: Duration,
}

impl StoreConfig {
    /// Bytes of all blobs unless said otherwise: some shells and all test trees.
    pub const CAP: u64 = 10 << 30;
    /// Bytes left to others unless said otherwise, or the file system is small.
    pub const FLOOR: u64 = 1 << 30;
    /// Share of a small file system that is left to others: 1/20.
    const FLOOR_SHARE: u64 = 20;
    /// Longer than any run takes from scanning to its first job.
    pub const GRACE: Duration = Duration::from_secs(600);

    /// In this folder, with the usual bounds.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        // The folder need not be there yet.
        let system = dir.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok());
        let size = system.map_or(u64::MAX, |known| known.f_blocks.saturating_mul(known.f_frsize));
        Self { dir, cap: Self::CAP, floor: Self::floor_of(size), grace: Self::GRACE }
    }

    /// What is left to others on a file system of that size: not all of a small one.
    fn floor_of(size: u64) -> u64 {
        Self::FLOOR.min(size / Self::FLOOR_SHARE)
    }
}

/// Why a blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system's reason.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The bytes are not what their name says.
    #[error("content is not {0}, as it was named")]
    Mismatch(BlobId),
    /// No room, and nothing that could go.
    #[error("no room for {needed} bytes in {}\nhint: raise the store's limit or free disk space", dir.display())]
    Full {
        /// The store.
        dir: PathBuf,
        /// Bytes to be kept.
        needed: u64,
    },
    /// Larger than any blob.
    #[error("blob of {0} bytes is too large")]
    TooLarge(u64),
}

/// A folder of blobs; clones share it. Every method blocks on the disk.
#[derive(Debug, Clone)]
pub struct Store {
    config: Arc<StoreConfig>,
    // Locked for look-ups only, never while the disk works.
    shelf: Arc<Mutex<Shelf>>,
}

/// What this process knows.
#[derive(Debug, Default)]
struct Shelf {
    /// Blobs hashed by this process, as their files were then.
    verified: BTreeMap<BlobId, Seen>,
    /// How many pins hold a blob.
    pins: BTreeMap<BlobId, u32>,
    /// Bytes on disk as far as known; recounted before anything is evicted and every so many puts.
    used: u64,
    /// Blobs put since the last count.
    uncounted: u32,
}

/// Keeps its blobs from being evicted while it lives.
#[derive(Debug)]
pub struct Pin {
    ids: Vec<BlobId>,
    shelf: Arc<Mutex<Shelf>>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut shelf = lock(&self.shelf);
        for id in &self.ids {
            shelf.unpin(id);
        }
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // No code that can panic runs under the lock.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens or makes the folder and clears away what a crash left.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn open(config: StoreConfig) -> Result<Self, StoreError> {
        for sub in [disk::OBJECTS, disk::PARTIALS, disk::SCRATCH] {
            let path = config.dir.join(sub);
            std::fs::create_dir_all(&path).map_err(failed("make", &path))?;
        }
        disk::clear_scratch(&config.dir);
        let used = disk::objects(&config.dir).iter().map(|object| object.length).sum();
        let shelf = Shelf { used, ..Shelf::default() };
        Ok(Self { config: Arc::new(config), shelf: Arc::new(Mutex::new(shelf)) })
    }

    /// Where it lies and how large it may become.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Whether a blob is here. It may still turn out damaged when it is read.
    #[must_use]
    pub fn has(&self, id: &BlobId) -> bool {
        self.path(id).symlink_metadata().is_ok_and(|known| known.is_file())
    }

    /// Bytes of a blob; none where it is not here.
    #[must_use]
    pub fn length(&self, id: &BlobId) -> Option<u64> {
        let known = self.path(id).symlink_metadata().ok()?;
        known.is_file().then_some(known.len())
    }

    /// The content; none where it is not here. One that turns out damaged is removed, reported in the log, and not here.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(id);
        let Some(mut file) = disk::open(&path).map_err(failed("open", &path))? else { return Ok(None) };
        let (seen, bytes) = disk::read_all(&mut file).map_err(failed("read", &path))?;
        if lock(&self.shelf).verified.get(id) != Some(&seen) {
            if hash(&bytes) != *id {
                tracing::warn!(blob = %id, path = %path.display(), "a damaged blob is removed");
                self.remove(id, seen.length);
                return Ok(None);
            }
            lock(&self.shelf).verified.insert(*id, seen);
        }
        self.mark_used(id, &file, &seen);
        Ok(Some(bytes))
    }

    /// Keeps content under its name, evicting what was not used for longest where there is no room.
    ///
    /// # Errors
    /// Where it has another name, or there is no room; then nothing changed.
    pub fn put(&self, id: &BlobId, bytes: &[u8]) -> Result<(), StoreError> {
        if hash(bytes) != *id {
            return Err(StoreError::Mismatch(*id));
        }
        self.put_hashed(id, bytes)
    }

    fn put_hashed(&self, id: &BlobId, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() as u64 > BLOB_MAX {
            return Err(StoreError::TooLarge(bytes.len() as u64));
        }
        // Same name and length: read() would remove it if it were anything else.
        if self.length(id) == Some(bytes.len() as u64) && matches!(self.read(id), Ok(Some(_))) {
            return Ok(());
        }
        self.make_room(bytes.len() as u64)?;
        self.keep(id, |file| io::Write::write_all(file, bytes))
    }

    /// Keeps content under the name it has.
    ///
    /// # Errors
    /// Where there is no room, or it is larger than any blob.
    pub fn add(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let id = hash(bytes);
        self.put_hashed(&id, bytes)?;
        Ok(id)
    }

    /// What an earlier, broken transfer left of a blob; empty where nothing.
    #[must_use]
    pub fn partial(&self, id: &BlobId) -> Vec<u8> {
        let path = self.config.dir.join(disk::PARTIALS).join(id.to_string());
        let read =
            disk::open(&path).and_then(|file| file.map(|mut file| disk::read_all(&mut file)).transpose());
        read.ok().flatten().map(|(_, bytes)| bytes).unwrap_or_default()
    }

    /// Keeps the beginning of a blob for a later transfer, in place of others where there are too many. Best effort;
    /// nothing of it is believed before the whole is hashed.
    pub fn keep_partial(&self, id: &BlobId, bytes: &[u8]) {
        let partials = self.config.dir.join(disk::PARTIALS);
        if bytes.is_empty() || self.free() < self.config.floor {
            return;
        }
        disk::drop_oldest(&partials, PARTIALS_MAX - 1);
        let place = partials.join(id.to_string());
        let _ = disk::write_beside(&self.config.dir, &place, |file| io::Write::write_all(file, bytes));
    }

    /// Forgets what was left of a blob.
    pub fn drop_partial(&self, id: &BlobId) {
        let _ = std::fs::remove_file(self.config.dir.join(disk::PARTIALS).join(id.to_string()));
    }

    /// Keeps these, present or yet to come, from eviction until the pin is dropped.
    #[must_use]
    pub fn pin(&self, ids: impl IntoIterator<Item = BlobId>) -> Pin {
        let ids: Vec<BlobId> = ids.into_iter().collect();
        let mut shelf = lock(&self.shelf);
        ids.iter().for_each(|id| *shelf.pins.entry(*id).or_default() += 1);
        Pin { ids, shelf: Arc::clone(&self.shelf) }
    }

    /// Bytes of all blobs, as far as this process knows.
    #[must_use]
    pub fn used(&self) -> u64 {
        lock(&self.shelf).used
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        disk::object(&self.config.dir, id)
    }

    /// Writes a blob whose content was hashed, by a function that tests let fail.
    fn keep(
        &self,
        id: &BlobId,
        fill: impl FnOnce(&mut std::fs::File) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let path = self.path(id);
        let seen = disk::write_beside(&self.config.dir, &path, fill).map_err(failed("write", &path))?;
        let mut shelf = lock(&self.shelf);
        shelf.verified.insert(*id, seen);
        shelf.used = shelf.used.saturating_add(seen.length);
        shelf.uncounted = shelf.uncounted.saturating_add(1);
        drop(shelf);
        self.drop_partial(id);
        Ok(())
    }

    fn remove(&self, id: &BlobId, length: u64) {
        if std::fs::remove_file(self.path(id)).is_ok() {
            let mut shelf = lock(&self.shelf);
            shelf.verified.remove(id);
            shelf.used = shelf.used.saturating_sub(length);
        }
    }

    /// Remembers on disk that a blob is used, coarsely.
    fn mark_used(&self, id: &BlobId, file: &std::fs::File, seen: &Seen) {
        let now = SystemTime::now();
        let age = now.duration_since(seen.modified).unwrap_or_default();
        if age > USE_GRAIN
            && file.set_modified(now).is_ok()
            && let Ok(touched) = disk::seen(file)
            && touched.length == seen.length
        {
            lock(&self.shelf).verified.insert(*id, touched);
        }
    }

    fn free(&self) -> u64 {
        // Where the system does not say, writing will.
        rustix::fs::statvfs(&self.config.dir)
            .map_or(u64::MAX, |known| known.f_bavail.saturating_mul(known.f_frsize))
    }

    /// Makes sure that so many bytes may be written.
    fn make_room(&self, needed: u64) -> Result<(), StoreError> {
        let over = |used: u64, free: u64| {
            let beyond_cap = used.saturating_add(needed).saturating_sub(self.config.cap);
            let beyond_floor = self.config.floor.saturating_add(needed).saturating_sub(free);
            beyond_cap.max(beyond_floor)
        };
        if over(self.used(), self.free()) == 0 && lock(&self.shelf).uncounted < RECOUNT {
            return Ok(());
        }
        let mut objects = disk::objects(&self.config.dir);
        let used = lock(&self.shelf).count(&objects);
        let excess = over(used, self.free());
        if excess == 0 {
            return Ok(());
        }
        objects.sort_by_key(|object| (object.modified, object.id));
        let freed = self.evict(&objects, excess.saturating_add(self.config.cap / SLACK));
        let full = StoreError::Full { dir: self.config.dir.clone(), needed };
        if freed >= excess { Ok(()) } else { Err(full) }
    }

    /// Removes from the front until so much is freed, or nothing may go; says how much.
    fn evict(&self, oldest_first: &[disk::Object], wanted: u64) -> u64 {
        let now = SystemTime::now();
        let mut freed = 0u64;
        for object in oldest_first {
            if freed >= wanted {
                break;
            }
            // A time ahead of ours counts as just now.
            let age = now.duration_since(object.modified).unwrap_or_default();
            let pinned = lock(&self.shelf).pins.contains_key(&object.id);
            if !pinned && age >= self.config.grace {
                self.remove(&object.id, object.length);
                freed = freed.saturating_add(object.length);
            }
        }
        freed
    }
}

/// Names the file in an error.
fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}
