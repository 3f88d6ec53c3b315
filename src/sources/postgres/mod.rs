//! PostgreSQL servers, version 14 and newer: `copy (select …) to stdout (format
//! binary)`, inside one `repeatable read read only` transaction.
//!
//! Every table of the source, and the server's own totals of it, is read in that
//! one snapshot. A large table is read by several connections at once, each over
//! ranges of its pages; they share the snapshot of the first. Each range is
//! counted before it is copied: so a row has the number that it would have if
//! one connection read the table in the order of its pages, whichever of them
//! reads it and whenever. Rows of a view are numbered as they come. A table that
//! is given up in the middle is broken off at the server, and those after it are
//! read in the same snapshot.

mod binary;
mod cells;
mod connection;
mod decode;
mod hash;
mod proof;
mod ranges;
mod readers;
mod tap;
mod types;
mod wire;

use std::path::Path;
use std::sync::atomic::Ordering;

use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use connection::{Connection, Failure, Halt, Target};
use decode::{Copied, CopyRows, Plan, add};
use proof::Proof;
use ranges::Division;
use readers::{Reader, connect, each, side_by_side};
use types::{Decode, Reading};

use super::predicate::{self, Sifter};
use super::{Answer, BATCH_ROWS, Error, Found, Request, Take, Totals, quote};
use crate::pipeline::filter::Dialect;
use crate::pipeline::{Family, Server, SourceTable};

/// What every connection begins with. A moment that lands as a day is compared with a day in our zone, and what the
/// server writes as text is the same text, however the server, the database or our account are set up.
const BEGIN: &str = "begin transaction isolation level repeatable read read only; \
                     set local time zone 'Asia/Ho_Chi_Minh'; set local datestyle = 'ISO, DMY'; \
                     set local intervalstyle = 'postgres'";

/// The oldest server that has what is asked of it, as it numbers itself.
const OLDEST: i64 = 140_000;

/// A server, and the connection whose snapshot all others share.
pub struct Session {
    target: Target,
    first: Connection,
    /// By which other connections find the snapshot.
    snapshot: String,
    /// Whether the server hashes keys as we do.
    hashes: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.target.name).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects and takes the snapshot. `root` is the installation folder.
    pub(super) fn open(server: &Server, root: &Path) -> Result<Self, Error> {
        let target = Target::new(server, root)?;
        let sql = "select pg_catalog.current_setting('server_version_num'), \
                   pg_catalog.current_setting('server_version'), pg_catalog.pg_export_snapshot(), \
                   pg_catalog.hashtextextended('chủ động: 行政' collate \"C\", 5)";
        let (first, known) = Connection::open_and(&target, BEGIN, async |client| client.simple_query(sql).await)?;
        let failed = |failure| target.explain("the snapshot", failure);
        let known = rows(known.map_err(|error| failed(Failure::Library(error)))?);
        let field = |column| known.first().and_then(|row| row.get(column)).map(str::to_owned);
        let number = |column| field(column).and_then(|text| text.parse::<i64>().ok());
        let (Some(number), Some(version), Some(snapshot), Some(digest)) = (number(0), field(1), field(2), number(3))
        else {
            return Err(failed(Failure::Malformed));
        };
        if number < OLDEST {
            return Err(Error::TooOld { server: target.name, version });
        }
        let hashes = hash::of_text("chủ động: 行政".as_bytes(), 5) == digest.cast_unsigned();
        Ok(Session { target, first, snapshot, hashes })
    }

    pub(super) fn tables(&mut self) -> Result<Vec<String>, Error> {
        let sql = "select c.relname::text, pg_catalog.pg_table_is_visible(c.oid), n.nspname::text \
                   from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                   where c.relkind in ('r', 'v', 'm', 'f', 'p') \
                   and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 3, 1";
        let rows = self.first.run(None, None, async |client| Ok(client.query(sql, &[]).await?));
        let rows = rows.map_err(|failure| self.target.explain("the catalogue", failure))?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                let (name, visible, schema): (String, bool, String) =
                    (row.try_get(0).ok()?, row.try_get(1).ok()?, row.try_get(2).ok()?);
                Some(if visible { name } else { format!("{schema}.{name}") })
            })
            .collect())
    }

    pub(super) fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        let relation = relation(table);
        let sql = format!(
            "select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), \
             pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select') \
             from pg_catalog.pg_attribute a \
             where a.attrelid = pg_catalog.to_regclass({}) and a.attnum > 0 and not a.attisdropped \
             order by a.attnum",
            literal(&relation)
        );
        let types = format!("select * from {relation} limit 0");
        let found = self.apart(|session| {
            session.first.run(None, None, async |client| {
                let rows = rows(client.simple_query(&sql).await?);
                if rows.is_empty() {
                    return Ok(None);
                }
                // Preparing needs no grant on the columns, and gives domains as the types behind them.
                let statement = client.prepare(&types).await?;
                let mut found = Vec::with_capacity(rows.len());
                for (row, column) in rows.iter().zip(statement.columns()) {
                    let Reading { fills, is_list, .. } = Reading::of(column.type_());
                    let (kind, granted) =
                        (row.try_get(1)?.unwrap_or_default().to_owned(), row.try_get(2)? == Some("t"));
                    found.push(Found { name: column.name().to_owned(), kind, fills, is_list, granted });
                }
                Ok(Some(found))
            })
        });
        found.map_err(|failure| self.target.explain(&table.from, failure))
    }

    /// Reads the rows, one connection or several at once, and what the server counts of them.
    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        let read = self.apart(|session| {
            let job = session.plan(request)?;
            let judged_here = request.condition.filter(|_| job.condition.is_none());
            let sifter = Sifter::new(Request { condition: judged_here, ..request }, take);
            let sift: &Take<'_> = &|batch| sifter.take(batch);
            let job = Job { take: sift, ..job };
            let worked = session.work(&job);
            // The filter's own error goes before the stop that it caused.
            sifter.outcome(Ok(())).map_err(Failure::Ours)?;
            let (counted, received) = worked?;
            let (counted, received) = comparable(counted, received);
            let mut asked = job.select("");
            if let Some(condition) = judged_here {
                asked.push_str(&format!("; of which are taken: {}", condition.sql(Dialect::Standard)));
            }
            Ok(sifter.without_left_out(Answer { asked, counted, received }))
        });
        read.map_err(|failure| self.target.explain(&table.from, failure))
    }

    /// Does the work so that its failure leaves the snapshot as it was, for the tables after it.
    fn apart<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        self.first.before("savepoint apart");
        let done = work(self);
        // Another reader may have failed, or the taker may want no more, in the middle of what the first was sent.
        if !matches!(done, Ok(_) | Err(Failure::Silent)) {
            self.first.turn_back(&self.target);
        }
        if done.is_ok() {
            self.first.before("release apart");
            return done;
        }
        // Where the connection itself is lost, the failure of the work says more than this one's.
        self.first.before("rollback to apart");
        let back = self.first.run(None, None, async |client| Ok(client.batch_execute("release apart").await?));
        done.and_then(|done| back.map(|()| done))
    }

    /// What is to be done for a request.
    fn plan<'r>(&mut self, request: Request<'r>) -> Result<Job<'r>, Failure> {
        let table = request.table;
        let relation = relation(table);
        let names: Vec<_> = table.columns.iter().map(|column| format!("t.{}", quote(&column.name))).collect();
        let plain = format!("select {} from {relation} as t", names.join(", "));
        let readers = self.target.readers();
        let hashes = self.hashes;
        self.first.run(None, None, async |client| {
            let sizes = ranges::pages(client, &relation, readers);
            let prepared = async { Ok(client.prepare(&plain).await?) };
            // Asked together: the server need not wait for us between its answers.
            let (statement, sizes) = futures::future::try_join(prepared, sizes).await?;
            let readings: Vec<_> = statement.columns().iter().map(|column| Reading::of(column.type_())).collect();
            // In the order in which they stand in a row: where all are granted, the server sends rows as they lie.
            let mut asked: Vec<_> = table.columns.iter().zip(&readings).enumerate().collect();
            asked.sort_by_key(|(index, _)| statement.columns().get(*index).and_then(|column| column.column_id()));
            let proof = Proof::new(table, asked.iter().map(|(_, column)| *column), hashes);
            let plans = asked.iter().map(|(index, (column, reading))| Plan {
                column: *index,
                decode: reading.decode,
                is_list: reading.is_list,
                key: proof.key(table, column, reading),
                is_summed: proof.sums(column),
            });
            let columns = asked.iter().map(|(_, (column, reading))| {
                let cast = reading.cast.map(|kind| format!("::{kind}")).unwrap_or_default();
                format!("t.{}{cast}", quote(&column.name))
            });
            let is_of_text = |name: &str| {
                table.columns.iter().any(|column| column.name == name && column.kind.family() == Family::Text)
            };
            let loose = match request.condition {
                Some(found) if predicate::columns(found).into_iter().any(is_of_text) => {
                    loose_columns(client, &relation).await?
                }
                _ => Vec::new(),
            };
            // PostgreSQL compares no text with a date; what is a date in our format is judged here. And so is text
            // that the server takes for the same as other text, by its type (citext) or by its collation.
            let is_judged_here = |name: &str| {
                table.columns.iter().zip(&readings).any(|(column, reading)| {
                    let is_text = matches!(reading.decode, Decode::Text | Decode::Padded);
                    let is_other = column.kind.family() != Family::Text || reading.cast == Some("text");
                    column.name == name && is_text && (is_other || loose.contains(&column.name))
                })
            };
            let condition =
                request.condition.filter(|found| !predicate::columns(found).into_iter().any(is_judged_here));
            let request = Request { condition, ..request };
            let mut job = Job {
                table,
                columns: columns.collect::<Vec<_>>().join(", "),
                from: format!("{relation} as t"),
                condition: request.condition.map(|condition| condition.sql(Dialect::Standard)),
                plans: plans.collect(),
                proof,
                division: Division::Whole,
                take: &|_| Ok(()),
            };
            job.division = ranges::divide(client, &sizes, &job.select(""), request, readers).await?;
            Ok(job)
        })
    }

    /// Does a job; the totals are the server's and ours.
    fn work(&mut self, job: &Job<'_>) -> Result<(Totals, Totals), Failure> {
        match &job.division {
            Division::Whole => {
                let counted = job.count(&mut self.first, "", None)?;
                Ok((counted, job.copy(&mut self.first, "", 1, None)?))
            }
            Division::Sought { rows } if *rows <= TOGETHER_ROWS_MAX => self.copy_with_totals(job, *rows),
            Division::Sought { .. } => self.count_beside(job),
            Division::Ranges(ranges) => self.work_in_ranges(job, ranges),
        }
    }

    /// Copies what an index finds, each row with the server's totals of all of them, so that the server fetches each
    /// once; where it thinks that they are many, as many of its processes as we have readers fetch them together.
    fn copy_with_totals(&mut self, job: &Job<'_>, rows: u64) -> Result<(Totals, Totals), Failure> {
        let is_helped = rows >= HELPED_ROWS_MIN;
        if is_helped {
            let helpers = self.target.readers() - 1;
            self.first.before(&format!("set local max_parallel_workers_per_gather = {helpers}; {HELPED}"));
        }
        let Copied { received, counted } = job.copy_with_totals(&mut self.first)?;
        if is_helped {
            self.first.before(UNHELPED);
        }
        Ok((counted.ok_or(Failure::Malformed)?, received))
    }

    /// Copies what an index finds, and has another connection count it meanwhile: what both cost the server is to
    /// fetch the rows from all over a large table, and one after the other they would take twice as long.
    fn count_beside(&mut self, job: &Job<'_>) -> Result<(Totals, Totals), Failure> {
        const COPIED: usize = 0;
        const COUNTED: usize = 1;
        let target = &self.target;
        let begin = format!("{BEGIN}; set transaction snapshot '{}'", self.snapshot);
        let done = side_by_side(&mut self.first, &mut [None], 2, |reader, next, halt| {
            let (mut drawn, connection) = match reader {
                Reader::First(connection) => {
                    (vec![(COPIED, job.copy(connection, "", 1, Some(halt))?)], Some(connection))
                }
                Reader::Other(slot) => (Vec::new(), connect(target, &begin)?.map(|other| slot.insert(other))),
            };
            // Where there is no room for another connection, or it takes long, the first counts too.
            if let Some(connection) = connection
                && next.fetch_add(1, Ordering::Relaxed) == 0
            {
                drawn.push((COUNTED, job.count(connection, "", Some(halt))?));
            }
            Ok(drawn)
        })?;
        match <[Totals; 2]>::try_from(done) {
            Ok([copied, counted]) => Ok((counted, copied)),
            Err(_) => Err(Failure::Ours(Error::Stopped)),
        }
    }

    /// Counts all ranges, then copies them, on several connections.
    fn work_in_ranges(&mut self, job: &Job<'_>, ranges: &[String]) -> Result<(Totals, Totals), Failure> {
        self.first.before(SERIAL);
        let mut others: Vec<Option<Connection>> = (1..self.target.readers()).map(|_| None).collect();
        // Each range is counted first, so that the number of its first row is known wherever it is read.
        let target = &self.target;
        let begin = format!("{BEGIN}; set transaction snapshot '{}'; {SERIAL}", self.snapshot);
        let counted = side_by_side(&mut self.first, &mut others, ranges.len(), |connection, next, halt| {
            let connection = match connection {
                Reader::First(connection) => connection,
                Reader::Other(slot) => match connect(target, &begin)? {
                    Some(connection) => slot.insert(connection),
                    None => return Ok(Vec::new()),
                },
            };
            each(next, ranges, |_, range| job.count(connection, range, Some(halt)))
        })?;
        let mut first_row = 1;
        let mut first_rows = Vec::with_capacity(counted.len());
        for totals in &counted {
            first_rows.push(first_row);
            first_row += totals.rows;
        }
        let received = side_by_side(&mut self.first, &mut others, ranges.len(), |connection, next, halt| {
            let connection = match connection {
                Reader::First(connection) => connection,
                Reader::Other(Some(connection)) => connection,
                Reader::Other(None) => return Ok(Vec::new()),
            };
            each(next, ranges, |part, range| {
                let first_row = first_rows.get(part).copied().unwrap_or(1);
                job.copy(connection, range, first_row, Some(halt))
            })
        })?;
        self.first.before(PARALLEL);
        Ok((sum(counted), sum(received)))
    }
}

/// Few rows from all over a large table: what takes time is to look at their pages one by one. The planner takes
/// that for the same work whoever does it, and helpers for a loss, unless it is told that pages cost little.
const HELPED: &str = "set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0; \
                      set local min_parallel_table_scan_size = 0; set local min_parallel_index_scan_size = 0; \
                      set local seq_page_cost = 0.01; set local random_page_cost = 0.01";
const UNHELPED: &str = "set local max_parallel_workers_per_gather to default; \
                        set local parallel_setup_cost to default; set local parallel_tuple_cost to default; \
                        set local min_parallel_table_scan_size to default; \
                        set local min_parallel_index_scan_size to default; \
                        set local seq_page_cost to default; set local random_page_cost to default";

/// A process of the server takes longer to begin and to end than another to find some thousand rows, 6 µs each. How many
/// they are is what the planner thinks: of one row in a thousand its sample holds thirty, and it may be wrong by a
/// factor of five.
const HELPED_ROWS_MIN: u64 = 500;

/// So many rows the server keeps for a moment while it adds them up; more would go to its disk.
const TOGETHER_ROWS_MAX: u64 = 50_000;

/// While several connections read, none of them takes helpers of the server: these would change the order of rows.
const SERIAL: &str = "set local max_parallel_workers_per_gather = 0";
const PARALLEL: &str = "set local max_parallel_workers_per_gather to default";

/// A request, ready to be read in parts.
struct Job<'r> {
    table: &'r SourceTable,
    columns: String,
    /// The relation, as `t`.
    from: String,
    condition: Option<String>,
    plans: Vec<Plan>,
    proof: Proof,
    division: Division,
    take: &'r Take<'r>,
}

impl Job<'_> {
    /// The relation and the conditions.
    fn rows(&self, range: &str) -> String {
        let conditions: Vec<_> = self
            .condition
            .iter()
            .map(|condition| format!("({condition})"))
            .chain(Some(range.to_owned()).filter(|range| !range.is_empty()))
            .collect();
        match conditions.as_slice() {
            [] => self.from.clone(),
            all => format!("{} where {}", self.from, all.join(" and ")),
        }
    }

    fn select(&self, range: &str) -> String {
        format!("select {} from {}", self.columns, self.rows(range))
    }

    /// The server's totals of a range.
    fn count(&self, connection: &mut Connection, range: &str, halt: Option<&Halt>) -> Result<Totals, Failure> {
        let select = self.proof.select(&self.rows(range));
        connection.run(halt, None, async |client| Ok(self.proof.totals(&client.query_one(&select, &[]).await?)?))
    }

    /// Copies a range, and says what was received.
    fn copy(
        &self,
        connection: &mut Connection,
        range: &str,
        first_row: u64,
        halt: Option<&Halt>,
    ) -> Result<Totals, Failure> {
        let batch_rows = match self.division {
            // Few rows, which the server takes long to find: those that are here are landed meanwhile.
            Division::Sought { .. } => BATCH_ROWS / 16,
            // So many rows are still in the cache of a core when they are packed by the thread that read them.
            Division::Ranges(_) => BATCH_ROWS / 16,
            Division::Whole => BATCH_ROWS,
        };
        let rows = CopyRows::new(self.table, &self.plans, batch_rows, first_row);
        Ok(connection.copy(&self.select(range), rows, halt, self.take)?.received)
    }

    /// Copies all rows, each with the server's totals of all of them behind it.
    fn copy_with_totals(&self, connection: &mut Connection) -> Result<Copied, Failure> {
        let rows = CopyRows::new(self.table, &self.plans, BATCH_ROWS / 16, 1).with_totals(self.proof.clone());
        let names: Vec<_> = self.table.columns.iter().map(|column| format!("t.{}", quote(&column.name))).collect();
        let select = self.proof.beside(&self.columns, &names, &self.rows(""));
        connection.copy(&select, rows, None, self.take)
    }
}

/// The columns whose collation takes different texts for the same.
async fn loose_columns(client: &tokio_postgres::Client, relation: &str) -> Result<Vec<String>, Failure> {
    let sql = "select a.attname::text from pg_catalog.pg_attribute a \
               join pg_catalog.pg_collation c on c.oid = a.attcollation \
               where a.attrelid = pg_catalog.to_regclass($1) and not c.collisdeterministic";
    let rows = client.query(sql, &[&relation]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

fn sum(parts: Vec<Totals>) -> Totals {
    parts.into_iter().reduce(add).unwrap_or_default()
}

/// What both sides have: a sum that one of them does not have cannot be compared.
fn comparable(mut counted: Totals, mut received: Totals) -> (Totals, Totals) {
    counted.sums.retain(|name, _| received.sums.contains_key(name));
    received.sums.retain(|name, _| counted.sums.contains_key(name));
    if counted.keys.is_none() || received.keys.is_none() {
        (counted.keys, received.keys) = (None, None);
    }
    (counted, received)
}

/// The rows among what a simple query brings.
fn rows(messages: Vec<SimpleQueryMessage>) -> Vec<SimpleQueryRow> {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

/// A text as SQL writes it, whatever the server makes of a backslash elsewhere.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The table as SQL names it: `"schema"."table"`, or `"table"` on the search path.
fn relation(table: &SourceTable) -> String {
    match table.from.split_once('.') {
        Some((schema, name)) => format!("{}.{}", quote(schema), quote(name)),
        None => quote(&table.from),
    }
}
