//! What a scan ships, leaves out and remembers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use super::*;
use crate::blobs::{StoreConfig, pack};

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config =
            StoreConfig { floor: 0, grace: Duration::ZERO, ..StoreConfig::new(dir.path().join("store")) };
        Self { store: Store::open(config).unwrap(), dir }
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn write(&self, path: &str, content: &[u8]) -> PathBuf {
        let full = self.tree().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(&full, content).unwrap();
        full
    }

    /// Scans as if it were later, when everything has settled.
    fn scan(&self, selection: &Selection) -> Result<Scanned, ScanError> {
        let later = SystemTime::now() + Duration::from_secs(60);
        scan(&self.tree(), selection, &self.store, &self.dir.path().join("cache/scan"), later)
    }

    fn workspace(&self, paths: &[&str]) -> Scanned {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self.scan(&Selection::Workspace { paths }).unwrap()
    }

    fn build(&self, programs: &[&str]) -> Result<Scanned, ScanError> {
        let programs = programs.iter().map(|path| (*path).to_owned()).collect();
        self.scan(&Selection::Build { programs })
    }

    /// Path, content and mode of everything shipped.
    fn shipped(&self, scanned: &Scanned) -> Vec<(String, Vec<u8>, bool)> {
        let blob = |id| self.store.read(id).unwrap().unwrap();
        let mut files = Vec::new();
        for reference in &scanned.manifest.packs {
            let unpacked = pack::unpack(reference, &blob(&reference.id)).unwrap();
            let file = |(member, content): (&pack::Member, &[u8])| {
                (member.path.clone(), content.to_vec(), member.executable)
            };
            files.extend(unpacked.files().map(file));
        }
        for file in &scanned.manifest.files {
            let content = file.chunks.iter().flat_map(|chunk| blob(&chunk.id)).collect();
            files.push((file.path.clone(), content, file.executable));
        }
        files.sort();
        files
    }

    fn paths(&self, scanned: &Scanned) -> Vec<String> {
        self.shipped(scanned).into_iter().map(|(path, _, _)| path).collect()
    }
}

/// Bytes that do not repeat.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_workspace_ships_what_is_named() {
    let place = Place::new();
    let large = noise(300_000, 1);
    place.write("test/a/x.js", b"x");
    place.write("test/a/sub/y.js", b"");
    place.write("test/a/large.js", &large);
    place.write("test/a/.git/config", b"no");
    place.write("test/b/z.js", b"no");
    let tool = place.write("tools/t.js", b"t");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
    let scanned = place.workspace(&["test/a/", "tools/t.js", "not/there"]);
    let expected = [
        ("test/a/large.js".to_owned(), large, false),
        ("test/a/sub/y.js".to_owned(), vec![], false),
        ("test/a/x.js".to_owned(), b"x".to_vec(), false),
        ("tools/t.js".to_owned(), b"t".to_vec(), true),
    ];
    assert_eq!(place.shipped(&scanned), expected);
    let stored = place.store.read(&scanned.id).unwrap().unwrap();
    assert_eq!(Manifest::decode(&stored).unwrap(), scanned.manifest);
    assert!(scanned.skipped.is_empty());
}

#[test]
fn a_build_ships_programs_and_their_data_only() {
    let place = Place::new();
    let files = [
        "d8",
        "unittests",
        "snapshot_blob.bin",
        "snapshot_blob_trusted.bin",
        "natives_blob.bin",
        "icudtl.dat",
        "libv8.so",
        "libc++.so.1",
        "obj/v8.o",
        "gen/x.so",
        "lib.target/libicu.so",
        "build.ninja",
        "d8.map",
    ];
    files.iter().for_each(|path| drop(place.write(path, path.as_bytes())));
    let scanned = place.build(&["d8"]).unwrap();
    let expected = [
        "d8",
        "icudtl.dat",
        "lib.target/libicu.so",
        "libc++.so.1",
        "libv8.so",
        "natives_blob.bin",
        "snapshot_blob.bin",
        "snapshot_blob_trusted.bin",
    ];
    assert_eq!(place.paths(&scanned), expected);
    assert!(matches!(place.build(&["d9"]), Err(ScanError::NoProgram(path)) if path.ends_with("d9")));
}

#[test]
fn nothing_is_read_twice() {
    let place = Place::new();
    (0..600).for_each(|n| drop(place.write(&format!("test/a/f{n:04}.js"), &noise(100, n))));
    place.write("test/a/large", &noise(2_000_000, 1));
    let first = place.workspace(&["test"]);
    assert_eq!(first.bytes_read, 600 * 100 + 2_000_000);
    let second = place.workspace(&["test"]);
    assert_eq!((second.bytes_read, second.id), (0, first.id));
    place.write("test/a/f0300.js", b"changed");
    let third = place.workspace(&["test"]);
    assert!(third.bytes_read < 60_000 && third.id != first.id);
    let (before, after) = (first.manifest.blobs(), third.manifest.blobs());
    assert_eq!(after.iter().filter(|blob| !before.contains(blob)).count(), 1);
}

#[test]
fn a_file_that_only_looks_new_ships_nothing_new() {
    let place = Place::new();
    let file = place.write("test/a.js", b"same");
    let first = place.workspace(&["test"]);
    fs::remove_file(&file).unwrap();
    place.write("test/a.js", b"same");
    let second = place.workspace(&["test"]);
    assert_eq!((second.id, second.bytes_read), (first.id, 4));
}

#[test]
fn a_file_written_just_now_is_not_remembered() {
    let place = Place::new();
    place.write("test/a.js", b"a");
    let selection = Selection::Workspace { paths: vec!["test".to_owned()] };
    let cache = place.dir.path().join("cache");
    for _ in 0..2 {
        let now = SystemTime::now();
        let scanned = scan(&place.tree(), &selection, &place.store, &cache, now).unwrap();
        assert_eq!(scanned.bytes_read, 1);
    }
}

#[test]
fn a_cache_that_is_torn_or_foreign_costs_time_only() {
    let place = Place::new();
    place.write("test/a.js", b"a");
    let first = place.workspace(&["test"]);
    let cache = place.dir.path().join("cache/scan");
    let whole = fs::read(&cache).unwrap();
    for end in 0..whole.len() {
        fs::write(&cache, &whole[..end]).unwrap();
        assert_eq!(place.workspace(&["test"]).id, first.id);
    }
    fs::remove_file(&cache).unwrap();
    fs::create_dir(&cache).unwrap();
    assert_eq!(place.workspace(&["test"]).id, first.id);
}

#[test]
fn what_the_store_lost_is_read_again() {
    let place = Place::new();
    place.write("test/a.js", b"a");
    place.write("test/large", &noise(200_000, 3));
    let first = place.workspace(&["test"]);
    fs::remove_dir_all(place.dir.path().join("store/objects")).unwrap();
    let second = place.workspace(&["test"]);
    assert_eq!((second.id, second.bytes_read), (first.id, 200_001));
    assert_eq!(place.shipped(&second).len(), 2);
}

#[test]
fn links_become_content_and_never_loops() {
    let place = Place::new();
    place.write("elsewhere/data/t.js", b"t");
    place.write("test/a/x.js", b"x");
    symlink("../../elsewhere/data", place.tree().join("test/a/data")).unwrap();
    symlink("x.js", place.tree().join("test/a/y.js")).unwrap();
    symlink("..", place.tree().join("test/a/loop")).unwrap();
    symlink("nothing", place.tree().join("test/a/dangling")).unwrap();
    let scanned = place.workspace(&["test"]);
    assert_eq!(place.paths(&scanned), ["test/a/data/t.js", "test/a/x.js", "test/a/y.js"]);
    assert_eq!(scanned.skipped.len(), 2);
}

#[test]
fn what_cannot_travel_is_named() {
    let place = Place::new();
    place.write("test/a.js", b"1");
    place.write("test/A.js", b"2");
    place.write("test/back\\slash", b"3");
    let fifo = place.tree().join("test/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let scanned = place.workspace(&["test"]);
    assert_eq!(place.paths(&scanned), ["test/A.js"]);
    assert_eq!(scanned.skipped.len(), 3);
}

#[test]
fn a_shell_linked_anew_keeps_most_chunks() {
    let place = Place::new();
    let mut shell = noise(8 << 20, 1);
    place.write("d8", &shell);
    let before = place.build(&["d8"]).unwrap().manifest.blobs();
    // Something grew, and everything behind it moved.
    shell.splice(3 << 20..3 << 20, noise(1_000, 2));
    place.write("d8", &shell);
    let after = place.build(&["d8"]).unwrap().manifest.blobs();
    let new: u64 = after.iter().filter(|blob| !before.contains(blob)).map(|blob| u64::from(blob.len)).sum();
    assert!(new < 1 << 20, "{new} bytes of {}", shell.len());
}

#[test]
fn a_tree_that_cannot_be_read_is_an_error() {
    let place = Place::new();
    fs::create_dir_all(place.tree()).unwrap();
    assert!(place.workspace(&["test"]).manifest.packs.is_empty());
    let outside = Selection::Workspace { paths: vec!["../store".to_owned()] };
    assert!(place.scan(&outside).unwrap().manifest.files.is_empty());
}
