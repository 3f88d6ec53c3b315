//! What people said and what came back, in a second place: the file `said.journal` beside the ledger.
//!
//! A ledger that was restored from a backup has forgotten who refused since, whose address came back, who called a
//! message unwanted, and what was stopped. This journal is not restored with it (it may be a link to another disk), so
//! the next writer takes over what the ledger does not know, before anybody is written to.
//!
//! One line for each entry of these kinds: a digest of the line, and the entry as JSON. Several processes write it, a
//! run and the pages on which people refuse: each under the lock of its transaction, before the commit. It holds keyed
//! pseudonyms and blind indexes, no person.
//!
//! What people decided about their dossiers, and how far a dossier has come on its way to the portal, are in it too: a
//! dossier that left is not handed in a second time, and who declined is not asked again. What was confirmed stands
//! sealed in the folder of [`super::beside`].

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use super::prepared::DossierState;
use super::{Error, Ledger, append, breakers, decisions, departing, preferences, prepared, submissions, suppression};
use crate::personal::sha256;

/// The file.
const FILE: &str = "said.journal";

/// How far the ledger knows the journal: the name of the row in `mark`.
const MARK: &str = "said";

/// What is written into it.
const KINDS: [&str; 18] = [
    "preference.set",
    "request.noted",
    "message.returned",
    "suppression.set",
    "suppression.lifted",
    "breaker.stopped",
    "breaker.lifted",
    decisions::DECIDED,
    departing::TAKEN_BACK,
    prepared::REMOVED,
    "submission.held",
    "submission.released",
    "submission.announced",
    "submission.numbered",
    "submission.filed",
    "submission.refused",
    "submission.again",
    "submission.status",
];

/// An entry as a line has it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Line {
    pub(super) run: String,
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) body: Value,
}

impl Line {
    /// A text of the body.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }
}

impl Ledger {
    /// Takes over what was said and came back that this ledger does not know, because it is older. Says how many
    /// things there were. Call it while holding the [`super::Lock`], before anybody is written to.
    ///
    /// # Errors
    ///
    /// Where the journal cannot be read, or the ledger cannot be written.
    pub fn take_over_said(&mut self) -> Result<usize, Error> {
        let mut taken = 0;
        self.write_said_counting("take over what the journal knows", &mut taken, |_| Ok(()))?;
        Ok(taken)
    }

    /// Runs `act` in one transaction, after what the journal knows better, and journals the entries that it adds: all
    /// of it is durable, or nothing.
    ///
    /// A crash before the commit leaves lines that the next writer takes over: what a person said holds from then on.
    pub(super) fn write_said<T>(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        self.write_said_counting(doing, &mut 0, act)
    }

    fn write_said_counting<T>(
        &mut self,
        doing: &'static str,
        taken: &mut usize,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        let path = self.path().with_file_name(FILE);
        let mut trouble = None;
        let written = self.write(doing, |transaction| {
            let mut keep = |source: io::Error| {
                let told = rusqlite::Error::ToSqlConversionFailure(source.to_string().into());
                trouble = Some(source);
                told
            };
            let (lines, until) = unknown(transaction, &path, &mut keep)?;
            for line in &lines {
                *taken += usize::from(take_over(transaction, line, &path)?);
            }
            let known = newest(transaction)?;
            let value = act(transaction)?;
            let said = said_since(transaction, known)?;
            let until = if said.is_empty() { until } else { Some(append_lines(&path, &said).map_err(&mut keep)?) };
            if let Some(bytes) = until {
                mark(transaction, bytes)?;
            }
            Ok(value)
        });
        match trouble {
            Some(source) => Err(Error::Journal { path, source }),
            None => written,
        }
    }
}

/// The lines that this ledger does not know, and where the journal ends; nothing where it knows all of it.
fn unknown(
    transaction: &Transaction<'_>,
    path: &Path,
    keep: &mut impl FnMut(io::Error) -> rusqlite::Error,
) -> rusqlite::Result<(Vec<Line>, Option<u64>)> {
    let sql = "select bytes from mark where name = ?1";
    let known: Option<i64> = transaction.prepare_cached(sql)?.query_row([MARK], |row| row.get(0)).optional()?;
    let known = known.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let read = || -> io::Result<(Vec<u8>, u64)> {
        let mut file = match OpenOptions::new().read(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            file => file?,
        };
        let end = file.metadata()?.len();
        let mut bytes = Vec::new();
        if known < end {
            file.seek(SeekFrom::Start(known))?;
            file.read_to_end(&mut bytes)?;
        }
        Ok((bytes, end))
    };
    let (bytes, end) = read().map_err(keep)?;
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(parse).collect();
    Ok((lines, (known < end).then_some(end)))
}

/// A whole line; none where a crash has cut it off.
pub(super) fn parse(line: &[u8]) -> Option<Line> {
    let (digest, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if digest != sha256(json.as_bytes()) {
        return None;
    }
    serde_json::from_str(json).ok()
}

/// Takes over one thing, unless the ledger knows it. Says whether it did.
fn take_over(transaction: &Transaction<'_>, line: &Line, journal: &Path) -> rusqlite::Result<bool> {
    match line.kind.as_str() {
        "preference.set" | "request.noted" => preferences::take_over(transaction, line),
        "message.returned" | "suppression.set" | "suppression.lifted" => take_over_returned(transaction, line),
        "breaker.stopped" | "breaker.lifted" => breakers::take_over(transaction, line),
        decisions::DECIDED => decisions::take_over(transaction, line, journal),
        departing::TAKEN_BACK => departing::take_over(transaction, line),
        prepared::REMOVED => prepared::take_over(transaction, line),
        _ => submissions::take_over(transaction, line),
    }
}

/// Takes over from the journal what came back, and what followed for an address, unless it is known.
fn take_over_returned(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<bool> {
    let text = |name: &str| line.text(name);
    if line.kind == "suppression.lifted" {
        let sql = "delete from suppression where address = ?1 and channel = ?2";
        let is_lifted = transaction.prepare_cached(sql)?.execute(params![line.key, text("channel")])? > 0;
        if is_lifted {
            append(transaction, &line.run, &line.kind, &line.key, &line.body)?;
        }
        return Ok(is_lifted);
    }
    if line.kind == "message.returned" {
        let [report, verdict, code, address, day] = ["report", "verdict", "code", "address", "day"].map(text);
        if transaction.prepare_cached("select 1 from returned where report = ?1")?.exists([report])? {
            return Ok(false);
        }
        let entry = append(transaction, &line.run, &line.kind, &line.key, &line.body)?;
        let row = params![report, line.key, verdict, code, address, day, entry];
        return transaction.prepare_cached(suppression::PUT_RETURNED)?.execute(row).map(|_| true);
    }
    let [channel, reason, code, since] = ["channel", "reason", "code", "since"].map(text);
    let [until, message] = ["until", "message"].map(text);
    let sql = "select 1 from suppression where address = ?1 and channel = ?2 and reason = ?3 and since = ?4
               and until is ?5";
    if transaction.prepare_cached(sql)?.exists(params![line.key, channel, reason, since, until])? {
        return Ok(false);
    }
    let entry = append(transaction, &line.run, &line.kind, &line.key, &line.body)?;
    let row = params![line.key, channel, reason, code, since, until, message, entry];
    transaction.prepare_cached(suppression::PUT_SUPPRESSION)?.execute(row).map(|_| true)
}

fn newest(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction.prepare_cached("select coalesce(max(seq), 0) from entry")?.query_row([], |row| row.get(0))
}

/// The lines of the entries that were added after one.
fn said_since(transaction: &Transaction<'_>, known: i64) -> rusqlite::Result<String> {
    let mut select =
        transaction.prepare_cached("select run, kind, key, body from entry where seq > ?1 order by seq")?;
    let mut rows = select.query([known])?;
    let mut text = String::new();
    while let Some(row) = rows.next()? {
        let (kind, key, body): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        // What is over or expired is found to be so by the next night, whatever the ledger; that a person was erased is not.
        let is_found_again = kind == prepared::REMOVED && key != DossierState::Erased.word();
        if !KINDS.contains(&kind.as_str()) || is_found_again {
            continue;
        }
        let body = serde_json::from_str(&body).unwrap_or(Value::Null);
        // One line: within JSON a line's end is always escaped.
        let json = serde_json::to_string(&Line { run: row.get(0)?, kind, key, body })
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        text.push_str(&format!("{} {json}\n", sha256(json.as_bytes())));
    }
    Ok(text)
}

/// Appends lines and waits until they are on the disk. Says where the journal ends then.
pub(super) fn append_lines(path: &Path, lines: &str) -> io::Result<u64> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if is_new && let Some(folder) = path.parent() {
        crate::files::sync_folder(folder)?;
    }
    let end = file.metadata()?.len();
    let mut last = [b'\n'];
    if end > 0 {
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut last)?;
    }
    // What a crash cut off stays a line of its own, which nobody reads.
    let torn = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{torn}{lines}").as_bytes())?;
    file.sync_data()?;
    Ok(file.metadata()?.len())
}

fn mark(transaction: &Transaction<'_>, bytes: u64) -> rusqlite::Result<()> {
    let sql = "insert into mark (name, bytes) values (?1, ?2) on conflict (name) do update set bytes = ?2";
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    transaction.prepare_cached(sql)?.execute(params![MARK, bytes]).map(drop)
}
