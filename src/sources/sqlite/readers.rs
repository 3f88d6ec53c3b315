//! Several connections that see one state of the file, and what they read together.
//!
//! A file without write-ahead log cannot change while any connection reads it. One
//! with a log can, and each reader keeps the state that it began with; so a
//! connection that reads nothing asks for the file's version before the first
//! reader begins and after the last has begun. When both are the same, nobody
//! has written in between, and all see the same state. When they are not, one
//! connection reads alone.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Result};

use super::super::blocks::{locked, threads};
use super::super::{Error, Take};
use super::proof::{self, Read, Sums};
use super::{begin, read_rows};
use crate::pipeline::SourceTable;

/// Files below this are read by one connection.
const SMALL_BYTES: u64 = 16 << 20;

/// Tables whose rowids lie less far apart are read by one connection.
pub(super) const SMALL_ROWS: u64 = 200_000;

/// How often to try to begin all readers while nobody writes.
const ATTEMPTS: usize = 5;

/// Parts of a table for each reader: rowids have gaps, and a reader that is done takes the next part.
const PARTS: i64 = 16;

/// Opens the file read-only.
pub(super) fn open(path: &Path, busy_wait: Duration) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_wait)?;
    proof::register(&connection)?;
    Ok(connection)
}

/// Begins the first reader and others that see what it sees; none where that cannot be had.
pub(super) fn begin_all(path: &Path, first: &Connection) -> Result<Vec<Connection>> {
    begin(first)?;
    let is_small = path.metadata().is_ok_and(|found| found.len() < SMALL_BYTES);
    if is_small || threads() < 2 {
        return Ok(Vec::new());
    }
    let witness = open(path, Duration::ZERO)?;
    let version = || witness.query_row("pragma data_version", [], |row| row.get::<_, i64>(0));
    for _ in 0..ATTEMPTS {
        first.execute_batch("rollback")?;
        let Ok(before) = version() else { break };
        begin(first)?;
        let others = (1..threads()).map(|_| {
            // A writer that waits for us lets nobody new begin; then there are no others.
            let other = open(path, Duration::ZERO)?;
            begin(&other).map(|()| other)
        });
        let others = others.collect::<Result<Vec<_>>>();
        match (others, version()) {
            (Ok(others), Ok(after)) if before == after => return Ok(others),
            (Ok(_), Ok(_)) => {}
            _ => return Ok(Vec::new()),
        }
    }
    if first.is_autocommit() {
        begin(first)?;
    }
    Ok(Vec::new())
}

/// The name by which a table's rows have numbers; none for a view, a virtual table and one without them.
pub(super) fn rowid(connection: &Connection, table: &str) -> Result<Option<&'static str>> {
    let sql = "select count(*) from pragma_table_list where schema = 'main' and name = ?1 collate nocase \
               and type = 'table' and wr = 0";
    if connection.query_row(sql, [table], |row| row.get::<_, i64>(0))? != 1 {
        return Ok(None);
    }
    let mut statement = connection.prepare("select lower(name) from pragma_table_xinfo(?1)")?;
    let columns = statement.query_map([table], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>>>()?;
    // A column of that name would hide it.
    Ok(["rowid", "_rowid_", "oid"].into_iter().find(|name| !columns.iter().any(|column| column == name)))
}

/// What is read: `select` and `count`, of rows and keys, take the first and the last rowid of a part.
pub(super) struct Parted<'a> {
    pub(super) table: &'a SourceTable,
    pub(super) select: &'a str,
    pub(super) count: &'a str,
    /// The least and the greatest rowid.
    pub(super) range: (i64, i64),
    /// Counts and sums the whole table, by itself.
    pub(super) in_all: &'a InAll<'a>,
}

/// How many rows a table has, and the sums of its columns, without parts.
pub(super) type InAll<'a> = dyn Fn(&Connection) -> Result<(u64, Sums)> + Sync + 'a;

impl Parted<'_> {
    /// Reads all parts on all connections; gives what SQLite counted in all and in parts, and what was read. Rows are
    /// numbered in the order of their rowids, which is that of one reader.
    pub(super) fn read(
        &self,
        connections: &mut [&mut Connection],
        failed: &(dyn Fn(rusqlite::Error) -> Error + Sync),
        take: &Take<'_>,
    ) -> std::result::Result<((u64, Sums), Read, Read), Error> {
        let parts = parts(self.range, connections.len());
        let in_all = Mutex::new(None);
        // One connection counts the whole while the others begin with the parts.
        let counts = on_all(connections, parts.len() + 1, &|connection, task| {
            let Some(part) = task.checked_sub(1) else {
                *locked(&in_all) = Some((self.in_all)(connection).map_err(failed)?);
                return Ok(Read::default());
            };
            let range = parts.get(part).copied().unwrap_or((0, -1));
            let mut statement = connection.prepare_cached(self.count).map_err(failed)?;
            statement.query_row(range, Read::counted).map_err(failed)
        })?;
        let counts: Vec<Read> = counts.into_iter().skip(1).collect();
        let in_all = in_all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).unwrap_or_default();
        let first_row = |part: usize| 1 + counts.iter().take(part).map(|part| part.rows).sum::<u64>();
        let taken = on_all(connections, parts.len(), &|connection, part| {
            let range = parts.get(part).copied().unwrap_or((0, -1));
            let mut statement = connection.prepare_cached(self.select).map_err(failed)?;
            let cursor = statement.query(range).map_err(failed)?;
            read_rows(cursor, self.table, first_row(part), failed, take)
        })?;
        Ok((in_all, Read::sum(&counts), Read::sum(&taken)))
    }
}

/// Parts of about the same width, in order.
fn parts((least, greatest): (i64, i64), readers: usize) -> Vec<(i64, i64)> {
    let wanted = i128::from(PARTS) * i128::try_from(readers).unwrap_or(1);
    // Rowids are any 64-bit numbers, and their distance may need one bit more.
    let (least, greatest) = (i128::from(least), i128::from(greatest));
    let width = ((greatest - least + 1) / wanted).max(1);
    let mut parts = Vec::new();
    let mut start = least;
    while start <= greatest {
        let end = (start + width - 1).min(greatest);
        if let (Ok(start), Ok(end)) = (i64::try_from(start), i64::try_from(end)) {
            parts.push((start, end));
        }
        start = end + 1;
    }
    parts
}

/// Does the work of each part on one of the connections; what came of each, in order.
fn on_all(
    connections: &mut [&mut Connection],
    parts: usize,
    work: &(dyn Fn(&Connection, usize) -> std::result::Result<Read, Error> + Sync),
) -> std::result::Result<Vec<Read>, Error> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Ok(vec![Read::default(); parts])));
    let reader = |connection: &Connection| {
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                return;
            }
            let outcome = work(connection, part);
            let mut done = locked(&done);
            match (&mut *done, outcome) {
                (Ok(counts), Ok(count)) => {
                    if let Some(slot) = counts.get_mut(part) {
                        *slot = count;
                    }
                }
                (Err(_), _) => return,
                (done, Err(error)) => {
                    *done = Err(error);
                    // Nobody begins another part.
                    next.store(parts, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for connection in connections.iter_mut() {
            let reader = &reader;
            let thread = std::thread::Builder::new().name("read".to_owned());
            if let Err(source) = thread.spawn_scoped(scope, move || reader(connection)) {
                *locked(&done) = Err(Error::Runtime { source });
                next.store(parts, Ordering::Relaxed);
            }
        }
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
