//! One timer of a behaviour, set again and again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

/// Rings once at the time it was last set to.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Rings at `when`, or not at all. The task is woken for it after the next [`Alarm::poll_ring`].
    pub(crate) fn set(&mut self, when: Option<Instant>) {
        self.0 = when.map(|when| Box::pin(tokio::time::sleep_until(when.into())));
    }

    /// Ready once the time has come.
    pub(crate) fn poll_ring(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.0 else { return Poll::Pending };
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.0 = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
