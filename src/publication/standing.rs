//! What stands on the shelf for others to be told of: each table in its newest form, read back from its published file.
//!
//! It is read and never written from here: whoever tells of it tells exactly what everybody can download.

use std::path::Path;

use arrow::array::RecordBatch;

use super::stock;
use super::{Error, Period};

/// What is published for one period.
#[derive(Debug, Clone)]
pub struct Standing {
    /// `2026-10`, `2026-Q3` or `2026`.
    pub period: String,
    /// `month`, `quarter` or `year`.
    pub kind: &'static str,
    /// The year.
    pub year: u16,
    /// The month or the quarter; 1 of a year.
    pub number: u8,
    /// The newest restatement among its tables; 0 where there is none.
    pub restated: u32,
    /// Its tables, in the order of their names.
    pub tables: Vec<StandingTable>,
}

/// A published table.
#[derive(Debug, Clone)]
pub struct StandingTable {
    /// Its name.
    pub name: String,
    /// `preliminary`, `final`, or none where its sheet does not say.
    pub edition: Option<String>,
    /// Where it stands, relative to the shelf: `2026-10`, `2026-10/restated-1`.
    pub place: String,
    /// Its rows.
    pub rows: RecordBatch,
}

/// The period of which a folder of the shelf is some edition; none for every other name.
pub fn period_of(folder: &str) -> Option<String> {
    stock::period_of(folder).map(|period| period.to_string())
}

/// Reads what is published for a period; none where nothing is.
///
/// # Errors
///
/// [`Error::Period`] for a text that is no period, [`Error::Stock`] and [`Error::Read`] for files that cannot be read.
pub fn standing(shelf: &Path, period: &str) -> Result<Option<Standing>, Error> {
    let wanted = Period::parse(period);
    let wanted = wanted.ok_or_else(|| Error::Period { table: "-".into(), period: period.to_owned() })?;
    let stock = stock::read(shelf)?;
    let mut tables = Vec::new();
    let mut restated = 0;
    for (place, sheet) in stock.newest().into_iter().filter(|(place, _)| place.period == wanted) {
        let rows = stock::rows(&shelf.join(&place.path).join(format!("{}.parquet", sheet.table)))?;
        restated = restated.max(place.restated);
        let (name, edition) = (sheet.table.clone(), sheet.edition.clone());
        tables.push(StandingTable { name, edition, place: place.path.clone(), rows });
    }
    let (kind, year, number) = wanted.number();
    let standing = Standing { period: period.to_owned(), kind, year, number, restated, tables };
    Ok((!standing.tables.is_empty()).then_some(standing))
}
