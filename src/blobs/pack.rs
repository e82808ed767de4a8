//! Packs: many small files as one blob that lists itself. PURE.
//!
//! A pack is a zstd frame around a list of members (CBOR behind its length) and their contents one after another. Where
//! one pack ends and the next begins depends on the paths alone, so that a changed file changes its own pack only and
//! a new file at most two.

use serde::{Deserialize, Serialize};

use super::id::hash;
use super::manifest::{BLOB_MAX, ManifestError, PACK_RAW_MAX, PackRef};
use super::path;

/// Files below so many bytes travel in packs.
pub const PACKED_BELOW: u64 = 64 << 10;
/// A pack ends behind one path in so many: about 1 MiB of mjsunit, half of that of test262.
const FILES_USUAL: u32 = 256;
/// A pack ends anyway before it holds so many bytes of content.
const CONTENT_MAX: u64 = 4 << 20;
/// A pack ends anyway behind so many files.
const FILES_MAX: usize = 4_096;
/// Parts of a path that packs keep apart, so that runs of one suite and of several share their packs.
const APART: usize = 2;
/// Fast, and within a few per cent of the best for test sources.
const LEVEL: i32 = 3;
/// Largest window of a frame, as a power of two: what holds the largest pack.
const WINDOW_LOG: u32 = 23;
/// Bytes in front of the list.
const HEADER: usize = 4;

/// A file in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, bool, u32)", into = "(String, bool, u32)")]
pub struct Member {
    /// Below the root, `/`-separated.
    pub path: String,
    /// Mode 0555 instead of 0444.
    pub executable: bool,
    /// Bytes of content.
    pub len: u32,
}

impl From<(String, bool, u32)> for Member {
    fn from((path, executable, len): (String, bool, u32)) -> Self {
        Self { path, executable, len }
    }
}

impl From<Member> for (String, bool, u32) {
    fn from(member: Member) -> Self {
        (member.path, member.executable, member.len)
    }
}

/// Why a pack cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It is not compressed as it should be, or not to what the manifest says.
    #[error("pack cannot be unpacked: {0}")]
    Compression(String),
    /// Its list does not describe it.
    #[error("pack is not one: {0}")]
    Malformed(String),
    /// Its members are out of order or may not be called so.
    #[error(transparent)]
    Members(#[from] ManifestError),
}

/// Where packs end in a sorted list of paths and sizes: ranges that cover all of it.
#[must_use]
pub fn group(files: &[(&str, u64)]) -> Vec<std::ops::Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, (path, size)) in files.iter().enumerate() {
        let apart = index > start && files.get(index - 1).is_some_and(|(last, _)| suite(last) != suite(path));
        let full = index > start && (bytes + size > CONTENT_MAX || index - start >= FILES_MAX);
        if apart || full {
            groups.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += size;
        if ends_a_pack(path) {
            groups.push(start..index + 1);
            (start, bytes) = (index + 1, 0);
        }
    }
    if start < files.len() {
        groups.push(start..files.len());
    }
    groups
}

/// The first parts of a path's folder.
fn suite(path: &str) -> impl PartialEq + use<'_> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts = folder.splitn(APART + 1, '/');
    [(); APART].map(|()| parts.next())
}

fn ends_a_pack(path: &str) -> bool {
    let hash = blake3::hash(path.as_bytes());
    let [first, second, third, fourth, ..] = *hash.as_bytes();
    u32::from_le_bytes([first, second, third, fourth]).is_multiple_of(FILES_USUAL)
}

/// Makes a pack of files in the order of their paths; its bytes, and how a manifest names it.
///
/// # Errors
/// Where no manifest would accept it.
pub fn pack(files: &[(Member, Vec<u8>)]) -> Result<(PackRef, Vec<u8>), PackError> {
    let members: Vec<&Member> = files.iter().map(|(member, _)| member).collect();
    let list = cbor4ii::serde::to_vec(Vec::new(), &members).map_err(malformed)?;
    let length = u32::try_from(list.len()).map_err(malformed)?;
    let mut raw = length.to_le_bytes().to_vec();
    raw.extend_from_slice(&list);
    for (member, content) in files {
        if content.len() != member.len as usize {
            return Err(malformed("a length is not the content's"));
        }
        raw.extend_from_slice(content);
    }
    let raw_len = u32::try_from(raw.len()).ok().filter(|len| *len <= PACK_RAW_MAX);
    let raw_len = raw_len.ok_or_else(|| malformed("too large"))?;
    let bytes = zstd::bulk::compress(&raw, LEVEL).map_err(compression)?;
    let len = u32::try_from(bytes.len()).ok().filter(|len| u64::from(*len) <= BLOB_MAX);
    let len = len.ok_or_else(|| malformed("too large"))?;
    let count = u32::try_from(files.len()).map_err(malformed)?;
    Ok((PackRef { id: hash(&bytes), len, raw: raw_len, files: count }, bytes))
}

/// An unpacked pack.
#[derive(Debug)]
pub struct Unpacked {
    raw: Vec<u8>,
    members: Vec<Member>,
    begin: usize,
}

impl Unpacked {
    /// The files in order.
    pub fn files(&self) -> impl Iterator<Item = (&Member, &[u8])> {
        let mut at = self.begin;
        self.members.iter().map(move |member| {
            let begin = at;
            at += member.len as usize;
            // Cut to size by `unpack`.
            (member, self.raw.get(begin..at).unwrap_or_default())
        })
    }
}

/// Unpacks a pack from anybody, into no more memory than the manifest says it needs.
///
/// # Errors
/// Where it is anything but what the manifest says, or a path is bad. Clashes between packs are the caller's to find.
pub fn unpack(pack: &PackRef, bytes: &[u8]) -> Result<Unpacked, PackError> {
    if pack.raw > PACK_RAW_MAX {
        return Err(malformed("too large"));
    }
    let raw = inflate(bytes, pack.raw as usize)?;
    let list_len = raw.first_chunk::<HEADER>().map(|header| u32::from_le_bytes(*header) as usize);
    let begin = list_len.and_then(|len| len.checked_add(HEADER)).ok_or_else(|| malformed("no list"))?;
    let list = raw.get(HEADER..begin).ok_or_else(|| malformed("the list is cut"))?;
    let members: Vec<Member> = cbor4ii::serde::from_slice(list).map_err(malformed)?;
    check(pack, &members, raw.len() - begin)?;
    Ok(Unpacked { raw, members, begin })
}

/// Decompresses to exactly so many bytes.
fn inflate(bytes: &[u8], exactly: usize) -> Result<Vec<u8>, PackError> {
    let mut decompressor = zstd::bulk::Decompressor::new().map_err(compression)?;
    decompressor.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(WINDOW_LOG)).map_err(compression)?;
    // Nothing is written beyond the capacity, whatever the frame claims.
    let raw = decompressor.decompress(bytes, exactly).map_err(compression)?;
    if raw.len() == exactly { Ok(raw) } else { Err(malformed("shorter than the manifest says")) }
}

fn check(pack: &PackRef, members: &[Member], content: usize) -> Result<(), PackError> {
    if members.len() != pack.files as usize {
        return Err(malformed("another number of files than the manifest says"));
    }
    let listed: u64 = members.iter().map(|member| u64::from(member.len)).sum();
    if listed != content as u64 {
        return Err(malformed("another length than its list says"));
    }
    members.iter().try_for_each(|member| path::check(&member.path)).map_err(ManifestError::from)?;
    for pair in members.windows(2) {
        if let [before, member] = pair
            && before.path >= member.path
        {
            return Err(ManifestError::Unsorted(member.path.clone()).into());
        }
    }
    Ok(())
}

fn malformed(error: impl std::fmt::Display) -> PackError {
    PackError::Malformed(error.to_string())
}

fn compression(error: std::io::Error) -> PackError {
    PackError::Compression(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, content: &[u8]) -> (Member, Vec<u8>) {
        let len = u32::try_from(content.len()).unwrap();
        (Member { path: path.to_owned(), executable: false, len }, content.to_vec())
    }

    /// A pack of any raw bytes, named honestly.
    fn raw_pack(raw: &[u8], files: u32) -> (PackRef, Vec<u8>) {
        let bytes = zstd::bulk::compress(raw, LEVEL).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        (PackRef { id: hash(&bytes), len, raw: u32::try_from(raw.len()).unwrap(), files }, bytes)
    }

    fn listed(members: &[(&str, u32)], content: &[u8]) -> Vec<u8> {
        let members: Vec<(&str, bool, u32)> =
            members.iter().map(|(path, len)| (*path, false, *len)).collect();
        let list = cbor4ii::serde::to_vec(Vec::new(), &members).unwrap();
        [&u32::try_from(list.len()).unwrap().to_le_bytes(), list.as_slice(), content].concat()
    }

    #[test]
    fn lists_that_lie_are_refused() {
        let honest = listed(&[("a", 1), ("b", 2)], b"abb");
        let (pack, bytes) = raw_pack(&honest, 2);
        assert_eq!(unpack(&pack, &bytes).unwrap().files().count(), 2);
        let lies = [
            (listed(&[("a", 1), ("b", 2)], b"ab"), 2),
            (listed(&[("a", 1), ("b", 2)], b"abbb"), 2),
            (listed(&[("a", 1), ("b", 2)], b"abb"), 3),
            (listed(&[("b", 1), ("a", 2)], b"abb"), 2),
            (listed(&[("a", 1), ("a", 2)], b"abb"), 2),
            (listed(&[("../a", 1), ("b", 2)], b"abb"), 2),
            (listed(&[("/a", 3)], b"abb"), 1),
            (listed(&[("a", u32::MAX)], b"abb"), 1),
            (vec![], 1),
            (vec![0xff; 4], 1),
            (vec![0, 0, 0, 0], 1),
        ];
        for (raw, files) in lies {
            let (pack, bytes) = raw_pack(&raw, files);
            assert!(unpack(&pack, &bytes).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn bombs_do_not_go_off() {
        let raw = listed(&[("a", 64 << 20)], &vec![0; 64 << 20]);
        let (mut pack, bytes) = raw_pack(&raw, 1);
        assert!(bytes.len() < 10_000);
        assert!(matches!(unpack(&pack, &bytes), Err(PackError::Malformed(_))));
        for claimed in [0, 1, 4 << 10, PACK_RAW_MAX] {
            pack.raw = claimed;
            assert!(matches!(unpack(&pack, &bytes), Err(PackError::Compression(_))), "{claimed}");
        }
        // Frames that do not tell their size, or want a large window.
        let mut unsized_frame = zstd::stream::Encoder::new(Vec::new(), LEVEL).unwrap();
        std::io::Write::write_all(&mut unsized_frame, &raw).unwrap();
        pack.raw = PACK_RAW_MAX;
        assert!(unpack(&pack, &unsized_frame.finish().unwrap()).is_err());
    }

    #[test]
    fn a_short_frame_is_not_enough() {
        let raw = listed(&[("a", 3)], b"abc");
        let (mut pack, bytes) = raw_pack(&raw, 1);
        pack.raw += 1;
        assert!(matches!(unpack(&pack, &bytes), Err(PackError::Malformed(_))));
        for end in 0..bytes.len() {
            assert!(unpack(&pack, &bytes[..end]).is_err());
        }
    }

    #[test]
    fn a_changed_size_moves_no_boundary() {
        let paths: Vec<String> = (0..5_000).map(|n| format!("test/mjsunit/f{n:05}.js")).collect();
        let mut files: Vec<(&str, u64)> = paths.iter().map(|path| (path.as_str(), 900)).collect();
        let before = group(&files);
        files[2_500].1 = 20_000;
        assert_eq!(group(&files), before);
        assert!((10..40).contains(&before.len()), "{}", before.len());
        files.remove(2_500);
        let after = group(&files);
        let kept = before
            .iter()
            .filter(|range| after.contains(range) || after.contains(&(range.start - 1..range.end - 1)));
        assert!(kept.count() + 2 >= before.len());
    }

    #[test]
    fn suites_are_kept_apart_and_packs_bounded() {
        let groups = group(&[("test/a/1", 1), ("test/a/x/2", 1), ("test/b/1", 1), ("tools/x", 1), ("x", 1)]);
        assert_eq!(groups, [0..2, 2..3, 3..4, 4..5]);
        let paths: Vec<String> = (0..1_000).map(|n| format!("t/{n:04}")).collect();
        let files: Vec<(&str, u64)> = paths.iter().map(|path| (path.as_str(), 60_000)).collect();
        assert!(group(&files).iter().all(|range| range.len() as u64 * 60_000 <= CONTENT_MAX));
        assert!(group(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            files in prop::collection::btree_map("[a-c]{1,3}(/[a-c]{1,3}){0,2}", prop::collection::vec(any::<u8>(), 0..50), 1..20)
        ) {
            let files: Vec<_> = files.iter().map(|(path, content)| file(path, content)).collect();
            let (reference, bytes) = pack(&files).unwrap();
            prop_assert_eq!(pack(&files).unwrap(), (reference, bytes.clone()));
            prop_assert_eq!(hash(&bytes), reference.id);
            let unpacked = unpack(&reference, &bytes).unwrap();
            let again: Vec<_> = unpacked.files().map(|(member, content)| (member.clone(), content.to_vec())).collect();
            prop_assert_eq!(again, files);
        }

        #[test]
        fn any_bytes_are_unpacked_without_panic(raw in prop::collection::vec(any::<u8>(), 0..100)) {
            let (pack, bytes) = raw_pack(&raw, 1);
            let _ = unpack(&pack, &bytes);
            let other = PackRef { raw: 1, ..pack };
            prop_assert!(unpack(&other, &raw).is_err());
        }

        #[test]
        fn groups_cover_everything_in_order(sizes in prop::collection::vec((0u32..40, 0u64..3_000_000), 0..60)) {
            let paths: Vec<String> = sizes.iter().map(|(n, _)| format!("test/s{}/{n}", n % 3)).collect();
            let files: Vec<_> = paths.iter().zip(&sizes).map(|(path, (_, size))| (path.as_str(), *size)).collect();
            let groups = group(&files);
            let covered: Vec<usize> = groups.into_iter().flatten().collect();
            prop_assert_eq!(covered, (0..files.len()).collect::<Vec<_>>());
        }
    }
}
