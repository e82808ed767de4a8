//! The composed behaviour: one field a role.
//!
//! The order of the fields is meaning: who may refuse a connection stands first, so that a refusal leaves no trace in
//! the others, and small urgent roles stand before large ones.

use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::request_response::cbor::codec::Codec;
use libp2p::request_response::{Config, ProtocolSupport, cbor};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, identify, ping};

use crate::admission::gate::Gated;
use crate::admission::{Admission, Trust};
use crate::blobs::Streams;
use crate::discovery::multicast::Multicast;
use crate::discovery::{Dialer, Subnets};
use crate::gossip::{Gossip, gossip};
use crate::network::{NetworkConfig, StartError};
use crate::status::{hello, wire as status};
use crate::work::message as work;

/// Connections in all.
pub const CONNECTIONS_MAX: u32 = 320;
/// Connections others made: leaves room for those this node makes.
pub const INCOMING_MAX: u32 = 256;
/// Connections with one peer: two from dialling each other at once, and one while a dead one is not noticed yet.
pub const PER_PEER_MAX: u32 = 3;
/// Handshakes under way that others began.
pub const PENDING_INCOMING_MAX: u32 = 64;
/// Handshakes under way that this node began.
pub const PENDING_OUTGOING_MAX: u32 = 32;
/// How often a connection is tested. TCP alone does not notice a pulled cable. A node with many peers does little else
/// while it is idle; a run notices a silent peer by itself, and sooner.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long a test may take.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The family of protocols, as identify tells it.
pub const IDENTIFY: &str = "/testmesh/1";
/// How often identify repeats itself.
const IDENTIFY_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// From sending a hello to its answer: it is answered from memory.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// From sending a status request to its answer.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
/// From sending a work request to its answer; no job runs within. Longer, because results may wait behind a blob.
pub const WORK_TIMEOUT: Duration = Duration::from_secs(20);

/// Hello between any peers.
pub(crate) type HelloProtocol = cbor::Behaviour<hello::HelloRequest, hello::HelloResponse>;
/// Status between trusted peers.
pub(crate) type StatusProtocol = cbor::Behaviour<status::StatusRequest, status::StatusResponse>;
/// Work between trusted peers.
pub(crate) type WorkProtocol = cbor::Behaviour<work::WorkRequest, work::WorkResponse>;

/// Everything one node says and hears.
#[derive(NetworkBehaviour)]
pub(crate) struct Mesh {
    /// How many connections there may be at all.
    pub(crate) limits: connection_limits::Behaviour,
    /// Who may connect, and how long a stranger may stay.
    pub(crate) admission: Admission,
    /// Who announces itself on the LAN; off where multicast is not wanted or not possible.
    pub(crate) mdns: Multicast,
    /// Who is dialled when.
    pub(crate) dialer: Dialer,
    /// What program a peer runs. Claimed.
    pub(crate) identify: identify::Behaviour,
    /// Whether a connection is alive, and its round trip.
    pub(crate) ping: ping::Behaviour,
    /// Status, what anybody may say: introduction, direct trust, revocations.
    pub(crate) hello: HelloProtocol,
    /// Status, what trusted peers may say: statements, load, views.
    pub(crate) status: Gated<StatusProtocol>,
    /// Work: offers, results, cancellations.
    pub(crate) work: Gated<WorkProtocol>,
    /// Blobs: streams of content.
    pub(crate) blobs: Gated<Streams>,
    /// Status, announcements: digests and small statements; off where the owner wants none.
    pub(crate) gossip: Toggle<Gated<Gossip>>,
}

fn limits() -> connection_limits::Behaviour {
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_INCOMING_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUTGOING_MAX))
        .with_max_established_incoming(Some(INCOMING_MAX))
        .with_max_established_per_peer(Some(PER_PEER_MAX))
        .with_max_established(Some(CONNECTIONS_MAX));
    connection_limits::Behaviour::new(limits)
}

/// A request-response protocol with its bounds.
macro_rules! protocol {
    ($wire:ident, $timeout:expr) => {
        cbor::Behaviour::with_codec(
            Codec::default()
                .set_request_size_maximum($wire::REQUEST_MAX)
                .set_response_size_maximum($wire::RESPONSE_MAX),
            [(StreamProtocol::new($wire::PROTOCOL), ProtocolSupport::Full)],
            Config::default().with_request_timeout($timeout).with_max_concurrent_streams($wire::STREAMS_MAX),
        )
    };
}

impl Mesh {
    /// All roles of one node, gated by `trust`.
    ///
    /// # Errors
    /// Which part cannot be set up.
    pub(crate) fn new(
        keypair: &Keypair,
        config: &NetworkConfig,
        trust: &Trust,
        mdns: Multicast,
    ) -> Result<Self, StartError> {
        let identify = identify::Config::new(IDENTIFY.to_owned(), keypair.public())
            .with_agent_version(config.agent.clone())
            .with_interval(IDENTIFY_INTERVAL)
            .with_cache_size(0);
        let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
        let gossip = config.gossip.then(|| gossip(keypair)).transpose();
        let gossip = gossip.map_err(|why| StartError::Part { part: "gossip", why })?;
        let subnets = if config.mdns { Subnets::watch() } else { Subnets::any() };
        Ok(Self {
            limits: limits(),
            admission: Admission::new(trust.clone()),
            mdns,
            dialer: Dialer::new(keypair.public().to_peer_id(), subnets),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            hello: protocol!(hello, HELLO_TIMEOUT),
            status: Gated::new(protocol!(status, STATUS_TIMEOUT), trust.clone()),
            work: Gated::new(protocol!(work, WORK_TIMEOUT), trust.clone()),
            blobs: Gated::new(Streams::default(), trust.clone()),
            gossip: gossip.map(|gossip| Gated::holding(gossip, trust.clone())).into(),
        })
    }
}
