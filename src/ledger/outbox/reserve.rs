//! Reserving: the whole night is written down before the first message leaves.
//!
//! Records are made, and put into the words of their entries, on all cores while the part before them is written.

use std::panic::resume_unwind;
use std::thread::{self, Scope, ScopedJoinHandle};

use rusqlite::{Transaction, params};

use super::line::{Line, append_lines, body, count};
use super::write::{put, state_of};
use super::{MessageState, RESERVED, Record};
use crate::ledger::{Error, Ledger, chain};

/// Messages in one commit of reservations: many, because none of them is on its way.
const PER_COMMIT: usize = 10_000;

/// Messages in one entry of reservations: each entry stays short enough to be read.
pub(super) const PER_ENTRY: usize = 1_000;

const DOING: &str = "reserve the messages";

/// The messages of one entry, and its body if all of them are new; none where it cannot be written.
struct Page {
    records: Vec<Record>,
    body: Option<String>,
}

impl Page {
    fn of<I>(items: &[I], make: &impl Fn(&I) -> Record) -> Self {
        let records: Vec<Record> = items.iter().map(make).collect();
        let body = body(&records.iter().map(Line::of).collect::<Vec<_>>()).ok();
        Page { records, body }
    }
}

impl Ledger {
    /// Writes down what is to be sent, before any of it leaves, and says how many are new.
    ///
    /// A key that is new or was dropped is reserved; every other stays as it is. In the order in which the messages
    /// are to leave: what leaves together then lies together.
    pub fn reserve_messages<'r>(
        &mut self,
        run: &str,
        records: impl IntoIterator<Item = &'r Record>,
    ) -> Result<usize, Error> {
        let records: Vec<&Record> = records.into_iter().collect();
        self.reserve_made(run, &records, &|record| (*record).clone())
    }

    /// Like [`Ledger::reserve_messages`], with records that are made when their part is written: no more than two
    /// parts of them stand in memory. `make` runs on several threads.
    pub fn reserve_made<I: Sync>(
        &mut self,
        run: &str,
        items: &[I],
        make: &(impl Fn(&I) -> Record + Sync),
    ) -> Result<usize, Error> {
        let mut parts = items.chunks(PER_COMMIT);
        let (mut reserved, mut is_new) = (0, true);
        thread::scope(|scope| {
            let mut coming = parts.next().map(|part| pages(scope, part, make));
            while let Some(making) = coming {
                let mut part: Vec<Page> = making.into_iter().flat_map(made).collect();
                coming = parts.next().map(|part| pages(scope, part, make));
                let messages: usize = part.iter().map(|page| page.records.len()).sum();
                let fresh = match is_new {
                    true => self.reserve_new(run, &mut part)?,
                    false => None,
                };
                let fresh = match fresh {
                    Some(fresh) => fresh,
                    None => self.reserve_some(run, &part)?,
                };
                // Where one part was known, as in a second run of a night, the next is not taken for new.
                is_new = fresh == messages;
                self.mover.has_committed(&self.path, fresh);
                reserved += fresh;
            }
            Ok(reserved)
        })
    }

    /// Reserves messages that are taken for new; none, and nothing written, where one of them is not.
    fn reserve_new(&mut self, run: &str, part: &mut [Page]) -> Result<Option<usize>, Error> {
        let mut is_known = false;
        let written = self.write_outbox(DOING, |transaction| {
            let mut messages = 0;
            for page in part.iter_mut() {
                let Some(body) = page.body.take() else {
                    is_known = true;
                    return Err(rusqlite::Error::StatementChangedRows(0));
                };
                let number = page.records.len();
                let entry = chain::append_text(transaction, run, RESERVED, &count(number), body)?;
                for record in &page.records {
                    insert(transaction, run, entry, record).inspect_err(|error| {
                        is_known = error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation);
                    })?;
                }
                messages += number;
            }
            Ok(messages)
        });
        match written {
            Err(_) if is_known => Ok(None),
            written => written.map(Some),
        }
    }

    /// Reserves those of the messages that are new or were dropped.
    fn reserve_some(&mut self, run: &str, part: &[Page]) -> Result<usize, Error> {
        self.write_outbox(DOING, |transaction| {
            part.iter().try_fold(0, |sum, page| Ok(sum + reserve(transaction, run, &page.records)?))
        })
    }
}

/// Threads that make the pages of a part: more would each keep memory of their own.
const MAKERS: usize = 4;

/// Has the pages of a part made, on several cores; each thread gives its own, in their order.
fn pages<'scope, I: Sync>(
    scope: &'scope Scope<'scope, '_>,
    part: &'scope [I],
    make: &'scope (impl Fn(&I) -> Record + Sync),
) -> Vec<ScopedJoinHandle<'scope, Vec<Page>>> {
    let entries = part.len().div_ceil(PER_ENTRY).div_ceil(MAKERS).max(1);
    let made = |items: &[I]| items.chunks(PER_ENTRY).map(|items| Page::of(items, make)).collect();
    part.chunks(PER_ENTRY * entries).map(|items| scope.spawn(move || made(items))).collect()
}

fn made(pages: ScopedJoinHandle<'_, Vec<Page>>) -> Vec<Page> {
    // A panic of the thread is that of this one.
    pages.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn reserve(transaction: &Transaction<'_>, run: &str, records: &[Record]) -> rusqlite::Result<usize> {
    let mut fresh = Vec::with_capacity(records.len());
    let mut seen = std::collections::HashSet::with_capacity(records.len());
    for record in records {
        let known = state_of(transaction, &record.key)?;
        if known.is_none_or(|(state, _)| state == "dropped") && seen.insert(&record.key) {
            fresh.push(record);
        }
    }
    if fresh.is_empty() {
        return Ok(0);
    }
    let lines: Vec<Line<'_>> = fresh.iter().map(|record| Line::of(record)).collect();
    let entry = append_lines(transaction, run, RESERVED, &lines)?;
    for record in &fresh {
        put(transaction, run, entry, record, MessageState::Reserved, 0)?;
    }
    Ok(fresh.len())
}

/// Puts the row of a message that must be new.
fn insert(transaction: &Transaction<'_>, run: &str, entry: i64, record: &Record) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "insert into outbox (key, subject, obligation, item, stage, channel, message_id, address, valid_until,
                                 state, attempts, run, entry)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'reserved', 0, ?10, ?11)",
        )?
        .execute(params![
            record.key.0,
            record.subject,
            record.obligation,
            record.item,
            record.stage_notice_days,
            record.channel,
            record.message_id,
            record.address,
            record.valid_until.map(|day| day.to_string()),
            run,
            entry
        ])
        .map(drop)
}
