//! What has changed since the last generation.
//!
//! A night that reads changes asks for the rows whose cursor moved, for those
//! that entered the window of the filter without having changed, and for those
//! without a cursor; and, by key alone, for those that changed and left the
//! window. Equal time stamps and rows committed late are read again, by the
//! overlap, and replace themselves. Rows deleted at the source are found by
//! comparing keys, and with them the cursors: where the source has rows that we do
//! not hold, such as were committed later than the overlap or were set aside, the
//! table is read whole. This module must not know how files are made.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::intake::{self, Judged};
use super::land::{Draft, Pull, see};
use super::manifest::{Manifest, Said, Value};
use super::sift::Sieve;
use super::spill::Spill;
use super::store::Kept;
use super::twins::Hashes;
use super::{Error, Read, proof, view};
use crate::pipeline::filter::{Comparison, Condition};
use crate::pipeline::{OnFault, SourceTable};
use crate::sources::{Batch, Request, Snapshot, Stop, ValueFault};
use crate::tables::DELETED;

/// With more changes than this share of the base, the table is read whole again.
const CHANGES_PERCENT_MAX: u64 = 10;

/// With more changed keys than this, too: they are held in memory for a moment.
const CHANGES_MAX: usize = 1_000_000;

/// What takes hashes of keys, with the rows that have them.
type GiveKeys<'g> = &'g mut dyn FnMut(&[u128], &RecordBatch) -> Result<(), Error>;

/// A night that reads what has changed.
pub(super) struct Increment<'a> {
    pub(super) pull: &'a Pull<'a>,
    pub(super) cursor: &'a str,
    pub(super) overlap: u32,
    pub(super) compare_days: u16,
    pub(super) room: &'a Path,
}

/// A table with its changes; or the reason why it must be read whole.
pub(super) type Incremental = Result<(Option<Draft>, Manifest, Kept, Read), Option<&'static str>>;

impl Increment<'_> {
    /// Reads what has changed, or says why that is not enough.
    pub(super) fn land(&self, snapshot: &mut Snapshot) -> Result<Incremental, Error> {
        let Some(last) = self.pull.shelf.last(&self.pull.name)? else { return Ok(Err(None)) };
        let whole = |why| Ok(Err(Some(why)));
        if !last.manifest.fits(self.pull.kind, self.pull.table) {
            return whole("source, columns, types, key, filter or driving date have changed");
        }
        if last.name.date > self.pull.as_of.date() {
            return whole("the newest generation speaks for a later night");
        }
        let Some(high) = last.manifest.high.clone() else { return whole("the cursor had no value") };
        let today = crate::calendar::to_days(self.pull.as_of.date());
        let is_compared = last.manifest.compared_on.is_none_or(|on| today - on >= i32::from(self.compare_days));
        if let Some(why) = last.is_spoiled(is_compared) {
            return whole(why);
        }
        let request = self.condition(&last, &high);
        let (draft, found) = match self.read(snapshot, &last, &request, &high, is_compared)? {
            Ok(read) => read,
            Err(why) => return whole(why),
        };
        let mut manifest = last.manifest.clone();
        manifest.condition = self.pull.condition.as_ref().map(Said::of);
        let kind = self.pull.table.column(self.cursor).map(|column| column.kind);
        manifest.high =
            kind.and_then(|kind| Value::cursor(kind, draft.high.max(high.measure())?, self.pull.as_of.date()));
        manifest.changes = (draft.part.rows > 0).then(|| draft.part.clone());
        if is_compared {
            manifest.compared_on = Some(today);
        }
        if draft.part.rows.saturating_mul(100) > manifest.base.rows.saturating_mul(CHANGES_PERCENT_MAX) {
            return whole("more than a tenth of the table has changed");
        }
        // A change may replace a row of the base or be a new one; a deletion adds none.
        let most = manifest.base.rows + draft.part.rows.saturating_sub(found.deleted);
        let (held_least, held) =
            found.held.map_or((manifest.base.rows.saturating_sub(found.deleted), most), |rows| (rows, rows));
        let read = Read::Changes { gone: found.gone, compared: is_compared, held_least, held };
        Ok(Ok((Some(draft), manifest, last, read)))
    }

    /// What moved since, what entered the window unmoved, and what has no cursor.
    fn condition(&self, last: &Kept, high: &Value) -> Condition {
        let mut parts = vec![self.moved(high), Condition::IsNull(self.cursor.to_owned())];
        let before = last.manifest.condition();
        if let Some(before) = before.filter(|before| Some(before) != self.pull.condition.as_ref()) {
            parts.push(Condition::NotTrue(Box::new(before)));
        }
        let moved = Condition::Any(parts);
        match self.pull.condition.clone() {
            Some(tonight) => Condition::All(vec![tonight, moved]),
            None => moved,
        }
    }

    fn moved(&self, high: &Value) -> Condition {
        Condition::Compare(self.cursor.to_owned(), Comparison::GreaterOrEqual, high.before(self.overlap))
    }

    /// Reads the changes and puts them together with the earlier ones.
    fn read(
        &self,
        snapshot: &mut Snapshot,
        last: &Kept,
        condition: &Condition,
        seen: &Value,
        is_compared: bool,
    ) -> Result<Result<(Draft, Counted), &'static str>, Error> {
        let pull = self.pull;
        let schema = pull.schema(true);
        let high = Mutex::new(None);
        let news = Mutex::new(News::default());
        let cursor = pull.cursor_place();
        let nullable: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let nullable = Arc::new(Schema::new(nullable));
        let map = |sieve: &Sieve<'_>, batch: Batch| {
            see(&high, cursor, &batch.rows);
            let numbers = intake::numbers(&batch);
            let rows = batch.rows.clone();
            let bad = sieve.judge(&batch)?;
            let hashes = pull.order.hashes(rows.columns()).map_err(|source| self.arrow(source))?;
            let marks = self.marks(&hashes, &rows)?;
            let has_key = |row: usize| {
                pull.order.key().iter().all(|place| rows.columns().get(*place).is_some_and(|part| part.is_valid(row)))
            };
            // A row that is set aside takes the place of what we held of it: nothing.
            let deleted: Vec<bool> = bad.clone().unwrap_or_else(|| vec![false; rows.num_rows()]);
            let mut news = news.lock().unwrap_or_else(PoisonError::into_inner);
            for (row, hash) in hashes.iter().enumerate().filter(|(row, _)| has_key(*row)) {
                news.keys.insert(*hash);
                if deleted.get(row).copied().unwrap_or(true) {
                    news.deleted += 1;
                } else {
                    news.good.extend(marks.get(row));
                }
            }
            let bad = bad.map(|_| (0..rows.num_rows()).map(|row| !has_key(row)).collect());
            let mut columns = rows.columns().to_vec();
            columns.push(Arc::new(BooleanArray::from(deleted)));
            let rows = RecordBatch::try_new(Arc::clone(&nullable), columns);
            Ok(Judged { rows: rows.map_err(|source| self.arrow(source))?, numbers, bad })
        };
        let mut counted = Counted::default();
        let mut why = None;
        let mut asked = Vec::new();
        let request = Request { table: pull.table, condition: Some(condition) };
        let read = pull.read(self.room, snapshot, request, &schema, &map, &mut |snapshot, take| {
            let mut news = std::mem::take(&mut *news.lock().unwrap_or_else(PoisonError::into_inner));
            if news.keys.len() > CHANGES_MAX {
                why = Some("more has changed than is put together");
                return Ok(());
            }
            let mut left = self.left(snapshot, last, seen, &news, &mut asked)?;
            if is_compared {
                match self.compare(snapshot, last, &news, &left, &mut asked)? {
                    Ok((more, rows)) => {
                        left.extend(more);
                        counted.held = Some(rows);
                    }
                    Err(reason) => why = Some(reason),
                }
            }
            counted.gone = left.len() as u64;
            counted.deleted = news.deleted;
            for rows in self.tombstones(last, &left)? {
                counted.deleted += rows.num_rows() as u64;
                take(Judged::held(rows));
            }
            news.keys.extend(left);
            self.earlier(last, &news.keys, &mut |judged| {
                counted.deleted += deleted_rows(&judged.rows);
                take(judged)
            })
        })?;
        match (read, why) {
            (_, Some(why)) | (Err(why), None) => Ok(Err(why)),
            (Ok(mut draft), None) => {
                draft.high = high.into_inner().unwrap_or_else(PoisonError::into_inner);
                std::iter::once(&mut draft.answer.asked).for_each(|text| {
                    asked.iter().for_each(|more| {
                        text.push_str("; ");
                        text.push_str(more);
                    });
                });
                Ok(Ok((draft, counted)))
            }
        }
    }

    /// The table with its key, its cursor, and the columns that the condition speaks of.
    fn keys_only(&self, condition: Option<&Condition>) -> SourceTable {
        let mut names: Vec<&str> = self.pull.table.key.iter().map(String::as_str).chain([self.cursor]).collect();
        // A source that cannot filter, a file, looks at them here.
        condition.into_iter().for_each(|condition| columns_of(condition, &mut names));
        let mut table = self.pull.table.clone();
        table.columns.retain(|column| names.contains(&column.name.as_str()));
        table.control_totals.clear();
        table.driving_date = None;
        table
    }

    /// The hashes of keys, each joined with its row's cursor: a row that changed has another.
    fn marks(&self, hashes: &[u128], rows: &RecordBatch) -> Result<Vec<u128>, Error> {
        let Some(cursor) = rows.column_by_name(self.cursor) else { return Ok(hashes.to_vec()) };
        let cursor = cast(cursor, &DataType::Int64).map_err(|source| self.arrow(source))?;
        let joined = hashes.iter().zip(cursor.as_primitive::<Int64Type>());
        Ok(joined.map(|(hash, cursor)| self.pull.order.joined(*hash, cursor)).collect())
    }

    /// Reads keys, and gives their hashes and marks. Rows that would be set aside have none.
    fn ask_keys(
        &self,
        snapshot: &mut Snapshot,
        condition: Option<&Condition>,
        asked: &mut Vec<String>,
        take: &(dyn Fn(Vec<(u128, u128)>) -> Result<(), Error> + Sync),
    ) -> Result<u64, Error> {
        let keys = self.keys_only(condition);
        let sets_aside = |fault: &ValueFault| {
            let column = fault.column.and_then(|column| keys.columns.get(column));
            column.is_none_or(|column| column.on_fault == OnFault::Quarantine)
        };
        let key: Vec<&str> = self.pull.table.key.iter().map(String::as_str).collect();
        let failure = Mutex::new(None);
        let answer = snapshot.read(Request { table: &keys, condition }, &|batch: Batch| {
            let bad: HashSet<usize> = batch.faults.iter().filter(|fault| sets_aside(fault)).map(|f| f.row).collect();
            let has_key = |row: usize| {
                key.iter().all(|name| batch.rows.column_by_name(name).is_some_and(|part| part.is_valid(row)))
            };
            let whole = |row: &usize| !bad.contains(row) && has_key(*row);
            let hashes = view::hashes(&self.pull.order, &self.pull.table.key, &batch.rows);
            let taken = hashes.map_err(|source| self.arrow(source)).and_then(|hashes| {
                let marks = self.marks(&hashes, &batch.rows)?;
                let pairs = hashes.into_iter().zip(marks).enumerate();
                take(pairs.filter(|(row, _)| whole(row)).map(|(_, pair)| pair).collect())
            });
            taken.map_err(|error| {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Stop
            })
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let source_name = self.pull.name.schema.clone();
        let answer = answer.map_err(|source| Error::Source { source_name, source })?;
        proof::compare_rows(&self.pull.name, &answer, answer.received.rows)?;
        asked.push(answer.asked);
        Ok(answer.counted.rows)
    }

    /// Keys that we hold and whose rows have changed, or may have, so that the filter no longer lets them through.
    fn left(
        &self,
        snapshot: &mut Snapshot,
        last: &Kept,
        high: &Value,
        news: &News,
        asked: &mut Vec<String>,
    ) -> Result<HashSet<u128>, Error> {
        let Some(tonight) = &self.pull.condition else { return Ok(HashSet::new()) };
        let moved = Condition::Any(vec![self.moved(high), Condition::IsNull(self.cursor.to_owned())]);
        let condition = Condition::All(vec![moved, Condition::NotTrue(Box::new(tonight.clone()))]);
        let changed = Mutex::new(HashSet::new());
        self.ask_keys(snapshot, Some(&condition), asked, &|hashes| {
            changed.lock().unwrap_or_else(PoisonError::into_inner).extend(hashes.iter().map(|(hash, _)| *hash));
            Ok(())
        })?;
        let mut changed = changed.into_inner().unwrap_or_else(PoisonError::into_inner);
        changed.retain(|hash| !news.keys.contains(hash));
        if changed.is_empty() {
            return Ok(changed);
        }
        let mut held = HashSet::new();
        self.held(last, None, &mut |hashes, _| {
            held.extend(hashes.iter().copied().filter(|hash| changed.contains(hash)));
            Ok(())
        })?;
        Ok(held)
    }

    /// Keys that we hold and the source has no more, and how many it has; or the reason why the table must be
    /// read whole.
    fn compare(
        &self,
        snapshot: &mut Snapshot,
        last: &Kept,
        news: &News,
        left: &HashSet<u128>,
        asked: &mut Vec<String>,
    ) -> Result<Result<(Vec<u128>, u64), &'static str>, Error> {
        let spill = Spill::new(self.room);
        let (source, ours) = (Hashes::new(&spill), Hashes::new(&spill));
        let sums = Mutex::new((0_u64, 0_u128));
        self.ask_keys(snapshot, self.pull.condition.as_ref(), asked, &|hashes| {
            let hashes: Vec<u128> = hashes.into_iter().map(|(_, mark)| mark).collect();
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            sums.0 += hashes.len() as u64;
            sums.1 = hashes.iter().fold(sums.1, |sum, hash| sum.wrapping_add(*hash));
            drop(sums);
            source.add(&hashes)
        })?;
        let (mut rows, mut sum) = (0_u64, 0_u128);
        let mut count = |hashes: &[u128]| {
            rows += hashes.len() as u64;
            sum = hashes.iter().fold(sum, |sum, hash| sum.wrapping_add(*hash));
            ours.add(hashes)
        };
        let stays = |hash: &u128| !news.keys.contains(hash) && !left.contains(hash);
        self.held(last, self.pull.condition.as_ref(), &mut |hashes, rows| {
            let marks = self.marks(hashes, rows)?;
            let held: Vec<u128> = hashes.iter().zip(marks).filter(|(hash, _)| stays(hash)).map(|(_, m)| m).collect();
            count(&held)
        })?;
        count(&news.good)?;
        let at_source = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
        if (rows, sum) == at_source {
            return Ok(Ok((Vec::new(), rows)));
        }
        let differing = ours.differing(&source, self.pull.threads)?;
        if differing.iter().any(|(_, count)| *count < 0) {
            return Ok(Err("the source has rows that we do not hold"));
        }
        if differing.len() > CHANGES_MAX {
            return Ok(Err("more has gone than is put together"));
        }
        let gone: HashSet<u128> = differing.into_iter().map(|(mark, _)| mark).collect();
        let mut keys = Vec::new();
        self.held(last, self.pull.condition.as_ref(), &mut |hashes, rows| {
            let marks = self.marks(hashes, rows)?;
            let pairs = hashes.iter().zip(marks).filter(|(hash, mark)| stays(hash) && gone.contains(mark));
            keys.extend(pairs.map(|(hash, _)| *hash));
            Ok(())
        })?;
        Ok(Ok((keys, at_source.0)))
    }

    /// The keys that we hold from earlier nights, for which the condition holds.
    fn held(&self, last: &Kept, condition: Option<&Condition>, give: GiveKeys<'_>) -> Result<(), Error> {
        let key = &self.pull.table.key;
        let mut names: Vec<&str> = key.iter().map(String::as_str).chain([self.cursor]).collect();
        if let Some(condition) = condition {
            columns_of(condition, &mut names);
        }
        names.sort_unstable();
        names.dedup();
        let stored = last.manifest.stored(&last.folder, self.pull.schema(false));
        view::rows_of(&stored, &self.pull.order, condition, Some(&names), &mut |batch| {
            give(&view::hashes(&self.pull.order, key, &batch).map_err(|source| self.arrow(source))?, &batch)
        })
    }

    /// Rows that say that these keys are gone.
    fn tombstones(&self, last: &Kept, gone: &HashSet<u128>) -> Result<Vec<RecordBatch>, Error> {
        let mut rows = Vec::new();
        if gone.is_empty() {
            return Ok(rows);
        }
        let schema = self.pull.schema(true);
        self.held(last, None, &mut |hashes, batch| {
            let mask: BooleanArray = hashes.iter().map(|hash| Some(gone.contains(hash))).collect();
            let keys = filter_record_batch(batch, &mask).map_err(|source| self.arrow(source))?;
            if keys.num_rows() == 0 {
                return Ok(());
            }
            let column = |field: &Arc<Field>| -> ArrayRef {
                match keys.column_by_name(field.name()) {
                    Some(key) => Arc::clone(key),
                    None if field.name() == DELETED => Arc::new(BooleanArray::from(vec![true; keys.num_rows()])),
                    None => new_null_array(field.data_type(), keys.num_rows()),
                }
            };
            let columns = schema.fields().iter().map(column).collect();
            rows.push(RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|source| self.arrow(source))?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The earlier changes whose keys have not changed again.
    fn earlier(&self, last: &Kept, again: &HashSet<u128>, take: &mut dyn FnMut(Judged) -> bool) -> Result<(), Error> {
        let Some(part) = &last.manifest.changes else { return Ok(()) };
        view::each(&last.folder.join(&part.file), None, &mut |batch| {
            let hashes = view::hashes(&self.pull.order, &self.pull.table.key, &batch);
            let mask: BooleanArray =
                hashes.map_err(|source| self.arrow(source))?.iter().map(|hash| Some(!again.contains(hash))).collect();
            let rows = filter_record_batch(&batch, &mask).map_err(|source| self.arrow(source))?;
            take(Judged::held(rows));
            Ok(())
        })
    }

    fn arrow(&self, source: arrow::error::ArrowError) -> Error {
        Error::Arrow { table: self.pull.name.clone(), source }
    }
}

/// How many rows of changes say that their key is gone.
fn deleted_rows(changes: &RecordBatch) -> u64 {
    let deleted = changes.column_by_name(DELETED).and_then(|column| column.as_boolean_opt());
    deleted.map_or(0, |deleted| deleted.true_count() as u64)
}

/// What a night's changes come to.
#[derive(Default)]
struct Counted {
    /// Keys that have gone since the last night.
    gone: u64,
    /// Rows of the changes, the earlier ones included, that say that their key is gone.
    deleted: u64,
    /// Rows that are held now, where the keys were compared.
    held: Option<u64>,
}

/// What a night's changes are, by the hashes of their keys.
#[derive(Default)]
struct News {
    /// How many rows were set aside that have a key.
    deleted: u64,
    /// All keys that came.
    keys: HashSet<u128>,
    /// Of those of rows that were not set aside, with their cursors.
    good: Vec<u128>,
}

fn columns_of<'c>(condition: &'c Condition, names: &mut Vec<&'c str>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| columns_of(part, names)),
        Condition::Not(inner) | Condition::NotTrue(inner) => columns_of(inner, names),
        Condition::IsNull(column) | Condition::Compare(column, ..) => names.push(column),
    }
}
