//! Commands that change something: ask the node, say what followed.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use testmesh_keys::retirement;
use testmesh_keys::statement::Unverified;

use super::args::{Listing, Revoke, Simple};
use super::failure::Failure;
use super::render::change::consequences;
use super::{Context, ask, files, show};
use crate::local::client::ClientError;
use crate::local::wire::{Consequences, Key, Reply, Request, Revoke as WireRevoke, Who};

/// Does a change of trust and shows what followed; `what` is the deed.
pub(super) async fn change(
    context: &Context,
    what: &str,
    request: Request,
    listing: Listing,
) -> Result<(), Failure> {
    let mut client = ask::connect_to_change(context).await?;
    let done = ask::change(&mut client, request).await?;
    print(context, what, &done, listing)
}

/// A change about one peer.
pub(super) async fn simple(
    context: &Context,
    what: &str,
    request: impl FnOnce(Who) -> Request,
    simple: &Simple,
) -> Result<(), Failure> {
    change(context, what, request(ask::who(&simple.who.who)?), simple.listing).await
}

/// Something that has no consequences to show.
pub(super) async fn plain(context: &Context, request: Request, note: &str) -> Result<(), Failure> {
    let mut client = ask::connect_to_change(context).await?;
    match client.ask(request).await? {
        Reply::Ok => {
            context.shell.note(note);
            Ok(())
        }
        _ => Err(ClientError::Confused.into()),
    }
}

/// `meshctl revoke`: on a terminal it shows first who would fall, and asks.
pub(super) async fn revoke(context: &Context, typed: &Revoke) -> Result<(), Failure> {
    let mut client = ask::connect_to_change(context).await?;
    let mut revoke = WireRevoke {
        who: ask::who(&typed.who.who)?,
        reason: typed.reason,
        note: typed.note.clone(),
        dry_run: true,
    };
    if typed.dry_run || (!typed.yes && somebody_is_here()) {
        let would = ask::change(&mut client, Request::Revoke(revoke.clone())).await?;
        if typed.dry_run {
            return print(context, "revoked", &would, typed.listing);
        }
        context.shell.note(consequences("revoked", &would).trim_end());
        confirm(context, "This cannot be taken back by forgetting it, only answered. Revoke?")?;
        // What was looked at is what is revoked, whatever its name means by now.
        revoke.who = Who::Key(would.who.key);
    }
    revoke.dry_run = false;
    let done = ask::change(&mut client, Request::Revoke(revoke)).await?;
    print(context, "revoked", &done, typed.listing)
}

/// `meshctl retire`: asks, or wants `--yes`.
pub(super) async fn retire(
    context: &Context,
    successor: Option<Key>,
    note: String,
    yes: bool,
    listing: Listing,
) -> Result<(), Failure> {
    let mut client = ask::connect_to_change(context).await?;
    if !yes {
        confirm(context, "This ends the key of this machine everywhere and for ever. Retire it?")?;
    }
    let done = ask::change(&mut client, Request::Retire { successor, note }).await?;
    print(context, "retired", &done, listing)
}

/// `meshctl retire --certificate`: shows whose key it ends, asks, or wants `--yes`.
pub(super) async fn retire_by_certificate(
    context: &Context,
    file: &Path,
    yes: bool,
    listing: Listing,
) -> Result<(), Failure> {
    let text = files::read(file, retirement::MAX_FILE)?;
    let bytes = retirement::parse(&text);
    let bytes = bytes.map_err(|why| Failure::Certificate { file: file.to_owned(), why: why.to_string() })?;
    let statement = Unverified::decode(&bytes);
    let statement =
        statement.map_err(|why| Failure::Certificate { file: file.to_owned(), why: why.to_string() })?;
    let mut client = ask::connect_to_change(context).await?;
    context.shell.note(&format!("This certificate ends {}.", statement.statement().issuer()));
    if !yes {
        confirm(context, "Everywhere and for ever. Retire it?")?;
    }
    let done = ask::change(&mut client, Request::Certificate(bytes.into())).await?;
    print(context, "retired", &done, listing)
}

/// `meshctl reload`.
pub(super) async fn reload(context: &Context) -> Result<(), Failure> {
    let mut client = ask::connect_to_change(context).await?;
    let Reply::Reloaded { waiting } = client.ask(Request::Reload).await? else {
        return Err(ClientError::Confused.into());
    };
    context.shell.note("the allowlist was read again and is in force; the settings can be used");
    if !waiting.is_empty() {
        let names = waiting.join(", ");
        context.shell.warn(&format!("changed, and in force after `meshctl restart`: {names}"));
    }
    Ok(())
}

/// Shows what followed.
pub(super) fn print(
    context: &Context,
    what: &str,
    done: &Consequences,
    listing: Listing,
) -> Result<(), Failure> {
    if listing.json {
        return show::json(context, done);
    }
    show::print(context, &consequences(what, done))
}

/// Whether a person can be asked.
pub(super) fn somebody_is_here() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks; anything but yes is no, and so is nobody there.
pub(super) fn confirm(context: &Context, question: &str) -> Result<(), Failure> {
    if !somebody_is_here() {
        context.shell.note("nobody is here to be asked; --yes answers");
        return Err(Failure::Declined);
    }
    context.shell.note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Failure::Declined),
    }
}
