//! Everybody this node has heard of: what they claim, whether they are connected, what they last said.
//!
//! Pure data with bounds; whom to trust is not decided here. A stranger's place is taken by a newer stranger, a trusted
//! peer's never.

use std::collections::BTreeMap;
use std::time::Duration;

use testmesh_behaviours::id::{Digest, NodeKey, StatementId};
use testmesh_behaviours::status::hello::{Hello, Platform, Rights};
use testmesh_behaviours::status::wire::Load;

use super::event::Now;

/// Strangers remembered: what a LAN shows, not what a flood of forged records does.
const STRANGERS_MAX: usize = 256;

/// Addresses remembered of one peer.
const ADDRESSES_MAX: usize = 8;

/// How long an answer to a comparison is waited for before the next.
const COMPARE_PATIENCE: Duration = Duration::from_secs(15);

/// Failed dials remembered by address: what an owner types and configures.
const UNREACHED_MAX: usize = 16;

/// Pages of revocations read of one peer: more than all that a node can hold.
const PAGES_MAX: u32 = 8_192;

/// Pages of names read of one peer in one comparison: more than all that a node can hold, 1,024 issuers with a snapshot, a
/// retirement and 128 denials each, and 4,096 revocations carried for others.
pub const COMPARE_PAGES_MAX: u32 = 1_024;

/// How often reading them from the start may begin.
const PAGES_EVERY: Duration = Duration::from_secs(5);

/// Everything known of a peer besides trust.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Peer {
    /// The name it gives itself. Claimed.
    pub name: String,
    /// The version of its program. Claimed.
    pub version: String,
    /// What it runs on. Claimed.
    pub platform: Platform,
    /// While it is connected: where, since when, and whether it dialled.
    pub connection: Option<Connection>,
    /// Where it was seen or connected, newest last.
    pub addresses: Vec<String>,
    /// Seconds since the epoch of the last sign of life; 0: never.
    pub last_seen: u64,
    /// What it says it lets this node do.
    pub gives_us: Rights,
    /// Its last word on its load.
    pub load: Load,
    /// Its last word on its statements.
    pub digest: Option<Digest>,
    /// Its last word on its revocations.
    pub revocations: Option<Digest>,
    /// What this node last told it about trust in it.
    pub told: Option<Rights>,
    /// When we last introduced ourselves, and whether that was answered.
    pub greeting: Option<(Duration, bool)>,
    /// When its statements were last compared with ours, and whether that is still under way.
    pub compared: Option<Comparison>,
    /// News was missed by it or by us, such as what its issuer said too soon: to be compared with before its turn.
    pub behind: bool,
    /// How far its revocations were read, and since when.
    pub pages: Option<Pages>,
    /// It said goodbye on this connection.
    pub goodbye: bool,
    /// Why it could not be reached last time.
    pub trouble: Option<String>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its address.
    pub address: String,
    /// Since when.
    pub since: Duration,
    /// Whether the peer dialled.
    pub inbound: bool,
}

/// Where comparing statements with a peer stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comparison {
    /// When it was last begun, or went on to another page.
    pub begun: Duration,
    /// Whether it is under way.
    pub open: bool,
    /// Whether one has ever been completed on this connection.
    pub complete: bool,
    /// Behind which name the page in work begins.
    pub after: Option<StatementId>,
    /// Its last name, where there is another page.
    pub next: Option<StatementId>,
    /// How many pages were asked for.
    pub pages: u32,
    /// Whether it brought anything new: that may widen the circle of issuers whose statements are wanted.
    pub news: bool,
}

impl Comparison {
    /// One that begins now, after `past`.
    pub fn begin(past: Option<Self>, now: Duration) -> Self {
        let complete = past.is_some_and(|past| past.complete);
        Self { begun: now, open: true, complete, pages: 1, ..Self::default() }
    }

    /// Notes the names of the page in work and whether the peer has more. Names must ascend, and nobody has endless pages.
    pub fn read(&mut self, mut names: impl Iterator<Item = StatementId>, more: bool) {
        let mut last = self.after;
        let ascend = names.all(|name| last.replace(name).is_none_or(|last| last < name));
        self.next = last.filter(|_| more && ascend && last > self.after && self.pages < COMPARE_PAGES_MAX);
    }

    /// Goes on to the next page, where there is one.
    pub fn turn(&mut self, now: Duration) -> bool {
        let Some(next) = self.next.take() else { return false };
        *self = Self { begun: now, after: Some(next), pages: self.pages + 1, ..*self };
        true
    }
}

/// A dial of no known peer that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// Where.
    pub address: String,
    /// Why.
    pub why: String,
    /// Seconds since the epoch.
    pub at: u64,
}

/// Where reading a peer's revocations stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// When the first was asked for.
    pub begun: Duration,
    /// The last name of the latest.
    pub after: Option<StatementId>,
    /// How many were read.
    pub count: u32,
}

/// All peers.
#[derive(Debug, Default)]
pub struct Peers {
    known: BTreeMap<NodeKey, Peer>,
    /// Addresses that nobody known was reached at, the latest last.
    unreached: Vec<Unreached>,
}

impl Peers {
    /// A peer, if it was ever heard of.
    pub fn get(&self, key: &NodeKey) -> Option<&Peer> {
        self.known.get(key)
    }

    /// A peer, if it was ever heard of.
    pub fn get_mut(&mut self, key: &NodeKey) -> Option<&mut Peer> {
        self.known.get_mut(key)
    }

    /// All, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeKey, &Peer)> {
        self.known.iter()
    }

    /// Keys of those connected.
    pub fn connected(&self) -> impl Iterator<Item = NodeKey> {
        self.known.iter().filter(|(_, peer)| peer.connection.is_some()).map(|(key, _)| *key)
    }

    /// A peer, made room for when it is new; `keep` tells whom no stranger may displace.
    pub fn meet(&mut self, key: NodeKey, now: Now, keep: impl Fn(&NodeKey) -> bool) -> &mut Peer {
        let peer = self.note(key, keep);
        peer.last_seen = now.unix;
        peer
    }

    /// As [`Peers::meet`], of one that gave no sign of life.
    pub fn note(&mut self, key: NodeKey, keep: impl Fn(&NodeKey) -> bool) -> &mut Peer {
        if !self.known.contains_key(&key) {
            self.make_room(&keep);
        }
        self.known.entry(key).or_default()
    }

    /// An address could not be reached; whether that is news.
    pub fn not_reached(&mut self, address: &str, why: &str, unix: u64) -> bool {
        let known = self.unreached.iter().find(|one| one.address == address);
        let news = known.is_none_or(|known| known.why != why);
        self.reached(address);
        self.unreached.push(Unreached { address: address.to_owned(), why: why.to_owned(), at: unix });
        let excess = self.unreached.len().saturating_sub(UNREACHED_MAX);
        self.unreached.drain(..excess);
        news
    }

    /// An address was reached.
    pub fn reached(&mut self, address: &str) {
        self.unreached.retain(|one| one.address != address);
    }

    /// Addresses that could not be reached lately, the latest last.
    pub fn unreached(&self) -> &[Unreached] {
        &self.unreached
    }

    fn make_room(&mut self, keep: impl Fn(&NodeKey) -> bool) {
        let displaceable = |(key, peer): &(&NodeKey, &Peer)| !keep(key) && peer.connection.is_none();
        let strangers = self.known.iter().filter(displaceable);
        let (count, oldest) = strangers.fold((0, None), |(count, oldest), (key, peer)| {
            let oldest = oldest.filter(|(seen, _)| *seen <= peer.last_seen).or(Some((peer.last_seen, *key)));
            (count + 1, oldest)
        });
        if count >= STRANGERS_MAX
            && let Some((_, oldest)) = oldest
        {
            self.known.remove(&oldest);
        }
    }
}

impl Peer {
    /// Notes an address.
    pub fn seen_at(&mut self, address: String) {
        self.addresses.retain(|known| *known != address);
        self.addresses.push(address);
        let excess = self.addresses.len().saturating_sub(ADDRESSES_MAX);
        self.addresses.drain(..excess);
    }

    /// Takes over what it says of itself. Returns whether it changed what it lets us do, and whether anything that is shown.
    pub fn heard(&mut self, hello: Hello) -> (bool, bool) {
        let changed = self.gives_us != hello.trust;
        let shown = (&self.name, &self.version, &self.platform);
        let news = changed || shown != (&hello.name, &hello.version, &hello.platform);
        self.name = hello.name;
        self.version = hello.version;
        self.platform = hello.platform;
        self.gives_us = hello.trust;
        self.digest = Some(hello.digest);
        self.revocations = Some(hello.revocations);
        (changed, news)
    }

    /// Whether a comparison with it is under way.
    pub fn is_comparing(&self, now: Duration) -> bool {
        self.compared.is_some_and(|past| past.open && now < past.begun + COMPARE_PATIENCE)
    }

    /// Whether its revocations may be read from the start: not again and again because it says hello again.
    pub fn open_pages(&mut self, now: Duration) -> bool {
        let free = self.pages.is_none_or(|pages| now >= pages.begun + PAGES_EVERY);
        if free {
            self.pages = Some(Pages { begun: now, after: None, count: 1 });
        }
        free
    }

    /// Whether the page behind this name may be read: names must ascend, and nobody has endless pages.
    pub fn turn_page(&mut self, after: StatementId) -> bool {
        let Some(pages) = self.pages.as_mut() else { return false };
        if pages.after.is_some_and(|last| after <= last) || pages.count >= PAGES_MAX {
            return false;
        }
        *pages = Pages { after: Some(after), count: pages.count + 1, ..*pages };
        true
    }

    /// Forgets what held for the connection only.
    pub fn parted(&mut self) {
        self.connection = None;
        self.gives_us = Rights::NONE;
        self.digest = None;
        self.told = None;
        self.greeting = None;
        self.goodbye = false;
        self.compared = None;
        self.behind = false;
        self.pages = None;
        self.load = Load::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> NodeKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        NodeKey::new(bytes)
    }

    fn now(unix: u64) -> Now {
        Now { mono: Duration::from_secs(unix), unix }
    }

    #[test]
    fn strangers_displace_the_oldest_stranger_and_nobody_else() {
        let mut peers = Peers::default();
        let trusted = key(0);
        for number in 0..2000u16 {
            peers.meet(key(number), now(number.into()), |key| *key == trusted);
        }
        assert_eq!(peers.iter().count(), STRANGERS_MAX + 1);
        assert!(peers.get(&trusted).is_some());
        assert!(peers.get(&key(1999)).is_some());
        assert!(peers.get(&key(1)).is_none());
    }

    #[test]
    fn pages_of_revocations_ascend_end_and_are_not_begun_at_will() {
        let name = |number: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            StatementId::new(bytes)
        };
        let mut peer = Peer::default();
        assert!(!peer.turn_page(name(1)), "nothing was asked for");
        assert!(peer.open_pages(Duration::ZERO) && !peer.open_pages(PAGES_EVERY / 2));
        assert!(peer.turn_page(name(1)) && !peer.turn_page(name(1)), "the same page again leads nowhere");
        let read = (2..u64::MAX).take_while(|number| peer.turn_page(name(*number))).count();
        assert_eq!(read, PAGES_MAX as usize - 2);
        assert!(peer.open_pages(PAGES_EVERY) && peer.turn_page(name(1)));
    }

    #[test]
    fn names_of_a_comparison_ascend_and_end() {
        let name = |number: u8| StatementId::new([number; 32]);
        let begin = || Comparison::begin(None, Duration::ZERO);
        let mut good = begin();
        good.read([name(1), name(2)].into_iter(), true);
        assert!(good.turn(PAGES_EVERY) && (good.after, good.begun) == (Some(name(2)), PAGES_EVERY));
        good.read([name(3)].into_iter(), false);
        assert!(!good.turn(PAGES_EVERY), "that was the last page");
        for names in [vec![name(2), name(1)], vec![name(1), name(1)], Vec::new()] {
            let mut bad = begin();
            bad.read(names.into_iter(), true);
            assert!(!bad.turn(PAGES_EVERY), "leads nowhere");
        }
        let mut again = Comparison { after: Some(name(5)), ..begin() };
        again.read([name(5), name(6)].into_iter(), true);
        assert!(!again.turn(PAGES_EVERY), "the name it begins behind does not come again");
        let mut endless = Comparison { pages: COMPARE_PAGES_MAX, ..begin() };
        endless.read([name(1)].into_iter(), true);
        assert!(!endless.turn(PAGES_EVERY));
    }

    #[test]
    fn the_latest_failed_dials_are_remembered_until_they_work() {
        let mut peers = Peers::default();
        let address = |number: u64| format!("/ip4/10.0.0.1/tcp/{number}");
        for number in 1..=40 {
            assert!(peers.not_reached(&address(number), "refused", number), "new");
        }
        assert_eq!(peers.unreached().len(), UNREACHED_MAX);
        assert!(
            !peers.not_reached(&address(40), "refused", 50) && peers.not_reached(&address(40), "late", 51)
        );
        assert_eq!(peers.unreached().last().map(|last| (last.why.as_str(), last.at)), Some(("late", 51)));
        peers.reached(&address(40));
        assert!(peers.unreached().iter().all(|one| one.address != address(40)));
    }

    #[test]
    fn a_peer_keeps_few_addresses_and_the_newest() {
        let mut peer = Peer::default();
        (0..20).for_each(|port| peer.seen_at(format!("/ip4/127.0.0.1/tcp/{port}")));
        assert_eq!(peer.addresses.len(), ADDRESSES_MAX);
        assert_eq!(peer.addresses.last().map(String::as_str), Some("/ip4/127.0.0.1/tcp/19"));
    }
}
