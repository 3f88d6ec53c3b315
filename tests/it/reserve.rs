//! Reserving a night: records made on several threads while others are written, and each message written down once.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::ops::Range;

use chudong::calendar::AsOf;
use chudong::ledger::verify::verify;
use chudong::ledger::{Ledger, MessageKey, Record};
use jiff::civil::date;

fn record(number: &u32) -> Record {
    Record {
        key: MessageKey(format!("m{number:06}")),
        subject: format!("s{number}"),
        obligation: format!("o{number}"),
        item: "driving_licence".into(),
        stage_notice_days: 30,
        channel: "email".into(),
        message_id: format!("m{number}@an-binh.example"),
        due_on: date(2026, 12, 21),
        rule_version: "driving_licence_term@2025-01-01".into(),
        valid_until: Some(date(2026, 12, 21)),
        ..Record::default()
    }
}

fn entries(ledger: &Ledger) -> Vec<String> {
    ledger.list(Some("messages.reserved"), 1000).unwrap().into_iter().map(|entry| entry.key).collect()
}

#[test]
fn a_night_of_several_parts_is_reserved_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(AsOf::new(date(2026, 11, 21))).unwrap();
    let mut reserve = |numbers: Range<u32>| {
        let numbers: Vec<u32> = numbers.collect();
        let reserved = ledger.reserve_made(&run, &numbers, &record).unwrap();
        (reserved, entries(&ledger).len())
    };
    // Two commits and a bit, in entries of a thousand.
    assert_eq!(reserve(0..20_500), (20_500, 21));
    assert_eq!(reserve(0..20_500), (0, 21));
    // Known ones before new ones, new ones before known ones, and both in one part.
    assert_eq!(reserve(5_000..31_000), (10_500, 32));
    assert_eq!(reserve(0..0), (0, 32));
    // Of two with one key the first is reserved, wherever they stand.
    let twice: Vec<u32> = (40_000..51_000).chain(40_500..40_600).chain([50_999]).collect();
    assert_eq!(ledger.reserve_made(&run, &twice, &record).unwrap(), 11_000);
    // What was dropped is reserved again.
    let dropped = [7, 8].map(|number| (record(&number).key, "fulfilled".to_owned()));
    assert_eq!(ledger.drop_messages(&run, &dropped).unwrap(), 2);
    assert_eq!(ledger.reserve_made(&run, &[6, 7, 8, 9], &record).unwrap(), 2);
    assert_eq!(ledger.outbox().unwrap().len(), 42_000);
    ledger.anchor().unwrap();
    let faults = verify(folder.path()).unwrap().faults;
    assert!(faults.is_empty(), "{:?}", faults.iter().map(|fault| &fault.what).collect::<Vec<_>>());
}
