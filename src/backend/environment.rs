//! The environment that every job of a slot starts from (reference §5.2).
//!
//! A client passes on its own; a node starts from nothing and says what it adds. Never reads the environment of the
//! slot process itself.

use std::ffi::{CString, NulError, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Sharding is the runner's business; a gtest binary that saw these would shard once more.
const SHARDING: [&str; 2] = ["GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX"];

/// Variables by name; each name once, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    variables: Vec<(ByteBuf, ByteBuf)>,
}

impl Environment {
    /// Nothing at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// That of this process without the sharding variables: what V8's runner before 6.2 passes on.
    pub fn inherited() -> Self {
        Self::of(std::env::vars_os())
    }

    /// [`Self::inherited`] with `LANG=en_US.UTF-8`: what V8's runner since 6.2 passes on.
    pub fn inherited_utf8() -> Self {
        Self::inherited().with("LANG", "en_US.UTF-8")
    }

    fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let kept = variables.filter(|(name, _)| !SHARDING.iter().any(|sharding| name == sharding));
        let bytes = |text: OsString| ByteBuf::from(text.into_vec());
        let mut all = Self { variables: kept.map(|(name, value)| (bytes(name), bytes(value))).collect() };
        all.variables.sort();
        all
    }

    /// With this variable set, in place of an older value.
    #[must_use]
    pub fn with(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let name = ByteBuf::from(name.as_ref().as_bytes());
        self.variables.retain(|(other, _)| *other != name);
        let value = ByteBuf::from(value.as_ref().as_bytes());
        let place = self.variables.partition_point(|(other, _)| *other < name);
        self.variables.insert(place, (name, value));
        self
    }
}

/// An [`Environment`] as `execve` takes it, made once for all jobs of a slot.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Name and `NAME=value`.
    variables: Vec<(ByteBuf, CString)>,
}

impl Prepared {
    pub(super) fn new(environment: &Environment) -> Result<Self, NulError> {
        let prepare = |(name, value): &(ByteBuf, ByteBuf)| Ok((name.clone(), definition(name, value)?));
        Ok(Self { variables: environment.variables.iter().map(prepare).collect::<Result<_, _>>()? })
    }

    /// The `NAME=value` texts of a job that sets `own` variables on top; of a name set twice the last counts.
    pub(super) fn on_top(&self, own: &[(ByteBuf, ByteBuf)]) -> Result<Vec<CString>, NulError> {
        let overridden = |name: &ByteBuf| own.iter().any(|(other, _)| other == name);
        let base =
            self.variables.iter().filter(|(name, _)| !overridden(name)).map(|(_, text)| Ok(text.clone()));
        let last = |at: usize, name: &ByteBuf| own[at + 1..].iter().all(|(other, _)| other != name);
        let own = own.iter().enumerate().filter(|(at, (name, _))| last(*at, name));
        base.chain(own.map(|(_, (name, value))| definition(name, value))).collect()
    }
}

fn definition(name: &[u8], value: &[u8]) -> Result<CString, NulError> {
    CString::new([name, b"=", value].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::of(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn check(base: &Environment, own: &[(&str, &str)], expected: &[&str]) {
        let bytes = |text: &str| ByteBuf::from(text.as_bytes());
        let own: Vec<_> = own.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        let texts = Prepared::new(base).unwrap().on_top(&own).unwrap();
        let texts: Vec<_> = texts.iter().map(|text| text.to_str().unwrap()).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn sharding_variables_are_left_out() {
        let base = environment(&[("GTEST_TOTAL_SHARDS", "4"), ("A", "1"), ("GTEST_SHARD_INDEX", "0")]);
        check(&base, &[], &["A=1"]);
    }

    #[test]
    fn later_settings_replace_earlier_ones() {
        let base = environment(&[("LANG", "C"), ("A", "1")]).with("LANG", "en_US.UTF-8");
        check(&base, &[], &["A=1", "LANG=en_US.UTF-8"]);
        check(&base, &[("A", "2"), ("B", ""), ("A", "3=4")], &["LANG=en_US.UTF-8", "B=", "A=3=4"]);
    }

    #[test]
    fn nothing_comes_from_nothing() {
        check(&Environment::empty(), &[("A", "1")], &["A=1"]);
    }

    #[test]
    fn a_nul_byte_is_an_error() {
        let own = [(ByteBuf::from(b"A".as_slice()), ByteBuf::from(b"\0".as_slice()))];
        assert!(Prepared::default().on_top(&own).is_err());
    }
}
