//! From the letter to the settled obligation, through the real binary.

use chudong::dossiers::{Basis, as_read};
use chudong::ledger::DossierState;
use chudong::ledger::submissions::Stage;
use chudong::obligations::life::{Standing, State};
use chudong::simulate::{DossierMood, Simulator};
use tokio::runtime::Runtime;

use super::sample::table;
use crate::dossiers::{Desk, NIGHT, PIPELINE, agreeing, confirmed, links, opened, sent};
use crate::support::world::World;

/// Confirms the dossiers behind so many letters, as a browser does; gives their numbers with their obligations.
pub fn confirm(world: &World, many: usize) -> Vec<String> {
    let links = links(world);
    let desk = Desk::start(world);
    let confirm = |link: &String| {
        let (status, _, page) = desk.get(link);
        assert_eq!(status, 200, "{page}");
        let (status, _, told) = desk.post(link, &sent(&agreeing(&page)), &[]);
        assert_eq!(status, 200, "{told}");
        opened(world, link).dossier
    };
    links.iter().take(many).map(confirm).collect()
}

/// How an obligation stands.
pub fn standing(world: &World, obligation: &str) -> Standing {
    let mut found = None;
    world
        .ledger()
        .standings("driving_licence", |one| {
            if one.key == obligation {
                found = Some(one)
            }
        })
        .unwrap();
    found.unwrap()
}

fn state(world: &World, obligation: &str) -> State {
    standing(world, obligation).state
}

#[test]
fn from_the_letter_to_the_settled_obligation() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    world.night(NIGHT).with(0);
    assert!(world.chudong(&["submit", "--today", NIGHT]).with(0).out.contains("no dossier is to be handed in"));
    let dossiers = confirm(&world, 3);
    let [done, stopped, refused] = dossiers.as_slice() else { panic!("three") };
    let kept = |dossier: &str| world.ledger().dossier(dossier).unwrap().unwrap();
    let obligations: Vec<String> = dossiers.iter().map(|dossier| kept(dossier).obligation).collect();

    // On paper: each value as it was confirmed, for this account alone, and the dossier goes on waiting.
    let folder = world.state().join("paper");
    let out = world.chudong(&["submit", "--paper", folder.to_str().unwrap()]).with(0).out;
    assert_eq!(out.lines().count(), 3, "{out}");
    for one in confirmed(&world) {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join(format!("{}.pdf", one.dossier));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = crate::paper::read(&[path]).remove(0);
        let text = crate::paper::squeezed(read["text"].as_str().unwrap());
        assert_eq!((read["ua_part"].as_str(), read["untagged"].as_u64()), (Some("1"), Some(0)));
        let basis = world.ledger().dossier_basis(&kept(&one.dossier).basis).unwrap().unwrap();
        let basis = Basis::read(&basis).unwrap();
        for field in &one.fields {
            let read = as_read(basis.form.field(&field.id).unwrap(), field.value.reveal());
            assert!(text.contains(&crate::paper::squeezed(&read.vi)), "{}", field.id);
        }
    }
    assert_eq!(world.entries("submission.printed").len(), 3);

    // One procedure is closed for a moment: what is refused waits for a person, and nothing is handed in twice.
    let procedure = confirmed(&world)[0].procedure.clone();
    let mood = DossierMood { lost_answers: 1, ..DossierMood::default() };
    simulator.set_dossier_mood(mood.clone());
    let said = world.chudong(&["submit", "--today", NIGHT]).with(0).out;
    assert!(said.contains("3 dossiers handed in to the portal"), "{said}");
    let at_portal = simulator.dossiers();
    assert_eq!(at_portal.len(), 3);
    assert!(at_portal.values().all(|held| held.dossier["MaTTHC"] == procedure.as_str()));
    let said = world.chudong(&["submit", "--today", NIGHT]).with(0).out;
    assert!(said.contains("3 dossiers at the portal: registered"), "{said}");
    assert_eq!(simulator.dossiers(), at_portal);

    // What the portal decides settles the obligation in the same night; what it does not accept is prepared anew.
    let number = |dossier: &str| world.ledger().submission_of(dossier).unwrap().unwrap().number.unwrap();
    simulator.set_dossier_status(&number(done), 10, "");
    simulator.set_dossier_status(&number(stopped), 3, "Thiếu giấy khám sức khỏe");
    simulator.set_dossier_status(&number(refused), 5, "Đề nghị bổ sung ảnh");
    let said = world.night("2026-11-22").with(0).out;
    for text in ["result given; the obligation is fulfilled", "not accepted; the obligation is open", "add papers"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let states: Vec<State> = obligations.iter().map(|obligation| state(&world, obligation)).collect();
    assert_eq!(states, [State::Fulfilled, State::Open, State::Open]);
    assert_eq!((kept(done).state, kept(stopped).state), (DossierState::Confirmed, DossierState::Over));
    assert!(kept(stopped).sealed.is_none() && world.ledger().confirmed_parts(stopped).unwrap().is_empty());
    // Three months later nothing of what is done is kept either, and the proof of it is.
    // Another source lacks rows by then: a night is held in part, and does this all the same.
    world.night("2027-03-01").with(3);
    assert_eq!(kept(done).state, DossierState::Over);
    assert_eq!(state(&world, &obligations[0]), State::Fulfilled);
    assert_eq!(world.ledger().submission_of(done).unwrap().unwrap().stage, Stage::Ended);
    for entry in world.entries("submission") {
        assert!(!entry.body.contains("giấy") && !entry.body.contains("ảnh"), "{}", entry.kind);
    }
    world.ledger_is_sound();
}

#[test]
fn what_the_portal_refuses_waits_and_is_tried_again_when_a_person_says_so() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = crate::dossiers::world(&["driving_licence"]);
    let said = world.chudong(&["submit", "--today", NIGHT]).with(1).said();
    assert!(said.contains("submission.none"), "{said}");
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    world.night(NIGHT).with(0);
    let [dossier]: [String; 1] = confirm(&world, 1).try_into().unwrap();
    let procedure = confirmed(&world)[0].procedure.clone();
    let refused_procedures = [(procedure, "PROCEDURE_CLOSED".to_owned())].into();
    simulator.set_dossier_mood(DossierMood { refused_procedures, ..DossierMood::default() });
    let ended = world.chudong(&["submit", "--today", NIGHT]).with(3);
    assert!(ended.err.contains("submission.refused") && ended.err.contains("400, PROCEDURE_CLOSED"), "{}", ended.err);
    assert!(ended.out.contains("1 dossier refused and left for a person"), "{}", ended.out);
    world.chudong(&["submit", "--today", NIGHT]).with(0);
    assert!(world.chudong(&["submit", "--again", "nobody"]).with(1).said().contains("submission.not-refused"));
    simulator.set_dossier_mood(DossierMood::default());
    let said = world.chudong(&["submit", "--today", NIGHT, "--again", &dossier]).with(0).out;
    assert!(said.contains("1 dossier handed in to the portal"), "{said}");
    assert_eq!(simulator.dossiers().len(), 1);
    world.ledger_is_sound();
}

#[test]
fn a_process_that_is_killed_between_the_answer_and_the_commit_hands_nothing_in_twice() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    world.night(NIGHT).with(0);
    let [dossier]: [String; 1] = confirm(&world, 1).try_into().unwrap();
    simulator.set_dossier_mood(DossierMood { late_answers: 1, ..DossierMood::default() });
    let mut child = world.command(&["submit", "--today", NIGHT]).spawn().unwrap();
    let begun = std::time::Instant::now();
    while simulator.dossiers().is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "nothing arrived");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // The portal has it, and its answer is on the way.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.ledger().submission_of(&dossier).unwrap().unwrap().stage, Stage::Announced);
    let taken = simulator.dossiers();
    let said = world.chudong(&["submit", "--today", NIGHT]).with(0).out;
    assert!(said.contains("1 dossier handed in to the portal"), "{said}");
    assert_eq!(simulator.dossiers(), taken);
    assert_eq!(world.ledger().submission_of(&dossier).unwrap().unwrap().number.as_ref(), taken.keys().next());
    world.ledger_is_sound();
}
