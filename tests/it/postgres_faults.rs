//! What a real PostgreSQL server does to a reader: it hides its certificate, dies, hangs, is changed
//! between two nights, or has no room. Nothing half-read lands, nothing hangs, no value is quoted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chudong::fault::Explain;
use chudong::landing::{self, Error, Pulled, Store};
use chudong::pipeline::{OnFault, SourceKind, SourceTable, Type};
use chudong::sources::{self, Answer, Request, Snapshot};

use crate::landing::{column, night, said, source, table};
use crate::support::postgres::{Server, signal};

fn pull(kind: SourceKind, tables: Vec<SourceTable>) -> Result<Pulled, Error> {
    landing::pull(&source(kind, tables), crate::root(), night(), &Store::Nowhere)
}

/// The source with other settings.
fn with(kind: SourceKind, change: impl FnOnce(&mut chudong::pipeline::Server)) -> SourceKind {
    let SourceKind::Postgres(mut server) = kind else { return kind };
    change(&mut server);
    SourceKind::Postgres(server)
}

/// Many rows on many pages, so that several connections read them.
fn many_people(server: &Server) -> SourceTable {
    server.run(
        "create table people (id int primary key, name text);
        insert into people select i, repeat('Nguyễn Văn An ', 20) || i from generate_series(1, 60000) as i;
        analyze people",
    );
    table("people", vec![column("id", Type::Int), column("name", Type::Text)])
}

/// Reads a table without landing it; `at` is called with how many rows have come.
fn read(kind: SourceKind, table: &SourceTable, at: impl Fn(u64) + Sync) -> Result<Answer, sources::Error> {
    let source = source(kind, vec![table.clone()]);
    let mut snapshot = Snapshot::open(&source, crate::root())?;
    let rows = AtomicU64::new(0);
    snapshot.read(Request { table, condition: None }, &|batch| {
        let count = batch.rows.num_rows() as u64;
        let so_far = rows.fetch_add(count, Ordering::Relaxed) + count;
        // Batches are handed over inside the runtime of a reader, where nobody may ask a server.
        std::thread::scope(|scope| scope.spawn(|| at(so_far)).join().unwrap());
        Ok(())
    })
}

#[test]
fn a_server_must_prove_who_it_is() {
    let server = Server::start_with_tls();
    server.run("create table cards (id int primary key); insert into cards values (1), (2)");
    server.run("create role reader login password 'đúng'; grant select on cards to reader");
    let cards = || vec![table("cards", vec![column("id", Type::Int)])];
    let over_tls = |host: &str, authority: &str| {
        with(server.over_loopback("reader", "đúng"), |server| {
            server.host = host.to_owned();
            server.authority = Some(authority.into());
        })
    };
    let shown = |pulled: &Result<Pulled, Error>| said(pulled).replace(&server.port.to_string(), "PORT");

    let authority = "tests/it/tls/authority.pem";
    insta::assert_snapshot!(shown(&pull(over_tls("127.0.0.1", authority), cards())), @"insurance.cards: read 2, landed 2");
    let protected = AtomicU64::new(0);
    let answer = read(over_tls("127.0.0.1", authority), &cards()[0], |_| {
        let sql = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'reader' and ssl";
        protected.store(server.number(sql).unsigned_abs(), Ordering::Relaxed);
    });
    assert_eq!((answer.unwrap().received.rows, protected.into_inner()), (2, 1));

    insta::assert_snapshot!(shown(&pull(over_tls("127.0.0.1", "tests/it/tls/other-authority.pem"), cards())), @r#"
    error[sources.certificate]: the server cannot prove that it is who it should be: invalid peer certificate: BadSignature
      at:   server 127.0.0.1:PORT/agency
      next: check that host is the name in the certificate, and let authority name the certificate of who issued it
    "#);
    insta::assert_snapshot!(shown(&pull(over_tls("localhost", "tests/it/tls/authority.pem"), cards())), @r#"
    error[sources.certificate]: the server cannot prove that it is who it should be: invalid peer certificate: certificate not valid for name "localhost"; certificate is only valid for IpAddress(127.0.0.1)
      at:   server localhost:PORT/agency
      next: check that host is the name in the certificate, and let authority name the certificate of who issued it
    "#);
    insta::assert_snapshot!(shown(&pull(over_tls("127.0.0.1", "tests/it/tls/nobody.pem"), cards())), @r#"
    error[sources.authority]: the certificates of authorities cannot be read: No such file or directory (os error 2)
      at:   tests/it/tls/nobody.pem
      next: let authority name a PEM file with the certificate of who issued the server's
    "#);
    insta::assert_snapshot!(shown(&pull(over_tls("127.0.0.1", "tests/it/tls/server.key"), cards())), @r#"
    error[sources.authority]: the certificates of authorities cannot be read: there is no certificate in it
      at:   tests/it/tls/server.key
      next: let authority name a PEM file with the certificate of who issued the server's
    "#);
}

#[test]
fn a_server_elsewhere_or_with_an_authority_must_offer_tls() {
    let server = Server::start();
    let cards = || vec![table("cards", vec![column("id", Type::Int)])];
    let shown = |kind| said(&pull(kind, cards())).replace(&server.port.to_string(), "PORT");
    let at = |host: &str, authority: Option<&str>| {
        with(server.over_loopback("reader", "đúng"), |server| {
            server.host = host.to_owned();
            server.authority = authority.map(Into::into);
        })
    };
    insta::assert_snapshot!(shown(at("127.0.0.1", Some("tests/it/tls/authority.pem"))), @r#"
    error[sources.clear-text]: the server offers no TLS, and the connection would be in the clear
      at:   server 127.0.0.1:PORT/agency
      next: ask the owner to switch TLS on at the server (ssl = on, and a certificate for this name)
    "#);
    // This address leads to this machine, and does not say so: it stands for a server elsewhere.
    insta::assert_snapshot!(shown(at("0.0.0.0", None)), @r#"
    error[sources.clear-text]: the server offers no TLS, and the connection would be in the clear
      at:   server 0.0.0.0:PORT/agency
      next: ask the owner to switch TLS on at the server (ssl = on, and a certificate for this name)
    "#);
}

/// The processes of the server that work for us, and what they do.
const OURS: &str = "select pid::text from pg_stat_activity where application_name = 'chudong'";

#[test]
fn a_backend_that_is_killed_in_mid_copy_ends_the_pull() {
    let server = Server::start();
    let people = many_people(&server);
    let begun = Instant::now();
    let killed = AtomicU64::new(0);
    let answer = read(server.over_socket("owner"), &people, |_| {
        if killed.fetch_add(1, Ordering::Relaxed) == 0 {
            let working = format!("{OURS} and state = 'active' limit 1");
            signal("KILL", server.texts(&working)[0].as_deref().unwrap().parse().unwrap());
        }
    });
    let error = answer.unwrap_err();
    assert!(["sources.server", "sources.unreachable"].contains(&error.code()), "{error}");
    assert!(error.next().contains("run again"), "{}", error.next());
    assert!(begun.elapsed() < Duration::from_secs(60), "the other readers went on");
}

#[test]
fn a_server_that_is_stopped_at_once_in_mid_copy_ends_the_pull() {
    let server = Server::start();
    let people = many_people(&server);
    let stopped = AtomicU64::new(0);
    let answer = read(server.over_socket("owner"), &people, |_| {
        if stopped.fetch_add(1, Ordering::Relaxed) == 0 {
            server.stop_at_once();
        }
    });
    let error = answer.unwrap_err();
    assert_eq!(error.code(), "sources.server");
}

#[test]
fn a_server_that_hangs_is_given_up_after_the_declared_time() {
    let server = Server::start();
    let people = many_people(&server);
    let kind = with(server.over_socket("owner"), |server| server.silence_seconds = 1);
    let stopped: std::sync::Mutex<Vec<i64>> = std::sync::Mutex::default();
    let begun = Instant::now();
    let answer = read(kind, &people, |_| {
        let mut stopped = stopped.lock().unwrap();
        if stopped.is_empty() {
            stopped.extend(server.texts(OURS).iter().flatten().map(|pid| pid.parse::<i64>().unwrap()));
            stopped.iter().for_each(|process| signal("STOP", *process));
        }
    });
    let took = begun.elapsed();
    stopped.lock().unwrap().iter().for_each(|process| signal("CONT", *process));
    let error = answer.unwrap_err();
    assert!(took < Duration::from_secs(60), "it took {took:?}");
    assert_eq!(error.code(), "sources.silent");
    assert_eq!(error.to_string(), "the server said nothing for 1 seconds");
    assert!(error.place().to_string().starts_with("people at server "), "{}", error.place());
}

#[test]
fn a_column_renamed_between_two_nights_is_named() {
    let server = Server::start();
    server.run("create table cards (id int primary key, valid_to date); insert into cards values (1, '2026-11-21')");
    let cards = || vec![table("cards", vec![column("id", Type::Int), column("valid_to", Type::Date)])];
    insta::assert_snapshot!(said(&pull(server.over_socket("owner"), cards())), @"insurance.cards: read 1, landed 1");
    server.run("alter table cards rename valid_to to valid_until");
    insta::assert_snapshot!(said(&pull(server.over_socket("owner"), cards())), @r#"
    error[landing.missing-column]: the source has no column "valid_to"
      at:   table insurance.cards
      next: the source has: "valid_until"; correct columns in pipeline.toml, or ask the owner of the source what has changed
    "#);
}

#[test]
fn a_server_without_room_is_read_by_the_connections_there_are() {
    let server = Server::start();
    let people = many_people(&server);
    server.run("create role reader login connection limit 2; grant select on people to reader");
    let most = AtomicU64::new(0);
    let answer = read(server.over_socket("reader"), &people, |_| {
        let now = server.texts(OURS).len() as u64;
        most.fetch_max(now, Ordering::Relaxed);
    });
    let answer = answer.unwrap();
    assert_eq!(answer.counted, answer.received);
    assert_eq!((answer.received.rows, most.into_inner()), (60_000, 2));
    server.run("alter role reader connection limit 0");
    let full = said(&pull(server.over_socket("reader"), vec![people]));
    assert!(full.contains("error[sources.full]"), "{full}");
}

#[test]
fn what_a_server_quotes_of_a_row_is_not_repeated_whichever_reader_meets_it() {
    let server = Server::start();
    let people = many_people(&server);
    // A cast that the owner wrote is asked for every row.
    server.run(
        "create type label as (said text);
        create function quote(label) returns text language plpgsql as
            $$ begin if $1.said like '%59999' then raise exception 'bad: %', $1.said; end if; return $1.said; end $$;
        create cast (label as text) with function quote(label);
        alter table people alter name type label using row(name)::label",
    );
    let error = read(server.over_socket("owner"), &people, |_| {}).unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("Nguyễn")), ("sources.server", false), "{error}");
    assert!(error.to_string().contains("P0001"), "{error}");
}

#[test]
fn a_table_that_fails_leaves_the_snapshot_to_the_tables_after_it() {
    let server = Server::start();
    server.run(
        "create table cards (id int primary key); insert into cards values (1), (2);
        create view broken as select id, 1 / (id - 2) as n from cards;
        create view ending as select id, pg_terminate_backend(pg_backend_pid())::text as n from cards",
    );
    let tables = |name: &str, kind| {
        vec![
            table(name, vec![column("id", Type::Int), column("n", kind)]),
            table("cards", vec![column("id", Type::Int)]),
        ]
    };
    let shown = |tables| {
        let SourceKind::Postgres(server) = server.over_socket("owner") else { return String::new() };
        let place = format!("{}:{}", server.host, server.port);
        said(&pull(SourceKind::Postgres(server), tables)).replace(&place, "SOCKET")
    };
    insta::assert_snapshot!(shown(tables("broken", Type::Int)), @r#"
    insurance.cards: read 2, landed 2
    error[sources.server]: the server stopped in the middle: SQLSTATE 22012
      at:   broken at server SOCKET/agency
      next: look at the server's log, and run again; nothing of this table was kept
    "#);
    insta::assert_snapshot!(shown(tables("ending", Type::Text)), @r#"
    error[sources.server]: the server stopped in the middle: terminating connection due to administrator command (57P01)
      at:   ending at server SOCKET/agency
      next: look at the server's log, and run again; nothing of this table was kept
    error[landing.not-asked]: the table was not asked for: the source had failed at insurance.ending and answers no more
      at:   table insurance.cards
      next: see the fault of that table, and run again
    "#);
}

#[test]
fn a_table_that_is_given_up_in_mid_copy_leaves_the_snapshot_to_the_tables_after_it() {
    let server = Server::start_with_tls();
    server.run(
        "create table people (id int primary key, born date, name text);
        insert into people select i, case when i % 1000 = 10 then 'infinity'::date else '2000-01-01' end,
            repeat('Nguyễn Văn An ', 10) || i from generate_series(1, 250000) as i;
        create table cards (id int primary key); insert into cards values (1), (2);
        create role reader login password 'synthetic'; grant select on people, cards to reader",
    );
    let mut born = column("born", Type::Date);
    born.on_fault = OnFault::Error;
    let tables = || {
        let people = table("people", vec![column("id", Type::Int), born.clone(), column("name", Type::Text)]);
        vec![people, table("cards", vec![column("id", Type::Int)])]
    };
    let over_tls = || {
        with(server.over_loopback("reader", "synthetic"), |server| {
            server.host = "127.0.0.1".into();
            server.authority = Some("tests/it/tls/authority.pem".into());
        })
    };
    for kind in [server.over_socket("owner"), over_tls()] {
        for readers in [1, 2, 4] {
            let pulled = pull(with(kind.clone(), |server| server.readers = readers), tables()).unwrap();
            let codes: Vec<_> = pulled.failed.iter().map(|(name, error)| (name.table.as_str(), error.code())).collect();
            assert_eq!(codes, [("people", "landing.value")], "{readers} readers");
            let landed: Vec<_> =
                pulled.tables.iter().map(|landed| (landed.name.table.as_str(), landed.rows_landed)).collect();
            assert_eq!(landed, [("cards", 2)], "{readers} readers");
        }
    }
}

#[test]
fn a_policy_that_would_hide_rows_is_refused_and_a_view_of_what_is_granted_is_read() {
    let server = Server::start();
    server.run(
        "create table cards (id int primary key); insert into cards values (1), (2), (3);
        create role reader login; grant select on cards to reader;
        alter table cards enable row level security; create policy shown on cards using (id < 3);
        create view granted as select id from cards where id < 3; grant select on granted to reader",
    );
    let shown = |user: &str, from: &str| {
        let SourceKind::Postgres(server) = server.over_socket(user) else { return String::new() };
        let place = format!("{}:{}", server.host, server.port);
        said(&pull(SourceKind::Postgres(server), vec![table(from, vec![column("id", Type::Int)])]))
            .replace(&place, "SOCKET")
    };
    insta::assert_snapshot!(shown("reader", "cards"), @"
    error[sources.hides-rows]: a row-level security policy would hide rows from our account without a word
      at:   cards at server SOCKET/agency
      next: ask the owner for a view with exactly the rows that are granted, and name it in from; or to exempt our account from the policy (bypassrls)
    ");
    assert_eq!(shown("reader", "granted"), "insurance.granted: read 2, landed 2");
    server.run("alter role reader bypassrls");
    assert_eq!(shown("reader", "cards"), "insurance.cards: read 3, landed 3");
}

#[test]
fn a_copy_that_the_server_ends_for_its_time_limit_lands_nothing_and_says_what_to_do() {
    let server = Server::start();
    // The limit begins with the next statement: counting is let through, and the copy is not.
    server.run(
        "create function limited() returns boolean language sql volatile as
            $$ select pg_catalog.set_config('statement_timeout', '300ms', false) is not null $$;
        create view slow as select id, case when limited() then pg_sleep(0.01)::text end as n
            from generate_series(1, 1000) as id where id > 1 or limited();
        create table cards (id int primary key); insert into cards values (1), (2)",
    );
    let tables = vec![
        table("slow", vec![column("id", Type::Int), column("n", Type::Text)]),
        table("cards", vec![column("id", Type::Int)]),
    ];
    let SourceKind::Postgres(place) = server.over_socket("owner") else { return };
    let place = format!("{}:{}", place.host, place.port);
    insta::assert_snapshot!(said(&pull(server.over_socket("owner"), tables)).replace(&place, "SOCKET"), @"
    insurance.cards: read 2, landed 2
    error[sources.broken-off]: the server broke the statement off: canceling statement due to statement timeout (57014)
      at:   slow at server SOCKET/agency
      next: where it took too long, ask the owner for an index on the columns of the filter, or for a longer time limit; then run again: nothing of this table was kept
    ");
}

#[test]
fn what_an_index_finds_in_a_large_table_is_counted_where_it_is_copied_or_by_another_connection() {
    let server = Server::start();
    let mut people = many_people(&server);
    server.run("create role reader login; grant select on people to reader");
    people.control_totals = vec!["id".into()];
    let read = |filter: &str, at: &(dyn Fn() + Sync)| {
        let filter = chudong::pipeline::filter::Filter::parse(filter, &people.columns).unwrap();
        let condition = filter.on(night()).unwrap();
        let mut snapshot = Snapshot::open(&source(server.over_socket("reader"), vec![people.clone()]), crate::root())?;
        snapshot.read(Request { table: &people, condition: Some(&condition) }, &|_| {
            at();
            Ok(())
        })
    };
    let few = read("id >= 59001", &|| {}).unwrap();
    assert_eq!((few.counted.rows, &few.counted), (1_000, &few.received));
    assert_eq!(few.counted.sums["id"], (1_000, (59_001..=60_000).sum::<i128>()));
    assert!(few.counted.keys.is_some_and(|keys| keys != 0));
    // So many that several of the server's processes fetch them.
    let more = read("id >= 55001", &|| {}).unwrap();
    assert_eq!((more.counted.rows, &more.counted), (5_000, &more.received));
    assert_eq!(more.counted.sums["id"], (5_000, (55_001..=60_000).sum::<i128>()));
    let none = read("id >= 60001", &|| {}).unwrap();
    assert_eq!((none.counted.rows, &none.counted), (0, &none.received));
    assert_eq!(none.counted.sums["id"], (0, 0));

    // The server would rather read the whole table than find so many.
    server.run("alter role reader set enable_seqscan = off");
    // Batches are handed over while the connection's own runtime runs: another thread must ask.
    let ours = || std::thread::scope(|scope| scope.spawn(|| server.texts(OURS).len()).join().unwrap());
    // The copy waits until the other connection has come.
    let beside = read("id >= 5001", &|| {
        let begun = Instant::now();
        while ours() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(20), "there is no second connection");
        }
    });
    let beside = beside.unwrap();
    assert_eq!((beside.counted.rows, &beside.counted), (55_000, &beside.received));
    assert!(beside.counted.keys.is_some());
    server.run("alter role reader connection limit 1");
    let alone = read("id >= 5001", &|| assert_eq!(ours(), 1)).unwrap();
    assert_eq!((&alone.counted, &alone.received), (&beside.counted, &beside.received));
}

/// The timers of the sockets of a port, on either side, as Linux shows them: what runs, and for how many hundredths
/// of a second.
fn timers(port: u16) -> Vec<(bool, String, u64)> {
    let listing = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let mut timers = Vec::new();
    for line in listing.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_server = fields[1].ends_with(&port);
        // 01 is an established connection.
        if fields[3] == "01" && (is_server || fields[2].ends_with(&port)) {
            let (kind, left) = fields[5].split_once(':').unwrap();
            timers.push((is_server, kind.to_owned(), u64::from_str_radix(left, 16).unwrap()));
        }
    }
    timers.sort();
    timers
}

#[test]
fn while_nothing_is_said_the_kernel_asks_on_both_sides_whether_the_other_is_there() {
    const KEEPALIVE: &str = "02";
    let server = Server::start();
    server.run("create role reader login password 'synthetic'");
    let source = source(server.over_loopback("reader", "synthetic"), Vec::new());
    let _snapshot = Snapshot::open(&source, crate::root()).unwrap();
    let begun = Instant::now();
    loop {
        let timers = timers(server.port);
        let are_set = timers.iter().all(|(_, kind, left)| kind == KEEPALIVE && *left <= 30 * 100);
        if timers.len() == 2 && !timers[0].0 && timers[1].0 && are_set {
            return;
        }
        // What was sent last is still being acknowledged.
        assert!(begun.elapsed() < Duration::from_secs(20), "{timers:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
