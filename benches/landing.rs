//! Landing beside its physical limit, as ratios measured in one run.
//!
//! `cargo bench --bench landing` makes the sources of the sample agency for
//! `CHUDONG_BENCH_PEOPLE` people (50,000 if not set), pulls each with the type
//! policy applied and the counts proved, and does beside it the least that any
//! reader must do: read the file's bytes, and split the CSV into fields. Five
//! rounds, alternating; medians. Absolute times of a shared machine mean little;
//! the ratios are what to compare. `plan`'s store is used, so that no disk is
//! written. Peers come with the sources' own work.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use chudong::landing::{self, Store};
use chudong::pipeline::filter::Dates;
use chudong::pipeline::{self, Source, SourceKind, reader::Faults};
use chudong::samples::{self, Format, Options};

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let people = std::env::var("CHUDONG_BENCH_PEOPLE").ok().and_then(|text| text.parse().ok()).unwrap_or(50_000);
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("data-samples/an-binh");
    samples::write(&Options { people, seed: samples::DEFAULT_SEED, out, format: Format::Agency })?;
    let faults = Faults::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pipeline = pipeline::read(root, "an-binh", &faults).ok_or("the sample agency cannot be read")?;
    let as_of = jiff::civil::date(2026, 11, 21);
    let dates = Dates { as_of, until: as_of, law: &pipeline.law };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{people} people, {ROUNDS} rounds, medians")?;
    writeln!(out, "{:<12} {:>9} {:>10} {:>10} {:>10}  ratio", "source", "rows", "pull s", "bytes s", "split s")?;
    for source in &pipeline.sources {
        let (mut pull, mut bytes, mut split) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = 0;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let pulled = landing::pull(source, folder.path(), dates, &Store::Nowhere)?;
            pull.push(begun.elapsed().as_secs_f64());
            rows = pulled.tables.iter().map(|table| table.rows_landed).sum();
            bytes.push(read_bytes(source, folder.path())?);
            split.extend(split_fields(source, folder.path())?);
        }
        let (pull, bytes, split) = (median(&mut pull), median(&mut bytes), median(&mut split));
        let least = if split > 0.0 { split } else { bytes };
        writeln!(
            out,
            "{:<12} {rows:>9} {pull:>10.4} {bytes:>10.4} {split:>10.4}  {:.1} × the least",
            source.name,
            pull / least
        )?;
    }
    Ok(())
}

fn files(source: &Source, root: &Path) -> Vec<std::path::PathBuf> {
    match &source.kind {
        SourceKind::Sqlite { path } => vec![root.join(path)],
        SourceKind::Csv { path, .. } | SourceKind::Parquet { path } => {
            source.tables.iter().map(|table| root.join(path).join(&table.from)).collect()
        }
        _ => Vec::new(),
    }
}

fn read_bytes(source: &Source, root: &Path) -> std::io::Result<f64> {
    let begun = Instant::now();
    for file in files(source, root) {
        std::hint::black_box(std::fs::read(file)?);
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Splits every record into fields and looks at none; nothing for a source that is no CSV.
fn split_fields(source: &Source, root: &Path) -> Result<Option<f64>, Box<dyn std::error::Error>> {
    let SourceKind::Csv { delimiter, .. } = source.kind else { return Ok(None) };
    let begun = Instant::now();
    for file in files(source, root) {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_path(file)?;
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record)? {
            std::hint::black_box(record.len());
        }
    }
    Ok(Some(begun.elapsed().as_secs_f64()))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
