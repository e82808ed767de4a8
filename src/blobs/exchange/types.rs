//! What goes into and comes out of an exchange.

use crate::blobs::id::BlobId;
use crate::blobs::manifest::Chunk;
use crate::blobs::wire::Want;

/// Names what a run waits for; chosen by the caller, such as the run's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeedId(pub u64);

/// Names one stream to one peer with its questions; never used twice by one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

/// What became of one wanted blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<P> {
    /// It is in the store, verified.
    Arrived,
    /// The peer does not have it.
    Missing,
    /// The peer has too much to do.
    Busy,
    /// The peer names others that have it or are getting it.
    Elsewhere(Vec<P>),
    /// The peer refuses for good, or breaks the protocol.
    Refused,
    /// The bytes were not what their name says; they are gone.
    Corrupt,
    /// The stream broke on the way; so many bytes from the beginning are kept.
    Interrupted {
        /// Bytes from the beginning, those of earlier tries included.
        have: u64,
    },
    /// This node could not keep it, such as for want of room.
    NotKept,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<P> {
    /// Something waits for these blobs, none of which is in the store. Asking again adds to the same need.
    Need {
        /// Who waits.
        need: NeedId,
        /// For what; a length is the most that is taken.
        blobs: Vec<Chunk>,
        /// Peers that should have all of them, the submitter.
        sources: Vec<P>,
    },
    /// Nobody waits any more.
    Release(NeedId),
    /// The answer to one of a transfer's wants.
    Answered {
        /// Which transfer.
        transfer: TransferId,
        /// Which of its blobs.
        id: BlobId,
        /// What became of it.
        outcome: Outcome<P>,
    },
    /// Others were given these, or are getting them, by somebody who was asked.
    Given(Vec<(BlobId, P)>),
    /// The transfer's stream is over or was never opened; wants without an answer are tried again.
    Closed {
        /// Which transfer.
        transfer: TransferId,
        /// Whether it went as it should.
        clean: bool,
    },
    /// The peer is lost, or no longer trusted.
    Gone(P),
    /// Time has come that [`super::Exchange::wake`] named.
    Tick,
}

/// Something is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<P> {
    /// Open a stream to the peer and ask.
    Fetch {
        /// Named in the reports.
        transfer: TransferId,
        /// Whom.
        peer: P,
        /// What, at most [`crate::blobs::wire::WANTS_MAX`].
        wants: Vec<Want>,
    },
    /// Drop the stream; no report is needed.
    Abort(TransferId),
    /// All of the need is in the store.
    Ready(NeedId),
    /// Nobody who could be asked has these; the need is given up. Infra, never a verdict.
    Unavailable {
        /// Whose.
        need: NeedId,
        /// At least one.
        blobs: Vec<BlobId>,
    },
    /// The peer sent something else under this name, all of it alone. It is asked nothing more.
    Blame {
        /// Who.
        peer: P,
        /// Which name.
        blob: BlobId,
    },
}
