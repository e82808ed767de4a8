//! What a process knows of its blobs.

use super::Shelf;
use super::disk::Object;
use crate::blobs::id::BlobId;

impl Shelf {
    /// Takes over what a look at the folder found; the bytes of it.
    pub(super) fn count(&mut self, objects: &[Object]) -> u64 {
        self.used = objects.iter().map(|object| object.length).sum();
        self.uncounted = 0;
        self.used
    }

    /// Gives one pin of a blob back.
    pub(super) fn unpin(&mut self, id: &BlobId) {
        if let Some(count) = self.pins.get_mut(id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.pins.remove(id);
            }
        }
    }
}
