//! What there must be that is stopped, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Entry, Ledger};
use super::suppression::{Cells, compare};

/// The stops that the entries speak of.
#[derive(Debug, Default)]
pub(super) struct Stops {
    stopped: BTreeMap<String, Cells>,
}

impl Stops {
    /// Takes an entry that may speak of them.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        match entry.kind.as_str() {
            "breaker.stopped" => {
                let text = |name: &str| {
                    body.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                };
                let cells = ["reason", "sent", "refused", "at"].map(text);
                let ends = [Some(entry.run.clone()), Some(entry.seq.to_string())];
                self.stopped.insert(entry.key.clone(), cells.into_iter().chain(ends).collect());
            }
            "breaker.lifted" => {
                self.stopped.remove(&entry.key);
            }
            _ => {}
        }
    }

    /// Says where the table differs from what the entries say.
    pub(super) fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let sql = "select scope, reason, cast(sent as text), cast(refused as text), at, run, cast(entry as text)
                   from breaker";
        compare(ledger, "stop", "breaker", sql, &self.stopped)
    }
}
