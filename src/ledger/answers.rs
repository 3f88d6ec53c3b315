//! Answers of the rating page, sealed, until the month that they speak of is taken in.
//!
//! ```text
//! answers/2026-11-05   one line of hexadecimal digits for each answer of that day, in no order
//! answers/used         hashes of the tokens with which somebody has answered, in their order
//! ```
//!
//! Every line is as long as any other, whatever was written; lines stand in the order of their random beginnings; files
//! are written anew for every answer and dated to the midnight of their day. So neither order, nor length, nor the time
//! of a file says who answered, or when on that day. Whoever has no key reads how many answered on a day, and no more.
//! What cannot be hidden is the time at which the system last touched a file's entry (`ctime`), which root alone keeps
//! watching. This module must not know what an answer says.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;

use super::Error;
use crate::calendar::vietnam;
use crate::files::{self, FileLock};
use crate::personal::{hex, unhex};

/// Bytes of an answer before it is sealed: it is filled up with spaces to this length.
pub const ANSWER_BYTES: usize = 4096;

/// The name of the hashes of used tokens.
const USED: &str = "used";

/// How often a lock that somebody has is tried, and how long apart: a writer has it for some milliseconds.
const LOCK_TRIES: u32 = 100;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// The name under which an answer of a day is sealed.
pub fn sealed_answer(day: Date) -> String {
    format!("rating answer {day}")
}

/// The answers that wait in a state folder.
#[derive(Debug, Clone)]
pub struct Answers {
    folder: PathBuf,
}

impl Answers {
    /// Those of a state folder, which need not have any.
    pub fn of(state: &Path) -> Self {
        Answers { folder: state.join("answers") }
    }

    /// Keeps a sealed answer of a day. False, and nothing is kept, where the token was used before.
    ///
    /// # Errors
    ///
    /// The folder cannot be locked, read or written.
    pub fn put(&self, day: Date, token: &[u8; 32], sealed: &[u8]) -> Result<bool, Error> {
        let _lock = self.lock()?;
        let mut used = self.lines(USED)?;
        let mark = hex(token);
        if used.contains(&mark) {
            return Ok(false);
        }
        let name = day.to_string();
        let mut answers = self.lines(&name)?;
        answers.insert(hex(sealed));
        // The answer first: after a crash between the two the person may answer again, and one of both counts.
        self.write(&name, day, &answers)?;
        used.insert(mark);
        self.write(USED, day, &used)?;
        Ok(true)
    }

    /// Whether somebody has answered with a token.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn is_used(&self, token: &[u8; 32]) -> Result<bool, Error> {
        Ok(self.lines(USED)?.contains(&hex(token)))
    }

    /// Every answer with its day.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn all(&self) -> Result<Vec<(Date, Vec<u8>)>, Error> {
        let mut all = Vec::new();
        for day in self.days()? {
            let lines = self.lines(&day.to_string())?;
            all.extend(lines.iter().filter_map(|line| Some((day, unhex(line)?))));
        }
        Ok(all)
    }

    /// Removes the answers of all days before this one: what they spoke of was taken in.
    ///
    /// # Errors
    ///
    /// The folder cannot be locked or written.
    pub fn forget_before(&self, day: Date) -> Result<usize, Error> {
        let days = self.days()?;
        let gone: Vec<Date> = days.iter().copied().filter(|known| *known < day).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let _lock = self.lock()?;
        for day in &gone {
            self.remove(&day.to_string())?;
        }
        if gone.len() == days.len() {
            self.remove(USED)?;
        }
        Ok(gone.len())
    }

    fn days(&self) -> Result<BTreeSet<Date>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(source) => return Err(self.failed(source)),
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<io::Result<_>>().map_err(|source| self.failed(source))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn lines(&self, name: &str) -> Result<BTreeSet<String>, Error> {
        match fs::read_to_string(self.folder.join(name)) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn write(&self, name: &str, day: Date, lines: &BTreeSet<String>) -> Result<(), Error> {
        let path = self.folder.join(name);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let written = files::replace(&path, text.as_bytes()).and_then(|()| dated(&path, day));
        // The folder's own time would say when somebody came.
        written.and_then(|()| dated(&self.folder, day)).map_err(|source| self.failed(source))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> Result<FileLock, Error> {
        files::private_folder(&self.folder).map_err(|source| self.failed(source))?;
        let path = self.folder.join(".lock");
        for _ in 0..LOCK_TRIES {
            match FileLock::take(&path) {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) => std::thread::sleep(LOCK_WAIT),
                Err(source) => return Err(self.failed(source)),
            }
        }
        Err(Error::Locked { path })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Answers { path: self.folder.clone(), source }
    }
}

/// Dates a file, or a folder, to the midnight with which a day begins.
fn dated(path: &Path, day: Date) -> io::Result<()> {
    let midnight = day.to_zoned(vietnam()).map(|midnight| midnight.timestamp()).unwrap_or_default();
    let times = fs::FileTimes::new().set_modified(midnight.into()).set_accessed(midnight.into());
    fs::File::open(path)?.set_times(times)
}
