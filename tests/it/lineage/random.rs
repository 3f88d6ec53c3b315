//! What lineage leaves out does not matter: random selects over tables in which one column changes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use chudong::sql::Engine;
use chudong::sql::lineage::ColumnName;
use chudong::tables::{Table, TableName};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::lineage;

/// The two tables, each with its columns.
const TABLES: [(&str, [&str; 3]); 2] = [("t", ["a", "b", "c"]), ("u", ["d", "e", "f"])];

/// A select is drawn from bytes, so that a failing one is made smaller by making the bytes smaller.
struct Draw<'b> {
    bytes: std::slice::Iter<'b, u8>,
    names: usize,
}

/// A relation with whole numbers in its columns.
struct Drawn {
    sql: String,
    columns: Vec<String>,
}

impl Draw<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % end
    }

    fn name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    fn pick(&mut self, from: &Drawn) -> String {
        from.columns[self.below(from.columns.len())].clone()
    }

    fn base(&mut self) -> Drawn {
        let (table, columns) = TABLES[self.below(2)];
        Drawn { sql: format!("s.{table}"), columns: columns.iter().map(ToString::to_string).collect() }
    }

    fn value(&mut self, from: &Drawn, alias: &str) -> String {
        let (one, two) = (self.pick(from), self.pick(from));
        let (one, two) = (format!("{alias}.{one}"), format!("{alias}.{two}"));
        match self.below(6) {
            0 => format!("{one} + {two}"),
            1 => format!("case when {one} > 1 then {two} else 0 end"),
            2 => format!("coalesce({one}, {two})"),
            3 => format!("(select max(d) from s.u where u.e = {one})"),
            _ => one,
        }
    }

    fn condition(&mut self, from: &Drawn, alias: &str) -> String {
        let (one, two) = (self.pick(from), self.pick(from));
        let (one, two) = (format!("{alias}.{one}"), format!("{alias}.{two}"));
        match self.below(6) {
            0 => format!("{one} > 1"),
            1 => format!("{one} <= {two}"),
            2 => format!("{one} is null"),
            3 => format!("exists (select f from s.u where u.d = {one} and u.e > 0)"),
            4 => format!("{one} in (select b from s.t where c > 0)"),
            _ => format!("not exists (select * from s.t where t.a = {one})"),
        }
    }

    /// `select … as x1, … as x2 from …`, over relations that are drawn in turn.
    fn relation(&mut self, depth: usize) -> Drawn {
        if depth == 0 {
            return self.base();
        }
        let from = self.relation(depth - 1);
        let r = self.name('r');
        let named = format!("({}) as {r}", select_of(&from));
        match self.below(7) {
            0 => self.join(&from, &r, &named, depth),
            1 => self.aggregate(&from, &r, &named),
            2 => self.window(&from, &r, &named),
            3 => self.arms(&from, &r, &named, depth),
            _ => {
                let (one, two) = (self.value(&from, &r), self.value(&from, &r));
                let condition = self.condition(&from, &r);
                let distinct = if self.below(3) == 0 { "distinct " } else { "" };
                self.given(&format!("select {distinct}{one} as $1, {two} as $2 from {named} where {condition}"), 2)
            }
        }
    }

    fn join(&mut self, from: &Drawn, r: &str, named: &str, depth: usize) -> Drawn {
        let other = self.relation(depth - 1);
        let q = self.name('q');
        let kind = ["join", "left join", "full join"][self.below(3)];
        let (mine, theirs) = (self.pick(from), self.pick(&other));
        let (one, two) = (self.value(from, r), self.pick(&other));
        let other = select_of(&other);
        self.given(
            &format!(
                "select {one} as $1, {q}.{two} as $2 from {named} {kind} ({other}) as {q} on {r}.{mine} = {q}.{theirs}"
            ),
            2,
        )
    }

    fn aggregate(&mut self, from: &Drawn, r: &str, named: &str) -> Drawn {
        let (group, one, two) = (self.pick(from), self.pick(from), self.pick(from));
        let having = if self.below(2) == 0 { format!(" having max({r}.{two}) > 0") } else { String::new() };
        self.given(
            &format!("select {r}.{group} as $1, sum({r}.{one}) as $2, count(*) as $3 from {named} group by {r}.{group}{having}"),
            3,
        )
    }

    fn window(&mut self, from: &Drawn, r: &str, named: &str) -> Drawn {
        let (one, two, three, four) = (self.pick(from), self.pick(from), self.pick(from), self.pick(from));
        self.given(
            &format!(
                "select {r}.{one} as $1, sum({r}.{two}) over (partition by {r}.{three}) as $2, \
                 cast(rank() over (order by {r}.{four}) as bigint) as $3 from {named}"
            ),
            3,
        )
    }

    fn arms(&mut self, from: &Drawn, r: &str, named: &str, depth: usize) -> Drawn {
        let other = self.relation(depth - 1);
        let q = self.name('q');
        let kind = ["union all", "union", "except", "intersect"][self.below(4)];
        let (one, two) = (self.value(from, r), self.pick(&other));
        let other = select_of(&other);
        self.given(&format!("select {one} as $1 from {named} {kind} select {q}.{two} from ({other}) as {q}"), 1)
    }

    /// Puts new names in the place of `$1`, `$2`.
    fn given(&mut self, sql: &str, width: usize) -> Drawn {
        let mut sql = sql.to_owned();
        let mut columns = Vec::new();
        for number in 1..=width {
            let name = self.name('x');
            sql = sql.replace(&format!("${number}"), &name);
            columns.push(name);
        }
        Drawn { sql, columns }
    }
}

fn select_of(from: &Drawn) -> String {
    if from.sql.starts_with("s.") { format!("select * from {}", from.sql) } else { from.sql.clone() }
}

type Values = Vec<[Option<i64>; 3]>;

fn register(engine: &Engine, table: usize, rows: &Values) {
    let (name, columns) = TABLES[table];
    let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
    let array = |at: usize| Arc::new(rows.iter().map(|row| row[at]).collect::<Int64Array>()) as ArrayRef;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..3).map(array).collect()).unwrap();
    engine.register(&TableName::new("s", name), &Table::from_batch(batch)).unwrap();
}

/// The values of each column, in order of size: which row stands where is not promised.
async fn answer(engine: &Engine, drawn: &Drawn) -> Result<Vec<Vec<Option<i64>>>, String> {
    let table = engine.query(&drawn.sql, None).await.map_err(|error| error.to_string())?;
    let sorted = |name: &String| {
        let mut values = table.ints(name).unwrap();
        values.sort_unstable();
        values
    };
    Ok(drawn.columns.iter().map(sorted).collect())
}

fn rows() -> impl Strategy<Value = Values> {
    let value = prop_oneof![1 => Just(None), 5 => (-2_i64..4).prop_map(Some)];
    proptest::collection::vec([value.clone(), value.clone(), value], 0..9)
}

/// Says whether the select could be run at all: the engine refuses some correlations.
async fn holds(bytes: &[u8], before: &[Values; 2], after: &[Values; 2]) -> Result<bool, TestCaseError> {
    let mut draw = Draw { bytes: bytes.iter(), names: 0 };
    let depth = 1 + draw.below(3);
    let drawn = draw.relation(depth);
    let engine = Engine::new().unwrap();
    for table in [0, 1] {
        register(&engine, table, &before[table]);
    }
    let Ok(expected) = answer(&engine, &drawn).await else { return Ok(false) };
    let found = lineage(&engine, &drawn.sql).await;
    for (table, (name, columns)) in TABLES.iter().enumerate() {
        for (at, column) in columns.iter().enumerate() {
            let column = ColumnName::new(TableName::new("s", *name), *column);
            let matters = |flow: &chudong::sql::lineage::Flow| flow.columns().any(|known| *known == column);
            let free: Vec<usize> = (0..drawn.columns.len()).filter(|i| !matters(&found.columns[*i].1)).collect();
            if matters(&found.rows) || free.is_empty() {
                continue;
            }
            let mut changed = before[table].clone();
            for (row, other) in changed.iter_mut().zip(after[table].iter().cycle()) {
                row[at] = other[at];
            }
            register(&engine, table, &changed);
            let got = answer(&engine, &drawn).await.map_err(TestCaseError::fail)?;
            register(&engine, table, &before[table]);
            for i in free {
                prop_assert_eq!(&got[i], &expected[i], "{} does not reach {}: {}", column, drawn.columns[i], drawn.sql);
            }
        }
    }
    Ok(true)
}

#[test]
fn a_column_that_is_not_named_does_not_matter() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, ..ProptestConfig::default() });
    let ran = std::cell::Cell::new(0);
    let tables = || [rows(), rows()];
    let strategy = (proptest::collection::vec(any::<u8>(), 8..60), tables(), tables());
    let outcome = runner.run(&strategy, |(bytes, before, after)| {
        let could = runtime.block_on(holds(&bytes, &before, &after))?;
        ran.set(ran.get() + usize::from(could));
        Ok(())
    });
    outcome.unwrap();
    assert!(ran.get() > 30, "only {} selects of 60 could be run", ran.get());
}
