//! The metadata beside a CSV file by which programs know its columns: CSV on the Web (W3C, *Metadata Vocabulary for
//! Tabular Data*), found by its name `<table>.csv-metadata.json`.
//!
//! It is frozen with its table, so it holds nothing that lives.

use arrow::datatypes::DataType;
use serde_json::{Value, json};

use super::describe::{LICENCE_URL, full_title};
use super::{Error, Labels, Sheet, text};
use crate::disclosure::ColumnSheet;

/// The metadata of a table, as the text of a JSON file.
pub(super) fn bytes(sheet: &Sheet, labels: &Labels) -> Result<String, Error> {
    let columns: Vec<Value> = sheet.columns.iter().map(|column| described(sheet, column)).collect();
    let metadata = json!({
        "@context": ["http://www.w3.org/ns/csvw", { "@language": "vi" }],
        "url": format!("{}.csv", sheet.name),
        "dc:title": text::both(&full_title(sheet, labels)),
        "dc:publisher": text::both(&labels.agency),
        "dc:license": { "@id": LICENCE_URL },
        "dc:temporal": sheet.period.interval(),
        "dialect": {
            "encoding": "utf-8", "delimiter": ",", "quoteChar": "\"", "doubleQuote": true, "header": true,
            "headerRowCount": 1, "lineTerminators": ["\r\n"], "skipInitialSpace": false, "trim": false,
        },
        "tableSchema": { "columns": columns, "primaryKey": sheet.keys() },
    });
    text::json(sheet.name, &metadata)
}

fn described(sheet: &Sheet, column: &ColumnSheet) -> Value {
    let name = column.name.as_str();
    let mut described = json!({
        "name": name,
        "titles": name,
        "dc:description": text::both(&column.meaning),
        "datatype": datatype(sheet, column),
        // A blank cell has no figure, and is never zero; `status` says why.
        "null": [""],
    });
    if let Some(object) = described.as_object_mut() {
        if !sheet.is_nullable(name) {
            object.insert("required".into(), true.into());
        }
        if !column.unit.en.is_empty() {
            object.insert("schema:unitText".into(), text::both(&column.unit));
        }
    }
    described
}

fn datatype(sheet: &Sheet, column: &ColumnSheet) -> Value {
    let base = match sheet.kind(&column.name) {
        DataType::Int64 => "integer",
        DataType::Float64 => "decimal",
        _ => "string",
    };
    let mut datatype = json!({ "base": base });
    if let Some(object) = datatype.as_object_mut() {
        let (least, most) = super::sheet::bounds(column);
        object.extend(least.map(|least| ("minimum".to_owned(), least.into())));
        object.extend(most.map(|most| ("maximum".to_owned(), most.into())));
        object.extend(super::sheet::words(column).map(|words| ("format".to_owned(), words.join("|").into())));
    }
    datatype
}
