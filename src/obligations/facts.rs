//! The facts of an obligation, held small: a night has a million of them, and those of one table share its columns.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use jiff::civil::Date;

use super::{Fact, fact_names};
use crate::tables::{self, Table, Texts};

/// Facts by name. Names are those of columns, so obligations of a table share their texts.
#[derive(Clone)]
pub struct Facts(Held);

#[derive(Clone)]
enum Held {
    /// A row of columns.
    Row(Columns, u32),
    /// Given one by one.
    Apart(Arc<Vec<(Arc<str>, Fact)>>),
}

/// The columns of a table that are facts.
pub(super) type Columns = Arc<Vec<(Arc<str>, Column)>>;

/// A column of facts, by row.
pub(super) enum Column {
    Texts(Texts),
    Ints(Vec<Option<i64>>),
    Dates(Vec<Option<Date>>),
    Bools(Vec<Option<bool>>),
}

impl Column {
    fn fact(&self, row: usize) -> Option<Fact> {
        match self {
            Column::Texts(texts) => texts.get(row).map(|text| Fact::Text(text.to_owned())),
            Column::Ints(ints) => ints.get(row).copied().flatten().map(Fact::Int),
            Column::Dates(dates) => dates.get(row).copied().flatten().map(Fact::Date),
            Column::Bools(bools) => bools.get(row).copied().flatten().map(Fact::Bool),
        }
    }
}

/// The facts of all rows of a table.
pub(super) fn columns(table: &Table) -> Result<Columns, tables::Error> {
    let column = |name: String| {
        let kind = table.schema.field_with_name(&name).map(|field| field.data_type().clone());
        let values = match kind.as_ref() {
            Ok(DataType::Date32) => Column::Dates(table.dates(&name)?),
            Ok(DataType::Boolean) => Column::Bools(table.bools(&name)?),
            Ok(kind) if kind.is_integer() => Column::Ints(table.ints(&name)?),
            _ => Column::Texts(table.shared_texts(&name)?),
        };
        Ok((Arc::from(name), values))
    };
    fact_names(table).into_iter().map(column).collect::<Result<_, _>>().map(Arc::new)
}

impl Facts {
    /// The fact of this name.
    pub fn get(&self, name: &str) -> Option<Fact> {
        match &self.0 {
            Held::Row(columns, row) => columns
                .iter()
                .find(|(known, _)| known.as_ref() == name)
                .and_then(|(_, column)| column.fact(*row as usize)),
            Held::Apart(facts) => facts.iter().find(|(known, _)| known.as_ref() == name).map(|(_, fact)| fact.clone()),
        }
    }

    /// Those of a row.
    pub(super) fn of_row(columns: &Columns, row: u32) -> Self {
        Facts(Held::Row(Arc::clone(columns), row))
    }

    /// The row of their table that they are; the first where they were given one by one.
    pub(super) fn row(&self) -> u32 {
        match &self.0 {
            Held::Row(_, row) => *row,
            Held::Apart(_) => 0,
        }
    }

    /// The row of the table of obligations that they are read from; none where they were given one by one.
    pub fn table_row(&self) -> Option<usize> {
        match &self.0 {
            Held::Row(_, row) => usize::try_from(*row).ok(),
            Held::Apart(_) => None,
        }
    }

    /// Facts by name, in order, for a letter.
    pub fn by_name(&self) -> BTreeMap<String, Fact> {
        match &self.0 {
            Held::Apart(facts) => facts.iter().map(|(name, fact)| (name.as_ref().to_owned(), fact.clone())).collect(),
            Held::Row(columns, row) => {
                let row = usize::try_from(*row).unwrap_or(usize::MAX);
                let fact = |(name, column): &(Arc<str>, Column)| Some((name.as_ref().to_owned(), column.fact(row)?));
                columns.iter().filter_map(fact).collect()
            }
        }
    }
}

impl Default for Facts {
    fn default() -> Self {
        Facts(Held::Apart(Arc::default()))
    }
}

impl PartialEq for Facts {
    fn eq(&self, other: &Self) -> bool {
        self.by_name() == other.by_name()
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.by_name()).finish()
    }
}

impl FromIterator<(Arc<str>, Fact)> for Facts {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Fact)>>(facts: I) -> Self {
        Facts(Held::Apart(Arc::new(facts.into_iter().collect())))
    }
}
