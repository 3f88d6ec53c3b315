//! Which sealed addresses there must be: each entry's are compared as the entry is read.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::super::addresses::{ERASED, FORGOTTEN};
use super::super::outbox::RECORDED;
use super::super::{Entry, Ledger};
use crate::personal::sha256;

/// What was found of the sealed addresses so far.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Rows that are not there, in the order of their entries: entry, message and pseudonym. A later entry may say why.
    missing: VecDeque<(i64, String, String)>,
    /// Rows that are there and should be.
    present: i64,
    faults: Vec<String>,
    has_any: bool,
}

impl Addresses {
    /// Takes an entry that may speak of addresses.
    pub(super) fn take(&mut self, ledger: &Ledger, entry: &Entry) {
        let body = || serde_json::from_str::<Value>(&entry.body).unwrap_or(Value::Null);
        match entry.kind.as_str() {
            // Reading the body twice costs more than looking whether there is an address in it.
            RECORDED if entry.body.contains("\"sealed_address\"") => self.recorded(ledger, entry.seq, &body()),
            ERASED => {
                let body = body();
                let gone = body.get("subject").and_then(Value::as_str).unwrap_or_default();
                self.missing.retain(|(_, _, subject)| subject != gone);
            }
            FORGOTTEN => {
                let until = body().get("addresses_until").and_then(Value::as_i64).unwrap_or(0);
                while self.missing.front().is_some_and(|(entry, ..)| *entry <= until) {
                    self.missing.pop_front();
                }
            }
            _ => {}
        }
    }

    fn recorded(&mut self, ledger: &Ledger, seq: i64, body: &Value) {
        self.has_any = true;
        let mut actual = match read(ledger, seq) {
            Ok(actual) => actual,
            Err(error) => {
                self.faults.push(format!("the sealed addresses of entry {seq} cannot be read: {error}"));
                return;
            }
        };
        for line in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| line.get(name).and_then(Value::as_str);
            let (Some(digest), Some(key)) = (text("sealed_address"), text("key")) else { continue };
            match actual.remove(key) {
                Some(sealed) => {
                    self.present += 1;
                    if sealed != digest {
                        self.faults
                            .push(format!("the sealed address of message {key} is not what the ledger recorded"));
                    }
                }
                None => {
                    let subject = text("subject").unwrap_or_default().to_owned();
                    self.missing.push_back((seq, key.to_owned(), subject));
                }
            }
        }
    }

    /// Says where the table differs from what the entries say.
    pub(super) fn differences(self, ledger: &Ledger) -> Vec<String> {
        let mut found = self.faults;
        let has_table = ledger.has_table("sealed_address").unwrap_or(true);
        if !has_table && !self.has_any {
            return found;
        }
        found.extend(
            self.missing.into_iter().map(|(_, key, _)| format!("the sealed address of message {key} was removed")),
        );
        let count = ledger.connection.query_row("select count(*) from sealed_address", [], |row| row.get::<_, i64>(0));
        match count {
            Ok(count) if count > self.present => {
                found.push(format!("{} sealed addresses are there but no entry speaks of them", count - self.present));
            }
            Ok(_) => {}
            Err(error) => found.push(format!("the table sealed_address cannot be read: {error}")),
        }
        found
    }
}

/// The digests of the sealed addresses of an entry, by message.
fn read(ledger: &Ledger, seq: i64) -> rusqlite::Result<BTreeMap<String, String>> {
    let sql = "select message, sealed from sealed_address where entry = ?1";
    let mut select = ledger.connection.prepare_cached(sql)?;
    let rows = select.query_map([seq], |row| Ok((row.get(0)?, sha256(&row.get::<_, Vec<u8>>(1)?))))?;
    rows.collect()
}
