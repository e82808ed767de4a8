//! How long a run may take.
//!
//! Pure. What is ideal follows from a run where nothing went wrong and from what was there while things went wrong; what
//! is allowed beyond it is a number of seconds a loss. A run that hangs is longer.

/// Seconds allowed for each time that tests are lost.
const LOSS_COSTS: f64 = 3.0;

/// Seconds by which two calm runs differ: far below what any hang costs.
const JITTER: f64 = 0.5;

/// However busy this machine is, what is ideal counts at most so many times: a run that hangs must not hide there.
const NOISE_MAX: f64 = 2.0;

/// A time in which a machine did only a part of what it could.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    /// Which.
    pub(crate) machine: usize,
    /// Its first second of the run.
    pub(crate) from: f64,
    /// Its last.
    pub(crate) until: f64,
    /// The part.
    pub(crate) capacity: f64,
}

/// What a run is measured against, all in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// What the work takes on what was there.
    pub(crate) ideal: f64,
    /// How much longer the same tests took than in a calm run, since somebody else keeps this machine busy.
    pub(crate) noise: f64,
    /// How often tests were lost.
    pub(crate) losses: usize,
}

impl Allowance {
    /// No run takes longer.
    pub(crate) fn seconds(&self) -> f64 {
        self.ideal * self.noise.clamp(1.0, NOISE_MAX) + LOSS_COSTS * self.losses as f64 + JITTER
    }

    /// How it comes about.
    pub(crate) fn words(&self) -> String {
        let noise = self.noise.clamp(1.0, NOISE_MAX);
        format!(
            "{:.1} = ideal {:.1} x noise {noise:.2} + {LOSS_COSTS:.0} x {} losses + {JITTER}",
            self.seconds(),
            self.ideal,
            self.losses
        )
    }
}

/// Where nothing goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calm {
    /// Seconds of a run.
    pub(crate) took: f64,
    /// Seconds of work in it.
    pub(crate) work: f64,
    /// Machines that shared it.
    pub(crate) machines: usize,
}

/// Seconds for the same work when only `there` take part and some of them are out at times; and for what is beside the
/// work as long as in a calm run. All machines are equal; a machine with several troubles has the worst of them.
pub(crate) fn ideal(calm: Calm, there: &[usize], outages: &[Outage]) -> f64 {
    let beside = (calm.took - calm.work / calm.machines as f64).max(0.0);
    let mut work = calm.work;
    let mut times: Vec<f64> = outages.iter().flat_map(|outage| [outage.from, outage.until]).collect();
    times.sort_by(f64::total_cmp);
    let mut now = 0.0;
    for until in times.into_iter().filter(|time| time.is_finite() && *time > 0.0) {
        let done = (until - now) * capacity(now, there, outages);
        if done >= work {
            break;
        }
        work -= done;
        now = until;
    }
    beside + now + work / capacity(now, there, outages)
}

/// How much longer tests took than in a calm run. Each is a loop up to a time, so the rest is what others use of this
/// machine; but a machine that was out may have held up the one test it ran for as long as that. What a run does beside
/// its tests, such as to wait for somebody who does not answer, is not in it.
pub(crate) fn noise(calm: Calm, work: f64, outages: &[Outage]) -> f64 {
    let held_up: f64 =
        outages.iter().map(|outage| outage.until - outage.from).filter(|time| time.is_finite()).sum();
    (work - held_up) / calm.work
}

/// Machines that work at a time, and parts of machines.
fn capacity(now: f64, there: &[usize], outages: &[Outage]) -> f64 {
    let of = |machine: &usize| {
        let now = outages
            .iter()
            .filter(|outage| outage.machine == *machine && (outage.from..outage.until).contains(&now));
        now.map(|outage| outage.capacity).fold(1.0, f64::min)
    };
    there.iter().map(of).sum()
}

/// The middle one; of an even number the greater of the two in the middle.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(machine: usize, from: f64, until: f64, capacity: f64) -> Outage {
        Outage { machine, from, until, capacity }
    }

    /// Four machines that share sixteen seconds of work, and one second beside it.
    const CALM: Calm = Calm { took: 5.0, work: 16.0, machines: 4 };

    #[test]
    fn nothing_lost_is_a_calm_run() {
        assert_eq!(ideal(CALM, &[0, 1, 2, 3], &[]), 5.0);
        assert_eq!(ideal(Calm { work: 12.0, took: 4.0, ..CALM }, &[1, 2, 3], &[]), 5.0, "without the client");
    }

    #[test]
    fn what_is_out_is_done_by_the_others() {
        let all = [0, 1, 2, 3];
        assert_eq!(ideal(CALM, &all, &[out(1, 0.0, 2.0, 0.0)]), 5.5);
        assert_eq!(ideal(CALM, &all, &[out(1, 0.0, 2.0, 0.5)]), 5.25);
        assert_eq!(ideal(CALM, &all, &[out(1, 1.0, f64::INFINITY, 0.0)]), 6.0);
        assert_eq!(ideal(CALM, &all, &[out(1, 5.0, 9.0, 0.0)]), 5.0, "after the end");
        let twice = [out(1, 0.0, 2.0, 0.5), out(1, 0.0, 2.0, 0.0)];
        assert_eq!(ideal(CALM, &all, &twice), 5.5, "the worst counts");
    }

    #[test]
    fn nobody_there_for_a_while_is_waited_for() {
        let calm = Calm { took: 3.0, work: 3.0, machines: 1 };
        assert_eq!(ideal(calm, &[1], &[out(1, 1.0, 5.0, 0.0)]), 7.0);
    }

    #[test]
    fn a_test_held_up_is_no_noise() {
        assert_eq!(noise(CALM, 24.0, &[]), 1.5);
        assert_eq!(noise(CALM, 24.0, &[out(1, 1.0, 5.0, 0.0), out(2, 1.0, f64::INFINITY, 0.0)]), 1.25);
    }

    #[test]
    fn a_hang_is_never_allowed_for() {
        let allowed = |noise| Allowance { ideal: 4.0, noise, losses: 1 }.seconds();
        assert_eq!((allowed(0.5), allowed(1.5), allowed(9.0)), (7.5, 9.5, 11.5));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }
}
