//! Announcements: gossipsub with the bounds of a LAN.
//!
//! One topic, only between peers that trust each other, nothing passed on before the owner judged it. Losing a
//! message costs time only: the pairwise exchange of the Status role is what makes nodes agree.

use std::collections::HashSet;
use std::time::Duration;

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
