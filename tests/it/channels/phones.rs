//! Numbers as registers hold them.

use chudong::reminders::phone::{BadPhone, Phone};
use proptest::prelude::*;

fn read(text: &str) -> Result<String, BadPhone> {
    text.parse::<Phone>().map(|phone| phone.reveal().to_owned())
}

#[test]
fn a_number_has_one_form_however_it_was_written() {
    for text in [
        "0912345678",
        "84912345678",
        "+84912345678",
        "0084912345678",
        "+84 (0) 912 345 678",
        " 091.234.5678 ",
        "0912-345-678",
        "912345678",
        "091\u{a0}2345678",
    ] {
        assert_eq!(read(text).as_deref(), Ok("84912345678"), "{text}");
    }
    // The plan of 2018: eleven digits became ten.
    for (old, new) in
        [("01651234567", "84351234567"), ("+841201234567", "84701234567"), ("0199 123 4567", "84591234567")]
    {
        assert_eq!(read(old).as_deref(), Ok(new), "{old}");
    }
}

#[test]
fn what_takes_no_message_is_told_apart() {
    for (text, why) in [
        ("", BadPhone::NotANumber),
        ("không có", BadPhone::NotANumber),
        ("0912345678; 0987654321", BadPhone::NotANumber),
        ("09123456789", BadPhone::NotANumber),
        ("02438223344", BadPhone::NotMobile),
        ("0412345678", BadPhone::NotMobile),
        ("19001234", BadPhone::NotMobile),
        ("113", BadPhone::NotMobile),
        ("+12025550123", BadPhone::Foreign),
        ("0044 20 7946 0000", BadPhone::Foreign),
    ] {
        assert_eq!(read(text), Err(why), "{text}");
    }
    let phone: Phone = "0912345678".parse().unwrap();
    assert!(!format!("{phone:?}{phone}").contains("912"), "a number is not shown by accident");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_stays(text in "\\PC{0,24}|[+0-9 .()-]{0,20}") {
        if let Ok(number) = read(&text) {
            prop_assert_eq!(number.len(), 11);
            prop_assert!(number.starts_with("84") && number.bytes().all(|byte| byte.is_ascii_digit()));
            let again = read(&number);
            prop_assert_eq!(again, Ok(number));
        }
    }
}
