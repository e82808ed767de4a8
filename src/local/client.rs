//! The programs' end of the socket: one connection to the node of this host.
//!
//! Asks and waits ([`Client::ask`]), or sends and takes answers as they come ([`Client::send`], [`Client::next`]).
//! Knows nothing about what is asked; prints nothing.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::frame::{self, FrameError, Inbox};
use super::wire::{
    Answer, Ask, ClientHello, Cookie, Error, REPLY_MAX, REQUEST_MAX, Reply, Request, ServerHello, Topic,
    VERSION,
};

/// Answers to other requests kept while one is waited for; more are a fault of the node.
const WAITING_MAX: usize = 1_024;

/// How long a node may take to say hello: far longer than any that is not stopped.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no node runs here: nobody answers on {}\nhint: `meshctl start` starts one", .0.display())]
    NoNode(PathBuf),
    /// The socket belongs to somebody else.
    #[error("the node's socket {} is not yours\nhint: use the account that runs the node", .0.display())]
    NotYours(PathBuf),
    /// The socket cannot be reached.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The node is of another build.
    #[error(
        "the node that runs here is another version ({node}; its socket speaks {theirs}, this program {VERSION})\nhint: `meshctl restart` after an update"
    )]
    Version {
        /// Version of the node's program.
        node: String,
        /// Its version of the socket.
        theirs: u32,
    },
    /// The node does not serve this client.
    #[error("the node turned this program away: {0}")]
    TurnedAway(String),
    /// It is there and says nothing.
    #[error("the node does not answer on {}\nhint: is it stopped or overloaded? `meshctl logs` shows what it did last", .0.display())]
    Silent(PathBuf),
    /// The node is gone.
    #[error(
        "the node closed the connection\nhint: `meshctl status` tells whether it runs, `meshctl logs` why it stopped"
    )]
    Closed,
    /// The connection broke.
    #[error("the connection to the node broke")]
    Broken(#[source] io::Error),
    /// A message could not be made or understood.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The node answered something else than what was asked.
    #[error("the node gave an answer that does not fit the question")]
    Confused,
    /// The node said no.
    #[error(transparent)]
    Refused(#[from] Error),
}

/// A connection to the node.
#[derive(Debug)]
pub struct Client {
    line: Line,
    node: ServerHello,
    cookie: Option<Cookie>,
    last: u32,
    waiting: VecDeque<Answer>,
}

impl Client {
    /// Connects and says hello. `program` is for the node's log, such as `meshctl 0.1.0`.
    ///
    /// # Errors
    /// [`ClientError::NoNode`] where nobody listens, [`ClientError::Silent`] where no hello comes; otherwise why this client is not served.
    pub async fn connect(socket: &Path, program: &str, cookie: Option<Cookie>) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket).await.map_err(|error| refused(socket, error))?;
        let mut line = Line { stream, inbox: Inbox::new(REPLY_MAX) };
        let hello = ClientHello { version: VERSION, program: program.to_owned() };
        // The node may have turned us away already; then its reason is there to be read.
        let sent = line.write(&frame::encode(&hello, REQUEST_MAX)?).await;
        let node: ServerHello = match tokio::time::timeout(HELLO_LIMIT, line.receive()).await {
            Ok(Ok(node)) => node,
            Ok(Err(error)) => return Err(sent.err().unwrap_or(error)),
            Err(_) => return Err(ClientError::Silent(socket.to_owned())),
        };
        check(&node)?;
        Ok(Client { line, node, cookie, last: 0, waiting: VecDeque::new() })
    }

    /// What the node said of itself.
    #[must_use]
    pub fn node(&self) -> &ServerHello {
        &self.node
    }

    /// Asks and waits for the first answer. Answers to earlier requests stay for [`Client::next`].
    ///
    /// # Errors
    /// [`ClientError::Refused`] where the node says no; otherwise why there is no answer.
    pub async fn ask(&mut self, request: Request) -> Result<Reply, ClientError> {
        let id = self.send(request).await?;
        loop {
            let answer: Answer = self.line.receive().await?;
            if answer.id == id || answer.id == 0 {
                return match answer.reply {
                    Reply::Error(error) => Err(error.into()),
                    reply => Ok(reply),
                };
            }
            self.keep(answer)?;
        }
    }

    fn keep(&mut self, answer: Answer) -> Result<(), ClientError> {
        let known = |kept: &Answer| kept.id == answer.id && kept.reply == answer.reply;
        if matches!(answer.reply, Reply::Changed(_)) && self.waiting.iter().any(known) {
            return Ok(());
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(ClientError::Confused);
        }
        self.waiting.push_back(answer);
        Ok(())
    }

    /// Sends a request; its answers carry the id.
    ///
    /// # Errors
    /// Where the node is gone or the request is too large.
    pub async fn send(&mut self, request: Request) -> Result<u32, ClientError> {
        // 0 is the id of answers to what the node could not read.
        self.last = self.last.checked_add(1).unwrap_or(1);
        let cookie = self.cookie.filter(|_| request.needs_cookie());
        let ask = Ask { id: self.last, cookie, request };
        let frame = frame::encode(&ask, REQUEST_MAX)?;
        self.line.write(&frame).await?;
        Ok(self.last)
    }

    /// The next answer to any request. Nothing is lost when this is dropped before it is ready.
    ///
    /// # Errors
    /// Where the node is gone or cannot be understood.
    pub async fn next(&mut self) -> Result<Answer, ClientError> {
        if let Some(answer) = self.waiting.pop_front() {
            return Ok(answer);
        }
        self.line.receive().await
    }

    /// After [`Request::Watch`]: waits for the next change, and says what to ask about again.
    ///
    /// # Errors
    /// As [`Client::next`]; [`ClientError::Confused`] where something else comes.
    pub async fn changed(&mut self) -> Result<BTreeSet<Topic>, ClientError> {
        match self.next().await?.reply {
            Reply::Changed(topics) => Ok(topics.into_iter().collect()),
            Reply::Error(error) => Err(error.into()),
            _ => Err(ClientError::Confused),
        }
    }

    /// Waits until the node closes the connection, as it does when it stops.
    pub async fn closed(mut self) {
        while self.next().await.is_ok() {}
    }
}

/// The socket and what has come in.
#[derive(Debug)]
struct Line {
    stream: UnixStream,
    inbox: Inbox,
}

impl Line {
    async fn write(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        self.stream.write_all(frame).await.map_err(broken)
    }

    async fn receive<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        loop {
            if let Some(value) = self.inbox.next()? {
                return Ok(value);
            }
            if self.stream.read_buf(self.inbox.room()).await.map_err(broken)? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }
}

/// Whether the node talks to us.
fn check(node: &ServerHello) -> Result<(), ClientError> {
    if node.version != VERSION {
        return Err(ClientError::Version { node: node.program.clone(), theirs: node.version });
    }
    match &node.refused {
        Some(why) => Err(ClientError::TurnedAway(why.clone())),
        None => Ok(()),
    }
}

fn broken(error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ClientError::Closed,
        _ => ClientError::Broken(error),
    }
}

fn refused(socket: &Path, source: io::Error) -> ClientError {
    let path = socket.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoNode(path),
        io::ErrorKind::PermissionDenied => ClientError::NotYours(path),
        _ => ClientError::Connect { path, source },
    }
}
