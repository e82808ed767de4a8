//! What a job gets from its slot, and that nothing of a job stays behind.

use super::*;

#[test]
fn a_group_ends_with_its_leader() {
    let place = Place::new();
    let mut fifo = place.fifo("pids");
    let mut job = sh("sh -c 'echo $$ >pids; sleep 1000; :' & echo $$ >pids; wait");
    job.limits.wall = Duration::from_secs(1);
    assert_eq!(place.run(&job).exit, Exit::TimedOut(Status::Signal(9)));
    assert!(!alive(fifo.pid()));
    assert!(!alive(fifo.pid()));
}

#[test]
fn daemons_of_a_job_do_not_outlive_it() {
    let place = Place::new();
    let (mut pids, _started) = (place.fifo("pids"), place.fifo("started"));
    let daemon =
        "setsid sh -c 'echo $$ >pids; echo >started; exec sleep 1000' </dev/null >/dev/null 2>&1 3>&- &";
    let mut slot = place.slot();
    for (daemons, script) in
        [(1, format!("({daemon})")), (3, format!("({daemon} {daemon} ({daemon}) )")), (1, daemon.to_owned())]
    {
        let wait = "read -r x <started; ".repeat(daemons);
        let output = place.run_in(&mut slot, &sh(&format!("{script}\n{wait} echo end")));
        assert_eq!((&output.exit, stdout(&output).as_str()), (&code(0), "end\n"), "{script}");
        for _ in 0..daemons {
            assert!(!alive(pids.pid()), "{script}");
        }
    }
}

#[test]
fn who_holds_the_streams_of_an_ended_job_is_not_waited_for() {
    let place = Place::new();
    let mut fifo = place.fifo("pids");
    let job =
        sh("(setsid sh -c 'echo $$ >pids; exec sleep 1000' &); read -r x <pids; echo $x >pids; echo end");
    let (output, took) = elapsed(|| place.run(&job));
    assert_eq!((output.exit.clone(), stdout(&output).as_str()), (code(0), "end\n"));
    assert!(output.duration >= Duration::from_millis(200) && took < PATIENCE);
    assert!(!alive(fifo.pid()));
}

#[test]
fn what_hops_from_process_to_process_is_caught() {
    let place = Place::new();
    let hop =
        b"#!/bin/sh\necho $$ >>pids\n[ $1 -gt 0 ] && setsid $0 $(($1 - 1)) >/dev/null 2>&1 </dev/null &\n";
    place.file("hop", hop, 0o755);
    assert_eq!(place.sh("./hop 2000").exit, code(0));
    let pids = fs_err::read_to_string(place.path().join("pids")).unwrap();
    assert!(pids.lines().count() < 2000, "they all ran to their end");
    for pid in pids.lines() {
        assert!(!alive(pid.parse().unwrap()));
    }
}

#[test]
fn a_job_has_its_three_streams_and_nothing_else() {
    let mut place = Place::new();
    // An owner that leaks a descriptor into everything it starts.
    let leak = format!("exec 7</dev/null 8>&1; exec {} --slot", place.launcher.program.display());
    place.launcher = Launcher { program: "/bin/sh".into(), arguments: vec!["-c".into(), leak.into()] };
    // The last one is the folder that `ls` reads.
    assert_eq!(stdout(&place.run(&job(&["/bin/ls", "/proc/self/fd"]))), "0\n1\n2\n3\n");
}

#[test]
fn a_job_starts_with_default_signals_whatever_its_owner_ignores() {
    let mut place = Place::new();
    let ignoring =
        format!("trap '' HUP INT QUIT PIPE TERM; exec {} --slot", place.launcher.program.display());
    place.launcher = Launcher { program: "/bin/sh".into(), arguments: vec!["-c".into(), ignoring.into()] };
    let status = stdout(&place.run(&job(&["/bin/cat", "/proc/self/status"])));
    for set in ["SigBlk", "SigIgn"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
}

#[test]
fn a_job_leads_its_own_group_without_terminal_or_core_dump() {
    let place = Place::new();
    let stat = stdout(&place.run(&job(&["/bin/cat", "/proc/self/stat"])));
    let fields: Vec<i64> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_ascii_whitespace()
        .skip(1)
        .take(4)
        .map(|field| field.parse().unwrap())
        .collect();
    let [parent, group, session, terminal] = fields[..] else { panic!("{stat}") };
    let pid: i64 = stat.split(' ').next().unwrap().parse().unwrap();
    assert_eq!((group, terminal), (pid, 0));
    assert_ne!(session, i64::from(std::process::id()));
    assert_ne!(parent, i64::from(std::process::id()));

    let limits = stdout(&place.run(&job(&["/bin/cat", "/proc/self/limits"])));
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let soft = core.split_ascii_whitespace().nth(4).unwrap();
    assert!(matches!(soft, "0" | "1"), "{core}");
}

#[test]
fn a_killed_slot_takes_its_job_along_and_is_replaced() {
    let place = Place::new();
    let mut fifo = place.fifo("pids");
    let mut slot = place.slot();
    let script = "sh -c 'echo $$ >pids; echo >go; sleep 1000' & echo $$ >pids; read -r x <go; kill -KILL $PPID; sleep 1000";
    let _go = place.fifo("go");
    let output = place.run_in(&mut slot, &sh(script));
    match &output.exit {
        Exit::Lost(why) => assert_eq!(why, "slot process ended unexpectedly: signal: 9 (SIGKILL)"),
        other => panic!("{other:?}"),
    }
    assert!(!alive(fifo.pid()));
    assert!(!alive(fifo.pid()));
    assert_eq!(place.run_in(&mut slot, &sh("exit 4")).exit, code(4));
}

#[test]
fn nothing_survives_a_killed_owner() {
    let place = Place::new();
    let mut fifo = place.fifo("pids");
    let mut owner = play("backend::containment::plays_an_owner", place.path());
    let pids: Vec<i32> = (0..4).map(|_| fifo.pid()).collect();
    let watched: Vec<Watched> = pids.iter().map(|pid| watch(*pid)).collect();
    assert!(pids.iter().all(|pid| alive(*pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    watched.iter().for_each(Watched::ends);
}

/// Two slots whose jobs have a daemon each, for as long as this process lives.
#[test]
fn plays_an_owner() {
    let Some(folder) = std::env::var_os(STAGE) else { return };
    let place = Place::new();
    let daemon = "(setsid sh -c 'echo $$ >pids; exec sleep 1000' &); echo $$ >pids; sleep 1000; :";
    let mut roots = place.roots();
    roots.workspace = folder.into();
    place.runtime.block_on(async {
        let config = place.config();
        let mut slots = testmesh::worker::local::LocalSlots::open(2, roots, &config).await.unwrap();
        for slot in 0..2 {
            slots.start(slot, JobId { run: 1, sequence: 0, attempt: 0 }, &sh(daemon));
        }
        slots.next_finished().await;
    });
}
