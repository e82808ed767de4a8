//! Flags that the shell will refuse together, so that the test is expected to fail (reference §2.7).
//!
//! Pure.

use std::fmt;

use super::{Flags, VariantTable};
use crate::frontend::dialect::{Dialect, Era};

/// The flags of a command line by origin.
#[derive(Debug, Clone, Copy)]
pub struct FlagSets<'a> {
    /// Of the source, the suite and the status file.
    pub own: &'a [String],
    /// Of the variant.
    pub variant: &'a [String],
    /// For every command.
    pub extra: &'a [String],
    /// Of the mode.
    pub mode: &'a [String],
}

/// A flag that the shell is expected to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The rule.
    pub rule: String,
    /// The flag as the rule has it.
    pub flag: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Contradiction { rule, flag } = self;
        write!(
            f,
            "Rule {rule} in tools/testrunner/local/variants.py expected a flag contradiction error with {flag}."
        )
    }
}

impl VariantTable {
    /// The last contradiction that V8's runner finds; it keeps the last one's reason.
    pub fn contradiction(
        &self,
        dialect: Dialect,
        variant: &str,
        flags: FlagSets<'_>,
        property: &dyn Fn(&str) -> bool,
    ) -> Option<Contradiction> {
        let newest = dialect.era >= Era::V157;
        let own = normalized(flags.own);
        let (extra, of_variant) = (normalized(flags.extra), normalized(flags.variant));
        let all = [own.clone(), extra.clone(), of_variant].concat();
        if newest && all.iter().any(|flag| flag == "--fuzzing") {
            return None;
        }
        // 15.7 looks at every flag of the command line, older runners at those of the test.
        let all = if newest { before_ignored([all, normalized(flags.mode)].concat()) } else { all };
        let looked_at = if newest { all.clone() } else { own };
        let negated: Vec<String> = all.iter().map(|flag| negation(flag)).collect();
        let mut found = None;
        let mut check = |incompatible: &[String], flags: &[String], rule: &str| {
            for flag in incompatible.iter().filter(|flag| has(flag, flags)) {
                found = Some(Contradiction { rule: rule.to_owned(), flag: flag.clone() });
            }
        };
        if self.flags.contains_key(variant) {
            check(&negated, &all, "Flag negations");
        }
        for (name, incompatible) in named(&self.per_variant, |name| name == variant) {
            check(incompatible, &looked_at, &format!("INCOMPATIBLE_FLAGS_PER_VARIANT[\"{name}\"]"));
        }
        let holds = |name: &str| match name.strip_prefix('!') {
            Some(name) => !property(name),
            None => property(name),
        };
        for (name, incompatible) in named(&self.per_build, holds) {
            check(incompatible, &looked_at, &format!("INCOMPATIBLE_FLAGS_PER_BUILD_VARIABLE[\"{name}\"]"));
        }
        for (name, incompatible) in named(&self.per_extra, |flag| has(flag, &extra)) {
            let rule = format!("INCOMPATIBLE_FLAGS_PER_EXTRA_FLAG[\"{name}\"]");
            if newest {
                let trigger = normal(name);
                let others: Vec<String> =
                    looked_at.iter().filter(|flag| **flag != trigger).cloned().collect();
                check(incompatible, &others, &rule);
            } else {
                check(incompatible, &looked_at, &rule);
            }
        }
        found
    }
}

fn named(table: &Flags, holds: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &[String])> {
    table.iter().filter(move |(name, _)| holds(name)).map(|(name, flags)| (name.as_str(), flags.as_slice()))
}

/// Flags behind `--flag-processing-mode=ignore-contradictions` do not count (15.7).
fn before_ignored(flags: Vec<String>) -> Vec<String> {
    flags.into_iter().take_while(|flag| flag != "--flag-processing-mode=ignore-contradictions").collect()
}

/// Only flags, `_` as `-`, `--no-x` as `--nox`.
fn normalized(flags: &[String]) -> Vec<String> {
    flags.iter().filter(|flag| flag.starts_with("--")).map(|flag| normal(flag)).collect()
}

fn normal(flag: &str) -> String {
    flag.replace('_', "-").replace("--no-", "--no")
}

fn negation(flag: &str) -> String {
    match flag.strip_prefix("--no") {
        Some(rest) => format!("--{rest}"),
        None => format!("--no{}", &flag[2..]),
    }
}

/// Whether a flag is there; a trailing `*` matches by prefix.
fn has(flag: &str, flags: &[String]) -> bool {
    let flag = normal(flag);
    flags.contains(&flag)
        || flag.strip_suffix('*').is_some_and(|prefix| flags.iter().any(|other| other.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::python::{Constants, Tables};

    fn find(era: Era, variant: &str, own: &[&str], extra: &[&str]) -> Option<String> {
        let dialect = Dialect::new(era);
        let table = VariantTable::new(Tables::default(), &Constants::new(), dialect);
        let owned = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        let (own, extra, of_variant) = (owned(own), owned(extra), table.flags(variant, false).to_vec());
        let flags = FlagSets { own: &own, variant: &of_variant, extra: &extra, mode: &[] };
        table.contradiction(dialect, variant, flags, &|name| name == "lite_mode").map(|found| found.rule)
    }

    #[test]
    fn negations_variants_builds_and_extra_flags_contradict() {
        assert_eq!(find(Era::V102, "default", &["--foo"], &[]), None);
        assert_eq!(find(Era::V102, "default", &["--foo", "--no-foo"], &[]).unwrap(), "Flag negations");
        assert_eq!(find(Era::V102, "default", &["--no_foo"], &["--foo"]).unwrap(), "Flag negations");
        let per_variant = "INCOMPATIBLE_FLAGS_PER_VARIANT[\"stress\"]";
        assert_eq!(find(Era::V102, "stress", &["--max-inlined-bytecode-size=7"], &[]).unwrap(), per_variant);
        let per_build = "INCOMPATIBLE_FLAGS_PER_BUILD_VARIABLE[\"lite_mode\"]";
        assert_eq!(find(Era::V102, "default", &["--max-semi-space-size=1"], &[]).unwrap(), per_build);
        let per_extra = "INCOMPATIBLE_FLAGS_PER_EXTRA_FLAG[\"--gc-interval=*\"]";
        assert_eq!(
            find(Era::V102, "default", &["--gc-interval=5"], &["--gc-interval=9"]).unwrap(),
            per_extra
        );
    }

    #[test]
    fn words_are_v8s() {
        let found = Contradiction { rule: "Flag negations".into(), flag: "--nofoo".into() };
        assert_eq!(
            found.to_string(),
            "Rule Flag negations in tools/testrunner/local/variants.py expected a flag contradiction error with \
             --nofoo."
        );
    }
}
