//! One table of one night: read, proved, and written aside, whole or by its
//! changes (`changes`). This module must not know what a table means.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tempfile::NamedTempFile;

use super::buckets::{Bucket, Shed};
use super::changes::Increment;
use super::group::{Plan, group_rows};
use super::intake::{Intake, Judged, Taken, judged};
use super::lane::{Counts, Lane, Whole};
use super::manifest::{Manifest, Part, Value};
use super::merge::{self, Job, Written};
use super::order::Order;
use super::proof::{self, Controls, Tally};
use super::sift::{Sieve, Sifted};
use super::spill::Spill;
use super::store::{self, Aside, Shelf};
use super::twins::Hashes;
use super::{Error, Landed, Read};
use crate::calendar::AsOf;
use crate::pipeline::filter::Condition;
use crate::pipeline::{Load, SourceKind, SourceTable};
use crate::sources::{Answer, Batch, Request, Snapshot, Stop};
use crate::tables::{DELETED, TableName};

/// More surplus rows than this, and the declared key is no key at all.
const TWINS_MAX: u64 = 1_000_000;

/// One table to be pulled.
pub(super) struct Pull<'a> {
    pub(super) name: TableName,
    /// Which source it is.
    pub(super) kind: &'a SourceKind,
    pub(super) table: &'a SourceTable,
    pub(super) as_of: AsOf,
    /// Tonight's rows.
    pub(super) condition: Option<Condition>,
    pub(super) shelf: &'a Shelf,
    pub(super) order: Order,
    pub(super) controls: Controls,
    pub(super) threads: usize,
    /// Packed rows up to this stay in memory.
    pub(super) memory_bytes: usize,
}

/// What one reading gave, sorted and written aside.
pub(super) struct Draft {
    file: NamedTempFile,
    pub(super) part: Part,
    pub(super) answer: Answer,
    sifted: Sifted,
    /// How much did not fit in memory.
    spilled_bytes: u64,
    /// The greatest cursor seen.
    pub(super) high: Option<i64>,
}

impl<'a> Pull<'a> {
    /// Reads the table and writes it aside.
    pub(super) fn land(self, snapshot: &mut Snapshot) -> Result<(Landed, Aside), Error> {
        let begun = crate::calendar::now();
        let room = self.shelf.room(&self.name)?;
        let mut why = None;
        if let Load::Incremental { cursor, overlap, compare_days } = &self.table.load {
            let steps = Increment { pull: &self, cursor, overlap: *overlap, compare_days: *compare_days, room: &room };
            match steps.land(snapshot)? {
                Ok((draft, manifest, last, read)) => {
                    let folders = (last.folder.clone(), room);
                    return self.landed(draft, manifest, folders, read, begun);
                }
                Err(reason) => why = reason,
            }
        }
        let draft = self.whole(&room, snapshot)?;
        let (part, condition) = (draft.part.clone(), self.condition.as_ref());
        let mut manifest = Manifest::whole((self.kind, self.table), part, condition, self.order.names());
        if let Load::Incremental { cursor, .. } = &self.table.load {
            let kind = self.table.column(cursor).map(|column| column.kind);
            manifest.high = draft.high.and_then(|high| Value::cursor(kind?, high, self.as_of.date()));
            manifest.compared_on = Some(crate::calendar::to_days(self.as_of.date()));
        }
        let folders = (room.clone(), room);
        self.landed(Some(draft), manifest, folders, Read::Whole { why }, begun)
    }

    /// All rows of the night.
    fn whole(&self, room: &Path, snapshot: &mut Snapshot) -> Result<Draft, Error> {
        let high = Mutex::new(None);
        let cursor = self.cursor_place();
        let map = |sieve: &Sieve<'_>, batch: Batch| {
            see(&high, cursor, &batch.rows);
            judged(sieve, batch)
        };
        let request = Request { table: self.table, condition: self.condition.as_ref() };
        let read = self.read(room, snapshot, request, &self.schema(false), &map, &mut |_, _| Ok(()))?;
        match read {
            Ok(mut draft) => {
                draft.high = high.into_inner().unwrap_or_else(PoisonError::into_inner);
                Ok(draft)
            }
            Err(_) => Err(Error::Crashed { source_name: self.name.schema.clone() }),
        }
    }

    pub(super) fn cursor_place(&self) -> Option<usize> {
        let Load::Incremental { cursor, .. } = &self.table.load else { return None };
        self.table.columns.iter().position(|column| column.name == *cursor)
    }

    /// Reads rows, adds what `more` has, and writes all of them sorted. The reason why not, where keys
    /// that came twice cannot be told apart among changes.
    pub(super) fn read(
        &self,
        room: &Path,
        snapshot: &mut Snapshot,
        request: Request<'_>,
        schema: &SchemaRef,
        map: &(dyn Fn(&Sieve<'_>, Batch) -> Result<Judged, Error> + Sync),
        more: More<'_>,
    ) -> Result<Result<Draft, &'static str>, Error> {
        let spill = Spill::new(room);
        let hashes = Hashes::new(&spill);
        let sieve = Sieve::new(self.name.clone(), self.table);
        let is_whole = schema.fields().len() == self.table.columns.len();
        let plan = Plan { name: &self.name, order: &self.order, controls: &self.controls, schema };
        let lane = (is_whole && self.order.is_by_key()).then(|| Lane::new(plan, room));
        let intake = Intake::new(plan, lane, (&spill, self.memory_bytes), &hashes, self.threads);
        let refused = Mutex::new(None);
        let answer = std::thread::scope(|scope| {
            let answer = snapshot.read(request, &|batch: Batch| match map(&sieve, batch) {
                Ok(judged) => intake.take(scope, judged).then_some(()).ok_or(Stop),
                Err(error) => {
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(Stop)
                }
            });
            let added = match &answer {
                Ok(_) => more(snapshot, &mut |judged| intake.take(scope, judged)),
                Err(_) => Ok(()),
            };
            intake.flush(scope);
            added.map(|()| answer)
        });
        if let Some(error) = refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let (taken, shed, whole) = intake.finish()?;
        let answer = answer?.map_err(|source| Error::Source { source_name: self.name.schema.clone(), source })?;
        let twins = self.twins(&taken, &shed, &hashes)?;
        let surplus: u64 = twins.values().sum();
        if surplus > TWINS_MAX {
            return Err(Error::NotAKey { table: self.name.clone(), rows: surplus });
        }
        if !is_whole && !twins.is_empty() {
            return Ok(Err("a key came more than once among the changes"));
        }
        let (file, written) = match whole {
            Some(Whole { file, digest, tally }) => {
                (file, Written { digest, tally, twins_tally: Tally::default(), twins: Vec::new() })
            }
            None => self.merged(plan, room, (taken.buckets, &taken.counts), &shed, &twins)?,
        };
        let counts = taken.counts;
        self.set_twins_aside(&sieve, &written, &counts.bad, &twins);
        let sifted = sieve.finish();
        proof::compare_rows(&self.name, &answer, sifted.rows_taken)?;
        let sums = if is_whole { counts.sums.as_slice() } else { &[] };
        self.controls.compare(&self.name, &answer, sums, &sifted.unread)?;
        let mut all = written.tally.clone();
        all.join(&written.twins_tally);
        if all != counts.tally {
            let what = "what was written, read against what came in".to_owned();
            return Err(Error::Mismatch { table: self.name.clone(), what });
        }
        let part = Part::new(&written.digest, written.tally.rows);
        let spilled_bytes = spill.bytes();
        Ok(Ok(Draft { file, part, answer, sifted, spilled_bytes, high: None }))
    }

    /// Keys that stand in the table more than once, by their hashes, each with how often.
    fn twins(&self, taken: &Taken, shed: &Shed<'_>, hashes: &Hashes<'_>) -> Result<HashMap<u128, u64>, Error> {
        if taken.rises {
            return Ok(HashMap::new());
        }
        shed.unhashed(&taken.buckets, self.threads, &|keys| {
            hashes.add(&self.order.hashes_of(keys).map_err(|source| shed.arrow(source))?)
        })?;
        Ok(hashes.repeated(self.threads)?.into_iter().collect())
    }

    /// Sorts the rows of the buckets into a file.
    fn merged(
        &self,
        plan: Plan<'_>,
        room: &Path,
        (buckets, counts): (Vec<Bucket>, &Counts),
        shed: &Shed<'_>,
        twins: &HashMap<u128, u64>,
    ) -> Result<(NamedTempFile, Written), Error> {
        let group_rows = group_rows(counts.tally.rows, counts.content_bytes);
        let buckets = shed.cut(buckets, self.threads)?;
        let job = Job { plan, shed, twins, group_rows, threads: self.threads };
        let file = store::aside(room)?;
        let written = merge::write(&job, buckets, store::handle(&file), room)?;
        Ok((file, written))
    }

    fn set_twins_aside(&self, sieve: &Sieve<'_>, written: &Written, bad: &[(u128, u64)], twins: &HashMap<u128, u64>) {
        let mut rows = written.twins.clone();
        let were_good = rows.len() as u64;
        rows.extend(bad.iter().filter(|(hash, _)| twins.contains_key(&(*hash).max(1))).map(|(_, row)| *row));
        sieve.twins(&rows, were_good);
    }

    /// The schema of the table, or of its changes.
    pub(super) fn schema(&self, of_changes: bool) -> SchemaRef {
        schema(self.table, of_changes)
    }

    fn landed(
        self,
        draft: Option<Draft>,
        manifest: Manifest,
        (base, room): (PathBuf, PathBuf),
        read: Read,
        begun: jiff::Timestamp,
    ) -> Result<(Landed, Aside), Error> {
        let mut stored = manifest.stored(&room, self.schema(false));
        stored.base = vec![base.join(&manifest.base.file)];
        let Some(Draft { file, part, answer, sifted, spilled_bytes, .. }) = draft else {
            return Err(Error::Crashed { source_name: self.name.schema.clone() });
        };
        let quarantine = store::write_reasons(&room, &self.name, &sifted.quarantined)?;
        let is_named = manifest.files().any(|name| name == part.file);
        let mut files = vec![(file, part.file)];
        files.retain(|_| is_named);
        let landed = Landed {
            stored,
            generation: None,
            asked: answer.asked,
            columns: self.table.columns.iter().map(|column| column.name.clone()).collect(),
            proven: answer.counted.names(),
            rows_read: answer.counted.rows,
            rows_landed: sifted.rows_taken - sifted.rows_quarantined,
            rows_quarantined: sifted.rows_quarantined,
            findings: sifted.findings,
            read,
            spilled_bytes,
            seconds: (crate::calendar::now() - begun).total(jiff::Unit::Second).unwrap_or(0.0),
            condition: self.condition,
            order: self.order,
            _temporary: self.shelf.temporary(),
            name: self.name,
        };
        Ok((landed, Aside { folder: room, files, manifest, quarantine }))
    }
}

/// The schema of a table: declared types, nullable except the key; of its changes, with the mark of the gone.
pub(super) fn schema(table: &SourceTable, of_changes: bool) -> SchemaRef {
    let field = |column: &crate::pipeline::Column| {
        Field::new(&column.name, column.kind.arrow(), !table.key.contains(&column.name))
    };
    let deleted = of_changes.then(|| Field::new(DELETED, DataType::Boolean, false));
    Arc::new(Schema::new(table.columns.iter().map(field).chain(deleted).collect::<Vec<_>>()))
}

/// What else is added to the rows that were read.
pub(super) type More<'m> = &'m mut dyn FnMut(&mut Snapshot, &mut dyn FnMut(Judged) -> bool) -> Result<(), Error>;

/// Remembers the greatest cursor.
pub(super) fn see(high: &Mutex<Option<i64>>, cursor: Option<usize>, rows: &RecordBatch) {
    if let Some(seen) = cursor.and_then(|place| rows.columns().get(place)).and_then(Value::greatest) {
        let mut high = high.lock().unwrap_or_else(PoisonError::into_inner);
        *high = (*high).max(Some(seen));
    }
}
