//! The slot process: runs the jobs of its owner, one at a time, until the owner closes the socket.
//!
//! Started as `PROGRAM --slot` with one end of a socket pair as standard input. It has one thread and few pages, so
//! that starting a process stays cheap however large its owner grows, and so that children can be bound to its life.
//! Prints nothing; decides nothing but how to end what runs.

use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitCode;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::contain::{Containment, Tier};
use super::environment::Prepared;
use super::frame::{Inbox, encode};
use super::process::{Runner, nothing};
use super::request::{Request, Response, Setup};
use crate::job::Exit;

/// On Linux the slot has the default action of SIGPIPE, which its jobs need and which would end it without a word;
/// elsewhere the standard library has it ignored.
#[cfg(target_os = "linux")]
const QUIETLY: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const QUIETLY: SendFlags = SendFlags::empty();

/// The argument that makes this program a slot.
pub const SLOT_ARGUMENT: &str = "--slot";

/// Runs jobs until the owner is gone. For `main` alone, before anything else: the process must have one thread.
pub fn slot_main() -> ExitCode {
    let mut link = Link::default();
    let served =
        Runner::prepare().map(|runner| Slot { runner, environment: Prepared::default(), containment: None });
    match served {
        Ok(slot) => slot.serve(&mut link),
        Err(error) => link.send(&Response::Refused(format!("slot process cannot be prepared: {error}"))),
    }
    ExitCode::SUCCESS
}

struct Slot {
    runner: Runner,
    environment: Prepared,
    /// The protection in force.
    containment: Option<Containment>,
}

impl Slot {
    fn serve(mut self, link: &mut Link) {
        while let Some(request) = link.next() {
            match request {
                Request::Setup(setup) => {
                    let response = self.set_up(&setup);
                    link.send(&response);
                }
                Request::Run(job) => {
                    let output = self.runner.run(&job, &self.environment, link);
                    if let Some(containment) = &self.containment {
                        containment.empty_scratch();
                    }
                    link.send(&Response::Done(output));
                }
                Request::Cancel => {}
            }
        }
    }

    fn set_up(&mut self, setup: &Setup) -> Response {
        match Prepared::new(&setup.environment) {
            Ok(environment) => self.environment = environment,
            Err(error) => return Response::Refused(format!("environment cannot be passed on: {error}")),
        }
        let Some(containment) = &setup.containment else { return Response::Ready(Tier::Open) };
        match containment.enter() {
            Ok(tier) => {
                self.containment = Some(containment.clone());
                Response::Ready(tier)
            }
            Err(error) => Response::Refused(format!("slot cannot be contained: {error}")),
        }
    }
}

/// What the owner says while a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing of interest.
    Nothing,
    /// The job is not wanted any more.
    Cancel,
    /// The owner is gone.
    Gone,
}

/// The slot's end of the socket: its standard input.
#[derive(Debug, Default)]
pub(super) struct Link {
    inbox: Inbox,
    gone: bool,
}

impl Link {
    /// What to wait for.
    pub(super) fn socket(&self) -> BorrowedFd<'static> {
        rustix::stdio::stdin()
    }

    /// Whether the owner closed the other end, or broke the protocol, which ends the slot as well.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Takes in what the owner says; the socket must be readable.
    pub(super) fn hear(&mut self) -> Heard {
        self.receive();
        self.heard()
    }

    /// What the owner has said already.
    pub(super) fn heard(&mut self) -> Heard {
        match self.inbox.next::<Request>() {
            _ if self.gone => Heard::Gone,
            Ok(None) => Heard::Nothing,
            Ok(Some(Request::Cancel)) => Heard::Cancel,
            // Nothing else may be said while a job runs.
            Ok(Some(Request::Setup(_) | Request::Run(_))) | Err(_) => {
                self.gone = true;
                Heard::Gone
            }
        }
    }

    /// Waits for the next request; none when the owner is gone.
    fn next(&mut self) -> Option<Request> {
        while !self.gone {
            match self.inbox.next() {
                Ok(Some(request)) => return Some(request),
                Ok(None) => self.receive(),
                Err(_) => self.gone = true,
            }
        }
        None
    }

    fn receive(&mut self) {
        let room = self.inbox.room();
        match rustix::io::read(rustix::stdio::stdin(), spare_capacity(room)) {
            Ok(0) => self.gone = true,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
    }

    /// Sends a response, waiting while the owner is slow. An owner that is gone is noticed and told nothing.
    fn send(&mut self, response: &Response) {
        let sent = match encode(response) {
            Ok(frame) => send_all(&frame),
            // Streams are capped far below a frame's size, so what cannot be sent is a bug worth telling.
            Err(error) => {
                let lost = nothing(Exit::Lost(format!("output of the job cannot be sent: {error}")));
                encode(&Response::Done(lost)).map_or(Ok(()), |frame| send_all(&frame))
            }
        };
        self.gone |= sent.is_err();
    }
}

fn send_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::send(rustix::stdio::stdin(), bytes, QUIETLY) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
