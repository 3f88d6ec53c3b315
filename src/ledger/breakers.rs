//! What was stopped because too many of its messages were refused, until a person lifts it.
//!
//! A scope is named as it is given; this module must not know what it covers.

use std::collections::HashMap;

use jiff::civil::Date;
use rusqlite::{Transaction, params};
use serde_json::json;

use super::said::Line;
use super::{Error, Ledger, append};

/// Makes the table.
pub(super) const TABLES: &str = "
-- What is stopped, made from entries of kind breaker.*.
create table if not exists breaker (
    scope text primary key,
    reason text not null,
    sent integer not null,
    refused integer not null,
    at text not null,
    run text not null,
    entry integer not null references entry (seq)
) strict, without rowid;
";

/// Something that is stopped.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Stop {
    /// What, as the breaker writes it: `domain gmail.com smtp`.
    pub scope: String,
    /// Why, in one word: `refusals`, `ours`.
    pub reason: String,
    /// How many messages had an end by then.
    pub sent: u64,
    /// How many of them were refused for good.
    pub refused: u64,
    /// When, as RFC 3339.
    pub at: String,
    /// By which run.
    pub run: String,
}

/// A message that had an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The item.
    pub item: String,
    /// The channel, by its name.
    pub channel: String,
    /// The keyed blind index of its address.
    pub address: Option<String>,
    /// Whether it was refused for good, on the wire or by a report that came later.
    pub is_refused: bool,
    /// The entry that says so.
    pub entry: i64,
}

impl Ledger {
    /// Writes down what is stopped; what is stopped already stays as it is.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn stop(&mut self, run: &str, stops: &[Stop]) -> Result<(), Error> {
        if stops.is_empty() {
            return Ok(());
        }
        self.write_said("write down what is stopped", |transaction| {
            for stop in stops {
                let known = "select 1 from breaker where scope = ?1";
                if transaction.prepare_cached(known)?.exists([&stop.scope])? {
                    continue;
                }
                let body = json!({
                    "reason": stop.reason, "sent": stop.sent, "refused": stop.refused, "at": stop.at,
                });
                let entry = append(transaction, run, "breaker.stopped", &stop.scope, &body)?;
                let (sent, refused) = (number(stop.sent), number(stop.refused));
                let row = params![stop.scope, stop.reason, sent, refused, stop.at, run, entry];
                transaction.prepare_cached(PUT)?.execute(row)?;
            }
            Ok(())
        })
    }

    /// All that is stopped, in order of its scope.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn stops(&self) -> Result<Vec<Stop>, Error> {
        let failed = |source| self.failed("read what is stopped", source);
        if !self.has_table("breaker")? {
            // A ledger of an earlier version gets the table when it is next written.
            return Ok(Vec::new());
        }
        let sql = "select scope, reason, sent, refused, at, run from breaker order by scope";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([], |row| {
            Ok(Stop {
                scope: row.get(0)?,
                reason: row.get(1)?,
                sent: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                refused: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
                at: row.get(4)?,
                run: row.get(5)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// Shows the messages that had an end in a run of a day or a later one, where reports came back since that day:
    /// without any, there is nothing that the runs did not count themselves.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn each_ended_since(&self, day: Date, mut visit: impl FnMut(Ended)) -> Result<(), Error> {
        let failed = |source| self.failed("read what came back", source);
        let day = day.to_string();
        let came_back = "select exists (select 1 from returned where day >= ?1)";
        if !self.connection.query_row(came_back, [&day], |row| row.get::<_, bool>(0)).map_err(failed)? {
            return Ok(());
        }
        // A run is named by its day.
        let sql = "select item, channel, address, state = 'refused', entry from outbox
                   where run >= ?1 and state in ('accepted', 'refused', 'uncertain')";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([&day]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let ended = || -> rusqlite::Result<Ended> {
                Ok(Ended {
                    item: row.get(0)?,
                    channel: row.get(1)?,
                    address: row.get(2)?,
                    is_refused: row.get(3)?,
                    entry: row.get(4)?,
                })
            };
            visit(ended().map_err(failed)?);
        }
        Ok(())
    }

    /// The newest entry by which each scope was lifted: what ended before it is forgiven.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn lifted_stops(&self) -> Result<HashMap<String, i64>, Error> {
        let failed = |source| self.failed("read which stops were lifted", source);
        let sql = "select key, max(seq) from entry where kind = 'breaker.lifted' group by key";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// Lifts a stop: a person has found and mended what was wrong. Says whether there was one. `account` is the system
    /// account that asked for it. Call it while holding the [`super::Lock`].
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn lift_stop(&mut self, scope: &str, account: &str) -> Result<bool, Error> {
        self.write_said("lift the stop", |transaction| {
            let is_lifted = transaction.execute("delete from breaker where scope = ?1", [scope])? > 0;
            if is_lifted {
                append(transaction, "-", "breaker.lifted", scope, &json!({ "by": account }))?;
            }
            Ok(is_lifted)
        })
    }
}

const PUT: &str = "
insert into breaker (scope, reason, sent, refused, at, run, entry) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Takes over from the journal what was stopped or lifted, unless it is known.
pub(super) fn take_over(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<bool> {
    if line.kind == "breaker.lifted" {
        let is_lifted = transaction.execute("delete from breaker where scope = ?1", [&line.key])? > 0;
        if is_lifted {
            append(transaction, &line.run, &line.kind, &line.key, &line.body)?;
        }
        return Ok(is_lifted);
    }
    if transaction.prepare_cached("select 1 from breaker where scope = ?1")?.exists([&line.key])? {
        return Ok(false);
    }
    let entry = append(transaction, &line.run, &line.kind, &line.key, &line.body)?;
    let count = |name: &str| line.body.get(name).and_then(serde_json::Value::as_i64).unwrap_or(0);
    let (reason, at) = (line.text("reason"), line.text("at"));
    let row = params![line.key, reason, count("sent"), count("refused"), at, line.run, entry];
    transaction.prepare_cached(PUT)?.execute(row).map(|_| true)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
