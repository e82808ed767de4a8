//! Rules of the dispatcher, one by one. What must hold whatever happens is the simulator's business (tests/it/sim).

use proptest::prelude::*;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);
const HERE: WorkerId = WorkerId(0);

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn known(millis: u64) -> Spec {
    Spec::new(Estimate::Known(at(millis)), LIMIT)
}

fn joined(kind: Kind, slots: u32) -> Joined {
    let queues = kind == Kind::Peer;
    Joined { kind, slots, queues, unfit: None, slowness: 1.0, heartbeat: None }
}

fn peer(slots: u32) -> Joined {
    joined(Kind::Peer, slots)
}

fn here(slots: u32) -> Joined {
    joined(Kind::Local, slots)
}

fn ran(millis: u64) -> Class {
    Class::Ran { duration: at(millis) }
}

fn broken() -> Class {
    Class::Infra { why: "disk full".to_owned() }
}

type Copy = (WorkerId, TaskId, u16);

/// A dispatcher with the clock and its actions sorted by kind.
struct Table {
    dispatch: Dispatch,
    now: Duration,
    starts: Vec<Copy>,
    cancels: Vec<Copy>,
    delivered: Vec<(TaskId, Option<WorkerId>, Ending)>,
    excluded: Vec<(WorkerId, String)>,
    armed: Option<Duration>,
}

impl Table {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let dispatch = Dispatch::new(config);
        let (starts, cancels, delivered, excluded) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Table { dispatch, now: Duration::ZERO, starts, cancels, delivered, excluded, armed: None }
    }

    fn join(&mut self, worker: u32, joined: Joined) {
        self.dispatch.worker_joined(WorkerId(worker), joined, self.now);
    }

    fn submit(&mut self, spec: Spec) -> TaskId {
        self.dispatch.submit(spec, self.now)
    }

    fn submit_all(&mut self, count: usize, spec: Spec) {
        for _ in 0..count {
            self.submit(spec);
        }
    }

    /// Fetches the actions; returns the starts among them.
    fn go(&mut self) -> Vec<Copy> {
        let before = self.starts.len();
        for action in self.dispatch.actions(self.now) {
            match action {
                Action::Start { worker, task, attempt } => self.starts.push((worker, task, attempt)),
                Action::Cancel { worker, task, attempt } => self.cancels.push((worker, task, attempt)),
                Action::Deliver { task, worker, ending, .. } => self.delivered.push((task, worker, ending)),
                Action::Exclude { worker, why } => self.excluded.push((worker, why)),
                Action::Arm(at) => self.armed = Some(at),
            }
        }
        self.starts[before..].to_vec()
    }

    /// Lets time pass, with a tick at every armed moment.
    fn wait(&mut self, until: Duration) -> Vec<Copy> {
        let before = self.starts.len();
        self.go();
        while let Some(at) = self.armed.filter(|at| *at <= until) {
            self.armed = None;
            self.now = self.now.max(at);
            self.dispatch.tick(self.now);
            self.go();
        }
        self.now = until;
        self.starts[before..].to_vec()
    }

    fn finish(&mut self, (worker, task, attempt): Copy, class: &Class) -> Vec<Copy> {
        self.dispatch.finished(worker, task, attempt, class, self.now);
        self.go()
    }
}

fn tasks(starts: &[Copy]) -> Vec<u32> {
    starts.iter().map(|(_, task, _)| task.0).collect()
}

#[test]
fn the_longest_known_starts_first_slow_marks_among_them_unknown_before_short() {
    let mut table = Table::new();
    table.join(0, here(9));
    for spec in [
        known(10),
        Spec::new(Estimate::Unknown, LIMIT),
        known(5000),
        Spec::new(Estimate::Slow, LIMIT),
        known(30_000),
        known(10),
    ] {
        table.submit(spec);
    }
    table.submit(Spec { urgent: true, ..known(1) });
    assert_eq!(tasks(&table.go()), [6, 4, 3, 2, 1, 0, 5]);
}

#[test]
fn a_task_waits_for_slots_of_this_machine_that_are_lent_to_somebody() {
    let mut table = Table::new();
    table.join(0, here(0));
    let task = table.submit(Spec { local_only: true, ..known(10) });
    table.submit(known(10));
    table.wait(Duration::from_secs(300));
    assert_eq!(table.delivered, []);
    table.dispatch.worker_changed(WorkerId(0), 1, table.now);
    let first = table.go()[0];
    assert_eq!(first.1, task);
    assert_eq!(table.finish(first, &ran(10)).len(), 1);
}

/// A SLOW test with four times the timeout was taken back before its own time was up.
#[test]
fn a_task_has_all_the_time_of_its_command_line() {
    let mut table = Table::new();
    table.join(0, here(1));
    let task = table.submit(Spec::new(Estimate::Unknown, LIMIT));
    let first = table.go()[0];
    table.dispatch.limit(task, 4 * LIMIT, table.now);
    table.wait(4 * LIMIT + Duration::from_secs(1));
    assert_eq!((table.starts.len(), table.cancels.len()), (1, 0));
    table.finish(first, &ran(1));
    assert_eq!(table.delivered, [(task, Some(WorkerId(0)), Ending::Ran)]);
}

#[test]
fn few_tasks_spread_over_many_machines() {
    let mut table = Table::new();
    (1..5).for_each(|worker| table.join(worker, peer(4)));
    table.submit_all(4, known(1000));
    let mut workers: Vec<_> = table.go().iter().map(|(worker, _, _)| worker.0).collect();
    workers.sort_unstable();
    assert_eq!(workers, [1, 2, 3, 4]);
}

#[test]
fn short_tests_go_in_batches_long_ones_one_by_one_and_own_slots_queue_nothing() {
    let ahead = |joined: Joined, millis| {
        let mut table = Table::new();
        table.join(1, joined);
        table.submit_all(2000, known(millis));
        table.go().len() - 4
    };
    assert_eq!(ahead(peer(4), 5000), 0);
    assert_eq!(ahead(peer(4), 500), 1);
    assert_eq!(ahead(peer(4), 10), 40, "100 ms of each slot");
    assert_eq!(ahead(here(4), 10), 0);
}

#[test]
fn offers_come_in_batches() {
    let mut table = Table::new();
    table.join(1, peer(2));
    table.submit_all(200, known(10));
    let mut running: std::collections::VecDeque<Copy> = table.go().into();
    let mut offers = 0;
    while let Some(copy) = running.pop_front() {
        table.now += at(5);
        let more = table.finish(copy, &ran(10));
        offers += usize::from(!more.is_empty());
        running.extend(more);
    }
    assert_eq!(table.delivered.len(), 200);
    assert!(offers < 40, "{offers} offers for 200 tests");
}

#[test]
fn a_lost_peer_costs_what_it_held_and_blames_only_what_ran() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.join(2, peer(1));
    let (first, second) = (table.submit(known(400)), table.submit(known(300)));
    table.submit_all(20, known(200));
    let starts = table.go();
    let held: Vec<_> = starts.iter().filter(|(worker, _, _)| worker.0 == 1).map(|copy| copy.1).collect();
    assert!(held.contains(&first) && held.len() == 2, "one runs, one waits: {starts:?}");
    table.dispatch.worker_left(WorkerId(1), Leaving::Lost, at(100));
    let again = table.finish((WorkerId(2), second, 0), &ran(300));
    assert_eq!(again.first().map(|copy| copy.1), Some(first), "what came back goes first");
    assert_eq!(table.dispatch.totals().lost, 2);
}

#[test]
fn a_test_that_was_running_on_two_lost_machines_stays_here() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.join(2, peer(1));
    let task = table.submit(known(100));
    for _ in 0..2 {
        let (worker, _, _) = table.go()[0];
        table.dispatch.worker_left(worker, Leaving::Lost, table.now);
    }
    table.join(3, peer(1));
    assert_eq!(table.go(), []);
    table.join(0, here(1));
    assert_eq!(table.go(), [(HERE, task, 2)]);
    assert_eq!(table.dispatch.totals().suspected, 1);
}

#[test]
fn a_test_that_was_running_here_at_three_losses_is_given_up_and_says_so() {
    let mut table = Table::new();
    let task = table.submit(Spec { local_only: true, ..known(100) });
    for worker in 0..3 {
        table.join(worker, here(1));
        assert_eq!(table.go().len(), 1);
        table.dispatch.worker_left(WorkerId(worker), Leaving::Lost, table.now);
    }
    table.go();
    let why = "it was running on 3 machines when they were lost".to_owned();
    assert_eq!(table.delivered, [(task, None, Ending::Infra(why))]);
}

#[test]
fn the_first_answer_counts_also_a_late_one_and_the_others_only_in_the_report() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.join(2, peer(1));
    let task = table.submit(known(100));
    let first = table.go()[0];
    table.dispatch.worker_left(first.0, Leaving::Lost, table.now);
    let second = table.go()[0];
    assert_ne!(first.0, second.0);
    table.finish(first, &ran(100));
    assert_eq!(table.delivered, [(task, Some(first.0), Ending::Ran)]);
    assert_eq!(table.cancels, [second]);
    table.finish(second, &ran(100));
    table.finish(first, &ran(100));
    assert_eq!(table.delivered.len(), 1);
    assert_eq!(table.dispatch.totals().late, 2);
}

#[test]
fn answers_of_a_revoked_machine_do_not_count() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.submit(known(100));
    let copy = table.go()[0];
    table.dispatch.worker_left(copy.0, Leaving::Revoked, table.now);
    table.finish(copy, &ran(100));
    assert_eq!(table.delivered, []);
    table.join(1, peer(1));
    table.finish(copy, &ran(100));
    assert_eq!(table.delivered, [], "nor after it is trusted again");
}

#[test]
fn a_silent_machine_loses_its_tests_and_may_come_back() {
    let mut table = Table::new();
    table.join(1, Joined { heartbeat: Some(at(1000)), ..peer(1) });
    let task = table.submit(known(60_000));
    let copy = table.go()[0];
    table.wait(at(2900));
    assert_eq!(table.cancels, []);
    table.wait(at(3100));
    assert_eq!(table.cancels, [copy]);
    table.dispatch.heard(WorkerId(1), table.now);
    assert_eq!(table.go(), [(WorkerId(1), task, 1)]);
}

#[test]
fn an_overdue_test_gets_a_second_copy_elsewhere_and_the_loser_is_cancelled() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.join(2, peer(1));
    let task = table.submit(known(1000));
    let first = table.go()[0];
    let second = table.wait(at(10_000))[0];
    assert_eq!((second.1, second.2), (task, 1));
    assert_ne!(first.0, second.0);
    table.finish(second, &ran(1000));
    assert_eq!(table.delivered, [(task, Some(second.0), Ending::Ran)]);
    assert_eq!(table.cancels, [first]);
    assert_eq!(table.dispatch.totals().extra, 1);
}

#[test]
fn extra_executions_stay_within_their_share() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.join(2, peer(1));
    table.submit_all(2, known(1000));
    table.go().into_iter().for_each(|copy| drop(table.finish(copy, &ran(1000))));
    (1..=2).for_each(|worker| table.dispatch.worker_changed(WorkerId(worker), 500, table.now));
    table.submit_all(398, known(1000));
    table.wait(at(60_000));
    assert_eq!(table.dispatch.totals().extra, 4 + 400 / 40);
}

#[test]
fn what_a_machine_that_never_answered_holds_runs_elsewhere_without_counting() {
    let mut table = Table::new();
    table.join(1, peer(100));
    table.submit_all(100, Spec::new(Estimate::Unknown, LIMIT));
    assert_eq!(table.go().len(), 100);
    table.join(2, peer(100));
    let second = table.wait(at(10_000));
    assert_eq!(second.len(), 100);
    second.into_iter().for_each(|copy| drop(table.finish(copy, &ran(10))));
    assert_eq!(table.delivered.len(), 100);
}

#[test]
fn a_machine_that_fails_everything_gets_less_and_then_nothing() {
    let mut table = Table::new();
    table.join(1, peer(8));
    table.join(2, peer(8));
    table.submit_all(100, known(5000));
    let mut queue: std::collections::VecDeque<Copy> = table.go().into();
    let (mut bad, mut failed) = (0, 0);
    while let Some(copy) = queue.pop_front() {
        if copy.0 == WorkerId(1) {
            bad += 1;
            failed += usize::from(table.excluded.is_empty());
            queue.extend(table.finish(copy, &broken()));
        } else {
            queue.extend(table.finish(copy, &ran(5000)));
        }
    }
    assert_eq!(failed, 6);
    assert!(bad <= 10, "{bad} tests went there");
    assert_eq!(table.excluded.len(), 1);
    assert!(table.excluded[0].1.contains("disk full"), "{:?}", table.excluded);
    assert!(
        table
            .delivered
            .iter()
            .all(|(_, worker, ending)| *worker == Some(WorkerId(2)) && *ending == Ending::Ran)
    );
    assert_eq!(table.delivered.len(), 100);
}

#[test]
fn a_machine_that_denies_or_is_contradicted_is_excluded() {
    let mut table = Table::new();
    table.join(1, peer(4));
    table.submit_all(4, known(5000));
    let denied = Refusal::Denied("not trusted".to_owned());
    for (worker, task, attempt) in table.go() {
        table.dispatch.refused(worker, task, attempt, &denied, table.now);
    }
    table.join(2, peer(4));
    (0..3).for_each(|_| table.dispatch.disagreed(WorkerId(2), table.now));
    table.go();
    let excluded: Vec<_> = table.excluded.iter().map(|(worker, _)| worker.0).collect();
    assert_eq!(excluded, [1, 2]);
    table.join(1, peer(4));
    assert_eq!(table.go(), [], "for the whole run");
}

#[test]
fn a_machine_that_does_not_fit_is_named_and_never_used() {
    let mut table = Table::new();
    table.submit(known(10));
    table.join(1, Joined { unfit: Some("GLIBC_2.38 not found".to_owned()), ..peer(4) });
    assert_eq!(table.go(), []);
    assert_eq!(table.excluded, [(WorkerId(1), "GLIBC_2.38 not found".to_owned())]);
}

#[test]
fn a_full_machine_is_asked_again_later_and_later() {
    let mut table = Table::new();
    table.join(1, peer(1));
    let task = table.submit(known(100));
    let mut asked = Vec::new();
    let mut copy = table.go()[0];
    for _ in 0..10 {
        table.dispatch.refused(copy.0, copy.1, copy.2, &Refusal::Busy, table.now);
        assert_eq!(table.go(), []);
        let before = table.now;
        copy = table.wait(before + at(3000))[0];
        asked.push(copy.2);
    }
    assert_eq!(asked, (1..11).collect::<Vec<u16>>());
    table.finish(copy, &ran(100));
    assert_eq!(table.delivered, [(task, Some(WorkerId(1)), Ending::Ran)]);
}

#[test]
fn local_tests_never_leave_and_confirmations_go_first() {
    let mut table = Table::new();
    table.join(1, peer(100));
    table.join(0, here(1));
    let local: Vec<TaskId> = (0..3).map(|_| table.submit(Spec { local_only: true, ..known(1) })).collect();
    table.submit(known(5000));
    let mut copy = *table.go().iter().find(|copy| copy.0 == HERE).unwrap();
    let confirmation = table.submit(known(1).confirming());
    let mut order = vec![copy.1];
    for _ in 0..3 {
        copy = table.finish(copy, &ran(1))[0];
        order.push(copy.1);
    }
    assert_eq!(order, [local[0], confirmation, local[1], local[2]]);
    assert!(table.starts.iter().all(|(worker, task, _)| *worker == HERE || task.0 == 3));
}

#[test]
fn heavy_tests_run_a_few_at_a_time_on_each_machine() {
    let mut table = Table::with(Config { heavy_limit: 2, ..Config::default() });
    table.join(1, peer(8));
    table.join(2, peer(8));
    table.submit_all(10, Spec { heavy: true, ..known(5000) });
    let starts = table.go();
    assert_eq!(starts.len(), 4);
    assert_eq!(table.finish(starts[0], &ran(5000)).len(), 1);
}

#[test]
fn a_test_that_cannot_be_run_anywhere_ends_here_with_the_reason() {
    let mut table = Table::new();
    (1..6).for_each(|worker| table.join(worker, peer(1)));
    let task = table.submit(known(100));
    for _ in 0..3 {
        let copy = table.go()[0];
        table.dispatch.finished(copy.0, copy.1, copy.2, &broken(), table.now);
    }
    assert_eq!(table.go(), [], "three peers are enough");
    table.join(0, here(1));
    let copy = table.go()[0];
    table.finish(copy, &broken());
    assert_eq!(table.delivered, [(task, Some(HERE), Ending::Infra("disk full".to_owned()))]);
    let peers: BTreeSet<_> = table.starts.iter().map(|copy| copy.0).collect();
    assert_eq!(peers.len(), 4, "each machine once");
}

#[test]
fn without_any_machine_a_test_ends_after_a_while_and_says_why() {
    let mut table = Table::with(Config { remote_only: true, ..Config::default() });
    table.join(0, here(4));
    table.join(1, peer(1));
    let task = table.submit(known(100));
    let copy = table.go()[0];
    assert_eq!(copy.0, WorkerId(1));
    table.dispatch.worker_left(WorkerId(1), Leaving::Lost, table.now);
    assert_eq!(table.wait(at(9_000)), []);
    assert_eq!(table.delivered, []);
    table.wait(at(11_000));
    let why = "no other machine is left to run it".to_owned();
    assert_eq!(table.delivered, [(task, None, Ending::Infra(why))]);
    let later = table.submit(known(100));
    table.wait(at(30_000));
    assert_eq!(table.delivered.last().map(|(task, ..)| *task), Some(later));
}

#[test]
fn with_no_peer_left_everything_runs_here() {
    let mut table = Table::new();
    table.join(1, peer(4));
    table.submit_all(10, known(1000));
    table.go();
    table.dispatch.worker_left(WorkerId(1), Leaving::Lost, table.now);
    table.join(0, here(2));
    let mut queue: std::collections::VecDeque<Copy> = table.go().into();
    while let Some(copy) = queue.pop_front() {
        queue.extend(table.finish(copy, &ran(1000)));
    }
    assert_eq!(table.delivered.len(), 10);
}

#[test]
fn a_slow_machine_gets_what_it_can_finish_in_time() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.join(2, Joined { slowness: 10.0, ..peer(1) });
    table.submit(known(60_000));
    table.submit(known(50_000));
    table.submit_all(20, known(1000));
    let starts = table.go();
    let on = |worker| starts.iter().find(|copy| copy.0 == WorkerId(worker)).map(|copy| copy.1.0);
    assert_eq!(on(1), Some(0));
    assert_eq!(on(2), Some(2), "not the test of 50 s, which would take it 500");
}

#[test]
fn cancelling_ends_everything_and_answers_everything() {
    let mut table = Table::new();
    table.join(1, peer(2));
    table.submit_all(5, known(5000));
    let starts = table.go();
    table.dispatch.cancel_all(table.now);
    assert_eq!(table.go(), []);
    assert_eq!(table.cancels.len(), starts.len());
    assert_eq!(table.delivered.len(), 5);
    assert!(table.dispatch.is_idle());
    table.finish(starts[0], &ran(1));
    table.submit(known(1));
    assert_eq!(table.go(), []);
    assert!(table.delivered.iter().all(|(_, _, ending)| *ending == Ending::Cancelled));
    assert_eq!(table.delivered.len(), 6);
}

#[test]
fn a_paused_machine_gives_back_what_waits_and_ends_what_runs() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.submit_all(4, known(10));
    let starts = table.go();
    assert!(starts.len() > 1);
    table.dispatch.worker_changed(WorkerId(1), 0, table.now);
    table.go();
    assert_eq!(table.cancels, starts[1..]);
    table.finish(starts[0], &ran(10));
    assert_eq!(table.delivered.len(), 1);
}

#[test]
fn a_machine_that_says_nothing_while_another_ends_its_tests_rests_until_it_answers() {
    let mut table = Table::new();
    table.join(1, peer(3));
    table.submit_all(3, known(1000));
    let slow = table.go();
    table.join(2, peer(3));
    let quick = table.wait(at(10_000));
    assert_eq!((slow.len(), quick.len()), (3, 3));
    // All at once, as they come in one batch: no more than one round.
    quick.iter().for_each(|copy| drop(table.finish(*copy, &ran(1000))));
    assert_eq!((table.delivered.len(), table.cancels.len()), (3, 3));
    assert_eq!(table.excluded, []);
    table.dispatch.worker_left(WorkerId(2), Leaving::Drained, table.now);
    table.submit(known(1000));
    assert_eq!(table.wait(at(11_000)), [], "it rests");
    assert_eq!(table.finish(slow[0], &Class::Cancelled).len(), 1, "it has answered");
}

#[test]
fn a_machine_that_never_says_anything_is_excluded() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.join(2, peer(1));
    while table.excluded.is_empty() {
        assert!(table.now < at(600_000), "it is used for ever");
        table.submit(known(1000));
        let begun = table.wait(table.now + at(20_000));
        for copy in begun.into_iter().filter(|copy| copy.0 == WorkerId(2)) {
            table.finish(copy, &ran(1000));
        }
    }
    assert_eq!(table.excluded[0].0, WorkerId(1));
}

#[test]
fn a_machine_that_takes_tests_and_gives_them_back_is_asked_again_for_ever() {
    let mut table = Table::new();
    table.join(1, peer(2));
    let task = table.submit(known(5000));
    // One that is full: it takes what it has room for, and gives it back when no slot gets free.
    for _ in 0..50 {
        let (worker, _, attempt) = table.wait(table.now + at(5000))[0];
        table.dispatch.accepted(worker, task, attempt, table.now);
        table.wait(table.now + at(3000));
        table.dispatch.refused(worker, task, attempt, &Refusal::Busy, table.now);
        assert_eq!(table.go(), [], "it rests");
    }
    assert_eq!(table.excluded, []);
    let last = table.wait(table.now + at(5000))[0];
    table.finish(last, &ran(5000));
    assert_eq!(table.delivered, [(task, Some(WorkerId(1)), Ending::Ran)]);
}

#[test]
fn a_test_that_always_comes_back_stays_here() {
    let mut table = Table::new();
    table.join(1, peer(1));
    let task = table.submit(known(100));
    let mut copies = table.go();
    while !copies.is_empty() {
        assert!(table.starts.len() < 200, "it goes on for ever");
        for (worker, task, attempt) in copies {
            table.dispatch.refused(worker, task, attempt, &Refusal::Busy, table.now);
        }
        copies = table.wait(table.now + at(5000));
    }
    assert_eq!(table.delivered, [], "it waits for this machine");
    table.join(0, here(1));
    let last = table.go()[0];
    assert_eq!(last.0, HERE);
    table.finish(last, &ran(100));
    assert_eq!(table.delivered, [(task, Some(HERE), Ending::Ran)]);
}

#[test]
fn a_test_given_back_before_it_is_taken_makes_its_machine_wait_longer_and_longer() {
    let mut table = Table::new();
    table.join(1, peer(1));
    table.submit(known(100));
    let (mut copies, mut rounds) = (table.go(), 0);
    while table.now < at(60_000) {
        for (worker, task, attempt) in copies {
            rounds += 1;
            table.dispatch.refused(worker, task, attempt, &Refusal::Busy, table.now);
            table.dispatch.accepted(worker, task, attempt, table.now);
            table.go();
        }
        copies = table.wait(table.now + at(100));
    }
    assert!((10..50).contains(&rounds), "{rounds} offers in a minute");
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TESTMESH_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(128);
    ProptestConfig::with_cases(cases)
}

/// Something a worker, a caller or the network may do, sensible or not.
#[derive(Debug, Clone)]
enum Input {
    Submit(u64, bool, bool),
    Join(u32, bool, u32),
    Change(u32, u32),
    Left(u32, u8),
    Answer(usize, u8),
    Nonsense(u32, u32, u16),
    Wait(u64),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => (0u64..20_000, any::<bool>(), any::<bool>()).prop_map(|(ms, l, h)| Input::Submit(ms, l && h, h)),
        2 => (0u32..6, any::<bool>(), 0u32..5).prop_map(|(w, l, s)| Input::Join(w, l, s)),
        1 => (0u32..6, 0u32..5).prop_map(|(w, s)| Input::Change(w, s)),
        1 => (0u32..6, 0u8..3).prop_map(|(w, how)| Input::Left(w, how)),
        8 => (any::<usize>(), 0u8..8).prop_map(|(which, how)| Input::Answer(which, how)),
        1 => (0u32..8, 0u32..50, 0u16..3).prop_map(|(w, t, a)| Input::Nonsense(w, t, a)),
        3 => (0u64..30_000).prop_map(Input::Wait),
    ]
}

fn perform(table: &mut Table, input: Input) {
    let now = table.now;
    match input {
        Input::Submit(millis, local_only, heavy) => {
            table.submit(Spec { local_only, heavy, ..known(millis) });
        }
        Input::Join(worker, local, slots) => {
            table.join(worker, joined(if local { Kind::Local } else { Kind::Peer }, slots));
        }
        Input::Change(worker, slots) => table.dispatch.worker_changed(WorkerId(worker), slots, now),
        Input::Left(worker, how) => {
            let leaving = [Leaving::Drained, Leaving::Lost, Leaving::Revoked][usize::from(how)].clone();
            table.dispatch.worker_left(WorkerId(worker), leaving, now);
        }
        Input::Answer(which, how) => {
            if table.starts.is_empty() {
                return;
            }
            let (worker, task, attempt) = table.starts[which % table.starts.len()];
            match how {
                0 => table.dispatch.finished(worker, task, attempt, &broken(), now),
                1 => table.dispatch.finished(worker, task, attempt, &Class::Cancelled, now),
                2 => table.dispatch.refused(worker, task, attempt, &Refusal::Busy, now),
                3 => table.dispatch.started(worker, task, attempt, now),
                _ => table.dispatch.finished(worker, task, attempt, &ran(7), now),
            }
        }
        Input::Nonsense(worker, task, attempt) => {
            table.dispatch.finished(WorkerId(worker), TaskId(task), attempt, &ran(1), now);
        }
        Input::Wait(millis) => drop(table.wait(now + at(millis))),
    }
    table.go();
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever is reported in whatever order, every task is delivered exactly once, and all of them are once time
    /// passes without anybody answering.
    #[test]
    fn every_task_gets_exactly_one_answer(inputs in proptest::collection::vec(input(), 0..120)) {
        let mut table = Table::new();
        inputs.into_iter().for_each(|input| perform(&mut table, input));
        let submitted = table.dispatch.totals().submitted;
        (0..6).for_each(|worker| table.dispatch.worker_left(WorkerId(worker), Leaving::Drained, table.now));
        let end = table.now + Duration::from_secs(3600);
        table.wait(end);
        let mut tasks: Vec<u32> = table.delivered.iter().map(|(task, ..)| task.0).collect();
        tasks.sort_unstable();
        prop_assert_eq!(tasks, (0..u32::try_from(submitted).unwrap()).collect::<Vec<_>>());
        prop_assert!(table.dispatch.is_idle());
        prop_assert!(table.dispatch.races.is_empty() && table.dispatch.alarms.is_empty());
        prop_assert!(table.dispatch.pending.is_empty() && table.dispatch.pending_work() == 0);
    }

    /// The same inputs give the same actions.
    #[test]
    fn the_same_inputs_give_the_same_actions(inputs in proptest::collection::vec(input(), 0..60)) {
        let course = || {
            let mut table = Table::new();
            inputs.iter().cloned().for_each(|input| perform(&mut table, input));
            (table.starts, table.cancels, table.delivered, table.armed)
        };
        prop_assert_eq!(course(), course());
    }
}
