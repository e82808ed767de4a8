//! Batches of results of one peer, put together from their parts.
//!
//! PURE. Parts arrive in any order and may arrive again. What is half here is bounded in number and in bytes: a peer
//! that never sends the rest fills its own room only.

use std::collections::{BTreeMap, BTreeSet};

use serde_bytes::ByteBuf;
use testmesh_behaviours::work::message::PARTS_MAX;

/// Batches that may be half here: a worker sends few at once.
const PARTIAL_MAX: usize = 64;
/// Bytes of them: two whole batches of the largest kind.
const BYTES_MAX: usize = 64 << 20;
/// Batches remembered as whole. A worker does not repeat what was acknowledged long ago.
const SEEN_MAX: usize = 4 * PARTIAL_MAX;

/// What a part leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// More are missing, or it came before, or it makes no sense; it need not come again.
    Taken,
    /// The batch is whole now.
    Whole(Vec<u8>),
    /// There is no room for it now.
    Full,
}

/// The batches of one peer in one run.
#[derive(Debug, Default)]
pub struct Batches {
    partial: BTreeMap<u64, Vec<Option<ByteBuf>>>,
    /// Of all parts held.
    bytes: usize,
    seen: BTreeSet<u64>,
}

impl Batches {
    /// Takes part number `part` of `parts` of a batch.
    pub fn part(&mut self, batch: u64, part: u16, parts: u16, bytes: ByteBuf) -> Part {
        if self.seen.contains(&batch) || part >= parts || parts > PARTS_MAX {
            return Part::Taken;
        }
        let fresh = !self.partial.contains_key(&batch);
        if (fresh && self.partial.len() >= PARTIAL_MAX) || self.bytes + bytes.len() > BYTES_MAX {
            return Part::Full;
        }
        let held = self.partial.entry(batch).or_insert_with(|| vec![None; usize::from(parts)]);
        if let Some(place) = held.get_mut(usize::from(part))
            && place.is_none()
        {
            self.bytes += bytes.len();
            *place = Some(bytes);
        }
        if held.iter().any(Option::is_none) {
            return Part::Taken;
        }
        let parts = self.partial.remove(&batch).unwrap_or_default();
        let whole: Vec<u8> = parts.into_iter().flatten().flat_map(ByteBuf::into_vec).collect();
        self.bytes -= whole.len();
        self.seen.insert(batch);
        while self.seen.len() > SEEN_MAX {
            self.seen.pop_first();
        }
        Part::Whole(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(length: usize) -> ByteBuf {
        ByteBuf::from(vec![7; length])
    }

    #[test]
    fn a_batch_is_whole_once_in_whatever_order_its_parts_come() {
        let mut batches = Batches::default();
        assert_eq!(batches.part(1, 1, 2, ByteBuf::from(vec![2])), Part::Taken);
        assert_eq!(batches.part(1, 1, 2, ByteBuf::from(vec![9])), Part::Taken, "again");
        assert_eq!(batches.part(1, 0, 2, ByteBuf::from(vec![1])), Part::Whole(vec![1, 2]));
        assert_eq!(batches.part(1, 0, 2, ByteBuf::from(vec![1])), Part::Taken, "whole already");
        assert_eq!(batches.bytes, 0);
    }

    #[test]
    fn parts_that_make_no_sense_are_not_kept() {
        let mut batches = Batches::default();
        for (part, parts) in [(0, 0), (2, 2), (0, PARTS_MAX + 1)] {
            assert_eq!(batches.part(1, part, parts, bytes(1)), Part::Taken);
        }
        assert_eq!((batches.bytes, batches.partial.len()), (0, 0));
    }

    #[test]
    fn a_peer_that_never_sends_the_rest_fills_its_own_room_only() {
        let mut batches = Batches::default();
        let told: Vec<Part> = (0..200).map(|batch| batches.part(batch, 0, 2, bytes(1 << 20))).collect();
        assert!(told.contains(&Part::Full) && !told.iter().any(|part| matches!(part, Part::Whole(_))));
        assert!(batches.bytes <= BYTES_MAX && batches.partial.len() <= PARTIAL_MAX);
        let many: Vec<Part> = (200..400).map(|batch| batches.part(batch, 0, 2, bytes(1))).collect();
        assert!(many.contains(&Part::Full) && batches.partial.len() <= PARTIAL_MAX);
        assert!(matches!(batches.part(0, 1, 2, bytes(0)), Part::Whole(_)), "what is begun can be ended");
    }
}
