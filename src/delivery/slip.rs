//! A short message: what a phone shows, for the channels that carry no letters.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;

use super::{Address, Envelope};
use crate::language::Language;
use crate::personal::{Personal, sha256};
use crate::reminders::phone::Phone;

/// A short message ready for the wire. It speaks of a person, so `Debug` shows its number alone.
#[derive(Clone)]
pub struct Slip {
    /// The key in the outbox: subject's pseudonym, item, period, stage, channel.
    pub key: String,
    /// Fixed before the wire, made by [`slip_id`]: Zalo's `tracking_id`, the number by which a gateway knows a message
    /// that it has had before.
    pub message_id: String,
    /// To whom.
    pub to: Destination,
    /// The item, by which a service may sort.
    pub item: String,
    /// The language of what follows.
    pub language: Language,
    /// What is said.
    pub body: Body,
}

impl Slip {
    /// The version of what it was made from: Zalo's number of the template, or the version of the letter's.
    pub fn template_version(&self, letter_version: &str) -> String {
        match &self.body {
            Body::Template { id, .. } => format!("zns:{id}"),
            Body::Text { .. } => letter_version.to_owned(),
        }
    }

    /// SHA-256 of what is said, in hexadecimal. It can be tried for a name: it is stored under a key only.
    pub fn rendered_hash(&self) -> String {
        let said = match &self.body {
            Body::Template { id, data } => serde_json::json!({ "template": id, "data": data }),
            Body::Text { subject, text } => serde_json::json!({ "subject": subject, "text": text }),
        };
        sha256(said.to_string().as_bytes())
    }
}

/// Where a short message goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// To a phone.
    Phone(Phone),
    /// To a mail address, by a service that sends mail for us.
    Email(Personal<Address>),
}

/// What a short message says.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// An approved template of Zalo's, and what is filled in.
    Template {
        /// Zalo's number for it.
        id: String,
        /// By the names of its parameters.
        data: BTreeMap<String, String>,
    },
    /// A text of one paragraph, and its subject for channels that show one.
    Text {
        /// One line.
        subject: String,
        /// One paragraph.
        text: String,
    },
}

impl fmt::Debug for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slip").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// The number of the short message of a key: 32 hexadecimal digits. It says nothing about the obligation, and is the
/// same on every run.
pub fn slip_id(key: &str) -> String {
    let mut id = sha256(format!("slip-id\0{key}").as_bytes());
    id.truncate(32);
    id
}

/// A message, and the channel by which it goes.
#[derive(Debug, Clone)]
pub struct Message {
    /// The channel's name in the pipeline.
    pub channel: String,
    /// The last day on which it may leave.
    pub valid_until: Date,
    /// In the form that the channel carries.
    pub form: Form,
}

/// The two forms of messages.
#[derive(Debug, Clone)]
pub enum Form {
    /// For a channel of letters.
    Letter(Envelope),
    /// For a channel of short messages.
    Slip(Slip),
}

impl Message {
    /// Fixed before the wire.
    pub fn message_id(&self) -> &str {
        match &self.form {
            Form::Letter(envelope) => &envelope.message_id,
            Form::Slip(slip) => &slip.message_id,
        }
    }
}

impl Form {
    pub(super) fn as_letter(&self) -> Option<&Envelope> {
        match self {
            Form::Letter(envelope) => Some(envelope),
            Form::Slip(_) => None,
        }
    }

    pub(super) fn as_slip(&self) -> Option<&Slip> {
        match self {
            Form::Letter(_) => None,
            Form::Slip(slip) => Some(slip),
        }
    }
}

/// What a [`super::Sender`] can be given: each says which of the two forms it is.
pub trait Outgoing {
    /// The message in its form.
    fn form(self) -> Form;
}

impl Outgoing for Envelope {
    fn form(self) -> Form {
        Form::Letter(self)
    }
}

impl Outgoing for Slip {
    fn form(self) -> Form {
        Form::Slip(self)
    }
}

impl Outgoing for Message {
    fn form(self) -> Form {
        self.form
    }
}
