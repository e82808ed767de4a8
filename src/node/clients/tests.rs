//! A node and one friend whose jobs it runs: what a loss of trust or of a right does to them, and what is noted.

use std::sync::Arc;
use std::time::Duration;

use serde_bytes::{ByteArray, ByteBuf};
use testmesh_behaviours::status::hello::{Hello, HelloRequest, Platform, Rights};
use testmesh_behaviours::status::wire::{Load, StatusRequest};
use testmesh_behaviours::work::message::{Refusal, RunId, RunOpen, WorkRequest, WorkResponse};
use testmesh_behaviours::work::offer::Offer;
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::identity::Identity;
use testmesh_keys::keyring::{Keyring, Seed};
use testmesh_keys::policy::Policy;

use super::*;
use crate::backend::Tier;
use crate::job::{Captured, Exit, Job, JobId, Ladder, Limits, Output, Root, RootedPath, Status};
use crate::local::wire::{self, Mdns};
use crate::node::event::{Event, ReplyTo};
use crate::node::state::About;
use crate::worker::without_process;

const NOW: Now = Now { mono: Duration::from_secs(1), unix: 1_800_000_000 };

fn identity(byte: u8) -> Arc<Identity> {
    Arc::new(Identity::from_secret_bytes([byte; 32]).unwrap())
}

fn key(byte: u8) -> NodeKey {
    NodeKey::new(*identity(byte).public().as_bytes())
}

/// A node of two slots and half the usual speed.
fn node() -> State {
    let seed = Seed { allowlist: Allowlist::empty(), policy: Policy::empty(), records: Vec::new() };
    let about = About {
        key: key(1),
        name: "desk".to_owned(),
        version: "0".to_owned(),
        platform: Platform::default(),
        slots: 2,
        works: true,
        speed: 500,
        tier: Tier::Contained,
        mesh: "test".to_owned(),
        mdns: Mdns::Off,
        local: false,
        pid: 1,
        home: String::new(),
        accept_unsandboxed: false,
        warnings: Vec::new(),
    };
    State::new(about, Trust::new(Keyring::new(identity(1), seed, NOW.unix)))
}

fn ask(state: &mut State, request: Request) -> (Vec<Action>, Reply) {
    let client = Client { id: 1, ask: 1 };
    let mut actions = state.handle(Event::Client { client, request }, NOW);
    let place = actions.iter().position(|action| matches!(action, Action::Tell(..))).unwrap();
    let Action::Tell(_, reply) = actions.remove(place) else { unreachable!() };
    (actions, reply)
}

fn change(state: &mut State, request: Request) -> (Vec<Action>, Consequences) {
    let (actions, reply) = ask(state, request);
    let Reply::Done(done) = reply else { panic!("{reply:?}") };
    (actions, done)
}

fn approve(byte: u8, rights: wire::Rights) -> Request {
    let who = Who::Key(Key(key(byte).bytes()));
    let (label, name, despite) = (None, "friend".to_owned(), Vec::new());
    Request::Approve(Approve { who, rights, depth: 3, label, name, despite })
}

fn revoke(byte: u8, dry_run: bool) -> Request {
    let who = Who::Key(Key(key(byte).bytes()));
    Request::Revoke(Revoke { who, reason: wire::Reason::Lost, note: String::new(), dry_run })
}

fn job(sequence: u32) -> Job {
    Job {
        id: JobId { run: 7, sequence, attempt: 0 },
        argv: Vec::new(),
        env: Vec::new(),
        cwd: RootedPath { root: Root::Workspace, path: String::new() },
        limits: Limits { wall: Duration::from_secs(60), output: 1 << 10, ladder: Ladder::Kill },
    }
}

/// A peer introduces itself, says that it trusts this node and holds what this node holds.
fn hello(state: &State, byte: u8, name: &str) -> Event {
    let hello = Hello {
        version: "0".to_owned(),
        name: name.to_owned(),
        digest: state.trust.digest(),
        revocations: state.trust.revocation_digest(),
        trust: Rights::ALL,
        platform: Platform::default(),
    };
    Event::Hello { from: key(byte), request: HelloRequest::Hello(hello), reply: ReplyTo(1) }
}

/// A friend that is connected, trusts back, and has five jobs here: two run, three wait.
fn with_friend_at_work() -> (State, Vec<Action>) {
    let mut state = node();
    change(&mut state, approve(2, wire::Rights::ALL));
    let connected = Event::Connected { peer: key(2), address: "/memory/1".to_owned(), inbound: true };
    state.handle(connected, NOW);
    let said = hello(&state, 2, "lap");
    state.handle(said, NOW);
    let open = RunOpen { run: RunId(7), inputs: Vec::new(), canary: job(99), answer: ByteBuf::new() };
    let opened = Event::Work { from: key(2), request: WorkRequest::RunOpen(open), reply: ReplyTo(2) };
    let mut actions = state.handle(opened, NOW);
    actions.extend(state.handle(Event::Prepared { submitter: key(2), run: RunId(7), result: Ok(()) }, NOW));
    let trial = actions.iter().find_map(|action| match action {
        Action::Run { job, .. } => Some(job.id),
        _ => None,
    });
    let nothing = Captured { bytes: Vec::new(), dropped: 0 };
    let output = Output { stdout: nothing, ..without_process(Exit::Ended(Status::Code(0))) };
    actions.extend(state.handle(Event::JobDone { slot: 0, id: trial.unwrap(), output }, NOW));
    let offer = Offer {
        run: RunId(7),
        submitter: key(2),
        audience: key(1),
        sequence: 0,
        expires: NOW.unix + 60,
        nonce: ByteArray::new([0; 16]),
        inputs: Vec::new(),
        jobs: (0..5).map(job).collect(),
    };
    state.inbound.offer(offer, NOW, &mut actions);
    (state, actions)
}

fn notes(actions: &[Action]) -> Vec<(&'static str, &str)> {
    let note = |action| match action {
        &Action::Note { what, ref text } => Some((what, text.as_str())),
        _ => None,
    };
    actions.iter().filter_map(note).collect()
}

fn kills(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Kill { .. })).count()
}

#[test]
fn a_revocation_says_how_many_jobs_stop_stops_them_and_notes_it() {
    let (mut state, begun) = with_friend_at_work();
    let friend = Key(key(2).bytes());
    let accepted = format!("accepted run=0000000000000007 submitter={friend} tier=1");
    assert_eq!(notes(&begun), [("job", accepted.as_str())]);
    let (actions, would) = change(&mut state, revoke(2, true));
    assert_eq!((would.jobs_stopped, kills(&actions)), (5, 0));
    let (actions, done) = change(&mut state, revoke(2, false));
    assert_eq!((done.jobs_stopped, kills(&actions)), (5, 2));
    assert_eq!(done.lost[0].who.name, "friend", "by the label it had");
    let killed = format!("submitter={friend} running=2 queued=3");
    assert_eq!(notes(&actions), [("kill", killed.as_str())]);
    let written = actions.iter().position(|action| matches!(action, Action::Persist(_)));
    assert!(written < actions.iter().position(|action| matches!(action, Action::Note { .. })));
}

#[test]
fn who_may_submit_no_more_loses_its_jobs_though_it_may_work() {
    let (mut state, _) = with_friend_at_work();
    let (actions, done) = change(&mut state, approve(2, wire::Rights { submit: false, work: true }));
    assert_eq!((done.jobs_stopped, kills(&actions)), (5, 2));
    // It may still work; what it submits is refused, and that is noted once.
    let open = || RunOpen { run: RunId(8), inputs: Vec::new(), canary: job(99), answer: ByteBuf::new() };
    let open = || Event::Work { from: key(2), request: WorkRequest::RunOpen(open()), reply: ReplyTo(3) };
    let first = state.handle(open(), NOW);
    assert!(first.contains(&Action::AnswerWork(ReplyTo(3), WorkResponse::Refused(Refusal::NotTrusted))));
    assert_eq!((notes(&first).len(), notes(&state.handle(open(), NOW)).len()), (1, 0));
}

#[test]
fn a_run_that_cannot_be_prepared_is_noted_as_refused() {
    let (mut state, _) = with_friend_at_work();
    let result = Err("no room".to_owned());
    let actions = state.handle(Event::Prepared { submitter: key(2), run: RunId(7), result }, NOW);
    assert!(notes(&actions)[0].1.ends_with(": no room"), "{actions:?}");
}

#[test]
fn the_speed_of_a_peer_is_told_beside_this_machine() {
    let (mut state, _) = with_friend_at_work();
    let load = Load { slots: 4, running: 0, queued: 0, paused: false, speed: 1000, tier: 1 };
    state.handle(Event::Status { from: key(2), request: StatusRequest::Load(load), reply: ReplyTo(9) }, NOW);
    let (_, Reply::Peers(peers)) = ask(&mut state, Request::Peers) else { panic!() };
    assert_eq!(peers[0].load.map(|load| load.speed), Some(2000), "twice as fast");
    let (_, Reply::Status(status)) = ask(&mut state, Request::Status) else { panic!() };
    assert_eq!(status.load.speed, 1000, "as fast as itself");
}

#[test]
fn before_its_first_word_nobody_knows_whether_a_peer_trusts_us() {
    let (mut state, _) = with_friend_at_work();
    let trusts = |state: &mut State| {
        let (_, Reply::Why(why)) = ask(state, Request::Why(Who::Name("friend".to_owned()))) else { panic!() };
        why.trusts_you
    };
    assert_eq!(trusts(&mut state), Some(wire::Rights::ALL));
    state.handle(Event::Disconnected { peer: key(2), why: None }, NOW);
    state.handle(Event::Connected { peer: key(2), address: String::new(), inbound: true }, NOW);
    assert_eq!(trusts(&mut state), None);
}

#[test]
fn what_the_owner_calls_a_machine_counts_before_what_machines_call_themselves() {
    let (mut state, _) = with_friend_at_work();
    state.handle(Event::Connected { peer: key(3), address: String::new(), inbound: true }, NOW);
    let said = hello(&state, 3, "friend");
    state.handle(said, NOW);
    assert_eq!(state.find(&Who::Name("friend".to_owned())), Ok(key(2)));
    assert_eq!(state.find(&Who::Name("lap".to_owned())), Ok(key(2)), "its own name for itself does too");
    assert_eq!(state.named(&key(3)).origin, wire::Origin::Itself);
    assert!(state.find(&Who::Name(String::new())).is_err(), "no name is nobody's");
    change(&mut state, approve(3, wire::Rights::ALL));
    assert!(state.find(&Who::Name("friend".to_owned())).is_err(), "two labels alike are ambiguous");
}

#[test]
fn an_edit_that_cannot_be_read_is_complained_of_until_it_can() {
    let mut state = node();
    let warned = |state: &mut State| {
        let (_, Reply::Status(status)) = ask(state, Request::Status) else { panic!() };
        status.warnings.iter().any(|warning| warning.contains("line 3"))
    };
    let read = state.handle(Event::Edited(Err("allowlist: line 3".to_owned())), NOW);
    assert!(read.is_empty() && warned(&mut state));
    state.handle(Event::Edited(Ok(Box::new((Allowlist::empty(), Policy::empty())))), NOW);
    assert!(!warned(&mut state));
}
