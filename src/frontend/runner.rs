//! What the tree's own runner says in plain tables: groups of suites, slow targets, factors, keys of a build.
//!
//! The tree under test is the authority; whatever its files do not say is left to the dialect. Reads the runner's files
//! once; runs nothing of them.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use super::python::{Constants, Literal, Tables, constants};

/// Files of the runner that hold tables, the later ones counting where two say the same.
const FILES: [&str; 4] = [
    "tools/run-tests.py",
    "tools/testrunner/standard_runner.py",
    "tools/testrunner/base_runner.py",
    "tools/testrunner/build_config.py",
];

/// A key of the build configuration that 7.x to 10.x insist on.
const KEY: &str = r#"build_config\[['"](\w+)['"]\]"#;

/// A factor on the timeout, as 7.x to 10.x wrote it.
const FACTOR: &str = r"if self\.build_config\.(\w+):\s+factor \*= ([0-9.]+)";

/// The tables of a tree's runner.
#[derive(Debug, Clone, Default)]
pub struct Runner {
    lists: Constants,
    keys: BTreeSet<String>,
    factors: Vec<(String, f64)>,
    text: String,
    complaints: Vec<String>,
}

impl Runner {
    /// Reads a tree's files; what is missing or no plain table is not there.
    pub fn read(workspace: &Path) -> Self {
        let mut runner = Runner::default();
        for file in FILES {
            let path = workspace.join(file);
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    runner.check(&path, &text);
                    runner.take(&text);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => runner
                    .complaints
                    .push(format!("cannot read {}: {error}; built-in tables are used", path.display())),
            }
        }
        runner
    }

    /// Complains of the tables that every runner writes down as plain ones, where they are not.
    fn check(&mut self, path: &Path, text: &str) {
        let mut tables = Tables::new(path, text);
        let _ = tables.take("TEST_MAP", |table| table.entries().map(|_| ()));
        let _ = tables.take("SLOW_ARCHS", Literal::texts);
        self.complaints.extend_from_slice(tables.complaints());
    }

    /// Tables of the runner that could not be read, each with file and line.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn take(&mut self, text: &str) {
        self.text.push_str(text);
        self.lists.extend(constants(text));
        if let Ok(pattern) = Regex::new(KEY) {
            self.keys.extend(pattern.captures_iter(text).map(|found| found[1].to_owned()));
        }
        if let Ok(pattern) = Regex::new(FACTOR) {
            let factor = |found: regex::Captures<'_>| Some((found[1].to_owned(), found[2].parse().ok()?));
            self.factors.extend(pattern.captures_iter(text).filter_map(factor));
        }
    }

    /// Whether a text stands anywhere in the runner's files.
    pub fn mentions(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// The bodies of all methods of a name.
    pub fn bodies(&self, method: &str) -> String {
        let definition = format!("def {method}(");
        let after = self.text.split(&definition).skip(1);
        after.map(|rest| rest.split("\n  def ").next().unwrap_or("")).collect()
    }

    /// Everything that is written down as a literal.
    pub(super) fn lists(&self) -> &Constants {
        &self.lists
    }

    /// The suites of a group; none if the runner has no table of groups or no such group in it.
    pub fn group(&self, name: &str) -> Option<Vec<String>> {
        let entries = self.groups()?.entries()?;
        entries.into_iter().find(|(known, _)| *known == name).and_then(|(_, suites)| suites.texts())
    }

    /// Whether the runner has a table of groups.
    pub fn has_groups(&self) -> bool {
        self.groups().is_some()
    }

    fn groups(&self) -> Option<&Literal> {
        self.lists.get("TEST_MAP").filter(|table| matches!(table, Literal::Dict(_)))
    }

    /// The modes of 2015 to 6.x.
    pub fn modes(&self) -> Option<&Literal> {
        self.lists.get("MODES").filter(|table| table.entries().is_some())
    }

    /// The targets that 2015 to 6.x know.
    pub fn archs(&self) -> Option<Vec<String>> {
        self.lists.get("SUPPORTED_ARCHS")?.texts()
    }

    /// Targets with a longer timeout.
    pub fn slow_archs(&self) -> Option<Vec<String>> {
        self.lists.get("SLOW_ARCHS")?.texts()
    }

    /// Factors on the timeout by property of the build, under the runner's own names for those.
    pub fn factors(&self) -> Option<Vec<(String, f64)>> {
        if let Some(table) = self.lists.get("SCALE_FACTOR").and_then(Literal::entries) {
            return table.into_iter().map(|(name, value)| Some((name.to_owned(), value.number()?))).collect();
        }
        (!self.factors.is_empty()).then(|| self.factors.clone())
    }

    /// Flags that the standard runner gives every test behind those of the mode; none where it has no table of them.
    pub fn default_flags(&self, framework: &str) -> Option<Vec<String>> {
        let entries = self.lists.get("DEFAULT_FLAGS")?.entries()?;
        entries.into_iter().find(|(name, _)| *name == framework).and_then(|(_, flags)| flags.texts())
    }

    /// Whether the runner cannot do without a key of the build configuration.
    pub fn needs_key(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_in_the_shape_of_every_era() {
        let mut old = Runner::default();
        old.take("TEST_MAP = {\n  'default': ['a', 'b'],\n}\nSLOW_ARCHS = ['arm']\n");
        assert_eq!(old.group("default"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((old.group("other"), old.has_groups()), (None, true));
        assert_eq!(old.slow_archs(), Some(vec!["arm".to_owned()]));
        let mut middle = Runner::default();
        middle.take("x = build_config['is_asan']\nif self.build_config.tsan:\n      factor *= 1.5\n");
        assert_eq!(middle.factors(), Some(vec![("tsan".to_owned(), 1.5)]));
        assert!(middle.needs_key("is_asan") && !middle.needs_key("is_msan"));
        let mut new = Runner::default();
        new.take(
            "SCALE_FACTOR = dict(full_debug=4, tsan=1.5)\nDEFAULT_FLAGS = {'standard_runner': ['--x']}\n",
        );
        assert_eq!(new.factors().unwrap(), [("full_debug".to_owned(), 4.0), ("tsan".to_owned(), 1.5)]);
        assert_eq!(new.default_flags("standard_runner"), Some(vec!["--x".to_owned()]));
        assert!(Runner::default().factors().is_none() && !Runner::default().has_groups());
    }

    #[test]
    fn the_patterns_compile() {
        assert!(Regex::new(KEY).is_ok() && Regex::new(FACTOR).is_ok());
    }
}
