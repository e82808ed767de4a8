//! Variants: which there are, their flags, and which flags of a test contradict them (reference §2.7, §3).
//!
//! Read from the tree's own Python files where they are plain literals, with built-in tables as the fallback.

mod builtin;
mod contradiction;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use contradiction::{Contradiction, FlagSets};

use super::dialect::{Dialect, Era};
use super::python::{Constants, Literal, Tables};
use super::runner::Runner;

/// Why variants cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum VariantError {
    /// A name that is neither a variant nor an alias.
    #[error("Unknown variant: {name}\nhint: variants are {}; aliases are {}", .variants.join(", "), .aliases.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        variants: Vec<String>,
        /// What stands for several.
        aliases: Vec<String>,
    },
}

/// Where a tree has its tables.
const FILE: &str = "tools/testrunner/local/variants.py";

/// Where 2015 has its table.
const FILE_2015: &str = "tools/testrunner/local/testsuite.py";

/// Names with flags, in the order of the file.
type Flags = Vec<(String, Vec<String>)>;

/// The variants of a tree.
#[derive(Debug, Clone)]
pub struct VariantTable {
    names: Vec<String>,
    flags: BTreeMap<String, Vec<String>>,
    fast: BTreeMap<String, Vec<String>>,
    slow_first: Vec<String>,
    fast_last: Vec<String>,
    aliases: BTreeMap<String, Vec<String>>,
    per_variant: Flags,
    per_build: Flags,
    per_extra: Flags,
    /// Which tables are the tree's own.
    own: Vec<&'static str>,
    complaints: Vec<String>,
}

impl VariantTable {
    /// Reads a tree's tables.
    pub fn read(workspace: &Path, runner: &Runner, dialect: Dialect) -> Self {
        let mut table = VariantTable::new(Tables::read(&workspace.join(FILE)), runner.lists(), dialect);
        if dialect.era == Era::V2015 {
            table.take_2015(Tables::read(&workspace.join(FILE_2015)));
        }
        table
    }

    /// 2015 has one table, with other code.
    fn take_2015(&mut self, mut tables: Tables) {
        if let Some(flags) = tables.take("VARIANT_FLAGS", flag_table) {
            self.names = flags.iter().map(|(name, _)| name.clone()).collect();
            self.flags = flags.into_iter().collect();
            self.own.push("VARIANT_FLAGS");
        }
        self.complaints.extend_from_slice(tables.complaints());
    }

    fn new(mut tables: Tables, lists: &Constants, dialect: Dialect) -> Self {
        let mut own = Vec::new();
        let builtin = Builtin::of(dialect);
        let mut pick = |name: &'static str, fallback: builtin::Table| match tables.take(name, flag_table) {
            Some(table) => {
                own.push(name);
                table
            }
            None => of_builtin(fallback),
        };
        let flags = pick("ALL_VARIANT_FLAGS", builtin.flags);
        let fast = pick("FAST_VARIANT_FLAGS", builtin.fast);
        let per_variant = pick("INCOMPATIBLE_FLAGS_PER_VARIANT", builtin.per_variant);
        let per_build = pick("INCOMPATIBLE_FLAGS_PER_BUILD_VARIABLE", builtin.per_build);
        let per_extra = pick("INCOMPATIBLE_FLAGS_PER_EXTRA_FLAG", builtin.per_extra);
        let mut list = |name: &str, fallback: &[&str]| {
            let own = tables.take(name, Literal::texts);
            own.unwrap_or_else(|| fallback.iter().map(|name| (*name).to_owned()).collect())
        };
        let slow_first = list("SLOW_VARIANTS", &["stress", "stress_snapshot", "nooptimization"]);
        let fast_last = list("FAST_VARIANTS", &["default"]);
        VariantTable {
            names: flags.iter().map(|(name, _)| name.clone()).collect(),
            aliases: aliases(lists, dialect),
            slow_first,
            fast_last,
            complaints: tables.complaints().to_vec(),
            flags: flags.into_iter().collect(),
            fast: fast.into_iter().collect(),
            per_variant,
            per_build,
            per_extra,
            own,
        }
    }

    /// Every variant, in the order of the table.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Names of the tables that are the tree's own.
    pub fn own_tables(&self) -> &[&'static str] {
        &self.own
    }

    /// Tables of the tree that could not be read, each with file and line.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// The flags of a variant; `fast` means those for FAST_VARIANTS tests.
    pub fn flags(&self, variant: &str, fast: bool) -> &[String] {
        let table = if fast { &self.fast } else { &self.flags };
        table.get(variant).or_else(|| self.flags.get(variant)).map_or(&[], Vec::as_slice)
    }

    /// The variants that a comma-separated list of names and aliases means, in the era's order, each once.
    ///
    /// # Errors
    /// On a name that is neither.
    pub fn resolve(&self, requested: Option<&str>, dialect: Dialect) -> Result<Vec<String>, VariantError> {
        let default = if dialect.era == Era::V2015 { "default,stress,turbofan,nocrankshaft" } else { "dev" };
        let mut wanted: Vec<String> = Vec::new();
        for name in requested.unwrap_or(default).split(',') {
            match self.aliases.get(name) {
                Some(variants) => wanted.extend(variants.iter().cloned()),
                None if self.flags.contains_key(name) => wanted.push(name.to_owned()),
                None => return Err(self.unknown(name)),
            }
        }
        if dialect.is_old() {
            // As typed: 6.2 puts them into a set, whose order depends on that.
            let mut seen = BTreeSet::new();
            wanted.retain(|name| seen.insert(name.clone()));
            return Ok(wanted);
        }
        let mut variants: Vec<String> =
            self.names.iter().filter(|name| wanted.contains(name)).cloned().collect();
        // V8's names for slow and fast ones, which a tree may have more of than it has variants.
        let place = |name: &String| match (self.slow_first.contains(name), self.fast_last.contains(name)) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        variants.sort_by_key(place);
        Ok(variants)
    }

    fn unknown(&self, name: &str) -> VariantError {
        let mut variants = self.names.clone();
        variants.sort();
        let aliases = self.aliases.keys().cloned().collect();
        VariantError::Unknown { name: name.to_owned(), variants, aliases }
    }
}

/// The fallback tables of an era.
struct Builtin {
    flags: builtin::Table,
    fast: builtin::Table,
    per_variant: builtin::Table,
    per_build: builtin::Table,
    per_extra: builtin::Table,
}

impl Builtin {
    fn of(dialect: Dialect) -> Self {
        use builtin::*;
        let plain = |flags, fast| Builtin { flags, fast, per_variant: &[], per_build: &[], per_extra: &[] };
        match dialect.era {
            Era::V2015 => plain(FLAGS_2015, &[]),
            Era::V62 => plain(FLAGS_62, FAST_62),
            Era::V102 => Builtin {
                flags: FLAGS_102,
                fast: &[],
                per_variant: PER_VARIANT_102,
                per_build: PER_BUILD_102,
                per_extra: PER_EXTRA_102,
            },
            Era::V13 | Era::V157 => Builtin {
                flags: FLAGS_152,
                fast: &[],
                per_variant: PER_VARIANT_152,
                per_build: PER_BUILD_152,
                per_extra: PER_EXTRA_152,
            },
        }
    }
}

fn of_builtin(table: builtin::Table) -> Flags {
    let split = |flags: &str| flags.split_whitespace().map(str::to_owned).collect();
    table.iter().map(|(name, flags)| ((*name).to_owned(), split(flags))).collect()
}

/// A table of flags: a list a name, or (until ~13) a list of lists of which only the first counts.
fn flag_table(literal: &Literal) -> Option<Flags> {
    let flags = |value: &Literal| match value {
        Literal::List(items) => match items.first() {
            Some(first @ Literal::List(_)) => first.texts(),
            _ => value.texts(),
        },
        _ => None,
    };
    literal.entries()?.into_iter().map(|(name, value)| Some((name.to_owned(), flags(value)?))).collect()
}

/// What stands for several variants (reference §3.2).
fn aliases(lists: &Constants, dialect: Dialect) -> BTreeMap<String, Vec<String>> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (more, extra) = match dialect.era {
        Era::V2015 => return BTreeMap::new(),
        Era::V62 => ("stress nooptimization stress_asm_wasm wasm_traps", ""),
        _ => (
            "jitless stress stress_js_bg_compile_wasm_code_gc stress_incremental_marking",
            "nooptimization future no_wasm_traps instruction_scheduling always_sparkplug",
        ),
    };
    let own = |name: &str| lists.get(name).and_then(Literal::texts);
    let dev = own("VARIANTS").unwrap_or_else(|| words("default"));
    let more = own("MORE_VARIANTS").unwrap_or_else(|| words(more));
    let exhaustive = [&more[..], &dev].concat();
    let mut aliases: BTreeMap<String, Vec<String>> =
        [("dev", dev), ("more", more), ("exhaustive", exhaustive), ("extra", words(extra))]
            .map(|(name, variants)| (name.to_owned(), variants))
            .into();
    let table = lists.get("VARIANT_ALIASES").and_then(Literal::entries).unwrap_or_default();
    aliases
        .extend(table.into_iter().filter_map(|(name, variants)| Some((name.to_owned(), variants.texts()?))));
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(text: &str) -> Tables {
        Tables::new(Path::new("variants.py"), text)
    }

    #[test]
    fn a_table_that_is_no_literal_falls_back_with_a_complaint() {
        let text = "from x import FLAGS\nALL_VARIANT_FLAGS = dict(FLAGS)\n";
        let table = VariantTable::new(tables(text), &Constants::new(), Dialect::new(Era::V102));
        assert!(table.names().contains(&"jitless".to_owned()));
        assert!(
            table.complaints()[0].starts_with("variants.py:2: ALL_VARIANT_FLAGS"),
            "{:?}",
            table.complaints()
        );
    }

    fn builtin(era: Era) -> VariantTable {
        VariantTable::new(Tables::default(), &Constants::new(), Dialect::new(era))
    }

    #[test]
    fn aliases_and_order_by_era() {
        let resolve = |era, names: &str| builtin(era).resolve(Some(names), Dialect::new(era)).unwrap();
        assert_eq!(resolve(Era::V62, "default,stress"), ["default", "stress"]);
        assert_eq!(resolve(Era::V102, "default,future,stress"), ["stress", "future", "default"]);
        assert_eq!(resolve(Era::V102, "exhaustive").last().unwrap(), "default");
        let dev = builtin(Era::V2015).resolve(None, Dialect::new(Era::V2015)).unwrap();
        assert_eq!(dev, ["default", "stress", "turbofan", "nocrankshaft"]);
        assert_eq!(builtin(Era::V157).resolve(None, Dialect::new(Era::V157)).unwrap(), ["default"]);
    }

    #[test]
    fn an_unknown_name_lists_what_there_is() {
        let error =
            builtin(Era::V102).resolve(Some("nope"), Dialect::new(Era::V102)).unwrap_err().to_string();
        assert!(error.starts_with("Unknown variant: nope") && error.contains("jitless"), "{error}");
    }

    #[test]
    fn the_trees_own_tables_win_in_both_shapes() {
        let text = "J = ['--opt']\nALL_VARIANT_FLAGS = {'a': [['--x', '--y'], ['--z']], 'b': [[]], 'default': [[]]}\n\
                    INCOMPATIBLE_FLAGS_PER_VARIANT = {'a': J + ['--q']}\n\
                    INCOMPATIBLE_FLAGS_PER_BUILD_VARIABLE = {'!v': INCOMPATIBLE_FLAGS_PER_VARIANT['a']}\n";
        let table = VariantTable::new(tables(text), &Constants::new(), Dialect::new(Era::V102));
        assert_eq!(table.names(), ["a", "b", "default"]);
        assert_eq!(table.flags("a", false), ["--x", "--y"]);
        assert_eq!(table.per_variant[0].1, ["--opt", "--q"]);
        assert_eq!(table.per_build[0], ("!v".to_owned(), vec!["--opt".to_owned(), "--q".to_owned()]));
        let flat = VariantTable::new(
            tables("ALL_VARIANT_FLAGS = {'a': ['--x'], 'b': []}"),
            &Constants::new(),
            Dialect::new(Era::V157),
        );
        assert_eq!((flat.flags("a", false), flat.flags("b", false).len()), (&["--x".to_owned()][..], 0));
    }
}
