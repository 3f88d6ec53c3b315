//! Which reports and suppressions there must be, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Entry, Ledger};

/// A row as text, its columns in order.
pub(super) type Cells = Vec<Option<String>>;

/// The reports and suppressions that the entries speak of.
#[derive(Debug, Default)]
pub(super) struct Suppressions {
    returned: BTreeMap<String, Cells>,
    suppressed: BTreeMap<String, Cells>,
}

impl Suppressions {
    /// Takes an entry that may speak of them.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let known = |name: &str| text(name).unwrap_or_default();
        let seq = Some(entry.seq.to_string());
        match entry.kind.as_str() {
            "message.returned" => {
                let cells = ["verdict", "code", "address", "day"].map(text);
                let row = [Some(entry.key.clone())].into_iter().chain(cells).chain([seq]).collect();
                self.returned.insert(known("report"), row);
            }
            "suppression.set" => {
                let cells = ["reason", "code", "since", "until", "message"].map(text);
                let row = cells.into_iter().chain([seq]).collect();
                self.suppressed.insert(format!("{} {}", entry.key, known("channel")), row);
            }
            "suppression.lifted" => {
                self.suppressed.remove(&format!("{} {}", entry.key, known("channel")));
            }
            _ => {}
        }
    }

    /// Says where the tables differ from what the entries say.
    pub(super) fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let returned = "select report, message, verdict, code, address, day, cast(entry as text) from returned";
        let suppressed = "select address || ' ' || channel, reason, code, since, until, message, cast(entry as text)
                          from suppression";
        let mut found = compare(ledger, "report", "returned", returned, &self.returned);
        found.extend(compare(ledger, "suppression", "suppression", suppressed, &self.suppressed));
        found
    }
}

/// Says where a table differs from what its entries say: the first column of `sql` is the key.
pub(super) fn compare(
    ledger: &Ledger,
    noun: &str,
    table: &str,
    sql: &str,
    expected: &BTreeMap<String, Cells>,
) -> Vec<String> {
    let tables = "select count(*) from sqlite_schema where type = 'table' and name = ?1";
    if expected.is_empty() && ledger.connection.query_row(tables, [table], |row| row.get(0)) == Ok(0) {
        return Vec::new();
    }
    let read = || -> rusqlite::Result<BTreeMap<String, Cells>> {
        let mut select = ledger.connection.prepare(sql)?;
        let columns = select.column_count();
        let rows = select.query_map([], |row| {
            let cells = (1..columns).map(|at| row.get(at)).collect::<Result<Cells, _>>()?;
            Ok((row.get(0)?, cells))
        })?;
        rows.collect()
    };
    let actual = match read() {
        Ok(actual) => actual,
        Err(error) => return vec![format!("the table {table} cannot be read: {error}")],
    };
    let removed = expected.keys().filter(|key| !actual.contains_key(*key));
    let mut found: Vec<String> = removed.map(|key| format!("the {noun} {key} was removed")).collect();
    found.extend(actual.iter().filter_map(|(key, cells)| match expected.get(key) {
        Some(expected) if expected == cells => None,
        Some(_) => Some(format!("the {noun} {key} is not what its entry says")),
        None => Some(format!("the {noun} {key} is there but no entry speaks of it")),
    }));
    found
}
