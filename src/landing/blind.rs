//! Tables that never land: answers about satisfaction, read into memory and nowhere else.
//!
//! They are read in the source's snapshot like every table, against the contract and with proved counts; rows with a
//! fault are left out and counted. No file is written, no row number is kept, and nothing is spilled: what the caller
//! does not keep is gone. This module must not know what the answers mean.

use std::sync::{Mutex, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

use super::land::{Pull, schema};
use super::sift::Sieve;
use super::{Error, Landed, Read, proof};
use crate::sources::{Batch, Request, Snapshot, Stop};
use crate::tables::{Stored, Table};

/// Reads a table into memory.
pub(super) fn read(pull: Pull<'_>, snapshot: &mut Snapshot) -> Result<(Landed, Table), Error> {
    let begun = crate::calendar::now();
    let sieve = Sieve::new(pull.name.clone(), pull.table);
    let rows: Mutex<Vec<RecordBatch>> = Mutex::default();
    let refused: Mutex<Option<Error>> = Mutex::new(None);
    let refuse = |error| {
        refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        Stop
    };
    let take = |batch: Batch| -> Result<(), Stop> {
        let bad = sieve.judge(&batch).map_err(refuse)?;
        let good = match bad {
            None => batch.rows,
            Some(bad) => {
                let mask: BooleanArray = bad.iter().map(|bad| Some(!bad)).collect();
                let filtered = filter_record_batch(&batch.rows, &mask);
                filtered.map_err(|source| refuse(Error::Arrow { table: pull.name.clone(), source }))?
            }
        };
        rows.lock().unwrap_or_else(PoisonError::into_inner).push(good);
        Ok(())
    };
    let request = Request { table: pull.table, condition: pull.condition.as_ref() };
    let answer = snapshot.read(request, &take);
    if let Some(error) = refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let answer = answer.map_err(|source| Error::Source { source_name: pull.name.schema.clone(), source })?;
    let sifted = sieve.finish();
    proof::compare_rows(&pull.name, &answer, sifted.rows_taken)?;
    let batches = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    let schema = schema(pull.table, false);
    let table = Table { schema: batches.first().map_or_else(|| schema.clone(), RecordBatch::schema), batches };
    let stored = Stored {
        schema,
        base: Vec::new(),
        changes: None,
        key: pull.table.key.clone(),
        sorted_by: Vec::new(),
        condition: None,
    };
    let landed = Landed {
        stored,
        generation: None,
        asked: answer.asked,
        columns: pull.table.columns.iter().map(|column| column.name.clone()).collect(),
        proven: vec!["rows".to_owned()],
        rows_read: answer.counted.rows,
        spilled_bytes: 0,
        rows_landed: sifted.rows_taken - sifted.rows_quarantined,
        rows_quarantined: sifted.rows_quarantined,
        findings: sifted.findings,
        read: Read::Whole { why: None },
        seconds: (crate::calendar::now() - begun).total(jiff::Unit::Second).unwrap_or(0.0),
        condition: None,
        order: pull.order,
        _temporary: None,
        name: pull.name,
    };
    Ok((landed, table))
}
