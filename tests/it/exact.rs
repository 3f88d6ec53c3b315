//! Exact tables of closed months, through the real binary: withheld, attacked, frozen, killed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use chudong::calendar::WorkingDays;
use chudong::disclosure::attack::{attack, bounds};
use chudong::disclosure::cells::{Cells, Cube, Earlier, Tree as Codes};
use chudong::disclosure::exact::Decided;
use chudong::ledger::Ledger;
use chudong::pipeline;
use chudong::pipeline::reader::Faults;
use jiff::civil::{Date, date};

use crate::support::world::{Tree, World, differences, run, tree};

/// The night on which July to October 2026 have closed.
const NIGHT: &str = "2026-11-15";

const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";

const DOSSIERS: &str = "data-samples/an-binh/one-stop/dossiers.csv";

/// Exact tables by commune and group, and a score sheet, of two months.
const EXACT: &str = r#"
[exact]
policy = "an-binh-exact-1"
first_month = 2026-09-01
sensitive_groups = ["civil_status", "social_affairs"]

[[exact.tables]]
table = "dossiers_by_commune"
title = { vi = "Hồ sơ đến hạn theo xã, phường", en = "Dossiers due by commune" }
by = ["commune"]
measures = ["dossiers", "on_time", "online"]

[[exact.tables]]
table = "dossiers_by_commune_and_group"
title = { vi = "Hồ sơ đến hạn theo xã, phường và nhóm thủ tục", en = "Dossiers due by commune and procedure group" }
by = ["commune", "procedure_group"]
measures = ["dossiers", "on_time"]

[[exact.scores]]
table = "scores_766"
title = { vi = "Chỉ số 766 theo xã, phường", en = "Index 766 by commune" }
decision = "decision_766"
metrics = ["PROCESSED_ON_TIME", "DOSSIERS_ONLINE"]
"#;

/// A world without noisy figures, with these exact ones.
fn world(people: u64, exact: &str) -> World {
    let world = World::small(people);
    world.without_figures();
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    world.put(PIPELINE, format!("{text}{exact}").as_bytes());
    world
}

/// The rows of a published table, by column.
fn rows(world: &World, table: &str, month: &str) -> Vec<BTreeMap<String, String>> {
    let path = world.state().join(format!("published/exact/{table}/{month}/{table}.csv"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let header: Vec<String> = lines.next().unwrap().split(',').map(str::to_owned).collect();
    let row = |line: &str| header.iter().cloned().zip(line.split(',').map(str::to_owned)).collect();
    lines.map(row).collect()
}

fn decided(world: &World) -> Vec<Decided> {
    let kept = world.ledger().exact_tables().unwrap();
    kept.iter().map(|kept| Decided::from_bytes(&kept.bytes).unwrap()).collect()
}

/// A day as the samples write it.
fn day(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.trim().split('/').collect();
    (parts.len() == 3).then(|| format!("{}-{}-{}", parts[2], parts[1], parts[0]).parse().unwrap())
}

/// The requests for supplements of each dossier, with the day on which they were completed.
fn requested(world: &World) -> BTreeMap<String, Vec<(Date, Option<Date>)>> {
    let path = world.root().join(DOSSIERS).with_file_name("supplements.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let mut all: BTreeMap<String, Vec<(Date, Option<Date>)>> = BTreeMap::new();
    for line in text.trim_start_matches('\u{feff}').lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        all.entry(cells[1].to_owned()).or_default().push((day(cells[2]).unwrap(), day(cells[3])));
    }
    all
}

/// Whether a dossier was on time by the business rules, as far as one sees when the month of its due day ends: the
/// samples know no steps.
fn is_on_time(calendar: &WorkingDays, due: Date, finished: Option<Date>, supplements: &[(Date, Option<Date>)]) -> bool {
    let last = due.last_of_month();
    let ended = finished.filter(|finished| *finished <= last);
    let seen = ended.unwrap_or(last);
    let asked: Vec<_> = supplements.iter().filter(|(asked, _)| *asked <= seen).collect();
    let &[&(asked, completed)] = asked.as_slice() else {
        return asked.is_empty() && ended.is_some_and(|ended| ended <= due);
    };
    let number = |day: Date| (day - date(1970, 1, 1)).get_days();
    let Some(waited_until) = completed.filter(|completed| *completed <= seen).or(ended) else {
        return asked <= due;
    };
    let paused_days = calendar.between(number(asked), number(waited_until)).unwrap().max(0);
    let due = calendar.add(number(due), paused_days).unwrap();
    ended.map_or(number(last) < due, |ended| number(ended) <= due)
}

/// What the samples say: dossiers of a month by commune and group, with those on time and online, counted again by hand.
fn recount(world: &World, month: &str) -> BTreeMap<(String, String), [u64; 4]> {
    let groups = std::fs::read_to_string(world.root().join("pipelines/procedure-groups.toml")).unwrap();
    let groups: toml::Table = groups.parse().unwrap();
    let mut group_of = BTreeMap::new();
    for group in groups["group"].as_array().unwrap() {
        for procedure in group["procedures"].as_array().unwrap() {
            group_of.insert(procedure.as_str().unwrap().to_owned(), group["id"].as_str().unwrap().to_owned());
        }
    }
    let text = std::fs::read_to_string(world.root().join(DOSSIERS)).unwrap();
    let supplements = requested(world);
    let faults = Faults::default();
    let calendar = pipeline::read(crate::root(), "an-binh", &faults).unwrap().calendar.known_on(date(2026, 11, 15));
    let mut counts: BTreeMap<(String, String), [u64; 4]> = BTreeMap::new();
    for line in text.trim_start_matches('\u{feff}').lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let (due, finished) = (day(cells[7]), day(cells[8]));
        let is_of_month = |due: &Date| due.to_string().starts_with(month);
        let Some(due) = due.filter(|due| is_of_month(due) && !["3", "7"].contains(&cells[5])) else { continue };
        let Some(group) = group_of.get(cells[2]) else { continue };
        let sums = counts.entry((cells[3].to_owned(), group.clone())).or_default();
        sums[0] += 1;
        let none = Vec::new();
        let is_on_time = is_on_time(&calendar, due, finished, supplements.get(cells[0]).unwrap_or(&none));
        sums[1] += u64::from(is_on_time);
        sums[2] += u64::from(cells[4] == "2");
        sums[3] += u64::from(is_on_time && cells[4] == "2");
    }
    counts
}

/// The sum over all communes, or all groups, that a row speaks of.
fn sum(counts: &BTreeMap<(String, String), [u64; 4]>, commune: &str, group: &str) -> [u64; 4] {
    let is_it = |at: &(String, String)| (commune == "97" || at.0 == commune) && (group == "all" || at.1 == group);
    let cells = counts.iter().filter(|(at, _)| is_it(at)).map(|(_, sums)| *sums);
    cells.fold([0; 4], |all, one| std::array::from_fn(|place| all[place] + one[place]))
}

fn text<'r>(row: &'r BTreeMap<String, String>, column: &str) -> &'r str {
    row.get(column).map(String::as_str).unwrap_or_else(|| panic!("no column {column}"))
}

#[test]
fn a_closed_month_is_decided_once_and_stays() {
    let world = world(400, EXACT);
    let ended = world.night(NIGHT).with(0);
    assert!(ended.out.contains("Exact figures"), "{}", ended.out);
    let (mut shown, mut withheld) = (0, 0);
    for month in ["2026-09", "2026-10"] {
        let counts = recount(&world, month);
        for table in ["dossiers_by_commune", "dossiers_by_commune_and_group"] {
            for row in rows(&world, table, month) {
                let group = row.get("procedure_group").map_or("all", String::as_str);
                let [all, on_time, online, _] = sum(&counts, text(&row, "commune_code"), group);
                for (column, truth) in [("dossiers", all), ("on_time", on_time), ("online", online)] {
                    let Some(value) = row.get(column) else { continue };
                    match value.parse::<u64>() {
                        Ok(value) => assert_eq!(value, truth, "{table} {row:?}"),
                        Err(_) => assert_eq!((value.as_str(), text(&row, "status")), ("", "withheld")),
                    }
                    shown += usize::from(!value.is_empty());
                    withheld += usize::from(value.is_empty());
                    let is_sensitive = ["civil_status", "social_affairs"].contains(&group);
                    assert!(!(is_sensitive && !value.is_empty() && (1..5).contains(&truth)), "{table} {row:?}");
                }
            }
        }
    }
    assert!(shown > 100 && withheld > 20, "{shown} shown, {withheld} withheld");

    // Another night of the same day, and one after a late record: not a byte differs, and the report says why.
    let shelf = world.published();
    let again = world.night(NIGHT).with(0);
    assert!(again.out.contains("Nothing was left to do"), "{}", again.out);
    assert!(differences(&shelf, &world.published()).is_empty());
    late_record(&world, "/10/2026");
    let later = world.night("2026-11-16").with(0);
    assert!(later.out.contains("Dossiers of 2026-10 changed after its exact tables were decided"), "{}", later.out);
    assert!(!later.out.contains("Dossiers of 2026-09 changed"), "{}", later.out);
    assert!(differences(&shelf, &world.published()).is_empty());
    world.ledger_is_sound();
    assert_eq!(world.entries("exact.decided").len(), 6);
    assert_eq!(world.entries("exact.published").len(), 6);
    let listed = world.chudong(&["ledger", "list", "--kind", "exact"]).with(0);
    assert!(listed.out.contains("exact.decided dossiers_by_commune 2026-09"), "{}", listed.out);

    // What is on the shelf can be asked, and what is off it comes back with the same bytes.
    let asked = "select count(distinct period) as months from published.dossiers_by_commune";
    assert!(world.chudong(&["query", "--format", "csv", asked]).with(0).out.contains('2'));
    std::fs::remove_dir_all(world.state().join("published/exact/scores_766")).unwrap();
    world.night("2026-11-16").with(0);
    assert!(differences(&shelf, &world.published()).is_empty());

    // Whoever changes a decision is found.
    let ledger = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    let changed = "update exact_release set decision = cast(replace(decision, 'published', 'publishes') as blob) where name like 'scores%'";
    ledger.execute(changed, []).unwrap();
    drop(ledger);
    let ended = world.chudong(&["ledger", "verify"]);
    assert!(ended.said().contains("what was decided about the exact table scores_766 2026-09"), "{}", ended.said());
}

/// One more dossier that was due in a month, `/10/2026`: another line like the last such one.
fn late_record(world: &World, month: &str) {
    let text = std::fs::read_to_string(world.root().join(DOSSIERS)).unwrap();
    let line = text.lines().rfind(|line| line.split(',').nth(7).is_some_and(|due| due.ends_with(month))).unwrap();
    let (number, rest) = line.split_once(',').unwrap();
    world.put(DOSSIERS, format!("{}\n{number}-late,{rest}\n", text.trim_end()).as_bytes());
}

/// A score is shown where both its parts are, and is the one of the agency's own sheet.
#[test]
fn scores_are_those_of_the_sheet_or_withheld() {
    let world = world(400, EXACT);
    world.night(NIGHT).with(0);
    let published = rows(&world, "scores_766", "2026-10");
    assert!(published.iter().any(|row| text(row, "status") == "withheld"));
    for row in published.iter().filter(|row| text(row, "status") == "published") {
        let [part, whole] = ["numerator", "denominator"].map(|column| text(row, column).parse::<u64>().unwrap());
        // Neither the part nor what is left without it is small.
        assert!(!(1..5).contains(&part) && !(1..5).contains(&(whole - part)), "{row:?}");
    }
    for unit in ["97", "97002", "97008"] {
        let asked = ["quality", "--unit", unit, "--period", "2026-10", "--as-of", NIGHT, "--format", "json"];
        let sheet: serde_json::Value = serde_json::from_str(&world.chudong(&asked).with(0).out).unwrap();
        let groups = sheet["groups"].as_array().unwrap();
        let metrics: Vec<&serde_json::Value> =
            groups.iter().flat_map(|group| group["metrics"].as_array().unwrap()).collect();
        for row in published.iter().filter(|row| text(row, "commune_code") == unit) {
            let metric = metrics.iter().find(|metric| metric["code"] == text(row, "metric")).unwrap();
            let is_shown = text(row, "status") == "published";
            for (column, name) in
                [("numerator", "numerator"), ("denominator", "denominator"), ("percent", "percent"), ("score", "score")]
            {
                let own = match &metric[name] {
                    serde_json::Value::String(text) => text.parse::<f64>().ok(),
                    other => other.as_f64(),
                };
                let shown = text(row, column).parse::<f64>().ok();
                assert!(
                    if is_shown { shown == own } else { shown.is_none() || shown == own },
                    "{column} {row:?} {metric}"
                );
                // The parts may stand alone, a share of them may not.
                assert!(is_shown || !["percent", "score"].contains(&column) || shown.is_none(), "{row:?}");
            }
        }
    }
}

/// A year of nights; then somebody who has all releases tries every withheld cell.
#[test]
fn nobody_computes_a_withheld_cell_from_a_year_of_releases() {
    let (tables, _) = EXACT.split_once("[[exact.scores]]").unwrap();
    let world = world(200, &tables.replace("first_month = 2026-09-01", "first_month = 2025-11-01"));
    // The first night closes what is over; then one a month, with a late record between two of them.
    for (night, month) in [("2026-07-14", "2026-06"), ("2026-09-14", "2026-08"), (NIGHT, "2026-10")] {
        world.night(night).with(0);
        assert!(rows(&world, "dossiers_by_commune", month).len() == 9, "{month}");
        if night == "2026-09-14" {
            late_record(&world, "/10/2026");
        }
    }
    world.ledger_is_sound();
    let all = decided(&world);
    let months: BTreeSet<String> = all.iter().map(|one| one.period().to_string()).collect();
    assert_eq!((months.len(), all.len()), (12, 24));
    let mut withheld = 0;
    for month in &months {
        let of_month: Vec<&Decided> = all.iter().filter(|one| one.period().to_string() == *month).collect();
        let of_due = of_month.iter().filter(|one| one.scope() == "dossiers due");
        let cells: Vec<Earlier> = of_due.flat_map(|one| one.cells().to_vec()).collect();
        withheld += attacked(&world, month, &cells);
        by_subtraction(&rows(&world, "dossiers_by_commune_and_group", month), "dossiers");
    }
    assert!(withheld > 200, "{withheld} withheld cells were attacked");
}

/// The tables alone, of the months and the quarter from July on.
fn with_quarters() -> String {
    let (tables, _) = EXACT.split_once("[[exact.scores]]").unwrap();
    let tables = tables.replace("first_month = 2026-09-01", "first_month = 2026-07-01");
    tables.replace("\nmeasures = ", "\nquarters = true\nmeasures = ")
}

/// Every commune of a quarter is the sum of its months where all are shown, and nobody gets a blank from the others.
#[test]
fn a_quarter_stands_beside_its_months_and_gives_none_of_them_away() {
    let world = world(300, &with_quarters());
    let ended = world.night("2026-10-12").with(0);
    assert!(ended.out.contains("2026-Q3"), "{}", ended.out);
    let months = ["2026-07", "2026-08", "2026-09"];
    let (mut sums, mut withheld) = (0, 0);
    for table in ["dossiers_by_commune", "dossiers_by_commune_and_group"] {
        let quarter = rows(&world, table, "2026-Q3");
        let of_months = months.map(|month| rows(&world, table, month));
        for (place, row) in quarter.iter().enumerate() {
            for column in ["dossiers", "on_time"] {
                let parts: Vec<Option<u64>> =
                    of_months.iter().map(|rows| text(&rows[place], column).parse().ok()).collect();
                let whole: Option<u64> = text(row, column).parse().ok();
                let hidden = parts.iter().filter(|part| part.is_none()).count() + usize::from(whole.is_none());
                assert_ne!(hidden, 1, "{table} {row:?} {parts:?}: one blank alone");
                if hidden == 0 {
                    assert_eq!(parts.into_iter().flatten().sum::<u64>(), whole.unwrap(), "{table} {row:?}");
                    sums += 1;
                }
                withheld += usize::from(whole.is_none());
            }
        }
        by_subtraction(&rows(&world, "dossiers_by_commune_and_group", "2026-Q3"), "dossiers");
    }
    assert!(sums > 5 && withheld > 5, "{sums} sums, {withheld} withheld");

    // The attacker with all four at once.
    let all = decided(&world);
    let cells: Vec<Earlier> = all.iter().flat_map(|one| one.cells().to_vec()).collect();
    assert!(attacked_over(&world, ("2026-Q3", &months), &cells) > withheld);

    // A table that is added later is decided beside the quarter; a late record lets none be made of what it changes.
    let shelf = world.published();
    let more = "\n[[exact.tables]]\ntable = \"dossiers_online\"\ntitle = { vi = \"Trực tuyến\", en = \"Online\" }\n\
                by = [\"commune\", \"procedure_group\"]\nmeasures = [\"dossiers\", \"online\"]\nquarters = true\n";
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    world.put(PIPELINE, format!("{text}{more}").as_bytes());
    // Where too much is out already, it is held, and nothing else waits for it.
    let more_of = world.night("2026-10-12");
    assert!(more_of.code == Some(0) || more_of.out.contains("dossiers_online of 2026"), "{}", more_of.out);
    let now = world.published();
    assert!(
        shelf
            .iter()
            .all(|(name, bytes)| name.extension().is_none_or(|end| end != "csv") || now.get(name) == Some(bytes))
    );
    let cells: Vec<Earlier> = decided(&world).iter().flat_map(|one| one.cells().to_vec()).collect();
    assert!(attacked_over(&world, ("2026-Q3", &months), &cells) > withheld);
    world.put(PIPELINE, format!("{text}{}", more.replace("dossiers_online", "dossiers_again")).as_bytes());
    late_record(&world, "/09/2026");
    let late = world.night("2026-10-12");
    assert!(late.out.contains("Exact tables of 2026-09 are not made: dossiers of 2026-09 changed"), "{}", late.out);
    assert!(late.out.contains("Exact tables of 2026-Q3 are not made"), "{}", late.out);
    assert!(!world.state().join("published/exact/dossiers_again/2026-Q3").exists());
    world.ledger_is_sound();
}

/// The library's attacker over all cells of a month that ever left, with the counts counted again; how many it tried.
fn attacked(world: &World, month: &str, cells: &[Earlier]) -> usize {
    attacked_over(world, (month, &[month]), cells)
}

/// The same over a period and its months.
fn attacked_over(world: &World, (period, months): (&str, &[&str]), cells: &[Earlier]) -> usize {
    let parts = if months == [period] { &[] } else { months };
    let communes: Vec<String> = (1..=8).map(|place| format!("9700{place}")).collect();
    let communes: Vec<&str> = communes.iter().map(String::as_str).collect();
    let groups = ["identity_and_residence", "civil_status", "social_affairs", "business_and_construction"];
    let trees = vec![
        Codes::flat("commune", "97", &communes).unwrap(),
        Codes::flat("procedure_group", "all", &groups).unwrap(),
        Codes::flat("period", period, parts).unwrap(),
        Codes::flat("timeliness", "all", &["on_time", "late"]).unwrap(),
        Codes::flat("channel", "all", &["online", "other"]).unwrap(),
    ];
    let mut cube = Cube::new(trees).unwrap();
    let counts = months.iter().flat_map(|month| recount(world, month).into_iter().map(move |count| (*month, count)));
    for (month, ((commune, group), [all, on_time, online, both])) in counts {
        let late = all - on_time;
        for (timeliness, channel, count) in [
            ("on_time", "online", both),
            ("on_time", "other", on_time - both),
            ("late", "online", online - both),
            ("late", "other", late - (online - both)),
        ] {
            cube.add(&[&commune, &group, month, timeliness, channel], count).unwrap();
        }
    }
    let cells = Cells::new(&cube, &[], cells).unwrap();
    let report = attack(&cells, 3);
    // What is not proved to be wide by another table of whole counts is bounded from outside.
    for at in &report.narrow {
        let at: Vec<&str> = at.iter().map(String::as_str).collect();
        let bounds = bounds(&cells, &at).unwrap();
        assert!(bounds.max.is_none_or(|max| max >= bounds.min + 3), "{period}: {at:?} is between {bounds:?}");
    }
    assert!(report.narrow.len() * 10 <= report.withheld, "{period}: {report}");
    report.withheld
}

/// No row or column of a table has one blank alone among what adds up to a figure that is shown.
fn by_subtraction(rows: &[BTreeMap<String, String>], column: &str) {
    let axes = [("commune_code", "97", "procedure_group"), ("procedure_group", "all", "commune_code")];
    for (summed, total, fixed) in axes {
        let codes: BTreeSet<&str> = rows.iter().map(|row| text(row, fixed)).collect();
        for code in codes {
            let line: Vec<_> = rows.iter().filter(|row| text(row, fixed) == code).collect();
            let is_shown = line.iter().any(|row| text(row, summed) == total && !text(row, column).is_empty());
            let blanks = line.iter().filter(|row| text(row, summed) != total && text(row, column).is_empty()).count();
            assert!(!(is_shown && blanks == 1), "{fixed} {code} has one blank");
        }
    }
}

/// The same dossiers with noise and without: refused, unless the policy names the totals.
#[test]
fn the_same_records_by_two_engines_need_an_invariant() {
    let world = World::small(150);
    world.edit(PIPELINE, "first_month = 2026-07-01", "first_month = 2026-10-01");
    world.without_exact();
    let pipeline = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let exact = EXACT.replace("first_month = 2026-09-01", "first_month = 2026-10-01");
    let (tables, _) = exact.split_once("[[exact.scores]]").unwrap();
    world.put(PIPELINE, format!("{pipeline}{tables}").as_bytes());
    let refused = world.night(NIGHT).with(1);
    assert!(refused.out.contains("disclosure.two-engines"), "{}", refused.out);
    assert!(refused.out.contains("dossiers_by_commune of 2026-10 is held"), "{}", refused.out);
    assert!(!world.state().join("published/exact").exists());
    assert!(world.entries("exact").is_empty());
    assert!(!world.entries("release.published").is_empty(), "the noisy figures do not wait for the exact ones");
    let said = world.chudong(&["check"]).with(1).said();
    assert!(said.contains("dossiers_by_commune would be held when a month closes"), "{said}");

    // Totals by commune are named: that table goes, the finer one is held by itself.
    let totals = "[[exact.invariants]]\nby = [\"commune\", \"timeliness\", \"channel\"]\n";
    world.put(PIPELINE, format!("{pipeline}{tables}{totals}").as_bytes());
    let partly = world.night(NIGHT).with(1);
    assert!(!partly.out.contains("dossiers_by_commune of 2026-10 is held"), "{}", partly.out);
    assert!(partly.out.contains("dossiers_by_commune_and_group of 2026-10 is held"), "{}", partly.out);
    let sheet = world.state().join("published/exact/dossiers_by_commune/2026-10/dossiers_by_commune.json");
    let sheet = std::fs::read_to_string(sheet).unwrap();
    assert!(sheet.contains("invariants") && sheet.contains("timeliness"), "{sheet}");
    // What was drawn before anything was exact keeps its bytes, and says nothing of it.
    let noisy = |world: &World, name: &str| -> serde_json::Value {
        let path = world.state().join(format!("published/2026-10/{name}.json"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    assert_eq!(named(&noisy(&world, "service_quality_by_commune")), Vec::<String>::new());
    // What is drawn with the policy in force names it, where the records are the same.
    let fresh = World::beside(&world);
    fresh.night(NIGHT).with(1);
    let expected = ["commune", "timeliness", "channel", "period"];
    assert_eq!(named(&noisy(&fresh, "service_quality_by_commune")), expected);
    assert_eq!(named(&noisy(&fresh, "service_quality_in_province")), expected);
    assert_eq!(named(&noisy(&fresh, "satisfaction_by_commune")), Vec::<String>::new());
    assert_eq!(fresh.night(NIGHT).with(1).out.matches("  2026-10  unchanged").count(), 2);
    assert!(!world.state().join("published/exact/dossiers_by_commune_and_group").exists());
    world.ledger_is_sound();
}

/// What is measured by weeks is of the same dossiers: exact totals of their month stand beside it, whether the month itself
/// is measured or not.
#[test]
fn exact_tables_beside_weekly_increments_need_an_invariant() {
    let world = World::of("an-binh");
    world.without_exact();
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    // By month there are noisy figures of ratings alone.
    let (before, _) = text.split_once("[[privacy.measures]]\ntable = \"service_quality_by_commune\"").unwrap();
    assert!(!before.contains("\nof = \"dossiers\"") && before.contains("\nof = \"ratings\""), "{before}");
    let exact = EXACT.split_once("[[exact.scores]]").unwrap().0;
    world.put(PIPELINE, format!("{before}{exact}").as_bytes());
    world.chudong(&["check"]).with(0);
    let weekly = "[privacy.weekly]\nafter_days = 3\n\n[[privacy.weekly.measures]]\ntable = \"weekly\"\n\
                  of = \"dossiers\"\nby = [\"commune\"]\nbins = \"timeliness_and_channel\"\nsigma = 16\n\
                  min_count = 200\n";
    world.put(PIPELINE, format!("{before}{weekly}{exact}").as_bytes());
    let said = world.chudong(&["check"]).with(1).said();
    assert!(said.contains("disclosure.two-engines") && said.contains("weekly"), "{said}");
    assert!(said.contains("dossiers_by_commune would be held when a month closes"), "{said}");
}

/// The sheet of the sample agency: the whole province exactly, each commune with noise, and both say so.
#[test]
fn the_score_of_the_province_stands_beside_its_noisy_figures() {
    let world = World::small(2000);
    world.edit(PIPELINE, "first_month = 2026-07-01", "first_month = 2026-10-01");
    world.chudong(&["check"]).with(0);
    world.night(NIGHT).with(0);
    let published = rows(&world, "scores_766", "2026-10");
    assert_eq!(published.len(), 13);
    let asked = ["quality", "--period", "2026-10", "--as-of", NIGHT, "--format", "json"];
    let sheet: serde_json::Value = serde_json::from_str(&world.chudong(&asked).with(0).out).unwrap();
    let groups = sheet["groups"].as_array().unwrap();
    let metrics: Vec<&serde_json::Value> =
        groups.iter().flat_map(|group| group["metrics"].as_array().unwrap()).collect();
    for row in &published {
        assert_eq!((text(row, "commune_code"), text(row, "status")), ("97", "published"), "{row:?}");
        let metric = metrics.iter().find(|metric| metric["code"] == text(row, "metric")).unwrap();
        for column in ["numerator", "denominator", "percent", "score", "maximum"] {
            let own = match &metric[column] {
                serde_json::Value::String(text) => text.parse::<f64>().ok(),
                other => other.as_f64(),
            };
            assert_eq!(text(row, column).parse::<f64>().ok(), own, "{column} {row:?}");
        }
    }
    // Procedures are counted by what everybody sees, the certified copies are given: neither is a cell.
    let decided = decided(&world);
    assert_eq!(decided.len(), 1);
    // So the cells are those of the dossiers received, of six flags and of what is left without each, and of two branches.
    assert_eq!(decided[0].cells().len(), 1 + 6 * 2 + 2 * 3);
    let sheet = |path: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(world.state().join("published").join(path)).unwrap()).unwrap()
    };
    let exact = named(&sheet("exact/scores_766/2026-10/scores_766.json"));
    assert!(["on_time", "online", "fee_due"].iter().all(|flag| exact.iter().any(|word| word == flag)), "{exact:?}");
    assert!(!exact.iter().any(|word| word == "commune"), "{exact:?}");
    assert_eq!(named(&sheet("2026-10/service_quality_by_commune.json")), exact);
    assert_eq!(named(&sheet("2026-10/satisfaction_by_commune.json")), Vec::<String>::new());

    // The first page shows every group, how much of it is published, and what was reached.
    let page = std::fs::read_to_string(world.state().join("published/index.en.html")).unwrap();
    let points =
        |column: &str| -> f64 { published.iter().filter_map(|row| text(row, column).parse::<f64>().ok()).sum() };
    let reached = format!(
        "Of the 100 points of the index, {:.0} are published exactly; of these the whole area reached {:.2}.",
        points("maximum"),
        points("score")
    );
    for said in [reached.as_str(), "66 are published", "12 of 18 points", "none of 18 points is", "20 of 22 points"] {
        assert!(page.contains(said), "{said}");
    }
    assert_eq!(page.matches("<th colspan=\"3\" scope=\"rowgroup\">").count(), 6);

    // Without the invariant it is held, and by commune it would need another one.
    let said = |from: &str, to: &str| {
        let other = World::beside(&world);
        other.edit(PIPELINE, from, to);
        other.chudong(&["check"]).with(1).said()
    };
    let said = [
        said("[[exact.invariants]]\nby = [\"metric\"]\n", ""),
        said("by = []\ndecision", "by = [\"commune\"]\ndecision"),
    ];
    for said in said {
        assert!(said.contains("scores_766 would be held when a month closes"), "{said}");
    }
}

/// Nothing in `by` is the whole unit.
#[test]
fn a_table_of_the_whole_unit_has_one_row() {
    let (tables, _) = EXACT.split_once("[[exact.tables]]\ntable = \"dossiers_by_commune_and_group\"").unwrap();
    let world = world(300, &tables.replace("by = [\"commune\"]", "by = []"));
    world.night(NIGHT).with(0);
    let published = rows(&world, "dossiers_by_commune", "2026-10");
    let due: u64 = recount(&world, "2026-10").values().map(|counts| counts[0]).sum();
    assert_eq!(published.len(), 1);
    assert_eq!(text(&published[0], "dossiers"), due.to_string());
}

/// The dimensions of the first invariant that the sheet of a noisy table names.
fn named(sheet: &serde_json::Value) -> Vec<String> {
    let invariants = sheet["protection"]["invariants"].as_array();
    let by =
        invariants.and_then(|all| all.first()).map(|first| first["by"].as_array().unwrap().clone()).unwrap_or_default();
    by.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Killed as soon as the decision is in the ledger, and as soon as a table is on the shelf.
#[test]
fn a_night_that_is_killed_leaves_all_or_nothing_and_then_the_same_bytes() {
    let calm = world(200, EXACT);
    calm.night(NIGHT).with(0);
    // The sheets name the inputs by the key of their own agency; the figures are the same everywhere.
    let figures = |tree: Tree| -> Tree {
        tree.into_iter().filter(|(name, _)| name.extension().is_some_and(|end| end == "csv")).collect()
    };
    let expected = figures(tree(&calm.state().join("published/exact")));
    let mut killed = world(200, EXACT);
    killed.leaves_in_flight();
    let shelf = killed.state().join("published/exact");
    let entries = |kind: &str| {
        Ledger::read(&killed.state()).and_then(|ledger| ledger.list(Some(kind), 100)).map_or(0, |all| all.len())
    };
    let mut seen = Vec::new();
    for has_come in [
        &(|| entries("exact.decided") > 0) as &dyn Fn() -> bool,
        &|| shelf.join("dossiers_by_commune/2026-09").exists(),
        &|| entries("exact.published") > 2,
    ] {
        let mut child = killed.command(&["run", "--as-of", NIGHT]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !has_come() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // A month is decided whole, and a table of it stands whole or not at all.
        assert_eq!(entries("exact.decided") % 3, 0);
        let is_staging =
            |name: &Path| name.components().any(|part| part.as_os_str().to_string_lossy().ends_with(".staging"));
        seen.extend(tree(&shelf).into_iter().filter(|(name, _)| !is_staging(name)));
    }
    killed.night(NIGHT).with(0);
    let last = tree(&shelf);
    assert!(!seen.is_empty(), "no run was killed with something on the shelf");
    for (name, bytes) in &seen {
        assert_eq!(last.get(name), Some(bytes), "{}", name.display());
    }
    assert!(differences(&expected, &figures(last)).is_empty());
    killed.ledger_is_sound();
    assert_eq!(entries("exact.decided"), 6);
    assert_eq!(entries("exact.published"), 6);
}

/// The simple alternative: no small count is shown, and all tables add up.
#[test]
fn small_counts_can_be_rounded_instead() {
    let (tables, _) = EXACT.split_once("[[exact.scores]]").unwrap();
    let world = world(200, &tables.replace("first_month = 2026-09-01", "first_month = 2026-10-01\nrounding = 3"));
    world.night(NIGHT).with(0);
    let rows = rows(&world, "dossiers_by_commune_and_group", "2026-10");
    let count = |row: &BTreeMap<String, String>| text(row, "dossiers").parse::<u64>().unwrap();
    for row in &rows {
        assert!(![1, 2].contains(&count(row)), "{row:?}");
        assert_eq!(text(row, "status"), "published");
    }
    for commune in ["97", "97001", "97005"] {
        let of: Vec<_> = rows.iter().filter(|row| text(row, "commune_code") == commune).collect();
        let total = of.iter().find(|row| text(row, "procedure_group") == "all").unwrap();
        let parts: u64 = of.iter().filter(|row| text(row, "procedure_group") != "all").map(|row| count(row)).sum();
        assert_eq!(count(total), parts);
    }
}

/// What is wrong with a policy is said with its file and line.
#[test]
fn a_policy_is_checked() {
    let world = World::of("an-binh");
    world.without_exact();
    let pipeline = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    for (from, to, code) in [
        ("\"civil_status\"", "\"civil_states\"", "pipeline.unknown-group"),
        ("measures = [\"dossiers\", \"on_time\"]", "measures = [\"dossiers\", \"happy\"]", "toml.unknown-word"),
        ("by = [\"commune\"]", "by = [\"timeliness\"]", "pipeline.exact-rows"),
        ("\"DOSSIERS_ONLINE\"", "\"DOSSIERS_OFFLINE\"", "pipeline.unknown-metric"),
        ("\"DOSSIERS_ONLINE\"", "\"AVERAGE_WORKING_DAYS\"", "pipeline.exact-metric"),
        ("decision = \"decision_766\"", "decision = \"decision_766\"\nby = [\"channel\"]", "pipeline.exact-rows"),
        ("[\"PROCESSED_ON_TIME\", \"DOSSIERS_ONLINE\"]", "[]", "toml.empty"),
        ("decision = \"decision_766\"", "decision = \"decision_767\"", "pipeline.unknown-decision"),
        ("first_month = 2026-09-01", "first_month = 2026-09-02", "pipeline.first-month"),
        ("first_month = 2026-09-01", "first_month = 2026-09-01\nrounding = 3", "pipeline.exact-rounding"),
        ("first_month = 2026-09-01", "first_month = 2026-09-01\nsmall_below = 1", "pipeline.out-of-range"),
        ("measures = [\"dossiers\", \"on_time\"]", "measures = [\"dossiers\"]\nquarters = \"yes\"", "toml.wrong-type"),
        ("table = \"scores_766\"", "table = \"dossiers_by_commune\"", "pipeline.twice"),
        ("table = \"scores_766\"", "table = \"service_quality_by_commune\"", "pipeline.twice"),
        ("policy = \"an-binh-exact-1\"", "policy = \"an-binh-exact-1\"\nnoise = 1", "toml.unknown-key"),
    ] {
        assert!(EXACT.contains(from), "{from}");
        world.put(PIPELINE, format!("{pipeline}{}", EXACT.replace(from, to)).as_bytes());
        let faults = Faults::default();
        pipeline::read(&world.root(), "an-binh", &faults);
        let faults = faults.into_vec();
        let found = faults.iter().find(|fault| fault.code == code);
        let place = found.unwrap_or_else(|| panic!("{to}: no {code} in {faults:?}")).place.to_string();
        assert!(place.starts_with("pipelines/an-binh/pipeline.toml:"), "{place}");
    }
}

/// What analysts may ask, and what is written down of it.
const ANALYSTS: &str = r#"
[analysts]
names = ["ha"]
key = { env = "CHUDONG_TEST_ANALYSTS_KEY" }

[analysts.tables.dossiers]
of = "quality.dossiers"
dimensions = ["month", "commune_code", "procedure_group", "is_on_time"]
beside = ["noise", "exact"]
"#;

#[test]
fn an_analyst_asks_by_cell_key_and_every_question_is_written_down() {
    let world = world(400, &format!("{EXACT}{ANALYSTS}"));
    world.night(NIGHT).with(0);
    let ask = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        run(command.env("CHUDONG_TEST_ANALYSTS_KEY", "0123456789abcdef".repeat(4)))
    };
    let select = "select commune_code, ck_count(record_key) as n from analyst.dossiers where month = '2026-10' \
                  group by commune_code order by commune_code";
    let first = ask(&["query", "--analyst", "ha", "--format", "csv", select]).with(0);
    assert_eq!(first.out, ask(&["query", "--analyst", "ha", "--format", "csv", select]).with(0).out);
    let counts = recount(&world, "2026-10");
    let (mut lines, mut changed) = (0, 0);
    for line in first.out.lines().skip(1) {
        let (commune, n) = line.split_once(',').unwrap();
        let n: u64 = n.parse().unwrap();
        let [truth, ..] = sum(&counts, commune, "all");
        assert!(n >= 10 && n.abs_diff(truth) <= 5, "{commune}: {n}, of {truth}");
        (lines, changed) = (lines + 1, changed + usize::from(n != truth));
    }
    assert!(lines > 2 && changed > 0, "{}", first.out);
    // The same cell in another question has the same noise; what is under the threshold has no row.
    let one = select.replace("where month", "where commune_code = '97003' and month");
    let one = ask(&["query", "--analyst", "ha", "--format", "csv", &one]).with(0).out;
    assert!(first.out.contains(one.lines().nth(1).unwrap()), "{one}");
    assert!(lines < 8, "small communes are not there");

    for (who, what, code) in [
        ("ha", "select subject_id, ck_count(record_key) from analyst.dossiers group by subject_id", "sql.analyst"),
        ("ha", "select commune_code, count(*) from analyst.dossiers group by commune_code", "sql.analyst"),
        ("ha", "select ck_count(record_key) from quality.dossiers", "sql.analyst"),
        ("ha", "select ck_count(record_key) from analyst.dossiers where month = 'Nguyễn Văn A'", "sql.analyst"),
        ("binh", select, "analyst.unknown"),
    ] {
        let refused = ask(&["query", "--analyst", who, what]).with(1);
        assert!(refused.err.contains(code), "{what}: {}", refused.err);
    }
    let asked = world.entries("analyst.asked");
    assert_eq!(asked.len(), 3);
    assert!(first.err.contains(&format!("counted from what the night of {NIGHT} landed")), "{}", first.err);
    assert!(asked[0].body.contains("\"beside\":[\"noise\",\"exact\"]"), "{}", asked[0].body);
    assert!(
        asked[0].body.contains("analyst.dossiers by [commune_code] where [month = '2026-10']"),
        "{}",
        asked[0].body
    );
    assert_eq!(world.entries("analyst.refused").len(), 4);
    assert!(!world.entries("analyst").iter().any(|entry| entry.body.contains("Nguy")));
    world.ledger_is_sound();
    assert!(
        ask(&["query", "--analyst", "ha", "--tables"]).with(0).out.contains("analyst.dossiers (month, commune_code")
    );
    let mut command = world.command(&["query", "--analyst", "ha", select]);
    assert!(run(command.env("CHUDONG_TEST_ANALYSTS_KEY", "short")).with(1).err.contains("analyst.key"));
}

/// The same records through two engines: whoever may ask could take away what the other one hides.
#[test]
fn what_analysts_may_ask_beside_published_figures_has_to_be_decided() {
    let world = World::of("an-binh");
    world.without_exact();
    let pipeline = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let check = |exact: &str, beside: &str, code| {
        let analysts = ANALYSTS.replace("beside = [\"noise\", \"exact\"]", beside);
        world.put(PIPELINE, format!("{pipeline}{exact}{analysts}").as_bytes());
        world.chudong(&["check"]).with(code).said()
    };
    // The exact tables of these tests could not leave beside the noisy ones: that is told as well, whatever analysts may.
    let asked = "error[disclosure.two-engines]: analysts could count by cell key";
    let both = check(EXACT, "", 1);
    assert_eq!(both.matches(asked).count(), 2, "{both}");
    assert!(both.contains("published with noise") && both.contains("published exactly"), "{both}");
    assert_eq!(check(EXACT, "beside = [\"noise\"]", 1).matches(asked).count(), 1);
    assert_eq!(check(EXACT, "beside = [\"noise\", \"exact\"]", 1).matches(asked).count(), 0);
    check("", "beside = [\"noise\"]", 0);
    assert_eq!(check("", "", 1).matches(asked).count(), 1);
    assert!(check("", "beside = [\"everything\"]", 1).contains("toml.unknown-word"));
}

/// Columns that name a person or a record are refused before anybody asks, and so are shares that hang together otherwise.
#[test]
fn what_is_asked_of_the_selects_is_checked() {
    let world = World::of("an-binh");
    world.without_exact();
    let pipeline = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    // Whether a procedure has a dossier says something of one.
    let more = "\"DOSSIER_RECEIVING_SATISFACTION\", \"SERVICES_WITH_DOSSIERS\", \"PROCEDURES_ONLINE\"";
    let exact = EXACT.replace("\"DOSSIERS_ONLINE\"", more);
    let analysts = ANALYSTS.replace("\"is_on_time\"", "\"subject_id\", \"is_late\"").replace("{ env", "{ credential");
    let analysts = analysts.replace("names = [\"ha\"]", "names = [\"Thu Hà\"]");
    let more = ["reach", "nothing"]
        .map(|name| format!("[analysts.tables.{name}]\nof = \"quality.{name}\"\ndimensions = [\"month\"]\n"));
    let analysts = format!("{analysts}{}", more.concat());
    world.put(PIPELINE, format!("{pipeline}{exact}{analysts}").as_bytes());
    let said = world.chudong(&["check"]).with(1).said();
    for part in [
        "pipeline.bad-name",
        "subject_id, which names a record or a person",
        "quality.dossiers has no column is_late",
        "quality.reach has no record_id",
        "quality.nothing, which there is not",
        "DOSSIER_RECEIVING_SATISFACTION of decision_766 is neither a share of dossiers",
        "SERVICES_WITH_DOSSIERS of decision_766 is neither a share of dossiers",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(!said.contains("PROCEDURES_ONLINE of"), "{said}");
}
