//! A source on a real PostgreSQL server: types, grants, one snapshot, and what is said when it fails.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chudong::landing::{self, Error, Pulled, Store};
use chudong::pipeline::{OnFault, SourceKind, SourceTable, Type};

use crate::landing::{column, night, said, source, table};
use crate::support::postgres::Server;
use crate::types::{AWKWARD_DATES, AWKWARD_MOMENTS, awkward_dates, golden};

fn pull(kind: SourceKind, tables: Vec<SourceTable>) -> Result<Pulled, Error> {
    landing::pull(&source(kind, tables), crate::root(), night(), &Store::Nowhere)
}

/// A table as text, for reading in a review.
fn shown(pulled: &Result<Pulled, Error>) -> String {
    let Ok(pulled) = pulled else { return said(pulled) };
    let table = &pulled.tables[0].table().unwrap();
    arrow::util::pretty::pretty_format_batches(&table.batches).unwrap().to_string()
}

#[test]
fn a_name_with_a_quote_and_a_backslash_is_a_name() {
    let server = Server::start();
    server.run(r#"create table "l'a\b" (id int primary key); insert into "l'a\b" values (1), (2)"#);
    server.run("alter role owner set standard_conforming_strings = off");
    let named = SourceTable { name: "odd".into(), ..table(r"l'a\b", vec![column("id", Type::Int)]) };
    let pulled = pull(server.over_socket("owner"), vec![named]).unwrap();
    assert_eq!(pulled.tables.iter().map(|table| table.rows_landed).collect::<Vec<_>>(), [2]);
}

#[test]
fn golden_dates_of_postgresql() {
    let server = Server::start();
    // What it does not take, and what it makes another date of when it is given it: 24:00 is the next day's midnight.
    let cannot = ["zero_date", "zero_month", "february_30", "no_leap_year", "end_of_day", "two_digits", "minus_44"];
    let create = |cannot: &[&str], kind: &dyn Fn(&str, &str) -> &'static str, name: &str| {
        let all = || AWKWARD_DATES.iter().chain(&AWKWARD_MOMENTS).filter(|(name, ..)| !cannot.contains(name));
        let columns: Vec<_> = all().map(|(name, iso, _)| format!("{name} {}", kind(name, iso))).collect();
        let values: Vec<_> = all().map(|(_, iso, _)| format!("'{iso}'")).collect();
        server.run(&format!(
            "create table {name} (id int primary key, {}); insert into {name} values (1, {})",
            columns.join(", "),
            values.join(", ")
        ));
    };
    let kind = |name: &str, iso: &str| match name {
        _ if name.starts_with("other") => "timestamptz",
        _ if iso.contains(':') => "timestamp",
        _ => "date",
    };
    create(&cannot, &kind, "dates");
    let dates = golden(&pull(server.over_socket("owner"), vec![awkward_dates("dates", &cannot)]));
    insta::assert_snapshot!("golden_dates", dates);
    // A column of timestamps gives no other dates.
    create(&cannot, &|name, _| if name.starts_with("other") { "timestamptz" } else { "timestamp" }, "moments");
    assert_eq!(golden(&pull(server.over_socket("owner"), vec![awkward_dates("moments", &cannot)])), dates);
    // As text, all of them can be written.
    let cannot = ["other_zone"];
    create(&cannot, &|_, _| "text", "texts");
    let texts = golden(&pull(server.over_socket("owner"), vec![awkward_dates("texts", &cannot)]));
    insta::assert_snapshot!("golden_texts", texts);
}

#[test]
fn every_type_comes_back_as_it_was() {
    let server = Server::start();
    // The last instant is midnight in Saigon, which was eight hours ahead of UTC in 1970.
    server.run(
        r#"create type level as enum ('một', 'hai');
        create domain code as varchar(5);
        create table scalars (id int primary key, t text, v varchar(20), c char(6), n name, e level, d code, u uuid,
            i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, ni numeric(20, 0), nf numeric(20, 4), b bool,
            dt date, ts timestamp, tz timestamptz);
        insert into scalars values
          (1, normalize('Hà Nội', nfd), ' a ', 'ab', 'n', 'hai', '97001', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
            -32768, -2147483648, -9223372036854775808, 0.5, 1e300, -9223372036854775808, -1234567890.0625, true,
            '1900-01-01', '2026-11-21 00:00', '2026-11-20 17:00+00'),
          (2, '', '', '', '', 'một', '', '00000000-0000-0000-0000-000000000000',
            32767, 2147483647, 9223372036854775807, -0.25, 0.1, 12340000, 0.1, false,
            '2200-12-31', '1969-12-31', '1970-01-01 00:00+08');
        insert into scalars (id) values (3)"#,
    );
    let names = "t v c n e d u i2 i4 i8 f4 f8 ni nf b dt ts tz";
    let mut columns = vec![column("id", Type::Int)];
    columns.extend(names.split(' ').map(|name| {
        let kind = match name {
            "i2" | "i4" | "i8" | "ni" => Type::Int,
            "f4" | "f8" | "nf" => Type::Float,
            "b" => Type::Bool,
            "dt" | "ts" | "tz" => Type::Date,
            _ => Type::Text,
        };
        column(name, kind)
    }));
    let pulled = pull(server.over_socket("owner"), vec![table("scalars", columns)]);
    insta::assert_snapshot!(said(&pulled), @"
    insurance.scalars: read 3, landed 3
    Normalised 1 for t: not in NFC
    ");
    let table = &pulled.as_ref().unwrap().tables[0].table().unwrap();
    assert_eq!(table.texts("t").unwrap()[0].as_deref(), Some("Hà Nội"));
    insta::assert_snapshot!(shown(&pulled), @r#"
    +----+--------+-----+----+---+-----+-------+--------------------------------------+--------+-------------+----------------------+-------+-------+----------------------+------------------+-------+------------+------------+------------+
    | id | t      | v   | c  | n | e   | d     | u                                    | i2     | i4          | i8                   | f4    | f8    | ni                   | nf               | b     | dt         | ts         | tz         |
    +----+--------+-----+----+---+-----+-------+--------------------------------------+--------+-------------+----------------------+-------+-------+----------------------+------------------+-------+------------+------------+------------+
    | 1  | Hà Nội |  a  | ab | n | hai | 97001 | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 | -32768 | -2147483648 | -9223372036854775808 | 0.5   | 1e300 | -9223372036854775808 | -1234567890.0625 | true  | 1900-01-01 | 2026-11-21 | 2026-11-21 |
    | 2  |        |     |    |   | một |       | 00000000-0000-0000-0000-000000000000 | 32767  | 2147483647  | 9223372036854775807  | -0.25 | 0.1   | 12340000             | 0.1              | false | 2200-12-31 | 1969-12-31 | 1970-01-01 |
    | 3  |        |     |    |   |     |       |                                      |        |             |                      |       |       |                      |                  |       |            |            |            |
    +----+--------+-----+----+---+-----+-------+--------------------------------------+--------+-------------+----------------------+-------+-------+----------------------+------------------+-------+------------+------------+------------+
    "#);
}

#[test]
fn awkward_values_are_quarantined_with_their_reason() {
    let server = Server::start();
    server.run(
        "create table awkward (id int primary key, dt date, ts timestamp, tz timestamptz, n numeric, f float8);
        insert into awkward values (1, '2026-11-21', '2026-11-21', '2026-11-21 00:00+07', 5, 0.5);
        insert into awkward (id, dt) values (2, 'infinity'), (3, '-infinity'), (4, '9999-12-31'), (5, '0001-01-01'), (6, '0044-03-15 BC'),
          (7, '5874897-12-31'), (8, '1899-12-31'), (9, '2201-01-01');
        insert into awkward (id, ts) values (11, 'infinity'), (12, '-infinity'), (13, '2026-11-21 00:00:01'),
          (14, '294276-12-31'), (15, '4713-01-01 BC');
        insert into awkward (id, tz) values (21, 'infinity'), (22, '-infinity'), (23, '9999-12-31 00:00+00'),
          (24, '2026-11-21 00:00+00'), (25, '294276-12-31');
        insert into awkward (id, n) values (31, 'NaN'), (32, 1.5), (33, 9223372036854775808), (34, 1e39),
          (35, -9223372036854775809), (36, 1e-39);
        insert into awkward (id, f) values (41, 'NaN'), (42, 'infinity'), (43, '-infinity')",
    );
    let columns = vec![
        column("id", Type::Int),
        column("dt", Type::Date),
        column("ts", Type::Date),
        column("tz", Type::Date),
        column("n", Type::Int),
        column("f", Type::Float),
    ];
    let pulled = pull(server.over_socket("owner"), vec![table("awkward", columns.clone())]);
    insta::assert_snapshot!(said(&pulled), @r#"
    insurance.awkward: read 28, landed 1
    Quarantined 8 for dt: date outside 1900 to 2200
    Quarantined 4 for ts: date outside 1900 to 2200
    Quarantined 1 for ts: time of day in a date
    Quarantined 4 for tz: date outside 1900 to 2200
    Quarantined 1 for tz: time of day in a date
    Quarantined 2 for n: not a whole number
    Quarantined 1 for n: not a finite number
    Quarantined 3 for n: number too large
    Quarantined 3 for f: not a finite number
    "#);
    insta::assert_snapshot!(shown(&pulled), @r#"
    +----+------------+------------+------------+---+-----+
    | id | dt         | ts         | tz         | n | f   |
    +----+------------+------------+------------+---+-----+
    | 1  | 2026-11-21 | 2026-11-21 | 2026-11-21 | 5 | 0.5 |
    +----+------------+------------+------------+---+-----+
    "#);

    let nulls = columns.iter().cloned().map(|mut column| {
        column.on_fault = OnFault::Null;
        column
    });
    let pulled = pull(server.over_socket("owner"), vec![table("awkward", nulls.collect())]).unwrap();
    assert_eq!(pulled.tables[0].rows_landed, 28);
    let mut stops = columns;
    stops[1].on_fault = OnFault::Error;
    insta::assert_snapshot!(said(&pull(server.over_socket("owner"), vec![table("awkward", stops)])), @r#"
    error[landing.value]: row 2, column dt: date outside 1900 to 2200, and this column stops the pull (on_fault = "error")
      at:   table insurance.awkward
      next: ask the owner to correct the row, or set on_fault to "quarantine" or "null" for the column
    "#);
}

#[test]
fn a_broken_contract_is_told_whole() {
    let server = Server::start();
    server.run(
        "create table licences (licence_number text primary key, issued timestamp, points jsonb, secret text);
        create schema hidden; create table hidden.cards (id int);
        create role reader login password 'đúng mật khẩu';
        grant select (licence_number, issued, points) on licences to reader",
    );
    let wanted = table(
        "licences",
        vec![
            column("licence_number", Type::Text),
            column("issue", Type::Date),
            column("issued", Type::Text),
            column("points", Type::Int),
            column("secret", Type::Text),
        ],
    );
    let vehicles = table("licence", vec![column("licence_number", Type::Text)]);
    insta::assert_snapshot!(said(&pull(server.over_socket("reader"), vec![wanted, vehicles])), @r#"
    error[landing.missing-column]: the source has no column "issue"
      at:   table insurance.licences
      next: correct columns in pipeline.toml, or ask the owner of the source what has changed
    error[landing.wrong-type]: the column "issued" is timestamp without time zone at the source, but declared as text
      at:   table insurance.licences
      next: declare it as timestamp or date, or ask the owner for a view that casts it
    error[landing.wrong-type]: the column "points" is jsonb at the source, but declared as int
      at:   table insurance.licences
      next: declare it as text, or ask the owner for a view that casts it
    error[landing.no-grant]: our account may not read the column "secret"
      at:   table insurance.licences
      next: ask the owner: grant select (secret) on licences to our account
    error[landing.missing-table]: the source has no table "licence"
      at:   table insurance.licence
      next: did you mean "licences"? correct from in pipeline.toml, or ask the owner of the source what has changed
    "#);
    let hidden = |from: &str| SourceTable { name: "cards".into(), ..table(from, vec![column("id", Type::Int)]) };
    let denied = said(&pull(server.over_socket("reader"), vec![hidden("hidden.cards")]));
    insta::assert_snapshot!(denied.replace(&socket(&server), "SOCKET"), @r#"
    error[sources.denied]: our account lacks a right: permission denied for schema hidden (42501)
      at:   hidden.cards at server SOCKET/agency
      next: ask the owner to grant our account usage on the schema and select on the granted columns
    "#);

    // Only the granted column is named, so a grant on that column alone is enough, with a password over loopback.
    let granted = || vec![table("licences", vec![column("licence_number", Type::Text)])];
    let pulled = pull(server.over_loopback("reader", "đúng mật khẩu"), granted()).unwrap();
    assert_eq!(pulled.tables[0].asked, r#"select t."licence_number" from "licences" as t"#);

    let refused = said(&pull(server.over_loopback("reader", "sai mật khẩu"), granted()));
    assert!(!refused.contains("mật khẩu"), "{refused}");
    insta::assert_snapshot!(refused.replace(&server.port.to_string(), "PORT"), @r#"
    error[sources.refused]: the server refuses the connection: password authentication failed for user "reader" (28P01)
      at:   server 127.0.0.1:PORT/agency
      next: check the database, the account and the secret that pipeline.toml names
    "#);
}

fn socket(server: &Server) -> String {
    match server.over_socket("owner") {
        SourceKind::Postgres(chudong::pipeline::Server { host, port, .. }) => format!("{host}:{port}"),
        _ => String::new(),
    }
}

#[test]
fn all_tables_are_read_in_one_snapshot() {
    let server = Server::start();
    // Reading the first table takes a second; the other connection writes to both meanwhile.
    server.run(
        "create table first (id int primary key); create table second (id int primary key);
        insert into first values (1), (2); insert into second values (1), (2);
        create view slow as select first.id from first, (select pg_sleep(2)) as pause",
    );
    let tables = vec![table("slow", vec![column("id", Type::Int)]), table("second", vec![column("id", Type::Int)])];
    let pulled = std::thread::scope(|scope| {
        let pulling = scope.spawn(|| pull(server.over_socket("owner"), tables.clone()).unwrap());
        let begun = Instant::now();
        let reading = "select count(*) from pg_stat_activity where application_name = 'chudong' \
                       and state = 'active' and query like '%\"slow\"%'";
        while server.number(reading) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the pull never began to read");
            std::thread::sleep(Duration::from_millis(5));
        }
        server.run("insert into first values (3); insert into second values (3); delete from second where id = 1");
        assert!(!pulling.is_finished(), "the writer was too late to prove anything");
        pulling.join().unwrap()
    });
    let ids = |index: usize| pulled.tables[index].table().unwrap().ints("id").unwrap();
    assert_eq!((ids(0), ids(1)), (vec![Some(1), Some(2)], vec![Some(1), Some(2)]));
    let again = pull(server.over_socket("owner"), tables).unwrap();
    assert_eq!(again.tables[1].table().unwrap().ints("id").unwrap(), vec![Some(2), Some(3)]);
}

#[test]
fn a_server_that_dies_or_errs_in_the_middle_lands_nothing_of_the_table_and_quotes_no_value() {
    let server = Server::start();
    server.run(
        "create table people (id int primary key, name text);
        insert into people select i, 'Nguyễn Văn An' from generate_series(1, 200000) as i;
        create view numbers as select id, case when id < 200000 then id else name::int end as n from people;
        create view dying as select id, case when id < 150000 then name
            else pg_terminate_backend(pg_backend_pid())::text end as n from people",
    );
    let store = tempfile::tempdir().unwrap();
    let fails = |name: &str, kind: Type| {
        let tables = vec![
            table("people", vec![column("id", Type::Int), column("name", Type::Text)]),
            table(name, vec![column("id", Type::Int), column("n", kind)]),
        ];
        let source = source(server.over_socket("owner"), tables);
        let pulled = landing::pull(&source, crate::root(), night(), &Store::Folder(store.path().into()));
        said(&pulled).replace(&socket(&server), "SOCKET")
    };
    insta::assert_snapshot!(fails("numbers", Type::Int), @r#"
    insurance.people: read 200000, landed 200000
    error[sources.server]: the server stopped in the middle: SQLSTATE 22P02
      at:   numbers at server SOCKET/agency
      next: look at the server's log, and run again; nothing of this table was kept
    "#);
    insta::assert_snapshot!(fails("dying", Type::Text), @r#"
    insurance.people: read 200000, landed 200000
    error[sources.server]: the server stopped in the middle: terminating connection due to administrator command (57P01)
      at:   dying at server SOCKET/agency
      next: look at the server's log, and run again; nothing of this table was kept
    "#);
    let kept = |name: &str| std::fs::read_dir(store.path().join(name)).map_or(0, |folder| folder.flatten().count());
    assert!(kept("insurance.people") > 0);
    assert_eq!((kept("insurance.numbers"), kept("insurance.dying")), (0, 0), "half a table became visible");
}

#[test]
fn nobody_at_all_is_said_to_be_unreachable() {
    let kind = |host: &str, port| {
        SourceKind::Postgres(chudong::pipeline::Server {
            host: host.into(),
            port,
            database: "agency".into(),
            user: "reader".into(),
            password: None,
            authority: None,
            readers: 4,
            silence_seconds: 60,
        })
    };
    let wanted = || vec![table("licences", vec![column("licence_number", Type::Text)])];
    // Nobody listens on a port that was just given back.
    static PORT: LazyLock<u16> =
        LazyLock::new(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let said = said(&pull(kind("127.0.0.1", *PORT), wanted())).replace(&PORT.to_string(), "PORT");
    insta::assert_snapshot!(said, @r#"
    error[sources.unreachable]: the server cannot be reached: error connecting to server: Connection refused (os error 111)
      at:   server 127.0.0.1:PORT/agency
      next: check host and port, and that the server is running; then run again
    "#);
}
