//! Dated rules: in force on a day, as known on a day.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use chudong::calendar::{AsOf, Day, from_days, to_days};
use chudong::language::Text;
use chudong::pipeline::law::{Ended, Law, Rule, Suspension, Version, VersionId};
use chudong::sql::Engine;
use chudong::sql::engine::given_tables;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use crate::support::world::World;

/// The first day of the little world of the property; it has [`DAYS`] days.
const FIRST: Date = date(2026, 1, 1);
const DAYS: usize = 40;

fn day(number: usize) -> Date {
    from_days(to_days(FIRST) + i32::try_from(number).unwrap()).unwrap()
}

fn text() -> Text {
    Text { vi: "Điều 1".into(), en: "Art. 1".into() }
}

/// A version by numbers of days.
#[derive(Debug, Clone)]
struct Written {
    enacted: usize,
    from: usize,
    to: Option<usize>,
    suspended: Vec<(usize, usize, Option<usize>)>,
    ended: Option<(usize, usize)>,
    /// What it is to each of those written before it: the first one of the list is the first one written.
    over: Vec<Over>,
}

/// What a version is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Nothing,
    Replaces,
    Suspends,
}

impl Written {
    fn id(&self) -> VersionId {
        VersionId { in_force_from: day(self.from), enacted_on: day(self.enacted) }
    }

    fn version(&self, value: i64, all: &[Written]) -> Version {
        let over = |wanted: Over| {
            let pairs = all.iter().zip(&self.over).filter(|(_, over)| **over == wanted);
            pairs.map(|(other, _)| other.id()).collect()
        };
        let suspended = self.suspended.iter().map(|(decided, from, to)| Suspension {
            decided_on: day(*decided),
            from: day(*from),
            to: to.map(day),
            reference: text(),
        });
        Version {
            enacted_on: day(self.enacted),
            in_force_from: day(self.from),
            in_force_to: self.to.map(day),
            replaces: over(Over::Replaces),
            suspends: over(Over::Suspends),
            reference: text(),
            confidence: "A".into(),
            source: None,
            values: vec![(None, value)],
            suspended: suspended.collect(),
            ended: self.ended.map(|(decided, on)| Ended { decided_on: day(decided), on: day(on), reference: None }),
        }
    }

    /// A calendar with a stroke on each day on which it holds, as somebody would draw it who knows what is known on
    /// a day: the term is filled in, then what others decided is rubbed out.
    fn drawn(&self, known: usize) -> [bool; DAYS] {
        let mut calendar = [false; DAYS];
        if known < self.enacted {
            return calendar;
        }
        calendar.iter_mut().enumerate().for_each(|(day, cell)| *cell = day >= self.from);
        if let Some(to) = self.to {
            calendar.iter_mut().skip(to + 1).for_each(|cell| *cell = false);
        }
        for (decided, from, to) in &self.suspended {
            let end = to.map_or(DAYS, |to| (to + 1).min(DAYS));
            if *decided <= known {
                calendar[(*from).min(end)..end].fill(false);
            }
        }
        if let Some((decided, on)) = self.ended
            && decided <= known
        {
            calendar[on.min(DAYS)..].fill(false);
        }
        calendar
    }
}

/// Versions enacted on different days, in any order.
fn written() -> impl Strategy<Value = Vec<Written>> {
    let span = || (0..DAYS, proptest::option::of(0..DAYS / 2));
    let suspension =
        (0..DAYS, span()).prop_map(|(decided, (from, more))| (decided, from, more.map(|more| from + more)));
    let ended = proptest::option::of((0..DAYS, 0..DAYS));
    let over = prop_oneof![Just(Over::Nothing), Just(Over::Replaces), Just(Over::Suspends)];
    let over = proptest::collection::vec(over, 4);
    let one = (span(), proptest::collection::vec(suspension, 0..3), ended, over);
    let enacted = proptest::sample::subsequence((0..DAYS).collect::<Vec<_>>(), 1..5).prop_shuffle();
    (enacted, proptest::collection::vec(one, 4)).prop_map(|(enacted, parts)| {
        let parts = enacted.into_iter().zip(parts).enumerate();
        let version = |(number, (enacted, ((from, more), suspended, ended, mut over)))| {
            let (more, over): (Option<usize>, Vec<Over>) = (more, {
                Vec::truncate(&mut over, number);
                over
            });
            Written { enacted, from, to: more.map(|more| from + more), suspended, ended, over }
        };
        parts.map(version).collect()
    })
}

/// The calendars of all versions, each as it is drawn when what the others do to it is rubbed out: from the first
/// stroke of one that replaces it, and under the strokes of one that suspends it.
fn drawn(written: &[Written], known: usize) -> Vec<[bool; DAYS]> {
    let own: Vec<[bool; DAYS]> = written.iter().map(|written| written.drawn(known)).collect();
    let mut calendars = own.clone();
    for (version, strokes) in written.iter().zip(&own) {
        for (calendar, over) in calendars.iter_mut().zip(&version.over) {
            let first = strokes.iter().position(|stroke| *stroke).unwrap_or(DAYS);
            for (number, cell) in calendar.iter_mut().enumerate() {
                *cell &= match over {
                    Over::Nothing => true,
                    Over::Replaces => number < first,
                    Over::Suspends => !strokes[number],
                };
            }
        }
    }
    calendars
}

fn rule(written: &[Written]) -> Rule {
    let mut versions: Vec<Version> = written.iter().zip(0..).map(|(one, value)| one.version(value, written)).collect();
    versions.sort_by_key(|version| (version.in_force_from, version.enacted_on));
    Rule { name: "term".into(), title: text(), unit: "days".into(), versions }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_rule_holds_as_it_is_drawn_in_a_calendar(written in written(), known in 0..DAYS) {
        let rule = rule(&written);
        let calendars = drawn(&written, known);
        // Of the versions that hold on a day, which are two where none says anything of the other, the one enacted last:
        // by its number, which is its value.
        let mut newest: [Option<usize>; DAYS] = [None; DAYS];
        let mut in_order: Vec<usize> = (0..written.len()).collect();
        in_order.sort_by_key(|index| written[*index].enacted);
        for index in in_order {
            for (cell, holds) in newest.iter_mut().zip(calendars[index]) {
                if holds {
                    *cell = Some(index);
                }
            }
        }
        let value = |version: &Version| usize::try_from(version.values[0].1).unwrap();
        for (number, expected) in newest.iter().enumerate() {
            let found = rule.in_force(Day::known(day(number), day(known))).map(value);
            prop_assert_eq!(found, *expected, "on day {}", number);
        }
        // The terms are the same calendar, in stretches that follow each other and are as long as can be.
        let terms = rule.terms(day(known));
        let mut from_terms: [Option<usize>; DAYS] = [None; DAYS];
        for term in &terms {
            prop_assert!(term.from <= term.to);
            for (number, cell) in from_terms.iter_mut().enumerate() {
                if (term.from..=term.to).contains(&day(number)) {
                    prop_assert_eq!(*cell, None, "two terms on day {}", number);
                    *cell = Some(value(term.version));
                }
            }
        }
        prop_assert_eq!(from_terms, newest);
        for pair in terms.windows(2) {
            prop_assert!(pair[0].to < pair[1].from);
            let touch = pair[0].to.tomorrow().unwrap() == pair[1].from;
            prop_assert!(!touch || value(pair[0].version) != value(pair[1].version), "one term was cut in two");
        }
        // Each version is found again by its name, and no two have the same.
        let law = Law { rules: vec![rule.clone()] };
        let names: BTreeMap<String, usize> =
            rule.versions.iter().map(|version| (rule.version_name(version), value(version))).collect();
        prop_assert_eq!(names.len(), rule.versions.len());
        for (name, expected) in names {
            prop_assert_eq!(law.version(&name).map(|(_, version)| value(version)), Some(expected));
        }
        // What is learned later changes nothing of what was known: a version enacted afterwards is not there.
        let mut earlier = rule.clone();
        earlier.versions.retain(|version| version.enacted_on <= day(known));
        for number in 0..DAYS {
            let replayed = earlier.in_force(Day::known(day(number), day(known))).map(|version| version.enacted_on);
            let found = rule.in_force(Day::known(day(number), day(known))).map(|version| version.enacted_on);
            prop_assert_eq!(replayed, found);
        }
    }
}

const LAW: &str = "pipelines/law/temporary_residence_extension.toml";

/// A decree that was suspended after its signature and repealed by a later one, which also has effect on the past.
const STORY: &str = r#"
title = { vi = "Thời hạn", en = "Time" }
unit = "days"

[[version]]
enacted_on = 2020-11-13
in_force_from = 2021-07-01
reference = { vi = "Luật 1, Điều 1", en = "Law 1, Art. 1" }
confidence = "A"
value = 15

[[version]]
enacted_on = 2026-01-26
in_force_from = 2026-01-26
suspends = ["2021-07-01"]
reference = { vi = "Nghị định 46/2026, Điều 13", en = "Decree 46/2026, Art. 13" }
confidence = "B"
source = "https://example.org/46"
value = 30

[[version.suspended]]
decided_on = 2026-02-04
from = 2026-02-04
to = 2026-04-15
reference = { vi = "Nghị quyết 9/2026", en = "Resolution 9/2026" }

[version.ended]
decided_on = 2026-06-15
on = 2026-07-01

[[version]]
enacted_on = 2026-06-15
in_force_from = 2026-01-26
in_force_to = 2026-01-31
suspends = ["2026-01-26", "2021-07-01"]
reference = { vi = "Nghị định 99/2026, Điều 2", en = "Decree 99/2026, Art. 2" }
confidence = "B"
value = 20
"#;

async fn rows(as_of: Date, known_on: Date, select: &str) -> Vec<String> {
    let world = World::of("binh-minh");
    world.put(LAW, STORY.as_bytes());
    let checked = chudong::check::check(&world.root(), "binh-minh").await.unwrap();
    let engine = Engine::new().unwrap();
    for (name, table) in given_tables(&checked.pipeline, Day::known(as_of, known_on)) {
        engine.register(&name, &table).unwrap();
    }
    let table = engine.query(select, None).await.unwrap();
    let columns: Vec<Vec<Option<String>>> =
        table.schema.fields().iter().map(|field| table.texts(field.name()).unwrap()).collect();
    (0..table.rows())
        .map(|row| columns.iter().map(|column| column[row].clone().unwrap_or("-".into())).collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_is_two_tables_of_what_was_known() {
    let tonight = "select key, value, unit, rule_version from law.temporary_residence_extension";
    let ever = "select value, rule_version, in_force_from, in_force_to from law_versions.temporary_residence_extension order by in_force_from";
    let first = "- 15 days temporary_residence_extension@2021-07-01";
    let decree = "- 30 days temporary_residence_extension@2026-01-26";
    let on = |day: Date| rows(day, day, tonight);
    assert_eq!(on(date(2026, 1, 30)).await, [decree]);
    // Suspended: the law before it holds again, since the decree only stood over it.
    assert_eq!(on(date(2026, 2, 4)).await, [first]);
    assert_eq!(on(date(2026, 4, 16)).await, [decree]);
    assert_eq!(on(date(2026, 7, 1)).await, [first]);
    assert!(on(date(2021, 6, 30)).await.is_empty());
    // On the third of February nobody knew of the suspension of the day after; in June, of the effect on the past.
    assert_eq!(rows(date(2026, 3, 1), date(2026, 2, 3), tonight).await, [decree]);
    let retroactive = "- 20 days temporary_residence_extension@2026-01-26/2026-06-15";
    assert_eq!(rows(date(2026, 1, 30), date(2026, 6, 15), tonight).await, [retroactive]);

    let name = "temporary_residence_extension@";
    assert_eq!(
        rows(date(2026, 1, 30), date(2026, 2, 3), ever).await,
        [format!("15 {name}2021-07-01 2021-07-01 2026-01-25"), format!("30 {name}2026-01-26 2026-01-26 9999-12-31"),]
    );
    assert_eq!(
        rows(date(2026, 1, 30), date(2026, 11, 21), ever).await,
        [
            format!("15 {name}2021-07-01 2021-07-01 2026-01-25"),
            format!("20 {name}2026-01-26/2026-06-15 2026-01-26 2026-01-31"),
            format!("30 {name}2026-01-26 2026-02-01 2026-02-03"),
            format!("15 {name}2021-07-01 2026-02-04 2026-04-15"),
            format!("30 {name}2026-01-26 2026-04-16 2026-06-30"),
            format!("15 {name}2021-07-01 2026-07-01 9999-12-31"),
        ]
    );
}

#[test]
fn a_replay_knows_what_was_known_then_and_says_which_rule_it_used() {
    let world = World::of("binh-minh");
    world.put(LAW, STORY.as_bytes());
    world.edit("pipelines/binh-minh/pipeline.toml", "from = 2026-09-01", "from = 2021-01-01");
    // In December 2020 the law was adopted and nothing of it in force.
    let refused = world.chudong(&["plan", "--as-of", "2021-06-30"]).with(1);
    assert!(refused.out.contains("error[pipeline.rule-not-in-force]"), "{}", refused.out);
    // Before it was adopted nobody knew it, whichever night is asked for.
    let unknown = world.chudong(&["plan", "--as-of", "2026-11-21", "--known-on", "2020-11-12"]).with(1);
    assert!(unknown.out.contains("on the day of the night, as known on 2020-11-12"), "{}", unknown.out);
    world.edit("sql/obligations/driving_licence.sql", "law.driving_licence_term", "law_versions.driving_licence_term");
    world.chudong(&["check"]).with(0);
    world.chudong(&["plan", "--as-of", "2026-11-21", "--known-on", "2026-06-14"]).with(0);
}

#[test]
fn an_item_that_asks_for_all_versions_is_refused_for_none() {
    let world = World::of("binh-minh");
    let over = STORY.replacen("confidence = \"A\"", "in_force_to = 2026-06-30\nconfidence = \"A\"", 1);
    world.put(LAW, over.as_bytes());
    let refused = world.chudong(&["plan", "--as-of", "2026-11-21"]).with(1);
    assert!(
        refused.out.contains("no version of the rule temporary_residence_extension is in force"),
        "{}",
        refused.out
    );
    // Read by the day of the event, the rule need not be in force tonight.
    let sql = "sql/obligations/temporary_residence.sql";
    world.edit(sql, "law.temporary_residence_extension", "law_versions.temporary_residence_extension");
    world.chudong(&["check"]).with(0);
    world.chudong(&["plan", "--as-of", "2026-11-21"]).with(0);
}

/// A law, and a decree that came later; what the decree and a third act say of the others is put in.
fn three(decree: &str, third: &str) -> String {
    let version = |dates: &str, reference: &str, value: u8| {
        format!(
            "\n[[version]]\n{dates}\nreference = {{ vi = \"{reference}\", en = \"{reference}\" }}\nconfidence = \"A\"\nvalue = {value}\n"
        )
    };
    let mut text = String::from("title = { vi = \"Thời hạn\", en = \"Time\" }\nunit = \"days\"\n");
    text.push_str(&version("enacted_on = 2020-11-13\nin_force_from = 2021-07-01", "1", 15));
    text.push_str(&version(&format!("enacted_on = 2025-12-01\nin_force_from = 2026-07-01\n{decree}"), "2", 30));
    if !third.is_empty() {
        text.push_str(&version(third, "3", 20));
    }
    text
}

#[test]
fn of_two_versions_in_force_on_one_day_the_file_says_which_counts() {
    let world = World::of("binh-minh");
    let read = |text: &str| {
        world.put(LAW, text.as_bytes());
        let faults = chudong::pipeline::reader::Faults::default();
        let catalogue = chudong::pipeline::catalogue(&world.root(), &faults);
        let said: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
        (catalogue.law.rule("temporary_residence_extension").unwrap().clone(), said)
    };
    let value = |rule: &Rule, day: Date, known_on: Date| {
        rule.in_force(Day::known(day, known_on)).map(|version| version.values[0].1)
    };
    let (before, from, now) = (date(2026, 6, 30), date(2026, 7, 1), date(2026, 11, 22));
    // That the decree was enacted later says nothing of which counts.
    let (_, said) = read(&three("", ""));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("error[pipeline.rule-overlap]") && said[0].contains("replaces = [\"2021-07-01\"]"),
        "{said:?}"
    );
    for decree in ["replaces = [\"2021-07-01\"]", "suspends = [\"2021-07-01\"]"] {
        let (rule, said) = read(&three(decree, ""));
        assert_eq!(said, [""; 0]);
        assert_eq!((value(&rule, before, now), value(&rule, from, now)), (Some(15), Some(30)));
        // Nobody knew of it before it was enacted.
        assert_eq!(value(&rule, from, date(2025, 11, 30)), Some(15));
    }
    // A repeal brings nothing back that was replaced; it does bring back what was only suspended.
    let repealed = "\nended = { decided_on = 2026-08-01, on = 2026-09-01 }";
    for (word, after) in [("replaces", None), ("suspends", Some(15))] {
        let (rule, said) = read(&three(&format!("{word} = [\"2021-07-01\"]{repealed}"), ""));
        assert_eq!(said, [""; 0]);
        assert_eq!(value(&rule, date(2026, 8, 31), now), Some(30), "{word}");
        assert_eq!(value(&rule, date(2026, 9, 1), now), after, "{word}");
        assert_eq!(value(&rule, date(2026, 9, 1), date(2026, 7, 31)), Some(30), "{word}");
    }
    // Repealed before its first day it never began, and replaced nothing.
    let never = "replaces = [\"2021-07-01\"]\nended = { decided_on = 2026-05-01, on = 2026-07-01 }";
    let (rule, said) = read(&three(never, ""));
    assert_eq!(said, [""; 0]);
    assert_eq!((value(&rule, from, now), value(&rule, from, date(2026, 4, 1))), (Some(15), Some(30)));

    // An act that bridges the time until the decree is in force was enacted after it, and does not beat it.
    let bridge = "enacted_on = 2026-04-06\nin_force_from = 2026-04-06\nreplaces = [\"2021-07-01\"]";
    let (_, said) = read(&three("replaces = [\"2021-07-01\"]", bridge));
    assert!(said.len() == 1 && said[0].contains("are both in force on 2026-07-01"), "{said:?}");
    let (rule, said) = read(&three("replaces = [\"2021-07-01\", \"2026-04-06\"]", bridge));
    assert_eq!(said, [""; 0]);
    assert_eq!((value(&rule, before, now), value(&rule, from, now)), (Some(20), Some(30)));

    // None that sets itself aside by way of others, and none that there is not.
    let (_, said) = read(&three("replaces = [\"2026-04-06\"]", &bridge.replace("2021-07-01", "2026-07-01")));
    assert!(said.len() == 1 && said[0].contains("error[pipeline.rule-circle]"), "{said:?}");
    for wrong in ["2026-07-01", "2021-07-02", "law"] {
        let (_, said) = read(&three(&format!("replaces = [\"2021-07-01\", \"{wrong}\"]"), ""));
        assert!(said.len() == 1 && said[0].contains("error[pipeline.rule-unknown-version]"), "{said:?}");
    }
}

#[test]
fn every_fault_of_a_rule_is_said_at_its_key() {
    let world = World::of("binh-minh");
    world.put(
        LAW,
        r#"
title = { vi = "Thời hạn", en = "Time" }
unit = "fortnights"

[[version]]
enacted_on = 2020-11-13
in_force_from = 2021-07-01
in_force_to = 2025-12-31
reference = { vi = "a", en = "a" }
confidence = "A"
value = 15
suspended = [
  { decided_on = 2021-08-01, from = 2021-06-01, to = 2021-09-01, reference = { vi = "a", en = "a" } },
  { decided_on = 2020-01-01, from = 2022-06-01, to = 2026-09-01, reference = { vi = "a", en = "a" } },
  { decided_on = 2022-01-01, from = 2022-06-01, to = 2022-05-01 },
  { decided_on = 2022-01-01, from = 2022-06-01, until = 2022-07-01, reference = { vi = "a", en = "a" } },
]
ended = { decided_on = 2020-01-01, on = 2021-06-30 }

[[version]]
enacted_on = 2020-11-13
in_force_from = 2025-12-31
reference = { vi = "b", en = "b" }
confidence = "C"
values = []
source = "a newspaper"

[[version]]
in_force_from = 2026-01-01
reference = { vi = "b", en = "b" }
confidence = "B"
values = [1]
ended = { decided_on = 2026-02-01 }

[[version]]
enacted_on = 2020-11-13
in_force_from = 2025-12-01
in_force_to = 2026-01-05
reference = { vi = "c", en = "c" }
confidence = "B"
value = 3
"#
        .as_bytes(),
    );
    insta::assert_snapshot!(world.chudong(&["check"]).with(1).said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_names_the_version_that_was_used() {
    use chudong::reminders::letter::RuleReference;
    let world = World::of("binh-minh");
    world.put(LAW, STORY.as_bytes());
    let checked = chudong::check::check(&world.root(), "binh-minh").await.unwrap();
    let item = checked.pipeline.item("temporary_residence").unwrap();
    let tonight = AsOf::new(date(2026, 11, 21));
    let article = |rule_version: &str| {
        let rules = RuleReference::applied(&checked.pipeline.law, item, tonight, rule_version);
        rules.into_iter().map(|rule| rule.reference.en).collect::<Vec<_>>()
    };
    assert_eq!(article("temporary_residence_extension@2026-01-26"), ["Decree 46/2026, Art. 13"]);
    assert_eq!(article("temporary_residence_extension@2026-01-26/2026-06-15"), ["Decree 99/2026, Art. 2"]);
    // Of a rule that another item's date is computed with, the one in force tonight.
    assert_eq!(article("driving_licence_term@2025-01-01"), ["Law 1, Art. 1"]);
}
