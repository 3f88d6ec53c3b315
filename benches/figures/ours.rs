//! Ours: the engine of a night over landed files, in a process of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{DataType, Field, Schema};
use chudong::calendar::AsOf;
use chudong::landing;
use chudong::sql::Engine;
use chudong::tables::{Stored, TableName};

use super::Fallible;
use super::contest::Measured;
use super::peers::measured;

/// The first argument of the process that does the work.
pub const CHILD: &str = "--child";

/// The same select as DuckDB's.
const SELECT: &str = include_str!("../peers/figures.sql");

/// Counts in a process of its own.
pub fn aggregate(data: &Path) -> Fallible<Measured> {
    measured(Command::new(std::env::current_exe()?).arg(CHILD).arg(data))
}

/// The process that does the work and prints what it measured: FOLDER.
pub fn child(mut words: impl Iterator<Item = String>) -> Fallible<()> {
    let folder = PathBuf::from(words.next().ok_or("the data is not named")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begun = Instant::now();
    let rows = runtime.block_on(count(&folder))?;
    let wall_seconds = begun.elapsed().as_secs_f64();
    let (cpu_seconds, peak_mb) = (cpu_seconds()?, Some(peak_mb()?));
    let measured = Measured { wall_seconds, cpu_seconds, server_cpu_seconds: None, peak_mb, rows };
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

async fn count(folder: &Path) -> Fallible<u64> {
    let calendar = chudong::pipeline::calendar::LegalCalendar::default();
    let engine = Engine::with_calendar(calendar.known_on(AsOf::today().date()))?;
    let tables: [(&str, &[(&str, DataType)]); 2] = [
        (
            "dossiers",
            &[
                ("dossier_id", DataType::Utf8),
                ("commune_code", DataType::Utf8),
                ("procedure_group", DataType::Utf8),
                ("due_on", DataType::Date32),
                ("finished_on", DataType::Date32),
                ("channel", DataType::Int64),
            ],
        ),
        ("ratings", &[("dossier_id", DataType::Utf8), ("level", DataType::Int64)]),
    ];
    for (name, columns) in tables {
        let fields: Vec<Field> =
            columns.iter().map(|(column, kind)| Field::new(*column, kind.clone(), *column != "dossier_id")).collect();
        let stored = Stored {
            schema: Arc::new(Schema::new(fields)),
            base: vec![folder.join(format!("{name}.parquet"))],
            changes: None,
            key: vec!["dossier_id".into()],
            sorted_by: Vec::new(),
            condition: None,
        };
        engine.register_stored(&TableName::new("source", name), &stored)?;
    }
    let found = engine.query(SELECT, None).await?;
    let path = folder.join("ours.parquet");
    landing::write_parquet(&found, &std::fs::File::create(&path)?, &path)?;
    std::fs::remove_file(&path)?;
    Ok(found.rows() as u64)
}

/// Processor seconds of this process.
fn cpu_seconds() -> Fallible<f64> {
    // Everywhere that Rust builds for, Linux counts in hundredths of a second here.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in brackets, and may hold spaces.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).ok_or("/proc/self/stat is not as it was")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}

/// The largest resident memory of this process so far.
fn peak_mb() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse::<u64>()? / 1024)
}
