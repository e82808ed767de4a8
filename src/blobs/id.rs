//! Names of content: BLAKE3, printed as 64 hexadecimal digits.
//!
//! The type itself lives with the wire types, which compute nothing.

pub use testmesh_behaviours::id::BlobId;

/// The name of these bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> BlobId {
    BlobId::new(*blake3::hash(bytes).as_bytes())
}

/// The name that was printed so; none where it is not 64 lower-case hexadecimal digits.
#[must_use]
pub fn parse(text: &str) -> Option<BlobId> {
    let strict = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let hash = strict.then(|| blake3::Hash::from_hex(text).ok())??;
    Some(BlobId::new(*hash.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_prints_and_reads_back() {
        let id = hash(b"abc");
        assert_eq!(id.to_string(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(parse(&id.to_string()), Some(id));
        for wrong in ["", "6437", &id.to_string().to_uppercase(), &format!("{id}0"), "../../etc/passwd"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
