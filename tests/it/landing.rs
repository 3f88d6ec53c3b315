//! Awkward sources: each fault is said once, in one place, with its next step,
//! and what is right beside it lands.

use std::path::{Path, PathBuf};

use chudong::calendar::AsOf;
use chudong::fault::Explain;
use chudong::landing::{self, Error, Landed, Pulled, Store};
use chudong::language::Text;
use chudong::pipeline::authorisation::{Authorisation, Class, Purpose};
use chudong::pipeline::{Column, OnFault, Source, SourceKind, SourceTable, Type};
use chudong::tables::{Table, TableName};
use jiff::civil::date;

/// The night for which all of these pulls are made.
pub fn night() -> AsOf {
    AsOf::new(date(2026, 11, 21))
}

/// A granted column that quarantines.
pub fn column(name: &str, kind: Type) -> Column {
    Column {
        name: name.into(),
        kind,
        class: Class::Personal,
        format: None,
        on_fault: OnFault::Quarantine,
        nullable: true,
        meaning: None,
    }
}

/// A table of a source, identified by its first column.
pub fn table(from: &str, columns: Vec<Column>) -> SourceTable {
    let name = from.split('.').next().unwrap().to_owned();
    SourceTable { name, from: from.into(), key: vec![columns[0].name.clone()], columns, line: None }
}

/// An authorised source.
pub fn source(kind: SourceKind, tables: Vec<SourceTable>) -> Source {
    let text = || Text { vi: "Thẻ".into(), en: "Cards".into() };
    Source {
        name: "insurance".into(),
        title: text(),
        kind,
        authorisation: Authorisation {
            owner: text(),
            legal_ground: text(),
            purposes: vec![Purpose::Reminders],
            from: date(2026, 7, 1),
            to: date(2027, 6, 30),
        },
        tables,
    }
}

fn cards(from: &str, format: Option<&str>) -> SourceTable {
    let mut valid_to = column("valid_to", Type::Date);
    valid_to.format = format.map(str::to_owned);
    let columns =
        vec![column("card_number", Type::Text), column("full_name", Type::Text), valid_to, column("fee", Type::Int)];
    table(from, columns)
}

fn csv(file: &str) -> Source {
    let kind = SourceKind::Csv { path: "data-samples/awkward".into(), delimiter: b',' };
    source(kind, vec![cards(file, Some("%d/%m/%Y"))])
}

fn sqlite(file: &str) -> Source {
    let path = PathBuf::from("data-samples/awkward").join(file);
    source(SourceKind::Sqlite { path }, vec![cards("cards", None)])
}

fn parquet(file: &str) -> Source {
    source(SourceKind::Parquet { path: "data-samples/awkward".into() }, vec![cards(file, None)])
}

fn pull(source: &Source) -> Result<Pulled, Error> {
    landing::pull(source, crate::root(), night(), &Store::Nowhere)
}

/// What a clerk would read: the faults, or the counts.
pub fn said(pulled: &Result<Pulled, Error>) -> String {
    match pulled {
        Err(error) => error.faults().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Ok(pulled) => pulled.tables.iter().map(counts).collect::<Vec<_>>().join("\n"),
    }
}

fn counts(landed: &Landed) -> String {
    let (name, read) = (&landed.name, landed.rows_read);
    let mut text = format!("{name}: read {read}, landed {}", landed.rows_landed);
    assert_eq!(landed.rows_landed + landed.rows_quarantined, read);
    for finding in &landed.findings {
        let column = finding.column.as_deref().unwrap_or("the row");
        text.push_str(&format!("\n{:?} {} for {column}: {}", finding.effect, finding.rows, finding.reason));
    }
    text
}

#[test]
fn every_awkward_file_is_explained_in_the_readme_and_tested_here() {
    let folder = crate::root().join("data-samples/awkward");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("`{name}`")) || name == "README.md", "README.md does not explain {name}");
        assert!(include_str!("landing.rs").contains(&format!("\"{name}\"")) || name == "README.md", "no test of {name}");
    }
}

#[test]
fn missing_column() {
    insta::assert_snapshot!(said(&pull(&csv("missing_column.csv"))), @"");
}

#[test]
fn renamed_column() {
    insta::assert_snapshot!(said(&pull(&csv("renamed_column.csv"))), @"");
}

#[test]
fn twice_named_column() {
    insta::assert_snapshot!(said(&pull(&csv("twice_named_column.csv"))), @"");
}

#[test]
fn wrong_type() {
    insta::assert_snapshot!(said(&pull(&csv("wrong_type.csv"))), @"");
}

#[test]
fn duplicate_key() {
    insta::assert_snapshot!(said(&pull(&csv("duplicate_key.csv"))), @"");
}

#[test]
fn empty_key() {
    insta::assert_snapshot!(said(&pull(&csv("empty_key.csv"))), @"");
}

#[test]
fn date_30_02() {
    insta::assert_snapshot!(said(&pull(&csv("date_30_02.csv"))), @"");
}

#[test]
fn date_9999() {
    insta::assert_snapshot!(said(&pull(&csv("date_9999.csv"))), @"");
}

#[test]
fn iso_date() {
    insta::assert_snapshot!(said(&pull(&csv("iso_date.csv"))), @"");
}

#[test]
fn not_a_number() {
    insta::assert_snapshot!(said(&pull(&csv("not_a_number.csv"))), @"");
}

#[test]
fn invalid_utf8() {
    insta::assert_snapshot!(said(&pull(&csv("invalid_utf8.csv"))), @"");
}

#[test]
fn utf_16() {
    insta::assert_snapshot!(said(&pull(&csv("utf_16.csv"))), @"");
}

#[test]
fn ragged_row() {
    insta::assert_snapshot!(said(&pull(&csv("ragged_row.csv"))), @"");
}

#[test]
fn open_quote() {
    insta::assert_snapshot!(said(&pull(&csv("open_quote.csv"))), @"");
}

#[test]
fn wrong_delimiter() {
    insta::assert_snapshot!(said(&pull(&csv("wrong_delimiter.csv"))), @"");
}

#[test]
fn bom() {
    insta::assert_snapshot!(said(&pull(&csv("bom.csv"))), @"");
}

#[test]
fn nfd_names() {
    insta::assert_snapshot!(said(&pull(&csv("nfd_names.csv"))), @"");
}

#[test]
fn crlf_and_quotes() {
    insta::assert_snapshot!(said(&pull(&csv("crlf_and_quotes.csv"))), @"");
}

#[test]
fn empty() {
    insta::assert_snapshot!(said(&pull(&csv("empty.csv"))), @"");
}

#[test]
fn header_only() {
    insta::assert_snapshot!(said(&pull(&csv("header_only.csv"))), @"");
}

#[test]
fn missing_table() {
    insta::assert_snapshot!(said(&pull(&sqlite("missing_table.sqlite"))), @"");
}

#[test]
fn text_in_int() {
    insta::assert_snapshot!(said(&pull(&sqlite("text_in_int.sqlite"))), @"");
}

#[test]
fn awkward_dates() {
    insta::assert_snapshot!(said(&pull(&sqlite("awkward_dates.sqlite"))), @"");
}

#[test]
fn damaged_index() {
    insta::assert_snapshot!(said(&pull(&sqlite("damaged_index.sqlite"))), @"");
}

#[test]
fn not_a_database() {
    insta::assert_snapshot!(said(&pull(&sqlite("not_a_database.sqlite"))), @"");
}

#[test]
fn truncated() {
    insta::assert_snapshot!(said(&pull(&parquet("truncated.parquet"))), @"");
}

#[test]
fn wrong_type_parquet() {
    insta::assert_snapshot!(said(&pull(&parquet("wrong_type.parquet"))), @"");
}

#[test]
fn unsigned_and_zoned() {
    insta::assert_snapshot!(said(&pull(&parquet("unsigned_and_zoned.parquet"))), @"");
}

/// Writes the two Parquet files of `data-samples/awkward/` again; the SQLite files are made by hand.
#[test]
#[ignore = "it writes into data-samples; run it when the files must change"]
fn remake_the_parquet_files() {
    use arrow::array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
    use std::sync::Arc;
    let folder = crate::root().join("data-samples/awkward");
    let write = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
        let path = folder.join(name);
        landing::write_parquet(&Table::from_batch(batch), &std::fs::File::create(&path).unwrap(), &path).unwrap();
        path
    };
    let numbers = || Arc::new(StringArray::from(vec!["BH001", "BH002", "BH003"])) as ArrayRef;
    let names = || Arc::new(StringArray::from(vec!["Nguyễn Văn An", "Trần Thị Bình", "Lê Hoàng Châu"])) as ArrayRef;
    // Midnight in Vietnam, one second later, and 9999-12-31.
    let moments = vec![1_798_650_000_000_000, 1_798_650_001_000_000, 253_402_214_400_000_000];
    let moments = || Arc::new(TimestampMicrosecondArray::from(moments.clone()).with_timezone("UTC")) as ArrayRef;
    write(
        "unsigned_and_zoned.parquet",
        vec![
            ("card_number", numbers()),
            ("full_name", names()),
            ("valid_to", moments()),
            ("fee", Arc::new(UInt64Array::from(vec![804_600, 804_600, u64::MAX]))),
        ],
    );
    let path = write(
        "wrong_type.parquet",
        vec![
            ("card_number", numbers()),
            ("full_name", names()),
            ("valid_to", moments()),
            ("fee", Arc::new(Float64Array::from(vec![804.6, 804.6, 563.22]))),
        ],
    );
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(folder.join("truncated.parquet"), &bytes[..bytes.len() / 2]).unwrap();
}
