//! Finds the files that are shipped, without reading any.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{SKIPPED_MAX, ScanError, Selection, failed};
use crate::blobs::path::{self, DEPTH_MAX, Names};

/// What version control and Python leave in test trees; no test reads it.
const PASSED_OVER: &[&str] = &[".git", ".svn", ".hg", "__pycache__"];
/// Folders of a build directory with shared libraries, besides itself and those of its programs.
const LIBRARY_FOLDERS: &[&str] = &["", "lib", "lib.target"];

/// A file to ship.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Below the root.
    pub(super) path: String,
    pub(super) full: PathBuf,
    pub(super) executable: bool,
    pub(super) look: Look,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

impl Look {
    pub(super) fn at(known: &Metadata) -> Self {
        Self {
            device: known.dev(),
            inode: known.ino(),
            size: known.len(),
            modified: (known.mtime(), known.mtime_nsec()),
            changed: (known.ctime(), known.ctime_nsec()),
        }
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Sorted by path.
    pub(super) files: Vec<Found>,
    pub(super) skipped: Vec<(PathBuf, String)>,
}

pub(super) fn walk(dir: &Path, selection: &Selection) -> Result<Tree, ScanError> {
    let mut walk = Walk { files: BTreeMap::new(), skipped: Vec::new(), above: Vec::new() };
    match selection {
        Selection::Build { programs } => walk.build(dir, programs)?,
        Selection::Workspace { paths } => walk.workspace(dir, paths)?,
    }
    Ok(walk.finish())
}

struct Walk {
    files: BTreeMap<String, Found>,
    skipped: Vec<(PathBuf, String)>,
    /// Folders that are being walked, against links that lead back.
    above: Vec<(u64, u64)>,
}

impl Walk {
    fn build(&mut self, dir: &Path, programs: &[String]) -> Result<(), ScanError> {
        let mut folders: Vec<&str> = LIBRARY_FOLDERS.to_vec();
        for program in programs {
            let full = dir.join(program);
            if !full.metadata().is_ok_and(|known| known.is_file()) {
                return Err(ScanError::NoProgram(full));
            }
            self.file(program, &full)?;
            folders.push(program.rsplit_once('/').map_or("", |(folder, _)| folder));
        }
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            let full = if folder.is_empty() { dir.to_owned() } else { dir.join(folder) };
            for name in names(&full)?.into_iter().filter(|name| is_data(name)) {
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                self.file(&path, &full.join(&name))?;
            }
        }
        Ok(())
    }

    fn workspace(&mut self, dir: &Path, paths: &[String]) -> Result<(), ScanError> {
        for path in paths {
            let path = path.trim_end_matches('/');
            let full = dir.join(path);
            match std::fs::metadata(&full) {
                Ok(known) if known.is_dir() => self.folder(path, &full, &known)?,
                Ok(_) => self.file(path, &full)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&full)(error)),
            }
        }
        Ok(())
    }

    fn folder(&mut self, path: &str, full: &Path, known: &Metadata) -> Result<(), ScanError> {
        let identity = (known.dev(), known.ino());
        if self.above.contains(&identity) || self.above.len() >= DEPTH_MAX {
            self.skip(full, "leads back to a folder above it, or is too deep");
            return Ok(());
        }
        self.above.push(identity);
        for entry in std::fs::read_dir(full).map_err(failed(full))? {
            self.entry(path, &entry.map_err(failed(full))?)?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, folder: &str, entry: &std::fs::DirEntry) -> Result<(), ScanError> {
        let (full, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str() else {
            self.skip(&full, "has a name that is no text");
            return Ok(());
        };
        if PASSED_OVER.contains(&name) {
            return Ok(());
        }
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(failed(&full))?;
        if kind.is_file() {
            let known = entry.metadata().map_err(failed(&full))?;
            self.add(&path, &full, &known);
            return Ok(());
        }
        match std::fs::metadata(&full) {
            Ok(known) if known.is_dir() => self.folder(&path, &full, &known),
            Ok(known) => {
                self.add(&path, &full, &known);
                Ok(())
            }
            Err(_) if kind.is_symlink() => {
                self.skip(&full, "is a link to nothing");
                Ok(())
            }
            Err(error) => Err(failed(&full)(error)),
        }
    }

    fn file(&mut self, path: &str, full: &Path) -> Result<(), ScanError> {
        match std::fs::metadata(full) {
            Ok(known) => self.add(path, full, &known),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.skip(full, "is a link to nothing"),
            Err(error) => return Err(failed(full)(error)),
        }
        Ok(())
    }

    fn add(&mut self, path: &str, full: &Path, known: &Metadata) {
        if !known.is_file() {
            return self.skip(full, "is no regular file");
        }
        if let Err(error) = path::check(path) {
            return self.skip(full, &error.to_string());
        }
        let executable = known.mode() & 0o111 != 0;
        let found = Found { path: path.to_owned(), full: full.to_owned(), executable, look: Look::at(known) };
        self.files.insert(path.to_owned(), found);
    }

    fn skip(&mut self, full: &Path, why: &str) {
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push((full.to_owned(), why.to_owned()));
        }
    }

    /// Leaves out what some file system could not hold together.
    fn finish(mut self) -> Tree {
        let mut names = Names::default();
        let mut files = Vec::with_capacity(self.files.len());
        for (path, found) in std::mem::take(&mut self.files) {
            match names.add(&path) {
                Ok(()) => files.push(found),
                Err(error) => self.skip(&found.full, &error.to_string()),
            }
        }
        Tree { files, skipped: self.skipped }
    }
}

/// Names in a folder, sorted; none where there is no folder.
fn names(dir: &Path) -> Result<Vec<String>, ScanError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(failed(dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed(dir))?.file_name();
        names.extend(name.to_str().map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a shell of some era loads a file of this name (v8-test-tree.md §4.12).
fn is_data(name: &str) -> bool {
    let snapshot =
        name.ends_with(".bin") && ["snapshot", "natives", "embedded"].iter().any(|part| name.contains(part));
    let icu = name.starts_with("icudt") && name.ends_with(".dat");
    let library = name.ends_with(".so") || name.contains(".so.");
    snapshot || icu || library
}
