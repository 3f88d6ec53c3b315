//! Signatures over lists of checksums, in the form of minisign, which signify reads as well.
//!
//! A file of it has four lines: a comment, the signature of the list in base64, a comment that is signed, and the
//! signature of both. Ed25519 (RFC 8032) is deterministic, so that signing the same list again gives the same bytes.
//! The list itself is signed and not a hash of it (minisign's "legacy" form `Ed`): a list is short, and tools that
//! know nothing but Ed25519, like `openssl pkeyutl`, can check it too. This module must not know what is listed.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::Error;
use crate::personal::sha256;

/// What a signature of this kind begins with.
const ALGORITHM: [u8; 2] = *b"Ed";

/// DER of a public key before its 32 bytes (RFC 8410, 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key, ready to sign.
#[derive(Clone)]
pub struct Signer {
    pair: Arc<Ed25519KeyPair>,
    id: [u8; 8],
}

impl Signer {
    /// The key of a secret: PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    ///
    /// [`Error::SigningKey`] says what it is instead, and holds none of it.
    pub fn new(pem: &str) -> Result<Self, Error> {
        let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let is_private = pem.contains("-----BEGIN PRIVATE KEY-----") && pem.contains("-----END PRIVATE KEY-----");
        let der = STANDARD
            .decode(&body)
            .ok()
            .map(Zeroizing::new)
            .filter(|_| is_private)
            .ok_or(Error::SigningKey { is: "no PKCS #8 in PEM" })?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
        let pair = pair.map_err(|_| Error::SigningKey { is: "not an Ed25519 key" })?;
        // minisign draws the number of a key at random; one that is made from the key needs no place to be kept.
        let mut id = [0; 8];
        let name = sha256(pair.public_key().as_ref());
        for (byte, digits) in id.iter_mut().zip(name.as_bytes().chunks(2)) {
            *byte =
                std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
        }
        Ok(Signer { pair: Arc::new(pair), id })
    }

    /// The number of the key, as minisign prints it.
    pub fn id(&self) -> String {
        self.id.iter().rev().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The signature of a list, as a file beside it; `about` is signed with it and says what it is of.
    pub(super) fn sign(&self, list: &[u8], about: &str) -> String {
        let signature = self.pair.sign(list);
        let together = self.pair.sign(&[signature.as_ref(), about.as_bytes()].concat());
        let first = [ALGORITHM.as_slice(), &self.id, signature.as_ref()].concat();
        format!(
            "untrusted comment: signature of SHA256SUMS, key {}\n{}\ntrusted comment: {about}\n{}\n",
            self.id(),
            STANDARD.encode(&first),
            STANDARD.encode(together.as_ref())
        )
    }

    /// The public key, in the form that minisign and signify read.
    pub(super) fn public_key(&self) -> String {
        let bytes = [ALGORITHM.as_slice(), &self.id, self.pair.public_key().as_ref()].concat();
        format!("untrusted comment: minisign public key {}\n{}\n", self.id(), STANDARD.encode(&bytes))
    }

    /// The public key in PEM, for every other tool.
    pub(super) fn public_key_pem(&self) -> String {
        let der = [SPKI.as_slice(), self.pair.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        self.pair.public_key().as_ref() == other.pair.public_key().as_ref()
    }
}

impl Eq for Signer {}
