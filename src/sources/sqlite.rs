//! SQLite files, opened read-only and read in one transaction.
//!
//! SQLite types values, not columns: a text in an `integer` column is possible,
//! and is a fault of its row. The file is not opened as immutable: another
//! process may be writing, and then its locks must be respected.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::values::{Raw, Reason, Rows};
use super::{ANY, Answer, Error, Found, Request, Take, counted, selects};
use crate::pipeline::SourceTable;
use crate::pipeline::filter::Dialect;

/// How long to wait for another process that has the file locked.
const BUSY_WAIT: Duration = Duration::from_secs(30);

/// An open file inside its read transaction.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    shown: PathBuf,
}

impl Database {
    /// Opens `path`, which errors name as `shown`.
    pub(super) fn open(path: &Path, shown: &Path) -> Result<Self, Error> {
        if !path.is_file() {
            return Err(Error::NoFile { path: shown.to_path_buf() });
        }
        let failed = |error| Error::Sqlite { path: shown.to_path_buf(), error };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_WAIT).map_err(failed)?;
        // A view of a foreign file may not call functions that act, and counts are over the file as it is now.
        connection.execute_batch("pragma trusted_schema = off; pragma query_only = on; begin").map_err(failed)?;
        // The first select takes the snapshot that every later one reads.
        connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(())).map_err(failed)?;
        Ok(Database { connection, shown: shown.to_path_buf() })
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

    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        let (select, count) = selects(request, &Dialect::Sqlite.quote(&table.from), Dialect::Sqlite);
        let rows_counted: i64 =
            self.connection.query_row(&count, [], |row| row.get(0)).map_err(|error| self.failed(error))?;
        let mut statement = self.connection.prepare(&select).map_err(|error| self.failed(error))?;
        let mut cursor = statement.query([]).map_err(|error| self.failed(error))?;
        let mut rows = Rows::new(table);
        while let Some(row) = cursor.next().map_err(|error| self.failed(error))? {
            rows.row(|column| match row.get_ref(column) {
                Ok(ValueRef::Null) => Raw::Null,
                Ok(ValueRef::Integer(value)) => Raw::Int(value),
                Ok(ValueRef::Real(value)) => Raw::Float(value),
                Ok(ValueRef::Text(bytes)) => Raw::Text(bytes),
                Ok(ValueRef::Blob(bytes)) => Raw::Bytes(bytes),
                // There are as many columns as were selected.
                Err(_) => Raw::Fault(Reason::RaggedRow),
            });
            rows.hand_over_when_full(take)?;
        }
        rows.hand_over(take)?;
        Ok(Answer {
            asked: select,
            counted: counted(u64::try_from(rows_counted).unwrap_or(0)),
            received: counted(rows.taken()),
        })
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        Error::Sqlite { path: self.shown.clone(), error }
    }
}
