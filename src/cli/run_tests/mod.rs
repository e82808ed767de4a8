//! `run-tests`, from the words typed to the exit code.

pub mod args;
pub mod config;
mod load;
pub mod mesh;
mod show;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use self::args::{Args, EngineName, typed};
use self::config::{Config, ConfigError, Setup, configure};
use self::load::LoadError;
use self::mesh::{Stays, Wish};
use super::lab::{Lab, LabError};
use super::words::{Shell, cache_folder, chain};
use crate::backend::{self, BackendError, Environment, Roots, SlotConfig};
use crate::engine::{Engine, EngineError};
use crate::frontend::dialect::{Dialect, Era, version};
use crate::frontend::discover::{PYTHON, SuiteContext};
use crate::frontend::features::{Features, features};
use crate::frontend::lower::{Lowering, SERIALIZED, is_heavy};
use crate::frontend::select::{Case, Selection};
use crate::frontend::variants::VariantTable;
use crate::report::{self, ReportConfig, Terminal, Wording};
use crate::run::describe::Describe;
use crate::run::driver::{Ending, Run, drive};
use crate::run::event::RunInfo;
use crate::run::history::{self, History};
use crate::run::session::{Counts, Plan, Session, exit_code};
use crate::sample;
use crate::schedule::dispatch::{Config as DispatchConfig, Estimate, Spec};
use crate::worker::Workers;
use crate::worker::local::LocalSlots;
use crate::worker::mesh::Mesh;

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
    /// `--lab`.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// `--remote-only`, and nobody is there.
    #[error(
        "--remote-only, and no peer can be used\nhint: `meshctl peers` shows who is there and what is missing"
    )]
    NoPeers,
    #[error("cannot start the slots that run tests")]
    Slots(#[source] BackendError),
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    #[error("the run broke off")]
    Run(#[source] std::io::Error),
    /// Before the run began.
    #[error("interrupted before the first test")]
    Interrupted,
}

impl Failure {
    fn exit_code(&self, dialect: Option<Dialect>) -> u8 {
        match self {
            Failure::Config(error) => error.exit_code(dialect),
            Failure::Interrupted => interrupted_code(dialect),
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
    let mut config = configure(args, matches, workspace, &here, random_seed)?;
    // Held until the run is over: its nodes end with it.
    let lab = args.mesh.lab.map(|count| start_lab(count, config.jobs, shell)).transpose()?;
    if let Some(lab) = &lab {
        config.args.mesh.home = Some(lab.home());
        config.args.mesh.min_remote = 0.0;
    }
    config.notices.iter().for_each(|notice| shell.note(notice));
    let table = VariantTable::read(&config.workspace, &config.runner, config.dialect);
    let (features, unread) = features(&config.test_root, config.dialect);
    let complaints = config.runner.complaints().iter().chain(table.complaints()).chain(&unread);
    complaints.for_each(|complaint| shell.warn(complaint));
    let mut code = 0;
    let (engine, setups) = setups(&config, matches, &here, &table, shell)?;
    for setup in &setups {
        let tables = (&table, &features);
        let this = execute(&config, matches, setup, &engine, tables, lab.as_ref(), shell)?;
        code = if code == 0 { this } else { code };
        if interrupted(this, config.dialect) {
            break;
        }
    }
    Ok(code)
}

fn start_lab(count: u8, jobs: usize, shell: &Shell) -> Result<Lab, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Run)?;
    let slots = (jobs / usize::from(count)).max(1);
    let lab = runtime.block_on(Lab::start(count, slots))?.ok_or(Failure::Interrupted)?;
    shell.note(&format!("{count} nodes with {slots} slots each are up, on loopback, for this run"));
    Ok(lab)
}

/// Prints what V8's own runner says, where the report is told in its words; elsewhere only where the build is.
fn tell(config: &Config, matches: &ArgMatches, shell: &Shell, words: &[String]) {
    let args = &config.args;
    let data = args.list || args.dry_run || args.cat;
    let style = show::style(args, typed(matches, "progress"), Terminal::of_stdout().is_some());
    for line in words {
        if style.is_v8s() && !data {
            shell.print(line);
        } else if line.starts_with("Build found: ") {
            shell.note(line);
        }
    }
}

/// What an interrupted run ends with.
fn interrupted_code(dialect: Option<Dialect>) -> u8 {
    if dialect.is_some_and(Dialect::is_old) { 2 } else { 3 }
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
            tell(config, matches, shell, &found.words);
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
    (table, features): (&VariantTable, &Features),
    lab: Option<&Lab>,
    shell: &Shell,
) -> Result<u8, Failure> {
    let roots = Roots {
        workspace: config.workspace.clone(),
        build: setup.build.dir.clone(),
        program: Engine::own_program()?,
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
    let context = SuiteContext {
        workspace: &config.workspace,
        test_root: &config.test_root,
        dialect: config.dialect,
        build_dir: Some(&setup.build.dir),
        i18n: setup.build.i18n(),
        no_harness: config.args.no_harness,
        lister: &lister,
        features,
        seed: config.seeds.run.unwrap_or(0),
    };
    let mut loaded = load::load(config, setup, &context, engine, table)?;
    tell(config, matches, shell, &loaded.words);
    loaded.notices.iter().for_each(|notice| shell.note(notice));
    let sancov_dir = config.args.sancov_dir.as_ref().map(|dir| dir.to_string_lossy());
    let lowering = Lowering {
        sancov_dir: sancov_dir.as_deref(),
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
    if setup.build.predictable() && !config.dialect.is_old() {
        loaded.selection.keep_predictable(|selection, case| lowering.suits_predictable(selection, case));
    }
    let describe = Describe {
        dialect: config.dialect,
        roots: &roots,
        variants: &setup.variants,
        workspace: &config.workspace,
        leading: setup.prefix.len() + engine.leading(),
    };
    let job =
        Prepared { config, lab, setup, matches, selection: &loaded.selection, lowering: &lowering, describe };
    job.perform(shell, roots.clone())
}

/// Everything one build's run needs.
struct Prepared<'a> {
    config: &'a Config,
    lab: Option<&'a Lab>,
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
            Some(show::list(self, &mut shell.stdout()).map(|()| 0))
        } else if args.dry_run {
            Some(show::dry_run(self, shell, &mut shell.stdout()))
        } else if args.cat {
            Some(show::cat(self, &mut shell.stdout()).map(|()| 0))
        } else {
            None
        };
        if let Some(written) = shown {
            let counts = Counts { infra: written.map_err(Failure::Output)?, ..Counts::default() };
            // What cannot be run is told as a run would tell it; an empty list is no failure.
            return Ok(exit_code(self.config.dialect, &counts, None, 1));
        }
        if args.report {
            show::report(self.selection, self.config.dialect).iter().for_each(|line| shell.print(line));
        }
        self.run(shell, roots)
    }

    /// 2015's cctest does not make the folder its tests write to.
    fn make_serialized(&self) -> Result<(), Failure> {
        let suites = self.selection.suites.iter();
        let cctest = suites.map(|listed| listed.suite.name()).any(|name| name == "cctest");
        if cctest && self.config.dialect.era == Era::V2015 {
            fs_err::create_dir_all(self.config.workspace.join(SERIALIZED)).map_err(Failure::Run)?;
        }
        Ok(())
    }

    fn run(&self, shell: &Shell, roots: Roots) -> Result<u8, Failure> {
        let config = self.config;
        let mut sink = report::open(&self.report_config())?;
        self.make_serialized()?;
        let mut history = History::load(&history_path(config, self.setup));
        let session = Session::new(self.plan());
        let specs = self.specs(&history);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Run)?;
        let ending = runtime.block_on(async {
            let count = config.jobs.min(self.selection.cases.len().max(1));
            let run_number = random_run();
            let mesh = self.or_interrupted(self.mesh(&specs, count, run_number, shell)).await?;
            if mesh.is_none() && config.args.mesh.remote_only {
                return Err(Failure::NoPeers);
            }
            let slots =
                LocalSlots::open(count, roots, &slot_config(config.dialect)).await.map_err(Failure::Slots)?;
            let here_too = !config.args.mesh.remote_only || specs.iter().any(|spec| spec.local_only);
            let mut workers = match mesh {
                Some(mesh) => Workers::with_mesh(run_number, slots, mesh, here_too),
                None => Workers::local(run_number, slots),
            };
            if config.args.mesh.lab.is_some() || config.args.mesh.remote_only {
                self.or_interrupted(workers.gather(GATHER_LIMIT)).await?;
            }
            let run = Run {
                specs,
                dispatch: self.dispatch(),
                selection: self.selection,
                lowering: self.lowering,
                describe: self.describe,
                info: Arc::new(self.info(count)),
                history: &mut history,
                total_timeout: (config.args.total_timeout_sec > 0)
                    .then(|| Duration::from_secs(config.args.total_timeout_sec)),
                regenerate: config.args.regenerate_expected_files,
                predictable: self.setup.predictable,
            };
            drive(run, session, workers, sink.as_mut()).await.map_err(Failure::Run)
        })?;
        if let Err(error) = history.save() {
            shell.warn(&format!("durations of this run are not kept: {error}"));
        }
        Ok(self.code(&ending, shell))
    }

    fn code(&self, ending: &Ending, shell: &Shell) -> u8 {
        let dialect = self.config.dialect;
        let Ending::Complete(summary, report_error) = ending else {
            return interrupted_code(Some(dialect));
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
        // Who closed the pipe wants to hear no more.
        if let Some(error) =
            report_error.as_ref().filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
        {
            shell.error(&format!("a report is incomplete: {error}"));
            let broken = if dialect.is_old() { 1 } else { 5 };
            return if code <= 1 { broken } else { code };
        }
        let compared = !summary.nothing_compared || self.selection.cases.is_empty();
        if !compared && summary.stop.is_none() {
            shell.error(NO_ALLOCATIONS);
            return 1;
        }
        if self.selection.cases.is_empty() && dialect.is_old() {
            let era_2015 = dialect.era == Era::V2015;
            shell.print(if era_2015 { "No tests to run." } else { "Warning: no tests were run!" });
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

    /// Waits for what comes before the run itself, unless the person has had enough: the lab must not be left behind.
    async fn or_interrupted<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        match self.lab {
            None => Ok(work.await),
            Some(lab) => lab.unless_interrupted(work).await.ok_or(Failure::Interrupted),
        }
    }

    /// The mesh, if the run is to be shared; says why not.
    async fn mesh(&self, specs: &[Spec], slots: usize, run: u64, shell: &Shell) -> Option<Mesh> {
        let wish = Wish {
            args: &self.config.args.mesh,
            // Coverage is written where a test runs.
            nonetwork: self.config.args.nonetwork || self.config.args.sancov_dir.is_some(),
            prefix: &self.setup.prefix,
            engine: self.lowering.engine,
            workspace: &self.config.workspace,
            build: &self.setup.build.dir,
            selection: self.selection,
            lowering: self.lowering,
            specs,
            slots,
        };
        match wish.connect(run, shell).await {
            Ok(mesh) => Some(mesh),
            Err(Stays::Wanted) => None,
            Err(why) => {
                shell.note(&why.to_string());
                None
            }
        }
    }

    /// How each case is to be run. Without sorting, or with nothing known, V8's SLOW marks still go first.
    fn specs(&self, history: &History) -> Vec<Spec> {
        let Config { args, dialect, .. } = self.config;
        let spec = |case: &Case| {
            let key = || history::key(&self.selection.name(case), &self.lowering.variant_flags(case));
            let known = if args.no_sorting { None } else { history.duration(&key()) };
            let estimate = match known {
                Some(known) => Estimate::Known(known),
                None if case.matched.outcomes.is_slow(*dialect) => Estimate::Slow,
                None => Estimate::Unknown,
            };
            Spec {
                // What a dependency leaves behind is on the machine that ran it.
                local_only: !self.setup.prefix.is_empty() || self.selection.test(case).1.dependency.is_some(),
                heavy: args.swarming && is_heavy(case),
                ..Spec::new(estimate, self.lowering.timeout)
            }
        };
        self.selection.cases.iter().map(spec).collect()
    }

    fn dispatch(&self) -> DispatchConfig {
        let args = &self.config.args;
        let remote_only = args.mesh.remote_only;
        let default = DispatchConfig::default();
        let patience = if remote_only { REMOTE_PATIENCE } else { default.patience };
        DispatchConfig { heavy_limit: args.max_heavy_tests, remote_only, patience }
    }

    fn plan(&self) -> Plan {
        let config = self.config;
        Plan {
            cases: u32::try_from(self.selection.cases.len()).unwrap_or(u32::MAX),
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
        let style = show::style(args, typed(self.matches, "progress"), terminal.is_some());
        ReportConfig {
            terminal,
            execution_mode: self.setup.build.execution_mode.clone(),
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
            preface: self.preface(),
            utc_offset: if style.needs_local_time(wording) { utc_offset() } else { 0 },
            ..ReportConfig::new(style, wording)
        }
    }

    /// What 2015 (always) and 6.2 (with `-v`) say of a run that is not distributed.
    fn preface(&self) -> Vec<String> {
        let args = &self.config.args;
        let told = match self.config.dialect.era {
            Era::V2015 => true,
            Era::V62 => args.verbose,
            Era::V102 | Era::V13 | Era::V157 => false,
        };
        let disabled = args.nonetwork || args.buildbot || !args.command_prefix.is_empty();
        let words = "Network distribution disabled, running tests locally.";
        (told && disabled).then(|| words.to_owned()).into_iter().collect()
    }
}

/// What is wrong with a predictable run that compared nothing.
const NO_ALLOCATIONS: &str = "no test printed its allocations, so nothing was compared\nhint: --predictable needs a shell \
     built with verify_predictable";

/// How long a run that may not use this machine waits for others when all are gone: a node may be restarted.
const REMOTE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a run that must not begin alone waits for its peers.
const GATHER_LIMIT: Duration = Duration::from_secs(20);

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

/// A number that no other run has.
fn random_run() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

/// Seconds by which the local time is ahead of UTC, as the system's own `date` says; 0 where it does not.
fn utc_offset() -> i32 {
    let words = ["date", "+%z"].map(str::to_owned);
    let here = std::env::current_dir().unwrap_or_default();
    let asked = backend::ask(&words, &here, &SlotConfig::new(Environment::inherited()));
    asked.ok().and_then(|text| offset_of(text.trim())).unwrap_or(0)
}

/// `+0230` in seconds.
fn offset_of(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let number = |text: &str| text.parse::<i32>().ok().filter(|number| (0..100).contains(number));
    Some(sign * (number(hours)? * 3600 + number(minutes)? * 60))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_date_prints_them() {
        for (text, seconds) in [
            ("+0000", Some(0)),
            ("+0530", Some(19_800)),
            ("-0800", Some(-28_800)),
            ("UTC", None),
            ("", None),
            ("+1", None),
            ("é", None),
        ] {
            assert_eq!(offset_of(text), seconds, "{text}");
        }
    }
}
