//! `meshctl approve`: finds out whose key it is, shows it, asks, and tells the node.

use std::collections::BTreeMap;
use std::path::Path;

use testmesh_keys::keyfile;

use super::args::Approve;
use super::change::{confirm, print, somebody_is_here};
use super::failure::Failure;
use super::render::change::candidate;
use super::render::words::safe;
use super::{Context, ask, files, identity};
use crate::frontend::discover::matcher::nearest;
use crate::local::client::{Client, ClientError};
use crate::local::wire::{Approve as WireApprove, Error, ErrorKind, Key, Reply, Request, Who};

/// Whom the words mean.
struct Found {
    key: Key,
    /// Claimed; may be empty.
    name: String,
    /// Only a name led to the key, and anybody on the network may use any name.
    by_name: bool,
}

/// `meshctl approve`.
pub(super) async fn approve(context: &Context, typed: &Approve) -> Result<(), Failure> {
    let from_words = from_words(&typed.who)?;
    let mut client = ask::connect_to_change(context).await?;
    let found = match from_words {
        Some(found) => found,
        None => on_network(&mut client, &typed.who).await?,
    };
    let words = identity::words(&found.key);
    context.shell.note(candidate(&found.name, &found.key, &words, typed.rights, typed.depth).trim_end());
    agree(context, &found, typed.yes)?;
    let request = WireApprove {
        who: Who::Key(found.key),
        rights: typed.rights,
        depth: typed.depth,
        label: typed.label.clone(),
        name: found.name,
        despite: typed.despite.clone(),
    };
    let done = ask::change(&mut client, Request::Approve(request)).await?;
    print(context, "approved", &done, typed.listing)
}

/// A person looks at the key; a script may go on only where a key was given.
fn agree(context: &Context, found: &Found, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if somebody_is_here() {
        return confirm(context, "Are name and words those its owner told you? Approve?");
    }
    if found.by_name {
        return Err(Failure::OnlyAName { name: safe(&found.name) });
    }
    Ok(())
}

/// A key or a key file; none where the words can only be a name.
fn from_words(words: &str) -> Result<Option<Found>, Failure> {
    if words.starts_with(testmesh_keys::key::KEY_PREFIX) {
        let key: testmesh_keys::key::PublicKey = words.parse()?;
        return Ok(Some(Found { key: identity::wire_key(&key), name: String::new(), by_name: false }));
    }
    let path = Path::new(words);
    let like_a_file = words.contains('/') || path.extension().is_some_and(|end| end == "key" || end == "pem");
    // A shell hands over a pipe as a path; a folder is one only where it cannot be a name.
    if words == "-" || path.is_file() || (like_a_file && path.exists()) {
        return from_text(path, &files::read(path, keyfile::MAX_FILE)?).map(Some);
    }
    if like_a_file { Err(Failure::NoSuchFile(path.to_owned())) } else { Ok(None) }
}

fn from_text(file: &Path, text: &str) -> Result<Found, Failure> {
    let parsed = keyfile::parse(text);
    let parsed = parsed.map_err(|why| Failure::KeyFile { file: file.to_owned(), why })?;
    Ok(Found { key: identity::wire_key(&parsed.key), name: parsed.name, by_name: false })
}

/// The one machine on the network, or known from before, that goes by a name.
async fn on_network(client: &mut Client, name: &str) -> Result<Found, Failure> {
    let Reply::Seen(seen) = client.ask(Request::Seen).await? else {
        return Err(ClientError::Confused.into());
    };
    let peers = ask::peers(client).await?;
    let mut names: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for one in seen {
        names.entry(one.key).or_default().push(one.name);
    }
    for peer in peers {
        names.entry(peer.key).or_default().extend(peer.label.into_iter().chain([peer.name]));
    }
    pick(name, &names).map_err(Failure::Refused)
}

fn pick(name: &str, names: &BTreeMap<Key, Vec<String>>) -> Result<Found, Error> {
    let mut bearers = names.iter().filter(|(_, names)| names.iter().any(|one| one == name));
    match (bearers.next(), bearers.next()) {
        (Some((key, _)), None) => Ok(Found { key: *key, name: name.to_owned(), by_name: true }),
        (Some((one, _)), Some((other, _))) => {
            let text = format!("several machines call themselves `{name}`");
            Err(Error::new(ErrorKind::Ambiguous, text).hint(format!("give the key: {one} or {other}")))
        }
        (None, _) => Err(unknown(name, names)),
    }
}

fn unknown(name: &str, names: &BTreeMap<Key, Vec<String>>) -> Error {
    let known = names.values().flatten().filter(|name| !name.is_empty()).map(String::as_str);
    let text = format!("no machine on this network calls itself `{name}`, and there is no such file");
    let mut error = Error::new(ErrorKind::UnknownPeer, text);
    error.nearest = nearest(known, name);
    error.hint("`meshctl peers --seen` shows who is here")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> BTreeMap<Key, Vec<String>> {
        let names = [(1, vec!["bob-lap"]), (2, vec!["carol", "rack"]), (3, vec!["carol", ""])];
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        names.into_iter().map(|(key, names)| (Key([key; 32]), owned(names))).collect()
    }

    #[test]
    fn a_name_means_one_machine_or_none() {
        assert_eq!(pick("rack", &names()).ok().unwrap().key, Key([2; 32]));
        let two = pick("carol", &names()).err().unwrap();
        assert_eq!(two.kind, ErrorKind::Ambiguous);
        assert!(two.hint.unwrap().contains(&Key([3; 32]).to_string()));
        let none = pick("bob-lab", &names()).err().unwrap();
        assert_eq!((none.kind, none.nearest), (ErrorKind::UnknownPeer, vec!["bob-lap".to_owned()]));
    }

    #[test]
    fn what_is_no_key_and_no_file_is_a_name_or_an_error() {
        assert!(from_words("bob").unwrap().is_none());
        assert!(matches!(from_words("no/such/file"), Err(Failure::NoSuchFile(_))));
        assert!(matches!(from_words("bob.key"), Err(Failure::NoSuchFile(_))));
        assert!(matches!(from_words("ed25519:short"), Err(Failure::Key(_))));
        let weak = Key([0; 32]).to_string();
        assert!(matches!(from_words(&weak), Err(Failure::Key(_))));
    }

    #[test]
    fn key_files_are_read_with_a_bound() {
        let key = testmesh_keys::identity::Identity::from_secret_bytes([7; 32]).unwrap().public();
        let text = keyfile::export("bob-lap", &key).unwrap();
        let found = from_text(Path::new("x"), &text).unwrap();
        assert_eq!((found.key, found.name.as_str()), (identity::wire_key(&key), "bob-lap"));
        assert!(!found.by_name);
        let endless = "a".repeat(keyfile::MAX_FILE + 1);
        assert!(matches!(from_text(Path::new("x"), &endless), Err(Failure::KeyFile { .. })));
    }
}
