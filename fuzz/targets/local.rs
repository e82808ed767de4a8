//! What is said on the local socket, both ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use testmesh::local::wire::{ClientHello, Reply, Request, ServerHello};

fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(message) = cbor4ii::serde::from_slice::<T>(bytes) {
        let again = cbor4ii::serde::to_vec(Vec::new(), &message).expect("what was read can be written");
        assert!(cbor4ii::serde::from_slice::<T>(&again).is_ok(), "and read again");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => read::<Request>(bytes),
        1 => read::<Reply>(bytes),
        2 => read::<ClientHello>(bytes),
        _ => read::<ServerHello>(bytes),
    }
});
