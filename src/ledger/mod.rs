//! What happened: append-only, hash-chained, verifiable.
//!
//! Everything that left the building, or was spent, is an [`Entry`]: a run, a
//! pull, a message, a draw of noise, a publication. An entry carries the hash of
//! the one before it, so that a changed, removed or reordered entry is found and
//! named by [`verify`]. Beside the entries stand tables made from them
//! (outbox, obligations, releases, runs); `verify` makes them again and compares.
//!
//! This is one of the two gates: only this chapter makes a [`Recorded`], and
//! `delivery` takes nothing else. It must not know a person: subjects are keyed
//! pseudonyms, and no name, address or message text is written here.
//!
//! SQLite with a write-ahead log and `synchronous = full`: a commit that
//! returned survives a power loss. One process writes at a time; [`Lock`] sees to it.

mod addresses;
mod ahead;
pub mod answers;
mod attention;
mod beside;
mod breakers;
mod budget;
mod chain;
mod checkpoint;
mod decisions;
mod deferred;
mod departing;
mod drawn;
mod error;
mod explanations;
mod history;
mod journal;
mod lease;
mod lock;
mod mentions;
mod migrate;
mod mover;
mod obligations;
mod outbox;
mod outcomes;
mod preferences;
mod prepared;
mod preparing;
mod publications;
mod pulls;
mod recommendations;
mod released;
mod requests;
mod runs;
mod said;
mod shared;
pub mod submissions;
mod suppression;
mod together;
pub mod tokens;
mod trace;
mod trace_dossiers;
mod unsent;
pub mod verify;

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, params};
use serde_json::Value;

pub use addresses::{ADDRESS_CHANGED, Forgotten, sealed_name};
pub use breakers::{Ended, Stop};
pub use budget::{Publication, Reservation, Reserved, StoredRelease};
pub use chain::{Entry, Head};
pub use checkpoint::Checkpoint;
pub use decisions::{ConfirmedDossier, Decision, DecisionTaken, DossierAct, confirmed_name};
pub use deferred::Deferred;
pub use departing::{Objection, TakenBack, WaitingDossier, Withdrawal};
pub use error::Error;
pub use lock::Lock;
pub use obligations::{Followed, ObligationCount};
pub use outbox::{MessageKey, MessageState, OutboxRow, Record, Recorded, Recovered, SentMessage, Settlement};
pub use outcomes::{Outcomes, OutcomesOf};
pub use preferences::{ALL, Chosen, Preference, Sent, Stance};
pub use prepared::{DossierState, KeptDossier, PreparedDossier, dossier_name};
pub use publications::{Acknowledged, Amendment, Receipt, Withdrawn};
pub use pulls::{Erasure, FailedPull, NIGHTS_COMPARED, PullEntry, UsualRows};
pub use recommendations::{KeptRecommendation, RECOMMENDATIONS, Recommendation, Sheeted, weighed_name};
pub use released::{ExactDecision, KeptExact};
pub use requests::{Asked, Request};
pub use runs::{Run, RunOutcome};
pub use shared::Shared;
pub(crate) use shared::use_log;
pub use suppression::{AddressAct, NUMBER_REFUSED, Origin, RefusedAddress, Returned, Suppression, Taken, accepted_as};
pub use trace::{Told, Traced, TracedMessage};
pub use trace_dossiers::{TracedDossier, TracedRecommendation};

const SCHEMA_VERSION: i64 = 3;

/// What makes the tables, in order: each part that keeps tables of its own adds the text that makes them.
///
/// Each text makes only what is not there yet: a ledger that an earlier version began gets its newer tables
/// when it is next opened for writing.
const TABLES: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("outbox.sql"),
    suppression::TABLES,
    preferences::TABLES,
    breakers::TABLES,
    together::TABLES,
    mentions::TABLES,
    unsent::TABLES,
    addresses::TABLES,
    tokens::TABLES,
    released::TABLES,
    submissions::TABLES,
    prepared::TABLES,
    recommendations::TABLES,
];

/// Bytes of a page of a new ledger.
const PAGE_BYTES: i64 = 8192;

/// Pages in the log after which the commit that wrote the last of them moves what is left of them into the file.
const LOG_PAGES: i64 = 16 * 1024;

/// Pages of the file that are kept in memory, in KiB.
const CACHE_KIB: i64 = 64 * 1024;

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    /// Moves what the log holds into the file while groups are committed.
    mover: mover::Mover,
    connection: Connection,
    path: PathBuf,
    /// What was sent, in a second place; none where the ledger is only read.
    journal: Option<journal::Journal>,
    /// The right to write to the outbox; taken with the first write.
    lease: Option<lease::Lease>,
    /// Letters of several messages that are on their way.
    letters: together::Letters,
}

impl Ledger {
    /// Opens the ledger of an agency in `state`, and makes it when it is not there.
    ///
    /// A state folder belongs to one agency: the ledger of another is refused.
    pub fn open(state: &Path, agency: &str) -> Result<Self, Error> {
        let path = state.join("ledger.sqlite");
        let at = |source| Error::open(&path, source);
        // Before SQLite makes it with the mode of the umask: what it makes beside it has this file's mode.
        private_file(&path).map_err(|_| Error::ReadOnly { path: path.clone(), doing: "make it private" })?;
        let connection = Connection::open(&path).map_err(at)?;
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(at)?;
        // A sealed account of a date takes a page to itself where pages are small. What is there keeps its own size.
        connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(at)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(at)?;
        connection.pragma_update(None, "synchronous", "full").map_err(at)?;
        // Every row is written with the number of the entry that was appended before it in the same transaction, and
        // `verify` makes the tables again: asking once more at each change costs a copy of each page it touches.
        connection.pragma_update(None, "foreign_keys", false).map_err(at)?;
        // Groups are committed many times a second: their pages are moved into the file less often, and while groups
        // are sent most of them by a thread of its own.
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(at)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(at)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut ledger = Ledger {
            mover: mover::Mover::default(),
            connection,
            path: path.clone(),
            journal: None,
            lease: None,
            letters: together::Letters::default(),
        };
        if ledger.has_table("meta")? && ledger.owner()?.is_some() {
            ledger.claim(agency)?;
            ledger.migrate()?;
        }
        TABLES.iter().try_for_each(|text| ledger.connection.execute_batch(text)).map_err(at)?;
        ledger.claim(agency)?;
        ledger.journal = Some(journal::Journal::open(state)?);
        Ok(ledger)
    }

    /// Opens an existing ledger for reading, and leaves the folder as it was.
    pub fn read(state: &Path) -> Result<Self, Error> {
        let path = state.join("ledger.sqlite");
        if !path.exists() {
            return Err(Error::None { path });
        }
        let at = |source| Error::open(&path, source);
        // A log that a killed run left behind belongs to the next run: reading does not move it into the file.
        let log = path.with_extension("sqlite-wal");
        let is_log_left = std::fs::metadata(&log).is_ok_and(|file| file.len() > 0);
        // Only a connection that could write removes SQLite's two helper files when it closes.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(at)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_log_left).map_err(at)?;
        connection.pragma_update(None, "query_only", true).map_err(at)?;
        let probe = connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()));
        // Where not even the helper files can be made, as on an auditor's read-only copy, nobody writes either.
        let is_still = probe.is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::CannotOpen));
        let connection = if is_still && !is_log_left { open_still(&path).map_err(at)? } else { connection };
        Ok(Ledger {
            mover: mover::Mover::default(),
            connection,
            path,
            journal: None,
            lease: None,
            letters: together::Letters::default(),
        })
    }

    /// The file it is in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a ledger was begun here: it has an owner, or cannot tell.
    pub fn has_begun(state: &Path) -> bool {
        let Ok(ledger) = Ledger::read(state) else { return state.join("ledger.sqlite").exists() };
        let tables = "select count(*) from sqlite_schema where name = 'meta'";
        match ledger.connection.query_row(tables, [], |row| row.get::<_, i64>(0)) {
            Ok(0) => false,
            _ => !matches!(ledger.owner(), Ok(None)),
        }
    }

    /// Refuses the ledger of another agency.
    pub fn belongs_to(&self, agency: &str) -> Result<(), Error> {
        match self.owner()? {
            Some(known) if known != agency => {
                Err(Error::OtherAgency { path: self.path.clone(), known, asked: agency.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Whose ledger it is; the name of no agency while it has not begun.
    pub fn agency(&self) -> Result<String, Error> {
        self.owner().map(Option::unwrap_or_default)
    }

    fn owner(&self) -> Result<Option<String>, Error> {
        self.connection
            .query_row("select value from meta where name = 'agency'", [], |row| row.get(0))
            .optional()
            .map_err(|source| self.failed("read whose ledger this is", source))
    }

    fn claim(&mut self, agency: &str) -> Result<(), Error> {
        self.belongs_to(agency)?;
        match self.owner()? {
            Some(_) => {
                self.check_version()?;
                self.check_anchor()
            }
            None => {
                // The head is noted before the ledger has an owner: from then on it is never missing.
                self.anchor()?;
                self.write("begin the ledger", |transaction| {
                    let mut insert = transaction.prepare("insert into meta (name, value) values (?1, ?2)")?;
                    insert.execute(params!["agency", agency])?;
                    insert.execute(params!["schema_version", SCHEMA_VERSION.to_string()])?;
                    Ok(())
                })
            }
        }
    }

    /// A run notes a new head when it ends, and so must not begin where entries are missing: it would cover the traces.
    fn check_anchor(&self) -> Result<(), Error> {
        match verify::anchor_fault(self, &self.head()?) {
            None => Ok(()),
            Some(what) => Err(Error::Broken { path: self.path.clone(), what }),
        }
    }

    fn check_version(&self) -> Result<(), Error> {
        let version = self.version()?;
        // An earlier layout is read as it is, and brought to this one when it is next opened for writing.
        match version.as_deref().map(str::parse::<i64>) {
            Some(Ok(1..=SCHEMA_VERSION)) => Ok(()),
            _ => Err(Error::Version { path: self.path.clone(), found: version.unwrap_or_else(|| "none".into()) }),
        }
    }

    fn version(&self) -> Result<Option<String>, Error> {
        self.connection
            .query_row("select value from meta where name = 'schema_version'", [], |row| row.get(0))
            .optional()
            .map_err(|source| self.failed("read the ledger's version", source))
    }

    fn failed(&self, doing: &'static str, source: rusqlite::Error) -> Error {
        Error::failed(&self.path, doing, source)
    }

    /// Runs `act` in one immediate transaction: all of it is durable, or nothing.
    fn write<T>(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        let path = self.path.clone();
        let failed = |source| Error::failed(&path, doing, source);
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
        let value = act(&transaction).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(value)
    }

    /// The newest entries, the newest last; `kind` keeps those whose kind begins with it.
    pub fn list(&self, kind: Option<&str>, last: usize) -> Result<Vec<Entry>, Error> {
        let failed = |source| self.failed("list the entries", source);
        let mut select = self
            .connection
            .prepare(
                "select seq, at, run, kind, key, body, prev, hash from entry
                 where substr(kind, 1, length(?1)) = ?1 order by seq desc limit ?2",
            )
            .map_err(failed)?;
        let limit = i64::try_from(last).unwrap_or(i64::MAX);
        let rows = select.query_map(params![kind.unwrap_or(""), limit], Entry::from_row).map_err(failed)?;
        let mut entries = rows.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.reverse();
        Ok(entries)
    }

    /// Number and hash of the newest entry: what a clerk writes down, and what `verify` compares.
    pub fn head(&self) -> Result<Head, Error> {
        chain::head(&self.connection).map_err(|source| self.failed("read the newest entry", source))
    }
}

/// Sees to it that a file is there which only the service's account reads and writes, whatever the folder allows.
fn private_file(path: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        // Whether what is there can be used is SQLite's to say.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(_) => return Ok(()),
    }
    // A ledger that an earlier version made for all to read is taken back, with the files beside it.
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_os_string();
        name.push(suffix);
        let Ok(metadata) = std::fs::metadata(&name) else { continue };
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(&name, std::fs::Permissions::from_mode(mode & 0o700))?;
        }
    }
    Ok(())
}

/// Opens a file that nobody can change: no lock, no log, no helper files.
fn open_still(path: &Path) -> rusqlite::Result<Connection> {
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => address.push(char::from(*byte)),
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(address, flags)
}

/// Appends one entry to the chain.
fn append(
    transaction: &Transaction<'_>,
    run: &str,
    kind: &str,
    key: &str,
    body: &Value,
) -> Result<i64, rusqlite::Error> {
    chain::append(transaction, run, kind, key, body)
}

/// Refuses an update that found nothing to change: the caller's act is undone with it.
fn one_row(changed: usize) -> Result<(), rusqlite::Error> {
    match changed {
        1 => Ok(()),
        other => Err(rusqlite::Error::StatementChangedRows(other)),
    }
}
