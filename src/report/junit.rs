//! V8's JUnit report (reference §6.5): 2015 to 10.2, one suite, no counts.
//!
//! Input: run events. Output: an XML file, replaced when the run ends. Output of tests is raw but for what XML forbids,
//! which is written as escapes.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use super::Sink;
use super::block::{exit_code, not_run, shown_as_failure, timed_out};
use super::file::ReportFile;
use super::python::{rounded, strip};
use super::runs::Runs;
use super::untrusted::text;
use super::wording::Wording;
use crate::run::event::{Finished, RunEvent, RunInfo};

/// The sink.
#[derive(Debug)]
pub(crate) struct Junit {
    file: ReportFile,
    suite: String,
    wording: Wording,
    info: Option<Arc<RunInfo>>,
    runs: Runs,
    cases: String,
}

impl Junit {
    /// A report of that suite name.
    pub(crate) fn new(file: ReportFile, suite: String, wording: Wording) -> Self {
        Junit { file, suite, wording, info: None, runs: Runs::default(), cases: String::new() }
    }

    fn add(&mut self, run: &Finished) {
        let mode_flags = self.info.as_ref().map_or(&[][..], |info| &info.mode_flags);
        self.cases.push_str(&case(run, mode_flags, self.wording));
    }

    fn finished(&mut self, run: &Arc<Finished>) {
        if self.wording.sees_each_run() {
            self.add(run);
        } else if let Some(case) = self.runs.settle(run) {
            self.add(case.last());
        }
    }

    fn document(&self) -> String {
        let declaration =
            if self.wording.is_python2() { "<?xml version='1.0' encoding='UTF-8'?>\n" } else { "" };
        let name = attribute(&self.suite);
        match &*self.cases {
            "" => format!("{declaration}<testsuite name=\"{name}\" />"),
            cases => format!("{declaration}<testsuite name=\"{name}\">{cases}</testsuite>"),
        }
    }
}

impl Sink for Junit {
    fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.info = Some(info.clone()),
            RunEvent::CaseFinished { finished, .. } => self.finished(finished),
            RunEvent::Ended(_) => {
                for case in self.runs.abandon() {
                    self.add(case.last());
                }
                return self.file.replace(self.document().as_bytes()).map_err(io::Error::other);
            }
            RunEvent::CaseStarted { .. }
            | RunEvent::Tick { .. }
            | RunEvent::Machines { .. }
            | RunEvent::Notice(_)
            | RunEvent::Stopping(_) => {}
        }
        Ok(())
    }
}

fn case(run: &Finished, mode_flags: &[String], wording: Wording) -> String {
    let time = rounded(run.output.duration.as_secs_f64());
    let attributes = if wording.sees_each_run() {
        let flags = mode_flags.iter().chain(&run.case.test_flags);
        let name = flags.fold(run.case.name.clone(), |name, flag| name + " " + flag);
        format!("name=\"{}\" time=\"{time}\"", attribute(&name))
    } else if wording.is_python2() {
        // Python 2 sorts attributes.
        format!(
            "cmd=\"{}\" name=\"{}\" time=\"{time}\"",
            attribute(&run.case.relative_command),
            attribute(&run.case.name)
        )
    } else {
        format!(
            "name=\"{}\" cmd=\"{}\" time=\"{time}\"",
            attribute(&run.case.name),
            attribute(&run.case.relative_command)
        )
    };
    if run.actual.is_none() {
        return format!("<testcase {attributes}><error>{}</error></testcase>", data(&not_run(run)));
    }
    if !shown_as_failure(run, wording) {
        return format!("<testcase {attributes} />");
    }
    format!("<testcase {attributes}><failure>{}</failure></testcase>", data(&failure(run, wording)))
}

/// V8 puts no line break between the command and what follows it.
fn failure(run: &Finished, wording: Wording) -> String {
    let mut failure = String::new();
    for (name, stream) in [("stdout", &run.output.stdout), ("stderr", &run.output.stderr)] {
        let text = text(stream, wording.is_python2());
        let text = strip(&text, wording.is_python2());
        if !text.is_empty() {
            failure.push_str(&format!("{name}:\n{text}\n"));
        }
    }
    failure.push_str(&format!("Command: {}", run.case.command));
    if run.crashed {
        let code = exit_code(&run.output.exit).unwrap_or_default();
        failure.push_str(&format!("exit code: {code}\n--- CRASHED ---"));
    }
    if timed_out(run) {
        failure.push_str("--- TIMEOUT ---");
    }
    failure
}

/// Character data, escaped as ElementTree does.
fn data(text: &str) -> Cow<'_, str> {
    written(text, |char| match char {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

/// An attribute's value, escaped as ElementTree does.
fn attribute(text: &str) -> Cow<'_, str> {
    written(text, |char| match char {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        '\t' => Some("&#09;"),
        _ => None,
    })
}

fn written(text: &str, entity: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if text.chars().all(|char| legal(char) && entity(char).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match entity(char) {
            Some(entity) => out.push_str(entity),
            None if legal(char) => out.push(char),
            None => out.push_str(&format!("\\x{:02x}", u32::from(char))),
        }
    }
    Cow::Owned(out)
}

/// Whether XML 1.0 allows the character at all.
fn legal(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::fixture::{case, everything, fail, filed, names, story};
    use crate::run::event::CaseInfo;

    fn written(wording: Wording, runs: Vec<Finished>) -> String {
        filed(|file| Junit::new(file, "v8tests".to_owned(), wording), "", &story(runs))
    }

    fn parses(text: &str) -> bool {
        let mut reader = quick_xml::Reader::from_str(text);
        loop {
            match reader.read_event() {
                Ok(quick_xml::events::Event::Eof) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    #[test]
    fn of_62_with_flags_in_the_name() {
        let flagged = fail(CaseInfo { test_flags: vec!["--opt".to_owned()], ..case(9, "a/\"<&>") });
        let text = written(Wording::V62, everything().into_iter().chain([flagged]).collect());
        assert!(parses(&text));
        insta::assert_snapshot!(text, @r#"
        <?xml version='1.0' encoding='UTF-8'?>
        <testsuite name="v8tests"><testcase name="mjsunit/good --nohard-abort" time="0.125" /><testcase name="mjsunit/bad --nohard-abort" time="0.125"><failure>stdout:
        out 1
        out 2
        stderr:
        err
        Command: /v8/out/d8 --test /v8/test/mjsunit/bad.js --nohard-abort</failure></testcase><testcase name="mjsunit/crash --nohard-abort" time="0.125"><failure>Command: /v8/out/d8 --test /v8/test/mjsunit/crash.js --nohard-abortexit code: -11
        --- CRASHED ---</failure></testcase><testcase name="mjsunit/slow --nohard-abort" time="0.125"><failure>stderr:
        slow
        Command: /v8/out/d8 --test /v8/test/mjsunit/slow.js --nohard-abort--- TIMEOUT ---</failure></testcase><testcase name="mjsunit/better --nohard-abort" time="0.125"><failure>stdout:
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/better.js --nohard-abort</failure></testcase><testcase name="message/negative --nohard-abort" time="0.125"><failure>stdout:
        out 1
        out 2
        stderr:
        err
        Command: /v8/out/d8 --test /v8/test/message/negative.js --nohard-abort</failure></testcase><testcase name="mjsunit/lost --nohard-abort" time="0.125"><error>d8: no such file</error></testcase><testcase name="mjsunit/flaky --nohard-abort" time="0.125"><failure>stdout:
        out 1
        out 2
        stderr:
        err
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort</failure></testcase><testcase name="mjsunit/flaky --nohard-abort" time="0.125"><failure>stdout:
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/flaky.js --nohard-abort</failure></testcase><testcase name="a/&quot;&lt;&amp;&gt; --nohard-abort --opt" time="0.125"><failure>stdout:
        out 1
        out 2
        stderr:
        err
        Command: /v8/out/d8 --test /v8/test/a/"&lt;&amp;&gt;.js --nohard-abort</failure></testcase></testsuite>
        "#);
    }

    #[test]
    fn of_102_with_the_command() {
        let text = written(Wording::V102, everything());
        assert!(parses(&text));
        insta::assert_snapshot!(text, @r#"
        <testsuite name="v8tests"><testcase name="mjsunit/good" cmd="out/d8 --test test/mjsunit/good.js --nohard-abort" time="0.125" /><testcase name="mjsunit/bad" cmd="out/d8 --test test/mjsunit/bad.js --nohard-abort" time="0.125"><failure>stdout:
        out 1
        out 2
        stderr:
        err
        Command: /v8/out/d8 --test /v8/test/mjsunit/bad.js --nohard-abort</failure></testcase><testcase name="mjsunit/crash" cmd="out/d8 --test test/mjsunit/crash.js --nohard-abort" time="0.125"><failure>Command: /v8/out/d8 --test /v8/test/mjsunit/crash.js --nohard-abortexit code: -11
        --- CRASHED ---</failure></testcase><testcase name="mjsunit/slow" cmd="out/d8 --test test/mjsunit/slow.js --nohard-abort" time="0.125"><failure>stderr:
        slow
        Command: /v8/out/d8 --test /v8/test/mjsunit/slow.js --nohard-abort--- TIMEOUT ---</failure></testcase><testcase name="mjsunit/better" cmd="out/d8 --test test/mjsunit/better.js --nohard-abort" time="0.125"><failure>stdout:
        fine
        Command: /v8/out/d8 --test /v8/test/mjsunit/better.js --nohard-abort</failure></testcase><testcase name="message/negative" cmd="out/d8 --test test/message/negative.js --nohard-abort" time="0.125"><failure>stdout:
        out 1
        out 2
        stderr:
        err
        Command: /v8/out/d8 --test /v8/test/message/negative.js --nohard-abort</failure></testcase><testcase name="mjsunit/lost" cmd="out/d8 --test test/mjsunit/lost.js --nohard-abort" time="0.125"><error>d8: no such file</error></testcase><testcase name="mjsunit/flaky" cmd="out/d8 --test test/mjsunit/flaky.js --nohard-abort" time="0.125" /></testsuite>
        "#);
    }

    #[test]
    fn no_tests_make_an_empty_suite() {
        assert_eq!(written(Wording::V102, vec![]), r#"<testsuite name="v8tests" />"#);
    }

    #[test]
    fn characters_xml_forbids_are_written_as_escapes() {
        let text = written(Wording::V102, names());
        assert!(text.contains(r"mjsunit/\x1b[2Jclear"), "{text}");
        assert!(parses(&text));
    }

    proptest! {
        #[test]
        fn any_name_and_output_make_an_xml_file(name in any::<String>(), output in any::<Vec<u8>>()) {
            let mut run = fail(case(0, &name));
            Arc::make_mut(&mut run.output).stdout.bytes = output;
            let text = written(Wording::V102, vec![run]);
            prop_assert!(parses(&text), "{text}");
            prop_assert!(text.chars().all(legal));
        }
    }
}
