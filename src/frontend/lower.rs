//! Case + build -> job: the command line, byte for byte V8's (reference §4 "Command shape", §5.4, §5.5).
//!
//! Reads the test's source through its suite; starts nothing and knows no worker. Called when a slot is about to run
//! the case, so that no more command lines are in memory than run.

use std::time::Duration;

use super::build::Build;
use super::dialect::{Dialect, Era};
use super::discover::{Check, DiscoverError, Part, Recipe, Shell, SuiteContext};
use super::select::{Case, Selection};
use super::status::{Expectation, Keyword, expectation};
use super::variants::VariantTable;
use crate::engine::Engine;
use crate::job::{Arg, Job, JobId, Limits, Root, RootedPath};

/// Bytes kept of each stream of a test.
pub const OUTPUT_CAP: u64 = 10 << 20;

/// What all cases of one build share.
#[derive(Debug)]
pub struct Lowering<'a> {
    /// What the suites need.
    pub context: SuiteContext<'a>,
    /// The build.
    pub build: &'a Build,
    /// What runs the JavaScript.
    pub engine: &'a Engine,
    /// The tree's variants.
    pub variants: &'a VariantTable,
    /// Names of the selected variants.
    pub selected: &'a [String],
    /// Stands before every command.
    pub prefix: &'a [String],
    /// Flags for every command.
    pub extra_flags: &'a [String],
    /// `--isolates`.
    pub isolates: bool,
    /// The run's seed; none when each subtest has its own.
    pub seed: Option<i64>,
    /// Draws a subtest's own seed.
    pub draw_seed: fn(case: u64) -> i64,
    /// Timeout before any factor.
    pub timeout: Duration,
}

/// A case ready to run and to be judged.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// What runs.
    pub job: Job,
    /// How its output is judged.
    pub check: Check,
    /// The check is inverted.
    pub negative: bool,
    /// Which outcomes are as expected.
    pub expectation: Expectation,
    /// Why a flag contradiction is expected.
    pub contradiction: Option<String>,
    /// Where `--regenerate-expected-files` writes.
    pub expected_file: Option<std::path::PathBuf>,
    /// Name of the shell.
    pub shell: String,
    /// Flags of the variant (with `--use-strict` where test262 doubles).
    pub variant_flags: Vec<String>,
    /// Flags of the variant and of the status file: what 2015/6.2 call the test's flags.
    pub test_flags: Vec<String>,
    /// The seed on the command line; 0 if none.
    pub seed: i64,
}

impl Lowering<'_> {
    fn dialect(&self) -> Dialect {
        self.context.dialect
    }

    /// Makes the job of a case.
    ///
    /// # Errors
    /// When the test's files vanished or cannot be understood.
    pub fn lower(&self, selection: &Selection, case: &Case, index: u32) -> Result<Lowered, DiscoverError> {
        let (suite, test) = selection.test(case);
        let recipe = suite.recipe(&self.context, test, &case.subtest)?;
        let flags = Flags::of(self, case, &recipe);
        let seed = self.seed_of(case, index);
        let parameters = self.parameters(&recipe, &flags, seed);
        let strict = case.subtest.strict;
        let contradiction = self.contradiction(case, &recipe, &flags);
        let expectation = match &contradiction {
            Some(_) => Expectation::only_fail(),
            None => expectation(&case.matched, self.dialect(), suite.is_test262(), strict),
        };
        let slow = case.matched.outcomes.is_slow(self.dialect());
        let limits = Limits {
            wall: self.wall(&recipe, &parameters, slow),
            output: OUTPUT_CAP,
            ladder: self.dialect().ladder(),
        };
        Ok(Lowered {
            job: Job {
                id: JobId { run: 0, sequence: index, attempt: 0 },
                argv: self.argv(&recipe, parameters),
                env: self.environment(&recipe),
                cwd: RootedPath { root: Root::Workspace, path: String::new() },
                limits,
            },
            negative: recipe.negative || case.subtest.reverse,
            expectation,
            contradiction,
            expected_file: recipe.expected_file,
            shell: match &recipe.shell {
                Shell::Named(name) => name.clone(),
                Shell::Command(_) => "command".to_owned(),
            },
            check: recipe.check,
            variant_flags: flags.variant,
            test_flags: flags.test,
            seed,
        })
    }

    fn seed_of(&self, case: &Case, index: u32) -> i64 {
        self.seed.unwrap_or_else(|| (self.draw_seed)(u64::from(index) << 32 | u64::from(case.seed_copy)))
    }

    /// Everything behind the shell.
    fn parameters(&self, recipe: &Recipe, flags: &Flags, seed: i64) -> Vec<Arg> {
        let mut parameters = if self.dialect().is_old() {
            self.old_parameters(recipe, flags, seed)
        } else {
            self.modern_parameters(recipe, flags, seed)
        };
        if let Some(dropped) = recipe.dropped_flag {
            parameters.retain(|arg| !matches!(arg, Arg::Text(text) if text == dropped));
        }
        // 2015 and 6.2 drop empty arguments before they start a process.
        if self.dialect().is_old() {
            parameters.retain(|arg| !matches!(arg, Arg::Text(text) if text.is_empty()));
        }
        parameters
    }

    fn test_flag(&self, recipe: &Recipe) -> Option<&'static str> {
        (recipe.shell == Shell::Named("d8".to_owned())).then_some("--test")
    }

    fn files(&self, recipe: &Recipe) -> Vec<Arg> {
        let mut files = recipe.files.clone();
        if self.isolates && recipe.isolates {
            files.push(Arg::Text("--isolate".to_owned()));
            files.extend(recipe.files.iter().cloned());
        }
        files
    }

    /// Since 10.2: files first, then every kind of flag in a fixed order.
    fn modern_parameters(&self, recipe: &Recipe, flags: &Flags, seed: i64) -> Vec<Arg> {
        let mut parameters = texts(self.test_flag(recipe).as_slice());
        parameters.extend(self.files(recipe));
        parameters.push(Arg::Text(format!("--random-seed={seed}")));
        if recipe.bare {
            parameters.extend(texts(self.extra_flags));
            return parameters;
        }
        for group in [&self.build.mode_flags[..], self.extra_flags, &flags.variant, &recipe.source_flags] {
            parameters.extend(texts(group));
        }
        parameters.extend(texts(&recipe.suite_flags));
        parameters.extend(texts(&flags.status));
        parameters
    }

    /// 2015 and 6.2: the suite's own order, extra flags last.
    fn old_parameters(&self, recipe: &Recipe, flags: &Flags, seed: i64) -> Vec<Arg> {
        let mut parameters = texts(self.test_flag(recipe).as_slice());
        // With several seeds a test, 6.2 puts each one's among the test's flags.
        if self.seed.is_some() || self.dialect().era == Era::V2015 {
            parameters.push(Arg::Text(format!("--random-seed={seed}")));
        }
        for part in recipe.layout {
            match part {
                Part::TestFlags => {
                    parameters.extend(texts(&flags.test));
                    if self.seed.is_none() && self.dialect().era == Era::V62 {
                        parameters.push(Arg::Text(format!("--random-seed={seed}")));
                    }
                }
                Part::Mode => parameters.extend(texts(&self.build.mode_flags)),
                Part::Source => parameters.extend(texts(&recipe.source_flags)),
                Part::Suite => parameters.extend(texts(&recipe.suite_flags)),
                Part::Files => parameters.extend(self.files(recipe)),
                Part::SuiteTail => parameters.extend(texts(&recipe.suite_tail)),
                Part::StatusFlags => parameters.extend(texts(&flags.status)),
                Part::Features => parameters.extend(texts(&recipe.feature_flags)),
            }
        }
        parameters.extend(texts(self.extra_flags));
        parameters
    }

    fn argv(&self, recipe: &Recipe, parameters: Vec<Arg>) -> Vec<Arg> {
        let mut argv = texts(self.prefix);
        match &recipe.shell {
            Shell::Named(name) => argv.extend(self.engine.program(name, &parameters, self.dialect())),
            Shell::Command(command) => argv.extend(command.iter().cloned()),
        }
        argv.extend(self.engine.arguments(parameters));
        argv
    }

    fn environment(&self, recipe: &Recipe) -> Vec<(String, Arg)> {
        let mut env = self.context.sanitizer_environment(self.build);
        env.extend(recipe.env.iter().cloned());
        env
    }

    fn contradiction(&self, case: &Case, recipe: &Recipe, flags: &Flags) -> Option<String> {
        if self.dialect().is_old() || recipe.bare {
            return None;
        }
        let own: Vec<String> =
            [&recipe.source_flags[..], &recipe.suite_flags, &flags.status].concat();
        let variant = &self.selected[usize::from(case.subtest.variant)];
        let found = self.variants.contradiction(
            self.dialect(),
            variant,
            &own,
            &flags.variant,
            self.extra_flags,
            &self.build.mode_flags,
            &|name| self.build.is(name),
        );
        found.map(|contradiction| contradiction.to_string())
    }

    fn wall(&self, recipe: &Recipe, parameters: &[Arg], slow: bool) -> Duration {
        let texts: Vec<String> = parameters
            .iter()
            .filter_map(|arg| match arg {
                Arg::Text(text) => Some(text.clone()),
                Arg::Path(_) | Arg::Relative(_) | Arg::Within { .. } => None,
            })
            .collect();
        let factor = self.build.timeout_factor
            * self.dialect().case_factor(&texts, slow)
            * f64::from(recipe.timeout_factor.max(1));
        self.timeout.mul_f64(factor)
    }
}

/// The flags of one case by origin.
struct Flags {
    /// Of the variant.
    variant: Vec<String>,
    /// Of the status file, starting `--`.
    status: Vec<String>,
    /// Of the variant and of `'Flags: …'` outcomes.
    test: Vec<String>,
}

impl Flags {
    fn of(lowering: &Lowering<'_>, case: &Case, _recipe: &Recipe) -> Self {
        let name = &lowering.selected[usize::from(case.subtest.variant)];
        let mut variant = lowering.variants.flags(name, case.subtest.fast).to_vec();
        if case.subtest.strict {
            variant.push("--use-strict".to_owned());
        }
        let (status, worded): (Vec<String>, Vec<String>) = if lowering.dialect().is_old() {
            (case.matched.status_flags.clone(), case.matched.flags.clone())
        } else {
            (case.matched.flags.clone(), Vec::new())
        };
        let test = [&variant[..], &worded].concat();
        Flags { variant, status, test }
    }
}

fn texts<T: AsRef<str>>(texts: &[T]) -> Vec<Arg> {
    texts.iter().map(|text| Arg::Text(text.as_ref().to_owned())).collect()
}

/// Whether a case is marked HEAVY.
pub fn is_heavy(case: &Case) -> bool {
    case.matched.outcomes.has(Keyword::Heavy)
}
