//! Whom to dial when: the pure half of discovery.
//!
//! Fed with what was heard, what connected and what failed, each with the time; gives orders to dial. Opens nothing
//! and reads no clock. The peer with the lower name dials at once, the other only where that did not help, so that
//! two nodes seldom dial each other at the same moment; a one-sided discovery still connects. What strangers can make
//! it remember or do is bounded.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

/// Addresses remembered in all (security.md §4, threat 1).
pub const ADDRESSES_MAX: usize = 256;
/// Addresses remembered of one peer: two networks, two families.
pub const ADDRESSES_PER_PEER_MAX: usize = 4;
/// Dials of strangers in any second (security.md §4, threat 1).
pub const STRANGER_DIALS_MAX: usize = 4;
/// Dials of trusted or fixed peers in any second: a mesh of 32 forms in a second.
pub const TRUSTED_DIALS_MAX: usize = 32;
/// Dials under way at once.
pub const DIALING_MAX: usize = 24;
/// How often a stranger is tried for one sighting.
pub const STRANGER_TRIES: u32 = 3;
/// The head start of the peer with the lower name, before jitter.
pub const HEAD_START: Duration = Duration::from_secs(1);
/// The pause after the first failure; doubled with every further one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lasted less counts as a failure: the other side sent us away.
pub const SHORT: Duration = Duration::from_secs(20);
/// The pause after a peer said goodbye.
pub const AFTER_GOODBYE: Duration = Duration::from_secs(2);
/// One second, the window of the dial caps.
const SECOND: Duration = Duration::from_secs(1);

/// Who is to be dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A peer whose key is known.
    Peer(PeerId),
    /// Whoever answers at an address.
    Address(Multiaddr),
}

/// A dial to make now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// For whom.
    pub target: Target,
    /// Where.
    pub addresses: Vec<Multiaddr>,
}

/// How a dial went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nobody answered, or the handshake failed.
    Unreachable,
    /// Another key answered at this address: the record was wrong.
    Wrong(Multiaddr),
    /// This node itself answered at this address.
    Ourselves(Multiaddr),
    /// It was not needed any more.
    Moot,
}

#[derive(Debug, Default)]
struct Known {
    addresses: VecDeque<Multiaddr>,
    trusted: bool,
    /// Configured by the owner: never forgotten, tried for ever.
    fixed: bool,
    /// How often it may still be tried where it is neither trusted nor fixed.
    tries: u32,
    failures: u32,
    due: Option<Instant>,
    dialing: bool,
}

impl Known {
    fn ours(&self) -> bool {
        self.trusted || self.fixed
    }

    /// Whether it is worth a dial as long as there is no connection.
    fn wanted(&self) -> bool {
        !self.dialing && !self.addresses.is_empty() && (self.ours() || self.tries > 0)
    }
}

/// The address book and its plans.
#[derive(Debug)]
pub struct Book {
    local: PeerId,
    known: BTreeMap<Target, Known>,
    /// Who is connected, and since when; bounded by the limits of connections.
    online: BTreeMap<PeerId, Instant>,
    /// At most [`STRANGER_DIALS_MAX`] and [`TRUSTED_DIALS_MAX`] latest dials.
    strangers: VecDeque<Instant>,
    trusted: VecDeque<Instant>,
}

impl Book {
    /// An empty book of this node.
    #[must_use]
    pub fn new(local: PeerId) -> Self {
        let (known, online, strangers, trusted) = Default::default();
        Self { local, known, online, strangers, trusted }
    }

    /// An address of the configuration.
    pub fn fixed(&mut self, target: Target, address: Multiaddr, now: Instant) {
        if self.add(&target, address)
            && let Some(known) = self.known.get_mut(&target)
        {
            known.fixed = true;
            known.due = Some(now);
        }
    }

    /// The owner asks for a dial, once.
    pub fn asked(&mut self, target: Target, address: Multiaddr, now: Instant) {
        if self.add(&target, address)
            && let Some(known) = self.known.get_mut(&target)
        {
            known.tries = known.tries.max(1);
            known.due = Some(now);
        }
    }

    /// Somebody was seen, or a trusted peer told of somebody; whether it is remembered.
    pub fn heard(&mut self, peer: PeerId, address: Multiaddr, now: Instant) -> bool {
        let (target, lower) = (Target::Peer(peer), self.local < peer);
        if peer == self.local || !self.add(&target, address) {
            return false;
        }
        let Some(known) = self.known.get_mut(&target) else { return false };
        known.tries = STRANGER_TRIES;
        known.failures = 0;
        let due = if lower { now } else { now + HEAD_START + jitter(&peer, 0, HEAD_START) };
        known.due = Some(known.due.map_or(due, |planned| planned.min(due)));
        true
    }

    /// A sighting has expired. Trusted and fixed peers keep their addresses: they may only have missed a multicast.
    pub fn lost(&mut self, peer: PeerId, address: &Multiaddr) {
        let target = Target::Peer(peer);
        let online = self.online.contains_key(&peer);
        let Some(known) = self.known.get_mut(&target) else { return };
        if known.ours() || online {
            return;
        }
        known.addresses.retain(|other| other != address);
        self.forget_empty(&target);
    }

    /// The peer is trusted now: it is dialled soon where it is known. Where it is not, its sighting decides.
    pub fn admitted(&mut self, peer: PeerId, now: Instant) {
        let lower = self.local < peer;
        let known = self.known.entry(Target::Peer(peer)).or_default();
        known.trusted = true;
        known.failures = 0;
        let wait = if lower { Duration::ZERO } else { jitter(&peer, 0, HEAD_START / 2) };
        known.due = (!known.addresses.is_empty()).then_some(now + wait);
    }

    /// The peer is no longer trusted.
    pub fn expelled(&mut self, peer: PeerId) {
        let target = Target::Peer(peer);
        if let Some(known) = self.known.get_mut(&target) {
            known.trusted = false;
            known.tries = 0;
        }
        self.forget_empty(&target);
    }

    /// A connection exists; `dialled` where this node made it.
    pub fn connected(&mut self, peer: PeerId, dialled: Option<(&Target, &Multiaddr)>, now: Instant) {
        if let Some((target @ Target::Address(_), _)) = dialled
            && let Some(nameless) = self.known.remove(target)
        {
            // Now its name is known, so it is kept under that.
            let named = self.known.entry(Target::Peer(peer)).or_default();
            named.fixed |= nameless.fixed;
            nameless.addresses.into_iter().for_each(|address| remember(named, address));
        }
        self.online.entry(peer).or_insert(now);
        let Some(known) = self.known.get_mut(&Target::Peer(peer)) else { return };
        if let Some((_, address)) = dialled {
            known.dialing = false;
            remember(known, address.clone());
        }
        known.tries = 0;
    }

    /// The last connection is gone.
    pub fn disconnected(&mut self, peer: PeerId, now: Instant) {
        let lower = self.local < peer;
        let target = Target::Peer(peer);
        let lasted = self.online.remove(&peer).map(|since| now.saturating_duration_since(since));
        let Some(known) = self.known.get_mut(&target) else { return };
        known.failures =
            if lasted.is_some_and(|lasted| lasted < SHORT) { known.failures.saturating_add(1) } else { 0 };
        let start = if lower { Duration::ZERO } else { HEAD_START };
        known.due = Some(now + start + pause(&peer, known.failures));
        self.forget_empty(&target);
    }

    /// The peer stops by its own will.
    pub fn goodbye(&mut self, peer: PeerId, now: Instant) {
        let Some(known) = self.known.get_mut(&Target::Peer(peer)) else { return };
        known.failures = known.failures.max(2);
        known.due = Some(now + AFTER_GOODBYE);
    }

    /// A dial has failed.
    pub fn failed(&mut self, target: &Target, fault: &Fault, now: Instant) {
        let Some(known) = self.known.get_mut(target) else { return };
        known.dialing = false;
        match fault {
            Fault::Moot => {
                known.due = Some(now + SECOND);
                return;
            }
            Fault::Wrong(address) | Fault::Ourselves(address) => {
                known.addresses.retain(|other| other != address);
            }
            Fault::Unreachable => {}
        }
        known.failures = known.failures.saturating_add(1);
        known.tries = known.tries.saturating_sub(1);
        let anew = known.fixed && matches!((target, fault), (Target::Peer(_), Fault::Wrong(_)));
        let spread = match target {
            Target::Peer(peer) => pause(peer, known.failures),
            Target::Address(_) => pause(&self.local, known.failures),
        };
        known.due = Some(now + spread);
        self.forget_empty(target);
        if let (true, Fault::Wrong(address)) = (anew, fault) {
            // The configured address has a new owner: it is looked up by address again.
            self.fixed(Target::Address(address.clone()), address.clone(), now + spread);
        }
    }

    /// The next dial to make now, if there is one.
    pub fn next(&mut self, now: Instant) -> Option<Order> {
        for dials in [&mut self.strangers, &mut self.trusted] {
            dials.retain(|at| now.saturating_duration_since(*at) < SECOND);
        }
        if self.known.values().filter(|known| known.dialing).count() >= DIALING_MAX {
            return None;
        }
        let (strangers, trusted) = (self.strangers.len(), self.trusted.len());
        let free = |known: &Known| {
            if known.ours() { trusted < TRUSTED_DIALS_MAX } else { strangers < STRANGER_DIALS_MAX }
        };
        let due = |known: &Known| known.wanted() && known.due.is_some_and(|due| due <= now);
        let offline = |target: &Target| !is_online(&self.online, target);
        let ready =
            self.known.iter_mut().filter(|(target, known)| due(known) && free(known) && offline(target));
        // Trusted peers first, then whoever waits longest.
        let (target, known) = ready.min_by_key(|(_, known)| (!known.ours(), known.due))?;
        known.dialing = true;
        known.due = None;
        let order = Order { target: target.clone(), addresses: known.addresses.iter().cloned().collect() };
        let dials = if known.ours() { &mut self.trusted } else { &mut self.strangers };
        dials.push_back(now);
        Some(order)
    }

    /// When [`Book::next`] may have something, as far as is known.
    #[must_use]
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let offline = self.known.iter().filter(|(target, _)| !is_online(&self.online, target));
        let due = offline.filter(|(_, known)| known.wanted()).filter_map(|(_, known)| known.due).min()?;
        // What is due and still here waits for a cap: look again soon.
        Some(if due <= now { now + SECOND / 8 } else { due })
    }

    /// The addresses of a peer, those that worked last at the end.
    #[must_use]
    pub fn addresses(&self, peer: PeerId) -> Vec<Multiaddr> {
        let known = self.known.get(&Target::Peer(peer));
        known.map(|known| known.addresses.iter().cloned().collect()).unwrap_or_default()
    }

    /// Addresses remembered of all peers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.values().map(|known| known.addresses.len()).sum()
    }

    /// Whether no address is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Remembers an address, making room among strangers where there is none.
    fn add(&mut self, target: &Target, address: Multiaddr) -> bool {
        let there = self.known.get(target).is_some_and(|known| known.addresses.contains(&address));
        if !there && self.len() >= ADDRESSES_MAX && !self.make_room() {
            return false;
        }
        let known = self.known.entry(target.clone()).or_default();
        if there {
            return true;
        }
        // The one that worked last stands at the end and stays.
        known.addresses.insert(known.addresses.len().saturating_sub(1), address);
        trim(&mut known.addresses);
        true
    }

    /// Forgets the stranger that was planned for latest; false where there is none.
    fn make_room(&mut self) -> bool {
        let idle = |known: &Known| !known.ours() && !known.dialing && !known.addresses.is_empty();
        let strangers = self.known.iter().filter(|(_, known)| idle(known));
        let Some(target) = strangers.max_by_key(|(_, known)| known.due).map(|(target, _)| target.clone())
        else {
            return false;
        };
        self.known.remove(&target).is_some()
    }

    fn forget_empty(&mut self, target: &Target) {
        let online = is_online(&self.online, target);
        let empty = |known: &Known| match known {
            known if known.trusted || known.dialing => false,
            known if known.fixed => known.addresses.is_empty(),
            known => !online && (known.addresses.is_empty() || known.tries == 0),
        };
        if self.known.get(target).is_some_and(empty) {
            self.known.remove(target);
        }
    }
}

fn is_online(online: &BTreeMap<PeerId, Instant>, target: &Target) -> bool {
    matches!(target, Target::Peer(peer) if online.contains_key(peer))
}

/// Puts an address that worked at the end.
fn remember(known: &mut Known, address: Multiaddr) {
    known.addresses.retain(|other| *other != address);
    known.addresses.push_back(address);
    trim(&mut known.addresses);
}

/// Drops the oldest above [`ADDRESSES_PER_PEER_MAX`].
fn trim(addresses: &mut VecDeque<Multiaddr>) {
    while addresses.len() > ADDRESSES_PER_PEER_MAX {
        addresses.pop_front();
    }
}

/// A part of `span` that differs between peers and tries but not between runs.
fn jitter(peer: &PeerId, number: u32, span: Duration) -> Duration {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&peer.to_bytes()).update(&number.to_be_bytes());
    span * u32::from(hasher.finalize().as_bytes()[0]) / 256
}

/// How long to wait after so many failures.
fn pause(peer: &PeerId, failures: u32) -> Duration {
    let doubled = FIRST_PAUSE * (1 << failures.saturating_sub(1).min(16));
    let pause = doubled.min(LONGEST_PAUSE);
    let pause = if failures == 0 { Duration::ZERO } else { pause };
    pause + jitter(peer, failures, FIRST_PAUSE / 2 + pause / 4)
}

#[cfg(test)]
mod tests;
