//! Which preferences and requests there must be, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Entry, Ledger};

/// A row as text, its columns in order.
type Cells = Vec<Option<String>>;

/// The preferences and requests that the entries speak of.
#[derive(Debug, Default)]
pub(super) struct Preferences {
    preferences: BTreeMap<String, Cells>,
    requests: BTreeMap<String, Cells>,
}

impl Preferences {
    /// Takes an entry that may speak of them.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let known = |name: &str| text(name).unwrap_or_default();
        let seq = Some(entry.seq.to_string());
        match entry.kind.as_str() {
            "preference.set" => {
                let cells = ["stance", "language", "since", "how"].map(text);
                let key = format!("{} {} {}", entry.key, known("item"), known("channel"));
                self.preferences.insert(key, cells.into_iter().chain([seq]).collect());
            }
            "request.noted" => {
                let cells = ["acknowledge_by", "due_on", "acknowledged_on", "done_on"].map(text);
                let scope = ["kind", "item", "channel", "received_on"].map(known).join(" ");
                let key = format!("{} {scope}", entry.key);
                self.requests.insert(key, cells.into_iter().chain([seq]).collect());
            }
            _ => {}
        }
    }

    /// Says where the tables differ from what the entries say.
    pub(super) fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let preferences = "select subject || ' ' || item || ' ' || channel, stance, language, since, how,
                           cast(entry as text) from preference";
        let requests = "select subject || ' ' || kind || ' ' || item || ' ' || channel || ' ' || received_on,
                        acknowledge_by, due_on, acknowledged_on, done_on, cast(entry as text) from request";
        let mut found = compare(ledger, "preference", preferences, &self.preferences);
        found.extend(compare(ledger, "request", requests, &self.requests));
        found
    }
}

fn compare(ledger: &Ledger, table: &str, sql: &str, expected: &BTreeMap<String, Cells>) -> Vec<String> {
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
    let mut found: Vec<String> = removed.map(|key| format!("the {table} {key} was removed")).collect();
    found.extend(actual.iter().filter_map(|(key, cells)| match expected.get(key) {
        Some(expected) if expected == cells => None,
        Some(_) => Some(format!("the {table} {key} is not what its entry says")),
        None => Some(format!("the {table} {key} is there but no entry speaks of it")),
    }));
    found
}
