//! Decoders under arbitrary bytes: an error or a message, never more.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use testmesh_behaviours::blobs::wire::{Answer, Ask};
use testmesh_behaviours::check::Check;
use testmesh_behaviours::status::hello::{HelloRequest, HelloResponse};
use testmesh_behaviours::status::wire::{StatusRequest, StatusResponse};
use testmesh_behaviours::work::message::{WorkRequest, WorkResponse};

fn cases() -> u32 {
    std::env::var("TESTMESH_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

/// Every line of the golden table, as a start for mutations.
fn golden() -> Vec<Vec<u8>> {
    let hex = |line: &str| {
        let digits = line.split_once(' ').expect("a name and its bytes").1;
        (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    include_str!("golden.txt").lines().map(hex).collect()
}

fn survives<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(message) = cbor4ii::serde::from_slice::<T>(bytes) {
        let again = cbor4ii::serde::to_vec(Vec::new(), &message).expect("what was decoded can be encoded");
        assert!(cbor4ii::serde::from_slice::<T>(&again).is_ok());
    }
}

fn survives_checked<T: Serialize + DeserializeOwned + Check>(bytes: &[u8]) {
    survives::<T>(bytes);
    if let Ok(message) = cbor4ii::serde::from_slice::<T>(bytes) {
        let again = cbor4ii::serde::to_vec(Vec::new(), &message).expect("what was decoded can be encoded");
        let again = cbor4ii::serde::from_slice::<T>(&again).expect("it was decoded before");
        assert_eq!(message.check().is_ok(), again.check().is_ok(), "it says the same in other bytes");
    }
}

fn all(bytes: &[u8]) {
    survives_checked::<HelloRequest>(bytes);
    survives_checked::<HelloResponse>(bytes);
    survives_checked::<StatusRequest>(bytes);
    survives_checked::<StatusResponse>(bytes);
    survives_checked::<WorkRequest>(bytes);
    survives_checked::<WorkResponse>(bytes);
    survives::<Ask>(bytes);
    survives::<Answer>(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        all(&bytes);
    }

    #[test]
    fn changed_messages(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let golden = golden();
        let mut bytes = golden[which.index(golden.len())].clone();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        all(&bytes);
        all(&bytes[..cut.index(bytes.len() + 1)]);
    }
}
