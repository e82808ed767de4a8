//! Multicast discovery: set up, bounded, and set up anew after a flood.
//!
//! The library remembers every record for as long as the record itself says. Forged ones would make it grow without
//! end, so above a bound all of it is dropped and discovery starts afresh; honest nodes answer again at once.

use libp2p::core::transport::ListenerId;
use libp2p::swarm::behaviour::NewListenAddr;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{FromSwarm, NetworkBehaviour};
use libp2p::{Multiaddr, PeerId, mdns};

use super::{QUERY_INTERVAL, RECORD_LIFE};

/// Records the library may remember: far above 100 nodes with two addresses.
pub const RECORDS_MAX: usize = 1_024;

/// Multicast discovery, or none where it is not wanted or not possible.
pub(crate) type Multicast = Toggle<mdns::tokio::Behaviour>;

/// Starts discovery.
pub(crate) fn multicast(local: PeerId, wanted: bool) -> Multicast {
    if !wanted {
        return None.into();
    }
    let config = mdns::Config { ttl: RECORD_LIFE, query_interval: QUERY_INTERVAL, enable_ipv6: false };
    match mdns::tokio::Behaviour::new(config, local) {
        Ok(behaviour) => Some(behaviour).into(),
        Err(error) => {
            tracing::error!(%error, "no multicast: peers are found by fixed addresses only");
            None.into()
        }
    }
}

/// Whether it remembers more than it may.
pub(crate) fn flooded(multicast: &Multicast) -> bool {
    multicast.as_ref().is_some_and(|behaviour| behaviour.discovered_nodes().len() > RECORDS_MAX)
}

/// Starts discovery afresh, announcing the same addresses.
pub(crate) fn afresh<'a>(local: PeerId, listening: impl Iterator<Item = &'a Multiaddr>) -> Multicast {
    let mut multicast = multicast(local, true);
    for addr in listening {
        let listener_id = ListenerId::next();
        multicast.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
    }
    multicast
}
