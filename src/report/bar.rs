//! Our style on a terminal: a progress bar with counts, rate, time left and the longest-running tests.
//!
//! Input: run events; ticks make time pass. Output: text with cursor movement. Invariants: the drawn lines never fill
//! more than the terminal, whatever its size becomes; nothing of them is left when the run ends.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::config::Terminal;
use super::plain::opening;
use super::render::{Render, Text};
use super::running::Running;
use super::runs::{Runs, Settled};
use super::talk::{Tone, Voice, counted, seconds, stopping, title};
use super::tally::Tally;
use super::untrusted::Guard;
use crate::run::event::{CaseInfo, RunEvent, RunInfo};

/// Results come faster than eyes.
const REDRAW: Duration = Duration::from_millis(100);
/// Running tests shown at most.
const SHOWN: usize = 6;
/// A test is worth showing once it ran for this long.
const WORTH_SHOWING: Duration = Duration::from_millis(500);
/// Cells of the bar itself.
const CELLS: usize = 20;
/// Below it nothing is said of what was shipped.
const MEGABYTE: u64 = 1_000_000;
/// Before this, a rate says nothing.
const SETTLED: Duration = Duration::from_secs(1);

/// A piece of the first line and what its colour means.
type Part = (Option<Tone>, String);

/// The machine of the style.
#[derive(Debug)]
pub(crate) struct Bar {
    terminal: Terminal,
    voice: Voice,
    cases: usize,
    tally: Tally,
    runs: Runs,
    running: Running,
    /// Other machines at work, and slots of all.
    machines: Option<(usize, usize, u64)>,
    drawn: Vec<usize>,
    last_drawn: Duration,
    now: Duration,
}

impl Bar {
    /// Before a run.
    pub(crate) fn new(terminal: Terminal) -> Self {
        Bar {
            terminal,
            voice: Voice { color: terminal.color },
            cases: 0,
            tally: Tally::new(),
            runs: Runs::default(),
            running: Running::default(),
            machines: None,
            drawn: Vec::new(),
            last_drawn: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    fn begin(&mut self, info: &RunInfo) -> String {
        *self = Bar::new(self.terminal);
        self.cases = info.cases;
        self.above(opening(info))
    }

    fn settle(&mut self, case: &Settled) -> String {
        if self.tally.add(case) { self.voice.block(case) } else { String::new() }
    }

    /// Text that stays, above the bar.
    fn above(&mut self, text: String) -> String {
        if text.is_empty() {
            return self.redraw();
        }
        self.erase() + &text + &self.draw()
    }

    /// The bar anew, unless that was done just now.
    fn redraw(&mut self) -> String {
        if self.now.saturating_sub(self.last_drawn) < REDRAW {
            return String::new();
        }
        self.erase() + &self.draw()
    }

    fn end(&mut self) -> String {
        let abandoned = self.runs.abandon();
        let blocks: String = abandoned.iter().map(|case| self.settle(case)).collect();
        self.erase() + &blocks
    }

    /// Takes the drawn lines away. A terminal that became narrower has wrapped them.
    fn erase(&mut self) -> String {
        let (width, height) = self.terminal.size();
        let rows: usize = self.drawn.drain(..).map(|columns| columns.div_ceil(width).max(1)).sum();
        match rows.min(height) {
            0 => String::new(),
            1 => "\r\x1b[J".to_owned(),
            rows => format!("\r\x1b[{}A\x1b[J", rows - 1),
        }
    }

    fn draw(&mut self) -> String {
        self.last_drawn = self.now;
        let (width, height) = self.terminal.size();
        // The last column stays free: some terminals wrap as soon as it is filled.
        let columns = width.saturating_sub(1).max(1);
        let mut lines = vec![self.bar(columns)];
        lines.extend(
            self.slow_lines(height.saturating_sub(2))
                .into_iter()
                .map(|line| (fit(&line, columns), line.width())),
        );
        self.drawn = lines.iter().map(|(_, width)| (*width).min(columns)).collect();
        let lines: Vec<String> = lines.into_iter().map(|(line, _)| line).collect();
        lines.join("\n")
    }

    /// The first line and its width: as much as fits, in colour if whole parts do.
    fn bar(&self, columns: usize) -> (String, usize) {
        let (gauge, percent) = gauge(self.tally.done(), self.cases);
        let counts = self.counts();
        let dim = |text: String| (Some(Tone::Dim), text);
        let pace: Vec<Part> = self.pace().into_iter().chain(self.field()).map(dim).collect();
        let whole = format!("{gauge} {percent}");
        let choices = [
            (whole, &pace[..]),
            (percent.clone(), &pace[..]),
            (percent.clone(), &pace[..pace.len().min(1)]),
            (percent.clone(), &[]),
        ];
        for (first, pace) in choices {
            let parts: Vec<Part> =
                [(None, first)].into_iter().chain(counts.clone()).chain(pace.to_vec()).collect();
            let width = joined(&parts, |_, text| text.to_owned()).width();
            if width <= columns {
                let say = |tone: Option<Tone>, text: &str| {
                    tone.map_or(text.to_owned(), |tone| self.voice.say(tone, text))
                };
                return (joined(&parts, say), width);
            }
        }
        let plain = format!("{percent}  {}", joined(&counts, |_, text| text.to_owned()));
        (fit(&plain, columns), plain.width())
    }

    fn counts(&self) -> Vec<Part> {
        let tally = &self.tally;
        let always = [
            (None, format!("{}/{}", tally.done(), self.cases)),
            (Some(Tone::Good), format!("{} passed", tally.passed)),
        ];
        let sometimes = [
            (tally.failed, Tone::Bad, "failed"),
            (tally.flaky, Tone::Odd, "flaky"),
            (tally.not_run, Tone::Bad, "not run"),
        ];
        let some = sometimes.into_iter().filter(|(count, _, _)| *count > 0);
        always
            .into_iter()
            .chain(some.map(|(count, tone, word)| (Some(tone), format!("{count} {word}"))))
            .collect()
    }

    /// `12.3/s, 0:42 left`.
    #[expect(clippy::cast_precision_loss, reason = "counts of tests are far below 2^52")]
    fn pace(&self) -> Option<String> {
        let done = self.tally.done();
        if self.now < SETTLED || done == 0 {
            return None;
        }
        let rate = done as f64 / self.now.as_secs_f64();
        let left = Duration::from_secs_f64(self.cases.saturating_sub(done) as f64 / rate).as_secs();
        Some(format!("{rate:.1}/s, {}:{:02} left", left / 60, left % 60))
    }

    /// `3 peers, 12 slots, 100 MB shipped`.
    fn field(&self) -> Option<String> {
        let (peers, slots, shipped) = self.machines?;
        let field = format!("{}, {}", counted(peers, "peer"), counted(slots, "slot"));
        Some(match shipped / MEGABYTE {
            0 => field,
            megabytes => format!("{field}, {megabytes} MB shipped"),
        })
    }

    /// The longest-running tests, at most that many lines.
    fn slow_lines(&self, room: usize) -> Vec<String> {
        let age = |start: Duration| self.now.saturating_sub(start);
        let all: Vec<(&CaseInfo, Duration)> =
            self.running.oldest().into_iter().filter(|(_, start)| age(*start) >= WORTH_SHOWING).collect();
        let shown = SHOWN.min(room);
        // A line on which only a number stood would tell less than one test.
        let named = if all.len() > shown && shown > 1 { shown - 1 } else { shown };
        let line =
            |(case, start): &(&CaseInfo, Duration)| format!("{:>10}  {}", seconds(age(*start)), title(case));
        let mut lines: Vec<String> = all.iter().take(named).map(line).collect();
        if named < shown && all.len() > named {
            lines.push(format!("{:>10}  and {} more", "", all.len() - named));
        }
        lines
    }
}

impl Render for Bar {
    fn event(&mut self, event: &RunEvent) -> Text {
        self.running.follow(event);
        if let RunEvent::CaseStarted { at, .. } | RunEvent::CaseFinished { at, .. } | RunEvent::Tick { at } =
            event
        {
            self.now = *at;
        }
        Text::out(match event {
            RunEvent::Started(info) => self.begin(info),
            RunEvent::CaseStarted { .. } | RunEvent::Tick { .. } => self.redraw(),
            RunEvent::CaseFinished { finished, .. } => {
                let text = match self.runs.settle(finished) {
                    Some(case) => self.settle(&case),
                    None => self.voice.retry(finished),
                };
                self.above(text)
            }
            RunEvent::Machines { peers, slots, shipped } => {
                self.machines = Some((*peers, *slots, *shipped));
                self.redraw()
            }
            RunEvent::Notice(notice) => self.above(format!("{}\n", Guard::Escape.line(notice))),
            RunEvent::Stopping(stop) => self.above(format!("{}\n", stopping(*stop))),
            RunEvent::Ended(summary) => self.end() + &self.tally.summary(summary, self.voice),
        })
    }
}

/// `[=====>    ]` and ` 27%`.
fn gauge(done: usize, all: usize) -> (String, String) {
    let cells = (done * CELLS).checked_div(all).unwrap_or(CELLS).min(CELLS);
    let head = if cells < CELLS { ">" } else { "" };
    let percent = (done * 100).checked_div(all).unwrap_or(100);
    (format!("[{:<CELLS$}]", "=".repeat(cells) + head), format!("{percent:>3}%"))
}

fn joined(parts: &[Part], say: impl Fn(Option<Tone>, &str) -> String) -> String {
    parts.iter().map(|(tone, text)| say(*tone, text)).collect::<Vec<_>>().join("  ")
}

/// As much of a text as fits in that many columns.
fn fit(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(3);
    let fits = |char: &char| {
        let width = char.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    let dots = "...";
    text.chars().take_while(fits).collect::<String>() + &dots[..columns.min(3)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::report::config::Probe;
    use crate::report::fixture::{case, everything, fail, info, pass, story, tell, visible};

    fn terminal(width: u16, height: u16) -> Terminal {
        Terminal { width, height, color: false, moves: true, probe: None }
    }

    /// A bar with tests that have run for a while.
    fn busy(terminal: Terminal, running: u32) -> (Bar, String) {
        let mut bar = Bar::new(terminal);
        bar.event(&RunEvent::Started(Arc::new(info(40))));
        for index in 0..running {
            let case = Arc::new(case(index, &format!("mjsunit/test-{index}")));
            bar.event(&RunEvent::CaseStarted { case, run: 1, at: Duration::from_millis(u64::from(index)) });
        }
        for index in 100..110 {
            let finished = Arc::new(pass(case(index, "a/b")));
            bar.event(&RunEvent::CaseFinished { finished, at: Duration::from_secs(2) });
        }
        let text = bar.event(&RunEvent::Tick { at: Duration::from_secs(5) }).out;
        (bar, text)
    }

    #[test]
    fn the_bar_shows_counts_pace_and_the_oldest() {
        insta::assert_snapshot!(visible(&busy(terminal(100, 24), 3).1), @"
        ␍␛[3A␛[J[=====>              ]  25%  10/40  10 passed  2.0/s, 0:15 left
             5.0 s  mjsunit/test-0
             5.0 s  mjsunit/test-1
             5.0 s  mjsunit/test-2
        ");
        insta::assert_snapshot!(visible(&busy(terminal(100, 24), 9).1), @"
        ␍␛[6A␛[J[=====>              ]  25%  10/40  10 passed  2.0/s, 0:15 left
             5.0 s  mjsunit/test-0
             5.0 s  mjsunit/test-1
             5.0 s  mjsunit/test-2
             5.0 s  mjsunit/test-3
             5.0 s  mjsunit/test-4
                    and 4 more
        ");
        insta::assert_snapshot!(visible(&busy(terminal(50, 3), 2).1), @"
        ␍␛[1A␛[J 25%  10/40  10 passed  2.0/s, 0:15 left
             5.0 s  mjsunit/test-0
        ");
        insta::assert_snapshot!(visible(&busy(terminal(40, 4), 9).1), @"
        ␍␛[2A␛[J 25%  10/40  10 passed
             5.0 s  mjsunit/test-0
                    and 8 more
        ");
        insta::assert_snapshot!(visible(&busy(terminal(10, 1), 9).1), @"␍␛[J 25%  ...");
    }

    #[test]
    fn the_bar_says_how_many_machines_work() {
        let mut bar = busy(terminal(100, 24), 0).0;
        let at = |seconds| RunEvent::Tick { at: Duration::from_secs(seconds) };
        bar.event(&RunEvent::Machines { peers: 2, slots: 10, shipped: 0 });
        insta::assert_snapshot!(visible(&bar.event(&at(6)).out), @"␍␛[J[=====>              ]  25%  10/40  10 passed  1.7/s, 0:18 left  2 peers, 10 slots");
        bar.event(&RunEvent::Machines { peers: 1, slots: 6, shipped: 12_600_000 });
        insta::assert_snapshot!(visible(&bar.event(&at(7)).out), @"␍␛[J[=====>              ]  25%  10/40  10 passed  1.4/s, 0:21 left  1 peer, 6 slots, 12 MB shipped");
    }

    #[test]
    fn a_whole_run() {
        let mut results = vec![pass(case(0, "mjsunit/good"))];
        results.extend(everything().into_iter().filter(|run| run.case.index == 2));
        insta::assert_snapshot!(tell(Bar::new(terminal(80, 24)), &story(results)), @"
        2 tests for x64.release on 2 slots, in /v8
        [>                   ]   0%  0/2  0 passed␍␛[J[==========>         ]  50%  1/2  1 passed  1.0/s, 0:01 left␍␛[JCRASH           mjsunit/crash (stress)
        ended:    signal 11 (SIGSEGV), after 125 ms
        expected: PASS
        repeat:   cd /v8 && out/d8 --test test/mjsunit/crash.js --nohard-abort

        [====================] 100%  2/2  1 passed  1 failed  1.0/s, 0:00 left␍␛[Jnot as expected:
          crash           mjsunit/crash (stress)
        slowest:
                   125 ms mjsunit/good
                   125 ms mjsunit/crash (stress)
        2 tests in 3.0 s: 1 passed, 1 failed
        ");
    }

    #[test]
    fn in_colour() {
        let terminal = Terminal { color: true, ..terminal(80, 24) };
        insta::assert_snapshot!(tell(Bar::new(terminal), &story(vec![fail(case(0, "a/b"))])), @"
        1 test for x64.release on 2 slots, in /v8
        [>                   ]   0%  0/1  ␛[32m0 passed␛[0m␍␛[J␛[1;31mFAIL           ␛[0m a/b
        ␛[2m--- stdout ---␛[0m
        out 1
        out 2
        ␛[2m--- stderr ---␛[0m
        err
        ␛[2mended:   ␛[0m exit code 1, after 125 ms
        ␛[2mexpected:␛[0m PASS
        ␛[2mrepeat:  ␛[0m cd /v8 && out/d8 --test test/a/b.js --nohard-abort

        [====================] 100%  1/1  ␛[32m0 passed␛[0m  ␛[1;31m1 failed␛[0m  ␛[2m1.0/s, 0:00 left␛[0m␍␛[Jnot as expected:
          fail            a/b
        slowest:
                   125 ms a/b
        ␛[1;31m1 test in 2.0 s: 0 passed, 1 failed␛[0m
        ");
    }

    /// The size of the pretended window.
    static SIZE: AtomicU16 = AtomicU16::new(100);

    #[test]
    fn a_window_made_narrower_is_cleared_of_wrapped_lines() {
        let probe: Probe = || Some((SIZE.load(Ordering::Relaxed), 24));
        let (mut bar, _) = busy(Terminal { probe: Some(probe), ..terminal(100, 24) }, 2);
        SIZE.store(30, Ordering::Relaxed);
        let text = bar.event(&RunEvent::Tick { at: Duration::from_secs(6) }).out;
        insta::assert_snapshot!(visible(&text), @"
        ␍␛[4A␛[J 25%  10/40  10 passed
             6.0 s  mjsunit/test-0
             6.0 s  mjsunit/test-1
        ");
    }

    /// Replays output on a pretended terminal: the lines that are left, and the most rows that were drawn at once.
    fn replay(text: &str) -> Vec<String> {
        let mut rows = vec![String::new()];
        let mut row = 0;
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            rest = &rest[char.len_utf8()..];
            match char {
                '\n' => row += 1,
                '\r' => {}
                '\x1b' if rest.starts_with("[J") => {
                    rest = &rest[2..];
                    rows.truncate(row);
                }
                '\x1b' => {
                    let (up, after) = rest[1..].split_once('A').unwrap();
                    row -= up.parse::<usize>().unwrap();
                    rest = after;
                }
                _ => rows[row].push(char),
            }
            rows.resize(rows.len().max(row + 1), String::new());
        }
        rows
    }

    proptest! {
        #[test]
        fn it_never_fills_more_than_the_terminal_and_leaves_nothing(
            width in 1u16..120, height in 1u16..40, running in 0u32..30, failures in 0u32..3,
        ) {
            let (mut bar, text) = busy(terminal(width, height), running);
            let drawn = text.rsplit("\x1b[J").next().unwrap();
            prop_assert!(drawn.lines().count() <= usize::from(height).max(1));
            prop_assert!(drawn.lines().all(|line| line.width() <= usize::from(width)));
            let mut whole = text.clone();
            for index in 0..failures {
                let finished = Arc::new(fail(case(index, "a/b")));
                whole += &bar.event(&RunEvent::CaseFinished { finished, at: Duration::from_secs(7) }).out;
            }
            let RunEvent::Ended(summary) = story(vec![]).pop().unwrap() else { unreachable!("a story ends") };
            whole += &bar.event(&RunEvent::Ended(summary)).out;
            // The text begins amid a run: what it erases first was drawn before.
            let start = whole.find("\x1b[J").unwrap() + 3;
            let left = replay(&whole[start..]);
            prop_assert!(left.iter().all(|line| !line.contains("passed  ") && !line.starts_with('[')), "{left:?}");
            prop_assert_eq!(left.iter().filter(|line| line.starts_with("FAIL ")).count(), failures as usize);
        }
    }

    #[test]
    fn text_is_cut_by_columns_not_characters() {
        for (text, columns, cut) in [
            ("short", 10, "short"),
            ("exactly ten", 10, "exactly..."),
            ("日本語テキスト", 8, "日本..."),
            ("abc", 2, ".."),
        ] {
            assert_eq!(fit(text, columns), cut);
            assert!(fit(text, columns).width() <= columns);
        }
    }
}
