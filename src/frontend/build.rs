//! Build directories: where they are, what they say of themselves, and what follows for modes and timeouts
//! (reference §1.3-§1.5, §5.5).
//!
//! Reads `v8_build_config.json` and looks at folders; starts nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::dialect::{Dialect, Era};
use super::python::Literal;
use super::runner::Runner;
use super::words;

/// A build property as status files see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// True or false.
    Bool(bool),
    /// A name, such as an architecture.
    Text(String),
}

/// Properties by name.
pub type Properties = BTreeMap<String, Property>;

/// One build that tests can run on.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// Directory with the executables.
    pub dir: PathBuf,
    /// V8's name of the target architecture (`x64`).
    pub arch: String,
    /// What V8 prints behind the architecture (`release`, `debug`, `release+dchecks`).
    pub mode: String,
    /// What V8's JSON results call it: in 2015/6.2 `tryrelease` counts as `release`.
    pub execution_mode: String,
    /// `debug` or `release`, as status files see it.
    pub status_mode: &'static str,
    /// Flags of the mode, in order.
    pub mode_flags: Vec<String>,
    /// Factor of mode, architecture and build on the timeout.
    pub timeout_factor: f64,
    /// What status files may ask.
    pub properties: Properties,
    /// What the build's configuration says, under its own keys; empty without one.
    pub config: Properties,
}

impl Build {
    /// Whether a boolean property is set.
    pub fn is(&self, name: &str) -> bool {
        self.properties.get(name) == Some(&Property::Bool(true))
    }

    /// Whether it has internationalization, under either era's name.
    pub fn i18n(&self) -> bool {
        match self.properties.get("i18n") {
            Some(value) => *value == Property::Bool(true),
            None => !self.is("no_i18n"),
        }
    }

    /// Whether it is a predictable build, under either era's name.
    pub fn predictable(&self) -> bool {
        self.is("predictable") || self.is("verify_predictable")
    }
}

/// Why no build can be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// V8's own message since 10.2.
    #[error("Failed to load build config: none in {}\nhint: name the build with --outdir, e.g. --outdir out/x64.release, or use --engine node", places(.looked))]
    NoConfig {
        /// Directories that were looked at.
        looked: Vec<PathBuf>,
    },
    /// The file is not JSON.
    #[error("{} exists but contains invalid json. Is your build up-to-date?", .path.display())]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A key that the era's runner insists on.
    #[error("{} lacks the key `{key}`", .path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Typed options that contradict the build.
    #[error("Attempted to set {option} to {wanted}, while build is {actual}.")]
    Contradiction {
        /// Name of the option.
        option: &'static str,
        /// What was typed.
        wanted: String,
        /// What the build says.
        actual: String,
    },
    /// A property that was typed and that the build does not have.
    #[error("Attempted to turn on {0}, but it's not available.")]
    NotAvailable(&'static str),
    /// A build named by hand that is not there.
    #[error("Could not find shell_dir: \"{}\"\nhint: build it, or name another one with --outdir or --shell-dir", .0.display())]
    NoShellDir(PathBuf),
    /// `--gn` without anything below `out.gn`.
    #[error("--gn takes the newest directory below {}, and there is none\nhint: make one with `gn gen out.gn/NAME`, or name the build with --outdir", .0.display())]
    NoGn(PathBuf),
    /// Nothing is built.
    #[error("no build found: {} not built\nhint: build one, name it with --outdir or --shell-dir, or use --engine node", names(.0))]
    NothingBuilt(Vec<String>),
    /// An architecture of no era.
    #[error("Unknown architecture {0}")]
    UnknownArch(String),
    /// A mode of no era.
    #[error("Unknown mode {0}")]
    UnknownMode(String),
    /// `arch.mode` without a dot.
    #[error("`{0}` is not of the form arch.mode")]
    BadPair(String),
}

fn places(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn names(names: &[String]) -> String {
    names.join(", ")
}

/// What was typed about builds.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `--outdir`.
    pub outdir: String,
    /// Whether `--outdir` was typed.
    pub outdir_typed: bool,
    /// `--gn`.
    pub gn: bool,
    /// `--buildbot`.
    pub buildbot: bool,
    /// `--shell-dir` (or the folder of `--shell`), absolute.
    pub shell_dir: Option<PathBuf>,
    /// `--arch`.
    pub arch: Option<String>,
    /// `--mode`.
    pub mode: Option<String>,
    /// `--arch-and-mode`.
    pub arch_and_mode: Option<String>,
    /// Properties set by hand in 2015/6.2 (`asan`, `no_snap`, …).
    pub properties: Properties,
    /// A timeout was typed: 2015 then makes no difference between targets.
    pub timeout_typed: bool,
}

/// The builds to run on, in order, and what to say about the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Builds that are there.
    pub builds: Vec<Build>,
    /// What V8's own runner prints about them.
    pub words: Vec<String>,
    /// Lines for the person: what was left out because it is not built.
    pub notices: Vec<String>,
}

/// Finds the builds that a command line means.
///
/// # Errors
/// When a build named by hand is missing or contradicts its configuration, or when nothing is built at all.
pub fn find(
    workspace: &Path,
    runner: &Runner,
    dialect: Dialect,
    wanted: &Wanted,
) -> Result<Found, BuildError> {
    let rules = Rules { runner, dialect };
    if dialect.is_old() { find_old(workspace, rules, wanted) } else { find_modern(workspace, rules, wanted) }
}

/// What a tree says of builds: its runner's own tables, and its era's rules for the rest.
#[derive(Clone, Copy)]
struct Rules<'a> {
    runner: &'a Runner,
    dialect: Dialect,
}

impl Rules<'_> {
    fn arch_factor(self, arch: &str) -> f64 {
        match self.runner.slow_archs() {
            Some(slow) if slow.iter().any(|name| name == arch) => self.dialect.slow_factor(),
            Some(_) => 1.0,
            None => self.dialect.slow_arch_factor(arch),
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------
// 10.2 and later: a build configuration is mandatory.

fn find_modern(workspace: &Path, rules: Rules<'_>, wanted: &Wanted) -> Result<Found, BuildError> {
    let candidates = modern_candidates(workspace, wanted);
    if wanted.gn && candidates.is_empty() {
        return Err(BuildError::NoGn(workspace.join("out.gn")));
    }
    let first = candidates.iter().find_map(|dir| load(dir).transpose().map(|config| (dir.clone(), config)));
    let selective = wanted.arch.is_some() || wanted.mode.is_some();
    let mut found = Found::default();
    if let Some((dir, config)) = first.filter(|_| !selective || wanted.outdir_typed || wanted.gn) {
        let build = modern_build(&dir, &config?, rules)?;
        check_arch(&build, wanted)?;
        if let Some(name) = dir.file_name().filter(|_| wanted.gn) {
            found.words.push(format!(">>> Latest GN build found: {}", name.to_string_lossy()));
        }
        found.words.extend(words::of_build(&build, rules.runner, rules.dialect));
        found.builds.push(build);
        return Ok(found);
    }
    if wanted.outdir_typed || wanted.gn {
        return Err(BuildError::NoConfig { looked: candidates });
    }
    // Nothing was named: every build below the directory, as V8's own runner did until 2018.
    let mut other = Vec::new();
    for dir in sub_directories(&workspace.join(&wanted.outdir)) {
        let Some(config) = load(&dir)? else { continue };
        let build = modern_build(&dir, &config, rules)?;
        if matches_wanted(&build, wanted) {
            found.words.extend(words::of_build(&build, rules.runner, rules.dialect));
            found.builds.push(build);
        } else {
            other.push(format!("{}.{} ({})", build.arch, build.mode, dir.display()));
        }
    }
    match (found.builds.is_empty(), selective) {
        (false, _) => Ok(found),
        (true, true) => Err(BuildError::NothingBuilt(vec![wanted_name(wanted, &other)])),
        (true, false) => Err(BuildError::NoConfig { looked: candidates }),
    }
}

fn wanted_name(wanted: &Wanted, other: &[String]) -> String {
    let name = format!("{}.{}", wanted.arch.as_deref().unwrap_or("*"), wanted.mode.as_deref().unwrap_or("*"));
    if other.is_empty() { name } else { format!("{name} (built are {})", other.join(", ")) }
}

fn modern_candidates(workspace: &Path, wanted: &Wanted) -> Vec<PathBuf> {
    if let Some(dir) = &wanted.shell_dir {
        return vec![dir.clone()];
    }
    if wanted.gn {
        return newest_sub_directory(&workspace.join("out.gn")).into_iter().collect();
    }
    let outdir = workspace.join(&wanted.outdir);
    let nested = outdir.join("build");
    if outdir.ends_with("build") { vec![outdir] } else { vec![outdir, nested] }
}

fn check_arch(build: &Build, wanted: &Wanted) -> Result<(), BuildError> {
    let differs =
        |wanted: &Option<String>, actual: &str| wanted.as_deref().is_some_and(|name| name != actual);
    let contradiction = |option, wanted: &Option<String>, actual: &str| BuildError::Contradiction {
        option,
        wanted: wanted.clone().unwrap_or_default(),
        actual: actual.to_owned(),
    };
    if differs(&wanted.arch, &build.arch) {
        return Err(contradiction("arch", &wanted.arch, &build.arch));
    }
    if wanted.mode.is_some() && !matches_wanted(build, wanted) {
        return Err(contradiction("mode", &wanted.mode, &build.mode));
    }
    Ok(())
}

fn matches_wanted(build: &Build, wanted: &Wanted) -> bool {
    let among = |list: &Option<String>, names: &[&str]| {
        list.as_deref().is_none_or(|list| list.split(',').any(|name| names.contains(&name)))
    };
    among(&wanted.arch, &[&build.arch]) && among(&wanted.mode, &[&build.mode, build.status_mode])
}

fn modern_build(dir: &Path, config: &Map<String, Json>, rules: Rules<'_>) -> Result<Build, BuildError> {
    let path = dir.join(CONFIG_NAME);
    let properties = modern_properties(config, &path, rules)?;
    let is = |name: &str| properties.get(name) == Some(&Property::Bool(true));
    let debug =
        if config.contains_key("is_asan") { flag(config, "is_debug") } else { is("debugging_features") };
    let dchecks = is("dcheck_always_on");
    let (mode, status_mode) = match (debug, dchecks) {
        (true, _) => ("debug", "debug"),
        (false, true) => ("release+dchecks", "debug"),
        (false, false) => ("release", "release"),
    };
    let arch = match properties.get("arch") {
        Some(Property::Text(arch)) => arch.clone(),
        _ => String::new(),
    };
    let timeout_factor = modern_timeout_factor(&arch, status_mode, &properties, rules);
    let mode_flags = modern_mode_flags(debug, &properties, rules);
    let mode = mode.to_owned();
    Ok(Build {
        dir: dir.to_owned(),
        arch,
        execution_mode: mode.clone(),
        mode,
        status_mode,
        mode_flags,
        timeout_factor,
        properties,
        config: raw_properties(config),
    })
}

fn modern_mode_flags(debug: bool, properties: &Properties, rules: Rules<'_>) -> Vec<String> {
    // Builds since 11 say what they have; before that, debug meant both.
    let says = ["verify_heap", "slow_dchecks"].iter().any(|name| properties.contains_key(*name));
    let has = |name: &str| debug && properties.get(name) == Some(&Property::Bool(true));
    let mut flags = vec!["--nohard-abort".to_owned()];
    if says {
        flags.extend(has("verify_heap").then(|| "--verify-heap".to_owned()));
        flags.extend(has("slow_dchecks").then(|| "--enable-slow-asserts".to_owned()));
    } else if debug {
        flags.extend(["--enable-slow-asserts".to_owned(), "--verify-heap".to_owned()]);
    }
    let own = rules.runner.default_flags("standard_runner");
    flags.extend(own.unwrap_or_else(|| rules.dialect.runner_flag().map(str::to_owned).into_iter().collect()));
    flags
}

/// The factors of 10.2, for trees that do not say theirs.
const FACTORS: [(&str, f64); 5] = [
    ("lite_mode", 2.0),
    ("verify_predictable", 4.0),
    ("tsan", 2.0),
    ("use_sanitizer", 1.5),
    ("full_debug", 4.0),
];

fn modern_timeout_factor(arch: &str, status_mode: &str, properties: &Properties, rules: Rules<'_>) -> f64 {
    let is = |name: &str| properties.get(name) == Some(&Property::Bool(true));
    // One property has gone by two names.
    let applies = |name: &str| match name {
        "predictable" | "verify_predictable" => is("predictable") || is("verify_predictable"),
        "is_full_debug" | "full_debug" => is("is_full_debug") || is("full_debug"),
        name => is(name),
    };
    let own = rules.runner.factors();
    let factors = own.unwrap_or_else(|| FACTORS.map(|(name, factor)| (name.to_owned(), factor)).to_vec());
    let mode = if status_mode == "debug" { 4.0 } else { 1.0 };
    factors
        .iter()
        .filter(|(name, _)| applies(name))
        .fold(mode * rules.arch_factor(arch), |factor, (_, by)| factor * by)
}

/// Keys of 10.2's configuration and the names status files know them by. Runners since 7.x insist on those they read;
/// a key that a tree's runner does not name was not there yet.
const KEYS_102: &[(&str, &str)] = &[
    ("is_asan", "asan"),
    ("is_msan", "msan"),
    ("is_tsan", "tsan"),
    ("is_ubsan_vptr", "ubsan_vptr"),
    ("is_cfi", "cfi_vptr"),
    ("is_debug", "is_debug"),
    ("dcheck_always_on", "dcheck_always_on"),
    ("is_full_debug", "is_full_debug"),
    ("is_clang", "is_clang"),
    ("is_gcov_coverage", "gcov_coverage"),
    ("is_android", "is_android"),
    ("v8_control_flow_integrity", "control_flow_integrity"),
    ("v8_enable_concurrent_marking", "concurrent_marking"),
    ("v8_enable_single_generation", "single_generation"),
    ("v8_enable_i18n_support", "i18n_support"),
    ("v8_enable_verify_predictable", "predictable"),
    ("v8_enable_verify_csa", "verify_csa"),
    ("v8_enable_lite_mode", "lite_mode"),
    ("v8_enable_third_party_heap", "third_party_heap"),
    ("v8_enable_pointer_compression", "pointer_compression"),
    ("v8_enable_pointer_compression_shared_cage", "pointer_compression_shared_cage"),
    ("v8_enable_shared_ro_heap", "shared_ro_heap"),
    ("v8_enable_sandbox", "sandbox"),
    ("v8_enable_webassembly", "has_webassembly"),
    ("v8_dict_property_const_tracking", "dict_property_const_tracking"),
];

/// Keys that came later (2023) or went earlier, with the names status files know them by; a build may lack them.
const KEYS_MORE: &[(&str, &str)] = &[
    ("v8_code_comments", "code_comments"),
    ("is_component_build", "component_build"),
    ("v8_enable_conservative_stack_scanning", "conservative_stack_scanning"),
    ("v8_enable_debug_code", "debug_code"),
    ("v8_enable_direct_local", "direct_local"),
    ("v8_enable_disassembler", "disassembler"),
    ("v8_enable_gdbjit", "gdbjit"),
    ("is_clang_coverage", "clang_coverage"),
    ("is_DEBUG_defined", "DEBUG_defined"),
    ("is_official_build", "official_build"),
    ("v8_enable_maglev", "has_maglev"),
    ("v8_enable_slow_dchecks", "slow_dchecks"),
    ("v8_enable_turbofan", "has_turbofan"),
    ("v8_enable_verify_heap", "verify_heap"),
    ("v8_disable_write_barriers", "disable_write_barriers"),
    ("v8_jitless", "has_jitless"),
    ("v8_enable_embedded_builtins", "embedded_builtins"),
];

fn modern_properties(
    config: &Map<String, Json>,
    path: &Path,
    rules: Rules<'_>,
) -> Result<Properties, BuildError> {
    // The raw keys first: since ~13 they are the names that status files use.
    let mut properties = raw_properties(config);
    if config.contains_key("is_asan") {
        for (key, name) in KEYS_102 {
            if !config.contains_key(*key) && rules.runner.needs_key(key) {
                return Err(BuildError::MissingKey { path: path.to_owned(), key: (*key).to_owned() });
            }
            properties.insert((*name).to_owned(), Property::Bool(flag(config, key)));
        }
        let added = KEYS_MORE.iter().filter(|(key, _)| config.contains_key(*key));
        properties.extend(added.map(|(key, name)| ((*name).to_owned(), Property::Bool(flag(config, key)))));
        let i18n = flag(config, "v8_enable_i18n_support");
        properties.insert("no_i18n".to_owned(), Property::Bool(!i18n));
    }
    derive(&mut properties, path)?;
    Ok(properties)
}

/// Properties computed from others (reference §1.5).
fn derive(properties: &mut Properties, path: &Path) -> Result<(), BuildError> {
    let text = |name: &str| match properties.get(name) {
        Some(Property::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let is = |name: &str| properties.get(name) == Some(&Property::Bool(true));
    let (v8_cpu, cpu) = (text("v8_target_cpu"), text("target_cpu"));
    // Since 11.6 the build says itself what was derived before.
    let derived_arch = v8_cpu.clone().map(|cpu| if cpu == "x86" { "ia32".to_owned() } else { cpu });
    let arch = text("arch").or(derived_arch);
    let arch = arch
        .ok_or_else(|| BuildError::MissingKey { path: path.to_owned(), key: "v8_target_cpu".to_owned() })?;
    let mips = arch.starts_with("mips");
    let variant = text("mips_arch_variant").filter(|_| mips);
    let simd_mips = variant.as_deref() == Some("r6") && is("mips_use_msa");
    let compressed_alone = is("pointer_compression") && !is("pointer_compression_shared_cage");
    let no_barriers = properties.get("write_barriers") == Some(&Property::Bool(false));
    let sanitizer = ["asan", "cfi", "cfi_vptr", "msan", "tsan", "ubsan", "ubsan_vptr"].into_iter().any(is);
    let derived = [
        ("simulator_run", Property::Bool(cpu.is_some() && cpu != v8_cpu)),
        ("no_js_shared_memory", Property::Bool(!is("shared_ro_heap") || compressed_alone || no_barriers)),
        ("use_sanitizer", Property::Bool(sanitizer)),
        ("simd_mips", Property::Bool(simd_mips)),
        ("mips_arch", Property::Bool(mips)),
        ("mips_arch_variant", variant.map_or(Property::Bool(false), Property::Text)),
        ("arch", Property::Text(arch)),
    ];
    for (name, value) in derived {
        properties.entry(name.to_owned()).or_insert(value);
    }
    Ok(())
}

fn raw_properties(config: &Map<String, Json>) -> Properties {
    config.iter().filter_map(|(key, value)| Some((key.clone(), property(value)?))).collect()
}

fn property(value: &Json) -> Option<Property> {
    match value {
        Json::Bool(value) => Some(Property::Bool(*value)),
        Json::String(text) => Some(Property::Text(text.clone())),
        Json::Number(number) => Some(Property::Text(number.to_string())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn flag(config: &Map<String, Json>, key: &str) -> bool {
    config.get(key) == Some(&Json::Bool(true))
}

// ---------------------------------------------------------------------------------------------------------------
// 2015 and 6.2: architectures and modes, with an optional configuration since 6.2.

/// Architectures the old runners know.
const OLD_ARCHS: &[&str] = &[
    "android_arm",
    "android_arm64",
    "android_ia32",
    "android_x64",
    "arm",
    "ia32",
    "x87",
    "mips",
    "mipsel",
    "mips64",
    "mips64el",
    "nacl_ia32",
    "nacl_x64",
    "s390",
    "s390x",
    "ppc",
    "ppc64",
    "x64",
    "x32",
    "arm64",
];

/// One of the old runners' modes (reference §1.3).
struct Mode {
    name: String,
    flags: Vec<String>,
    factor: f64,
    status: &'static str,
    execution: String,
    folder: String,
}

/// A mode by its name, from the tree's own table if it has one.
fn old_mode(name: &str, rules: Rules<'_>) -> Option<Mode> {
    match rules.runner.modes() {
        Some(modes) => listed_mode(name, modes),
        None => builtin_mode(name, rules.dialect),
    }
}

fn listed_mode(name: &str, modes: &Literal) -> Option<Mode> {
    let find = |table: &Literal, key: &str| {
        let entries = table.entries()?;
        entries.into_iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
    };
    let mode = find(modes, name)?;
    let text = |key: &str| find(&mode, key)?.as_text().map(str::to_owned);
    Some(Mode {
        name: name.to_owned(),
        flags: find(&mode, "flags")?.texts()?,
        factor: find(&mode, "timeout_scalefactor")?.number()?,
        status: if text("status_mode")? == "debug" { "debug" } else { "release" },
        execution: text("execution_mode")?,
        folder: text("output_folder")?,
    })
}

fn builtin_mode(name: &str, dialect: Dialect) -> Option<Mode> {
    let era_2015 = dialect.era == Era::V2015;
    let base: &[&str] = if era_2015 {
        &["--nohard-abort", "--nodead-code-elimination", "--nofold-constants"]
    } else {
        &["--nohard-abort"]
    };
    let debug: &[&str] = if era_2015 {
        &["--enable-slow-asserts", "--debug-code", "--verify-heap"]
    } else {
        &["--enable-slow-asserts", "--verify-heap"]
    };
    let asserts: &[&str] = &["--enable-slow-asserts"];
    let mode = |extra: &[&str], factor, status, execution: &str, folder: &str| {
        Some(Mode {
            name: name.to_owned(),
            flags: [base, extra].concat().into_iter().map(str::to_owned).collect(),
            factor,
            status,
            execution: execution.to_owned(),
            folder: folder.to_owned(),
        })
    };
    match name {
        "debug" => mode(debug, 4.0, "debug", "debug", "debug"),
        "optdebug" => mode(debug, 4.0, "debug", "debug", "optdebug"),
        "release" => mode(&[], 1.0, "release", "release", "release"),
        "tryrelease" if era_2015 => mode(asserts, 2.0, "debug", "release", "release"),
        "tryrelease" => mode(&[], 1.0, "debug", "release", "release"),
        "slowrelease" if !era_2015 => mode(asserts, 2.0, "debug", "release", "release"),
        _ => None,
    }
}

fn find_old(workspace: &Path, rules: Rules<'_>, wanted: &Wanted) -> Result<Found, BuildError> {
    let dialect = rules.dialect;
    let mut found = Found::default();
    let gn = workspace.join("out.gn");
    if wanted.gn && !gn.is_dir() {
        return Err(BuildError::NoGn(gn));
    }
    let outdir = old_outdir(workspace, wanted, &mut found.words);
    let config = if dialect.era == Era::V62 { load(&outdir)? } else { None };
    let mut wanted = wanted.clone();
    if let Some(config) = &config {
        adopt(config, &mut wanted, &outdir.join(CONFIG_NAME), &mut found.words)?;
    }
    let named = wanted.arch.is_some() || wanted.mode.is_some() || wanted.arch_and_mode.is_some();
    let mut missing = Vec::new();
    for (arch, name) in pairs(&wanted, rules)? {
        let lowered = name.strip_suffix("_x64").unwrap_or(&name).to_lowercase();
        let mode = old_mode(&lowered, rules).ok_or_else(|| BuildError::UnknownMode(name.clone()))?;
        let dir = match (&wanted.shell_dir, config.is_some(), wanted.buildbot) {
            (Some(dir), _, _) => dir.clone(),
            (None, true, _) => outdir.clone(),
            (None, false, true) => outdir.join(&name),
            (None, false, false) => outdir.join(format!("{arch}.{}", mode.folder)),
        };
        if dir.is_dir() {
            found.builds.push(old_build(dir, arch, &mode, &wanted, rules, config.as_ref()));
        } else if named || wanted.shell_dir.is_some() {
            return Err(BuildError::NoShellDir(dir));
        } else {
            missing.push(format!("{arch}.{}", mode.name));
        }
    }
    if found.builds.is_empty() {
        return Err(BuildError::NothingBuilt(missing));
    }
    if !missing.is_empty() {
        found.notices.push(format!("Left out because not built: {}", missing.join(", ")));
    }
    Ok(found)
}

fn old_outdir(workspace: &Path, wanted: &Wanted, words: &mut Vec<String>) -> PathBuf {
    let newest = wanted.gn.then(|| newest_sub_directory(&workspace.join("out.gn"))).flatten();
    if let Some(dir) = newest {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        words.push(format!(">>> Latest GN build found is {name}"));
        return dir;
    }
    let outdir = workspace.join(&wanted.outdir);
    match (&wanted.mode, wanted.buildbot) {
        (Some(mode), true) if outdir.join(mode).join(CONFIG_NAME).is_file() => outdir.join(mode),
        _ => outdir,
    }
}

/// 6.2: the configuration fills in what was not typed and contradicts what was.
fn adopt(
    config: &Map<String, Json>,
    wanted: &mut Wanted,
    path: &Path,
    words: &mut Vec<String>,
) -> Result<(), BuildError> {
    let text = |key: &str| {
        let value = config.get(key).and_then(Json::as_str).map(str::to_owned);
        value.ok_or_else(|| BuildError::MissingKey { path: path.to_owned(), key: key.to_owned() })
    };
    let first = words.len();
    let cpu = text("v8_target_cpu")?;
    let arch = if cpu == "x86" { "ia32".to_owned() } else { cpu };
    let mode = if flag(config, "is_debug") { "debug" } else { "release" };
    wanted.arch_and_mode = None;
    let lowered = wanted.mode.take().map(|mode| mode.trim_end_matches("_x64").to_lowercase());
    wanted.mode = adopt_text("mode", lowered, mode.to_owned(), words)?;
    wanted.arch = adopt_text("arch", wanted.arch.take(), arch, words)?;
    let flags = [
        ("asan", flag(config, "is_asan")),
        ("dcheck_always_on", flag(config, "dcheck_always_on")),
        ("gcov_coverage", flag(config, "is_gcov_coverage")),
        ("msan", flag(config, "is_msan")),
        ("no_i18n", !flag(config, "v8_enable_i18n_support")),
        ("no_snap", !flag(config, "v8_use_snapshot")),
        ("tsan", flag(config, "is_tsan")),
        ("ubsan_vptr", flag(config, "is_ubsan_vptr")),
    ];
    for (name, value) in flags {
        let typed = wanted.properties.insert(name.to_owned(), Property::Bool(value));
        match (typed == Some(Property::Bool(true)), value) {
            (true, false) => return Err(BuildError::NotAvailable(name)),
            (false, true) => words.push(format!(">>> Auto-detected {name}=True")),
            _ => {}
        }
    }
    // V8 goes through them by name.
    words[first..].sort();
    Ok(())
}

fn adopt_text(
    option: &'static str,
    typed: Option<String>,
    actual: String,
    words: &mut Vec<String>,
) -> Result<Option<String>, BuildError> {
    match typed {
        Some(wanted) if wanted != actual => Err(BuildError::Contradiction { option, wanted, actual }),
        Some(_) => Ok(Some(actual)),
        None => {
            words.push(format!(">>> Auto-detected {option}={actual}"));
            Ok(Some(actual))
        }
    }
}

/// Every architecture with every mode, or the pairs named by hand.
fn pairs(wanted: &Wanted, rules: Rules<'_>) -> Result<Vec<(String, String)>, BuildError> {
    if let Some(list) = &wanted.arch_and_mode {
        let pair = |text: &str| {
            let (arch, mode) = text.split_once('.').ok_or_else(|| BuildError::BadPair(text.to_owned()))?;
            Ok((known_arch(arch, rules)?, mode.to_owned()))
        };
        return list.split(',').map(pair).collect();
    }
    let archs = match wanted.arch.as_deref() {
        None => "ia32,x64,arm",
        Some("auto" | "native") => guess_arch(),
        Some(list) => list,
    };
    let modes = wanted.mode.as_deref().unwrap_or("release,debug");
    let archs = archs.split(',').map(|arch| known_arch(arch, rules)).collect::<Result<Vec<_>, _>>()?;
    let each =
        |arch: &String| modes.split(',').map(|mode| (arch.clone(), mode.to_owned())).collect::<Vec<_>>();
    Ok(archs.iter().flat_map(each).collect())
}

fn known_arch(name: &str, rules: Rules<'_>) -> Result<String, BuildError> {
    let known = match rules.runner.archs() {
        Some(own) => own.iter().any(|arch| arch == name),
        None => OLD_ARCHS.contains(&name),
    };
    known.then(|| name.to_owned()).ok_or_else(|| BuildError::UnknownArch(name.to_owned()))
}

/// V8's guess: all of x86 is ia32 (reference §1.2).
pub fn guess_arch() -> &'static str {
    match std::env::consts::ARCH {
        "arm" => "arm",
        "s390x" => "s390x",
        "powerpc64" => "ppc64",
        "aarch64" => "arm64",
        _ => "ia32",
    }
}

fn old_build(
    dir: PathBuf,
    arch: String,
    mode: &Mode,
    wanted: &Wanted,
    rules: Rules<'_>,
    config: Option<&Map<String, Json>>,
) -> Build {
    let predictable = wanted.properties.get("predictable") == Some(&Property::Bool(true));
    let same_for_all = rules.dialect.era == Era::V2015 && wanted.timeout_typed;
    let arch_factor = if same_for_all { 1.0 } else { rules.arch_factor(&arch) };
    let factor = arch_factor * mode.factor * if predictable { 2.0 } else { 1.0 };
    Build {
        dir,
        arch,
        mode: mode.name.clone(),
        execution_mode: mode.execution.clone(),
        status_mode: mode.status,
        mode_flags: mode.flags.clone(),
        timeout_factor: factor,
        properties: wanted.properties.clone(),
        config: config.map(raw_properties).unwrap_or_default(),
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Shared.

const CONFIG_NAME: &str = "v8_build_config.json";

/// The configuration of a directory; none if it has none.
fn load(dir: &Path) -> Result<Option<Map<String, Json>>, BuildError> {
    let path = dir.join(CONFIG_NAME);
    match std::fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|source| BuildError::BadConfig { path, source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
        Err(source) => Err(BuildError::Unreadable { path, source }),
    }
}

/// Folders inside a folder, by name.
fn sub_directories(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    dirs.sort();
    dirs
}

fn newest_sub_directory(dir: &Path) -> Option<PathBuf> {
    let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    sub_directories(dir).into_iter().max_by_key(modified)
}

impl fmt::Display for Property {
    /// As Python prints the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Property::Bool(true) => f.write_str("True"),
            Property::Bool(false) => f.write_str("False"),
            Property::Text(text) => f.write_str(text),
        }
    }
}
