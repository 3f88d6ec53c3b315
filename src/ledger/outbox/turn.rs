//! Turns of a sender: how one group ended, and the intent to send another, in one commit.
//!
//! The journal beside the ledger is synced while the rows are written, and before they are committed: what it says of
//! a group that was then not committed is taken back, and where a crash prevents that, the group is uncertain like
//! every other that was on its way.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::thread;

use rusqlite::{OptionalExtension, Transaction, params};

use super::line::{EndLine, Line, append_lines};
use super::write::{mark, put, put_end};
use super::{MessageKey, MessageState, RECORDED, Record, Recorded, SETTLED, Settlement};
use crate::ledger::journal::{Ends, Group, Journal};
use crate::ledger::{Error, Ledger, addresses, explanations, one_row, together};

/// A message of a group that leaves, its place in the outbox, and the others of its letter.
struct Going<T> {
    record: Record,
    place: Place,
    value: T,
    others: Vec<(Record, Place)>,
}

/// Which attempt it is to send a message, and its row where it has one.
#[derive(Clone, Copy)]
struct Place {
    attempt: i64,
    row: Option<i64>,
}

/// What was recorded: what may leave, and the letters of several.
type Written<T> = (Vec<Recorded<T>>, Vec<Together>);

/// The first message of a letter, and the others that leave in it.
type Together = (MessageKey, Vec<MessageKey>);

impl Ledger {
    /// Commits the intent to send these messages, in one transaction.
    ///
    /// A key that is new or reserved is recorded; one that was deferred, uncertain or dropped is
    /// recorded again, as a further attempt. A key that is in flight, accepted or
    /// refused is left alone and its value is dropped: nobody gets a message twice.
    pub fn record<T>(&mut self, run: &str, messages: Vec<(Record, T)>) -> Result<Vec<Recorded<T>>, Error> {
        self.turn(run, &[], messages)
    }

    /// Commits how messages ended, in one transaction.
    pub fn settle(&mut self, run: &str, settlements: &[Settlement]) -> Result<(), Error> {
        self.turn::<()>(run, settlements, Vec::new()).map(drop)
    }

    /// Settles one group and records another, in one commit: a sender that is at work waits for the disk once.
    ///
    /// What became of the messages, and the intent of the others, are in the journal before the commit, and in both
    /// before anything is given out.
    pub fn turn<T>(
        &mut self,
        run: &str,
        settlements: &[Settlement],
        messages: Vec<(Record, T)>,
    ) -> Result<Vec<Recorded<T>>, Error> {
        if settlements.is_empty() && messages.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.letters.of_all(settlements);
        let settlements = all.as_deref().unwrap_or(settlements);
        let ends = || settlements.iter().map(|end| Ends { key: end.key.0.clone(), state: end.state.word().to_owned() });
        let mut journal = self.journal.take();
        let mut entered = Entered::default();
        let written = self.write_outbox("settle and record the messages", |transaction| {
            settle(transaction, run, settlements)?;
            let going = choose(transaction, messages)?;
            let mut group = Group::default();
            ends().for_each(|end| group.ends(&end));
            for (record, place) in going.iter().flat_map(Going::rows) {
                group.leaves(record, place.attempt);
                entered.leaving.push(record.key.0.clone());
            }
            let (bytes, written) = beside(&mut journal, group, || record(transaction, run, going));
            match bytes {
                Ok(bytes) => {
                    entered.is_done = true;
                    mark(transaction, bytes)?;
                }
                Err(error) => {
                    entered.failed = Some(error);
                    // The transaction ends here: its caller is told what the journal said.
                    return Err(rusqlite::Error::StatementChangedRows(0));
                }
            }
            written
        });
        self.journal = journal;
        match written {
            Ok((recorded, letters)) => {
                let messages = settlements.len().saturating_add(recorded.len());
                self.mover.has_committed(&self.path, messages);
                self.letters.ended(settlements);
                letters.into_iter().for_each(|(first, others)| self.letters.left(&first, others));
                Ok(recorded)
            }
            Err(error) => {
                // What the wire said is kept all the same, and nothing of the new group has left.
                let mut group = Group::default();
                if entered.is_done {
                    let later = |key| Ends { key, state: MessageState::Deferred.word().to_owned() };
                    entered.leaving.into_iter().map(later).for_each(|end| group.ends(&end));
                } else {
                    ends().for_each(|end| group.ends(&end));
                }
                if let (Some(journal), None) = (&mut self.journal, &entered.failed) {
                    // The first error is the one to tell; without these lines more is uncertain, and nothing is lost.
                    drop(journal.append(group));
                }
                Err(entered.failed.unwrap_or(error))
            }
        }
    }
}

/// What the journal was told of a turn.
#[derive(Default)]
struct Entered {
    is_done: bool,
    failed: Option<Error>,
    /// The keys of those that it says leave.
    leaving: Vec<String>,
}

/// Writes a group into the journal while `act` runs. Says where the journal ends; none where there is none.
fn beside<T>(journal: &mut Option<Journal>, group: Group, act: impl FnOnce() -> T) -> (Result<Option<u64>, Error>, T) {
    let Some(journal) = journal else { return (Ok(None), act()) };
    thread::scope(|scope| {
        let writing = scope.spawn(|| journal.append(group).map(Some));
        let done = act();
        // A panic of the thread is that of this one.
        (writing.join().unwrap_or_else(|panic| resume_unwind(panic)), done)
    })
}

/// Those of the messages that may leave, each with its attempt.
fn choose<T>(transaction: &Transaction<'_>, messages: Vec<(Record, T)>) -> rusqlite::Result<Vec<Going<T>>> {
    let mut going = Vec::with_capacity(messages.len());
    let mut seen: HashSet<MessageKey> = HashSet::with_capacity(messages.len());
    for (mut record, value) in messages {
        let others = std::mem::take(&mut record.others);
        let Some(place) = place(transaction, &record.key)? else { continue };
        // What cannot leave keeps the whole letter: the next run puts together what is left.
        let mut places = Vec::with_capacity(others.len());
        for other in &others {
            let is_leaving = seen.contains(&other.key);
            places.extend(if is_leaving { None } else { self::place(transaction, &other.key)? });
        }
        if places.len() == others.len() && seen.insert(record.key.clone()) {
            seen.extend(others.iter().map(|other| other.key.clone()));
            let others = others.into_iter().zip(places).collect();
            going.push(Going { record, place, value, others });
        }
    }
    Ok(going)
}

impl<T> Going<T> {
    fn rows(&self) -> impl Iterator<Item = (&Record, Place)> {
        let others = self.others.iter().map(|(other, place)| (other, *place));
        std::iter::once((&self.record, self.place)).chain(others)
    }
}

fn record<T>(transaction: &Transaction<'_>, run: &str, going: Vec<Going<T>>) -> rusqlite::Result<Written<T>> {
    if going.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let rows = || going.iter().flat_map(Going::rows);
    let lines: Vec<Line<'_>> = rows().map(|(record, place)| Line::leaving(record, place.attempt)).collect();
    let entry = append_lines(transaction, run, RECORDED, &lines)?;
    for (record, place) in rows() {
        put_leaving(transaction, run, entry, record, place)?;
    }
    let mut recorded = Vec::with_capacity(going.len());
    let mut letters = Vec::new();
    for Going { record, value, others, .. } in going {
        if !others.is_empty() {
            letters.push((record.key.clone(), others.into_iter().map(|(other, _)| other.key).collect()));
        }
        recorded.push(Recorded { value, entry, key: record.key });
    }
    Ok((recorded, letters))
}

/// Which attempt it is to send a message; none where it is not to be sent.
fn place(transaction: &Transaction<'_>, key: &MessageKey) -> rusqlite::Result<Option<Place>> {
    let known: Option<(i64, String, i64)> = transaction
        .prepare_cached("select rowid, state, attempts from outbox where key = ?1")?
        .query_row([&key.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(match known {
        None => Some(Place { attempt: 1, row: None }),
        Some((row, state, attempts)) => match state.as_str() {
            "reserved" | "deferred" | "uncertain" | "dropped" => {
                Some(Place { attempt: attempts.saturating_add(1), row: Some(row) })
            }
            _ => None,
        },
    })
}

fn put_leaving(
    transaction: &Transaction<'_>,
    run: &str,
    entry: i64,
    record: &Record,
    place: Place,
) -> rusqlite::Result<()> {
    let Place { attempt, row } = place;
    match row {
        None => put(transaction, run, entry, record, MessageState::InFlight, attempt)?,
        // What is fixed stays as it was first written.
        Some(row) => {
            let changed = transaction
                .prepare_cached(
                    "update outbox set address = ?2, valid_until = ?3, state = 'in_flight', reason = null,
                         retry_at = null, attempts = ?4, run = ?5, entry = ?6 where rowid = ?1",
                )?
                .execute(params![
                    row,
                    record.address,
                    record.valid_until.map(|day| day.to_string()),
                    attempt,
                    run,
                    entry
                ])?;
            one_row(changed)?;
        }
    }
    together::put(transaction, record, attempt, entry)?;
    if let Some(sealed) = &record.explanation {
        explanations::put(transaction, &record.key, sealed, entry)?;
    }
    if let Some(sealed) = &record.sealed_address {
        addresses::put(transaction, &record.key, sealed, entry)?;
    }
    Ok(())
}

fn settle(transaction: &Transaction<'_>, run: &str, settlements: &[Settlement]) -> rusqlite::Result<()> {
    if settlements.is_empty() {
        return Ok(());
    }
    let lines: Vec<EndLine<'_>> = settlements.iter().map(EndLine::of).collect();
    let entry = append_lines(transaction, run, SETTLED, &lines)?;
    for Settlement { key, state, reason, retry_at } in settlements {
        let retry_at = retry_at.map(|at| at.to_string());
        put_end(transaction, run, entry, &key.0, state.word(), reason, retry_at.as_deref())?;
    }
    Ok(())
}
