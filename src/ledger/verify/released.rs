//! What was decided about exact tables, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Entry, Ledger};
use super::{Row, Shape};

/// The exact tables that the entries speak of, by name and month.
#[derive(Debug, Default)]
pub(super) struct Exact {
    tables: BTreeMap<String, Row>,
}

const SHAPE: Shape = Shape {
    noun: "exact table",
    table: "exact_release",
    key: "name",
    columns: &["period", "table_name", "state", "decision", "files", "entry"],
};

impl Exact {
    /// Takes an entry that may speak of them.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = Some(entry.seq.to_string());
        match entry.kind.as_str() {
            "exact.decided" => {
                let row = [
                    ("period", text("period")),
                    ("table_name", text("table")),
                    ("state", Some("decided".to_owned())),
                    // What was decided is in the entry by its hash.
                    ("decision", text("sha256")),
                    ("files", None),
                    ("entry", number),
                ];
                self.tables.insert(entry.key.clone(), row.into());
            }
            "exact.published" => {
                let row = self.tables.entry(entry.key.clone()).or_default();
                let files = body.get("files").map(Value::to_string);
                row.extend([("state", Some("published".to_owned())), ("files", files), ("entry", number)]);
            }
            _ => {}
        }
    }

    /// Says where the table differs from what the entries say.
    pub(super) fn differences(&self, ledger: &Ledger) -> Vec<String> {
        match ledger.has_table(SHAPE.table) {
            // It is made when a ledger that was begun before it is next opened for writing.
            Ok(false) if self.tables.is_empty() => return Vec::new(),
            _ => {}
        }
        let actual = match SHAPE.read(ledger) {
            Ok(actual) => actual,
            Err(error) => return vec![format!("the table {} cannot be read: {error}", SHAPE.table)],
        };
        let mut found = Vec::new();
        for (name, expected) in &self.tables {
            let Some(actual) = actual.get(name) else {
                found.push(format!("the state of the exact table {name} was removed"));
                continue;
            };
            for column in SHAPE.columns.iter().filter(|column| expected.get(*column) != actual.get(*column)) {
                found.push(match *column {
                    "decision" => {
                        format!("what was decided about the exact table {name} is not what the ledger recorded")
                    }
                    column => format!("the {column} of the exact table {name} is not what its entries say"),
                });
            }
        }
        let foreign = actual.keys().filter(|name| !self.tables.contains_key(*name));
        found.extend(foreign.map(|name| format!("the exact table {name} has a state but no entry")));
        found
    }
}
