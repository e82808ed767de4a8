//! The key pair of this node, in memory.
//!
//! The secret comes from the system's random source or from the store and goes nowhere but to the transport, which
//! needs it for its handshake ([`Identity::secret_bytes`]). Nothing is read from or written to disk here.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};

use crate::key::{KEY_LEN, PublicKey};

/// A key pair. Its `Debug` shows the public half only.
pub struct Identity {
    secret: SigningKey,
    public: PublicKey,
}

/// No key could be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a new key: {0}")]
    Random(getrandom::Error),
    /// The secret belongs to a weak public key; no honest key does.
    #[error("this secret makes no usable key")]
    Weak,
}

impl Identity {
    /// A new key pair from the system's random source.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = [0; KEY_LEN];
        getrandom::fill(&mut seed).map_err(IdentityError::Random)?;
        Self::from_secret_bytes(seed)
    }

    /// The key pair of a secret (RFC 8032 seed).
    ///
    /// # Errors
    /// [`IdentityError::Weak`].
    pub fn from_secret_bytes(seed: [u8; KEY_LEN]) -> Result<Self, IdentityError> {
        let secret = SigningKey::from_bytes(&seed);
        let public =
            PublicKey::from_wire(secret.verifying_key().to_bytes()).map_err(|_| IdentityError::Weak)?;
        Ok(Self { secret, public })
    }

    /// The secret, for the transport's handshake and the store. Never print or send it.
    #[must_use]
    pub fn secret_bytes(&self) -> [u8; KEY_LEN] {
        self.secret.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a buffer that begins with the length and name of its domain (see [`crate::statement::signing_buffer`]);
    /// never sign bare bytes of a peer.
    #[must_use]
    pub fn sign(&self, buffer: &[u8]) -> [u8; 64] {
        self.secret.sign(buffer).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gives_its_key_and_is_never_shown() {
        let identity = Identity::from_secret_bytes([7; 32]).expect("a key");
        assert_eq!(identity.secret_bytes(), [7; 32]);
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.public()));
        assert_ne!(Identity::generate().expect("random").public(), identity.public());
    }
}
