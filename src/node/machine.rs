//! What this machine is: what it says of itself to others, and how fast it is.
//!
//! Read once when a node starts. Never decides anything: platforms are matched and speeds compared by the submitter.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testmesh_behaviours::status::hello::Platform;

/// What [`work`] takes on the reference machine of [`speed`], a desktop core of 2022.
const REFERENCE: Duration = Duration::from_micros(2_600);
/// The shortest of so many counts: whatever else runs only makes it longer.
const TRIES: usize = 7;
/// Numbers that are sorted: they fit into the caches nearest to the core.
const NUMBERS: usize = 1 << 16;

/// Operating system, processor and C library.
pub fn platform() -> Platform {
    Platform {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        libc: libc_version().unwrap_or_else(|| libc_name().to_owned()),
        features: std::fs::read_to_string("/proc/cpuinfo").map(|text| features(&text)).unwrap_or_default(),
    }
}

/// How fast one core is, in thousandths of the reference machine. Takes some 20 ms.
pub fn speed() -> u32 {
    let best = (0..TRIES).map(|_| time(work)).min().unwrap_or(REFERENCE);
    let thousandths = REFERENCE.as_nanos() * 1000 / best.as_nanos().max(1);
    u32::try_from(thousandths).unwrap_or(u32::MAX).max(1)
}

fn time(act: impl FnOnce() -> u64) -> Duration {
    let begun = Instant::now();
    black_box(act());
    begun.elapsed()
}

/// Branches that are hard to predict and memory that is near, as in an interpreter; nothing a vector unit could do.
fn work() -> u64 {
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    let mut numbers: Vec<u64> = std::iter::successors(Some(1), next).take(NUMBERS).collect();
    numbers.sort_unstable_by_key(|number| number.rotate_left(29));
    numbers[NUMBERS / 2]
}

/// One number for the processor's features, whatever their order.
fn features(cpuinfo: &str) -> u64 {
    let is_features = |name: &str| matches!(name, "flags" | "Features" | "isa");
    let lists = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let list = lists.filter(|(name, _)| is_features(name.trim())).map(|(_, list)| list).next();
    let Some(list) = list else { return 0 };
    let mut names: Vec<&str> = list.split_whitespace().collect();
    names.sort_unstable();
    let hash = blake3::hash(names.join(" ").as_bytes());
    hash.as_bytes()[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn libc_name() -> &'static str {
    if cfg!(target_env = "musl") { "musl" } else { "glibc" }
}

/// As the system's own tool says it: `glibc 2.36`.
fn libc_version() -> Option<String> {
    if !cfg!(target_env = "gnu") {
        return None;
    }
    let mut command = Command::new("getconf");
    let output = command.arg("GNU_LIBC_VERSION").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let known = output.status.success() && text.starts_with("glibc ") && text.len() < 40;
    known.then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_one_number_in_any_order() {
        let of = |list: &str| features(&format!("processor\t: 0\nflags\t\t: {list}\nbugs\t: x\n"));
        assert_eq!(of("sse2 avx2"), of("avx2  sse2"));
        assert_ne!(of("sse2 avx2"), of("sse2"));
        assert_eq!(features("processor: 0\n"), 0);
    }

    #[test]
    fn a_speed_is_a_number_above_nothing() {
        assert!(speed() > 0);
        assert_eq!(work(), work(), "the same work each time");
    }
}
