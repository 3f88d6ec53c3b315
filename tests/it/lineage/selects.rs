//! Each way of writing a select, with the columns that it takes part of and how.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use chudong::sql::Engine;
use chudong::tables::{Table, TableName};

use super::{lineage, shown};

/// `s.t(id, a, b, c)`, `s.u(id, d, e)` of whole numbers, `s.w(id, on_day, tags, place)` of other types.
fn engine() -> Engine {
    let engine = Engine::new().unwrap();
    let register = |table: &str, fields: Vec<Field>| {
        let table_of = Table { schema: Arc::new(Schema::new(fields)), batches: Vec::new() };
        engine.register(&TableName::new("s", table), &table_of).unwrap();
    };
    let ints = |names: &[&str]| names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>();
    register("t", ints(&["id", "a", "b", "c"]));
    register("u", ints(&["id", "d", "e"]));
    let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let place = DataType::Struct(ints(&["x", "y"]).into());
    let mut other = ints(&["id"]);
    other.push(Field::new("on_day", DataType::Date32, true));
    other.push(Field::new("tags", texts, true));
    other.push(Field::new("place", place, true));
    register("w", other);
    engine
}

/// Each is one way of writing; the snapshot was read line by line.
const SELECTS: &[&str] = &[
    // Names.
    "select a, b as renamed, a + b as sum, 1 as one from s.t",
    "select x.a from s.t as x where x.b > 1",
    "select x.first from (select a, b from s.t) as x(first, second)",
    "select * from s.t",
    "with everything as (select * from s.t) select a from everything",
    "with one as (select a as b, b as a from s.t), two as (select b as z from one) select z from two",
    "select x.* from s.t as x join s.u as y on x.id = y.id",
    // Which rows.
    "select a from s.t where b > 1 and c is null",
    "select a from s.t order by b limit 3",
    "select distinct a from s.t",
    "select a from (select distinct a, b from s.t) as x",
    "select distinct on (b) a from s.t order by b, c",
    "select count(*) as n from s.t",
    // Joins.
    "select t.a, u.d from s.t join s.u on t.id = u.id and t.b < u.e",
    "select id, a, d from s.t join s.u using (id)",
    "select id, a, d from s.t full join s.u using (id)",
    "select a, d from s.t natural join s.u",
    "select t.a from s.t, s.u",
    "select t.a from s.t left semi join s.u on t.id = u.id",
    "select a from s.t intersect select d from s.u",
    "select a from s.t except select d from s.u",
    // Subqueries.
    "select a from s.t where exists (select * from s.u where u.id = t.id and u.d > 1)",
    "select a from s.t where not exists (select e from s.u)",
    "select a from s.t where b in (select d from s.u where e > 1)",
    "select a, (select max(d) from s.u where u.id = t.id) as most from s.t",
    "select exists (select 1 from s.u where u.id = t.id) as is_there from s.t",
    "select a from s.t where exists (select 1 from s.u where u.id = t.id and exists (select 1 from s.w where w.id = u.d))",
    "select a from s.t where b > any (select d from s.u)",
    // Several arms.
    "select a, b from s.t union all select d, e from s.u",
    "select a from s.t union select d from s.u",
    "select 'a' as kind, a as number from s.t union all select 'd', d from s.u where e = 1",
    // Aggregates.
    "select a, sum(b) as total from s.t group by a",
    "select a, count(*) as n from s.t group by a having sum(b) > 1",
    "select a + 1 as next, max(b) - min(c) as spread from s.t group by a + 1",
    "select sum(a) filter (where b > 1) as some from s.t",
    "select count(distinct a) as n from s.t",
    "select array_agg(a order by b) as list from s.t",
    "select a, b, sum(c) as total from s.t group by rollup (a, b)",
    "select a, b, sum(c) as total, grouping(a) as g from s.t group by grouping sets ((a), (b))",
    "select a, max(b) as most from s.t group by a, a",
    // Windows.
    "select a, row_number() over (partition by b order by c) as n from s.t",
    "select sum(a) over (partition by b) as total, lag(a) over (order by c) as before from s.t",
    "select a from (select a, row_number() over (partition by b order by c) as n from s.t) as x where n = 1",
    "select a from s.t qualify row_number() over (partition by b order by c) = 1",
    // Values and decisions.
    "select case when a > 1 then b else c end as x from s.t",
    "select case a when b then 1 else 2 end as x from s.t",
    "select coalesce(a, b) as x, nullif(a, c) as y, a is null as z, a between b and c as w from s.t",
    "select cast(a as varchar) || '-' as x from s.t",
    "select add_months(on_day, id, 'clamp') as x from s.w",
    "select x.one from (values (1, 2), (3, 4)) as x(one, two)",
    "select x.k, t.a from s.t join (values (1)) as x(k) on x.k = t.b",
    // Sets of rows out of one, and round and round.
    "select id, unnest(tags) as tag from s.w",
    "select id, place['x'] as x from s.w",
    "select t.a, x.most from s.t, lateral (select max(d) as most from s.u where u.id = t.id) as x",
    "with recursive up as (select id, a from s.t where b = 1 union all select t.id, up.a from s.t join up on t.c = up.id) select a from up",
];

#[tokio::test]
async fn every_way_of_writing_is_followed() {
    let engine = engine();
    let mut text = String::new();
    for select in SELECTS {
        let found = lineage(&engine, select).await;
        text.push_str(&format!("{select}\n"));
        for (name, flow) in &found.columns {
            text.push_str(&format!("  {name} = {}\n", shown(flow)).replace("= \n", "=\n"));
        }
        if !found.rows.is_empty() {
            text.push_str(&format!("  rows: {}\n", shown(&found.rows)));
        }
        let tables: Vec<String> = found.tables.iter().map(ToString::to_string).collect();
        text.push_str(&format!("  reads {}\n", tables.join(" ")));
    }
    insta::assert_snapshot!("selects", text);
}
