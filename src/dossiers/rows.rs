//! Which rows of a table are wanted, by their keys: read on all cores, because each key is a keyed digest.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;

use super::Error;
use crate::tables::{self, Table};

/// Rows that one core reads at a time.
const ROWS_AT_A_TIME: usize = 4_096;

/// The columns that tell which obligation a row is about.
const KEYS: [&str; 3] = ["subject_id", "object_id", "period"];

/// The rows of an obligation table that are wanted, in its order: `is_wanted` is given subject, object (empty where there
/// is none) and period. A row without subject or period is nobody's.
///
/// # Errors
///
/// Where a key is missing or cannot be read as text.
pub fn wanted_rows(item: &str, table: &Table, is_wanted: &(impl Fn([&str; 3]) -> bool + Sync)) -> Result<Table, Error> {
    let batches = on_all_cores(table.batches.len(), 1, &|at| {
        let Some(batch) = table.batches.get(at) else { return Ok(None) };
        let keys = keys(item, batch)?;
        let mask: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(key(&keys, row).is_some_and(is_wanted))).collect();
        let kept = filter_record_batch(batch, &mask)
            .map_err(|source| Error::Batch { item: item.to_owned(), source: Box::new(source) })?;
        Ok((kept.num_rows() > 0).then_some(kept))
    });
    let batches: Result<Vec<Option<RecordBatch>>, Error> = batches.into_iter().collect();
    Ok(Table { schema: table.schema.clone(), batches: batches?.into_iter().flatten().collect() })
}

/// What `find` says of each row, in their order.
pub(super) fn places(
    keys: &[StringArray; 3],
    rows: usize,
    find: &(impl Fn([&str; 3]) -> Option<usize> + Sync),
) -> Vec<Option<usize>> {
    on_all_cores(rows, ROWS_AT_A_TIME, &|row| key(keys, row).and_then(find))
}

/// Subject, object (empty where there is none) and period of a row; none where the row has no subject or period.
pub(super) fn key([subjects, objects, periods]: &[StringArray; 3], row: usize) -> Option<[&str; 3]> {
    Some([cell(subjects, row)?, cell(objects, row).unwrap_or_default(), cell(periods, row)?])
}

pub(super) fn cell(array: &StringArray, row: usize) -> Option<&str> {
    (row < array.len() && !array.is_null(row)).then(|| array.value(row))
}

/// A column as text; dates in ISO 8601.
pub(super) fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray, tables::Error> {
    let column = batch.column_by_name(name).ok_or_else(|| tables::Error::Missing { column: name.to_owned() })?;
    let wanted = DataType::Utf8;
    let array = cast(column, &wanted).map_err(|source| tables::Error::Type { column: name.into(), wanted, source })?;
    Ok(array.as_string::<i32>().clone())
}

/// The key columns of a batch.
pub(super) fn keys(item: &str, batch: &RecordBatch) -> Result<[StringArray; 3], Error> {
    let failed = |source| Error::Table { item: item.to_owned(), source: Box::new(source) };
    let [subjects, objects, periods] = KEYS.map(|name| texts(batch, name).map_err(failed));
    Ok([subjects?, objects?, periods?])
}

/// What `make` gives for each number below `count`, in their order. Each core takes runs of `at_a_time` in turn.
fn on_all_cores<T: Send>(count: usize, at_a_time: usize, make: &(impl Fn(usize) -> T + Sync)) -> Vec<T> {
    let runs = count.div_ceil(at_a_time);
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(runs.max(1));
    let range = |run: usize| run * at_a_time..count.min((run + 1) * at_a_time);
    let of_core = |core: usize| (core..runs).step_by(cores).map(|run| range(run).map(make).collect()).collect();
    let of_core = &of_core;
    let mut parts: Vec<std::vec::IntoIter<Vec<T>>> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..cores).map(|core| scope.spawn(move || -> Vec<Vec<T>> { of_core(core) })).collect();
        let done = spawned.into_iter().map(|core| core.join().unwrap_or_else(|panic| resume_unwind(panic)).into_iter());
        done.collect()
    });
    let mut all = Vec::with_capacity(count);
    for run in 0..runs {
        all.extend(parts.get_mut(run % cores).and_then(Iterator::next).into_iter().flatten());
    }
    all
}
