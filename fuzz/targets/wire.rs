//! Every message of the mesh: an error, or a message that can be sent again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use testmesh_behaviours::blobs::wire::{Answer, Ask, Given};
use testmesh_behaviours::check::Check;
use testmesh_behaviours::status::hello::{HelloRequest, HelloResponse};
use testmesh_behaviours::status::wire::{StatusRequest, StatusResponse};
use testmesh_behaviours::work::message::{WorkRequest, WorkResponse};
use testmesh_behaviours::work::offer::{Offer, SignedOffer};

fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let message = cbor4ii::serde::from_slice::<T>(bytes).ok()?;
    let again = cbor4ii::serde::to_vec(Vec::new(), &message).expect("what was read can be written");
    assert!(cbor4ii::serde::from_slice::<T>(&again).is_ok(), "and read again");
    Some(message)
}

fn checked<T: Serialize + DeserializeOwned + Check>(bytes: &[u8]) {
    drop(read::<T>(bytes).map(|message| message.check()));
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 11 {
        0 => checked::<HelloRequest>(bytes),
        1 => checked::<HelloResponse>(bytes),
        2 => checked::<StatusRequest>(bytes),
        3 => checked::<StatusResponse>(bytes),
        4 => checked::<WorkRequest>(bytes),
        5 => checked::<WorkResponse>(bytes),
        6 => drop(read::<Ask>(bytes)),
        7 => drop(read::<Answer>(bytes)),
        8 => drop(read::<Given>(bytes)),
        9 => drop(read::<Offer>(bytes)),
        _ => {
            if let Some(signed) = read::<SignedOffer>(bytes) {
                let key = testmesh_behaviours::id::NodeKey::new([1; 32]);
                drop(signed.open(&key, &key, 0, |_, _, _| true));
            }
        }
    }
});
