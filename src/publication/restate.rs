//! A published table is never rewritten: it is restated beside itself, or withdrawn with a stone in its place.
//!
//! A **restatement** stands in `<period>/restated-<n>/` with the table in its new form, a table of every value that
//! changed with the old value and the new, and the reason. The earlier files stay. A **withdrawal** takes the files of one
//! table away everywhere in its period; what stays says that they were there, what their hashes were, since when they
//! are gone, and why. This module must not know who decides either, nor where the new figures come from.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::csv::{cells, text_cell};
use super::error::Difference;
use super::stock::{self, RESTATEMENT, TOMBSTONE, restated_place};
use super::{Error, Labels, Published, Sheet, checksums, package, shelf, text};
use crate::personal::hex;

/// What is said of a restatement.
#[derive(Debug, Clone, Copy)]
pub struct Restatement<'a> {
    /// The table.
    pub table: &'a str,
    /// Its number in the period, from 1.
    pub number: u32,
    /// Why.
    pub reason: &'a str,
    /// The civil date in Vietnam on which it was decided.
    pub restated_on: jiff::civil::Date,
}

/// A restatement on the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restated {
    /// `2026-10/restated-1`.
    pub place: String,
    /// How many values changed.
    pub changes: usize,
    /// Its files.
    pub published: Published,
}

/// Puts the new form of a table beside its earlier ones.
pub(super) fn restate(
    shelf: &Path,
    sheet: &Sheet,
    restatement: &Restatement<'_>,
    labels: &Labels,
) -> Result<Restated, Error> {
    let period = sheet.folder.clone();
    let before = newest_before(shelf, sheet, restatement.number)?;
    let old_path = shelf.join(&before).join(format!("{}.parquet", sheet.name));
    let old = stock::rows(&old_path)?;
    let changes = changes(sheet, &old)?;
    if changes.is_empty() {
        return Err(Error::NothingChanged { period, table: sheet.name.to_owned() });
    }
    let mut files = BTreeMap::new();
    files.extend(super::table_files(sheet, labels)?.1);
    files.insert(format!("{}.changes.csv", sheet.name), changes_csv(sheet, &changes).into_bytes());
    let place = restated_place(&period, restatement.number);
    let said = json!({
        "format": "chudong.restatement.1",
        "table": sheet.name, "period": period, "number": restatement.number,
        "reason": restatement.reason, "restated_on": restatement.restated_on.to_string(),
        "replaces": before, "changed_values": changes.len(), "changes": format!("{}.changes.csv", sheet.name),
    });
    files.insert(RESTATEMENT.into(), text::json(sheet.name, &said)?.into_bytes());
    checksums::add(&mut files, &place, labels);
    let mut shelving = shelf::Shelving::begin(shelf)?;
    shelving.period(&place, &files)?;
    let published = Published { files: shelving.commit()? };
    Ok(Restated { place, changes: changes.len(), published })
}

/// Where the table stands in its newest form before restatement `number`.
fn newest_before(shelf: &Path, sheet: &Sheet, number: u32) -> Result<String, Error> {
    let stock = stock::read(shelf)?;
    let is_it = |place: &&stock::Place| {
        place.base == sheet.folder
            && place.restated < number
            && place.sheets.iter().any(|known| known.table == sheet.name)
    };
    let newest = stock.places.iter().filter(is_it).max_by_key(|place| place.restated);
    newest
        .map(|place| place.path.clone())
        .ok_or_else(|| Error::NotPublished { period: sheet.period.to_string(), table: sheet.name.to_owned() })
}

/// A value that changed; each part as it stands in a CSV file.
struct Change {
    key: Vec<String>,
    column: String,
    old: String,
    new: String,
}

/// Rows by their keys, each with its values by column.
type Rows = BTreeMap<Vec<String>, BTreeMap<String, String>>;

fn changes(sheet: &Sheet, old: &RecordBatch) -> Result<Vec<Change>, Error> {
    let (old, new) = (rows(sheet, old)?, rows(sheet, &sheet.table)?);
    let none = BTreeMap::new();
    let mut changes = Vec::new();
    let keys: std::collections::BTreeSet<&Vec<String>> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (before, after) = (old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
        let columns: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for column in columns {
            let value = |row: &BTreeMap<String, String>| row.get(column).cloned().unwrap_or_default();
            let (old, new) = (value(before), value(after));
            if old != new {
                changes.push(Change { key: key.clone(), column: text_cell(column), old, new });
            }
        }
    }
    Ok(changes)
}

fn rows(sheet: &Sheet, table: &RecordBatch) -> Result<Rows, Error> {
    let keys = sheet.keys();
    let mut rows = vec![(Vec::new(), BTreeMap::new()); table.num_rows()];
    for (field, array) in table.schema_ref().fields().iter().zip(table.columns()) {
        let is_key = keys.contains(&field.name().as_str());
        let cells = cells(sheet.name, field.name(), array.as_ref())?;
        for ((key, values), cell) in rows.iter_mut().zip(cells) {
            match is_key {
                true => key.push(cell),
                false => drop(values.insert(field.name().clone(), cell)),
            }
        }
    }
    Ok(rows.into_iter().collect())
}

fn changes_csv(sheet: &Sheet, changes: &[Change]) -> String {
    let mut text = format!("{},column,old_value,new_value\r\n", sheet.keys().join(","));
    for change in changes {
        text.push_str(&format!("{},{},{},{}\r\n", change.key.join(","), change.column, change.old, change.new));
    }
    text
}

/// What is said of a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The table.
    pub table: String,
    /// Where it stood: `2026-10`, `2026-10/restated-1`.
    pub place: String,
    /// Why.
    pub reason: String,
    /// The civil date in Vietnam on which it was decided.
    pub withdrawn_on: jiff::civil::Date,
    /// The files of the place as they were recorded before, names and SHA-256.
    pub files: Vec<(String, String)>,
}

/// A withdrawal that was prepared: what will stand in the place, and what will be gone.
#[derive(Debug)]
pub struct Removal {
    place: String,
    gone: Vec<String>,
    written: BTreeMap<String, Vec<u8>>,
    files: Vec<(String, String)>,
}

impl Removal {
    /// What the place will hold, names and SHA-256: what the ledger is told before anything is taken away.
    pub fn files(&self) -> &[(String, String)] {
        &self.files
    }

    /// Takes the files away and puts the stone in their place. Done again, it changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; whatever was done stays done, and doing it again completes it.
    pub fn apply(&self, shelf: &Path) -> Result<(), Error> {
        // The stone first: at no moment is a table gone without a word.
        let mut written: Vec<_> = self.written.iter().collect();
        written.sort_by_key(|(name, _)| !name.ends_with(TOMBSTONE));
        let at = |name: &str| format!("{}/{name}", self.place);
        for (name, bytes) in written {
            shelf::replace(shelf, &at(name), bytes)?;
        }
        self.gone.iter().try_for_each(|name| shelf::remove(shelf, &at(name)))
    }
}

/// Prepares a withdrawal from what was recorded of the place and from its data package on the shelf.
pub(super) fn withdraw(shelf: &Path, withdrawal: &Withdrawal, labels: &Labels) -> Result<Removal, Error> {
    let Withdrawal { table, place, .. } = withdrawal;
    let is_of = |name: &str| {
        name.strip_prefix(table.as_str()).is_some_and(|rest| rest.starts_with('.')) && !name.ends_with(TOMBSTONE)
    };
    let (gone, stay): (Vec<_>, Vec<_>) = withdrawal.files.iter().cloned().partition(|(name, _)| is_of(name));
    if gone.is_empty() {
        return Err(Error::NotPublished { period: place.clone(), table: table.clone() });
    }
    let mut written = BTreeMap::new();
    let stone = json!({
        "format": "chudong.tombstone.1",
        "table": table, "place": place, "reason": withdrawal.reason,
        "withdrawn_on": withdrawal.withdrawn_on.to_string(),
        "files": gone.iter().map(|(name, sha256)| json!({ "name": name, "sha256": sha256 })).collect::<Vec<_>>(),
    });
    written.insert(format!("{table}{TOMBSTONE}"), text::json(table, &stone)?.into_bytes());
    if stay.iter().any(|(name, _)| name == package::NAME) {
        let path = shelf.join(place).join(package::NAME);
        let present = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let lost = || Error::WouldChange { period: place.clone(), file: path.clone(), how: Difference::Content };
        written.insert(package::NAME.into(), package::without(&present, table).ok_or_else(lost)?.into_bytes());
    }
    let hash = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    let is_list = |name: &str| name == checksums::NAME || name == checksums::SIGNATURE;
    let mut files: BTreeMap<String, String> = stay.into_iter().filter(|(name, _)| !is_list(name)).collect();
    files.extend(written.iter().map(|(name, bytes)| (name.clone(), hash(bytes))));
    let lists = checksums::files(&files, place, labels);
    files.extend(lists.iter().map(|(name, bytes)| (name.clone(), hash(bytes))));
    written.extend(lists);
    let mut gone: Vec<String> = gone.into_iter().map(|(name, _)| name).collect();
    // A signature that can no longer be made would be one of an older list.
    if labels.signer.is_none() && withdrawal.files.iter().any(|(name, _)| name == checksums::SIGNATURE) {
        gone.push(checksums::SIGNATURE.into());
    }
    Ok(Removal { place: place.clone(), gone, written, files: files.into_iter().collect() })
}
