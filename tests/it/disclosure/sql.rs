//! `sql/satisfaction/ratings.sql` and `sql/quality/dossiers.sql` give the columns that bounding reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use chudong::tables::Table;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

/// Dossiers of October: on time, a day late, unfinished, refused, withdrawn, without a due day, of an unknown procedure.
fn dossiers() -> RecordBatch {
    let finished = ["2026-10-05", "2026-10-06", "", "2026-10-01", "2026-10-01", "2026-10-01", "2026-10-01"];
    let due = ["2026-10-05", "2026-10-05", "2026-10-31", "2026-10-05", "2026-10-05", "", "2026-11-01"];
    let procedures = ["1.001193", "1.001193", "1.004194", "1.001193", "1.001193", "1.001193", "9.999999"];
    batch(vec![
        ("dossier_id", texts(&["d1", "d2", "d3", "d4", "d5", "d6", "d7"])),
        ("subject_id", texts(&["p1", "p1", "p2", "p2", "p3", "p3", "p4"])),
        ("procedure_code", texts(&procedures)),
        ("commune_code", texts(&["97001"; 7])),
        ("channel", ints(&[Some(2), Some(1), None, Some(2), Some(2), Some(2), Some(3)])),
        ("status", ints(&[10, 10, 4, 3, 7, 9, 9].map(Some))),
        ("due_on", dates(&due)),
        ("finished_on", dates(&finished)),
    ])
}

/// Counted and not, of five levels and of three, of another question, without proof; one of an unknown procedure.
fn ratings() -> RecordBatch {
    batch(vec![
        ("month", texts(&["2026-10", "2026-10", "2026-10", "2026-10", "2026-10", "2026-10"])),
        ("commune_code", texts(&["97001", "97001", "97001", "97001", "97001", "97001"])),
        (
            "procedure_group",
            texts(&["civil_status", "civil_status", "", "civil_status", "civil_status", "civil_status"]),
        ),
        ("question", texts(&["overall", "overall", "overall", "overall", "attitude", "overall"])),
        ("scale", ints(&[5, 5, 5, 3, 5, 5].map(Some))),
        ("level", ints(&[5, 5, 1, 3, 1, 1].map(Some))),
        ("proof", texts(&["dossier", "token", "dossier", "dossier", "dossier", "none"])),
        ("is_counted", Arc::new(BooleanArray::from(vec![true, true, true, true, true, false]))),
        ("ratings", ints(&[1, 2, 4, 8, 16, 32].map(Some))),
    ])
}

fn procedures() -> RecordBatch {
    batch(vec![
        ("procedure_code", texts(&["1.001193", "1.004194"])),
        ("procedure_group", texts(&["civil_status", "identity_and_residence"])),
    ])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(values.iter().map(|text| (!text.is_empty()).then_some(*text)).collect::<StringArray>())
}

fn ints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<Int64Array>())
}

fn dates(values: &[&str]) -> ArrayRef {
    cast(&texts(values), &DataType::Date32).unwrap()
}

/// Runs a file of `sql/` on the tables above.
#[expect(
    clippy::disallowed_methods,
    reason = "the test reads two plain files, in a session of its own without functions of ours"
)]
fn run(file: &str) -> Table {
    let order = if file.ends_with("ratings.sql") { "level" } else { "record_id" };
    let session = SessionContext::new();
    let catalog = session.catalog("datafusion").unwrap();
    let (staging, codes) = (MemorySchemaProvider::new(), MemorySchemaProvider::new());
    for (schema, name, rows) in
        [(&staging, "dossiers", dossiers()), (&staging, "ratings", ratings()), (&codes, "procedures", procedures())]
    {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
        schema.register_table(name.to_owned(), Arc::new(table)).unwrap();
    }
    catalog.register_schema("staging", Arc::new(staging)).unwrap();
    catalog.register_schema("codes", Arc::new(codes)).unwrap();
    let text = std::fs::read_to_string(crate::root().join(file)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batches = runtime.block_on(async {
        session.sql(&text).await.unwrap().sort_by(vec![datafusion::prelude::col(order)]).unwrap().collect().await
    });
    let batches = batches.unwrap();
    Table { schema: batches[0].schema(), batches }
}

#[test]
fn ratings_sql_gives_the_counted_ratings_of_five_levels_by_month_and_cell() {
    let table = run("sql/satisfaction/ratings.sql");
    insta::assert_snapshot!(pretty_format_batches(&table.batches).unwrap());
}

#[test]
fn dossiers_sql_gives_each_due_dossier_its_handling() {
    let table = run("sql/quality/dossiers.sql");
    insta::assert_snapshot!(pretty_format_batches(&table.batches).unwrap());
}

/// From the files to the counts: in October three ratings, one of two dossiers of p1 on time, one of p2 late.
#[test]
fn both_tables_can_be_bounded() {
    let (policy, unit, groups) = super::rows::sample();
    let (ratings, dossiers) = (run("sql/satisfaction/ratings.sql"), run("sql/quality/dossiers.sql"));
    let (month, key) = (super::rows::october(), super::rows::key());
    let request = chudong::disclosure::Request::new(month, &policy, &unit, &groups, &ratings, &dossiers, &key).unwrap();
    let of_commune = |table: &str, bins: usize| request.exact_counts(table).unwrap().reveal()[..bins].to_vec();
    assert_eq!(of_commune("satisfaction_by_commune", 5), [0, 0, 0, 0, 3]);
    assert_eq!(of_commune("service_quality_by_commune", 4), [1, 0, 0, 2]);
    assert_eq!(
        request.left_out(chudong::pipeline::Counted::Ratings).unwrap().unknown_code,
        4,
        "the ratings of a procedure in no group"
    );
}
