//! What would harm a person if it went wrong: a doubled person, a file cut short, a day that lies
//! elsewhere, a ledger that is gone, a policy that changed. Each was found by attacking a whole night.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use mail_parser::MessageParser;

use crate::support::world::World;

fn text_of_messages(world: &World) -> Vec<String> {
    let text = |bytes: &Vec<u8>| MessageParser::new().parse(bytes).unwrap().body_text(0).unwrap().into_owned();
    world.messages().values().flatten().map(text).collect()
}

#[test]
fn a_second_row_of_a_person_undoes_no_refusal_and_no_address() {
    let world = World::small(400);
    let path = world.root().join("sql/staging/an-binh/people.sql");
    let sql = std::fs::read_to_string(&path).unwrap();
    let doubled = "select subject_id, full_name, birth_date, commune_code, language, \
        'other@example.org' as email, cast(null as varchar) as phone, false as is_deceased, false as refuses_reminders from once";
    let select = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    world.put(
        "sql/staging/an-binh/people.sql",
        format!(
            "-- Twice.\n--\n-- grain:   subject_id\n-- private: subject_id, full_name, birth_date, commune_code, language, email, phone, is_deceased, refuses_reminders\nwith once as (\n{select}\n)\nselect * from once union all {doubled}"
        )
        .as_bytes(),
    );
    let ended = world.night("2026-11-21");
    assert!(ended.out.contains("staging.people"), "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("subject_id: several rows"), "{}", ended.out);
    assert!(world.messages().is_empty(), "nobody is written to on the word of two rows");
}

#[test]
fn a_table_cut_short_is_held_until_a_person_accepts_it() {
    let world = World::small(400);
    world.night("2026-10-12").with(0);
    let path = "data-samples/an-binh/one-stop/ratings.csv";
    let whole = std::fs::read_to_string(world.root().join(path)).unwrap();
    let cut: String = whole.lines().take(whole.lines().count() / 2).map(|line| format!("{line}\n")).collect();
    world.put(path, cut.as_bytes());
    // October closes on this night; half of the ratings must not freeze it. Nor on the next: the cut is not forgotten.
    for night in ["2026-11-21", "2026-11-22"] {
        let ended = world.night(night).with(3);
        assert!(ended.out.contains("run with --accept one_stop.ratings"), "{}", ended.out);
        assert!(!world.state().join("published/2026-10").exists());
    }
    world.put(path, whole.as_bytes());
    world.night("2026-11-23").with(0);
    assert!(world.state().join("published/2026-10").exists());
}

#[test]
fn a_person_may_accept_a_smaller_table() {
    let world = World::small(400);
    world.night("2026-11-21").with(0);
    let path = "data-samples/an-binh/insurance/household_cards.csv";
    let whole = std::fs::read_to_string(world.root().join(path)).unwrap();
    let cut: String = whole.lines().take(10).map(|line| format!("{line}\n")).collect();
    world.put(path, cut.as_bytes());
    world.night("2026-11-22").with(3);
    world.chudong(&["run", "--as-of", "2026-11-22", "--accept", "insurance.household_cards"]).with(0);
    world.night("2026-11-23").with(0);
}

#[test]
fn a_month_that_the_sources_do_not_reach_is_not_drawn() {
    let world = World::small(400);
    let ended = world.night("2027-02-20").with(3);
    assert!(ended.out.contains("2027-01 is not drawn"), "{}", ended.out);
    assert!(world.state().join("published/2026-10").exists());
    assert!(!world.state().join("published/2026-12").exists());
}

#[test]
fn a_run_for_an_earlier_day_sends_no_earlier_stage_and_takes_nothing_off_the_page() {
    let world = World::small(2000);
    world.night("2026-11-21").with(0);
    let page = std::fs::read(world.state().join("published/index.html")).unwrap();
    let ended = world.night("2026-11-01").with(0);
    assert!(ended.out.contains("already reminded at a later stage"), "{}", ended.out);
    assert_eq!(std::fs::read(world.state().join("published/index.html")).unwrap(), page);
}

#[test]
fn the_last_reminder_of_a_real_night_says_that_it_is_the_last() {
    let world = World::small(2000);
    world.night("2026-11-21").with(0);
    let texts = text_of_messages(&world);
    let last = texts.iter().filter(|text| text.contains("lần nhắc cuối") || text.contains("last reminder")).count();
    let due_within_a_week = world.outbox().iter().filter(|row| row.stage_notice_days <= 7).count();
    assert!(last > 0 && last >= due_within_a_week, "{last} of {due_within_a_week}");
    assert!(last < texts.len(), "the earlier ones do not");
}

#[test]
fn a_ledger_that_is_gone_or_broken_stops_the_night() {
    let world = World::small(400);
    world.night("2026-11-21").with(0);
    let messages = world.messages();
    let ledger = world.state().join("ledger.sqlite");
    let kept = std::fs::read(&ledger).unwrap();
    std::fs::remove_file(&ledger).unwrap();
    let ended = world.night("2026-11-22").with(1);
    assert!(ended.err.contains("state.ledger-gone"), "{}", ended.err);
    std::fs::write(&ledger, kept).unwrap();
    let connection = rusqlite::Connection::open(&ledger).unwrap();
    connection.execute_batch("delete from outbox").unwrap();
    drop(connection);
    let ended = world.night("2026-11-22").with(1);
    assert!(ended.err.contains("ledger.broken"), "{}", ended.err);
    assert_eq!(world.messages(), messages, "nobody is reminded a second time");
}

#[test]
fn a_policy_changed_under_its_name_draws_nothing_and_breaks_nothing() {
    let world = World::small(400);
    // Exact totals have a policy of their own, which nobody changes here.
    world.without_exact();
    world.night("2026-10-12").with(0);
    let published = world.published();
    let pipeline = "pipelines/an-binh/pipeline.toml";
    let commune = "{ code = \"97008\", name = { vi = \"Xã Đảo Yến\", en = \"Đảo Yến Commune\" } },";
    let two = format!("{commune}\n  {{ code = \"97009\", name = {{ vi = \"Xã Mới\", en = \"New Commune\" }} }},");
    world.edit(pipeline, commune, &two);
    let ended = world.night("2026-11-21").with(1);
    assert!(ended.out.contains("disclosure.policy-changed"), "{}", ended.out);
    assert_eq!(world.published(), published);
    // Back as it was, the next night goes on; under a new name the changed policy goes on too, and the page stays.
    world.edit(pipeline, &two, commune);
    world.night("2026-11-22").with(0);
    assert!(world.state().join("published/2026-10").exists());
    let page = std::fs::read(world.state().join("published/index.html")).unwrap();
    world.edit(pipeline, "policy = \"an-binh-2026-1\"", "policy = \"an-binh-2026-2\"");
    world.night("2026-11-23").with(0);
    assert_eq!(std::fs::read(world.state().join("published/index.html")).unwrap(), page);
}
