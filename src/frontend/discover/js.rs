//! Suites of JavaScript files run by a shell: mjsunit, message, webkit, intl, debugger, inspector, mozilla
//! (reference §4.1-§4.7).

use std::path::Path;

use super::walk::{Walk, below};
use super::{
    Check, DiscoverError, ExitRule, Listing, Part, Recipe, Shell, Suite, SuiteContext, Test, metadata,
    source_flags,
};
use crate::frontend::dialect::Era;
use crate::job::Arg;

/// Which of the suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mjsunit,
    Message,
    Webkit,
    Intl,
    Debugger,
    Inspector,
}

/// Files of a suite that are no tests.
fn excluded_files(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Mjsunit => &["mjsunit.js", "mjsunit_numfuzz.js", "mjsunit_suppressions.js"],
        Kind::Message | Kind::Webkit => &[],
        Kind::Intl => &["assert.js", "utils.js", "regexp-assert.js", "regexp-prepare.js"],
        Kind::Debugger => &["test-api.js"],
        Kind::Inspector => {
            &["protocol-test.js", "wasm-inspector-test.js", "private-class-member-inspector-test.js"]
        }
    }
}

fn excluded_dirs(kind: Kind) -> &'static [&'static str] {
    if matches!(kind, Kind::Webkit | Kind::Inspector) { &["resources"] } else { &[] }
}

/// Lists a suite of JavaScript files.
pub(super) fn list(suite: &Suite, kind: Kind, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let modern = !context.dialect.is_old();
    let walk = Walk {
        excluded: excluded_dirs(kind),
        links: modern || matches!(kind, Kind::Mjsunit | Kind::Inspector),
        dialect: context.dialect,
    };
    list_files(suite, context, walk, &suite.root, "", excluded_files(kind))
}

/// Lists the JavaScript files below `root`; names are relative to `root`, with `prefix` before them.
pub(super) fn list_files(
    suite: &Suite,
    context: &SuiteContext<'_>,
    walk: Walk<'_>,
    root: &Path,
    prefix: &str,
    excluded: &[&str],
) -> Result<Listing, DiscoverError> {
    let files = walk.files(&below(root, prefix))?;
    let modules = !context.dialect.is_old();
    let mut listing = Listing { candidates: files.len(), ..Listing::default() };
    for file in &files {
        let base = file.rsplit('/').next().unwrap_or(file);
        if excluded.contains(&base) && own_helper(suite, base, context) {
            continue;
        }
        let path = format!("{prefix}{file}");
        let (name, source) = if let Some(name) = path.strip_suffix(".js") {
            (name, path.clone())
        } else if let Some(name) = path.strip_suffix(".mjs").filter(|_| modules) {
            // A script of the same name is what V8 runs for both.
            let script = format!("{name}.js");
            (name, if root.join(&script).is_file() { script } else { path.clone() })
        } else {
            continue;
        };
        let source = root.join(source);
        let relative = source.strip_prefix(context.workspace).unwrap_or(&source);
        listing.tests.push(Test::named(name.to_owned(), Some(relative.to_string_lossy().into_owned())));
    }
    Ok(listing)
}

/// A helper counts as one only where the suite's configuration knows it.
fn own_helper(suite: &Suite, base: &str, context: &SuiteContext<'_>) -> bool {
    let early = ["mjsunit.js", "assert.js", "utils.js", "test-api.js", "protocol-test.js"].contains(&base);
    let since_62 = base.starts_with("regexp-") && context.dialect.era >= Era::V62;
    suite.names(base, early || since_62 || !context.dialect.is_old())
}

/// Describes a test.
pub(super) fn recipe(
    suite: &Suite,
    kind: Kind,
    context: &SuiteContext<'_>,
    test: &Test,
) -> Result<Recipe, DiscoverError> {
    let (path, source) = suite.source(context, test)?;
    let base = suite.root.join(&*test.name);
    let mut recipe = Recipe::d8(check(suite, kind, context, test, &path)?);
    recipe.source_flags = flags_of(suite, kind, context, &source, &path)?;
    recipe.files = files_of(suite, kind, context, &source, &path);
    recipe.suite_flags = match kind {
        Kind::Debugger => vec!["--enable-inspector".to_owned(), "--allow-natives-syntax".to_owned()],
        Kind::Intl => vec!["--allow-natives-syntax".to_owned()],
        _ => Vec::new(),
    };
    recipe.layout = match kind {
        Kind::Message => &[Part::TestFlags, Part::Source, Part::Mode, Part::Files],
        // 5.x gave the inspector's tests their own flags only.
        Kind::Inspector if !suite.names("mode_flags", true) => &[Part::Files, Part::Source],
        _ => &[Part::TestFlags, Part::Suite, Part::Mode, Part::Source, Part::Files],
    };
    recipe.isolates = matches!(kind, Kind::Mjsunit | Kind::Webkit | Kind::Intl | Kind::Debugger);
    match kind {
        Kind::Message => {
            recipe.dropped_flag = Some("--enable-slow-asserts");
            recipe.expected_file = Some(base.with_file_name(format!("{}.out", file_name(&base))));
        }
        Kind::Webkit | Kind::Inspector => recipe.expected_file = Some(expected_path(&base)),
        Kind::Mjsunit | Kind::Intl | Kind::Debugger => {}
    }
    if kind == Kind::Inspector {
        recipe.shell = Shell::Named("inspector-test".to_owned());
    }
    let has_environment = match kind {
        Kind::Mjsunit => context.dialect.era >= Era::V62,
        Kind::Intl => context.dialect.era >= Era::V102,
        _ => false,
    };
    if has_environment {
        let pairs = metadata::environment(&source).into_iter();
        recipe.env = pairs.map(|(name, value)| (name, Arg::Text(value))).collect();
    }
    Ok(recipe)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn expected_path(base: &Path) -> std::path::PathBuf {
    base.with_file_name(format!("{}-expected.txt", file_name(base)))
}

fn check(
    suite: &Suite,
    kind: Kind,
    context: &SuiteContext<'_>,
    test: &Test,
    path: &Path,
) -> Result<Check, DiscoverError> {
    let base = suite.root.join(&*test.name);
    let modern = !context.dialect.is_old();
    match kind {
        Kind::Mjsunit | Kind::Intl | Kind::Debugger => Ok(Check::ExitCode),
        Kind::Message => {
            let out = base.with_file_name(format!("{}.out", file_name(&base)));
            let fails = test.name.split('/').any(|part| part == "fail");
            let exit = match (modern, fails) {
                (false, _) => ExitRule::Ignored,
                (true, true) => ExitRule::NonZero,
                (true, false) => ExitRule::Zero,
            };
            Ok(Check::Message { expected: suite.expectation(test, &out)?, basename: file_name(path), exit })
        }
        Kind::Webkit => {
            let expected = suite.expectation(test, &expected_path(&base))?;
            Ok(Check::Lines { expected, comments: true, exit: true })
        }
        Kind::Inspector => {
            let expected = suite.expectation(test, &expected_path(&base))?;
            Ok(Check::Lines { expected, comments: false, exit: modern })
        }
    }
}

fn flags_of(
    suite: &Suite,
    kind: Kind,
    context: &SuiteContext<'_>,
    source: &str,
    path: &Path,
) -> Result<Vec<String>, DiscoverError> {
    match kind {
        // 2015's intl did not read flags.
        Kind::Intl if context.dialect.era == Era::V2015 => Ok(Vec::new()),
        Kind::Inspector => source_flags(metadata::quoted_flags(source), path),
        Kind::Message => {
            let mut flags = source_flags(metadata::flags(source, context.dialect), path)?;
            let unstressed = suite.names("--no-stress-opt", context.dialect.era == Era::V102);
            if unstressed && !context.dialect.is_old() {
                flags.insert(0, "--no-stress-opt".to_owned());
            }
            Ok(flags)
        }
        _ => source_flags(metadata::flags(source, context.dialect), path),
    }
}

/// Files and what stands among them, in the suite's order.
fn files_of(suite: &Suite, kind: Kind, context: &SuiteContext<'_>, source: &str, path: &Path) -> Vec<Arg> {
    let own = |name: &str| context.path(&suite.root.join(name));
    let more = || metadata::files(source).iter().map(|name| context.workspace_file(name)).collect::<Vec<_>>();
    let module =
        (context.dialect.is_old() && metadata::is_module(source)).then(|| Arg::Text("--module".to_owned()));
    let test = context.path(path);
    match kind {
        Kind::Mjsunit => {
            let bare = context.no_harness || metadata::has_no_harness(source);
            let harness = (!bare).then(|| own("mjsunit.js"));
            let mut files = self_name(context, source, path);
            files.extend(more());
            let at = if harness_first(suite, context) { 0 } else { files.len() };
            files.splice(at..at, harness);
            files.extend(module.into_iter().chain([test]));
            files
        }
        Kind::Message => module.into_iter().chain([test]).collect(),
        Kind::Webkit => {
            let mut files = self_name(context, source, path);
            files.extend(more());
            files.extend([own("resources/standalone-pre.js"), test, own("resources/standalone-post.js")]);
            files
        }
        Kind::Intl => {
            let wrapped = suite.names("regexp-prepare.js", context.dialect.era == Era::V62);
            let mut files = vec![own("assert.js"), own("utils.js")];
            files.extend(wrapped.then(|| own("regexp-prepare.js")));
            files.push(test);
            files.extend(wrapped.then(|| own("regexp-assert.js")));
            files
        }
        Kind::Debugger => {
            let mjsunit = context.path(&context.test_root.join("mjsunit/mjsunit.js"));
            let mut files = vec![mjsunit, own("test-api.js")];
            files.extend(more());
            files.extend(module.into_iter().chain([test]));
            files
        }
        Kind::Inspector => vec![own("protocol-test.js"), test],
    }
}

/// Whether mjsunit's harness comes before the files of a test: until ~12 it came after them.
fn harness_first(suite: &Suite, context: &SuiteContext<'_>) -> bool {
    let body = suite.config.split("def _get_files_params").nth(1).unwrap_or("");
    match (body.find("_mjsunit_files"), body.find("_source_files")) {
        (Some(harness), Some(files)) => harness < files,
        _ => context.dialect.era >= Era::V13,
    }
}

/// `-e TEST_FILE_NAME="<path>"`, where the source asks for it.
fn self_name(context: &SuiteContext<'_>, source: &str, path: &Path) -> Vec<Arg> {
    if !metadata::wants_file_name(source) {
        return Vec::new();
    }
    let (before, after) = ("TEST_FILE_NAME=\"".to_owned(), "\"".to_owned());
    let assignment = match context.rooted(path) {
        Some(path) => Arg::Within { before, path, after },
        None => Arg::Text(format!("{before}{}{after}", path.display())),
    };
    vec![Arg::Text("-e".to_owned()), assignment]
}

const MOZILLA_DIRS: &[&str] = &["ecma", "ecma_2", "ecma_3", "js1_1", "js1_2", "js1_3", "js1_4", "js1_5"];
const MOZILLA_FRAMEWORK: &[&str] = &["browser.js", "shell.js", "jsref.js", "template.js"];

/// Lists mozilla's data folders.
pub(super) fn list_mozilla(suite: &Suite, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
    let data = suite.root.join("data");
    let walk =
        Walk { excluded: &["CVS", ".svn"], links: !context.dialect.is_old(), dialect: context.dialect };
    let mut listing = Listing::default();
    for dir in MOZILLA_DIRS.iter().filter(|dir| data.join(dir).is_dir()) {
        let part = list_files(suite, context, walk, &data, &format!("{dir}/"), MOZILLA_FRAMEWORK)?;
        listing.candidates += part.candidates;
        listing.tests.extend(part.tests);
    }
    Ok(listing)
}

/// Describes a mozilla test: the shells of its folders from the root down come before it.
pub(super) fn recipe_mozilla(
    suite: &Suite,
    context: &SuiteContext<'_>,
    test: &Test,
) -> Result<Recipe, DiscoverError> {
    let (path, _) = suite.source(context, test)?;
    let mut recipe = Recipe::d8(Check::NoFailed);
    recipe.files.push(context.path(&suite.root.join("mozilla-shell-emulation.js")));
    let mut folder = suite.root.join("data");
    for part in std::iter::once("").chain(test.name.split('/')) {
        folder = below(&folder, part);
        let shell = folder.join("shell.js");
        if shell.is_file() {
            recipe.files.push(context.path(&shell));
        }
    }
    recipe.files.push(context.path(&path));
    recipe.suite_flags = vec!["--expose-gc".to_owned()];
    recipe.layout = &[Part::TestFlags, Part::Mode, Part::Suite, Part::Files];
    recipe.negative = test.name.ends_with("-n");
    Ok(recipe)
}
