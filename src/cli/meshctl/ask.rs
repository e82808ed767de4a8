//! Asking the node.

use super::Context;
use super::failure::Failure;
use crate::local::client::{Client, ClientError};
use crate::local::wire::{Consequences, Peer, Reply, Request, Status, Who};

/// What the node's log calls us.
const PROGRAM: &str = concat!("meshctl ", env!("CARGO_PKG_VERSION"));

/// Connects to look. Requests that change something need [`connect_to_change`].
pub(super) async fn connect(context: &Context) -> Result<Client, Failure> {
    Ok(Client::connect(&context.home.live_socket(), PROGRAM, None).await?)
}

/// Connects with the cookie.
pub(super) async fn connect_to_change(context: &Context) -> Result<Client, Failure> {
    let socket = context.home.live_socket();
    match context.home.cookie() {
        Ok(cookie) => Ok(Client::connect(&socket, PROGRAM, Some(cookie)).await?),
        // Without a node the missing cookie is not what matters.
        Err(error) => match Client::connect(&socket, PROGRAM, None).await {
            Ok(_) => Err(error.into()),
            Err(no_node) => Err(no_node.into()),
        },
    }
}

/// A key in full, or a name for the node to look up.
pub(super) fn who(text: &str) -> Result<Who, Failure> {
    if !text.starts_with(testmesh_keys::key::KEY_PREFIX) {
        return Ok(Who::Name(text.to_owned()));
    }
    let key: testmesh_keys::key::PublicKey = text.parse()?;
    Ok(Who::Key(super::identity::wire_key(&key)))
}

/// [`Request::Status`].
pub(super) async fn status(client: &mut Client) -> Result<Status, Failure> {
    match client.ask(Request::Status).await? {
        Reply::Status(status) => Ok(*status),
        _ => Err(ClientError::Confused.into()),
    }
}

/// [`Request::Peers`].
pub(super) async fn peers(client: &mut Client) -> Result<Vec<Peer>, Failure> {
    match client.ask(Request::Peers).await? {
        Reply::Peers(peers) => Ok(peers),
        _ => Err(ClientError::Confused.into()),
    }
}

/// A request that changes trust.
pub(super) async fn change(client: &mut Client, request: Request) -> Result<Consequences, Failure> {
    match client.ask(request).await? {
        Reply::Done(done) => Ok(done),
        _ => Err(ClientError::Confused.into()),
    }
}
