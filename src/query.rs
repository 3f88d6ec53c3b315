//! Published tables and the run history, for a select: read-only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};

use crate::fault::{Explain, Fault, Place};
use crate::landing::read_generation;
use crate::ledger::{self, Ledger};
use crate::tables::{Table, TableName, Tables};

/// What can be asked: `published.<table>` over all periods, and `history.*`.
pub fn tables(state: &Path) -> Result<Tables, Fault> {
    let mut tables = published(&state.join("published"))?;
    match Ledger::read(state) {
        Ok(ledger) => tables.extend(ledger.history().map_err(|error| error.fault())?),
        Err(ledger::Error::None { .. }) => {}
        Err(error) => return Err(error.fault()),
    }
    Ok(tables)
}

fn published(shelf: &Path) -> Result<Tables, Fault> {
    let mut parts: BTreeMap<String, Vec<Table>> = BTreeMap::new();
    let within = |folder: &Path| -> Vec<std::path::PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut folders = within(shelf);
    // Exact tables stand on shelves of their own, one for each table.
    let tables = within(&shelf.join("exact"));
    // What a crash left beside a shelf has a name with a dot in it, which no table has.
    folders.extend(tables.iter().filter(|table| table.extension().is_none()).flat_map(|table| within(table)));
    folders.sort();
    for folder in folders.into_iter().filter(|path| path.is_dir() && !is_hidden(path)) {
        let mut files: Vec<_> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "parquet")) {
            let table = read_generation(&file).map_err(|error| error.fault())?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            parts.entry(name).or_default().push(table);
        }
    }
    Ok(parts
        .into_iter()
        .filter_map(|(name, parts)| Some((TableName::new("published", name), together(parts)?)))
        .collect())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// The periods of one table, as one; periods of another shape (an older policy) are left out.
fn together(parts: Vec<Table>) -> Option<Table> {
    let fields = |table: &Table| {
        table.schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
    };
    let last = fields(parts.last()?);
    let schema =
        Arc::new(Schema::new(last.iter().map(|(name, kind)| Field::new(name, kind.clone(), true)).collect::<Vec<_>>()));
    let mut batches = Vec::new();
    for part in parts.iter().filter(|part| fields(part) == last) {
        for batch in &part.batches {
            batches.push(arrow::array::RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).ok()?);
        }
    }
    Some(Table { schema, batches })
}

fn failed(error: &arrow::error::ArrowError) -> Fault {
    let place = Place::Thing("the answer".into());
    Fault::new("query.print", place, format!("the answer cannot be printed: {error}"), "cast the columns to text")
}

/// Aligned columns.
pub fn as_table(table: &Table) -> Result<String, Fault> {
    let mut text = arrow::util::pretty::pretty_format_batches_with_schema(Arc::clone(&table.schema), &table.batches)
        .map_err(|error| failed(&error))?
        .to_string();
    text.push('\n');
    Ok(text)
}

/// Comma-separated, with a header.
pub fn as_csv(table: &Table) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut bytes);
    let batch = table.to_batch().map_err(|error| failed(&error))?;
    writer.write(&batch).map_err(|error| failed(&error))?;
    drop(writer);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One JSON object per row, in a list; empty cells are null.
pub fn as_json(table: &Table) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let options = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = options.build::<_, arrow::json::writer::JsonArray>(&mut bytes);
    for batch in &table.batches {
        writer.write(batch).map_err(|error| failed(&error))?;
    }
    writer.finish().map_err(|error| failed(&error))?;
    drop(writer);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if text.is_empty() {
        text.push_str("[]");
    }
    text.push('\n');
    Ok(text)
}
