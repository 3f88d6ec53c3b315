//! Tables that are made at once are those that are made one after another.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use chudong::sql::ahead::Job;
use chudong::sql::engine::Bound;
use chudong::sql::library::parse_select;
use chudong::sql::{Engine, Model};
use chudong::tables::{Table, TableName};

async fn number(engine: &Engine, select: &str) -> i64 {
    let found = engine.query(select, None).await.unwrap();
    found.ints("n").unwrap().into_iter().flatten().next().unwrap()
}

fn job(table: &str, select: &str) -> Job {
    let model = Model {
        name: TableName::new("obligations", table),
        path: PathBuf::from("sql/obligations/x.sql"),
        head: Default::default(),
        reads: [TableName::new("register", "papers")].into(),
        query: parse_select(select).unwrap(),
    };
    Job { model, bound: Bound::new(), contract: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_made_at_once_are_those_made_one_after_another() {
    let engine = Engine::new().unwrap();
    let ids: ArrayRef = Arc::new((0..1000).collect::<Int64Array>());
    let papers = Table::from_batch(RecordBatch::try_from_iter([("id", ids)]).unwrap());
    engine.register(&TableName::new("register", "papers"), &papers).unwrap();
    let mut jobs: Vec<Job> = (0..12)
        .map(|part| job(&format!("part_{part}"), &format!("select id from register.papers where id % 12 = {part}")))
        .collect();
    jobs.insert(5, job("broken", "select nothing_of_this_name from register.papers"));
    let alone = Engine::new().unwrap();
    alone.register(&TableName::new("register", "papers"), &papers).unwrap();
    for (job, begun) in jobs.clone().into_iter().zip(engine.build_ahead(jobs).unwrap()) {
        let made = begun.made().await;
        let expected = alone.build(&job.model, &job.bound, None).await;
        match expected {
            Ok(expected) => {
                let sorted = |table: &Table| {
                    let mut ids = table.ints("id").unwrap();
                    ids.sort_unstable();
                    ids
                };
                assert_eq!(sorted(&made.unwrap()), sorted(&expected));
                // It is readable under its name, whichever of them made the schema.
                let count = format!("select count(*) as n from {}", job.model.name);
                assert_eq!(number(&engine, &count).await, i64::try_from(expected.rows()).unwrap());
            }
            Err(expected) => assert_eq!(made.unwrap_err().to_string(), expected.to_string()),
        }
    }
}
