//! Columns that are made of released figures and of nothing else: how many rated.
//!
//! The **response rate** is ratings per hundred dossiers of the same cell and period; its interval
//! is that of both counts at their worst together, so that it holds at least what it says. A person may rate later than
//! the dossier was counted, so a rate may exceed a hundred: a gate sees to that.
//!
//! Post-processing costs no privacy: what comes in is public already.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};

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
        counted.entry((sheet.period, sheet.breakdown())).or_insert((keys(sheet), totals(sheet)?));
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

/// The total of each row.
fn totals(sheet: &Sheet<'_>) -> Result<Vec<Total>, Error> {
    let column = |name: &str| ints(sheet, name);
    let (counts, lows, highs) = (column("count")?, column("count_low")?, column("count_high")?);
    let totals = counts.into_iter().zip(lows).zip(highs);
    Ok(totals.map(|((count, low), high)| Some((count?, low?, high?))).collect())
}

/// The columns of codes of a table, and the total of each of its rows.
type Counts = (Vec<ArrayRef>, Vec<Total>);

fn keys(sheet: &Sheet<'_>) -> Vec<ArrayRef> {
    let keys = sheet.keys().into_iter().filter(|key| *key != "period");
    keys.filter_map(|key| sheet.table.column_by_name(key).cloned()).collect()
}

/// The totals of dossiers in the order of the rows of this table. Tables of the same breakdown have the same rows in the
/// same order, and then nothing has to be looked up: a nation has a million.
fn aligned(sheet: &Sheet<'_>, (of, totals): &Counts) -> Result<Vec<Total>, Error> {
    if keys(sheet) == *of {
        return Ok(totals.clone());
    }
    let rows = |keys: &[ArrayRef]| -> Result<Vec<Vec<String>>, Error> {
        let mut rows = vec![Vec::new(); keys.first().map_or(1, |key| key.len())];
        for key in keys {
            let failed = |source| tables::Error::Type { column: "code".into(), wanted: DataType::Utf8, source };
            let texts = cast(key, &DataType::Utf8).map_err(failed).map_err(column_error(sheet))?;
            let texts = texts.as_string::<i32>().iter();
            rows.iter_mut().zip(texts).for_each(|(row, text)| row.push(text.unwrap_or_default().to_owned()));
        }
        Ok(rows)
    };
    let known: BTreeMap<Vec<String>, Total> = rows(of)?.into_iter().zip(totals.iter().copied()).collect();
    Ok(rows(&keys(sheet))?.iter().map(|row| known.get(row).copied().flatten()).collect())
}

fn add_response_rate(sheet: &mut Sheet<'_>, dossiers: &Counts) -> Result<(), Error> {
    let ratings = totals(sheet)?;
    let dossiers = aligned(sheet, dossiers)?;
    let percent = |part: i64, whole: i64| match whole {
        ..=0 => None,
        whole => Some((part as f64 / whole as f64 * 1000.0).round() / 10.0),
    };
    let rate = |end: End| -> ArrayRef {
        let rates = ratings.iter().zip(&dossiers).map(|(ratings, dossiers)| {
            let (part, whole) = end((*ratings)?, (*dossiers)?);
            percent(part, whole)
        });
        Arc::new(Float64Array::from_iter(rates))
    };
    let point = rate(|ratings, dossiers| (ratings.0, dossiers.0));
    let low = rate(|ratings, dossiers| (ratings.1, dossiers.2));
    let high = rate(|ratings, dossiers| (ratings.2, dossiers.1));
    // Without a rating shown there is no response rate, and the dossiers stand in their own table.
    let shown = ratings.iter().zip(&dossiers).map(|(ratings, dossiers)| ratings.and(*dossiers).map(|total| total.0));
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
