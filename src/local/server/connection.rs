//! One client: greeting, requests in, replies out.
//!
//! Three things end it: the client, a reply marked as the last, the server. A client's mistake is answered and ends
//! its connection, nothing else.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::{CLIENTS_MAX, Client, ConnectionId, Note, REPLIES_MAX, authorised};
use crate::local::frame::{self, FrameError, Inbox};
use crate::local::wire::{
    Answer, Ask, ClientHello, Cookie, Error, ErrorKind, REPLY_MAX, REQUEST_MAX, Reply, ServerHello, VERSION,
};

/// How long a client may take to say hello, and to read the last words: programs do both at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a hello.
const HELLO_MAX: usize = 4 << 10;

/// What holds for every client.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) hello: ServerHello,
    pub(super) cookie: Cookie,
}

/// A frame on its way to a client.
pub(super) struct Outgoing {
    pub(super) frame: Vec<u8>,
    /// The connection ends behind it.
    pub(super) last: bool,
}

/// Why a client is not served, if so: another account, or no room.
pub(super) fn unwelcome(stream: &UnixStream, clients: usize) -> Option<String> {
    let owner = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == owner => {}
        Ok(peer) => return Some(format!("this node serves account {owner} only, not {}", peer.uid())),
        Err(error) => return Some(format!("the client's account is unknown: {error}")),
    }
    (clients >= CLIENTS_MAX).then(|| format!("this node has {CLIENTS_MAX} clients already"))
}

/// Says why and closes; does not wait for a client that does not listen.
pub(super) fn turn_away(stream: UnixStream, terms: &Terms, why: &str) {
    tracing::warn!(why, "client turned away");
    if let Ok(frame) = hello(terms, Some(why.to_owned())) {
        let _ = stream.try_write(&frame);
    }
}

fn hello(terms: &Terms, refused: Option<String>) -> Result<Vec<u8>, FrameError> {
    frame::encode(&ServerHello { refused, ..terms.hello.clone() }, HELLO_MAX)
}

/// A client's task, before it runs.
pub(super) struct Connection {
    id: ConnectionId,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    terms: Terms,
    notes: mpsc::Sender<Note>,
    own: mpsc::WeakSender<Outgoing>,
    replies: mpsc::Receiver<Outgoing>,
    killed: oneshot::Receiver<()>,
}

impl Connection {
    /// The task and the server's end of it.
    pub(super) fn new(
        id: ConnectionId,
        stream: UnixStream,
        terms: Terms,
        notes: mpsc::Sender<Note>,
    ) -> (Self, Client) {
        let (reader, writer) = stream.into_split();
        let (sender, replies) = mpsc::channel(REPLIES_MAX);
        let (kill, killed) = oneshot::channel();
        let own = sender.downgrade();
        let connection = Connection { id, reader, writer, terms, notes, own, replies, killed };
        (connection, Client { replies: sender, kill, asked: false })
    }

    /// Serves the client to its end.
    pub(super) async fn run(self) {
        let Connection { id, reader, mut writer, terms, notes, own, mut replies, killed } = self;
        let mut requests = Requests { id, reader, inbox: Inbox::new(HELLO_MAX), terms, notes, own };
        let serve = async {
            if tokio::time::timeout(PATIENCE, requests.greet(&mut writer)).await == Ok(true) {
                tokio::select! {
                    () = requests.run() => {}
                    () = send(&mut writer, &mut replies) => {}
                }
            }
        };
        tokio::select! {
            () = serve => {}
            () = until(killed) => {}
        }
        let _ = requests.notes.send(Note::Gone(id)).await;
    }
}

/// Ready when the server says so, not when it merely forgets.
async fn until(killed: oneshot::Receiver<()>) {
    if killed.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Writes replies until there are no more or one is the last.
async fn send(writer: &mut OwnedWriteHalf, replies: &mut mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = replies.recv().await {
        if writer.write_all(&outgoing.frame).await.is_err() || outgoing.last {
            return;
        }
    }
}

/// The reading half.
struct Requests {
    id: ConnectionId,
    reader: OwnedReadHalf,
    inbox: Inbox,
    terms: Terms,
    notes: mpsc::Sender<Note>,
    /// For answers that need no driver. Weak, so that the connection ends when the server lets go of it.
    own: mpsc::WeakSender<Outgoing>,
}

impl Requests {
    /// Exchanges hellos; false where the client is not served.
    async fn greet(&mut self, writer: &mut OwnedWriteHalf) -> bool {
        let refused = match self.receive::<ClientHello>().await {
            Ok(Some(client)) if client.version == VERSION => None,
            Ok(Some(client)) => Some(other_version(&client)),
            Ok(None) => return false,
            Err(error) => Some(error.to_string()),
        };
        let welcome = refused.is_none();
        let Ok(frame) = hello(&self.terms, refused) else { return false };
        self.inbox.allow(REQUEST_MAX);
        writer.write_all(&frame).await.is_ok() && welcome
    }

    /// Takes requests until the client leaves, errs, or is not read any more.
    async fn run(&mut self) {
        loop {
            match self.receive::<Ask>().await {
                Ok(Some(ask)) => {
                    if !self.take(ask).await {
                        return self.wait_for_the_writer().await;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    let error = Error::new(ErrorKind::Invalid, error.to_string());
                    self.answer(0, error, true).await;
                    return self.wait_for_the_writer().await;
                }
            }
        }
    }

    /// Hands a request on; false where nobody takes it any more.
    async fn take(&self, ask: Ask) -> bool {
        if let Err(error) = authorised(&ask.request, ask.cookie.as_ref(), &self.terms.cookie) {
            tracing::warn!(client = %self.id, %error, "request refused");
            return self.answer(ask.id, error, false).await;
        }
        self.notes.send(Note::Asked(self.id, ask.id, ask.request)).await.is_ok()
    }

    async fn answer(&self, id: u32, error: Error, last: bool) -> bool {
        let Ok(frame) = frame::encode(&Answer { id, reply: Reply::Error(error) }, REPLY_MAX) else {
            return false;
        };
        let Some(replies) = self.own.upgrade() else { return false };
        replies.send(Outgoing { frame, last }).await.is_ok()
    }

    /// The last words are written by the other half; a client that does not read them is not waited for.
    async fn wait_for_the_writer(&self) {
        tokio::time::sleep(PATIENCE).await;
    }

    /// The next message; none at the end of the stream.
    async fn receive<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        loop {
            if let Some(value) = self.inbox.next()? {
                return Ok(Some(value));
            }
            match self.reader.read_buf(self.inbox.room()).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }
}

fn other_version(client: &ClientHello) -> String {
    let program: String = client.program.chars().filter(|char| !char.is_control()).take(64).collect();
    format!("this node speaks version {VERSION} of its socket, {program} speaks {}", client.version)
}
