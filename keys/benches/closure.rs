//! How long a decision takes, and what a node pays for a statement. Prints figures, asserts nothing.
//!
//! `cargo bench -p testmesh-keys`; aim: 1,000 keys with 256 entries each decided in 10 ms.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::closure::{Grant, Inputs, Local, decide};
use testmesh_keys::identity::Identity;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{Keyring, Record, Seed};
use testmesh_keys::policy::Policy;
use testmesh_keys::rights::Rights;
use testmesh_keys::set::StatementSet;
use testmesh_keys::statement::{Deny, Entry, Reason, Signed, Statement, Unverified, Vouches};

/// Keys of the universe.
const KEYS: usize = 1000;
/// Entries of each snapshot.
const ENTRIES: usize = 256;
const ROUNDS: usize = 50;

fn main() {
    let identities: Vec<Identity> = (0..=KEYS).map(identity).collect();
    let keys: Vec<PublicKey> = identities.iter().map(Identity::public).collect();
    let statements: Vec<Signed> = (1..=KEYS).map(|at| snapshot(&identities[at], &keys, at)).collect();
    let mut set = StatementSet::default();
    time_once("merge 1,000 snapshots", || {
        for signed in &statements {
            set.insert(signed.clone());
        }
    });
    let grant = Grant { rights: Rights::ALL, depth: 4 };
    let roots: BTreeMap<PublicKey, Grant> = keys[1..=8].iter().map(|key| (*key, grant)).collect();
    let (local, adopted) = (Local::default(), BTreeMap::new());
    let inputs = Inputs { me: keys[0], roots: &roots, local: &local, adopted: &adopted, set: &set };
    println!("trusted keys: {}", decide(&inputs, 1).trusted().count());
    time("decide", || {
        black_box(decide(&inputs, 1));
    });
    let mut denied = set.clone();
    for denial in denials(&identities) {
        denied.insert(denial);
    }
    let inputs = Inputs { set: &denied, ..inputs };
    time("decide with 2,000 denials", || {
        black_box(decide(&inputs, 1));
    });
    let bytes = statements[0].bytes();
    println!("a snapshot of {ENTRIES} entries: {} bytes", bytes.len());
    time("decode a snapshot", || {
        black_box(Unverified::decode(bytes).is_ok());
    });
    time("verify a snapshot", || {
        black_box(Unverified::decode(bytes).and_then(Unverified::verify).is_ok());
    });
    receive(identities, &statements);
}

fn receive(mut identities: Vec<Identity>, statements: &[Signed]) {
    let text: String =
        identities[1..=8].iter().map(|each| format!("{} submit,work 4\n", each.public())).collect();
    let allowlist = Allowlist::parse(&text).expect("a list");
    let records = statements.iter().cloned().map(Record::Statement).collect();
    let seed = Seed { allowlist, policy: Policy::empty(), records };
    let giver = identities[1].public();
    let news: Vec<Signed> = denials(&identities).into_iter().take(100).collect();
    let mut keyring = Keyring::new(Arc::new(identities.swap_remove(0)), seed, 1);
    let start = Instant::now();
    for signed in &news {
        black_box(keyring.receive(signed.bytes(), Some(giver), 1).is_ok());
    }
    println!("{:<28} {:>9.3} ms", "receive a denial", millis(start.elapsed()) / 100.0);
}

fn identity(seed: usize) -> Identity {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&(seed as u64).to_le_bytes());
    Identity::from_secret_bytes(bytes).expect("a key")
}

/// Everybody vouches for 256 others, spread over all keys.
fn snapshot(issuer: &Identity, keys: &[PublicKey], at: usize) -> Signed {
    let subjects =
        (1..=ENTRIES).map(|step| keys[1 + (at + step * 7) % KEYS]).filter(|key| *key != issuer.public());
    let entry = |subject| Entry {
        subject,
        rights: Rights::ALL,
        depth: 4,
        label: "a machine".to_owned(),
        answers: Vec::new(),
    };
    let mut entries: Vec<Entry> = subjects.map(entry).collect();
    entries.sort_by_key(|entry| entry.subject);
    let vouches = Vouches { issuer: issuer.public(), version: 1, issued_at: 0, not_after: 1000, entries };
    Signed::new(Statement::Vouches(vouches), issuer).expect("within bounds")
}

fn denials(identities: &[Identity]) -> Vec<Signed> {
    let each = identities.iter().skip(1).take(KEYS).zip(0u64..);
    let deny = |(issuer, nonce): (&Identity, u64), turn: u64| {
        let subject = identity(usize::try_from(500 + nonce % 7).expect("small")).public();
        let deny = Deny {
            issuer: issuer.public(),
            subject,
            reason: Reason::Lost,
            issued_at: turn,
            nonce: nonce.to_le_bytes(),
            note: String::new(),
        };
        Signed::new(Statement::Deny(deny), issuer).ok()
    };
    each.flat_map(|pair| [deny(pair, 0), deny(pair, 1)]).flatten().collect()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn time_once(what: &str, mut act: impl FnMut()) {
    let start = Instant::now();
    act();
    println!("{what:<28} {:>9.3} ms", millis(start.elapsed()));
}

/// The median of some rounds.
fn time(what: &str, mut act: impl FnMut()) {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            act();
            start.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    println!("{what:<28} {:>9.3} ms", millis(rounds[ROUNDS / 2]));
}
