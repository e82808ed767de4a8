//! Connecting: at once, again, and not to the wrong one.

use testmesh_behaviours::address::is_local;
use testmesh_behaviours::event::{DialFailure, Event};
use testmesh_behaviours::network::Network;
use testmesh_behaviours::status::hello::HelloRequest;

use crate::support::{address, config, connect, guarded, listening, name, nodes, outcome, until};

#[tokio::test]
async fn dialling_each_other_at_once_ends_connected() {
    guarded(async {
        for _ in 0..10 {
            let mut nodes = nodes(2).await;
            let [one, other] = [address(&nodes[0]), address(&nodes[1])];
            nodes[0].dial(&other);
            nodes[1].dial(&one);
            let mut open = vec![0, 1];
            until(&mut nodes, |index, _, event| {
                if matches!(event, Event::Connected { .. }) {
                    open.retain(|other| *other != index);
                }
                open.is_empty().then_some(())
            })
            .await;
            let there = nodes[0].say_hello(name(2), HelloRequest::FetchRevocations { after: None });
            assert_eq!(outcome(&mut nodes, 0, there).await, Ok(()));
            let back = nodes[1].say_hello(name(1), HelloRequest::FetchRevocations { after: None });
            assert_eq!(outcome(&mut nodes, 1, back).await, Ok(()));
        }
    })
    .await;
}

#[tokio::test]
async fn over_loopback_too() {
    guarded(async {
        let mut nodes = Vec::new();
        for number in 1..=2 {
            let mut config = config(number);
            config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
            nodes.push(listening(Network::new(config).unwrap()).await);
        }
        connect(&mut nodes, 0, 1).await;
        let said = nodes[0].say_hello(name(2), HelloRequest::FetchRevocations { after: None });
        assert_eq!(outcome(&mut nodes, 0, said).await, Ok(()));
    })
    .await;
}

#[tokio::test]
async fn a_fixed_peer_is_dialled_again_after_it_restarts() {
    guarded(async {
        let place: libp2p::Multiaddr = "/memory/72001".parse().unwrap();
        let mut fixed = config(2);
        fixed.listen = vec![place.clone()];
        let mut dialler = config(1);
        dialler.fixed = vec![place.clone()];
        let mut nodes = vec![Network::in_memory(dialler).unwrap()];
        // Nobody is there at first.
        until(&mut nodes, |_, _, event| matches!(event, Event::DialFailed { .. }).then_some(())).await;
        nodes.push(Network::in_memory(fixed).unwrap());
        let connected =
            |_: usize, _: &mut Network, event: &Event| matches!(event, Event::Connected { .. }).then_some(());
        until(&mut nodes, connected).await;
        let stopping = nodes.pop().unwrap();
        let gone = until(&mut nodes, |_, _, event| matches!(event, Event::Disconnected { .. }).then_some(()));
        tokio::join!(stopping.shutdown(), gone);
        let mut again = config(3);
        again.listen = vec![place];
        // The same place with another key: found by its address all the same.
        nodes.push(Network::in_memory(again).unwrap());
        let found = until(&mut nodes, |index, _, event| match event {
            Event::Connected { peer, .. } if index == 0 => Some(*peer),
            _ => None,
        });
        assert_eq!(found.await, name(3));
    })
    .await;
}

#[tokio::test]
async fn another_key_at_an_address_is_reported() {
    guarded(async {
        let mut nodes = nodes(2).await;
        let claimed = address(&nodes[1]).with_p2p(name(9)).unwrap();
        nodes[0].dial(&claimed);
        let why = until(&mut nodes, |_, _, event| match event {
            Event::DialFailed { peer, why, .. } => Some((*peer, why.clone())),
            _ => None,
        });
        assert_eq!(why.await, (Some(name(9)), DialFailure::WrongPeer(name(2))));
    })
    .await;
}

#[tokio::test]
async fn a_failed_dial_names_its_address_also_where_no_peer_is_known() {
    guarded(async {
        let mut nodes = nodes(1).await;
        let nowhere: libp2p::Multiaddr = "/memory/72002".parse().unwrap();
        nodes[0].dial(&nowhere);
        let failed = until(&mut nodes, |_, _, event| match event {
            Event::DialFailed { peer, address, .. } => Some((*peer, address.clone())),
            _ => None,
        });
        assert_eq!(failed.await, (None, Some(nowhere)));
    })
    .await;
}

#[tokio::test]
async fn an_admitted_peer_is_dialled_where_it_was_told_to_be() {
    guarded(async {
        let mut nodes = nodes(2).await;
        let there = address(&nodes[1]);
        nodes[0].admit(name(2));
        nodes[0].remember(name(2), &there);
        let met = until(&mut nodes, |index, _, event| match event {
            Event::Connected { peer, .. } if index == 0 => Some(*peer),
            _ => None,
        });
        assert_eq!(met.await, name(2));
        assert_eq!(nodes[0].addresses_of(name(2)), [there]);
    })
    .await;
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let mut long = config(1);
    long.mesh = "x".repeat(65);
    assert!(Network::in_memory(long).err().unwrap().to_string().contains("mesh name is 65"));
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named() {
    let mut config = config(1);
    config.listen = vec!["/dns4/example/tcp/1".parse().unwrap()];
    let refused = Network::new(config).err().unwrap().to_string();
    assert!(refused.contains("/dns4/example/tcp/1") && refused.contains("hint:"), "{refused}");
}

/// The kernel would deal connections out to both.
#[tokio::test]
async fn a_port_that_another_node_listens_on_is_in_use() {
    guarded(async {
        let mut first = config(1);
        first.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        let first = listening(Network::new(first).unwrap()).await;
        let mut second = config(2);
        second.listen = vec![address(&first)];
        let refused = Network::new(second).err().unwrap().to_string();
        assert!(refused.contains("in use") && refused.contains(&address(&first).to_string()), "{refused}");
        first.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn without_addresses_of_its_owner_a_node_keeps_to_the_local_network() {
    guarded(async {
        let mut config = config(1);
        (config.listen, config.local) = (Vec::new(), true);
        let node = listening(Network::new(config).unwrap()).await;
        let all = node.listen_addresses();
        assert!(!all.is_empty() && all.iter().all(is_local), "{all:?}");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_can_listen_nowhere_does_not_start() {
    let mut config = config(1);
    (config.listen, config.local) = (Vec::new(), true);
    // No address of the system is one of this transport.
    let refused = Network::in_memory(config).err().unwrap().to_string();
    assert!(refused.contains("cannot listen on /ip4/0.0.0.0/tcp/0"), "{refused}");
}

/// A node whose peer lost the connection, and dialled again before the node noticed, went on using the dead one.
#[tokio::test]
async fn a_peer_that_connects_anew_is_not_spoken_to_over_its_old_connection() {
    guarded(async {
        let mut patient = config(1);
        patient.replace_after = std::time::Duration::ZERO;
        let mut nodes = vec![listening(Network::in_memory(patient).unwrap()).await];
        nodes.push(Network::in_memory(config(2)).unwrap());
        connect(&mut nodes, 1, 0).await;
        // The peer's end of the old connection is there, but nobody answers on it any more.
        let silent = nodes.pop().unwrap();
        nodes.push(Network::in_memory(config(2)).unwrap());
        let place = address(&nodes[0]);
        nodes[1].dial(&place);
        let mut seen = Vec::new();
        until(&mut nodes, |index, _, event| {
            match event {
                Event::Disconnected { .. } if index == 0 => seen.push("lost"),
                Event::Connected { .. } => seen.push(if index == 0 { "there" } else { "here" }),
                _ => {}
            }
            (seen.len() == 3).then_some(())
        })
        .await;
        seen.retain(|what| *what != "here");
        assert_eq!(seen, ["lost", "there"]);
        assert_eq!(nodes[0].peers()[0].connections, 1);
        for _ in 0..4 {
            let said = nodes[0].say_hello(name(2), HelloRequest::FetchRevocations { after: None });
            assert_eq!(outcome(&mut nodes, 0, said).await, Ok(()));
        }
        drop(silent);
    })
    .await;
}
