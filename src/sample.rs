//! The sample tree: a small V8 checkout written for this project, compiled in.
//!
//! Unpacked into the cache under a name that changes with its content, so that a command printed after a run still
//! works later.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

static TREE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/fixtures/v8-mini");

/// Written last: a folder without it is incomplete.
const COMPLETE: &str = ".complete";

/// Unpacks the tree below a folder and returns where it is.
///
/// # Errors
/// When the folder cannot be written.
pub fn unpack(cache: &Path) -> io::Result<PathBuf> {
    let root = cache.join(format!("sample-{:016x}", fingerprint(&TREE)));
    if root.join(COMPLETE).is_file() {
        return Ok(root);
    }
    let scratch = cache.join(format!("sample.{}.tmp", std::process::id()));
    write(&TREE, &scratch)?;
    fs_err::write(scratch.join(COMPLETE), "")?;
    match fs_err::rename(&scratch, &root) {
        Ok(()) => Ok(root),
        // Another process was quicker, or an incomplete one is in the way.
        Err(error) => {
            let taken = root.join(COMPLETE).is_file();
            let removed = std::fs::remove_dir_all(if taken { &scratch } else { &root });
            match (taken, removed) {
                (true, _) => Ok(root),
                (false, Ok(())) => fs_err::rename(&scratch, &root).map(|()| root),
                (false, Err(_)) => Err(error),
            }
        }
    }
}

fn write(dir: &Dir<'_>, root: &Path) -> io::Result<()> {
    fs_err::create_dir_all(root)?;
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(inner) => write(inner, &root.join(inner.path().file_name().unwrap_or_default()))?,
            DirEntry::File(file) => {
                fs_err::write(root.join(file.path().file_name().unwrap_or_default()), file.contents())?;
            }
        }
    }
    Ok(())
}

fn fingerprint(dir: &Dir<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash(dir, &mut hasher);
    hasher.finish()
}

fn hash(dir: &Dir<'_>, hasher: &mut DefaultHasher) {
    for entry in dir.entries() {
        entry.path().hash(hasher);
        match entry {
            DirEntry::Dir(inner) => hash(inner, hasher),
            DirEntry::File(file) => file.contents().hash(hasher),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_unpacked_whole_and_mended() {
        let cache = tempfile::tempdir().unwrap();
        let root = unpack(cache.path()).unwrap();
        assert!(root.join("test/mjsunit/mjsunit.status").is_file());
        std::fs::remove_file(root.join(COMPLETE)).unwrap();
        std::fs::remove_file(root.join("test/mjsunit/mjsunit.status")).unwrap();
        assert_eq!(unpack(cache.path()).unwrap(), root);
        assert!(root.join("test/mjsunit/mjsunit.status").is_file());
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "nothing temporary stays");
    }
}
