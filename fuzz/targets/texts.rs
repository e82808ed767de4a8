//! Files that people write and send: allowlist, policy, key file, retirement, audit log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::policy::Policy;
use testmesh_keys::{audit, keyfile, retirement};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which % 5 {
        0 => {
            let Ok(list) = Allowlist::parse(text) else { return };
            let again = Allowlist::parse(&list.to_string()).expect("what is written can be read");
            assert_eq!(list, again);
        }
        1 => {
            let Ok(policy) = Policy::parse(text) else { return };
            let again = Policy::parse(&policy.to_string()).expect("what is written can be read");
            assert_eq!(policy, again);
        }
        2 => {
            let Ok(file) = keyfile::parse(text) else { return };
            let Ok(written) = keyfile::export(&file.name, &file.key) else { return };
            assert_eq!(keyfile::parse(&written).expect("what is exported can be read").key, file.key);
        }
        3 => drop(retirement::parse(text)),
        _ => drop(audit::verify(text)),
    }
});
