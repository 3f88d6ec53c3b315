//! A run on a large ledger verifies what was added since it was verified last, and notices what was changed since.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and one measures"
)]

use std::path::Path;
use std::time::Instant;

use chudong::calendar::AsOf;
use chudong::ledger::verify::{Before, verify, verify_before_run};
use chudong::ledger::{Checkpoint, Head, Ledger, MessageKey, MessageState, Record, RunOutcome, Settlement};
use chudong::personal::PseudonymKey;
use jiff::civil::{Date, date};
use serde_json::json;

const WHOLE_ON: Date = date(2026, 11, 20);

fn key() -> PseudonymKey {
    PseudonymKey::new([7; 32])
}

/// One night of so many messages; gives the newest entry.
fn night(state: &Path, number: usize, messages: usize) -> Head {
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    let run = ledger.begin_run(AsOf::new(date(2026, 11, 21))).unwrap();
    let record = |of: usize| Record {
        key: MessageKey(format!("n{number}m{of}")),
        subject: format!("s{of}"),
        obligation: format!("o{number}-{of}"),
        item: "driving_licence".into(),
        stage_notice_days: 30,
        channel: "smtp".into(),
        message_id: format!("n{number}m{of}@an-binh.example"),
        due_on: date(2026, 12, 21),
        rule_version: "driving_licence_term@2025-01-01".into(),
        ..Record::default()
    };
    for part in (0..messages).collect::<Vec<_>>().chunks(1_000) {
        let records: Vec<(Record, ())> = part.iter().map(|of| (record(*of), ())).collect();
        let keys: Vec<MessageKey> = records.iter().map(|(record, ())| record.key.clone()).collect();
        ledger.record(&run, records).unwrap();
        let settled = |key| Settlement { key, state: MessageState::Accepted, reason: "250".into(), retry_at: None };
        ledger.settle(&run, &keys.into_iter().map(settled).collect::<Vec<_>>()).unwrap();
    }
    ledger.finish_run(&run, RunOutcome::Done, &json!({})).unwrap();
    ledger.anchor().unwrap()
}

/// Two nights, verified until the end of the first.
fn two_nights() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let head = night(folder.path(), 1, 4);
    let ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    ledger.anchor_verified(&Checkpoint { head, whole_on: WHOLE_ON }, &key()).unwrap();
    drop(ledger);
    night(folder.path(), 2, 4);
    folder
}

/// As a run asks for it that finds every ledger large.
fn before_run(state: &Path) -> Before {
    verify_before_run(state, Some(&key()), 0).unwrap()
}

fn change(state: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(state.join("ledger.sqlite")).unwrap();
    connection.execute_batch(&format!("drop trigger if exists entry_not_updated; {sql}")).unwrap();
}

fn said(before: &Before) -> String {
    before.verified.faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>().join("; ")
}

#[test]
fn what_was_added_is_verified_and_the_rest_was() {
    let folder = two_nights();
    let before = before_run(folder.path());
    assert_eq!(said(&before), "");
    let since = before.since.unwrap();
    assert_eq!(since.whole_on, WHOLE_ON);
    let whole = verify(folder.path()).unwrap();
    assert_eq!(before.verified.head, whole.head);
    assert_eq!(before.verified.entries + u64::try_from(since.head.seq).unwrap(), whole.entries);
    // A small ledger is verified as a whole, and so is one of which nobody has the key.
    assert!(verify_before_run(folder.path(), Some(&key()), 1 << 30).unwrap().since.is_none());
    assert!(verify_before_run(folder.path(), None, 0).unwrap().since.is_none());
    // The note outlives the heads that are noted after it, and a note that was removed costs time alone.
    let path = folder.path().join("ledger.head");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.lines().next().unwrap()).unwrap();
    let before = before_run(folder.path());
    assert!(before.since.is_none() && said(&before).is_empty(), "{}", said(&before));
}

#[test]
fn what_was_changed_since_is_noticed() {
    for (sql, what) in [
        (
            "update entry set body = replace(body, '250', '251') where kind = 'messages.settled' and seq > 5",
            "was changed",
        ),
        ("delete from outbox where key = 'n2m1'", "the state of message n2m1 was removed"),
        ("update outbox set state = 'reserved' where key = 'n2m2'", "the state of message n2m2 is not what"),
        ("update outbox set subject = 'x' where key = 'n2m2'", "the state of message n2m2 is not what"),
        ("create table more (a)", "the table more was added"),
    ] {
        let folder = two_nights();
        change(folder.path(), &triggerless(folder.path(), sql));
        let before = before_run(folder.path());
        assert!(said(&before).contains(what), "{sql}: {}", said(&before));
    }
    // What was changed before it is found by looking at everything, once a week.
    let folder = two_nights();
    change(folder.path(), "delete from outbox where key = 'n1m1'");
    assert_eq!(said(&before_run(folder.path())), "");
    assert!(!verify(folder.path()).unwrap().faults.is_empty());
}

/// The statement after every trigger was taken off, as somebody would who changes entries.
fn triggerless(state: &Path, sql: &str) -> String {
    let connection = rusqlite::Connection::open(state.join("ledger.sqlite")).unwrap();
    let mut select = connection.prepare("select name from sqlite_schema where type = 'trigger'").unwrap();
    let names: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(|name| name.unwrap()).collect();
    names.iter().map(|name| format!("drop trigger {name}; ")).collect::<String>() + sql
}

#[test]
fn a_note_that_was_changed_is_noticed() {
    let folder = two_nights();
    let path = folder.path().join("ledger.head");
    let text = std::fs::read_to_string(&path).unwrap();
    let second = text.lines().nth(1).unwrap().to_owned();
    let newest = Ledger::read(folder.path()).unwrap().head().unwrap();
    let words: Vec<&str> = second.split(' ').collect();
    let [word, seq, hash, day, code] = words.as_slice() else { unreachable!("{second}") };
    for forged in [
        // Moved over what was added, with the hash that is there.
        format!("{word} {} {} {day} {code}", newest.seq, newest.hash),
        format!("{word} {seq} {hash} 2027-11-20 {code}"),
        format!("{word} {seq} {hash} {day} {}", "0".repeat(code.len())),
        "something else".to_owned(),
    ] {
        std::fs::write(&path, text.replace(&second, &forged)).unwrap();
        assert!(said(&before_run(folder.path())).contains("noted in ledger.head, was changed"), "{forged}");
    }
    // The entry itself, with the note as it was.
    std::fs::write(&path, &text).unwrap();
    let sql = format!("update entry set hash = zeroblob(32) where seq = {seq}");
    change(folder.path(), &triggerless(folder.path(), &sql));
    assert!(said(&before_run(folder.path())).contains("is not the one until which it was verified"));
}

/// `CHUDONG_TEST_NIGHTS=365 CHUDONG_TEST_MESSAGES=10000` is a year.
#[test]
fn a_long_ledger_is_verified_in_the_time_of_a_night() {
    let of = |name: &str, few: usize| std::env::var(name).map_or(few, |text| text.parse().unwrap());
    let (nights, messages) = (of("CHUDONG_TEST_NIGHTS", 12), of("CHUDONG_TEST_MESSAGES", 100));
    let folder = tempfile::tempdir().unwrap();
    let mut head = Head { seq: 0, hash: String::new() };
    for number in 0..nights {
        head = night(folder.path(), number, messages);
    }
    let ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    ledger.anchor_verified(&Checkpoint { head, whole_on: WHOLE_ON }, &key()).unwrap();
    drop(ledger);
    night(folder.path(), nights, messages);
    let began = Instant::now();
    let before = before_run(folder.path());
    let since = began.elapsed();
    let whole = verify(folder.path()).unwrap();
    println!("{nights} nights of {messages}: since the last night {since:?}, as a whole {:?}", began.elapsed() - since);
    assert_eq!(said(&before), "");
    // As many entries as a night has, however many nights there were.
    assert!(before.verified.entries * u64::try_from(nights).unwrap() <= whole.entries);
}
