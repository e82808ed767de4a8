//! A mesh in which somebody has said all that can be said.

use std::sync::Arc;

use testmesh_keys::identity::Identity;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::Record;
use testmesh_keys::rights::Rights;
use testmesh_keys::set::MAX_DENIALS;
use testmesh_keys::statement::{Deny, Entry, Reason, Signed, Statement, Vouches};

use super::world::{EPOCH, World};

/// Keys that a bad member made and vouches for.
const SYBILS: u8 = 56;

/// Names of statements begin with less; that of the revocation which matters does not.
const LAST: u8 = 0xf0;

fn identity(number: u8) -> Arc<Identity> {
    Arc::new(Identity::from_secret_bytes([number; 32]).unwrap())
}

fn deny(issuer: PublicKey, subject: PublicKey, nonce: u64) -> Statement {
    let nonce = nonce.to_be_bytes();
    Statement::Deny(Deny {
        issuer,
        subject,
        reason: Reason::Lost,
        issued_at: EPOCH,
        nonce,
        note: String::new(),
    })
}

/// What the bad member's keys say: as much as anybody keeps of each, about a key that is nobody's. Nobody signed it; it is
/// not passed on here.
fn noise(bad: &Identity) -> Vec<Record> {
    let (nobody, sybils) = (identity(254).public(), (100..100 + SYBILS).map(|byte| identity(byte).public()));
    let mut sybils: Vec<PublicKey> = sybils.collect();
    sybils.sort_unstable();
    let entry = |subject: &PublicKey| Entry {
        subject: *subject,
        rights: Rights::ALL,
        depth: 3,
        label: String::new(),
        answers: Vec::new(),
    };
    let vouches = Vouches {
        issuer: bad.public(),
        version: 1,
        issued_at: EPOCH,
        not_after: EPOCH + 1_000_000,
        entries: sybils.iter().map(entry).collect(),
    };
    let mut records = vec![Signed::new(Statement::Vouches(vouches), bad).unwrap()];
    for sybil in sybils {
        let all = (0..).map(|nonce| Signed::unsigned(deny(sybil, nobody, nonce)).unwrap());
        records.extend(all.filter(|signed| signed.id().as_bytes()[0] < LAST).take(MAX_DENIALS));
    }
    records.into_iter().map(Record::Statement).collect()
}

/// A removal is found behind everything else that is held, by comparing alone.
#[test]
fn no_number_of_statements_hides_a_revocation() {
    let mut world = World::quiet(3);
    world.habits.gossip = false;
    let (bad, lost) = (identity(90), 2);
    world.approve_both(0, 1);
    world.approve_key(0, bad.public());
    world.approve_key(1, bad.public());
    world.approve_both(1, lost);
    world.allow_only(&[(0, 1)]);
    let noise = noise(&bad);
    for node in [0, 1] {
        world.nodes[node].disk.records.extend(noise.clone());
        world.restart(node);
    }
    world.settle();
    assert!(world.trusts(1, lost), "approved by its owner");
    let held = |world: &World| world.nodes[1].state.trust().statements();
    assert!(held(&world) > usize::from(SYBILS) * MAX_DENIALS, "all bounds are full");

    let (me, subject) = (world.nodes[0].identity.clone(), world.nodes[lost].identity.public());
    let mut denials = (0..).map(|nonce| Signed::new(deny(me.public(), subject, nonce), &me).unwrap());
    let denial = denials.find(|signed| signed.id().as_bytes()[0] >= LAST).unwrap();
    // Nobody was there to be told.
    world.stop(0);
    world.nodes[0].disk.records.push(Record::Statement(denial));
    world.start(0);
    world.settle();
    assert!(!world.trusts(1, lost), "heard of at the end of all pages");
}
