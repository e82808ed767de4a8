//! Blob streams on one connection.
//!
//! Every request for a stream carries its own answer channel through the negotiation, so no answer can go to the wrong
//! asker. A negotiated inbound stream is handed up through the swarm's bounded queue; when that is full the
//! connection waits and nothing is lost.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};

use either::Either;
use futures::future::Either as Negotiated;
use libp2p::core::upgrade::{DeniedUpgrade, ReadyUpgrade};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound, SendWrapper,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol};
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::sync::oneshot;

use super::stream::{BlobStream, Places};
use super::wire::PROTOCOL;
use super::{INBOUND_MAX, OUTBOUND_MAX, never};
use crate::event::Failure;

/// A stream is wanted; the answer goes here.
pub struct Open(pub(super) oneshot::Sender<Result<BlobStream, Failure>>);

impl Open {
    fn answer(self, answer: Result<BlobStream, Failure>) {
        // Whoever asked may have gone; the stream closes with the answer.
        let _ = self.0.send(answer);
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

/// The handler of [`super::Streams`].
pub struct StreamHandler {
    peer: PeerId,
    inbound: Places,
    outbound: Places,
    wanted: VecDeque<Open>,
    arrived: VecDeque<BlobStream>,
}

impl StreamHandler {
    pub(super) fn new(peer: PeerId) -> Self {
        let (wanted, arrived) = Default::default();
        let (inbound, outbound) = (Places::new(INBOUND_MAX), Places::new(OUTBOUND_MAX));
        Self { peer, inbound, outbound, wanted, arrived }
    }

    fn accept(&mut self, stream: Stream) {
        match self.inbound.take() {
            Some(place) => self.arrived.push_back(BlobStream::new(self.peer, stream, place)),
            // Several were negotiated at once at the bound; the peer sees the end of the stream.
            None => tracing::debug!(peer = %self.peer, "a blob stream too many"),
        }
    }

    fn opened(&self, stream: Stream, open: Open) {
        let place = self.outbound.take().ok_or(Failure::Busy);
        open.answer(place.map(|place| BlobStream::new(self.peer, stream, place)));
    }
}

fn failure(error: StreamUpgradeError<std::convert::Infallible>) -> Failure {
    match error {
        StreamUpgradeError::Timeout => Failure::TimedOut,
        StreamUpgradeError::NegotiationFailed => Failure::NotAdmitted,
        StreamUpgradeError::Io(error) => Failure::Broken(error.to_string()),
        StreamUpgradeError::Apply(error) => never(error),
    }
}

type Accepting = SendWrapper<ReadyUpgrade<StreamProtocol>>;

impl ConnectionHandler for StreamHandler {
    type FromBehaviour = Open;
    type ToBehaviour = BlobStream;
    type InboundProtocol = Either<Accepting, SendWrapper<DeniedUpgrade>>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        let upgrade = if self.inbound.full() {
            Either::Right(SendWrapper(DeniedUpgrade))
        } else {
            Either::Left(SendWrapper(ReadyUpgrade::new(StreamProtocol::new(PROTOCOL))))
        };
        SubstreamProtocol::new(upgrade, ())
    }

    fn poll(
        &mut self,
        _cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if let Some(stream) = self.arrived.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(stream));
        }
        let Some(open) = self.wanted.pop_front() else { return Poll::Pending };
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(StreamProtocol::new(PROTOCOL)), open);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, open: Open) {
        if self.outbound.full() || self.wanted.len() >= OUTBOUND_MAX {
            return open.answer(Err(Failure::Busy));
        }
        self.wanted.push_back(open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                match protocol {
                    Negotiated::Left(stream) => self.accept(stream),
                    Negotiated::Right(denied) => never(denied),
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.opened(protocol, info);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                info.answer(Err(failure(error)));
            }
            _ => {}
        }
    }
}
