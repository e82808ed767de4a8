//! What each machine did in a run, in lines for its end.
//!
//! Pure. Nothing is said about a run that stayed on this machine.

use std::time::Duration;

use crate::schedule::dispatch::{Dispatch, Totals, WorkerReport};
use crate::worker::mesh::Mesh;
use crate::worker::{HERE, Workers};

/// Who takes part now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Field {
    /// Other machines that run tests.
    pub peers: usize,
    /// Slots, with this machine's.
    pub slots: usize,
    /// Bytes of inputs that went to other machines so far.
    pub shipped: u64,
}

/// Who takes part now.
pub fn field(workers: &Workers, dispatch: &Dispatch) -> Field {
    let slots = |worker| {
        let used = dispatch.report(worker).filter(|report| report.present);
        used.map_or(0, |report| usize::try_from(report.slots).unwrap_or(usize::MAX))
    };
    let peers: Vec<usize> =
        workers.mesh().into_iter().flat_map(Mesh::peers).map(|(worker, _)| slots(worker)).collect();
    Field {
        peers: peers.iter().filter(|slots| **slots > 0).count(),
        slots: slots(HERE) + peers.iter().sum::<usize>(),
        shipped: workers.mesh().map_or(0, Mesh::shipped),
    }
}

/// One line a machine, this one first, and what became of tests on machines that were lost.
pub fn summary(workers: &Workers, dispatch: &Dispatch) -> Vec<String> {
    let Some(mesh) = workers.mesh().filter(|mesh| mesh.peers().next().is_some()) else { return Vec::new() };
    let mut rows: Vec<(String, WorkerReport)> = Vec::new();
    rows.extend(dispatch.report(HERE).map(|report| ("this machine".to_owned(), report)));
    for (worker, peer) in mesh.peers() {
        rows.extend(dispatch.report(worker).map(|report| (peer.name.clone(), report)));
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    level(&mut rows);
    let mut lines: Vec<String> = rows.iter().map(|(name, report)| row(name, width, report)).collect();
    lines.extend(transfers(mesh.shipped(), mesh.received()));
    lines.extend(mishaps(&dispatch.totals()));
    lines
}

/// Makes slowness relative to the average of those who ran anything: the dispatcher's is relative to earlier runs.
fn level(rows: &mut [(String, WorkerReport)]) {
    let busy =
        || rows.iter().filter(|(_, report)| report.answered > 0).map(|(_, report)| report.slowness.ln());
    let average = (busy().sum::<f64>() / busy().count().max(1) as f64).exp();
    rows.iter_mut().for_each(|(_, report)| report.slowness /= average);
}

fn row(name: &str, width: usize, report: &WorkerReport) -> String {
    let mut line =
        format!("{name:<width$}  {:>6} tests  {:>8} of work", report.answered, seconds(report.busy));
    if report.answered > 0 {
        line.push_str(&format!("  {:.2} x as long as on average", report.slowness));
    }
    for (count, what) in [
        (report.disagreements, "results contradicted here"),
        (report.infra, "could not run"),
        (report.lost, "lost"),
        (report.late, "late answers"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    if let Some(why) = &report.excluded {
        line.push_str(&format!(", not used any more: {why}"));
    }
    line
}

fn transfers(shipped: u64, received: u64) -> Option<String> {
    (shipped + received > 0)
        .then(|| format!("{} of inputs shipped, {} of results received", bytes(shipped), bytes(received)))
}

fn mishaps(totals: &Totals) -> Option<String> {
    let Totals { extra, lost, suspected, .. } = totals;
    (extra + lost + suspected > 0).then(|| {
        format!(
            "{lost} tests went elsewhere, {extra} ran twice at once, {suspected} were kept here as suspects"
        )
    })
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Bytes as people read them, in powers of 1,000.
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::dispatch::Kind;

    fn quiet() -> WorkerReport {
        WorkerReport {
            kind: Kind::Peer,
            slots: 2,
            present: true,
            holds: 0,
            answered: 12,
            busy: Duration::from_millis(1_540),
            slowness: 1.5,
            infra: 0,
            refused: 3,
            lost: 0,
            late: 0,
            disagreements: 0,
            excluded: None,
        }
    }

    #[test]
    fn a_row_says_what_went_wrong_and_nothing_else() {
        let mut report = quiet();
        let good = "attic      12 tests     1.5 s of work  1.50 x as long as on average";
        assert_eq!(row("attic", 5, &report), good);
        report.lost = 2;
        report.excluded = Some("it lies".to_owned());
        assert_eq!(row("attic", 5, &report), format!("{good}, 2 lost, not used any more: it lies"));
    }

    #[test]
    fn machines_are_compared_with_each_other_not_with_earlier_runs() {
        let report = |answered, slowness| WorkerReport { answered, slowness, ..quiet() };
        let mut rows = [(3, 8.0), (5, 2.0), (0, 1.0)]
            .map(|(answered, slowness)| ("x".to_owned(), report(answered, slowness)));
        level(&mut rows);
        assert_eq!(rows.map(|(_, report)| (report.slowness * 100.0).round()), [200.0, 50.0, 25.0]);
    }

    #[test]
    fn bytes_are_short() {
        assert_eq!([bytes(999), bytes(1_500), bytes(2_000_000)], ["999 B", "1.5 kB", "2.0 MB"]);
    }
}
