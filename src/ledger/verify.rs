//! Finds any changed, removed or reordered entry, and names it.

mod addresses;
mod breakers;
mod dossiers;
mod explanation;
mod life;
mod messages;
mod preferences;
mod recommendations;
mod released;
mod since;
mod submissions;
mod suppression;
mod together;
mod unsent;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::{Entry, Error, Head, Ledger};
use crate::fault::{Fault, Place};
use crate::personal::{hex, sha256};

pub use since::{Before, verify_before_run};

/// What [`verify`] found.
#[derive(Debug)]
pub struct Verified {
    /// Number and hash of the newest entry.
    pub head: Head,
    /// How many entries were read.
    pub entries: u64,
    /// Everything that is wrong; empty when the ledger is sound.
    pub faults: Vec<Fault>,
}

/// Reads the whole ledger in `state` and compares everything with everything.
pub fn verify(state: &Path) -> Result<Verified, Error> {
    let ledger = Ledger::read(state)?;
    let mut faults = Vec::new();
    let fault = |what: String| Fault::new("ledger.broken", Place::file(ledger.path()), what, NEXT);
    match file_faults(&ledger) {
        Ok(found) => faults.extend(found.into_iter().map(fault)),
        // What cannot be read at all says nothing about its entries and tables.
        Err(what) => {
            faults.push(fault(what));
            return Ok(Verified { head: Head { seq: 0, hash: hex(&[0; 32]) }, entries: 0, faults });
        }
    }
    let mut tables = Projection::default();
    // One look at everything: a person may refuse while the ledger is read.
    let snapshot = ledger.connection.unchecked_transaction();
    if let Err(error) = &snapshot {
        faults.push(fault(format!("the file cannot be read as it is at one moment: {error}")));
    }
    let (head, entries) = walk(&ledger, (0, vec![0; 32]), &mut tables, &mut |what| faults.push(fault(what)));
    for what in definition_faults(&ledger, &tables) {
        faults.push(fault(what));
    }
    for what in tables.differences(&ledger) {
        faults.push(fault(what));
    }
    if let Some(what) = anchor_fault(&ledger, &head) {
        faults.push(fault(what));
    }
    Ok(Verified { head, entries, faults })
}

const NEXT: &str = "keep this file as evidence, find out who changed it, and restore the newest backup that verifies";

/// SQLite's own check: pages, indexes, records. An error where the file is no database that could be checked.
fn file_faults(ledger: &Ledger) -> Result<Vec<String>, String> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut select = ledger.connection.prepare("pragma integrity_check(20)")?;
        select.query_map([], |row| row.get::<_, String>(0))?.collect()
    };
    match check() {
        Ok(lines) if lines == ["ok"] => Ok(Vec::new()),
        Ok(lines) => Ok(lines.into_iter().map(|line| format!("the file is damaged: {}", one_line(&line))).collect()),
        Err(error) => Err(format!("the file is damaged: {error}")),
    }
}

/// The tables, indexes and triggers must be those of the schema: a missing trigger took the lock off the entries.
///
/// A ledger that was begun before obligations were followed, or explanations stored, gets their tables when it is
/// next written.
fn definition_faults(ledger: &Ledger, tables: &Projection) -> Vec<String> {
    let names = |connection: &Connection| -> rusqlite::Result<BTreeSet<String>> {
        let mut select = connection.prepare("select type || ' ' || name from sqlite_schema where sql is not null")?;
        select.query_map([], |row| row.get(0))?.collect()
    };
    let expected = || {
        let empty = Connection::open_in_memory()?;
        let mut texts = super::TABLES.iter();
        texts.by_ref().take(CORE).try_for_each(|text| empty.execute_batch(text))?;
        let first = names(&empty)?;
        texts.try_for_each(|text| empty.execute_batch(text))?;
        Ok::<_, rusqlite::Error>((first, names(&empty)?))
    };
    match (expected(), names(&ledger.connection)) {
        (Ok((first, expected)), Ok(actual)) => {
            let may_be_missing = |name: &&String| {
                (tables.lives.is_empty() && life::TABLES.contains(&name.as_str()))
                    || (tables.explanations.is_empty() && *name == explanation::TABLE)
                    || (tables.layout == Some(1) && LAYOUT_2.contains(&name.as_str()))
                    // What later parts keep is made when the ledger is next opened for writing.
                    || !first.contains(*name)
            };
            let missing = expected
                .difference(&actual)
                .filter(|name| !may_be_missing(name))
                .map(|name| format!("the {name} is missing"));
            let foreign = actual.difference(&expected).map(|name| format!("the {name} was added"));
            missing.chain(foreign).collect()
        }
        (Err(error), _) | (_, Err(error)) => vec![format!("the definitions of the tables cannot be read: {error}")],
    }
}

/// How many of the texts that make tables are as old as the layout.
const CORE: usize = 2;

/// What layout 1 had not.
const LAYOUT_2: [&str; 2] = ["table lease", "table mark"];

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads every entry after the one of this number and hash, in order, and checks number, link and hash of each.
fn walk(
    ledger: &Ledger,
    (after, hash): (i64, Vec<u8>),
    tables: &mut Projection,
    report: &mut dyn FnMut(String),
) -> (Head, u64) {
    let mut last = Entry {
        seq: after,
        at: String::new(),
        run: String::new(),
        kind: String::new(),
        key: String::new(),
        body: String::new(),
        prev: Vec::new(),
        hash,
    };
    // A ledger that somebody changed may have entries before the first.
    let first = if after == 0 { i64::MIN } else { after.saturating_add(1) };
    let mut count = 0;
    let mut read = || -> rusqlite::Result<()> {
        let sql = "select seq, at, run, kind, key, body, prev, hash from entry where seq >= ?1 order by seq";
        let mut select = ledger.connection.prepare(sql)?;
        let mut rows = select.query([first])?;
        while let Some(row) = rows.next()? {
            count += 1;
            let seq: i64 = row.get(0)?;
            let expected = last.seq.saturating_add(1);
            let entry = match Entry::from_row(row) {
                Ok(entry) => entry,
                Err(error) => {
                    report(format!("entry {seq} cannot be read: {error}"));
                    last.seq = seq.max(last.seq);
                    last.hash = row.get(7).unwrap_or_default();
                    continue;
                }
            };
            if seq < 1 {
                report(format!("{} was changed: numbers begin with 1", entry.name()));
                continue;
            }
            if seq > expected {
                report(match seq - expected {
                    1 => format!("entry {expected} was removed"),
                    _ => format!("entries {expected} to {} were removed", seq - 1),
                });
            } else if entry.prev != last.hash {
                report(format!(
                    "{} does not follow the entry before it: one of the two was changed or moved",
                    entry.name()
                ));
            }
            if entry.hash != entry.expected_hash() {
                report(format!("{} was changed", entry.name()));
            }
            tables.addresses.take(ledger, &entry);
            tables.take(&entry);
            last = entry;
        }
        Ok(())
    };
    if let Err(error) = read() {
        report(format!("the entries after number {} cannot be read: {error}", last.seq));
    }
    (Head { seq: last.seq, hash: hex(&last.hash) }, count)
}

/// Entries cut off the end leave a chain that is sound but shorter than the head noted beside it.
pub(super) fn anchor_fault(ledger: &Ledger, head: &Head) -> Option<String> {
    let path = ledger.path().with_extension("head");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Some("the head that was noted beside it, ledger.head, was removed".into());
        }
        Err(error) => return Some(format!("the noted head cannot be read: {error}")),
    };
    let Some(noted) = Head::parse(&text) else { return Some("the noted head is not a number and a hash".into()) };
    if noted.seq > head.seq {
        return Some(format!("entries {} to {} were removed from the end", head.seq.saturating_add(1), noted.seq));
    }
    let hash: Result<Vec<u8>, _> =
        ledger.connection.query_row("select hash from entry where seq = ?1", [noted.seq], |row| row.get(0));
    match hash {
        Ok(hash) if hex(&hash) == noted.hash => None,
        Ok(_) => Some(format!("entry {} is not the one that was noted as the newest", noted.seq)),
        Err(_) if noted.seq == 0 => None,
        Err(error) => Some(format!("entry {}, noted as the newest, cannot be read: {error}", noted.seq)),
    }
}

/// A row: its columns, as text; none where null.
type Row = BTreeMap<&'static str, Option<String>>;

/// A table made from the entries: what a row of it is called, what names the row, and what is compared.
struct Shape {
    noun: &'static str,
    table: &'static str,
    key: &'static str,
    columns: &'static [&'static str],
}

const SHAPES: [Shape; 4] = [
    Shape { noun: "setting", table: "meta", key: "name", columns: &["value"] },
    Shape {
        noun: "release",
        table: "release",
        key: "release_id || ' ' || attempt",
        columns: &["period", "spec_id", "policy", "rho", "state", "draws", "entry"],
    },
    Shape { noun: "publication", table: "publication", key: "period", columns: &["files", "entry"] },
    Shape {
        noun: "run",
        table: "run",
        key: "run",
        columns: &["as_of", "started_at", "finished_at", "outcome", "summary", "entry"],
    },
];

/// Settings, releases, publications and runs, made again from the entries.
#[derive(Debug, Default)]
struct Projection {
    rows: BTreeMap<(&'static str, String), Row>,
    /// There may be millions of obligations: they are kept otherwise.
    lives: life::Lives,
    messages: messages::Messages,
    /// The layout of the tables, as the runs say; the first version said nothing.
    layout: Option<i64>,
    explanations: explanation::Explanations,
    suppressions: suppression::Suppressions,
    stops: breakers::Stops,
    letters: together::Letters,
    preferences: preferences::Preferences,
    unsent: unsent::Unsent,
    addresses: addresses::Addresses,
    exact: released::Exact,
    submissions: submissions::Submissions,
    dossiers: dossiers::Dossiers,
    recommendations: recommendations::Recommendations,
}

impl Projection {
    fn take(&mut self, entry: &Entry) {
        let body: Value = serde_json::from_str(&entry.body).unwrap_or(Value::Null);
        if self.lives.take(entry, &body) || self.unsent.take(entry, &body) || self.dossiers.take(entry, &body) {
            return;
        }
        self.explanations.take(entry, &body);
        self.suppressions.take(entry, &body);
        self.stops.take(entry, &body);
        self.letters.take(entry, &body);
        self.exact.take(entry, &body);
        self.recommendations.take(entry, &body);
        self.submissions.take(entry, &body);
        if self.messages.take(entry, &body) {
            return;
        }
        self.preferences.take(entry, &body);
        let text =
            |name: &str| body.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let json = |name: &str| body.get(name).map(Value::to_string);
        let word = |word: &str| Some(word.to_owned());
        let number = Some(entry.seq.to_string());
        let release = || format!("{} {}", entry.key, text("attempt").unwrap_or_default());
        match entry.kind.as_str() {
            "release.reserved" => {
                let mut row: Row = ["period", "spec_id", "policy", "rho"].map(|name| (name, text(name))).into();
                row.extend([("state", word("reserved")), ("draws", None), ("entry", number)]);
                self.rows.insert(("release", release()), row);
            }
            "release.drawn" => {
                let row = self.rows.entry(("release", release())).or_default();
                row.extend([("state", word("drawn")), ("draws", text("sha256")), ("entry", number)]);
            }
            "release.published" => {
                let row = [("files", json("files")), ("entry", number)].into();
                self.rows.insert(("publication", entry.key.clone()), row);
                let ids: BTreeSet<&str> = body
                    .get("releases")
                    .and_then(Value::as_array)
                    .map(|ids| ids.iter().filter_map(Value::as_str).collect())
                    .unwrap_or_default();
                for ((noun, key), row) in &mut self.rows {
                    let is_meant = *noun == "release" && key.split(' ').next().is_some_and(|id| ids.contains(id));
                    if is_meant && row.get("state") == Some(&word("drawn")) {
                        row.insert("state", word("published"));
                    }
                }
            }
            "ledger.migrated" => self.layout = body.get("to").and_then(Value::as_i64),
            "run.started" => {
                self.layout = Some(body.get("layout").and_then(Value::as_i64).unwrap_or(1));
                let row = [
                    ("as_of", text("as_of")),
                    ("started_at", word(&entry.at)),
                    ("finished_at", None),
                    ("outcome", None),
                    ("summary", None),
                    ("entry", number),
                ];
                self.rows.insert(("run", entry.key.clone()), row.into());
                self.rows.insert(("setting", "agency".into()), [("value", text("agency"))].into());
            }
            "run.finished" => {
                let row = self.rows.entry(("run", entry.key.clone())).or_default();
                row.extend([("finished_at", word(&entry.at)), ("outcome", text("outcome"))]);
                row.extend([("summary", json("summary")), ("entry", number)]);
            }
            _ => {}
        }
    }

    /// Says where the tables beside the entries differ from what the entries say.
    fn differences(mut self, ledger: &Ledger) -> Vec<String> {
        let mut found = Vec::new();
        // Before the first run no entry says which layout it has.
        let layout = self.layout.unwrap_or(super::SCHEMA_VERSION);
        let version = [("value", Some(layout.to_string()))].into();
        self.rows.insert(("setting", "schema_version".into()), version);
        found.extend(std::mem::take(&mut self.messages).differences(ledger, layout));
        found.extend(std::mem::take(&mut self.lives).differences(ledger));
        found.extend(std::mem::take(&mut self.explanations).differences(ledger));
        found.extend(self.suppressions.differences(ledger));
        found.extend(self.stops.differences(ledger));
        found.extend(self.letters.differences(ledger));
        found.extend(self.preferences.differences(ledger));
        found.extend(self.exact.differences(ledger));
        found.extend(std::mem::take(&mut self.recommendations).differences(ledger));
        found.extend(self.submissions.differences(ledger));
        found.extend(self.unsent.differences(ledger));
        found.extend(std::mem::take(&mut self.dossiers).differences(ledger));
        found.extend(std::mem::take(&mut self.addresses).differences(ledger));
        for shape in &SHAPES {
            match shape.read(ledger) {
                Ok(actual) => self.compare(shape, &actual, &mut found),
                Err(error) => found.push(format!("the table {} cannot be read: {error}", shape.table)),
            }
        }
        found
    }

    fn compare(&self, shape: &Shape, actual: &BTreeMap<String, Row>, found: &mut Vec<String>) {
        let noun = shape.noun;
        let expected: BTreeMap<&String, &Row> =
            self.rows.iter().filter(|((of, _), _)| *of == noun).map(|((_, key), row)| (key, row)).collect();
        let keys: BTreeSet<&String> = expected.keys().copied().chain(actual.keys()).collect();
        for key in keys {
            match (expected.get(key), actual.get(key)) {
                (Some(expected), Some(actual)) => {
                    let differing = shape.columns.iter().filter(|column| expected.get(*column) != actual.get(*column));
                    found.extend(differing.map(|column| match *column {
                        "draws" => format!("what was drawn for release {key} is not what the ledger recorded"),
                        column => format!("the {column} of {noun} {key} is not what its entries say"),
                    }));
                }
                (Some(_), None) => found.push(format!("the state of {noun} {key} was removed")),
                // Before the first run no entry says whose ledger it is.
                (None, _) if noun == "setting" && key == "agency" => {}
                (None, _) => found.push(format!("{noun} {key} has a state but no entry")),
            }
        }
    }
}

impl Shape {
    fn read(&self, ledger: &Ledger) -> rusqlite::Result<BTreeMap<String, Row>> {
        let select = format!("select {}, {} from {}", self.key, self.columns.join(", "), self.table);
        let mut select = ledger.connection.prepare(&select)?;
        let rows = select.query_map([], |row| {
            let mut values = Row::new();
            for (index, column) in (1..).zip(self.columns) {
                values.insert(*column, text(row.get_ref(index)?));
            }
            Ok((row.get(0)?, values))
        })?;
        rows.collect()
    }
}

/// A cell as the entries say it: what was drawn is in them by its hash.
fn text(cell: ValueRef<'_>) -> Option<String> {
    match cell {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Some(sha256(bytes)),
    }
}
