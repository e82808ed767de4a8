//! Frames on the socket: a length of four bytes, little-endian, and as many bytes of CBOR.
//!
//! Pure: whoever owns the socket reads and writes. A length is checked before anything is allocated for it, and room
//! grows only as bytes come in.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the length.
const HEADER: usize = 4;

/// Bytes asked of the socket at once: many small messages, or a good part of a large one.
const READ: usize = 16 << 10;

/// Why a frame cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than the side it goes to accepts.
    #[error("a message of {length} bytes is larger than {most}")]
    TooLarge {
        /// Of the message.
        length: usize,
        /// The bound.
        most: usize,
    },
    /// The value has no encoding.
    #[error("a message cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are no such value.
    #[error("a message cannot be understood: {0}")]
    Decode(String),
}

/// The frame of a value.
pub(super) fn encode<T: Serialize>(value: &T, most: usize) -> Result<Vec<u8>, FrameError> {
    let header = vec![0; HEADER];
    let mut frame =
        cbor4ii::serde::to_vec(header, value).map_err(|error| FrameError::Encode(error.to_string()))?;
    let length = frame.len().saturating_sub(HEADER);
    let announced =
        u32::try_from(length).ok().filter(|_| length <= most).ok_or(FrameError::TooLarge { length, most })?;
    frame.splice(..HEADER, announced.to_le_bytes());
    Ok(frame)
}

/// Bytes that have come in and not been understood yet.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    most: usize,
}

impl Inbox {
    /// For frames of at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Inbox { bytes: Vec::new(), most }
    }

    /// From now on, frames of at most `most` bytes.
    pub(super) fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Where the reader appends what comes in, with room for one read.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.reserve(READ);
        &mut self.bytes
    }

    /// The next value, once all of it is here. After an error the stream is of no more use.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(header) = self.bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length > self.most {
            return Err(FrameError::TooLarge { length, most: self.most });
        }
        let Some(body) = self.bytes.get(HEADER..HEADER + length) else { return Ok(None) };
        let value =
            cbor4ii::serde::from_slice(body).map_err(|error| FrameError::Decode(error.to_string()))?;
        self.bytes.drain(..HEADER + length);
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_survive_any_cut(values in prop::collection::vec(".*", 0..5), cut in 1usize..9) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| encode(value, 1 << 20).unwrap()).collect();
            let mut inbox = Inbox::new(1 << 20);
            let mut seen = Vec::new();
            for piece in bytes.chunks(cut) {
                inbox.room().extend_from_slice(piece);
                while let Some(value) = inbox.next::<String>().unwrap() {
                    seen.push(value);
                }
            }
            prop_assert_eq!(seen, values);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut inbox = Inbox::new(32);
            inbox.room().extend_from_slice(&bytes);
            while let Ok(Some(_)) = inbox.next::<super::super::wire::Ask>() {}
        }
    }

    #[test]
    fn an_absurd_length_is_an_error_before_it_is_memory() {
        let mut inbox = Inbox::new(1 << 20);
        inbox.room().extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(inbox.room().capacity() < 1 << 20);
        assert!(matches!(inbox.next::<String>(), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        assert!(matches!(encode(&"12345678", 8), Err(FrameError::TooLarge { length: 9, most: 8 })));
        assert_eq!(encode(&"1234567", 8).unwrap().len(), HEADER + 8);
    }
}
