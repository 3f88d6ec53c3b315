//! Proves a model on a few rows: given tables, expected rows.
//!
//! A case is a TOML file in `tests/cases/<folder>/<model>/`: a sentence on top,
//! the day, the rows given (only the columns that matter: the others are empty,
//! and a truth value is false) and the rows expected (only the columns compared).
//! It needs no Rust toolchain, so that a case officer can write one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{Field, Schema};
use jiff::ToSpan;
use jiff::civil::Date;

use super::engine::Bound;
use super::library::Model;
use super::{Engine, Error, Library};
use crate::calendar::{AsOf, Day};
use crate::fault::{Fault, Place, with_article};
use crate::pipeline::reader::{Document, Faults, Node};
use crate::pipeline::{Column, Pipeline, SETTLE_DAYS, StandardTable, Type};
use crate::tables::{Table, TableName};

/// A case, as it was written.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its file, relative to the installation folder.
    pub path: PathBuf,
    /// The model it proves, from its path.
    pub model: TableName,
    /// The sentence on top.
    pub about: String,
    /// The day.
    pub as_of: AsOf,
    /// How far ahead it looks.
    pub until: Date,
    /// How far back it looks.
    pub since: Date,
    /// What was decided after this date is not known: `known_on`, the day itself if left out.
    pub known_on: Date,
    given: BTreeMap<TableName, Table>,
    expected: Vec<Row>,
}

type Row = BTreeMap<String, String>;

/// A case that did not give the expected rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Rows that were expected and did not come.
    pub missing: Vec<String>,
    /// Rows that came and were not expected.
    pub surplus: Vec<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for row in &self.missing {
            writeln!(f, "  expected, did not come: {row}")?;
        }
        for row in &self.surplus {
            writeln!(f, "  came, was not expected: {row}")?;
        }
        Ok(())
    }
}

/// Finds the case files under `tests/cases/`, in order of their paths.
pub fn find(root: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![PathBuf::from("tests/cases")];
    while let Some(folder) = waiting.pop() {
        let Ok(listing) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in listing.flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                found.insert(path);
            }
        }
    }
    found.into_iter().collect()
}

/// The model that the case at this path proves: `tests/cases/<folder>/<model>/<case>.toml`.
pub fn model<'a>(library: &'a Library, path: &Path) -> Option<&'a Model> {
    library.model(&proved(path)?)
}

fn proved(path: &Path) -> Option<TableName> {
    let mut parents = path.iter().rev().skip(1).map(|part| part.to_string_lossy().into_owned());
    let (table, schema) = (parents.next()?, parents.next()?);
    Some(TableName::new(schema, table))
}

/// Reads one case.
pub fn read(root: &Path, path: &Path, pipeline: &Pipeline, faults: &Faults) -> Option<Case> {
    let model = proved(path)?;
    let document = Document::open(root, path, faults)?;
    document.read(|node| {
        let about = node.text("about");
        let as_of = node.date("as_of");
        let known_on = node.date_or_none("known_on");
        let item = pipeline.item(&model.table);
        let ahead = item.and_then(|item| item.notice_days.first().copied()).unwrap_or(60);
        let ahead = node.int_or("notice_days", i64::from(ahead));
        let settle = node.int_or("settle_days", item.map_or(SETTLE_DAYS, |item| item.settle_days).into());
        let mut given = BTreeMap::new();
        if let Some(tables) = node.table_or_none("given") {
            for name in tables.keys() {
                let rows = tables.array(&name);
                match pipeline.standard_tables.iter().find(|table| table.name == name) {
                    Some(standard) => {
                        given.insert(TableName::new("staging", &name), given_table(standard, &rows));
                    }
                    None => {
                        let next = "name a table of pipelines/standard-tables.toml";
                        tables.fault(&name, "case.unknown-table", format!("there is no standard table {name}"), next);
                        // One fault is enough: its columns are unknown because the table is.
                        rows.iter().map(expected_row).for_each(drop);
                    }
                }
                rows.iter().for_each(Node::done);
            }
            tables.done();
        }
        let expected = node.array("expected").iter().map(expected_row).collect();
        let as_of = as_of?;
        let until = as_of.checked_add(ahead.clamp(0, 36_500).days()).ok()?;
        let since = as_of.checked_sub(settle.clamp(0, 36_500).days()).ok()?;
        let known_on = known_on.unwrap_or(as_of);
        let path = path.to_path_buf();
        Some(Case { path, model, about: about?, as_of: AsOf::new(as_of), until, since, known_on, given, expected })
    })
}

fn expected_row(node: &Node<'_>) -> Row {
    let row = node.keys().into_iter().filter_map(|key| node.scalar(&key).map(|value| (key, value))).collect();
    node.done();
    row
}

fn given_table(standard: &StandardTable, rows: &[Node<'_>]) -> Table {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in &standard.columns {
        let texts: StringArray = rows.iter().map(|row| given_value(row, column)).collect();
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let array =
            cast_with_options(&texts, &column.kind.arrow(), &options).unwrap_or_else(|_| Arc::new(texts.clone()));
        // A value that is none of its type would become an empty cell, and the case would prove something else.
        for (row, index) in rows.iter().zip(0..) {
            if array.is_null(index) && !texts.is_null(index) {
                let what = format!("{} is not {}", column.name, with_article(&column.kind.word()));
                row.fault(&column.name, "case.value", what, "correct the value, or leave it out to have it empty");
            }
        }
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    let batches = RecordBatch::try_new(Arc::clone(&schema), arrays).into_iter().collect();
    Table { schema, batches }
}

fn given_value(row: &Node<'_>, column: &Column) -> Option<String> {
    match row.scalar(&column.name) {
        None if column.kind == Type::Bool => Some("false".into()),
        value => value,
    }
}

impl Case {
    /// Runs the model on the given rows; none when the rows are those expected.
    pub async fn run(&self, pipeline: &Pipeline, library: &Library) -> Result<Option<Difference>, Error> {
        let came = self.rows(pipeline, library).await?;
        let mut missing: Vec<String> = self.expected.iter().map(line).collect();
        let mut surplus = Vec::new();
        for row in came {
            let row = line(&row);
            match missing.iter().position(|other| *other == row) {
                Some(index) => drop(missing.swap_remove(index)),
                None => surplus.push(row),
            }
        }
        missing.sort();
        surplus.sort();
        Ok(if missing.is_empty() && surplus.is_empty() { None } else { Some(Difference { missing, surplus }) })
    }

    /// The rows that came, in the columns that are compared.
    async fn rows(&self, pipeline: &Pipeline, library: &Library) -> Result<Vec<Row>, Error> {
        let engine = Engine::with_calendar(pipeline.calendar.known_on(self.known_on))?;
        for (name, table) in super::engine::given_tables(pipeline, Day::known(self.as_of.date(), self.known_on)) {
            engine.register(&name, &table)?;
        }
        for standard in &pipeline.standard_tables {
            let name = TableName::new("staging", &standard.name);
            match self.given.get(&name) {
                Some(table) => engine.register(&name, table)?,
                None => engine.register(&name, &given_table(standard, &[]))?,
            }
        }
        let Some(model) = library.model(&self.model) else {
            return Err(Error::NotASelect(format!("there is no model {}", self.model)));
        };
        let bound: Bound = [("$as_of", self.as_of.date()), ("$until", self.until), ("$since", self.since)].into();
        let table = engine.build(model, &bound, None).await?;
        let columns: BTreeSet<&String> = self.expected.iter().flat_map(Row::keys).collect();
        let mut rows = vec![Row::new(); table.rows()];
        for column in columns {
            let values = table.texts(column).map_err(|error| Error::Contract {
                model: self.model.clone(),
                path: model.path.clone(),
                what: error.to_string(),
            })?;
            for (row, value) in rows.iter_mut().zip(values) {
                if let Some(value) = value {
                    row.insert(column.clone(), value);
                }
            }
        }
        Ok(rows)
    }

    /// Rewrites the expected rows of the file with what came: `UPDATE_EXPECT=1`.
    pub async fn rewrite(&self, root: &Path, pipeline: &Pipeline, library: &Library) -> Result<(), Fault> {
        use crate::fault::Explain;
        let mut rows = self.rows(pipeline, library).await.map_err(|error| error.fault())?;
        rows.sort();
        let path = root.join(&self.path);
        let failed = |error: std::io::Error| {
            let next = "let your account write the file";
            Fault::new("case.rewrite", Place::file(&self.path), format!("the case cannot be rewritten: {error}"), next)
        };
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let kept = text.split("[[expected]]").next().unwrap_or_default().trim_end();
        let mut new = format!("{kept}\n");
        for row in rows {
            new.push_str("\n[[expected]]\n");
            for (key, value) in row {
                let is_bare = value.parse::<i64>().is_ok() && key != "object_id"
                    || value.parse::<Date>().is_ok() && key != "period";
                let value = if is_bare { value } else { format!("{value:?}") };
                new.push_str(&format!("{key} = {value}\n"));
            }
        }
        crate::files::replace_with_mode(&path, new.as_bytes(), 0o644).map_err(failed)
    }
}

fn line(row: &Row) -> String {
    row.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}
