//! Bounds of messages, checked after decoding and before sending.
//!
//! The transport bounds the bytes of a message; this bounds the counts and lengths inside it, so that nothing a peer
//! says makes a list here longer than a named constant.

/// A part of a message is larger than allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} is {size}, at most {most} allowed")]
pub struct Excess {
    /// Which part.
    pub part: &'static str,
    /// How large it is: items or bytes.
    pub size: usize,
    /// How large it may be.
    pub most: usize,
}

/// A message with bounds of its own.
pub trait Check {
    /// Whether every part is within its bound.
    ///
    /// # Errors
    /// The first part that is not.
    fn check(&self) -> Result<(), Excess>;
}

/// Refuses a count above `most`.
pub(crate) fn most(part: &'static str, size: usize, most: usize) -> Result<(), Excess> {
    if size <= most { Ok(()) } else { Err(Excess { part, size, most }) }
}

/// Refuses a text of more than `limit` bytes.
pub(crate) fn text(part: &'static str, value: &str, limit: usize) -> Result<(), Excess> {
    most(part, value.len(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_itself_is_allowed() {
        assert_eq!(text("name", "abc", 3), Ok(()));
        let excess = text("name", "abcd", 3).unwrap_err();
        assert_eq!(excess.to_string(), "name is 4, at most 3 allowed");
    }
}
