//! What `check` does not let pass: each mistake beside what is right, in the files of one item.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use chudong::check::catalogue::catalogue;
use chudong::pipeline::reader::Faults;
use chudong::sql::cases::{self, Covers};

use crate::support::world::World;

const SQL: &str = "sql/obligations/driving_licence.sql";
const LAW: &str = "pipelines/law/driving_licence_term.toml";
/// How the select of the item comes to its due day: in its ninth line of words, the eighteenth of its file.
const DUE: &str = "add_months(licences.issued_on, terms.value, 'clamp')";

/// An installation whose catalogue is one item.
fn one_item() -> World {
    let world = World::of("binh-minh");
    for entry in std::fs::read_dir(world.root().join("pipelines/items")).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() && entry.file_name() != "driving_licence" {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    world
}

/// The faults of the catalogue, as `code place`.
async fn faults(world: &World) -> Vec<String> {
    let (_, faults) = catalogue(&world.root()).await;
    faults.iter().map(|fault| format!("{} {}", fault.code, fault.place)).collect()
}

/// A file, what stands in it, what is wrong, what is right in its place, and what is said of the wrong one.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

const TABLE: &[Row<'_>] = &[
    // Months are rounded by one of three words, and the word is written there.
    (
        SQL,
        DUE,
        "add_months(licences.issued_on, terms.value, 'clmap')",
        "add_months(licences.issued_on, terms.value, 'roll')",
        "sql.rounding-word sql/obligations/driving_licence.sql:18",
    ),
    (
        SQL,
        DUE,
        "add_months(licences.issued_on, terms.value, lower(terms.key))",
        DUE,
        "sql.rounding-word sql/obligations/driving_licence.sql:18",
    ),
    // A date that not every year has.
    (
        SQL,
        DUE,
        "make_date(2026, 2, 29)",
        "make_date(2026, 2, 28)",
        "sql.no-such-day sql/obligations/driving_licence.sql:18",
    ),
    (
        SQL,
        DUE,
        "make_date(2026, 4, 31)",
        "make_date(2026, 3, 31)",
        "sql.no-such-day sql/obligations/driving_licence.sql:18",
    ),
    (
        SQL,
        DUE,
        "make_date(2026, 13, 1)",
        "make_date(2026, 12, 1)",
        "sql.no-such-day sql/obligations/driving_licence.sql:18",
    ),
    (
        SQL,
        DUE,
        "make_date(extract(year from licences.issued_on) + 10, extract(month from licences.issued_on), extract(day from licences.issued_on))",
        "add_months(licences.issued_on, 120, 'clamp')",
        "sql.no-such-day sql/obligations/driving_licence.sql:18",
    ),
    // The clock, and chance.
    (SQL, DUE, "current_date", "$as_of", "sql.volatile sql/obligations/driving_licence.sql:18"),
    (SQL, DUE, "cast(now() as date)", "cast($as_of as date)", "sql.volatile sql/obligations/driving_licence.sql:18"),
    (
        SQL,
        DUE,
        "licences.issued_on + cast(random() * 10 as int)",
        "licences.issued_on + 10",
        "sql.volatile sql/obligations/driving_licence.sql:18",
    ),
    (
        SQL,
        "licences.licence_number as object_id",
        "uuid() as object_id",
        "upper(licences.licence_number) as object_id",
        "sql.volatile sql/obligations/driving_licence.sql:16",
    ),
    // A number of the law is of a unit: the rule counts months.
    (
        SQL,
        DUE,
        "days_from_day_after(licences.issued_on, terms.value)",
        DUE,
        "sql.unit sql/obligations/driving_licence.sql:18",
    ),
    (
        SQL,
        DUE,
        "days_from_day(licences.issued_on, terms.value)",
        DUE,
        "sql.unit sql/obligations/driving_licence.sql:18",
    ),
    (
        SQL,
        DUE,
        "add_working_days(licences.issued_on, -terms.value)",
        DUE,
        "sql.unit sql/obligations/driving_licence.sql:18",
    ),
    (SQL, DUE, "licences.issued_on + cast(terms.value as int)", DUE, "sql.unit sql/obligations/driving_licence.sql:18"),
    (
        LAW,
        "unit = \"months\"",
        "unit = \"years\"",
        "unit = \"months\"",
        "sql.unit sql/obligations/driving_licence.sql:18",
    ),
    (
        LAW,
        "unit = \"months\"",
        "unit = \"days\"",
        "unit = \"months\"",
        "sql.unit sql/obligations/driving_licence.sql:18",
    ),
    // What is asked, and what a row is.
    (
        SQL,
        "where due_on between $since and $until",
        "where due_on <= $until",
        "where due_on >= $since and due_on <= $until",
        "sql.no-window sql/obligations/driving_licence.sql",
    ),
    (
        SQL,
        "where due_on between $since and $until",
        "where due_on >= $since",
        "where due_on >= $since and due_on <= $until",
        "sql.no-window sql/obligations/driving_licence.sql",
    ),
    (
        SQL,
        "-- grain:   object_id",
        "-- grain:   objekt_id",
        "-- grain:   subject_id, object_id",
        "sql.grain sql/obligations/driving_licence.sql",
    ),
    // Numbers that no law says.
    (LAW, "B = 120, C1", "B = 0, C1", "B = 1, C1", "law.value pipelines/law/driving_licence_term.toml:20"),
    (LAW, "B = 120, C1", "B = -120, C1", "B = 121, C1", "law.value pipelines/law/driving_licence_term.toml:20"),
    (LAW, "B = 120, C1", "B = 120000, C1", "B = 1200, C1", "law.value pipelines/law/driving_licence_term.toml:20"),
];

#[tokio::test]
async fn what_would_be_wrong_in_law_or_on_another_night_is_refused_and_what_is_right_is_not() {
    let world = one_item();
    assert_eq!(faults(&world).await, Vec::<String>::new());
    for (file, stands, wrong, right, said) in TABLE {
        let sound = std::fs::read(world.root().join(file)).unwrap();
        world.edit(file, stands, wrong);
        assert_eq!(faults(&world).await, [*said], "{wrong}");
        world.put(file, &sound);
        world.edit(file, stands, right);
        assert_eq!(faults(&world).await, Vec::<String>::new(), "{right}");
        world.put(file, &sound);
    }
}

/// A day of a month that a rule names is one of every year.
#[tokio::test]
async fn a_rule_names_no_day_that_its_month_does_not_have() {
    let world = one_item();
    let rule = |value: &str| {
        let text =
            std::fs::read_to_string(crate::root().join("pipelines/law/household_half_year_notice.toml")).unwrap();
        let head = text.rsplit_once("values").unwrap().0;
        world.put("pipelines/law/household_half_year_notice.toml", format!("{head}{value}\n").as_bytes());
    };
    for (wrong, right) in [
        ("values = { 2 = 29 }", "values = { 2 = 28 }"),
        ("values = { 6 = 31 }", "values = { 7 = 31 }"),
        ("value = 32", "value = 31"),
    ] {
        rule(wrong);
        let said = faults(&world).await;
        let is_it = |fault: &String| fault.starts_with("law.value pipelines/law/household_half_year_notice.toml:");
        assert!(said.len() == 1 && said.iter().all(is_it), "{wrong}: {said:?}");
        rule(right);
        assert_eq!(faults(&world).await, Vec::<String>::new(), "{right}");
    }
}

const CASE: &str = "about = \"Five years\"
as_of = 2026-11-21

[[given.driving_licences]]
licence_number = \"L1\"
subject_id = \"An\"
licence_class = \"C\"
issued_on = 2021-11-30

[[expected]]
object_id = \"L1\"
due_on = 2026-11-30
";

#[tokio::test]
async fn a_case_that_was_copied_and_not_changed_is_refused() {
    let world = one_item();
    let folder = "tests/cases/obligations/driving_licence";
    world.put(&format!("{folder}/first.toml"), CASE.as_bytes());
    // Other words are no other case; another day is.
    world.put(&format!("{folder}/second.toml"), CASE.replace("Five years", "A month end").as_bytes());
    assert_eq!(faults(&world).await, [format!("case.copied {folder}/second.toml")]);
    world.put(&format!("{folder}/second.toml"), CASE.replace("2026-11-21", "2026-11-22").as_bytes());
    assert_eq!(faults(&world).await, Vec::<String>::new());
}

/// A join that meets a row twice gives an obligation twice: the case says so, though it expects both.
#[tokio::test]
async fn a_case_whose_rows_cannot_be_told_apart_is_refused() {
    let world = one_item();
    let folder = "tests/cases/obligations/driving_licence";
    world.put(&format!("{folder}/first.toml"), CASE.as_bytes());
    world.chudong(&["test", "driving_licence"]).with(0);
    let expected = "\n[[expected]]\nobject_id = \"L1\"\ndue_on = 2026-11-30\n";
    world.put(&format!("{folder}/first.toml"), format!("{CASE}{expected}").as_bytes());
    world.edit(SQL, "\nselect * from followed_up", "\nselect * from followed_up union all select * from followed_up");
    let said = world.chudong(&["test", "driving_licence"]).with(1);
    let words = "error[obligations.doubled]: obligations.driving_licence gives 1 rows that cannot be told from another";
    assert!(said.out.contains(words), "{}{}", said.out, said.err);
    // The grain that the head names counts as well.
    world.edit(SQL, " union all select * from followed_up", "");
    world.edit(SQL, "-- grain:   object_id", "-- grain:   rule_version");
    let other = CASE.replace("\"L1\"", "\"L2\"");
    let (given, expected) = other.split_once("[[given").unwrap().1.split_once("[[expected]]").unwrap();
    world.put(&format!("{folder}/first.toml"), format!("{CASE}\n[[given{given}[[expected]]{expected}").as_bytes());
    let said = world.chudong(&["test", "driving_licence"]).with(1);
    assert!(said.out.contains("error[obligations.doubled]") && said.out.contains("by rule_version"), "{}", said.out);
}

/// Five cases or more of every item, and among them each kind: said by name where one is missing, so that it can be filled.
#[test]
fn every_item_of_the_catalogue_has_five_cases_of_every_kind() {
    let faults = Faults::default();
    let pipeline = chudong::pipeline::catalogue(crate::root(), &faults);
    let mut kinds: BTreeMap<String, BTreeMap<Covers, usize>> = BTreeMap::new();
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for path in cases::find(crate::root()).iter().filter(|path| path.starts_with("tests/cases/obligations")) {
        let case = cases::read(crate::root(), path, &pipeline, &faults).unwrap();
        *files.entry(case.model.table.clone()).or_default() += 1;
        for kind in &case.covers {
            *kinds.entry(case.model.table.clone()).or_default().entry(*kind).or_default() += 1;
        }
        // What says that it is done expects the day on which it was.
        let text = std::fs::read_to_string(crate::root().join(path)).unwrap();
        let is_done = text.lines().any(|line| line.starts_with("fulfilled_on = 2"));
        assert!(is_done || !case.covers.contains(&Covers::Fulfilled), "{} shows nothing that is done", path.display());
    }
    let mut missing = Vec::new();
    for item in &pipeline.items {
        let count = files.get(&item.id).copied().unwrap_or_default();
        if count < 5 {
            missing.push(format!("{}: {count} cases", item.id));
        }
        let has = |kind| kinds.get(&item.id).is_some_and(|kinds| kinds.contains_key(kind));
        missing
            .extend(Covers::ALL.iter().filter(|(_, kind)| !has(kind)).map(|(word, _)| format!("{}: {word}", item.id)));
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(pipeline.items.len() >= 30 && faults.into_vec().is_empty());
}
