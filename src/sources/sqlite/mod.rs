//! SQLite files, opened read-only and read in one transaction, or in several that see the same.
//!
//! SQLite types values, not columns: a text in an `integer` column is possible,
//! and is a fault of its row. The file is not opened as immutable: another
//! process may be writing, and then its locks must be respected.

mod proof;
mod readers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use self::proof::{Keys, Read, Sums, Tally};
use self::readers::Parted;
use super::values::{Raw, Reason, Rows};
use super::{ANY, Answer, Error, Found, Request, Take, selects};
use crate::pipeline::SourceTable;
use crate::pipeline::filter::Dialect;

/// How long to wait for another process that has the file locked.
const BUSY_WAIT: Duration = Duration::from_secs(30);

/// An open file inside its read transaction.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    /// Connections that see what the first sees.
    others: Vec<Connection>,
    shown: PathBuf,
}

impl Database {
    /// Opens `path`, which errors name as `shown`.
    pub(super) fn open(path: &Path, shown: &Path) -> Result<Self, Error> {
        if !path.is_file() {
            return Err(Error::NoFile { path: shown.to_path_buf() });
        }
        let failed = |error| Error::Sqlite { path: shown.to_path_buf(), error };
        let connection = readers::open(path, BUSY_WAIT).map_err(failed)?;
        let others = readers::begin_all(path, &connection).map_err(failed)?;
        Ok(Database { connection, others, shown: shown.to_path_buf() })
    }

    pub(super) fn tables(&mut self) -> Result<Vec<String>, Error> {
        let sql =
            "select name from sqlite_schema where type in ('table', 'view') and name not like 'sqlite_%' order by name";
        let mut statement = self.connection.prepare(sql).map_err(|error| self.failed(error))?;
        let names = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect);
        names.map_err(|error| self.failed(error))
    }

    pub(super) fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        let sql = "select name, type from pragma_table_xinfo(?1) where hidden <> 1";
        let mut statement = self.connection.prepare(sql).map_err(|error| self.failed(error))?;
        let columns = statement.query_map([&table.from], |row| {
            Ok(Found { name: row.get(0)?, kind: row.get(1)?, fills: &ANY, is_list: false, granted: true })
        });
        let columns: Vec<_> = columns.and_then(Iterator::collect).map_err(|error| self.failed(error))?;
        Ok(if columns.is_empty() { None } else { Some(columns) })
    }

    /// Reads the granted columns; a large table on several connections.
    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        let relation = Dialect::Sqlite.quote(&table.from);
        let (select, count) = selects(request, &relation, Dialect::Sqlite);
        let shown = self.shown.clone();
        let failed = move |error| Error::Sqlite { path: shown.clone(), error };
        let sums = proof::selected(table, &|name| Dialect::Sqlite.quote(name));
        // By itself, a count may go by an index, and tells when the index and the table disagree.
        let list = std::iter::once("count(*)").chain(sums.iter().map(|(_, select)| select.as_str()));
        let total = count.replacen("count(*)", &list.collect::<Vec<_>>().join(", "), 1);
        let totals = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(i64, Sums)> {
            Ok((row.get(0)?, proof::counted(&sums, row)?))
        };
        let in_all = |connection: &Connection| -> rusqlite::Result<(u64, Sums)> {
            let (rows, sums) = connection.query_row(&total, [], totals)?;
            Ok((u64::try_from(rows).unwrap_or(0), sums))
        };
        let keys = proof::keys(table, &|name| Dialect::Sqlite.quote(name));
        let tally = Tally::new(table, &sums);
        let take: &Take<'_> = &|batch| {
            tally.add(&batch);
            take(batch)
        };
        let ((rows, counted_sums), counted, received) = match self.parts(table).map_err(&failed)? {
            Some((rowid, range)) => {
                let rows = request.condition.map(|condition| format!("({}) and ", condition.sql(Dialect::Sqlite)));
                let part = format!(" where {}t.{rowid} between ?1 and ?2", rows.unwrap_or_default());
                let (all, _) = selects(Request { condition: None, ..request }, &relation, Dialect::Sqlite);
                let count = format!("select count(*), {keys} from {relation} as t{part}");
                let parted = Parted { table, select: &format!("{all}{part}"), count: &count, range, in_all: &in_all };
                let mut connections: Vec<_> = std::iter::once(&mut self.connection).chain(&mut self.others).collect();
                parted.read(&mut connections, &failed, take)?
            }
            None => {
                let in_all = in_all(&self.connection).map_err(&failed)?;
                let keyed = count.replacen("count(*)", &format!("count(*), {keys}"), 1);
                let counted = self.connection.query_row(&keyed, [], Read::counted).map_err(&failed)?;
                let mut statement = self.connection.prepare(&select).map_err(&failed)?;
                let cursor = statement.query([]).map_err(&failed)?;
                (in_all, counted, read_rows(cursor, table, 1, &failed, take)?)
            }
        };
        let (counted, received) = tally.compared(Read { rows, ..counted }, counted_sums, received);
        Ok(Answer { asked: select, counted, received })
    }

    /// How a table can be read in parts: the name of its rowid, and the least and the greatest.
    fn parts(&self, table: &SourceTable) -> rusqlite::Result<Option<(&'static str, (i64, i64))>> {
        if self.others.is_empty() {
            return Ok(None);
        }
        let Some(rowid) = readers::rowid(&self.connection, &table.from)? else { return Ok(None) };
        let relation = Dialect::Sqlite.quote(&table.from);
        // Apart, each is one step down the tree; together they would be a walk through the table.
        let sql = format!(
            "select (select min(t.{rowid}) from {relation} as t), (select max(t.{rowid}) from {relation} as t)"
        );
        let ends = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?));
        let range = self.connection.query_row(&sql, [], ends)?;
        // Numbers that lie close together are of few rows; where they have gaps, reading in parts costs little.
        Ok(match range {
            (Some(least), Some(greatest)) if greatest.abs_diff(least) >= readers::SMALL_ROWS => {
                Some((rowid, (least, greatest)))
            }
            _ => None,
        })
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        Error::Sqlite { path: self.shown.clone(), error }
    }
}

/// Begins a read transaction: what is read from now on is the file as it is now.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    // A view of a foreign file may not call functions that act.
    connection.execute_batch("pragma trusted_schema = off; pragma query_only = on; begin")?;
    // The first select takes the snapshot that every later one reads.
    connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))
}

/// Gives the rows of a select, and says what was read; the number of its first row is `first_row`.
fn read_rows(
    mut cursor: rusqlite::Rows<'_>,
    table: &SourceTable,
    first_row: u64,
    failed: &dyn Fn(rusqlite::Error) -> Error,
    take: &Take<'_>,
) -> Result<Read, Error> {
    let (mut rows, mut keys) = (Rows::numbered_from(table, first_row), Keys::default());
    let is_key: Vec<bool> = table.columns.iter().map(|column| table.key.contains(&column.name)).collect();
    while let Some(row) = cursor.next().map_err(failed)? {
        rows.row(|column| {
            // There are as many columns as were selected.
            let Ok(value) = row.get_ref(column) else { return Raw::Fault(Reason::RaggedRow) };
            if is_key.get(column) == Some(&true) {
                keys.part(value);
            }
            match value {
                ValueRef::Null => Raw::Null,
                ValueRef::Integer(value) => Raw::Int(value),
                ValueRef::Real(value) => Raw::Float(value),
                ValueRef::Text(bytes) => Raw::Text(bytes),
                ValueRef::Blob(bytes) => Raw::Bytes(bytes),
            }
        });
        keys.end_row();
        rows.hand_over_when_full(take)?;
    }
    rows.hand_over(take)?;
    Ok(Read { rows: rows.taken(), keys: keys.digest() })
}
