//! The data of the first page for search engines: schema.org `Dataset` in JSON-LD, one per table.
//!
//! Every table of every period is in `dataset.jsonld` of the shelf; here is what fits a page. It is data and no script:
//! nothing runs it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::computed::folder;
use crate::publication::{Labels, Sheet};

/// As JSON that cannot end the element it stands in.
pub(super) fn json(sheets: &[Sheet], labels: &Labels) -> String {
    let mut tables: BTreeMap<&str, Vec<&Sheet>> = BTreeMap::new();
    for sheet in sheets {
        tables.entry(sheet.name).or_default().push(sheet);
    }
    let datasets: Vec<Value> = tables.values().filter_map(|sheets| dataset(sheets, labels)).collect();
    let base = &labels.base_url;
    let document = json!({
        "@context": "https://schema.org/", "@type": "DataCatalog", "@id": format!("{base}/dataset.jsonld"),
        "name": labels.unit.vi, "alternateName": labels.unit.en, "url": format!("{base}/"),
        "license": LICENCE, "dataset": datasets,
    });
    document.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

const LICENCE: &str = "https://creativecommons.org/licenses/by/4.0/";

fn dataset(sheets: &[&Sheet], labels: &Labels) -> Option<Value> {
    let (first, last) = (sheets.first()?, sheets.last()?);
    let base = &labels.base_url;
    let download = |(end, kind): (&str, &str)| {
        json!({
            "@type": "DataDownload", "encodingFormat": kind,
            "contentUrl": format!("{base}/{}/{}.{end}", folder(last), last.name),
        })
    };
    let days = |sheet: &Sheet| sheet.period.days();
    let from = sheets.iter().map(|sheet| days(sheet).0).min().unwrap_or_else(|| days(first).0);
    let to = sheets.iter().map(|sheet| days(sheet).1).max().unwrap_or_else(|| days(last).1);
    let title = last.title();
    let distribution = [("csv", "text/csv"), ("parquet", "application/vnd.apache.parquet")].map(download);
    Some(json!({
        "@type": "Dataset", "@id": format!("{base}/#{}", last.name),
        "name": format!("{}, {}", title.vi, labels.unit.vi),
        "alternateName": format!("{}, {}", title.en, labels.unit.en),
        "description": format!("{}. {}, by month. Protected so that nobody who is counted can be recognised.", title.vi, title.en),
        "identifier": last.name, "inLanguage": ["vi", "en"], "isAccessibleForFree": true, "license": LICENCE,
        "creator": { "@type": "GovernmentOrganization", "name": labels.agency.vi, "alternateName": labels.agency.en,
            "url": labels.publisher_url },
        "temporalCoverage": format!("{from}/{to}"),
        "spatialCoverage": { "@type": "Place", "name": labels.unit.vi },
        "distribution": distribution,
    }))
}
