//! Explanations stored with messages, sealed, and what the ledger knows that an explanation needs.
//!
//! The entry of a message has the SHA-256 of its sealed explanation, so that the chain covers it. The
//! sealed bytes stand beside the entries and go when the person is erased; their digest stays.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use serde_json::json;

use super::{Error, Ledger, MessageKey, append};
use crate::calendar::AsOf;

/// The kind of the entry that says that explanations were erased.
pub(super) const ERASED: &str = "explanation.erased";

/// Stores the explanation of a message, in place of that of an earlier attempt.
pub(super) fn put(
    transaction: &Transaction<'_>,
    message: &MessageKey,
    sealed: &[u8],
    entry: i64,
) -> Result<(), rusqlite::Error> {
    let sql = "insert into explanation (message, sealed, entry) values (?1, ?2, ?3)
               on conflict (message) do update set sealed = ?2, entry = ?3";
    transaction.prepare_cached(sql)?.execute(params![message.0, sealed, entry]).map(drop)
}

impl Ledger {
    /// The sealed explanations of the messages whose key begins so: no more than so many.
    pub fn explanations_like(&self, prefix: &str, most: u32) -> Result<Vec<(MessageKey, Vec<u8>)>, Error> {
        let failed = |source| self.failed("read a stored explanation", source);
        if !self.has_table("explanation")? {
            return Ok(Vec::new());
        }
        let sql = "select message, sealed from explanation
                   where substr(message, 1, length(?1)) = ?1 order by message limit ?2";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map(params![prefix, most], |row| Ok((MessageKey(row.get(0)?), row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// Removes the explanations of all messages to a person, by the keyed pseudonym, and says how many there were.
    ///
    /// What is removed is written over in the file. `account` is the system account that asked for it.
    pub fn erase_explanations(&mut self, subject: &str, account: &str) -> Result<usize, Error> {
        let failed = |source| Error::failed(&self.path, "erase stored explanations", source);
        self.connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
        self.write("erase stored explanations", |transaction| {
            let sql = "delete from explanation where message in (select key from outbox where subject = ?1)";
            let messages = transaction.execute(sql, [subject])?;
            if messages > 0 {
                let body = json!({ "account": account, "messages": messages, "subject": subject });
                append(transaction, "-", ERASED, "explanations", &body)?;
            }
            Ok(messages)
        })
    }

    /// The obligations that were followed or written about and whose key begins so, with their item: no more than so many.
    pub fn obligations_like(&self, prefix: &str, most: u32) -> Result<Vec<(String, String)>, Error> {
        let failed = |source| self.failed("look an obligation up", source);
        let mut sql =
            "select item, obligation as key from outbox where substr(obligation, 1, length(?1)) = ?1".to_owned();
        if self.has_table("obligation")? {
            sql.push_str(" union select item, key from obligation where substr(key, 1, length(?1)) = ?1");
        }
        let sql = format!("select distinct item, key from ({sql}) order by 2 limit ?2");
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let rows = select.query_map(params![prefix, most], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// When each table was last pulled for a night: by `<source>.<table>`.
    pub fn pulled_at(&self, night: AsOf) -> Result<BTreeMap<String, Timestamp>, Error> {
        let failed = |source| self.failed("read when tables were pulled", source);
        let sql = "select entry.key, max(entry.at) from entry join run on run.run = entry.run
                   where entry.kind = 'pull' and run.as_of = ?1 group by entry.key";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows =
            select.query_map([night.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let rows: Vec<(String, String)> = rows.and_then(Iterator::collect).map_err(failed)?;
        Ok(rows.into_iter().filter_map(|(table, at)| Some((table, at.parse().ok()?))).collect())
    }

    /// A ledger that an earlier version began gets its newer tables when it is next written.
    pub(super) fn has_table(&self, name: &str) -> Result<bool, Error> {
        let sql = "select count(*) from sqlite_schema where type = 'table' and name = ?1";
        let count: i64 = self
            .connection
            .query_row(sql, [name], |row| row.get(0))
            .map_err(|source| self.failed("read which tables there are", source))?;
        Ok(count > 0)
    }
}
