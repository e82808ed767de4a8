//! Nodes by number: the same small keys in every test, and how many cases to run.

use std::sync::{Arc, OnceLock};

use proptest::test_runner::Config;
use testmesh_keys::identity::Identity;
use testmesh_keys::key::PublicKey;

/// Nodes of a small world.
pub(crate) const NODES: usize = 6;

const MOST: usize = 40;

fn identities() -> &'static [Arc<Identity>] {
    static ALL: OnceLock<Vec<Arc<Identity>>> = OnceLock::new();
    let make = |seed: usize| {
        let byte = u8::try_from(seed + 1).expect("few nodes");
        Arc::new(Identity::from_secret_bytes([byte; 32]).expect("a key"))
    };
    ALL.get_or_init(|| (0..MOST).map(make).collect())
}

/// The key pair of a node.
pub(crate) fn identity(node: usize) -> Arc<Identity> {
    Arc::clone(&identities()[node])
}

/// The key of a node.
pub(crate) fn key(node: usize) -> PublicKey {
    identities()[node].public()
}

/// The node of a key.
pub(crate) fn node(key: &PublicKey) -> usize {
    identities().iter().position(|identity| identity.public() == *key).expect("a key of this test")
}

/// Properties whose cases cost about the same, and so are counted together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Group {
    /// Random worlds, decided by the crate and the model.
    Worlds,
    /// Bytes of statements.
    Statements,
    /// Texts of allowlists.
    Lists,
    /// Whole lives of keyrings over a lossy network: a thousand times the others.
    Schedules,
}

/// How many cases a property sees: as its group's variable says, else `TESTMESH_CASES`, else the given number.
pub(crate) fn cases(group: Group, default: u32) -> u32 {
    let own = match group {
        Group::Worlds => "TESTMESH_CASES_WORLDS",
        Group::Statements => "TESTMESH_CASES_STATEMENTS",
        Group::Lists => "TESTMESH_CASES_LISTS",
        Group::Schedules => "TESTMESH_CASES_SCHEDULES",
    };
    let set = [own, "TESTMESH_CASES"].into_iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    set.unwrap_or(default)
}

/// The configuration of a property.
pub(crate) fn config(group: Group, default: u32) -> Config {
    Config { cases: cases(group, default), failure_persistence: None, ..Config::default() }
}
