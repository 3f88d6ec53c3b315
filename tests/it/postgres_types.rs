//! Every type of PostgreSQL there and back, and the totals that prove it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chudong::landing::{self, Store};
use chudong::pipeline::filter::{Condition, Filter};
use chudong::pipeline::{Family, SourceKind, SourceTable, Type};
use chudong::sources::{Answer, Batch, Request, Snapshot};
use proptest::prelude::*;

use crate::landing::{column, night, said, source, table};
use crate::support::postgres::Server;

/// All batches of a table, in the order of its rows, and the answer.
fn read(kind: SourceKind, table: &SourceTable, condition: Option<&Condition>) -> (Vec<Batch>, Answer) {
    let source = source(kind, vec![table.clone()]);
    let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
    let found = snapshot.describe(table).unwrap().unwrap();
    for column in &table.columns {
        let found = found.iter().find(|found| found.name == column.name).unwrap();
        assert!(found.can_fill(column.kind), "{} is {} and cannot fill {}", found.name, found.kind, column.kind.word());
    }
    let batches = Mutex::new(Vec::new());
    let answer = snapshot.read(Request { table, condition }, &|batch| {
        batches.lock().unwrap().push(batch);
        Ok(())
    });
    let mut batches = batches.into_inner().unwrap();
    batches.sort_by_key(|batch: &Batch| batch.first_row);
    (batches, answer.unwrap())
}

/// A value as text: for comparing with what the server writes.
fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let array = batch.column_by_name(column).unwrap();
    let formatter = ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|row| array.is_valid(row).then(|| formatter.value(row).to_string())).collect()
}

/// A type of PostgreSQL, what it is declared as, how the server is asked to write it for comparison (`@` is the
/// column), and awkward values.
type Line = (&'static str, Type, &'static str, &'static [&'static str]);

const PLAIN: &str = "@::text";
/// Without the blanks at the end of fractions, and in UTC.
const MOMENT: &str = "to_char(@ at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || \
                      rtrim(rtrim(to_char(@ at time zone 'UTC', '.US'), '0'), '.')";
const CIVIL: &str = "to_char(@, 'YYYY-MM-DD HH24:MI:SS') || rtrim(rtrim(to_char(@, '.US'), '0'), '.')";
/// What an output function writes where the cast to text differs.
const SHOWN: &str = "case when @ is not null then format('%s', @) end";

const EXACT: Type = Type::Decimal { digits: 38, scale: 10 };
const WIDE: Type = Type::Decimal { digits: 76, scale: 20 };

#[rustfmt::skip]
const LINES: &[Line] = &[
    ("text", Type::Text, PLAIN, &["", " a ", "Hà Nội", "Đặng Thị Ánh", "a\"b\\c", "{1,2}", "😀", "null", "\t"]),
    ("varchar(30)", Type::Text, PLAIN, &["", "Huế", "  "]),
    ("char(9)", Type::Text, "rtrim(@::text)", &["", "ab", "ấ"]),
    ("\"char\"", Type::Text, PLAIN, &["a", "z"]),
    ("name", Type::Text, PLAIN, &["", "bảng"]),
    ("level", Type::Text, PLAIN, &["một", "hai"]),
    ("code", Type::Text, PLAIN, &["97001", ""]),
    ("uuid", Type::Text, PLAIN, &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]),
    ("json", Type::Text, PLAIN, &["{\"a\": [1, 2]}", "null", "\"Huế\""]),
    ("jsonb", Type::Text, PLAIN, &["{\"b\": 1, \"a\": {\"c\": null}}", "[]", "1.50", "\"Huế\""]),
    ("xml", Type::Text, PLAIN, &["<a>Huế</a>", "<a b=\"1\"/>"]),
    ("inet", Type::Text, SHOWN, &["10.0.0.1", "10.0.0.1/8", "::1", "::ffff:1.2.3.4", "::1.2.3.4", "2001:db8::1/64", "1:0:0:2:0:0:0:3", "::", "::ffff:0:1", "fe80:0:0:1::"]),
    ("cidr", Type::Text, PLAIN, &["10.0.0.0/8", "10.1.2.3/32", "2001:db8::/32", "::/0"]),
    ("macaddr", Type::Text, PLAIN, &["08:00:2b:01:02:03"]),
    ("macaddr8", Type::Text, PLAIN, &["08:00:2b:01:02:03:04:05"]),
    ("bit(11)", Type::Text, PLAIN, &["10110011101", "00000000000"]),
    ("varbit", Type::Text, PLAIN, &["", "1", "10101010", "101010101"]),
    ("timetz", Type::Text, PLAIN, &["08:30:00+07", "23:59:59.999999-11:30", "00:00:00+00", "24:00:00+07", "12:00:00+07:06:30"]),
    ("money", Type::Decimal { digits: 20, scale: 2 }, "@::numeric", &["1234.50", "-0.01"]),
    ("point", Type::Text, PLAIN, &["(1.5,-2)"]),
    ("int4range", Type::Text, PLAIN, &["[1,5)", "empty", "(,3)"]),
    ("tsvector", Type::Text, PLAIN, &["'a':1 'b':2"]),
    ("pair", Type::Text, PLAIN, &["(1,Huế)", "(,)"]),
    ("oid", Type::Int, PLAIN, &["0", "4294967295"]),
    ("int2", Type::Int, PLAIN, &["-32768", "32767", "0"]),
    ("int4", Type::Int, PLAIN, &["-2147483648", "2147483647", "0", "-1"]),
    ("int8", Type::Int, PLAIN, &["-9223372036854775808", "9223372036854775807", "0", "-1", "4294967296", "-4294967297"]),
    ("int4", Type::Decimal { digits: 12, scale: 2 }, "@::numeric(12,2)", &["-2147483648", "7"]),
    ("numeric", Type::Int, PLAIN, &["-9223372036854775808", "9223372036854775807", "10000", "0", "99990000"]),
    ("numeric", EXACT, "@::numeric(38,10)", &["0", "-0.0000000001", "9999999999999999999999999999.9999999999", "0.1", "10000.0001", "-12340000", "123456.7", "0.00001234"]),
    ("numeric", WIDE, "@::numeric(76,20)", &["-99999999999999999999999999999999999999999999999999999999.99999999999999999999", "0.00000000000000000001", "1e55"]),
    ("numeric", Type::Text, PLAIN, &["0", "0.00", "-1.50", "1e-20", "1e40", "12345678901234567890.123456789", "0.0001", "0.00010", "10000", "99999999", "-0.00000000012345"]),
    ("float4", Type::Float, "@::float8::text", &["0.5", "-0.25", "3e38"]),
    ("float8", Type::Float, PLAIN, &["0.5", "0.1", "-123456.789", "2.5e10"]),
    ("bool", Type::Bool, PLAIN, &["true", "false"]),
    ("date", Type::Date, PLAIN, &["1900-01-01", "2200-12-31", "1969-12-31", "1970-01-01", "2000-01-01", "2024-02-29"]),
    ("timestamp", Type::Timestamp, CIVIL, &["1900-01-01 00:00:00", "2200-12-31 23:59:59.999999", "1969-12-31 23:59:59.5", "2026-11-21 08:00:00.000001"]),
    ("timestamp", Type::Date, "@::date", &["2026-11-21", "1969-12-31"]),
    ("timestamptz", Type::Instant, MOMENT, &["1970-01-01 00:00:00+00", "2026-11-21 00:00:00.25+07", "1950-05-05 05:05:05-03"]),
    ("time", Type::Time, PLAIN, &["00:00:00", "23:59:59.999999", "12:34:56.5"]),
    ("bytea", Type::Bytes, "encode(@, 'hex')", &["\\x", "\\x00ff", "\\xdeadbeef"]),
];

/// Types, enumerations and domains that the lines name.
const KINDS: &str = "create type level as enum ('một', 'hai'); create domain code as varchar(5) check (value <> 'x');
    create type pair as (a int, b text);";

#[test]
fn every_type_and_every_list_of_it_comes_back_as_the_server_writes_it() {
    let server = Server::start();
    server.run(KINDS);
    let mut create = Vec::new();
    let mut columns = vec![column("id", Type::Int)];
    let mut wanted = BTreeMap::new();
    for (index, (kind, declared, written, _)) in LINES.iter().enumerate() {
        let (one, list) = (format!("c{index}"), format!("l{index}"));
        create.push(format!("{one} {kind}, {list} {kind}[]"));
        columns.push(column(&one, *declared));
        wanted.insert(one.clone(), written.replace('@', &one));
        // Exact numbers are listed as text.
        let family = declared.family();
        if family != Family::Decimal {
            columns.push(column(&list, Type::List(family)));
            wanted.insert(list, written.replace('@', "item"));
        }
    }
    server.run(&format!("create table types (id int primary key, {})", create.join(", ")));
    for (index, (kind, _, _, values)) in LINES.iter().enumerate() {
        for (place, value) in values.iter().enumerate() {
            let (row, value) = (index * 100 + place + 1, value.replace('\'', "''"));
            server.run(&format!(
                "insert into types (id, c{index}, l{index}) values ({row}, '{value}'::{kind}, array['{value}', null, '{value}']::{kind}[])"
            ));
        }
        server.run(&format!("insert into types (id, l{index}) values ({}, '{{}}')", index * 100 + 99));
    }
    let types = table("types", columns);
    let (batches, answer) = read(server.over_socket("owner"), &types, None);
    let batch = &batches[0].rows;
    assert_eq!(batches[0].faults, vec![]);
    assert_eq!(answer.counted, answer.received);
    for (name, written) in wanted {
        let sql = if name.starts_with('c') {
            format!("select ({written})::text from types order by ctid")
        } else {
            format!(
                "select case when {name} is not null then
                    '[' || coalesce((select string_agg(coalesce(({written})::text, ''), ', ' order by place)
                        from unnest({name}) with ordinality as u(item, place)), '') || ']' end
                 from types order by ctid"
            )
        };
        let index: usize = name[1..].parse().unwrap();
        let is_float = LINES[index].1 == Type::Float;
        let numbers = |texts: Vec<Option<String>>| {
            let plain = |text: String| if is_float { plain_floats(&text) } else { text };
            texts.into_iter().map(|text| text.map(plain)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(texts(batch, &name)), numbers(server.texts(&sql)), "{} as {}", LINES[index].0, name);
    }
}

/// Floating-point numbers are compared as numbers: 3e38 has several ways to be written.
fn plain_floats(text: &str) -> String {
    let parts = text.trim_matches(['[', ']']).split(", ");
    parts.map(|part| part.parse::<f64>().map_or(part.to_owned(), |number| format!("{number:e}"))).collect()
}
