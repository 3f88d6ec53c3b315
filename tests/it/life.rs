//! What becomes of an obligation from night to night, and what no longer stands when a message is to leave.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use chudong::calendar::{from_days, to_days};
use chudong::obligations::life::{self, Event, Standing, State, Window};
use chudong::obligations::{Facts, Obligation};
use chudong::personal::Personal;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use crate::support::smtp::{Mood, Server};
use crate::support::world::World;

// ---- pure ----------------------------------------------------------------------------------

const NOTICE_DAYS: i32 = 15;
const SETTLE_DAYS: i32 = 5;

fn day(number: i32) -> Date {
    from_days(to_days(date(2026, 11, 1)) + number).unwrap()
}

/// What the sources say on one night of one obligation: nothing, or when it is due and whether it was done.
#[derive(Debug, Clone)]
struct Said {
    /// Days since the night before.
    nights: i32,
    row: Option<(i32, Option<i32>)>,
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let row = proptest::option::weighted(0.8, (0..40, proptest::option::weighted(0.3, 0..40)));
    let night = (0..6, row).prop_map(|(nights, row)| Said { nights, row });
    proptest::collection::vec(night, 1..12)
}

fn obligation(due: i32, done: Option<i32>) -> Obligation {
    Obligation {
        key: "k".parse().unwrap(),
        item: "licence".into(),
        subject_id: Personal::new("somebody".into()),
        due_on: day(due),
        fulfilled_on: done.map(day),
        rule_version: format!("term@{}", day(due % 2)).into(),
        facts: Facts::default(),
    }
}

proptest! {
    #[test]
    fn what_is_known_of_an_obligation_is_what_was_last_seen(nights in said()) {
        let mut known: Option<Standing> = None;
        let mut night = 0;
        for said in nights {
            night += said.nights;
            let window = Window { as_of: day(night), since: day(night - SETTLE_DAYS), until: day(night + NOTICE_DAYS) };
            // Of what lies outside the window the select says nothing.
            let asked = |due: i32| (night - SETTLE_DAYS..=night + NOTICE_DAYS).contains(&due);
            let seen = said.row.filter(|(due, _)| asked(*due)).map(|(due, done)| obligation(due, done));
            let before = known.clone();
            let changes = match (&before, &seen) {
                (None, None) => Vec::new(),
                (None, Some(seen)) => life::first(seen, || "pseudonym".into(), || Some("97001".into()), window).into_iter().collect(),
                (Some(before), seen) => life::next(before, seen.as_ref(), window),
            };
            prop_assert!(changes.len() <= 2);
            known = changes.last().map(|change| change.standing.clone()).or(before.clone());

            let state = known.as_ref().map(|known| known.state);
            match (&before, &seen) {
                (None, None) => prop_assert_eq!(state, None),
                // One that is over when it is first seen is nobody's business.
                (None, Some(seen)) => {
                    let open = seen.fulfilled_on.is_none() && seen.due_on >= day(night);
                    prop_assert_eq!(state, open.then_some(State::Open));
                }
                (Some(_), Some(seen)) if seen.fulfilled_on.is_some() => prop_assert_eq!(state, Some(State::Fulfilled)),
                (Some(_), Some(seen)) if seen.due_on >= day(night) => prop_assert_eq!(state, Some(State::Open)),
                (Some(_), Some(_)) => prop_assert_eq!(state, Some(State::Lapsed)),
                (Some(before), None) if before.state != State::Open => prop_assert_eq!(state, Some(before.state)),
                (Some(before), None) => {
                    let due = to_days(before.due_on) - to_days(day(0));
                    let expected = if due > night + NOTICE_DAYS {
                        State::Open
                    } else if due < night - SETTLE_DAYS {
                        State::Lapsed
                    } else {
                        State::Withdrawn
                    };
                    prop_assert_eq!(state, Some(expected));
                }
            }
            if let (Some(known), Some(seen)) = (&known, &seen) {
                // The day of what was done stays the one that was known.
                prop_assert!(known.state == State::Fulfilled || known.due_on == seen.due_on && known.rule_version == seen.rule_version);
                prop_assert_eq!(known.fulfilled_on.is_some(), known.state == State::Fulfilled);
            }
            // Where the person lived when it was first seen stays.
            prop_assert!(known.as_ref().is_none_or(|known| known.unit.as_deref() == Some("97001")));
            for change in &changes {
                let moved = change.event == Event::Moved;
                prop_assert_eq!(change.from.is_some(), moved);
                prop_assert!(moved || change.standing.since == day(night));
            }
            // The same night again: nothing new.
            if let Some(known) = &known {
                prop_assert_eq!(life::next(known, seen.as_ref(), window), Vec::new());
            }
        }
    }
}

// ---- whole nights -------------------------------------------------------------------------------

/// A town whose only register is that of temporary residences; the period of a stay is the stay, so that it can move.
struct Town {
    world: World,
    people: usize,
}

/// Number of the registration, number of the person, last day.
type Stay = (String, usize, &'static str);

fn stay(person: usize, last: &'static str) -> Stay {
    (format!("R{person}"), person, last)
}

impl Town {
    fn of(people: usize) -> Self {
        let world = World::of("binh-minh");
        let pipeline = "pipelines/binh-minh/pipeline.toml";
        world.edit(pipeline, "use = [\"driving_licence\", \"temporary_residence\"]", "use = [\"temporary_residence\"]");
        world.edit(pipeline, "file = \"tam_tru.csv\"\n", "file = \"tam_tru.csv\"\nvolume = { drop_percent = 100 }\n");
        // Its first night has as many obligations as it likes.
        let item = "pipelines/items/temporary_residence/item.toml";
        world.edit(item, "level = 1\n", "level = 1\nhold_change = \"never\"\n");
        let sql = "sql/obligations/temporary_residence.sql";
        world.edit(sql, "cast(residences.expires_on as varchar) as period", "'stay' as period");
        let mut text = "so_dinh_danh;ho_ten;ngay_sinh;ma_xa;ngon_ngu;thu_dien_tu;da_mat;tu_choi_nhac\n".to_owned();
        for person in 0..people {
            let line =
                format!("{};Nguyễn Văn {person};11/04/1993;98003;vi;p{person}@example.net;false;false\n", id(person));
            text.push_str(&line);
        }
        world.put("data-samples/binh-minh/cong_dan.csv", text.as_bytes());
        Town { world, people }
    }

    fn has(&self, stays: &[Stay]) {
        self.world.put("data-samples/binh-minh/tam_tru.csv", Self::register(stays).as_bytes());
    }

    fn register(stays: &[Stay]) -> String {
        let mut text = "so_dang_ky;so_dinh_danh;den_ngay;ngay_xoa\n".to_owned();
        for (number, person, last) in stays {
            text.push_str(&format!("{number};{};{last};\n", id(*person)));
        }
        text
    }

    /// Runs a night and gives what the summary says of the life of the obligations.
    fn night(&self, as_of: &str, code: i32) -> BTreeMap<String, u64> {
        let ended = self.world.chudong(&["run", "--as-of", as_of, "--format", "json"]).with(code);
        let report: chudong::report::Report = serde_json::from_str(&ended.out).unwrap();
        report.items.into_iter().next().map(|line| line.life).unwrap_or_default()
    }

    fn counted(&self) -> String {
        self.world.chudong(&["ledger", "obligations", "--item", "temporary_residence"]).with(0).out
    }
}

fn id(person: usize) -> String {
    format!("0980{person:08}")
}

fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect()
}

#[test]
fn an_obligation_is_followed_from_night_to_night() {
    let town = Town::of(5);
    let later = ("later".to_owned(), 1, "01/12/2028");
    let all: Vec<Stay> = (0..4).map(|person| stay(person, "01/12/2026")).chain([stay(4, "30/01/2027")]).collect();
    town.has(&all);
    assert_eq!(town.night("2026-11-21", 0), counts([("arisen", 4)]));
    // The same night again: nothing new.
    assert_eq!(town.night("2026-11-21", 0), counts([]));

    let changed = [stay(0, "01/12/2026"), stay(1, "01/12/2026"), later, stay(3, "03/12/2026"), stay(4, "30/01/2027")];
    town.has(&changed);
    assert_eq!(town.night("2026-11-22", 0), counts([("fulfilled", 1), ("moved", 1), ("withdrawn", 1)]));
    let after = "temporary_residence fulfilled 1\ntemporary_residence open 2\ntemporary_residence withdrawn 1\n";
    assert_eq!(town.counted(), after);

    // A replay of an earlier night changes nothing, whatever it sees.
    town.has(&all);
    assert_eq!(town.night("2026-11-20", 0), counts([]));
    assert_eq!(town.counted(), after);
    // Nor does a night on which the register cannot be read.
    town.world.put("data-samples/binh-minh/tam_tru.csv", b"not a register");
    assert_eq!(town.night("2026-11-23", 1), counts([]));
    assert_eq!(town.counted(), after);

    let mut again = changed.to_vec();
    again.push(stay(2, "01/12/2026"));
    town.has(&again);
    assert_eq!(town.night("2026-11-24", 0), counts([("returned", 1)]));
    // Their day goes by; one of them is done after it, and counted as late.
    assert_eq!(town.night("2026-12-04", 0), counts([("lapsed", 3)]));
    again.push(("late".to_owned(), 0, "01/12/2028"));
    town.has(&again);
    assert_eq!(town.night("2026-12-05", 0), counts([("fulfilled", 1), ("fulfilled late", 1)]));
    assert_eq!(town.counted(), "temporary_residence fulfilled 2\ntemporary_residence lapsed 2\n");
    town.world.ledger_is_sound();

    let asked = "select item, state, month, late, obligations from history.obligations order by state, late";
    let rows = town.world.chudong(&["query", "--format", "csv", asked]).with(0).out;
    assert_eq!(
        rows,
        "item,state,month,late,obligations\ntemporary_residence,fulfilled,2026-12,0,1\n\
         temporary_residence,fulfilled,2026-12,1,1\ntemporary_residence,lapsed,2026-12,0,2\n"
    );
    // The life of the one that moved, as it is written down.
    let ledger = town.world.ledger();
    let mut events = Vec::new();
    ledger
        .standings("temporary_residence", |standing| {
            let life = ledger.life("temporary_residence", &standing.key).unwrap();
            events.push(
                life.iter()
                    .map(|line| line.pointer("/change/0").unwrap().as_str().unwrap().to_owned())
                    .collect::<Vec<_>>(),
            );
        })
        .unwrap();
    events.sort();
    assert_eq!(
        events,
        [
            vec!["arisen", "fulfilled"],
            vec!["arisen", "lapsed", "fulfilled"],
            vec!["arisen", "moved", "lapsed"],
            vec!["arisen", "withdrawn", "returned", "lapsed"],
        ]
    );
    // Nobody's number is in the ledger.
    let bytes = std::fs::read(town.world.state().join("ledger.sqlite")).unwrap();
    for person in 0..town.people {
        let number = id(person);
        assert!(!bytes.windows(number.len()).any(|window| window == number.as_bytes()));
    }
}

#[test]
fn a_standing_that_somebody_changed_is_found_and_named() {
    let town = Town::of(3);
    town.has(&(0..3).map(|person| stay(person, "01/12/2026")).collect::<Vec<_>>());
    town.night("2026-11-21", 0);
    town.world.ledger_is_sound();
    let path = town.world.state().join("ledger.sqlite");
    let whole = std::fs::read(&path).unwrap();
    for (change, says) in [
        ("update obligation set state = 'fulfilled'", "is not what its entries say"),
        ("update obligation set due_on = '2026-12-02'", "is not what its entries say"),
        ("update obligation set unit = '97999'", "is not what its entries say"),
        ("update obligation set fulfilled_on = ''", "is not what its entries say"),
        ("delete from obligation", "the state of 3 obligations was removed"),
        (
            "insert into obligation select item, 'another', subject, due_on, rule_version, state, since, fulfilled_on, run, entry, unit from obligation limit 1",
            "obligation another has a state but no entry",
        ),
        ("update followed set as_of = '2026-01-01'", "the nights until which items were followed"),
        ("drop table obligation", "the table obligation is missing"),
    ] {
        rusqlite::Connection::open(&path).unwrap().execute(change, []).unwrap();
        let verified = town.world.chudong(&["ledger", "verify"]).with(1);
        assert!(verified.err.contains(says), "{change}: {}", verified.err);
        std::fs::write(&path, &whole).unwrap();
    }
    town.world.ledger_is_sound();
}

#[test]
fn a_ledger_from_before_obligations_were_followed_goes_on() {
    let town = Town::of(1);
    town.has(&[stay(0, "01/12/2026")]);
    // A run that stops before there is anything to follow.
    let state = town.world.state();
    std::fs::create_dir_all(&state).unwrap();
    let mut ledger = chudong::ledger::Ledger::open(&state, "binh-minh").unwrap();
    ledger.begin_run(chudong::calendar::AsOf::new(date(2026, 11, 20))).unwrap();
    ledger.anchor().unwrap();
    drop(ledger);
    let path = state.join("ledger.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch("drop table obligation; drop table followed").unwrap();
    town.world.ledger_is_sound();
    assert_eq!(chudong::ledger::verify::verify(&state).unwrap().faults.len(), 0);
    // The key is of the first night.
    let made = Town::of(1);
    made.has(&[stay(0, "01/12/2026")]);
    made.night("2026-11-21", 0);
    std::fs::create_dir_all(state.join("keys")).unwrap();
    std::fs::copy(made.world.state().join("keys/pseudonym.key"), state.join("keys/pseudonym.key")).unwrap();
    assert_eq!(town.night("2026-11-21", 0), counts([("arisen", 1)]));
    town.world.ledger_is_sound();
}

#[test]
fn a_message_leaves_only_if_its_obligation_still_stands() {
    // More than one group: while the first is on the wire, the register changes.
    const PEOPLE: usize = 600;
    let town = Town::of(PEOPLE);
    let server = Server::start("220 test.example", &[], 1000);
    let channel = format!(
        "kind = \"smtp\"\nrecheck_minutes = 0\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nconnections = 2",
        server.port
    );
    town.world.edit("pipelines/binh-minh/pipeline.toml", "kind = \"folder\"", &channel);
    town.has(&(0..PEOPLE).map(|person| stay(person, "01/12/2026")).collect::<Vec<_>>());

    let mut changed: Vec<Stay> = Vec::new();
    for person in 0..PEOPLE {
        match person % 4 {
            0 => changed.extend([stay(person, "01/12/2026"), (format!("L{person}"), person, "01/12/2028")]),
            1 => {}
            2 => changed.push(stay(person, "03/12/2026")),
            _ => changed.push(stay(person, "01/12/2026")),
        }
    }
    let register = Town::register(&changed);
    let file = town.world.root().join("data-samples/binh-minh/tam_tru.csv");
    let waiting = Mutex::new(Some((file, register)));
    server.set_moods(move |_| {
        if let Some((file, register)) = waiting.lock().unwrap().take() {
            std::fs::write(file, register).unwrap();
        }
        Mood::Takes
    });
    let night = |as_of: &str| {
        let ended = town.world.chudong(&["run", "--as-of", as_of, "--format", "json"]).with(0);
        let report: chudong::report::Report = serde_json::from_str(&ended.out).unwrap();
        report.items.into_iter().next().unwrap()
    };
    let line = night("2026-11-21");
    // After the first group only those of whom nothing changed were written to.
    let of_second = |rest: usize| {
        let first: Vec<usize> =
            server.recipients().iter().filter_map(|to| to[1..].split('@').next()?.parse().ok()).collect();
        (0..PEOPLE).filter(|person| person % 4 == rest && !first.contains(person)).count() as u64
    };
    let held = |reason: &str| line.held.get(reason).copied().unwrap_or(0);
    assert_eq!(server.recipients().len() as u64, line.messages);
    assert_eq!(held("fulfilled"), of_second(0));
    assert_eq!(held("withdrawn"), of_second(1));
    assert_eq!(held("due date moved"), of_second(2));
    assert_eq!(of_second(3), 0);
    assert_eq!(line.held.values().sum::<u64>(), PEOPLE as u64 - line.messages);
    // A group is 32 messages for each of the two connections.
    assert!(line.messages > 64 && held("fulfilled") > 0 && held("withdrawn") > 0 && held("due date moved") > 0);
    // What the second look saw is in the ledger: how the obligations stand, and that the sources were read again.
    let quarter = PEOPLE as u64 / 4;
    let expected = [("arisen", PEOPLE as u64), ("fulfilled", quarter), ("moved", quarter), ("withdrawn", quarter)];
    assert_eq!(line.life, counts(expected));
    let pulls = town.world.entries("pull").into_iter().filter(|entry| entry.key == "dan_cu.tam_tru").count();
    // Once at first, and once before each group.
    assert!(pulls > 2, "{pulls}");
    town.world.ledger_is_sound();

    // The next night writes to those whose day moved, with the right day, whether their letter was held or had left with
    // the other day; and to nobody else.
    let before = server.recipients().len();
    let line = night("2026-11-22");
    assert_eq!((server.recipients().len() - before) as u64, line.messages);
    assert_eq!(line.messages, quarter);
    town.world.ledger_is_sound();
}

/// Dossiers of the extension of a stay, or of another procedure: person, code, status, day.
type Filed = (usize, &'static str, u8, &'static str);

const EXTENSION: &str = "1.002755";

impl Town {
    /// The agency may use dossiers for reminding, and supplies them.
    fn may_use_dossiers(&self) {
        let pipeline = "pipelines/binh-minh/pipeline.toml";
        self.world.edit(
            pipeline,
            "purposes = [\"service_quality\"]",
            "purposes = [\"service_quality\", \"reminders\"]",
        );
        self.world.edit(pipeline, "file = \"ho_so.csv\"\n", "file = \"ho_so.csv\"\nvolume = { drop_percent = 100 }\n");
        self.world.put("sql/staging/binh-minh/filed_dossiers.sql", FILED.as_bytes());
    }

    /// The dossiers of the sample and these; gives the file as well, for a change in the middle of a night.
    fn with_dossiers(&self, filed: &[Filed]) -> (std::path::PathBuf, String) {
        let sample = std::fs::read_to_string(crate::root().join("data-samples/binh-minh/ho_so.csv")).unwrap();
        let mut text = sample;
        for (number, (person, code, status, day)) in filed.iter().enumerate() {
            text.push_str(&format!("F{number};{};{code};98003;2;{status};{day};;\n", id(*person)));
        }
        (self.world.root().join("data-samples/binh-minh/ho_so.csv"), text)
    }

    fn files(&self, filed: &[Filed]) {
        let (file, text) = self.with_dossiers(filed);
        std::fs::write(file, text).unwrap();
    }
}

const FILED: &str = "-- One row per dossier filed.
--
-- grain:   dossier_id
-- private: dossier_id, subject_id, received_on
select
    so_ho_so as dossier_id,
    so_dinh_danh as subject_id,
    ma_thu_tuc as procedure_code,
    trang_thai as status,
    ngay_tiep_nhan as received_on
from mot_cua.ho_so
";

#[test]
fn what_a_dossier_was_filed_for_is_fulfilled() {
    let town = Town::of(7);
    town.may_use_dossiers();
    let mut stays: Vec<Stay> = (0..7).map(|person| stay(person, "01/12/2026")).collect();
    stays.push(("second".into(), 4, "01/12/2026"));
    town.has(&stays);
    // The extension of a stay to 1 December may be filed from 16 November on.
    let mut filed = vec![
        (0, EXTENSION, 4, "20/11/2026"),
        (1, EXTENSION, 10, "15/11/2026"),
        (2, "1.004194", 4, "20/11/2026"),
        (3, EXTENSION, 3, "20/11/2026"),
        // Of which of the two stays it is, nobody can tell.
        (4, EXTENSION, 4, "20/11/2026"),
        (6, EXTENSION, 2, "16/11/2026"),
    ];
    town.files(&filed);
    // One that was filed is no duty any more when it is first seen.
    assert_eq!(town.night("2026-11-21", 0), counts([("arisen", 6)]));
    assert_eq!(town.world.messages().len(), 6);
    // Filed since; and the second stay of the fourth person as well.
    filed.extend([(5, EXTENSION, 1, "21/11/2026"), (4, EXTENSION, 1, "22/11/2026")]);
    town.files(&filed);
    assert_eq!(town.night("2026-11-22", 0), counts([("fulfilled", 3)]));
    // Nothing is known of what is filed later than the night.
    assert_eq!(town.night("2026-11-23", 0), counts([]));
    // What is withdrawn again settles nothing.
    filed.retain(|(person, ..)| *person != 5);
    filed.push((5, EXTENSION, 7, "21/11/2026"));
    town.files(&filed);
    assert_eq!(town.night("2026-11-24", 0), counts([("returned", 1)]));
    town.world.ledger_is_sound();
}

#[test]
fn dossiers_are_used_for_reminding_only_where_that_is_granted() {
    let town = Town::of(1);
    town.world.put("sql/staging/binh-minh/filed_dossiers.sql", FILED.as_bytes());
    let said = town.world.chudong(&["check"]).with(1).said();
    assert!(said.contains("sql/reminders/filed_dossiers.sql") && said.contains("the purpose reminders"), "{said}");
    let item = "pipelines/items/temporary_residence/item.toml";
    town.world.edit(item, "procedure_code = \"1.002755\"\n", "");
    let said = town.world.chudong(&["check"]).with(1).said();
    assert!(said.contains("error[pipeline.dossier-days]"), "{said}");
}

#[test]
fn a_dossier_that_is_filed_while_messages_leave_stops_its_message() {
    const PEOPLE: usize = 200;
    let town = Town::of(PEOPLE);
    town.may_use_dossiers();
    let server = Server::start("220 test.example", &[], 1000);
    let channel = format!(
        "kind = \"smtp\"\nrecheck_minutes = 0\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nconnections = 1",
        server.port
    );
    town.world.edit("pipelines/binh-minh/pipeline.toml", "kind = \"folder\"", &channel);
    town.has(&(0..PEOPLE).map(|person| stay(person, "01/12/2026")).collect::<Vec<_>>());
    town.files(&[]);
    let filed: Vec<Filed> =
        (0..PEOPLE).filter(|person| person % 2 == 0).map(|person| (person, EXTENSION, 1, "21/11/2026")).collect();
    let waiting = Mutex::new(Some(town.with_dossiers(&filed)));
    server.set_moods(move |_| {
        if let Some((file, text)) = waiting.lock().unwrap().take() {
            std::fs::write(file, text).unwrap();
        }
        Mood::Takes
    });
    let life = town.night("2026-11-21", 0);
    assert_eq!(life, counts([("arisen", PEOPLE as u64), ("fulfilled", filed.len() as u64)]));
    let written = |is_even: bool| {
        let people = server.recipients();
        let people = people.iter().filter_map(|to| to[1..].split('@').next()?.parse::<usize>().ok());
        people.filter(|person| (person % 2 == 0) == is_even).count()
    };
    // The first group had left; of the rest only those who filed nothing are written to.
    assert_eq!(written(false), PEOPLE / 2);
    assert!(written(true) < filed.len(), "{} of {}", written(true), filed.len());
    town.world.ledger_is_sound();
}

#[test]
fn a_stay_that_was_extended_in_place_is_fulfilled_and_one_that_is_gone_is_withdrawn() {
    let town = Town::of(3);
    town.has(&(0..3).map(|person| stay(person, "01/12/2026")).collect::<Vec<_>>());
    assert_eq!(town.night("2026-11-21", 0), counts([("arisen", 3)]));
    town.has(&[stay(0, "01/12/2028"), stay(2, "01/12/2026")]);
    let planned = town.world.chudong(&["plan", "--as-of", "2026-11-22", "--format", "json"]).with(0).out;
    let planned: chudong::report::Report = serde_json::from_str(&planned).unwrap();
    let expected = counts([("fulfilled", 1), ("withdrawn", 1)]);
    assert_eq!(planned.items.into_iter().next().unwrap().life, expected);
    assert_eq!(town.night("2026-11-22", 0), expected);
    // Nothing new on the nights after it.
    assert_eq!(town.night("2026-11-23", 0), counts([]));
    let after = "temporary_residence fulfilled 1\ntemporary_residence open 1\ntemporary_residence withdrawn 1\n";
    assert_eq!(town.counted(), after);
    town.world.ledger_is_sound();
}

#[test]
fn a_message_that_was_deferred_is_not_sent_when_its_obligation_is_done() {
    let town = Town::of(3);
    let server = Server::start("220 test.example", &[], 1000);
    let channel = format!("kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"", server.port);
    town.world.edit("pipelines/binh-minh/pipeline.toml", "kind = \"folder\"", &channel);
    let mut stays: Vec<Stay> = (0..3).map(|person| stay(person, "01/12/2026")).collect();
    town.has(&stays);
    server.set_moods(|_| Mood::AtEnd("452 4.2.2 mailbox full"));
    town.night("2026-11-21", 0);
    server.set_moods(|_| Mood::Takes);
    stays.push(("L0".into(), 0, "01/12/2028"));
    stays.remove(1);
    town.has(&stays);
    assert_eq!(town.night("2026-11-22", 0), counts([("fulfilled", 1), ("withdrawn", 1)]));
    assert_eq!(server.recipients(), ["p2@example.net"]);
}

#[test]
fn when_the_sources_cannot_be_read_again_nothing_more_is_sent() {
    const PEOPLE: usize = 520;
    let town = Town::of(PEOPLE);
    let server = Server::start("220 test.example", &[], 1000);
    let channel =
        format!("kind = \"smtp\"\nrecheck_minutes = 0\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"", server.port);
    town.world.edit("pipelines/binh-minh/pipeline.toml", "kind = \"folder\"", &channel);
    let stays: Vec<Stay> = (0..PEOPLE).map(|person| stay(person, "01/12/2026")).collect();
    town.has(&stays);
    let file = town.world.root().join("data-samples/binh-minh/tam_tru.csv");
    server.set_moods(move |_| {
        // It may be gone already.
        drop(std::fs::remove_file(&file));
        Mood::Takes
    });
    let ended = town.world.chudong(&["run", "--as-of", "2026-11-21"]).with(1);
    // A group is 32 messages for each of the four connections.
    assert_eq!(server.recipients().len(), 128);
    assert!(ended.out.contains("392 could not be looked at again before sending"), "{}", ended.out);
    // Nothing was withdrawn because a file was gone, and the next run sends the rest.
    assert_eq!(town.counted(), format!("temporary_residence open {PEOPLE}\n"));
    server.set_moods(|_| Mood::Takes);
    town.has(&stays);
    town.night("2026-11-21", 0);
    assert_eq!(server.recipients().len(), PEOPLE);
    town.world.ledger_is_sound();
}

// ---- people and businesses ----------------------------------------------------------------------

#[test]
fn an_item_for_businesses_writes_to_the_business() {
    let town = Town::of(3);
    let world = &town.world;
    let registers = "name;number;mail;closed\n";
    let line = |person: usize, closed: bool| format!("Hộ {person};{};b{person}@example.org;{closed}\n", id(person));
    // The third bears the number of a person who has another one; the fourth is a business alone.
    let text = format!("{registers}{}{}{}", line(1, false), line(2, true), line(3, false));
    world.put("data-samples/binh-minh/businesses.csv", text.as_bytes());
    let pipeline = "pipelines/binh-minh/pipeline.toml";
    let table = r#"[sources.dan_cu.tables.businesses]
file = "businesses.csv"
key = ["number"]
columns.name = { type = "text", class = "personal" }
columns.number = { type = "text", class = "personal", subject = true }
columns.mail = { type = "text", class = "personal" }
columns.closed = { type = "bool", class = "personal" }

[sources.dan_cu.tables.cong_dan]"#;
    world.edit(pipeline, "[sources.dan_cu.tables.cong_dan]", table);
    let staging = "-- One row per business of the area.
--
-- grain:   subject_id
-- private: subject_id, full_name, email, phone, language, commune_code, is_closed, refuses_reminders
select
    number as subject_id,
    name as full_name,
    mail as email,
    cast(null as varchar) as phone,
    'vi' as language,
    cast(null as varchar) as commune_code,
    closed as is_closed,
    false as refuses_reminders
from dan_cu.businesses
";
    world.put("sql/staging/binh-minh/businesses.sql", staging.as_bytes());
    town.has(&(0..5).map(|person| stay(person, "01/12/2026")).collect::<Vec<_>>());

    // An item that says nothing is for people: nobody is left out because of a closed business.
    let people = world.chudong(&["plan", "--as-of", "2026-11-21"]).with(0).out;
    assert!(people.contains("1 not in the register of people") && !people.contains("closed"), "{people}");
    let item = "pipelines/items/temporary_residence/item.toml";
    world.edit(item, "level = 1", "level = 1\naudience = \"business\"");
    let night = world.chudong(&["run", "--as-of", "2026-11-21"]).with(0).out;
    assert!(night.contains("1 business is closed, 1 not in the register of people"), "{night}");
    let messages = world.messages();
    let has = |address: &str| {
        let holds = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains(address);
        messages.values().flatten().any(holds)
    };
    assert!(has("p0@example.net") && has("b1@example.org") && has("b3@example.org"));
    assert!(!has("p1@example.net") && !has("b2@example.org") && !has("p2@example.net"));
    world.edit(item, "\"business\"", "\"everybody\"");
    assert!(world.chudong(&["check"]).with(1).err.contains("audience = \"everybody\" is not known"));
}

#[test]
fn an_item_without_a_page_of_its_own_leads_to_the_portal() {
    let town = Town::of(1);
    town.has(&[stay(0, "01/12/2026")]);
    let item = "pipelines/items/temporary_residence/item.toml";
    town.world.edit(item, "procedure_path = \"/thu-tuc/1.002755\"\n", "");
    town.world.edit(item, "procedure_code = \"1.002755\"\n", "");
    town.world.edit(item, "dossier_days = 15\n", "");
    town.world.chudong(&["check"]).with(0);
    assert_eq!(town.night("2026-11-21", 0), counts([("arisen", 1)]));
    assert_eq!(town.world.messages().len(), 1);
}
