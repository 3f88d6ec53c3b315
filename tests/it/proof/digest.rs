//! Several obligations of a person in one letter: through a whole night, and with the process killed at random points.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chudong::ledger::{Ledger, MessageState};
use mail_parser::MessageParser;

use super::{NIGHT, PIPELINE, Running, message_id, number, taken, town, uncertain_in};
use crate::support::smtp::Server;
use crate::support::world::{ANY_TIME, World};

/// A town in which everybody has two things to do, and gets one letter about both.
fn town_of_two(server: &Server, people: usize, policy: &str) -> World {
    let world = town(server, people, policy);
    let register = rusqlite::Connection::open(world.root().join("data-samples/an-binh/population.sqlite")).unwrap();
    register.execute_batch("update citizens set birth_date = '2001-12-01'").unwrap();
    world.edit(PIPELINE, "use = [\"temporary_residence\"]", "use = [\"identity_card\", \"temporary_residence\"]");
    world.edit(PIPELINE, ANY_TIME, "attention = { quiet = \"never\", tet = \"open\", digest = true }");
    let policy = format!("\"{policy}\"\nhold_change = {{ percent = 400, least = 1000000 }}");
    world.edit("pipelines/items/identity_card/item.toml", "\"resend\"", &policy);
    world
}

/// Which reminders each letter carries, by its Message-ID, as the ledger has recorded them.
fn carried(world: &World) -> BTreeMap<String, BTreeSet<String>> {
    let mut carried: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in Ledger::read(&world.state()).unwrap().list(Some("messages.recorded"), usize::MAX).unwrap() {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        for line in body["messages"].as_array().unwrap() {
            let letter = line.get("message").unwrap_or(&line["message_id"]).as_str().unwrap();
            carried.entry(letter.to_owned()).or_default().insert(line["key"].as_str().unwrap().to_owned());
        }
    }
    carried
}

/// How often each reminder was told, over all letters that the server took; a letter says what the ledger says it does.
fn told(server: &Server, carried: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for (_, bytes) in server.taken.lock().unwrap().iter() {
        let keys = &carried[&message_id(bytes)];
        let letter = MessageParser::new().parse(bytes).unwrap();
        let text = letter.body_text(0).unwrap();
        let sections = ["Đổi thẻ căn cước chậm nhất", "Gia hạn tạm trú chậm nhất"];
        assert_eq!(sections.iter().filter(|section| text.contains(**section)).count(), keys.len(), "{text}");
        keys.iter().for_each(|key| *told.entry(key.clone()).or_default() += 1);
    }
    told
}

#[test]
fn a_night_tells_everybody_of_both_things_in_one_letter() {
    const PEOPLE: usize = 40;
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town_of_two(&server, PEOPLE, "resend");
    world.night(NIGHT).with(0);
    assert_eq!(server.recipients().into_iter().collect::<BTreeSet<_>>().len(), PEOPLE);
    assert_eq!(taken(&server), PEOPLE, "one letter for each");
    let rows = world.outbox();
    assert_eq!(rows.len(), 2 * PEOPLE);
    assert!(rows.iter().all(|row| row.state == MessageState::Accepted));
    let told = told(&server, &carried(&world));
    assert_eq!((told.len(), told.values().max()), (2 * PEOPLE, Some(&1)));
    // The same night again, and the next one, say nothing twice.
    world.night(NIGHT).with(0);
    world.night("2026-11-22").with(0);
    assert_eq!(taken(&server), PEOPLE);
    world.ledger_is_sound();
}

/// Kills the night at random points, and lets the last one end.
///
/// `CHUDONG_TEST_KILLS=200 CHUDONG_TEST_MESSAGES=20000` is the proof; the suite takes a few points.
fn is_told_once(policy: &str, code: i32) {
    let (points, people) = (number("CHUDONG_TEST_KILLS", 2), number("CHUDONG_TEST_MESSAGES", 200));
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town_of_two(&server, people, policy);
    let mut bytes = vec![0; points * 8];
    getrandom::fill(&mut bytes).unwrap();
    let mut killed = 0;
    for part in bytes.chunks(8) {
        let point = u64::from_le_bytes(part.try_into().unwrap()) as usize % (people / points).max(1);
        let before = taken(&server);
        let mut run = Running::start(&world);
        while taken(&server) <= before + point && !run.is_over() {
            std::thread::sleep(Duration::from_micros(200));
        }
        killed += usize::from(run.kill());
    }
    world.night(NIGHT).with(code);
    world.ledger_is_sound();

    let told = told(&server, &carried(&world));
    let uncertain = uncertain_in(&world.state());
    let ever: BTreeSet<&String> = uncertain.values().flatten().collect();
    let rows = world.outbox();
    assert_eq!(rows.len(), 2 * people);
    let is_left = |row: &&chudong::ledger::OutboxRow| row.state == MessageState::Uncertain;
    let left: BTreeSet<&String> = rows.iter().filter(is_left).map(|row| &row.key.0).collect();
    let lost = rows.iter().filter(|row| !told.contains_key(&row.key.0) && !left.contains(&row.key.0)).count();
    let repeated: Vec<&String> = told.iter().filter(|(_, times)| **times > 1).map(|(key, _)| key).collect();
    let unmarked = repeated.iter().filter(|key| !ever.contains(*key)).count();
    println!("| policy | points | killed | reminders | lost | repeated | repeated, not marked | uncertain |");
    println!(
        "| {policy} | {points} | {killed} | {} | {lost} | {} | {unmarked} | {} |",
        rows.len(),
        repeated.len(),
        uncertain.values().map(BTreeSet::len).sum::<usize>()
    );
    assert_eq!((lost, unmarked), (0, 0));
    assert!(killed >= points / 2, "most runs were over before they were killed");
    assert!(policy == "resend" || repeated.is_empty(), "{} reminders were told twice", repeated.len());
    assert!(policy == "leave_to_clerk" || left.is_empty());
}

#[test]
fn a_killed_night_of_letters_about_two_things_loses_none_and_tells_none_twice() {
    is_told_once("resend", 0);
    is_told_once("leave_to_clerk", 3);
}
