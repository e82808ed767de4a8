//! Nodes that talk to each other within one process, and driving them until something happened.

use std::future::Future;
use std::time::Duration;

use futures::future::select_all;
use libp2p::identity::Keypair;
use testmesh_behaviours::event::{Event, RequestId};
use testmesh_behaviours::id::Digest;
use testmesh_behaviours::network::{Network, NetworkConfig};
use testmesh_behaviours::status::hello::{Hello, HelloRequest, HelloResponse, Platform, Rights};
use testmesh_behaviours::status::wire::{Load, StatusResponse};
use testmesh_behaviours::work::message::WorkResponse;
use testmesh_behaviours::{Multiaddr, PeerId};

pub(crate) const MESH: &str = "test";

/// A guard against a test that hangs; nothing depends on it.
pub(crate) async fn guarded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("nothing happened for a minute")
}

pub(crate) fn key(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).unwrap()
}

pub(crate) fn name(number: u8) -> PeerId {
    key(number).public().to_peer_id()
}

pub(crate) fn config(number: u8) -> NetworkConfig {
    let mut config = NetworkConfig::new([number; 32], MESH);
    config.listen = vec!["/memory/0".parse().unwrap()];
    config
}

/// Nodes 1 to `count`, listening in memory.
pub(crate) async fn nodes(count: u8) -> Vec<Network> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        nodes.push(listening(Network::in_memory(config(number)).unwrap()).await);
    }
    nodes
}

pub(crate) async fn listening(mut network: Network) -> Network {
    loop {
        if let Event::Listening { .. } = network.next().await {
            return network;
        }
    }
}

pub(crate) fn address(network: &Network) -> Multiaddr {
    network.listen_addresses().first().expect("listening").clone()
}

pub(crate) fn hello(trust: Rights) -> Hello {
    Hello {
        version: "1".to_owned(),
        name: "node".to_owned(),
        digest: Digest::new([1; 32]),
        revocations: Digest::new([2; 32]),
        trust,
        platform: Platform::default(),
    }
}

/// Drives all nodes until `found` finds what it looks for; requests it leaves are answered.
pub(crate) async fn until<T>(
    nodes: &mut [Network],
    mut found: impl FnMut(usize, &mut Network, &Event) -> Option<T>,
) -> T {
    loop {
        let all = nodes.iter_mut().map(|node| Box::pin(node.next()));
        let (event, index, _) = select_all(all).await;
        if let Some(result) = found(index, &mut nodes[index], &event) {
            return result;
        }
        answer(&mut nodes[index], event);
    }
}

/// Answers as a node with nothing to say would.
pub(crate) fn answer(network: &mut Network, event: Event) {
    match event {
        Event::Hello { peer, request: HelloRequest::Hello(_), reply } => {
            let trusts = network.peers().iter().any(|view| view.peer == peer && view.trusted);
            let rights = if trusts { Rights::ALL } else { Rights::NONE };
            network.answer_hello(reply, HelloResponse::Hello(hello(rights)));
        }
        Event::Hello { reply, .. } => network.answer_hello(reply, HelloResponse::Noted),
        Event::Status { reply, .. } => network.answer_status(reply, StatusResponse::Load(Load::default())),
        Event::Work { reply, .. } => network.answer_work(reply, WorkResponse::Done),
        _ => {}
    }
}

/// Drives until a request of node `asker` has its answer (true) or its failure (false).
pub(crate) async fn outcome(
    nodes: &mut [Network],
    asker: usize,
    request: RequestId,
) -> Result<(), testmesh_behaviours::event::Failure> {
    until(nodes, |index, _, event| match event {
        Event::HelloAnswer { id, .. } | Event::StatusAnswer { id, .. } | Event::WorkAnswer { id, .. }
            if index == asker && *id == request =>
        {
            Some(Ok(()))
        }
        Event::RequestFailed { id, why, .. } if index == asker && *id == request => Some(Err(why.clone())),
        _ => None,
    })
    .await
}

/// Connects two nodes, whatever they think of each other.
pub(crate) async fn connect(nodes: &mut [Network], from: usize, to: usize) {
    let address = address(&nodes[to]);
    nodes[from].dial(&address);
    let mut open = vec![from, to];
    until(nodes, |index, _, event| {
        if matches!(event, Event::Connected { .. }) {
            open.retain(|other| *other != index);
        }
        open.is_empty().then_some(())
    })
    .await;
}

/// Makes two connected nodes trust each other and say so.
pub(crate) async fn befriend(nodes: &mut [Network], one: usize, other: usize) {
    let names = [nodes[one].local_peer(), nodes[other].local_peer()];
    nodes[one].admit(names[1]);
    nodes[other].admit(names[0]);
    let said = nodes[one].say_hello(names[1], HelloRequest::Hello(hello(Rights::ALL)));
    assert_eq!(outcome(nodes, one, said).await, Ok(()));
}
