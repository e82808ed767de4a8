//! Keys, names and rights as the socket carries them: bytes in CBOR, text in JSON.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_bytes::ByteArray;

/// What the text of a key begins with.
const PREFIX: &str = "ed25519:";

/// Letters of the short form that tells keys apart for people. Never accepted as a name.
const SHORT: usize = 8;

/// A node's public key. Whether it is a good one is for the `keys` crate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

/// Text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no key: `ed25519:` and 52 letters a-z and digits 2-7 were expected")]
pub struct BadKey;

impl Key {
    /// The first letters, for lists. Shown, never used to find a key.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        text.truncate(SHORT);
        text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.short())
    }
}

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let letters = text.strip_prefix(PREFIX).ok_or(BadKey)?;
        if letters.bytes().any(|letter| letter.is_ascii_uppercase()) {
            return Err(BadKey);
        }
        let bytes = BASE32_NOPAD.decode(letters.to_ascii_uppercase().as_bytes()).map_err(|_| BadKey)?;
        bytes.try_into().map(Key).map_err(|_| BadKey)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serde_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
        }
        ByteArray::deserialize(deserializer).map(|bytes: ByteArray<32>| Key(bytes.into_array()))
    }
}

/// A key with the name it goes by: your label where you gave one, else what its voucher or itself says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// Which key.
    pub key: Key,
    /// Empty where nobody said one.
    pub name: String,
    /// Whose word the name is.
    pub origin: Origin,
}

/// Whose word a name is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// This machine's owner: a label given at an approval, or this machine's own name.
    Yours,
    /// A machine that vouches for it: a claim.
    Voucher,
    /// The machine that bears it: a claim anybody can make.
    #[default]
    Itself,
}

/// What a key may do. Both false means it is listed and not trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rights {
    /// Its jobs run here.
    pub submit: bool,
    /// Its results count here.
    pub work: bool,
}

impl Rights {
    /// Both.
    pub const ALL: Rights = Rights { submit: true, work: true };

    /// Whether there is any at all.
    #[must_use]
    pub fn any(self) -> bool {
        self.submit || self.work
    }
}
