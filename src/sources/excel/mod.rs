//! Workbooks: xlsx, xls and ods, one sheet per table, its first filled row the header.
//!
//! A cell has a type, and keeps it: a number is no text, since an identity number
//! that was typed as a number has lost its leading zeros; a number is a date only
//! where the cell is formatted as one. Of formulas the stored values are read. A
//! row without anything is no record. [`sound`] holds what a file states of its sizes against what it can hold,
//! before the library asks for that much memory. This module must not know what a column means.

mod sound;

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use calamine::{Data, ExcelDateTime, Ods, Range, Reader, SheetType, Xls, Xlsx};

use super::files::Named;
use super::predicate::Sifter;
use super::values::{Raw, Reason, Rows};
use super::{ANY, Answer, Error, Found, Request, Take};
use crate::pipeline::{Column, Family, Type};

/// The largest workbook: more rows than a sheet can have fit into it.
const BYTES_MAX: u64 = 512 << 20;

/// What every file of the old format begins with.
const OLD: [u8; 4] = [0xd0, 0xcf, 0x11, 0xe0];

/// Whole numbers up to this size are exact in double precision.
const EXACT: f64 = 9_007_199_254_740_992.0;

const DAY_MICROS: i64 = 86_400_000_000;

/// The columns that the header names; none when there is no such sheet.
pub(super) fn describe(file: &Named, sheet: Option<&str>) -> Result<Option<Vec<Found>>, Error> {
    let Some(mut book) = open(file, sheet)? else { return Ok(None) };
    let mut header = None;
    book.for_each_row(file, &mut |cells| {
        header = Some(names(cells));
        Ok(ControlFlow::Break(()))
    })?;
    let header = header.ok_or_else(|| Error::NoHeader { path: file.shown.clone() })?;
    let column =
        |name| Found { name, kind: "a cell of a workbook".to_owned(), fills: &ANY, is_list: false, granted: true };
    Ok(Some(header.into_iter().map(column).collect()))
}

/// Reads the granted columns. Filled rows are counted in a pass of their own.
pub(super) fn read(file: &Named, sheet: Option<&str>, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
    let table = request.table;
    let no_header = || Error::NoHeader { path: file.shown.clone() };
    let mut book = open(file, sheet)?.ok_or_else(no_header)?;
    let records = book.filled_rows(file)?.saturating_sub(1);
    let sifter = Sifter::new(request, take);
    let take: &Take<'_> = &|batch| sifter.take(batch);
    let mut rows = Rows::new(table);
    let mut layout: Option<(usize, Vec<usize>)> = None;
    let worked = book.for_each_row(file, &mut |cells| {
        let Some((width, places)) = &layout else {
            let header = names(cells);
            let place = |column: &Column| header.iter().position(|name| *name == column.name).ok_or_else(no_header);
            layout = Some((header.len(), table.columns.iter().map(place).collect::<Result<_, _>>()?));
            return Ok(ControlFlow::Continue(()));
        };
        if cells.iter().skip(*width).any(is_filled) {
            rows.broken_row(Reason::RaggedRow);
        } else {
            rows.row(|column| {
                let kind = table.columns.get(column).map_or(Type::Text, |column| column.kind);
                let cell = places.get(column).and_then(|place| cells.get(*place));
                cell.map_or(Raw::Null, |cell| raw(cell, kind))
            });
        }
        rows.hand_over_when_full(take).map(ControlFlow::Continue)
    });
    sifter.outcome(worked.and_then(|()| rows.hand_over(take)))?;
    Ok(sifter.answer(file.asked(request), records, rows.taken()))
}

/// The names in the header, up to the last filled cell. A name that is no text names no column, and is not
/// shown: it may be a value.
fn names(cells: &[Data]) -> Vec<String> {
    let width = cells.iter().rposition(is_filled).map_or(0, |last| last + 1);
    let name = |cell: &Data| if let Data::String(name) = cell { name.clone() } else { String::new() };
    cells.iter().take(width).map(name).collect()
}

fn is_filled(cell: &Data) -> bool {
    match cell {
        Data::Empty => false,
        // What a formula gives where it has nothing to say.
        Data::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// A cell as the type policy takes it.
fn raw(cell: &Data, kind: Type) -> Raw<'_> {
    match cell {
        cell if !is_filled(cell) => Raw::Null,
        Data::Empty => Raw::Null,
        Data::String(text) => Raw::Text(text.as_bytes()),
        Data::Int(value) => Raw::Int(*value),
        // Workbooks have one kind of number; a whole one up to 2^53 is exact.
        Data::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => Raw::Int(*value as i64),
        Data::Float(value) => Raw::Float(*value),
        Data::Bool(value) => Raw::Bool(*value),
        Data::DateTime(moment) => serial(moment, kind),
        Data::DateTimeIso(text) => match text.parse::<jiff::civil::DateTime>() {
            Ok(civil) => Raw::Civil(micros(civil.date(), midnight_distance(civil.time()))),
            Err(_) => Raw::Fault(Reason::NotADate),
        },
        Data::DurationIso(text) => match text.parse::<jiff::SignedDuration>() {
            Ok(duration) => i64::try_from(duration.as_micros()).map_or(Raw::Fault(Reason::NotATime), Raw::Time),
            Err(_) => Raw::Fault(Reason::NotATime),
        },
        Data::Error(_) => Raw::Fault(Reason::ErrorCell),
    }
}

/// A number in a cell that is formatted as a date or a time: days since the workbook's first day, with a fraction.
fn serial(moment: &ExcelDateTime, kind: Type) -> Raw<'static> {
    let value = moment.as_f64();
    if !value.is_finite() {
        return Raw::Fault(Reason::NotFinite);
    }
    // Workbooks keep milliseconds; what is beyond is noise of the fraction.
    let of_day = ((value - value.floor()) * 86_400_000.0).round() as i64 * 1_000;
    if kind.family() == Family::Time || moment.is_duration() {
        return if (0.0..1.0).contains(&value) { Raw::Time(of_day) } else { Raw::Fault(Reason::NotATime) };
    }
    if value < 0.0 {
        return Raw::Fault(Reason::DateOutOfRange);
    }
    // The library knows both date systems, and gives the day that never was, 29 February 1900, as itself.
    let (year, month, day, ..) = moment.to_ymd_hms_milli();
    let parts = (i16::try_from(year), i8::try_from(month), i8::try_from(day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return Raw::Fault(Reason::DateOutOfRange) };
    jiff::civil::Date::new(year, month, day)
        .map_or(Raw::Fault(Reason::NoSuchDay), |date| Raw::Civil(micros(date, of_day)))
}

fn micros(date: jiff::civil::Date, of_day: i64) -> i64 {
    i64::from(crate::calendar::to_days(date)) * DAY_MICROS + of_day
}

fn midnight_distance(time: jiff::civil::Time) -> i64 {
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    // Rounded up, so that what is past midnight remains a time of day.
    seconds * 1_000_000
        + i64::from(time.subsec_nanosecond()).div_euclid(1_000)
        + i64::from(time.subsec_nanosecond() % 1_000 != 0)
}

fn broken(file: &Named, said: &'static str) -> Error {
    Error::Workbook { path: file.shown.clone(), said }
}

type Bytes = Cursor<Arc<[u8]>>;

/// What is done with a row; it may end the reading.
type EachRow<'a> = dyn FnMut(&[Data]) -> Result<ControlFlow<()>, Error> + 'a;

/// A workbook, and the sheet that is read.
struct Book {
    kind: Kind,
    sheet: String,
}

/// The formats. The old and the open one are read whole by the library; xlsx cell by cell.
enum Kind {
    Xlsx(Box<Xlsx<Bytes>>),
    Whole(Range<Data>),
}

/// Opens the sheet of this name, or the first; none when there is none.
fn open(file: &Named, sheet: Option<&str>) -> Result<Option<Book>, Error> {
    let (handle, opened) = file.open_watched()?;
    let mut bytes = Vec::new();
    handle.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|source| file.failed(source))?;
    opened.is_unchanged(file)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(broken(file, "it is larger than 512 MiB"));
    }
    let bytes: Bytes = Cursor::new(bytes.into());
    let no_workbook = || broken(file, "it is cut short, damaged, protected by a password or of another format");
    let chosen = |sheets: &[calamine::Sheet]| {
        let mut sheets = sheets.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
        sheets.find(|found| sheet.is_none_or(|sheet| found.name == sheet)).map(|sheet| sheet.name.clone())
    };
    if bytes.get_ref().starts_with(&OLD) {
        if !sound::is_old_sound(&bytes) {
            return Err(no_workbook());
        }
        let mut book = Xls::new(bytes).map_err(|_| no_workbook())?;
        let Some(sheet) = chosen(book.sheets_metadata()) else { return Ok(None) };
        let range = book.worksheet_range(&sheet).map_err(|_| no_workbook())?;
        return Ok(Some(Book { kind: Kind::Whole(range), sheet }));
    }
    if !sound::is_xlsx_sound(&bytes) {
        return Err(no_workbook());
    }
    if let Ok(book) = Xlsx::new(bytes.clone()) {
        let Some(sheet) = chosen(book.sheets_metadata()) else { return Ok(None) };
        return Ok(Some(Book { kind: Kind::Xlsx(Box::new(book)), sheet }));
    }
    let mut book = Ods::new(bytes).map_err(|_| no_workbook())?;
    let Some(sheet) = chosen(book.sheets_metadata()) else { return Ok(None) };
    let range = book.worksheet_range(&sheet).map_err(|_| no_workbook())?;
    Ok(Some(Book { kind: Kind::Whole(range), sheet }))
}

impl Book {
    /// Gives every filled row in turn; a cell's place is its column, the same in all rows.
    fn for_each_row(&mut self, file: &Named, each: &mut EachRow<'_>) -> Result<(), Error> {
        let damaged = || broken(file, "the sheet cannot be read to its end");
        let book = match &mut self.kind {
            Kind::Whole(range) => {
                for cells in range.rows().filter(|cells| cells.iter().any(is_filled)) {
                    if each(cells)?.is_break() {
                        break;
                    }
                }
                return Ok(());
            }
            Kind::Xlsx(book) => book,
        };
        let mut reader = book.worksheet_cells_reader(&self.sheet).map_err(|_| damaged())?;
        let (mut at, mut cells) = (0, Vec::new());
        while let Some(cell) = reader.next_cell().map_err(|_| damaged())? {
            let (row, column) = cell.get_position();
            if row < at {
                return Err(broken(file, "its rows are not in order"));
            }
            if row > at {
                if cells.iter().any(is_filled) && each(&cells)?.is_break() {
                    return Ok(());
                }
                cells.clear();
                at = row;
            }
            let column = column as usize;
            if cells.len() <= column {
                cells.resize(column + 1, Data::Empty);
            }
            if let Some(place) = cells.get_mut(column) {
                *place = cell.get_value().clone().into();
            }
        }
        if cells.iter().any(is_filled) {
            return each(&cells).map(drop);
        }
        Ok(())
    }

    /// How many rows have a cell with something in it, counted cell by cell.
    fn filled_rows(&mut self, file: &Named) -> Result<u64, Error> {
        let mut rows = BTreeSet::new();
        match &mut self.kind {
            Kind::Whole(range) => {
                rows.extend(range.used_cells().filter(|(_, _, cell)| is_filled(cell)).map(|(row, ..)| row));
            }
            Kind::Xlsx(book) => {
                let damaged = || broken(file, "the sheet cannot be read to its end");
                let mut reader = book.worksheet_cells_reader(&self.sheet).map_err(|_| damaged())?;
                while let Some(cell) = reader.next_cell().map_err(|_| damaged())? {
                    if is_filled(&cell.get_value().clone().into()) {
                        rows.insert(cell.get_position().0 as usize);
                    }
                }
            }
        }
        Ok(rows.len() as u64)
    }
}
