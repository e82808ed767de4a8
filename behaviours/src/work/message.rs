//! What submitters and workers say to each other: `/testmesh/work/1`.
//!
//! Offers are answered at once and never wait for a job to run; results travel as requests of their own from the
//! worker to the submitter, batched, compressed elsewhere and opaque here, acknowledged and safe to send twice.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::offer::{INPUTS_MAX, InputDigest, JOBS_MAX, SIGNED_MAX, SignedOffer};
use super::wire::{Job, JobId};
use crate::check::{Check, Excess, most, text};
use crate::id::BlobId;

/// The protocol's name on the wire.
pub const PROTOCOL: &str = "/testmesh/work/1";
/// Bytes of a request: a full part of results and what stands around it.
pub const REQUEST_MAX: u64 = RESULT_BYTES_MAX as u64 + 64 * 1024;
/// Bytes of a response.
pub const RESPONSE_MAX: u64 = 256 * 1024;
/// Streams of this protocol at once on one connection, both directions together.
pub const STREAMS_MAX: usize = 32;
/// Compressed bytes in one part of a batch of results.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;
/// Parts of one batch: two streams of 10 MiB that do not compress, and room.
pub const PARTS_MAX: u16 = 32;
/// Bytes of a canary's known output.
pub const ANSWER_MAX: usize = 4_096;
/// Bytes of a reason.
pub const REASON_MAX: usize = 512;

/// A run of one client; [`JobId::run`] of all its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

/// A run begins; the worker may prepare its inputs before the first offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOpen {
    /// Which run.
    pub run: RunId,
    /// What the jobs will read.
    pub inputs: Vec<InputDigest>,
    /// A job whose output is known: who cannot run it takes no part.
    pub canary: Job,
    /// What the canary's standard output must be.
    pub answer: ByteBuf,
}

/// Why a job or message was not taken. Infra, never a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The queue has no room; offer less or later.
    Full,
    /// The owner has paused the node.
    Paused,
    /// The submitter may not have jobs run here, or the signature does not hold.
    NotTrusted,
    /// Made for somebody else, expired, or seen before.
    Stale,
    /// An input is missing and cannot be had.
    MissingInput(BlobId),
    /// The node's containment or platform cannot run it.
    Unable(String),
    /// The message does not say what it must.
    Malformed(String),
    /// The run is not known here, or over.
    UnknownRun,
}

/// The worker's answer to an offer, given before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferReply {
    /// Queued here now.
    pub accepted: Vec<JobId>,
    /// Not taken, each with the reason.
    pub refused: Vec<(JobId, Refusal)>,
    /// How many more jobs of this submitter the queue has room for.
    pub room: u32,
}

/// A batch of results, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// Of which run.
    pub run: RunId,
    /// Counts the batches of a worker for this run from 0; a repeated number is a repeated message.
    pub batch: u64,
    /// Which part of the batch, from 0.
    pub part: u16,
    /// How many parts the batch has; 1 for nearly all.
    pub parts: u16,
    /// `Vec<(JobId, Output)>` as CBOR, compressed; opaque here.
    pub bytes: ByteBuf,
}

/// The submitter holds the part and will not need it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsAck {
    /// As in [`Results`].
    pub run: RunId,
    /// As in [`Results`].
    pub batch: u64,
    /// As in [`Results`].
    pub part: u16,
}

/// Which jobs are no longer wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// All of the run.
    All,
    /// These.
    Jobs(Vec<JobId>),
}

/// Asked of a trusted peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkRequest {
    /// Submitter to worker: a run begins.
    RunOpen(RunOpen),
    /// Worker to submitter: the inputs are here and the canary ran, or why not.
    RunReady {
        /// Which run.
        run: RunId,
        /// Why this node takes no part; none: it is ready.
        why: Option<String>,
    },
    /// Worker to submitter: these accepted jobs will not run here, and nothing is wrong with them.
    GiveBack {
        /// Of which run.
        run: RunId,
        /// Which, none of them started.
        jobs: Vec<JobId>,
    },
    /// Submitter to worker: will you run these?
    Offer(SignedOffer),
    /// Worker to submitter: what became of them.
    Results(Results),
    /// Submitter to worker: stop, and send nothing about them.
    Cancel {
        /// Of which run.
        run: RunId,
        /// Which of its jobs.
        which: Which,
    },
    /// Submitter to worker: the run is over; its inputs may go.
    RunClose(RunId),
}

/// Answers to [`WorkRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkResponse {
    /// Understood and done.
    Done,
    /// To an offer.
    Offer(OfferReply),
    /// To results.
    Results(ResultsAck),
    /// The whole message was not taken.
    Refused(Refusal),
}

impl Check for Refusal {
    fn check(&self) -> Result<(), Excess> {
        match self {
            Self::Unable(why) | Self::Malformed(why) => text("reason", why, REASON_MAX),
            _ => Ok(()),
        }
    }
}

impl Check for OfferReply {
    fn check(&self) -> Result<(), Excess> {
        most("accepted", self.accepted.len(), JOBS_MAX)?;
        most("refused", self.refused.len(), JOBS_MAX)?;
        self.refused.iter().try_for_each(|(_, why)| why.check())
    }
}

impl Check for Results {
    fn check(&self) -> Result<(), Excess> {
        most("results", self.bytes.len(), RESULT_BYTES_MAX)?;
        most("parts", self.parts.into(), PARTS_MAX.into())?;
        most("part", self.part.into(), self.parts.saturating_sub(1).into())
    }
}

impl Check for WorkRequest {
    fn check(&self) -> Result<(), Excess> {
        match self {
            Self::RunOpen(open) => {
                most("inputs", open.inputs.len(), INPUTS_MAX)?;
                most("answer", open.answer.len(), ANSWER_MAX)?;
                open.canary.check()
            }
            Self::RunReady { why: Some(why), .. } => text("reason", why, REASON_MAX),
            Self::GiveBack { jobs, .. } => most("jobs", jobs.len(), CANCEL_MAX),
            Self::Offer(offer) => most("offer", offer.bytes.len(), SIGNED_MAX),
            Self::Results(results) => results.check(),
            Self::Cancel { which: Which::Jobs(jobs), .. } => most("jobs", jobs.len(), CANCEL_MAX),
            Self::RunReady { why: None, .. } | Self::Cancel { which: Which::All, .. } | Self::RunClose(_) => {
                Ok(())
            }
        }
    }
}

/// Jobs named in one cancellation.
pub const CANCEL_MAX: usize = 4_096;

impl Check for WorkResponse {
    fn check(&self) -> Result<(), Excess> {
        match self {
            Self::Offer(reply) => reply.check(),
            Self::Refused(why) => why.check(),
            Self::Done | Self::Results(_) => Ok(()),
        }
    }
}
