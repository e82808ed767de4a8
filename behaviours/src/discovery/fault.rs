//! What a failed dial means, for the book and for the owner.
//!
//! The swarm reports a dial that a behaviour forbade to behaviours only, so the dialer reports all of them itself.

use libp2p::swarm::DialError;
use libp2p::{Multiaddr, PeerId, TransportError};

use super::book::{Fault, Target};
use super::plain;
use crate::event::DialFailure;

/// A dial of ours that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undialled {
    /// Whom it was for, where known.
    pub peer: Option<PeerId>,
    /// The last address tried, where there was one; without the peer it names.
    pub address: Option<Multiaddr>,
    /// Why.
    pub why: DialFailure,
}

impl Undialled {
    pub(super) fn new(target: &Target, error: &DialError) -> Self {
        let (tried, why) = match error {
            DialError::LocalPeerId { address } => (Some(address.clone()), DialFailure::Ourselves),
            DialError::WrongPeerId { obtained, address } => {
                (Some(address.clone()), DialFailure::WrongPeer(*obtained))
            }
            DialError::Denied { cause } => (None, DialFailure::Denied(cause.to_string())),
            DialError::Aborted | DialError::DialPeerConditionFalse(_) => (None, DialFailure::Aborted),
            DialError::NoAddresses => (None, DialFailure::Unreachable("no address is known".to_owned())),
            DialError::Transport(tried) => unreachable_at(tried),
        };
        let (peer, given) = match target {
            Target::Peer(peer) => (Some(*peer), None),
            Target::Address(address) => (None, Some(address.clone())),
        };
        Self { peer, address: tried.as_ref().map(plain).or(given), why }
    }
}

/// What the book makes of it.
pub(super) fn fault(error: &DialError) -> Fault {
    match error {
        DialError::WrongPeerId { address, .. } => Fault::Wrong(plain(address)),
        DialError::LocalPeerId { address } => Fault::Ourselves(plain(address)),
        DialError::DialPeerConditionFalse(_) => Fault::Moot,
        _ => Fault::Unreachable,
    }
}

fn unreachable_at(tried: &[(Multiaddr, TransportError<std::io::Error>)]) -> (Option<Multiaddr>, DialFailure) {
    let Some((address, error)) = tried.last() else {
        return (None, DialFailure::Unreachable("no address was tried".to_owned()));
    };
    let why = match error {
        TransportError::MultiaddrNotSupported(_) => "this kind of address cannot be dialled".to_owned(),
        TransportError::Other(error) => error.to_string(),
    };
    (Some(address.clone()), DialFailure::Unreachable(why))
}
