//! The directory walk that V8's runner makes: files of a folder by name, then its folders by name.
//!
//! Reads names, and hands each file to a look of the caller's while its folder is open: a file opened relative to its
//! folder costs the kernel no walk along the path. Folders may be read on several threads; the order of the result
//! does not depend on them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use super::DiscoverError;
use crate::frontend::dialect::Dialect;

/// Folders inside folders that are followed at most; a link to a parent ends here.
const MAX_DEPTH: usize = 64;

/// How a walk goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    /// Folder names that are left out wherever they stand.
    pub(super) excluded: &'a [&'a str],
    /// Links to folders are followed.
    pub(super) links: bool,
    /// The tree's rules.
    pub(super) dialect: Dialect,
}

/// A file that the walk stands before.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    /// Its name in its folder.
    pub(super) name: &'a str,
    folder: BorrowedFd<'a>,
}

impl File<'_> {
    /// Opens it for reading.
    pub(super) fn open(&self) -> io::Result<fs::File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(fs::File::from(openat(self.folder, self.name, flags, Mode::empty())?))
    }
}

/// What one folder holds: files with what was made of them, and the folders to go into; both by name.
struct Folder<T> {
    files: Vec<(String, T)>,
    folders: Vec<String>,
}

impl Walk<'_> {
    /// Every file below a folder, relative to it, `/`-separated.
    pub(super) fn files(&self, root: &Path) -> Result<Vec<String>, DiscoverError> {
        let files = self.look(root, 1, |_| ())?;
        Ok(files.into_iter().map(|(name, ())| name).collect())
    }

    /// Every file below a folder with what `look` makes of it, read on as many threads as asked for.
    pub(super) fn look<T: Send>(
        &self,
        root: &Path,
        threads: usize,
        look: impl Fn(&File<'_>) -> T + Sync,
    ) -> Result<Vec<(String, T)>, DiscoverError> {
        let unreadable = |path: &str, source| DiscoverError::Unreadable { path: root.join(path), source };
        let base = open_folder(CWD, root).map_err(|source| unreadable("", source))?;
        let board = Board::new(Task { prefix: String::new(), depth: 0 });
        let work = || self.work(&base, &board, &look);
        let mut results = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut results = work();
            results.extend(others.into_iter().filter_map(|handle| handle.join().ok()).flatten());
            results
        });
        // The same folder is named whichever thread came first.
        results.sort_by(|(left, _), (right, _)| left.cmp(right));
        let mut folders = HashMap::with_capacity(results.len());
        for (prefix, folder) in results {
            folders.insert(prefix.clone(), folder.map_err(|source| unreadable(&prefix, source))?);
        }
        let mut files = Vec::with_capacity(folders.values().map(|folder| folder.files.len()).sum());
        flatten(&mut folders, String::new(), &mut files);
        Ok(files)
    }

    /// Reads folders until none is left.
    fn work<T>(
        &self,
        base: &OwnedFd,
        board: &Board,
        look: &impl Fn(&File<'_>) -> T,
    ) -> Vec<(String, io::Result<Folder<T>>)> {
        let mut results = Vec::new();
        while let Some(task) = board.take() {
            let folder = self.folder(base, &task.prefix, look);
            let inner: &[String] = match &folder {
                Ok(folder) if task.depth < MAX_DEPTH => &folder.folders,
                _ => &[],
            };
            board.done(
                inner
                    .iter()
                    .map(|name| Task { prefix: format!("{}{name}/", task.prefix), depth: task.depth + 1 }),
            );
            results.push((task.prefix, folder));
        }
        results
    }

    fn folder<T>(
        &self,
        base: &OwnedFd,
        prefix: &str,
        look: &impl Fn(&File<'_>) -> T,
    ) -> io::Result<Folder<T>> {
        let path = if prefix.is_empty() { Path::new(".") } else { Path::new(prefix) };
        let mut dir = Dir::new(open_folder(base, path)?)?;
        let (mut folders, mut names) = (Vec::new(), Vec::new());
        while let Some(entry) = dir.read() {
            let entry = entry?;
            // A test whose name is not UTF-8 is listed, so that it is told when it is to run.
            let name = entry.file_name().to_string_lossy();
            let odd = entry.file_name().to_str().is_err();
            let name = &*name;
            if name == "." || name == ".." {
                continue;
            }
            let (is_dir, is_link) = kind(dir.fd()?, name, entry.file_type());
            match (is_dir, is_link && !self.links) {
                (true, _) if odd => {}
                (true, false) => folders.push(name.to_owned()),
                (true, true) => {}
                (false, _) => names.push(name.to_owned()),
            }
        }
        names.sort_unstable();
        folders.sort_unstable();
        let folder = dir.fd()?;
        let seen = |name: String| {
            let made = look(&File { name: &name, folder });
            (name, made)
        };
        Ok(Folder { files: names.into_iter().map(seen).collect(), folders: self.kept(folders) })
    }

    /// Since 10.2 V8 removes folders from the list it iterates over, so that of two adjacent excluded ones the second
    /// is walked.
    fn kept(&self, dirs: Vec<String>) -> Vec<String> {
        let excluded = |name: &String| name.starts_with('.') || self.excluded.contains(&name.as_str());
        let (mut kept, mut skip_test) = (Vec::with_capacity(dirs.len()), false);
        for name in dirs {
            if !skip_test && excluded(&name) {
                skip_test = !self.dialect.is_old();
            } else {
                kept.push(name);
                skip_test = false;
            }
        }
        kept
    }
}

/// A folder to read.
struct Task {
    /// Its path below the root, with a `/` at the end; empty for the root.
    prefix: String,
    depth: usize,
}

/// The folders to read, shared by the threads of a walk.
struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: Vec<Task>,
    /// Folders being read; each may bring more.
    busy: usize,
}

impl Board {
    fn new(first: Task) -> Self {
        Board { state: Mutex::new(State { waiting: vec![first], busy: 0 }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder to read; none once all are read.
    fn take(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.waiting.pop() {
                state.busy += 1;
                return Some(task);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A folder that was taken is read, and led to others.
    fn done(&self, more: impl Iterator<Item = Task>) {
        let mut state = self.lock();
        state.busy -= 1;
        state.waiting.extend(more);
        drop(state);
        self.changed.notify_all();
    }
}

fn open_folder(base: impl rustix::fd::AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(base, path, flags, Mode::empty())?)
}

/// Whether an entry is a folder, and whether it is a link. Most file systems say so with the name.
fn kind(folder: BorrowedFd<'_>, name: &str, known: FileType) -> (bool, bool) {
    let asked = |flags| statat(folder, name, flags).map(|stat| FileType::from_raw_mode(stat.st_mode));
    let own = match known {
        FileType::Unknown => asked(AtFlags::SYMLINK_NOFOLLOW).unwrap_or(FileType::Unknown),
        known => known,
    };
    let is_link = own == FileType::Symlink;
    let is_dir = own == FileType::Directory
        || is_link && asked(AtFlags::empty()).is_ok_and(|kind| kind == FileType::Directory);
    (is_dir, is_link)
}

/// Files of a folder, then those of its folders, with their paths.
fn flatten<T>(folders: &mut HashMap<String, Folder<T>>, prefix: String, files: &mut Vec<(String, T)>) {
    let Some(folder) = folders.remove(&prefix) else { return };
    files.extend(folder.files.into_iter().map(|(name, made)| (format!("{prefix}{name}"), made)));
    for name in folder.folders {
        flatten(folders, format!("{prefix}{name}/"), files);
    }
}

/// Folders directly inside a folder, by name, without hidden ones.
pub(super) fn folders(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort_unstable();
    names
}

/// Absolute path of a `/`-separated one below a folder.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    if path.is_empty() { root.to_owned() } else { root.join(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::dialect::Era;

    fn files(names: &[&str], excluded: &[&str], era: Era) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Walk { excluded, links: true, dialect: Dialect::new(era) }.files(dir.path()).unwrap()
    }

    #[test]
    fn files_come_before_folders_each_by_name() {
        assert_eq!(files(&["b/x", "a/y", "z", "B", "a.js"], &[], Era::V62), ["B", "a.js", "z", "a/y", "b/x"]);
    }

    #[test]
    fn of_two_adjacent_excluded_folders_the_second_is_walked_since_10_2() {
        let names = ["a/x", "b/x", "c/x", ".git/x"];
        assert_eq!(files(&names, &["a", "b"], Era::V62), ["c/x"]);
        assert_eq!(files(&names, &["b", "c"], Era::V102), ["a/x", "c/x"]);
    }

    #[test]
    fn the_order_and_what_is_read_do_not_depend_on_threads() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/x", "b/y/z", "a/x", "top"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let walk = Walk { excluded: &[], links: true, dialect: Dialect::new(Era::V102) };
        let read = |file: &File<'_>| io::read_to_string(file.open().unwrap()).unwrap();
        for threads in [1, 2, 7] {
            let found = walk.look(dir.path(), threads, read).unwrap();
            let same: Vec<(String, String)> =
                ["top", "a/x", "b/x", "b/y/z"].map(|name| (name.to_owned(), name.to_owned())).to_vec();
            assert_eq!(found, same);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let walk = Walk { excluded: &[], links: true, dialect: Dialect::new(Era::V102) };
        let error = walk.files(&dir.path().join("gone")).unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }

    #[test]
    fn a_link_to_a_parent_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        let walk = Walk { excluded: &[], links: true, dialect: Dialect::new(Era::V62) };
        let found = walk.files(dir.path());
        assert!(found.is_err() || found.unwrap().len() <= MAX_DEPTH + 1, "bounded, or refused by the system");
    }
}
