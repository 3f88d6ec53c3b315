//! How words and values stand in JSON files: the same order, the same bytes.

use serde::Serialize;
use serde_json::{Value, json};

use super::Error;
use crate::language::Text;

/// The text of a JSON file about a table, or about the thing `table` names.
pub(super) fn json(table: &str, value: &impl Serialize) -> Result<String, Error> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|source| Error::Json { table: table.to_owned(), source })?;
    text.push('\n');
    Ok(text)
}

/// A text in both languages, as JSON-LD has it.
pub(super) fn both(text: &Text) -> Value {
    json!([{ "@language": "vi", "@value": text.vi }, { "@language": "en", "@value": text.en }])
}
