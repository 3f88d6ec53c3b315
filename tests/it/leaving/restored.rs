//! What people said and what came back is not forgotten with a ledger that is restored, nor undone by what is older.

use std::path::Path;

use chudong::ledger::{ALL, AddressAct, MessageState, Preference, Record, Returned, Settlement, Stance, Stop};
use chudong::ledger::{MessageKey, Origin, Taken};
use jiff::civil::{Date, date};

use super::*;

const FILES: [&str; 2] = ["ledger.sqlite", "ledger.head"];

fn copy(from: &Path, to: &Path) {
    for name in FILES {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

fn opened(world: &World) -> Ledger {
    Ledger::open(&world.state(), "an-binh").unwrap()
}

fn about(message: &str, report: &str, verdict: &'static str, address: AddressAct) -> Returned {
    let message = message.split('@').next().unwrap().to_owned();
    Returned { report: report.into(), message, verdict, code: None, state: None, address }
}

#[test]
fn a_restored_ledger_remembers_who_is_not_to_be_written_to() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town(&server, 4, |_| vec!["2026-12-01"]);
    world.night("2026-11-16").with(0);
    assert_eq!(taken(&server), 4);
    let backup = tempfile::tempdir().unwrap();
    copy(&world.state(), backup.path());

    // One refuses; what went to another is called unwanted; something is stopped.
    let people = subjects(&world);
    refuse(&world, &people[..1]);
    let row = |ledger: &Ledger, subject: &str| {
        let traced = ledger.trace_subject(subject).unwrap();
        traced.messages.into_iter().next().unwrap()
    };
    let mut ledger = opened(&world);
    let unwanted = row(&ledger, &people[1]).message_id;
    let complaint = about(&unwanted, "r1", "complaint", AddressAct::Suppress { days: None });
    assert_eq!(
        ledger.take_returned("-", date(2026, 11, 17), std::slice::from_ref(&complaint), &Origin::ByHand).unwrap(),
        [Taken::New]
    );
    let stop = Stop {
        scope: "domain example.org smtp".into(),
        reason: "refusals".into(),
        sent: 1_000,
        refused: 100,
        at: "2026-11-17T01:00:00Z".into(),
        run: "-".into(),
    };
    ledger.stop("-", std::slice::from_ref(&stop)).unwrap();
    ledger.anchor().unwrap();
    let (refused, suppressed) = (ledger.refused().unwrap(), ledger.suppressions().unwrap());
    assert_eq!((refused.len(), suppressed.len()), (1, 1));
    drop(ledger);

    copy(backup.path(), &world.state());
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(world.state().join(name));
    }
    assert!(world.ledger().refused().unwrap().is_empty() && world.ledger().stops().unwrap().is_empty());
    let ended = world.night("2026-11-26").with(0);
    assert!(ended.out.contains("4 refusals, wishes, decisions, suppressions or stops were not known"), "{}", ended.out);
    // The second stage goes to the two others.
    assert_eq!(taken(&server), 6, "{}", ended.out);
    assert_eq!(world.ledger().refused().unwrap(), refused);
    assert_eq!(world.ledger().suppressions().unwrap(), suppressed);
    assert_eq!(world.ledger().stops().unwrap(), [stop]);
    // The report is not taken a second time.
    assert_eq!(
        opened(&world).take_returned("-", date(2026, 11, 27), &[complaint], &Origin::ByHand).unwrap(),
        [Taken::Known]
    );
    world.ledger_is_sound();
    let ended = world.night("2026-11-27").with(0);
    assert!(!ended.out.contains("were not known"), "{}", ended.out);
    // It holds pseudonyms, and no person.
    let journal = std::fs::read_to_string(world.state().join("said.journal")).unwrap();
    assert!(journal.contains(&people[0]) && !journal.contains("example.com") && !journal.contains("0979"));
}

#[test]
fn a_journal_that_was_cut_off_is_read_as_far_as_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let wish = |subject: &str| wish(subject, Stance::Refused, date(2026, 11, 20), "link");
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    ledger.prefer(&[wish("a")], &[]).unwrap();
    let path = folder.path().join("said.journal");
    let whole = std::fs::read(&path).unwrap();
    ledger.prefer(&[wish("b")], &[]).unwrap();
    let both = std::fs::read(&path).unwrap();
    drop(ledger);
    for cut in [whole.len(), whole.len() + 1, both.len() - 2, both.len()] {
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("said.journal"), &both[..cut]).unwrap();
        let mut ledger = Ledger::open(other.path(), "an-binh").unwrap();
        let known = if cut == both.len() { 2 } else { 1 };
        assert_eq!(ledger.take_over_said().unwrap(), known, "{cut}");
        assert_eq!(ledger.take_over_said().unwrap(), 0);
        // What is said then stands on a line of its own, and a third ledger reads it.
        ledger.prefer(&[wish("c")], &[]).unwrap();
        drop(ledger);
        std::fs::remove_file(other.path().join("ledger.sqlite")).unwrap();
        std::fs::remove_file(other.path().join("ledger.head")).unwrap();
        let mut ledger = Ledger::open(other.path(), "an-binh").unwrap();
        assert_eq!(ledger.take_over_said().unwrap(), known + 1, "{cut}");
        assert!(ledger.refused().unwrap().iter().any(|(subject, ..)| subject == "c"));
    }
}

fn wish(subject: &str, stance: Stance, since: Date, how: &'static str) -> Preference {
    Preference {
        subject: subject.to_owned(),
        item: ALL.to_owned(),
        channel: ALL.to_owned(),
        stance: Some(stance),
        language: None,
        since,
        how,
    }
}

#[test]
fn what_was_said_later_holds_and_of_one_day_the_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let says = |ledger: &mut Ledger, stance, day: i8, how| {
        let added = ledger.prefer(&[wish("somebody", stance, date(2026, 11, day), how)], &[]).unwrap();
        (added, ledger.refused().unwrap().len())
    };
    use Stance::{Refused, Wanted};
    assert_eq!(says(&mut ledger, Refused, 20, "link"), (1, 1));
    assert_eq!(says(&mut ledger, Wanted, 10, "file"), (0, 1));
    assert_eq!(says(&mut ledger, Wanted, 20, "file"), (0, 1));
    assert_eq!(says(&mut ledger, Wanted, 21, "file"), (1, 0));
    assert_eq!(says(&mut ledger, Refused, 20, "file"), (0, 0));
    assert_eq!(says(&mut ledger, Refused, 21, "file"), (1, 1));
    // Who has chosen a language since has not taken the refusal back, nor does it hide one that comes in late.
    let in_english = |subject: &str| Preference {
        stance: None,
        language: Some("en".into()),
        ..wish(subject, Refused, date(2026, 11, 25), "file")
    };
    assert_eq!(ledger.prefer(&[in_english("somebody"), in_english("another")], &[]).unwrap(), 2);
    let late = wish("another", Refused, date(2026, 11, 10), "file");
    assert_eq!((ledger.prefer(&[late], &[]).unwrap(), ledger.refused().unwrap().len()), (1, 2));
    let back = wish("another", Wanted, date(2026, 11, 11), "file");
    assert_eq!((ledger.prefer(&[back], &[]).unwrap(), ledger.refused().unwrap().len()), (1, 1));
    // Said again, it holds from the later day.
    assert_eq!(says(&mut ledger, Refused, 26, "file"), (1, 1));
    assert_eq!(says(&mut ledger, Refused, 26, "file"), (0, 1));
    assert_eq!(says(&mut ledger, Wanted, 24, "file"), (0, 1));
    // Their own clicks come in their order.
    assert_eq!(says(&mut ledger, Wanted, 26, "link"), (1, 0));
    ledger.anchor().unwrap();
    drop(ledger);
    assert!(chudong::ledger::verify::verify(folder.path()).unwrap().faults.is_empty());
}

fn record(key: &str, message: Option<&str>) -> Record {
    Record {
        key: MessageKey(key.into()),
        subject: format!("subject of {key}"),
        obligation: key.into(),
        item: "licence".into(),
        stage_notice_days: 15,
        channel: "smtp".into(),
        message_id: format!("{key}@example.org"),
        due_on: date(2026, 12, 1),
        address: Some(format!("address of {key}")),
        message: message.map(str::to_owned),
        ..Record::default()
    }
}

#[test]
fn proof_of_delivery_lifts_what_did_not_arrive_and_no_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run("2026-11-21".parse().unwrap()).unwrap();
    let records = vec![(record("a", None), ()), (record("b", None), ())];
    ledger.record(&run, records).unwrap();
    let accepted = |key: &str| Settlement {
        key: MessageKey(key.into()),
        state: MessageState::Accepted,
        reason: "accepted".into(),
        retry_at: None,
    };
    ledger.settle(&run, &[accepted("a"), accepted("b")]).unwrap();
    let came_back = [
        about("a@", "1", "complaint", AddressAct::Suppress { days: None }),
        about("b@", "2", "mailbox_full", AddressAct::Suppress { days: Some(14) }),
        about("a@", "3", "delivered", AddressAct::Lift),
        about("b@", "4", "delivered", AddressAct::Lift),
    ];
    ledger.take_returned(&run, date(2026, 11, 21), &came_back, &Origin::ByHand).unwrap();
    let left: Vec<String> = ledger.suppressions().unwrap().into_iter().map(|one| one.reason).collect();
    assert_eq!(left, ["complaint"]);
    assert_eq!(ledger.lift_suppression("address of a", "clerk").unwrap(), 1);
}

#[test]
fn what_comes_back_of_a_message_that_the_journal_knew_is_heard() {
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let world = town(&server, 3, |_| vec!["2026-12-01"]);
    world.night("2026-11-10").with(0);
    let backup = tempfile::tempdir().unwrap();
    copy(&world.state(), backup.path());
    world.night("2026-11-16").with(0);
    assert_eq!(taken(&server), 3);
    copy(backup.path(), &world.state());
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(world.state().join(name));
    }
    world.night("2026-11-17").with(0);
    assert_eq!(taken(&server), 3);
    world.ledger_is_sound();

    let gone = world.outbox().remove(0).message_id;
    let report = about(&gone, "r1", "address_wrong", AddressAct::Suppress { days: Some(180) });
    assert_eq!(
        opened(&world).take_returned("-", date(2026, 11, 18), &[report], &Origin::ByHand).unwrap(),
        [Taken::New]
    );
    assert_eq!(world.ledger().suppressions().unwrap().len(), 1);
    world.night("2026-11-26").with(0);
    assert_eq!(taken(&server), 5);
    world.ledger_is_sound();
}
