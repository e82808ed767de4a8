//! The sample tree end to end, against its model.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Ended, Program};

/// Lines of the model, as `name [strict] [reverse] -> outcome`.
fn model() -> BTreeMap<String, String> {
    let text = include_str!("../fixtures/model.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(outcome, name)| (name.trim().into(), outcome.into()))
        .collect()
}

fn label(case: &Value) -> String {
    let name = case["name"].as_str().unwrap();
    let strict = case["argv"].as_array().unwrap().iter().any(|argument| argument == "--use-strict");
    let reverse = case["negative"] == true && name.starts_with("test262");
    format!("{name}{}{}", if strict { " strict" } else { "" }, if reverse { " reverse" } else { "" })
}

fn outcomes(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_case_turns_out_as_the_model_says() {
    check_model(&[]);
}

#[test]
fn every_case_turns_out_as_the_model_says_on_three_nodes() {
    check_model(&["--lab", "3"]);
}

/// Runs the whole sample with more options and compares each case with the model.
fn check_model(more: &[&str]) {
    let program = Program::new();
    let json = program.folder().join("results.json");
    let arguments = ["--sample", "--run-skipped", "--random-seed=1"];
    let listed = program.run(&[&arguments[..], &["--dry-run", "--json"]].concat());
    let ran = program.run(
        &[&arguments[..], &["-t", "2", "-p", "none", "--json-test-results", json.to_str().unwrap()], more]
            .concat(),
    );
    assert_eq!(ran.code, Some(1), "15.7 does not hide failures behind JSON results: {}", ran.err);
    let results: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let unexpected: BTreeMap<&str, &str> = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (result["name"].as_str().unwrap(), result["result"].as_str().unwrap()))
        .collect();
    let model = model();
    let cases: Vec<Value> = listed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results["test_total"], cases.len());
    for case in &cases {
        let (label, name) = (label(case), case["name"].as_str().unwrap());
        let wanted = model.get(&label).unwrap_or_else(|| panic!("the model does not know `{label}`"));
        let accepted = outcomes(&case["expected"]);
        match unexpected.get(name) {
            Some(found) => assert!(wanted.split('|').any(|one| one == *found), "{label}: {found}"),
            None => {
                let met = wanted.split('|').any(|one| accepted.iter().any(|known| known == one));
                assert!(met, "{label}: {wanted} is not among {accepted:?}");
            }
        }
    }
}

#[test]
fn a_plain_run_is_clean_and_leaves_the_broken_ones_out() {
    let ran = Program::new().run(&["--sample"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains(" passed, 0 failed"), "{}", ran.out);
    assert!(!ran.out.contains("broken"), "{}", ran.out);
}

#[test]
fn variants_double_the_run_and_stay_clean() {
    let ran =
        Program::new().run(&["--sample", "--variants=default,stress,nooptimization", "mjsunit", "test262"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
}

#[test]
fn a_failure_shows_its_output_harmlessly_and_how_to_repeat_it() {
    let ran =
        Program::new().run(&["--sample", "--run-skipped", "mjsunit/broken/fails", "mjsunit/broken/crashes"]);
    assert_eq!(ran.code, Some(1));
    for words in ["some output", "and some complaint", "repeat:", "--embedded-shell", "2 failed"] {
        assert!(ran.out.contains(words), "{words} is missing in:\n{}", ran.out);
    }
}

#[test]
fn the_prelude_runs_the_sample_where_there_is_a_node() {
    let node = std::process::Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return;
    }
    let ran =
        Program::new().run(&["--sample", "--engine", "node", "mjsunit/[a-c]*", "message", "webkit", "intl"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
}

#[test]
fn an_interrupt_ends_the_run_with_a_report_and_v8s_exit_code() {
    let program = Program::new();
    let arguments =
        ["--sample", "--run-skipped", "-p", "stream", "mjsunit/skipped/endless", "mjsunit/arithmetic", "-j2"];
    let mut running =
        program.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(running.stdout.take().unwrap());
    let mut text = String::new();
    // The plain test is done; the endless one runs.
    while !text.contains("PASS") {
        assert_ne!(out.read_line(&mut text).unwrap(), 0, "{text}");
    }
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(3), "{text}");
}

/// An error that must name something and exit with a code.
fn check_error(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for word in words {
        assert!(ended.err.contains(word), "`{word}` is missing in:\n{}", ended.err);
    }
}

#[test]
fn bad_input_is_a_clear_error_with_v8s_exit_code() {
    let program = Program::new();
    check_error(&program.run(&["mjsunit"]), 5, &["no V8 checkout", "hint:"]);
    check_error(&program.run(&["--sample", "--no-such-option"]), 2, &["--no-such-option"]);
    check_error(
        &program.run(&["--sample", "--flaky-tests=run"]),
        2,
        &["no such option: --flaky-tests", "2015"],
    );
    check_error(&program.run(&["--sample", "--variants=nope"]), 5, &["Unknown variant: nope", "stress"]);
    check_error(
        &program.run(&["--sample", "--engine=build", "--gn"]),
        5,
        &["--gn takes the newest", "out.gn", "hint:"],
    );
    check_error(&program.run(&["--sample", "--random-seed-stress-count=0"]), 5, &["for ever", "hint:"]);
    check_error(&program.run(&["--sample", "--extra-flags='x"]), 5, &["cannot split --extra-flags"]);
    check_error(&program.run(&["--sample", "--engine=build"]), 5, &["Failed to load build config", "hint:"]);
    check_error(&program.run(&["--sample", "--quickcheck", "--variants=default"]), 5, &["--quickcheck"]);
    check_error(&program.run(&["--sample", "mjsunit/arithmetik"]), 2, &["no test matches", "arithmetic"]);
    check_error(&program.run(&["--sample", "mjsunitt"]), 2, &["no suite mjsunitt", "mjsunit"]);
    let unwritable = program.run(&["--sample", "--json-test-results=/no/such/folder/x.json", "mjsunit"]);
    check_error(&unwritable, 5, &["/no/such/folder/x.json"]);
    assert!(!unwritable.out.contains("passed"), "no test runs before the report is open");
}

#[test]
fn lists_and_command_lines_are_data() {
    let program = Program::new();
    let listed = program.run(&["--sample", "--list", "mjsunit/array/*"]);
    assert_eq!(listed.out, "mjsunit/array/concat-spreadable\nmjsunit/array/concat\n");
    let dry = program.run(&["--sample", "--dry-run", "--random-seed=7", "mjsunit/array/concat"]);
    assert!(
        dry.out.contains(" --test test/mjsunit/mjsunit.js test/mjsunit/array/concat.js --random-seed=7 "),
        "{}",
        dry.out
    );
    let json = program.run(&["--sample", "--list", "--json", "mjsunit/skipped/*"]);
    assert!(
        json.out.contains("\"left_out\":\"skip\"") && json.out.contains("mjsunit.status:"),
        "{}",
        json.out
    );
}

/// The sample tree in a folder of the test's own, to be spoiled.
fn own_copy(program: &Program) -> std::path::PathBuf {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v8-mini");
    let to = program.folder().join("tree");
    copy(&from, &to);
    to
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

fn in_tree(tree: &std::path::Path) -> [String; 3] {
    ["--nonetwork".to_owned(), "--engine=embedded".to_owned(), format!("--workspace={}", tree.display())]
}

#[test]
fn a_table_that_cannot_be_read_is_named_with_its_line() {
    let program = Program::new();
    let tree = own_copy(&program);
    let table = "import other\nALL_VARIANT_FLAGS = other.flags()\n";
    std::fs::write(tree.join("tools/testrunner/local/variants.py"), table).unwrap();
    let options = in_tree(&tree);
    let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
    words.extend(["--list", "mjsunit/arithmetic"]);
    let listed = program.run(&words);
    assert_eq!((listed.code, listed.out.as_str()), (Some(0), "mjsunit/arithmetic\n"));
    for part in ["warning:", "variants.py:2: ALL_VARIANT_FLAGS is no plain table", "built-in"] {
        assert!(listed.err.contains(part), "`{part}` is missing in: {}", listed.err);
    }
}

#[test]
fn files_that_are_no_utf_8_cost_nothing_but_themselves() {
    use std::os::unix::ffi::OsStrExt;
    let program = Program::new();
    let tree = own_copy(&program);
    let folder = tree.join("test/mjsunit/odd");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("source.js"), b"// \xff\xfe Flags: --none\nassertTrue(true);\n").unwrap();
    std::fs::write(folder.join(std::ffi::OsStr::from_bytes(b"name\xff.js")), "").unwrap();
    let options = in_tree(&tree);
    let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
    words.push("mjsunit/odd/*");
    let ran = program.run(&words);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    for part in ["1 passed", "1 could not be run", "its name is not UTF-8"] {
        assert!(ran.out.contains(part), "`{part}` is missing in: {}", ran.out);
    }
    // A status file must be text.
    std::fs::write(tree.join("test/mjsunit/mjsunit.status"), b"[[ALWAYS, {\n 'a\xff': [FAIL]}]]").unwrap();
    check_error(&program.run(&words), 5, &["mjsunit.status", "not UTF-8", "line 2"]);
}

#[test]
fn a_test_that_vanishes_costs_nothing_but_itself() {
    let program = Program::new();
    let tree = own_copy(&program);
    let (first, second) = (tree.join("test/mjsunit/v1.js"), tree.join("test/mjsunit/v2.js"));
    // A prefix runs before each test: the first start takes the other test away.
    let script = program.folder().join("vanish.sh");
    std::fs::write(&script, format!("rm -f '{}'\nexec \"$@\"\n", second.display())).unwrap();
    for path in [&first, &second] {
        std::fs::write(path, "assertTrue(true);\n").unwrap();
    }
    let options = in_tree(&tree);
    let prefix = format!("--command-prefix=/bin/sh {}", script.display());
    let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
    words.extend([prefix.as_str(), "-j1", "mjsunit/v1", "mjsunit/v2"]);
    let ran = program.run(&words);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    for part in ["1 passed", "1 could not be run", "v2.js vanished"] {
        assert!(ran.out.contains(part), "`{part}` is missing in: {}", ran.out);
    }
}

#[test]
fn a_report_that_cannot_be_finished_is_an_error_and_is_saved_elsewhere() {
    let program = Program::new();
    let scratch = program.folder().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let arguments = ["--sample", "--json-test-results=/dev/full", "mjsunit/arithmetic"];
    let output = program.command(&arguments).env("TMPDIR", &scratch).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{err}");
    for part in ["a report is incomplete", "/dev/full", "No space left on device"] {
        assert!(err.contains(part), "`{part}` is missing in: {err}");
    }
    let saved: Vec<_> = std::fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [saved] = saved.as_slice() else { panic!("not saved: {saved:?}") };
    assert!(err.contains(saved.to_str().unwrap()), "{err}");
    let results: Value = serde_json::from_slice(&std::fs::read(saved).unwrap()).unwrap();
    assert_eq!(results["test_total"], 1);
}

#[test]
fn shards_of_the_environment_must_be_numbers() {
    let program = Program::new();
    let mut command = program.command(&["--sample", "--list", "mjsunit"]);
    let output = command.env("GTEST_TOTAL_SHARDS", "two").output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{err}");
    assert!(err.contains("GTEST_TOTAL_SHARDS is `two`") && err.contains("hint:"), "{err}");
}

#[test]
fn negative_counts_are_none_as_in_v8() {
    let ran = Program::new().run(&["--sample", "--rerun-failures-count", "-1", "mjsunit/arithmetic"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}
