//! Sources that are files: large and broken CSV, NDJSON, workbooks, Parquet and objects, and row filters over them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chudong::landing::{self, Pulled, Store};
use chudong::pipeline::filter::{Condition, Dates, Filter};
use chudong::pipeline::law::Law;
use chudong::pipeline::{Column, Family, SourceKind, SourceTable, Type};
use chudong::sources::{Answer, Batch, Error, Request, Snapshot};
use jiff::civil::date;
use proptest::prelude::*;

use crate::landing::{column, night, said, source, table};
use crate::types::{AWKWARD_DATES, awkward_dates, golden};

fn csv(folder: &Path) -> SourceKind {
    SourceKind::Csv { path: folder.into(), delimiter: b',' }
}

fn ndjson(folder: &Path) -> SourceKind {
    SourceKind::NdJson { path: folder.into() }
}

fn workbooks() -> SourceKind {
    SourceKind::Excel { path: crate::root().join("tests/it/workbooks") }
}

fn pull(kind: SourceKind, table: SourceTable) -> Result<Pulled, landing::Error> {
    landing::pull(&source(kind, vec![table]), crate::root(), night(), &Store::Nowhere)
}

/// What was read, by row: its number, its values as text, and its faults.
type Read = BTreeMap<u64, (Vec<String>, Vec<String>)>;

fn read(kind: &SourceKind, table: &SourceTable, condition: Option<&Condition>) -> Result<(Answer, Read), Error> {
    let mut snapshot = Snapshot::open(&source(kind.clone(), vec![table.clone()]), crate::root()).unwrap();
    let rows = Mutex::new(Read::new());
    let answer = snapshot.read(Request { table, condition }, &|batch: Batch| {
        let mut rows = rows.lock().unwrap();
        for row in 0..batch.rows.num_rows() {
            let value = |array: &ArrayRef| arrow::util::display::array_value_to_string(array, row).unwrap();
            let values = batch.rows.columns().iter().map(value).collect();
            let faults = batch.faults.iter().filter(|fault| fault.row == row).map(|fault| fault.reason.to_string());
            assert!(rows.insert(batch.number_of(row), (values, faults.collect())).is_none(), "a number twice");
        }
        Ok(())
    })?;
    let rows = rows.into_inner().unwrap();
    assert_eq!((answer.received.rows, answer.counted.rows), (rows.len() as u64, rows.len() as u64));
    Ok((answer, rows))
}

/// A read as lines, for reading in a review.
fn lines(read: &Read) -> String {
    let line = |(number, (values, faults)): (&u64, &(Vec<String>, Vec<String>))| {
        format!("{number}: {} {}", values.join(" | "), faults.join(", ")).trim_end().to_owned()
    };
    read.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The condition that a filter says on the tests' night.
fn condition(text: &str, columns: &[Column]) -> Condition {
    let dates = Dates {
        as_of: date(2026, 11, 21),
        until: date(2027, 1, 21),
        since: date(2026, 10, 22),
        known_on: date(2026, 11, 21),
        law: &Law { rules: Vec::new() },
    };
    Filter::parse(text, columns).unwrap().on(dates).unwrap()
}

// ---- CSV ------------------------------------------------------------------------

/// A CSV file of more than one block: every row as the csv crate has it, with its number.
fn is_as_the_library_has_it(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large.csv"), text).unwrap();
    let columns = vec![column("id", Type::Text), column("text", Type::Text)];
    let (answer, rows) = read(&csv(folder.path()), &table("large", columns), None).unwrap();
    let mut library = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let expected: Vec<_> = library.records().map(Result::unwrap).collect();
    assert_eq!(answer.counted.rows, expected.len() as u64);
    for (place, (record, (number, (values, faults)))) in expected.iter().zip(&rows).enumerate() {
        assert_eq!(*number, place as u64 + 1);
        if record.len() == 2 {
            assert_eq!((values[0].as_str(), values[1].as_str()), (&record[0], &record[1]));
            assert!(faults.is_empty());
        } else {
            assert_eq!(faults, &["wrong number of fields"]);
        }
    }
}

#[test]
fn a_large_file_is_read_in_blocks_and_each_row_keeps_its_number() {
    let long = "x".repeat(2000);
    let mut text = "id,text\n".to_owned();
    for row in 0..2400 {
        match row {
            700 => text.push_str("ragged\n"),
            900 => text.push_str("\n\n"),
            _ => text.push_str(&format!("{row},{long}{row}\r\n")),
        }
    }
    is_as_the_library_has_it(&text);
}

#[test]
fn quotation_marks_and_line_ends_inside_them_may_stand_on_the_edge_of_a_block() {
    let mut text = "id,text\n".to_owned();
    for row in 0..2400 {
        let inner = "a \"\"quoted\"\" text,\nof lines\r\n".repeat(row % 100 + 20);
        text.push_str(&format!("\"{row}\",\"{inner}\"\n"));
    }
    is_as_the_library_has_it(&text);
}

#[test]
fn a_record_that_is_too_long_is_a_fault_of_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let huge = "huge\n".repeat(3 << 20);
    std::fs::write(folder.path().join("huge.csv"), format!("id,text\n1,a\n2,\"{huge}\"\n3,c\n4,d\n")).unwrap();
    let columns = vec![column("id", Type::Int), column("text", Type::Text)];
    let (_, rows) = read(&csv(folder.path()), &table("huge", columns), None).unwrap();
    insta::assert_snapshot!(lines(&rows), @r"
    1: 1 | a
    2:  |  text too long
    3: 3 | c
    4: 4 | d
    ");
    // A quotation mark that is never closed is told by its line, whatever follows it.
    std::fs::write(folder.path().join("huge.csv"), format!("id,text\n1,a\n2,\"{huge}")).unwrap();
    let wanted = table("huge", vec![column("id", Type::Int)]);
    let said = said(&pull(csv(folder.path()), wanted)).replace(&folder.path().display().to_string(), "folder");
    insta::assert_snapshot!(said, @r"
    error[sources.open-quote]: a quotation mark that is opened here is never closed
      at:   folder/huge.csv:3
      next: close it, or double it where it belongs to the text, and export again
    ");
}

#[test]
fn a_file_that_is_written_to_while_it_is_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cards.csv");
    std::fs::write(&path, "id\n1\n2\n").unwrap();
    let wanted = table("cards", vec![column("id", Type::Int)]);
    let mut snapshot = Snapshot::open(&source(csv(folder.path()), vec![wanted.clone()]), crate::root()).unwrap();
    let answer = snapshot.read(Request { table: &wanted, condition: None }, &|_| {
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"3\n"))
            .unwrap();
        Ok(())
    });
    assert!(matches!(answer, Err(Error::Changed { .. })), "{answer:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Texts that are nearly dates or numbers are what the library that knows them all says they are.
    #[test]
    fn short_ways_give_the_answers_of_the_long_ones(
        texts in prop::collection::vec(("[0-9]{1,2}[/.][0-9]{1,2}/[0-9]{3,5}|[0-3][0-9]/[01][0-9]/(19|2[012])[0-9]{2}", "[+-]?[0-9]{0,20}[.]?"), 50),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<_> = texts.iter().enumerate().map(|(id, (day, number))| format!("{id},{day},{number}\n")).collect();
        std::fs::write(folder.path().join("near.csv"), format!("id,day,number\n{}", lines.concat())).unwrap();
        let day = Column { format: Some("%d/%m/%Y".into()), ..column("day", Type::Date) };
        let near = table("near", vec![column("id", Type::Int), day, column("number", Type::Int)]);
        let rows = read(&csv(folder.path()), &near, None).unwrap().1;
        for ((day, number), (values, faults)) in texts.iter().zip(rows.values()) {
            let parsed = jiff::fmt::strtime::BrokenDownTime::parse("%d/%m/%Y", day).and_then(|parts| parts.to_date());
            let expected = parsed.ok().filter(|date| (1900..=2200).contains(&date.year())).map(|date| date.to_string());
            prop_assert_eq!(&values[1], &expected.clone().unwrap_or_default(), "{}", day);
            let whole = number.parse::<i64>().ok().map(|number| number.to_string());
            prop_assert_eq!(&values[2], &whole.clone().unwrap_or_default(), "{}", number);
            prop_assert_eq!(faults.len(), usize::from(expected.is_none()) + usize::from(whole.is_none() && !number.is_empty()));
        }
    }
}

// ---- NDJSON ---------------------------------------------------------------------

#[test]
fn each_line_is_an_object_and_each_value_keeps_its_digits() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"id": 1, "name": "Nguy\u1ec5n V\u0103n An", "fee": 9007199254740993, "rate": 1234567890123456.78, "paid": true, "due": "2026-11-21", "tags": ["a", null, "\"b\""]}
{"id": 2, "name": null, "other": {"deep": [1, {"x": "}"}]}}

{"id": 3, "fee": 1.5, "rate": "1.5", "paid": 1, "due": 20261121, "tags": "a", "name": 97086071395}
{"id": 4, "fee": 1e2, "rate": 0.125, "paid": "true", "due": "2026-02-30", "tags": [["a"]], "name": {"first": "An"}}
{"id": 5, "name": "a", "name": "b"}
[6]
{"id": 7
{"id": 8, "name": "lone \ud800", "fee": -0, "rate": -12.50}
{"id": 9, "rate": 123456789012345678901234567890, "fee": 99999999999999999999}  
"#;
    std::fs::write(folder.path().join("cards.ndjson"), text).unwrap();
    let columns = vec![
        column("id", Type::Int),
        column("due", Type::Date),
        column("fee", Type::Int),
        column("name", Type::Text),
        column("paid", Type::Bool),
        column("rate", Type::Decimal { digits: 20, scale: 2 }),
        column("tags", Type::List(Family::Text)),
    ];
    let cards = table("cards", columns);
    insta::assert_snapshot!(lines(&read(&ndjson(folder.path()), &cards, None).unwrap().1), @r#"
    1: 1 | 2026-11-21 | 9007199254740993 | Nguyễn Văn An | true | 1234567890123456.78 | [a, , "b"]
    2: 2 |  |  |  |  |  |
    3: 3 |  |  |  |  |  |  not a date, not a whole number, not a text, not yes or no, not a number, not a list
    4: 4 |  |  |  |  |  |  no such day, not a number, an object in place of a value, not yes or no, more decimals than declared, a list of lists
    5:  |  |  |  |  |  |  a name twice in one object
    6:  |  |  |  |  |  |  not a JSON object
    7:  |  |  |  |  |  |  not a JSON object
    8: 8 |  | 0 |  |  | -12.50 |  invalid UTF-8
    9: 9 |  |  |  |  |  |  number too large, number too large
    "#);
    insta::assert_snapshot!(said(&pull(ndjson(folder.path()), cards)), @r"
    insurance.cards: read 9, landed 2
    Quarantined 2 for the row: not a JSON object
    Quarantined 1 for the row: a name twice in one object
    Quarantined 1 for due: not a date
    Quarantined 1 for due: no such day
    Quarantined 1 for fee: not a whole number
    Quarantined 1 for fee: not a number
    Quarantined 1 for fee: number too large
    Quarantined 1 for name: not a text
    Quarantined 1 for name: invalid UTF-8
    Quarantined 1 for name: an object in place of a value
    Quarantined 2 for paid: not yes or no
    Quarantined 1 for rate: not a number
    Quarantined 1 for rate: number too large
    Quarantined 1 for rate: more decimals than declared
    Quarantined 1 for tags: not a list
    Quarantined 1 for tags: a list of lists
    ");
    let missing = table("cards", vec![column("id", Type::Int), column("nobody", Type::Text)]);
    insta::assert_snapshot!(said(&pull(ndjson(folder.path()), missing)), @r#"
    error[landing.missing-column]: the source has no column "nobody"
      at:   table insurance.cards
      next: correct columns in pipeline.toml, or ask the owner of the source what has changed
    "#);
    std::fs::write(folder.path().join("empty.jsonl"), " \n").unwrap();
    let empty = table("empty", vec![column("id", Type::Int)]);
    let said = said(&pull(ndjson(folder.path()), empty)).replace(&folder.path().display().to_string(), "folder");
    insta::assert_snapshot!(said, @r"
    error[sources.empty]: the file is empty, not one object is in it
      at:   folder/empty.jsonl
      next: ask the owner for the file again; an export of no rows is not taken for one
    ");
}

#[test]
fn exact_numbers_in_a_list_keep_their_digits() {
    let folder = tempfile::tempdir().unwrap();
    let objects = [
        r#"{"id": 1, "paid": [1.5, null, -804600, 1234567.89]}"#,
        r#"{"id": 2, "paid": [0.001]}"#,
        r#"{"id": 3, "paid": ["1.50"]}"#,
        r#"{"id": 4, "paid": 1.5}"#,
        r#"{"id": 5, "paid": [10000000]}"#,
    ];
    std::fs::write(folder.path().join("fees.ndjson"), objects.join("\n")).unwrap();
    let fees = table("fees", vec![column("id", Type::Int), column("paid", Type::DecimalList { digits: 9, scale: 2 })]);
    let (_, rows) = read(&ndjson(folder.path()), &fees, None).unwrap();
    insta::assert_snapshot!(lines(&rows));
    // Parquet keeps them as what they are.
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(arrow::array::Int64Array::from(vec![1, 2]))),
        ("paid", {
            let values = arrow::array::Decimal128Builder::new().with_precision_and_scale(12, 3).unwrap();
            let mut lists = arrow::array::ListBuilder::new(values);
            lists.append_value([Some(1_500), None]);
            lists.append_value([Some(1_505)]);
            Arc::new(lists.finish())
        }),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write_parquet(&folder.path().join("fees.parquet"), &batch, 10);
    let (_, rows) = read(&SourceKind::Parquet { path: folder.path().into() }, &fees, None).unwrap();
    insta::assert_snapshot!(lines(&rows));
}

#[test]
fn golden_dates_of_ndjson() {
    let folder = tempfile::tempdir().unwrap();
    let members: Vec<_> = AWKWARD_DATES.iter().map(|(name, iso, _)| format!("\"{name}\": \"{iso}\"")).collect();
    std::fs::write(folder.path().join("dates.ndjson"), format!("{{\"id\": 1, {}}}\n", members.join(", "))).unwrap();
    let cannot = ["other_zone", "other_zone_evening"];
    insta::assert_snapshot!("ndjson", golden(&pull(ndjson(folder.path()), awkward_dates("dates", &cannot))));
}

// ---- Workbooks ------------------------------------------------------------------

fn cards(from: &str) -> SourceTable {
    let mut local = column("local", Type::Date);
    local.format = Some("%d/%m/%Y".into());
    let mut cards = table(
        from,
        vec![
            column("card_number", Type::Text),
            column("fee", Type::Int),
            column("full_name", Type::Text),
            local,
            column("moment", Type::Timestamp),
            column("paid", Type::Bool),
            column("rate", Type::Decimal { digits: 9, scale: 2 }),
            column("valid_to", Type::Date),
        ],
    );
    cards.name = "cards".into();
    cards
}

#[test]
fn a_sheet_is_read_by_the_types_of_its_cells() {
    for file in ["cards.xlsx", "cards_1904.xlsx", "cards.xls", "cards.ods"] {
        let (_, rows) = read(&workbooks(), &cards(file), None).unwrap();
        insta::assert_snapshot!(file, lines(&rows));
    }
    // By its name; the first one without.
    let (_, rows) = read(&workbooks(), &cards("cards.xlsx#Thẻ"), None).unwrap();
    assert_eq!(rows, read(&workbooks(), &cards("cards"), None).unwrap().1);
    insta::assert_snapshot!(said(&pull(workbooks(), cards("cards.xlsx#Nobody"))), @r#"
    error[landing.missing-table]: the source has no table "cards.xlsx#Nobody"
      at:   table insurance.cards
      next: correct from in pipeline.toml, or ask the owner of the source what has changed
    "#);
    insta::assert_snapshot!(said(&pull(workbooks(), cards("cards.xlsx"))), @r"
    insurance.cards: read 8, landed 2
    Quarantined 1 for card_number: not a text
    Quarantined 2 for fee: not a whole number
    Quarantined 1 for local: not a date
    Quarantined 1 for local: no such day
    Quarantined 1 for valid_to: not a date
    Quarantined 1 for valid_to: no such day
    Quarantined 1 for valid_to: time of day in a date
    Quarantined 1 for valid_to: an error in the cell
    ");
}

#[test]
fn golden_dates_of_workbooks() {
    let cannot = ["other_zone", "other_zone_evening"];
    insta::assert_snapshot!("xlsx", golden(&pull(workbooks(), awkward_dates("dates.xlsx", &cannot))));
}

/// Reads a workbook of these bytes; whether it was refused as one that cannot be read.
fn is_refused(name: &str, bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let pulled = pull(SourceKind::Excel { path: folder.path().into() }, cards(name));
    said(&pulled).starts_with("error[sources.workbook]: the workbook cannot be read")
}

#[test]
fn sizes_that_a_workbook_cannot_have_are_not_believed() {
    let root = crate::root().join("tests/it/workbooks");
    let old = std::fs::read(root.join("cards.xls")).unwrap();
    let dimensions = old.windows(4).position(|record| record == [0x00, 0x02, 14, 0]).unwrap() + 4;
    // First row, row after the last, first column, column after the last.
    for (place, byte) in [(3, 0xff), (7, 0xff), (7, 0x01), (8, 0x40), (11, 0xff), (9, 0x20)] {
        let mut bytes = old.clone();
        bytes[dimensions + place] = byte;
        assert!(is_refused("cards.xls", &bytes), "{place}");
    }
    let new = std::fs::read(root.join("cards.xlsx")).unwrap();
    for (stated, is_too_many) in [("1", false), ("999999999999", true), ("99999999999999999999999", true), ("40", true)]
    {
        let mut made = zip::ZipWriter::new_append(std::io::Cursor::new(new.clone())).unwrap();
        made.start_file("xl/sharedStrings.xml", zip::write::SimpleFileOptions::default()).unwrap();
        let texts = format!(
            r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" uniqueCount="{stated}"><si><t>a</t></si></sst>"#
        );
        std::io::Write::write_all(&mut made, texts.as_bytes()).unwrap();
        assert_eq!(is_refused("cards.xlsx", &made.finish().unwrap().into_inner()), is_too_many, "{stated}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged workbook is refused or gives as many rows as it has; it never brings the process down.
    #[test]
    fn a_damaged_workbook_never_brings_the_process_down(
        name in prop::sample::select(vec!["cards.xlsx", "cards.xls", "cards.ods"]),
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
        is_cut in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::fs::read(crate::root().join("tests/it/workbooks").join(name)).unwrap();
        if is_cut { bytes.truncate(place.index(bytes.len())); } else { *place.get_mut(&mut bytes) = value; }
        std::fs::write(folder.path().join(name), bytes).unwrap();
        if let Ok(pulled) = pull(SourceKind::Excel { path: folder.path().into() }, cards(name)) {
            for landed in &pulled.tables {
                prop_assert_eq!(landed.rows_landed + landed.rows_quarantined, landed.rows_read);
            }
        }
    }
}

// ---- Row filters ----------------------------------------------------------------

#[test]
fn a_row_whose_filter_column_cannot_be_read_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = "id,due,fee\n1,2026-11-20,1\n2,2026-11-21,2\n3,2026-02-30,3\n4,,4\n5,2026-12-01,x\n6,2026-11-01,x\n7,9999-12-31,7\n8\n";
    std::fs::write(folder.path().join("cards.csv"), text).unwrap();
    let cards = table("cards", vec![column("id", Type::Int), column("due", Type::Date), column("fee", Type::Int)]);
    let due = condition("due between $as_of and $until", &cards.columns);
    let (answer, rows) = read(&csv(folder.path()), &cards, Some(&due)).unwrap();
    insta::assert_snapshot!(lines(&rows), @r"
    2: 2 | 2026-11-21 | 2
    3: 3 |  | 3 no such day
    5: 5 | 2026-12-01 |  not a whole number
    7: 7 |  | 7 date outside 1900 to 2200
    8:  |  |  wrong number of fields
    ");
    assert!(answer.asked.ends_with("(8 rows in all)") && answer.asked.contains(" where "), "{}", answer.asked);
}

/// A filtered table lands what passes, and sets aside, with its number, what cannot be judged.
fn lands_and_sets_aside(kind: SourceKind, mut table: SourceTable, filter: &str) -> String {
    table.filter = Some(Filter::parse(filter, &table.columns).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::Folder(folder.path().to_owned());
    let pulled = landing::pull(&source(kind, vec![table]), crate::root(), night(), &store);
    let mut text = said(&pulled);
    let room = std::fs::read_dir(folder.path().join("insurance.cards")).unwrap();
    for path in room.map(|entry| entry.unwrap().path()) {
        if path.to_string_lossy().ends_with(".quarantine.parquet") {
            let table = landing::read_generation(&path).unwrap();
            text.push_str(&format!(
                "\nrows {:?}",
                table.ints("row_number").unwrap().into_iter().flatten().collect::<Vec<_>>()
            ));
        }
    }
    text
}

#[test]
fn a_date_that_cannot_be_read_is_set_aside_whatever_the_filter_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let cards = |from: &str| {
        let mut cards = table(from, vec![column("id", Type::Int), column("due", Type::Date)]);
        cards.name = "cards".into();
        cards
    };
    let filter = "due between $as_of and $until";
    let dues = ["2026-11-20", "2026-11-21", "2026-02-30", "9999-12-31", "2027-12-01", "0001-01-01", "soon"];
    let expected = "insurance.cards: read 5, landed 1\nQuarantined 1 for due: not a date\n\
                    Quarantined 1 for due: no such day\nQuarantined 2 for due: date outside 1900 to 2200\nrows [3, 4, 6, 7]";

    let lines: String = (1..).zip(dues).map(|(id, due)| format!("{id},{due}\n")).collect();
    std::fs::write(folder.path().join("cards.csv"), format!("id,due\n{lines}")).unwrap();
    assert_eq!(lands_and_sets_aside(csv(folder.path()), cards("cards"), filter), expected);

    let objects: String = (1..).zip(dues).map(|(id, due)| format!("{{\"id\":{id},\"due\":\"{due}\"}}\n")).collect();
    std::fs::write(folder.path().join("cards.ndjson"), objects).unwrap();
    assert_eq!(lands_and_sets_aside(ndjson(folder.path()), cards("cards"), filter), expected);

    let ids = || Arc::new(arrow::array::Int64Array::from_iter_values(1..8)) as ArrayRef;
    let texts = Arc::new(arrow::array::StringArray::from_iter_values(dues)) as ArrayRef;
    let texts = RecordBatch::try_from_iter([("id", ids()), ("due", texts)]).unwrap();
    // Each row group by itself may seem to hold nothing that is due.
    write_parquet(&folder.path().join("cards.parquet"), &texts, 1);
    let parquet = SourceKind::Parquet { path: folder.path().into() };
    assert_eq!(lands_and_sets_aside(parquet.clone(), cards("cards"), filter), expected);

    let days = dues.map(|due| due.parse().map_or(-700_000, chudong::calendar::to_days));
    let days = Arc::new(arrow::array::Date32Array::from_iter_values(days)) as ArrayRef;
    let days = RecordBatch::try_from_iter([("id", ids()), ("due", days)]).unwrap();
    write_parquet(&folder.path().join("days.parquet"), &days, 1);
    let outside =
        "insurance.cards: read 5, landed 1\nQuarantined 4 for due: date outside 1900 to 2200\nrows [3, 4, 6, 7]";
    assert_eq!(lands_and_sets_aside(parquet, cards("days"), filter), outside);

    let store = crate::support::s3::Store::start();
    store.put("texts.parquet", parquet_bytes(&texts, 1));
    store.put("days.parquet", parquet_bytes(&days, 1));
    let bucket = || SourceKind::ObjectStore(store.bucket(""));
    assert_eq!(lands_and_sets_aside(bucket(), cards("texts"), filter), expected);
    assert_eq!(lands_and_sets_aside(bucket(), cards("days"), filter), outside);
}

#[test]
fn a_cell_that_holds_no_date_is_set_aside_whatever_the_filter() {
    let sheet = |from: &str, filter: &str| {
        let mut cards = table(from, vec![column("full_name", Type::Text), column("valid_to", Type::Date)]);
        cards.name = "cards".into();
        cards.key = vec!["valid_to".into()];
        lands_and_sets_aside(workbooks(), cards, filter)
    };
    for file in ["cards.xlsx", "cards.xls", "cards.ods"] {
        let all = sheet(file, "valid_to is not null or valid_to is null");
        let none = sheet(file, "valid_to > date '2190-01-01'");
        insta::assert_snapshot!(format!("cells_without_dates_{file}"), format!("{all}\n\nwith a filter:\n{none}"));
    }
}

#[test]
fn a_row_has_its_own_number_also_behind_rows_that_a_filter_left_out() {
    let folder = tempfile::tempdir().unwrap();
    // The third and the last row share a key; one of them has a fault besides.
    let text =
        "id,due\n1,2026-01-01\n2,2026-01-01\n7,2026-11-21\n3,2026-01-01\n8,2026-11-22\n4,2026-01-01\n7,2026-02-30\n";
    std::fs::write(folder.path().join("cards.csv"), text).unwrap();
    let cards = table("cards", vec![column("id", Type::Int), column("due", Type::Date)]);
    insta::assert_snapshot!(lands_and_sets_aside(csv(folder.path()), cards, "due >= $as_of"), @r"
    insurance.cards: read 3, landed 1
    Quarantined 2 for the row: duplicate key
    Quarantined 1 for due: no such day
    rows [3, 7, 7]
    ");
}

/// The words of random filters.
fn filters() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]), -3_i64..4)
            .prop_map(|(sign, value)| format!("n {sign} {value}")),
        (prop::sample::select(vec!["=", "<>", "<", ">="]), 1_u8..28)
            .prop_map(|(sign, day)| format!("d {sign} date '2026-11-{day:02}'")),
        prop::sample::select(vec!["a", "b", "Ä"]).prop_map(|value| format!("t <> '{value}'")),
        prop::sample::select(vec!["n is null", "d is not null", "t is null"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

/// The rows of random tables: a number, a day of November and a text, each of which may be empty.
fn records() -> impl Strategy<Value = Vec<(Option<i64>, Option<u8>, Option<&'static str>)>> {
    let record = (
        prop::option::of(-3_i64..4),
        prop::option::of(1_u8..28),
        prop::option::of(prop::sample::select(vec!["a", "b", "c", "Ä", "é"])),
    );
    prop::collection::vec(record, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// What cannot filter gives the rows that SQLite gives.
    #[test]
    fn files_filter_as_sqlite_does(text in filters(), records in records()) {
        let folder = tempfile::tempdir().unwrap();
        let connection = rusqlite::Connection::open(folder.path().join("t.sqlite")).unwrap();
        connection.execute_batch("create table t (id integer, d text, n integer, t text); begin").unwrap();
        let (mut lines, mut objects) = ("id,d,n,t\n".to_owned(), String::new());
        for (id, (n, d, t)) in records.iter().enumerate() {
            let d = d.map(|day| format!("2026-11-{day:02}"));
            connection.execute("insert into t values (?1, ?2, ?3, ?4)", (id as i64, &d, n, t)).unwrap();
            let show = |value: Option<String>| value.unwrap_or_default();
            lines.push_str(&format!("{id},{},{},{}\n", show(d.clone()), show(n.map(|n| n.to_string())), show(t.map(str::to_owned))));
            objects.push_str(&serde_json::json!({"id": id, "d": d, "n": n, "t": t}).to_string());
            objects.push('\n');
        }
        connection.execute_batch("commit").unwrap();
        std::fs::write(folder.path().join("t.csv"), lines).unwrap();
        std::fs::write(folder.path().join("t.ndjson"), objects).unwrap();
        let columns = vec![column("id", Type::Int), column("d", Type::Date), column("n", Type::Int), column("t", Type::Text)];
        let wanted = table("t", columns);
        let ids = arrow::array::Int64Array::from_iter_values(0..records.len() as i64);
        let days = records.iter().map(|(_, d, _)| d.map(|day| chudong::calendar::to_days(date(2026, 11, day as i8))));
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(ids) as ArrayRef),
            ("d", Arc::new(arrow::array::Date32Array::from_iter(days))),
            ("n", Arc::new(arrow::array::Int64Array::from_iter(records.iter().map(|(n, ..)| *n)))),
            ("t", Arc::new(arrow::array::StringArray::from_iter(records.iter().map(|(.., t)| *t)))),
        ]).unwrap();
        write_parquet(&folder.path().join("t.parquet"), &batch, 7);
        let holds = condition(&text, &wanted.columns);
        let ids = |kind: SourceKind| -> Vec<String> {
            read(&kind, &wanted, Some(&holds)).unwrap().1.into_values().map(|(values, _)| values[0].clone()).collect()
        };
        let expected = ids(SourceKind::Sqlite { path: folder.path().join("t.sqlite") });
        prop_assert_eq!(&ids(csv(folder.path())), &expected);
        prop_assert_eq!(&ids(ndjson(folder.path())), &expected);
        prop_assert_eq!(&ids(SourceKind::Parquet { path: folder.path().into() }), &expected);
    }
}

// ---- Parquet --------------------------------------------------------------------

fn parquet_bytes(batch: &RecordBatch, rows_of_group: usize) -> Vec<u8> {
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(rows_of_group)).build();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn write_parquet(path: &Path, batch: &RecordBatch, rows_of_group: usize) {
    std::fs::write(path, parquet_bytes(batch, rows_of_group)).unwrap();
}

#[test]
fn every_type_of_parquet_fills_its_declared_type_or_says_why_not() {
    use arrow::array::*;
    let nanos = vec![Some(1_795_249_800_000_000_000), Some(1_795_249_800_000_000_001), Some(i64::MAX), None];
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_value([]);
    lists.append_null();
    lists.append_value([Some(4)]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2, 3, 4]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None, Some(b"a")]))),
        ("civil", Arc::new(TimestampNanosecondArray::from(nanos.clone()))),
        (
            "far",
            Arc::new(TimestampMillisecondArray::from(vec![
                253_402_214_400_000,
                -2_208_988_800_000,
                i64::MAX,
                i64::MIN,
            ])),
        ),
        ("lists", Arc::new(lists.finish())),
        ("moment", Arc::new(TimestampNanosecondArray::from(nanos).with_timezone("UTC"))),
        (
            "money",
            Arc::new(
                Decimal128Array::from(vec![Some(1250), Some(-1), Some(100_000_000), None])
                    .with_precision_and_scale(18, 2)
                    .unwrap(),
            ),
        ),
        ("time", Arc::new(Time64NanosecondArray::from(vec![Some(30_600_000_000_000), Some(1), None, Some(0)]))),
        (
            "wide",
            Arc::new(
                Decimal256Array::from(vec![
                    Some(arrow::datatypes::i256::MAX),
                    Some(arrow::datatypes::i256::from_i128(-12_345)),
                    None,
                    None,
                ])
                .with_precision_and_scale(76, 3)
                .unwrap(),
            ),
        ),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_parquet(&folder.path().join("all.parquet"), &batch, 2);
    let kind = || SourceKind::Parquet { path: folder.path().into() };
    let all = table(
        "all",
        vec![
            column("id", Type::Int),
            column("bytes", Type::Bytes),
            column("civil", Type::Timestamp),
            column("far", Type::Date),
            column("lists", Type::List(Family::Int)),
            column("moment", Type::Instant),
            column("money", Type::Decimal { digits: 8, scale: 2 }),
            column("time", Type::Time),
            column("wide", Type::Decimal { digits: 40, scale: 3 }),
        ],
    );
    insta::assert_snapshot!(lines(&read(&kind(), &all, None).unwrap().1), @r"
    1: 1 | 00ff | 2026-11-21T08:30:00 |  | [1, ] | 2026-11-21T08:30:00Z | 12.50 | 08:30:00 |  date outside 1900 to 2200, number too large
    2: 2 |  |  | 1900-01-01 | [] |  | -0.01 |  | -12.345 more decimals than declared, more decimals than declared, more decimals than declared
    3: 3 |  |  |  |  |  |  |  |  more decimals than declared, date outside 1900 to 2200, more decimals than declared, number too large
    4: 4 | 61 |  |  | [4] |  |  | 00:00:00 |  date outside 1900 to 2200
    ");
    insta::assert_snapshot!(said(&pull(kind(), all)), @r"
    insurance.all: read 4, landed 0
    Quarantined 2 for civil: more decimals than declared
    Quarantined 3 for far: date outside 1900 to 2200
    Quarantined 2 for moment: more decimals than declared
    Quarantined 1 for money: number too large
    Quarantined 1 for time: more decimals than declared
    Quarantined 1 for wide: number too large
    ");
}

#[test]
fn golden_dates_of_parquet() {
    use arrow::array::{Date32Array, Int64Array, TimestampMicrosecondArray};
    let folder = tempfile::tempdir().unwrap();
    let mut columns: Vec<(&str, ArrayRef)> = vec![("id", Arc::new(Int64Array::from(vec![1])))];
    let cannot = [
        "zero_date",
        "zero_month",
        "february_30",
        "no_leap_year",
        "infinity",
        "end_of_day",
        "two_digits",
        "other_zone",
        "other_zone_evening",
    ];
    for (name, iso, _) in AWKWARD_DATES.iter().filter(|(name, ..)| !cannot.contains(name)) {
        let before_christ = match *name {
            "before_christ" => Some(date(-43, 3, 15)),
            "bc_2026" => Some(date(-2025, 11, 21)),
            "minus_44" => Some(date(-44, 3, 15)),
            _ => None,
        };
        let array: ArrayRef = match iso.parse::<jiff::civil::DateTime>() {
            _ if let Some(day) = before_christ => Arc::new(Date32Array::from(vec![chudong::calendar::to_days(day)])),
            Ok(civil) if iso.len() > 10 => {
                let micros = i64::from(chudong::calendar::to_days(civil.date())) * 86_400_000_000
                    + i64::from(civil.hour()) * 3_600_000_000
                    + i64::from(civil.minute()) * 60_000_000;
                Arc::new(TimestampMicrosecondArray::from(vec![micros]))
            }
            _ => Arc::new(Date32Array::from(vec![chudong::calendar::to_days(iso.parse().unwrap())])),
        };
        columns.push((name, array));
    }
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write_parquet(&folder.path().join("dates.parquet"), &batch, 10);
    let kind = SourceKind::Parquet { path: folder.path().into() };
    let dates = golden(&pull(kind, awkward_dates("dates", &cannot)));
    insta::assert_snapshot!("parquet", dates);
    // The same file in a store is the same table.
    let store = crate::support::s3::Store::start();
    store.put("dates.parquet", parquet_bytes(&batch, 10));
    assert_eq!(golden(&pull(SourceKind::ObjectStore(store.bucket("")), awkward_dates("dates", &cannot))), dates);
}

#[test]
fn a_row_group_that_cannot_pass_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let batch =
        RecordBatch::try_from_iter([("id", Arc::new(arrow::array::Int64Array::from_iter_values(0..1000)) as ArrayRef)])
            .unwrap();
    let mut bytes = parquet_bytes(&batch, 100);
    // The pages of the first row group are destroyed: whoever reads them fails.
    bytes[4..60].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let wanted = table("t", vec![column("id", Type::Int)]);
    let kind = SourceKind::Parquet { path: folder.path().into() };
    let high = condition("id >= 950", &wanted.columns);
    let (answer, rows) = read(&kind, &wanted, Some(&high)).unwrap();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), (951..=1000).collect::<Vec<_>>());
    assert!(answer.asked.ends_with("(1000 rows in all)"), "{}", answer.asked);
    assert!(read(&kind, &wanted, Some(&condition("id >= 50", &wanted.columns))).is_err());
}

// ---- SQLite ---------------------------------------------------------------------

#[test]
fn several_connections_see_one_state_of_a_file_that_others_write_to() {
    for journal in ["delete", "wal"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.sqlite");
        let writer = rusqlite::Connection::open(&path).unwrap();
        writer.busy_timeout(std::time::Duration::ZERO).unwrap();
        writer.query_row(&format!("pragma journal_mode = {journal}"), [], |_| Ok(())).unwrap();
        writer
            .execute_batch(
                "create table large (id integer, fee integer, due text, filling text); begin;
                with recursive n (i) as (select 1 union all select i + 1 from n where i < 220000)
                insert into large (rowid, id, fee, due, filling)
                    select i * i, i, 9000000000000000000, '2026-11-21', printf('%.70c', 'x') from n; commit",
            )
            .unwrap();
        let mut wanted =
            table("large", vec![column("id", Type::Int), column("due", Type::Date), column("fee", Type::Int)]);
        wanted.control_totals = vec!["fee".into(), "due".into()];
        let kind = SourceKind::Sqlite { path: path.clone() };
        let mut snapshot = Snapshot::open(&source(kind, vec![wanted.clone()]), crate::root()).unwrap();
        let changed = writer.execute("update large set id = -id, fee = 1", []);
        // Without a log nobody can write while we read; with one, others can, and we do not see it.
        assert_eq!(changed.is_ok(), journal == "wal", "{changed:?}");
        let threads = Mutex::new(std::collections::BTreeSet::new());
        let numbers = Mutex::new(vec![false; 220_000]);
        let answer = snapshot.read(Request { table: &wanted, condition: None }, &|batch: Batch| {
            threads.lock().unwrap().insert(format!("{:?}", std::thread::current().id()));
            let mut numbers = numbers.lock().unwrap();
            for (row, id) in batch.rows.column(0).as_primitive::<Int64Type>().iter().enumerate() {
                assert_eq!(id, Some(batch.number_of(row) as i64));
                assert!(!std::mem::replace(&mut numbers[batch.number_of(row) as usize - 1], true));
            }
            Ok(())
        });
        let answer = answer.unwrap();
        assert_eq!(answer.counted, answer.received);
        assert!(answer.counted.keys.is_some_and(|digest| digest != 0));
        assert_eq!(answer.counted.sums["fee"], (220_000, 9_000_000_000_000_000_000 * 220_000));
        assert_eq!(answer.counted.sums["due"], (220_000, 20_778 * 220_000));
        assert!(numbers.into_inner().unwrap().iter().all(|seen| *seen));
        let is_alone = std::thread::available_parallelism().map_or(1, usize::from) == 1;
        assert!(is_alone || threads.into_inner().unwrap().len() > 1);
    }
}

#[test]
fn sqlite_digests_the_keys_of_the_rows_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fees.sqlite");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer
        .execute_batch(
            "create table fees (code, part real, bytes blob);
             with recursive n (i) as (select 1 union all select i + 1 from n where i < 2000)
             insert into fees select case i % 3 when 0 then i else 'Hà' || i end, i / 4.0, randomblob(i % 5) from n;
             insert into fees values (null, null, null)",
        )
        .unwrap();
    let mut wanted =
        table("fees", vec![column("code", Type::Text), column("part", Type::Float), column("bytes", Type::Bytes)]);
    wanted.key = ["code", "part", "bytes"].map(str::to_owned).to_vec();
    let ask = |wanted: &SourceTable| {
        let mut snapshot =
            Snapshot::open(&source(SourceKind::Sqlite { path: path.clone() }, vec![wanted.clone()]), crate::root());
        let condition = condition("part <= 300", &wanted.columns);
        let request = Request { table: wanted, condition: Some(&condition) };
        snapshot.as_mut().unwrap().read(request, &|_| Ok(())).unwrap()
    };
    let before = ask(&wanted);
    assert_eq!(before.counted, before.received);
    assert!(before.counted.keys.is_some() && (1200..2000).contains(&before.counted.rows));
    // A row that is not asked for is in no digest.
    writer.execute("delete from fees where part > 400", []).unwrap();
    assert_eq!(ask(&wanted).counted, before.counted);
    // One row less and another twice: the same number of rows, but not the same keys.
    writer
        .execute_batch("delete from fees where code = 'Hà5'; insert into fees select * from fees where code = 'Hà7'")
        .unwrap();
    let after = ask(&wanted);
    assert_eq!((&after.counted, after.counted.rows), (&after.received, before.counted.rows));
    assert_ne!(after.counted.keys, before.counted.keys);
    writer.execute("delete from fees", []).unwrap();
    let empty = ask(&wanted);
    assert_eq!((&empty.counted, empty.counted.keys), (&empty.received, Some(0)));
    wanted.key.clear();
    assert_eq!(ask(&wanted).counted.keys, None);
}

// ---- Objects --------------------------------------------------------------------

#[test]
fn objects_of_a_store_are_one_table_in_one_version() {
    let store = crate::support::s3::Store::start();
    let rows = |from: i64, to: i64| {
        let names = arrow::array::StringArray::from_iter_values((from..to).map(|id| format!("name {id}")));
        let columns: [(&str, ArrayRef); 2] =
            [("id", Arc::new(arrow::array::Int64Array::from_iter_values(from..to))), ("name", Arc::new(names))];
        parquet_bytes(&RecordBatch::try_from_iter(columns).unwrap(), 5)
    };
    store.put("nightly/cards/part-0.parquet", rows(0, 250));
    store.put("nightly/cards/part-1.parquet", rows(250, 400));
    store.put("nightly/cards/_SUCCESS", Vec::new());
    store.put("nightly/cards-of-others.parquet", rows(0, 1));
    let kind = || SourceKind::ObjectStore(store.bucket("nightly/"));
    let cards = |from: &str| {
        let mut cards = table(from, vec![column("id", Type::Int), column("name", Type::Text)]);
        cards.name = "cards".into();
        cards
    };
    insta::assert_snapshot!(said(&pull(kind(), cards("cards/"))), @r"
    insurance.cards: read 400, landed 400
    ");
    insta::assert_snapshot!(said(&pull(kind(), cards("cards/part-1"))), @r"
    insurance.cards: read 150, landed 150
    ");
    insta::assert_snapshot!(said(&pull(kind(), cards("cards/part-2"))), @r#"
    error[landing.missing-table]: the source has no table "cards/part-2"
      at:   table insurance.cards
      next: correct from in pipeline.toml, or ask the owner of the source what has changed
    "#);
    let (_, high) = read(&kind(), &cards("cards/"), Some(&condition("id >= 390", &cards("cards/").columns))).unwrap();
    assert_eq!(high.keys().copied().collect::<Vec<_>>(), (391..=400).collect::<Vec<_>>());

    // Replaced after its footer was read.
    let mut snapshot = Snapshot::open(&source(kind(), vec![cards("cards/")]), crate::root()).unwrap();
    let is_first = Mutex::new(true);
    let wanted = cards("cards/");
    let answer = snapshot.read(Request { table: &wanted, condition: None }, &|_| {
        if std::mem::take(&mut *is_first.lock().unwrap()) {
            store.put("nightly/cards/part-0.parquet", rows(1000, 1250));
            store.put("nightly/cards/part-1.parquet", rows(1000, 1250));
        }
        Ok(())
    });
    assert!(matches!(answer, Err(Error::Changed { .. })), "{answer:?}");

    // Cut short, and a store that is not there.
    store.put("nightly/cut.parquet", rows(0, 250)[..700].to_vec());
    let said_of = |kind: SourceKind, from: &str| {
        said(&pull(kind, cards(from))).replace(&store.bucket("").endpoint, "http://store")
    };
    insta::assert_snapshot!(said_of(kind(), "cut"), @r"
    error[sources.parquet]: the file is not a whole Parquet file: Parquet error: Invalid Parquet file. Corrupt footer
      at:   http://store/agency/nightly/cut.parquet
      next: fetch the file again from its owner; it was cut short or is another format
    ");
    let mut nowhere = store.bucket("");
    nowhere.endpoint = "http://store.example.vn".into();
    insta::assert_snapshot!(said_of(SourceKind::ObjectStore(nowhere), "cards/"), @r"
    error[sources.clear-text]: the object store is not on this machine, and the connection would be in the clear
      at:   object store http://store.example.vn/agency
      next: name an endpoint that begins with https://
    ");
    let mut no_bucket = store.bucket("");
    no_bucket.bucket = "nobody".into();
    insta::assert_snapshot!(said_of(SourceKind::ObjectStore(no_bucket), "cards"), @r"
    error[sources.store]: the object store does not answer as it should
      at:   object store http://store/nobody
      next: check endpoint, region and bucket, and that the store is running; then run again
    ");
}

#[test]
fn a_store_that_refuses_the_keys_says_so_and_shows_none_of_them() {
    let store = crate::support::s3::Store::start_without_keys();
    let mut cards = table("cards/", vec![column("id", Type::Int)]);
    cards.name = "cards".into();
    let bucket = store.bucket("nightly/");
    let endpoint = bucket.endpoint.clone();
    let shown = said(&pull(SourceKind::ObjectStore(bucket), cards)).replace(&endpoint, "STORE");
    insta::assert_snapshot!(shown, @"
    error[sources.store-refuses]: the object store refuses our keys, or our account may not read there
      at:   object store STORE/agency
      next: check the two keys that pipeline.toml names, and ask the owner to let our account list and read the bucket
    ");
    assert!(!shown.contains("synthetic"), "{shown}");
}
