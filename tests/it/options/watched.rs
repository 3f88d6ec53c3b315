//! The share of recommended options that was taken: counted a second time by hand from the dossiers and the ledger, small
//! groups withheld, with disparity and drift.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use chudong::personal::{Personal, PseudonymKey};

use crate::support::world::World;

const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";
const DOSSIERS: &str = "data-samples/an-binh/one-stop/dossiers.csv";

const EXACT: &str = r#"
[exact]
policy = "an-binh-exact-1"
first_month = 2026-10-01

[[exact.options]]
table = "options_taken"
title = { vi = "Khuyến nghị được chọn", en = "Recommended options that were taken" }

[[exact.options]]
table = "options_taken_by_commune"
title = { vi = "Khuyến nghị được chọn, theo xã, phường", en = "Recommended options that were taken, by commune" }
by = ["commune_code"]

[[exact.options]]
table = "options_taken_by_age"
title = { vi = "Khuyến nghị được chọn, theo nhóm tuổi", en = "Recommended options that were taken, by age" }
by = ["age_group", "outcome"]
"#;

type Row = BTreeMap<String, String>;

fn rows(world: &World, table: &str, month: &str) -> Vec<Row> {
    let path = world.state().join(format!("published/exact/{table}/{month}/{table}.csv"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let header: Vec<String> = lines.next().unwrap().split(',').map(str::to_owned).collect();
    lines.map(|line| header.iter().cloned().zip(line.split(',').map(str::to_owned)).collect()).collect()
}

/// Everybody's residence ends on a day; nobody else has anything due.
fn residences_end(world: &World, on: &str) {
    let path = world.root().join("data-samples/an-binh/population.sqlite");
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute("delete from temporary_residences", []).unwrap();
    let sql = "insert into temporary_residences (registration_number, citizen_id, commune_code, expires_on, ended_on)
               select 'TT' || citizen_id || ?1, citizen_id, commune_code, ?1, null from citizens";
    assert!(connection.execute(sql, [on]).unwrap() > 100);
}

/// Who lives where: citizen and commune.
fn citizens(world: &World) -> Vec<(String, String)> {
    let path = world.root().join("data-samples/an-binh/population.sqlite");
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut select =
        connection.prepare("select citizen_id, coalesce(commune_code, '') from citizens order by citizen_id").unwrap();
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Everybody files on a day: so many in ten online, the others at the counter.
fn everybody_files(world: &World, day: &str, online_in_ten: usize) {
    let mut text = std::fs::read_to_string(world.root().join(DOSSIERS)).unwrap();
    let compact: String = day.split('/').rev().map(|part| &part[part.len() - 2..]).collect();
    for (at, (citizen, commune)) in citizens(world).into_iter().enumerate() {
        let channel = if at % 10 < online_in_ten { 2 } else { 1 };
        text.push_str(&format!(
            "H97.01-{compact}-{:04},{citizen},1.002755,{commune},{channel},10,{day},{day},{day}\n",
            5000 + at
        ));
    }
    world.put(DOSSIERS, text.as_bytes());
}

/// Acted and taken by commune in a month, from the entries of the ledger and the dossiers alone.
fn by_hand(world: &World, month: &str) -> BTreeMap<String, [u64; 2]> {
    let key = std::fs::read(world.state().join("keys/pseudonym.key")).unwrap();
    let key = PseudonymKey::new(key.try_into().unwrap());
    // The night, and the channel of what was recommended.
    let mut told: BTreeMap<String, (String, &str)> = BTreeMap::new();
    for entry in world.entries("options.recommended") {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        for line in body["lines"].as_array().unwrap().iter().filter(|_| body["outcome"] == "temporary_residence") {
            let channel = if line[2] == "online" { "2" } else { "1" };
            told.insert(line[1].as_str().unwrap().to_owned(), (body["as_of"].as_str().unwrap().to_owned(), channel));
        }
    }
    let text = std::fs::read_to_string(world.root().join(DOSSIERS)).unwrap();
    let mut counts: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let day: Vec<&str> = cells[6].split('/').collect();
        lines.push((format!("{}-{}-{}", day[2], day[1], day[0]), cells));
    }
    lines.sort_by(|a, b| (&a.0, a.1[4]).cmp(&(&b.0, b.1[4])));
    for (day, cells) in lines {
        let subject = key.pseudonym(&Personal::new(cells[1].to_owned()));
        let Some((night, channel)) = told.get(&subject) else { continue };
        if day.starts_with(month) && cells[2] == "1.002755" && *night <= day && seen.insert(subject) {
            for at in [cells[3], "97"] {
                let sums = counts.entry(at.to_owned()).or_default();
                sums[0] += 1;
                sums[1] += u64::from(cells[4] == *channel);
            }
        }
    }
    counts
}

const OUTCOME: &str = "pipelines/options/temporary_residence.toml";

/// The agency with so many people, who have nothing due but their residence, and whose options are watched.
fn watched(people: u64) -> World {
    let world = World::small(people);
    world.without_figures();
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let text = text.replace(
        "use = [\"identity_card\", \"driving_licence\", \"vehicle_inspection\", \"temporary_residence\", \"health_insurance\"]",
        "use = [\"temporary_residence\"]",
    );
    let text = text.replace(
        "use = [\"driving_licence\", \"temporary_residence\", \"health_insurance\"]",
        "use = [\"temporary_residence\"]",
    );
    // Everybody's residence ends at once.
    world.put(PIPELINE, format!("{text}{EXACT}").replace("[items]\n", "[items]\nhold_change = \"never\"\n").as_bytes());
    residences_end(&world, "2026-10-15");
    world
}

#[test]
fn what_no_dossier_tells_apart_is_not_counted_until_a_mark_does() {
    for is_marked in [false, true] {
        let world = watched(300);
        if is_marked {
            world.edit(OUTCOME, "id = \"vneid\"\n", "id = \"vneid\"\nmark = \"vneid\"\n");
            let mark = "        filed.channel,\n        case when filed.dossier_id like '%3' then 'vneid' end as mark\n    from filed";
            world.edit("sql/quality/choices.sql", "        filed.channel\n    from filed", mark);
        }
        world.night("2026-10-05").with(0);
        everybody_files(&world, "08/10/2026", 7);
        world.night("2026-11-15");
        let found = rows(&world, "options_taken", "2026-10");
        let sum = |column: &str| found.iter().filter_map(|row| row[column].parse::<f64>().ok()).sum::<f64>();
        let (acted, taken) = (sum("acted"), sum("taken"));
        if is_marked {
            // Of seven in ten who filed online, one did so by VNeID, which was recommended to nobody.
            assert!(acted > 100.0 && (taken / acted - 0.6).abs() < 0.05, "{taken} of {acted}");
        } else {
            // The portal was recommended, and VNeID has the same procedure and channel.
            assert!(acted < 1.0, "{found:?}");
        }
        world.ledger_is_sound();
    }
}

#[test]
fn the_share_taken_is_published_by_group_and_drifts_from_month_to_month() {
    let world = watched(500);
    // VNeID is filed by the same procedure and channel as the portal: here no dossier shows that it was taken.
    let vneid = "via = \"online\"\nprocedure_code = \"1.002755\"\nin_force_from = 2026-08-15";
    world.edit(OUTCOME, vneid, "via = \"online\"\nin_force_from = 2026-08-15");
    world.night("2026-10-05").with(0);
    everybody_files(&world, "08/10/2026", 7);
    // November's dossiers reach to its end.
    everybody_files(&world, "30/11/2026", 4);
    // That nobody's residence is in the window any more holds the reminders, and no figure.
    world.night("2026-12-15").with(3);
    for month in ["2026-10", "2026-11"] {
        let expected = by_hand(&world, month);
        assert!(expected["97"][0] > 100, "{expected:?}");
        let mut published = 0;
        for row in rows(&world, "options_taken_by_commune", month) {
            let [acted, taken] = expected.get(&row["commune_code"]).copied().unwrap_or_default();
            if row["status"] == "withheld" {
                assert!(row["taken_percent"].is_empty() && row["disparity_points"].is_empty(), "{row:?}");
                continue;
            }
            published += 1;
            assert_eq!((row["acted"].as_str(), row["taken"].as_str()), (&*acted.to_string(), &*taken.to_string()));
            let share: f64 = row["taken_percent"].parse().unwrap_or(0.0);
            assert!(acted == 0 || (share - taken as f64 * 100.0 / acted as f64).abs() < 0.051, "{row:?}");
        }
        assert!(published > 1, "some communes are large enough");
    }
    // Everybody as a whole: the share, no disparity, and the change from the month before.
    let whole = rows(&world, "options_taken", "2026-11");
    let [whole] = whole.as_slice() else { unreachable!("one row, found {}", whole.len()) };
    let before = &rows(&world, "options_taken", "2026-10")[0];
    let number = |row: &Row, column: &str| row[column].parse::<f64>().unwrap();
    assert!(number(whole, "disparity_points").abs() < 1e-9);
    let drift = number(whole, "taken_percent") - number(before, "taken_percent");
    assert!((number(whole, "drift_points") - drift).abs() < 1e-6, "{whole:?} {before:?}");
    assert!(drift < -10.0, "fewer took it in November");
    assert!(before["drift_points"].is_empty(), "there was no month before");
    // Decided once: the files stay as they are, and the ledger is sound.
    let published = world.published();
    world.night("2026-12-16");
    assert_eq!(world.published(), published);
    world.ledger_is_sound();
}
