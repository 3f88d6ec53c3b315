//! Text in NFC, and bytes.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::quick::{has_controls, is_plain_text};
use super::{Raw, Reason};
use crate::sources::TEXT_BYTES_MAX;

/// A text as it lands.
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether it had to be brought to NFC.
    pub(super) is_normalised: bool,
}

impl<'a> Text<'a> {
    fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        Text { text: text.into(), is_normalised: false }
    }
}

/// The text in NFC.
pub(super) fn text(raw: Raw<'_>) -> Result<Option<Text<'_>>, Reason> {
    let bytes = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Text(bytes) | Raw::Field(bytes) => bytes,
        Raw::Uuid(bytes) => return Ok(Some(Text::plain(uuid_text(bytes)))),
        // Written as digits, an exact number is as exact as before.
        Raw::Digits(bytes) => bytes,
        Raw::Decimal { unscaled, scale } => return Ok(Some(Text::plain(super::numbers::written(unscaled, scale)))),
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotText),
    };
    let text = utf8(bytes)?;
    let is_plain = is_plain_text(bytes) || is_plain_vietnamese(text);
    // Nobody sees them, and not all that comes later can hold them: PostgreSQL has no NUL, XML hardly any of them.
    if !is_plain && has_controls(bytes) {
        return Err(Reason::ControlCharacter);
    }
    if is_plain || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return if text.len() > TEXT_BYTES_MAX { Err(Reason::TooLong) } else { Ok(Some(Text::plain(text))) };
    }
    // Normalising cannot make a text shorter than a third, so a huge one need not be normalised to be refused.
    if text.len() > 4 * TEXT_BYTES_MAX {
        return Err(Reason::TooLong);
    }
    let composed: String = text.nfc().collect();
    if composed.len() > TEXT_BYTES_MAX {
        return Err(Reason::TooLong);
    }
    // The quick check may be unsure about a text that was in NFC all the same.
    if composed == text {
        return Ok(Some(Text::plain(text)));
    }
    Ok(Some(Text { text: Cow::Owned(composed), is_normalised: true }))
}

/// Vietnamese needs ASCII, letters below U+0300, and the precomposed block from U+1EA0 to U+1EF9: none of these is
/// ever changed by NFC where nothing else stands beside them. They are told by their bytes, which is quicker than to
/// put each letter together. No ASCII control character is among them; of a text with a tab or a line end the library
/// is asked.
fn is_plain_vietnamese(text: &str) -> bool {
    let mut bytes = text.as_bytes();
    loop {
        bytes = match bytes {
            [] => return true,
            [b' '..=b'~', rest @ ..]
            | [0xc2..=0xcb, _, rest @ ..]
            | [0xe1, 0xba, 0xa0..=0xbf, rest @ ..]
            | [0xe1, 0xbb, 0x80..=0xb9, rest @ ..] => rest,
            _ => return false,
        };
    }
}

/// The bytes; of a file without types in hexadecimal, with or without PostgreSQL's `\x` before them.
pub(super) fn bytes(raw: Raw<'_>) -> Result<Option<Cow<'_, [u8]>>, Reason> {
    let bytes = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Bytes(bytes) => Cow::Borrowed(bytes),
        Raw::Field(digits) => {
            let digits = digits.strip_prefix(b"\\x").unwrap_or(digits);
            if digits.len() > 2 * TEXT_BYTES_MAX {
                return Err(Reason::TooManyBytes);
            }
            Cow::Owned(hexadecimal(digits).ok_or(Reason::NotBytes)?)
        }
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotBytes),
    };
    if bytes.len() > TEXT_BYTES_MAX { Err(Reason::TooManyBytes) } else { Ok(Some(bytes)) }
}

fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, as PostgreSQL writes it.
fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = crate::personal::hex(&bytes);
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    text
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(bytes).map_err(|_| Reason::InvalidUtf8)
}
