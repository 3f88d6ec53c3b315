//! The key of an obligation: the same on every night, and another for every other obligation.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use chudong::obligations::{self, Obligation};
use chudong::personal::PseudonymKey;
use chudong::pipeline::{self, Pipeline, reader::Faults};
use chudong::tables::Table;
use proptest::prelude::*;

/// Subject, object, period, due date as days since 1970.
type Row = (String, Option<String>, String, i32);

static PIPELINE: LazyLock<Pipeline> =
    LazyLock::new(|| pipeline::read(crate::root(), "an-binh", &Faults::default()).unwrap());

fn read(rows: &[Row], key: [u8; 32]) -> Result<Vec<Obligation>, obligations::Error> {
    read_by("driving_licence_term@2025-01-01", rows, key)
}

fn read_by(rule_version: &str, rows: &[Row], key: [u8; 32]) -> Result<Vec<Obligation>, obligations::Error> {
    let texts =
        |text: &dyn Fn(&Row) -> Option<String>| Arc::new(rows.iter().map(text).collect::<StringArray>()) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("subject_id", texts(&|row| Some(row.0.clone()))),
        ("object_id", texts(&|row| row.1.clone())),
        ("period", texts(&|row| Some(row.2.clone()))),
        ("due_on", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Date32Array>())),
        ("rule_version", texts(&|_| Some(rule_version.to_owned()))),
        ("fulfilled_on", Arc::new(rows.iter().map(|_| None).collect::<Date32Array>())),
    ];
    let table = Table::from_batch(RecordBatch::try_from_iter(columns).unwrap());
    let item = PIPELINE.item("driving_licence").unwrap();
    obligations::read(item, &PIPELINE.law, &table, &PseudonymKey::new(key))
}

/// Short texts of few letters, so that parts that only differ in where they are cut come up often.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = || "[ab]{1,3}";
    // The same obligation is due on one day: the day follows from the rest.
    let row = (text(), proptest::option::of(text()), text()).prop_map(|(subject, object, period)| {
        (subject.clone(), object, period, 20_000 + i32::try_from(subject.len()).unwrap())
    });
    proptest::collection::vec(row, 1..40)
}

proptest! {
    #[test]
    fn a_key_is_stable_and_nobody_elses(rows in rows(), key in any::<[u8; 32]>(), other in any::<[u8; 32]>()) {
        let found = read(&rows, key).unwrap();
        let keys: BTreeSet<_> = found.iter().map(|obligation| &obligation.key).collect();
        // One key for each subject, object and period; no object is the same as an empty one.
        let distinct: BTreeSet<_> = rows.iter().map(|row| (&row.0, row.1.as_deref().unwrap_or(""), &row.2)).collect();
        prop_assert_eq!(keys.len(), distinct.len());
        prop_assert_eq!(found.len(), distinct.len());
        // The order of the rows, and rows that come twice, change nothing.
        let mut turned: Vec<Row> = rows.iter().chain(&rows).cloned().collect();
        turned.reverse();
        let by_key = |all: Vec<Obligation>| -> BTreeMap<String, jiff::civil::Date> {
            all.into_iter().map(|obligation| (obligation.key.to_string(), obligation.due_on)).collect()
        };
        prop_assert_eq!(by_key(read(&turned, key).unwrap()), by_key(read(&rows, key).unwrap()));
        // Without the key nobody can tell whom an entry of the ledger concerns.
        if key != other {
            let others = read(&rows, other).unwrap();
            prop_assert!(others.iter().all(|obligation| !keys.contains(&obligation.key)));
        }
    }
}

#[test]
fn one_obligation_with_two_due_dates_is_refused_and_names_nobody() {
    let row = |due| ("097201000001".to_owned(), None, "2026".to_owned(), due);
    let error = read(&[row(20_000), row(20_001)], [7; 32]).unwrap_err();
    insta::assert_snapshot!(chudong::fault::Explain::fault(&error), @r"
    error[obligations.ambiguous]: obligations.driving_licence gives 1 obligations with two due dates or two days of fulfilment each
      at:   table obligations.driving_licence
      next: make period tell the rows apart, or choose one row in the select
    ");
}

#[test]
fn a_rule_version_that_is_none_of_the_items_rules_is_refused_and_not_repeated() {
    let row: Row = ("097201000001".to_owned(), None, "2026".to_owned(), 20_000);
    // A version of another item's rule, a version that was never enacted, and anything else that a select can say.
    for name in ["social_pension_age@2025-07-01", "driving_licence_term@1999-01-01", "a woman", ""] {
        let error = read_by(name, std::slice::from_ref(&row), [7; 32]).unwrap_err();
        assert!(matches!(error, obligations::Error::NoSuchVersion { rows: 1, .. }));
        let told = chudong::fault::Explain::fault(&error).to_string();
        assert!(name.is_empty() || !told.contains(name), "{told}");
    }
}
