//! Peers as workers, through the node of this machine.
//!
//! Knows which number stands for which peer, bundles what is to be sent, and turns what the node says into
//! [`Told`]. Never decides who runs what, and never waits: the line to the node is two bounded queues.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::work::message::Refusal as Refused;
use tokio::sync::mpsc;

use super::Told;
use crate::job::{Job, JobId};
use crate::local::client::{Client, ClientError};
use crate::local::run::{OFFER_MAX, Open, RunReply, RunRequest, unpack};
use crate::local::wire::{Answer, Reply, Request};
use crate::schedule::dispatch::{Joined, Kind, Leaving, Refusal, WorkerId};

/// A peer in a run is asked for a sign of life this often; after three missing ones its tests go elsewhere.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How often a node that is gone is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// Messages that may wait in either direction.
const QUEUE: usize = 1024;

/// The two ends of a conversation with the node.
#[derive(Debug)]
pub struct Line {
    /// To the node.
    pub requests: mpsc::Sender<RunRequest>,
    /// From the node; closed when the node is gone.
    pub replies: mpsc::Receiver<RunReply>,
}

/// The way to a node, and what it must know of the run: enough to come back to one that was started again.
#[derive(Debug, Clone)]
pub struct Way {
    /// Its socket.
    pub socket: PathBuf,
    /// Who comes, for its log.
    pub program: &'static str,
    /// The run.
    pub open: Open,
}

impl Way {
    /// Connects to the node.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.socket, self.program, None).await
    }
}

impl Line {
    /// Opens a run at the node and begins the conversation about it. The task behind it ends with the line.
    pub fn to(client: Client, open: Open) -> Self {
        let (line, outgoing, incoming) = Self::new();
        tokio::spawn(converse(client, open, outgoing, incoming));
        line
    }

    /// The same with a node that is not there yet: waits for it as long as the line is held.
    fn once_back(way: Way) -> Self {
        let (line, mut outgoing, incoming) = Self::new();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    request = outgoing.recv() => if request.is_none() { return },
                }
                if let Ok(client) = way.connect().await {
                    return converse(client, way.open, outgoing, incoming).await;
                }
            }
        });
        line
    }

    fn new() -> (Self, mpsc::Receiver<RunRequest>, mpsc::Sender<RunReply>) {
        let (requests, outgoing) = mpsc::channel(QUEUE);
        let (incoming, replies) = mpsc::channel(QUEUE);
        (Self { requests, replies }, outgoing, incoming)
    }
}

/// Passes on what both sides say until one of them is gone.
async fn converse(
    mut client: Client,
    open: Open,
    mut outgoing: mpsc::Receiver<RunRequest>,
    incoming: mpsc::Sender<RunReply>,
) {
    let mut next = Some(RunRequest::Open(Box::new(open)));
    loop {
        if let Some(request) = next.take()
            && client.send(Request::Run(request)).await.is_err()
        {
            return;
        }
        tokio::select! {
            request = outgoing.recv() => match request {
                Some(request) => next = Some(request),
                None => return,
            },
            answer = client.next() => match answer {
                Ok(Answer { reply: Reply::Run(reply), .. }) => {
                    if incoming.send(reply).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the node is gone");
                    return;
                }
            },
        }
    }
}

/// A peer that takes part, or did.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Its key.
    pub key: NodeKey,
    /// Its name, for people.
    pub name: String,
    /// Its slots; 0: paused or gone.
    pub slots: u32,
    present: bool,
}

/// The peers of a run.
#[derive(Debug)]
pub struct Mesh {
    line: Line,
    /// Back to the node when it is gone.
    way: Option<Way>,
    workers: BTreeMap<WorkerId, Peer>,
    numbers: BTreeMap<NodeKey, WorkerId>,
    offers: BTreeMap<NodeKey, Vec<Job>>,
    cancels: BTreeMap<NodeKey, Vec<JobId>>,
    /// What could not be sent because the node does not keep up; in order.
    unsent: std::collections::VecDeque<RunRequest>,
    /// Bytes of results that came.
    received: u64,
    /// Bytes of inputs that this machine's node sent to peers meanwhile.
    shipped: u64,
    /// Whether the node is there.
    open: bool,
    /// Peers that were there when the run was opened; none before that.
    expected: Option<usize>,
    /// Peers that are ready, or never will be.
    settled: BTreeSet<NodeKey>,
}

impl Mesh {
    /// A run that the node knows of, and the way back to it if it is started again meanwhile.
    pub fn new(line: Line, way: Option<Way>) -> Self {
        Self {
            line,
            way,
            workers: BTreeMap::new(),
            numbers: BTreeMap::new(),
            offers: BTreeMap::new(),
            cancels: BTreeMap::new(),
            unsent: std::collections::VecDeque::new(),
            received: 0,
            shipped: 0,
            open: true,
            expected: None,
            settled: BTreeSet::new(),
        }
    }

    /// Whether every peer that was there at the beginning is ready or has said why not.
    pub fn is_settled(&self) -> bool {
        !self.open || self.expected.is_some_and(|expected| self.settled.len() >= expected)
    }

    /// Whether the node is there.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether anything may still be heard of it.
    pub fn listens(&self) -> bool {
        self.open || self.way.is_some()
    }

    /// A peer by its number.
    pub fn peer(&self, worker: WorkerId) -> Option<&Peer> {
        self.workers.get(&worker)
    }

    /// Everybody who ever took part.
    pub fn peers(&self) -> impl Iterator<Item = (WorkerId, &Peer)> {
        self.workers.iter().map(|(worker, peer)| (*worker, peer))
    }

    /// Bytes of results, compressed, that came from peers.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of inputs that this machine's node sent to peers.
    pub fn shipped(&self) -> u64 {
        self.shipped
    }

    /// Asks the node for slots of this machine.
    pub fn want(&mut self, slots: u32) {
        self.send(RunRequest::Want(slots));
    }

    /// Gives slots of this machine back.
    pub fn release(&mut self, slots: u32) {
        self.send(RunRequest::Release(slots));
    }

    /// Puts a job on the next offer.
    pub fn start(&mut self, worker: WorkerId, job: Job) {
        if let Some(peer) = self.workers.get(&worker) {
            self.offers.entry(peer.key).or_default().push(job);
        }
    }

    /// Puts a job on the next cancellation.
    pub fn cancel(&mut self, worker: WorkerId, job: JobId) {
        let Some(peer) = self.workers.get(&worker) else { return };
        let waiting = self.offers.entry(peer.key).or_default();
        let before = waiting.len();
        waiting.retain(|other| other.id != job);
        if waiting.len() == before {
            self.cancels.entry(peer.key).or_default().push(job);
        }
    }

    /// Sends what was put together.
    pub fn flush(&mut self) {
        for (peer, jobs) in std::mem::take(&mut self.cancels) {
            self.send(RunRequest::Cancel { peer, jobs });
        }
        for (peer, jobs) in std::mem::take(&mut self.offers) {
            let mut jobs = jobs.into_iter().peekable();
            while jobs.peek().is_some() {
                let jobs = jobs.by_ref().take(OFFER_MAX).collect();
                self.send(RunRequest::Offer { peer, jobs });
            }
        }
    }

    fn send(&mut self, request: RunRequest) {
        if !self.open {
            return;
        }
        self.unsent.push_back(request);
        self.push();
    }

    fn push(&mut self) {
        while let Some(request) = self.unsent.pop_front() {
            match self.line.requests.try_send(request) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(request)) => return self.unsent.push_front(request),
                // The other queue says so, too, in order.
                Err(mpsc::error::TrySendError::Closed(_)) => self.unsent.clear(),
            }
        }
    }

    /// Waits for what the node says; none: it is gone. May be dropped at any time.
    pub async fn next(&mut self) -> Option<RunReply> {
        while !self.unsent.is_empty() {
            tokio::select! {
                reply = self.line.replies.recv() => return reply,
                place = self.line.requests.clone().reserve_owned() => match place {
                    Ok(place) => {
                        if let Some(request) = self.unsent.pop_front() {
                            place.send(request);
                        }
                    }
                    Err(_) => self.unsent.clear(),
                },
            }
        }
        self.line.replies.recv().await
    }

    /// What a word of the node means for the dispatcher.
    pub fn told(&mut self, reply: RunReply) -> Vec<Told> {
        match &reply {
            RunReply::Opened { peers, .. } => self.expected = Some(*peers as usize),
            RunReply::Unshippable(_) => self.expected = Some(0),
            RunReply::Ready { peer, .. } | RunReply::Unfit { peer, .. } | RunReply::Gone { peer, .. } => {
                self.settled.insert(*peer);
            }
            _ => {}
        }
        match reply {
            RunReply::Opened { .. }
            | RunReply::Granted(_)
            | RunReply::Recall(_)
            | RunReply::Preparing { .. }
            | RunReply::Scanned { .. } => Vec::new(),
            RunReply::Shipped(bytes) => {
                self.shipped += bytes;
                Vec::new()
            }
            RunReply::Unshippable(why) => vec![Told::Notice(format!("no peer can take part: {why}"))],
            RunReply::Ready { peer, name, slots, slowness } => vec![self.ready(peer, name, slots, slowness)],
            RunReply::Unfit { name, why, .. } => vec![Told::Notice(format!("{name} takes no part: {why}"))],
            RunReply::Gone { peer, revoked, orderly } => self.gone(peer, revoked, orderly),
            RunReply::Alive(peer) => {
                self.numbers.get(&peer).map(|worker| Told::Heard(*worker)).into_iter().collect()
            }
            RunReply::Offered { peer, accepted, refused } => self.offered(peer, accepted, refused),
            RunReply::Undelivered { peer, jobs, why } => {
                let why = Refusal::Unreachable(why);
                self.refused(peer, jobs.into_iter().map(|job| (job, why.clone())))
            }
            RunReply::Results { peer, bytes } => self.results(peer, &bytes),
        }
    }

    fn ready(&mut self, key: NodeKey, name: String, slots: u32, slowness: u32) -> Told {
        let next = u32::try_from(self.workers.len() + 1).unwrap_or(u32::MAX);
        let worker = *self.numbers.entry(key).or_insert(WorkerId(next));
        let was = self.workers.insert(worker, Peer { key, name, slots, present: true });
        if was.is_some_and(|peer| peer.present) {
            return Told::Changed { worker, slots };
        }
        let slowness = f64::from(slowness) / 1000.0;
        let joined = Joined {
            kind: Kind::Peer,
            slots,
            queues: true,
            unfit: None,
            slowness,
            heartbeat: Some(HEARTBEAT),
        };
        Told::Joined { worker, joined }
    }

    fn gone(&mut self, key: NodeKey, revoked: bool, orderly: bool) -> Vec<Told> {
        let Some(worker) = self.numbers.get(&key).copied() else { return Vec::new() };
        let Some(peer) = self.workers.get_mut(&worker) else { return Vec::new() };
        peer.present = false;
        peer.slots = 0;
        let (leaving, words) = match (revoked, orderly) {
            (true, _) => (Leaving::Revoked, "is not trusted any more"),
            (false, true) => (Leaving::Drained, "has stopped"),
            (false, false) => (Leaving::Lost, "was lost"),
        };
        let notice = format!("{} {words}; its tests run elsewhere", peer.name);
        vec![Told::Left { worker, leaving }, Told::Notice(notice)]
    }

    fn offered(&mut self, key: NodeKey, accepted: Vec<JobId>, refused: Vec<(JobId, Refused)>) -> Vec<Told> {
        let Some(worker) = self.numbers.get(&key).copied() else { return Vec::new() };
        let accepted = accepted.into_iter().map(|job| Told::Accepted { worker, job });
        let refused = self.refused(key, refused.into_iter().map(|(job, why)| (job, refusal(why))));
        accepted.chain(refused).collect()
    }

    fn refused(&self, key: NodeKey, jobs: impl Iterator<Item = (JobId, Refusal)>) -> Vec<Told> {
        let Some(worker) = self.numbers.get(&key).copied() else { return Vec::new() };
        jobs.map(|(job, why)| Told::Refused { worker, job, why }).collect()
    }

    fn results(&mut self, key: NodeKey, bytes: &[u8]) -> Vec<Told> {
        let Some(worker) = self.numbers.get(&key).copied() else { return Vec::new() };
        self.received += bytes.len() as u64;
        match unpack(bytes) {
            Ok(results) => {
                results.into_iter().map(|(job, output)| Told::Finished { worker, job, output }).collect()
            }
            Err(error) => vec![Told::Broken { worker, why: format!("its results cannot be read: {error}") }],
        }
    }

    /// Ends the conversation: the node ends what peers still run.
    pub fn close(&mut self) {
        self.open = false;
        self.way = None;
        self.line = Line { requests: mpsc::channel(1).0, replies: mpsc::channel(1).1 };
    }

    /// The node is back.
    pub fn back(&mut self) {
        self.open = true;
    }

    /// The node is gone, and with it everybody. It may come back.
    pub fn lost(&mut self) -> Vec<Told> {
        self.open = false;
        self.unsent.clear();
        if let Some(way) = &self.way {
            self.line = Line::once_back(way.clone());
        }
        let present = self.workers.iter_mut().filter(|(_, peer)| peer.present);
        let left = |(worker, peer): (&WorkerId, &mut Peer)| {
            peer.present = false;
            peer.slots = 0;
            // Out of sight, not lost: what ran there is not to blame.
            Told::Left { worker: *worker, leaving: Leaving::Drained }
        };
        present.map(left).collect()
    }
}

/// What a refusal means for where the job goes next.
fn refusal(why: Refused) -> Refusal {
    match why {
        Refused::Full | Refused::Paused => Refusal::Busy,
        Refused::NotTrusted => Refusal::Denied("it does not trust this machine".to_owned()),
        Refused::Stale => Refusal::Denied("it calls the offer stale; do the clocks differ?".to_owned()),
        Refused::MissingInput(id) => Refusal::Denied(format!("it lacks input {id}")),
        Refused::Unable(why) | Refused::Malformed(why) => Refusal::Denied(why),
        Refused::UnknownRun => Refusal::Denied("it does not know the run".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;

    use super::*;
    use crate::job::Exit;
    use crate::local::run::pack;
    use crate::worker::without_process;

    fn mesh() -> (Mesh, mpsc::Receiver<RunRequest>) {
        let (requests, received) = mpsc::channel(1);
        (Mesh::new(Line { requests, replies: mpsc::channel(1).1 }, None), received)
    }

    fn key(number: u8) -> NodeKey {
        NodeKey::new([number; 32])
    }

    fn ready(number: u8, slots: u32) -> RunReply {
        RunReply::Ready { peer: key(number), name: format!("n{number}"), slots, slowness: 1000 }
    }

    #[test]
    fn a_peer_keeps_its_number_when_it_comes_back() {
        let (mut mesh, _requests) = mesh();
        let joined = |told: &[Told]| matches!(told, [Told::Joined { worker: WorkerId(1), .. }]);
        assert!(joined(&mesh.told(ready(1, 4))));
        assert!(matches!(mesh.told(ready(1, 2))[..], [Told::Changed { worker: WorkerId(1), slots: 2 }]));
        let gone = RunReply::Gone { peer: key(1), revoked: false, orderly: false };
        assert!(matches!(mesh.told(gone)[0], Told::Left { worker: WorkerId(1), leaving: Leaving::Lost }));
        assert!(joined(&mesh.told(ready(1, 4))));
        assert!(matches!(mesh.told(ready(2, 4))[..], [Told::Joined { worker: WorkerId(2), .. }]));
    }

    #[test]
    fn results_are_of_whom_they_came_from_and_rubbish_is_told() {
        let (mut mesh, _requests) = mesh();
        mesh.told(ready(1, 4));
        let job = JobId { run: 1, sequence: 5, attempt: 0 };
        let bytes = ByteBuf::from(pack(&[(job, without_process(Exit::Lost("x".to_owned())))]).unwrap());
        let told = mesh.told(RunReply::Results { peer: key(1), bytes: bytes.clone() });
        assert!(matches!(told[..], [Told::Finished { worker: WorkerId(1), job: of, .. }] if of == job));
        assert!(mesh.told(RunReply::Results { peer: key(9), bytes }).is_empty());
        let rubbish = RunReply::Results { peer: key(1), bytes: ByteBuf::from(vec![1, 2]) };
        assert!(matches!(mesh.told(rubbish)[..], [Told::Broken { worker: WorkerId(1), .. }]));
    }

    #[test]
    fn a_slow_node_loses_nothing() {
        let (mut mesh, mut requests) = mesh();
        (1..=5).for_each(|count| mesh.want(count));
        let mut seen = Vec::new();
        while let Ok(RunRequest::Want(count)) = requests.try_recv() {
            seen.push(count);
            mesh.push();
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }
}
