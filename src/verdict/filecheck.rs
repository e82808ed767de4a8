//! filecheck: the directives of a test's source, matched against what it printed (V8 of 2025 and later).
//!
//! Directives are those of LLVM's FileCheck that V8's tests use: `CHECK:`, `-NEXT`, `-SAME`, `-EMPTY`, `-NOT`, `-DAG`,
//! `-LABEL` (as a plain `CHECK`) and `-COUNT-n`, with `{{regex}}` and `[[NAME:regex]]` / `[[NAME]]` variables.

use std::collections::BTreeMap;

use regex::Regex;

/// Which directive a line carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Next,
    Same,
    Empty,
    Not,
    Dag,
    Count(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Directive {
    kind: Kind,
    pattern: String,
    /// Line in the source, from 1.
    line: usize,
}

/// Values of `[[NAME]]` so far.
type Captures = BTreeMap<String, String>;

/// The first directive that the text does not satisfy; none if all are.
pub(super) fn difference(source: &str, text: &str) -> Option<String> {
    let directives: Vec<Directive> =
        source.split('\n').enumerate().filter_map(|(index, line)| directive(line, index + 1)).collect();
    if directives.is_empty() {
        return Some("no CHECK directive in the test".to_owned());
    }
    Matcher { text, at: 0, floor: 0, pending_not: Vec::new(), captures: Captures::new() }
        .run(&directives)
        .err()
}

fn directive(line: &str, number: usize) -> Option<Directive> {
    let (_, rest) = line.split_once("CHECK")?;
    let (suffix, pattern) = rest.split_once(':')?;
    let kind = match suffix {
        "" | "-LABEL" => Kind::Plain,
        "-NEXT" => Kind::Next,
        "-SAME" => Kind::Same,
        "-EMPTY" => Kind::Empty,
        "-NOT" => Kind::Not,
        "-DAG" => Kind::Dag,
        other => Kind::Count(other.strip_prefix("-COUNT-")?.parse().ok()?),
    };
    Some(Directive { kind, pattern: pattern.trim().to_owned(), line: number })
}

struct Matcher<'a> {
    text: &'a str,
    /// End of the last match.
    at: usize,
    /// Where the current group of `-DAG` began.
    floor: usize,
    /// `-NOT` directives waiting for the match that ends their range.
    pending_not: Vec<Directive>,
    captures: Captures,
}

impl Matcher<'_> {
    fn run(mut self, directives: &[Directive]) -> Result<(), String> {
        for directive in directives {
            match directive.kind {
                Kind::Not => self.pending_not.push(directive.clone()),
                Kind::Count(times) => (0..times).try_for_each(|_| self.advance(directive))?,
                Kind::Dag => self.match_dag(directive)?,
                Kind::Plain | Kind::Next | Kind::Same | Kind::Empty => self.advance(directive)?,
            }
        }
        self.refuse_pending(self.at, self.text.len())
    }

    /// Finds the directive behind the last match and checks its place.
    fn advance(&mut self, directive: &Directive) -> Result<(), String> {
        let from = self.at;
        let (start, end) = match directive.kind {
            Kind::Empty => self.empty_line(directive)?,
            _ => self.find(directive, from)?,
        };
        let breaks = self.text[from..start].matches('\n').count();
        let in_place = match directive.kind {
            Kind::Next => breaks == 1,
            Kind::Same => breaks == 0,
            _ => true,
        };
        if !in_place {
            return Err(failure(directive, "is not on the expected line"));
        }
        self.refuse_pending(from, start)?;
        (self.at, self.floor) = (end, end);
        Ok(())
    }

    /// `-DAG` directives may match in any order behind the last ordered match.
    fn match_dag(&mut self, directive: &Directive) -> Result<(), String> {
        let (start, end) = self.find(directive, self.floor)?;
        self.refuse_pending(self.floor, start)?;
        self.at = self.at.max(end);
        Ok(())
    }

    fn empty_line(&self, directive: &Directive) -> Result<(usize, usize), String> {
        let line_end = self.text[self.at..].find('\n').map(|offset| self.at + offset + 1);
        match line_end {
            Some(next) if self.text[next..].starts_with('\n') || next == self.text.len() => Ok((next, next)),
            _ => Err(failure(directive, "expects an empty line")),
        }
    }

    fn find(&mut self, directive: &Directive, from: usize) -> Result<(usize, usize), String> {
        let regex =
            compile(&directive.pattern, &self.captures).map_err(|problem| failure(directive, &problem))?;
        let found = regex.regex.captures_at(self.text, from);
        let captures = found.ok_or_else(|| failure(directive, "was not found"))?;
        for (index, name) in regex.defines.iter().enumerate() {
            let value = captures.name(&format!("d{index}")).map_or("", |group| group.as_str());
            self.captures.insert(name.clone(), value.to_owned());
        }
        captures.get(0).map(|all| (all.start(), all.end())).ok_or_else(|| failure(directive, "was not found"))
    }

    fn refuse_pending(&mut self, from: usize, to: usize) -> Result<(), String> {
        for directive in std::mem::take(&mut self.pending_not) {
            let regex =
                compile(&directive.pattern, &self.captures).map_err(|text| failure(&directive, &text))?;
            if from <= to && regex.regex.is_match(&self.text[from..to]) {
                return Err(failure(&directive, "was found where it must not be"));
            }
        }
        Ok(())
    }
}

fn failure(directive: &Directive, what: &str) -> String {
    format!("directive in line {}: `{}` {what}", directive.line, directive.pattern)
}

struct Compiled {
    regex: Regex,
    /// Variables in the order of their groups `d0`, `d1`, ….
    defines: Vec<String>,
}

/// Literal text with blanks folded, `{{…}}` as a regular expression, `[[…]]` as variables.
fn compile(pattern: &str, captures: &Captures) -> Result<Compiled, String> {
    let (mut expression, mut defines) = (String::new(), Vec::new());
    let mut rest = pattern;
    while !rest.is_empty() {
        let next = rest.find("{{").into_iter().chain(rest.find("[[")).min().unwrap_or(rest.len());
        push_literal(&mut expression, &rest[..next]);
        rest = &rest[next..];
        if let Some(tail) = rest.strip_prefix("{{") {
            let (body, after) = tail.split_once("}}").ok_or("has an unterminated `{{`")?;
            expression.push_str(&format!("(?:{body})"));
            rest = after;
        } else if let Some(tail) = rest.strip_prefix("[[") {
            let (body, after) = tail.split_once("]]").ok_or("has an unterminated `[[`")?;
            push_variable(&mut expression, &mut defines, body, captures)?;
            rest = after;
        }
    }
    let regex =
        Regex::new(&format!("(?m:{expression})")).map_err(|_| "is no regular expression".to_owned())?;
    Ok(Compiled { regex, defines })
}

fn push_variable(
    expression: &mut String,
    defines: &mut Vec<String>,
    body: &str,
    captures: &Captures,
) -> Result<(), String> {
    if let Some((name, pattern)) = body.split_once(':') {
        expression.push_str(&format!("(?P<d{}>{pattern})", defines.len()));
        defines.push(name.to_owned());
        return Ok(());
    }
    let value = captures.get(body).ok_or_else(|| format!("uses the undefined variable `{body}`"))?;
    expression.push_str(&regex::escape(value));
    Ok(())
}

/// Runs of blanks match runs of blanks, as FileCheck does by default.
fn push_literal(expression: &mut String, literal: &str) {
    let mut blank = false;
    for c in literal.chars() {
        if c == ' ' || c == '\t' {
            if !blank {
                expression.push_str("[ \\t]+");
            }
            blank = true;
        } else {
            blank = false;
            expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(directives: &str, text: &str) -> Option<String> {
        difference(directives, text)
    }

    #[test]
    fn plain_directives_match_in_order() {
        assert_eq!(check("// CHECK: a\n// CHECK: b", "x a\ny  b\n"), None);
        assert!(check("// CHECK: b\n// CHECK: a", "x a\ny b\n").is_some());
        assert!(check("nothing here", "x").is_some());
    }

    #[test]
    fn next_same_empty_and_count_fix_the_line() {
        assert_eq!(check("// CHECK: a\n// CHECK-NEXT: b", "a\nb\n"), None);
        assert!(check("// CHECK: a\n// CHECK-NEXT: b", "a\nc\nb\n").is_some());
        assert_eq!(check("// CHECK: a\n// CHECK-SAME: b", "a b\n"), None);
        assert!(check("// CHECK: a\n// CHECK-SAME: b", "a\nb\n").is_some());
        assert_eq!(check("// CHECK: a\n// CHECK-EMPTY:", "a\n\nb\n"), None);
        assert_eq!(check("// CHECK-COUNT-2: a", "a\na\n"), None);
        assert!(check("// CHECK-COUNT-3: a", "a\na\n").is_some());
    }

    #[test]
    fn not_refuses_between_its_neighbours() {
        assert_eq!(check("// CHECK: a\n// CHECK-NOT: x\n// CHECK: b", "x\na\nb\nx\n"), None);
        assert!(check("// CHECK: a\n// CHECK-NOT: x\n// CHECK: b", "a\nx\nb\n").is_some());
        assert!(check("// CHECK-NOT: x", "y x z").is_some());
    }

    #[test]
    fn dag_directives_match_in_any_order() {
        assert_eq!(check("// CHECK-DAG: a\n// CHECK-DAG: b\n// CHECK: c", "b\na\nc\n"), None);
    }

    #[test]
    fn expressions_and_variables() {
        assert_eq!(check("// CHECK: r[[N:[0-9]+]] {{x|y}}\n// CHECK: use r[[N]]", "r12 y\nuse r12\n"), None);
        assert!(check("// CHECK: r[[N:[0-9]+]]\n// CHECK: use r[[N]]$", "r12\nuse r13\n").is_some());
        assert!(check("// CHECK: {{(}}", "(").is_some(), "a bad expression is a failure, not a panic");
    }
}
