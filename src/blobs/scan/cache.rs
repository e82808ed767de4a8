//! Remembers which blobs a file or a group of files became, by how the files looked.
//!
//! The cache is one file, replaced as a whole. What it says is believed only for content that is still in the store,
//! and, after the machine was started anew, that still has its name: a crash may have torn what was never synced.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::blobs::manifest::{Chunk, PackRef};
use crate::blobs::store::Store;

/// Format number; another format is as good as no cache.
const FORMAT: u8 = 1;
/// Scans after which an unused entry is dropped.
const AGE_MAX: u32 = 100;
/// Bytes of the file: some hundred shells; a larger one is as good as none.
const FILE_MAX: u64 = 64 << 20;
/// What differs after every start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A hash over how a file or a group of files looks.
pub(super) type Key = [u8; 32];

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Known {
    /// Files in a pack.
    Pack(PackRef),
    /// A file alone.
    Chunks(Vec<Chunk>),
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    key: ByteArray<32>,
    /// Scans since it was last used.
    age: u32,
    known: Known,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u8,
    boot: String,
    entries: Vec<Entry>,
}

/// The cache while a scan uses it.
#[derive(Debug)]
pub(super) struct Cache {
    entries: BTreeMap<Key, (u32, Known)>,
    boot: String,
    /// Written since the machine was started.
    trusted: bool,
    changed: bool,
}

impl Cache {
    /// Reads the file; anything that is not a cache is an empty one.
    pub(super) fn load(path: &Path) -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        let small = path.metadata().is_ok_and(|known| known.len() <= FILE_MAX);
        let bytes = if small { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
        let file = cbor4ii::serde::from_slice::<File>(&bytes).ok().filter(|file| file.format == FORMAT);
        let trusted = !boot.is_empty() && file.as_ref().is_some_and(|file| file.boot == boot);
        let entries = file.into_iter().flat_map(|file| file.entries);
        let entries = entries.map(|entry| (entry.key.into_array(), (entry.age + 1, entry.known)));
        Self { entries: entries.collect(), boot, trusted, changed: false }
    }

    /// What it became, where all of that is still there.
    pub(super) fn get(&self, key: &Key, store: &Store) -> Option<Known> {
        let (_, known) = self.entries.get(key)?;
        let there = |id| if self.trusted { store.has(&id) } else { matches!(store.read(&id), Ok(Some(_))) };
        let sound = match known {
            Known::Pack(pack) => there(pack.id),
            Known::Chunks(chunks) => chunks.iter().all(|chunk| there(chunk.id)),
        };
        sound.then(|| known.clone())
    }

    /// The entry was of use.
    pub(super) fn used(&mut self, key: &Key) {
        if let Some((age, _)) = self.entries.get_mut(key) {
            // Most scans use the same entries; only others make the file worth writing.
            self.changed |= *age > AGE_MAX / 2;
            *age = 0;
        }
    }

    pub(super) fn insert(&mut self, key: Key, known: Known) {
        self.entries.insert(key, (0, known));
        self.changed = true;
    }

    /// Replaces the file where there is something new.
    pub(super) fn save(self, path: &Path) -> io::Result<()> {
        if !self.changed && self.trusted {
            return Ok(());
        }
        let young = self.entries.into_iter().filter(|(_, (age, _))| *age <= AGE_MAX);
        let entry = |(key, (age, known))| Entry { key: ByteArray::new(key), age, known };
        let file = File { format: FORMAT, boot: self.boot, entries: young.map(entry).collect() };
        let bytes = cbor4ii::serde::to_vec(Vec::new(), &file).map_err(io::Error::other)?;
        replace(path, &bytes)
    }
}

/// All of the new file or all of the old one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let scratch = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::File::create(&scratch).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&scratch, path)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&scratch);
    }
    written
}
