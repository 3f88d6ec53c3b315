//! A look-up of few rows by key gives the rows that any other query over the same files gives.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use chudong::check::{due_name, due_table};
use chudong::sql::engine::Bound;
use chudong::sql::library::parse_select;
use chudong::sql::through::{Keys, Sieve};
use chudong::sql::{Engine, Model};
use chudong::tables::{Contract, DELETED, Stored, Table, TableName};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

/// A person of the register: the year by which the file is sorted, an address or none, a word that often repeats.
type Person = (i64, Option<String>, Option<&'static str>);

/// Key, then whether the key is gone, then the row.
type Change = (bool, Person);

fn batch(people: &[(i64, &Person)], gone: Option<Vec<bool>>, is_text: bool) -> RecordBatch {
    let mut people: Vec<(usize, &(i64, &Person))> = people.iter().enumerate().collect();
    people.sort_by_key(|(_, (key, person))| (person.0, *key));
    let key: ArrayRef = if is_text {
        Arc::new(people.iter().map(|(_, (key, _))| Some(format!("{key:06}"))).collect::<StringArray>())
    } else {
        Arc::new(people.iter().map(|(_, (key, _))| Some(*key)).collect::<Int64Array>())
    };
    let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("person_id", key, false),
        ("year", Arc::new(people.iter().map(|(_, (_, person))| Some(person.0)).collect::<Int64Array>()), true),
        ("email", Arc::new(people.iter().map(|(_, (_, person))| person.1.as_deref()).collect::<StringArray>()), true),
        ("language", Arc::new(people.iter().map(|(_, (_, person))| person.2).collect::<StringArray>()), true),
    ];
    if let Some(gone) = gone {
        let gone = people.iter().map(|(place, _)| Some(gone[*place])).collect::<BooleanArray>();
        columns.push((DELETED, Arc::new(gone), false));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Row groups of 64 rows in pages of a few.
fn write(path: &Path, batch: &RecordBatch) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(64))
        .set_write_batch_size(4)
        .set_data_page_row_count_limit(8)
        .build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn model(schema: &str, table: &str, select: &str) -> Model {
    Model {
        name: TableName::new(schema, table),
        path: PathBuf::from(format!("sql/{schema}/{table}.sql")),
        head: Default::default(),
        reads: BTreeSet::new(),
        query: parse_select(select).unwrap(),
    }
}

const STAGING: &str = "select cast(person_id as varchar) as subject_id, email, language from register.persons";

const RECIPIENTS: &str = "select people.subject_id, people.email, people.language from obligations.due as due \
                          join staging.people as people on people.subject_id = due.subject_id";

const NEGLIGENT: &str = "select people.subject_id, people.email, people.language from obligations.due as due \
                         join staging.people as people on people.subject_id = due.subject_id \
                         where people.language = 'vi' and people.email is not null";

fn rows(table: &Table) -> Vec<(Option<String>, Option<String>, Option<String>)> {
    let texts = |name| table.texts(name).unwrap();
    let mut rows: Vec<_> = texts("subject_id")
        .into_iter()
        .zip(texts("email").into_iter().zip(texts("language")))
        .map(|(id, (email, language))| (id, email, language))
        .collect();
    rows.sort();
    rows
}

fn person() -> impl Strategy<Value = Person> {
    let email = proptest::option::of("[a-z]{1,12}@example\\.vn");
    (1990..1996_i64, email, proptest::option::of(prop_oneof![Just("vi"), Just("en")]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_look_up_gives_the_rows_of_those_who_are_due(
        base in prop::collection::btree_map(0..400_i64, person(), 0..300),
        changes in prop::option::of(prop::collection::btree_map(0..500_i64, (any::<bool>(), person()), 0..20)),
        due in prop::collection::btree_set(prop_oneof![
            (0..500_i64).prop_map(|key| key.to_string()),
            (0..500_i64).prop_map(|key| format!("{key:06}")),
            Just("007".to_owned()), Just("1e2".to_owned()), Just(String::new()),
        ], 0..40),
        is_text in any::<bool>(),
        only_from in prop::option::of(1990..1996_i64),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let stored = store(folder.path(), &base, changes.as_ref(), is_text, only_from);
        let due: Vec<&str> = due.iter().map(String::as_str).collect();

        // By hand.
        let mut people: BTreeMap<i64, &Person> = base.iter().map(|(key, person)| (*key, person)).collect();
        for (key, (is_gone, person)) in changes.iter().flatten() {
            if *is_gone { people.remove(key); } else { people.insert(*key, person); }
        }
        let shown = |key: &i64| if is_text { format!("{key:06}") } else { key.to_string() };
        let mut expected: Vec<_> = people.iter()
            .filter(|(key, person)| due.contains(&shown(key).as_str()) && only_from.is_none_or(|from| person.0 >= from))
            .map(|(key, person)| (Some(shown(key)), person.1.clone(), person.2.map(str::to_owned)))
            .collect();
        expected.sort();

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let engine = engine(&stored, &due).await;
            let found = engine.look_up(&model("reminders", "recipients", RECIPIENTS), &Bound::new(), None).await.unwrap();
            prop_assert_eq!(&rows(&found), &expected);
            let found = engine.build(&model("reminders", "recipients", RECIPIENTS), &Bound::new(), None).await.unwrap();
            prop_assert_eq!(&rows(&found), &expected);
            let negligent = model("reminders", "recipients", NEGLIGENT);
            expected.retain(|(_, email, language)| email.is_some() && language.as_deref() == Some("vi"));
            let found = engine.look_up(&negligent, &Bound::new(), None).await.unwrap();
            prop_assert_eq!(&rows(&found), &expected);
            // What was looked up can be read under its name.
            let read = engine.query("select * from reminders.recipients", None).await.unwrap();
            prop_assert_eq!(&rows(&read), &expected);
            Ok(())
        })?;
    }
}

/// The files of a landed table.
fn store(
    folder: &Path,
    base: &BTreeMap<i64, Person>,
    changes: Option<&BTreeMap<i64, Change>>,
    is_text: bool,
    only_from: Option<i64>,
) -> Stored {
    let people: Vec<(i64, &Person)> = base.iter().map(|(key, person)| (*key, person)).collect();
    let people = batch(&people, None, is_text);
    write(&folder.join("base.parquet"), &people);
    if let Some(changes) = changes {
        let gone = changes.values().map(|(is_gone, _)| *is_gone).collect();
        let changed: Vec<(i64, &Person)> = changes.iter().map(|(key, (_, person))| (*key, person)).collect();
        write(&folder.join("changes.parquet"), &batch(&changed, Some(gone), is_text));
    }
    Stored {
        schema: people.schema(),
        base: vec![folder.join("base.parquet")],
        changes: changes.map(|_| folder.join("changes.parquet")),
        key: vec!["person_id".into()],
        sorted_by: vec!["year".into(), "person_id".into()],
        condition: only_from.map(|from| format!("t.year >= {from}")),
    }
}

/// An engine that reads the people where they lie, and knows who is due.
async fn engine(stored: &Stored, due: &[&str]) -> Engine {
    let engine = Engine::new().unwrap();
    let register = TableName::new("register", "persons");
    engine.register_stored(&register, stored).unwrap();
    let contract = Contract {
        columns: ["subject_id", "email", "language"].map(|name| (name.to_owned(), DataType::Utf8, true)).to_vec(),
        is_open: false,
    };
    let grain = ["subject_id".to_owned()];
    let keys = Keys::from([(register, vec!["person_id".to_owned()])]);
    let sieve = Sieve { required: &["subject_id"], grain: &grain, keys: &keys };
    engine.build_through(&model("staging", "people", STAGING), &Bound::new(), Some(&contract), sieve).await.unwrap();
    engine.register(&due_name(), &due_table(due)).unwrap();
    engine
}
