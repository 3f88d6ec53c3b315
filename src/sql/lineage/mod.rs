//! Which column reaches which column, and by which way.
//!
//! `plan` reads it off a logical plan as the planner makes it, before any rewriting:
//! there every name is bound, `select *` is spelled out, a subquery still stands where
//! it was written, and nothing is pruned or moved. [`Graph`] joins what the models say
//! of themselves, down to the tables that no model makes.
//!
//! A column that is scanned and of which nothing depends does not count: `select *` in
//! a common table expression reads what is used of it. What is not understood is an
//! error and never an empty answer: permissions are decided from here. This module
//! must not know what a table means, nor what anything may be used for.

mod expr;
mod graph;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::tables::TableName;

pub use graph::{Graph, Reach};
pub(super) use plan::trace;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnName {
    /// The table.
    pub table: TableName,
    /// Its column.
    pub column: String,
}

impl ColumnName {
    /// A name from its parts.
    pub fn new(table: TableName, column: impl Into<String>) -> Self {
        ColumnName { table, column: column.into() }
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// How one column takes part in another, in the words of OpenLineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// The value itself, perhaps under another name.
    Identity,
    /// A value computed from it.
    Transformation,
    /// A value computed from it over several rows.
    Aggregation,
    /// It decides which of several values is taken.
    Conditional,
    /// It parts, orders or frames the rows that a window looks at.
    Window,
    /// It decides which rows there are, or which count.
    Filter,
    /// It decides which rows meet.
    Join,
    /// It decides which rows become one.
    GroupBy,
    /// It decides the order of the rows, and so which are first.
    Sort,
}

impl Way {
    /// All ways, those that carry a value first.
    pub const ALL: [Way; 9] = [
        Way::Identity,
        Way::Transformation,
        Way::Aggregation,
        Way::Conditional,
        Way::Window,
        Way::Filter,
        Way::Join,
        Way::GroupBy,
        Way::Sort,
    ];

    /// Whether the value itself, or one computed from it, arrives.
    pub fn is_value(self) -> bool {
        matches!(self, Way::Identity | Way::Transformation | Way::Aggregation)
    }

    /// The type and the subtype of OpenLineage.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Way::Identity => ("DIRECT", "IDENTITY"),
            Way::Transformation => ("DIRECT", "TRANSFORMATION"),
            Way::Aggregation => ("DIRECT", "AGGREGATION"),
            Way::Conditional => ("INDIRECT", "CONDITIONAL"),
            Way::Window => ("INDIRECT", "WINDOW"),
            Way::Filter => ("INDIRECT", "FILTER"),
            Way::Join => ("INDIRECT", "JOIN"),
            Way::GroupBy => ("INDIRECT", "GROUP_BY"),
            Way::Sort => ("INDIRECT", "SORT"),
        }
    }

    /// This way, and then another: what only decides never becomes a value again.
    fn then(self, next: Way) -> Way {
        match (self, next) {
            (first, Way::Identity) => first,
            (first, _) if !first.is_value() => first,
            (Way::Aggregation, Way::Transformation) => Way::Aggregation,
            (_, next) => next,
        }
    }
}

/// The columns that take part in something, each with its ways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flow(BTreeMap<ColumnName, BTreeSet<Way>>);

impl Flow {
    /// One column, by one way.
    pub fn one(column: ColumnName, way: Way) -> Self {
        Flow([(column, [way].into())].into())
    }

    /// Whether nothing takes part.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns with their ways, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ColumnName, &BTreeSet<Way>)> {
        self.0.iter()
    }

    /// The columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnName> {
        self.0.keys()
    }

    /// The columns of which a value arrives.
    pub fn values(&self) -> impl Iterator<Item = &ColumnName> {
        self.iter().filter(|(_, ways)| ways.iter().any(|way| way.is_value())).map(|(column, _)| column)
    }

    /// Adds all that takes part in another.
    pub fn extend(&mut self, other: &Flow) {
        for (column, ways) in &other.0 {
            self.0.entry(column.clone()).or_default().extend(ways);
        }
    }

    /// Adds one column by one way.
    fn add(&mut self, column: ColumnName, way: Way) {
        self.0.entry(column).or_default().insert(way);
    }

    /// The same columns, after one more step.
    fn then(&self, next: Way) -> Flow {
        let step = |ways: &BTreeSet<Way>| ways.iter().map(|way| way.then(next)).collect();
        Flow(self.0.iter().map(|(column, ways)| (column.clone(), step(ways))).collect())
    }
}

/// What a select takes from the tables that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Each column that it gives, in order, with what takes part in its values.
    pub columns: Vec<(String, Flow)>,
    /// What decides which rows it gives, how often and in which order.
    pub rows: Flow,
    /// The tables that it reads. One of which it takes no column still decides how many rows there are.
    pub tables: BTreeSet<TableName>,
}

impl Lineage {
    /// What takes part in a column of this name; none when there is no such column.
    pub fn column(&self, name: &str) -> Option<&Flow> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, flow)| flow)
    }

    /// All that takes part: in its columns and in its rows.
    pub fn reads(&self) -> Flow {
        let mut all = self.rows.clone();
        for (_, flow) in &self.columns {
            all.extend(flow);
        }
        all
    }
}
