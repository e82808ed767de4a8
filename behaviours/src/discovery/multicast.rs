//! Multicast discovery: set up, bounded, and set up anew after a flood.
//!
//! The library remembers every record for as long as the record itself says. Forged ones would make it grow without
//! end, so above a bound all of it is dropped and discovery starts afresh; honest nodes answer again at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use libp2p::core::transport::ListenerId;
use libp2p::swarm::behaviour::NewListenAddr;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{FromSwarm, NetworkBehaviour};
use libp2p::{Multiaddr, PeerId, mdns};
use socket2::{Domain, Socket, Type};

use super::{QUERY_INTERVAL, RECORD_LIFE};

/// Records the library may remember: far above 100 nodes with two addresses.
pub const RECORDS_MAX: usize = 1_024;

/// The port of multicast DNS.
const PORT: u16 = 5353;

/// Multicast discovery, or none where it is not wanted or not possible.
pub(crate) type Multicast = Toggle<mdns::tokio::Behaviour>;

/// Starts discovery where it is wanted; why not, where that fails: then peers are found by fixed addresses only.
pub(crate) fn multicast(local: PeerId, wanted: bool) -> (Multicast, Option<String>) {
    if !wanted {
        return (None.into(), None);
    }
    let config = mdns::Config { ttl: RECORD_LIFE, query_interval: QUERY_INTERVAL, enable_ipv6: false };
    match share_port(PORT).and_then(|()| mdns::tokio::Behaviour::new(config, local)) {
        Ok(behaviour) => (Some(behaviour).into(), None),
        Err(error) => {
            tracing::error!(%error, "no multicast: peers are found by fixed addresses only");
            (None.into(), Some(error.to_string()))
        }
    }
}

/// Binds the port for a moment as the library does, which only logs it where that fails and does not try again.
fn share_port(port: u16) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    let bound = socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into());
    bound.map_err(|error| io::Error::new(error.kind(), format!("UDP port {port}: {error}")))
}

/// Whether it remembers more than it may.
pub(crate) fn flooded(multicast: &Multicast) -> bool {
    multicast.as_ref().is_some_and(|behaviour| behaviour.discovered_nodes().len() > RECORDS_MAX)
}

/// Starts discovery afresh, announcing the same addresses.
pub(crate) fn afresh<'a>(local: PeerId, listening: impl Iterator<Item = &'a Multiaddr>) -> Multicast {
    let (mut multicast, _) = multicast(local, true);
    for addr in listening {
        let listener_id = ListenerId::next();
        multicast.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
    }
    multicast
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_port_that_somebody_keeps_to_himself_is_noticed() {
        let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let why = share_port(port).unwrap_err().to_string();
        assert!(why.contains(&format!("UDP port {port}")), "{why}");
        drop(taken);
        share_port(port).unwrap();
    }
}
