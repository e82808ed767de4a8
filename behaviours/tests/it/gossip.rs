//! Announcements: passed on only when judged, and only among those that trust each other.

use std::time::Duration;

use testmesh_behaviours::event::{Acceptance, Event, Failure};
use testmesh_behaviours::gossip::ANNOUNCEMENT_MAX;
use testmesh_behaviours::network::Network;
use testmesh_behaviours::status::hello::HelloRequest;

use crate::support::{answer, befriend, connect, guarded, name, nodes, outcome, until};

/// Node 0 announces until node `at` was told, which `judge` does not stop; who else was told what by whom.
pub(crate) async fn announce_until(nodes: &mut [Network], at: usize) -> Vec<(usize, libp2p::PeerId)> {
    let mut told = Vec::new();
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let mut number = 0u32;
    while !told.iter().any(|(index, _)| *index == at) {
        let all = nodes.iter_mut().map(|node| Box::pin(node.next()));
        let next = tokio::select! {
            // Subscriptions arrive a little after the connection: what is announced before has no audience.
            _ = again.tick() => None,
            (event, index, _) = futures::future::select_all(all) => Some((event, index)),
        };
        match next {
            None => {
                number += 1;
                nodes[0].announce(format!("announcement {number}").into_bytes()).unwrap();
            }
            Some((Event::Gossip { from, id, bytes }, index)) => {
                assert!(bytes.starts_with(b"announcement"));
                told.push((index, from));
                nodes[index].judge_gossip(&id, Acceptance::Accept);
            }
            Some((event, index)) => answer(&mut nodes[index], event),
        }
    }
    told
}

#[tokio::test]
async fn announcements_reach_friends_of_friends_but_no_stranger() {
    guarded(async {
        // 0 - 1 - 2 are friends in a row; 3 is a stranger to 0 and 1, whom it trusts itself.
        let mut nodes = nodes(4).await;
        for (from, to) in [(0, 1), (1, 2), (3, 0), (3, 1)] {
            connect(&mut nodes, from, to).await;
        }
        befriend(&mut nodes, 0, 1).await;
        befriend(&mut nodes, 1, 2).await;
        nodes[3].admit(name(1));
        nodes[3].admit(name(2));
        let told = announce_until(&mut nodes, 2).await;
        assert!(told.contains(&(1, name(1))) && told.contains(&(2, name(2))));
        // What a hello brings now was sent after the announcements.
        let said = nodes[0].say_hello(name(4), HelloRequest::FetchRevocations { after: None });
        let later = until(&mut nodes, |index, _, event| match event {
            Event::Gossip { .. } if index == 3 => Some(false),
            Event::HelloAnswer { id, .. } if *id == said => Some(true),
            _ => None,
        });
        assert!(later.await && told.iter().all(|(index, _)| *index != 3), "a stranger was told");
    })
    .await;
}

#[tokio::test]
async fn gossip_starts_when_trust_becomes_mutual_on_a_live_connection() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        // One side trusts and would open its stream at once; that must not spoil the connection.
        nodes[0].admit(name(2));
        let said = nodes[0].say_hello(name(2), HelloRequest::FetchRevocations { after: None });
        assert_eq!(outcome(&mut nodes, 0, said).await, Ok(()));
        nodes[0].announce(b"nobody hears this".to_vec()).unwrap();
        befriend(&mut nodes, 0, 1).await;
        assert_eq!(announce_until(&mut nodes, 1).await, [(1, name(1))]);
        assert_eq!(nodes[0].peers()[0].connections, 1);
    })
    .await;
}

#[tokio::test]
async fn an_announcement_has_a_bound() {
    let mut nodes = nodes(1).await;
    let refused = nodes[0].announce(vec![0; ANNOUNCEMENT_MAX + 1]);
    assert!(matches!(refused, Err(Failure::TooLarge(_))));
    assert_eq!(nodes[0].announce(vec![0; ANNOUNCEMENT_MAX]), Ok(()));
}
