//! What a pull leaves in the ledger, and when a table waits for a person.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;

use chudong::calendar::AsOf;
use chudong::landing::{self, Landed, Read, Store, read_generation};
use chudong::ledger::{FailedPull, Ledger, PullEntry, UsualRows};
use chudong::personal::Personal;
use chudong::pipeline::filter::Dates;
use chudong::pipeline::law::Law;
use chudong::pipeline::{Load, Source, SourceKind, Type};
use chudong::tables::TableName;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::Value;

use crate::landing::{column, source, table};
use crate::support::world::World;

// ---- the usual volume ---------------------------------------------------------------

/// A night on which a table came with so many rows.
fn night(ledger: &mut Ledger, as_of: Date, rows: u64, is_held: bool, is_accepted: bool) {
    let run = ledger.begin_run(AsOf::new(as_of)).unwrap();
    let pull = PullEntry {
        table: "a.b".into(),
        mode: "snapshot",
        rows_landed: rows,
        rows_held: rows,
        is_held,
        is_accepted,
        ..PullEntry::default()
    };
    ledger.pulled(&run, &[pull], &[FailedPull { table: "a.c".into(), ..FailedPull::default() }]).unwrap();
}

#[test]
fn the_usual_volume_is_the_median_of_seven_nights_since_a_person_accepted_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let usual = |ledger: &Ledger| ledger.usual_rows("a.b").unwrap().map(|UsualRows { rows, nights }| (rows, nights));
    assert_eq!(usual(&ledger), None);
    let mut day = date(2026, 11, 1);
    let mut next = |ledger: &mut Ledger, rows, is_held, is_accepted| {
        night(ledger, day, rows, is_held, is_accepted);
        day = day.checked_add(1.day()).unwrap();
    };
    next(&mut ledger, 1_000, false, false);
    assert_eq!(usual(&ledger), Some((1_000, 1)));
    next(&mut ledger, 900, false, false);
    assert_eq!(usual(&ledger), Some((950, 2)));
    // A night that was held tells nothing of what is usual; nor does one odd night among several.
    next(&mut ledger, 3, true, false);
    assert_eq!(usual(&ledger), Some((950, 2)));
    for rows in [810, 5_000, 730, 800, 790] {
        next(&mut ledger, rows, false, false);
    }
    assert_eq!(usual(&ledger), Some((810, 7)));
    next(&mut ledger, 700, false, false);
    assert_eq!(usual(&ledger), Some((800, 7)), "the first of the eight nights is forgotten");
    // From the night that a person accepted on, it is what is usual.
    next(&mut ledger, 90, false, true);
    assert_eq!(usual(&ledger), Some((90, 1)));
    // The same night once more is one night, as it came last.
    night(&mut ledger, date(2026, 11, 10), 94, false, false);
    assert_eq!(usual(&ledger), Some((94, 1)));
    assert_eq!(ledger.usual_rows("a.c").unwrap(), None, "what failed had no rows");
    ledger.anchor().unwrap();
    let verified = chudong::ledger::verify::verify(folder.path()).unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
}

#[test]
fn a_table_that_grows_beyond_its_bound_is_held_until_a_person_accepts_it() {
    let world = World::small(400);
    let pipeline = "pipelines/an-binh/pipeline.toml";
    let bound = "file = \"household_cards.csv\"\nvolume = { drop_percent = 30, rise_percent = 50, least_rows = 5 }";
    world.edit(pipeline, "file = \"household_cards.csv\"", bound);
    world.night("2026-11-21").with(0);
    let path = "data-samples/an-binh/insurance/household_cards.csv";
    let whole = std::fs::read_to_string(world.root().join(path)).unwrap();
    let more: String = whole.lines().skip(1).map(|line| format!("9{line}\n")).collect();
    world.put(path, format!("{whole}{more}").as_bytes());
    let ended = world.night("2026-11-22").with(3);
    assert!(ended.out.contains("Rows that are too many"), "{}", ended.out);
    assert!(ended.out.contains("(one night): it is held"), "{}", ended.out);
    assert!(world.chudong(&["plan", "--as-of", "2026-11-22"]).with(3).out.contains("too many"));
    world.chudong(&["run", "--as-of", "2026-11-22", "--accept", "insurance.household_cards"]).with(0);
    world.night("2026-11-23").with(0);
    // Half of it is a loss again, and is measured from what was accepted.
    world.put(path, whole.as_bytes());
    let ended = world.night("2026-11-24").with(3);
    assert!(ended.out.contains("Rows that are missing"), "{}", ended.out);
}

#[test]
fn an_ordinary_increment_is_weighed_as_the_whole_table_that_it_belongs_to() {
    let world = World::small(400);
    let declared = "[sources.transport.tables.vehicles]\nkey = [\"plate\"]";
    let load = "increment = { cursor = \"inspections\", overlap = 0, compare_days = 30 }";
    let bound = "volume = { drop_percent = 3, rise_percent = 3, least_rows = 1 }";
    world.edit("pipelines/an-binh/pipeline.toml", declared, &format!("{declared}\n{load}\n{bound}"));
    world.night("2026-11-21").with(0);
    let register = rusqlite::Connection::open(world.root().join("data-samples/an-binh/transport.sqlite")).unwrap();
    let newest = || -> Value {
        let entries = world.entries("pull");
        let last = entries.iter().rfind(|entry| entry.key == "transport.vehicles").unwrap();
        serde_json::from_str(&last.body).unwrap()
    };
    let whole = newest()["rows_held"].as_u64().unwrap();
    register.execute_batch("update vehicles set inspections = inspections + 1000 where rowid % 20 = 0").unwrap();
    world.night("2026-11-22").with(0);
    let increment = newest();
    assert_eq!(increment["mode"], "increment", "{increment}");
    let landed = increment["rows_landed"].as_u64().unwrap();
    assert!(landed * 100 > whole * 3, "{landed} of {whole} are few enough for any bound");
    // A loss is a loss, however the table is read.
    register.execute_batch("delete from vehicles where rowid % 2 = 0").unwrap();
    world.edit("pipelines/an-binh/pipeline.toml", "compare_days = 30", "compare_days = 1");
    let ended = world.night("2026-11-23").with(3);
    assert!(ended.out.contains("Rows that are missing"), "{}", ended.out);
}

#[test]
fn texts_that_were_brought_to_nfc_are_told_and_their_rows_land() {
    let world = World::small(400);
    let path = "data-samples/an-binh/insurance/household_cards.csv";
    let cards = std::fs::read_to_string(world.root().join(path)).unwrap();
    world.put(path, format!("{cards}Tha\u{309},,\nThe\u{309},,\n").as_bytes());
    let told = world.chudong(&["plan", "--as-of", "2026-11-21"]).with(0).out;
    assert!(told.contains("2 card_number: not in NFC (brought to NFC)"), "{told}");
    let told = world.chudong(&["run", "--as-of", "2026-11-21", "--format", "json"]).with(0).out;
    let told: Value = serde_json::from_str(&told).unwrap();
    let tables = told["tables"].as_array().unwrap();
    let cards = tables.iter().find(|line| line["table"] == "insurance.household_cards").unwrap();
    assert_eq!(cards["findings"], serde_json::json!({ "card_number: not in NFC (brought to NFC)": 2 }));
    assert_eq!((&cards["rows_quarantined"], &cards["rows_landed"]), (&0.into(), &cards["rows_read"]));
}

#[test]
fn the_ledger_says_what_was_asked_on_what_ground_and_what_came() {
    let world = World::small(400);
    world.night("2026-11-21").with(0);
    let entries = world.entries("pull");
    let entry = entries.iter().find(|entry| entry.key == "transport.driving_licences").unwrap();
    let body: Value = serde_json::from_str(&entry.body).unwrap();
    assert_eq!(body["filter"], "issued_on is null or issued_on >= $since - longest('driving_licence_term')");
    // Ten years before the first day that is still followed, and three days for months that differ in length.
    assert!(body["asked"].as_str().unwrap().contains("2016-10-19"), "{body}");
    assert_eq!(body["mode"], "snapshot");
    assert_eq!(body["purposes"], serde_json::json!(["reminders", "dossiers", "recommendations"]));
    assert!(body["legal_ground"].as_str().unwrap().contains("91/2025/QH15"));
    assert_eq!(body["columns"].as_array().unwrap().len(), 6);
    assert_eq!(body["totals"][0], "rows");
    assert_eq!(body["rows_landed"], body["rows_held"]);
    let asked = world.chudong(&["query", "select mode, rows_changed from history.pulls limit 1", "--format", "csv"]);
    assert_eq!(asked.with(0).out, "mode,rows_changed\nsnapshot,\n");
}

// ---- erasing from increments ----------------------------------------------------------

fn vehicles(path: PathBuf) -> Source {
    let mut owner = column("owner", Type::Text);
    owner.is_subject = true;
    let mut declared = table("vehicles", vec![column("plate", Type::Text), owner, column("version", Type::Int)]);
    declared.load = Load::Incremental { cursor: "version".into(), overlap: 0, compare_days: 2 };
    declared.keep_generations = 3;
    source(SourceKind::Sqlite { path }, vec![declared])
}

fn pull(source: &Source, as_of: Date, store: &Store) -> Landed {
    let law = Law::default();
    let dates = Dates { as_of, until: as_of, since: as_of, known_on: as_of, law: &law };
    let pulled = landing::pull(source, crate::root(), dates, store).unwrap();
    assert!(pulled.failed.is_empty(), "{:?}", pulled.failed);
    pulled.tables.into_iter().next().unwrap()
}

fn owners(landed: &Landed) -> Vec<(String, String)> {
    let table = landed.table().unwrap();
    let texts = |name| table.texts(name).unwrap().into_iter().map(Option::unwrap);
    texts("plate").zip(texts("owner")).collect()
}

#[test]
fn a_person_leaves_the_base_and_the_changes_of_every_generation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vehicles.sqlite");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("create table vehicles (plate text, owner text, version integer)").unwrap();
    let mut insert = database.prepare("insert into vehicles values (?1, ?2, ?3)").unwrap();
    for number in 0..1_000 {
        insert.execute((format!("V{number:04}"), format!("owner-{number}"), number)).unwrap();
    }
    drop(insert);
    let source = vehicles(path);
    let store = Store::Folder(folder.path().join("landing"));
    pull(&source, date(2026, 11, 21), &store);
    // They sell one, buy one, and one is scrapped.
    let sql = "update vehicles set owner = 'person', version = 1000 where plate in ('V0001', 'V0003');
               update vehicles set owner = 'person', version = 1001 where plate in ('V0002', 'V0005');";
    database.execute_batch(sql).unwrap();
    let changed = pull(&source, date(2026, 11, 22), &store);
    assert!(matches!(changed.read, Read::Changes { .. }), "{:?}", changed.read);
    database.execute_batch("update vehicles set owner = 'other', version = 1002 where plate = 'V0005'").unwrap();
    database.execute_batch("delete from vehicles where plate = 'V0003'").unwrap();
    let last = pull(&source, date(2026, 11, 23), &store);
    assert_eq!(owners(&last).iter().filter(|(_, owner)| owner == "person").count(), 2);

    let tables = [(TableName::new("insurance", "vehicles"), vec!["owner".to_owned()])];
    let erased = landing::erase(&store, &tables, &Personal::new("person".to_owned())).unwrap();
    assert_eq!(erased.len(), 1);
    assert!(erased[0].generations.iter().all(|(before, after)| before != after));
    let room = folder.path().join("landing/insurance.vehicles");
    let mut files = 0;
    for entry in std::fs::read_dir(&room).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"person"), "{}", path.display());
        if path.extension().is_some_and(|extension| extension == "parquet")
            && !path.to_string_lossy().contains("quarantine")
        {
            files += read_generation(&path).unwrap().rows();
        }
    }
    assert!(files > 900, "the others stay");
    assert_eq!(landing::erase(&store, &tables, &Personal::new("person".to_owned())).unwrap(), []);
    // The next night goes on from what is left: the sold car is its new owner's, and nobody's old car came to light.
    let next = pull(&source, date(2026, 11, 24), &store);
    let owners = owners(&next);
    let of = |plate: &str| owners.iter().find(|(known, _)| known == plate).map(|(_, owner)| owner.as_str());
    assert_eq!(of("V0005"), Some("other"));
    assert_ne!(of("V0002"), Some("owner-2"), "what was no longer true did not come to light");
    assert_eq!(of("V0004"), Some("owner-4"));
}
