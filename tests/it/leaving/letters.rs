//! A letter of several reminders: under a number that was reserved, with its address, known to who asks, and heard when
//! somebody calls it unwanted.

use super::*;
use crate::support::smtp::Mood;
use crate::support::world::ANY_TIME;

/// Three people with two stays each that end on one day, told of both in one letter.
fn of_two(server: &Server) -> World {
    let world = town(server, 3, |_| vec!["2026-12-01", "2026-12-01"]);
    let sql = "sql/obligations/temporary_residence.sql";
    let end = "case when newest_residences.expires_on > residences.expires_on then $as_of end as fulfilled_on";
    world.edit(sql, end, "cast(null as date) as fulfilled_on");
    world.edit(PIPELINE, ANY_TIME, "attention = { quiet = \"never\", tet = \"open\", digest = true }");
    world
}

fn message_id(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find_map(|line| line.strip_prefix("Message-ID: <")).unwrap();
    line.split_once('>').unwrap().0.to_owned()
}

#[test]
fn a_letter_of_several_keeps_a_number_that_was_reserved() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = of_two(&server);
    server.set_moods(|_| Mood::AtEnd("452 4.2.2 mailbox full"));
    world.night(NIGHT).with(0);
    let reserved: Vec<String> = world.outbox().into_iter().map(|row| row.message_id).collect();
    assert_eq!(reserved.len(), 6);
    let letters = || -> Vec<String> {
        let recorded = world.recorded();
        recorded.iter().map(|(_, line)| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let first = letters();
    assert!(first.iter().all(|letter| reserved.contains(letter)), "{first:?}");
    assert!(world.recorded().iter().all(|(_, line)| line["sealed_address"].is_string()));
    server.set_moods(|_| Mood::Takes);
    world.night("2026-11-22").with(0);
    let sent: Vec<String> = server.taken.lock().unwrap().iter().map(|(_, bytes)| message_id(bytes)).collect();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|id| first.contains(id)));

    // Who has the letter finds all that was in it.
    for id in &sent {
        let ended = world.chudong(&["trace", "--message", id, "--explain", "--format", "json"]).with(0);
        let story: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        let messages = story["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 2, "{}", ended.out);
        for message in messages {
            let opened = &story["opened"][message["key"].as_str().unwrap()]["addresses"];
            let addresses: Vec<&str> = opened.as_object().unwrap().values().map(|one| one.as_str().unwrap()).collect();
            assert!(!addresses.is_empty() && addresses.iter().all(|one| one.ends_with("@example.com")));
        }
    }
    // Whoever calls it unwanted refuses, though the report names the letter alone.
    let asked = sent.iter().map(|id| id.split('@').next().unwrap().to_owned()).collect();
    let mut parties: Vec<String> = world
        .ledger()
        .parties(&asked, &chudong::ledger::Origin::ByHand)
        .unwrap()
        .into_iter()
        .map(|(subject, _)| subject)
        .collect();
    parties.sort();
    assert_eq!(parties, subjects(&world));
    world.ledger_is_sound();
}
