//! Columns that are made of released figures and of nothing else: how far a share can be trusted, and how many rated.
//!
//! **Reliability** is told by the half width of the widest 95 % interval of a row's shares: up to 5 points `good`, up to
//! 10 `caution`, wider `poor`. **Response rate** is ratings per hundred dossiers of the same cell and period; its interval
//! is that of both counts at their worst together, so that it holds at least what it says. A person may rate later than
//! the dossier was counted, so a rate may exceed a hundred: a gate sees to that.
//!
//! Post-processing costs no privacy: what comes in is public already.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::{Error, Sheet};
use crate::disclosure::ColumnSheet;
use crate::language::Text;
use crate::pipeline::Counted;
use crate::tables::{self, Table};

/// The column of reliability.
pub(super) const RELIABILITY: &str = "reliability";
/// The dossiers to which the ratings of a cell are compared.
pub(super) const DOSSIERS: &str = "dossiers";
/// Ratings per hundred dossiers; `_low` and `_high` are the ends of its interval.
pub(super) const RESPONSE_RATE: &str = "response_rate_percent";

/// The words of [`RELIABILITY`].
pub(super) const WORDS: [&str; 3] = ["good", "caution", "poor"];

/// Half widths in points up to which a share is `good`, and `caution`.
const GOOD_POINTS: f64 = 5.0;
const CAUTION_POINTS: f64 = 10.0;

/// Adds to every table what follows from it, and to each table of ratings the response rate from that of dossiers.
pub(super) fn add(sheets: &mut [Sheet<'_>]) -> Result<(), Error> {
    for sheet in sheets.iter_mut() {
        let shares = shares(sheet);
        if !shares.is_empty() && !sheet.has(RELIABILITY) {
            add_reliability(sheet, &shares)?;
        }
    }
    let mut counted = BTreeMap::new();
    for sheet in sheets.iter().filter(|sheet| sheet.account.of == Counted::Dossiers) {
        counted.entry((sheet.period, sheet.breakdown())).or_insert(totals(sheet)?);
    }
    for sheet in sheets.iter_mut().filter(|sheet| sheet.account.of == Counted::Ratings) {
        if let Some(dossiers) = counted.get(&(sheet.period, sheet.breakdown())) {
            add_response_rate(sheet, dossiers)?;
        }
    }
    Ok(())
}

/// The stems of the shares: `satisfied_percent` of a table that has both ends of its interval.
pub(super) fn shares(sheet: &Sheet<'_>) -> Vec<String> {
    let names = sheet.table.schema_ref().fields().iter().map(|field| field.name().clone());
    let is_share = |name: &String| {
        name != RESPONSE_RATE
            && name.ends_with("_percent")
            && sheet.has(&format!("{name}_low"))
            && sheet.has(&format!("{name}_high"))
    };
    names.filter(is_share).collect()
}

fn add_reliability(sheet: &mut Sheet<'_>, shares: &[String]) -> Result<(), Error> {
    let mut widest: Vec<Option<f64>> = vec![None; sheet.table.num_rows()];
    for share in shares {
        let low = floats(sheet, &format!("{share}_low"))?;
        let high = floats(sheet, &format!("{share}_high"))?;
        for (widest, ends) in widest.iter_mut().zip(low.into_iter().zip(high)) {
            if let (Some(low), Some(high)) = ends {
                *widest = Some(widest.unwrap_or(0.0).max((high - low) / 2.0));
            }
        }
    }
    let word = |points: f64| match points {
        points if points <= GOOD_POINTS => "good",
        points if points <= CAUTION_POINTS => "caution",
        _ => "poor",
    };
    let words: StringArray = widest.iter().map(|points| points.map(word)).collect();
    let meaning = Text::new(
        "Độ tin cậy của các tỷ lệ trong dòng: \"good\" khi nửa khoảng 95 % không quá 5 điểm, \"caution\" không quá 10, \"poor\" nếu rộng hơn",
        "How far the shares of the row can be trusted: \"good\" where half of the widest 95 % interval is 5 points or less, \"caution\" up to 10, \"poor\" beyond",
    );
    append(sheet, RELIABILITY, Text::new("", ""), meaning, Arc::new(words))
}

/// Total and the ends of its interval.
type Total = Option<(i64, i64, i64)>;

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
    let rate = |end: fn((i64, i64, i64), (i64, i64, i64)) -> (i64, i64)| -> ArrayRef {
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
    append(sheet, DOSSIERS, records, about, shown)?;
    let about = |vi: &str, en: &str| Text::new(vi, en);
    let columns = [
        (point, "", about("Lượt đánh giá trên 100 hồ sơ", "Ratings per 100 dossiers")),
        (low, "_low", about("Đầu dưới khoảng của tỷ lệ phản hồi", "Lower end of the interval of the response rate")),
        (high, "_high", about("Đầu trên khoảng của tỷ lệ phản hồi", "Upper end of the interval of the response rate")),
    ];
    for (values, end, about) in columns {
        append(sheet, &format!("{RESPONSE_RATE}{end}"), Text::new("%", "%"), about, values)?;
    }
    Ok(())
}

fn append(sheet: &mut Sheet<'_>, name: &str, unit: Text, meaning: Text, values: ArrayRef) -> Result<(), Error> {
    let mut fields: Vec<Arc<Field>> = sheet.table.schema_ref().fields().iter().cloned().collect();
    let kind: DataType = values.data_type().clone();
    fields.push(Arc::new(Field::new(name, kind, true)));
    let mut columns = sheet.table.columns().to_vec();
    columns.push(values);
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    sheet.table = table.map_err(|source| Error::Derive { table: sheet.name.to_owned(), source })?;
    sheet.columns.push(ColumnSheet { name: name.to_owned(), unit, meaning });
    Ok(())
}

fn ints(sheet: &Sheet<'_>, column: &str) -> Result<Vec<Option<i64>>, Error> {
    Table::from_batch(sheet.table.clone()).ints(column).map_err(column_error(sheet))
}

pub(super) fn floats(sheet: &Sheet<'_>, column: &str) -> Result<Vec<Option<f64>>, Error> {
    Table::from_batch(sheet.table.clone()).floats(column).map_err(column_error(sheet))
}

fn column_error(sheet: &Sheet<'_>) -> impl FnOnce(tables::Error) -> Error {
    let table = sheet.name.to_owned();
    move |source| Error::Column { table, source }
}
