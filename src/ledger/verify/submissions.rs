//! Which dossiers there must be on their way, made again from the entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Entry, Ledger};
use super::suppression::{Cells, compare};
use crate::personal::sha256;

/// The dossiers that the entries speak of.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    rows: BTreeMap<String, Row>,
}

#[derive(Debug, Default)]
struct Row {
    /// Item, obligation, subject, day.
    of: [Option<String>; 4],
    stage: &'static str,
    number: Option<String>,
    code: Option<String>,
    status: Option<String>,
    filed_on: Option<String>,
    outcome: Option<String>,
    words: Option<String>,
    entry: i64,
}

impl Submissions {
    /// Takes an entry that may speak of them.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        let Some(event) = entry.kind.strip_prefix("submission.") else { return };
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        if event == "erased" {
            return self.erase(text("subject"));
        }
        if let Some(stage) = ["announced", "held", "withdrawn"].into_iter().find(|stage| *stage == event) {
            let of = ["item", "obligation", "subject", "due_on"].map(text);
            let row = self.rows.entry(entry.key.clone()).or_default();
            (row.of, row.stage, row.entry) = (of, stage, entry.seq);
            if stage != "announced" {
                row.code = text("code");
            }
            return;
        }
        // Printing changes nothing.
        let Some(row) = self.rows.get_mut(&entry.key).filter(|_| event != "printed") else { return };
        row.entry = entry.seq;
        match event {
            "numbered" => row.number = text("number"),
            "filed" => {
                row.stage = "filed";
                (row.number, row.filed_on) = (text("number"), text("day"));
            }
            "refused" => {
                row.stage = "refused";
                row.code = text("code");
            }
            "again" => {
                // For what a clerk let leave, it is not held again.
                row.code = row.code.take().filter(|_| row.stage == "held");
                row.stage = "waiting";
            }
            "released" => (row.stage, row.code) = ("waiting", None),
            "status" => {
                row.status = body.get("status").and_then(Value::as_u64).map(|status| status.to_string());
                (row.outcome, row.words) = (text("outcome"), text("words"));
                if row.outcome.is_some() {
                    row.stage = "ended";
                }
            }
            _ => {}
        }
    }

    fn erase(&mut self, subject: Option<String>) {
        self.rows.values_mut().filter(|row| row.of.get(2) == Some(&subject)).for_each(|row| row.words = None);
    }

    /// Says where the table differs from what the entries say.
    pub(super) fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let sql = "select dossier, item, obligation, subject, due_on, stage, number, code, cast(status as text),
                          filed_on, outcome, cast(entry as text) from submission";
        let expected: BTreeMap<String, Cells> = self.rows.iter().map(|(key, row)| (key.clone(), row.cells())).collect();
        let mut found = compare(ledger, "dossier", "submission", sql, &expected);
        if found.is_empty() && !self.rows.is_empty() {
            found.extend(self.words(ledger));
        }
        found
    }

    /// What the portal wrote has the digest that its entry says.
    fn words(&self, ledger: &Ledger) -> Vec<String> {
        let read = || -> rusqlite::Result<BTreeMap<String, Option<Vec<u8>>>> {
            let mut select = ledger.connection.prepare("select dossier, words from submission")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let actual = match read() {
            Ok(actual) => actual,
            Err(error) => return vec![format!("the table submission cannot be read: {error}")],
        };
        let differs = |dossier: &String, row: &Row| {
            let words = actual.get(dossier).and_then(Option::as_deref).map(sha256);
            (words != row.words)
                .then(|| format!("what the portal wrote about dossier {dossier} is not what its entry says"))
        };
        self.rows.iter().filter_map(|(dossier, row)| differs(dossier, row)).collect()
    }
}

impl Row {
    fn cells(&self) -> Cells {
        let stage = Some(self.stage.to_owned());
        let rest = [&self.number, &self.code, &self.status, &self.filed_on, &self.outcome];
        let entry = Some(self.entry.to_string());
        self.of.iter().cloned().chain([stage]).chain(rest.into_iter().cloned()).chain([entry]).collect()
    }
}
