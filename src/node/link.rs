//! The network as the state knows it: keys instead of peer ids, purposes instead of request numbers.
//!
//! Translates and keeps book of what is under way; decides nothing. Everything it keeps is bounded by what the network
//! allows at once, and goes when it is answered.

use std::collections::{BTreeMap, VecDeque};

use testmesh_behaviours::PeerId;
use testmesh_behaviours::blobs::Opening;
use testmesh_behaviours::blobs::stream::BlobStream;
use testmesh_behaviours::event::{Acceptance, Event as Heard, GossipId, Reply, RequestId};
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::network::Network;
use testmesh_behaviours::status::hello::HelloResponse;
use testmesh_behaviours::status::wire::StatusResponse;
use testmesh_behaviours::work::message::WorkResponse;

use super::event::{Action, Event, GossipRef, Judgement, Purpose, ReplyTo};

/// Gossip that waits to be judged; the network forgets it by itself after seconds.
const GOSSIP_MAX: usize = 1024;

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// For the state.
    Event(Event),
    /// A peer wants content.
    Blobs(NodeKey, BlobStream),
}

/// A request of a peer that waits for our answer.
#[derive(Debug)]
enum Asked {
    Hello(Reply<HelloResponse>),
    Status(Reply<StatusResponse>),
    Work(Reply<WorkResponse>),
}

/// A request of ours that waits for theirs.
#[derive(Debug)]
enum Asking {
    Hello(Purpose),
    Status(Purpose),
    Work(Purpose),
}

/// The network and what is under way on it.
pub struct Link {
    network: Network,
    asking: BTreeMap<RequestId, Asking>,
    asked: BTreeMap<ReplyTo, Asked>,
    gossip: VecDeque<(GossipRef, GossipId)>,
    count: u64,
}

impl Link {
    /// A network that nobody has listened to yet.
    pub fn new(network: Network) -> Self {
        Self { network, asking: BTreeMap::new(), asked: BTreeMap::new(), gossip: VecDeque::new(), count: 0 }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Opens a stream for content; the network must be listened to meanwhile.
    pub fn open_blob(&mut self, key: &NodeKey) -> Option<Opening> {
        Some(self.network.open_blob(key.peer()?))
    }

    /// Waits for what the network has to say. May be dropped at any time.
    pub async fn next(&mut self) -> Incoming {
        loop {
            let heard = self.network.next().await;
            if let Some(incoming) = self.heard(heard) {
                return incoming;
            }
        }
    }

    fn heard(&mut self, heard: Heard) -> Option<Incoming> {
        let event = match heard {
            Heard::BlobStream { peer, stream } => return Some(Incoming::Blobs(NodeKey::of(&peer)?, stream)),
            Heard::Listening { address } => Event::Listening(address.to_string()),
            Heard::ListenEnded { address } => Event::ListenEnded(address.to_string()),
            Heard::ListenFailed { addresses, why } => Event::ListenFailed(format!("{addresses:?}: {why}")),
            Heard::Connected { peer, address, inbound } => {
                Event::Connected { peer: NodeKey::of(&peer)?, address: address.to_string(), inbound }
            }
            Heard::Disconnected { peer, why } => Event::Disconnected { peer: NodeKey::of(&peer)?, why },
            Heard::DialFailed { peer, address, why } => Event::DialFailed {
                peer: peer.as_ref().and_then(NodeKey::of),
                address: address
                    .map_or_else(|| "an unknown address".to_owned(), |address| address.to_string()),
                why: why.to_string(),
            },
            Heard::Discovered { peer, address } => {
                Event::Discovered { peer: NodeKey::of(&peer)?, address: address.to_string() }
            }
            Heard::Identified { .. } => return None,
            Heard::Hello { peer, request, reply } => {
                let from = NodeKey::of(&peer)?;
                Event::Hello { from, request, reply: self.keep(Asked::Hello(reply)) }
            }
            Heard::Status { peer, request, reply } => {
                let from = NodeKey::of(&peer)?;
                Event::Status { from, request, reply: self.keep(Asked::Status(reply)) }
            }
            Heard::Work { peer, request, reply } => {
                let from = NodeKey::of(&peer)?;
                Event::Work { from, request, reply: self.keep(Asked::Work(reply)) }
            }
            Heard::HelloAnswer { peer, id, answer } => match self.asking.remove(&id)? {
                Asking::Hello(purpose) => {
                    Event::HelloAnswer { from: NodeKey::of(&peer)?, purpose, answer: Ok(answer) }
                }
                Asking::Status(_) | Asking::Work(_) => return None,
            },
            Heard::StatusAnswer { peer, id, answer } => match self.asking.remove(&id)? {
                Asking::Status(purpose) => {
                    Event::StatusAnswer { from: NodeKey::of(&peer)?, purpose, answer: Ok(answer) }
                }
                Asking::Hello(_) | Asking::Work(_) => return None,
            },
            Heard::WorkAnswer { peer, id, answer } => match self.asking.remove(&id)? {
                Asking::Work(purpose) => {
                    Event::WorkAnswer { from: NodeKey::of(&peer)?, purpose, answer: Ok(answer) }
                }
                Asking::Hello(_) | Asking::Status(_) => return None,
            },
            Heard::RequestFailed { peer, id, why } => self.failed(&peer, id, why.to_string())?,
            Heard::Gossip { from, id, bytes } => {
                let reference = GossipRef(self.number());
                if self.gossip.len() >= GOSSIP_MAX {
                    self.gossip.pop_front();
                }
                self.gossip.push_back((reference, id));
                Event::Gossip { from: NodeKey::of(&from)?, id: reference, bytes }
            }
        };
        Some(Incoming::Event(event))
    }

    fn failed(&mut self, peer: &PeerId, id: RequestId, why: String) -> Option<Event> {
        let from = NodeKey::of(peer)?;
        Some(match self.asking.remove(&id)? {
            Asking::Hello(purpose) => Event::HelloAnswer { from, purpose, answer: Err(why) },
            Asking::Status(purpose) => Event::StatusAnswer { from, purpose, answer: Err(why) },
            Asking::Work(purpose) => Event::WorkAnswer { from, purpose, answer: Err(why) },
        })
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn keep(&mut self, asked: Asked) -> ReplyTo {
        let reply = ReplyTo(self.number());
        self.asked.insert(reply, asked);
        reply
    }

    /// Performs an action that is for the network; gives back any other.
    pub fn perform(&mut self, action: Action) -> Option<Action> {
        match action {
            Action::Admit(key) => self.with(&key, Network::admit),
            Action::Expel(key) => self.with(&key, Network::expel),
            Action::Block(key) => self.with(&key, Network::block),
            Action::Unblock(key) => self.with(&key, Network::unblock),
            Action::Dial(address) => match address.parse() {
                Ok(address) => self.network.dial(&address),
                Err(error) => tracing::warn!(%address, %error, "not an address"),
            },
            Action::Remember(key, address) => {
                if let (Some(peer), Ok(address)) = (key.peer(), address.parse()) {
                    self.network.remember(peer, &address);
                }
            }
            Action::SayHello { to, purpose, request } => {
                if let Some(peer) = to.peer() {
                    let id = self.network.say_hello(peer, request);
                    self.asking.insert(id, Asking::Hello(purpose));
                }
            }
            Action::AskStatus { to, purpose, request } => {
                if let Some(peer) = to.peer() {
                    let id = self.network.ask_status(peer, request);
                    self.asking.insert(id, Asking::Status(purpose));
                }
            }
            Action::SendWork { to, purpose, request } => {
                if let Some(peer) = to.peer() {
                    let id = self.network.send_work(peer, request);
                    self.asking.insert(id, Asking::Work(purpose));
                }
            }
            Action::AnswerHello(to, answer) => {
                if let Some(Asked::Hello(reply)) = self.asked.remove(&to) {
                    self.network.answer_hello(reply, answer);
                }
            }
            Action::AnswerStatus(to, answer) => {
                if let Some(Asked::Status(reply)) = self.asked.remove(&to) {
                    self.network.answer_status(reply, answer);
                }
            }
            Action::AnswerWork(to, answer) => {
                if let Some(Asked::Work(reply)) = self.asked.remove(&to) {
                    self.network.answer_work(reply, answer);
                }
            }
            Action::Announce(bytes) => {
                if let Err(error) = self.network.announce(bytes) {
                    tracing::debug!(%error, "not announced; peers will ask");
                }
            }
            Action::Judge(reference, judgement) => self.judge(reference, judgement),
            other => return Some(other),
        }
        None
    }

    fn with(&mut self, key: &NodeKey, act: fn(&mut Network, PeerId)) {
        if let Some(peer) = key.peer() {
            act(&mut self.network, peer);
        }
    }

    fn judge(&mut self, reference: GossipRef, judgement: Judgement) {
        let Some(place) = self.gossip.iter().position(|(known, _)| *known == reference) else { return };
        let Some((_, id)) = self.gossip.remove(place) else { return };
        let acceptance = match judgement {
            Judgement::Accept => Acceptance::Accept,
            Judgement::Ignore => Acceptance::Ignore,
            Judgement::Reject => Acceptance::Reject,
        };
        self.network.judge_gossip(&id, acceptance);
    }

    /// Says goodbye and ends.
    pub async fn shutdown(self) {
        self.network.shutdown().await;
    }
}
