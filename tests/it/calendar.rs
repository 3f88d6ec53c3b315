//! Working days, counted days, ages and months in SQL, and the calendar known on a day.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch};
use chudong::calendar::{AsOf, Rounding, add_months, civil, to_days};
use chudong::fault::Explain;
use chudong::pipeline::Pipeline;
use chudong::pipeline::calendar::DayKind;
use chudong::pipeline::reader::Faults;
use chudong::sql::engine::{Bound, given_tables};
use chudong::sql::library::{Head, parse_select};
use chudong::sql::{Engine, Misuse, Model, Units};
use chudong::tables::{Table, TableName};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};
use proptest::prelude::*;

use crate::support::world::World;

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

#[tokio::test]
async fn what_has_no_answer_is_an_error_that_names_the_function_or_the_year() {
    let engine = engine(TONIGHT);
    let mut said = Vec::new();
    for expression in [
        "next_working_day(date '2028-01-01')",
        "is_working_day(date '2023-12-31')",
        "add_working_days(date '2027-12-31', 1)",
        "add_working_days(date '2024-01-02', -1)",
        "add_working_days(date '2026-01-05', 9223372036854775807)",
        "add_working_days(date '2026-01-05', -9223372036854775808)",
        "working_days_between(date '2026-01-05', date '2030-01-05')",
        "days_from_day_after(date '2026-01-05', 9223372036854775807)",
        "add_months(date '2026-01-31', 1, 'error')",
        "add_months(date '2026-01-31', 1, 'round')",
        "add_months(date '2026-01-31', 9223372036854775807, 'clamp')",
        "lunar_to_solar(2026, 6, 1, true)",
        "solar_to_lunar(date '1899-12-31')",
    ] {
        let error = engine.query(&format!("select {expression}"), None).await.unwrap_err();
        said.push(format!("{expression}\n  {error}"));
    }
    insta::assert_snapshot!("no_answer", said.join("\n"));
}

#[tokio::test]
async fn a_model_that_needs_a_year_without_a_file_is_told_which_file_to_write() {
    let engine = engine(TONIGHT);
    let text = "select next_working_day(date '2028-01-01') as due_on";
    let model = model(text);
    let fault = engine.build(&model, &Bound::new(), None).await.unwrap_err().fault();
    insta::assert_snapshot!("no_calendar", fault);
}

#[tokio::test]
async fn a_day_is_known_from_the_day_it_was_decided() {
    // The swap of 2 January 2026 was decided on 25 December 2025.
    let second = "is_working_day(date '2026-01-02')";
    assert_eq!(value(&engine(date(2025, 12, 24)), second).await.as_deref(), Some("true"));
    assert_eq!(value(&engine(date(2025, 12, 25)), second).await.as_deref(), Some("false"));
    // Tết is what the lunar year says, its fifth day what the notice of 16 October 2025 says.
    let tet = "next_working_day(date '2026-02-16')";
    assert_eq!(value(&engine(date(2025, 10, 15)), tet).await.as_deref(), Some("2026-02-20"));
    assert_eq!(value(&engine(date(2025, 10, 16)), tet).await.as_deref(), Some("2026-02-23"));
    // A year is known from the first of January of the year before.
    let early = engine(date(2025, 12, 31)).query("select is_working_day(date '2027-01-04')", None).await;
    assert!(early.unwrap_err().to_string().contains("2027"));
    assert_eq!(value(&engine(date(2026, 1, 1)), "is_working_day(date '2027-01-04')").await.as_deref(), Some("true"));
    assert!(Engine::new().unwrap().query("select is_working_day(date '2026-01-05')", None).await.is_err());
}

#[test]
fn what_is_assumed_says_so() {
    let calendar = pipeline().calendar;
    let is_assumed = |on, known_on| calendar.day(on, known_on).map(|day| day.is_assumed);
    assert_eq!(is_assumed(date(2027, 2, 5), TONIGHT), Some(true));
    assert_eq!(is_assumed(date(2027, 4, 30), TONIGHT), Some(false));
    assert_eq!(is_assumed(date(2027, 4, 29), TONIGHT), None);
    // What the notice of 16 October 2025 says of Tết was assumed on the day before it.
    assert_eq!(is_assumed(date(2026, 2, 17), date(2025, 10, 15)), Some(true));
    assert_eq!(is_assumed(date(2026, 2, 17), date(2025, 10, 16)), Some(false));
    assert_eq!(is_assumed(date(2026, 2, 17), date(2024, 12, 31)), None);
}

/// A day that was decided otherwise keeps what was known of it: a replay sees the old one up to the evening before.
#[tokio::test]
async fn a_day_that_is_decided_otherwise_changes_no_replay() {
    let world = World::of("binh-minh");
    let year = "pipelines/law/calendar/2027.toml";
    let read = || {
        let faults = Faults::default();
        let calendar = chudong::pipeline::catalogue(&world.root(), &faults).calendar;
        let said: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
        (calendar, said)
    };
    // The notice comes on 1 December 2026: Tết ends a day earlier and begins a day earlier, and 3 September is worked.
    let text = std::fs::read_to_string(world.root().join(year)).unwrap();
    let blocks: Vec<&str> = text.split("[[day]]\n").collect();
    let of = |on: &str| blocks.iter().position(|block| block.starts_with(&format!("on = {on}\n"))).unwrap();
    let mut written: Vec<String> = blocks.iter().map(|block| (*block).to_owned()).collect();
    for on in ["2027-02-09", "2027-09-03"] {
        written[of(on)] = written[of(on)].replace("confidence", "replaced_on = 2026-12-01\nconfidence");
    }
    let added = blocks[of("2027-02-09")].replace("2027-02-09", "2027-02-04").replace("assumed", "A");
    written.push(added.replace("confidence", "enacted_on = 2026-12-01\nconfidence"));
    world.put(year, written.join("[[day]]\n").as_bytes());
    let (calendar, said) = read();
    assert_eq!(said, [""; 0]);
    let days = [date(2027, 2, 4), date(2027, 2, 9), date(2027, 9, 3)];
    let working = |known_on| {
        let known = calendar.known_on(known_on);
        days.map(|day| known.is_working(to_days(day)).unwrap())
    };
    assert_eq!(working(date(2026, 11, 30)), [true, false, false]);
    assert_eq!(working(date(2026, 12, 1)), [false, true, true]);
    assert!(calendar.tet(date(2026, 11, 30)).contains(&days[1]) && !calendar.tet(date(2026, 12, 1)).contains(&days[1]));
    // The old and the new stand beside each other; where both would be known at once, one of them is wrong.
    for (replaced_on, code) in [("2026-12-02", "calendar.twice"), ("2025-12-31", "calendar.replaced-before")] {
        let again = written[of("2027-09-03")].replace("replaced_on = 2026-12-01\n", "enacted_on = 2026-12-01\n");
        let old = written.join("[[day]]\n").replace("2026-12-01", replaced_on);
        world.put(year, format!("{old}\n[[day]]\n{again}").as_bytes());
        let (_, said) = read();
        assert!(said.iter().any(|fault| fault.contains(code)), "{said:?}");
    }
}

#[tokio::test]
async fn months_quarters_and_years_reach_three_years_back_and_two_ahead() {
    let engine = Engine::new().unwrap();
    for (name, table) in given_tables(&pipeline(), AsOf::new(TONIGHT)) {
        engine.register(&name, &table).unwrap();
    }
    // The longest notice of the agency reaches into 2027.
    for (table, count, first) in
        [("months", 84, "2023-01-31"), ("quarters", 28, "2023-03-31"), ("years", 7, "2023-12-31")]
    {
        let select = format!("select last_day from calendar.{table} order by first_day");
        let days = texts(&engine, &select).await;
        assert_eq!((days.len(), days[0].as_deref()), (count, Some(first)), "{table}");
        assert_eq!(days[count - 1].as_deref(), Some("2029-12-31"));
        // Each begins the day after the one before it ends.
        let gaps = format!(
            "select count(*) from calendar.{table} a where a.first_day > date '2023-01-01'
             and not exists (select 1 from calendar.{table} b where b.last_day = before_day(a.first_day))"
        );
        assert_eq!(texts(&engine, &gaps).await, [Some("0".to_owned())]);
    }
}

// ---- the functions against the same questions asked day by day ---------------------

/// The answers by walking over the days, one by one, with what the files say of each.
struct Walk(BTreeMap<Date, DayKind>);

impl Walk {
    fn new() -> Self {
        let years = pipeline().calendar.years;
        Walk(years.iter().flat_map(|year| &year.days).map(|day| (day.on, day.kind)).collect())
    }

    fn is_working(&self, day: Date) -> bool {
        match self.0.get(&day) {
            Some(kind) => *kind == DayKind::WorkingDay,
            None => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
        }
    }

    /// The first working day from a day on, in steps of a day.
    fn first(&self, mut day: Date, step: i64) -> Date {
        while !self.is_working(day) {
            day = moved(day, step);
        }
        day
    }

    fn add(&self, mut day: Date, number: i64) -> Date {
        for _ in 0..number.abs() {
            day = self.first(moved(day, number.signum()), number.signum());
        }
        day
    }

    fn between(&self, from: Date, to: Date) -> i64 {
        if to < from {
            return -self.between(to, from);
        }
        from.series(1.day()).skip(1).take_while(|day| *day <= to).filter(|day| self.is_working(*day)).count() as i64
    }

    /// What a function should give; none for an unknown function.
    fn answer(&self, function: &str, day: Date, other: Date, number: i64) -> String {
        let months = |rounding| add_months(day, number, rounding).unwrap();
        let answer = match function {
            "next_working_day(d)" => self.first(day, 1),
            "previous_working_day(d)" => self.first(day, -1),
            "add_working_days(d, n)" => self.add(day, number),
            "days_from_day(d, n)" => moved(day, number - 1),
            "days_from_day_after(d, n)" => moved(day, number),
            "before_day(d)" => day.yesterday().unwrap(),
            "on_day(d)" => day,
            "last_day_of_month(d)" => day.last_of_month(),
            "add_months(d, n, 'clamp')" => months(Rounding::Clamp),
            "add_months(d, n, 'roll')" => months(Rounding::Roll),
            "is_working_day(d)" => return self.is_working(day).to_string(),
            "working_days_between(d, e)" => return self.between(day, other).to_string(),
            "age_on(d, e)" => {
                let birthday = |years: i64| add_months(day, years * 12, Rounding::Clamp).unwrap();
                let years = (-5..5_i64).take_while(|years| birthday(*years) <= other).last();
                return years.unwrap().to_string();
            }
            _ => panic!("{function}"),
        };
        answer.to_string()
    }
}

fn moved(day: Date, days: i64) -> Date {
    day.checked_add(jiff::Span::new().days(days)).unwrap()
}

const FUNCTIONS: [&str; 13] = [
    "next_working_day(d)",
    "previous_working_day(d)",
    "add_working_days(d, n)",
    "days_from_day(d, n)",
    "days_from_day_after(d, n)",
    "before_day(d)",
    "on_day(d)",
    "last_day_of_month(d)",
    "add_months(d, n, 'clamp')",
    "add_months(d, n, 'roll')",
    "is_working_day(d)",
    "working_days_between(d, e)",
    "age_on(d, e)",
];

type Given = (Option<Date>, Option<Date>, Option<i64>);

/// Days with two months of data on either side, month ends and holidays often among them.
fn days() -> impl Strategy<Value = Date> {
    let any = (0..1_300_i64).prop_map(|days| moved(date(2024, 3, 1), days));
    let ends = any.clone().prop_map(|day| day.last_of_month());
    let tet = (0..20_i64).prop_map(|days| moved(date(2026, 2, 8), days));
    prop_oneof![3 => any, 1 => ends, 1 => tet]
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let row = (prop::option::of(days()), prop::option::of(days()), prop::option::of(-20..20_i64));
    prop::collection::vec(row, 1..60)
}

fn registered(rows: &[Given]) -> Engine {
    let dates = |each: fn(&Given) -> Option<Date>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| each(row).map(to_days)).collect::<Date32Array>())
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("i", Arc::new((0..rows.len() as i64).map(Some).collect::<Int64Array>()) as ArrayRef, true),
        ("d", dates(|row| row.0), true),
        ("e", dates(|row| row.1), true),
        ("n", Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()), true),
    ]);
    let engine = engine(TONIGHT);
    engine.register(&TableName::new("given", "rows"), &Table::from_batch(batch.unwrap())).unwrap();
    engine
}

/// An argument as it stands in a select: the column, or the value of one row.
fn written(function: &str, row: Option<&Given>) -> String {
    let Some((day, other, number)) = row else { return function.to_owned() };
    let day_text = |day: &Option<Date>| day.map_or("cast(null as date)".into(), |day| format!("date '{day}'"));
    let (name, arguments) = function.split_once('(').unwrap();
    let arguments = arguments.trim_end_matches(')').split(", ").map(|argument| match argument {
        "d" => day_text(day),
        "e" => day_text(other),
        "n" => number.map_or("cast(null as bigint)".into(), |number| number.to_string()),
        other => other.to_owned(),
    });
    format!("{name}({})", arguments.collect::<Vec<_>>().join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::support::cases(12)))]

    #[test]
    fn columns_single_values_and_nulls_give_what_a_walk_over_the_days_gives(rows in given()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (walk, engine) = (Walk::new(), registered(&rows));
        let first = rows.first().unwrap();
        let (mut expressions, mut answers) = (Vec::new(), Vec::new());
        for function in FUNCTIONS {
            let expected = |(day, other, number): &Given| {
                let needs = |word: &str| function.contains(&format!("{word},")) || function.contains(&format!("{word})"));
                let is_null = day.is_none() || (needs("e") && other.is_none()) || (needs("n") && number.is_none());
                (!is_null).then(|| {
                    walk.answer(function, day.unwrap(), other.unwrap_or_default(), number.unwrap_or_default())
                })
            };
            // A column for every argument.
            expressions.push(function.to_owned());
            answers.push(rows.iter().map(expected).collect::<Vec<_>>());
            // A column first and single values after it, and the other way round.
            let written_day = written("f(d)", Some(first)).replace("f(", "").replace(')', "");
            let is_null = first.0.is_none();
            if !is_null {
                expressions.push(written(function, Some(first)).replacen(&written_day, "d", 1));
                answers.push(rows.iter().map(|(day, ..)| expected(&(*day, first.1, first.2))).collect());
                expressions.push(function.replacen("(d", &format!("({written_day}"), 1));
                answers.push(rows.iter().map(|(_, other, number)| expected(&(first.0, *other, *number))).collect());
            }
            // Single values alone.
            expressions.push(written(function, Some(first)));
            answers.push(vec![expected(first); rows.len()]);
        }
        let columns: Vec<_> =
            expressions.iter().enumerate().map(|(n, expression)| format!("{expression} as v{n}")).collect();
        let select = format!("select {} from given.rows order by i", columns.join(", "));
        let table = runtime.block_on(engine.query(&select, None)).unwrap();
        for (n, (expression, answer)) in expressions.iter().zip(&answers).enumerate() {
            prop_assert_eq!(&table.texts(&format!("v{n}")).unwrap(), answer, "{}", expression);
        }
    }

    #[test]
    fn a_comparison_keeps_the_same_rows_when_the_planner_knows_its_preimage(
        rows in given(), day in days(), number in -20..20_i64, years in -3..4_i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let engine = registered(&rows);
        let (mut told, mut asked) = (Vec::new(), Vec::new());
        let row = (None, Some(day), Some(number));
        let calls = FUNCTIONS.iter().filter(|function| !function.contains("is_working") && !function.contains("between"));
        let calls = calls.map(|function| written(function, Some(&row)).replacen("cast(null as date)", "d", 1));
        let nested = "next_working_day(add_months(last_day_of_month(before_day(d)), 1, 'clamp'))".to_owned();
        for call in calls.chain([nested]) {
            let literal = if call.contains("age_on") { years.to_string() } else { format!("date '{day}'") };
            for op in ["=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from"] {
                told.push(format!("{call} {op} {literal}"));
                // Beside a column nothing is known beforehand.
                asked.push(format!("{call} {op} case when i >= 0 then {literal} end"));
            }
        }
        // As many in a select as it may be long.
        for (told, asked) in told.chunks(32).zip(asked.chunks(32)) {
            let both = told.iter().zip(asked).enumerate();
            let columns = both.map(|(n, (told, asked))| format!("{told} as told_{n}, {asked} as asked_{n}"));
            let select = format!("select {} from given.rows order by i", columns.collect::<Vec<_>>().join(", "));
            let table = runtime.block_on(engine.query(&select, None)).unwrap();
            for (n, told) in told.iter().enumerate() {
                let column = |name: &str| table.texts(&format!("{name}_{n}")).unwrap();
                prop_assert_eq!(column("told"), column("asked"), "{}", told);
            }
        }
    }
}

/// The comparisons of which the planner must know the preimage: those that a night filters by.
#[tokio::test]
async fn a_filter_by_a_function_becomes_one_by_the_column() {
    let engine = registered(&[(Some(TONIGHT), Some(TONIGHT), Some(1))]);
    for call in [
        "next_working_day(d)",
        "previous_working_day(d)",
        "add_working_days(d, 5)",
        "add_working_days(d, -5)",
        "days_from_day(d, 30)",
        "days_from_day_after(d, 30)",
        "before_day(d)",
        "on_day(d)",
        "last_day_of_month(d)",
        "add_months(d, 24, 'clamp')",
        "add_months(d, -1, 'roll')",
        "next_working_day(add_months(last_day_of_month(d), 1, 'clamp'))",
    ] {
        for condition in
            ["between date '2026-03-15' and date '2026-06-30'", "= date '2026-03-31'", "in (date '2026-03-31')"]
        {
            let plan = engine.explain(&format!("select i from given.rows where {call} {condition}")).await.unwrap();
            let name = call.split('(').next().unwrap();
            assert!(!plan.contains(&format!("{name}(")), "{call} {condition}\n{plan}");
            assert!(plan.contains("d@1 >="), "{plan}");
        }
    }
    for condition in [
        "age_on(d, date '2026-11-22') >= 60",
        "18 > age_on(d, date '2026-11-22')",
        "age_on(d, date '2026-11-22') between 14 and 15",
    ] {
        let plan = engine.explain(&format!("select i from given.rows where {condition}")).await.unwrap();
        assert!(!plan.contains("age_on("), "{condition}\n{plan}");
    }
    // What 'error' refuses must still be refused.
    let refused = "select i from given.rows where add_months(d, 1, 'error') > date '2026-03-31'";
    assert!(engine.explain(refused).await.unwrap().contains("add_months("));
}

/// Whole-number dates against the library, over four centuries and at the edges of the calendar.
#[test]
fn dates_by_whole_numbers_are_those_of_the_library() {
    for day in date(1799, 12, 31).series(1.day()).take(146_200) {
        let (year, month, number) = civil::split(to_days(day));
        assert_eq!((year, month, number), (day.year().into(), day.month().into(), day.day().into()));
        assert_eq!(civil::join(year, month, number), Some(to_days(day)));
        assert_eq!(civil::last_day_of_month(to_days(day)), Some(to_days(day.last_of_month())));
    }
    for (day, months) in [(Date::MIN, -1), (Date::MAX, 1), (Date::MAX, i64::MAX), (Date::MIN, i64::MIN)] {
        assert_eq!(civil::add_months(to_days(day), months, Rounding::Clamp), None);
        assert_eq!(add_months(day, months, Rounding::Clamp), None);
    }
    assert_eq!(civil::add_months(i32::MAX, 0, Rounding::Clamp), None);
    assert_eq!(civil::age_on(i32::MIN, i32::MAX), 11_759_221);
}

proptest! {
    #[test]
    fn months_by_whole_numbers_are_those_of_the_library(day in -800_000..800_000_i32, months in -3_000..3_000_i64) {
        let date = chudong::calendar::from_days(day).unwrap();
        for rounding in [Rounding::Clamp, Rounding::Roll, Rounding::Error] {
            let expected = add_months(date, months, rounding).map(to_days);
            prop_assert_eq!(civil::add_months(day, months, rounding), expected);
        }
    }
}

// ---- what `check` says ---------------------------------------------------------------

/// What `check` says of an installation in which files were edited.
async fn faults(edit: impl FnOnce(&World)) -> Vec<String> {
    let world = World::of("an-binh");
    edit(&world);
    let faults = match chudong::check::check(&world.root(), "an-binh").await {
        Ok(_) => Vec::new(),
        Err(faults) => faults,
    };
    faults.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_calendar_that_contradicts_the_week_the_moon_or_itself_is_refused() {
    let said = faults(|world| {
        let year = "pipelines/law/calendar/2026.toml";
        // The Hùng Kings' day a day late, and its compensatory day with it.
        world.edit(year, "on = 2026-04-26", "on = 2026-04-25");
        world.edit(year, "on = 2026-02-17", "on = 2026-02-21");
        world.edit(year, "on = 2026-01-10", "on = 2026-01-09");
        world.edit(year, "on = 2026-08-31", "on = 2026-08-30");
        world.edit(year, "on = 2026-09-02", "on = 2026-09-01");
        world.edit(year, "on = 2026-11-24", "on = 2025-11-24");
        let wrong = std::fs::read_to_string(world.root().join("pipelines/law/calendar/2027.toml")).unwrap();
        world.put("pipelines/law/calendar/2029.toml", wrong.as_bytes());
        world.put("pipelines/law/calendar/2030.toml", wrong.replace("2027", "2030").as_bytes());
        std::fs::remove_file(world.root().join("pipelines/law/calendar/2025.toml")).unwrap();
    })
    .await;
    insta::assert_snapshot!("calendar_faults", said.join("\n"));
}

/// What `check` says of an item whose due day is computed like this.
async fn refused(due_on: &str) -> String {
    let said = faults(|world| {
        let path = "sql/obligations/driving_licence.sql";
        world.edit(
            path,
            "add_months(licences.issued_on, terms.value, 'clamp') as due_on",
            &format!("{due_on} as due_on"),
        );
    })
    .await;
    assert_eq!(said.len(), 1, "{said:?}");
    said.join("\n")
}

fn model(text: &str) -> Model {
    Model {
        name: TableName::new("obligations", "far"),
        path: "sql/obligations/far.sql".into(),
        head: Head::default(),
        reads: BTreeSet::new(),
        query: parse_select(text).unwrap_or_else(|(what, _)| panic!("{text}: {what}")),
    }
}

/// What a select over the given rows does with dates that it must not.
async fn misuses(engine: &Engine, text: &str) -> Vec<Misuse> {
    let bound = Bound::from([("$as_of", TONIGHT)]);
    engine.misuses(&model(text), &bound, &Units::new()).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[tokio::test]
async fn month_arithmetic_that_names_no_rounding_is_refused() {
    let refused = refused("cast(licences.issued_on + interval '1 month' as date)").await;
    insta::assert_snapshot!("month_rounding", refused);
    let engine = registered(&[(Some(TONIGHT), Some(TONIGHT), Some(1))]);
    for wrong in [
        "select d - interval '2 years' from given.rows",
        "select interval '1 year 3 days' + d from given.rows",
        "select d + cast('1 month' as interval) from given.rows",
        "select d + '1 month'::interval from given.rows",
        "select d - (interval '1 month' + interval '2 days') from given.rows",
        "select d + interval '2 days' + interval '1 month' from given.rows",
        "select d from given.rows where case when d + interval '1 month' > $as_of then true end",
        "select d from given.rows where e > (select max(d + interval '1 month') from given.rows)",
        "with steps as (select interval '1 month' as step) select d + step from given.rows, steps",
        "select generate_series(d, e, interval '1 month') from given.rows",
        "select sum(n) over (order by d range between interval '1 month' preceding and current row) from given.rows",
    ] {
        // A frame of a window moves no date that a person is told.
        let expected = if wrong.contains("over (") { vec![] } else { vec![Misuse::MonthRounding] };
        assert_eq!(misuses(&engine, wrong).await, expected, "{wrong}");
    }
    for right in [
        "select d + interval '10 days' from given.rows",
        "select date_trunc('month', d) from given.rows",
        "select add_months(d, 1, 'clamp') + interval '1 day' from given.rows",
    ] {
        assert_eq!(misuses(&engine, right).await, [], "{right}");
    }
}

#[tokio::test]
async fn a_deadline_before_a_day_does_not_roll() {
    let refused = refused("next_working_day(before_day(licences.issued_on))").await;
    insta::assert_snapshot!("rolls_before", refused);
    let engine = registered(&[(Some(TONIGHT), Some(TONIGHT), Some(1))]);
    for wrong in [
        "select next_working_day(cast(before_day(d) as date)) from given.rows",
        "select next_working_day(coalesce(before_day(d), e)) from given.rows",
        "select next_working_day(case when d > $as_of then e else before_day(d) end) from given.rows",
        "select next_working_day(l) from (select i, before_day(d) as l from given.rows) t where i > 0",
        "with b as (select before_day(d) as l from given.rows), c as (select l as m from b union all select e from given.rows)
         select next_working_day(c.m) from c order by 1",
        "select a.i from given.rows a join (select before_day(d) as l from given.rows) b on next_working_day(b.l) = a.d",
    ] {
        assert_eq!(misuses(&engine, wrong).await, [Misuse::RollsBefore], "{wrong}");
    }
    for right in [
        "select previous_working_day(before_day(d)) from given.rows",
        "select before_day(next_working_day(d)) from given.rows",
        "select next_working_day(l) from (select before_day(d) as k, d as l from given.rows) t",
    ] {
        assert_eq!(misuses(&engine, right).await, [], "{right}");
    }
}
