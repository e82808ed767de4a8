//! What goes into the slots of a node and what comes out. Data only.

use std::time::Duration;

use crate::job::JobId;

/// Who wants jobs run. This machine's own clients come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Submitter<K> {
    /// A client of this machine, by the number of its connection.
    Own(u64),
    /// Another machine, by its key.
    Remote(K),
}

/// A job that somebody wants run.
#[derive(Debug, Clone)]
pub struct Offer<P> {
    /// Its name; unique for its submitter until it expires.
    pub id: JobId,
    /// When the offer loses its force, by this machine's clock; its id is remembered until then. A moment further away
    /// than [`Config::longest_expiry`] is refused.
    pub expires: Duration,
    /// What to run.
    pub payload: P,
}

/// Why a job was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// No room in the queue now; try again when results come or later.
    Busy,
    /// The owner has paused the node.
    Paused,
    /// This id was seen before.
    Replayed,
    /// The offer's time is over, or too far in the future.
    Expired,
}

/// The answer to an offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Jobs that will run.
    pub accepted: Vec<JobId>,
    /// Jobs that will not, and why.
    pub refused: Vec<(JobId, Refused)>,
    /// How many more jobs of this submitter would be accepted now.
    pub room: u32,
}

/// Which jobs of a submitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One.
    Job(JobId),
    /// Those of a run.
    Run(u64),
    /// All.
    All,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<K, P, R> {
    /// Start a job on a slot that is free.
    Run {
        /// The slot, from 0.
        slot: u32,
        /// The job.
        id: JobId,
        /// Whose it is.
        submitter: Submitter<K>,
        /// What to run.
        payload: P,
    },
    /// End the job on this slot with everything it started; `finished` follows.
    Kill {
        /// The slot.
        slot: u32,
        /// The job.
        id: JobId,
    },
    /// Send results; they are kept until acknowledged and sent again.
    SendResults {
        /// To whom.
        submitter: Submitter<K>,
        /// The results, oldest first.
        results: Vec<(JobId, R)>,
    },
    /// Tell the submitter that these accepted jobs will not run here; nobody's fault.
    GiveBack {
        /// To whom.
        submitter: Submitter<K>,
        /// Jobs that never ran.
        ids: Vec<JobId>,
    },
    /// Call [`tick`](super::Slots::tick) at this moment; replaces the moment armed before.
    Arm(Duration),
}

/// Bounds of a node. The defaults are the named constants of this module.
#[derive(Debug, Clone)]
pub struct Config {
    /// Processes at once.
    pub slots: u32,
    /// Jobs one submitter may have queued.
    pub queue_each: usize,
    /// Jobs queued in all.
    pub queue_total: usize,
    /// How far in the future an offer may expire.
    pub longest_expiry: Duration,
}

impl Config {
    /// The usual bounds with this many slots.
    pub fn new(slots: u32) -> Self {
        Config { slots, queue_each: 1024, queue_total: 8192, longest_expiry: Duration::from_secs(600) }
    }
}

/// What a node is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage<K> {
    /// Processes at once.
    pub slots: u32,
    /// Processes now.
    pub running: u32,
    /// Jobs waiting.
    pub queued: usize,
    /// Whether the owner has paused it.
    pub paused: bool,
    /// Running and queued jobs by submitter.
    pub submitters: Vec<(Submitter<K>, u32, usize)>,
}
