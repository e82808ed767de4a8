//! What holds of an exchange whatever comes in, in any order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::blobs::id::BlobId;
use crate::blobs::manifest::Chunk;
use crate::blobs::wire::WANTS_MAX;

type Peer = u8;

fn chunk(n: u8) -> Chunk {
    Chunk { id: crate::blobs::hash(&[n]), len: 1_000 + u32::from(n) }
}

/// Something that may happen; indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Act {
    Need(u64, u8, u8, Vec<Peer>),
    Release(u64),
    Given(Peer, u8),
    Answer(usize, usize, Word),
    Close(usize, bool),
    Gone(Peer),
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
enum Word {
    Arrived,
    Missing,
    Busy,
    Elsewhere(Peer),
    Refused,
    Corrupt,
    Interrupted(u64),
    NotKept,
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        4 => Just(Word::Arrived),
        1 => Just(Word::Missing),
        1 => Just(Word::Busy),
        1 => (0u8..5).prop_map(Word::Elsewhere),
        1 => Just(Word::Refused),
        1 => Just(Word::Corrupt),
        1 => (0u64..2_000).prop_map(Word::Interrupted),
        1 => Just(Word::NotKept),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0u64..4, 0u8..20, 0u8..30, prop::collection::vec(0u8..5, 0..3))
            .prop_map(|(need, from, count, sources)| Act::Need(need, from, count, sources)),
        1 => (0u64..4).prop_map(Act::Release),
        1 => (0u8..5, 0u8..40).prop_map(|(peer, blob)| Act::Given(peer, blob)),
        12 => (any::<usize>(), any::<usize>(), word()).prop_map(|(at, want, word)| Act::Answer(at, want, word)),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(at, clean)| Act::Close(at, clean)),
        1 => (0u8..5).prop_map(Act::Gone),
        2 => (0u64..3_000).prop_map(Act::Wait),
    ]
}

/// The exchange and what a driver knows.
struct Driver {
    exchange: Exchange<Peer>,
    now: Instant,
    open: BTreeMap<TransferId, (Peer, Vec<BlobId>)>,
    waiting: BTreeMap<NeedId, usize>,
}

const HERE: Peer = 0;

impl Driver {
    fn input(&mut self, input: Input<Peer>) -> Result<(), TestCaseError> {
        if let Input::Need { need, .. } = &input {
            *self.waiting.entry(*need).or_default() = 1;
        }
        if let Input::Release(need) = &input {
            self.waiting.remove(need);
        }
        for output in self.exchange.handle(input, self.now) {
            self.output(output)?;
        }
        self.check()
    }

    fn output(&mut self, output: Output<Peer>) -> Result<(), TestCaseError> {
        match output {
            Output::Fetch { transfer, peer, wants } => {
                prop_assert!(peer != HERE && !wants.is_empty() && wants.len() <= WANTS_MAX);
                prop_assert!(wants.iter().all(|want| want.offset < want.most));
                let bytes: u64 = wants.iter().map(|want| want.most).sum();
                prop_assert!(bytes <= BATCH_BYTES || wants.len() == 1);
                let ids: Vec<BlobId> = wants.iter().map(|want| want.id).collect();
                let flying = self.open.values().flat_map(|(_, ids)| ids);
                prop_assert!(
                    !flying.into_iter().any(|id| ids.contains(id)),
                    "a blob is fetched twice at once"
                );
                prop_assert!(self.open.insert(transfer, (peer, ids)).is_none());
                let to_peer = self.open.values().filter(|(to, _)| *to == peer).count();
                prop_assert!(to_peer <= peer::STREAMS_PER_PEER && self.open.len() <= TRANSFERS_MAX);
            }
            Output::Abort(transfer) => prop_assert!(self.open.remove(&transfer).is_some()),
            Output::Ready(need) | Output::Unavailable { need, .. } => {
                prop_assert!(self.waiting.remove(&need).is_some(), "a need is settled twice");
            }
            Output::Blame { .. } => {}
        }
        Ok(())
    }

    /// Every need is a blob lacking, and something will go on for it.
    fn check(&self) -> Result<(), TestCaseError> {
        let exchange = &self.exchange;
        prop_assert!(exchange.needs.keys().eq(self.waiting.keys()));
        prop_assert!(exchange.needs.values().all(|missing| !missing.is_empty()));
        prop_assert!(exchange.pieces.values().all(|piece| !piece.needs.is_empty()));
        let idle = exchange.pieces.values().filter(|piece| piece.transfer.is_none()).count();
        let place = |id: &BlobId| {
            let piece = exchange.pieces.get(id)?;
            Some((exchange.rank(*id, piece), piece.askable().collect()))
        };
        prop_assert!(exchange.idle.check(place, idle));
        prop_assert!(exchange.transfers.keys().eq(self.open.keys()));
        let goes_on = exchange.pieces.is_empty() || !self.open.is_empty() || exchange.wake().is_some();
        prop_assert!(goes_on, "nothing will ever happen");
        Ok(())
    }

    fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::Need(need, from, count, sources) => {
                let blobs = (from..from + count).map(chunk).collect();
                self.input(Input::Need { need: NeedId(need), blobs, sources })
            }
            Act::Given(peer, blob) => self.input(Input::Given(vec![(chunk(blob).id, peer)])),
            Act::Release(need) => self.input(Input::Release(NeedId(need))),
            Act::Gone(peer) => self.input(Input::Gone(peer)),
            Act::Wait(by) => {
                self.now += Duration::from_millis(by);
                self.input(Input::Tick)
            }
            Act::Close(at, clean) => {
                let Some((transfer, _)) = pick(&self.open, at) else { return Ok(()) };
                self.open.remove(&transfer);
                self.input(Input::Closed { transfer, clean })
            }
            Act::Answer(at, want, word) => {
                let Some((transfer, (_, ids))) = pick(&self.open, at) else { return Ok(()) };
                let Some(id) = (!ids.is_empty()).then(|| ids[want % ids.len()]) else { return Ok(()) };
                self.open.get_mut(&transfer).unwrap().1.retain(|other| *other != id);
                self.input(Input::Answered { transfer, id, outcome: word.outcome() })
            }
        }
    }

    /// From now on everybody named is honest and nothing breaks.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..10_000 {
            if self.exchange.pieces.is_empty() {
                return Ok(());
            }
            if let Some((transfer, (_, ids))) = pick(&self.open, 0) {
                for id in ids {
                    self.open.get_mut(&transfer).unwrap().1.retain(|other| *other != id);
                    self.input(Input::Answered { transfer, id, outcome: Outcome::Arrived })?;
                }
                if self.open.remove(&transfer).is_some() {
                    self.input(Input::Closed { transfer, clean: true })?;
                }
            } else {
                self.now = self.exchange.wake().unwrap();
                self.input(Input::Tick)?;
            }
        }
        Err(TestCaseError::fail("no end"))
    }
}

fn pick(
    open: &BTreeMap<TransferId, (Peer, Vec<BlobId>)>,
    at: usize,
) -> Option<(TransferId, (Peer, Vec<BlobId>))> {
    let index = at % open.len().max(1);
    open.iter().nth(index).map(|(id, value)| (*id, value.clone()))
}

impl Word {
    fn outcome(self) -> Outcome<Peer> {
        match self {
            Word::Arrived => Outcome::Arrived,
            Word::Missing => Outcome::Missing,
            Word::Busy => Outcome::Busy,
            Word::Elsewhere(peer) => Outcome::Elsewhere(vec![peer, HERE]),
            Word::Refused => Outcome::Refused,
            Word::Corrupt => Outcome::Corrupt,
            Word::Interrupted(have) => Outcome::Interrupted { have },
            Word::NotKept => Outcome::NotKept,
        }
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TESTMESH_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(128))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn bounds_hold_and_every_need_is_settled_once(acts in prop::collection::vec(act(), 0..120)) {
        let exchange = Exchange::new(HERE);
        let mut driver =
            Driver { exchange, now: Instant::now(), open: BTreeMap::new(), waiting: BTreeMap::new() };
        for act in acts {
            driver.act(act)?;
        }
        driver.finish()?;
        prop_assert!(driver.waiting.is_empty());
    }

    #[test]
    fn the_same_happens_again(acts in prop::collection::vec(act(), 0..60)) {
        let begun = Instant::now();
        let run = || -> Result<String, TestCaseError> {
            let exchange = Exchange::new(HERE);
            let mut driver = Driver { exchange, now: begun, open: BTreeMap::new(), waiting: BTreeMap::new() };
            for act in acts.clone() {
                driver.act(act)?;
            }
            Ok(format!("{:?}", driver.exchange))
        };
        prop_assert_eq!(run()?, run()?);
    }
}

/// The only stream that is to be opened.
fn fetch(outputs: &[Output<Peer>]) -> (TransferId, Peer, bool) {
    let fetches: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Fetch { transfer, peer, wants } => Some((*transfer, *peer, wants[0].insist)),
            _ => None,
        })
        .collect();
    assert_eq!(fetches.len(), 1, "{outputs:?}");
    fetches[0]
}

#[test]
fn a_named_holder_without_a_connection_costs_next_to_no_time() {
    let (mut exchange, now, blob) = (Exchange::new(0), Instant::now(), chunk(1));
    let need = Input::Need { need: NeedId(1), blobs: vec![blob], sources: vec![1] };
    let mut outputs = exchange.handle(need, now);
    // The source names another twice, as it does while that one is the last it gave the blob to.
    for round in 0..2 {
        let (transfer, peer, insist) = fetch(&outputs);
        assert_eq!((peer, insist), (1, false));
        let outcome = Outcome::Elsewhere(vec![2]);
        exchange.handle(Input::Answered { transfer, id: blob.id, outcome }, now);
        outputs = exchange.handle(Input::Closed { transfer, clean: true }, now);
        if round == 0 {
            assert_eq!(fetch(&outputs).1, 2);
            outputs = exchange.handle(Input::Gone(2), now);
        }
    }
    let wake = exchange.wake().unwrap();
    assert!(wake <= now + Duration::from_millis(100), "{:?}", wake - now);
    let (_, peer, insist) = fetch(&exchange.handle(Input::Tick, wake));
    assert_eq!((peer, insist), (1, true));
}
