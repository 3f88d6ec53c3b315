//! `sql/satisfaction/ratings.sql` and `sql/quality/dossiers.sql` give the columns that bounding reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use chudong::pipeline::reader::Faults;
use chudong::sql::Engine;
use chudong::tables::{Table, TableName};
use jiff::civil::date;

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

/// Steps of these dossiers: none.
fn steps() -> RecordBatch {
    batch(vec![("dossier_id", texts(&[])), ("status", ints(&[])), ("happened_on", dates(&[]))])
}

/// Runs a file of `sql/` on the tables above, with these requests for supplements: dossier, asked on, completed on.
fn run_with(file: &str, supplements: &[[&str; 3]]) -> Table {
    let column = |place: usize| supplements.iter().map(|row| row[place]).collect::<Vec<_>>();
    let supplements = batch(vec![
        ("dossier_id", texts(&column(0))),
        ("requested_on", dates(&column(1))),
        ("completed_on", dates(&column(2))),
    ]);
    let faults = Faults::default();
    let pipeline = chudong::pipeline::read(crate::root(), "an-binh", &faults).unwrap();
    let engine = Engine::with_calendar(pipeline.calendar.known_on(date(2026, 11, 20))).unwrap();
    for (schema, name, rows) in [
        ("staging", "dossiers", dossiers()),
        ("staging", "dossier_steps", steps()),
        ("staging", "dossier_supplements", supplements),
        ("staging", "ratings", ratings()),
        ("codes", "procedures", procedures()),
    ] {
        engine.register(&TableName::new(schema, name), &Table::from_batch(rows)).unwrap();
    }
    let text = std::fs::read_to_string(crate::root().join(file)).unwrap();
    let order = if file.ends_with("ratings.sql") { "level" } else { "record_id" };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(engine.query(&format!("select * from ({text}) as made order by {order}"), None)).unwrap()
}

fn run(file: &str) -> Table {
    run_with(file, &[])
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

/// On time is what it is on the sheet of Decision 766: a pause moves the due day as far as the end, two requests are late.
#[test]
fn a_published_dossier_is_on_time_as_the_business_rules_say() {
    let on_time = |supplements: &[[&str; 3]]| -> Vec<String> {
        let table = run_with("sql/quality/dossiers.sql", supplements);
        let ids = table.texts("record_id").unwrap().into_iter().flatten();
        let is_on_time = table.bools("is_on_time").unwrap();
        ids.zip(is_on_time).filter(|(_, is_it)| *is_it == Some(true)).map(|(id, _)| id).collect()
    };
    // d7 is due in November; d2 was finished on 6 October, a day late; d3 is open.
    assert_eq!(on_time(&[]), ["d1", "d7"]);
    assert_eq!(on_time(&[["d2", "2026-10-02", "2026-10-05"]]), ["d1", "d2", "d7"], "one working day of waiting");
    assert_eq!(on_time(&[["d2", "2026-10-06", "2026-10-27"]]), ["d1", "d7"], "asked for when it was late");
    assert_eq!(on_time(&[["d2", "2026-10-07", "2026-10-27"]]), ["d1", "d7"], "asked for after its end");
    let twice = [["d1", "2026-10-01", "2026-10-02"], ["d1", "2026-10-02", "2026-10-05"]];
    assert_eq!(on_time(&twice), ["d7"], "more than one request is late");
    let after = [["d1", "2026-10-01", "2026-10-02"], ["d1", "2026-10-06", "2026-10-27"]];
    assert_eq!(on_time(&after), ["d1", "d7"], "the second came after the end");
    assert_eq!(on_time(&[["d3", "2026-10-30", ""]]), ["d1", "d3", "d7"], "it waits for its only supplement");
    assert_eq!(on_time(&[["d3", "2026-10-30", "2026-11-09"]]), ["d1", "d3", "d7"], "November is not seen");
    assert_eq!(on_time(&[["d3", "2026-11-02", "2026-11-09"]]), ["d1", "d7"], "asked for after its month");
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
