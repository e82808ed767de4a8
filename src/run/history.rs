//! Durations of earlier runs, to start the longest cases first.
//!
//! Advice only: a missing, torn or foreign file means that nothing is known. Written whole to a temporary file and
//! renamed, so that a crash leaves the old one.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Observations beyond which the average moves no slower (as V8's perf data did).
const MAX_WEIGHT: u8 = 99;
/// Entries kept at most; an engine has some 100,000 cases a configuration.
const MAX_ENTRIES: usize = 1_000_000;
/// Changes with the file's meaning.
const VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Entry {
    micros: u64,
    weight: u8,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    version: u8,
    entries: HashMap<String, Entry>,
}

/// What a case's duration is remembered under.
pub fn key(name: &str, variant_flags: &[String]) -> String {
    format!("{name} {}", variant_flags.join(" "))
}

/// Running averages of durations, by case.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    entries: HashMap<String, Entry>,
    changed: bool,
}

impl History {
    /// What is known; nothing if the file is missing or cannot be understood.
    pub fn load(path: &Path) -> Self {
        let file = std::fs::read(path).ok().and_then(|bytes| cbor4ii::serde::from_slice::<File>(&bytes).ok());
        let entries =
            file.filter(|file| file.version == VERSION).map(|file| file.entries).unwrap_or_default();
        History { path: path.to_owned(), entries, changed: false }
    }

    /// How long a case took so far, on average.
    pub fn duration(&self, case: &str) -> Option<Duration> {
        self.entries.get(case).map(|entry| Duration::from_micros(entry.micros))
    }

    /// Adds a run of a case that ended as expected.
    pub fn record(&mut self, case: &str, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.changed = true;
        if let Some(entry) = self.entries.get_mut(case) {
            let weight = u64::from(entry.weight);
            entry.micros = (entry.micros.saturating_mul(weight).saturating_add(micros)) / (weight + 1);
            entry.weight = (entry.weight + 1).min(MAX_WEIGHT);
        } else if self.entries.len() < MAX_ENTRIES {
            self.entries.insert(case.to_owned(), Entry { micros, weight: 1 });
        }
    }

    /// Writes what is known, if it changed.
    ///
    /// # Errors
    /// When the folder cannot be made or the file not be written; the old file is then still there.
    pub fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let file = File { version: VERSION, entries: std::mem::take(&mut self.entries) };
        let bytes = cbor4ii::serde::to_vec(Vec::new(), &file).map_err(io::Error::other)?;
        self.entries = file.entries;
        if let Some(folder) = self.path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let temporary = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = fs_err::write(&temporary, bytes).and_then(|()| fs_err::rename(&temporary, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        self.changed = written.is_err();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/durations");
        let mut history = History::load(&path);
        history.record("a", Duration::from_millis(100));
        history.record("a", Duration::from_millis(200));
        history.save().unwrap();
        let again = History::load(&path);
        assert_eq!(again.duration("a"), Some(Duration::from_millis(150)));
        assert_eq!(again.duration("b"), None);
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file stays");
    }

    #[test]
    fn a_torn_or_foreign_file_means_that_nothing_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("durations");
        let mut history = History::load(&path);
        history.record("a", Duration::from_millis(100));
        history.save().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bytes in [&whole[..whole.len() / 2], b"", b"[1, 2]", &[0xff; 40][..]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(History::load(&path).duration("a"), None);
        }
    }
}
