//! Ours: a small installation with one source and one table, pulled by a process of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chudong::calendar::AsOf;
use chudong::landing::{self, Store};
use chudong::pipeline::filter::Dates;
use chudong::pipeline::law::Law;
use chudong::pipeline::reader::Faults;
use chudong::pipeline::{self, Source};
use chudong::sources::{Request, Snapshot};
use jiff::civil::date;

use super::Fallible;
use super::contest::Measured;
use super::peers::measured;

/// The first argument of the process that does the work.
pub const CHILD: &str = "--child";

/// The agency's name in the installation.
const AGENCY: &str = "bench";

/// What every pipeline has besides its source.
const PIPELINE: &str = r#"
[agency]
name = { vi = "Đo tốc độ", en = "Benchmark" }
portal = "https://portal.example"
refuse = "https://portal.example/tu-choi"
contact = { vi = "Không có", en = "None" }

[schedule]
cron = "0 2 * * *"

[items]
use = ["identity_card"]

[channel]
kind = "folder"
from = "nhac-viec@portal.example"
from_name = { vi = "Nhắc việc", en = "Reminders" }

[unit]
code = "97"
name = { vi = "Tỉnh thử", en = "Test Province" }
communes = [{ code = "97001", name = { vi = "Phường thử", en = "Test Ward" } }]

[sources.bench]
title = { vi = "Sổ đăng ký tổng hợp", en = "Synthetic register" }

[sources.bench.authorisation]
owner = { vi = "Không có", en = "None" }
legal_ground = { vi = "Dữ liệu tổng hợp", en = "Synthetic data" }
purposes = ["reminders"]
from = 2026-01-01
to = 2099-12-31
"#;

/// The granted columns of a person.
const COLUMNS: &str = r#"
columns.person_id = { type = "int", class = "personal", subject = true }
columns.province = { type = "int", class = "personal" }
columns.commune = { type = "int", class = "personal" }
columns.birth_date = { type = "date", class = "personal" }
columns.id_issued = { type = "date", class = "personal" }
columns.email = { type = "text", class = "personal" }
columns.phone = { type = "text", class = "personal" }
columns.language = { type = "text", class = "personal" }
columns.consents = { type = "bool", class = "personal" }
"#;

/// What is landed is sorted by key, in which the rows stand at the source too; or by a date.
pub const BY_KEY: &str = "";
pub const BY_DATE: &str = "driving_date = \"birth_date\"\n";

/// The keys of `[sources.bench]` and of its table `persons`, as text of the pipeline file.
pub struct SourceText {
    /// `kind = …` and where it is.
    pub place: String,
    /// `from = …` and what else the table has.
    pub table: String,
}

/// A table of a folder of files, or of an SQLite file.
pub fn file_source(kind: &str, path: &Path, from: &str, order: &str) -> SourceText {
    SourceText {
        place: format!("kind = \"{kind}\"\npath = \"{}\"\n", path.display()),
        table: format!("from = \"{from}\"\n{order}"),
    }
}

/// An installation folder with the source in its pipeline.
pub struct Installation {
    root: PathBuf,
}

impl Installation {
    /// Writes it, and checks that it has no fault.
    pub fn write(bench: &Path, name: &str, source: &SourceText) -> Fallible<Self> {
        let root = bench.join("installations").join(name);
        let pipelines = root.join("pipelines");
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        std::fs::create_dir_all(pipelines.join(AGENCY))?;
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        for shared in ["law", "items", "procedure-groups.toml", "standard-tables.toml"] {
            std::os::unix::fs::symlink(project.join(shared), pipelines.join(shared))?;
        }
        let text = PIPELINE.replace("[sources.bench]\n", &format!("[sources.bench]\n{}", source.place));
        let table = format!("[sources.bench.tables.persons]\nkey = [\"person_id\"]\n{}{COLUMNS}", source.table);
        std::fs::write(pipelines.join(AGENCY).join("pipeline.toml"), format!("{text}\n{table}"))?;
        let installation = Installation { root };
        read_source(&installation.root)?;
        Ok(installation)
    }

    /// Reads all rows into Arrow and lets each batch go.
    pub fn read(&self) -> Fallible<Measured> {
        self.child("arrow", 0)
    }

    /// Lands the table in an empty store.
    pub fn land(&self) -> Fallible<Measured> {
        let store = self.root.join("var");
        if store.exists() {
            std::fs::remove_dir_all(&store)?;
        }
        self.child("land", 0)
    }

    /// Lands the table once more on the next night.
    pub fn land_next_night(&self) -> Fallible<Measured> {
        self.child("land", 1)
    }

    fn child(&self, job: &str, night: u8) -> Fallible<Measured> {
        measured(Command::new(std::env::current_exe()?).arg(CHILD).arg(job).arg(&self.root).arg(night.to_string()))
    }
}

/// The process that does the work and prints what it measured: JOB ROOT NIGHT.
pub fn child(mut words: impl Iterator<Item = String>) -> Fallible<()> {
    let (Some(job), Some(root), Some(night)) = (words.next(), words.next(), words.next()) else {
        return Err("the work is not named".into());
    };
    let root = PathBuf::from(root);
    let as_of = AsOf::new(date(2026, 11, 21).checked_add(jiff::Span::new().try_days(night.parse::<i64>()?)?)?);
    let source = read_source(&root)?;
    let (begun, cpu) = (Instant::now(), cpu_seconds("self")?.0);
    let rows = match job.as_str() {
        "arrow" => into_arrow(&source, &root)?,
        "land" => land(&source, &root, as_of)?,
        other => return Err(format!("there is no work {other}").into()),
    };
    let wall_seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds("self")?.0 - cpu;
    let measured = Measured { wall_seconds, cpu_seconds, server_cpu_seconds: None, peak_mb: Some(peak_mb()?), rows };
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

/// A pull as a night makes it, into sorted Parquet.
fn land(source: &Source, root: &Path, as_of: AsOf) -> Fallible<u64> {
    let law = Law::default();
    let dates =
        Dates { as_of: as_of.date(), until: as_of.date(), since: as_of.date(), known_on: as_of.date(), law: &law };
    let pulled = landing::pull(source, root, dates, &Store::Folder(root.join("var/landing")))?;
    let mut rows = 0;
    for table in &pulled.tables {
        if table.rows_quarantined > 0 {
            return Err(format!("{} rows were set aside", table.rows_quarantined).into());
        }
        rows += table.rows_landed;
    }
    Ok(rows)
}

/// Only the reading: batches in Arrow, each let go when it has been counted.
fn into_arrow(source: &Source, root: &Path) -> Fallible<u64> {
    let mut snapshot = Snapshot::open(source, root)?;
    let rows = AtomicU64::new(0);
    for table in &source.tables {
        snapshot.describe(table)?.ok_or("the table is not there")?;
        snapshot.read(Request { table, condition: None }, &|batch| {
            // A row with a fault is not counted, and is missed at the end.
            let faults = batch.faults.len();
            rows.fetch_add(
                std::hint::black_box(&batch).rows.num_rows().saturating_sub(faults) as u64,
                Ordering::Relaxed,
            );
            Ok(())
        })?;
    }
    Ok(rows.into_inner())
}

fn read_source(root: &Path) -> Fallible<Source> {
    let faults = Faults::default();
    let pipeline = pipeline::read(root, AGENCY, &faults);
    let faults = faults.into_vec();
    if !faults.is_empty() {
        return Err(format!("the pipeline has faults: {faults:?}").into());
    }
    let mut sources = pipeline.ok_or("the pipeline cannot be read")?.sources.into_iter();
    Ok(sources.next().ok_or("the pipeline has no source")?)
}

/// Processor seconds of a process, and of its children that have ended.
pub fn cpu_seconds(process: &str) -> Fallible<(f64, f64)> {
    // Everywhere that Rust builds for, Linux counts in hundredths of a second here.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(Path::new("/proc").join(process).join("stat"))?;
    // The second field is the program's name in brackets, and may hold spaces.
    let fields: Vec<f64> = match stat.rsplit_once(')') {
        Some((_, rest)) => rest.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect(),
        None => Vec::new(),
    };
    match fields.as_slice() {
        [user, system, children_user, children_system] => {
            Ok(((user + system) / TICKS, (children_user + children_system) / TICKS))
        }
        _ => Err("/proc/…/stat is not as it was".into()),
    }
}

/// The largest resident memory of this process so far.
fn peak_mb() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse::<u64>()? / 1024)
}
