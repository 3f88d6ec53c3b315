//! A table as CSV: RFC 4180, UTF-8, a header, `.` as the decimal sign, and blank where there is no figure.
//!
//! Blank is never zero: a cell that was rolled up has no value here.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::{Error, Sheet};

/// The table as the text of a CSV file, lines ended by CR LF.
pub(super) fn bytes(sheet: &Sheet) -> Result<String, Error> {
    let schema = sheet.table.schema();
    let names = schema.fields().iter().map(|field| text_cell(field.name()));
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (field, array) in schema.fields().iter().zip(sheet.table.columns()) {
        columns.push(cells(sheet.name, field.name(), array.as_ref())?.into_iter());
    }
    let mut out = names.collect::<Vec<_>>().join(",");
    out.push_str("\r\n");
    for _ in 0..sheet.table.num_rows() {
        let row: Vec<String> = columns.iter_mut().map(|column| column.next().unwrap_or_default()).collect();
        out.push_str(&row.join(","));
        out.push_str("\r\n");
    }
    Ok(out)
}

/// One column, each value as it stands in the file.
pub(super) fn cells(table: &str, column: &str, array: &dyn Array) -> Result<Vec<String>, Error> {
    match array.data_type() {
        DataType::Utf8 => {
            Ok(array.as_string::<i32>().iter().map(|value| value.map(text_cell).unwrap_or_default()).collect())
        }
        DataType::Int64 => Ok(array
            .as_primitive::<Int64Type>()
            .iter()
            .map(|value| value.map(|value| value.to_string()).unwrap_or_default())
            .collect()),
        DataType::Float64 => array
            .as_primitive::<Float64Type>()
            .iter()
            .enumerate()
            .map(|(index, value)| match value {
                None => Ok(String::new()),
                Some(value) if value.is_finite() => Ok(value.to_string()),
                Some(_) => Err(Error::NotFinite { table: table.to_owned(), column: column.to_owned(), row: index + 1 }),
            })
            .collect(),
        found => Err(Error::Type { table: table.to_owned(), column: column.to_owned(), found: found.clone() }),
    }
}

/// A text, guarded and quoted where it has to be.
///
/// A spreadsheet reads a cell that begins with one of these signs as a formula;
/// an apostrophe before it makes it text again (OWASP, CSV Injection).
pub(super) fn text_cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}
