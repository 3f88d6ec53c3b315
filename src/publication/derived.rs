//! Columns that are made of released figures and of nothing else: how many rated.
//!
//! The **response rate** is ratings per hundred dossiers of the same cell and period; its interval
//! is that of both counts at their worst together, so that it holds at least what it says. A person may rate later than
//! the dossier was counted, so a rate may exceed a hundred: a gate sees to that.
//!
//! Post-processing costs no privacy: what comes in is public already.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Schema};

use super::{Error, Sheet};
use crate::disclosure::{ColumnKind, ColumnSheet};
use crate::language::Text;
use crate::pipeline::Counted;
use crate::tables::{self, Table};

/// The dossiers to which the ratings of a cell are compared.
pub(super) const DOSSIERS: &str = "dossiers";
/// Ratings per hundred dossiers; `_low` and `_high` are the ends of its interval.
pub(super) const RESPONSE_RATE: &str = "response_rate_percent";

/// Adds to each table of ratings the response rate, from the table of dossiers of the same cells and period.
pub(super) fn add(sheets: &mut [Sheet<'_>]) -> Result<(), Error> {
    let mut counted = BTreeMap::new();
    for sheet in sheets.iter().filter(|sheet| counts(sheet, Counted::Dossiers)) {
        counted.entry((sheet.period, sheet.breakdown())).or_insert(totals(sheet)?);
    }
    for sheet in sheets.iter_mut().filter(|sheet| counts(sheet, Counted::Ratings)) {
        if let Some(dossiers) = counted.get(&(sheet.period, sheet.breakdown())) {
            add_response_rate(sheet, dossiers)?;
        }
    }
    Ok(())
}

fn counts(sheet: &Sheet<'_>, of: Counted) -> bool {
    sheet.noise.is_some_and(|noise| noise.of == of)
}

/// A count and the ends of its interval.
type Spread = (i64, i64, i64);

/// The total of a cell, where it is shown.
type Total = Option<Spread>;

/// Which of the counts of ratings and of dossiers are the part and the whole of a rate.
type End = fn(Spread, Spread) -> (i64, i64);

/// The counts of each cell, by the values of its dimensions.
fn totals(sheet: &Sheet<'_>) -> Result<BTreeMap<Vec<String>, Total>, Error> {
    let column = |name: &str| ints(sheet, name);
    let (counts, lows, highs) = (column("count")?, column("count_low")?, column("count_high")?);
    let totals = counts.into_iter().zip(lows).zip(highs).map(|((count, low), high)| Some((count?, low?, high?)));
    Ok(cells(sheet)?.into_iter().zip(totals).collect())
}

/// The values of the dimensions, row by row.
pub(super) fn cells(sheet: &Sheet<'_>) -> Result<Vec<Vec<String>>, Error> {
    let mut cells = vec![Vec::new(); sheet.table.num_rows()];
    for key in sheet.keys().into_iter().filter(|key| *key != "period") {
        let values = Table::from_batch(sheet.table.clone()).texts(key).map_err(column_error(sheet))?;
        cells.iter_mut().zip(values).for_each(|(cell, value)| cell.push(value.unwrap_or_default()));
    }
    Ok(cells)
}

fn add_response_rate(sheet: &mut Sheet<'_>, dossiers: &BTreeMap<Vec<String>, Total>) -> Result<(), Error> {
    let cells = cells(sheet)?;
    let ratings = totals(sheet)?;
    let of = |totals: &BTreeMap<Vec<String>, Total>, cell: &Vec<String>| totals.get(cell).copied().flatten();
    let percent = |part: i64, whole: i64| match whole {
        ..=0 => None,
        whole => Some((part as f64 / whole as f64 * 1000.0).round() / 10.0),
    };
    let rate = |end: End| -> ArrayRef {
        let rates = cells.iter().map(|cell| {
            let (part, whole) = end(of(&ratings, cell)?, of(dossiers, cell)?);
            percent(part, whole)
        });
        Arc::new(Float64Array::from_iter(rates))
    };
    let point = rate(|ratings, dossiers| (ratings.0, dossiers.0));
    let low = rate(|ratings, dossiers| (ratings.1, dossiers.2));
    let high = rate(|ratings, dossiers| (ratings.2, dossiers.1));
    // Without a rating shown there is no response rate, and the dossiers stand in their own table.
    let shown = cells.iter().map(|cell| of(&ratings, cell).and(of(dossiers, cell)).map(|total| total.0));
    let shown: ArrayRef = Arc::new(Int64Array::from_iter(shown));
    let records = Text::new("hồ sơ", "dossiers");
    let about = Text::new(
        "Số hồ sơ của cùng ô và kỳ, đã cộng nhiễu: mẫu số của tỷ lệ phản hồi",
        "Dossiers of the same cell and period, with noise: the denominator of the response rate",
    );
    let title = Text::new("Hồ sơ", "Dossiers");
    append(sheet, (DOSSIERS, ColumnKind::Count), title, records, about, shown)?;
    let about = |vi: &str, en: &str| Text::new(vi, en);
    let columns = [
        (point, "", ColumnKind::Share, about("Lượt đánh giá trên 100 hồ sơ", "Ratings per 100 dossiers")),
        (
            low,
            "_low",
            ColumnKind::Low,
            about("Đầu dưới khoảng của tỷ lệ phản hồi", "Lower end of the interval of the response rate"),
        ),
        (
            high,
            "_high",
            ColumnKind::High,
            about("Đầu trên khoảng của tỷ lệ phản hồi", "Upper end of the interval of the response rate"),
        ),
    ];
    for (values, end, kind, about) in columns {
        let name = format!("{RESPONSE_RATE}{end}");
        let title = Text::new("Tỷ lệ phản hồi", "Response rate");
        append(sheet, (&name, kind), title, Text::new("%", "%"), about, values)?;
    }
    Ok(())
}

fn append(
    sheet: &mut Sheet<'_>,
    (name, kind): (&str, ColumnKind),
    title: Text,
    unit: Text,
    meaning: Text,
    values: ArrayRef,
) -> Result<(), Error> {
    let mut fields: Vec<Arc<Field>> = sheet.table.schema_ref().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(name, values.data_type().clone(), true)));
    let mut columns = sheet.table.columns().to_vec();
    columns.push(values);
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    sheet.table = table.map_err(|source| Error::Derive { table: sheet.name.to_owned(), source })?;
    sheet.columns.push(ColumnSheet { name: name.to_owned(), kind, title, unit, meaning });
    Ok(())
}

fn ints(sheet: &Sheet<'_>, column: &str) -> Result<Vec<Option<i64>>, Error> {
    Table::from_batch(sheet.table.clone()).ints(column).map_err(column_error(sheet))
}

fn column_error(sheet: &Sheet<'_>) -> impl FnOnce(tables::Error) -> Error {
    let table = sheet.name.to_owned();
    move |source| Error::Column { table, source }
}
