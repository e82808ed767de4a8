//! The tree of files below one root, small enough to ship anew whenever a file changes. PURE.
//!
//! Small files stand in packs that list themselves (see [`super::pack`]); large ones stand here with their chunks. So a
//! changed file of fifty thousand changes one pack and a manifest of a few kilobytes. The manifest is itself a blob:
//! its name is the hash of its encoding, and only the one canonical encoding is accepted.

use serde::{Deserialize, Serialize};

use super::id::{BlobId, hash};
use super::path::{Names, PathError};
use crate::job::Root;

/// Format number; another format is another number.
pub const FORMAT: u8 = 1;
/// Bytes of an encoded manifest: [`CHUNKS_MAX`] chunks and room.
pub const ENCODED_MAX: usize = 16 << 20;
/// Packs of one tree: two million small files at the usual 256 a pack.
pub const PACKS_MAX: usize = 8_192;
/// Files of one tree, in packs and alone; test262 has 54,000.
pub const FILES_MAX: u64 = 1_000_000;
/// Chunks of one tree: 16 GiB at the usual size.
pub const CHUNKS_MAX: usize = 262_144;
/// Bytes of a whole tree; a component build with symbols has some.
pub const TREE_MAX: u64 = 16 << 30;
/// Bytes of one blob: a pack that does not compress, or a manifest.
pub const BLOB_MAX: u64 = ENCODED_MAX as u64;
/// Bytes of a chunk, as they are cut (see [`mod@super::scan`]).
pub const CHUNK_MAX: u32 = 1 << 20;
/// Bytes of a pack, unpacked.
pub const PACK_RAW_MAX: u32 = 8 << 20;

/// A blob and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(BlobId, u32)", into = "(BlobId, u32)")]
pub struct Chunk {
    /// Which content.
    pub id: BlobId,
    /// Bytes; 1 to [`CHUNK_MAX`].
    pub len: u32,
}

/// A pack of small files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(BlobId, u32, u32, u32)", into = "(BlobId, u32, u32, u32)")]
pub struct PackRef {
    /// The compressed pack.
    pub id: BlobId,
    /// Its bytes.
    pub len: u32,
    /// Bytes it unpacks to, exactly.
    pub raw: u32,
    /// Files in it, at least one.
    pub files: u32,
}

/// A file that stands alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, bool, Vec<Chunk>)", into = "(String, bool, Vec<Chunk>)")]
pub struct LargeFile {
    /// Below the root, `/`-separated.
    pub path: String,
    /// Mode 0555 instead of 0444.
    pub executable: bool,
    /// Its content in order.
    pub chunks: Vec<Chunk>,
}

/// All files below one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u8,
    /// Which root it is for.
    pub root: Root,
    /// Packs, in the order of their paths: every path of a pack is behind all of the pack before.
    pub packs: Vec<PackRef>,
    /// Files that stand alone, sorted by path.
    pub files: Vec<LargeFile>,
}

/// Why bytes are no manifest to act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not this encoding, or not the canonical one.
    #[error("not a manifest: {0}")]
    Malformed(String),
    /// A format of another time.
    #[error("manifest of format {0}, this program knows {FORMAT}")]
    Format(u8),
    /// More than a tree of tests can need.
    #[error("{part} of the manifest: {size}, at most {most} allowed")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        most: u64,
    },
    /// Files out of order, or one twice.
    #[error("manifest is not sorted at `{}`", .0.escape_debug())]
    Unsorted(String),
    /// A file without content that stands alone, or an empty pack.
    #[error("manifest has an empty {0}")]
    Empty(&'static str),
    /// A path nothing may be written to.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl From<(BlobId, u32)> for Chunk {
    fn from((id, len): (BlobId, u32)) -> Self {
        Self { id, len }
    }
}

impl From<Chunk> for (BlobId, u32) {
    fn from(chunk: Chunk) -> Self {
        (chunk.id, chunk.len)
    }
}

impl From<(BlobId, u32, u32, u32)> for PackRef {
    fn from((id, len, raw, files): (BlobId, u32, u32, u32)) -> Self {
        Self { id, len, raw, files }
    }
}

impl From<PackRef> for (BlobId, u32, u32, u32) {
    fn from(pack: PackRef) -> Self {
        (pack.id, pack.len, pack.raw, pack.files)
    }
}

impl From<(String, bool, Vec<Chunk>)> for LargeFile {
    fn from((path, executable, chunks): (String, bool, Vec<Chunk>)) -> Self {
        Self { path, executable, chunks }
    }
}

impl From<LargeFile> for (String, bool, Vec<Chunk>) {
    fn from(file: LargeFile) -> Self {
        (file.path, file.executable, file.chunks)
    }
}

impl LargeFile {
    /// Bytes of the file.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.len)).sum()
    }

    /// Whether it has no content; refused in a manifest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Manifest {
    /// The canonical bytes and their name.
    ///
    /// # Errors
    /// Where nobody would accept them: a bound or a path.
    pub fn encode(&self) -> Result<(BlobId, Vec<u8>), ManifestError> {
        self.check()?;
        let bytes = self.bytes()?;
        at_most("bytes", bytes.len() as u64, ENCODED_MAX as u64)?;
        Ok((hash(&bytes), bytes))
    }

    /// Reads a manifest from anybody. Whether the bytes have the name they should is the caller's to check, as for
    /// every blob.
    ///
    /// # Errors
    /// Whatever is wrong with it; nothing of it may then be used.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        at_most("bytes", bytes.len() as u64, ENCODED_MAX as u64)?;
        let manifest: Self = cbor4ii::serde::from_slice(bytes).map_err(malformed)?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        if manifest.bytes()? != bytes {
            return Err(ManifestError::Malformed("not in canonical form".to_owned()));
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// Every blob needed to make the tree, each once, in order of use.
    #[must_use]
    pub fn blobs(&self) -> Vec<Chunk> {
        let chunks = self.files.iter().flat_map(|file| file.chunks.iter().copied());
        let packs = self.packs.iter().map(|pack| Chunk { id: pack.id, len: pack.len });
        let mut seen = std::collections::BTreeSet::new();
        chunks.chain(packs).filter(|blob| seen.insert(blob.id)).collect()
    }

    /// Bytes of the tree once it is made.
    #[must_use]
    pub fn tree_bytes(&self) -> u64 {
        let raw: u64 = self.packs.iter().map(|pack| u64::from(pack.raw)).sum();
        raw + self.files.iter().map(LargeFile::len).sum::<u64>()
    }

    /// Files of the tree.
    #[must_use]
    pub fn tree_files(&self) -> u64 {
        let packed: u64 = self.packs.iter().map(|pack| u64::from(pack.files)).sum();
        packed + self.files.len() as u64
    }

    fn bytes(&self) -> Result<Vec<u8>, ManifestError> {
        cbor4ii::serde::to_vec(Vec::new(), self).map_err(malformed)
    }

    fn check(&self) -> Result<(), ManifestError> {
        at_most("packs", self.packs.len() as u64, PACKS_MAX as u64)?;
        let chunks: usize = self.files.iter().map(|file| file.chunks.len()).sum();
        at_most("chunks", chunks as u64, CHUNKS_MAX as u64)?;
        self.packs.iter().try_for_each(check_pack)?;
        self.files.iter().try_for_each(check_file)?;
        at_most("files", self.tree_files(), FILES_MAX)?;
        at_most("bytes of the tree", self.tree_bytes(), TREE_MAX)?;
        for pair in self.files.windows(2) {
            if let [before, file] = pair
                && before.path >= file.path
            {
                return Err(ManifestError::Unsorted(file.path.clone()));
            }
        }
        let mut names = Names::default();
        self.files.iter().try_for_each(|file| names.add(&file.path))?;
        Ok(())
    }
}

fn check_pack(pack: &PackRef) -> Result<(), ManifestError> {
    if pack.len == 0 || pack.raw == 0 || pack.files == 0 {
        return Err(ManifestError::Empty("pack"));
    }
    at_most("bytes of a pack", pack.len.into(), BLOB_MAX)?;
    at_most("unpacked bytes of a pack", pack.raw.into(), PACK_RAW_MAX.into())
}

fn check_file(file: &LargeFile) -> Result<(), ManifestError> {
    if file.chunks.is_empty() || file.chunks.iter().any(|chunk| chunk.len == 0) {
        return Err(ManifestError::Empty("file or chunk"));
    }
    file.chunks.iter().try_for_each(|chunk| at_most("bytes of a chunk", chunk.len.into(), CHUNK_MAX.into()))
}

fn at_most(part: &'static str, size: u64, most: u64) -> Result<(), ManifestError> {
    if size <= most { Ok(()) } else { Err(ManifestError::TooLarge { part, size, most }) }
}

fn malformed(error: impl std::fmt::Display) -> ManifestError {
    ManifestError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str) -> LargeFile {
        let chunks = vec![Chunk { id: hash(b"a"), len: 1 }, Chunk { id: hash(b"b"), len: 1 }];
        LargeFile { path: path.to_owned(), executable: false, chunks }
    }

    fn manifest(paths: &[&str]) -> Manifest {
        let packs = vec![PackRef { id: hash(b"p"), len: 1, raw: 10, files: 2 }];
        Manifest {
            format: FORMAT,
            root: Root::Build,
            packs,
            files: paths.iter().map(|path| file(path)).collect(),
        }
    }

    #[test]
    fn the_encoding_is_fixed() {
        let mut small = manifest(&[]);
        small.packs[0].id = BlobId::new([7; 32]);
        let (_, bytes) = small.encode().unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let head = "a466666f726d61740164726f6f74654275696c64657061636b738184";
        assert_eq!(hex, format!("{head}5820{}010a026566696c657380", "07".repeat(32)));
    }

    #[test]
    fn blobs_are_listed_once() {
        let manifest = manifest(&["a", "b"]);
        let ids: Vec<BlobId> = manifest.blobs().iter().map(|blob| blob.id).collect();
        assert_eq!(ids, [hash(b"a"), hash(b"b"), hash(b"p")]);
        assert_eq!((manifest.tree_files(), manifest.tree_bytes()), (4, 14));
    }

    #[test]
    fn what_no_tree_can_be_is_refused() {
        let refused = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = manifest(&["a", "b"]);
            change(&mut manifest);
            let bytes = manifest.bytes().unwrap();
            assert!(manifest.encode().is_err());
            Manifest::decode(&bytes).unwrap_err()
        };
        assert!(matches!(refused(&|m| m.files.swap(0, 1)), ManifestError::Unsorted(_)));
        assert!(matches!(refused(&|m| m.files[1].path = "a".to_owned()), ManifestError::Unsorted(_)));
        assert!(matches!(refused(&|m| m.files[0].path = "../a".to_owned()), ManifestError::Path(_)));
        assert!(matches!(refused(&|m| m.files[1].path = "a/b".to_owned()), ManifestError::Path(_)));
        assert!(matches!(refused(&|m| m.files[0].path = "B".to_owned()), ManifestError::Path(_)));
        assert!(matches!(refused(&|m| m.files[0].chunks.clear()), ManifestError::Empty(_)));
        assert!(matches!(refused(&|m| m.files[0].chunks[0].len = 0), ManifestError::Empty(_)));
        assert!(matches!(refused(&|m| m.packs[0].files = 0), ManifestError::Empty(_)));
        assert!(matches!(refused(&|m| m.packs[0].raw = u32::MAX), ManifestError::TooLarge { .. }));
        assert!(matches!(refused(&|m| m.packs[0].files = u32::MAX), ManifestError::TooLarge { .. }));
        assert!(matches!(refused(&|m| m.files[0].chunks[0].len = u32::MAX), ManifestError::TooLarge { .. }));
        assert!(matches!(refused(&|m| m.packs = vec![m.packs[0]; 8_193]), ManifestError::TooLarge { .. }));
    }

    #[test]
    fn another_format_is_named() {
        let bytes = Manifest { format: 2, ..manifest(&[]) }.bytes().unwrap();
        assert_eq!(Manifest::decode(&bytes), Err(ManifestError::Format(2)));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused_or_canonical() {
        let (id, bytes) = manifest(&["a/x", "b"]).encode().unwrap();
        for end in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..end]).is_err());
        }
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x41;
            if let Ok(other) = Manifest::decode(&changed) {
                let (other_id, again) = other.encode().unwrap();
                assert!(again == changed && other_id != id);
            }
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Manifest::decode(&longer).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Manifest::decode(&bytes).is_err());
        }

        #[test]
        fn what_is_encoded_is_read_back(paths in prop::collection::btree_set("[ab]{1,3}(/[ab]{1,2}){0,2}", 0..6)) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let manifest = manifest(&paths);
            if let Ok((id, bytes)) = manifest.encode() {
                prop_assert_eq!(hash(&bytes), id);
                prop_assert_eq!(Manifest::decode(&bytes), Ok(manifest));
            }
        }
    }
}
