//! What the two ends of a blob stream say: `/testmesh/blob/1`.
//!
//! The opener sends an [`Ask`] for up to [`WANTS_MAX`] blobs. The provider sends an [`Answer`] for each of them, in
//! order, and [`Given`]: so the opener knows at once what to ask of others. Then, in the same order, exactly the bytes
//! that were announced with [`Answer::Sending`], raw (packs are compressed already); then, again in order, another
//! answer for each that was [`Answer::Coming`], the bytes of a `Sending` right behind it. Then the opener may ask again,
//! or close. The end of a stream never means that content is complete: a broken connection
//! reads the same, so who receives counts and hashes.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use crate::id::{BlobId, NodeKey};

/// The protocol's name on the wire.
pub const PROTOCOL: &str = "/testmesh/blob/1";
/// Bytes of a frame.
pub const FRAME_MAX: usize = 4_096;
/// Version of these frames; a provider refuses others.
pub const VERSION: u8 = 1;
/// Blobs asked for at once: as many as fit a frame.
pub const WANTS_MAX: usize = 16;
/// Blobs named in [`Given`]: as many as fit a frame.
pub const GIVEN_MAX: usize = 56;
/// Other holders named in one answer.
pub const HOLDERS_MAX: usize = 8;

/// One blob or the rest of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(BlobId, u64, u64, bool)", into = "(BlobId, u64, u64, bool)")]
pub struct Want {
    /// Which content.
    pub id: BlobId,
    /// From which byte on.
    pub offset: u64,
    /// Bytes of the whole blob where known; else the most that would be taken. Not more may be sent.
    pub most: u64,
    /// Others were tried and did not have it: do not send me there again.
    pub insist: bool,
}

/// What the opener wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// [`VERSION`].
    pub version: u8,
    /// 1 to [`WANTS_MAX`] blobs.
    pub wants: Vec<Want>,
}

/// What the provider does about one [`Want`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// `length - offset` bytes follow.
    Sending {
        /// Bytes of the whole blob, at most what was wanted.
        length: u64,
    },
    /// Not here yet, but on its way: another answer follows behind the content of the others.
    Coming,
    /// Not here.
    Missing,
    /// Too much to do; ask again later or elsewhere.
    Busy,
    /// These have it, or are being sent it now: at most [`HOLDERS_MAX`].
    Elsewhere(Vec<NodeKey>),
    /// The request makes no sense: a version, an offset behind the end, a blob larger than wanted.
    Refused,
}

/// What others were given since the opener was told last, at most [`GIVEN_MAX`], whether it lacks them or not. They have
/// these, or are being sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given(pub Vec<(BlobId, NodeKey)>);

impl From<(BlobId, u64, u64, bool)> for Want {
    fn from((id, offset, most, insist): (BlobId, u64, u64, bool)) -> Self {
        Self { id, offset, most, insist }
    }
}

impl From<Want> for (BlobId, u64, u64, bool) {
    fn from(want: Want) -> Self {
        (want.id, want.offset, want.most, want.insist)
    }
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke or ended.
    #[error("the stream broke: {0}")]
    Io(#[from] std::io::Error),
    /// Longer than [`FRAME_MAX`].
    #[error("a frame of {0} bytes, at most {FRAME_MAX} allowed")]
    TooLong(usize),
    /// Not what belongs here.
    #[error("not a frame: {0}")]
    Malformed(String),
}

/// Writes one frame behind its length (two bytes, most significant first) and flushes.
///
/// # Errors
/// The stream's, or [`FrameError::TooLong`].
pub async fn write_frame<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &T,
) -> Result<(), FrameError> {
    write_frames(stream, std::slice::from_ref(frame)).await
}

/// Writes several at once.
///
/// # Errors
/// The stream's, or [`FrameError::TooLong`]; then nothing was written.
pub async fn write_frames<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    frames: &[T],
) -> Result<(), FrameError> {
    let mut all = Vec::new();
    for frame in frames {
        let bytes = cbor4ii::serde::to_vec(Vec::new(), frame)
            .map_err(|error| FrameError::Malformed(error.to_string()))?;
        let length = u16::try_from(bytes.len()).ok().filter(|_| bytes.len() <= FRAME_MAX);
        let length = length.ok_or(FrameError::TooLong(bytes.len()))?;
        all.extend(length.to_be_bytes());
        all.extend(bytes);
    }
    stream.write_all(&all).await?;
    Ok(stream.flush().await?)
}

/// Reads one frame.
///
/// # Errors
/// The stream's, or that what came is no such frame.
pub async fn read_frame<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > FRAME_MAX {
        return Err(FrameError::TooLong(length));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    cbor4ii::serde::from_slice(&bytes).map_err(|error| FrameError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(value: &impl Serialize) -> usize {
        cbor4ii::serde::to_vec(Vec::new(), value).unwrap().len()
    }

    #[test]
    fn the_largest_frames_fit() {
        let want = Want { id: BlobId::new([0xff; 32]), offset: u64::MAX, most: u64::MAX, insist: true };
        let ask = Ask { version: VERSION, wants: vec![want; WANTS_MAX] };
        let elsewhere = Answer::Elsewhere(vec![NodeKey::new([0xff; 32]); HOLDERS_MAX]);
        let given = Given(vec![(BlobId::new([0xff; 32]), NodeKey::new([0xff; 32])); GIVEN_MAX]);
        for length in [length(&ask), length(&elsewhere), length(&given)] {
            assert!(length <= FRAME_MAX, "{length}");
        }
    }
}
