//! Web addresses by which a person refuses reminders: signed, expiring, and nothing about the person to be read in them.
//!
//! A token is a version, and the day of issue, the subject's keyed pseudonym, the item and the channel, sealed
//! with ChaCha20-Poly1305 (RFC 8439) under a key derived from the pseudonym key by HMAC-SHA-256. The nonce is a
//! HMAC-SHA-256 of what is sealed, so that the same letter written again has the same bytes, and so that whoever
//! reads a mail server's log learns neither whom nor which obligation a link is about. It is one-click
//! unsubscription (RFC 8058): the link has to work without a log-in.
//!
//! A text message has no room for that: its token is the key of the message, which is keyed itself, with a signature,
//! and the ledger knows what the message was about. This module must not know who asks, nor what
//! is done with the answer.

use jiff::ToSpan;
use jiff::civil::Date;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::{PseudonymKey, hex};
use crate::fault::{Explain, Place};

/// How long a link can be used after its letter was written, in days: a person may refuse on the letter of last year.
pub const LIFETIME_DAYS: i32 = 400;

/// The first part of the path, before the token.
pub const PATH: &str = "/refuse/";

/// The layout of a token. A later layout gets another number, and the links of letters that are out stay valid.
const VERSION: u8 = 1;

const NONCE_BYTES: usize = 12;
const SUBJECT_BYTES: usize = 16;
/// Year in two bytes, month, day.
const DATE_BYTES: usize = 4;
/// No token of ours is longer, in characters; what is longer is not looked at.
const TOKEN_CHARACTERS_MAX: usize = 512;

/// Bytes of a message key and of the signature behind it.
const KEY_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 8;

/// What a link stands for: this subject refuses this item over this channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The subject, as keyed pseudonym.
    pub subject: String,
    /// The item; none for all of them.
    pub item: Option<String>,
    /// The channel; none for all of them.
    pub channel: Option<String>,
    /// The day of the letter that held the link.
    pub issued_on: Date,
}

/// Why a link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was cut off, changed, or made with another key.
    #[error("the link is not one that this agency signed")]
    Forged,
    /// It is older than [`LIFETIME_DAYS`].
    #[error("the link was issued more than {LIFETIME_DAYS} days ago")]
    Expired,
    /// It is of a day to come.
    #[error("the link was issued on a day that has not come")]
    NotYet,
    /// A name does not fit into a link, or the subject is no pseudonym.
    #[error("a link cannot be made: an item or a channel is longer than 255 bytes, or the subject is no pseudonym")]
    TooLong,
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Forged => "links.not-signed",
            Error::Expired => "links.expired",
            Error::NotYet => "links.from-the-future",
            Error::TooLong => "links.too-long",
        }
    }

    fn place(&self) -> Place {
        Place::Thing("a link by which reminders are refused".into())
    }

    fn next(&self) -> String {
        match self {
            Error::Forged => {
                "take the whole link as it stands in the letter; the agency's contact is in the letter too"
            }
            Error::Expired => "take the link of a newer letter, or write to the agency",
            Error::NotYet => "set the clock of this machine",
            Error::TooLong => "shorten the name of the item or of the channel",
        }
        .into()
    }
}

/// Makes and opens links under the agency's key.
#[derive(Debug, Clone)]
pub struct Links {
    key: PseudonymKey,
    base_url: String,
}

impl Links {
    /// Links that lead to the serving process at `base_url`, with or without a slash at its end.
    pub fn new(key: &PseudonymKey, base_url: &str) -> Self {
        Links { key: key.clone(), base_url: base_url.trim_end_matches('/').to_owned() }
    }

    /// The address by which a subject (its keyed pseudonym) refuses an item over a channel; none of either is all
    /// of them. `issued_on` is the day of the letter: the same letter has the same link.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] where a name has more than 255 bytes or the subject is not 32 hexadecimal digits.
    pub fn refuse(
        &self,
        subject: &str,
        item: Option<&str>,
        channel: Option<&str>,
        issued_on: Date,
    ) -> Result<String, Error> {
        let mut plain = Vec::with_capacity(64);
        plain.extend(issued_on.year().to_be_bytes());
        plain.extend(issued_on.month().to_be_bytes());
        plain.extend(issued_on.day().to_be_bytes());
        let subject = unhex(subject).filter(|bytes| bytes.len() == SUBJECT_BYTES).ok_or(Error::TooLong)?;
        plain.extend(subject);
        for name in [item, channel] {
            let name = name.unwrap_or_default();
            plain.push(u8::try_from(name.len()).map_err(|_| Error::TooLong)?);
            plain.extend(name.as_bytes());
        }
        let nonce = self.nonce(&plain);
        let cipher = self.cipher().ok_or(Error::TooLong)?;
        let sealed =
            cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from([VERSION]), &mut plain);
        sealed.map_err(|_| Error::TooLong)?;
        Ok(format!("{}{PATH}{}", self.base_url, hex(&[&[VERSION], nonce.as_slice(), &plain].concat())))
    }

    /// The short address by which the recipient of one message refuses its item over its channel: for text messages.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] where the key of the message is not 32 hexadecimal digits.
    pub fn brief(&self, message: &str) -> Result<String, Error> {
        let key = unhex(message).filter(|bytes| bytes.len() == KEY_BYTES).ok_or(Error::TooLong)?;
        Ok(format!("{}{PATH}{}{}", self.base_url, hex(&key), hex(&self.signature(&key))))
    }

    /// The key of the message that a short link was made for; none where it is no short link of ours.
    pub fn open_brief(&self, token: &str) -> Option<String> {
        let bytes = unhex(token).filter(|bytes| bytes.len() == KEY_BYTES + SIGNATURE_BYTES)?;
        let (key, signature) = bytes.split_at_checked(KEY_BYTES)?;
        // How long a comparison takes tells nothing of use: what is signed is no secret to whoever holds it.
        (signature == self.signature(key)).then(|| hex(key))
    }

    fn signature(&self, key: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let digest = self.key.digest("brief link", &[key]);
        let mut signature = [0; SIGNATURE_BYTES];
        signature.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        signature
    }

    /// Opens the token of a link, or the whole link.
    ///
    /// # Errors
    ///
    /// [`Error::Forged`] for everything that these links did not make, [`Error::Expired`] and [`Error::NotYet`] by
    /// the day. A letter that is written on the eve for the next day is not of the future.
    pub fn open(&self, token: &str, today: Date) -> Result<Refusal, Error> {
        let token = token.rsplit_once(PATH).map_or(token, |(_, token)| token);
        if token.len() > TOKEN_CHARACTERS_MAX {
            return Err(Error::Forged);
        }
        let refusal = self.unseal(token).ok_or(Error::Forged)?;
        if refusal.issued_on > today.saturating_add(1.day()) {
            return Err(Error::NotYet);
        }
        if refusal.issued_on.saturating_add(LIFETIME_DAYS.days()) < today {
            return Err(Error::Expired);
        }
        Ok(refusal)
    }

    fn unseal(&self, token: &str) -> Option<Refusal> {
        let bytes = unhex(token)?;
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.cipher()?.open_in_place(nonce, Aad::from([VERSION]), &mut sealed).ok()?;
        let (date, rest) = plain.split_at_checked(DATE_BYTES)?;
        let (subject, rest) = rest.split_at_checked(SUBJECT_BYTES)?;
        let (item, rest) = name(rest)?;
        let (channel, rest) = name(rest)?;
        let [high, low, month, day] = date else { return None };
        let year = i16::from_be_bytes([*high, *low]);
        let issued_on = Date::new(year, i8::from_be_bytes([*month]), i8::from_be_bytes([*day])).ok()?;
        rest.is_empty().then(|| Refusal { subject: hex(subject), item, channel, issued_on })
    }

    /// Two different texts have the same nonce with the chance of 2⁻⁹⁶ for each pair.
    fn nonce(&self, plain: &[u8]) -> [u8; NONCE_BYTES] {
        let digest = self.key.digest("link nonce", &[&[VERSION], plain]);
        let mut nonce = [0; NONCE_BYTES];
        nonce.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        nonce
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = self.key.digest("link key", &[&[VERSION]]);
        UnboundKey::new(&CHACHA20_POLY1305, &key).ok().map(LessSafeKey::new)
    }
}

/// A name with its length before it; an empty one is none.
fn name(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let name = std::str::from_utf8(name).ok()?;
    Some(((!name.is_empty()).then(|| name.to_owned()), rest))
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits.chunks_exact(2).map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None }).collect()
}
