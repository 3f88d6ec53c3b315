//! A mobile number of Vietnam, in the one form that every channel takes.
//!
//! Registers hold numbers as they were written down: with spaces and dots, with `+84`, `0084` or a zero in front, and
//! with the eleven digits that were given out until 2018. This module must not know whose number it is.

use std::fmt;
use std::str::FromStr;

/// A mobile number, `84` and nine digits. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// A text that is not a mobile number of Vietnam. It does not hold the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPhone {
    /// There is something other than digits and the usual marks between them, or too few or too many of them.
    #[error("not a telephone number")]
    NotANumber,
    /// It is a number of another country.
    #[error("not a number of Vietnam")]
    Foreign,
    /// It is a fixed line or a service number, which takes no message.
    #[error("not a mobile number")]
    NotMobile,
}

/// The prefixes of eleven-digit numbers and those that took their place, from 15 September 2018 (plan of the Ministry of
/// Information and Communications on changing the codes of mobile networks, Decision 798/QĐ-BTTTT).
const RENUMBERED: [(&str, &str); 21] = [
    ("120", "70"),
    ("121", "79"),
    ("122", "77"),
    ("126", "76"),
    ("128", "78"),
    ("123", "83"),
    ("124", "84"),
    ("125", "85"),
    ("127", "81"),
    ("129", "82"),
    ("162", "32"),
    ("163", "33"),
    ("164", "34"),
    ("165", "35"),
    ("166", "36"),
    ("167", "37"),
    ("168", "38"),
    ("169", "39"),
    ("186", "56"),
    ("188", "58"),
    ("199", "59"),
];

impl Phone {
    /// The digits, `84…`, for the message to that person and for keyed hashing only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Phone {
    type Err = BadPhone;

    fn from_str(text: &str) -> Result<Self, BadPhone> {
        let text = text.trim();
        let (has_plus, text) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        let is_mark = |c: char| matches!(c, ' ' | '\u{a0}' | '.' | '-' | '(' | ')' | '/');
        if text.chars().any(|c| !c.is_ascii_digit() && !is_mark(c)) {
            return Err(BadPhone::NotANumber);
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let national = national(&digits, has_plus)?;
        let renumbered = RENUMBERED.iter().find_map(|(old, new)| Some(format!("{new}{}", national.strip_prefix(old)?)));
        let subscriber = match (national.len(), renumbered) {
            (9, _) => national.to_owned(),
            (10, Some(renumbered)) => renumbered,
            // Fixed lines begin with 2 and have ten digits after the zero.
            (10, None) if national.starts_with('2') => return Err(BadPhone::NotMobile),
            (3..=8, _) => return Err(BadPhone::NotMobile),
            _ => return Err(BadPhone::NotANumber),
        };
        if !subscriber.starts_with(['3', '5', '7', '8', '9']) {
            return Err(BadPhone::NotMobile);
        }
        Ok(Phone(format!("84{subscriber}")))
    }
}

/// The digits after the zero or the country's code.
fn national(digits: &str, has_plus: bool) -> Result<&str, BadPhone> {
    let abroad = digits.strip_prefix("00").or(has_plus.then_some(digits));
    if let Some(abroad) = abroad {
        // `+84 (0) 91…` is written often.
        let national = abroad.strip_prefix("84").ok_or(BadPhone::Foreign)?;
        return Ok(national.strip_prefix('0').unwrap_or(national));
    }
    if let Some(national) = digits.strip_prefix('0') {
        return Ok(national);
    }
    match digits.strip_prefix("84") {
        // Nine digits that begin with 84 are a number that lost its zero in a spreadsheet.
        Some(national) if digits.len() >= 11 => Ok(national.strip_prefix('0').unwrap_or(national)),
        _ => Ok(digits),
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phone]")
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phone]")
    }
}
