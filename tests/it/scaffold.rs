//! A new obligation, without Rust: what is made, what is still missing, and that it then works.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use crate::support::world::{Ended, World, differences};

/// The lines of `check` that say what is not finished.
fn missing(ended: &Ended) -> Vec<String> {
    let list = ended.out.split("Not finished:\n").nth(1).unwrap_or_default();
    list.lines().take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

/// Does what a line of `check` says: puts something in place of the mark on that line.
fn fill_in(world: &World, line: &str) {
    let (place, _) = line.split_once(": ").unwrap();
    let (path, number) = place.rsplit_once(':').unwrap();
    let number: usize = number.parse().unwrap();
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    let filled = text.lines().zip(1..).map(|(line, at)| if at == number { without_marks(line) } else { line.into() });
    world.put(path, (filled.collect::<Vec<_>>().join("\n") + "\n").as_bytes());
}

/// A comment goes, a text between quotation marks is written.
fn without_marks(line: &str) -> String {
    let Some((before, after)) = line.split_once("TODO") else { return line.to_owned() };
    if !before.contains('"') {
        // A comment of a template stands on a line of its own; where a comment ends with its line, it is kept.
        return if before.contains('{') { String::new() } else { format!("{before}Filled in.") };
    }
    let rest = after.split_once('"').unwrap().1;
    format!("{before}Renewal\"{}", without_marks(rest))
}

#[test]
fn a_new_item_works_as_soon_as_what_check_asks_is_filled_in() {
    let world = World::small(300);
    let made = world.chudong(&["new", "item", "licence_check", "--reads", "driving_licences"]).with(0);
    insta::assert_snapshot!("made", made.out);
    // No agency uses it yet: nights are as before, and check lists each mark with its file, its line and what to do.
    world.chudong(&["plan", "--as-of", "2026-11-21"]).with(0);
    let checked = world.chudong(&["check"]).with(1);
    insta::assert_snapshot!("missing", missing(&checked).join("\n"));
    assert_eq!(checked.said(), "");

    // With a mark in it, it may not be used.
    world.edit("pipelines/an-binh/pipeline.toml", "[items]\nuse = [", "[items]\nuse = [\"licence_check\", ");
    let refused = world.chudong(&["plan", "--as-of", "2026-11-21"]).with(1);
    assert!(refused.err.contains("error[item.unfinished]: the item licence_check is not finished"), "{}", refused.err);

    missing(&checked).iter().for_each(|line| fill_in(&world, line));
    let checked = world.chudong(&["check"]).with(0);
    let advice = "tests/cases/obligations/licence_check: add cases: there should be 5 or more, and there are 1";
    assert!(checked.out.contains(advice), "{}", checked.out);
    assert_eq!(world.chudong(&["test", "licence_check"]).with(0).out, "1 cases as expected, 0 not\n");
    assert_eq!(
        world.chudong(&["test", "--mutate", "licence_check"]).with(0).out,
        "3 changes of the law noticed, 0 not\n"
    );

    // Whoever has a licence of the last year is reminded of it.
    let planned = world.chudong(&["plan", "--as-of", "2026-11-21", "--format", "json"]).with(0);
    let report: chudong::report::Report = serde_json::from_str(&planned.out).unwrap();
    let line = report.items.iter().find(|line| line.item == "licence_check").unwrap();
    assert!(line.obligations > 0 && line.messages > 0, "{line:?}");
}

#[test]
fn a_new_table_is_named_with_what_it_needs() {
    let world = World::of("an-binh");
    let made = world.chudong(&["new", "item", "food_safety", "--audience", "business"]).with(0);
    let table = made.out.split("pipelines/standard-tables.toml:\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let checked = world.chudong(&["check"]).with(1);
    assert!(checked.err.contains("error[sql.no-standard-table]: there is no standard table food_safety_documents"));
    // What is printed can be pasted.
    let tables = std::fs::read_to_string(world.root().join("pipelines/standard-tables.toml")).unwrap();
    world.put("pipelines/standard-tables.toml", format!("{tables}\n{table}\n").as_bytes());
    assert_eq!(world.chudong(&["check"]).with(1).said(), "", "only marks are left");
    assert_eq!(world.chudong(&["test", "food_safety"]).with(0).out, "1 cases as expected, 0 not\n");
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let world = World::of("an-binh");
    let before = world.everything();
    for (arguments, code) in [
        (vec!["new", "item", "driving_licence"], "scaffold.exists"),
        (vec!["new", "item", "Driving-Licence"], "scaffold.name"),
        (vec!["new", "item", "fresh", "--reads", "../people"], "scaffold.name"),
        (vec!["new", "item", "fresh", "--reads", "ratings"], "scaffold.no-subject"),
        (vec!["new", "item", "fresh", "--reads", "businesses"], "scaffold.no-date"),
    ] {
        let ended = world.chudong(&arguments).with(1);
        assert!(ended.err.contains(&format!("error[{code}]")), "{}", ended.err);
    }
    assert_eq!(differences(&before, &world.everything()), Vec::<String>::new());
    // One file of it is enough.
    world.put("sql/obligations/fresh.sql", b"select 1");
    let before = world.everything();
    world.chudong(&["new", "item", "fresh"]).with(1);
    assert_eq!(differences(&before, &world.everything()), Vec::<String>::new());
}
