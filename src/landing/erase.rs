//! Taking one person out of every generation that is kept.
//!
//! A generation is never changed: a new one without the person's rows is written
//! aside, takes a name of its own, and then the old one leaves. Whoever reads
//! meanwhile sees a whole file. A call that was cut off is finished by the next.

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;

use super::store::Digest;
use super::{Error, Store, read_generation};
use crate::personal::Personal;
use crate::tables::{Table, TableName};

/// A table out of which a person was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// `<source>.<table>`.
    pub table: TableName,
    /// The generations that held the person: SHA-256 before and after.
    pub generations: Vec<(Digest, Digest)>,
    /// Rows taken out, over all generations.
    pub rows: u64,
}

/// Takes a person out of all generations of these tables; with each table, the columns that hold the
/// person's number. Tables that held nothing of the person are not in the answer.
pub fn erase(
    store: &Store,
    tables: &[(TableName, Vec<String>)],
    subject: &Personal<String>,
) -> Result<Vec<Erased>, Error> {
    let mut all = Vec::new();
    for (table, columns) in tables {
        // Held for the source, so that no pull of it lands a generation beside the one being rewritten.
        let Some(shelf) = store.shelf(&table.schema)? else { continue };
        let mut erased = Erased { table: table.clone(), generations: Vec::new(), rows: 0 };
        for name in shelf.generations(table)? {
            let path = shelf.path(table, &name);
            let held = read_generation(&path)?;
            let arrow = |source| Error::Arrow { table: table.clone(), source };
            let (kept, rows) = without(&held, columns, subject.reveal()).map_err(arrow)?;
            if rows > 0 {
                erased.generations.push(shelf.put_instead(table, &name, &kept)?);
                erased.rows += rows;
            }
        }
        if erased.rows > 0 {
            all.push(erased);
        }
    }
    Ok(all)
}

/// The rows that are not the person's, and how many were.
fn without(table: &Table, columns: &[String], subject: &str) -> Result<(Table, u64), arrow::error::ArrowError> {
    let mut rows = 0;
    let mut batches = Vec::with_capacity(table.batches.len());
    for batch in &table.batches {
        let mut keep = vec![true; batch.num_rows()];
        for column in columns.iter().filter_map(|name| batch.column_by_name(name)) {
            let texts = cast(column, &DataType::Utf8)?;
            for (keep, text) in keep.iter_mut().zip(texts.as_string::<i32>()) {
                *keep &= text != Some(subject);
            }
        }
        rows += keep.iter().filter(|keep| !**keep).count() as u64;
        batches.push(filter_record_batch(batch, &BooleanArray::from(keep))?);
    }
    Ok((Table { schema: table.schema.clone(), batches }, rows))
}
