//! A night of more people than are looked at together: each message has the explanation of its own obligation.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fmt::Write;

use jiff::civil::Date;

use crate::support::world::World;

/// More than one query tells of.
const PEOPLE: usize = 17_000;

/// Puts rows in place of those of a table of the sample, under its own first line.
fn put(world: &World, file: &str, row: impl Fn(usize) -> String) {
    let path = format!("data-samples/binh-minh/{file}");
    let text = std::fs::read_to_string(world.root().join(&path)).unwrap();
    let mut rows = format!("{}\n", text.lines().next().unwrap());
    (0..PEOPLE).for_each(|number| writeln!(rows, "{}", row(number)).unwrap());
    world.put(&path, rows.as_bytes());
}

#[test]
fn each_of_many_messages_is_kept_with_the_explanation_of_its_own_day() {
    let world = World::of("binh-minh");
    put(&world, "cong_dan.csv", |number| {
        format!("0980{number:08};Nguyễn Văn {number};01/02/1980;98001;en;nguoi.{number}@example.com;false;false")
    });
    // They are due on twenty days, and neighbours in the register on different ones.
    put(&world, "giay_phep_lai_xe.csv", |number| {
        format!("{number:012};0980{number:08};C1;{:02}/12/2016", number % 20 + 1)
    });
    let accept = "obligations.driving_licence";
    world.chudong(&["run", "--as-of", "2026-11-21", "--today", "2026-11-21", "--accept", accept]).with(0);
    world.ledger_is_sound();
    let counts = world.ledger().obligation_counts(Some("driving_licence")).unwrap();
    let counts: Vec<(&str, u64)> = counts.iter().map(|count| (count.state.as_str(), count.obligations)).collect();
    assert_eq!(counts, [("open", PEOPLE as u64)]);
    let recorded = world.recorded();
    assert_eq!(recorded.len(), PEOPLE);
    let untold = recorded.iter().filter(|(_, line)| !line["explanation"].is_string()).count();
    assert_eq!(untold, 0, "messages without an explanation");
    for (_, line) in recorded.iter().step_by(PEOPLE / 6) {
        let due_on: Date = line["due_on"].as_str().unwrap().parse().unwrap();
        let told = world.chudong(&["explain", "--message", line["key"].as_str().unwrap()]).with(0).out;
        let day = due_on.strftime("due on %-d %B %Y").to_string();
        assert!(told.contains(&day), "{day} is not in:\n{told}");
    }
}
