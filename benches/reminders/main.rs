//! Sending beside its peers, as rates measured in one run.
//!
//! `cargo bench --bench reminders -- [send] [plan] [night] [--rounds N]`
//!
//! **send**: `CHUDONG_BENCH_MESSAGES` distinct personal messages (200,000 if not set) are planned; then each is
//! reserved, rendered, recorded durably, sent to a local `smtp-sink` over 16 connections, and settled: once in the
//! sample's layout, and once in one that says no more than every letter must. `smtp-sink` is one process that looks at
//! each octet, so the size of a letter decides how many it takes. Beside it `smtp-source` puts messages of the same size
//! into the same sink over as many connections, and lettre's pooled transport sends some of ours over 64. Ours is timed
//! from the plan in memory to the last settlement on the disk.
//!
//! **plan**: `CHUDONG_BENCH_REMINDERS` reminders (a million if not set) are planned and reserved, part by part of the
//! persons as on a night, beside the bare inserts of the same rows in commits of the same size into the same table. The
//! peak of memory is that of a part: it must be the same for two million.
//!
//! **night**: a whole night, as `chudong run` has it, of an agency of `CHUDONG_BENCH_PERSONS` persons (200,000 if not set)
//! each of whom has something due, into a local `smtp-sink`: from the files of the sources to the published pages. Then
//! another of twice as many. What it asks is how its peak of memory grows, which says what is held of each person; the
//! seconds are those of the whole, and depend on how fast the sink is.
//!
//! Ours runs in a process of its own, so that its peak memory is its own. `smtp-source` and `smtp-sink` come with the
//! package postfix (`./test.sh --install`). Files are kept in `CHUDONG_BENCH_DIR` (`target/bench` if not set).

mod night;
mod ours;
mod peers;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// What may go wrong here is told to the person at the terminal and to nobody else.
type Fallible<T> = Result<T, Box<dyn Error>>;

/// The most memory that sending may take.
const PEAK_MB_MAX: u64 = 512;

/// What is sent in a second at least.
const MESSAGES_PER_SECOND_MIN: f64 = 20_000.0;

/// Connections of ours and of `smtp-source`.
const CONNECTIONS: usize = 16;

#[derive(Parser)]
#[command(name = "reminders", about = "Sending beside its peers")]
struct Args {
    /// What to measure; everything when nothing is named.
    parts: Vec<Part>,
    /// How often each contender runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Rendered, recorded, sent, settled.
    Send,
    /// Planned and recorded.
    Plan,
    /// A whole night.
    Night,
}

fn main() -> Fallible<()> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(ours::CHILD) {
        return ours::child(&words.collect::<Vec<_>>());
    }
    let args = Args::parse();
    let folder = std::env::var_os("CHUDONG_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let is_asked = |part| args.parts.is_empty() || args.parts.contains(&part);
    if is_asked(Part::Send) {
        send(&folder, args.rounds)?;
    }
    if is_asked(Part::Plan) {
        plan(&folder, args.rounds)?;
    }
    if is_asked(Part::Night) {
        night(&folder, args.rounds)?;
    }
    Ok(())
}

fn send(folder: &std::path::Path, rounds: u32) -> Fallible<()> {
    let messages = number("CHUDONG_BENCH_MESSAGES", 200_000)?;
    let mut measured = [Letters::new("short", "as short as they may be"), Letters::new("send", "those of the sample")];
    let (mut pooled, mut peak) = (Vec::new(), 0);
    for round in 1..=rounds {
        for letters in &mut measured {
            let sink = peers::Sink::start()?;
            let ours = ours::run(folder, letters.part, messages, sink.port())?;
            drop(sink);
            letters.bytes = ours.bytes / messages.max(1);
            let sink = peers::Sink::start()?;
            let source = peers::smtp_source(messages, letters.bytes, CONNECTIONS, sink.port())?;
            drop(sink);
            letters.ours.push(ours.rate());
            letters.source.push(source);
            peak = peak.max(ours.peak_mb);
            say(&format!(
                "round {round}: letters of {} bytes, chudong {:.0}/s in {:.1} s ({}), smtp-source {source:.0}/s",
                letters.bytes,
                ours.rate(),
                ours.seconds,
                ours.told
            ))?;
        }
        let sink = peers::Sink::start()?;
        pooled.push(peers::pooled(messages.min(10_000), sink.port())?);
    }
    say("")?;
    say(&format!("{messages} messages, {CONNECTIONS} connections, median of {rounds}, letters a second"))?;
    say(&format!("  lettre pooled, 64 connections {:>8.0}", median(pooled)))?;
    for Letters { what, bytes, ours, source, .. } in measured {
        let (ours, source) = (median(ours), median(source));
        say(&format!("letters of {bytes} bytes, {what}"))?;
        say(&format!("  chudong                       {ours:>8.0}"))?;
        say(&format!("  smtp-source                   {source:>8.0}"))?;
        goal("at least half of smtp-source", ours / source, 0.5, ours >= source / 2.0)?;
        goal("messages a second", ours, MESSAGES_PER_SECOND_MIN, ours >= MESSAGES_PER_SECOND_MIN)?;
    }
    goal("peak memory in MB", peak as f64, PEAK_MB_MAX as f64, peak <= PEAK_MB_MAX)
}

/// What was measured with letters of one kind.
struct Letters {
    part: &'static str,
    what: &'static str,
    bytes: u64,
    ours: Vec<f64>,
    source: Vec<f64>,
}

impl Letters {
    fn new(part: &'static str, what: &'static str) -> Self {
        Letters { part, what, bytes: 0, ours: Vec::new(), source: Vec::new() }
    }
}

fn plan(folder: &std::path::Path, rounds: u32) -> Fallible<()> {
    let reminders = number("CHUDONG_BENCH_REMINDERS", 1_000_000)?;
    let (mut ours, mut bare, mut peak) = (Vec::new(), Vec::new(), 0);
    for round in 1..=rounds {
        let recorded = ours::run(folder, "plan", reminders, 0)?;
        let inserts = ours::run(folder, "bare", reminders, 0)?;
        say(&format!(
            "round {round}: planned and recorded in {:.1} s ({}, peak {} MB), bare inserts {:.1} s",
            recorded.seconds, recorded.told, recorded.peak_mb, inserts.seconds
        ))?;
        ours.push(recorded.seconds);
        peak = peak.max(recorded.peak_mb);
        bare.push(inserts.seconds);
    }
    let (ours, bare) = (median(ours), median(bare));
    say(&format!("{reminders} reminders, median of {rounds}: {ours:.1} s beside {bare:.1} s of bare inserts"))?;
    goal("times the bare inserts", ours / bare, 2.0, ours <= bare * 2.0)?;
    goal("peak memory in MB", peak as f64, PEAK_MB_MAX as f64, peak <= PEAK_MB_MAX)
}

fn night(folder: &std::path::Path, rounds: u32) -> Fallible<()> {
    let persons = number("CHUDONG_BENCH_PERSONS", 200_000)?;
    let mut peaks: [Vec<f64>; 2] = Default::default();
    for round in 1..=rounds {
        for (persons, peaks) in [persons, persons * 2].into_iter().zip(&mut peaks) {
            let sink = peers::Sink::start()?;
            let done = ours::run(folder, "night", persons, sink.port())?;
            say(&format!(
                "round {round}: a night of {persons} persons in {:.1} s, peak {} MB, ledger of {} MB",
                done.seconds,
                done.peak_mb,
                done.bytes >> 20
            ))?;
            peaks.push(done.peak_mb as f64);
        }
    }
    let [once, twice] = peaks.map(median);
    let held_bytes = (twice - once).max(0.0) * f64::from(1 << 20) / persons as f64;
    say(&format!("a night of {persons} and of twice as many, median of {rounds}: {once:.0} and {twice:.0} MB"))?;
    say(&format!("  {held_bytes:.0} bytes for each person more"))?;
    goal("peak memory in MB", twice, PEAK_MB_MAX as f64, twice <= PEAK_MB_MAX as f64)
}

fn goal(what: &str, is: f64, wanted: f64, holds: bool) -> Fallible<()> {
    say(&format!("  {} {what}: {is:.2}, wanted {wanted:.2}", if holds { "met   " } else { "MISSED" }))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn number(name: &str, otherwise: u64) -> Fallible<u64> {
    match std::env::var(name) {
        Ok(text) => Ok(text.parse()?),
        Err(_) => Ok(otherwise),
    }
}

fn say(line: &str) -> Fallible<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
