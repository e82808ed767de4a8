//! Old eras: small trees with the layout and words of 2015 and 6.2, and a shell that prints its arguments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Program, write};

/// A tree of an era with two tests and a status file, and a shell in `out/x64.release`.
fn tree(root: &Path, version: &str, status: &str) {
    let (major, minor) = version.split_once('.').unwrap();
    write(
        root,
        "include/v8-version.h",
        &format!("#define V8_MAJOR_VERSION {major}\n#define V8_MINOR_VERSION {minor}\n"),
    );
    write(root, "tools/run-tests.py", "# The runner of the tree.\n");
    write(root, "test/mjsunit/mjsunit.js", "");
    write(root, "test/mjsunit/a.js", "// Flags: --own-flag\n// MODULE\n");
    write(root, "test/mjsunit/b.js", "// Files: test/mjsunit/a.js\n");
    write(root, "test/mjsunit/mjsunit.status", status);
    let shell = root.join("out/x64.release/d8");
    write(root, "out/x64.release/d8", "#!/bin/sh\ncase \"$*\" in *b.js*) exit 1;; esac\n");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(shell, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn check_command(version: &str, status: &str, test: &str, wanted: &str) {
    let program = Program::new();
    let root = program.folder().canonicalize().unwrap();
    tree(&root, version, status);
    let workspace = format!("--workspace={}", root.display());
    let options = ["--arch=x64", "--mode=release", "--random-seed=5", "--extra-flags=--last", "--dry-run"];
    let ended = program.run(&[&[workspace.as_str()], &options[..], &["--variants=default", test]].concat());
    let line = ended.out.replace(&format!("{}/", root.display()), "");
    assert_eq!(line.trim(), wanted, "{}", ended.err);
}

#[test]
fn flags_precede_files_and_extra_flags_come_last() {
    check_command(
        "6.2",
        "[[ALWAYS, {'a': [PASS, 'Flags: --status']}]]",
        "mjsunit/a",
        "out/x64.release/d8 --test --random-seed=5 --status --nohard-abort --own-flag test/mjsunit/mjsunit.js --module \
         test/mjsunit/a.js --last",
    );
    check_command(
        "4.3",
        "[[ALWAYS, {}]]",
        "mjsunit/b",
        "out/x64.release/d8 --test --random-seed=5 --nohard-abort --nodead-code-elimination --nofold-constants \
         test/mjsunit/a.js test/mjsunit/mjsunit.js test/mjsunit/b.js --last",
    );
}

fn run(version: &str, status: &str, more: &[&str]) -> (Option<i32>, String) {
    let program = Program::new();
    tree(program.folder(), version, status);
    let workspace = format!("--workspace={}", program.folder().display());
    let base = [
        workspace.as_str(),
        "--nonetwork",
        "--arch=x64",
        "--mode=release",
        "--variants=default",
        "-p",
        "verbose",
    ];
    let ended = program.run(&[&base[..], more].concat());
    (ended.code, ended.out + &ended.err)
}

#[test]
fn a_mark_without_pass_makes_every_run_unexpected_in_6_2() {
    let (code, text) = run("6.2", "[[ALWAYS, {'a': [SLOW], 'b': [FAIL]}]]", &["mjsunit"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("Done running mjsunit/a: FAIL"), "{text}");
    assert!(text.contains("Done running mjsunit/b: pass"), "{text}");
}

#[test]
fn json_results_hide_failures_in_6_2_but_not_in_2015() {
    for (version, code) in [("6.2", 0), ("4.3", 1)] {
        let (found, text) = run(version, "[[ALWAYS, {}]]", &["--json-test-results=out.json", "mjsunit"]);
        assert_eq!(found, Some(code), "{version}: {text}");
    }
}

#[test]
fn builds_that_are_missing_are_named() {
    let program = Program::new();
    tree(program.folder(), "6.2", "[[ALWAYS, {'b': [FAIL]}]]");
    let workspace = format!("--workspace={}", program.folder().display());
    let all = program.run(&[&workspace, "--nonetwork", "mjsunit"]);
    assert_eq!(all.code, Some(0), "{}", all.err);
    assert!(all.err.contains("Left out because not built") && all.err.contains("arm.debug"), "{}", all.err);
    let named = program.run(&[&workspace, "--nonetwork", "--arch", "ia32", "--mode", "release", "mjsunit"]);
    assert_eq!(named.code, Some(1), "{}", named.err);
    assert!(named.err.contains("ia32.release"), "{}", named.err);
}

#[test]
fn unknown_choices_exit_with_v8s_code_and_words() {
    for (version, code) in [("4.3", 1), ("6.2", 1), ("10.2", 5)] {
        for (option, kind) in [("--slow-tests", "slow test"), ("--pass-fail-tests", "pass|fail test")] {
            let (found, text) = run(version, "[[ALWAYS, {}]]", &[option, "nonsense", "mjsunit"]);
            assert_eq!(found, Some(code), "{version} {option}: {text}");
            assert!(text.contains(&format!("Unknown {kind} mode nonsense")), "{text}");
        }
    }
}

#[test]
fn a_predictable_run_needs_allocations_unless_it_is_empty() {
    let one = run("6.2", "[[ALWAYS, {'b': [SKIP]}]]", &["--predictable", "mjsunit"]);
    assert_eq!(one.0, Some(1), "{}", one.1);
    assert!(one.1.contains("allocations"), "{}", one.1);
    let none = run("6.2", "[[ALWAYS, {}]]", &["--predictable", "mjsunit/none"]);
    assert_eq!(none.0, Some(0), "{}", none.1);
}

#[test]
fn the_newest_build_must_be_there() {
    for (version, code) in [("6.2", 1), ("10.2", 5)] {
        let program = Program::new();
        tree(program.folder(), version, "[[ALWAYS, {}]]");
        let workspace = format!("--workspace={}", program.folder().display());
        let ended = program.run(&[&workspace, "--gn", "mjsunit"]);
        assert_eq!(ended.code, Some(code), "{}", ended.err);
        assert!(ended.err.contains("out.gn") && ended.err.contains("hint:"), "{}", ended.err);
    }
}

/// The environment of the tests of a tree, as `--dry-run --json` shows it.
fn environment(version: &str, more: &[&str]) -> BTreeMap<String, String> {
    let program = Program::new();
    let root = program.folder().canonicalize().unwrap();
    tree(&root, version, "[[ALWAYS, {}]]");
    let workspace = format!("--workspace={}", root.display());
    let base = [workspace.as_str(), "--arch=x64", "--mode=release", "--dry-run", "--json", "mjsunit/a"];
    let ended = program.run(&[&base[..], more].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let case: Value = serde_json::from_str(&ended.out).unwrap();
    let pairs = case["env"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().replace(&format!("{}/", root.display()), "");
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

#[test]
fn sanitizers_get_v8s_environment() {
    let symbolizer = "external_symbolizer_path=third_party/llvm-build/Release+Asserts/bin/llvm-symbolizer";
    let tsan = environment("6.2", &["--tsan"]);
    let wanted = format!(
        "{symbolizer} suppressions=tools/sanitizers/tsan_suppressions.txt exit_code=0 report_thread_leaks=0 \
         history_size=7 report_destroy_locked=0"
    );
    assert_eq!(tsan["TSAN_OPTIONS"], wanted);
    let cfi = environment("6.2", &["--cfi-vptr"]);
    let wanted = format!("print_stacktrace=1:print_summary=1:symbolize=1:{symbolizer}");
    assert_eq!(cfi["UBSAN_OPTIONS"], wanted);
    let coverage = environment("6.2", &["--asan", "--sancov-dir=test"]);
    let wanted = format!("coverage=1:coverage_dir=test:{symbolizer}:allow_user_segv_handler=1");
    assert_eq!(coverage["ASAN_OPTIONS"], wanted);
    let (code, text) = run("6.2", "[[ALWAYS, {}]]", &["--sancov-dir=missing", "mjsunit"]);
    assert_eq!(code, Some(1), "{text}");
}

/// A binary of a build.
fn binary(root: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = format!("out/x64.release/{name}");
    write(root, &path, script);
    std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_cctest_of_2015_runs_the_test_it_depends_on_first() {
    let program = Program::new();
    let root = program.folder().canonicalize().unwrap();
    tree(&root, "4.3", "[[ALWAYS, {}]]");
    write(&root, "test/cctest/cctest.status", "[[ALWAYS, {}]]");
    // One test leaves a word where another finds it; the third depends on one that fails.
    let script = "#!/bin/sh\n\
        [ \"$1\" = --list ] && { echo 'test-a/Leaves< test-a/Finds<Leaves test-a/Bad< test-a/Lost<Bad'; exit; }\n\
        for last; do :; done; file=${last#*=}\n\
        echo \"$2\" >> log\n\
        case $2 in\n\
        test-a/Leaves) echo word > ${file%_*}_shared;;\n\
        test-a/Finds) grep -q word ${file%_*}_shared;;\n\
        test-a/Bad) echo the dependency failed; exit 3;;\n\
        esac\n";
    binary(&root, "cctest", script);
    let workspace = format!("--workspace={}", root.display());
    let options =
        ["--nonetwork", "--arch=x64", "--mode=release", "--variants=default", "-j1", "-p", "verbose"];
    let ran = program.run(&[&[workspace.as_str()], &options[..], &["cctest/test-a/Finds"]].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(std::fs::read_to_string(root.join("log")).unwrap(), "test-a/Leaves\ntest-a/Finds\n");
    std::fs::remove_file(root.join("log")).unwrap();
    let lost = program.run(&[&[workspace.as_str()], &options[..], &["cctest/test-a/Lost"]].concat());
    assert_eq!(lost.code, Some(1), "{}{}", lost.out, lost.err);
    assert!(lost.out.contains("the dependency failed"), "{}", lost.out);
    assert_eq!(std::fs::read_to_string(root.join("log")).unwrap(), "test-a/Bad\n");
}

#[test]
fn shards_of_6_2_are_cut_in_the_order_of_its_sets() {
    let program = Program::new();
    let root = program.folder().canonicalize().unwrap();
    tree(&root, "6.2", "[[ALWAYS, {}]]");
    let workspace = format!("--workspace={}", root.display());
    let options = ["--arch=x64", "--mode=release", "--list", "--variants=nooptimization,stress,default"];
    let listed = |shard: &str| {
        let sharded = ["--shard-count=3", shard, "mjsunit"];
        program.run(&[&[workspace.as_str()], &options[..], &sharded[..]].concat()).out
    };
    assert_eq!(listed("--shard-run=1"), "mjsunit/a default\nmjsunit/b default\n");
    assert_eq!(listed("--shard-run=2"), "mjsunit/a stress\nmjsunit/b stress\n");
}

#[test]
fn flags_a_test_has_of_itself_are_told_as_such_in_6_2() {
    let program = Program::new();
    let root = program.folder().canonicalize().unwrap();
    tree(&root, "6.2", "[[ALWAYS, {}]]");
    write(&root, "test/preparser/preparser.status", "[[ALWAYS, {}]]");
    write(&root, "test/preparser/x.pyt", "Test(\"one\", \"b.js;\\nx\", \"error\", [\"--more\"])\n");
    let workspace = format!("--workspace={}", root.display());
    let json = root.join("r.json");
    let report = format!("--json-test-results={}", json.display());
    let options = ["--nonetwork", "--arch=x64", "--mode=release", "preparser"];
    let ran = program.run(&[&[workspace.as_str(), report.as_str()], &options[..]].concat());
    // Without a Python the suite is left out, with a word.
    if ran.err.contains("left out") {
        return;
    }
    let results: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let flags = &results[0]["results"][0]["flags"];
    assert_eq!(*flags, serde_json::json!(["-e", "b.js; x", "--throws", "--more"]), "{}", ran.out);
}

#[test]
fn the_small_trees_of_old_turn_out_as_their_models_say() {
    check_model("v8-6.2", &["mjsunit", "message", "webkit", "intl", "test262"]);
    check_model("v8-2015", &["mjsunit", "message", "webkit", "preparser"]);
}

/// Runs a small tree on the embedded engine and compares each case with its model.
fn check_model(tree: &str, suites: &[&str]) {
    let program = Program::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(tree);
    let model = std::fs::read_to_string(folder.join("model.txt")).unwrap();
    let lines = model.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut model: BTreeMap<&str, &str> =
        lines.map(|line| line.split_once(' ').unwrap()).map(|(word, name)| (name.trim(), word)).collect();
    let workspace = format!("--workspace={}", folder.display());
    let json = program.folder().join("results.json");
    let report = format!("--json-test-results={}", json.display());
    let base = [workspace.as_str(), "--engine=embedded", "--random-seed=1", "--variants=default"];
    let listed = program.run(&[&base[..], &["--dry-run", "--json"], suites].concat());
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    let ran = program.run(&[&base[..], &["--nonetwork", "-t", "2", "-p", "dots", &report], suites].concat());
    let results: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let unexpected: BTreeMap<(&str, bool), &str> = results[0]["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{}{}", ran.out, ran.err))
        .iter()
        .map(|result| ((result["name"].as_str().unwrap(), strict(&result["flags"])), result))
        .map(|(key, result)| (key, result["result"].as_str().unwrap()))
        .collect();
    for line in listed.out.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (name, strict) = (case["name"].as_str().unwrap(), strict(&case["argv"]));
        let label = format!("{name}{}", if strict { " strict" } else { "" });
        let wanted = model.remove(label.as_str()).unwrap_or_else(|| panic!("no model of `{label}`"));
        let found = unexpected.get(&(name, strict));
        let accepted = |word: &str| match found {
            Some(found) => *found == word,
            None => case["expected"].as_array().unwrap().iter().any(|known| known == word),
        };
        assert!(wanted.split('|').any(accepted), "{tree}: {label} is {found:?}, not {wanted}");
    }
    assert!(model.is_empty(), "{tree}: these did not run: {model:?}\n{}", listed.err);
}

fn strict(flags: &Value) -> bool {
    flags.as_array().unwrap().iter().any(|flag| flag == "--use-strict")
}
