//! The figures of a nation beside their peers, as ratios measured in one run.
//!
//! `cargo bench --bench figures -- [--rounds N] [--only WHAT]`
//!
//! **aggregate**: 20 million dossiers and 5 million ratings of one year, counted by 3,321 communes × 300 procedure groups
//! × 12 months into one Parquet file: dossiers, on time, online, rated, satisfied. DuckDB and Polars do the same
//! over the same files. Ours is the engine of a night; it also makes its file durable. In every round the files are
//! read again, and must hold the same cells with the same counts.
//!
//! **release**: one month of the nation from staged files to published ones, with every measurement of the sample's policy:
//! read, bounded, counted, drawn, fitted, examined, published as CSV, Parquet and JSON. Beside it the noise alone: OpenDP
//! draws as many counts on all cores.
//!
//! **suppress**: about ten thousand cells of communes in districts by procedure groups in fields, protected and attacked;
//! once with few small counts and once with little else. **page**: the pages of one province; its rows are the bytes of
//! the first page, of which more than 200,000 are an error.
//!
//! Every contender runs in a process of its own, so that its peak memory is its own; rounds alternate. Data and peers are
//! kept in `CHUDONG_BENCH_DIR` (`target/bench` if not set). `CHUDONG_BENCH_DOSSIERS` makes it smaller.

mod cells;
#[path = "../sources/contest.rs"]
#[expect(dead_code, reason = "the other benchmark counts rows in a range and memory in megabytes")]
mod contest;
mod nation;
mod ours;
#[path = "../sources/peers.rs"]
#[expect(dead_code, reason = "the other benchmark's peers read registers")]
mod peers;
mod release;
mod tables;

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Parser;

use cells::Cells;
use contest::{Contender, Contest, Goal};
use peers::Peers;

/// What may go wrong here is told to the person at the terminal and to nobody else.
type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(name = "figures", about = "The figures of a nation beside their peers")]
struct Args {
    /// How often each contender runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What is run; without it, everything.
    #[arg(long, value_parser = ["aggregate", "release", "suppress", "page"])]
    only: Option<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
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
    let dossiers: u64 = match std::env::var("CHUDONG_BENCH_DOSSIERS") {
        Ok(text) => text.replace('_', "").parse().map_err(|_| "CHUDONG_BENCH_DOSSIERS is not a number")?,
        Err(_) => 20_000_000,
    };
    let peers = Peers::set_up(&folder)?;
    if !peers.has_main() {
        return Err("the data is made by a peer that is not there: see benches/peers/setup.sh".into());
    }
    let is_asked = |what: &str| args.only.as_deref().is_none_or(|only| only == what);
    if is_asked("aggregate") {
        aggregate(&folder, &peers, dossiers, args.rounds)?;
    }
    if is_asked("release") {
        month(&folder, &peers, dossiers, args.rounds)?;
    }
    if is_asked("suppress") {
        suppress(args.rounds)?;
    }
    if is_asked("page") {
        page(&folder, &peers, dossiers, args.rounds)?;
    }
    Ok(())
}

fn aggregate(folder: &Path, peers: &Peers, dossiers: u64, rounds: u32) -> Fallible<()> {
    let ratings = dossiers / 4;
    let data = folder.join(format!("figures-{dossiers}"));
    made(&data, |aside| {
        let [dossiers, ratings] = [dossiers.to_string(), ratings.to_string()];
        peers.make("make_figures.py", &[dossiers.as_ref(), ratings.as_ref(), aside.as_ref()])
    })?;
    let mut right = None;
    let first = peers.figures("duckdb", &data, |file| {
        right = Some(Cells::read(file)?);
        Ok(())
    });
    let rows = first?.rows;
    let right = right.ok_or("there is nothing to compare with")?;
    say(&format!("  {right}"))?;
    let is_right = |file: &Path| {
        let found = Cells::read(file)?;
        if found == right { Ok(()) } else { Err(format!("other cells came: {found}, not {right}").into()) }
    };
    let mut contenders = vec![Contender::new("chudong", rows, |_| ours::aggregate(&data, is_right))];
    for (name, how) in [("DuckDB", "duckdb"), ("Polars", "polars")] {
        let data = &data;
        contenders.push(Contender::new(name, rows, move |_| peers.figures(how, data, is_right)));
    }
    let title = format!("{dossiers} dossiers and {ratings} ratings, counted in {rows} cells");
    let goals = vec![Goal::ratio("chudong", &["DuckDB", "Polars"], 1.0)];
    Contest { title, contenders, goals, is_in_order: false }.run(rounds)
}

/// A month of the nation as it stands in staging.
fn staged(folder: &Path, peers: &Peers, dossiers: u64) -> Fallible<PathBuf> {
    let [dossiers, ratings] = [dossiers / 12, dossiers / 48];
    let data = folder.join(format!("month-{dossiers}"));
    made(&data, |aside| {
        let [dossiers, ratings] = [dossiers.to_string(), ratings.to_string()];
        peers.make("make_month.py", &[dossiers.as_ref(), ratings.as_ref(), aside.as_ref()])
    })?;
    Ok(data)
}

fn month(folder: &Path, peers: &Peers, dossiers: u64, rounds: u32) -> Fallible<()> {
    let data = staged(folder, peers, dossiers)?;
    let out = folder.join("published");
    let counts = ours::work(&["noise".as_ref()])?.rows;
    let release = |_| {
        clear(&out)?;
        ours::work(&["release".as_ref(), data.as_ref(), out.as_ref()])
    };
    let contenders = vec![
        Contender::new("chudong", counts, release),
        Contender::new("the noise alone", counts, |_| ours::work(&["noise".as_ref()])),
    ];
    let title = format!("one month's release for the nation: noise in {counts} counts");
    let goals = vec![Goal::ratio("chudong", &["the noise alone"], 1.5), Goal::peak("chudong", 4000)];
    Contest { title, contenders, goals, is_in_order: false }.run(rounds)?;
    clear(&out)
}

fn suppress(rounds: u32) -> Fallible<()> {
    let of = |name, work: &'static str| {
        Contender::new(name, 0, move |_| ours::work(&[work.as_ref()])).with_rows(9_500..=10_500)
    };
    let contenders = vec![of("few small counts", "suppress-large"), of("most counts small", "suppress-small")];
    let goals = vec![Goal::wall("few small counts", 10.0), Goal::wall("most counts small", 10.0)];
    let title = "suppression of a hierarchical table of about 10,000 cells".to_owned();
    Contest { title, contenders, goals, is_in_order: false }.run(rounds)
}

fn page(folder: &Path, peers: &Peers, dossiers: u64, rounds: u32) -> Fallible<()> {
    let data = staged(folder, peers, dossiers)?;
    let out = folder.join("pages");
    let write = |_| {
        clear(&out)?;
        std::fs::create_dir_all(&out)?;
        ours::work(&["page".as_ref(), data.as_ref(), out.as_ref()])
    };
    let contenders = vec![Contender::new("chudong", 0, write).with_rows(1..=200_000)];
    let title = "the pages of one province of 98 communes and 300 groups".to_owned();
    Contest { title, contenders, goals: vec![Goal::wall("chudong", 1.0)], is_in_order: false }.run(rounds)?;
    clear(&out)
}

/// Takes a folder away.
fn clear(folder: &Path) -> Fallible<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Makes a folder unless it is there: aside first, so that one that was cut short is made again.
fn made(folder: &Path, make: impl FnOnce(&Path) -> Fallible<()>) -> Fallible<()> {
    if folder.exists() {
        return Ok(());
    }
    let aside = folder.with_extension("part");
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    std::fs::create_dir_all(&aside)?;
    make(&aside)?;
    std::fs::rename(aside, folder)?;
    Ok(())
}

fn say(what: &str) -> Fallible<()> {
    writeln!(std::io::stderr().lock(), "{what}")?;
    Ok(())
}
