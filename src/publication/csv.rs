//! A table as CSV: RFC 4180, UTF-8, a header, `.` as the decimal sign, and blank where there is no figure.
//!
//! Blank is never zero: a cell that was rolled up has no value here.

use std::fmt::Write as _;
use std::ops::Range;

use arrow::array::{Array, AsArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;

use super::{Error, Sheet, together};

/// So many rows are put into words at a time; small tables are one piece.
const PIECE_ROWS: usize = 1 << 16;

/// The table as the text of a CSV file, lines ended by CR LF.
pub(super) fn bytes(sheet: &Sheet) -> Result<String, Error> {
    let rows = sheet.table.num_rows();
    let pieces: Vec<_> = (0..rows).step_by(PIECE_ROWS).map(|from| from..rows.min(from + PIECE_ROWS)).collect();
    let texts = together::map(&pieces, |piece| lines(sheet, piece.clone()));
    let names: Vec<String> = sheet.table.schema_ref().fields().iter().map(|field| text_cell(field.name())).collect();
    let mut out = names.join(",");
    out.push_str("\r\n");
    for text in texts {
        out.push_str(&text?);
    }
    Ok(out)
}

/// Some rows, line by line.
fn lines(sheet: &Sheet, rows: Range<usize>) -> Result<String, Error> {
    let schema = sheet.table.schema_ref();
    let columns = schema.fields().iter().zip(sheet.table.columns());
    let columns = columns.map(|(field, array)| Cells::of(sheet.name, field.name(), array.as_ref()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut out = String::new();
    for row in rows {
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            if !column.write(row, &mut out) {
                let column = schema.field(place).name().clone();
                return Err(Error::NotFinite { table: sheet.name.to_owned(), column, row: row + 1 });
            }
        }
        out.push_str("\r\n");
    }
    Ok(out)
}

/// One column, each value as it stands in the file.
pub(super) fn cells(table: &str, column: &str, array: &dyn Array) -> Result<Vec<String>, Error> {
    let cells = Cells::of(table, column, array)?;
    let cell = |row: usize| {
        let mut out = String::new();
        if cells.write(row, &mut out) {
            return Ok(out);
        }
        Err(Error::NotFinite { table: table.to_owned(), column: column.to_owned(), row: row + 1 })
    };
    (0..array.len()).map(cell).collect()
}

/// The values of a column.
enum Cells<'a> {
    Texts(&'a StringArray),
    Whole(&'a Int64Array),
    Float(&'a Float64Array),
}

impl<'a> Cells<'a> {
    fn of(table: &str, column: &str, array: &'a dyn Array) -> Result<Self, Error> {
        match array.data_type() {
            DataType::Utf8 => Ok(Cells::Texts(array.as_string())),
            DataType::Int64 => Ok(Cells::Whole(array.as_primitive())),
            DataType::Float64 => Ok(Cells::Float(array.as_primitive())),
            found => Err(Error::Type { table: table.to_owned(), column: column.to_owned(), found: found.clone() }),
        }
    }

    /// Writes the value of a row, or nothing where there is none; false for one that is no finite number.
    fn write(&self, row: usize, out: &mut String) -> bool {
        // Writing into a text cannot fail.
        match self {
            Cells::Texts(texts) if texts.is_valid(row) => text_into(texts.value(row), out),
            Cells::Whole(numbers) if numbers.is_valid(row) => {
                let _ = write!(out, "{}", numbers.value(row));
            }
            Cells::Float(numbers) if numbers.is_valid(row) => {
                let value = numbers.value(row);
                if !value.is_finite() {
                    return false;
                }
                let _ = write!(out, "{value}");
            }
            _ => {}
        }
        true
    }
}

/// A text, guarded and quoted where it has to be.
///
/// A spreadsheet reads a cell that begins with one of these signs as a formula;
/// an apostrophe before it makes it text again (OWASP, CSV Injection).
pub(super) fn text_cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text_into(text, &mut out);
    out
}

fn text_into(text: &str, out: &mut String) {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        let _ = write!(out, "\"{guard}{}\"", text.replace('"', "\"\""));
    } else {
        out.push_str(guard);
        out.push_str(text);
    }
}
