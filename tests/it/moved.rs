//! A due day that moves after a letter has left: the person is told, once, and a night that moves many waits.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use crate::support::world::{Tree, World};

const ITEM: &str = "pipelines/items/temporary_residence/item.toml";
const SQL: &str = "sql/obligations/temporary_residence.sql";

/// A town of these temporary residences; the period of a stay is the stay, so that its day can move.
fn town(days: &[&str]) -> World {
    let world = World::of("binh-minh");
    let pipeline = "pipelines/binh-minh/pipeline.toml";
    world.edit(pipeline, "use = [\"driving_licence\", \"temporary_residence\"]", "use = [\"temporary_residence\"]");
    world.edit(SQL, "cast(residences.expires_on as varchar) as period", "'stay' as period");
    let mut text = "so_dinh_danh;ho_ten;ngay_sinh;ma_xa;ngon_ngu;thu_dien_tu;da_mat;tu_choi_nhac\n".to_owned();
    for person in 0..days.len() {
        let rest = format!("Nguyễn Văn {person};11/04/1993;98003;vi;p{person}@example.net;false;false");
        text.push_str(&format!("0980{person:08};{rest}\n"));
    }
    world.put("data-samples/binh-minh/cong_dan.csv", text.as_bytes());
    last_days(&world, days);
    world
}

fn last_days(world: &World, days: &[&str]) {
    let mut text = "so_dang_ky;so_dinh_danh;den_ngay;ngay_xoa\n".to_owned();
    for (person, day) in days.iter().enumerate() {
        text.push_str(&format!("R{person};0980{person:08};{day};\n"));
    }
    world.put("data-samples/binh-minh/tam_tru.csv", text.as_bytes());
}

/// Runs a night, twice, and gives the due days that its letters told.
fn told(world: &World, as_of: &str) -> Vec<String> {
    let before = if world.state().join("ledger.sqlite").exists() { world.recorded().len() } else { 0 };
    world.night(as_of).with(0);
    let after = world.recorded();
    world.night(as_of).with(0);
    assert_eq!(world.recorded().len(), after.len(), "the night of {as_of} told something twice");
    after.into_iter().skip(before).map(|(_, line)| line["due_on"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn whoever_was_told_another_day_is_told_the_new_one_once() {
    let world = town(&["03/12/2026", "03/12/2026"]);
    assert_eq!(told(&world, "2026-11-21"), ["2026-12-03", "2026-12-03"]);
    let first: Vec<String> = world.outbox().into_iter().map(|row| row.key.0).collect();
    // Earlier, in the same stage; the other person hears nothing.
    last_days(&world, &["01/12/2026", "03/12/2026"]);
    assert_eq!(told(&world, "2026-11-22"), ["2026-12-01"]);
    assert!(told(&world, "2026-11-23").is_empty());
    // Later, and back to the day that was told first: each is news.
    last_days(&world, &["05/12/2026", "03/12/2026"]);
    assert_eq!(told(&world, "2026-11-24"), ["2026-12-05"]);
    last_days(&world, &["01/12/2026", "03/12/2026"]);
    assert_eq!(told(&world, "2026-11-25"), ["2026-12-01"]);
    // A replay of an earlier night tells nobody an earlier day.
    last_days(&world, &["03/12/2026", "03/12/2026"]);
    assert!(told(&world, "2026-11-22").is_empty());
    // The letter of the next stage tells the new day itself.
    last_days(&world, &["30/11/2026", "03/12/2026"]);
    assert_eq!(told(&world, "2026-11-26"), ["2026-11-30"]);
    assert!(told(&world, "2026-11-27").is_empty());
    // Later again, when the last stage was sent: the stage that it is in now.
    last_days(&world, &["08/12/2026", "03/12/2026"]);
    assert_eq!(told(&world, "2026-11-27"), ["2026-12-08"]);
    let keys: Vec<String> = world.outbox().into_iter().map(|row| row.key.0).collect();
    assert!(first.iter().all(|key| keys.contains(key)) && keys.len() == 7, "{keys:?}");
    world.ledger_is_sound();
}

#[test]
fn a_night_on_which_many_days_move_is_held_until_somebody_accepts_it() {
    let world = town(&["03/12/2026"; 6]);
    assert_eq!(told(&world, "2026-11-21").len(), 6);
    world.edit(ITEM, "level = 1\n", "level = 1\nhold_change = { percent = 20, least = 5 }\n");
    // As many as before, and each due on another day.
    last_days(&world, &["01/12/2026"; 6]);
    let held = world.night("2026-11-22").with(3).out;
    assert!(
        held.contains("obligations.temporary_residence has 6 obligations due on another day than before"),
        "{held}"
    );
    assert_eq!(world.recorded().len(), 6);
    let accepted = ["run", "--as-of", "2026-11-22", "--accept", "obligations.temporary_residence"];
    world.chudong(&accepted).with(0);
    assert_eq!(world.recorded().len(), 12);
    // What was accepted is the measure from then on; fewer than the bound go on by themselves.
    last_days(&world, &["02/12/2026", "02/12/2026", "01/12/2026", "01/12/2026", "01/12/2026", "01/12/2026"]);
    assert_eq!(told(&world, "2026-11-23").len(), 2);
    world.ledger_is_sound();
}

#[test]
fn an_explanation_says_where_the_ledger_has_another_day() {
    let world = town(&["03/12/2026"]);
    world.night("2026-11-21").with(0);
    let key = world.outbox().into_iter().next().unwrap().obligation;
    let explain = || world.chudong(&["explain", &key, "--as-of", "2026-11-21"]).with(0).out;
    let before = explain();
    assert!(before.contains("due on 3 December 2026 (Thursday)") && !before.contains("Note:"), "{before}");
    world.edit(SQL, "residences.expires_on as due_on", "before_day(residences.expires_on) as due_on");
    let after = explain();
    let note = after.lines().find(|line| line.starts_with("Note: ")).unwrap_or_default();
    assert!(after.contains("due on 2 December 2026 (Wednesday)"), "{after}");
    assert!(note.contains("3 December 2026 (Thursday)"), "{after}");
    assert!(after.contains("Chú ý: sổ ghi của đêm đó có hạn"), "{after}");
}

/// The text of the one letter that no earlier night wrote.
fn newest_letter(world: &World, before: &Tree) -> String {
    let letters = world.messages();
    let mut new = letters.iter().filter(|(path, bytes)| bytes.is_some() && !before.contains_key(*path));
    let bytes = new.next().and_then(|(_, bytes)| bytes.clone()).unwrap();
    assert!(new.next().is_none(), "more than one letter left");
    let message = mail_parser::MessageParser::default().parse(&bytes).unwrap().into_owned();
    format!("Subject: {}\n\n{}", message.subject().unwrap(), message.body_text(0).unwrap().replace("\r\n", "\n"))
}

/// Tết of 2027 stands in the calendar and in no decree: who is told a day that rests on it is told so, and hears of it
/// when the decree says otherwise.
#[test]
fn a_day_that_waits_for_a_decree_says_so_and_is_corrected_when_the_decree_is_out() {
    let world = town(&["06/02/2027"]);
    // The figures of the months in between are not what is looked at here.
    let pipeline = "pipelines/binh-minh/pipeline.toml";
    let text = std::fs::read_to_string(world.root().join(pipeline)).unwrap();
    world.put(pipeline, text.split_once("[exact]").unwrap().0.as_bytes());
    world.edit(SQL, "residences.expires_on as due_on", "next_working_day(residences.expires_on) as due_on");
    assert_eq!(told(&world, "2027-02-01"), ["2027-02-12"]);
    let assumed = newest_letter(&world, &Tree::new());
    insta::assert_snapshot!("a_letter_of_an_assumed_day", assumed);
    let first = world.outbox().into_iter().next().unwrap();
    let stored = world.chudong(&["explain", "--message", &first.key.0]).with(0).out;
    assert!(stored.contains("Chú ý: hạn này là tạm tính và còn có thể thay đổi"), "{stored}");
    let asked = world.chudong(&["explain", &first.obligation, "--as-of", "2027-02-01"]).with(0).out;
    assert!(asked.contains("the public holidays of 2027 are not decreed yet"), "{asked}");
    // The decree comes, and takes a Friday more.
    let calendar = "pipelines/law/calendar/2027.toml";
    world.edit(calendar, "confidence = \"assumed\"", "confidence = \"A\"");
    let text = std::fs::read_to_string(world.root().join(calendar)).unwrap();
    let day = "\n[[day]]\non = 2027-02-12\nkind = \"day_off\"\nname = { vi = \"Nghỉ Tết thêm\", en = \"Tết, one day more\" }\n\
               reference = { vi = \"Thông báo thử\", en = \"A notice of this test\" }\nconfidence = \"A\"\n\
               enacted_on = 2027-02-02\n";
    world.put(calendar, format!("{text}{day}").as_bytes());
    let before = world.messages();
    assert_eq!(told(&world, "2027-02-03"), ["2027-02-15"]);
    insta::assert_snapshot!("a_letter_that_corrects_a_day", newest_letter(&world, &before));
    world.ledger_is_sound();
}
