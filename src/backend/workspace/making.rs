//! Makes the files of a tree: all of them, or those in which it differs from another.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::record::{Made, Record};
use super::tree::{self, Look, Tree};
use super::{WorkspaceError, failed};
use crate::blobs::manifest::LargeFile;
use crate::blobs::pack::{self, Member, Unpacked};
use crate::blobs::path::Names;
use crate::blobs::{BlobId, Manifest, PackRef, Store};

/// What a tree is made of, in the order of its manifest.
pub(super) fn groups(manifest: &Manifest) -> Vec<BlobId> {
    let packs = manifest.packs.iter().map(|pack| pack.id);
    packs.chain(manifest.files.iter().map(name)).collect()
}

/// Names a large file by all that makes it.
fn name(file: &LargeFile) -> BlobId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::from(file.executable)]);
    for chunk in &file.chunks {
        hasher.update(&chunk.id.bytes());
    }
    // Behind parts of fixed length; a pack's name is that of other bytes.
    hasher.update(file.path.as_bytes());
    BlobId::new(*hasher.finalize().as_bytes())
}

/// Makes the tree at `place`, where a tree with this record may already be; the new record.
pub(super) fn make(
    store: &Store,
    manifest: &Manifest,
    base: Option<Record>,
    place: &Path,
) -> Result<Record, WorkspaceError> {
    let mut base = base.map(|base| base.groups).unwrap_or_default();
    let mut record = Record::new(manifest.root);
    let wanted: BTreeSet<BlobId> = groups(manifest).into_iter().collect();
    let gone: Vec<Made> =
        base.iter().filter(|(id, _)| !wanted.contains(id)).flat_map(|(_, made)| made.clone()).collect();
    base.retain(|id, _| wanted.contains(id));
    // Every name is checked against all others before the first file is made.
    check(store, manifest, &base)?;
    let failed = |error| failed(place)(error);
    let mut tree = Tree::open(place).map_err(failed)?;
    gone.iter().try_for_each(|made| tree.remove(&made.path)).map_err(failed)?;
    for pack in manifest.packs.iter().filter(|pack| !base.contains_key(&pack.id)) {
        let unpacked = unpack(store, pack)?;
        record.groups.insert(pack.id, small(&mut tree, &unpacked).map_err(failed)?);
    }
    for file in manifest.files.iter().filter(|file| !base.contains_key(&name(file))) {
        let look = large(&mut tree, store, file)?;
        record.groups.insert(name(file), vec![Made { path: file.path.clone(), look }]);
    }
    record.groups.append(&mut base);
    close(&mut tree, &record).map_err(failed)?;
    Ok(record)
}

fn unpack(store: &Store, pack: &PackRef) -> Result<Unpacked, WorkspaceError> {
    Ok(pack::unpack(pack, &blob(store, &pack.id)?)?)
}

fn blob(store: &Store, id: &BlobId) -> Result<Vec<u8>, WorkspaceError> {
    store.read(id)?.ok_or(WorkspaceError::Missing(*id))
}

/// Unpacks every new pack once for its names only: twice the work, but never more than one pack in memory.
fn check(
    store: &Store,
    manifest: &Manifest,
    base: &BTreeMap<BlobId, Vec<Made>>,
) -> Result<(), WorkspaceError> {
    let mut names = Names::default();
    for pack in &manifest.packs {
        match base.get(&pack.id) {
            Some(kept) => kept.iter().try_for_each(|made| names.add(&made.path))?,
            None => unpack(store, pack)?.files().try_for_each(|(member, _)| names.add(&member.path))?,
        }
    }
    manifest.files.iter().try_for_each(|file| names.add(&file.path))?;
    Ok(())
}

fn small(tree: &mut Tree, unpacked: &Unpacked) -> io::Result<Vec<Made>> {
    let made = |(member, content): (&Member, &[u8])| {
        let look = tree.make(&member.path, member.executable, tree::write(content))?;
        Ok(Made { path: member.path.clone(), look })
    };
    unpacked.files().map(made).collect()
}

fn large(tree: &mut Tree, store: &Store, file: &LargeFile) -> Result<Look, WorkspaceError> {
    let mut reading = Ok(());
    let made = tree.make(&file.path, file.executable, |open| {
        for chunk in &file.chunks {
            match blob(store, &chunk.id) {
                Ok(bytes) if bytes.len() == chunk.len as usize => tree::write(&bytes)(open)?,
                Ok(_) => reading = Err(WorkspaceError::Missing(chunk.id)),
                Err(error) => reading = Err(error),
            }
            if reading.is_err() {
                return Err(io::Error::other("a chunk is missing"));
            }
        }
        Ok(())
    });
    reading?;
    made.map_err(failed(Path::new(&file.path)))
}

/// Makes all folders unwritable, the deepest first.
fn close(tree: &mut Tree, record: &Record) -> io::Result<()> {
    let mut folders = BTreeSet::from([""]);
    for made in record.groups.values().flatten() {
        let mut path = made.path.as_str();
        while let Some((folder, _)) = path.rsplit_once('/') {
            if !folders.insert(folder) {
                break;
            }
            path = folder;
        }
    }
    folders.iter().rev().try_for_each(|folder| tree.close(folder))
}
