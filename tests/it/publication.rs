//! Released tables become files and a page: what stands on the shelf, and what may never happen to it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chudong::disclosure::{self, Draws, Month, Released, whole_years};
use chudong::fault::Explain;
use chudong::pipeline::{self, Bins, Dimension, Pipeline, reader::Faults};
use chudong::publication::{self, Error, Labels, Published, Status};
use proptest::prelude::*;
use serde_json::json;

// ---- what is published --------------------------------------------------------

/// The sample agency.
pub fn pipeline() -> Pipeline {
    pipeline::read(crate::root(), "an-binh", &Faults::default()).unwrap()
}

/// Everything released of these months, and of the quarters that they make.
///
/// The draws are made from a formula and not from a random source, so that files can be snapshots. Vĩnh Thạnh is too
/// small for a month, and Đảo Yến for a quarter as well.
pub fn released(pipeline: &Pipeline, months: &[&str]) -> Vec<Released> {
    let policy = pipeline.privacy.as_ref().unwrap();
    let draws: Vec<Draws> =
        months.iter().enumerate().map(|(index, month)| draws(pipeline, month, index as i64)).collect();
    let release =
        |draws: &[Draws]| disclosure::release(draws, policy, &pipeline.unit, &pipeline.procedure_groups).unwrap();
    let mut released: Vec<Released> = draws.iter().flat_map(|draws| release(std::slice::from_ref(draws))).collect();
    let mut quarters: BTreeMap<String, Vec<Draws>> = BTreeMap::new();
    for draws in &draws {
        quarters.entry(draws.month().quarter().to_string()).or_default().push(draws.clone());
    }
    for quarter in quarters.values().filter(|draws| draws.len() == 3) {
        released.extend(release(quarter));
    }
    let months: Vec<Month> = draws.iter().map(Draws::month).collect();
    for year in whole_years(&months) {
        let of_year: Vec<Draws> =
            draws.iter().filter(|draws| year.months().contains(&draws.month())).cloned().collect();
        released.extend(release(&of_year));
    }
    released
}

/// The stored draws of a month.
fn draws(pipeline: &Pipeline, month: &str, index: i64) -> Draws {
    let policy = pipeline.privacy.as_ref().unwrap();
    let mut communes: Vec<&str> = pipeline.unit.communes.iter().map(|commune| commune.code.as_str()).collect();
    let mut groups: Vec<&str> = pipeline.procedure_groups.iter().map(|group| group.id.as_str()).collect();
    communes.sort_unstable();
    groups.sort_unstable();
    let mut measures = Vec::new();
    for measure in &policy.measures {
        let mut keys: Vec<Vec<&str>> = vec![Vec::new()];
        for dimension in &measure.by {
            let values = if *dimension == Dimension::Commune { &communes } else { &groups };
            keys = keys
                .iter()
                .flat_map(|key| values.iter().map(move |value| [key.as_slice(), &[*value]].concat()))
                .collect();
        }
        let size = |key: &Vec<&str>| {
            let place = |list: &[&str]| key.iter().find_map(|value| list.iter().position(|other| other == value));
            let commune = place(&communes)
                .map_or(1000, |place| [260, 210, 170, 130, 125, 120, 62, 20].get(place).copied().unwrap_or(150));
            place(&groups).map_or(commune, |place| commune * [30, 25, 35, 10].get(place).copied().unwrap_or(20) / 100)
        };
        let counts: Vec<Vec<i64>> = keys
            .iter()
            .enumerate()
            .map(|(cell, key)| {
                let cell = cell as i64;
                let wave = (index * 7 + cell * 5) % 9 - 4;
                let n = size(key) + wave * 2 + index;
                let good = n * (84 + (index * 5 + cell * 3) % 11) / 100;
                let online = 48 + index * 2 + wave;
                match measure.bins {
                    Bins::Level => vec![
                        (n - good) / 5 - 1,
                        (n - good) / 5,
                        (n - good) - (n - good) / 5 * 2 + 1,
                        good * 2 / 5,
                        good - good * 2 / 5,
                    ],
                    Bins::Satisfied => vec![good, n - good],
                    Bins::TimelinessAndChannel => {
                        let (n, good) = (n * 2, good * 2);
                        vec![
                            good * online / 100,
                            good - good * online / 100,
                            (n - good) * online / 100,
                            (n - good) - (n - good) * online / 100,
                        ]
                    }
                }
            })
            .collect();
        let (of, per_person) = match measure.of {
            pipeline::Counted::Ratings => ("ratings", policy.ratings_per_person),
            pipeline::Counted::Dossiers => ("dossiers", policy.dossiers_per_person),
        };
        let bins: &[&str] = match measure.bins {
            Bins::Level => &["level_1", "level_2", "level_3", "level_4", "level_5"],
            Bins::Satisfied => &["satisfied", "not_satisfied"],
            Bins::TimelinessAndChannel => &["on_time_online", "on_time_offline", "late_online", "late_offline"],
        };
        let by: Vec<&str> = measure
            .by
            .iter()
            .map(|dimension| if *dimension == Dimension::Commune { "commune" } else { "procedure_group" })
            .collect();
        measures.push(json!({
            "table": measure.table, "of": of, "by": by, "bins": bins, "sigma": measure.sigma,
            "per_person": per_person, "keys": keys, "counts": counts,
        }));
    }
    let stored = json!({
        "format": 1, "month": month, "policy": policy.policy, "measures": measures,
        "release_id": format!("{:064x}", 0xa0 + index),
    });
    Draws::from_bytes(stored.to_string().as_bytes()).unwrap()
}

/// A year, as the sample agency publishes it in November 2026.
pub const YEAR: [&str; 12] = [
    "2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08",
    "2026-09", "2026-10",
];

/// One quarter: enough for files of both kinds.
pub const QUARTER: [&str; 3] = ["2026-07", "2026-08", "2026-09"];

/// Files of the quarter and its months.
const FILES: usize = 4 * (8 * 4 + 2);

/// A folder that goes away, and a shelf in it that does not exist yet.
pub fn shelf() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let shelf = folder.path().join("published");
    (folder, shelf)
}

/// Every file under a folder, by its path relative to it.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn publish(shelf: &Path, pipeline: &Pipeline, months: &[&str]) -> Result<Published, Error> {
    publication::publish(shelf, &released(pipeline, months), &Labels::from(pipeline))
}

// ---- files --------------------------------------------------------------------

#[test]
fn a_table_is_published_as_csv_with_blanks_where_cells_were_rolled_up() {
    let (_folder, shelf) = shelf();
    publish(&shelf, &pipeline(), &QUARTER).unwrap();
    let csv = fs::read_to_string(shelf.join("2026-Q3/satisfaction_by_commune.csv")).unwrap();
    assert!(csv.lines().count() == 9 && csv.matches("\r\n").count() == 9);
    insta::assert_snapshot!("satisfaction_by_commune.csv", csv.replace("\r\n", "\n"));
    let csv = fs::read_to_string(shelf.join("2026-09/service_quality_by_commune.csv")).unwrap();
    insta::assert_snapshot!("service_quality_by_commune.csv", csv.replace("\r\n", "\n"));
}

#[test]
fn a_table_is_described_in_json_with_the_hashes_of_its_files() {
    let (_folder, shelf) = shelf();
    let published = publish(&shelf, &pipeline(), &QUARTER).unwrap();
    let json = fs::read_to_string(shelf.join("2026-Q3/satisfaction_by_commune.json")).unwrap();
    let sheet: serde_json::Value = serde_json::from_str(&json).unwrap();
    for file in sheet.get("files").unwrap().as_array().unwrap() {
        let path = Path::new("2026-Q3").join(file.get("name").unwrap().as_str().unwrap());
        let listed = published.files.iter().find(|published| published.path == path).unwrap();
        assert_eq!(file.get("sha256").unwrap(), listed.sha256.as_str());
        assert_eq!(file.get("bytes").unwrap(), fs::metadata(shelf.join(&path)).unwrap().len());
    }
    // The hash of the Parquet file stays in the snapshot: a writer that gives other bytes would break frozen periods.
    insta::assert_snapshot!("satisfaction_by_commune.json", json);
}

#[test]
fn small_cells_by_the_ten_thousand_are_counted_in_the_sheet_and_listed_by_the_table_alone() {
    let (_folder, shelf) = shelf();
    let mut pipeline = pipeline();
    let commune = pipeline.unit.communes.first().unwrap().clone();
    pipeline.unit.communes.extend((0..3_000).map(|number| {
        let mut other = commune.clone();
        other.code = format!("{}", 10_000 + number);
        other
    }));
    for measure in &mut pipeline.privacy.as_mut().unwrap().measures {
        measure.min_count = 1_000_000;
    }
    publish(&shelf, &pipeline, &["2026-09"]).unwrap();
    let read = |table: &str, kind: &str| fs::read_to_string(shelf.join(format!("2026-09/{table}.{kind}"))).unwrap();
    let rolled_up = |table: &str| {
        let sheet: serde_json::Value = serde_json::from_str(&read(table, "json")).unwrap();
        sheet.get("rolled_up").unwrap().clone()
    };
    let table = "satisfaction_by_commune_and_procedure_group";
    let cells = pipeline.unit.communes.len() * pipeline.procedure_groups.len();
    let many = rolled_up(table);
    assert_eq!(many.get("count").unwrap(), cells);
    assert_eq!(many.get("cells").unwrap().as_array().unwrap().len(), 0);
    assert_eq!(read(table, "csv").matches(",rolled_up,").count(), cells);
    assert!(read(table, "json").len() < 50_000);
    // Fewer are listed as before.
    let few = rolled_up("satisfaction_by_commune");
    assert_eq!(few.get("cells").unwrap().as_array().unwrap().len(), pipeline.unit.communes.len());
    assert!(few.get("count").is_none());
}

#[test]
fn a_parquet_file_reads_back_as_the_released_table() {
    let (_folder, shelf) = shelf();
    let pipeline = pipeline();
    publish(&shelf, &pipeline, &QUARTER).unwrap();
    for table in released(&pipeline, &QUARTER) {
        let path = shelf.join(table.period().to_string()).join(format!("{}.parquet", table.name()));
        let reader =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap());
        let reader = reader.unwrap();
        assert_eq!(reader.metadata().file_metadata().created_by(), Some("chudong"));
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        // Columns that follow from it stand after those that were released.
        let columns: Vec<usize> = (0..table.table().num_columns()).collect();
        let released: Vec<_> = batches.iter().map(|batch| batch.project(&columns).unwrap()).collect();
        assert_eq!(released, std::slice::from_ref(table.table()));
    }
}

/// A CSV file taken apart by RFC 4180.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {
                chars.next();
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !quoted, "the file ends in the middle of a row");
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the codes are, no cell is a formula and every code can be read back.
    #[test]
    fn no_text_becomes_a_formula_and_none_is_lost(
        // No code begins with an apostrophe of its own, so that taking the guard away is exact.
        codes in prop::collection::btree_set("[-=+@\t\r,\"\na-z0-9 đ][-=+@\t\r,\"'\na-z0-9 đ]{0,5}", 8)
    ) {
        let mut pipeline = pipeline();
        for (commune, code) in pipeline.unit.communes.iter_mut().zip(&codes) {
            commune.code = code.clone();
        }
        let (_folder, shelf) = shelf();
        publish(&shelf, &pipeline, &["2026-09"]).unwrap();
        let rows = parse_csv(&fs::read_to_string(shelf.join("2026-09/satisfaction_by_commune.csv")).unwrap());
        let column = rows.first().unwrap().iter().position(|name| name == "commune_code").unwrap();
        let mut read = BTreeSet::new();
        for row in rows.iter().skip(1) {
            let cell = row.get(column).unwrap();
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?} begins like a formula");
            read.insert(cell.strip_prefix('\'').unwrap_or(cell).to_owned());
        }
        prop_assert_eq!(codes, read);
    }
}

// ---- frozen bytes ---------------------------------------------------------------

#[test]
fn publishing_again_changes_nothing_and_says_so() {
    let (folder, shelf) = shelf();
    let pipeline = pipeline();
    let first = publish(&shelf, &pipeline, &QUARTER).unwrap();
    // Four periods of eight tables with four files each, a data package, and a list of checksums.
    assert_eq!(first.count(Status::Written), FILES);
    let before = contents(folder.path());
    let second = publish(&shelf, &pipeline, &QUARTER).unwrap();
    assert_eq!((second.count(Status::Written), second.count(Status::Unchanged)), (0, FILES));
    assert_eq!(before, contents(folder.path()));
    let hashes = |published: &Published| published.files.iter().map(|f| f.sha256.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&first), hashes(&second));
}

#[test]
fn a_new_period_joins_those_that_are_frozen() {
    let (_folder, shelf) = shelf();
    let pipeline = pipeline();
    publish(&shelf, &pipeline, &["2026-07", "2026-08"]).unwrap();
    let before = contents(&shelf);
    let published = publish(&shelf, &pipeline, &QUARTER).unwrap();
    assert_eq!((published.count(Status::Written), published.count(Status::Unchanged)), (2 * 34, 2 * 34));
    let after = contents(&shelf);
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
}

#[test]
fn a_published_file_that_would_differ_stops_everything() {
    let pipeline = pipeline();
    let said = |spoil: &dyn Fn(&Path)| {
        let (_folder, shelf) = shelf();
        publish(&shelf, &pipeline, &["2026-07", "2026-08"]).unwrap();
        spoil(&shelf);
        let before = contents(&shelf);
        let error = publish(&shelf, &pipeline, &QUARTER).unwrap_err();
        assert_eq!(error.code(), "publication.would-change");
        // The month that is new was not shown, and nothing is left beside the shelf.
        assert_eq!(before, contents(&shelf));
        assert!(!shelf.with_file_name("published.staging").exists());
        error.fault().to_string()
    };
    let file = "2026-08/service_quality_by_commune.csv";
    let changed = said(&|shelf| {
        let mut bytes = fs::read(shelf.join(file)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(shelf.join(file), bytes).unwrap();
    });
    let missing = said(&|shelf| fs::remove_file(shelf.join(file)).unwrap());
    let unexpected = said(&|shelf| fs::write(shelf.join("2026-08/notes.txt"), "x").unwrap());
    let no_folder = said(&|shelf| {
        fs::remove_dir_all(shelf.join("2026-08")).unwrap();
        fs::write(shelf.join("2026-08"), "x").unwrap();
    });
    insta::assert_snapshot!("would_change", [changed, missing, unexpected, no_folder].join("\n"));
}

#[test]
fn the_lock_file_of_somebody_who_reads_is_no_difference() {
    let (_folder, shelf) = shelf();
    publish(&shelf, &pipeline(), &["2026-07"]).unwrap();
    fs::write(shelf.join("2026-07/.~lock.satisfaction_by_commune.csv#"), "x").unwrap();
    assert_eq!(publish(&shelf, &pipeline(), &["2026-07"]).unwrap().count(Status::Unchanged), 34);
}

#[test]
fn a_table_released_twice_is_refused() {
    let (_folder, shelf) = shelf();
    let pipeline = pipeline();
    let error = publish(&shelf, &pipeline, &["2026-07", "2026-07"]).unwrap_err();
    assert_eq!(error.code(), "publication.table-twice");
    assert!(!shelf.exists());
}

// ---- trouble --------------------------------------------------------------------

/// Names the shelf to the child; without it the child does nothing.
const CHILD_SHELF: &str = "CHUDONG_TEST_PUBLISH_INTO";

/// Publishes a year when a test below starts this binary again.
#[test]
fn child_publishes_a_year() {
    let Ok(shelf) = std::env::var(CHILD_SHELF) else { return };
    let said = publish(Path::new(&shelf), &pipeline(), &YEAR).map_err(|error| error.fault().to_string());
    assert!(said.is_ok(), "{}", said.unwrap_err());
}

/// How many files are under a folder in which somebody else is working.
fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 }).sum()
}

fn child(shelf: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "publication::child_publishes_a_year", "--test-threads=1"]);
    command.env(CHILD_SHELF, shelf).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

#[test]
fn a_killed_publish_leaves_whole_periods_and_the_next_one_completes_them() {
    let pipeline = pipeline();
    let (_folder, reference) = shelf();
    publish(&reference, &pipeline, &YEAR).unwrap();
    let reference = contents(&reference);

    let (folder, shelf) = shelf();
    for files in [1, 61, 200, 340] {
        // What an earlier kill left in the staging folder is not to be counted.
        let _ = fs::remove_dir_all(shelf.with_file_name("published.staging"));
        let before = count_files(folder.path());
        let mut child = child(&shelf).spawn().unwrap();
        // Killed while it writes, as soon as so many files are made, wherever it makes them.
        while count_files(folder.path()) < before + files && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        let shown = contents(&shelf);
        assert!(shown.iter().all(|(path, bytes)| reference.get(path) == Some(bytes)), "a file is not whole");
        let periods: BTreeSet<_> = shown.keys().filter_map(|path| path.parent()).collect();
        for period in periods {
            let files = |all: &BTreeMap<PathBuf, Vec<u8>>| all.keys().filter(|path| path.starts_with(period)).count();
            assert_eq!(files(&shown), files(&reference), "{} is not whole", period.display());
        }
    }
    publish(&shelf, &pipeline, &YEAR).unwrap();
    assert_eq!(contents(&shelf), reference);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left beside the shelf");
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_gives_one_clear_error_and_an_unchanged_shelf() {
    let (folder, shelf) = shelf();
    publish(&shelf, &pipeline(), &["2025-11"]).unwrap();
    let before = contents(folder.path());
    // Files of at most 2 KiB: some are written whole before the first that does not fit.
    let inner = child(&shelf);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"");
    limited.arg(inner.get_program()).args(inner.get_args()).env(CHILD_SHELF, &shelf);
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("error[publication.disk-full]: could not write a file"),
        "{said}"
    );
    assert_eq!(before, contents(folder.path()));
}

#[test]
fn a_place_that_cannot_be_written_gives_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state"), "a file where a folder should be").unwrap();
    let error = publish(&folder.path().join("state/published"), &pipeline(), &["2026-07"]).unwrap_err();
    assert_eq!(error.code(), "publication.cannot-write");
    let fault = error.fault().to_string().replace(&folder.path().display().to_string(), "/var/lib");
    insta::assert_snapshot!("cannot_write", fault);
}
