//! The log of the ledger while groups are sent: its pages are moved into the file beside the sender.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::time::Duration;

use chudong::calendar::AsOf;
use chudong::ledger::{Ledger, MessageKey, MessageState, Record, Settlement};
use jiff::civil::date;

fn record(number: usize) -> (Record, ()) {
    let key = MessageKey(format!("m{number:05}"));
    (Record { key, message_id: format!("{number}@an-binh.example"), ..Record::default() }, ())
}

fn settled(number: usize) -> Settlement {
    let key = MessageKey(format!("m{number:05}"));
    Settlement { key, state: MessageState::Accepted, reason: "accepted".into(), retry_at: None }
}

fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

#[test]
fn pages_are_moved_while_the_sender_is_at_work_and_nothing_is_open_behind_it() {
    const GROUP: usize = 512;
    const GROUPS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("ledger.sqlite"), folder.path().join("ledger.sqlite-wal"));
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(AsOf::new(date(2026, 11, 21))).unwrap();
    let mut before = Vec::new();
    for group in 0..GROUPS {
        let numbers = group * GROUP..(group + 1) * GROUP;
        let recorded = ledger.turn(&run, &before, numbers.clone().map(record).collect()).unwrap();
        assert_eq!(recorded.len(), GROUP);
        before = numbers.map(settled).collect();
    }
    // No commit has moved anything yet, so that what is in the file was moved by the other thread.
    assert!(bytes(&log) < 64 << 20, "{} bytes are in the log", bytes(&log));
    for _ in 0..500 {
        if bytes(&file) > 1 << 20 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(bytes(&file) > 1 << 20, "{} bytes were moved", bytes(&file));
    ledger.settle(&run, &before).unwrap();
    drop(ledger);
    assert!(!log.exists(), "the last connection takes the log with it");
    let rows = Ledger::read(folder.path()).unwrap().outbox().unwrap();
    assert_eq!(rows.len(), GROUPS * GROUP);
    assert!(rows.iter().all(|row| row.state == MessageState::Accepted));
}
