//! Signatures of Standard Webhooks 1.0: HMAC-SHA-256 over number, time and body.
//!
//! A receiver that checks them knows that a message is ours, that nobody changed it, and that it is not an old one
//! played again: its time lies in the window, and its number was not seen before.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How old or how far ahead a message may be, in seconds.
pub const WINDOW_SECONDS: i64 = 300;

/// A message that is not taken for ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// A header is missing or cannot be read.
    #[error("the headers of the signature are missing or cannot be read")]
    Headers,
    /// Its time lies outside the window: somebody may play an old message again.
    #[error("the time of the message is more than {WINDOW_SECONDS} seconds off")]
    Time,
    /// Made with another key, or over other bytes.
    #[error("the signature is not of this message and key")]
    Signature,
}

/// The value of `webhook-signature`: `v1,` and the tag in base64.
pub fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let Some(mac) = mac(secret, id, timestamp, body) else { return String::new() };
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// Checks what came with a message; `now` is in seconds since 1970. `signatures` may hold several, of which one must
/// be ours: that is how a key is changed without a pause.
pub fn verify(secret: &str, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: i64) -> Result<(), Forged> {
    let at: i64 = timestamp.parse().map_err(|_| Forged::Headers)?;
    if id.is_empty() || id.contains('.') {
        return Err(Forged::Headers);
    }
    if at.abs_diff(now) > WINDOW_SECONDS.unsigned_abs() {
        return Err(Forged::Time);
    }
    let tags = signatures.split(' ').filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?).ok());
    for tag in tags {
        let mac = mac(secret, id, timestamp, body).ok_or(Forged::Signature)?;
        if mac.verify_slice(&tag).is_ok() {
            return Ok(());
        }
    }
    Err(Forged::Signature)
}

/// The key is the bytes behind `whsec_` in base64, as libraries of Standard Webhooks take it, or else the text itself.
fn mac(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|text| BASE64.decode(text).ok())
        .unwrap_or_else(|| secret.as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(mac)
}

/// RFC 4648; secrets are handed around with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
