//! Several slots at once, and jobs that are not wanted any more.

use testmesh::worker::local::LocalSlots;

use super::*;

fn id(sequence: u32) -> JobId {
    JobId { run: 1, sequence, attempt: 0 }
}

impl Place {
    fn slots(&self, count: usize) -> LocalSlots {
        self.runtime.block_on(LocalSlots::open(count, self.roots(), &self.config())).unwrap()
    }

    fn next(&self, slots: &mut LocalSlots) -> (usize, JobId, Output) {
        let patient = async { tokio::time::timeout(PATIENCE, slots.next_finished()).await };
        self.runtime.block_on(patient).unwrap()
    }
}

#[test]
fn slots_run_side_by_side() {
    let place = Place::new();
    let mut slots = place.slots(2);
    assert_eq!(slots.count(), 2);
    // Each waits for the other.
    let _fifos = (place.fifo("a"), place.fifo("b"));
    slots.start(0, id(0), &sh("echo 0 >a; read -r x <b; exit 5"));
    slots.start(1, id(1), &sh("echo 1 >b; read -r x <a; exit 6"));
    let mut finished = [place.next(&mut slots), place.next(&mut slots)];
    finished.sort_by_key(|finished| finished.0);
    let short = finished.map(|(slot, id, output)| (slot, id.sequence, output.exit));
    assert_eq!(short, [(0, 0, code(5)), (1, 1, code(6))]);
}

#[test]
fn a_slot_runs_one_job_after_another() {
    let place = Place::new();
    let mut slots = place.slots(1);
    for sequence in 0..20 {
        slots.start(0, id(sequence), &sh(&format!("echo {sequence}")));
        let (slot, finished, output) = place.next(&mut slots);
        assert_eq!((slot, finished, stdout(&output)), (0, id(sequence), format!("{sequence}\n")));
    }
}

#[test]
fn a_job_is_cancelled_by_its_id() {
    let place = Place::new();
    let mut fifo = place.fifo("pids");
    let mut slots = place.slots(2);
    slots.start(0, id(0), &sh("echo ready; echo $$ >pids; sleep 1000"));
    slots.start(1, id(1), &sh("exit 3"));
    assert_eq!(place.next(&mut slots).1, id(1));
    let pid = fifo.pid();
    slots.cancel(id(1));
    slots.cancel(id(0));
    slots.cancel(id(0));
    let (slot, cancelled, output) = place.next(&mut slots);
    assert_eq!((slot, cancelled, &output.exit), (0, id(0), &Exit::Cancelled));
    assert_eq!(stdout(&output), "ready\n");
    assert!(!alive(pid));
    slots.start(0, id(2), &sh("exit 9"));
    assert_eq!(place.next(&mut slots).2.exit, code(9));
}

#[test]
fn a_job_cancelled_at_once_ends_at_once() {
    let place = Place::new();
    let mut slots = place.slots(1);
    for sequence in 0..20 {
        slots.start(0, id(sequence), &sh("sleep 1000"));
        slots.cancel_all();
        assert_eq!(place.next(&mut slots).2.exit, Exit::Cancelled);
    }
}

#[test]
fn a_job_that_cannot_be_handed_over_comes_back() {
    let place = Place::new();
    let mut slots = place.slots(1);
    let mut outside = sh("true");
    outside.cwd.path = "..".to_owned();
    slots.start(0, id(0), &outside);
    let (_, _, output) = place.next(&mut slots);
    assert_eq!(not_started(&output), "path `..` of the job leaves its root");

    slots.start(0, id(1), &sh("sleep 1000"));
    slots.start(0, id(2), &sh("true"));
    slots.start(7, id(3), &sh("true"));
    let refused =
        [place.next(&mut slots), place.next(&mut slots)].map(|(_, id, output)| (id.sequence, output.exit));
    let busy = Exit::Lost("slot 0 runs another job".to_owned());
    assert_eq!(refused, [(2, busy), (3, Exit::Lost("there is no slot 7".to_owned()))]);
    slots.cancel(id(1));
    assert_eq!(place.next(&mut slots).1, id(1));
}

#[test]
fn waiting_without_a_job_waits() {
    let place = Place::new();
    let mut slots = place.slots(1);
    let nothing = async { tokio::time::timeout(Duration::from_millis(20), slots.next_finished()).await };
    assert!(place.runtime.block_on(nothing).is_err());
}

#[test]
fn shutting_down_leaves_nothing() {
    let place = Place::new();
    let mut fifo = place.fifo("pids");
    let mut slots = place.slots(2);
    let daemon = "(setsid sh -c 'echo $$ >pids; exec sleep 1000' &); echo $$ >pids; sleep 1000; :";
    slots.start(0, id(0), &sh(daemon));
    slots.start(1, id(1), &sh(daemon));
    // The slots are told only while somebody waits.
    let pids = place.runtime.block_on(async {
        let reports = tokio::task::spawn_blocking(move || [(); 4].map(|()| fifo.pid()));
        tokio::select! {
            pids = reports => pids.unwrap(),
            finished = slots.next_finished() => panic!("{finished:?}"),
        }
    });
    place.runtime.block_on(slots.shutdown());
    assert!(pids.iter().all(|pid| !alive(*pid)));
}

#[test]
fn a_job_whose_future_is_dropped_ends_and_leaves_no_output_to_the_next() {
    let place = Place::new();
    let mut fifo = place.fifo("pids");
    let mut slot = place.slot();
    let sleeper = place.roots().job(&sh("echo wrong; echo $$ >pids; sleep 1000")).unwrap();
    let next = place.roots().job(&sh("echo right")).unwrap();
    place.runtime.block_on(async {
        let mut report = tokio::task::spawn_blocking(move || fifo.pid());
        let pid = tokio::select! {
            output = slot.run(&sleeper) => panic!("{output:?}"),
            pid = &mut report => pid.unwrap(),
        };
        let output = slot.run(&next).await;
        assert_eq!(stdout(&output), "right\n");
        assert!(!alive(pid));
        slot.stop().await;
    });
}
