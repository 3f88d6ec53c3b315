//! Runs.

use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::{Error, Ledger, SCHEMA_VERSION, append, one_row};
use crate::calendar::AsOf;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// All of it was done.
    Done,
    /// Done, but something waits for a person.
    Held,
    /// It looked again and sent what was waiting; the night's other work was not its own.
    Sent,
    /// It stopped with an error.
    Failed,
}

impl RunOutcome {
    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            RunOutcome::Done => "done",
            RunOutcome::Held => "held",
            RunOutcome::Sent => "sent",
            RunOutcome::Failed => "failed",
        }
    }
}

/// A run as the ledger knows it.
#[derive(Debug, Clone)]
pub struct Run {
    /// `2026-11-21.1`: the date it spoke for, and which run for that date.
    pub id: String,
    /// The date it spoke for.
    pub as_of: String,
    /// `done`, `held`, `failed`; none when it never ended.
    pub outcome: Option<String>,
    /// Its summary, as JSON.
    pub summary: Option<String>,
}

impl Ledger {
    /// Begins a run for a date and gives its name.
    pub fn begin_run(&mut self, as_of: AsOf) -> Result<String, Error> {
        self.write("begin the run", |transaction| {
            let before: i64 =
                transaction
                    .query_row("select count(*) from run where as_of = ?1", [as_of.to_string()], |row| row.get(0))?;
            let id = format!("{as_of}.{}", before + 1);
            let agency: String =
                transaction.query_row("select value from meta where name = 'agency'", [], |row| row.get(0))?;
            let body = json!({
                "agency": agency,
                "as_of": as_of.to_string(),
                "layout": SCHEMA_VERSION,
                "version": env!("CARGO_PKG_VERSION"),
            });
            let entry = append(transaction, &id, "run.started", &id, &body)?;
            transaction.execute(
                "insert into run (run, as_of, started_at, entry)
                 values (?1, ?2, (select at from entry where seq = ?3), ?3)",
                params![id, as_of.to_string(), entry],
            )?;
            Ok(id)
        })
    }

    /// Ends a run.
    pub fn finish_run(&mut self, run: &str, outcome: RunOutcome, summary: &Value) -> Result<(), Error> {
        self.write("end the run", |transaction| {
            let body = json!({ "outcome": outcome.word(), "summary": summary });
            let entry = append(transaction, run, "run.finished", run, &body)?;
            one_row(transaction.execute(
                "update run set finished_at = (select at from entry where seq = ?4), outcome = ?2, summary = ?3, entry = ?4
                 where run = ?1",
                params![run, outcome.word(), summary.to_string(), entry],
            )?)
        })
    }

    /// All runs, the oldest first.
    pub fn runs(&self) -> Result<Vec<Run>, Error> {
        let failed = |source| self.failed("read the runs", source);
        let mut select =
            self.connection.prepare("select run, as_of, outcome, summary from run order by entry").map_err(failed)?;
        let rows = select
            .query_map([], |row| {
                Ok(Run { id: row.get(0)?, as_of: row.get(1)?, outcome: row.get(2)?, summary: row.get(3)? })
            })
            .map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The newest runs up to a date that ended as done or held, the newest first, and no more than so many.
    pub fn ended_runs(&self, up_to: AsOf, most: u32) -> Result<Vec<Run>, Error> {
        let failed = |source| self.failed("read the runs", source);
        let mut select = self
            .connection
            .prepare(
                "select run, as_of, outcome, summary from run where outcome in ('done', 'held') and as_of <= ?1
                 order by as_of desc, entry desc limit ?2",
            )
            .map_err(failed)?;
        let rows = select
            .query_map(params![up_to.to_string(), most], |row| {
                Ok(Run { id: row.get(0)?, as_of: row.get(1)?, outcome: row.get(2)?, summary: row.get(3)? })
            })
            .map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The newest date up to `today` for which a run ended as done or held: a night that is proven.
    ///
    /// A run that somebody made for a day to come proves nothing about the nights before it.
    pub fn newest_proven(&self, today: AsOf) -> Result<Option<Date>, Error> {
        let text: Option<String> = self
            .connection
            .query_row(
                "select max(as_of) from run where outcome in ('done', 'held') and as_of <= ?1",
                [today.to_string()],
                |row| row.get(0),
            )
            .optional()
            .map_err(|source| self.failed("read the runs", source))?
            .flatten();
        Ok(text.and_then(|text| text.parse().ok()))
    }
}
