//! A letter about several things that are due holds the link to the dossier of each that has one.

use rusqlite::Connection;

use super::{BASE, Desk, NIGHT, PIPELINE, links, opened, value, world};
use crate::support::world::ANY_TIME;

#[test]
fn a_letter_of_several_holds_the_link_of_the_one_that_has_a_dossier() {
    let world = world(&["driving_licence"]);
    world.edit(PIPELINE, "[items]\n", "[items]\nhold_change = \"never\"\n");
    world.edit(PIPELINE, ANY_TIME, "attention = { quiet = \"never\", tet = \"open\", digest = true }");
    // Whoever has a licence to exchange has a residence that ends, too.
    let path = world.root().join("data-samples/an-binh/population.sqlite");
    let connection = Connection::open(path).unwrap();
    let sql = "insert into temporary_residences (registration_number, citizen_id, commune_code, expires_on, ended_on)
               select 'TW' || citizen_id, citizen_id, commune_code, '2026-12-01', null from citizens";
    connection.execute(sql, []).unwrap();
    world.night(NIGHT).with(0);
    let desk = Desk::start(&world);
    let mut several = 0;
    for bytes in world.messages().into_values().flatten() {
        let message = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        let subject = message.subject().unwrap();
        let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
        let is_of_several = subject.contains("việc cần làm") || subject.contains("things");
        if !is_of_several || !text.contains(&format!("{BASE}/dossier/")) {
            continue;
        }
        several += 1;
        // One link, in both parts, beside what is said of the other thing.
        assert_eq!(
            (text.matches("/dossier/").count(), html.matches("href=\"https://nhac.example/dossier/").count()),
            (1, 1)
        );
        assert!(text.contains("tạm trú") || text.contains("temporary residence"), "{text}");
    }
    assert!(several > 0, "some have two things to do");
    // Each link leads to the dossier of whoever it was sent to, and to nobody else's.
    for link in links(&world).iter().take(3) {
        let says = opened(&world, link);
        let (status, _, page) = desk.get(link);
        assert!(status == 200 && value(&page, "identity_number").is_some(), "{page}");
        assert_eq!(world.ledger().dossier(&says.dossier).unwrap().unwrap().subject, says.subject);
    }
    world.ledger_is_sound();
}
