//! Writes the seeds of the fuzz targets: a valid object of every kind, and some at their bounds.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --bin seeds -- FOLDER [GOLDEN TABLE OF THE WIRE]`

use std::path::Path;

use testmesh_keys::identity::Identity;
use testmesh_keys::rights::Rights;
use testmesh_keys::statement::{
    Deny, Entry, MAX_ENTRIES, MAX_LABEL, MAX_NOTE, Reason, Retire, Signed, Statement, Vouches,
};
use testmesh_keys::{keyfile, retirement};

fn write(folder: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = folder.join(target);
    std::fs::create_dir_all(&folder).expect("a folder for the seeds");
    std::fs::write(folder.join(name), bytes).expect("a seed");
}

fn identity(number: u16) -> Identity {
    let mut secret = [7; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    Identity::from_secret_bytes(secret).expect("a key")
}

fn vouches(entries: usize, label: &str) -> Statement {
    let mut entries: Vec<Entry> = (1..=entries)
        .map(|number| Entry {
            subject: identity(u16::try_from(number).expect("few")).public(),
            rights: Rights::ALL,
            depth: 3,
            label: label.to_owned(),
            answers: Vec::new(),
        })
        .collect();
    entries.sort_by_key(|entry| entry.subject);
    let issuer = identity(0).public();
    Statement::Vouches(Vouches { issuer, version: 1 << 40, issued_at: 1_800_000_000, not_after: 1_800_000_100, entries })
}

fn statements(folder: &Path) {
    let (issuer, subject) = (identity(0).public(), identity(1).public());
    let deny = |note: String| {
        let (reason, issued_at, nonce) = (Reason::Lost, 1_800_000_000, [3; 8]);
        Statement::Deny(Deny { issuer, subject, reason, issued_at, nonce, note })
    };
    let retire = |successor| {
        Statement::Retire(Retire { key: issuer, issued_at: 1_800_000_000, successor, note: "gone".to_owned() })
    };
    let all = [
        ("vouches-none", vouches(0, "")),
        ("vouches-one", vouches(1, "a")),
        ("vouches-many", vouches(MAX_ENTRIES, "")),
        ("vouches-labels", vouches(40, &"l".repeat(MAX_LABEL))),
        ("deny", deny(String::new())),
        ("deny-note", deny("n".repeat(MAX_NOTE))),
        ("retire", retire(None)),
        ("retire-successor", retire(Some(subject))),
    ];
    for (name, statement) in all {
        let signed = Signed::new(statement, &identity(0)).expect("a statement within its bounds");
        write(folder, "statement", name, signed.bytes());
    }
}

fn texts(folder: &Path) {
    let (me, key) = (identity(0), identity(1).public());
    let allowlist = format!("# a comment\n\n{key}\n{} submit,work 2 bob # approved\n", me.public());
    let policy = format!("block {key}\nvoid {}\n", me.public());
    let file = keyfile::export("desk", &key).expect("a key file");
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let certificate = retirement::certificate(&me, 1_800_000_000).expect("a certificate");
    let texts = [
        (0, "allowlist", allowlist.as_str()),
        (1, "policy", &policy),
        (2, "keyfile", &file),
        (2, "pem", pem),
        (3, "retirement", &certificate),
        (4, "audit", "0 x\n"),
    ];
    for (which, name, text) in texts {
        write(folder, "texts", name, &[&[which], text.as_bytes()].concat());
    }
}

/// Every golden message under every number: the fuzzer finds out which fits.
fn wire(folder: &Path, table: &str) {
    for line in table.lines() {
        let Some((name, digits)) = line.split_once(' ') else { continue };
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("digits");
        let bytes: Vec<u8> = (0..digits.len() / 2).map(byte).collect();
        for which in 0..10 {
            write(folder, "wire", &format!("{name}-{which}"), &[&[which], bytes.as_slice()].concat());
        }
    }
}

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments.next().expect("the folder of the seeds");
    let folder = Path::new(&folder);
    statements(folder);
    texts(folder);
    if let Some(table) = arguments.next() {
        wire(folder, &std::fs::read_to_string(table).expect("the golden table"));
    }
    #[cfg(feature = "node")]
    node::seeds(folder);
}

#[cfg(feature = "node")]
mod node {
    //! Seeds of the targets that build everything.

    use std::path::Path;

    use testmesh::blobs::pack::{Member, pack};
    use testmesh::local::wire::{Reason, Request, Revoke, Who};

    pub(super) fn seeds(folder: &Path) {
        let who = || Who::Name("bob".to_owned());
        let requests = [
            Request::Status,
            Request::Why(who()),
            Request::Audit { lines: 9 },
            Request::Revoke(Revoke { who: who(), reason: Reason::Lost, note: "n".to_owned(), dry_run: true }),
            Request::Dial { address: "/ip4/127.0.0.1/tcp/1".to_owned() },
        ];
        for (number, request) in requests.iter().enumerate() {
            let bytes = cbor4ii::serde::to_vec(vec![0], request).expect("a request");
            super::write(folder, "local", &format!("request-{number}"), &bytes);
        }
        let member = |path: &str, content: &[u8]| {
            let len = u32::try_from(content.len()).expect("short");
            (Member { path: path.to_owned(), executable: false, len }, content.to_vec())
        };
        let files = [member("a/b.js", b"1;"), member("a/c.js", b"2;")];
        let (named, bytes) = pack(&files).expect("a pack");
        let [a, b, c, _] = named.raw.to_le_bytes();
        super::write(folder, "content", "pack", &[&[1, a, b, c, 2], bytes.as_slice()].concat());
        let manifest = testmesh::blobs::manifest::Manifest {
            format: testmesh::blobs::manifest::FORMAT,
            root: testmesh_behaviours::work::message::Root::Build,
            packs: vec![named],
            files: Vec::new(),
        };
        let (_, bytes) = manifest.encode().expect("a manifest");
        super::write(folder, "content", "manifest", &[&[0], bytes.as_slice()].concat());
    }
}
