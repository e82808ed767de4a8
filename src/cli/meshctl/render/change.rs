//! What a change of trust did, or would do; and a key before it is approved.

use super::table::Table;
use super::words::{claimed, name, plural, rights, safe};
use crate::local::wire::{Consequences, Key, Outcome, Rights, Shift};

/// What happened, who gained and who fell. `what` is the deed, such as `approved`.
pub(crate) fn consequences(what: &str, done: &Consequences) -> String {
    let who = name(&done.who);
    let mut text = match done.outcome {
        Outcome::Done => format!("{what}: {who}\n"),
        Outcome::Unchanged => format!("{who}: nothing to do, it was so already\n"),
        Outcome::DryRun => format!("would be {what}: {who}; nothing was changed\n"),
    };
    let would = if done.outcome == Outcome::DryRun { "would " } else { "" };
    text.push_str(&shifts(&format!("{would}gain trust"), &done.gained));
    text.push_str(&shifts(&format!("{would}lose trust"), &done.lost));
    if done.jobs_stopped > 0 {
        let jobs = plural(usize::try_from(done.jobs_stopped).unwrap_or(usize::MAX), "job", "jobs");
        text.push_str(&format!("  {jobs} of theirs on this machine {would}stop\n"));
    }
    for note in &done.notes {
        text.push_str(&format!("  {}\n", safe(note)));
    }
    text
}

fn shifts(what: &str, shifts: &[Shift]) -> String {
    if shifts.is_empty() {
        return String::new();
    }
    let mut table = Table::plain();
    for shift in shifts {
        let change = format!("{} -> {}", rights(shift.before), rights(shift.after));
        table.row(vec![format!("    {}", name(&shift.who)), change]);
    }
    format!("  {what}:\n{}", table.text())
}

/// A key that is about to be approved, as a person should see it.
pub(crate) fn candidate(claimed_name: &str, key: &Key, words: &[&str], given: Rights, depth: u8) -> String {
    let mut table = Table::plain();
    let name = match claimed_name {
        "" => "none given".to_owned(),
        name => format!("{} (claimed)", claimed(name, key)),
    };
    let reach = match depth {
        0 => "nobody it vouches for".to_owned(),
        1 => "those it vouches for, 1 hop".to_owned(),
        more => format!("those it vouches for, up to {more} hops"),
    };
    let rows = [
        ("name", name),
        ("key", key.to_string()),
        ("words", words.join(" ")),
        ("gets", rights(given).to_owned()),
        ("and", reach),
    ];
    for (what, value) in rows {
        table.row(vec![format!("  {what}"), value]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::wire::sample;

    #[test]
    fn who_falls() {
        let mut fall = sample::fall();
        insta::assert_snapshot!(consequences("revoked", &fall), @r#"
        would be revoked: "bob-lap"; nothing was changed
          would lose trust:
            "bob-lap"     submit, work -> nothing
            "carol-rack"  submit, work -> nothing
          2 jobs of theirs on this machine would stop
        "#);
        fall.outcome = Outcome::Done;
        fall.gained = std::mem::take(&mut fall.lost);
        fall.gained.iter_mut().for_each(|shift| std::mem::swap(&mut shift.before, &mut shift.after));
        fall.notes = vec!["its lease ends soon".to_owned()];
        insta::assert_snapshot!(consequences("approved", &fall), @r#"
        approved: "bob-lap"
          gain trust:
            "bob-lap"     nothing -> submit, work
            "carol-rack"  nothing -> submit, work
          2 jobs of theirs on this machine stop
          its lease ends soon
        "#);
        fall.outcome = Outcome::Unchanged;
        fall.gained.clear();
        fall.notes.clear();
        fall.jobs_stopped = 0;
        insta::assert_snapshot!(consequences("approved", &fall), @r#""bob-lap": nothing to do, it was so already"#);
    }

    #[test]
    fn a_key_before_it_is_approved() {
        let words = ["abandon", "ability"];
        insta::assert_snapshot!(candidate("b\u{1b}b", &sample::KEY, &words, Rights::ALL, 3), @r#"
        name   "b\x1bb" (claimed)
        key    ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq
        words  abandon ability
        gets   submit, work
        and    those it vouches for, up to 3 hops
        "#);
        insta::assert_snapshot!(candidate("", &sample::KEY, &words, Rights { submit: true, work: false }, 0), @"
        name   none given
        key    ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq
        words  abandon ability
        gets   submit only
        and    nobody it vouches for
        ");
    }
}
