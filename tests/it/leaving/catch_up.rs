//! Nights that are caught up prove their own day, and write to people on the day it is.

use std::process::Command;

use chudong::calendar::AsOf;
use jiff::ToSpan;
use jiff::civil::Date;

use super::*;
use crate::support::world::ANY_TIME;

fn server() -> Server {
    Server::start("220 test.example", &["PIPELINING"], usize::MAX)
}

/// The stages of all that was recorded to leave.
fn stages(world: &World) -> Vec<i64> {
    world.recorded().iter().map(|(_, line)| line["stage"].as_i64().unwrap()).collect()
}

#[test]
fn a_night_that_is_caught_up_writes_by_the_day_it_is() {
    let server = server();
    // Past its day; in its second stage by now; a first stage that was worth sending for two days.
    let world = town(&server, 9, |person| vec![["2026-11-19", "2026-11-26", "2026-12-02"][person % 3]]);
    world.edit(ITEM, "notice_days = [15, 5]", "notice_days = [15, 5]\nvalid_days = 2");
    let mut first = None;
    for night in ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"] {
        let ended = world.chudong(&["run", "--as-of", night, "--today", "2026-11-21", "--format", "json"]).with(0);
        first.get_or_insert(held(&ended));
    }
    let first = first.unwrap();
    assert_eq!(first.get("no longer valid"), Some(&6), "{first:?}");
    let mut recipients = server.recipients();
    recipients.sort();
    assert_eq!(recipients, ["m00001@example.com", "m00004@example.com", "m00007@example.com"]);
    assert_eq!(stages(&world), [5, 5, 5]);
    let proven = world.ledger().newest_proven("2026-11-30".parse().unwrap()).unwrap();
    assert_eq!(proven, Some("2026-11-21".parse().unwrap()));
    world.ledger_is_sound();
}

#[test]
fn a_night_that_is_caught_up_on_a_day_of_tet_waits_as_any_other() {
    let server = server();
    let world = town(&server, 2, |_| vec!["2027-02-20"]);
    any_day(&world);
    world.edit(PIPELINE, ANY_TIME, "attention = { quiet = \"never\" }");
    let night = |today: &str| world.chudong(&["run", "--as-of", "2027-02-04", "--today", today, "--format", "json"]);
    let ended = night("2027-02-06").with(0);
    assert_eq!(held(&ended).get("waits until after Tết"), Some(&2), "{}", ended.out);
    assert_eq!(taken(&server), 0);
    night("2027-02-12").with(0);
    assert_eq!(taken(&server), 2);
}

#[test]
fn the_scheduler_catches_up_without_writing_twice_or_too_late() {
    let server = server();
    let today = AsOf::today().date();
    let after = |days: i64| today.saturating_add(days.days()).to_string();
    let days = [after(-1), after(5)];
    let world = town(&server, 4, |person| vec![days[person % 2].as_str()]);
    any_day(&world);
    world.edit(PIPELINE, "missed = \"last\"", "missed = \"all\"");
    world.edit(PIPELINE, "cron = \"0 2 * * *\"", "cron = \"0 0 * * *\"");
    // The last night that was run: everybody's first notice lay ahead, or they were not written to yet.
    world.edit(ITEM, "notice_days = [15, 5]", "notice_days = [7, 5]");
    world.night(&after(-4)).with(0);
    let before = taken(&server);
    let mut service = world.command(&["schedule"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let proven = || world.ledger().newest_proven(AsOf::new(today)).unwrap();
    while proven() < Some(today) && begun.elapsed() < Duration::from_secs(240) {
        std::thread::sleep(Duration::from_millis(100));
    }
    Command::new("kill").arg(service.id().to_string()).status().unwrap();
    service.wait().unwrap();
    assert_eq!(proven(), Some(today));
    let runs = world.ledger().runs().unwrap();
    assert!(runs.iter().filter(|run| run.as_of.parse::<Date>().is_ok_and(|day| day <= today)).count() >= 5);
    let taken = server.taken.lock().unwrap();
    let mut late: Vec<&str> = taken[before..].iter().map(|(to, _)| to.as_str()).collect();
    late.sort_unstable();
    // Those who were due yesterday get nothing any more, the others their second notice alone.
    assert_eq!(late, ["m00001@example.com", "m00003@example.com"]);
    world.ledger_is_sound();
}
