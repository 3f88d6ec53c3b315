//! Ratings and dossiers of the tests: a builder, a key, the sample agency's policy.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use chudong::disclosure::{Error, Month, Request};
use chudong::personal::PseudonymKey;
use chudong::pipeline::blind::{Blind, Proof, Question, Scale};
use chudong::pipeline::reader::Faults;
use chudong::pipeline::{self, PrivacyPolicy, ProcedureGroup, Unit};
use chudong::satisfaction::intake::{self, Form, Proofs, Taken};
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
    let rated = ratings_bounded(policy.ratings_per_person, (&unit, &groups), rated).0;
    Request::new(october(), policy, &unit, &groups, &rated, &dossiers(handled), &key())
}

/// Ratings as the sample agency's policy bounds them.
pub fn ratings(rows: &[Row]) -> Table {
    let (policy, unit, groups) = sample();
    ratings_bounded(policy.ratings_per_person, (&unit, &groups), rows).0
}

/// The way of an answer: each record is a finished dossier of its person, rated once. The rows of
/// `satisfaction.ratings`, and what was taken in.
pub fn ratings_bounded(per_person: u32, (unit, groups): (&Unit, &[ProcedureGroup]), rows: &[Row]) -> (Table, Taken) {
    let levels: Int64Array = rows.iter().map(|row| Some(row.value)).collect();
    let numbers: StringArray = rows.iter().map(|row| Some(format!("r{}", row.record))).collect();
    let days: Date32Array = rows.iter().map(|_| Some(20_400)).collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("dossier", Arc::new(numbers)), ("level", Arc::new(levels)), ("day", Arc::new(days))];
    let answers = Table::from_batch(RecordBatch::try_from_iter(columns).unwrap());
    let blind = Blind {
        proof: Proof::Dossier { column: "dossier".into() },
        answered_on: "day".into(),
        questions: vec![(Question::Overall, "level".into())],
        scale: Scale::Five,
        answers: BTreeMap::new(),
        counts_as: Vec::new(),
        text: None,
        commune: None,
    };
    let codes = (
        unit.communes.iter().map(|commune| commune.code.clone()).collect(),
        groups.iter().map(|group| group.id.clone()).collect(),
    );
    let proofs = Proofs {
        finished: &finished(rows),
        tokens: &HashMap::new(),
        months: &["2026-09", "2026-10"].map(str::to_owned).into(),
        codes: (&codes.0, &codes.1),
        per_person,
        key: &key(),
    };
    let taken = intake::take(&[Form { blind: &blind, rows: &answers }], &proofs).unwrap();
    let counts = taken.months.iter().map(|(month, of)| (month.as_str(), &of.counts));
    (counted(&chudong::satisfaction::counts::table(counts).unwrap()), taken)
}

/// What `sql/satisfaction/ratings.sql` does.
fn counted(staged: &Table) -> Table {
    let batch = staged.to_batch().unwrap();
    let mask = staged.bools("is_counted").unwrap();
    let mask: BooleanArray = mask.into_iter().collect();
    Table::from_batch(filter_record_batch(&batch, &mask).unwrap())
}

fn finished(rows: &[Row]) -> Table {
    let texts = |of: fn(&Row) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let columns = vec![
        ("dossier_id", texts(|row| format!("r{}", row.record))),
        ("subject_id", texts(|row| format!("p{}", row.person))),
        ("month", texts(|row| row.month.to_owned())),
        ("commune_code", texts(|row| row.commune.clone())),
        ("procedure_group", texts(|row| row.group.to_owned())),
    ];
    Table::from_batch(RecordBatch::try_from_iter(columns).unwrap())
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
