//! The set of peers this node trusts, shared between the swarm's task and every connection's.
//!
//! Fed from outside with the outcome of the closure; decides nothing. Reading it is cheap: every inbound stream asks.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use libp2p::PeerId;

/// Who may speak the gated protocols. Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct Trust(Arc<RwLock<Sets>>);

#[derive(Debug, Default)]
struct Sets {
    /// Peers this node trusts.
    ours: BTreeSet<PeerId>,
    /// Connected peers that said they trust this node.
    theirs: BTreeSet<PeerId>,
}

impl Trust {
    fn read<T>(&self, look: impl FnOnce(&Sets) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Sets) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Trusts a peer; false where it was trusted before.
    pub(crate) fn admit(&self, peer: PeerId) -> bool {
        self.write(|sets| sets.ours.insert(peer))
    }

    /// No longer trusts a peer; false where it was not trusted.
    pub(crate) fn expel(&self, peer: &PeerId) -> bool {
        self.write(|sets| sets.ours.remove(peer))
    }

    /// Notes what a connected peer says of us.
    pub(crate) fn set_theirs(&self, peer: PeerId, trusts_us: bool) {
        self.write(|sets| if trusts_us { sets.theirs.insert(peer) } else { sets.theirs.remove(&peer) });
    }

    /// Whether this node trusts the peer.
    #[must_use]
    pub fn admits(&self, peer: &PeerId) -> bool {
        self.read(|sets| sets.ours.contains(peer))
    }

    /// Whether both trust each other, as far as is known here.
    #[must_use]
    pub fn mutual(&self, peer: &PeerId) -> bool {
        self.read(|sets| sets.ours.contains(peer) && sets.theirs.contains(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_has_two_directions() {
        let (trust, peer) = (Trust::default(), PeerId::random());
        trust.set_theirs(peer, true);
        assert!(!trust.admits(&peer) && !trust.mutual(&peer), "their trust is not ours");
        assert!(trust.admit(peer) && !trust.admit(peer));
        assert!(trust.admits(&peer) && trust.mutual(&peer));
        trust.set_theirs(peer, false);
        assert!(trust.admits(&peer) && !trust.mutual(&peer));
        assert!(trust.expel(&peer) && !trust.expel(&peer) && !trust.admits(&peer));
    }
}
