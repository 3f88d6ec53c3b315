//! A source on a real MariaDB server: types, zero dates, collations, grants, one snapshot, proof and failures.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use chudong::landing::{self, Error, Pulled, Store};
use chudong::pipeline::{Column, Family, Load, OnFault, SourceKind, SourceTable, Type};
use chudong::sources::{Answer, Request, Snapshot};

use crate::landing::{column, night, said, source, table};
use crate::support::mysql::Server;
use crate::types::{AWKWARD_DATES, AWKWARD_MOMENTS, awkward_dates, golden};

fn pull(kind: SourceKind, tables: Vec<SourceTable>) -> Result<Pulled, Error> {
    landing::pull(&source(kind, tables), crate::root(), night(), &Store::Nowhere)
}

/// A table as text, for reading in a review.
fn shown(pulled: &Result<Pulled, Error>) -> String {
    let Ok(whole) = pulled else { return said(pulled) };
    let Some(landed) = whole.tables.first() else { return said(pulled) };
    let table = arrow::util::pretty::pretty_format_batches(&landed.table().unwrap().batches).unwrap();
    format!("{table}\n{}", said(pulled))
}

/// What the source says of a table, without landing it.
fn answer(kind: SourceKind, table: SourceTable) -> Answer {
    let source = source(kind, vec![table]);
    let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
    assert!(snapshot.describe(&source.tables[0]).unwrap().is_some());
    snapshot.read(Request { table: &source.tables[0], condition: None }, &|_| Ok(())).unwrap()
}

/// The rows of a table as they come back from where it landed, in one batch.
fn landed(kind: SourceKind, table: SourceTable) -> RecordBatch {
    let pulled = pull(kind, vec![table]);
    assert_eq!(pulled.as_ref().map_or(0, |pulled| pulled.tables.len()), 1, "{}", said(&pulled));
    let table = pulled.unwrap().tables[0].table().unwrap();
    arrow::compute::concat_batches(&table.schema, &table.batches).unwrap()
}

#[test]
fn every_type_comes_back_as_it_was() {
    let server = Server::start();
    server.run(
        "create table scalars (id bigint unsigned primary key, ti tinyint(1), si smallint, mi mediumint zerofill, i int, bi bigint,
           ub bigint unsigned, bt bit(10), b1 bit(1), dc decimal(65, 30), money decimal(18, 2), f float, d double, y year,
           c char(6), v varchar(20) character set latin1, t text, e enum('một', 'hai'), s set('a', 'b'), j json,
           da date, dt datetime(6), ts timestamp(3) null, tm time(6), dur time, bin binary(2), vb varbinary(20), bl blob) character set utf8mb4;
         set time_zone = '+07:00';
         insert into scalars values
          (18446744073709551615, 1, -32768, 42, -2147483648, -9223372036854775808, 9223372036854775807, b'1000000001', b'1',
           -12345678901234567890123456789012345.123456789012345678901234567890, 804600.25, 0.1, 1e300, 2026,
           'ab', 'Hà', concat('Ha', _utf8mb4 x'CC80'), 'hai', 'a,b', '{\"a\": \"đ\"}',
           '1900-01-01', '2026-11-21 08:30:00.123456', '2026-11-21 00:00:00', '23:59:59.999999', '838:59:59', x'00ff', x'', 'xyz'),
          (1, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, -0.01, -0.5, 0, 1901, '', '', '', 'một', '', '[]',
           '2200-12-31', '1969-12-31 23:59:59', '1970-01-02 00:00:01', '00:00:00', '-00:00:01', '', x'00', '');
         insert into scalars (id) values (2)",
    );
    let kinds = [
        ("id", Type::Decimal { digits: 20, scale: 0 }),
        ("ti", Type::Bool),
        ("si", Type::Int),
        ("mi", Type::Int),
        ("i", Type::Int),
        ("bi", Type::Int),
        ("ub", Type::Int),
        ("bt", Type::Int),
        ("b1", Type::Bool),
        ("dc", Type::Decimal { digits: 65, scale: 30 }),
        ("money", Type::Decimal { digits: 18, scale: 2 }),
        ("f", Type::Float),
        ("d", Type::Float),
        ("y", Type::Int),
        ("c", Type::Text),
        ("v", Type::Text),
        ("t", Type::Text),
        ("e", Type::Text),
        ("s", Type::Text),
        ("j", Type::Text),
        ("da", Type::Date),
        ("dt", Type::Timestamp),
        ("ts", Type::Instant),
        ("tm", Type::Time),
        ("dur", Type::Interval),
        ("bin", Type::Bytes),
        ("vb", Type::Bytes),
        ("bl", Type::Bytes),
    ];
    let columns = kinds.map(|(name, kind)| Column { on_fault: OnFault::Error, ..column(name, kind) }).to_vec();
    let landed = landed(server.over_socket("root"), table("scalars", columns));
    let mut text = String::new();
    for (index, (name, kind)) in kinds.iter().enumerate() {
        assert_eq!(landed.column(index).data_type(), &kind.arrow());
        let value = |row| arrow::util::display::array_value_to_string(landed.column(index), row).unwrap();
        text.push_str(&format!("{name:<5} {:<15} {} | {} | {}\n", kind.word(), value(0), value(1), value(2)));
    }
    insta::assert_snapshot!(text);
    let composed: Vec<_> = landed.column_by_name("t").unwrap().as_string::<i32>().iter().collect();
    assert_eq!(composed, [Some(""), None, Some("H\u{e0}")]);
}

#[test]
fn golden_dates_of_mysql() {
    let server = Server::start();
    // It completes a year of two digits itself when it is given one; the others it takes in no column of dates.
    let cannot = [
        "infinity",
        "end_of_day",
        "two_digits",
        "before_christ",
        "bc_2026",
        "minus_44",
        "other_zone",
        "other_zone_evening",
    ];
    let create_without = |cannot: &[&str], kind: &dyn Fn(&str) -> &'static str, name: &str| {
        let all = || AWKWARD_DATES.iter().chain(&AWKWARD_MOMENTS).filter(|(name, ..)| !cannot.contains(name));
        let columns: Vec<_> = all().map(|(name, iso, _)| format!("{name} {}", kind(iso))).collect();
        let values: Vec<_> = all().map(|(_, iso, _)| format!("'{iso}'")).collect();
        server.run(&format!(
            "set sql_mode = 'ALLOW_INVALID_DATES'; create table {name} (id int primary key, {});
             insert into {name} values (1, {})",
            columns.join(", "),
            values.join(", ")
        ));
    };
    let create = |kind: &dyn Fn(&str) -> &'static str, name: &str| create_without(&cannot, kind, name);
    create(&|iso| if iso.len() > 10 { "datetime" } else { "date" }, "dates");
    let dates = golden(&pull(server.over_socket("root"), vec![awkward_dates("dates", &cannot)]));
    insta::assert_snapshot!(dates);
    // As a date and time, and as text, nothing else becomes of them.
    create(&|_| "datetime", "moments");
    assert_eq!(golden(&pull(server.over_socket("root"), vec![awkward_dates("moments", &cannot)])), dates);
    create(&|_| "varchar(40)", "texts");
    assert_eq!(golden(&pull(server.over_socket("root"), vec![awkward_dates("texts", &cannot)])), dates);
    // As text, all of them can be written.
    let cannot = ["other_zone"];
    create_without(&cannot, &|_| "varchar(40)", "all_texts");
    let texts = golden(&pull(server.over_socket("root"), vec![awkward_dates("all_texts", &cannot)]));
    insta::assert_snapshot!("golden_texts_of_mysql", texts);
}

#[test]
fn moments_and_numbers_that_do_not_fit_are_faults() {
    let server = Server::start();
    server.run(
        "set sql_mode = ''; set time_zone = '+00:00';
         create table awkward (id int primary key, ts timestamp null, tz timestamp null, dt datetime, u bigint unsigned, m decimal(10, 3), t time, z timestamp);
         insert into awkward values (1, '2026-11-20 17:00:00', '2026-11-20 17:00:01', '2026-00-10 10:00:00', 18446744073709551615, 1.005, '24:00:00', '0000-00-00 00:00:00')",
    );
    let kinds = [
        ("ts", Type::Date),
        ("tz", Type::Date),
        ("dt", Type::Timestamp),
        ("u", Type::Int),
        ("m", Type::Decimal { digits: 10, scale: 2 }),
        ("t", Type::Time),
        ("z", Type::Instant),
    ];
    let mut columns = vec![column("id", Type::Int)];
    columns.extend(kinds.map(|(name, kind)| Column { on_fault: OnFault::Null, ..column(name, kind) }));
    let mut wanted = table("awkward", columns);
    wanted.control_totals = vec!["u".into(), "m".into(), "id".into()];
    insta::assert_snapshot!(shown(&pull(server.over_socket("root"), vec![wanted.clone()])));
    // A column with a fault is in neither reading's totals.
    let answer = answer(server.over_socket("root"), wanted);
    assert_eq!(answer.counted, answer.received);
    assert_eq!(answer.counted.sums.keys().collect::<Vec<_>>(), ["id"]);
}

#[test]
fn a_collation_merges_no_keys() {
    let server = Server::start();
    server.run(
        "create table names (name varchar(40) collate utf8mb4_general_ci, n int) character set utf8mb4;
         insert into names values ('Hà', 1), ('Ha', 2), ('ha', 3), ('HA ', 4), ('Hạ', 5), (concat('Ha', _utf8mb4 x'CC80'), 6)",
    );
    // The server sees two names: one in five spellings, and one with a combining mark.
    assert_eq!(server.number("select count(distinct name) from names"), 2);
    let wanted = table("names", vec![column("name", Type::Text), column("n", Type::Int)]);
    // Only the two spellings of 'Hà' are one text.
    insta::assert_snapshot!(shown(&pull(server.over_socket("root"), vec![wanted])));
}

#[test]
fn totals_of_both_readings_agree_and_notice_a_change() {
    let server = Server::start();
    server.run(
        "create table fees (code varchar(20) character set latin1, part int zerofill, at datetime(3), day date, amount decimal(12, 2), note text);
         insert into fees select concat('Hà', seq), seq % 3, '2026-11-21 08:30:00.125' + interval seq second,
           '2026-01-01' + interval seq day, seq / 4, null from seq_1_to_2000;
         insert into fees values (null, 7, null, null, null, ''), ('', null, '2026-11-21', '1969-12-31', -0.25, '')",
    );
    let columns = vec![
        column("code", Type::Text),
        column("part", Type::Int),
        column("at", Type::Timestamp),
        column("day", Type::Date),
        column("amount", Type::Decimal { digits: 14, scale: 4 }),
    ];
    let mut wanted = table("fees", columns);
    wanted.key = ["code", "part", "at", "day", "amount"].map(str::to_owned).to_vec();
    wanted.control_totals = ["part", "day", "amount"].map(str::to_owned).to_vec();
    let ask = || answer(server.over_socket("root"), wanted.clone());
    let before = ask();
    assert_eq!(before.counted, before.received);
    assert_eq!((before.counted.rows, before.counted.keys.is_some(), before.counted.sums.len()), (2002, true, 3));
    assert_eq!(before.counted.sums["amount"], (2001, (2000 * 2001 / 2) * 2500 - 2500));
    // One row less and another twice: the same number of rows, but not the same keys.
    server.run("delete from fees where code = 'Hà5'; insert into fees select * from fees where code = 'Hà6'");
    let after = ask();
    assert_eq!(after.counted, after.received);
    assert_eq!(after.counted.rows, before.counted.rows);
    assert_ne!(after.counted.keys, before.counted.keys);
    server.run("truncate fees");
    let empty = ask();
    assert_eq!((&empty.counted, empty.counted.keys), (&empty.received, Some(0)));
}

#[test]
fn a_broken_contract_is_told_whole() {
    let server = Server::start();
    server.run(
        "create table licences (licence_number varchar(20) primary key, issued datetime, place point, secret text);
         create table hidden (id int); create user reader@'%' identified by 'đúng mật khẩu';
         grant select (licence_number, issued, place) on agency.licences to reader@'%'",
    );
    let wanted = table(
        "licences",
        vec![
            column("licence_number", Type::Text),
            column("issue", Type::Date),
            column("issued", Type::Text),
            column("place", Type::Text),
            column("secret", Type::Text),
        ],
    );
    let reader = || server.over_loopback("reader", "đúng mật khẩu");
    insta::assert_snapshot!(said(&pull(reader(), vec![wanted])));
    // Of a table without any grant, MySQL does not even say whether it exists.
    let hidden = || vec![table("hidden", vec![column("id", Type::Int)])];
    let denied = said(&pull(reader(), hidden()));
    insta::assert_snapshot!("denied", denied.replace(&server.port.to_string(), "PORT"));
    insta::assert_snapshot!(
        "missing",
        said(&pull(server.over_socket("root"), vec![table("licence", vec![column("id", Type::Int)])]))
    );

    // Only the granted columns are named, so that a grant on them is enough.
    let granted = || vec![table("licences", vec![column("licence_number", Type::Text)])];
    let pulled = pull(reader(), granted()).unwrap();
    assert_eq!(pulled.tables[0].asked, "select t.`licence_number` from `licences` as t");
    let refused = said(&pull(server.over_loopback("reader", "sai mật khẩu"), granted()));
    assert!(!refused.contains("mật khẩu"), "{refused}");
    insta::assert_snapshot!("refused", refused.replace(&server.port.to_string(), "PORT"));
}

#[test]
fn all_tables_are_read_in_one_snapshot() {
    let server = Server::start();
    // Reading the first table takes two seconds or more; the other connection writes to both meanwhile.
    server.run(
        "create table first (id int primary key); create table second (id int primary key);
         insert into first values (1), (2); insert into second values (1), (2);
         create view slow as select first.id from first, (select sleep(2)) as pause",
    );
    let tables = vec![table("slow", vec![column("id", Type::Int)]), table("second", vec![column("id", Type::Int)])];
    let pulled = std::thread::scope(|scope| {
        let pulling = scope.spawn(|| pull(server.over_socket("root"), tables.clone()).unwrap());
        let begun = Instant::now();
        let reading = "select count(*) from information_schema.processlist where info like 'select %`slow`%' and info not like '%processlist%'";
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
    let again = pull(server.over_socket("root"), tables).unwrap();
    assert_eq!(again.tables[1].table().unwrap().ints("id").unwrap(), vec![Some(2), Some(3)]);
}

#[test]
fn nothing_can_be_written_and_other_kinds_of_lists_are_refused() {
    let server = Server::start();
    server.run("create table cards (id int primary key); insert into cards values (1); create function spoil() returns int modifies sql data begin insert into cards values (2); return 1; end");
    server.run("create view spoiling as select spoil() as id");
    let spoiled = said(&pull(server.over_socket("root"), vec![table("spoiling", vec![column("id", Type::Int)])]));
    assert!(spoiled.contains("error[sources.server]: the server stopped in the middle: error 1792"), "{spoiled}");
    assert_eq!(server.number("select count(*) from cards"), 1);
    let lists = table("cards", vec![column("id", Type::List(Family::Int))]);
    assert!(said(&pull(server.over_socket("root"), vec![lists])).starts_with("error[landing.wrong-type]"));
}

#[test]
fn a_server_that_errs_or_dies_in_the_middle_lands_nothing_and_quotes_no_value() {
    let mut server = Server::start();
    server.run(
        "create table people (id int primary key, name varchar(40));
         insert into people select seq, 'Nguyễn Văn An' from seq_1_to_100000;
         create function strict_number(t varchar(40)) returns int deterministic
           begin signal sqlstate '22018' set message_text = 'Nguyễn Văn An is no number'; return 1; end;
         create view numbers as select id, if(id < 99999, id, strict_number(name)) as n from people",
    );
    let fails = |kind: &SourceKind, name: &str, n: Type| {
        let pulled = pull(kind.clone(), vec![table(name, vec![column("id", Type::Int), column("n", n)])]);
        said(&pulled)
            .replace(&server.folder().join("socket").display().to_string(), "SOCKET")
            .replace(&server.port.to_string(), "PORT")
    };
    let over_socket = server.over_socket("root");
    insta::assert_snapshot!(fails(&over_socket, "numbers", Type::Int));

    // The server goes away when the first rows have come.
    let kind = server.over_socket("root");
    let source = source(kind, vec![table("people", vec![column("id", Type::Int), column("name", Type::Text)])]);
    let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
    let server = Mutex::new(&mut server);
    let broken = snapshot.read(Request { table: &source.tables[0], condition: None }, &|_| {
        server.lock().unwrap().kill();
        Ok(())
    });
    let error = broken.unwrap_err();
    assert_eq!(chudong::fault::Explain::code(&error), "sources.server");
    assert!(!error.to_string().contains("Nguyễn"), "{error}");
}

#[test]
fn a_condition_is_evaluated_by_the_server() {
    use chudong::pipeline::filter::{Comparison, Condition, Literal};
    let server = Server::start();
    server.run(
        "create table cards (id int primary key, name varchar(20), d date, ts timestamp null);
         set time_zone = '+00:00';
         insert into cards values (1, 'a''\\\\b', '2026-11-21', '2026-11-21 01:30:00'), (2, 'x', '2026-11-22', '2026-11-21 01:30:01'), (3, null, null, null)",
    );
    let wanted = table(
        "cards",
        vec![column("id", Type::Int), column("name", Type::Text), column("d", Type::Date), column("ts", Type::Instant)],
    );
    let source = source(server.over_socket("root"), vec![wanted]);
    let rows = |condition: Condition| {
        let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
        let request = Request { table: &source.tables[0], condition: Some(&condition) };
        let answer = snapshot.read(request, &|_| Ok(())).unwrap();
        assert_eq!(answer.counted, answer.received);
        answer.received.rows
    };
    let compare = |column: &str, comparison, literal| Condition::Compare(column.into(), comparison, literal);
    assert_eq!(rows(compare("name", Comparison::Equal, Literal::Text("a'\\b".into()))), 1);
    assert_eq!(rows(compare("d", Comparison::LessOrEqual, Literal::Date(night().as_of))), 1);
    let half_past = jiff::civil::date(2026, 11, 21).at(1, 30, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let instant = || Literal::Instant(half_past.timestamp().as_microsecond());
    assert_eq!(rows(compare("ts", Comparison::LessOrEqual, instant())), 1);
    assert_eq!(rows(Condition::NotTrue(Box::new(compare("ts", Comparison::LessOrEqual, instant())))), 2);
    assert_eq!(rows(Condition::Not(Box::new(Condition::IsNull("name".into())))), 2);
}

#[test]
fn a_zero_date_comes_along_with_what_a_filter_asks_for_and_is_set_aside() {
    use chudong::pipeline::filter::Filter;
    let server = Server::start();
    server.run(
        "set sql_mode = ''; set time_zone = '+00:00';
         create table cards (id int primary key, d date, dt datetime, ts timestamp null, index (d), index (ts));
         insert into cards values (1, '2026-11-21', '2026-11-21', '2026-11-21'), (2, '2010-01-01', '2010-01-01', '2010-01-01'),
          (3, '0000-00-00', '0000-00-00', '0000-00-00'), (4, null, null, null), (5, '1969-12-31', '1969-12-31', '1970-01-01 00:00:01')",
    );
    // As strict as the server of an agency may be.
    server.run("set global sql_mode = 'TRADITIONAL'");
    for (name, kind) in [("d", Type::Date), ("dt", Type::Date), ("dt", Type::Timestamp), ("ts", Type::Instant)] {
        for (text, landed) in [("NAME >= $as_of - 30", 1), ("not NAME < $as_of - 30", 1), ("NAME <= $as_of - 30", 2)] {
            let mut cards = table("cards", vec![column("id", Type::Int), column(name, kind)]);
            cards.filter = Some(Filter::parse(&text.replace("NAME", name), &cards.columns).unwrap());
            let said = said(&pull(server.over_socket("root"), vec![cards]));
            let expected =
                format!("insurance.cards: read {}, landed {landed}\nQuarantined 1 for {name}: zero date", landed + 1);
            assert_eq!(said, expected, "{name} as {}, {text}", kind.word());
        }
    }
}

#[test]
fn a_server_elsewhere_is_reached_over_tls_that_verifies_it() {
    let server = Server::start_with(|folder| {
        // Its key must belong to the server, and be read by nobody else.
        let copy = |name: &str| {
            let copy = folder.join(name);
            std::fs::copy(crate::root().join("tests/it/tls").join(name), &copy).unwrap();
            copy.display().to_string()
        };
        vec![format!("--ssl-cert={}", copy("server.pem")), format!("--ssl-key={}", copy("server.key"))]
    });
    server.run(
        "create table cards (id int primary key); insert into cards values (1);
         create user reader@'%' identified by 'đúng' require ssl; grant select on agency.cards to reader@'%'",
    );
    let wanted = || vec![table("cards", vec![column("id", Type::Int)])];
    let ask = |host: &str, authority: Option<&str>| {
        let authority = authority.map(|name| format!("tests/it/tls/{name}").into());
        let known = server.server("reader", Some("đúng"));
        let kind = SourceKind::Mysql(chudong::pipeline::Server { host: host.into(), authority, ..known });
        said(&pull(kind, wanted())).replace(&server.port.to_string(), "PORT")
    };
    // Its certificate is of the named authority and for this name; any other is refused, and so is a connection in clear.
    assert_eq!(ask("127.0.0.1", Some("authority.pem")), "insurance.cards: read 1, landed 1");
    insta::assert_snapshot!("other_name", ask("localhost", Some("authority.pem")));
    insta::assert_snapshot!("other_authority", ask("127.0.0.1", Some("other-authority.pem")));
    assert!(ask("127.0.0.1", None).starts_with("error[sources.refused]"));
    insta::assert_snapshot!("no_authority", ask("127.0.0.1", Some("nobody.pem")));
    assert!(ask("127.0.0.1", Some("server.key")).starts_with("error[sources.authority]"));

    // A server that offers no TLS is not spoken to when it has to be protected.
    let open = Server::start();
    open.run("create user reader@'%' identified by 'đúng'");
    let authority = Some("tests/it/tls/authority.pem".into());
    let unprotected = chudong::pipeline::Server { authority, ..open.server("reader", Some("đúng")) };
    let said = said(&pull(SourceKind::Mysql(unprotected), wanted()));
    insta::assert_snapshot!("no_tls", said.replace(&open.port.to_string(), "PORT"));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start();
    server.run(
        "create table cards (id int primary key); insert into cards values (1);
         create view slow as select id + sleep(100) as id from cards",
    );
    let patient = server.server("root", None);
    let kind = |patience: chudong::pipeline::Server| SourceKind::Mysql(patience);
    let host = server.folder().join("socket").display().to_string();
    let hasty = chudong::pipeline::Server { silence_seconds: 1, host, ..patient.clone() };
    let begun = Instant::now();
    let slow = said(&pull(kind(hasty), vec![table("slow", vec![column("id", Type::Int)])]));
    assert!(slow.starts_with("error[sources.silent]: the server said nothing for 1 seconds"), "{slow}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    // Nor does a port at which somebody listens and never speaks hold the night up.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let hasty = chudong::pipeline::Server { silence_seconds: 1, port, ..patient };
    let mute_said = said(&pull(kind(hasty), vec![table("cards", vec![column("id", Type::Int)])]));
    assert!(
        mute_said.starts_with("error[sources.unreachable]: the server cannot be reached: no answer in 1 seconds"),
        "{mute_said}"
    );
}

#[test]
fn changed_rows_are_found_by_a_cursor() {
    let server = Server::start();
    server.run(
        "create table cards (id int primary key, name varchar(20), changed timestamp(6) not null) character set utf8mb4;
         set time_zone = '+00:00';
         insert into cards select seq, 'Hà', '2026-11-20 01:00:00' + interval seq second from seq_1_to_500",
    );
    let mut cards =
        table("cards", vec![column("id", Type::Int), column("name", Type::Text), column("changed", Type::Instant)]);
    cards.load = Load::Incremental { cursor: "changed".into(), overlap: 0, compare_days: 7 };
    let source = source(server.over_socket("root"), vec![cards]);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::Folder(folder.path().into());
    let names = || {
        let pulled = landing::pull(&source, crate::root(), night(), &store);
        let Ok(whole) = &pulled else { return (said(&pulled), Vec::new()) };
        let Some(landed) = whole.tables.first() else { return (said(&pulled), Vec::new()) };
        let read = landed.rows_read.to_string();
        (read, landed.table().unwrap().texts("name").unwrap().into_iter().flatten().collect())
    };
    assert_eq!(names(), ("500".into(), vec!["Hà".to_owned(); 500]));
    server.run(
        "set time_zone = '+00:00'; update cards set name = 'Ha', changed = '2026-11-21 01:00:00' where id = 7;
         insert into cards values (501, 'Huế', '2026-11-21 01:00:00.000001')",
    );
    let (read, names) = names();
    // The changed row and the new one, and those of the last cursor itself.
    assert!(read.parse::<u64>().unwrap() < 10, "{read}");
    assert_eq!((names.len(), names[6].as_str(), names[500].as_str()), (501, "Ha", "Huế"));
}
