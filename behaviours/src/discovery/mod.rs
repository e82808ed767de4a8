//! Who is there and how to reach it: the only part that dials.
//!
//! [`Dialer`] drives the [`book::Book`] inside the swarm. It dials with a fresh port every time, because two nodes that
//! dial each other from their listening ports at once may both fail, and it keeps multicast records from outside the
//! own subnets away from the book.

pub mod book;
mod fault;
pub(crate) mod multicast;
mod subnets;

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::dummy::ConnectionHandler as Nothing;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

pub use fault::Undialled;
pub use multicast::RECORDS_MAX;
pub use subnets::Subnets;

use crate::alarm::Alarm;
use book::{Book, Fault, Order, Target};

/// How often the LAN is asked who is there. A node that misses the first answers stays invisible for this long.
pub const QUERY_INTERVAL: Duration = Duration::from_secs(10);
/// How long a multicast record is believed: five queries may be missed.
pub const RECORD_LIFE: Duration = Duration::from_secs(60);

/// Dials whom the book says.
pub struct Dialer {
    book: Book,
    subnets: Subnets,
    dials: BTreeMap<ConnectionId, Target>,
    orders: VecDeque<DialOpts>,
    faults: VecDeque<Undialled>,
    /// Records from outside the subnets: the interface may only be coming up, and a record is told once.
    refused: VecDeque<(PeerId, Multiaddr)>,
    alarm: Alarm,
}

/// Refused records that are looked at again when a subnet appears.
const REFUSED_MAX: usize = 64;

/// The peer an address names, and the address without it.
fn split(address: &Multiaddr) -> (Option<PeerId>, Multiaddr) {
    let mut plain = address.clone();
    match plain.pop() {
        Some(Protocol::P2p(peer)) => (Some(peer), plain),
        _ => (None, address.clone()),
    }
}

/// The address without the peer it names.
pub(crate) fn plain(address: &Multiaddr) -> Multiaddr {
    split(address).1
}

fn target(address: &Multiaddr) -> (Target, Multiaddr) {
    let (peer, plain) = split(address);
    (peer.map_or_else(|| Target::Address(plain.clone()), Target::Peer), plain)
}

impl Dialer {
    /// A dialer of this node; `subnets` says which multicast records to believe.
    #[must_use]
    pub fn new(local: PeerId, subnets: Subnets) -> Self {
        let (dials, orders, faults, refused, alarm) = Default::default();
        Self { book: Book::new(local), subnets, dials, orders, faults, refused, alarm }
    }

    /// Keeps a connection to a configured address.
    pub fn keep(&mut self, address: &Multiaddr) {
        let (target, address) = target(address);
        self.change(|book, now| book.fixed(target, address, now));
    }

    /// Dials an address once.
    pub fn dial(&mut self, address: &Multiaddr) {
        let (target, address) = target(address);
        self.change(|book, now| book.asked(target, address, now));
    }

    /// A multicast record was seen; the address where it is believed and remembered.
    pub fn seen(&mut self, peer: PeerId, address: &Multiaddr) -> Option<Multiaddr> {
        let address = plain(address);
        if !self.subnets.reach(&address) {
            self.refused.push_back((peer, address));
            if self.refused.len() > REFUSED_MAX {
                self.refused.pop_front();
            }
            return None;
        }
        self.change(|book, now| book.heard(peer, address.clone(), now)).then_some(address)
    }

    /// A trusted peer tells where somebody is.
    pub fn told(&mut self, peer: PeerId, address: &Multiaddr) {
        let address = plain(address);
        self.change(|book, now| book.heard(peer, address, now));
    }

    /// A multicast record has expired.
    pub fn expired(&mut self, peer: PeerId, address: &Multiaddr) {
        let address = plain(address);
        self.book.lost(peer, &address);
    }

    /// The peer is trusted now.
    pub fn admitted(&mut self, peer: PeerId) {
        self.change(|book, now| book.admitted(peer, now));
    }

    /// The peer is no longer trusted.
    pub fn expelled(&mut self, peer: PeerId) {
        self.book.expelled(peer);
    }

    /// The peer has said goodbye.
    pub fn goodbye(&mut self, peer: PeerId) {
        self.change(|book, now| book.goodbye(peer, now));
    }

    /// Where a peer was reached or seen.
    #[must_use]
    pub fn addresses(&self, peer: PeerId) -> Vec<Multiaddr> {
        self.book.addresses(peer)
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Book, Instant) -> T) -> T {
        let now = Instant::now();
        let result = change(&mut self.book, now);
        while let Some(order) = self.book.next(now) {
            let opts = options(&order);
            self.dials.insert(opts.connection_id(), order.target);
            self.orders.push_back(opts);
        }
        self.alarm.set(self.book.next_due(now));
        result
    }

    fn on_established(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let dialled = self.dials.remove(&connection);
        let address = plain(endpoint.get_remote_address());
        self.change(|book, now| {
            book.connected(peer, dialled.as_ref().map(|target| (target, &address)), now);
        });
    }

    fn on_failure(&mut self, connection: ConnectionId, error: &DialError) {
        let Some(target) = self.dials.remove(&connection) else { return };
        let fault = fault::fault(error);
        if fault != Fault::Moot {
            self.faults.push_back(Undialled::new(&target, error));
        }
        self.change(|book, now| book.failed(&target, &fault, now));
    }
}

fn options(order: &Order) -> DialOpts {
    match &order.target {
        Target::Peer(peer) => DialOpts::peer_id(*peer)
            .addresses(order.addresses.clone())
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .allocate_new_port()
            .build(),
        Target::Address(address) => {
            DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build()
        }
    }
}

impl NetworkBehaviour for Dialer {
    type ConnectionHandler = Nothing;
    type ToSwarm = Undialled;

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Nothing)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Nothing)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                self.on_established(event.peer_id, event.connection_id, event.endpoint);
            }
            FromSwarm::ConnectionClosed(event) if event.remaining_established == 0 => {
                self.change(|book, now| book.disconnected(event.peer_id, now));
            }
            FromSwarm::DialFailure(event) => self.on_failure(event.connection_id, event.error),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if self.subnets.poll(cx) {
            let refused = std::mem::take(&mut self.refused);
            refused.iter().for_each(|(peer, address)| drop(self.seen(*peer, address)));
        }
        while self.alarm.poll_ring(cx).is_ready() {
            self.change(|_, _| {});
        }
        if let Some(fault) = self.faults.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(fault));
        }
        self.orders.pop_front().map_or(Poll::Pending, |opts| Poll::Ready(ToSwarm::Dial { opts }))
    }
}
