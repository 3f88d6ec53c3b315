//! Counts for analysts: the noise table, the aggregate, and what may be asked.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::UInt64Type;
use chudong::disclosure::cell_key::{NOISE_MAX, NoiseTable, PUBLISHED_MIN, VARIANCE_MAX, record_key};
use chudong::personal::{Personal, PseudonymKey};
use chudong::sql::Engine;
use chudong::sql::analyst::{Analyst, Listed, refuse};
use chudong::sql::library::parse_select;
use chudong::tables::{Table, TableName};
use proptest::prelude::*;

#[test]
fn every_row_of_the_table_is_what_was_asked_for() {
    let table = NoiseTable::new().unwrap();
    for count in 1..=40 {
        let row = table.row(count).unwrap();
        assert!(row.mean().abs() < 1e-9, "count {count}");
        assert!(row.variance() < VARIANCE_MAX + 1e-9, "count {count}");
        for (noise, chance) in &row.chances {
            let result = i64::try_from(count).unwrap() + noise;
            assert!(noise.abs() <= NOISE_MAX && result >= 0 && ![1, 2].contains(&result), "count {count}");
            assert!(*chance > 0.0);
        }
    }
    assert_eq!(table.row(0).unwrap().chances, [(0, 1.0)]);
    // Far from 0 the bound on the variance binds, and the distribution is symmetric and wider than an even one over
    // −2 to 2, whose variance is 2.
    let row = table.row(1000).unwrap();
    assert!((row.variance() - VARIANCE_MAX).abs() < 1e-9);
    assert!(row.entropy() > 5_f64.ln());
    for ((_, left), (_, right)) in row.chances.iter().zip(row.chances.iter().rev()) {
        assert!((left - right).abs() < 1e-9);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No other distribution of the same support, mean and variance has a greater entropy: a row is moved along a
    /// direction that keeps all three, and only loses.
    #[test]
    fn no_row_can_be_made_more_even(count in 4_u64..12, start in 0_usize..5, size in 1e-4..1e-3_f64) {
        let table = NoiseTable::new().unwrap();
        let row = table.row(count).unwrap();
        let mut chances: Vec<f64> = row.chances.iter().map(|(_, chance)| *chance).collect();
        let values: Vec<f64> = row.chances.iter().map(|(noise, _)| *noise as f64).collect();
        let start = start.min(values.len() - 4);
        // Divided differences of third order vanish on polynomials of second degree.
        for place in start..start + 4 {
            let others = (start..start + 4).filter(|other| *other != place);
            let weight: f64 = others.map(|other| values[place] - values[other]).product();
            chances[place] += size / weight;
        }
        prop_assume!(chances.iter().all(|chance| *chance > 0.0));
        let entropy: f64 = chances.iter().map(|chance| -chance * chance.ln()).sum();
        prop_assert!(entropy < row.entropy());
    }

    /// Over all cell keys the noise has the distribution of the table, and nothing under the least is given.
    #[test]
    fn nothing_small_is_published(count in 0_u64..30, key in any::<u32>()) {
        let table = NoiseTable::new().unwrap();
        match table.publish(count, key) {
            Some(result) => prop_assert!(result >= PUBLISHED_MIN && result.abs_diff(count) <= 5),
            None => prop_assert!(count < PUBLISHED_MIN + 5),
        }
    }
}

#[test]
fn keys_are_spread_evenly_over_the_noise() {
    let table = NoiseTable::new().unwrap();
    let row = table.row(100).unwrap();
    let steps = 1_u64 << 16;
    let mean: f64 = (0..steps).map(|at| row.noise(u32::try_from(at << 16).unwrap()) as f64).sum::<f64>() / steps as f64;
    assert!(mean.abs() < 1e-3, "{mean}");
    let key = PseudonymKey::new([7; 32]);
    let keys: Vec<u32> = (0..2000).map(|n| record_key(&key, &Personal::new(format!("r{n}")))).collect();
    let high = keys.iter().filter(|key| **key >= 1 << 31).count();
    assert!((850..1150).contains(&high), "{high}");
    assert_ne!(keys[0], record_key(&PseudonymKey::new([8; 32]), &Personal::new("r0".into())));
}

fn name() -> TableName {
    TableName::new("analyst", "ratings")
}

fn listed() -> Vec<Listed> {
    let dimensions = ["commune_code", "procedure_group", "month", "level"].map(str::to_owned).to_vec();
    vec![Listed { table: name(), dimensions }]
}

/// 90 records in two communes, of which one has 5.
fn analyst() -> Analyst {
    let noise = NoiseTable::new().unwrap();
    let analyst = Engine::for_analyst(listed(), Arc::new(move |count, key| noise.publish(count, key))).unwrap();
    let key = PseudonymKey::new([7; 32]);
    let keys: UInt32Array = (0..90).map(|n| record_key(&key, &Personal::new(format!("r{n}")))).map(Some).collect();
    let communes: StringArray = (0..90).map(|n| Some(if n < 85 { "large" } else { "small" })).collect();
    let groups: StringArray = (0..90).map(|n| Some(if n % 2 == 0 { "births" } else { "land" })).collect();
    let secrets: StringArray = (0..90).map(|n| Some(format!("p{n}"))).collect();
    let batch = RecordBatch::try_from_iter([
        ("commune_code", Arc::new(communes) as Arc<dyn Array>),
        ("procedure_group", Arc::new(groups)),
        ("subject_id", Arc::new(secrets)),
        ("record_key", Arc::new(keys)),
    ]);
    analyst.register(&name(), &Table::from_batch(batch.unwrap())).unwrap();
    analyst
}

fn answer(analyst: &Analyst, text: &str) -> Vec<(String, Option<u64>)> {
    let question = analyst.read(text).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let table = runtime.block_on(analyst.answer(&question, None)).unwrap();
    let batch = table.to_batch().unwrap();
    let (names, counts) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<UInt64Type>());
    names.iter().zip(counts).map(|(name, count)| (name.unwrap().to_owned(), count)).collect()
}

#[test]
fn the_same_records_have_the_same_answer_however_they_are_asked_for() {
    let analyst = analyst();
    let all = answer(
        &analyst,
        "select commune_code, ck_count(record_key) as n from analyst.ratings group by commune_code order by commune_code",
    );
    assert_eq!(all.len(), 2);
    let (large, small) = (all[0].1.unwrap(), all[1].1);
    assert!((80..=90).contains(&large));
    assert_eq!(small, None, "a count of 5 is not given");
    let one = answer(
        &analyst,
        "select commune_code, ck_count(record_key) from analyst.ratings where commune_code = 'large' group by commune_code",
    );
    assert_eq!(one, [("large".to_owned(), Some(large))]);
}

#[test]
fn the_same_question_has_the_same_text_in_the_log() {
    let analyst = analyst();
    let one = analyst.read(
        "SELECT level, commune_code, ck_count(record_key) AS n FROM analyst.ratings \
         WHERE month = '2026-10' GROUP BY commune_code, level ORDER BY n DESC",
    );
    let other = analyst.read(
        "select commune_code, level, ck_count(record_key) from analyst.ratings where month = '2026-10' \
         group by level, commune_code",
    );
    assert_eq!(one.as_ref().unwrap().to_string(), other.unwrap().to_string());
    assert_eq!(one.unwrap().to_string(), "analyst.ratings by [commune_code, level] where [month = '2026-10']");
}

#[test]
fn whatever_is_not_of_the_form_is_refused() {
    let good = "select commune_code, ck_count(record_key) from analyst.ratings group by commune_code";
    let refused = |text: &str| {
        let query = parse_select(text).unwrap();
        refuse(&query, &listed()).map(|fault| fault.code)
    };
    assert_eq!(refused(good), None);
    assert_eq!(refused("select ck_count(record_key) from analyst.ratings"), None);
    for text in [
        "select * from analyst.ratings",
        "select commune_code, count(*) from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key), ck_count(record_key) from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key) + 0 from analyst.ratings group by commune_code",
        "select commune_code, ck_count(distinct record_key) from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key) filter (where level = '1') from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key) over () from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key + 1) from analyst.ratings group by commune_code",
        "select commune_code, sum(record_key) from analyst.ratings group by commune_code",
        "select subject_id, ck_count(record_key) from analyst.ratings group by subject_id",
        "select commune_code, ck_count(record_key) from analyst.ratings",
        "select ck_count(record_key) from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings group by rollup(commune_code)",
        "select commune_code, ck_count(record_key) from analyst.ratings group by all",
        "select upper(commune_code), ck_count(record_key) from analyst.ratings group by upper(commune_code)",
        "select commune_code, procedure_group, month, level, ck_count(record_key) from analyst.ratings \
         group by commune_code, procedure_group, month, level",
        "select commune_code, procedure_group, month, ck_count(record_key) from analyst.ratings where level = '1' \
         group by commune_code, procedure_group, month",
        "select commune_code, ck_count(record_key) from analyst.ratings where level <> '1' group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings where level = '1' or level = '2' group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings where level in ('1', '2') group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings where level = month group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings where subject_id = 'p1' group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings where not level = '1' group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings group by commune_code having true",
        "select distinct commune_code, ck_count(record_key) from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key) from staging.ratings group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings, analyst.ratings b group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings t(commune_code) group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings tablesample bernoulli (10) group by commune_code",
        "select commune_code, ck_count(record_key) from (select * from analyst.ratings) t group by commune_code",
        "with t as (select 1) select commune_code, ck_count(record_key) from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings group by commune_code union all \
         select commune_code, ck_count(record_key) from analyst.ratings group by commune_code",
        "select commune_code, ck_count(record_key) from analyst.ratings group by commune_code order by random()",
        "select commune_code, ck_count(record_key) from analyst.ratings group by commune_code limit 3",
    ] {
        assert_eq!(refused(text), Some("sql.analyst"), "{text}");
    }
}

/// No other session has the function.
#[test]
fn the_night_does_not_know_ck_count() {
    let engine = Engine::new().unwrap();
    let keys: UInt32Array = [Some(1), Some(2)].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("record_key", Arc::new(keys) as Arc<dyn Array>)]).unwrap();
    engine.register(&name(), &Table::from_batch(batch)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(engine.query("select ck_count(record_key) from analyst.ratings", None)).is_err());
}
