//! What left and what became of it, in a second place: the file `sent.journal` beside the ledger.
//!
//! A ledger that was restored from a backup knows less than what was sent. The journal is
//! not restored with it (it may be a link to another disk), so the next run takes over from
//! it what the ledger does not know, and nobody is reminded a second time. It is appended
//! to and synced with every group: before the commit of its intent and before the one that
//! settles it, so before a message is given out.
//!
//! Lines of words; a group ends with a line that has the digest of the group, so that what a
//! crash cut off is not read. It holds pseudonyms and keys, no person.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Error, Ledger, Record};
use crate::personal::sha256;

/// One thing that the journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A message is given to the wire.
    Leaves(Leaves),
    /// What became of it.
    Ends(Ends),
}

/// A message that is given to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaves {
    pub(super) key: String,
    pub(super) attempt: i64,
    pub(super) subject: String,
    pub(super) obligation: String,
    pub(super) item: String,
    pub(super) stage: u16,
    pub(super) channel: String,
    pub(super) message_id: String,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) key: String,
    pub(super) state: String,
}

/// The lines of one group, which stand in the journal whole or not at all.
#[derive(Debug, Default)]
pub(super) struct Group {
    text: String,
}

impl Group {
    /// A message is given to the wire.
    pub(super) fn leaves(&mut self, record: &Record, attempt: i64) {
        let (attempt, stage) = (attempt.to_string(), record.stage_notice_days.to_string());
        self.line(&[
            ">",
            &record.key.0,
            &attempt,
            &record.subject,
            &record.obligation,
            &record.item,
            &stage,
            &record.channel,
            &record.message_id,
        ]);
    }

    /// What became of a message.
    pub(super) fn ends(&mut self, ends: &Ends) {
        self.line(&["=", &ends.key, &ends.state]);
    }

    fn line(&mut self, words: &[&str]) {
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                self.text.push(' ');
            }
            if word.bytes().all(|byte| byte.is_ascii_graphic()) {
                self.text.push_str(word);
            } else {
                // No key of ours holds one; whatever does stays one word of one line.
                let odd = |sign: char| sign.is_whitespace() || sign.is_control();
                self.text.extend(word.chars().map(|sign| if odd(sign) { '_' } else { sign }));
            }
        }
        self.text.push('\n');
    }
}

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    /// Where the next group begins: what a crash cut off behind it is written over.
    end: u64,
}

impl Journal {
    /// Opens the journal of a state folder, and makes it when it is not there.
    pub(super) fn open(state: &Path) -> Result<Self, Error> {
        let path = state.join("sent.journal");
        let open = || -> io::Result<(File, bool)> {
            let is_new = !path.exists();
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            Ok((file, is_new))
        };
        let failed = |source| Error::Journal { path: path.clone(), source };
        let (mut file, is_new) = open().map_err(failed)?;
        if is_new {
            crate::files::sync_folder(state).map_err(failed)?;
        }
        let end = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut journal = Journal { file, path: path.clone(), end };
        // Only the last group can have been cut off; it is found by reading from the last mark of a group.
        journal.end = journal.whole_until(end).map_err(failed)?;
        Ok(journal)
    }

    /// Appends a group and waits until it is on the disk. Returns where it ends.
    pub(super) fn append(&mut self, group: Group) -> Result<u64, Error> {
        let mut text = group.text;
        if text.is_empty() {
            return Ok(self.end);
        }
        let digest = sha256(text.as_bytes());
        text.push_str(&format!(". {} {digest}\n", text.len()));
        let write = |journal: &mut Journal| -> io::Result<()> {
            journal.file.seek(SeekFrom::Start(journal.end))?;
            journal.file.write_all(text.as_bytes())?;
            journal.file.set_len(journal.end.saturating_add(text.len() as u64))?;
            journal.file.sync_data()
        };
        write(self).map_err(|source| Error::Journal { path: self.path.clone(), source })?;
        self.end = self.end.saturating_add(text.len() as u64);
        Ok(self.end)
    }

    /// What was appended from a place on, and where the last whole group ends. Nothing where the place is behind
    /// the end: the journal is older than the ledger, which then knows more.
    pub(super) fn since(&self, from: u64) -> Result<(Vec<Event>, u64), Error> {
        if from >= self.end {
            return Ok((Vec::new(), self.end));
        }
        let failed = |source| Error::Journal { path: self.path.clone(), source };
        let mut events = Vec::new();
        self.groups(from, self.end, |group| events.extend(group.lines().filter_map(read))).map_err(failed)?;
        Ok((events, self.end))
    }

    fn whole_until(&self, end: u64) -> io::Result<u64> {
        // A group is shorter than this. What is read of the first one is not whole, and is left out.
        const BACK_BYTES: u64 = 8 << 20;
        let from = end.saturating_sub(BACK_BYTES);
        match self.groups(from, end, |_| {})? {
            whole if whole == from && from > 0 => self.groups(0, end, |_| {}),
            whole => Ok(whole),
        }
    }

    /// Shows each whole group in a part of the file, and says where the last one ends.
    fn groups(&self, from: u64, until: u64, mut show: impl FnMut(&str)) -> io::Result<u64> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(until.saturating_sub(from)).read_to_end(&mut bytes)?;
        let mut whole = from;
        let mut rest = bytes.as_slice();
        let mut at = 0_usize;
        let mut begin = 0_usize;
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(length + 1);
            rest = after;
            if let Some(end) = line.strip_prefix(b". ") {
                let group = bytes.get(begin..at).unwrap_or_default();
                if is_end_of(end, group) {
                    whole = from.saturating_add((at + line.len()) as u64);
                    show(std::str::from_utf8(group).unwrap_or_default());
                }
                begin = at + line.len();
            }
            at += line.len();
        }
        Ok(whole)
    }
}

impl Ledger {
    /// Appends to the journal; none where this ledger was opened for reading.
    pub(super) fn journaled(&mut self, group: Group) -> Result<Option<u64>, Error> {
        match &mut self.journal {
            Some(journal) => journal.append(group).map(Some),
            None => Ok(None),
        }
    }

    /// How far this ledger knows the journal, in bytes.
    pub(super) fn marked(&self) -> Result<u64, Error> {
        let sql = "select coalesce(max(bytes), 0) from mark where name = 'journal'";
        let bytes: i64 = self
            .connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|source| self.failed("read how far the journal is known", source))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }
}

/// The last thing that the journal says of each message: how it left, and what became of that.
pub(super) fn last(events: Vec<Event>) -> BTreeMap<String, (Option<Leaves>, Option<String>)> {
    let mut last: BTreeMap<String, (Option<Leaves>, Option<String>)> = BTreeMap::new();
    for event in events {
        match event {
            Event::Leaves(leaves) => {
                last.insert(leaves.key.clone(), (Some(leaves), None));
            }
            Event::Ends(ends) => last.entry(ends.key).or_default().1 = Some(ends.state),
        }
    }
    last
}

fn is_end_of(end: &[u8], group: &[u8]) -> bool {
    let end = std::str::from_utf8(end).unwrap_or_default();
    end.trim_end().split_once(' ') == Some((group.len().to_string().as_str(), sha256(group).as_str()))
}

fn read(line: &str) -> Option<Event> {
    let mut words = line.split(' ').map(str::to_owned);
    match words.next()?.as_str() {
        ">" => Some(Event::Leaves(Leaves {
            key: words.next()?,
            attempt: words.next()?.parse().ok()?,
            subject: words.next()?,
            obligation: words.next()?,
            item: words.next()?,
            stage: words.next()?.parse().ok()?,
            channel: words.next()?,
            message_id: words.next()?,
        })),
        "=" => Some(Event::Ends(Ends { key: words.next()?, state: words.next()? })),
        _ => None,
    }
}
