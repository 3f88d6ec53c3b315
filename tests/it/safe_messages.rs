//! Messages are safe: signatures that verify, addresses that are what they look like, headers that stay headers.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use chudong::calendar::AsOf;
use chudong::delivery::{self, BadAddress, Envelope, Head, Post};
use chudong::fault::Explain;
use chudong::language::Language;
use chudong::personal::{Personal, PseudonymKey};
use chudong::pipeline::mail::{Dkim, Mail};
use chudong::pipeline::secret::SecretRef;
use jiff::civil::date;
use mail_parser::MessageParser;
use proptest::prelude::*;
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use crate::messages::{SAMPLE, wish};
use crate::support::world::{ANY_TIME, World};

/// A key of tests/it/keys in a file that only its owner may read. These keys sign nothing but these tests.
fn key_file(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::copy(crate::root().join("tests/it/keys").join(name), &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn post(keys: &[&str]) -> Result<Post, delivery::Error> {
    let folder = tempfile::tempdir().unwrap();
    let dkim = |name: &&str| Dkim {
        domain: "anbinh.example".into(),
        selector: "2026a".into(),
        key: SecretRef::File(key_file(&folder, name)),
    };
    let mail = Mail { dkim: keys.iter().map(dkim).collect(), ..Mail::default() };
    Post::open(&mail, &PseudonymKey::new([7; 32]))
}

fn composed(post: &Post, subject: Option<&str>, refuse: Option<&str>) -> Envelope {
    let mut letter = wish("driving_licence", Language::Vi).render().unwrap();
    if let Some(subject) = subject {
        subject.clone_into(&mut letter.subject);
    }
    let pipeline = &SAMPLE.pipeline;
    let to = Personal::new("van@example.com".parse().unwrap());
    let as_of = AsOf::new(date(2026, 11, 21));
    let head = Head { key: "k", channel: pipeline.channels.first().unwrap(), agency: &pipeline.agency, as_of, to: &to };
    post.compose(&letter, &head, refuse).unwrap()
}

// ---- signatures, verified by RFC 6376 as it is written ----------------------

/// The headers of a message, each with its folds and without its line end.
fn fields(message: &[u8]) -> (Vec<String>, String) {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut fields: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        match fields.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push_str("\r\n");
                last.push_str(line);
            }
            _ => fields.push(line.into()),
        }
    }
    (fields, body.into())
}

fn relaxed(field: &str) -> String {
    let (name, value) = field.split_once(':').unwrap();
    format!("{}:{}", name.to_lowercase().trim(), value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn tag(signature: &str, name: &str) -> String {
    let tags = signature.split_once(':').unwrap().1.split(';');
    let mut found = tags.filter_map(|tag| tag.trim().split_once('='));
    found.find(|(known, _)| known.trim() == name).unwrap().1.split_whitespace().collect()
}

/// The public key, as `openssl pkey -text` shows that of dkim-ed25519.pem.
pub const ED25519_PUBLIC: &str = "3a93934e0215541e1c56e58b171c4041e5760aaf69bc6f0d01b840ed32b13a5f";

/// Whether the first signature of a message holds.
pub fn verifies(message: &[u8]) -> bool {
    let (fields, body) = fields(message);
    let signature = fields.iter().find(|field| field.starts_with("DKIM-Signature:")).unwrap();
    let mut lines: Vec<String> = body
        .split("\r\n")
        .map(|line| {
            let blank = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            if line.starts_with([' ', '\t']) && !blank.is_empty() { format!(" {blank}") } else { blank }
        })
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let body = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
    let decode = |text: String| mail_parser::decoders::base64::base64_decode(text.as_bytes()).unwrap();
    if decode(tag(signature, "bh")) != Sha256::digest(body).as_slice() {
        return false;
    }
    let mut data = String::new();
    let mut left: Vec<&String> = fields.iter().collect();
    for name in tag(signature, "h").split(':') {
        // From the bottom up, each once; a name of which none is left stands for nothing.
        let at = left.iter().rposition(|field| field.split(':').next().unwrap().eq_ignore_ascii_case(name));
        if let Some(at) = at {
            data.push_str(&relaxed(left.remove(at)));
            data.push_str("\r\n");
        }
    }
    let value = tag(signature, "b");
    let relaxed = relaxed(signature);
    let unsigned = relaxed.split_once(" b=").unwrap().0;
    data.push_str(&format!("{unsigned} b="));
    let signature_bytes = decode(value);
    if tag(signature, "a") == "rsa-sha256" {
        let public = std::fs::read(crate::root().join("tests/it/keys/dkim-rsa.pub.der")).unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        return key.verify(data.as_bytes(), &signature_bytes).is_ok();
    }
    let public: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(ED25519_PUBLIC.get(at * 2..at * 2 + 2).unwrap(), 16).unwrap()).collect();
    UnparsedPublicKey::new(&ED25519, public).verify(&Sha256::digest(&data), &signature_bytes).is_ok()
}

fn text(envelope: &Envelope) -> String {
    envelope.text.to_string()
}

#[test]
fn signatures_hold_and_break_where_they_should() {
    for key in ["dkim-rsa-pkcs1.pem", "dkim-rsa-pkcs8.pem", "dkim-ed25519.pem"] {
        let post = post(&[key]).unwrap();
        let message = composed(&post, None, Some("https://nhac.anbinh.example/refuse/00"));
        assert!(verifies(message.text.as_bytes()), "{key}");
        assert_eq!(message.text, composed(&post, None, Some("https://nhac.anbinh.example/refuse/00")).text);
        // A server on the way that takes no 8 bits would have to break the signature.
        assert!(message.text.is_ascii(), "{key}");
        let text = text(&message);
        // What servers on the way do.
        let folded =
            text.replace("\r\nTo: van@", "\r\nTo:\r\n\tvan@").replace("MIME-Version: 1.0", "Mime-Version:  1.0 ");
        assert!(folded != text && verifies(folded.as_bytes()), "{key}");
        assert!(verifies(format!("Received: from a by b;\r\n Sat, 21 Nov 2026\r\n{text}\r\n\r\n").as_bytes()), "{key}");
        // What nobody may do.
        for changed in [
            text.replace("Subject: ", "Subject: x"),
            text.replace("To: van@", "To: vang@"),
            text.replace("\r\nTo: ", "\r\nFrom: x@example.com\r\nTo: "),
            text.replace("\r\nTo: ", "\r\nSubject: x\r\nTo: "),
            text.replace("refuse/00", "refuse/01"),
            text.replace("One-Click", "Two-Click"),
            format!("{text}x\r\n"),
        ] {
            assert!(changed != text && !verifies(changed.as_bytes()), "{key}: {changed}");
        }
    }
}

#[test]
fn two_keys_give_two_signatures_and_lines_stay_short() {
    let message = composed(&post(&["dkim-ed25519.pem", "dkim-rsa-pkcs8.pem"]).unwrap(), None, None);
    let text = text(&message);
    assert_eq!(text.matches("DKIM-Signature: ").count(), 2);
    let signatures = text.split("\r\nFrom: ").next().unwrap();
    assert!(signatures.lines().all(|line| line.len() <= 78), "{signatures}");
    assert!(verifies(message.text.as_bytes()));
}

#[test]
fn a_key_that_cannot_sign_is_told() {
    for (name, what) in [("dkim-rsa-1024.pem", "2,048 to 4,096 bits"), ("dkim-rsa.pub.der", "text")] {
        let error = post(&[name]).unwrap_err();
        let said = error.fault().to_string();
        assert!(["delivery.dkim-key", "secret.not-one"].contains(&error.code()) && said.contains(what), "{said}");
    }
}

#[test]
fn one_click_is_offered_where_there_is_a_link() {
    let post = post(&[]).unwrap();
    let link = format!("https://nhac.anbinh.example/refuse/{}", "0123456789abcdef".repeat(12));
    let message = composed(&post, None, Some(&link));
    let parsed = MessageParser::new().parse(message.text.as_bytes()).unwrap();
    assert_eq!(parsed.header_raw("List-Unsubscribe").unwrap().trim(), format!("<{link}>"));
    assert_eq!(parsed.header_raw("List-Unsubscribe-Post").unwrap().trim(), "List-Unsubscribe=One-Click");
    let without = composed(&post, None, None);
    let parsed = MessageParser::new().parse(without.text.as_bytes()).unwrap();
    assert!(parsed.header_raw("List-Unsubscribe-Post").is_none());
    // It comes back to an address of its own, that says nothing about the person.
    let from = message.from.to_string();
    assert!(from.starts_with("bounce+") && from.ends_with("@anbinh.example"), "{from}");
}

// ---- addresses --------------------------------------------------------------

#[test]
fn addresses_that_are_not_what_they_look_like_are_refused() {
    use BadAddress::{Lookalike, Malformed, MixedScripts};
    for (text, expected) in [
        ("van@example.com", Ok("van@example.com")),
        ("  van.nguyen+bhyt@Example.COM ", Ok("van.nguyen+bhyt@example.com")),
        ("o'neil@example.com", Ok("o'neil@example.com")),
        // Vietnamese is one script, composed or not; a domain leaves in ASCII.
        ("vân@example.com", Ok("vân@example.com")),
        ("va\u{302}n@example.com", Ok("vân@example.com")),
        ("van@thửnghiệm.example", Ok("van@xn--thnghim-3v4czm.example")),
        ("van@xn--thnghim-3v4czm.example", Ok("van@xn--thnghim-3v4czm.example")),
        ("почта@пример.example", Ok("почта@xn--e1afmkfd.example")),
        // Cyrillic and Latin in one name.
        ("vаn@example.com", Err(MixedScripts)),
        ("van@exаmple.com", Err(MixedScripts)),
        ("van@xn--exmple-4nf.com", Err(MixedScripts)),
        // All Cyrillic, and reads like ASCII: the well-known case, in both of its forms.
        ("van@аррӏе.com", Err(Lookalike)),
        ("van@xn--80ak6aa92e.com", Err(Lookalike)),
        ("сосо@example.com", Err(Lookalike)),
        // Letters without width, turned directions, letters of mathematics.
        ("va\u{200B}n@example.com", Err(MixedScripts)),
        ("va\u{202E}n@example.com", Err(MixedScripts)),
        ("𝐯𝐚𝐧@example.com", Err(MixedScripts)),
        ("", Err(Malformed)),
        ("van", Err(Malformed)),
        ("van@", Err(Malformed)),
        ("@example.com", Err(Malformed)),
        ("van@localhost", Err(Malformed)),
        ("van@[192.0.2.1]", Err(Malformed)),
        ("van@192.0.2.1", Err(Malformed)),
        ("\"van\"@example.com", Err(Malformed)),
        ("van@a@example.com", Err(Malformed)),
        ("van@example.com,lan@example.com", Err(Malformed)),
        ("van@example.com\r\nBcc: x@example.com", Err(Malformed)),
        ("van\0@example.com", Err(Malformed)),
        ("van@example..com", Err(Malformed)),
        ("van@example.com.", Err(Malformed)),
        ("van@xn--\u{0}.com", Err(Malformed)),
        ("Vân <van@example.com>", Err(Malformed)),
    ] {
        let found = delivery::recipient(text).map(|address| address.to_string());
        assert_eq!(found.as_deref().map_err(|error| *error), expected, "{text:?}");
    }
    assert_eq!(delivery::recipient(&format!("{}@example.com", "v".repeat(65))), Err(Malformed));
    assert_eq!(delivery::recipient(&format!("van@{}example.com", "a.".repeat(130))), Err(Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_taken_for_an_address_is_one(text in "\\PC{0,20}@\\PC{0,20}|[a-zа-яôơ\\-]{1,8}@(xn--)?[a-z0-9а-яôơ\\-]{1,12}\\.[a-z]{2,6}|.{0,30}") {
        if let Ok(address) = delivery::recipient(&text) {
            prop_assert!(address.domain().is_ascii() && address.domain().contains('.'));
            let whole = address.to_string();
            prop_assert!(whole.len() <= 254 && !whole.chars().any(|c| c.is_control() || c.is_whitespace()));
            prop_assert_eq!(whole.matches('@').count(), 1);
            // What leaves is read back as itself.
            prop_assert_eq!(delivery::recipient(&whole).map(|again| again.to_string()), Ok(whole));
        }
    }

    /// A subject arrives as it was written: folded, encoded, no line longer than RFC 5322 and RFC 2047 allow.
    #[test]
    fn vietnamese_subjects_arrive_whole(subject in "[A-Za-zĐđàáảãạâấầẩẫậêếềểễệôốồổỗộơớờởỡợưứừửữựýỳỷỹỵ]{1,9}( [A-Za-zĐđàáảãạâấầẩẫậêếềểễệôốồổỗộơớờởỡợưứừửữựýỳỷỹỵ0-9/,.:]{1,9}){0,40}") {
        let message = composed(&post(&[]).unwrap(), Some(&subject), None);
        let parsed = MessageParser::new().parse(message.text.as_bytes()).unwrap();
        prop_assert_eq!(parsed.subject(), Some(subject.as_str()));
        let text = text(&message);
        let field = text.split("\r\nSubject: ").nth(1).unwrap().split("\r\nDate: ").next().unwrap();
        for line in field.lines() {
            prop_assert!(line.len() <= 78, "{}", line);
            for word in line.split_whitespace().filter(|word| word.starts_with("=?")) {
                prop_assert!(word.len() <= 75, "{}", word);
            }
        }
    }
}

// ---- looking at the worst case ------------------------------------------------

#[test]
fn a_letter_of_several_is_previewed_proved_and_asked_for() {
    let world = World::of("an-binh");
    let odd = world.chudong(&["preview", "digest", "--with", "odd", "--language", "en"]).with(0).out;
    assert!(!odd.lines().any(|line| line.starts_with("Bcc")) && !odd.contains('\u{202E}'), "{odd}");
    for title in ["identity card", "driving licence", "inspection", "temporary residence", "health insurance"] {
        assert!(odd.to_lowercase().contains(title), "{title} is missing:\n{odd}");
    }
    let html = world.chudong(&["preview", "digest", "--with", "longest", "--part", "html"]).with(0).out;
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("Công Tằng Tôn Nữ"), "{html}");
    let all = world.chudong(&["preview", "digest"]).with(0).out;
    assert!(all.contains("======== empty ========\n\nNothing is sent"), "{all}");
    // A template that says too little is found before a night, and so is one that is not there.
    let path = "pipelines/items/digest.vi.md";
    let whole = std::fs::read_to_string(world.root().join(path)).unwrap();
    world.put(path, whole.replace("{{ refuse_url }}", "{{ portal }}").replace("{{ contact }}", "").as_bytes());
    let said = world.chudong(&["check"]).with(1).err;
    for what in ["the letter of several does not say how to refuse", "does not say where to ask"] {
        assert!(said.contains("error[letter.says-too-little]") && said.contains(what), "{said}");
    }
    std::fs::remove_file(world.root().join(path)).unwrap();
    world.chudong(&["check"]).with(0);
    world.edit(
        "pipelines/an-binh/pipeline.toml",
        ANY_TIME,
        "attention = { quiet = \"never\", tet = \"open\", digest = true }",
    );
    let said = world.chudong(&["check"]).with(1).err;
    assert!(said.contains("error[letter.no-digest-template]") && said.contains(path), "{said}");
}

#[test]
fn a_preview_shows_the_worst_case() {
    let world = World::of("an-binh");
    let show = |arguments: &[&str]| world.chudong(&[&["preview", "vehicle_inspection"], arguments].concat());
    let odd = show(&["--with", "odd", "--language", "en"]).with(0).out;
    insta::assert_snapshot!("preview_odd", odd);
    // A name is one line, whatever it holds: no header, no tag, no turned text.
    assert!(!odd.lines().any(|line| line.starts_with("Bcc")) && !odd.contains('\u{202E}'), "{odd}");
    let all = show(&[]).with(0).out;
    for case in ["======== longest", "======== empty", "======== odd"] {
        assert!(all.contains(case), "{all}");
    }
    let html = show(&["--with", "odd", "--part", "html"]).with(0).out;
    assert!(html.starts_with("<!DOCTYPE html>") && !html.contains("<b>"), "{html}");
    let folder = world.temporary().join("out");
    show(&["--part", "eml", "--with", "longest", "--out", folder.to_str().unwrap()]).with(0);
    let path = folder.join("vehicle_inspection.vi.longest.eml");
    // Its longest line is broken between words, so that no part of it needs an encoding.
    let eml = std::fs::read_to_string(&path).unwrap();
    assert_eq!(eml.matches("Content-Transfer-Encoding: 8bit").count(), 2);
    assert!(eml.split("\r\n").all(|line| line.len() <= 998), "{eml}");
    assert!(MessageParser::new().parse(eml.as_bytes()).unwrap().body_html(0).unwrap().contains("Công Tằng Tôn Nữ"));
    let ended = world.chudong(&["preview", "nothing"]).with(1);
    assert!(ended.err.contains("error[cli.unknown-item]"), "{}", ended.err);
    assert!(!world.state().exists(), "a preview keeps no state");
}
