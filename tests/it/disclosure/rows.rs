//! Ratings and dossiers of the tests: a builder, a key, the sample agency's policy.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use chudong::disclosure::{Error, Month, Request};
use chudong::personal::PseudonymKey;
use chudong::pipeline::reader::Faults;
use chudong::pipeline::{self, PrivacyPolicy, ProcedureGroup, Unit};
use chudong::tables::Table;

/// A record of either kind: `value` is the level of a rating, or two bits of a dossier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub record: u32,
    pub person: u32,
    pub month: &'static str,
    pub commune: String,
    pub group: &'static str,
    pub value: i64,
}

pub fn row(record: u32, person: u32, commune: &str, group: &'static str, value: i64) -> Row {
    Row { record, person, month: "2026-10", commune: commune.to_owned(), group, value }
}

pub fn october() -> Month {
    "2026-10".parse().unwrap()
}

pub fn key() -> PseudonymKey {
    PseudonymKey::new([7; 32])
}

/// Policy, unit and procedure groups of the sample agency.
pub fn sample() -> (PrivacyPolicy, Unit, Vec<ProcedureGroup>) {
    let pipeline = pipeline::read(crate::root(), "an-binh", &Faults::default()).unwrap();
    (pipeline.privacy.unwrap(), pipeline.unit, pipeline.procedure_groups)
}

pub fn request(policy: &PrivacyPolicy, rated: &[Row], handled: &[Row]) -> Result<Request, Error> {
    let (_, unit, groups) = sample();
    Request::new(october(), policy, &unit, &groups, &ratings(rated), &dossiers(handled), &key())
}

pub fn ratings(rows: &[Row]) -> Table {
    let levels: Int64Array = rows.iter().map(|row| Some(row.value)).collect();
    table(rows, vec![("level", Arc::new(levels))])
}

pub fn dossiers(rows: &[Row]) -> Table {
    let bit = |bit: i64| Arc::new(rows.iter().map(|row| Some(row.value & bit != 0)).collect::<BooleanArray>());
    table(rows, vec![("is_on_time", bit(1)), ("is_online", bit(2))])
}

fn table(rows: &[Row], values: Vec<(&str, ArrayRef)>) -> Table {
    let texts = |of: fn(&Row) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let mut columns = vec![
        ("record_id", texts(|row| format!("r{}", row.record))),
        ("subject_id", texts(|row| format!("p{}", row.person))),
        ("month", texts(|row| row.month.to_owned())),
        ("commune_code", texts(|row| row.commune.clone())),
        ("procedure_group", texts(|row| row.group.to_owned())),
    ];
    columns.extend(values);
    Table::from_batch(RecordBatch::try_from_iter(columns).unwrap())
}
