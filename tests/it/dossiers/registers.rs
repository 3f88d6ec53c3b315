use std::io::Write;
use std::process::Stdio;

use chudong::dossiers::Origin;
use rusqlite::Connection;

use super::{Desk, NIGHT, agreeing, confirmed, is_conflict, links, opened, sent, value, world};
use crate::support::world::World;

/// Changes the registers before the night.
fn transport(world: &World, sql: &str) {
    let path = world.root().join("data-samples/an-binh/transport.sqlite");
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn population(world: &World, sql: &str) {
    let path = world.root().join("data-samples/an-binh/population.sqlite");
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn registers_that_disagree_are_shown_side_by_side_and_told() {
    let world = world(&["driving_licence"]);
    transport(&world, "update driving_licences set holder_name = 'Trần Thị <b>Khác</b>', holder_birth_date = null");
    population(
        &world,
        "update citizens set residence = 'Số 7, thôn Cũ', residence_confirmed_on = '2019-05-04', sex = 'female'",
    );
    world.night(NIGHT).with(0);
    let link = links(&world).into_iter().next().unwrap();
    let desk = Desk::start(&world);
    let page = desk.get(&link).2;
    // Neither is chosen, both are there with their registers, and the list above the form says so.
    assert!(is_conflict(&page, "full_name") && !is_conflict(&page, "birth_date"), "{page}");
    assert!(page.contains("Trần Thị &lt;b&gt;Khác&lt;/b&gt;") && !page.contains("<b>Khác"), "{page}");
    assert!(
        page.contains("transport.driving_licences.holder_name") && page.contains("các nguồn ghi khác nhau"),
        "{page}"
    );
    assert!(!page.contains(" checked"), "{page}");
    assert!(page.contains("Dữ liệu đã cũ") && page.contains("Ghi nhận ngày 04/05/2019"), "{page}");
    assert!(page.contains("href=\"#f-phone\">Số điện thoại</a>: còn thiếu"), "{page}");

    // Without a choice nothing is handed in, and what was written stays.
    let answers: Vec<(String, String)> =
        agreeing(&page).into_iter().filter(|(name, _)| name != "full_name.choice").collect();
    let (status, _, again) = desk.post(&link, &sent(&answers), &[]);
    assert!(status == 422 && again.contains("Xin chọn giá trị đúng"), "{again}");
    assert_eq!(value(&again, "phone").unwrap(), "0912345678");
    let bad: Vec<(String, String)> = agreeing(&page)
        .into_iter()
        .map(|(name, value)| if name == "phone" { (name, "12".to_owned()) } else { (name, value) })
        .collect();
    let (status, _, again) = desk.post(&link, &sent(&bad), &[]);
    assert!(status == 422 && again.contains("href=\"#f-phone\"") && value(&again, "phone").unwrap() == "12", "{again}");
    let unsure: Vec<(String, String)> = agreeing(&page).into_iter().filter(|(name, _)| name != "sure").collect();
    assert_eq!(desk.post(&link, &sent(&unsure), &[]).0, 422);
    assert!(confirmed(&world).is_empty());

    // The first register's name is chosen, and the residence is corrected.
    let mut answers = agreeing(&page);
    answers.push(("residence".into(), "  Số 9,   đường Mới ".into()));
    // Whose dossier it is nobody changes.
    answers.push(("identity_number".into(), "097000000000".into()));
    assert_eq!(desk.post(&link, &sent(&answers), &[]).0, 200);
    let all = confirmed(&world);
    let one = all.first().unwrap();
    let field = |id: &str| one.fields.iter().find(|field| field.id == id).unwrap();
    let instead = |column: &str| Origin::Corrected { instead_of: vec![column.to_owned()] };
    // Whose word was chosen stands there, with the ground on which it was read, and who said otherwise.
    let Origin::Chosen { column, legal_ground, instead_of, .. } = &field("full_name").origin else {
        panic!("{:?}", field("full_name").origin)
    };
    assert_eq!((column.as_str(), legal_ground.is_empty()), ("population.citizens.full_name", false));
    assert_eq!(instead_of, &["transport.driving_licences.holder_name"]);
    assert_eq!(field("residence").origin, instead("population.citizens.residence"));
    assert_eq!(field("residence").value.reveal(), "Số 9, đường Mới");
    assert_eq!(one.identity_number.reveal(), &value(&page, "identity_number").unwrap());
    assert!(matches!(field("identity_number").origin, Origin::Register { .. }));
    assert!(matches!(field("birth_date").origin, Origin::Register { .. }));

    // The owners of both registers are told, in files of their own that nobody else reads. The dossier waits for a clerk.
    world.night("2026-11-22").with(3);
    let folder = world.state().join("discrepancies");
    let lists: Vec<_> = crate::support::world::tree(&folder).into_iter().collect();
    let said = |source: &str| -> String {
        let of = lists.iter().find(|(name, _)| name.display().to_string().starts_with(source)).unwrap();
        String::from_utf8(of.1.clone().unwrap()).unwrap()
    };
    assert_eq!(lists.len(), 2, "{:?}", lists.iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert!(said("transport").contains("transport.driving_licences.holder_name,Trần Thị <b>Khác</b>,"));
    assert!(said("population").contains("population.citizens.residence,\"Số 7, thôn Cũ\",\"Số 9, đường Mới\","));
    for (name, _) in &lists {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // What was corrected is in no entry of the ledger.
    for entry in world.entries("") {
        assert!(!entry.body.contains("thôn Cũ") && !entry.body.contains("Khác"), "{}", entry.kind);
    }
    assert_eq!(one.dossier, opened(&world, &link).dossier);

    // A list that was handed over and deleted does not come back; one that is there still goes with the person.
    let (handed, kept) = (&lists[1].0, &lists[0].0);
    std::fs::remove_file(folder.join(handed)).unwrap();
    world.night("2026-11-23").with(3);
    assert!(!folder.join(handed).exists() && folder.join(kept).exists());
    let mut child = world.command(&["erase"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", one.identity_number.reveal()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains(&format!("discrepancies/{}: 1 rows", kept.display())), "{said}");
    assert!(said.contains("1 of these were confirmed and had not left"), "{said}");
    world.night("2026-11-24").with(0);
    assert!(crate::support::world::tree(&folder).is_empty());
    world.ledger_is_sound();
}

#[test]
fn two_answers_to_one_question_are_asked_again() {
    let world = world(&["driving_licence"]);
    transport(&world, "update driving_licences set holder_name = 'Trần Thị Khác', holder_birth_date = null");
    world.night(NIGHT).with(0);
    let link = links(&world).into_iter().next().unwrap();
    let desk = Desk::start(&world);
    let mut answers = agreeing(&desk.get(&link).2);
    answers.push(("full_name".into(), "Trần Thị Đúng".into()));
    let (status, _, again) = desk.post(&link, &sent(&answers), &[]);
    assert!(status == 422 && again.contains("vừa chọn một giá trị vừa ghi giá trị khác"), "{again}");
    assert!(again.contains("Trần Thị Đúng") && !again.contains(" checked"), "{again}");
    assert!(confirmed(&world).is_empty());
    let answers: Vec<(String, String)> = answers
        .into_iter()
        .map(|(name, value)| if name == "full_name.choice" { (name, "other".to_owned()) } else { (name, value) })
        .collect();
    assert_eq!(desk.post(&link, &sent(&answers), &[]).0, 200);
    let all = confirmed(&world);
    let name = all.first().unwrap().fields.iter().find(|field| field.id == "full_name").unwrap();
    assert_eq!(name.value.reveal(), "Trần Thị Đúng");
    assert!(matches!(&name.origin, Origin::Corrected { instead_of } if instead_of.len() == 2));
}

#[test]
fn whoever_is_erased_leaves_the_lists_and_the_lines_of_others_stay() {
    let world = world(&["driving_licence"]);
    transport(&world, "update driving_licences set holder_name = 'Trần Thị \"Khác\", ' || char(10) || holder_name");
    world.night(NIGHT).with(0);
    let desk = Desk::start(&world);
    let people: Vec<(String, String)> = links(&world)
        .iter()
        .take(3)
        .map(|link| {
            let page = desk.get(link).2;
            assert_eq!(desk.post(link, &sent(&agreeing(&page)), &[]).0, 200);
            (value(&page, "identity_number").unwrap(), opened(&world, link).dossier)
        })
        .collect();
    let [(one, first), (two, _), (three, _)] = people.as_slice() else { unreachable!("three") };
    drop(desk);
    world.night("2026-11-22").with(3);
    let folder = world.state().join("discrepancies");
    let list = || -> String {
        let listed = crate::support::world::tree(&folder);
        listed.into_values().flatten().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    };
    let lines_of = |subject: &str| list().matches(&format!("{subject},")).count();
    assert_eq!([one, two, three].map(|subject| lines_of(subject)), [1, 1, 1], "{}", list());
    let file = world.root().join("number");
    chudong::files::replace(&file, one.as_bytes()).unwrap();
    world.chudong(&["erase", "--number-from", file.to_str().unwrap()]).with(0);
    assert_eq!([one, two, three].map(|subject| lines_of(subject)), [0, 1, 1], "{}", list());
    assert!(list().starts_with("subject_id,") && !list().contains(first.as_str()), "{}", list());
    // Nor does the next night write them again, and what it writes of the others is what stood there.
    let said = list();
    world.night("2026-11-23").with(3);
    assert_eq!(list(), said);
    world.ledger_is_sound();
}

#[test]
fn what_is_not_prepared_is_not_read() {
    // Without a form nobody asks for what only a form needs: the letters are those of level 1.
    let world = World::small(600);
    world.without_figures();
    world.night(NIGHT).with(0);
    assert!(links(&world).is_empty());
    assert!(world.entries("dossiers.").is_empty());
}
