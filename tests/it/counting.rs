//! Counts by codes are those that anybody adds up by hand: whatever is blank, however many values there are.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use chudong::calendar::WorkingDays;
use chudong::sql::Engine;
use chudong::tables::{Table, TableName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A row: two texts, a day, a truth value, and a number that is added up.
type Row = (Option<String>, Option<String>, Option<i32>, Option<bool>, Option<i64>);

/// Rows in several batches, as several threads take them.
fn table(rows: &[Row]) -> Table {
    let batch = |rows: &[Row]| {
        let arrays: [(&str, ArrayRef); 5] = [
            ("commune", Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringArray>())),
            ("kind", Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringArray>())),
            ("day", Arc::new(rows.iter().map(|row| row.2).collect::<Date32Array>())),
            ("is_online", Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>())),
            ("fee", Arc::new(rows.iter().map(|row| row.4).collect::<Int64Array>())),
        ];
        RecordBatch::try_from_iter_with_nullable(arrays.map(|(name, array)| (name, array, true))).unwrap()
    };
    let mut batches: Vec<RecordBatch> = rows.chunks(1 + rows.len() / 3).map(batch).collect();
    if batches.is_empty() {
        batches.push(batch(&[]));
    }
    Table { schema: batches.first().unwrap().schema(), batches }
}

fn engine(rows: &[Row]) -> Engine {
    let engine = Engine::new().unwrap();
    engine.register(&TableName::new("t", "rows"), &table(rows)).unwrap();
    engine
}

fn run(rows: &[Row], select: &str) -> Table {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(engine(rows).query(select, None)).unwrap()
}

fn explained(rows: &[Row], select: &str) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(engine(rows).explain(select)).unwrap()
}

const BY_ALL: &str = "select commune, kind, cast(cast(day as varchar) as varchar) as day, is_online, count(*) as rows,
    count(fee) as fees, sum(fee) as fee, sum(case when fee > 3 then 1 else 0 end) as dear,
    sum(fee) filter (where is_online) as online_fee, count(*) filter (where fee = 1) as ones
    from t.rows group by commune, kind, day, is_online";

type Key = (Option<String>, Option<String>, Option<String>, Option<bool>);
type Counts = (i64, i64, Option<i64>, i64, Option<i64>, i64);

/// The same, added up by hand.
fn by_hand(rows: &[Row]) -> BTreeMap<Key, Counts> {
    let mut all: BTreeMap<Key, Counts> = BTreeMap::new();
    let epoch = jiff::civil::date(1970, 1, 1);
    for (commune, kind, day, is_online, fee) in rows {
        let day = day.map(|day| epoch.checked_add(jiff::Span::new().days(day)).unwrap().to_string());
        let counts = all.entry((commune.clone(), kind.clone(), day, *is_online)).or_default();
        counts.0 += 1;
        counts.3 += i64::from(fee.is_some_and(|fee| fee > 3));
        counts.5 += i64::from(*fee == Some(1));
        if let Some(fee) = fee {
            counts.1 += 1;
            *counts.2.get_or_insert(0) += fee;
            if *is_online == Some(true) {
                *counts.4.get_or_insert(0) += fee;
            }
        }
    }
    all
}

fn found(table: &Table) -> BTreeMap<Key, Counts> {
    let (communes, kinds) = (table.texts("commune").unwrap(), table.texts("kind").unwrap());
    let (days, online) = (table.texts("day").unwrap(), table.bools("is_online").unwrap());
    let counts = ["rows", "fees", "fee", "dear", "online_fee", "ones"].map(|name| table.ints(name).unwrap());
    let [rows, fees, fee, dear, online_fee, ones] = counts;
    let keys = communes.into_iter().zip(kinds).zip(days.into_iter().zip(online));
    let whole = rows.into_iter().zip(fees).zip(dear.into_iter().zip(ones));
    let sums = fee.into_iter().zip(online_fee);
    let mut all = BTreeMap::new();
    for ((((commune, kind), (day, is_online)), ((rows, fees), (dear, ones))), (fee, online_fee)) in
        keys.zip(whole).zip(sums)
    {
        let counts = (rows.unwrap(), fees.unwrap(), fee, dear.unwrap(), online_fee, ones.unwrap());
        assert!(all.insert((commune, kind, day, is_online), counts).is_none(), "a group came twice");
    }
    all
}

fn row() -> impl Strategy<Value = Row> {
    let text = || option::weighted(0.9, prop_oneof!["[ab]?", "xã [a-c]{0,2}", "a rather long name of a commune [ab]"]);
    // Most counts are small; some need more than four bytes.
    let fee = prop_oneof![9 => -3..6_i64, 1 => (1_i64 << 30)..(1 << 40), 1 => -(1_i64 << 40)..-(1 << 30)];
    (text(), text(), option::of(-800..800_i32), option::of(any::<bool>()), option::of(fee))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_those_that_are_added_up_by_hand(rows in vec(row(), 0..400)) {
        prop_assert_eq!(found(&run(&rows, BY_ALL)), by_hand(&rows));
    }
}

#[test]
fn counts_are_made_by_codes_and_other_aggregations_are_not() {
    let rows = vec![(Some("a".to_owned()), None, Some(1), Some(true), Some(2)); 8];
    assert!(explained(&rows, BY_ALL).contains("CountExec"));
    for other in [
        "select commune, max(fee) from t.rows group by commune",
        "select commune, count(distinct kind), count(distinct day) from t.rows group by commune",
        "select commune, count(*) from t.rows group by rollup(commune)",
        "select cast(fee as double) as fee, count(*) from t.rows group by 1",
        "select commune, sum(cast(fee as double)) from t.rows group by 1",
        "select count(*) from t.rows",
    ] {
        assert!(!explained(&rows, other).contains("CountExec"), "{other}");
    }
}

/// More values than there are codes: what has no code is counted another way, and no group falls apart.
#[test]
fn a_column_of_many_values_is_counted_too() {
    let rows: Vec<Row> = (0..200_000_i64)
        .map(|row| {
            let number = row * 7919 % 90_000;
            (Some(format!("number {number}")), None, Some((row % 3) as i32), Some(true), Some(number))
        })
        .collect();
    assert_eq!(found(&run(&rows, BY_ALL)), by_hand(&rows));
}

/// Many groups of columns that have few values each: the small table of a thread is not enough.
#[test]
fn many_groups_of_few_values_are_counted() {
    let rows: Vec<Row> = (0..300_000_i64)
        .map(|row| {
            let place = row * 7919 % 123_457;
            (
                Some((place % 331).to_string()),
                Some((place / 331).to_string()),
                Some((row % 2) as i32),
                None,
                (row % 5 > 0).then_some(if row % 1_000 == 7 { row << 24 } else { row }),
            )
        })
        .collect();
    assert_eq!(found(&run(&rows, BY_ALL)), by_hand(&rows));
}

/// With so little memory, parts are written to the disk and read again: those of small counts, which wait packed, and
/// those that need whole numbers.
#[test]
fn groups_that_do_not_fit_into_memory_are_written_and_counted() {
    let rows = |fee: fn(i64) -> i64| -> Vec<Row> {
        let row = |row: i64| {
            let place = row * 7919 % 123_457;
            (
                Some((place % 331).to_string()),
                Some((place / 331).to_string()),
                Some((row % 2) as i32),
                None,
                (row % 5 > 0).then_some(fee(row)),
            )
        };
        (0..50_000).map(row).collect()
    };
    for rows in [rows(|row| row % 7), rows(|row| if row % 999 == 0 { row << 24 } else { row % 7 - 3 })] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = Engine::with_memory(WorkingDays::default(), 1 << 20).unwrap();
        engine.register(&TableName::new("t", "rows"), &table(&rows)).unwrap();
        let explained = runtime.block_on(engine.explain(BY_ALL)).unwrap();
        let spills = explained.split_once("spill_count=").map(|(_, rest)| rest.split([',', ']']).next().unwrap());
        assert!(spills.is_some_and(|spills| spills != "0"), "nothing was written: {spills:?}");
        assert_eq!(found(&runtime.block_on(engine.query(BY_ALL, None)).unwrap()), by_hand(&rows));
    }
}

/// DataFusion's own sum would go round to the other end.
#[test]
fn a_sum_that_does_not_fit_is_an_error() {
    let rows = vec![(Some("a".to_owned()), None, None, None, Some(i64::MAX)); 2];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(engine(&rows).query("select commune, sum(fee) as fee from t.rows group by 1", None));
    assert!(format!("{:?}", found.unwrap_err()).contains("64 bits"));
}
