//! What waits for a person, what is restated, what is withdrawn: and that nothing else on the shelf changes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use chudong::calendar::WorkingDays;
use chudong::pipeline::publication::Gates;
use chudong::publication::Labels;
use chudong::publication::gates::{Concern, Examined, concerns, stale};
use jiff::civil::date;
use serde_json::Value;

use crate::publication::pipeline;
use crate::support::browser::Browser;
use crate::support::world::World;

const GATES: Gates = Gates { same_periods: 3, ..Gates::USUAL };

/// A table by commune with one share, to be looked at.
fn examined(period: &str, shares: &[(&str, Option<f64>)]) -> Examined {
    let codes: ArrayRef = Arc::new(shares.iter().map(|(code, _)| Some(*code)).collect::<StringArray>());
    let values: ArrayRef = Arc::new(shares.iter().map(|(_, value)| *value).collect::<Float64Array>());
    Examined {
        table: "satisfaction_by_commune".into(),
        period: period.into(),
        rows: RecordBatch::try_from_iter_with_nullable([
            ("commune_code", codes, false),
            ("satisfied_percent", values, true),
        ])
        .unwrap(),
        shares: vec!["satisfied_percent".into()],
        keys: vec!["commune_code".into()],
    }
}

const COMMUNES: [&str; 8] = ["97001", "97002", "97003", "97004", "97005", "97006", "97007", "97008"];

/// All communes with shares of their own, but for these.
fn whole(period: &str, but: &[(&str, Option<f64>)]) -> Examined {
    let but: BTreeMap<&str, Option<f64>> = but.iter().copied().collect();
    let month: f64 = period.get(5..).and_then(|month| month.parse().ok()).unwrap_or(0.0);
    let shares: Vec<_> =
        COMMUNES.iter().map(|code| (*code, but.get(code).copied().unwrap_or(Some(60.0 + month)))).collect();
    examined(period, &shares)
}

fn found(tables: &[Examined], earlier: &[Examined]) -> Vec<Concern> {
    concerns(tables, earlier, &Labels::from(&pipeline()), &GATES).unwrap()
}

fn checks(tables: &[Examined], earlier: &[Examined]) -> Vec<&'static str> {
    found(tables, earlier).into_iter().map(|concern| concern.check).collect()
}

#[test]
fn a_share_over_a_hundred_is_held_and_one_of_a_hundred_is_not() {
    assert_eq!(
        checks(&[whole("2026-09", &[("97002", Some(100.0)), ("97003", Some(0.0)), ("97004", None)])], &[]),
        [""; 0]
    );
    assert_eq!(checks(&[whole("2026-09", &[("97002", Some(100.1))])], &[]), ["share-over-100"]);
    assert_eq!(checks(&[whole("2026-09", &[("97002", Some(-0.1))])], &[]), ["share-over-100"]);
    assert_eq!(checks(&[whole("2026-09", &[("97002", Some(f64::NAN))])], &[]), ["share-over-100"]);
}

#[test]
fn every_commune_has_one_row_and_no_stranger_has_any() {
    let rows = |codes: &[&str]| examined("2026-09", &codes.iter().map(|code| (*code, Some(80.0))).collect::<Vec<_>>());
    assert_eq!(checks(&[rows(&COMMUNES)], &[]), [""; 0]);
    assert_eq!(checks(&[rows(&COMMUNES[..7])], &[]), ["keys"]);
    assert_eq!(checks(&[rows(&[&COMMUNES[..], &["99999"]].concat())], &[]), ["keys"]);
    assert_eq!(checks(&[rows(&[&COMMUNES[..], &["97001"]].concat())], &[]), ["keys"]);
    let said = found(&[rows(&COMMUNES[..7])], &[]).remove(0).to_string();
    assert_eq!(
        said,
        "satisfaction_by_commune: of 8 cells of the code lists 1 have no row; 0 rows are of no cell, 0 are there twice"
    );
}

#[test]
fn a_share_that_does_not_move_for_so_many_periods_is_held() {
    let stuck = [("97005", Some(91.7))];
    let earlier: Vec<Examined> = ["2026-06", "2026-07", "2026-08"].iter().map(|period| whole(period, &stuck)).collect();
    assert_eq!(checks(&[whole("2026-09", &stuck)], &earlier), ["same-value"]);
    // One period fewer, another last digit, and a gap are no such thing; quarters are not compared with months.
    assert_eq!(checks(&[whole("2026-09", &stuck)], &earlier[1..]), [""; 0]);
    assert_eq!(checks(&[whole("2026-09", &[("97005", Some(91.8))])], &earlier), [""; 0]);
    let mut gap = earlier.clone();
    gap[1] = whole("2026-07", &[("97005", None)]);
    assert_eq!(checks(&[whole("2026-09", &stuck)], &gap), [""; 0]);
    let mut quarter = earlier[1..].to_vec();
    quarter.push(whole("2026-Q2", &stuck));
    assert_eq!(checks(&[whole("2026-09", &stuck)], &quarter), [""; 0]);
    // What came later does not count for what was before.
    assert_eq!(checks(&[whole("2026-05", &stuck)], &earlier), [""; 0]);
}

#[test]
fn a_source_is_stale_by_working_days_and_tet_is_none() {
    let calendar = pipeline().calendar;
    let working = |end| calendar.known_on(end);
    let is_stale = |until, end| stale("ratings", Some(until), end, &working(end), &GATES).is_some();
    // Five working days before the end of October 2026, and six.
    let end = date(2026, 10, 31);
    assert!(!is_stale(date(2026, 10, 23), end) && is_stale(date(2026, 10, 22), end));
    assert!(!is_stale(date(2026, 11, 5), end) && !is_stale(end, end));
    // Tết of 2026 is from 14 to 22 February: nobody works, and the source is not to blame.
    assert!(!is_stale(date(2026, 2, 13), date(2026, 2, 27)) && is_stale(date(2026, 2, 12), date(2026, 2, 27)));
    assert!(stale("ratings", None, end, &working(end), &GATES).is_some());
    // A calendar that knows nothing counts every day.
    assert!(stale("ratings", Some(date(2026, 10, 25)), end, &WorkingDays::default(), &GATES).is_some());
}

#[test]
fn a_response_rate_that_nobody_believes_is_held() {
    let rate = |percent: f64| {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![percent]));
        Examined {
            table: "satisfaction_in_province".into(),
            period: "2026-09".into(),
            rows: RecordBatch::try_from_iter([("response_rate_percent", values)]).unwrap(),
            shares: vec!["response_rate_percent".into()],
            keys: Vec::new(),
        }
    };
    assert_eq!(checks(&[rate(1.0)], &[]), [""; 0]);
    assert_eq!(checks(&[rate(100.0)], &[]), [""; 0]);
    assert_eq!(checks(&[rate(0.9)], &[]), ["response-rate"]);
    assert_eq!(checks(&[rate(100.1)], &[]), ["response-rate"]);
}

// ---- a whole agency -----------------------------------------------------------

const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";

/// The sample agency with two published months, in which the figures of few people are shown.
///
/// So few answers under noise give any response rate: it is not what these tests are about, but for the one that says so.
fn world(response_percent_most: u16) -> World {
    let world = World::small(400);
    world.without_exact();
    world.edit(PIPELINE, "first_month = 2026-07-01", "first_month = 2026-09-01");
    world.edit(PIPELINE, "min_count = 100", "min_count = 1");
    world.edit(PIPELINE, "min_count = 200", "min_count = 1");
    let most = format!("response_percent_most = {response_percent_most}");
    world.edit(PIPELINE, "response_percent_most = 1000", &most);
    world
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_held_period_waits_for_a_person_and_passes_when_they_say_so() {
    let world = world(1);
    let ended = world.night("2026-11-21").with(3);
    assert!(ended.out.contains("publish.held") && ended.out.contains("0 to 1 are plausible"), "{}", ended.out);
    assert!(!world.state().join("published/2026-09").exists() && !world.state().join("published/2026-10").exists());
    let page = std::fs::read_to_string(world.state().join("published/index.html")).unwrap();
    assert!(page.contains("Chưa có số liệu nào được công bố."));
    // What was drawn is drawn: a second look costs nothing.
    let spent = world.ledger().spent().unwrap();
    world.night("2026-11-22").with(3);
    assert_eq!(world.ledger().spent().unwrap(), spent);
    assert_eq!(world.entries("release.held").len(), 2, "the same reasons are written down once for each period");

    let refused = world.chudong(&["release", "2026-08", "--reason", "seen"]).with(1);
    assert!(refused.err.contains("publish.not-held"), "{}", refused.err);
    let refused = world.chudong(&["release", "2026-10", "--reason", "ask 0912345678"]).with(1);
    assert!(refused.err.contains("cli.reason"), "{}", refused.err);
    world.chudong(&["release", "2026-10", "--reason", "the survey was extended, and all of it came"]).with(0);
    world.night("2026-11-23").with(3);
    assert!(world.state().join("published/2026-10").exists() && !world.state().join("published/2026-09").exists());
    let passed = world.entries("release.let-pass");
    assert!(passed.len() == 1 && passed[0].body.contains("the survey was extended"));
    world.ledger_is_sound();
}

#[test]
fn a_restatement_stands_beside_what_was_published_with_every_old_and_new_value() {
    let world = world(1000);
    world.night("2026-11-21").with(0);
    let before = world.published();
    let index = std::fs::read_to_string(world.state().join("published/index.html")).unwrap();
    assert!(!index.contains("#amended"), "nothing is said where nothing was corrected");
    let arguments =
        ["restate", "2026-10", "satisfaction_by_commune", "--reason", "cells were shown that are too small"];
    let nothing = world.chudong(&arguments).with(1);
    assert!(nothing.err.contains("publication.nothing-changed"), "{}", nothing.err);
    assert_eq!(world.published(), before);

    // A policy that shows less: the same draws, other figures.
    world.edit(PIPELINE, "min_count = 1\n", "min_count = 1000000\n");
    let said = world.chudong(&arguments).with(0);
    let shelf = world.state().join("published");
    let place = shelf.join("2026-10/restated-1");
    let about = json(&place.join("restatement.json"));
    assert_eq!(about.get("reason").unwrap(), "cells were shown that are too small");
    assert_eq!((about.get("number").unwrap(), about.get("replaces").unwrap()), (&1.into(), &"2026-10".into()));
    assert!(said.out.contains(&format!("{} values changed", about.get("changed_values").unwrap())), "{}", said.out);

    // Every old value is the one that was published, every new one the one that stands beside it.
    let rows = |path: &Path| -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(path).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    };
    let (old, new) =
        (rows(&shelf.join("2026-10/satisfaction_by_commune.csv")), rows(&place.join("satisfaction_by_commune.csv")));
    let changes = rows(&place.join("satisfaction_by_commune.changes.csv"));
    let cell = |rows: &[BTreeMap<String, String>], change: &BTreeMap<String, String>| {
        let row = rows.iter().find(|row| row["commune_code"] == change["commune_code"]).unwrap();
        row[&change["column"]].clone()
    };
    for change in &changes {
        assert_eq!(
            (cell(&old, change), cell(&new, change)),
            (change["old_value"].clone(), change["new_value"].clone())
        );
    }
    let differing: usize = old
        .iter()
        .zip(&new)
        .map(|(old, new)| old.iter().filter(|(column, value)| new[*column] != **value).count())
        .sum();
    assert_eq!(changes.len(), differing);
    assert!(new.iter().all(|row| row["status"] == "rolled_up" && row["count"].is_empty()));

    // What was published before is as it was; the living files say what is new; nights go on.
    let after = world.published();
    // Pages are written anew at once, wherever they stand.
    let lives = |path: &Path| {
        let is_page = path.extension().is_some_and(|end| end == "html");
        is_page || path.parent() == Some(Path::new("")) || path.starts_with("2026-10/restated-1")
    };
    let changed: Vec<_> =
        before.iter().filter(|(path, bytes)| !lives(path) && after.get(*path) != Some(bytes)).collect();
    assert!(changed.is_empty(), "{:?}", changed.into_iter().map(|(path, _)| path).collect::<Vec<_>>());
    let catalogue = std::fs::read_to_string(shelf.join("catalog.jsonld")).unwrap();
    assert!(
        catalogue.contains("2026-10/restated-1/satisfaction_by_commune.csv") && catalogue.contains("previousVersion")
    );
    // Who reads the pages is told, with the reason and the way to every old and new value.
    let page = |name: &str| std::fs::read_to_string(shelf.join(name)).unwrap().replace("&#x2f;", "/");
    let corrected = format!("{} values corrected.", changes.len());
    for words in [corrected.as_str(), "cells were shown that are too small", "October 2026"] {
        assert!(page("downloads.en.html").contains(words), "{words}");
    }
    assert!(page("downloads.html").contains("href=\"2026-10/restated-1/satisfaction_by_commune.changes.csv\""));
    assert!(page("index.html").contains("href=\"downloads.html#amended\""));
    world.night("2026-11-22").with(0);
    assert!(page("downloads.en.html").contains(&corrected), "a night leaves it there");
    assert_eq!(world.entries("release.restated").len(), 1);
    world.ledger_is_sound();

    // A second one compares with the first, and a changed file of the first stops the night.
    world.edit(PIPELINE, "min_count = 1000000\n", "min_count = 1\n");
    world.chudong(&arguments).with(0);
    assert_eq!(json(&shelf.join("2026-10/restated-2/restatement.json")).get("replaces").unwrap(), "2026-10/restated-1");
    std::fs::write(place.join("restatement.json"), "{}").unwrap();
    assert!(world.night("2026-11-23").with(1).out.contains("publication.would-change"));
}

#[test]
fn a_withdrawal_leaves_a_stone_and_takes_nothing_else() {
    let world = world(1000);
    world.night("2026-11-21").with(0);
    world.edit(PIPELINE, "min_count = 1\n", "min_count = 1000000\n");
    world.chudong(&["restate", "2026-10", "satisfaction_by_commune", "--reason", "too small"]).with(0);
    let before = world.published();
    let reason = "the form was sent to the wrong communes";
    let arguments = ["withdraw", "2026-10", "satisfaction_by_commune", "--reason", reason];
    let said = world.chudong(&arguments).with(0);
    assert_eq!(said.out.matches("withdrawn from").count(), 2, "{}", said.out);
    let shelf = world.state().join("published");
    for place in ["2026-10", "2026-10/restated-1"] {
        let stone = json(&shelf.join(place).join("satisfaction_by_commune.tombstone.json"));
        assert_eq!(stone.get("reason").unwrap(), reason);
        // The hashes of what is gone are those of what stood there.
        for file in stone.get("files").unwrap().as_array().unwrap() {
            let path = Path::new(place).join(file.get("name").unwrap().as_str().unwrap());
            let bytes = before[&path].as_ref().unwrap();
            assert_eq!(file.get("sha256").unwrap(), chudong::personal::sha256(bytes).as_str());
            assert!(!shelf.join(path).exists());
        }
        let checked = std::process::Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(shelf.join(place))
            .status();
        assert!(checked.unwrap().success());
    }
    // The other tables are as they were, the package no longer lists the one that is gone, the catalogue says so.
    let after = world.published();
    // The page is renewed at once: nobody waits for a night to have it off.
    assert_ne!(before.get(Path::new("index.html")), after.get(Path::new("index.html")));
    for (path, bytes) in before.iter().filter(|(path, _)| path.starts_with("2026-10") && path.extension().is_some()) {
        let name = path.file_name().unwrap().to_string_lossy();
        let is_its = name.starts_with("satisfaction_by_commune.") || name == "datapackage.json";
        assert!(is_its || after.get(path) == Some(bytes), "{}", path.display());
    }
    let package = json(&shelf.join("2026-10/datapackage.json"));
    let names: Vec<&str> = package
        .get("resources")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource.get("name").unwrap().as_str().unwrap())
        .collect();
    assert!(names.len() == 7 && !names.contains(&"satisfaction_by_commune"), "{names:?}");
    let catalogue = std::fs::read_to_string(shelf.join("catalog.jsonld")).unwrap();
    assert!(catalogue.contains("dataset-status/WITHDRAWN") && catalogue.contains(reason));

    let browser = Browser::start();
    let mut page = browser.open(&format!("file://{}", shelf.join("downloads.en.html").display()));
    assert_eq!(page.evaluate("document.querySelectorAll('.amended tbody tr').length"), 3);
    for (width, colours) in [(1280, "light"), (320, "dark")] {
        page.viewport(width, 900);
        page.media("screen", &[("prefers-color-scheme", colours)]);
        let broken = page.axe();
        assert!(broken.is_empty(), "{width} {colours}: {broken:?}");
        assert_eq!(page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
    }
    // A reason is text, whatever stands in it.
    assert!(page.evaluate("document.querySelector('.amended').textContent").to_string().contains(reason));

    // The next night leaves it gone, and the page does not lead to it.
    world.night("2026-11-22").with(0);
    assert_eq!(world.published().keys().filter(|path| path.to_string_lossy().contains("tombstone")).count(), 2);
    let page = std::fs::read_to_string(shelf.join("downloads.html")).unwrap();
    assert!(
        !page.contains("2026-10/satisfaction_by_commune.csv") && page.contains("2026-09/satisfaction_by_commune.csv")
    );
    assert!(world.chudong(&arguments).with(1).err.contains("publication.not-published"));
    world.ledger_is_sound();

    // A withdrawal that was cut off after its entry is completed by the next night.
    for name in ["satisfaction_by_commune.csv", "satisfaction_by_commune.json"] {
        let path = Path::new("2026-10").join(name);
        std::fs::write(shelf.join(&path), before[&path].as_ref().unwrap()).unwrap();
    }
    std::fs::remove_file(shelf.join("2026-10/satisfaction_by_commune.tombstone.json")).unwrap();
    world.night("2026-11-23").with(0);
    assert!(!shelf.join("2026-10/satisfaction_by_commune.csv").exists());
    assert!(shelf.join("2026-10/satisfaction_by_commune.tombstone.json").exists());
}

// ---- what the pipeline says ---------------------------------------------------

#[test]
fn check_warns_of_a_shelf_that_is_not_signed_and_names_what_is_wrong_with_the_tables() {
    let world = World::of("an-binh");
    let unsigned = "an-binh/pipeline.toml: published checksums are not signed";
    assert!(world.chudong(&["check"]).with(0).out.contains(unsigned));
    let key =
        "[publication]\nbase_url = \"https://figures.example/an-binh/\"\nsigning_key = { env = \"NAME\" }\n\n[privacy]";
    world.edit(PIPELINE, "[privacy]", key);
    assert!(!world.chudong(&["check"]).with(0).out.contains(unsigned));
    let wrong = "[publication]\nbase_url = \"http://figures.example\"\nsigning_key = \"hunter2\"\n\
                 gates = { response_percent_least = 90, response_percent_most = 80, same_periods = 0 }\n\n\
                 [push]\nurl = \"http://rating.example\"\ntoken_url = \"https://rating.example/token\"\nclient_id = \"x\"\n\
                 department = \"h97\"\nauthority = \"ca.pem\"\n\n[privacy]";
    world.edit(PIPELINE, key, wrong);
    let said = world.chudong(&["check"]).with(1).said();
    for code in [
        "pipeline.web-address",
        "pipeline.secret",
        "pipeline.response-percent",
        "pipeline.clear-text",
        "pipeline.department",
        "pipeline.relative-path",
        "toml.missing-key",
    ] {
        assert!(said.contains(code), "{code}: {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}
