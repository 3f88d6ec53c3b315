//! Which sealed explanations there must be, made again from the entries.

use std::collections::HashMap;

use serde_json::Value;

use super::super::addresses::FORGOTTEN;
use super::super::explanations::ERASED;
use super::super::outbox::RECORDED;
use super::super::{Entry, Ledger};
use crate::personal::sha256;

/// The table, as SQLite's schema names it.
pub(super) const TABLE: &str = "table explanation";

/// The explanations that the entries speak of.
#[derive(Debug, Default)]
pub(super) struct Explanations {
    /// By message: the pseudonym, the SHA-256 and the entry.
    rows: HashMap<String, (String, String, i64)>,
    has_any: bool,
    /// Up to this entry their term was over and they were removed.
    forgotten_until: i64,
}

impl Explanations {
    /// Whether none was ever stored.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_any
    }

    /// Takes an entry that may speak of explanations.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        let subject = |value: &Value| value.get("subject").and_then(Value::as_str).unwrap_or_default().to_owned();
        match entry.kind.as_str() {
            // Of layout 1: one entry for each message.
            "message.recorded" => self.put(entry, &entry.key, body, subject(body)),
            RECORDED => {
                for line in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
                    let key = line.get("key").and_then(Value::as_str).unwrap_or_default();
                    self.put(entry, key, line, subject(line));
                }
            }
            // What an erasure removed is no longer there, and must not come back.
            ERASED => {
                let gone = subject(body);
                self.rows.retain(|_, (subject, ..)| *subject != gone);
            }
            FORGOTTEN => {
                let until = body.get("explanations_until").and_then(Value::as_i64).unwrap_or(0);
                self.forgotten_until = self.forgotten_until.max(until);
            }
            _ => {}
        }
    }

    fn put(&mut self, entry: &Entry, key: &str, line: &Value, subject: String) {
        let Some(digest) = line.get("explanation") else { return };
        self.has_any = true;
        let digest = digest.as_str().unwrap_or_default().to_owned();
        self.rows.insert(key.to_owned(), (subject, digest, entry.seq));
    }

    /// Says where the table differs from what the entries say.
    pub(super) fn differences(mut self, ledger: &Ledger) -> Vec<String> {
        let mut found = Vec::new();
        let until = self.forgotten_until;
        self.rows.retain(|_, (_, _, entry)| *entry > until);
        let tables = "select count(*) from sqlite_schema where type || ' ' || name = ?1";
        if self.is_empty() && ledger.connection.query_row(tables, [TABLE], |row| row.get(0)) == Ok(0) {
            return found;
        }
        if let Err(error) = self.compare(ledger, &mut found) {
            found.push(format!("the table explanation cannot be read: {error}"));
            return found;
        }
        let mut removed: Vec<&String> = self.rows.keys().collect();
        removed.sort();
        found.extend(removed.into_iter().map(|key| format!("the explanation of message {key} was removed")));
        found
    }

    fn compare(&mut self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let mut select =
            ledger.connection.prepare("select message, sealed, entry from explanation order by message")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (message, sealed, entry): (String, Vec<u8>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            match self.rows.remove(&message) {
                Some((_, digest, seq)) if digest == sha256(&sealed) && seq == entry => {}
                Some(_) => found.push(format!("the explanation of message {message} is not what the ledger recorded")),
                None => found.push(format!("the explanation of message {message} is there but no entry speaks of it")),
            }
        }
        Ok(())
    }
}
