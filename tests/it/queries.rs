//! `chudong query`: published tables and the run history, and nothing else.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use chudong::calendar::AsOf;
use chudong::ledger::{Ledger, MessageKey, MessageState, PullEntry, Record, RunOutcome, Settlement};
use serde_json::json;

/// A state folder after one small night, with two published months.
fn state() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "binh-minh").unwrap();
    let run = ledger.begin_run(AsOf::new(jiff::civil::date(2026, 11, 21))).unwrap();
    let pull = PullEntry {
        table: "transport.driving_licences".into(),
        purposes: vec!["remind"],
        legal_ground: "Decree 224/2026/NĐ-CP".into(),
        columns: vec!["subject_id".into()],
        asked: "giay_phep_lai_xe.csv".into(),
        rows_read: 21,
        rows_landed: 20,
        rows_quarantined: 1,
        sha256: None,
        is_held: false,
        seconds: 0.01,
        mode: "snapshot",
        ..PullEntry::default()
    };
    ledger.pulled(&run, &[pull], &[]).unwrap();
    let record = |key: &str, stage_notice_days| Record {
        key: MessageKey(key.into()),
        subject: "0f".repeat(16),
        obligation: "1e".repeat(16),
        item: "driving_licence".into(),
        stage_notice_days,
        channel: "folder".into(),
        message_id: format!("<{key}@binh-minh.example>"),
        due_on: jiff::civil::date(2026, 12, 21),
        rule_version: "driving_licence_term@2025-01-01".into(),
        template_version: "t".into(),
        rendered_hash: "r".into(),
        explanation: None,
        ..Record::default()
    };
    ledger.record(&run, vec![(record("a", 30), ()), (record("b", 30), ()), (record("c", 7), ())]).unwrap();
    let settle =
        |key: &str, state| Settlement { key: MessageKey(key.into()), state, reason: "250".into(), retry_at: None };
    ledger.settle(&run, &[settle("a", MessageState::Accepted), settle("b", MessageState::Accepted)]).unwrap();
    ledger.settle(&run, &[settle("c", MessageState::Refused)]).unwrap();
    ledger.finish_run(&run, RunOutcome::Done, &json!({})).unwrap();
    ledger.anchor().unwrap();
    for (month, rows) in [("2026-09", 1), ("2026-10", 2)] {
        let communes: ArrayRef = Arc::new(StringArray::from(["Đảo Yến", "Vĩnh Thạnh, \"cũ\""][..rows].to_vec()));
        let counts: ArrayRef = Arc::new(Int64Array::from([Some(120), None][..rows].to_vec()));
        let shares: ArrayRef = Arc::new(Float64Array::from([Some(0.875), None][..rows].to_vec()));
        let months: ArrayRef = Arc::new(StringArray::from(vec![month; rows]));
        let batch = RecordBatch::try_from_iter([
            ("period", months),
            ("commune", communes),
            ("ratings", counts),
            ("share_satisfied", shares),
        ])
        .unwrap();
        let path = folder.path().join("published").join(month).join("satisfaction.parquet");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    folder
}

fn chudong(state: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chudong")).args(arguments).arg("--state").arg(state).output().unwrap()
}

fn answer(state: &Path, select: &str, format: &str) -> String {
    let output = chudong(state, &["query", select, "--format", format]);
    assert!(output.status.success(), "{select}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn published_tables_and_history_can_be_asked_in_three_forms() {
    let state = state();
    let published = "select * from published.satisfaction order by period, commune";
    let messages = "select item, stage_notice_days, state, messages from history.messages order by 2 desc";
    let runs = "select run, as_of, outcome from history.runs";
    let pulls = "select source_table, rows_read, rows_landed, rows_quarantined from history.pulls";
    let mut said = String::new();
    for (select, format) in [
        (published, "table"),
        (published, "csv"),
        (published, "json"),
        (messages, "table"),
        (runs, "csv"),
        (pulls, "json"),
        // Nothing to show is still an answer in its form.
        ("select run from history.runs where run = 'x'", "table"),
        ("select run from history.runs where run = 'x'", "csv"),
        ("select run from history.runs where run = 'x'", "json"),
    ] {
        said.push_str(&format!("> {select} ({format})\n{}\n", answer(state.path(), select, format)));
    }
    insta::assert_snapshot!(said);
    let json: serde_json::Value = serde_json::from_str(&answer(state.path(), published, "json")).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(3));
}

#[test]
fn the_tables_are_listed() {
    let state = state();
    let output = chudong(state.path(), &["query", "--tables"]);
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
    // Without a select and without --tables it is wrong usage.
    assert_eq!(chudong(state.path(), &["query"]).status.code(), Some(2));
}

#[test]
fn no_table_shows_a_person_or_a_pseudonym() {
    let state = state();
    for (name, table) in chudong::query::tables(state.path()).unwrap() {
        let text = chudong::query::as_json(&table).unwrap();
        assert!(!text.contains(&"0f".repeat(16)) && !text.contains(&"1e".repeat(16)), "{name} shows a pseudonym");
        assert!(!text.contains("binh-minh.example"), "{name} shows a Message-ID");
    }
}

#[test]
fn nothing_but_one_select_is_taken() {
    let state = state();
    let target = state.path().join("out.parquet");
    let csv = crate::root().join("data-samples/awkward/iso_date.csv");
    let (target, csv) = (target.display(), csv.display());
    let refused = [
        "insert into history.runs values ('x')".to_owned(),
        "update history.runs set run = 'x'".to_owned(),
        "delete from history.runs".to_owned(),
        format!("copy history.runs to '{target}'"),
        format!("copy (select 1) to '{target}' stored as parquet"),
        format!("create external table t stored as csv location '{csv}'"),
        "create table t as select 1".to_owned(),
        "create view v as select 1".to_owned(),
        "drop table history.runs".to_owned(),
        "set datafusion.catalog.information_schema = true".to_owned(),
        "show tables".to_owned(),
        "explain select 1".to_owned(),
        format!("explain analyze copy (select 1) to '{target}'"),
        "prepare p as select 1".to_owned(),
        "begin".to_owned(),
        "select 1; select 2".to_owned(),
        "select 1; drop table history.runs".to_owned(),
        "select 1 into t".to_owned(),
        "select * from history.runs for update".to_owned(),
        "with gone as (delete from history.runs returning *) select * from gone".to_owned(),
        format!("select * from '{csv}'"),
        format!("select * from \"{csv}\""),
        format!("select * from read_csv('{csv}')"),
        "select * from information_schema.tables".to_owned(),
        "select * from nothing.here".to_owned(),
        "select".to_owned(),
        "selekt 1".to_owned(),
        String::new(),
        "select 1 / 0".to_owned(),
        "select cast('x' as int)".to_owned(),
    ];
    let before = contents(state.path());
    let mut said = String::new();
    for select in &refused {
        let output = chudong(state.path(), &["query", select]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{select}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(output.stdout.is_empty() && error.starts_with("error[sql."), "{select}: {error}");
        let error = error.replace(&target.to_string(), "OUT").replace(&csv.to_string(), "CSV");
        let select = select.replace(&target.to_string(), "OUT").replace(&csv.to_string(), "CSV");
        said.push_str(&format!("> {select}\n{error}\n"));
    }
    insta::assert_snapshot!(said);
    assert!(before == contents(state.path()), "a refused statement changed the state folder");
}

#[test]
fn without_a_night_there_is_nothing_to_ask_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("nothing");
    let output = chudong(&state, &["query", "--tables"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), [].as_slice()));
    let output = chudong(&state, &["query", "select 1 as one", "--format", "csv"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "one\n1\n");
    assert_eq!(chudong(&state, &["query", "select * from history.runs"]).status.code(), Some(1));
    assert!(!state.exists());
}

/// Every file by its path, without SQLite's files of shared memory, which a reader makes and takes away.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                waiting.push(path);
            } else if !name.ends_with("-shm") && !name.ends_with("-wal") {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_long_chain_is_planned_up_to_the_cap_and_refused_above_it() {
    let world = crate::support::world::World::of("binh-minh");
    let chain = |term: &str, link: &str, count: usize| vec![term; count].join(link);
    let ask = |select: &str| world.chudong(&["query", select, "--format", "csv", "--timeout-seconds", "300"]);
    // 2,999 and 2,998 words and signs; as SQL of an agency they pass through the same door.
    ask(&format!("select {}", chain("1", "+", 1_499))).with(0);
    ask(&chain("select 1", " union all ", 750)).with(0);
    for long in [
        format!("select {}", chain("1", "+", 20_000)),
        chain("select 1", " union all ", 3_000),
        format!("select '{}'", "a".repeat(70_000)),
    ] {
        assert!(ask(&long).with(1).err.contains("error[sql.not-a-select]"));
        world.put("sql/staging/binh-minh/people.sql", long.as_bytes());
        assert!(world.chudong(&["check"]).with(1).err.contains("error[sql.not-a-select]"));
    }
}

#[test]
fn a_query_ends_at_its_time_and_at_its_rows() {
    let world = crate::support::world::World::of("binh-minh");
    let begun = std::time::Instant::now();
    let slow = "select lpad('a', 2000000000, 'b')";
    let ended = world.chudong(&["query", slow, "--timeout-seconds", "1"]).with(1);
    assert!(ended.err.contains("error[query.time]"), "{}", ended.err);
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    let many = "select * from (select unnest(range(0, 100001)))";
    assert!(world.chudong(&["query", many]).with(1).err.contains("error[query.rows]"));
    let all = world.chudong(&["query", many, "--all-rows", "--format", "csv"]).with(0);
    assert_eq!(all.out.lines().count(), 100_002);
    // The cause is said once.
    let unknown = world.chudong(&["query", "select nope"]).with(1).err;
    assert_eq!(unknown.matches("No field named").count(), 1, "{unknown}");
}
