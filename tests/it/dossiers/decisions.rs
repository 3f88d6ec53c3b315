use chudong::ledger::{DossierState, Ledger, PreparedDossier, dossier_name};
use chudong::personal::dossier_links::{DossierLink, DossierLinks};
use jiff::ToSpan;

use super::{
    BASE, Desk, agreeing, confirmed, links, opened, path, prepared, pseudonym_key, sealing_key, sent, version,
};
use crate::support::world::World;

fn one(world: &World) -> (String, DossierLink) {
    let link = links(world).into_iter().next().unwrap();
    let says = opened(world, &link);
    (link, says)
}

fn state(world: &World, dossier: &str) -> DossierState {
    world.ledger().dossier(dossier).unwrap().unwrap().state
}

#[test]
fn a_refusal_erases_what_was_prepared_and_is_not_asked_again() {
    let world = prepared();
    let (link, says) = one(&world);
    let desk = Desk::start(&world);
    let page = desk.get(&link).2;
    let shown = version(&page);

    // Not by one slip of a finger.
    let (status, _, again) = desk.post(&link, &[("version", &shown), ("act", "decline")], &[]);
    assert_eq!((status, state(&world, &says.dossier)), (422, DossierState::Prepared));
    assert!(again.contains("href=\"#sure-to-refuse\""), "{again}");

    let (status, _, told) = desk.post(&link, &[("version", &shown), ("act", "decline"), ("sure", "yes")], &[]);
    assert!(status == 200 && told.contains("Đã xóa hồ sơ"), "{told}");
    let kept = world.ledger().dossier(&says.dossier).unwrap().unwrap();
    assert_eq!((kept.state, kept.sealed), (DossierState::Declined, None));
    let (status, _, told) = desk.get(&link);
    assert!(status == 409 && told.contains("đã bị từ chối"), "{told}");
    assert!(confirmed(&world).is_empty());

    // The reminders go on, each without a dossier for who refused it.
    let later = "2026-12-30";
    world.night(later).with(0);
    assert_eq!(state(&world, &says.dossier), DossierState::Declined);
    let again: Vec<String> = world.ledger().dossiers_of([kept.obligation.as_str()]).unwrap().into_keys().collect();
    assert_eq!(again, [kept.obligation]);
    world.ledger_is_sound();
}

#[test]
fn two_windows_decide_and_the_first_stands() {
    let world = prepared();
    let (link, says) = one(&world);
    let desk = Desk::start(&world);
    let page = desk.get(&link).2;
    let (confirm, refuse) =
        (agreeing(&page), [("version", version(&page)), ("act", "decline".into()), ("sure", "yes".into())]);
    let refuse: Vec<(&str, &str)> = refuse.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let confirm = sent(&confirm);
    // At the same moment, many times over: exactly one is taken, and whoever wants the same is told that it is so.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let (desk, link) = (&desk, &link);
        let windows: Vec<_> = (0..8)
            .map(|window| {
                let answers = if window % 2 == 0 { &confirm } else { &refuse };
                scope.spawn(move || desk.post(link, answers, &[]).0)
            })
            .collect();
        windows.into_iter().map(|window| window.join().unwrap()).collect()
    });
    let taken = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((taken, statuses.iter().filter(|status| **status == 409).count()), (4, 4), "{statuses:?}");
    assert_eq!(world.entries("dossier.decided").len(), 1);
    let is_confirmed = state(&world, &says.dossier) == DossierState::Confirmed;
    assert_eq!(confirmed(&world).len(), usize::from(is_confirmed));
    world.ledger_is_sound();
}

#[test]
fn a_version_that_was_replaced_is_looked_at_again() {
    let world = prepared();
    let (link, says) = one(&world);
    let desk = Desk::start(&world);
    let old = agreeing(&desk.get(&link).2);
    // A register says something else, and the dossier is prepared anew while the page is open.
    let kept = world.ledger().dossier(&says.dossier).unwrap().unwrap();
    let (key, name) = (sealing_key(&world), dossier_name(&says.dossier));
    let text = key
        .open(&name, &kept.sealed.unwrap())
        .unwrap()
        .reveal()
        .replace("\"values\":{", "\"values\":{\"phone\":[[\"\",\"0900000000\"]],");
    let anew = PreparedDossier {
        dossier: says.dossier.clone(),
        subject: says.subject.clone(),
        obligation: kept.obligation,
        due_on: kept.due_on,
        sealed: key.seal(&name, &text).unwrap(),
    };
    let basis = world.ledger().dossier_basis(&kept.basis).unwrap().unwrap();
    let mut ledger = Ledger::open(&world.state(), "an-binh").unwrap();
    let make = |one: &PreparedDossier| Some(one.clone());
    assert_eq!(ledger.prepare_dossiers("r", "driving_licence", (&kept.basis, &basis), &[anew], &make).unwrap(), 1);
    drop(ledger);
    let (status, _, page) = desk.post(&link, &sent(&old), &[]);
    assert!(status == 409 && page.contains("Dữ liệu đã thay đổi"), "{page}");
    assert!(confirmed(&world).is_empty());
    assert_eq!(desk.post(&link, &sent(&agreeing(&page)), &[]).0, 200);
    world.ledger_is_sound();
}

#[test]
fn a_decision_can_wait_but_not_beyond_the_day() {
    let world = prepared();
    let (link, says) = one(&world);
    let desk = Desk::start(&world);
    let shown = version(&desk.get(&link).2);
    let wait = [("version", shown.as_str()), ("act", "postpone"), ("days", "3")];
    assert_eq!(desk.post(&link, &wait, &[]).0, 200);
    let kept = world.ledger().dossier(&says.dossier).unwrap().unwrap();
    let in_three: jiff::civil::Date = "2026-11-24".parse().unwrap();
    assert_eq!((kept.state, kept.until), (DossierState::Postponed, Some(in_three.min(says.expires_on))));
    let (status, _, page) = desk.get(&link);
    assert!(status == 200 && page.contains("đã hẹn quyết định"), "{page}");
    drop(desk);

    // On the last day it can still be decided; on the next it cannot, whatever the link says.
    let last = Desk::on(&world, &says.expires_on.to_string());
    assert_eq!(last.get(&link).0, 200);
    let after = says.expires_on.saturating_add(1.day());
    let late = Desk::on(&world, &after.to_string());
    let longer = DossierLink { expires_on: after.saturating_add(60.days()), ..says.clone() };
    let longer = DossierLinks::new(&pseudonym_key(&world), BASE).make(&longer).unwrap();
    for link in [&link, &longer] {
        let (status, _, told) = late.get(link);
        assert!(status == 410 && told.contains("đã hết hạn"), "{told}");
        assert_eq!(late.post(link, &sent(&agreeing(&page)), &[]).0, 410);
    }
    // The night after its day erases it.
    world.night(&after.to_string()).with(0);
    let kept = world.ledger().dossier(&says.dossier).unwrap().unwrap();
    assert_eq!((kept.state, kept.sealed), (DossierState::Expired, None));
    assert_eq!(last.get(&link).0, 410);
    world.ledger_is_sound();
}

#[test]
fn tampered_and_foreign_links_open_nothing() {
    let world = prepared();
    let all = links(&world);
    let (link, says) = one(&world);
    let other = opened(&world, all.get(1).unwrap());
    let links = DossierLinks::new(&pseudonym_key(&world), BASE);
    let desk = Desk::start(&world);
    let shown = desk.get(&link).2;
    // One person with the dossier of another, signed even by the agency's own key.
    let foreign = links.make(&DossierLink { subject: other.subject.clone(), ..says.clone() }).unwrap();
    let nobody = links.make(&DossierLink { dossier: "0".repeat(32), ..says.clone() }).unwrap();
    let future = "2027-02-01".parse().unwrap();
    let early = links.make(&DossierLink { issued_on: future, expires_on: future, ..says.clone() }).unwrap();
    let mut tampered: Vec<String> = (0..40).map(|at| flipped(&link, at * 3)).collect();
    tampered.extend([format!("{link}00"), link.trim_end_matches(|c: char| c.is_ascii_hexdigit()).to_owned()]);
    tampered.extend([
        foreign,
        nobody,
        early,
        format!("{BASE}/dossier/{}", "f".repeat(400)),
        link.replace("/dossier/", "/refuse/"),
    ]);
    let before = world.entries("").len();
    for link in &tampered {
        for (status, _, page) in [desk.get(link), desk.post(link, &sent(&agreeing(&shown)), &[])] {
            // 410 is said of a link of ours to what the ledger does not know.
            assert!((400..=405).contains(&status) || status == 410, "{status} {}", path(link));
            assert!(!page.contains("population.citizens"), "{page}");
        }
    }
    assert_eq!(world.entries("").len(), before);
    // A letter of a refusal link opens no dossier and the other way round, and neither shows the pseudonym.
    assert!(!shown.contains(&says.subject));
    let bad = desk.ask("POST", path(&link), "Content-Type: text/plain\r\n", b"act=confirm");
    assert!(bad.0 == 400 && bad.2.contains("Biểu mẫu chưa đến đầy đủ"), "{}", bad.2);
    let cut =
        desk.ask("POST", path(&link), "Content-Type: multipart/form-data; boundary=x\r\n", b"--x\r\nContent-Disp");
    assert_eq!(cut.0, 400);
    assert_eq!(desk.post(&link, &[("version", &version(&shown)), ("act", "everything")], &[]).0, 400);
    assert_eq!(world.entries("").len(), before);
}

/// A link with another digit at this place from its end.
fn flipped(link: &str, at: usize) -> String {
    let place = link.len() - 1 - at;
    let (before, after) = link.split_at(place);
    let mut signs = after.chars();
    let other = if signs.next() == Some('0') { '1' } else { '0' };
    format!("{before}{other}{}", signs.as_str())
}

#[test]
fn what_is_attached_is_bounded_told_by_its_first_bytes_and_sealed() {
    let world = prepared();
    let (link, says) = one(&world);
    let desk = Desk::start(&world);
    let page = desk.get(&link).2;
    let answers: Vec<(String, String)> = agreeing(&page)
        .into_iter()
        .map(|(name, value)| if name == "phone" { (name, "0987654321".to_owned()) } else { (name, value) })
        .collect();
    let answers = sent(&answers);
    let script: &[u8] = b"<script>alert(1)</script>";
    let (status, _, told) = desk.post(&link, &answers, &[("health_certificate", "khám.pdf", script)]);
    assert!(status == 422 && told.contains("Chỉ nhận tệp PDF"), "{told}");
    let mut large = b"%PDF-1.7\n".to_vec();
    large.resize(chudong::dossiers::FILE_BYTES_MAX + 1, b'x');
    let (status, _, told) = desk.post(&link, &answers, &[("health_certificate", "khám.pdf", &large)]);
    assert!(status == 422 && told.contains("Tệp quá lớn"), "{told}");
    large.resize(40 << 20, b'x');
    let (status, head, told) = desk.post(&link, &answers, &[("health_certificate", "khám.pdf", &large)]);
    assert!(status == 413 && head.contains("no-store") && told.contains("không quá 15 MB"), "{told}");
    assert!(confirmed(&world).is_empty());

    let sound: &[u8] = b"%PDF-1.7\r\n--x-not-the-boundary\r\n\x00\xff secret of the file";
    let (status, _, told) =
        desk.post(&link, &answers, &[("health_certificate", "../../etc/đơn thuốc của tôi.pdf", sound)]);
    assert_eq!(status, 200, "{told}");
    let all = confirmed(&world);
    let file = all.first().unwrap().attachments.first().unwrap();
    assert_eq!((file.media_type.as_str(), file.name.reveal().as_str()), ("application/pdf", "đơn thuốc của tôi.pdf"));
    assert_eq!((file.bytes.reveal().as_slice(), file.field.as_str()), (sound, "health_certificate"));
    // Nothing of it is readable in the state folder.
    for (name, bytes) in crate::support::world::tree(&world.state()) {
        let bytes = bytes.unwrap_or_default();
        for secret in [&b"secret of the file"[..], b"0987654321", "đơn thuốc".as_bytes()] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!is_there, "{}", name.display());
        }
    }
    world.ledger_is_sound();
    // Erasing the person takes it out.
    let subject = all.first().unwrap().identity_number.reveal().clone();
    let mut ledger = Ledger::open(&world.state(), "an-binh").unwrap();
    assert_eq!(ledger.erase_dossiers(&says.subject, "test").unwrap(), 1, "{}", subject.len());
    drop(ledger);
    assert!(confirmed(&world).is_empty() && state(&world, &says.dossier) == DossierState::Erased);
    world.ledger_is_sound();
}

#[test]
fn a_confirmation_is_taken_back_until_it_leaves() {
    let world = prepared();
    let (link, says) = one(&world);
    let desk = Desk::start(&world);
    let page = desk.get(&link).2;
    let shown = version(&page);
    let back = [("version", shown.as_str()), ("act", "take_back")];
    // There is nothing to take back yet.
    assert_eq!(desk.post(&link, &back, &[]).0, 400);
    let (status, _, told) = desk.post(&link, &sent(&agreeing(&page)), &[]);
    assert!(status == 200 && told.contains("value=\"take_back\""), "{told}");
    // Somebody who has the link and not the page changes nothing.
    assert_eq!(desk.post(&link, &[("version", "0"), ("act", "take_back")], &[]).0, 409);
    let (status, _, told) = desk.post(&link, &back, &[]);
    assert!(status == 200 && told.contains("Đã rút lại xác nhận") && told.contains("value=\"confirm\""), "{told}");
    assert!(confirmed(&world).is_empty() && state(&world, &says.dossier) == DossierState::Prepared);
    world.ledger_is_sound();

    // Confirmed anew with something else, it is that which leaves; once printed, nobody takes it back here.
    let anew: Vec<(String, String)> = agreeing(&told)
        .into_iter()
        .map(|(name, value)| if name == "phone" { (name, "0987654321".to_owned()) } else { (name, value) })
        .collect();
    assert_eq!(desk.post(&link, &sent(&anew), &[]).0, 200);
    let all = confirmed(&world);
    assert!(all.iter().flat_map(|one| &one.fields).any(|field| field.value.reveal() == "0987654321"));
    let folder = world.state().join("paper");
    world.chudong(&["submit", "--paper", folder.to_str().unwrap()]).with(0);
    let (status, _, told) = desk.post(&link, &back, &[]);
    assert!(status == 409 && told.contains("đã được chuyển đi nên không rút lại được"), "{told}");
    assert!(!told.contains("value=\"take_back\"") && confirmed(&world).len() == 1, "{told}");
    assert_eq!(world.entries("dossier.taken_back").len(), 1);
    world.ledger_is_sound();
}

#[test]
fn who_puts_it_off_is_asked_again_on_that_day() {
    let world = prepared();
    // Nothing else is due to be told in these days.
    let quiet = |days: i32| (36..=58).contains(&days);
    let night: jiff::civil::Date = super::NIGHT.parse().unwrap();
    let link =
        links(&world).into_iter().find(|link| quiet((opened(&world, link).expires_on - night).get_days())).unwrap();
    let says = opened(&world, &link);
    let desk = Desk::start(&world);
    let shown = version(&desk.get(&link).2);
    let wait = [("version", shown.as_str()), ("act", "postpone"), ("days", "3")];
    let (status, _, told) = desk.post(&link, &wait, &[]);
    assert!(status == 200 && told.contains("nhắc lại vào ngày 24/11/2026"), "{told}");
    let letters = || {
        let all = links(&world).into_iter();
        all.filter(|link| {
            DossierLinks::new(&pseudonym_key(&world), BASE)
                .open(link, "2026-11-26".parse().unwrap())
                .is_ok_and(|other| other.dossier == says.dossier)
        })
        .count()
    };
    let until = || world.ledger().dossier(&says.dossier).unwrap().unwrap().until;
    assert_eq!(letters(), 1);
    for (night, expected) in [("2026-11-23", 1), ("2026-11-24", 2), ("2026-11-25", 2)] {
        world.night(night).with(0);
        assert_eq!((letters(), until()), (expected, "2026-11-24".parse().ok()), "{night}");
        assert_eq!(state(&world, &says.dossier), DossierState::Postponed);
    }
    world.ledger_is_sound();
}
