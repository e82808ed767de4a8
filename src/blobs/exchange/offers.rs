//! The end that has blobs: what to give to whom, so that others can pass it on.

use std::collections::{BTreeMap, BTreeSet};

use super::peer;
use crate::blobs::id::BlobId;
use crate::blobs::wire::{GIVEN_MAX, HOLDERS_MAX};

/// Streams one peer may have open: twice what an honest one has (its next may be here before the end of the one before
/// was seen, and being told to be busy would cost it a rest).
pub(super) const STREAMS_PER_PEER: usize = 2 * peer::STREAMS_PER_PEER;
/// Streams open in all: those of some dozen peers, each holding one blob in memory.
pub(super) const STREAMS_MAX: usize = 64;
/// Blobs below so many bytes are sent to everybody: naming another holder costs as much.
pub(super) const PASSED_ON_FROM: u64 = 8 << 10;
/// Blobs whose receivers are remembered: some shells of 100 MB; then the least recently given are forgotten.
pub(super) const REMEMBERED_MAX: usize = 65_536;
/// Receivers remembered of one blob: twice what an answer can name.
const RECEIVERS_MAX: usize = 2 * HOLDERS_MAX;

/// What to do about one wanted blob that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<P> {
    /// Send it. [`Offers::sent`] must follow, however it goes.
    Send,
    /// These were given it or are getting it.
    Elsewhere(Vec<P>),
}

/// Remembers who was given what.
#[derive(Debug)]
pub struct Offers<P> {
    streams: BTreeMap<P, usize>,
    given: BTreeMap<BlobId, Given<P>>,
    /// Blobs by when they were last given.
    order: BTreeMap<u64, BlobId>,
    clock: u64,
    /// Up to when each peer was told what others were given.
    told: BTreeMap<P, u64>,
}

#[derive(Debug)]
struct Given<P> {
    /// Who has it, or is being sent it.
    receivers: BTreeSet<P>,
    /// Turns who is named first.
    turn: usize,
    at: u64,
}

impl<P: Copy + Ord> Default for Offers<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Copy + Ord> Offers<P> {
    /// Nobody was given anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            streams: BTreeMap::new(),
            given: BTreeMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            told: BTreeMap::new(),
        }
    }

    /// Whether a peer may open one more stream; [`Offers::closed`] must follow where it may.
    pub fn opened(&mut self, peer: P) -> bool {
        let all: usize = self.streams.values().sum();
        let own = self.streams.get(&peer).copied().unwrap_or_default();
        let may = all < STREAMS_MAX && own < STREAMS_PER_PEER;
        if may {
            self.streams.insert(peer, own + 1);
        }
        may
    }

    /// A stream of the peer is over.
    pub fn closed(&mut self, peer: P) {
        if let Some(count) = self.streams.get_mut(&peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.streams.remove(&peer);
            }
        }
    }

    /// What to do about a want for a blob of `length` bytes that is here.
    pub fn ask(&mut self, peer: P, id: BlobId, length: u64, insist: bool) -> Decision<P> {
        if length < PASSED_ON_FROM {
            return Decision::Send;
        }
        let others = self.others(peer, &id);
        if !insist && !others.is_empty() {
            return Decision::Elsewhere(others);
        }
        self.remember(peer, id);
        Decision::Send
    }

    /// Sending is over; `whole` where all of it was handed to the stream.
    pub fn sent(&mut self, peer: P, id: BlobId, whole: bool) {
        if !whole {
            self.forget(peer, &id);
        }
    }

    /// The peer is lost, or no longer trusted.
    pub fn gone(&mut self, peer: P) {
        let ids: Vec<BlobId> = self.given.keys().copied().collect();
        ids.iter().for_each(|id| self.forget(peer, id));
        self.told.remove(&peer);
    }

    /// Who was given a blob, for those who ask; at most [`HOLDERS_MAX`].
    #[must_use]
    pub fn holders(&self, id: &BlobId) -> Vec<P> {
        let receivers = self.given.get(id).into_iter().flat_map(|given| &given.receivers);
        receivers.take(HOLDERS_MAX).copied().collect()
    }

    /// What others were given since this peer was told last, the oldest first, at most [`GIVEN_MAX`].
    pub fn news(&mut self, peer: P) -> Vec<(BlobId, P)> {
        let told = self.told.get(&peer).copied().unwrap_or_default();
        let (mut news, mut until) = (Vec::new(), told);
        for (at, id) in self.order.range(told + 1..) {
            if news.len() >= GIVEN_MAX {
                break;
            }
            until = *at;
            let receivers = self.given.get(id).map(|given| &given.receivers);
            let other = receivers.into_iter().flatten().find(|other| **other != peer);
            news.extend(other.map(|other| (*id, *other)));
        }
        self.told.insert(peer, until);
        news
    }

    /// Who else can be named, another one first each time.
    fn others(&mut self, peer: P, id: &BlobId) -> Vec<P> {
        let Some(given) = self.given.get_mut(id) else { return Vec::new() };
        let mut others: Vec<P> = given.receivers.iter().copied().filter(|other| *other != peer).collect();
        if !others.is_empty() {
            given.turn = given.turn.wrapping_add(1);
            let turn = given.turn % others.len();
            others.rotate_left(turn);
        }
        others.truncate(HOLDERS_MAX);
        others
    }

    fn remember(&mut self, peer: P, id: BlobId) {
        self.clock += 1;
        let at = self.clock;
        let given = self.given.entry(id).or_insert_with(|| Given { receivers: BTreeSet::new(), turn: 0, at });
        if given.receivers.len() < RECEIVERS_MAX {
            given.receivers.insert(peer);
        }
        self.order.remove(&given.at);
        given.at = at;
        self.order.insert(at, id);
        if self.given.len() > REMEMBERED_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.given.remove(&oldest);
        }
    }

    fn forget(&mut self, peer: P, id: &BlobId) {
        let Some(given) = self.given.get_mut(id) else { return };
        given.receivers.remove(&peer);
        if given.receivers.is_empty() {
            self.order.remove(&given.at);
            self.given.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: u64 = 100_000;

    fn id(n: u64) -> BlobId {
        crate::blobs::hash(&n.to_le_bytes())
    }

    #[test]
    fn a_blob_is_given_once_and_then_passed_on() {
        let mut offers = Offers::new();
        assert_eq!(offers.ask(1, id(0), LARGE, false), Decision::Send);
        assert_eq!(offers.ask(2, id(0), LARGE, false), Decision::Elsewhere(vec![1]));
        assert_eq!(offers.ask(2, id(1), LARGE, false), Decision::Send);
        offers.sent(1, id(0), true);
        assert_eq!(offers.ask(2, id(0), LARGE, false), Decision::Elsewhere(vec![1]));
        assert_eq!(offers.holders(&id(0)), [1]);
    }

    #[test]
    fn who_insists_is_served_and_named_later() {
        let mut offers = Offers::new();
        assert_eq!(offers.ask(1, id(0), LARGE, false), Decision::Send);
        assert_eq!(offers.ask(2, id(0), LARGE, true), Decision::Send);
        assert_eq!(offers.ask(3, id(0), LARGE, false), Decision::Elsewhere(vec![1, 2]));
        assert_eq!(offers.ask(4, id(0), LARGE, false), Decision::Elsewhere(vec![2, 1]));
    }

    #[test]
    fn who_did_not_get_it_is_not_named() {
        let mut offers = Offers::new();
        offers.ask(1, id(0), LARGE, false);
        offers.sent(1, id(0), false);
        assert_eq!(offers.ask(2, id(0), LARGE, false), Decision::Send);
        offers.gone(2);
        assert_eq!(offers.ask(3, id(0), LARGE, false), Decision::Send);
        assert_eq!(offers.ask(3, id(0), LARGE, false), Decision::Send);
    }

    #[test]
    fn what_others_were_given_is_told_once() {
        let mut offers = Offers::new();
        (0..100).for_each(|n| assert_eq!(offers.ask(1, id(n), LARGE, false), Decision::Send));
        offers.ask(2, id(100), LARGE, false);
        offers.sent(1, id(0), false);
        let first = offers.news(2);
        assert_eq!(first, (1..=GIVEN_MAX as u64).map(|n| (id(n), 1)).collect::<Vec<_>>());
        assert_eq!((offers.news(2).len(), offers.news(2).len()), (99 - GIVEN_MAX, 0));
        assert_eq!([offers.news(1).len(), offers.news(1).len()], [1, 0]);
        offers.ask(3, id(100), LARGE, true);
        assert_eq!(offers.news(1), [(id(100), 2)], "given to one more");
    }

    #[test]
    fn small_blobs_go_to_everybody() {
        let mut offers = Offers::new();
        assert_eq!(offers.ask(1, id(0), PASSED_ON_FROM - 1, false), Decision::Send);
        assert_eq!(offers.ask(2, id(0), PASSED_ON_FROM - 1, false), Decision::Send);
    }

    #[test]
    fn streams_are_counted_a_peer_and_in_all() {
        let mut offers = Offers::new();
        assert!([(); STREAMS_PER_PEER].iter().all(|()| offers.opened(1)) && !offers.opened(1));
        offers.closed(1);
        assert!(offers.opened(1));
        let opened = (2..100).filter(|peer| offers.opened(*peer)).count();
        assert_eq!(opened + STREAMS_PER_PEER, STREAMS_MAX);
        offers.closed(1);
        assert!(offers.opened(200) && !offers.opened(201));
    }

    #[test]
    fn memory_is_bounded() {
        let mut offers = Offers::new();
        (0..REMEMBERED_MAX as u64 + 10)
            .for_each(|n| assert_eq!(offers.ask(1, id(n), LARGE, false), Decision::Send));
        assert_eq!(offers.given.len(), REMEMBERED_MAX);
        assert_eq!(offers.order.len(), REMEMBERED_MAX);
        assert_eq!(offers.ask(2, id(0), LARGE, false), Decision::Send);
        (0..100).for_each(|peer| assert_eq!(offers.ask(peer, id(5_000), LARGE, true), Decision::Send));
        let named = offers.ask(500, id(5_000), LARGE, false);
        assert!(matches!(named, Decision::Elsewhere(peers) if peers.len() == HOLDERS_MAX));
    }
}
