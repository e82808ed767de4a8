//! What the two ends of a blob stream say: `/testmesh/blob/1`.
//!
//! The opener sends an [`Ask`] for up to [`WANTS_MAX`] blobs. For each of them, in order, the provider sends an
//! [`Answer`]; behind [`Answer::Sending`] follow exactly the announced bytes, raw (packs are compressed already). Then
//! the opener may ask again, or close. The end of a stream never means that content is complete: a broken connection
//! reads the same, so who receives counts and hashes.

use serde::{Deserialize, Serialize};

use super::id::BlobId;
pub use testmesh_behaviours::blobs::wire::{FRAME_MAX, FrameError, read_frame, write_frame};
pub use testmesh_behaviours::id::NodeKey;

/// Version of these frames; a provider refuses others.
pub const VERSION: u8 = 1;
/// Blobs asked for at once: as many as fit a frame.
pub const WANTS_MAX: usize = 16;
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
    /// Not here.
    Missing,
    /// Too much to do; ask again later or elsewhere.
    Busy,
    /// These have it, or are being sent it now: at most [`HOLDERS_MAX`].
    Elsewhere(Vec<NodeKey>),
    /// The request makes no sense: a version, an offset behind the end, a blob larger than wanted.
    Refused,
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(value: &impl Serialize) -> String {
        let bytes = cbor4ii::serde::to_vec(Vec::new(), value).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn frames_are_fixed() {
        let want = Want { id: BlobId::new([1; 32]), offset: 0, most: 300, insist: true };
        let id = "01".repeat(32);
        assert_eq!(
            hex(&Ask { version: VERSION, wants: vec![want] }),
            format!("a26776657273696f6e016577616e747381845820{id}0019012cf5")
        );
        assert_eq!(hex(&Answer::Sending { length: 5 }), "a16753656e64696e67a1666c656e67746805");
        assert_eq!(hex(&Answer::Missing), "674d697373696e67");
        assert_eq!(hex(&Answer::Busy), "6442757379");
        assert_eq!(
            hex(&Answer::Elsewhere(vec![NodeKey::new([1; 32])])),
            format!("a169456c73657768657265815820{id}")
        );
        assert_eq!(hex(&Answer::Refused), "6752656675736564");
    }

    #[test]
    fn the_largest_frames_fit() {
        let want = Want { id: BlobId::new([0xff; 32]), offset: u64::MAX, most: u64::MAX, insist: true };
        let ask = Ask { version: VERSION, wants: vec![want; WANTS_MAX] };
        let elsewhere = Answer::Elsewhere(vec![NodeKey::new([0xff; 32]); HOLDERS_MAX]);
        for length in [hex(&ask).len() / 2, hex(&elsewhere).len() / 2] {
            assert!(length <= FRAME_MAX, "{length}");
        }
    }
}
