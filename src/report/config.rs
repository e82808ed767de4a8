//! What to report, how and where to; from that, one sink.
//!
//! Opens every report file before the first test. Reads the terminal's size and the environment only where asked to.

use std::io::{self, Write};
use std::path::PathBuf;

use super::Sink;
use super::bar::Bar;
use super::block::Look;
use super::compact::Compact;
use super::completion::Completion;
use super::fanout::Fanout;
use super::file::{FileError, ReportFile};
use super::flakiness::Flakiness;
use super::frame::Manner;
use super::json::{Json, JsonConfig};
use super::junit::Junit;
use super::none::Quiet;
use super::plain::Plain;
use super::printer::Printer;
use super::render::Render;
use super::schedule_log::ScheduleLog;
use super::simple::{Kind, Simple};
use super::stream::Stream;
use super::talk::Voice;
use super::time::Time;
use super::untrusted::Guard;
use super::wording::Wording;

/// Why a report cannot be made.
pub type ReportError = FileError;

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// V8's: a line a result.
    Verbose,
    /// V8's: for bots, only the time now and then.
    Ci,
    /// V8's: a mark a result.
    Dots,
    /// V8's status line in colours.
    Color,
    /// V8's status line.
    Mono,
    /// V8's: a line a result, nothing at the end.
    Stream,
    /// V8's: failures only.
    None,
    /// Ours on a terminal; where there is none, or one that cannot move its cursor, plain.
    Bar,
    /// Ours elsewhere.
    Plain,
}

impl Style {
    /// Whether V8 has it, too: such a style is told in V8's words from its first line on.
    pub fn is_v8s(self) -> bool {
        !matches!(self, Style::Bar | Style::Plain)
    }

    /// Whether it may print the time of day.
    pub fn needs_local_time(self, wording: Wording) -> bool {
        self == Style::Ci || (self.is_v8s() && wording.logs())
    }
}

/// Asks a terminal for its columns and rows.
pub type Probe = fn() -> Option<(u16, u16)>;

/// The terminal that shows a report.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Columns at the start.
    pub width: u16,
    /// Rows at the start.
    pub height: u16,
    /// Whether colours are wanted.
    pub color: bool,
    /// Whether it can move its cursor.
    pub moves: bool,
    /// Asked anew before each drawing, since windows change their size.
    pub probe: Option<Probe>,
}

impl Terminal {
    /// The terminal behind standard output, if it is one.
    pub fn of_stdout() -> Option<Self> {
        let stdout = io::stdout();
        if !rustix::termios::isatty(&stdout) {
            return None;
        }
        let variable = |name| std::env::var(name).unwrap_or_default();
        Some(Terminal::described(size_of_stdout(), &variable("TERM"), &variable("NO_COLOR")))
    }

    /// A terminal as the environment describes it: `TERM=dumb` neither moves nor colours, `NO_COLOR` forbids colours.
    pub fn described(size: Option<(u16, u16)>, term: &str, no_color: &str) -> Self {
        let (width, height) = size.unwrap_or((80, 24));
        let moves = !matches!(term, "" | "dumb");
        Terminal { width, height, color: moves && no_color.is_empty(), moves, probe: Some(size_of_stdout) }
    }

    /// Columns and rows now; a terminal that does not know is taken for a usual one.
    pub(crate) fn size(&self) -> (usize, usize) {
        let (width, height) = self.probe.and_then(|probe| probe()).unwrap_or((self.width, self.height));
        let or = |size: u16, usual| if size == 0 { usual } else { usize::from(size) };
        (or(width, 80), or(height, 24))
    }
}

fn size_of_stdout() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some((size.ws_col, size.ws_row))
}

/// What to report and how.
#[derive(Debug, Clone)]
pub struct ReportConfig {
    /// How progress is told.
    pub style: Style,
    /// Whose words V8's styles use.
    pub wording: Wording,
    /// The terminal behind standard output; none if it is a file or a pipe.
    pub terminal: Option<Terminal>,
    /// `release` or `debug`, for JSON up to 8.x.
    pub execution_mode: String,
    /// `--json-test-results`.
    pub json: Option<PathBuf>,
    /// `--junitout`.
    pub junit: Option<PathBuf>,
    /// `--junittestsuite`.
    pub junit_suite: String,
    /// `--flakiness-results`.
    pub flakiness: Option<PathBuf>,
    /// `--log-test-schedule`.
    pub schedule: Option<PathBuf>,
    /// `--ci-test-completion`; used by that style only.
    pub ci_completion: Option<PathBuf>,
    /// `--slow-tests-cutoff`.
    pub slowest: usize,
    /// `--time`.
    pub time: bool,
    /// `-v`.
    pub verbose: bool,
    /// Which shard of how many, from 0.
    pub shard: (usize, usize),
    /// `--extra-flags`: part of the keys of flakiness results.
    pub extra_flags: Vec<String>,
    /// Lines V8 prints below its first one, such as why a run is not distributed.
    pub preface: Vec<String>,
    /// Seconds by which the local time is ahead of UTC.
    pub utc_offset: i32,
}

impl ReportConfig {
    /// Progress in a style and nothing else.
    pub fn new(style: Style, wording: Wording) -> Self {
        ReportConfig {
            style,
            wording,
            terminal: None,
            execution_mode: "release".to_owned(),
            json: None,
            junit: None,
            junit_suite: "v8tests".to_owned(),
            flakiness: None,
            schedule: None,
            ci_completion: None,
            slowest: 100,
            time: false,
            verbose: false,
            shard: (0, 1),
            extra_flags: Vec::new(),
            preface: Vec::new(),
            utc_offset: 0,
        }
    }

    fn guard(&self) -> Guard {
        if self.terminal.is_some() { Guard::Escape } else { Guard::Exact }
    }

    fn manner(&self) -> Manner {
        let look = Look { wording: self.wording, guard: self.guard(), color: self.style == Style::Color };
        Manner { look, verbose: self.verbose, preface: self.preface.clone(), utc_offset: self.utc_offset }
    }

    fn voice(&self) -> Voice {
        Voice { color: self.terminal.is_some_and(|terminal| terminal.color) }
    }
}

/// Where text goes.
pub struct Outputs {
    /// Standard output: the report.
    pub out: Box<dyn Write + Send>,
    /// Standard error: talk.
    pub err: Box<dyn Write + Send>,
}

impl Outputs {
    /// The program's own streams.
    pub fn standard() -> Self {
        Outputs { out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }
}

/// The sink a configuration asks for, on the program's own streams.
///
/// # Errors
/// When a report file cannot be written.
pub fn open(config: &ReportConfig) -> Result<Box<dyn Sink + Send>, ReportError> {
    build(config, Outputs::standard())
}

/// The sink a configuration asks for. Files hear of the end before the progress does, as in V8, and `--time` last.
///
/// # Errors
/// When a report file cannot be written.
pub fn build(config: &ReportConfig, outputs: Outputs) -> Result<Box<dyn Sink + Send>, ReportError> {
    let mut sinks = Fanout::default();
    add_files(config, &mut sinks)?;
    let mut styles = vec![progress(config)];
    if config.time {
        styles.push(Box::new(Time::new(config.wording, config.guard(), config.slowest)));
    }
    sinks.add(Printer::new(styles, outputs));
    Ok(Box::new(sinks))
}

fn add_files(config: &ReportConfig, sinks: &mut Fanout) -> Result<(), ReportError> {
    let wording = config.wording;
    if let Some(path) = &config.json {
        let json = JsonConfig {
            wording,
            execution_mode: config.execution_mode.clone(),
            slowest: config.slowest,
            shard: config.shard,
        };
        sinks.add(Json::open(ReportFile::open(path)?, json)?);
    }
    if let Some(path) = &config.junit {
        sinks.add(Junit::new(ReportFile::open(path)?, config.junit_suite.clone(), wording));
    }
    if let Some(path) = &config.flakiness {
        sinks.add(Flakiness::new(ReportFile::open(path)?, config.extra_flags.clone()));
    }
    if let Some(path) = &config.schedule {
        sinks.add(ScheduleLog::new(ReportFile::open(path)?, wording));
    }
    if let Some(path) = config.ci_completion.as_ref().filter(|_| config.style == Style::Ci) {
        sinks.add(Completion::open(path, wording)?);
    }
    Ok(())
}

fn progress(config: &ReportConfig) -> Box<dyn Render + Send> {
    let manner = config.manner();
    match (config.style, config.terminal.filter(|terminal| terminal.moves)) {
        (Style::Bar, Some(terminal)) => Box::new(Bar::new(terminal)),
        (Style::Bar | Style::Plain, _) => Box::new(Plain::new(config.voice())),
        (Style::Mono | Style::Color, _) => Box::new(Compact::new(manner)),
        (Style::Dots, _) => Box::new(Simple::new(Kind::Dots, manner)),
        (Style::Verbose, _) => Box::new(Simple::new(Kind::Verbose, manner)),
        (Style::Ci, _) => Box::new(Simple::new(Kind::Ci, manner)),
        (Style::Stream, _) => Box::new(Stream::new(manner)),
        (Style::None, _) => Box::new(Quiet::new(manner)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::job::{Captured, Output};
    use crate::report::fixture::{everything, story};
    use crate::run::event::{CaseInfo, Finished, RunEvent};

    /// A stream to read back.
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(config: &ReportConfig) -> String {
        told_of(config, &story(everything()))
    }

    /// Both streams.
    fn told_of(config: &ReportConfig, events: &[RunEvent]) -> String {
        let out = Buffer::default();
        let outputs = Outputs { out: Box::new(out.clone()), err: Box::new(out.clone()) };
        let mut sink = build(config, outputs).unwrap();
        events.iter().for_each(|event| sink.event(event).unwrap());
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn config(style: Style) -> ReportConfig {
        ReportConfig::new(style, Wording::V102)
    }

    #[test]
    fn a_bar_needs_a_terminal_that_moves() {
        let dumb = Terminal::described(Some((80, 24)), "dumb", "");
        let able = Terminal { probe: None, ..Terminal::described(Some((80, 24)), "xterm", "1") };
        let with = |terminal| told(&ReportConfig { terminal, ..config(Style::Bar) });
        assert!(with(Some(able)).contains("\x1b[J"));
        assert_eq!(with(Some(dumb)), told(&config(Style::Plain)));
        assert_eq!(with(None), told(&config(Style::Plain)));
    }

    #[test]
    fn the_environment_decides_on_movement_and_colour() {
        for (term, no_color, moves, color) in [
            ("xterm-256color", "", true, true),
            ("xterm", "1", true, false),
            ("dumb", "", false, false),
            ("", "", false, false),
        ] {
            let terminal = Terminal::described(None, term, no_color);
            assert_eq!((terminal.moves, terminal.color), (moves, color), "{term} {no_color}");
        }
    }

    #[test]
    fn a_size_of_nothing_is_taken_for_the_usual() {
        let terminal = Terminal { probe: None, ..Terminal::described(Some((0, 0)), "xterm", "") };
        assert_eq!(terminal.size(), (80, 24));
    }

    #[test]
    fn time_comes_last_and_colour_only_where_asked() {
        let text = told(&ReportConfig { time: true, ..config(Style::Dots) });
        assert!(text.find("tests ran").unwrap() < text.find("Details:").unwrap());
        assert!(!told(&config(Style::Mono)).contains("\x1b["));
        assert!(told(&config(Style::Color)).contains("\x1b[31m"));
    }

    /// Everything a test, a peer or a file name can put into an event, meant to steer a terminal.
    fn hostile() -> Vec<RunEvent> {
        let evil = "\x1b[2J\x1b]0;title\x07\u{9b}1A\r\u{202e}\u{7f}\0\x08".to_owned();
        let run = |run: Finished| {
            let case = CaseInfo {
                name: evil.clone(),
                variant: evil.clone(),
                command: evil.clone(),
                relative_command: evil.clone(),
                repeat: evil.clone(),
                arguments: vec![evil.clone()],
                why: vec![evil.clone()],
                ..(*run.case).clone()
            };
            let output = Output {
                stdout: Captured { bytes: format!("a{evil}\nb").into_bytes(), dropped: 3 },
                stderr: Captured { bytes: [evil.as_bytes(), b"\xff\x80"].concat(), dropped: 0 },
                ..(*run.output).clone()
            };
            let [reason, details, peer] = [(); 3].map(|()| Some(evil.clone()));
            Finished { case: Arc::new(case), output: Arc::new(output), reason, details, peer, ..run }
        };
        let mut events = story(everything().into_iter().map(run).collect());
        events.insert(3, RunEvent::Notice(evil.clone()));
        events.insert(4, RunEvent::Tick { at: std::time::Duration::from_secs(100) });
        events
    }

    const STYLES: [Style; 9] = [
        Style::Verbose,
        Style::Ci,
        Style::Dots,
        Style::Color,
        Style::Mono,
        Style::Stream,
        Style::None,
        Style::Bar,
        Style::Plain,
    ];
    const WORDINGS: [Wording; 8] = [
        Wording::V2015,
        Wording::V62,
        Wording::V79,
        Wording::V90,
        Wording::V102,
        Wording::V116,
        Wording::V126,
        Wording::V157,
    ];

    #[test]
    fn on_a_terminal_no_style_passes_on_what_steers_it() {
        let own = regex::Regex::new("\x1b\\[[0-9;]*[mJAK]|\r").unwrap();
        let able = Terminal { probe: None, ..Terminal::described(Some((80, 24)), "xterm", "") };
        for (style, wording) in STYLES.iter().flat_map(|style| WORDINGS.map(|wording| (*style, wording))) {
            let config = ReportConfig {
                terminal: Some(able),
                time: true,
                verbose: true,
                ..ReportConfig::new(style, wording)
            };
            let text = told_of(&config, &hostile());
            assert!(!text.contains("\x1b[2J") && !text.contains("\x1b]"), "{style:?} {wording:?}");
            let rest = own.replace_all(&text, "");
            let steering =
                |char: char| !matches!(char, '\n' | '\t') && (char.is_control() || char == '\u{202e}');
            assert!(!rest.contains(steering), "{style:?} {wording:?}: {rest:?}");
        }
    }

    #[test]
    fn no_style_needs_events_to_make_sense() {
        let mut backwards = story(everything());
        backwards.reverse();
        for (style, wording) in STYLES.iter().flat_map(|style| WORDINGS.map(|wording| (*style, wording))) {
            told_of(&ReportConfig { time: true, ..ReportConfig::new(style, wording) }, &backwards);
        }
    }

    #[test]
    fn every_report_file_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(dir.path().join(name));
        let all = ReportConfig {
            json: path("json"),
            junit: path("junit"),
            flakiness: path("flakiness"),
            schedule: path("schedule"),
            ci_completion: path("completion"),
            ..config(Style::Ci)
        };
        told(&all);
        for name in ["json", "junit", "flakiness", "schedule", "completion"] {
            assert!(std::fs::metadata(dir.path().join(name)).unwrap().len() > 0, "{name}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_written_is_told_before_the_run() {
        let config = ReportConfig { json: Some("/nonexistent/x.json".into()), ..config(Style::Mono) };
        let error = open(&config).err().unwrap();
        assert_eq!(error.to_string(), "cannot write the report /nonexistent/x.json");
    }
}
