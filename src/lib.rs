//! chudong (*chủ động*, "proactive"): an agency stops waiting for citizens to come.
//!
//! Authorised tables come in, dated rules say who must do what by when, reminders
//! go out; people rate the service, ratings become counts, counts are made safe,
//! safe figures are published. Everything that left the building is in the ledger.
//!
//! # The map, in reading order
//!
//! Telling the story:
//!
//! - [`cli`]: the verbs and their exit codes.
//! - [`run`]: one night, top to bottom; start reading here.
//! - [`check`]: everything an agency wrote, read together, with all its faults.
//! - [`lineage`]: which column of a source reaches which figure or letter, told.
//! - [`schedule`]: which nights are due, from the cron line and the proven nights.
//! - [`serve`]: the pages on which people refuse, decide about a dossier or rate, and what they say into the ledger; where
//!   services hand in receipts.
//! - [`query`]: published tables and run history, for a select.
//! - [`report`]: what a night did, for a clerk and for a program.
//! - [`world`]: the outside things a run needs; [`telemetry`]: logs and progress.
//!
//! Acting, at the rim:
//!
//! - [`ledger`]: what happened, append-only and verifiable: runs, pulls, obligations, outbox, releases, budget.
//! - [`delivery`]: messages leave here: a folder, SMTP, Zalo, an SMS gateway, a signed webhook.
//! - [`bounces`]: what comes back: delivery reports, complaints, late receipts.
//! - [`publication`]: released tables become files, a catalogue and the page.
//! - [`push`]: the national portal's rating system is told what was published.
//! - [`paper`]: a confirmed dossier as an accessible PDF.
//! - [`submission`]: a confirmed dossier goes to the national portal, and its status comes back.
//!
//! Deciding, pure:
//!
//! - [`obligations`]: who must do what, by when; what became of it, and why that day.
//! - [`reminders`]: who is written to today, and the letter.
//! - [`options`]: which of the ways to one outcome suits a person best, and why.
//! - [`dossiers`]: a dossier that is prepared, and what the person makes of it.
//! - [`satisfaction`], [`quality`]: what the figures are counted from, and score sheets; still private.
//! - [`disclosure`]: the only way from private to public: bounding and noise, suppression of exact counts, cell keys; one gate.
//!
//! Taking in, computing:
//!
//! - [`sources`]: reads authorised databases and files, read-only.
//! - [`landing`]: checks, quarantines, proves the counts, keeps immutable Parquet.
//! - [`sql`]: finds and runs the files in `sql/`.
//!
//! Words everyone shares: [`pipeline`] (an agency's request), [`tables`],
//! [`calendar`], [`language`], [`personal`], [`fault`], [`files`].
//!
//! Beside the night: [`samples`] makes synthetic data, [`scaffold`] the files of a new obligation, [`simulate`] stands in
//! for Zalo, an SMS gateway, a webhook, the rating system and the national portal.
//!
//! # Invariants
//!
//! - **Nothing is sent without a ledger entry.** Only `ledger` makes a
//!   [`ledger::Recorded`], and `delivery` takes nothing else.
//! - **Nothing is published without disclosure control.** Only `disclosure` makes a
//!   [`disclosure::Released`], and `publication` takes nothing else.
//! - **The day is an argument.** [`calendar::AsOf`] is passed down; nothing but
//!   `calendar` reads the clock (`clippy.toml`).
//! - **Deciders do not act.** They know neither the ledger nor DataFusion.
//! - **Each heavy library has one home**, and who may import whom is a table at the
//!   top of `tests/it/layering.rs`.
//! - **No person in a log, an error, a report or the ledger**: [`personal`].

/// Many threads ask for memory at once, at night most of all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod calendar;
pub mod fault;
pub mod files;
pub mod language;
pub mod personal;
pub mod pipeline;
pub mod tables;

pub mod landing;
pub mod sources;
pub mod sql;

pub mod disclosure;
pub mod dossiers;
pub mod obligations;
pub mod options;
pub mod quality;
pub mod reminders;
pub mod satisfaction;

pub mod bounces;
pub mod delivery;
pub mod ledger;
pub mod paper;
pub mod publication;
pub mod push;
pub mod submission;

pub mod check;
pub mod cli;
pub mod lineage;
pub mod query;
pub mod report;
pub mod run;
pub mod samples;
pub mod scaffold;
pub mod schedule;
pub mod serve;
pub mod simulate;
pub mod telemetry;
pub mod world;
