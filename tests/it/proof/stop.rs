//! Too many are refused for good: what they have in common is stopped, the rest goes on, and after a person has lifted
//! the stop exactly what was held is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chudong::ledger::{Ledger, MessageState};

use super::{NIGHT, PIPELINE, number, taken, town};
use crate::support::smtp::{Mood, Server};
use crate::support::world::{ANY_TIME, World};

/// Messages that the town's one connection has in a group.
const GROUP: usize = 32;

/// From how many sent messages refusals count; 1,000 where the pipeline says nothing. Twice as many as are on their way
/// when a stop is heard, so that some are left to be held.
fn from() -> usize {
    number("CHUDONG_TEST_BREAKER", 200)
}

/// A town whose people have the addresses and languages that SQL makes of their number `n`.
fn town_of(server: &Server, people: usize, email: &str, language: &str) -> World {
    let world = town(server, people, "resend");
    let register = rusqlite::Connection::open(world.root().join("data-samples/an-binh/population.sqlite")).unwrap();
    let number = "cast(substr(citizen_id, 5) as integer)";
    let sql = format!("update citizens set email = {email}, language = {language}").replace("{n}", number);
    register.execute_batch(&sql).unwrap();
    let attention = format!("attention = {{ quiet = \"never\", tet = \"open\", breaker = {{ from = {} }} }}", from());
    world.edit(PIPELINE, ANY_TIME, &attention);
    world
}

/// Refuses for good some of those whom `is_bad` names: each `every`-th of them, once `patience` have been taken. However
/// the night orders its messages, so many of the bad ones are refused, and no more of all.
fn refuses(server: &Server, patience: usize, every: usize, is_bad: impl Fn(&str) -> bool + Send + 'static) {
    let seen: Mutex<BTreeMap<String, bool>> = Mutex::default();
    server.set_moods(move |to| {
        let mut seen = seen.lock().unwrap();
        let number = seen.len();
        let is_refused =
            is_bad(to) && *seen.entry(to.to_owned()).or_insert(number >= patience && number.is_multiple_of(every));
        if is_refused { Mood::AtRecipient("550 5.1.1 no such person here") } else { Mood::Takes }
    });
}

/// Runs the night, and again after the server was mended and the stop lifted. Gives what was stopped, as it is told.
fn stopped_and_lifted(world: &World, server: &Server, people: usize) -> Vec<String> {
    let ended = world.night(NIGHT).with(1);
    let first = taken(server);
    let rows = world.outbox();
    let refused = rows.iter().filter(|row| row.state == MessageState::Refused).count();
    let held = people - first - refused;
    assert!(held > 0 && ended.out.contains("run.stopped"), "{held} were held\n{}", ended.out);
    let told = world.chudong(&["ledger", "breakers"]).with(0).out;
    let stops: Vec<String> = told.lines().map(|line| line.split_once(':').unwrap().0.to_owned()).collect();
    // Whoever runs the night again changes nothing.
    let again = world.night(NIGHT).with(0);
    assert_eq!(taken(server), first, "{}", again.out);
    assert!(again.out.contains("is stopped since"), "{}", again.out);

    server.set_moods(|_| Mood::Takes);
    for scope in &stops {
        world.chudong(&["ledger", "breakers", "--lift", scope]).with(0);
    }
    world.night(NIGHT).with(0);
    assert_eq!(taken(server) - first, held, "exactly what was held");
    let recipients = server.recipients();
    assert_eq!(recipients.iter().collect::<BTreeSet<_>>().len(), recipients.len(), "none twice");
    world.night(NIGHT).with(0);
    assert_eq!(taken(server) - first, held);
    world.ledger_is_sound();
    stops
}

#[test]
fn a_domain_that_refuses_too_many_is_stopped_and_the_others_go_on() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    // A quarter lives at the domain that refuses half of them in the end.
    let people = from() * 5;
    let email = "printf('m%05d@%s.example.com', {n}, case {n} % 4 when 0 then 'bad' else 'good' end)";
    let world = town_of(&server, people, email, "'vi'");
    refuses(&server, from() * 3 / 4, 2, |to| to.ends_with("@bad.example.com"));
    let stops = stopped_and_lifted(&world, &server, people);
    assert_eq!(stops, ["domain bad.example.com smtp"]);
    let others = server.recipients().iter().filter(|to| to.ends_with("@good.example.com")).count();
    assert_eq!(others, people * 3 / 4);
}

#[test]
fn a_template_whose_messages_are_refused_is_stopped_and_the_other_language_goes_on() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let people = from() * 5;
    // Everybody lives somewhere else, so that no domain has enough of them.
    let email = "printf('m%05d@d%d.example.com', {n}, {n} / 20)";
    let world = town_of(&server, people, email, "case {n} % 4 when 0 then 'en' else 'vi' end");
    refuses(&server, from() * 3 / 4, 2, |to| to[1..6].parse::<usize>().unwrap().is_multiple_of(4));
    assert_eq!(stopped_and_lifted(&world, &server, people), ["template temporary_residence en smtp"]);
}

#[test]
fn an_item_is_stopped_where_neither_domain_nor_language_has_enough() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let people = from() * 5 / 2;
    let email = "printf('m%05d@d%d.example.com', {n}, {n} / 20)";
    let world = town_of(&server, people, email, "case {n} % 2 when 0 then 'en' else 'vi' end");
    refuses(&server, from() * 3 / 4, 2, |_| true);
    assert_eq!(stopped_and_lifted(&world, &server, people), ["item temporary_residence"]);
}

#[test]
fn what_was_on_its_way_when_it_was_stopped_does_not_leave() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let people = from() * 5 / 2;
    let world = town_of(&server, people, "printf('m%05d@example.com', {n})", "'vi'");
    // A group before the run is sure to have heard of enough refusals, the server waits until two are recorded behind
    // it; after it, until the stop is in the ledger.
    let (enough, asked, state) = (from().next_multiple_of(GROUP), Mutex::<BTreeSet<String>>::default(), world.state());
    let awaits = move |is_so: &dyn Fn(&Ledger) -> bool| {
        let begun = Instant::now();
        while !Ledger::read(&state).is_ok_and(|ledger| is_so(&ledger)) && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    server.set_moods(move |to| {
        let recorded = |ledger: &Ledger| ledger.outbox().unwrap().iter().filter(|row| row.attempts > 0).count();
        // The mood is asked for more than once for each.
        let mut asked = asked.lock().unwrap();
        let before = if asked.insert(to.to_owned()) { asked.len() - 1 } else { usize::MAX };
        if before == enough - GROUP {
            awaits(&|ledger| recorded(ledger) >= enough + GROUP);
        } else if before == enough {
            awaits(&|ledger| !ledger.stops().unwrap().is_empty());
        }
        Mood::AtRecipient("550 5.1.1 no such person here")
    });
    world.night(NIGHT).with(1);
    let rows = world.outbox();
    let refused = rows.iter().filter(|row| row.state == MessageState::Refused).count();
    // Of what was on its way only the message that the server had in its hands has left.
    assert!((from()..=enough + 1).contains(&refused), "{refused} have left");
    let recalled = rows.iter().filter(|row| row.state == MessageState::Deferred && row.attempts > 0).count();
    assert!(recalled >= GROUP - 1, "{recalled} came back from the wire");
    assert!(rows.iter().all(|row| row.state != MessageState::InFlight));
    server.set_moods(|_| Mood::Takes);
    for stop in world.chudong(&["ledger", "breakers"]).with(0).out.lines() {
        world.chudong(&["ledger", "breakers", "--lift", stop.split_once(':').unwrap().0]).with(0);
    }
    world.night(NIGHT).with(0);
    assert_eq!(taken(&server), people - refused, "what was held is sent once the stop is lifted");
    world.ledger_is_sound();
}

#[test]
fn a_few_refusals_are_warned_of_and_stop_nothing() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let people = from() * 3 / 2;
    let world = town_of(&server, people, "printf('m%05d@example.com', {n})", "'vi'");
    refuses(&server, 0, 14, |_| true);
    let ended = world.night(NIGHT).with(0);
    assert!(
        ended.out.contains("item temporary_residence: ") && ended.out.contains("refused for good"),
        "{}",
        ended.out
    );
    assert_eq!(taken(&server), people - people.div_ceil(14));
    assert_eq!(world.chudong(&["ledger", "breakers"]).with(0).out, "");
    world.ledger_is_sound();
}
