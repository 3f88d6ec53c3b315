//! Everything about one message and one person: told in full, told of nobody else, and gone when it has to go.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and one prints what it measured"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use chudong::calendar::AsOf;
use chudong::ledger::verify::verify;
use chudong::ledger::{
    Followed, Forgotten, Ledger, MessageKey, MessageState, Preference, PullEntry, Record, RefusedAddress, RunOutcome,
    Settlement, Stance, Traced, sealed_name,
};
use chudong::obligations::life::{Change, Event, Standing, State};
use chudong::personal::{SealingKey, sha256};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::{Value, json};

use crate::support::world::{Ended, World};

// ---- a year of nights --------------------------------------------------------

fn key(of: &str, number: usize) -> String {
    sha256(format!("{of} {number}").as_bytes())[..32].to_owned()
}

fn subject(number: usize) -> String {
    key("subject", number)
}

fn record(night: usize, number: usize, people: usize) -> Record {
    let id = night * people + number;
    let message = key("message", id);
    Record {
        key: MessageKey(message.clone()),
        // Others on each night, and everybody again after some nights.
        subject: subject((id * 7) % (people * 20)),
        obligation: key("obligation", id),
        item: "driving_licence".into(),
        stage_notice_days: 30,
        channel: "smtp".into(),
        message_id: format!("{message}@an-binh.example"),
        due_on: date(2026, 12, 21),
        rule_version: "driving_licence_term@2025-01-01".into(),
        rendered_hash: "bb".into(),
        template_version: "aa".into(),
        address: Some(key("address", (id * 7) % (people * 20))),
        ..Record::default()
    }
}

fn followed(as_of: Date, records: &[Record]) -> Followed {
    let change = |record: &Record| Change {
        event: Event::Arisen,
        standing: Standing {
            key: record.obligation.clone(),
            subject: record.subject.clone(),
            due_on: record.due_on,
            rule_version: record.rule_version.clone(),
            state: State::Open,
            since: as_of,
            fulfilled_on: None,
            unit: Some("97001".into()),
        },
        from: None,
    };
    Followed { item: "driving_licence".into(), changes: records.iter().map(change).collect() }
}

fn settled(key: &str, state: MessageState) -> Settlement {
    Settlement { key: MessageKey(key.into()), state, reason: "250".into(), retry_at: None }
}

/// One night as a run writes it: pulls, obligations, reservations, groups, settlements.
fn night(ledger: &mut Ledger, as_of: Date, number: usize, people: usize) -> String {
    let run = ledger.begin_run(AsOf::new(as_of)).unwrap();
    let pull = PullEntry {
        table: "transport.driving_licences".into(),
        legal_ground: "Nghị định 224/2026/NĐ-CP, Điều 16".into(),
        sha256: Some("cc".into()),
        mode: "snapshot",
        ..PullEntry::default()
    };
    ledger.pulled(&run, &[pull], &[]).unwrap();
    let records: Vec<Record> = (0..people).map(|one| record(number, one, people)).collect();
    ledger.follow(&run, as_of, &[followed(as_of, &records)]).unwrap();
    ledger.reserve_messages(&run, &records).unwrap();
    let mut before = Vec::new();
    for group in records.chunks(128) {
        let keys: Vec<String> = group.iter().map(|record| record.key.0.clone()).collect();
        let group = group.iter().map(|record| (record.clone(), ())).collect();
        ledger.turn(&run, &before, group).unwrap();
        before = keys.iter().map(|key| settled(key, MessageState::Accepted)).collect();
    }
    ledger.settle(&run, &before).unwrap();
    run
}

fn year(state: &Path, nights: usize, people: usize, is_indexed: bool) {
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    for number in 0..nights {
        let as_of = date(2025, 11, 1).saturating_add(i64::try_from(number).unwrap().days());
        let run = night(&mut ledger, as_of, number, people);
        ledger.finish_run(&run, RunOutcome::Done, &json!({})).unwrap();
        if is_indexed {
            ledger.index_mentions().unwrap();
        }
    }
    ledger.anchor().unwrap();
}

fn kinds(events: &[chudong::ledger::Told]) -> Vec<&str> {
    events.iter().map(|told| told.kind.as_str()).collect()
}

/// Every text in a story.
fn texts(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(into.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| texts(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, into)),
        _ => {}
    }
}

fn is_whole(traced: &Traced, of: &str) {
    assert!(!traced.messages.is_empty());
    for message in &traced.messages {
        assert_eq!(message.subject, of);
        assert_eq!(message.state, "accepted");
        assert_eq!(kinds(&message.events), ["messages.reserved", "messages.recorded", "messages.settled"]);
        assert!(message.events.iter().all(|told| told.says["key"] == message.key.as_str()));
        assert_eq!(kinds(&traced.obligations[&message.obligation]), ["obligations.followed"]);
        assert_eq!(kinds(&traced.pulls[&message.run]), ["pull"]);
    }
}

#[test]
fn a_person_is_told_in_full_and_nobody_else_is_told_of() {
    let (nights, people) = (25, 40);
    let [indexed, plain] = [true, false].map(|is_indexed| {
        let folder = tempfile::tempdir().unwrap();
        year(folder.path(), nights, people, is_indexed);
        folder
    });
    let [indexed, plain] = [&indexed, &plain].map(|folder| Ledger::read(folder.path()).unwrap());
    let mut messages = 0;
    for number in 0..people * 20 {
        let of = subject(number);
        let traced = indexed.trace_subject(&of).unwrap();
        if traced.messages.is_empty() {
            continue;
        }
        messages += traced.messages.len();
        if number % 40 != 0 {
            continue;
        }
        is_whole(&traced, &of);
        // The index finds what reading everything finds.
        let read = plain.trace_subject(&of).unwrap();
        let keys = |traced: &Traced| traced.messages.iter().map(|message| message.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&traced), keys(&read));
        assert_eq!(traced.obligations.len(), read.obligations.len());
        // Nobody else is in it.
        let mut said = BTreeSet::new();
        texts(&json!(traced), &mut said);
        let others: BTreeSet<String> = (0..people * 20).filter(|other| *other != number).map(subject).collect();
        assert_eq!(said.intersection(&others).count(), 0);
        let one = indexed.trace_message(&traced.messages[0].key).unwrap().unwrap();
        assert_eq!((one.messages.len(), one.obligations.len()), (1, 1));
        is_whole(&one, &of);
    }
    assert_eq!(messages, nights * people);
    assert!(indexed.trace_message("00").unwrap().is_none());
    assert!(indexed.trace_subject(&key("nobody", 1)).unwrap().messages.is_empty());
}

#[test]
fn the_index_goes_on_where_it_ended_and_is_no_part_of_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    year(folder.path(), 2, 300, true);
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    assert!(ledger.index_mentions().unwrap() <= 1, "all but the end of the run is noted already");
    let run = night(&mut ledger, date(2026, 1, 1), 2, 300);
    let of = record(2, 5, 300).subject;
    let before = json!(ledger.trace_subject(&of).unwrap());
    assert!(ledger.index_mentions().unwrap() > 5);
    assert_eq!(ledger.index_mentions().unwrap(), 0);
    assert_eq!(json!(ledger.trace_subject(&of).unwrap()), before);
    ledger.finish_run(&run, RunOutcome::Done, &json!({})).unwrap();
    ledger.anchor().unwrap();
    drop(ledger);
    is_sound(folder.path());
    let connection = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    connection.execute_batch("delete from mention; delete from mark where name like 'mentions%'").unwrap();
    drop(connection);
    is_sound(folder.path());
    // Who took the index away has hidden nothing.
    let ledger = Ledger::read(folder.path()).unwrap();
    assert_eq!(json!(ledger.trace_subject(&of).unwrap()), before);
}

/// A year of ten thousand messages a night; `cargo test --test it a_year_of_nights -- --ignored --nocapture`.
#[test]
#[ignore = "it writes a ledger of gigabytes"]
fn a_year_of_nights_is_traced_within_a_second() {
    let of = |name: &str, otherwise| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (nights, people) = (of("TRACE_NIGHTS", 365), of("TRACE_MESSAGES", 10_000));
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    year(folder.path(), nights, people, true);
    let bytes = std::fs::metadata(folder.path().join("ledger.sqlite")).unwrap().len();
    println!("{nights} nights of {people} written in {:?}, {} MB", began.elapsed(), bytes >> 20);
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = night(&mut ledger, date(2026, 11, 1), nights, people);
    let began = Instant::now();
    ledger.index_mentions().unwrap();
    println!("the newest night is noted in {:?}", began.elapsed());
    ledger.finish_run(&run, RunOutcome::Done, &json!({})).unwrap();
    drop(ledger);
    let mut longest = std::time::Duration::ZERO;
    for number in [0, 7, 1001, 4242] {
        let began = Instant::now();
        let ledger = Ledger::read(folder.path()).unwrap();
        let traced = ledger.trace_subject(&subject(number * 7 % (people * 20))).unwrap();
        let person = began.elapsed();
        let message = &traced.messages[0].key;
        let began = Instant::now();
        ledger.trace_message(message).unwrap().unwrap();
        println!("{} messages of a person in {person:?}, one message in {:?}", traced.messages.len(), began.elapsed());
        longest = longest.max(person).max(began.elapsed());
    }
    assert!(longest.as_secs_f64() < 1.0, "{longest:?}");
}

// ---- what was not sent, what changed, what goes -------------------------------

#[track_caller]
fn is_sound(state: &Path) {
    let faults = verify(state).unwrap().faults;
    assert!(faults.is_empty(), "{:?}", faults.iter().map(|fault| &fault.what).collect::<Vec<_>>());
}

fn opened(state: &Path, as_of: Date) -> (Ledger, String) {
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    let run = ledger.begin_run(AsOf::new(as_of)).unwrap();
    (ledger, run)
}

#[test]
fn a_reason_is_written_down_when_it_changes_and_not_every_night() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, run) = opened(folder.path(), date(2026, 11, 1));
    let told = BTreeSet::from(["driving_licence".to_owned()]);
    let reason = |word: &str| ("driving_licence".to_owned(), word.to_owned());
    let mut unsent: BTreeMap<String, (String, String)> =
        (0..2_500).map(|number| (key("obligation", number), reason("no address"))).collect();
    assert_eq!(ledger.not_sent(&run, date(2026, 11, 1), &told, &unsent).unwrap(), 2_500);
    assert_eq!(ledger.not_sent(&run, date(2026, 11, 2), &told, &unsent).unwrap(), 0);
    unsent.insert(key("obligation", 7), reason("deceased"));
    unsent.remove(&key("obligation", 8));
    assert_eq!(ledger.not_sent(&run, date(2026, 11, 3), &told, &unsent).unwrap(), 2);
    // Of an item that a night could not compute, what was known stays.
    assert_eq!(ledger.not_sent(&run, date(2026, 11, 4), &BTreeSet::new(), &BTreeMap::new()).unwrap(), 0);
    ledger.anchor().unwrap();
    let entries = ledger.list(Some("reminders.unsent"), 10).unwrap();
    assert_eq!(entries.len(), 4, "a thousand changes in an entry, and one for the two");
    let first: Value = serde_json::from_str(&entries[0].body).unwrap();
    assert_eq!(first["counts"], json!([["driving_licence", "no address", 2_500]]));
    drop(ledger);
    is_sound(folder.path());
    for (edit, says) in [
        ("update unsent set reason = 'refuses reminders'", "is not what its entry says"),
        ("delete from unsent", "was removed"),
        ("insert into unsent values ('x', 'y', 'z', '2026-11-01', 1)", "no entry speaks of it"),
    ] {
        let copy = copied(folder.path());
        rusqlite::Connection::open(copy.path().join("ledger.sqlite")).unwrap().execute_batch(edit).unwrap();
        let faults = verify(copy.path()).unwrap().faults;
        assert!(faults.iter().any(|fault| fault.what.contains(says)), "{edit}");
    }
}

fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn what_waits_for_an_old_address_is_decided_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, run) = opened(folder.path(), date(2026, 11, 1));
    let records: Vec<Record> = (0..5).map(|one| record(0, one, 5)).collect();
    let messages = records.iter().map(|record| (record.clone(), ())).collect();
    ledger.record(&run, messages).unwrap();
    use MessageState::{Accepted, Deferred, Uncertain};
    let states = [Deferred, Uncertain, Accepted, Deferred, Uncertain];
    let ends: Vec<Settlement> =
        records.iter().zip(states).map(|(record, state)| settled(&record.key.0, state)).collect();
    ledger.settle(&run, &ends).unwrap();
    let of = |record: &Record| (record.subject.clone(), record.channel.clone());
    // The first three have moved; the fourth has not, and of the fifth nothing is known today.
    let mut now: HashMap<(String, String), String> =
        records[..3].iter().map(|record| (of(record), "elsewhere".to_owned())).collect();
    now.insert(of(&records[3]), records[3].address.clone().unwrap());
    // What is uncertain and a clerk's to decide stays so, wherever its person has moved.
    let left_to_clerk = BTreeSet::from([records[1].item.clone()]);
    assert_eq!(ledger.drop_moved(&run, &now, &left_to_clerk).unwrap(), 1);
    assert!(ledger.outbox().unwrap().iter().any(|row| row.key == records[1].key && row.state == Uncertain));
    assert_eq!(ledger.drop_moved(&run, &now, &BTreeSet::new()).unwrap(), 1);
    assert_eq!(ledger.drop_moved(&run, &now, &BTreeSet::new()).unwrap(), 0);
    let rows: HashMap<String, (MessageState, Option<String>)> =
        ledger.outbox().unwrap().into_iter().map(|row| (row.key.0, (row.state, row.reason))).collect();
    for (record, moved) in records.iter().zip([true, true, false, false, false]) {
        let (state, reason) = &rows[&record.key.0];
        assert_eq!(*state == MessageState::Dropped, moved);
        assert_eq!(reason.as_deref() == Some("address changed"), moved);
    }
    // It leaves again, for the new address, and under its old number.
    let again = Record { address: Some("elsewhere".into()), ..records[0].clone() };
    assert_eq!(ledger.record(&run, vec![(again, ())]).unwrap().len(), 1);
    ledger.settle(&run, &[settled(&records[0].key.0, Accepted)]).unwrap();
    ledger.anchor().unwrap();
    is_sound(folder.path());
}

#[test]
fn sealed_addresses_go_with_their_term_and_with_their_person() {
    let folder = tempfile::tempdir().unwrap();
    let sealing = SealingKey::new([7; 32]);
    let sealed = |record: &Record, address: &str| Record {
        sealed_address: sealing.seal(&sealed_name(&record.key.0), address),
        explanation: sealing.seal(&record.key.0, "vì sao"),
        ..record.clone()
    };
    let mut all = Vec::new();
    let (mut ledger, _) = opened(folder.path(), date(2026, 1, 1));
    for (at, as_of) in [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)].into_iter().enumerate() {
        let run = ledger.begin_run(AsOf::new(as_of)).unwrap();
        let records: Vec<Record> =
            (0..3).map(|one| sealed(&record(at, one, 3), &format!("canary-{at}-{one}@example.com"))).collect();
        ledger.record(&run, records.iter().map(|record| (record.clone(), ())).collect()).unwrap();
        let ends: Vec<Settlement> =
            records.iter().map(|record| settled(&record.key.0, MessageState::Accepted)).collect();
        ledger.settle(&run, &ends).unwrap();
        ledger.index_mentions().unwrap();
        all.extend(records);
    }
    let addresses = |ledger: &Ledger, record: &Record| -> Vec<String> {
        let traced = ledger.trace_message(&record.key.0).unwrap().unwrap();
        let entries = traced.messages[0].events.iter().map(|told| told.entry);
        let sealed = ledger.sealed_addresses(&record.key.0, entries).unwrap();
        sealed.values().map(|s| sealing.open(&sealed_name(&record.key.0), s).unwrap().reveal().clone()).collect()
    };
    assert_eq!(addresses(&ledger, &all[4]), ["canary-1-1@example.com"]);
    is_sound(folder.path());
    // Addresses of January go, and the explanations stay.
    let forgotten = ledger.forget_sealed("2026-03-01.1", date(2026, 1, 2), date(2026, 1, 1)).unwrap();
    assert_eq!(forgotten, Forgotten { addresses: 3, explanations: 0, recommendations: 0 });
    let again = ledger.forget_sealed("2026-03-01.1", date(2026, 1, 2), date(2026, 1, 1)).unwrap();
    assert_eq!(again, Forgotten::default());
    assert!(addresses(&ledger, &all[0]).is_empty());
    is_sound(folder.path());
    assert_eq!(ledger.erase_addresses(&all[4].subject, "clerk").unwrap(), 1);
    assert_eq!(ledger.erase_addresses(&all[4].subject, "clerk").unwrap(), 0);
    assert!(addresses(&ledger, &all[4]).is_empty());
    assert_eq!(addresses(&ledger, &all[5]).len(), 1);
    let wishes = ledger.trace_subject(&all[4].subject).unwrap().wishes;
    assert_eq!(kinds(&wishes), ["address.erased"]);
    let forgotten = ledger.forget_sealed("2026-03-01.1", date(2026, 1, 2), date(2026, 2, 2)).unwrap();
    assert_eq!(forgotten, Forgotten { addresses: 0, explanations: 6, recommendations: 0 });
    ledger.anchor().unwrap();
    drop(ledger);
    is_sound(folder.path());
    for (edit, says) in [
        ("delete from sealed_address where entry = (select max(entry) from sealed_address)", "was removed"),
        ("update sealed_address set sealed = x'00'", "is not what the ledger recorded"),
        ("insert into sealed_address values (1, 'x', x'00')", "no entry speaks of them"),
    ] {
        let copy = copied(folder.path());
        let connection = rusqlite::Connection::open(copy.path().join("ledger.sqlite")).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch(edit).unwrap();
        let faults = verify(copy.path()).unwrap().faults;
        assert!(faults.iter().any(|fault| fault.what.contains(says)), "{edit}");
    }
}

#[test]
fn a_number_that_cannot_be_reached_and_a_wish_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, run) = opened(folder.path(), date(2026, 11, 1));
    let one = Record { channel: "zns".into(), ..record(0, 0, 1) };
    ledger.record(&run, vec![(one.clone(), ())]).unwrap();
    ledger.settle(&run, &[settled(&one.key.0, MessageState::Refused)]).unwrap();
    let refused = RefusedAddress {
        address: one.address.clone().unwrap(),
        channel: "zns".into(),
        code: "-118".into(),
        message: one.key.0.clone(),
    };
    ledger.suppress_refused(&run, date(2026, 11, 1), std::slice::from_ref(&refused)).unwrap();
    let suppressions = ledger.suppressions().unwrap();
    assert_eq!(suppressions.len(), 1);
    assert_eq!(suppressions[0].reason, "number_refused");
    assert!(suppressions[0].holds_on(date(2027, 4, 29)) && !suppressions[0].holds_on(date(2027, 4, 30)));
    let wish = Preference {
        subject: one.subject.clone(),
        item: "driving_licence".into(),
        channel: "*".into(),
        stance: Some(Stance::Refused),
        language: None,
        since: date(2026, 11, 1),
        how: "link",
    };
    ledger.prefer(&[wish], &[]).unwrap();
    ledger.index_mentions().unwrap();
    let traced = ledger.trace_subject(&one.subject).unwrap();
    assert_eq!(kinds(&traced.suppressions), ["suppression.set"]);
    assert_eq!(kinds(&traced.wishes), ["preference.set"]);
    assert_eq!(traced.wishes[0].says["stance"], "refused");
    ledger.anchor().unwrap();
    is_sound(folder.path());
}

// ---- through the binary -------------------------------------------------------

fn with_input(world: &World, arguments: &[&str], input: &str) -> Ended {
    let mut command = world.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn story(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap()
}

#[test]
fn a_night_is_traced_through_the_binary_and_opened_only_on_request() {
    let world = World::small(3_000);
    world.without_figures();
    let held = world.night("2026-11-20");
    assert!(matches!(held.code, Some(0 | 3)), "{}", held.err);
    let ledger = Ledger::read(&world.state()).unwrap();
    let row = ledger.outbox().unwrap().remove(0);
    let found = ledger.messages_like(&row.key.0, 2).unwrap();
    drop(ledger);
    let pseudonym = &found[0].1;
    let text = world.chudong(&["trace", "--message", &row.message_id]).with(0).out;
    for said in ["messages.reserved", "messages.recorded", "messages.settled", "obligations.followed", "pull"] {
        assert!(text.contains(said), "{said} is missing:\n{text}");
    }
    assert!(!text.contains('@') || !text.contains("went to"), "{text}");
    let json =
        story(&world.chudong(&["trace", "--message", &row.key.0[..12], "--explain", "--format", "json"]).with(0));
    let opened = &json["opened"][&row.key.0];
    let addresses: Vec<&Value> = opened["addresses"].as_object().unwrap().values().collect();
    let address = addresses[0].as_str().unwrap();
    assert!(address.contains('@') && opened["explanation"].as_str().is_some_and(|text| !text.is_empty()));
    // Nothing of it lies open in the ledger, nor in a story that was not opened.
    let bytes = std::fs::read(world.state().join("ledger.sqlite")).unwrap();
    assert!(!bytes.windows(address.len()).any(|window| window == address.as_bytes()));
    let plain = world.chudong(&["trace", "--subject", pseudonym]).with(0).out;
    assert!(!plain.contains(address) && plain.contains(&row.key.0));
    // What the night did is said for each obligation.
    let arguments = ["trace", "--subject", pseudonym, "--night", "2026-11-20", "--format", "json"];
    let answers = story(&world.chudong(&arguments).with(0))["nights"].clone();
    assert!(answers.as_array().unwrap().iter().any(|one| one["answer"].as_str().unwrap().contains("accepted")));
    let arguments = ["trace", "--subject", pseudonym, "--night", "2026-10-01"];
    assert!(world.chudong(&arguments).with(0).out.contains("no run spoke for that day"));
    for (arguments, code) in [
        (["trace", "--message", "00000000000000000000000000000000"], "trace.unknown-message"),
        (["trace", "--subject", "00000000000000000000000000000000"], "trace.unknown-person"),
        (["trace", "--subject", "nobody"], "trace.pseudonym"),
    ] {
        let ended = world.chudong(&arguments).with(1);
        assert!(ended.err.contains(code), "{}", ended.err);
    }
    world.chudong(&["trace"]).with(2);
    let ended = with_input(&world, &["trace", "--subject"], "079000000000\n").with(1);
    assert!(ended.err.contains("trace.unknown-person") && !ended.err.contains("079000000000"), "{}", ended.err);
}

#[test]
fn why_a_person_got_nothing_is_told_and_old_addresses_go() {
    let world = World::small(3_000);
    world.without_figures();
    let path = "pipelines/an-binh/pipeline.toml";
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    let retention = "retention = { addresses_days = 1, explanations_days = 2 }";
    world.put(path, format!("{retention}\n{text}").as_bytes());
    for as_of in ["2026-11-18", "2026-11-19"] {
        assert!(matches!(world.night(as_of).code, Some(0 | 3)));
    }
    let count = |table: &str| -> i64 {
        let connection = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
        connection.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap()
    };
    let (addresses, explanations) = (count("sealed_address"), count("explanation"));
    assert!(addresses > 0 && explanations > 0);
    assert!(matches!(world.night("2026-11-20").code, Some(0 | 3)));
    assert!(count("sealed_address") < addresses && count("explanation") >= explanations);
    assert!(matches!(world.night("2026-11-21").code, Some(0 | 3)));
    assert!(count("explanation") < explanations);
    is_sound(&world.state());
    // Somebody was held for a reason; the ledger says which, for the night and the nights after.
    let connection = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    let sql = "select obligation.subject, unsent.obligation, reason from unsent
               join obligation on obligation.key = unsent.obligation where unsent.since = '2026-11-18' limit 1";
    let (subject, obligation, reason): (String, String, String) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    drop(connection);
    for as_of in ["2026-11-18", "2026-11-20"] {
        let arguments = ["trace", "--subject", &subject, "--night", as_of, "--format", "json"];
        let answers = story(&world.chudong(&arguments).with(0))["nights"].clone();
        let answer = answers.as_array().unwrap().iter().find(|one| one["obligation"] == obligation.as_str()).unwrap();
        assert_eq!(answer["answer"], format!("nothing was sent: {reason} (since 2026-11-18)"));
    }
}
