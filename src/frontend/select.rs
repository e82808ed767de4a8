//! Tests + rules + options -> cases, in V8's order (reference §2.5, §3.4, §5.1, §5.7).
//!
//! Pure: the lists and rules were read before. What is left out keeps the reason and the rule it came from.

use std::sync::Arc;

use super::dialect::{Dialect, Era, Sharding};
use super::discover::matcher::Patterns;
use super::discover::{Subtest, Suite, Test};
use super::hashed::set_order;
use super::status::{Keyword, Matched, Outcomes, Rules};

/// What to do with tests that carry a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Only those.
    Run,
    /// All but those.
    Skip,
    /// Does not matter.
    #[default]
    Any,
}

impl Filter {
    fn drops(self, marked: bool) -> bool {
        match self {
            Filter::Run => !marked,
            Filter::Skip => marked,
            Filter::Any => false,
        }
    }
}

/// What the options say about selection.
#[derive(Debug, Clone)]
pub struct Criteria {
    /// The tree's rules.
    pub dialect: Dialect,
    /// Selected variants, in order.
    pub variants: Vec<String>,
    /// Every variant there is, in the order of the table.
    pub every_variant: Vec<String>,
    /// On SLOW.
    pub slow: Filter,
    /// On PASS+FAIL.
    pub pass_fail: Filter,
    /// On FLAKY (2015).
    pub flaky: Filter,
    /// SKIP does not count.
    pub run_skipped: bool,
    /// `(count, run from 1)`.
    pub shard: Option<(u64, u64)>,
    /// Copies of each subtest with seeds of their own.
    pub seeds: u32,
}

impl Criteria {
    /// Whether shards are cut in the order of Python 2's sets.
    fn is_hashed(&self) -> bool {
        self.dialect.era == Era::V62 && self.shard.is_some()
    }

    /// Positions of the variants in the order in which a suite goes through them: 6.2 has them in sets, which shows
    /// where it cuts shards.
    fn order(&self, suite: &Suite) -> Vec<usize> {
        if !self.is_hashed() {
            return (0..self.variants.len()).collect();
        }
        let names: Vec<&str> = self.variants.iter().map(String::as_str).collect();
        let asked = in_set_order(&names);
        // message asks for one more, which is none.
        let more = (suite.name() == "message").then_some("preparser");
        let asked: Vec<&str> = asked.into_iter().chain(more).collect();
        let all: Vec<&str> = self.every_variant.iter().map(String::as_str).collect();
        // The intersection goes through the smaller set.
        let smaller = if asked.len() > all.len() { &all } else { &asked };
        let common: Vec<&str> =
            in_set_order(smaller).into_iter().filter(|name| names.contains(name)).collect();
        let common = in_set_order(&common);
        common.iter().filter_map(|name| names.iter().position(|known| known == name)).collect()
    }
}

fn in_set_order<'a>(names: &[&'a str]) -> Vec<&'a str> {
    set_order(names).into_iter().map(|at| names[at]).collect()
}

/// One test to run in one way.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Index into [`Selection::tests`].
    pub test: u32,
    /// Which way.
    pub subtest: Subtest,
    /// Index among the test's subtests of the same strictness: the suffix of 10.2's subtest id.
    pub ordinal: u16,
    /// Which copy with a seed of its own, from 0.
    pub seed_copy: u32,
    /// What the status file says; one for all of which it says nothing.
    pub matched: Arc<Matched>,
}

/// A suite with what was listed and read of it.
#[derive(Debug)]
pub struct Listed {
    /// The suite.
    pub suite: Suite,
    /// Tests that match the command line, in listing order.
    pub tests: Vec<Test>,
    /// Files looked at before any filter.
    pub candidates: usize,
    /// Its status file under this build's properties.
    pub rules: Rules,
    /// Positions of the tests in the order in which 6.2 cuts shards, where that is not the order of the list.
    pub hashed: Option<Vec<u32>>,
}

impl Listed {
    /// Positions of the tests in the order in which they are gone through.
    fn order(&self, criteria: &Criteria) -> Vec<usize> {
        match &self.hashed {
            Some(order) if criteria.is_hashed() => order.iter().map(|at| *at as usize).collect(),
            _ => (0..self.tests.len()).collect(),
        }
    }
}

/// A case that does not run, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// Index of the suite.
    pub suite: u16,
    /// Index of the test in its suite.
    pub test: u32,
    /// Index of the variant; none when the test was left out in all of them.
    pub variant: Option<u16>,
    /// What was said of it.
    pub reason: Reason,
    /// The outcomes and rules that matched.
    pub matched: Matched,
}

/// Why a case does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// SKIP.
    Skip,
    /// `--slow-tests`.
    Slow,
    /// `--pass-fail-tests`.
    PassFail,
    /// `--flaky-tests`.
    Flaky,
    /// No selected variant suits it.
    NoVariant,
    /// Another shard has it.
    Shard,
    /// Not for predictable builds.
    Predictable,
}

/// What runs, and what does not.
#[derive(Debug, Default)]
pub struct Selection {
    /// Suites in order.
    pub suites: Vec<Listed>,
    /// `(suite, index in the suite)` of every test with a case.
    pub tests: Vec<(u16, u32)>,
    /// Cases in V8's order.
    pub cases: Vec<Case>,
    /// Files looked at before any filter.
    pub candidates: usize,
    /// Base tests that got as far as variants: the denominator of V8's percentage.
    pub base_tests: usize,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
    /// Outcomes of every matching test before any filter, for `--report`.
    pub outcomes: Vec<Outcomes>,
}

impl Selection {
    /// The suite and test of a case.
    pub fn test(&self, case: &Case) -> (&Suite, &Test) {
        let (suite, test) = self.tests[case.test as usize];
        let listed = &self.suites[usize::from(suite)];
        (&listed.suite, &listed.tests[test as usize])
    }

    /// `suite/path` of a case.
    pub fn name(&self, case: &Case) -> String {
        let (suite, test) = self.test(case);
        format!("{}/{}", suite.name(), test.name)
    }
}

impl Selection {
    /// Leaves out the cases that do not suit a predictable build; what suits one shows only once its source was read.
    pub fn keep_predictable(&mut self, suits: impl Fn(&Selection, &Case) -> bool) {
        let (kept, dropped): (Vec<Case>, Vec<Case>) =
            std::mem::take(&mut self.cases).into_iter().partition(|case| suits(self, case));
        self.cases = kept;
        for case in dropped {
            let (suite, test) = self.tests[case.test as usize];
            let variant = Some(case.subtest.variant);
            let reason = Reason::Predictable;
            let matched = Arc::unwrap_or_clone(case.matched);
            self.left_out.push(LeftOut { suite, test, variant, reason, matched });
        }
    }
}

/// Keeps the tests that the command line names.
pub fn named(tests: Vec<Test>, patterns: &Patterns) -> Vec<Test> {
    tests.into_iter().filter(|test| patterns.matches(&test.name)).collect()
}

/// Chooses the cases of all suites.
pub fn select(suites: Vec<Listed>, criteria: &Criteria) -> Selection {
    let mut selection =
        Selection { candidates: suites.iter().map(|listed| listed.candidates).sum(), ..Selection::default() };
    let nothing = Arc::new(Matched::default());
    for (index, listed) in suites.iter().enumerate() {
        let suite = u16::try_from(index).unwrap_or(u16::MAX);
        let order = criteria.order(&listed.suite);
        Chooser {
            criteria,
            suite,
            listed,
            order,
            shard_counter: 0,
            nothing: nothing.clone(),
            selection: &mut selection,
        }
        .choose();
    }
    selection.suites = suites;
    selection
}

/// Chooses the cases of one suite.
struct Chooser<'a> {
    criteria: &'a Criteria,
    suite: u16,
    listed: &'a Listed,
    /// Positions of the variants in the order in which shards are cut.
    order: Vec<usize>,
    /// What most tests match.
    nothing: Arc<Matched>,
    /// 2015/6.2: counts the suite's cases for round-robin shards.
    shard_counter: u64,
    selection: &'a mut Selection,
}

impl Chooser<'_> {
    fn choose(&mut self) {
        for index in self.listed.order(self.criteria) {
            let test = &self.listed.tests[index];
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let matched = self.listed.rules.independent(&test.name);
            self.selection.outcomes.push(matched.outcomes);
            match self.dropped(&matched, Pass::Independent) {
                Some(reason) => self.leave_out(index, None, reason, matched),
                None => self.expand(index, test, &matched),
            }
        }
    }

    fn dialect(&self) -> Dialect {
        self.criteria.dialect
    }

    /// Whether a filter drops what the status file says, in the first or second pass.
    fn dropped(&self, matched: &Matched, pass: Pass) -> Option<Reason> {
        let criteria = self.criteria;
        let era = self.dialect().era;
        if matched.filter_outcomes.has(Keyword::Skip) && !criteria.run_skipped {
            return Some(Reason::Skip);
        }
        // Since ~13 there is one filter, after variants.
        if pass == Pass::Independent && era >= Era::V13 {
            return None;
        }
        // 6.2 looks at marks in its second pass only when a rule of the variant matched.
        let looks = !(era == Era::V62 && pass == Pass::Variant && !matched.variant_matched);
        let outcomes = if looks { matched.filter_outcomes } else { Outcomes::EMPTY };
        let slow = outcomes.is_slow(self.dialect());
        let pass_fail = outcomes.is_pass_or_fail(self.dialect());
        [
            (criteria.slow.drops(slow), Reason::Slow),
            (criteria.pass_fail.drops(pass_fail), Reason::PassFail),
            (era == Era::V2015 && criteria.flaky.drops(outcomes.has(Keyword::Flaky)), Reason::Flaky),
        ]
        .into_iter()
        .find_map(|(dropped, reason)| dropped.then_some(reason))
    }

    fn leave_out(&mut self, test: u32, variant: Option<u16>, reason: Reason, matched: Matched) {
        self.selection.left_out.push(LeftOut { suite: self.suite, test, variant, reason, matched });
    }

    /// A test's subtests, through the second filter, the shard and the seeds.
    fn expand(&mut self, index: u32, test: &Test, independent: &Matched) {
        let mut subtests =
            self.listed.suite.subtests(test, &self.criteria.variants, independent.outcomes, self.dialect());
        subtests.sort_by_key(|subtest| {
            self.order.iter().position(|variant| *variant == usize::from(subtest.variant))
        });
        self.selection.base_tests += 1;
        if subtests.is_empty() {
            self.leave_out(index, None, Reason::NoVariant, independent.clone());
            return;
        }
        let position = u32::try_from(self.selection.tests.len()).unwrap_or(u32::MAX);
        let before = self.selection.cases.len();
        self.selection.tests.push((self.suite, index));
        let mut ordinals = [0u16; 2];
        for subtest in subtests {
            let ordinal = &mut ordinals[usize::from(subtest.strict)];
            let case = Case {
                test: position,
                subtest,
                ordinal: *ordinal,
                seed_copy: 0,
                matched: self.matched(test, &subtest, independent),
            };
            *ordinal += u16::from(!subtest.reverse);
            self.admit(index, test, case);
        }
        if self.selection.cases.len() == before {
            self.selection.tests.pop();
        }
    }

    fn matched(&self, test: &Test, subtest: &Subtest, independent: &Matched) -> Arc<Matched> {
        let matched = match self.dialect().era {
            Era::V2015 => independent.clone(),
            _ => self.listed.rules.matched(&test.name, &self.criteria.variants[usize::from(subtest.variant)]),
        };
        if matched == *self.nothing { self.nothing.clone() } else { Arc::new(matched) }
    }

    fn admit(&mut self, index: u32, test: &Test, case: Case) {
        let variant = Some(case.subtest.variant);
        // 2015 filtered once, before variants.
        let filtered = self.dialect().era != Era::V2015;
        let reason = filtered.then(|| self.dropped(&case.matched, Pass::Variant)).flatten();
        if let Some(reason) = reason {
            self.leave_out(index, variant, reason, Arc::unwrap_or_clone(case.matched));
            return;
        }
        // 2015/6.2 cut shards after copying for seeds, 10.2 before.
        let copies = self.criteria.seeds.max(1);
        let cut_each = self.dialect().is_old();
        for seed_copy in 0..copies {
            let elsewhere = (cut_each || seed_copy == 0).then(|| self.elsewhere(test, &case)).flatten();
            match elsewhere {
                Some(reason) => self.leave_out(index, variant, reason, Matched::clone(&case.matched)),
                None => self.selection.cases.push(Case { seed_copy, ..case.clone() }),
            }
            if elsewhere.is_some() && !cut_each {
                return;
            }
        }
    }

    fn elsewhere(&mut self, test: &Test, case: &Case) -> Option<Reason> {
        let (count, run) = self.criteria.shard?;
        let here = match self.dialect().sharding() {
            Sharding::PerSuite => {
                self.shard_counter += 1;
                (self.shard_counter - 1) % count == run - 1
            }
            Sharding::Hash => shard_hash(&self.subtest_id(test, case), count) + 1 == run,
        };
        (!here).then_some(Reason::Shard)
    }

    /// 10.2's id of a subtest: `<suite>/<name>.VariantProc-<variant>-<suffix>`.
    fn subtest_id(&self, test: &Test, case: &Case) -> String {
        let variant = &self.criteria.variants[usize::from(case.subtest.variant)];
        let suffix = self.listed.suite.subtest_suffix(&case.subtest, case.ordinal);
        format!("{}/{}.VariantProc-{variant}-{suffix}", self.listed.suite.name(), test.name)
    }
}

/// Which of V8's two passes over a status file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Independent,
    Variant,
}

/// 10.2's hash of a subtest id, in `0..count` (reference §5.7). `count` is at least 1.
pub fn shard_hash(id: &str, count: u64) -> u64 {
    let wide = u128::from(count);
    let step = |hash: u128, c: char| (hash * 127 + u128::from(u32::from(c))) % wide;
    u64::try_from(id.chars().fold(0, step)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_the_reference() {
        let counts = [2, 3, 4, 5, 7, 10, 16];
        for (id, shards) in [
            ("mjsunit/array-concat.VariantProc-default-0", [1, 1, 1, 0, 4, 5, 1]),
            ("mjsunit/array-concat.VariantProc-stress-0", [0, 2, 2, 2, 2, 2, 10]),
            ("sweet/good.VariantProc-default-1", [1, 1, 1, 3, 6, 3, 1]),
            ("cctest/test-api/Foo.VariantProc-default-0", [1, 2, 3, 1, 1, 1, 7]),
        ] {
            let hashes = counts.map(|count| shard_hash(id, count));
            assert_eq!(hashes, shards, "{id}");
        }
    }
}
