//! The blob helper of Work: one stream a blob, nothing of its content known here.
//!
//! [`Streams`] opens and accepts raw streams on connections that exist; it never dials, loses none that was
//! negotiated, and refuses further ones while [`INBOUND_MAX`] are open on a connection. It stands behind the gate like
//! every other protocol for trusted peers.

mod handler;
pub mod stream;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use crate::event::Failure;
use handler::{Open, StreamHandler};
use stream::BlobStream;

/// Blob streams a peer may have open on one connection towards this node.
pub const INBOUND_MAX: usize = 64;
/// Blob streams this node opens at once on one connection.
pub const OUTBOUND_MAX: usize = 64;

/// A stream that is being opened; resolves as long as the network is driven.
#[derive(Debug)]
pub struct Opening(oneshot::Receiver<Result<BlobStream, Failure>>);

impl Opening {
    /// One that has failed already.
    pub(crate) fn failed(why: Failure) -> Self {
        let (sender, receiver) = oneshot::channel();
        // The receiver is in our hands, so this cannot fail.
        let _ = sender.send(Err(why));
        Self(receiver)
    }
}

impl Future for Opening {
    type Output = Result<BlobStream, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|opened| opened.unwrap_or(Err(Failure::Closed)))
    }
}

/// Raw streams to and from peers.
#[derive(Default)]
pub struct Streams {
    connections: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    news: VecDeque<ToSwarm<BlobStream, Open>>,
}

impl Streams {
    /// Asks the oldest connection to the peer for a stream.
    pub fn open(&mut self, peer: PeerId) -> Opening {
        let Some(connection) = self.connections.get(&peer).and_then(BTreeSet::first) else {
            return Opening::failed(Failure::NotConnected);
        };
        let (sender, receiver) = oneshot::channel();
        let handler = NotifyHandler::One(*connection);
        self.news.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: Open(sender) });
        Opening(receiver)
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(known) = self.connections.get_mut(&peer) else { return };
        known.remove(&connection);
        if known.is_empty() {
            self.connections.remove(&peer);
        }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = StreamHandler;
    type ToSwarm = BlobStream;

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(StreamHandler::new(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(StreamHandler::new(peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                self.connections.entry(event.peer_id).or_default().insert(event.connection_id);
            }
            FromSwarm::ConnectionClosed(event) => self.closed(event.peer_id, event.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        stream: THandlerOutEvent<Self>,
    ) {
        self.news.push_back(ToSwarm::GenerateEvent(stream));
    }

    fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.news.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// What never happens to a ready upgrade.
fn never(never: Infallible) -> ! {
    match never {}
}
