//! The outbox, made again from the entries, in a few dozen bytes for each message.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::outbox::{ADOPTED, RECORDED, RESERVED, SETTLED};
use super::super::{Entry, Ledger};

/// The first bytes of the SHA-256 over some cells.
type Print = [u8; 16];

/// What the entries say of one message.
#[derive(Debug, Default, PartialEq)]
struct Known {
    /// Subject, obligation, item, stage, channel, Message-ID: as they were first written.
    fixed: Print,
    /// Address and last day, as they were last written.
    going: Print,
    /// State, run and entry.
    state: Print,
    /// Reason, and when it may be tried again. Layout 1 did not keep them.
    why: Print,
    attempts: i64,
}

/// The messages that the entries speak of.
#[derive(Debug, Default)]
pub(super) struct Messages {
    rows: HashMap<String, Known>,
}

impl Messages {
    /// Takes an entry; false when it speaks of something else.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) -> bool {
        match entry.kind.as_str() {
            // Of layout 1: one entry for each message.
            "message.recorded" => self.put(entry, &entry.key, body, "in_flight"),
            "message.settled" => self.end(entry, &entry.key, body),
            RESERVED => each(body, |key, line| self.put(entry, key, line, "reserved")),
            RECORDED => each(body, |key, line| self.put(entry, key, line, "in_flight")),
            SETTLED => each(body, |key, line| self.end(entry, key, line)),
            ADOPTED => each(body, |key, line| {
                if line.get("subject").is_some() && !self.rows.contains_key(key) {
                    self.put(entry, key, line, "in_flight");
                }
                if let Some(known) = self.rows.get_mut(key) {
                    known.attempts = known.attempts.max(attempt(line));
                }
                self.end(entry, key, line);
            }),
            _ => return false,
        }
        true
    }

    fn put(&mut self, entry: &Entry, key: &str, line: &Value, state: &str) {
        let cell = |name: &str| text(line, name);
        let fixed = || {
            let names = ["subject", "obligation", "item", "stage", "channel", "message_id"];
            print(&names.map(cell))
        };
        let known = self.rows.entry(key.to_owned()).or_insert_with(|| Known { fixed: fixed(), ..Known::default() });
        known.going = print(&[cell("address"), cell("valid_until")]);
        known.state = print(&[Some(state.into()), Some(entry.run.clone()), Some(entry.seq.to_string())]);
        known.why = print(&[None, None]);
        known.attempts = known.attempts.max(attempt(line));
    }

    fn end(&mut self, entry: &Entry, key: &str, line: &Value) {
        let cell = |name: &str| text(line, name);
        let known = self.rows.entry(key.to_owned()).or_default();
        known.state = print(&[cell("state"), Some(entry.run.clone()), Some(entry.seq.to_string())]);
        known.why = print(&[cell("reason"), cell("retry_at")]);
    }

    /// Says where the table differs from what the entries say; `layout` is that of the ledger.
    pub(super) fn differences(mut self, ledger: &Ledger, layout: i64) -> Vec<String> {
        let mut found = Vec::new();
        if let Err(error) = self.compare(ledger, layout, &mut found) {
            found.push(format!("the table outbox cannot be read: {error}"));
            return found;
        }
        let mut removed: Vec<&String> = self.rows.keys().collect();
        removed.sort();
        found.extend(removed.into_iter().map(|key| format!("the state of message {key} was removed")));
        found
    }

    /// Says where the rows of the messages that were taken differ from what their newest entries say: for a ledger of
    /// this layout, of which the earlier entries were not taken.
    pub(super) fn touched(&self, ledger: &Ledger) -> Vec<String> {
        let mut found = Vec::new();
        if let Err(error) = self.look_up(ledger, &mut found) {
            found.push(format!("the table outbox cannot be read: {error}"));
        }
        found.sort();
        found
    }

    fn look_up(&self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let sql = "select key, subject, obligation, item, cast(stage as text), channel, message_id, state, run,
                          cast(entry as text), address, valid_until, reason, retry_at, attempts
                   from outbox where key = ?1";
        let mut select = ledger.connection.prepare(sql)?;
        for (key, expected) in &self.rows {
            let Some(actual) = select.query_row([key], actual).optional()? else {
                found.push(format!("the state of message {key} was removed"));
                continue;
            };
            // What ended without having been recorded since says nothing of what was recorded before.
            let was_put = expected.fixed != Print::default();
            let is_same = expected.state == actual.state
                && expected.why == actual.why
                && (!was_put || (expected.fixed == actual.fixed && expected.going == actual.going))
                && expected.attempts <= actual.attempts;
            if !is_same {
                found.push(format!("the state of message {key} is not what its entries say"));
            }
        }
        Ok(())
    }

    fn compare(&mut self, ledger: &Ledger, layout: i64, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let newer = if layout == 1 { "null, null, null, null" } else { "address, valid_until, reason, retry_at" };
        let sql = format!(
            "select key, subject, obligation, item, cast(stage as text), channel, message_id,
                    state, run, cast(entry as text), {newer}, attempts
             from outbox order by key"
        );
        let mut select = ledger.connection.prepare(&sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            let actual = actual(row)?;
            match self.rows.remove(&key) {
                None => found.push(format!("message {key} has a state but no entry")),
                Some(expected) => {
                    let differ = [
                        (expected.fixed != actual.fixed, "what is fixed"),
                        (expected.going != actual.going, "the address or the last day"),
                        (expected.state != actual.state, "the state"),
                        (layout > 1 && expected.why != actual.why, "the reason"),
                        (expected.attempts != actual.attempts, "the number of attempts"),
                    ];
                    let differ = differ.into_iter().filter(|(differs, _)| *differs);
                    found
                        .extend(differ.map(|(_, what)| format!("{what} of message {key} is not what its entries say")));
                }
            }
        }
        Ok(())
    }
}

fn actual(row: &Row<'_>) -> rusqlite::Result<Known> {
    let cell = |index: usize| row.get::<_, Option<String>>(index);
    Ok(Known {
        fixed: print(&[cell(1)?, cell(2)?, cell(3)?, cell(4)?, cell(5)?, cell(6)?]),
        state: print(&[cell(7)?, cell(8)?, cell(9)?]),
        going: print(&[cell(10)?, cell(11)?]),
        why: print(&[cell(12)?, cell(13)?]),
        attempts: row.get(14)?,
    })
}

fn each(body: &Value, mut show: impl FnMut(&str, &Value)) {
    for line in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
        show(line.get("key").and_then(Value::as_str).unwrap_or_default(), line);
    }
}

fn attempt(line: &Value) -> i64 {
    line.get("attempt").and_then(Value::as_i64).unwrap_or(0)
}

fn text(line: &Value, name: &str) -> Option<String> {
    line.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Each part is preceded by its length, so that no two rows give the same bytes; an empty cell is no text.
fn print(parts: &[Option<String>]) -> Print {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_ref().map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hash.update(part.as_deref().unwrap_or_default());
    }
    let mut print = Print::default();
    print.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    print
}
