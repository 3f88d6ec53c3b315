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

/// Whatever the table: what is made runs and its case holds, and nothing but marks is left to fill in.
#[test]
fn an_item_of_any_table_is_sound_as_it_is_made() {
    let world = World::of("an-binh");
    let tables = std::fs::read_to_string(world.root().join("pipelines/standard-tables.toml")).unwrap();
    let tables: toml::Table = tables.parse().unwrap();
    let mut made = Vec::new();
    for (name, table) in &tables {
        let columns = table["columns"].as_table().unwrap();
        let has_date = columns.values().any(|column| column["type"].as_str() == Some("date"));
        if columns.contains_key("subject_id") && has_date {
            world.chudong(&["new", "item", &format!("of_{name}"), "--reads", name]).with(0);
            made.push(name.clone());
        }
    }
    assert!(made.len() >= 30, "{made:?}");
    let checked = world.chudong(&["check"]).with(1);
    assert_eq!(checked.said(), "", "only marks are left");
    let tested = world.chudong(&["test", "obligations/of_"]).with(0);
    assert_eq!(tested.out, format!("{} cases as expected, 0 not\n", made.len()));
    for shape in ["people", "births", "vehicles", "temporary_residences"] {
        let sql = std::fs::read_to_string(world.root().join(format!("sql/obligations/of_{shape}.sql"))).unwrap();
        insta::assert_snapshot!(format!("select_of_{shape}"), sql);
    }
    // Each number of the law is one that the case notices.
    world.chudong(&["test", "--mutate", "obligations/of_people"]).with(0);
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

/// The only block of the README's ten minutes that holds this text.
fn readme_block(words: &str) -> String {
    let readme = std::fs::read_to_string(crate::root().join("README.md")).unwrap();
    let ten_minutes = readme.split("## Add an obligation, in ten minutes").nth(1).unwrap();
    let ten_minutes = ten_minutes.split("\n## ").next().unwrap();
    let mut blocks = ten_minutes.split("```").skip(1).step_by(2).filter(|block| block.contains(words));
    let block = blocks.next().unwrap();
    assert!(blocks.next().is_none(), "two blocks hold {words}");
    block.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn the_ten_minutes_of_the_readme_end_in_a_night() {
    let world = World::of("binh-minh");
    world.chudong(&["new", "item", "food_safety", "--reads", "food_safety_certificates"]).with(0);
    let (law, sql) = (readme_block("enacted_on = 2010-06-17"), "sql/obligations/food_safety.sql");
    world.put("pipelines/law/food_safety_term.toml", law.as_bytes());
    world.put("pipelines/law/food_safety_renewal.toml", law.replace("value = 36", "value = 6").as_bytes());
    world.put("pipelines/items/food_safety/item.toml", readme_block("notice_days = [60, 30, 7]").as_bytes());
    for message in ["message.vi.md", "message.en.md"] {
        let path = format!("pipelines/items/food_safety/{message}");
        world.put(&path, readme_block("Dear {{ name }}").as_bytes());
    }
    world.put(sql, readme_block("-- grain:   object_id").as_bytes());
    let case = "tests/cases/obligations/food_safety/first.toml";
    world.put(case, readme_block("about = \"A certificate of 28 May 2024").as_bytes());
    world.put("data-samples/binh-minh/chung_nhan_attp.csv", readme_block("ATTP098-0001").as_bytes());
    let staging = readme_block("from y_te.chung_nhan_attp");
    world.put("sql/staging/binh-minh/food_safety_certificates.sql", staging.as_bytes());
    let add = |path: &str, more: &str| {
        let text = std::fs::read_to_string(world.root().join(path)).unwrap();
        world.put(path, format!("{text}\n{more}").as_bytes());
    };
    add("pipelines/standard-tables.toml", &readme_block("grain = [\"document_number\"]"));
    let pipeline = "pipelines/binh-minh/pipeline.toml";
    add(pipeline, &readme_block("[sources.y_te.authorisation]"));
    world.edit(pipeline, "use = [\"driving_licence\",", "use = [\"food_safety\", \"driving_licence\",");
    missing(&world.chudong(&["check"])).iter().for_each(|line| fill_in(&world, line));
    world.chudong(&["check"]).with(0);
    assert_eq!(world.chudong(&["test", "food_safety"]).with(0).out, "1 cases as expected, 0 not\n");

    let ended = world.chudong(&["run", "--as-of", "2026-11-21", "--format", "json"]).with(0);
    let report: chudong::report::Report = serde_json::from_str(&ended.out).unwrap();
    let line = report.items.iter().find(|line| line.item == "food_safety").unwrap();
    assert_eq!((line.obligations, line.messages), (2, 2), "{line:?}");
    // Both rules are named, in the ledger and to whoever asks.
    let row = world.outbox().into_iter().find(|row| row.item == "food_safety").unwrap();
    let told = world.chudong(&["explain", &row.obligation]).with(0).out;
    for rule in ["[food_safety_term@2011-07-01,", "[food_safety_renewal@2011-07-01,"] {
        assert!(told.contains(rule), "{told}");
    }
    assert!(
        world
            .recorded()
            .iter()
            .any(|(_, line)| { line["rule_version"] == "food_safety_term@2011-07-01, food_safety_renewal@2011-07-01" })
    );
    // A name that is no version of a rule of the item fails before the night, in the case.
    world.edit(sql, "|| ', ' ||", "|| '; ' ||");
    let said = world.chudong(&["test", "food_safety"]).with(1).out;
    assert!(
        said.contains("error[obligations.no-such-version]") && said.ends_with("0 cases as expected, 1 not\n"),
        "{said}"
    );
}
