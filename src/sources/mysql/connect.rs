//! Connecting, setting the session up, and what may be repeated of what a server says.

use std::path::Path;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as MysqlError, Opts, OptsBuilder, SslOpts};

use super::{STALL_TIMEOUT, STATEMENT_TIMEOUT, Session};
use crate::pipeline::Server;
use crate::sources::Error;

/// How long to wait for a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// No such table, no such database, no such column.
pub(super) const NO_SUCH: [u16; 3] = [1146, 1049, 1054];

/// Our account may not: command, column, database, view.
const DENIED: [u16; 8] = [1044, 1142, 1143, 1227, 1345, 1356, 1370, 1410];

/// The server has no room for us, or shuts down.
const NOT_READY: [u16; 5] = [1040, 1053, 1203, 1205, 1226];

/// Whose message names tables, columns, accounts and limits only, never a value: beside those above a killed
/// connection or statement, a time-out, a table that changed, and what a handshake says.
const ABOUT_THE_SCHEMA: [u16; 14] =
    [1045, 1080, 1129, 1130, 1251, 1317, 1412, 1698, 1927, 1969, 3024, 3118, 3159, 1524];

impl Session {
    /// Connects and takes the snapshot. `root` is the folder to which the authority's file is relative.
    pub(in crate::sources) fn open(server: &Server, root: &Path) -> Result<Self, Error> {
        let name = format!("{}:{}/{}", server.host, server.port, server.database);
        let opts = opts(server, root)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Runtime { source })?;
        let connecting = async { tokio::time::timeout(CONNECT_TIMEOUT, Conn::new(opts)).await };
        let conn = match runtime.block_on(connecting) {
            Ok(Ok(conn)) => conn,
            Ok(Err(error)) => return Err(refused(&name, &error)),
            Err(_) => {
                let said = format!("no answer in {} seconds", CONNECT_TIMEOUT.as_secs());
                return Err(Error::Unreachable { server: name, said });
            }
        };
        let mut session = Session { runtime, conn: Some(conn), server: name };
        session.begin()?;
        Ok(session)
    }

    /// Strict, in UTC, with time-outs, in one snapshot.
    fn begin(&mut self) -> Result<(), Error> {
        let version: Option<String> =
            self.run("the session", async |conn| conn.query_first("select @@version").await)?;
        let seconds = STATEMENT_TIMEOUT.as_secs();
        let limit = if version.is_some_and(|version| version.contains("MariaDB")) {
            format!("set session max_statement_time = {seconds}")
        } else {
            format!("set session max_execution_time = {}", seconds * 1000)
        };
        let stall = STALL_TIMEOUT.as_secs();
        // The mode leaves backslashes in literals as `Dialect::Mysql` writes them, and the padding of `char` away.
        let setup = [
            "set session sql_mode = 'STRICT_ALL_TABLES'".to_owned(),
            "set session time_zone = '+00:00', lock_wait_timeout = 60".to_owned(),
            // The rows wait while we sort and write; the server must not take that for a broken connection.
            format!("set session net_write_timeout = {stall}, wait_timeout = {stall}"),
            limit,
            "set names utf8mb4".to_owned(),
            "set session transaction isolation level repeatable read".to_owned(),
            "start transaction with consistent snapshot, read only".to_owned(),
        ];
        for sql in setup {
            self.run("the session", async |conn| conn.query_drop(sql).await)?;
        }
        Ok(())
    }
}

fn opts(server: &Server, root: &Path) -> Result<Opts, Error> {
    let mut opts = OptsBuilder::default()
        .user(Some(&server.user))
        .db_name(Some(&server.database))
        .tcp_keepalive(Some(Duration::from_secs(30)))
        // Left alone, the library would go on over whatever socket the server names.
        .prefer_socket(false);
    opts = if server.host.starts_with('/') {
        opts.socket(Some(&server.host))
    } else {
        let opts = opts.ip_or_hostname(&server.host).tcp_port(server.port);
        if server.authority.is_some() || !is_local(&server.host) {
            opts.ssl_opts(protection(server, root)?)
        } else {
            opts
        }
    };
    if let Some(secret) = &server.password {
        opts = opts.pass(Some(secret.resolve()?.reveal()));
    }
    Ok(opts.into())
}

/// TLS that trusts the named authorities, or those of this machine, and verifies the server's name.
fn protection(server: &Server, root: &Path) -> Result<SslOpts, Error> {
    let roots = match &server.authority {
        Some(path) => {
            let shown = path.clone();
            let pem = std::fs::read(root.join(path)).map_err(|source| Error::Io { path: shown, source })?;
            vec![pem.into()]
        }
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            found.into_iter().map(|certificate| certificate.to_vec().into()).collect()
        }
    };
    Ok(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots))
}

/// Only what cannot leave this machine.
fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn refused(server: &str, error: &MysqlError) -> Error {
    let (server, said) = (server.to_owned(), said(error));
    match error {
        MysqlError::Server(error) if !NOT_READY.contains(&error.code) => Error::Refused { server, said },
        _ => Error::Unreachable { server, said },
    }
}

/// What failed while `table` was described or read.
pub(super) fn failed(server: &str, table: &str, error: &MysqlError) -> Error {
    let (server, table, said) = (server.to_owned(), table.to_owned(), said(error));
    match error {
        MysqlError::Server(error) if DENIED.contains(&error.code) => Error::Denied { server, table, said },
        _ => Error::Server { server, table, said },
    }
}

/// The server is silent.
pub(super) fn late(server: &str, table: &str) -> Error {
    let said = format!("nothing came for {} minutes", STALL_TIMEOUT.as_secs() / 60);
    Error::Server { server: server.to_owned(), table: table.to_owned(), said }
}

/// What may be repeated: "Incorrect integer value: 'Nguyễn …'" quotes a row.
fn said(error: &MysqlError) -> String {
    match error {
        MysqlError::Server(error)
            if [&NO_SUCH[..], &DENIED, &NOT_READY, &ABOUT_THE_SCHEMA].concat().contains(&error.code) =>
        {
            format!("{} ({})", error.message, error.code)
        }
        MysqlError::Server(error) => format!("error {} (SQLSTATE {})", error.code, error.state),
        MysqlError::Io(error) => error.to_string(),
        // A value that could not be converted is only in its Debug form, and nothing is converted.
        MysqlError::Driver(error) => error.to_string(),
        MysqlError::Url(_) | MysqlError::Other(_) => "the client library failed".to_owned(),
    }
}
