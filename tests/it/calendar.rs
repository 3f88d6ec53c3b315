//! Working days, counted days, ages and months in SQL, and the calendar known on a day.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use chudong::pipeline::Pipeline;
use chudong::pipeline::reader::Faults;
use chudong::sql::Engine;
use jiff::civil::{Date, date};

/// The pipeline of the repository, with its calendar.
fn pipeline() -> Pipeline {
    let faults = Faults::default();
    let pipeline = chudong::pipeline::read(crate::root(), "an-binh", &faults).unwrap();
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    pipeline
}

fn engine(known_on: Date) -> Engine {
    Engine::with_calendar(pipeline().calendar.known_on(known_on)).unwrap()
}

/// The first column of a select, as text.
async fn texts(engine: &Engine, select: &str) -> Vec<Option<String>> {
    let table = engine.query(select, None).await.unwrap_or_else(|error| panic!("{select}: {error}"));
    let name = table.schema.field(0).name().clone();
    table.texts(&name).unwrap()
}

/// The value of an expression.
async fn value(engine: &Engine, expression: &str) -> Option<String> {
    let mut values = texts(engine, &format!("select {expression} as value")).await;
    assert_eq!(values.len(), 1);
    values.remove(0)
}

/// The night on which every day of the files is known.
const TONIGHT: Date = date(2026, 11, 22);

#[tokio::test]
async fn each_function_gives_what_the_law_says() {
    let engine = engine(TONIGHT);
    let answers = [
        // 2 January is off by a swap for Saturday 10 January.
        ("is_working_day(date '2026-01-02')", "false"),
        ("is_working_day(date '2026-01-10')", "true"),
        ("is_working_day(date '2026-01-11')", "false"),
        ("next_working_day(date '2026-01-01')", "2026-01-05"),
        ("next_working_day(date '2026-01-10')", "2026-01-10"),
        // Tết, from Monday 16 to Friday 20 February.
        ("next_working_day(date '2026-02-14')", "2026-02-23"),
        ("previous_working_day(date '2026-02-22')", "2026-02-13"),
        // From the swap for 31 August to National Day.
        ("next_working_day(date '2026-08-29')", "2026-09-03"),
        ("previous_working_day(date '2026-08-23')", "2026-08-22"),
        ("add_working_days(date '2026-08-28', 1)", "2026-09-03"),
        ("add_working_days(date '2026-08-28', 0)", "2026-08-28"),
        ("add_working_days(date '2026-08-29', 0)", "2026-08-29"),
        ("add_working_days(date '2026-09-03', -1)", "2026-08-28"),
        ("add_working_days(date '2026-08-21', 5)", "2026-08-27"),
        ("working_days_between(date '2026-08-21', date '2026-08-28')", "6"),
        ("working_days_between(date '2026-08-28', date '2026-08-21')", "-6"),
        ("working_days_between(date '2026-08-21', date '2026-08-21')", "0"),
        // Over the end of a year.
        ("add_working_days(date '2026-12-31', 1)", "2027-01-04"),
        ("last_day_of_month(date '2028-02-01')", "2028-02-29"),
        ("last_day_of_month(date '2100-02-28')", "2100-02-28"),
        ("age_on(date '2004-02-29', date '2026-02-27')", "21"),
        ("age_on(date '2004-02-29', date '2026-02-28')", "22"),
        ("age_on(date '2004-02-29', date '2028-02-28')", "23"),
        ("age_on(date '2004-02-29', date '2028-02-29')", "24"),
        ("age_on(date '2004-03-01', date '2026-02-28')", "21"),
        ("age_on(date '2026-03-01', date '2026-02-28')", "-1"),
        ("days_from_day(date '2026-06-01', 30)", "2026-06-30"),
        ("days_from_day_after(date '2026-06-01', 30)", "2026-07-01"),
        ("before_day(date '2026-03-01')", "2026-02-28"),
        ("on_day(date '2026-03-01')", "2026-03-01"),
        ("add_months(date '2026-01-31', 1, 'clamp')", "2026-02-28"),
        ("add_months(date '2026-01-31', 1, 'roll')", "2026-03-01"),
        ("add_months(date '2026-01-31', -2, 'clamp')", "2025-11-30"),
        ("solar_to_lunar(date '2026-02-17')", "2026-01-01"),
        ("solar_to_lunar(date '2025-07-25')", "2025-06-01L"),
        ("lunar_to_solar(2026, 3, 10, false)", "2026-04-26"),
        ("lunar_to_solar(2025, 6, 1, true)", "2025-07-25"),
    ];
    for (expression, expected) in answers {
        assert_eq!(value(&engine, expression).await.as_deref(), Some(expected), "{expression}");
    }
}
