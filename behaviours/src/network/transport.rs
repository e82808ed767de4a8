//! How bytes travel: TCP, or the memory of one process, both behind Noise and yamux.
//!
//! QUIC is left out on purpose: on a LAN it costs twice the CPU a byte, doubles the program and adds a second
//! connection a peer. The mesh name goes into the handshake, so nodes of other meshes cannot connect.

use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, MemoryTransport, Transport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise, tcp, yamux};

use super::kept::Kept;
use super::{NetworkConfig, StartError};
use crate::address::is_local;

/// From the first packet to the proven key.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Substreams of one connection: all protocols' bounds together stay below.
pub const SUBSTREAMS_MAX: usize = 512;
/// What stands before the mesh name in the handshake.
const PROLOGUE: &str = "testmesh/1:";

type Secured = Boxed<(PeerId, StreamMuxerBox)>;

/// The transport of a node.
pub(super) fn over_tcp(keypair: &Keypair, config: &NetworkConfig) -> Result<Secured, StartError> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    if config.local {
        secure(Kept::new(tcp, is_local), keypair, &config.mesh)
    } else {
        secure(tcp, keypair, &config.mesh)
    }
}

/// The transport of a node in a simulation or test.
pub(super) fn in_memory(keypair: &Keypair, mesh: &str) -> Result<Secured, StartError> {
    secure(MemoryTransport::default(), keypair, mesh)
}

fn secure<T>(transport: T, keypair: &Keypair, mesh: &str) -> Result<Secured, StartError>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let noise = noise::Config::new(keypair)
        .map_err(|error| StartError::Part { part: "encryption", why: error.to_string() })?
        .with_prologue(format!("{PROLOGUE}{mesh}").into_bytes());
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(SUBSTREAMS_MAX);
    Ok(transport
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(HANDSHAKE_TIMEOUT)
        .boxed())
}
