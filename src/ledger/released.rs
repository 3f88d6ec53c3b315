//! Exact tables: decided once for each month, kept as they were decided, published from what is kept.
//!
//! ```text
//! decided ─ published
//! ```
//!
//! [`Ledger::decide_exact`] commits all tables of a month that may leave together, before a file of them is written:
//! a crash after it publishes the same bytes later, a crash before it publishes nothing. What is kept holds every cell
//! with what became of it, so that later decisions know what is out; no withheld count is in it.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Error, Ledger, append, one_row};
use crate::personal::sha256;

/// Makes the table.
pub(super) const TABLES: &str = "
-- Exact tables by month, made from entries of kind exact.decided and exact.published.
create table if not exists exact_release (
    name text primary key,
    period text not null,
    table_name text not null,
    state text not null check (state in ('decided', 'published')),
    decision blob not null,
    files text,
    entry integer not null references entry (seq)
) strict, without rowid;
";

/// A decided table, for the ledger.
#[derive(Debug, Clone, Copy)]
pub struct ExactDecision<'a> {
    /// The table.
    pub table: &'a str,
    /// `2026-10`.
    pub period: &'a str,
    /// Name and version of the policy.
    pub policy: &'a str,
    /// Cells that are published.
    pub published: usize,
    /// Cells that are withheld.
    pub withheld: usize,
    /// The decision, in `disclosure`'s own form.
    pub bytes: &'a [u8],
}

/// A decided table, as it is kept.
#[derive(Clone)]
pub struct KeptExact {
    /// The table.
    pub table: String,
    /// `2026-10`.
    pub period: String,
    /// The decision, in `disclosure`'s own form.
    pub bytes: Vec<u8>,
    /// The files that were published of it, by name, with their SHA-256; none where that is not recorded yet.
    pub files: Option<Vec<(String, String)>>,
}

impl std::fmt::Debug for KeptExact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptExact({} of {})", self.table, self.period)
    }
}

impl Ledger {
    /// Commits what was decided about tables: all of them or none. One that was decided before is refused.
    pub fn decide_exact(&mut self, run: &str, decisions: &[ExactDecision<'_>]) -> Result<(), Error> {
        self.write("record what was decided about exact tables", |transaction| {
            for decision in decisions {
                let ExactDecision { table, period, policy, published, withheld, bytes } = decision;
                let name = name(table, period);
                let body = json!({
                    "period": period, "policy": policy, "published": published, "sha256": sha256(bytes),
                    "table": table, "withheld": withheld,
                });
                let entry = append(transaction, run, "exact.decided", &name, &body)?;
                transaction.execute(
                    "insert into exact_release (name, period, table_name, state, decision, files, entry)
                     values (?1, ?2, ?3, 'decided', ?4, null, ?5)",
                    params![name, period, table, bytes, entry],
                )?;
            }
            Ok(())
        })
    }

    /// Commits that the files of a decided table are on the shelf.
    pub fn mark_exact(
        &mut self,
        run: &str,
        (table, period): (&str, &str),
        files: &[(String, String)],
    ) -> Result<(), Error> {
        self.write("record the publication of an exact table", |transaction| {
            let files: serde_json::Map<_, _> = files.iter().map(|(name, hash)| (name.clone(), json!(hash))).collect();
            let files = serde_json::Value::Object(files);
            let name = name(table, period);
            let entry = append(transaction, run, "exact.published", &name, &json!({ "files": files }))?;
            one_row(transaction.execute(
                "update exact_release set state = 'published', files = ?2, entry = ?3 where name = ?1 and state = 'decided'",
                params![name, files.to_string(), entry],
            )?)
        })
    }

    /// All decided tables, by month and name.
    pub fn exact_tables(&self) -> Result<Vec<KeptExact>, Error> {
        if !self.has_table("exact_release")? {
            return Ok(Vec::new());
        }
        let failed = |source| self.failed("read what was decided about exact tables", source);
        let sql = "select table_name, period, decision, files from exact_release order by period, table_name";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([], |row| {
            let files: Option<String> = row.get(3)?;
            Ok(KeptExact {
                table: row.get(0)?,
                period: row.get(1)?,
                bytes: row.get(2)?,
                files: files.and_then(|text| {
                    let files: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).ok()?;
                    Some(files.into_iter().collect())
                }),
            })
        });
        rows.map_err(failed)?.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    /// Commits that somebody is about to see exact figures: the account, and of what, `unit 97001, 2026-10, decision_766`.
    pub fn record_look(&mut self, account: &str, unit: &str, period: &str, decision: &str) -> Result<(), Error> {
        self.write("record who sees exact figures", |transaction| {
            let body = json!({ "decision": decision, "period": period, "unit": unit });
            append(transaction, "-", "quality.seen", account, &body).map(drop)
        })
    }

    /// Commits that an analyst asked: the account, and the question in its canonical form, which names columns and codes;
    /// none where it was refused, since nobody knows what stood in it.
    pub fn record_question(&mut self, analyst: &str, question: Option<(&str, &[&str])>) -> Result<(), Error> {
        self.write("record the question of an analyst", |transaction| {
            let (kind, body) = match question {
                Some((question, [])) => ("analyst.asked", json!({ "question": question })),
                Some((question, beside)) => ("analyst.asked", json!({ "beside": beside, "question": question })),
                None => ("analyst.refused", json!({})),
            };
            append(transaction, "-", kind, analyst, &body).map(drop)
        })
    }

    /// Which table was decided for a month, by the hash of the decision; for whoever proves that it is the same.
    pub fn exact_hash(&self, table: &str, period: &str) -> Result<Option<String>, Error> {
        let sql = "select decision from exact_release where name = ?1";
        let bytes: Option<Vec<u8>> = self
            .connection
            .query_row(sql, [name(table, period)], |row| row.get(0))
            .optional()
            .map_err(|source| self.failed("read what was decided about an exact table", source))?;
        Ok(bytes.map(|bytes| sha256(&bytes)))
    }
}

fn name(table: &str, period: &str) -> String {
    format!("{table} {period}")
}
