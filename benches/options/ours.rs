//! Ours: from landed obligations to recommendations on the disk, in a process of its own.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use chudong::calendar::{AsOf, WorkingDays, to_days};
use chudong::ledger::{self, Ledger, Recommendation, Sheeted};
use chudong::obligations::key_of;
use chudong::options::{Cases, Decided, Measured, Scales, Sheet, Weighed, contract, decide_all, read};
use chudong::personal::{PseudonymKey, SealingKey};
use chudong::pipeline::{self, Pipeline, options::Outcome, reader::Faults};
use chudong::sql::engine::{Bound, given_tables};
use chudong::sql::{Engine, Library};
use chudong::tables::{Table, TableName};
use jiff::civil::{Date, date};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use super::{Fallible, say};

/// The first argument of the process that does the work.
pub const CHILD: &str = "--child";

const OUTCOME: &str = "driving_licence";
const RUN: &str = "2026-11-21.1";
const NIGHT: Date = date(2026, 11, 21);

/// The fifth option of the outcome, so that there are five: the repository's file has four.
const FIFTH: &str = r#"
[[option]]
id = "agent"
title = { vi = "Nộp qua đại lý", en = "Through an agent" }
via = "counter"
in_force_from = 2025-03-01
reference = { vi = "x", en = "x" }
confidence = "unsourced"
working_days = 4
visits = 1
documents = [{ vi = "giấy ủy quyền", en = "an authorisation" }]
[[option.fee]]
status = "standard"
vnd = 180000
from = 2025-03-01
reference = { vi = "x", en = "x" }
confidence = "unsourced"
"#;

/// What one run has come to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub seconds: f64,
    pub recommended: u64,
    pub peak_mb: u64,
    pub told: String,
}

/// Runs one part in a process of its own.
pub fn run(data: &Path, part: &str, people: u64) -> Fallible<Done> {
    let state = data.join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    std::fs::create_dir_all(&state)?;
    let done = Command::new(std::env::current_exe()?)
        .args([CHILD, part, &people.to_string()])
        .arg(data)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    std::fs::remove_dir_all(&state)?;
    if !done.status.success() {
        return Err(format!("{part} ended with {}", done.status).into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// The work of the child.
pub fn child(words: &[String]) -> Fallible<()> {
    let [part, people, data] = words else { return Err("three words are needed".into()) };
    let (people, data): (u64, PathBuf) = (people.parse()?, data.into());
    let done = match part.as_str() {
        "night" => night(people, &data)?,
        _ => bare(people, &data)?,
    };
    say(&serde_json::to_string(&done)?)
}

fn subject(number: u64) -> String {
    format!("0970{number:08}")
}

fn due_on(number: u64) -> i32 {
    to_days(NIGHT) + i32::try_from(number % 61).unwrap_or(0)
}

/// Makes the files, unless they are there.
pub fn make(data: &Path, people: u64) -> Fallible<()> {
    if data.join("identities.parquet").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(data)?;
    let numbers = || 0..people;
    let texts = |text: &dyn Fn(u64) -> String| Arc::new(StringArray::from_iter_values(numbers().map(text))) as ArrayRef;
    let due = vec![
        ("subject_id", texts(&subject)),
        ("object_id", texts(&|number| format!("{number:012}"))),
        ("period", texts(&|number| format!("2016-{:02}-{:02}", 1 + number % 12, 1 + number % 28))),
        ("due_on", Arc::new(Date32Array::from_iter_values(numbers().map(due_on))) as ArrayRef),
        ("fulfilled_on", Arc::new(Date32Array::new_null(people as usize)) as ArrayRef),
    ];
    write(&data.join("due.parquet"), due)?;
    // Three in four have an identity, in an order of their own.
    let known = || numbers().map(|number| number * 7_919 % people).filter(|number| number % 4 != 3);
    let numbers_of =
        |number: &dyn Fn(u64) -> i64| Arc::new(Int64Array::from_iter_values(known().map(number))) as ArrayRef;
    let identities = vec![
        ("subject_id", Arc::new(StringArray::from_iter_values(known().map(subject))) as ArrayRef),
        ("level", numbers_of(&|number| if number % 5 == 0 { 1 } else { 2 })),
        ("documents", numbers_of(&|number| (number % 6) as i64)),
    ];
    write(&data.join("identities.parquet"), identities)
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) -> Fallible<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

fn table(path: &Path) -> Fallible<Table> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(65_536);
    let schema = Arc::clone(reader.schema());
    Ok(Table { schema, batches: reader.build()?.collect::<Result<_, _>>()? })
}

/// The installation of the repository with one more option, in a folder of its own.
fn installation(data: &Path) -> Fallible<PathBuf> {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")), data.join("installation"));
    if to.exists() {
        std::fs::remove_dir_all(&to)?;
    }
    for part in ["pipelines", "sql"] {
        copy(&from.join(part), &to.join(part))?;
    }
    let path = to.join("pipelines/options").join(format!("{OUTCOME}.toml"));
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text + FIFTH)?;
    Ok(to)
}

fn copy(from: &Path, to: &Path) -> Fallible<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?
        } else {
            let _bytes = std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Working days of two years without holidays: what is measured does not depend on them.
fn calendar() -> WorkingDays {
    WorkingDays::new(2026..=2027, &Default::default())
}

/// What stands in the ledger, and what it was made of.
struct Night {
    sheet: Sheet,
    scales: Scales,
    cases: Cases,
    /// Obligation and pseudonym.
    keys: Vec<(String, String)>,
    sealing: SealingKey,
}

impl Night {
    fn recommendation<'n>(&'n self, at: usize, decided: &'n Decided) -> Recommendation<'n> {
        let (obligation, subject) = self.keys.get(at).map_or(("", ""), |(key, subject)| (key, subject));
        let sealed = self
            .cases
            .get(at)
            .and_then(|case| self.sealing.seal(&ledger::weighed_name(obligation, NIGHT), &Weighed::text(&case)));
        let recommended = decided.way(at).and_then(|way| self.sheet.ways.get(way)).map(|way| way.id.as_str());
        Recommendation { obligation, subject, recommended, explained: decided.digest(at), sealed }
    }
}

/// What a night has when it comes to the options: obligations with their keys and pseudonyms, in the order of the keys.
fn obligations(people: u64) -> Vec<(String, String, i32)> {
    let key = PseudonymKey::new([7; 32]);
    let one = |number: u64| {
        let (subject, object) = (subject(number), format!("{number:012}"));
        let period = format!("2016-{:02}-{:02}", 1 + number % 12, 1 + number % 28);
        let pseudonym = key.pseudonym(&chudong::personal::Personal::new(subject.clone()));
        (key_of(OUTCOME, [&subject, &object, &period], &key), pseudonym, due_on(number))
    };
    let mut all: Vec<_> = (0..people).map(one).collect();
    all.sort_unstable();
    all
}

/// The files of the installation, read before the night begins.
fn checked(data: &Path) -> Fallible<(Pipeline, Library)> {
    let root = installation(data)?;
    let faults = Faults::default();
    let pipeline = pipeline::read(&root, "an-binh", &faults).ok_or("the sample pipeline cannot be read")?;
    let library = Library::read(&root, &pipeline, &faults);
    match faults.into_vec().first() {
        Some(fault) => Err(fault.to_string().into()),
        None => Ok((pipeline, library)),
    }
}

fn compared(
    (pipeline, library): &(Pipeline, Library),
    data: &Path,
    obligations: &[(String, String, i32)],
    told: &mut String,
) -> Fallible<Night> {
    let outcome: &Outcome = pipeline.options.outcome(OUTCOME).ok_or("the sample does not recommend")?;
    let as_of = AsOf::new(NIGHT);
    let begun = Instant::now();
    let engine = Engine::with_calendar(calendar())?;
    for (name, table) in given_tables(pipeline, as_of) {
        engine.register(&name, &table)?;
    }
    engine.register(&TableName::new("obligations", OUTCOME), &table(&data.join("due.parquet"))?)?;
    engine.register(&TableName::new("staging", "electronic_identities"), &table(&data.join("identities.parquet"))?)?;
    let model = library.model(&TableName::new("options", OUTCOME)).ok_or("the outcome has no select")?;
    let bound: Bound = [("$as_of", NIGHT), ("$until", NIGHT), ("$since", NIGHT)].into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let made = runtime.block_on(engine.build(model, &bound, Some(&contract())))?;
    let selected = begun.elapsed().as_secs_f64();
    let sheet = Sheet::of(outcome, &pipeline.options, &Measured::nothing(), as_of, &calendar())?;
    let mut cases = Cases::new(&sheet, obligations.iter().map(|(.., due)| *due).collect(), Vec::new());
    let places: HashMap<&str, usize> =
        obligations.iter().enumerate().map(|(at, (key, ..))| (key.as_str(), at)).collect();
    let declared: Vec<String> = outcome.ways.iter().map(|way| way.id.clone()).collect();
    let key = PseudonymKey::new([7; 32]);
    let asked = AtomicU64::new(0);
    read(&sheet, &declared, &made, &mut cases, |of: [&str; 3]| {
        asked.fetch_add(1, Relaxed);
        places.get(key_of(OUTCOME, of, &key).as_str()).copied()
    })?;
    let seen = begun.elapsed().as_secs_f64();
    *told = format!("select {selected:.2} s, read {:.2} s with {} keys", seen - selected, asked.load(Relaxed));
    let keys = obligations.iter().map(|(key, subject, _)| (key.clone(), subject.clone())).collect();
    Ok(Night { scales: Scales::of(&sheet), sheet, cases, keys, sealing: SealingKey::new([9; 32]) })
}

fn night(people: u64, data: &Path) -> Fallible<Done> {
    let obligations = obligations(people);
    let mut ledger = Ledger::open(&data.join("state"), "an-binh")?;
    let checked = checked(data)?;
    let begun = Instant::now();
    let mut told = String::new();
    let night = compared(&checked, data, &obligations, &mut told)?;
    let before = begun.elapsed().as_secs_f64();
    let decided = decide_all(&night.sheet, &night.scales, &night.cases);
    let after = begun.elapsed().as_secs_f64();
    let (digest, sheet) = (night.sheet.digest(), night.sheet.json());
    let of = Sheeted { night: NIGHT, outcome: OUTCOME, digest: &digest, sheet: &sheet };
    let order: Vec<usize> = (0..night.keys.len()).collect();
    ledger.recommend(RUN, of, &order, &|at: &usize| night.recommendation(*at, &decided))?;
    let seconds = begun.elapsed().as_secs_f64();
    let told = format!(
        "{told}, decided {:.2} s with {} explanations, sealed and written {:.2} s",
        after - before,
        decided.explanations(),
        seconds - after
    );
    let recommended = order.iter().filter(|at| decided.way(**at).is_some()).count() as u64;
    Ok(Done { seconds, recommended, peak_mb: peak_mb()?, told })
}

/// The same rows into the same table in commits of the same size, and nothing else.
fn bare(people: u64, data: &Path) -> Fallible<Done> {
    let obligations = obligations(people);
    let state = data.join("state");
    let night = compared(&checked(data)?, data, &obligations, &mut String::new())?;
    let decided = decide_all(&night.sheet, &night.scales, &night.cases);
    let rows: Vec<Recommendation<'_>> = (0..night.keys.len()).map(|at| night.recommendation(at, &decided)).collect();
    drop(Ledger::open(&state, "an-binh")?);
    let mut connection = rusqlite::Connection::open(state.join("ledger.sqlite"))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    let begun = Instant::now();
    for part in rows.chunks(50_000) {
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare_cached(
            "insert into recommendation (night, obligation, subject, sheet, recommended, explained, sealed, entry)
             values (?1, ?2, ?3, 1, ?4, ?5, ?6, 1)",
        )?;
        for one in part {
            insert.execute(rusqlite::params![
                "2026-11-21",
                one.obligation,
                one.subject,
                one.recommended,
                one.explained,
                one.sealed
            ])?;
        }
        drop(insert);
        transaction.commit()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Done { seconds, recommended: rows.len() as u64, peak_mb: peak_mb()?, told: String::new() })
}

fn peak_mb() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no peak memory")?;
    let kb: u64 = line.split_whitespace().nth(1).ok_or("no peak memory")?.parse()?;
    Ok(kb / 1024)
}
