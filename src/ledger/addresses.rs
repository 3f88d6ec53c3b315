//! The address that each message went to, sealed, and for how long what is sealed stays.
//!
//! Whoever has the ledger and not the key of sealing reads no address. The entry of a message has the SHA-256 of the
//! sealed bytes, so that the chain covers them; the bytes stand beside the entries, in their order, and go when the
//! person is erased or the agency's term for them is over. Their digests stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;

use super::{Error, Ledger, MessageKey, MessageState, append};

/// The kind of the entry that says that the addresses of a person were erased.
pub(super) const ERASED: &str = "address.erased";

/// The kind of the entry that says up to which entry sealed things were removed because their term was over.
pub(super) const FORGOTTEN: &str = "sealed.forgotten";

/// Why a message that waited for its old address is dropped, and decided anew.
pub const ADDRESS_CHANGED: &str = "address changed";

/// Makes the table, and the way to the oldest explanations.
pub(super) const TABLES: &str = "
-- Where each message went, sealed; the SHA-256 is in the entry that recorded it. Erasure and retention remove rows.
create table if not exists sealed_address (
    entry integer not null references entry (seq),
    message text not null,
    sealed blob not null,
    primary key (entry, message)
) strict, without rowid;

create index if not exists explanation_by_entry on explanation (entry);
";

/// What was removed because its term was over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Sealed addresses.
    pub addresses: usize,
    /// Sealed explanations.
    pub explanations: usize,
    /// Recommendations, with what was weighed.
    pub recommendations: usize,
}

/// Stores where a message goes, with the entry that records it.
pub(super) fn put(
    transaction: &Transaction<'_>,
    message: &MessageKey,
    sealed: &[u8],
    entry: i64,
) -> rusqlite::Result<()> {
    let sql = "insert into sealed_address (entry, message, sealed) values (?1, ?2, ?3)";
    transaction.prepare_cached(sql)?.execute(params![entry, message.0, sealed]).map(drop)
}

/// The name under which an address is sealed.
pub fn sealed_name(message: &str) -> String {
    format!("address {message}")
}

impl Ledger {
    /// The sealed addresses of a message, by the entries that recorded it: one for each attempt.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn sealed_addresses(
        &self,
        message: &str,
        entries: impl IntoIterator<Item = i64>,
    ) -> Result<BTreeMap<i64, Vec<u8>>, Error> {
        let failed = |source| self.failed("read a sealed address", source);
        if !self.has_table("sealed_address")? {
            return Ok(BTreeMap::new());
        }
        let sql = "select sealed from sealed_address where entry = ?1 and message = ?2";
        let mut select = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut found = BTreeMap::new();
        for entry in entries {
            let sealed = select.query_row(params![entry, message], |row| row.get(0)).optional().map_err(failed)?;
            found.extend(sealed.map(|sealed| (entry, sealed)));
        }
        Ok(found)
    }

    /// Removes the sealed addresses of all messages to a person, by the keyed pseudonym, and says how many there were.
    ///
    /// What is removed is written over in the file. `account` is the system account that asked for it.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn erase_addresses(&mut self, subject: &str, account: &str) -> Result<usize, Error> {
        let mut entries = Vec::new();
        let finder = self.finder()?;
        for key in self.keys_to(subject)? {
            entries.extend(finder.entries(&key)?.into_iter().map(|entry| (entry, key.clone())));
        }
        drop(finder);
        self.write_over("erase sealed addresses", |transaction| {
            let sql = "delete from sealed_address where entry = ?1 and message = ?2";
            let mut addresses = 0;
            for (entry, key) in &entries {
                addresses += transaction.prepare_cached(sql)?.execute(params![entry, key])?;
            }
            if addresses > 0 {
                let body = json!({ "account": account, "addresses": addresses, "subject": subject });
                append(transaction, "-", ERASED, "addresses", &body)?;
            }
            Ok(addresses)
        })
    }

    /// Removes what is sealed with messages of nights before a day: addresses before the first, explanations before
    /// the second, and recommendations with what was weighed before the second, too. From the oldest on: what lies
    /// behind a message that is to stay goes with it, on a later night.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn forget_sealed(&mut self, run: &str, addresses: Date, explanations: Date) -> Result<Forgotten, Error> {
        let addresses_until = self.forgotten_until("sealed_address", addresses)?;
        let explanations_until = self.forgotten_until("explanation", explanations)?;
        let before = explanations.to_string();
        let recommendations_before = self.has_recommended_before(&before)?.then_some(before);
        if addresses_until.is_none() && explanations_until.is_none() && recommendations_before.is_none() {
            return Ok(Forgotten::default());
        }
        self.write_over("remove what is sealed and past its term", |transaction| {
            let remove = |table: &str, until: Option<i64>| match until {
                Some(until) => transaction.execute(&format!("delete from {table} where entry <= ?1"), [until]),
                None => Ok(0),
            };
            let forgotten = Forgotten {
                addresses: remove("sealed_address", addresses_until)?,
                explanations: remove("explanation", explanations_until)?,
                recommendations: match &recommendations_before {
                    Some(before) => transaction.execute("delete from recommendation where night < ?1", [before])?,
                    None => 0,
                },
            };
            let mut body = json!({
                "addresses": forgotten.addresses, "addresses_until": addresses_until,
                "explanations": forgotten.explanations, "explanations_until": explanations_until,
            });
            if let (Some(body), Some(before)) = (body.as_object_mut(), &recommendations_before) {
                body.insert("recommendations".into(), forgotten.recommendations.into());
                body.insert("recommendations_before".into(), before.as_str().into());
            }
            append(transaction, run, FORGOTTEN, "sealed", &body)?;
            Ok(forgotten)
        })
    }

    /// The last of the oldest entries of a table that belong to nights before a day; none where the oldest does not.
    fn forgotten_until(&self, table: &str, first_kept: Date) -> Result<Option<i64>, Error> {
        let failed = |source| self.failed("read how old what is sealed is", source);
        let next = format!("select min(entry) from {table} where entry > ?1");
        let mut next = self.connection.prepare(&next).map_err(failed)?;
        let sql = "select substr(run, 1, 10) < ?2 from entry where seq = ?1";
        let mut is_old = self.connection.prepare(sql).map_err(failed)?;
        let first_kept = first_kept.to_string();
        let mut until = None;
        loop {
            let entry: Option<i64> = next.query_row([until.unwrap_or(0)], |row| row.get(0)).map_err(failed)?;
            let Some(entry) = entry else { return Ok(until) };
            let is_old = is_old.query_row(params![entry, first_kept], |row| row.get(0)).optional().map_err(failed)?;
            if is_old != Some(true) {
                return Ok(until);
            }
            until = Some(entry);
        }
    }

    /// Drops messages that wait for an address which is no longer their person's: those that were reserved, deferred
    /// or uncertain. `now` holds the blind index of today's address by pseudonym and channel, for those who have one.
    /// They are decided anew. Says how many there were.
    ///
    /// Of the items in `left_to_clerk` what is uncertain stays: a clerk decides whether it arrived, wherever it went.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn drop_moved(
        &mut self,
        run: &str,
        now: &HashMap<(String, String), String>,
        left_to_clerk: &BTreeSet<String>,
    ) -> Result<usize, Error> {
        let failed = |source| self.failed("read which messages wait", source);
        let sql = "select key, subject, channel, address, item, state = 'uncertain' from outbox
                   where state in ('reserved', 'deferred', 'uncertain') and address is not null";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        let mut moved = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let (subject, channel): (String, String) = (row.get(1).map_err(failed)?, row.get(2).map_err(failed)?);
            let address: String = row.get(3).map_err(failed)?;
            let (item, is_uncertain): (String, bool) = (row.get(4).map_err(failed)?, row.get(5).map_err(failed)?);
            let is_left = is_uncertain && left_to_clerk.contains(&item);
            if !is_left && now.get(&(subject, channel)).is_some_and(|now| *now != address) {
                moved.push((MessageKey(row.get(0).map_err(failed)?), ADDRESS_CHANGED.to_owned()));
            }
        }
        drop(rows);
        drop(select);
        let waiting = [MessageState::Reserved, MessageState::Deferred, MessageState::Uncertain];
        self.drop_those(run, &moved, &waiting)
    }

    /// Whether any message waits for its address.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn has_waiting(&self) -> Result<bool, Error> {
        let sql = "select exists (select 1 from outbox where state in ('in_flight', 'uncertain', 'deferred'))
                       or exists (select 1 from outbox where state = 'reserved')";
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|source| self.failed("read whether messages wait", source))
    }

    fn keys_to(&self, subject: &str) -> Result<Vec<String>, Error> {
        let failed = |source| self.failed("read the outbox", source);
        let mut select = self.connection.prepare("select key from outbox where subject = ?1").map_err(failed)?;
        let rows = select.query_map([subject], |row| row.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Like [`Ledger::write`]; what is removed is written over in the file, and does not stay in the log beside it.
    pub(super) fn write_over<T>(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        self.over(doing, |ledger| ledger.write(doing, act))
    }

    /// Does something so that what it removes is written over in the file, and does not stay in the log beside it.
    pub(super) fn over<T>(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&mut Ledger) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let set = |ledger: &Ledger, is_on: bool| {
            let set = ledger.connection.pragma_update(None, "secure_delete", is_on);
            set.map_err(|source| ledger.failed(doing, source))
        };
        set(self, true)?;
        let done = act(self);
        set(self, false)?;
        // A reader at work keeps the log from being emptied; the next one does it.
        let emptied = self.connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()));
        emptied.map_err(|source| self.failed(doing, source))?;
        done
    }
}
