//! Work this node does for others: runs that peers opened here, and the slots that all share.
//!
//! Pure. A run is prepared first (its inputs fetched, its trial made on a slot), then takes jobs; [`Slots`] decides what runs
//! when. Results are kept until the submitter has them. Losing trust ends everything of a peer in the same turn. This
//! machine's own clients hold slots through the same queue and come first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_bytes::ByteBuf;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::work::message::{
    OfferReply, PARTS_MAX, RESULT_BYTES_MAX, Refusal, Results, RunId, RunOpen, Which, WorkRequest,
    WorkResponse,
};
use testmesh_behaviours::work::offer::Offer;
use testmesh_behaviours::work::replay::Replay;

use super::event::{Action, ClientId, Now, Purpose};
use super::permits::{Permits, Returned};
use super::trial::{self, TRIAL};
use crate::backend::Tier;
use crate::job::{Exit, Job, JobId, Output};
use crate::local::run;
use crate::local::wire::Key;
use crate::schedule::slots::{self, Refused, Scope, Slots, Submitter};

/// Runs one peer may have open here: a person runs one, sometimes two, builds in turn. One more closes the oldest,
/// which its submitter may have left behind when it crashed.
const RUNS_EACH: usize = 8;

/// How long a trial waits for a slot before it is offered anew.
const TRIAL_LIFE: Duration = Duration::from_secs(60);

/// How long an own client's wish for a slot stands; far beyond any run.
const WISH: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a slot is wanted for.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// A client of this machine runs tests itself.
    Permit,
    /// A peer's job, to be run here.
    Job(Box<Job>),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The client gave the slot back.
    Returned,
    /// The job's output.
    Output(Box<Output>),
}

/// A run somebody opened here.
#[derive(Debug)]
struct Run {
    open: RunOpen,
    stage: Stage,
    /// The how-manieth run that was opened here.
    number: u64,
    /// Counts batches of results.
    batches: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Inputs are on their way.
    Preparing,
    /// It has to show that it can run here.
    Trial {
        /// How often that was begun.
        attempts: u16,
        /// Whether it waits for its turn to be offered to the slots.
        waits: bool,
    },
    /// Jobs may come.
    Ready,
    /// It cannot run here; why.
    Unfit(String),
}

/// A batch on its way.
#[derive(Debug)]
struct Batch {
    ids: Vec<JobId>,
    parts: Vec<ByteBuf>,
    missing: usize,
}

/// Everything this node does for others.
#[derive(Debug)]
pub struct Inbound {
    slots: Slots<NodeKey, Payload, Outcome>,
    replay: Replay,
    runs: BTreeMap<(NodeKey, RunId), Run>,
    /// Runs opened so far.
    opened: u64,
    batches: BTreeMap<(NodeKey, RunId, u64), Batch>,
    permits: Permits,
    /// Parts to send again.
    retries: Vec<(NodeKey, RunId, u64, u16)>,
    /// When the slots want to be asked again.
    alarm: Option<Duration>,
    /// What contains jobs here, for the audit log.
    tier: Tier,
    /// Whose runs were refused since they were trusted last: noted once, so that nobody fills the log.
    turned_away: BTreeSet<NodeKey>,
}

impl Inbound {
    /// A node with so many slots, what contains jobs on them, and no work.
    pub fn new(slots: u32, tier: Tier) -> Self {
        let mut config = slots::Config::new(slots);
        config.longest_expiry = WISH;
        Self {
            slots: Slots::new(config),
            replay: Replay::new(),
            runs: BTreeMap::new(),
            opened: 0,
            batches: BTreeMap::new(),
            permits: Permits::new(slots),
            retries: Vec::new(),
            alarm: None,
            tier,
            turned_away: BTreeSet::new(),
        }
    }

    /// What the slots are doing.
    pub fn usage(&self) -> slots::Usage<NodeKey> {
        self.slots.usage()
    }

    /// The owner pauses or resumes the node.
    pub fn pause(&mut self, paused: bool, now: Now, out: &mut Vec<Action>) {
        if paused {
            self.slots.pause(now.mono);
        } else {
            self.slots.resume(now.mono);
            self.try_out(now);
        }
        self.flush(now, out);
    }

    /// A peer opens a run. Its inputs are fetched from then on; it is told when all is ready.
    pub fn open(&mut self, from: NodeKey, open: RunOpen, now: Now, out: &mut Vec<Action>) -> WorkResponse {
        let key = (from, open.run);
        if let Some(known) = self.runs.get(&key) {
            let told = match &known.stage {
                Stage::Preparing | Stage::Trial { .. } => None,
                Stage::Ready => Some(None),
                Stage::Unfit(why) => Some(Some(why.clone())),
            };
            told.into_iter().for_each(|why| out.push(ready(from, open.run, why)));
            return WorkResponse::Done;
        }
        let present: Vec<(u64, RunId)> = self
            .runs
            .iter()
            .filter(|((peer, _), _)| *peer == from)
            .map(|((_, id), run)| (run.number, *id))
            .collect();
        if let Some((_, oldest)) = present.iter().min().filter(|_| present.len() >= RUNS_EACH) {
            self.close(from, *oldest, now, out);
            let why = Some("too many runs of this machine are open there".to_owned());
            out.push(ready(from, *oldest, why));
        }
        out.push(note(
            "job",
            format!("accepted run={:016x} submitter={} tier={}", open.run.0, Key(from.bytes()), self.tier),
        ));
        out.push(Action::Prepare { submitter: from, open: Box::new(open.clone()) });
        self.opened += 1;
        self.runs.insert(key, Run { open, stage: Stage::Preparing, number: self.opened, batches: 0 });
        WorkResponse::Done
    }

    /// A peer that may not submit opens a run.
    pub fn refuse(&mut self, from: NodeKey, run: RunId, out: &mut Vec<Action>) -> WorkResponse {
        if self.turned_away.insert(from) {
            out.push(refused(from, run, "it may not submit"));
        }
        WorkResponse::Refused(Refusal::NotTrusted)
    }

    /// The inputs of a run are here, or not: its trial comes next.
    pub fn prepared(
        &mut self,
        from: NodeKey,
        id: RunId,
        result: Result<(), String>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(run) = self.runs.get_mut(&(from, id)) else { return };
        match result {
            Ok(()) => run.stage = Stage::Trial { attempts: 0, waits: true },
            Err(why) => {
                out.push(refused(from, id, &why));
                run.stage = Stage::Unfit(why.clone());
                out.push(ready(from, id, Some(why)));
            }
        }
        self.try_out(now);
        self.flush(now, out);
    }

    /// Offers the trials that wait to the slots, as jobs of their submitters.
    fn try_out(&mut self, now: Now) {
        for ((from, _), run) in &mut self.runs {
            let Stage::Trial { attempts, waits: waits @ true } = &mut run.stage else { continue };
            let job = trial::job(&run.open, *attempts);
            *attempts = attempts.wrapping_add(1);
            let (id, expires) = (job.id, now.mono + TRIAL_LIFE);
            let offer = slots::Offer { id, expires, payload: Payload::Job(Box::new(job)) };
            let reply = self.slots.offer(&Submitter::Remote(*from), vec![offer], now.mono);
            *waits = reply.accepted.is_empty();
        }
    }

    /// The trial of a run ended.
    fn tried(&mut self, from: NodeKey, id: RunId, output: &Output, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(&(from, id)) else { return };
        let Stage::Trial { waits, .. } = &mut run.stage else { return };
        if output.exit == Exit::Cancelled {
            *waits = true;
            return;
        }
        let why = trial::judge(&run.open.answer, output).err();
        out.extend(why.as_ref().map(|why| refused(from, id, why)));
        run.stage = why.clone().map_or(Stage::Ready, Stage::Unfit);
        out.push(ready(from, id, why));
    }

    /// Jobs of an offer whose signature, audience and submitter's trust were verified.
    pub fn offer(&mut self, offer: Offer, now: Now, out: &mut Vec<Action>) -> WorkResponse {
        let from = offer.submitter;
        if !self.replay.fresh(&offer, now.unix) {
            return WorkResponse::Refused(Refusal::Stale);
        }
        let Some(run) = self.runs.get(&(from, offer.run)) else {
            return WorkResponse::Refused(Refusal::UnknownRun);
        };
        match &run.stage {
            Stage::Ready if run.open.inputs == offer.inputs => {}
            Stage::Ready => {
                return WorkResponse::Refused(Refusal::Malformed("other inputs than the run's".to_owned()));
            }
            Stage::Preparing | Stage::Trial { .. } => return WorkResponse::Refused(Refusal::Full),
            Stage::Unfit(why) => return WorkResponse::Refused(Refusal::Unable(why.clone())),
        }
        if offer.jobs.iter().any(|job| job.id.sequence == TRIAL) {
            return WorkResponse::Refused(Refusal::Malformed(
                "a job has the number of trial runs".to_owned(),
            ));
        }
        let expires = now.mono + Duration::from_secs(offer.expires.saturating_sub(now.unix));
        let wrap = |job: Job| slots::Offer { id: job.id, expires, payload: Payload::Job(Box::new(job)) };
        let jobs = offer.jobs.into_iter().map(wrap).collect();
        let reply = self.slots.offer(&Submitter::Remote(from), jobs, now.mono);
        self.flush(now, out);
        let refused = reply.refused.into_iter().map(|(id, why)| (id, refusal(why))).collect();
        WorkResponse::Offer(OfferReply { accepted: reply.accepted, refused, room: reply.room })
    }

    /// A job's process ended.
    pub fn finished(&mut self, slot: u32, id: JobId, output: Output, now: Now, out: &mut Vec<Action>) {
        let submitter = self.slots.runs_for(slot, id).filter(|_| id.sequence == TRIAL).cloned();
        if let Some(Submitter::Remote(from)) = submitter {
            self.slots.ended(slot, id, now.mono);
            self.tried(from, RunId(id.run), &output, out);
        } else {
            let bytes = output.stdout.bytes.len() + output.stderr.bytes.len();
            self.slots.finished(slot, id, Outcome::Output(Box::new(output)), bytes, now.mono);
        }
        self.flush(now, out);
    }

    /// The submitter does not want jobs any more.
    pub fn cancel(&mut self, from: NodeKey, id: RunId, which: &Which, now: Now, out: &mut Vec<Action>) {
        let submitter = Submitter::Remote(from);
        match which {
            Which::All => {
                self.slots.cancel(&submitter, Scope::Run(id.0), now.mono);
            }
            Which::Jobs(jobs) => {
                for job in jobs.iter().filter(|job| job.run == id.0) {
                    self.slots.cancel(&submitter, Scope::Job(*job), now.mono);
                }
            }
        }
        self.flush(now, out);
    }

    /// A run is over: its jobs end, its inputs may go.
    pub fn close(&mut self, from: NodeKey, id: RunId, now: Now, out: &mut Vec<Action>) {
        if self.runs.remove(&(from, id)).is_none() {
            return;
        }
        self.cancel(from, id, &Which::All, now, out);
        self.batches.retain(|(peer, run, _), _| (*peer, *run) != (from, id));
        out.push(Action::Discard { submitter: from, run: id });
    }

    /// Everything of a peer ends: it is not trusted any more.
    pub fn expelled(&mut self, from: NodeKey, now: Now, out: &mut Vec<Action>) {
        self.turned_away.remove(&from);
        let usage = self.usage();
        let jobs = usage.submitters.iter().find(|(who, ..)| *who == Submitter::Remote(from));
        if let Some((_, running, queued)) = jobs.filter(|(_, running, queued)| *running > 0 || *queued > 0) {
            let text = format!("submitter={} running={running} queued={queued}", Key(from.bytes()));
            out.push(note("kill", text));
        }
        self.slots.expelled(&from, now.mono);
        self.replay.forget(&from);
        self.flush(now, out);
        self.forget(from, out);
    }

    /// A peer cannot be reached; its jobs run on for a while, since it may come back.
    pub fn disconnected(&mut self, from: NodeKey, now: Now, out: &mut Vec<Action>) {
        // The slots keep the results and send them anew when the peer is back.
        self.batches.retain(|(peer, ..), _| *peer != from);
        self.slots.disconnected(&Submitter::Remote(from), now.mono);
        self.flush(now, out);
    }

    /// A peer can be reached again.
    pub fn connected(&mut self, from: NodeKey, now: Now, out: &mut Vec<Action>) {
        self.slots.connected(&Submitter::Remote(from), now.mono);
        self.flush(now, out);
    }

    fn forget(&mut self, from: NodeKey, out: &mut Vec<Action>) {
        self.batches.retain(|(peer, ..), _| *peer != from);
        let gone: Vec<RunId> =
            self.runs.keys().filter(|(peer, _)| *peer == from).map(|(_, run)| *run).collect();
        for run in gone {
            self.runs.remove(&(from, run));
            out.push(Action::Discard { submitter: from, run });
        }
    }

    /// The submitter has a part of a batch.
    pub fn acknowledged(
        &mut self,
        from: NodeKey,
        run: RunId,
        batch: u64,
        part: u16,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let key = (from, run, batch);
        let Some(sent) = self.batches.get_mut(&key) else { return };
        let Some(bytes) = sent.parts.get_mut(usize::from(part)) else { return };
        if !bytes.is_empty() {
            *bytes = ByteBuf::new();
            sent.missing -= 1;
        }
        if sent.missing == 0 {
            let ids = self.batches.remove(&key).map(|batch| batch.ids).unwrap_or_default();
            self.slots.acknowledged(&Submitter::Remote(from), &ids, now.mono);
            self.flush(now, out);
        }
    }

    /// When [`Self::wake`] is wanted: results that wait for more to travel with must not wait for the next tick.
    pub fn due(&self) -> Option<Duration> {
        self.alarm
    }

    /// The moment that the slots wanted has come, or may have.
    pub fn wake(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.alarm.is_some_and(|alarm| now.mono >= alarm) {
            self.alarm = None;
            self.slots.tick(now.mono);
        }
        self.flush(now, out);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Action>) {
        self.retry(out);
        self.try_out(now);
        self.wake(now, out);
    }

    /// An own client wants so many slots in all.
    pub fn want(&mut self, client: ClientId, count: u32, now: Now, out: &mut Vec<Action>) {
        let wishes = self.permits.want(client, count, now.mono);
        self.wish(client, wishes, now);
        self.flush(now, out);
    }

    fn wish(&mut self, client: ClientId, wishes: Vec<JobId>, now: Now) {
        let offer = |id| slots::Offer { id, expires: now.mono + WISH, payload: Payload::Permit };
        let offers = wishes.into_iter().map(offer).collect();
        let reply = self.slots.offer(&Submitter::Own(client), offers, now.mono);
        reply.refused.into_iter().for_each(|(id, _)| self.permits.refused(client, id));
    }

    /// An own client gives slots back.
    pub fn release(&mut self, client: ClientId, count: u32, now: Now, out: &mut Vec<Action>) {
        let (returned, wishes) = self.permits.release(client, count, now.mono);
        self.returned(returned, now);
        self.wish(client, wishes, now);
        self.flush(now, out);
    }

    fn returned(&mut self, returned: Vec<Returned>, now: Now) {
        for (slot, id) in returned {
            self.slots.finished(slot, id, Outcome::Returned, 0, now.mono);
        }
    }

    /// An own client is gone, and with it what it ran.
    pub fn client_gone(&mut self, client: ClientId, now: Now, out: &mut Vec<Action>) {
        let own = Submitter::Own(client);
        self.slots.cancel(&own, Scope::All, now.mono);
        let returned = self.permits.gone(client);
        self.returned(returned, now);
        self.slots.disconnected(&own, now.mono);
        self.flush(now, out);
    }

    /// Performs what the slots decided.
    fn flush(&mut self, now: Now, out: &mut Vec<Action>) {
        loop {
            let actions = self.slots.actions(now.mono);
            if actions.is_empty() {
                break;
            }
            actions.into_iter().for_each(|action| self.perform(action, now, out));
        }
        for (client, count) in self.permits.recalls(now.mono) {
            out.push(Action::TellRun(client, run::RunReply::Recall(count)));
        }
    }

    fn perform(&mut self, action: slots::Action<NodeKey, Payload, Outcome>, now: Now, out: &mut Vec<Action>) {
        use slots::Action as Do;
        match action {
            Do::Run { slot, id, submitter: Submitter::Own(client), .. } => {
                self.grant(client, slot, id, now, out);
            }
            Do::Run { slot, id, submitter: Submitter::Remote(submitter), payload: Payload::Job(job) } => {
                out.push(Action::Run { slot, submitter, run: RunId(id.run), job });
            }
            Do::Run { submitter: Submitter::Remote(_), payload: Payload::Permit, .. } => {}
            Do::Kill { slot, id } => out.push(Action::Kill { slot, id }),
            Do::SendResults { submitter: Submitter::Own(client), results } => {
                let ids: Vec<JobId> = results.into_iter().map(|(id, _)| id).collect();
                self.slots.acknowledged(&Submitter::Own(client), &ids, now.mono);
            }
            Do::SendResults { submitter: Submitter::Remote(to), results } => self.send(to, results, out),
            Do::GiveBack { submitter: Submitter::Remote(to), ids } => self.give_back(to, ids, out),
            Do::GiveBack { submitter: Submitter::Own(_), .. } => {}
            Do::Arm(moment) => self.alarm = Some(moment),
        }
    }

    /// Unstarted jobs go back to their submitter; a trial is offered again with the next tick.
    fn give_back(&mut self, to: NodeKey, ids: Vec<JobId>, out: &mut Vec<Action>) {
        let mut by_run: BTreeMap<RunId, Vec<JobId>> = BTreeMap::new();
        for id in ids {
            let run = RunId(id.run);
            match self.runs.get_mut(&(to, run)).map(|run| &mut run.stage) {
                Some(Stage::Trial { waits, .. }) if id.sequence == TRIAL => *waits = true,
                _ => by_run.entry(run).or_default().push(id),
            }
        }
        for (run, jobs) in by_run {
            let request = WorkRequest::GiveBack { run, jobs };
            out.push(Action::SendWork { to, purpose: Purpose::Courtesy, request });
        }
    }

    fn grant(&mut self, client: ClientId, slot: u32, id: JobId, now: Now, out: &mut Vec<Action>) {
        if self.permits.granted(client, slot, id, now.mono) {
            out.push(Action::TellRun(client, run::RunReply::Granted(1)));
        } else {
            self.returned(vec![(slot, id)], now);
        }
    }

    fn send(&mut self, to: NodeKey, results: Vec<(JobId, Outcome)>, out: &mut Vec<Action>) {
        let mut by_run: BTreeMap<RunId, Vec<(JobId, Output)>> = BTreeMap::new();
        for (id, outcome) in results {
            if let Outcome::Output(output) = outcome {
                by_run.entry(RunId(id.run)).or_default().push((id, *output));
            }
        }
        by_run.into_iter().for_each(|(run, results)| self.send_batch(to, run, &results, out));
    }

    fn send_batch(&mut self, to: NodeKey, id: RunId, results: &[(JobId, Output)], out: &mut Vec<Action>) {
        // A run that is closed has nobody waiting for its results.
        let Some(run) = self.runs.get_mut(&(to, id)) else { return };
        let bytes = match run::pack(results) {
            Ok(bytes) => bytes,
            Err(error) => return out.push(Action::Log(format!("results cannot be packed: {error}"))),
        };
        let parts: Vec<ByteBuf> =
            bytes.chunks(RESULT_BYTES_MAX).map(|part| ByteBuf::from(part.to_vec())).collect();
        let count = u16::try_from(parts.len()).unwrap_or(PARTS_MAX).min(PARTS_MAX);
        let batch = run.batches;
        run.batches += 1;
        for (part, bytes) in (0..count).zip(&parts) {
            let results = Results { run: id, batch, part, parts: count, bytes: bytes.clone() };
            let request = WorkRequest::Results(results);
            out.push(Action::SendWork { to, purpose: Purpose::Results { run: id, batch, part }, request });
        }
        let ids = results.iter().map(|(id, _)| *id).collect();
        self.batches.insert((to, id, batch), Batch { ids, missing: parts.len(), parts });
    }

    /// A part of a batch did not arrive; it is sent again with the next tick.
    pub fn undelivered(&mut self, to: NodeKey, run: RunId, batch: u64, part: u16) {
        self.retries.push((to, run, batch, part));
    }

    fn retry(&mut self, out: &mut Vec<Action>) {
        for (to, run, batch, part) in std::mem::take(&mut self.retries) {
            let Some(sent) = self.batches.get(&(to, run, batch)) else { continue };
            let Some(bytes) = sent.parts.get(usize::from(part)).filter(|bytes| !bytes.is_empty()) else {
                continue;
            };
            let parts = u16::try_from(sent.parts.len()).unwrap_or(PARTS_MAX);
            let results = Results { run, batch, part, parts, bytes: bytes.clone() };
            let request = WorkRequest::Results(results);
            out.push(Action::SendWork { to, purpose: Purpose::Results { run, batch, part }, request });
        }
    }
}

fn note(what: &'static str, text: String) -> Action {
    Action::Note { what, text }
}

/// For the audit log: a run does not run here.
fn refused(from: NodeKey, run: RunId, why: &str) -> Action {
    note("job", format!("refused run={:016x} submitter={}: {why}", run.0, Key(from.bytes())))
}

fn ready(to: NodeKey, run: RunId, why: Option<String>) -> Action {
    Action::SendWork { to, purpose: Purpose::Courtesy, request: WorkRequest::RunReady { run, why } }
}

fn refusal(why: Refused) -> Refusal {
    match why {
        Refused::Busy => Refusal::Full,
        Refused::Paused => Refusal::Paused,
        Refused::Replayed | Refused::Expired => Refusal::Stale,
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteArray;

    use super::*;
    use crate::job::{Captured, Ladder, Limits, Root, RootedPath, Status};
    use crate::worker::without_process;

    fn at(millis: u64) -> Now {
        Now { mono: Duration::from_millis(millis), unix: 1_000 }
    }

    fn job(sequence: u32) -> Job {
        Job {
            id: JobId { run: 1, sequence, attempt: 0 },
            argv: Vec::new(),
            env: Vec::new(),
            cwd: RootedPath { root: Root::Workspace, path: String::new() },
            limits: Limits { wall: Duration::from_secs(60), output: 1 << 10, ladder: Ladder::Kill },
        }
    }

    /// A run is open, its inputs are here.
    fn opened(inbound: &mut Inbound, peer: NodeKey, out: &mut Vec<Action>) {
        let canary = job(7);
        let open = RunOpen { run: RunId(1), inputs: Vec::new(), canary, answer: ByteBuf::new() };
        inbound.open(peer, open, at(0), out);
        inbound.prepared(peer, RunId(1), Ok(()), at(0), out);
    }

    /// What a trial must say.
    fn good() -> Output {
        let nothing = Captured { bytes: Vec::new(), dropped: 0 };
        Output { stdout: nothing, ..without_process(Exit::Ended(Status::Code(0))) }
    }

    fn trial_of(out: &[Action]) -> Option<JobId> {
        out.iter().rev().find_map(|action| match action {
            Action::Run { job, .. } if job.id.sequence == TRIAL => Some(job.id),
            _ => None,
        })
    }

    fn told_ready(out: &[Action]) -> bool {
        let is = |action: &Action| {
            matches!(action, Action::SendWork { request: WorkRequest::RunReady { why: None, .. }, .. })
        };
        out.iter().any(is)
    }

    #[test]
    fn a_trial_is_a_job_on_a_slot_that_waits_while_the_node_is_paused_and_dies_with_trust() {
        let peer = NodeKey::new([2; 32]);
        let (mut inbound, mut out) = (Inbound::new(1, Tier::Contained), Vec::new());
        inbound.pause(true, at(0), &mut out);
        opened(&mut inbound, peer, &mut out);
        inbound.tick(at(500), &mut out);
        assert_eq!((trial_of(&out), inbound.usage().running), (None, 0));
        inbound.pause(false, at(1000), &mut out);
        let trial = trial_of(&out).unwrap();
        assert_eq!(inbound.usage().running, 1);
        out.clear();
        inbound.expelled(peer, at(1100), &mut out);
        let killed = |action: &Action| matches!(action, Action::Kill { slot: 0, id } if *id == trial);
        assert!(out.iter().any(killed));
        inbound.finished(0, trial, good(), at(1200), &mut out);
        assert!(!told_ready(&out));
        assert_eq!(inbound.usage().running, 0);
    }

    #[test]
    fn a_trial_that_found_no_slot_in_time_is_offered_again() {
        let (peer, other) = (NodeKey::new([2; 32]), NodeKey::new([3; 32]));
        let (mut inbound, mut out) = (Inbound::new(1, Tier::Contained), Vec::new());
        opened(&mut inbound, other, &mut out);
        let first = trial_of(&out).unwrap();
        out.clear();
        opened(&mut inbound, peer, &mut out);
        for tick in 1..40 {
            inbound.tick(at(500 * tick), &mut out);
        }
        assert_eq!(trial_of(&out), None);
        let gives_back = |action: &Action| {
            matches!(action, Action::SendWork { request: WorkRequest::GiveBack { .. }, .. })
        };
        assert!(!out.iter().any(gives_back), "nobody else's business");
        inbound.finished(0, first, good(), at(20_000), &mut out);
        inbound.tick(at(20_500), &mut out);
        assert!(trial_of(&out).is_some_and(|trial| trial.attempt > 0));
    }

    fn has_results(out: &[Action]) -> bool {
        let is =
            |action: &Action| matches!(action, Action::SendWork { purpose: Purpose::Results { .. }, .. });
        out.iter().any(is)
    }

    #[test]
    fn results_that_wait_for_company_leave_when_they_are_due_and_not_with_the_next_tick() {
        let (me, peer) = (NodeKey::new([1; 32]), NodeKey::new([2; 32]));
        let (mut inbound, mut out) = (Inbound::new(1, Tier::Contained), Vec::new());
        opened(&mut inbound, peer, &mut out);
        inbound.finished(0, trial_of(&out).unwrap(), good(), at(0), &mut out);
        assert!(told_ready(&out));
        let offer = Offer {
            run: RunId(1),
            submitter: peer,
            audience: me,
            sequence: 0,
            expires: 1_060,
            nonce: ByteArray::new([0; 16]),
            inputs: Vec::new(),
            jobs: (0..3).map(job).collect(),
        };
        let answer = inbound.offer(offer, at(0), &mut out);
        assert!(matches!(answer, WorkResponse::Offer(reply) if reply.accepted.len() == 3));
        out.clear();
        let output = without_process(Exit::Lost("x".to_owned()));
        inbound.finished(0, job(0).id, output, at(100), &mut out);
        // Others of the same run come soon: one message for all.
        assert!(!has_results(&out));
        let due = inbound.due().unwrap();
        assert!(due < at(100).mono + Duration::from_millis(100), "{due:?}");
        inbound.wake(Now { mono: due, unix: 1_000 }, &mut out);
        assert!(has_results(&out));
    }
}
