//! Messages leave the building here, by one of a closed list of channels and by no other way.
//!
//! A [`Sender`] is opened once per run and channel and given messages that are already
//! recorded; for each it says what became of it. Nothing here is logged, and no
//! outcome holds an address: the words of a mail server's reply may name one, so
//! its codes alone are kept. This module must not know what a message is about
//! or when it is due.

pub(crate) mod bearer;
pub mod breaker;
mod code;
mod eml;
mod folder;
mod lanes;
pub mod pace;
mod permit;
mod sender;
pub(crate) mod service;
pub mod signature;
mod slip;
mod sms;
mod smtp;
pub(crate) mod tls;
mod vault;
mod webhook;
pub mod zns;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::{Explain, Place};
use crate::personal::Personal;
use crate::pipeline::secret;

pub use bearer::Patience;
pub use code::{Class, Code, TemplateState};
pub use eml::{BadAddress, Head, Post, Sign, build, envelope_sender, message_id, recipient, sign};
/// A mail address of RFC 5321, checked when it is made.
pub use lettre::Address;
pub use permit::Permit;
pub use sender::{Rooms, Sender};
pub use slip::{Body, Destination, Form, Message, Outgoing, Slip, slip_id};
pub use vault::Vault;

/// A message ready for the wire.
#[derive(Clone)]
pub struct Envelope {
    /// The key in the outbox: subject's pseudonym, item, period, stage, channel.
    pub key: String,
    /// Fixed before the wire, without angle brackets; made by [`message_id`].
    pub message_id: String,
    /// The envelope sender.
    pub from: Address,
    /// The one recipient.
    pub to: Personal<Address>,
    /// The whole message of RFC 5322, lines ended by CRLF; shared with the connection that sends it.
    pub text: Arc<String>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

impl Envelope {
    /// The same message for a server that takes no 8 bits (RFC 6152): what is not ASCII in its parts is encoded.
    pub fn in_seven_bits(&self) -> String {
        eml::in_seven_bits(&self.text)
    }

    /// The name of its file in the folder channel, without `.eml`: the local part of the Message-ID.
    pub fn file_stem(&self) -> &str {
        self.message_id.split('@').next().unwrap_or("")
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered for it, or the file is in the folder.
    Accepted,
    /// Not now; a later run may try again.
    Deferred {
        /// Why.
        code: Code,
    },
    /// Never like this; a clerk must look.
    Refused {
        /// Why.
        code: Code,
    },
    /// The connection was lost after the message had begun to leave and before the server answered.
    Uncertain {
        /// Why.
        code: Code,
    },
}

impl Outcome {
    /// The reason, without personal data; none for an accepted message.
    pub fn reason(&self) -> Option<String> {
        self.code().map(|code| code.to_string())
    }

    /// Why it was not accepted; none for an accepted message.
    pub fn code(&self) -> Option<Code> {
        match self {
            Outcome::Accepted => None,
            Outcome::Deferred { code } | Outcome::Refused { code } | Outcome::Uncertain { code } => Some(*code),
        }
    }
}

/// How long each step of a conversation with a mail server may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The connection itself and the TLS handshake. Too low: a busy server is taken for a dead one.
    pub connect: Duration,
    /// One command and its reply, the greeting included (RFC 5321, 4.5.3.2: five minutes).
    pub command: Duration,
    /// From the first byte of the message to the reply (RFC 5321: ten minutes). Too low makes
    /// messages uncertain that the server has in fact taken.
    pub data: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(30), command: Duration::from_secs(300), data: Duration::from_secs(600) }
    }
}

/// A channel that cannot be used. No variant holds an address of a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The outbox cannot be made or written to.
    #[error("messages cannot be written to the outbox")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The password cannot be had.
    #[error("the password for the mail server cannot be had")]
    Secret(#[source] secret::Error),
    /// There is no connection.
    #[error("the mail server cannot be reached")]
    Connect {
        /// `host:port`.
        server: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The connection is not protected as the pipeline wants it.
    #[error("the connection to the mail server cannot be protected: {why}")]
    Tls {
        /// `host:port`.
        server: String,
        /// What went wrong.
        why: String,
    },
    /// The server refuses us, before any message.
    #[error("the mail server refuses to serve: {code}")]
    Server {
        /// `host:port`.
        server: String,
        /// Its answer.
        code: Code,
    },
    /// The server refuses the account.
    #[error("the mail server refuses the account: {code}")]
    Account {
        /// `host:port`.
        server: String,
        /// Its answer.
        code: Code,
    },
    /// The address of the sender is not one.
    #[error("the address of the sender is not a mail address")]
    From(#[source] lettre::address::AddressError),
    /// A key is not one that messages can be signed with.
    #[error("the key of the signature {selector} {why}")]
    Dkim {
        /// Which.
        selector: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No random bytes can be had.
    #[error("the system gives no random bytes for a signature")]
    Random,
    /// A service cannot be spoken to at all.
    #[error("the service cannot be spoken to: {why}")]
    Service {
        /// Host and port.
        service: String,
        /// What is wrong.
        why: String,
    },
    /// A service takes nothing for now: there is no connection, or no answer that says more.
    #[error("the service {why}")]
    Unreachable {
        /// Host and port.
        service: String,
        /// What was seen, as the end of the sentence.
        why: String,
    },
    /// A service refuses everything we send.
    #[error("the service takes no more messages: {code}")]
    Provider {
        /// Host and port.
        service: String,
        /// Its answer.
        code: Code,
    },
    /// No access token could be had.
    #[error("no access token could be had: {code}")]
    Token {
        /// The channel.
        channel: String,
        /// What was answered.
        code: Code,
    },
    /// A token cannot be kept.
    #[error("the tokens of a channel cannot be kept")]
    Vault {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What is kept cannot be opened with our key.
    #[error("the sealed tokens of a channel cannot be opened")]
    Sealed(PathBuf),
    /// The channel needs a place for its tokens and was given none.
    #[error("the channel has no place for its tokens")]
    NoVault,
    /// A message cannot carry this date.
    #[error("a message cannot be dated {0}: it lies before 1970")]
    Date(jiff::civil::Date),
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Folder { .. } => "delivery.outbox-not-writable",
            Error::Secret(error) => error.code(),
            Error::Connect { .. } => "delivery.server-unreachable",
            Error::Tls { .. } => "delivery.connection-not-protected",
            Error::Server { .. } => "delivery.server-refuses",
            Error::Account { .. } => "delivery.account-refused",
            Error::From(_) => "delivery.sender-address",
            Error::Dkim { .. } => "delivery.dkim-key",
            Error::Random => "delivery.no-random",
            Error::Service { .. } => "delivery.service-unusable",
            Error::Unreachable { .. } => "delivery.service-unreachable",
            Error::Provider { code: Code::Busy { .. }, .. } => "delivery.service-busy",
            Error::Provider { .. } => "delivery.service-refuses",
            Error::Token { .. } => "delivery.no-token",
            Error::Vault { .. } => "delivery.tokens-not-kept",
            Error::Sealed(_) => "delivery.tokens-not-opened",
            Error::NoVault => "delivery.no-vault",
            Error::Date(_) => "delivery.date-range",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Folder { path, .. } => Place::file(path),
            Error::Secret(error) => error.place(),
            Error::Connect { server, .. }
            | Error::Tls { server, .. }
            | Error::Server { server, .. }
            | Error::Account { server, .. } => Place::Thing(format!("mail server {server}")),
            Error::Service { service, .. } | Error::Unreachable { service, .. } | Error::Provider { service, .. } => {
                Place::Thing(format!("service {service}"))
            }
            Error::Token { channel, .. } => Place::Thing(format!("channel {channel}")),
            Error::Vault { path, .. } | Error::Sealed(path) => Place::file(path),
            Error::NoVault => Place::Thing("state folder".into()),
            Error::From(_) => Place::Thing("channel.from of the pipeline".into()),
            Error::Dkim { selector, .. } => Place::Thing(format!("mail.dkim {selector} of the pipeline")),
            Error::Random => Place::Thing("the operating system".into()),
            Error::Date(_) => Place::Thing("--as-of".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Folder { .. } => {
                "make room, or let the service's account write to this folder; then run again, nothing is sent twice"
                    .into()
            }
            Error::Secret(error) => error.next(),
            Error::Connect { .. } => "check host, port and network; then run again, nothing is sent twice".into(),
            Error::Tls { .. } => {
                "install the certificate of the server's authority on this machine, or correct channel.tls".into()
            }
            Error::Server { .. } => "ask whoever runs the mail server, and give this code".into(),
            Error::Account { .. } => "correct the account or its password".into(),
            Error::Service { .. } => "correct the channel's url in pipeline.toml".into(),
            Error::Unreachable { .. } => {
                "check url and network, or ask whoever runs the service; what waits is sent by the next run, and nothing \
                 twice"
                    .into()
            }
            Error::Provider { code, .. } => code.mend().into(),
            Error::Token { .. } => {
                "run again if the network failed; otherwise let an administrator of the official account give a new \
                 refresh token and put it where refresh_token points"
                    .into()
            }
            Error::Vault { .. } => {
                "make room, or let the service's account write there; until then no token is renewed".into()
            }
            Error::Sealed(_) => {
                "restore keys/sealing.key from your backup; or remove this file and give a new refresh token".into()
            }
            Error::NoVault => "open the channel with a vault in the state folder".into(),
            Error::From(_) => "correct channel.from in pipeline.toml".into(),
            Error::Dkim { .. } => "make one: openssl genrsa 2048, or openssl genpkey -algorithm ed25519".into(),
            Error::Random => "check that /dev/urandom can be read".into(),
            Error::Date(_) => "run with a date of 1970 or later".into(),
        }
    }
}
