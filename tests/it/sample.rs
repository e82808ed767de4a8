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
            Some(found) => assert_eq!(found, wanted, "{label}"),
            None => assert!(accepted.contains(wanted), "{label}: {wanted} is not among {accepted:?}"),
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
