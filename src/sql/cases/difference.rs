//! What came next to what was expected, row by row and cell by cell.
//!
//! Rows are compared as a multiset: a row that comes twice is one too many. A row that came and one that
//! was expected are shown as one where they are of the same subject, object and period. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::Date;
use serde::Serialize;

/// A row by its columns, as text; an empty one is left out.
pub type Row = BTreeMap<String, String>;

/// The columns that say which row is meant, the most important first.
const IDENTITY: [&str; 4] = ["subject_id", "object_id", "period", "code"];

/// A case that did not give the expected rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Rows that came with other values than expected.
    pub changed: Vec<Changed>,
    /// Rows that were expected and did not come.
    pub missing: Vec<Missing>,
    /// Rows that came and were not expected.
    pub surplus: Vec<Row>,
}

/// A row that came with other values than expected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Changed {
    /// Which row: those of its subject, object and period that both sides name.
    pub row: Row,
    /// The cells that differ.
    pub cells: Vec<Cell>,
}

/// A value that came otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cell {
    /// Its column.
    pub column: String,
    /// What was expected; none for empty.
    pub expected: Option<String>,
    /// What came; none for empty.
    pub came: Option<String>,
}

/// A row that was expected and did not come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// The row.
    pub row: Row,
    /// Why, where that is certain.
    pub why: Option<String>,
}

/// Compares rows in these columns; none when they are the same, each as often.
pub(super) fn compare(expected: &[Row], came: &[Row], compared: &BTreeSet<&str>) -> Option<Difference> {
    let in_compared = |row: &Row| -> Row {
        row.iter()
            .filter(|(column, _)| compared.contains(column.as_str()))
            .map(|(c, v)| (c.clone(), v.clone()))
            .collect()
    };
    // Each row that came, as it is compared and as a whole: its identity may not be among what is compared.
    let mut surplus: Vec<(Row, &Row)> = came.iter().map(|row| (in_compared(row), row)).collect();
    let mut missing = Vec::new();
    for row in expected {
        match surplus.iter().position(|(other, _)| other == row) {
            Some(index) => drop(surplus.swap_remove(index)),
            None => missing.push(row),
        }
    }
    if missing.is_empty() && surplus.is_empty() {
        return None;
    }
    let mut changed = Vec::new();
    // First rows of the same subject, object and period; then, of one subject, what differs in those too.
    for is_alike in [is_same_one as fn(&Row, &Row) -> bool, is_of_one_subject] {
        missing.retain(|row| {
            let alike = surplus.iter().enumerate().filter(|(_, (_, whole))| is_alike(row, whole));
            let nearest = alike.min_by_key(|(_, (other, _))| cells(row, other).len()).map(|(index, _)| index);
            let Some(index) = nearest else { return true };
            let (other, whole) = surplus.swap_remove(index);
            changed.push(Changed { row: identity(row, whole), cells: cells(row, &other) });
            false
        });
    }
    changed.sort();
    let mut missing: Vec<Missing> = missing.into_iter().map(|row| Missing { row: row.clone(), why: None }).collect();
    missing.sort();
    let mut surplus: Vec<Row> =
        surplus.into_iter().map(|(row, whole)| if row.is_empty() { whole.clone() } else { row }).collect();
    surplus.sort();
    Some(Difference { changed, missing, surplus })
}

/// Whether a row that came is the one that was expected, by each column of its identity that the case names.
pub(super) fn is_same_one(expected: &Row, came: &Row) -> bool {
    let mut named = IDENTITY.iter().filter_map(|column| expected.get(*column).map(|value| (*column, value))).peekable();
    named.peek().is_some() && named.all(|(column, value)| came.get(column) == Some(value))
}

fn is_of_one_subject(expected: &Row, came: &Row) -> bool {
    expected.get("subject_id").is_some_and(|subject| came.get("subject_id") == Some(subject))
}

fn identity(expected: &Row, came: &Row) -> Row {
    let same = IDENTITY.iter().filter(|column| expected.get(**column).is_none_or(|v| came.get(**column) == Some(v)));
    same.filter_map(|column| came.get(*column).map(|value| ((*column).to_owned(), value.clone()))).collect()
}

/// The cells in which two rows differ.
fn cells(expected: &Row, came: &Row) -> Vec<Cell> {
    let columns: BTreeSet<&String> = expected.keys().chain(came.keys()).collect();
    columns
        .into_iter()
        .filter(|column| expected.get(*column) != came.get(*column))
        .map(|column| Cell {
            column: column.clone(),
            expected: expected.get(column).cloned(),
            came: came.get(column).cloned(),
        })
        .collect()
}

/// A value as a person reads it: a date with its weekday. What names a row is shown as it is.
pub fn shown(column: &str, value: &str) -> String {
    match value.parse::<Date>() {
        Ok(date) if !IDENTITY.contains(&column) => format!("{value} ({})", date.strftime("%A")),
        _ => value.to_owned(),
    }
}

/// A row on one line: whose it is first.
fn line(row: &Row) -> String {
    let named = IDENTITY.iter().filter_map(|column| row.get_key_value(*column));
    let others = row.iter().filter(|(column, _)| !IDENTITY.contains(&column.as_str()));
    let cells: Vec<String> =
        named.chain(others).map(|(column, value)| format!("{column} = {}", shown(column, value))).collect();
    cells.join(", ")
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for changed in &self.changed {
            writeln!(f, "  {}:", line(&changed.row))?;
            let width = changed.cells.iter().map(|cell| cell.column.chars().count()).max().unwrap_or(0);
            for cell in &changed.cells {
                let value = |value: &Option<String>| {
                    value.as_ref().map_or("nothing".into(), |value| shown(&cell.column, value))
                };
                let (column, expected, came) = (&cell.column, value(&cell.expected), value(&cell.came));
                writeln!(f, "    {column:<width$}  expected {expected}, came {came}")?;
            }
        }
        for missing in &self.missing {
            writeln!(f, "  expected, did not come: {}", line(&missing.row))?;
            if let Some(why) = &missing.why {
                writeln!(f, "    {why}")?;
            }
        }
        for row in &self.surplus {
            writeln!(f, "  came, was not expected: {}", line(row))?;
        }
        Ok(())
    }
}
