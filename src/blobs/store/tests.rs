//! What a store keeps, gives out, evicts and survives.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A store for so many bytes, without grace.
fn store(dir: &Path, cap: u64) -> Store {
    Store::open(StoreConfig { dir: dir.to_owned(), cap, floor: 0, grace: Duration::ZERO }).unwrap()
}

fn put(store: &Store, bytes: &[u8]) -> BlobId {
    let id = hash(bytes);
    store.put(&id, bytes).unwrap();
    id
}

/// Makes the blob the one not used for longer than others.
fn age(store: &Store, id: &BlobId, seconds: u64) {
    let path = store.path(id);
    let file = fs::File::open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn overwrite(store: &Store, id: &BlobId, bytes: &[u8]) {
    fs::set_permissions(store.path(id), Permissions::from_mode(0o644)).unwrap();
    fs::write(store.path(id), bytes).unwrap();
}

fn scratch_files(dir: &Path) -> usize {
    fs::read_dir(dir.join(disk::SCRATCH)).unwrap().count()
}

#[test]
fn what_is_put_is_read_back_and_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    let id = put(&store, b"content");
    assert!(store.has(&id));
    assert_eq!(store.length(&id), Some(7));
    assert_eq!(store.read(&id).unwrap().unwrap(), b"content");
    let mode = fs::metadata(store.path(&id)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    store.put(&id, b"content").unwrap();
    assert_eq!(store.used(), 7);
    assert_eq!(scratch_files(dir.path()), 0);
}

#[test]
fn what_is_not_here_is_not_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    assert!(!store.has(&hash(b"x")) && store.length(&hash(b"x")).is_none());
    assert!(store.read(&hash(b"x")).unwrap().is_none());
}

#[test]
fn content_under_a_wrong_name_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    let id = hash(b"right");
    assert!(matches!(store.put(&id, b"wrong"), Err(StoreError::Mismatch(named)) if named == id));
    assert!(!store.has(&id));
    let large = vec![0; usize::try_from(BLOB_MAX).unwrap() + 1];
    assert!(matches!(store.add(&large), Err(StoreError::TooLarge(_))));
}

#[test]
fn a_changed_file_is_never_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    for change in [b"CONTENT".as_slice(), b"", b"content and more"] {
        let id = put(&store, b"content");
        overwrite(&store, &id, change);
        assert!(store.read(&id).unwrap().is_none());
        assert!(!store.has(&id));
    }
    assert_eq!(put(&store, b"content"), hash(b"content"));
    assert_eq!(store.read(&hash(b"content")).unwrap().unwrap(), b"content");
}

#[test]
fn a_file_torn_anywhere_is_noticed_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let content = b"some content of a blob";
    let id = hash(content);
    for end in 0..content.len() {
        let first = store(dir.path(), 1 << 20);
        put(&first, content);
        overwrite(&first, &id, &content[..end]);
        let second = store(dir.path(), 1 << 20);
        assert!(second.has(&id));
        assert!(second.read(&id).unwrap().is_none() && !second.has(&id), "torn at {end}");
        second.put(&id, content).unwrap();
        assert_eq!(second.read(&id).unwrap().unwrap(), content);
    }
}

#[test]
fn putting_replaces_a_damaged_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    let id = put(&store, b"content");
    overwrite(&store, &id, b"CONTENT");
    store.put(&id, b"content").unwrap();
    assert_eq!(store.read(&id).unwrap().unwrap(), b"content");
}

#[test]
fn links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    let id = put(&store, b"content");
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(store.path(&id), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, store.path(&id)).unwrap();
    assert!(!store.has(&id));
    assert!(store.read(&id).is_err());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 35);
    let (old, used, young) = (put(&store, &[1; 10]), put(&store, &[2; 10]), put(&store, &[3; 10]));
    [(&old, 5_000), (&used, 9_000), (&young, 100)].into_iter().for_each(|(id, by)| age(&store, id, by));
    store.read(&used).unwrap().unwrap();
    let new = put(&store, &[4; 10]);
    let here = [old, used, young, new].map(|id| store.has(&id));
    assert_eq!(here, [false, true, true, true]);
    assert_eq!(store.used(), 30);
    assert_eq!(store.read(&used).unwrap().unwrap(), [2; 10]);
}

#[test]
fn pinned_blobs_stay_whatever_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 30);
    let ids = [put(&store, &[1; 10]), put(&store, &[2; 10])];
    ids.iter().for_each(|id| age(&store, id, 9_000));
    let (first, second) = (store.pin(ids), store.pin(ids));
    drop(first);
    put(&store, &[3; 10]);
    let full = store.put(&hash(&[4; 20]), &[4; 20]).unwrap_err();
    assert!(matches!(full, StoreError::Full { needed: 20, .. }), "{full}");
    assert!(full.to_string().contains("hint: "));
    assert!(ids.iter().all(|id| store.has(id)));
    drop(second);
    put(&store, &[5; 20]);
    assert!(store.used() <= 30);
}

#[test]
fn what_others_have_just_put_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = |grace| StoreConfig { dir: dir.path().to_owned(), cap: 20, floor: 0, grace };
    let other = Store::open(config(Duration::ZERO)).unwrap();
    let id = put(&other, &[1; 15]);
    let careful = Store::open(config(StoreConfig::GRACE)).unwrap();
    assert!(matches!(careful.put(&hash(&[2; 15]), &[2; 15]), Err(StoreError::Full { .. })));
    assert_eq!(careful.read(&id).unwrap().unwrap(), [1; 15]);
    age(&other, &id, 9_000);
    put(&careful, &[2; 15]);
}

#[test]
fn room_for_others_is_left_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { floor: u64::MAX, cap: 100, ..StoreConfig::new(dir.path().to_owned()) };
    let store = Store::open(config).unwrap();
    assert!(matches!(store.put(&hash(b"x"), b"x"), Err(StoreError::Full { .. })));
    store.keep_partial(&hash(b"x"), b"x");
    assert!(store.partial(&hash(b"x")).is_empty());
}

#[test]
fn a_write_that_fails_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    let (old, new) = (put(&store, b"old"), hash(b"new"));
    for written in 0..=3 {
        let full = |file: &mut fs::File| {
            file.write_all(&b"new"[..written])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        assert!(matches!(store.keep(&new, full), Err(StoreError::Io { .. })));
        assert!(!store.has(&new) && scratch_files(dir.path()) == 0);
    }
    assert_eq!(store.read(&old).unwrap().unwrap(), b"old");
    assert_eq!(store.used(), 3);
    put(&store, b"new");
}

#[test]
fn scratch_of_dead_processes_is_cleared_and_of_living_ones_kept() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 1);
    let scratch = dir.path().join(disk::SCRATCH);
    let own = format!("{}-99", std::process::id());
    for name in [own.as_str(), "999999999-1", "garbage", "0-1"] {
        fs::write(scratch.join(name), "x").unwrap();
    }
    store(dir.path(), 1);
    let left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [own.as_str()]);
}

#[test]
fn a_beginning_is_kept_until_the_whole_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    let id = hash(b"content");
    assert!(store.partial(&id).is_empty());
    store.keep_partial(&id, b"con");
    assert_eq!(store.partial(&id), b"con");
    store.keep_partial(&id, b"conten");
    assert_eq!(store.partial(&id), b"conten");
    put(&store, b"content");
    assert!(store.partial(&id).is_empty());
}

#[test]
fn beginnings_are_few() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20);
    (0..PARTIALS_MAX + 9).for_each(|n| store.keep_partial(&hash(&n.to_le_bytes()), b"x"));
    assert_eq!(fs::read_dir(dir.path().join(disk::PARTIALS)).unwrap().count(), PARTIALS_MAX);
}

#[test]
fn foreign_files_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let first = store(dir.path(), 100);
    let id = put(&first, &[1; 60]);
    let folder = first.path(&id).parent().unwrap().to_owned();
    fs::write(folder.join("README"), [0; 500]).unwrap();
    OpenOptions::new().write(true).create_new(true).open(dir.path().join("objects/x")).unwrap();
    let second = store(dir.path(), 100);
    assert_eq!(second.used(), 60);
    put(&second, &[2; 60]);
    assert!(folder.join("README").exists() && !second.has(&id));
}

#[test]
fn a_small_disk_is_not_left_to_others_altogether() {
    assert_eq!(StoreConfig::floor_of(1 << 40), StoreConfig::FLOOR);
    assert_eq!(StoreConfig::floor_of(20 << 20), 1 << 20, "a memory file system of 20 MiB can be used");
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig::new(dir.path().join("not/there/yet"));
    assert!(config.floor <= StoreConfig::FLOOR);
}
