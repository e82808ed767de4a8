//! Requests of one protocol under way: so many at once to a peer, a few more waiting, the rest refused.
//!
//! The library has no back pressure of its own: above its stream limit it fails requests, and the other side drops
//! them without a word.

use std::collections::{BTreeMap, VecDeque};

use libp2p::PeerId;
use libp2p::request_response::{OutboundRequestId, cbor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::{Failure, RequestId};

/// Requests that may wait for one peer.
pub const WAITING_MAX: usize = 64;

/// Requests of one protocol.
pub(super) struct Lane<Q> {
    /// Under way at once to one peer: half of the streams, the other half is the peer's.
    most: usize,
    sent: BTreeMap<OutboundRequestId, (PeerId, RequestId)>,
    waiting: BTreeMap<PeerId, VecDeque<(RequestId, Q)>>,
}

impl<Q: Serialize + DeserializeOwned + Send + Clone + 'static> Lane<Q> {
    pub(super) fn new(streams: usize) -> Self {
        Self { most: streams / 2, sent: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// Sends or queues a request.
    pub(super) fn submit<R>(
        &mut self,
        protocol: &mut cbor::Behaviour<Q, R>,
        peer: PeerId,
        id: RequestId,
        request: Q,
    ) -> Result<(), Failure>
    where
        R: Serialize + DeserializeOwned + Send + Clone + 'static,
    {
        let waiting = self.waiting.entry(peer).or_default();
        if waiting.len() >= WAITING_MAX {
            return Err(Failure::Busy);
        }
        waiting.push_back((id, request));
        self.pump(protocol, peer);
        Ok(())
    }

    /// A request is over: says which it was and sends the next.
    pub(super) fn settle<R>(
        &mut self,
        protocol: &mut cbor::Behaviour<Q, R>,
        request: OutboundRequestId,
    ) -> Option<RequestId>
    where
        R: Serialize + DeserializeOwned + Send + Clone + 'static,
    {
        let (peer, id) = self.sent.remove(&request)?;
        self.pump(protocol, peer);
        Some(id)
    }

    /// The peer is gone: those waiting will not be sent.
    pub(super) fn abandon(&mut self, peer: PeerId) -> Vec<RequestId> {
        self.waiting.remove(&peer).unwrap_or_default().into_iter().map(|(id, _)| id).collect()
    }

    fn pump<R>(&mut self, protocol: &mut cbor::Behaviour<Q, R>, peer: PeerId)
    where
        R: Serialize + DeserializeOwned + Send + Clone + 'static,
    {
        let Some(waiting) = self.waiting.get_mut(&peer) else { return };
        let mut under_way = self.sent.values().filter(|(other, _)| *other == peer).count();
        while under_way < self.most
            && let Some((id, request)) = waiting.pop_front()
        {
            self.sent.insert(protocol.send_request(&peer, request), (peer, id));
            under_way += 1;
        }
        if waiting.is_empty() {
            self.waiting.remove(&peer);
        }
    }
}
