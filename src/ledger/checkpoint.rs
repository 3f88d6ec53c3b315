//! How far the ledger was verified, noted beside its newest head: a run on a large ledger verifies what was added since.
//!
//! The note stands in the second line of `ledger.head`, under a code of authentication: who changes what was written
//! after it, and moves the note over it, does not have the key. A note that was removed makes the next run verify
//! everything.

use std::path::Path;

use jiff::civil::Date;

use super::{Error, Head, Ledger};
use crate::personal::{PseudonymKey, hex};

/// The first word of its line.
const WORD: &str = "verified";

/// Everything up to an entry was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that was verified.
    pub head: Head,
    /// When everything was verified, entries and tables, from the first one on.
    pub whole_on: Date,
}

/// What the file beside the ledger says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// Nothing, or a file that cannot be read: [`super::verify`] says so.
    Nothing,
    /// Until here.
    Until(Checkpoint),
    /// Something that nobody with the key has written.
    Forged,
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{WORD} {} {} {}", self.head.seq, self.head.hash, self.whole_on)
    }

    /// Its line, with the code of authentication.
    fn line(&self, key: &PseudonymKey) -> String {
        let text = self.text();
        format!("{text} {}\n", code(&text, key))
    }

    fn parse(line: &str) -> Option<(Self, &str)> {
        let (text, code) = line.rsplit_once(' ')?;
        let mut words = text.split(' ');
        let (word, seq, hash, day) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let head = Head { seq: seq.parse().ok()?, hash: hash.to_owned() };
        let checkpoint = Checkpoint { head, whole_on: day.parse().ok()? };
        (word == WORD && checkpoint.text() == text).then_some((checkpoint, code))
    }
}

/// Reads the note beside a ledger.
pub(super) fn read(ledger: &Path, key: &PseudonymKey) -> Noted {
    let text = std::fs::read_to_string(ledger.with_extension("head")).unwrap_or_default();
    let Some(line) = second_line(&text) else { return Noted::Nothing };
    match Checkpoint::parse(line) {
        Some((checkpoint, code)) if code == self::code(&checkpoint.text(), key) => Noted::Until(checkpoint),
        _ => Noted::Forged,
    }
}

fn code(text: &str, key: &PseudonymKey) -> String {
    hex(&key.digest("ledger checkpoint", &[text.as_bytes()]))
}

fn second_line(text: &str) -> Option<&str> {
    text.lines().nth(1).filter(|line| !line.is_empty())
}

impl Ledger {
    /// Writes the head beside the ledger, so that entries cut off its end are noticed. What is noted of a verification
    /// stays as it is.
    pub fn anchor(&self) -> Result<Head, Error> {
        let text = std::fs::read_to_string(self.path.with_extension("head")).unwrap_or_default();
        self.note(second_line(&text).map_or_else(String::new, |line| format!("{line}\n")))
    }

    /// Like [`Ledger::anchor`], and notes how far it was verified.
    pub fn anchor_verified(&self, checkpoint: &Checkpoint, key: &PseudonymKey) -> Result<Head, Error> {
        self.note(checkpoint.line(key))
    }

    fn note(&self, second: String) -> Result<Head, Error> {
        let head = self.head()?;
        let path = self.path.with_extension("head");
        crate::files::replace(&path, format!("{}{second}", head.line()).as_bytes())
            .map_err(|source| Error::Anchor { path: path.clone(), source })?;
        Ok(head)
    }
}
