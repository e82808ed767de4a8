//! The trial run of a peer's run: whether its shell starts here and says what it must.
//!
//! PURE. It is a job like any other, of its submitter, on one of the slots; only its answer is judged here, because it
//! is about this machine and not about a test.

use std::time::Duration;

use testmesh_behaviours::work::message::{RunId, RunOpen};

use crate::job::{Exit, Job, JobId, Limits, Output, Status};

/// The number that trial runs carry; no job of an offer may.
pub const TRIAL: u32 = u32::MAX;
/// How long one may take, whatever its submitter says.
const WALL: Duration = Duration::from_secs(30);
/// Characters of what it said that are told.
const SAID: usize = 200;

/// The job of a run's trial; each attempt has a number of its own.
pub fn job(open: &RunOpen, attempt: u16) -> Job {
    let RunId(run) = open.run;
    let limits = Limits { wall: open.canary.limits.wall.min(WALL), ..open.canary.limits };
    Job { id: JobId { run, sequence: TRIAL, attempt }, limits, ..open.canary.clone() }
}

/// Whether the trial shows that this machine can run the tests.
///
/// # Errors
/// In the words of the loader or of the program where it does not.
pub fn judge(answer: &[u8], output: &Output) -> Result<(), String> {
    match &output.exit {
        Exit::Ended(Status::Code(0)) if output.stdout.bytes == answer => Ok(()),
        Exit::NotStarted(why) | Exit::Lost(why) => Err(why.clone()),
        Exit::Ended(status) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(SAID).collect::<String>();
            let said = [text(&output.stderr.bytes), text(&output.stdout.bytes)].concat();
            let how = match status {
                Status::Code(code) => format!("exit code {code}"),
                Status::Signal(signal) => format!("signal {signal}"),
            };
            Err(format!("its trial run ended with {how} and said `{}`", said.trim()))
        }
        Exit::TimedOut(_) => Err("its trial run did not end in time".to_owned()),
        Exit::Cancelled => Err("its trial run was cancelled".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Captured;
    use crate::worker::without_process;

    fn said(text: &str, exit: Exit) -> Output {
        let stdout = Captured { bytes: text.as_bytes().to_vec(), dropped: 0 };
        Output { stdout, ..without_process(exit) }
    }

    #[test]
    fn only_the_right_words_and_a_good_end_will_do() {
        let good = Exit::Ended(Status::Code(0));
        assert_eq!(judge(b"yes\n", &said("yes\n", good.clone())), Ok(()));
        assert!(judge(b"yes\n", &said("no\n", good)).is_err_and(|why| why.contains("said `no`")));
        let bad = said("GLIBC_2.38 not found", Exit::Ended(Status::Code(1)));
        assert!(judge(b"yes\n", &bad).is_err_and(|why| why.contains("GLIBC_2.38 not found")));
        let lost = said("", Exit::NotStarted("no such file".to_owned()));
        assert_eq!(judge(b"yes\n", &lost), Err("no such file".to_owned()));
    }
}
