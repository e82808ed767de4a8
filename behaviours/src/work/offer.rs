//! Jobs signed as a whole by the node that submits them.
//!
//! The bytes of an [`Offer`] travel and are verified verbatim, behind a domain of their own, so that no signature
//! made for a handshake, for gossip or for a trust statement is ever one for a job. How to sign and to verify comes in
//! as a function: keys live elsewhere. Whether the submitter is trusted, and whether the nonce was seen before, is
//! the node's to know.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::message::RunId;
use super::wire::{Arg, Job, Root, RootedPath};
use crate::check::{Check, Excess, most, text};
use crate::id::{BlobId, NodeKey};

/// The domain of a job's signature.
pub const DOMAIN: &[u8] = b"testmesh-job";
/// Kind and format number of what is signed.
pub const KIND: &[u8] = b"offer/1";
/// Jobs in one offer: a request ahead for the largest node.
pub const JOBS_MAX: usize = 512;
/// Input digests in one offer.
pub const INPUTS_MAX: usize = 64;
/// Bytes of an offer; below the request's limit with room for the frame.
pub const SIGNED_MAX: usize = 1024 * 1024;
/// Arguments of one job.
pub const ARGUMENTS_MAX: usize = 1_024;
/// Environment variables of one job (security.md §3.5).
pub const VARIABLES_MAX: usize = 64;
/// Bytes of one argument, value or path.
pub const ARGUMENT_MAX: usize = 128 * 1024;
/// Seconds an offer may be valid for: how long nonces must be remembered.
pub const LIFE_MAX: u64 = 15 * 60;

/// The content below a [`Root`] that the jobs need.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputDigest {
    /// Below which directory.
    pub root: Root,
    /// The manifest that names every file.
    pub manifest: BlobId,
}

/// Jobs for one worker, by one submitter, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The run all the jobs belong to.
    pub run: RunId,
    /// Who asks and signs.
    pub submitter: NodeKey,
    /// Who is asked; nobody else may run them.
    pub audience: NodeKey,
    /// Counts the offers of this run to this worker.
    pub sequence: u64,
    /// Seconds since the epoch after which it counts no more.
    pub expires: u64,
    /// Never used twice by the submitter.
    pub nonce: ByteArray<16>,
    /// Everything the jobs read.
    pub inputs: Vec<InputDigest>,
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// An [`Offer`] as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOffer {
    /// The offer as CBOR, exactly as signed.
    pub bytes: ByteBuf,
    /// Ed25519 over [`signing_bytes`] of `bytes`.
    pub signature: ByteArray<64>,
}

/// Why a signed offer is not one for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The signature does not hold for the peer it came from.
    #[error("the signature is not the submitter's")]
    Signature,
    /// It does not decode, or not to the same bytes.
    #[error("not an offer: {0}")]
    Malformed(String),
    /// A part is too large.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// Signed by or made for somebody else, or with jobs of another run.
    #[error("{0} does not match")]
    Mismatch(&'static str),
    /// Its time is over, or lies too far ahead.
    #[error("expires at {expires}, now is {now}")]
    Expired {
        /// Seconds since the epoch.
        expires: u64,
        /// Seconds since the epoch.
        now: u64,
    },
}

/// What is signed: domain, kind and payload, each behind its length (libp2p RFC 0002).
#[must_use]
pub fn signing_bytes(payload: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(DOMAIN.len() + KIND.len() + payload.len() + 16);
    for part in [DOMAIN, KIND, payload] {
        length(part.len() as u64, &mut buffer);
        buffer.extend_from_slice(part);
    }
    buffer
}

/// An unsigned LEB128 number, as libp2p writes lengths.
fn length(mut value: u64, buffer: &mut Vec<u8>) {
    while value >= 0x80 {
        buffer.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

impl SignedOffer {
    /// Encodes and signs; `sign` is given [`signing_bytes`].
    ///
    /// # Errors
    /// [`OfferError::Excess`] where the offer is larger than a worker would take.
    pub fn new(offer: &Offer, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Result<Self, OfferError> {
        offer.check()?;
        let bytes = encode(offer)?;
        most("offer", bytes.len(), SIGNED_MAX)?;
        let signature = ByteArray::new(sign(&signing_bytes(&bytes)));
        Ok(Self { bytes: ByteBuf::from(bytes), signature })
    }

    /// Verifies everything that can be without a memory and returns the offer.
    ///
    /// `from` is the peer the connection was proven for, `here` this node, `now` in seconds since the epoch. `verify`
    /// is given the key, [`signing_bytes`] and the signature and must be strict.
    ///
    /// # Errors
    /// The first thing that does not hold; nothing of the offer may then be used.
    pub fn open(
        &self,
        from: &NodeKey,
        here: &NodeKey,
        now: u64,
        verify: impl FnOnce(&NodeKey, &[u8], &[u8; 64]) -> bool,
    ) -> Result<Offer, OfferError> {
        most("offer", self.bytes.len(), SIGNED_MAX)?;
        if !verify(from, &signing_bytes(&self.bytes), &self.signature.into_array()) {
            return Err(OfferError::Signature);
        }
        let offer: Offer = cbor4ii::serde::from_slice(&self.bytes).map_err(malformed)?;
        if encode(&offer)? != self.bytes.as_slice() {
            return Err(OfferError::Malformed("not in canonical form".to_owned()));
        }
        offer.check()?;
        offer.is_for(from, here, now)?;
        Ok(offer)
    }
}

fn encode(offer: &Offer) -> Result<Vec<u8>, OfferError> {
    cbor4ii::serde::to_vec(Vec::new(), offer).map_err(malformed)
}

fn malformed(error: impl std::fmt::Display) -> OfferError {
    OfferError::Malformed(error.to_string())
}

impl Offer {
    fn is_for(&self, from: &NodeKey, here: &NodeKey, now: u64) -> Result<(), OfferError> {
        if self.submitter != *from {
            return Err(OfferError::Mismatch("submitter"));
        }
        if self.audience != *here {
            return Err(OfferError::Mismatch("audience"));
        }
        if self.jobs.iter().any(|job| job.id.run != self.run.0) {
            return Err(OfferError::Mismatch("run"));
        }
        if self.expires <= now || self.expires > now.saturating_add(LIFE_MAX) {
            return Err(OfferError::Expired { expires: self.expires, now });
        }
        Ok(())
    }
}

fn path(path: &RootedPath) -> Result<(), Excess> {
    text("path", &path.path, ARGUMENT_MAX)
}

fn argument(argument: &Arg) -> Result<(), Excess> {
    match argument {
        Arg::Text(value) => text("argument", value, ARGUMENT_MAX),
        Arg::Path(rooted) | Arg::Relative(rooted) => path(rooted),
        Arg::Within { before, path: rooted, after } => {
            text("argument", before, ARGUMENT_MAX)?;
            text("argument", after, ARGUMENT_MAX)?;
            path(rooted)
        }
    }
}

impl Check for Job {
    fn check(&self) -> Result<(), Excess> {
        most("arguments", self.argv.len(), ARGUMENTS_MAX)?;
        most("variables", self.env.len(), VARIABLES_MAX)?;
        self.argv.iter().chain(self.env.iter().map(|(_, value)| value)).try_for_each(argument)?;
        self.env.iter().try_for_each(|(name, _)| text("variable", name, ARGUMENT_MAX))?;
        path(&self.cwd)
    }
}

impl Check for Offer {
    fn check(&self) -> Result<(), Excess> {
        most("inputs", self.inputs.len(), INPUTS_MAX)?;
        most("jobs", self.jobs.len(), JOBS_MAX)?;
        self.jobs.iter().try_for_each(Check::check)
    }
}

#[cfg(test)]
mod tests;
