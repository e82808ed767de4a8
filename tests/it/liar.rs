//! A run over peers that answer wrongly.

use std::collections::BTreeMap;

use crate::support::{Program, plant, write};

/// Tests in the tree.
const TESTS: usize = 60;

/// Passes the trial run everywhere, and every test where a file lies beside it that does not travel; elsewhere it fails
/// them all.
const SHELL: &str = r#"#!/bin/sh
for last; do :; done
case $last in print*) echo 'testmesh canary'; exit 0 ;; esac
[ -e "${0%/*}/honest" ] || { echo 'a lie'; exit 1; }
sleep 0.02
"#;

/// What a peer says of a test is not believed before this machine has seen the same: verdicts are those of a local run,
/// and the peer is named and left out.
#[test]
fn peers_that_lie_change_no_verdict_and_are_named() {
    let program = Program::new();
    let root = program.folder().join("v8");
    plant(&root, TESTS, SHELL);
    write(&root, "out/x64.release/honest", "");
    let workspace = format!("--workspace={}", root.display());
    let arguments =
        [&workspace, "--outdir=out/x64.release", "--lab=3", "-p", "verbose", "--variants=default", "mjsunit"];
    let output = program.command(&arguments).output().unwrap();
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, outcome) in out.lines().filter_map(|line| line.split_once(" default: ")) {
        assert_eq!(outcome, "PASS", "{name}");
        *told.entry(name).or_default() += 1;
    }
    assert_eq!((told.len(), told.values().max()), (TESTS, Some(&1)), "{out}");
    for words in
        ["and this machine disagree on mjsunit/t", "results contradicted here", "is not used any more"]
    {
        assert!(err.contains(words), "no `{words}` in {err}");
    }
}
