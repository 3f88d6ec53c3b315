//! A night's table of one form, and what is kept of each of its rows.

use arrow::array::StringArray;
use jiff::civil::Date;

use super::rows::{cell, key, keys, places, texts};
use super::{Error, FieldColumn};
use crate::pipeline::form::{Form, tidy};
use crate::tables::Table;

/// The prepared values of one form, column by column.
#[derive(Debug)]
pub struct Sheet {
    rows: usize,
    keys: [StringArray; 3],
    /// In the order of the form.
    fields: Vec<(String, Vec<Source>)>,
}

/// What one source says of a field.
#[derive(Debug)]
struct Source {
    label: String,
    values: StringArray,
    as_of: Option<StringArray>,
}

impl Sheet {
    /// Reads the table that the select of a form gave.
    ///
    /// # Errors
    ///
    /// Where a key is missing, or a column cannot be read as text.
    pub fn read(form: &Form, table: &Table) -> Result<Self, Error> {
        let batch =
            table.to_batch().map_err(|source| Error::Batch { item: form.item.clone(), source: Box::new(source) })?;
        let column = |name: &str| {
            texts(&batch, name).map_err(|source| Error::Table { item: form.item.clone(), source: Box::new(source) })
        };
        let keys = keys(&form.item, &batch)?;
        let mut fields = Vec::with_capacity(form.fields.len());
        for field in &form.fields {
            let mut sources = Vec::new();
            for name in batch.schema_ref().fields().iter().map(|field| field.name()) {
                let Some(known) = FieldColumn::read(name).filter(|known| known.field == field.id && !known.is_as_of)
                else {
                    continue;
                };
                let of_day = format!("{}__as_of", known.value_name());
                let as_of = batch.column_by_name(&of_day).is_some().then(|| column(&of_day)).transpose()?;
                sources.push(Source { values: column(name)?, label: known.label, as_of });
            }
            fields.push((field.id.clone(), sources));
        }
        Ok(Sheet { rows: batch.num_rows(), keys, fields })
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Subject, object (empty where there is none) and period of a row; none where the row has no subject or period.
    pub fn key(&self, row: usize) -> Option<[&str; 3]> {
        key(&self.keys, row)
    }

    /// The one row of each obligation, by its place: `find` tells it from subject, object (empty where there is none) and
    /// period, and is asked on all cores. An obligation with several rows has none: which is right is not known.
    pub fn single_rows(
        &self,
        obligations: usize,
        find: &(impl Fn([&str; 3]) -> Option<usize> + Sync),
    ) -> Vec<Option<usize>> {
        let mut rows: Vec<(Option<usize>, bool)> = vec![(None, false); obligations];
        for (row, place) in places(&self.keys, self.rows, find).into_iter().enumerate() {
            if let Some(found) = place.and_then(|place| rows.get_mut(place)) {
                *found = (Some(row), found.0.is_some());
            }
        }
        rows.into_iter().map(|(row, is_one_of_several)| row.filter(|_| !is_one_of_several)).collect()
    }

    /// What is kept of a row: every source's value of every field, as JSON. It is read back by
    /// [`Prepared::read`](super::Prepared::read).
    pub fn text(&self, row: usize, due_on: Date) -> String {
        let mut text = String::with_capacity(64 + 64 * self.fields.len());
        text.push_str("{\"due_on\":\"");
        text.push_str(&due_on.to_string());
        text.push_str("\",\"values\":{");
        let mut is_first = true;
        for (field, sources) in &self.fields {
            let mut said = sources.iter().filter_map(|source| Some((source, known(&source.values, row)?))).peekable();
            if said.peek().is_none() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                text.push(',');
            }
            quote(field, &mut text);
            text.push(':');
            let mut opening = '[';
            for (source, value) in said {
                text.push(opening);
                opening = ',';
                text.push('[');
                quote(&source.label, &mut text);
                text.push(',');
                quote(&value, &mut text);
                if let Some(day) = source.as_of.as_ref().and_then(|days| cell(days, row)) {
                    text.push(',');
                    quote(day, &mut text);
                }
                text.push(']');
            }
            text.push(']');
        }
        text.push_str("}}");
        text
    }
}

/// A value that says something: an empty one is not known.
fn known(array: &StringArray, row: usize) -> Option<std::borrow::Cow<'_, str>> {
    let value = cell(array, row)?;
    // Most values are one word without a strange sign: they are as tidy as they can be.
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(value.into());
    }
    let value = tidy(value);
    (!value.is_empty()).then(|| value.into())
}

/// Writes a text of JSON.
fn quote(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // What is tidy holds none; a label or a day of a strange source might.
            c if c < ' ' => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}
