//! What runs the JavaScript: the shells of a build, or an engine that stands in for its d8.
//!
//! [`Engine`] answers what lowering asks (the program of a command line, which suites it can run, what status files
//! may know of it). `embedded` is a shell of its own, run as a process a test like any other; `node` is any Node.js
//! behind a prelude.

pub mod embedded;
mod node;

use std::path::PathBuf;

use crate::frontend::build::{Build, Properties, Property};
use crate::frontend::dialect::{Dialect, Era};
use crate::job::{Arg, Root, RootedPath};

pub use node::UNSUPPORTED as UNSUPPORTED_BY_NODE;

/// The first argument that makes this program a JavaScript shell.
pub const EMBEDDED_ARGUMENT: &str = "--embedded-shell";

/// Why an engine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no Node.js.
    #[error("no `node` in PATH\nhint: install Node.js, or use --engine embedded")]
    NoNode,
    /// It is there and does not answer.
    #[error("{} cannot run: {what}", .path.display())]
    Broken {
        /// The program.
        path: PathBuf,
        /// What it said.
        what: String,
    },
    /// The prelude cannot be written to the cache.
    #[error("cannot write the prelude for Node.js")]
    Prelude(#[source] std::io::Error),
    /// This program cannot find itself.
    #[error("cannot find this program's own file")]
    OwnFile(#[source] std::io::Error),
}

/// What runs the JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// The shells of a build directory.
    Build,
    /// Node.js.
    Node {
        /// The program.
        program: PathBuf,
        /// The prelude that makes it a shell.
        prelude: PathBuf,
    },
    /// The engine compiled into this program.
    Embedded {
        /// This program.
        program: PathBuf,
    },
}

impl Engine {
    /// The Node.js in `PATH`, with its prelude below `cache`.
    ///
    /// # Errors
    /// When there is none, it does not run, or the prelude cannot be written.
    pub fn node(cache: &std::path::Path) -> Result<Self, EngineError> {
        let program = node::find()?;
        let prelude = node::prelude(cache).map_err(EngineError::Prelude)?;
        Ok(Engine::Node { program, prelude })
    }

    /// The engine of this program.
    ///
    /// # Errors
    /// When the program cannot find its own file.
    pub fn embedded() -> Result<Self, EngineError> {
        Ok(Engine::Embedded { program: Self::own_program()? })
    }

    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::Build => "build",
            Engine::Node { .. } => "node",
            Engine::Embedded { .. } => "embedded",
        }
    }

    /// This project's own program.
    ///
    /// # Errors
    /// When it cannot find its own file.
    pub fn own_program() -> Result<PathBuf, EngineError> {
        std::env::current_exe().map_err(EngineError::OwnFile)
    }

    /// Whether a suite's tests are scripts for d8, which is all that an engine stands in for.
    pub fn can_run(&self, suite: &str) -> bool {
        const SCRIPTS: &[&str] = &[
            "mjsunit",
            "message",
            "webkit",
            "intl",
            "mozilla",
            "test262",
            "test262-es6",
            "preparser",
            "benchmarks",
            "wasm-spec-tests",
            "wasm-js",
            "promises-aplus",
        ];
        *self == Engine::Build || SCRIPTS.contains(&suite)
    }

    /// The program of a command line and what belongs before its parameters.
    pub fn program(&self, shell: &str, dialect: Dialect) -> Vec<Arg> {
        let text = |path: &PathBuf| Arg::Text(path.to_string_lossy().into_owned());
        match self {
            Engine::Build => {
                let path = RootedPath { root: Root::Build, path: shell.to_owned() };
                vec![if dialect.era >= Era::V157 { Arg::Relative(path) } else { Arg::Path(path) }]
            }
            Engine::Node { program, prelude } => {
                let flags =
                    ["--no-warnings", "--experimental-vm-modules"].map(|flag| Arg::Text(flag.to_owned()));
                [vec![text(program)], flags.to_vec(), vec![text(prelude)]].concat()
            }
            Engine::Embedded { .. } => {
                let path = RootedPath { root: Root::Program, path: String::new() };
                vec![Arg::Path(path), Arg::Text(EMBEDDED_ARGUMENT.to_owned())]
            }
        }
    }

    /// How many arguments stand before a command's own parameters.
    pub fn leading(&self) -> usize {
        match self {
            Engine::Build => 1,
            Engine::Node { .. } => 4,
            Engine::Embedded { .. } => 2,
        }
    }

    /// What status files may know of a stand-in; none for a build, which says it itself.
    pub fn build(&self, dialect: Dialect) -> Option<Build> {
        let dir = match self {
            Engine::Build => return None,
            Engine::Node { program, .. } | Engine::Embedded { program } => {
                program.parent().map_or_else(PathBuf::new, std::path::Path::to_owned)
            }
        };
        let full = matches!(self, Engine::Node { .. });
        let flags: &[&str] = &["--nohard-abort"];
        Some(Build {
            dir,
            arch: host_arch().to_owned(),
            mode: "release".to_owned(),
            execution_mode: "release".to_owned(),
            status_mode: "release",
            mode_flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            timeout_factor: dialect.slow_arch_factor(host_arch()),
            properties: properties(full, dialect),
            config: Properties::new(),
        })
    }
}

/// V8's name of this machine.
fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "ia32",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        "x86_64" => "x64",
        other => other,
    }
}

/// A release build; `full` says that it is V8 with everything on.
fn properties(full: bool, dialect: Dialect) -> Properties {
    let yes = ["has_webassembly", "i18n", "has_turbofan", "has_jitless", "disassembler", "verify_heap"];
    let no = [
        "asan",
        "msan",
        "tsan",
        "ubsan",
        "ubsan_vptr",
        "cfi",
        "cfi_vptr",
        "lite_mode",
        "is_android",
        "is_ios",
        "simulator_run",
        "dcheck_always_on",
        "predictable",
        "verify_predictable",
        "gcov_coverage",
        "clang_coverage",
        "pointer_compression",
        "sandbox",
        "is_full_debug",
        "full_debug",
        "is_clang",
        "clang",
        "verify_csa",
        "third_party_heap",
        "single_generation",
        "no_js_shared_memory",
        "use_sanitizer",
        "debugging_features",
        "slow_dchecks",
        "DEBUG_defined",
        "debug_code",
        "code_comments",
        "gdbjit",
        "has_maglev",
        "no_snap",
        "lower_limits_mode",
        "sparkplug_plus",
        "dict_property_const_tracking",
        "concurrent_marking",
        "v8_cfi",
        "control_flow_integrity",
        "conservative_stack_scanning",
    ];
    let mut properties: Properties = Properties::new();
    properties.extend(yes.map(|name| (name.to_owned(), Property::Bool(full))));
    properties.extend(no.map(|name| (name.to_owned(), Property::Bool(false))));
    if dialect.era <= Era::V102 {
        properties.insert("no_i18n".to_owned(), Property::Bool(!full));
        properties.remove("i18n");
    }
    properties
}
