//! Signatures of messages: DKIM (RFC 6376) with RSA, and with Ed25519 (RFC 8463).
//!
//! lettre can sign too, but stamps the time of its own clock into the signature, so that no letter would have the
//! same bytes twice; it can neither sign the absence of a second `From` nor read a key in PKCS #8. What is signed
//! here is what leaves: the finished bytes. Headers and body are canonicalised as `relaxed`, because servers on the
//! way fold and trim. This module must not know what a message says.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::pipeline::mail::Dkim;

/// What is signed where it is there. RFC 8058 wants the two list headers to be among them.
const SIGNED: [&str; 11] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Language",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];
/// Named once more than they are there: a second one, put in by somebody else, breaks the signature.
const SEALED: [&str; 4] = ["From", "To", "Subject", "Date"];
/// Names of headers on a line of its header.
const NAMES_ON_LINE: usize = 4;
/// Characters of the signature on a line of its header.
const LINE_CHARACTERS: usize = 72;

/// One key, ready to sign.
pub(super) struct Signer {
    domain: String,
    selector: String,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("domain", &self.domain).field("selector", &self.selector).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key of a secret in PEM; the error says what is wrong with it, and holds none of it.
    pub(super) fn new(dkim: &Dkim, pem: &str) -> Result<Signer, &'static str> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "is not a private key in PEM")?;
        // Shorter ones than 2,048 bits, which receivers no longer trust (RFC 8301), are refused by the library.
        let rsa = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
            _ => None,
        };
        let key = match (rsa, &der) {
            (Some(rsa), _) => Key::Rsa(Box::new(rsa)),
            (None, PrivateKeyDer::Pkcs8(der)) => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
                Key::Ed25519(Box::new(pair.map_err(|_| "is neither RSA of 2,048 to 4,096 bits nor Ed25519")?))
            }
            (None, _) => return Err("is neither RSA of 2,048 to 4,096 bits nor Ed25519"),
        };
        Ok(Signer { domain: dkim.domain.clone(), selector: dkim.selector.clone(), key })
    }

    /// The header `DKIM-Signature` of a message, with its line end.
    ///
    /// It states no time: the night that a letter speaks for may lie ahead of the clock, and receivers may ignore a
    /// signature from the future. `Date` is signed.
    ///
    /// None where the system gives no random bytes, which RSA blinds its sums with.
    pub(super) fn sign(&self, message: &[u8]) -> Option<String> {
        let (head, body) = split(message);
        let headers = headers(head);
        let mut names = Vec::new();
        let mut data = Vec::with_capacity(2048);
        for name in SIGNED {
            // With two of one name the last is signed first (RFC 6376, 5.4.2); letters have one of each.
            for header in headers.iter().rev().filter(|header| header.0.eq_ignore_ascii_case(name)) {
                names.push(name);
                data.extend(relaxed_header(header.0, header.1));
                data.extend(b"\r\n");
            }
        }
        names.extend(SEALED);
        let algorithm = match self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let unsigned = format!(
            "v=1; a={algorithm}; c=relaxed/relaxed; d={};\r\n s={};\r\n h={};\r\n bh={};\r\n b=",
            self.domain,
            self.selector,
            names.chunks(NAMES_ON_LINE).map(|names| names.join(":")).collect::<Vec<_>>().join(":\r\n  "),
            STANDARD.encode(Sha256::digest(relaxed_body(body))),
        );
        data.extend(relaxed_header("DKIM-Signature", unsigned.as_bytes()));
        let signature = match &self.key {
            // RFC 8463 signs the digest; RSA makes the digest itself.
            Key::Ed25519(pair) => pair.sign(&Sha256::digest(&data)).as_ref().to_vec(),
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &data, &mut signature).ok()?;
                signature
            }
        };
        Some(format!("DKIM-Signature: {unsigned}{}\r\n", folded(&STANDARD.encode(&signature))))
    }
}

/// Headers, with the line end of the last, and body.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    match message.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => {
            let (head, rest) = message.split_at(at + 2);
            (head, rest.get(2..).unwrap_or_default())
        }
        None => (message, &[]),
    }
}

/// Names and values, each value with its folds.
fn headers(head: &[u8]) -> Vec<(&str, &[u8])> {
    let mut found = Vec::new();
    let mut rest = head;
    while !rest.is_empty() {
        let mut end = 0;
        // A header ends at the first line end that no space follows.
        while let Some(at) = rest.get(end..).and_then(|rest| rest.windows(2).position(|pair| pair == b"\r\n")) {
            end += at + 2;
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let end = if end == 0 { rest.len() } else { end };
        let (header, after) = rest.split_at(end);
        rest = after;
        if let Some(colon) = header.iter().position(|byte| *byte == b':') {
            let (name, value) = header.split_at(colon);
            if let Ok(name) = std::str::from_utf8(name) {
                found.push((name, value.get(1..).unwrap_or_default()));
            }
        }
    }
    found
}

/// RFC 6376, 3.4.2: name in lower case, value on one line, blanks as one space, none at its ends.
fn relaxed_header(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = name.trim().to_ascii_lowercase().into_bytes();
    out.push(b':');
    let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend(word);
    }
    out
}

/// RFC 6376, 3.4.4: blanks as one space, none at the ends of lines, no empty lines at the end.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 2);
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut is_blank = false;
        for byte in line {
            match byte {
                b' ' | b'\t' => is_blank = true,
                byte => {
                    if std::mem::take(&mut is_blank) {
                        out.push(b' ');
                    }
                    out.push(*byte);
                }
            }
        }
        out.extend(b"\r\n");
    }
    while out.ends_with(b"\r\n\r\n") {
        out.truncate(out.len() - 2);
    }
    if out == b"\r\n" { Vec::new() } else { out }
}

fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 24);
    for (index, c) in text.chars().enumerate() {
        if index % LINE_CHARACTERS == 0 {
            out.push_str("\r\n  ");
        }
        out.push(c);
    }
    out
}
