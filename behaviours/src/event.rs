//! All that the network can tell its owner, in one flat enum.
//!
//! Nothing here judges trust or content: every event says what happened, to whom, and hands over what is needed to
//! answer.

use std::fmt;

use libp2p::gossipsub::MessageId;
use libp2p::request_response::ResponseChannel;
use libp2p::{Multiaddr, PeerId};

use crate::blobs::stream::BlobStream;
use crate::status::hello::{HelloRequest, HelloResponse};
use crate::status::wire::{StatusRequest, StatusResponse};
use crate::work::message::{WorkRequest, WorkResponse};

/// Names a request of ours until its answer or failure; never used twice by one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {}", self.0)
    }
}

/// Names a gossip message until it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipId {
    pub(crate) message: MessageId,
    pub(crate) from: PeerId,
}

/// What becomes of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Valid: passed on to others.
    Accept,
    /// Not for us, or not now: dropped without blame.
    Ignore,
    /// Cannot be honest, such as a wrong signature: dropped, the sender is to blame.
    Reject,
}

/// Where the answer to a request of a peer goes. Dropping it makes the peer see a broken stream, so answer always.
pub struct Reply<T> {
    pub(crate) peer: PeerId,
    pub(crate) channel: ResponseChannel<T>,
}

impl<T> Reply<T> {
    /// Who asked.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Whether there is still somebody to answer.
    #[must_use]
    pub fn is_open(&self) -> bool
    where
        T: fmt::Debug,
    {
        self.channel.is_open()
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Why a request or a stream failed. What the peer did with the request is then unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// We do not trust the peer, so nothing is asked of it.
    #[error("this node does not trust the peer")]
    NotTrusted,
    /// There is no connection to the peer; nothing was sent.
    #[error("not connected")]
    NotConnected,
    /// The peer answers this protocol to nobody like us: it does not trust this node.
    #[error("the peer does not trust this node, or has no such protocol")]
    NotAdmitted,
    /// Too many requests to this peer are under way; nothing was sent.
    #[error("too many requests to this peer at once")]
    Busy,
    /// The message breaks a bound of its own; nothing was sent.
    #[error("the message is too large: {0}")]
    TooLarge(#[from] crate::check::Excess),
    /// The answer broke a bound.
    #[error("the answer is out of bounds: {0}")]
    BadAnswer(crate::check::Excess),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection closed first.
    #[error("the connection closed")]
    Closed,
    /// The stream broke, or what came could not be read.
    #[error("broken stream: {0}")]
    Broken(String),
}

/// Why a peer could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    /// No address answered, or the handshake failed (as it does for another mesh).
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Another key answered there.
    #[error("{0} answered instead")]
    WrongPeer(PeerId),
    /// This node answered.
    #[error("the address is this node's own")]
    Ourselves,
    /// A limit or a block of ours forbade it.
    #[error("not allowed here: {0}")]
    Denied(String),
    /// Given up before it was answered.
    #[error("abandoned")]
    Aborted,
}

/// Something happened on the network.
#[derive(Debug)]
pub enum Event {
    /// The swarm now accepts connections on this address.
    Listening {
        /// With the port really taken.
        address: Multiaddr,
    },
    /// An address is no longer listened on, such as when an interface went away.
    ListenEnded {
        /// Which.
        address: Multiaddr,
    },
    /// A listener failed and is gone.
    ListenFailed {
        /// The addresses it had.
        addresses: Vec<Multiaddr>,
        /// The system's reason.
        why: String,
    },
    /// The first connection to a peer whose key is proven. Says nothing about trust in either direction.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where from or where to.
        address: Multiaddr,
        /// Whether the peer dialled.
        inbound: bool,
    },
    /// The last connection to a peer is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
        /// The reason, where there is one.
        why: Option<String>,
    },
    /// A dial failed; the dialer goes on by itself where the peer is fixed, trusted or freshly seen.
    DialFailed {
        /// Whom it was for, where known.
        peer: Option<PeerId>,
        /// The last address tried, where there was one; without the peer it names.
        address: Option<Multiaddr>,
        /// Why.
        why: DialFailure,
    },
    /// Somebody was seen on the LAN. A hint that anybody can forge, and many of: keep a bounded list.
    Discovered {
        /// Who, as the record says.
        peer: PeerId,
        /// Where, as the record says.
        address: Multiaddr,
    },
    /// A connected peer told what program it runs. Claimed.
    Identified {
        /// Who.
        peer: PeerId,
        /// Program, version and name, as [`crate::network::NetworkConfig::agent`] of the peer.
        agent: String,
    },
    /// A peer, perhaps a stranger, says hello, hands over revocations or leaves.
    Hello {
        /// Who.
        peer: PeerId,
        /// What it says.
        request: HelloRequest,
        /// To [`crate::network::Network::answer_hello`].
        reply: Reply<HelloResponse>,
    },
    /// The answer to a hello of ours.
    HelloAnswer {
        /// Who answers.
        peer: PeerId,
        /// Which request.
        id: RequestId,
        /// The answer.
        answer: HelloResponse,
    },
    /// A trusted peer asks about trust or load.
    Status {
        /// Who.
        peer: PeerId,
        /// What it asks.
        request: StatusRequest,
        /// To [`crate::network::Network::answer_status`].
        reply: Reply<StatusResponse>,
    },
    /// The answer to a status request of ours.
    StatusAnswer {
        /// Who answers.
        peer: PeerId,
        /// Which request.
        id: RequestId,
        /// The answer.
        answer: StatusResponse,
    },
    /// A trusted peer offers, delivers, cancels or looks for something.
    Work {
        /// Who.
        peer: PeerId,
        /// What.
        request: WorkRequest,
        /// To [`crate::network::Network::answer_work`].
        reply: Reply<WorkResponse>,
    },
    /// The answer to a work request of ours.
    WorkAnswer {
        /// Who answers.
        peer: PeerId,
        /// Which request.
        id: RequestId,
        /// The answer.
        answer: WorkResponse,
    },
    /// A request of ours has no answer and will have none.
    RequestFailed {
        /// Who was asked.
        peer: PeerId,
        /// Which request.
        id: RequestId,
        /// Why.
        why: Failure,
    },
    /// A trusted neighbour passes on an announcement. It goes no further before
    /// [`crate::network::Network::judge_gossip`].
    Gossip {
        /// The neighbour, not the author.
        from: PeerId,
        /// To judge it by.
        id: GossipId,
        /// Opaque.
        bytes: Vec<u8>,
    },
    /// A trusted peer opened a blob stream and will ask for something.
    BlobStream {
        /// Who.
        peer: PeerId,
        /// To serve; keep it no longer than needed.
        stream: BlobStream,
    },
}
