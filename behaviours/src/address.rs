//! Which addresses a node can use, and which stay on the local network.

use std::net::{IpAddr, SocketAddr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// Why nobody can be dialled at an address; none where one can try. The words follow "it".
#[must_use]
pub fn undialable(address: &Multiaddr) -> Option<&'static str> {
    let mut rest = address.iter();
    let socket = match socket(&mut rest) {
        Ok(socket) => socket,
        Err(why) => return Some(why),
    };
    let ip = socket.ip();
    match (rest.next(), rest.next()) {
        (Some(Protocol::P2p(_)) | None, None) => {}
        _ => return Some("goes on behind the port: only /p2p/KEY may follow"),
    }
    if ip.is_unspecified() || ip.is_multicast() || socket.port() == 0 {
        Some("is no place of one machine")
    } else if needs_scope(ip) {
        Some("is link-local IPv6, which no multiaddress ties to an interface: use another of its addresses")
    } else {
        None
    }
}

/// Why an address cannot be listened on; none where one can try. The words follow "it".
#[must_use]
pub fn unlistenable(address: &Multiaddr) -> Option<&'static str> {
    let mut rest = address.iter();
    match socket(&mut rest) {
        Err(why) => Some(why),
        Ok(_) if rest.next().is_some() => Some("goes on behind the port"),
        Ok(socket) if needs_scope(socket.ip()) => {
            Some("is link-local IPv6, which no multiaddress ties to an interface: use /ip6/::")
        }
        Ok(_) => None,
    }
}

/// The socket address that an address begins with.
fn socket<'a>(parts: &mut impl Iterator<Item = Protocol<'a>>) -> Result<SocketAddr, &'static str> {
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => {
            return Err("is a host name, and nodes look up none: use /ip4/ or /ip6/");
        }
        _ => return Err("does not begin with /ip4/ or /ip6/"),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err("has no /tcp/ port, and nodes speak nothing else"),
    }
}

/// The socket address of an address of this transport.
pub(crate) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    socket(&mut address.iter()).ok()
}

/// Whether an address is private, link-local or of this host alone, so that nobody outside reaches it. Shared addresses
/// of providers (100.64.0.0/10) are not.
#[must_use]
pub fn is_local(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
        _ => false,
    }
}

/// Whether an address reaches this host alone.
#[must_use]
pub fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

/// Whether other machines can dial an address of this one.
#[must_use]
pub fn reaches_others(address: &Multiaddr) -> bool {
    let scoped = socket_address(address).is_some_and(|socket| needs_scope(socket.ip()));
    !is_loopback(address) && !scoped
}

/// Link-local IPv6 needs a scope that an address cannot carry.
pub(crate) fn needs_scope(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_stays_on_the_network_is_local() {
        let local = ["10.1.2.3", "172.16.0.1", "192.168.1.7", "169.254.3.4", "127.0.0.1", "127.9.9.9"];
        let local6 = ["fd77::1", "fe80::1", "::1"];
        let public = ["8.8.4.4", "172.32.0.1", "100.64.0.1", "192.0.2.1", "0.0.0.0"];
        let public6 = ["2001:db8::1", "::", "ff02::1", "::ffff:10.0.0.1"];
        let v4 = |ip: &str| is_local(&address(&format!("/ip4/{ip}/tcp/1")));
        let v6 = |ip: &str| is_local(&address(&format!("/ip6/{ip}/tcp/1")));
        assert!(local.into_iter().all(v4) && local6.into_iter().all(v6));
        assert!(!public.into_iter().any(v4) && !public6.into_iter().any(v6));
        assert!(!is_local(&address("/memory/7")));
        let reached = |text: &str| reaches_others(&address(text));
        assert!(reached("/ip4/10.0.0.1/tcp/1") && reached("/ip6/fd77::1/tcp/1"));
        assert!(
            !reached("/ip4/127.0.0.1/tcp/1") && !reached("/ip6/::1/tcp/1") && !reached("/ip6/fe80::1/tcp/1")
        );
    }

    #[test]
    fn what_the_transport_cannot_do_is_named() {
        let key = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        for good in ["/ip4/10.0.0.1/tcp/1", "/ip6/fd77::1/tcp/1", &format!("/ip4/10.0.0.1/tcp/1/p2p/{key}")] {
            assert_eq!(undialable(&address(good)), None, "{good}");
        }
        for (bad, why) in [
            ("/dns4/desk/tcp/1", "host name"),
            ("/ip4/10.0.0.1/udp/1/quic-v1", "/tcp/"),
            ("/ip4/10.0.0.1", "/tcp/"),
            ("/memory/7", "begin with"),
            ("/ip4/10.0.0.1/tcp/1/ws", "behind the port"),
            ("/ip4/0.0.0.0/tcp/1", "no place"),
            ("/ip4/10.0.0.1/tcp/0", "no place"),
            ("/ip6/fe80::1/tcp/1", "link-local"),
        ] {
            assert!(undialable(&address(bad)).is_some_and(|said| said.contains(why)), "{bad}");
        }
        for good in ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/4917"] {
            assert_eq!(unlistenable(&address(good)), None, "{good}");
        }
        for bad in ["/dns4/desk/tcp/1", "/ip4/0.0.0.0/tcp/1/ws", "/ip6/fe80::1/tcp/1", "/ip4/0.0.0.0/udp/1"] {
            assert!(unlistenable(&address(bad)).is_some(), "{bad}");
        }
    }
}
