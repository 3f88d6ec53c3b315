//! Answers by cell: all that is kept of them.
//!
//! A count has no order, no day and no id. Each question is counted by itself: twelve answers together would be a
//! person's own pattern.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

use crate::personal::{Personal, sha256};
use crate::pipeline::blind::{Question, Scale};
use crate::tables::Table;

/// What the text of a month has at least, in bytes.
const PADDED_BYTES_MIN: usize = 1 << 18;

/// Where an answer belongs. Codes are those of the public lists; none where a dossier's code is in none of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// The commune that received the dossier.
    pub commune: Option<String>,
    /// The group of its procedure.
    pub group: Option<String>,
    /// The word of the question.
    pub question: String,
    /// How many levels the scale has: 3 or 5.
    pub scale: i64,
    /// 1 to `scale`.
    pub level: i64,
    /// What proved the use of the service: `dossier`, `token` or `none`.
    pub proof: String,
    /// Whether it is within the bound of its person: only these reach a protected figure.
    pub is_counted: bool,
}

impl Cell {
    /// The cell of an answer.
    pub fn new(place: (Option<String>, Option<String>), question: Question, (scale, level): (Scale, i64)) -> Self {
        let (commune, group) = place;
        let question = question.word().to_owned();
        Cell { commune, group, question, scale: scale.levels(), level, proof: String::new(), is_counted: false }
    }
}

/// The answers of one month. It shows nothing of itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Cell, i64>);

impl Counts {
    /// Adds one answer.
    pub fn add(&mut self, cell: Cell) {
        let count = self.0.entry(cell).or_default();
        *count = count.saturating_add(1);
    }

    /// How many answers were counted in cells of which this holds.
    pub fn sum(&self, holds: impl Fn(&Cell) -> bool) -> i64 {
        self.0.iter().filter(|(cell, _)| holds(cell)).fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// As text for sealing: JSON, the cells in order, so that the same counts are the same text. Blanks at its end hide how
    /// many cells there are: what is sealed shows its length.
    pub fn to_text(&self) -> Personal<String> {
        let rows: Vec<(&Cell, &i64)> = self.0.iter().collect();
        // Keys are texts and values numbers: this cannot fail.
        let mut text = serde_json::to_string(&rows).unwrap_or_default();
        let padded = text.len().next_power_of_two().max(PADDED_BYTES_MIN);
        text.extend(std::iter::repeat_n(' ', padded - text.len()));
        Personal::new(text)
    }

    /// Reads what [`Counts::to_text`] wrote; none for any other text.
    pub fn of_text(text: &Personal<String>) -> Option<Self> {
        let rows: Vec<(Cell, i64)> = serde_json::from_str(text.reveal()).ok()?;
        Some(Counts(rows.into_iter().collect()))
    }

    /// SHA-256 of the text. It could be guessed from: only under a key may it be shown.
    pub fn digest(&self) -> String {
        sha256(self.to_text().reveal().as_bytes())
    }
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[counts]")
    }
}

/// The counts of months as the rows of `staging.ratings`.
pub fn table<'c>(months: impl IntoIterator<Item = (&'c str, &'c Counts)>) -> Result<Table, ArrowError> {
    let rows: Vec<(&str, &Cell, i64)> = months
        .into_iter()
        .flat_map(|(month, counts)| counts.0.iter().map(move |(cell, count)| (month, cell, *count)))
        .collect();
    let texts = |of: fn(&Cell) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, cell, _)| of(cell)).collect::<StringArray>())
    };
    let ints = |of: fn(&Cell) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, cell, _)| Some(of(cell))).collect::<Int64Array>())
    };
    let months: StringArray = rows.iter().map(|(month, ..)| Some(*month)).collect();
    let counted: BooleanArray = rows.iter().map(|(_, cell, _)| Some(cell.is_counted)).collect();
    let counts: Int64Array = rows.iter().map(|(.., count)| Some(*count)).collect();
    // In the order of the standard table: by name.
    let columns: [(&str, ArrayRef); 9] = [
        ("commune_code", texts(|cell| cell.commune.as_deref())),
        ("is_counted", Arc::new(counted)),
        ("level", ints(|cell| cell.level)),
        ("month", Arc::new(months)),
        ("procedure_group", texts(|cell| cell.group.as_deref())),
        ("proof", texts(|cell| Some(&cell.proof))),
        ("question", texts(|cell| Some(&cell.question))),
        ("ratings", Arc::new(counts)),
        ("scale", ints(|cell| cell.scale)),
    ];
    let nullable = columns.map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(nullable).map(Table::from_batch)
}
