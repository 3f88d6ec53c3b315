//! Published tables and the run history, for a select: read-only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use crate::fault::{Explain, Fault, Place};
use crate::landing::read_generation;
use crate::ledger::{self, Ledger};
use crate::tables::{Table, TableName, Tables};

/// What can be asked: `published.<table>` over all periods, each in the newest edition that stands; `editions.<table>`
/// where a period has others, each named in a column `edition`; and `history.*`.
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
    let mut folders = within(shelf);
    // Exact tables stand on shelves of their own, one for each table.
    let tables = within(&shelf.join("exact"));
    // What a crash left beside a shelf has a name with a dot in it, which no table has.
    folders.extend(tables.iter().filter(|table| table.extension().is_none()).flat_map(|table| within(table)));
    // A restatement stands within the folder of what it restates.
    let inner: Vec<PathBuf> = folders.iter().flat_map(|folder| within(folder)).filter(|path| path.is_dir()).collect();
    folders.extend(inner.into_iter().filter(|path| Edition::of(path).is_some_and(|edition| edition.restated > 0)));
    let mut editions: BTreeMap<(String, Edition), Option<PathBuf>> = BTreeMap::new();
    for folder in folders.into_iter().filter(|path| path.is_dir() && !is_hidden(path)) {
        let Some(edition) = Edition::of(&folder) else { continue };
        for file in within(&folder) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(table) = name.strip_suffix(".parquet") {
                editions.insert((table.to_owned(), edition.clone()), Some(file));
            } else if let Some(table) = name.strip_suffix(".tombstone.json") {
                editions.insert((table.to_owned(), edition.clone()), None);
            }
        }
    }
    tables_of(&editions)
}

/// The newest standing edition of each period of each table; and all of them where there are others.
fn tables_of(editions: &BTreeMap<(String, Edition), Option<PathBuf>>) -> Result<Tables, Fault> {
    let mut newest: BTreeMap<&str, BTreeMap<&str, Table>> = BTreeMap::new();
    let mut all: BTreeMap<&str, Vec<Table>> = BTreeMap::new();
    let mut has_others: BTreeSet<&str> = BTreeSet::new();
    // The editions of a period come in their order: a later one takes the place of those before it, a stone as well.
    for ((table, edition), file) in editions {
        let of_table = newest.entry(table).or_default();
        let earlier = of_table.remove(edition.period.as_str());
        if earlier.is_some() {
            has_others.insert(table);
        }
        let Some(file) = file else { continue };
        let rows = read_generation(file).map_err(|error| error.fault())?;
        all.entry(table).or_default().extend(named(&rows, &edition.word()));
        of_table.insert(&edition.period, rows);
    }
    let mut tables = Tables::new();
    for (name, periods) in newest {
        let rows = together(periods.into_values().collect());
        tables.extend(rows.map(|rows| (TableName::new("published", name), rows)));
    }
    for (name, parts) in all.into_iter().filter(|(name, _)| has_others.contains(name)) {
        tables.extend(together(parts).map(|rows| (TableName::new("editions", name), rows)));
    }
    Ok(tables)
}

/// Which edition of a period stands in a folder of the shelf; later ones are greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edition {
    period: String,
    is_final: bool,
    restated: u32,
}

impl Edition {
    /// Of `2026-10`, `2026-10-preliminary`, or `2026-10/restated-1`.
    fn of(folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_str()?;
        let (base, restated) = match name.strip_prefix("restated-") {
            Some(number) => (folder.parent()?.file_name()?.to_str()?, number.parse().ok()?),
            None => (name, 0),
        };
        let period = base.strip_suffix("-preliminary");
        Some(Edition { period: period.unwrap_or(base).to_owned(), is_final: period.is_none(), restated })
    }

    fn word(&self) -> String {
        match (self.is_final, self.restated) {
            (_, 1..) => format!("restated-{}", self.restated),
            (true, 0) => "final".into(),
            (false, 0) => "preliminary".into(),
        }
    }
}

/// The rows of an edition with its name in a last column.
fn named(rows: &Table, edition: &str) -> Option<Table> {
    let mut fields: Vec<Field> = rows.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("edition", DataType::Utf8, true));
    let schema = Arc::new(Schema::new(fields));
    let with = |batch: &RecordBatch| {
        let words: ArrayRef = Arc::new(StringArray::from(vec![edition; batch.num_rows()]));
        let columns = batch.columns().iter().cloned().chain([words]).collect();
        RecordBatch::try_new(Arc::clone(&schema), columns).ok()
    };
    let batches = rows.batches.iter().map(with).collect::<Option<Vec<_>>>()?;
    Some(Table { schema: Arc::clone(&schema), batches })
}

/// What a folder holds, in the order of the names; nothing where there is none.
fn within(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
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
            batches.push(RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).ok()?);
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
