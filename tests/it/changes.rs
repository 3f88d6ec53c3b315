//! Tonight beside the last night: what is shown, and what waits for a person.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use chudong::report::{HELD_BY_A_CHANGE, ItemLine, Report};

use crate::support::world::{Ended, World};

const ITEM: &str = "pipelines/items/driving_licence/item.toml";

fn line(ended: &Ended, item: &str) -> ItemLine {
    let report: Report =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}\n{}\n{}", ended.out, ended.err));
    report.items.into_iter().find(|line| line.item == item).unwrap()
}

/// The sample agency without figures: they are not what is measured here.
fn small(people: u64) -> World {
    let world = World::small(people);
    world.without_figures();
    world
}

fn night(world: &World, as_of: &str, more: &[&str]) -> Ended {
    world.chudong(&[&["run", "--as-of", as_of, "--format", "json"], more].concat())
}

#[test]
fn a_rule_changed_by_mistake_is_held_until_somebody_accepts_it() {
    let world = small(4_000);
    let first = line(&night(&world, "2026-11-21", &[]).with(0), "driving_licence");
    assert!(first.obligations > 0 && !first.communes.is_empty());
    assert_eq!(first.communes.values().map(|counts| counts.obligations).sum::<u64>(), first.obligations);

    // A finger too much on the key: 60 days become 600, and a tenfold of people would be written to.
    world.edit(ITEM, "notice_days = [60, 30, 7]", "notice_days = [600, 30, 7]");
    let planned = world.chudong(&["plan", "--as-of", "2026-11-22", "--format", "json"]).with(3);
    assert_eq!(line(&planned, "driving_licence").messages, 0);
    let held = night(&world, "2026-11-22", &[]).with(3);
    let report: Report = serde_json::from_str(&held.out).unwrap();
    assert!(
        report.notes.iter().any(|note| note.contains("--accept obligations.driving_licence")),
        "{:?}",
        report.notes
    );
    let tonight = line(&held, "driving_licence");
    assert_eq!(tonight.messages, 0);
    assert_eq!(tonight.held.get(HELD_BY_A_CHANGE), Some(&tonight.obligations));
    assert!(tonight.obligations > 150 && tonight.obligations > 2 * first.obligations);
    let of_tonight = world.outbox().into_iter().filter(|row| row.run.starts_with("2026-11-22"));
    assert!(of_tonight.clone().count() > 0, "the other items go on");
    assert_eq!(of_tonight.filter(|row| row.item == "driving_licence").count(), 0, "nothing of that item is sent");

    // A night that was held is no measure for the next.
    assert_eq!(line(&night(&world, "2026-11-23", &[]).with(3), "driving_licence").messages, 0);
    let accepted =
        line(&night(&world, "2026-11-24", &["--accept", "obligations.driving_licence"]).with(0), "driving_licence");
    assert!(accepted.messages > 50, "{accepted:?}");
    // From then on it is measured from there, also on the same night again.
    night(&world, "2026-11-24", &[]).with(0);
    world.ledger_is_sound();
}

#[test]
fn sixty_months_that_became_six_hundred_are_held() {
    let world = small(4_000);
    let first = line(&night(&world, "2026-11-21", &[]).with(0), "driving_licence");
    world.edit(ITEM, "level = 1\n", "level = 1\nhold_change = { percent = 20, least = 5 }\n");
    let law = "pipelines/law/driving_licence_term.toml";
    world.edit(law, "= 60", "= 600");
    let held = line(&night(&world, "2026-11-22", &[]).with(3), "driving_licence");
    assert!(first.obligations >= held.obligations + 5, "{first:?}\n{held:?}");
    assert_eq!((held.messages, held.held.len()), (0, 1));
    // Corrected, the night after is as if nothing had been.
    world.edit(law, "= 600", "= 60");
    let next = line(&night(&world, "2026-11-23", &[]).with(0), "driving_licence");
    assert!(!next.held.contains_key(HELD_BY_A_CHANGE) && next.obligations * 5 > first.obligations * 4);
}

#[test]
fn the_bounds_are_those_of_the_item_then_of_the_agency() {
    let world = small(4_000);
    night(&world, "2026-11-21", &[]).with(0);
    world.edit(ITEM, "notice_days = [60, 30, 7]", "notice_days = [600, 30, 7]");
    let plan = ["plan", "--as-of", "2026-11-22"];
    world.chudong(&plan).with(3);
    world.edit(
        "pipelines/an-binh/pipeline.toml",
        "[items]\n",
        "[items]\nhold_change = { percent = 90000, least = 100 }\n",
    );
    world.chudong(&plan).with(0);
    world.edit(ITEM, "level = 1\n", "level = 1\nhold_change = { percent = 50, least = 100 }\n");
    world.chudong(&plan).with(3);
    world.edit(ITEM, "hold_change = { percent = 50, least = 100 }", "hold_change = \"never\"");
    world.chudong(&plan).with(0);
    world.edit(ITEM, "\"never\"", "\"sometimes\"");
    assert!(world.chudong(&plan).with(1).err.contains("error[toml.unknown-word]"));
    world.edit(ITEM, "\"sometimes\"", "{ percent = 0, least = 100 }");
    assert!(world.chudong(&plan).with(1).err.contains("error[pipeline.out-of-range]: percent = 0 is out of range"));
}

/// Nothing is known of how many there should be: a person looks before the first letter leaves.
#[test]
fn the_first_night_of_an_item_waits_for_a_person_where_there_are_many() {
    let world = small(4_000);
    let pipeline = "pipelines/an-binh/pipeline.toml";
    world.edit(pipeline, "use = [\"identity_card\", \"driving_licence\",", "use = [\"identity_card\",");
    world.edit(pipeline, "use = [\"driving_licence\", \"temporary_residence\"", "use = [\"temporary_residence\"");
    night(&world, "2026-11-21", &[]).with(0);
    // It is switched on, with a finger too much on the key.
    world.edit(pipeline, "use = [\"identity_card\",", "use = [\"identity_card\", \"driving_licence\",");
    world.edit(ITEM, "notice_days = [60, 30, 7]", "notice_days = [600, 30, 7]");
    let planned = world.chudong(&["plan", "--as-of", "2026-11-22", "--format", "json"]).with(3);
    assert_eq!(line(&planned, "driving_licence").messages, 0);
    let held = night(&world, "2026-11-22", &[]).with(3);
    let tonight = line(&held, "driving_licence");
    assert!(tonight.obligations >= 100, "{tonight:?}");
    assert_eq!(tonight.held.get(HELD_BY_A_CHANGE), Some(&tonight.obligations));
    let report: Report = serde_json::from_str(&held.out).unwrap();
    let note = report.notes.iter().find(|note| note.contains("obligations.driving_licence")).unwrap();
    assert!(note.contains("no night before it") && note.contains("--accept obligations.driving_licence"), "{note}");
    assert!(world.outbox().iter().all(|row| row.item != "driving_licence"));
    // A night that was held is none: the next waits too. What was accepted is the measure from then on.
    night(&world, "2026-11-23", &[]).with(3);
    night(&world, "2026-11-23", &["--accept", "obligations.driving_licence"]).with(0);
    assert!(world.outbox().iter().any(|row| row.item == "driving_licence"));
    night(&world, "2026-11-24", &[]).with(0);
    world.ledger_is_sound();
}

/// An agency's own first night is the first of all its items; few go on by themselves, as they do where nothing is held.
#[test]
fn the_first_night_of_an_agency_is_weighed_too() {
    let world = small(4_000);
    world.edit(ITEM, "level = 1\n", "level = 1\nhold_change = { percent = 50, least = 5 }\n");
    world.chudong(&["plan", "--as-of", "2026-11-21"]).with(3);
    let first = night(&world, "2026-11-21", &[]).with(3);
    assert_eq!(line(&first, "driving_licence").messages, 0);
    assert!(line(&first, "identity_card").messages > 0);
    world.edit(ITEM, "hold_change = { percent = 50, least = 5 }", "hold_change = \"never\"");
    assert!(line(&night(&world, "2026-11-21", &[]).with(0), "driving_licence").messages > 0);
}

#[test]
fn what_changed_is_shown_by_item_and_commune() {
    let world = small(300);
    let diff = ["plan", "--as-of", "2026-11-22", "--diff", "last-night"];
    let none = world.chudong(&diff).with(0);
    assert!(none.out.ends_with("There is no earlier night that ended to compare with.\n"), "{}", none.out);
    night(&world, "2026-11-21", &[]).with(0);
    let before = world.ledger().list(None, usize::MAX).unwrap().len();
    let shown = world.chudong(&diff).with(0).out;
    insta::assert_snapshot!("changes", shown.split("\nBy item").nth(1).unwrap());
    let json = world.chudong(&[&diff[..], &["--format", "json"]].concat()).with(0).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["changes"]["since"], "2026-11-21");
    let lines = json["changes"]["lines"].as_array().unwrap();
    // What changed in the communes of an item is what changed of it.
    for whole in lines.iter().filter(|line| line["commune"].is_null()) {
        let parts = lines.iter().filter(|line| line["item"] == whole["item"] && !line["commune"].is_null());
        let by = |line: &serde_json::Value| {
            line["now"]["obligations"].as_i64().unwrap() - line["before"]["obligations"].as_i64().unwrap()
        };
        assert_eq!(parts.map(by).sum::<i64>(), by(whole), "{whole}");
    }
    assert_eq!(world.ledger().list(None, usize::MAX).unwrap().len(), before);
}
