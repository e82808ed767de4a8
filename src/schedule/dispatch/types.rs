//! What goes into a dispatcher and what comes out of it. Data only.

use std::time::Duration;

/// A worker: this machine's slots, or a peer. Chosen by the caller, one number a machine for the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// A task, counted from 0 in the order of submission; the `sequence` of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

/// Where a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This machine: slots of this process, or the local node's own.
    Local,
    /// Another machine.
    Peer,
}

/// What a worker is when it joins.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// Where it is.
    pub kind: Kind,
    /// Tasks it runs at once; 0 is paused.
    pub slots: u32,
    /// Whether it queues tasks beyond its slots. Slots of this process do not.
    pub queues: bool,
    /// Why its platform cannot run this build, in words for people; such a worker is never used.
    pub unfit: Option<String>,
    /// How long it takes for what takes an average worker 1; 1 if nothing is known. Kept within 1/64 to 64.
    pub slowness: f64,
    /// How often it gives a sign of life, if it does: after three missing ones its tasks go elsewhere.
    pub heartbeat: Option<Duration>,
}

/// What is known of a task's duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimate {
    /// From earlier runs.
    Known(Duration),
    /// Nothing but V8's SLOW mark.
    Slow,
    /// Nothing.
    Unknown,
}

/// A task as its submitter describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// What is known of its duration.
    pub estimate: Estimate,
    /// Wall time after which the worker itself ends it; a first guess until [`limit`](super::Dispatch::limit) tells.
    pub limit: Duration,
    /// May not leave this machine.
    pub local_only: bool,
    /// Counts against [`Config::heavy_limit`].
    pub heavy: bool,
    /// Goes before all others (reruns, confirmations).
    pub urgent: bool,
}

impl Spec {
    /// A task that may run anywhere, in its turn.
    pub fn new(estimate: Estimate, limit: Duration) -> Self {
        Spec { estimate, limit, local_only: false, heavy: false, urgent: false }
    }

    /// The same on this machine and before all others: confirms a result.
    #[must_use]
    pub fn confirming(self) -> Self {
        Spec { local_only: true, urgent: true, ..self }
    }
}

/// How a worker's answer is to be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The test ran to an end that can be judged; timeouts of the test included.
    Ran {
        /// Its duration on the worker.
        duration: Duration,
    },
    /// It could not be run there; says nothing of the test.
    Infra {
        /// The worker's words.
        why: String,
    },
    /// It ended because it was cancelled.
    Cancelled,
}

/// Why a worker does not take a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Its queue is full, or it gives back what it could not start soon. Nobody's fault.
    Busy,
    /// The offer could not be delivered or was not answered. The task may yet run there.
    Unreachable(String),
    /// It does not want tasks of this run. A few of these exclude it.
    Denied(String),
}

/// How a worker left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// In order, or out of sight because the local node is gone; nothing is suspected.
    Drained,
    /// Connection lost, crashed. What ran there is suspected when it happens again.
    Lost,
    /// Its trust was taken back: answers that still come do not count.
    Revoked,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The answer given with the last `finished` of this worker, task and attempt is to be judged.
    Ran,
    /// It could not be run anywhere; why.
    Infra(String),
    /// The run was cancelled first.
    Cancelled,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send the task to the worker. Neighbouring ones for one worker make one offer.
    Start {
        /// Who.
        worker: WorkerId,
        /// What.
        task: TaskId,
        /// The how-manieth try, from 0.
        attempt: u16,
    },
    /// Its result is not needed any more: drop or kill it. May concern a worker that has left.
    Cancel {
        /// Who.
        worker: WorkerId,
        /// What.
        task: TaskId,
        /// Which try.
        attempt: u16,
    },
    /// The one answer to a task; exactly one for each.
    Deliver {
        /// Which.
        task: TaskId,
        /// Whose answer counts; none if no worker had part in it.
        worker: Option<WorkerId>,
        /// The try that counts.
        attempt: u16,
        /// How.
        ending: Ending,
    },
    /// The worker is used no more in this run; once a worker.
    Exclude {
        /// Who.
        worker: WorkerId,
        /// Why, in words for the summary.
        why: String,
    },
    /// Call [`tick`](super::Dispatch::tick) at this moment; replaces the moment armed before.
    Arm(Duration),
}

/// Choices of a run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Heavy tasks at once on one worker.
    pub heavy_limit: usize,
    /// Local workers run nothing but local-only tasks (`--remote-only`).
    pub remote_only: bool,
    /// How long a task may be without any worker that could run it before it ends as infra.
    pub patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config { heavy_limit: 1, remote_only: false, patience: Duration::from_secs(10) }
    }
}

/// What a worker did in this run.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerReport {
    /// Where it is.
    pub kind: Kind,
    /// Its slots now; 0 while paused or gone.
    pub slots: u32,
    /// Whether it is there and used.
    pub present: bool,
    /// Tasks it holds now, running or queued.
    pub holds: usize,
    /// Tasks whose counted answer is its.
    pub answered: u64,
    /// The sum of their durations.
    pub busy: Duration,
    /// How long it takes for what takes an average worker 1.
    pub slowness: f64,
    /// Tasks it could not run.
    pub infra: u64,
    /// Tasks it did not take.
    pub refused: u64,
    /// Tasks that went elsewhere because it was lost or silent.
    pub lost: u64,
    /// Answers that came too late or twice.
    pub late: u64,
    /// Results contradicted by this machine.
    pub disagreements: u64,
    /// Why it is not used, if so.
    pub excluded: Option<String>,
}

/// Counts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Tasks submitted.
    pub submitted: u64,
    /// Tasks with an answer.
    pub delivered: u64,
    /// `Start`s.
    pub started: u64,
    /// `Start`s while another worker still had the task: racing and overdue ones.
    pub extra: u64,
    /// Those of them for which the machine that had the task first had never answered anything.
    pub unproven: u64,
    /// Tasks taken back from workers that were lost or silent.
    pub lost: u64,
    /// Answers that did not count.
    pub late: u64,
    /// Tasks that run on this machine only because they were running on several machines that were lost.
    pub suspected: u64,
}
