//! PostgreSQL's binary copy format (manual, `COPY`, section "Binary Format"),
//! one message of one row at a time, straight into columns.
//!
//! Nothing in the stream is trusted: a length that does not fit is a protocol
//! error, never a read beyond the message. What nearly all columns of a
//! register are has a builder here that costs a few nanoseconds a value;
//! everything else goes through the type policy that all sources share.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Int64Type, Schema, SchemaRef};
use jiff::tz::TimeZone;

use super::cells::Cells;
use super::proof::{KeyPart, Proof};
use super::types::Decode;
use crate::pipeline::SourceTable;
use crate::sources::values::Reason;
use crate::sources::{BATCH_ROWS, Batch, Error, Totals, ValueFault};

/// What every stream begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// 1 January 2000, where PostgreSQL counts from, in days since 1 January 1970.
pub(super) const EPOCH_DAYS: i64 = 10_957;

/// A batch is handed over when it has taken so many bytes off the wire, however few rows they are.
const BATCH_BYTES: usize = 64 << 20;

/// The stream is not what the format allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Why a field did not become a value.
pub(super) enum Wrong {
    /// It is not of the type that the server said it is.
    Malformed,
    /// It is, and cannot be taken.
    Value(Reason),
}

impl From<Malformed> for Wrong {
    fn from(_: Malformed) -> Self {
        Wrong::Malformed
    }
}

/// How one column is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Which column of the contract it is, counting from 0.
    pub(super) column: usize,
    /// How its bytes are read.
    pub(super) decode: Decode,
    /// Whether each value is a list of such.
    pub(super) is_list: bool,
    /// How it goes into the digest of keys; none when it does not.
    pub(super) key: Option<KeyPart>,
    /// Whether its values are summed.
    pub(super) is_summed: bool,
}

/// Rows of one copy, on their way into batches.
pub(super) struct CopyRows {
    schema: SchemaRef,
    /// In the order in which they come.
    columns: Vec<Cells>,
    plans: Vec<Plan>,
    zone: TimeZone,
    faults: Vec<ValueFault>,
    /// Per column of the contract, how many texts of this batch were brought to NFC.
    normalised: Vec<u64>,
    row: usize,
    bytes: usize,
    /// How many rows make a batch.
    batch_rows: usize,
    first_row: u64,
    header_seen: bool,
    finished: bool,
    received: Totals,
    /// Where each row has the server's totals behind its columns: how they are read, and what they are.
    counted: Option<(Proof, Option<Totals>)>,
}

/// What came of a copy.
#[derive(Debug)]
pub(super) struct Copied {
    /// Our totals of it.
    pub(super) received: Totals,
    /// The server's, where they came with the rows.
    pub(super) counted: Option<Totals>,
}

impl CopyRows {
    /// For a table whose columns come in the order of `plans`, one for each, in batches of up to `batch_rows`; its first
    /// row has the number `first_row`.
    pub(super) fn new(table: &SourceTable, plans: &[Plan], batch_rows: usize, first_row: u64) -> Self {
        let batch_rows = batch_rows.clamp(1, BATCH_ROWS);
        let columns = || plans.iter().filter_map(|plan| Some((table.columns.get(plan.column)?, plan)));
        let fields: Vec<_> = table.columns.iter().map(|c| Field::new(&c.name, c.kind.arrow(), true)).collect();
        let keys = plans.iter().any(|plan| plan.key.is_some()).then_some(0);
        let summed = columns().filter(|(_, plan)| plan.is_summed);
        let sums = summed.map(|(column, _)| (column.name.clone(), (0, 0))).collect();
        CopyRows {
            schema: Arc::new(Schema::new(fields)),
            columns: columns().map(|(column, plan)| Cells::new(column, plan, batch_rows)).collect(),
            plans: plans.to_vec(),
            zone: crate::calendar::vietnam(),
            faults: Vec::new(),
            normalised: vec![0; plans.len()],
            row: 0,
            bytes: 0,
            batch_rows,
            first_row,
            header_seen: false,
            finished: false,
            received: Totals { rows: 0, keys, sums },
            counted: None,
        }
    }

    /// Where each row has the server's totals behind its columns.
    pub(super) fn with_totals(self, proof: Proof) -> Self {
        CopyRows { counted: Some((proof, None)), ..self }
    }

    /// Whether a batch has to be taken before the next row.
    pub(super) fn is_full(&self) -> bool {
        self.row >= self.batch_rows || self.bytes >= BATCH_BYTES
    }

    /// Takes one message: the header, a row, the end, or the header and what follows it.
    #[inline]
    pub(super) fn message(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        self.bytes += bytes.len();
        if !self.header_seen {
            bytes = header(bytes)?;
            self.header_seen = true;
            if bytes.is_empty() {
                return Ok(());
            }
        }
        let (count, fields) = bytes.split_first_chunk::<2>().ok_or(Malformed)?;
        match i16::from_be_bytes(*count) {
            _ if self.finished => Err(Malformed),
            -1 if fields.is_empty() => {
                self.finished = true;
                Ok(())
            }
            count if usize::try_from(count) == Ok(self.width()) => self.fields(fields),
            _ => Err(Malformed),
        }
    }

    #[inline]
    fn width(&self) -> usize {
        self.columns.len() + self.counted.as_ref().map_or(0, |(proof, _)| proof.width())
    }

    /// Reads the totals behind the columns of the first row; whether there is a row at all.
    #[cold]
    fn count(&mut self, mut rest: &[u8]) -> Result<bool, Malformed> {
        let mut fields = Vec::with_capacity(self.width());
        for _ in 0..self.width() {
            let (value, after) = field(rest)?;
            fields.push(value);
            rest = after;
        }
        let Some((proof, totals)) = &mut self.counted else { return Ok(true) };
        let totals = totals.insert(proof.received(fields.get(self.columns.len()..).unwrap_or_default())?);
        Ok(totals.rows > 0)
    }

    #[inline]
    fn fields(&mut self, mut rest: &[u8]) -> Result<(), Malformed> {
        if let Some((_, None)) = &self.counted
            && !self.count(rest)?
        {
            return Ok(());
        }
        let mut key = Some(0);
        for (cells, plan) in self.columns.iter_mut().zip(&self.plans) {
            let (length, after) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
            let length = i32::from_be_bytes(*length);
            if length == -1 {
                rest = after;
                cells.append_null(&self.zone);
                if plan.key.is_some() {
                    key = None;
                }
                continue;
            }
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            let (value, after) = after.split_at_checked(length).ok_or(Malformed)?;
            rest = after;
            if let Some(part) = plan.key {
                key = key.map(|seed| part.hash(value, seed));
            }
            match cells.append(value, plan, &self.zone) {
                Ok(put) => {
                    if put.is_normalised
                        && let Some(texts) = self.normalised.get_mut(plan.column)
                    {
                        *texts += 1;
                    }
                }
                Err(Wrong::Value(reason)) => {
                    self.faults.push(ValueFault { row: self.row, column: Some(plan.column), reason });
                }
                Err(Wrong::Malformed) => return Err(Malformed),
            }
        }
        // A key with an empty part is in nobody's digest: the server's functions give nothing for it.
        if let (Some(keys), Some(key)) = (&mut self.received.keys, key) {
            *keys ^= key;
        }
        self.row += 1;
        for _ in self.columns.len()..self.width() {
            rest = field(rest)?.1;
        }
        if rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// The rows that wait, as a batch; none when there are none.
    pub(super) fn batch(&mut self) -> Result<Option<Batch>, Error> {
        if self.row == 0 {
            return Ok(None);
        }
        let failed = |source| Error::Arrow { source };
        let rows = self.batch_rows;
        let arrays =
            self.columns.iter_mut().zip(&self.plans).map(|(cells, plan)| Ok((plan.column, cells.finish(rows)?)));
        let arrays: BTreeMap<usize, ArrayRef> = arrays.collect::<Result<_, _>>().map_err(failed)?;
        let arrays: Vec<ArrayRef> = arrays.into_values().collect();
        self.add_up(&arrays);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(failed)?;
        let first_row = self.first_row + self.received.rows;
        self.received.rows += self.row as u64;
        (self.row, self.bytes) = (0, 0);
        let normalised = self.normalised.iter_mut().map(std::mem::take).enumerate().filter(|(_, texts)| *texts > 0);
        let normalised = normalised.collect();
        Ok(Some(Batch { first_row, rows, faults: std::mem::take(&mut self.faults), normalised, numbers: None }))
    }

    /// Adds the batch to the sums. A column in which a value could not be read has none any more.
    fn add_up(&mut self, arrays: &[ArrayRef]) {
        if self.received.sums.is_empty() {
            return;
        }
        for (index, array) in arrays.iter().enumerate() {
            let name = self.schema.field(index).name();
            let Some(so_far) = self.received.sums.get(name).copied() else { continue };
            let has_fault = self.faults.iter().any(|fault| fault.column == Some(index));
            let sum = if has_fault { None } else { sum(array.as_ref()) };
            match sum.and_then(|(count, sum)| Some((so_far.0 + count, so_far.1.checked_add(sum)?))) {
                Some(total) => drop(self.received.sums.insert(name.clone(), total)),
                None => drop(self.received.sums.remove(name)),
            }
        }
    }

    /// What was received, once the stream has said that it is at its end.
    pub(super) fn finish(self) -> Result<Copied, Malformed> {
        match self.counted {
            _ if !self.finished || self.row > 0 => Err(Malformed),
            Some((_, None)) => Err(Malformed),
            counted => Ok(Copied { received: self.received, counted: counted.and_then(|(_, totals)| totals) }),
        }
    }
}

/// The next field, none when it is empty, and what stands behind it.
fn field(rest: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Malformed> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
    match i32::from_be_bytes(*length) {
        -1 => Ok((None, after)),
        length => {
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            after.split_at_checked(length).map(|(value, after)| (Some(value), after)).ok_or(Malformed)
        }
    }
}

/// How many values are filled, and their sum; none when it is too large, or these values have no sum.
fn sum(array: &dyn Array) -> Option<(u64, i128)> {
    let count = (array.len() - array.null_count()) as u64;
    let sum = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().flatten().map(i128::from).sum(),
        DataType::Date32 => array.as_primitive::<Date32Type>().iter().flatten().map(i128::from).sum(),
        DataType::Decimal128(..) => {
            array.as_primitive::<Decimal128Type>().iter().flatten().try_fold(0_i128, i128::checked_add)?
        }
        _ => return None,
    };
    Some((count, sum))
}

/// Adds the totals of one part of a table to those of another. What one of them lacks, the sum lacks.
pub(super) fn add(total: Totals, part: Totals) -> Totals {
    let sums: BTreeMap<_, _> = total
        .sums
        .into_iter()
        .filter_map(|(name, (count, sum))| {
            let (more, addend) = part.sums.get(&name)?;
            Some((name, (count + more, sum.checked_add(*addend)?)))
        })
        .collect();
    let keys = total.keys.zip(part.keys).map(|(one, other)| one ^ other);
    Totals { rows: total.rows + part.rows, keys, sums }
}

/// What follows the header.
fn header(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let (fixed, rest) = bytes.split_first_chunk::<19>().ok_or(Malformed)?;
    let (signature, numbers) = fixed.split_at(SIGNATURE.len());
    let (flags, extension) = numbers.split_first_chunk::<4>().ok_or(Malformed)?;
    // The upper half of the flags are critical ones, of which none is known since OIDs left with PostgreSQL 12.
    if signature != SIGNATURE || u32::from_be_bytes(*flags) >> 16 != 0 {
        return Err(Malformed);
    }
    let extension = u32::from_be_bytes(extension.try_into().map_err(|_| Malformed)?);
    let extension = usize::try_from(extension).map_err(|_| Malformed)?;
    rest.split_at_checked(extension).map(|(_, after)| after).ok_or(Malformed)
}

/// A whole number of 2, 4 or 8 bytes.
#[inline]
pub(super) fn int(bytes: &[u8]) -> Result<i64, Malformed> {
    match bytes.len() {
        4 => Ok(i64::from(i32::from_be_bytes(exactly(bytes)?))),
        2 => Ok(i64::from(i16::from_be_bytes(exactly(bytes)?))),
        _ => Ok(i64::from_be_bytes(exactly(bytes)?)),
    }
}

#[inline]
pub(super) fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed)
}
