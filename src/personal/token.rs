//! Tokens of web addresses: what an address stands for, sealed so that nothing can be read in it and nobody can make one.
//!
//! A token is a version, a nonce and what is sealed with ChaCha20-Poly1305 (RFC 8439) under a key derived from the
//! pseudonym key by HMAC-SHA-256, in hexadecimal digits. The nonce is a keyed digest of what is sealed, so that the same
//! letter written again has the same bytes, and whoever reads a mail server's log learns nothing. A brief token, for
//! messages without room, is a number that nobody can guess and a signature behind it. Each kind of address has digests of
//! its own. This module must not know what an address stands for.

use jiff::civil::Date;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::{PseudonymKey, hex, unhex};

/// The layout of a token. A later layout gets another number, and the addresses in letters that are out stay valid.
const VERSION: u8 = 1;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Year in two bytes, month, day.
pub(super) const DATE_BYTES: usize = 4;
/// Of a keyed pseudonym, a message and a dossier.
pub(super) const NUMBER_BYTES: usize = 16;

/// The words that keep the digests of one kind of address apart from those of all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    pub(super) key: &'static str,
    pub(super) nonce: &'static str,
    pub(super) brief: &'static str,
    /// Of the signature of a brief token.
    pub(super) signature_bytes: usize,
}

/// Makes and opens the tokens of one kind of address.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    key: PseudonymKey,
    purpose: Purpose,
}

/// How many hexadecimal digits a token has that seals so many bytes.
pub(super) const fn digits(plain_bytes: usize) -> usize {
    2 * (1 + NONCE_BYTES + plain_bytes + TAG_BYTES)
}

impl Tokens {
    pub(super) fn new(key: &PseudonymKey, purpose: Purpose) -> Self {
        Tokens { key: key.clone(), purpose }
    }

    /// Seals; none where the cipher cannot, which no text of this length brings about.
    pub(super) fn seal(&self, mut plain: Vec<u8>) -> Option<String> {
        let nonce = self.nonce(&plain);
        let cipher = self.cipher()?;
        let once = Nonce::assume_unique_for_key(nonce);
        cipher.seal_in_place_append_tag(once, Aad::from([VERSION]), &mut plain).ok()?;
        Some(hex(&[&[VERSION], nonce.as_slice(), &plain].concat()))
    }

    /// What was sealed; none of everything that these tokens did not make.
    pub(super) fn open(&self, token: &str) -> Option<Vec<u8>> {
        let bytes = unhex(token)?;
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.cipher()?.open_in_place(nonce, Aad::from([VERSION]), &mut sealed).ok()?;
        Some(plain.to_vec())
    }

    /// A number of 32 hexadecimal digits and its signature; none of any other text.
    pub(super) fn brief(&self, number: &str) -> Option<String> {
        let number = number_bytes(number)?;
        Some(format!("{}{}", hex(&number), hex(&self.signature(&number))))
    }

    /// The number of a brief token; none where it is none of ours.
    pub(super) fn open_brief(&self, token: &str) -> Option<String> {
        let bytes = unhex(token).filter(|bytes| bytes.len() == NUMBER_BYTES + self.purpose.signature_bytes)?;
        let (number, signature) = bytes.split_at_checked(NUMBER_BYTES)?;
        // How long a comparison takes tells nothing of use: what is signed is no secret to whoever holds it.
        (signature == self.signature(number)).then(|| hex(number))
    }

    fn signature(&self, number: &[u8]) -> Vec<u8> {
        let digest = self.key.digest(self.purpose.brief, &[number]);
        digest.into_iter().take(self.purpose.signature_bytes).collect()
    }

    /// Two different texts have the same nonce with the chance of 2⁻⁹⁶ for each pair.
    fn nonce(&self, plain: &[u8]) -> [u8; NONCE_BYTES] {
        let digest = self.key.digest(self.purpose.nonce, &[&[VERSION], plain]);
        let mut nonce = [0; NONCE_BYTES];
        nonce.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        nonce
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = self.key.digest(self.purpose.key, &[&[VERSION]]);
        UnboundKey::new(&CHACHA20_POLY1305, &key).ok().map(LessSafeKey::new)
    }
}

/// The bytes of 32 hexadecimal digits; none of any other text.
pub(super) fn number_bytes(number: &str) -> Option<Vec<u8>> {
    unhex(number).filter(|bytes| bytes.len() == NUMBER_BYTES)
}

/// Adds a day, in [`DATE_BYTES`] bytes.
pub(super) fn put_date(plain: &mut Vec<u8>, date: Date) {
    plain.extend(date.year().to_be_bytes());
    plain.extend(date.month().to_be_bytes());
    plain.extend(date.day().to_be_bytes());
}

/// Takes a day off the front.
pub(super) fn take_date(plain: &[u8]) -> Option<(Date, &[u8])> {
    let (date, rest) = plain.split_at_checked(DATE_BYTES)?;
    let [high, low, month, day] = date else { return None };
    let year = i16::from_be_bytes([*high, *low]);
    let date = Date::new(year, i8::from_be_bytes([*month]), i8::from_be_bytes([*day])).ok()?;
    Some((date, rest))
}

/// Takes a number off the front, as hexadecimal digits.
pub(super) fn take_number(plain: &[u8]) -> Option<(String, &[u8])> {
    let (number, rest) = plain.split_at_checked(NUMBER_BYTES)?;
    Some((hex(number), rest))
}
