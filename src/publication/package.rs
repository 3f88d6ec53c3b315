//! The data package of a period (Frictionless Data, *Tabular Data Package*), `datapackage.json`.
//!
//! It lists the CSV files of a period with their schemas and hashes. Parquet files are named beside them and not among
//! them: a tool that checks the package needs no Parquet reader.

use arrow::datatypes::DataType;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::describe::{LICENCE_NAME, LICENCE_TITLE, LICENCE_URL, full_title};
use super::{Error, Labels, Sheet, text};
use crate::language::Language;
use crate::personal::hex;

/// The name of the file.
pub(super) const NAME: &str = "datapackage.json";

/// One table of the package.
pub(super) struct Resource(Value);

/// A table with the bytes of its two files.
pub(super) fn resource(sheet: &Sheet, labels: &Labels, csv: &[u8], parquet: &[u8]) -> Resource {
    let title = full_title(sheet, labels);
    let fields: Vec<Value> = sheet.columns.iter().map(|column| field(sheet, column)).collect();
    let digest = |bytes: &[u8]| format!("sha256:{}", hex(&Sha256::digest(bytes)));
    Resource(json!({
        "name": sheet.name,
        "path": format!("{}.csv", sheet.name),
        "profile": "tabular-data-resource",
        "title": title.get(Language::Vi),
        "description": title.get(Language::En),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": csv.len(),
        "hash": digest(csv),
        "dialect": {
            "delimiter": ",", "lineTerminator": "\r\n", "quoteChar": "\"", "doubleQuote": true, "header": true,
            "skipInitialSpace": false,
        },
        // A blank cell has no figure, and is never zero; `status` says why.
        "schema": { "fields": fields, "missingValues": [""], "primaryKey": sheet.keys() },
        "parquet": { "path": format!("{}.parquet", sheet.name), "bytes": parquet.len(), "hash": digest(parquet) },
    }))
}

fn field(sheet: &Sheet, column: &crate::disclosure::ColumnSheet) -> Value {
    let name = column.name.as_str();
    let mut constraints = serde_json::Map::new();
    let kind = match sheet.kind(name) {
        DataType::Int64 => "integer",
        DataType::Float64 => "number",
        _ => "string",
    };
    if !sheet.is_nullable(name) {
        constraints.insert("required".into(), true.into());
    }
    let (least, most) = super::sheet::bounds(column);
    constraints.extend(least.map(|least| ("minimum".to_owned(), least.into())));
    constraints.extend(most.map(|most| ("maximum".to_owned(), most.into())));
    constraints.extend(super::sheet::words(column).map(|words| ("enum".to_owned(), json!(words))));
    json!({
        "name": name, "type": kind, "title": column.title.get(Language::Vi),
        "description": column.meaning.get(Language::En), "constraints": constraints,
    })
}

/// The package of a period, as the text of a JSON file.
///
/// `of` is any table of it: its period and folder are those of all.
pub(super) fn bytes(of: &Sheet, resources: Vec<Resource>, labels: &Labels) -> Result<String, Error> {
    let (name, period, unit) = (&of.folder, of.period, &labels.unit);
    let package = json!({
        "name": name.to_lowercase(),
        "id": format!("{}/{name}/", labels.base_url),
        "profile": "tabular-data-package",
        "title": format!("{}: số liệu {}", unit.get(Language::Vi), period.words(Language::Vi)),
        "description": format!("{}: figures of {}", unit.get(Language::En), period.words(Language::En)),
        "licenses": [{ "name": LICENCE_NAME, "title": LICENCE_TITLE, "path": LICENCE_URL }],
        "contributors": [{ "title": labels.agency.get(Language::Vi), "role": "publisher" }],
        "resources": resources.into_iter().map(|resource| resource.0).collect::<Vec<_>>(),
    });
    text::json(name, &package)
}

/// The package without a table that was withdrawn; none where it does not list it.
pub(super) fn without(package: &[u8], table: &str) -> Option<String> {
    let mut package: Value = serde_json::from_slice(package).ok()?;
    let resources = package.get_mut("resources")?.as_array_mut()?;
    resources.retain(|resource| resource.get("name").and_then(Value::as_str) != Some(table));
    text::json(table, &package).ok()
}
