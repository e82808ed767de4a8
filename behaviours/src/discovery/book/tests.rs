//! The book under orderly and hostile hands.

use proptest::prelude::*;

use super::*;

fn peer(number: u8) -> PeerId {
    let key = libp2p::identity::Keypair::ed25519_from_bytes([number; 32]).unwrap();
    key.public().to_peer_id()
}

fn at(number: u64) -> Multiaddr {
    format!("/memory/{number}").parse().unwrap()
}

/// Two peers, the one with the lower name first.
fn pair() -> (PeerId, PeerId) {
    let (one, other) = (peer(1), peer(2));
    if one < other { (one, other) } else { (other, one) }
}

fn cases() -> u32 {
    std::env::var("TESTMESH_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

#[test]
fn the_lower_name_dials_at_once_and_the_higher_after_its_head_start() {
    let (low, high) = pair();
    let start = Instant::now();
    let mut book = Book::new(low);
    assert!(book.heard(high, at(1), start));
    let order = Order { target: Target::Peer(high), addresses: vec![at(1)] };
    assert_eq!(book.next(start), Some(order));
    assert_eq!(book.next(start), None, "one dial at a time");

    let mut book = Book::new(high);
    assert!(book.heard(low, at(1), start));
    assert_eq!(book.next(start + HEAD_START - Duration::from_millis(1)), None);
    assert!(book.next_due(start).unwrap() <= start + 2 * HEAD_START);
    assert!(book.next(start + 2 * HEAD_START).is_some());
}

#[test]
fn who_connects_meanwhile_is_not_dialled() {
    let (low, high) = pair();
    let start = Instant::now();
    let mut book = Book::new(high);
    book.heard(low, at(1), start);
    book.connected(low, None, start);
    assert_eq!(book.next(start + 10 * HEAD_START), None);
    assert_eq!(book.next_due(start), None);
}

#[test]
fn a_stranger_is_tried_thrice_and_a_trusted_peer_for_ever() {
    let (low, high) = pair();
    let mut now = Instant::now();
    let mut book = Book::new(low);
    book.heard(high, at(1), now);
    for _ in 0..STRANGER_TRIES {
        now += LONGEST_PAUSE;
        assert!(book.next(now).is_some());
        book.failed(&Target::Peer(high), &Fault::Unreachable, now);
    }
    assert!(book.is_empty(), "a stranger that never answered is forgotten");
    book.admitted(high, now);
    book.heard(high, at(1), now);
    for _ in 0..20 {
        now += 2 * LONGEST_PAUSE;
        assert!(book.next(now).is_some());
        book.failed(&Target::Peer(high), &Fault::Unreachable, now);
    }
}

#[test]
fn pauses_grow_and_end_with_a_connection_that_lasts() {
    let (low, high) = pair();
    let mut now = Instant::now();
    let mut book = Book::new(low);
    book.admitted(high, now);
    book.heard(high, at(1), now);
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        assert!(book.next(now).is_some());
        book.connected(high, Some((&Target::Peer(high), &at(1))), now);
        // The other side does not trust us yet and sends us away.
        now += SHORT / 2;
        book.disconnected(high, now);
        let pause = book.next_due(now).unwrap() - now;
        assert!(pause > last, "{pause:?} after {last:?}");
        (last, now) = (pause, now + pause);
    }
    assert!(book.next(now).is_some());
    book.connected(high, Some((&Target::Peer(high), &at(1))), now);
    now += 2 * SHORT;
    book.disconnected(high, now);
    assert!(book.next_due(now).unwrap() - now < FIRST_PAUSE);
}

#[test]
fn approval_makes_a_known_peer_due_at_once() {
    let (low, high) = pair();
    let now = Instant::now();
    let mut book = Book::new(low);
    book.heard(high, at(1), now);
    assert!(book.next(now).is_some());
    book.connected(high, Some((&Target::Peer(high), &at(1))), now);
    book.admitted(high, now);
    book.disconnected(high, now + SHORT);
    book.admitted(high, now + SHORT);
    assert!(book.next(now + SHORT).is_some());
}

#[test]
fn a_wrong_record_is_forgotten_and_a_configured_address_looked_up_again() {
    let (low, high) = pair();
    let now = Instant::now();
    let mut book = Book::new(low);
    book.fixed(Target::Address(at(1)), at(1), now);
    assert_eq!(book.next(now).unwrap().target, Target::Address(at(1)));
    book.connected(high, Some((&Target::Address(at(1)), &at(1))), now);
    assert_eq!(book.addresses(high), [at(1)]);
    book.disconnected(high, now);
    let later = now + LONGEST_PAUSE;
    assert_eq!(book.next(later).unwrap().target, Target::Peer(high));
    book.failed(&Target::Peer(high), &Fault::Wrong(at(1)), later);
    assert_eq!(book.next(later + LONGEST_PAUSE).unwrap().target, Target::Address(at(1)));
    book.failed(&Target::Address(at(1)), &Fault::Ourselves(at(1)), later);
    assert!(book.is_empty(), "our own address is of no use");
}

#[test]
fn forged_records_do_not_push_out_what_matters() {
    let (low, high) = pair();
    let mut now = Instant::now();
    let mut book = Book::new(low);
    book.admitted(high, now);
    book.heard(high, at(1), now);
    assert!(book.next(now).is_some());
    book.connected(high, Some((&Target::Peer(high), &at(1))), now);
    for number in 0..5_000u64 {
        book.heard(PeerId::random(), at(number), now);
        if number % 50 == 0 {
            book.heard(high, at(1_000_000 + number), now);
        }
    }
    assert!(book.len() <= ADDRESSES_MAX);
    assert!(book.addresses(high).contains(&at(1)), "the address that works was pushed out");
    let mut dials = 0;
    for _ in 0..40 {
        now += SECOND / 4;
        while let Some(order) = book.next(now) {
            book.failed(&order.target, &Fault::Unreachable, now);
            dials += 1;
        }
    }
    assert!(dials <= 11 * STRANGER_DIALS_MAX, "{dials} dials in ten seconds");
}

#[derive(Debug, Clone)]
enum Act {
    Heard(u8, u64),
    Lost(u8, u64),
    Fixed(u8, u64),
    Asked(u64),
    Admitted(u8),
    Expelled(u8),
    Inbound(u8),
    Gone(u8),
    Goodbye(u8),
    Dial(bool),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let (who, place) = (0..8u8, 0..400u64);
    prop_oneof![
        4 => (who.clone(), place.clone()).prop_map(|(who, place)| Act::Heard(who, place)),
        1 => (who.clone(), place.clone()).prop_map(|(who, place)| Act::Lost(who, place)),
        1 => (who.clone(), place.clone()).prop_map(|(who, place)| Act::Fixed(who, place)),
        1 => place.prop_map(Act::Asked),
        1 => who.clone().prop_map(Act::Admitted),
        1 => who.clone().prop_map(Act::Expelled),
        1 => who.clone().prop_map(Act::Inbound),
        2 => who.clone().prop_map(Act::Gone),
        1 => who.prop_map(Act::Goodbye),
        4 => any::<bool>().prop_map(Act::Dial),
        3 => (0..5_000u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Whatever happens, nobody connected or being dialled is dialled, the caps hold, and trusted peers whose
    /// address is known are tried again within the longest pause.
    #[test]
    fn the_caps_hold_and_the_trusted_are_not_given_up(acts in prop::collection::vec(act(), 1..200)) {
        let peers: Vec<PeerId> = (1..=8).map(peer).collect();
        let mut book = Book::new(peer(99));
        let mut now = Instant::now();
        let mut connected = std::collections::BTreeSet::new();
        let mut dialling: Vec<Target> = Vec::new();
        let mut trusted = std::collections::BTreeSet::new();
        let mut dials: Vec<Instant> = Vec::new();
        for act in acts {
            match act {
                Act::Heard(who, place) => drop(book.heard(peers[usize::from(who)], at(place), now)),
                Act::Lost(who, place) => book.lost(peers[usize::from(who)], &at(place)),
                Act::Fixed(who, place) => book.fixed(Target::Peer(peers[usize::from(who)]), at(place), now),
                Act::Asked(place) => book.asked(Target::Address(at(place)), at(place), now),
                Act::Admitted(who) => {
                    trusted.insert(peers[usize::from(who)]);
                    book.admitted(peers[usize::from(who)], now);
                }
                Act::Expelled(who) => {
                    trusted.remove(&peers[usize::from(who)]);
                    book.expelled(peers[usize::from(who)]);
                }
                Act::Inbound(who) => {
                    connected.insert(peers[usize::from(who)]);
                    book.connected(peers[usize::from(who)], None, now);
                }
                Act::Gone(who) => {
                    if connected.remove(&peers[usize::from(who)]) {
                        book.disconnected(peers[usize::from(who)], now);
                    }
                }
                Act::Goodbye(who) => {
                    if connected.contains(&peers[usize::from(who)]) {
                        book.goodbye(peers[usize::from(who)], now);
                    }
                }
                Act::Dial(works) => {
                    if let Some(order) = book.next(now) {
                        prop_assert!(!dialling.contains(&order.target));
                        prop_assert!(!order.addresses.is_empty());
                        prop_assert!(order.addresses.len() <= ADDRESSES_PER_PEER_MAX);
                        dials.push(now);
                        match &order.target {
                            Target::Peer(who) if works => {
                                book.connected(*who, Some((&order.target, &order.addresses[0])), now);
                                connected.insert(*who);
                            }
                            target if works => dialling.push(target.clone()),
                            target => book.failed(target, &Fault::Unreachable, now),
                        }
                    }
                }
                Act::Wait(millis) => now += Duration::from_millis(millis),
            }
            prop_assert!(book.len() <= ADDRESSES_MAX);
            let recent = dials.iter().filter(|at| now - **at < SECOND).count();
            prop_assert!(recent <= STRANGER_DIALS_MAX + TRUSTED_DIALS_MAX);
        }
        for target in dialling {
            book.failed(&target, &Fault::Unreachable, now);
        }
        let mut wanted: std::collections::BTreeSet<PeerId> = trusted
            .into_iter()
            .filter(|who| !connected.contains(who) && !book.addresses(*who).is_empty())
            .collect();
        now += 2 * LONGEST_PAUSE;
        while let Some(order) = book.next(now) {
            if let Target::Peer(who) = order.target {
                prop_assert!(!connected.contains(&who), "a connected peer was dialled");
                wanted.remove(&who);
            }
            now += SECOND;
        }
        prop_assert!(wanted.is_empty(), "given up: {wanted:?}");
    }
}
