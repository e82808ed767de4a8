//! Blobs over streams in memory: honest, cut, lying and senseless ends.

use std::time::Duration;

use futures::io::Cursor;
use tokio::io::DuplexStream;

use super::*;
use crate::blobs::{StoreConfig, hash};

fn store(dir: &tempfile::TempDir) -> Store {
    let dir = dir.path().to_owned();
    Store::open(StoreConfig { dir, cap: 1 << 30, floor: 0, grace: Duration::ZERO }).unwrap()
}

fn put(store: &Store, bytes: &[u8]) -> BlobId {
    let id = hash(bytes);
    store.put(&id, bytes).unwrap();
    id
}

fn want(id: BlobId, most: usize) -> Want {
    Want { id, offset: 0, most: most as u64, insist: false }
}

/// A futures stream over tokio's in-memory one.
struct Duplex(DuplexStream);

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut [u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let mut room = tokio::io::ReadBuf::new(buffer);
        let read = tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), cx, &mut room);
        read.map_ok(|()| room.filled().len())
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(std::pin::Pin::new(&mut self.0), cx, buffer)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(std::pin::Pin::new(&mut self.0), cx)
    }

    fn poll_close(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut self.0), cx)
    }
}

fn streams() -> (Duplex, Duplex) {
    let (one, other) = tokio::io::duplex(64 << 10);
    (Duplex(one), Duplex(other))
}

/// Gives everything, remembering what went out whole.
#[derive(Default)]
struct Open(Vec<(BlobId, bool)>);

impl Provide for &mut Open {
    fn admitted(&self) -> bool {
        true
    }

    fn decide(&mut self, _: BlobId, _: u64, _: bool) -> Decision<NodeKey> {
        Decision::Send
    }

    fn given(&mut self) -> Vec<(BlobId, NodeKey)> {
        vec![(hash(b"given"), NodeKey::new([9; 32]))]
    }

    fn sent(&mut self, id: BlobId, whole: bool) {
        self.0.push((id, whole));
    }
}

/// Keeps what became of wanted blobs.
fn settled(outcomes: &mut Vec<Outcome<NodeKey>>) -> impl FnMut(Report) {
    |report| {
        if let Report::Settled(_, outcome) = report {
            outcomes.push(outcome);
        }
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// What a receiver makes of a provider that sends these bytes and closes.
fn receive(store: &Store, wants: &[Want], bytes: Vec<u8>) -> (Vec<Outcome<NodeKey>>, bool) {
    let mut outcomes = Vec::new();
    let ended = run(async {
        let (mut near, mut far) = streams();
        let play = async {
            let _: Ask = read_frame(&mut far).await.unwrap();
            let _ = far.write_all(&bytes).await;
            let _ = far.close().await;
            drop(far);
        };
        let fetched = fetch(&mut near, store, wants, settled(&mut outcomes));
        futures::join!(play, fetched).1
    });
    (outcomes, ended.is_ok())
}

/// What is said about one blob before its content.
fn frame(answer: &Answer) -> Vec<u8> {
    run(async {
        let mut bytes = Cursor::new(Vec::new());
        write_frame(&mut bytes, answer).await.unwrap();
        write_frame(&mut bytes, &Given::default()).await.unwrap();
        bytes.into_inner()
    })
}

#[test]
fn blobs_go_over_one_stream_one_after_another() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (store(&here), store(&there));
    let contents: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; 1 + usize::from(n) * 9_000]).collect();
    let wants: Vec<Want> = contents.iter().map(|bytes| want(put(&from, bytes), bytes.len())).collect();
    let mut open = Open::default();
    let (sent, received) = run(async {
        let (mut near, far) = streams();
        let fetched = async {
            let mut received = 0;
            for part in wants.chunks(WANTS_MAX) {
                let (mut outcomes, mut given) = (Vec::new(), Vec::new());
                received += fetch(&mut near, &to, part, |report| match report {
                    Report::Settled(_, outcome) => outcomes.push(outcome),
                    Report::Given(blobs) => given.extend(blobs),
                })
                .await
                .unwrap();
                assert!(outcomes.len() == part.len() && outcomes.iter().all(|one| *one == Outcome::Arrived));
                assert_eq!(given, [(hash(b"given"), NodeKey::new([9; 32]))]);
            }
            near.close().await.unwrap();
            drop(near);
            received
        };
        let (sent, received) = futures::join!(serve(far, &from, Coming::default(), &mut open), fetched);
        (sent.unwrap(), received)
    });
    let total: usize = contents.iter().map(Vec::len).sum();
    assert_eq!((sent, received), (total as u64, total as u64));
    assert!(open.0.iter().all(|(_, whole)| *whole) && open.0.len() == 40);
    for (want, bytes) in wants.iter().zip(&contents) {
        assert_eq!(&to.read(&want.id).unwrap().unwrap(), bytes);
    }
}

#[test]
fn what_is_not_sent_is_said() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (store(&here), store(&there));
    let large = vec![1; 20_000];
    let given = put(&from, &large);
    let small = put(&from, b"small");
    let (first, second) = (NodeKey::new([1; 32]), NodeKey::new([2; 32]));
    let offers = Arc::new(Mutex::new(Offers::new()));
    offers.lock().unwrap().ask(first, given, 20_000, false);
    let wants = [want(hash(b"?"), 9), want(small, 4), want(given, 20_000), want(small, 5)];
    let mut outcomes = Vec::new();
    let mut asked = |peer: NodeKey, keep: &mut Vec<Gate>| {
        outcomes.clear();
        let gate = Gate::admit(Arc::clone(&offers), peer);
        keep.push(Gate::admit(Arc::clone(&offers), peer));
        run(async {
            let (mut near, far) = streams();
            let fetched = async {
                fetch(&mut near, &to, &wants, settled(&mut outcomes)).await.unwrap();
                drop(near);
            };
            futures::join!(serve(far, &from, Coming::default(), gate), fetched).0.unwrap();
        });
        outcomes.clone()
    };
    let mut gates = Vec::new();
    let elsewhere = Outcome::Elsewhere(vec![first]);
    assert_eq!(asked(second, &mut gates), [Outcome::Missing, Outcome::Refused, elsewhere, Outcome::Arrived]);
    gates.extend([(); 3].map(|()| Gate::admit(Arc::clone(&offers), second)));
    // One more stream of the peer is one too many.
    let busy = asked(second, &mut gates);
    assert_eq!(busy, [const { Outcome::Busy }; 4]);
}

#[test]
fn a_stream_cut_anywhere_is_resumed_from_there() {
    let there = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..60u8).collect();
    let id = hash(&content);
    let head = frame(&Answer::Sending { length: 60 });
    let whole = [head.as_slice(), &content].concat();
    for cut in 0..whole.len() {
        let to = store(&there);
        to.drop_partial(&id);
        let (outcomes, ended) = receive(&to, &[want(id, 60)], whole[..cut].to_vec());
        assert!(!ended && !to.has(&id), "cut at {cut}");
        let have = cut.saturating_sub(head.len()) as u64;
        let interrupted = if cut < head.len() { vec![] } else { vec![Outcome::Interrupted { have }] };
        assert_eq!(outcomes, interrupted, "cut at {cut}");
        assert_eq!(to.partial(&id).len() as u64, have);
        let rest = [head.as_slice(), &content[usize::try_from(have).unwrap()..]].concat();
        let resumed = receive(&to, &[Want { offset: have, ..want(id, 60) }], rest);
        assert_eq!(resumed, (vec![Outcome::Arrived], true), "cut at {cut}");
        std::fs::remove_dir_all(there.path().join("objects")).unwrap();
    }
}

#[test]
fn content_under_a_wrong_name_is_corrupt() {
    let there = tempfile::tempdir().unwrap();
    let to = store(&there);
    let id = hash(b"right");
    let bytes = [frame(&Answer::Sending { length: 5 }).as_slice(), b"wrong"].concat();
    assert_eq!(receive(&to, &[want(id, 5)], bytes), (vec![Outcome::Corrupt], true));
    assert!(!to.has(&id) && to.partial(&id).is_empty());
    to.keep_partial(&id, b"wr");
    let bytes = [frame(&Answer::Sending { length: 5 }).as_slice(), b"ght"].concat();
    let resumed = receive(&to, &[Want { offset: 2, ..want(id, 5) }], bytes);
    assert_eq!(resumed, (vec![Outcome::Corrupt], true));
}

#[test]
fn nobody_sends_more_than_was_asked_for() {
    let there = tempfile::tempdir().unwrap();
    let to = store(&there);
    for length in [6, BLOB_MAX + 1, u64::MAX] {
        let bytes = [frame(&Answer::Sending { length }).as_slice(), &[0; 100]].concat();
        let (outcomes, ended) = receive(&to, &[want(hash(b"right"), 5)], bytes);
        assert_eq!((outcomes, ended), (vec![Outcome::Refused], false));
    }
    let bytes = [frame(&Answer::Sending { length: u64::MAX }).as_slice(), &[0; 100]].concat();
    let unknown = Want { most: u64::MAX, ..want(hash(b"right"), 0) };
    assert_eq!(receive(&to, &[unknown], bytes), (vec![Outcome::Refused], false));
}

#[test]
fn noise_is_an_error() {
    let there = tempfile::tempdir().unwrap();
    let to = store(&there);
    for bytes in [vec![], vec![0], vec![0, 1, 0xff], vec![0xff; 2_000], vec![0, 0]] {
        let (outcomes, ended) = receive(&to, &[want(hash(b"x"), 5)], bytes);
        assert!(outcomes.is_empty() && !ended);
    }
}

#[test]
fn senseless_asks_are_refused() {
    let here = tempfile::tempdir().unwrap();
    let from = store(&here);
    let id = put(&from, b"content");
    let ask = |ask: Ask| {
        run(async {
            let (mut near, far) = streams();
            let asked = async {
                write_frame(&mut near, &ask).await.unwrap();
                let answer: Answer = read_frame(&mut near).await.unwrap();
                drop(near);
                answer
            };
            let mut open = Open::default();
            futures::join!(serve(far, &from, Coming::default(), &mut open), asked)
        })
    };
    let (served, answer) = ask(Ask { version: 2, wants: vec![want(id, 7)] });
    assert!(served.is_err() && answer == Answer::Refused);
    let (served, answer) = ask(Ask { version: VERSION, wants: vec![] });
    assert!(served.is_err() && answer == Answer::Refused);
    let behind = Want { offset: 8, most: 100, id, insist: true };
    let (served, answer) = ask(Ask { version: VERSION, wants: vec![behind] });
    assert!(served.is_ok() && answer == Answer::Refused);
}

#[test]
fn who_drops_a_stream_did_not_get_it_all() {
    let here = tempfile::tempdir().unwrap();
    let from = store(&here);
    let id = put(&from, &vec![7; 1 << 20]);
    let mut open = Open::default();
    let served = run(async {
        let (mut near, far) = streams();
        let asked = async {
            write_frame(&mut near, &Ask { version: VERSION, wants: vec![want(id, 1 << 20)] }).await.unwrap();
            let _: Answer = read_frame(&mut near).await.unwrap();
            drop(near);
        };
        futures::join!(serve(far, &from, Coming::default(), &mut open), asked).0
    });
    assert!(served.is_err());
    assert_eq!(open.0, [(id, false)]);
}

#[test]
fn a_store_without_room_says_so() {
    let there = tempfile::tempdir().unwrap();
    let config = StoreConfig { dir: there.path().to_owned(), cap: 3, floor: 0, grace: Duration::ZERO };
    let to = Store::open(config).unwrap();
    let id = hash(b"right");
    let bytes = [frame(&Answer::Sending { length: 5 }).as_slice(), b"right"].concat();
    assert_eq!(receive(&to, &[want(id, 5)], bytes), (vec![Outcome::NotKept], true));
}

#[test]
fn what_is_coming_is_waited_for_and_holds_nothing_else_up() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (store(&here), store(&there));
    let (late, now, never) = (hash(b"late"), put(&from, b"now"), hash(b"never"));
    let coming = Coming::default();
    coming.expect([late, never]);
    let wants = [want(late, 4), want(now, 3), want(never, 5)];
    let mut open = Open::default();
    let mut outcomes = Vec::new();
    run(async {
        let (mut near, far) = streams();
        let fetched = async {
            let report = |report| {
                let Report::Settled(id, outcome) = report else { return };
                if id == now {
                    put(&from, b"late");
                    coming.came(&late);
                } else if id == late {
                    coming.retain(|_| false);
                }
                outcomes.push((id, outcome));
            };
            fetch(&mut near, &to, &wants, report).await.unwrap();
            drop(near);
        };
        futures::join!(serve(far, &from, coming.clone(), &mut open), fetched).0.unwrap();
    });
    let expected = [(now, Outcome::Arrived), (late, Outcome::Arrived), (never, Outcome::Missing)];
    assert_eq!(outcomes, expected);
}
