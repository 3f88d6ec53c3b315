//! How messages leave: the bytes of a message, the folder, and a conversation with a mail server.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use chudong::calendar::AsOf;
use chudong::delivery::{self, Address, Envelope, Error, Head, Outcome, Sender, Timeouts};
use chudong::fault::Explain;
use chudong::language::{Language, Text};
use chudong::ledger::{Ledger, MessageKey, Record, Recorded};
use chudong::personal::Personal;
use chudong::pipeline::secret::SecretRef;
use chudong::pipeline::{Channel, ChannelKind, Smtp, Tls};
use jiff::civil::date;
use proptest::prelude::*;

use crate::messages::{SAMPLE, wish};
use crate::support::smtp::{Protection, Server};

// ---- the message itself -----------------------------------------------------

fn envelope(key: &str, to: &str, language: Language, name: &str) -> Envelope {
    let letter = crate::messages::Wish { name, ..wish("driving_licence", language) }.render().unwrap();
    let pipeline = &SAMPLE.pipeline;
    let to = Personal::new(to.parse::<Address>().unwrap());
    let as_of = AsOf::new(date(2026, 11, 21));
    let head = Head { key, channel: pipeline.channels.first().unwrap(), agency: &pipeline.agency, as_of, to: &to };
    delivery::build(&letter, &head).unwrap()
}

fn message(key: &str, to: &str) -> Envelope {
    envelope(key, to, Language::Vi, "Nguyễn Thị Hồng Vân")
}

/// Nothing leaves without an entry: the intent of each message in a ledger of its own.
fn recorded(envelopes: &[&Envelope]) -> Vec<Recorded<Envelope>> {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), "an-binh").unwrap();
    let record = |envelope: &Envelope| Record {
        key: MessageKey(envelope.key.clone()),
        subject: "00".into(),
        obligation: "01".into(),
        item: "driving_licence".into(),
        stage_notice_days: 60,
        channel: "folder".into(),
        message_id: envelope.message_id.clone(),
        due_on: date(2027, 1, 20),
        rule_version: "driving_licence_term@2025-01-01".into(),
        template_version: "0".into(),
        rendered_hash: "0".into(),
        explanation: None,
        ..Record::default()
    };
    let messages = envelopes.iter().map(|envelope| (record(envelope), (*envelope).clone())).collect();
    ledger.record("2026-11-21.1", messages).unwrap()
}

/// The headers of a message as lines, folded ones as they are.
fn headers(envelope: &Envelope) -> String {
    envelope.text.split("\r\n\r\n").next().unwrap().replace("\r\n", "\n")
}

#[test]
fn headers_of_a_message() {
    let vi = headers(&message("p1/driving_licence/2026/1/folder", "van@example.com"));
    let en = envelope("p1/driving_licence/2026/1/folder", "van@example.com", Language::En, "Nguyễn Thị Hồng Vân");
    insta::assert_snapshot!("eml_headers", format!("{vi}\n\n{}", headers(&en)));
    assert!(!en.message_id.contains("driving") && !format!("{en:?}").contains("van@"));
}

#[test]
fn a_message_is_in_lines_that_servers_take_and_the_same_every_time() {
    let message_of = |times| envelope("k", "van@example.com", Language::Vi, &"Nguyễn".repeat(times));
    // A name that no line has room for is encoded, with all around it; every other message stays as it is.
    let (first, usual) = (message_of(300), message_of(1));
    assert_eq!(first.text, message_of(300).text);
    assert!(first.text.is_ascii() && !usual.text.is_ascii());
    assert!(usual.text.contains("Nguyễn") && usual.text.matches("Content-Transfer-Encoding: 8bit").count() == 2);
    let text = &first.text;
    for text in [text, &usual.text, &usual.in_seven_bits()] {
        assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
    }
    assert_ne!(first.message_id, message("other", "van@example.com").message_id);
    // Plain first, HTML last: a mail program shows the last part that it can.
    let (plain, html) = (text.find("text/plain").unwrap(), text.find("text/html").unwrap());
    assert!(plain < html);
}

#[test]
fn a_long_address_for_refusing_stays_whole() {
    let letter = wish("driving_licence", Language::Vi).render().unwrap();
    let pipeline = &SAMPLE.pipeline;
    let mut agency = pipeline.agency.clone();
    agency.refuse = format!("https://dichvucong.anbinh.example/tu-choi?{}", "ma=0123456789&".repeat(30));
    let to = Personal::new("van@example.com".parse().unwrap());
    let as_of = AsOf::new(date(2026, 11, 21));
    let head = Head { key: "k", channel: pipeline.channels.first().unwrap(), agency: &agency, as_of, to: &to };
    let headers = headers(&delivery::build(&letter, &head).unwrap()).replace("\n ", " ");
    assert!(headers.contains(&format!("List-Unsubscribe: <{}>", agency.refuse)), "{headers}");
}

#[test]
fn a_night_before_1970_has_no_message() {
    let letter = wish("driving_licence", Language::Vi).render().unwrap();
    let pipeline = &SAMPLE.pipeline;
    let to = Personal::new("van@example.com".parse().unwrap());
    let head = |as_of| Head {
        key: "k",
        channel: pipeline.channels.first().unwrap(),
        agency: &pipeline.agency,
        as_of,
        to: &to,
    };
    let error = delivery::build(&letter, &head(AsOf::new(date(1969, 12, 31)))).unwrap_err();
    assert_eq!(error.code(), "delivery.date-range");
    assert!(delivery::build(&letter, &head(AsOf::new(date(9999, 12, 31)))).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_name_and_no_subject_makes_a_header(name in "\\PC{1,60}|[a-z\r\n: ]{1,80}", subject in any::<String>()) {
        let plain = headers(&message("k", "van@example.com"));
        let names = |headers: &str| -> Vec<String> {
            let own = headers.lines().filter(|line| !line.starts_with(' '));
            own.map(|line| line.split(':').next().unwrap_or("").to_owned()).collect()
        };
        let letter = crate::messages::Wish { name: &format!("x{name}"), ..wish("driving_licence", Language::Vi) }.render();
        let mut letter = letter.unwrap();
        // A letter's subject holds no line break; even one that did must not start a header.
        letter.subject = subject;
        let pipeline = &SAMPLE.pipeline;
        let to = Personal::new("van@example.com".parse().unwrap());
        let as_of = AsOf::new(date(2026, 11, 21));
        let head = Head { key: "k", channel: pipeline.channels.first().unwrap(), agency: &pipeline.agency, as_of, to: &to };
        let odd = delivery::build(&letter, &head).unwrap();
        prop_assert_eq!(names(&headers(&odd)), names(&plain));
        prop_assert!(headers(&odd).is_ascii() && odd.in_seven_bits().is_ascii());
        prop_assert!(odd.text.split('\n').all(|line| line.len() <= 998));
    }
}

// ---- the folder -------------------------------------------------------------

async fn open_folder(path: &Path) -> Result<Sender, Error> {
    Sender::open(SAMPLE.pipeline.channels.first().unwrap(), path, Timeouts::default()).await
}

#[tokio::test]
async fn a_folder_holds_each_message_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("state/outbox");
    let messages: Vec<Envelope> = (0..20).map(|n| message(&format!("k{n}"), "van@example.com")).collect();
    let messages: Vec<&Envelope> = messages.iter().collect();
    let mut sender = open_folder(&outbox).await.unwrap();
    assert_eq!(sender.send(&recorded(&messages)).await, vec![Outcome::Accepted; 20]);
    assert_eq!(sender.already_there(), 0);
    // The same night again.
    let mut sender = open_folder(&outbox).await.unwrap();
    assert_eq!(sender.send(&recorded(&messages)).await, vec![Outcome::Accepted; 20]);
    assert_eq!(sender.already_there(), 20);
    assert!(sender.trouble().is_none());

    let files: Vec<_> = std::fs::read_dir(&outbox).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 20, "nothing else is left in the folder");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let first = messages.first().unwrap();
    assert_eq!(std::fs::read(outbox.join(format!("{}.eml", first.file_stem()))).unwrap(), first.text.as_bytes());
    assert_eq!(std::fs::metadata(&outbox).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn what_has_left_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut sender = open_folder(folder.path()).await.unwrap();
    let first = message("k", "van@example.com");
    let other = envelope("k", "van@example.com", Language::En, "Nguyễn Thị Hồng Vân");
    assert_eq!(sender.send(&recorded(&[&first])).await, [Outcome::Accepted]);
    let outcomes = sender.send(&recorded(&[&other])).await;
    assert_eq!(outcomes.first().unwrap().reason().unwrap(), "another message of this key is in the folder");
    assert_eq!(std::fs::read(folder.path().join(format!("{}.eml", first.file_stem()))).unwrap(), first.text.as_bytes());
}

#[tokio::test]
async fn a_half_written_file_of_a_killed_run_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let first = message("k", "van@example.com");
    std::fs::write(folder.path().join(format!(".{}.part", first.file_stem())), b"half").unwrap();
    let mut sender = open_folder(folder.path()).await.unwrap();
    assert_eq!(sender.send(&recorded(&[&first])).await, [Outcome::Accepted]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_before_any_message() {
    // Not even root can make a folder or a file in these two.
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [Path::new("/proc/chudong-outbox"), &file.path().join("outbox")] {
        let error = open_folder(path).await.unwrap_err();
        assert_eq!(error.code(), "delivery.outbox-not-writable");
        assert_eq!(error.place().to_string(), path.display().to_string());
    }
}

#[tokio::test]
async fn a_folder_that_is_lost_on_the_way_defers_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("outbox");
    let mut sender = open_folder(&outbox).await.unwrap();
    std::fs::remove_dir_all(&outbox).unwrap();
    let outcomes = sender.send(&recorded(&[&message("a", "van@example.com"), &message("b", "an@example.com")])).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Deferred { .. })), "{outcomes:?}");
    assert_eq!(outcomes.first().unwrap().reason().unwrap(), "file not written, system error 2");
    assert_eq!(sender.trouble().unwrap().code(), "delivery.outbox-not-writable");
}

// ---- a mail server ----------------------------------------------------------

const QUICK: Timeouts =
    Timeouts { connect: Duration::from_secs(30), command: Duration::from_secs(30), data: Duration::from_secs(30) };

fn channel(port: u16, connections: usize, tls: Tls, password: Option<&Path>) -> Channel {
    let credentials = password.map(|path| ("user".to_owned(), SecretRef::File(path.to_path_buf())));
    Channel {
        name: "smtp".into(),
        recheck_minutes: 30,
        from: "nhac-viec@anbinh.example".into(),
        from_name: Text::new("Nhắc việc", "Reminders"),
        pace: Default::default(),
        kind: ChannelKind::Smtp(Smtp { host: "127.0.0.1".into(), port, tls, credentials, connections }),
    }
}

/// A run may work on several threads: what it waits for must be able to move between them.
fn movable<T: Send>(future: T) -> T {
    future
}

async fn open(port: u16, connections: usize) -> Result<Sender, Error> {
    Sender::open(&channel(port, connections, Tls::None, None), Path::new("unused"), QUICK).await
}

/// What became of one message each, in words.
async fn send(sender: &mut Sender, recipients: &[&str]) -> Vec<String> {
    let messages: Vec<Envelope> = recipients.iter().map(|name| message(name, &format!("{name}@example.com"))).collect();
    let outcomes = movable(sender.send(&recorded(&messages.iter().collect::<Vec<_>>()))).await;
    let said = |outcome: &Outcome| match outcome {
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Deferred { code } => format!("deferred: {code}"),
        Outcome::Refused { code } => format!("refused: {code}"),
        Outcome::Uncertain { code } => format!("uncertain: {code}"),
    };
    outcomes.iter().map(said).collect()
}

#[tokio::test]
async fn each_message_gets_its_own_outcome_and_no_address_in_it() {
    let server = Server::start("220 test.example", &["PIPELINING"], 100);
    let timeouts = Timeouts { data: Duration::from_secs(3), ..QUICK };
    let channel = channel(server.port, 1, Tls::None, None);
    let mut sender = Sender::open(&channel, Path::new("unused"), timeouts).await.unwrap();
    let all = ["van", "grey", "unknown", "plain", "goodbye", "spam", "full", "dropped", "hung", "silent", "last", "an"];
    let outcomes = send(&mut sender, &all).await;
    let said: Vec<String> = all.iter().zip(&outcomes).map(|(to, said)| format!("{to}: {said}")).collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    van: accepted
    grey: deferred: 451 4.7.1
    unknown: refused: 550 5.1.1
    plain: refused: 550
    goodbye: deferred: 421 4.3.2
    spam: refused: 554 5.7.1
    full: deferred: 452 4.2.2
    dropped: uncertain: connection lost
    hung: deferred: no complete SMTP answer
    silent: uncertain: no answer in time
    last: accepted
    an: accepted
    ");
    assert_eq!(server.recipients(), ["an@example.com", "last@example.com", "van@example.com"]);
    assert!(sender.trouble().is_none());
    sender.close().await;
}

#[tokio::test]
async fn the_server_gets_the_bytes_of_the_message() {
    let mut dotted = message("dots", "van@example.com");
    std::sync::Arc::make_mut(&mut dotted.text).push_str(".\r\n..two\r\nend\r\n");
    // One that takes no 8 bits, and refuses what has them, gets the same words in 7; also where it is told of the next
    // message at once.
    let takers: [(&'static [&'static str], String); 3] = [
        (&["8BITMIME"], dotted.text.to_string()),
        (&[], dotted.in_seven_bits()),
        (&["PIPELINING"], dotted.in_seven_bits()),
    ];
    for (extensions, expected) in takers {
        let server = Server::start("220 test.example", extensions, 100);
        let mut sender = open(server.port, 1).await.unwrap();
        let other = message("other", "lan@example.com");
        assert_eq!(sender.send(&recorded(&[&dotted, &other])).await, [Outcome::Accepted; 2], "{extensions:?}");
        let (_, bytes) = server.taken.lock().unwrap().first().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap().replace("\r\n..", "\r\n.");
        assert_eq!(text.trim_end(), expected.trim_end(), "{extensions:?}");
    }
    let read = |message: &str| {
        let read = mail_parser::MessageParser::new().parse(message.as_bytes()).unwrap();
        (read.body_text(0).unwrap().into_owned(), read.body_html(0).unwrap().into_owned())
    };
    let seven = dotted.in_seven_bits();
    assert!(seven.is_ascii() && read(&seven) == read(&dotted.text));
    assert!(read(&seven).0.contains("Nguyễn Thị Hồng Vân"));
}

#[tokio::test]
async fn several_connections_send_every_message_once() {
    let server = Server::start("220 test.example", &[], 100);
    let mut sender = open(server.port, 4).await.unwrap();
    let names: Vec<String> = (0..200).map(|n| format!("p{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(send(&mut sender, &names).await.iter().all(|said| said == "accepted"));
    let expected: Vec<String> = names.iter().map(|name| format!("{name}@example.com")).collect();
    assert_eq!(server.recipients(), expected);
    assert_eq!(*server.connections.lock().unwrap(), 4);
}

#[tokio::test]
async fn a_server_that_takes_fewer_connections_still_takes_every_message() {
    let server = Server::start("220 test.example", &[], 2);
    let mut sender = open(server.port, 8).await.unwrap();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    assert!(send(&mut sender, &names).await.iter().all(|said| said == "accepted"));
    assert_eq!(server.recipients().len(), 10);
    assert!(sender.trouble().is_none());
}

#[tokio::test]
async fn a_server_that_goes_away_defers_the_rest_and_says_why() {
    let server = Server::start("220 test.example", &[], 1);
    let mut sender = open(server.port, 1).await.unwrap();
    let outcomes = send(&mut sender, &["van", "last", "an", "binh"]).await;
    assert_eq!(outcomes, ["accepted", "accepted", "deferred: no connection", "deferred: no connection"]);
    let trouble = sender.trouble().unwrap().fault().to_string();
    assert!(trouble.contains("delivery.server-refuses") && trouble.contains("421 4.7.0"), "{trouble}");
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_costs_no_message() {
    let server = Server::start("220 test.example", &[], 100);
    let mut sender = open(server.port, 1).await.unwrap();
    assert_eq!(send(&mut sender, &["last"]).await, ["accepted"]);
    server.has_closed(1);
    assert_eq!(send(&mut sender, &["van"]).await, ["accepted"]);
    assert_eq!(*server.connections.lock().unwrap(), 2);
}

#[tokio::test]
async fn many_messages_on_one_connection_do_not_wait_for_acknowledgements() {
    let server = Server::start("220 test.example", &[], 100);
    let mut sender = open(server.port, 1).await.unwrap();
    let names: Vec<String> = (0..1_000).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let began = std::time::Instant::now();
    assert!(send(&mut sender, &names).await.iter().all(|said| said == "accepted"));
    // With Nagle's algorithm each message costs 43 ms, 43 s in all.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_a_server_that_takes_it() {
    let international = message("k", "văn@example.com");
    let server = Server::start("220 test.example", &[], 100);
    let mut sender = open(server.port, 1).await.unwrap();
    let outcomes = sender.send(&recorded(&[&international])).await;
    assert_eq!(outcomes.first().unwrap().reason().unwrap(), "server without SMTPUTF8");
    let server = Server::start("220 test.example", &["SMTPUTF8", "8BITMIME"], 100);
    let mut sender = open(server.port, 1).await.unwrap();
    assert_eq!(sender.send(&recorded(&[&international])).await, [Outcome::Accepted]);
}

#[tokio::test]
async fn an_account_logs_in_or_the_run_stops_before_any_message() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("220 test.example", &["AUTH PLAIN"], 100);
    for (password, is_right) in [("right", true), ("wrong", false)] {
        let path = folder.path().join(password);
        std::fs::write(&path, format!("{password}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let channel = channel(server.port, 1, Tls::None, Some(&path));
        match Sender::open(&channel, Path::new("unused"), QUICK).await {
            Ok(_) => assert!(is_right),
            Err(error) => {
                assert!(!is_right);
                assert_eq!(error.code(), "delivery.account-refused");
                assert!(error.to_string().ends_with("535 5.7.8"), "{error}");
            }
        }
    }
    let channel = channel(server.port, 1, Tls::None, Some(Path::new("/nonexistent/password")));
    let error = Sender::open(&channel, Path::new("unused"), QUICK).await.unwrap_err();
    assert_eq!(error.code(), "secret.unreadable");
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_an_error_before_any_message() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(open(free, 1).await.unwrap_err().code(), "delivery.server-unreachable");
    let server = Server::start("554 5.7.1 not you", &[], 100);
    let error = open(server.port, 1).await.unwrap_err();
    assert_eq!(error.to_string(), "the mail server refuses to serve: 554 5.7.1");
    let server = Server::start("HTTP/1.1 400 Bad Request", &[], 100);
    assert_eq!(open(server.port, 1).await.unwrap_err().code(), "delivery.server-refuses");
}

#[tokio::test]
async fn a_silent_server_ends_in_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let timeouts = Timeouts { command: Duration::from_millis(200), ..QUICK };
    let error = Sender::open(&channel(port, 1, Tls::None, None), Path::new("unused"), timeouts).await.unwrap_err();
    assert_eq!(error.to_string(), "the mail server refuses to serve: no answer in time");
}

#[tokio::test]
async fn starttls_is_never_left_out() {
    // As if somebody between had taken the word out of the server's answer.
    let server = Server::start("220 test.example", &["AUTH PLAIN"], 100);
    let channel = channel(server.port, 1, Tls::StartTls, None);
    let error = Sender::open(&channel, Path::new("unused"), QUICK).await.unwrap_err();
    assert_eq!(error.code(), "delivery.connection-not-protected");
    assert!(server.recipients().is_empty());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    for (protection, tls) in [(Protection::StartTls, Tls::StartTls), (Protection::Wrapped, Tls::Wrapped)] {
        let server = Server::protected(protection, "220 test.example", &["STARTTLS"], 100);
        let channel = channel(server.port, 1, tls, None);
        let error = Sender::open(&channel, Path::new("unused"), QUICK).await.unwrap_err();
        assert_eq!(error.code(), "delivery.connection-not-protected");
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    }
}

/// The authorities of the machine are named by an environment variable, so the test runs itself
/// again in a process of its own that trusts the test authority.
#[tokio::test]
async fn messages_leave_over_tls_when_the_authority_is_known() {
    let inner = "CHUDONG_TEST_TRUSTS";
    if std::env::var_os(inner).is_none() {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "delivery::messages_leave_over_tls_when_the_authority_is_known"])
            .env("SSL_CERT_FILE", crate::root().join("tests/it/tls/authority.pem"))
            .env(inner, "yes")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    for (protection, tls) in [(Protection::StartTls, Tls::StartTls), (Protection::Wrapped, Tls::Wrapped)] {
        let server = Server::protected(protection, "220 test.example", &["STARTTLS"], 100);
        let channel = channel(server.port, 2, tls, None);
        let mut sender = Sender::open(&channel, Path::new("unused"), QUICK).await.unwrap();
        assert_eq!(send(&mut sender, &["van", "an", "unknown"]).await, ["accepted", "accepted", "refused: 550 5.1.1"]);
        assert_eq!(server.recipients(), ["an@example.com", "van@example.com"]);
        // The certificate is for 127.0.0.1 and for no other name.
        let ChannelKind::Smtp(mut settings) = channel.kind.clone() else { unreachable!() };
        settings.host = "localhost".into();
        let other = Channel { kind: ChannelKind::Smtp(settings), ..channel };
        let error = Sender::open(&other, Path::new("unused"), QUICK).await.unwrap_err();
        assert_eq!(error.code(), "delivery.connection-not-protected");
        sender.close().await;
    }
}
