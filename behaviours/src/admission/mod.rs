//! Who may connect, and how long a stranger may stay.
//!
//! Stands before every other behaviour but the plain limits, so that a refusal leaves no trace in any of them. Trusted
//! peers pass; strangers share a few places, are sent away when they have nothing to say, and never take the room
//! reserved for trusted peers. Blocked keys are refused. Which key is which is told from outside.

pub mod gate;
mod gate_handler;
mod strangers;
mod trust;

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::dummy::ConnectionHandler as Nothing;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

pub use gate_handler::{GateHandler, GateIn};
pub use strangers::{
    PENDING_PER_ADDRESS_MAX, STRANGER_IDLE, STRANGER_STAY, STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX,
};
pub use trust::Trust;

use crate::alarm::Alarm;
use strangers::Strangers;

/// Why a connection is refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The key is blocked by this node's owner.
    #[error("the peer is blocked")]
    Blocked,
    /// All places for strangers are taken.
    #[error("too many strangers")]
    Strangers,
    /// All places for strangers from this address are taken.
    #[error("too many strangers from this address")]
    Address,
    /// Too many handshakes from this address are under way.
    #[error("too many handshakes from this address")]
    Handshakes,
}

/// The gatekeeper.
pub struct Admission {
    trust: Trust,
    blocked: BTreeSet<PeerId>,
    strangers: Strangers,
    orders: VecDeque<(PeerId, CloseConnection)>,
    alarm: Alarm,
}

impl Admission {
    /// A gatekeeper that knows only strangers.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        let (blocked, strangers, orders, alarm) = Default::default();
        Self { trust, blocked, strangers, orders, alarm }
    }

    /// The peer is trusted now: its connections stay and count no more as a stranger's.
    pub fn promote(&mut self, peer: PeerId) {
        self.blocked.remove(&peer);
        self.strangers.promote(peer);
    }

    /// Closes every connection of a peer.
    pub fn close(&mut self, peer: PeerId) {
        self.orders.push_back((peer, CloseConnection::All));
    }

    /// Closes every connection of a peer and lets it make none.
    pub fn block(&mut self, peer: PeerId) {
        self.blocked.insert(peer);
        self.close(peer);
    }

    /// The peer may connect again.
    pub fn unblock(&mut self, peer: &PeerId) {
        self.blocked.remove(peer);
    }

    /// A stranger said something it may say, and may stay a little longer.
    pub fn heard(&mut self, peer: PeerId, now: Instant) {
        self.strangers.heard(peer, now);
        self.alarm.set(self.strangers.next_end());
    }

    fn judge(&self, peer: &PeerId, remote: Option<&Multiaddr>) -> Result<Nothing, ConnectionDenied> {
        if self.blocked.contains(peer) {
            return Err(ConnectionDenied::new(Denied::Blocked));
        }
        if !self.trust.admits(peer) {
            self.strangers.room(remote).map_err(ConnectionDenied::new)?;
        }
        Ok(Nothing)
    }

    fn arrived(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        self.strangers.handshake_over(connection);
        if self.trust.admits(&peer) {
            return;
        }
        let remote = endpoint.is_listener().then(|| endpoint.get_remote_address());
        self.strangers.arrived(peer, connection, remote, Instant::now());
        self.alarm.set(self.strangers.next_end());
    }
}

impl NetworkBehaviour for Admission {
    type ConnectionHandler = Nothing;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.strangers.handshake(connection, remote).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(&peer, Some(remote))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: Option<PeerId>,
        _addresses: &[Multiaddr],
        _role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match peer {
            Some(peer) if self.blocked.contains(&peer) => Err(ConnectionDenied::new(Denied::Blocked)),
            _ => Ok(Vec::new()),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(&peer, None)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                self.arrived(event.peer_id, event.connection_id, event.endpoint);
            }
            FromSwarm::ConnectionClosed(event) => self.strangers.left(event.connection_id),
            FromSwarm::ListenFailure(event) => self.strangers.handshake_over(event.connection_id),
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
        if self.alarm.poll_ring(cx).is_ready() {
            let over = self.strangers.over(Instant::now());
            self.orders.extend(over.into_iter().map(|(peer, one)| (peer, CloseConnection::One(one))));
            self.alarm.set(self.strangers.next_end());
            cx.waker().wake_by_ref();
        }
        match self.orders.pop_front() {
            Some((peer_id, connection)) => Poll::Ready(ToSwarm::CloseConnection { peer_id, connection }),
            None => Poll::Pending,
        }
    }
}
