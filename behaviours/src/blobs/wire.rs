//! The two frames at the beginning of a blob stream: `/testmesh/blob/1`.
//!
//! The opener asks, the provider answers, then exactly the announced bytes follow raw. The end of a stream never
//! means that the content is complete: a broken connection reads the same. Who receives counts and hashes.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use crate::id::BlobId;

/// The protocol's name on the wire.
pub const PROTOCOL: &str = "/testmesh/blob/1";
/// Bytes of a frame: both kinds are below 100.
pub const FRAME_MAX: usize = 1_024;

/// What the opener wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// Which content.
    pub id: BlobId,
    /// From which byte on.
    pub offset: u64,
    /// At most so many bytes; the provider may send no more.
    pub most: u64,
}

/// What the provider does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobAnswer {
    /// The bytes follow: `min(length - offset, most)` of them.
    Sending {
        /// Bytes of the whole content.
        length: u64,
    },
    /// Not here.
    Missing,
    /// Too many transfers; ask again later or elsewhere.
    Busy,
    /// The request makes no sense, such as an offset behind the end.
    Refused,
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
    let bytes = cbor4ii::serde::to_vec(Vec::new(), frame)
        .map_err(|error| FrameError::Malformed(error.to_string()))?;
    let length = u16::try_from(bytes.len()).ok().filter(|_| bytes.len() <= FRAME_MAX);
    let length = length.ok_or(FrameError::TooLong(bytes.len()))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
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
