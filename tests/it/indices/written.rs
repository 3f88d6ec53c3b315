//! What a clerk is told when a definition is wrong: every fault at its line.

use std::path::Path;

use chudong::pipeline::reader::Faults;
use chudong::run;
use chudong::sql::cases;

use crate::support::world::World;

/// A definition with a fault in nearly every line.
const WRONG: &str = r#"title = { vi = "Thử", en = "Trial" }

[[version]]
enacted_on = 2026-01-01
in_force_from = 2026-02-01
in_force_to = 2026-01-31
reference = { vi = "Điều 1", en = "Art. 1" }
confidence = "C"
decimals = 9
maximum = 10

[[version.group]]
code = "A"
title = { vi = "Nhóm", en = "Group" }
maximum = 8

[[version.group.metric]]
code = "ONE"
title = { vi = "Một", en = "One" }
score = "linear"
maximum = 6
numerator = "recieved"
denominator = { greatest = ["received"], or_last_yaer = "received" }
zero = "nil"

[[version.group.metric]]
code = "one more"
title = { vi = "Hai", en = "Two" }
score = "threshold"
maximum = 1
full_at_percent = 120
numerator = "on_time"
zero = "null"

[[version.group.metric]]
code = "ONE"
title = { vi = "Ba", en = "Three" }
score = "curve"

[[version.group.metric]]
code = "FOUR"
title = { vi = "Bốn", en = "Four" }
score = "tiers"
maximum = 2
numerator = "on_time"
denominator = "received"
zero = "null"
tier = [
  { points = 1, share = [{ numerator = "on_time", denominator = "received", at_least_percent = 0 }] },
  { points = 2 },
]

[[version.group]]
code = "B"
title = { vi = "Nhóm", en = "Group" }
maximum = 4

[[version.group.metric]]
code = "FIVE"
title = { vi = "Năm", en = "Five" }
needs = ["dossier_service"]
score = "linear"
maximum = 3
numerator = "on_tiem"
denominator = "received"
zero = "null"

[[version.band]]
at_least = 8
name = { vi = "Tốt", en = "Good" }

[[version.band]]
at_least = 9
name = { vi = "Yếu", en = "Weak" }
"#;

/// What reading an installation says.
fn said(world: &World) -> String {
    let faults = Faults::default();
    drop(chudong::pipeline::read(&world.root(), "an-binh", &faults));
    let faults = faults.into_vec();
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

#[test]
fn every_fault_of_a_definition_is_said_at_its_line() {
    let world = World::of("an-binh");
    world.put("pipelines/indices/trial.toml", WRONG.as_bytes());
    insta::assert_snapshot!("faults_of_a_definition", said(&world));
}

#[tokio::test]
async fn a_column_that_nothing_gives_is_a_fault_with_the_one_that_was_meant() {
    let world = World::of("an-binh");
    // What is published of the decision would be told of, too.
    world.without_exact();
    let path = "pipelines/indices/decision_766.toml";
    world.edit(path, "numerator = \"on_time\"", "numerator = \"on_tiem\"");
    world.edit(path, "needs = [\"dossier_fees\", \"dossier_services\"]", "needs = [\"dossier_fee\"]");
    let faults = chudong::check::check(&world.root(), "an-binh").await.unwrap_err();
    let said: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
    insta::assert_snapshot!("column_that_nothing_gives", said);
}

#[test]
fn two_versions_of_one_day_are_refused() {
    let world = World::of("an-binh");
    let path = "pipelines/indices/decree_224_2026.toml";
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    let (_, version) = text.split_once("[[version]]\n").unwrap();
    world.put(path, format!("{text}\n[[version]]\n{version}").as_bytes());
    let said = said(&world);
    assert!(said.starts_with("error[pipeline.rule-overlap]: two versions of decree_224_2026"), "{said}");
}

#[test]
fn a_version_enacted_later_says_which_one_it_replaces() {
    let world = World::of("an-binh");
    let path = "pipelines/indices/decree_224_2026.toml";
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    let (_, version) = text.split_once("[[version]]\n").unwrap();
    let line = text.lines().count() + 4;
    let with = |key: &str| {
        let later = version
            .replace("enacted_on = 2026-06-24", "enacted_on = 2026-10-02")
            .replace("in_force_from = 2026-07-01", &format!("in_force_from = 2027-01-01\n{key}"));
        world.put(path, format!("{text}\n[[version]]\n{later}").as_bytes());
        said(&world)
    };
    let overlap = with("");
    assert!(overlap.starts_with("error[pipeline.rule-overlap]: two versions of decree_224_2026"), "{overlap}");
    assert!(
        overlap.contains(&format!("{path}:{line}")) && overlap.contains("replaces = [\"2026-07-01\"]"),
        "{overlap}"
    );
    assert_eq!(with("replaces = [\"2026-07-01\"]"), "");
    let unknown = with("replaces = [\"2026-07-02\"]");
    assert!(unknown.contains("pipeline.rule-unknown-version") && unknown.contains("begins on 2026-07-02"), "{unknown}");
}

#[test]
fn a_case_of_an_index_that_cannot_be_judged_says_why() {
    let world = World::of("an-binh");
    let path = "tests/cases/quality/decision_766/odd.toml";
    let pipeline = super::pipeline();
    let read = |text: &str| {
        world.put(path, text.as_bytes());
        let faults = Faults::default();
        let case = cases::read(&world.root(), Path::new(path), &pipeline, &faults);
        (case, faults.into_vec())
    };
    let (_, faults) = read("about = \"x\"\nas_of = 2026-11-20\nperiod = \"Oct\"\n");
    assert_eq!((faults[0].code, faults[0].place.to_string()), ("case.period", format!("{path}:3")));
    let (case, faults) = read("about = \"x\"\nas_of = 2026-11-20\nperiod = \"2026-10\"\n");
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(run::judge(&pipeline, &[], &case.unwrap()).unwrap_err().code, "case.sheet");
    let expected = "[[expected]]\ncode = \"PROCESSED_ON_TIME\"\nscore = 1.00\n\n[[expected]]\ncode = \"NO_SUCH\"\n";
    read(&format!("about = \"x\"\nas_of = 2026-11-20\nperiod = \"2026-10\"\n\n{expected}"));
    let said = world.chudong(&["test", "odd"]).with(1);
    insta::assert_snapshot!("sheet_that_differs", said.out);
}
