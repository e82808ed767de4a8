//! What happens to a node, and what it does about it: the two alphabets of [`State`](super::state::State).
//!
//! Events come from the driver, which knows sockets, clocks and processes; actions go back to it. Peers are named by
//! key here, requests by their purpose, replies by a number; nothing in these types can block or fail.

use std::time::Duration;

use testmesh_behaviours::id::{NodeKey, StatementId};
use testmesh_behaviours::status::hello::{HelloRequest, HelloResponse};
use testmesh_behaviours::status::wire::{StatusRequest, StatusResponse};
use testmesh_behaviours::work::message::{RunId, RunOpen, WorkRequest, WorkResponse};

use super::outbound::Scan;
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::policy::Policy;

use crate::job::{Job, JobId, Output};
use crate::local::run::{RunReply, Source};
use crate::local::wire::{Reply, Request};

/// Both clocks, read once a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the node started; never jumps. For time-outs.
    pub mono: Duration,
    /// Seconds since the epoch; may jump. For leases and for people.
    pub unix: u64,
}

/// A client of the socket.
pub type ClientId = u64;

/// A client and the request it is answered about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// Who.
    pub id: ClientId,
    /// The number the client gave its request.
    pub ask: u32,
}

/// Where the answer to a peer's request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyTo(pub u64);

/// Where a gossip message waits to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GossipRef(pub u64);

/// What a request of ours was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Introducing ourselves.
    Greeting,
    /// A page of a stranger's revocations.
    RevocationPage,
    /// Nothing depends on the answer.
    Courtesy,
    /// Are our sets equal? If not, what does it hold behind this name?
    Compare(Option<StatementId>),
    /// Statements we lack.
    Fetch,
    /// How busy?
    Load,
    /// Whom does it trust, and where are they?
    View,
    /// A run begins at a peer.
    OpenRun(RunId),
    /// Jobs for a peer.
    Offer {
        /// Of which run.
        run: RunId,
        /// Which.
        jobs: Vec<JobId>,
    },
    /// A part of a batch of results.
    Results {
        /// Of which run.
        run: RunId,
        /// Which batch.
        batch: u64,
        /// Which part.
        part: u16,
    },
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// An address is listened on.
    Listening(String),
    /// It no longer is.
    ListenEnded(String),
    /// A listener failed.
    ListenFailed(String),
    /// A peer whose key is proven is connected.
    Connected {
        /// Who.
        peer: NodeKey,
        /// Where.
        address: String,
        /// Whether it dialled.
        inbound: bool,
    },
    /// Its last connection is gone.
    Disconnected {
        /// Who.
        peer: NodeKey,
        /// The reason, where there is one.
        why: Option<String>,
    },
    /// Seen on the LAN; forgeable.
    Discovered {
        /// Who, it says.
        peer: NodeKey,
        /// Where, it says.
        address: String,
    },
    /// A dial failed.
    DialFailed {
        /// Whom it was for.
        peer: Option<NodeKey>,
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// Anybody says hello.
    Hello {
        /// Who.
        from: NodeKey,
        /// What.
        request: HelloRequest,
        /// Where the answer goes.
        reply: ReplyTo,
    },
    /// The answer to ours.
    HelloAnswer {
        /// Who.
        from: NodeKey,
        /// To what.
        purpose: Purpose,
        /// The answer, or why there is none.
        answer: Result<HelloResponse, String>,
    },
    /// A trusted peer asks.
    Status {
        /// Who.
        from: NodeKey,
        /// What.
        request: StatusRequest,
        /// Where the answer goes.
        reply: ReplyTo,
    },
    /// The answer to ours.
    StatusAnswer {
        /// Who.
        from: NodeKey,
        /// To what.
        purpose: Purpose,
        /// The answer, or why there is none.
        answer: Result<StatusResponse, String>,
    },
    /// A neighbour passes on an announcement.
    Gossip {
        /// The neighbour.
        from: NodeKey,
        /// To judge it by.
        id: GossipRef,
        /// A signed statement.
        bytes: Vec<u8>,
    },
    /// A trusted peer offers, delivers or cancels.
    Work {
        /// Who.
        from: NodeKey,
        /// What.
        request: WorkRequest,
        /// Where the answer goes.
        reply: ReplyTo,
    },
    /// The answer to ours.
    WorkAnswer {
        /// Who.
        from: NodeKey,
        /// To what.
        purpose: Purpose,
        /// The answer, or why there is none.
        answer: Result<WorkResponse, String>,
    },
    /// The inputs of a peer's run are here, or not.
    Prepared {
        /// Whose.
        submitter: NodeKey,
        /// Which run.
        run: RunId,
        /// Why not.
        result: Result<(), String>,
    },
    /// The inputs of a client's run are named, or cannot be.
    Scanned {
        /// Which run.
        run: RunId,
        /// What they amount to.
        result: Result<Scan, String>,
    },
    /// Content was sent to a peer.
    Served {
        /// To whom.
        peer: NodeKey,
        /// How much.
        bytes: u64,
    },
    /// A peer's job ended on a slot.
    JobDone {
        /// The slot.
        slot: u32,
        /// The job.
        id: JobId,
        /// What became of it.
        output: Output,
    },
    /// A client of the socket asks.
    Client {
        /// Who.
        client: Client,
        /// What; allowed already.
        request: Request,
    },
    /// A client is gone.
    ClientGone(ClientId),
    /// The allowlist or the policy was edited by hand: what both say now, or why one cannot be read.
    Edited(Result<Box<(Allowlist, Policy)>, String>),
    /// Time passes.
    Tick,
    /// The moment has come that [`State::due`](super::state::State::due) named.
    Due,
    /// The node is to end.
    Stop,
}

impl Event {
    /// Whom it comes from, for the log.
    pub fn peer(&self) -> Option<NodeKey> {
        match self {
            Self::Connected { peer, .. }
            | Self::Disconnected { peer, .. }
            | Self::Discovered { peer, .. } => Some(*peer),
            Self::DialFailed { peer, .. } => *peer,
            Self::Hello { from, .. }
            | Self::HelloAnswer { from, .. }
            | Self::Status { from, .. }
            | Self::StatusAnswer { from, .. }
            | Self::Gossip { from, .. }
            | Self::Work { from, .. }
            | Self::WorkAnswer { from, .. } => Some(*from),
            Self::Prepared { submitter, .. } => Some(*submitter),
            Self::Served { peer, .. } => Some(*peer),
            _ => None,
        }
    }
}

/// What becomes of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Passed on.
    Accept,
    /// Dropped without blame.
    Ignore,
    /// Dropped; it cannot be honest.
    Reject,
}

/// Something to do. Performed in order; when a [`Action::Persist`] fails, nothing behind it is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Its streams are served from now on.
    Admit(NodeKey),
    /// It is a stranger from now on.
    Expel(NodeKey),
    /// It may not even connect.
    Block(NodeKey),
    /// It may connect again.
    Unblock(NodeKey),
    /// Connect once.
    Dial(String),
    /// A trusted peer may be found there.
    Remember(NodeKey, String),
    /// Say something to anybody connected.
    SayHello {
        /// To whom.
        to: NodeKey,
        /// What for.
        purpose: Purpose,
        /// What.
        request: HelloRequest,
    },
    /// Answer.
    AnswerHello(ReplyTo, HelloResponse),
    /// Ask a trusted peer.
    AskStatus {
        /// Whom.
        to: NodeKey,
        /// What for.
        purpose: Purpose,
        /// What.
        request: StatusRequest,
    },
    /// Answer.
    AnswerStatus(ReplyTo, StatusResponse),
    /// Tell all trusted neighbours.
    Announce(Vec<u8>),
    /// Judge what one of them told.
    Judge(GossipRef, Judgement),
    /// Write to the store and wait until it is safe.
    Persist(Box<testmesh_keys::keyring::Change>),
    /// Something could not be written before: write all that is known anew.
    CatchUp,
    /// Answer or tell a client.
    Tell(Client, Reply),
    /// Send a work message to a trusted peer.
    SendWork {
        /// To whom.
        to: NodeKey,
        /// What for.
        purpose: Purpose,
        /// What.
        request: WorkRequest,
    },
    /// Answer a work message.
    AnswerWork(ReplyTo, WorkResponse),
    /// Fetch the inputs of a peer's run and make a workspace of them.
    Prepare {
        /// Whose.
        submitter: NodeKey,
        /// What.
        open: Box<RunOpen>,
    },
    /// A peer's run is over: its workspace may go.
    Discard {
        /// Whose.
        submitter: NodeKey,
        /// Which.
        run: RunId,
    },
    /// Run a peer's job on a slot.
    Run {
        /// The slot.
        slot: u32,
        /// Whose.
        submitter: NodeKey,
        /// Of which run.
        run: RunId,
        /// The job.
        job: Box<Job>,
    },
    /// End the job on a slot.
    Kill {
        /// The slot.
        slot: u32,
        /// The job.
        id: JobId,
    },
    /// Tell a client about its run.
    TellRun(ClientId, RunReply),
    /// Answer a client out of the node's files.
    Ask(Client, Request),
    /// Read and name the inputs of a client's run.
    Scan {
        /// Whose.
        client: ClientId,
        /// Which run.
        run: RunId,
        /// What.
        sources: Vec<Source>,
    },
    /// A client's run is over: what it shipped may go.
    Release(RunId),
    /// Write a line of the audit log.
    Note {
        /// One word: `job` or `kill`.
        what: &'static str,
        /// The rest.
        text: String,
    },
    /// Say it to the log.
    Log(String),
    /// End the node.
    Stop,
}
