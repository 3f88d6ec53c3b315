//! A letter as a message of RFC 5322: headers, a plain part, an HTML part.
//!
//! The same letter gives the same bytes on every run: date, Message-ID and boundary
//! come from the night and the key. No value of a person stands in a header of our
//! own making, and the recipient's name in none at all.

mod address;
mod dkim;
mod mime;
mod verp;

use std::sync::Arc;

use lettre::message::header::{self, Header, HeaderName, HeaderValue, Headers};
use lettre::message::{Mailbox, Mailboxes};
use sha2::{Digest, Sha256};

use self::mime::Bits;
use super::{Address, Envelope, Error};
use crate::calendar::AsOf;
use crate::personal::{Personal, PseudonymKey, hex};
use crate::pipeline::mail::Mail;
use crate::pipeline::{Agency, Channel};
use crate::reminders::letter::Letter;

pub use address::{BadAddress, recipient};
pub(super) use mime::{in_seven_bits, stuff};
pub use verp::{Sign, envelope_sender, sign};

/// What stands above a letter.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// The key in the outbox, which names the message for ever.
    pub key: &'a str,
    /// Gives `From`.
    pub channel: &'a Channel,
    /// Gives `List-Unsubscribe`.
    pub agency: &'a Agency,
    /// The night; its morning is the `Date`.
    pub as_of: AsOf,
    /// The recipient.
    pub to: &'a Personal<Address>,
}

/// The Message-ID of a key, without angle brackets: `<32 hexadecimal digits>@<domain of the sender>`.
///
/// Mail servers log it beside the address, so it says nothing about the obligation.
pub fn message_id(key: &str, from: &Address) -> String {
    format!("{}@{}", digest("message-id", key), from.domain())
}

/// What every message of a run has from the agency: who gets it back, and who signs it. Keys are read once.
#[derive(Debug)]
pub struct Post {
    key: PseudonymKey,
    return_domain: Option<String>,
    signers: Vec<dkim::Signer>,
}

impl Post {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// [`Error::Secret`] where a key cannot be had, [`Error::Dkim`] where it is none.
    pub fn open(mail: &Mail, key: &PseudonymKey) -> Result<Post, Error> {
        let mut signers = Vec::with_capacity(mail.dkim.len());
        for dkim in &mail.dkim {
            let secret = dkim.key.resolve().map_err(Error::Secret)?;
            let signer = dkim::Signer::new(dkim, secret.reveal());
            signers.push(signer.map_err(|why| Error::Dkim { selector: dkim.selector.clone(), why })?);
        }
        Ok(Post { key: key.clone(), return_domain: mail.return_domain.clone(), signers })
    }

    /// The message for a letter: it comes back to an envelope sender of its own, and is signed.
    ///
    /// `refuse` is the address by which this person refuses this item with one click (RFC 8058); without one the
    /// list header names the agency's page.
    ///
    /// # Errors
    ///
    /// Where the letter cannot be dated, put together or signed.
    pub fn compose(&self, letter: &Letter, head: &Head<'_>, refuse: Option<&str>) -> Result<Envelope, Error> {
        // A server that put a signed message into other bits would break its signature (RFC 6376, 5.3).
        let bits = if self.signers.is_empty() { Bits::Eight } else { Bits::Seven };
        let mut envelope = unsigned(letter, head, refuse, bits)?;
        let domain = self.return_domain.as_deref().unwrap_or(envelope.from.domain());
        envelope.from = envelope_sender(envelope.file_stem(), &self.key, domain).map_err(Error::From)?;
        let mut signatures = String::new();
        for signer in &self.signers {
            let signature = signer.sign(envelope.text.as_bytes());
            signatures.push_str(&signature.ok_or(Error::Random)?);
        }
        if !signatures.is_empty() {
            Arc::make_mut(&mut envelope.text).insert_str(0, &signatures);
        }
        Ok(envelope)
    }
}

/// The message for a letter, ready for the wire: from the channel's own address, and not signed.
pub fn build(letter: &Letter, head: &Head<'_>) -> Result<Envelope, Error> {
    unsigned(letter, head, None, Bits::Eight)
}

fn unsigned(letter: &Letter, head: &Head<'_>, refuse: Option<&str>, bits: Bits) -> Result<Envelope, Error> {
    let from: Address = head.channel.from.parse().map_err(Error::From)?;
    let message_id = message_id(head.key, &from);
    // The library cannot write a date before 1970.
    if head.as_of.morning().as_second() < 0 {
        return Err(Error::Date(head.as_of.date()));
    }
    let mut headers = Headers::new();
    let from_name = head.channel.from_name.get(letter.language).to_owned();
    headers.set(header::From::from(Mailboxes::new().with(Mailbox::new(Some(from_name), from.clone()))));
    headers.set(header::To::from(Mailboxes::new().with(Mailbox::new(None, head.to.reveal().clone()))));
    headers.set(header::Subject::from(letter.subject.clone()));
    headers.set(header::Date::new(head.as_of.morning().into()));
    headers.set(header::MessageId::from(format!("<{message_id}>")));
    headers.set(ContentLanguage(letter.language.tag().to_owned()));
    headers.set(AutoSubmitted("auto-generated".to_owned()));
    headers.set(ListUnsubscribe(format!("<{}>", refuse.unwrap_or(&head.agency.refuse))));
    if refuse.is_some() {
        headers.set(ListUnsubscribePost("List-Unsubscribe=One-Click".to_owned()));
    }
    let boundary = digest("boundary", head.key);
    // What base64 makes of a part, and its headers.
    let mut text = String::with_capacity((letter.text.len() + letter.html.len()) * 3 / 2 + 2048);
    text.push_str(&headers.to_string());
    text.push_str("MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary=\"=_");
    text.push_str(&boundary);
    text.push_str("\"\r\n\r\n");
    for (subtype, words) in [("plain", &letter.text), ("html", &letter.html)] {
        text.push_str("--=_");
        text.push_str(&boundary);
        text.push_str("\r\n");
        mime::part(subtype, words, bits, &mut text);
    }
    text.push_str("--=_");
    text.push_str(&boundary);
    text.push_str("--\r\n");
    Ok(Envelope { key: head.key.to_owned(), message_id, from, to: head.to.clone(), text: Arc::new(text) })
}

/// 128 bits of SHA-256, in hexadecimal. The key holds a pseudonym made under a secret, no identifier.
fn digest(purpose: &str, key: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(key.as_bytes());
    hex(hash.finalize().get(..16).unwrap_or_default())
}

/// A header of one text, encoded and folded by the library: a line break in it cannot start another header.
macro_rules! text_header {
    ($(#[$doc:meta])* $type:ident, $name:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        struct $type(String);

        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }

            fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok($type(text.to_owned()))
            }

            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), self.0.clone())
            }
        }
    };
}

text_header!(
    /// RFC 3282: the language of both parts.
    ContentLanguage,
    "Content-Language"
);
text_header!(
    /// RFC 3834: no holiday notice is answered to this.
    AutoSubmitted,
    "Auto-Submitted"
);
text_header!(
    /// RFC 2369: mail programs show a button for it.
    ListUnsubscribe,
    "List-Unsubscribe"
);
text_header!(
    /// RFC 8058: one click on that button is enough.
    ListUnsubscribePost,
    "List-Unsubscribe-Post"
);
