//! For whom nothing was sent on the newest night, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Entry, Ledger, unsent};

/// Item, reason, night and entry, by obligation.
type Rows = BTreeMap<String, [String; 4]>;

/// What the entries say of each obligation.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    rows: Rows,
}

impl Unsent {
    /// Takes an entry; false when it speaks of something else.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) -> bool {
        if entry.kind != unsent::KIND {
            return false;
        }
        let night = body.get("as_of").and_then(Value::as_str).unwrap_or_default();
        for change in body.get("changes").and_then(Value::as_array).into_iter().flatten() {
            let cell = |at: usize| change.get(at).and_then(Value::as_str).map(str::to_owned);
            let (key, item) = (cell(0).unwrap_or_default(), cell(1).unwrap_or_default());
            match cell(2) {
                Some(reason) => {
                    drop(self.rows.insert(key, [item, reason, night.to_owned(), entry.seq.to_string()]));
                }
                None => drop(self.rows.remove(&key)),
            }
        }
        true
    }

    /// Says where the table differs from what the entries say.
    pub(super) fn differences(&self, ledger: &Ledger) -> Vec<String> {
        if self.rows.is_empty() && ledger.has_table("unsent").is_ok_and(|has| !has) {
            return Vec::new();
        }
        let read = || -> rusqlite::Result<Rows> {
            let sql = "select obligation, item, reason, since, cast(entry as text) from unsent";
            let mut select = ledger.connection.prepare(sql)?;
            select
                .query_map([], |row| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])))?
                .collect()
        };
        let actual = match read() {
            Ok(actual) => actual,
            Err(error) => return vec![format!("the table unsent cannot be read: {error}")],
        };
        let removed = self.rows.keys().filter(|key| !actual.contains_key(*key));
        let mut found: Vec<String> =
            removed.map(|key| format!("why nothing was sent about obligation {key} was removed")).collect();
        found.extend(actual.iter().filter_map(|(key, cells)| match self.rows.get(key) {
            Some(expected) if expected == cells => None,
            Some(_) => Some(format!("why nothing was sent about obligation {key} is not what its entry says")),
            None => Some(format!("why nothing was sent about obligation {key} is there but no entry speaks of it")),
        }));
        found
    }
}
