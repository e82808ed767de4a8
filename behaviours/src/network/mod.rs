//! The swarm and everything said through it, behind one handle.
//!
//! [`Network`] owns the swarm. Its owner calls [`Network::next`] in a loop and acts on the [`Event`]s; every other
//! method returns at once. It holds no opinion on trust: [`Network::admit`] and [`Network::expel`] are told from
//! outside. It never reads files, prints, or waits for its owner.

mod config;
mod kept;
mod lane;
mod peers;
mod port;
mod translate;
mod transport;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{MessageAcceptance, PublishError};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Config, Swarm};
use libp2p::{Multiaddr, PeerId};

pub use config::{AGENT_MAX, MESH_NAME_MAX, NetworkConfig, StartError};
pub use lane::WAITING_MAX;
pub use peers::PeerView;
pub use transport::{HANDSHAKE_TIMEOUT, SUBSTREAMS_MAX};

use crate::admission::Trust;
use crate::blobs::Opening;
use crate::check::{Check, most, text};
use crate::discovery::multicast::multicast;
use crate::event::{Acceptance, Event, Failure, GossipId, Reply, RequestId};
use crate::gossip::{ANNOUNCEMENT_MAX, Budget, topic};
use crate::mesh::Mesh;
use crate::status::hello::{self, HelloRequest, HelloResponse};
use crate::status::wire::{self as status, StatusRequest, StatusResponse};
use crate::work::message::{self as work, Refusal, WorkRequest, WorkResponse};
use lane::Lane;
use peers::Peers;

/// How long a node that stops waits for its goodbyes to be heard.
pub const GOODBYE_PATIENCE: Duration = Duration::from_millis(500);

/// One node's network.
pub struct Network {
    swarm: Swarm<Mesh>,
    listeners: Vec<ListenerId>,
    no_multicast: Option<String>,
    trust: Trust,
    peers: Peers,
    hello: Lane<HelloRequest>,
    status: Lane<StatusRequest>,
    work: Lane<WorkRequest>,
    budget: Budget,
    replace_after: Duration,
    /// Happened and not told yet; filled by one event of the swarm or one call at a time.
    events: VecDeque<Event>,
    requests: u64,
}

impl Network {
    /// Starts a node on TCP. Needs a tokio runtime.
    ///
    /// # Errors
    /// What of the configuration cannot be used, or which address cannot be listened on.
    pub fn new(config: NetworkConfig) -> Result<Self, StartError> {
        let keypair = keypair(&config)?;
        let transport = transport::over_tcp(&keypair, &config)?;
        Self::start(&keypair, &config, |mesh, config| {
            Swarm::new(transport, mesh, keypair.public().to_peer_id(), config)
        })
    }

    /// Starts a node that reaches only nodes of the same process, by `/memory/N` addresses.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn in_memory(config: NetworkConfig) -> Result<Self, StartError> {
        let keypair = keypair(&config)?;
        let transport = transport::in_memory(&keypair, &config.mesh)?;
        Self::start(&keypair, &config, |mesh, config| {
            Swarm::new(transport, mesh, keypair.public().to_peer_id(), config)
        })
    }

    fn start(
        keypair: &Keypair,
        config: &NetworkConfig,
        swarm: impl FnOnce(Mesh, Config) -> Swarm<Mesh>,
    ) -> Result<Self, StartError> {
        text("mesh name", &config.mesh, MESH_NAME_MAX)?;
        text("agent", &config.agent, AGENT_MAX)?;
        let trust = Trust::default();
        let (multicast, no_multicast) = multicast(keypair.public().to_peer_id(), config.mdns);
        let mesh = Mesh::new(keypair, config, &trust, multicast)?;
        // A standing mesh: only the ping and the gatekeeper end connections.
        let forever =
            Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(u64::MAX));
        let mut swarm = swarm(mesh, forever);
        let listeners = listen(&mut swarm, config)?;
        config.fixed.iter().for_each(|address| swarm.behaviour_mut().dialer.keep(address));
        Ok(Self {
            swarm,
            listeners,
            no_multicast,
            trust,
            peers: Peers::default(),
            hello: Lane::new(hello::STREAMS_MAX),
            status: Lane::new(status::STREAMS_MAX),
            work: Lane::new(work::STREAMS_MAX),
            budget: Budget::default(),
            replace_after: config.replace_after,
            events: VecDeque::new(),
            requests: 0,
        })
    }

    /// Waits for the next event. May be dropped and called again without losing one.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let event = self.swarm.select_next_some().await;
            self.on_swarm(event);
        }
    }

    /// This node.
    #[must_use]
    pub fn local_peer(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Where this node can be reached now.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.swarm.listeners().cloned().collect()
    }

    /// Why nobody is looked for by multicast although that is wanted; the system's reason.
    #[must_use]
    pub fn no_multicast(&self) -> Option<&str> {
        self.no_multicast.as_deref()
    }

    /// Everybody connected, in the order of their names.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerView> {
        self.peers.views(|peer| self.trust.admits(peer))
    }

    /// Where a peer was seen or reached, for telling others.
    #[must_use]
    pub fn addresses_of(&self, peer: PeerId) -> Vec<Multiaddr> {
        self.swarm.behaviour().dialer.addresses(peer)
    }

    /// The peer is trusted from now on, also on connections that exist; it is dialled where an address is known.
    pub fn admit(&mut self, peer: PeerId) {
        if !self.trust.admit(peer) {
            return;
        }
        let listens = self.peers.listens(&peer);
        let mesh = self.swarm.behaviour_mut();
        mesh.admission.promote(peer);
        mesh.status.promote(peer);
        mesh.work.promote(peer);
        mesh.blobs.promote(peer);
        if let Some(gossip) = mesh.gossip.as_mut() {
            gossip.promote(peer);
        }
        mesh.dialer.admitted(peer);
        listens.iter().for_each(|address| mesh.dialer.told(peer, address));
    }

    /// The peer is a stranger from now on: its streams and connections close.
    pub fn expel(&mut self, peer: PeerId) {
        if !self.trust.expel(&peer) {
            return;
        }
        self.budget.forget(&peer);
        let mesh = self.swarm.behaviour_mut();
        mesh.dialer.expelled(peer);
        mesh.admission.close(peer);
        self.abandon(peer, &Failure::NotTrusted);
    }

    /// As [`Network::expel`], and it may not even connect.
    pub fn block(&mut self, peer: PeerId) {
        self.expel(peer);
        self.swarm.behaviour_mut().admission.block(peer);
    }

    /// It may connect again, as a stranger.
    pub fn unblock(&mut self, peer: PeerId) {
        self.swarm.behaviour_mut().admission.unblock(&peer);
    }

    /// Dials an address once; only those of the configuration are kept up.
    pub fn dial(&mut self, address: &Multiaddr) {
        self.swarm.behaviour_mut().dialer.dial(address);
    }

    /// A trusted peer told where somebody can be reached.
    pub fn remember(&mut self, peer: PeerId, address: &Multiaddr) {
        self.swarm.behaviour_mut().dialer.told(peer, address);
    }

    /// Says something to anybody connected. The outcome is an event.
    pub fn say_hello(&mut self, peer: PeerId, request: HelloRequest) -> RequestId {
        let id = self.request_id();
        let sent = request
            .check()
            .map_err(Failure::from)
            .and_then(|()| self.reachable(peer))
            .and_then(|()| self.hello.submit(&mut self.swarm.behaviour_mut().hello, peer, id, request));
        self.unless_sent(peer, id, sent)
    }

    /// Answers a [`Event::Hello`].
    pub fn answer_hello(&mut self, reply: Reply<HelloResponse>, answer: HelloResponse) {
        let answer = within(reply.peer, answer, HelloResponse::Refused);
        // The asker may be gone; there is nobody to tell then.
        let _ = self.swarm.behaviour_mut().hello.send_response(reply.channel, answer);
    }

    /// Asks a trusted, connected peer. The outcome is an event.
    pub fn ask_status(&mut self, peer: PeerId, request: StatusRequest) -> RequestId {
        let id = self.request_id();
        let sent = request.check().map_err(Failure::from).and_then(|()| self.trusted(peer)).and_then(|()| {
            self.status.submit(self.swarm.behaviour_mut().status.inner_mut(), peer, id, request)
        });
        self.unless_sent(peer, id, sent)
    }

    /// Answers a [`Event::Status`], where its asker is still trusted.
    pub fn answer_status(&mut self, reply: Reply<StatusResponse>, answer: StatusResponse) {
        if self.trust.admits(&reply.peer) {
            let answer = within(reply.peer, answer, StatusResponse::Refused);
            let _ = self.swarm.behaviour_mut().status.inner_mut().send_response(reply.channel, answer);
        }
    }

    /// Sends to a trusted, connected peer. The outcome is an event.
    pub fn send_work(&mut self, peer: PeerId, request: WorkRequest) -> RequestId {
        let id = self.request_id();
        let sent =
            request.check().map_err(Failure::from).and_then(|()| self.trusted(peer)).and_then(|()| {
                self.work.submit(self.swarm.behaviour_mut().work.inner_mut(), peer, id, request)
            });
        self.unless_sent(peer, id, sent)
    }

    /// Answers a [`Event::Work`], where its asker is still trusted.
    pub fn answer_work(&mut self, reply: Reply<WorkResponse>, answer: WorkResponse) {
        if self.trust.admits(&reply.peer) {
            let answer = within(reply.peer, answer, |why| WorkResponse::Refused(Refusal::Unable(why)));
            let _ = self.swarm.behaviour_mut().work.inner_mut().send_response(reply.channel, answer);
        }
    }

    /// Tells all trusted neighbours; they pass it on once they judged it. Lossy by nature; nothing where gossip is off.
    ///
    /// # Errors
    /// [`Failure::TooLarge`] or [`Failure::Broken`]; that nobody listens is none.
    pub fn announce(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        most("announcement", bytes.len(), ANNOUNCEMENT_MAX)?;
        let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() else { return Ok(()) };
        match gossip.inner_mut().publish(topic(), bytes) {
            Ok(_) | Err(PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => Ok(()),
            Err(error) => Err(Failure::Broken(error.to_string())),
        }
    }

    /// Says what becomes of a [`Event::Gossip`]; within ten seconds, or it is forgotten.
    pub fn judge_gossip(&mut self, id: &GossipId, acceptance: Acceptance) {
        let acceptance = match acceptance {
            Acceptance::Accept => MessageAcceptance::Accept,
            Acceptance::Ignore => MessageAcceptance::Ignore,
            Acceptance::Reject => MessageAcceptance::Reject,
        };
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
            gossip.inner_mut().report_message_validation_result(&id.message, &id.from, acceptance);
        }
    }

    /// Opens a stream to a trusted, connected peer. The network must be driven meanwhile.
    pub fn open_blob(&mut self, peer: PeerId) -> Opening {
        match self.trusted(peer) {
            Ok(()) => self.swarm.behaviour_mut().blobs.inner_mut().open(peer),
            Err(why) => Opening::failed(why),
        }
    }

    /// Says goodbye, closes every connection and ends; takes at most [`GOODBYE_PATIENCE`].
    pub async fn shutdown(mut self) {
        let farewell = async {
            self.events.clear();
            for listener in std::mem::take(&mut self.listeners) {
                self.swarm.remove_listener(listener);
            }
            let peers = self.peers.all();
            let mut goodbyes: Vec<RequestId> =
                peers.iter().map(|peer| self.say_hello(*peer, HelloRequest::Goodbye)).collect();
            while !goodbyes.is_empty() {
                match self.next().await {
                    Event::HelloAnswer { id, .. } | Event::RequestFailed { id, .. } => {
                        goodbyes.retain(|other| *other != id);
                    }
                    _ => {}
                }
            }
            for peer in peers {
                // Gone already is as good.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            while self.swarm.network_info().num_peers() > 0 {
                self.next().await;
            }
        };
        if tokio::time::timeout(GOODBYE_PATIENCE, farewell).await.is_err() {
            tracing::debug!("not every goodbye was heard");
        }
    }

    fn request_id(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn reachable(&self, peer: PeerId) -> Result<(), Failure> {
        if self.swarm.is_connected(&peer) { Ok(()) } else { Err(Failure::NotConnected) }
    }

    fn trusted(&self, peer: PeerId) -> Result<(), Failure> {
        if self.trust.admits(&peer) { self.reachable(peer) } else { Err(Failure::NotTrusted) }
    }

    fn unless_sent(&mut self, peer: PeerId, id: RequestId, sent: Result<(), Failure>) -> RequestId {
        if let Err(why) = sent {
            self.events.push_back(Event::RequestFailed { peer, id, why });
        }
        id
    }

    /// Fails what still waits for a peer.
    fn abandon(&mut self, peer: PeerId, why: &Failure) {
        let waiting = [self.hello.abandon(peer), self.status.abandon(peer), self.work.abandon(peer)].concat();
        for id in waiting {
            self.events.push_back(Event::RequestFailed { peer, id, why: why.clone() });
        }
    }
}

/// An answer that breaks a bound would be cut off on the way: a refusal goes instead.
fn within<R: Check>(peer: PeerId, answer: R, refusal: impl FnOnce(String) -> R) -> R {
    match answer.check() {
        Ok(()) => answer,
        Err(excess) => {
            tracing::error!(%peer, %excess, "an answer of this node is out of bounds");
            refusal(excess.to_string())
        }
    }
}

/// Listens where the configuration says.
fn listen(swarm: &mut Swarm<Mesh>, config: &NetworkConfig) -> Result<Vec<ListenerId>, StartError> {
    let fault = |address: &Multiaddr, why: String| StartError::Listen { address: address.clone(), why };
    // All of them first: what is listened on already would be in the way of the next.
    for address in &config.listen {
        port::is_free(address).map_err(|error| fault(address, error.to_string()))?;
    }
    let mut at =
        |address: &Multiaddr| swarm.listen_on(address.clone()).map_err(|why| fault(address, why.to_string()));
    let mut listeners = config.listen.iter().map(&mut at).collect::<Result<Vec<_>, _>>()?;
    if config.local {
        let every = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let every = every.map(|ip: IpAddr| Multiaddr::from(ip).with(Protocol::Tcp(0)));
        listeners.extend(any_of(every.iter().map(at))?);
    }
    Ok(listeners)
}

/// What worked, where anything did: a kernel may lack a family of addresses.
fn any_of<T>(tried: impl Iterator<Item = Result<T, StartError>>) -> Result<Vec<T>, StartError> {
    let (mut worked, mut failed) = (Vec::new(), None);
    for one in tried {
        match one {
            Ok(one) => worked.push(one),
            Err(error) => {
                tracing::info!(%error, "not listening there");
                failed.get_or_insert(error);
            }
        }
    }
    match failed {
        Some(error) if worked.is_empty() => Err(error),
        _ => Ok(worked),
    }
}

fn keypair(config: &NetworkConfig) -> Result<Keypair, StartError> {
    Keypair::ed25519_from_bytes(config.secret).map_err(|error| StartError::Key(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(why: &str) -> StartError {
        StartError::Listen { address: Multiaddr::empty(), why: why.to_owned() }
    }

    #[test]
    fn one_family_of_addresses_is_enough_and_none_is_an_error() {
        let tried = [Ok(4), Err(fault("no IPv6 here"))];
        assert_eq!(any_of(tried.into_iter()).unwrap(), [4]);
        let tried: [Result<u8, _>; 2] = [Err(fault("first")), Err(fault("second"))];
        assert!(any_of(tried.into_iter()).unwrap_err().to_string().contains("first"));
    }
}
