//! How much of one person counts: at most `per_person` records in a month, chosen by a keyed hash.
//!
//! A person's records of the month are ordered by the HMAC of their record id and the first ones are kept. The choice
//! depends on that person's records alone, on no other person and on no order of rows; it cannot be foreseen without
//! the key, and a second run makes the same one.
//!
//! Ratings come bounded already: whoever rated is known at their intake alone, in `satisfaction::intake`, which chooses in
//! the same way and gives counts. The month of a rating is that in which its dossier was finished, so that nobody can
//! add up the bounds of two months.
//!
//! Polars sorts, eagerly and in memory: its lazy form can be turned to the streaming engine by an environment variable,
//! and that engine has counted groups wrongly.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, LargeBinaryArray, RecordBatch, StringArray, UInt8Array, UInt32Array,
};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::writer::FileWriter;
use polars::prelude::{DataFrame, IpcReader, PolarsError, PolarsResult, SerReader, SortMultipleOptions};
use sha2::{Digest, Sha256};

use super::bins::{Keys, bin_of, counted_word, handling_value};
use super::{Error, Month};
use crate::personal::PseudonymKey;
use crate::pipeline::{Bins, Counted, Dimension, Measure};
use crate::quality::{self, Handling};
use crate::satisfaction;
use crate::tables::{self, Table, TableName};

/// Records of the month that do not count. Exact and private: for the agency's own report on its data, never published.
#[derive(Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Without a record, a person, or an answer that can be counted.
    pub incomplete: usize,
    /// With a commune or a procedure group that is not in the public code lists, or none.
    pub unknown_code: usize,
    /// The same record a second time.
    pub repeated: usize,
    /// More than count for one person.
    pub over_bound: usize,
}

impl LeftOut {
    fn none() -> Self {
        LeftOut { incomplete: 0, unknown_code: 0, repeated: 0, over_bound: 0 }
    }

    fn add(&mut self, other: &LeftOut) {
        self.incomplete += other.incomplete;
        self.unknown_code += other.unknown_code;
        self.repeated += other.repeated;
        self.over_bound += other.over_bound;
    }
}

/// The most threads that read records at once.
const THREADS_MAX: usize = 64;

/// How many rows a thread reads at a time: what is copied out of them stays some megabytes.
const PIECE_ROWS: usize = 65_536;

/// Records of one cell and value that count: the cell as places in [`Keys`].
struct Record {
    commune: u32,
    group: u32,
    value: u8,
    count: i64,
}

/// The records of one kind that count in a month. Private.
pub(super) struct Bounded {
    records: Vec<Record>,
    root: [u8; 32],
    pub left_out: LeftOut,
}

impl Bounded {
    /// Reads, filters and bounds the records of a month.
    pub fn new(
        of: Counted,
        month: Month,
        per_person: u32,
        table: &Table,
        keys: &Keys,
        key: &PseudonymKey,
    ) -> Result<Self, Error> {
        let name = table_name(of);
        if of == Counted::Ratings {
            return of_counts(month, table, keys, key)
                .map_err(|source| Error::Records { table: name, source: Box::new(source) });
        }
        let mut left_out = LeftOut::none();
        let batch = readable(of, month, table, keys, key, &mut left_out)?;
        let sorted = sort(&batch, &name)?;
        let failed = |source: PolarsError| Error::Polars { table: name.clone(), kind: kind_of(&source) };
        keep(&sorted, per_person, left_out).map_err(failed)
    }

    /// The exact counts of a measure, cell by cell and bin by bin, over all cells of the keys.
    pub fn counts(&self, by: &[Dimension], bins: Bins, keys: &Keys) -> Vec<i64> {
        let width = super::bins::names(bins).len();
        let mut counts = vec![0_i64; keys.len(by).unwrap_or(0) * width];
        for record in &self.records {
            let cell = by.iter().fold(0_usize, |cell, dimension| {
                let place = match dimension {
                    Dimension::Commune => record.commune,
                    Dimension::ProcedureGroup => record.group,
                };
                cell * keys.of(*dimension).len() + place as usize
            });
            let Some(bin) = bin_of(bins, record.value) else { continue };
            if let Some(count) = counts.get_mut(cell * width + bin) {
                *count = count.saturating_add(record.count);
            }
        }
        counts
    }

    /// A hash of the records that count, whatever their order was. It is made of keyed hashes only, so that nobody can
    /// find out by trying which records were among them.
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }
}

/// The table that holds the records of a kind.
pub(super) fn table_name(of: Counted) -> TableName {
    match of {
        Counted::Ratings => satisfaction::table(),
        Counted::Dossiers => quality::table(),
    }
}

/// How many records of a person a measure counts.
pub(super) fn per_person(measure: &Measure, policy: &crate::pipeline::PrivacyPolicy) -> u32 {
    match measure.of {
        Counted::Ratings => policy.ratings_per_person,
        Counted::Dossiers => policy.dossiers_per_person,
    }
}

/// The ratings of the month: counts that hold no person any more, each of whom is in them as often as may be.
fn of_counts(month: Month, table: &Table, keys: &Keys, key: &PseudonymKey) -> Result<Bounded, crate::tables::Error> {
    let (communes, groups) = (places(&keys.communes), places(&keys.groups));
    let months = table.texts("month")?.into_iter();
    let cells = table.texts("commune_code")?.into_iter().zip(table.texts("procedure_group")?);
    let values = values(Counted::Ratings, table)?.into_iter().zip(table.ints("ratings")?);
    let of_month = month.to_string();
    let mut left_out = LeftOut::none();
    let mut counts: BTreeMap<(u32, u32, u8), i64> = BTreeMap::new();
    for ((month, (commune, group)), (value, count)) in months.zip(cells).zip(values) {
        if month.as_deref() != Some(&of_month) {
            continue;
        }
        let count = count.filter(|count| *count > 0).unwrap_or(0);
        let many = usize::try_from(count).unwrap_or(usize::MAX);
        let Some(value) = value else {
            left_out.incomplete = left_out.incomplete.saturating_add(many);
            continue;
        };
        let place = |known: &HashMap<&str, u32>, code: Option<String>| known.get(code?.as_str()).copied();
        match (place(&communes, commune), place(&groups, group)) {
            (Some(commune), Some(group)) => {
                let sum = counts.entry((commune, group, value)).or_default();
                *sum = sum.saturating_add(count);
            }
            _ => left_out.unknown_code = left_out.unknown_code.saturating_add(many),
        }
    }
    let records = counts.into_iter().filter(|(_, count)| *count > 0);
    let records: Vec<Record> =
        records.map(|((commune, group, value), count)| Record { commune, group, value, count }).collect();
    let mut root = Sha256::new();
    for Record { commune, group, value, count } in &records {
        let cell = [&commune.to_be_bytes()[..], &group.to_be_bytes(), &[*value], &count.to_be_bytes()].concat();
        root.update(key.digest("disclosure counts", &[of_month.as_bytes(), &cell]));
    }
    Ok(Bounded { records, root: root.finalize().into(), left_out })
}

/// The records of the month that can be counted, without a name in them: `unit` and `record` are keyed hashes,
/// `commune` and `group` places in the keys.
///
/// Threads read separate pieces of the table, since two keyed hashes for each of millions of rows are what costs here.
/// Their order does not matter: the rows are sorted next.
fn readable(
    of: Counted,
    month: Month,
    table: &Table,
    keys: &Keys,
    key: &PseudonymKey,
    left_out: &mut LeftOut,
) -> Result<RecordBatch, Error> {
    let name = table_name(of);
    let reader = Reader {
        of,
        month: month.to_string(),
        communes: places(&keys.communes),
        groups: places(&keys.groups),
        key,
        table: &name,
    };
    let pieces = pieces(table);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let read = |first: usize| -> Result<Vec<(RecordBatch, LeftOut)>, Error> {
        pieces.iter().skip(first).step_by(threads).map(|piece| reader.read(piece)).collect()
    };
    let read_all = std::thread::scope(|scope| {
        let read = &read;
        let handles: Vec<_> =
            (0..threads.min(pieces.len())).map(|first| (first, scope.spawn(move || read(first)))).collect();
        // A thread that ended badly is made up for here.
        let joined = handles.into_iter().map(|(first, handle)| handle.join().unwrap_or_else(|_| read(first)));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let (batches, counts): (Vec<RecordBatch>, Vec<LeftOut>) = read_all.into_iter().flatten().unzip();
    counts.iter().for_each(|of_piece| left_out.add(of_piece));
    let schema = batches.first().map(RecordBatch::schema).unwrap_or_else(|| Arc::new(Schema::empty()));
    concat_batches(&schema, &batches).map_err(|source| Error::Arrow { table: name, source })
}

/// The table in pieces of a bounded length, at least one, so that its columns are looked at even when it has no row.
fn pieces(table: &Table) -> Vec<RecordBatch> {
    let cut = |batch: &RecordBatch| {
        let batch = batch.clone();
        let rows = batch.num_rows();
        (0..rows).step_by(PIECE_ROWS).map(move |from| batch.slice(from, PIECE_ROWS.min(rows - from)))
    };
    let pieces: Vec<RecordBatch> = table.batches.iter().flat_map(cut).collect();
    if pieces.is_empty() { vec![RecordBatch::new_empty(table.schema.clone())] } else { pieces }
}

/// What is needed to read one piece of a table.
struct Reader<'a> {
    of: Counted,
    month: String,
    communes: HashMap<&'a str, u32>,
    groups: HashMap<&'a str, u32>,
    key: &'a PseudonymKey,
    table: &'a TableName,
}

impl Reader<'_> {
    fn read(&self, piece: &RecordBatch) -> Result<(RecordBatch, LeftOut), Error> {
        let unreadable = |source| Error::Records { table: self.table.clone(), source: Box::new(source) };
        let of_month = self.only_month(piece)?;
        let records = texts(&of_month, "record_id").map_err(unreadable)?;
        let subjects = texts(&of_month, "subject_id").map_err(unreadable)?;
        let communes = texts(&of_month, "commune_code").map_err(unreadable)?;
        let groups = texts(&of_month, "procedure_group").map_err(unreadable)?;
        let values = values(self.of, &Table::from_batch(of_month)).map_err(unreadable)?;

        let mut left_out = LeftOut::none();
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let rows = records.iter().zip(&subjects).zip(communes.iter().zip(&groups)).zip(values);
        for (((record, subject), (commune, group)), value) in rows {
            let (Some(record), Some(subject), Some(value)) = (record, subject, value) else {
                left_out.incomplete += 1;
                continue;
            };
            let place = |known: &HashMap<&str, u32>, code: Option<&str>| known.get(code?).copied();
            let (Some(commune), Some(group)) = (place(&self.communes, commune), place(&self.groups, group)) else {
                left_out.unknown_code += 1;
                continue;
            };
            let unit = [subject.as_bytes(), self.month.as_bytes()];
            columns.0.push(self.key.digest("disclosure unit", &unit));
            let record = [counted_word(self.of).as_bytes(), record.as_bytes()];
            columns.1.push(self.key.digest("disclosure record", &record));
            columns.2.push(commune);
            columns.3.push(group);
            columns.4.push(value);
        }
        let (units, records, communes, groups, values) = columns;
        let arrays: [(&str, ArrayRef); 5] = [
            ("unit", Arc::new(LargeBinaryArray::from_iter_values(units))),
            ("record", Arc::new(LargeBinaryArray::from_iter_values(records))),
            ("commune", Arc::new(UInt32Array::from(communes))),
            ("group", Arc::new(UInt32Array::from(groups))),
            ("value", Arc::new(UInt8Array::from(values))),
        ];
        let batch = RecordBatch::try_from_iter(arrays);
        Ok((batch.map_err(|source| Error::Arrow { table: self.table.clone(), source })?, left_out))
    }

    fn only_month(&self, piece: &RecordBatch) -> Result<RecordBatch, Error> {
        let months = texts(piece, "month")
            .map_err(|source| Error::Records { table: self.table.clone(), source: Box::new(source) })?;
        let mask: BooleanArray = months.iter().map(|month| Some(month == Some(self.month.as_str()))).collect();
        filter_record_batch(piece, &mask).map_err(|source| Error::Arrow { table: self.table.clone(), source })
    }
}

/// A column as text, where it lies: a nation has a million records a month, and their texts are looked at once.
fn texts(rows: &RecordBatch, column: &str) -> Result<StringArray, tables::Error> {
    let missing = || tables::Error::Missing { column: column.to_owned() };
    let values = rows.column_by_name(column).ok_or_else(missing)?;
    let wrong = |source| tables::Error::Type { column: column.to_owned(), wanted: DataType::Utf8, source };
    let values = cast(values, &DataType::Utf8).map_err(wrong)?;
    values.as_string_opt().cloned().ok_or_else(missing)
}

/// The value of each record: the level of a rating, or the place of a dossier's handling in [`Handling::ALL`].
fn values(of: Counted, table: &Table) -> Result<Vec<Option<u8>>, crate::tables::Error> {
    match of {
        Counted::Ratings => {
            let is_level = |level: &i64| satisfaction::LEVELS.contains(level);
            let levels = table.ints("level")?.into_iter();
            Ok(levels.map(|level| level.filter(is_level).and_then(|level| u8::try_from(level).ok())).collect())
        }
        Counted::Dossiers => {
            let (on_time, online) = (table.bools("is_on_time")?, table.bools("is_online")?);
            let handling = |(is_on_time, is_online): (Option<bool>, Option<bool>)| {
                Some(handling_value(Handling { is_on_time: is_on_time?, is_online: is_online? }))
            };
            Ok(on_time.into_iter().zip(online).map(handling).collect())
        }
    }
}

fn places(codes: &[String]) -> HashMap<&str, u32> {
    codes.iter().zip(0_u32..).map(|(code, place)| (code.as_str(), place)).collect()
}

/// Sorts by person, then by hash of the record; the other columns make the order complete where a record is repeated.
fn sort(batch: &RecordBatch, name: &TableName) -> Result<DataFrame, Error> {
    let handed_over = || -> Result<Vec<u8>, arrow::error::ArrowError> {
        let mut writer = FileWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(batch)?;
        writer.finish()?;
        writer.into_inner()
    };
    let bytes = handed_over().map_err(|source| Error::Arrow { table: name.clone(), source })?;
    let frame = IpcReader::new(Cursor::new(bytes)).finish();
    frame
        .and_then(|frame| frame.sort(["unit", "record", "commune", "group", "value"], SortMultipleOptions::default()))
        .map_err(|source| Error::Polars { table: name.clone(), kind: kind_of(&source) })
}

/// Keeps the first `per_person` different records of each unit.
fn keep(sorted: &DataFrame, per_person: u32, mut left_out: LeftOut) -> PolarsResult<Bounded> {
    let cells = sorted.column("commune")?.u32()?.iter().zip(sorted.column("group")?.u32()?.iter());
    let hashes = sorted.column("unit")?.binary()?.iter().zip(sorted.column("record")?.binary()?.iter());
    let rows = hashes.zip(cells.zip(sorted.column("value")?.u8()?.iter()));

    let mut kept = Vec::new();
    let mut root = Sha256::new();
    let mut last: Option<(&[u8], &[u8])> = None;
    let mut of_unit = 0_u32;
    for (hashes, cell) in rows {
        // None of these columns has a blank: `readable` left such rows out.
        let ((Some(unit), Some(record)), ((Some(commune), Some(group)), Some(value))) = (hashes, cell) else {
            continue;
        };
        match last {
            Some(same) if same == (unit, record) => {
                left_out.repeated += 1;
                continue;
            }
            Some((same, _)) if same == unit => of_unit = of_unit.saturating_add(1),
            _ => of_unit = 1,
        }
        last = Some((unit, record));
        if of_unit > per_person {
            left_out.over_bound += 1;
            continue;
        }
        root.update(unit);
        root.update(record);
        root.update(commune.to_be_bytes());
        root.update(group.to_be_bytes());
        root.update([value]);
        kept.push(Record { commune, group, value, count: 1 });
    }
    Ok(Bounded { records: kept, root: root.finalize().into(), left_out })
}

fn kind_of(error: &PolarsError) -> &'static str {
    match error {
        PolarsError::IO { .. } => "input and output",
        PolarsError::OutOfBounds(_) => "out of bounds",
        PolarsError::SchemaMismatch(_) => "schema",
        PolarsError::ColumnNotFound(_) => "column not found",
        PolarsError::ComputeError(_) => "compute",
        _ => "other",
    }
}
