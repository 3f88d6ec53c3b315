//! The run history as tables, for queries. No person and no pseudonym is in them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use rusqlite::types::Value;

use super::{Error, Ledger};
use crate::tables::{Table, TableName};

/// Name, columns with whether they hold numbers, and the select that fills them.
type View = (&'static str, &'static [(&'static str, bool)], &'static str);

const VIEWS: [View; 7] = [
    (
        "runs",
        &[("run", false), ("as_of", false), ("started_at", false), ("finished_at", false), ("outcome", false)],
        "select run, as_of, started_at, finished_at, outcome from run order by entry",
    ),
    (
        "pulls",
        &[
            ("run", false),
            ("at", false),
            ("source_table", false),
            ("legal_ground", false),
            ("asked", false),
            ("mode", false),
            ("rows_read", true),
            ("rows_landed", true),
            ("rows_quarantined", true),
            ("rows_changed", true),
            ("rows_deleted", true),
        ],
        "select run, at, key, body ->> 'legal_ground', body ->> 'asked', body ->> 'mode', body ->> 'rows_read',
                body ->> 'rows_landed', body ->> 'rows_quarantined', body ->> 'rows_changed', body ->> 'rows_deleted'
         from entry where kind = 'pull' order by seq",
    ),
    (
        "failed_pulls",
        &[("run", false), ("at", false), ("source_table", false), ("code", false), ("what", false)],
        "select run, at, key, body ->> 'code', body ->> 'what' from entry where kind = 'pull.failed' order by seq",
    ),
    // Whom it concerned is not in it, not even as a pseudonym.
    (
        "erasures",
        &[("at", false), ("source_table", false), ("generations", true), ("rows", true)],
        "select at, key, json_array_length(body, '$.generations'), body ->> 'rows'
         from entry where kind = 'erased' order by seq",
    ),
    (
        "messages",
        &[
            ("run", false),
            ("item", false),
            ("stage_notice_days", true),
            ("channel", false),
            ("state", false),
            ("messages", true),
        ],
        "select run, item, stage, channel, state, count(*) from outbox group by run, item, stage, channel, state order by 1, 2, 3",
    ),
    // Counts by the month in which they are due: no person and no pseudonym.
    (
        "obligations",
        &[("item", false), ("state", false), ("month", false), ("late", true), ("obligations", true)],
        "select item, state, substr(due_on, 1, 7), coalesce(fulfilled_on > due_on, 0), count(*)
         from obligation group by 1, 2, 3, 4 order by 1, 3, 2, 4",
    ),
    (
        "releases",
        &[
            ("period", false),
            ("policy", false),
            ("rho", false),
            ("state", false),
            ("release_id", false),
            ("attempt", true),
        ],
        "select period, policy, rho, state, release_id, attempt from release order by period, attempt",
    ),
];

impl Ledger {
    /// The run history: `history.runs`, `history.pulls`, `history.failed_pulls`, `history.erasures`,
    /// `history.messages`, `history.obligations`, `history.releases`.
    pub fn history(&self) -> Result<Vec<(TableName, Table)>, Error> {
        VIEWS.iter().map(|view| Ok((TableName::new("history", view.0), self.view(view)?))).collect()
    }

    fn view(&self, (_, columns, select): &View) -> Result<Table, Error> {
        let failed = |source| self.failed("read the history", source);
        let mut select = self.connection.prepare(select).map_err(failed)?;
        let mut cells: Vec<Vec<Value>> = vec![Vec::new(); columns.len()];
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            for (index, column) in cells.iter_mut().enumerate() {
                column.push(row.get(index).map_err(failed)?);
            }
        }
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for ((name, is_number), values) in columns.iter().zip(cells) {
            fields.push(Field::new(*name, if *is_number { DataType::Int64 } else { DataType::Utf8 }, true));
            arrays.push(if *is_number {
                Arc::new(values.iter().map(number).collect::<Int64Array>())
            } else {
                Arc::new(values.iter().map(text).collect::<StringArray>())
            });
        }
        let schema = Arc::new(Schema::new(fields));
        let batches = RecordBatch::try_new(Arc::clone(&schema), arrays).into_iter().collect();
        Ok(Table { schema, batches })
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(value) => Some(*value),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(value) => Some(value.to_string()),
        Value::Real(value) => Some(value.to_string()),
        Value::Null | Value::Blob(_) => None,
    }
}
