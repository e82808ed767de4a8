//! A gate around a behaviour: it learns only of peers this node trusts.
//!
//! A stranger's connection carries no handler of the inner behaviour, so nothing of the stranger's is read and
//! identify does not even name the protocol. Promotion puts the handler into the live connection; who loses trust is
//! refused at once and its connections are closed by [`super::Admission`]. With [`Gated::holding`] the gate also keeps
//! the inner behaviour from opening streams until the peer said that it trusts this node: gossipsub gives a
//! connection up for good after one refusal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::gate_handler::{GateHandler, GateIn};
use super::trust::Trust;

/// `B`, for trusted peers only.
pub struct Gated<B: NetworkBehaviour> {
    inner: B,
    trust: Trust,
    /// Whether outgoing streams wait for the peer's trust, too.
    hold: bool,
    /// Connections of strangers.
    outside: BTreeMap<PeerId, BTreeMap<ConnectionId, ConnectedPoint>>,
    /// Connections the inner behaviour knows.
    inside: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    news: VecDeque<ToSwarm<B::ToSwarm, GateIn<THandler<B>>>>,
}

impl<B: NetworkBehaviour> Gated<B> {
    /// Gates `inner` by `trust`.
    pub fn new(inner: B, trust: Trust) -> Self {
        let (outside, inside, news) = Default::default();
        Self { inner, trust, hold: false, outside, inside, news }
    }

    /// As [`Gated::new`], and opens no stream before trust is mutual.
    pub fn holding(inner: B, trust: Trust) -> Self {
        Self { hold: true, ..Self::new(inner, trust) }
    }

    /// The behaviour itself.
    pub fn inner_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The peer is trusted now: its live connections get their handlers.
    pub fn promote(&mut self, peer: PeerId) {
        for (connection, endpoint) in self.outside.remove(&peer).unwrap_or_default() {
            match self.handler(connection, peer, &endpoint) {
                Ok(handler) => self.install(connection, peer, &endpoint, handler),
                Err(denied) => tracing::warn!(%peer, %denied, "a behaviour refused a promoted connection"),
            }
        }
    }

    /// What the peer says of its trust has changed: streams held back may be opened.
    pub fn wake(&mut self, peer: PeerId) {
        for connection in self.inside.get(&peer).into_iter().flatten() {
            let handler = NotifyHandler::One(*connection);
            self.news.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: GateIn::Wake });
        }
    }

    fn handler(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        endpoint: &ConnectedPoint,
    ) -> Result<THandler<B>, ConnectionDenied> {
        match endpoint {
            ConnectedPoint::Dialer { address, role_override, port_use } => self
                .inner
                .handle_established_outbound_connection(connection, peer, address, *role_override, *port_use),
            ConnectedPoint::Listener { local_addr, send_back_addr } => {
                self.inner.handle_established_inbound_connection(connection, peer, local_addr, send_back_addr)
            }
        }
    }

    fn install(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        endpoint: &ConnectedPoint,
        handler: THandler<B>,
    ) {
        self.news.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: GateIn::Install(Box::new(handler)),
        });
        self.tell_established(ConnectionEstablished {
            peer_id: peer,
            connection_id: connection,
            endpoint,
            failed_addresses: &[],
            other_established: 0,
        });
    }

    fn tell_established(&mut self, mut event: ConnectionEstablished<'_>) {
        let known = self.inside.entry(event.peer_id).or_default();
        event.other_established = known.len();
        known.insert(event.connection_id);
        self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(event));
    }

    fn on_established(&mut self, event: ConnectionEstablished<'_>) {
        if self.trust.admits(&event.peer_id) {
            return self.tell_established(event);
        }
        let outside = self.outside.entry(event.peer_id).or_default();
        outside.insert(event.connection_id, event.endpoint.clone());
    }

    fn on_closed(&mut self, mut event: ConnectionClosed<'_>) {
        if let Some(outside) = self.outside.get_mut(&event.peer_id) {
            outside.remove(&event.connection_id);
            if outside.is_empty() {
                self.outside.remove(&event.peer_id);
            }
        }
        let Some(known) = self.inside.get_mut(&event.peer_id) else { return };
        if !known.remove(&event.connection_id) {
            return;
        }
        event.remaining_established = known.len();
        if known.is_empty() {
            self.inside.remove(&event.peer_id);
        }
        self.inner.on_swarm_event(FromSwarm::ConnectionClosed(event));
    }

    fn wrap(&self, peer: PeerId, inner: Option<THandler<B>>) -> GateHandler<THandler<B>> {
        GateHandler::new(inner, peer, self.trust.clone(), self.hold)
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gated<B> {
    type ConnectionHandler = GateHandler<THandler<B>>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.trust.admits(&peer) {
            return Ok(self.wrap(peer, None));
        }
        let handler = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(self.wrap(peer, Some(handler)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.trust.admits(&peer) {
            return Ok(self.wrap(peer, None));
        }
        let handler =
            self.inner.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(self.wrap(peer, Some(handler)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.on_established(event),
            FromSwarm::ConnectionClosed(event) => self.on_closed(event),
            // Only about peers and connections the inner behaviour has never heard of, or about dials it never makes.
            FromSwarm::DialFailure(_) | FromSwarm::ListenFailure(_) | FromSwarm::NewExternalAddrOfPeer(_) => {
            }
            FromSwarm::AddressChange(change) => {
                let known = self.inside.get(&change.peer_id);
                if known.is_some_and(|known| known.contains(&change.connection_id)) {
                    self.inner.on_swarm_event(event);
                }
            }
            _ => self.inner.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(news) = self.news.pop_front() {
            return Poll::Ready(news);
        }
        self.inner.poll(cx).map(|event| event.map_in(GateIn::Inner))
    }
}
