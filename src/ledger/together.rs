//! Which reminders left in one letter: the rows of the outbox stay one for each reminder, and here stands the
//! Message-ID of the letter that carried several.
//!
//! A row is written with the intent to send, in the same transaction, and taken away when its reminder leaves by
//! itself after all.

use std::collections::HashMap;

use rusqlite::{Transaction, params};

use super::{MessageKey, Record, Settlement};

/// Makes the table.
pub(super) const TABLES: &str = "
-- The letter that carries several messages, by the key of each, made from entries of kind messages.recorded.
create table if not exists together (
    key text primary key,
    message text not null,
    entry integer not null references entry (seq)
) strict, without rowid;
";

/// Writes down which letter carries a message.
pub(super) fn put(transaction: &Transaction<'_>, record: &Record, attempt: i64, entry: i64) -> rusqlite::Result<()> {
    let Some(message) = &record.message else {
        // Only what left before can have left with others.
        if attempt > 1 {
            transaction.prepare_cached("delete from together where key = ?1")?.execute([&record.key.0])?;
        }
        return Ok(());
    };
    transaction.prepare_cached(PUT)?.execute(params![record.key.0, message, entry]).map(drop)
}

/// Writes down which letter carries a message that the journal knows: none where it left by itself.
pub(super) fn adopt(
    transaction: &Transaction<'_>,
    key: &str,
    letter: Option<&str>,
    entry: i64,
) -> rusqlite::Result<()> {
    match letter {
        Some(letter) => transaction.prepare_cached(PUT)?.execute(params![key, letter, entry]).map(drop),
        None => transaction.prepare_cached("delete from together where key = ?1")?.execute([key]).map(drop),
    }
}

const PUT: &str = "
insert into together (key, message, entry) values (?1, ?2, ?3)
on conflict (key) do update set message = ?2, entry = ?3";

/// The letters of this process that are on their way: how the first of their messages ends, all of them end.
#[derive(Debug, Default)]
pub(super) struct Letters {
    others: HashMap<MessageKey, Vec<MessageKey>>,
}

impl Letters {
    /// Remembers a letter of several.
    pub(super) fn left(&mut self, first: &MessageKey, others: Vec<MessageKey>) {
        if !others.is_empty() {
            self.others.insert(first.clone(), others);
        }
    }

    /// The settlements with those of the messages that left in the same letters.
    pub(super) fn of_all(&self, settlements: &[Settlement]) -> Option<Vec<Settlement>> {
        if self.others.is_empty() {
            return None;
        }
        let mut all = settlements.to_vec();
        for settlement in settlements {
            for key in self.others.get(&settlement.key).into_iter().flatten() {
                all.push(Settlement { key: key.clone(), ..settlement.clone() });
            }
        }
        Some(all)
    }

    /// Forgets letters whose end is written down.
    pub(super) fn ended(&mut self, settlements: &[Settlement]) {
        settlements.iter().for_each(|settlement| drop(self.others.remove(&settlement.key)));
    }
}
