//! The bytes of a new cookie.

use super::HomeError;

/// 32 bytes nobody can guess.
pub(super) fn fresh() -> Result<[u8; 32], HomeError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(HomeError::Random)?;
    Ok(bytes)
}
