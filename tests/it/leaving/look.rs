//! What is about to leave is looked at once more, wherever it comes from.

use std::time::Duration;

use chudong::calendar::{now, vietnam};
use chudong::ledger::MessageState;

use super::*;
use crate::support::smtp::Mood;
use crate::support::world::ANY_TIME;

/// A server that takes its time over each recipient.
fn slow(pause: Duration) -> Server {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    server.set_moods(move |_| {
        // It asks twice for each message: at the recipient and at the end.
        std::thread::sleep(pause / 3);
        Mood::Takes
    });
    server
}

#[test]
fn a_refusal_is_heard_by_a_group_that_is_on_the_wire() {
    const PEOPLE: usize = 24;
    let server = slow(Duration::from_millis(200));
    let world = town(&server, PEOPLE, |_| vec!["2026-12-01"]);
    let run = Running::start(&world, &["run", "--as-of", NIGHT, "--format", "json"]);
    wait_for(&server, 2);
    refuse(&world, &subjects(&world));
    let before = taken(&server);
    let ended = run.ended().with(0);
    // One that is announced leaves, and those of the quarter of a second in which nobody asks.
    assert!(taken(&server) <= before + 4, "{} after {before}", taken(&server));
    let left = taken(&server);
    assert_eq!(held(&ended).get("refuses reminders"), Some(&((PEOPLE - left) as u64)), "{}", ended.out);
    let states = states(&world);
    assert_eq!(states.get(&(MessageState::Accepted, Some("accepted".into()))), Some(&left), "{states:?}");
    assert_eq!(states.get(&(MessageState::Dropped, Some("refuses reminders".into()))), Some(&(PEOPLE - left)));
    world.ledger_is_sound();
    // And nobody is written to on the next night.
    world.night("2026-11-22").with(0);
    assert_eq!(taken(&server), left);
}

#[test]
fn what_is_on_its_way_comes_back_when_the_window_closes() {
    const PEOPLE: usize = 40;
    let server = slow(Duration::from_millis(200));
    let world = town(&server, PEOPLE, |_| vec!["2026-12-01"]);
    let clock = |seconds: i64| {
        let at = now().to_zoned(vietnam()).saturating_add(jiff::ToSpan::seconds(seconds));
        at.strftime("%H:%M:%S").to_string()
    };
    // Long enough to begin, and for a few letters.
    let closes = now().saturating_add(jiff::SignedDuration::from_secs(6)).unwrap();
    let quiet = format!("attention = {{ quiet = {{ from = \"{}\", to = \"{}\" }} }}", clock(6), clock(3600));
    world.edit(PIPELINE, ANY_TIME, &quiet);
    let run = Running::start(&world, &["run", "--as-of", NIGHT, "--format", "json"]);
    while now() < closes {
        std::thread::sleep(Duration::from_millis(10));
    }
    let before = taken(&server);
    let ended = run.ended().with(0);
    let left = taken(&server);
    assert!(left <= before + 2, "{left} after {before}");
    assert!(left < PEOPLE, "the run was over before the window closed");
    assert_eq!(held(&ended).get("waits for the sending window"), Some(&((PEOPLE - left) as u64)), "{}", ended.out);
    assert!(world.outbox().iter().all(|row| row.state != MessageState::InFlight));
    world.ledger_is_sound();
    // The rest leaves when the window is open again, and nobody gets two.
    world.edit(PIPELINE, &quiet, ANY_TIME);
    world.night(NIGHT).with(0);
    assert_eq!(taken(&server), PEOPLE);
    world.ledger_is_sound();
}

#[test]
fn a_refusal_of_one_channel_takes_the_other_though_it_was_not_open() {
    const PEOPLE: usize = 16;
    let server = slow(Duration::from_millis(200));
    let world = town(&server, PEOPLE, |_| vec!["2026-12-01"]);
    world.edit(PIPELINE, "[channel]", "[[channels]]\nname = \"mail\"");
    let folder = "[[channels]]\nname = \"paper\"\nkind = \"folder\"\nfrom = \"nhac-viec@anbinh.example\"\n\
                  from_name = { vi = \"An Bình\", en = \"An Bình\" }\n\n[unit]";
    world.edit(PIPELINE, "[unit]", folder);
    world.edit(ITEM, "level = 1", "level = 1\nchannels = [\"mail\", \"paper\"]");
    let run = Running::start(&world, &["run", "--as-of", NIGHT, "--format", "json"]);
    wait_for(&server, 2);
    refuse_by(&world, &subjects(&world), "mail");
    let before = taken(&server);
    run.ended().with(0);
    let left = taken(&server);
    assert!(left <= before + 4, "{left} after {before}");
    // Nobody is left out, and nobody gets two.
    let written = world.messages().len();
    assert_eq!(left + written, PEOPLE);
    let states = states(&world);
    assert_eq!(states.get(&(MessageState::Accepted, Some("accepted".into()))), Some(&PEOPLE), "{states:?}");
    let other = states.get(&(MessageState::Dropped, Some("another channel takes its place".into())));
    assert_eq!(other, Some(&written), "{states:?}");
    world.ledger_is_sound();
}
