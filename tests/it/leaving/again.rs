//! What the other side put off: it waits, it is looked at with everything else, and it is tried again when its time has
//! come, in the same run or in one that the scheduler begins.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chudong::calendar::AsOf;
use chudong::reminders::window::Window;
use chudong::schedule;
use chudong::{check, run};
use jiff::civil::date;

use super::*;
use crate::support::smtp::Mood;

const GREY: Mood = Mood::AtRecipient("451 4.7.1 greylisted");

/// A server that puts everything off, and how often it did.
fn grey() -> (Server, Arc<AtomicUsize>) {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    server.set_moods(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        GREY
    });
    (server, asked)
}

/// A town whose stays end ten days from today: what is tried again is judged by the clock, and would be too late on another
/// day.
fn soon(server: &Server, people: usize) -> World {
    let ends = AsOf::today().date().saturating_add(jiff::ToSpan::days(10)).to_string();
    let world = town(server, people, |_| vec![ends.as_str()]);
    any_day(&world);
    world
}

/// A night of today in this process, whose pauses between tries have so many hundredths of their length.
fn patient(world: &World, pauses_percent: u32) -> std::thread::JoinHandle<Report> {
    let (root, state) = (world.root(), world.state());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let world =
            chudong::world::World { retry_minutes: 5, pauses_percent, ..chudong::world::World::new(root, state) };
        runtime.block_on(async {
            let checked = check::check(&world.root, "an-binh").await.unwrap();
            run::run(&world, &checked, AsOf::today(), &[]).await.unwrap()
        })
    })
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(300), "it never came to it: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_refusal_is_heard_by_what_waits_for_another_try() {
    const PEOPLE: usize = 12;
    let (server, asked) = grey();
    let world = soon(&server, PEOPLE);
    let run = patient(&world, 2);
    wait_until("all are put off", || asked.load(Ordering::Relaxed) >= PEOPLE);
    refuse(&world, &subjects(&world));
    // A refusal is heard within a quarter of a second, and later on a busy machine; who asks before is put off again.
    std::thread::sleep(Duration::from_secs(2));
    server.set_moods(|_| Mood::Takes);
    let report = run.join().unwrap();
    assert_eq!(taken(&server), 0);
    assert_eq!(report.items[0].held.get("refuses reminders"), Some(&(PEOPLE as u64)));
    let states = states(&world);
    assert_eq!(states.get(&(MessageState::Dropped, Some("refuses reminders".into()))), Some(&PEOPLE), "{states:?}");
    world.ledger_is_sound();
}

#[test]
#[ignore = "a second look is at the soonest after a minute"]
fn a_second_look_is_taken_at_what_waits_for_another_try() {
    const PEOPLE: usize = 12;
    let (server, asked) = grey();
    server.set_moods({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            Mood::DropsAtData
        }
    });
    let world = soon(&server, PEOPLE);
    world.edit(PIPELINE, "connections = 1", "connections = 1\nrecheck_minutes = 1");
    let table = "[sources.population.tables.temporary_residences]";
    world.edit(PIPELINE, table, &format!("{table}\nvolume = {{ drop_percent = 100 }}"));
    let run = patient(&world, 100);
    wait_until("all are put off", || asked.load(Ordering::Relaxed) >= PEOPLE);
    let register = rusqlite::Connection::open(world.root().join(REGISTER)).unwrap();
    register.execute_batch("delete from temporary_residences").unwrap();
    std::thread::sleep(Duration::from_secs(62));
    server.set_moods(|_| Mood::Takes);
    let report = run.join().unwrap();
    assert_eq!(taken(&server), 0, "{report}");
    assert_eq!(report.items[0].held.get("withdrawn"), Some(&(PEOPLE as u64)), "{report}");
}

#[test]
fn a_sending_run_waits_for_the_time_and_a_night_does_not() {
    const PEOPLE: usize = 5;
    let (server, asked) = grey();
    let world = soon(&server, PEOPLE);
    let today = AsOf::today().date();
    let tonight = today.to_string();
    let ended = world.chudong(&["run", "--as-of", &tonight, "--format", "json"]).with(0);
    let notes = report(&ended).notes.join("\n");
    assert!(notes.contains("5 messages wait to be tried again, the first at "), "{notes}");
    let deferred = world.ledger().deferred().unwrap();
    let now = chudong::calendar::now();
    assert_eq!(deferred.len(), PEOPLE);
    // As greylisting asks, and not all at once.
    let instants: std::collections::BTreeSet<_> = deferred.values().filter_map(|one| one.retry_at).collect();
    assert!(instants.len() > 1 && instants.iter().all(|at| (60..=450).contains(&at.duration_since(now).as_secs())));
    assert_eq!(world.ledger().next_try(None).unwrap(), instants.first().copied());
    assert_eq!(world.ledger().next_try(instants.last().copied()).unwrap(), None);

    server.set_moods(|_| Mood::Takes);
    let before = asked.load(Ordering::Relaxed);
    let ended = world.chudong(&["run", "--send", "--as-of", &tonight, "--format", "json"]).with(0);
    assert_eq!(held(&ended).get("waits for another try"), Some(&(PEOPLE as u64)), "{}", ended.out);
    assert_eq!((asked.load(Ordering::Relaxed), taken(&server)), (before, 0));
    world.night(&today.tomorrow().unwrap().to_string()).with(0);
    assert_eq!(taken(&server), PEOPLE);
    world.ledger_is_sound();
}

#[test]
fn the_scheduler_tries_again_when_the_time_has_come_and_the_window_is_open() {
    let at =
        |text: &str| text.parse::<jiff::civil::DateTime>().unwrap().to_zoned(chudong::calendar::vietnam()).unwrap();
    let at = |text: &str| at(text).timestamp();
    let window = Window::new(Some(chudong::pipeline::attention::Quiet::NIGHT), Default::default());
    let proven = Some(date(2026, 11, 21));
    let due = |start: &str, next: &str, now: &str| {
        let due = schedule::again(&window, proven, Some(at(start)), Some(at(next)), at(now));
        due.map(|as_of| as_of.to_string())
    };
    let today = Some("2026-11-21".to_owned());
    assert_eq!(due("2026-11-21T09:00:00", "2026-11-21T09:05:00", "2026-11-21T09:04:59"), None);
    assert_eq!(due("2026-11-21T09:00:00", "2026-11-21T09:05:00", "2026-11-21T09:05:00"), today);
    // Not one run for each message.
    assert_eq!(due("2026-11-21T09:00:00", "2026-11-21T09:00:30", "2026-11-21T09:01:59"), None);
    assert_eq!(due("2026-11-21T09:00:00", "2026-11-21T09:00:30", "2026-11-21T09:02:00"), today);
    assert_eq!(due("2026-11-21T20:50:00", "2026-11-21T21:05:00", "2026-11-21T21:05:00"), None);
    assert_eq!(due("2026-11-21T20:50:00", "2026-11-21T21:05:00", "2026-11-22T08:00:00"), Some("2026-11-22".into()));
    assert_eq!(schedule::again(&window, proven, None, None, at("2026-11-21T09:00:00")), None);
    assert_eq!(
        schedule::again(&Window::default(), None, None, Some(at("2026-11-21T09:00:00")), at("2026-11-21T10:00:00")),
        None
    );
}

#[test]
#[ignore = "the first pause is half a minute at the least, and two minutes lie between two runs"]
fn the_scheduler_sends_what_was_put_off_within_the_day() {
    const PEOPLE: usize = 6;
    let (server, asked) = grey();
    server.set_moods({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            Mood::DropsAtData
        }
    });
    let today = AsOf::today().date();
    let world = soon(&server, PEOPLE);
    world.edit(PIPELINE, "cron = \"0 2 * * *\"", "cron = \"0 0 * * *\"");
    let earlier = today.saturating_sub(jiff::ToSpan::days(7)).to_string();
    world.night(&earlier).with(0);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let mut service = world.command(&["schedule"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("all are put off", || asked.load(Ordering::Relaxed) >= PEOPLE);
    server.set_moods(|_| Mood::Takes);
    wait_until("all are sent", || taken(&server) == PEOPLE);
    Command::new("kill").arg(service.id().to_string()).status().unwrap();
    service.wait().unwrap();
    let runs = world.ledger().runs().unwrap();
    assert!(runs.iter().any(|run| run.outcome.as_deref() == Some("sent")), "{runs:?}");
    world.ledger_is_sound();
}
