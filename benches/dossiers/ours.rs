//! Ours: from landed obligations to prepared dossiers on the disk, in a process of its own.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use chudong::calendar::{AsOf, WorkingDays, from_days};
use chudong::check::contract;
use chudong::dossiers::{Basis, ColumnOrigin, Sheet, wanted_rows};
use chudong::language::Text;
use chudong::ledger::{Ledger, PreparedDossier, dossier_name};
use chudong::obligations::key_of;
use chudong::personal::{Personal, PseudonymKey, SealingKey, random_numbers, sha256};
use chudong::pipeline::form::Form;
use chudong::pipeline::{self, Pipeline, reader::Faults};
use chudong::sql::engine::{Bound, given_tables};
use chudong::sql::{Engine, Library};
use chudong::tables::{Table, TableName};
use jiff::civil::Date;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use super::data::{NIGHT, due_on, licence, period, subject};
use super::{Fallible, pages, say};

/// The first argument of the process that does the work.
pub const CHILD: &str = "--child";

pub const ITEM: &str = "driving_licence";
pub const AGENCY: &str = "an-binh";
const RUN: &str = "2026-11-21.1";
const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";

/// What one run has come to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub seconds: f64,
    pub prepared: u64,
    pub peak_mb: u64,
    pub told: String,
}

/// Runs one part in a process of its own, on an empty state.
pub fn run(data: &Path, part: &str, people: u64) -> Fallible<Done> {
    clear(data)?;
    std::fs::create_dir_all(data.join("state"))?;
    let done = Command::new(std::env::current_exe()?)
        .args([CHILD, part, &people.to_string()])
        .arg(data)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !done.status.success() {
        return Err(format!("{part} ended with {}", done.status).into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// Removes the state of the run before.
pub fn clear(data: &Path) -> Fallible<()> {
    let state = data.join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    Ok(())
}

/// The work of the child.
pub fn child(words: &[String]) -> Fallible<()> {
    let [part, people, data] = words else { return Err("three words are needed".into()) };
    let (people, data): (u64, PathBuf) = (people.parse()?, data.into());
    let done = match part.as_str() {
        "night" => night(people, &data)?,
        "bare" => bare(people, &data)?,
        _ => return pages::serve(&data),
    };
    say(&serde_json::to_string(&done)?)
}

/// The keys of the installation.
pub fn keys() -> (PseudonymKey, SealingKey) {
    (PseudonymKey::new([7; 32]), SealingKey::new([9; 32]))
}

fn table(path: &Path) -> Fallible<Table> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(65_536);
    let schema = Arc::clone(reader.schema());
    Ok(Table { schema, batches: reader.build()?.collect::<Result<_, _>>()? })
}

/// The files of the repository in a folder of their own, with dossiers switched on.
pub fn checked(data: &Path) -> Fallible<(Pipeline, Library)> {
    let (from, root) = (Path::new(env!("CARGO_MANIFEST_DIR")), data.join("installation"));
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    for part in ["pipelines", "sql"] {
        copy(&from.join(part), &root.join(part))?;
    }
    let path = root.join(PIPELINE);
    let text = std::fs::read_to_string(&path)?;
    if !text.contains("\n[dossiers]") {
        let serve = "[serve]\nbase_url = \"https://nhac.example\"\nlisten = \"127.0.0.1:0\"\n";
        std::fs::write(&path, format!("{text}\n{serve}\n[dossiers]\nitems = [\"{ITEM}\"]\npaper = true\n"))?;
    }
    let faults = Faults::default();
    let pipeline = pipeline::read(&root, AGENCY, &faults).ok_or("the sample pipeline cannot be read")?;
    let library = Library::read(&root, &pipeline, &faults);
    match faults.into_vec().first() {
        Some(fault) => Err(fault.to_string().into()),
        None => Ok((pipeline, library)),
    }
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

/// What a night has of an obligation when it comes to the dossiers.
struct Obligation {
    key: String,
    subject_id: Personal<String>,
    due_on: Date,
}

/// The obligations in the order of their keys.
fn obligations(people: u64) -> Vec<Obligation> {
    let (key, _) = keys();
    let one = |number: u64| {
        let subject = subject(number);
        Obligation {
            key: key_of(ITEM, [&subject, &licence(number), &period(number)], &key),
            due_on: from_days(due_on(number)).unwrap_or(NIGHT),
            subject_id: Personal::new(subject),
        }
    };
    let mut all: Vec<_> = (0..people).map(one).collect();
    all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    all
}

/// What is to be sealed and written down.
struct Night<'o> {
    basis: String,
    sheet: Sheet,
    /// Row, obligation, number of the dossier.
    numbered: Vec<(usize, &'o Obligation, String)>,
}

impl Night<'_> {
    fn made((row, obligation, dossier): &(usize, &Obligation, String), sheet: &Sheet) -> Option<PreparedDossier> {
        let (key, sealing) = keys();
        Some(PreparedDossier {
            dossier: dossier.clone(),
            subject: key.pseudonym(&obligation.subject_id),
            obligation: obligation.key.clone(),
            due_on: obligation.due_on,
            sealed: sealing.seal(&dossier_name(dossier), &sheet.text(*row, obligation.due_on, None))?,
        })
    }
}

/// What a night does before it writes.
fn prepared<'o>(
    (pipeline, library): &(Pipeline, Library),
    data: &Path,
    obligations: &'o [Obligation],
    told: &mut String,
) -> Fallible<Night<'o>> {
    let form = pipeline.dossiers.first().ok_or("the sample prepares no dossiers")?;
    let as_of = AsOf::new(NIGHT);
    let begun = Instant::now();
    let engine = Engine::with_calendar(WorkingDays::new(2026..=2027, &Default::default()))?;
    for (name, table) in given_tables(pipeline, as_of) {
        engine.register(&name, &table)?;
    }
    for name in ["people", "residents", "driving_licences", "licence_holders"] {
        engine.register(&TableName::new("staging", name), &table(&data.join(format!("{name}.parquet")))?)?;
    }
    let due = table(&data.join("due.parquet"))?;
    let read = begun.elapsed().as_secs_f64();
    let places: HashMap<&str, usize> =
        obligations.iter().enumerate().map(|(at, obligation)| (obligation.key.as_str(), at)).collect();
    let (key, _) = keys();
    let find = |of: [&str; 3]| places.get(key_of(ITEM, of, &key).as_str()).copied();
    let few = wanted_rows(ITEM, &due, &|of| find(of).is_some())?;
    engine.register(&TableName::new("obligations", ITEM), &few)?;
    let wanted = begun.elapsed().as_secs_f64();
    let model = library.model(&TableName::new("dossiers", ITEM)).ok_or("the form has no select")?;
    let bound: Bound = [("$as_of", NIGHT), ("$until", NIGHT), ("$since", NIGHT)].into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let made = runtime.block_on(engine.look_up(model, &bound, contract(pipeline, model).as_ref()))?;
    let selected = begun.elapsed().as_secs_f64();
    let sheet = Sheet::read(form, &made)?;
    let rows = sheet.single_rows(obligations.len(), &find);
    let mut numbers = random_numbers(obligations.len()).ok_or("no random bytes")?.into_iter();
    let numbered = obligations
        .iter()
        .zip(rows)
        .filter_map(|(obligation, row)| Some((row?, obligation, numbers.next()?)))
        .collect();
    *told = format!(
        "files {read:.2} s, wanted rows {:.2} s, select {:.2} s, rows and numbers {:.2} s",
        wanted - read,
        selected - wanted,
        begun.elapsed().as_secs_f64() - selected
    );
    Ok(Night { basis: basis(form, &made)?, sheet, numbered })
}

/// The form, and an origin for every column.
fn basis(form: &Form, made: &Table) -> Fallible<String> {
    let text = |vi: &str, en: &str| Text { vi: vi.to_owned(), en: en.to_owned() };
    let origin = |column: &str| ColumnOrigin {
        columns: vec![format!("population.citizens.{column}")],
        source: text("Cơ sở dữ liệu dân cư tỉnh An Bình", "Population database of An Bình"),
        owner: text("Công an tỉnh An Bình", "An Bình Provincial Police"),
        legal_ground: text("Luật 91/2025/QH15, Điều 19", "Law 91/2025/QH15, Art. 19"),
        authorised_to: "2027-06-30".into(),
        pulled_on: NIGHT.to_string(),
    };
    let names = made.schema.fields().iter().map(|field| field.name().clone());
    let origins: BTreeMap<String, ColumnOrigin> = names.map(|name| (name.clone(), origin(&name))).collect();
    let title = text("Đổi giấy phép lái xe", "Exchange of a driving licence");
    Ok(Basis { agency: "97".into(), title, form: form.clone(), origins }.text()?)
}

fn night(people: u64, data: &Path) -> Fallible<Done> {
    let obligations = obligations(people);
    let mut ledger = Ledger::open(&data.join("state"), AGENCY)?;
    let checked = checked(data)?;
    let begun = Instant::now();
    let mut told = String::new();
    let night = prepared(&checked, data, &obligations, &mut told)?;
    let before = begun.elapsed().as_secs_f64();
    let make = |one: &(usize, &Obligation, String)| Night::made(one, &night.sheet);
    let name = Basis::name(&night.basis);
    let written = ledger.prepare_dossiers(RUN, ITEM, (&name, &night.basis), &night.numbered, &make)?;
    let seconds = begun.elapsed().as_secs_f64();
    let told = format!("{told}, sealed and written {:.2} s", seconds - before);
    Ok(Done { seconds, prepared: written as u64, peak_mb: peak_mb()?, told })
}

/// The same rows into the same table in commits of the same size, and nothing else.
fn bare(people: u64, data: &Path) -> Fallible<Done> {
    let obligations = obligations(people);
    let state = data.join("state");
    let night = prepared(&checked(data)?, data, &obligations, &mut String::new())?;
    let made = |one: &(usize, &Obligation, String)| {
        let made = Night::made(one, &night.sheet)?;
        Some((made.due_on.to_string(), sha256(&made.sealed), made))
    };
    let rows: Vec<(String, String, PreparedDossier)> = night.numbered.iter().filter_map(made).collect();
    let basis = Basis::name(&night.basis);
    drop(Ledger::open(&state, AGENCY)?);
    let mut connection = rusqlite::Connection::open(state.join("ledger.sqlite"))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    let begun = Instant::now();
    for part in rows.chunks(50_000) {
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare_cached(
            "insert into dossier (dossier, subject, obligation, item, due_on, state, version, basis, sealed, entry)
             values (?1, ?2, ?3, ?4, ?5, 'prepared', ?6, ?7, ?8, 1)",
        )?;
        for (due_on, version, one) in part {
            insert.execute(rusqlite::params![
                one.dossier,
                one.subject,
                one.obligation,
                ITEM,
                due_on,
                version,
                basis,
                one.sealed
            ])?;
        }
        drop(insert);
        transaction.commit()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Done { seconds, prepared: rows.len() as u64, peak_mb: peak_mb()?, told: String::new() })
}

fn peak_mb() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no peak memory")?;
    let kb: u64 = line.split_whitespace().nth(1).ok_or("no peak memory")?.parse()?;
    Ok(kb / 1024)
}
