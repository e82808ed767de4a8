//! Small text files that a person names: key files and certificates.

use std::io::Read;
use std::path::Path;

use super::failure::Failure;

/// The text of a file, or of standard input for `-`: at most one byte more than `most`, so that whoever parses it sees
/// that it is too long. Bytes that are no text are replaced.
pub(super) fn read(file: &Path, most: usize) -> Result<String, Failure> {
    if file == Path::new("-") {
        return limited(file, most, std::io::stdin());
    }
    if file.is_dir() {
        return Err(Failure::Folder(file.to_owned()));
    }
    let open = fs_err::File::open(file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Failure::NoFile(file.to_owned()),
        _ => Failure::Read { file: file.to_owned(), source },
    })?;
    limited(file, most, open)
}

fn limited(file: &Path, most: usize, source: impl Read) -> Result<String, Failure> {
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = source.take(most).read_to_end(&mut bytes);
    read.map_err(|source| Failure::Read { file: file.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_files_and_folders_are_no_trouble() {
        assert_eq!(limited(Path::new("x"), 9, std::io::repeat(b'a')).unwrap().len(), 10);
        assert!(matches!(read(Path::new("/"), 9), Err(Failure::Folder(_))));
        assert!(matches!(read(Path::new("/no/such"), 9), Err(Failure::NoFile(_))));
    }
}
