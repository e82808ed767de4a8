//! Why a process could not be started, in words a beginner can act on.
//!
//! The system says only "no such file" when a script's interpreter or a binary's loader is missing, so this looks at
//! the file after the fact. Never decides whether to start anything.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The system call that failed, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Stage {
    /// Pipes for the streams.
    Pipe = 1,
    /// A new process.
    Clone,
    /// A group of its own.
    Group,
    /// Its parent must be alive.
    Orphaned,
    /// Its streams.
    Streams,
    /// Its working directory.
    Directory,
    /// The program.
    Execute,
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the standard library reports no stages"))]
impl Stage {
    const ALL: [Self; 7] =
        [Self::Pipe, Self::Clone, Self::Group, Self::Orphaned, Self::Streams, Self::Directory, Self::Execute];

    /// The stage with this number.
    pub(super) fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as i32 == number)
    }
}

/// A process that did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartError {
    stage: Stage,
    error: Errno,
}

impl StartError {
    pub(super) fn new(stage: Stage, error: Errno) -> Self {
        Self { stage, error }
    }

    /// The whole story, for a program and a working directory.
    pub(super) fn explain(self, program: &OsStr, cwd: &OsStr) -> String {
        let cwd = Path::new(cwd);
        let error = std::io::Error::from(self.error);
        match self.stage {
            Stage::Pipe | Stage::Clone | Stage::Group | Stage::Orphaned | Stage::Streams => {
                format!("cannot make a process for `{}`: {error}", program.display())
            }
            Stage::Directory => format!("cannot enter working directory `{}`: {error}", cwd.display()),
            Stage::Execute => {
                let hint = hint(self.error, &cwd.join(program));
                let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
                format!("cannot execute `{}`: {error}{hint}", program.display())
            }
        }
    }
}

/// What the file at `path` says about the error, if anything.
fn hint(error: Errno, path: &Path) -> Option<String> {
    match error {
        Errno::NOENT if !path.exists() => Some("there is no such file".to_owned()),
        Errno::NOENT => needs(path).map(|(what, file)| {
            format!("the file is there, but its {what} `{}` is not on this machine", file.display())
        }),
        Errno::ACCESS => Some(no_access(path)),
        Errno::NOEXEC => Some(not_a_program(path)),
        Errno::TOOBIG => Some("its arguments and environment are larger than the system takes".to_owned()),
        Errno::TXTBSY => Some("the file is being written".to_owned()),
        _ => None,
    }
}

fn no_access(path: &Path) -> String {
    if path.is_dir() {
        return "it is a directory".to_owned();
    }
    let executable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    match needs(path) {
        _ if !executable(path) => "the file is not executable (`chmod +x` makes it so)".to_owned(),
        Some((what, file)) if !executable(&file) => {
            format!("its {what} `{}` is not executable", file.display())
        }
        Some(_) | None => "its file system may be mounted without execution".to_owned(),
    }
}

fn not_a_program(path: &Path) -> String {
    let start = start_of(path);
    if start.is_empty() {
        return "the file is empty".to_owned();
    }
    match machine(&start) {
        Some(machine) => {
            format!("it is built for another machine ({machine}; this is {})", std::env::consts::ARCH)
        }
        None => {
            "it is neither a program for this machine nor a script whose first line names an interpreter \
                 (`#!/bin/sh`)"
                .to_owned()
        }
    }
}

/// What else must exist for the file to run: a script's interpreter, a binary's loader.
fn needs(path: &Path) -> Option<(&'static str, PathBuf)> {
    let start = start_of(path);
    let file = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    match interpreter(&start) {
        Some(interpreter) => Some(("interpreter", file(interpreter))),
        None => loader(&start).map(|loader| ("loader", file(loader))),
    }
}

/// Enough of a file to hold its first line, or its ELF headers and the loader's name.
fn start_of(path: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // What could be read is looked at; a hint is no place to fail.
        let _ = file.take(64 << 10).read_to_end(&mut start);
    }
    start
}

/// The program named by a `#!` line.
fn interpreter(start: &[u8]) -> Option<&[u8]> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    line.split(|byte| matches!(byte, b' ' | b'\t')).find(|word| !word.is_empty())
}

/// The loader named by a 64-bit little-endian ELF file (its `PT_INTERP` segment).
fn loader(start: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u64 = 3;
    if !start.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = number(start, 0x20, 8)?;
    let entry_size = number(start, 0x36, 2)?;
    let entries = number(start, 0x38, 2)?;
    let entry = (0..entries)
        .filter_map(|index| table.checked_add(index.checked_mul(entry_size)?)?.try_into().ok())
        .find(|entry| number(start, *entry, 4) == Some(PT_INTERP))?;
    let offset = usize::try_from(number(start, entry + 8, 8)?).ok()?;
    let size = usize::try_from(number(start, entry + 32, 8)?).ok()?;
    let name = start.get(offset..offset.checked_add(size)?)?;
    name.split(|byte| *byte == 0).next()
}

/// The machine an ELF file is for, in the words of `std::env::consts::ARCH` where it has them.
fn machine(start: &[u8]) -> Option<String> {
    if !start.starts_with(b"\x7fELF") {
        return None;
    }
    let name = match number(start, 0x12, 2)? {
        3 => "x86",
        8 => "mips",
        20 | 21 => "powerpc",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        other => return Some(format!("ELF machine {other}")),
    };
    Some(name.to_owned())
}

/// The little-endian number of `size` bytes at `offset`.
fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn interpreters_are_found_as_the_system_finds_them() {
        for (start, expected) in [
            ("#!/bin/sh\n", Some("/bin/sh")),
            ("#! \t/usr/bin/env  node\nx", Some("/usr/bin/env")),
            ("#!/bin/sh", Some("/bin/sh")),
            ("#!\n/bin/sh", None),
            ("/bin/sh", None),
            ("", None),
        ] {
            assert_eq!(interpreter(start.as_bytes()), expected.map(str::as_bytes), "{start:?}");
        }
    }

    /// A minimal ELF file: header, one program header, a name.
    fn elf(machine: u16, name: &[u8]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(0x40 + 0x38, 0);
        file[0x12..0x14].copy_from_slice(&machine.to_le_bytes());
        file[0x20] = 0x40;
        file[0x36] = 0x38;
        file[0x38] = 1;
        file[0x40] = 3;
        file[0x48] = 0x78;
        file[0x60] = u8::try_from(name.len()).unwrap();
        file.extend_from_slice(name);
        file
    }

    #[test]
    fn loader_and_machine_are_read_from_the_file() {
        let file = elf(183, b"/lib/ld-linux-aarch64.so.1\0");
        assert_eq!(loader(&file), Some(&b"/lib/ld-linux-aarch64.so.1"[..]));
        assert_eq!(machine(&file).as_deref(), Some("aarch64"));
        assert_eq!(machine(b"#!/bin/sh"), None);
    }

    #[test]
    fn every_stage_has_its_number() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_number(stage as i32), Some(stage));
        }
        assert_eq!(Stage::from_number(0), None);
    }

    proptest! {
        #[test]
        fn broken_files_are_looked_at_without_panic(at in 0usize..0x90, byte: u8, cut in 0usize..0x90) {
            let mut file = elf(62, b"/lib/ld.so\0");
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            file.truncate(cut);
            let _ = (loader(&file), machine(&file), interpreter(&file));
        }
    }
}
