//! The outside things a run needs, built once: folders, key, progress.
//!
//! Only `run` and `cli` know it.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use crate::fault::{Explain, Place};
use crate::files;
use crate::personal::{PseudonymKey, SealingKey};
use crate::telemetry::Progress;

/// The installation folder, the state folder, and how progress is told.
#[derive(Debug)]
pub struct World {
    /// Where `pipelines/` and `sql/` are.
    pub root: PathBuf,
    /// Where everything is kept that a run makes.
    pub state: PathBuf,
    /// Tells the steps.
    pub progress: Progress,
    /// For how long a run that sends tries deferred messages again, in minutes; 0 leaves them to the next run.
    pub retry_minutes: u32,
    /// How long pauses between tries are, in hundredths of their usual length: 100, but in a rehearsal.
    pub pauses_percent: u32,
    /// The day, in Vietnam, on which messages leave, by the clock of whoever runs it: whether one is still worth
    /// sending, late, or on a day of Tết is judged by it, whatever night is caught up. Without it, or where it lies
    /// before the night, by the night: a rehearsal.
    pub today: Option<Date>,
}

/// The state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made or written.
    #[error("the state folder cannot be used")]
    State {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The key is gone although there is a ledger.
    #[error("the pseudonym key is missing although there is a ledger")]
    KeyMissing(PathBuf),
    /// No run has made the key.
    #[error("there is no pseudonym key")]
    NoKeyYet(PathBuf),
    /// The ledger is gone although something was sent or published from here.
    #[error("the ledger is gone although messages or figures left from this state folder")]
    LedgerGone(PathBuf),
    /// The key file does not hold a key.
    #[error("the pseudonym key is not 32 bytes")]
    KeyLength(PathBuf),
    /// The key that opens what is sealed is gone.
    #[error("the key of sealed explanations is missing")]
    SealingKeyMissing(PathBuf),
    /// The file of that key does not hold one.
    #[error("the key of sealed explanations is not 32 bytes")]
    SealingKeyLength(PathBuf),
    /// No random bytes can be had.
    #[error("the system gives no random bytes for a new key")]
    Random,
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::State { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "state.disk-full",
                std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => "state.read-only",
                _ => "state.unusable",
            },
            Error::KeyMissing(_) => "state.key-missing",
            Error::NoKeyYet(_) => "state.no-key-yet",
            Error::LedgerGone(_) => "state.ledger-gone",
            Error::KeyLength(_) => "state.key-length",
            Error::SealingKeyMissing(_) => "state.sealing-key-missing",
            Error::SealingKeyLength(_) => "state.sealing-key-length",
            Error::Random => "state.no-random",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::State { path, .. }
            | Error::KeyMissing(path)
            | Error::NoKeyYet(path)
            | Error::KeyLength(path)
            | Error::SealingKeyMissing(path)
            | Error::SealingKeyLength(path)
            | Error::LedgerGone(path) => Place::file(path),
            Error::Random => Place::Thing("the operating system".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::State { .. } => {
                "make room, or let the service's account write there, or name another folder with --state".into()
            }
            Error::KeyMissing(_) | Error::KeyLength(_) => {
                "restore the key from your backup: with a new key everybody would be reminded a second time".into()
            }
            Error::SealingKeyMissing(_) | Error::SealingKeyLength(_) => {
                "restore the key from your backup: what was sealed with it is opened by no other".into()
            }
            Error::NoKeyYet(_) => "run `chudong run` first, or name the state folder with --state".into(),
            Error::LedgerGone(_) => {
                "restore it from your backup: with a new ledger everybody would be reminded a second time".into()
            }
            Error::Random => "check that /dev/urandom can be read".into(),
        }
    }
}

impl World {
    /// A world in these folders. Nothing is made yet.
    pub fn new(root: PathBuf, state: PathBuf) -> Self {
        World { root, state, progress: Progress::new(), retry_minutes: 0, pauses_percent: 100, today: None }
    }

    /// Makes the state folder, readable by the service's account alone.
    pub fn make_state(&self) -> Result<(), Error> {
        files::private_folder(&self.state).map_err(|source| Error::State { path: self.state.clone(), source })
    }

    /// The pseudonym key; made on the first run, outside the ledger.
    pub fn pseudonym_key(&self) -> Result<PseudonymKey, Error> {
        let path = self.key_path();
        match read_key(&path, Error::KeyLength)? {
            Some(key) => Ok(PseudonymKey::new(key)),
            None if self.state.join("ledger.sqlite").exists() => Err(Error::KeyMissing(path)),
            None => self.make_key(&path).map(PseudonymKey::new),
        }
    }

    /// The pseudonym key that there is: where none was made, no link was sent that it could open.
    pub fn opening_pseudonym_key(&self) -> Result<PseudonymKey, Error> {
        let path = self.key_path();
        let key = read_key(&path, Error::KeyLength)?;
        key.map(PseudonymKey::new).ok_or(Error::NoKeyYet(path))
    }

    /// The key with which explanations are sealed; made when the first is to be, outside the ledger.
    pub fn sealing_key(&self) -> Result<SealingKey, Error> {
        let path = self.sealing_key_path();
        match read_key(&path, Error::SealingKeyLength)? {
            Some(key) => Ok(SealingKey::new(key)),
            None => self.make_key(&path).map(SealingKey::new),
        }
    }

    /// The key that opens what was sealed.
    pub fn opening_key(&self) -> Result<SealingKey, Error> {
        let path = self.sealing_key_path();
        let key = read_key(&path, Error::SealingKeyLength)?;
        key.map(SealingKey::new).ok_or(Error::SealingKeyMissing(path))
    }

    fn make_key(&self, path: &Path) -> Result<[u8; 32], Error> {
        let key = new_key()?;
        let failed = |source| Error::State { path: path.to_path_buf(), source };
        files::private_folder(&self.state.join("keys")).map_err(failed)?;
        files::replace(path, &key).map_err(failed)?;
        Ok(key)
    }

    /// The key for a plan: the one there is, or one that is forgotten when the plan ends.
    pub fn pseudonym_key_or_new(&self) -> Result<PseudonymKey, Error> {
        match read_key(&self.key_path(), Error::KeyLength)? {
            Some(key) => Ok(PseudonymKey::new(key)),
            None => Ok(PseudonymKey::new(new_key()?)),
        }
    }

    fn sealing_key_path(&self) -> PathBuf {
        self.state.join("keys/sealing.key")
    }

    fn key_path(&self) -> PathBuf {
        self.state.join("keys/pseudonym.key")
    }

    /// Refuses a state folder that has seen runs and has no ledger any more.
    pub fn refuse_lost_ledger(&self) -> Result<(), Error> {
        let is_filled = |path: PathBuf| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let is_lost = !self.state.join("ledger.sqlite").exists()
            && (self.state.join("ledger.head").exists() || is_filled(self.outbox()) || is_filled(self.published()));
        if is_lost { Err(Error::LedgerGone(self.state.join("ledger.sqlite"))) } else { Ok(()) }
    }

    /// Where messages of the folder channel go.
    pub fn outbox(&self) -> PathBuf {
        self.state.join("outbox")
    }

    /// Where landed tables are kept.
    pub fn landing(&self) -> PathBuf {
        self.state.join("landing")
    }

    /// Where the lineage of each run is written.
    pub fn lineage(&self) -> PathBuf {
        self.state.join("lineage")
    }

    /// Where published files are.
    pub fn published(&self) -> PathBuf {
        self.state.join("published")
    }
}

fn read_key(path: &Path, no_key: fn(PathBuf) -> Error) -> Result<Option<[u8; 32]>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => <[u8; 32]>::try_from(bytes).map(Some).map_err(|_| no_key(path.to_path_buf())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::State { path: path.to_path_buf(), source }),
    }
}

fn new_key() -> Result<[u8; 32], Error> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|_| Error::Random)?;
    Ok(key)
}
