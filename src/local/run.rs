//! What a client with a run and the node of its machine say to each other.
//!
//! The node lends its network and its slots; the client keeps its jobs, its retries and its verdicts. Results pass
//! through the node as they came, compressed: [`unpack`] opens them in the client. A client that goes away takes its
//! runs with it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::work::message::Refusal;

use crate::job::{Job, JobId, Output, Root};

/// Jobs in one offer to one peer; a batch of dispatch is far smaller.
pub const OFFER_MAX: usize = 256;

/// Level of compression: outputs are text, and the wire is a LAN.
const LEVEL: i32 = 1;

/// Bytes a batch of results may have when unpacked: two full streams of the largest output and room.
const UNPACKED_MAX: usize = 64 << 20;

/// From the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunRequest {
    /// Begins a run; one a connection. Answered by [`RunReply::Opened`], then peers are told as they become ready.
    Open(Box<Open>),
    /// So many of this machine's slots are wanted now.
    Want(u32),
    /// So many granted slots are given back.
    Release(u32),
    /// Jobs for a peer that is ready.
    Offer {
        /// Whom.
        peer: NodeKey,
        /// At most [`OFFER_MAX`].
        jobs: Vec<Job>,
    },
    /// Jobs that are not wanted any more.
    Cancel {
        /// Where they are.
        peer: NodeKey,
        /// Which.
        jobs: Vec<JobId>,
    },
    /// The run is over.
    Close,
}

/// What a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The run's number, on all its jobs.
    pub run: u64,
    /// What the jobs read: the node names it by content and ships what peers lack.
    pub sources: Vec<Source>,
    /// A job with a known output: who cannot run it takes no part.
    pub canary: Job,
    /// What its standard output must be.
    pub answer: ByteBuf,
    /// Operating system and architecture the programs are for.
    pub platform: (String, String),
    /// Names or keys of the only peers to use; empty: all.
    pub only: Vec<String>,
}

/// A directory of the client, and what of it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What jobs call it.
    pub root: Root,
    /// Where it is on this machine; absolute.
    pub dir: PathBuf,
    /// For a build: names of programs. For a workspace: folders and files. All relative to `dir`.
    pub paths: Vec<String>,
}

/// From the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunReply {
    /// The run is known.
    Opened {
        /// Slots of this machine's node.
        slots: u32,
        /// Trusted peers connected, ready or not.
        peers: u32,
    },
    /// So many more slots of this machine are the client's.
    Granted(u32),
    /// So many are wanted by others: to be given back as what runs there ends.
    Recall(u32),
    /// The run's inputs have been read and named.
    Scanned {
        /// Files that may travel.
        files: u64,
        /// Bytes of all of them.
        bytes: u64,
        /// Bytes that had to be read, the rest being unchanged since the last run.
        read: u64,
    },
    /// The inputs cannot travel: no peer takes part.
    Unshippable(String),
    /// So many bytes of inputs were sent to a peer of the run.
    Shipped(u64),
    /// A peer is ready to take jobs, or has changed.
    Ready {
        /// Who.
        peer: NodeKey,
        /// Its name, as its owner or ours calls it.
        name: String,
        /// Its slots; 0: paused.
        slots: u32,
        /// How long it takes for what takes an average machine 1, in thousandths.
        slowness: u32,
    },
    /// A peer is being prepared; words for people.
    Preparing {
        /// Who.
        peer: NodeKey,
        /// Its name.
        name: String,
    },
    /// A peer cannot take part, and why.
    Unfit {
        /// Who.
        peer: NodeKey,
        /// Its name.
        name: String,
        /// Its own words.
        why: String,
    },
    /// A peer is gone.
    Gone {
        /// Who.
        peer: NodeKey,
        /// Whether because it is not trusted any more.
        revoked: bool,
        /// Whether it said goodbye.
        orderly: bool,
    },
    /// A sign of life.
    Alive(NodeKey),
    /// A peer's answer to an offer.
    Offered {
        /// Who.
        peer: NodeKey,
        /// Will run.
        accepted: Vec<JobId>,
        /// Will not.
        refused: Vec<(JobId, Refusal)>,
    },
    /// An offer could not be delivered.
    Undelivered {
        /// To whom.
        peer: NodeKey,
        /// Which jobs.
        jobs: Vec<JobId>,
        /// Why.
        why: String,
    },
    /// Results, for [`unpack`].
    Results {
        /// From whom.
        peer: NodeKey,
        /// As they came.
        bytes: ByteBuf,
    },
}

/// What became of jobs, as it travels.
///
/// # Errors
/// When it does not compress, which is a bug or a lack of memory.
pub fn pack(results: &[(JobId, Output)]) -> std::io::Result<Vec<u8>> {
    let plain = cbor4ii::serde::to_vec(Vec::new(), &results).map_err(std::io::Error::other)?;
    zstd::bulk::compress(&plain, LEVEL)
}

/// The reverse of [`pack`]; for bytes of a peer, who may have made them up.
///
/// # Errors
/// When they are not results, or larger than results may be.
pub fn unpack(bytes: &[u8]) -> std::io::Result<Vec<(JobId, Output)>> {
    let plain = zstd::bulk::decompress(bytes, UNPACKED_MAX)?;
    cbor4ii::serde::from_slice(&plain).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::{Captured, Exit, Status};

    fn result(text: &str) -> (JobId, Output) {
        let stdout = Captured { bytes: text.as_bytes().to_vec(), dropped: 1 };
        let exit = Exit::Ended(Status::Code(3));
        let duration = Duration::from_micros(5);
        (
            JobId { run: 7, sequence: 1, attempt: 2 },
            Output { exit, stdout, stderr: Captured::default(), duration, max_rss: 9 },
        )
    }

    #[test]
    fn results_survive_the_journey() {
        let results = vec![result("abc"), result("")];
        assert_eq!(unpack(&pack(&results).unwrap()).unwrap(), results);
    }

    #[test]
    fn what_is_no_result_is_an_error() {
        let bomb = zstd::bulk::compress(&vec![0; UNPACKED_MAX + 1], LEVEL).unwrap();
        for bytes in [&b""[..], b"abc", &bomb, &zstd::bulk::compress(b"abc", LEVEL).unwrap()] {
            assert!(unpack(bytes).is_err());
        }
    }
}
