//! Whether a port is free.
//!
//! The transport lets its listeners share a port, so a second node with the same address would start as well, and the
//! kernel would deal connections out to either of them.

use std::io;
use std::net::SocketAddr;

use libp2p::Multiaddr;
use socket2::{Domain, Socket, Type};

use crate::address::socket_address;

/// Tries to listen at an address for a moment as nobody else may.
///
/// # Errors
/// The system's: somebody listens there, or this host has no such address.
pub(super) fn is_free(address: &Multiaddr) -> io::Result<()> {
    match socket_address(address) {
        Some(socket) if socket.port() != 0 => try_alone(socket),
        // Other transports, and ports of which any will do.
        _ => Ok(()),
    }
}

fn try_alone(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a node that has just ended are in nobody's way.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}
