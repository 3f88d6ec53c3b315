//! What was asked of sources, what came, and what was erased.

use rusqlite::params;
use serde_json::json;

use super::{Error, Ledger, append};

/// What was asked of a source, and what came.
#[derive(Debug, Clone, Default)]
pub struct PullEntry {
    /// `<source>.<table>`.
    pub table: String,
    /// What the data may be used for.
    pub purposes: Vec<&'static str>,
    /// The articles it rests on.
    pub legal_ground: String,
    /// The columns asked for.
    pub columns: Vec<String>,
    /// The row filter as declared; none when all rows were asked for.
    pub filter: Option<String>,
    /// What was asked: a select with the dates of the night, or a file's name.
    pub asked: String,
    /// How it was read: `snapshot`, `increment` or `comparison`.
    pub mode: &'static str,
    /// Rows the source had and gave.
    pub rows_read: u64,
    /// Rows of those that were taken in.
    pub rows_landed: u64,
    /// Rows that the table has now: more than were taken in where only changes were read.
    pub rows_held: u64,
    /// Rows set aside.
    pub rows_quarantined: u64,
    /// Rows that came or changed since the last night; none where all were read.
    pub rows_changed: Option<u64>,
    /// Rows that are no longer at the source; none where nobody looked.
    pub rows_deleted: Option<u64>,
    /// What the source computed and was found to agree: `rows`, `keys`, and the columns summed.
    ///
    /// The sums themselves are not written down: that of a small table may be a person's.
    pub totals: Vec<String>,
    /// SHA-256 of the stored generation, where one was stored.
    pub sha256: Option<String>,
    /// Whether it waits for a person.
    pub is_held: bool,
    /// Whether its volume was out of bounds and a person accepted it.
    pub is_accepted: bool,
    /// How long it took.
    pub seconds: f64,
}

/// What was asked of a source and did not come.
#[derive(Debug, Clone, Default)]
pub struct FailedPull {
    /// `<source>.<table>`.
    pub table: String,
    /// What the data may be used for.
    pub purposes: Vec<&'static str>,
    /// The articles it rests on.
    pub legal_ground: String,
    /// The columns asked for.
    pub columns: Vec<String>,
    /// The row filter as declared.
    pub filter: Option<String>,
    /// The stable code of the fault.
    pub code: String,
    /// What was wrong; it names no person and no secret.
    pub what: String,
}

/// How many rows a table usually has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsualRows {
    /// The median.
    pub rows: u64,
    /// Over how many nights, 1 to [`NIGHTS_COMPARED`].
    pub nights: usize,
}

/// Over how many nights the usual volume of a table is taken.
pub const NIGHTS_COMPARED: usize = 7;

/// A person's rows that were taken out of a landed table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// `<source>.<table>`.
    pub table: String,
    /// The generations that were rewritten: SHA-256 before and after.
    pub generations: Vec<(String, String)>,
    /// Rows taken out, over all generations.
    pub rows: u64,
}

impl Ledger {
    /// Records what was asked of sources, how many rows came, and what did not come.
    pub fn pulled(&mut self, run: &str, pulls: &[PullEntry], failed: &[FailedPull]) -> Result<(), Error> {
        self.write("record the pulls", |transaction| {
            for pull in pulls {
                let body = json!({
                    "accepted": pull.is_accepted, "asked": pull.asked, "columns": pull.columns, "filter": pull.filter,
                    "held": pull.is_held, "legal_ground": pull.legal_ground, "mode": pull.mode,
                    "purposes": pull.purposes, "rows_changed": pull.rows_changed, "rows_deleted": pull.rows_deleted,
                    "rows_held": pull.rows_held,
                    "rows_landed": pull.rows_landed, "rows_quarantined": pull.rows_quarantined,
                    "rows_read": pull.rows_read, "seconds": (pull.seconds * 1000.0).round() / 1000.0,
                    "sha256": pull.sha256, "totals": pull.totals,
                });
                append(transaction, run, "pull", &pull.table, &body)?;
            }
            for pull in failed {
                let body = json!({
                    "code": pull.code, "columns": pull.columns, "filter": pull.filter,
                    "legal_ground": pull.legal_ground, "purposes": pull.purposes, "what": pull.what,
                });
                append(transaction, run, "pull.failed", &pull.table, &body)?;
            }
            Ok(())
        })
    }

    /// How many rows a table usually has; none when it was never pulled and let through.
    ///
    /// It is the median of the last seven nights on which the table was not held, and
    /// of none before a person accepted another volume. The last night alone would let
    /// a table bleed: a fifth less each night is never noticed. The median of a week
    /// is not moved by one odd night in either direction either.
    pub fn usual_rows(&self, table: &str) -> Result<Option<UsualRows>, Error> {
        let failed = |source| self.failed("read the last pulls", source);
        // One pull for each night: the last one, when a night was run again.
        let sql = "with pulls as (
                       select entry.seq, run.as_of, coalesce(body ->> 'rows_held', body ->> 'rows_landed') as rows, body ->> 'accepted' as accepted
                       from entry join run on run.run = entry.run
                       where entry.kind = 'pull' and entry.key = ?1 and body ->> 'held' = 0
                   )
                   select max(seq), rows, as_of from pulls
                   where seq >= coalesce((select max(seq) from pulls where accepted = 1), 0)
                   group by as_of order by 1 desc limit ?2";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select
            .query_map(params![table, NIGHTS_COMPARED as i64], |row| row.get::<_, i64>(1))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(failed)?;
        let mut rows: Vec<u64> = rows.into_iter().filter_map(|rows| u64::try_from(rows).ok()).collect();
        rows.sort_unstable();
        let upper = rows.get(rows.len() / 2).copied();
        let lower = rows.get(rows.len().saturating_sub(1) / 2).copied();
        Ok(upper.zip(lower).map(|(upper, lower)| UsualRows { rows: lower + (upper - lower) / 2, nights: rows.len() }))
    }

    /// Records that a person's rows are about to be taken out of these tables, so that an erasure which is cut
    /// off leaves a trace; `subject` is the pseudonym, `account` the system account that asked for it.
    pub fn erasing(&mut self, subject: &str, account: &str, tables: &[String]) -> Result<(), Error> {
        self.write("record the erasure", |transaction| {
            let body = json!({ "account": account, "subject": subject, "tables": tables });
            append(transaction, NO_RUN, "erase.begun", "landed tables", &body).map(drop)
        })
    }

    /// Records that a person's rows were taken out, one entry for each table.
    pub fn erased(&mut self, subject: &str, account: &str, erasures: &[Erasure]) -> Result<(), Error> {
        self.write("record the erasure", |transaction| {
            for erasure in erasures {
                let digests = |(before, after): &(String, String)| json!({ "after": after, "before": before });
                let generations: Vec<_> = erasure.generations.iter().map(digests).collect();
                let body = json!({
                    "account": account, "generations": generations, "rows": erasure.rows, "subject": subject,
                });
                append(transaction, NO_RUN, "erased", &erasure.table, &body)?;
            }
            Ok(())
        })
    }
}

/// In place of the run in an entry that belongs to none.
const NO_RUN: &str = "-";
