//! Between the keys crate's types and the socket's.

use testmesh_keys::key::PublicKey;

use crate::local::wire::Key;

/// A key as the socket carries it.
pub(super) fn wire_key(key: &PublicKey) -> Key {
    Key(*key.as_bytes())
}

/// The words people compare for a key; none for bytes that are no good key.
pub(super) fn words(key: &Key) -> Vec<&'static str> {
    PublicKey::from_bytes(&key.0).map(|key| key.words().to_vec()).unwrap_or_default()
}
