//! Moves blobs over any stream of bytes, in the frames of [`super::wire`].
//!
//! Decides nothing: what to ask comes from an [`super::Exchange`], what to answer from a [`Provide`]. Nothing is kept
//! that does not have the name it was asked by, nothing is read beyond what was wanted, and the end of the stream
//! is never taken for the end of a blob. Waiting too long for a silent peer is the caller's to notice: dropping the
//! future is safe at any time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exchange::{Decision, Offers, Outcome};
use super::id::BlobId;
use super::manifest::BLOB_MAX;
use super::store::{Store, StoreError};
use super::wire::{
    Answer, Ask, FrameError, HOLDERS_MAX, NodeKey, VERSION, WANTS_MAX, Want, read_frame, write_frame,
};

/// Bytes read at once: what a stream's window lets through.
const READ: usize = 256 << 10;

/// Why a transfer ended early. What was answered before it stands.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The stream broke, ended, or said something that is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer broke the protocol.
    #[error("the peer {0}")]
    Protocol(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that works on the store is gone.
    #[error("work on the store was given up")]
    Abandoned,
}

impl From<std::io::Error> for TransferError {
    fn from(error: std::io::Error) -> Self {
        Self::Frame(FrameError::Io(error))
    }
}

/// Decides what one peer is given.
pub trait Provide {
    /// What to do about a want for a blob that is here.
    fn decide(&mut self, id: BlobId, length: u64, insist: bool) -> Decision<NodeKey>;
    /// Sending is over; `whole` where all of it was handed to the stream.
    fn sent(&mut self, id: BlobId, whole: bool);
}

/// One stream's place at [`Offers`] that all streams share. Dropping it gives the place back.
#[derive(Debug)]
pub struct Gate {
    // Locked for one decision at a time, never across an await.
    offers: Arc<Mutex<Offers<NodeKey>>>,
    peer: NodeKey,
    admitted: bool,
}

impl Gate {
    /// For one stream of a peer. One that is too many is told that everything is busy, and comes back later; a stream
    /// that is only dropped would be taken for a broken one.
    #[must_use]
    pub fn admit(offers: Arc<Mutex<Offers<NodeKey>>>, peer: NodeKey) -> Self {
        let admitted = lock(&offers).opened(peer);
        Self { offers, peer, admitted }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if self.admitted {
            lock(&self.offers).closed(self.peer);
        }
    }
}

impl Provide for Gate {
    fn decide(&mut self, id: BlobId, length: u64, insist: bool) -> Decision<NodeKey> {
        if !self.admitted {
            return Decision::Busy;
        }
        lock(&self.offers).ask(self.peer, id, length, insist)
    }

    fn sent(&mut self, id: BlobId, whole: bool) {
        lock(&self.offers).sent(self.peer, id, whole);
    }
}

fn lock(offers: &Mutex<Offers<NodeKey>>) -> MutexGuard<'_, Offers<NodeKey>> {
    offers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the provider that a blob did not go out unless told otherwise, also where the future is dropped.
struct Sending<'a, P: Provide> {
    provide: &'a mut P,
    id: BlobId,
    whole: bool,
}

impl<P: Provide> Drop for Sending<'_, P> {
    fn drop(&mut self) {
        self.provide.sent(self.id, self.whole);
    }
}

/// Answers a peer until it closes the stream. Returns the bytes of content sent. Needs a tokio runtime.
///
/// # Errors
/// Where the stream broke or the peer makes no sense.
pub async fn serve<S>(mut stream: S, store: &Store, mut provide: impl Provide) -> Result<u64, TransferError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut sent = 0;
    loop {
        let ask: Ask = match read_frame(&mut stream).await {
            Ok(ask) => ask,
            // Between two asks the stream may end.
            Err(FrameError::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(sent);
            }
            Err(error) => return Err(error.into()),
        };
        if ask.version != VERSION || ask.wants.is_empty() || ask.wants.len() > WANTS_MAX {
            write_frame(&mut stream, &Answer::Refused).await?;
            return Err(TransferError::Protocol("asks for something that makes no sense"));
        }
        for want in &ask.wants {
            sent += provide_one(&mut stream, store, &mut provide, want).await?;
        }
        stream.flush().await?;
    }
}

async fn provide_one<S>(
    stream: &mut S,
    store: &Store,
    provide: &mut impl Provide,
    want: &Want,
) -> Result<u64, TransferError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(length) = store.length(&want.id) else {
        write_frame(stream, &Answer::Missing).await?;
        return Ok(0);
    };
    if length > want.most || want.offset > length {
        write_frame(stream, &Answer::Refused).await?;
        return Ok(0);
    }
    match provide.decide(want.id, length, want.insist) {
        Decision::Busy => write_frame(stream, &Answer::Busy).await?,
        Decision::Elsewhere(mut others) => {
            others.truncate(HOLDERS_MAX);
            write_frame(stream, &Answer::Elsewhere(others)).await?;
        }
        Decision::Send => return send(stream, store, provide, want).await,
    }
    Ok(0)
}

async fn send<S, P>(stream: &mut S, store: &Store, provide: &mut P, want: &Want) -> Result<u64, TransferError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Provide,
{
    let mut sending = Sending { provide, id: want.id, whole: false };
    let id = want.id;
    let read = on_disk(store, move |store| store.read(&id)).await?;
    // A blob that turned out damaged, or was evicted meanwhile, is not here any more.
    let bytes = read.ok().flatten();
    let offset = usize::try_from(want.offset).unwrap_or(usize::MAX);
    let Some(rest) = bytes.as_deref().and_then(|bytes| bytes.get(offset..)) else {
        write_frame(stream, &Answer::Missing).await?;
        return Ok(0);
    };
    let length = want.offset + rest.len() as u64;
    if length > want.most {
        write_frame(stream, &Answer::Refused).await?;
        return Ok(0);
    }
    write_frame(stream, &Answer::Sending { length }).await?;
    stream.write_all(rest).await?;
    sending.whole = true;
    Ok(rest.len() as u64)
}

/// Asks for up to [`WANTS_MAX`] wants in one go, keeps what arrives in the store, and reports each as it is settled.
/// Returns the bytes of content received. May be called again on the same stream. Needs a tokio runtime.
///
/// # Errors
/// Where the stream broke or the peer makes no sense; wants not reported by then are unsettled.
pub async fn fetch<S>(
    stream: &mut S,
    store: &Store,
    wants: &[Want],
    mut report: impl FnMut(BlobId, Outcome<NodeKey>),
) -> Result<u64, TransferError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wants = wants.to_vec();
    wants.truncate(WANTS_MAX);
    let mut begun = Vec::with_capacity(wants.len());
    for want in &mut wants {
        begun.push(beginning(store, want).await?);
    }
    write_frame(stream, &Ask { version: VERSION, wants: wants.clone() }).await?;
    let mut received = 0;
    // One blob is checked and written while the next one comes in.
    let mut keeping: Option<Keeping> = None;
    for (want, begun) in wants.iter().zip(begun) {
        let outcome = match read_frame(stream).await {
            Ok(Answer::Sending { length }) => Ok(length),
            Ok(answer) => Err(declined(answer)),
            Err(error) => {
                settle(keeping.take(), &mut report).await?;
                return Err(error.into());
            }
        };
        let length = match outcome {
            Ok(length) => length,
            Err(outcome) => {
                report(want.id, outcome);
                continue;
            }
        };
        if length > want.most || length < want.offset || length > BLOB_MAX {
            settle(keeping.take(), &mut report).await?;
            report(want.id, Outcome::Refused);
            return Err(TransferError::Protocol("sends more than was asked for"));
        }
        let mut blob = Incoming { store: store.clone(), id: want.id, bytes: begun, whole: false };
        let before = blob.bytes.len();
        let read = blob.fill(stream, usize::try_from(length).unwrap_or_default()).await;
        received += (blob.bytes.len() - before) as u64;
        settle(keeping.take(), &mut report).await?;
        if let Err(error) = read {
            report(want.id, Outcome::Interrupted { have: blob.bytes.len() as u64 });
            return Err(error);
        }
        keeping = Some(Keeping::begin(store, want.id, blob.take()));
    }
    settle(keeping, &mut report).await?;
    Ok(received)
}

/// What is here of a wanted blob; the want is changed to begin behind it.
async fn beginning(store: &Store, want: &mut Want) -> Result<Vec<u8>, TransferError> {
    if want.offset == 0 {
        return Ok(Vec::new());
    }
    let id = want.id;
    let mut begun = on_disk(store, move |store| store.partial(&id)).await?;
    if (begun.len() as u64) < want.offset || want.offset > want.most {
        begun.clear();
    }
    begun.truncate(usize::try_from(want.offset).unwrap_or_default());
    want.offset = begun.len() as u64;
    Ok(begun)
}

fn declined(answer: Answer) -> Outcome<NodeKey> {
    match answer {
        Answer::Missing => Outcome::Missing,
        Answer::Busy => Outcome::Busy,
        Answer::Elsewhere(mut others) => {
            others.truncate(HOLDERS_MAX);
            Outcome::Elsewhere(others)
        }
        Answer::Refused | Answer::Sending { .. } => Outcome::Refused,
    }
}

/// A blob coming in. What came is kept for another try when the future is dropped.
struct Incoming {
    store: Store,
    id: BlobId,
    bytes: Vec<u8>,
    whole: bool,
}

impl Incoming {
    /// Reads until so many bytes are here. Memory grows with what came, not with what was announced.
    async fn fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        length: usize,
    ) -> Result<(), TransferError> {
        while self.bytes.len() < length {
            let begin = self.bytes.len();
            let end = length.min(begin.saturating_add(READ));
            self.bytes.resize(end, 0);
            let room = self.bytes.get_mut(begin..).unwrap_or_default();
            let read = stream.read(room).await;
            self.bytes.truncate(begin + read.as_ref().map_or(0, |count| *count));
            if read? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    fn take(mut self) -> Vec<u8> {
        self.whole = true;
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.whole {
            self.store.keep_partial(&self.id, &self.bytes);
        }
    }
}

/// A blob being checked and written.
struct Keeping {
    id: BlobId,
    task: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Keeping {
    fn begin(store: &Store, id: BlobId, bytes: Vec<u8>) -> Self {
        let store = store.clone();
        Self { id, task: tokio::task::spawn_blocking(move || store.put(&id, &bytes)) }
    }
}

async fn settle(
    keeping: Option<Keeping>,
    report: &mut impl FnMut(BlobId, Outcome<NodeKey>),
) -> Result<(), TransferError> {
    let Some(Keeping { id, task }) = keeping else { return Ok(()) };
    let outcome = match task.await.map_err(|_| TransferError::Abandoned)? {
        Ok(()) => Outcome::Arrived,
        Err(StoreError::Mismatch(_)) => Outcome::Corrupt,
        Err(error) => {
            tracing::warn!(%error, blob = %id, "cannot keep a blob");
            Outcome::NotKept
        }
    };
    report(id, outcome);
    Ok(())
}

async fn on_disk<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> T + Send + 'static,
) -> Result<T, TransferError> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| TransferError::Abandoned)
}

#[cfg(test)]
mod tests;
