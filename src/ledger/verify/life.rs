//! How the obligations stand, made again from the entries, in a few dozen bytes for each.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::obligations::KIND;
use super::super::{Entry, Ledger};

/// The first bytes of the SHA-256 over a whole row.
type Print = [u8; 16];

/// The rows that the entries speak of.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// By the print of item and key, the print of the row.
    rows: HashMap<Print, Print>,
    /// By item: night, run and entry.
    followed: BTreeMap<String, [String; 3]>,
}

/// The tables, as SQLite's schema names them.
pub(super) const TABLES: [&str; 2] = ["table obligation", "table followed"];

impl Lives {
    /// Whether no obligation was ever followed.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.followed.is_empty()
    }

    /// Takes an entry; false when it speaks of something else.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) -> bool {
        if entry.kind != KIND {
            return false;
        }
        let (run, number) = (entry.run.as_str(), entry.seq.to_string());
        for change in body.get("changes").and_then(Value::as_array).into_iter().flatten() {
            let cell = |index: usize| change.get(index).and_then(Value::as_str);
            // Event, key, subject, due date, rule, state, since, fulfilled on; after where it moved from, the unit.
            let row = [cell(2), cell(3), cell(4), cell(5), cell(6), cell(7), cell(10), Some(run), Some(&number)];
            self.rows.insert(print(&[Some(&entry.key), cell(1)]), print(&row));
        }
        let as_of = body.get("as_of").and_then(Value::as_str).unwrap_or_default();
        self.followed.insert(entry.key.clone(), [as_of.to_owned(), entry.run.clone(), number]);
        true
    }

    /// Says where the two tables differ from what the entries say.
    pub(super) fn differences(mut self, ledger: &Ledger) -> Vec<String> {
        let mut found = Vec::new();
        let tables = "select count(*) from sqlite_schema where type || ' ' || name in (?1, ?2)";
        if self.is_empty() && ledger.connection.query_row(tables, TABLES, |row| row.get(0)) == Ok(0) {
            return found;
        }
        if let Err(error) = self.compare(ledger, &mut found) {
            found.push(format!("the table obligation cannot be read: {error}"));
        } else if !self.rows.is_empty() {
            found.push(format!("the state of {} obligations was removed", self.rows.len()));
        }
        match followed(ledger) {
            Ok(actual) if actual == self.followed => {}
            Ok(_) => found.push("the nights until which items were followed are not what the entries say".into()),
            Err(error) => found.push(format!("the table followed cannot be read: {error}")),
        }
        found
    }

    fn compare(&mut self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let unit = ledger.unit_column()?;
        let sql = format!(
            "select item, key, subject, due_on, rule_version, state, since, fulfilled_on, {unit}, run,
                 cast(entry as text)
             from obligation"
        );
        let mut select = ledger.connection.prepare(&sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let cell = |index: usize| row.get_ref(index).ok().and_then(|cell| cell.as_str_or_null().ok().flatten());
            let key = cell(1).unwrap_or_default();
            let actual = [cell(2), cell(3), cell(4), cell(5), cell(6), cell(7), cell(8), cell(9), cell(10)];
            match self.rows.remove(&print(&[cell(0), cell(1)])) {
                Some(expected) if expected == print(&actual) => {}
                Some(_) => found.push(format!("the state of obligation {key} is not what its entries say")),
                None => found.push(format!("obligation {key} has a state but no entry")),
            }
        }
        Ok(())
    }
}

fn followed(ledger: &Ledger) -> rusqlite::Result<BTreeMap<String, [String; 3]>> {
    let mut select = ledger.connection.prepare("select item, as_of, run, cast(entry as text) from followed")?;
    select.query_map([], |row| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?])))?.collect()
}

/// Each part is preceded by its length, so that no two rows give the same bytes; an empty cell is no text.
fn print(parts: &[Option<&str>]) -> Print {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    let mut print = Print::default();
    print.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    print
}
