//! What no machine should publish by itself: figures that cannot be, or that hardly can.
//!
//! Five checks look at a period before it is put on the shelf: a share over a hundred, a share that has not moved for
//! years, a row for every unit of the code lists, sources that end before the period does (in working days), and a
//! response rate that nobody would believe. Each finding is a [`Concern`]; one is enough to hold the period for a
//! person. This module must not know who the person is, nor whether they let it pass.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::array::RecordBatch;
use jiff::civil::Date;

use super::period::Period;
use super::{Error, Labels, derived};
use crate::calendar::{WorkingDays, to_days};
use crate::disclosure::{ColumnKind, Released};
use crate::pipeline::publication::Gates;
use crate::tables::Table;

/// Something that a person has to look at before a period is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Concern {
    /// Which check: `share-over-100`, `same-value`, `keys`, `stale`, `response-rate`.
    pub check: &'static str,
    /// The table, or the source that is stale.
    pub about: String,
    /// What was found, in words; counts of cells and codes of public lists.
    pub what: String,
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.what)
    }
}

/// A table to be looked at. It is only looked at: nothing can be published from it.
#[derive(Debug, Clone)]
pub struct Examined {
    /// Its name.
    pub table: String,
    /// Its period: months, quarters and years are not compared with each other.
    pub period: String,
    /// Its rows.
    pub rows: RecordBatch,
    /// The columns that are shares in percent.
    pub shares: Vec<String>,
    /// The columns that name a row, without the period.
    pub keys: Vec<String>,
}

/// What is to be looked at in released tables, with the response rate that follows from them.
///
/// # Errors
///
/// As [`super::publish`].
pub fn examine<R: Borrow<Released>>(released: &[R]) -> Result<Vec<Examined>, Error> {
    let sheets = super::sheets(released)?;
    let names = |sheet: &super::Sheet<'_>, kind| sheet.of_kind(kind).map(|column| column.name.clone()).collect();
    let examined = sheets.iter().map(|sheet| {
        let mut keys: Vec<String> = names(sheet, ColumnKind::Dimension);
        keys.retain(|key| key != "period");
        Examined {
            table: sheet.name.to_owned(),
            period: sheet.period.to_string(),
            rows: sheet.table.clone(),
            shares: names(sheet, ColumnKind::Share),
            keys,
        }
    });
    Ok(examined.collect())
}

/// Looks at the tables of one period; `earlier` are those of all periods before it, in any order.
///
/// # Errors
///
/// [`Error::Column`] where a column is not of the kind that it is said to be.
pub fn concerns(
    tables: &[Examined],
    earlier: &[Examined],
    labels: &Labels,
    gates: &Gates,
) -> Result<Vec<Concern>, Error> {
    let mut found = Vec::new();
    for table in tables {
        found.extend(over_hundred(table)?);
        found.extend(missing_keys(table, labels)?);
        found.extend(same_value(table, earlier, gates)?);
        found.extend(response_rate(table, gates)?);
    }
    found.sort();
    Ok(found)
}

/// A source whose newest record lies too many working days before the end of a period.
///
/// `until` is the day of the newest record, none where there is none at all. A calendar that does not know the days
/// counts every day, so that ignorance holds and does not let pass.
pub fn stale(source: &str, until: Option<Date>, end: Date, working: &WorkingDays, gates: &Gates) -> Option<Concern> {
    let concern = |what: String| Some(Concern { check: "stale", about: source.to_owned(), what });
    let Some(until) = until else { return concern(format!("it has no record before the end of the period, {end}")) };
    let days = working.between(to_days(until), to_days(end));
    let days = days.unwrap_or_else(|_| i64::from(to_days(end)) - i64::from(to_days(until)));
    if days <= i64::from(gates.stale_working_days) {
        return None;
    }
    let most = gates.stale_working_days;
    concern(format!("its newest record is of {until}, {days} working days before {end}, more than {most}"))
}

fn over_hundred(table: &Examined) -> Result<Option<Concern>, Error> {
    let mut columns = Vec::new();
    for share in table.shares.iter().filter(|share| *share != derived::RESPONSE_RATE) {
        let is_off = |value: &Option<f64>| value.is_some_and(|value| !(0.0..=100.0).contains(&value));
        let count = floats(table, share)?.iter().filter(|value| is_off(value)).count();
        if count > 0 {
            columns.push(format!("{share} in {count} rows"));
        }
    }
    let what = format!("a share lies outside 0 and 100: {}", columns.join(", "));
    Ok((!columns.is_empty()).then(|| Concern { check: "share-over-100", about: table.table.clone(), what }))
}

/// Every cell of the public code lists has one row, and no other row is there.
fn missing_keys(table: &Examined, labels: &Labels) -> Result<Option<Concern>, Error> {
    let mut expected: BTreeSet<Vec<String>> = BTreeSet::from([Vec::new()]);
    for key in &table.keys {
        let list = match key.as_str() {
            "commune_code" => &labels.communes,
            "procedure_group" => &labels.procedure_groups,
            // Other dimensions have no list here to be compared with.
            _ => return Ok(None),
        };
        expected = expected
            .iter()
            .flat_map(|cell| list.iter().map(move |(code, _)| cell.iter().cloned().chain([code.clone()]).collect()))
            .collect();
    }
    let rows = cells(table)?;
    let found: BTreeSet<Vec<String>> = rows.iter().cloned().collect();
    let (missing, foreign) = (expected.difference(&found).count(), found.difference(&expected).count());
    let twice = rows.len() - found.len();
    let what = format!(
        "of {} cells of the code lists {missing} have no row; {foreign} rows are of no cell, {twice} are there twice",
        expected.len()
    );
    let is_whole = missing + foreign + twice == 0;
    Ok((!is_whole).then(|| Concern { check: "keys", about: table.table.clone(), what }))
}

/// A share of a cell that was the same to the last digit in as many periods before as the bound says.
fn same_value(table: &Examined, earlier: &[Examined], gates: &Gates) -> Result<Option<Concern>, Error> {
    let most = usize::from(gates.same_periods);
    let kind = |period: &str| Period::parse(period).map(|period| period.number().0);
    let mut before: Vec<&Examined> = earlier
        .iter()
        .filter(|other| {
            other.table == table.table && kind(&other.period) == kind(&table.period) && other.period < table.period
        })
        .collect();
    before.sort_by(|a, b| b.period.cmp(&a.period));
    before.truncate(most);
    if before.len() < most {
        return Ok(None);
    }
    let mut stuck = Vec::new();
    for share in &table.shares {
        let mut same: BTreeMap<Vec<String>, f64> = values(table, share)?;
        for other in &before {
            let theirs = values(other, share)?;
            same.retain(|cell, value| theirs.get(cell).is_some_and(|other| other.total_cmp(value).is_eq()));
        }
        if !same.is_empty() {
            stuck.push(format!("{share} in {} cells", same.len()));
        }
    }
    let what = format!("a share has been the same for more than {most} periods: {}", stuck.join(", "));
    Ok((!stuck.is_empty()).then(|| Concern { check: "same-value", about: table.table.clone(), what }))
}

/// Ratings per hundred dossiers of the whole unit: of small cells nothing would be implausible.
fn response_rate(table: &Examined, gates: &Gates) -> Result<Option<Concern>, Error> {
    if !table.keys.is_empty() || !table.shares.iter().any(|share| share == derived::RESPONSE_RATE) {
        return Ok(None);
    }
    let (least, most) = (gates.response_percent_least, gates.response_percent_most);
    let is_off = |rate: &f64| *rate < f64::from(least) || *rate > f64::from(most);
    let rate = floats(table, derived::RESPONSE_RATE)?.into_iter().flatten().find(is_off);
    Ok(rate.map(|rate| Concern {
        check: "response-rate",
        about: table.table.clone(),
        what: format!("{rate} ratings for a hundred dossiers, and {least} to {most} are plausible"),
    }))
}

/// The values of a column that are there, by the cell of their row.
fn values(table: &Examined, column: &str) -> Result<BTreeMap<Vec<String>, f64>, Error> {
    if table.rows.schema_ref().column_with_name(column).is_none() {
        return Ok(BTreeMap::new());
    }
    let values = cells(table)?.into_iter().zip(floats(table, column)?);
    Ok(values.filter_map(|(cell, value)| Some((cell, value?))).collect())
}

fn cells(table: &Examined) -> Result<Vec<Vec<String>>, Error> {
    let mut cells = vec![Vec::new(); table.rows.num_rows()];
    for key in &table.keys {
        let values = Table::from_batch(table.rows.clone()).texts(key);
        let values = values.map_err(|source| Error::Column { table: table.table.clone(), source })?;
        cells.iter_mut().zip(values).for_each(|(cell, value)| cell.push(value.unwrap_or_default()));
    }
    Ok(cells)
}

fn floats(table: &Examined, column: &str) -> Result<Vec<Option<f64>>, Error> {
    let floats = Table::from_batch(table.rows.clone()).floats(column);
    floats.map_err(|source| Error::Column { table: table.table.clone(), source })
}
