//! Who may speak which protocol: every relation, and its change on a live connection.

use futures::AsyncReadExt;
use testmesh_behaviours::admission::STRANGERS_MAX;
use testmesh_behaviours::event::{DialFailure, Event, Failure};
use testmesh_behaviours::network::Network;
use testmesh_behaviours::status::hello::{HelloRequest, Rights};
use testmesh_behaviours::status::wire::StatusRequest;
use testmesh_behaviours::work::message::{RunId, WorkRequest};

use crate::gossip::announce_until;
use crate::support::{
    address, befriend, config, connect, guarded, hello, key, listening, name, nodes, outcome, until,
};

/// How node 0 fares with node 1 in every protocol: hello, status, work, blobs.
async fn all_protocols(nodes: &mut [Network]) -> [Result<(), Failure>; 4] {
    let peer = nodes[1].local_peer();
    let said = nodes[0].say_hello(peer, HelloRequest::FetchRevocations { after: None });
    let said = outcome(nodes, 0, said).await;
    let asked = nodes[0].ask_status(peer, StatusRequest::View);
    let asked = outcome(nodes, 0, asked).await;
    let sent = nodes[0].send_work(peer, WorkRequest::RunClose(RunId(1)));
    let sent = outcome(nodes, 0, sent).await;
    let mut opening = nodes[0].open_blob(peer);
    let opened = tokio::select! {
        opened = &mut opening => opened.map(drop),
        () = until(nodes, |_, _, _| None) => unreachable!(),
    };
    [said, asked, sent, opened]
}

/// What two connected nodes are to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Relation {
    /// Neither trusts the other.
    Stranger,
    /// Node 0 approved node 1, which has not answered that.
    Pending,
    /// Node 1 approved node 0, which has not answered that.
    Awaited,
    /// They trusted each other until node 1 learned of a denial; node 0 has not.
    Denied,
    /// They trust each other, node 1 at the end of a path: its vouches count for nothing, its work does.
    Leaf,
    /// They trust each other.
    Trusted,
}

impl Relation {
    const ALL: [Self; 6] =
        [Self::Stranger, Self::Pending, Self::Awaited, Self::Denied, Self::Leaf, Self::Trusted];

    /// Does what the state of each node would have its network do.
    async fn enter(self, nodes: &mut [Network]) {
        match self {
            Self::Stranger => {}
            Self::Pending => nodes[0].admit(name(2)),
            Self::Awaited => nodes[1].admit(name(1)),
            // How far a vouch carries is a matter of the closure: who is in it has every protocol.
            Self::Leaf | Self::Trusted => befriend(nodes, 0, 1).await,
            Self::Denied => {
                befriend(nodes, 0, 1).await;
                nodes[1].expel(name(1));
                let parted = |index, event: &Event| index == 0 && matches!(event, Event::Disconnected { .. });
                until(nodes, |index, _, event| parted(index, event).then_some(())).await;
                connect(nodes, 0, 1).await;
            }
        }
    }

    /// What everything but a hello meets.
    fn refusal(self) -> Option<Failure> {
        match self {
            Self::Stranger | Self::Awaited => Some(Failure::NotTrusted),
            Self::Pending | Self::Denied => Some(Failure::NotAdmitted),
            Self::Leaf | Self::Trusted => None,
        }
    }
}

/// The matrix: hello, status, work, blobs and gossip with each relation.
#[tokio::test]
async fn every_relation_opens_its_protocols_and_no_other() {
    for relation in Relation::ALL {
        guarded(async {
            let mut nodes = nodes(2).await;
            connect(&mut nodes, 0, 1).await;
            relation.enter(&mut nodes).await;
            let others = relation.refusal().map_or(Ok(()), Err);
            let expected = [Ok(()), others.clone(), others.clone(), others];
            assert_eq!(all_protocols(&mut nodes).await, expected, "{relation:?}");
            if relation.refusal().is_none() {
                assert_eq!(announce_until(&mut nodes, 1).await, [(1, name(1))], "{relation:?}");
            } else {
                assert!(!hears_before_a_hello(&mut nodes).await, "{relation:?} was told by gossip");
            }
        })
        .await;
    }
}

/// Whether node 1 is told what node 0 announces before the answer to a hello that was said after it.
async fn hears_before_a_hello(nodes: &mut [Network]) -> bool {
    nodes[0].announce(b"announcement".to_vec()).unwrap();
    let said = nodes[0].say_hello(name(2), HelloRequest::FetchRevocations { after: None });
    until(nodes, |index, _, event| match event {
        Event::Gossip { .. } if index == 1 => Some(true),
        Event::HelloAnswer { id, .. } if *id == said => Some(false),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn trust_opens_everything_on_the_live_connection() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        nodes[0].admit(name(2));
        assert_eq!(all_protocols(&mut nodes).await[1], Err(Failure::NotAdmitted));
        befriend(&mut nodes, 0, 1).await;
        assert_eq!(all_protocols(&mut nodes).await, [const { Ok(()) }; 4]);
        let view = &nodes[0].peers()[0];
        assert_eq!((view.connections, view.trusted, view.trusts_us), (1, true, Rights::ALL));
    })
    .await;
}

#[tokio::test]
async fn trust_known_before_the_connection_opens_everything_too() {
    guarded(async {
        let mut nodes = nodes(2).await;
        nodes[0].admit(name(2));
        nodes[1].admit(name(1));
        connect(&mut nodes, 0, 1).await;
        assert_eq!(all_protocols(&mut nodes).await, [const { Ok(()) }; 4]);
    })
    .await;
}

#[tokio::test]
async fn losing_trust_ends_streams_and_connection_and_leaves_a_stranger() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        befriend(&mut nodes, 0, 1).await;
        let opening = nodes[0].open_blob(name(2));
        let mut theirs = None;
        let opened = {
            let stream = until(&mut nodes, |_, _, event| match event {
                Event::BlobStream { peer, .. } => Some(*peer),
                _ => None,
            });
            tokio::join!(opening, stream)
        };
        assert_eq!(opened.1, name(1));
        let mut ours = opened.0.unwrap();
        nodes[1].expel(name(1));
        let gone = until(&mut nodes, |index, _, event| match event {
            Event::Disconnected { peer, .. } => {
                theirs = Some(*peer);
                (index == 0).then_some(())
            }
            _ => None,
        });
        gone.await;
        assert!(theirs.is_some());
        assert!(matches!(ours.read(&mut [0; 8]).await, Ok(0) | Err(_)), "a stream outlived trust");
        connect(&mut nodes, 0, 1).await;
        assert_eq!(all_protocols(&mut nodes).await[..2], [Ok(()), Err(Failure::NotAdmitted)]);
    })
    .await;
}

#[tokio::test]
async fn a_blocked_peer_loses_its_connection_and_gets_no_other() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        nodes[1].block(name(1));
        let mut gone = 0;
        until(&mut nodes, |_, _, event| {
            gone += usize::from(matches!(event, Event::Disconnected { .. }));
            (gone == 2).then_some(())
        })
        .await;
        let there = address(&nodes[1]);
        nodes[0].dial(&there);
        // The dialler sees a connection for a moment, the other side none at all.
        until(&mut nodes, |index, _, event| match event {
            Event::Connected { .. } => {
                assert_eq!(index, 0, "the blocked peer was let in");
                None
            }
            Event::Disconnected { .. } => Some(()),
            _ => None,
        })
        .await;
        let back = address(&nodes[0]).with_p2p(name(1)).unwrap();
        nodes[1].dial(&back);
        let why = until(&mut nodes, |index, _, event| match event {
            Event::DialFailed { why, .. } if index == 1 => Some(why.clone()),
            _ => None,
        });
        assert!(matches!(why.await, DialFailure::Denied(_)));
        nodes[1].unblock(name(1));
        connect(&mut nodes, 0, 1).await;
    })
    .await;
}

#[tokio::test]
async fn other_meshes_cannot_connect() {
    guarded(async {
        let mut nodes = nodes(1).await;
        let mut other = config(2);
        other.mesh = "another".to_owned();
        nodes.push(listening(Network::in_memory(other).unwrap()).await);
        let there = address(&nodes[1]);
        nodes[0].dial(&there);
        let failed = until(&mut nodes, |_, _, event| match event {
            Event::Connected { .. } => Some(false),
            Event::DialFailed { why: DialFailure::Unreachable(_), .. } => Some(true),
            _ => None,
        });
        assert!(failed.await, "two meshes met");
    })
    .await;
}

#[tokio::test]
async fn two_hundred_strangers_take_sixteen_places_and_none_of_the_trusted() {
    use futures::StreamExt;
    use libp2p::core::{Transport, transport::MemoryTransport, upgrade::Version};
    use libp2p::swarm::{Config, Swarm, SwarmEvent, dummy};
    guarded(async {
        let mut nodes = nodes(1).await;
        let there = address(&nodes[0]);
        let dialler = |number: u8| {
            let key = key(number);
            let noise = libp2p::noise::Config::new(&key).unwrap().with_prologue(b"testmesh/1:test".to_vec());
            let transport = MemoryTransport::default().upgrade(Version::V1).authenticate(noise);
            let transport = transport.multiplex(libp2p::yamux::Config::default()).boxed();
            let config = Config::with_tokio_executor()
                .with_idle_connection_timeout(std::time::Duration::from_secs(u64::MAX));
            let mut swarm = Swarm::new(transport, dummy::Behaviour, key.public().to_peer_id(), config);
            swarm.dial(there.clone()).unwrap();
            swarm
        };
        let mut crowd: futures::stream::SelectAll<_> = (50..250).map(dialler).collect();
        let mut sent_away = 0;
        while sent_away < 200 - STRANGERS_MAX {
            tokio::select! {
                _ = nodes[0].next() => {}
                Some(event) = crowd.next() => sent_away += usize::from(matches!(
                    event,
                    SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. }
                )),
            }
            assert!(nodes[0].peers().len() <= STRANGERS_MAX);
        }
        nodes.push(listening(Network::in_memory(config(2)).unwrap()).await);
        nodes[0].admit(name(2));
        nodes[1].admit(name(1));
        connect(&mut nodes, 1, 0).await;
        befriend(&mut nodes, 1, 0).await;
        let asked = nodes[1].ask_status(name(1), StatusRequest::View);
        assert_eq!(outcome(&mut nodes, 1, asked).await, Ok(()));
    })
    .await;
}

#[tokio::test]
async fn a_node_that_stops_says_goodbye() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        let leaving = nodes.pop().unwrap();
        let mut said = false;
        let gone = until(&mut nodes, |_, _, event| {
            said |= matches!(event, Event::Hello { request: HelloRequest::Goodbye, .. });
            matches!(event, Event::Disconnected { .. }).then_some(())
        });
        tokio::join!(leaving.shutdown(), gone);
        assert!(said);
    })
    .await;
}

#[tokio::test]
async fn what_breaks_a_bound_is_not_sent() {
    use testmesh_behaviours::status::hello::{HelloResponse, WORD_MAX};
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        let mut long = hello(Rights::NONE);
        long.name = "x".repeat(WORD_MAX + 1);
        let said = nodes[0].say_hello(name(2), HelloRequest::Hello(long));
        assert!(matches!(outcome(&mut nodes, 0, said).await, Err(Failure::TooLarge(_))));
        nodes[0].say_hello(name(2), HelloRequest::Hello(hello(Rights::NONE)));
        let reply = loop {
            let (one, other) = nodes.split_at_mut(1);
            tokio::select! {
                _ = one[0].next() => {}
                event = other[0].next() => if let Event::Hello { reply, .. } = event { break reply },
            }
        };
        nodes[1].answer_hello(reply, HelloResponse::Refused("x".repeat(10_000)));
        let answer = until(&mut nodes, |_, _, event| match event {
            Event::HelloAnswer { answer, .. } => Some(answer.clone()),
            _ => None,
        });
        assert_eq!(answer.await, HelloResponse::Refused("refusal is 10000, at most 256 allowed".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn what_is_said_of_trust_is_seen_by_both() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        let said = nodes[0].say_hello(name(2), HelloRequest::Hello(hello(Rights::SUBMIT)));
        assert_eq!(outcome(&mut nodes, 0, said).await, Ok(()));
        assert_eq!(nodes[1].peers()[0].trusts_us, Rights::SUBMIT);
        assert_eq!(nodes[0].peers()[0].trusts_us, Rights::NONE);
        assert!(!nodes[1].peers()[0].trusted, "their trust became ours");
    })
    .await;
}
