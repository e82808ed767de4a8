//! The vouches of a set as numbered edges, so that a decision walks integers instead of keys.
//!
//! Kept up to date by the set, read by the closure. Numbers depend on the order of arrival and never leave a
//! decision: whoever compares, compares keys.

use std::collections::BTreeMap;

use crate::key::PublicKey;
use crate::statement::Vouches;

/// Edges of replaced snapshots before the numbering is made anew: keeps memory within twice what is live.
const STALE_FLOOR: usize = 4096;

/// Numbered keys and the snapshots that count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    keys: Vec<PublicKey>,
    index: BTreeMap<PublicKey, u32>,
    nodes: Vec<Option<Node>>,
    live: usize,
    stale: usize,
}

/// The snapshot of one issuer.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) not_after: u64,
    pub(crate) edges: Vec<Edge>,
}

/// One entry of a snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) to: u32,
    pub(crate) rights: u8,
    pub(crate) depth: u8,
}

impl Graph {
    /// Replaces the snapshot of an issuer; `None` takes it away.
    pub(crate) fn put(&mut self, issuer: &PublicKey, vouches: Option<&Vouches>) {
        let at = self.intern(issuer);
        let node = vouches.map(|vouches| self.node(vouches));
        self.live += node.as_ref().map_or(0, |node| node.edges.len());
        let Some(place) = self.nodes.get_mut(at as usize) else { return };
        let gone = std::mem::replace(place, node).map_or(0, |node| node.edges.len());
        self.live -= gone;
        self.stale += gone + 1;
    }

    fn node(&mut self, vouches: &Vouches) -> Node {
        let edge = |entry: &crate::statement::Entry| Edge {
            to: self.intern(&entry.subject),
            rights: entry.rights.bits(),
            depth: entry.depth,
        };
        Node { not_after: vouches.not_after, edges: vouches.entries.iter().map(edge).collect() }
    }

    fn intern(&mut self, key: &PublicKey) -> u32 {
        if let Some(at) = self.index.get(key) {
            return *at;
        }
        // Bounded: a universe of snapshots names at most 1,024 × 256 keys, twice that with what is stale.
        let at = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.keys.push(*key);
        self.nodes.push(None);
        self.index.insert(*key, at);
        at
    }

    /// Whether more was replaced than is there.
    pub(crate) fn is_mostly_stale(&self) -> bool {
        self.stale > self.live + STALE_FLOOR
    }

    pub(crate) fn number(&self, key: &PublicKey) -> Option<u32> {
        self.index.get(key).copied()
    }

    pub(crate) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    pub(crate) fn node_at(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)?.as_ref()
    }
}
