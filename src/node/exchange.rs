//! How statements reach everybody: what is new is told, and what was missed is found by comparing.
//!
//! Pure, a part of [`State`]. Gossip and pushes make it fast; comparing with peers in turn, page by page, makes it certain.

use std::time::Duration;

use serde_bytes::ByteBuf;
use testmesh_behaviours::id::{NodeKey, StatementId};
use testmesh_behaviours::status::hello::{HelloRequest, REVOCATION_BYTES_MAX, REVOCATIONS_MAX};
use testmesh_behaviours::status::wire::{FETCH_MAX, StatusRequest, VectorEntry};

use super::event::{Action, Now, Purpose};
use super::peers::{Comparison, Peer};
use super::state::State;
use super::trust::News;

/// How often a trusted peer's statements are compared with ours, gossip or not: the pace at which a revocation
/// crosses a hop when nothing else works.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// Peers, next in the order of keys, to whom snapshots of others are passed on by hand. Their issuer tells everybody it
/// is connected to, gossip and comparisons do the rest: if all told all, a mesh that starts would cost the cube of its
/// size. Revocations go to everybody.
const FORWARD_MAX: usize = 4;

/// Peers that are compared with at that pace; with more, each has its turn less often. Turns are spread, the longest
/// waiting first: in a mesh of any size, what a node missed it finds within [`COMPARE_EVERY`] at one of so many.
pub(super) const COMPARE_PEERS: u32 = 4;

/// Every so often one of them has its turn.
const COMPARE_PAUSE: Duration = COMPARE_EVERY.checked_div(COMPARE_PEERS).expect("not zero");

impl State {
    /// A greeting with our own digest is as good as a comparison.
    pub(super) fn found_equal(&mut self, key: NodeKey, now: Now) {
        if !self.mutual(&key) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.compared = Some(Comparison::begin(peer.compared, now.mono));
            peer.behind = false;
        }
        self.compared(&key);
    }

    /// Begins to compare statements with a peer, unless that is under way.
    pub(super) fn compare(&mut self, key: NodeKey, now: Now) {
        if !self.mutual(&key) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.is_comparing(now.mono) {
            return;
        }
        peer.compared = Some(Comparison::begin(peer.compared, now.mono));
        peer.behind = false;
        self.ask_for_page(key, None);
    }

    fn ask_for_page(&mut self, of: NodeKey, after: Option<StatementId>) {
        let request = StatusRequest::Compare { digest: self.trust.digest(), after };
        self.out.push(Action::AskStatus { to: of, purpose: Purpose::Compare(after), request });
    }

    pub(super) fn compared(&mut self, key: &NodeKey) {
        if let Some(compared) = self.peers.get_mut(key).and_then(|peer| peer.compared.as_mut()) {
            compared.open = false;
            compared.complete = true;
        }
        self.ask_around(*key);
    }

    /// Fetches what we lack and want of a page; the peer does the same in its turn.
    pub(super) fn reconcile(
        &mut self,
        from: NodeKey,
        after: Option<StatementId>,
        theirs: &[VectorEntry],
        more: bool,
        now: Now,
    ) {
        let compared = self.peers.get_mut(&from).and_then(|peer| peer.compared.as_mut());
        // An answer that was given up on tells of another page.
        let Some(compared) = compared.filter(|compared| compared.open && compared.after == after) else {
            return;
        };
        compared.read(theirs.iter().map(|entry| entry.id), more);
        let mut wanted = self.trust.wanted(theirs, &from);
        wanted.truncate(FETCH_MAX);
        if wanted.is_empty() {
            self.turn_page(from, false, now);
        } else {
            let request = StatusRequest::Fetch(wanted);
            self.out.push(Action::AskStatus { to: from, purpose: Purpose::Fetch, request });
        }
    }

    /// A page was dealt with: goes on to the next. After the last all are compared anew where any brought news.
    pub(super) fn turn_page(&mut self, from: NodeKey, news: bool, now: Now) {
        let compared = self.peers.get_mut(&from).and_then(|peer| peer.compared.as_mut());
        let Some(compared) = compared.filter(|compared| compared.open) else { return };
        compared.news |= news;
        let news = compared.news;
        if compared.turn(now.mono) {
            let after = compared.after;
            self.ask_for_page(from, after);
            return;
        }
        self.compared(&from);
        if news {
            self.compare(from, now);
        }
    }

    /// A comparison came to no end: it is tried again soon.
    pub(super) fn not_compared(&mut self, key: NodeKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.behind = true;
        if let Some(compared) = peer.compared.as_mut() {
            compared.open = false;
        }
    }

    /// Compares with all that are behind, and with so many others as have their turn.
    pub(super) fn compare_in_turn(&mut self, now: Now) {
        let begun = |peer: &Peer| peer.compared.map(|past| past.begun);
        let due = |peer: &Peer| begun(peer).is_none_or(|begun| now.mono >= begun + COMPARE_EVERY);
        let waiting = |(key, peer): &(&NodeKey, &Peer)| {
            peer.connection.is_some() && due(peer) && !peer.is_comparing(now.mono) && self.mutual(key)
        };
        let waiting = self.peers.iter().filter(waiting);
        let mut waiting: Vec<_> =
            waiting.map(|(key, peer)| (!peer.behind, begun(peer), *key < self.about.key, *key)).collect();
        waiting.sort_unstable();
        // Turns that nobody took are not saved up.
        self.turn = self.turn.max(now.mono.saturating_sub(COMPARE_EVERY));
        for (in_turn, _, _, key) in waiting {
            if in_turn && self.turn > now.mono {
                break;
            }
            if in_turn {
                self.turn += COMPARE_PAUSE;
            }
            self.compare(key, now);
        }
    }

    /// News may not have reached a peer. It hears what we hold by our next greeting, which is due at once, and asks for what
    /// it lacks.
    pub(super) fn untold(&mut self, key: NodeKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.behind = true;
        if let Some((_, answered)) = peer.greeting.as_mut() {
            *answered = false;
        }
    }

    /// Passes new statements on: to all trusted neighbours by gossip and by hand, and revocations to strangers, too.
    pub(super) fn spread(&mut self, news: &[News], giver: Option<NodeKey>) {
        if news.is_empty() {
            return;
        }
        news.iter().for_each(|news| self.out.push(Action::Announce(news.bytes.clone())));
        let all: Vec<ByteBuf> = news.iter().map(|news| ByteBuf::from(news.bytes.clone())).collect();
        let revocations: Vec<ByteBuf> = news
            .iter()
            .filter(|news| news.revocation)
            .map(|news| ByteBuf::from(news.bytes.clone()))
            .collect();
        let connected = self.peers.connected().filter(|key| Some(*key) != giver);
        let (before, behind): (Vec<NodeKey>, Vec<NodeKey>) = connected.partition(|key| *key < self.about.key);
        for (place, to) in behind.into_iter().chain(before).enumerate() {
            if self.mutual(&to) {
                let statements = if giver.is_none() || place < FORWARD_MAX { &all } else { &revocations };
                if statements.is_empty() {
                    continue;
                }
                let request = StatusRequest::Push(statements.clone());
                self.out.push(Action::AskStatus { to, purpose: Purpose::Courtesy, request });
            } else {
                let messages = revocation_messages(&revocations).map(HelloRequest::Revocations);
                let say = |request| Action::SayHello { to, purpose: Purpose::Courtesy, request };
                self.out.extend(messages.map(say));
            }
        }
    }
}

/// Revocations in as few messages as strangers may send.
pub(super) fn revocation_messages(all: &[ByteBuf]) -> impl Iterator<Item = Vec<ByteBuf>> {
    let fits = |message: &[ByteBuf]| {
        let bytes: usize = message.iter().map(|one| one.len()).sum();
        message.len() <= REVOCATIONS_MAX && bytes <= REVOCATION_BYTES_MAX
    };
    let mut rest = all;
    std::iter::from_fn(move || {
        let most = (1..=rest.len()).take_while(|count| fits(&rest[..*count])).last()?;
        let (message, behind) = rest.split_at(most);
        rest = behind;
        Some(message.to_vec())
    })
}
