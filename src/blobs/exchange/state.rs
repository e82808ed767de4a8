//! The end that lacks blobs.
//!
//! A blob is asked of one peer at a time. Peers said to hold it come before its source, so that the source's line is
//! kept for what only it has; a source that names others is asked again, insisting, once these turned out not to have
//! it. A peer that is busy or breaks rests for longer each time; one that sends something else under a name is asked
//! nothing more. Whenever something lacks, a stream is open or a time to go on is known.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::idle::{Idle, Rank};
use super::peer::Peer;
use super::piece::Piece;
use super::types::{Input, NeedId, Outcome, Output, TransferId};
use crate::blobs::id::BlobId;
use crate::blobs::manifest::Chunk;
use crate::blobs::wire::{HOLDERS_MAX, WANTS_MAX, Want};

/// Streams open in all.
pub const TRANSFERS_MAX: usize = 16;
/// Bytes asked for on one stream at once: small, so that what one was given is soon told to others, and worth opening a
/// stream for.
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
    /// Those of `pieces` that nothing fetches.
    pub(super) idle: Idle<P>,
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
            idle: Idle::new(),
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
            Input::Answered { transfer, id, outcome } => {
                self.answered(transfer, id, outcome, now, &mut outputs);
            }
            Input::Given(blobs) => self.given(&blobs),
            Input::Closed { transfer, clean } => self.closed(transfer, clean, now),
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

    /// Whether a blob is lacking.
    #[must_use]
    pub fn lacks(&self, id: &BlobId) -> bool {
        self.pieces.contains_key(id)
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
                Piece { transfer: coming.map(|(id, _)| *id), ..Piece::new(blob.len) }
            });
            piece.needs.insert(need);
            piece.len = piece.len.max(blob.len);
            let honest = sources.iter().filter(|peer| **peer != self.here && !self.liars.contains(peer));
            honest.for_each(|peer| piece.may_be_at(*peer, true));
            self.doubtful.insert(blob.id);
            self.place(&blob.id);
        }
        self.needs.entry(need).or_default().extend(blobs.iter().map(|blob| blob.id));
    }

    fn release(&mut self, need: NeedId, outputs: &mut Vec<Output<P>>) {
        for id in self.needs.remove(&need).unwrap_or_default() {
            let Some(piece) = self.pieces.get_mut(&id) else { continue };
            piece.needs.remove(&need);
            if piece.needs.is_empty() {
                self.pieces.remove(&id);
            }
            self.place(&id);
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

    fn given(&mut self, blobs: &[(BlobId, P)]) {
        for (id, peer) in blobs {
            if *peer == self.here || self.liars.contains(peer) {
                continue;
            }
            if let Some(piece) = self.pieces.get_mut(id) {
                piece.may_be_at(*peer, false);
                self.place(id);
            }
        }
    }

    fn partial(&mut self, id: &BlobId, have: u64, from: P) {
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
        self.idle.take(&id);
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
                self.partial(&id, have, peer);
            }
            Outcome::NotKept => self.not_kept(&id, now),
        }
        self.place(&id);
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
        self.place(id);
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

    fn closed(&mut self, transfer: TransferId, clean: bool, now: Instant) {
        let Some(ended) = self.end(transfer) else { return };
        // A stream that leaves wants unanswered did not end well, whatever its driver says.
        let peer = ended.peer;
        if clean && ended.left.is_empty() {
            return;
        }
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
            self.place(id);
        }
    }

    /// A piece changed: what it may be asked of whom follows.
    fn place(&mut self, id: &BlobId) {
        let idle = self.pieces.get(id).filter(|piece| piece.transfer.is_none());
        match idle.map(|piece| (self.rank(*id, piece), piece.askable().collect())) {
            Some((rank, peers)) => self.idle.put(rank, peers),
            None => self.idle.take(id),
        }
    }

    pub(super) fn rank(&self, id: BlobId, piece: &Piece<P>) -> Rank {
        let waiting = usize::MAX - piece.needs.len();
        Rank { waiting, candidates: piece.candidates.len(), mixed: mixed(self.seed, &id), id }
    }

    /// Nothing more is asked of the peer.
    fn forget(&mut self, peer: P) {
        let dropped =
            self.pieces.iter_mut().filter_map(|(id, piece)| piece.drop_candidate(&peer).then_some(*id));
        for id in dropped.collect::<Vec<_>>() {
            self.doubtful.insert(id);
            self.place(&id);
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

    /// What to ask now, at most one more stream a peer, the least busy peers first. Where it is only a matter of time,
    /// the time goes to `wake`.
    fn batches(&mut self, now: Instant) -> BTreeMap<P, Vec<Want>> {
        let mut batches = BTreeMap::new();
        let streams = TRANSFERS_MAX.saturating_sub(self.transfers.len());
        if streams == 0 {
            return batches;
        }
        let mut wake = Wake { after: now + SLACK, first: None };
        let mut taken = BTreeSet::new();
        for peer in self.free(&mut wake) {
            let batch = self.batch(peer, &mut taken, &mut wake);
            if !batch.is_empty() {
                batches.insert(peer, batch);
            }
            if batches.len() == streams {
                break;
            }
        }
        self.wake = wake.first;
        batches
    }

    /// Peers that something may be asked of now, the least busy first.
    fn free(&self, wake: &mut Wake) -> Vec<P> {
        let mut free = Vec::new();
        for peer in self.idle.peers() {
            let state = self.peers.get(&peer);
            let rest = state.and_then(|state| state.rest_until);
            if state.is_none_or(Peer::is_free) && !wake.rests([rest]) {
                free.push((state.map_or(0, |state| state.transfers), peer));
            }
        }
        free.sort_unstable();
        free.into_iter().map(|(_, peer)| peer).collect()
    }

    /// What to ask of one peer on one stream: what first comes of what nobody else is asked for in this turn.
    fn batch(&self, peer: P, taken: &mut BTreeSet<BlobId>, wake: &mut Wake) -> Vec<Want> {
        let mut batch = Vec::new();
        for id in self.idle.of(&peer).take(LOOK_MAX) {
            let Some(piece) = self.pieces.get(id).filter(|_| !taken.contains(id)) else { continue };
            let Some(candidate) = piece.candidates.get(&peer) else { continue };
            if wake.rests([candidate.rest_until, piece.rest_until]) {
                continue;
            }
            if !has_room(&batch, piece.len) {
                break;
            }
            // Only the source's line is to be spared; between the others nobody is sent about.
            let insist = piece.insist || !candidate.source;
            batch.push(Want { id: *id, offset: piece.have, most: piece.len.into(), insist });
            taken.insert(*id);
        }
        batch
    }

    fn start(&mut self, peer: P, wants: Vec<Want>) -> Output<P> {
        let transfer = TransferId(self.next);
        self.next += 1;
        for want in &wants {
            if let Some(piece) = self.pieces.get_mut(&want.id) {
                piece.transfer = Some(transfer);
            }
            self.place(&want.id);
        }
        self.peers.entry(peer).or_default().transfers += 1;
        let left = wants.iter().map(|want| want.id).collect();
        self.transfers.insert(transfer, Transfer { peer, left });
        Output::Fetch { transfer, peer, wants }
    }
}

/// When it makes sense to go on, as far as only time is in the way.
struct Wake {
    /// What rests until then need not rest any more.
    after: Instant,
    first: Option<Instant>,
}

impl Wake {
    /// Whether one of these is still to be waited for.
    fn rests<const N: usize>(&mut self, rests: [Option<Instant>; N]) -> bool {
        let until = rests.into_iter().flatten().max().filter(|until| *until > self.after);
        self.first = [self.first, until].into_iter().flatten().min();
        until.is_some()
    }
}

fn has_room(batch: &[Want], len: u32) -> bool {
    let bytes: u64 = batch.iter().map(|want| want.most).sum();
    batch.is_empty() || (batch.len() < WANTS_MAX && bytes + u64::from(len) <= BATCH_BYTES)
}

/// An order of blobs that differs with the seed.
fn mixed(seed: u64, id: &BlobId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.bytes();
    let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    key ^ (key >> 32)
}
