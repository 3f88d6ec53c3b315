//! Sources behind real ODBC drivers, SQLite's and PostgreSQL's: types, proof, grants, and no error swallowed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chudong::landing::{self, Error, Pulled, Store};
use chudong::pipeline::filter::{Comparison, Condition, Filter, Literal};
use chudong::pipeline::secret::SecretRef;
use chudong::pipeline::{Column, OnFault, SourceKind, SourceTable, Type};
use chudong::sources::{Answer, Request, Snapshot};
use tempfile::TempDir;

use crate::landing::{column, night, said, source, table};
use crate::support::postgres::Server;
use crate::types::{AWKWARD_DATES, AWKWARD_MOMENTS, awkward_dates, golden};

const MISSING: &str = "an ODBC driver is missing (libsqlite3odbc.so and psqlodbcw.so under /usr/lib): \
                       run the project's test script, which installs it";

/// The file of a driver, wherever the system keeps them.
fn driver(name: &str) -> String {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path().join("odbc"));
    let mut found = folders.chain([PathBuf::from("/usr/lib64"), "/usr/local/lib".into()]).map(|at| at.join(name));
    found.find(|path| path.exists()).expect(MISSING).display().to_string()
}

/// An SQLite file made by this SQL, behind its driver.
fn sqlite(sql: &str) -> (TempDir, SourceKind) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agency.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let kind = over_sqlite(&path);
    (folder, kind)
}

/// An SQLite file behind its driver.
pub fn over_sqlite(path: &Path) -> SourceKind {
    let connection = format!("Driver={};Database={}", driver("libsqlite3odbc.so"), path.display());
    SourceKind::Odbc { connection, password: None }
}

/// The server behind its driver, over 127.0.0.1.
pub fn postgres(server: &Server, user: &str, password: &str) -> SourceKind {
    let known = server.over_loopback(user, password);
    let SourceKind::Postgres(known) = known else { return known };
    let connection = format!(
        "Driver={};Server=127.0.0.1;Port={};Database=agency;UID={user};UseDeclareFetch=1;Fetch=1000;BoolsAsChar=0",
        driver("psqlodbcw.so"),
        known.port
    );
    SourceKind::Odbc { connection, password: known.password }
}

fn pull(kind: SourceKind, tables: Vec<SourceTable>) -> Result<Pulled, Error> {
    landing::pull(&source(kind, tables), crate::root(), night(), &Store::Nowhere)
}

/// A table as text, for reading in a review.
fn shown(pulled: &Result<Pulled, Error>) -> String {
    let Ok(whole) = pulled else { return said(pulled) };
    let table = arrow::util::pretty::pretty_format_batches(&whole.tables[0].table().unwrap().batches).unwrap();
    format!("{table}\n{}", said(pulled))
}

fn answer(kind: SourceKind, table: SourceTable, condition: Option<&Condition>) -> Answer {
    let source = source(kind, vec![table]);
    let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
    assert!(snapshot.describe(&source.tables[0]).unwrap().is_some());
    snapshot.read(Request { table: &source.tables[0], condition }, &|_| Ok(())).unwrap()
}

#[test]
fn every_type_comes_back_as_it_was_through_the_driver_of_postgres() {
    let server = Server::start();
    server.run(
        "create table scalars (id int primary key, i2 int2, i8 int8, n numeric(38, 10), wide numeric(60, 20), f4 float4, f8 float8, b bool,
           c char(6), v varchar(20), t text, u uuid, dt date, ts timestamp, tz timestamptz, tm time, by bytea);
         insert into scalars values
           (1, -32768, -9223372036854775808, -1234567890123456789012345678.0123456789, 1234567890123456789012345678901234567890.01234567890123456789,
            0.5, 0.1, true, 'ab', ' a ', normalize('Hà Nội 😀', nfd), 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
            '1900-01-01', '2026-11-21 08:30:00.123456', '2026-11-21 08:30:00.5+07', '23:59:59.999999', '\\x00ff'),
           (2, 0, 9223372036854775807, 0.1, -1, -0.25, 1e300, false, '', '', '', null, '2200-12-31', '1969-12-31 00:00', '1969-12-31 00:00+00', '00:00', '');
         insert into scalars (id) values (3);
         create role reader login password 'đúng; mật+khẩu}'; grant select on scalars to reader",
    );
    let kinds = [
        ("id", Type::Int),
        ("i2", Type::Int),
        ("i8", Type::Int),
        ("n", Type::Decimal { digits: 38, scale: 10 }),
        ("wide", Type::Decimal { digits: 60, scale: 20 }),
        ("f4", Type::Float),
        ("f8", Type::Float),
        ("b", Type::Bool),
        ("c", Type::Text),
        ("v", Type::Text),
        ("t", Type::Text),
        ("u", Type::Text),
        ("dt", Type::Date),
        ("ts", Type::Timestamp),
        ("tz", Type::Timestamp),
        ("tm", Type::Time),
        ("by", Type::Bytes),
    ];
    let columns = kinds.map(|(name, kind)| Column { on_fault: OnFault::Error, ..column(name, kind) }).to_vec();
    let pulled = pull(postgres(&server, "reader", "đúng; mật+khẩu}"), vec![table("scalars", columns)]);
    assert_eq!(said(&pulled), "insurance.scalars: read 3, landed 3\nNormalised 1 for t: not in NFC");
    let pulled = pulled.unwrap();
    let landed = pulled.tables[0].table().unwrap().to_batch().unwrap();
    let mut text = String::new();
    for (index, (name, kind)) in kinds.iter().enumerate() {
        assert_eq!(landed.column(index).data_type(), &kind.arrow());
        let value = |row| arrow::util::display::array_value_to_string(landed.column(index), row).unwrap();
        text.push_str(&format!("{name:<5} {:<15} {} | {} | {}\n", kind.word(), value(0), value(1), value(2)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn values_of_sqlite_that_its_driver_would_convert_are_faults() {
    let (_folder, kind) = sqlite(
        "create table awkward (id integer primary key, n integer, big integer, flag integer, d date, t text, long text, r real);
         insert into awkward values (1, 5, 2147483648, 1, '2026-11-21', 'Hà', 'x', 0.1);
         insert into awkward values (2, 'năm', 1.5, 'một', '21/11/2026', null, replace(hex(zeroblob(8192)), '00', 'đđ'), 'một');
         insert into awkward values (3, null, null, 0, '0000-00-00', '', replace(hex(zeroblob(8192)), '00', 'dd'), null)",
    );
    let kinds = [("n", Type::Int), ("big", Type::Int), ("flag", Type::Bool), ("d", Type::Date), ("t", Type::Text)];
    let mut columns = vec![column("id", Type::Int)];
    columns.extend(kinds.map(|(name, kind)| Column { on_fault: OnFault::Null, ..column(name, kind) }));
    insta::assert_snapshot!(shown(&pull(kind.clone(), vec![table("awkward", columns)])));
    // Of 'một' in a column of floating-point numbers the driver would make 0.
    let real = pull(kind.clone(), vec![table("awkward", vec![column("id", Type::Int), column("r", Type::Float)])]);
    insta::assert_snapshot!("real", said(&real));
    // 32,768 bytes are too long, 16,384 are not: nothing is cut.
    let long = Column { on_fault: OnFault::Null, ..column("long", Type::Text) };
    let pulled = pull(kind, vec![table("awkward", vec![column("id", Type::Int), long])]);
    insta::assert_snapshot!("long", said(&pulled));
    let lengths: Vec<_> = pulled.unwrap().tables[0]
        .table()
        .unwrap()
        .texts("long")
        .unwrap()
        .into_iter()
        .map(|text| text.map(|text| text.len()))
        .collect();
    assert_eq!(lengths, [Some(1), None, Some(16_384)]);
}

#[test]
fn golden_dates_of_odbc() {
    let all = || AWKWARD_DATES.iter().chain(&AWKWARD_MOMENTS);
    // SQLite keeps any text in a date column, as others keep what their own tools let in.
    let cannot = ["other_zone", "other_zone_evening"];
    let named = || all().filter(|(name, ..)| !cannot.contains(name));
    let columns: Vec<_> = named()
        .map(|(name, iso, _)| format!("{name} {}", if iso.contains(':') { "timestamp" } else { "date" }))
        .collect();
    let values: Vec<_> = named().map(|(_, iso, _)| format!("'{iso}'")).collect();
    let sql = format!(
        "create table dates (id integer primary key, {}); insert into dates values (1, {})",
        columns.join(", "),
        values.join(", ")
    );
    let (_folder, kind) = sqlite(&sql);
    insta::assert_snapshot!("golden_sqlite", golden(&pull(kind, vec![awkward_dates("dates", &cannot)])));

    let server = Server::start();
    // Its driver leaves the letters BC away: that year is far out of any register, and this kind is not for it.
    let cannot =
        ["zero_date", "zero_month", "february_30", "no_leap_year", "end_of_day", "two_digits", "bc_2026", "minus_44"];
    let named = || all().filter(|(name, ..)| !cannot.contains(name));
    let kind = |name: &str, iso: &str| {
        if name.starts_with("other") {
            "timestamptz"
        } else if iso.contains(':') {
            "timestamp"
        } else {
            "date"
        }
    };
    let columns: Vec<_> = named().map(|(name, iso, _)| format!("{name} {}", kind(name, iso))).collect();
    let values: Vec<_> = named().map(|(_, iso, _)| format!("'{iso}'")).collect();
    server.run(&format!(
        "create table dates (id int primary key, {}); insert into dates values (1, {});
         create role reader login password 'x'; grant select on dates to reader",
        columns.join(", "),
        values.join(", ")
    ));
    insta::assert_snapshot!(
        "golden_postgres",
        golden(&pull(postgres(&server, "reader", "x"), vec![awkward_dates("dates", &cannot)]))
    );
}

#[test]
fn totals_of_both_readings_agree_and_conditions_are_translated() {
    let rows = "(1, 'Hà', '2026-11-21', 0.25), (2, 'Ha', '2026-11-22', -1.5), (3, 'it''s', null, null), (2147483647, null, '1969-12-31', 12345678.75)";
    let create = |real: &str| {
        format!(
            "create table fees (id int, name {real}, d date, amount decimal(12, 2)); insert into fees values {rows}"
        )
    };
    let (_folder, lite) = sqlite(&create("text"));
    let server = Server::start();
    server.run(&format!(
        "{}; create role reader login password 'x'; grant select on fees to reader",
        create("varchar(40)")
    ));
    let columns = vec![
        column("id", Type::Int),
        column("name", Type::Text),
        column("d", Type::Date),
        column("amount", Type::Decimal { digits: 14, scale: 4 }),
    ];
    let mut wanted = table("fees", columns);
    wanted.key = vec!["id".into(), "name".into()];
    wanted.control_totals = vec!["id".into(), "amount".into(), "d".into()];
    let compare = |column: &str, comparison, literal| Condition::Compare(column.into(), comparison, literal);
    for (kind, sums) in [(lite, vec!["id"]), (postgres(&server, "reader", "x"), vec!["amount", "id"])] {
        let whole = answer(kind.clone(), wanted.clone(), None);
        assert_eq!(whole.counted, whole.received);
        assert_eq!((whole.counted.rows, whole.counted.keys.is_some()), (4, true));
        assert_eq!(whole.counted.sums.keys().collect::<Vec<_>>(), sums);
        assert_eq!(whole.counted.sums["id"], (4, 2_147_483_653));
        if let Some(amount) = whole.counted.sums.get("amount") {
            assert_eq!(*amount, (3, 123_456_775_000));
        }
        let rows = |condition| {
            let answer = answer(kind.clone(), wanted.clone(), Some(&condition));
            assert_eq!(answer.counted, answer.received);
            answer.received.rows
        };
        assert_eq!(rows(compare("name", Comparison::Equal, Literal::Text("Hà".into()))), 1);
        assert_eq!(rows(compare("name", Comparison::Equal, Literal::Text("it's".into()))), 1);
        assert_eq!(rows(compare("id", Comparison::Less, Literal::Int(3))), 2);
        assert_eq!(rows(Condition::Not(Box::new(Condition::IsNull("d".into())))), 3);
        assert_eq!(rows(Condition::NotTrue(Box::new(compare("id", Comparison::Less, Literal::Int(3))))), 2);
    }
    // Dates as well, where the system has them: SQLite's driver leaves the escape to SQLite.
    let date = compare("d", Comparison::LessOrEqual, Literal::Date(night().as_of));
    assert_eq!(answer(postgres(&server, "reader", "x"), wanted, Some(&date)).received.rows, 2);
}

#[test]
fn a_moment_in_a_condition_is_in_the_escape_of_odbc() {
    let server = Server::start();
    server.run(
        "create table moments (id int primary key, at timestamp);
         insert into moments values (1, '2026-11-21 08:30:00'), (2, '2026-11-21 08:30:00.000001'), (3, null);
         create role reader login password 'x'; grant select on moments to reader",
    );
    let wanted = table("moments", vec![column("id", Type::Int), column("at", Type::Timestamp)]);
    let half_past = jiff::civil::date(2026, 11, 21).at(8, 30, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let literal = Literal::Timestamp(half_past.timestamp().as_microsecond());
    let condition = Condition::Compare("at".into(), Comparison::LessOrEqual, literal);
    let answer = answer(postgres(&server, "reader", "x"), wanted, Some(&condition));
    assert_eq!(answer.counted, answer.received);
    assert_eq!(answer.received.rows, 1);
}

#[test]
fn a_failing_query_is_an_error_and_never_an_empty_table() {
    let failing = "create table people (id integer primary key, name text);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into people select i, 'Nguyễn Văn An' from n;
         create view failing as select id, abs(case when id < 4000 then id else -9223372036854775807 - 1 end) as n from people";
    let (_folder, kind) = sqlite(failing);
    let wanted = |kind| vec![table("failing", vec![column("id", Type::Int), column("n", kind)])];
    let connection = |kind: &SourceKind| match kind {
        SourceKind::Odbc { connection, .. } => connection.clone(),
        _ => String::new(),
    };
    let failed = said(&pull(kind.clone(), wanted(Type::Text))).replace(&connection(&kind), "CONNECTION");
    insta::assert_snapshot!("failing_sqlite", failed);

    let server = Server::start();
    server.run(
        "create table people (id int primary key, name text); insert into people select i, 'Nguyễn Văn An' from generate_series(1, 5000) as i;
         create view failing as select id, case when id < 4999 then id else name::int end as n from people;
         create view dying as select id, case when id < 4000 then 1 else pg_terminate_backend(pg_backend_pid())::int end as n from people;
         create role reader login password 'x'; grant select on failing, people to reader; grant pg_signal_backend to reader;
         alter view dying owner to owner; grant select on dying to reader",
    );
    let kind = postgres(&server, "reader", "x");
    let failed = said(&pull(kind.clone(), wanted(Type::Int))).replace(&connection(&kind), "CONNECTION");
    assert!(!failed.contains("Nguyễn"), "{failed}");
    insta::assert_snapshot!("failing_postgres", failed);
    let dying = vec![table("dying", vec![column("id", Type::Int), column("n", Type::Int)])];
    let failed = said(&pull(kind, dying));
    assert!(failed.starts_with("error[sources.server]"), "{failed}");
}

#[test]
fn a_broken_contract_is_told_whole() {
    let (_folder, kind) = sqlite("create table cards (id integer primary key, valid_to date)");
    let missing = SourceTable { name: "card".into(), ..table("card", vec![column("id", Type::Int)]) };
    let cards =
        table("cards", vec![column("id", Type::Int), column("valid_too", Type::Date), column("valid_to", Type::Int)]);
    insta::assert_snapshot!("contract_sqlite", said(&pull(kind, vec![cards, missing])));

    let server = Server::start();
    server.run(
        "create table licences (licence_number text primary key, issued timestamp, secret text);
         create role reader login password 'đúng'; grant select (licence_number, issued) on licences to reader",
    );
    let columns = ["licence_number", "issue", "secret"].map(|name| column(name, Type::Text)).to_vec();
    insta::assert_snapshot!(
        "contract_postgres",
        said(&pull(postgres(&server, "reader", "đúng"), vec![table("licences", columns)]))
    );
    let granted =
        || vec![table("licences", vec![column("licence_number", Type::Text), column("issued", Type::Timestamp)])];
    let pulled = pull(postgres(&server, "reader", "đúng"), granted()).unwrap();
    assert_eq!(pulled.tables[0].asked, r#"select t."licence_number", t."issued" from "licences" t"#);

    let refused = said(&pull(postgres(&server, "reader", "sai mật khẩu"), granted()));
    assert!(!refused.contains("mật khẩu"), "{refused}");
    assert!(refused.contains("password authentication failed"), "{refused}");
    let nowhere =
        SourceKind::Odbc { connection: "Driver=/nowhere/driver.so;Server=db.example.com".into(), password: None };
    insta::assert_snapshot!("no_driver", said(&pull(nowhere, granted())));
    let secret = SecretRef::Env("CHUDONG_TEST_NO_SUCH_SECRET".into());
    let secretless = SourceKind::Odbc { connection: "Driver=/nowhere/driver.so".into(), password: Some(secret) };
    assert!(said(&pull(secretless, granted())).starts_with("error[secret.env-missing]"));
}

#[test]
fn all_tables_are_read_in_one_snapshot() {
    let server = Server::start();
    server.run(
        "create table first (id int primary key); create table second (id int primary key);
         insert into first values (1); insert into second values (1);
         create role reader login password 'x'; grant select on first, second to reader",
    );
    let tables = vec![table("first", vec![column("id", Type::Int)]), table("second", vec![column("id", Type::Int)])];
    let source = source(postgres(&server, "reader", "x"), tables);
    let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
    let ids = Mutex::new(Vec::new());
    for (index, table) in source.tables.iter().enumerate() {
        let answer = snapshot.read(Request { table, condition: None }, &|batch| {
            ids.lock().unwrap().push(batch.rows.num_rows());
            if index == 0 {
                server.run("insert into second values (2)");
            }
            Ok(())
        });
        let answer = answer.unwrap();
        assert_eq!(answer.counted, answer.received);
    }
    assert_eq!(ids.into_inner().unwrap(), [1, 1]);
}

#[test]
fn a_day_that_is_kept_as_text_is_not_compared_as_the_system_would() {
    let rows = "create table cards (id integer primary key, until_day varchar(10));
         insert into cards values (1, '31/12/2026'), (2, '01/01/2020'), (3, '31/02/2026'), (4, null)";
    let (_folder, file) = sqlite(rows);
    let server = Server::start();
    server.run(&format!("create role reader login password 'thẻ bí mật'; {rows}; grant select on cards to reader"));
    for kind in [file, postgres(&server, "reader", "thẻ bí mật")] {
        let until = Column { format: Some("%d/%m/%Y".into()), ..column("until_day", Type::Date) };
        let mut cards = table("cards", vec![column("id", Type::Int), until]);
        cards.filter = Some(Filter::parse("until_day >= $as_of", &cards.columns).unwrap());
        let pulled = pull(kind, vec![cards]);
        let Ok(whole) = &pulled else { panic!("{}", said(&pulled)) };
        assert!(whole.failed.is_empty(), "{}", said(&pulled));
        assert_eq!(whole.tables[0].table().unwrap().ints("id").unwrap(), [Some(1)], "{}", said(&pulled));
        assert_eq!(whole.tables[0].rows_quarantined, 1);
    }
}
