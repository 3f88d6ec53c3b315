//! The catalogue of the shelf, `catalog.jsonld`: DCAT-AP 3 in JSON-LD, by which data portals find what is published; and
//! `dataset.jsonld`, the same in the words of schema.org, by which search engines do.
//!
//! Both live: they are made anew from what stands on the shelf whenever something is put there or taken away.

use serde_json::{Map, Value, json};

use super::describe::LICENCE_URL;
use super::stock::{File, Place, Sheet, Stock, Tombstone};
use super::{Error, Issued, Labels, text};
use crate::language::Text;

/// The vocabulary of themes, frequencies, formats and statuses that DCAT-AP prescribes.
const AUTHORITY: &str = "http://publications.europa.eu/resource/authority";

/// The catalogue, as the text of a JSON-LD file.
pub(super) fn dcat(stock: &Stock, labels: &Labels, issued: &Issued) -> Result<String, Error> {
    let mut graph = vec![Value::Null];
    let mut listed = Vec::new();
    let mut tables: Vec<&Sheet> = Vec::new();
    for place in &stock.places {
        for sheet in &place.sheets {
            listed.push(json!({ "@id": dataset_id(labels, place, &sheet.table) }));
            graph.push(dataset(stock, place, sheet, labels, issued));
            if !tables.iter().any(|known| known.table == sheet.table) {
                tables.push(sheet);
            }
        }
        for tombstone in &place.tombstones {
            listed.push(json!({ "@id": dataset_id(labels, place, &tombstone.table) }));
            graph.push(withdrawn(place, tombstone, labels));
        }
    }
    for sheet in tables {
        listed.push(json!({ "@id": series_id(labels, &sheet.table) }));
        graph.push(series(sheet, labels));
    }
    if let Some(first) = graph.first_mut() {
        *first = catalogue(labels, &listed);
    }
    let document = json!({
        "@context": {
            "adms": "http://www.w3.org/ns/adms#", "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/",
            "rdfs": "http://www.w3.org/2000/01/rdf-schema#", "spdx": "http://spdx.org/rdf/terms#",
            "vcard": "http://www.w3.org/2006/vcard/ns#", "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@graph": graph,
    });
    text::json("catalog", &document)
}

fn catalogue(labels: &Labels, listed: &[Value]) -> Value {
    let title = Text::new(format!("Dữ liệu mở: {}", labels.unit.vi), format!("Open data: {}", labels.unit.en));
    let about = Text::new(
        "Số liệu chất lượng phục vụ, được bảo vệ để không nhận ra được người nào.",
        "Figures of service quality, protected so that nobody can be recognised in them.",
    );
    json!({
        "@id": format!("{}/catalog.jsonld#catalog", labels.base_url),
        "@type": "dcat:Catalog",
        "dct:title": text::both(&title),
        "dct:description": text::both(&about),
        "dct:publisher": publisher(labels),
        "dct:license": id(LICENCE_URL),
        "dct:language": [id(&format!("{AUTHORITY}/language/VIE")), id(&format!("{AUTHORITY}/language/ENG"))],
        "dct:spatial": place_of(labels),
        "dcat:themeTaxonomy": id(&format!("{AUTHORITY}/data-theme")),
        "dcat:dataset": listed,
        "foaf:homepage": { "@id": format!("{}/", labels.base_url), "@type": "foaf:Document" },
    })
}

/// What a dataset of any kind has.
fn common(labels: &Labels, place: &Place, table: &str) -> Map<String, Value> {
    let (first, last) = place.period.days();
    let (kind, _, _) = place.period.number();
    let frequency = match kind {
        "week" => "WEEKLY",
        "month" => "MONTHLY",
        "quarter" => "QUARTERLY",
        _ => "ANNUAL",
    };
    let day = |day: &str| json!({ "@type": "xsd:date", "@value": day });
    let fields = [
        ("@id", json!(dataset_id(labels, place, table))),
        ("@type", json!("dcat:Dataset")),
        ("dct:identifier", json!(format!("{}/{table}", place.path))),
        ("dct:publisher", publisher(labels)),
        ("dcat:contactPoint", contact(labels)),
        ("dcat:theme", id(&format!("{AUTHORITY}/data-theme/GOVE"))),
        ("dct:accessRights", id(&format!("{AUTHORITY}/access-right/PUBLIC"))),
        ("dct:accrualPeriodicity", id(&format!("{AUTHORITY}/frequency/{frequency}"))),
        ("dct:spatial", place_of(labels)),
        (
            "dct:temporal",
            json!({ "@type": "dct:PeriodOfTime", "dcat:startDate": day(&first), "dcat:endDate": day(&last) }),
        ),
        ("dcat:landingPage", json!({ "@id": format!("{}/", labels.base_url), "@type": "foaf:Document" })),
        ("dcat:inSeries", id(&series_id(labels, table))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn dataset(stock: &Stock, place: &Place, sheet: &Sheet, labels: &Labels, issued: &Issued) -> Value {
    let mut dataset = common(labels, place, &sheet.table);
    let mut put = |name: &str, value: Value| drop(dataset.insert(name.to_owned(), value));
    put("dct:title", text::both(&sheet.title.text()));
    put("dct:description", text::both(&description(sheet)));
    put("dcat:keyword", keywords());
    put("dct:conformsTo", json!({ "@id": "http://www.w3.org/ns/csvw", "@type": "dct:Standard" }));
    put("dct:provenance", json!({ "@type": "dct:ProvenanceStatement", "rdfs:label": text::both(&protection()) }));
    put("dcat:version", json!(version(place, sheet)));
    put("dcat:distribution", sheet.files.iter().map(|file| distribution(place, file, labels)).collect());
    if let Some(day) = issued.get(&place.path) {
        put("dct:issued", json!({ "@type": "xsd:date", "@value": day }));
    }
    if let Some(earlier) = earlier(stock, place, &sheet.table) {
        put("dcat:previousVersion", id(&dataset_id(labels, earlier, &sheet.table)));
    }
    if place.restated > 0 {
        put("adms:versionNotes", text::both(&restated(place.restated)));
    }
    Value::Object(dataset)
}

/// What stands in place of a table that was withdrawn: that it was there, since when it is not, and why.
fn withdrawn(place: &Place, tombstone: &Tombstone, labels: &Labels) -> Value {
    let mut dataset = common(labels, place, &tombstone.table);
    let mut put = |name: &str, value: Value| drop(dataset.insert(name.to_owned(), value));
    let title = Text::new(
        format!("Đã thu hồi: {}/{}", place.path, tombstone.table),
        format!("Withdrawn: {}/{}", place.path, tombstone.table),
    );
    let about = Text::new(
        format!("Thu hồi ngày {}. Lý do: {}", tombstone.withdrawn_on, tombstone.reason),
        format!("Withdrawn on {}. Reason: {}", tombstone.withdrawn_on, tombstone.reason),
    );
    put("dct:title", text::both(&title));
    put("dct:description", text::both(&about));
    put("adms:status", id(&format!("{AUTHORITY}/dataset-status/WITHDRAWN")));
    put("dct:modified", json!({ "@type": "xsd:date", "@value": tombstone.withdrawn_on }));
    Value::Object(dataset)
}

fn series(sheet: &Sheet, labels: &Labels) -> Value {
    let about = Text::new("Cùng một bảng qua các kỳ", "The same table over its periods");
    json!({
        "@id": series_id(labels, &sheet.table),
        "@type": "dcat:DatasetSeries",
        "dct:title": { "@language": "en", "@value": sheet.table },
        "dct:description": text::both(&about),
        "dct:publisher": publisher(labels),
        "dcat:contactPoint": contact(labels),
    })
}

fn distribution(place: &Place, file: &File, labels: &Labels) -> Value {
    let url = format!("{}/{}/{}", labels.base_url, place.path, file.name);
    let media = file.media_type.split(';').next().unwrap_or_default();
    let format = if media == "text/csv" { "CSV" } else { "PARQUET" };
    let mut distribution = json!({
        "@id": format!("{url}#distribution"),
        "@type": "dcat:Distribution",
        "dct:title": { "@language": "en", "@value": file.name },
        "dcat:accessURL": id(&url),
        "dcat:downloadURL": id(&url),
        "dct:format": id(&format!("{AUTHORITY}/file-type/{format}")),
        "dcat:mediaType": id(&format!("http://www.iana.org/assignments/media-types/{media}")),
        "dcat:byteSize": { "@type": "xsd:nonNegativeInteger", "@value": file.bytes.to_string() },
        "dct:license": id(LICENCE_URL),
        "adms:status": id(&format!("{AUTHORITY}/distribution-status/COMPLETED")),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": id("http://spdx.org/rdf/terms#checksumAlgorithm_sha256"),
            "spdx:checksumValue": { "@type": "xsd:hexBinary", "@value": file.sha256 },
        },
    });
    if format == "CSV"
        && let Some(object) = distribution.as_object_mut()
    {
        object.insert("dct:conformsTo".into(), json!({ "@id": "http://www.w3.org/ns/csvw", "@type": "dct:Standard" }));
    }
    distribution
}

/// The newest form of each table in the words of schema.org, as the text of a JSON-LD file.
pub(super) fn schema_org(stock: &Stock, labels: &Labels, issued: &Issued) -> Result<String, Error> {
    let datasets: Vec<Value> =
        stock.newest().into_iter().map(|(place, sheet)| schema_dataset(place, sheet, labels, issued)).collect();
    let document = json!({
        "@context": "https://schema.org/",
        "@type": "DataCatalog",
        "@id": format!("{}/dataset.jsonld", labels.base_url),
        "name": format!("Dữ liệu mở: {}", labels.unit.vi),
        "alternateName": format!("Open data: {}", labels.unit.en),
        "url": format!("{}/", labels.base_url),
        "license": LICENCE_URL,
        "publisher": organisation(labels),
        "dataset": datasets,
    });
    text::json("dataset", &document)
}

fn schema_dataset(place: &Place, sheet: &Sheet, labels: &Labels, issued: &Issued) -> Value {
    let download = |file: &File| {
        json!({
            "@type": "DataDownload", "contentUrl": format!("{}/{}/{}", labels.base_url, place.path, file.name),
            "encodingFormat": file.media_type.split(';').next().unwrap_or_default(), "sha256": file.sha256,
            "contentSize": format!("{} B", file.bytes),
        })
    };
    let measured = |column: &super::stock::Column| {
        let unit = column.unit.text();
        let mut value =
            json!({ "@type": "PropertyValue", "name": column.name, "description": column.meaning.text().vi });
        if let Some(object) = value.as_object_mut().filter(|_| !unit.vi.is_empty()) {
            object.insert("unitText".into(), unit.vi.into());
        }
        value
    };
    let (title, about) = (sheet.title.text(), description(sheet));
    let mut dataset = json!({
        "@type": "Dataset", "@id": dataset_id(labels, place, &sheet.table),
        "name": title.vi, "alternateName": title.en,
        "description": format!("{} {}", about.vi, about.en),
        "identifier": format!("{}/{}", place.path, sheet.table), "version": version(place, sheet),
        "inLanguage": ["vi", "en"], "isAccessibleForFree": true, "license": LICENCE_URL,
        "creator": organisation(labels), "temporalCoverage": place.period.interval(),
        "spatialCoverage": { "@type": "Place", "name": labels.unit.vi, "alternateName": labels.unit.en },
        "distribution": sheet.files.iter().map(download).collect::<Vec<_>>(),
        "variableMeasured": sheet.columns.iter().map(measured).collect::<Vec<_>>(),
    });
    if let (Some(object), Some(day)) = (dataset.as_object_mut(), issued.get(&place.path)) {
        object.insert("datePublished".into(), day.clone().into());
    }
    dataset
}

/// The form of the table before this one: an earlier restatement, the first form, the preliminary edition.
fn earlier<'s>(stock: &'s Stock, place: &Place, table: &str) -> Option<&'s Place> {
    let has = |other: &&Place| {
        other.period == place.period
            && (other.is_final, other.restated) < (place.is_final, place.restated)
            && other.sheets.iter().any(|sheet| sheet.table == table)
    };
    stock.places.iter().filter(has).max_by_key(|other| (other.is_final, other.restated))
}

fn version(place: &Place, sheet: &Sheet) -> String {
    match (place.restated, &sheet.edition) {
        (0, Some(edition)) => edition.clone(),
        (0, None) => "1".into(),
        (number, _) => format!("restated {number}"),
    }
}

fn description(sheet: &Sheet) -> Text {
    let (title, rows) = (sheet.title.text(), sheet.rows);
    Text::new(
        format!("{}: {rows} dòng. Ô trống nghĩa là không có số liệu, không phải số không.", title.vi),
        format!("{}: {rows} rows. A blank cell has no figure; it does not mean zero.", title.en),
    )
}

fn protection() -> Text {
    Text::new(
        "Số liệu đã qua kiểm soát tiết lộ trước khi công bố; cách bảo vệ nêu trong tệp JSON của từng bảng.",
        "The figures went through disclosure control before publication; the JSON sheet of each table says how.",
    )
}

fn restated(number: u32) -> Text {
    Text::new(
        format!("Đính chính lần {number}: giá trị cũ, giá trị mới và lý do có trong cùng thư mục"),
        format!("Restatement {number}: old values, new values and the reason are in the same folder"),
    )
}

fn keywords() -> Value {
    json!([
        { "@language": "vi", "@value": "chất lượng phục vụ" }, { "@language": "en", "@value": "service quality" },
        { "@language": "vi", "@value": "thủ tục hành chính" }, { "@language": "en", "@value": "administrative procedures" },
    ])
}

fn publisher(labels: &Labels) -> Value {
    json!({ "@id": labels.publisher_url, "@type": "foaf:Agent", "foaf:name": text::both(&labels.agency) })
}

fn contact(labels: &Labels) -> Value {
    json!({ "@type": "vcard:Organization", "vcard:fn": text::both(&labels.contact), "vcard:hasURL": id(&labels.publisher_url) })
}

fn organisation(labels: &Labels) -> Value {
    json!({
        "@type": "GovernmentOrganization", "name": labels.agency.vi, "alternateName": labels.agency.en,
        "url": labels.publisher_url,
    })
}

/// The province, by its code in the national list (Decision 19/2025/QĐ-TTg) and its name.
fn place_of(labels: &Labels) -> Value {
    json!({
        "@type": "dct:Location", "@id": format!("{}/catalog.jsonld#unit-{}", labels.base_url, labels.unit_code),
        "dct:identifier": labels.unit_code, "rdfs:label": text::both(&labels.unit),
    })
}

fn id(iri: &str) -> Value {
    json!({ "@id": iri })
}

fn dataset_id(labels: &Labels, place: &Place, table: &str) -> String {
    format!("{}/{}/{table}#dataset", labels.base_url, place.path)
}

fn series_id(labels: &Labels, table: &str) -> String {
    format!("{}/catalog.jsonld#{table}", labels.base_url)
}
