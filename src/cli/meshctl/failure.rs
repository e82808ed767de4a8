//! Why a command did not do what was asked, and the number for it.

use std::io;
use std::path::PathBuf;

use testmesh_keys::key::KeyError;
use testmesh_keys::keyfile::KeyFileError;
use testmesh_keys::store::StoreError;

use crate::cli::words::chain;
use crate::local::client::ClientError;
use crate::local::wire::Error;
use crate::node::files::HomeError;

/// Refused or failed.
const FAILED: u8 = 1;
/// Mistyped.
const USAGE: u8 = 2;
/// No node runs here.
const NO_NODE: u8 = 3;

/// What stands before a hint.
const HINT: &str = "\nhint: ";

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Client(ClientError),
    /// The node said no.
    #[error("{}", refusal(.0))]
    Refused(Error),
    #[error("{}", with_hint(chain(.0)))]
    Keys(StoreError),
    #[error("{} cannot be used: {}", file.display(), with_hint(chain(why)))]
    KeyFile { file: PathBuf, why: KeyFileError },
    #[error("{}", with_hint(chain(.0)))]
    Key(KeyError),
    #[error("{} does not exist\nhint: give a key file, a key (`ed25519:…`) or the name of a machine on this network", .0.display())]
    NoSuchFile(PathBuf),
    #[error("{} does not exist", .0.display())]
    NoFile(PathBuf),
    #[error("{} is a folder, not a file", .0.display())]
    Folder(PathBuf),
    #[error("{} cannot be used: {}", file.display(), with_hint(why.clone()))]
    Certificate { file: PathBuf, why: String },
    #[error(
        "the audit log was changed after it was written: {0}\nhint: `meshctl audit` without --head shows its lines; whoever can write this account's files can do that"
    )]
    BrokenAudit(String),
    #[error("cannot read {}", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("cannot write {}", file.display())]
    Write { file: PathBuf, source: io::Error },
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    #[error("cannot make JSON of the answer")]
    Json(#[source] serde_json::Error),
    #[error(
        "{name} is only what some machine on this network calls itself, and nobody is here to look at its key\nhint: compare the key above with its owner's, then give it in full, or add --yes"
    )]
    OnlyAName { name: String },
    #[error("nothing was changed")]
    Declined,
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the node ended at once ({status}); the end of its log:\n{log}")]
    Died { status: std::process::ExitStatus, log: String },
    #[error(
        "the node was started (process {pid}) and does not answer yet\nhint: `meshctl logs` shows what it does"
    )]
    Slow { pid: u32 },
    #[error("the node (process {pid}) does not stop\nhint: `kill -9 {pid}` ends it; nothing is lost by it")]
    Stubborn { pid: i32 },
    #[error("no node runs here ({})\nhint: `meshctl start` starts one", .0.display())]
    NotRunning(PathBuf),
    #[error("there is no log yet: {}\nhint: a node started by the system logs there, such as in `journalctl --user -u meshd`", .0.display())]
    NoLog(PathBuf),
    #[error("cannot wait for the node")]
    Runtime(#[source] io::Error),
}

impl Failure {
    /// The program's exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Client(ClientError::NoNode(_)) | Failure::NotRunning(_) => NO_NODE,
            Failure::Key(_) | Failure::NoSuchFile(_) | Failure::NoFile(_) | Failure::Folder(_) => USAGE,
            _ => FAILED,
        }
    }
}

// Their causes are part of their words already, so that a hint can follow them.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Keys(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Failure::Key(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => Failure::Refused(error),
            error => Failure::Client(error),
        }
    }
}

/// The node's words, then the nearest names and its hint. Names in it are claims of others.
fn refusal(error: &Error) -> String {
    use super::render::words::safe;
    let text = with_hint(error.text.clone());
    let (text, own_hint) = text.split_once(HINT).unwrap_or((&text, ""));
    let mut text = safe(text);
    let nearest: Vec<String> = error.nearest.iter().map(|name| format!("`{}`", safe(name))).collect();
    let hints = [
        (!nearest.is_empty()).then(|| format!("did you mean {}?", nearest.join(" or "))),
        Some(safe(own_hint)).filter(|hint| !hint.is_empty()),
        error.hint.as_deref().map(safe),
    ];
    let hints: Vec<String> = hints.into_iter().flatten().collect();
    if !hints.is_empty() {
        text = format!("{text}{HINT}{}", hints.join(" "));
    }
    text
}

/// The keys crate puts its hints behind a semicolon; here they stand on a line of their own.
fn with_hint(text: String) -> String {
    text.replacen("; hint: ", HINT, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::wire::ErrorKind;

    #[test]
    fn refusals_help() {
        let mut error = Error::new(ErrorKind::UnknownPeer, "nobody goes by `bop`");
        insta::assert_snapshot!(refusal(&error), @"nobody goes by `bop`");
        error.nearest = vec!["bob".to_owned(), "b\u{1b}b".to_owned()];
        insta::assert_snapshot!(refusal(&error), @r"
        nobody goes by `bop`
        hint: did you mean `bob` or `b\x1bb`?
        ");
        let error = error.hint("`meshctl peers` lists them");
        insta::assert_snapshot!(refusal(&error), @r"
        nobody goes by `bop`
        hint: did you mean `bob` or `b\x1bb`? `meshctl peers` lists them
        ");
    }

    #[test]
    fn exit_codes() {
        assert_eq!(Failure::from(ClientError::NoNode("x".into())).exit_code(), 3);
        assert_eq!(Failure::from(ClientError::Closed).exit_code(), 1);
        assert_eq!(Failure::NoSuchFile("x".into()).exit_code(), 2);
        assert_eq!(Failure::Refused(Error::new(ErrorKind::Refused, "no")).exit_code(), 1);
    }

    #[test]
    fn a_hint_inside_the_words_comes_once_and_last() {
        let refused = Error::new(ErrorKind::Invalid, "it is your own; hint: use another").hint("or none");
        insta::assert_snapshot!(refusal(&refused), @"
        it is your own
        hint: use another or none
        ");
        let bad = "ed25519:xxx".parse::<testmesh_keys::key::PublicKey>().unwrap_err();
        insta::assert_snapshot!(chain(&Failure::from(bad)), @r#"
        "xxx" is no key in base32
        hint: 52 letters a-z and digits 2-7 follow `ed25519:`
        "#);
    }

    #[test]
    fn hints_of_the_keys_crate_get_their_line() {
        let why = KeyFileError::Empty;
        let error = Failure::KeyFile { file: "bob.key".into(), why };
        insta::assert_snapshot!(chain(&error), @"
        bob.key cannot be used: the file is empty
        hint: make one with `meshctl key export`
        ");
    }
}
