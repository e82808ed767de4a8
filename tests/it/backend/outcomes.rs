//! How a job ended and what it wrote.

use super::*;

#[test]
fn exit_codes_are_what_the_program_says() {
    let place = Place::new();
    let mut slot = place.slot();
    for expected in [0, 1, 3, 127, 255] {
        let output = place.run_in(&mut slot, &sh(&format!("exit {expected}")));
        assert_eq!(output.exit, code(expected));
    }
}

#[test]
fn signals_are_told_from_codes() {
    let place = Place::new();
    let mut slot = place.slot();
    for (name, number) in [("SEGV", 11), ("ABRT", 6), ("PIPE", 13), ("INT", 2), ("KILL", 9)] {
        let output = place.run_in(&mut slot, &sh(&format!("echo before; kill -{name} $$")));
        assert_eq!(output.exit, Exit::Ended(Status::Signal(number)), "{name}");
        assert_eq!(stdout(&output), "before\n");
    }
}

#[test]
fn streams_are_kept_apart_byte_for_byte() {
    let place = Place::new();
    let output = place.sh(r"printf 'a\000\377\n'; printf 'b\001' >&2");
    assert_eq!(output.stdout.bytes, b"a\0\xff\n");
    assert_eq!(output.stderr.bytes, b"b\x01");
    assert_eq!((output.stdout.dropped, output.stderr.dropped), (0, 0));
}

#[test]
fn a_gigabyte_neither_blocks_nor_is_kept() {
    let place = Place::new();
    let mut job = sh("head -c 1073741824 /dev/zero; echo end >&2");
    job.limits.output = 1000;
    let output = place.run(&job);
    assert_eq!(output.exit, code(0));
    assert_eq!(output.stdout.bytes, [0; 1000]);
    assert_eq!(output.stdout.dropped, (1 << 30) - 1000);
    assert_eq!(output.stderr.bytes, b"end\n");
}

#[test]
fn megabytes_within_the_cap_come_whole() {
    let place = Place::new();
    let mut job = sh("head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2");
    job.limits.output = 10 << 20;
    let output = place.run(&job);
    assert_eq!(output.stdout.bytes.len(), 5_000_000);
    assert_eq!(output.stderr.bytes.len(), 3_000_000);
}

#[test]
fn standard_input_is_empty() {
    let place = Place::new();
    let output = place.sh("cat; readlink /proc/self/fd/0");
    assert_eq!(stdout(&output), "/dev/null\n");
}

#[test]
fn jobs_run_in_their_folder() {
    let place = Place::new();
    fs_err::create_dir(place.path().join("sub")).unwrap();
    let mut job = sh("pwd -P");
    job.cwd.path = "sub".to_owned();
    let expected = format!("{}/sub\n", fs_err::canonicalize(place.path()).unwrap().display());
    assert_eq!(stdout(&place.run(&job)), expected);
}

#[test]
fn programs_are_found_in_the_path_of_the_job() {
    let place = Place::new();
    place.file("tool", b"#!/bin/sh\necho \"$0\" \"$@\"\n", 0o755);
    let mut job = job(&["tool", "a b", ""]);
    let here = Arg::Path(RootedPath { root: Root::Workspace, path: String::new() });
    job.env = vec![("PATH".to_owned(), here)];
    let expected = format!("{}/tool a b \n", place.path().display());
    assert_eq!(stdout(&place.run(&job)), expected);
}

#[test]
fn the_environment_is_inherited_and_added_to() {
    let place = Place::new();
    let mut job = sh("echo $LANG $MINE ${PATH:+path} [$GTEST_TOTAL_SHARDS]");
    job.env = vec![("MINE".to_owned(), Arg::Text("1 2".to_owned()))];
    assert_eq!(stdout(&place.run(&job)), "en_US.UTF-8 1 2 path []\n");
}

#[test]
fn resources_are_reported() {
    let place = Place::new();
    let output = place.sh("head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null");
    assert!(output.max_rss > 1 << 20, "{}", output.max_rss);
    assert!(output.duration > Duration::ZERO);
}

#[test]
fn a_job_whose_time_is_up_is_killed() {
    let place = Place::new();
    let mut job = sh("echo before; sleep 1000");
    job.limits.wall = Duration::from_millis(300);
    let output = place.run(&job);
    assert_eq!(output.exit, Exit::TimedOut(Status::Signal(9)));
    assert_eq!(stdout(&output), "before\n");
    assert!(output.duration >= job.limits.wall && output.duration < PATIENCE);
}

#[test]
fn who_ignores_the_polite_signal_is_killed() {
    let place = Place::new();
    let mut job = sh("trap '' TERM; echo ready; sleep 1000");
    job.limits = Limits { wall: Duration::from_secs(1), ladder: Ladder::TermThenKill, ..job.limits };
    let output = place.run(&job);
    assert_eq!(output.exit, Exit::TimedOut(Status::Signal(9)));
    assert!(output.duration >= job.limits.wall + Duration::from_millis(100));
}

#[test]
fn who_heeds_the_polite_signal_has_its_say() {
    let place = Place::new();
    let mut job = sh("trap 'echo bye; exit 7' TERM; sleep 1000 & wait");
    job.limits = Limits { wall: Duration::from_secs(1), ladder: Ladder::TermThenKill, ..job.limits };
    let output = place.run(&job);
    assert_eq!(output.exit, Exit::TimedOut(Status::Code(7)));
    assert_eq!(stdout(&output), "bye\n");
}

#[test]
fn a_job_can_be_asked_for_without_async_code() {
    let place = Place::new();
    let output = testmesh::backend::run_once(&sh("echo 1; exit 2"), &place.roots(), &place.config()).unwrap();
    assert_eq!((output.exit.clone(), stdout(&output).as_str()), (code(2), "1\n"));

    let ask = |script: &str| {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        testmesh::backend::ask(&words, place.path(), &place.config()).map_err(|error| error.to_string())
    };
    assert_eq!(ask("echo a; echo b"), Ok("a\nb\n".to_owned()));
    insta::assert_snapshot!(ask("echo x; echo no such flag >&2; exit 4").unwrap_err(), @"`/bin/sh -c echo x; echo no such flag >&2; exit 4` failed with exit code 4: no such flag");
    insta::assert_snapshot!(ask("kill -SEGV $$").unwrap_err(), @"`/bin/sh -c kill -SEGV $$` was ended by signal 11");
}
