//! The key pair on disk: created once, loaded only where nobody else can get at it.
//!
//! The file `identity` holds the 32 secret bytes and nothing else. It appears whole or not at all, and is never
//! written again.

use std::path::Path;

use crate::identity::Identity;
use crate::key::KEY_LEN;
use crate::retirement;
use crate::store::disk::{self, Room, Staged};
use crate::store::error::StoreError;
use crate::store::{IDENTITY, RETIRE_CERT};

/// Makes a key pair and its retirement certificate; leaves a key that is there alone and returns `None`.
pub(super) fn create(home: &Path, now: u64) -> Result<Option<Identity>, StoreError> {
    let path = home.join(IDENTITY);
    if fs_err::symlink_metadata(&path).is_ok() {
        return Ok(None);
    }
    let identity = Identity::generate()?;
    let mut room = Room::default();
    // The certificate first: a key without one could be made by a crash, a certificate of no key harms nobody.
    let certificate = retirement::certificate(&identity, now)?;
    Staged::write(&home.join(RETIRE_CERT), certificate.as_bytes(), &mut room)?.commit(&mut room)?;
    let created = Staged::write(&path, &identity.secret_bytes(), &mut room)?.commit_new()?;
    disk::sync_dir(home)?;
    Ok(created.then_some(identity))
}

/// Loads the key pair.
pub(super) fn load(home: &Path) -> Result<Identity, StoreError> {
    let path = home.join(IDENTITY);
    let bytes =
        disk::read_private(&path, KEY_LEN)?.ok_or_else(|| StoreError::NotSetUp { home: home.to_owned() })?;
    let len = fs_err::metadata(&path)?.len();
    let secret = bytes.try_into().map_err(|_| StoreError::BadIdentity { path, len })?;
    Ok(Identity::from_secret_bytes(secret)?)
}
