//! The owner's end of a slot: hands it jobs, one at a time, and replaces its process when that is gone.
//!
//! Awaits the slot's socket and nothing else. Any future here may be dropped: a job whose future is dropped is
//! cancelled, and what the slot says of it later is not taken for another job's output.

use std::io;
use std::process::Child;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::contain::Tier;
use super::frame::{Inbox, encode};
use super::launch::{self, BackendError, Launched, SlotConfig};
use super::process::nothing;
use super::request::{Request, Resolved, Response};
use crate::job::{Exit, Output};

/// How long a slot has to end what runs and itself before it is killed.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a slot may say nothing beyond what it was told to do: far more than it takes to end the most stubborn job.
/// Only a slot that was stopped or starved by its own job is that silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A slot process that runs one job after another.
#[derive(Debug)]
pub struct Slot {
    config: SlotConfig,
    /// None after it was lost and until the next job needs it.
    link: Option<Link>,
}

impl Slot {
    /// Starts a slot process and waits until it can run jobs.
    ///
    /// # Errors
    /// When it cannot be started or cannot run jobs.
    pub async fn start(config: SlotConfig) -> Result<Self, BackendError> {
        let link = Link::open(&config).await?;
        Ok(Self { config, link: Some(link) })
    }

    /// How strongly its jobs are contained; [`Tier::Open`] while there is no process.
    pub fn tier(&self) -> Tier {
        self.link.as_ref().map_or(Tier::Open, |link| link.tier)
    }

    /// Runs a job to its end. A slot that is gone is replaced first; when it goes meanwhile, the job is lost.
    ///
    /// Dropping the future cancels the job.
    pub async fn run(&mut self, job: &Resolved) -> Output {
        let guarded = CancelOnDrop(self);
        match guarded.0.begin(job).await {
            Ok(()) => guarded.0.finish().await,
            Err(output) => *output,
        }
    }

    /// Hands over a job; what became of it, when that is known already, comes back as the error.
    ///
    /// # Errors
    /// With the output of a job that could not be handed over.
    pub async fn begin(&mut self, job: &Resolved) -> Result<(), Box<Output>> {
        let not_started = |error: BackendError| Box::new(nothing(Exit::NotStarted(chain(&error))));
        let frame = encode(&Request::Run(job.clone())).map_err(|error| not_started(error.into()))?;
        let link = self.link().await.map_err(not_started)?;
        let until = Instant::now() + job.limits.wall.min(NEVER) + SILENCE;
        link.state = State::Sending;
        if let Err(error) = within(until, link.socket.write_all(&frame)).await {
            return Err(Box::new(self.lost(&error).await));
        }
        link.state = State::Running { until };
        Ok(())
    }

    /// Waits for what became of the job handed over last. May be dropped and called again.
    pub async fn finish(&mut self) -> Output {
        let Some(link) = &mut self.link else {
            return nothing(Exit::Lost("slot process is gone".to_owned()));
        };
        match link.output().await {
            Ok(output) => output,
            Err(error) => self.lost(&error).await,
        }
    }

    /// Asks the slot to end the job handed over last; [`Self::finish`] then says what became of it.
    pub async fn cancel(&mut self) {
        if let Some(link) = &mut self.link {
            // A slot that cannot be told is gone, which `finish` notices.
            let _ = link.cancel().await;
        }
    }

    /// Ends what runs and the slot process, within half a second.
    pub async fn stop(mut self) {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }

    /// A process that waits for a job.
    async fn link(&mut self) -> Result<&mut Link, BackendError> {
        if let Some(link) = &mut self.link
            && !link.settle().await
            && let Some(link) = self.link.take()
        {
            link.bury().await;
        }
        match &mut self.link {
            Some(_) => {}
            none => *none = Some(Link::open(&self.config).await?),
        }
        self.link.as_mut().ok_or_else(|| BackendError::Ended(String::new()))
    }

    async fn lost(&mut self, error: &io::Error) -> Output {
        let end = match self.link.take() {
            Some(link) => link.bury().await,
            None => String::new(),
        };
        nothing(Exit::Lost(match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("slot process ended unexpectedly{end}"),
            _ => format!("slot process is of no use any more: {error}"),
        }))
    }
}

/// Tells the slot at once when the future of [`Slot::run`] is dropped.
struct CancelOnDrop<'a>(&'a mut Slot);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(link) = &mut self.0.link
            && matches!(link.state, State::Running { .. })
            && let Ok(frame) = encode(&Request::Cancel)
        {
            // Should the socket be full, the next job's hand-over asks again.
            let _ = link.socket.try_write(&frame);
        }
    }
}

/// Whom the next word on the socket is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody: no job runs.
    Idle,
    /// A job is half handed over.
    Sending,
    /// A job runs, and has an end by then.
    Running { until: Instant },
}

#[derive(Debug)]
struct Link {
    process: Child,
    socket: UnixStream,
    inbox: Inbox,
    state: State,
    tier: Tier,
}

impl Link {
    async fn open(config: &SlotConfig) -> Result<Self, BackendError> {
        let Launched { process, socket } = launch::launch(&config.launcher)?;
        socket.set_nonblocking(true).map_err(BackendError::Talk)?;
        let socket = UnixStream::from_std(socket).map_err(BackendError::Talk)?;
        let mut link =
            Self { process, socket, inbox: Inbox::default(), state: State::Idle, tier: Tier::Open };
        let greeted = within(Instant::now() + SILENCE, link.greet(config)).await;
        match greeted {
            Ok(Response::Ready(tier)) => {
                link.tier = tier;
                Ok(link)
            }
            Ok(Response::Refused(why)) => Err(BackendError::Refused(why)),
            Ok(Response::Done(_)) => Err(BackendError::Talk(io::ErrorKind::InvalidData.into())),
            Err(_) => Err(BackendError::Ended(link.bury().await)),
        }
    }

    async fn greet(&mut self, config: &SlotConfig) -> io::Result<Response> {
        let frame = encode(&Request::Setup(config.setup())).map_err(io::Error::other)?;
        self.socket.write_all(&frame).await?;
        self.response().await
    }

    /// The next response; dropped and called again, it goes on where it was.
    async fn response(&mut self) -> io::Result<Response> {
        loop {
            if let Some(response) = self.inbox.next().map_err(io::Error::other)? {
                return Ok(response);
            }
            self.socket.readable().await?;
            match self.socket.try_read_buf(self.inbox.room()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What became of the job that runs.
    async fn output(&mut self) -> io::Result<Output> {
        let State::Running { until } = self.state else { return Err(io::ErrorKind::NotFound.into()) };
        match within(until, self.response()).await? {
            Response::Done(output) => {
                self.state = State::Idle;
                Ok(output)
            }
            Response::Ready(_) | Response::Refused(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn cancel(&mut self) -> io::Result<()> {
        let frame = encode(&Request::Cancel).map_err(io::Error::other)?;
        self.socket.write_all(&frame).await
    }

    /// Waits out a job whose future was dropped; false when the process is of no use any more.
    async fn settle(&mut self) -> bool {
        match self.state {
            State::Idle => true,
            State::Sending => false,
            State::Running { .. } => self.cancel().await.is_ok() && self.output().await.is_ok(),
        }
    }

    async fn close(mut self) {
        // The slot answers a closed socket by ending what runs, then itself.
        let _ = self.socket.shutdown().await;
        let farewell = async { while self.response().await.is_ok() {} };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        self.bury().await;
    }

    /// See [`launch::bury`]; away from the thread that everything else waits on.
    async fn bury(self) -> String {
        let buried = tokio::task::spawn_blocking(move || launch::bury(self.process));
        buried.await.unwrap_or_default()
    }
}

/// A far-off moment, where a job's wall time has no end.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

async fn within<T>(until: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout_at(until, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
