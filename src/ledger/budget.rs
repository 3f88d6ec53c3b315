//! The privacy budget: reserved before anything is drawn, never given back.
//!
//! ```text
//! reserved ─ drawn ─ published
//! ```
//!
//! One month is drawn once. [`Ledger::reserve`] commits the cost before the
//! noise is drawn; [`Ledger::store_draws`] commits what was drawn before anything
//! is shown. A crash between the two leaves the reservation spent: somebody may
//! have seen the draw. Sums are exact fractions.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Error, Ledger, append, one_row};
use crate::pipeline::{Rho, add_rho};

/// What [`Ledger::reserve`] answers.
#[derive(Debug)]
pub enum Reservation {
    /// The month was drawn before: use what was drawn; it costs nothing more.
    Stored(StoredRelease),
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

/// What was published for a period: the name of each file with its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// `2026-10` or `2026-Q3`.
    pub period: String,
    /// Names and hashes, in the order of the names.
    pub files: Vec<(String, String)>,
}

impl Ledger {
    /// Asks for `cost` on `period`, in one transaction with the look at what is spent.
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
        self.write("reserve the privacy budget", |transaction| {
            if let Some(stored) = stored(transaction, period)? {
                return Ok(Reservation::Stored(stored));
            }
            let spent = spent(transaction, period)?;
            if add_rho(spent, cost).is_none_or(|total| total > cap) || cost < Rho::from_integer(0) {
                return Ok(Reservation::Refused { spent });
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
            let entry = append(transaction, run, "release.reserved", release_id, &body)?;
            transaction.execute(
                "insert into release (release_id, attempt, period, spec_id, policy, rho, state, draws, entry)
                 values (?1, ?2, ?3, ?4, ?5, ?6, 'reserved', null, ?7)",
                params![release_id, attempt, period, spec_id, policy, cost.to_string(), entry],
            )?;
            Ok(Reservation::Reserved { attempt })
        })
    }

    /// Commits what was drawn. From here on the month is what it is.
    pub fn store_draws(&mut self, run: &str, release_id: &str, attempt: i64, draws: &[u8]) -> Result<(), Error> {
        self.write("store what was drawn", |transaction| {
            let body = json!({ "attempt": attempt, "sha256": crate::personal::sha256(draws) });
            let entry = append(transaction, run, "release.drawn", release_id, &body)?;
            // Drawn once: a second draw of the same reservation would cost and be counted as nothing.
            one_row(transaction.execute(
                "update release set state = 'drawn', draws = ?3, entry = ?4
                 where release_id = ?1 and attempt = ?2 and state = 'reserved'",
                params![release_id, attempt, draws, entry],
            )?)
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

    /// What is spent on each month, in order.
    pub fn spent(&self) -> Result<Vec<(String, Rho)>, Error> {
        let failed = |source| self.failed("read the budget", source);
        let mut select =
            self.connection.prepare("select distinct period from release order by period").map_err(failed)?;
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

fn stored(connection: &rusqlite::Connection, period: &str) -> rusqlite::Result<Option<StoredRelease>> {
    let select = "select release_id, draws, state from release
                  where period = ?1 and state in ('drawn', 'published') order by entry limit 1";
    let read = |row: &rusqlite::Row<'_>| {
        let state: String = row.get(2)?;
        Ok(StoredRelease { release_id: row.get(0)?, draws: row.get(1)?, is_published: state == "published" })
    };
    connection.query_row(select, [period], read).optional()
}

fn spent(connection: &rusqlite::Connection, period: &str) -> rusqlite::Result<Rho> {
    let mut select = connection.prepare_cached("select rho from release where period = ?1")?;
    let mut total = Some(Rho::from_integer(0));
    for text in select.query_map([period], |row| row.get::<_, String>(0))? {
        total = match (total, text?.parse::<Rho>()) {
            (Some(total), Ok(rho)) => add_rho(total, rho),
            _ => None,
        };
    }
    // A cost that cannot be read or added must not make room for another draw.
    Ok(total.unwrap_or(Rho::from_integer(i64::MAX)))
}
