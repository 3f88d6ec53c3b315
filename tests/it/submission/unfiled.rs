//! Who confirmed a dossier that is not handed in learns it, once; and a clerk can withdraw one.

use std::collections::BTreeSet;

use chudong::ledger::submissions::Stage;
use chudong::ledger::{DossierState, MessageState};
use chudong::simulate::{DossierMood, Simulator};
use rusqlite::params;
use tokio::runtime::Runtime;

use super::decided::{newer_licence, register};
use super::sample::table;
use super::whole::confirm;
use crate::dossiers::{Desk, NIGHT, PIPELINE, confirmed, links, opened};
use crate::support::world::World;

/// The texts of the messages about a dossier that is not handed in.
fn told(world: &World) -> Vec<String> {
    let text = |bytes: Vec<u8>| {
        let message = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        let body = message.body_text(0).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {body}", message.subject().unwrap())
    };
    let is_told = |text: &String| text.starts_with("Hồ sơ ông/bà") || text.starts_with("The dossier that you");
    world.messages().into_values().flatten().map(text).filter(is_told).collect()
}

fn portal() -> (Runtime, Simulator) {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    (runtime, simulator)
}

fn number_of(world: &World, dossier: &str) -> String {
    let all = confirmed(world);
    all.iter().find(|one| one.dossier == dossier).unwrap().identity_number.reveal().clone()
}

fn stage(world: &World, dossier: &str) -> Option<Stage> {
    world.ledger().submission_of(dossier).unwrap().map(|one| one.stage)
}

#[test]
fn who_confirmed_a_dossier_that_is_held_is_told_once_and_the_clerk_has_a_list() {
    let (_runtime, simulator) = portal();
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    world.night(NIGHT).with(0);
    let [done, gone, died, other] = confirm(&world, 4).try_into().unwrap();
    newer_licence(&world, &number_of(&world, &done));
    let deletes = "delete from driving_licences where citizen_id = ?1";
    register(&world, "transport").execute(deletes, [number_of(&world, &gone)]).unwrap();
    let dies = "update citizens set deceased_on = ?2 where citizen_id = ?1";
    register(&world, "population").execute(dies, params![number_of(&world, &died), "2026-11-21"]).unwrap();

    let before: BTreeSet<String> = world.outbox().into_iter().map(|row| row.key.0).collect();
    let said = world.night("2026-11-22").with(3).out;
    for (dossier, why) in [
        (&done, "a register says that the duty is done; its person is written to"),
        (&gone, "registers no longer say that there is anything to do; its person is written to"),
        (&died, "a register says that the person has died; nobody is written to"),
    ] {
        let line = said.lines().find(|line| line.contains(dossier.as_str()));
        assert!(line.is_some_and(|line| line.contains(why)), "{why}: {said}");
        assert_eq!(stage(&world, dossier), Some(Stage::Held));
    }
    assert!(said.contains("3 dossiers confirmed and not handed in") && !said.contains(&other), "{said}");
    // Each message is in the ledger like any other, about the obligation of its dossier.
    let obligation = |dossier: &str| world.ledger().dossier(dossier).unwrap().unwrap().obligation;
    let about: BTreeSet<String> = [&done, &gone].map(|dossier| obligation(dossier)).into();
    let new = world.outbox().into_iter().filter(|row| !before.contains(&row.key.0));
    let new: Vec<_> = new.filter(|row| about.contains(&row.obligation)).collect();
    assert_eq!(new.len(), 2);
    assert!(new.iter().all(|row| row.state == MessageState::Accepted));
    let letters = told(&world);
    let [is_done, is_gone] =
        [["việc này đã hoàn thành", "this is done already"], ["không còn phải làm", "no longer have to do"]]
            .map(|words| letters.iter().filter(|text| words.iter().any(|word| text.contains(word))).count());
    assert_eq!((letters.len(), is_done, is_gone), (2, 1, 1), "{letters:?}");

    // Nobody is told twice, and the clerk sees who was.
    let said = world.night("2026-11-23").with(3).out;
    assert_eq!(told(&world).len(), 2);
    assert_eq!(said.matches("its person was told").count(), 2, "{said}");
    world.ledger_is_sound();
}

#[test]
fn who_confirmed_a_dossier_that_the_portal_refuses_is_told_once() {
    let (_runtime, simulator) = portal();
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    world.night(NIGHT).with(0);
    let [refused]: [String; 1] = confirm(&world, 1).try_into().unwrap();
    let closed = confirmed(&world)[0].procedure.clone();
    simulator.set_dossier_mood(DossierMood {
        refused_procedures: [(closed, "PROCEDURE_CLOSED".to_owned())].into(),
        ..DossierMood::default()
    });
    let said = world.night("2026-11-22").with(1).out;
    assert!(said.contains("the portal refused it; its person is written to"), "{said}");
    assert_eq!((stage(&world, &refused), told(&world).len()), (Some(Stage::Refused), 1));
    world.night("2026-11-23").with(3);
    assert_eq!(told(&world).len(), 1);
    // What the portal takes in the end is no longer in the list.
    simulator.set_dossier_mood(DossierMood::default());
    world.chudong(&["submit", "--today", "2026-11-24", "--again", &refused]).with(0);
    let said = world.night("2026-11-24").with(0).out;
    assert!(!said.contains("not handed in"), "{said}");
    world.ledger_is_sound();
}

#[test]
fn a_clerk_withdraws_what_has_not_left_once_and_with_a_reason() {
    let world = crate::dossiers::world(&["driving_licence"]);
    world.night(NIGHT).with(0);
    let [withdrawn, other]: [String; 2] = confirm(&world, 2).try_into().unwrap();
    let link = links(&world).into_iter().find(|link| opened(&world, link).dossier == withdrawn).unwrap();
    let withdraw = |dossier: &str, reason: &str| {
        world.chudong(&["submit", "--withdraw", dossier, "--reason", reason, "--today", NIGHT])
    };
    let said = withdraw(&withdrawn, "gọi số 0912345678").with(1).err;
    assert!(said.contains("cli.reason") && stage(&world, &withdrawn).is_none(), "{said}");
    let why = "The person asked for it at the counter.";
    assert!(withdraw(&withdrawn, why).with(0).out.contains("1 withdrawn, 0 before"));
    assert!(withdraw(&withdrawn, why).with(0).out.contains("0 withdrawn, 1 before"));
    let entries = world.entries("submission.withdrawn");
    assert_eq!(entries.len(), 1);
    let body: serde_json::Value = serde_json::from_str(&entries[0].body).unwrap();
    assert_eq!(body["reason"], why);
    assert!(body["by"].as_str().is_some_and(|by| !by.is_empty()));
    // Nothing of it is printed, and its person cannot take it back; the page says what has become of it.
    let folder = world.state().join("paper");
    let out = world.chudong(&["submit", "--paper", folder.to_str().unwrap()]).with(0).out;
    assert!(out.contains(&other) && !out.contains(&withdrawn), "{out}");
    let page = Desk::start(&world).get(&link).2;
    assert!(page.contains("đã rút hồ sơ này") && !page.contains("take_back"), "{page}");
    let said = withdraw("0123456789abcdef0123456789abcdef", why).with(1).err;
    assert!(said.contains("submission.not-withdrawn"), "{said}");

    let said = world.night("2026-11-22").with(0).out;
    assert!(said.contains("a clerk withdrew it; its person is written to"), "{said}");
    assert_eq!(told(&world).len(), 1);
    // Once its person knows, nothing of it is kept, and another can be prepared.
    let said = world.night("2026-11-23").with(0).out;
    assert!(said.contains("1 dossier erased: a clerk withdrew them") && told(&world).len() == 1, "{said}");
    assert_eq!(world.ledger().dossier(&withdrawn).unwrap().unwrap().state, DossierState::Over);
    assert!(world.ledger().confirmed_parts(&withdrawn).unwrap().is_empty());
    world.ledger_is_sound();
}

#[test]
fn what_was_confirmed_for_paper_leaves_by_no_portal_under_a_code_without_a_source() {
    let (_runtime, simulator) = portal();
    let world = crate::dossiers::world(&["driving_licence"]);
    let codes = ", procedures = { driving_licence = \"1.002809\" }";
    world.edit(PIPELINE, codes, "");
    world.night(NIGHT).with(0);
    let [paper]: [String; 1] = confirm(&world, 1).try_into().unwrap();
    // The agency finds that the code is another one, and connects to the portal.
    world.edit(PIPELINE, "paper = true }", "paper = true, procedures = { driving_licence = \"1.000001\" } }");
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    let said = world.night("2026-11-22").with(3).out;
    assert!(said.contains("1 dossier held: the code of the procedure has no source"), "{said}");
    assert!(
        said.contains("the code of its procedure has no source: take it on paper; its person is written to"),
        "{said}"
    );
    assert_eq!((stage(&world, &paper), simulator.dossiers().len()), (Some(Stage::Held), 0));
    // Whatever a clerk says, and however often: it is taken on paper.
    world.chudong(&["submit", "--today", "2026-11-22", "--again", &paper]);
    assert_eq!((stage(&world, &paper), simulator.dossiers().len()), (Some(Stage::Held), 0));
    let folder = world.state().join("paper");
    assert!(world.chudong(&["submit", "--paper", folder.to_str().unwrap()]).with(0).out.contains(&paper));
    world.night("2026-11-23");
    assert_eq!((simulator.dossiers().len(), told(&world).len()), (0, 1));
    // The code that the person confirmed is found to be right: now it leaves.
    world.edit(PIPELINE, "\"1.000001\"", &format!("\"{}\"", confirmed(&world)[0].procedure));
    world.night("2026-11-24");
    assert_eq!((stage(&world, &paper), simulator.dossiers().len()), (Some(Stage::Filed), 1));
    world.ledger_is_sound();
}
