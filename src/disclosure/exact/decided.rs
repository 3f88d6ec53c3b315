//! A decided table: what the ledger keeps of a closed month, for good.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::cells::{Cells, Cube, Earlier, Status};
use super::super::gate::Admitted;
use super::super::released::{ExactAccount, Provenance};
use super::super::{Error, Period};
use crate::language::Text;

/// The form of the stored bytes.
const FORMAT: &str = "chudong.exact.1";

/// A table of exact counts as it was decided. Only [`super::Closing`] makes one, of what the gate has admitted.
///
/// It holds every cell with what became of it, and no count that is withheld.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    // The fields stand in alphabetical order, here and below, so that the JSON has sorted keys.
    pub(super) account: ExactAccount,
    cells: Vec<Earlier>,
    pub(super) columns: Vec<Column>,
    format: String,
    period: Period,
    pub(super) provenance: Provenance,
    pub(super) rows: Vec<Vec<Option<Value>>>,
    scope: String,
    table: String,
    pub(super) title: Text,
}

impl fmt::Debug for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decided({} of {}, {} cells)", self.table, self.period, self.cells.len())
    }
}

/// A column of a decided table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What its values are.
    pub kind: Kind,
    /// What it means.
    pub meaning: Text,
    /// Its name.
    pub name: String,
    /// What stands above it for a reader.
    pub title: Text,
    /// What it counts in; empty for words and codes.
    pub unit: Text,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Codes.
    Dimension,
    /// Whole numbers of records.
    Count,
    /// Percent.
    Share,
    /// Points.
    Score,
    /// A word about the row.
    Flag,
}

/// A value: a word, a count, or a decimal number as it is written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A word, or the digits of a share or a score.
    Text(String),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl Column {
    pub(super) fn new(name: &str, kind: Kind, title: Text, unit: Text, meaning: Text) -> Self {
        Column { kind, meaning, name: name.to_owned(), title, unit }
    }

    pub(super) fn status() -> Self {
        let meaning = Text::new(
            "\"published\": có đủ số liệu; \"withheld\": có số không công bố để bảo vệ người dân, ô trống không có nghĩa là số không",
            "\"published\": all figures follow; \"withheld\": some are not published, to protect people; a blank does not mean zero",
        );
        Column::new("status", Kind::Flag, Text::new("Trạng thái", "Status"), Text::new("", ""), meaning)
    }
}

/// What a decided table is made of.
pub(super) struct Parts<'a> {
    pub table: String,
    pub title: Text,
    pub period: Period,
    /// What is counted, as the gate calls it.
    pub records: &'a str,
    pub scope: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<Value>>>,
    pub cells: Vec<Earlier>,
    pub policy: String,
    pub rules: Vec<Text>,
    pub admitted: &'a Admitted,
    pub provenance: Provenance,
}

impl Decided {
    pub(super) fn new(parts: Parts<'_>) -> Self {
        let report = parts.admitted.reports().iter().find(|(records, _)| records == parts.records);
        let account = ExactAccount {
            policy: parts.policy,
            records: parts.records.to_owned(),
            rules: parts.rules,
            attack: report.map(|(_, report)| report.clone()).unwrap_or_default(),
            invariants: parts.admitted.invariants().to_vec(),
        };
        Decided {
            account,
            cells: parts.cells,
            columns: parts.columns,
            format: FORMAT.into(),
            period: parts.period,
            provenance: parts.provenance,
            rows: parts.rows,
            scope: parts.scope,
            table: parts.table,
            title: parts.title,
        }
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The month or the quarter that it speaks of.
    pub fn period(&self) -> Period {
        self.period
    }

    /// Which cells it shares with others: of one scope, equal codes are the same cell, that of the period with them.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Its cells, as constraints of what is decided later.
    pub fn cells(&self) -> &[Earlier] {
        &self.cells
    }

    /// How it was protected.
    pub fn account(&self) -> &ExactAccount {
        &self.account
    }

    /// How many of its cells are withheld.
    pub fn withheld(&self) -> usize {
        self.cells.iter().filter(|cell| cell.status != Status::Published).count()
    }

    /// Whether it is this table of this period.
    pub fn is(&self, table: &str, period: Period) -> bool {
        self.table == table && self.period == period
    }

    /// Whether the records of a cube give other figures than those that were decided.
    pub fn has_changed(&self, cube: &Cube) -> bool {
        self.scope == super::counted::DUE && Cells::new(cube, &[], &self.cells).is_err()
    }

    /// The stored form: JSON with sorted keys and without spaces. The same table always gives the same bytes.
    ///
    /// # Errors
    ///
    /// It cannot be written, which no decided table is.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| Error::Decided { what: error.to_string() })
    }

    /// Reads the stored form and checks its shape. Whether the bytes are those that were decided is for the ledger to
    /// say, which keeps their hash.
    ///
    /// # Errors
    ///
    /// Bytes that are no decided table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let decided: Decided =
            serde_json::from_slice(bytes).map_err(|error| Error::Decided { what: error.to_string() })?;
        let wrong = |what: &str| Error::Decided { what: what.to_owned() };
        if decided.format != FORMAT {
            return Err(wrong("it has another form"));
        }
        if decided.rows.iter().any(|row| row.len() != decided.columns.len()) {
            return Err(wrong("a row has more or fewer values than there are columns"));
        }
        let is_told = |cell: &Earlier| (cell.status == Status::Published) == cell.count.is_some();
        if !decided.cells.iter().all(is_told) || !decided.account.attack.is_safe() {
            return Err(wrong("a withheld cell has a count, or the attack had found one"));
        }
        Ok(decided)
    }
}
