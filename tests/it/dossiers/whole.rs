use chudong::dossiers::Origin;
use chudong::ledger::DossierState;

use super::is_conflict;
use super::{Desk, NIGHT, agreeing, confirmed, links, opened, path, prepared, sent, value, version, world};

#[test]
fn from_the_letter_to_the_confirmed_dossier() {
    let world = prepared();
    let links = links(&world);
    assert!(links.len() > 5, "{links:?}");
    let link = links.first().unwrap();
    let desk = Desk::start(&world);
    let before = world.entries("").len();
    let (status, head, page) = desk.get(link);
    assert_eq!(status, 200, "{page}");
    assert!(head.contains("cache-control: no-store") && head.contains("default-src 'none'"), "{head}");
    assert!(page.contains("population.citizens.full_name") && !page.contains("<script"), "{page}");
    assert_eq!(world.entries("").len(), before);
    if let Ok(folder) = std::env::var("CHUDONG_SCREENSHOTS") {
        std::fs::write(format!("{folder}/dossier.html"), &page).unwrap();
    }

    let answers = agreeing(&page);
    let (status, _, told) = desk.post(link, &sent(&answers), &[]);
    assert_eq!(status, 200, "{told}");
    assert!(told.contains("Đã ghi nhận xác nhận") && told.contains("Hồ sơ đã xác nhận"), "{told}");
    let all = confirmed(&world);
    let [one] = all.as_slice() else { unreachable!("{all:?}") };
    let link_says = opened(&world, link);
    assert_eq!((one.dossier.as_str(), one.item.as_str()), (link_says.dossier.as_str(), "driving_licence"));
    assert_eq!(one.version, version(&page));
    assert_eq!(one.due_on, link_says.expires_on);
    let field = |id: &str| one.fields.iter().find(|field| field.id == id).unwrap();
    assert_eq!(field("phone").origin, Origin::Person);
    assert_eq!(field("licence_number").value.reveal(), &value(&page, "licence_number").unwrap());
    assert!(matches!(&field("licence_number").origin, Origin::Register { column, .. }
        if column == "transport.driving_licences.licence_number"));
    assert_eq!(one.identity_number.reveal(), &value(&page, "identity_number").unwrap());

    // Who presses twice is told the same, and whoever opens the link again sees what was confirmed; another decision is
    // told that the first one stands.
    let (status, _, again) = desk.post(link, &sent(&answers), &[]);
    assert_eq!((status, &again), (200, &told));
    let (status, _, seen) = desk.get(link);
    assert!(status == 200 && seen.contains("0912345678") && !seen.contains("Đã ghi nhận xác nhận"), "{seen}");
    let other: Vec<(String, String)> = answers
        .iter()
        .cloned()
        .map(|(name, value)| if name == "phone" { (name, "0987654321".into()) } else { (name, value) })
        .collect();
    let (status, _, told) = desk.post(link, &sent(&other), &[]);
    assert!(status == 409 && told.contains("đã được xác nhận trước đó") && told.contains("0912345678"), "{told}");
    assert_eq!(confirmed(&world).len(), 1);
    let kept = world.ledger().dossier(&link_says.dossier).unwrap().unwrap();
    assert_eq!(kept.state, DossierState::Confirmed);
    assert_eq!(kept.subject, link_says.subject);
    let decided = world.entries("dossier.decided");
    assert_eq!(decided.len(), 1);
    let body = &decided.first().unwrap().body;
    assert!(body.contains("\"changed\":[") && body.contains("\"phone\"") && !body.contains("0912345678"), "{body}");
    // Whoever is asked what happened tells it, and no value of it.
    let said = world.chudong(&["trace", "--subject", &link_says.subject]).with(0).out;
    let told = said.split_once(&format!("Dossier {}\n", link_says.dossier)).unwrap().1;
    let events = ["dossiers.prepared", "dossier.decided"].map(|kind| told.find(kind).unwrap());
    assert!(events.is_sorted() && told.contains(": confirmed\n") && !said.contains("0912345678"), "{said}");
    assert!(said.contains("Recommendation of 2026-11-21") && said.contains("; shown in message "), "{said}");
    let message = world.outbox().into_iter().find(|row| row.obligation == kept.obligation).unwrap();
    let of_message = world.chudong(&["trace", "--message", &message.key.0]).with(0).out;
    assert!(of_message.contains(&format!("Dossier {}\n", link_says.dossier)), "{of_message}");
    assert!(!is_conflict(&page, "phone") && path(link).starts_with("/dossier/"));
    world.ledger_is_sound();
}

/// The page says what the letter says: a day that waits for a decree may still move.
#[test]
fn the_page_says_that_a_day_may_still_move() {
    let world = world(&["temporary_residence"]);
    let tet = "next_working_day(cast('2027-02-06' as date)) as due_on";
    world.edit("sql/obligations/temporary_residence.sql", "residences.expires_on as due_on", tet);
    let item = "pipelines/items/temporary_residence/item.toml";
    let text = std::fs::read_to_string(world.root().join(item)).unwrap();
    let notice = text.lines().find(|line| line.starts_with("notice_days")).unwrap();
    world.edit(item, notice, "notice_days = [100]");
    world.night(NIGHT).with(0);
    let link = links(&world).into_iter().next().unwrap();
    let page = Desk::start(&world).get(&link).2;
    assert!(page.contains("<b>12/02/2027</b>"), "{page}");
    assert!(page.contains("Ngày này là tạm tính và còn có thể thay đổi") && page.contains("năm 2027"), "{page}");
}
