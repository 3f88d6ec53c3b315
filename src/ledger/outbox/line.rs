//! A message as an entry of the chain holds it, and the writing of many at once.

use rusqlite::Transaction;

use super::{Record, Settlement};
use crate::personal::sha256;

/// Bytes of a line, as far as they are reserved before it is written.
const LINE_BYTES: usize = 768;

/// A message in an entry. The names are in alphabetical order, as in every other body.
#[derive(serde::Serialize)]
pub(super) struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i64>,
    channel: &'a str,
    due_on: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
    item: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    message_id: &'a str,
    obligation: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    rendered_hash: &'a str,
    rule_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_address: Option<String>,
    stage: u16,
    subject: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    template_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
}

impl<'a> Line<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        Line {
            address: record.address.as_deref(),
            attempt: None,
            channel: &record.channel,
            due_on: record.due_on.to_string(),
            explanation: record.explanation.as_deref().map(sha256),
            item: &record.item,
            key: &record.key.0,
            message: record.message.as_deref(),
            message_id: &record.message_id,
            obligation: &record.obligation,
            rendered_hash: &record.rendered_hash,
            rule_version: &record.rule_version,
            sealed_address: record.sealed_address.as_deref().map(sha256),
            stage: record.stage_notice_days,
            subject: &record.subject,
            template_version: &record.template_version,
            valid_until: record.valid_until.map(|day| day.to_string()),
        }
    }

    pub(super) fn leaving(record: &'a Record, attempt: i64) -> Self {
        Line { attempt: Some(attempt), ..Line::of(record) }
    }
}

/// What became of a message, in an entry.
#[derive(serde::Serialize)]
pub(super) struct EndLine<'a> {
    key: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    state: &'static str,
}

impl<'a> EndLine<'a> {
    pub(super) fn of(settlement: &'a Settlement) -> Self {
        EndLine {
            key: &settlement.key.0,
            reason: &settlement.reason,
            retry_at: settlement.retry_at.map(|at| at.to_string()),
            state: settlement.state.word(),
        }
    }
}

pub(super) fn append_lines<L: serde::Serialize>(
    transaction: &Transaction<'_>,
    run: &str,
    kind: &str,
    lines: &[L],
) -> rusqlite::Result<i64> {
    crate::ledger::chain::append_text(transaction, run, kind, &count(lines.len()), body(lines)?)
}

/// The body of an entry of several messages.
pub(super) fn body<L: serde::Serialize>(lines: &[L]) -> rusqlite::Result<String> {
    /// The body, written at once: a tree of a thousand messages would be built only to be written.
    #[derive(serde::Serialize)]
    struct Body<'a, L> {
        messages: &'a [L],
    }
    let mut text = Vec::with_capacity(lines.len().saturating_mul(LINE_BYTES));
    let written = serde_json::to_writer(&mut text, &Body { messages: lines }).map_err(|error| error.to_string());
    written
        .and_then(|()| String::from_utf8(text).map_err(|error| error.to_string()))
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// What an entry of several messages is about, for its key.
pub(super) fn count(messages: usize) -> String {
    match messages {
        1 => "1 message".into(),
        more => format!("{more} messages"),
    }
}
