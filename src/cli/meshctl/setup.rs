//! `meshctl setup` and `meshctl key`: what works without a node.

use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use testmesh_keys::key::PublicKey;
use testmesh_keys::{keyfile, store};

use super::args::{Listing, Setup};
use super::failure::Failure;
use super::{Context, show};

/// `meshctl setup`: makes what is missing and says what it made and what comes next.
pub(super) fn setup(context: &Context, given: &Setup) -> Result<(), Failure> {
    let home = &context.home;
    let making = home.setup_unless_dropped(given.name.as_deref(), given.mesh.as_deref())?;
    // An open home belongs to a node that runs; its key is there already.
    let (key, certificate) = match store::public_key(home.keys()) {
        Ok(key) => (key, None),
        Err(_) => {
            let made = store::setup(home.keys(), now())?;
            (made.key, made.created.then_some(made.certificate))
        }
    };
    let made = making.keep();
    let settings = home.settings()?;
    if made.is_empty() && certificate.is_none() {
        context.shell.note("everything was there already; nothing was changed");
    }
    for path in made.iter().filter(|path| path.is_file()) {
        context.shell.note(&format!("made {}", path.display()));
    }
    if let Some(certificate) = &certificate {
        context.shell.note(&format!("made the key in {}", home.keys().display()));
        context.shell.note(&format!(
            "made {}: whoever holds it can end this key; keep a copy on another machine",
            certificate.display()
        ));
    }
    ignored(context, given, &settings);
    show::print(context, &card(&settings.name, &key))?;
    context
        .shell
        .note("\nNext: `meshctl start`, then on another machine approve this key (`meshctl key export`).");
    Ok(())
}

/// An existing file wins over what was given; that must not pass in silence.
fn ignored(context: &Context, given: &Setup, settings: &crate::node::settings::Settings) {
    let pairs = [("name", &given.name, &settings.name), ("mesh", &given.mesh, &settings.mesh)];
    for (what, given, set) in pairs {
        if given.as_ref().is_some_and(|given| given != set) {
            let file = context.home.settings_file();
            context.shell.warn(&format!("the {what} stays {set:?}: change it in {}", file.display()));
        }
    }
}

/// `meshctl key export`.
pub(super) fn export(context: &Context, output: Option<&Path>) -> Result<(), Failure> {
    let (name, key) = own(context)?;
    let text = keyfile::export(&name, &key);
    let text = text.map_err(|why| Failure::KeyFile { file: context.home.settings_file(), why })?;
    let Some(file) = output else { return show::print(context, &text) };
    let written = fs_err::OpenOptions::new().write(true).create_new(true).open(file);
    let written = written.and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|source| Failure::Write { file: file.to_owned(), source })
}

/// `meshctl key show`.
pub(super) fn show(context: &Context, listing: Listing) -> Result<(), Failure> {
    let (name, key) = own(context)?;
    if listing.json {
        let json = KeyJson { name: &name, key: key.to_string(), words: key.words().to_vec() };
        return show::json(context, &json);
    }
    show::print(context, &card(&name, &key))
}

#[derive(Serialize)]
struct KeyJson<'a> {
    name: &'a str,
    key: String,
    words: Vec<&'static str>,
}

fn own(context: &Context) -> Result<(String, PublicKey), Failure> {
    let settings = context.home.settings()?;
    Ok((settings.name, store::public_key(context.home.keys())?))
}

fn card(name: &str, key: &PublicKey) -> String {
    format!("name   {name}\nkey    {key}\nwords  {}\n", key.words().join(" "))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_on_a_card() {
        let key = testmesh_keys::identity::Identity::from_secret_bytes([7; 32]).unwrap().public();
        insta::assert_snapshot!(card("desk", &key), @"
        name   desk
        key    ed25519:5jfgyy7ctrjavpxvkb5rglwf7gkuo5vox27hxescd3vgsfcg2iwa
        words  anchor moon turkey joke hour clown rally bacon volume achieve cancel snap
        ");
    }
}
