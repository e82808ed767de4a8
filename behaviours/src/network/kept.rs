//! A transport that keeps to some of the addresses it listens on.
//!
//! A listener of all addresses takes in those of the internet, too. What arrives at one that is not to be used is hung up
//! on before a byte of it is read, and the address is told to nobody: neither to the owner nor to other machines.

use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};

/// A transport of which only some addresses are used for listening. Dialling is as it was.
pub(super) struct Kept<T> {
    inner: T,
    keep: fn(&Multiaddr) -> bool,
}

impl<T> Kept<T> {
    /// Listens only where `keep` says so.
    pub(super) fn new(inner: T, keep: fn(&Multiaddr) -> bool) -> Self {
        Self { inner, keep }
    }

    fn uses<U, E>(&self, event: &TransportEvent<U, E>) -> bool {
        match event {
            TransportEvent::NewAddress { listen_addr, .. }
            | TransportEvent::AddressExpired { listen_addr, .. } => (self.keep)(listen_addr),
            TransportEvent::Incoming { local_addr, send_back_addr, .. } => {
                let used = (self.keep)(local_addr);
                if !used {
                    tracing::debug!(%local_addr, %send_back_addr, "hung up on: nobody listens there");
                }
                used
            }
            TransportEvent::ListenerClosed { .. } | TransportEvent::ListenerError { .. } => true,
        }
    }
}

impl<T: Transport + Unpin> Transport for Kept<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        self.inner.dial(address, opts)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        loop {
            match Pin::new(&mut self.inner).poll(cx) {
                Poll::Ready(event) if !self.uses(&event) => drop(event),
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use futures::StreamExt;
    use libp2p::multiaddr::Protocol;
    use libp2p::tcp;

    use super::*;

    /// Stands for all addresses but those of the internet.
    fn first_loopback(address: &Multiaddr) -> bool {
        address.iter().next() == Some(Protocol::Ip4([127, 0, 0, 1].into()))
    }

    #[tokio::test]
    async fn whoever_comes_to_an_address_that_is_not_used_is_hung_up_on_and_nobody_hears_of_it() {
        let mut transport = Kept::new(tcp::tokio::Transport::default(), first_loopback).boxed();
        transport.listen_on(ListenerId::next(), "/ip4/0.0.0.0/tcp/0".parse().unwrap()).unwrap();
        let listening = transport.select_next_some().await.into_new_address().expect("the first event");
        let Some(Protocol::Tcp(port)) = listening.iter().nth(1) else { panic!("{listening} has no port") };
        assert!(first_loopback(&listening), "no other address is told: {listening}");
        // The kernel takes both in before the transport is asked.
        let mut unused = TcpStream::connect(("127.0.0.2", port)).unwrap();
        let used = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (_, from) = transport.select_next_some().await.into_incoming().expect("one connection");
        let sent_from = from.iter().nth(1);
        assert_eq!(sent_from, Some(Protocol::Tcp(used.local_addr().unwrap().port())), "that of the one kept");
        let read = unused.read(&mut [0; 1]);
        assert!(matches!(read, Ok(0) | Err(_)), "the other was closed unread");
    }
}
