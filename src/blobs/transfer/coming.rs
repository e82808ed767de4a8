//! What is on its way into the store: who asks for it waits a moment instead of asking again and again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::blobs::id::BlobId;

/// How long somebody waits for one blob that is coming; then it is told to be missing, and asks elsewhere or later. As
/// long as a line may stand still without being given up.
pub const WAIT: Duration = Duration::from_secs(2);

/// Names of blobs that this machine lacks and is fetching; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Coming {
    // Locked for look-ups only, never across an await.
    ids: Arc<Mutex<BTreeSet<BlobId>>>,
    news: Arc<Notify>,
}

impl Coming {
    /// These are going to be fetched.
    pub fn expect(&self, ids: impl IntoIterator<Item = BlobId>) {
        self.ids().extend(ids);
    }

    /// One is here.
    pub fn came(&self, id: &BlobId) {
        if self.ids().remove(id) {
            self.news.notify_waiters();
        }
    }

    /// Only these are still lacking and wanted.
    pub fn retain(&self, wanted: impl FnMut(&BlobId) -> bool) {
        self.ids().retain(wanted);
        self.news.notify_waiters();
    }

    /// Whether one is to be waited for.
    pub(super) fn expects(&self, id: &BlobId) -> bool {
        self.ids().contains(id)
    }

    /// Returns when it is not to be waited for any more: it came, nobody wants it, or [`WAIT`] is over. At once for what
    /// nobody fetches. Needs a tokio runtime.
    pub(super) async fn wait(&self, id: &BlobId) {
        let gone = async {
            loop {
                let news = self.news.notified();
                if !self.expects(id) {
                    return;
                }
                news.await;
            }
        };
        // Over time or not: what is here then is looked up anew.
        let _ = tokio::time::timeout(WAIT, gone).await;
    }

    fn ids(&self) -> MutexGuard<'_, BTreeSet<BlobId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
