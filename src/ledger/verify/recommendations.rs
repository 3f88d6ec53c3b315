//! What was recommended to whom, and by which sheet, made again from the entries.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::super::addresses::FORGOTTEN;
use super::super::recommendations::{ERASED, KIND, SHEET};
use super::super::{Entry, Ledger};
use crate::personal::sha256;

/// What the entries say.
#[derive(Debug, Default)]
pub(super) struct Recommendations {
    /// By digest: outcome, the SHA-256 of the sheet, the entry.
    sheets: BTreeMap<String, (String, String, i64)>,
    rows: HashMap<(String, String), Row>,
}

/// A recommendation by its night and obligation.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    subject: String,
    /// The entry of the sheet; 0 where no entry speaks of it.
    sheet: i64,
    recommended: Option<String>,
    explained: String,
    /// SHA-256 of what was weighed; none where nothing was sealed, or it is gone.
    sealed: Option<String>,
    entry: i64,
}

impl Recommendations {
    /// Takes an entry that may speak of recommendations.
    pub(super) fn take(&mut self, entry: &Entry, body: &Value) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match entry.kind.as_str() {
            SHEET => {
                let sheet = (text("outcome"), sha256(text("sheet").as_bytes()), entry.seq);
                self.sheets.insert(entry.key.clone(), sheet);
            }
            KIND => {
                let explained = |place: &Value| {
                    let place = usize::try_from(place.as_u64()?).ok()?;
                    body.get("explained")?.get(place)?.as_str().map(str::to_owned)
                };
                let sheet = self.sheets.get(&text("sheet")).map_or(0, |(.., entry)| *entry);
                for line in body.get("lines").and_then(Value::as_array).into_iter().flatten() {
                    let cell = |at: usize| line.get(at).and_then(Value::as_str).map(str::to_owned);
                    let row = Row {
                        subject: cell(1).unwrap_or_default(),
                        sheet,
                        recommended: cell(2),
                        explained: line.get(3).and_then(explained).unwrap_or_default(),
                        sealed: cell(4),
                        entry: entry.seq,
                    };
                    self.rows.insert((text("as_of"), cell(0).unwrap_or_default()), row);
                }
            }
            ERASED => {
                let gone = text("subject");
                self.rows.values_mut().filter(|row| row.subject == gone).for_each(|row| row.sealed = None);
            }
            FORGOTTEN => {
                // Their term was over: rows and all.
                let before = text("recommendations_before");
                self.rows.retain(|(night, _), _| *night >= before);
            }
            _ => {}
        }
    }

    /// Says where the tables differ from what the entries say.
    pub(super) fn differences(mut self, ledger: &Ledger) -> Vec<String> {
        if self.rows.is_empty() && self.sheets.is_empty() && ledger.has_table("recommendation").is_ok_and(|has| !has) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for compared in [self.compare_sheets(ledger, &mut found), self.compare(ledger, &mut found)] {
            if let Err(error) = compared {
                found.push(format!("what was recommended cannot be read: {error}"));
                return found;
            }
        }
        let mut removed: Vec<&(String, String)> = self.rows.keys().collect();
        removed.sort();
        let gone = |(night, key): &(String, String)| {
            format!("what was recommended about obligation {key} on {night} was removed")
        };
        found.extend(removed.into_iter().map(gone));
        found.extend(self.sheets.keys().map(|digest| format!("the sheet {digest} of options was removed")));
        found
    }

    fn compare_sheets(&mut self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let sql = "select digest, outcome, sheet, entry from option_sheet order by digest";
        let mut select = ledger.connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let digest: String = row.get(0)?;
            let sheet: String = row.get(2)?;
            let actual = (row.get(1)?, sha256(sheet.as_bytes()), row.get(3)?);
            if self.sheets.remove(&digest).as_ref() != Some(&actual) {
                found.push(format!("the sheet {digest} of options is not what the ledger recorded"));
            }
        }
        Ok(())
    }

    fn compare(&mut self, ledger: &Ledger, found: &mut Vec<String>) -> rusqlite::Result<()> {
        let sql = "select night, obligation, subject, sheet, recommended, explained, sealed, entry
                   from recommendation order by night, obligation";
        let mut select = ledger.connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let key: (String, String) = (row.get(0)?, row.get(1)?);
            let sealed: Option<Vec<u8>> = row.get(6)?;
            let actual = Row {
                subject: row.get(2)?,
                sheet: row.get(3)?,
                recommended: row.get(4)?,
                explained: row.get(5)?,
                sealed: sealed.as_deref().map(sha256),
                entry: row.get(7)?,
            };
            let (night, obligation) = &key;
            match self.rows.remove(&key) {
                Some(expected) if expected == actual => {}
                Some(_) => found.push(format!(
                    "what was recommended about obligation {obligation} on {night} is not what the ledger recorded"
                )),
                None => found.push(format!(
                    "something is recommended about obligation {obligation} on {night} but no entry speaks of it"
                )),
            }
        }
        Ok(())
    }
}
