//! Values that belong to a person.
//!
//! [`Personal`] keeps a name, an address or an identifier out of logs, errors
//! and snapshots: neither `Debug` nor `Display` shows it, and reading it is a
//! word that can be searched for, [`Personal::reveal`]. [`links`] makes the web
//! addresses by which a person refuses, [`dossier_links`] those that lead to a prepared dossier, without naming the person.

mod digest;
pub mod dossier_links;
pub mod links;
mod token;

use std::fmt;

pub use digest::{Digest, SharedText, ShortText, TooLong};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// A value that belongs to a person and is not shown by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Marks a value as a person's.
    pub fn new(value: T) -> Self {
        Personal(value)
    }

    /// The value itself, for the message to that person and for keyed hashing only.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

impl<T> fmt::Display for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// A key with which persons are turned into pseudonyms (HMAC-SHA-256, 32 bytes).
///
/// It lives outside the data and outside the ledger. Whoever has the ledger and
/// not this key cannot tell by trying all identifiers whom an entry concerns,
/// which a plain hash would allow.
#[derive(Clone)]
pub struct PseudonymKey([u8; 32]);

impl PseudonymKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        PseudonymKey(bytes)
    }

    /// HMAC-SHA-256 of the parts under `purpose`, unambiguous: each part is preceded by its length.
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        use hmac::{KeyInit, Mac};
        // An HMAC key may have any length, so this cannot fail; a zero tag would still be a tag.
        let Ok(mut mac) = hmac::Hmac::<sha2::Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The mark of text about a person, by the SHA-256 of that text: what a ledger keeps so that the text can be held
    /// against it later. A hash without a key would tell whoever has the ledger alone whom it is about: they need only
    /// try the names and dates that they know.
    pub fn mark(&self, purpose: &str, sha256: &str) -> String {
        hex(&self.digest(purpose, &[sha256.as_bytes()]))
    }

    /// The pseudonym of a person: 16 bytes of the digest, in lower-case hexadecimal.
    pub fn pseudonym(&self, subject_id: &Personal<String>) -> String {
        self.subject(subject_id).into()
    }

    /// [`PseudonymKey::pseudonym`], held small.
    pub fn subject(&self, subject_id: &Personal<impl AsRef<str>>) -> Digest {
        Digest::of(self.digest("subject", &[subject_id.reveal().as_ref().as_bytes()]))
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// A key with which text about a person is sealed for keeping (ChaCha20-Poly1305, RFC 8439, 32 bytes).
///
/// It lives outside the ledger: whoever has the ledger and not this key reads no sealed text.
#[derive(Clone)]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        SealingKey(bytes)
    }

    /// Seals a text under a name: a fresh nonce of 12 bytes, the ciphertext, and the tag of 16. None where the system
    /// gives no random bytes.
    pub fn seal(&self, name: &str, text: &str) -> Option<Vec<u8>> {
        self.seal_bytes(name, text.as_bytes())
    }

    /// Like [`SealingKey::seal`], of bytes that are no text: a file.
    pub fn seal_bytes(&self, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(NONCE_BYTES + bytes.len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(bytes);
        let aad = Aad::from(name.as_bytes());
        let text = sealed.get_mut(NONCE_BYTES..)?;
        let tag = self.cipher()?.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, text).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// Opens what was sealed under a name; none with another key or name, or where a byte was changed.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Personal<String>> {
        String::from_utf8(self.open_bytes(name, sealed)?.0).ok().map(Personal)
    }

    /// Like [`SealingKey::open`], of bytes that are no text.
    pub fn open_bytes(&self, name: &str, sealed: &[u8]) -> Option<Personal<Vec<u8>>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let length = self.cipher()?.open_in_place(nonce, Aad::from(name.as_bytes()), &mut rest).ok()?.len();
        rest.truncate(length);
        Some(Personal(rest))
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.0).ok().map(LessSafeKey::new)
    }
}

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// So many random numbers of 16 bytes in lower-case hexadecimal, ascending. None where the system gives no random bytes.
pub fn random_numbers(count: usize) -> Option<Vec<String>> {
    const NUMBER_BYTES: usize = 16;
    let mut bytes = vec![0; count.checked_mul(NUMBER_BYTES)?];
    getrandom::fill(&mut bytes).ok()?;
    let mut numbers: Vec<String> = bytes.chunks_exact(NUMBER_BYTES).map(hex).collect();
    numbers.sort_unstable();
    Some(numbers)
}

/// Bytes from hexadecimal digits; none for anything else.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits.chunks_exact(2).map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None }).collect()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}
