//! Manifests and packs from peers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testmesh::blobs::manifest::{Manifest, PackRef};
use testmesh::blobs::pack::unpack;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    if which % 2 == 0 {
        if let Ok(manifest) = Manifest::decode(bytes) {
            let (_, again) = manifest.encode().expect("what was accepted can be sent");
            assert_eq!(again, bytes);
            drop(manifest.blobs());
        }
    } else if let Some(([a, b, c, d], packed)) = bytes.split_first_chunk::<4>() {
        // The manifest that names a pack says what it amounts to; it may say anything.
        let raw = u32::from_le_bytes([*a, *b, *c, 0]);
        let len = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        let pack = PackRef { id: testmesh::blobs::id::hash(packed), len, raw, files: u32::from(*d) };
        if let Ok(unpacked) = unpack(&pack, packed) {
            assert!(unpacked.files().count() <= 4096);
        }
    }
});
