//! `run-tests`, from the words typed to the exit code.

pub mod args;
pub mod config;
mod load;
mod show;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use self::args::{Args, EngineName, typed};
use self::config::{Config, ConfigError, Setup, configure};
use self::load::LoadError;
use super::words::{Shell, cache_folder, chain};
use crate::backend::{self, BackendError, Environment, Roots, SlotConfig};
use crate::engine::{Engine, EngineError};
use crate::frontend::dialect::{Dialect, Era, version};
use crate::frontend::discover::{PYTHON, SuiteContext};
use crate::frontend::features::{Features, features};
use crate::frontend::lower::Lowering;
use crate::frontend::select::Selection;
use crate::frontend::variants::VariantTable;
use crate::report::{self, ReportConfig, Terminal, Wording};
use crate::run::describe::Describe;
use crate::run::driver::{Ending, Run, drive};
use crate::run::event::RunInfo;
use crate::run::history::{self, History, start_order};
use crate::run::session::{Counts, Plan, Session, exit_code};
use crate::sample;
use crate::worker::local::LocalSlots;

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Report(#[from] report::ReportError),
    #[error("cannot unpack the sample tree")]
    Sample(#[source] std::io::Error),
    #[error("cannot start the slots that run tests")]
    Slots(#[source] BackendError),
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    #[error("the run broke off")]
    Run(#[source] std::io::Error),
}

impl Failure {
    fn exit_code(&self, dialect: Option<Dialect>) -> u8 {
        match self {
            Failure::Config(error) => error.exit_code(dialect),
            _ if dialect.is_some_and(Dialect::is_old) => 1,
            _ => 5,
        }
    }
}

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let shell = Shell::standard();
    let matches = match Args::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return shell.usage(&error),
    };
    let args = match Args::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => return shell.usage(&error),
    };
    if let Some(kind) = args.completions {
        clap_complete::generate(kind, &mut Args::command(), "run-tests", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let mut dialect = None;
    match run(&args, &matches, &shell, &mut dialect) {
        Ok(code) => ExitCode::from(code),
        // A closed pipe is the reader's decision.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            shell.error(&chain(&failure));
            ExitCode::from(failure.exit_code(dialect))
        }
    }
}

fn run(
    args: &Args,
    matches: &ArgMatches,
    shell: &Shell,
    dialect: &mut Option<Dialect>,
) -> Result<u8, Failure> {
    let here =
        std::env::current_dir().map_err(|source| ConfigError::Unreadable { path: ".".into(), source })?;
    let workspace = if args.sample && args.workspace.is_none() {
        sample::unpack(&cache_folder()).map_err(Failure::Sample)?
    } else {
        config::workspace(args, &here)?
    };
    *dialect = Dialect::detect(&workspace).ok();
    let config = configure(args, matches, workspace, &here, random_seed)?;
    config.notices.iter().for_each(|notice| shell.note(notice));
    let table = VariantTable::read(&config.workspace, config.dialect);
    let mut code = 0;
    let (engine, setups) = setups(&config, matches, &here, &table, shell)?;
    for setup in &setups {
        let this = execute(&config, matches, setup, &engine, &table, shell)?;
        code = if code == 0 { this } else { code };
        if interrupted(this, config.dialect) {
            break;
        }
    }
    Ok(code)
}

fn interrupted(code: u8, dialect: Dialect) -> bool {
    if dialect.is_old() { code == 2 } else { code == 3 || code == 4 }
}

/// The engine, and every build to run on.
fn setups(
    config: &Config,
    matches: &ArgMatches,
    here: &Path,
    table: &VariantTable,
    shell: &Shell,
) -> Result<(Engine, Vec<Setup>), Failure> {
    let engine = match config.engine {
        EngineName::Build => Engine::Build,
        EngineName::Node => Engine::node(&cache_folder())?,
        EngineName::Embedded => Engine::embedded()?,
    };
    let builds = match engine.build(config.dialect) {
        Some(build) => vec![build],
        None => {
            let found = config.builds(matches, here)?;
            found.notices.iter().for_each(|notice| shell.note(notice));
            found.builds
        }
    };
    let setups = builds.into_iter().map(|build| config.setup(build, table)).collect::<Result<_, _>>()?;
    Ok((engine, setups))
}

/// One build: lists, shows or runs its tests.
fn execute(
    config: &Config,
    matches: &ArgMatches,
    setup: &Setup,
    engine: &Engine,
    table: &VariantTable,
    shell: &Shell,
) -> Result<u8, Failure> {
    let roots = Roots {
        workspace: config.workspace.clone(),
        build: setup.build.dir.clone(),
        programs: engine.programs()?,
        cwd: config.workspace.clone(),
    };
    let build_dir = setup.build.dir.clone();
    let lister = |program: &str, arguments: &[&str]| {
        let own = |words: &[&str]| words.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let words = if program == PYTHON {
            [own(&[PYTHON]), own(arguments)].concat()
        } else {
            let binary = build_dir.join(program).to_string_lossy().into_owned();
            [setup.prefix.clone(), vec![binary], own(arguments), setup.extra_flags.clone()].concat()
        };
        backend::ask(&words, &config.workspace, &slot_config(config.dialect))
            .map_err(|error| error.to_string())
    };
    let features: Features = features(&config.test_root, config.dialect);
    let context = SuiteContext {
        workspace: &config.workspace,
        test_root: &config.test_root,
        dialect: config.dialect,
        build_dir: Some(&setup.build.dir),
        i18n: setup.build.i18n(),
        no_harness: config.args.no_harness,
        lister: &lister,
        features: &features,
        seed: config.seeds.run.unwrap_or(0),
    };
    let loaded = load::load(config, setup, &context, engine, table)?;
    loaded.notices.iter().for_each(|notice| shell.note(notice));
    let lowering = Lowering {
        context,
        build: &setup.build,
        engine,
        variants: table,
        selected: &setup.variants,
        prefix: &setup.prefix,
        extra_flags: &setup.extra_flags,
        d8_flags: &setup.d8_flags,
        isolates: config.args.isolates,
        seed: config.seeds.run,
        draw_seed: |_| random_seed(),
        timeout: config.timeout,
    };
    let describe = Describe {
        dialect: config.dialect,
        roots: &roots,
        variants: &setup.variants,
        workspace: &config.workspace,
        leading: setup.prefix.len() + engine.leading(),
    };
    let job =
        Prepared { config, setup, matches, selection: &loaded.selection, lowering: &lowering, describe };
    job.perform(shell, roots.clone())
}

/// Everything one build's run needs.
struct Prepared<'a> {
    config: &'a Config,
    setup: &'a Setup,
    matches: &'a ArgMatches,
    selection: &'a Selection,
    lowering: &'a Lowering<'a>,
    describe: Describe<'a>,
}

impl Prepared<'_> {
    fn perform(&self, shell: &Shell, roots: Roots) -> Result<u8, Failure> {
        let args = &self.config.args;
        if args.warn_unused {
            show::unused(self.selection, self.config.dialect).iter().for_each(|line| shell.print(line));
        }
        let shown = if args.list {
            Some(show::list(self, &mut shell.stdout()))
        } else if args.dry_run {
            Some(show::dry_run(self, &mut shell.stdout()))
        } else if args.cat {
            Some(show::cat(self, &mut shell.stdout()))
        } else {
            None
        };
        if let Some(written) = shown {
            written.map_err(Failure::Output)?;
            return Ok(0);
        }
        if args.report {
            show::report(self.selection, self.config.dialect).iter().for_each(|line| shell.print(line));
        }
        self.run(shell, roots)
    }

    fn run(&self, shell: &Shell, roots: Roots) -> Result<u8, Failure> {
        let config = self.config;
        let mut sink = report::open(&self.report_config())?;
        if !config.args.nonetwork && cfg!(target_os = "linux") {
            shell.note("no node on this machine yet: running tests locally");
        }
        let mut history = History::load(&history_path(config, self.setup));
        let session = Session::new(self.plan(&history));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Run)?;
        let ending = runtime.block_on(async {
            let count = config.jobs.min(self.selection.cases.len().max(1));
            let slots =
                LocalSlots::open(count, roots, &slot_config(config.dialect)).await.map_err(Failure::Slots)?;
            let run = Run {
                selection: self.selection,
                lowering: self.lowering,
                describe: self.describe,
                info: Arc::new(self.info(count)),
                history: &mut history,
                total_timeout: (config.args.total_timeout_sec > 0)
                    .then(|| std::time::Duration::from_secs(config.args.total_timeout_sec)),
                regenerate: config.args.regenerate_expected_files,
                predictable: self.setup.predictable,
            };
            drive(run, session, slots, sink.as_mut()).await.map_err(Failure::Run)
        })?;
        if let Err(error) = history.save() {
            shell.warn(&format!("durations of this run are not kept: {error}"));
        }
        Ok(self.code(&ending, shell))
    }

    fn code(&self, ending: &Ending, shell: &Shell) -> u8 {
        let dialect = self.config.dialect;
        let Ending::Complete(summary) = ending else {
            return if dialect.is_old() { 2 } else { 3 };
        };
        let counts = Counts {
            runs: summary.runs,
            passed: summary.passed,
            failed: summary.failed,
            flaky: summary.flaky,
            infra: summary.infra,
            remaining: summary.remaining,
        };
        let code = exit_code(dialect, &counts, summary.stop, self.selection.cases.len());
        if self.selection.cases.is_empty() && dialect.is_old() {
            shell.print("Warning: no tests were run!");
        }
        let json =
            self.config.args.json_test_results.is_some() || (self.config.args.time && !dialect.is_old());
        if code == 1 && json && dialect.json_hides_failures() {
            shell.print(
                "Force exit code 0 after failures. Json test results file generated with failure information.",
            );
            return 0;
        }
        code
    }

    fn plan(&self, history: &History) -> Plan {
        let config = self.config;
        let cases = &self.selection.cases;
        let known = cases.iter().map(|case| {
            let slow = case.matched.outcomes.is_slow(config.dialect);
            let key = || history::key(&self.selection.name(case), &self.lowering.variant_flags(case));
            (slow, (!config.args.no_sorting).then(|| history.duration(&key())).flatten())
        });
        let heavy = |index: &u32| crate::frontend::lower::is_heavy(&cases[*index as usize]);
        let order = start_order(known);
        Plan {
            heavy: if config.args.swarming {
                order.iter().copied().filter(heavy).collect()
            } else {
                Vec::new()
            },
            order,
            heavy_limit: config.args.max_heavy_tests.max(1),
            rerun_count: config.args.rerun_failures_count,
            rerun_max: config.args.rerun_failures_max,
            rule: config.dialect.reruns(),
            timeout: config.timeout.mul_f64(self.setup.build.timeout_factor),
            failure_limit: config.failure_limit,
            predictable: self.setup.predictable,
        }
    }

    fn info(&self, slots: usize) -> RunInfo {
        RunInfo {
            dialect: self.config.dialect,
            arch: self.setup.build.arch.clone(),
            mode: self.setup.build.mode.clone(),
            mode_flags: self.setup.build.mode_flags.clone(),
            cases: self.selection.cases.len(),
            base_tests: self.selection.base_tests,
            listed: self.selection.candidates,
            slots,
            workspace: self.config.workspace.to_string_lossy().into_owned(),
            epoch: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default(),
        }
    }

    fn report_config(&self) -> ReportConfig {
        let args = &self.config.args;
        let config = self.config;
        let terminal = Terminal::of_stdout();
        let wording = Wording::of(config.dialect, version(&config.workspace));
        ReportConfig {
            terminal,
            execution_mode: self.setup.build.execution_mode(config.dialect),
            json: args.json_test_results.clone(),
            junit: args.junitout.clone(),
            junit_suite: args.junittestsuite.clone(),
            flakiness: args.flakiness_results.clone(),
            schedule: args.log_test_schedule.clone(),
            ci_completion: args.ci_test_completion.clone(),
            slowest: args.slow_tests_cutoff,
            time: args.time,
            verbose: args.verbose,
            shard: config.shard.map_or((0, 1), |shard| (shard.run as usize - 1, shard.count as usize)),
            extra_flags: self.setup.extra_flags.clone(),
            ..ReportConfig::new(
                show::style(args, typed(self.matches, "progress"), terminal.is_some()),
                wording,
            )
        }
    }
}

/// How slots are started: V8 passes its own environment on, with English words since 6.2.
fn slot_config(dialect: Dialect) -> SlotConfig {
    SlotConfig::new(if dialect.era == Era::V2015 {
        Environment::inherited()
    } else {
        Environment::inherited_utf8()
    })
}

fn history_path(config: &Config, setup: &Setup) -> PathBuf {
    let name = config.workspace.to_string_lossy().replace(['/', '\\'], "%");
    let file = format!("{name}.{}.{}", setup.build.arch, setup.build.mode);
    cache_folder().join("durations").join(file)
}

/// A random non-zero 32-bit number.
fn random_seed() -> i64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    loop {
        // The standard library seeds its hashers from the system's randomness.
        let bytes = RandomState::new().build_hasher().finish().to_le_bytes();
        let seed = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if seed != 0 {
            return i64::from(seed);
        }
    }
}

/// Writes a line to a stream of the person's choosing.
fn line(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    writeln!(out, "{text}")
}
