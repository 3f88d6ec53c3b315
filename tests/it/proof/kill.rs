//! Kill -9 at random points of a run: none lost, and repeated only what the ledger calls uncertain.

use std::collections::BTreeSet;
use std::time::Duration;

use chudong::ledger::MessageState;
use chudong::run::remind::convoy::GROUPS_IN_FLIGHT;

use super::{Running, keys_in, number, taken, times, town, uncertain_in};
use crate::support::smtp::Server;

/// Messages that one connection has in a group.
const GROUP: usize = 32;

/// What the kills have come to.
struct Outcome {
    points: usize,
    killed: usize,
    in_flight: usize,
    lost: usize,
    repeated: usize,
    uncertain: usize,
    unmarked: usize,
    most: usize,
}

/// Kills a run at random points, each so many messages after the start of its own process, and lets the last one end.
///
/// `CHUDONG_TEST_KILLS=200 CHUDONG_TEST_MESSAGES=20000` is the proof; the suite takes a few points.
fn killed_at_random_points(policy: &str, code: i32) -> Outcome {
    let (points, messages) = (number("CHUDONG_TEST_KILLS", 2), number("CHUDONG_TEST_MESSAGES", 300));
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town(&server, messages, policy);
    // Few enough for each process that the last points still meet messages: a killed one leaves a window behind.
    let most_point = (messages / points).saturating_sub(if policy == "resend" { 0 } else { GROUP }) * 6 / 5;
    let mut bytes = vec![0; points * 8];
    getrandom::fill(&mut bytes).unwrap();
    let points: Vec<usize> =
        bytes.chunks(8).map(|part| u64::from_le_bytes(part.try_into().unwrap()) as usize % most_point).collect();
    let mut killed = 0;
    for point in &points {
        let before = taken(&server);
        let mut run = Running::start(&world);
        while taken(&server) <= before + point && !run.is_over() {
            std::thread::sleep(Duration::from_micros(200));
        }
        killed += usize::from(run.kill());
    }
    world.night(super::NIGHT).with(code);
    world.ledger_is_sound();

    let (times, keys, uncertain) = (times(&server), keys_in(&world.state()), uncertain_in(&world.state()));
    assert_eq!(keys.len(), messages, "each has one message, whatever happened");
    let ever: BTreeSet<&String> = uncertain.values().flatten().collect();
    let repeated: Vec<&String> = times.iter().filter(|(_, times)| **times > 1).map(|(id, _)| &keys[id]).collect();
    // What nobody took is lost, unless the clerk is asked about it.
    let left: BTreeSet<String> = world
        .outbox()
        .into_iter()
        .filter(|row| row.state == MessageState::Uncertain)
        .map(|row| row.message_id)
        .collect();
    let lost = keys.keys().filter(|id| !times.contains_key(*id) && !left.contains(*id)).count();
    let over = |row: &chudong::ledger::OutboxRow| matches!(row.state, MessageState::Accepted | MessageState::Uncertain);
    assert!(world.outbox().iter().all(over));
    Outcome {
        points: points.len(),
        killed,
        in_flight: uncertain.len(),
        lost,
        unmarked: repeated.iter().filter(|key| !ever.contains(*key)).count(),
        repeated: repeated.len(),
        uncertain: uncertain.values().map(BTreeSet::len).sum(),
        most: uncertain.values().map(BTreeSet::len).max().unwrap_or(0),
    }
}

fn is_kept(policy: &str, outcome: &Outcome) {
    let window = GROUPS_IN_FLIGHT * GROUP;
    println!(
        "| policy | points | killed | with messages in flight | lost | repeated | uncertain | repeated, not marked | most uncertain in one crash | window |"
    );
    println!(
        "| {policy} | {} | {} | {} | {} | {} | {} | {} | {} | {window} |",
        outcome.points,
        outcome.killed,
        outcome.in_flight,
        outcome.lost,
        outcome.repeated,
        outcome.uncertain,
        outcome.unmarked,
        outcome.most
    );
    assert_eq!((outcome.lost, outcome.unmarked), (0, 0));
    assert!(outcome.most <= window, "{} messages were uncertain after one crash", outcome.most);
    assert!(outcome.killed >= outcome.points / 2, "most runs were over before they were killed");
    assert!(outcome.in_flight >= outcome.killed / 2, "most processes died with nothing in flight");
}

#[test]
fn a_run_killed_at_random_points_repeats_only_what_it_calls_uncertain() {
    let outcome = killed_at_random_points("resend", 0);
    is_kept("resend", &outcome);
}

#[test]
fn a_run_killed_at_random_points_repeats_nothing_where_a_clerk_decides() {
    let outcome = killed_at_random_points("leave_to_clerk", 3);
    is_kept("leave_to_clerk", &outcome);
    assert_eq!(outcome.repeated, 0);
}
