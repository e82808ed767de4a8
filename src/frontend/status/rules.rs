//! Sections under a build's variables -> rules; rules + test -> outcomes (reference §2.3-§2.5).
//!
//! Pure. Rules live in one table for all variants and one for each; a table holds exact names and prefixes. What one
//! table says of a name merges when it is built, what several tables say merges when a test asks.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::eval::{EvalError, Names, Value, Variables};
use super::outcome::{Keyword, Outcomes};
use super::parse::{Condition, Item, Outcome, RawRule, Section, StatusError, parse};
use crate::frontend::dialect::{Dialect, Era};

/// A status file, read but not yet evaluated.
#[derive(Debug, Clone)]
pub struct StatusFile {
    path: PathBuf,
    sections: Vec<Section>,
}

/// Something to tell about a status file that does not stop the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The unknown name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: u32,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, path, line) = (&self.name, self.path.display(), self.line);
        write!(f, "{path}:{line}: unknown identifier `{name}` is taken to be false")
    }
}

/// One merged rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(u32);

/// Where a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: Arc<Path>,
    /// Lines of the rules that merged into it, from 1.
    pub lines: Vec<u32>,
    /// The key as written.
    pub key: String,
    /// The variant, if it depends on one.
    pub variant: Option<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(u32::to_string).collect();
        write!(f, "{}:{}: '{}'", self.path.display(), lines.join(","), self.key)
    }
}

/// What the status file says of one test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matched {
    /// The outcomes.
    pub outcomes: Outcomes,
    /// What filters look at; differs in 2015, where a wildcard replaces outcomes but not marks.
    pub filter_outcomes: Outcomes,
    /// Flags of `'Flags: …'` outcomes that stand before the variant's (2015/6.2).
    pub flags: Vec<String>,
    /// Flags of `'Flags: …'` outcomes that stand behind the variant's (6.2, second pass).
    pub late_flags: Vec<String>,
    /// Outcomes that start with `--`.
    pub status_flags: Vec<String>,
    /// There are outcomes that are no keywords; with them the set is not empty.
    pub worded: bool,
    /// A rule of the variant's own table matched.
    pub variant_matched: bool,
    /// The rules.
    pub rules: Vec<RuleId>,
}

/// A merged rule's content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    key: String,
    lines: Vec<u32>,
    outcomes: Outcomes,
    texts: Vec<String>,
    table: usize,
}

/// Rules of one scope: all variants, or one.
#[derive(Debug, Clone, Default)]
struct Table {
    exact: HashMap<String, RuleId>,
    /// Sorted by prefix; each with the position of its longest proper prefix in the list.
    prefixes: Vec<(String, RuleId, Option<u32>)>,
    building: HashMap<String, RuleId>,
}

/// The rules of a status file under one build.
#[derive(Debug, Clone)]
pub struct Rules {
    path: Arc<Path>,
    rules: Vec<Rule>,
    /// For all variants, then one for each.
    tables: Vec<Table>,
    variants: Vec<String>,
    dialect: Dialect,
}

impl StatusFile {
    /// Reads a file. A missing file is an error, as in V8; [`StatusFile::empty`] is there for suites without one.
    ///
    /// # Errors
    /// When it cannot be read or is no status file.
    pub fn read(path: &Path, dialect: Dialect) -> Result<Self, StatusError> {
        let bytes = std::fs::read(path)
            .map_err(|source| StatusError::Unreadable { path: path.to_owned(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            StatusError::NotUtf8 { path: path.to_owned(), line }
        })?;
        StatusFile::parse(path, &text, dialect)
    }

    /// Parses a file's text.
    ///
    /// # Errors
    /// When it is no status file; the error shows the place.
    pub fn parse(path: &Path, text: &str, dialect: Dialect) -> Result<Self, StatusError> {
        Ok(StatusFile { path: path.to_owned(), sections: parse(path, text, dialect)? })
    }

    /// A file without rules.
    pub fn empty(path: &Path) -> Self {
        StatusFile { path: path.to_owned(), sections: Vec::new() }
    }

    /// The rules that hold under these variables.
    ///
    /// # Errors
    /// On a condition that has no boolean value; the error shows the place.
    pub fn evaluate(
        &self,
        variables: &Variables,
        variants: &[String],
        dialect: Dialect,
        warnings: &mut Vec<Warning>,
    ) -> Result<Rules, StatusError> {
        let mut builder = Builder {
            file: self,
            variables,
            variants,
            dialect,
            rules: Vec::new(),
            tables: vec![Table::default(); variants.len() + 1],
            warned: BTreeSet::new(),
            warnings,
        };
        self.sections.iter().try_for_each(|section| builder.section(section))?;
        let Builder { rules, mut tables, .. } = builder;
        tables.iter_mut().for_each(|table| table.finish(&rules));
        Ok(Rules { path: self.path.as_path().into(), rules, tables, variants: variants.to_vec(), dialect })
    }
}

struct Builder<'a, 'w> {
    file: &'a StatusFile,
    variables: &'a Variables,
    variants: &'a [String],
    dialect: Dialect,
    rules: Vec<Rule>,
    tables: Vec<Table>,
    warned: BTreeSet<String>,
    warnings: &'w mut Vec<Warning>,
}

impl Builder<'_, '_> {
    fn section(&mut self, section: &Section) -> Result<(), StatusError> {
        match self.holds(section.condition.as_ref(), None)? {
            Some(true) => self.add(section, None),
            Some(false) => Ok(()),
            None => {
                for index in 0..self.variants.len() {
                    if self.holds(section.condition.as_ref(), Some(index))? == Some(true) {
                        self.add(section, Some(index))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether a condition holds; none if that depends on the variant.
    fn holds(
        &mut self,
        condition: Option<&Condition>,
        variant: Option<usize>,
    ) -> Result<Option<bool>, StatusError> {
        let Some(condition) = condition else { return Ok(Some(true)) };
        let mut names = Names {
            variables: self.variables,
            variants: self.variants,
            variant: variant.map(|index| self.variants[index].as_str()),
            dialect: self.dialect,
            unknown: Vec::new(),
        };
        let value = names.eval(&condition.expression);
        let unknown = names.unknown;
        self.warn(unknown, condition);
        match value {
            Ok(Value::Bool(value)) => Ok(Some(value)),
            Ok(other) if self.dialect.era == Era::V2015 => {
                Ok(Some(!matches!(&other, Value::Text(text) if text.is_empty())))
            }
            Ok(_) => Err(at(condition, "Make sure expressions evaluate to boolean values")),
            Err(EvalError::VariantUnbound) => Ok(None),
            Err(EvalError::Bad(what)) => Err(at(condition, &what)),
        }
    }

    fn warn(&mut self, unknown: Vec<String>, condition: &Condition) {
        for name in unknown {
            if self.warned.insert(name.clone()) {
                self.warnings.push(Warning {
                    name,
                    path: self.file.path.clone(),
                    line: condition.place.line,
                });
            }
        }
    }

    fn add(&mut self, section: &Section, variant: Option<usize>) -> Result<(), StatusError> {
        for raw in &section.rules {
            let (outcomes, texts) = self.outcomes(raw, variant)?;
            if !outcomes.is_empty() || !texts.is_empty() {
                self.merge(raw, outcomes, texts, variant.map_or(0, |index| index + 1));
            }
        }
        Ok(())
    }

    fn outcomes(
        &mut self,
        raw: &RawRule,
        variant: Option<usize>,
    ) -> Result<(Outcomes, Vec<String>), StatusError> {
        let (mut outcomes, mut texts) = (Outcomes::EMPTY, Vec::new());
        for item in &raw.items {
            match item {
                Item::Outcome(outcome) => self.collect(outcome, &mut outcomes, &mut texts),
                Item::Conditional(condition, listed) => match self.holds(Some(condition), variant)? {
                    Some(true) => listed.iter().for_each(|one| self.collect(one, &mut outcomes, &mut texts)),
                    Some(false) => {}
                    None => return Err(at(condition, "Nested variant expressions are not supported")),
                },
            }
        }
        Ok((outcomes, texts))
    }

    /// Adds an outcome; 2015/6.2 expand the macros.
    fn collect(&self, outcome: &Outcome, outcomes: &mut Outcomes, texts: &mut Vec<String>) {
        match outcome {
            Outcome::Text(text) if texts.contains(text) => {}
            Outcome::Text(text) => texts.push(text.clone()),
            Outcome::Keyword(Keyword::FailOk) if self.dialect.is_old() => {
                *outcomes = outcomes.with(Keyword::Fail).with(Keyword::Okay);
            }
            Outcome::Keyword(Keyword::PassOrFail) => {
                *outcomes = outcomes.with(Keyword::Pass).with(Keyword::Fail);
            }
            Outcome::Keyword(keyword) => *outcomes = outcomes.with(*keyword),
        }
    }

    /// Within one table equal keys merge; a FAIL without PASS beats a PASS without FAIL since 6.2.
    fn merge(&mut self, raw: &RawRule, outcomes: Outcomes, texts: Vec<String>, table: usize) {
        let Some(id) = self.tables[table].building.get(&raw.key).copied() else {
            let id = RuleId(u32::try_from(self.rules.len()).unwrap_or(u32::MAX));
            self.tables[table].building.insert(raw.key.clone(), id);
            self.rules.push(Rule { key: raw.key.clone(), lines: vec![raw.line], outcomes, texts, table });
            return;
        };
        let rule = &mut self.rules[id.0 as usize];
        let (mut known, mut new) = (rule.outcomes, outcomes);
        if self.dialect.era >= Era::V62 {
            if joins_pass_and_fail(known, new, self.dialect) {
                known = known.without(Keyword::Pass);
            }
            if joins_pass_and_fail(new, known, self.dialect) {
                new = new.without(Keyword::Pass);
            }
        }
        rule.outcomes = known.union(new);
        rule.lines.push(raw.line);
        texts.into_iter().for_each(|text| {
            if !rule.texts.contains(&text) {
                rule.texts.push(text);
            }
        });
    }
}

/// The first has PASS and no FAIL, the second has FAIL.
fn joins_pass_and_fail(first: Outcomes, second: Outcomes, dialect: Dialect) -> bool {
    let fails = |set: Outcomes| set.has(Keyword::Fail) || (!dialect.is_old() && set.has(Keyword::FailOk));
    first.has(Keyword::Pass) && !fails(first) && fails(second)
}

fn at(condition: &Condition, what: &str) -> StatusError {
    StatusError::At { what: what.to_owned(), place: Box::new(condition.place.clone()), hint: None }
}

impl Table {
    /// Splits what was built into exact names and linked prefixes.
    fn finish(&mut self, rules: &[Rule]) {
        let mut prefixes: Vec<(String, RuleId)> = Vec::new();
        for (key, id) in std::mem::take(&mut self.building) {
            match key.strip_suffix('*') {
                Some(prefix) => prefixes.push((prefix.to_owned(), id)),
                None => {
                    self.exact.insert(key, id);
                }
            }
        }
        debug_assert!(prefixes.len() <= rules.len(), "a prefix is a rule");
        prefixes.sort();
        let mut chain: Vec<u32> = Vec::new();
        for (index, (prefix, id)) in prefixes.iter().enumerate() {
            while chain.last().is_some_and(|last| !prefix.starts_with(&prefixes[*last as usize].0)) {
                chain.pop();
            }
            self.prefixes.push((prefix.clone(), *id, chain.last().copied()));
            chain.push(u32::try_from(index).unwrap_or(u32::MAX));
        }
    }

    /// Prefix rules of a name, the longest first. Every stored prefix of the name is the greatest stored text not
    /// above the name, or one of the texts it is linked to.
    fn prefixes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = RuleId> + 'a {
        let above = self.prefixes.partition_point(|(prefix, _, _)| prefix.as_str() <= name);
        let mut next = above.checked_sub(1);
        std::iter::from_fn(move || {
            loop {
                let (prefix, id, parent) = self.prefixes.get(next?)?;
                next = parent.map(|parent| parent as usize);
                if name.starts_with(prefix.as_str()) {
                    return Some(*id);
                }
            }
        })
    }
}

impl Rules {
    /// What holds whatever the variant: V8's first pass.
    pub fn independent(&self, name: &str) -> Matched {
        let mut matched = Matched::default();
        let exact = self.collect(0, name, &mut matched);
        if exact {
            // 2015/6.2 take flags from the exact rule before they look at wildcards.
            let rule = matched.rules.first().map(|rule| &self.rules[rule.0 as usize]);
            matched.flags = rule.map(|rule| words(&rule.texts)).unwrap_or_default();
        }
        self.replace_2015(&mut matched);
        matched
    }

    /// What holds for one variant: both tables, merged.
    pub fn matched(&self, name: &str, variant: &str) -> Matched {
        let mut matched = self.independent(name);
        let Some(index) = self.variants.iter().position(|known| known == variant) else { return matched };
        let before = matched.rules.len();
        let exact = self.collect(index + 1, name, &mut matched);
        matched.variant_matched = matched.rules.len() > before;
        if exact && self.dialect.is_old() {
            // 6.2's second pass appends what it finds in the union so far, once more.
            let upto = matched.rules[..=before].iter();
            let mut texts: Vec<String> =
                upto.flat_map(|rule| self.rules[rule.0 as usize].texts.clone()).collect();
            texts.dedup();
            matched.late_flags = words(&texts);
        }
        matched
    }

    /// Unites what a table says of a name into `matched`; whether an exact rule did.
    fn collect(&self, table: usize, name: &str, matched: &mut Matched) -> bool {
        let table = &self.tables[table];
        let exact = table.exact.get(name).copied();
        for id in exact.into_iter().chain(table.prefixes(name)) {
            let rule = &self.rules[id.0 as usize];
            matched.outcomes = matched.outcomes.union(rule.outcomes);
            matched.worded |= !rule.texts.is_empty();
            for text in rule.texts.iter().filter(|text| text.starts_with("--")) {
                let flags = text.split_whitespace().map(str::to_owned);
                if self.dialect.is_old() {
                    matched.status_flags.push(text.clone());
                } else if !matched.status_flags.contains(text) {
                    matched.status_flags.extend(flags);
                }
            }
            matched.rules.push(id);
        }
        matched.filter_outcomes = matched.outcomes;
        exact.is_some()
    }

    /// 2015: the last matching wildcard replaces the outcomes; filters still look at all of them.
    fn replace_2015(&self, matched: &mut Matched) {
        if self.dialect.era != Era::V2015 {
            return;
        }
        let wildcards = matched.rules.iter().map(|rule| &self.rules[rule.0 as usize]);
        let last =
            wildcards.filter(|rule| rule.key.ends_with('*')).max_by_key(|rule| rule.lines.last().copied());
        if let Some(rule) = last {
            matched.outcomes = rule.outcomes;
        }
    }

    /// Where a rule comes from.
    pub fn origin(&self, rule: RuleId) -> Origin {
        let rule = &self.rules[rule.0 as usize];
        Origin {
            path: self.path.clone(),
            lines: rule.lines.clone(),
            key: rule.key.clone(),
            variant: rule.table.checked_sub(1).map(|index| self.variants[index].clone()),
        }
    }

    /// Rules that are not among those seen, in V8's words (reference §6.3).
    pub fn unused(&self, seen: &BTreeSet<RuleId>, dialect: Dialect) -> Vec<String> {
        let ids = (0..self.rules.len()).map(|index| RuleId(u32::try_from(index).unwrap_or(u32::MAX)));
        let mut unused: Vec<(usize, bool, RuleId)> = ids
            .filter(|id| !seen.contains(id))
            .map(|id| (self.rules[id.0 as usize].table, self.rules[id.0 as usize].key.ends_with('*'), id))
            .collect();
        unused.sort();
        unused.into_iter().map(|(_, _, id)| self.unused_line(id, dialect)).collect()
    }

    fn unused_line(&self, id: RuleId, dialect: Dialect) -> String {
        let rule = &self.rules[id.0 as usize];
        let quoted = |text: &str| format!("'{text}'");
        let names = rule.outcomes.iter().map(|keyword| quoted(keyword.name()));
        let outcomes: Vec<String> = names.chain(rule.texts.iter().map(|text| quoted(text))).collect();
        let line = format!("Unused rule: {} -> frozenset([{}])", rule.key, outcomes.join(", "));
        match (dialect.era, rule.table.checked_sub(1)) {
            (Era::V2015, _) => line,
            (_, None) => format!("{line} (variant independent)"),
            (_, Some(variant)) => format!("{line} (variant: {})", self.variants[variant]),
        }
    }
}

/// The flags of `'Flags: a b'` texts.
fn words(texts: &[String]) -> Vec<String> {
    let flags = texts.iter().filter_map(|text| text.strip_prefix("Flags: "));
    flags.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Keyword::{Crash, Fail, NoVariants, Pass, Skip, Slow};
    use proptest::prelude::*;

    fn rules(text: &str, era: Era) -> Rules {
        let dialect = Dialect::new(era);
        let file = StatusFile::parse(Path::new("t.status"), text, dialect).unwrap();
        let variables = [("arch".to_owned(), Value::Text("x64".into()))].into();
        let variants = ["default", "stress"].map(str::to_owned);
        file.evaluate(&variables, &variants, dialect, &mut Vec::new()).unwrap()
    }

    fn outcomes(text: &str, era: Era, name: &str) -> Outcomes {
        rules(text, era).matched(name, "default").outcomes
    }

    fn of(keywords: &[Keyword]) -> Outcomes {
        Outcomes::of(keywords)
    }

    #[test]
    fn equal_keys_of_one_table_merge_with_fail_before_pass() {
        let text = "[[ALWAYS, {'a': [PASS, SLOW], 'b': [PASS, FAIL]}], [ALWAYS, {'a': [FAIL], 'b': [FAIL]}]]";
        assert_eq!(outcomes(text, Era::V102, "a"), of(&[Fail, Slow]));
        assert_eq!(outcomes(text, Era::V102, "b"), of(&[Pass, Fail]));
        assert_eq!(outcomes(text, Era::V2015, "a"), of(&[Pass, Fail, Slow]));
    }

    #[test]
    fn tables_unite_plainly() {
        let text = "[[ALWAYS, {'ab': [PASS, SLOW], 'a*': [FAIL]}], ['variant == stress', {'ab': [SKIP]}]]";
        assert_eq!(outcomes(text, Era::V102, "ab"), of(&[Pass, Fail, Slow]));
        let stress = rules(text, Era::V102).matched("ab", "stress");
        assert_eq!(stress.outcomes, of(&[Pass, Fail, Slow, Skip]));
        assert!(stress.variant_matched);
    }

    #[test]
    fn in_2015_a_wildcard_replaces_the_exact_rule_but_filters_see_both() {
        let text = "[[ALWAYS, {'ab': [PASS, SLOW], 'a*': [FAIL]}]]";
        let matched = rules(text, Era::V2015).independent("ab");
        assert_eq!(matched.outcomes, of(&[Fail]));
        assert_eq!(matched.filter_outcomes, of(&[Pass, Fail, Slow]));
    }

    #[test]
    fn the_last_of_equal_keys_in_one_dictionary_counts() {
        assert_eq!(outcomes("[[ALWAYS, {'a': [FAIL], 'a': [CRASH]}]]", Era::V102, "a"), of(&[Crash]));
    }

    #[test]
    fn conditional_items_count_when_their_condition_holds() {
        let text = "[[ALWAYS, {'a': [PASS, ['arch == x64', SLOW, NO_VARIANTS], ['arch == arm', SKIP]]}]]";
        assert_eq!(outcomes(text, Era::V102, "a"), of(&[Pass, Slow, NoVariants]));
        assert_eq!(outcomes("[[ALWAYS, {'a': [['arch == arm', SKIP]]}]]", Era::V102, "a"), Outcomes::EMPTY);
    }

    #[test]
    fn flags_follow_the_passes_of_6_2() {
        let text =
            "[[ALWAYS, {'a': ['Flags: --x'], 'a*': ['Flags: --y']}], ['variant == stress', {'a': [PASS]}]]";
        let rules = rules(text, Era::V62);
        let default = rules.matched("a", "default");
        assert_eq!((default.flags, default.late_flags), (vec!["--x".to_owned()], vec![]));
        let stress = rules.matched("a", "stress");
        assert_eq!(stress.late_flags, ["--x", "--y"]);
        let other = rules.matched("ab", "default");
        assert_eq!(other.flags, Vec::<String>::new(), "a wildcard alone adds no flags");
    }

    #[test]
    fn errors_show_the_place() {
        for (text, words) in [
            ("[[ALWAYS, {'a': [NOPE]}]]", "name 'NOPE' is not defined"),
            ("[['arch', {'a': [PASS]}]]", "boolean"),
            ("[[ALWAYS]]", "exactly 2"),
            ("[[ALWAYS, {'': PASS}]]", "empty"),
            ("[[ALWAYS, {'a': PASS}", "syntax error"),
            ("[[ALWAYS, {'a': [PASS, ['variant == stress', SLOW]]}]]", "Nested variant"),
            ("[['arch ==', {}]]", "syntax error in a condition"),
        ] {
            let dialect = Dialect::new(Era::V102);
            let error = StatusFile::parse(Path::new("t.status"), text, dialect)
                .and_then(|file| {
                    let variables = [("arch".to_owned(), Value::Text("x64".into()))].into();
                    file.evaluate(&variables, &["stress".to_owned()], dialect, &mut Vec::new())
                })
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(error.contains(words) && error.contains("t.status:1:") && error.contains('^'), "{error}");
        }
    }

    #[test]
    fn an_unknown_name_warns_once() {
        let dialect = Dialect::new(Era::V102);
        let text = "[\n['no_such', {}],\n['no_such', {}],\n]";
        let file = StatusFile::parse(Path::new("t.status"), text, dialect).unwrap();
        let mut warnings = Vec::new();
        file.evaluate(&Variables::new(), &[], dialect, &mut warnings).unwrap();
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].to_string(), "t.status:2: unknown identifier `no_such` is taken to be false");
    }

    #[test]
    fn a_file_that_is_not_utf8_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.status");
        std::fs::write(&path, b"[\n'\xff']").unwrap();
        let error = StatusFile::read(&path, Dialect::new(Era::V102)).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,120}", python in "[\\[\\]{}()'\",:a-zA-Z \n*]{0,120}") {
            for text in [&text, &python] {
                for era in [Era::V2015, Era::V62, Era::V157] {
                    let dialect = Dialect::new(era);
                    if let Ok(file) = StatusFile::parse(Path::new("x"), text, dialect) {
                        let _ = file.evaluate(&Variables::new(), &[], dialect, &mut Vec::new());
                    }
                }
            }
        }

        /// The linked prefixes find exactly what a scan over all of them finds.
        #[test]
        fn prefixes_agree_with_a_scan(
            keys in proptest::collection::btree_set("[ab/]{0,4}", 0..12),
            name in "[ab/]{0,6}",
        ) {
            let body: Vec<String> = keys.iter().map(|key| format!("'{key}*': [FAIL]")).collect();
            let rules = rules(&format!("[[ALWAYS, {{{}}}]]", body.join(", ")), Era::V102);
            let mut found: Vec<String> =
                rules.independent(&name).rules.iter().map(|rule| rules.origin(*rule).key).collect();
            found.sort();
            let mut wanted: Vec<String> =
                keys.iter().filter(|key| name.starts_with(key.as_str())).map(|key| format!("{key}*")).collect();
            wanted.sort();
            prop_assert_eq!(found, wanted);
        }

        /// The order of sections does not matter for the union across keys.
        #[test]
        fn sections_of_different_keys_commute(swap in any::<bool>()) {
            let (a, b) = ("[ALWAYS, {'x': [PASS, SLOW]}]", "[ALWAYS, {'x*': [FAIL]}]");
            let text = if swap { format!("[{b}, {a}]") } else { format!("[{a}, {b}]") };
            prop_assert_eq!(outcomes(&text, Era::V102, "x"), of(&[Pass, Slow, Fail]));
        }
    }
}
