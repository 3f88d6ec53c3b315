//! Web addresses that lead one person to one prepared dossier: signed, expiring, and nothing to be read in them.
//!
//! A token is a version, and the day of issue, the last day, the subject's keyed pseudonym and the dossier's number,
//! sealed with ChaCha20-Poly1305 (RFC 8439) under a key derived from the pseudonym key. The nonce is a keyed digest of
//! what is sealed, so that the same letter written again has the same bytes. Whoever holds the link sees the dossier:
//! that is why it ends with the obligation, why it is in the letter to the person alone, and why what it leads to holds
//! nothing that the letter's reader does not know of themselves. A short address, for text messages, is the dossier's
//! number and a signature. This module must not know what a dossier is.

use jiff::ToSpan;
use jiff::civil::Date;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::unhex;
use super::{PseudonymKey, hex};
use crate::fault::{Explain, Place};

/// The first part of the path, before the token.
pub const DOSSIER_PATH: &str = "/dossier/";

/// The layout of a token.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const SUBJECT_BYTES: usize = 16;
const DOSSIER_BYTES: usize = 16;
/// Of the signature of a short address.
const SIGNATURE_BYTES: usize = 12;
/// Year in two bytes, month, day.
const DATE_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// How long a token is, in hexadecimal digits.
const TOKEN_DIGITS: usize = 2 * (1 + NONCE_BYTES + 2 * DATE_BYTES + SUBJECT_BYTES + DOSSIER_BYTES + TAG_BYTES);

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
    key: PseudonymKey,
    base_url: String,
}

impl DossierLinks {
    /// Links that lead to the serving process at `base_url`, with or without a slash at its end.
    pub fn new(key: &PseudonymKey, base_url: &str) -> Self {
        DossierLinks { key: key.clone(), base_url: base_url.trim_end_matches('/').to_owned() }
    }

    /// The address of a dossier.
    ///
    /// # Errors
    ///
    /// [`Error::NoNumber`] where subject or dossier is not 32 hexadecimal digits.
    pub fn make(&self, link: &DossierLink) -> Result<String, Error> {
        let mut plain = Vec::with_capacity(TOKEN_DIGITS);
        for date in [link.issued_on, link.expires_on] {
            plain.extend(date.year().to_be_bytes());
            plain.extend(date.month().to_be_bytes());
            plain.extend(date.day().to_be_bytes());
        }
        for (number, length) in [(&link.subject, SUBJECT_BYTES), (&link.dossier, DOSSIER_BYTES)] {
            plain.extend(unhex(number).filter(|bytes| bytes.len() == length).ok_or(Error::NoNumber)?);
        }
        let nonce = self.nonce(&plain);
        let cipher = self.cipher().ok_or(Error::NoNumber)?;
        let sealed =
            cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from([VERSION]), &mut plain);
        sealed.map_err(|_| Error::NoNumber)?;
        Ok(format!("{}{DOSSIER_PATH}{}", self.base_url, hex(&[&[VERSION], nonce.as_slice(), &plain].concat())))
    }

    /// The short address of a dossier, for text messages: its number, which nobody can guess, and a signature. Whose it is
    /// and until when, the ledger knows.
    ///
    /// # Errors
    ///
    /// [`Error::NoNumber`] where the dossier is not 32 hexadecimal digits.
    pub fn brief(&self, dossier: &str) -> Result<String, Error> {
        let number = unhex(dossier).filter(|bytes| bytes.len() == DOSSIER_BYTES).ok_or(Error::NoNumber)?;
        Ok(format!("{}{DOSSIER_PATH}{}{}", self.base_url, hex(&number), hex(&self.signature(&number))))
    }

    /// The dossier that a short address was made for; none where it is no short address of ours.
    pub fn open_brief(&self, token: &str) -> Option<String> {
        let token = token.rsplit_once(DOSSIER_PATH).map_or(token, |(_, token)| token);
        let bytes = unhex(token).filter(|bytes| bytes.len() == DOSSIER_BYTES + SIGNATURE_BYTES)?;
        let (number, signature) = bytes.split_at_checked(DOSSIER_BYTES)?;
        // How long a comparison takes tells nothing of use: what is signed is no secret to whoever holds it.
        (signature == self.signature(number)).then(|| hex(number))
    }

    fn signature(&self, number: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let digest = self.key.digest("brief dossier link", &[number]);
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
        let bytes = unhex(token)?;
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.cipher()?.open_in_place(nonce, Aad::from([VERSION]), &mut sealed).ok()?;
        let (issued_on, rest) = plain.split_at_checked(DATE_BYTES)?;
        let (expires_on, rest) = rest.split_at_checked(DATE_BYTES)?;
        let (subject, dossier) = rest.split_at_checked(SUBJECT_BYTES)?;
        let (issued_on, expires_on) = (date(issued_on)?, date(expires_on)?);
        let is_whole = dossier.len() == DOSSIER_BYTES;
        is_whole.then(|| DossierLink { subject: hex(subject), dossier: hex(dossier), issued_on, expires_on })
    }

    /// Two different texts have the same nonce with the chance of 2⁻⁹⁶ for each pair.
    fn nonce(&self, plain: &[u8]) -> [u8; NONCE_BYTES] {
        let digest = self.key.digest("dossier link nonce", &[&[VERSION], plain]);
        let mut nonce = [0; NONCE_BYTES];
        nonce.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        nonce
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = self.key.digest("dossier link key", &[&[VERSION]]);
        UnboundKey::new(&CHACHA20_POLY1305, &key).ok().map(LessSafeKey::new)
    }
}

fn date(bytes: &[u8]) -> Option<Date> {
    let [high, low, month, day] = bytes else { return None };
    Date::new(i16::from_be_bytes([*high, *low]), i8::from_be_bytes([*month]), i8::from_be_bytes([*day])).ok()
}
