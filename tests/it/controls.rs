//! Control characters in texts: a fault of their column, whichever kind of source they come from.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use chudong::landing::{self, Store};
use chudong::pipeline::{Column, Family, OnFault, SourceKind, SourceTable, Type};
use chudong::sources::{Reason, Request, Snapshot};

use crate::landing::{column, night, said, source, table};

/// Texts as an agency may have them, and whether each lands.
const TEXTS: [(&str, bool); 9] = [
    ("Nguyễn Văn An", true),
    ("two\nlines", true),
    ("\ta tab, and a line end\r\n", true),
    ("a NUL\0", false),
    ("\u{1b}[31mred", false),
    ("deleted\u{7f}", false),
    ("Đường\u{b}Lê Lợi", false),
    ("\0", false),
    ("plain", true),
];

fn wanted(on_fault: OnFault) -> SourceTable {
    table("names", vec![column("id", Type::Int), Column { on_fault, ..column("name", Type::Text) }])
}

/// What a clerk reads of a table of these texts.
fn pulled(kind: &SourceKind, wanted: SourceTable) -> String {
    said(&landing::pull(&source(kind.clone(), vec![wanted]), crate::root(), night(), &Store::Nowhere))
}

/// Pulls the table under each policy: what lands is as it was, and what does not is counted.
fn is_judged(kind: &SourceKind, texts: &[(&str, bool)]) {
    let bad = texts.iter().filter(|(_, lands)| !lands).count();
    let (read, sound) = (texts.len(), texts.len() - bad);
    assert_eq!(
        pulled(kind, wanted(OnFault::Quarantine)),
        format!(
            "insurance.names: read {read}, landed {sound}\nQuarantined {bad} for name: control character in a text"
        )
    );
    let first = texts.iter().position(|(_, lands)| !lands).unwrap() + 1;
    let stopped = pulled(kind, wanted(OnFault::Error));
    assert!(stopped.contains("control character in a text") && stopped.contains("name"), "{stopped}");
    assert!(stopped.contains(&format!("row {first}")), "{stopped}");
    // Neither the character nor what stands around it is quoted.
    assert!(!stopped.contains(|c: char| c.is_control() && c != '\n') && !stopped.contains("NUL"), "{stopped}");

    let nulled = source(kind.clone(), vec![wanted(OnFault::Null)]);
    let nulled = landing::pull(&nulled, crate::root(), night(), &Store::Nowhere).unwrap();
    let mut landed: Vec<_> = {
        let table = nulled.tables[0].table().unwrap();
        table.ints("id").unwrap().into_iter().zip(table.texts("name").unwrap()).collect()
    };
    landed.sort_unstable();
    let expected: Vec<_> =
        (1..).zip(texts).map(|(id, (text, lands))| (Some(id), lands.then(|| (*text).to_owned()))).collect();
    assert_eq!(landed, expected);
    assert_eq!(
        said(&Ok(nulled)),
        format!("insurance.names: read {read}, landed {read}\nNulled {bad} for name: control character in a text")
    );

    // Where it is part of the key, it has one reason and not a second one.
    let mut keyed = wanted(OnFault::Quarantine);
    keyed.key = vec!["id".into(), "name".into()];
    assert_eq!(pulled(kind, keyed), pulled(kind, wanted(OnFault::Quarantine)));
}

fn csv(folder: &Path) -> SourceKind {
    SourceKind::Csv { path: folder.into(), delimiter: b',' }
}

#[test]
fn of_csv() {
    let folder = tempfile::tempdir().unwrap();
    // With quotation marks in its block, and without any.
    let quoted: Vec<_> = TEXTS.iter().enumerate().map(|(row, (text, _))| format!("{},\"{text}\"\n", row + 1)).collect();
    std::fs::write(folder.path().join("names.csv"), format!("id,name\n{}", quoted.concat())).unwrap();
    is_judged(&csv(folder.path()), &TEXTS);
    let one_line: Vec<_> = TEXTS.into_iter().filter(|(text, _)| !text.contains(['\n', ','])).collect();
    let plain: Vec<_> = one_line.iter().enumerate().map(|(row, (text, _))| format!("{},{text}\n", row + 1)).collect();
    std::fs::write(folder.path().join("names.csv"), format!("id,name\n{}", plain.concat())).unwrap();
    is_judged(&csv(folder.path()), &one_line);
}

#[test]
fn of_ndjson() {
    let folder = tempfile::tempdir().unwrap();
    // JSON allows none of them but as an escape.
    let line = |(row, (text, _)): (usize, &(&str, bool))| serde_json::json!({"id": row + 1, "name": text}).to_string();
    let lines: Vec<_> = TEXTS.iter().enumerate().map(line).collect();
    std::fs::write(folder.path().join("names.ndjson"), lines.join("\n")).unwrap();
    is_judged(&SourceKind::NdJson { path: folder.path().into() }, &TEXTS);
}

#[test]
fn of_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"id\": 1, \"name\": [\"a\", null, \"b\\tc\"]}\n{\"id\": 2, \"name\": [\"a\", \"b\\u0000\"]}\n";
    std::fs::write(folder.path().join("names.ndjson"), lines).unwrap();
    let wanted = table("names", vec![column("id", Type::Int), column("name", Type::List(Family::Text))]);
    assert_eq!(
        pulled(&SourceKind::NdJson { path: folder.path().into() }, wanted),
        "insurance.names: read 2, landed 1\nQuarantined 1 for name: control character in a text"
    );
}

#[test]
fn of_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.sqlite");
    fill_sqlite(&path, &TEXTS);
    is_judged(&SourceKind::Sqlite { path }, &TEXTS);
}

fn fill_sqlite(path: &Path, texts: &[(&str, bool)]) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute("create table names (id integer primary key, name varchar(100))", []).unwrap();
    for (id, (text, _)) in (1_i64..).zip(texts) {
        connection.execute("insert into names values (?1, ?2)", rusqlite::params![id, text]).unwrap();
    }
}

#[test]
fn of_workbooks() {
    let folder = tempfile::tempdir().unwrap();
    // A workbook writes them as `_x0000_`: XML has no way to say a NUL.
    let cell = |text: &str| {
        let escaped: String = text
            .chars()
            .map(|c| if c.is_control() { format!("_x{:04X}_", u32::from(c)) } else { c.to_string() })
            .collect();
        format!("<c t=\"inlineStr\"><is><t xml:space=\"preserve\">{escaped}</t></is></c>")
    };
    let row = |number: usize, cells: &str| format!("<row r=\"{number}\">{cells}</row>");
    let rows: Vec<_> = TEXTS
        .iter()
        .enumerate()
        .map(|(place, (text, _))| row(place + 2, &format!("<c><v>{}</v></c>{}", place + 1, cell(text))))
        .collect();
    let head = row(1, &format!("{}{}", cell("id"), cell("name")));
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/package/2006/relationships";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let parts = [
        (
            "[Content_Types].xml",
            "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>".to_owned(),
        ),
        (
            "_rels/.rels",
            format!(
                "<Relationships xmlns=\"{relations}\"><Relationship Id=\"r1\" Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships xmlns=\"{relations}\"><Relationship Id=\"r1\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets><sheet name=\"names\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!("<worksheet xmlns=\"{main}\"><sheetData>{head}{}</sheetData></worksheet>", rows.concat()),
        ),
    ];
    let mut book = zip::ZipWriter::new(std::fs::File::create(folder.path().join("names.xlsx")).unwrap());
    for (name, text) in parts {
        book.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        book.write_all(text.as_bytes()).unwrap();
    }
    book.finish().unwrap();
    is_judged(&SourceKind::Excel { path: folder.path().into() }, &TEXTS);
}

#[test]
fn of_parquet_and_of_a_store() {
    let ids = (1..).take(TEXTS.len());
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids))),
        ("name", Arc::new(StringArray::from_iter_values(TEXTS.map(|(text, _)| text)))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("names.parquet"), &bytes).unwrap();
    is_judged(&SourceKind::Parquet { path: folder.path().into() }, &TEXTS);
    let store = crate::support::s3::Store::start();
    store.put("names.parquet", bytes);
    is_judged(&SourceKind::ObjectStore(store.bucket("")), &TEXTS);
}

/// Rows of these texts in SQL, where `text` makes one from its bytes in hexadecimal.
fn rows_in_sql(texts: &[(&str, bool)], text: impl Fn(&str) -> String) -> String {
    let row = |(place, (value, _)): (usize, &(&str, bool))| {
        let digits: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("({}, {})", place + 1, text(&digits))
    };
    texts.iter().enumerate().map(row).collect::<Vec<_>>().join(", ")
}

#[test]
fn of_mysql() {
    let server = crate::support::mysql::Server::start();
    let rows = rows_in_sql(&TEXTS, |digits| format!("convert(x'{digits}' using utf8mb4)"));
    server.run(&format!(
        "create table names (id int primary key, name varchar(100)) character set utf8mb4; insert into names values {rows}"
    ));
    is_judged(&server.over_socket("root"), &TEXTS);
}

#[test]
fn of_postgresql_also_behind_its_odbc_driver() {
    let server = crate::support::postgres::Server::start();
    // It has no NUL itself, and keeps every other.
    let texts: Vec<_> = TEXTS.into_iter().filter(|(text, _)| !text.contains('\0')).collect();
    let rows = rows_in_sql(&texts, |digits| format!("convert_from('\\x{digits}', 'UTF8')"));
    // As text, as padded text, and as a domain over it: the first has a way of its own.
    for (place, kind) in ["text", "char(100)", "named"].into_iter().enumerate() {
        server.run(&format!(
            "drop table if exists names; drop domain if exists named; create domain named as varchar(100);
             create table names (id int primary key, name {kind}); insert into names values {rows}"
        ));
        is_judged(&server.over_socket("owner"), &texts);
        if place == 0 {
            server.run("create role reader login password 'x'; grant select on names to reader");
            is_judged(&crate::odbc::postgres(&server, "reader", "x"), &texts);
        }
    }
}

/// All ASCII characters, in each place of texts of each length that is looked at in another way.
#[test]
fn wherever_in_the_text_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "id,name\n".to_owned();
    let mut expected = Vec::new();
    // Neither of them stands in a field without quotation marks.
    for byte in (0..128).filter(|byte| !b",\"\r\n".contains(byte)) {
        for length in 1..=19 {
            for place in 0..length {
                // Behind other letters it goes another way than among ASCII.
                for (before, after) in [("", ""), ("Đ", ""), ("", "\u{323}"), ("\u{7f}", "~")] {
                    let mut name = ["x"; 19][..length].concat();
                    name.replace_range(place..=place, char::from(byte).encode_utf8(&mut [0; 4]));
                    let name = format!("{before}{name}{after}");
                    expected.push(name.chars().any(|c| c.is_ascii_control() && c != '\t'));
                    text.push_str(&format!("{},{name}\n", expected.len()));
                }
            }
        }
    }
    std::fs::write(folder.path().join("names.csv"), text).unwrap();
    let wanted = wanted(OnFault::Null);
    let source = source(csv(folder.path()), vec![wanted.clone()]);
    let found = Mutex::new(vec![false; expected.len()]);
    let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
    let answer = snapshot.read(Request { table: &wanted, condition: None }, &|batch| {
        for fault in &batch.faults {
            assert_eq!((fault.column, fault.reason), (Some(1), Reason::ControlCharacter));
            found.lock().unwrap()[usize::try_from(batch.number_of(fault.row)).unwrap() - 1] = true;
        }
        Ok(())
    });
    assert_eq!(answer.unwrap().received.rows, expected.len() as u64);
    assert!(found.into_inner().unwrap() == expected);
}

#[test]
fn of_sqlite_behind_its_odbc_driver() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.sqlite");
    // The driver itself ends a text at a NUL: what stands behind it never gets here, and nothing says so.
    let texts: Vec<_> = TEXTS.into_iter().filter(|(text, _)| !text.contains('\0')).collect();
    fill_sqlite(&path, &texts);
    is_judged(&crate::odbc::over_sqlite(&path), &texts);
}
