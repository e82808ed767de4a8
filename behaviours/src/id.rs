//! Names of 32 bytes: keys, statements, blobs, digests.
//!
//! They travel as CBOR byte strings and print as hexadecimal. Nothing here computes or checks one: the crates that
//! own keys, statements and content do.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// Declares a name of 32 bytes, a CBOR byte string on the wire.
macro_rules! name32 {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(ByteArray<32>);

        impl $name {
            /// From its bytes, whatever they are.
            #[must_use]
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(ByteArray::new(bytes))
            }

            /// The bytes.
            #[must_use]
            pub fn bytes(&self) -> [u8; 32] {
                self.0.into_array()
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self::new(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

name32!(
    /// A node's Ed25519 public key.
    NodeKey
);
name32!(
    /// The name of a signed statement: a hash of what it says, without the signature.
    StatementId
);
name32!(
    /// A hash over a whole set, equal where the sets are equal.
    Digest
);
name32!(
    /// The BLAKE3 hash of some content.
    BlobId
);

impl NodeKey {
    /// The key inside a peer's name; none where the name is not that of an Ed25519 key.
    #[must_use]
    pub fn of(peer: &libp2p::PeerId) -> Option<Self> {
        let hash = peer.as_ref();
        let inlined = hash.code() == IDENTITY_HASH;
        let key = inlined.then(|| libp2p::identity::PublicKey::try_decode_protobuf(hash.digest()).ok())??;
        key.try_into_ed25519().ok().map(|key| Self::new(key.to_bytes()))
    }

    /// The peer with this key; none where the bytes are no point of the curve.
    #[must_use]
    pub fn peer(&self) -> Option<libp2p::PeerId> {
        let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(&self.bytes()).ok()?;
        Some(libp2p::identity::PublicKey::from(key).to_peer_id())
    }
}

/// The multihash code of a name that holds the key itself.
const IDENTITY_HASH: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_peer_name_each_other() {
        let keypair = libp2p::identity::Keypair::ed25519_from_bytes([7; 32]).unwrap();
        let peer = keypair.public().to_peer_id();
        let key = NodeKey::of(&peer).unwrap();
        assert_eq!(key.peer(), Some(peer));
        assert_eq!(key.to_string().len(), 64);
    }

    #[test]
    fn a_name_without_a_key_has_none() {
        assert_eq!(NodeKey::of(&libp2p::PeerId::random()), None);
    }
}
