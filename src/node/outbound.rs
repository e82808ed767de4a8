//! Runs of this machine's clients: which peers take part, and what passes between them and the clients.
//!
//! Pure. The client decides who runs what; this opens its run at every peer that is trusted both ways and fits, signs
//! its offers, passes answers and results on, and says who comes and goes. Never looks into an output.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_bytes::{ByteArray, ByteBuf};
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::work::message::{
    Refusal, Results, ResultsAck, RunId, RunOpen, Which, WorkRequest, WorkResponse,
};
use testmesh_behaviours::work::offer::{InputDigest, Offer, SignedOffer};

use super::batches::{Batches, Part};
use super::event::{Action, ClientId, Now, Purpose};
use crate::job::{Job, JobId};
use crate::local::run::{OFFER_MAX, Open, RunReply};

/// Seconds an offer may be started in.
const OFFER_LIFE: u64 = 2 * 60;

/// How often a peer that does not hear of a run is told of it before it counts as unfit.
const OPEN_TRIES: u8 = 3;

/// How long a peer may prepare a run before it is asked how far it is: its word that it is ready may have been lost.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A peer that might take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub key: NodeKey,
    /// Its name for people.
    pub name: String,
    /// Operating system and architecture.
    pub platform: (String, String),
    /// Its slots; 0: paused.
    pub slots: u32,
    /// How long it takes for what takes this machine 1000; 1000 where that is not known.
    pub slowness: u32,
}

/// What a client's directories amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Their names.
    pub inputs: Vec<InputDigest>,
    /// Files in them.
    pub files: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Bytes that had to be read.
    pub read: u64,
}

/// How far a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Opening,
    /// It did not hear of the run: one of two connections to it was dead, say.
    Unheard,
    Preparing,
    Ready,
    Unfit,
}

/// A run of a client.
#[derive(Debug)]
struct Run {
    client: ClientId,
    open: Open,
    /// Once they are named.
    inputs: Option<Vec<InputDigest>>,
    peers: BTreeMap<NodeKey, Member>,
    /// Counts offers, to all peers together.
    offers: u64,
}

#[derive(Debug)]
struct Member {
    candidate: Candidate,
    stage: Stage,
    /// How often it did not hear of the run.
    failures: u8,
    /// When the run was opened there, or it was asked again; none: since the last tick.
    asked: Option<Duration>,
    batches: Batches,
}

/// All runs of this machine's clients.
#[derive(Debug, Default)]
pub struct Outbound {
    runs: BTreeMap<RunId, Run>,
}

impl Outbound {
    /// Whether any run is open.
    pub fn any(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Peers that take part in a run or are being prepared.
    pub fn members(&self) -> impl Iterator<Item = NodeKey> {
        self.runs.values().flat_map(|run| run.peers.keys().copied())
    }

    /// A client opens a run; its inputs are named first.
    pub fn open(&mut self, client: ClientId, open: Open, slots: u32, peers: u32, out: &mut Vec<Action>) {
        self.close(client, out);
        out.push(Action::TellRun(client, RunReply::Opened { slots, peers }));
        out.push(Action::Scan { client, run: RunId(open.run), sources: open.sources.clone() });
        let id = RunId(open.run);
        self.runs.insert(id, Run { client, open, inputs: None, peers: BTreeMap::new(), offers: 0 });
    }

    /// The inputs of a run are named, or cannot be; the candidates are asked to take part.
    pub fn scanned(
        &mut self,
        id: RunId,
        result: Result<Scan, String>,
        candidates: &[Candidate],
        out: &mut Vec<Action>,
    ) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        match result {
            Ok(Scan { inputs, files, bytes, read }) => {
                out.push(Action::TellRun(run.client, RunReply::Scanned { files, bytes, read }));
                run.inputs = Some(inputs);
                candidates.iter().for_each(|candidate| self.invite(id, candidate, out));
            }
            Err(why) => out.push(Action::TellRun(run.client, RunReply::Unshippable(why))),
        }
    }

    /// A peer has become a candidate, or has changed.
    pub fn candidate(&mut self, candidate: &Candidate, out: &mut Vec<Action>) {
        let ids: Vec<RunId> = self.runs.keys().copied().collect();
        ids.into_iter().for_each(|id| self.invite(id, candidate, out));
    }

    fn invite(&mut self, id: RunId, candidate: &Candidate, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(inputs) = run.inputs.clone() else { return };
        if let Some(member) = run.peers.get_mut(&candidate.key) {
            member.changed(run.client, candidate, out);
            return;
        }
        if !wanted(&run.open.only, candidate) {
            return;
        }
        let (key, name) = (candidate.key, candidate.name.clone());
        let mut stage = Stage::Opening;
        if candidate.platform != run.open.platform {
            let (os, arch) = &candidate.platform;
            let why = format!(
                "it runs {os} on {arch}, the build is for {} on {}",
                run.open.platform.0, run.open.platform.1
            );
            out.push(Action::TellRun(run.client, RunReply::Unfit { peer: key, name, why }));
            stage = Stage::Unfit;
        } else {
            out.push(Action::TellRun(run.client, RunReply::Preparing { peer: key, name }));
            out.push(opening(key, id, &run.open, inputs));
        }
        let member = Member {
            candidate: candidate.clone(),
            stage,
            failures: 0,
            asked: None,
            batches: Batches::default(),
        };
        run.peers.insert(key, member);
    }

    /// A peer took note of a run, or did not.
    pub fn opened(
        &mut self,
        from: NodeKey,
        id: RunId,
        answer: Result<WorkResponse, String>,
        out: &mut Vec<Action>,
    ) {
        let Some((client, member)) = self.member(from, id) else { return };
        match answer {
            Ok(WorkResponse::Done) if member.stage == Stage::Opening => member.stage = Stage::Preparing,
            Ok(WorkResponse::Done) => {}
            // Not now: it has still to hear what this machine knows of trust.
            Ok(WorkResponse::Refused(Refusal::Full)) => member.stage = Stage::Unheard,
            Ok(WorkResponse::Refused(why)) => {
                member.unfit(client, format!("it refuses the run: {why:?}"), out);
            }
            Ok(_) => member.unfit(client, "its answer makes no sense".to_owned(), out),
            // It is asked again anyway.
            Err(_) if member.stage != Stage::Opening => {}
            Err(_) if member.failures + 1 < OPEN_TRIES => {
                member.failures += 1;
                member.stage = Stage::Unheard;
            }
            Err(why) => member.unfit(client, why, out),
        }
    }

    /// Time has passed: peers that did not hear of a run are told again, and slow ones asked how far they are.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Action>) {
        for (id, run) in &mut self.runs {
            let Some(inputs) = &run.inputs else { continue };
            for (key, member) in &mut run.peers {
                let since = *member.asked.get_or_insert(now.mono);
                let again = match member.stage {
                    Stage::Unheard => {
                        member.stage = Stage::Opening;
                        true
                    }
                    Stage::Preparing => now.mono >= since + ASK_AGAIN,
                    Stage::Opening | Stage::Ready | Stage::Unfit => false,
                };
                if again {
                    member.asked = Some(now.mono);
                    out.push(opening(*key, *id, &run.open, inputs.clone()));
                }
            }
        }
    }

    /// A peer is ready for jobs, or never will be.
    pub fn ready(&mut self, from: NodeKey, id: RunId, why: Option<String>, out: &mut Vec<Action>) {
        let Some((client, member)) = self.member(from, id) else { return };
        match why {
            Some(why) => member.unfit(client, why, out),
            None => {
                member.stage = Stage::Ready;
                member.announce(client, out);
            }
        }
    }

    /// A client has jobs for a peer. The signer is this node: its key, and what signs the bytes it is given.
    pub fn offer(
        &mut self,
        client: ClientId,
        peer: NodeKey,
        jobs: Vec<Job>,
        signer: (NodeKey, impl FnOnce(&[u8]) -> [u8; 64]),
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let (me, sign) = signer;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let undelivered = |why: &str| {
            Action::TellRun(client, RunReply::Undelivered { peer, jobs: ids.clone(), why: why.to_owned() })
        };
        let Some((id, run)) = self.runs.iter_mut().find(|(_, run)| run.client == client) else {
            return out.push(undelivered("no run is open"));
        };
        if !run.peers.get(&peer).is_some_and(|member| member.stage == Stage::Ready) {
            return out.push(undelivered("the peer takes no part in the run"));
        }
        if jobs.len() > OFFER_MAX || jobs.iter().any(|job| job.id.run != id.0) {
            return out.push(undelivered("too many jobs, or of another run"));
        }
        let sequence = run.offers;
        run.offers += 1;
        let offer = Offer {
            run: *id,
            submitter: me,
            audience: peer,
            sequence,
            expires: now.unix + OFFER_LIFE,
            nonce: nonce(*id, &peer, sequence, now),
            inputs: run.inputs.clone().unwrap_or_default(),
            jobs,
        };
        match SignedOffer::new(&offer, sign) {
            Ok(signed) => out.push(Action::SendWork {
                to: peer,
                purpose: Purpose::Offer { run: *id, jobs: ids },
                request: WorkRequest::Offer(signed),
            }),
            Err(error) => out.push(undelivered(&error.to_string())),
        }
    }

    /// A peer's answer to an offer.
    pub fn offered(
        &mut self,
        from: NodeKey,
        id: RunId,
        jobs: Vec<JobId>,
        answer: Result<WorkResponse, String>,
        out: &mut Vec<Action>,
    ) {
        let Some((client, _)) = self.member(from, id) else { return };
        let reply = match answer {
            Ok(WorkResponse::Offer(reply)) => {
                RunReply::Offered { peer: from, accepted: reply.accepted, refused: reply.refused }
            }
            Ok(WorkResponse::Refused(why)) => {
                let refused = jobs.into_iter().map(|job| (job, why.clone())).collect();
                RunReply::Offered { peer: from, accepted: Vec::new(), refused }
            }
            Ok(_) => RunReply::Undelivered { peer: from, jobs, why: "its answer makes no sense".to_owned() },
            Err(why) => RunReply::Undelivered { peer: from, jobs, why },
        };
        out.push(Action::TellRun(client, reply));
    }

    /// A part of a peer's results. Acknowledged always: what nobody waits for need not come again.
    pub fn results(&mut self, from: NodeKey, results: Results, out: &mut Vec<Action>) -> WorkResponse {
        let Results { run: id, batch, part, parts, bytes } = results;
        let ack = WorkResponse::Results(ResultsAck { run: id, batch, part });
        let Some((client, member)) = self.member(from, id) else { return ack };
        match member.batches.part(batch, part, parts, bytes) {
            Part::Full => return WorkResponse::Refused(Refusal::Full),
            Part::Taken => {}
            Part::Whole(whole) => {
                let bytes = ByteBuf::from(whole);
                out.push(Action::TellRun(client, RunReply::Results { peer: from, bytes }));
            }
        }
        ack
    }

    /// A peer gives accepted jobs back unstarted.
    pub fn given_back(&mut self, from: NodeKey, id: RunId, jobs: Vec<JobId>, out: &mut Vec<Action>) {
        let Some((client, _)) = self.member(from, id) else { return };
        let full = |job| (job, Refusal::Full);
        let refused = jobs.into_iter().map(full).collect();
        out.push(Action::TellRun(client, RunReply::Offered { peer: from, accepted: Vec::new(), refused }));
    }

    /// A client does not want jobs any more.
    pub fn cancel(&mut self, client: ClientId, peer: NodeKey, jobs: Vec<JobId>, out: &mut Vec<Action>) {
        let Some(id) = self.run_of(client) else { return };
        let request = WorkRequest::Cancel { run: id, which: Which::Jobs(jobs) };
        out.push(Action::SendWork { to: peer, purpose: Purpose::Courtesy, request });
    }

    fn run_of(&self, client: ClientId) -> Option<RunId> {
        self.runs.iter().find(|(_, run)| run.client == client).map(|(id, _)| *id)
    }

    /// A client's run is over, or the client is gone.
    pub fn close(&mut self, client: ClientId, out: &mut Vec<Action>) {
        let Some(id) = self.run_of(client) else { return };
        let Some(run) = self.runs.remove(&id) else { return };
        out.push(Action::Release(id));
        for (to, member) in run.peers {
            if member.stage != Stage::Unfit {
                out.push(Action::SendWork {
                    to,
                    purpose: Purpose::Courtesy,
                    request: WorkRequest::RunClose(id),
                });
            }
        }
    }

    /// A peer is gone.
    pub fn gone(&mut self, peer: NodeKey, revoked: bool, orderly: bool, out: &mut Vec<Action>) {
        for run in self.runs.values_mut() {
            if run.peers.remove(&peer).is_some_and(|member| member.stage == Stage::Ready) {
                out.push(Action::TellRun(run.client, RunReply::Gone { peer, revoked, orderly }));
            }
        }
    }

    /// Bytes of inputs were sent to a peer.
    pub fn shipped(&self, peer: NodeKey, bytes: u64, out: &mut Vec<Action>) {
        for run in self.runs.values().filter(|run| run.peers.contains_key(&peer)) {
            out.push(Action::TellRun(run.client, RunReply::Shipped(bytes)));
        }
    }

    /// A peer gave a sign of life.
    pub fn alive(&self, peer: NodeKey, out: &mut Vec<Action>) {
        for run in self.runs.values() {
            if run.peers.get(&peer).is_some_and(|member| member.stage == Stage::Ready) {
                out.push(Action::TellRun(run.client, RunReply::Alive(peer)));
            }
        }
    }

    fn member(&mut self, from: NodeKey, id: RunId) -> Option<(ClientId, &mut Member)> {
        let run = self.runs.get_mut(&id)?;
        let client = run.client;
        Some((client, run.peers.get_mut(&from)?))
    }
}

fn opening(to: NodeKey, run: RunId, open: &Open, inputs: Vec<InputDigest>) -> Action {
    let open = RunOpen { run, inputs, canary: open.canary.clone(), answer: open.answer.clone() };
    Action::SendWork { to, purpose: Purpose::OpenRun(run), request: WorkRequest::RunOpen(open) }
}

impl Member {
    fn changed(&mut self, client: ClientId, candidate: &Candidate, out: &mut Vec<Action>) {
        if self.candidate == *candidate {
            return;
        }
        self.candidate = candidate.clone();
        if self.stage == Stage::Ready {
            self.announce(client, out);
        }
    }

    fn announce(&self, client: ClientId, out: &mut Vec<Action>) {
        let Candidate { key, name, slots, slowness, .. } = self.candidate.clone();
        let ready = RunReply::Ready { peer: key, name, slots, slowness };
        out.push(Action::TellRun(client, ready));
    }

    fn unfit(&mut self, client: ClientId, why: String, out: &mut Vec<Action>) {
        let was_ready = self.stage == Stage::Ready;
        self.stage = Stage::Unfit;
        let (peer, name) = (self.candidate.key, self.candidate.name.clone());
        if was_ready {
            out.push(Action::TellRun(client, RunReply::Gone { peer, revoked: false, orderly: false }));
        }
        out.push(Action::TellRun(client, RunReply::Unfit { peer, name, why }));
    }
}

/// Whether a client that wants only some peers wants this one.
pub fn wanted(only: &[String], candidate: &Candidate) -> bool {
    only.is_empty() || only.iter().any(|name| *name == candidate.name || *name == candidate.key.to_string())
}

/// Unique without randomness: the run's number is random, the offers count, and a node that was started again in the
/// middle of a run offers at another time.
fn nonce(run: RunId, peer: &NodeKey, sequence: u64, now: Now) -> ByteArray<16> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&run.0.to_be_bytes()).update(&peer.bytes()).update(&sequence.to_be_bytes());
    hasher.update(&now.unix.to_be_bytes()).update(&now.mono.as_nanos().to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    ByteArray::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Ladder, Limits, Root, RootedPath};

    const RUN: RunId = RunId(7);
    const CLIENT: ClientId = 1;
    const LATER: Duration = Duration::from_secs(1);

    fn peer() -> NodeKey {
        NodeKey::new([2; 32])
    }

    fn at(mono: Duration) -> Now {
        Now { mono, unix: 0 }
    }

    /// A run for which one peer was just asked.
    fn asked() -> Outbound {
        let canary = Job {
            id: JobId { run: RUN.0, sequence: 0, attempt: 0 },
            argv: Vec::new(),
            env: Vec::new(),
            cwd: RootedPath { root: Root::Workspace, path: String::new() },
            limits: Limits { wall: LATER, output: 1, ladder: Ladder::Kill },
        };
        let platform = ("linux".to_owned(), "x86_64".to_owned());
        let open = Open {
            run: RUN.0,
            sources: Vec::new(),
            canary,
            answer: ByteBuf::new(),
            platform: platform.clone(),
            only: Vec::new(),
        };
        let candidate = Candidate { key: peer(), name: "n1".to_owned(), platform, slots: 1, slowness: 1000 };
        let (mut outbound, mut out) = (Outbound::default(), Vec::new());
        outbound.open(CLIENT, open, 1, 1, &mut out);
        let scan = Scan { inputs: Vec::new(), files: 0, bytes: 0, read: 0 };
        outbound.scanned(RUN, Ok(scan), &[candidate], &mut out);
        assert_eq!(openings(&out), 1);
        outbound
    }

    fn openings(out: &[Action]) -> usize {
        let is_opening = |action: &&Action| {
            matches!(
                action,
                Action::SendWork { request: WorkRequest::RunOpen(_), purpose: Purpose::OpenRun(RUN), .. }
            )
        };
        out.iter().filter(is_opening).count()
    }

    fn told(out: &[Action]) -> Vec<&RunReply> {
        let mut replies = Vec::new();
        for action in out {
            if let Action::TellRun(CLIENT, reply) = action {
                replies.push(reply);
            }
        }
        replies
    }

    #[test]
    fn a_peer_that_did_not_hear_of_a_run_is_told_again() {
        let (mut outbound, mut out) = (asked(), Vec::new());
        outbound.opened(peer(), RUN, Err("the connection closed".to_owned()), &mut out);
        assert!(out.is_empty(), "one dead connection makes nobody unfit: {out:?}");
        outbound.tick(at(LATER), &mut out);
        outbound.tick(at(LATER * 2), &mut out);
        assert_eq!(openings(&out), 1, "once a failure");
        outbound.opened(peer(), RUN, Ok(WorkResponse::Done), &mut out);
        outbound.ready(peer(), RUN, None, &mut out);
        assert!(matches!(told(&out)[..], [RunReply::Ready { .. }]), "{out:?}");
    }

    #[test]
    fn a_peer_that_never_hears_of_a_run_takes_no_part() {
        let (mut outbound, mut out) = (asked(), Vec::new());
        for try_number in 1..=OPEN_TRIES {
            outbound.opened(peer(), RUN, Err("the connection closed".to_owned()), &mut out);
            outbound.tick(at(LATER * u32::from(try_number)), &mut out);
        }
        assert_eq!(openings(&out), usize::from(OPEN_TRIES) - 1);
        assert!(matches!(told(&out)[..], [RunReply::Unfit { .. }]), "{out:?}");
    }

    #[test]
    fn a_peer_whose_word_that_it_is_ready_was_lost_is_asked_again() {
        let (mut outbound, mut out) = (asked(), Vec::new());
        outbound.opened(peer(), RUN, Ok(WorkResponse::Done), &mut out);
        outbound.tick(at(LATER), &mut out);
        outbound.tick(at(ASK_AGAIN), &mut out);
        assert_eq!(openings(&out), 0, "it has time to prepare");
        outbound.tick(at(LATER + ASK_AGAIN), &mut out);
        outbound.tick(at(LATER * 2 + ASK_AGAIN), &mut out);
        assert_eq!(openings(&out), 1);
        // An answer to the question that is lost, too, changes nothing.
        outbound.opened(peer(), RUN, Err("the connection closed".to_owned()), &mut out);
        outbound.ready(peer(), RUN, None, &mut out);
        assert!(matches!(told(&out)[..], [RunReply::Ready { .. }]), "{out:?}");
    }
}
