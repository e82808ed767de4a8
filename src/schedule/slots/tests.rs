//! Rules of the slots, one by one. With dispatchers and a network between: tests/it/sim.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

type Who = Submitter<u8>;

const LATER: Duration = Duration::from_secs(60);

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn own(client: u64) -> Who {
    Submitter::Own(client)
}

fn remote(key: u8) -> Who {
    Submitter::Remote(key)
}

fn id(run: u64, sequence: u32) -> JobId {
    JobId { run, sequence, attempt: 0 }
}

/// Slots with the clock and what their actions have led to.
struct Table {
    slots: Slots<u8, (), u32>,
    now: Duration,
    count: u32,
    running: BTreeMap<u32, (JobId, Who)>,
    started: Vec<(JobId, Who)>,
    killed: BTreeSet<(u32, JobId)>,
    sent: Vec<(Who, Vec<JobId>)>,
    given_back: Vec<(Who, JobId)>,
    armed: Option<Duration>,
}

impl Table {
    fn new(count: u32) -> Self {
        Self::with(Config::new(count))
    }

    fn with(config: Config) -> Self {
        Table {
            count: config.slots,
            slots: Slots::new(config),
            now: Duration::ZERO,
            running: BTreeMap::new(),
            started: Vec::new(),
            killed: BTreeSet::new(),
            sent: Vec::new(),
            given_back: Vec::new(),
            armed: None,
        }
    }

    fn offer(&mut self, who: &Who, run: u64, jobs: std::ops::Range<u32>) -> Reply {
        let expires = self.now + LATER;
        let offers = jobs.map(|sequence| Offer { id: id(run, sequence), expires, payload: () }).collect();
        let reply = self.slots.offer(who, offers, self.now);
        self.go();
        reply
    }

    /// Performs the actions; panics where a slot is used twice or a job is killed that does not run.
    fn go(&mut self) {
        for action in self.slots.actions(self.now) {
            match action {
                Action::Run { slot, id, submitter, .. } => {
                    assert!(self.running.insert(slot, (id, submitter.clone())).is_none());
                    self.started.push((id, submitter));
                }
                Action::Kill { slot, id } => {
                    assert_eq!(self.running.get(&slot).map(|(id, _)| *id), Some(id));
                    assert!(self.killed.insert((slot, id)), "killed twice");
                }
                Action::SendResults { submitter, results } => {
                    self.sent.push((submitter, results.into_iter().map(|(id, _)| id).collect()));
                }
                Action::GiveBack { submitter, ids } => {
                    self.given_back.extend(ids.into_iter().map(|id| (submitter.clone(), id)));
                }
                Action::Arm(at) => self.armed = Some(at),
            }
        }
        assert!(self.running.len() <= self.count as usize, "more processes than slots");
    }

    fn finish(&mut self, slot: u32) {
        if let Some((id, _)) = self.running.remove(&slot) {
            self.slots.finished(slot, id, 0, 100, self.now);
            self.go();
        }
    }

    fn wait(&mut self, until: Duration) {
        while let Some(at) = self.armed.filter(|at| *at <= until) {
            self.armed = None;
            self.now = self.now.max(at);
            self.slots.tick(self.now);
            self.go();
        }
        self.now = until;
    }

    fn started_by(&self, who: &Who) -> usize {
        self.started.iter().filter(|(_, submitter)| submitter == who).count()
    }

    fn sent_to(&self, who: &Who) -> Vec<JobId> {
        self.sent.iter().filter(|(to, _)| to == who).flat_map(|(_, ids)| ids.clone()).collect()
    }
}

#[test]
fn own_runs_come_first() {
    let mut table = Table::new(2);
    table.offer(&remote(1), 1, 0..10);
    table.offer(&own(1), 2, 0..10);
    assert_eq!(table.started_by(&remote(1)), 2, "what runs is not ended for them");
    for _ in 0..10 {
        table.finish(0);
    }
    assert_eq!((table.started_by(&own(1)), table.started_by(&remote(1))), (10, 2));
    table.finish(0);
    assert_eq!(table.started_by(&remote(1)), 3);
}

#[test]
fn peers_share_by_slot_time_whatever_the_length_of_their_tests() {
    let mut table = Table::new(1);
    let (mut long, mut short) = (0, 0);
    for round in 0..200 {
        table.offer(&remote(1), 1, round..round + 1);
        table.offer(&remote(2), 2, 2 * round..2 * round + 2);
        let takes = match table.running[&0].1 == remote(1) {
            true => at(100),
            false => at(10),
        };
        long += takes.as_millis() * u128::from(takes == at(100));
        short += takes.as_millis() * u128::from(takes == at(10));
        let now = table.now + takes;
        table.wait(now);
        table.finish(0);
    }
    let share = long as f64 / (long + short) as f64;
    assert!((0.45..0.60).contains(&share), "the one with long tests got {share}");
}

#[test]
fn nobody_saves_up_by_being_away() {
    let mut table = Table::new(1);
    table.offer(&remote(1), 1, 0..1000);
    for _ in 0..100 {
        table.now += at(10);
        table.finish(0);
    }
    table.offer(&remote(2), 2, 0..1000);
    let before = table.started_by(&remote(1));
    for _ in 0..40 {
        table.now += at(10);
        table.finish(0);
    }
    let got = table.started_by(&remote(1)) - before;
    assert!((15..=25).contains(&got), "{got} of 40");
}

#[test]
fn queues_are_bounded_and_full_ones_say_so_at_once() {
    let mut table = Table::with(Config { queue_each: 4, queue_total: 6, ..Config::new(0) });
    let reply = table.offer(&remote(1), 1, 0..6);
    assert_eq!((reply.accepted.len(), reply.refused.len(), reply.room), (4, 2, 0));
    assert!(reply.refused.iter().all(|(_, why)| *why == Refused::Busy));
    let reply = table.offer(&remote(2), 1, 0..6);
    assert_eq!((reply.accepted.len(), reply.room), (2, 0));
    for key in 3..=255 {
        table.offer(&remote(key), 1, 0..1);
    }
    for client in 0..10 {
        table.offer(&own(client), 1, 0..1);
    }
    assert!(table.slots.usage().submitters.len() <= MAX_SUBMITTERS);
}

#[test]
fn an_offer_runs_once_and_only_while_it_is_valid() {
    let mut table = Table::new(4);
    let offer = |sequence, expires| Offer { id: id(1, sequence), expires, payload: () };
    let first = vec![offer(0, at(1000)), offer(1, at(0)), offer(2, Duration::from_secs(10_000))];
    let reply = table.slots.offer(&remote(1), first, at(0));
    assert_eq!(reply.accepted, [id(1, 0)]);
    assert_eq!(reply.refused, [(id(1, 1), Refused::Expired), (id(1, 2), Refused::Expired)]);
    table.go();
    table.finish(0);
    let again = table.slots.offer(&remote(1), vec![offer(0, at(1000))], at(500));
    assert_eq!(again.refused, [(id(1, 0), Refused::Replayed)]);
    let expired = table.slots.offer(&remote(1), vec![offer(0, at(1000))], at(1000));
    assert_eq!(expired.refused, [(id(1, 0), Refused::Expired)], "forgotten, but void");
}

#[test]
fn cancelling_drops_and_kills_and_the_result_of_a_killed_job_follows() {
    let mut table = Table::new(1);
    table.offer(&remote(1), 1, 0..3);
    table.offer(&remote(1), 2, 0..1);
    assert_eq!(table.slots.cancel(&remote(1), Scope::Job(id(1, 1)), table.now), [id(1, 1)]);
    assert_eq!(table.slots.cancel(&remote(2), Scope::All, table.now), [], "only the own ones");
    assert_eq!(table.slots.cancel(&remote(1), Scope::Run(1), table.now), [id(1, 2)]);
    table.go();
    assert_eq!(table.killed, BTreeSet::from([(0, id(1, 0))]));
    assert_eq!(table.running.len(), 1, "its slot is taken until it is gone");
    table.finish(0);
    table.wait(at(100));
    assert_eq!(table.sent_to(&remote(1)), [id(1, 0)]);
    assert_eq!(table.running[&0].0, id(2, 0));
}

#[test]
fn without_trust_nothing_of_it_runs_waits_or_is_sent() {
    let mut table = Table::new(2);
    table.offer(&remote(1), 1, 0..4);
    table.offer(&remote(2), 2, 0..1);
    table.finish(0);
    table.sent.clear();
    table.slots.expelled(&1, table.now);
    table.go();
    assert_eq!(table.killed.len(), 2);
    table.finish(0);
    table.finish(1);
    table.wait(LATER / 2);
    assert_eq!(table.sent_to(&remote(1)), []);
    assert_eq!(table.started_by(&remote(1)), 3);
    assert_eq!(table.started_by(&remote(2)), 1, "the others go on");
    assert_eq!(table.offer(&remote(1), 1, 0..1).refused, [(id(1, 0), Refused::Replayed)], "ids stay known");
}

#[test]
fn results_are_sent_until_acknowledged_and_batched_while_more_come() {
    let mut table = Table::new(1);
    table.offer(&remote(1), 1, 0..4);
    table.finish(0);
    table.finish(0);
    assert_eq!(table.sent, [], "the submitter has more queued here");
    table.wait(at(20));
    assert_eq!(table.sent, [(remote(1), vec![id(1, 0), id(1, 1)])]);
    table.finish(0);
    assert_eq!(table.sent.len(), 2, "it waits for this one");
    table.slots.acknowledged(&remote(1), &[id(1, 0), id(1, 2)], table.now);
    table.finish(0);
    table.slots.acknowledged(&remote(1), &[id(1, 3)], table.now);
    table.sent.clear();
    table.wait(at(2100));
    assert_eq!(table.sent, [(remote(1), vec![id(1, 1)])]);
    table.slots.acknowledged(&remote(1), &[id(1, 1)], table.now);
    table.sent.clear();
    table.wait(LATER);
    assert_eq!(table.sent, []);
}

#[test]
fn a_peer_that_comes_back_soon_finds_its_jobs_and_its_results() {
    let mut table = Table::new(2);
    table.offer(&remote(1), 1, 0..3);
    table.slots.disconnected(&remote(1), table.now);
    table.finish(0);
    table.wait(at(5000));
    assert_eq!((table.sent_to(&remote(1)).len(), table.running.len()), (0, 1), "nothing new starts for it");
    table.slots.connected(&remote(1), table.now);
    table.go();
    assert_eq!(table.sent_to(&remote(1)), [id(1, 0)]);
    assert_eq!((table.killed.len(), table.running.len()), (0, 2), "and what waited starts");
}

#[test]
fn a_peer_that_stays_away_is_cleared_and_in_the_end_forgotten() {
    let mut table = Table::new(1);
    table.offer(&remote(1), 1, 0..3);
    table.slots.disconnected(&remote(1), table.now);
    table.go();
    table.wait(GONE_GRACE);
    assert_eq!(table.killed.len(), 1);
    table.finish(0);
    table.wait(RESULTS_KEPT - at(1));
    assert_eq!(table.slots.usage().submitters.len(), 1);
    table.wait(RESULTS_KEPT);
    assert_eq!(table.slots.usage().submitters, []);
    assert_eq!(table.armed, None);
}

#[test]
fn a_client_of_this_machine_takes_its_jobs_with_it() {
    let mut table = Table::new(1);
    table.offer(&own(7), 1, 0..3);
    table.slots.disconnected(&own(7), table.now);
    table.go();
    assert_eq!(table.killed.len(), 1);
    table.finish(0);
    assert_eq!(table.slots.usage().submitters, []);
    assert_eq!((table.started.len(), table.sent.len()), (1, 0));
}

#[test]
fn a_pause_is_for_others_only() {
    let mut table = Table::new(1);
    table.offer(&remote(1), 1, 0..2);
    table.slots.pause(table.now);
    table.go();
    assert_eq!(table.given_back, [(remote(1), id(1, 1))]);
    assert_eq!(table.killed.len(), 0);
    assert_eq!(table.offer(&remote(1), 1, 5..6).refused, [(id(1, 5), Refused::Paused)]);
    table.finish(0);
    table.offer(&own(1), 2, 0..1);
    assert_eq!(table.started_by(&own(1)), 1);
    table.slots.resume(table.now);
    assert_eq!(table.offer(&remote(1), 1, 6..7).accepted, [id(1, 6)]);
}

#[test]
fn what_waits_too_long_goes_back() {
    let mut table = Table::new(1);
    table.offer(&own(1), 1, 0..1);
    table.offer(&remote(1), 2, 0..2);
    table.wait(QUEUE_PATIENCE);
    assert_eq!(table.given_back, [(remote(1), id(2, 0)), (remote(1), id(2, 1))]);
    assert_eq!(table.slots.usage().queued, 0);
}

#[test]
fn an_own_client_waits_for_its_turn_however_long() {
    let mut table = Table::new(1);
    table.offer(&own(1), 1, 0..1);
    table.offer(&own(2), 2, 0..1);
    table.wait(4 * QUEUE_PATIENCE);
    assert_eq!(table.given_back, []);
    table.finish(0);
    assert_eq!(table.started_by(&own(2)), 1);
}

#[test]
fn fewer_slots_hold_from_the_next_start_on() {
    let mut table = Table::new(4);
    table.offer(&remote(1), 1, 0..10);
    table.slots.resize(1, table.now);
    (0..3).for_each(|slot| table.finish(slot));
    assert_eq!(table.started.len(), 4, "one still runs");
    table.finish(3);
    assert_eq!(table.started.len(), 5);
}

#[test]
fn results_of_the_absent_are_dropped_when_there_are_too_many() {
    let mut table = Table::new(8);
    let size = RESULT_BYTES_EACH / 2;
    for key in 0..10 {
        table.offer(&remote(key), 1, 0..2);
        for slot in 0..2 {
            let Some((id, _)) = table.running.remove(&slot) else { continue };
            table.slots.finished(slot, id, 0, size, table.now);
        }
        table.slots.disconnected(&remote(key), table.now);
        table.go();
    }
    let kept: usize = table.slots.lanes.values().map(|lane| lane.outbox.bytes()).sum();
    assert!(kept <= RESULT_BYTES_TOTAL + 2 * size, "{kept}");
    assert!(kept >= RESULT_BYTES_TOTAL - 2 * size, "{kept}");
}

#[derive(Debug, Clone)]
enum Input {
    Offer(u8, bool, u32),
    Finish(u32),
    Cancel(u8, u32, u8),
    Acknowledge(u8),
    Connected(u8, bool),
    Expelled(u8),
    Pause(bool),
    Resize(u32),
    Wait(u64),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        5 => (0u8..4, any::<bool>(), 0u32..12).prop_map(|(who, own, n)| Input::Offer(who, own, n)),
        8 => (0u32..6).prop_map(Input::Finish),
        1 => (0u8..4, 0u32..40, 0u8..3).prop_map(|(who, n, scope)| Input::Cancel(who, n, scope)),
        2 => (0u8..4).prop_map(Input::Acknowledge),
        2 => (0u8..4, any::<bool>()).prop_map(|(who, up)| Input::Connected(who, up)),
        1 => (0u8..4).prop_map(Input::Expelled),
        1 => any::<bool>().prop_map(Input::Pause),
        1 => (0u32..6).prop_map(Input::Resize),
        3 => (0..LONGEST_WAIT).prop_map(Input::Wait),
    ]
}

/// Milliseconds that pass at once at most.
const LONGEST_WAIT: u64 = 15_000;

/// What was accepted and has not come to an end that its submitter was told of.
#[derive(Default)]
struct Ledger {
    next: u32,
    open: BTreeSet<(Who, JobId)>,
}

impl Ledger {
    fn perform(&mut self, table: &mut Table, input: Input) {
        let now = table.now;
        match input {
            Input::Offer(key, own_one, count) => {
                let who = if own_one { own(key.into()) } else { remote(key) };
                let reply = table.offer(&who, 1, self.next..self.next + count);
                self.next += count;
                self.open.extend(reply.accepted.into_iter().map(|id| (who.clone(), id)));
            }
            Input::Finish(slot) => table.finish(slot),
            Input::Cancel(key, sequence, scope) => {
                let scope = [Scope::Job(id(1, sequence)), Scope::Run(1), Scope::All][usize::from(scope)];
                table.slots.cancel(&remote(key), scope, now);
                self.open.retain(|(who, id)| *who != remote(key) || !scope.covers(*id));
            }
            Input::Acknowledge(key) => {
                let ids = table.sent_to(&remote(key));
                table.slots.acknowledged(&remote(key), &ids, now);
            }
            Input::Connected(key, true) => table.slots.connected(&remote(key), now),
            Input::Connected(key, false) => table.slots.disconnected(&remote(key), now),
            Input::Expelled(key) => {
                table.slots.expelled(&key, now);
                self.open.retain(|(who, _)| *who != remote(key));
            }
            Input::Pause(true) => table.slots.pause(now),
            Input::Pause(false) => table.slots.resume(now),
            Input::Resize(slots) => {
                table.slots.resize(slots, now);
                table.count = table.count.max(slots);
            }
            Input::Wait(millis) => table.wait(now + at(millis)),
        }
        table.go();
        let told = table.sent.iter().flat_map(|(who, ids)| ids.iter().map(|id| (who.clone(), *id)));
        told.chain(table.given_back.iter().cloned()).for_each(|told| {
            self.open.remove(&told);
        });
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TESTMESH_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(128);
    ProptestConfig::with_cases(cases)
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever happens: no slot is used twice, no job starts twice, and every accepted job that was neither cancelled
    /// nor lost its trust ends in a result or is given back, as soon as its submitter can be told.
    #[test]
    fn accepted_jobs_come_to_an_end(inputs in proptest::collection::vec(input(), 0..100)) {
        let mut table = Table::new(3);
        let mut ledger = Ledger::default();
        for input in inputs {
            // Results are dropped after a long absence; that rule has its own test.
            if table.now + at(LONGEST_WAIT) < RESULTS_KEPT {
                ledger.perform(&mut table, input);
            }
        }
        for key in 0..4 {
            ledger.perform(&mut table, Input::Connected(key, true));
        }
        ledger.perform(&mut table, Input::Resize(3));
        for _ in 0..200 {
            (0..6).for_each(|slot| ledger.perform(&mut table, Input::Finish(slot)));
            ledger.perform(&mut table, Input::Wait(100));
            if ledger.open.is_empty() && table.slots.usage().running == 0 {
                break;
            }
        }
        prop_assert_eq!(ledger.open, BTreeSet::new());
        let mut started: Vec<_> = table.started.iter().map(|(id, _)| *id).collect();
        started.sort_unstable();
        started.dedup();
        prop_assert_eq!(started.len(), table.started.len());
        prop_assert_eq!((table.slots.usage().queued, table.slots.usage().running), (0, 0));
    }
}
