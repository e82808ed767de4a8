//! Offers seen before: a pure memory of nonces until they expire.
//!
//! Knows no clock; the time comes in as seconds since the epoch. It is bounded: when it is full, new offers are
//! refused until old ones expire, because forgetting one would let it in again.

use std::collections::{BTreeMap, BTreeSet};

use super::offer::Offer;
use crate::id::NodeKey;

/// Nonces remembered of one submitter: 70 offers a second for as long as an offer may live.
pub const PER_SUBMITTER_MAX: usize = 65_536;

/// Which offers were taken.
#[derive(Debug, Default)]
pub struct Replay {
    seen: BTreeMap<NodeKey, BTreeSet<(u64, [u8; 16])>>,
}

impl Replay {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an offer that was opened; false where it was seen before, or there is no room to remember it.
    pub fn fresh(&mut self, offer: &Offer, now: u64) -> bool {
        let seen = self.seen.entry(offer.submitter).or_default();
        // Sorted by expiry: what is over stands in front.
        while seen.first().is_some_and(|(expires, _)| *expires <= now) {
            seen.pop_first();
        }
        seen.len() < PER_SUBMITTER_MAX && seen.insert((offer.expires, offer.nonce.into_array()))
    }

    /// Forgets a submitter that is no longer trusted: its offers are refused for that alone.
    pub fn forget(&mut self, submitter: &NodeKey) {
        self.seen.remove(submitter);
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteArray;

    use super::*;
    use crate::work::message::RunId;

    fn offer(nonce: u128, expires: u64) -> Offer {
        Offer {
            run: RunId(1),
            submitter: NodeKey::new([1; 32]),
            audience: NodeKey::new([2; 32]),
            sequence: 0,
            expires,
            nonce: ByteArray::new(nonce.to_be_bytes()),
            inputs: Vec::new(),
            jobs: Vec::new(),
        }
    }

    #[test]
    fn an_offer_is_taken_once() {
        let mut replay = Replay::new();
        assert!(replay.fresh(&offer(1, 20), 10));
        assert!(!replay.fresh(&offer(1, 20), 11));
        assert!(replay.fresh(&offer(2, 20), 11));
        assert!(!replay.fresh(&offer(1, 20), 19), "forgotten before it expired");
    }

    #[test]
    fn it_is_bounded_and_room_comes_back_with_time() {
        let mut replay = Replay::new();
        for nonce in 0..PER_SUBMITTER_MAX as u128 {
            assert!(replay.fresh(&offer(nonce, 20), 10));
        }
        assert!(!replay.fresh(&offer(u128::MAX, 20), 10));
        assert!(replay.fresh(&offer(u128::MAX, 30), 20));
        let other = Offer { submitter: NodeKey::new([3; 32]), ..offer(0, 20) };
        assert!(replay.fresh(&other, 10), "submitters do not share the bound");
    }
}
