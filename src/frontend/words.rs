//! What V8's own runner says of a build before it runs anything (reference §1.4).
//!
//! Pure: lines from what was read. Three generations say it in three ways; the tree's own runner shows which is its.

use super::build::{Build, Property};
use super::dialect::Dialect;
use super::runner::Runner;
use super::status::{Value, Variables};

/// How a generation tells what a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Until 10.x: a property a line, in an order of its own.
    Lines,
    /// 11.x and 12.x: what is set, by name, on one line.
    Joined,
    /// Since 13: the variables of status files, on one line.
    Variables,
}

impl Manner {
    fn of(runner: &Runner, dialect: Dialect) -> Self {
        if runner.mentions(">>> Statusfile variables:") {
            return Manner::Variables;
        }
        if runner.mentions(">>> Autodetected:") {
            let joined = runner.mentions("sorted(bool_options");
            return if joined { Manner::Joined } else { Manner::Lines };
        }
        match dialect.version {
            (..=10, _) => Manner::Lines,
            (..=12, _) => Manner::Joined,
            _ => Manner::Variables,
        }
    }
}

/// V8's order of the properties it lists a line each, with the names it gives them.
const LISTED: &[(&str, &str)] = &[
    ("asan", "asan"),
    ("cfi_vptr", "cfi_vptr"),
    ("control_flow_integrity", "control_flow_integrity"),
    ("dcheck_always_on", "dcheck_always_on"),
    ("gcov_coverage", "gcov_coverage"),
    ("msan", "msan"),
    ("no_i18n", "no_i18n"),
    ("no_snap", "no_snap"),
    ("predictable", "predictable"),
    ("tsan", "tsan"),
    ("ubsan_vptr", "ubsan_vptr"),
    ("embedded_builtins", "embedded_builtins"),
    ("verify_csa", "verify_csa"),
    ("lite_mode", "lite_mode"),
    ("pointer_compression", "pointer_compression"),
    ("pointer_compression_shared_cage", "pointer_compression_shared_cage"),
    ("sandbox", "sandbox"),
    ("third_party_heap", "third_party_heap"),
    ("has_webassembly", "webassembly"),
    ("dict_property_const_tracking", "dict_property_const_tracking"),
];

/// The lines of a build: where it is, and what it is unless that is told later.
pub fn of_build(build: &Build, runner: &Runner, dialect: Dialect) -> Vec<String> {
    let mut lines = vec![format!("Build found: {}", build.dir.display())];
    let detected = match Manner::of(runner, dialect) {
        Manner::Lines => listed(build),
        Manner::Joined => joined(build).into_iter().collect(),
        Manner::Variables => Vec::new(),
    };
    if !detected.is_empty() {
        lines.push(">>> Autodetected:".to_owned());
        lines.extend(detected);
    }
    lines
}

fn listed(build: &Build) -> Vec<String> {
    let set = LISTED.iter().filter(|(name, _)| build.is(name));
    set.map(|(_, name)| (*name).to_owned()).collect()
}

fn joined(build: &Build) -> Option<String> {
    let mut items: Vec<String> = build
        .config
        .iter()
        .filter_map(|(name, value)| match value {
            Property::Bool(true) => Some(name.clone()),
            Property::Text(text) if !text.is_empty() => Some(format!("{name}=\"{text}\"")),
            Property::Bool(false) | Property::Text(_) => None,
        })
        .collect();
    items.sort();
    (!items.is_empty()).then(|| items.join(", "))
}

/// The lines that tell the variables of status files; none where that was not the way.
pub fn of_variables(variables: &Variables, build: &Build, runner: &Runner, dialect: Dialect) -> Vec<String> {
    if Manner::of(runner, dialect) != Manner::Variables {
        return Vec::new();
    }
    // Ours has more names than any one runner: what the tree's does not make up is not its.
    let made = runner.bodies("_get_statusfile_variables");
    let known = |name: &str| {
        let makes = |quote| made.contains(&format!("{quote}{name}{quote}:"));
        made.is_empty() || build.config.contains_key(name) || makes('"') || makes('\'')
    };
    let text = |name: &str, value: &Value| match value {
        // The name of a device that there is none of.
        Value::Text(text) if text.is_empty() && name == "device_type" => "None".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(int) => int.to_string(),
        // No variable is a list.
        Value::List(_) => String::new(),
    };
    let items = variables.iter().filter(|(name, _)| known(name));
    let items: Vec<String> = items.map(|(name, value)| format!("{name}={}", text(name, value))).collect();
    vec![">>> Statusfile variables:".to_owned(), items.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::dialect::Era;

    fn build() -> Build {
        let config = [
            ("asan", Property::Bool(true)),
            ("i18n", Property::Bool(false)),
            ("arch", Property::Text("x64".into())),
            ("mips_arch_variant", Property::Text(String::new())),
        ];
        let config: crate::frontend::build::Properties =
            config.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Build {
            dir: "/v8/out".into(),
            arch: "x64".into(),
            mode: "release".into(),
            execution_mode: "release".into(),
            status_mode: "release",
            mode_flags: Vec::new(),
            timeout_factor: 1.0,
            properties: config.clone(),
            config,
        }
    }

    #[test]
    fn every_generation_has_its_way() {
        let of = |era, version| {
            of_build(&build(), &Runner::default(), Dialect { version, ..Dialect::new(era) }).join("|")
        };
        assert_eq!(of(Era::V102, (10, 2)), "Build found: /v8/out|>>> Autodetected:|asan");
        assert_eq!(of(Era::V102, (12, 4)), "Build found: /v8/out|>>> Autodetected:|arch=\"x64\", asan");
        assert_eq!(of(Era::V13, (13, 8)), "Build found: /v8/out");
    }

    #[test]
    fn variables_are_told_as_python_prints_them() {
        let variables: Variables = [
            ("asan".to_owned(), Value::Bool(true)),
            ("DEBUG_defined".to_owned(), Value::Bool(false)),
            ("device_type".to_owned(), Value::Text(String::new())),
        ]
        .into_iter()
        .collect();
        let lines = |era| of_variables(&variables, &build(), &Runner::default(), Dialect::new(era));
        assert_eq!(
            lines(Era::V13),
            [">>> Statusfile variables:", "DEBUG_defined=False, asan=True, device_type=None"]
        );
        assert!(lines(Era::V102).is_empty());
    }
}
