//! `meshctl logs`: the end of the file a node in the background writes to.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::failure::Failure;
use super::{Context, show};
use crate::report::untrusted::Untrusted;

/// Bytes read from the end of the file: hundreds of lines.
const TAIL: u64 = 256 << 10;
/// Between two looks when following.
const LOOK: Duration = Duration::from_millis(200);

/// Shows the last lines, and goes on where asked to.
pub(super) fn logs(context: &Context, lines: u32, follow: bool) -> Result<(), Failure> {
    let path = context.home.log_file();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Failure::NoLog(path.clone()),
        _ => Failure::Read { file: path.clone(), source },
    };
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let end = fs_err::metadata(&path).map_err(failed)?.len();
    show::print(context, &tail(&path, 0, lines).map_err(failed)?)?;
    if follow { go_on(context, &path, end) } else { Ok(()) }
}

/// Shows what is added, until interrupted.
fn go_on(context: &Context, path: &Path, mut end: u64) -> Result<(), Failure> {
    let failed = |source| Failure::Read { file: path.to_owned(), source };
    loop {
        std::thread::sleep(LOOK);
        let (text, now) = added(path, end).map_err(failed)?;
        end = now;
        show::print(context, &text)?;
    }
}

/// Bytes of a log; 0 where there is none.
pub(super) fn length(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The last lines of a file behind a place, safe to show.
pub(super) fn tail(path: &Path, behind: u64, lines: usize) -> io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(TAIL).max(behind);
    file.seek(SeekFrom::Start(from))?;
    let text = read(file)?;
    let first = text.lines().count().saturating_sub(lines);
    Ok(text.lines().skip(first).map(|line| format!("{line}\n")).collect())
}

/// What stands behind a place, and the new end. A file that became shorter begins anew.
fn added(path: &Path, end: u64) -> io::Result<(String, u64)> {
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    let from = if length < end { 0 } else { end };
    file.seek(SeekFrom::Start(from))?;
    Ok((read(file)?, length.min(from.saturating_add(TAIL))))
}

fn read(file: fs_err::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(Untrusted::block(&String::from_utf8_lossy(&bytes)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_and_what_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "one\ntwo \u{1b}[2J\nthree\n").unwrap();
        assert_eq!(tail(&path, 0, 2).unwrap(), "two \\x1b[2J\nthree\n");
        assert_eq!(tail(&path, 4, 9).unwrap(), "two \\x1b[2J\nthree\n");
        let end = std::fs::metadata(&path).unwrap().len();
        assert_eq!(added(&path, end).unwrap(), (String::new(), end));
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(added(&path, end).unwrap(), ("new\n".to_owned(), 4));
    }
}
