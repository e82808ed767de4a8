//! How this node is.

use serde::{Deserialize, Serialize};

use super::key::{Key, Named};
use super::peer::Load;

/// The node itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its key.
    pub key: Key,
    /// The name its owner gave it.
    pub name: String,
    /// Which mesh it belongs to; nodes of others do not meet it.
    pub mesh: String,
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Folder with its key.
    pub home: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Multiaddresses it listens on now.
    pub listen: Vec<String>,
    /// Whether it finds others by itself.
    pub mdns: Mdns,
    /// Slots and jobs of this machine.
    pub load: Load,
    /// What keeps jobs of others in, in words, such as `namespaces, Landlock, seccomp`; the number stands in `load`.
    pub containment: String,
    /// Whether jobs of others run without containment, because the owner said so.
    pub accept_unsandboxed: bool,
    /// Keys you approved, with the age of what they said last.
    pub roots: Vec<RootAge>,
    /// Machines this node trusts, whether they are here or not.
    pub trusted: u32,
    /// Connections now.
    pub connected: u32,
    /// Machines connected, trusting and trusted: work flows.
    pub mutual: u32,
    /// Statements kept.
    pub statements: u32,
    /// Why it publishes nothing, where it does not.
    pub recovery: Recovery,
    /// Addresses where dials failed lately that belong to no known machine, the latest last.
    pub unreached: Vec<Unreached>,
    /// What its owner should know, one line each.
    pub warnings: Vec<String>,
}

/// An address that was dialled in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// A multiaddress.
    pub address: String,
    /// Why nobody was reached.
    pub why: String,
    /// Seconds since the last try.
    pub age: u64,
}

/// Finding others by multicast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mdns {
    /// On.
    On,
    /// Switched off in the settings.
    Off,
    /// It could not start; the text is the system's reason.
    Failed(String),
}

/// The state of recovery mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// Not needed.
    No,
    /// The statements were lost: waiting for peers to give back this node's own snapshot, or for `meshctl recover`.
    LostStore,
    /// This home is older than what its node published: a restored backup.
    RolledBack,
    /// Another machine uses this node's key.
    Cloned,
}

/// How fresh our view through a root is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootAge {
    /// Which root.
    pub root: Named,
    /// Seconds since its newest snapshot was issued, by its clock; none where none has come yet.
    pub age: Option<u64>,
    /// Seconds until the snapshot's lease ends; none where there is no snapshot.
    pub lease_left: Option<u64>,
    /// Whether it is connected now.
    pub connected: bool,
}
