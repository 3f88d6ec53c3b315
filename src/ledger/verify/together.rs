//! Which messages left in one letter, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::outbox::{ADOPTED, RECORDED};
use super::super::{Entry, Ledger};
use super::suppression::{Cells, compare};

/// The letters of several that the entries speak of, by the key of each message in them.
#[derive(Debug, Default)]
pub(super) struct Letters {
    messages: BTreeMap<String, Cells>,
}

impl Letters {
    /// Takes an entry that may speak of them.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        if entry.kind != RECORDED && entry.kind != ADOPTED {
            return;
        }
        for line in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| line.get(name).and_then(Value::as_str);
            let Some(key) = text("key") else { continue };
            // Of what was adopted with its end alone, the journal does not say how it left.
            if entry.kind == ADOPTED && text("subject").is_none() {
                continue;
            }
            match text("message") {
                Some(message) => {
                    let row = vec![Some(message.to_owned()), Some(entry.seq.to_string())];
                    self.messages.insert(key.to_owned(), row);
                }
                None if self.messages.is_empty() => {}
                // It left by itself after all.
                None => drop(self.messages.remove(key)),
            }
        }
    }

    /// Says where the table differs from what the entries say.
    pub(super) fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let sql = "select key, message, cast(entry as text) from together";
        compare(ledger, "letter", "together", sql, &self.messages)
    }
}
