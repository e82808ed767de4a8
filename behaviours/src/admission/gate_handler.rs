//! One connection's side of the gate: the inner handler, or nothing as long as the peer is a stranger.
//!
//! Modelled on the swarm's own toggle. The swarm asks for the protocols at every inbound stream, so a change of trust
//! takes effect on the live connection.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};

use either::Either;
use futures::future::Either as Negotiated;
use libp2p::PeerId;
use libp2p::core::upgrade::DeniedUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound, ListenUpgradeError,
    SendWrapper,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};

use super::trust::Trust;

/// From the gate's behaviour to one connection.
pub enum GateIn<H: ConnectionHandler> {
    /// The peer is trusted now: use this.
    Install(Box<H>),
    /// Look again whether streams may be opened.
    Wake,
    /// For the inner handler.
    Inner(H::FromBehaviour),
}

impl<H: ConnectionHandler> fmt::Debug for GateIn<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install(_) => f.write_str("Install"),
            Self::Wake => f.write_str("Wake"),
            Self::Inner(event) => event.fmt(f),
        }
    }
}

/// The handler of a gated behaviour.
pub struct GateHandler<H: ConnectionHandler> {
    inner: Option<H>,
    peer: PeerId,
    trust: Trust,
    hold: bool,
    held: VecDeque<SubstreamProtocol<H::OutboundProtocol, H::OutboundOpenInfo>>,
}

impl<H: ConnectionHandler> GateHandler<H> {
    pub(super) fn new(inner: Option<H>, peer: PeerId, trust: Trust, hold: bool) -> Self {
        Self { inner, peer, trust, hold, held: VecDeque::new() }
    }

    fn may_open(&self) -> bool {
        !self.hold || self.trust.mutual(&self.peer)
    }

    fn tell(
        &mut self,
        event: ConnectionEvent<
            '_,
            H::InboundProtocol,
            H::OutboundProtocol,
            H::InboundOpenInfo,
            H::OutboundOpenInfo,
        >,
    ) {
        if let Some(inner) = &mut self.inner {
            inner.on_connection_event(event);
        }
    }
}

type Inbound<H> = Either<SendWrapper<<H as ConnectionHandler>::InboundProtocol>, SendWrapper<DeniedUpgrade>>;
type InboundInfo<H> = Either<<H as ConnectionHandler>::InboundOpenInfo, ()>;

impl<H: ConnectionHandler> ConnectionHandler for GateHandler<H> {
    type FromBehaviour = GateIn<H>;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = Inbound<H>;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = InboundInfo<H>;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        match &self.inner {
            Some(inner) if self.trust.admits(&self.peer) => inner
                .listen_protocol()
                .map_upgrade(|upgrade| Either::Left(SendWrapper(upgrade)))
                .map_info(Either::Left),
            _ => SubstreamProtocol::new(Either::Right(SendWrapper(DeniedUpgrade)), Either::Right(())),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.as_ref().is_some_and(ConnectionHandler::connection_keep_alive)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        let may_open = self.may_open();
        if may_open && let Some(protocol) = self.held.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        let Some(inner) = &mut self.inner else { return Poll::Pending };
        loop {
            match inner.poll(cx) {
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol }) if !may_open => {
                    self.held.push_back(protocol);
                }
                other => return other,
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.as_mut().map_or(Poll::Ready(None), |inner| inner.poll_close(cx))
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {
            GateIn::Install(handler) => self.inner = Some(*handler),
            GateIn::Wake => {}
            GateIn::Inner(event) => {
                if let Some(inner) = &mut self.inner {
                    inner.on_behaviour_event(event);
                }
            }
        }
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
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }) => {
                if let (Negotiated::Left(protocol), Either::Left(info)) = (protocol, info) {
                    let negotiated = FullyNegotiatedInbound { protocol, info };
                    self.tell(ConnectionEvent::FullyNegotiatedInbound(negotiated));
                }
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }) => {
                if let (Either::Left(info), Either::Left(error)) = (info, error) {
                    self.tell(ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }));
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                let negotiated = FullyNegotiatedOutbound { protocol, info };
                self.tell(ConnectionEvent::FullyNegotiatedOutbound(negotiated));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.tell(ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }));
            }
            ConnectionEvent::AddressChange(change) => self.tell(ConnectionEvent::AddressChange(change)),
            ConnectionEvent::LocalProtocolsChange(change) => {
                self.tell(ConnectionEvent::LocalProtocolsChange(change));
            }
            ConnectionEvent::RemoteProtocolsChange(change) => {
                self.tell(ConnectionEvent::RemoteProtocolsChange(change));
            }
            _ => {}
        }
    }
}
