//! The bytes of every message, so that a change of the wire is seen and gets a new version.
//!
//! `golden.txt` has a line a message: its name and its bytes. With `TESTMESH_BLESS` set it is written anew.

use std::fmt::Debug;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::{ByteArray, ByteBuf};
use testmesh_behaviours::blobs::wire::{self, Answer, Ask, Given, Want};
use testmesh_behaviours::id::{BlobId, Digest, NodeKey, StatementId};
use testmesh_behaviours::status::hello::{HelloRequest, HelloResponse, Rights};
use testmesh_behaviours::status::wire::{Load, StatusRequest, StatusResponse, Trusted, VectorEntry};
use testmesh_behaviours::work::message::{
    OfferReply, Refusal, Results, ResultsAck, RunId, RunOpen, Which, WorkRequest, WorkResponse,
};
use testmesh_behaviours::work::offer::{InputDigest, Offer, SignedOffer};
use testmesh_behaviours::work::wire::{
    Arg, Captured, Exit, Job, JobId, Ladder, Limits, Output, Root, RootedPath, Status,
};

use crate::support::hello;

#[derive(Default)]
struct Table(String);

impl Table {
    fn add<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str, message: T) {
        let bytes = cbor4ii::serde::to_vec(Vec::new(), &message).unwrap();
        assert_eq!(cbor4ii::serde::from_slice::<T>(&bytes).unwrap(), message, "{name} does not come back");
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        writeln!(self.0, "{name} {hex}").unwrap();
    }
}

fn id() -> JobId {
    JobId { run: 1, sequence: 2, attempt: 3 }
}

fn rooted(root: Root) -> RootedPath {
    RootedPath { root, path: "a/b".to_owned() }
}

fn job() -> Job {
    let within = Arg::Within { before: "<".to_owned(), path: rooted(Root::Program), after: ">".to_owned() };
    Job {
        id: id(),
        argv: vec![Arg::Path(rooted(Root::Build)), Arg::Text("-e".to_owned()), within],
        env: vec![("A".to_owned(), Arg::Relative(rooted(Root::Workspace)))],
        cwd: rooted(Root::Workspace),
        limits: Limits { wall: Duration::from_millis(1_500), output: 9, ladder: Ladder::TermThenKill },
    }
}

fn offer() -> Offer {
    Offer {
        run: RunId(1),
        submitter: NodeKey::new([1; 32]),
        audience: NodeKey::new([2; 32]),
        sequence: 3,
        expires: 4,
        nonce: ByteArray::new([5; 16]),
        inputs: vec![InputDigest { root: Root::Build, manifest: BlobId::new([6; 32]) }],
        jobs: vec![job()],
    }
}

fn output(exit: Exit) -> Output {
    Output {
        exit,
        stdout: Captured { bytes: b"out".to_vec(), dropped: 1 },
        stderr: Captured::default(),
        duration: Duration::from_micros(1),
        max_rss: 4_096,
    }
}

fn status(table: &mut Table) {
    let bytes = || vec![ByteBuf::from(vec![1, 2])];
    table.add("hello", HelloRequest::Hello(hello(Rights::ALL)));
    table.add("hello-revocations", HelloRequest::Revocations(bytes()));
    table.add("hello-fetch", HelloRequest::FetchRevocations { after: Some(StatementId::new([7; 32])) });
    table.add("hello-goodbye", HelloRequest::Goodbye);
    table.add("hello-answer", HelloResponse::Hello(hello(Rights::NONE)));
    table.add("hello-taken", HelloResponse::Taken(1));
    table.add("hello-page", HelloResponse::Revocations { statements: bytes(), more: true });
    table.add("hello-noted", HelloResponse::Noted);
    table.add("hello-refused", HelloResponse::Refused("no".to_owned()));
    let load = Load { slots: 8, running: 2, queued: 300, paused: true, speed: 1_000, tier: 2 };
    let (digest, after) = (Digest::new([1; 32]), Some(StatementId::new([7; 32])));
    table.add("status-compare", StatusRequest::Compare { digest, after: None });
    table.add("status-compare-on", StatusRequest::Compare { digest, after });
    table.add("status-fetch", StatusRequest::Fetch(vec![StatementId::new([2; 32])]));
    table.add("status-push", StatusRequest::Push(bytes()));
    table.add("status-load", StatusRequest::Load(load));
    table.add("status-view", StatusRequest::View);
    let (issuer, id) = (NodeKey::new([3; 32]), StatementId::new([4; 32]));
    let entry = VectorEntry { issuer, kind: 1, version: 1 << 40, id };
    table.add("status-same", StatusResponse::Same);
    table.add("status-page", StatusResponse::Page { entries: vec![entry], more: true });
    table.add("status-statements", StatusResponse::Statements(bytes()));
    table.add("status-taken", StatusResponse::Taken(2));
    table.add("status-load-answer", StatusResponse::Load(load));
    let trusted = Trusted {
        key: NodeKey::new([5; 32]),
        rights: Rights::WORK,
        name: "x".to_owned(),
        addresses: vec!["/ip4/10.0.0.1/tcp/1".to_owned()],
    };
    table.add("status-view-answer", StatusResponse::View(vec![trusted]));
    table.add("status-refused", StatusResponse::Refused("no".to_owned()));
}

fn work(table: &mut Table) {
    let signed = SignedOffer::new(&offer(), |_| [9; 64]).unwrap();
    table.add("offer", offer());
    table.add("work-offer", WorkRequest::Offer(signed));
    let inputs = vec![InputDigest { root: Root::Build, manifest: BlobId::new([1; 32]) }];
    let open = RunOpen { run: RunId(1), inputs, canary: job(), answer: ByteBuf::from(vec![1]) };
    table.add("work-open", WorkRequest::RunOpen(open));
    table.add("work-ready", WorkRequest::RunReady { run: RunId(1), why: None });
    table.add("work-unfit", WorkRequest::RunReady { run: RunId(1), why: Some("x".to_owned()) });
    table.add("work-give-back", WorkRequest::GiveBack { run: RunId(1), jobs: vec![id()] });
    let results = Results { run: RunId(1), batch: 2, part: 0, parts: 1, bytes: ByteBuf::from(vec![1]) };
    table.add("work-results", WorkRequest::Results(results));
    table.add("work-cancel-all", WorkRequest::Cancel { run: RunId(1), which: Which::All });
    table.add("work-cancel", WorkRequest::Cancel { run: RunId(1), which: Which::Jobs(vec![id()]) });
    table.add("work-close", WorkRequest::RunClose(RunId(1)));
    table.add("work-done", WorkResponse::Done);
    let refusals = [
        Refusal::Full,
        Refusal::Paused,
        Refusal::NotTrusted,
        Refusal::Stale,
        Refusal::MissingInput(BlobId::new([1; 32])),
        Refusal::Unable("tier".to_owned()),
        Refusal::Malformed("path".to_owned()),
        Refusal::UnknownRun,
    ];
    let refused = refusals.into_iter().map(|why| (id(), why)).collect();
    table.add("work-reply", WorkResponse::Offer(OfferReply { accepted: vec![id()], refused, room: 7 }));
    table.add("work-ack", WorkResponse::Results(ResultsAck { run: RunId(1), batch: 2, part: 0 }));
    table.add("work-refused", WorkResponse::Refused(Refusal::Full));
    let exits = [
        Exit::Ended(Status::Code(1)),
        Exit::TimedOut(Status::Signal(15)),
        Exit::NotStarted("why".to_owned()),
        Exit::Lost("why".to_owned()),
        Exit::Cancelled,
    ];
    table.add("outputs", exits.map(|exit| (id(), output(exit))).to_vec());
    let want = Want { id: BlobId::new([1; 32]), offset: 2, most: 300, insist: true };
    table.add("blob-ask", Ask { version: wire::VERSION, wants: vec![want] });
    table.add("blob-given", Given(vec![(BlobId::new([1; 32]), NodeKey::new([2; 32]))]));
    let answers = [
        Answer::Sending { length: 4 },
        Answer::Missing,
        Answer::Coming,
        Answer::Busy,
        Answer::Elsewhere(vec![NodeKey::new([1; 32])]),
        Answer::Refused,
    ];
    table.add("blob-answers", answers.to_vec());
}

#[test]
fn every_message_has_the_bytes_it_always_had() {
    let mut table = Table::default();
    status(&mut table);
    work(&mut table);
    if std::env::var_os("TESTMESH_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden.txt"), &table.0).unwrap();
    }
    for (now, always) in table.0.lines().zip(include_str!("golden.txt").lines()) {
        assert_eq!(now, always);
    }
    assert_eq!(table.0.lines().count(), include_str!("golden.txt").lines().count());
}
