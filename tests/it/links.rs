#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use chudong::personal::links::{Error, LIFETIME_DAYS, Links, Refusal};
use chudong::personal::{Personal, PseudonymKey};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;

const BASE: &str = "https://nhac.example";
const ISSUED: Date = date(2026, 11, 21);

fn key(byte: u8) -> PseudonymKey {
    PseudonymKey::new([byte; 32])
}

fn subject(number: &str) -> String {
    key(7).pseudonym(&Personal::new(number.to_owned()))
}

fn links() -> Links {
    Links::new(&key(7), BASE)
}

#[test]
fn a_link_says_nothing_about_the_person() {
    let subject = subject("001090000001");
    let link = links().refuse(&subject, Some("driving_licence"), Some("smtp"), ISSUED).unwrap();
    assert!(link.starts_with("https://nhac.example/refuse/"), "{link}");
    let token = link.rsplit_once('/').unwrap().1;
    assert!(token.bytes().all(|b| b.is_ascii_hexdigit()) && !token.contains(&subject), "{link}");
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    assert!(!token.contains(&hex("driving")) && !token.contains(&hex("smtp")), "{link}");
    // The same letter written again has the same link; another day, person, item or channel has another.
    assert_eq!(link, links().refuse(&subject, Some("driving_licence"), Some("smtp"), ISSUED).unwrap());
    let others = [
        links().refuse(&subject, Some("driving_licence"), Some("smtp"), date(2026, 11, 22)),
        links().refuse(&subject, Some("driving_licence"), None, ISSUED),
        links().refuse(&subject, None, Some("smtp"), ISSUED),
        links().refuse(&self::subject("001090000002"), Some("driving_licence"), Some("smtp"), ISSUED),
    ];
    assert!(others.iter().all(|other| *other.as_ref().unwrap() != link));
}

#[test]
fn a_short_link_holds_the_key_of_its_message_and_a_signature() {
    let message = "0123456789abcdef0123456789abcdef";
    let link = links().brief(message).unwrap();
    assert_eq!(link.len(), BASE.len() + "/refuse/".len() + 48, "{link}");
    let token = link.rsplit_once('/').unwrap().1;
    assert_eq!(links().open_brief(token).as_deref(), Some(message));
    // It is no long link, and a long one is no short one.
    assert_eq!(links().open(token, ISSUED), Err(Error::Forged));
    let long = links().refuse(&subject("1"), None, None, ISSUED).unwrap();
    assert_eq!(links().open_brief(long.rsplit_once('/').unwrap().1), None);
    assert_eq!(Links::new(&key(8), BASE).open_brief(token), None);
    for at in 0..token.len() {
        let digit = if token.as_bytes().get(at) == Some(&b'0') { "1" } else { "0" };
        let mut changed = token.to_owned();
        changed.replace_range(at..=at, digit);
        assert_eq!(links().open_brief(&changed), None, "{at}");
    }
    assert_eq!(links().brief("0123"), Err(Error::TooLong));
}

#[test]
fn a_link_ends_after_its_days() {
    let link = links().refuse(&subject("1"), None, None, ISSUED).unwrap();
    let at = |days: i32| links().open(&link, ISSUED.saturating_add(days.days())).map(|refusal| refusal.issued_on);
    assert_eq!(at(0), Ok(ISSUED));
    // A letter of tomorrow's date may be opened on its eve.
    assert_eq!(at(-1), Ok(ISSUED));
    assert_eq!(at(-2), Err(Error::NotYet));
    assert_eq!(at(LIFETIME_DAYS), Ok(ISSUED));
    assert_eq!(at(LIFETIME_DAYS + 1), Err(Error::Expired));
}

#[test]
fn another_key_opens_nothing() {
    let link = links().refuse(&subject("1"), None, None, ISSUED).unwrap();
    assert_eq!(Links::new(&key(8), BASE).open(&link, ISSUED), Err(Error::Forged));
    assert_eq!(links().refuse("not a pseudonym", None, None, ISSUED), Err(Error::TooLong));
    assert_eq!(links().refuse(&subject("1"), Some(&"x".repeat(256)), None, ISSUED), Err(Error::TooLong));
}

proptest! {
    #[test]
    fn what_is_made_is_opened_and_nothing_else(
        number in "[0-9]{1,12}",
        item in prop::option::of("[a-z_]{1,40}"),
        channel in prop::option::of("[a-z_]{1,20}"),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let subject = subject(&number);
        let link = links().refuse(&subject, item.as_deref(), channel.as_deref(), ISSUED).unwrap();
        let expected = Refusal { subject, item, channel, issued_on: ISSUED };
        prop_assert_eq!(links().open(&link, ISSUED), Ok(expected.clone()));
        let token = link.rsplit_once('/').unwrap().1;
        prop_assert_eq!(links().open(token, ISSUED), Ok(expected));
        // Any change of any byte is seen.
        let mut bytes: Vec<u8> = (0..token.len()).step_by(2).map(|i| u8::from_str_radix(token.get(i..i + 2).unwrap(), 16).unwrap()).collect();
        let at = at.index(bytes.len());
        *bytes.get_mut(at).unwrap() ^= flip;
        let changed: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        prop_assert_eq!(links().open(&changed, ISSUED), Err(Error::Forged));
        prop_assert_eq!(links().open(token.get(..at).unwrap(), ISSUED), Err(Error::Forged));
    }

    #[test]
    fn no_text_does_harm(text in any::<String>()) {
        prop_assert!(links().open(&text, ISSUED).is_err());
    }
}
