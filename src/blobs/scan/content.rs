//! Turns files into packs and chunks, reading only what looks different from the last time.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastcdc::v2020::StreamCDC;

use super::cache::{Cache, Key, Known};
use super::walk::{Found, Look};
use super::{ScanError, failed};
use crate::blobs::manifest::{CHUNK_MAX, Chunk, LargeFile, PackRef};
use crate::blobs::pack::{self, Member, PACKED_BELOW};
use crate::blobs::store::Store;

/// Bytes of a chunk: at least, usually, at most.
const CHUNK: (usize, usize, usize) = (16 << 10, 64 << 10, CHUNK_MAX as usize);
/// Threads that read and compress: more help little on one disk.
const THREADS_MAX: usize = 8;
/// A file written within so long of the scan is read again the next time: coarse clocks would hide a second change.
const SETTLED: Duration = Duration::from_secs(1);

/// The content of a tree.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) packs: Vec<PackRef>,
    pub(super) files: Vec<LargeFile>,
    pub(super) bytes_read: u64,
}

/// Files that become blobs together.
#[derive(Debug, Clone, Copy)]
enum Work<'a> {
    Pack(&'a [Found]),
    Large(&'a Found),
}

/// What became of them.
struct Done {
    key: Key,
    known: Known,
    /// Nothing where the cache knew.
    bytes_read: Option<u64>,
}

pub(super) fn read(
    files: &[Found],
    store: &Store,
    cache: &mut Cache,
    now: SystemTime,
) -> Result<Content, ScanError> {
    let (small, large): (Vec<Found>, Vec<Found>) =
        files.iter().cloned().partition(|file| file.look.size < PACKED_BELOW);
    let listed: Vec<(&str, u64)> = small.iter().map(|file| (file.path.as_str(), file.look.size)).collect();
    let groups =
        pack::group(&listed).into_iter().map(|range| Work::Pack(small.get(range).unwrap_or_default()));
    // The largest first, so that no thread is left alone with one at the end.
    let works: Vec<Work<'_>> = large.iter().map(Work::Large).chain(groups).collect();
    let done = in_parallel(&works, |work| one(work, store, cache))?;
    let mut content = Content::default();
    for (work, done) in works.iter().zip(done) {
        content.bytes_read += done.bytes_read.unwrap_or_default();
        match done.bytes_read {
            None => cache.used(&done.key),
            Some(_) if is_settled(work, now) => cache.insert(done.key, done.known.clone()),
            Some(_) => {}
        }
        match (work, done.known) {
            (Work::Large(file), Known::Chunks(chunks)) => {
                let (path, executable) = (file.path.clone(), file.executable);
                content.files.push(LargeFile { path, executable, chunks });
            }
            (_, Known::Pack(pack)) => content.packs.push(pack),
            (_, Known::Chunks(_)) => {}
        }
    }
    Ok(content)
}

fn one(work: &Work<'_>, store: &Store, cache: &Cache) -> Result<Done, ScanError> {
    let key = key(work);
    if let Some(known) = cache.get(&key, store) {
        return Ok(Done { key, known, bytes_read: None });
    }
    let (known, bytes_read) = match work {
        Work::Pack(files) => {
            let (reference, bytes) = pack::pack(&contents(files)?)?;
            store.put(&reference.id, &bytes)?;
            (Known::Pack(reference), files.iter().map(|file| file.look.size).sum())
        }
        Work::Large(file) => (Known::Chunks(chunks(file, store)?), file.look.size),
    };
    Ok(Done { key, known, bytes_read: Some(bytes_read) })
}

/// How the files look. A large file may be found under another name; what is in a pack has its names there.
fn key(work: &Work<'_>) -> Key {
    let mut hasher = blake3::Hasher::new();
    let mut look = |look: &Look| {
        let Look { device, inode, size, modified, changed } = look;
        for number in [*device, *inode, *size] {
            hasher.update(&number.to_le_bytes());
        }
        for number in [modified.0, modified.1, changed.0, changed.1] {
            hasher.update(&number.to_le_bytes());
        }
    };
    match work {
        Work::Large(file) => look(&file.look),
        Work::Pack(files) => {
            files.iter().for_each(|file| look(&file.look));
            for file in *files {
                hasher.update(&[u8::from(file.executable)]);
                hasher.update(&(file.path.len() as u64).to_le_bytes());
                hasher.update(file.path.as_bytes());
            }
            hasher.update(b"pack");
        }
    }
    *hasher.finalize().as_bytes()
}

fn is_settled(work: &Work<'_>, now: SystemTime) -> bool {
    let limit = now.checked_sub(SETTLED).and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
    let limit = limit.map_or(0, |limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
    let settled = |file: &Found| file.look.modified.0 < limit && file.look.changed.0 < limit;
    match work {
        Work::Pack(files) => files.iter().all(settled),
        Work::Large(file) => settled(file),
    }
}

fn contents(files: &[Found]) -> Result<Vec<(Member, Vec<u8>)>, ScanError> {
    let content = |file: &Found| {
        let mut bytes = Vec::with_capacity(usize::try_from(file.look.size).unwrap_or_default());
        unchanged(file, |open| open.take(PACKED_BELOW).read_to_end(&mut bytes).map(|_| ()))?;
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if u64::from(len) != file.look.size {
            return Err(ScanError::Changing(file.full.clone()));
        }
        Ok((Member { path: file.path.clone(), executable: file.executable, len }, bytes))
    };
    files.iter().map(content).collect()
}

fn chunks(file: &Found, store: &Store) -> Result<Vec<Chunk>, ScanError> {
    let mut chunks = Vec::new();
    let mut kept = Ok(());
    unchanged(file, |open| {
        let (least, usual, most) = CHUNK;
        for chunk in StreamCDC::new(open, least, usual, most) {
            let chunk = chunk.map_err(io::Error::from)?;
            match store.add(&chunk.data) {
                Ok(id) => chunks.push(Chunk { id, len: u32::try_from(chunk.length).unwrap_or_default() }),
                Err(error) => {
                    kept = Err(error);
                    break;
                }
            }
        }
        Ok(())
    })?;
    kept?;
    let length: u64 = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
    if length == file.look.size { Ok(chunks) } else { Err(ScanError::Changing(file.full.clone())) }
}

/// Reads a file that looks as it did when it was found, before and after.
fn unchanged(file: &Found, read: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), ScanError> {
    let failed = |error| failed(&file.full)(error);
    let mut open = File::open(&file.full).map_err(failed)?;
    let looks_the_same = |open: &File| open.metadata().map(|known| Look::at(&known) == file.look);
    let before = looks_the_same(&open).map_err(failed)?;
    if before {
        read(&mut open).map_err(failed)?;
        if looks_the_same(&open).map_err(failed)? {
            return Ok(());
        }
    }
    Err(ScanError::Changing(file.full.clone()))
}

/// Does all works on a few threads; results in the order of the works, or the first error.
fn in_parallel<W: Sync, T: Send>(
    works: &[W],
    work: impl Fn(&W) -> Result<T, ScanError> + Sync,
) -> Result<Vec<T>, ScanError> {
    let threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(works.len());
    if threads <= 1 {
        return works.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, one)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            works.get(index).map(|one| (index, one))
        } {
            match work(one) {
                Ok(result) => done.push((index, result)),
                Err(error) => {
                    // The others stop at their next turn.
                    next.store(works.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let mut done = Vec::with_capacity(works.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            match thread.join() {
                Ok(results) => done.extend(results?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), ScanError>(())
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
