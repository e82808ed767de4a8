//! From what the swarm says to what its owner hears.
//!
//! Everything from a peer passes here: bounds are checked, what came from somebody no longer trusted is dropped, and
//! what only the network itself needs (round trips, dead connections, multicast records) stays inside.

use std::time::Instant;

use libp2p::request_response::{self, Message, OutboundFailure};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, gossipsub, identify, mdns, ping};

use super::Network;
use crate::address::is_loopback;
use crate::blobs::stream::BlobStream;
use crate::check::Check;
use crate::discovery::book::ADDRESSES_PER_PEER_MAX;
use crate::discovery::multicast::{afresh, flooded};
use crate::discovery::{Undialled, plain};
use crate::event::{Event, Failure, GossipId, Reply};
use crate::mesh::MeshEvent;
use crate::network::config::AGENT_MAX;
use crate::status::hello::{Hello, HelloRequest, HelloResponse, Rights};
use crate::status::wire::{StatusRequest, StatusResponse};
use crate::work::message::{WorkRequest, WorkResponse};

type Exchange<Q, R> = request_response::Event<Q, R>;

impl Network {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<MeshEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_mesh(event),
            SwarmEvent::ConnectionEstablished { peer_id: peer, connection_id, endpoint, .. } => {
                let (address, inbound) = (plain(endpoint.get_remote_address()), endpoint.is_listener());
                if self.budget.forgive(&peer, Instant::now())
                    && let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut()
                {
                    gossip.inner_mut().remove_blacklisted_peer(&peer);
                }
                let replaced = self.peers.replaced(peer, self.replace_after);
                let first = self.peers.connected(peer, connection_id, endpoint);
                if !replaced.is_empty() {
                    self.lost(peer, Some("it connected anew".to_owned()));
                }
                for connection in &replaced {
                    self.swarm.close_connection(*connection);
                }
                if first || !replaced.is_empty() {
                    self.events.push_back(Event::Connected { peer, address, inbound });
                }
            }
            SwarmEvent::ConnectionClosed { peer_id: peer, connection_id, cause, .. } => {
                self.on_closed(peer, connection_id, cause.map(|cause| cause.to_string()));
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                tracing::debug!(address = %send_back_addr, %error, "a connection was refused");
            }
            SwarmEvent::NewListenAddr { address, .. } => self.events.push_back(Event::Listening { address }),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.events.push_back(Event::ListenEnded { address });
            }
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                self.events.push_back(Event::ListenFailed { addresses, why: error.to_string() });
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener reports an error"),
            _ => {}
        }
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, why: Option<String>) {
        if self.peers.closed(peer, connection) {
            self.lost(peer, why);
        }
    }

    /// What was under way with a peer is over.
    fn lost(&mut self, peer: PeerId, why: Option<String>) {
        self.trust.set_theirs(peer, false);
        self.abandon(peer, &Failure::Closed);
        self.events.push_back(Event::Disconnected { peer, why });
    }

    fn on_mesh(&mut self, event: MeshEvent) {
        match event {
            MeshEvent::Mdns(event) => self.on_mdns(event),
            MeshEvent::Identify(event) => self.on_identify(event),
            MeshEvent::Ping(event) => self.on_ping(event),
            MeshEvent::Hello(event) => self.on_hello(event),
            MeshEvent::Status(event) => self.on_status(event),
            MeshEvent::Work(event) => self.on_work(event),
            MeshEvent::Blobs(stream) => self.on_stream(stream),
            MeshEvent::Gossip(event) => self.on_gossip(event),
            MeshEvent::Dialer(Undialled { peer, address, why }) => {
                self.events.push_back(Event::DialFailed { peer, address, why });
            }
            MeshEvent::Limits(never) | MeshEvent::Admission(never) => match never {},
        }
    }

    fn on_mdns(&mut self, event: mdns::Event) {
        let dialer = &mut self.swarm.behaviour_mut().dialer;
        match event {
            mdns::Event::Discovered(records) => {
                for (peer, address) in records {
                    if let Some(address) = dialer.seen(peer, &address) {
                        self.events.push_back(Event::Discovered { peer, address });
                    }
                }
                self.bound_multicast();
            }
            mdns::Event::Expired(records) => {
                records.iter().for_each(|(peer, address)| dialer.expired(*peer, address));
            }
        }
    }

    fn bound_multicast(&mut self) {
        if !flooded(&self.swarm.behaviour().mdns) {
            return;
        }
        tracing::warn!("too many multicast records: all are dropped and discovery starts afresh");
        let listening: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
        let local = *self.swarm.local_peer_id();
        self.swarm.behaviour_mut().mdns = afresh(local, listening.iter());
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id: peer, info, .. } = event else { return };
        let mut listens = info.listen_addrs;
        listens.retain(|address| !is_loopback(address));
        listens.truncate(ADDRESSES_PER_PEER_MAX);
        if self.trust.admits(&peer) {
            let dialer = &mut self.swarm.behaviour_mut().dialer;
            listens.iter().for_each(|address| dialer.told(peer, address));
        }
        self.peers.set_listens(&peer, listens);
        let agent: String = info.agent_version.chars().take(AGENT_MAX).collect();
        self.events.push_back(Event::Identified { peer, agent });
    }

    /// The library swallows the first failure in a row, so the one told here is the second.
    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(rtt) => self.peers.set_rtt(&event.peer, rtt),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::info!(peer = %event.peer, %error, "no answer to pings: the connection is closed");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_hello(&mut self, event: Exchange<HelloRequest, HelloResponse>) {
        match event {
            request_response::Event::Message {
                peer,
                message: Message::Request { request, channel, .. },
                ..
            } => {
                if !within(peer, &request) {
                    return;
                }
                self.swarm.behaviour_mut().admission.heard(peer, Instant::now());
                match &request {
                    HelloRequest::Hello(hello) => self.on_introduction(peer, hello),
                    HelloRequest::Goodbye => self.swarm.behaviour_mut().dialer.goodbye(peer),
                    HelloRequest::Revocations(_) | HelloRequest::FetchRevocations { .. } => {}
                }
                let reply = Reply { peer, channel };
                self.events.push_back(Event::Hello { peer, request, reply });
            }
            request_response::Event::Message {
                peer,
                message: Message::Response { request_id, response },
                ..
            } => {
                let Some(id) = self.hello.settle(&mut self.swarm.behaviour_mut().hello, request_id) else {
                    return;
                };
                if let Err(excess) = response.check() {
                    let why = Failure::BadAnswer(excess);
                    return self.events.push_back(Event::RequestFailed { peer, id, why });
                }
                if let HelloResponse::Hello(hello) = &response {
                    self.on_introduction(peer, hello);
                }
                self.events.push_back(Event::HelloAnswer { peer, id, answer: response });
            }
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                if let Some(id) = self.hello.settle(&mut self.swarm.behaviour_mut().hello, request_id) {
                    self.events.push_back(Event::RequestFailed { peer, id, why: failure(error) });
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a hello was not answered");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// The peer says what it lets this node do.
    fn on_introduction(&mut self, peer: PeerId, hello: &Hello) {
        let rights = Rights(hello.trust.0 & Rights::ALL.0);
        self.peers.set_trusts_us(&peer, rights);
        if self.peers.contains(&peer) {
            self.trust.set_theirs(peer, rights.any());
            if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
                gossip.wake(peer);
            }
        }
    }

    fn on_status(&mut self, event: Exchange<StatusRequest, StatusResponse>) {
        match event {
            request_response::Event::Message {
                peer,
                message: Message::Request { request, channel, .. },
                ..
            } => {
                if self.trust.admits(&peer) && within(peer, &request) {
                    let reply = Reply { peer, channel };
                    self.events.push_back(Event::Status { peer, request, reply });
                }
            }
            request_response::Event::Message {
                peer,
                message: Message::Response { request_id, response },
                ..
            } => {
                let protocol = self.swarm.behaviour_mut().status.inner_mut();
                let Some(id) = self.status.settle(protocol, request_id) else { return };
                self.events.push_back(match self.acceptable(&peer, &response) {
                    Ok(()) => Event::StatusAnswer { peer, id, answer: response },
                    Err(why) => Event::RequestFailed { peer, id, why },
                });
            }
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                let protocol = self.swarm.behaviour_mut().status.inner_mut();
                if let Some(id) = self.status.settle(protocol, request_id) {
                    self.events.push_back(Event::RequestFailed { peer, id, why: failure(error) });
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a status request was not answered");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_work(&mut self, event: Exchange<WorkRequest, WorkResponse>) {
        match event {
            request_response::Event::Message {
                peer,
                message: Message::Request { request, channel, .. },
                ..
            } => {
                if self.trust.admits(&peer) && within(peer, &request) {
                    let reply = Reply { peer, channel };
                    self.events.push_back(Event::Work { peer, request, reply });
                }
            }
            request_response::Event::Message {
                peer,
                message: Message::Response { request_id, response },
                ..
            } => {
                let protocol = self.swarm.behaviour_mut().work.inner_mut();
                let Some(id) = self.work.settle(protocol, request_id) else { return };
                self.events.push_back(match self.acceptable(&peer, &response) {
                    Ok(()) => Event::WorkAnswer { peer, id, answer: response },
                    Err(why) => Event::RequestFailed { peer, id, why },
                });
            }
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                let protocol = self.swarm.behaviour_mut().work.inner_mut();
                if let Some(id) = self.work.settle(protocol, request_id) {
                    self.events.push_back(Event::RequestFailed { peer, id, why: failure(error) });
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a work request was not answered");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_stream(&mut self, stream: BlobStream) {
        let peer = stream.peer();
        if self.trust.admits(&peer) {
            self.events.push_back(Event::BlobStream { peer, stream });
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source: from, message_id: message, message: content } => {
                if !self.budget.spend(from, Instant::now()) {
                    tracing::warn!(peer = %from, "announces too much: not listened to until it was quiet");
                    if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
                        gossip.inner_mut().blacklist_peer(&from);
                    }
                } else if self.trust.admits(&from) {
                    let id = GossipId { message, from };
                    self.events.push_back(Event::Gossip { from, id, bytes: content.data });
                }
            }
            gossipsub::Event::GossipsubNotSupported { peer_id: peer } => {
                tracing::info!(%peer, "no announcements with this peer; the exchange of digests goes on");
            }
            gossipsub::Event::SlowPeer { peer_id: peer, .. } => {
                tracing::debug!(%peer, "announcements were dropped");
            }
            gossipsub::Event::Subscribed { .. } | gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn acceptable(&self, peer: &PeerId, answer: &impl Check) -> Result<(), Failure> {
        if !self.trust.admits(peer) {
            return Err(Failure::NotTrusted);
        }
        answer.check().map_err(Failure::BadAnswer)
    }
}

/// Whether a request keeps its bounds. One that does not is dropped; the sender sees a broken stream.
fn within(peer: PeerId, request: &impl Check) -> bool {
    let checked = request.check();
    if let Err(excess) = &checked {
        tracing::debug!(%peer, %excess, "a request out of bounds was dropped");
    }
    checked.is_ok()
}

fn failure(error: OutboundFailure) -> Failure {
    match error {
        OutboundFailure::DialFailure => Failure::NotConnected,
        OutboundFailure::Timeout => Failure::TimedOut,
        OutboundFailure::ConnectionClosed => Failure::Closed,
        OutboundFailure::UnsupportedProtocols => Failure::NotAdmitted,
        OutboundFailure::Io(error) => Failure::Broken(error.to_string()),
    }
}
