//! A statement with its signature: the form that travels and is stored.
//!
//! The envelope is the CBOR array `[tag, payload, signature]`. What is signed follows libp2p's RFC 0002: domain,
//! tag and payload, each behind its length, so that the first byte (the length of the domain, 12) can never begin a
//! Noise or gossipsub signing buffer of the same key. No trust is decided here.

use std::fmt;
use std::sync::Arc;

use crate::identity::Identity;
use crate::key::PublicKey;
use crate::statement::wire::{self, StatementError};
use crate::statement::{Kind, Statement, StatementId};

/// The domain of every trust statement.
const DOMAIN: &[u8] = b"v8mesh-trust";

/// Bytes of an Ed25519 signature.
pub(super) const SIGNATURE_LEN: usize = 64;

/// A statement whose signature was checked, or which this node signed. Cheap to clone.
#[derive(Clone)]
pub struct Signed(Arc<Parts>);

struct Parts {
    statement: Statement,
    id: StatementId,
    /// The whole envelope, verbatim.
    bytes: Vec<u8>,
}

/// A statement that decoded; its signature was not looked at. Costs no cryptography.
#[derive(Clone)]
pub struct Unverified {
    statement: Statement,
    id: StatementId,
    payload: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
    bytes: Vec<u8>,
}

/// What a key signs for a statement: `uvarint(len D) D uvarint(len T) T uvarint(len P) P`.
#[must_use]
pub fn signing_buffer(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(DOMAIN.len() + payload.len() + 20);
    for part in [DOMAIN, kind.tag().as_bytes(), payload] {
        push_uvarint(&mut buffer, part.len());
        buffer.extend_from_slice(part);
    }
    buffer
}

/// The name: BLAKE3 of tag and payload, each behind its length.
fn id_of(kind: Kind, payload: &[u8]) -> StatementId {
    let mut named = Vec::with_capacity(payload.len() + 16);
    for part in [kind.tag().as_bytes(), payload] {
        push_uvarint(&mut named, part.len());
        named.extend_from_slice(part);
    }
    StatementId(*blake3::hash(&named).as_bytes())
}

#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
fn push_uvarint(buffer: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        buffer.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

impl Unverified {
    /// Reads an envelope from outside: strict, bounded, without recursion.
    ///
    /// # Errors
    /// Every way bytes can fail to be a canonical statement within its bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let (kind, payload, signature) = wire::decode_envelope(bytes)?;
        let statement = wire::decode_payload(kind, payload)?;
        let id = id_of(kind, payload);
        Ok(Self { statement, id, payload: payload.to_vec(), signature, bytes: bytes.to_vec() })
    }

    /// What it says; nobody vouches for that yet.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> StatementId {
        self.id
    }

    /// Checks the signature, strictly.
    ///
    /// # Errors
    /// [`StatementError::Signature`].
    pub fn verify(self) -> Result<Signed, StatementError> {
        let issuer = self.statement.issuer();
        let key = issuer.verifying().map_err(|_| StatementError::Signature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature);
        let buffer = signing_buffer(self.statement.kind(), &self.payload);
        key.verify_strict(&buffer, &signature).map_err(|_| StatementError::Signature)?;
        Ok(self.assume_verified())
    }

    /// Takes the signature as checked: for what this node wrote to its own store behind a checksum after checking it,
    /// and for models in tests. Never for bytes of a peer.
    #[must_use]
    pub fn assume_verified(self) -> Signed {
        Signed(Arc::new(Parts { statement: self.statement, id: self.id, bytes: self.bytes }))
    }
}

impl Signed {
    /// Signs a statement of this node.
    ///
    /// # Errors
    /// [`StatementError`] where the statement is out of its bounds or another key is its issuer.
    pub fn new(statement: Statement, identity: &Identity) -> Result<Self, StatementError> {
        if statement.issuer() != identity.public() {
            return Err(StatementError::Issuer);
        }
        let payload = wire::encode_payload(&statement)?;
        let signature = identity.sign(&signing_buffer(statement.kind(), &payload));
        Ok(Self::assemble(statement, &payload, &signature))
    }

    /// A statement that carries no valid signature: for models and benchmarks only; [`Unverified::verify`] refuses it.
    ///
    /// # Errors
    /// [`StatementError`] where the statement is out of its bounds.
    pub fn unsigned(statement: Statement) -> Result<Self, StatementError> {
        let payload = wire::encode_payload(&statement)?;
        Ok(Self::assemble(statement, &payload, &[0; SIGNATURE_LEN]))
    }

    fn assemble(statement: Statement, payload: &[u8], signature: &[u8; SIGNATURE_LEN]) -> Self {
        let kind = statement.kind();
        let bytes = wire::encode_envelope(kind, payload, signature);
        Self(Arc::new(Parts { statement, id: id_of(kind, payload), bytes }))
    }

    /// What it says.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.0.statement
    }

    /// Who signed it.
    #[must_use]
    pub fn issuer(&self) -> PublicKey {
        self.0.statement.issuer()
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> StatementId {
        self.0.id
    }

    /// The envelope as it travels and is stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl PartialEq for Signed {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Signed {}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.0.id, self.0.statement)
    }
}
