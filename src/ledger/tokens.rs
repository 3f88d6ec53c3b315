//! Counts of answers of closed months, sealed; and the tokens with which people rate, as keyed hashes.
//!
//! A month is taken in once, or once in each of its declared parts; what was taken is never taken back. Tokens of a month
//! are issued in one batch, never more than dossiers were finished in it. Neither table has a column for a person, a
//! dossier, a day or an order: tokens stand in the order of their hashes. What people wrote is sealed apart and goes
//! after its term. This module must not know what is sealed.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Error, Ledger, append, one_row};
use crate::personal::sha256;

pub(super) const TABLES: &str = "
-- One row per month, or part of one, that was taken in: the counts by cell, sealed.
create table if not exists rating_month (
    part text primary key,
    month text not null,
    sealed blob not null,
    entry integer not null references entry (seq)
) strict, without rowid;

-- What people wrote beside their answers of a month, sealed; removed after its term.
create table if not exists rating_text (
    part text primary key,
    sealed blob not null,
    taken_on text not null
) strict, without rowid;

-- One row per token: a keyed hash, its cell, and whether it was spent.
create table if not exists rating_token (
    hash blob primary key,
    month text not null,
    commune text,
    procedure_group text,
    is_counting integer not null,
    is_spent integer not null
) strict, without rowid;
";

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The keyed hash of the token.
    pub hash: [u8; 32],
    /// The month in which its dossier was finished.
    pub month: String,
    /// The commune that received the dossier.
    pub commune: Option<String>,
    /// The group of its procedure.
    pub group: Option<String>,
    /// Whether an answer with it counts in protected figures.
    pub is_counting: bool,
}

/// What is committed when a month, or a part of one, is taken in.
#[derive(Debug)]
pub struct TakenMonth<'a> {
    /// `2026-10`.
    pub month: &'a str,
    /// The same, or with the part after a space.
    pub part: &'a str,
    /// The counts, sealed under [`sealed_counts`].
    pub counts: Vec<u8>,
    /// What people wrote, sealed under [`sealed_texts`]; none where nobody did.
    pub texts: Option<Vec<u8>>,
    /// Tokens that were spent.
    pub spent: Vec<[u8; 32]>,
    /// The night, from which the term of the texts runs.
    pub night: jiff::civil::Date,
}

/// The name under which the counts of a month are sealed.
pub fn sealed_counts(part: &str) -> String {
    format!("ratings {part}")
}

/// The name under which the texts of a month are sealed.
pub fn sealed_texts(part: &str) -> String {
    format!("rating texts {part}")
}

impl Ledger {
    /// Commits what was taken in of a month: all of it, or nothing. A part that was taken in already stays what it is.
    pub fn take_ratings(&mut self, run: &str, taken: &TakenMonth<'_>) -> Result<(), Error> {
        self.write("take in ratings", |transaction| {
            let known = "select 1 from rating_month where part = ?1";
            if transaction.query_row(known, [taken.part], |_| Ok(())).optional()?.is_some() {
                return Ok(());
            }
            let texts = taken.texts.as_deref().map(sha256);
            let body = json!({ "sha256": sha256(&taken.counts), "spent": taken.spent.len(), "texts": texts });
            let entry = append(transaction, run, "ratings.taken", taken.part, &body)?;
            transaction.execute(
                "insert into rating_month (part, month, sealed, entry) values (?1, ?2, ?3, ?4)",
                params![taken.part, taken.month, taken.counts, entry],
            )?;
            if let Some(texts) = &taken.texts {
                transaction.execute(
                    "insert into rating_text (part, sealed, taken_on) values (?1, ?2, ?3)",
                    params![taken.part, texts, taken.night.to_string()],
                )?;
            }
            let mut spend = transaction.prepare("update rating_token set is_spent = 1 where hash = ?1")?;
            taken.spent.iter().try_for_each(|hash| one_row(spend.execute([hash.as_slice()])?))
        })
    }

    /// Every part that was taken in: its month, its name and its sealed counts, in the order in which they were taken.
    pub fn taken_ratings(&self) -> Result<Vec<(String, String, Vec<u8>)>, Error> {
        // A ledger that an earlier version began and that is only read has no such table yet.
        if !self.has_table("rating_month")? {
            return Ok(Vec::new());
        }
        let failed = |source| self.failed("read the counts of ratings", source);
        let select = "select month, part, sealed from rating_month order by entry";
        let mut select = self.connection.prepare(select).map_err(failed)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(failed)?;
        rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed)
    }

    /// What people wrote in a month, sealed, by part; nothing after its term.
    pub fn rating_texts(&self, month: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        if !self.has_table("rating_text")? {
            return Ok(Vec::new());
        }
        let failed = |source| self.failed("read what raters wrote", source);
        let select = "select part, sealed from rating_text where part = ?1 or part like ?1 || ' %' order by part";
        let mut select = self.connection.prepare(select).map_err(failed)?;
        let rows = select.query_map([month], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed)
    }

    /// Removes what people wrote in answers that were taken in before this day; how many months that was.
    pub fn forget_rating_texts(&mut self, before: jiff::civil::Date) -> Result<usize, Error> {
        self.write("remove what raters wrote", |transaction| {
            // What was written stands nowhere in the file afterwards.
            transaction.pragma_update(None, "secure_delete", true)?;
            transaction.execute("delete from rating_text where taken_on < ?1", [before.to_string()])
        })
    }

    /// Keeps the hashes of a month's tokens. False, and nothing is kept, where the month has tokens already: a second
    /// batch would give a person more than the policy lets count.
    pub fn issue_tokens(&mut self, run: &str, month: &str, tokens: &[Token]) -> Result<bool, Error> {
        self.write("keep the tokens of a month", |transaction| {
            let issued = "select 1 from entry where kind = 'tokens.issued' and key = ?1 limit 1";
            if transaction.query_row(issued, [month], |_| Ok(())).optional()?.is_some() {
                return Ok(false);
            }
            append(transaction, run, "tokens.issued", month, &json!({ "tokens": tokens.len() }))?;
            let mut insert = transaction.prepare(
                "insert into rating_token (hash, month, commune, procedure_group, is_counting, is_spent)
                 values (?1, ?2, ?3, ?4, ?5, 0)",
            )?;
            for token in tokens {
                let Token { hash, month, commune, group, is_counting } = token;
                insert.execute(params![hash.as_slice(), month, commune, group, is_counting])?;
            }
            Ok(true)
        })
    }

    /// The tokens of a month by their hashes, spent or not.
    pub fn tokens(&self, month: &str) -> Result<HashMap<[u8; 32], Token>, Error> {
        if !self.has_table("rating_token")? {
            return Ok(HashMap::new());
        }
        let failed = |source| self.failed("read the tokens", source);
        let select = "select hash, month, commune, procedure_group, is_counting from rating_token where month = ?1";
        let mut select = self.connection.prepare(select).map_err(failed)?;
        let read = |row: &rusqlite::Row<'_>| {
            let (hash, month) = (row.get(0)?, row.get(1)?);
            Ok(Token { hash, month, commune: row.get(2)?, group: row.get(3)?, is_counting: row.get(4)? })
        };
        let rows = select.query_map([month], read).map_err(failed)?;
        rows.map(|token| token.map(|token| (token.hash, token))).collect::<rusqlite::Result<_>>().map_err(failed)
    }

    /// The token of a hash, while an answer with it can still be taken in: it is not spent, and its month is not closed.
    /// `last_part` names the part with which a month closes: `2026-10`, or `2026-10 second`.
    pub fn open_token(&self, hash: &[u8; 32], last_part: impl Fn(&str) -> String) -> Result<Option<Token>, Error> {
        if !self.has_table("rating_token")? {
            return Ok(None);
        }
        let failed = |source| self.failed("look for a token", source);
        let select = "select month, commune, procedure_group, is_counting from rating_token
                      where hash = ?1 and is_spent = 0";
        let read = |row: &rusqlite::Row<'_>| {
            let (month, commune, group) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Token { hash: *hash, month, commune, group, is_counting: row.get(3)? })
        };
        let token = self.connection.query_row(select, [hash.as_slice()], read).optional().map_err(failed)?;
        let Some(token) = token else { return Ok(None) };
        let taken = self.taken_ratings()?;
        let last = last_part(&token.month);
        Ok((!taken.iter().any(|(_, part, _)| *part == last)).then_some(token))
    }

    /// How many tokens a month has, and how many of them were spent.
    pub fn tokens_spent(&self, month: &str) -> Result<(i64, i64), Error> {
        if !self.has_table("rating_token")? {
            return Ok((0, 0));
        }
        let select = "select count(*), coalesce(sum(is_spent), 0) from rating_token where month = ?1";
        self.connection
            .query_row(select, [month], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|source| self.failed("count the tokens", source))
    }
}
