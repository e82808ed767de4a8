//! The directory walk that V8's runner makes: files of a folder by name, then its folders by name.
//!
//! Reads names only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

impl Walk<'_> {
    /// Every file below a folder, relative to it, `/`-separated.
    pub(super) fn files(&self, root: &Path) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        self.visit(root, "", 0, &mut files)?;
        Ok(files)
    }

    fn visit(&self, dir: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) -> io::Result<()> {
        let (mut dirs, mut names) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            let is_dir = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            match (is_dir, kind.is_symlink() && !self.links) {
                (true, false) => dirs.push(name),
                (true, true) => {}
                (false, _) => names.push(name),
            }
        }
        names.sort_unstable();
        files.extend(names.into_iter().map(|name| format!("{prefix}{name}")));
        dirs.sort_unstable();
        for name in self.kept(dirs) {
            if depth < MAX_DEPTH {
                self.visit(&dir.join(&name), &format!("{prefix}{name}/"), depth + 1, files)?;
            }
        }
        Ok(())
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
    fn a_link_to_a_parent_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        let walk = Walk { excluded: &[], links: true, dialect: Dialect::new(Era::V62) };
        let found = walk.files(dir.path());
        assert!(found.is_err() || found.unwrap().len() <= MAX_DEPTH + 1, "bounded, or refused by the system");
    }
}
