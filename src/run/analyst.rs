//! The question of an authorised analyst: read, written down, and only then answered, by cell key.
//!
//! What is asked about are the tables that the figures are made of, from what the last night landed; of them the session
//! is given the listed columns and the record keys, and nothing else. An answer has no row for what is under the
//! threshold: what is withheld and what there is not look alike.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{cast, filter_record_batch, is_not_null};
use arrow::datatypes::{DataType, Field, Schema};

use super::explain::{Kept, last_night, none_yet};
use crate::calendar::AsOf;
use crate::check::{Checked, contract};
use crate::disclosure::cell_key::{NoiseTable, record_key};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::Ledger;
use crate::personal::{Personal, PseudonymKey};
use crate::pipeline::exact::{AnalystTable, Analysts};
use crate::sql::Engine;
use crate::sql::analyst::{Listed, Question, RECORD_KEY};
use crate::tables::{Table, TableName};
use crate::world::World;

/// The schema under which analysts know their tables.
const SCHEMA: &str = "analyst";

/// Answers one question, and says from the rows of which night. It stands in the ledger before it is answered, with what is
/// published beside it; so does one that is refused, without its text.
///
/// # Errors
///
/// Nobody may ask here, or not this analyst; a question that is refused, with what may be asked; no night, or nothing
/// kept of it; a key that cannot be had.
pub async fn inquire(
    world: &World,
    checked: &Checked,
    analyst: &str,
    select: &str,
    most: Option<usize>,
) -> Result<(Table, AsOf), Fault> {
    let analysts = admitted(checked, analyst)?;
    let listed = analysts
        .tables
        .iter()
        .map(|table| Listed { table: TableName::new(SCHEMA, &table.name), dimensions: table.dimensions.clone() });
    let noise = NoiseTable::new().map_err(|error| error.fault())?;
    let noise = Arc::new(move |count, key| noise.publish(count, key));
    let session = Engine::for_analyst(listed.collect(), noise).map_err(|error| error.fault())?;
    // The ledger of a state folder without one is not begun from here.
    let known = super::ledger_of(world, checked)?.ok_or_else(|| none_yet(world))?;
    let night = last_night(&known)?.ok_or_else(|| none_yet(world))?;
    let mut ledger = Ledger::open(&world.state, &checked.pipeline.id).map_err(|error| error.fault())?;
    let question = match session.read(select) {
        Ok(question) => question,
        Err(refused) => {
            ledger.record_question(analyst, None).map_err(|error| error.fault())?;
            return Err(refused);
        }
    };
    let key = key(analysts)?;
    let Some(table) = analysts.tables.iter().find(|table| is_about(&question, table)) else {
        return Err(Fault::new(
            "sql.analyst",
            place(),
            "the table is not listed for analysts",
            "ask about one that is",
        ));
    };
    let beside: Vec<&str> = table.beside.iter().map(|engine| engine.word()).collect();
    ledger.record_question(analyst, Some((&question.to_string(), &beside))).map_err(|error| error.fault())?;
    let kept = Kept::new(world, checked, night)?;
    let rows = private(&kept, checked, table).await?;
    let keyed = keyed(&rows, table, &key)?;
    session.register(question.table(), &keyed).map_err(|error| error.fault())?;
    let answer = session.answer(&question, most).await.map_err(|error| error.fault())?;
    Ok((told(&answer).map_err(|error| arrow(&error))?, night))
}

/// What may be asked about, for whoever lists it: tables with their dimensions.
pub fn listed(checked: &Checked, analyst: &str) -> Result<Vec<(String, Vec<String>)>, Fault> {
    let tables = &admitted(checked, analyst)?.tables;
    Ok(tables.iter().map(|table| (format!("{SCHEMA}.{}", table.name), table.dimensions.clone())).collect())
}

fn place() -> Place {
    Place::Thing("the question".into())
}

fn admitted<'c>(checked: &'c Checked, analyst: &str) -> Result<&'c Analysts, Fault> {
    let file = || Place::file(&checked.pipeline.path);
    let Some(analysts) = &checked.pipeline.analysts else {
        let next = "add [analysts] to the pipeline, with their names, the key and the tables";
        return Err(Fault::new("analyst.none", file(), "nobody may ask as an analyst here", next));
    };
    if analysts.names.iter().any(|name| name == analyst) {
        return Ok(analysts);
    }
    let next = "name an account of analysts.names, or have it added there";
    Err(Fault::new("analyst.unknown", file(), format!("\"{analyst}\" is no analyst of this agency"), next))
}

fn is_about(question: &Question, table: &AnalystTable) -> bool {
    question.table().table == table.name
}

/// The key of record keys, from where the pipeline says that it is.
fn key(analysts: &Analysts) -> Result<PseudonymKey, Fault> {
    let secret = analysts.key.resolve().map_err(|error| error.fault())?;
    let digits = secret.reveal().trim();
    let wrong = || {
        let next = "make one with `openssl rand -hex 32`, once: with another key the same question has another answer";
        Fault::new("analyst.key", Place::Thing("analysts.key".into()), "the key is not 64 hexadecimal digits", next)
    };
    let mut bytes = [0_u8; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        let pair = digits.get(place * 2..place * 2 + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(PseudonymKey::new(bytes))
}

/// The private table, made again of what is kept of the night.
async fn private(kept: &Kept<'_>, checked: &Checked, table: &AnalystTable) -> Result<Table, Fault> {
    let (schema, name) = table.of.split_once('.').unwrap_or(("", &table.of));
    let name = TableName::new(schema, name);
    let needed = checked.library.needs(&name);
    let staged: BTreeSet<TableName> = needed.iter().filter(|needed| needed.schema == "staging").cloned().collect();
    let gone = || {
        let what = format!("not all that {} is made of is kept of the last night", table.of);
        Fault::new("analyst.not-kept", place(), what, "run a night first")
    };
    if !kept.stage(&staged).await? {
        return Err(gone());
    }
    let mut made = None;
    // Models stand after those that they read.
    for model in
        checked.library.models.iter().filter(|model| needed.contains(&model.name) && model.name.schema != "staging")
    {
        let contract = contract(&checked.pipeline, model);
        let built = kept.engine.build(model, &kept.bound(None), contract.as_ref()).await;
        let built = built.map_err(|error| error.fault())?;
        made = (model.name == name).then_some(built);
    }
    made.ok_or_else(gone)
}

/// The listed columns as text, and the key of each record.
fn keyed(rows: &Table, table: &AnalystTable, key: &PseudonymKey) -> Result<Table, Fault> {
    let batch = rows.to_batch().map_err(|error| arrow(&error))?;
    let ids = rows.texts("record_id").map_err(|error| error.fault())?;
    // A record without an id has a key of its own all the same: the one of no id.
    let keys: UInt32Array =
        ids.into_iter().map(|id| record_key(key, &Personal::new(id.unwrap_or_default()))).map(Some).collect();
    let mut fields = vec![Field::new(RECORD_KEY, DataType::UInt32, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(keys)];
    for dimension in &table.dimensions {
        let Some(column) = batch.column_by_name(dimension) else { continue };
        columns.push(cast(column, &DataType::Utf8).map_err(|error| arrow(&error))?);
        fields.push(Field::new(dimension, DataType::Utf8, true));
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| arrow(&error))?;
    Ok(Table::from_batch(batch))
}

/// The answer without the rows that are under the threshold.
fn told(answer: &Table) -> Result<Table, arrow::error::ArrowError> {
    let mut batch = answer.to_batch()?;
    for place in 0..batch.num_columns() {
        let column = batch.column(place);
        if *column.data_type() == DataType::UInt64 && column.null_count() > 0 {
            let kept = is_not_null(column)?;
            batch = filter_record_batch(&batch, &kept)?;
        }
    }
    Ok(Table::from_batch(batch))
}

fn arrow(error: &arrow::error::ArrowError) -> Fault {
    // The text of such an error names types and lengths, no value.
    Fault::new(
        "analyst.table",
        place(),
        format!("the table cannot be prepared: {error}"),
        "report this, with the lines above",
    )
}
