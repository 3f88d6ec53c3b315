//! Every message once: under kill -9, after a restored backup, with two senders, through an outage.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and one prints its table"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chudong::calendar::AsOf;
use chudong::delivery::{Class, Code, Envelope, Outcome, Sender, Timeouts};
use chudong::fault::Explain;
use chudong::ledger::verify::verify;
use chudong::ledger::{
    Entry, Followed, Ledger, Lock, MessageKey, MessageState, Record, Recovered, RunOutcome, Settlement,
};
use chudong::obligations::life::{Change, Event, Standing, State};
use chudong::personal::Personal;
use chudong::pipeline::{Channel, ChannelKind, Smtp, Tls};
use chudong::run::remind::convoy::{self, Convoy, GROUPS_IN_FLIGHT, settlement};
use chudong::run::remind::retry::Retries;
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::messages::SAMPLE;
use crate::support::smtp::{Mood, Server};

const CONNECTIONS: usize = 4;

fn channel(port: u16) -> Channel {
    let smtp = Smtp { host: "127.0.0.1".into(), port, tls: Tls::None, credentials: None, connections: CONNECTIONS };
    Channel { kind: ChannelKind::Smtp(smtp), ..SAMPLE.pipeline.channels[0].clone() }
}

fn record(key: &str) -> Record {
    Record {
        key: MessageKey(key.into()),
        subject: format!("subject-of-{key}"),
        obligation: format!("obligation-of-{key}"),
        item: "driving_licence".into(),
        stage_notice_days: 30,
        channel: "smtp".into(),
        message_id: format!("{key}@an-binh.example"),
        due_on: date(2026, 12, 21),
        rule_version: "driving_licence_term@2025-01-01".into(),
        ..Record::default()
    }
}

fn records(keys: &[&str]) -> Vec<(Record, ())> {
    keys.iter().map(|key| (record(key), ())).collect()
}

fn settled(key: &str, state: MessageState) -> Settlement {
    Settlement { key: MessageKey(key.into()), state, reason: "250".into(), retry_at: None }
}

fn envelope(key: &str) -> Envelope {
    Envelope {
        key: key.to_owned(),
        message_id: format!("{key}@an-binh.example"),
        from: "agency@an-binh.example".parse().unwrap(),
        to: Personal::new(format!("{key}@example.com").parse().unwrap()),
        text: format!("Message-ID: <{key}@an-binh.example>\r\nSubject: {key}\r\n\r\nxin chao {key}\r\n").into(),
    }
}

fn opened(state: &Path) -> (Ledger, String) {
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    let run = ledger.begin_run(AsOf::new(date(2026, 11, 21))).unwrap();
    (ledger, run)
}

#[track_caller]
fn is_sound(state: &Path) {
    let faults = verify(state).unwrap().faults;
    assert!(faults.is_empty(), "{:?}", faults.iter().map(|fault| &fault.what).collect::<Vec<_>>());
}

fn states(ledger: &Ledger) -> BTreeMap<String, (MessageState, Option<String>)> {
    ledger.outbox().unwrap().into_iter().map(|row| (row.key.0, (row.state, row.reason))).collect()
}

// ---- states --------------------------------------------------------------------

#[test]
fn what_is_reserved_leaves_once_and_what_is_dropped_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, run) = opened(folder.path());
    let night: Vec<Record> = ["a", "b", "c"].map(record).into();
    assert_eq!(ledger.reserve_messages(&run, &night).unwrap(), 3);
    // A second run of the night reserves nothing; what it knows of each message stays.
    assert_eq!(ledger.reserve_messages(&run, &night).unwrap(), 0);
    assert_eq!(ledger.record(&run, records(&["a"])).unwrap().len(), 1);
    ledger.settle(&run, &[settled("a", MessageState::Accepted)]).unwrap();
    // What has left is not dropped any more.
    let dropped = ["a", "b"].map(|key| (MessageKey(key.into()), "fulfilled".to_owned()));
    assert_eq!(ledger.drop_messages(&run, &dropped).unwrap(), 1);
    let now = states(&ledger);
    assert_eq!(now["a"].0, MessageState::Accepted);
    assert_eq!(now["b"], (MessageState::Dropped, Some("fulfilled".into())));
    assert_eq!(now["c"], (MessageState::Reserved, None));
    // What is reserved was not on the wire: a crash leaves nothing uncertain about it.
    assert_eq!(ledger.recover(&run).unwrap(), Recovered::default());
    assert_eq!(ledger.record(&run, records(&["a", "c"])).unwrap().len(), 1);
    ledger.settle(&run, &[settled("c", MessageState::Accepted)]).unwrap();
    // One entry for each commit, however many messages it has.
    let kinds: Vec<String> = ledger.list(Some("messages."), 100).unwrap().into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "messages.reserved").count(), 1);
    assert_eq!(kinds.len(), 6);
    ledger.anchor().unwrap();
    is_sound(folder.path());
}

#[test]
fn messages_of_one_group_end_each_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, run) = opened(folder.path());
    ledger.reserve_messages(&run, &["a", "b", "c"].map(record)).unwrap();
    let mut group = records(&["a", "b", "c", "it's \"new\""]);
    // What was known when it was reserved is not what is known when it leaves.
    group[1].0.address = Some("another".into());
    group[2].0.valid_until = Some(date(2026, 12, 1));
    assert_eq!(ledger.record(&run, group).unwrap().len(), 4);
    let cells = || -> Vec<(String, Option<String>, Option<String>)> {
        let sqlite = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
        let mut select = sqlite.prepare("select key, address, valid_until from outbox order by key").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let cell = |key: &str, address: Option<&str>, day: Option<&str>| {
        (key.to_owned(), address.map(str::to_owned), day.map(str::to_owned))
    };
    let expected = [
        cell("a", None, None),
        cell("b", Some("another"), None),
        cell("c", None, Some("2026-12-01")),
        cell("it's \"new\"", None, None),
    ];
    assert_eq!(cells(), expected);
    let later = "2026-11-21T05:00:00Z".parse::<Timestamp>().unwrap();
    let ends = [
        settled("a", MessageState::Accepted),
        Settlement { retry_at: Some(later), reason: "451".into(), ..settled("b", MessageState::Deferred) },
        Settlement { reason: "550".into(), ..settled("c", MessageState::Refused) },
        settled("it's \"new\"", MessageState::Accepted),
    ];
    ledger.settle(&run, &ends).unwrap();
    let now = states(&ledger);
    assert_eq!(now["a"], (MessageState::Accepted, Some("250".into())));
    assert_eq!(now["b"], (MessageState::Deferred, Some("451".into())));
    assert_eq!(now["c"], (MessageState::Refused, Some("550".into())));
    assert_eq!(now["it's \"new\""], now["a"]);
    // Of two ends of one message the later one counts.
    assert_eq!(ledger.record(&run, records(&["b"])).unwrap().len(), 1);
    ledger.settle(&run, &[settled("b", MessageState::Deferred), settled("b", MessageState::Accepted)]).unwrap();
    assert_eq!(states(&ledger)["b"], now["a"]);
    assert_eq!(ledger.outbox().unwrap().iter().map(|row| row.attempts).collect::<Vec<_>>(), [1, 2, 1, 1]);
    // One that nobody knows undoes the whole commit.
    let unknown = [settled("c", MessageState::Accepted), settled("nobody", MessageState::Accepted)];
    assert_eq!(ledger.settle(&run, &unknown).unwrap_err().fault().code, "ledger.failed");
    assert_eq!(states(&ledger)["c"], now["c"]);
    ledger.anchor().unwrap();
    is_sound(folder.path());
}

// ---- a commit that fails --------------------------------------------------------

#[test]
fn what_the_journal_was_told_of_a_commit_that_failed_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, run) = opened(folder.path());
    ledger.reserve_messages(&run, &["a", "b", "c"].map(record)).unwrap();
    ledger.record(&run, records(&["a", "b"])).unwrap();
    // The database refuses to write the row of c, after the journal was told that it leaves and that a was taken.
    let other = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    other
        .execute_batch(
            "create trigger full before update on outbox when new.key = 'c' begin select raise(abort, 'full'); end",
        )
        .unwrap();
    let turned = ledger.turn(&run, &[settled("a", MessageState::Accepted)], records(&["c"]));
    let fault = turned.map(|_| ()).unwrap_err().fault();
    assert_eq!(fault.code, "ledger.failed");
    // Nothing of the turn is in the ledger.
    assert_eq!(states(&ledger)["a"].0, MessageState::InFlight);
    assert_eq!(states(&ledger)["c"].0, MessageState::Reserved);
    other.execute_batch("drop trigger full").unwrap();
    drop((ledger, other));
    // The next run: what the wire said of a is known, of b nothing, and c has not left.
    let (mut ledger, run) = opened(folder.path());
    assert_eq!(ledger.recover(&run).unwrap(), Recovered { uncertain: 1, adopted: 2 });
    let now = states(&ledger);
    let states: Vec<MessageState> = ["a", "b", "c"].map(|key| now[key].0).into();
    assert_eq!(states, [MessageState::Accepted, MessageState::Uncertain, MessageState::Deferred]);
    assert_eq!(ledger.record(&run, records(&["a", "c"])).unwrap().len(), 1, "c leaves once");
    ledger.settle(&run, &["b", "c"].map(|key| settled(key, MessageState::Accepted))).unwrap();
    ledger.anchor().unwrap();
    is_sound(folder.path());
}

// ---- a restored backup ---------------------------------------------------------

fn copy(from: &Path, to: &Path) {
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.head"] {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    let _ = std::fs::remove_file(to.join("ledger.sqlite-shm"));
}

#[test]
fn a_ledger_restored_from_yesterdays_backup_sends_nothing_a_second_time() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut ledger, run) = opened(folder.path());
    ledger.record(&run, records(&["old"])).unwrap();
    ledger.settle(&run, &[settled("old", MessageState::Accepted)]).unwrap();
    ledger.reserve_messages(&run, [&record("reserved")]).unwrap();
    ledger.anchor().unwrap();
    drop(ledger);
    copy(folder.path(), backup.path());

    let (mut ledger, run) = opened(folder.path());
    ledger.record(&run, records(&["reserved", "sent", "no", "later", "lost", "open"])).unwrap();
    let ends = [
        ("reserved", MessageState::Accepted),
        ("sent", MessageState::Accepted),
        ("no", MessageState::Refused),
        ("later", MessageState::Deferred),
        ("lost", MessageState::Uncertain),
    ];
    ledger.settle(&run, &ends.map(|(key, state)| settled(key, state))).unwrap();
    ledger.anchor().unwrap();
    drop(ledger);
    copy(backup.path(), folder.path());

    let (mut ledger, run) = opened(folder.path());
    assert_eq!(ledger.recover(&run).unwrap(), Recovered { uncertain: 0, adopted: 6 });
    let now = states(&ledger);
    for (key, state) in ends {
        assert_eq!(now[key], (state, Some("known from the journal".into())), "{key}");
    }
    // Nobody knows what became of it: it is not sent as if nothing had been.
    assert_eq!(now["open"].0, MessageState::Uncertain);
    assert_eq!(now["old"].0, MessageState::Accepted);
    let again = ledger.record(&run, records(&["old", "reserved", "sent", "no", "later"])).unwrap();
    assert_eq!(again.len(), 1, "only what was deferred leaves again");
    ledger.settle(&run, &[settled("later", MessageState::Accepted)]).unwrap();
    // A second look adopts nothing.
    assert_eq!(ledger.recover(&run).unwrap(), Recovered::default());
    ledger.anchor().unwrap();
    is_sound(folder.path());
}

#[test]
fn a_journal_cut_off_anywhere_is_read_as_far_as_it_is_whole() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut ledger, run) = opened(folder.path());
    ledger.anchor().unwrap();
    drop(ledger);
    copy(folder.path(), backup.path());
    (ledger, _) = opened(folder.path());
    for key in ["a", "b"] {
        ledger.record(&run, records(&[key])).unwrap();
        ledger.settle(&run, &[settled(key, MessageState::Accepted)]).unwrap();
    }
    drop(ledger);
    let whole = std::fs::read(folder.path().join("sent.journal")).unwrap();
    let mut known = BTreeSet::new();
    for length in (0..=whole.len()).rev() {
        copy(backup.path(), folder.path());
        std::fs::write(folder.path().join("sent.journal"), &whole[..length]).unwrap();
        let (mut ledger, run) = opened(folder.path());
        ledger.recover(&run).unwrap();
        let sent: Vec<String> =
            states(&ledger).into_iter().filter(|(_, (s, _))| *s == MessageState::Accepted).map(|(k, _)| k).collect();
        known.insert(sent.clone());
        // What is appended behind a torn end is read again.
        if length % 97 == 0 {
            ledger.record(&run, records(&["c"])).unwrap();
            ledger.settle(&run, &[settled("c", MessageState::Accepted)]).unwrap();
            drop(ledger);
            copy(backup.path(), folder.path());
            let (mut ledger, run) = opened(folder.path());
            ledger.recover(&run).unwrap();
            assert_eq!(states(&ledger)["c"].0, MessageState::Accepted, "cut at {length}");
        }
    }
    let known: Vec<Vec<String>> = known.into_iter().collect();
    assert_eq!(known, [vec![], vec!["a".to_owned()], vec!["a".into(), "b".into()]]);
}

// ---- two senders ---------------------------------------------------------------

#[test]
fn a_sender_that_was_overtaken_can_write_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, run) = opened(folder.path());
    first.record(&run, records(&["a", "b"])).unwrap();
    let (mut second, other) = opened(folder.path());
    second.recover(&other).unwrap();
    for refused in [
        first.settle(&run, &[settled("a", MessageState::Accepted)]).unwrap_err(),
        first.record(&run, records(&["c"])).unwrap_err(),
        first.reserve_messages(&run, [&record("d")]).unwrap_err(),
    ] {
        assert_eq!(refused.code(), "ledger.fenced");
    }
    assert_eq!(states(&second)["a"].0, MessageState::Uncertain);
    drop((first, second));
    // A process on another machine: nobody here can see whether it lives.
    let lease = |until: &str| {
        let connection = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
        connection.execute("update lease set holder = 'elsewhere 1', expires_at = ?1", [until]).unwrap();
    };
    lease("9000-01-01T00:00:00Z");
    let (mut third, run) = opened(folder.path());
    assert_eq!(third.record(&run, records(&["e"])).unwrap_err().code(), "ledger.leased");
    lease("2026-01-01T00:00:00Z");
    assert_eq!(third.record(&run, records(&["e"])).unwrap().len(), 1);
    third.anchor().unwrap();
    is_sound(folder.path());
}

// ---- an earlier layout ---------------------------------------------------------

/// The outbox of layout 1.
const OUTBOX_1: &str = "
    create table outbox (
        key text primary key, subject text not null, obligation text not null, item text not null,
        stage integer not null, channel text not null, message_id text not null, state text not null,
        attempts integer not null, run text not null, entry integer not null references entry (seq)
    ) strict, without rowid;
    create index outbox_by_state on outbox (state) where state in ('in_flight', 'uncertain', 'deferred');";

/// Both had no place for the commune of an obligation.
const OBLIGATION_2: &str = "alter table obligation drop column unit";

/// A ledger as the first version wrote it: two entries for each message.
fn of_layout_1(state: &Path) {
    let connection = rusqlite::Connection::open(state.join("ledger.sqlite")).unwrap();
    connection.execute_batch(include_str!("../../src/ledger/schema.sql")).unwrap();
    connection.execute_batch(OUTBOX_1).unwrap();
    connection.execute_batch(OBLIGATION_2).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    connection.execute_batch("insert into meta values ('agency', 'an-binh'), ('schema_version', '1')").unwrap();
    let run = RUN_BEFORE;
    let line = |key: &str| {
        json!({ "attempt": 1, "channel": "smtp", "due_on": "2026-12-21", "item": "driving_licence",
                "message_id": format!("{key}@x"), "obligation": "o", "rendered_hash": "h", "rule_version": "r",
                "stage": 30, "subject": "s", "template_version": "t" })
    };
    let bodies = [
        ("run.started", run, json!({ "agency": "an-binh", "as_of": "2026-11-20", "version": "0.1.0" })),
        ("message.recorded", "sent", line("sent")),
        ("message.recorded", "open", line("open")),
        ("message.settled", "sent", json!({ "state": "accepted", "reason": "250" })),
    ];
    let sql = "insert into outbox values (?1, 's', 'o', 'driving_licence', 30, 'smtp', ?1 || '@x', ?2, 1, ?3, ?4)";
    connection.execute(sql, rusqlite::params!["sent", "accepted", run, 4]).unwrap();
    connection.execute(sql, rusqlite::params!["open", "in_flight", run, 3]).unwrap();
    written_before(state, &connection, &bodies);
}

/// A ledger as the second version wrote it: of an obligation nobody knew in which commune its person lived.
fn of_layout_2(state: &Path) {
    let connection = rusqlite::Connection::open(state.join("ledger.sqlite")).unwrap();
    connection.execute_batch(include_str!("../../src/ledger/schema.sql")).unwrap();
    connection.execute_batch(include_str!("../../src/ledger/outbox.sql")).unwrap();
    connection.execute_batch(OBLIGATION_2).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    connection.execute_batch("insert into meta values ('agency', 'an-binh'), ('schema_version', '2')").unwrap();
    let change = json!(["arisen", "o", "s", "2026-12-21", "r", "open", "2026-11-20", null, null, null]);
    let begun = json!({ "agency": "an-binh", "as_of": "2026-11-20", "layout": 2, "version": "0.1.0" });
    let followed = json!({ "as_of": "2026-11-20", "changes": [change] });
    let bodies = [("run.started", RUN_BEFORE, begun), ("obligations.followed", "driving_licence", followed)];
    let sql = "insert into obligation values
                   ('driving_licence', 'o', 's', '2026-12-21', 'r', 'open', '2026-11-20', null, ?1, 2)";
    connection.execute(sql, [RUN_BEFORE]).unwrap();
    connection.execute("insert into followed values ('driving_licence', '2026-11-20', ?1, 2)", [RUN_BEFORE]).unwrap();
    written_before(state, &connection, &bodies);
}

/// The run of an earlier version.
const RUN_BEFORE: &str = "2026-11-20.1";

/// Writes the entries of an earlier version, the run that wrote them, and the head.
fn written_before(state: &Path, connection: &rusqlite::Connection, bodies: &[(&str, &str, serde_json::Value)]) {
    let run = RUN_BEFORE;
    let mut prev = vec![0; 32];
    for (seq, (kind, key, body)) in (1_i64..).zip(bodies) {
        let mut entry = Entry {
            seq,
            at: "2026-11-20T20:00:00Z".into(),
            run: run.into(),
            kind: (*kind).into(),
            key: (*key).into(),
            body: body.to_string(),
            prev: prev.clone(),
            hash: vec![],
        };
        entry.hash = entry.expected_hash().to_vec();
        let cells = rusqlite::params![
            entry.seq, entry.at, entry.run, entry.kind, entry.key, entry.body, entry.prev, entry.hash
        ];
        connection.execute("insert into entry values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", cells).unwrap();
        prev.clone_from(&entry.hash);
    }
    let started = "insert into run values (?1, '2026-11-20', '2026-11-20T20:00:00Z', null, null, null, 1)";
    connection.execute(started, [run]).unwrap();
    let head = format!("{} {}\n", bodies.len(), chudong::personal::hex(&prev));
    std::fs::write(state.join("ledger.head"), head).unwrap();
}

#[test]
fn a_ledger_of_the_first_layout_verifies_and_is_brought_to_this_one() {
    let folder = tempfile::tempdir().unwrap();
    of_layout_1(folder.path());
    is_sound(folder.path());
    let before = Ledger::read(folder.path()).unwrap().outbox().unwrap();
    assert_eq!(before.len(), 2);
    let (mut ledger, run) = opened(folder.path());
    assert_eq!(ledger.recover(&run).unwrap(), Recovered { uncertain: 1, adopted: 0 });
    let now = states(&ledger);
    assert_eq!(now["sent"], (MessageState::Accepted, Some("250".into())));
    assert_eq!(now["open"].0, MessageState::Uncertain);
    assert!(ledger.record(&run, records(&["sent"])).unwrap().is_empty());
    assert_eq!(ledger.list(Some("ledger.migrated"), 9).unwrap().len(), 1);
    ledger.anchor().unwrap();
    is_sound(folder.path());
    // It is done once.
    drop(ledger);
    assert_eq!(opened(folder.path()).0.list(Some("ledger.migrated"), 9).unwrap().len(), 1);
    is_sound(folder.path());
    // A version that nobody knows is left alone.
    let connection = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    connection.execute("update meta set value = '9' where name = 'schema_version'", []).unwrap();
    drop(connection);
    assert_eq!(Ledger::open(folder.path(), "an-binh").unwrap_err().code(), "ledger.version");
}

#[test]
fn a_ledger_of_the_second_layout_gets_a_place_for_communes() {
    let folder = tempfile::tempdir().unwrap();
    of_layout_2(folder.path());
    is_sound(folder.path());
    let standing = |ledger: &Ledger| {
        let mut found = Vec::new();
        ledger.standings("driving_licence", |standing| found.push(standing)).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    };
    let before = standing(&Ledger::read(folder.path()).unwrap());
    assert_eq!((before.key.as_str(), before.unit.as_deref()), ("o", None));
    let (mut ledger, run) = opened(folder.path());
    assert_eq!(standing(&ledger), before);
    is_sound(folder.path());
    // With the next thing that happens to it its commune is written down.
    let after = Standing { state: State::Lapsed, unit: Some("97001".into()), ..before };
    let change = Change { event: Event::Lapsed, standing: after.clone(), from: None };
    let followed = Followed { item: "driving_licence".into(), changes: vec![change] };
    ledger.follow(&run, date(2026, 12, 22), &[followed]).unwrap();
    ledger.anchor().unwrap();
    assert_eq!(standing(&ledger), after);
    assert_eq!(ledger.list(Some("ledger.migrated"), 9).unwrap().len(), 1);
    is_sound(folder.path());
    // The commune cannot be changed behind the ledger's back.
    drop(ledger);
    let connection = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    connection.execute("update obligation set unit = '97002'", []).unwrap();
    drop(connection);
    let faults = verify(folder.path()).unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
}

// ---- kill -9 -------------------------------------------------------------------

const STATE: &str = "CHUDONG_TEST_SENDER_STATE";

/// Runs in a process of its own, which the test below kills: sends what was not sent yet, until all is.
#[test]
fn other_sender() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let state = Path::new(&state);
    let number = |name: &str| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let (port, messages) = (number("CHUDONG_TEST_PORT"), number("CHUDONG_TEST_MESSAGES"));
    let channel = channel(u16::try_from(port).unwrap());
    let _lock = Lock::take(state).unwrap();
    let (mut ledger, run) = opened(state);
    ledger.recover(&run).unwrap();
    let over = |state| matches!(state, MessageState::Accepted | MessageState::Refused);
    let known = states(&ledger);
    let keys = (0..messages).map(|number| format!("m{number:05}"));
    let keys: Vec<String> = keys.filter(|key| !known.get(key).is_some_and(|(state, _)| over(*state))).collect();
    let night: Vec<Record> = keys.iter().map(|key| record(key)).collect();
    ledger.reserve_messages(&run, &night).unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let mut sender = Sender::open(&channel, state, Timeouts::default()).await.unwrap();
        let mut keys = keys.into_iter();
        let mut convoy = Convoy::default();
        let write = |key: &String| Ok::<_, ()>((record(key), envelope(key)));
        loop {
            let batch: Vec<String> = keys.by_ref().take(convoy::group(&channel)).collect();
            if batch.is_empty() && convoy.is_empty() {
                break;
            }
            let turn = convoy.turn(&mut ledger, &mut sender, &run, batch, &write).await.unwrap();
            turn.ended.into_iter().for_each(|(_, key, outcome)| convoy.settle(settlement(&key, outcome)));
        }
        sender.close().await;
    });
    ledger.finish_run(&run, RunOutcome::Done, &json!({})).unwrap();
    ledger.anchor().unwrap();
}

/// A child that is killed when the test ends, however it ends.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sender(state: &Path, port: u16, messages: usize) -> Other {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "outbox::other_sender", "--nocapture"])
        .env(STATE, state)
        .env("CHUDONG_TEST_PORT", port.to_string())
        .env("CHUDONG_TEST_MESSAGES", messages.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Other(child.unwrap())
}

/// Kills a run at random points, each after another number of messages that the server took, and lets the last one end.
///
/// `CHUDONG_TEST_KILLS=200 CHUDONG_TEST_MESSAGES=20000` is the proof; the suite takes a few points.
#[test]
fn a_sender_killed_at_random_points_loses_nothing_and_repeats_only_what_is_uncertain() {
    let number = |name: &str, few: usize| std::env::var(name).map_or(few, |text| text.parse().unwrap());
    let (kills, messages) = (number("CHUDONG_TEST_KILLS", 4), number("CHUDONG_TEST_MESSAGES", 1500));
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let mut bytes = vec![0; kills * 8];
    getrandom::fill(&mut bytes).unwrap();
    let mut points: Vec<usize> =
        bytes.chunks(8).map(|part| u64::from_le_bytes(part.try_into().unwrap()) as usize % messages).collect();
    points.sort_unstable();
    let mut killed = 0;
    for point in points {
        let mut other = sender(folder.path(), server.port, messages);
        loop {
            if server.taken.lock().unwrap().len() > point {
                // SIGKILL: nothing of it is told to the process.
                other.0.kill().unwrap();
                killed += usize::from(other.0.wait().unwrap().code().is_none());
                break;
            }
            if other.0.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }
    assert!(sender(folder.path(), server.port, messages).0.wait().unwrap().success());
    is_sound(folder.path());

    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (to, _) in server.taken.lock().unwrap().iter() {
        *times.entry(to.split('@').next().unwrap().to_owned()).or_default() += 1;
    }
    let ledger = Ledger::read(folder.path()).unwrap();
    let mut uncertain: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in ledger.list(Some("messages."), usize::MAX).unwrap() {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        let lines = body["messages"].as_array().unwrap().iter().filter(|line| line["state"] == "uncertain");
        let keys = lines.map(|line| line["key"].as_str().unwrap().to_owned());
        uncertain.entry(entry.run).or_default().extend(keys);
    }
    let window = GROUPS_IN_FLIGHT * convoy::group(&channel(1));
    let most = uncertain.values().map(BTreeSet::len).max().unwrap_or(0);
    let ever: BTreeSet<&String> = uncertain.values().flatten().collect();
    let repeated: Vec<&String> = times.iter().filter(|(_, times)| **times > 1).map(|(key, _)| key).collect();
    let lost = (0..messages).filter(|number| !times.contains_key(&format!("m{number:05}"))).count();
    let unmarked = repeated.iter().filter(|key| !ever.contains(*key)).count();
    println!(
        "| messages | killed | lost | repeated | uncertain | repeated, not marked | most uncertain in one crash | window |"
    );
    println!(
        "| {messages} | {killed} | {lost} | {} | {} | {unmarked} | {most} | {window} |",
        repeated.len(),
        uncertain.values().map(BTreeSet::len).sum::<usize>()
    );
    assert_eq!((lost, unmarked), (0, 0));
    assert!(most <= window, "{most} messages were uncertain after one crash");
    assert!(killed > kills / 2, "most runs were over before they were killed");
    let rows = ledger.outbox().unwrap();
    assert_eq!(rows.len(), messages);
    assert!(rows.iter().all(|row| row.state == MessageState::Accepted));
}

// ---- an outage -----------------------------------------------------------------

#[test]
fn after_an_outage_of_six_hours_all_is_sent_once_and_nothing_after_its_last_instant() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    let is_out = Arc::new(AtomicBool::new(true));
    let out = Arc::clone(&is_out);
    server.set_moods(move |_| match out.load(Ordering::Acquire) {
        true => Mood::AtRecipient("450 4.3.0 not now"),
        false => Mood::Takes,
    });
    let channel = channel(server.port);
    let (mut ledger, run) = opened(folder.path());
    let begin: Timestamp = "2026-11-21T01:00:00Z".parse().unwrap();
    let hours = |hours: i64| begin + SignedDuration::from_hours(hours);
    // Every tenth is of no use after three hours.
    let last = |number: usize| if number.is_multiple_of(10) { hours(3) } else { hours(12) };
    let (mut clock, mut tries, mut waited) = (begin, 0, Vec::new());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sender = Sender::open(&channel, folder.path(), Timeouts::default()).await.unwrap();
        let mut retries = Retries::until(Some(hours(13)));
        let mut convoy = Convoy::default();
        let mut waiting: Vec<usize> = (0..60).collect();
        let write = |number: &usize| {
            let key = format!("m{number}");
            Ok::<_, ()>((record(&key), envelope(&key)))
        };
        loop {
            is_out.store(clock < hours(6), Ordering::Release);
            waiting.extend(retries.due(clock));
            if waiting.is_empty() && convoy.is_empty() {
                match retries.first() {
                    Some(at) => clock = at,
                    None => break,
                }
                continue;
            }
            let batch: Vec<usize> = std::mem::take(&mut waiting);
            let turn = convoy.turn(&mut ledger, &mut sender, &run, batch, &write).await.unwrap();
            for (number, key, outcome) in turn.ended {
                tries += 1;
                assert!(clock < last(number), "{key} is tried after its last instant");
                let mut settlement = settlement(&key, outcome);
                settlement.retry_at = retries.next(&key, outcome, clock, last(number));
                if let Some(at) = settlement.retry_at {
                    waited.push(at.duration_since(clock));
                    retries.wait(at, number);
                }
                convoy.settle(settlement);
            }
        }
        sender.close().await;
    });
    let sent = server.recipients();
    let expected: BTreeSet<String> =
        (0..60).filter(|number| number % 10 != 0).map(|number| format!("m{number}@example.com")).collect();
    assert_eq!(sent.len(), expected.len(), "none twice");
    assert_eq!(sent.into_iter().collect::<BTreeSet<_>>(), expected);
    // Not a fixed number of tries, and no two messages at one instant for ever.
    assert!(tries > 60 * 8, "{tries} tries");
    assert!(waited.iter().collect::<BTreeSet<_>>().len() > 100);
    assert!(waited.iter().all(|pause| *pause <= SignedDuration::from_mins(45)));
    for (key, (state, _)) in states(&ledger) {
        let number: usize = key[1..].parse().unwrap();
        let expected = if number.is_multiple_of(10) { MessageState::Deferred } else { MessageState::Accepted };
        assert_eq!(state, expected, "{key}");
    }
    ledger.anchor().unwrap();
    is_sound(folder.path());
}

#[test]
fn only_what_was_put_off_is_tried_again_and_not_beyond_the_end() {
    let now: Timestamp = "2026-11-21T01:00:00Z".parse().unwrap();
    let end = now + SignedDuration::from_hours(1);
    let grey = Outcome::Deferred { code: Code::Reply { reply: 451, enhanced: Some([4, 7, 1]) } };
    let mut retries: Retries<()> = Retries::until(Some(end));
    let at = retries.next("a", grey, now, Timestamp::MAX).unwrap();
    assert!((150..=450).contains(&at.duration_since(now).as_secs()), "{at}");
    for outcome in
        [Outcome::Accepted, Outcome::Refused { code: Code::NoMechanism }, Outcome::Uncertain { code: Code::TimedOut }]
    {
        assert_eq!(retries.next("b", outcome, now, Timestamp::MAX), None);
    }
    assert_eq!(retries.next("c", grey, now, now + SignedDuration::from_mins(2)), None);
    assert_eq!(retries.next("d", grey, end, Timestamp::MAX), None);
    assert_eq!(Retries::<()>::until(None).next("e", grey, now, Timestamp::MAX), None);
}

#[test]
fn only_patience_is_a_reason_to_try_again_in_the_same_run() {
    let now: Timestamp = "2026-11-21T01:00:00Z".parse().unwrap();
    let mut retries: Retries<()> = Retries::until(Some(now + SignedDuration::from_hours(24)));
    let mut pause = |code: Code| {
        let at = retries.next(&format!("{code}"), Outcome::Deferred { code }, now, Timestamp::MAX);
        at.map(|at| at.duration_since(now).as_secs())
    };
    // Whose class is another's matter is left to another day, or to a person.
    for code in [Code::Zns(-115), Code::Zns(-124), Code::Http { status: 402, said: None }, Code::NoToken] {
        assert_ne!(code.class(), Class::RetryLater);
        assert_eq!(pause(code), None, "{code}");
    }
    for code in [Code::NotConnected, Code::Stopped, Code::TimedOut, Code::Zns(-100)] {
        assert!((30..=90).contains(&pause(code).unwrap()), "{code}");
    }
    // A closed hour is not over in a minute.
    assert!(pause(Code::Closed).unwrap() >= 900);
    assert!(pause(Code::Http { status: 429, said: None }).unwrap() >= 150);
    // Who says how long gets that, and a little more; who asks for longer than the run lasts is left to the next.
    for wait_seconds in [0_u32, 7, 120, 20_000] {
        let asked = i64::from(wait_seconds);
        let paused = pause(Code::Busy { status: 429, wait_seconds }).unwrap();
        assert!((asked..=asked + 1 + asked / 4).contains(&paused), "{paused} s for {asked} s");
    }
    assert_eq!(pause(Code::Busy { status: 429, wait_seconds: 86_400 }), None);
}

#[test]
fn what_was_certain_when_a_run_gave_up_is_certain_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("220 test.example", &["PIPELINING"], usize::MAX);
    // The server has the first message in its hands until it may answer.
    let (is_asked, may_answer) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (asked, answers) = (Arc::clone(&is_asked), Arc::clone(&may_answer));
    server.set_moods(move |_| {
        asked.store(true, Ordering::Release);
        while !answers.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Mood::Takes
    });
    let mut channel = channel(server.port);
    let ChannelKind::Smtp(smtp) = &mut channel.kind else { unreachable!("a mail server") };
    smtp.connections = 1;
    let (mut ledger, run) = opened(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sender = Sender::open(&channel, folder.path(), Timeouts::default()).await.unwrap();
        let mut convoy = Convoy::default();
        let write = |key: &String| Ok::<_, ()>((record(key), envelope(key)));
        // The first is given to the wire in the second turn, and the second in the third; the third is written then.
        for batch in ["sent", "recorded", "written"] {
            let turn = convoy.turn(&mut ledger, &mut sender, &run, vec![batch.to_owned()], &write).await.unwrap();
            assert!(turn.ended.is_empty(), "no turn waits for the wire while it has room");
        }
        while !is_asked.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sender.permit().withdraw();
        may_answer.store(true, Ordering::Release);
        convoy.leave(&mut ledger, &mut sender, &run).await.unwrap();
        sender.close().await;
    });
    assert_eq!(server.recipients(), ["sent@example.com"]);
    let now = states(&ledger);
    assert_eq!(now["sent"].0, MessageState::Accepted);
    assert_eq!(now["recorded"], (MessageState::Deferred, Some("channel had stopped".into())));
    assert!(!now.contains_key("written"));
    let run = ledger.begin_run(AsOf::new(date(2026, 11, 21))).unwrap();
    assert_eq!(ledger.recover(&run).unwrap(), Recovered::default(), "nothing is uncertain");
    ledger.anchor().unwrap();
    is_sound(folder.path());
}
