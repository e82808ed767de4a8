//! test262 features that need flags: from the tree's own `test/test262/testcfg.py`, else a built-in table
//! (reference §4.8).

use std::path::Path;

use super::dialect::{Dialect, Era};
use super::hashed::dict_order;
use super::python::{Literal, Tables};

/// Features with their flags, in the order of the table, which is the order on the command line.
pub type Features = Vec<(String, Vec<String>)>;

/// The tree's map, and what of it could not be read.
pub fn features(test_root: &Path, dialect: Dialect) -> (Features, Vec<String>) {
    let mut tables = Tables::read(&test_root.join("test262/testcfg.py"));
    let own = tables.take("FEATURE_FLAGS", of_literal).unwrap_or_else(|| builtin(dialect));
    let names: Vec<&String> = own.iter().map(|(name, _)| name).collect();
    let ordered = match dialect.era {
        Era::V62 => dict_order(&names).into_iter().map(|at| own[at].clone()).collect(),
        _ => own,
    };
    (ordered, tables.complaints().to_vec())
}

fn of_literal(literal: &Literal) -> Option<Features> {
    let entry = |(name, flags): (&str, &Literal)| {
        let flags = match flags {
            Literal::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
            other => other.texts()?,
        };
        Some((name.to_owned(), flags))
    };
    literal.entries()?.into_iter().map(entry).collect()
}

fn builtin(dialect: Dialect) -> Features {
    let table = match dialect.era {
        Era::V2015 => &[],
        Era::V62 => FEATURES_62,
        Era::V102 | Era::V13 => FEATURES_13,
        Era::V157 => FEATURES_15,
    };
    let split = |flags: &str| flags.split(' ').map(str::to_owned).collect();
    table.iter().map(|(name, flags)| ((*name).to_owned(), split(flags))).collect()
}

/// V8 6.2.
const FEATURES_62: &[(&str, &str)] = &[
    ("object-rest", "--harmony-object-rest-spread"),
    ("object-spread", "--harmony-object-rest-spread"),
    ("async-iteration", "--harmony-async-iteration"),
    ("regexp-named-groups", "--harmony-regexp-named-captures"),
    ("regexp-unicode-property-escapes", "--harmony-regexp-property"),
    ("regexp-lookbehind", "--harmony-regexp-lookbehind"),
];

/// V8 13.
const FEATURES_13: &[(&str, &str)] = &[
    ("Intl.DurationFormat", "--harmony-intl-duration-format"),
    ("Intl.Locale-info", "--harmony-intl-locale-info-func"),
    ("FinalizationRegistry", "--harmony-weak-refs-with-cleanup-some"),
    ("WeakRef", "--harmony-weak-refs-with-cleanup-some"),
    ("host-gc-required", "--expose-gc-as=v8GC"),
    ("IsHTMLDDA", "--allow-natives-syntax"),
    ("import-assertions", "--harmony-import-assertions"),
    ("Temporal", "--harmony-temporal"),
    ("array-find-from-last", "--harmony-array-find-last"),
    ("ShadowRealm", "--harmony-shadow-realm"),
    ("regexp-v-flag", "--harmony-regexp-unicode-sets"),
    ("String.prototype.isWellFormed", "--harmony-string-is-well-formed"),
    ("String.prototype.toWellFormed", "--harmony-string-is-well-formed"),
    ("json-parse-with-source", "--harmony-json-parse-with-source"),
    ("iterator-helpers", "--harmony-iterator-helpers"),
    ("set-methods", "--harmony-set-methods"),
    ("promise-with-resolvers", "--js-promise-withresolvers"),
    ("import-attributes", "--harmony-import-attributes"),
    ("regexp-duplicate-named-groups", "--js-regexp-duplicate-named-groups"),
    ("regexp-modifiers", "--js-regexp-modifiers"),
    ("Float16Array", "--js-float16array"),
    ("explicit-resource-management", "--js_explicit_resource_management"),
    ("decorators", "--js-decorators"),
    ("promise-try", "--js-promise-try"),
    ("Atomics.pause", "--js-atomics-pause"),
];

/// V8 15.
const FEATURES_15: &[(&str, &str)] = &[
    ("FinalizationRegistry", "--harmony-weak-refs-with-cleanup-some"),
    ("WeakRef", "--harmony-weak-refs-with-cleanup-some"),
    ("host-gc-required", "--expose-gc-as=v8GC"),
    ("IsHTMLDDA", "--allow-natives-syntax"),
    ("import-assertions", "--harmony-import-assertions"),
    ("Temporal", "--harmony-temporal"),
    ("array-find-from-last", "--harmony-array-find-last"),
    ("ShadowRealm", "--harmony-shadow-realm"),
    ("String.prototype.isWellFormed", "--harmony-string-is-well-formed"),
    ("String.prototype.toWellFormed", "--harmony-string-is-well-formed"),
    ("json-parse-with-source", "--harmony-json-parse-with-source"),
    ("iterator-helpers", "--harmony-iterator-helpers"),
    ("set-methods", "--harmony-set-methods"),
    ("import-attributes", "--harmony-import-attributes"),
    ("regexp-modifiers", "--js-regexp-modifiers"),
    ("decorators", "--js-decorators"),
    ("iterator-sequencing", "--js-iterator-sequencing"),
    ("source-phase-imports", "--js-source-phase-imports --allow-natives-syntax"),
    ("nonextensible-applies-to-private", "--js-nonextensible-applies-to-private"),
    ("immutable-arraybuffer", "--js-immutable-arraybuffer"),
    ("import-defer", "--js-defer-import-eval"),
    ("Iterator.prototype.join", "--js-iterator-join"),
    ("joint-iteration", "--js-joint-iteration"),
    ("import-text", "--js-import-text"),
    ("import-bytes", "--js-import-bytes"),
    ("iterator-includes", "--js-iterator-includes"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_asked_before_the_table() {
        let dir = tempfile::tempdir().unwrap();
        let features_of = |era| features(dir.path(), Dialect::new(era)).0;
        let builtin = features_of(Era::V62);
        assert!(builtin.contains(&("async-iteration".into(), vec!["--harmony-async-iteration".into()])));
        std::fs::create_dir(dir.path().join("test262")).unwrap();
        std::fs::write(
            dir.path().join("test262/testcfg.py"),
            "import os\nFEATURE_FLAGS = {\n  'x': '--a --b',\n}\nclass T:\n  pass\n",
        )
        .unwrap();
        let own = features_of(Era::V157);
        assert_eq!(own, [("x".to_owned(), vec!["--a".to_owned(), "--b".to_owned()])]);
    }
}
