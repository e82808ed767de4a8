//! One blob that is lacking: who waits for it, who may have it, what is here of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::types::{NeedId, TransferId};

/// Peers remembered as possible holders of one blob.
pub(super) const CANDIDATES_MAX: usize = 16;

/// A lacking blob.
#[derive(Debug)]
pub(super) struct Piece<P> {
    /// Bytes of it, or the most that is taken.
    pub(super) len: u32,
    /// Who waits; never empty.
    pub(super) needs: BTreeSet<NeedId>,
    /// Who may have it.
    pub(super) candidates: BTreeMap<P, Candidate>,
    /// Who was said to have it and turned out not to.
    pub(super) tried: BTreeSet<P>,
    /// What is fetching it.
    pub(super) transfer: Option<TransferId>,
    /// Bytes from the beginning that are here.
    pub(super) have: u64,
    /// Whose bytes these are.
    pub(super) from: BTreeSet<P>,
    /// The source named nobody else that is worth asking.
    pub(super) insist: bool,
    /// How often this node could not keep it.
    pub(super) not_kept: u32,
    /// Not before this time.
    pub(super) rest_until: Option<Instant>,
}

/// A peer that may have a blob.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// It should have it: the submitter. Others only are said to.
    pub(super) source: bool,
    /// How often it did not.
    pub(super) tries: u32,
    /// Not before this time.
    pub(super) rest_until: Option<Instant>,
}

impl<P: Copy + Ord> Piece<P> {
    pub(super) fn new(len: u32) -> Self {
        Self {
            len,
            needs: BTreeSet::new(),
            candidates: BTreeMap::new(),
            tried: BTreeSet::new(),
            transfer: None,
            have: 0,
            from: BTreeSet::new(),
            insist: false,
            not_kept: 0,
            rest_until: None,
        }
    }

    /// Remembers somebody who may have it, and did not turn out not to.
    pub(super) fn may_be_at(&mut self, peer: P, source: bool) {
        let given_up = self.tried.contains(&peer) || self.tried.len() >= CANDIDATES_MAX;
        if !source && given_up {
            return;
        }
        if let Some(known) = self.candidates.get_mut(&peer) {
            known.source |= source;
        } else if source || self.candidates.len() < CANDIDATES_MAX {
            self.candidates.insert(peer, Candidate { source, tries: 0, rest_until: None });
        }
    }

    /// Whether anybody but sources may have it.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.candidates.values().any(|candidate| !candidate.source)
    }

    /// Whom to ask: who is said to have it, so that the source's line is spared, else the sources.
    pub(super) fn askable(&self) -> impl Iterator<Item = P> + '_ {
        let elsewhere = self.is_elsewhere();
        let spared = move |candidate: &Candidate| elsewhere && candidate.source;
        self.candidates.iter().filter(move |(_, candidate)| !spared(candidate)).map(|(peer, _)| *peer)
    }

    /// Forgets somebody who does not have it; whether it was remembered.
    pub(super) fn drop_candidate(&mut self, peer: &P) -> bool {
        let dropped = self.candidates.remove(peer);
        if dropped.is_some_and(|candidate| !candidate.source) {
            self.tried.insert(*peer);
        }
        dropped.is_some()
    }

    /// Begins from nothing; whether one peer alone sent what was here.
    pub(super) fn start_over(&mut self, peer: P) -> bool {
        self.have = 0;
        let from = std::mem::take(&mut self.from);
        from.iter().all(|other| *other == peer)
    }
}
