//! Turns of a sender: how one group ended, and the intent to send another, in one commit.
//!
//! The journal beside the ledger is synced while the rows are written, and before they are committed: what it says of
//! a group that was then not committed is taken back, and where a crash prevents that, the group is uncertain like
//! every other that was on its way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::resume_unwind;
use std::thread;

use rusqlite::{Transaction, params};

use super::line::{EndLine, Line, append_lines, body, count};
use super::many::{self, Known};
use super::write::{mark, put, put_end};
use super::{MessageKey, MessageState, RECORDED, Record, Recorded, SETTLED, Settlement};
use crate::ledger::journal::{Ends, Group, Journal};
use crate::ledger::{Error, Ledger, addresses, chain, explanations, one_row, together};

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
    /// Whether the row has the address and the last day of the record.
    is_same: bool,
}

/// A message that leaves, and its place.
type Row<'a> = (&'a Record, Place);

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
            let rows: Vec<Row<'_>> = going.iter().flat_map(Going::rows).collect();
            entered.leaving.extend(rows.iter().map(|(record, _)| record.key.0.clone()));
            let group = || {
                let mut group = Group::default();
                ends().for_each(|end| group.ends(&end));
                rows.iter().for_each(|(record, place)| group.leaves(record, place.attempt));
                group
            };
            let (bytes, written) = beside(&mut journal, group, || record(transaction, run, &rows));
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
            let entry = written?;
            Ok(given_out(entry, going))
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

/// Makes a group and writes it into the journal while `act` runs. Says where the journal ends; none where there is none.
fn beside<T>(
    journal: &mut Option<Journal>,
    group: impl FnOnce() -> Group + Send,
    act: impl FnOnce() -> T,
) -> (Result<Option<u64>, Error>, T) {
    let Some(journal) = journal else { return (Ok(None), act()) };
    thread::scope(|scope| {
        let writing = scope.spawn(|| journal.append(group()).map(Some));
        let done = act();
        // A panic of the thread is that of this one.
        (writing.join().unwrap_or_else(|panic| resume_unwind(panic)), done)
    })
}

/// Those of the messages that may leave, each with its attempt.
fn choose<T>(transaction: &Transaction<'_>, messages: Vec<(Record, T)>) -> rusqlite::Result<Vec<Going<T>>> {
    let rows = messages.iter().flat_map(|(record, _)| std::iter::once(record).chain(&record.others));
    let known = many::known(transaction, &rows.map(|record| record.key.0.as_str()).collect::<Vec<_>>())?;
    let mut going = Vec::with_capacity(messages.len());
    let mut seen: HashSet<MessageKey> = HashSet::with_capacity(messages.len());
    for (mut record, value) in messages {
        let others = std::mem::take(&mut record.others);
        let Some(place) = place(&known, &record) else { continue };
        // What cannot leave keeps the whole letter: the next run puts together what is left.
        let mut places = Vec::with_capacity(others.len());
        for other in &others {
            let is_leaving = seen.contains(&other.key);
            places.extend(if is_leaving { None } else { self::place(&known, other) });
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
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let others = self.others.iter().map(|(other, place)| (other, *place));
        std::iter::once((&self.record, self.place)).chain(others)
    }
}

/// Records messages, and says in which entry. The words of the entry are put together while the rows are written: they
/// have its number before it is there, in the same transaction.
fn record(transaction: &Transaction<'_>, run: &str, rows: &[Row<'_>]) -> rusqlite::Result<i64> {
    let entry = chain::next(transaction)?;
    if rows.is_empty() {
        return Ok(entry);
    }
    let (words, put) = thread::scope(|scope| {
        let lines = || rows.iter().map(|(record, place)| Line::leaving(record, place.attempt));
        let words = scope.spawn(move || body(&lines().collect::<Vec<_>>()));
        let put = put_all(transaction, run, entry, rows);
        // A panic of the thread is that of this one.
        (words.join().unwrap_or_else(|panic| resume_unwind(panic)), put)
    });
    put?;
    let appended = chain::append_text(transaction, run, RECORDED, &count(rows.len()), words?)?;
    if appended == entry { Ok(entry) } else { Err(rusqlite::Error::IntegralValueOutOfRange(0, appended)) }
}

fn put_all(transaction: &Transaction<'_>, run: &str, entry: i64, rows: &[Row<'_>]) -> rusqlite::Result<()> {
    let mut same = Vec::with_capacity(rows.len());
    for (record, place) in rows {
        match place {
            Place { row: Some(row), is_same: true, .. } => same.push(*row),
            place => put_leaving(transaction, run, entry, record, *place)?,
        }
        put_beside(transaction, entry, record, place.attempt)?;
    }
    many::set_leaving(transaction, run, entry, &same)
}

/// What was recorded in an entry, as it is given to the wire.
fn given_out<T>(entry: i64, going: Vec<Going<T>>) -> Written<T> {
    let mut recorded = Vec::with_capacity(going.len());
    let mut letters = Vec::new();
    for Going { record, value, others, .. } in going {
        if !others.is_empty() {
            letters.push((record.key.clone(), others.into_iter().map(|(other, _)| other.key).collect()));
        }
        recorded.push(Recorded { value, entry, key: record.key });
    }
    (recorded, letters)
}

/// Which attempt it is to send a message; none where it is not to be sent.
fn place(known: &HashMap<String, Known>, record: &Record) -> Option<Place> {
    let Some(known) = known.get(&record.key.0) else { return Some(Place { attempt: 1, row: None, is_same: false }) };
    let may_leave = ["reserved", "deferred", "uncertain", "dropped"].contains(&known.state.as_str());
    may_leave.then(|| Place {
        attempt: known.attempts.saturating_add(1),
        row: Some(known.row),
        is_same: known.address == record.address && known.valid_until == record.valid_until.map(|day| day.to_string()),
    })
}

fn put_leaving(
    transaction: &Transaction<'_>,
    run: &str,
    entry: i64,
    record: &Record,
    place: Place,
) -> rusqlite::Result<()> {
    let Place { attempt, row, .. } = place;
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
    Ok(())
}

/// Puts what stands beside the row of a message that leaves.
fn put_beside(transaction: &Transaction<'_>, entry: i64, record: &Record, attempt: i64) -> rusqlite::Result<()> {
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
    let words = |end: &Settlement| (end.state.word(), end.reason.clone(), end.retry_at.map(|at| at.to_string()));
    // Of two ends of one message the later one counts.
    if settlements.iter().map(|end| &end.key).collect::<HashSet<_>>().len() < settlements.len() {
        for end in settlements {
            let (state, reason, retry_at) = words(end);
            put_end(transaction, run, entry, &end.key.0, state, &reason, retry_at.as_deref())?;
        }
        return Ok(());
    }
    let mut alike: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for end in settlements {
        alike.entry(words(end)).or_default().push(&end.key.0);
    }
    for ((state, reason, retry_at), keys) in &alike {
        many::set_ended(transaction, run, entry, keys, (state, reason, retry_at.as_deref()))?;
    }
    Ok(())
}
