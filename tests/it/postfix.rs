//! A whole way through a real Postfix: signed, over TLS, into a maildir, and back.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use chudong::ledger::MessageState;
use mail_parser::MessageParser;

use crate::safe_messages::{ED25519_PUBLIC, verifies};
use crate::support::postfix::{Postfix, letters_in};
use crate::support::smtp::{Mood, Server};
use crate::support::world::World;

/// A world that sends through this Postfix and reads what it gives back.
fn world(postfix: &Postfix, people: u64, signs: bool) -> World {
    let world = World::small(people);
    world.without_figures();
    // Both kinds of signature, as RFC 8463 advises: whoever knows the newer one takes it.
    let signature = |(selector, name): (&str, &str)| {
        let key = world.temporary().join(name);
        std::fs::copy(crate::root().join("tests/it/keys").join(name), &key).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!(
            "{{ domain = \"anbinh.example\", selector = \"{selector}\", key = {{ file = \"{}\" }} }}",
            key.display()
        )
    };
    let keys: &[(&str, &str)] =
        if signs { &[("2026a", "dkim-ed25519.pem"), ("2026r", "dkim-rsa-pkcs8.pem")] } else { &[] };
    let signatures = keys.iter().copied().map(signature).collect::<Vec<_>>().join(", ");
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
        "\n[serve]\nbase_url = \"https://nhac.anbinh.example\"\n\n[mail]\ndkim = [{signatures}]\n\n\
         [mail.mailbox]\nkind = \"maildir\"\npath = \"{}\"\n",
        postfix.bounces().display()
    ));
    world.put(path, text.as_bytes());
    world
}

/// What dkimpy, which is not ours, says of each signature of a message: it reads the keys as it would from the DNS.
fn by_dkimpy(message: &[u8]) -> String {
    const SCRIPT: &str = "
import base64, sys, dkim
ed25519, rsa, message = bytes.fromhex(sys.argv[1]), open(sys.argv[2], 'rb').read(), sys.stdin.buffer.read()
text = lambda kind, key: b'v=DKIM1; k=' + kind + b'; p=' + base64.b64encode(key)
zone = {b'2026a': text(b'ed25519', ed25519), b'2026r': text(b'rsa', rsa)}
def dns(name, timeout=5):
    selector, domain = name.rstrip(b'.').split(b'._domainkey.')
    assert domain == b'anbinh.example', name
    return zone[selector]
signed = dkim.DKIM(message)
for at in range(message.lower().count(b'dkim-signature: ')):
    try:
        print(signed.verify(idx=at, dnsfunc=dns), signed.domain.decode(), signed.selector.decode())
    except dkim.DKIMException as error:
        print('False', type(error).__name__)
";
    let python = crate::root().join("target/test-tools/bin/python");
    assert!(python.is_file(), "dkimpy is missing: run ./test.sh --install");
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, ED25519_PUBLIC]).arg(crate::root().join("tests/it/keys/dkim-rsa.pub.der"));
    let mut verifier = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    verifier.stdin.take().unwrap().write_all(message).unwrap();
    let ended = verifier.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
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
    let world = world(&postfix, 300, true);
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
    // TLS and the account, as Postfix wrote them down itself; and the signatures, as another program verifies them.
    let one = std::fs::read_to_string(delivered.first().unwrap()).unwrap().replace('\n', "\r\n");
    assert!(one.contains("using TLSv1.3") && one.contains(" with ESMTPSA id "), "{one}");
    let of_both = |says: &str| format!("{says} anbinh.example 2026a\n{says} anbinh.example 2026r\n");
    assert_eq!(by_dkimpy(one.as_bytes()), of_both("True"));
    assert_eq!(by_dkimpy(one.replace("Subject: ", "Subject: x").as_bytes()), of_both("False"));
    assert!(by_dkimpy(format!("{one}x\r\n").as_bytes()).starts_with("False"));
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
fn postfix_delivers_an_unsigned_letter_in_the_8_bits_in_which_it_left() {
    let behind = Server::start("220 behind.example", &[], 1);
    let postfix = Postfix::start("^nobody@", behind.port);
    let world = world(&postfix, 100, false);
    night(&world, "2026-11-21").with(0);
    let sent = world.outbox().len();
    postfix.has_delivered(sent);
    let delivered = letters_in(&postfix.people());
    assert!(sent > 3 && delivered.len() == sent);
    for path in &delivered {
        let bytes = std::fs::read(path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(text.matches("Content-Transfer-Encoding: 8bit").count(), 2, "{text}");
        let letter = MessageParser::new().parse(&bytes).unwrap();
        for words in [letter.body_text(0).unwrap(), letter.body_html(0).unwrap()] {
            assert!(words.contains("Ủy ban nhân dân tỉnh An Bình") || words.contains("People's Committee"), "{words}");
        }
    }
}

#[test]
fn postfix_wants_the_right_password() {
    let behind = Server::start("220 behind.example", &[], 1);
    let postfix = Postfix::start("^nobody@", behind.port);
    let world = world(&postfix, 60, true);
    std::fs::write(world.temporary().join("password"), "wrong").unwrap();
    let ended = night(&world, "2026-11-21").with(1);
    assert!(ended.out.contains("delivery.account-refused"), "{}", ended.out);
    assert!(letters_in(&postfix.people()).is_empty());
}
