//! Ours: the engine of a night over landed files, in a process of its own.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use arrow::datatypes::DataType;
use chudong::calendar::AsOf;
use chudong::landing;
use chudong::sql::Engine;
use chudong::tables::TableName;

use super::contest::Measured;
use super::peers::measured;
use super::{Fallible, nation, release, tables};

/// The first argument of the process that does the work.
pub const CHILD: &str = "--child";

/// The file that it writes, beside the data.
const COUNTED: &str = "ours.parquet";

/// The same question as that of the others, written as it is answered fastest here: one aggregation over both tables.
const SELECT: &str = include_str!("figures.sql");

/// Counts in a process of its own. What it wrote is looked at, and removed.
pub fn aggregate(data: &Path, look: impl FnOnce(&Path) -> Fallible<()>) -> Fallible<Measured> {
    let found = measured(Command::new(std::env::current_exe()?).arg(CHILD).arg("aggregate").arg(data))?;
    let path = data.join(COUNTED);
    look(&path)?;
    std::fs::remove_file(path)?;
    Ok(found)
}

/// The same for the other work: `WORK DATA OUT`.
pub fn work(words: &[&OsStr]) -> Fallible<Measured> {
    measured(Command::new(std::env::current_exe()?).arg(CHILD).args(words))
}

/// The process that does the work and prints what it measured.
pub fn child(mut words: impl Iterator<Item = String>) -> Fallible<()> {
    let work = words.next().ok_or("the work is not named")?;
    let mut folder = || words.next().map(PathBuf::from).ok_or("a folder is not named");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begun = Instant::now();
    let mut wall_seconds = None;
    let rows = match work.as_str() {
        "aggregate" => runtime.block_on(count(&folder()?))?,
        "release" => runtime.block_on(release::release(&folder()?, &folder()?))?,
        "noise" => release::noise()?,
        "suppress-large" => tables::suppress(tables::Size::Large)?,
        "suppress-small" => tables::suppress(tables::Size::Small)?,
        "page" => {
            let (bytes, seconds) = runtime.block_on(tables::page(&folder()?, &folder()?))?;
            wall_seconds = Some(seconds);
            bytes
        }
        other => return Err(format!("{other} is no work").into()),
    };
    let wall_seconds = wall_seconds.unwrap_or_else(|| begun.elapsed().as_secs_f64());
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
        let stored = nation::stored(&folder.join(format!("{name}.parquet")), columns);
        engine.register_stored(&TableName::new("source", name), &stored)?;
    }
    let found = engine.query(SELECT, None).await?;
    if std::env::var_os("CHUDONG_BENCH_EXPLAIN").is_some() {
        super::say(&engine.explain(SELECT).await?)?;
    }
    let path = folder.join(COUNTED);
    landing::write_parquet(&found, &std::fs::File::create(&path)?, &path)?;
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
