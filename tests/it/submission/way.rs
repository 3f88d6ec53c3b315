//! The ledger and the night: what is announced before it leaves, what is settled, and what a crash costs.

use std::collections::BTreeMap;

use chudong::fault::Fault;
use chudong::ledger::Ledger;
use chudong::ledger::submissions::{Outcome, Stage, sealed_words_name};
use chudong::obligations::life::{Standing, State};
use chudong::personal::SealingKey;
use chudong::pipeline::publication::Submission as Terms;
use chudong::run::leaving::{self, Heard, Leaving, Left};
use chudong::simulate::{DossierMood, Simulator};
use chudong::submission::{Portal, Status};
use jiff::civil::date;
use tokio::runtime::Runtime;

use super::portal::QUICK;
use super::sample::{confirmed, terms, with_files};
use crate::support::world::World;

/// A ledger in a folder, a portal, and the way there.
struct Scene {
    runtime: Runtime,
    folder: tempfile::TempDir,
    simulator: Simulator,
    terms: Terms,
    key: SealingKey,
}

fn stage(mood: DossierMood) -> Scene {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    simulator.set_dossier_mood(mood);
    let terms = terms(&simulator.url(), Some(folder.path()));
    Scene { runtime, folder, simulator, terms, key: SealingKey::new([7; 32]) }
}

impl Scene {
    fn ledger(&self) -> Ledger {
        Ledger::open(self.folder.path(), "an-binh").unwrap()
    }

    fn submit(&self, leaving: Vec<Leaving>) -> (Left, Vec<Fault>) {
        let mut ledger = self.ledger();
        let done = self
            .runtime
            .block_on(leaving::submit(&self.terms, &mut ledger, ("-", date(2026, 11, 21)), leaving, QUICK))
            .unwrap();
        ledger.anchor().unwrap();
        self.is_sound();
        done
    }

    fn follow(&self) -> (Heard, Option<Fault>) {
        let mut ledger = self.ledger();
        let followed = leaving::follow(&self.terms, &mut ledger, "-", &self.key, QUICK);
        let done = self.runtime.block_on(followed).unwrap();
        ledger.anchor().unwrap();
        self.is_sound();
        done
    }

    #[track_caller]
    fn is_sound(&self) {
        let verified = chudong::ledger::verify::verify(self.folder.path()).unwrap();
        assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    }

    /// Each dossier's stage, and the kinds of its entries.
    fn stages(&self) -> BTreeMap<String, Stage> {
        let all = [Stage::Waiting, Stage::Announced, Stage::Filed, Stage::Refused, Stage::Ended];
        self.ledger().submissions(&all).unwrap().into_iter().map(|one| (one.dossier, one.stage)).collect()
    }

    fn kinds(&self, dossier: &str) -> Vec<String> {
        let entries = self.ledger().list(Some("submission."), 1000).unwrap();
        entries.into_iter().filter(|entry| entry.key == dossier).map(|entry| entry.kind).collect()
    }
}

fn leaving(dossier: &str, obligation: &str) -> Leaving {
    let (confirmed, subject) = (with_files(confirmed(dossier)), "a1".repeat(16));
    Leaving { confirmed, obligation: obligation.into(), subject }
}

#[test]
fn what_leaves_is_announced_first_and_handed_in_once() {
    let stage = stage(DossierMood::default());
    let (left, faults) = stage.submit(vec![leaving("one", "o1"), leaving("two", "o2")]);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(left.filed.len(), 2);
    assert_eq!(left.texts(), ["2 dossiers handed in to the portal"]);
    assert_eq!(stage.kinds("one"), ["submission.announced", "submission.numbered", "submission.filed"]);
    // The same again says nothing to anybody.
    let calls = stage.simulator.dossier_calls();
    let (left, faults) = stage.submit(vec![leaving("one", "o1"), leaving("two", "o2")]);
    assert_eq!((left, faults.len()), (Left::default(), 0));
    assert_eq!(stage.simulator.dossier_calls(), calls);
    let entries = stage.ledger().list(Some("submission."), 1000).unwrap();
    for personal in ["Nguyễn", "079085001234", "0900000001", "ảnh"] {
        assert!(entries.iter().all(|entry| !entry.body.contains(personal)));
    }
}

#[test]
fn a_run_that_died_between_the_answer_and_the_commit_hands_nothing_in_twice() {
    let stage = stage(DossierMood::default());
    let one = leaving("one", "o1");
    // As far as a run comes that is killed before it writes the receipt down.
    let departure = chudong::ledger::submissions::Departure {
        dossier: "one".into(),
        item: one.confirmed.item.clone(),
        obligation: one.obligation.clone(),
        subject: one.subject.clone(),
        due_on: one.confirmed.due_on,
    };
    stage.ledger().announce_submission("-", &departure).unwrap();
    let mut portal = Portal::open(&stage.terms, QUICK).unwrap();
    let number = stage.runtime.block_on(super::portal::hand_in(&mut portal, &one.confirmed)).unwrap();
    drop(portal);
    assert_eq!(stage.stages(), [("one".to_owned(), Stage::Announced)].into());
    let held = stage.simulator.dossiers();
    let (left, faults) = stage.submit(vec![one]);
    assert!(faults.is_empty());
    assert_eq!(left.filed, [("one".to_owned(), number)]);
    assert_eq!(stage.simulator.dossiers(), held, "the portal has it once, as it was");
    let kinds = ["submission.announced", "submission.announced", "submission.numbered", "submission.filed"];
    assert_eq!(stage.kinds("one"), kinds);
}

#[test]
fn a_portal_that_has_forgotten_the_key_still_has_the_dossier_once() {
    let stage = stage(DossierMood { lost_answers: 3, ..DossierMood::default() });
    let (left, faults) = stage.submit(vec![leaving("one", "o1")]);
    assert_eq!((left.filed.len(), faults.len()), (0, 1));
    let held = stage.simulator.dossiers();
    assert_eq!(held.len(), 1, "the portal has it, and its answers were lost");
    // A day later it would give another number for the same key.
    stage.simulator.forget_dossier_keys();
    let (left, faults) = stage.submit(vec![leaving("one", "o1")]);
    assert_eq!((left.filed.len(), faults.len()), (1, 0), "{faults:?}");
    assert_eq!(stage.simulator.dossiers().keys().collect::<Vec<_>>(), held.keys().collect::<Vec<_>>());
    assert_eq!(held.keys().next(), Some(&left.filed[0].1));
}

#[test]
fn one_that_is_refused_waits_for_a_person_and_the_others_leave() {
    let refused = [("9.999999".to_owned(), "PROCEDURE_CLOSED".to_owned())].into();
    let stage = stage(DossierMood { refused_procedures: refused, ..DossierMood::default() });
    let mut bad = leaving("bad", "o1");
    bad.confirmed.procedure = "9.999999".into();
    let mut worse = leaving("worse", "o2");
    worse.confirmed.identity_number = chudong::personal::Personal::new("12".into());
    let all = || vec![bad.clone(), worse.clone(), leaving("good", "o3")];
    let (left, faults) = stage.submit(all());
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["submission.refused", "submission.identity"]);
    assert_eq!(left.filed.len(), 1);
    assert_eq!(
        left.refused,
        [("bad".into(), "400 PROCEDURE_CLOSED".to_owned()), ("worse".into(), "submission.identity".to_owned())]
    );
    let calls = stage.simulator.dossier_calls().0;
    assert_eq!(stage.submit(all()).0, Left::default());
    assert_eq!(stage.simulator.dossier_calls().0, calls, "what was refused is not offered again by itself");
    // A person says that it may be tried again.
    stage.simulator.set_dossier_mood(DossierMood::default());
    assert!(stage.ledger().submit_again("bad", "clerk").unwrap());
    assert!(!stage.ledger().submit_again("good", "clerk").unwrap() && !stage.ledger().submit_again("?", "c").unwrap());
    let (left, _) = stage.submit(all());
    assert_eq!(left.filed.len(), 1);
    assert_eq!(stage.stages()["bad"], Stage::Filed);
}

#[test]
fn a_dead_portal_is_said_once_and_everything_leaves_later() {
    let stage = stage(DossierMood { unwell: 3, ..DossierMood::default() });
    let all = || (0..5).map(|at| leaving(&format!("d{at}"), &format!("o{at}"))).collect::<Vec<_>>();
    let (left, faults) = stage.submit(all());
    assert_eq!((left.filed.len(), faults.len()), (0, 1));
    assert_eq!(stage.stages(), [("d0".to_owned(), Stage::Announced)].into());
    let (left, faults) = stage.submit(all());
    assert_eq!((left.filed.len(), faults.len()), (5, 0));
    assert_eq!(stage.simulator.dossiers().len(), 5);
}

#[test]
fn each_status_is_written_down_once_and_ends_what_it_ends() {
    let stage = stage(DossierMood::default());
    let all: Vec<Leaving> = Status::ALL.map(|status| leaving(&format!("d{}", status.number()), "o")).into();
    let (left, _) = stage.submit(all);
    for ((_, number), status) in left.filed.iter().zip(Status::ALL) {
        stage.simulator.set_dossier_status(number, status.number().into(), "Đề nghị bà Đào nộp bổ sung");
    }
    let (heard, fault) = stage.follow();
    assert!(fault.is_none());
    assert_eq!((heard.asked, heard.news.len(), heard.unspoken), (10, 10, 0));
    insta::assert_snapshot!("statuses", heard.texts().join("\n"));
    let ended = |outcome| {
        let ended = stage.ledger().submissions(&[Stage::Ended]).unwrap();
        let of = ended.into_iter().filter(|one| one.outcome == Some(outcome)).map(|one| one.dossier);
        of.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!((ended(Outcome::Fulfilled), ended(Outcome::OpenAgain)), ("d10 d9".into(), "d3 d7 d8".into()));
    // The same again is no news; another word about the same status is kept, and is none either.
    let (again, _) = stage.follow();
    assert_eq!((again.asked, again.news.len()), (5, 0));
    let entries = stage.ledger().list(Some("submission.status"), 100).unwrap().len();
    assert_eq!(entries, 10);
    stage.simulator.set_dossier_status(&left.filed[4].1, 5, "và ảnh thẻ");
    assert_eq!(stage.follow().0.news.len(), 0);
    let five = stage.ledger().submission_of("d5").unwrap().unwrap();
    let words = stage.key.open(&sealed_words_name("d5"), five.words.as_deref().unwrap()).unwrap();
    assert_eq!(words.reveal(), "và ảnh thẻ");
    // Nobody reads it in the ledger's entries, and it goes with the person.
    let said = stage.ledger().list(Some("submission.status"), 100).unwrap();
    assert!(said.iter().all(|entry| !entry.body.contains("Đào") && !entry.body.contains("ảnh")));
    assert_eq!(stage.ledger().erase_submissions(&five.subject, "clerk").unwrap(), 10);
    stage.ledger().anchor().unwrap();
    stage.is_sound();
    assert!(stage.ledger().submission_of("d5").unwrap().unwrap().words.is_none());
}

#[test]
fn a_row_that_somebody_changed_is_named() {
    let stage = stage(DossierMood::default());
    let (left, _) = stage.submit(vec![leaving("one", "o1")]);
    stage.simulator.set_dossier_status(&left.filed[0].1, 5, "thiếu ảnh");
    stage.follow();
    let change = |sql: &str| {
        let path = stage.folder.path().join("ledger.sqlite");
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
        let verified = chudong::ledger::verify::verify(stage.folder.path()).unwrap();
        verified.faults.into_iter().map(|fault| fault.what).collect::<Vec<_>>().join("; ")
    };
    let kept = "create table kept as select * from submission;";
    let back = "delete from submission; insert into submission select * from kept; drop table kept;";
    change(kept);
    let found = change("update submission set status = 9, outcome = 'fulfilled', stage = 'ended'");
    assert!(found.contains("the dossier one is not what its entry says"), "{found}");
    change(&format!("{back} {kept}"));
    let found = change("update submission set words = x'00'");
    assert!(found.contains("what the portal wrote about dossier one"), "{found}");
    change(&format!("{back} {kept}"));
    let found = change("delete from submission");
    assert!(found.contains("the dossier one was removed"), "{found}");
    change(back);
    stage.is_sound();
}

// ---- a whole agency -----------------------------------------------------------

/// The sample agency, which hands dossiers in at a portal.
fn world(simulator: &Simulator, people: u64) -> World {
    let world = World::small(people);
    world.without_figures();
    world.edit("pipelines/an-binh/pipeline.toml", "\n[unit]\n", &super::sample::table(simulator, &world));
    world
}

/// The driving licences that are open and due soonest, by the ledger.
fn open(world: &World) -> Vec<Standing> {
    let mut open = Vec::new();
    let visit = |standing: Standing| {
        if standing.state == State::Open {
            open.push(standing);
        }
    };
    world.ledger().standings("driving_licence", visit).unwrap();
    open.sort_by_key(|standing| standing.due_on);
    open
}

/// Hands in a dossier for each of these obligations; gives their numbers at the portal.
fn hand_in(runtime: &Runtime, simulator: &Simulator, world: &World, obligations: &[&Standing]) -> Vec<String> {
    let leaving = obligations.iter().map(|standing| {
        let mut confirmed = confirmed(&standing.key);
        confirmed.due_on = standing.due_on;
        Leaving { confirmed, obligation: standing.key.clone(), subject: standing.subject.clone() }
    });
    let terms = terms(&simulator.url(), Some(&world.root()));
    let mut ledger = Ledger::open(&world.state(), "an-binh").unwrap();
    let (left, faults) =
        runtime.block_on(leaving::submit(&terms, &mut ledger, ("-", date(2026, 11, 21)), leaving, QUICK)).unwrap();
    ledger.anchor().unwrap();
    assert_eq!((left.filed.len(), faults.len()), (obligations.len(), 0));
    left.filed.into_iter().map(|(_, number)| number).collect()
}

#[test]
fn whoever_has_handed_in_is_not_reminded_until_something_is_asked_of_them() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = world(&simulator, 2_000);
    world.night("2026-11-21").with(0);
    // Reminded sixty days before, and to be reminded again thirty days before.
    let between = |standing: &Standing| (31..=54).contains(&(standing.due_on - date(2026, 11, 21)).get_days());
    let told = |key: &str| world.outbox().into_iter().filter(|row| row.obligation == key).count();
    let open: Vec<Standing> = open(&world).into_iter().filter(|one| between(one) && told(&one.key) == 1).collect();
    let [quiet, asked, other, ..] = open.as_slice() else { panic!("too few people: {}", open.len()) };
    let numbers = hand_in(&runtime, &simulator, &world, &[quiet, asked]);
    simulator.set_dossier_status(&numbers[0], 4, "");
    simulator.set_dossier_status(&numbers[1], 6, "lệ phí 135.000 đồng");
    let said = world.night("2026-12-15").with(0).out;
    assert!(said.contains("1 a dossier is handed in"), "{said}");
    assert_eq!((told(&quiet.key), told(&asked.key), told(&other.key)), (1, 2, 2));
    simulator.set_dossier_status(&numbers[0], 5, "Đề nghị bổ sung ảnh");
    world.night("2026-12-16").with(0);
    assert_eq!((told(&quiet.key), told(&asked.key)), (2, 2));
    world.ledger_is_sound();
}

#[test]
fn a_dossier_that_is_decided_settles_its_obligation_and_one_that_is_not_accepted_leaves_it_open() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = world(&simulator, 400);
    world.night("2026-11-21").with(0);
    let open = open(&world);
    let [done, stopped, untouched, ..] = open.as_slice() else { panic!("too few people: {}", open.len()) };
    let numbers = hand_in(&runtime, &simulator, &world, &[done, stopped]);
    simulator.set_dossier_status(&numbers[0], 9, "");
    simulator.set_dossier_status(&numbers[1], 3, "thiếu giấy khám sức khỏe");
    let said = world.night("2026-11-22").with(0).out;
    assert!(said.contains("1 dossier at the portal: done; the obligation is fulfilled"), "{said}");
    assert!(said.contains("1 dossier at the portal: not accepted; the obligation is open"), "{said}");
    let stands = |key: &str| {
        let mut found = None;
        world
            .ledger()
            .standings("driving_licence", |one| {
                if one.key == key {
                    found = Some(one)
                }
            })
            .unwrap();
        found.unwrap()
    };
    assert_eq!((stands(&done.key).state, stands(&stopped.key).state), (State::Fulfilled, State::Open));
    assert!(!stands(&done.key).is_late());
    assert_eq!(stands(&untouched.key).state, State::Open);
    // The register still knows nothing of it: the next night does not open it again, and asks about nothing any more.
    let calls = simulator.dossier_calls();
    world.night("2026-11-23").with(0);
    assert_eq!(stands(&done.key).state, State::Fulfilled);
    assert_eq!(simulator.dossier_calls(), calls);
    world.ledger_is_sound();
}
