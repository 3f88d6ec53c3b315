//! A night's obligations beside their peers, as ratios measured in one run.
//!
//! `cargo bench --bench obligations -- [due] [tenfold] [catalogue] [--rounds N]`
//!
//! **due**: a synthetic nation (`CHUDONG_BENCH_PEOPLE` people, 20 million if not set; six tenths as many vehicles, half
//! as many licences), five rules, the contacts of everybody who has something due, into one Parquet file.
//! DuckDB and Polars run it as one query over the files of the source, and over the files that landing has made of
//! them; the better line counts. Ours is what a night does, from landed tables: standard tables by SQL, one select
//! for each item, law from tables, then the contacts of those found. It also makes its file durable.
//!
//! **tenfold**: a nation of a tenth of the people beside one in which everybody else has nothing due.
//!
//! **catalogue**: all items over standard tables of the same size, with the keys, facts and dates of every
//! obligation read as a night reads them.
//!
//! Every contender runs in a process of its own, so that its peak memory is its own; rounds alternate, and each
//! begins with another contender. Data and peers are kept in `CHUDONG_BENCH_DIR` (`target/bench` if not set). The
//! peers come from `benches/peers/setup.sh`, and the data is made by DuckDB there, so that without them nothing
//! can be measured.

#[path = "../sources/contest.rs"]
#[expect(dead_code, reason = "the other benchmark counts rows in a range and memory in megabytes")]
mod contest;
mod ours;
#[path = "../sources/peers.rs"]
#[expect(dead_code, reason = "the other benchmark's peers read registers")]
mod peers;

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use contest::{Contender, Contest, Goal};
use ours::Nation;
use peers::Peers;

/// What may go wrong here is told to the person at the terminal and to nobody else.
type Fallible<T> = Result<T, Box<dyn Error>>;

/// The most memory that the whole catalogue may take.
const CATALOGUE_PEAK_MB_MAX: u64 = 4096;

#[derive(Parser)]
#[command(name = "obligations", about = "A night's obligations beside their peers")]
struct Args {
    /// What to measure; everything when nothing is named.
    parts: Vec<Part>,
    /// How often each contender runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Five rules with contact look-up.
    Due,
    /// Ten times the people, the same number due.
    Tenfold,
    /// All items of the catalogue.
    Catalogue,
}

/// What every part needs.
struct Bench {
    folder: PathBuf,
    peers: Peers,
    people: u64,
    rounds: u32,
}

fn main() -> Fallible<()> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(ours::CHILD) {
        return ours::child(words);
    }
    let args = Args::parse();
    let folder = std::env::var_os("CHUDONG_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let lock = File::create(folder.join("lock"))?;
    lock.try_lock().map_err(|error| format!("another benchmark runs in {}: {error}", folder.display()))?;
    let people = match std::env::var("CHUDONG_BENCH_PEOPLE") {
        Ok(text) => text.replace('_', "").parse().map_err(|_| "CHUDONG_BENCH_PEOPLE is not a number")?,
        Err(_) => 20_000_000,
    };
    let bench = Bench { peers: Peers::set_up(&folder)?, folder, people, rounds: args.rounds };
    if !bench.peers.has_main() {
        return Err("the data is made by a peer that is not there: see benches/peers/setup.sh".into());
    }
    let chosen = |part| args.parts.is_empty() || args.parts.contains(&part);
    for (part, run) in
        [(Part::Due, due as fn(&Bench) -> Fallible<()>), (Part::Tenfold, tenfold), (Part::Catalogue, catalogue)]
    {
        if chosen(part) {
            run(&bench).map_err(|error| format!("{part:?}: {error}"))?;
        }
    }
    Ok(())
}

fn due(bench: &Bench) -> Fallible<()> {
    let nation = Nation::made(bench, bench.people, bench.people)?;
    let rows = bench.peers.due("duckdb", nation.source())?.rows;
    let ours = "chudong";
    let mut contenders = vec![Contender::new(ours, rows, |_| nation.due())];
    let peers = [
        ("DuckDB, files of the source", "duckdb", nation.source()),
        ("DuckDB, landed files", "duckdb", nation.landed()),
        ("Polars, files of the source", "polars", nation.source()),
        ("Polars, landed files", "polars", nation.landed()),
    ];
    for (name, how, folder) in peers {
        contenders.push(Contender::new(name, rows, move |_| bench.peers.due(how, folder)));
    }
    let duckdb = &["DuckDB, files of the source", "DuckDB, landed files"];
    Contest {
        title: format!("{} people, {} reminders of five rules", with_commas(bench.people), with_commas(rows)),
        contenders,
        goals: vec![Goal::ratio(ours, duckdb, 0.5), Goal::peak_ratio(ours, duckdb, 1.0 / 3.0)],
        is_in_order: false,
    }
    .run(bench.rounds)
}

fn tenfold(bench: &Bench) -> Fallible<()> {
    let tenth = bench.people / 10;
    let (few, many) = (Nation::made(bench, tenth, tenth)?, Nation::made(bench, bench.people, tenth)?);
    let rows = bench.peers.due("duckdb", few.source())?.rows;
    let (one, ten) = ("chudong, a tenth of the people", "chudong, all, the same number due");
    let (peer_one, peer_ten) = ("DuckDB, a tenth of the people", "DuckDB, all, the same number due");
    Contest {
        title: format!("Ten times the people, {} reminders of five rules", with_commas(rows)),
        contenders: vec![
            Contender::new(one, rows, |_| few.due()),
            Contender::new(ten, rows, |_| many.due()),
            Contender::new(peer_one, rows, |_| bench.peers.due("duckdb", few.landed())),
            Contender::new(peer_ten, rows, |_| bench.peers.due("duckdb", many.landed())),
        ],
        goals: vec![Goal::ratio(ten, &[one], 2.0)],
        is_in_order: false,
    }
    .run(bench.rounds)
}

fn catalogue(bench: &Bench) -> Fallible<()> {
    let tables = ours::Catalogue::made(bench)?;
    let ours = "chudong, all items";
    // How many it finds is not known before; each round must find as many as the first.
    let rows = tables.run()?.rows;
    Contest {
        title: format!("All items over {} people: {} obligations", with_commas(bench.people), with_commas(rows)),
        contenders: vec![Contender::new(ours, rows, |_| tables.run())],
        goals: vec![Goal::peak(ours, CATALOGUE_PEAK_MB_MAX)],
        is_in_order: false,
    }
    .run(bench.rounds)
}

/// Runs a script that makes data, unless its folder is there already.
fn made(folder: &Path, make: impl FnOnce(&Path) -> Fallible<()>) -> Fallible<()> {
    if folder.exists() {
        return Ok(());
    }
    say(&format!("making {}", folder.display()))?;
    let aside = folder.with_extension("part");
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    std::fs::create_dir_all(&aside)?;
    make(&aside)?;
    Ok(std::fs::rename(&aside, folder)?)
}

/// A line about what is being prepared.
fn say(line: &str) -> Fallible<()> {
    Ok(writeln!(std::io::stderr().lock(), "{line}")?)
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
