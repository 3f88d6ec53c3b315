//! The rows of the standard tables, as an agency's staging would give them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema};
use chudong::pipeline::{StandardTable, Type};
use chudong::tables::Table;
use jiff::civil::{Date, date};

use super::Random;

/// A value of a row.
#[derive(Debug, Clone)]
pub enum Cell {
    Empty,
    Text(String),
    Int(i64),
    Bool(bool),
    Date(Date),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Cell::Text(text.clone())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Cell::Int(number)
    }
}

impl From<bool> for Cell {
    fn from(is_so: bool) -> Self {
        Cell::Bool(is_so)
    }
}

impl From<Date> for Cell {
    fn from(day: Date) -> Self {
        Cell::Date(day)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Empty, Into::into)
    }
}

/// The standard tables of many subjects at once.
pub struct Given {
    tables: BTreeMap<String, Vec<Column>>,
}

struct Column {
    name: String,
    nullable: bool,
    values: Values,
}

enum Values {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Bool(Vec<Option<bool>>),
    Date(Vec<Option<i32>>),
}

impl Given {
    /// All standard tables, without rows.
    pub fn new(standard: &[StandardTable]) -> Self {
        let columns = |table: &StandardTable| {
            let columns = table.columns.iter().map(|column| Column {
                name: column.name.clone(),
                nullable: column.nullable,
                values: match column.kind {
                    Type::Text => Values::Text(Vec::new()),
                    Type::Int => Values::Int(Vec::new()),
                    Type::Bool => Values::Bool(Vec::new()),
                    Type::Date => Values::Date(Vec::new()),
                    other => panic!("no standard table has a column of type {other:?} so far"),
                },
            });
            columns.collect()
        };
        Given { tables: standard.iter().map(|table| (table.name.clone(), columns(table))).collect() }
    }

    /// Adds a row. A column left out is empty; one that may not be empty is false, or a text of no letters.
    pub fn row(&mut self, table: &str, cells: &[(&str, Cell)]) {
        let columns = self.tables.get_mut(table).unwrap_or_else(|| panic!("there is no standard table {table}"));
        for (name, _) in cells {
            assert!(columns.iter().any(|column| column.name == *name), "{table} has no column {name}");
        }
        for column in columns {
            let cell = cells.iter().find(|(name, _)| *name == column.name).map_or(&Cell::Empty, |(_, cell)| cell);
            match (&mut column.values, cell) {
                (Values::Text(values), Cell::Text(text)) => values.push(Some(text.clone())),
                (Values::Int(values), Cell::Int(number)) => values.push(Some(*number)),
                (Values::Bool(values), Cell::Bool(is_so)) => values.push(Some(*is_so)),
                (Values::Date(values), Cell::Date(day)) => values.push(Some(days(*day))),
                (Values::Bool(values), Cell::Empty) if !column.nullable => values.push(Some(false)),
                (Values::Text(values), Cell::Empty) if !column.nullable => values.push(Some(String::new())),
                (Values::Text(values), Cell::Empty) => values.push(None),
                (Values::Int(values), Cell::Empty) if column.nullable => values.push(None),
                (Values::Bool(values), Cell::Empty) => values.push(None),
                (Values::Date(values), Cell::Empty) if column.nullable => values.push(None),
                (_, cell) => panic!("{table}.{} does not take {cell:?}", column.name),
            }
        }
    }

    /// The tables, each with its rows in an order of its own: a register promises none.
    pub fn tables(self, random: &mut Random) -> Vec<(String, Table)> {
        self.tables.into_iter().map(|(name, columns)| (name, table(columns, random))).collect()
    }
}

fn table(columns: Vec<Column>, random: &mut Random) -> Table {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in columns {
        let array: ArrayRef = match column.values {
            Values::Text(values) => Arc::new(StringArray::from(values)),
            Values::Int(values) => Arc::new(Int64Array::from(values)),
            Values::Bool(values) => Arc::new(BooleanArray::from(values)),
            Values::Date(values) => Arc::new(Date32Array::from(values)),
        };
        fields.push(Field::new(column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let rows = arrays.first().map_or(0, |array| array.len() as u32);
    let mut order: Vec<u32> = (0..rows).collect();
    random.shuffle(&mut order);
    let order = UInt32Array::from(order);
    let arrays = arrays.iter().map(|array| take(array, &order, None).unwrap()).collect();
    let schema = Arc::new(Schema::new(fields));
    let whole = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let batches = (0..whole.num_rows()).step_by(BATCH).map(|first| {
        let rows = BATCH.min(whole.num_rows() - first);
        whole.slice(first, rows)
    });
    Table { schema, batches: batches.collect() }
}

/// Rows of a batch, as the engine likes them.
const BATCH: usize = 8_192;

/// Days since 1 January 1970.
fn days(day: Date) -> i32 {
    (day - date(1970, 1, 1)).get_days()
}
