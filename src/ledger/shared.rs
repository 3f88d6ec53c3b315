//! How many messages went to each person from all agencies that share a folder: a keyed pseudonym and a day, for a week.
//!
//! The agencies of one machine name the same folder. It holds a key of its own, so that what is in it can be matched
//! with no agency's ledger, and a table of pseudonym, day and agency: no item, no channel, no address. What is older
//! than a week is removed with the next message. It is no proof of anything and no part of the chain.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

use super::Error;
use crate::personal::{Personal, PseudonymKey};

/// Days for which a message is counted and kept.
const KEPT_DAYS: i32 = 7;

/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder of several agencies, seen by one of them.
#[derive(Debug)]
pub struct Shared {
    connection: Connection,
    path: PathBuf,
    key: PseudonymKey,
    agency: String,
}

impl Shared {
    /// Opens the folder for an agency, and makes its key and its table where there are none. The folder has to be there.
    ///
    /// Accounts of several agencies share what the folder's group may write to, whatever their umask is.
    pub fn open(folder: &Path, agency: &str) -> Result<Self, Error> {
        let path = folder.join("attention.sqlite");
        let key = key(&folder.join("attention.key")).map_err(|source| Error::Lock { path: path.clone(), source })?;
        let at = |source| Error::open(&path, source);
        let connection = Connection::open(&path).map_err(at)?;
        // Its log and its index get what the file itself has.
        let shared = share(&path, folder, 0o660).map_err(|source| Error::Lock { path: path.clone(), source });
        shared?;
        connection.busy_timeout(PATIENCE).map_err(at)?;
        use_log(&connection, PATIENCE).map_err(at)?;
        let table = "create table if not exists sent (
                         message text not null, agency text not null, person text not null, day text not null,
                         primary key (agency, message)
                     ) strict, without rowid";
        connection.execute_batch(table).map_err(at)?;
        Ok(Shared { connection, path, key, agency: agency.to_owned() })
    }

    /// The pseudonym of a person in this folder.
    pub fn person(&self, subject_id: &Personal<impl AsRef<str>>) -> String {
        self.key.subject(subject_id).into()
    }

    /// On which days messages of the other agencies went to each person: after the first day, up to the second.
    pub fn sent_elsewhere(&self, after: Date, up_to: Date) -> Result<HashMap<String, Vec<Date>>, Error> {
        let failed = |source| Error::failed(&self.path, "read what other agencies sent", source);
        let sql = "select person, day from sent where agency <> ?1 and day > ?2 and day <= ?3";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query(params![self.agency, after.to_string(), up_to.to_string()]).map_err(failed)?;
        let mut sent: HashMap<String, Vec<Date>> = HashMap::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let person: String = row.get(0).map_err(failed)?;
            let day: String = row.get(1).map_err(failed)?;
            sent.entry(person).or_default().extend(day.parse::<Date>());
        }
        Ok(sent)
    }

    /// Notes messages of a day, by key and person; one that is noted already is not counted twice.
    pub fn note(&mut self, day: Date, messages: &[(String, String)]) -> Result<(), Error> {
        let failed = |source| Error::failed(&self.path, "tell other agencies what is sent", source);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let too_old = day.saturating_sub(KEPT_DAYS.days()).to_string();
        transaction.execute("delete from sent where day <= ?1", [too_old]).map_err(failed)?;
        for (message, person) in messages {
            transaction
                .prepare_cached("insert or ignore into sent (message, agency, person, day) values (?1, ?2, ?3, ?4)")
                .and_then(|mut insert| insert.execute(params![message, self.agency, person, day.to_string()]))
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }
}

/// Has a file that several processes open keep a log. SQLite waits for nobody there: of two that make the file at the
/// same moment one is told that it is locked, and asks again here.
pub(crate) fn use_log(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut left = patience;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && !left.is_zero() => {
                std::thread::sleep(PAUSE);
                left = left.saturating_sub(PAUSE);
            }
            done => return done,
        }
    }
}

/// Gives a file of ours to the group, as far as the folder itself is the group's.
fn share(path: &Path, folder: &Path, mode: u32) -> std::io::Result<()> {
    let (file, folder) = (path.metadata()?, folder.metadata()?);
    let mode = 0o600 | (mode & folder.mode() & 0o060);
    // Only whoever made the file may change it, and has.
    if file.uid() != rustix::process::geteuid().as_raw() || file.mode() & 0o777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// The folder's key; made whole under another name first, so that two agencies that begin at once take the same.
fn key(path: &Path) -> std::io::Result<PseudonymKey> {
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidData, "attention.key is not 32 bytes");
    if !path.exists() {
        let (mut bytes, mut number) = ([0; 32], [0; 8]);
        let filled = getrandom::fill(&mut bytes).and_then(|()| getrandom::fill(&mut number));
        filled.map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
        // A process of another machine may have our number, and so may one that ended in between.
        let aside = path.with_extension(format!("{:016x}.part", u64::from_be_bytes(number)));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(&aside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        share(&aside, path.parent().unwrap_or(Path::new(".")), 0o640)?;
        let linked = std::fs::hard_link(&aside, path);
        std::fs::remove_file(&aside)?;
        if let Err(error) = linked
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
    }
    let bytes: [u8; 32] = std::fs::read(path)?.try_into().map_err(|_| invalid())?;
    Ok(PseudonymKey::new(bytes))
}
