//! A small V8 checkout whose tests do nothing, or sleep, and its shell.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;

/// Its shell, which benches/peers uses, too.
const SHELL: &str = include_str!("../common/shell.c");

/// A checkout with a build in `out/x64.release`.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A tree whose tests take so long each.
    pub(crate) fn plant(root: &Path, tests: impl IntoIterator<Item = Duration>) -> Result<Self> {
        let tree = Tree { root: root.to_owned() };
        fs::create_dir_all(root.join("include"))?;
        fs::create_dir_all(root.join("tools"))?;
        fs::create_dir_all(root.join("test/mjsunit"))?;
        fs::create_dir_all(root.join("out/x64.release"))?;
        let version = "#define V8_MAJOR_VERSION 12\n#define V8_MINOR_VERSION 6\n#define V8_BUILD_NUMBER 0\n";
        fs::write(root.join("include/v8-version.h"), version)?;
        fs::write(root.join("tools/run-tests.py"), "# The runner of the tree.\n")?;
        fs::write(root.join("test/mjsunit/mjsunit.js"), "")?;
        fs::write(root.join("test/mjsunit/mjsunit.status"), "[[ALWAYS, {}]]")?;
        for (index, duration) in tests.into_iter().enumerate() {
            let name = match duration.as_millis() {
                0 => format!("t{index:06}.js"),
                millis => format!("t{index:06}-{millis}ms.js"),
            };
            fs::write(root.join("test/mjsunit").join(name), format!("// {index}\n"))?;
        }
        fs::write(
            root.join("out/x64.release/v8_build_config.json"),
            r#"{"current_cpu": "x64", "target_cpu": "x64", "v8_current_cpu": "x64", "v8_target_cpu": "x64", "is_debug": false, "dcheck_always_on": false, "is_component_build": false, "v8_enable_i18n_support": true}"#,
        )?;
        compile(root, &tree.shell())?;
        Ok(tree)
    }

    /// Marks tests SLOW in the status file, as people do with those that take long.
    pub(crate) fn mark_slow(&self, slow: impl Fn(usize) -> bool) -> Result<()> {
        let folder = self.root.join("test/mjsunit");
        let mut lines = String::new();
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let Some(stem) = name.strip_suffix(".js").filter(|stem| stem.starts_with('t')) else { continue };
            let digits: String = stem.chars().skip(1).take_while(char::is_ascii_digit).collect();
            if digits.parse().is_ok_and(&slow) {
                lines.push_str(&format!("  '{stem}': [PASS, SLOW],\n"));
            }
        }
        Ok(fs::write(folder.join("mjsunit.status"), format!("[[ALWAYS, {{\n{lines}}}]]\n"))?)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn shell(&self) -> PathBuf {
        self.root.join("out/x64.release/d8")
    }

    /// Makes the shell so large, with bytes that neither repeat nor compress. The system runs it as before.
    pub(crate) fn inflate(&self, bytes: usize) -> Result<()> {
        let mut shell = fs::read(self.shell())?;
        let more = bytes.saturating_sub(shell.len());
        shell.extend(noise(more, 1));
        write_program(&self.shell(), &shell)
    }

    /// As a linker does after an edit: forty places where something was added, taken away or changed.
    pub(crate) fn relink(&self, keep: usize) -> Result<()> {
        let mut shell = fs::read(self.shell())?;
        let length = shell.len();
        for place in 1..40 {
            let at = keep + place * (length - keep) / 41;
            let (taken, added) = (place * 7 % 300, place * 13 % 400);
            shell.splice(at..at + taken, noise(added, place as u64 + 100));
        }
        write_program(&self.shell(), &shell)
    }
}

/// Written beside and moved, since the one there may be running.
fn write_program(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(0o755))?;
    drop(file);
    fs::rename(new, path)?;
    Ok(())
}

fn compile(folder: &Path, to: &Path) -> Result<()> {
    let source = folder.join("shell.c");
    fs::write(&source, SHELL)?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    // Static, as the floor of the other benchmarks; shared where the system has no static library.
    for link in [&["-static"][..], &[]] {
        let compiled =
            Command::new(&compiler).args(["-O2", "-w"]).args(link).arg("-o").arg(to).arg(&source).output()?;
        if compiled.status.success() {
            return Ok(());
        }
    }
    Err(format!("{compiler} cannot compile the shell\nhint: a C compiler is needed; $CC names another")
        .into())
}

/// Bytes that neither repeat nor compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}
