//! A million recommendations over five options beside the bare work, as ratios measured in one run.
//!
//! `cargo bench --bench options -- [--rounds N]`
//!
//! `CHUDONG_BENCH_PEOPLE` obligations (a million if not set) of one outcome with five options, and the electronic
//! identities of three in four of their people, lie in Parquet files. Ours is what a night does with them: the select of
//! the outcome as it stands in `sql/options/`, read into columns, decided, explained, hashed, sealed and written down in
//! a ledger that survives a power loss. Beside it the bare work: DuckDB computes from the same files what each option
//! costs each person, which are harmful or beaten and which is recommended; and the same rows go into the same table in
//! commits of the same size, with nothing to prove them.
//!
//! Every contender runs in a process of its own, so that its peak memory is its own. DuckDB comes from
//! `benches/peers/setup.sh`; files are kept in `CHUDONG_BENCH_DIR` (`target/bench` if not set).

mod ours;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use serde::Deserialize;

/// What may go wrong here is told to the person at the terminal and to nobody else.
type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(name = "options", about = "A million recommendations beside the bare work")]
struct Args {
    /// How often each contender runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
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
    let data = folder.join(format!("options-{people}"));
    ours::make(&data, people)?;
    let (mut all, mut bare, mut selects) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        let ours = ours::run(&data, "night", people)?;
        let inserts = ours::run(&data, "bare", people)?;
        let select = duckdb(&folder, &data)?;
        if ours.recommended != select.rows {
            return Err(format!("{} are recommended one, and by DuckDB {}", ours.recommended, select.rows).into());
        }
        say(&format!(
            "round {round}: {:.2} s ({}, peak {} MB), DuckDB {:.2} s (peak {} MB), bare inserts {:.2} s",
            ours.seconds, ours.told, ours.peak_mb, select.wall_seconds, select.peak_mb, inserts.seconds
        ))?;
        all.push(ours.seconds);
        bare.push(inserts.seconds);
        selects.push(select.wall_seconds);
    }
    let (ours, bare, select) = (median(all), median(bare), median(selects));
    say("")?;
    say(&format!("{people} recommendations over five options, median of {}", args.rounds))?;
    say(&format!("  chudong                     {ours:>6.2} s"))?;
    say(&format!("  DuckDB, the values alone    {select:>6.2} s"))?;
    say(&format!("  the bare inserts            {bare:>6.2} s"))?;
    let (ratio, wanted) = (ours / (bare + select), 2.0);
    let verdict = if ratio <= wanted { "met   " } else { "MISSED" };
    say(&format!("  {verdict} times the bare select and inserts: {ratio:.2}, wanted {wanted:.2}"))
}

/// What DuckDB needs for the values.
fn duckdb(folder: &Path, data: &Path) -> Fallible<Peer> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/options.py");
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
