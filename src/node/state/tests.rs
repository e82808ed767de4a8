//! One node, told what happens, without network or disk.

use std::sync::Arc;

use testmesh_behaviours::id::Digest;
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::identity::Identity;
use testmesh_keys::keyring::{Keyring, Seed};
use testmesh_keys::policy::Policy;

use super::super::exchange::{COMPARE_PEERS, revocation_messages};
use super::*;
use crate::local::wire::{self, Approve, Key, Reply, Request, Status, Who};

/// Seconds since the epoch when every test begins.
const EPOCH: u64 = 1_800_000_000;

fn identity(number: u8) -> Arc<Identity> {
    Arc::new(Identity::from_secret_bytes([number; 32]).unwrap())
}

fn key(number: u8) -> NodeKey {
    NodeKey::new(*identity(number).public().as_bytes())
}

/// Node 1, which knows nobody.
fn node(local: bool) -> State {
    let about = About {
        works: true,
        key: key(1),
        name: "one".to_owned(),
        version: "0".to_owned(),
        platform: Platform::default(),
        slots: 1,
        speed: 1000,
        tier: Tier::Contained,
        mesh: "test".to_owned(),
        mdns: Mdns::Off,
        local,
        pid: 1,
        home: String::new(),
        accept_unsandboxed: false,
        warnings: Vec::new(),
    };
    let seed = Seed { allowlist: Allowlist::empty(), policy: Policy::empty(), records: Vec::new() };
    State::new(about, Trust::new(Keyring::new(identity(1), seed, EPOCH)))
}

fn at(millis: u64) -> Now {
    Now { mono: Duration::from_millis(millis), unix: EPOCH + millis / 1000 }
}

fn ask(state: &mut State, request: Request, now: Now) -> Vec<Action> {
    state.handle(Event::Client { client: Client { id: 1, ask: 1 }, request }, now)
}

fn status(state: &mut State, now: Now) -> Status {
    match &ask(state, Request::Status, now)[..] {
        [Action::Tell(_, Reply::Status(status))] => (**status).clone(),
        other => panic!("no status: {other:?}"),
    }
}

fn connected(peer: NodeKey) -> Event {
    Event::Connected { peer, address: "/ip4/10.0.0.2/tcp/1".to_owned(), inbound: false }
}

fn failed(peer: Option<NodeKey>, why: &str) -> Event {
    Event::DialFailed { peer, address: "/ip4/10.0.0.2/tcp/1".to_owned(), why: why.to_owned() }
}

/// What a peer that trusts this node says; `digest` is that of its statements.
fn greeting(from: NodeKey, digest: Digest, revocations: Digest) -> Event {
    let hello = Hello {
        version: "0".to_owned(),
        name: "peer".to_owned(),
        digest,
        revocations,
        trust: Rights::ALL,
        platform: Platform::default(),
    };
    Event::HelloAnswer { from, purpose: Purpose::Greeting, answer: Ok(HelloResponse::Hello(hello)) }
}

/// Peers that are connected, trust this node and are trusted, and hold what it holds.
fn befriend(state: &mut State, peers: &[NodeKey]) {
    for peer in peers {
        let (who, rights) = (Who::Key(Key(peer.bytes())), wire::Rights::ALL);
        let approve =
            Approve { who, rights, depth: 3, label: None, name: String::new(), despite: Vec::new() };
        ask(state, Request::Approve(approve), at(0));
    }
    for peer in peers {
        state.handle(connected(*peer), at(0));
        let greeting = greeting(*peer, state.trust.digest(), state.trust.revocation_digest());
        state.handle(greeting, at(0));
    }
}

fn compared_with(actions: &[Action]) -> Vec<NodeKey> {
    let compared = |action: &Action| match action {
        Action::AskStatus { to, purpose: Purpose::Compare(None), .. } => Some(*to),
        _ => None,
    };
    actions.iter().filter_map(compared).collect()
}

fn greeted(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::SayHello { purpose: Purpose::Greeting, .. }))
}

#[test]
fn watchers_hear_of_everything_that_status_and_peers_show() {
    let mut state = node(true);
    ask(&mut state, Request::Watch, at(0));
    let mut told = |event: Event| {
        let actions = state.handle(event, at(1));
        let topics = actions.into_iter().filter_map(|action| match action {
            Action::Tell(_, Reply::Changed(topics)) => Some(topics),
            _ => None,
        });
        topics.flatten().collect::<Vec<Topic>>()
    };
    let (address, peer) = ("/ip4/10.0.0.1/tcp/1".to_owned(), key(2));
    assert_eq!(told(Event::Listening(address.clone())), [Topic::Status]);
    assert_eq!(told(Event::Discovered { peer, address: address.clone() }), [Topic::Peers]);
    assert_eq!(told(failed(Some(peer), "refused")), [Topic::Peers]);
    assert_eq!(told(failed(Some(peer), "refused")), [], "that is known");
    assert_eq!(told(failed(None, "refused")), [Topic::Status]);
    assert_eq!(told(connected(peer)), [Topic::Peers]);
    let nothing = Digest::new([0; 32]);
    assert_eq!(told(greeting(peer, nothing, nothing)), [Topic::Peers]);
    assert_eq!(told(greeting(peer, nothing, nothing)), [], "it said so before");
    assert_eq!(told(Event::Disconnected { peer, why: None }), [Topic::Peers]);
    assert_eq!(told(Event::ListenEnded(address)), [Topic::Status]);
}

#[test]
fn a_dial_of_nobody_known_that_failed_is_shown_until_it_works() {
    let mut state = node(false);
    state.handle(failed(None, "refused"), at(1_000));
    state.handle(failed(Some(key(7)), "refused"), at(2_000));
    let shown = status(&mut state, at(5_000)).unreached;
    assert_eq!(shown.len(), 1, "an address is remembered once");
    assert_eq!((shown[0].age, shown[0].why.as_str()), (3, "refused"));
    state.handle(connected(key(2)), at(6_000));
    assert_eq!(status(&mut state, at(6_000)).unreached, []);
}

#[test]
fn who_is_trusted_and_was_never_met_shows_why_it_is_not_reached() {
    let mut state = node(false);
    let who = Who::Key(Key(key(2).bytes()));
    let approve = Approve {
        who,
        rights: wire::Rights::ALL,
        depth: 3,
        label: None,
        name: String::new(),
        despite: Vec::new(),
    };
    ask(&mut state, Request::Approve(approve), at(0));
    state.handle(failed(Some(key(2)), "refused"), at(1));
    let peers = state.peer_list(at(2));
    assert_eq!((peers[0].trouble.as_deref(), peers[0].last_seen), (Some("refused"), None));
    assert!(state.seen_list(at(2)).is_empty(), "it gave no sign of life");
}

#[test]
fn a_node_that_nobody_can_reach_says_so_unless_its_owner_wants_it() {
    let warned = |local: bool, addresses: &[&str]| {
        let mut state = node(local);
        for address in addresses {
            state.handle(Event::Listening((*address).to_owned()), at(0));
        }
        status(&mut state, at(0)).warnings
    };
    let alone = ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip6/fe80::1/tcp/1"];
    assert!(warned(true, &alone)[0].starts_with("only this machine can connect"));
    assert_eq!(warned(false, &alone), [""; 0], "the settings say so");
    assert_eq!(warned(true, &["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"]), [""; 0]);
    assert!(warned(true, &[])[0].starts_with("nobody can connect"));
}

#[test]
fn a_push_without_answer_is_made_up_for_by_a_greeting() {
    let mut state = node(false);
    befriend(&mut state, &[key(2)]);
    assert!(!greeted(&state.handle(Event::Tick, at(6_000))), "it answered the last one");
    let answer = Err("no answer in time".to_owned());
    state.handle(Event::StatusAnswer { from: key(2), purpose: Purpose::Courtesy, answer }, at(6_100));
    assert!(greeted(&state.handle(Event::Tick, at(6_500))), "it carries our digest");
    let answer = Err("no answer in time".to_owned());
    state.handle(Event::HelloAnswer { from: key(2), purpose: Purpose::Courtesy, answer }, at(6_600));
    assert!(!greeted(&state.handle(Event::Tick, at(7_000))), "not again and again");
    assert!(greeted(&state.handle(Event::Tick, at(11_500))));
}

#[test]
fn equal_digests_need_no_comparison_and_others_do() {
    let mut state = node(false);
    befriend(&mut state, &[key(2)]);
    assert!(state.reconciled(&key(2)), "the greeting compared");
    let other = Digest::new([9; 32]);
    let actions = state.handle(greeting(key(2), other, state.trust.revocation_digest()), at(1));
    assert_eq!(compared_with(&actions), [key(2)]);
}

/// Else a large mesh falls silent for half a minute after each round of comparisons.
#[test]
fn in_a_large_mesh_comparisons_are_spread_and_everybody_has_a_turn() {
    let mut state = node(false);
    let peers: Vec<NodeKey> = (2..33).map(key).collect();
    befriend(&mut state, &peers);
    let mut met = BTreeSet::new();
    for five in 1..=8u64 {
        let mut now = Vec::new();
        for tick in 0..10 {
            // Nobody answers greetings here, and no comparison may wait for one.
            let moment = at(five * 5_000 + tick * 500);
            let actions = state.handle(Event::Tick, moment);
            let asked = compared_with(&actions);
            for from in &asked {
                let answer = Ok(StatusResponse::Same);
                state.handle(
                    Event::StatusAnswer { from: *from, purpose: Purpose::Compare(None), answer },
                    moment,
                );
            }
            now.extend(asked);
        }
        let most = if five == 1 { 2 * COMPARE_PEERS } else { COMPARE_PEERS } as usize;
        assert!((COMPARE_PEERS as usize..=most).contains(&now.len()), "{} in five seconds", now.len());
        met.extend(now);
    }
    assert_eq!(met.len(), peers.len());
}

#[test]
fn revocations_for_strangers_fill_messages_and_none_is_left_out() {
    let all: Vec<ByteBuf> = (0..130).map(|size| ByteBuf::from(vec![0; 500 + size % 80])).collect();
    let messages: Vec<_> = revocation_messages(&all).collect();
    assert!(messages.iter().all(|one| {
        testmesh_behaviours::check::Check::check(&HelloRequest::Revocations(one.clone())).is_ok()
    }));
    assert_eq!(messages.concat(), all);
    assert_eq!(revocation_messages(&[]).count(), 0);
}
