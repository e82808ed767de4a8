//! Cases as people and programs see them: names, flags and command lines as text (reference §6.2).
//!
//! Pure: made from what lowering says and the roots of this machine.

use std::path::Path;

use super::event::CaseInfo;
use crate::backend::Roots;
use crate::frontend::lower::{Lowered, is_heavy};
use crate::frontend::select::{Case, Selection};
use crate::frontend::dialect::Dialect;

/// What describing needs beside the case.
#[derive(Debug, Clone, Copy)]
pub struct Describe<'a> {
    /// The tree's rules.
    pub dialect: Dialect,
    /// Roots of this machine.
    pub roots: &'a Roots,
    /// Names of the selected variants.
    pub variants: &'a [String],
    /// The workspace, absolute.
    pub workspace: &'a Path,
    /// How many arguments stand before the shell.
    pub prefix: usize,
}

impl Describe<'_> {
    /// Describes a case.
    pub fn case(&self, selection: &Selection, case: &Case, lowered: &Lowered) -> CaseInfo {
        let argv: Vec<String> = lowered
            .job
            .argv
            .iter()
            .map(|arg| self.roots.resolve(arg).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned()))
            .collect();
        let command = joined(&argv);
        let cwd = format!("{}/", self.workspace.display());
        CaseInfo {
            index: lowered.job.id.sequence,
            name: selection.name(case),
            variant: self.variants[usize::from(case.subtest.variant)].clone(),
            variant_flags: lowered.variant_flags.clone(),
            test_flags: lowered.test_flags.clone(),
            arguments: argv.iter().skip(self.prefix + 1).cloned().collect(),
            shell: lowered.shell.clone(),
            relative_command: command.replace(&cwd, ""),
            repeat: self.repeat(&argv, lowered),
            command,
            expected: lowered.expectation.names(),
            negative: lowered.negative,
            slow: case.matched.outcomes.is_slow(self.dialect),
            heavy: is_heavy(case),
            random_seed: lowered.seed,
            why: why(selection, case),
        }
    }

    /// A line for a POSIX shell: the folder, the variables, the command.
    fn repeat(&self, argv: &[String], lowered: &Lowered) -> String {
        let quote = |text: &str| shlex::try_quote(text).map_or_else(|_| format!("{text:?}"), |text| text.into_owned());
        let folder = quote(&self.workspace.to_string_lossy());
        let variables = lowered.job.env.iter().map(|(name, value)| {
            let value = self.roots.resolve(value).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
            format!("{name}={}", quote(&value))
        });
        let words: Vec<String> = variables.chain(argv.iter().map(|arg| quote(arg))).collect();
        format!("cd {folder} && {}", words.join(" "))
    }
}

/// The rules a case's outcomes come from, as `file:line: 'rule'`.
pub fn why(selection: &Selection, case: &Case) -> Vec<String> {
    let (suite, _) = selection.tests[case.test as usize];
    let rules = &selection.suites[usize::from(suite)].rules;
    case.matched.rules.iter().map(|rule| rules.origin(*rule).to_string()).collect()
}

/// Arguments joined by spaces; only those with a space are wrapped in double quotes, nothing is escaped.
pub fn joined(argv: &[String]) -> String {
    let wrap = |arg: &String| if arg.contains(' ') { format!("\"{arg}\"") } else { arg.clone() };
    argv.iter().map(wrap).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arguments_with_spaces_are_wrapped() {
        let argv = ["/x/d8", "-e", "a b", "c\"d"].map(str::to_owned);
        assert_eq!(joined(&argv), "/x/d8 -e \"a b\" c\"d");
    }
}
