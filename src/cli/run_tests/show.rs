//! What `run-tests` shows instead of running, or beside it: lists, command lines, sources, counts.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::json;

use super::args::{Args, Progress};
use super::{Prepared, line};
use crate::cli::words::{Shell, chain};
use crate::frontend::dialect::Dialect;
use crate::frontend::select::{Case, Reason, Selection};
use crate::frontend::status::{Keyword, report_counts};
use crate::report::Style;
use crate::run::describe::why;

/// The progress style: what was typed, else a bar on a terminal and plain lines elsewhere.
pub(super) fn style(args: &Args, typed: bool, terminal: bool) -> Style {
    match args.progress {
        Some(progress) if typed => named(progress),
        _ if args.quiet || (!args.no_quiet && asks_for_quiet()) => Style::None,
        _ if terminal => Style::Bar,
        _ => Style::Plain,
    }
}

fn named(progress: Progress) -> Style {
    match progress {
        Progress::Verbose => Style::Verbose,
        Progress::Ci => Style::Ci,
        Progress::Dots => Style::Dots,
        Progress::Color => Style::Color,
        Progress::Mono => Style::Mono,
        Progress::Stream => Style::Stream,
        Progress::None => Style::None,
        Progress::Bar => Style::Bar,
        Progress::Plain => Style::Plain,
    }
}

/// Since 2025 V8's runner is quiet where such a variable is set (reference §1.1).
fn asks_for_quiet() -> bool {
    const NAMES: [&str; 6] =
        ["GEMINI_CLI", "CLAUDECODE", "ANTIGRAVITY_AGENT", "CODEX_SANDBOX", "CURSOR_AGENT", "AI_AGENT"];
    let set =
        |name: &str| std::env::var(name).is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
    NAMES.iter().any(|name| set(name))
}

/// One case a line: its name and variant, or an object with what is known of it.
pub(super) fn list(prepared: &Prepared<'_>, out: &mut dyn Write) -> io::Result<()> {
    let selection = prepared.selection;
    if prepared.config.args.json {
        selection.cases.iter().try_for_each(|case| line(out, &case_json(prepared, case).to_string()))?;
        return left_out(prepared, out);
    }
    let mut last = String::new();
    for case in &selection.cases {
        let name = selection.name(case);
        // Subtests of one variant (strict and sloppy) are one line; variants are told apart when there are several.
        let variant = variant(prepared, case);
        let text = if prepared.setup.variants.len() > 1 { format!("{name} {variant}") } else { name };
        if text != last {
            line(out, &text)?;
            last = text;
        }
    }
    out.flush()
}

fn variant<'a>(prepared: &'a Prepared<'_>, case: &Case) -> &'a str {
    &prepared.setup.variants[usize::from(case.subtest.variant)]
}

fn case_json(prepared: &Prepared<'_>, case: &Case) -> serde_json::Value {
    let outcomes: Vec<&str> = case.matched.outcomes.iter().map(Keyword::name).collect();
    json!({
        "name": prepared.selection.name(case),
        "variant": variant(prepared, case),
        "strict": case.subtest.strict,
        "outcomes": outcomes,
        "why": why(prepared.selection, case),
    })
}

/// Cases that do not run, with the reason and the rule it came from.
fn left_out(prepared: &Prepared<'_>, out: &mut dyn Write) -> io::Result<()> {
    let selection = prepared.selection;
    for left in &selection.left_out {
        let listed = &selection.suites[usize::from(left.suite)];
        let name = format!("{}/{}", listed.suite.name(), listed.tests[left.test as usize].name);
        let rules: Vec<String> =
            left.matched.rules.iter().map(|rule| listed.rules.origin(*rule).to_string()).collect();
        let object = json!({
            "name": name,
            "variant": left.variant.map(|variant| prepared.setup.variants[usize::from(variant)].as_str()),
            "left_out": reason(left.reason),
            "why": rules,
        });
        line(out, &object.to_string())?;
    }
    out.flush()
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Skip => "skip",
        Reason::Slow => "slow-tests",
        Reason::PassFail => "pass-fail-tests",
        Reason::Flaky => "flaky-tests",
        Reason::NoVariant => "no selected variant",
        Reason::Shard => "another shard",
        Reason::Predictable => "predictable build",
    }
}

/// The command lines, not run. A case that has none, because its files cannot be used, is told and costs the others
/// nothing; returns how many there were.
pub(super) fn dry_run(prepared: &Prepared<'_>, shell: &Shell, out: &mut dyn Write) -> io::Result<usize> {
    let mut broken = 0;
    for (index, case) in prepared.selection.cases.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let lowered = match prepared.lowering.lower(prepared.selection, case, index) {
            Ok(lowered) => lowered,
            Err(error) => {
                shell.warn(&format!("{}: {}", prepared.selection.name(case), chain(&error)));
                broken += 1;
                continue;
            }
        };
        let info = prepared.describe.case(prepared.selection, case, &lowered);
        if prepared.config.args.json {
            let argv = prepared.describe.argv(&lowered);
            let object = json!({
                "name": info.name, "variant": info.variant, "argv": argv, "expected": info.expected,
                "negative": info.negative, "slow": info.slow, "timeout": lowered.job.limits.wall.as_secs_f64(),
                "env": prepared.describe.environment(&lowered), "why": info.why,
            });
            line(out, &object.to_string())?;
        } else {
            line(out, &info.command)?;
        }
    }
    out.flush()?;
    Ok(broken)
}

/// The sources of the tests in V8's frame (reference §6.3).
pub(super) fn cat(prepared: &Prepared<'_>, out: &mut dyn Write) -> io::Result<()> {
    let selection = prepared.selection;
    let mut seen = BTreeSet::new();
    for case in selection.cases.iter().filter(|case| seen.insert(case.test)) {
        let (suite, test) = selection.test(case);
        let name = format!("{}/{}", suite.name(), test.name);
        line(out, &format!("--- begin source: {name} ---"))?;
        match &test.source {
            Some(path) => {
                let source = fs_err::read(prepared.config.workspace.join(&**path))?;
                out.write_all(&source)?;
                line(out, "")?;
            }
            None => line(out, "(no source available)")?,
        }
        line(out, &format!("--- end source: {name} ---"))?;
    }
    out.flush()
}

/// What is expected of the tests, counted (reference §6.3).
pub(super) fn report(selection: &Selection, dialect: Dialect) -> Vec<String> {
    let counts = report_counts(&selection.outcomes, dialect);
    let mut lines = vec![format!("Total: {} tests", selection.outcomes.len())];
    lines.extend(counts.into_iter().map(|(count, words)| format!(" * {count:4} tests {words}")));
    lines
}

/// Rules of status files that matched nothing.
pub(super) fn unused(selection: &Selection, dialect: Dialect) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, listed) in selection.suites.iter().enumerate() {
        let of_suite = |suite: u16| usize::from(suite) == index;
        let cases = selection.cases.iter().filter(|case| of_suite(selection.tests[case.test as usize].0));
        let used = cases.flat_map(|case| &case.matched.rules);
        let left = selection
            .left_out
            .iter()
            .filter(|left| of_suite(left.suite))
            .flat_map(|left| &left.matched.rules);
        let seen: BTreeSet<_> = used.chain(left).copied().collect();
        lines.extend(listed.rules.unused(&seen, dialect));
    }
    lines
}
