//! The chain of entries: how one is hashed, appended and read.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::personal::hex;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Position in the chain, from 1 without gaps.
    pub seq: i64,
    /// When it was written: an instant, ISO 8601 in UTC.
    pub at: String,
    /// The run that wrote it, `2026-11-21.1`.
    pub run: String,
    /// What kind of thing, `message.recorded`.
    pub kind: String,
    /// What it is about: the key of a message, a period, a table. Never a person.
    pub key: String,
    /// The rest, as canonical JSON.
    pub body: String,
    /// Hash of the entry before; 32 zero bytes for the first.
    pub prev: Vec<u8>,
    /// SHA-256 over all of the above.
    pub hash: Vec<u8>,
}

impl Entry {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Entry {
            seq: row.get(0)?,
            at: row.get(1)?,
            run: row.get(2)?,
            kind: row.get(3)?,
            key: row.get(4)?,
            body: row.get(5)?,
            prev: row.get(6)?,
            hash: row.get(7)?,
        })
    }

    /// The hash that an entry with this content must have.
    ///
    /// Each part is preceded by its length, so that no two contents give the same bytes.
    pub fn expected_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seq.to_be_bytes());
        let parts: [&[u8]; 6] = [
            &self.prev,
            self.at.as_bytes(),
            self.run.as_bytes(),
            self.kind.as_bytes(),
            self.key.as_bytes(),
            self.body.as_bytes(),
        ];
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// How a fault names it: number, kind and key.
    pub fn name(&self) -> String {
        format!("entry {} ({} {})", self.seq, self.kind, self.key)
    }
}

/// Number and hash of the newest entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 while the ledger is empty.
    pub seq: i64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

impl Head {
    /// As one line of text.
    pub fn line(&self) -> String {
        format!("{} {}\n", self.seq, self.hash)
    }

    /// From its line; what follows in other lines is not the head's.
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.lines().next()?.trim().split_once(' ')?;
        Some(Head { seq: seq.parse().ok()?, hash: hash.to_owned() })
    }
}

pub(super) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let newest: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("select seq, hash from entry order by seq desc limit 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (seq, hash) = newest.unwrap_or((0, vec![0; 32]));
    Ok(Head { seq, hash: hex(&hash) })
}

pub(super) fn append(
    transaction: &Transaction<'_>,
    run: &str,
    kind: &str,
    key: &str,
    body: &Value,
) -> rusqlite::Result<i64> {
    // serde_json keeps the keys of an object in alphabetical order: the text is canonical.
    append_text(transaction, run, kind, key, body.to_string())
}

/// The number of the entry that is appended next.
pub(super) fn next(connection: &Connection) -> rusqlite::Result<i64> {
    let newest = connection
        .prepare_cached("select coalesce(max(seq), 0) from entry")?
        .query_row([], |row| row.get::<_, i64>(0))?;
    // Only a ledger that somebody changed has such a number; `verify` says so.
    newest.checked_add(1).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, newest))
}

/// Appends an entry whose body is written already.
pub(super) fn append_text(
    transaction: &Transaction<'_>,
    run: &str,
    kind: &str,
    key: &str,
    body: String,
) -> rusqlite::Result<i64> {
    let newest: Option<(i64, Vec<u8>)> = transaction
        .prepare_cached("select seq, hash from entry order by seq desc limit 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (seq, prev) = newest.unwrap_or((0, vec![0; 32]));
    let mut entry = Entry {
        // Only a ledger that somebody changed has such a number; `verify` says so.
        seq: seq.checked_add(1).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, seq))?,
        at: crate::calendar::now().to_string(),
        run: run.to_owned(),
        kind: kind.to_owned(),
        key: key.to_owned(),
        body,
        prev,
        hash: Vec::new(),
    };
    entry.hash = entry.expected_hash().to_vec();
    transaction
        .prepare_cached(
            "insert into entry (seq, at, run, kind, key, body, prev, hash) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![entry.seq, entry.at, entry.run, entry.kind, entry.key, entry.body, entry.prev, entry.hash])?;
    Ok(entry.seq)
}
