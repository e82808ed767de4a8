//! Jobs that cannot start: never an exit code, always a reason.

use super::*;

#[track_caller]
fn check(place: &Place, job: &Job, expected: &str) {
    let output = place.run(job);
    let here = place.path().to_str().unwrap();
    assert_eq!(not_started(&output).replace(here, "HERE"), expected);
    assert!(output.stdout.bytes.is_empty() && output.stderr.bytes.is_empty());
}

fn own(place: &Place, name: &str) -> Job {
    job(&[place.path().join(name).to_str().unwrap()])
}

#[test]
fn a_missing_program() {
    let place = Place::new();
    check(
        &place,
        &own(&place, "d8"),
        "cannot execute `HERE/d8`: No such file or directory (os error 2); there is no such file",
    );
    check(&place, &job(&["no-such-program-here"]), "`no-such-program-here` is not in PATH");
    check(&place, &job(&[]), "job has no command");
}

#[test]
fn a_program_that_is_none() {
    let place = Place::new();
    place.file("plain", b"#!/bin/sh\n", 0o644);
    place.file("text", b"echo hello\n", 0o755);
    place.file("empty", b"", 0o755);
    fs_err::create_dir(place.path().join("folder")).unwrap();
    check(
        &place,
        &own(&place, "plain"),
        "cannot execute `HERE/plain`: Permission denied (os error 13); the file is not executable (`chmod +x` \
         makes it so)",
    );
    check(
        &place,
        &own(&place, "folder"),
        "cannot execute `HERE/folder`: Permission denied (os error 13); it is a directory",
    );
    check(
        &place,
        &own(&place, "text"),
        "cannot execute `HERE/text`: Exec format error (os error 8); it is neither a program for this machine nor \
         a script whose first line names an interpreter (`#!/bin/sh`)",
    );
    check(
        &place,
        &own(&place, "empty"),
        "cannot execute `HERE/empty`: Exec format error (os error 8); the file is empty",
    );
}

#[test]
fn a_script_without_its_interpreter() {
    let place = Place::new();
    place.file("script", b"#!/no/such/node --flag\n", 0o755);
    check(
        &place,
        &own(&place, "script"),
        "cannot execute `HERE/script`: No such file or directory (os error 2); the file is there, but its \
         interpreter `/no/such/node` is not on this machine",
    );
}

/// A copy of a program of this machine with one text replaced by another of the same length.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn patched(place: &Place, name: &str, from: &[u8], to: &[u8]) {
    let mut bytes = fs_err::read("/bin/true").unwrap();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(at, _)| at).collect();
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    place.file(name, &bytes, 0o755);
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn a_binary_without_its_loader_or_library_or_machine() {
    let place = Place::new();
    patched(&place, "loader", b"/ld-linux-x86-64.so.2", b"/ld-linux-x86-64.so.9");
    check(
        &place,
        &own(&place, "loader"),
        "cannot execute `HERE/loader`: No such file or directory (os error 2); the file is there, but its loader \
         `/lib64/ld-linux-x86-64.so.9` is not on this machine",
    );
    patched(&place, "machine", b"\x03\0\x3e\0\x01\0\0\0", b"\x03\0\xb7\0\x01\0\0\0");
    check(
        &place,
        &own(&place, "machine"),
        "cannot execute `HERE/machine`: Exec format error (os error 8); it is built for another machine (aarch64; \
         this is x86_64)",
    );
    patched(&place, "library", b"libc.so.6", b"libv.so.8");
    let output = place.run(&own(&place, "library"));
    let expected = "cannot load `HERE/library`: error while loading shared libraries: libv.so.8: cannot open shared \
                    object file: No such file or directory";
    assert_eq!(not_started(&output).replace(place.path().to_str().unwrap(), "HERE"), expected);
}

#[test]
fn a_missing_folder() {
    let place = Place::new();
    let mut job = sh("true");
    job.cwd.path = "gone".to_owned();
    check(&place, &job, "cannot enter working directory `HERE/gone`: No such file or directory (os error 2)");
}

#[test]
fn more_arguments_than_the_system_takes() {
    let place = Place::new();
    let long = "x".repeat(3 << 20);
    check(
        &place,
        &job(&["/bin/echo", &long]),
        "cannot execute `/bin/echo`: Argument list too long (os error 7); its arguments and environment are larger \
         than the system takes",
    );
}

#[test]
fn a_nul_byte_in_an_argument() {
    let place = Place::new();
    check(
        &place,
        &job(&["/bin/echo", "a\0b"]),
        "an argument or variable contains a NUL byte: nul byte found in provided data at position: 1",
    );
}

#[test]
fn a_path_out_of_the_workspace_is_refused_before_any_slot_sees_it() {
    let place = Place::new();
    let mut job = sh("true");
    job.cwd.path = "../..".to_owned();
    let output = testmesh::backend::run_once(&job, &place.roots(), &place.config()).unwrap();
    assert_eq!(not_started(&output), "path `../..` of the job leaves its root");
}

#[test]
fn a_slot_that_is_none() {
    let mut place = Place::new();
    let start = |place: &Place| {
        let started = place.runtime.block_on(Slot::start(place.config()));
        started.map(|_| ()).map_err(|error| error.to_string())
    };
    place.launcher = Launcher { program: "/no/such/slot".into(), arguments: Vec::new() };
    assert_eq!(start(&place), Err("cannot start slot process `/no/such/slot`".to_owned()));
    place.launcher = Launcher { program: "/bin/true".into(), arguments: Vec::new() };
    assert_eq!(start(&place), Err("slot process ended unexpectedly: exit status: 0".to_owned()));
}
