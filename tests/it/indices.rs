//! Score sheets: what a decision makes of what was counted, by its data, its SQL and the verb.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

/// What the numbers of a sheet are, computed a second time.
mod exact;
/// A changed definition is noticed by a case.
mod mutants;
/// What a clerk is told when a definition is wrong.
mod written;

use std::collections::BTreeMap;

use chudong::ledger::{Followed, Ledger, MessageKey, MessageState, Outcomes, Record, Settlement};
use chudong::obligations::life::{Change, Event, Standing, State};
use chudong::pipeline::Pipeline;
use chudong::pipeline::indices::Definition;
use chudong::pipeline::reader::Faults;
use jiff::civil::date;

use crate::support::world::World;

/// The pipeline of the repository, with its decisions.
fn pipeline() -> Pipeline {
    let faults = Faults::default();
    let pipeline = chudong::pipeline::read(crate::root(), "an-binh", &faults).unwrap();
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    pipeline
}

fn decision(name: &str) -> Definition {
    let found = pipeline().indices.into_iter().find(|definition| definition.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

const NIGHT: &str = "2026-11-21";

/// A sheet as JSON.
fn sheet(world: &World, arguments: &[&str]) -> serde_json::Value {
    let mut all = vec!["quality", "--format", "json"];
    all.extend(arguments);
    serde_json::from_str(&world.chudong(&all).with(0).out).unwrap()
}

/// The lines of a sheet by code.
fn lines(sheet: &serde_json::Value) -> BTreeMap<String, serde_json::Value> {
    let groups = sheet["groups"].as_array().unwrap().iter();
    let metrics = groups.flat_map(|group| group["metrics"].as_array().unwrap());
    metrics.map(|metric| (metric["code"].as_str().unwrap().to_owned(), metric.clone())).collect()
}

fn number(line: &serde_json::Value, column: &str) -> i64 {
    line[column].as_str().unwrap().parse().unwrap()
}

#[test]
fn the_sheet_of_the_sample_province() {
    let world = World::small(6_000);
    world.night(NIGHT).with(0);
    let province = sheet(&world, &["--period", "2026-10"]);
    let said = world.chudong(&["quality", "--period", "2026-10", "--unit", "97", "--language", "en"]).with(0);
    insta::assert_snapshot!("sheet_766_en", said.out);
    let said = world.chudong(&["quality", "--period", "2026-Q4", "--unit", "97001", "--decision", "61"]).with(0);
    insta::assert_snapshot!("sheet_61_vi", said.out);
    let said = world.chudong(&["quality", "--period", "2026", "--decision", "224", "--language", "en"]).with(0);
    insta::assert_snapshot!("sheet_224_en", said.out);

    // The communes together are the province: no dossier is of two units, and none of no unit.
    let mut sums = [0; 2];
    for commune in pipeline().unit.communes {
        let found = lines(&sheet(&world, &["--period", "2026-10", "--unit", &commune.code]));
        let line = &found["PROCESSED_ON_TIME"];
        sums = [sums[0] + number(line, "numerator"), sums[1] + number(line, "denominator")];
    }
    let line = &lines(&province)["PROCESSED_ON_TIME"];
    assert_eq!(sums, [number(line, "numerator"), number(line, "denominator")]);
    assert!(sums[0] > 0 && sums[0] < sums[1], "{sums:?}");

    // Three months make the quarter: from dossiers, so that their counts add up where the ratios do not.
    let counts = |period: &str| {
        let line = lines(&sheet(&world, &["--period", period])).remove("DOSSIERS_ONLINE").unwrap();
        [number(&line, "numerator"), number(&line, "denominator")]
    };
    let months = ["2026-07", "2026-08", "2026-09"].map(counts);
    let sum = |at: usize| months.iter().map(|month| month[at]).sum::<i64>();
    assert_eq!(counts("2026-Q3"), [sum(0), sum(1)]);

    // What is not filled is not known, which is neither 0 nor the maximum for no petition.
    let found = lines(&province);
    let petitions = &found["PETITION_PROCESSING_ON_TIME"];
    assert_eq!(
        (&petitions["score"], &petitions["lacks"]),
        (&serde_json::Value::Null, &serde_json::json!(["petitions"]))
    );
    assert_eq!(province["class"], serde_json::Value::Null);
    assert_eq!((&province["maximum"], &province["known_maximum"]), (&100.into(), &28.into()));

    for (code, arguments) in [
        ("quality.unknown-unit", ["--period", "2026-10", "--unit", "99999"]),
        ("quality.unknown-unit", ["--period", "2026-10", "--procedure", "9.999999"]),
        ("quality.unknown-decision", ["--period", "2026-10", "--decision", "76"]),
        ("quality.period-to-come", ["--period", "2026-12", "--decision", "766"]),
        ("quality.not-in-force", ["--period", "2026-05", "--decision", "224"]),
        ("quality.not-kept", ["--period", "2026-10", "--as-of", "2026-10-31"]),
    ] {
        let mut all = vec!["quality"];
        all.extend(arguments);
        let said = world.chudong(&all).with(1).said();
        assert!(said.contains(&format!("error[{code}]: ")) && said.contains("next: "), "{said}");
    }
    world.chudong(&["quality", "--period", "October"]).with(2);

    // A new version beside the old one: the months before it keep theirs.
    let path = "pipelines/indices/decision_766.toml";
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    let (_, version) = text.split_once("[[version]]\n").unwrap();
    let version = version
        .replace(
            "enacted_on = 2022-06-23\nin_force_from = 2022-06-23",
            "enacted_on = 2026-09-15\nin_force_from = 2026-10-01",
        )
        .replace(
            "code = \"TDGQ\"\ntitle = { vi = \"Tiến độ giải quyết\", en = \"Progress of settlement\" }\nmaximum = 20",
            "code = \"TDGQ\"\ntitle = { vi = \"Tiến độ giải quyết\", en = \"Progress of settlement\" }\nmaximum = 30",
        )
        .replace("score = \"linear\"\nmaximum = 20", "score = \"linear\"\nmaximum = 30")
        .replace("maximum = 100", "maximum = 110");
    world.put(path, format!("{text}\n[[version]]\n{version}").as_bytes());
    let september = sheet(&world, &["--period", "2026-09"]);
    assert_eq!(
        (september["version"].as_str().unwrap(), &september["maximum"]),
        ("decision_766@2022-06-23", &100.into())
    );
    let october = sheet(&world, &["--period", "2026-10"]);
    assert_eq!((october["version"].as_str().unwrap(), &october["maximum"]), ("decision_766@2026-10-01", &110.into()));
}

#[test]
fn a_sheet_before_the_first_night_is_refused() {
    let world = World::of("an-binh");
    let said = world.chudong(&["quality", "--period", "2026-10"]).with(1).said();
    assert!(said.contains("error[quality.no-night]"), "{said}");
}

#[test]
fn of_those_reminded_how_many_acted_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let as_of = date(2026, 11, 21);
    let run = ledger.begin_run(chudong::calendar::AsOf::new(as_of)).unwrap();
    // Key, state of the obligation, done on, state of the message.
    let (done, open) = (State::Fulfilled, State::Open);
    let (taken, refused) = (Some(MessageState::Accepted), Some(MessageState::Refused));
    let obligations = [
        ("a", date(2026, 10, 1), done, Some(date(2026, 10, 1)), taken),
        ("b", date(2026, 10, 31), done, Some(date(2026, 11, 1)), taken),
        ("c", date(2026, 10, 31), State::Lapsed, None, taken),
        ("d", date(2026, 10, 5), done, Some(date(2026, 10, 4)), refused),
        ("e", date(2026, 10, 5), done, Some(date(2026, 10, 4)), None),
        ("f", date(2026, 10, 5), State::Withdrawn, None, taken),
        ("g", date(2026, 9, 30), done, Some(date(2026, 9, 29)), taken),
        ("h", date(2026, 11, 1), open, None, taken),
    ];
    let changes = obligations.iter().map(|(key, due_on, state, fulfilled_on, _)| Change {
        event: Event::Arisen,
        standing: Standing {
            key: (*key).into(),
            subject: "0f".repeat(16),
            due_on: *due_on,
            rule_version: "driving_licence_term@2025-01-01".into(),
            state: *state,
            since: as_of,
            fulfilled_on: *fulfilled_on,
        },
        from: None,
    });
    let followed = Followed { item: "driving_licence".into(), changes: changes.collect() };
    ledger.follow(&run, as_of, &[followed]).unwrap();
    for (key, due_on, _, _, message) in obligations {
        let Some(state) = message else { continue };
        // Two reminders of one obligation are one obligation.
        for stage_notice_days in [30, 7] {
            let message = MessageKey(format!("{key}{stage_notice_days}"));
            let record = Record {
                key: message.clone(),
                subject: "0f".repeat(16),
                obligation: key.into(),
                item: "driving_licence".into(),
                stage_notice_days,
                channel: "folder",
                message_id: format!("<{key}{stage_notice_days}@an-binh.example>"),
                due_on,
                rule_version: "driving_licence_term@2025-01-01".into(),
                template_version: "t".into(),
                rendered_hash: "r".into(),
                explanation: None,
            };
            ledger.record(&run, vec![(record, ())]).unwrap();
            ledger.settle(&run, &[Settlement { key: message, state, reason: "250".into() }]).unwrap();
        }
    }
    let october = ledger.outcomes(date(2026, 10, 1), date(2026, 10, 31)).unwrap();
    assert_eq!(october, Outcomes { reminded: 3, acted_in_time: 1 });
    let year = ledger.outcomes(date(2026, 1, 1), date(2026, 12, 31)).unwrap();
    assert_eq!(year, Outcomes { reminded: 5, acted_in_time: 2 });
}
