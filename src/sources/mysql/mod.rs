//! MySQL and MariaDB servers: one consistent snapshot, read-only, rows streamed by the binary protocol.
//!
//! A snapshot of MySQL belongs to one connection and cannot be given to another
//! without a lock on all tables, a right that our account should not have: so a
//! source is read by one reader, whatever `readers` says. Tables of an engine
//! without transactions have no snapshot; what changes in them while they are
//! read is found by comparing the totals. What a server says is shown to people
//! only where it cannot quote a value of a row.

mod columns;
mod connect;
mod proof;

use std::time::Duration;

use futures::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Conn, QueryResult, Row};
use tokio::runtime::Runtime;

use self::columns::Decode;
use self::proof::{Key, Proof};
use super::predicate::{self, Sifter};
use super::values::{Raw, Reason, Rows};
use super::{Answer, Error, Found, Request, Take, Totals, selects};
use crate::pipeline::filter::Dialect;
use crate::pipeline::{Family, SourceTable, Type};

/// How long one statement may run at the server: longer than the largest table, shorter than a night.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

/// A connection inside its transaction.
pub struct Session {
    runtime: Runtime,
    /// Only dropping takes it away.
    conn: Option<Conn>,
    /// `host:port/database`, for messages.
    server: String,
    /// How long the server may say nothing, in seconds.
    silence_seconds: u32,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            // A word of farewell, so that the server writes no broken connection into its log.
            let farewell = async { tokio::time::timeout(Duration::from_secs(1), conn.disconnect()).await };
            drop(self.runtime.block_on(farewell));
        }
    }
}

impl Session {
    pub(super) fn tables(&mut self) -> Result<Vec<String>, Error> {
        let sql =
            "select table_name from information_schema.tables where table_schema = database() order by table_name";
        self.run("the catalogue", async |conn| conn.query::<String, _>(sql).await)
    }

    /// The columns for which our account has any right; the others are asked for one by one, because the
    /// catalogue is silent about them.
    pub(super) fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        let sql = "select column_name, data_type, column_type, privileges from information_schema.columns \
                   where table_schema = ifnull(?, database()) and table_name = ? order by ordinal_position";
        let (schema, name) = schema_and_name(table);
        let rows = self.run(&table.from, async |conn| {
            conn.exec::<(String, String, String, String), _, _>(sql, (schema, name)).await
        })?;
        let mut found: Vec<Found> = rows
            .into_iter()
            .map(|(name, kind, full, rights)| Found {
                name,
                fills: columns::fills(&kind),
                kind: if full.starts_with("enum") || full.starts_with("set") { kind } else { full },
                is_list: false,
                granted: rights.split(',').any(|right| right == "select"),
            })
            .collect();
        if found.is_empty() {
            return match self.probe(table, "1") {
                Ok(()) => Ok(Some(found)),
                Err(Probe::Missing) => Ok(None),
                Err(Probe::Other(error)) => Err(error),
            };
        }
        for column in table.columns.iter().map(|column| &column.name) {
            if found.iter().all(|found| found.name != *column)
                && let Err(Probe::Other(Error::Denied { .. })) =
                    self.probe(table, &format!("t.{}", Dialect::Mysql.quote(column)))
            {
                let (name, kind) = (column.clone(), "hidden from our account".to_owned());
                found.push(Found { name, kind, fills: &[], is_list: false, granted: false });
            }
        }
        Ok(Some(found))
    }

    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        let (select, _) = selects(Request { condition: None, ..request }, &relation(table), Dialect::Mysql);
        let mut statement = self.run(&table.from, async |conn| conn.prep(&select).await)?;
        let given = statement.columns();
        let decodes: Vec<_> =
            given.iter().zip(&table.columns).map(|(given, declared)| Decode::of(given, declared.kind)).collect();
        let condition = request.condition.map(|condition| {
            condition.of_moments(&|name| has(table, &decodes, name, &|decode, _| decode == Decode::Instant))
        });
        // A text that is compared with a date becomes whatever MySQL takes it for: it is judged here.
        let is_text = |name: &str| {
            has(table, &decodes, name, &|decode, kind| decode == Decode::Text && kind.family() != Family::Text)
        };
        let is_judged_here = request.condition.is_some_and(|found| predicate::columns(found).into_iter().any(is_text));
        let sifter = Sifter::new(Request { condition: request.condition.filter(|_| is_judged_here), ..request }, take);
        let take: &Take<'_> = &|batch| sifter.take(batch);
        let condition = condition.filter(|_| !is_judged_here);
        let (mut select, _) =
            selects(Request { condition: condition.as_ref(), ..request }, &relation(table), Dialect::Mysql);
        if condition.is_some() {
            statement = self.run(&table.from, async |conn| conn.prep(&select).await)?;
        }
        if let Some(condition) = request.condition.filter(|_| is_judged_here) {
            select.push_str(&format!("; of which are taken: {}", condition.sql(Dialect::Standard)));
        }
        let proof = Proof::new(table, &given);
        let sql = proof.sql(&relation(table), condition.as_ref());
        let counts: Option<Row> = self.run(&table.from, async |conn| conn.query_first(&sql).await)?;
        let counted = counts.and_then(|row| proof.counted(&row)).ok_or_else(|| self.protocol(table))?;
        let mut reading = Reading { rows: Rows::new(table), decodes, key: proof.key(), keys: 0 };
        let worked = self.stream(table, statement, &mut reading, take);
        sifter.outcome(worked.and_then(|()| reading.rows.hand_over(take)))?;
        let received = Totals {
            rows: reading.rows.taken(),
            keys: reading.key.as_ref().map(|_| reading.keys),
            sums: reading.rows.sums(),
        };
        let (counted, received) = super::comparable(counted, received);
        Ok(sifter.without_left_out(Answer { asked: select, counted, received }))
    }

    fn stream(
        &mut self,
        table: &SourceTable,
        statement: mysql_async::Statement,
        reading: &mut Reading,
        take: &Take<'_>,
    ) -> Result<(), Error> {
        let (server, seconds) = (&self.server, self.silence_seconds);
        let failed = |error: mysql_async::Error| connect::failed(server, &table.from, &error);
        let silent = |_| connect::silent(server, &table.from, seconds);
        let Some(conn) = self.conn.as_mut() else { return Err(connect::silent(server, &table.from, 0)) };
        self.runtime.block_on(async {
            let silence = Duration::from_secs(u64::from(seconds));
            let begun = tokio::time::timeout(silence, conn.exec_iter(statement, ()));
            let mut result = begun.await.map_err(silent)?.map_err(failed)?;
            while let Some(row) = next(&mut result, silence).await.map_err(silent)?.map_err(failed)? {
                reading.take(&row).ok_or_else(|| Error::Protocol { table: table.from.clone() })?;
                reading.rows.hand_over_when_full(take)?;
            }
            Ok(())
        })
    }

    /// Selects nothing from the table, to see whether it may be done.
    fn probe(&mut self, table: &SourceTable, what: &str) -> Result<(), Probe> {
        let sql = format!("select {what} from {} as t limit 0", relation(table));
        match self.run_raw(async |conn| conn.query_drop(&sql).await) {
            Some(Ok(())) => Ok(()),
            Some(Err(mysql_async::Error::Server(error))) if connect::NO_SUCH.contains(&error.code) => {
                Err(Probe::Missing)
            }
            Some(Err(error)) => Err(Probe::Other(connect::failed(&self.server, &table.from, &error))),
            None => Err(Probe::Other(connect::silent(&self.server, &table.from, self.silence_seconds))),
        }
    }

    fn run<T>(
        &mut self,
        table: &str,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, mysql_async::Error>,
    ) -> Result<T, Error> {
        match self.run_raw(work) {
            Some(done) => done.map_err(|error| connect::failed(&self.server, table, &error)),
            None => Err(connect::silent(&self.server, table, self.silence_seconds)),
        }
    }

    /// None when the server says nothing.
    fn run_raw<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, mysql_async::Error>,
    ) -> Option<Result<T, mysql_async::Error>> {
        let silence = Duration::from_secs(u64::from(self.silence_seconds));
        let conn = self.conn.as_mut()?;
        self.runtime.block_on(async { tokio::time::timeout(silence, work(conn)).await.ok() })
    }

    fn protocol(&self, table: &SourceTable) -> Error {
        Error::Protocol { table: table.from.clone() }
    }
}

/// Whether a column of this name is read and declared so.
fn has(table: &SourceTable, decodes: &[Decode], name: &str, is_so: &dyn Fn(Decode, Type) -> bool) -> bool {
    table.columns.iter().zip(decodes).any(|(column, decode)| column.name == name && is_so(*decode, column.kind))
}

/// What came of asking for something that the catalogue does not show.
enum Probe {
    Missing,
    Other(Error),
}

/// Rows on their way into batches, and the digest of their keys.
struct Reading {
    rows: Rows,
    decodes: Vec<Decode>,
    key: Option<Key>,
    keys: u64,
}

impl Reading {
    /// None when the row has other columns than were asked for.
    fn take(&mut self, row: &Row) -> Option<()> {
        if row.len() != self.decodes.len() {
            return None;
        }
        if let Some(key) = &mut self.key {
            self.keys ^= key.hash(row)?;
        }
        let decodes = &self.decodes;
        self.rows.row(|index| match (decodes.get(index), row.as_ref(index)) {
            (Some(decode), Some(value)) => decode.raw(value),
            _ => Raw::Fault(Reason::RaggedRow),
        });
        Some(())
    }
}

/// The next row; a timer runs only when it has not yet come.
async fn next(
    result: &mut QueryResult<'_, '_, BinaryProtocol>,
    silence: Duration,
) -> Result<Result<Option<Row>, mysql_async::Error>, tokio::time::error::Elapsed> {
    let mut row = std::pin::pin!(result.next());
    match row.as_mut().now_or_never() {
        Some(row) => Ok(row),
        None => tokio::time::timeout(silence, row).await,
    }
}

fn schema_and_name(table: &SourceTable) -> (Option<&str>, &str) {
    match table.from.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, &table.from),
    }
}

/// The table as SQL names it, in the database of the connection or in another.
fn relation(table: &SourceTable) -> String {
    let quote = |name| Dialect::Mysql.quote(name);
    match schema_and_name(table) {
        (Some(schema), name) => format!("{}.{}", quote(schema), quote(name)),
        (None, name) => quote(name),
    }
}
