//! Names that stand for several suites (reference §1.6).
//!
//! Pure.

use crate::frontend::dialect::{Dialect, Era};
use crate::frontend::runner::Runner;

const OLD_DEFAULT: &str =
    "debugger mjsunit cctest wasm-spec-tests inspector mkgrokdump fuzzer message preparser intl unittests";
const OLD_BOT: &str = "debugger mjsunit cctest wasm-spec-tests inspector webkit mkgrokdump fuzzer message preparser intl unittests";
const DEFAULT: &str = "debugger mjsunit cctest wasm-spec-tests inspector mkgrokdump wasm-js fuzzer message intl unittests wasm-api-tests";
const BOT: &str = "debugger mjsunit cctest wasm-spec-tests inspector webkit mkgrokdump wasm-js fuzzer message intl unittests wasm-api-tests";
const NEWEST_BOT: &str = "debugger mjsunit cctest wasm-spec-tests inspector webkit bigint mkgrokdump wasm-js fuzzer message intl unittests wasm-api-tests filecheck";

/// The suites of a group; none if the name is no group. The tree's own table counts where it has one.
fn group(name: &str, runner: &Runner, dialect: Dialect) -> Option<Vec<String>> {
    if runner.has_groups() {
        return runner.group(name);
    }
    builtin(name, dialect).map(|suites| suites.split(' ').map(str::to_owned).collect())
}

fn builtin(name: &str, dialect: Dialect) -> Option<String> {
    let era = dialect.era;
    let suites = match (name, era) {
        ("default", Era::V2015) => "mjsunit cctest message preparser",
        ("optimize_for_size", Era::V2015) => "mjsunit cctest webkit",
        ("unittests", _) => "unittests",
        (_, Era::V2015) => return None,
        ("default", Era::V62) => OLD_DEFAULT,
        ("bot_default", Era::V62) => OLD_BOT,
        ("optimize_for_size", _) => "debugger mjsunit cctest inspector webkit intl",
        ("default", Era::V157) => return Some(format!("{DEFAULT} filecheck")),
        ("default", _) => DEFAULT,
        ("bot_default", Era::V157) => NEWEST_BOT,
        ("bot_default", _) => BOT,
        ("d8_default", Era::V157) => "debugger mjsunit webkit message intl filecheck",
        ("d8_default", Era::V102 | Era::V13) => "debugger mjsunit webkit message intl",
        _ => return None,
    };
    Some(suites.to_owned())
}

/// Whether a name is a group.
pub fn is_group(name: &str, runner: &Runner, dialect: Dialect) -> bool {
    group(name, runner, dialect).is_some()
}

/// Replaces groups by their suites. A build without internationalization has no `intl` in `default` and
/// `bot_default`.
pub fn expand(arguments: &[String], runner: &Runner, dialect: Dialect, i18n: bool) -> Vec<String> {
    let mut expanded = Vec::new();
    for argument in arguments {
        // 2015 without arguments means these, with intl where there is any.
        let first = argument == "default" && dialect.era == Era::V2015;
        let suites = if first {
            Some("mjsunit unittests cctest message preparser intl".split(' ').map(str::to_owned).collect())
        } else {
            group(argument, runner, dialect)
        };
        match suites {
            Some(suites) => {
                let dropped = |suite: &String| suite == "intl" && !i18n && argument.ends_with("default");
                expanded.extend(suites.into_iter().filter(|suite| !dropped(suite)));
            }
            None => expanded.push(argument.clone()),
        }
    }
    expanded
}

/// The suites that arguments name, each once, as first mentioned.
pub fn suites(arguments: &[String]) -> Vec<String> {
    let mut suites: Vec<String> = Vec::new();
    for argument in arguments {
        let name = argument.split('/').next().unwrap_or(argument);
        if !name.is_empty() && !suites.iter().any(|known| known == name) {
            suites.push(name.to_owned());
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(name: &str, era: Era, i18n: bool) -> Vec<String> {
        expand(&[name.to_owned()], &Runner::default(), Dialect::new(era), i18n)
    }

    #[test]
    fn groups_by_era() {
        assert_eq!(expanded("default", Era::V62, true).len(), 11);
        assert_eq!(expanded("default", Era::V157, true).last().unwrap(), "filecheck");
        assert!(!expanded("default", Era::V102, false).contains(&"intl".to_owned()));
        assert!(
            expanded("d8_default", Era::V102, false).contains(&"intl".to_owned())
                || !is_group("d8_default", &Runner::default(), Dialect::new(Era::V62))
        );
        assert_eq!(expanded("mjsunit/a*", Era::V102, true), ["mjsunit/a*"]);
        assert_eq!(expanded("d8_default", Era::V62, true), ["d8_default"], "6.2 had no such group");
    }

    #[test]
    fn suites_come_as_first_mentioned() {
        let arguments = ["webkit/a", "mjsunit", "webkit/b"].map(str::to_owned);
        assert_eq!(suites(&arguments), ["webkit", "mjsunit"]);
    }
}
