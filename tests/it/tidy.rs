//! Rules of the house, checked on the sources: module docs, sizes, who may import whom.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines a source file may have, tests included.
const LONGEST: usize = 900;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    ["src", "behaviours/src", "keys/src"].iter().for_each(|dir| sources(&root.join(dir), &mut found));
    let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    for (name, text) in all() {
        let documented = text.starts_with("//!") || text.starts_with("#![doc = include_str!");
        assert!(documented, "{name} has no module doc");
        assert!(text.lines().count() <= LONGEST, "{name} is too long");
    }
}

/// A part of the tree and words that must not stand in its code.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "src/frontend/",
        &[
            "crate::run",
            "crate::worker",
            "crate::backend",
            "crate::report",
            "crate::cli",
            "tokio",
            "fs_err::write",
        ],
    ),
    ("src/verdict/", &["std::fs", "std::process", "tokio", "Instant::now", "crate::run", "crate::worker"]),
    (
        "src/schedule/",
        &["std::fs", "std::process", "tokio", "Instant::now", "SystemTime", "async ", "HashMap", "HashSet"],
    ),
    ("src/run/session.rs", &["std::fs", "tokio", "Instant::now", "async ", "HashMap"]),
    ("src/report/", &["crate::run::session", "crate::worker", "crate::backend"]),
    ("src/backend/", &["crate::frontend", "crate::verdict", "crate::run", "crate::report"]),
    ("behaviours/", &["testmesh::", "Expectation", "Verdict"]),
];

#[test]
fn nobody_imports_what_is_not_theirs() {
    for (name, text) in all() {
        let code: String = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("").to_owned();
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for (part, words) in FORBIDDEN.iter().filter(|(part, _)| name.starts_with(part)) {
            for word in *words {
                assert!(!code.iter().any(|line| line.contains(word)), "{name} ({part}) must not name {word}");
            }
        }
    }
}
