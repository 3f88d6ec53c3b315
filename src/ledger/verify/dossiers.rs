//! Prepared dossiers, their forms and what people decided, made again from the entries.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::decisions::DECIDED;
use super::super::departing::TAKEN_BACK;
use super::super::prepared::{BASIS, PREPARED, REMOVED};
use super::super::{Entry, Ledger};
use crate::personal::sha256;

/// A dossier by what its entries say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// Subject, obligation, item, day.
    fixed: [String; 4],
    state: String,
    version: String,
    basis: String,
    until: Option<String>,
    entry: i64,
}

/// What the entries say of dossiers.
#[derive(Debug, Default)]
pub(super) struct Dossiers {
    rows: BTreeMap<String, Row>,
    /// By basis: the SHA-256 of its text, and its entry.
    bases: BTreeMap<String, (String, i64)>,
    /// By dossier and place: the SHA-256 of what is sealed, and its entry.
    confirmed: BTreeMap<(String, i64), (String, i64)>,
    /// Dossiers whose confirmation a restored ledger took over: what was shown may not have come with it.
    restored: BTreeSet<String>,
}

impl Dossiers {
    /// Takes an entry; false when it speaks of something else.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) -> bool {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match entry.kind.as_str() {
            BASIS => drop(self.bases.insert(entry.key.clone(), (text("sha256"), entry.seq))),
            PREPARED => self.prepared(entry, body, &text("basis")),
            REMOVED => {
                for dossier in body.get("dossiers").and_then(Value::as_array).into_iter().flatten() {
                    self.forget(dossier.as_str().unwrap_or_default(), &text("state"), entry.seq);
                }
            }
            DECIDED => self.decided(entry, body, &text("state")),
            TAKEN_BACK => self.forget(&entry.key, &text("state"), entry.seq),
            _ => return false,
        }
        true
    }

    fn prepared(&mut self, entry: &Entry, body: &Value, basis: &str) {
        for line in body.get("dossiers").and_then(Value::as_array).into_iter().flatten() {
            let cell = |at: usize| line.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
            let row = Row {
                fixed: [cell(1), cell(2), entry.key.clone(), cell(3)],
                state: "prepared".into(),
                version: cell(4),
                basis: basis.to_owned(),
                until: None,
                entry: entry.seq,
            };
            match self.rows.get_mut(&cell(0)) {
                // What was decided in the meantime stays.
                Some(known) if !["prepared", "postponed"].contains(&known.state.as_str()) => {}
                // So does the day on which the person means to decide.
                Some(known) => *known = Row { state: known.state.clone(), until: known.until.clone(), ..row },
                None => drop(self.rows.insert(cell(0), row)),
            }
        }
    }

    fn decided(&mut self, entry: &Entry, body: &Value, state: &str) {
        let is_restored = body.get("restored").and_then(Value::as_bool) == Some(true);
        if is_restored {
            self.restored(entry, body, state);
        }
        if state == "declined" {
            return self.forget(&entry.key, state, entry.seq);
        }
        if let Some(row) = self.rows.get_mut(&entry.key) {
            row.state = state.to_owned();
            row.until = body.get("until").and_then(Value::as_str).map(str::to_owned);
            row.entry = entry.seq;
        }
        let digests = body.get("confirmed").and_then(Value::as_array).into_iter().flatten();
        for (place, digest) in (0_i64..).zip(digests) {
            let digest = digest.as_str().unwrap_or_default().to_owned();
            self.confirmed.insert((entry.key.clone(), place), (digest, entry.seq));
        }
    }

    /// A decision that a restored ledger took over: it may be about a dossier or a version that the ledger did not know.
    fn restored(&mut self, entry: &Entry, body: &Value, state: &str) {
        let of = |name: &str| {
            let cell = body.get("whose").and_then(|whose| whose.get(name)).and_then(Value::as_str);
            cell.unwrap_or_default().to_owned()
        };
        let version = body.get("version").and_then(Value::as_str).unwrap_or_default();
        let row = self.rows.entry(entry.key.clone()).or_insert_with(|| Row {
            fixed: [of("subject"), of("obligation"), of("item"), of("due_on")],
            state: "prepared".into(),
            version: version.to_owned(),
            basis: of("basis"),
            until: None,
            entry: entry.seq,
        });
        if state == "confirmed" {
            row.version = version.to_owned();
            self.restored.insert(entry.key.clone());
        }
    }

    fn forget(&mut self, dossier: &str, state: &str, seq: i64) {
        if let Some(row) = self.rows.get_mut(dossier) {
            (row.state, row.until, row.entry) = (state.to_owned(), None, seq);
        }
        for place in 0.. {
            if self.confirmed.remove(&(dossier.to_owned(), place)).is_none() {
                return;
            }
        }
    }

    /// Says where the tables differ from what the entries say.
    pub(super) fn differences(mut self, ledger: &Ledger) -> Vec<String> {
        if self.rows.is_empty() && self.bases.is_empty() && ledger.has_table("dossier").is_ok_and(|has| !has) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let compared = self
            .compare(ledger, &mut found)
            .and_then(|()| self.compare_bases(ledger, &mut found))
            .and_then(|()| self.compare_confirmed(ledger, &mut found));
        if let Err(error) = compared {
            found.push(format!("the tables of dossiers cannot be read: {error}"));
            return found;
        }
        found.extend(self.rows.keys().map(|dossier| format!("dossier {dossier} was removed")));
        found.extend(self.bases.keys().map(|basis| format!("the form {basis} of dossiers was removed")));
        let confirmed = self.confirmed.keys();
        found.extend(
            confirmed.map(|(dossier, place)| format!("part {place} of confirmed dossier {dossier} was removed")),
        );
        found
    }

    fn compare(&mut self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let sql = "select dossier, subject, obligation, item, due_on, state, version, basis, until, entry, sealed
                   from dossier";
        let mut select = ledger.connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let dossier: String = row.get(0)?;
            let actual = Row {
                fixed: [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?],
                state: row.get(5)?,
                version: row.get(6)?,
                basis: row.get(7)?,
                until: row.get(8)?,
                entry: row.get(9)?,
            };
            let sealed: Option<Vec<u8>> = row.get(10)?;
            let keeps = ["prepared", "postponed", "confirmed"].contains(&actual.state.as_str());
            let is_sealed = match &sealed {
                Some(sealed) => keeps && sha256(sealed) == actual.version,
                None => !keeps || (actual.state == "confirmed" && self.restored.contains(&dossier)),
            };
            match self.rows.remove(&dossier) {
                Some(expected) if expected != actual => {
                    found.push(format!("how dossier {dossier} stands is not what its entries say"));
                }
                Some(_) if !is_sealed => {
                    found.push(format!("what is sealed of dossier {dossier} is not what the ledger recorded"));
                }
                Some(_) => {}
                None => found.push(format!("dossier {dossier} is there but no entry speaks of it")),
            }
        }
        Ok(())
    }

    fn compare_bases(&mut self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let mut select = ledger.connection.prepare("select basis, body, entry from dossier_basis")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (basis, body, entry): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            match self.bases.remove(&basis) {
                Some((digest, seq)) if digest == sha256(body.as_bytes()) && seq == entry => {}
                Some(_) => found.push(format!("the form {basis} of dossiers is not what the ledger recorded")),
                None => found.push(format!("the form {basis} of dossiers is there but no entry speaks of it")),
            }
        }
        Ok(())
    }

    fn compare_confirmed(&mut self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let mut select = ledger.connection.prepare("select dossier, place, sealed, entry from dossier_confirmed")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (dossier, place): (String, i64) = (row.get(0)?, row.get(1)?);
            let (sealed, entry): (Vec<u8>, i64) = (row.get(2)?, row.get(3)?);
            let what = format!("part {place} of confirmed dossier {dossier}");
            match self.confirmed.remove(&(dossier, place)) {
                Some((digest, seq)) if digest == sha256(&sealed) && seq == entry => {}
                Some(_) => found.push(format!("{what} is not what the ledger recorded")),
                None => found.push(format!("{what} is there but no entry speaks of it")),
            }
        }
        Ok(())
    }
}
