//! Every rule that differs between V8's eras: one type, one place (reference §8).
//!
//! A dialect is detected from the tree under test; the rest of the program asks it and never compares versions by
//! itself beyond [`Era`]. Reads only `include/v8-version.h` and the names of the runner's files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::job::Ladder;

/// The generations of V8's runner that behave differently. Ordered, so that `era >= Era::V102` reads as "since 10.2".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// V8 4.x, 2015: Python 2, prefix patterns, crankshaft variants.
    V2015,
    /// V8 5 to 6.x, 2016-2018: `tools/run-tests.py` is the whole runner, flags precede files.
    V62,
    /// V8 7 to 12, 2019-2023: a pipeline of processors, files precede flags.
    V102,
    /// V8 13 to 15.6, 2024-2025: build JSON keys are the status variables.
    V13,
    /// V8 15.7 and later, 2026.
    V157,
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Era::V2015 => "2015",
            Era::V62 => "6.2",
            Era::V102 => "10.2",
            Era::V13 => "13",
            Era::V157 => "15.7",
        })
    }
}

/// Why a tree has no dialect.
#[derive(Debug, thiserror::Error)]
pub enum DialectError {
    /// Neither a version nor a runner was found.
    #[error("{} is no V8 checkout: it has neither include/v8-version.h nor tools/run-tests.py", .0.display())]
    NoCheckout(PathBuf),
}

/// How tests are divided among shards (reference §5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharding {
    /// Round robin, the counter restarting with each suite (2015, 6.2).
    PerSuite,
    /// A hash of the subtest's id (10.2 and later).
    Hash,
}

/// When a failing case runs again and what that makes of it (reference §5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RerunRule {
    /// The limit counts tests that rerun at all (2015, 6.2), not single reruns.
    pub limit_counts_tests: bool,
    /// From the second rerun on, a run longer than a twentieth of the timeout is the last (2015, 6.2).
    pub slow_once: bool,
    /// A case that failed once has failed, whatever its reruns say (6.2 and ~13+; 10.2 takes the last run).
    pub failure_sticks: bool,
}

/// The rules of the tree under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Its generation.
    pub era: Era,
    /// Major and minor version, for the few rules that changed within a generation.
    pub version: (u32, u32),
}

impl Dialect {
    /// The dialect of a generation, as of the version that named it.
    pub fn new(era: Era) -> Self {
        let version = match era {
            Era::V2015 => (4, 3),
            Era::V62 => (6, 2),
            Era::V102 => (10, 2),
            Era::V13 => (13, 0),
            Era::V157 => (15, 7),
        };
        Dialect { era, version }
    }

    /// Finds out which rules a checkout follows.
    ///
    /// # Errors
    /// When the folder is no V8 checkout.
    pub fn detect(workspace: &Path) -> Result<Self, DialectError> {
        let runner = |file: &str| workspace.join("tools").join(file).is_file();
        let version = version(workspace);
        let era = match version {
            Some((major, _)) if major < 5 => Era::V2015,
            Some((major, minor)) if (major, minor) >= (15, 7) => Era::V157,
            Some((major, _)) if major >= 13 => Era::V13,
            Some((major, _)) if major >= 7 => Era::V102,
            // The runner was split into processors during 6.x.
            _ if runner("testrunner/standard_runner.py") => Era::V102,
            Some(_) => Era::V62,
            None if runner("testrunner/local/variants.py") => Era::V62,
            None if runner("run-tests.py") => Era::V2015,
            None => return Err(DialectError::NoCheckout(workspace.to_owned())),
        };
        let known = Dialect::new(era);
        Ok(Dialect { version: version.unwrap_or(known.version), ..known })
    }

    /// 2015 and 6.2: one program, flags before files, architectures and modes on the command line.
    pub fn is_old(self) -> bool {
        self.era <= Era::V62
    }

    /// How shards are cut.
    pub fn sharding(self) -> Sharding {
        if self.is_old() { Sharding::PerSuite } else { Sharding::Hash }
    }

    /// How reruns count.
    pub fn reruns(self) -> RerunRule {
        RerunRule {
            limit_counts_tests: self.is_old(),
            slow_once: self.is_old(),
            failure_sticks: self.era != Era::V102,
        }
    }

    /// How a process group is ended (reference §5.5).
    pub fn ladder(self) -> Ladder {
        match self.era {
            Era::V2015 | Era::V157 => Ladder::TermThenKill,
            Era::V62 | Era::V102 | Era::V13 => Ladder::Kill,
        }
    }

    /// Appended to the mode flags by the standard runner: 2019 to ~13, never since.
    pub fn runner_flag(self) -> Option<&'static str> {
        matches!(self.era, Era::V102 | Era::V13).then_some("--testing-d8-test-runner")
    }

    /// Whether `--json-test-results` turns exit code 1 into 0 (reference §8 item 17): from 6.2 to 11.6, gone in 12.6.
    pub fn json_hides_failures(self) -> bool {
        (Era::V62..=Era::V102).contains(&self.era) && self.version < (12, 0)
    }

    /// Failures after which a run stops when nothing was said; 0 is never.
    pub fn default_failure_limit(self) -> usize {
        if self.is_old() { 0 } else { 100 }
    }

    /// Architectures with a longer timeout, and its factor. 2015 has 120 s instead of 60 s when no timeout was given.
    pub fn slow_arch_factor(self, arch: &str) -> f64 {
        let slow: &[&str] = match self.era {
            Era::V2015 => &[
                "android_arm",
                "android_arm64",
                "android_ia32",
                "arm",
                "mips",
                "mipsel",
                "mips64el",
                "nacl_ia32",
                "nacl_x64",
                "x87",
                "arm64",
            ],
            Era::V62 => &[
                "android_arm",
                "android_arm64",
                "android_ia32",
                "android_x64",
                "arm",
                "mips",
                "mipsel",
                "mips64",
                "mips64el",
                "s390",
                "s390x",
                "arm64",
            ],
            Era::V102 => &[
                "arm", "arm64", "mips", "mipsel", "mips64", "mips64el", "s390", "s390x", "riscv64", "loong64",
            ],
            Era::V13 | Era::V157 => {
                &["arm", "arm64", "mips64", "mips64el", "s390", "s390x", "riscv32", "riscv64", "loong64"]
            }
        };
        if slow.contains(&arch) { self.slow_factor() } else { 1.0 }
    }

    /// The factor of those architectures.
    pub fn slow_factor(self) -> f64 {
        if self.is_old() { 2.0 } else { 4.5 }
    }

    /// Factor on the timeout of one case, from its finished parameters and its marks (reference §5.5).
    pub fn case_factor(self, parameters: &[String], slow: bool) -> f64 {
        let has = |flag: &str| parameters.iter().any(|parameter| parameter == flag);
        let mut factor = 1.0;
        let mut times = |applies: bool, by: f64| {
            if applies {
                factor *= by;
            }
        };
        times(self.era <= Era::V13 && has("--stress-opt"), 4.0);
        times(!self.is_old() && has("--jitless"), 2.0);
        times(matches!(self.era, Era::V102) && has("--no-opt"), 2.0);
        times(self.era >= Era::V13 && has("--no-turbofan"), 2.0);
        times(self.era != Era::V2015 && has("--noenable-vfp3"), 2.0);
        times(slow, if self.is_old() { 2.0 } else { 4.0 });
        factor
    }

    /// Seconds a test may take when nothing was said.
    pub fn default_timeout(self) -> Duration {
        Duration::from_secs(60)
    }

    /// Whether SLOW is implied by HEAVY (10.2 to 11.6; in 12.6 HEAVY has a list of its own).
    pub fn heavy_is_slow(self) -> bool {
        self.era == Era::V102 && self.version < (12, 0)
    }

    /// Whether an ASAN build's own flag goes to d8 only (12.6) instead of to every shell (11.6).
    pub fn has_d8_flags(self) -> bool {
        self.version >= (12, 0)
    }

    /// The file name people know the runner by, for V8's own messages.
    pub fn runner_name(self) -> &'static str {
        "run-tests.py"
    }
}

/// Major and minor version of the checkout.
pub fn version(workspace: &Path) -> Option<(u32, u32)> {
    let text = std::fs::read(workspace.join("include/v8-version.h"))
        .or_else(|_| std::fs::read(workspace.join("src/version.cc")))
        .ok()?;
    let text = String::from_utf8_lossy(&text);
    let number = |names: [&str; 2]| {
        text.lines().find_map(|line| {
            let mut words = line.strip_prefix("#define")?.split_whitespace();
            let name = words.next()?;
            names.contains(&name).then(|| words.next()?.parse().ok()).flatten()
        })
    };
    Some((number(["V8_MAJOR_VERSION", "MAJOR_VERSION"])?, number(["V8_MINOR_VERSION", "MINOR_VERSION"])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(version: Option<(u32, u32)>, files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        if let Some((major, minor)) = version {
            let text = format!("#define V8_MAJOR_VERSION {major}\n#define V8_MINOR_VERSION {minor}\n");
            write("include/v8-version.h", &text);
        }
        files.iter().for_each(|file| write(file, ""));
        dir
    }

    #[test]
    fn the_era_follows_from_version_and_runner() {
        let standard = "tools/testrunner/standard_runner.py";
        for (version, files, era) in [
            (Some((4, 3)), vec![], Era::V2015),
            (Some((5, 1)), vec![], Era::V62),
            (Some((6, 2)), vec!["tools/run-tests.py"], Era::V62),
            (Some((6, 8)), vec![standard], Era::V102),
            (Some((10, 2)), vec![standard], Era::V102),
            (Some((12, 9)), vec![], Era::V102),
            (Some((13, 0)), vec![], Era::V13),
            (Some((15, 2)), vec![], Era::V13),
            (Some((15, 7)), vec![], Era::V157),
            (Some((16, 0)), vec![], Era::V157),
            (None, vec![standard], Era::V102),
            (None, vec!["tools/testrunner/local/variants.py"], Era::V62),
            (None, vec!["tools/run-tests.py"], Era::V2015),
        ] {
            let dir = tree(version, &files);
            assert_eq!(Dialect::detect(dir.path()).unwrap().era, era, "{version:?} {files:?}");
        }
    }

    #[test]
    fn a_folder_without_version_and_runner_is_no_checkout() {
        let dir = tree(None, &[]);
        let error = Dialect::detect(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is no V8 checkout"), "{error}");
    }

    #[test]
    fn timeout_factors_multiply() {
        let parameters = ["--stress-opt".to_owned(), "--jitless".to_owned()];
        assert_eq!(Dialect::new(Era::V102).case_factor(&parameters, true), 32.0);
        assert_eq!(Dialect::new(Era::V157).case_factor(&parameters, true), 8.0);
        assert_eq!(Dialect::new(Era::V62).case_factor(&parameters, true), 8.0);
        assert_eq!(Dialect::new(Era::V102).slow_arch_factor("arm64"), 4.5);
        assert_eq!(Dialect::new(Era::V62).slow_arch_factor("arm64"), 2.0);
        assert_eq!(Dialect::new(Era::V157).slow_arch_factor("x64"), 1.0);
    }
}
