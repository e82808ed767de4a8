//! How an output differs from an expectation file, as Python's `difflib` words it: V8 shows that since 11.x.
//!
//! Pure. The algorithm is `difflib`'s own (longest block first, popular lines of long texts left aside), so that the
//! same lines are shown as by V8's runner.

use std::collections::BTreeMap;

/// Lines around a difference that are shown.
const CONTEXT: usize = 3;
/// Lines from which on those that repeat too often are not looked at.
const LONG: usize = 200;
/// Lines of either side beyond which no difference is worked out: the work may grow with their product.
const MOST: usize = 20_000;

/// A stretch of both sides: from and to, first of the expectation and then of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// A unified difference of lines that keep their ends; none if they are equal.
pub(super) fn unified(a: &[&str], b: &[&str], from: &str, to: &str) -> Option<String> {
    if a == b {
        return None;
    }
    if a.len().max(b.len()) > MOST {
        return Some(format!("--- {from}\n+++ {to}\n[too long to compare]\n"));
    }
    let mut text = format!("--- {from}\n+++ {to}\n");
    for group in grouped(&stretches(a, b)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let range = |from, to| range(from, to);
        let (old, new) = (range(first.a.0, last.a.1), range(first.b.0, last.b.1));
        text.push_str(&format!("@@ -{old} +{new} @@\n"));
        for stretch in group {
            if stretch.equal {
                write(&mut text, ' ', &a[stretch.a.0..stretch.a.1]);
            } else {
                write(&mut text, '-', &a[stretch.a.0..stretch.a.1]);
                write(&mut text, '+', &b[stretch.b.0..stretch.b.1]);
            }
        }
    }
    Some(text)
}

fn write(text: &mut String, mark: char, lines: &[&str]) {
    for line in lines {
        text.push(mark);
        text.push_str(line);
    }
}

fn range(from: usize, to: usize) -> String {
    match to - from {
        1 => format!("{}", from + 1),
        0 => format!("{from},0"),
        length => format!("{},{length}", from + 1),
    }
}

/// Where each line of `b` stands, without lines that stand in too many places of a long text.
fn positions<'a>(b: &[&'a str]) -> BTreeMap<&'a str, Vec<usize>> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(index);
    }
    if b.len() >= LONG {
        let most = b.len() / 100 + 1;
        places.retain(|_, indices| indices.len() <= most);
    }
    places
}

/// The longest block that both sides share in a window, the earliest among equals: start in a, start in b, length.
fn longest(
    a: &[&str],
    b: &[&str],
    places: &BTreeMap<&str, Vec<usize>>,
    (a_from, a_to, b_from, b_to): (usize, usize, usize, usize),
) -> (usize, usize, usize) {
    let (mut best_a, mut best_b, mut best) = (a_from, b_from, 0);
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, line) in a.iter().enumerate().take(a_to).skip(a_from) {
        let mut next = BTreeMap::new();
        let found = places.get(line).map_or(&[][..], Vec::as_slice);
        for &j in found.iter().filter(|j| (b_from..b_to).contains(j)) {
            let length = j.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
            next.insert(j, length);
            if length > best {
                (best_a, best_b, best) = (i + 1 - length, j + 1 - length, length);
            }
        }
        lengths = next;
    }
    // Lines that were left aside may continue a block.
    while best_a > a_from && best_b > b_from && a[best_a - 1] == b[best_b - 1] {
        (best_a, best_b, best) = (best_a - 1, best_b - 1, best + 1);
    }
    while best_a + best < a_to && best_b + best < b_to && a[best_a + best] == b[best_b + best] {
        best += 1;
    }
    (best_a, best_b, best)
}

/// All blocks that both sides share, in order, adjacent ones joined.
fn blocks(a: &[&str], b: &[&str]) -> Vec<(usize, usize, usize)> {
    let places = positions(b);
    let mut windows = vec![(0, a.len(), 0, b.len())];
    let mut found = Vec::new();
    while let Some(window @ (a_from, a_to, b_from, b_to)) = windows.pop() {
        let (i, j, length) = longest(a, b, &places, window);
        if length == 0 {
            continue;
        }
        found.push((i, j, length));
        if a_from < i && b_from < j {
            windows.push((a_from, i, b_from, j));
        }
        if i + length < a_to && j + length < b_to {
            windows.push((i + length, a_to, j + length, b_to));
        }
    }
    found.sort_unstable();
    let mut joined: Vec<(usize, usize, usize)> = Vec::new();
    for (i, j, length) in found {
        match joined.last_mut() {
            Some(last) if last.0 + last.2 == i && last.1 + last.2 == j => last.2 += length,
            _ => joined.push((i, j, length)),
        }
    }
    joined
}

/// Both sides as stretches that are equal or differ.
fn stretches(a: &[&str], b: &[&str]) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (at, bt, length) in blocks(a, b).into_iter().chain([(a.len(), b.len(), 0)]) {
        if i < at || j < bt {
            stretches.push(Stretch { equal: false, a: (i, at), b: (j, bt) });
        }
        (i, j) = (at + length, bt + length);
        if length > 0 {
            stretches.push(Stretch { equal: true, a: (at, i), b: (bt, j) });
        }
    }
    stretches
}

/// Stretches in groups with a little context around each.
fn grouped(stretches: &[Stretch]) -> Vec<Vec<Stretch>> {
    let (mut groups, mut group) = (Vec::new(), Vec::new());
    let last = stretches.len().saturating_sub(1);
    for (index, stretch) in stretches.iter().enumerate() {
        let (mut a, mut b) = (stretch.a, stretch.b);
        if stretch.equal && index == 0 {
            (a.0, b.0) = (a.0.max(a.1.saturating_sub(CONTEXT)), b.0.max(b.1.saturating_sub(CONTEXT)));
        }
        if stretch.equal && index == last {
            (a.1, b.1) = (a.1.min(a.0 + CONTEXT), b.1.min(b.0 + CONTEXT));
        }
        if stretch.equal && a.1 - a.0 > 2 * CONTEXT {
            let (a_end, b_end) = (a.1.min(a.0 + CONTEXT), b.1.min(b.0 + CONTEXT));
            group.push(Stretch { equal: true, a: (a.0, a_end), b: (b.0, b_end) });
            groups.push(std::mem::take(&mut group));
            (a.0, b.0) = (a.0.max(a.1 - CONTEXT), b.0.max(b.1 - CONTEXT));
        }
        group.push(Stretch { equal: stretch.equal, a, b });
    }
    groups.push(group);
    groups.retain(|group| group.iter().any(|stretch| !stretch.equal));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn diff(a: &str, b: &str) -> String {
        let lines = |text: &'static str| text.split_inclusive('\n').collect::<Vec<_>>();
        let (a, b) = (a.to_owned().leak(), b.to_owned().leak());
        unified(&lines(a), &lines(b), "a", "b").unwrap_or_default()
    }

    /// What Python's difflib prints for the same lines.
    #[test]
    fn differences_are_worded_as_python_words_them() {
        assert_eq!(diff("x\n", "x\n"), "");
        assert_eq!(diff("", "x\n"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n");
        assert_eq!(diff("one\ntwo\n", "one\n2\n"), "--- a\n+++ b\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
        assert_eq!(diff("a\nb", "a\nc"), "--- a\n+++ b\n@@ -1,2 +1,2 @@\n a\n-b+c");
        let long =
            |middle: &str| format!("1\n2\n3\n4\n5\n6\n7\n{middle}8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n");
        assert_eq!(
            diff(&format!("{}end\n", long("")), &format!("{}fin\n", long("new\n"))),
            "--- a\n+++ b\n@@ -5,6 +5,7 @@\n 5\n 6\n 7\n+new\n 8\n 9\n 10\n@@ -16,4 +17,4 @@\n 16\n 17\n 18\n-end\n+fin\n"
        );
    }

    #[test]
    fn texts_without_end_are_not_compared_for_ever() {
        let many = "x\n".repeat(MOST + 1);
        assert!(diff(&many, "y\n").contains("too long to compare"));
    }

    proptest! {
        /// Applying what the marks say turns one side into the other.
        #[test]
        fn the_marks_lead_from_one_side_to_the_other(a in "[ab\n]{0,40}", b in "[ab\n]{0,40}") {
            let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
            let (a, b) = (lines(&(a + "\n")), lines(&(b + "\n")));
            let (left, right): (Vec<&str>, Vec<&str>) =
                (a.iter().map(String::as_str).collect(), b.iter().map(String::as_str).collect());
            let mut rebuilt = (Vec::new(), Vec::new());
            for stretch in stretches(&left, &right) {
                if stretch.equal {
                    prop_assert_eq!(&left[stretch.a.0..stretch.a.1], &right[stretch.b.0..stretch.b.1]);
                }
                rebuilt.0.extend_from_slice(&left[stretch.a.0..stretch.a.1]);
                rebuilt.1.extend_from_slice(&right[stretch.b.0..stretch.b.1]);
            }
            prop_assert_eq!(rebuilt, (left, right));
        }
    }
}
