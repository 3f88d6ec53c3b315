//! The verb `query`: one select, with a limit on its time and on its rows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Ended, PLANNER_STACK_BYTES, QueryFormat, complain, explained, one, print, thread_fault};
use crate::fault::{Fault, Place};
use crate::sql::Engine;
use crate::tables::Table;
use crate::world::World;
use crate::{check, query, run};

/// The most rows that a query prints unless it is asked for all.
pub(super) const QUERY_ROWS_MAX: usize = 100_000;

/// What a query may take.
pub(super) struct Limits {
    pub(super) time: Duration,
    pub(super) rows: Option<usize>,
}

pub(super) async fn ask(
    state: &Path,
    select: Option<String>,
    format: QueryFormat,
    limits: Limits,
) -> Result<Ended, Vec<Fault>> {
    let tables = query::tables(state).map_err(one)?;
    let Some(select) = select else {
        for (name, table) in &tables {
            let columns: Vec<_> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
            print(&format!("{name} ({})\n", columns.join(", ")))?;
        }
        return Ok(Ended::Done);
    };
    let engine = Engine::new().map_err(explained)?;
    for (name, table) in &tables {
        engine.register(name, table).map_err(explained)?;
    }
    let answer = answer(engine, select, limits).await?;
    show(&answer, format)
}

/// What an analyst asks.
pub(super) struct Inquiry<'a> {
    pub(super) agency: &'a str,
    pub(super) analyst: &'a str,
    /// None where the tables are asked for.
    pub(super) select: Option<String>,
}

/// The question of an analyst, or what may be asked.
pub(super) async fn inquire(
    root: PathBuf,
    state: PathBuf,
    asked: Inquiry<'_>,
    format: QueryFormat,
    limits: Limits,
) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, asked.agency).await?;
    let Some(select) = asked.select else {
        for (table, dimensions) in run::listed(&checked, asked.analyst).map_err(one)? {
            print(&format!("{table} ({})\n", dimensions.join(", ")))?;
        }
        return Ok(Ended::Done);
    };
    let world = World::new(root, state);
    // One row more than is printed tells that there are more.
    let most = limits.rows.map(|rows| rows.saturating_add(1));
    let answer = run::inquire(&world, &checked, asked.analyst, &select, most);
    let (table, night) = match tokio::time::timeout(limits.time, answer).await {
        Ok(answer) => answer.map_err(one)?,
        Err(_) => return Err(too_late(limits.time)),
    };
    let table = within(table, limits.rows)?;
    // Beside the answer, which may go to a program: figures of a month that is still open change from night to night.
    complain(&format!("counted from what the night of {} landed\n", night.date()));
    show(&table, format)
}

fn show(table: &Table, format: QueryFormat) -> Result<Ended, Vec<Fault>> {
    let text = match format {
        QueryFormat::Table => query::as_table(table),
        QueryFormat::Csv => query::as_csv(table),
        QueryFormat::Json => query::as_json(table),
    };
    print(&text.map_err(one)?)?;
    Ok(Ended::Done)
}

fn refused(code: &'static str, what: String, next: &str) -> Vec<Fault> {
    vec![Fault::new(code, Place::Thing("the query".into()), what, next)]
}

fn too_late(time: Duration) -> Vec<Fault> {
    let what = format!("there was no answer within {} seconds", time.as_secs());
    refused("query.time", what, "ask for less, or allow more with --timeout-seconds")
}

/// A table of no more rows than are printed.
fn within(table: Table, rows: Option<usize>) -> Result<Table, Vec<Fault>> {
    match rows {
        Some(rows) if table.rows() > rows => {
            let what = format!("the answer has more than {rows} rows");
            Err(refused("query.rows", what, "end the select with a limit, or ask for all with --all-rows"))
        }
        _ => Ok(table),
    }
}

/// Runs a select on a thread of its own: one that computes without a pause cannot be stopped, only left behind.
async fn answer(engine: Engine, select: String, limits: Limits) -> Result<Table, Vec<Fault>> {
    let (send, receive) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    // One row more than is printed tells that there are more.
    let most = limits.rows.map(|rows| rows.saturating_add(1));
    let planner = move || {
        // Nobody waits for it any more when its time is over.
        drop(send.send(runtime.block_on(engine.query(&select, most))));
    };
    let thread = std::thread::Builder::new().stack_size(PLANNER_STACK_BYTES).spawn(planner);
    thread.map_err(|error| vec![thread_fault(&error)])?;
    match tokio::time::timeout(limits.time, receive).await {
        Ok(Ok(table)) => within(table.map_err(explained)?, limits.rows),
        Ok(Err(_)) => {
            let what = "the engine stopped without an answer".to_owned();
            Err(refused("query.stopped", what, "ask in another way, and report the lines above"))
        }
        Err(_) => Err(too_late(limits.time)),
    }
}
