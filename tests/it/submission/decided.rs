//! What a person decided is not lost: it waits and is said, it is held and is said, and it counts from its day.

use chudong::ledger::DossierState;
use chudong::ledger::submissions::Stage;
use chudong::obligations::life::State;
use chudong::simulate::Simulator;
use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

use super::sample::table;
use super::whole::{confirm, standing};
use crate::dossiers::{Desk, NIGHT, PIPELINE, agreeing, confirmed, links, opened, sent};
use crate::support::world::World;

pub fn register(world: &World, name: &str) -> Connection {
    Connection::open(world.root().join(format!("data-samples/an-binh/{name}.sqlite"))).unwrap()
}

#[test]
fn without_a_portal_each_night_says_what_waits_until_it_is_printed() {
    let world = crate::dossiers::world(&["driving_licence"]);
    world.night(NIGHT).with(0);
    let [first, _]: [String; 2] = confirm(&world, 2).try_into().unwrap();
    let due = confirmed(&world).iter().map(|one| one.due_on).min().unwrap();
    for night in ["2026-11-22", "2026-11-23"] {
        let said = world.night(night).with(3).out;
        let waits = format!("2 confirmed dossiers have not left, the first is due on {due}");
        assert!(said.contains(&waits) && said.contains("chudong submit --paper"), "{said}");
    }
    let folder = world.state().join("paper");
    world.chudong(&["submit", "--paper", folder.to_str().unwrap()]).with(0);
    let said = world.night("2026-11-24").with(0).out;
    assert!(said.contains("2 dossiers printed, until a register says that the duty is done"), "{said}");
    // What a register says of one that was printed is what everybody waited for: nobody holds it.
    let one = confirmed(&world).into_iter().find(|one| one.dossier == first).unwrap();
    newer_licence(&world, one.identity_number.reveal());
    world.night("2026-11-25").with(0);
    let kept = world.ledger().dossier(&first).unwrap().unwrap();
    assert_eq!((kept.state, standing(&world, &kept.obligation).state), (DossierState::Confirmed, State::Fulfilled));
    world.ledger_is_sound();
}

/// The register of drivers has a newer licence of the same class of this person.
pub fn newer_licence(world: &World, number: &str) {
    let sql = "insert into driving_licences
               select 'N' || licence_number, citizen_id, class, '2026-11-21', holder_name, holder_birth_date
               from driving_licences where citizen_id = ?1";
    register(world, "transport").execute(sql, [number]).unwrap();
}

#[test]
fn what_nobody_needs_any_more_is_held_and_leaves_when_that_is_no_longer_so() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    world.night(NIGHT).with(0);
    let [done, died, other] = confirm(&world, 3).try_into().unwrap();
    let number = |dossier: &str| {
        let all = confirmed(&world);
        all.iter().find(|one| one.dossier == dossier).unwrap().identity_number.reveal().clone()
    };
    let (done_number, died_number) = (number(&done), number(&died));
    newer_licence(&world, &done_number);
    let dies = "update citizens set deceased_on = ?2 where citizen_id = ?1";
    register(&world, "population").execute(dies, params![died_number, "2026-11-21"]).unwrap();

    let said = world.night("2026-11-22").with(3).out;
    for text in ["2 confirmed dossiers have not left", "the duty is done", "has died", "1 dossier handed in"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let stage = |dossier: &str| world.ledger().submission_of(dossier).unwrap().map(|one| one.stage);
    assert_eq!(simulator.dossiers().len(), 1);
    assert_eq!([stage(&done), stage(&died), stage(&other)], [Some(Stage::Held), Some(Stage::Held), Some(Stage::Filed)]);
    // By hand neither leaves before somebody says so; and each night says it again.
    world.chudong(&["submit", "--today", "2026-11-22"]).with(0);
    assert_eq!((simulator.dossiers().len(), world.entries("submission.held").len()), (1, 2));
    // The person is told on the page.
    let link = links(&world).into_iter().find(|link| opened(&world, link).dossier == done).unwrap();
    let (status, _, page) = Desk::start(&world).get(&link);
    assert!(status == 200 && page.contains("chưa được chuyển đi") && page.contains("đã hoàn thành"), "{page}");

    // A register takes back what it said, and a clerk lets the other leave.
    register(&world, "population").execute(dies, params![died_number, None::<&str>]).unwrap();
    let said = world.night("2026-11-23").with(3).out;
    assert!(said.contains("1 confirmed dossiers have not left"), "{said}");
    assert_eq!((stage(&died), stage(&done)), (Some(Stage::Filed), Some(Stage::Held)));
    world.chudong(&["submit", "--today", "2026-11-23", "--again", &done]).with(0);
    assert_eq!((stage(&done), simulator.dossiers().len()), (Some(Stage::Filed), 3));
    world.night("2026-11-24").with(0);
    world.ledger_is_sound();
}

#[test]
fn who_decides_on_the_last_day_is_in_time() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    world.night(NIGHT).with(0);
    let link = links(&world).into_iter().min_by_key(|link| opened(&world, link).expires_on).unwrap();
    let says = opened(&world, &link);
    let (last, next): (Date, Date) = (says.expires_on, says.expires_on.saturating_add(1.day()));
    let desk = Desk::on(&world, &last.to_string());
    let page = desk.get(&link).2;
    // The page says by when it reaches the portal, and which day counts.
    let by = next.strftime("%d/%m/%Y").to_string();
    assert!(page.contains(&by) && page.contains("hôm nay là ngày cuối"), "{page}");
    let (status, _, told) = desk.post(&link, &sent(&agreeing(&page)), &[]);
    assert!(status == 200 && told.contains(&by), "{told}");
    // The night after it is a day late, and the day of the decision counts, as it does in the dossier itself.
    let said = world.night(&next.to_string()).out;
    assert!(said.contains("1 dossier handed in"), "{said}");
    let filed = world.ledger().submission_of(&says.dossier).unwrap().unwrap();
    assert_eq!((filed.stage, filed.filed_on), (Stage::Filed, Some(last)));
    simulator.set_dossier_status(&filed.number.unwrap(), 10, "");
    let said = world.night(&next.saturating_add(1.day()).to_string()).out;
    let now = standing(&world, &filed.obligation);
    assert_eq!((now.state, now.fulfilled_on, now.is_late()), (State::Fulfilled, Some(last), false), "{said}");
    world.ledger_is_sound();
}

#[test]
fn to_whom_the_way_online_is_closed_no_letter_holds_a_link_to_it() {
    let runtime = Runtime::new().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 1)).unwrap();
    let world = crate::dossiers::world(&["driving_licence"]);
    world.edit(PIPELINE, "\n[unit]\n", &table(&simulator, &world));
    // Of those with an even number the agency knows that they cannot sign in.
    let even = "right(known.subject_id, 1) in ('0', '2', '4', '6', '8')";
    world.edit("sql/options/driving_licence.sql", "known.level < 2", even);
    let said = world.night(NIGHT).with(0).out;
    assert!(said.contains("are not prepared: no way online is open to their persons"), "{said}");
    let desk = Desk::start(&world);
    let links = links(&world);
    assert!(!links.is_empty());
    for link in &links {
        let number = crate::dossiers::value(&desk.get(link).2, "identity_number").unwrap();
        assert!(number.ends_with(['1', '3', '5', '7', '9']));
    }
}
