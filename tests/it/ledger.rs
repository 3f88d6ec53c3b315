//! What happened stays what happened: the chain, the outbox, the budget, the lock, and a crash at any moment.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chudong::calendar::AsOf;
use chudong::fault::Explain;
use chudong::ledger::verify::{Verified, verify};
use chudong::ledger::{
    Error, Followed, Ledger, Lock, MessageKey, MessageState, Publication, PullEntry, Record, Reservation, RunOutcome,
    Settlement,
};
use chudong::obligations::life::{Change, Event, Standing, State};
use chudong::pipeline::Rho;
use proptest::prelude::*;
use rusqlite::types::Value;
use serde_json::json;

// ---- a realistic history ------------------------------------------------------

fn day(day: i8) -> AsOf {
    AsOf::new(jiff::civil::date(2026, 11, day))
}

fn record(key: &str) -> Record {
    Record {
        key: MessageKey(key.into()),
        subject: format!("subject-of-{key}"),
        obligation: format!("obligation-of-{key}"),
        item: "driving_licence".into(),
        stage_notice_days: 30,
        channel: "smtp".into(),
        message_id: format!("<{key}@an-binh.example>"),
        due_on: jiff::civil::date(2026, 12, 21),
        rule_version: "driving_licence_term@2025-01-01".into(),
        template_version: "aa".into(),
        rendered_hash: "bb".into(),
        explanation: None,
        ..Record::default()
    }
}

fn records(keys: &[&str]) -> Vec<(Record, String)> {
    keys.iter().map(|key| (record(key), (*key).to_owned())).collect()
}

fn settled(key: &str, state: MessageState) -> Settlement {
    Settlement { key: MessageKey(key.into()), state, reason: "250".into(), retry_at: None }
}

fn pull() -> PullEntry {
    PullEntry {
        table: "transport.driving_licences".into(),
        purposes: vec!["remind"],
        legal_ground: "Nghị định 224/2026/NĐ-CP, Điều 16".into(),
        columns: vec!["subject_id".into(), "licence_class".into()],
        asked: "select subject_id, licence_class from licences".into(),
        rows_read: 3,
        rows_landed: 2,
        rows_quarantined: 1,
        sha256: Some("cc".into()),
        is_held: false,
        seconds: 0.125,
        mode: "snapshot",
        ..PullEntry::default()
    }
}

fn rho(numerator: i64, denominator: i64) -> Rho {
    Rho::new(numerator, denominator)
}

fn reserve(ledger: &mut Ledger, run: &str, period: &str, cost: Rho, cap: Rho) -> Reservation {
    ledger.reserve(run, period, (&format!("release-{period}"), "spec-1"), "an-binh-2026", cost, cap).unwrap()
}

/// Three nights: one with everything in it, one that died in mid-send, one that cleans up after it.
fn history(state: &Path) {
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    let run = ledger.begin_run(day(19)).unwrap();
    ledger.pulled(&run, &[pull()], &[]).unwrap();
    ledger.record(&run, records(&["m1", "m2", "m3"])).unwrap();
    let states = [MessageState::Accepted, MessageState::Deferred, MessageState::Refused];
    let settlements: Vec<_> =
        ["m1", "m2", "m3"].into_iter().zip(states).map(|(key, state)| settled(key, state)).collect();
    ledger.settle(&run, &settlements).unwrap();
    for (period, draws) in [("2026-09", b"draws of September"), ("2026-10", b"draws of October  ")] {
        reserve(&mut ledger, &run, period, rho(1, 8), rho(1, 2));
        ledger.store_draws(&run, &format!("release-{period}"), 1, draws).unwrap();
    }
    let publication = Publication {
        period: "2026-09".into(),
        files: vec![("a.csv".into(), "11".into()), ("b.csv".into(), "22".into())],
    };
    ledger.mark_published(&run, &publication, &["release-2026-09".into()]).unwrap();
    ledger.finish_run(&run, RunOutcome::Held, &json!({ "messages": 3, "share": 0.1, "note": "một" })).unwrap();
    ledger.anchor().unwrap();

    let run = ledger.begin_run(day(20)).unwrap();
    ledger.record(&run, records(&["m4", "m5"])).unwrap();
    reserve(&mut ledger, &run, "2026-08", rho(1, 8), rho(1, 2));
    drop(ledger);

    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    let run = ledger.begin_run(day(21)).unwrap();
    assert_eq!(ledger.mark_uncertain(&run).unwrap(), 2);
    ledger.record(&run, records(&["m2", "m4"])).unwrap();
    ledger.settle(&run, &[settled("m2", MessageState::Accepted), settled("m4", MessageState::Accepted)]).unwrap();
    ledger.finish_run(&run, RunOutcome::Done, &json!({ "messages": 2 })).unwrap();
    ledger.anchor().unwrap();
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    folder
}

fn what(verified: &Verified) -> String {
    verified.faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>().join("\n")
}

fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let there = to.path().join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&there).unwrap();
            for part in fs::read_dir(entry.path()).unwrap().map(Result::unwrap) {
                fs::copy(part.path(), there.join(part.file_name())).unwrap();
            }
        } else {
            fs::copy(entry.path(), there).unwrap();
        }
    }
    to
}

/// Edits a copy as somebody with the file would, and leaves no other trace: the triggers are put back.
fn edited(state: &Path, edit: impl FnOnce(&rusqlite::Connection)) -> (tempfile::TempDir, String) {
    let copy = copied(state);
    let connection = rusqlite::Connection::open(copy.path().join("ledger.sqlite")).unwrap();
    let triggers: Vec<(String, String)> = connection
        .prepare("select name, sql from sqlite_schema where type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(triggers.len(), 2);
    for (name, _) in &triggers {
        connection.execute_batch(&format!("drop trigger {name}")).unwrap();
    }
    edit(&connection);
    for (_, sql) in &triggers {
        connection.execute_batch(sql).unwrap();
    }
    drop(connection);
    let said = what(&verify(copy.path()).unwrap());
    (copy, said)
}

#[test]
fn a_history_verifies_and_a_second_look_changes_nothing() {
    let state = written();
    let before = fs::read(state.path().join("ledger.sqlite")).unwrap();
    let verified = verify(state.path()).unwrap();
    assert_eq!(what(&verified), "");
    assert_eq!(verified.entries, verified.head.seq as u64);
    assert!(verified.entries > 15, "{}", verified.entries);
    assert!(verify(state.path()).unwrap().faults.is_empty());
    assert!(before == fs::read(state.path().join("ledger.sqlite")).unwrap());
    // The edit helper itself leaves no trace.
    assert_eq!(edited(state.path(), |_| {}).1, "");
}

// ---- whatever is changed is found ---------------------------------------------

/// The cell with one byte of it changed, of the same type; what can be read stays readable.
fn changed(cell: &Value, position: usize) -> Option<Value> {
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let length = bytes.len();
        // Another letter that is far from this one, so that no key becomes another that exists.
        let byte = bytes.get_mut(position % length.max(1))?;
        *byte ^= if byte.is_ascii() { 0x40 } else { 1 };
        Some(bytes)
    };
    match cell {
        Value::Null => Some(Value::Text("x".into())),
        Value::Integer(number) => Some(Value::Integer(number + 1000)),
        Value::Real(number) => Some(Value::Real(number + 1.0)),
        Value::Text(text) => Some(Value::Text(String::from_utf8(flip(text.as_bytes())?).ok()?)),
        Value::Blob(bytes) => Some(Value::Blob(flip(bytes)?)),
    }
}

fn cells(connection: &rusqlite::Connection, table: &str, key: &str) -> Vec<(Vec<Value>, String, Value)> {
    let mut select = connection.prepare(&format!("select {key}, * from {table} order by {key}")).unwrap();
    let keys = key.split(", ").count();
    let names: Vec<String> = select.column_names().skip(keys).map(str::to_owned).collect();
    let mut rows = select.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let id: Vec<Value> = (0..keys).map(|index| row.get(index).unwrap()).collect();
        for (index, name) in names.iter().enumerate() {
            found.push((id.clone(), name.clone(), row.get(keys + index).unwrap()));
        }
    }
    found
}

const TABLES: [(&str, &str); 6] = [
    ("entry", "seq"),
    ("outbox", "key"),
    ("release", "release_id, attempt"),
    ("publication", "period"),
    ("run", "run"),
    ("meta", "name"),
];

#[test]
fn any_changed_cell_of_any_row_is_found_and_named() {
    let state = written();
    let original = rusqlite::Connection::open(state.path().join("ledger.sqlite")).unwrap();
    let mut tried = 0;
    for (table, key) in TABLES {
        for (index, (id, column, cell)) in cells(&original, table, key).into_iter().enumerate() {
            // A byte that differs from cell to cell: the first, the last, and those between.
            let new = match (column.as_str(), &cell) {
                ("draws", Value::Null) => Value::Blob(vec![1]),
                _ => changed(&cell, index * 7 + 3).unwrap(),
            };
            let condition: Vec<String> =
                key.split(", ").enumerate().map(|(at, key)| format!("{key} = ?{}", at + 2)).collect();
            let update = format!("update {table} set {column} = ?1 where {}", condition.join(" and "));
            let (_copy, said) = edited(state.path(), |connection| {
                connection.pragma_update(None, "foreign_keys", false).unwrap();
                let parameters: Vec<&dyn rusqlite::ToSql> =
                    std::iter::once(&new as &dyn rusqlite::ToSql).chain(id.iter().map(|id| id as _)).collect();
                assert_eq!(connection.execute(&update, parameters.as_slice()).unwrap(), 1);
            });
            let place = format!("{table} {id:?} {column}");
            assert!(!said.is_empty(), "{place} was changed and nobody noticed");
            if let (("entry", "hash" | "prev" | "at" | "run" | "kind" | "key" | "body"), Value::Integer(seq)) =
                ((table, column.as_str()), &id[0])
            {
                assert!(said.contains(&format!("entry {seq} (")), "{place}: the wrong entry is named: {said}");
            } else if let Value::Text(name) = &id[0] {
                assert!(said.contains(name.as_str()), "{place}: the wrong row is named: {said}");
            }
            tried += 1;
        }
    }
    assert!(tried > 250, "only {tried} cells were changed");
}

#[test]
fn any_removed_entry_is_found_and_named() {
    let state = written();
    let last = verify(state.path()).unwrap().head.seq;
    for seq in 1..=last {
        let (_copy, said) = edited(state.path(), |connection| {
            connection.pragma_update(None, "foreign_keys", false).unwrap();
            connection.execute("delete from entry where seq = ?1", [seq]).unwrap();
        });
        let expected = match seq {
            seq if seq == last => format!("entries {seq} to {seq} were removed from the end"),
            seq => format!("entry {seq} was removed"),
        };
        assert!(said.contains(&expected), "{seq}: {said}");
    }
    // A row of another table that goes missing is named as well.
    for (table, key) in &TABLES[1..] {
        let first = key.split(", ").next().unwrap();
        let (_copy, said) = edited(state.path(), |connection| {
            let sql = format!("delete from {table} where {first} = (select max({first}) from {table})");
            assert_eq!(connection.execute(&sql, []).unwrap(), 1);
        });
        assert!(said.contains("was removed"), "{table}: {said}");
    }
}

#[test]
fn any_two_swapped_entries_are_found_and_named() {
    let state = written();
    let last = verify(state.path()).unwrap().head.seq;
    for first in 1..last {
        for second in [first + 1, (first + 5).min(last), last] {
            if first == second {
                continue;
            }
            let (_copy, said) = edited(state.path(), |connection| {
                connection.pragma_update(None, "foreign_keys", false).unwrap();
                for (from, to) in [(first, 1000), (second, first), (1000, second)] {
                    connection.execute("update entry set seq = ?2 where seq = ?1", [from, to]).unwrap();
                }
            });
            for seq in [first, second] {
                assert!(said.contains(&format!("entry {seq} (")), "{first} and {second}: {said}");
            }
        }
    }
}

#[test]
fn entries_cut_off_the_end_are_found_also_by_the_next_run() {
    let state = written();
    let last = verify(state.path()).unwrap().head.seq;
    for keep in [last - 1, last / 2, 1, 0] {
        let (copy, said) = edited(state.path(), |connection| {
            connection.pragma_update(None, "foreign_keys", false).unwrap();
            connection.execute("delete from entry where seq > ?1", [keep]).unwrap();
        });
        assert!(said.contains(&format!("entries {} to {last} were removed from the end", keep + 1)), "{said}");
        // A run would note a new head and so cover the traces: it does not begin.
        let error = Ledger::open(copy.path(), "an-binh").unwrap_err();
        assert_eq!(error.code(), "ledger.broken", "{error}");
        assert!(what(&verify(copy.path()).unwrap()).contains("from the end"));
    }
    let copy = copied(state.path());
    fs::remove_file(copy.path().join("ledger.head")).unwrap();
    assert!(what(&verify(copy.path()).unwrap()).contains("ledger.head, was removed"));
    assert_eq!(Ledger::open(copy.path(), "an-binh").unwrap_err().code(), "ledger.broken");
    for head in
        ["", "x", "7", "7 zz", &format!("{last} {}", "0".repeat(64)), &format!("{} {}", i64::MAX, "0".repeat(64))]
    {
        fs::write(copy.path().join("ledger.head"), head).unwrap();
        assert_ne!(what(&verify(copy.path()).unwrap()), "", "{head}");
    }
}

#[test]
fn numbers_at_the_edge_and_foreign_rows_end_in_a_fault_and_not_in_a_panic() {
    let state = written();
    for seq in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        for from in [1, 5] {
            let (copy, said) = edited(state.path(), |connection| {
                connection.pragma_update(None, "foreign_keys", false).unwrap();
                connection.execute("update entry set seq = ?1 where seq = ?2", [seq, from]).unwrap();
            });
            assert!(said.contains(&format!("entry {seq} (")) && said.contains(&format!("entry {from} ")), "{said}");
            // Writing on such a ledger is refused or goes on, and does not end the process either.
            if let Ok(mut ledger) = Ledger::open(copy.path(), "an-binh") {
                let _ = ledger.begin_run(day(22));
            }
        }
    }
    for (sql, expected) in [
        ("insert into publication values ('2026-01', '{}', 1)", "publication 2026-01 has a state but no entry"),
        ("update release set draws = null where period = '2026-10'", "what was drawn for release release-2026-10 1"),
        (
            "drop trigger if exists entry_is_not_deleted; create trigger t after insert on run begin select 1; end",
            "the trigger t was added",
        ),
        ("drop index outbox_by_state", "the index outbox_by_state is missing"),
    ] {
        let (_copy, said) = edited(state.path(), |connection| connection.execute_batch(sql).unwrap());
        assert!(said.contains(expected), "{sql}: {said}");
    }
    let copy = copied(state.path());
    let connection = rusqlite::Connection::open(copy.path().join("ledger.sqlite")).unwrap();
    assert!(connection.execute("update entry set body = '{}' where seq = 1", []).is_err());
    assert!(connection.execute("delete from entry where seq = 1", []).is_err());
    connection.execute_batch("drop trigger entry_is_not_deleted").unwrap();
    drop(connection);
    assert_eq!(what(&verify(copy.path()).unwrap()), "the trigger entry_is_not_deleted is missing");
}

/// Every row of every table, as the database gives it.
fn rows(path: &Path) -> Option<Vec<String>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(path, flags).ok()?;
    let mut found = Vec::new();
    for (table, key) in TABLES {
        let mut select = connection.prepare(&format!("select * from {table} order by {key}")).ok()?;
        let width = select.column_count();
        let mut rows = select.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            let cells: Vec<Value> = (0..width).map(|index| row.get(index)).collect::<Result<_, _>>().ok()?;
            found.push(format!("{table} {cells:?}"));
        }
    }
    Some(found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// One byte of the file itself: either it is found, or nothing that anybody reads has changed.
    #[test]
    fn a_flipped_byte_of_the_file_is_found_or_harmless(offsets in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 20)) {
        thread_local!(static STATE: tempfile::TempDir = written());
        STATE.with(|state| -> Result<(), TestCaseError> {
            let state = state.path();
            let bytes = fs::read(state.join("ledger.sqlite")).unwrap();
            let original = rows(&state.join("ledger.sqlite"));
            prop_assert!(original.is_some());
            for (offset, mask) in offsets {
                let mut bytes = bytes.clone();
                let offset = offset.index(bytes.len());
                bytes[offset] ^= mask;
                let copy = tempfile::tempdir().unwrap();
                fs::write(copy.path().join("ledger.sqlite"), bytes).unwrap();
                fs::copy(state.join("ledger.head"), copy.path().join("ledger.head")).unwrap();
                let is_sound = verify(copy.path()).is_ok_and(|verified| verified.faults.is_empty());
                let is_same = rows(&copy.path().join("ledger.sqlite")) == original;
                prop_assert!(!is_sound || is_same, "byte {} of the file, by {}: sound, and not what was written", offset, mask);
            }
            Ok(())
        })?;
    }
}

// ---- the outbox ---------------------------------------------------------------

#[test]
fn a_message_is_given_out_once_unless_it_was_deferred_or_uncertain() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(day(21)).unwrap();
    let keys = |ledger: &mut Ledger, keys: &[&str]| -> Vec<String> {
        ledger.record(&run, records(keys)).unwrap().iter().map(|m| m.value().clone()).collect()
    };
    // Also twice in the same batch: only the first is given out.
    assert_eq!(keys(&mut ledger, &["a", "b", "a"]), ["a", "b"]);
    assert_eq!(keys(&mut ledger, &["a", "b", "c"]), ["c"]);
    for (state, again) in [
        (MessageState::Accepted, false),
        (MessageState::Refused, false),
        (MessageState::InFlight, false),
        (MessageState::Deferred, true),
        (MessageState::Uncertain, true),
    ] {
        let key = format!("key-{}", state.word());
        assert_eq!(keys(&mut ledger, &[&key]).len(), 1);
        ledger.settle(&run, &[settled(&key, state)]).unwrap();
        assert_eq!(keys(&mut ledger, &[&key]).len(), usize::from(again), "{state:?}");
        let row = ledger.outbox().unwrap().into_iter().find(|row| row.key.0 == key).unwrap();
        assert_eq!(row.attempts, if again { 2 } else { 1 });
    }
    ledger.finish_run(&run, RunOutcome::Done, &json!({})).unwrap();
    ledger.anchor().unwrap();
    assert_eq!(what(&verify(folder.path()).unwrap()), "");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is recorded and settled in whatever order, a key leaves only from a state from which it may,
    /// and the chain agrees with the outbox at every step.
    #[test]
    fn no_order_of_acts_gives_a_message_out_twice(acts in prop::collection::vec((0..4_usize, 0..7_usize), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
        let run = ledger.begin_run(day(21)).unwrap();
        let mut model: BTreeMap<usize, MessageState> = BTreeMap::new();
        let states = [MessageState::Accepted, MessageState::Deferred, MessageState::Refused, MessageState::Uncertain];
        for (key, act) in acts {
            let name = format!("k{key}");
            match states.get(act) {
                Some(state) if model.contains_key(&key) => {
                    ledger.settle(&run, &[settled(&name, *state)]).unwrap();
                    model.insert(key, *state);
                }
                // What was never recorded has no end, and leaves no entry.
                Some(state) => {
                    let before = ledger.head().unwrap();
                    prop_assert!(ledger.settle(&run, &[settled(&name, *state)]).is_err());
                    prop_assert_eq!(ledger.head().unwrap(), before);
                }
                None if act == 6 => {
                    let in_flight = model.values().filter(|state| **state == MessageState::InFlight).count();
                    prop_assert_eq!(ledger.mark_uncertain(&run).unwrap(), in_flight);
                    model.values_mut().filter(|s| **s == MessageState::InFlight).for_each(|s| *s = MessageState::Uncertain);
                }
                None => {
                    let may = matches!(model.get(&key), None | Some(MessageState::Deferred | MessageState::Uncertain));
                    prop_assert_eq!(ledger.record(&run, records(&[&name])).unwrap().len(), usize::from(may));
                    if may {
                        model.insert(key, MessageState::InFlight);
                    }
                }
            }
            let outbox: Vec<MessageState> = ledger.outbox().unwrap().into_iter().map(|row| row.state).collect();
            prop_assert_eq!(&outbox, &model.values().copied().collect::<Vec<_>>());
        }
        prop_assert_eq!(what(&verify(folder.path()).unwrap()), "");
    }
}

#[test]
fn what_was_in_flight_in_a_crash_is_uncertain_and_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(day(20)).unwrap();
    ledger.record(&run, records(&["a", "b", "c"])).unwrap();
    ledger.settle(&run, &[settled("b", MessageState::Accepted)]).unwrap();
    drop(ledger);
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(day(21)).unwrap();
    assert_eq!(ledger.mark_uncertain(&run).unwrap(), 2);
    assert_eq!(ledger.mark_uncertain(&run).unwrap(), 0);
    let states: Vec<_> = ledger.outbox().unwrap().into_iter().map(|row| row.state.word()).collect();
    assert_eq!(states, ["uncertain", "accepted", "uncertain"]);
    assert_eq!(what(&verify(folder.path()).unwrap()), "");
}

// ---- the budget ---------------------------------------------------------------

#[test]
fn the_budget_is_summed_exactly_and_never_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(day(21)).unwrap();
    let cap = rho(1, 1);
    // Thirds, which no floating-point number holds: three fit under one, and not a millionth more.
    for attempt in 1..=3 {
        match reserve(&mut ledger, &run, "2026-10", rho(1, 3), cap) {
            Reservation::Reserved { attempt: given } => assert_eq!(given, attempt),
            other => panic!("{other:?}"),
        }
        // None was drawn: each stays spent, since somebody may have seen the draw.
    }
    assert_eq!(ledger.spent().unwrap(), [("2026-10".to_owned(), rho(1, 1))]);
    let before = ledger.head().unwrap();
    match reserve(&mut ledger, &run, "2026-10", rho(1, 1_000_000), cap) {
        Reservation::Refused { spent } => assert_eq!(spent, cap),
        other => panic!("{other:?}"),
    }
    assert_eq!(ledger.head().unwrap(), before, "a refusal spends nothing and leaves no entry");
    // Another month has a budget of its own.
    assert!(matches!(reserve(&mut ledger, &run, "2026-09", rho(1, 1), cap), Reservation::Reserved { attempt: 1 }));
    // What was drawn is given again, costs nothing, and is not drawn a second time.
    ledger.store_draws(&run, "release-2026-09", 1, b"noise").unwrap();
    assert!(ledger.store_draws(&run, "release-2026-09", 1, b"other noise").is_err());
    assert!(ledger.store_draws(&run, "release-2026-09", 2, b"other noise").is_err());
    for is_published in [false, true] {
        match reserve(&mut ledger, &run, "2026-09", rho(1, 1), cap) {
            Reservation::Stored(stored) => {
                assert_eq!((stored.draws.as_slice(), stored.is_published), (b"noise".as_slice(), is_published));
            }
            other => panic!("{other:?}"),
        }
        let publication = Publication { period: "2026-09".into(), files: vec![("a.csv".into(), "11".into())] };
        ledger.mark_published(&run, &publication, &["release-2026-09".into()]).unwrap();
        assert_eq!(ledger.publication("2026-09").unwrap(), Some(publication));
    }
    assert_eq!(ledger.spent().unwrap(), [("2026-09".to_owned(), rho(1, 1)), ("2026-10".to_owned(), rho(1, 1))]);
    assert_eq!(what(&verify(folder.path()).unwrap()), "");
}

#[test]
fn a_sum_that_no_number_holds_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(day(21)).unwrap();
    let cap = rho(i64::MAX, 1);
    assert!(matches!(reserve(&mut ledger, &run, "m", rho(1, i64::MAX), cap), Reservation::Reserved { .. }));
    for cost in [rho(1, i64::MAX - 1), rho(i64::MAX, 2), rho(i64::MAX, 1), rho(-1, 2)] {
        assert!(matches!(reserve(&mut ledger, &run, "m", cost, cap), Reservation::Refused { .. }), "{cost}");
    }
    assert_eq!(ledger.spent().unwrap(), [("m".to_owned(), rho(1, i64::MAX))]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The sum of what was granted never exceeds the cap, and nothing that fits is refused.
    #[test]
    fn what_fits_under_the_cap_is_granted_and_nothing_else(costs in prop::collection::vec((1..40_i64, 1..40_i64), 1..15)) {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
        let run = ledger.begin_run(day(21)).unwrap();
        let cap = rho(3, 1);
        let mut spent = rho(0, 1);
        for (numerator, denominator) in costs {
            let cost = rho(numerator, denominator);
            let fits = spent + cost <= cap;
            let granted = matches!(reserve(&mut ledger, &run, "m", cost, cap), Reservation::Reserved { .. });
            prop_assert_eq!(granted, fits);
            if fits {
                spent += cost;
            }
        }
        prop_assert_eq!(ledger.spent().unwrap().first().map_or(rho(0, 1), |(_, rho)| *rho), spent);
    }
}

// ---- runs ---------------------------------------------------------------------

#[test]
fn a_night_is_proven_when_it_ended_and_did_not_fail() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    for (date, outcome, proven) in [
        (18, Some(RunOutcome::Done), Some(18)),
        (19, Some(RunOutcome::Held), Some(19)),
        (20, Some(RunOutcome::Failed), Some(19)),
        (21, None, Some(19)),
        (17, Some(RunOutcome::Done), Some(19)),
    ] {
        let run = ledger.begin_run(day(date)).unwrap();
        assert_eq!(run, format!("2026-11-{date}.1"));
        if let Some(outcome) = outcome {
            ledger.finish_run(&run, outcome, &json!("as text")).unwrap();
        }
        assert_eq!(
            ledger.newest_proven(AsOf::new(jiff::civil::date(2100, 1, 1))).unwrap(),
            proven.map(|proven| day(proven).date())
        );
    }
    assert_eq!(ledger.begin_run(day(20)).unwrap(), "2026-11-20.2");
    assert!(ledger.finish_run("2026-11-30.1", RunOutcome::Done, &json!({})).is_err());
    assert_eq!(what(&verify(folder.path()).unwrap()), "");
}

#[test]
fn the_ledger_of_another_agency_is_refused_and_left_alone() {
    let state = written();
    let head = Ledger::read(state.path()).unwrap().head().unwrap();
    let error = Ledger::open(state.path(), "binh-minh").unwrap_err();
    insta::assert_snapshot!(error.fault().to_string().replace(&state.path().display().to_string(), "STATE"));
    assert!(matches!(&error, Error::OtherAgency { known, asked, .. } if known == "an-binh" && asked == "binh-minh"));
    assert_eq!(Ledger::read(state.path()).unwrap().head().unwrap(), head);
    // A ledger whose owner was rewritten opens for the new one, and does not verify.
    let (copy, said) = edited(state.path(), |connection| {
        connection.execute("update meta set value = 'binh-minh' where name = 'agency'", []).unwrap();
    });
    assert!(said.contains("setting agency"), "{said}");
    assert!(Ledger::open(copy.path(), "binh-minh").is_ok());
    let (copy, said) = edited(state.path(), |connection| {
        connection.execute("update meta set value = '9' where name = 'schema_version'", []).unwrap();
    });
    assert!(said.contains("setting schema_version"), "{said}");
    assert_eq!(Ledger::open(copy.path(), "an-binh").unwrap_err().code(), "ledger.version");
}

#[test]
fn a_file_that_is_no_ledger_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(verify(folder.path()).unwrap_err().code(), "ledger.none");
    fs::write(
        folder.path().join("ledger.sqlite"),
        "this is not a database at all, and it is long enough to be read as one",
    )
    .unwrap();
    assert_eq!(Ledger::open(folder.path(), "an-binh").unwrap_err().code(), "ledger.damaged");
    assert!(what(&verify(folder.path()).unwrap()).contains("the file is damaged"));
    // A path under a file cannot be made into a folder, not by root either.
    let under = folder.path().join("ledger.sqlite/state");
    assert_eq!(Ledger::open(&under, "an-binh").unwrap_err().code(), "ledger.open");
    assert_eq!(Lock::take(&under).unwrap_err().code(), "ledger.lock");
}

// ---- other processes ----------------------------------------------------------

/// The state folder of [`other_process`], which does nothing when nobody set it.
const STATE: &str = "CHUDONG_TEST_LEDGER_STATE";

/// Runs in a process of its own, which the tests below stop, copy and kill: takes the lock and writes without end.
#[test]
fn other_process() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let state = Path::new(&state);
    let _lock = Lock::take(state).unwrap();
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    let begun = ledger.begin_run(day(1)).unwrap();
    ledger.mark_uncertain(&begun).unwrap();
    for round in 0_u64..1_000_000 {
        let run = ledger.begin_run(day(2 + (round % 20) as i8)).unwrap();
        let keys: Vec<String> = (0..7).map(|n| format!("{begun}-{round}-{n}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        ledger.record(&run, records(&keys)).unwrap();
        let settlements: Vec<_> = keys.iter().map(|key| settled(key, MessageState::Accepted)).collect();
        ledger.settle(&run, &settlements).unwrap();
        let period = format!("{begun}-{round}");
        reserve(&mut ledger, &run, &period, rho(1, 8), rho(1, 2));
        ledger.store_draws(&run, &format!("release-{period}"), 1, &vec![round as u8; 3000]).unwrap();
        ledger.finish_run(&run, RunOutcome::Done, &json!({ "round": round })).unwrap();
        // What is promised to the world: from here on these entries exist.
        fs::write(state.join("promised"), ledger.head().unwrap().seq.to_string()).unwrap();
        if round % 3 == 0 {
            ledger.anchor().unwrap();
        }
    }
}

/// Like [`other_process`], but follows obligations.
#[test]
fn other_follower() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let state = Path::new(&state);
    let _lock = Lock::take(state).unwrap();
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    for round in 0_u64..1_000_000 {
        let run = ledger.begin_run(day(2)).unwrap();
        let followed: Vec<Followed> = [0, 1].map(|item| follow(item, round)).into();
        ledger.follow(&run, day(3).date(), &followed).unwrap();
        fs::write(state.join("promised"), ledger.head().unwrap().seq.to_string()).unwrap();
    }
}

/// As many changes of an item as need several entries.
fn follow(item: u64, round: u64) -> Followed {
    let standing = |n: usize| Standing {
        key: format!("{n:032}"),
        subject: format!("subject-{n}"),
        due_on: jiff::civil::date(2026, 12, 21),
        rule_version: format!("rule-{round}@2025-01-01"),
        state: State::Open,
        since: day(3).date(),
        fulfilled_on: None,
        unit: Some("97001".into()),
    };
    let change = |n| Change { event: Event::Arisen, standing: standing(n), from: None };
    Followed { item: format!("item-{item}"), changes: (0..CHANGES).map(change).collect() }
}

const CHANGES: usize = 700;

/// Of the obligations that a run followed, all are there with all their changes, or none is.
fn whole_follows(state: &Path) {
    let ledger = Ledger::read(state).unwrap();
    let mut changes: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for entry in ledger.list(Some("obligations.followed"), usize::MAX).unwrap() {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        *changes.entry(entry.run).or_default() += body["changes"].as_array().unwrap().len();
    }
    assert!(!changes.is_empty() && changes.values().all(|count| *count == 2 * CHANGES), "{changes:?}");
    for count in ledger.obligation_counts(None).unwrap() {
        assert_eq!((count.state.as_str(), count.obligations), ("open", CHANGES as u64));
    }
}

/// A child that is killed when the test ends, however it ends.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Writer {
    fn start(state: &Path) -> Self {
        Self::start_as("ledger::other_process", state)
    }

    fn start_as(test: &str, state: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(STATE, state)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Writer(child)
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Stops it wherever it is, and waits until it stands.
    fn pause(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.0.id());
        wait(|| fs::read_to_string(&stat).unwrap().rsplit(')').next().unwrap().trim_start().starts_with('T'));
    }
}

fn wait(is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited half a minute in vain");
}

fn promised(state: &Path) -> Option<i64> {
    fs::read_to_string(state.join("promised")).ok()?.parse().ok()
}

#[test]
fn two_processes_cannot_hold_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let first = Lock::take(folder.path()).unwrap();
    assert_eq!(Lock::take(folder.path()).unwrap_err().code(), "ledger.locked");
    drop(first);
    let mut writer = Writer::start(folder.path());
    wait(|| promised(folder.path()).is_some());
    let error = Lock::take(folder.path()).unwrap_err();
    insta::assert_snapshot!(error.fault().to_string().replace(&folder.path().display().to_string(), "STATE"));
    // The verb meets the same lock, and does nothing.
    let output = Command::new(env!("CARGO_BIN_EXE_chudong"))
        .args(["run", "--as-of", "2026-11-21", "--agency", "binh-minh", "--root"])
        .arg(crate::root())
        .arg("--state")
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[ledger.locked]"), "{output:?}");
    writer.0.kill().unwrap();
    writer.0.wait().unwrap();
    // The system gives the lock back, however the process ended.
    Lock::take(folder.path()).unwrap();
}

#[test]
fn a_copy_taken_at_any_moment_opens_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::start(folder.path());
    wait(|| promised(folder.path()).is_some());
    let mut newest = 0;
    for round in 0..25 {
        std::thread::sleep(Duration::from_millis(7 + round * 3 % 40));
        writer.pause();
        let copy = copied(folder.path());
        writer.signal("CONT");
        let promised = promised(copy.path()).unwrap_or_default();
        let verified = verify(copy.path()).unwrap();
        assert_eq!(what(&verified), "");
        assert!(verified.head.seq >= promised, "{} of {promised} promised entries are there", verified.head.seq);
        // The copy is a ledger to go on with: what was in flight is uncertain, and the chain goes on.
        let mut ledger = Ledger::open(copy.path(), "an-binh").unwrap();
        let run = ledger.begin_run(day(25)).unwrap();
        ledger.mark_uncertain(&run).unwrap();
        assert!(ledger.outbox().unwrap().iter().all(|row| row.state != MessageState::InFlight));
        ledger.anchor().unwrap();
        drop(ledger);
        assert_eq!(what(&verify(copy.path()).unwrap()), "");
        newest = newest.max(verified.head.seq);
    }
    assert!(newest > 100, "the other process wrote only {newest} entries");
}

#[test]
fn a_process_killed_while_it_follows_obligations_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut writer = Writer::start_as("ledger::other_follower", folder.path());
        let last = promised(folder.path());
        wait(|| promised(folder.path()) != last);
        std::thread::sleep(Duration::from_millis(round * 17));
        writer.0.kill().unwrap();
        writer.0.wait().unwrap();
        assert_eq!(what(&verify(folder.path()).unwrap()), "");
        whole_follows(folder.path());
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_ledger_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..6 {
        let mut writer = Writer::start(folder.path());
        let last = promised(folder.path());
        wait(|| promised(folder.path()) != last);
        std::thread::sleep(Duration::from_millis(round * 11));
        writer.0.kill().unwrap();
        writer.0.wait().unwrap();
        let verified = verify(folder.path()).unwrap();
        assert_eq!(what(&verified), "");
        let promised = promised(folder.path()).unwrap_or_default();
        assert!(verified.head.seq >= promised && verified.head.seq > before);
        before = verified.head.seq;
    }
}
