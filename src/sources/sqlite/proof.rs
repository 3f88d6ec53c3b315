//! What SQLite counts itself, in the same snapshot, and what was received: keys and control totals.
//!
//! SQLite has no hash that could be summed, so that every reader gets a function of
//! ours, an aggregate over the key's columns: SQLite walks through the rows a second
//! time, and our reading of them is compared with that. The digest is the exclusive or
//! of a 64-bit hash of each row's key, of the values as they are stored.
//!
//! Only whole numbers and dates in ISO 8601 are summed; SQLite keeps exact numbers
//! as floating point or as text, and has no sum of those. A sum is taken in two
//! halves, because one of 64 bits would overflow.

use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use twox_hash::XxHash3_128;

use super::super::blocks::locked;
use super::super::{Batch, Totals};
use crate::pipeline::{SourceTable, Type};

const HALF: i128 = 1_000_000_000;

/// The name of the aggregate over the columns of a key.
const KEYS: &str = "chudong_keys";

/// The digest of the keys of some rows.
#[derive(Debug, Default)]
pub(super) struct Keys {
    digest: u64,
    bytes: Vec<u8>,
}

impl Keys {
    /// The next part of a row's key, in the order of the columns.
    pub(super) fn part(&mut self, part: ValueRef<'_>) {
        // Each part with its type and its length, so that two parts are not another two.
        match part {
            ValueRef::Null => self.bytes.push(b'-'),
            ValueRef::Integer(value) => self.fixed(b'i', value.to_be_bytes()),
            ValueRef::Real(value) => self.fixed(b'r', value.to_bits().to_be_bytes()),
            ValueRef::Text(text) => self.long(b't', text),
            ValueRef::Blob(bytes) => self.long(b'b', bytes),
        }
    }

    /// Adds the key of the row whose parts were given.
    pub(super) fn end_row(&mut self) {
        // Half of 128 bits is as good a hash of 64.
        self.digest ^= XxHash3_128::oneshot(&self.bytes) as u64;
        self.bytes.clear();
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    fn fixed(&mut self, kind: u8, bytes: [u8; 8]) {
        self.bytes.push(kind);
        self.bytes.extend(bytes);
    }

    fn long(&mut self, kind: u8, bytes: &[u8]) {
        self.fixed(kind, (bytes.len() as u64).to_be_bytes());
        self.bytes.extend(bytes);
    }
}

/// [`Keys`] as SQLite calls it.
struct OfKeys;

impl Aggregate<Keys, i64> for OfKeys {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Keys> {
        Ok(Keys::default())
    }

    fn step(&self, context: &mut Context<'_>, keys: &mut Keys) -> rusqlite::Result<()> {
        (0..context.len()).for_each(|part| keys.part(context.get_raw(part)));
        keys.end_row();
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, keys: Option<Keys>) -> rusqlite::Result<i64> {
        Ok(keys.map_or(0, |keys| keys.digest.cast_signed()))
    }
}

/// Lets a connection digest keys.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    // A view of a foreign file may not call it.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_aggregate_function(KEYS, -1, flags, OfKeys)
}

/// The digest of the keys of a table that is called `t`, to be selected. Without a key it is the same for any rows.
pub(super) fn keys(table: &SourceTable, quote: &dyn Fn(&str) -> String) -> String {
    let columns = table.columns.iter().filter(|column| table.key.contains(&column.name));
    let parts: Vec<_> = columns.map(|column| format!("t.{}", quote(&column.name))).collect();
    if parts.is_empty() { "0".to_owned() } else { format!("{KEYS}({})", parts.join(", ")) }
}

/// By column, how many values are filled, and their sum.
pub(super) type Sums = BTreeMap<String, (u64, i128)>;

/// The columns whose totals can be compared, each with what to select: filled values, the two halves of
/// their sum, and how many values are of another type.
pub(super) fn selected(table: &SourceTable, quote: &dyn Fn(&str) -> String) -> Vec<(String, String)> {
    let columns = table.control_totals.iter().filter_map(|name| table.column(name));
    columns
        .filter_map(|column| {
            let name = format!("t.{}", quote(&column.name));
            let (kind, value) = match column.kind {
                Type::Int => ("integer", name.clone()),
                Type::Date if column.format.is_none() => {
                    ("text", format!("cast(strftime('%s', substr({name}, 1, 10)) as integer) / 86400"))
                }
                _ => return None,
            };
            let select = format!(
                "count({name}), coalesce(sum(({value}) / {HALF}), 0), coalesce(sum(({value}) % {HALF}), 0), \
                 count(*) filter (where typeof({name}) not in ('{kind}', 'null'))"
            );
            Some((column.name.clone(), select))
        })
        .collect()
}

/// The totals that one row of the source says, from its second column on.
pub(super) fn counted(names: &[(String, String)], row: &rusqlite::Row<'_>) -> rusqlite::Result<Sums> {
    let mut sums = Sums::new();
    for (index, (name, _)) in names.iter().enumerate() {
        let at = 1 + 4 * index;
        let (filled, high, low): (i64, i64, i64) = (row.get(at)?, row.get(at + 1)?, row.get(at + 2)?);
        if row.get::<_, i64>(at + 3)? == 0 {
            let sum = i128::from(high) * HALF + i128::from(low);
            sums.insert(name.clone(), (u64::try_from(filled).unwrap_or(0), sum));
        }
    }
    Ok(sums)
}

/// How many rows, and the digest of their keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) rows: u64,
    pub(super) keys: u64,
}

impl Read {
    /// Both of all parts together.
    pub(super) fn sum(parts: &[Read]) -> Read {
        parts.iter().fold(Read::default(), |all, part| Read { rows: all.rows + part.rows, keys: all.keys ^ part.keys })
    }

    /// From the first two columns of a row: `count(*)` and [`keys`].
    pub(super) fn counted(row: &rusqlite::Row<'_>) -> rusqlite::Result<Read> {
        let (rows, keys): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Read { rows: u64::try_from(rows).unwrap_or(0), keys: keys.cast_unsigned() })
    }
}

/// Adds up what is received, from any thread.
pub(super) struct Tally<'a> {
    table: &'a SourceTable,
    sums: Mutex<Sums>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(table: &'a SourceTable, names: &[(String, String)]) -> Self {
        Tally { table, sums: Mutex::new(names.iter().map(|(name, _)| (name.clone(), (0, 0))).collect()) }
    }

    pub(super) fn add(&self, batch: &Batch) {
        let mut sums = locked(&self.sums);
        sums.retain(|name, total| {
            let place = self.table.columns.iter().position(|column| column.name == *name);
            // A value that could not be read is in nobody's sum.
            let has_fault = batch.faults.iter().any(|fault| fault.column.is_some() && fault.column == place);
            match batch.rows.column_by_name(name).and_then(sum).filter(|_| !has_fault) {
                Some((filled, sum)) => {
                    *total = (total.0 + filled, total.1.saturating_add(sum));
                    true
                }
                None => false,
            }
        });
    }

    /// Both totals, of the columns that both have.
    pub(super) fn compared(self, of_source: Read, mut counted: Sums, of_rows: Read) -> (Totals, Totals) {
        let mut received = self.sums.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        counted.retain(|name, _| received.contains_key(name));
        received.retain(|name, _| counted.contains_key(name));
        let has_key = !self.table.key.is_empty();
        let totals = |read: Read, sums| Totals { rows: read.rows, keys: has_key.then_some(read.keys), sums };
        (totals(of_source, counted), totals(of_rows, received))
    }
}

fn sum(array: &arrow::array::ArrayRef) -> Option<(u64, i128)> {
    let filled = (array.len() - array.null_count()) as u64;
    let sum = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().flatten().map(i128::from).sum(),
        DataType::Date32 => array.as_primitive::<Date32Type>().iter().flatten().map(i128::from).sum(),
        _ => return None,
    };
    Some((filled, sum))
}
