//! What can be asked of a node through its socket, and what it answers.
//!
//! Only data: made by `meshctl`, `run-tests` and the node's state, encoded as CBOR by `frame`, printed as
//! JSON by `meshctl --json`. Names and labels in it are claims of other machines and may hold anything; whoever shows
//! them escapes them. Times are seconds: ages and lives as seen by the node, or unix time where a date is meant.

mod key;
mod peer;
mod reply;
mod request;
mod run;
mod status;
mod trust;

pub use key::{BadKey, Key, Named, Origin, Rights};
pub use peer::{Hop, HopKind, Load, Path, Peer, Platform, Refusal, Seen, Standing};
pub use reply::{Audit, Consequences, Error, ErrorKind, Outcome, OwnKey, Reply, Shift, Topic};
pub use request::{Approve, Cookie, Reason, Recover, Request, Revoke, Who};
pub use run::{RunReply, RunRequest};
pub use status::{Mdns, Recovery, RootAge, Status, Unreached};
pub use trust::{Conflict, Denial, Found, Retirement, Root, Snapshot, SnapshotEntry, Trust, Why};

use serde::{Deserialize, Serialize};

/// The version of this protocol. Both sides must speak the same: they come from one build.
pub const VERSION: u32 = 1;

/// Most bytes of a frame from a client: the longest request is a batch of jobs.
pub const REQUEST_MAX: usize = 4 << 20;

/// Most bytes of a frame from the node: one job's output at its largest, and room for the rest.
pub const REPLY_MAX: usize = 64 << 20;

/// First frame of a client. Its form never changes, so that any two versions can tell each other apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// Name and version of the program, for the node's log, such as `meshctl 0.1.0`.
    pub program: String,
}

/// First frame of the node. Its form never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHello {
    /// [`VERSION`] of the node.
    pub version: u32,
    /// Version of the node's program, such as `0.1.0`.
    pub program: String,
    /// The node's key.
    pub key: Key,
    /// The node's name.
    pub name: String,
    /// The node's process.
    pub pid: u32,
    /// Why the node talks no further to this client; none where it does.
    pub refused: Option<String>,
}

/// A later frame of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Chosen by the client; every answer to this request repeats it.
    pub id: u32,
    /// Read from the node's home; needed where [`Request::needs_cookie`].
    pub cookie: Option<Cookie>,
    /// What is asked.
    pub request: Request,
}

/// A later frame of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Of the request.
    pub id: u32,
    /// One a request; [`Request::Watch`] and runs get several.
    pub reply: Reply,
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
