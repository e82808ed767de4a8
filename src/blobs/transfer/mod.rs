//! Moves blobs over any stream of bytes, in the frames of [`super::wire`].
//!
//! Decides nothing: what to ask comes from an [`super::Exchange`], what to answer from a [`Provide`]. Nothing is kept
//! that does not have the name it was asked by, nothing is read beyond what was wanted, and the end of the stream
//! is never taken for the end of a blob. Waiting too long for a silent peer is the caller's to notice: dropping the
//! future is safe at any time.

mod coming;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exchange::{Decision, Offers, Outcome};
use super::id::BlobId;
use super::manifest::BLOB_MAX;
use super::store::{Store, StoreError};
use super::wire::{
    Answer, Ask, FrameError, GIVEN_MAX, Given, HOLDERS_MAX, NodeKey, VERSION, WANTS_MAX, Want, read_frame,
    write_frame, write_frames,
};

pub use coming::{Coming, WAIT};

/// Bytes read at once: what a stream's window lets through.
const READ: usize = 256 << 10;

/// What one who fetches learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// What became of one wanted blob.
    Settled(BlobId, Outcome<NodeKey>),
    /// Who else was given what.
    Given(Vec<(BlobId, NodeKey)>),
}

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
    /// A blob that was promised cannot be read any more.
    #[error("{0} went out of the store while it was asked for")]
    Gone(BlobId),
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
    /// Whether it is given anything now.
    fn admitted(&self) -> bool;

    /// What to do about a want for a blob that is here.
    fn decide(&mut self, id: BlobId, length: u64, insist: bool) -> Decision<NodeKey>;
    /// What others were given since the peer was told last.
    fn given(&mut self) -> Vec<(BlobId, NodeKey)>;

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
    fn admitted(&self) -> bool {
        self.admitted
    }

    fn decide(&mut self, id: BlobId, length: u64, insist: bool) -> Decision<NodeKey> {
        lock(&self.offers).ask(self.peer, id, length, insist)
    }

    fn given(&mut self) -> Vec<(BlobId, NodeKey)> {
        if self.admitted { lock(&self.offers).news(self.peer) } else { Vec::new() }
    }

    fn sent(&mut self, id: BlobId, whole: bool) {
        lock(&self.offers).sent(self.peer, id, whole);
    }
}

fn lock(offers: &Mutex<Offers<NodeKey>>) -> MutexGuard<'_, Offers<NodeKey>> {
    offers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was promised and has not gone out. The provider is told that it did not, also where the future is dropped.
struct Promised<'a, P: Provide> {
    provide: &'a mut P,
    blobs: VecDeque<(Want, u64)>,
}

impl<P: Provide> Promised<'_, P> {
    /// The first of them is out.
    fn went(&mut self) {
        if let Some((want, _)) = self.blobs.pop_front() {
            self.provide.sent(want.id, true);
        }
    }
}

impl<P: Provide> Drop for Promised<'_, P> {
    fn drop(&mut self) {
        for (want, _) in &self.blobs {
            self.provide.sent(want.id, false);
        }
    }
}

/// Answers a peer until it closes the stream. What is coming is waited for, for [`WAIT`] at most. Returns the bytes of
/// content sent. Needs a tokio runtime.
///
/// # Errors
/// Where the stream broke or the peer makes no sense.
pub async fn serve<S>(
    mut stream: S,
    store: &Store,
    coming: Coming,
    mut provide: impl Provide,
) -> Result<u64, TransferError>
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
        sent += answer(&mut stream, store, &coming, &mut provide, &ask.wants).await?;
        stream.flush().await?;
    }
}

/// Answers one question: what is done about each blob, then the content, then what came meanwhile.
async fn answer<S, P>(
    stream: &mut S,
    store: &Store,
    coming: &Coming,
    provide: &mut P,
    wants: &[Want],
) -> Result<u64, TransferError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Provide,
{
    let mut promised = Promised { provide, blobs: VecDeque::new() };
    let (mut answers, mut awaited) = (Vec::new(), Vec::new());
    for want in wants {
        let mut answer = decide(store, promised.provide, want);
        if let Answer::Sending { length } = answer {
            promised.blobs.push_back((*want, length));
        }
        if answer == Answer::Missing && coming.expects(&want.id) {
            awaited.push(*want);
            answer = Answer::Coming;
        }
        answers.push(answer);
    }
    write_frames(stream, &answers).await?;
    write_frame(stream, &Given(promised.provide.given())).await?;
    let mut sent = send(stream, store, &mut promised).await?;
    for want in awaited {
        // What was sent before is not held back meanwhile.
        stream.flush().await?;
        coming.wait(&want.id).await;
        let answer = decide(store, promised.provide, &want);
        if let Answer::Sending { length } = answer {
            promised.blobs.push_back((want, length));
        }
        write_frame(stream, &answer).await?;
        sent += send(stream, store, &mut promised).await?;
    }
    Ok(sent)
}

/// What is done about one blob.
fn decide(store: &Store, provide: &mut impl Provide, want: &Want) -> Answer {
    if !provide.admitted() {
        return Answer::Busy;
    }
    let Some(length) = store.length(&want.id) else { return Answer::Missing };
    if length > want.most || want.offset > length {
        return Answer::Refused;
    }
    match provide.decide(want.id, length, want.insist) {
        Decision::Elsewhere(mut others) => {
            others.truncate(HOLDERS_MAX);
            Answer::Elsewhere(others)
        }
        Decision::Send => Answer::Sending { length },
    }
}

/// Sends what was promised, each read while the one before goes out.
async fn send<S, P>(
    stream: &mut S,
    store: &Store,
    promised: &mut Promised<'_, P>,
) -> Result<u64, TransferError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Provide,
{
    let mut sent = 0;
    while let Some((want, length)) = promised.blobs.front().copied() {
        let read = on_disk(store, move |store| store.read(&want.id)).await?;
        // Damaged, or evicted since it was promised: nothing can be said in its place.
        let bytes = read?.filter(|bytes| bytes.len() as u64 == length).ok_or(TransferError::Gone(want.id))?;
        let rest = bytes.get(usize::try_from(want.offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        stream.write_all(rest).await?;
        sent += rest.len() as u64;
        promised.went();
    }
    Ok(sent)
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
    mut report: impl FnMut(Report),
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
    let mut receiving = Receiving { store, received: 0, keeping: None };
    let (mut promised, mut awaited) = (Vec::new(), Vec::new());
    for (want, begun) in wants.into_iter().zip(begun) {
        match read_frame(stream).await? {
            Answer::Sending { length } => promised.push((want, begun, length)),
            Answer::Coming => awaited.push((want, begun)),
            answer => report(Report::Settled(want.id, declined(answer))),
        }
    }
    let Given(mut given) = read_frame(stream).await?;
    given.truncate(GIVEN_MAX);
    report(Report::Given(given));
    let result = async {
        for (want, begun, length) in promised {
            receiving.content(stream, &want, begun, length, &mut report).await?;
        }
        for (want, begun) in awaited {
            // The wait may be long; others wait here for what came before it.
            settle(receiving.keeping.take(), &mut report).await?;
            match read_frame(stream).await? {
                Answer::Sending { length } => {
                    receiving.content(stream, &want, begun, length, &mut report).await?;
                }
                answer => report(Report::Settled(want.id, declined(answer))),
            }
        }
        Ok(())
    };
    let result = result.await;
    // What came before the stream broke counts.
    settle(receiving.keeping.take(), &mut report).await?;
    result.map(|()| receiving.received)
}

/// Content that is being received.
struct Receiving<'a> {
    store: &'a Store,
    received: u64,
    /// One blob is checked and written while the next one comes in.
    keeping: Option<Keeping>,
}

impl Receiving<'_> {
    /// Receives one blob behind what is here of it.
    async fn content<S>(
        &mut self,
        stream: &mut S,
        want: &Want,
        begun: Vec<u8>,
        length: u64,
        report: &mut impl FnMut(Report),
    ) -> Result<(), TransferError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if length > want.most || length < want.offset || length > BLOB_MAX {
            report(Report::Settled(want.id, Outcome::Refused));
            return Err(TransferError::Protocol("sends more than was asked for"));
        }
        let mut blob = Incoming { store: self.store.clone(), id: want.id, bytes: begun, whole: false };
        let before = blob.bytes.len();
        let read = blob.fill(stream, usize::try_from(length).unwrap_or_default()).await;
        self.received += (blob.bytes.len() - before) as u64;
        settle(self.keeping.take(), report).await?;
        if let Err(error) = read {
            report(Report::Settled(want.id, Outcome::Interrupted { have: blob.bytes.len() as u64 }));
            return Err(error);
        }
        self.keeping = Some(Keeping::begin(self.store, want.id, blob.take()));
        Ok(())
    }
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
        // Twice the same word about one blob makes no sense either.
        Answer::Refused | Answer::Coming | Answer::Sending { .. } => Outcome::Refused,
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

async fn settle(keeping: Option<Keeping>, report: &mut impl FnMut(Report)) -> Result<(), TransferError> {
    let Some(Keeping { id, task }) = keeping else { return Ok(()) };
    let outcome = match task.await.map_err(|_| TransferError::Abandoned)? {
        Ok(()) => Outcome::Arrived,
        Err(StoreError::Mismatch(_)) => Outcome::Corrupt,
        Err(error) => {
            tracing::warn!(%error, blob = %id, "cannot keep a blob");
            Outcome::NotKept
        }
    };
    report(Report::Settled(id, outcome));
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
