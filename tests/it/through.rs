//! A table that is read where it lies has the rows of the same table in memory.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use chudong::sql::engine::Bound;
use chudong::sql::library::parse_select;
use chudong::sql::through::{Keys, LeftOut, Sieve};
use chudong::sql::{Engine, Model};
use chudong::tables::{Contract, Table, TableName};
use proptest::prelude::*;

type Person = (Option<i64>, Option<&'static str>, Option<bool>);

fn engine(people: &[Person]) -> Engine {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("person_id", Arc::new(people.iter().map(|person| person.0).collect::<Int64Array>())),
        ("name", Arc::new(people.iter().map(|person| person.1).collect::<StringArray>())),
        ("consents", Arc::new(people.iter().map(|person| person.2).collect::<BooleanArray>())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let engine = Engine::new().unwrap();
    engine.register(&TableName::new("register", "persons"), &Table::from_batch(batch)).unwrap();
    engine
}

fn model(select: &str) -> Model {
    Model {
        name: TableName::new("staging", "people"),
        path: PathBuf::from("sql/staging/people.sql"),
        head: Default::default(),
        reads: BTreeSet::from([TableName::new("register", "persons")]),
        query: parse_select(select).unwrap(),
    }
}

fn contract() -> Contract {
    let column = |name: &str, kind| (name.to_owned(), kind, true);
    let columns = vec![
        column("subject_id", DataType::Utf8),
        column("name", DataType::Utf8),
        column("consents", DataType::Boolean),
    ];
    Contract { columns, is_open: false }
}

const SELECT: &str = "select cast(person_id as varchar) as subject_id, name, consents from register.persons";

async fn shown(engine: &Engine) -> String {
    let rows = engine.query("select * from staging.people order by subject_id, name, consents", None).await.unwrap();
    pretty_format_batches(&rows.batches).unwrap().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_rows_are_left_out_for_the_same_reasons(
        people in prop::collection::vec((
            proptest::option::weighted(0.9, 0..20_i64),
            proptest::option::weighted(0.9, prop_oneof![Just("An"), Just("Bình")]),
            proptest::option::weighted(0.9, any::<bool>()),
        ), 0..24),
        grain in prop_oneof![Just(vec!["subject_id"]), Just(vec!["subject_id", "name"]), Just(vec![])],
        required in prop_oneof![Just(vec!["subject_id", "name"]), Just(vec!["consents"]), Just(vec![])],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let grain: Vec<String> = grain.into_iter().map(str::to_owned).collect();
        runtime.block_on(async {
            let in_memory = engine(&people);
            let made = in_memory.build(&model(SELECT), &Bound::new(), Some(&contract())).await.unwrap();
            let (kept, reasons) = made.sift(&required, &grain).unwrap();
            in_memory.register(&TableName::new("staging", "people"), &kept).unwrap();
            let expected = LeftOut { rows_read: made.rows() as u64, rows_kept: kept.rows() as u64, reasons };

            let through = engine(&people);
            let keys = Keys::new();
            let sieve = Sieve { required: &required, grain: &grain, keys: &keys };
            let found = through.build_through(&model(SELECT), &Bound::new(), Some(&contract()), sieve).await.unwrap();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(shown(&through).await, shown(&in_memory).await);
            Ok(())
        })?;
    }
}

/// What the plan shows to be the key of a landed table is not counted, and nothing else is taken for it.
#[tokio::test]
async fn rows_of_one_grain_are_looked_for_unless_landing_has_proven_that_there_are_none() {
    let twice = [(Some(1), Some("An"), Some(true)), (Some(1), Some("Bình"), Some(true)), (Some(2), None, None)];
    let keys = BTreeMap::from([(TableName::new("register", "persons"), vec!["person_id".to_owned()])]);
    let grain = ["subject_id".to_owned()];
    let sieve = Sieve { required: &[], grain: &grain, keys: &keys };
    let others = "select cast(person_id as varchar) as subject_id, name, consents";
    for (select, kept) in [
        // The key is said to be there once, and is believed.
        (SELECT.to_owned(), 3),
        (format!("{SELECT} where consents"), 2),
        (format!("with people as (select * from register.persons) {others} from people"), 3),
        // Twice in the plan, or not the key itself.
        (format!("{SELECT} union all {SELECT} where person_id = 2"), 0),
        (format!("{others} from register.persons cross join (values (1), (2)) t(n)"), 0),
        ("select cast(person_id % 2 as varchar) as subject_id, name, consents from register.persons".to_owned(), 1),
        ("select substr(cast(person_id as varchar), 1) as subject_id, name, consents from register.persons".into(), 1),
    ] {
        let engine = engine(&twice);
        let found = engine.build_through(&model(&select), &Bound::new(), Some(&contract()), sieve).await.unwrap();
        assert_eq!(found.rows_kept, kept, "{select}");
    }
}

#[tokio::test]
async fn a_table_that_is_read_through_keeps_its_contract() {
    let engine = engine(&[]);
    let keys = Keys::new();
    let sieve = Sieve { required: &[], grain: &[], keys: &keys };
    for (select, what) in [
        ("select name, consents from register.persons", "the column subject_id is missing"),
        ("select person_id as subject_id, name, consents from register.persons", "subject_id is Int64, not Utf8"),
        ("select name as subject_id, name, consents, 1 as n from register.persons", "the column n is not expected"),
    ] {
        let error = engine.build_through(&model(select), &Bound::new(), Some(&contract()), sieve).await.unwrap_err();
        let chudong::sql::Error::Contract { what: found, .. } = error else { panic!("{error}") };
        assert!(found.contains(what), "{found}");
    }
}

/// Texts that are, and are not, those of a number: a join on the number finds the same rows as one on the text.
#[tokio::test]
async fn a_join_on_the_text_of_a_number_is_one_on_the_number() {
    let people: Vec<Person> = [Some(7), Some(-7), Some(0), Some(i64::MAX), Some(i64::MIN), Some(10), None]
        .map(|id| (id, Some("An"), None))
        .into();
    let engine = engine(&people);
    let texts = [
        "7",
        "07",
        " 7",
        "7 ",
        "+7",
        "-7",
        "--7",
        "0",
        "-0",
        "",
        "1e1",
        "10",
        "10.0",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "seven",
        "٧",
    ];
    let mut column: Vec<Option<&str>> = texts.iter().copied().map(Some).collect();
    column.extend([None, Some("7")]);
    let column: ArrayRef = Arc::new(StringArray::from(column));
    let due = RecordBatch::try_from_iter_with_nullable([("subject_id", column, true)]).unwrap();
    engine.register(&TableName::new("obligations", "due"), &Table::from_batch(due)).unwrap();
    let select = |key: &str| {
        format!(
            "with people as (select {key} as subject_id, name from register.persons where name is not null) \
             select people.subject_id, due.subject_id as asked, people.name from obligations.due due \
             join people on people.subject_id = due.subject_id order by 1, 2"
        )
    };
    let shown = async |select: &str| {
        pretty_format_batches(&engine.query(select, None).await.unwrap().batches).unwrap().to_string()
    };
    // Of a part of a text nothing is known.
    let by_text = select("substr(cast(person_id as varchar), 1)");
    let by_number = select("cast(person_id as varchar)");
    assert_eq!(shown(&by_number).await, shown(&by_text).await);
    assert_eq!(engine.query(&by_number, None).await.unwrap().rows(), 7);
    assert!(engine.explain(&by_number).await.unwrap().contains("__number"));
    assert!(!engine.explain(&by_text).await.unwrap().contains("__number"));
}
