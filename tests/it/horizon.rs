//! A window of due dates reaches in the tables as far as the law says, and changes no answer.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use chudong::calendar::{WorkingDays, from_days, to_days};
use chudong::pipeline::reader::Faults;
use chudong::sql::Engine;
use chudong::tables::{Stored, Table, TableName};
use jiff::civil::{Date, date};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

/// A register of papers: two dates and a word, any of them empty, in row groups of eight, sorted by the first date.
type Paper = (Option<i32>, Option<i32>, &'static str);

fn calendar() -> WorkingDays {
    static KNOWN: OnceLock<WorkingDays> = OnceLock::new();
    let read = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        chudong::pipeline::catalogue(root, &Faults::default()).calendar.known_on(date(2026, 11, 22))
    };
    KNOWN.get_or_init(read).clone()
}

fn engine(folder: &Path, papers: &[Paper], law: &[i64]) -> Engine {
    let engine = Engine::with_calendar(calendar()).unwrap();
    let mut papers = papers.to_vec();
    papers.sort();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new((0..papers.len() as i64).map(Some).collect::<Int64Array>())),
        ("d1", Arc::new(papers.iter().map(|paper| paper.0).collect::<Date32Array>())),
        ("d2", Arc::new(papers.iter().map(|paper| paper.1).collect::<Date32Array>())),
        ("kind", Arc::new(papers.iter().map(|paper| Some(paper.2)).collect::<StringArray>())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let path = folder.join("papers.parquet");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(8)).build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let stored = Stored {
        schema: batch.schema(),
        base: vec![path],
        changes: None,
        key: vec!["id".into()],
        sorted_by: vec!["d1".into()],
        condition: None,
    };
    engine.register_stored(&TableName::new("register", "papers"), &stored).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(law.iter().enumerate().map(|(n, _)| Some(["a", "b", "c"][n % 3])).collect::<StringArray>())),
        ("value", Arc::new(law.iter().copied().map(Some).collect::<Int64Array>())),
        ("day", Arc::new(law.iter().map(|n| Some(20_500 + *n as i32)).collect::<Date32Array>())),
    ];
    let law = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    engine.register(&TableName::new("law", "terms"), &Table::from_batch(law)).unwrap();
    engine
}

/// A number: written, or of the law.
fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![(-30..30_i64).prop_map(|n| n.to_string()), Just("v.value".to_owned())];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), -3..4_i64).prop_map(|(n, by)| format!("({n} * {by})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            inner.clone().prop_map(|n| format!("(- {n})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("case when t.kind = 'a' then {a} else {b} end")),
        ]
    })
}

/// A date computed from those of a paper, from the law, from any of its functions that know no working days.
fn due() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => Just("t.d1".to_owned()),
        2 => Just("t.d2".to_owned()),
        1 => Just("v.day".to_owned()),
        1 => Just("cast(null as date)".to_owned()),
        1 => day().prop_map(|day| format!("date '{day}'")),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            3 => (inner.clone(), number(), prop_oneof![Just("clamp"), Just("roll")])
                .prop_map(|(d, n, word)| format!("add_months({d}, {n}, '{word}')")),
            1 => (inner.clone(), number()).prop_map(|(d, n)| format!("days_from_day({d}, {n})")),
            1 => (inner.clone(), number()).prop_map(|(d, n)| format!("days_from_day_after({d}, {n})")),
            1 => (inner.clone(), number()).prop_map(|(d, n)| format!("({d} + cast({n} as int))")),
            1 => (inner.clone(), number()).prop_map(|(d, n)| format!("({d} - cast({n} as int))")),
            1 => inner.clone().prop_map(|d| format!("last_day_of_month({d})")),
            1 => inner.clone().prop_map(|d| format!("before_day({d})")),
            1 => two().prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            1 => two().prop_map(|(a, b)| format!("least({a}, {b})")),
            1 => two().prop_map(|(a, b)| format!("greatest({a}, {b})")),
            1 => two().prop_map(|(a, b)| format!("case when t.kind = 'b' then {a} else {b} end")),
            1 => two().prop_map(|(a, b)| format!("case when t.kind = 'b' then {a} when t.id > 9 then {b} end")),
        ]
    })
}

fn day() -> impl Strategy<Value = Date> {
    (to_days(date(2019, 1, 1))..to_days(date(2030, 1, 1))).prop_map(|day| from_days(day).unwrap())
}

fn papers() -> impl Strategy<Value = Vec<Paper>> {
    let day = || proptest::option::weighted(0.9, to_days(date(2020, 1, 1))..to_days(date(2028, 12, 31)));
    prop::collection::vec((day(), day(), prop_oneof![Just("a"), Just("b"), Just("c")]), 0..60)
}

/// The plans in which an item may say it. The window stands where `{window}` does.
const PLANS: [&str; 6] = [
    "select t.id, {due} as due from register.papers t cross join law.terms v where {due} {window}",
    "with made as (select t.id, {due} as due from register.papers t join law.terms v on v.key = t.kind) \
     select * from made where due {window}",
    "with made as (select t.id, {due} as due from register.papers t left join law.terms v on v.key = t.kind) \
     select * from made where due {window}",
    "with made as (select t.id, {due} as due from register.papers t join law.terms v on v.key = t.kind \
     union all select t.id, add_months(t.d1, v.value, 'clamp') from register.papers t cross join law.terms v) \
     select * from made where due {window}",
    "with made as (select t.id, max({due}) as due from register.papers t cross join law.terms v group by t.id) \
     select * from made where due {window}",
    "with made as (select t.id, t.d2, {due} as due from register.papers t join law.terms v on v.key = t.kind), \
     windowed as (select * from made where due {window}) \
     select windowed.id, windowed.due from windowed \
     left join register.papers other on other.id > windowed.id and other.d1 > windowed.due \
     group by windowed.id, windowed.due, other.id",
];

fn rows(engine: &Engine, select: &str) -> Result<Vec<(i64, Date)>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let table = runtime.block_on(engine.query(select, None)).map_err(|error| error.to_string())?;
    let (ids, due) = (table.ints("id").unwrap(), table.dates("due").unwrap());
    let mut rows: Vec<_> = ids.into_iter().zip(due).filter_map(|(id, due)| Some((id?, due?))).collect();
    rows.sort();
    Ok(rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_window_keeps_the_rows_that_lie_in_it(
        papers in papers(), due in due(), from in day(), days in 0..120_i32,
        law in prop::collection::vec(-40..140_i64, 1..5), plan in 0..PLANS.len(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path(), &papers, &law);
        let to = from_days(to_days(from) + days).unwrap();
        let plan = PLANS[plan].replace("{due}", &due);
        let asked = rows(&engine, &plan.replace("{window}", &format!("between date '{from}' and date '{to}'")));
        // Without a window nothing can be derived: every row comes, and is looked at here.
        let all = rows(&engine, &plan.replace("{window}", "is not null"));
        // A date outside the calendar is an error where all rows are asked for.
        prop_assume!(all.is_ok());
        let expected: Vec<_> = all.unwrap().into_iter().filter(|(_, due)| (from..=to).contains(due)).collect();
        prop_assert_eq!(asked.unwrap(), expected, "{}", plan);
    }
}

/// How many of the 500 row groups a select reads.
async fn read(engine: &Engine, select: &str) -> usize {
    let plan = engine.explain(select).await.unwrap();
    let words = plan.split("row_groups_pruned_statistics=500 total → ").nth(1).unwrap_or_else(|| panic!("{plan}"));
    words.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_window_reads_the_row_groups_that_the_law_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    // Four thousand days from 2016, one paper each: 500 row groups.
    let first = to_days(date(2016, 1, 1));
    let papers: Vec<Paper> = (0..4000).map(|n| (Some(first + n), None, ["a", "b", "c"][n as usize % 3])).collect();
    let engine = engine(folder.path(), &papers, &[60, 120]);
    let window = "between date '2026-11-22' and date '2026-12-22'";
    for (due, most) in [
        ("add_months(t.d1, v.value, 'clamp')", 9),
        ("add_months(t.d1, v.value % 200, 'clamp')", 500),
        ("next_working_day(add_months(t.d1, v.value, 'clamp'))", 11),
    ] {
        for join in ["cross join law.terms v", "join law.terms v on v.key = t.kind"] {
            let select = format!(
                "with made as (select t.id, {due} as due from register.papers t {join}) select * from made where due {window}"
            );
            let groups = read(&engine, &select).await;
            assert!(groups <= most, "{due} {join}: {groups}");
            // What cannot be carried back is read whole.
            assert_eq!(groups == 500, most == 500, "{due} {join}: {groups}");
        }
    }
}
