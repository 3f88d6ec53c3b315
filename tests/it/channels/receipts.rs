//! What services of short messages say later: through the serving process, signed, and from a file.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use chudong::calendar::now;
use chudong::delivery::signature;
use chudong::ledger::{ALL, Ledger, MessageKey, MessageState, Record, Settlement};
use chudong::personal::sha256;
use chudong::simulate;

use super::night::{NUMBERS, night, runtime, simulator, taken, town};
use super::secret;
use crate::support::world::World;

const PIPELINE: &str = "pipelines/binh-minh/pipeline.toml";
const OA_SECRET: &str = "secret-of-the-official-account";

/// The serving process.
struct Serving {
    child: Child,
    port: u16,
}

impl Serving {
    fn start(world: &World) -> Serving {
        let mut child = world.command(&["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
        Serving { child, port }
    }

    /// The status with which a receipt is answered.
    fn post(&self, channel: &str, headers: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /receipts/{channel} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// As Zalo signs its events.
    fn zalo(&self, secret: &str, body: &str, timestamp: &str) -> u16 {
        let mac = sha256(format!("{}{body}{timestamp}{secret}", simulate::APP_ID).as_bytes());
        self.post("zns", &format!("X-ZEvent-Signature: mac={mac}\r\n"), body)
    }

    /// As Standard Webhooks sign.
    fn standard(&self, channel: &str, secret: &str, body: &str) -> u16 {
        let at = now().as_second().to_string();
        let signature = signature::sign(secret, "r1", &at, body.as_bytes());
        let headers = format!("webhook-id: r1\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {signature}\r\n");
        self.post(channel, &headers, body)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event(message: &str) -> String {
    format!(
        r#"{{"event_name":"user_received_message","app_id":"1","timestamp":"1795000000000","message":{{{message}}}}}"#
    )
}

/// The keys of messages about which something came back.
fn returned(world: &World) -> BTreeSet<String> {
    world.entries("message.returned").into_iter().map(|entry| entry.key).collect()
}

#[test]
fn a_receipt_is_taken_where_it_is_signed_and_known_by_either_number() {
    let runtime = runtime();
    let simulator = simulator(&runtime, 10_000);
    let world = town(&simulator, NUMBERS);
    secret(&world.root(), "oa", OA_SECRET);
    let file = |name: &str| format!("{{ file = \"{}\" }}", world.root().join(name).display());
    let serve = format!(
        "[serve]\nbase_url = \"https://nhac.example\"\nlisten = \"127.0.0.1:0\"\nreceipts = {{ zns = {}, sms = {} }}\n",
        file("oa"),
        file("secret")
    );
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    world.put(PIPELINE, format!("{text}\n{serve}").as_bytes());
    night(&world, 0);
    let rows: Vec<_> = world.outbox().into_iter().filter(|row| row.message_id.len() == 32).collect();
    assert_eq!(rows.len(), taken(&simulator, "zns").len());
    // What the peer called each message is known from then on.
    assert!(rows.iter().all(|row| row.reason.as_deref() == Some(&format!("accepted as zns-{}", row.message_id))));

    let serving = Serving::start(&world);
    let by_theirs = event(&format!(r#""msg_id":"zns-{}""#, rows[0].message_id));
    let by_ours = event(&format!(r#""msg_id":"unknown","tracking_id":"{}""#, rows[1].message_id));
    assert_eq!(serving.zalo("another secret", &by_theirs, "1795000000000"), 401);
    assert_eq!(
        serving.zalo(OA_SECRET, &by_theirs, "1795000000001"),
        401,
        "the time that is signed is that of the event"
    );
    assert_eq!(serving.post("zns", "", &by_theirs), 401);
    assert_eq!(serving.post("folder", "", &by_theirs), 404);
    for _ in 0..2 {
        assert_eq!(serving.zalo(OA_SECRET, &by_theirs, "1795000000000"), 200);
        assert_eq!(serving.zalo(OA_SECRET, &by_ours, "1795000000000"), 200);
    }
    let of_nobody = r#"{"receipts":[{"id":"0123","status":"delivered"}]}"#;
    assert_eq!(serving.standard("sms", "another secret", of_nobody), 401);
    assert_eq!(serving.standard("sms", simulate::SECRET, of_nobody), 200);
    assert_eq!(serving.standard("sms", simulate::SECRET, "no receipt"), 200);
    // The service of one channel has nothing to say about what went by another.
    let of_another =
        format!(r#"{{"receipts":[{{"id":"{}","status":"failed","error":"opted_out"}}]}}"#, rows[2].message_id);
    assert_eq!(serving.standard("sms", simulate::SECRET, &of_another), 200);
    drop(serving);
    assert_eq!(returned(&world), BTreeSet::new(), "a run reads them");
    let out = world.chudong(&["bounces"]).with(0).out;
    assert!(out.contains("What came back: 2 delivered"), "{out}");
    assert!(out.contains("2 about no message of ours, 1 not understood"), "{out}");
    assert_eq!(returned(&world), [&rows[0], &rows[1]].map(|row| row.key.0.clone()).into());
    assert!(world.ledger().refused().unwrap().is_empty() && world.ledger().suppressions().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(world.state().join("receipts")).unwrap().count(), 0);
    assert_eq!(world.chudong(&["bounces"]).with(0).out, "Nothing came back.\n");
    world.ledger_is_sound();
}

/// A message that left by text message, and nobody knows more.
fn left_by_sms(world: &World, keys: &[&str], state: MessageState) {
    let mut ledger = Ledger::open(&world.state(), "binh-minh").unwrap();
    let record = |key: &&str| Record {
        key: MessageKey((*key).to_owned()),
        subject: format!("subject-of-{key}"),
        obligation: format!("obligation-of-{key}"),
        item: "driving_licence".into(),
        stage_notice_days: 30,
        channel: "sms".into(),
        message_id: format!("id-{key}"),
        due_on: jiff::civil::date(2026, 12, 21),
        rule_version: "driving_licence_term@2025-01-01".into(),
        address: Some(format!("address-of-{key}")),
        ..Record::default()
    };
    let run = "2026-11-21.1";
    ledger.record(run, keys.iter().map(|key| (record(key), ())).collect()).unwrap();
    let end = |key: &&str| Settlement {
        key: MessageKey((*key).to_owned()),
        state,
        reason: "http 503".into(),
        retry_at: None,
    };
    ledger.settle(run, &keys.iter().map(end).collect::<Vec<_>>()).unwrap();
    ledger.anchor().unwrap();
}

#[test]
fn a_file_of_receipts_says_who_was_reached_and_whose_number_is_wrong() {
    let world = World::of("binh-minh");
    // The key of this state folder is as old as its ledger.
    let own = chudong::world::World::new(world.root(), world.state());
    own.make_state().unwrap();
    own.pseudonym_key().unwrap();
    left_by_sms(&world, &["arrived", "wrong", "unwanted", "off"], MessageState::Uncertain);
    let file = world.root().join("receipts.json");
    let said = r#"{"receipts":[{"id":"id-arrived","status":"delivered"},
        {"id":"id-wrong","status":"failed","error":"recipient"},
        {"id":"id-unwanted","status":"failed","error":"opted_out"},
        {"id":"id-off","status":"expired"}, {"id":"id-off"}]}"#;
    std::fs::write(&file, said).unwrap();
    let path = file.display().to_string();
    let out = world.chudong(&["bounces", "--receipts", &path]).with(0).out;
    assert!(out.contains("1 address wrong, 1 complaint, 1 delivered, 1 gave up"), "{out}");
    let states: Vec<(String, MessageState)> = world.outbox().into_iter().map(|row| (row.key.0, row.state)).collect();
    let expected = [
        ("arrived", MessageState::Accepted),
        ("off", MessageState::Uncertain),
        ("unwanted", MessageState::Accepted),
        ("wrong", MessageState::Refused),
    ];
    let expected: Vec<(String, MessageState)> = expected.map(|(key, state)| (key.to_owned(), state)).into();
    // Of a phone that was off the text message is tried again, as a letter to a full mailbox is.
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(key, state)| if key == "off" { (key, MessageState::Deferred) } else { (key, state) })
        .collect();
    assert_eq!(states, expected);
    let ledger = world.ledger();
    let closed: Vec<(String, String)> =
        ledger.suppressions().unwrap().into_iter().map(|one| (one.address, one.reason)).collect();
    let pair = |address: &str, reason: &str| (address.to_owned(), reason.to_owned());
    assert_eq!(closed, [pair("address-of-unwanted", "complaint"), pair("address-of-wrong", "address_wrong")]);
    let refused = ledger.refused().unwrap();
    assert!(refused.contains(&("subject-of-unwanted".into(), ALL.into(), "sms".into())), "{refused:?}");
    drop(ledger);
    // The same file again says nothing new.
    let out = world.chudong(&["bounces", "--receipts", &path]).with(0).out;
    assert!(out.contains("4 taken before"), "{out}");
    world.chudong(&["bounces", "--receipts", "/nowhere.json"]).with(1);
    world.ledger_is_sound();
}

#[test]
fn a_number_that_nobody_has_is_told_to_the_owner_of_the_register() {
    let runtime = runtime();
    let simulator = simulator(&runtime, 10_000);
    // Every second person has a number that nobody has.
    let numbers =
        format!("case cast(substr(so_dinh_danh, 12, 1) as integer) % 2 when 0 then '0900000002' else {NUMBERS} end");
    let world = town(&simulator, &numbers);
    night(&world, 0);
    world.chudong(&["run", "--as-of", "2026-11-22"]).with(0);
    let folder = world.state().join("wrong-addresses");
    let lists: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let of_phones = lists.iter().find(|path| path.display().to_string().ends_with("-phone-2026-11-22.csv"));
    let text = std::fs::read_to_string(of_phones.unwrap_or_else(|| panic!("{lists:?}"))).unwrap();
    assert!(text.starts_with("subject_id,phone,since,code\r\n"), "{text}");
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.contains(",0900000002,2026-11-21,")), "{text}");
}

#[test]
fn receipts_of_a_channel_that_is_not_there_are_a_fault() {
    let world = World::of("binh-minh");
    let text = std::fs::read_to_string(world.root().join(PIPELINE)).unwrap();
    let serve =
        "[serve]\nbase_url = \"https://nhac.example\"\nreceipts = { fax = { env = \"FAX\" }, folder = \"abc\" }\n";
    world.put(PIPELINE, format!("{text}\n{serve}").as_bytes());
    let said = world.chudong(&["check"]).with(1).err;
    assert!(said.contains("there is no channel \"fax\" of short messages"), "{said}");
    assert!(said.contains("there is no channel \"folder\" of short messages"), "{said}");
    assert!(said.contains("the secret folder stands in the file"), "{said}");
}
