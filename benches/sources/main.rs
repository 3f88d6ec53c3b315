//! Sources and landing beside their peers, as ratios measured in one run.
//!
//! `cargo bench --bench sources -- [postgres] [csv] [sqlite] [increment] [--rounds N]`
//!
//! The same register of persons (9 columns, `CHUDONG_BENCH_ROWS` rows, 10 million
//! if not set) stands in a PostgreSQL server that is started here, in a CSV file
//! and in an SQLite file. Every contender reads it in a process of its own, so that
//! its peak memory is its own; rounds alternate, and each begins with another
//! contender. Absolute times of a shared machine mean little: the ratios of the
//! medians are what to compare, and each is set beside the target that the project
//! has for it. Ours makes its files durable (`fsync`) before it says that it has
//! landed them; the peers do not, and only one of them sorts.
//!
//! Data and peers are kept in `CHUDONG_BENCH_DIR` (`target/bench` if not set), so
//! that a second run starts at once. The peers come from `benches/peers/setup.sh`;
//! where they cannot be had, they are left out and what is measured against them
//! says so.

#[expect(dead_code, reason = "the other benchmark compares peak memory")]
mod contest;
mod data;
mod ours;
#[expect(dead_code, reason = "the other benchmark's peers run its rules")]
mod peers;
mod server;

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use contest::{Contender, Contest, Goal};
use data::Data;
use ours::Installation;
use peers::Peers;
use server::Server;

/// What may go wrong here is told to the person at the terminal and to nobody else.
type Fallible<T> = Result<T, Box<dyn Error>>;

/// The most memory that a pull may take, whatever the table's size.
const PEAK_MB_MAX: u64 = 512;

#[derive(Parser)]
#[command(name = "sources", about = "Sources and landing beside their peers")]
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
    /// PostgreSQL into Arrow and into sorted Parquet.
    Postgres,
    /// A CSV file into Parquet.
    Csv,
    /// An SQLite file into Arrow and into Parquet.
    Sqlite,
    /// A second night in which one row of a thousand has changed.
    Increment,
}

/// What every part needs.
struct Bench {
    folder: PathBuf,
    data: Data,
    peers: Peers,
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
    let rows = match std::env::var("CHUDONG_BENCH_ROWS") {
        Ok(text) => text.replace('_', "").parse().map_err(|_| "CHUDONG_BENCH_ROWS is not a number")?,
        Err(_) => 10_000_000,
    };
    let bench = Bench { data: Data::new(&folder, rows)?, peers: Peers::set_up(&folder)?, folder, rounds: args.rounds };
    let chosen = |part| args.parts.is_empty() || args.parts.contains(&part);
    let mut failed = false;
    // A part that fails says so, and does not take the others with it.
    let mut done = |part, result: Fallible<()>| {
        failed |= result.is_err();
        result.or_else(|error| say(&format!("{part:?} failed: {error}")))
    };
    if chosen(Part::Csv) {
        done(Part::Csv, csv(&bench))?;
    }
    if chosen(Part::Sqlite) {
        done(Part::Sqlite, sqlite(&bench))?;
    }
    if chosen(Part::Postgres) || chosen(Part::Increment) {
        let server = Server::start(&bench.folder, &bench.data)?;
        if chosen(Part::Postgres) {
            done(Part::Postgres, postgres(&bench, &server))?;
        }
        if chosen(Part::Increment) {
            done(Part::Increment, increment(&bench, &server))?;
        }
    }
    if failed { Err("not everything could be measured".into()) } else { Ok(()) }
}

fn postgres(bench: &Bench, server: &Server) -> Fallible<()> {
    server.warm("persons")?;
    let rows = bench.data.rows;
    let installation = |readers| {
        let source = server.source("persons", readers, "");
        Installation::write(&bench.folder, &format!("postgres-{readers}"), &source)
    };
    let (one, four) = (installation(1)?, installation(4)?);
    let mut contenders = vec![
        Contender::new("psql binary copy to nowhere, 1 connection", rows, |_| {
            server.watched(|| server.copy_to_nowhere(1, rows))
        }),
        Contender::new("psql binary copy to nowhere, 4 connections", rows, |_| {
            server.watched(|| server.copy_to_nowhere(4, rows))
        }),
        Contender::new("chudong into Arrow, 1 reader", rows, |_| server.watched(|| one.read())),
        Contender::new("chudong into Arrow, 4 readers", rows, |_| server.watched(|| four.read())),
        Contender::new("chudong into sorted Parquet, 4 readers", rows, |_| server.watched(|| four.land())),
    ];
    for (name, how) in [
        ("connectorx into Arrow, 1 partition", "connectorx1"),
        ("connectorx into Arrow, 4 partitions", "connectorx4"),
        ("ADBC into Arrow, 1 connection", "adbc"),
    ] {
        if bench.peers.has_main() {
            contenders.push(Contender::new(name, rows, move |_| {
                server.watched(|| bench.peers.read_postgres(how, &server.url()))
            }));
        }
    }
    let ours =
        ["chudong into Arrow, 1 reader", "chudong into Arrow, 4 readers", "chudong into sorted Parquet, 4 readers"];
    let copy_1 = &["psql binary copy to nowhere, 1 connection"];
    let copy_4 = &["psql binary copy to nowhere, 4 connections"];
    Contest {
        title: format!("PostgreSQL, {} rows × 9 columns ({})", with_commas(rows), server.settings("persons")?),
        contenders,
        goals: vec![
            Goal::ratio(ours[0], copy_1, 1.3),
            Goal::ratio(ours[1], copy_4, 1.4),
            Goal::ratio(ours[1], &["connectorx into Arrow, 4 partitions"], 0.5),
            Goal::ratio(ours[2], copy_4, 2.0),
            Goal::peak(ours[0], PEAK_MB_MAX),
            Goal::peak(ours[1], PEAK_MB_MAX),
            Goal::peak(ours[2], PEAK_MB_MAX),
        ],
        is_in_order: false,
    }
    .run(bench.rounds)
}

fn csv(bench: &Bench) -> Fallible<()> {
    let (rows, file) = (bench.data.rows, bench.data.csv()?);
    let folder = file.parent().unwrap_or(&file);
    let by_key =
        Installation::write(&bench.folder, "csv", &ours::file_source("csv", folder, "persons.csv", ours::BY_KEY))?;
    let by_date = Installation::write(
        &bench.folder,
        "csv-sorted",
        &ours::file_source("csv", folder, "persons.csv", ours::BY_DATE),
    )?;
    let (ours, sorted) = ("chudong into Parquet, by key", "chudong into Parquet, sorted by date");
    let mut contenders =
        vec![Contender::new(ours, rows, |_| by_key.land()), Contender::new(sorted, rows, |_| by_date.land())];
    for (name, how) in [
        ("DuckDB read_csv into Parquet", "duckdb"),
        ("DuckDB read_csv into sorted Parquet", "duckdb_sorted"),
        ("Polars scan and sink into Parquet", "polars"),
    ] {
        if bench.peers.has_main() {
            contenders.push(Contender::new(name, rows, {
                let file = file.clone();
                move |_| bench.peers.read_csv(how, &file)
            }));
        }
    }
    let size = std::fs::metadata(&file)?.len() / 1_000_000;
    Contest {
        title: format!("CSV, {} rows × 9 columns, {size} MB", with_commas(rows)),
        contenders,
        goals: vec![
            Goal::ratio(ours, &["DuckDB read_csv into Parquet"], 1.0),
            Goal::ratio(sorted, &["DuckDB read_csv into sorted Parquet"], 1.0),
            Goal::peak(ours, PEAK_MB_MAX),
            Goal::peak(sorted, PEAK_MB_MAX),
        ],
        is_in_order: false,
    }
    .run(bench.rounds)
}

fn sqlite(bench: &Bench) -> Fallible<()> {
    let (rows, file) = (bench.data.rows, bench.data.sqlite()?);
    let source = ours::file_source("sqlite", &file, "persons", ours::BY_KEY);
    let installation = Installation::write(&bench.folder, "sqlite", &source)?;
    let (arrow, parquet) = ("chudong into Arrow", "chudong into Parquet, by key");
    let mut contenders = vec![
        Contender::new(arrow, rows, |_| installation.read()),
        Contender::new(parquet, rows, |_| installation.land()),
    ];
    for (name, how, keeps) in [
        ("connectorx into Arrow, 1 partition", "connectorx1", false),
        ("connectorx into Arrow, 4 partitions", "connectorx4", false),
        ("DuckDB into Arrow", "duckdb", false),
        ("connectorx into Parquet, 4 partitions", "connectorx4", true),
        ("DuckDB into Parquet", "duckdb", true),
    ] {
        if if how == "duckdb" { bench.peers.has_sqlite() } else { bench.peers.has_main() } {
            contenders.push(Contender::new(name, rows, {
                let file = file.clone();
                move |_| bench.peers.read_sqlite(how, &file, keeps)
            }));
        }
    }
    let into_arrow =
        &["connectorx into Arrow, 1 partition", "connectorx into Arrow, 4 partitions", "DuckDB into Arrow"];
    Contest {
        title: format!("SQLite, {} rows × 9 columns", with_commas(rows)),
        contenders,
        goals: vec![
            Goal::ratio(arrow, into_arrow, 1.0),
            Goal::ratio(parquet, &["connectorx into Parquet, 4 partitions", "DuckDB into Parquet"], 1.0),
            Goal::peak(arrow, PEAK_MB_MAX),
            Goal::peak(parquet, PEAK_MB_MAX),
        ],
        is_in_order: false,
    }
    .run(bench.rounds)
}

/// Each round is two nights: everything, then one changed row of a thousand.
fn increment(bench: &Bench, server: &Server) -> Fallible<()> {
    server.make_register()?;
    server.warm("register")?;
    let rows = bench.data.rows;
    let increment = "increment = { cursor = \"changed_at\", overlap = 60, compare_days = 7 }\n\
                     columns.changed_at = { type = \"instant\", class = \"personal\" }\n";
    let source = server.source("register", 4, increment);
    let installation = Installation::write(&bench.folder, "increment", &source)?;
    let (full, second) = ("chudong, first night, everything", "chudong, second night, 0.1 % changed");
    let least = "psql binary copy of what has changed";
    Contest {
        title: format!("Increment, {} rows × 10 columns ({})", with_commas(rows), server.settings("register")?),
        contenders: vec![
            Contender::new(full, rows, |_| server.watched(|| installation.land())),
            Contender::new(second, rows, |round| {
                server.change_one_of_a_thousand(round)?;
                server.watched(|| installation.land_next_night())
            })
            // What has changed, and what the overlap asks for again.
            .with_rows(rows / 1000..=rows / 200),
            Contender::new(least, rows, |_| server.watched(|| server.copy_changed_to_nowhere()))
                .with_rows(rows / 1000..=rows / 200),
        ],
        goals: vec![Goal::ratio(second, &[full], 0.02), Goal::peak(full, PEAK_MB_MAX), Goal::peak(second, PEAK_MB_MAX)],
        is_in_order: true,
    }
    .run(bench.rounds)
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
