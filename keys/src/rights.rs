//! What a trusted key may do.
//!
//! Two rights, attenuated along a path (security rules §2.1): a key with [`Rights::SUBMIT`] may have its jobs run
//! here, the results of a key with [`Rights::WORK`] count here. Pure data; no rule is decided here.

use std::fmt;
use std::ops::{BitAnd, BitOr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A set of rights; the empty set is a suspended or unknown key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Rights(u8);

impl Rights {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// Its jobs run here.
    pub const SUBMIT: Self = Self(1);
    /// Its results count here.
    pub const WORK: Self = Self(2);
    /// Both rights: what `approve` gives unless told otherwise.
    pub const ALL: Self = Self(3);

    /// The rights of a wire or file value; `None` where an unknown bit is set.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits <= Self::ALL.0 { Some(Self(bits)) } else { None }
    }

    /// The wire value: bit 0 is SUBMIT, bit 1 is WORK.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every right of `other` is in here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no right in here.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The rights in here that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Rights {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl From<Rights> for u8 {
    fn from(rights: Rights) -> Self {
        rights.0
    }
}

impl TryFrom<u8> for Rights {
    type Error = UnknownRight;
    fn try_from(bits: u8) -> Result<Self, UnknownRight> {
        Self::from_bits(bits).ok_or_else(|| UnknownRight(bits.to_string()))
    }
}

/// A right this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown right {0:?}; hint: `submit`, `work`, `submit,work` or `none`")]
pub struct UnknownRight(String);

impl FromStr for Rights {
    type Err = UnknownRight;
    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        text.split(',').try_fold(Self::NONE, |rights, word| match word {
            "submit" => Ok(rights | Self::SUBMIT),
            "work" => Ok(rights | Self::WORK),
            other => Err(UnknownRight(other.to_owned())),
        })
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "none",
            1 => "submit",
            2 => "work",
            _ => "submit,work",
        })
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bits_round_trip() {
        for bits in 0..=3 {
            let rights = Rights::from_bits(bits).expect("two bits");
            assert_eq!(rights.to_string().parse::<Rights>(), Ok(rights));
            assert_eq!(Rights::try_from(u8::from(rights)), Ok(rights));
        }
        assert_eq!(Rights::from_bits(4), None);
        assert_eq!("work,submit".parse(), Ok(Rights::ALL));
        assert!("run".parse::<Rights>().is_err() && "".parse::<Rights>().is_err());
    }

    #[test]
    fn sets_combine() {
        assert_eq!(Rights::SUBMIT | Rights::WORK, Rights::ALL);
        assert!(Rights::ALL.contains(Rights::WORK) && !Rights::SUBMIT.contains(Rights::WORK));
        assert_eq!(Rights::ALL.without(Rights::WORK), Rights::SUBMIT);
        assert!((Rights::SUBMIT & Rights::WORK).is_none());
    }
}
