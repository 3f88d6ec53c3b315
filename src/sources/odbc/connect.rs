//! Connecting, the transaction, and what may be repeated of what a driver says.

use odbc_api::handles::Record;
use odbc_api::{ConnectionOptions, Error as OdbcError, environment, escape_attribute_value};
use zeroize::Zeroizing;

use super::{Failed, Session};
use crate::pipeline::SourceTable;
use crate::pipeline::secret::SecretRef;
use crate::sources::Error;

/// How long to wait for a server that does not answer.
const LOGIN_SECONDS: u32 = 10;

/// How a system is told to read everything as it was at one moment, by the beginning of its name, and to speak
/// of moments in our civil time where their zone is lost. Others are read in a transaction as their driver makes it.
const SNAPSHOTS: [(&str, &[&str]); 4] = [
    (
        "PostgreSQL",
        &["set transaction isolation level repeatable read, read only", "set local time zone 'Asia/Ho_Chi_Minh'"],
    ),
    // The owner must have allowed it: alter database … set allow_snapshot_isolation on.
    ("Microsoft SQL Server", &["set transaction isolation level snapshot"]),
    ("Oracle", &["set transaction read only"]),
    ("DB2", &["set current isolation = RR"]),
];

/// No such table, no such column; SQLite's driver has words instead.
const NO_SUCH: [&str; 4] = ["42S02", "42S22", "42P01", "42703"];
const NO_SUCH_WORDS: [&str; 2] = ["no such table", "no such column"];

/// SQL Server: 229 and 230 on an object or a column. Oracle: 1031.
const DENIED_NATIVE: [i32; 3] = [229, 230, 1031];

impl Session {
    /// Connects. Nothing is read yet, and no transaction has begun.
    pub(in crate::sources) fn open(connection: &str, password: Option<&SecretRef>) -> Result<Self, Error> {
        let unreachable = |error: OdbcError, secret: &str| {
            let said = at_connecting(&error, secret);
            let server = connection.to_owned();
            match error {
                OdbcError::Diagnostics { record, .. } if record.state.as_str().starts_with("28") => {
                    Error::Refused { server, said }
                }
                _ => Error::Unreachable { server, said },
            }
        };
        let environment = environment().map_err(|error| unreachable(error, ""))?;
        let secret = match password {
            Some(password) => Zeroizing::new(password.resolve()?.reveal().to_owned()),
            None => Zeroizing::new(String::new()),
        };
        let mut whole = Zeroizing::new(connection.trim_end_matches(';').to_owned());
        if password.is_some() {
            let escaped = Zeroizing::new(escape_attribute_value(&secret).into_owned());
            whole.push_str(";PWD=");
            whole.push_str(&escaped);
            whole.push(';');
        }
        let options = ConnectionOptions { login_timeout_sec: Some(LOGIN_SECONDS), packet_size: None };
        let opened = environment.connect_with_connection_string(&whole, options);
        let opened = opened.map_err(|error| unreachable(error, &secret))?;
        let system = opened.database_management_system_name().map_err(|error| unreachable(error, &secret))?;
        Ok(Session { connection: opened, server: connection.to_owned(), system, transaction: None })
    }

    /// Begins the transaction in which all tables are read, once.
    pub(super) fn begin(&mut self, table: &SourceTable) -> Result<(), Error> {
        if self.transaction.is_some() {
            return Ok(());
        }
        // A driver without transactions says so here; its source is read as it is at each moment.
        self.transaction = Some(self.connection.set_autocommit(false).is_ok());
        let snapshot = SNAPSHOTS.iter().find(|(system, _)| self.system.starts_with(system));
        for sql in snapshot.map(|(_, statements)| *statements).unwrap_or_default() {
            let begun = self.connection.execute(sql, (), None);
            begun.map_err(|error| failed(&self.server, &table.from, &error).error)?;
        }
        Ok(())
    }
}

/// What failed while `table` was described or read.
pub(super) fn failed(server: &str, table: &str, error: &OdbcError) -> Failed {
    let (server, table, said) = (server.to_owned(), table.to_owned(), said(error));
    let OdbcError::Diagnostics { record, .. } = error else {
        return Failed { error: Error::Server { server, table, said }, is_missing: false };
    };
    let state = record.state.as_str();
    let is_missing = NO_SUCH.contains(&state) || is_no_such(record);
    let is_denied = state == "42501" || DENIED_NATIVE.contains(&record.native_error);
    let error = match is_denied {
        true => Error::Denied { server, table, said },
        false => Error::Server { server, table, said },
    };
    Failed { error, is_missing }
}

fn is_no_such(record: &Record) -> bool {
    let words = record.to_string();
    record.state.as_str() == "HY000" && NO_SUCH_WORDS.iter().any(|known| words.contains(known))
}

/// What may be repeated: a message of another class can quote a row.
fn said(error: &OdbcError) -> String {
    match error {
        // 08 connection, 28 authorisation, 42 names and rights, IM the driver manager, HYT time-outs.
        OdbcError::Diagnostics { record, .. }
            if ["08", "28", "42", "IM", "HYT"].iter().any(|class| record.state.as_str().starts_with(class))
                || is_no_such(record) =>
        {
            one_line(&record.to_string())
        }
        OdbcError::Diagnostics { record, function } => {
            format!("SQLSTATE {}, native error {}, in {function}", record.state.as_str(), record.native_error)
        }
        OdbcError::NoDiagnostics { function } => format!("{function} failed, and the driver does not say why"),
        _ => "the driver does not keep to ODBC".to_owned(),
    }
}

/// Before a row is read there is none to be quoted; a driver might repeat the secret.
fn at_connecting(error: &OdbcError, secret: &str) -> String {
    let words = match error {
        OdbcError::Diagnostics { record, .. } => one_line(&record.to_string()),
        other => one_line(&other.to_string()),
    };
    if secret.is_empty() { words } else { words.replace(secret, "[secret]") }
}

fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
