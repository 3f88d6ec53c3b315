//! Web addresses that lead one person to one prepared dossier: signed, expiring, and nothing to be read in them.
//!
//! A token (`token`) seals the day of issue, the last day, the subject's keyed pseudonym and the dossier's number.
//! Whoever holds the link sees the dossier:
//! that is why it ends with the obligation, why it is in the letter to the person alone, and why what it leads to holds
//! nothing that the letter's reader does not know of themselves. A short address, for text messages, is the dossier's
//! number and a signature. This module must not know what a dossier is.

use jiff::ToSpan;
use jiff::civil::Date;

use super::PseudonymKey;
use super::token::{self, DATE_BYTES, NUMBER_BYTES, Purpose, Tokens};
use crate::fault::{Explain, Place};

/// The first part of the path, before the token.
pub const DOSSIER_PATH: &str = "/dossier/";

/// How long a token is, in hexadecimal digits.
const TOKEN_DIGITS: usize = token::digits(2 * DATE_BYTES + 2 * NUMBER_BYTES);

/// What keeps these links apart from others.
const PURPOSE: Purpose =
    Purpose { key: "dossier link key", nonce: "dossier link nonce", brief: "brief dossier link", signature_bytes: 12 };

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DossierLink {
    /// Whose dossier it is, as keyed pseudonym.
    pub subject: String,
    /// The dossier's number.
    pub dossier: String,
    /// The day of the letter that held the link.
    pub issued_on: Date,
    /// The last day on which it can be used.
    pub expires_on: Date,
}

/// Why a link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was cut off, changed, or made with another key.
    #[error("the link is not one that this agency signed")]
    Forged,
    /// Its last day went by.
    #[error("the last day of the link went by")]
    Expired,
    /// It is of a day to come.
    #[error("the link was issued on a day that has not come")]
    NotYet,
    /// The subject is no pseudonym, or the dossier's number no number.
    #[error("a link cannot be made: the subject or the dossier is not 32 hexadecimal digits")]
    NoNumber,
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Forged => "dossier-links.not-signed",
            Error::Expired => "dossier-links.expired",
            Error::NotYet => "dossier-links.from-the-future",
            Error::NoNumber => "dossier-links.no-number",
        }
    }

    fn place(&self) -> Place {
        Place::Thing("a link to a prepared dossier".into())
    }

    fn next(&self) -> String {
        match self {
            Error::Forged => "take the whole link as it stands in the letter",
            Error::Expired => "take the link of a newer letter, or write to the agency",
            Error::NotYet => "set the clock of this machine",
            Error::NoNumber => "report this: numbers of dossiers are made by chudong",
        }
        .into()
    }
}

/// Makes and opens links to dossiers under the agency's key.
#[derive(Debug, Clone)]
pub struct DossierLinks {
    tokens: Tokens,
    base_url: String,
}

impl DossierLinks {
    /// Links that lead to the serving process at `base_url`, with or without a slash at its end.
    pub fn new(key: &PseudonymKey, base_url: &str) -> Self {
        DossierLinks { tokens: Tokens::new(key, PURPOSE), base_url: base_url.trim_end_matches('/').to_owned() }
    }

    /// The address of a dossier.
    ///
    /// # Errors
    ///
    /// [`Error::NoNumber`] where subject or dossier is not 32 hexadecimal digits.
    pub fn make(&self, link: &DossierLink) -> Result<String, Error> {
        let mut plain = Vec::with_capacity(TOKEN_DIGITS);
        for date in [link.issued_on, link.expires_on] {
            token::put_date(&mut plain, date);
        }
        for number in [&link.subject, &link.dossier] {
            plain.extend(token::number_bytes(number).ok_or(Error::NoNumber)?);
        }
        let token = self.tokens.seal(plain).ok_or(Error::NoNumber)?;
        Ok(format!("{}{DOSSIER_PATH}{token}", self.base_url))
    }

    /// The short address of a dossier, for text messages: its number, which nobody can guess, and a signature. Whose it is
    /// and until when, the ledger knows.
    ///
    /// # Errors
    ///
    /// [`Error::NoNumber`] where the dossier is not 32 hexadecimal digits.
    pub fn brief(&self, dossier: &str) -> Result<String, Error> {
        let token = self.tokens.brief(dossier).ok_or(Error::NoNumber)?;
        Ok(format!("{}{DOSSIER_PATH}{token}", self.base_url))
    }

    /// The dossier that a short address was made for; none where it is no short address of ours.
    pub fn open_brief(&self, token: &str) -> Option<String> {
        let token = token.rsplit_once(DOSSIER_PATH).map_or(token, |(_, token)| token);
        self.tokens.open_brief(token)
    }

    /// Opens the token of a link, or the whole link.
    ///
    /// # Errors
    ///
    /// [`Error::Forged`] for everything that these links did not make, [`Error::Expired`] and [`Error::NotYet`] by
    /// the day. A letter that is written on the eve for the next day is not of the future.
    pub fn open(&self, token: &str, today: Date) -> Result<DossierLink, Error> {
        let token = token.rsplit_once(DOSSIER_PATH).map_or(token, |(_, token)| token);
        if token.len() != TOKEN_DIGITS {
            return Err(Error::Forged);
        }
        let link = self.unseal(token).ok_or(Error::Forged)?;
        if link.issued_on > today.saturating_add(1.day()) {
            return Err(Error::NotYet);
        }
        if link.expires_on < today {
            return Err(Error::Expired);
        }
        Ok(link)
    }

    fn unseal(&self, token: &str) -> Option<DossierLink> {
        let plain = self.tokens.open(token)?;
        let (issued_on, rest) = token::take_date(&plain)?;
        let (expires_on, rest) = token::take_date(rest)?;
        let (subject, rest) = token::take_number(rest)?;
        let (dossier, rest) = token::take_number(rest)?;
        rest.is_empty().then_some(DossierLink { subject, dossier, issued_on, expires_on })
    }
}
