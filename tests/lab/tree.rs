//! The tree that runs under faults: the sample, and tests that keep a processor busy, so that a run lasts some seconds.

use std::fs;
use std::io;
use std::path::Path;

use crate::plan::Random;

/// Busy tests.
const BUSY: usize = 80;

/// Cases of the whole tree with the skipped ones.
pub(crate) const CASES: usize = 76 + BUSY;

/// Tests that never end are no use here, since under a slow processor others would run into their limit; nor is one that
/// fails by chance, since two runs are compared.
const LEFT_OUT: [&str; 3] =
    ["mjsunit/broken/hangs.js", "mjsunit/broken/flaky.js", "mjsunit/skipped/endless.js"];

/// Writes it below a folder.
pub(crate) fn write(root: &Path) -> io::Result<()> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v8-mini");
    copy(&sample, root)?;
    for name in LEFT_OUT {
        fs::remove_file(root.join("test").join(name))?;
    }
    let folder = root.join("test/mjsunit/busy");
    fs::create_dir_all(&folder)?;
    let mut random = Random(1);
    for number in 0..BUSY {
        let milliseconds = random.between(10, 130);
        let text = format!("const end = Date.now() + {milliseconds};\nwhile (Date.now() < end) {{}}\n");
        fs::write(folder.join(format!("b{number:03}.js")), text)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}
