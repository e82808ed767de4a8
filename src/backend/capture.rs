//! One output stream of a running job: kept up to its cap, drained for ever.
//!
//! A test that writes more than anyone wants neither blocks nor fills memory. Reads only when told that a read will
//! not block.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::job::Captured;

/// Most bytes kept of a stream, whatever the job asks for: two streams fit into one frame.
pub(super) const LARGEST: u64 = 24 << 20;

/// Bytes of one read; a pipe holds as much.
const READ: usize = 64 << 10;

/// Where reads go first; one is enough for a slot.
pub(super) type Scratch = Box<[u8]>;

/// A place for reads.
pub(super) fn scratch() -> Scratch {
    vec![0; READ].into_boxed_slice()
}

/// A stream and what is kept of it.
#[derive(Debug)]
pub(super) struct Stream {
    /// None once every writer has closed it.
    pipe: Option<OwnedFd>,
    cap: usize,
    captured: Captured,
}

impl Stream {
    pub(super) fn new(pipe: OwnedFd, cap: u64) -> Self {
        let cap = usize::try_from(cap.min(LARGEST)).unwrap_or(usize::MAX);
        Self { pipe: Some(pipe), cap, captured: Captured::default() }
    }

    /// What to wait for, while it is open.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what one read yields; the pipe must be readable. An error ends the stream as its end does.
    pub(super) fn read(&mut self, scratch: &mut [u8]) {
        let Some(pipe) = &self.pipe else { return };
        match rustix::io::read(pipe, &mut *scratch) {
            Ok(0) => self.pipe = None,
            Ok(count) => keep(&mut self.captured, self.cap, &scratch[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.pipe = None,
        }
    }

    /// Closes the pipe, whoever still writes to it.
    pub(super) fn finish(self) -> Captured {
        self.captured
    }
}

fn keep(captured: &mut Captured, cap: usize, bytes: &[u8]) {
    let room = cap - captured.bytes.len();
    let kept = room.min(bytes.len());
    captured.bytes.extend_from_slice(&bytes[..kept]);
    captured.dropped += (bytes.len() - kept) as u64;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_beginning_is_kept_and_the_rest_is_counted(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
            cap in 0usize..100,
        ) {
            let mut captured = Captured::default();
            pieces.iter().for_each(|piece| keep(&mut captured, cap, piece));
            let all = pieces.concat();
            let kept = all.len().min(cap);
            prop_assert_eq!(&captured.bytes[..], &all[..kept]);
            prop_assert_eq!(captured.dropped, (all.len() - kept) as u64);
        }
    }

    #[test]
    fn no_job_raises_the_cap_above_the_largest() {
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        assert_eq!(Stream::new(pipe, u64::MAX).cap as u64, LARGEST);
    }
}
