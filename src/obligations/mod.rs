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

use jiff::civil::Date;

use crate::calendar::AsOf;
use crate::fault::{Explain, Place};
use crate::personal::{Digest, Personal, PseudonymKey, SharedText, ShortText};
use crate::pipeline::Item;
use crate::pipeline::law::Law;
use crate::tables::{self, Contract, Table, TableName, Texts};

use arrow::datatypes::DataType;

pub use facts::Facts;

/// Something that a person must do by a day.
#[derive(Debug, Clone)]
pub struct Obligation {
    /// Keyed digest of item, subject, object and period: 32 hexadecimal digits.
    pub key: Digest,
    /// Name of the item.
    pub item: SharedText,
    /// Who must do it.
    pub subject_id: Personal<ShortText>,
    /// The last day on which it may be done.
    pub due_on: Date,
    /// The day it was done, by what the sources say; none while it is open.
    pub fulfilled_on: Option<Date>,
    /// The version of the rule that says so: `driving_licence_term@2025-01-01`; several have `", "` between them.
    pub rule_version: SharedText,
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
pub fn key_of(item: &str, subject_object_period: [&str; 3], key: &PseudonymKey) -> String {
    digest_of(item, subject_object_period, key).into()
}

fn digest_of(item: &str, [subject, object, period]: [&str; 3], key: &PseudonymKey) -> Digest {
    let parts = [item.as_bytes(), subject.as_bytes(), object.as_bytes(), period.as_bytes()];
    Digest::of(key.digest("obligation", &parts))
}

/// Reads the obligations of one item, in order of due date and key.
///
/// Rows that are the same in item, subject, object and period are one obligation. The ledger keeps `rule_version` in
/// clear, so that nothing may pass through it but the names of versions of the item's own rules.
pub fn read(item: &Item, law: &Law, table: &Table, key: &PseudonymKey) -> Result<Vec<Obligation>, Error> {
    let name = TableName::new("obligations", &item.id);
    let failed = |source| Error::Table { table: name.clone(), source: Box::new(source) };
    let subjects = table.shared_texts("subject_id").map_err(failed)?;
    let objects = table.shared_texts("object_id").map_err(failed)?;
    let periods = table.shared_texts("period").map_err(failed)?;
    let due = table.dates("due_on").map_err(failed)?;
    let rules = table.shared_texts("rule_version").map_err(failed)?;
    let fulfilled = table.dates("fulfilled_on").map_err(failed)?;
    let facts = facts::columns(table).map_err(failed)?;
    let unknown = count_unknown(item, law, &rules, table.rows());
    if unknown > 0 {
        return Err(Error::NoSuchVersion { table: name, rows: unknown });
    }
    let item_id = SharedText::from(item.id.as_str());
    let mut rule_names: BTreeMap<&str, SharedText> = BTreeMap::new();
    let mut all: Vec<Obligation> = Vec::with_capacity(table.rows());
    for (row, (due_on, fulfilled_on)) in due.into_iter().zip(fulfilled).enumerate() {
        let (Some(subject), Some(period), Some(due_on), Some(rule)) =
            (subjects.get(row), periods.get(row), due_on, rules.get(row))
        else {
            continue;
        };
        // Arrow counts the rows of its texts in 32 bits, too.
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        let rule_version = rule_names.entry(rule).or_insert_with(|| rule.into()).clone();
        let obligation = Obligation {
            key: digest_of(&item.id, [subject, objects.get(row).unwrap_or_default(), period], key),
            item: item_id.clone(),
            subject_id: Personal::new(subject.into()),
            due_on,
            fulfilled_on,
            rule_version,
            facts: Facts::of_row(&facts, number),
        };
        all.push(obligation);
    }
    match each_once(all) {
        Ok(all) => Ok(all),
        Err(rows) => Err(Error::Ambiguous { table: name, rows }),
    }
}

/// Each obligation once, in order of due date and key: of rows that are the same the last counts. Where rows of one
/// obligation contradict each other, says how many do.
fn each_once(mut all: Vec<Obligation>) -> Result<Vec<Obligation>, usize> {
    all.sort_unstable_by_key(|obligation| (obligation.key, obligation.facts.row()));
    let mut ambiguous = 0;
    all.dedup_by(|later, kept| {
        let is_same = later.key == kept.key;
        if is_same {
            ambiguous += usize::from((later.due_on, later.fulfilled_on) != (kept.due_on, kept.fulfilled_on));
            std::mem::swap(later, kept);
        }
        is_same
    });
    if ambiguous > 0 {
        return Err(ambiguous);
    }
    all.sort_unstable_by_key(|obligation| (obligation.due_on, obligation.key));
    all.shrink_to_fit();
    Ok(all)
}

/// Whether each row names versions of the item's own rules, one or several, as [`read`] asks for it: of a table that is
/// not read any further, such as that of a case.
pub fn names_own_rules(item: &Item, law: &Law, table: &Table) -> Result<(), Error> {
    let name = TableName::new("obligations", &item.id);
    let failed = |source| Error::Table { table: name.clone(), source: Box::new(source) };
    match count_unknown(item, law, &table.shared_texts("rule_version").map_err(failed)?, table.rows()) {
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
fn count_unknown(item: &Item, law: &Law, named: &Texts, rows: usize) -> usize {
    let mut rows_by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for version_name in (0..rows).filter_map(|row| named.get(row)) {
        *rows_by_name.entry(version_name).or_default() += 1;
    }
    let is_known = |named: &str| {
        let versions = law.versions(named);
        versions.is_some_and(|versions| versions.iter().all(|(rule, _)| item.rules.contains(&rule.name)))
    };
    rows_by_name.into_iter().filter(|(name, _)| !is_known(name)).map(|(_, rows)| rows).sum()
}
