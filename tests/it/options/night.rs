//! A night that recommends: through the real binary, into the letter and the ledger, and out of the ledger again.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use crate::support::world::World;

const NIGHT: &str = "2026-11-21";

/// A few people with temporary residence, driving licences and insurance; no figures.
fn world() -> World {
    let world = World::small(400);
    world.without_figures();
    world
}

/// The obligation, the word and the pseudonym of every recommendation about an outcome.
fn recommended(world: &World, outcome: &str) -> Vec<(String, Option<String>, String)> {
    let mut found = Vec::new();
    for entry in world.entries("options.recommended") {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        if body["outcome"] != outcome {
            continue;
        }
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        for line in body["lines"].as_array().unwrap() {
            found.push((text(&line[0]).unwrap(), text(&line[2]), text(&line[1]).unwrap()));
        }
    }
    found
}

fn letters(world: &World) -> Vec<String> {
    let text = |bytes: Vec<u8>| {
        let message = mail_parser::MessageParser::default().parse(&bytes).unwrap().into_owned();
        let words = message.body_text(0).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{}: {words}", message.subject().unwrap())
    };
    world.messages().into_values().flatten().map(text).collect()
}

#[test]
fn a_night_recommends_writes_it_down_and_says_the_same_again() {
    let world = world();
    world.night(NIGHT).with(0);
    let all = recommended(&world, "driving_licence");
    assert!(all.iter().any(|(_, word, _)| word.as_deref() == Some("online")), "{all:?}");
    let told: Vec<String> = letters(&world).into_iter().filter(|letter| letter.contains("phù hợp nhất")).collect();
    assert!(told.iter().any(|letter| letter.contains("bớt 1 lần đi lại và 2 giấy tờ")), "{told:?}");
    assert!(
        told.iter().all(|letter| !letter.contains("không mất phí (người có")),
        "a waiver of an unknown amount is no 0"
    );
    let post = "chi phí không được so sánh vì chưa rõ cước bưu chính của “Nộp trực tuyến";
    assert!(told.iter().any(|letter| letter.contains(post)), "{told:?}");
    // A licence that ends too soon for any way: nothing is recommended, and all ways are shown.
    for (key, word, _) in &all {
        let said = world.chudong(&["explain", "--options", key]).with(0).out;
        assert!(said.contains("Compared with") == word.is_some(), "{said}");
        assert!(said.contains("At the one-stop counter") && said.contains("By public post"), "{said}");
    }
    // As JSON: the sheet, and both languages.
    let (key, ..) = all.first().unwrap();
    let told = world.chudong(&["explain", "--options", key, "--format", "json"]).with(0).out;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told[0]["sheet"]["policy"][0], "cost");
    assert!(told[0]["vi"].as_str().unwrap().contains("Nộp tại bộ phận một cửa"));
    // The second run of a night writes nothing.
    let before = world.entries("options.");
    world.night(NIGHT).with(0);
    assert_eq!(world.entries("options."), before);
    world.ledger_is_sound();
}

/// The fourth outcome, at an agency whose population register has passports. They were issued on 2 January 2017.
#[test]
fn an_agency_that_has_passports_compares_their_ways() {
    let world = world();
    crate::dossiers::forms::with_passports(&world);
    let (path, items) = ("pipelines/an-binh/pipeline.toml", "\"temporary_residence\", \"health_insurance\"]\n# What");
    world.edit(path, items, &items.replace("]", ", \"passport\"]"));
    world.night(NIGHT).with(0);
    let all = recommended(&world, "passport");
    assert_eq!(all.len(), 20);
    let letters = letters(&world);
    for (key, word, _) in &all {
        let said = world.chudong(&["explain", "--options", key]).with(0).out;
        assert!(said.contains("Online, through the public service portal"), "{said}");
        assert!(said.contains("At the counter of the immigration office"), "{said}");
        assert_eq!(word.as_deref(), Some("online"), "{said}");
        assert!(
            said.contains("saves one visit and 2 papers") && said.contains("still 25 days before your deadline"),
            "{said}"
        );
    }
    let told = letters.iter().filter(|letter| letter.contains("phòng quản lý xuất nhập cảnh")).count();
    assert!(told > 0, "{letters:?}");
}

#[test]
fn what_was_said_stays_when_the_files_change() {
    let world = world();
    world.night(NIGHT).with(0);
    let (key, ..) = recommended(&world, "driving_licence").into_iter().find(|(_, word, _)| word.is_some()).unwrap();
    let before = world.chudong(&["explain", "--options", &key]).with(0).out;
    world.edit("pipelines/options/driving_licence.toml", "vnd = 135000", "vnd = 1");
    world.edit("pipelines/options/driving_licence.toml", "visits = 2", "visits = 7");
    assert_eq!(world.chudong(&["explain", "--options", &key]).with(0).out, before);
}

#[test]
fn whoever_wants_no_recommendations_is_reminded_all_the_same() {
    let world = world();
    // Pseudonyms are made with a key that the first run makes.
    world.night("2026-10-10").with(0);
    let before_letters = letters(&world);
    let recommended_before = world.entries("options.").len();
    let file = "subject_id,request,item,channel,language,received_on,acknowledged_on,done_on\n";
    let people = world.root().join("data-samples/an-binh/population.sqlite");
    let everybody: Vec<String> = {
        let connection = rusqlite::Connection::open(people).unwrap();
        let mut select = connection.prepare("select citizen_id from citizens order by citizen_id").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let lines = everybody.iter().map(|person| format!("{person},refuse,recommendations,,,{NIGHT},,\n"));
    world.put("refusals.csv", format!("{file}{}", lines.collect::<String>()).as_bytes());
    let path = world.root().join("refusals.csv");
    world.chudong(&["preferences", "import", path.to_str().unwrap()]).with(0);
    world.night(NIGHT).with(0);
    assert_eq!(world.entries("options.").len(), recommended_before);
    let mut letters = letters(&world);
    letters.retain(|letter| !before_letters.contains(letter));
    assert!(letters.iter().any(|letter| letter.contains("Đổi giấy phép lái xe")));
    assert!(letters.iter().all(|letter| !letter.contains("Các cách thực hiện")), "nobody is told of options");
}

#[test]
fn nobody_can_change_what_was_recommended_unseen() {
    let changes = [
        "update recommendation set recommended = 'counter' where recommended = 'online'",
        "update recommendation set sealed = x'00' where recommended = 'online'",
        "delete from recommendation where recommended = 'online'",
        "update option_sheet set sheet = replace(sheet, '135000', '5000')",
        "delete from option_sheet where outcome = 'driving_licence'",
    ];
    let world = world();
    world.night(NIGHT).with(0);
    let path = world.state().join("ledger.sqlite");
    let sound = std::fs::read(&path).unwrap();
    for change in changes {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        assert!(connection.execute(change, []).unwrap() > 0, "{change}");
        drop(connection);
        let said = world.chudong(&["ledger", "verify"]);
        assert_eq!(said.code, Some(1), "{change}: {}", said.out);
        std::fs::write(&path, &sound).unwrap();
    }
    world.ledger_is_sound();
}

#[test]
fn erasing_a_person_takes_what_was_weighed_and_leaves_the_rest() {
    let world = world();
    world.night(NIGHT).with(0);
    let count = || {
        let connection = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
        let sql = "select count(*), count(sealed) from recommendation";
        connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap()
    };
    let (all, sealed) = count();
    assert!(all > 0 && sealed == all);
    let people = world.root().join("data-samples/an-binh/transport.sqlite");
    let connection = rusqlite::Connection::open(people).unwrap();
    let mut select = connection.prepare("select distinct citizen_id from driving_licences").unwrap();
    let holders: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let keys = recommended(&world, "driving_licence").len();
    for holder in holders {
        let number = world.root().join("number.txt");
        std::fs::write(&number, &holder).unwrap();
        std::fs::set_permissions(&number, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        world.chudong(&["erase", "--number-from", number.to_str().unwrap()]).with(0);
        if count().1 < sealed {
            let (left, sealed_left) = count();
            assert_eq!(left, all);
            assert!(sealed_left < sealed && keys > 0);
            world.ledger_is_sound();
            return;
        }
    }
    assert_eq!(keys, 0, "nobody who holds a licence was erased");
}

/// The ways of an outcome as `explain` tells them to one of those who are recommended something.
fn explained(world: &World, outcome: &str) -> String {
    let all = recommended(world, outcome);
    world.chudong(&["explain", "--options", &all.first().unwrap().0]).with(0).out
}

/// What the register says is the reason that is told: not that nothing is known.
#[test]
fn a_way_is_closed_for_the_reason_that_the_register_gives() {
    let world = world();
    let select = "-- One row per electronic identification account.\n--\n-- grain:   subject_id\n\
                  -- private: subject_id, level, documents\n\
                  select citizen_id as subject_id, 1 as level, 5 as documents\nfrom population.citizens\n";
    world.put("sql/staging/an-binh/electronic_identities.sql", select.as_bytes());
    world.night(NIGHT).with(0);
    let told = explained(&world, "driving_licence");
    assert_eq!(told.matches("it needs a level-2 electronic identity\n").count(), 2, "online and VNeID: {told}");
    assert!(!told.contains("of which we do not know"), "{told}");
}

/// A parent pays for a child online as well, and the term is told by what is paid now.
#[test]
fn insurance_is_open_online_to_everybody() {
    let world = world();
    world.night(NIGHT).with(0);
    let told = explained(&world, "health_insurance");
    assert!(!told.contains("under 14"), "{told}");
    assert!(told.contains("asks for 6 months more now (683,100"), "4.5 % of 2,530,000 đồng: {told}");
    assert!(!told.contains("in nothing better than “Twelve months, online”; contribution for 6"), "{told}");
}
