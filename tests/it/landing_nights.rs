//! Nights that follow each other: what has changed is read, and the table is the source's all the same.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use chudong::landing::{self, Landed, Read, Store};
use chudong::pipeline::filter::Filter;
use chudong::pipeline::{Load, Source, SourceKind, SourceTable, Type};
use chudong::sql::Engine;
use chudong::tables::Table;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::landing::{column, on, said, source, table};

/// A register in an SQLite file, and the store in which it lands.
struct Register {
    _folder: tempfile::TempDir,
    database: Connection,
    source: Source,
    store: Store,
    landing: PathBuf,
}

/// Papers that come due, with a counter that never falls.
fn papers(filter: Option<&str>, load: Load) -> SourceTable {
    let columns = vec![
        column("due", Type::Date),
        column("id", Type::Int),
        column("moved", Type::Int),
        column("note", Type::Text),
    ];
    let mut papers = table("papers", columns);
    papers.key = vec!["id".into()];
    papers.driving_date = Some("due".into());
    papers.filter = filter.map(|text| Filter::parse(text, &papers.columns).unwrap());
    papers.load = load;
    papers
}

fn by_counter(compare_days: u16) -> Load {
    Load::Incremental { cursor: "moved".into(), overlap: 5, compare_days }
}

impl Register {
    fn new(papers: SourceTable) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("register.sqlite");
        let database = Connection::open(&path).unwrap();
        database
            .execute_batch(
                "pragma synchronous = off; create table papers (due text, id integer, moved integer, note text)",
            )
            .unwrap();
        let landing = folder.path().join("landing");
        let source = source(SourceKind::Sqlite { path }, vec![papers]);
        Register { database, source, store: Store::Folder(landing.clone()), landing, _folder: folder }
    }

    fn write(&self, id: i64, due: Option<Date>, moved: Option<i64>, note: &str) {
        self.delete(id);
        let due = due.map(|due| due.to_string());
        self.database.execute("insert into papers values (?1, ?2, ?3, ?4)", (due, id, moved, note)).unwrap();
    }

    fn delete(&self, id: i64) {
        self.database.execute("delete from papers where id = ?1", [id]).unwrap();
    }

    fn pull(&self, as_of: Date) -> Landed {
        let pulled = landing::pull(&self.source, crate::root(), on(as_of), &self.store);
        let mut pulled = pulled.unwrap();
        assert!(pulled.failed.is_empty(), "{}", said(&Ok(pulled)));
        pulled.tables.remove(0)
    }

    fn folder(&self) -> PathBuf {
        self.landing.join("insurance.papers")
    }
}

/// A row as it stands in the register: due date, counter, note.
type Written = (Option<String>, Option<i64>, Option<String>);

type Rows = BTreeMap<i64, (Option<Date>, Option<i64>, Option<String>)>;

fn rows(table: &Table) -> Rows {
    let (ids, dues) = (table.ints("id").unwrap(), table.dates("due").unwrap());
    let (moved, notes) = (table.ints("moved").unwrap(), table.texts("note").unwrap());
    let rows: Vec<_> = ids.into_iter().zip(dues.into_iter().zip(moved).zip(notes)).collect();
    let count = rows.len();
    let rows: Rows = rows.into_iter().map(|(id, ((due, moved), note))| (id.unwrap(), (due, moved, note))).collect();
    assert_eq!(rows.len(), count, "a key is there twice");
    rows
}

/// The rows as `sql` sees them.
fn queried(landed: &Landed, query: &str) -> Table {
    let engine = Engine::new().unwrap();
    engine.register_stored(&landed.name, &landed.stored).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(engine.query(query, None)).unwrap()
}

fn explained(landed: &Landed, query: &str) -> String {
    let engine = Engine::new().unwrap();
    engine.register_stored(&landed.name, &landed.stored).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(engine.explain(query)).unwrap()
}

const FIRST: Date = date(2026, 11, 1);

#[test]
fn how_many_rows_a_table_holds_is_known_within_its_new_rows_and_exactly_when_keys_are_compared() {
    let load = Load::Incremental { cursor: "moved".into(), overlap: 0, compare_days: 2 };
    let register = Register::new(papers(None, load));
    for id in 0..200 {
        register.write(id, Some(FIRST), Some(id), "first");
    }
    register.pull(FIRST);
    for id in 0..8 {
        register.write(id, Some(FIRST), Some(300), "changed");
    }
    register.write(900, Some(FIRST), Some(300), "new");
    let second = register.pull(FIRST.tomorrow().unwrap());
    let held = |landed: &Landed| match landed.read {
        Read::Changes { held_least, held, .. } => (held_least, held),
        Read::Whole { .. } => (0, 0),
    };
    assert_eq!(held(&second), (200, 210));
    for id in 0..5 {
        register.delete(id);
    }
    let third = register.pull(FIRST.saturating_add(2.days()));
    assert_eq!((held(&third), third.table().unwrap().rows()), ((196, 196), 196));
    let fourth = register.pull(FIRST.saturating_add(3.days()));
    assert_eq!(held(&fourth), (195, 205), "five are gone, and five others may be new");
}

#[test]
fn a_second_night_reads_what_has_changed() {
    let register = Register::new(papers(None, by_counter(30)));
    for id in 0..200 {
        register.write(id, Some(FIRST.saturating_add((id % 60).days())), Some(id), "first");
    }
    let first = register.pull(FIRST);
    assert_eq!((first.read, first.rows_landed), (Read::Whole { why: None }, 200));
    register.write(7, Some(FIRST), Some(200), "second");
    register.write(500, None, Some(200), "new");
    // Committed late, with a counter that was passed; and one that has none.
    register.write(501, None, Some(196), "late");
    register.write(502, None, None, "without");
    let second = register.pull(FIRST.tomorrow().unwrap());
    assert!(matches!(second.read, Read::Changes { gone: 0, compared: false, .. }), "{:?}", second.read);
    // The four, and those within the overlap of 199: 194 to 199.
    assert_eq!(second.rows_read, 10);
    let held = rows(&second.table().unwrap());
    assert_eq!(held.len(), 203);
    assert_eq!(held[&7].2.as_deref(), Some("second"));
    assert_eq!(rows(&queried(&second, "select * from insurance.papers")), held);
    // The base is the first night's file, and the first night can still be read.
    assert_eq!(first.stored.base, second.stored.base);
    assert_eq!(rows(&first.table().unwrap()).len(), 200);
    // The same night again changes nothing.
    let again = register.pull(FIRST.tomorrow().unwrap());
    assert_eq!(rows(&again.table().unwrap()), held);
}

#[test]
fn what_no_longer_fits_is_read_whole_and_says_why() {
    let why = |landed: &Landed| match landed.read {
        Read::Whole { why } => why.unwrap_or("first"),
        Read::Changes { .. } => "changes",
    };
    let mut register = Register::new(papers(None, by_counter(30)));
    (0..100).for_each(|id| register.write(id, Some(FIRST), Some(id), "first"));
    assert_eq!(why(&register.pull(FIRST)), "first");
    // The clock goes back: nothing newer is touched, and the night stands for itself.
    let newest = register.store.newest(&register.pull(FIRST).name).unwrap();
    let before = register.pull(FIRST.yesterday().unwrap());
    assert_eq!(why(&before), "the newest generation speaks for a later night");
    assert_eq!(register.store.newest(&before.name).unwrap(), newest);
    (0..20).for_each(|id| register.write(id, Some(FIRST), Some(200 + 10 * id), "many"));
    let many = register.pull(FIRST.saturating_add(1.days()));
    assert_eq!(why(&many), "more than a tenth of the table has changed");
    register.source.tables[0].driving_date = None;
    let other = register.pull(FIRST.saturating_add(2.days()));
    assert_eq!(why(&other), "source, columns, types, key, filter or driving date have changed");
    assert_eq!(why(&register.pull(FIRST.saturating_add(3.days()))), "changes");
    // Two rows of one key among the changes: which is right, nobody knows.
    register.database.execute("insert into papers select * from papers where id = 30", []).unwrap();
    register.database.execute("update papers set moved = 600 where id = 30", []).unwrap();
    let twice = register.pull(FIRST.saturating_add(4.days()));
    assert_eq!(why(&twice), "a key came more than once among the changes");
    assert_eq!((twice.rows_landed, twice.rows_quarantined), (99, 2));
    // A manifest that somebody spoiled is not continued.
    let newest = register.store.newest(&twice.name).unwrap().unwrap();
    std::fs::write(newest, "{}").unwrap();
    assert_eq!(why(&register.pull(FIRST.saturating_add(5.days()))), "first");
}

#[test]
fn a_deleted_row_goes_when_keys_are_compared_and_a_row_set_aside_hides_what_was_held() {
    let register = Register::new(papers(None, by_counter(2)));
    (0..100).for_each(|id| register.write(id, Some(FIRST), Some(id), "first"));
    register.pull(FIRST);
    register.delete(3);
    let next = register.pull(FIRST.saturating_add(1.days()));
    assert_eq!(rows(&next.table().unwrap()).len(), 100);
    let compared = register.pull(FIRST.saturating_add(2.days()));
    assert!(matches!(compared.read, Read::Changes { gone: 1, compared: true, .. }), "{:?}", compared.read);
    assert!(!rows(&compared.table().unwrap()).contains_key(&3));
    register.database.execute("update papers set moved = 200, due = '9999-12-31' where id = 4", []).unwrap();
    let bad = register.pull(FIRST.saturating_add(3.days()));
    assert_eq!(bad.rows_quarantined, 1);
    let held = rows(&bad.table().unwrap());
    assert_eq!(held.len(), 98);
    assert!(!held.contains_key(&4));
    assert_eq!(rows(&queried(&bad, "select * from insurance.papers")), held);
    // A key that came without the counter moving is missed, and the table is read whole.
    register.write(900, None, Some(1), "unseen");
    register.write(4, None, Some(201), "right again");
    let whole = register.pull(FIRST.saturating_add(4.days()));
    assert_eq!(whole.read, Read::Whole { why: Some("the source has rows that we do not hold") });
    assert_eq!(rows(&whole.table().unwrap()).len(), 100);
}

#[test]
fn a_query_over_the_driving_date_reads_only_the_row_groups_that_can_hold_it() {
    let register = Register::new(papers(Some("due is null or due <= $as_of + interval '900 days'"), by_counter(30)));
    // Long notes: a row group holds few rows.
    register.database.execute_batch("begin").unwrap();
    for id in 0..4000_i64 {
        register.write(id, Some(FIRST.saturating_add((id % 800).days())), Some(id), &"x".repeat(15_000));
    }
    register.database.execute_batch("commit").unwrap();
    let query = "select count(*) from insurance.papers where due = date '2027-01-05'";
    let first = register.pull(FIRST);
    let pruned = |landed: &Landed| {
        let plan = explained(landed, query);
        let words = plan.split("row_groups_pruned_statistics=").skip(1);
        words.map(|rest| rest.split([',', ']']).next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pruned(&first), vec!["8 total → 1 matched"], "{}", explained(&first, query));
    register.write(65, Some(FIRST), Some(5000), "moved away");
    let second = register.pull(FIRST.tomorrow().unwrap());
    assert!(second.stored.changes.is_some());
    let read = pruned(&second);
    assert!(read.contains(&"8 total → 1 matched".to_owned()), "{}", explained(&second, query));
    assert_eq!(queried(&second, query).ints("count(*)").unwrap(), vec![Some(4)]);
    // The changes are what the join holds in memory.
    assert!(explained(&second, query).contains("join_type=RightAnti"), "{}", explained(&second, query));
}

#[test]
fn nothing_is_built_on_a_file_that_is_not_what_was_written() {
    const SPOILED: Read = Read::Whole { why: Some("a file of the last generation is not what was written") };
    let register = Register::new(papers(None, by_counter(4)));
    (0..100).for_each(|id| register.write(id, Some(FIRST), Some(id), "first"));
    let first = register.pull(FIRST);
    let night = |days: i64| register.pull(FIRST.saturating_add(days.days()));
    let is_changes = |landed: &Landed, is_compared: bool| matches!(landed.read, Read::Changes { compared, .. } if compared == is_compared);
    let base = first.stored.base[0].clone();
    let bytes = std::fs::read(&base).unwrap();
    // Put back from a backup, it has another time and the same bytes.
    let touch = |at: std::time::SystemTime| File::options().append(true).open(&base).unwrap().set_modified(at).unwrap();
    let before = std::fs::metadata(&base).unwrap().modified().unwrap();
    touch(before + std::time::Duration::from_secs(3600));
    assert!(is_changes(&night(1), false));
    // Edited, it is found by its time; the length is the same, and so is all but one byte.
    let mut edited = bytes.clone();
    edited[bytes.len() / 2] ^= 1;
    std::fs::write(&base, &edited).unwrap();
    touch(before + std::time::Duration::from_secs(3600));
    let whole = night(2);
    assert_eq!(whole.read, SPOILED);
    assert_eq!(rows(&whole.table().unwrap()).len(), 100);
    // A disk that spoils a file says nothing: it is found when the keys are compared.
    let base = whole.stored.base[0].clone();
    std::fs::write(&base, &edited).unwrap();
    File::options().append(true).open(&base).unwrap().set_modified(before).unwrap();
    assert!(is_changes(&night(3), false));
    assert_eq!(night(6).read, SPOILED);
    assert_eq!(std::fs::read(&base).unwrap(), bytes, "the same rows are the same file, which is there again");
    // The changes, too.
    register.write(7, Some(FIRST), Some(200), "changed");
    let changes = night(7).stored.changes.unwrap();
    let mut edited = std::fs::read(&changes).unwrap();
    edited.pop();
    std::fs::write(&changes, &edited).unwrap();
    File::options().append(true).open(&changes).unwrap().set_modified(before).unwrap();
    assert_eq!(night(10).read, SPOILED);
}

#[test]
fn a_plan_reads_what_a_run_would_and_writes_nothing() {
    let register = Register::new(papers(None, by_counter(30)));
    (0..100).for_each(|id| register.write(id, Some(FIRST), Some(id), "first"));
    register.pull(FIRST);
    register.write(5, None, Some(500), "changed");
    let before = names(&register.folder());
    let plan = Store::beside(register.landing.clone());
    let pulled = landing::pull(&register.source, crate::root(), on(FIRST.tomorrow().unwrap()), &plan).unwrap();
    let landed = &pulled.tables[0];
    assert!(matches!(landed.read, Read::Changes { .. }));
    assert_eq!(rows(&landed.table().unwrap())[&5].2.as_deref(), Some("changed"));
    let changes = landed.stored.changes.clone().unwrap();
    assert!(changes.is_file() && !changes.starts_with(register.folder()));
    let private = changes.parent().unwrap().parent().unwrap();
    drop(pulled);
    assert!(!private.exists());
    assert_eq!(names(&register.folder()), before);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What happens to the register between two nights.
#[derive(Debug, Clone)]
enum Event {
    /// A row is written: its due date in days from the first night, and how late it is committed.
    Write(i64, Option<i16>, u8),
    /// A row is written without a counter.
    WriteWithout(i64, Option<i16>),
    /// A row is deleted.
    Delete(i64),
    /// A row gets a due date that cannot be.
    Spoil(i64),
}

fn events(with_deletions: bool) -> impl Strategy<Value = Vec<Vec<Event>>> {
    let id = 0..40_i64;
    let due = prop::option::weighted(0.9, -10..60_i16);
    let write = (id.clone(), due.clone(), 0..5_u8).prop_map(|(id, due, late)| Event::Write(id, due, late));
    let without = (id.clone(), due).prop_map(|(id, due)| Event::WriteWithout(id, due));
    let (delete, spoil) = (id.clone().prop_map(Event::Delete), id.prop_map(Event::Spoil));
    let weight = u32::from(with_deletions);
    let event = prop_oneof![8 => write, 1 => without, weight => delete, weight => spoil];
    prop::collection::vec(prop::collection::vec(event, 0..8), 1..6)
}

/// Lives through the nights, and compares the table with the source's rows after each.
fn live(nights: &[Vec<Event>], filter: Option<&str>, compare_days: u16) -> Result<usize, TestCaseError> {
    let register = Register::new(papers(filter, by_counter(compare_days)));
    let mut counter = 100;
    // Enough rows that a few changes are not a tenth.
    (1000..1300).for_each(|id| register.write(id, Some(FIRST.saturating_add((id % 50).days())), Some(1), "still"));
    let (mut as_of, mut by_changes) = (FIRST, 0);
    for events in nights {
        for event in events {
            // A counter that never falls, in transactions that end in another order: none later than the overlap.
            counter += 1;
            let day = |due: &Option<i16>| due.map(|days| FIRST.saturating_add(i64::from(days).days()));
            match event {
                Event::Write(id, due, late) => {
                    register.write(*id, day(due), Some(counter - i64::from(*late)), &format!("at {counter}"));
                }
                Event::WriteWithout(id, due) => register.write(*id, day(due), None, &format!("at {counter}")),
                Event::Delete(id) => register.delete(*id),
                Event::Spoil(id) => {
                    let sql = "update papers set moved = ?1, due = '1000-01-01' where id = ?2";
                    register.database.execute(sql, (counter, id)).unwrap();
                }
            }
        }
        let landed = register.pull(as_of);
        by_changes += usize::from(matches!(landed.read, Read::Changes { .. }));
        let held = rows(&landed.table().unwrap());
        let condition = landed
            .stored
            .condition
            .as_ref()
            .map(|_| format!("where due between '{as_of}' and '{}'", as_of.saturating_add(20.days())));
        let sql = format!("select id, due, moved, note from papers {}", condition.unwrap_or_default());
        let mut statement = register.database.prepare(&sql).unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            let due: Option<String> = row.get(1)?;
            Ok((row.get(0)?, (due, row.get(2)?, row.get(3)?)))
        };
        let source: BTreeMap<i64, Written> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
        let source: Rows = source
            .into_iter()
            .filter(|(_, (due, ..))| due.as_deref() != Some("1000-01-01"))
            .map(|(id, (due, moved, note))| (id, (due.map(|due| due.parse().unwrap()), moved, note)))
            .collect();
        prop_assert_eq!(&held, &source);
        prop_assert_eq!(&rows(&queried(&landed, "select * from insurance.papers")), &held);
        as_of = as_of.saturating_add(i64::try_from(1 + events.len() % 3).unwrap().days());
    }
    Ok(by_changes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// Without deletions, each night's table is the source's, although keys are never compared.
    #[test]
    fn changes_alone_keep_up_with_the_source(nights in events(false), has_window in any::<bool>()) {
        let filter = has_window.then_some("due between $as_of and $as_of + interval '20 days'");
        live(&nights, filter, 1000)?;
    }

    /// With deletions, it is so after each night that compares keys.
    #[test]
    fn compared_keys_keep_up_with_deletions(nights in events(true), has_window in any::<bool>()) {
        let filter = has_window.then_some("due between $as_of and $as_of + interval '20 days'");
        live(&nights, filter, 1)?;
    }
}
