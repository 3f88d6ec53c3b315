//! A million dossiers prepared beside the bare work, as ratios measured in one run, and the page on which they are read.
//!
//! `cargo bench --bench dossiers -- [--rounds N]`
//!
//! `CHUDONG_BENCH_PEOPLE` obligations (a million if not set) of one item, and what four registers know of their people,
//! lie in Parquet files. Ours is what a night does with them: the select of the form as it stands in `sql/dossiers/`,
//! read into columns, each row found by its keyed digest, written as text with the origin of every value, sealed, hashed
//! and written down in a ledger that survives a power loss. Beside it the bare work: DuckDB computes the same columns from
//! the same files; and the same rows go into the same table in commits of the same size, with nothing to prove them.
//!
//! Then the serving process, with that ledger, on a free port of loopback: 200 readers, each on a connection of its own,
//! ask for page after page as fast as they come, every one by another link.
//!
//! Every contender runs in a process of its own, so that its peak memory is its own. DuckDB comes from
//! `benches/peers/setup.sh`; files are kept in `CHUDONG_BENCH_DIR` (`target/bench` if not set).

mod data;
mod ours;
mod pages;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use serde::Deserialize;

/// What may go wrong here is told to the person at the terminal and to nobody else.
type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(name = "dossiers", about = "A million prepared dossiers beside the bare work")]
struct Args {
    /// How often each contender runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the page: without the night's rivals.
    #[arg(long)]
    pages: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a peer prints of itself.
#[derive(Deserialize)]
struct Peer {
    wall_seconds: f64,
    peak_mb: u64,
    rows: u64,
}

fn main() -> Fallible<()> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(ours::CHILD) {
        return ours::child(&words.collect::<Vec<_>>());
    }
    let args = Args::parse();
    let folder = std::env::var_os("CHUDONG_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench"), PathBuf::from);
    let people = match std::env::var("CHUDONG_BENCH_PEOPLE") {
        Ok(text) => text.replace('_', "").parse()?,
        Err(_) => 1_000_000,
    };
    let data = folder.join(format!("dossiers-{people}"));
    data::make(&data, people)?;
    let (mut all, mut bare, mut selects) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        if !args.pages {
            bare.push(ours::run(&data, "bare", people)?.seconds);
            ours::clear(&data)?;
            let select = duckdb(&folder, &data)?;
            if select.rows != people {
                return Err(format!("{people} dossiers, and by DuckDB {}", select.rows).into());
            }
            say(&format!("round {round}: DuckDB {:.2} s (peak {} MB)", select.wall_seconds, select.peak_mb))?;
            selects.push(select.wall_seconds);
        }
        let ours = ours::run(&data, "night", people)?;
        if ours.prepared != people {
            return Err(format!("{} of {people} dossiers are prepared", ours.prepared).into());
        }
        say(&format!("round {round}: {:.2} s ({}, peak {} MB)", ours.seconds, ours.told, ours.peak_mb))?;
        all.push(ours.seconds);
        if round < args.rounds {
            ours::clear(&data)?;
        }
    }
    if !args.pages {
        let (ours, bare, select) = (median(all), median(bare), median(selects));
        say("")?;
        say(&format!("{people} dossiers prepared, sealed and written down, median of {}", args.rounds))?;
        say(&format!("  chudong                     {ours:>6.2} s"))?;
        say(&format!("  DuckDB, the values alone    {select:>6.2} s"))?;
        say(&format!("  the bare inserts            {bare:>6.2} s"))?;
        verdict("times the bare select and inserts", ours / (bare + select), 2.0)?;
    }
    let pages = pages::run(&data)?;
    ours::clear(&data)?;
    say("")?;
    say(&format!(
        "{} pages for {} readers at once, {:.0} pages a second",
        pages.pages,
        pages::READERS,
        pages.per_second
    ))?;
    say(&format!("  p50 {:.2} ms, p90 {:.2} ms, worst {:.2} ms", pages.p50_ms, pages.p90_ms, pages.worst_ms))?;
    verdict("ms for 99 pages in 100", pages.p99_ms, 20.0)
}

fn verdict(what: &str, found: f64, wanted: f64) -> Fallible<()> {
    let word = if found <= wanted { "met   " } else { "MISSED" };
    say(&format!("  {word} {what}: {found:.2}, wanted {wanted:.2}"))
}

/// What DuckDB needs for the values.
fn duckdb(folder: &Path, data: &Path) -> Fallible<Peer> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/dossiers.py");
    let done = Command::new(folder.join("venv/bin/python")).arg(script).arg(data).output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn say(line: &str) -> Fallible<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
