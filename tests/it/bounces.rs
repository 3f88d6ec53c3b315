//! What comes back: reports of every common server, complaints, forgeries, and what follows from them.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use chudong::bounces::{Report, report};
use chudong::delivery::{self, Sign};
use chudong::ledger::MessageState;
use chudong::personal::PseudonymKey;
use proptest::prelude::*;

use crate::support::dovecot::Dovecot;
use crate::support::world::{World, run};

/// The key of the samples in data-samples/bounces.
fn key() -> PseudonymKey {
    PseudonymKey::new([7; 32])
}

fn samples() -> BTreeMap<String, Vec<u8>> {
    let listing = std::fs::read_dir(crate::root().join("data-samples/bounces")).unwrap();
    let paths = listing.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.file_stem().unwrap().to_string_lossy().into(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_sample_is_understood() {
    let mut table = String::new();
    for (name, bytes) in samples() {
        let (said, effect) = match report::read(&bytes, &key()) {
            Report::About { verdict, code, .. } => {
                (format!("{} ({code})", verdict.word()), format!("{:?}", verdict.effect().address))
            }
            other => (format!("{other:?}"), String::new()),
        };
        table.push_str(format!("{name:<34} {said:<28} {effect}").trim_end());
        table.push('\n');
    }
    insta::assert_snapshot!("bounce_samples", table);
}

#[test]
fn an_envelope_sender_is_read_back_and_not_made_by_others() {
    let message = "00112233445566778899aabbccddeeff";
    let address = delivery::envelope_sender(message, &key(), "anbinh.example").unwrap().to_string();
    assert!(address.split('@').next().unwrap().len() <= 64, "{address}");
    assert_eq!(delivery::sign(&address, &key()), Sign::Message(message.into()));
    assert_eq!(delivery::sign(&format!("<{}>", address.to_uppercase()), &key()), Sign::Message(message.into()));
    assert_eq!(delivery::sign(&address, &PseudonymKey::new([8; 32])), Sign::Forged);
    assert_eq!(delivery::sign(&address.replace("0011", "0012"), &key()), Sign::Forged);
    for other in ["", "@", "bounce+", "bounce+x.y@z", "nhac-viec@anbinh.example", "bounce+00.11@anbinh.example"] {
        assert_eq!(delivery::sign(other, &key()), Sign::None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// However a report is damaged on its way, it stays about its own message or about none.
    #[test]
    fn a_damaged_report_is_never_about_another_message(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 0..40),
        cut in any::<bool>(),
    ) {
        let samples: Vec<Vec<u8>> = samples().into_values().collect();
        let bytes = which.get(&samples);
        let about = |bytes: &[u8]| match report::read(bytes, &key()) {
            Report::About { message, .. } => Some(message),
            _ => None,
        };
        let message = about(bytes);
        let mut damaged = bytes.clone();
        let at = at.index(damaged.len());
        if cut { damaged.truncate(at) } else { damaged.splice(at..at, junk) ; }
        if let Some(now) = about(&damaged) {
            let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
            prop_assert!(message.is_none_or(|message| message == now) || text.contains(&now), "{now}");
        }
    }

    #[test]
    fn no_letter_is_too_strange_to_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let report = report::read(&bytes, &key());
        let is_about = matches!(report, Report::About { .. });
        prop_assert!(!is_about);
    }

    #[test]
    fn a_tag_that_was_guessed_is_a_forgery(tag in "[0-9a-f]{16}", message in "[0-9a-f]{32}") {
        let ours = delivery::envelope_sender(&message, &key(), "anbinh.example").unwrap().to_string();
        let guessed = format!("bounce+{message}.{tag}@anbinh.example");
        prop_assert_eq!(delivery::sign(&guessed, &key()) == Sign::Forged, guessed != ours);
    }
}

// ---- through the binary -------------------------------------------------------

/// A world whose messages come back into a maildir.
struct Post {
    world: World,
    key: PseudonymKey,
}

/// Sends one night and gives the world; nothing has come back yet.
fn sent() -> Post {
    let world = World::small(120);
    let maildir = world.temporary().join("maildir");
    for folder in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    let mailbox = format!("kind = \"maildir\"\npath = \"{}\"", maildir.display());
    sent_with(world, &mailbox)
}

fn sent_with(world: World, mailbox: &str) -> Post {
    world.without_figures();
    let path = "pipelines/an-binh/pipeline.toml";
    let mut text = std::fs::read_to_string(world.root().join(path)).unwrap();
    text.push_str(&format!("\n[mail.mailbox]\n{mailbox}\n"));
    world.put(path, text.as_bytes());
    let authority = crate::root().join("tests/it/tls/authority.pem");
    run(world.command(&["run", "--as-of", "2026-11-21"]).env("SSL_CERT_FILE", authority)).with(0);
    let bytes: [u8; 32] = std::fs::read(world.state().join("keys/pseudonym.key")).unwrap().try_into().unwrap();
    Post { key: PseudonymKey::new(bytes), world }
}

impl Post {
    fn maildir(&self) -> PathBuf {
        self.world.temporary().join("maildir")
    }

    /// Local parts of the Message-IDs of what was sent.
    fn messages(&self) -> Vec<String> {
        let names = self.world.messages().into_keys().map(|name| name.to_string_lossy().into_owned());
        names.filter_map(|name| name.strip_suffix(".eml").map(str::to_owned)).collect()
    }

    /// A sample, as if it were about this message.
    fn about(&self, sample: &str, message: &str) -> Vec<u8> {
        let bytes = samples().remove(sample).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let known = text.split("bounce+").nth(1).unwrap().split('@').next().unwrap().to_owned();
        let ours = delivery::envelope_sender(message, &self.key, "anbinh.example").unwrap().to_string();
        let ours = ours.strip_prefix("bounce+").unwrap().split('@').next().unwrap().to_owned();
        let text = text.replace(&known, &ours).replace(known.split('.').next().unwrap(), message);
        text.into_bytes()
    }

    /// Puts a sample into the maildir, as if it were about this message.
    fn comes_back(&self, sample: &str, message: &str) -> Vec<u8> {
        let bytes = self.about(sample, message);
        std::fs::write(self.maildir().join(format!("new/{sample}-{message}")), &bytes).unwrap();
        bytes
    }

    fn waiting(&self) -> usize {
        std::fs::read_dir(self.maildir().join("new")).unwrap().count()
    }

    fn state_of(&self, message: &str) -> MessageState {
        self.world.outbox().into_iter().find(|row| row.message_id.starts_with(message)).unwrap().state
    }
}

#[test]
fn a_wrong_address_is_not_written_to_again_and_its_register_is_told() {
    let post = sent();
    let messages = post.messages();
    let [wrong, full, unwanted, arrived, ..] = messages.as_slice() else { unreachable!("{messages:?}") };
    post.comes_back("gmail-unknown-user", wrong);
    post.comes_back("exchange-mailbox-full", full);
    post.comes_back("complaint-with-returned-message", unwanted);
    post.comes_back("postfix-delivered", arrived);
    post.comes_back("automatic-reply", arrived);
    std::fs::write(post.maildir().join("new/forged"), samples().remove("forged-tag").unwrap()).unwrap();
    let ended = post.world.chudong(&["bounces"]).with(0);
    insta::assert_snapshot!(ended.out, @r"
    What came back: 1 address wrong, 1 complaint, 1 delivered, 1 mailbox full
    Other letters in the mailbox: 1 automatic replies, 1 forged
    ");
    assert_eq!(post.waiting(), 0);
    let states = [wrong, full, unwanted, arrived].map(|message| post.state_of(message));
    let (refused, accepted) = (MessageState::Refused, MessageState::Accepted);
    assert_eq!(states, [refused, MessageState::Deferred, accepted, accepted]);
    let ended = post.world.chudong(&["ledger", "suppressions"]).with(0);
    assert_eq!(ended.out.lines().count(), 2, "{}", ended.out);
    assert!(ended.out.contains("address_wrong 550 5.1.1") && !ended.out.contains('@'), "{}", ended.out);
    post.world.ledger_is_sound();
    // Who called it unwanted is not written to by that channel any more, about nothing.
    let wishes = chudong::ledger::Ledger::read(&post.world.state()).unwrap().refused().unwrap();
    assert_eq!(wishes.iter().filter(|(_, item, channel)| item == "*" && channel != "*").count(), 1);

    // The next night: the full mailbox is tried again, the wrong one is not, and its register is told.
    post.world.night("2026-11-22").with(0);
    assert_eq!(post.state_of(wrong), refused);
    // Where a later stage has come meanwhile, its message goes in place of this one.
    assert!([accepted, MessageState::Dropped].contains(&post.state_of(full)));
    let lists = post.world.state().join("wrong-addresses");
    let list = lists.join("population-2026-11-22.csv");
    let text = std::fs::read_to_string(&list).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(std::fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&lists).unwrap().permissions().mode() & 0o777, 0o700);
    post.world.ledger_is_sound();
}

/// How many reminders are held because their address gives messages back.
fn held(out: &str) -> u64 {
    let count =
        |line: &str| line.split(" address gives messages back").next()?.rsplit([' ', ',']).next()?.parse::<u64>().ok();
    out.lines().filter(|line| line.contains(" address gives messages back")).filter_map(count).sum()
}

#[test]
fn a_report_is_taken_once_however_often_it_is_read() {
    let post = sent();
    let messages = post.messages();
    let message = messages.first().unwrap();
    let bytes = post.comes_back("gmail-unknown-user", message);
    post.world.chudong(&["bounces"]).with(0);
    let entries = post.world.ledger().head().unwrap().seq;
    // As after a crash between the ledger and the maildir.
    std::fs::write(post.maildir().join("new/again"), bytes).unwrap();
    let ended = post.world.chudong(&["bounces"]).with(0);
    assert_eq!(ended.out, "Other letters in the mailbox: 1 taken before\n");
    assert_eq!(post.world.ledger().head().unwrap().seq, entries);
    assert_eq!(post.waiting(), 0);
    assert_eq!(post.world.chudong(&["bounces"]).with(0).out, "Nothing came back.\n");
    post.world.ledger_is_sound();
}

#[test]
fn every_reminder_to_a_suppressed_address_is_held_until_it_is_lifted() {
    let post = sent();
    for message in post.messages() {
        post.comes_back("postfix-unknown-user", &message);
    }
    let ended = post.world.night("2026-11-28").with(0);
    assert!(ended.out.contains("What came back: "), "{}", ended.out);
    let before = held(&ended.out);
    assert!(before > 0, "{}", ended.out);
    let listed = post.world.chudong(&["ledger", "suppressions"]).with(0).out;
    for address in listed.lines().map(|line| line.split(' ').next().unwrap()) {
        post.world.chudong(&["ledger", "suppressions", "--lift", address]).with(0);
    }
    assert_eq!(post.world.chudong(&["ledger", "suppressions"]).with(0).out, "");
    let ended = post.world.night("2026-11-28").with(0);
    assert_eq!(held(&ended.out), 0, "{}", ended.out);
    post.world.chudong(&["ledger", "suppressions", "--lift", "00"]).with(1);
    post.world.ledger_is_sound();
}

#[test]
fn a_suppression_that_was_changed_by_hand_is_found() {
    let post = sent();
    post.comes_back("postfix-unknown-user", post.messages().first().unwrap());
    post.world.chudong(&["bounces"]).with(0);
    let connection = rusqlite::Connection::open(post.world.state().join("ledger.sqlite")).unwrap();
    connection.execute("update suppression set until = '2026-11-23'", []).unwrap();
    connection.execute("delete from returned", []).unwrap();
    drop(connection);
    let ended = post.world.chudong(&["ledger", "verify"]).with(1);
    assert!(ended.err.contains("is not what its entry says"), "{}", ended.err);
    assert!(ended.err.contains("the report ") && ended.err.contains("was removed"), "{}", ended.err);
}

#[test]
fn a_mailbox_that_is_not_there_yet_is_said_and_reminders_leave() {
    let post = sent();
    let maildir = post.maildir();
    std::fs::remove_dir_all(&maildir).unwrap();
    let ended = post.world.night("2026-11-28").with(0);
    assert!(ended.out.contains("there is no maildir: it has no folder new"), "{}", ended.out);
    let sent = post.world.outbox().iter().filter(|row| row.run == "2026-11-28.1").count();
    assert!(sent > 0, "{}", ended.out);
    let ended = post.world.chudong(&["bounces"]).with(1);
    assert!(ended.err.contains("error[bounces.no-maildir]"), "{}", ended.err);
    // One that cannot be read is a fault of the night, and reminders leave all the same.
    std::fs::create_dir_all(maildir.join("new")).unwrap();
    std::fs::write(maildir.join(".Processed"), "in the way").unwrap();
    let ended = post.world.night("2026-11-29").with(1);
    assert!(ended.out.contains("bounces.maildir-unusable"), "{}", ended.out);
}

#[test]
fn a_mailbox_on_a_server_is_read_over_tls_with_and_without_move() {
    for more in ["", "imap_capability = IMAP4rev1 UIDPLUS", "imap_capability = IMAP4rev1"] {
        let dovecot = Dovecot::start(more);
        let world = World::small(120);
        let password = world.temporary().join("password");
        std::fs::write(&password, "right").unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mailbox = format!(
            "kind = \"imap\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"user\"\npassword = {{ file = \"{}\" }}",
            dovecot.port,
            password.display()
        );
        let post = sent_with(world, &mailbox);
        let messages = post.messages();
        let message = messages.first().unwrap();
        dovecot.gets("1", &post.about("gmail-unknown-user", message));
        dovecot.gets("2", &post.about("automatic-reply", message));
        dovecot.gets("3", &samples().remove("forged-tag").unwrap());
        let authority = crate::root().join("tests/it/tls/authority.pem");
        let read = || run(post.world.command(&["bounces"]).env("SSL_CERT_FILE", &authority));
        let said = "What came back: 1 address wrong\nOther letters in the mailbox: 1 automatic replies, 1 forged\n";
        assert_eq!(read().with(0).out, said, "{more}");
        assert_eq!(post.state_of(message), MessageState::Refused);
        assert_eq!(dovecot.holds(".Processed"), 3, "{more}");
        // Without UIDPLUS letters stay, with a mark, until somebody removes them.
        assert_eq!(dovecot.holds(""), if more.ends_with("rev1") { 3 } else { 0 }, "{more}");
        assert_eq!(read().with(0).out, "Nothing came back.\n", "{more}");
        // Nobody else's server, and nobody else's account.
        let ended = run(post.world.command(&["bounces"]).env_remove("SSL_CERT_FILE")).with(1);
        assert!(ended.err.contains("error[bounces.connection-not-protected]"), "{}", ended.err);
        std::fs::write(&password, "wrong").unwrap();
        let ended = read().with(1);
        assert!(ended.err.contains("error[bounces.account-refused]"), "{}", ended.err);
        post.world.ledger_is_sound();
    }
}
