//! What is known of a peer that blobs are asked of.

use std::time::{Duration, Instant};

/// Streams to one peer at once: more would delay its jobs' messages (libp2p.md §14).
pub(super) const STREAMS_PER_PEER: usize = 2;
/// First and longest rest of a peer that is busy or whose stream broke.
const REST: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(4));
/// Broken streams in a row after which a peer is taken for lost: 50 ms to 4 s of rest each, 12 s in all.
const BREAKS_MAX: u32 = 9;

/// A peer.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Streams to it now.
    pub(super) transfers: usize,
    /// Busy answers or broken streams in a row.
    strikes: u32,
    breaks: u32,
    /// Not before this time.
    pub(super) rest_until: Option<Instant>,
}

impl Peer {
    /// Whether one more stream to it may be opened.
    pub(super) fn is_free(&self) -> bool {
        self.transfers < STREAMS_PER_PEER
    }

    /// It answered as it should.
    pub(super) fn praise(&mut self) {
        (self.strikes, self.breaks, self.rest_until) = (0, 0, None);
    }

    /// It sent something, if not all.
    pub(super) fn moved(&mut self) {
        self.breaks = 0;
    }

    /// It has too much to do.
    pub(super) fn is_busy(&mut self, now: Instant) {
        self.rest_until = Some(now + rest(self.strikes));
        self.strikes = self.strikes.saturating_add(1);
    }

    /// A stream to it broke; whether it is taken for lost.
    pub(super) fn broke(&mut self, now: Instant) -> bool {
        self.is_busy(now);
        self.breaks = self.breaks.saturating_add(1);
        self.breaks >= BREAKS_MAX
    }
}

/// A rest that doubles with every strike.
fn rest(strikes: u32) -> Duration {
    let (first, longest) = REST;
    first.saturating_mul(1 << strikes.min(16)).min(longest)
}
