//! Finds any changed, removed or reordered entry, and names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{Entry, Error, Head, Ledger};
use crate::fault::{Fault, Place};
use crate::personal::{hex, sha256};

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
    let was_quiet = !super::has_log(&state.join("ledger.sqlite"));
    let verified = verify_once(state)?;
    if was_quiet && !verified.faults.is_empty() && super::has_log(&state.join("ledger.sqlite")) {
        // A run began while we read: what looked broken may have been half-written.
        return verify_once(state);
    }
    Ok(verified)
}

fn verify_once(state: &Path) -> Result<Verified, Error> {
    let ledger = Ledger::read(state)?;
    let mut faults = Vec::new();
    let fault = |what: String| Fault::new("ledger.broken", Place::file(ledger.path()), what, NEXT);
    for what in file_faults(&ledger) {
        faults.push(fault(what));
    }
    let mut tables = Projection::default();
    let (head, entries) = walk(&ledger, &mut tables, &mut |what| faults.push(fault(what)));
    for what in tables.differences(&ledger) {
        faults.push(fault(what));
    }
    if let Some(what) = anchor_fault(&ledger, &head) {
        faults.push(fault(what));
    }
    Ok(Verified { head, entries, faults })
}

const NEXT: &str = "keep this file as evidence, find out who changed it, and restore the newest backup that verifies";

/// SQLite's own check: pages, indexes, records.
fn file_faults(ledger: &Ledger) -> Vec<String> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut select = ledger.connection.prepare("pragma integrity_check(20)")?;
        select.query_map([], |row| row.get::<_, String>(0))?.collect()
    };
    match check() {
        Ok(lines) if lines == ["ok"] => Vec::new(),
        Ok(lines) => lines.into_iter().map(|line| format!("the file is damaged: {}", one_line(&line))).collect(),
        Err(error) => vec![format!("the file is damaged: {error}")],
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads every entry in order and checks number, link and hash of each.
fn walk(ledger: &Ledger, tables: &mut Projection, report: &mut dyn FnMut(String)) -> (Head, u64) {
    let mut last = Entry {
        seq: 0,
        at: String::new(),
        run: String::new(),
        kind: String::new(),
        key: String::new(),
        body: String::new(),
        prev: Vec::new(),
        hash: vec![0; 32],
    };
    let mut count = 0;
    let mut read = || -> rusqlite::Result<()> {
        let mut select =
            ledger.connection.prepare("select seq, at, run, kind, key, body, prev, hash from entry order by seq")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let entry = match Entry::from_row(row) {
                Ok(entry) => entry,
                Err(error) => {
                    report(format!("the entry after number {} cannot be read: {error}", last.seq));
                    continue;
                }
            };
            count += 1;
            if entry.seq != last.seq + 1 {
                report(match entry.seq - last.seq {
                    2 => format!("entry {} was removed", last.seq + 1),
                    _ => format!("entries {} to {} were removed", last.seq + 1, entry.seq - 1),
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
fn anchor_fault(ledger: &Ledger, head: &Head) -> Option<String> {
    let path = ledger.path().with_extension("head");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && head.seq == 0 => return None,
        // A first run that was killed has not noted a head yet; its entries are still in the chain.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return Some(format!("the noted head cannot be read: {error}")),
    };
    let Some(noted) = Head::parse(&text) else { return Some("the noted head is not a number and a hash".into()) };
    if noted.seq > head.seq {
        return Some(format!("entries {} to {} were removed from the end", head.seq + 1, noted.seq));
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

/// Outbox, releases, publications and runs, made again from the entries.
#[derive(Debug, Default)]
struct Projection {
    outbox: BTreeMap<String, String>,
    releases: BTreeMap<String, String>,
    draws: BTreeMap<String, String>,
    publications: BTreeMap<String, String>,
    runs: BTreeMap<String, String>,
    periods: BTreeMap<String, String>,
}

impl Projection {
    fn take(&mut self, entry: &Entry) {
        let body: Value = serde_json::from_str(&entry.body).unwrap_or(Value::Null);
        let text = |name: &str| {
            body.get(name)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .unwrap_or_default()
        };
        let release = |attempt: &str| format!("{} {attempt}", entry.key);
        match entry.kind.as_str() {
            "message.recorded" => {
                let row = ["subject", "obligation", "item", "stage", "channel", "message_id"].map(text).join(" ");
                self.outbox.insert(entry.key.clone(), format!("{row} in_flight {} {}", text("attempt"), entry.seq));
            }
            "message.settled" => {
                let known = self.outbox.entry(entry.key.clone()).or_default();
                let mut parts: Vec<String> = known.split(' ').map(str::to_owned).collect();
                let attempt = parts.get(parts.len().saturating_sub(2)).cloned().unwrap_or_default();
                parts.truncate(parts.len().saturating_sub(3));
                *known = format!("{} {} {attempt} {}", parts.join(" "), text("state"), entry.seq);
            }
            "release.reserved" => {
                let row = ["period", "spec_id", "policy", "rho"].map(text).join(" ");
                self.periods.insert(entry.key.clone(), text("period"));
                self.releases.insert(release(&text("attempt")), format!("{row} reserved"));
            }
            "release.drawn" => {
                let key = release(&text("attempt"));
                self.draws.insert(key.clone(), text("sha256"));
                if let Some(row) = self.releases.get_mut(&key) {
                    *row = row.replace(" reserved", " drawn");
                }
            }
            "release.published" => {
                self.publications.insert(entry.key.clone(), text("files"));
                let ids: BTreeSet<String> = body
                    .get("releases")
                    .and_then(Value::as_array)
                    .map(|ids| ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect())
                    .unwrap_or_default();
                for (key, row) in &mut self.releases {
                    if key.split(' ').next().is_some_and(|id| ids.contains(id)) {
                        *row = row.replace(" drawn", " published");
                    }
                }
            }
            "run.started" => {
                self.runs.insert(entry.key.clone(), "-".into());
            }
            "run.finished" => {
                self.runs.insert(entry.key.clone(), format!("{} {}", text("outcome"), text("summary")));
            }
            _ => {}
        }
    }

    fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let mut found = Vec::new();
        let selects: [(&str, &BTreeMap<String, String>, &str); 4] = [
            (
                "message",
                &self.outbox,
                "select key, subject || ' ' || obligation || ' ' || item || ' ' || stage || ' ' || channel || ' ' || message_id || ' ' || state || ' ' || attempts || ' ' || entry from outbox",
            ),
            (
                "release",
                &self.releases,
                "select release_id || ' ' || attempt, period || ' ' || spec_id || ' ' || policy || ' ' || rho || ' ' || state from release",
            ),
            ("publication", &self.publications, "select period, files from publication"),
            ("run", &self.runs, "select run, coalesce(outcome || ' ' || summary, '-') from run"),
        ];
        for (what, expected, select) in selects {
            compare(ledger, what, expected, select, &mut found);
        }
        found.extend(self.draw_differences(ledger));
        found
    }

    fn draw_differences(&self, ledger: &Ledger) -> Vec<String> {
        let mut found = Vec::new();
        let mut read = || -> rusqlite::Result<()> {
            let mut select = ledger
                .connection
                .prepare("select release_id || ' ' || attempt, draws from release where draws is not null")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let (key, draws): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
                if self.draws.get(&key) != Some(&sha256(&draws)) {
                    found.push(format!("what was drawn for release {key} is not what the ledger recorded"));
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            found.push(format!("what was drawn cannot be read: {error}"));
        }
        found
    }
}

fn compare(ledger: &Ledger, what: &str, expected: &BTreeMap<String, String>, select: &str, found: &mut Vec<String>) {
    let read = || -> rusqlite::Result<BTreeMap<String, String>> {
        let mut select = ledger.connection.prepare(select)?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let actual = match read() {
        Ok(actual) => actual,
        Err(error) => return found.push(format!("the table of each {what} cannot be read: {error}")),
    };
    let keys: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
    for key in keys {
        match (expected.get(key), actual.get(key)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) => found.push(format!("the state of {what} {key} is not what its entries say")),
            (Some(_), None) => found.push(format!("the state of {what} {key} was removed")),
            (None, _) => found.push(format!("{what} {key} has a state but no entry")),
        }
    }
}
