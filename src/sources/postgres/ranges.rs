//! How a table is divided among readers: by the pages that its rows lie on.
//!
//! A row's place (`ctid`) begins with the number of its page, and the server
//! reads a range of pages without touching the others. The ranges lie side by
//! side and the last is open, so that each row of the snapshot is in exactly one
//! of them, whatever is added meanwhile.

use tokio_postgres::Client;

use super::connection::Failure;
use super::{literal, rows};
use crate::sources::Request;

/// A table of fewer pages is read by one reader: 8 MB in pages of 8 KB.
const PAGES_MIN: i64 = 1_024;

/// A range is not made smaller than so many pages: what it costs to ask for it would be felt.
const RANGE_PAGES_MIN: i64 = PAGES_MIN / 4;

/// Each range is such a part of what one reader would get of the pages that are left. So the last ranges are small, and
/// readers end together, however long each took for its first ones.
const PARTS_OF_A_READER: i64 = 3;

/// How a table is read.
pub(super) enum Division {
    /// By one reader: the table is small, cannot be divided, or there is but one.
    Whole,
    /// By one reader, out of a large table: the server finds the rows by an index, and thinks that they are so many.
    Sought { rows: u64 },
    /// By several readers, each over some of these conditions on `t`. Every row fulfils exactly one.
    Ranges(Vec<String>),
}

/// How a relation of so many pages is divided for so many readers.
pub(super) async fn divide(
    client: &Client,
    sizes: &[i64],
    select: &str,
    request: Request<'_>,
    readers: usize,
) -> Result<Division, Failure> {
    let total: i64 = sizes.iter().sum();
    if total < PAGES_MIN {
        return Ok(Division::Whole);
    }
    if request.condition.is_some()
        && let Some(rows) = finds_by_index(client, select).await?
    {
        return Ok(Division::Sought { rows });
    }
    let mut bounds = Vec::new();
    let (mut before, parts) = (0, i64::try_from(readers).unwrap_or(1).saturating_mul(PARTS_OF_A_READER));
    while total - before >= 2 * RANGE_PAGES_MIN {
        before += ((total - before) / parts).max(RANGE_PAGES_MIN);
        bounds.push(bound(sizes, before));
    }
    bounds.dedup();
    Ok(match conditions(&bounds) {
        ranges if ranges.len() > 1 => Division::Ranges(ranges),
        _ => Division::Whole,
    })
}

/// Conditions between the bounds, before the first and behind the last.
fn conditions(bounds: &[i64]) -> Vec<String> {
    let after = |page: &i64| format!("t.ctid >= '({page},0)'::pg_catalog.tid");
    let before = |page: &i64| format!("t.ctid < '({page},0)'::pg_catalog.tid");
    let Some((first, last)) = bounds.first().zip(bounds.last()) else { return vec![String::new()] };
    let inner =
        bounds.iter().zip(bounds.iter().skip(1)).map(|(low, high)| format!("{} and {}", after(low), before(high)));
    std::iter::once(before(first)).chain(inner).chain([after(last)]).collect()
}

/// The page before which lie so many of all pages, when every piece is cut at the same page.
fn bound(sizes: &[i64], wanted: i64) -> i64 {
    let before = |page: i64| sizes.iter().map(|size| page.min(*size)).sum::<i64>();
    let (mut low, mut high) = (0, sizes.iter().copied().max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) < wanted { low = middle + 1 } else { high = middle }
    }
    low
}

/// The pages of the table and of each of its partitions and children; none when they cannot be divided:
/// a view, a foreign table, or rows that lie otherwise than in a heap; or when there is but one reader.
pub(super) async fn pages(client: &Client, relation: &str, readers: usize) -> Result<Vec<i64>, Failure> {
    if readers < 2 {
        return Ok(Vec::new());
    }
    let sql = format!(
        "with recursive tree(oid) as (
             select pg_catalog.to_regclass({})::oid
             union select i.inhrelid from pg_catalog.pg_inherits i join tree on i.inhparent = tree.oid)
         select c.relkind in ('r', 'm') and am.amname = 'heap' as is_heap, c.relkind = 'p' as has_no_rows,
             case when c.relkind in ('r', 'm')
                 then pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint
                 else 0 end as pages
         from tree join pg_catalog.pg_class c on c.oid = tree.oid left join pg_catalog.pg_am am on am.oid = c.relam",
        literal(relation)
    );
    let mut sizes = Vec::new();
    for row in rows(client.simple_query(&sql).await?) {
        match (row.try_get(0)?, row.try_get(1)?) {
            (_, Some("t")) => {}
            // A partition that was dropped this moment has no size.
            (Some("t"), _) => sizes.push(row.try_get(2)?.and_then(|pages| pages.parse().ok()).unwrap_or(0)),
            _ => return Ok(Vec::new()),
        }
    }
    Ok(sizes)
}

/// How many rows the server thinks it would find, where it would find them by an index: then it must not do so once
/// for every range.
async fn finds_by_index(client: &Client, select: &str) -> Result<Option<u64>, Failure> {
    let plan = rows(client.simple_query(&format!("explain {select}")).await?);
    let lines: Vec<&str> = plan.iter().filter_map(|row| row.get(0)).collect();
    if !lines.iter().any(|line| line.contains("Index")) {
        return Ok(None);
    }
    // "Index Scan using … (cost=0.43..8.45 rows=1 width=16)"
    let rows = lines.first().and_then(|line| line.split_once(" rows=")).and_then(|(_, rest)| rest.split(' ').next());
    Ok(Some(rows.and_then(|rows| rows.parse().ok()).unwrap_or(u64::MAX)))
}
