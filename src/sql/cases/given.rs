//! The rows that a case gives, as the standard tables that a model reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{Field, Schema};

use super::Row;
use crate::fault::with_article;
use crate::pipeline::reader::Node;
use crate::pipeline::{Column, Pipeline, StandardTable, Type};
use crate::tables::{Table, TableName};

/// Reads `[[given.<table>]]`.
pub(super) fn read(node: &Node<'_>, pipeline: &Pipeline) -> BTreeMap<TableName, Table> {
    let mut given = BTreeMap::new();
    let Some(tables) = node.table_or_none("given") else { return given };
    for name in tables.keys() {
        let rows = tables.array(&name);
        match pipeline.standard_tables.iter().find(|table| table.name == name) {
            Some(standard) => {
                given.insert(TableName::new("staging", &name), table(standard, &rows));
            }
            None => {
                let next = "name a table of pipelines/standard-tables.toml";
                tables.fault(&name, "case.unknown-table", format!("there is no standard table {name}"), next);
                // One fault is enough: its columns are unknown because the table is.
                rows.iter().map(row).for_each(drop);
            }
        }
        rows.iter().for_each(Node::done);
    }
    tables.done();
    given
}

/// A row as it stands in the file: every key with its value as text.
pub(super) fn row(node: &Node<'_>) -> Row {
    let row = node.keys().into_iter().filter_map(|key| node.scalar(&key).map(|value| (key, value))).collect();
    node.done();
    row
}

/// A standard table with these rows; without any, its columns alone.
pub(super) fn table(standard: &StandardTable, rows: &[Node<'_>]) -> Table {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in &standard.columns {
        let texts: StringArray = rows.iter().map(|row| value(row, column)).collect();
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

fn value(row: &Node<'_>, column: &Column) -> Option<String> {
    match row.scalar(&column.name) {
        None if column.kind == Type::Bool => Some("false".into()),
        value => value,
    }
}
