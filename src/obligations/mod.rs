//! Who must do what, by when.
//!
//! A row of `obligations.<item>` becomes an [`Obligation`] with a key that is
//! the same on every night. This chapter reads tables and must know neither the
//! ledger nor how anybody is reminded.

pub mod explain;
mod facts;
pub mod filed;
pub mod life;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use crate::calendar::AsOf;
use crate::fault::{Explain, Place};
use crate::personal::{Personal, PseudonymKey, hex};
use crate::pipeline::Item;
use crate::pipeline::law::Law;
use crate::tables::{self, Contract, Table, TableName};

use arrow::datatypes::DataType;

pub use facts::Facts;

/// Something that a person must do by a day.
#[derive(Debug, Clone)]
pub struct Obligation {
    /// Keyed digest of item, subject, object and period: 32 hexadecimal digits.
    pub key: String,
    /// Name of the item.
    pub item: String,
    /// Who must do it.
    pub subject_id: Personal<String>,
    /// The last day on which it may be done.
    pub due_on: Date,
    /// The day it was done, by what the sources say; none while it is open.
    pub fulfilled_on: Option<Date>,
    /// The version of the rule that says so: `driving_licence_term@2025-01-01`; several have `", "` between them.
    pub rule_version: String,
    /// The other columns, for the message: by name, empty where null.
    pub facts: Facts,
}

impl Obligation {
    /// Whether there is something to remind of on a day: not done yet, and not too late.
    pub fn is_open(&self, as_of: AsOf) -> bool {
        self.fulfilled_on.is_none() && self.due_on >= as_of.date()
    }
}

/// A value of an obligation, for its message. It belongs to a person, so `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub enum Fact {
    /// Text; a template prints an identifier through the filter `mask`.
    Text(String),
    /// A whole number, in the unit that ends the column's name.
    Int(i64),
    /// A civil date.
    Date(Date),
    /// Yes or no.
    Bool(bool),
}

impl std::fmt::Debug for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[personal]")
    }
}

/// The columns that every obligation gives, beside its facts.
const COLUMNS: [(&str, DataType, bool); 6] = [
    ("subject_id", DataType::Utf8, false),
    ("object_id", DataType::Utf8, true),
    ("period", DataType::Utf8, false),
    ("due_on", DataType::Date32, false),
    ("rule_version", DataType::Utf8, false),
    ("fulfilled_on", DataType::Date32, true),
];

/// What a select in `sql/obligations/` must give.
pub fn contract() -> Contract {
    Contract {
        columns: COLUMNS.iter().map(|(name, kind, nullable)| ((*name).to_owned(), kind.clone(), *nullable)).collect(),
        is_open: true,
    }
}

/// The names of the facts that a table gives beside the fixed columns.
pub fn fact_names(table: &Table) -> Vec<String> {
    let is_fixed = |name: &str| COLUMNS.iter().any(|(known, _, _)| *known == name);
    table.schema.fields().iter().map(|field| field.name().clone()).filter(|name| !is_fixed(name)).collect()
}

/// An obligation table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A column is missing or of another type.
    #[error("the obligations of {table} cannot be read")]
    Table {
        /// The table.
        table: TableName,
        /// What is wrong.
        #[source]
        source: Box<tables::Error>,
    },
    /// Two rows are the same obligation with different due dates, or one says that it is done and one not.
    #[error("{table} gives {rows} obligations with two due dates or two days of fulfilment each")]
    Ambiguous {
        /// The table.
        table: TableName,
        /// How many.
        rows: usize,
    },
    /// A row says that it was computed by something that is no version of a rule of its item.
    #[error("{table} gives {rows} obligations whose rule_version is no version of a rule of the item")]
    NoSuchVersion {
        /// The table.
        table: TableName,
        /// How many.
        rows: usize,
    },
    /// Two rows cannot be told apart by what names an obligation, or by the grain that the select says it has.
    #[error("{table} gives {rows} rows that cannot be told from another by {by}")]
    Doubled {
        /// The table.
        table: TableName,
        /// How many there are too many.
        rows: usize,
        /// The columns.
        by: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Table { .. } => "obligations.table",
            Error::Ambiguous { .. } => "obligations.ambiguous",
            Error::NoSuchVersion { .. } => "obligations.no-such-version",
            Error::Doubled { .. } => "obligations.doubled",
        }
    }

    fn place(&self) -> Place {
        let (Error::Table { table, .. }
        | Error::Ambiguous { table, .. }
        | Error::NoSuchVersion { table, .. }
        | Error::Doubled { table, .. }) = self;
        Place::Table(table.to_string())
    }

    fn next(&self) -> String {
        match self {
            Error::Table { .. } => "correct the select in sql/obligations/".into(),
            Error::Ambiguous { .. } => "make period tell the rows apart, or choose one row in the select".into(),
            Error::NoSuchVersion { .. } => {
                "take rule_version from law.<rule> or law_versions.<rule>, and name that rule among the item's rules"
                    .into()
            }
            Error::Doubled { .. } => "give each obligation once: look for a join that meets several rows, make period \
                                      tell the rows apart, and correct grain in the head of the select"
                .into(),
        }
    }
}

/// The key of an obligation: keyed digest of item, subject, object (empty where there is none) and period.
pub fn key_of(item: &str, [subject, object, period]: [&str; 3], key: &PseudonymKey) -> String {
    let parts = [item.as_bytes(), subject.as_bytes(), object.as_bytes(), period.as_bytes()];
    hex(key.digest("obligation", &parts).get(..16).unwrap_or_default())
}

/// Reads the obligations of one item, in order of due date and key.
///
/// Rows that are the same in item, subject, object and period are one obligation. The ledger keeps `rule_version` in
/// clear, so that nothing may pass through it but the names of versions of the item's own rules.
pub fn read(item: &Item, law: &Law, table: &Table, key: &PseudonymKey) -> Result<Vec<Obligation>, Error> {
    let name = TableName::new("obligations", &item.id);
    let failed = |source| Error::Table { table: name.clone(), source: Box::new(source) };
    let subjects = table.texts("subject_id").map_err(failed)?;
    let objects = table.texts("object_id").map_err(failed)?;
    let periods = table.texts("period").map_err(failed)?;
    let due = table.dates("due_on").map_err(failed)?;
    let rules = table.texts("rule_version").map_err(failed)?;
    let fulfilled = table.dates("fulfilled_on").map_err(failed)?;
    let facts = read_facts(table).map_err(failed)?;
    let unknown = count_unknown(item, law, &rules);
    if unknown > 0 {
        return Err(Error::NoSuchVersion { table: name, rows: unknown });
    }
    let mut found: BTreeMap<String, Obligation> = BTreeMap::new();
    let mut ambiguous = 0;
    let rows = subjects.into_iter().zip(objects).zip(periods).zip(due).zip(rules).zip(fulfilled).zip(facts);
    for ((((((subject, object), period), due_on), rule), fulfilled_on), facts) in rows {
        let (Some(subject), Some(period), Some(due_on), Some(rule)) = (subject, period, due_on, rule) else { continue };
        let object = object.unwrap_or_default();
        let digest = key_of(&item.id, [&subject, &object, &period], key);
        let obligation = Obligation {
            key: digest.clone(),
            item: item.id.clone(),
            subject_id: Personal::new(subject),
            due_on,
            fulfilled_on,
            rule_version: rule,
            facts,
        };
        if let Some(other) = found.insert(digest, obligation)
            && (other.due_on, other.fulfilled_on) != (due_on, fulfilled_on)
        {
            ambiguous += 1;
        }
    }
    if ambiguous > 0 {
        return Err(Error::Ambiguous { table: name, rows: ambiguous });
    }
    let mut all: Vec<Obligation> = found.into_values().collect();
    all.sort_by(|a, b| (a.due_on, &a.key).cmp(&(b.due_on, &b.key)));
    Ok(all)
}

/// Whether each row names versions of the item's own rules, one or several, as [`read`] asks for it: of a table that is
/// not read any further, such as that of a case.
pub fn names_own_rules(item: &Item, law: &Law, table: &Table) -> Result<(), Error> {
    let name = TableName::new("obligations", &item.id);
    let failed = |source| Error::Table { table: name.clone(), source: Box::new(source) };
    match count_unknown(item, law, &table.texts("rule_version").map_err(failed)?) {
        0 => Ok(()),
        rows => Err(Error::NoSuchVersion { table: name, rows }),
    }
}

/// The columns that name an obligation within its item.
const NAMED_BY: [&str; 3] = ["subject_id", "object_id", "period"];

/// Whether each row is an obligation of its own: by what names an obligation, and by the grain that its select says.
///
/// A night takes rows that are alike for one; of a select that gives them nobody can say what a row is.
pub fn once_each(item: &Item, grain: &[String], table: &Table) -> Result<(), Error> {
    let name = TableName::new("obligations", &item.id);
    let grain: Vec<&str> = grain.iter().map(String::as_str).collect();
    for columns in [NAMED_BY.as_slice(), &grain].into_iter().filter(|columns| !columns.is_empty()) {
        let failed = |source| Error::Table { table: name.clone(), source: Box::new(source) };
        let values = columns.iter().map(|column| table.texts(column)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let row = |at: usize| values.iter().map(|column| column.get(at).cloned().flatten()).collect::<Vec<_>>();
        let mut seen = BTreeSet::new();
        let doubled = (0..table.rows()).filter(|at| !seen.insert(row(*at))).count();
        if doubled > 0 {
            return Err(Error::Doubled { table: name, rows: doubled, by: columns.join(", ") });
        }
    }
    Ok(())
}

/// How many of these name anything but versions of rules of the item.
fn count_unknown(item: &Item, law: &Law, named: &[Option<String>]) -> usize {
    let mut rows_by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for version_name in named.iter().flatten() {
        *rows_by_name.entry(version_name).or_default() += 1;
    }
    let is_known = |named: &str| {
        let versions = law.versions(named);
        versions.is_some_and(|versions| versions.iter().all(|(rule, _)| item.rules.contains(&rule.name)))
    };
    rows_by_name.into_iter().filter(|(name, _)| !is_known(name)).map(|(_, rows)| rows).sum()
}

fn read_facts(table: &Table) -> Result<Vec<Facts>, tables::Error> {
    let mut columns = Vec::new();
    for name in fact_names(table) {
        let kind = table.schema.field_with_name(&name).map(|field| field.data_type().clone());
        let values: Vec<Option<Fact>> = match kind.as_ref() {
            Ok(DataType::Date32) => table.dates(&name)?.into_iter().map(|value| value.map(Fact::Date)).collect(),
            Ok(DataType::Boolean) => table.bools(&name)?.into_iter().map(|value| value.map(Fact::Bool)).collect(),
            Ok(kind) if kind.is_integer() => table.ints(&name)?.into_iter().map(|value| value.map(Fact::Int)).collect(),
            _ => table.texts(&name)?.into_iter().map(|value| value.map(Fact::Text)).collect(),
        };
        columns.push((Arc::<str>::from(name), values.into_iter()));
    }
    let row = |columns: &mut Vec<(Arc<str>, std::vec::IntoIter<Option<Fact>>)>| {
        let facts = columns.iter_mut().filter_map(|(name, values)| Some((Arc::clone(name), values.next()??)));
        facts.collect()
    };
    Ok((0..table.rows()).map(|_| row(&mut columns)).collect())
}
