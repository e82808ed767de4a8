//! The networks this host is on, so that a forged record cannot make it dial elsewhere.
//!
//! Watches the system's interfaces; where that is impossible every record is believed, since the dial caps and the
//! handshake still hold.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::task::{Context, Poll};

use if_watch::tokio::IfWatcher;
use if_watch::{IfEvent, IpNet};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::address::needs_scope;

/// The subnets of this host's interfaces.
pub struct Subnets {
    watcher: Option<IfWatcher>,
    nets: BTreeSet<IpNet>,
}

impl Subnets {
    /// Watches this host's interfaces.
    #[must_use]
    pub fn watch() -> Self {
        let watcher = IfWatcher::new();
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the interfaces cannot be watched; records of all subnets are believed");
        }
        Self { watcher: watcher.ok(), nets: BTreeSet::new() }
    }

    /// Believes every address.
    #[must_use]
    pub fn any() -> Self {
        Self { watcher: None, nets: BTreeSet::new() }
    }

    /// Whether the address is in one of the subnets and can be dialled.
    #[must_use]
    pub fn reach(&self, address: &Multiaddr) -> bool {
        let Some(ip) = address.iter().next().and_then(ip) else { return self.watcher.is_none() };
        usable(ip) && (self.watcher.is_none() || self.nets.iter().any(|net| net.contains(&ip)))
    }

    /// Takes note of interfaces that came and went; whether one came.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut came = false;
        while let Poll::Ready(Ok(event)) = watcher.poll_if_event(cx) {
            match event {
                IfEvent::Up(net) => came |= self.nets.insert(net),
                IfEvent::Down(net) => drop(self.nets.remove(&net)),
            }
        }
        came
    }
}

fn ip(part: Protocol<'_>) -> Option<IpAddr> {
    match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Whether an address can be dialled at all.
fn usable(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !needs_scope(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_own_subnets_are_reached() {
        let mut subnets = Subnets::watch();
        assert!(subnets.watcher.is_some());
        subnets.nets = BTreeSet::from(["192.168.7.1/24".parse().unwrap(), "fd77::1/64".parse().unwrap()]);
        let reach = |address: &str| subnets.reach(&address.parse().unwrap());
        assert!(reach("/ip4/192.168.7.9/tcp/1") && reach("/ip6/fd77::9/tcp/1"));
        assert!(!reach("/ip4/192.168.8.9/tcp/1") && !reach("/ip4/8.8.8.8/tcp/1"));
        assert!(!reach("/ip6/fe80::1/tcp/1") && !reach("/dns4/example/tcp/1"));
    }

    #[test]
    fn without_a_watcher_all_usable_addresses_are_believed() {
        let reach = |address: &str| Subnets::any().reach(&address.parse().unwrap());
        assert!(reach("/ip4/192.168.8.9/tcp/1") && reach("/memory/7"));
        assert!(!reach("/ip4/0.0.0.0/tcp/1") && !reach("/ip6/fe80::1/tcp/1"));
    }
}
