//! Which preferences and requests there must be, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Entry, Ledger};
use super::suppression::{Cells, compare};

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
        let mut found = compare(ledger, "preference", "preference", preferences, &self.preferences);
        found.extend(compare(ledger, "request", "request", requests, &self.requests));
        found
    }
}
