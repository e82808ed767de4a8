//! The variables that status files may ask, from the build and the options (reference §2.2).
//!
//! Pure.

use super::build::{Build, Properties, Property, guess_arch};
use super::dialect::{Dialect, Era};
use super::status::{Value, Variables};

/// What the options say that status files may ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches<'a> {
    /// `--gc-stress`.
    pub gc_stress: bool,
    /// `--random-gc-stress`.
    pub random_gc_stress: bool,
    /// `--isolates`.
    pub isolates: bool,
    /// `--no-harness`.
    pub no_harness: bool,
    /// `--novfp3`.
    pub novfp3: bool,
    /// `--dont-skip-slow-simulator-tests`.
    pub run_simulator_tests: bool,
    /// Flags for every command.
    pub extra_flags: &'a [String],
}

/// Every variable of the era.
pub fn variables(dialect: Dialect, build: &Build, switches: &Switches<'_>) -> Variables {
    let mut properties = build.properties.clone();
    properties.extend(common(build, switches));
    if dialect.is_old() {
        properties.extend(old(dialect, build, switches));
    } else {
        properties.extend(modern(build, switches));
    }
    properties
        .into_iter()
        .map(|(name, value)| match value {
            Property::Bool(value) => (name, Value::Bool(value)),
            Property::Text(text) => (name, Value::Text(text)),
        })
        .collect()
}

fn entry(name: &str, value: bool) -> (String, Property) {
    (name.to_owned(), Property::Bool(value))
}

fn text(name: &str, value: &str) -> (String, Property) {
    (name.to_owned(), Property::Text(value.to_owned()))
}

fn common(build: &Build, switches: &Switches<'_>) -> Properties {
    [
        text("arch", &build.arch),
        text("mode", build.status_mode),
        text("system", system(build)),
        text("byteorder", if cfg!(target_endian = "big") { "big" } else { "little" }),
        entry("deopt_fuzzer", false),
        entry("isolates", switches.isolates),
        entry("no_harness", switches.no_harness),
        entry("novfp3", switches.novfp3),
        entry("gc_stress", switches.gc_stress || switches.random_gc_stress),
    ]
    .into_iter()
    .collect()
}

/// The host's name for itself, unless the build is for another system.
fn system(build: &Build) -> &'static str {
    if build.is("is_android") {
        return "android";
    }
    if build.is("is_ios") {
        return "ios";
    }
    match std::env::consts::OS {
        "macos" => "macos",
        "windows" => "windows",
        "freebsd" => "freebsd",
        "openbsd" => "openbsd",
        "netbsd" => "netbsd",
        "solaris" | "illumos" => "solaris",
        "aix" => "aix",
        _ => "linux",
    }
}

fn old(dialect: Dialect, build: &Build, switches: &Switches<'_>) -> Properties {
    let known = |name: &str| entry(name, build.is(name));
    let mut properties: Properties = ["asan", "msan", "tsan", "dcheck_always_on", "no_i18n", "no_snap"]
        .into_iter()
        .map(known)
        .chain([
            entry("simulator", simulated(&build.arch)),
            entry("simulator_run", simulator_run(build, switches)),
        ])
        .collect();
    if dialect.era >= Era::V62 {
        properties.extend(["gcov_coverage", "predictable", "ubsan_vptr"].map(known));
    } else {
        properties.insert("gc_stress".to_owned(), Property::Bool(switches.gc_stress));
    }
    properties
}

/// 2015/6.2: these targets are taken to be simulated unless the host is of their family.
fn simulated(arch: &str) -> bool {
    let machine = match std::env::consts::ARCH {
        "aarch64" => "aarch64",
        "arm" => "armv7l",
        "x86" => "i686",
        other => other,
    };
    ["mipsel", "arm", "arm64"].contains(&arch) && !machine.starts_with(arch)
}

fn simulator_run(build: &Build, switches: &Switches<'_>) -> bool {
    let simulators =
        ["arm64", "arm", "mipsel", "mips", "mips64", "mips64el", "ppc", "ppc64", "s390", "s390x"];
    !switches.run_simulator_tests && simulators.contains(&&*build.arch) && build.arch != guess_arch()
}

fn modern(build: &Build, switches: &Switches<'_>) -> Properties {
    let extra = |flag: &str| switches.extra_flags.iter().any(|have| have == flag);
    let simulator = build.is("simulator_run") && !switches.run_simulator_tests;
    [
        entry("endurance_fuzzer", false),
        entry("num_fuzzer", false),
        entry("interrupt_fuzzer", false),
        entry("gc_fuzzer", switches.random_gc_stress),
        entry("simulator_run", simulator),
        entry("optimize_for_size", extra("--optimize-for-size")),
        entry("no_simd_hardware", no_simd(build, switches)),
        entry("all_arm64_features", extra("--sim-arm64-optional-features=all")),
        text("device_type", ""),
    ]
    .into_iter()
    .collect()
}

/// Whether the target has no SIMD, by its flags or its kind (reference §2.2).
fn no_simd(build: &Build, switches: &Switches<'_>) -> bool {
    let disabled = |flag: &String| {
        let name = flag.trim_start_matches("--no-").trim_start_matches("--no");
        flag.starts_with("--no")
            && ["enable-sse3", "enable-ssse3", "enable-sse4-1", "enable-sse4_1"].contains(&name)
    };
    let mips_without = ["mips64el", "mipsel"].contains(&&*build.arch) && !build.is("simd_mips");
    let kind = build.arch == "loong64" || build.arch == "riscv32";
    switches.extra_flags.iter().any(disabled) || mips_without || kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(arch: &str) -> Build {
        Build {
            dir: "/b".into(),
            arch: arch.into(),
            mode: "release".into(),
            execution_mode: "release".into(),
            status_mode: "release",
            mode_flags: Vec::new(),
            timeout_factor: 1.0,
            properties: Properties::new(),
            config: Properties::new(),
        }
    }

    #[test]
    fn switches_become_variables_of_their_era() {
        let switches = Switches { gc_stress: true, ..Switches::default() };
        let old = variables(Dialect::new(Era::V62), &build("x64"), &switches);
        assert_eq!(old.get("gc_stress"), Some(&Value::Bool(true)));
        assert_eq!(old.get("simulator"), Some(&Value::Bool(false)));
        assert_eq!(old.get("no_simd_hardware"), None);
        let modern = variables(Dialect::new(Era::V157), &build("x64"), &Switches::default());
        assert_eq!(modern.get("no_simd_hardware"), Some(&Value::Bool(false)));
        assert_eq!(modern.get("arch"), Some(&Value::Text("x64".into())));
    }

    #[test]
    fn simd_is_missing_by_flag_or_by_target() {
        for (arch, flag, missing) in [
            ("x64", "--no-enable-sse3", true),
            ("x64", "--noenable-sse4-1", true),
            ("x64", "--enable-sse3", false),
            ("mips64el", "", true),
            ("riscv32", "", true),
        ] {
            let flags = [flag.to_owned()];
            let switches = Switches { extra_flags: &flags, ..Switches::default() };
            assert_eq!(no_simd(&build(arch), &switches), missing, "{arch} {flag}");
        }
    }
}
