//! What a node decides about its network before it starts.

use std::time::Duration;

use libp2p::Multiaddr;

/// Bytes of a mesh name.
pub const MESH_NAME_MAX: usize = 64;
/// Bytes of an agent text.
pub const AGENT_MAX: usize = 128;

/// A peer dials only whom it has no connection with. So a new connection means that it lost the older ones, whether this
/// side noticed that or not; unless both dialled at once, which ends within this time but for machines that stand still.
const REPLACE_AFTER: Duration = Duration::from_secs(2);

/// Everything a [`super::Network`] needs to know.
pub struct NetworkConfig {
    /// The node's Ed25519 secret key.
    pub secret: [u8; 32],
    /// Nodes of differently named meshes cannot connect. Not a secret. At most [`MESH_NAME_MAX`] bytes.
    pub mesh: String,
    /// Where to listen, such as `/ip4/0.0.0.0/tcp/0`. Each must be possible, and a port nobody else's.
    pub listen: Vec<Multiaddr>,
    /// Whether to listen on any free port of this host's private, link-local and loopback addresses, as they come and go;
    /// others are not told of, and who connects there is hung up on. One address family is enough.
    pub local: bool,
    /// Peers to connect to besides those seen on the LAN, best with their `/p2p/` part. No host names.
    pub fixed: Vec<Multiaddr>,
    /// Whether to look for peers by multicast.
    pub mdns: bool,
    /// Whether to announce statements by gossip; without, the pairwise exchange alone spreads them.
    pub gossip: bool,
    /// Program, version and the node's name, as strangers may see them. At most [`AGENT_MAX`] bytes.
    pub agent: String,
    /// How old a connection is that a newer one of the same peer replaces.
    pub replace_after: Duration,
}

impl NetworkConfig {
    /// A node that listens nowhere and looks for nobody.
    #[must_use]
    pub fn new(secret: [u8; 32], mesh: impl Into<String>) -> Self {
        Self {
            secret,
            mesh: mesh.into(),
            listen: Vec::new(),
            local: false,
            fixed: Vec::new(),
            mdns: false,
            gossip: true,
            agent: format!("testmesh/{}", env!("CARGO_PKG_VERSION")),
            replace_after: REPLACE_AFTER,
        }
    }
}

impl std::fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkConfig")
            .field("mesh", &self.mesh)
            .field("listen", &self.listen)
            .field("local", &self.local)
            .field("fixed", &self.fixed)
            .field("mdns", &self.mdns)
            .field("gossip", &self.gossip)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// Why a network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The secret is no Ed25519 key.
    #[error("the node's key cannot be used: {0}")]
    Key(String),
    /// A text of the configuration is too long.
    #[error(transparent)]
    Excess(#[from] crate::check::Excess),
    /// A part of the swarm cannot be built.
    #[error("the {part} cannot be set up: {why}")]
    Part {
        /// Which part.
        part: &'static str,
        /// Its own reason.
        why: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {why}\nhint: is the port in use, or the address not this host's?")]
    Listen {
        /// Which address.
        address: Multiaddr,
        /// The system's reason.
        why: String,
    },
}
