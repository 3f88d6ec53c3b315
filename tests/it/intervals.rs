//! Intervals land in files that have no type for them, and are the same for whoever reads the landed table.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Schema};
use chudong::landing::{self, Store, read_generation, write_parquet};
use chudong::pipeline::filter::Filter;
use chudong::pipeline::{Load, SourceKind, Type};
use chudong::sql::Engine;
use chudong::tables::{Stored, Table, TableName};
use jiff::civil::date;
use proptest::prelude::*;

use crate::landing::{column, on, said, source, table};

type Span = (i32, i32, i64);

fn interval((months, days, nanoseconds): Span) -> IntervalMonthDayNano {
    IntervalMonthDayNano::new(months, days, nanoseconds)
}

/// Rows with a number, an interval and a list of intervals.
fn rows(spans: &[Option<Span>], lists: &[Option<Vec<Option<Span>>>]) -> RecordBatch {
    let array = |spans: &mut dyn Iterator<Item = Option<Span>>| -> ArrayRef {
        Arc::new(spans.map(|span| span.map(interval)).collect::<IntervalMonthDayNanoArray>())
    };
    let lengths = OffsetBuffer::from_lengths(lists.iter().map(|list| list.as_ref().map_or(0, Vec::len)));
    let nulls = lists.iter().map(Option::is_some).collect::<Vec<_>>().into();
    let kind = DataType::Interval(IntervalUnit::MonthDayNano);
    let item = Arc::new(Field::new_list_field(kind.clone(), true));
    let items = array(&mut lists.iter().flatten().flatten().copied());
    let lists = ListArray::new(Arc::clone(&item), lengths, items, Some(nulls));
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("span", kind, true),
        Field::new("spans", DataType::List(item), true),
    ]);
    let ids = Int64Array::from_iter_values(0..spans.len() as i64);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), array(&mut spans.iter().copied()), Arc::new(lists)])
        .unwrap()
}

fn queried(stored: &Stored, select: &str) -> RecordBatch {
    let engine = Engine::new().unwrap();
    engine.register_stored(&TableName::new("insurance", "papers"), stored).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let table = runtime.block_on(engine.query(select, None)).unwrap();
    concat_batches(&table.schema, &table.batches).unwrap()
}

fn stored(path: &Path, batch: &RecordBatch) -> Stored {
    Stored {
        schema: batch.schema(),
        base: vec![path.into()],
        changes: None,
        key: vec!["id".into()],
        sorted_by: vec!["id".into()],
        condition: None,
    }
}

fn spans() -> impl Strategy<Value = Span> {
    let month = prop_oneof![Just(i32::MIN), Just(-1), Just(0), Just(i32::MAX), any::<i32>()];
    let day = prop_oneof![Just(i32::MIN), Just(-1), Just(0), Just(i32::MAX), any::<i32>()];
    let nano = prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX), any::<i64>()];
    (month, day, nano)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_interval_is_the_same_in_a_file_and_in_a_select(
        given in proptest::collection::vec(
            (proptest::option::of(spans()), proptest::option::of(proptest::collection::vec(proptest::option::of(spans()), 0..4))),
            1..40,
        )
    ) {
        let (spans, lists): (Vec<_>, Vec<_>) = given.into_iter().unzip();
        let batch = rows(&spans, &lists);
        let file = tempfile::NamedTempFile::new().unwrap();
        // A slice begins in the middle of its buffers.
        let batch = batch.slice(batch.num_rows() / 3, batch.num_rows() - batch.num_rows() / 3);
        let table = Table { schema: batch.schema(), batches: vec![batch.clone()] };
        write_parquet(&table, file.as_file(), file.path()).unwrap();
        let read = read_generation(file.path()).unwrap();
        prop_assert_eq!(&concat_batches(&read.schema, &read.batches).unwrap(), &batch);
        let path = file.path().with_extension("parquet");
        std::fs::copy(file.path(), &path).unwrap();
        let selected = queried(&stored(&path, &batch), "select * from insurance.papers order by id");
        std::fs::remove_file(path).unwrap();
        prop_assert_eq!(selected.columns(), batch.columns());
    }
}

#[test]
fn sql_computes_with_a_landed_interval_also_when_it_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("register.sqlite");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("create table papers (id integer, moved integer, due text, span text)").unwrap();
    let write = |id: i64, moved: i64, due: &str, span: Option<&str>| {
        database.execute("delete from papers where id = ?1", [id]).unwrap();
        database.execute("insert into papers values (?1, ?2, ?3, ?4)", (id, moved, due, span)).unwrap();
    };
    let columns = vec![
        column("id", Type::Int),
        column("moved", Type::Int),
        column("due", Type::Date),
        column("span", Type::Interval),
    ];
    let mut papers = table("papers", columns);
    papers.driving_date = Some("due".into());
    papers.filter = Some(Filter::parse("due >= $as_of", &papers.columns).unwrap());
    papers.load = Load::Incremental { cursor: "moved".into(), overlap: 0, compare_days: 30 };
    let source = source(SourceKind::Sqlite { path }, vec![papers]);
    let store = Store::Folder(folder.path().join("landing"));
    let night = |day| {
        let mut pulled = landing::pull(&source, crate::root(), on(date(2026, 11, day)), &store).unwrap();
        assert!(pulled.failed.is_empty(), "{}", said(&Ok(pulled)));
        pulled.tables.remove(0)
    };
    for id in 0..100 {
        write(id, id, "2026-12-01", Some("P1M"));
    }
    night(1);
    write(3, 100, "2026-12-02", Some("-P1M2DT0.5S"));
    write(4, 100, "2026-12-02", None);
    let landed = night(2);
    assert!(matches!(landed.read, landing::Read::Changes { .. }), "{:?}", landed.read);
    let select = "select id, span, due + span as moved from insurance.papers where id in (3, 4, 5) and due > '2026-11-30' order by id";
    let found = queried(&landed.stored, select);
    let spans: Vec<_> = found.column(1).as_primitive::<IntervalMonthDayNanoType>().iter().collect();
    assert_eq!(spans, [Some(interval((-1, -2, -500_000_000))), None, Some(interval((1, 0, 0)))]);
    let moved = arrow::compute::cast(found.column(2), &DataType::Utf8).unwrap();
    assert!(moved.as_string::<i32>().value(2).starts_with("2027-01-01") && moved.is_null(1));
    // And as rows in memory, in their order.
    let table = landed.table().unwrap();
    let batch = concat_batches(&table.schema, &table.batches).unwrap();
    let ours = batch.column_by_name("span").unwrap().as_primitive::<IntervalMonthDayNanoType>();
    assert_eq!((ours.len(), ours.value(98), ours.is_null(99)), (100, interval((-1, -2, -500_000_000)), true));
}
