//! A public key: the only name a node has.
//!
//! Comes from key files, allowlists, statements and the transport's peer ids; goes to all of them. Text is
//! `ed25519:` and lower-case base32, people compare [`PublicKey::words`]. Weak keys (points of small order, under
//! which almost any message verifies) never become a [`PublicKey`]. No secret is ever seen here.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What every key in text begins with.
pub const KEY_PREFIX: &str = "ed25519:";

/// Bytes of a key on every wire.
pub const KEY_LEN: usize = 32;

/// What stands before the key in a libp2p peer id: the identity multihash (00, length 0x24) of the protobuf
/// `{ type = 1: Ed25519, data = 2: 32 bytes }`.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Bytes of a peer id that carries an Ed25519 key.
pub const PEER_ID_LEN: usize = PEER_ID_PREFIX.len() + KEY_LEN;

/// Words people compare: 12 of 11 bits are 132 bits, which cannot be ground offline.
pub const WORDS: usize = 12;

/// Every encoding of a point of small order (the eight points, and the non-canonical twins of those that have one),
/// with the sign bit cleared; as in libsodium's block list.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// An Ed25519 public key that is not weak. Ordered by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_LEN]);

/// Why bytes or text are no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another number of bytes than [`KEY_LEN`].
    #[error("a key has 32 bytes, this has {0}")]
    Length(usize),
    /// Not the canonical encoding of a point of the curve.
    #[error("these 32 bytes are no Ed25519 key")]
    NotOnCurve,
    /// A point of small order.
    #[error("this is a weak key: signatures under it prove nothing")]
    Weak,
    /// Text without the prefix.
    #[error("a key begins with `ed25519:`")]
    Prefix,
    /// Text that is not lower-case base32 of 32 bytes.
    #[error("{0:?} is no key in base32; hint: 52 letters a-z and digits 2-7 follow `ed25519:`")]
    Base32(String),
    /// A peer id of another kind.
    #[error("this peer id carries no Ed25519 key")]
    PeerId,
}

impl PublicKey {
    /// A key from outside: on the curve, canonical, not weak.
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::NotOnCurve`] or [`KeyError::Weak`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; KEY_LEN] = bytes.try_into().map_err(|_| KeyError::Length(bytes.len()))?;
        let key = Self::from_wire(bytes)?;
        let point = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotOnCurve)?;
        if point.is_weak() {
            return Err(KeyError::Weak);
        }
        if point.to_edwards().compress().to_bytes() != bytes {
            return Err(KeyError::NotOnCurve);
        }
        Ok(key)
    }

    /// A key inside a statement: not weak. Whether it is on the curve is found when it signs something, because
    /// a snapshot of 256 entries would cost 256 square roots otherwise and nobody can sign for a point that is not there.
    ///
    /// # Errors
    /// [`KeyError::Weak`].
    pub fn from_wire(bytes: [u8; KEY_LEN]) -> Result<Self, KeyError> {
        if is_small_order(&bytes) { Err(KeyError::Weak) } else { Ok(Self(bytes)) }
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The first 8 letters of the text without its prefix: enough to tell keys of one mesh apart, never to check one.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.base32();
        text.truncate(8);
        text
    }

    /// Twelve words of the BIP39 English list: the first 132 bits of BLAKE3 of the key.
    #[must_use]
    pub fn words(&self) -> [&'static str; WORDS] {
        let hash = blake3::hash(&self.0);
        let list = bip39::Language::English.word_list();
        std::array::from_fn(|nth| list[eleven_bits(hash.as_bytes(), nth)])
    }

    /// The libp2p peer id of this key, in bytes: identity multihash of the protobuf key.
    #[must_use]
    pub fn to_peer_id_bytes(&self) -> [u8; PEER_ID_LEN] {
        let mut bytes = [0; PEER_ID_LEN];
        let (prefix, key) = bytes.split_at_mut(PEER_ID_PREFIX.len());
        prefix.copy_from_slice(&PEER_ID_PREFIX);
        key.copy_from_slice(&self.0);
        bytes
    }

    /// The key inside a libp2p peer id.
    ///
    /// # Errors
    /// [`KeyError::PeerId`] for hashed or foreign ids, else as [`PublicKey::from_bytes`].
    pub fn from_peer_id_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = bytes.strip_prefix(&PEER_ID_PREFIX).ok_or(KeyError::PeerId)?;
        Self::from_bytes(key)
    }

    /// Whether a signature over a buffer is this key's; strict, so that no second signature or weak key passes.
    #[must_use]
    pub fn verify(&self, buffer: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.verifying().is_ok_and(|point| point.verify_strict(buffer, &signature).is_ok())
    }

    /// The point, for verification.
    pub(crate) fn verifying(&self) -> Result<VerifyingKey, KeyError> {
        VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotOnCurve)
    }

    fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0).to_ascii_lowercase()
    }
}

/// The `nth` group of eleven bits, most significant bit first; always below 2048.
fn eleven_bits(hash: &[u8; 32], nth: usize) -> usize {
    (nth * 11..nth * 11 + 11).fold(0, |word, bit| {
        let byte = hash.get(bit / 8).copied().unwrap_or(0);
        word << 1 | usize::from(byte >> (7 - bit % 8) & 1)
    })
}

fn is_small_order(bytes: &[u8; KEY_LEN]) -> bool {
    let mut unsigned = *bytes;
    unsigned[KEY_LEN - 1] &= 0x7f;
    let text = HEXLOWER.encode(&unsigned);
    SMALL_ORDER.contains(&text.as_str())
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KEY_PREFIX}{}", self.base32())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let encoded = text.strip_prefix(KEY_PREFIX).ok_or(KeyError::Prefix)?;
        let refused = || KeyError::Base32(encoded.chars().take(64).collect());
        if encoded.chars().any(|letter| letter.is_ascii_uppercase()) {
            return Err(refused());
        }
        let bytes = BASE32_NOPAD.decode(encoded.to_ascii_uppercase().as_bytes()).map_err(|_| refused())?;
        Self::from_bytes(&bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serde_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
        }
        let bytes: serde_bytes::ByteArray<KEY_LEN> = Deserialize::deserialize(deserializer)?;
        Self::from_bytes(&*bytes).map_err(D::Error::custom)
    }
}
