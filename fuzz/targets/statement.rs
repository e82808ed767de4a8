//! Signed statements from anybody: an error, or bytes that say the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testmesh_keys::statement::{Signed, Unverified};

fuzz_target!(|bytes: &[u8]| {
    let Ok(statement) = Unverified::decode(bytes) else { return };
    // Only the canonical form is taken: what it says, written anew, has the same name.
    let anew = Signed::unsigned(statement.statement().clone()).expect("what was read is within its bounds");
    let id = statement.id();
    assert_eq!(anew.id(), id);
    if let Ok(signed) = statement.verify() {
        assert_eq!((signed.bytes(), signed.id()), (bytes, id));
    }
});
