//! The bytes of `statements.log`: a first line, then records with their length and checksums.
//!
//! ```text
//! record = len u32 | crc32(len) u32 | crc32(body) u32 | body        little-endian
//! body   = kind u8 | content
//! ```
//! Reading is pure: bytes in, records out, and how much of the end was torn. A torn last record is what a crash
//! leaves; a bad record with a good one behind it is damage, and refused.

use crate::key::PublicKey;
use crate::keyring::{Record, Recovery};
use crate::set::Mark;
use crate::statement::{StatementId, Unverified};

/// What every log begins with: name and format.
pub(super) const MAGIC: &[u8] = b"testmesh statements 1\n";

const HEADER: usize = 12;
/// Longest body: a snapshot of 32 KiB in its envelope, with room.
const MAX_BODY: usize = 64 * 1024;
/// Contents of a version a mark may name: two are a conflict.
const MAX_MARK_IDS: usize = 2;

const STATEMENT: u8 = 1;
const MARK: u8 = 2;
const ADOPTED: u8 = 3;
const UNADOPTED: u8 = 4;
const RECOVERY: u8 = 5;
const DROPPED: u8 = 6;

/// What a log holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) records: Vec<Record>,
    /// Bytes up to the end of the last good record.
    pub(super) good: usize,
}

/// Why a log cannot be read, with the offset of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is not what was written, and more follows.
    Damaged(usize),
    /// A kind that is not known here.
    Newer(usize),
}

/// The bytes of a record; `None` for what lives in a file of its own.
pub(super) fn frame(record: &Record) -> Option<Vec<u8>> {
    let body = body(record)?;
    let len = u32::try_from(body.len()).ok()?.to_le_bytes();
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(&len);
    bytes.extend_from_slice(&crc32fast::hash(&len).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Some(bytes)
}

fn body(record: &Record) -> Option<Vec<u8>> {
    let (kind, content) = match record {
        Record::Statement(signed) => (STATEMENT, signed.bytes().to_vec()),
        Record::Mark(mark) => (MARK, mark_bytes(mark)),
        Record::Adopted(id) => (ADOPTED, id.as_bytes().to_vec()),
        Record::Unadopted(id) => (UNADOPTED, id.as_bytes().to_vec()),
        Record::Recovery(recovery) => (RECOVERY, vec![recovery_number(*recovery)]),
        Record::Dropped(issuer) => (DROPPED, issuer.as_bytes().to_vec()),
        Record::Policy(_) | Record::Allowlist(_) => return None,
    };
    let mut body = vec![kind];
    body.extend(content);
    Some(body)
}

fn mark_bytes(mark: &Mark) -> Vec<u8> {
    let mut bytes = mark.issuer.as_bytes().to_vec();
    bytes.extend_from_slice(&mark.version.to_le_bytes());
    for id in &mark.ids {
        bytes.extend_from_slice(id.as_bytes());
    }
    bytes
}

/// The numbers of the file; never reused.
const fn recovery_number(recovery: Option<Recovery>) -> u8 {
    match recovery {
        None => 0,
        Some(Recovery::LostStore) => 1,
        Some(Recovery::RolledBack) => 2,
        Some(Recovery::Cloned) => 3,
    }
}

/// Reads what follows [`MAGIC`]. Offsets count from the beginning of `bytes`, which holds the whole file.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, Bad> {
    let mut scan = Scan { records: Vec::new(), good: MAGIC.len() };
    while let Some(rest) = bytes.get(scan.good..).filter(|rest| !rest.is_empty()) {
        match split(rest) {
            Split::Good(body, taken) => {
                scan.records.push(parse(body).map_err(|bad| bad.at(scan.good))?);
                scan.good += taken;
            }
            Split::Torn => return Ok(scan),
            Split::Bad if more_follows(rest) => return Err(Bad::Damaged(scan.good)),
            Split::Bad => return Ok(scan),
        }
    }
    Ok(scan)
}

enum Split<'a> {
    Good(&'a [u8], usize),
    /// The file ends inside the record.
    Torn,
    /// The checksums do not hold.
    Bad,
}

fn split(rest: &[u8]) -> Split<'_> {
    let (Some(len), Some(len_sum), Some(body_sum)) = (word(rest, 0), word(rest, 4), word(rest, 8)) else {
        return Split::Torn;
    };
    let size = usize::try_from(len).unwrap_or(usize::MAX);
    if crc32fast::hash(&len.to_le_bytes()) != len_sum || size > MAX_BODY || size == 0 {
        return Split::Bad;
    }
    match rest.get(HEADER..HEADER + size) {
        None => Split::Torn,
        Some(body) if crc32fast::hash(body) == body_sum => Split::Good(body, HEADER + size),
        Some(_) => Split::Bad,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Whether something behind a bad record was written later: a good record, or more than one record can hold.
fn more_follows(rest: &[u8]) -> bool {
    rest.len() > HEADER + MAX_BODY
        || (1..rest.len()).any(|at| rest.get(at..).is_some_and(|tail| matches!(split(tail), Split::Good(..))))
}

/// Why the body of a good record cannot be used.
enum BadBody {
    Damaged,
    Newer,
}

impl BadBody {
    const fn at(&self, offset: usize) -> Bad {
        match self {
            Self::Damaged => Bad::Damaged(offset),
            Self::Newer => Bad::Newer(offset),
        }
    }
}

fn parse(body: &[u8]) -> Result<Record, BadBody> {
    let (kind, content) = body.split_first().ok_or(BadBody::Damaged)?;
    let record = match *kind {
        // Verified before it was written, and behind a checksum since.
        STATEMENT => Unverified::decode(content).ok().map(|read| Record::Statement(read.assume_verified())),
        MARK => parse_mark(content).map(Record::Mark),
        ADOPTED => parse_id(content).map(Record::Adopted),
        UNADOPTED => parse_id(content).map(Record::Unadopted),
        RECOVERY => parse_recovery(content).map(Record::Recovery),
        DROPPED => parse_key(content).map(Record::Dropped),
        _ => return Err(BadBody::Newer),
    };
    record.ok_or(BadBody::Damaged)
}

fn parse_id(content: &[u8]) -> Option<StatementId> {
    content.try_into().ok().map(StatementId::from_bytes)
}

fn parse_key(content: &[u8]) -> Option<PublicKey> {
    PublicKey::from_wire(content.try_into().ok()?).ok()
}

fn parse_mark(content: &[u8]) -> Option<Mark> {
    let (issuer, rest) = content.split_first_chunk::<32>()?;
    let (version, rest) = rest.split_first_chunk::<8>()?;
    let ids: Vec<StatementId> = rest.chunks(32).map(parse_id).collect::<Option<_>>()?;
    if ids.is_empty() || ids.len() > MAX_MARK_IDS {
        return None;
    }
    let issuer = PublicKey::from_wire(*issuer).ok()?;
    Some(Mark { issuer, version: u64::from_le_bytes(*version), ids })
}

fn parse_recovery(content: &[u8]) -> Option<Option<Recovery>> {
    let all = [None, Some(Recovery::LostStore), Some(Recovery::RolledBack), Some(Recovery::Cloned)];
    let [number] = content else { return None };
    all.into_iter().find(|recovery| recovery_number(*recovery) == *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for record in records() {
            bytes.extend(frame(&record).expect("a log record"));
        }
        bytes
    }

    fn records() -> Vec<Record> {
        let issuer = PublicKey::from_wire([5; 32]).expect("no weak key");
        vec![
            Record::Adopted(StatementId::from_bytes([1; 32])),
            Record::Recovery(Some(Recovery::RolledBack)),
            Record::Mark(Mark { issuer, version: 7, ids: vec![StatementId::from_bytes([2; 32])] }),
            Record::Unadopted(StatementId::from_bytes([1; 32])),
            Record::Dropped(issuer),
            Record::Recovery(None),
        ]
    }

    #[test]
    fn records_read_back() {
        assert_eq!(scan(&log()), Ok(Scan { records: records(), good: log().len() }));
    }

    #[test]
    fn a_cut_anywhere_leaves_whole_records() {
        let whole = log();
        for len in MAGIC.len()..whole.len() {
            let cut = scan(&whole[..len]).expect("a torn tail");
            assert!(cut.good <= len && cut.records.len() < records().len());
            assert_eq!(cut.records, records()[..cut.records.len()]);
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_record_is_refused() {
        let whole = log();
        let last = whole.len() - frame(&Record::Recovery(None)).expect("a log record").len();
        for at in MAGIC.len()..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            match scan(&bytes) {
                Err(Bad::Damaged(offset)) => assert!(offset <= at && at < last, "byte {at}"),
                Ok(cut) => assert!(at >= last && cut.good == last, "byte {at}"),
                Err(Bad::Newer(_)) => panic!("byte {at} made a new kind"),
            }
        }
    }

    #[test]
    fn a_tail_of_zeros_is_torn_and_a_new_kind_is_refused() {
        let mut bytes = log();
        bytes.extend([0; 100]);
        assert_eq!(scan(&bytes).expect("torn").good, log().len());
        let body = [99u8];
        let mut bytes = log();
        let len = 1u32.to_le_bytes();
        for part in
            [&len[..], &crc32fast::hash(&len).to_le_bytes(), &crc32fast::hash(&body).to_le_bytes(), &body]
        {
            bytes.extend_from_slice(part);
        }
        assert_eq!(scan(&bytes), Err(Bad::Newer(log().len())));
    }
}
