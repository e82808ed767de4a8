//! Blobs that nothing fetches, by the peers that may be asked for them: what one peer is asked next is found without
//! looking at what others are to be asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::blobs::id::BlobId;

/// What comes first: what most wait for, then what fewest have, then as the seed has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Less where more wait.
    pub(super) waiting: usize,
    /// How many may have it.
    pub(super) candidates: usize,
    /// Differs from node to node.
    pub(super) mixed: u64,
    pub(super) id: BlobId,
}

/// The blobs.
#[derive(Debug)]
pub(super) struct Idle<P> {
    places: BTreeMap<BlobId, (Rank, Vec<P>)>,
    by_peer: BTreeMap<P, BTreeSet<Rank>>,
}

impl<P: Copy + Ord> Idle<P> {
    pub(super) fn new() -> Self {
        Self { places: BTreeMap::new(), by_peer: BTreeMap::new() }
    }

    /// It may be asked of these, in place of those before.
    pub(super) fn put(&mut self, rank: Rank, peers: Vec<P>) {
        self.take(&rank.id);
        for peer in &peers {
            self.by_peer.entry(*peer).or_default().insert(rank);
        }
        self.places.insert(rank.id, (rank, peers));
    }

    /// It is fetched now, or nobody waits for it.
    pub(super) fn take(&mut self, id: &BlobId) {
        let Some((rank, peers)) = self.places.remove(id) else { return };
        for peer in peers {
            let Some(ranks) = self.by_peer.get_mut(&peer) else { continue };
            ranks.remove(&rank);
            if ranks.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
    }

    /// Peers that may be asked for something.
    pub(super) fn peers(&self) -> impl Iterator<Item = P> + '_ {
        self.by_peer.keys().copied()
    }

    /// What a peer may be asked for, the first first.
    pub(super) fn of(&self, peer: &P) -> impl Iterator<Item = &BlobId> {
        self.by_peer.get(peer).into_iter().flatten().map(|rank| &rank.id)
    }

    /// Whether everything is in the place that it is to have, and nowhere else.
    #[cfg(test)]
    pub(super) fn check(&self, rank: impl Fn(&BlobId) -> Option<(Rank, Vec<P>)>, count: usize) -> bool
    where
        P: std::fmt::Debug,
    {
        let here = self.places.iter().all(|(id, place)| rank(id).as_ref() == Some(place));
        let listed: usize = self.by_peer.values().map(BTreeSet::len).sum();
        here && self.places.len() == count
            && listed == self.places.values().map(|(_, peers)| peers.len()).sum::<usize>()
    }
}
