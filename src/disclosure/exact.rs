//! The maker of released tables of engine E: what the gate has admitted, and nothing else.
//!
//! It takes the cells with what was decided about each, and never a count that is withheld: the rows come from
//! [`Cells::rows`], which has none.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::cells::{Cells, Earlier, Layout, Status};
use super::columns::{ColumnKind, ColumnSheet};
use super::gate::{Admitted, Engine, Offer};
use super::released::{Account, Edition, ExactAccount, Facts, Provenance, Released};
use super::{Error, Period};
use crate::language::Text;

/// What is said of an exact table beside its cells.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactSheet {
    /// The table, as it was offered to the gate.
    pub table: String,
    /// What it shows, without unit and period.
    pub title: Text,
    /// The period.
    pub period: Period,
    /// The edition.
    pub edition: Edition,
    /// Name and version of the policy.
    pub policy: String,
    /// The rules by which cells were withheld, in words.
    pub rules: Vec<Text>,
    /// What one count counts in.
    pub unit: Text,
    /// Where the counts come from.
    pub provenance: Provenance,
}

impl Released {
    /// An exact table, as the gate has admitted it: one row per cell, with its count where it is published and blank
    /// where it is withheld. The columns are the period, the dimensions of the table, `status` and `count`.
    ///
    /// # Errors
    ///
    /// [`Error::NotAdmitted`] when the gate has not admitted this table by engine E, or when `cells` does not hold it.
    pub fn exact(admitted: &Admitted, cells: &Cells, sheet: ExactSheet) -> Result<Self, Error> {
        let refused = || Error::NotAdmitted { table: sheet.table.clone() };
        let is_it = |offer: &&Offer| offer.engine == Engine::E && offer.layout.table == sheet.table;
        let offer = admitted.offers().iter().find(is_it).ok_or_else(refused)?;
        let layout = cells.layouts().find(|layout| **layout == offer.layout).ok_or_else(refused)?;
        let attack = admitted.reports().iter().find(|(records, _)| *records == offer.records);
        let (_, attack) = attack.filter(|(_, report)| report.is_safe()).ok_or_else(refused)?;
        let shown = dimensions(cells, layout);
        let failed = |source| Error::Build { table: sheet.table.clone(), period: sheet.period, source };
        let table = batch(&cells.rows(&sheet.table), &shown, sheet.period).map_err(failed)?;
        let of_records = |invariant: &&super::gate::Invariant| invariant.records == offer.records;
        let account = ExactAccount {
            policy: sheet.policy,
            records: offer.records.clone(),
            rules: sheet.rules,
            attack: attack.clone(),
            invariants: admitted.invariants().iter().filter(of_records).cloned().collect(),
        };
        Ok(Released::from(Facts {
            name: sheet.table,
            title: sheet.title,
            period: sheet.period,
            edition: sheet.edition,
            columns: columns(&shown, &sheet.unit),
            table,
            account: Account::Exact(Box::new(account)),
            provenance: sheet.provenance,
        }))
    }
}

/// The dimensions that a table shows, each with its place among the coordinates of a cell.
fn dimensions(cells: &Cells, layout: &Layout) -> Vec<(usize, String)> {
    let names = cells.trees().iter().map(|tree| tree.name().to_owned()).enumerate();
    names.filter(|(_, name)| layout.axes.contains_key(name)).collect()
}

fn batch(rows: &[Earlier], shown: &[(usize, String)], period: Period) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut fields = vec![Field::new("period", DataType::Utf8, false)];
    let periods: StringArray = rows.iter().map(|_| Some(period.to_string())).collect();
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(periods)];
    for (place, name) in shown {
        fields.push(Field::new(name, DataType::Utf8, false));
        arrays.push(Arc::new(rows.iter().map(|row| row.at.get(*place)).collect::<StringArray>()));
    }
    let word = |row: &Earlier| if row.status == Status::Published { "published" } else { "withheld" };
    fields.push(Field::new("status", DataType::Utf8, false));
    arrays.push(Arc::new(rows.iter().map(|row| Some(word(row))).collect::<StringArray>()));
    // A count of more than 63 bits is none that records can give; it would be left blank and never wrong.
    let count = |row: &Earlier| row.count.and_then(|count| i64::try_from(count).ok());
    fields.push(Field::new("count", DataType::Int64, true));
    arrays.push(Arc::new(rows.iter().map(count).collect::<Int64Array>()));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn columns(shown: &[(usize, String)], unit: &Text) -> Vec<ColumnSheet> {
    let none = || Text::new("", "");
    let sheet = |name: &str, kind, title: Text, unit: Text, meaning: Text| ColumnSheet {
        name: name.to_owned(),
        kind,
        title,
        unit,
        meaning,
    };
    let period = Text::new("Kỳ", "Period");
    let mut sheets = vec![sheet("period", ColumnKind::Dimension, period.clone(), none(), period)];
    for (_, name) in shown {
        let words = Text::new(name.clone(), name.clone());
        sheets.push(sheet(name, ColumnKind::Dimension, words.clone(), none(), words));
    }
    sheets.push(sheet(
        "status",
        ColumnKind::Flag,
        Text::new("Trạng thái", "Status"),
        none(),
        Text::new(
            "\"published\": có số liệu; \"withheld\": không công bố để bảo vệ người dân, không có nghĩa là số không",
            "\"published\": the count follows; \"withheld\": not published, to protect people; it does not mean zero",
        ),
    ));
    let meaning = Text::new("Số chính xác; để trống khi không công bố", "The exact number; blank when it is withheld");
    sheets.push(sheet("count", ColumnKind::Count, Text::new("Số lượng", "Count"), unit.clone(), meaning));
    sheets
}
