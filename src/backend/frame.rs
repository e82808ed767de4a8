//! Frames: a length of four bytes, little-endian, and as many bytes of CBOR.
//!
//! Pure: whoever owns the socket reads and writes. Both ends are this program, but the slot's end is closest to the
//! tests, so a length is checked before anything is allocated for it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes of one frame: both streams at their largest ([`super::capture::LARGEST`]) and room for the rest.
pub(super) const LARGEST: usize = 64 << 20;

/// Bytes of the length.
const HEADER: usize = 4;

/// Why a frame cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("frame of {0} bytes is larger than {LARGEST}")]
    TooLarge(usize),
    #[error("value cannot be encoded: {0}")]
    Encode(String),
    #[error("frame cannot be understood: {0}")]
    Decode(String),
}

/// The frame of a value.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, FrameError> {
    let header = vec![0; HEADER];
    let mut frame =
        cbor4ii::serde::to_vec(header, value).map_err(|error| FrameError::Encode(error.to_string()))?;
    let body = frame.len() - HEADER;
    let length = u32::try_from(body).ok().filter(|_| body <= LARGEST).ok_or(FrameError::TooLarge(body))?;
    frame[..HEADER].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Bytes that have come in and not been understood yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Where the reader appends what comes in, with room for at least one read.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        const READ: usize = 16 << 10;
        let end = self.announced().filter(|end| *end <= HEADER + LARGEST).unwrap_or(0);
        self.bytes.reserve(end.saturating_sub(self.bytes.len()).max(READ));
        &mut self.bytes
    }

    /// The next value, once all of it is here.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(end) = self.announced() else { return Ok(None) };
        if end - HEADER > LARGEST {
            return Err(FrameError::TooLarge(end - HEADER));
        }
        let Some(body) = self.bytes.get(HEADER..end) else { return Ok(None) };
        let value =
            cbor4ii::serde::from_slice(body).map_err(|error| FrameError::Decode(error.to_string()))?;
        self.bytes.drain(..end);
        Ok(Some(value))
    }

    /// Where the first frame ends, once its length is here.
    fn announced(&self) -> Option<usize> {
        let header = self.bytes.first_chunk::<HEADER>()?;
        Some(HEADER + u32::from_le_bytes(*header) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_survive_any_cut(values in prop::collection::vec(".*", 0..5), cut in 1usize..9) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| encode(value).unwrap()).collect();
            let mut inbox = Inbox::default();
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
            let mut inbox = Inbox::default();
            inbox.room().extend_from_slice(&bytes);
            while let Ok(Some(_)) = inbox.next::<String>() {}
        }
    }

    #[test]
    fn an_absurd_length_is_an_error_before_it_is_memory() {
        let mut inbox = Inbox::default();
        inbox.room().extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(inbox.room().capacity() < LARGEST);
        assert!(matches!(inbox.next::<String>(), Err(FrameError::TooLarge(_))));
    }
}
