//! Web addresses by which a person refuses reminders: signed, expiring, and nothing about the person to be read in them.
//!
//! A token (`token`) seals the day of issue, the subject's keyed pseudonym, the item and the channel: whoever
//! reads a mail server's log learns neither whom nor which obligation a link is about. It is one-click
//! unsubscription (RFC 8058): the link has to work without a log-in.
//!
//! A text message has no room for that: its token is the key of the message, which is keyed itself, with a signature,
//! and the ledger knows what the message was about. This module must not know who asks, nor what
//! is done with the answer.

use jiff::ToSpan;
use jiff::civil::Date;

use super::PseudonymKey;
use super::token::{self, Purpose, Tokens};
use crate::fault::{Explain, Place};

/// How long a link can be used after its letter was written, in days: a person may refuse on the letter of last year.
pub const LIFETIME_DAYS: i32 = 400;

/// The first part of the path, before the token.
pub const PATH: &str = "/refuse/";

/// No token of ours is longer, in characters; what is longer is not looked at.
const TOKEN_CHARACTERS_MAX: usize = 512;

/// What keeps these links apart from others.
const PURPOSE: Purpose = Purpose { key: "link key", nonce: "link nonce", brief: "brief link", signature_bytes: 8 };

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
    tokens: Tokens,
    base_url: String,
}

impl Links {
    /// Links that lead to the serving process at `base_url`, with or without a slash at its end.
    pub fn new(key: &PseudonymKey, base_url: &str) -> Self {
        Links { tokens: Tokens::new(key, PURPOSE), base_url: base_url.trim_end_matches('/').to_owned() }
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
        token::put_date(&mut plain, issued_on);
        plain.extend(token::number_bytes(subject).ok_or(Error::TooLong)?);
        for name in [item, channel] {
            let name = name.unwrap_or_default();
            plain.push(u8::try_from(name.len()).map_err(|_| Error::TooLong)?);
            plain.extend(name.as_bytes());
        }
        let token = self.tokens.seal(plain).ok_or(Error::TooLong)?;
        Ok(format!("{}{PATH}{token}", self.base_url))
    }

    /// The short address by which the recipient of one message refuses its item over its channel: for text messages.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] where the key of the message is not 32 hexadecimal digits.
    pub fn brief(&self, message: &str) -> Result<String, Error> {
        let token = self.tokens.brief(message).ok_or(Error::TooLong)?;
        Ok(format!("{}{PATH}{token}", self.base_url))
    }

    /// The key of the message that a short link was made for; none where it is no short link of ours.
    pub fn open_brief(&self, token: &str) -> Option<String> {
        self.tokens.open_brief(token)
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
        let plain = self.tokens.open(token)?;
        let (issued_on, rest) = token::take_date(&plain)?;
        let (subject, rest) = token::take_number(rest)?;
        let (item, rest) = name(rest)?;
        let (channel, rest) = name(rest)?;
        rest.is_empty().then_some(Refusal { subject, item, channel, issued_on })
    }
}

/// A name with its length before it; an empty one is none.
fn name(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let name = std::str::from_utf8(name).ok()?;
    Some(((!name.is_empty()).then(|| name.to_owned()), rest))
}
