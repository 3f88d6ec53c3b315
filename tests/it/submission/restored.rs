//! A ledger that was restored from a backup knows what people decided since, and hands nothing in twice.

use std::path::Path;

use chudong::ledger::submissions::Stage;
use chudong::ledger::{DossierState, Ledger};
use chudong::personal::dossier_links::DossierLinks;
use chudong::simulate::Simulator;
use tokio::runtime::Runtime;

use super::sample::table;
use crate::dossiers::{BASE, Desk, NIGHT, PIPELINE, agreeing, confirmed, links, opened, pseudonym_key, sent, version};
use crate::support::world::World;

/// What a backup holds of the ledger: the journals are kept out of it.
const FILES: [&str; 2] = ["ledger.sqlite", "ledger.head"];

fn backup(world: &World) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in FILES {
        std::fs::copy(world.state().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn restore(world: &World, backup: &Path) {
    for name in FILES {
        std::fs::copy(backup.join(name), world.state().join(name)).unwrap();
    }
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(world.state().join(name));
    }
}

/// Decides about the dossier behind a link; gives its number.
fn decide(desk: &Desk, world: &World, link: &str, act: &str) -> String {
    let (status, _, page) = desk.get(link);
    assert_eq!(status, 200, "{page}");
    let shown = version(&page);
    let answers = agreeing(&page);
    let fields = match act {
        "confirm" => sent(&answers),
        act => vec![("version", shown.as_str()), ("act", act), ("sure", "yes"), ("days", "7")],
    };
    let (status, _, told) = desk.post(link, &fields, &[]);
    assert_eq!(status, 200, "{told}");
    opened(world, link).dossier
}

fn state(world: &World, dossier: &str) -> DossierState {
    world.ledger().dossier(dossier).unwrap().unwrap().state
}

fn stage(world: &World, dossier: &str) -> Option<Stage> {
    world.ledger().submission_of(dossier).unwrap().map(|one| one.stage)
}

fn agency(simulator: &Simulator) -> World {
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(simulator, &world));
    world
}

#[test]
fn what_was_decided_and_handed_in_since_the_backup_is_known() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = agency(&simulator);
    world.night(NIGHT).with(0);
    let old = backup(&world);
    let all = links(&world);
    let [left, ended, waiting, declined, postponed, erased, ..] = all.as_slice() else { panic!("{}", all.len()) };
    let desk = Desk::start(&world);
    let left = decide(&desk, &world, left, "confirm");
    let ended = decide(&desk, &world, ended, "confirm");
    assert!(world.chudong(&["submit", "--today", NIGHT]).with(0).out.contains("2 dossiers handed in"));
    let number = |dossier: &str| world.ledger().submission_of(dossier).unwrap().unwrap().number.unwrap();
    let numbers = (number(&left), number(&ended));
    simulator.set_dossier_status(&numbers.1, 10, "");
    world.chudong(&["submit", "--today", NIGHT]).with(0);
    // These are decided, and nothing of them has left yet.
    let waiting = decide(&desk, &world, waiting, "confirm");
    let declined = decide(&desk, &world, declined, "decline");
    let postponed = decide(&desk, &world, postponed, "postpone");
    let erased = decide(&desk, &world, erased, "confirm");
    drop(desk);
    let said = confirmed(&world).into_iter().find(|one| one.dossier == waiting).unwrap();
    let until = world.ledger().dossier(&postponed).unwrap().unwrap().until;
    let mut ledger = Ledger::open(&world.state(), "an-binh").unwrap();
    let subject = ledger.dossier(&erased).unwrap().unwrap().subject;
    assert_eq!(ledger.erase_dossiers(&subject, "clerk").unwrap(), 1);
    ledger.anchor().unwrap();
    drop(ledger);

    restore(&world, old.path());
    assert_eq!((state(&world, &left), state(&world, &declined)), (DossierState::Prepared, DossierState::Prepared));
    let ended_night = world.night("2026-11-22").with(0);
    assert!(ended_night.out.contains("decisions, suppressions or stops were not known"), "{}", ended_night.out);
    assert!(ended_night.out.contains("1 dossier handed in to the portal"), "{}", ended_night.out);
    let states = [&left, &ended, &waiting, &declined, &postponed, &erased].map(|dossier| state(&world, dossier));
    use DossierState::{Confirmed, Declined, Erased, Postponed};
    let told = || {
        let entries = world.entries("dossier");
        let of = entries.iter().filter(|entry| entry.key == postponed || entry.body.contains(&postponed));
        of.map(|entry| format!("{} {} {}\n", entry.seq, entry.run, entry.kind)).collect::<String>()
    };
    assert_eq!(states, [Confirmed, Confirmed, Confirmed, Declined, Postponed, Erased], "{}", told());
    assert_eq!(world.ledger().dossier(&postponed).unwrap().unwrap().until, until);
    let stages = [&left, &ended, &waiting, &declined].map(|dossier| stage(&world, dossier));
    assert_eq!(stages, [Some(Stage::Filed), Some(Stage::Ended), Some(Stage::Filed), None]);
    // The portal has each once, under the number that it gave before the ledger was lost.
    let at_portal = simulator.dossiers();
    assert_eq!(at_portal.len(), 3);
    assert!(at_portal.contains_key(&numbers.0) && at_portal.contains_key(&numbers.1));
    assert_eq!((number(&left), number(&ended)), numbers);
    // What the person confirmed is what they confirmed, to the letter.
    assert_eq!(confirmed(&world).into_iter().find(|one| one.dossier == waiting), Some(said));
    world.ledger_is_sound();
    let again = world.night("2026-11-23").with(0);
    assert!(!again.out.contains("were not known") && !again.out.contains("handed in to the portal"), "{}", again.out);
    assert_eq!(simulator.dossiers().len(), 3);
    // The journal holds no person; what was confirmed is sealed beside it, and went with who was erased.
    let journal = std::fs::read_to_string(world.state().join("said.journal")).unwrap();
    assert!(journal.contains(&subject) && !journal.contains("0912345678"));
    let beside: Vec<String> = std::fs::read_dir(world.state().join("said.parts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(beside.iter().any(|name| name.starts_with(&waiting)), "{beside:?}");
    assert!(!beside.iter().any(|name| name.starts_with(&erased)), "{beside:?}");
}

#[test]
fn a_ledger_that_is_older_than_the_dossier_learns_whose_it_was() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = agency(&simulator);
    // Two months before: nobody who is written to on the night was within sixty days of their day.
    drop(world.night("2026-09-20"));
    let old = backup(&world);
    world.night(NIGHT).with(0);
    let before = Ledger::read(old.path()).unwrap();
    // Links of the first night whose day is over by now lead nowhere.
    let made = DossierLinks::new(&pseudonym_key(&world), BASE);
    let is_new = |link: &String| {
        let says = made.open(link, NIGHT.parse().unwrap());
        says.is_ok_and(|says| before.dossier(&says.dossier).unwrap().is_none())
    };
    let new: Vec<String> = links(&world).into_iter().filter(is_new).collect();
    let [one, two, lost, idle, ..] = new.as_slice() else { panic!("too few new dossiers: {}", new.len()) };
    let desk = Desk::start(&world);
    let one = decide(&desk, &world, one, "confirm");
    let two = decide(&desk, &world, two, "decline");
    let lost = decide(&desk, &world, lost, "confirm");
    drop(desk);
    let undecided = world.ledger().dossier(&opened(&world, idle).dossier).unwrap().unwrap();
    let said = confirmed(&world).into_iter().find(|kept| kept.dossier == one).unwrap();
    let kept = world.ledger().dossier(&one).unwrap().unwrap();
    // Of one, what was confirmed did not survive either.
    for entry in std::fs::read_dir(world.state().join("said.parts")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with(&lost) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }

    restore(&world, old.path());
    assert!(world.ledger().dossier(&one).unwrap().is_none());
    // The link that somebody has leads nowhere, and the page says what comes.
    let (status, _, page) = Desk::start(&world).get(idle);
    assert!(status == 410 && page.contains("khôi phục") && page.contains("thư mới có đường dẫn mới"), "{page}");
    let night = world.night("2026-11-22").with(1);
    assert!(night.out.contains("dossiers.contents-lost"), "{}", night.out);
    assert!(night.out.contains("1 dossier handed in to the portal"), "{}", night.out);
    let now = world.ledger().dossier(&one).unwrap().unwrap();
    assert_eq!((&now.subject, &now.obligation, now.due_on), (&kept.subject, &kept.obligation, kept.due_on));
    assert_eq!(now.sealed, kept.sealed, "what was shown came with it");
    let states = [&one, &two, &lost].map(|dossier| state(&world, dossier));
    assert_eq!(states, [DossierState::Confirmed, DossierState::Declined, DossierState::Confirmed]);
    assert_eq!((stage(&world, &one), stage(&world, &lost)), (Some(Stage::Filed), None));
    let at_portal = simulator.dossiers();
    assert_eq!(at_portal.len(), 1);
    let text = at_portal.values().next().unwrap().dossier.to_string();
    assert!(text.contains(said.identity_number.reveal().as_str()));
    // What nobody had decided is prepared anew, and its person has a new letter with a link that works: once.
    let (again, state) =
        world.ledger().dossiers_of([undecided.obligation.as_str()]).unwrap().remove(&undecided.obligation).unwrap();
    assert!(again != undecided.dossier && state == DossierState::Prepared);
    let made_anew = || {
        let found = links(&world)
            .into_iter()
            .filter(|link| made.open(link, NIGHT.parse().unwrap()).is_ok_and(|says| says.dossier == again));
        found.collect::<Vec<_>>()
    };
    let [link] = made_anew().try_into().unwrap();
    assert_eq!(Desk::on(&world, "2026-11-22").get(&link).0, 200);
    world.night("2026-11-23");
    assert_eq!(made_anew().len(), 1);
    world.ledger_is_sound();
}
