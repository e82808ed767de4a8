//! Old eras: small trees with the layout and words of 2015 and 6.2, and a shell that prints its arguments.

use std::path::Path;

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
