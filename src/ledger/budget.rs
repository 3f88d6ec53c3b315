//! The privacy budget: reserved before anything is drawn, never given back.
//!
//! ```text
//! reserved ─ drawn ─ published
//! ```
//!
//! One month is drawn once, or once in each of its declared parts. [`Ledger::reserve`] commits the cost before the
//! noise is drawn; [`Ledger::store_draws`] commits what was drawn before anything
//! is shown. A crash between the two leaves the reservation spent: somebody may
//! have seen the draw. Sums are exact fractions. Both are in `drawn.journal` as
//! well, which a restored ledger takes over (see `drawn`).
//!
//! What is drawn is named by its month and, where the policy declares parts, the
//! part after a space: `2026-10`, `2026-10 second`. What is spent on a month is the
//! sum over all its parts and all attempts, whether or not anything came of them.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::drawn::{self, DRAWN, Drawn, RESERVED};
use super::{Error, Ledger, append, one_row, said};
use crate::pipeline::{Rho, add_rho};

/// What [`Ledger::reserve`] answers.
#[derive(Debug)]
pub enum Reservation {
    /// The month was drawn before: use what was drawn; it costs nothing more.
    Stored(StoredRelease),
    /// It was drawn before, from other rows: a record has changed since. What was drawn stays; nothing may be drawn.
    Changed(StoredRelease),
    /// The cost is reserved: draw now, and store under this attempt.
    Reserved {
        /// Which attempt at this release.
        attempt: i64,
    },
    /// The cost does not fit under the cap: nothing may be drawn.
    Refused {
        /// Spent on this month so far.
        spent: Rho,
    },
}

/// A release that was drawn.
#[derive(Debug, Clone)]
pub struct StoredRelease {
    /// Its identity.
    pub release_id: String,
    /// What was drawn, in `disclosure`'s own form.
    pub draws: Vec<u8>,
    /// Whether its files were published.
    pub is_published: bool,
}

/// A reservation of budget, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The month, `2026-10`.
    pub month: String,
    /// `whole`, or `first` and `second` where the policy declares two editions.
    pub part: String,
    /// Name and version of the policy.
    pub policy: String,
    /// The identity of what was to be released.
    pub release_id: String,
    /// Which attempt at it, from 1.
    pub attempt: i64,
    /// What it cost every person active in the month.
    pub rho: Rho,
    /// `reserved` (and lost, unless a run is at it), `drawn`, `published`.
    pub state: String,
}

/// What was published for a period: the name of each file with its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// `2026-10` or `2026-Q3`.
    pub period: String,
    /// Names and hashes, in the order of the names.
    pub files: Vec<(String, String)>,
}

impl Ledger {
    /// Asks for `cost` on `period`, a month or a part of one, in one transaction with the look at what is spent on the
    /// month. The reservation is in the ledger and in the journal beside it when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::DrawsLost`] where the journal says that the period was drawn and nobody has what was drawn.
    pub fn reserve(
        &mut self,
        run: &str,
        period: &str,
        ids: (&str, &str),
        policy: &str,
        cost: Rho,
        cap: Rho,
    ) -> Result<Reservation, Error> {
        let (release_id, spec_id) = ids;
        let reservation = self.write_drawn("reserve the privacy budget", |transaction, drawn, _| {
            let without = |reservation| Ok((Some(reservation), Vec::new()));
            if let Some(stored) = stored(transaction, period)? {
                let is_same = stored.release_id == release_id;
                return without(if is_same { Reservation::Stored(stored) } else { Reservation::Changed(stored) });
            }
            if drawn.is_drawn(period) {
                return Ok((None, Vec::new()));
            }
            let spent = spent(transaction, period)?;
            if add_rho(spent, cost).is_none_or(|total| total > cap) || cost < Rho::from_integer(0) {
                return without(Reservation::Refused { spent });
            }
            let attempt: i64 = transaction.query_row(
                "select coalesce(max(attempt), 0) + 1 from release where release_id = ?1",
                [release_id],
                |row| row.get(0),
            )?;
            let body = json!({
                "attempt": attempt, "cap": cap.to_string(), "period": period, "policy": policy,
                "rho": cost.to_string(), "spec_id": spec_id,
            });
            let entry = append(transaction, run, RESERVED, release_id, &body)?;
            transaction.execute(
                "insert into release (release_id, attempt, period, spec_id, policy, rho, state, draws, entry)
                 values (?1, ?2, ?3, ?4, ?5, ?6, 'reserved', null, ?7)",
                params![release_id, attempt, period, spec_id, policy, cost.to_string(), entry],
            )?;
            Ok((Some(Reservation::Reserved { attempt }), vec![drawn::line(run, RESERVED, release_id, &body)]))
        })?;
        reservation.ok_or_else(|| Error::DrawsLost { path: drawn::folder(self.path()), period: period.to_owned() })
    }

    /// Commits what was drawn. From here on the month is what it is.
    pub fn store_draws(&mut self, run: &str, release_id: &str, attempt: i64, draws: &[u8]) -> Result<(), Error> {
        drawn::keep(self.path(), draws)?;
        self.write_drawn("store what was drawn", |transaction, _, _| {
            let body = json!({ "attempt": attempt, "sha256": crate::personal::sha256(draws) });
            let entry = append(transaction, run, DRAWN, release_id, &body)?;
            // Drawn once: a second draw of the same reservation would cost and be counted as nothing.
            one_row(transaction.execute(
                "update release set state = 'drawn', draws = ?3, entry = ?4
                 where release_id = ?1 and attempt = ?2 and state = 'reserved'",
                params![release_id, attempt, draws, entry],
            )?)?;
            Ok(((), vec![drawn::line(run, DRAWN, release_id, &body)]))
        })
    }

    /// Commits that a period's files are on the shelf. `release_ids` are the months it was made from.
    pub fn mark_published(
        &mut self,
        run: &str,
        publication: &Publication,
        release_ids: &[String],
    ) -> Result<(), Error> {
        self.write("record the publication", |transaction| {
            let files: serde_json::Map<_, _> =
                publication.files.iter().map(|(name, hash)| (name.clone(), json!(hash))).collect();
            let files = serde_json::Value::Object(files);
            let body = json!({ "files": files, "releases": release_ids });
            let entry = append(transaction, run, "release.published", &publication.period, &body)?;
            transaction.execute(
                "insert into publication (period, files, entry) values (?1, ?2, ?3)
                 on conflict (period) do update set files = ?2, entry = ?3",
                params![publication.period, files.to_string(), entry],
            )?;
            for id in release_ids {
                transaction.execute(
                    "update release set state = 'published' where release_id = ?1 and state = 'drawn'",
                    [id],
                )?;
            }
            Ok(())
        })
    }

    /// What was published for a period.
    pub fn publication(&self, period: &str) -> Result<Option<Publication>, Error> {
        let text: Option<String> = self
            .connection
            .query_row("select files from publication where period = ?1", [period], |row| row.get(0))
            .optional()
            .map_err(|source| self.failed("read the publications", source))?;
        let files =
            text.and_then(|text| serde_json::from_str::<std::collections::BTreeMap<String, String>>(&text).ok());
        Ok(files.map(|files| Publication { period: period.to_owned(), files: files.into_iter().collect() }))
    }

    /// What was drawn for a month, if it was.
    pub fn stored_release(&self, period: &str) -> Result<Option<StoredRelease>, Error> {
        stored(&self.connection, period).map_err(|source| self.failed("read what was drawn", source))
    }

    /// What was drawn for a month, part by part, in the order in which it was drawn.
    pub fn stored_parts(&self, month: &str) -> Result<Vec<StoredRelease>, Error> {
        let failed = |source| self.failed("read what was drawn", source);
        let select = "select release_id, draws, state from release
                      where entry in (select min(entry) from release where state in ('drawn', 'published') group by period)
                        and (period = ?1 or period like ?1 || ' %') order by entry";
        let mut select = self.connection.prepare(select).map_err(failed)?;
        let rows = select.query_map([month], read_stored).map_err(failed)?;
        rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed)
    }

    /// Every reservation that was ever made, in order; those too that a restored ledger has not taken over yet.
    pub fn reservations(&self) -> Result<Vec<Reserved>, Error> {
        let failed = |source| self.failed("read the budget", source);
        let select = "select period, policy, release_id, attempt, rho, state from release order by period, entry";
        let mut select = self.connection.prepare(select).map_err(failed)?;
        let read = |row: &rusqlite::Row<'_>| {
            let period: String = row.get(0)?;
            let (month, part) = period.split_once(' ').unwrap_or((&period, "whole"));
            let rho: String = row.get(4)?;
            Ok(Reserved {
                month: month.to_owned(),
                part: part.to_owned(),
                policy: row.get(1)?,
                release_id: row.get(2)?,
                attempt: row.get(3)?,
                // A cost that cannot be read must not look like room for another draw.
                rho: rho.parse().unwrap_or(Rho::from_integer(i64::MAX)),
                state: row.get(5)?,
            })
        };
        let rows = select.query_map([], read).map_err(failed)?;
        let mut all = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed)?;
        let journal = Drawn::read(self.path())?;
        let is_known = |all: &[Reserved], line: &said::Line| {
            all.iter().any(|known| known.release_id == line.key && Some(known.attempt) == drawn::attempt(line))
        };
        let unknown: Vec<Reserved> =
            journal.reserved().filter(|line| !is_known(&all, line)).map(|line| reserved_of(&journal, line)).collect();
        if !unknown.is_empty() {
            all.extend(unknown);
            all.sort_by(|one, other| one.month.cmp(&other.month));
        }
        Ok(all)
    }

    /// What is spent on each month, in order.
    pub fn spent(&self) -> Result<Vec<(String, Rho)>, Error> {
        let failed = |source| self.failed("read the budget", source);
        let mut select = self.connection.prepare(SELECT_MONTHS).map_err(failed)?;
        let periods = select.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        let mut all = Vec::new();
        for period in periods {
            let period = period.map_err(failed)?;
            let spent = spent(&self.connection, &period).map_err(failed)?;
            all.push((period, spent));
        }
        Ok(all)
    }
}

/// A reservation that only the journal knows.
fn reserved_of(journal: &Drawn, line: &said::Line) -> Reserved {
    let text = |name: &str| line.text(name).unwrap_or_default();
    let (month, part) = text("period").split_once(' ').unwrap_or((text("period"), "whole"));
    Reserved {
        month: month.to_owned(),
        part: part.to_owned(),
        policy: text("policy").to_owned(),
        release_id: line.key.clone(),
        attempt: drawn::attempt(line).unwrap_or_default(),
        // A cost that cannot be read must not look like room for another draw.
        rho: text("rho").parse().unwrap_or(Rho::from_integer(i64::MAX)),
        state: if journal.drawn(line).is_some() { "drawn" } else { "reserved" }.to_owned(),
    }
}

/// Each month of which anything was drawn or tried; a part stands after a space.
const SELECT_MONTHS: &str = "select distinct substr(period || ' ', 1, instr(period || ' ', ' ') - 1) as month
                             from release order by month";

fn stored(connection: &rusqlite::Connection, period: &str) -> rusqlite::Result<Option<StoredRelease>> {
    let select = "select release_id, draws, state from release
                  where period = ?1 and state in ('drawn', 'published') order by entry limit 1";
    connection.query_row(select, [period], read_stored).optional()
}

fn read_stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRelease> {
    let state: String = row.get(2)?;
    Ok(StoredRelease { release_id: row.get(0)?, draws: row.get(1)?, is_published: state == "published" })
}

/// What is spent on the month of a period, over all its parts.
fn spent(connection: &rusqlite::Connection, period: &str) -> rusqlite::Result<Rho> {
    let month = period.split(' ').next().unwrap_or_default();
    let mut select =
        connection.prepare_cached("select rho from release where period = ?1 or period like ?1 || ' %'")?;
    let mut total = Some(Rho::from_integer(0));
    for text in select.query_map([month], |row| row.get::<_, String>(0))? {
        total = match (total, text?.parse::<Rho>()) {
            (Some(total), Ok(rho)) => add_rho(total, rho),
            _ => None,
        };
    }
    // A cost that cannot be read or added must not make room for another draw.
    Ok(total.unwrap_or(Rho::from_integer(i64::MAX)))
}
