//! Messages leave the building here, by mail or into a folder, and by no other way.
//!
//! A [`Sender`] is opened once per run and given messages that are already
//! recorded; for each it says what became of it. Nothing here is logged, and no
//! outcome holds an address: the words of a mail server's reply may name one, so
//! its codes alone are kept. This module must not know what a message is about
//! or when it is due.

mod eml;
mod folder;
mod smtp;
pub(crate) mod tls;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fault::{Explain, Place};
use crate::ledger::Recorded;
use crate::personal::Personal;
use crate::pipeline::secret;
use crate::pipeline::{Channel, ChannelKind};

pub use eml::{BadAddress, Head, Post, Sign, build, envelope_sender, message_id, recipient, sign};
/// A mail address of RFC 5321, checked when it is made.
pub use lettre::Address;

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
    /// The whole message of RFC 5322, lines ended by CRLF.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

impl Envelope {
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
        match self {
            Outcome::Accepted => None,
            Outcome::Deferred { code } | Outcome::Refused { code } | Outcome::Uncertain { code } => {
                Some(code.to_string())
            }
        }
    }
}

/// Why a message was not accepted: codes of the protocol, or what happened on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The server's reply (RFC 5321) and, where it gave one, its enhanced status (RFC 3463).
    Reply {
        /// Three digits.
        reply: u16,
        /// Class, subject, detail.
        enhanced: Option<[u16; 3]>,
    },
    /// No connection could be made.
    NotConnected,
    /// The connection broke, or answered something other than SMTP, before the message began to leave.
    NoAnswer,
    /// The server did not answer in time.
    TimedOut,
    /// The connection broke after the message had begun to leave.
    ConnectionLost,
    /// The server offers no way to log in that we have.
    NoMechanism,
    /// The address needs SMTPUTF8 (RFC 6531), which the server does not offer.
    NeedsSmtpUtf8,
    /// Another message with this key is already in the folder; it was left as it is.
    AnotherInPlace,
    /// The file could not be written; the system's error number.
    NotWritten(Option<i32>),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Reply { reply, enhanced: Some([class, subject, detail]) } => {
                write!(f, "{reply} {class}.{subject}.{detail}")
            }
            Code::Reply { reply, enhanced: None } => write!(f, "{reply}"),
            Code::NotConnected => f.write_str("no connection"),
            Code::NoAnswer => f.write_str("no complete SMTP answer"),
            Code::TimedOut => f.write_str("no answer in time"),
            Code::ConnectionLost => f.write_str("connection lost"),
            Code::NoMechanism => f.write_str("no common way to log in"),
            Code::NeedsSmtpUtf8 => f.write_str("server without SMTPUTF8"),
            Code::AnotherInPlace => f.write_str("another message of this key is in the folder"),
            Code::NotWritten(Some(number)) => write!(f, "file not written, system error {number}"),
            Code::NotWritten(None) => f.write_str("file not written"),
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
    /// A message cannot be put together.
    #[error("the message cannot be put together")]
    Message(#[source] lettre::error::Error),
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
            Error::Message(_) => "delivery.message",
            Error::Dkim { .. } => "delivery.dkim-key",
            Error::Random => "delivery.no-random",
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
            Error::From(_) => Place::Thing("channel.from of the pipeline".into()),
            Error::Message(_) => Place::Thing("message".into()),
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
            Error::From(_) => "correct channel.from in pipeline.toml".into(),
            Error::Message(_) => "report this, with the message's number in the ledger".into(),
            Error::Dkim { .. } => "make one: openssl genrsa 2048, or openssl genpkey -algorithm ed25519".into(),
            Error::Random => "check that /dev/urandom can be read".into(),
            Error::Date(_) => "run with a date of 1970 or later".into(),
        }
    }
}

/// The way out, opened once per run.
#[derive(Debug)]
pub struct Sender {
    route: Route,
    trouble: Option<Error>,
}

#[derive(Debug)]
enum Route {
    Folder(folder::Folder),
    Smtp(Box<smtp::Server>),
}

impl Sender {
    /// Opens the channel: makes the folder and proves that it can be written to, or makes
    /// the first connection and logs in. What is wrong with the channel as a whole is an
    /// error here, before any message is in flight.
    ///
    /// `outbox` is the folder of the folder channel; a mail server does not use it.
    pub async fn open(channel: &Channel, outbox: &Path, timeouts: Timeouts) -> Result<Sender, Error> {
        let route = match &channel.kind {
            ChannelKind::Folder => Route::Folder(folder::Folder::open(outbox)?),
            ChannelKind::Smtp(settings) => {
                let from: Address = channel.from.parse().map_err(Error::From)?;
                Route::Smtp(Box::new(smtp::Server::open(settings, from.domain(), timeouts).await?))
            }
        };
        Ok(Sender { route, trouble: None })
    }

    /// Sends messages and says, in their order, what became of each.
    ///
    /// Where the channel itself fails on the way, the messages that had not begun to leave are
    /// deferred, and [`Sender::trouble`] explains it.
    pub async fn send(&mut self, recorded: &[Recorded<Envelope>]) -> Vec<Outcome> {
        let envelopes: Vec<&Envelope> = recorded.iter().map(Recorded::value).collect();
        let envelopes = envelopes.as_slice();
        let (outcomes, trouble) = match &mut self.route {
            Route::Folder(folder) => folder.write(envelopes),
            Route::Smtp(server) => server.send(envelopes).await,
        };
        self.trouble = self.trouble.take().or(trouble);
        outcomes
    }

    /// The first failure of the channel as a whole since this was last asked.
    pub fn trouble(&mut self) -> Option<Error> {
        self.trouble.take()
    }

    /// How many messages were found already in the folder, with the same bytes, and left alone.
    pub fn already_there(&self) -> u64 {
        match &self.route {
            Route::Folder(folder) => folder.already_there(),
            Route::Smtp(_) => 0,
        }
    }

    /// Takes leave of the mail server; dropping the sender without it breaks the connections off.
    pub async fn close(self) {
        if let Route::Smtp(server) = self.route {
            server.close().await;
        }
    }
}
