//! What was drawn and what it cost, in a second place: the file `drawn.journal` and the folder `drawn.parts` beside the
//! ledger.
//!
//! A ledger that was restored from a backup has forgotten what was drawn since, and would draw again: the same month under
//! two noises, for a budget that counts one. This journal is not restored with it (it may be a link to another disk), so
//! the next run takes over what the ledger does not know: the cost as spent, and the draws, from which the same figures are
//! made again.
//!
//! One line for each reservation and one for what was drawn of it, as in `said.journal`: a digest of the line, and the
//! entry as JSON. Each is on the disk before the commit, so before any noise is drawn and before anything is shown. What
//! was drawn is a file of its own, named by its SHA-256. It must not know what the draws say; they hold no person.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::said::{Line, append_lines, parse};
use super::{Error, Ledger, append};
use crate::files;
use crate::personal::sha256;

/// The file.
const FILE: &str = "drawn.journal";

/// The folder of what was drawn.
const FOLDER: &str = "drawn.parts";

/// The cost of a draw is spent.
pub(super) const RESERVED: &str = "release.reserved";

/// A draw is stored.
pub(super) const DRAWN: &str = "release.drawn";

/// What the journal says, line by line, in order.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    lines: Vec<Line>,
}

impl Drawn {
    /// Reads the journal beside a ledger's file; it says nothing where there is none.
    pub(super) fn read(ledger: &Path) -> Result<Self, Error> {
        let path = ledger.with_file_name(FILE);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|source| Error::Journal { path, source })?,
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(parse);
        Ok(Drawn { lines: lines.filter(|line| attempt(line).is_some()).collect() })
    }

    /// The reservations that it knows.
    pub(super) fn reserved(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.kind == RESERVED)
    }

    /// Whether something was drawn for a period, whatever became of it.
    pub(super) fn is_drawn(&self, period: &str) -> bool {
        let mut of_period = self.reserved().filter(|line| line.text("period") == Some(period));
        of_period.any(|line| self.drawn(line).is_some())
    }

    /// The SHA-256 of what was drawn for a reservation.
    pub(super) fn drawn(&self, reserved: &Line) -> Option<&str> {
        let is_it = |line: &&Line| line.kind == DRAWN && line.key == reserved.key && attempt(line) == attempt(reserved);
        self.lines.iter().find(is_it).and_then(|line| line.text("sha256"))
    }

    fn has(&self, kind: &str, release_id: &str, of: i64) -> bool {
        self.lines.iter().any(|line| line.kind == kind && line.key == release_id && attempt(line) == Some(of))
    }
}

/// A reservation, and what was drawn of it.
type Released = (Line, Option<Vec<u8>>);

/// Which attempt at its release a line is about.
pub(super) fn attempt(line: &Line) -> Option<i64> {
    line.body.get("attempt").and_then(Value::as_i64)
}

/// The line of an entry.
pub(super) fn line(run: &str, kind: &str, release_id: &str, body: &Value) -> Line {
    Line { run: run.to_owned(), kind: kind.to_owned(), key: release_id.to_owned(), body: body.clone() }
}

/// Keeps what was drawn; it is on the disk when this returns.
pub(super) fn keep(ledger: &Path, draws: &[u8]) -> Result<(), Error> {
    let folder = folder(ledger);
    let path = folder.join(sha256(draws));
    let write = || -> io::Result<()> {
        files::private_folder(&folder)?;
        if path.exists() {
            return Ok(());
        }
        files::replace(&path, draws)?;
        folder.parent().map_or(Ok(()), files::sync_folder)
    };
    write().map_err(|source| Error::Journal { path: path.clone(), source })
}

/// The folder of what was drawn, beside a ledger's file.
pub(super) fn folder(ledger: &Path) -> PathBuf {
    ledger.with_file_name(FOLDER)
}

fn part(ledger: &Path, digest: &str) -> Option<Vec<u8>> {
    let is_name = digest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let bytes = is_name.then(|| std::fs::read(folder(ledger).join(digest)))?.ok()?;
    (sha256(&bytes) == digest).then_some(bytes)
}

impl Ledger {
    /// Takes over what was drawn and spent that this ledger does not know, because it is older, and writes down for the
    /// next one what the journal lacks. Says how many draws the ledger did not know. Call it while holding the
    /// [`super::Lock`], before anything is drawn.
    ///
    /// # Errors
    ///
    /// Where the journal cannot be read or written, or the ledger cannot be written.
    pub fn take_over_drawn(&mut self) -> Result<usize, Error> {
        self.sweep()?;
        // The journal of an earlier version, or one that was lost, has less than the ledger.
        let drawn = Drawn::read(&self.path)?;
        let mut lacking = Vec::new();
        for (line, draws) in self.released()? {
            let of = attempt(&line).unwrap_or_default();
            if let Some(draws) = draws.filter(|_| !drawn.has(DRAWN, &line.key, of)) {
                keep(&self.path, &draws)?;
                let body = json!({ "attempt": of, "sha256": sha256(&draws) });
                lacking.push(self::line(&line.run, DRAWN, &line.key, &body));
            }
            if !drawn.has(RESERVED, &line.key, of) {
                lacking.push(line);
            }
        }
        self.write_drawn("take over what was drawn", |_, _, taken| Ok((taken, lacking)))
    }

    /// Takes away what a killed run had begun to write and nobody will write again: what is drawn has other bytes each time.
    fn sweep(&self) -> Result<(), Error> {
        let folder = folder(&self.path);
        let failed = |source| Error::Journal { path: folder.clone(), source };
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "part") {
                std::fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Runs `act` in one transaction, after what the journal knows better, and journals the lines that it gives: all of
    /// it is durable, or nothing. A crash before the commit leaves lines that the next writer takes over: what may have
    /// been spent counts as spent.
    pub(super) fn write_drawn<T>(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&Transaction<'_>, &Drawn, usize) -> rusqlite::Result<(T, Vec<Line>)>,
    ) -> Result<T, Error> {
        let ledger = self.path.clone();
        let path = ledger.with_file_name(FILE);
        let drawn = Drawn::read(&ledger)?;
        let mut trouble = None;
        let written = self.write(doing, |transaction| {
            let taken = take_over(transaction, &drawn, &ledger)?;
            let (value, lines) = act(transaction, &drawn, taken)?;
            let told =
                |error: &dyn std::fmt::Display| rusqlite::Error::ToSqlConversionFailure(error.to_string().into());
            let mut text = String::new();
            for line in &lines {
                let json = serde_json::to_string(line).map_err(|error| told(&error))?;
                text.push_str(&format!("{} {json}\n", sha256(json.as_bytes())));
            }
            if !text.is_empty() {
                append_lines(&path, &text).map_err(|source| {
                    let told = told(&source);
                    trouble = Some(source);
                    told
                })?;
            }
            Ok(value)
        });
        match trouble {
            Some(source) => Err(Error::Journal { path, source }),
            None => written,
        }
    }

    /// Every reservation that this ledger knows, as a line, with what was drawn of it.
    fn released(&self) -> Result<Vec<Released>, Error> {
        let failed = |source| self.failed("read the budget", source);
        let select = "select release_id, attempt, period, spec_id, policy, rho, draws from release order by entry";
        let mut select = self.connection.prepare(select).map_err(failed)?;
        let read = |row: &rusqlite::Row<'_>| {
            let id: String = row.get(0)?;
            let (attempt, period): (i64, String) = (row.get(1)?, row.get(2)?);
            let (spec, policy, rho): (String, String, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let body = json!({ "attempt": attempt, "period": period, "policy": policy, "rho": rho, "spec_id": spec });
            Ok((line("-", RESERVED, &id, &body), row.get(6)?))
        };
        let rows = select.query_map([], read).map_err(failed)?;
        rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed)
    }
}

/// Takes over the reservations and draws that a ledger does not know. Says how many reservations.
fn take_over(transaction: &Transaction<'_>, drawn: &Drawn, ledger: &Path) -> rusqlite::Result<usize> {
    let mut taken = 0;
    for reserved in drawn.reserved() {
        let key = params![reserved.key, attempt(reserved)];
        let known: Option<String> = transaction
            .prepare_cached("select state from release where release_id = ?1 and attempt = ?2")?
            .query_row(key, |row| row.get(0))
            .optional()?;
        if known.is_none() {
            take_over_reserved(transaction, reserved)?;
            taken += 1;
        }
        if known.is_none_or(|state| state == "reserved")
            && let Some(digest) = drawn.drawn(reserved)
            && let Some(draws) = part(ledger, digest)
        {
            let body = json!({ "attempt": attempt(reserved), "sha256": digest });
            let entry = append(transaction, &reserved.run, DRAWN, &reserved.key, &body)?;
            let sql = "update release set state = 'drawn', draws = ?3, entry = ?4
                       where release_id = ?1 and attempt = ?2 and state = 'reserved'";
            transaction.prepare_cached(sql)?.execute(params![reserved.key, attempt(reserved), draws, entry])?;
        }
    }
    Ok(taken)
}

fn take_over_reserved(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<()> {
    let [period, spec, policy, rho] = ["period", "spec_id", "policy", "rho"].map(|name| line.text(name));
    let entry = append(transaction, &line.run, RESERVED, &line.key, &line.body)?;
    let sql = "insert into release (release_id, attempt, period, spec_id, policy, rho, state, draws, entry)
               values (?1, ?2, ?3, ?4, ?5, ?6, 'reserved', null, ?7)";
    let row = params![line.key, attempt(line), period, spec, policy, rho, entry];
    transaction.prepare_cached(sql)?.execute(row).map(drop)
}
