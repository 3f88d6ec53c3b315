//! When a night is due: cron lines as crontab(5) reads them, and the nights that are missing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chudong::calendar::AsOf;
use chudong::calendar::cron::Cron;
use chudong::pipeline::Missed;
use chudong::schedule::{due, retry};
use jiff::Timestamp;
use jiff::civil::Date;
use proptest::prelude::*;

use crate::support::world::World;

// ---- the line -----------------------------------------------------------------

/// One part of a field: a number, a range, a step, a name.
fn part(low: u32, high: u32, names: &'static [&'static str]) -> BoxedStrategy<String> {
    let offset = low;
    let spelled = move |value: u32, by_name: bool| match names.get((value - offset) as usize) {
        Some(name) if by_name => (*name).to_owned(),
        _ => value.to_string(),
    };
    let value = low..=high;
    prop_oneof![
        (value.clone(), any::<bool>()).prop_map(move |(value, by_name)| spelled(value, by_name)),
        (value.clone(), value.clone(), any::<bool>()).prop_map(move |(a, b, by_name)| format!(
            "{}-{}",
            spelled(a.min(b), by_name),
            spelled(a.max(b), by_name)
        )),
        (value.clone(), value.clone(), 1..=high).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        (value, 1..=high).prop_map(|(from, step)| format!("{from}/{step}")),
    ]
    .boxed()
}

fn field(low: u32, high: u32, names: &'static [&'static str]) -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => (1..=high).prop_map(|step| format!("*/{step}")),
        4 => prop::collection::vec(part(low, high, names), 1..4).prop_map(|parts| parts.join(",")),
    ]
    .boxed()
}

const MONTHS: &[&str] = &["jan", "FEB", "Mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["SUN", "mon", "Tue", "wed", "thu", "fri", "sat"];

/// The same line for croner, which takes only a plain `*` for unrestricted where crontab(5) takes `*/2` as well:
/// with a star on either side both days must match, and `+` says so.
fn for_croner([minute, hour, day, month, weekday]: [&str; 5]) -> String {
    let is_and = (day.starts_with('*') || weekday.starts_with('*')) && day != "*" && weekday != "*";
    let plus = if is_and { "+" } else { "" };
    format!("{minute} {hour} {day} {month} {plus}{weekday}")
}

fn croner(line: &str) -> croner::Cron {
    croner::parser::CronParser::builder().sloppy_ranges(true).build().parse(line).unwrap()
}

/// The next times by croner, on civil time: Vietnam has no summer time, so that UTC stands in for it.
fn peer(line: &str, from: Timestamp, count: usize) -> Vec<Timestamp> {
    let shift = 7 * 3600;
    let from = chrono::DateTime::from_timestamp(from.as_second() + shift, 0).unwrap();
    let times = croner(line).iter_after(from).take(count).collect::<Vec<_>>();
    times.into_iter().map(|time| Timestamp::from_second(time.timestamp() - shift).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A line fires when the independent implementation says that it does.
    #[test]
    fn a_line_fires_as_under_cron(
        minute in field(0, 59, &[]),
        hour in field(0, 23, &[]),
        day in field(1, 28, &[]),
        month in field(1, 12, MONTHS),
        weekday in field(0, 7, DAYS),
        from in 0_i64..3_000_000_000,
    ) {
        let line = format!("{minute} {hour} {day} {month} {weekday}");
        let ours = Cron::parse(&line).map_err(|error| TestCaseError::fail(format!("{line}: {error}")))?;
        let from = Timestamp::from_second(from).unwrap();
        let fired: Vec<Timestamp> = ours.after(from).take(6).collect();
        prop_assert_eq!(fired, peer(&for_croner([&minute, &hour, &day, &month, &weekday]), from, 6), "{}", line);
    }

    /// Nothing that a person can type ends in a panic, and what is refused says what to write.
    #[test]
    fn any_text_is_read_or_refused(line in "[-0-9*/,a-zA-Z# LW?@+é ]{0,24}") {
        if let Err(error) = Cron::parse(&line) {
            prop_assert!(!error.to_string().is_empty() && !error.next().is_empty());
        }
    }
}

fn times(line: &str, from: &str, count: usize) -> Vec<String> {
    let cron = Cron::parse(line).unwrap();
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(7));
    cron.after(at(from)).take(count).map(|time| time.to_zoned(zone.clone()).strftime("%a %F %R").to_string()).collect()
}

/// An instant, by the clock in Vietnam.
fn at(text: &str) -> Timestamp {
    format!("{text}+07:00").parse().unwrap()
}

#[test]
fn the_lines_that_people_write_fire_when_they_think() {
    // Either day is enough, also where one of the two lists everything; a star beside it means both.
    assert_eq!(
        times("0 2 13 * 5", "2026-11-01T00:00:00", 3),
        ["Fri 2026-11-06 02:00", "Fri 2026-11-13 02:00", "Fri 2026-11-20 02:00"]
    );
    assert_eq!(times("0 2 1-31 * 1", "2026-11-03T12:00:00", 2), ["Wed 2026-11-04 02:00", "Thu 2026-11-05 02:00"]);
    assert_eq!(times("0 2 */2 * 1", "2026-11-03T12:00:00", 2), ["Mon 2026-11-09 02:00", "Mon 2026-11-23 02:00"]);
    // Sunday is 0, 7 and sun; a week may end with it.
    let sundays = ["Sun 2026-11-22 02:00", "Sun 2026-11-29 02:00"];
    for sunday in ["0", "7", "sun", "SUN", "0,7"] {
        assert_eq!(times(&format!("0 2 * * {sunday}"), "2026-11-21T12:00:00", 2), sundays, "{sunday}");
    }
    assert_eq!(times("0 2 * * sat-sun", "2026-11-21T12:00:00", 2), ["Sun 2026-11-22 02:00", "Sat 2026-11-28 02:00"]);
    assert_eq!(times("0 2 * * mon-sun", "2026-11-21T12:00:00", 2), ["Sun 2026-11-22 02:00", "Mon 2026-11-23 02:00"]);
    // A leap day; the table of years of the `cron` crate ends with 2100; the instant itself, which is not after itself.
    assert_eq!(times("0 0 29 2 *", "2096-03-01T00:00:00", 1), [] as [&str; 0]);
    assert_eq!(times("0 0 29 2 *", "2088-03-01T00:00:00", 1), ["Fri 2092-02-29 00:00"]);
    assert_eq!(times("0 2 * * *", "2026-11-21T02:00:00", 1), ["Sun 2026-11-22 02:00"]);
}

#[test]
fn a_refused_line_says_why() {
    let lines = [
        "",
        "0 2 * *",
        "0 0 2 * * *",
        "0 0 2 * * * 2026",
        "@daily",
        "0 0 31 2 *",
        "0 0 30 feb *",
        "0 0 0 * *",
        "60 0 * * *",
        "0 24 * * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "0 0 L * *",
        "0 0 * * 5#2",
        "*/0 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "+1 * * * *",
        "0 0 * * montag",
        "99999999999 * * * *",
        "*/99999999999999999999999 * * * *",
    ];
    let said: Vec<String> = lines
        .iter()
        .map(|line| match Cron::parse(line) {
            Ok(_) => format!("{line:?}: it is taken"),
            Err(error) => format!("{line:?}: {error}; {}", error.next()),
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

// ---- the nights ---------------------------------------------------------------

/// What is due, as dates.
fn nights(line: &str, missed: Missed, proven: Option<&str>, alive_since: &str, now: &str) -> Vec<String> {
    let proven = proven.map(|date| date.parse::<Date>().unwrap());
    let found = due(&Cron::parse(line).unwrap(), missed, proven, at(alive_since), at(now));
    found.into_iter().map(|as_of: AsOf| as_of.to_string()).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn a_night_is_due_once_its_hour_has_come() {
    for missed in [Missed::None, Missed::Last, Missed::All] {
        let nights = |now| nights("0 2 * * *", missed, Some("2026-11-20"), "2026-11-20T20:00:00", now);
        assert_eq!(nights("2026-11-21T01:59:59"), NONE);
        assert_eq!(nights("2026-11-21T02:00:00"), ["2026-11-21"]);
        // It failed, so that it is not proven: it stays due for the rest of the day.
        assert_eq!(nights("2026-11-21T23:59:59"), ["2026-11-21"]);
    }
}

#[test]
fn what_was_missed_follows_the_policy() {
    let nights = |missed| nights("0 2 * * *", missed, Some("2026-11-17"), "2026-11-20T20:00:00", "2026-11-21T03:00:00");
    assert_eq!(nights(Missed::All), ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"]);
    assert_eq!(nights(Missed::Last), ["2026-11-21"]);
    assert_eq!(nights(Missed::None), ["2026-11-21"]);
    let before = |missed| {
        super::schedule::nights("0 2 * * *", missed, Some("2026-11-17"), "2026-11-20T20:00:00", "2026-11-20T21:00:00")
    };
    assert_eq!(before(Missed::All), ["2026-11-18", "2026-11-19", "2026-11-20"]);
    assert_eq!(before(Missed::Last), ["2026-11-20"]);
    assert_eq!(before(Missed::None), NONE);
}

#[test]
fn a_first_start_has_missed_nothing() {
    for missed in [Missed::None, Missed::Last, Missed::All] {
        assert_eq!(nights("0 2 * * *", missed, None, "2026-11-20T20:00:00", "2026-11-20T21:00:00"), NONE);
        assert_eq!(nights("0 2 * * *", missed, None, "2026-11-20T20:00:00", "2026-11-21T02:00:00"), ["2026-11-21"]);
    }
}

#[test]
fn a_failed_night_stays_due_on_the_next_day() {
    let nights = |missed| nights("0 2 * * *", missed, Some("2026-11-20"), "2026-11-20T20:00:00", "2026-11-22T02:00:00");
    assert_eq!(nights(Missed::All), ["2026-11-21", "2026-11-22"]);
    assert_eq!(nights(Missed::None), ["2026-11-21", "2026-11-22"]);
    assert_eq!(nights(Missed::Last), ["2026-11-22"]);
}

#[test]
fn a_changed_line_does_not_run_a_proven_night_again() {
    for missed in [Missed::None, Missed::Last, Missed::All] {
        // Proven at two in the morning; from now on it is to fire at eleven in the evening.
        assert_eq!(
            nights("0 23 * * *", missed, Some("2026-11-20"), "2026-11-01T00:00:00", "2026-11-20T23:30:00"),
            NONE
        );
        assert_eq!(
            nights("0 23 * * *", missed, Some("2026-11-20"), "2026-11-01T00:00:00", "2026-11-21T23:00:00"),
            ["2026-11-21"]
        );
        // A line that fires each hour makes one night of a day, and none of a proven one.
        assert_eq!(nights("0 * * * *", missed, Some("2026-11-20"), "2026-11-01T00:00:00", "2026-11-20T23:30:00"), NONE);
        assert_eq!(
            nights("0 * * * *", missed, Some("2026-11-20"), "2026-11-01T00:00:00", "2026-11-21T09:30:00"),
            ["2026-11-21"]
        );
    }
}

#[test]
fn a_clock_that_goes_back_runs_nothing_twice() {
    for missed in [Missed::None, Missed::Last, Missed::All] {
        assert_eq!(nights("0 2 * * *", missed, Some("2026-11-21"), "2026-11-20T20:00:00", "2026-11-19T12:00:00"), NONE);
        // Set back before the start of the scheduler itself.
        assert_eq!(nights("0 2 * * *", missed, None, "2026-11-20T20:00:00", "2026-11-18T12:00:00"), NONE);
    }
}

#[test]
fn a_long_pause_does_not_hide_the_present() {
    // Two years for a daily line, two months for an hourly one: more than a year of firings.
    for (line, proven) in [("0 2 * * *", "2024-11-20"), ("0 * * * *", "2026-09-20"), ("* * * * *", "2026-11-01")] {
        let nights = |missed| nights(line, missed, Some(proven), "2026-11-20T20:00:00", "2026-11-21T02:00:00");
        assert_eq!(nights(Missed::Last), ["2026-11-21"], "{line}");
        assert_eq!(nights(Missed::None).last().map(String::as_str), Some("2026-11-21"), "{line}");
        let all = nights(Missed::All);
        assert_eq!(all.last().map(String::as_str), Some("2026-11-21"), "{line}");
        assert!(all.len() <= 367, "{line}: {} nights to catch up with", all.len());
    }
}

#[test]
fn the_list_says_the_next_five_times_of_each_agency() {
    let output = Command::new(env!("CARGO_BIN_EXE_chudong"))
        .args(["schedule", "--list", "--root"])
        .arg(crate::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut agencies = 0;
    let mut lines = text.lines().peekable();
    while let Some(head) = lines.next() {
        agencies += 1;
        let (agency, line) = head.split_once("  ").unwrap();
        assert!(chudong::pipeline::agencies(crate::root()).contains(&agency.to_owned()), "{head}");
        let mut listed = Vec::new();
        while let Some(time) = lines.next_if(|line| line.starts_with("  ")) {
            let time = time.trim().strip_suffix(" +07:00").unwrap();
            listed.push(at(&format!("{}:00", time.replace(' ', "T"))));
        }
        assert_eq!(listed.len(), 5, "{text}");
        // The clock is not ours to set: the five are those that follow the minute before the first.
        let before = listed[0].checked_sub(jiff::SignedDuration::from_secs(60)).unwrap();
        assert_eq!(listed, Cron::parse(line).unwrap().after(before).take(5).collect::<Vec<_>>(), "{text}");
    }
    assert_eq!(agencies, chudong::pipeline::agencies(crate::root()).len());
}

// ---- the service ----------------------------------------------------------------

/// The `schedule` verb at work, and what it says on standard error.
struct Service {
    child: std::process::Child,
    said: Arc<Mutex<String>>,
}

impl Service {
    fn start(world: &World) -> Self {
        let mut command = world.command(&["schedule"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Service { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said this.
    #[track_caller]
    fn says(&mut self, text: &str) {
        for _ in 0..1_200 {
            if self.said().contains(text) {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before it said {text}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it never said {text}:\n{}", self.said());
    }

    /// Asks it to stop as systemd does, and gives its exit code.
    fn stop(mut self) -> Option<i32> {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        for _ in 0..2_400 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it did not stop:\n{}", self.said());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already where the test has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PIPELINE: &str = "pipelines/binh-minh/pipeline.toml";

/// The second agency, authorised on any day, and a night of today that is due as soon as one of yesterday is proven.
fn due_today() -> World {
    let world = World::of("binh-minh");
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let term = |line: &str| match line.split_once(" = ") {
        Some(("from", value)) if !value.contains('"') => "from = 2020-01-01".to_owned(),
        Some(("to", _)) => "to = 2099-12-31".to_owned(),
        Some(("cron", _)) => "cron = \"0 0 * * *\"".to_owned(),
        Some(("missed", _)) => "missed = \"all\"".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(term).collect();
    world.put(PIPELINE, (lines.join("\n") + "\n").as_bytes());
    // The samples end on a day: months after it would be held.
    world.without_exact();
    let yesterday = AsOf::today().date().yesterday().unwrap();
    world.night(&yesterday.to_string()).with(0);
    world
}

#[test]
fn a_scheduler_outlives_a_typo_and_says_it_once() {
    let world = World::of("binh-minh");
    let good = std::fs::read(world.root().join(PIPELINE)).unwrap();
    let mut service = Service::start(&world);
    service.says("waiting for the nights");
    world.put(PIPELINE, &[good.as_slice(), b"\nx = = 1\n"].concat());
    service.says("error[toml.syntax]");
    // Several naps: it waits, and does not repeat itself.
    std::thread::sleep(Duration::from_millis(2500));
    let said = service.said();
    assert_eq!(said.matches("this is not TOML: extra `=`").count(), 1, "{said}");
    world.put(PIPELINE, &good);
    service.says("what was wrong is mended");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_scheduler_waits_for_a_ledger_that_cannot_be_read() {
    let world = World::of("binh-minh");
    std::fs::create_dir_all(world.state()).unwrap();
    let ledger = world.state().join("ledger.sqlite");
    std::fs::write(&ledger, "this is no ledger, and long enough to be looked at as one ".repeat(20)).unwrap();
    let mut service = Service::start(&world);
    service.says("error[ledger.");
    std::fs::remove_file(&ledger).unwrap();
    service.says("what was wrong is mended");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_signal_during_a_night_is_obeyed_when_the_night_has_ended() {
    let world = due_today();
    let mut service = Service::start(&world);
    service.says("night begins");
    assert_eq!(service.stop(), Some(0));
    let runs = world.ledger().runs().unwrap();
    let today = AsOf::today().to_string();
    let tonight: Vec<_> = runs.iter().filter(|run| run.as_of == today).collect();
    assert_eq!(tonight.len(), 1, "{runs:?}");
    assert_eq!(tonight[0].outcome.as_deref(), Some("done"));
    world.ledger_is_sound();
}

#[test]
fn a_night_that_fails_is_tried_again_after_longer_and_longer_waits() {
    let first = Duration::from_secs(15 * 60);
    let at_two = at("2026-11-21T02:00:00");
    let fire = at("2026-11-22T02:00:00");
    let waits: Vec<i64> =
        (0..8).map(|before| retry(first, before, at_two, Some(fire)).duration_since(at_two).as_mins()).collect();
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 960, 1440]);
    assert_eq!(retry(first, u32::MAX, at_two, Some(fire)), fire);
    // A schedule that never fires again does not stop the attempts.
    assert_eq!(retry(first, 1, at_two, None).duration_since(at_two).as_mins(), 30);

    // Through the binary: a night that somebody has to mend fails once, and is not repeated at once.
    let world = due_today();
    world.put("sql/obligations/driving_licence.sql", b"this is no select");
    let mut service = Service::start(&world);
    service.says("next_attempt");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(service.said().matches("night begins").count(), 1, "{}", service.said());
    assert_eq!(service.stop(), Some(0));
}
