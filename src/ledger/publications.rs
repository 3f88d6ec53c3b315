//! What became of published tables after their night: restated, withdrawn, held for a person, told to the rating system.
//!
//! All of it is in the entries themselves: there is no table beside them that could say otherwise. Where files on the
//! shelf change with it, the entry `release.published` of their place follows in the same transaction, so that every night
//! proves them like any other published file.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Transaction, params};
use serde_json::{Value, json};

use super::{Error, Ledger, Publication, append};

/// In place of the run in an entry that a person made.
const NO_RUN: &str = "-";

/// Names and hashes of files.
type Files = Vec<(String, String)>;

/// Why a table was restated or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// The table.
    pub table: String,
    /// Why, without a person.
    pub reason: String,
    /// The civil date in Vietnam on which it was decided.
    pub on: String,
    /// The system account that decided.
    pub account: String,
}

/// A withdrawal as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// Where the table stood: `2026-10`, `2026-10/restated-1`.
    pub place: String,
    /// What, why, when, by whom.
    pub amendment: Amendment,
    /// The files of the place before.
    pub before: Files,
}

/// What the rating system was told of a period, and what it said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// SHA-256 of the last snapshot that was sent.
    pub digest: String,
    /// The idempotency key of the last message; one without a receipt is sent again under the same key.
    pub key: String,
    /// Units whose figures were taken from that snapshot.
    pub accepted: BTreeSet<String>,
    /// Units whose figures were refused, with the code of the refusal.
    pub rejected: BTreeMap<String, String>,
    /// Whether a complete snapshot of the period was ever taken.
    pub has_complete: bool,
}

/// What the rating system said about a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its own number for it.
    pub receipt: String,
    /// Units whose figures it took.
    pub accepted: Vec<String>,
    /// Units whose figures it refused, with the code of the refusal.
    pub rejected: Vec<(String, String)>,
    /// Whether with this message a complete snapshot of the period was taken.
    pub is_complete: bool,
}

impl Ledger {
    /// Every place of the shelf that was published, in the order of their names: its day in Vietnam, and its files.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn published_places(&self) -> Result<Vec<(String, Publication)>, Error> {
        let failed = |source| self.failed("read the publications", source);
        // The day is that of the first time: a place that lost a table to a withdrawal was published before.
        let sql = "select publication.period, publication.files, min(entry.at) from publication
                   join entry on entry.kind = 'release.published' and entry.key = publication.period
                   group by publication.period order by publication.period";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let rows: Vec<(String, String, String)> = rows.and_then(Iterator::collect).map_err(failed)?;
        let place = |(period, files, at): (String, String, String)| {
            let files: BTreeMap<String, String> = serde_json::from_str(&files).unwrap_or_default();
            (day_of(&at), Publication { period, files: files.into_iter().collect() })
        };
        Ok(rows.into_iter().map(place).collect())
    }

    /// How many restatements of a period were recorded.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn restatements(&self, period: &str) -> Result<u32, Error> {
        let sql = "select count(*) from entry where kind = 'release.restated' and key = ?1";
        let count: Result<i64, _> = self.connection.query_row(sql, [period], |row| row.get(0));
        let count = count.map_err(|source| self.failed("count the restatements", source))?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Records that a table was restated: `publication` is the place in which its new form stands.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn mark_restated(
        &mut self,
        period: &str,
        amendment: &Amendment,
        publication: &Publication,
        changes: usize,
    ) -> Result<(), Error> {
        self.write("record the restatement", |transaction| {
            let body = json!({
                "by": amendment.account, "changed_values": changes, "on": amendment.on, "place": publication.period,
                "reason": amendment.reason, "table": amendment.table,
            });
            append(transaction, NO_RUN, "release.restated", period, &body)?;
            publish(transaction, publication)
        })
    }

    /// Records that a table is withdrawn from a place, before its files go; `after` is what the place will hold.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn mark_withdrawn(&mut self, withdrawn: &Withdrawn, after: &Publication) -> Result<(), Error> {
        self.write("record the withdrawal", |transaction| {
            let Withdrawn { place, amendment, before } = withdrawn;
            let body = json!({
                "before": object(before), "by": amendment.account, "on": amendment.on, "reason": amendment.reason,
                "table": amendment.table,
            });
            append(transaction, NO_RUN, "release.withdrawn", place, &body)?;
            publish(transaction, after)
        })
    }

    /// Every withdrawal, the oldest first.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn withdrawals(&self) -> Result<Vec<Withdrawn>, Error> {
        let entries = self.bodies("read the withdrawals", "release.withdrawn", None)?;
        let withdrawn = |(place, body): (String, Value)| Withdrawn {
            place,
            amendment: Amendment {
                table: text(&body, "table"),
                reason: text(&body, "reason"),
                on: text(&body, "on"),
                account: text(&body, "by"),
            },
            before: pairs(&body, "before"),
        };
        Ok(entries.into_iter().map(withdrawn).collect())
    }

    /// Records that a period is held for a person, and why; the same reasons are recorded once.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn hold_release(&mut self, run: &str, period: &str, concerns: &BTreeSet<String>) -> Result<(), Error> {
        if self.held_release(period)?.as_ref() == Some(concerns) {
            return Ok(());
        }
        self.write("record what is held", |transaction| {
            append(transaction, run, "release.held", period, &json!({ "concerns": concerns })).map(drop)
        })
    }

    /// Why a period was last held; none when it never was.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn held_release(&self, period: &str) -> Result<Option<BTreeSet<String>>, Error> {
        let newest = self.bodies("read what is held", "release.held", Some(period))?.pop();
        Ok(newest.map(|(_, body)| words(&body, "concerns")))
    }

    /// Records that a person lets a period pass as it was last held.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn let_pass(
        &mut self,
        period: &str,
        concerns: &BTreeSet<String>,
        reason: &str,
        account: &str,
    ) -> Result<(), Error> {
        self.write("record what may pass", |transaction| {
            let body = json!({ "by": account, "concerns": concerns, "reason": reason });
            append(transaction, NO_RUN, "release.let-pass", period, &body).map(drop)
        })
    }

    /// What a person has seen and let pass for a period.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn may_pass(&self, period: &str) -> Result<BTreeSet<String>, Error> {
        let entries = self.bodies("read what may pass", "release.let-pass", Some(period))?;
        Ok(entries.iter().flat_map(|(_, body)| words(body, "concerns")).collect())
    }

    /// Records that a snapshot of a period is about to be told to the rating system, under an idempotency key.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn announce(
        &mut self,
        run: &str,
        period: &str,
        digest: &str,
        key: &str,
        units: &[String],
    ) -> Result<(), Error> {
        self.write("record what is told", |transaction| {
            let body = json!({ "digest": digest, "idempotency_key": key, "units": units });
            append(transaction, run, "push.sent", period, &body).map(drop)
        })
    }

    /// Records what the rating system said about a message.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn acknowledged(&mut self, run: &str, period: &str, key: &str, receipt: &Receipt) -> Result<(), Error> {
        self.write("record a receipt", |transaction| {
            let body = json!({
                "accepted": receipt.accepted, "complete": receipt.is_complete, "idempotency_key": key,
                "receipt": receipt.receipt, "rejected": object(&receipt.rejected),
            });
            append(transaction, run, "push.receipt", period, &body).map(drop)
        })
    }

    /// What the rating system knows of a period; none when it was never told.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn what_was_told(&self, period: &str) -> Result<Option<Acknowledged>, Error> {
        let mut told: Option<Acknowledged> = None;
        for (kind, body) in self.push_entries(period)? {
            let mut known = told.take().unwrap_or_default();
            if kind == "push.sent" {
                let digest = text(&body, "digest");
                if digest != known.digest {
                    known = Acknowledged { digest, has_complete: known.has_complete, ..Acknowledged::default() };
                }
                known.key = text(&body, "idempotency_key");
            } else {
                known.key.clear();
                for unit in words(&body, "accepted") {
                    known.rejected.remove(&unit);
                    known.accepted.insert(unit);
                }
                known.rejected.extend(pairs(&body, "rejected"));
                known.has_complete |= body.get("complete").and_then(Value::as_bool).unwrap_or(false);
            }
            told = Some(known);
        }
        Ok(told)
    }

    /// The entries about a period and the rating system, the oldest first: kind and body.
    fn push_entries(&self, period: &str) -> Result<Vec<(String, Value)>, Error> {
        let failed = |source| self.failed("read what was told", source);
        let sql = "select kind, body from entry where kind in ('push.sent', 'push.receipt') and key = ?1 order by seq";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([period], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
        let rows: Vec<(String, String)> = rows.and_then(Iterator::collect).map_err(failed)?;
        Ok(rows.into_iter().map(|(kind, body)| (kind, parsed(&body))).collect())
    }

    /// Key and body of the entries of a kind, the oldest first.
    fn bodies(&self, doing: &'static str, kind: &str, key: Option<&str>) -> Result<Vec<(String, Value)>, Error> {
        let failed = |source| self.failed(doing, source);
        let sql = "select key, body from entry where kind = ?1 and (?2 is null or key = ?2) order by seq";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map(params![kind, key], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
        let rows: Vec<(String, String)> = rows.and_then(Iterator::collect).map_err(failed)?;
        Ok(rows.into_iter().map(|(key, body)| (key, parsed(&body))).collect())
    }
}

/// Records what a place of the shelf holds.
fn publish(transaction: &Transaction<'_>, publication: &Publication) -> rusqlite::Result<()> {
    let files = object(&publication.files);
    let body = json!({ "files": files, "releases": [] });
    let entry = append(transaction, NO_RUN, "release.published", &publication.period, &body)?;
    transaction.execute(
        "insert into publication (period, files, entry) values (?1, ?2, ?3)
         on conflict (period) do update set files = ?2, entry = ?3",
        params![publication.period, files.to_string(), entry],
    )?;
    Ok(())
}

/// The civil date in Vietnam of an instant in UTC.
fn day_of(at: &str) -> String {
    let zone = crate::calendar::vietnam();
    let day = at.parse::<jiff::Timestamp>().map(|at| at.to_zoned(zone).date().to_string());
    day.unwrap_or_default()
}

fn object(pairs: &[(String, String)]) -> Value {
    Value::Object(pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
}

fn parsed(body: &str) -> Value {
    // What is no JSON was changed by somebody: `verify` names the entry.
    serde_json::from_str(body).unwrap_or(Value::Null)
}

fn text(body: &Value, name: &str) -> String {
    body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn words(body: &Value, name: &str) -> BTreeSet<String> {
    let list = body.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

fn pairs(body: &Value, name: &str) -> Files {
    let map = body.get(name).and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
