//! PostgreSQL servers: `copy (select …) to stdout (format binary)`, inside one
//! `repeatable read read only` transaction.
//!
//! Every table of the source, and the count of its rows, is read in that one
//! snapshot. The server may only be on this machine: the connection is not
//! encrypted. What a server says is shown to people only where it cannot quote
//! a value of a row.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use tokio::runtime::Runtime;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, Config, NoTls};

use super::pgcopy::{Decode, Decoder};
use super::values::Rows;
use super::{Answer, Error, Found, Request, Take, counted, quote, selects};
use crate::pipeline::filter::Dialect;
use crate::pipeline::{Server, SourceTable};

/// How long to wait for a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one statement may run at the server: longer than the largest copy, shorter than a night.
const STATEMENT_TIMEOUT: &str = "2h";

/// How long to wait for a table that someone is altering.
const LOCK_TIMEOUT: &str = "60s";

/// How long our transaction may hold back the server's clean-up while we do nothing.
const IDLE_TIMEOUT: &str = "10min";

/// A connection inside its transaction.
pub struct Session {
    runtime: Runtime,
    client: Client,
    /// `host:port/database`, for messages.
    server: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects and takes the snapshot.
    pub(super) fn open(server: &Server, _root: &Path) -> Result<Self, Error> {
        if !is_local(&server.host) {
            return Err(Error::NotLocal { host: server.host.clone() });
        }
        let name = format!("{}:{}/{}", server.host, server.port, server.database);
        let config = config(server)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Runtime { source })?;
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| refused(&name, &error))?;
            // The connection ends with the client; what went wrong on it is told by the client's next call.
            tokio::spawn(async move { drop(connection.await) });
            client
                .batch_execute("begin transaction isolation level repeatable read read only; select 1")
                .await
                .map_err(|error| refused(&name, &error))?;
            Ok::<Client, Error>(client)
        })?;
        Ok(Session { runtime, client, server: name })
    }

    pub(super) fn tables(&mut self) -> Result<Vec<String>, Error> {
        let sql = "select c.relname::text, pg_table_is_visible(c.oid), n.nspname::text \
                   from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                   where c.relkind in ('r', 'v', 'm', 'f', 'p') \
                   and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 3, 1";
        let rows = self.runtime.block_on(self.client.query(sql, &[]));
        let rows = rows.map_err(|error| self.failed("the catalogue", &error))?;
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
        let sql = "select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, \
                   pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select') \
                   from pg_catalog.pg_attribute a \
                   where a.attrelid = pg_catalog.to_regclass($1) and a.attnum > 0 and not a.attisdropped \
                   order by a.attnum";
        let types = format!("select * from {relation} limit 0");
        self.runtime.block_on(async {
            let failed = |error: tokio_postgres::Error| self.failed(&table.from, &error);
            let rows = self.client.query(sql, &[&relation]).await.map_err(failed)?;
            if rows.is_empty() {
                return Ok(None);
            }
            // Preparing needs no grant on the columns, and gives domains as the types behind them.
            let statement = self.client.prepare(&types).await.map_err(failed)?;
            let mut found = Vec::with_capacity(rows.len());
            for (row, column) in rows.iter().zip(statement.columns()) {
                let fills = Decode::of(column.type_()).map_or(&[][..], |(_, fills)| fills);
                let kind = row.try_get::<_, String>(1).map_err(failed)?;
                let granted = row.try_get(3).map_err(failed)?;
                found.push(Found { name: column.name().to_owned(), kind, fills, is_list: false, granted });
            }
            Ok(Some(found))
        })
    }

    pub(super) fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        let table = request.table;
        let (select, count) = selects(request, &relation(table), Dialect::Standard);
        self.runtime.block_on(async {
            let failed = |error: tokio_postgres::Error| self.failed(&table.from, &error);
            let malformed = |_| Error::Protocol { table: table.from.clone() };
            let rows_counted: i64 =
                self.client.query_one(&count, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
            let statement = self.client.prepare(&select).await.map_err(failed)?;
            let mut columns = Vec::with_capacity(table.columns.len());
            for (given, declared) in statement.columns().iter().zip(&table.columns) {
                let (decode, _) = Decode::of(given.type_()).ok_or_else(|| malformed(()))?;
                columns.push((decode, declared.kind));
            }
            let mut decoder = Decoder::new(columns);
            let mut rows = Rows::new(table);
            let copy = format!("copy ({select}) to stdout (format binary)");
            let stream = self.client.copy_out(&copy).await.map_err(failed)?;
            pin_mut!(stream);
            while let Some(bytes) = stream.next().await {
                decoder.feed(&bytes.map_err(failed)?, &mut rows).map_err(|_| malformed(()))?;
                rows.hand_over_when_full(take)?;
            }
            decoder.finish().map_err(|_| malformed(()))?;
            rows.hand_over(take)?;
            let rows_counted = u64::try_from(rows_counted).unwrap_or(0);
            Ok(Answer { asked: select, counted: counted(rows_counted), received: counted(rows.taken()) })
        })
    }

    fn failed(&self, table: &str, error: &tokio_postgres::Error) -> Error {
        let (server, table, said) = (self.server.clone(), table.to_owned(), said(error));
        match error.code() {
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Error::Denied { server, table, said },
            _ => Error::Server { server, table, said },
        }
    }
}

fn config(server: &Server) -> Result<Config, Error> {
    let mut config = Config::new();
    config
        .host(&server.host)
        .port(server.port)
        .dbname(&server.database)
        .user(&server.user)
        .application_name("chudong")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(Duration::from_secs(60))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(30))
        .options(format!(
            "-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout={LOCK_TIMEOUT} \
             -c idle_in_transaction_session_timeout={IDLE_TIMEOUT} -c default_transaction_read_only=on"
        ));
    if let Some(secret) = &server.password {
        config.password(secret.resolve()?.reveal());
    }
    Ok(config)
}

/// Only what cannot leave this machine.
fn is_local(host: &str) -> bool {
    host == "localhost"
        || host.starts_with('/')
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The table as SQL names it: `"schema"."table"`, or `"table"` on the search path.
fn relation(table: &SourceTable) -> String {
    match table.from.split_once('.') {
        Some((schema, name)) => format!("{}.{}", quote(schema), quote(name)),
        None => quote(&table.from),
    }
}

fn refused(server: &str, error: &tokio_postgres::Error) -> Error {
    let (server, said) = (server.to_owned(), said(error));
    match error.as_db_error() {
        // The server itself is not ready, or full.
        Some(db) if db.code().code().starts_with("57") || db.code().code().starts_with("53") => {
            Error::Unreachable { server, said }
        }
        Some(_) => Error::Refused { server, said },
        None => Error::Unreachable { server, said },
    }
}

/// What may be repeated of what the server said.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) if is_about_the_schema(db) => format!("{} ({})", db.message(), db.code().code()),
        // "invalid input syntax for type integer: \"Nguyễn …\"": a message of another class can quote a row.
        Some(db) => format!("SQLSTATE {}", db.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Whether the message speaks of names, rights and resources only, never of values.
fn is_about_the_schema(error: &DbError) -> bool {
    let class = error.code().code().get(..2).unwrap_or_default();
    // 08 connection, 28 authorisation, 3D database, 3F schema, 53 resources, 55 object state, 57 operator.
    ["08", "28", "3D", "3F", "53", "55", "57"].contains(&class)
        || [&SqlState::INSUFFICIENT_PRIVILEGE, &SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_COLUMN]
            .contains(&error.code())
}
