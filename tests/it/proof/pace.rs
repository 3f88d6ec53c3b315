//! Two processes that send to one server at once are together no faster than the rate of one.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{NIGHT, PIPELINE, town};
use crate::support::smtp::{Mood, Server};
use crate::support::world::{ANY_TIME, World};

/// Messages of each process, and how many may leave in a second.
const PEOPLE: usize = 100;
const RATE: usize = 20;

/// What the instants of a test may be late by: a message arrives some time after its token was taken.
const LATE: usize = RATE / 2;

#[test]
fn two_nights_at_once_are_no_faster_than_the_rate() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let shared = tempfile::tempdir().unwrap();
    let first = town(&server, PEOPLE, "resend");
    let attention =
        format!("attention = {{ quiet = \"never\", tet = \"open\", shared = \"{}\" }}", shared.path().display());
    first.edit(PIPELINE, ANY_TIME, &attention);
    first.edit(PIPELINE, "connections = 1", &format!("connections = 1\nper_second = {RATE}"));
    let second = World::beside(&first);
    let register = rusqlite::Connection::open(second.root().join("data-samples/an-binh/population.sqlite")).unwrap();
    register.execute_batch("update citizens set email = 'n' || substr(email, 2)").unwrap();
    drop(register);
    let arrived: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
    let list = Arc::clone(&arrived);
    server.set_moods(move |to| {
        let mut list = list.lock().unwrap();
        if !list.iter().any(|(_, known)| known == to) {
            list.push((Instant::now(), to.to_owned()));
        }
        Mood::Takes
    });
    // Neither begins to send before the other has read its registers: a night of its own brings both that far.
    for world in [&first, &second] {
        world.night("2026-11-15").with(0);
    }
    std::thread::scope(|scope| {
        let runs = [&first, &second].map(|world| scope.spawn(|| world.night(NIGHT)));
        runs.into_iter().for_each(|run| drop(run.join().unwrap().with(0)));
    });

    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), 2 * PEOPLE);
    assert_eq!(server.recipients().len(), 2 * PEOPLE);
    let instants: Vec<Instant> = arrived.iter().map(|(at, _)| *at).collect();
    let of = |letter: char| arrived.iter().filter(move |(_, to)| to.starts_with(letter)).map(|(at, _)| *at);
    let both = of('m').min() < of('n').max() && of('n').min() < of('m').max();
    assert!(both, "one had ended before the other began: nothing is proved");
    for millis in [500_usize, 1_000, 2_000, 3_000] {
        let span = Duration::from_millis(millis as u64);
        let within = |from: &Instant| instants.iter().filter(|at| (*from..*from + span).contains(*at)).count();
        let most = instants.iter().map(within).max().unwrap();
        // A full bucket holds one second's worth.
        let allowed = RATE * millis / 1_000 + RATE + LATE;
        assert!(most <= allowed, "{most} messages within {millis} ms, and {allowed} are allowed");
    }
    let took = instants.iter().max().unwrap().duration_since(*instants.iter().min().unwrap());
    let least = Duration::from_millis(((2 * PEOPLE - RATE - LATE) * 1_000 / RATE) as u64);
    assert!(took >= least, "all had left after {took:?}, and {least:?} is the least");
    for world in [&first, &second] {
        world.ledger_is_sound();
    }
}
