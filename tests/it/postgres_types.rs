//! Every type of PostgreSQL there and back, and the totals that prove it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{IntervalMonthDayNano, IntervalMonthDayNanoType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chudong::landing::{self, Store};
use chudong::pipeline::filter::{Comparison, Condition, Filter, Literal};
use chudong::pipeline::{Family, SourceKind, SourceTable, Type};
use chudong::sources::{Answer, Batch, Reason, Request, Snapshot, Totals};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

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

/// The rows of a table as they come back from where it landed, in one batch.
fn landed(kind: SourceKind, table: SourceTable) -> RecordBatch {
    let pulled = landing::pull(&source(kind, vec![table]), crate::root(), night(), &Store::Nowhere).unwrap();
    assert_eq!(pulled.tables.len(), 1, "{}", said(&Ok(pulled)));
    let table = pulled.tables[0].table().unwrap();
    concat_batches(&table.schema, &table.batches).unwrap()
}

/// A value as text: for comparing with what the server writes.
fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
        .with_time_format(Some("%H:%M:%S%.6f"));
    let array = batch.column_by_name(column).unwrap();
    let formatter = ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|row| array.is_valid(row).then(|| formatter.value(row).to_string())).collect()
}

/// A type of PostgreSQL, what it is declared as, how the server is asked to write it for comparison (`@` is the
/// column), and awkward values.
type Line = (&'static str, Type, &'static str, &'static [&'static str]);

const PLAIN: &str = "@::text";
const MOMENT: &str = "to_char(@ at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";
const CIVIL: &str = "to_char(@, 'YYYY-MM-DD HH24:MI:SS.US')";
const CLOCK: &str = "to_char(@, 'HH24:MI:SS.US')";
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
    ("time", Type::Time, CLOCK, &["00:00:00", "23:59:59.999999", "12:34:56.5"]),
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
        let listed = match *declared {
            Type::Decimal { digits, scale } => Type::DecimalList { digits, scale },
            one => Type::List(one.family()),
        };
        columns.push(column(&list, listed));
        wanted.insert(list, written.replace('@', "item"));
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
    // And out of the landed file as they came.
    assert_eq!(landed(server.over_socket("owner"), types).columns(), batch.columns());
    for (name, written) in wanted {
        let sql = if name.starts_with('c') {
            format!("select ({written})::text from types order by ctid")
        } else {
            format!(
                "select case when {name} is not null then
                    '[' || coalesce((select string_agg(coalesce(({written})::text, ''), ', ' order by place)
                        from generate_subscripts({name}, 1) as place, lateral (select {name}[place] as item) as u), '') || ']' end
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

#[test]
fn an_interval_keeps_months_days_and_microseconds_apart() {
    let server = Server::start();
    server.run(
        "create table spans (id int primary key, i interval, l interval[]);
        insert into spans values (1, '1 year 2 months -3 days 04:05:06.7', array['1 day', null]::interval[]),
            (2, null, '{}'), (3, '-178000000 years', null), (4, '200000 years 290000 hours', '{}');
        insert into spans values (5, interval '2562047788 hours', '{}'), (6, interval '0', null)",
    );
    let columns = vec![column("id", Type::Int), column("i", Type::Interval), column("l", Type::List(Family::Interval))];
    let spans = table("spans", columns);
    let (batches, _) = read(server.over_socket("owner"), &spans, None);
    // The row with a fault is set aside; of the others nothing is lost.
    let kept = BooleanArray::from(vec![true, true, true, true, false, true]);
    let kept = filter_record_batch(&batches[0].rows, &kept).unwrap();
    assert_eq!(landed(server.over_socket("owner"), spans).columns(), kept.columns());
    let span = |months, days, micros: i64| Some(IntervalMonthDayNano::new(months, days, micros * 1000));
    let spans: Vec<_> = batches[0].rows.column(1).as_primitive::<IntervalMonthDayNanoType>().iter().collect();
    let (hours, whole) = (3_600_000_000, 290_000);
    assert_eq!(
        spans,
        vec![
            span(14, -3, 4 * hours + 5 * 60_000_000 + 6_700_000),
            None,
            span(-2_136_000_000, 0, 0),
            span(2_400_000, 0, whole * hours),
            None,
            span(0, 0, 0)
        ]
    );
    // More nanoseconds than 64 bits hold.
    let faults: Vec<_> = batches[0].faults.iter().map(|fault| (fault.row, fault.column, fault.reason)).collect();
    assert_eq!(faults, vec![(4, Some(1), Reason::TooLarge)]);
}

#[test]
fn a_list_of_exact_numbers_is_one_whole_or_a_fault() {
    let server = Server::start();
    server.run(
        "create table fees (id int primary key, paid numeric[]);
        insert into fees values (1, '{1.50,NULL,-804600}'), (2, '{}'), (3, null), (4, '{1,NaN}'), (5, '{1,0.005}'),
            (6, '{{1},{2}}'), (7, '{1000000000}'), (8, '{0.10}')",
    );
    let paid = Type::parse("decimal(9,2)[]").unwrap();
    let fees = table("fees", vec![column("id", Type::Int), column("paid", paid)]);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::Folder(folder.path().to_owned());
    let pulled = landing::pull(&source(server.over_socket("owner"), vec![fees]), crate::root(), night(), &store);
    let room = std::fs::read_dir(folder.path().join("insurance.fees")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = room.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect();
    files.retain(|path| !path.to_string_lossy().ends_with(".quarantine.parquet"));
    let kept = landing::read_generation(&files[0]).unwrap();
    let kept = concat_batches(&kept.schema, &kept.batches).unwrap();
    assert_eq!(kept.column_by_name("paid").unwrap().data_type(), &paid.arrow());
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(texts(&kept, "paid"), [text("[1.50, , -804600.00]"), text("[]"), None, text("[0.10]")]);
    insta::assert_snapshot!(said(&pulled));
}

#[test]
fn a_list_of_lists_is_a_fault_and_a_bad_value_takes_its_list_with_it() {
    let server = Server::start();
    server.run(
        "create table lists (id int primary key, d date[], n numeric[]);
        insert into lists values (1, '{{2026-01-01},{2026-01-02}}', '{1.50,NULL}'), (2, '{2026-01-01,infinity}', '{NaN}'),
            (3, '{2026-01-01}', '{{1}}'), (4, '[5:6]={2026-01-01,2026-01-02}', '{}')",
    );
    let columns =
        vec![column("id", Type::Int), column("d", Type::List(Family::Date)), column("n", Type::List(Family::Text))];
    let (batches, _) = read(server.over_socket("owner"), &table("lists", columns), None);
    let shown = |name: &str| texts(&batches[0].rows, name);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(shown("d"), vec![None, None, text("[2026-01-01]"), text("[2026-01-01, 2026-01-02]")]);
    assert_eq!(shown("n"), vec![text("[1.50, ]"), None, None, text("[]")]);
    let faults: Vec<_> = batches[0].faults.iter().map(|fault| (fault.row, fault.column, fault.reason)).collect();
    let expected = vec![
        (0, Some(1), Reason::SeveralDimensions),
        (1, Some(1), Reason::DateOutOfRange),
        (1, Some(2), Reason::NotFinite),
        (2, Some(2), Reason::SeveralDimensions),
    ];
    assert_eq!(faults, expected);
}

/// A type of a random table: its name, what it is declared as, how the server writes what must land (null where a
/// value is at fault), and its random values.
type Random = (&'static str, Type, &'static str, BoxedStrategy<String>);

const SMALL: Type = Type::Decimal { digits: 12, scale: 3 };

#[rustfmt::skip]
fn random_types() -> Vec<Random> {
    fn some<T: std::fmt::Display + std::fmt::Debug>(values: impl Strategy<Value = T> + 'static) -> BoxedStrategy<String> {
        values.prop_map(|value| value.to_string()).boxed()
    }
    fn or(values: &[&'static str], other: BoxedStrategy<String>) -> BoxedStrategy<String> {
        prop_oneof![1 => proptest::sample::select(values.to_vec()).prop_map(str::to_owned), 3 => other].boxed()
    }
    // Seconds of the years 1890 to 2210, with microseconds.
    let seconds = || (-2_524_608_000_i64..7_573_392_000, 0..1_000_000_u32);
    let moments = || {
        seconds().prop_map(|(seconds, micros)| {
            let moment = jiff::Timestamp::new(seconds, i32::try_from(micros).unwrap() * 1000).unwrap();
            moment.to_zoned(jiff::tz::TimeZone::UTC).datetime().to_string().replace('T', " ")
        }).boxed()
    };
    let digits = || ("-?[0-9]{1,12}", "[0-9]{0,5}").prop_map(|(whole, part)| format!("{whole}.{part}0")).boxed();
    let always = ["infinity", "-infinity"];
    vec![
        ("text", Type::Text, "normalize(@, nfc)", "[a-zA-Z0-9à-ỹ ,\"\\\\{}'\u{300}-\u{323}%_]{0,20}".prop_map(String::from).boxed()),
        ("char(12)", Type::Text, "normalize(rtrim(@::text), nfc)", "[a-zà-ỹ ]{0,12}".prop_map(String::from).boxed()),
        ("int2", Type::Int, PLAIN, some(any::<i16>())),
        ("int4", Type::Int, PLAIN, some(any::<i32>())),
        ("int8", Type::Int, PLAIN, some(any::<i64>())),
        ("bool", Type::Bool, PLAIN, some(any::<bool>())),
        ("uuid", Type::Text, PLAIN, "[0-9a-f]{32}".prop_map(String::from).boxed()),
        ("numeric", SMALL, "case when abs(@) < 1e9 and scale(trim_scale(@)) <= 3 then @::numeric(12,3) end", or(&["NaN", "Infinity", "-Infinity", "1e40", "-0.001", "999999999.999", "1000000000"], digits())),
        ("numeric", Type::Text, "case when abs(@) < 'Infinity' then @::text end", or(&["NaN", "-Infinity", "1e-30", "0.00"], digits())),
        ("numeric", Type::Int, "case when @ between -9223372036854775808 and 9223372036854775807 and @ = trunc(@) then trunc(@)::text end", or(&["9223372036854775808", "-9223372036854775808", "NaN", "5.00"], digits())),
        ("float8", Type::Float, "case when abs(@) < 'Infinity' then @::text end", or(&["NaN", "-Infinity", "0"], some(any::<f64>().prop_filter("NaN has several names", |f| f.is_finite())))),
        ("date", Type::Date, "case when @ between '1900-01-01' and '2200-12-31' then @::text end", or(&["infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "2201-01-01"], moments().prop_map(|moment| moment[..10].to_owned()).boxed())),
        ("timestamp", Type::Timestamp, "case when @ >= '1900-01-01' and @ < '2201-01-01' then to_char(@, 'YYYY-MM-DD HH24:MI:SS.US') end", or(&always, moments())),
        ("timestamp", Type::Date, "case when @ >= '1900-01-01' and @ < '2201-01-01' and @ = date_trunc('day', @) then @::date::text end", or(&["infinity", "2026-11-21", "1969-12-31"], moments())),
        ("timestamptz", Type::Instant, "case when @ >= '1900-01-01 00:00+00' and @ < '2201-01-01 00:00+00' then to_char(@ at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') end", or(&always, moments())),
        ("timestamptz", Type::Date, "case when @ > '1899-12-31 00:00+00' and @ < '2200-12-31 17:00+00' and @ at time zone 'Asia/Ho_Chi_Minh' >= '1900-01-01'
            and @ at time zone 'Asia/Ho_Chi_Minh' = date_trunc('day', @ at time zone 'Asia/Ho_Chi_Minh') then (@ at time zone 'Asia/Ho_Chi_Minh')::date::text end",
            or(&["infinity", "2026-11-20 17:00+00", "1970-01-01 00:00+08", "294276-12-31"], moments())),
        ("time", Type::Time, "case when @ < '24:00' then to_char(@, 'HH24:MI:SS.US') end", or(&["24:00:00"], moments().prop_map(|moment| moment[11..].to_owned()).boxed())),
        ("bytea", Type::Bytes, "encode(@, 'hex')", "([0-9a-f]{2}){0,20}".prop_map(|hex| format!("\\x{hex}")).boxed()),
        ("varbit", Type::Text, PLAIN, "[01]{0,30}".prop_map(String::from).boxed()),
        ("inet", Type::Text, SHOWN, prop_oneof![some(any::<[u8; 4]>().prop_map(std::net::Ipv4Addr::from)),
            some(proptest::array::uniform8(prop_oneof![2 => Just(0_u16), 1 => any::<u16>(), 1 => Just(0xffff)]).prop_map(std::net::Ipv6Addr::from))].boxed()),
    ]
}

/// The columns of a random table, by their place among the random types, and its rows.
type RandomTable = (Vec<usize>, Vec<Vec<Option<String>>>, Vec<bool>);

fn random_table() -> impl Strategy<Value = RandomTable> {
    let types = random_types().len();
    proptest::collection::vec(0..types, 1..7).prop_flat_map(|columns| {
        let values: Vec<_> = random_types().into_iter().map(|(_, _, _, values)| values).collect();
        let row: Vec<_> =
            columns.iter().map(|place| proptest::option::weighted(0.85, values[*place].clone()).boxed()).collect();
        let keys = proptest::collection::vec(any::<bool>(), columns.len());
        (Just(columns), proptest::collection::vec(row, 0..25), keys)
    })
}

#[test]
fn random_tables_come_back_as_they_were_written() {
    let server = Server::start();
    let (mut with_keys, mut with_sums) = (0, 0);
    let config = Config { cases: crate::support::cases(20), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    // Counted outside the closure, which may not change anything.
    let seen = Mutex::new((&mut with_keys, &mut with_sums));
    let run = runner.run(&random_table(), |(places, rows, keys)| {
        let answer = compare(&server, &places, &rows, &keys);
        let mut seen = seen.lock().unwrap();
        *seen.0 += usize::from(answer.counted.keys.is_some_and(|keys| keys != 0));
        *seen.1 += usize::from(answer.counted.sums.values().any(|(_, sum)| *sum != 0));
        Ok(())
    });
    run.unwrap();
    assert!(with_keys > 10 && with_sums > 3, "the totals were hardly tried: {with_keys}, {with_sums}");
}

/// Writes a random table, reads it, and compares every value, fault and total with what the server says.
fn compare(server: &Server, places: &[usize], rows: &[Vec<Option<String>>], keys: &[bool]) -> Answer {
    let types = random_types();
    let defined: Vec<_> = places.iter().enumerate().map(|(i, place)| format!("c{i} {}", types[*place].0)).collect();
    let mut sql = format!("drop table if exists random; create table random (id int, {});", defined.join(", "));
    for (id, row) in rows.iter().enumerate() {
        let values = row.iter().map(|value| match value {
            Some(value) => format!("'{}'", value.replace('\'', "''")),
            None => "null".to_owned(),
        });
        sql.push_str(&format!("insert into random values ({id}, {});", values.collect::<Vec<_>>().join(", ")));
    }
    server.run(&sql);
    let columns = places.iter().enumerate().map(|(i, place)| column(&format!("c{i}"), types[*place].1));
    let mut wanted = table("random", columns.collect());
    let hashable = |place: usize| {
        ![Type::Float, Type::Bytes, Type::Time].contains(&types[place].1)
            && !["varbit", "inet"].contains(&types[place].0)
    };
    let is_key = |i: &usize| keys[*i] && hashable(places[*i]);
    wanted.key = (0..places.len()).filter(is_key).map(|i| format!("c{i}")).collect();
    let summed = |kind| matches!(kind, Type::Int | Type::Date | Type::Decimal { .. });
    wanted.control_totals =
        (0..places.len()).filter(|i| summed(types[places[*i]].1)).map(|i| format!("c{i}")).collect();
    let (batches, answer) = read(server.over_socket("owner"), &wanted, None);
    assert_eq!(answer.counted, answer.received);
    assert_eq!(answer.counted.rows, rows.len() as u64);
    assert_eq!(answer.counted.keys.is_some(), !wanted.key.is_empty());
    let faults: Vec<_> = batches.iter().flat_map(|batch| &batch.faults).collect();
    for (i, place) in places.iter().enumerate() {
        let (kind, declared, written, _) = &types[*place];
        let expected =
            server.texts(&format!("select ({})::text from random order by id", written.replace('@', &format!("c{i}"))));
        let came: Vec<_> = batches.iter().flat_map(|batch| texts(&batch.rows, &format!("c{i}"))).collect();
        let plain = |texts: Vec<Option<String>>| match declared {
            Type::Float => texts.into_iter().map(|text| text.map(|text| plain_floats(&text))).collect(),
            _ => texts,
        };
        assert_eq!(plain(came), plain(expected.clone()), "{kind} as {}", declared.word());
        let at_fault: Vec<_> = faults.iter().filter(|fault| fault.column == Some(i)).map(|fault| fault.row).collect();
        let should: Vec<_> =
            (0..rows.len()).filter(|row| rows[*row][i].is_some() && expected[*row].is_none()).collect();
        assert_eq!(at_fault, should, "faults of {kind} as {}", declared.word());
        let has_total = answer.counted.sums.contains_key(&format!("c{i}"));
        assert_eq!(has_total, summed(*declared) && should.is_empty(), "the sum of {kind} as {}", declared.word());
    }
    answer
}

/// 40,000 rows on many pages, with holes, in the order of their pages: `id` counts from 1.
fn large(server: &Server, extra: &str) {
    server.run(&format!(
        "create table large (id int, name text, padding text, day date) {extra};
        insert into large select i, 'Nguyễn ' || i % 1000, repeat('x', 300), date '2026-01-01' + i % 500
            from generate_series(1, 44000) as i;
        delete from large where id % 11 = 0; analyze large"
    ));
}

/// Rows are numbered from 1 without a gap; the ids in the order of the numbers.
fn ids(batches: &[Batch]) -> Vec<i64> {
    let mut next = 1;
    for batch in batches {
        assert_eq!(batch.first_row, next, "the numbers of the rows have a gap");
        next += batch.rows.num_rows() as u64;
    }
    batches
        .iter()
        .flat_map(|batch| batch.rows.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec())
        .collect()
}

#[test]
fn several_connections_read_each_row_once_and_number_it_by_its_place() {
    let server = Server::start();
    large(&server, "");
    server.run("create index days on large (day); create view seen as select * from large");
    let mut wanted = table("large", vec![column("id", Type::Int), column("name", Type::Text)]);
    wanted.columns.push(column("day", Type::Date));
    wanted.key = vec!["id".into(), "name".into()];
    wanted.control_totals = vec!["id".into(), "day".into()];
    let (batches, answer) = read(server.over_socket("owner"), &wanted, None);
    assert!(batches.len() > 4, "the table was not divided: {} batches", batches.len());
    let all: Vec<i64> = (1..=44_000).filter(|id| id % 11 != 0).collect();
    assert_eq!(ids(&batches), all);
    let sum = all.iter().map(|id| i128::from(*id)).sum::<i128>();
    assert_eq!((answer.counted.rows, answer.counted.sums["id"]), (40_000, (40_000, sum)));
    assert_eq!(answer.counted, answer.received);
    assert!(answer.counted.keys.is_some_and(|keys| keys != 0) && answer.counted.sums.len() == 2);
    assert!(!answer.asked.contains("ctid"), "{}", answer.asked);

    // One connection, a view, and a table with a filter give the same rows under the same numbers.
    let SourceKind::Postgres(mut one) = server.over_socket("owner") else { return };
    one.readers = 1;
    let (alone, by_one) = read(SourceKind::Postgres(one), &wanted, None);
    assert_eq!((ids(&alone), &by_one), (all.clone(), &answer));
    let mut view = wanted.clone();
    view.from = "seen".into();
    let (of_view, by_view) = read(server.over_socket("owner"), &view, None);
    assert_eq!((ids(&of_view), by_view.counted), (all, by_one.counted));

    let until =
        |day: i8| Condition::Compare("day".into(), Comparison::Less, Literal::Date(jiff::civil::date(2026, 1, day)));
    let many =
        Condition::Compare("day".into(), Comparison::GreaterOrEqual, Literal::Date(jiff::civil::date(2026, 1, 3)));
    for (condition, is_divided) in [(until(2), false), (many, true)] {
        let (some, answer) = read(server.over_socket("owner"), &wanted, Some(&condition));
        let sql = format!(
            "select id::text from large as t where {} order by t.id",
            condition.sql(chudong::pipeline::filter::Dialect::Standard)
        );
        let expected: Vec<i64> = server.texts(&sql).iter().flatten().map(|id| id.parse().unwrap()).collect();
        assert!(!expected.is_empty());
        assert_eq!((ids(&some), some.len() > 4), (expected, is_divided));
        assert_eq!(answer.counted, answer.received);
    }
}

#[test]
fn a_partitioned_table_is_divided_over_all_of_its_partitions() {
    let server = Server::start();
    server.run(
        "create table parts (id int, padding text) partition by range (id);
        create table low partition of parts for values from (0) to (30000);
        create table high partition of parts for values from (30000) to (30010);
        create table rest partition of parts default partition by list (padding);
        create table rest_x partition of rest default;
        insert into parts select i, repeat('x', 300) from generate_series(1, 40000) as i; analyze parts;
        create role reader login; grant select on parts to reader",
    );
    let wanted = table("parts", vec![column("id", Type::Int)]);
    // The grant is on the whole, not on its partitions.
    let (batches, answer) = read(server.over_socket("reader"), &wanted, None);
    assert!(batches.len() > 4, "the table was not divided: {} batches", batches.len());
    let mut found = ids(&batches);
    found.sort_unstable();
    assert_eq!(found, (1..=40_000).collect::<Vec<_>>());
    assert_eq!(answer.counted, answer.received);
}

#[test]
fn a_broken_digest_is_seen() {
    // One row lost and another doubled: as many rows, the same sums, another digest.
    let server = Server::start();
    server.run("create table cards (id int, n int); insert into cards values (1, 1), (2, 1), (3, 1)");
    let mut cards = table("cards", vec![column("id", Type::Int), column("n", Type::Int)]);
    cards.control_totals = vec!["n".into()];
    let totals = || -> Totals { read(server.over_socket("owner"), &cards, None).1.counted };
    let before = totals();
    server.run("update cards set id = 3 where id = 2");
    let after = totals();
    assert_eq!((before.rows, &before.sums), (after.rows, &after.sums));
    assert!(before.keys.is_some() && before.keys != after.keys);
}

#[test]
fn texts_that_a_server_takes_for_the_same_are_different_rows_and_a_filter_tells_them_apart() {
    let server = Server::start();
    server.run(
        "create extension citext;
        create collation loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
        create table cards (id text collate loose primary key, kind citext, place text collate loose);
        insert into cards values ('Hà', 'A', 'Huế'), ('b', 'a', 'Hue'), ('c', 'A', 'Huế'), ('d', null, null)",
    );
    let columns = || vec![column("id", Type::Text), column("kind", Type::Text), column("place", Type::Text)];
    // The server itself takes them for the same.
    assert_eq!(server.number("select count(*) from cards where kind = 'A' and id = 'HA'"), 1);
    assert_eq!(server.number("select count(*) from cards where kind = 'a' or place = 'hue'"), 3);
    let landed = |filter: Option<&str>, key: &str| {
        let mut cards = table("cards", columns());
        cards.key = vec![key.to_owned()];
        cards.filter = filter.map(|text| Filter::parse(text, &cards.columns).unwrap());
        let pulled =
            landing::pull(&source(server.over_socket("owner"), vec![cards]), crate::root(), night(), &Store::Nowhere);
        let pulled = pulled.unwrap();
        assert!(pulled.failed.is_empty(), "{}", said(&Ok(pulled)));
        let mut ids: Vec<_> = pulled.tables[0].table().unwrap().texts("id").unwrap().into_iter().flatten().collect();
        ids.sort();
        ids
    };
    assert_eq!(landed(None, "id"), ["Hà", "b", "c", "d"]);
    assert_eq!(landed(Some("kind = 'A'"), "id"), ["Hà", "c"]);
    assert_eq!(landed(Some("place = 'Hue'"), "id"), ["b"]);
    assert_eq!(landed(Some("id = 'HA'"), "id"), Vec::<String>::new());
    // As a key, by their bytes: what the server would not let stand side by side, we need not tell apart.
    server.run("update cards set kind = kind || id; delete from cards where kind is null");
    assert_eq!(landed(Some("kind <> 'x'"), "kind"), ["Hà", "b", "c"]);
}
