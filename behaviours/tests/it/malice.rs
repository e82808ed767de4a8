//! A trusted peer that sends what no honest one would: refused, and nobody else is the worse for it.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::{Transport, transport::MemoryTransport, upgrade::Version};
use libp2p::request_response::{self, Codec, Config, Message, ProtocolSupport};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{StreamProtocol, noise, yamux};
use testmesh_behaviours::event::Event;
use testmesh_behaviours::network::Network;
use testmesh_behaviours::status::wire::{FETCH_MAX, PROTOCOL, REQUEST_MAX, StatusRequest};
use testmesh_behaviours::{PeerId, id::StatementId};

use crate::support::{address, answer, befriend, connect, guarded, key, name, nodes, outcome};

/// Sends bytes as they are.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> std::io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await.map(|_| bytes)
    }

    async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> std::io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read_request(protocol, io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> std::io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> std::io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write_request(protocol, io, bytes).await
    }
}

type Hostile = Swarm<request_response::Behaviour<Raw>>;

/// Node 9, trusted by whoever it meets, with a tongue of its own.
fn hostile() -> Hostile {
    let key = key(9);
    let noise = noise::Config::new(&key).unwrap().with_prologue(b"testmesh/1:test".to_vec());
    let transport = MemoryTransport::default().upgrade(Version::V1).authenticate(noise);
    let transport = transport.multiplex(yamux::Config::default()).boxed();
    let protocol = (StreamProtocol::new(PROTOCOL), ProtocolSupport::Full);
    let behaviour = request_response::Behaviour::new([protocol], Config::default());
    let config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(std::time::Duration::from_secs(u64::MAX));
    Swarm::new(transport, behaviour, key.public().to_peer_id(), config)
}

/// What the hostile peer gets for its bytes: an answer or none. Node 0 must not be bothered by anything else.
async fn send(hostile: &mut Hostile, nodes: &mut [Network], bytes: Vec<u8>) -> Option<Vec<u8>> {
    let sent = hostile.behaviour_mut().send_request(&name(1), bytes);
    loop {
        tokio::select! {
            event = nodes[0].next() => answer(&mut nodes[0], event),
            event = hostile.select_next_some() => match event {
                SwarmEvent::Behaviour(request_response::Event::Message {
                    message: Message::Response { request_id, response }, ..
                }) if request_id == sent => return Some(response).filter(|bytes| !bytes.is_empty()),
                SwarmEvent::Behaviour(request_response::Event::OutboundFailure { request_id, .. })
                    if request_id == sent => return None,
                _ => {}
            },
        }
    }
}

async fn meet(hostile: &mut Hostile, nodes: &mut [Network]) {
    nodes[0].admit(name(9));
    hostile.dial(address(&nodes[0])).unwrap();
    let (mut here, mut there) = (false, false);
    while !(here && there) {
        tokio::select! {
            event = nodes[0].next() => here |= matches!(event, Event::Connected { .. }),
            event = hostile.select_next_some() => {
                there |= matches!(event, SwarmEvent::ConnectionEstablished { .. });
            }
        }
    }
}

fn encoded(request: &StatusRequest) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), request).unwrap()
}

#[tokio::test]
async fn oversized_truncated_and_nested_messages_are_refused_and_others_served() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        befriend(&mut nodes, 0, 1).await;
        let mut hostile = hostile();
        meet(&mut hostile, &mut nodes).await;
        let good = encoded(&StatusRequest::View);
        assert!(
            send(&mut hostile, &mut nodes, good.clone()).await.is_some(),
            "an honest request was refused"
        );

        let ids = |count: usize| encoded(&StatusRequest::Fetch(vec![StatementId::new([1; 32]); count]));
        assert!(send(&mut hostile, &mut nodes, ids(FETCH_MAX)).await.is_some());
        let mut huge_count = vec![0xa1, 0x65];
        huge_count.extend_from_slice(b"Fetch\x9b\xff\xff\xff\xff\xff\xff\xff\xff");
        let hostile_bytes = [
            ids(FETCH_MAX + 1),
            ids(usize::try_from(REQUEST_MAX).unwrap() / 30),
            good[..good.len() - 1].to_vec(),
            Vec::new(),
            vec![0x81; 200_000],
            vec![0xbf; 200_000],
            vec![0x9f; 200_000],
            vec![0xd8; 200_000],
            huge_count,
            vec![0xff; 64],
        ];
        for bytes in hostile_bytes {
            let start = bytes.iter().take(8).copied().collect::<Vec<_>>();
            assert_eq!(send(&mut hostile, &mut nodes, bytes).await, None, "answered {start:x?}");
        }
        assert!(send(&mut hostile, &mut nodes, good).await.is_some(), "the connection itself is fine");

        let asked = nodes[1].ask_status(name(1), StatusRequest::View);
        assert_eq!(outcome(&mut nodes, 1, asked).await, Ok(()));
    })
    .await;
}

#[tokio::test]
async fn a_stranger_with_a_tongue_of_its_own_is_not_even_read() {
    guarded(async {
        let mut nodes = nodes(1).await;
        let mut hostile = hostile();
        meet(&mut hostile, &mut nodes).await;
        nodes[0].expel(name(9));
        // Thrown out; comes back as a stranger and asks all the same.
        loop {
            tokio::select! {
                event = nodes[0].next() => if matches!(event, Event::Disconnected { .. }) { break },
                _ = hostile.select_next_some() => {}
            }
        }
        while hostile.is_connected(&name(1)) {
            hostile.select_next_some().await;
        }
        hostile.dial(address(&nodes[0])).unwrap();
        while !hostile.is_connected(&PeerId::from(key(1).public())) {
            tokio::select! {
                _ = nodes[0].next() => {}
                _ = hostile.select_next_some() => {}
            }
        }
        let sent = hostile.behaviour_mut().send_request(&name(1), encoded(&StatusRequest::View));
        let refused = loop {
            tokio::select! {
                event = nodes[0].next() => assert!(!matches!(event, Event::Status { .. }), "a stranger was read"),
                event = hostile.select_next_some() => {
                    if let SwarmEvent::Behaviour(request_response::Event::OutboundFailure { request_id, error, .. })
                        = event && request_id == sent { break error }
                }
            }
        };
        assert!(matches!(refused, request_response::OutboundFailure::UnsupportedProtocols));
    })
    .await;
}

#[tokio::test]
async fn an_answer_out_of_bounds_is_a_failure() {
    use testmesh_behaviours::event::Failure;
    use testmesh_behaviours::status::wire::StatusResponse;
    guarded(async {
        let mut nodes = nodes(1).await;
        let mut hostile = hostile();
        meet(&mut hostile, &mut nodes).await;
        let long = StatusResponse::Refused("x".repeat(10_000));
        let long = cbor4ii::serde::to_vec(Vec::new(), &long).unwrap();
        nodes[0].ask_status(name(9), StatusRequest::View);
        let why = loop {
            tokio::select! {
                event = nodes[0].next() => if let Event::RequestFailed { why, .. } = event { break why },
                event = hostile.select_next_some() => {
                    if let SwarmEvent::Behaviour(request_response::Event::Message {
                        message: Message::Request { channel, .. }, ..
                    }) = event {
                        hostile.behaviour_mut().send_response(channel, long.clone()).unwrap();
                    }
                }
            }
        };
        assert!(matches!(why, Failure::BadAnswer(_)), "{why}");
    })
    .await;
}
