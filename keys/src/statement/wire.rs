//! The bytes of statements: canonical CBOR, read strictly.
//!
//! Payloads are arrays of fixed length. A reader here never recurses, checks every count against its bound before it
//! makes room, and at last compares the re-encoded statement with the bytes: whatever is not the one canonical form
//! is refused. Library: cbor4ii's core, without serde.

use cbor4ii::core::dec::{self, Decode};
use cbor4ii::core::enc::Encode;
use cbor4ii::core::types;
use cbor4ii::core::utils::{BufWriter, SliceReader};

use crate::key::{KEY_LEN, PublicKey};
use crate::rights::Rights;
use crate::statement::signed::SIGNATURE_LEN;
use crate::statement::{
    Deny, Entry, Kind, MAX_ANSWERS, MAX_ENTRIES, MAX_LABEL, MAX_LEASE, MAX_NOTE, Reason, Retire, Statement,
    StatementId, Vouches,
};
use crate::text;

/// Room of an envelope around its payload: array head, tag, two lengths, signature.
const ENVELOPE_ROOM: usize = 96;

/// Why bytes are no statement, or a statement cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Longer than its kind allows.
    #[error("statement of {len} bytes, at most {max} are allowed")]
    TooLong {
        /// Its length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// Not the CBOR that is expected here.
    #[error("{what} is not what a statement has there")]
    Malformed {
        /// The part that failed.
        what: &'static str,
    },
    /// Right content, another encoding than the canonical one.
    #[error("not in canonical form")]
    NotCanonical,
    /// A tag of no known kind and format.
    #[error("unknown kind of statement")]
    UnknownKind,
    /// A field outside its bounds.
    #[error("{what} is out of bounds")]
    OutOfBounds {
        /// The field.
        what: &'static str,
    },
    /// A list that is not strictly ascending.
    #[error("{what} are not in strictly ascending order")]
    Unsorted {
        /// The list.
        what: &'static str,
    },
    /// A key speaks about itself where it must not.
    #[error("a key may not {what} itself")]
    OnItself {
        /// What it tried.
        what: &'static str,
    },
    /// The signature is not the issuer's.
    #[error("the signature does not verify")]
    Signature,
    /// Another key's statement cannot be signed here.
    #[error("only its issuer can sign a statement")]
    Issuer,
}

type Result<T> = std::result::Result<T, StatementError>;

pub(super) fn encode_envelope(kind: Kind, payload: &[u8], signature: &[u8; SIGNATURE_LEN]) -> Vec<u8> {
    let mut out = Writer::with_capacity(payload.len() + ENVELOPE_ROOM);
    out.array(3);
    out.text(kind.tag());
    out.bytes(payload);
    out.bytes(signature);
    out.into_inner()
}

pub(super) fn decode_envelope(bytes: &[u8]) -> Result<(Kind, &[u8], [u8; SIGNATURE_LEN])> {
    let longest = crate::statement::MAX_VOUCHES + ENVELOPE_ROOM;
    if bytes.len() > longest {
        return Err(StatementError::TooLong { len: bytes.len(), max: longest });
    }
    let mut input = Reader::new(bytes);
    input.array("envelope", 3)?;
    let tag = input.text("kind")?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.tag() == tag).ok_or(StatementError::UnknownKind)?;
    let payload = input.bytes("payload")?;
    let max = kind.max_payload();
    if payload.len() > max {
        return Err(StatementError::TooLong { len: payload.len(), max });
    }
    let signature = input.fixed("signature")?;
    if encode_envelope(kind, payload, &signature) != bytes {
        return Err(StatementError::NotCanonical);
    }
    Ok((kind, payload, signature))
}

/// The canonical payload; checks every bound that decoding checks.
pub(super) fn encode_payload(statement: &Statement) -> Result<Vec<u8>> {
    check(statement)?;
    let mut out = Writer::with_capacity(256);
    match statement {
        Statement::Vouches(vouches) => write_vouches(&mut out, vouches),
        Statement::Deny(deny) => write_deny(&mut out, deny),
        Statement::Retire(retire) => write_retire(&mut out, retire),
    }
    let payload = out.into_inner();
    let max = statement.kind().max_payload();
    if payload.len() > max {
        return Err(StatementError::TooLong { len: payload.len(), max });
    }
    Ok(payload)
}

pub(super) fn decode_payload(kind: Kind, payload: &[u8]) -> Result<Statement> {
    let mut input = Reader::new(payload);
    let statement = match kind {
        Kind::Vouches => Statement::Vouches(read_vouches(&mut input)?),
        Kind::Deny => Statement::Deny(read_deny(&mut input)?),
        Kind::Retire => Statement::Retire(read_retire(&mut input)?),
    };
    if encode_payload(&statement)? != payload {
        return Err(StatementError::NotCanonical);
    }
    Ok(statement)
}

fn check(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Vouches(vouches) => check_vouches(vouches),
        Statement::Deny(deny) => {
            if deny.subject == deny.issuer {
                return Err(StatementError::OnItself { what: "deny" });
            }
            check_text("note", &deny.note, MAX_NOTE)
        }
        Statement::Retire(retire) => {
            if retire.successor == Some(retire.key) {
                return Err(StatementError::OnItself { what: "succeed" });
            }
            check_text("note", &retire.note, MAX_NOTE)
        }
    }
}

fn check_vouches(vouches: &Vouches) -> Result<()> {
    if vouches.entries.len() > MAX_ENTRIES {
        return Err(StatementError::OutOfBounds { what: "number of entries" });
    }
    let lease = vouches.not_after.checked_sub(vouches.issued_at);
    if lease.is_none_or(|lease| lease > MAX_LEASE) {
        return Err(StatementError::OutOfBounds { what: "lease" });
    }
    if !vouches.entries.is_sorted_by(|a, b| a.subject < b.subject) {
        return Err(StatementError::Unsorted { what: "entries" });
    }
    vouches.entries.iter().try_for_each(|entry| check_entry(&vouches.issuer, entry))
}

fn check_entry(issuer: &PublicKey, entry: &Entry) -> Result<()> {
    if entry.subject == *issuer {
        return Err(StatementError::OnItself { what: "vouch for" });
    }
    if entry.answers.len() > MAX_ANSWERS {
        return Err(StatementError::OutOfBounds { what: "number of answers" });
    }
    if !entry.answers.is_sorted_by(|a, b| a < b) {
        return Err(StatementError::Unsorted { what: "answers" });
    }
    check_text("label", &entry.label, MAX_LABEL)
}

fn check_text(what: &'static str, value: &str, max: usize) -> Result<()> {
    if value.len() > max || !text::is_plain(value) {
        return Err(StatementError::OutOfBounds { what });
    }
    Ok(())
}

fn write_vouches(out: &mut Writer, vouches: &Vouches) {
    out.array(5);
    out.key(&vouches.issuer);
    out.number(vouches.version);
    out.number(vouches.issued_at);
    out.number(vouches.not_after);
    out.array(vouches.entries.len());
    for entry in &vouches.entries {
        out.array(5);
        out.key(&entry.subject);
        out.number(u64::from(entry.rights.bits()));
        out.number(u64::from(entry.depth));
        out.text(&entry.label);
        out.array(entry.answers.len());
        for answer in &entry.answers {
            out.bytes(answer.as_bytes());
        }
    }
}

fn read_vouches(input: &mut Reader<'_>) -> Result<Vouches> {
    input.array("vouches", 5)?;
    let issuer = input.key("issuer")?;
    let version = input.number("version")?;
    let issued_at = input.number("issued_at")?;
    let not_after = input.number("not_after")?;
    let count = input.list("entries", MAX_ENTRIES)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(read_entry(input)?);
    }
    Ok(Vouches { issuer, version, issued_at, not_after, entries })
}

fn read_entry(input: &mut Reader<'_>) -> Result<Entry> {
    input.array("entry", 5)?;
    let subject = input.key("subject")?;
    let rights = Rights::from_bits(input.small("rights")?);
    let rights = rights.ok_or(StatementError::OutOfBounds { what: "rights" })?;
    let depth = input.small("depth")?;
    let label = input.text("label")?.to_owned();
    let count = input.list("answers", MAX_ANSWERS)?;
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        answers.push(StatementId(input.fixed("answer")?));
    }
    Ok(Entry { subject, rights, depth, label, answers })
}

fn write_deny(out: &mut Writer, deny: &Deny) {
    out.array(6);
    out.key(&deny.issuer);
    out.key(&deny.subject);
    out.number(reason_number(deny.reason));
    out.number(deny.issued_at);
    out.bytes(&deny.nonce);
    out.text(&deny.note);
}

fn read_deny(input: &mut Reader<'_>) -> Result<Deny> {
    input.array("deny", 6)?;
    Ok(Deny {
        issuer: input.key("issuer")?,
        subject: input.key("subject")?,
        reason: read_reason(input)?,
        issued_at: input.number("issued_at")?,
        nonce: input.fixed("nonce")?,
        note: input.text("note")?.to_owned(),
    })
}

/// The numbers of the wire; never reused.
const fn reason_number(reason: Reason) -> u64 {
    match reason {
        Reason::Lost => 1,
        Reason::Compromised => 2,
        Reason::Left => 3,
        Reason::Misbehaving => 4,
    }
}

fn read_reason(input: &mut Reader<'_>) -> Result<Reason> {
    let number = input.number("reason")?;
    let known = Reason::ALL.into_iter().find(|reason| reason_number(*reason) == number);
    known.ok_or(StatementError::OutOfBounds { what: "reason" })
}

fn write_retire(out: &mut Writer, retire: &Retire) {
    out.array(4);
    out.key(&retire.key);
    out.number(retire.issued_at);
    out.bytes(retire.successor.as_ref().map_or(&[], |key| key.as_bytes()));
    out.text(&retire.note);
}

fn read_retire(input: &mut Reader<'_>) -> Result<Retire> {
    input.array("retire", 4)?;
    let key = input.key("key")?;
    let issued_at = input.number("issued_at")?;
    let successor = match input.bytes("successor")? {
        [] => None,
        bytes => Some(wire_key("successor", bytes)?),
    };
    Ok(Retire { key, issued_at, successor, note: input.text("note")?.to_owned() })
}

fn wire_key(what: &'static str, bytes: &[u8]) -> Result<PublicKey> {
    let bytes: [u8; KEY_LEN] = bytes.try_into().map_err(|_| StatementError::Malformed { what })?;
    PublicKey::from_wire(bytes).map_err(|_| StatementError::OutOfBounds { what })
}

/// Writes canonical CBOR into memory, which cannot fail.
struct Writer(BufWriter);

impl Writer {
    fn with_capacity(capacity: usize) -> Self {
        Self(BufWriter::new(Vec::with_capacity(capacity)))
    }

    fn put(&mut self, value: &impl Encode) {
        // The writer's only error is a failed allocation; what is missing then fails the comparison when read.
        let _ = value.encode(&mut self.0);
    }

    fn array(&mut self, len: usize) {
        let _ = types::Array::bounded(len, &mut self.0);
    }

    fn number(&mut self, value: u64) {
        self.put(&value);
    }

    fn text(&mut self, value: &str) {
        self.put(&value);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.put(&types::Bytes(value));
    }

    fn key(&mut self, key: &PublicKey) {
        self.bytes(key.as_bytes());
    }

    fn into_inner(self) -> Vec<u8> {
        self.0.into_inner()
    }
}

/// Reads one item after the other; borrows, so that no length in the input makes room anywhere.
struct Reader<'a>(SliceReader<'a>);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(SliceReader::new(bytes))
    }

    fn get<T: Decode<'a>>(&mut self, what: &'static str) -> Result<T> {
        T::decode(&mut self.0).map_err(|_: dec::Error<_>| StatementError::Malformed { what })
    }

    /// The head of an array of at most `max` items.
    fn list(&mut self, what: &'static str, max: usize) -> Result<usize> {
        let len = types::Array::len(&mut self.0).ok().flatten();
        let len = len.ok_or(StatementError::Malformed { what })?;
        if len > max {
            return Err(StatementError::OutOfBounds { what });
        }
        Ok(len)
    }

    /// The head of an array of exactly `len` items.
    fn array(&mut self, what: &'static str, len: usize) -> Result<()> {
        match self.list(what, len) {
            Ok(found) if found == len => Ok(()),
            _ => Err(StatementError::Malformed { what }),
        }
    }

    fn number(&mut self, what: &'static str) -> Result<u64> {
        self.get(what)
    }

    fn small(&mut self, what: &'static str) -> Result<u8> {
        self.get(what)
    }

    fn text(&mut self, what: &'static str) -> Result<&'a str> {
        self.get(what)
    }

    fn bytes(&mut self, what: &'static str) -> Result<&'a [u8]> {
        self.get::<types::Bytes<&[u8]>>(what).map(|bytes| bytes.0)
    }

    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        self.bytes(what)?.try_into().map_err(|_| StatementError::Malformed { what })
    }

    fn key(&mut self, what: &'static str) -> Result<PublicKey> {
        wire_key(what, self.bytes(what)?)
    }
}
