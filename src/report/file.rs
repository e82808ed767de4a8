//! Report files: tried before the first test, replaced as a whole at the end.
//!
//! A regular file is written beside its place and renamed, so that a full disk leaves the old report and an error,
//! never half a report. Anything else (a pipe, a device) is opened at once and written to at the end.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Names that are tried for a report that must be elsewhere.
const TRIES: u32 = 20;

/// Why a report file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be written.
    #[error("cannot write the report {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It could not be written in the end, and is elsewhere.
    #[error("cannot write the report {}, which is in {} now", path.display(), saved.display())]
    Saved {
        /// The file.
        path: PathBuf,
        /// Where the report is.
        saved: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is there, but cannot be read.
    #[error("cannot read the earlier results in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It holds something else than results to append to.
    #[error("cannot append to {}: it does not hold a JSON array of results", path.display())]
    NoArray {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// A file to hold a report. Nothing is changed until the report is complete.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Written beside `target` (the file behind symbolic links), then renamed.
    Beside { target: PathBuf },
    /// Written to directly.
    Direct(File),
}

impl ReportFile {
    /// Makes sure that a report can be written to the path.
    ///
    /// # Errors
    /// When the file or its folder cannot be written.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let place = place(path).map_err(|source| FileError::Write { path: path.to_owned(), source })?;
        Ok(ReportFile { path: path.to_owned(), place })
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds now; empty where there is none, or where it cannot be read back.
    ///
    /// # Errors
    /// When the file cannot be read or is no text.
    pub fn existing(&self) -> Result<String, FileError> {
        let Place::Beside { target } = &self.place else { return Ok(String::new()) };
        match std::fs::read_to_string(target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|source| FileError::Read { path: self.path.clone(), source }),
        }
    }

    /// Replaces the file's content by the report.
    ///
    /// # Errors
    /// When it cannot be written; the old content then stays.
    pub fn replace(&mut self, report: &[u8]) -> Result<(), FileError> {
        match &mut self.place {
            Place::Beside { target } => replace(target, report),
            Place::Direct(file) => file.write_all(report).and_then(|()| file.flush()),
        }
        .map_err(|source| {
            let path = self.path.clone();
            match save(&path, report) {
                Some(saved) => FileError::Saved { path, saved, source },
                None => FileError::Write { path, source },
            }
        })
    }
}

/// Puts a report that cannot be where it should be among the temporary files, so that it is not lost.
fn save(path: &Path, report: &[u8]) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    // Two reports of a run may have one name, in different folders.
    for number in 1..=TRIES {
        let saved = std::env::temp_dir().join(format!("run-tests.{}.{number}.{name}", std::process::id()));
        match fill(&saved, report, None) {
            Ok(()) => return Some(saved),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => {
                // Half a report is none.
                let _ = std::fs::remove_file(&saved);
                return None;
            }
        }
    }
    None
}

fn place(path: &Path) -> io::Result<Place> {
    match std::fs::metadata(path) {
        Ok(known) if known.is_file() => {
            // Renaming would replace a file that must not be written.
            File::options().append(true).open(path)?;
            beside(std::fs::canonicalize(path)?)
        }
        Ok(_) => File::options().write(true).open(path).map(Place::Direct),
        Err(error) if error.kind() == io::ErrorKind::NotFound => beside(path.to_owned()),
        Err(error) => Err(error),
    }
}

/// Tries the folder by making and removing the file that will be renamed.
fn beside(target: PathBuf) -> io::Result<Place> {
    let trial = temporary(&target)?;
    File::options().write(true).create_new(true).open(&trial)?;
    std::fs::remove_file(&trial)?;
    Ok(Place::Beside { target })
}

/// `.name.PID.tmp` in the same folder.
fn temporary(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    Ok(target.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id())))
}

fn replace(target: &Path, report: &[u8]) -> io::Result<()> {
    let temporary = temporary(target)?;
    let written = fill(&temporary, report, std::fs::metadata(target).ok())
        .and_then(|()| std::fs::rename(&temporary, target));
    if written.is_err() {
        // The first error is the one worth telling.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn fill(path: &Path, report: &[u8], old: Option<Metadata>) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(report)?;
    // Some file systems tell of a full disk only now.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn nothing_changes_before_the_report_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        std::fs::write(&path, "old").unwrap();
        let mut file = ReportFile::open(&path).unwrap();
        assert_eq!(file.existing().unwrap(), "old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        file.replace(b"new").unwrap();
        assert_eq!(file.existing().unwrap(), "new");
        file.replace(b"newer").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "newer");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_there_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        let mut file = ReportFile::open(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(file.existing().unwrap(), "");
        file.replace(b"x").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        ReportFile::open(&link).unwrap().replace(b"new").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
    }

    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        ReportFile::open(&path).unwrap().replace(b"new").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn errors_name_the_path_and_come_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("missing/results.json"), dir.path().to_owned()] {
            let error = ReportFile::open(&path).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot write the report {}", path.display()));
            assert!(error.source().is_some());
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_not_half_a_report() {
        let mut file = ReportFile::open(Path::new("/dev/full")).unwrap();
        let FileError::Saved { saved, .. } = file.replace(b"report").unwrap_err() else {
            panic!("not saved")
        };
        assert_eq!(std::fs::read(&saved).unwrap(), b"report", "nothing is lost");
        std::fs::remove_file(saved).unwrap();
    }

    #[test]
    fn a_report_that_cannot_be_finished_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let mut file = ReportFile::open(&folder.join("results.json")).unwrap();
        std::fs::remove_dir(&folder).unwrap();
        let error = file.replace(b"report").unwrap_err();
        let FileError::Saved { saved, .. } = &error else { panic!("not saved: {error}") };
        assert!(error.to_string().starts_with("cannot write the report "), "{error}");
        std::fs::remove_file(saved).unwrap();
    }
}
