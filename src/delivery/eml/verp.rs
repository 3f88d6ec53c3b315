//! Envelope senders that say which message came back (VERP), and that nobody else can make.
//!
//! `bounce+<message>.<tag>@<domain>`: the message is the local part of its Message-ID, 32 hexadecimal digits; the tag
//! is 64 bits of a keyed digest over it. Who has not had the message cannot report it as undeliverable: there are 2⁶⁴
//! tags to try, each at the price of a message. This module must not know what a report says.

use lettre::Address;

use crate::personal::{PseudonymKey, hex};

/// What every envelope sender of ours begins with; the mail server delivers all of `bounce+…` into one mailbox
/// (Postfix: `recipient_delimiter = +`).
const PREFIX: &str = "bounce+";
/// Digits of the message's name.
const MESSAGE_DIGITS: usize = 32;
/// Bytes of the tag; with the rest it stays below the 64 octets of a local part (RFC 5321, 4.5.3.1.1).
const TAG_BYTES: usize = 8;

/// What the recipient of a report says about the message that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The local part of the Message-ID; the tag is ours.
    Message(String),
    /// It has the form of an envelope sender of ours, and a tag that we did not make.
    Forged,
    /// It is no envelope sender of ours.
    None,
}

/// The envelope sender of a message: `message` is the local part of its Message-ID.
///
/// # Errors
///
/// Where `domain` is not one.
pub fn envelope_sender(
    message: &str,
    key: &PseudonymKey,
    domain: &str,
) -> Result<Address, lettre::address::AddressError> {
    Address::new(format!("{PREFIX}{message}.{}", tag(message, key)), domain)
}

/// Reads the address to which a report was sent. Upper and lower case are alike: some servers change them.
pub fn sign(address: &str, key: &PseudonymKey) -> Sign {
    let local = address.trim().trim_matches(['<', '>']).rsplit_once('@').map_or("", |(local, _)| local);
    let local = local.to_ascii_lowercase();
    let Some((message, tagged)) = local.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')) else {
        return Sign::None;
    };
    let is_name = message.len() == MESSAGE_DIGITS && message.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_name {
        return Sign::None;
    }
    if is_equal(tagged.as_bytes(), tag(message, key).as_bytes()) {
        Sign::Message(message.to_owned())
    } else {
        Sign::Forged
    }
}

fn tag(message: &str, key: &PseudonymKey) -> String {
    hex(key.digest("envelope-sender", &[message.as_bytes()]).get(..TAG_BYTES).unwrap_or_default())
}

/// Takes as long for a tag that is nearly right as for any other.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
