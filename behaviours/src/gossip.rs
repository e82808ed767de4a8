//! Announcements: gossipsub with the bounds of a LAN.
//!
//! One topic, only between peers that trust each other, nothing passed on before the owner judged it. Losing a
//! message costs time only: the pairwise exchange of the Status role is what makes nodes agree.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, IdentityTransform, Message, MessageAuthenticity, MessageId,
    TopicHash, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;

/// The only topic.
pub const TOPIC: &str = "testmesh/statements/1";
/// Bytes of a message with its frame.
pub const TRANSMIT_MAX: usize = 32 * 1024;
/// Bytes of an announcement; leaves room for author, signature and topic.
pub const ANNOUNCEMENT_MAX: usize = TRANSMIT_MAX - 1024;
/// Messages waiting for one peer: 256 of the largest are 8 MiB a stuck peer.
pub const QUEUE_MAX: usize = 256;
/// How long a message is known as seen; a repetition within is dropped.
pub const MEMORY: Duration = Duration::from_secs(5 * 60);
/// New messages a neighbour may pass on at once: a mesh of so many keys starts, and everybody publishes.
pub const BURST: u32 = 1024;
/// And from then on, one in so much time. Every message is remembered for [`MEMORY`], so this bounds what a neighbour
/// can make a node remember: about 6,000 names.
pub const EVERY: Duration = Duration::from_millis(62);
/// Neighbours in the mesh: wanted, least, most, and at least so many we dialled.
const NEIGHBOURS: (usize, usize, usize, usize) = (4, 3, 8, 1);
/// Heartbeats a message can be judged and asked for, and those it is advertised in.
const HISTORY: (usize, usize) = (10, 5);

/// Gossip between trusted peers.
pub type Gossip = Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// The topic, as published to.
#[must_use]
pub fn topic() -> IdentTopic {
    IdentTopic::new(TOPIC)
}

/// One content, one name: whoever publishes it, it passes once.
fn name(message: &Message) -> MessageId {
    MessageId::from(blake3::hash(&message.data).as_bytes().to_vec())
}

/// The behaviour, subscribed.
///
/// # Errors
/// The library's text where it does not like the settings.
pub fn gossip(keypair: &Keypair) -> Result<Gossip, String> {
    let (wanted, least, most, outbound) = NEIGHBOURS;
    let config = ConfigBuilder::default()
        .mesh_n(wanted)
        .mesh_n_low(least)
        .mesh_n_high(most)
        .mesh_outbound_min(outbound)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .duplicate_cache_time(MEMORY)
        .history_length(HISTORY.0)
        .history_gossip(HISTORY.1)
        .max_transmit_size(TRANSMIT_MAX)
        .connection_handler_queue_len(QUEUE_MAX)
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(name)
        .build()
        .map_err(|error| error.to_string())?;
    let only = HashSet::from([TopicHash::from(topic())]);
    let author = MessageAuthenticity::Signed(keypair.clone());
    let filter = WhitelistSubscriptionFilter(only);
    let mut behaviour =
        Behaviour::new_with_subscription_filter(author, config, filter).map_err(str::to_owned)?;
    behaviour.subscribe(&topic()).map_err(|error| error.to_string())?;
    Ok(behaviour)
}

/// What neighbours may still pass on. One that goes beyond is not listened to until it comes back on a new connection
/// and has been quiet; statements still reach it and come from it by the pairwise exchange.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    left: BTreeMap<PeerId, (u32, Instant)>,
}

impl Budget {
    /// Takes one message off; false from the first beyond what the neighbour may.
    pub(crate) fn spend(&mut self, peer: PeerId, now: Instant) -> bool {
        let (left, since) = self.left(&peer, now);
        self.left.insert(peer, (left.saturating_sub(1), since));
        left > 0
    }

    /// Whether a neighbour that went beyond is listened to again; it is forgotten then.
    pub(crate) fn forgive(&mut self, peer: &PeerId, now: Instant) -> bool {
        let forgiven = self.left(peer, now).0 >= BURST;
        if forgiven {
            self.left.remove(peer);
        }
        forgiven
    }

    /// It is not trusted any more: others have the room.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.left.remove(peer);
    }

    /// What is left, and when the latest of what came back did.
    fn left(&self, peer: &PeerId, now: Instant) -> (u32, Instant) {
        let Some((left, since)) = self.left.get(peer) else { return (BURST, now) };
        let back = now.saturating_duration_since(*since).as_millis() / EVERY.as_millis();
        let back = u32::try_from(back).unwrap_or(u32::MAX).min(BURST);
        match left.saturating_add(back) {
            left if left >= BURST => (BURST, now),
            left => (left, *since + EVERY * back),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_that_floods_is_cut_off_and_forgiven_when_it_was_quiet() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let (loud, calm) = (PeerId::random(), PeerId::random());
        assert!((0..BURST).all(|_| budget.spend(loud, start)));
        assert!(!budget.spend(loud, start) && budget.spend(calm, start));
        assert!(budget.spend(loud, start + EVERY), "one comes back");
        assert!(!budget.forgive(&loud, start + EVERY * 2));
        assert!(budget.forgive(&loud, start + EVERY * (BURST + 2)) && budget.left(&loud, start).0 == BURST);
    }

    #[test]
    fn what_a_neighbour_can_make_a_node_remember_is_bounded() {
        let (mut budget, start, peer) = (Budget::default(), Instant::now(), PeerId::random());
        let milliseconds = u32::try_from(MEMORY.as_millis()).unwrap();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let heard = (0..milliseconds).filter(|now| budget.spend(peer, at(u64::from(*now)))).count();
        assert!(heard < 6_000, "{heard}");
    }
}
