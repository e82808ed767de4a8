//! What a tree was when it was made: every file, how it looked, and what it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tree::{self, Look};
use crate::blobs::BlobId;
use crate::job::Root;

/// What differs after every start of the machine: what was never synced may be torn then.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A made tree.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    boot: String,
    root: Root,
    /// By what they came from: a pack, or all that makes a large file.
    pub(super) groups: BTreeMap<BlobId, Vec<Made>>,
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, Look)", into = "(String, Look)")]
pub(super) struct Made {
    pub(super) path: String,
    pub(super) look: Look,
}

impl From<(String, Look)> for Made {
    fn from((path, look): (String, Look)) -> Self {
        Self { path, look }
    }
}

impl From<Made> for (String, Look) {
    fn from(made: Made) -> Self {
        (made.path, made.look)
    }
}

impl Record {
    pub(super) fn new(root: Root) -> Self {
        Self { boot: boot(), root, groups: BTreeMap::new() }
    }

    /// None where there is none to go by.
    pub(super) fn load(path: &Path) -> Option<Self> {
        let record: Self = cbor4ii::serde::from_slice(&std::fs::read(path).ok()?).ok()?;
        (record.boot == boot() && !record.boot.is_empty()).then_some(record)
    }

    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let bytes = cbor4ii::serde::to_vec(Vec::new(), self).map_err(io::Error::other)?;
        // Half a record is none, and the tree has its name only afterwards.
        std::fs::write(path, bytes)
    }

    /// How many of these groups it has.
    pub(super) fn shared(&self, root: Root, groups: &[BlobId]) -> usize {
        if root != self.root {
            return 0;
        }
        groups.iter().filter(|group| self.groups.contains_key(group)).count()
    }

    /// Whether a tree is as it was made: every file looks the same, and there is nothing else.
    pub(super) fn matches(&self, place: &Path) -> bool {
        let made = self.groups.values().flatten();
        let expected: BTreeMap<&str, &Look> = made.map(|made| (made.path.as_str(), &made.look)).collect();
        let mut seen = BTreeSet::new();
        let whole = tree::each(place, &mut |path, look| {
            expected.get(path).is_some_and(|expected| **expected == look) && seen.insert(path.to_owned())
        });
        whole && seen.len() == expected.len()
    }
}

fn boot() -> String {
    std::fs::read_to_string(BOOT_ID).unwrap_or_default()
}
