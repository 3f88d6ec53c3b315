//! Which entries speak of a message, an obligation, a person or a run: an index over the chain.
//!
//! An entry holds a whole batch, so nothing in its row says whom it concerns. When a run ends, what it wrote is read
//! once and each key that occurs is noted with the entry's number, in the order of the keys: the wire never waits for
//! it. What no run has noted yet is read when somebody asks. It is a finding aid and no proof: whoever follows it
//! reads the entries themselves, and it is no part of the chain.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::outbox::{ADOPTED, RECORDED, RESERVED, SETTLED};
use super::{
    Entry, Error, Ledger, addresses, decisions, departing, explanations, obligations, prepared, submissions, unsent,
};
use crate::personal::sha256;

/// Makes the table: parts of a few million rows each, so that a night is written into a small tree.
pub(super) const TABLES: &str = "
create table if not exists mention (
    part integer not null,
    word integer not null,
    entry integer not null,
    primary key (part, word, entry)
) strict, without rowid;
";

/// Rows of one part: a year of ten thousand messages a night is a dozen parts, and each look-up is one look into each.
const ROWS_PER_PART: i64 = 2_000_000;

/// Words that are noted in one transaction.
const WORDS_PER_COMMIT: usize = 500_000;

/// How far the entries are indexed, and how full the newest part is: rows of the table `mark`.
const UNTIL: &str = "mentions";
const PART: &str = "mentions.part";
const ROWS: &str = "mentions.rows";

/// What some entries speak of.
struct Read {
    /// Words with the numbers of their entries, sorted.
    words: Vec<(i64, i64)>,
    /// The last entry that was read.
    until: i64,
    /// How many were read.
    entries: u64,
}

/// Looks entries up by what they speak of.
#[derive(Debug)]
pub(super) struct Finder<'l> {
    ledger: &'l Ledger,
    parts: i64,
    /// What no run has noted yet.
    tail: HashMap<i64, BTreeSet<i64>>,
}

impl Ledger {
    /// Notes which entries speak of what, for [`Ledger::trace_message`]: those that were written since the last time. Says how
    /// many entries were read. A run does it when it ends.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn index_mentions(&mut self) -> Result<u64, Error> {
        let mut read = 0;
        loop {
            let from = self.mentions_mark(UNTIL)?;
            let Read { words, until, entries } = self.words_after(from, WORDS_PER_COMMIT)?;
            read += entries;
            if entries == 0 {
                return Ok(read);
            }
            self.write("note which entries speak of whom", |transaction| {
                let known = |name: &str| -> rusqlite::Result<i64> {
                    let sql = "select bytes from mark where name = ?1";
                    Ok(transaction.query_row(sql, [name], |row| row.get(0)).optional()?.unwrap_or(0))
                };
                let (mut part, mut rows) = (known(PART)?.max(1), known(ROWS)?);
                if rows >= ROWS_PER_PART {
                    (part, rows) = (part.saturating_add(1), 0);
                }
                let sql = "insert or ignore into mention (part, word, entry) values (?1, ?2, ?3)";
                let mut insert = transaction.prepare_cached(sql)?;
                for (word, entry) in &words {
                    insert.execute(params![part, word, entry])?;
                }
                rows = rows.saturating_add(i64::try_from(words.len()).unwrap_or(i64::MAX));
                let sql = "insert into mark (name, bytes) values (?1, ?2)
                           on conflict (name) do update set bytes = ?2";
                let mut mark = transaction.prepare_cached(sql)?;
                for (name, value) in [(UNTIL, until), (PART, part), (ROWS, rows)] {
                    mark.execute(params![name, value])?;
                }
                Ok(())
            })?;
        }
    }

    /// Begins to look entries up: what is not indexed yet is read now.
    pub(super) fn finder(&self) -> Result<Finder<'_>, Error> {
        let (from, parts) = match self.has_table("mention")? && self.has_table("mark")? {
            true => (self.mentions_mark(UNTIL)?, self.mentions_mark(PART)?),
            false => (0, 0),
        };
        let Read { words, .. } = self.words_after(from, usize::MAX)?;
        let mut tail: HashMap<i64, BTreeSet<i64>> = HashMap::new();
        words.into_iter().for_each(|(word, entry)| {
            tail.entry(word).or_default().insert(entry);
        });
        Ok(Finder { ledger: self, parts, tail })
    }

    fn mentions_mark(&self, name: &str) -> Result<i64, Error> {
        let bytes = self.connection.query_row("select bytes from mark where name = ?1", [name], |row| row.get(0));
        bytes
            .optional()
            .map(Option::unwrap_or_default)
            .map_err(|source| self.failed("read how far the entries are indexed", source))
    }

    /// The words of the entries after one: of so many words, and of the entry that has the last of them.
    fn words_after(&self, from: i64, most: usize) -> Result<Read, Error> {
        let failed = |source| self.failed("read what the entries speak of", source);
        let sql = "select seq, at, run, kind, key, body, prev, hash from entry where seq > ?1 order by seq";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([from]).map_err(failed)?;
        let (mut words, mut until, mut count) = (Vec::new(), from, 0);
        let mut seen = HashSet::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let entry = Entry::from_row(row).map_err(failed)?;
            each_word(&entry, &mut seen, |word| words.push((word, entry.seq)));
            (until, count) = (entry.seq, count + 1);
            if words.len() >= most {
                break;
            }
        }
        words.sort_unstable();
        words.dedup();
        Ok(Read { words, until, entries: count })
    }
}

impl Finder<'_> {
    /// The numbers of the entries that speak of something, in their order. Another thing may share its first bits: who
    /// reads the entries sees whether they are meant.
    pub(super) fn entries(&self, of: &str) -> Result<BTreeSet<i64>, Error> {
        let failed = |source| self.ledger.failed("look entries up", source);
        let word = word(of);
        let mut found = self.tail.get(&word).cloned().unwrap_or_default();
        let sql = "select entry from mention where part = ?1 and word = ?2";
        let mut select = match self.parts {
            0 => return Ok(found),
            _ => self.ledger.connection.prepare_cached(sql).map_err(failed)?,
        };
        for part in 1..=self.parts {
            let rows = select.query_map([part, word], |row| row.get::<_, i64>(0)).map_err(failed)?;
            for entry in rows {
                found.insert(entry.map_err(failed)?);
            }
        }
        Ok(found)
    }
}

/// What an entry speaks of. The person and the obligation of a message lead to it once, by the first entry that names
/// it in this batch: from there its own key leads on.
fn each_word(entry: &Entry, seen: &mut HashSet<i64>, mut add: impl FnMut(i64)) {
    let body = || serde_json::from_str::<Value>(&entry.body).unwrap_or(Value::Null);
    let text = |line: &Value, name: &str| line.get(name).and_then(Value::as_str).map(word);
    match entry.kind.as_str() {
        RESERVED | RECORDED | SETTLED | ADOPTED => {
            for line in body().get("messages").and_then(Value::as_array).into_iter().flatten() {
                let Some(key) = text(line, "key") else { continue };
                add(key);
                if line.get("subject").is_some() && seen.insert(key) {
                    // A Message-ID is digits of its own and the sender's domain.
                    let names = ["subject", "obligation", "message_id"];
                    names.iter().filter_map(|name| text(line, name)).for_each(&mut add);
                }
            }
        }
        // Of layout 1: one entry for each message.
        "message.recorded" | "message.settled" => {
            add(word(&entry.key));
            let body = body();
            ["subject", "obligation"].iter().filter_map(|name| text(&body, name)).for_each(add);
        }
        obligations::KIND | unsent::KIND => {
            let places: &[usize] = if entry.kind == unsent::KIND { &[0] } else { &[1, 2] };
            for change in body().get("changes").and_then(Value::as_array).into_iter().flatten() {
                places.iter().filter_map(|at| change.get(at).and_then(Value::as_str)).map(word).for_each(&mut add);
            }
        }
        "message.returned" | "preference.set" | "request.noted" | "suppression.lifted" => add(word(&entry.key)),
        "suppression.set" => {
            add(word(&entry.key));
            text(&body(), "message").into_iter().for_each(add);
        }
        "erase.begun" | "erased" | explanations::ERASED | addresses::ERASED => {
            text(&body(), "subject").into_iter().for_each(add)
        }
        prepared::PREPARED => {
            for line in body().get("dossiers").and_then(Value::as_array).into_iter().flatten() {
                [0, 1, 2].iter().filter_map(|at| line.get(at).and_then(Value::as_str)).map(word).for_each(&mut add);
            }
        }
        prepared::REMOVED => {
            let body = body();
            let gone = body.get("dossiers").and_then(Value::as_array).into_iter().flatten();
            gone.filter_map(Value::as_str).map(word).for_each(add);
        }
        decisions::DECIDED | departing::TAKEN_BACK => add(word(&entry.key)),
        kind if kind.starts_with(submissions::KINDS) => add(word(&entry.key)),
        "pull" | "pull.failed" => add(word(&entry.run)),
        _ => {}
    }
}

/// 64 bits of a key: its own, where it is in hexadecimal, and else those of its digest.
fn word(of: &str) -> i64 {
    let own = of.get(..16).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let bits = own.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_else(|| {
        let digest = sha256(of.as_bytes());
        digest.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
    });
    bits.cast_signed()
}
