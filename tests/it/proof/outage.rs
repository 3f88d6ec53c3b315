//! A mail server that is gone for six hours, while the clock of the run goes as the test says: what could not leave
//! leaves after it, once; what is of no use any more does not.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chudong::ledger::MessageState;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{NIGHT, PIPELINE, Running, taken, town, uncertain_in};
use crate::support::smtp::{Mood, Server};
use crate::support::world::{World, run};

const PEOPLE: usize = 60;

/// So far the clock goes in one step, and how long a step takes.
const STEP_SECONDS: i64 = 600;
const STEP: Duration = Duration::from_millis(80);

/// So many get through before the server goes.
const SOME: usize = 12;

const HOUR: i64 = 3_600;

/// The clock on the wall, as libfaketime shows it to a process: it stands until it is set. Pauses are real ones.
struct Clock {
    file: PathBuf,
    now: Arc<AtomicI64>,
}

impl Clock {
    fn at(world: &World, instant: &str) -> Clock {
        let at: Timestamp = instant.parse().unwrap();
        let clock = Clock { file: world.temporary().join("clock"), now: Arc::default() };
        clock.set(at.as_second());
        clock
    }

    fn set(&self, at: i64) {
        self.now.store(at, Ordering::Release);
        let text = Timestamp::from_second(at).unwrap().to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S");
        chudong::files::replace(&self.file, text.to_string().as_bytes()).unwrap();
    }

    fn now(&self) -> i64 {
        self.now.load(Ordering::Acquire)
    }

    fn is_seen_by(&self, command: &mut Command) {
        let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
        let mut libraries = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
        let library = libraries.find(|file| file.is_file());
        assert!(library.is_some(), "libfaketime is missing: run ./test.sh --install");
        command.env("LD_PRELOAD", library.unwrap()).env("FAKETIME_TIMESTAMP_FILE", &self.file).env("TZ", "UTC");
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
    }
}

/// The way to the server, which is there or not: while it is not, nobody listens at its port.
struct Way {
    port: u16,
    to: u16,
    there: Option<Listening>,
}

/// The thread that takes connections, and what tells it to end.
struct Listening(std::thread::JoinHandle<()>, Arc<AtomicBool>);

impl Way {
    fn to(server: &Server) -> Way {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut way = Way { port, to: server.port, there: None };
        way.is_there(true);
        way
    }

    fn is_there(&mut self, yes: bool) {
        if !yes && let Some(Listening(thread, is_over)) = self.there.take() {
            is_over.store(true, Ordering::Release);
            thread.join().unwrap();
        }
        if yes && self.there.is_none() {
            let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let (is_over, to) = (Arc::new(AtomicBool::new(false)), self.to);
            let ends = Arc::clone(&is_over);
            let thread = std::thread::spawn(move || {
                while !ends.load(Ordering::Acquire) {
                    match listener.accept() {
                        Ok((client, _)) => join(client, TcpStream::connect(("127.0.0.1", to)).unwrap()),
                        Err(_) => std::thread::sleep(Duration::from_millis(2)),
                    }
                }
            });
            self.there = Some(Listening(thread, is_over));
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.is_there(false);
    }
}

/// What one says, the other hears, until either hangs up.
fn join(client: TcpStream, server: TcpStream) {
    for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
        from.set_nonblocking(false).unwrap();
        std::thread::spawn(move || {
            drop(std::io::copy(&mut from, &mut to));
            drop(to.shutdown(std::net::Shutdown::Both));
        });
    }
}

/// Every tenth has until tonight: for these nothing can be sent when the server is back.
fn is_last_day(person: usize) -> bool {
    person.is_multiple_of(10)
}

fn address(person: usize) -> String {
    format!("m{person:05}@example.com")
}

#[test]
fn after_six_hours_without_a_server_a_night_is_sent_once_and_nothing_after_its_last_day() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town(&server, PEOPLE, "resend");
    let mut way = Way::to(&server);
    world.edit(PIPELINE, &format!("port = {}\n", server.port), &format!("port = {}\n", way.port));
    // The clock runs thousands of times faster than the machine: a second look at the sources would last for hours.
    world.edit(PIPELINE, "connections = 1", "connections = 1\nrecheck_minutes = 1440");
    let register = rusqlite::Connection::open(world.root().join("data-samples/an-binh/population.sqlite")).unwrap();
    let ends = "update temporary_residences set expires_on = ?1 where registration_number like 'TR%0'";
    register.execute(ends, [NIGHT]).unwrap();
    drop(register);
    // Half past eight in the evening: the server is back at half past two, when another day has begun.
    let clock = Clock::at(&world, "2026-11-21T13:30:00Z");
    let begin = clock.now();
    let (now, had) = (Arc::clone(&clock.now), Arc::clone(&server.taken));
    let last_day: BTreeSet<String> = (0..PEOPLE).filter(|person| is_last_day(*person)).map(address).collect();
    let of_last_day = last_day.clone();
    server.set_moods(move |to| {
        let hours = (now.load(Ordering::Acquire) - begin) / HOUR;
        match hours {
            0 if had.lock().unwrap().len() < SOME && !of_last_day.contains(to) => Mood::Takes,
            ..3 => Mood::AtRecipient("421 4.3.2 closing"),
            3..6 => Mood::AtRecipient("450 4.3.0 not now"),
            _ => Mood::Takes,
        }
    });

    let mut command = world.command(&["run", "--as-of", NIGHT, "--retry-minutes", "900"]);
    clock.is_seen_by(&mut command);
    let mut night = Running::begin(&mut command);
    let started = Instant::now();
    while taken(&server) < SOME && !night.is_over() {
        std::thread::sleep(Duration::from_millis(5));
        assert!(started.elapsed() < Duration::from_secs(120), "{} were sent", taken(&server));
    }
    let mut before = 0;
    while !night.is_over() {
        std::thread::sleep(STEP);
        if clock.now() < begin + 6 * HOUR {
            before = taken(&server);
        }
        clock.set(clock.now() + STEP_SECONDS);
        // First it closes every conversation, then it is gone, then it lets nobody in.
        way.is_there(!(1..3).contains(&((clock.now() - begin) / HOUR)));
        assert!(clock.now() < begin + 15 * HOUR, "the run does not end");
    }
    // The outage is told, so that somebody looks; and so the night counts as failed.
    assert_eq!(night.0.wait().unwrap().code(), Some(1));
    assert!((SOME..SOME + 8).contains(&before), "{before} were sent before the server was back");

    let sent = server.recipients();
    let everybody: BTreeSet<String> = (0..PEOPLE).map(address).collect();
    assert_eq!(sent.iter().cloned().collect::<BTreeSet<_>>(), &everybody - &last_day);
    assert_eq!(sent.len(), PEOPLE - last_day.len(), "none twice: {:?}", uncertain_in(&world.state()));
    let in_state = |state| world.outbox().iter().filter(|row| row.state == state).count();
    assert_eq!(in_state(MessageState::Accepted), PEOPLE - last_day.len());
    // When a day has passed, what was of use on it alone is given up; what was just being tried is put off once more.
    assert_eq!(in_state(MessageState::Dropped) + in_state(MessageState::Deferred), last_day.len());
    world.ledger_is_sound();

    // The night after it says why those got none.
    let next = Clock::at(&world, "2026-11-22T13:30:00Z");
    let mut command = world.command(&["run", "--as-of", "2026-11-22"]);
    next.is_seen_by(&mut command);
    run(&mut command).with(0);
    assert_eq!(taken(&server), PEOPLE - last_day.len());
    let rows = world.outbox();
    let dropped = rows.iter().filter(|row| row.state == MessageState::Dropped);
    let reasons: BTreeSet<Option<&str>> = dropped.map(|row| row.reason.as_deref()).collect();
    let known = [Some("no longer valid"), Some("expired")];
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| known.contains(reason)), "{reasons:?}");
    assert_eq!(rows.iter().filter(|row| row.state == MessageState::Dropped).count(), last_day.len());
    world.ledger_is_sound();
}
