//! Whatever an ODBC driver reaches: SQL Server, Oracle, Db2.
//!
//! Rows are fetched one at a time: of a block of rows in which one fails, a
//! driver reports success and marks the row, which the library does not hand
//! on; of a single row it reports the error. That is why arrow-odbc, which reads
//! in such blocks, is not used: a value that it cannot convert fails its whole
//! block or becomes empty, and it does not say which row it was. Values are fetched as text, because
//! drivers turn what they cannot convert into zero or nothing; floating-point
//! numbers alone are fetched as such, because their text may be rounded. Whether
//! a connection is protected is a matter of its driver and its connection
//! string. Tables are described before the transaction begins, and all of them
//! are read inside it. A driver that would keep a whole result in memory has to
//! be told not to in the connection string (PostgreSQL's: `UseDeclareFetch=1`).

mod columns;
mod connect;
mod fetch;

use odbc_api::{Connection, Cursor, CursorImpl, ResultSetMetadata};

use self::columns::Form;
use self::fetch::{Fetch, Keys};
use super::predicate::{self, Sifter};
use super::values::{Rows, units};
use super::{Answer, Error, Found, Request, Take, Totals, selects};
use crate::pipeline::filter::{Condition, Dialect};
use crate::pipeline::{SourceTable, Type};

type Statement<'s> = CursorImpl<odbc_api::handles::StatementImpl<'s>>;

/// How long one statement may run, in seconds, where the driver can stop it.
const STATEMENT_SECONDS: usize = 2 * 60 * 60;

/// A connection, and from the first reading on its transaction.
pub struct Session {
    connection: Connection<'static>,
    /// The connection string without a secret, for messages.
    server: String,
    /// What the driver calls the database system.
    system: String,
    /// None until the first reading; then whether there is a transaction.
    transaction: Option<bool>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("system", &self.system).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.transaction == Some(true) {
            // A connection inside a transaction cannot be closed; nothing was written in it.
            drop(self.connection.rollback());
        }
    }
}

impl Session {
    /// Names for advice; a driver that cannot list them gives none.
    pub(super) fn tables(&mut self) -> Result<Vec<String>, Error> {
        let Ok(rows) = self.connection.tables("", "", "", "") else { return Ok(Vec::new()) };
        let names = rows.map_while(Result::ok).filter_map(|row| Some(row.table.as_str().ok()??.to_owned()));
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        match self.columns_of(table, "*") {
            Ok(found) => Ok(Some(found)),
            Err(Failed { is_missing: true, .. }) => Ok(None),
            // Without a right to all columns, the granted ones are asked for one by one.
            Err(Failed { error: Error::Denied { .. }, .. }) => self.granted(table).map(Some),
            Err(Failed { error, .. }) => Err(error),
        }
    }

    fn granted(&self, table: &SourceTable) -> Result<Vec<Found>, Error> {
        let mut found = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let name = column.name.clone();
            match self.columns_of(table, &format!("t.{}", Dialect::Odbc.quote(&name))) {
                Ok(one) => found.extend(one),
                Err(Failed { is_missing: true, .. }) => {}
                Err(Failed { error: Error::Denied { .. }, .. }) => {
                    let kind = "hidden from our account".to_owned();
                    found.push(Found { name, kind, fills: &[], is_list: false, granted: false });
                }
                Err(Failed { error, .. }) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The columns of a select that gives no row.
    fn columns_of(&self, table: &SourceTable, columns: &str) -> Result<Vec<Found>, Failed> {
        let failed = |error| connect::failed(&self.server, &table.from, &error);
        let sql = format!("select {columns} from {} t where 1 = 0", relation(table));
        let mut cursor = self.cursor(table, &sql)?;
        let count = u16::try_from(cursor.num_result_cols().map_err(failed)?).unwrap_or(0);
        let mut found = Vec::with_capacity(usize::from(count));
        for number in 1..=count {
            let kind = cursor.col_data_type(number).map_err(failed)?;
            let name = cursor.col_name(number).map_err(failed)?;
            let fills = columns::fills(kind, self.is_sqlite());
            found.push(Found { name, kind: columns::word(kind), fills, is_list: false, granted: true });
        }
        Ok(found)
    }

    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        self.begin(table)?;
        let pushed = self.pushed(request)?;
        let is_judged_here = pushed.is_none() && request.condition.is_some();
        let sifter = Sifter::new(Request { condition: request.condition.filter(|_| is_judged_here), ..request }, take);
        let take: &Take<'_> = &|batch| sifter.take(batch);
        let request = Request { condition: pushed.as_ref(), ..request };
        let (select, count) = selects(request, &relation(table), Dialect::Odbc);
        let rows_counted = self.texts(table, &count)?;
        let rows_counted = rows_counted.first().cloned().flatten().and_then(|text| text.trim().parse::<u64>().ok());
        let mut counted = super::counted(rows_counted.ok_or_else(|| self.protocol(table))?);
        let places: Vec<_> = places(table);
        let mut fetch = Fetch::new(self.cursor(table, &select)?, &self.server, table)?;
        if fetch.forms().len() != table.columns.len() {
            return Err(self.protocol(table));
        }
        let forms = fetch.forms().to_vec();
        let (mut rows, mut keys, mut texts) = (Rows::new(table), Keys::new(), Vec::new());
        let mut fetched = || {
            while let Some(row) = fetch.next()? {
                row.put(&mut rows, &mut texts);
                keys.add(&row, &places);
                rows.hand_over_when_full(take)?;
            }
            rows.hand_over(take)
        };
        sifter.outcome(fetched())?;
        drop(fetch);
        let mut received = Totals { rows: rows.taken(), keys: None, sums: rows.sums() };
        // Without a transaction a second reading may rightly differ from the first.
        if self.transaction == Some(true) && !places.is_empty() {
            received.keys = Some(keys.digest());
            counted.keys = Some(self.keys(table, request.condition)?);
        }
        self.sums(table, request.condition, &forms, &mut counted)?;
        let (counted, received) = super::comparable(counted, received);
        Ok(sifter.without_left_out(Answer { asked: select, counted, received }))
    }

    /// The condition as the system may judge it: moments are compared with moments. None where it would compare
    /// a text with a date, which each does in its own way, and SQLite whatever the column is called.
    fn pushed(&self, request: Request<'_>) -> Result<Option<Condition>, Error> {
        let Some(condition) = request.condition else { return Ok(None) };
        let table = request.table;
        let names = predicate::columns(condition);
        let columns: Vec<_> = table.columns.iter().filter(|column| names.contains(&column.name.as_str())).collect();
        let list: Vec<_> = columns.iter().map(|column| format!("t.{}", Dialect::Odbc.quote(&column.name))).collect();
        let sql = format!("select {} from {} t where 1 = 0", list.join(", "), relation(table));
        let mut cursor = self.cursor(table, &sql)?;
        let mut moments = Vec::new();
        for (number, column) in (1..).zip(&columns) {
            let kind = cursor.col_data_type(number);
            let form = Form::of(kind.map_err(|error| connect::failed(&self.server, &table.from, &error).error)?);
            let is_of_time = matches!(column.kind, Type::Date | Type::Timestamp | Type::Instant);
            if is_of_time && (self.is_sqlite() || matches!(form, Some(Form::Text | Form::Padded))) {
                return Ok(None);
            }
            if form == Some(Form::Moment) {
                moments.push(column.name.as_str());
            }
        }
        Ok(Some(condition.of_moments(&|name| moments.contains(&name))))
    }

    /// The digest of all keys by a second reading of them alone.
    fn keys(&self, table: &SourceTable, condition: Option<&Condition>) -> Result<u64, Error> {
        let columns: Vec<_> = table.key.iter().map(|name| format!("t.{}", Dialect::Odbc.quote(name))).collect();
        let sql = format!("select {} from {} t{}", columns.join(", "), relation(table), rows(condition));
        let mut fetch = Fetch::new(self.cursor(table, &sql)?, &self.server, table)?;
        let places: Vec<_> = (0..table.key.len()).collect();
        let mut keys = Keys::new();
        while let Some(row) = fetch.next()? {
            keys.add(&row, &places);
        }
        Ok(keys.digest())
    }

    /// The control totals that the system can sum exactly.
    fn sums(
        &self,
        table: &SourceTable,
        condition: Option<&Condition>,
        forms: &[Form],
        counted: &mut Totals,
    ) -> Result<(), Error> {
        let places = table.columns.iter().zip(forms).filter(|(column, _)| table.control_totals.contains(&column.name));
        let exact: Vec<_> = places
            .filter_map(|(column, form)| {
                let name = format!("t.{}", Dialect::Odbc.quote(&column.name));
                let scale = if let Type::Decimal { scale, .. } = column.kind { scale } else { 0 };
                match form {
                    // The sum of a whole number would be one, and might not hold it.
                    Form::Whole => Some((column, format!("sum(cast({name} as decimal(38, 0)))"), scale)),
                    // SQLite sums whatever has a point in floating point.
                    Form::Exact if !self.is_sqlite() => Some((column, format!("sum({name})"), scale)),
                    _ => None,
                }
            })
            .collect();
        if exact.is_empty() {
            return Ok(());
        }
        let parts: Vec<_> = exact
            .iter()
            .map(|(column, sum, _)| format!("count(t.{}), {sum}", Dialect::Odbc.quote(&column.name)))
            .collect();
        let sql = format!("select {} from {} t{}", parts.join(", "), relation(table), rows(condition));
        let texts = self.texts(table, &sql)?;
        for ((column, _, scale), pair) in exact.iter().zip(texts.chunks(2)) {
            let [Some(filled), sum] = pair else { return Err(self.protocol(table)) };
            let filled = filled.trim().parse::<u64>().map_err(|_| self.protocol(table))?;
            let sum = sum.as_deref().unwrap_or("0");
            // A sum with more decimals than are declared has values that are faults.
            if let Some(units) = units(sum.trim().as_bytes(), *scale) {
                counted.sums.insert(column.name.clone(), (filled, units));
            }
        }
        Ok(())
    }

    /// The one row of a select, as text.
    fn texts(&self, table: &SourceTable, sql: &str) -> Result<Vec<Option<String>>, Error> {
        let failed = |error| connect::failed(&self.server, &table.from, &error).error;
        let mut cursor = self.cursor(table, sql)?;
        let count = u16::try_from(cursor.num_result_cols().map_err(failed)?).unwrap_or(0);
        let mut row = cursor.next_row().map_err(failed)?.ok_or_else(|| self.protocol(table))?;
        let mut texts = Vec::with_capacity(usize::from(count));
        for number in 1..=count {
            let mut text = Vec::new();
            let is_filled = row.get_text(number, &mut text).map_err(failed)?;
            texts.push(is_filled.then(|| String::from_utf8_lossy(&text).into_owned()));
        }
        Ok(texts)
    }

    /// What a select opens. One that opens nothing has not been understood, and is no empty table.
    fn cursor(&self, table: &SourceTable, sql: &str) -> Result<Statement<'_>, Failed> {
        let failed = |error| connect::failed(&self.server, &table.from, &error);
        let mut statement = self.connection.preallocate().map_err(failed)?;
        // SQLite's driver, for one, cannot stop a statement; it has to do without.
        drop(statement.set_query_timeout_sec(STATEMENT_SECONDS));
        let cursor = statement.into_cursor(sql, ()).map_err(failed)?;
        cursor.ok_or_else(|| Failed { error: self.protocol(table), is_missing: false })
    }

    fn is_sqlite(&self) -> bool {
        self.system.starts_with("SQLite")
    }

    fn protocol(&self, table: &SourceTable) -> Error {
        Error::Protocol { table: table.from.clone() }
    }
}

/// Why a statement failed, and whether because of what is not there.
struct Failed {
    error: Error,
    is_missing: bool,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// Where the parts of the key stand among the columns.
fn places(table: &SourceTable) -> Vec<usize> {
    let place = |part: &String| table.columns.iter().position(|column| column.name == *part);
    table.key.iter().filter_map(place).collect()
}

fn rows(condition: Option<&Condition>) -> String {
    condition.map(|condition| format!(" where {}", condition.sql(Dialect::Odbc))).unwrap_or_default()
}

/// The table as SQL names it: `"schema"."table"`, or `"table"` where the account is at home.
fn relation(table: &SourceTable) -> String {
    let quote = |name| Dialect::Odbc.quote(name);
    match table.from.split_once('.') {
        Some((schema, name)) => format!("{}.{}", quote(schema), quote(name)),
        None => quote(&table.from),
    }
}
