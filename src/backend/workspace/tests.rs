//! Trees made, reused, changed and refused.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::tree::Tree;
use super::*;
use crate::blobs::manifest::{Chunk, FORMAT, LargeFile};
use crate::blobs::pack::{self, Member};
use crate::blobs::{PackRef, Selection, StoreConfig, hash, scan};
use crate::job::Root;

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig { floor: 0, ..StoreConfig::new(dir.path().join("store")) };
        Self { store: Store::open(config).unwrap(), dir }
    }

    fn trees(&self) -> PathBuf {
        self.dir.path().join("trees")
    }

    fn open(&self, most: usize) -> Workspaces {
        Workspaces::open(&self.trees(), most).unwrap()
    }

    /// A manifest of files, each list a pack of its own.
    fn manifest(&self, packs: &[&[(&str, &str)]], large: &[(&str, &str)]) -> BlobId {
        let packs = packs.iter().map(|files| self.pack(files)).collect();
        let chunk = |content: &str| {
            let id = self.store.add(content.as_bytes()).unwrap();
            Chunk { id, len: u32::try_from(content.len()).unwrap() }
        };
        let file = |(path, content): &(&str, &str)| {
            let (head, tail) = content.split_at(content.len() / 2);
            LargeFile { path: (*path).to_owned(), executable: true, chunks: vec![chunk(head), chunk(tail)] }
        };
        let files = large.iter().map(file).collect();
        let (id, bytes) = Manifest { format: FORMAT, root: Root::Workspace, packs, files }.encode().unwrap();
        self.store.put(&id, &bytes).unwrap();
        id
    }

    fn pack(&self, files: &[(&str, &str)]) -> PackRef {
        let file = |(path, content): &(&str, &str)| {
            let len = u32::try_from(content.len()).unwrap();
            (Member { path: (*path).to_owned(), executable: false, len }, content.as_bytes().to_vec())
        };
        let (reference, bytes) = pack::pack(&files.iter().map(file).collect::<Vec<_>>()).unwrap();
        self.store.put(&reference.id, &bytes).unwrap();
        reference
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.trees()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Path, content and mode of every file.
fn files(root: &Path) -> Vec<(String, Vec<u8>, u32)> {
    let mut paths = Vec::new();
    assert!(tree::each(root, &mut |path, _| {
        paths.push(path.to_owned());
        true
    }));
    paths.sort();
    let file = |path: String| {
        let full = root.join(&path);
        let mode = fs::metadata(&full).unwrap().mode() & 0o7777;
        (path, fs::read(&full).unwrap(), mode)
    };
    paths.into_iter().map(file).collect()
}

fn text(root: &Path) -> Vec<(String, String)> {
    files(root).into_iter().map(|(path, bytes, _)| (path, String::from_utf8(bytes).unwrap())).collect()
}

fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn a_tree_is_made_read_only_and_found_again() {
    let place = Place::new();
    let id = place.manifest(&[&[("a/x.js", "x"), ("a/y.js", "")]], &[("d8", "program")]);
    let workspaces = place.open(4);
    let made = workspaces.prepare(&place.store, &id).unwrap();
    let expected = [
        ("a/x.js".to_owned(), b"x".to_vec(), 0o444),
        ("a/y.js".to_owned(), vec![], 0o444),
        ("d8".to_owned(), b"program".to_vec(), 0o555),
    ];
    assert_eq!(files(made.path()), expected);
    for folder in [made.path().to_owned(), made.path().join("a")] {
        assert_eq!(fs::metadata(folder).unwrap().mode() & 0o7777, 0o555);
    }
    let inode = fs::metadata(made.path()).unwrap().ino();
    drop(made);
    let again = place.open(4).prepare(&place.store, &id).unwrap();
    assert_eq!(fs::metadata(again.path()).unwrap().ino(), inode);
}

#[test]
fn a_tree_that_was_touched_is_made_anew() {
    let place = Place::new();
    let list = [("a/x.js", "x"), ("b.js", "b")];
    let id = place.manifest(&[&list], &[("d8", "program")]);
    let damages: [&dyn Fn(&Path); 6] = [
        &|root| {
            fs::set_permissions(root.join("b.js"), fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(root.join("b.js"), "B").unwrap();
            fs::set_permissions(root.join("b.js"), fs::Permissions::from_mode(0o444)).unwrap();
        },
        &|root| fs::set_permissions(root.join("d8"), fs::Permissions::from_mode(0o4755)).unwrap(),
        &|root| fs::remove_file(root.join("b.js")).unwrap(),
        &|root| fs::write(root.join("new"), "").unwrap(),
        &|root| symlink("/etc", root.join("etc")).unwrap(),
        &|root| fs::rename(root.join("a"), root.join("c")).unwrap(),
    ];
    for damage in damages {
        let workspaces = place.open(4);
        let root = workspaces.prepare(&place.store, &id).unwrap().path().to_owned();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        damage(&root);
        let again = workspaces.prepare(&place.store, &id).unwrap();
        assert_eq!(text(again.path()), pairs(&[list[0], list[1], ("d8", "program")]));
    }
}

#[test]
fn an_unused_tree_becomes_the_next_one_by_its_differences() {
    let place = Place::new();
    let (first, second, third) = ([("a/x", "x")], [("b/sub/y", "y")], [("b", "now a file")]);
    let old = place.manifest(&[&first, &second], &[("d8", "old shell"), ("icu", "data")]);
    let new = place.manifest(&[&first, &third], &[("d8", "new shell"), ("icu", "data")]);
    let workspaces = place.open(4);
    let made = workspaces.prepare(&place.store, &old).unwrap();
    let inode = |root: &Path, path: &str| fs::metadata(root.join(path)).unwrap().ino();
    let kept = (inode(made.path(), "a/x"), inode(made.path(), "icu"));
    drop(made);
    let next = workspaces.prepare(&place.store, &new).unwrap();
    let expected = [first[0], third[0], ("d8", "new shell"), ("icu", "data")];
    assert_eq!(text(next.path()), pairs(&expected));
    assert_eq!((inode(next.path(), "a/x"), inode(next.path(), "icu")), kept);
    assert_eq!(place.names(), [new.to_string(), format!("{new}.record")]);
    let both = workspaces.prepare(&place.store, &old).unwrap();
    assert_eq!(text(both.path()), pairs(&[first[0], second[0], ("d8", "old shell"), ("icu", "data")]));
    assert_eq!(text(next.path()), pairs(&expected));
}

#[test]
fn trees_in_use_stay_and_others_are_few() {
    let place = Place::new();
    let workspaces = place.open(2);
    let id = |n: usize| place.manifest(&[&[("x", n.to_string().as_str())]], &[]);
    let used = workspaces.prepare(&place.store, &id(0)).unwrap();
    let clone = used.clone();
    drop(used);
    for n in 1..8 {
        workspaces.prepare(&place.store, &id(n)).unwrap();
    }
    assert_eq!(text(clone.path()), pairs(&[("x", "0")]));
    // The one in use, two unused and the one just made.
    assert_eq!(place.names().len(), 2 * 4);
    assert!(place.trees().join(id(7).to_string()).exists());
}

#[test]
fn what_a_crash_left_is_cleared() {
    let place = Place::new();
    let id = place.manifest(&[&[("a/x", "x")]], &[]);
    drop(place.open(4).prepare(&place.store, &id).unwrap());
    let (lonely, other) = (hash(b"1"), hash(b"2"));
    fs::create_dir_all(place.trees().join(lonely.to_string()).join("a")).unwrap();
    fs::write(place.trees().join(format!("{other}.record")), "x").unwrap();
    fs::create_dir_all(place.trees().join("tmp-1/a")).unwrap();
    fs::write(place.trees().join("foreign"), "x").unwrap();
    place.open(4);
    let mut expected = [id.to_string(), format!("{id}.record"), "foreign".to_owned()];
    expected.sort();
    assert_eq!(place.names(), expected);
    // A record torn anywhere is none.
    let record = place.trees().join(format!("{id}.record"));
    let bytes = fs::read(&record).unwrap();
    for end in 0..bytes.len() {
        fs::write(&record, &bytes[..end]).unwrap();
        assert_eq!(text(place.open(4).prepare(&place.store, &id).unwrap().path()), pairs(&[("a/x", "x")]));
    }
}

#[test]
fn packs_that_clash_make_nothing() {
    let place = Place::new();
    let workspaces = place.open(4);
    type Files<'a> = &'a [(&'a str, &'a str)];
    let clashes: [(&[Files<'_>], Files<'_>); 6] = [
        (&[&[("a", "1")], &[("a", "2")]], &[]),
        (&[&[("a", "1")], &[("A", "2")]], &[]),
        (&[&[("a", "1")], &[("a/b", "2")]], &[]),
        (&[&[("a/x", "1")]], &[("A", "22")]),
        (&[&[("a/x", "1")]], &[("a/x", "22")]),
        (&[&[("b/x", "1")], &[("a", "2")], &[("B/y", "2")]], &[]),
    ];
    for (packs, large) in clashes {
        let id = place.manifest(packs, large);
        let refused = workspaces.prepare(&place.store, &id).unwrap_err();
        assert!(matches!(refused, WorkspaceError::Path(_)), "{refused}");
        assert!(place.names().is_empty());
    }
}

#[test]
fn a_missing_or_damaged_blob_is_named_and_nothing_left() {
    let place = Place::new();
    let workspaces = place.open(4);
    let id = place.manifest(&[&[("a", "1")]], &[("d8", "program")]);
    let decoded = Manifest::decode(&place.store.read(&id).unwrap().unwrap()).unwrap();
    for blob in decoded.blobs() {
        let name = blob.id.to_string();
        let file = place.dir.path().join("store/objects").join(&name[..2]).join(&name);
        let bytes = fs::read(&file).unwrap();
        let damage: [&dyn Fn(); 2] = [&|| fs::remove_file(&file).unwrap(), &|| {
            fs::remove_file(&file).unwrap();
            fs::write(&file, "damaged").unwrap();
        }];
        for damage in damage {
            damage();
            let missing = workspaces.prepare(&place.store, &id).unwrap_err();
            assert!(matches!(missing, WorkspaceError::Missing(named) if named == blob.id), "{missing}");
            assert!(place.names().is_empty());
            place.store.put(&blob.id, &bytes).unwrap();
        }
    }
    let unknown = workspaces.prepare(&place.store, &hash(b"?")).unwrap_err();
    assert!(matches!(unknown, WorkspaceError::Missing(named) if named == hash(b"?")));
}

#[test]
fn nothing_is_written_through_links() {
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let root = place.dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    symlink(&outside, root.join("a")).unwrap();
    symlink(outside.join("file"), root.join("b")).unwrap();
    let mut tree = Tree::open(&root).unwrap();
    assert!(tree.make("a/x", false, tree::write(b"x")).is_err());
    assert!(tree.make("b", false, tree::write(b"x")).is_err());
    assert!(Tree::open(&root.join("a")).is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::write(outside.join("precious"), "x").unwrap();
    tree::remove(&root);
    assert!(!root.exists() && outside.join("precious").exists());
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TESTMESH_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(5))
}

type Content = BTreeMap<String, (Vec<u8>, bool)>;

fn tree_of_files() -> impl Strategy<Value = Content> {
    let content = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 60_000usize..90_000).prop_map(|(byte, length)| vec![byte; length]),
    ];
    prop::collection::btree_map("[a-c]{1,2}(/[a-c]{1,2}){0,3}", (content, any::<bool>()), 0..30)
}

fn plant(root: &Path, content: &Content) -> Vec<(String, Vec<u8>, u32)> {
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root).unwrap();
    for (path, (content, executable)) in content {
        let full = root.join(path);
        // A path that is both a file and a folder is one of them.
        if fs::create_dir_all(full.parent().unwrap()).is_ok() && fs::write(&full, content).is_ok() {
            let mode = if *executable { 0o555 } else { 0o444 };
            fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    files(root)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_tree_arrives_as_it_was(first in tree_of_files(), second in tree_of_files()) {
        let place = Place::new();
        let source = place.dir.path().join("source");
        let workspaces = place.open(2);
        let both: Content = first.iter().chain(&second).map(|(path, file)| (path.clone(), file.clone())).collect();
        // The second is made out of the first, the third out of either.
        for tree in [&first, &both, &second] {
            let expected = plant(&source, tree);
            let selection = Selection::Workspace { paths: vec![String::new()] };
            let later = SystemTime::now() + Duration::from_secs(60);
            let scanned = scan(&source, &selection, &place.store, &place.dir.path().join("cache"), later).unwrap();
            prop_assert!(scanned.skipped.is_empty());
            let made = workspaces.prepare(&place.store, &scanned.id).unwrap();
            prop_assert_eq!(files(made.path()), expected);
        }
    }
}
