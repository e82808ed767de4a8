//! Who is connected, from where, since when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use crate::discovery::plain;
use crate::status::hello::Rights;

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub peer: PeerId,
    /// The address of the oldest connection.
    pub address: Multiaddr,
    /// Whether the peer dialled that connection.
    pub inbound: bool,
    /// Since when without a break.
    pub since: Instant,
    /// The latest round trip.
    pub rtt: Option<Duration>,
    /// Connections now.
    pub connections: usize,
    /// Whether this node admits it.
    pub trusted: bool,
    /// What it last said it lets this node do.
    pub trusts_us: Rights,
}

struct Peer {
    connections: BTreeMap<ConnectionId, (ConnectedPoint, Instant)>,
    since: Instant,
    rtt: Option<Duration>,
    trusts_us: Rights,
    /// Where it says it listens; used once it is trusted.
    listens: Vec<Multiaddr>,
}

/// All connected peers.
#[derive(Default)]
pub(super) struct Peers(BTreeMap<PeerId, Peer>);

impl Peers {
    /// Notes a connection; true for the first of a peer.
    pub(super) fn connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: ConnectedPoint,
    ) -> bool {
        let first = !self.0.contains_key(&peer);
        let entry = self.0.entry(peer).or_insert_with(|| Peer {
            connections: BTreeMap::new(),
            since: Instant::now(),
            rtt: None,
            trusts_us: Rights::NONE,
            listens: Vec::new(),
        });
        entry.connections.insert(connection, (endpoint, Instant::now()));
        first
    }

    /// Connections of a peer that are as old as this, and that a new one replaces; they are forgotten as if the peer were
    /// gone where all of them are.
    pub(super) fn replaced(&mut self, peer: PeerId, age: Duration) -> Vec<ConnectionId> {
        let Some(entry) = self.0.get_mut(&peer) else { return Vec::new() };
        if !entry.connections.values().all(|(_, since)| since.elapsed() >= age) {
            return Vec::new();
        }
        self.0.remove(&peer).into_iter().flat_map(|entry| entry.connections.into_keys()).collect()
    }

    /// Forgets a connection; true for the last of a peer.
    pub(super) fn closed(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        let Some(entry) = self.0.get_mut(&peer) else { return false };
        entry.connections.remove(&connection);
        entry.connections.is_empty() && self.0.remove(&peer).is_some()
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }

    pub(super) fn all(&self) -> Vec<PeerId> {
        self.0.keys().copied().collect()
    }

    pub(super) fn set_rtt(&mut self, peer: &PeerId, rtt: Duration) {
        if let Some(entry) = self.0.get_mut(peer) {
            entry.rtt = Some(rtt);
        }
    }

    pub(super) fn set_trusts_us(&mut self, peer: &PeerId, rights: Rights) {
        if let Some(entry) = self.0.get_mut(peer) {
            entry.trusts_us = rights;
        }
    }

    pub(super) fn set_listens(&mut self, peer: &PeerId, addresses: Vec<Multiaddr>) {
        if let Some(entry) = self.0.get_mut(peer) {
            entry.listens = addresses;
        }
    }

    pub(super) fn listens(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.0.get(peer).map(|entry| entry.listens.clone()).unwrap_or_default()
    }

    /// What can be shown; `trusted` answers for this node.
    pub(super) fn views(&self, trusted: impl Fn(&PeerId) -> bool) -> Vec<PeerView> {
        let view = |(peer, entry): (&PeerId, &Peer)| {
            let (oldest, _) = entry.connections.values().next()?;
            Some(PeerView {
                peer: *peer,
                address: plain(oldest.get_remote_address()),
                inbound: oldest.is_listener(),
                since: entry.since,
                rtt: entry.rtt,
                connections: entry.connections.len(),
                trusted: trusted(peer),
                trusts_us: entry.trusts_us,
            })
        };
        self.0.iter().filter_map(view).collect()
    }
}
