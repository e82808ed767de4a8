//! What a run said of each case, and whether that is what it must be.
//!
//! Pure: text in, complaints out.

use std::collections::BTreeMap;

use serde_json::Value;

/// Between a name with its variant and the outcome, in the words of `-p verbose`.
const SEPARATOR: &str = " default: ";

/// Most complaints of one kind that are told in full.
const TOLD: usize = 5;

/// A case as far as it can be told from others: its name, its arguments, how it ended and with what code.
type Unexpected = (String, String, String, i64);

/// What came out of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdicts {
    /// How often each case was told to have ended how. Several cases may share a name.
    told: BTreeMap<String, BTreeMap<String, usize>>,
    /// The failed ones as the JSON results have them.
    unexpected: BTreeMap<Unexpected, usize>,
    /// Runs that the JSON results count.
    total: u64,
    /// The exit code.
    code: Option<i32>,
    /// Seconds of work in all runs.
    pub(crate) work: f64,
    /// Tests that each machine answered.
    pub(crate) shares: BTreeMap<String, usize>,
}

/// How many tests each machine answered, from the summary of a run.
pub(crate) fn shares(output: &str) -> BTreeMap<String, usize> {
    output.lines().filter_map(share).map(|(name, count)| (name.to_owned(), count)).collect()
}

/// What a machine did, in a line of the summary.
fn share(line: &str) -> Option<(&str, usize)> {
    let (row, _) = line.split_once(" of work")?;
    let (row, _) = row.split_once(" tests ")?;
    let (name, count) = row.trim_end().rsplit_once(' ')?;
    Some((name.trim(), count.parse().ok()?))
}

/// The name of the case that a line of output tells the end of.
pub(crate) fn case(line: &str) -> Option<(&str, &str)> {
    let (name, outcome) = line.split_once(SEPARATOR)?;
    let is_name = name.contains('/') && !name.contains(' ');
    (is_name && !outcome.contains(' ')).then_some((name, outcome))
}

impl Verdicts {
    /// From what the program printed, its JSON results and its exit code.
    ///
    /// # Errors
    /// When the results are not what the runner writes.
    pub(crate) fn of(output: &str, json: &str, code: Option<i32>) -> Result<Self, String> {
        let mut verdicts = Self { code, ..Self::default() };
        for (name, outcome) in output.lines().filter_map(case) {
            let outcomes = verdicts.told.entry(name.to_owned()).or_default();
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        verdicts.shares = shares(output);
        let json: Value = serde_json::from_str(json).map_err(|error| format!("JSON results: {error}"))?;
        verdicts.total = json["test_total"].as_u64().ok_or("JSON results without a count")?;
        verdicts.work = json["duration_mean"].as_f64().unwrap_or(0.0) * verdicts.total as f64;
        for result in json["results"].as_array().ok_or("JSON results without results")? {
            let text = |field: &str| result[field].as_str().unwrap_or_default().to_owned();
            let flags = result["flags"].as_array().map_or(Vec::new(), |flags| {
                flags.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            });
            let code = result["exit_code"].as_i64().unwrap_or_default();
            *verdicts.unexpected.entry((text("name"), flags.join(" "), text("result"), code)).or_default() +=
                1;
        }
        Ok(verdicts)
    }

    /// Cases told.
    pub(crate) fn cases(&self) -> usize {
        self.told.values().flat_map(BTreeMap::values).sum()
    }

    /// What is wrong with a run that was interrupted: what was told must be as on one machine, in the report as well.
    pub(crate) fn complaints_of_part(&self, local: &Verdicts) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, found) in &self.told {
            let wanted = local.told.get(name);
            let more = |(outcome, count): (&String, &usize)| {
                wanted.and_then(|wanted| wanted.get(outcome)).is_none_or(|most| count > most)
            };
            if found.iter().any(more) {
                complaints.push(format!("{name} ended with {found:?}, alone with {wanted:?}"));
            }
        }
        let known = |result: &Unexpected| local.unexpected.contains_key(result);
        let strange = self.unexpected.keys().filter(|result| !known(result));
        complaints
            .extend(strange.map(|(name, _, result, code)| format!("reported: {name} {result}, code {code}")));
        let told = self.told.values().flat_map(BTreeMap::values).sum::<usize>();
        if self.total < told as u64 {
            complaints.push(format!("the results count {} runs, {told} were told", self.total));
        }
        if told == 0 || told >= local.cases() {
            complaints
                .push(format!("{told} of {} cases were told of a run that was interrupted", local.cases()));
        }
        if self.code == Some(0) || self.code == local.code {
            complaints.push(format!("exit code {:?} of a run that was interrupted", self.code));
        }
        complaints
    }

    /// What differs from the run on one machine; nothing where every case got exactly its one verdict.
    pub(crate) fn complaints(&self, local: &Verdicts) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, wanted) in &local.told {
            let Some(found) = self.told.get(name) else {
                complaints.push(format!("{name} was never told"));
                continue;
            };
            let (times, must) = (found.values().sum::<usize>(), wanted.values().sum::<usize>());
            if times != must {
                complaints.push(format!("{name} was told {times} times instead of {must}"));
            } else if found != wanted {
                complaints.push(format!("{name} ended with {found:?}, alone with {wanted:?}"));
            }
        }
        let strangers = self.told.keys().filter(|name| !local.told.contains_key(*name));
        complaints.extend(strangers.map(|name| format!("nobody asked for {name}")));
        let differing = |one: &Self, other: &Self, words: &str| -> Vec<String> {
            let differ = one
                .unexpected
                .iter()
                .filter(|(result, count)| other.unexpected.get(*result).unwrap_or(&0) < count);
            differ
                .map(|((name, flags, result, code), count)| {
                    format!("{words} {count} x {name} {result} with code {code} ({flags})")
                })
                .collect()
        };
        complaints.extend(differing(self, local, "only on the mesh:"));
        complaints.extend(differing(local, self, "only alone:"));
        if self.total != local.total {
            complaints.push(format!("the results count {} runs, alone {}", self.total, local.total));
        }
        if self.code != local.code {
            complaints.push(format!("exit code {:?}, alone {:?}", self.code, local.code));
        }
        let more = complaints.len().saturating_sub(TOLD);
        complaints.truncate(TOLD);
        if more > 0 {
            complaints.push(format!("and {more} complaints more"));
        }
        complaints
    }
}

/// What is wrong with the processes of a container when nothing runs: lines of `STAT ARGUMENTS` as `ps` prints them, with
/// or without a head.
pub(crate) fn left_over(processes: &str) -> Vec<String> {
    let lines = processes.lines().map(str::trim);
    let is_left = |line: &&str| {
        // What sees to it that a run ends is no part of it.
        let test = line.contains("--embedded-shell") || line.contains("run-tests");
        let test = test && !line.contains("timeout ");
        let zombie = line.starts_with('Z') || line.ends_with("<defunct>");
        test || zombie
    };
    lines.filter(is_left).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
>>> Running tests for x64.release
mjsunit/a default: PASS
test262/b default: PASS
test262/b default: FAIL
n2 was lost; its tests run elsewhere
";

    fn json(more: &str) -> String {
        format!(
            r#"{{"test_total": 3, "duration_mean": 0.5, "results": [{{"name": "test262/b", "flags": ["x"], "result": "FAIL", "exit_code": 1}}{more}]}}"#
        )
    }

    fn check(output: &str, json: &str, code: Option<i32>) -> Vec<String> {
        let local = Verdicts::of(OUTPUT, &self::json(""), Some(1)).unwrap();
        Verdicts::of(output, json, code).unwrap().complaints(&local)
    }

    #[test]
    fn the_same_verdicts_in_another_order_are_right() {
        let mut lines: Vec<&str> = OUTPUT.lines().collect();
        lines.reverse();
        assert_eq!(check(&lines.join("\n"), &json(""), Some(1)), Vec::<String>::new());
        let verdicts = Verdicts::of(OUTPUT, &json(""), Some(1)).unwrap();
        assert_eq!((verdicts.cases(), verdicts.work), (3, 1.5));
    }

    #[test]
    fn a_verdict_too_many_or_too_few_is_told() {
        let twice = format!("{OUTPUT}mjsunit/a default: PASS\n");
        assert_eq!(check(&twice, &json(""), Some(1)), ["mjsunit/a was told 2 times instead of 1"]);
        let once = OUTPUT.replace("mjsunit/a default: PASS\n", "");
        assert_eq!(check(&once, &json(""), Some(1)), ["mjsunit/a was never told"]);
        let stranger = format!("{OUTPUT}mjsunit/c default: PASS\n");
        assert_eq!(check(&stranger, &json(""), Some(1)), ["nobody asked for mjsunit/c"]);
    }

    #[test]
    fn another_verdict_code_or_count_is_told() {
        let other = OUTPUT.replace("b default: FAIL", "b default: CRASH");
        assert_eq!(
            check(&other, &json(""), Some(1)),
            [r#"test262/b ended with {"CRASH": 1, "PASS": 1}, alone with {"FAIL": 1, "PASS": 1}"#]
        );
        let more = r#", {"name": "mjsunit/a", "flags": [], "result": "CRASH", "exit_code": -6}"#;
        assert_eq!(
            check(OUTPUT, &json(more), Some(1)),
            ["only on the mesh: 1 x mjsunit/a CRASH with code -6 ()"]
        );
        assert_eq!(check(OUTPUT, &json(""), None), ["exit code None, alone Some(1)"]);
    }

    #[test]
    fn a_part_is_right_as_far_as_it_goes() {
        let local = Verdicts::of(OUTPUT, &json(""), Some(1)).unwrap();
        let part = |output: &str, count: usize, code: i32| {
            let json = format!(r#"{{"test_total": {count}, "results": []}}"#);
            Verdicts::of(output, &json, Some(code)).unwrap().complaints_of_part(&local)
        };
        let told = "mjsunit/a default: PASS\n";
        assert_eq!(part(told, 1, 3), Vec::<String>::new());
        assert_eq!(part(told, 0, 3), ["the results count 0 runs, 1 were told"]);
        assert_eq!(part(told, 1, 0).len(), 1);
        assert_eq!(part("mjsunit/a default: FAIL\n", 1, 3).len(), 1);
        assert_eq!(part("", 0, 3).len(), 1);
    }

    #[test]
    fn shares_are_read_from_the_summary() {
        let row = "n1             24 tests     0.5 s of work  1.61 x as long as on average, 2 lost";
        assert_eq!(share(row), Some(("n1", 24)));
        assert_eq!(share("this machine       0 tests     0.0 s of work"), Some(("this machine", 0)));
        assert_eq!(share("3 tests went elsewhere, 0 ran twice at once"), None);
    }

    #[test]
    fn only_tests_and_zombies_are_left_over() {
        let clean = "STAT COMMAND\nSs /sbin/docker-init -- sh\nSl meshd\nSNs /proc/self/exe --slot\n";
        assert!(left_over(clean).is_empty());
        let left = format!("{clean}R /usr/local/bin/meshd --embedded-shell a.js\nZ [meshd] <defunct>\n");
        assert_eq!(left_over(&left).len(), 2);
    }
}
