//! What would land otherwise than it stands at the source, and nobody would be told.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

use chudong::landing::{self, Landed, Read, Store};
use chudong::pipeline::filter::Filter;
use chudong::pipeline::{Column, Load, Source, SourceKind, SourceTable, Type};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use rusqlite::Connection;

use crate::landing::{column, on, said, source, table};
use crate::support::{mysql, postgres};

const NIGHT: Date = date(2026, 11, 21);

fn filtered(mut table: SourceTable, filter: &str) -> SourceTable {
    table.filter = Some(Filter::parse(filter, &table.columns).unwrap());
    table
}

fn pull(source: &Source, as_of: Date, store: &Store) -> Landed {
    let pulled = landing::pull(source, crate::root(), on(as_of), store).unwrap();
    assert!(pulled.failed.is_empty(), "{}", said(&Ok(pulled)));
    pulled.tables.into_iter().next().unwrap()
}

/// The identifiers that landed, and how many rows were set aside.
fn ids(kind: SourceKind, table: SourceTable) -> (Vec<i64>, u64) {
    let landed = pull(&source(kind, vec![table]), NIGHT, &Store::Nowhere);
    (held(&landed), landed.rows_quarantined)
}

fn held(landed: &Landed) -> Vec<i64> {
    let mut ids: Vec<i64> = landed.table().unwrap().ints("id").unwrap().into_iter().flatten().collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_moment_that_is_a_day_here_is_asked_for_as_that_day_whatever_zone_the_server_has() {
    let server = postgres::Server::start();
    // Midnight here, on the night and on the day before.
    server.run(
        "alter database agency set timezone = 'UTC';
         create table moments (id int primary key, at timestamptz);
         insert into moments values (1, '2026-11-21 00:00+07'), (2, '2026-11-20 00:00+07'), (3, '2026-11-22 00:00+07')",
    );
    let moments = table("moments", vec![column("id", Type::Int), column("at", Type::Date)]);
    let asked = |filter| ids(server.over_socket("owner"), filtered(moments.clone(), filter));
    assert_eq!(asked("at >= $as_of"), (vec![1, 3], 0));
    assert_eq!(asked("at = $as_of"), (vec![1], 0));
    assert_eq!(asked("at <= $as_of"), (vec![1, 2], 0));
}

#[test]
fn a_moment_of_mysql_is_compared_in_the_zone_in_which_it_lands() {
    let server = mysql::Server::start();
    server.run(
        "set time_zone = '+07:00';
         create table moments (id int primary key, at timestamp null);
         insert into moments values (1, '2026-11-21 00:00:00'), (2, '2026-11-20 00:00:00'), (3, '2026-11-22 00:00:00')",
    );
    for kind in [Type::Date, Type::Timestamp, Type::Instant] {
        let moments = table("moments", vec![column("id", Type::Int), column("at", kind)]);
        let asked = |filter| ids(server.over_socket("root"), filtered(moments.clone(), filter));
        assert_eq!(asked("at >= $as_of"), (vec![1, 3], 0), "{kind:?}");
        assert_eq!(asked("at = $as_of"), (vec![1], 0), "{kind:?}");
        assert_eq!(asked("at <= $as_of"), (vec![1, 2], 0), "{kind:?}");
    }
}

#[test]
fn a_day_that_is_kept_as_text_is_not_compared_as_the_server_would() {
    let rows = "create table cards (id int primary key, until_day varchar(10));
         insert into cards values (1, '31/12/2026'), (2, '01/01/2020'), (3, '31/02/2026'), (4, null)";
    let (first, second) = (mysql::Server::start(), postgres::Server::start());
    first.run(rows);
    second.run(rows);
    for kind in [first.over_socket("root"), second.over_socket("owner")] {
        let until = Column { format: Some("%d/%m/%Y".into()), ..column("until_day", Type::Date) };
        let mut cards = filtered(table("cards", vec![column("id", Type::Int), until]), "until_day >= $as_of");
        cards.control_totals = vec!["id".into()];
        assert_eq!(ids(kind, cards), (vec![1], 1));
    }
}

#[test]
fn blanks_and_capitals_are_part_of_a_text() {
    let server = mysql::Server::start();
    server.run(
        "create table cards (id int primary key, class varchar(4));
         insert into cards values (1, 'B1'), (2, 'B1 '), (3, 'b1'), (4, 'C'), (5, null)",
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cards.sqlite");
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "create table cards (id integer primary key, class text collate nocase);
             insert into cards values (1, 'B1'), (2, 'B1 '), (3, 'b1'), (4, 'C'), (5, null)",
        )
        .unwrap();
    for kind in [SourceKind::Sqlite { path }, server.over_socket("root")] {
        let cards = table("cards", vec![column("id", Type::Int), column("class", Type::Text)]);
        let asked = |filter| ids(kind.clone(), filtered(cards.clone(), filter)).0;
        assert_eq!(asked("class = 'B1'"), vec![1], "{}", kind.word());
        assert_eq!(asked("class <> 'B1'"), vec![2, 3, 4], "{}", kind.word());
        assert_eq!(asked("class not in ('B1', 'C')"), vec![2, 3], "{}", kind.word());
    }
}

#[test]
fn a_moment_of_sqlite_with_zeros_behind_its_seconds_is_the_same_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cards.sqlite");
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "create table cards (id integer primary key, at text);
             insert into cards values (1, '2026-11-21 00:00:00.000'), (2, '2026-11-21 00:00:00'), (3, '2026-11-21 00:00:00.001')",
        )
        .unwrap();
    let cards = table("cards", vec![column("id", Type::Int), column("at", Type::Timestamp)]);
    assert_eq!(ids(SourceKind::Sqlite { path }, filtered(cards, "at <= $as_of")), (vec![1, 2], 0));
}

/// A register that is read by increments.
struct Register {
    folder: tempfile::TempDir,
    database: Connection,
    source: Source,
    store: Store,
}

fn register(columns: Vec<Column>, filter: Option<&str>, compare_days: u16) -> Register {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("register.sqlite");
    let database = database(&path);
    let mut papers = table("papers", columns);
    papers.load = Load::Incremental { cursor: "moved".into(), overlap: 5, compare_days };
    papers.filter = filter.map(|text| Filter::parse(text, &papers.columns).unwrap());
    let store = Store::Folder(folder.path().join("landing"));
    Register { database, source: source(SourceKind::Sqlite { path }, vec![papers]), store, folder }
}

/// A hundred papers.
fn database(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "create table papers (id integer primary key, due text, moved, note text);
             with recursive n(id) as (select 1 union all select id + 1 from n where id < 100)
             insert into papers select id, '2026-12-01', id, 'first' from n",
        )
        .unwrap();
    database
}

fn counted() -> Vec<Column> {
    let text = |name| column(name, Type::Text);
    vec![column("id", Type::Int), column("due", Type::Date), column("moved", Type::Int), text("note")]
}

fn note(landed: &Landed, id: i64) -> Option<String> {
    let table = landed.table().unwrap();
    let place = table.ints("id").unwrap().iter().position(|found| *found == Some(id))?;
    table.texts("note").unwrap()[place].clone()
}

impl Register {
    fn run(&self, sql: &str) {
        self.database.execute_batch(sql).unwrap();
    }

    fn pull(&self, days: i64) -> Landed {
        pull(&self.source, NIGHT.saturating_add(days.days()), &self.store)
    }
}

#[test]
fn a_row_without_a_cursor_that_leaves_the_filter_goes() {
    let register = register(counted(), Some("due >= $as_of"), 300);
    register.run("update papers set moved = null where id = 7");
    assert!(held(&register.pull(0)).contains(&7));
    register.run("update papers set due = '2020-01-01' where id = 7");
    let second = register.pull(1);
    assert!(matches!(second.read, Read::Changes { .. }));
    assert!(!held(&second).contains(&7));
}

#[test]
fn a_row_committed_later_than_the_overlap_is_found_when_keys_are_compared() {
    let register = register(counted(), None, 2);
    register.pull(0);
    // Begun long ago, committed now.
    register.run("update papers set moved = 50, note = 'late' where id = 7");
    register.pull(1);
    let compared = register.pull(2);
    assert_eq!(note(&compared, 7).as_deref(), Some("late"));
}

#[test]
fn a_cursor_in_the_future_does_not_hide_what_changes_after_it() {
    let mut columns = counted();
    columns[2] = column("moved", Type::Timestamp);
    let register = register(columns, None, 300);
    register.run(
        "update papers set moved = '2026-11-01 00:00:00'; update papers set moved = '2199-12-31 00:00:00' where id = 9",
    );
    register.pull(0);
    register.run("update papers set moved = '2026-11-22 08:00:00', note = 'second' where id = 7");
    let second = register.pull(1);
    assert!(matches!(second.read, Read::Changes { .. }));
    assert_eq!(note(&second, 7).as_deref(), Some("second"));
}

#[test]
fn another_database_is_not_continued() {
    let mut register = register(counted(), None, 300);
    register.pull(0);
    let path: PathBuf = register.folder.path().join("other.sqlite");
    database(&path).execute_batch("update papers set note = 'other'").unwrap();
    register.source.kind = SourceKind::Sqlite { path };
    assert_eq!(note(&register.pull(1), 7).as_deref(), Some("other"));
}

#[test]
fn the_last_of_three_pulls_of_a_night_is_the_newest() {
    let mut register = register(counted(), None, 300);
    register.source.tables[0].load = Load::Snapshot;
    let first = register.pull(0);
    register.run("update papers set note = 'second'");
    register.pull(0);
    register.run("update papers set note = 'first'");
    let third = register.pull(0);
    assert_eq!(third.stored.base, first.stored.base);
    assert_eq!(register.store.newest(&third.name).unwrap(), third.generation.map(|generation| generation.path));
}

#[test]
fn a_file_is_read_by_increments_like_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let write = |changed: &str| {
        let rows =
            (1..=100).map(|id| if id == 7 { format!("{changed}\n") } else { format!("{id},2026-12-01,{id},first\n") });
        let text: String = std::iter::once("id,due,moved,note\n".to_owned()).chain(rows).collect();
        std::fs::write(folder.path().join("papers.csv"), text).unwrap();
    };
    let mut papers = filtered(table("papers", counted()), "due >= $as_of");
    papers.load = Load::Incremental { cursor: "moved".into(), overlap: 5, compare_days: 2 };
    let kind = SourceKind::Csv { path: folder.path().to_path_buf(), delimiter: b',' };
    let (source, store) = (source(kind, vec![papers]), Store::Folder(folder.path().join("landing")));
    write("7,2026-12-01,7,first");
    pull(&source, NIGHT, &store);
    write("7,2020-01-01,200,gone");
    let second = pull(&source, NIGHT.tomorrow().unwrap(), &store);
    assert!(matches!(second.read, Read::Changes { .. }));
    assert_eq!(held(&second).len(), 99);
    write("7,2026-12-02,201,back");
    let third = pull(&source, NIGHT.saturating_add(2.days()), &store);
    assert_eq!(note(&third, 7).as_deref(), Some("back"));
}

#[test]
fn a_file_is_filtered_by_what_is_not_true() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("papers.csv"), "id,moved\n1,1\n2,5\n3,9\n").unwrap();
    let kind = SourceKind::Csv { path: folder.path().to_path_buf(), delimiter: b',' };
    let papers = || table("papers", vec![column("id", Type::Int), column("moved", Type::Int)]);
    assert_eq!(ids(kind.clone(), filtered(papers(), "(moved > 4) is not true")), (vec![1], 0));
    std::fs::write(folder.path().join("papers.csv"), "id,moved\n1,1\n2,5\n3,\n").unwrap();
    assert_eq!(ids(kind, filtered(papers(), "(moved > 4) is not true")), (vec![1, 3], 0));
}

#[test]
fn a_number_that_the_column_cannot_hold_is_larger_than_all_that_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fees.csv"), "id,fee\n1,1.50\n2,99.00\n3,\n").unwrap();
    let kind = SourceKind::Csv { path: folder.path().to_path_buf(), delimiter: b',' };
    let fees = || table("fees", vec![column("id", Type::Int), column("fee", Type::Decimal { digits: 4, scale: 2 })]);
    assert_eq!(ids(kind.clone(), filtered(fees(), "fee < 100000")), (vec![1, 2], 0));
    assert_eq!(ids(kind, filtered(fees(), "fee > -100000 and fee < 50")), (vec![1], 0));
}

#[test]
fn rows_of_a_partitioned_table_and_of_children_come_once_by_any_number_of_readers() {
    let server = postgres::Server::start();
    server.run(
        "create table parts (id int, note text) partition by range (id);
         create table parts_a partition of parts for values from (0) to (30000);
         create table parts_b partition of parts for values from (30000) to (100000);
         insert into parts select n, repeat('x', 300) from generate_series(0, 59999) n;
         delete from parts where id between 10000 and 25000;
         create table parent (id int, note text); create table child () inherits (parent);
         insert into parent select n, repeat('x', 300) from generate_series(0, 29999) n;
         insert into child select n, repeat('x', 300) from generate_series(30000, 59999) n;
         create view seen as select * from parts union all select id + 100000, note from parent;
         create materialized view kept as select * from seen",
    );
    for (from, rows) in [("parts", 44_999), ("parent", 60_000), ("seen", 104_999), ("kept", 104_999)] {
        for readers in [1, 5] {
            let SourceKind::Postgres(known) = server.over_socket("owner") else { return };
            let kind = SourceKind::Postgres(chudong::pipeline::Server { readers, ..known });
            let wanted = table(from, vec![column("id", Type::Int), column("note", Type::Text)]);
            let (ids, set_aside) = ids(kind, filtered(wanted, "id >= 0"));
            assert_eq!((ids.len(), set_aside), (rows, 0), "{from} by {readers}");
            assert!(ids.is_sorted_by(|a, b| a < b));
        }
    }
}

#[test]
fn a_cursor_that_is_a_moment_of_mysql_misses_nothing_that_changed() {
    let server = mysql::Server::start();
    server.run(
        "set time_zone = '+07:00';
         create table papers (id int primary key, moved timestamp(6) null, note text);
         insert into papers select seq, '2026-11-21 01:00:00.25', 'first' from seq_1_to_100",
    );
    for kind in [Type::Timestamp, Type::Instant] {
        let folder = tempfile::tempdir().unwrap();
        let columns = vec![column("id", Type::Int), column("moved", kind), column("note", Type::Text)];
        let mut papers = table("papers", columns);
        papers.load = Load::Incremental { cursor: "moved".into(), overlap: 60, compare_days: 300 };
        let (source, store) =
            (source(server.over_socket("root"), vec![papers]), Store::Folder(folder.path().to_path_buf()));
        server.run(
            "set time_zone = '+07:00'; update papers set moved = '2026-11-21 01:00:00', note = 'first'; \
                    update papers set moved = '2026-11-21 03:00:00' where id = 100",
        );
        pull(&source, NIGHT, &store);
        server.run(
            "set time_zone = '+07:00'; update papers set moved = '2026-11-21 04:00:00', note = 'second' where id = 7",
        );
        let second = pull(&source, NIGHT.tomorrow().unwrap(), &store);
        assert!(matches!(second.read, Read::Changes { .. }), "{:?}", second.read);
        assert_eq!(note(&second, 7).as_deref(), Some("second"), "{kind:?}");
    }
}
