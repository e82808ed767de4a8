//! The end that lacks blobs.
//!
//! A blob is asked of one peer at a time. Peers said to hold it come before its source, so that the source's line is
//! kept for what only it has; a source that names others is asked again, insisting, once these turned out not to have
//! it. A peer that is busy or breaks rests for longer each time; one that sends something else under a name is asked
//! nothing more. Whenever something lacks, a stream is open or a time to go on is known.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::peer::Peer;
use super::piece::Piece;
use super::types::{Input, NeedId, Outcome, Output, TransferId};
use crate::blobs::id::BlobId;
use crate::blobs::manifest::Chunk;
use crate::blobs::wire::{HOLDERS_MAX, WANTS_MAX, Want};

/// Streams open in all.
pub const TRANSFERS_MAX: usize = 8;
/// Bytes asked for on one stream at once: small, so that what arrived is soon told to others (in the simulation 4 MiB
/// made eight peers take 1.6 times as long as one copy, this 1.1), and worth opening a stream for.
pub const BATCH_BYTES: u64 = 256 << 10;
/// Blobs lacking at once: some component builds; a need beyond is refused.
pub(super) const PIECES_MAX: usize = 600_000;
/// Needs at once: runs of all submitters.
pub(super) const NEEDS_MAX: usize = 1_024;
/// Peers remembered as liars.
pub(super) const LIARS_MAX: usize = 1_024;
/// How often one who is said to have a blob may not have it: it may still be coming there, 3 s in all.
const MISSES_MAX: u32 = 16;
/// Rest of such a candidate, times its misses, and as many times at most: what comes is found soon after it came.
const MISS_REST: Duration = Duration::from_millis(40);
const MISS_REST_LONGEST: u32 = 6;
/// How often keeping a blob may fail.
const NOT_KEPT_MAX: u32 = 3;
/// Rests that end within so long end together: one stream for many blobs instead of many streams for one.
const SLACK: Duration = Duration::from_millis(20);
/// Blobs looked at in one turn: some of any large need; the others' turn comes.
const LOOK_MAX: usize = 4_096;
/// Misses that a broken stream counts for: one who cannot be reached is no holder to wait for.
const BREAK_MISSES: u32 = 6;
/// Rest of a blob that could not be kept.
const NOT_KEPT_REST: Duration = Duration::from_secs(1);

/// Decides what to ask of whom. `P` names a peer.
#[derive(Debug)]
pub struct Exchange<P> {
    here: P,
    seed: u64,
    pub(super) needs: BTreeMap<NeedId, BTreeSet<BlobId>>,
    pub(super) pieces: BTreeMap<BlobId, Piece<P>>,
    /// Those of `pieces` that nothing fetches, in the order of the seed.
    pub(super) idle: BTreeSet<(u64, BlobId)>,
    /// Those of `pieces` that may be nowhere.
    doubtful: BTreeSet<BlobId>,
    peers: BTreeMap<P, Peer>,
    liars: BTreeSet<P>,
    pub(super) transfers: BTreeMap<TransferId, Transfer<P>>,
    next: u64,
    wake: Option<Instant>,
}

/// A stream and what it is to bring.
#[derive(Debug)]
pub(super) struct Transfer<P> {
    pub(super) peer: P,
    pub(super) left: BTreeSet<BlobId>,
    arrived: Vec<BlobId>,
}

impl<P: Copy + Ord + Hash> Exchange<P> {
    /// Waits for nothing yet. `here` is this node: never asked, and what makes its order differ from that of others.
    #[must_use]
    pub fn new(here: P) -> Self {
        // The same in every process, unlike that of a hash map.
        let mut hasher = DefaultHasher::new();
        here.hash(&mut hasher);
        Self {
            here,
            seed: hasher.finish(),
            needs: BTreeMap::new(),
            pieces: BTreeMap::new(),
            idle: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            peers: BTreeMap::new(),
            liars: BTreeSet::new(),
            transfers: BTreeMap::new(),
            next: 0,
            wake: None,
        }
    }

    /// Takes what happened and says what to do, in order.
    pub fn handle(&mut self, input: Input<P>, now: Instant) -> Vec<Output<P>> {
        let mut outputs = Vec::new();
        let plan = !matches!(input, Input::Answered { .. });
        match input {
            Input::Need { need, blobs, sources } => self.need(need, &blobs, &sources, &mut outputs),
            Input::Release(need) => self.release(need, &mut outputs),
            Input::Holds { peer, blobs } => self.holds(peer, &blobs),
            Input::Present(id) => self.arrived(id, &mut outputs),
            Input::Partial { id, have } => self.partial(&id, have, None),
            Input::Answered { transfer, id, outcome } => {
                self.answered(transfer, id, outcome, now, &mut outputs);
            }
            Input::Closed { transfer, clean } => self.closed(transfer, clean, now, &mut outputs),
            Input::Gone(peer) => self.gone(peer, &mut outputs),
            Input::Tick => {}
        }
        // The slot of an answered want is free only when its stream is.
        if plan {
            self.give_up(&mut outputs);
            self.plan(now, &mut outputs);
        }
        outputs
    }

    /// When [`Input::Tick`] is due; none while nothing waits for time.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Blobs that are lacking.
    #[must_use]
    pub fn lacking(&self) -> usize {
        self.pieces.len()
    }

    fn need(&mut self, need: NeedId, blobs: &[Chunk], sources: &[P], outputs: &mut Vec<Output<P>>) {
        let known = self.needs.contains_key(&need);
        if self.pieces.len() + blobs.len() > PIECES_MAX || (!known && self.needs.len() >= NEEDS_MAX) {
            let blobs = blobs.iter().map(|blob| blob.id).collect();
            outputs.push(Output::Unavailable { need, blobs });
            return;
        }
        if blobs.is_empty() && !known {
            outputs.push(Output::Ready(need));
            return;
        }
        for blob in blobs {
            let piece = self.pieces.entry(blob.id).or_insert_with(|| {
                // A stream that was opened for an earlier need may be bringing it.
                let coming = self.transfers.iter().find(|(_, transfer)| transfer.left.contains(&blob.id));
                if coming.is_none() {
                    self.idle.insert((mixed(self.seed, &blob.id), blob.id));
                }
                Piece { transfer: coming.map(|(id, _)| *id), ..Piece::new(blob.len) }
            });
            piece.needs.insert(need);
            piece.len = piece.len.max(blob.len);
            let honest = sources.iter().filter(|peer| **peer != self.here && !self.liars.contains(peer));
            honest.for_each(|peer| piece.may_be_at(*peer, true));
            self.doubtful.insert(blob.id);
        }
        self.needs.entry(need).or_default().extend(blobs.iter().map(|blob| blob.id));
    }

    fn release(&mut self, need: NeedId, outputs: &mut Vec<Output<P>>) {
        for id in self.needs.remove(&need).unwrap_or_default() {
            let Some(piece) = self.pieces.get_mut(&id) else { continue };
            piece.needs.remove(&need);
            if piece.needs.is_empty() {
                self.pieces.remove(&id);
                self.idle.remove(&(mixed(self.seed, &id), id));
            }
        }
        // A stream that brings nothing anybody waits for is dropped.
        let useless = |transfer: &Transfer<P>| !transfer.left.iter().any(|id| self.pieces.contains_key(id));
        let useless: Vec<TransferId> =
            self.transfers.iter().filter(|(_, transfer)| useless(transfer)).map(|(id, _)| *id).collect();
        for id in useless {
            self.end(id);
            outputs.push(Output::Abort(id));
        }
    }

    fn holds(&mut self, peer: P, blobs: &[BlobId]) {
        if peer == self.here || self.liars.contains(&peer) {
            return;
        }
        for id in blobs {
            if let Some(piece) = self.pieces.get_mut(id) {
                piece.is_at(peer);
            }
        }
    }

    fn partial(&mut self, id: &BlobId, have: u64, from: Option<P>) {
        let Some(piece) = self.pieces.get_mut(id) else { return };
        if have < u64::from(piece.len) && have > 0 {
            piece.have = have;
            piece.from.insert(from);
        } else {
            piece.have = 0;
            piece.from.clear();
        }
    }

    fn arrived(&mut self, id: BlobId, outputs: &mut Vec<Output<P>>) {
        let Some(piece) = self.pieces.remove(&id) else { return };
        self.idle.remove(&(mixed(self.seed, &id), id));
        for need in piece.needs {
            let Some(missing) = self.needs.get_mut(&need) else { continue };
            missing.remove(&id);
            if missing.is_empty() {
                self.needs.remove(&need);
                outputs.push(Output::Ready(need));
            }
        }
    }

    fn answered(
        &mut self,
        transfer: TransferId,
        id: BlobId,
        outcome: Outcome<P>,
        now: Instant,
        outputs: &mut Vec<Output<P>>,
    ) {
        let Some(stream) = self.transfers.get_mut(&transfer) else { return };
        if !stream.left.remove(&id) {
            return;
        }
        let peer = stream.peer;
        if outcome == Outcome::Arrived {
            stream.arrived.push(id);
        }
        self.set_free(&id, transfer);
        match outcome {
            Outcome::Arrived => {
                self.peers.entry(peer).or_default().praise();
                self.arrived(id, outputs);
            }
            Outcome::Missing => self.missed(&id, peer, now),
            Outcome::Refused => self.not_at(&id, peer),
            Outcome::Busy => self.peers.entry(peer).or_default().is_busy(now),
            Outcome::Elsewhere(others) => self.redirected(&id, peer, &others, now),
            Outcome::Corrupt => self.corrupt(id, peer, outputs),
            Outcome::Interrupted { have } => {
                // Something came: the peer is there.
                self.peers.entry(peer).or_default().moved();
                self.partial(&id, have, Some(peer));
            }
            Outcome::NotKept => self.not_kept(&id, now),
        }
    }

    /// A peer does not have it: a source never will, another may be getting it.
    fn missed(&mut self, id: &BlobId, peer: P, now: Instant) {
        self.peers.entry(peer).or_default().praise();
        let candidate = self.pieces.get(id).and_then(|piece| piece.candidates.get(&peer));
        match candidate.map(|candidate| candidate.source) {
            Some(true) => self.not_at(id, peer),
            Some(false) => self.miss(id, peer, 1, now),
            None => {}
        }
    }

    /// Counts misses of a peer for one blob, and ends its candidature where there are many.
    fn miss(&mut self, id: &BlobId, peer: P, count: u32, now: Instant) {
        let Some(piece) = self.pieces.get_mut(id) else { return };
        let Some(candidate) = piece.candidates.get_mut(&peer) else { return };
        candidate.tries += count;
        candidate.rest_until = Some(now + MISS_REST.saturating_mul(candidate.tries.min(MISS_REST_LONGEST)));
        if candidate.tries >= MISSES_MAX {
            self.not_at(id, peer);
        }
    }

    fn not_at(&mut self, id: &BlobId, peer: P) {
        let Some(piece) = self.pieces.get_mut(id) else { return };
        piece.drop_candidate(&peer);
        self.doubtful.insert(*id);
    }

    fn redirected(&mut self, id: &BlobId, peer: P, others: &[P], now: Instant) {
        self.peers.entry(peer).or_default().praise();
        let (here, liars) = (self.here, &self.liars);
        let Some(piece) = self.pieces.get_mut(id) else { return };
        let honest = others.iter().take(HOLDERS_MAX).filter(|other| **other != here && **other != peer);
        honest.filter(|other| !liars.contains(other)).for_each(|other| piece.may_be_at(*other, false));
        let source = piece.candidates.get(&peer).is_some_and(|candidate| candidate.source);
        let in_vain = piece.insist || !piece.is_elsewhere();
        piece.insist |= in_vain;
        // One who only passes on what it got is no better than those it names.
        if !source || in_vain {
            self.miss(id, peer, 1, now);
        }
    }

    fn corrupt(&mut self, id: BlobId, peer: P, outputs: &mut Vec<Output<P>>) {
        let alone = self.pieces.get_mut(&id).is_none_or(|piece| piece.start_over(peer));
        if alone && !self.liars.contains(&peer) {
            outputs.push(Output::Blame { peer, blob: id });
            if self.liars.len() < LIARS_MAX {
                self.liars.insert(peer);
            }
            self.forget(peer);
        }
    }

    fn not_kept(&mut self, id: &BlobId, now: Instant) {
        let Some(piece) = self.pieces.get_mut(id) else { return };
        piece.not_kept += 1;
        piece.rest_until = Some(now + NOT_KEPT_REST);
        if piece.not_kept >= NOT_KEPT_MAX {
            piece.candidates.clear();
            self.doubtful.insert(*id);
        }
    }

    fn closed(&mut self, transfer: TransferId, clean: bool, now: Instant, outputs: &mut Vec<Output<P>>) {
        let Some(ended) = self.end(transfer) else { return };
        if !ended.arrived.is_empty() {
            outputs.push(Output::Have(ended.arrived));
        }
        // A stream that leaves wants unanswered did not end well, whatever its driver says.
        if clean && ended.left.is_empty() {
            return;
        }
        let peer = ended.peer;
        for id in &ended.left {
            let candidate = self.pieces.get(id).and_then(|piece| piece.candidates.get(&peer));
            if candidate.is_some_and(|candidate| !candidate.source) {
                self.miss(id, peer, BREAK_MISSES, now);
            }
        }
        if self.peers.entry(peer).or_default().broke(now) {
            self.forget(peer);
        }
    }

    fn gone(&mut self, peer: P, outputs: &mut Vec<Output<P>>) {
        let to_it = self.transfers.iter().filter(|(_, transfer)| transfer.peer == peer);
        for id in to_it.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.end(id);
            outputs.push(Output::Abort(id));
        }
        self.forget(peer);
        self.peers.remove(&peer);
    }

    /// The stream is no more; what it did not bring is free to be fetched again.
    fn end(&mut self, transfer: TransferId) -> Option<Transfer<P>> {
        let ended = self.transfers.remove(&transfer)?;
        ended.left.iter().for_each(|id| self.set_free(id, transfer));
        if let Some(peer) = self.peers.get_mut(&ended.peer) {
            peer.transfers = peer.transfers.saturating_sub(1);
        }
        Some(ended)
    }

    /// The stream does not fetch the blob any more.
    fn set_free(&mut self, id: &BlobId, transfer: TransferId) {
        if let Some(piece) = self.pieces.get_mut(id)
            && piece.transfer == Some(transfer)
        {
            piece.transfer = None;
            self.idle.insert((mixed(self.seed, id), *id));
        }
    }

    /// Nothing more is asked of the peer.
    fn forget(&mut self, peer: P) {
        for (id, piece) in &mut self.pieces {
            if piece.drop_candidate(&peer) {
                self.doubtful.insert(*id);
            }
        }
    }

    /// Gives up needs for blobs that nobody has.
    fn give_up(&mut self, outputs: &mut Vec<Output<P>>) {
        let is_nowhere = |piece: &Piece<P>| piece.candidates.is_empty() && piece.transfer.is_none();
        let mut hopeless: BTreeMap<NeedId, Vec<BlobId>> = BTreeMap::new();
        for id in std::mem::take(&mut self.doubtful) {
            let Some(piece) = self.pieces.get(&id) else { continue };
            if is_nowhere(piece) {
                piece.needs.iter().for_each(|need| hopeless.entry(*need).or_default().push(id));
            } else if piece.candidates.is_empty() {
                // The stream under way may still bring it.
                self.doubtful.insert(id);
            }
        }
        for (need, blobs) in hopeless {
            outputs.push(Output::Unavailable { need, blobs });
            self.release(need, outputs);
        }
    }

    /// Opens as many streams as make sense now.
    fn plan(&mut self, now: Instant, outputs: &mut Vec<Output<P>>) {
        self.wake = None;
        loop {
            let batches = self.batches(now);
            if batches.is_empty() {
                return;
            }
            batches.into_iter().for_each(|(peer, wants)| outputs.push(self.start(peer, wants)));
        }
    }

    /// What to ask now, at most one more stream a peer.
    fn batches(&mut self, now: Instant) -> BTreeMap<P, Vec<Want>> {
        let mut batches: BTreeMap<P, Vec<Want>> = BTreeMap::new();
        let streams = TRANSFERS_MAX.saturating_sub(self.transfers.len());
        if streams == 0 {
            return batches;
        }
        let mut wake = None;
        for id in self.order() {
            let Some(piece) = self.pieces.get(&id) else { continue };
            let Some(peer) = self.choose(piece, &batches, streams, now, &mut wake) else { continue };
            // Only the source's line is to be spared; between the others nobody is sent about.
            let source = piece.candidates.get(&peer).is_some_and(|candidate| candidate.source);
            let insist = piece.insist || !source;
            let want = Want { id, offset: piece.have, most: piece.len.into(), insist };
            batches.entry(peer).or_default().push(want);
        }
        self.wake = wake;
        batches
    }

    /// What lacks and is not being fetched: first what most wait for, then what fewest have, then as the seed has it.
    fn order(&self) -> Vec<BlobId> {
        let look = self.idle.iter().take(LOOK_MAX);
        let rank = |(mixed, id): &(u64, BlobId)| {
            let piece = self.pieces.get(id)?;
            Some((usize::MAX - piece.needs.len(), piece.candidates.len(), *mixed, *id))
        };
        let mut ranked: Vec<_> = look.filter_map(rank).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, _, id)| id).collect()
    }

    /// Whom to ask for a blob: holders before sources, the least busy first. Where it is only a matter of time, the
    /// time goes to `wake`.
    fn choose(
        &self,
        piece: &Piece<P>,
        batches: &BTreeMap<P, Vec<Want>>,
        streams: usize,
        now: Instant,
        wake: &mut Option<Instant>,
    ) -> Option<P> {
        let mut best = None;
        let elsewhere = piece.is_elsewhere();
        for (peer, candidate) in &piece.candidates {
            if elsewhere && candidate.source {
                continue;
            }
            let state = self.peers.get(peer);
            let rests = [candidate.rest_until, piece.rest_until, state.and_then(|state| state.rest_until)];
            if let Some(until) = rests.into_iter().flatten().max().filter(|until| *until > now + SLACK) {
                *wake = Some(wake.map_or(until, |wake| wake.min(until)));
                continue;
            }
            let batch = batches.get(peer);
            let room = batch.map_or(batches.len() < streams, |batch| has_room(batch, piece.len));
            if room && state.is_none_or(Peer::is_free) {
                let load = (state.map_or(0, |state| state.transfers), batch.map_or(0, Vec::len), *peer);
                best = best.map_or(Some(load), |best: (usize, usize, P)| Some(best.min(load)));
            }
        }
        best.map(|(_, _, peer)| peer)
    }

    fn start(&mut self, peer: P, wants: Vec<Want>) -> Output<P> {
        let transfer = TransferId(self.next);
        self.next += 1;
        for want in &wants {
            if let Some(piece) = self.pieces.get_mut(&want.id) {
                piece.transfer = Some(transfer);
                self.idle.remove(&(mixed(self.seed, &want.id), want.id));
            }
        }
        self.peers.entry(peer).or_default().transfers += 1;
        let left = wants.iter().map(|want| want.id).collect();
        self.transfers.insert(transfer, Transfer { peer, left, arrived: Vec::new() });
        Output::Fetch { transfer, peer, wants }
    }
}

fn has_room(batch: &[Want], len: u32) -> bool {
    let bytes: u64 = batch.iter().map(|want| want.most).sum();
    batch.len() < WANTS_MAX && bytes + u64::from(len) <= BATCH_BYTES
}

/// An order of blobs that differs with the seed.
fn mixed(seed: u64, id: &BlobId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.bytes();
    let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    key ^ (key >> 32)
}
