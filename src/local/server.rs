//! The node's end of the socket: carries requests to the driver and replies back.
//!
//! Decides who may talk (the owner, with our version, while there is room) and who may change trust (whoever holds the
//! cookie); everything else is for the node's state. One task a client; the driver calls [`Server::next`] and
//! [`Server::reply`] and never waits for a client: one that does not read its replies is dropped.

mod bind;
mod connection;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use bind::fits;
pub use bind::{BindError, SOCKET_PATH_MAX};

use self::connection::{Connection, Outgoing, Terms};
use super::frame;
use super::wire::{Answer, Cookie, Error, ErrorKind, REPLY_MAX, Reply, Request, ServerHello};

/// Clients at once: a person's terminals and a few runs. The next is told so.
pub const CLIENTS_MAX: usize = 64;
/// Replies waiting for one client; one that lets more pile up is dropped.
pub const REPLIES_MAX: usize = 256;
/// Requests waiting for the driver, of all clients; then clients wait.
const REQUESTS_MAX: usize = 64;
/// How long a node that stops waits for its last replies to be read.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);
/// Rest after the system refused a connection, such as for lack of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// One client's connection. Never used twice by one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

/// What clients do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client asks. It has shown the cookie where the request needs it.
    Asked {
        /// Who.
        connection: ConnectionId,
        /// To be repeated in every reply.
        id: u32,
        /// What.
        request: Request,
    },
    /// A client that asked before is gone; replies to it go nowhere.
    Gone(ConnectionId),
}

/// What a connection's task tells the server.
enum Note {
    Opened(ConnectionId, Client),
    Asked(ConnectionId, u32, Request),
    Gone(ConnectionId),
}

/// The server's end of a client.
struct Client {
    replies: mpsc::Sender<Outgoing>,
    /// Ends the connection at once; dropping it does not.
    kill: oneshot::Sender<()>,
    asked: bool,
}

/// The listening socket and its clients.
pub struct Server {
    notes: mpsc::Receiver<Note>,
    clients: BTreeMap<ConnectionId, Client>,
    stop: Option<oneshot::Sender<()>>,
    acceptor: JoinHandle<()>,
    path: PathBuf,
}

impl Server {
    /// Listens on a path in a folder of the owner's. Needs a tokio runtime.
    ///
    /// A socket that nobody answers is replaced. `hello` is what clients are told about the node.
    ///
    /// # Errors
    /// [`BindError`]: another node answers there, the path is too long, or the system refuses.
    pub fn bind(path: &Path, hello: ServerHello, cookie: Cookie) -> Result<Self, BindError> {
        let listener = bind::bind(path)?;
        let (notes, receiver) = mpsc::channel(REQUESTS_MAX);
        let (stop, stopped) = oneshot::channel();
        let terms = Terms { hello, cookie };
        let acceptor = tokio::spawn(accept(listener, terms, notes, stopped));
        Ok(Server {
            notes: receiver,
            clients: BTreeMap::new(),
            stop: Some(stop),
            acceptor,
            path: path.to_owned(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next thing a client does. Nothing is lost when this is dropped before it is ready.
    pub async fn next(&mut self) -> Event {
        loop {
            match self.notes.recv().await {
                Some(note) => {
                    if let Some(event) = self.noted(note) {
                        return event;
                    }
                }
                // The acceptor has ended: nobody will come any more.
                None => std::future::pending().await,
            }
        }
    }

    fn noted(&mut self, note: Note) -> Option<Event> {
        match note {
            Note::Opened(connection, client) => {
                self.clients.insert(connection, client);
                None
            }
            Note::Asked(connection, id, request) => {
                // A client that was dropped for being slow may still have had requests on their way.
                let client = self.clients.get_mut(&connection)?;
                client.asked = true;
                Some(Event::Asked { connection, id, request })
            }
            Note::Gone(connection) => {
                let client = self.clients.remove(&connection)?;
                client.asked.then_some(Event::Gone(connection))
            }
        }
    }

    /// Sends a reply. False where the client is gone, or is dropped now because it does not read; then no
    /// [`Event::Gone`] follows.
    pub fn reply(&mut self, connection: ConnectionId, id: u32, reply: Reply) -> bool {
        let Some(client) = self.clients.get(&connection) else { return false };
        let frame = match frame::encode(&Answer { id, reply }, REPLY_MAX) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%connection, %error, "reply left out");
                return self.reply_too_large(connection, id, &error.to_string());
            }
        };
        let sent = client.replies.try_send(Outgoing { frame, last: false });
        if let Err(mpsc::error::TrySendError::Full(_)) = &sent {
            tracing::warn!(%connection, "dropped: it does not read its replies");
            self.close(connection);
        }
        sent.is_ok()
    }

    fn reply_too_large(&mut self, connection: ConnectionId, id: u32, why: &str) -> bool {
        let reply = Reply::Error(Error::new(ErrorKind::Failed, why));
        let Ok(frame) = frame::encode(&Answer { id, reply }, REPLY_MAX) else { return false };
        let Some(client) = self.clients.get(&connection) else { return false };
        client.replies.try_send(Outgoing { frame, last: false }).is_ok()
    }

    /// Ends a client's connection at once. No [`Event::Gone`] follows.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(client) = self.clients.remove(&connection) {
            let _ = client.kill.send(());
        }
    }

    /// Takes no more clients, lets the present ones read what was said, and removes the socket.
    pub async fn shutdown(mut self) {
        self.clients.clear();
        self.notes.close();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = tokio::time::timeout(GOODBYE_PATIENCE, &mut self.acceptor).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.acceptor.abort();
        let _ = fs_err::remove_file(&self.path);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("path", &self.path)
            .field("clients", &self.clients.len())
            .finish_non_exhaustive()
    }
}

/// Whether a request may be done for somebody who showed this cookie.
///
/// # Errors
/// [`ErrorKind::Unauthorised`] where the request needs the cookie and this is none, or another.
pub fn authorised(request: &Request, shown: Option<&Cookie>, cookie: &Cookie) -> Result<(), Error> {
    if !request.needs_cookie() || shown == Some(cookie) {
        return Ok(());
    }
    let text = match shown {
        Some(_) => "the cookie is not this node's",
        None => "this request needs the node's cookie",
    };
    let hint =
        "use the same account and the same --home as the node; if the cookie is new, `meshctl restart`";
    Err(Error::new(ErrorKind::Unauthorised, text).hint(hint))
}

/// Takes clients until told to stop, then waits for those that are left.
async fn accept(
    listener: UnixListener,
    terms: Terms,
    notes: mpsc::Sender<Note>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let mut last = 0;
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot take a client");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        if let Some(why) = connection::unwelcome(&stream, connections.len()) {
            connection::turn_away(stream, &terms, &why);
            continue;
        }
        last += 1;
        let (connection, client) = Connection::new(ConnectionId(last), stream, terms.clone(), notes.clone());
        if notes.send(Note::Opened(ConnectionId(last), client)).await.is_err() {
            break;
        }
        connections.spawn(connection.run());
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
