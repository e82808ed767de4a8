//! V8's `mono` and `color`: one status line that is redrawn, failures above it as they happen.
//!
//! Input: run events. Output: V8's bytes. The status line is cut at V8's fixed length, not at the terminal's width.

use super::block::shown_as_failure;
use super::frame::{Frame, Manner};
use super::render::{Render, Text};
use super::runs::Settled;
use super::wording::Wording;
use crate::run::event::{Finished, RunEvent, RunInfo};

/// Characters of a status line before it is cut and `...` is put behind.
const STATUS_LENGTH: usize = 75;
/// What the escapes of a coloured status line add to the limit, since 9.0.
const COLOR_SLACK: usize = 27;

/// The machine behind both styles.
#[derive(Debug)]
pub(crate) struct Compact {
    frame: Frame,
    total: usize,
    remaining: usize,
    passed: usize,
    failed: usize,
    last_length: usize,
}

impl Compact {
    /// Before a run.
    pub(crate) fn new(manner: Manner) -> Self {
        Compact { frame: Frame::new(manner), total: 0, remaining: 0, passed: 0, failed: 0, last_length: 0 }
    }

    fn begin(&mut self, info: &RunInfo) {
        // Since 7.x the percentage is of the files listed, whatever the filters leave of them.
        self.total = if self.frame.wording().sees_each_run() { info.cases } else { info.listed };
        self.remaining = info.cases;
        (self.passed, self.failed, self.last_length) = (0, 0, 0);
    }

    fn result(&mut self, case: &Settled) -> String {
        let run = case.last();
        let label = self.frame.manner.look.guard.line(&run.case.name).into_owned();
        if self.frame.wording() == Wording::V2015 {
            // 2015 draws before it counts.
            let status = self.status(&label);
            self.count(run);
            return status + &self.failure(case);
        }
        self.count(run);
        let status = self.status(&label) + &self.failure(case);
        self.expect_rerun(run);
        status
    }

    fn count(&mut self, run: &Finished) {
        *(if run.unexpected { &mut self.failed } else { &mut self.passed }) += 1;
        self.remaining = self.remaining.saturating_sub(1);
        if self.frame.wording() == Wording::V2015 && run.reruns {
            self.remaining += 1;
        }
    }

    /// 6.2 counts reruns as further tests, once the failure is shown.
    fn expect_rerun(&mut self, run: &Finished) {
        if self.frame.wording() == Wording::V62 && run.reruns {
            self.remaining += 1;
            self.total += 1;
        }
    }

    fn failure(&self, case: &Settled) -> String {
        if !shown_as_failure(case.last(), self.frame.wording()) {
            return String::new();
        }
        self.clear() + &self.frame.manner.look.compact(case)
    }

    fn status(&mut self, label: &str) -> String {
        let cleared = self.clear();
        let status = self.cut(&self.line(label));
        self.last_length = self.length(&status);
        // Python 2's print leaves a blank before whatever is printed next.
        let blank = if self.frame.wording().sees_each_run() { " " } else { "" };
        cleared + &status + blank
    }

    fn line(&self, label: &str) -> String {
        let [blue, green, red, off] = if self.frame.manner.look.color {
            ["\x1b[34m", "\x1b[32m", "\x1b[31m", "\x1b[0m"]
        } else {
            [""; 4]
        };
        let seconds = self.frame.now().as_secs();
        format!(
            "[{:02}:{:02}|{blue}%{}{off}|{green}+{}{off}|{red}-{}{off}]: {label}",
            seconds / 60,
            seconds % 60,
            padded(self.progress()),
            padded(self.passed),
            padded(self.failed)
        )
    }

    fn progress(&self) -> usize {
        let done = if self.frame.wording().sees_each_run() {
            self.total.saturating_sub(self.remaining)
        } else {
            self.passed + self.failed
        };
        (done * 100).checked_div(self.total).unwrap_or(0)
    }

    fn cut(&self, status: &str) -> String {
        let slack = if self.frame.manner.look.color && self.frame.wording().names_failures() {
            COLOR_SLACK
        } else {
            0
        };
        let limit = STATUS_LENGTH + slack;
        if self.length(status) <= limit {
            return status.to_owned();
        }
        let end = if self.frame.wording().is_python2() {
            status.floor_char_boundary(limit)
        } else {
            status.char_indices().nth(limit).map_or(status.len(), |(at, _)| at)
        };
        format!("{}...", &status[..end])
    }

    /// Python 2 counts bytes.
    fn length(&self, text: &str) -> usize {
        if self.frame.wording().is_python2() { text.len() } else { text.chars().count() }
    }

    fn clear(&self) -> String {
        if self.frame.manner.look.color {
            "\x1b[1K\r".to_owned()
        } else {
            format!("\r{}\r", " ".repeat(self.last_length))
        }
    }
}

impl Render for Compact {
    fn event(&mut self, event: &RunEvent) -> Text {
        let settled = self.frame.follow(event);
        let mut text = self.frame.says(event);
        if let RunEvent::Started(info) = event {
            self.begin(info);
        }
        for case in &settled {
            let shown = self.result(case);
            text.out.push_str(&shown);
        }
        text.out.push_str(self.frame.mutters(event));
        if let RunEvent::Ended(summary) = event {
            let done = self.status("Done");
            text.out.push_str(&done);
            text.out.push('\n');
            text.out.push_str(&self.frame.closing(summary));
        }
        text
    }
}

/// `% 4d` of Python: a blank for the sign, at least four wide.
fn padded(count: usize) -> String {
    format!("{:>4}", format!(" {count}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::block::Look;
    use crate::report::fixture::{case, not_run, unexpected_pass};
    use crate::report::fixture::{
        crash, everything, fail, interrupted, manner, names, pass, reruns, story, tell,
    };
    use crate::report::untrusted::Guard;
    use crate::run::event::CaseInfo;

    fn mono(wording: Wording, results: Vec<Finished>) -> String {
        tell(Compact::new(manner(wording)), &story(results))
    }

    fn color(wording: Wording, results: Vec<Finished>) -> String {
        let manner = manner(wording);
        let manner = Manner { look: Look { color: true, ..manner.look }, ..manner };
        tell(Compact::new(manner), &story(results))
    }

    #[test]
    fn mono_of_2015_draws_before_it_counts() {
        insta::assert_snapshot!(mono(Wording::V2015, everything()), @"
        >>> Running tests for x64.release
        ␍␍[00:01|%   0|+   0|-   0]: mjsunit/good ␍                                       ␍[00:02|%  12|+   1|-   0]: mjsunit/bad ␍                                      ␍=== mjsunit/bad ===
        out 1
        out 2
        err
        Command: /v8/out/d8 --test /v8/test/mjsunit/bad.js --nohard-abort
        ␍                                      ␍[00:03|%  25|+   1|-   1]: mjsunit/crash ␍                                        ␍=== mjsunit/crash ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/crash.js --nohard-abort
        exit code: -11
        --- CRASHED ---
        ␍                                        ␍[00:04|%  37|+   1|-   2]: mjsunit/slow ␍                                       ␍=== mjsunit/slow ===
        slow
        Command: /v8/out/d8 --test /v8/test/mjsunit/slow.js --nohard-abort
        --- TIMEOUT ---
        ␍                                       ␍[00:05|%  50|+   1|-   3]: mjsunit/better ␍                                         ␍=== mjsunit/better ===
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/better.js --nohard-abort
        ␍                                         ␍[00:06|%  62|+   1|-   4]: message/negative ␍                                           ␍=== message/negative [negative] ===
        out 1
        out 2
        err
        Command: /v8/out/d8 --test /v8/test/message/negative.js --nohard-abort
        ␍                                           ␍[00:07|%  75|+   1|-   5]: mjsunit/lost ␍                                       ␍=== mjsunit/lost ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/lost.js --nohard-abort
        --- NOT RUN ---
        d8: no such file
        ␍                                       ␍[00:08|%  87|+   1|-   6]: mjsunit/flaky ␍                                        ␍=== mjsunit/flaky ===
        out 1
        out 2
        err
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort
        ␍                                        ␍[00:09|%  87|+   1|-   7]: mjsunit/flaky ␍                                        ␍=== mjsunit/flaky ===
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort
        ␍                                        ␍[00:10|% 100|+   2|-   7]: Done
        ");
    }

    #[test]
    fn mono_of_62_leaves_a_blank_and_shows_each_run() {
        insta::assert_snapshot!(mono(Wording::V62, everything()), @"
        >>> Running tests for x64.release
        ␍␍[00:01|%  12|+   1|-   0]: mjsunit/good ␍                                       ␍[00:02|%  25|+   1|-   1]: mjsunit/bad ␍                                      ␍=== mjsunit/bad ===
        out 1
        out 2
        err
        Command: /v8/out/d8 --test /v8/test/mjsunit/bad.js --nohard-abort
        ␍                                      ␍[00:03|%  37|+   1|-   2]: mjsunit/crash ␍                                        ␍=== mjsunit/crash ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/crash.js --nohard-abort
        exit code: -11
        --- CRASHED ---
        ␍                                        ␍[00:04|%  50|+   1|-   3]: mjsunit/slow ␍                                       ␍=== mjsunit/slow ===
        slow
        Command: /v8/out/d8 --test /v8/test/mjsunit/slow.js --nohard-abort
        --- TIMEOUT ---
        ␍                                       ␍[00:05|%  62|+   1|-   4]: mjsunit/better ␍                                         ␍=== mjsunit/better ===
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/better.js --nohard-abort
        ␍                                         ␍[00:06|%  75|+   1|-   5]: message/negative ␍                                           ␍=== message/negative [negative] ===
        out 1
        out 2
        err
        Command: /v8/out/d8 --test /v8/test/message/negative.js --nohard-abort
        ␍                                           ␍[00:07|%  87|+   1|-   6]: mjsunit/lost ␍                                       ␍=== mjsunit/lost ===
        Command: /v8/out/d8 --test /v8/test/mjsunit/lost.js --nohard-abort
        --- NOT RUN ---
        d8: no such file
        ␍                                       ␍[00:08|% 100|+   1|-   7]: mjsunit/flaky ␍                                        ␍=== mjsunit/flaky ===
        out 1
        out 2
        err
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort
        ␍                                        ␍[00:09|% 100|+   2|-   7]: mjsunit/flaky ␍                                        ␍=== mjsunit/flaky ===
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort
        ␍                                        ␍[00:10|% 100|+   2|-   7]: Done
        ");
    }

    #[test]
    fn mono_of_79_waits_for_the_last_run() {
        insta::assert_snapshot!(mono(Wording::V79, everything()), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␍␍[00:01|%  10|+   1|-   0]: mjsunit/good␍                                       ␍[00:02|%  20|+   1|-   1]: mjsunit/bad␍                                      ␍=== mjsunit/bad ===
        out 1
        out 2
        err
        Command: out/d8 --test test/mjsunit/bad.js --nohard-abort
        ␍                                      ␍[00:03|%  30|+   1|-   2]: mjsunit/crash␍                                        ␍=== mjsunit/crash ===
        Command: out/d8 --test test/mjsunit/crash.js --nohard-abort
        exit code: -11
        --- CRASHED ---
        ␍                                        ␍[00:04|%  40|+   1|-   3]: mjsunit/slow␍                                       ␍=== mjsunit/slow ===
        slow
        Command: out/d8 --test test/mjsunit/slow.js --nohard-abort
        --- TIMEOUT ---
        ␍                                       ␍[00:05|%  50|+   1|-   4]: mjsunit/better␍                                         ␍=== mjsunit/better ===
        fine
        Command: out/d8 --test test/mjsunit/better.js --nohard-abort
        ␍                                         ␍[00:06|%  60|+   1|-   5]: message/negative␍                                           ␍=== message/negative [negative] ===
        out 1
        out 2
        err
        Command: out/d8 --test test/message/negative.js --nohard-abort
        ␍                                           ␍[00:07|%  70|+   1|-   6]: mjsunit/lost␍                                       ␍=== mjsunit/lost ===
        Command: out/d8 --test test/mjsunit/lost.js --nohard-abort
        --- NOT RUN ---
        d8: no such file
        ␍                                       ␍[00:09|%  80|+   2|-   6]: mjsunit/flaky␍                                        ␍[00:10|%  80|+   2|-   6]: Done
        >>> 10 base tests produced 8 (80%) non-filtered tests
        >>> 7 tests ran
        ");
    }

    #[test]
    fn mono_of_90_names_failures() {
        insta::assert_snapshot!(mono(Wording::V90, vec![crash(case(0, "a/b")), fail(case(1, "a/c"))]), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␍␍[00:01|%  10|+   0|-   1]: a/b␍                              ␍=== a/b ===
        Command: out/d8 --test test/a/b.js --nohard-abort
        exit code: -11 [FFFFFFF5]
        --- CRASHED ---
        ␍                              ␍[00:02|%  20|+   0|-   2]: a/c␍                              ␍=== a/c ===
        out 1
        out 2
        err
        Command: out/d8 --test test/a/c.js --nohard-abort
        --- FAILED ---
        ␍                              ␍[00:03|%  20|+   0|-   2]: Done
        >>> 10 base tests produced 2 (20%) non-filtered tests
        >>> 2 tests ran
        ");
    }

    #[test]
    fn mono_of_102() {
        insta::assert_snapshot!(mono(Wording::V102, everything()), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␍␍[00:01|%  10|+   1|-   0]: mjsunit/good␍                                       ␍[00:02|%  20|+   1|-   1]: mjsunit/bad␍                                      ␍=== mjsunit/bad ===
        out 1
        out 2
        err
        Command: out/d8 --test test/mjsunit/bad.js --nohard-abort
        --- FAILED ---
        ␍                                      ␍[00:03|%  30|+   1|-   2]: mjsunit/crash␍                                        ␍=== mjsunit/crash ===
        Command: out/d8 --test test/mjsunit/crash.js --nohard-abort
        exit code: -11 [FFFFFFF5]
        --- CRASHED ---
        ␍                                        ␍[00:04|%  40|+   1|-   3]: mjsunit/slow␍                                       ␍=== mjsunit/slow ===
        slow
        Command: out/d8 --test test/mjsunit/slow.js --nohard-abort
        --- TIMEOUT ---
        ␍                                       ␍[00:05|%  50|+   1|-   4]: mjsunit/better␍                                         ␍=== mjsunit/better ===
        fine
        Command: out/d8 --test test/mjsunit/better.js --nohard-abort
        --- UNEXPECTED PASS ---
        ␍                                         ␍[00:06|%  60|+   1|-   5]: message/negative␍                                           ␍=== message/negative [negative] ===
        out 1
        out 2
        err
        Command: out/d8 --test test/message/negative.js --nohard-abort
        --- FAILED ---
        ␍                                           ␍[00:07|%  70|+   1|-   6]: mjsunit/lost␍                                       ␍=== mjsunit/lost ===
        Command: out/d8 --test test/mjsunit/lost.js --nohard-abort
        --- NOT RUN ---
        d8: no such file
        ␍                                       ␍[00:09|%  80|+   2|-   6]: mjsunit/flaky␍                                        ␍[00:10|%  80|+   2|-   6]: Done
        >>> 10 base tests produced 8 (80%) non-filtered tests
        >>> 7 tests ran
        ");
    }

    #[test]
    fn mono_since_116_shows_differences() {
        let details = Some("Output does not match expectation:\n- a\n+ b".to_owned());
        let run = Finished { details, ..fail(case(0, "message/a")) };
        insta::assert_snapshot!(mono(Wording::V126, vec![run.clone()]), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␍␍[00:01|%  10|+   0|-   1]: message/a␍                                    ␍=== message/a ===
        out 1
        out 2
        err
        Output does not match expectation:
        - a
        + b
        Command: out/d8 --test test/message/a.js --nohard-abort
        --- FAILED ---
        ␍                                    ␍[00:02|%  10|+   0|-   1]: Done
        >>> 10 base tests produced 1 (10%) non-filtered tests
        >>> 1 tests ran
        ");
        assert_eq!(mono(Wording::V116, vec![run.clone()]), mono(Wording::V126, vec![run.clone()]));
        assert_eq!(mono(Wording::V157, vec![run.clone()]), mono(Wording::V126, vec![run.clone()]));
        assert!(!mono(Wording::V102, vec![run.clone()]).contains("Output does not match"));
        assert!(!mono(Wording::V126, reruns(vec![run.clone(), run])).contains("Output does not match"));
    }

    #[test]
    fn an_unexpected_pass_has_its_reason() {
        let reason = Some("Rule X expected a flag contradiction error with --opt.".to_owned());
        let run = Finished { reason, ..unexpected_pass(case(0, "a/b")) };
        let end = "--- UNEXPECTED PASS ---\nRule X expected a flag contradiction error with --opt.\n";
        assert!(mono(Wording::V102, vec![run.clone()]).contains(end));
        // Of tests marked otherwise V8 says no more than that they failed.
        let case = CaseInfo { marked_fail: false, ..(*run.case).clone() };
        let run = Finished { case: std::sync::Arc::new(case), ..run };
        assert!(mono(Wording::V102, vec![run]).contains("--- FAILED ---\n"));
    }

    #[test]
    fn color_of_62_cuts_its_own_escapes() {
        insta::assert_snapshot!(color(Wording::V62, vec![pass(case(0, "mjsunit/array-constructor")), fail(case(1, "a/b"))]), @"
        >>> Running tests for x64.release
        ␛[1K␍[00:01|␛[34m%  50␛[0m|␛[32m+   1␛[0m|␛[31m-   0␛[0m]: mjsunit/array-constru... ␛[1K␍[00:02|␛[34m% 100␛[0m|␛[32m+   1␛[0m|␛[31m-   1␛[0m]: a/b ␛[1K␍=== a/b ===
        ␛[1mout 1
        out 2␛[0m
        ␛[31merr␛[0m
        Command: /v8/out/d8 --test /v8/test/a/b.js --nohard-abort
        ␛[1K␍[00:03|␛[34m% 100␛[0m|␛[32m+   1␛[0m|␛[31m-   1␛[0m]: Done
        ");
    }

    #[test]
    fn color_of_102() {
        insta::assert_snapshot!(color(Wording::V102, vec![pass(case(0, "mjsunit/array-constructor")), crash(case(1, "a/b"))]), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␛[1K␍[00:01|␛[34m%  10␛[0m|␛[32m+   1␛[0m|␛[31m-   0␛[0m]: mjsunit/array-constructor␛[1K␍[00:02|␛[34m%  20␛[0m|␛[32m+   1␛[0m|␛[31m-   1␛[0m]: a/b␛[1K␍=== a/b ===
        ␛[33mCommand: out/d8 --test test/a/b.js --nohard-abort␛[0m
        ␛[1;31mexit code: -11 [FFFFFFF5]␛[0m
        ␛[1;31m--- CRASHED ---␛[0m
        ␛[1K␍[00:03|␛[34m%  20␛[0m|␛[32m+   1␛[0m|␛[31m-   1␛[0m]: Done
        >>> 10 base tests produced 2 (20%) non-filtered tests
        >>> 2 tests ran
        ");
    }

    #[test]
    fn long_and_foreign_names_are_cut_as_python_cuts_them() {
        insta::assert_snapshot!(mono(Wording::V102, names()), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␍␍[00:01|%  10|+   1|-   0]: mjsunit/long-long-long-long-long-long-long-long-...␍                                                                              ␍[00:02|%  20|+   2|-   0]: mjsunit/ünïcödé-😀␍                                            ␍[00:03|%  30|+   2|-   1]: mjsunit/␛[2Jclear⟲nrut␍                                                 ␍=== mjsunit/␛[2Jclear⟲nrut ===
        out 1
        out 2
        err
        Command: out/d8 --test test/mjsunit/␛[2Jclear⟲nrut.js --nohard-abort
        --- FAILED ---
        ␍                                                 ␍[00:04|%  30|+   2|-   1]: Done
        >>> 10 base tests produced 3 (30%) non-filtered tests
        >>> 3 tests ran
        ");
        // 75 characters with the name, but 78 bytes.
        let name = format!("{}😀", "x".repeat(74 - "[00:01|%  10|+   1|-   0]: ".len()));
        assert!(mono(Wording::V102, vec![pass(case(0, &name))]).contains("xxx😀␍"));
        assert!(mono(Wording::V62, vec![pass(case(0, &name))]).contains("xxx... ␍"));
    }

    #[test]
    fn color_allows_27_characters_more() {
        let text = color(Wording::V102, names());
        assert!(text.contains("long-long-long-long-long-long-long-long-..."), "{text}");
    }

    #[test]
    fn a_terminal_sees_what_a_hostile_name_holds() {
        let look = Look { guard: Guard::Escape, ..manner(Wording::V102).look };
        let text = tell(Compact::new(Manner { look, ..manner(Wording::V102) }), &story(names()));
        assert!(text.contains(r"=== mjsunit/\x1b[2Jclear\u{202e}nrut ==="), "{text}");
        assert!(!text.contains('␛'));
    }

    #[test]
    fn an_interrupted_run_tells_what_it_knows() {
        let results = || {
            let mut results = vec![pass(case(0, "a/b"))];
            results.extend(reruns(vec![fail(case(1, "a/c")), pass(case(1, "a/c"))]));
            results.push(pass(case(2, "a/d")));
            results
        };
        let told = |wording| tell(Compact::new(manner(wording)), &interrupted(results(), 2));
        insta::assert_snapshot!(told(Wording::V102), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␍␍[00:01|%  10|+   1|-   0]: a/b>>> Ctrl-C detected, early abort...
        ␍                              ␍[00:03|%  20|+   1|-   1]: a/c␍                              ␍=== a/c ===
        out 1
        out 2
        err
        Command: out/d8 --test test/a/c.js --nohard-abort
        --- FAILED ---
        ␍                              ␍[00:03|%  20|+   1|-   1]: Done
        >>> 10 base tests produced 2 (20%) non-filtered tests
        >>> 1 tests ran
        ");
        insta::assert_snapshot!(told(Wording::V126), @"
        >>> Running tests for x64.release
        >>> Running with test processors
        ␍␍[00:01|%  10|+   1|-   0]: a/b␍                              ␍[00:03|%  20|+   1|-   1]: a/c␍                              ␍=== a/c ===
        out 1
        out 2
        err
        Command: out/d8 --test test/a/c.js --nohard-abort
        --- FAILED ---
        ␍                              ␍[00:03|%  20|+   1|-   1]: Done
        >>> 10 base tests produced 2 (20%) non-filtered tests
        >>> 1 tests ran
        ~~~ standard error ~~~
        22:13:22 Ctrl-C detected, early abort...
        ");
    }

    #[test]
    fn verbose_shows_commands_and_6_2_what_it_does() {
        let manner = Manner { verbose: true, preface: vec!["Preface.".to_owned()], ..manner(Wording::V62) };
        insta::assert_snapshot!(tell(Compact::new(manner), &story(vec![fail(case(0, "a/b")), not_run(case(1, "a/c"))])), @"
        >>> Running tests for x64.release
        Preface.
        # /v8/out/d8 --test /v8/test/a/b.js --nohard-abort
        ␍␍[00:01|%  50|+   0|-   1]: a/b ␍                              ␍=== a/b ===
        out 1
        out 2
        err
        Command: /v8/out/d8 --test /v8/test/a/b.js --nohard-abort
        Attempting to rerun test after failure.
        # /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        ␍                              ␍[00:02|% 100|+   0|-   2]: a/c ␍                              ␍=== a/c ===
        Command: /v8/out/d8 --test /v8/test/a/c.js --nohard-abort
        --- NOT RUN ---
        d8: no such file
        Attempting to rerun test after failure.
        Closing process pool.
        Closing database connection.
        ␍                              ␍[00:03|% 100|+   0|-   2]: Done
        ");
    }
}
