//! A whole way through a real Postfix: signed, over TLS, into a maildir, and back.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::os::unix::fs::PermissionsExt;

use chudong::ledger::MessageState;
use mail_parser::MessageParser;

use crate::safe_messages::verifies;
use crate::support::postfix::{Postfix, letters_in};
use crate::support::smtp::{Mood, Server};
use crate::support::world::World;

/// A world that sends through this Postfix and reads what it gives back.
fn world(postfix: &Postfix, people: u64) -> World {
    let world = World::small(people);
    world.without_figures();
    let key = world.temporary().join("dkim.pem");
    std::fs::copy(crate::root().join("tests/it/keys/dkim-ed25519.pem"), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let password = world.temporary().join("password");
    std::fs::write(&password, "right").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = "pipelines/an-binh/pipeline.toml";
    let channel = format!(
        "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"user\"\npassword = {{ file = \"{}\" }}",
        postfix.port,
        password.display()
    );
    world.edit(path, "kind = \"folder\"", &channel);
    let mut text = std::fs::read_to_string(world.root().join(path)).unwrap();
    text.push_str(&format!(
        "\n[serve]\nbase_url = \"https://nhac.anbinh.example\"\n\n[mail]\ndkim = [{{ domain = \"anbinh.example\", selector = \"2026a\", key = {{ file = \"{}\" }} }}]\n\n\
         [mail.mailbox]\nkind = \"maildir\"\npath = \"{}\"\n",
        key.display(),
        postfix.bounces().display()
    ));
    world.put(path, text.as_bytes());
    world
}

fn night(world: &World, as_of: &str) -> crate::support::world::Ended {
    let authority = crate::root().join("tests/it/tls/authority.pem");
    crate::support::world::run(world.command(&["run", "--as-of", as_of]).env("SSL_CERT_FILE", authority))
}

#[test]
fn messages_go_through_postfix_and_what_cannot_be_delivered_comes_back() {
    // A server behind Postfix that knows nobody: Postfix makes the report, as it does for any other server.
    let behind = Server::start("220 behind.example", &[], 1000);
    behind.set_moods(|_| Mood::AtRecipient("550 5.1.1 no such person here"));
    let postfix = Postfix::start("^[ac-l].*@", behind.port);
    let world = world(&postfix, 300);
    night(&world, "2026-11-21").with(0);
    let sent = world.outbox();
    assert!(sent.len() > 10 && sent.iter().all(|row| row.state == MessageState::Accepted), "{sent:?}");
    postfix.has_delivered(sent.len());

    // As Postfix delivered it: from the envelope sender of its own, and the signature holds.
    let delivered = letters_in(&postfix.people());
    assert!(!delivered.is_empty());
    for path in &delivered {
        let bytes = std::fs::read(path).unwrap();
        // A maildir has lines of Unix.
        let bytes = String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into_bytes();
        assert!(verifies(&bytes));
        let letter = MessageParser::new().parse(&bytes).unwrap();
        let returned = letter.header_raw("Return-Path").unwrap().trim();
        let link = letter.header_raw("List-Unsubscribe").unwrap().trim();
        assert!(link.starts_with("<https://nhac.anbinh.example/refuse/"), "{link}");
        assert!(letter.header_raw("List-Unsubscribe-Post").is_some());
        let id = letter.message_id().unwrap().split('@').next().unwrap();
        assert!(returned.starts_with(&format!("<bounce+{id}.")), "{returned}");
    }
    let returned = letters_in(&postfix.bounces()).len();
    assert_eq!(returned + delivered.len(), sent.len());
    assert!(returned > 0);
    if let Some(folder) = std::env::var_os("CHUDONG_TEST_KEEPS") {
        // For whoever wants to see one.
        std::fs::copy(delivered.first().unwrap(), std::path::Path::new(&folder).join("delivered.eml")).unwrap();
        let report = letters_in(&postfix.bounces());
        std::fs::copy(report.first().unwrap(), std::path::Path::new(&folder).join("returned.eml")).unwrap();
    }

    let ended = world.chudong(&["bounces"]).with(0);
    assert_eq!(ended.out, format!("What came back: {returned} address wrong\n"));
    let refused = world.outbox().iter().filter(|row| row.state == MessageState::Refused).count();
    assert_eq!(refused, returned);
    assert_eq!(world.chudong(&["ledger", "suppressions"]).with(0).out.lines().count(), returned);
    world.ledger_is_sound();
    // Nobody of them is written to again a week later.
    let ended = night(&world, "2026-11-28").with(0);
    assert!(ended.out.contains("address gives messages back"), "{}", ended.out);
    behind.set_moods(|_| Mood::Takes);
    assert!(behind.recipients().is_empty());
}

#[test]
fn postfix_wants_the_right_password() {
    let behind = Server::start("220 behind.example", &[], 1);
    let postfix = Postfix::start("^nobody@", behind.port);
    let world = world(&postfix, 60);
    std::fs::write(world.temporary().join("password"), "wrong").unwrap();
    let ended = night(&world, "2026-11-21").with(1);
    assert!(ended.out.contains("delivery.account-refused"), "{}", ended.out);
    assert!(letters_in(&postfix.people()).is_empty());
}
