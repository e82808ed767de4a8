//! What listing test262 costs above walking its folders and reading the head of every file.
//!
//! Makes a tree of as many files as asked for (default 50,000) in the temporary folder, lists it with the real program
//! and, in turn, walks and reads it with plain calls on one thread. Prints medians and their ratio; asserts nothing.
//! `cargo bench --bench listing -- FILES ROUNDS [--json FILE]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "common/figures.rs"]
mod figures;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use figures::Figures;
use serde_json::json;

/// Tests in one folder, about as in test262.
const FOLDER: usize = 25;

fn main() {
    let mut words = std::env::args().skip(1).collect();
    let figures = Figures::take(&mut words);
    let mut numbers = words.iter().filter_map(|word| word.parse::<usize>().ok());
    let files = numbers.next().unwrap_or(50_000);
    let rounds = numbers.next().unwrap_or(5).max(1);
    let tree = tempfile::tempdir().expect("a temporary folder");
    plant(tree.path(), files).expect("room for the tree");
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        floors.push(timed(|| walk(&tree.path().join("test/test262/data/test"))));
        ours.push(timed(|| list(tree.path())));
    }
    let (floor, ours) = (median(floors).as_secs_f64(), median(ours).as_secs_f64());
    println!("{files} files, {rounds} rounds, medians, wall");
    println!("walk and read, one thread   {floor:8.3} s");
    println!("run-tests --list test262    {ours:8.3} s");
    println!("ratio                       {:8.2}", ours / floor);
    let all =
        json!({ "files": files, "rounds": rounds, "walk_s": floor, "list_s": ours, "ratio": ours / floor });
    figures.add("listing", "run-tests --list test262", &all).expect("figures written");
}

fn plant(root: &Path, files: usize) -> std::io::Result<()> {
    let data = root.join("test/test262/data/test");
    for index in 0..files {
        let folder = data.join(format!("f{}", index / FOLDER));
        if index % FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        let flags = ["", "flags: [noStrict]\n", "flags: [onlyStrict]\n"][index % 3];
        let text = format!("// A test.\n/*---\ndescription: number {index}\n{flags}---*/\nassert(true);\n");
        fs::write(folder.join(format!("t{index}.js")), text)?;
    }
    fs::write(root.join("test/test262/test262.status"), "[[ALWAYS, {'f1/*': [SLOW]}]]")?;
    fs::create_dir_all(root.join("include"))?;
    fs::write(root.join("include/v8-version.h"), "#define V8_MAJOR_VERSION 15\n#define V8_MINOR_VERSION 7\n")
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn walk(dir: &Path) {
    let mut head = [0; 4096];
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path());
        } else if let Ok(mut file) = File::open(entry.path()) {
            let _ = file.read(&mut head);
        }
    }
}

fn list(root: &Path) {
    let workspace = format!("--workspace={}", root.display());
    let status = Command::new(env!("CARGO_BIN_EXE_run-tests"))
        .args([&workspace, "--engine", "embedded", "--list", "test262"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the program lists the tree");
}
