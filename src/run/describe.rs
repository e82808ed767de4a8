//! Cases as people and programs see them: names, flags and command lines as text (reference §6.2).
//!
//! Pure: made from what lowering says and the roots of this machine.

use std::path::Path;

use super::event::CaseInfo;
use crate::backend::Roots;
use crate::frontend::dialect::Dialect;
use crate::frontend::lower::{Lowered, is_heavy};
use crate::frontend::select::{Case, Selection};
use crate::frontend::status::Keyword;
use crate::job::Arg;

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
    /// How many arguments stand before the shell's own parameters.
    pub leading: usize,
}

impl Describe<'_> {
    /// Describes a case.
    pub fn case(&self, selection: &Selection, case: &Case, lowered: &Lowered) -> CaseInfo {
        let argv = self.argv(lowered);
        let command = joined(&argv);
        let cwd = format!("{}/", self.workspace.display());
        CaseInfo {
            index: lowered.job.id.sequence,
            name: selection.name(case),
            variant: self.variants[usize::from(case.subtest.variant)].clone(),
            variant_flags: lowered.variant_flags.clone(),
            test_flags: lowered.test_flags.clone(),
            arguments: argv.iter().skip(self.leading).cloned().collect(),
            shell: lowered.shell.clone(),
            relative_command: command.replace(&cwd, ""),
            repeat: self.repeat(&argv, lowered),
            command,
            expected: lowered.expectation.names(),
            negative: lowered.negative,
            marked_fail: case.matched.outcomes.has(Keyword::Fail)
                && !case.matched.outcomes.has(Keyword::Pass),
            slow: case.matched.outcomes.is_slow(self.dialect),
            heavy: is_heavy(case),
            random_seed: lowered.seed,
            why: why(selection, case),
        }
    }

    /// The command line, an argument an item.
    pub fn argv(&self, lowered: &Lowered) -> Vec<String> {
        lowered.job.argv.iter().map(|arg| self.text(arg)).collect()
    }

    /// Variables set on top of the runner's own environment.
    pub fn environment(&self, lowered: &Lowered) -> Vec<(String, String)> {
        lowered.job.env.iter().map(|(name, value)| (name.clone(), self.text(value))).collect()
    }

    fn text(&self, arg: &Arg) -> String {
        // Frontend paths stay below their roots; one that did not would not start, either.
        self.roots.resolve(arg).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// A line for a POSIX shell: the folder, the variables, the command.
    fn repeat(&self, argv: &[String], lowered: &Lowered) -> String {
        let quote = |text: &str| {
            shlex::try_quote(text).map_or_else(|_| format!("{text:?}"), std::borrow::Cow::into_owned)
        };
        let folder = quote(&self.workspace.to_string_lossy());
        let variables =
            self.environment(lowered).into_iter().map(|(name, value)| format!("{name}={}", quote(&value)));
        let words: Vec<String> = variables.chain(argv.iter().map(|arg| quote(arg))).collect();
        format!("cd {folder} && {}", words.join(" "))
    }
}

/// A case that has no command line.
pub fn unrunnable(selection: &Selection, case: &Case, variants: &[String], index: u32) -> CaseInfo {
    CaseInfo {
        index,
        name: selection.name(case),
        variant: variants[usize::from(case.subtest.variant)].clone(),
        variant_flags: Vec::new(),
        test_flags: Vec::new(),
        arguments: Vec::new(),
        shell: String::new(),
        command: String::new(),
        relative_command: String::new(),
        repeat: String::new(),
        expected: Vec::new(),
        negative: false,
        marked_fail: false,
        slow: false,
        heavy: false,
        random_seed: 0,
        why: why(selection, case),
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
