//! Listings: ask, then print text or JSON.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::args::{Listing, Simple};
use super::failure::Failure;
use super::render::{
    peers as render_peers, status as render_status, trust as render_trust, why as render_why,
};
use super::{Context, ask};
use crate::local::client::{Client, ClientError};
use crate::local::wire::{Peer, Reply, Request, Status};

/// Moves to the top and clears what is below: what a terminal needs to show a page anew.
const TOP: &str = "\x1b[H\x1b[J";

/// `meshctl status`.
pub(super) async fn status(context: &Context, listing: Listing) -> Result<(), Failure> {
    let mut client = ask::connect(context).await?;
    let (status, peers) = node(&mut client).await?;
    if listing.json {
        return json(context, &StatusJson::new(&status, &peers));
    }
    print(context, &render_status::status(&status, &peers))
}

/// `meshctl status --watch`: until interrupted or the node stops.
pub(super) async fn watch(context: &Context, listing: Listing) -> Result<(), Failure> {
    let mut client = ask::connect(context).await?;
    if client.ask(Request::Watch).await? != Reply::Ok {
        return Err(ClientError::Confused.into());
    }
    let page = std::io::stdout().is_terminal() && !listing.json;
    loop {
        let (status, peers) = node(&mut client).await?;
        let text = if listing.json {
            format!("{}\n", serde_json::to_string(&StatusJson::new(&status, &peers)).map_err(Failure::Json)?)
        } else {
            render_status::status(&status, &peers)
        };
        let (before, after) = if page { (TOP, "") } else { ("", if listing.json { "" } else { "\n" }) };
        print(context, &format!("{before}{text}{after}"))?;
        client.changed().await?;
    }
}

async fn node(client: &mut Client) -> Result<(Status, Vec<Peer>), Failure> {
    Ok((ask::status(client).await?, ask::peers(client).await?))
}

/// The node with its peers, for `status --json`.
#[derive(Serialize)]
struct StatusJson<'a> {
    #[serde(flatten)]
    status: &'a Status,
    peers: Vec<render_peers::PeerJson<'a>>,
}

impl<'a> StatusJson<'a> {
    fn new(status: &'a Status, peers: &'a [Peer]) -> Self {
        StatusJson { status, peers: render_peers::json(peers) }
    }
}

/// `meshctl peers`.
pub(super) async fn peers(context: &Context, listing: Listing) -> Result<(), Failure> {
    let peers = ask::peers(&mut ask::connect(context).await?).await?;
    if listing.json {
        return json(context, &render_peers::json(&peers));
    }
    print(context, &render_peers::peers(&peers))
}

/// `meshctl peers --seen`.
pub(super) async fn seen(context: &Context, listing: Listing) -> Result<(), Failure> {
    let Reply::Seen(seen) = look(context, Request::Seen).await? else {
        return Err(ClientError::Confused.into());
    };
    if listing.json { json(context, &seen) } else { print(context, &render_peers::seen(&seen)) }
}

/// `meshctl why`.
pub(super) async fn why(context: &Context, simple: &Simple) -> Result<(), Failure> {
    let who = ask::who(&simple.who.who)?;
    let Reply::Why(why) = look(context, Request::Why(who)).await? else {
        return Err(ClientError::Confused.into());
    };
    if simple.listing.json { json(context, &why) } else { print(context, &render_why::why(&why)) }
}

/// `meshctl trust`.
pub(super) async fn trust(context: &Context, listing: Listing) -> Result<(), Failure> {
    let Reply::Trust(trust) = look(context, Request::Trust).await? else {
        return Err(ClientError::Confused.into());
    };
    if listing.json { json(context, &trust) } else { print(context, &render_trust::trust(&trust)) }
}

/// `meshctl audit`. A broken chain is shown, and fails; it has no head to note.
pub(super) async fn audit(
    context: &Context,
    lines: u32,
    head: bool,
    listing: Listing,
) -> Result<(), Failure> {
    let Reply::Audit(audit) = look(context, Request::Audit { lines }).await? else {
        return Err(ClientError::Confused.into());
    };
    match (listing.json, head, &audit.broken) {
        (true, ..) => json(context, &audit)?,
        (false, true, None) => {
            print(context, &format!("{}\n", super::render::words::safe(&audit.head)))?;
        }
        (false, true, Some(_)) => {}
        (false, false, _) => print(context, &render_trust::audit(&audit))?,
    }
    audit.broken.map_or(Ok(()), |why| Err(Failure::BrokenAudit(super::render::words::safe(&why))))
}

/// `meshctl recover` without an option: what could be restored, and what to type.
pub(super) async fn found(context: &Context, listing: Listing) -> Result<(), Failure> {
    let Reply::Found(found) = look(context, Request::Found).await? else {
        return Err(ClientError::Confused.into());
    };
    if listing.json { json(context, &found) } else { print(context, &render_trust::found(&found)) }
}

async fn look(context: &Context, request: Request) -> Result<Reply, Failure> {
    Ok(ask::connect(context).await?.ask(request).await?)
}

/// Data on standard output.
pub(super) fn print(context: &Context, text: &str) -> Result<(), Failure> {
    let mut out = context.shell.stdout();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        // Whoever read it has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(Failure::Output),
    }
}

/// JSON on standard output.
pub(super) fn json(context: &Context, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::Json)?;
    print(context, &format!("{text}\n"))
}
