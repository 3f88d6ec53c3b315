//! The rows of many messages at once: what one statement does for all of a group costs a third of what a statement for
//! each of them does, and the rows are visited in their order.
//!
//! Each function says what it found or changed; a row that is not there is for the caller, or undoes the transaction.

use std::collections::HashMap;

use rusqlite::{Transaction, params};

/// What the outbox knows of a message.
pub(super) struct Known {
    pub(super) row: i64,
    pub(super) state: String,
    pub(super) attempts: i64,
    pub(super) address: Option<String>,
    pub(super) valid_until: Option<String>,
}

/// What is known of messages, by key. A key without a row is not among them.
pub(super) fn known(transaction: &Transaction<'_>, keys: &[&str]) -> rusqlite::Result<HashMap<String, Known>> {
    let sql = "select key, rowid, state, attempts, address, valid_until from outbox
               where key in (select value from json_each(?1))";
    let mut select = transaction.prepare_cached(sql)?;
    let rows = select.query_map([list(keys)?], |row| {
        let known = Known {
            row: row.get(1)?,
            state: row.get(2)?,
            attempts: row.get(3)?,
            address: row.get(4)?,
            valid_until: row.get(5)?,
        };
        Ok((row.get(0)?, known))
    })?;
    rows.collect()
}

/// Marks rows as in flight once more, with the address and the last day that they have.
pub(super) fn set_leaving(transaction: &Transaction<'_>, run: &str, entry: i64, rows: &[i64]) -> rusqlite::Result<()> {
    let sql = "update or fail outbox set state = 'in_flight', reason = null, retry_at = null, attempts = attempts + 1,
                   run = ?1, entry = ?2
               where rowid in (select value from json_each(?3))";
    let changed = transaction.prepare_cached(sql)?.execute(params![run, entry, list(rows)?])?;
    all(changed, rows.len())
}

/// Writes down that messages ended in the same way. No key stands twice.
pub(super) fn set_ended(
    transaction: &Transaction<'_>,
    run: &str,
    entry: i64,
    keys: &[&str],
    (state, reason, retry_at): (&str, &str, Option<&str>),
) -> rusqlite::Result<()> {
    let sql = "update or fail outbox set state = ?1, reason = ?2, retry_at = ?3, run = ?4, entry = ?5
               where key in (select value from json_each(?6))";
    let changed =
        transaction.prepare_cached(sql)?.execute(params![state, reason, retry_at, run, entry, list(keys)?])?;
    all(changed, keys.len())
}

/// The values as one parameter.
fn list<V: serde::Serialize>(values: &[V]) -> rusqlite::Result<String> {
    serde_json::to_string(values).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Refuses an update that did not find all of its rows: the caller's act is undone with it.
fn all(changed: usize, wanted: usize) -> rusqlite::Result<()> {
    if changed == wanted { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}
