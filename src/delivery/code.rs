//! Why a message was not accepted, and what that means for the next try.

use std::fmt;

/// Why a message was not accepted: codes of the protocol, or what happened on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The server's reply (RFC 5321) and, where it gave one, its enhanced status (RFC 3463).
    Reply {
        /// Three digits.
        reply: u16,
        /// Class, subject, detail.
        enhanced: Option<[u16; 3]>,
    },
    /// The `error` of an answer of Zalo's.
    Zns(i32),
    /// A template of Zalo's that sends nothing: not approved yet, refused, or paused.
    Template(TemplateState),
    /// The status of an answer over HTTP, and the class that the service gave in words, where it did.
    Http {
        /// Three digits.
        status: u16,
        /// What the service says it means.
        said: Option<Class>,
    },
    /// The service took nothing and says for how long it wants to be left alone (RFC 9110, `Retry-After`).
    Busy {
        /// Three digits.
        status: u16,
        /// From the answer on.
        wait_seconds: u32,
    },
    /// No connection could be made.
    NotConnected,
    /// The connection broke, or answered something other than the protocol, before the message began to leave.
    NoAnswer,
    /// The server did not answer in time.
    TimedOut,
    /// The connection broke after the message had begun to leave.
    ConnectionLost,
    /// The answer came and cannot be read.
    Unreadable,
    /// The channel takes nothing at this hour.
    Closed,
    /// Its last day was over when its turn came.
    Expired,
    /// The channel had stopped before this message's turn.
    Stopped,
    /// It was taken back before its turn: the time to send ended, or something changed that has to be looked at.
    Recalled,
    /// No access token could be had.
    NoToken,
    /// A letter on a channel of short messages, or the other way round.
    WrongForm,
    /// The server offers no way to log in that we have.
    NoMechanism,
    /// The address needs SMTPUTF8 (RFC 6531), which the server does not offer.
    NeedsSmtpUtf8,
    /// Another message with this key is already in the folder; it was left as it is.
    AnotherInPlace,
    /// The file could not be written; the system's error number.
    NotWritten(Option<i32>),
}

/// What Zalo says of a template that sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplateState {
    /// It waits for a decision.
    Pending,
    /// It was refused.
    Rejected,
    /// It was paused, because of complaints or by the agency.
    Disabled,
}

impl TemplateState {
    /// Its word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            TemplateState::Pending => "not approved yet",
            TemplateState::Rejected => "rejected",
            TemplateState::Disabled => "paused",
        }
    }
}

/// Whose matter it is that a message was not accepted, and so what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nobody's: the same message is tried again later.
    RetryLater,
    /// What was sent is wrong for this person: this message never goes by this channel; another channel may take it.
    Data,
    /// The person cannot be reached by this channel: another channel is tried.
    Recipient,
    /// The person does not want messages by this channel: recorded as a refusal, and another channel is tried.
    OptedOut,
    /// No more messages today or this month: later, or by another channel when later is too late.
    Quota,
    /// Something that the agency must set right: account, token, template, certificate.
    Ours,
}

impl Class {
    /// Its word in the ledger, in the report and in answers of gateways.
    pub const WORDS: [(&'static str, Class); 6] = [
        ("retry_later", Class::RetryLater),
        ("data", Class::Data),
        ("recipient", Class::Recipient),
        ("opted_out", Class::OptedOut),
        ("quota", Class::Quota),
        ("ours", Class::Ours),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, class)| *class == self).map_or("?", |(word, _)| word)
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, class)| *class)
    }

    /// Whether a message refused for this reason never goes by this channel.
    pub fn is_final(self) -> bool {
        matches!(self, Class::Data | Class::Recipient | Class::OptedOut)
    }
}

impl Code {
    /// Whose matter it is.
    pub fn class(self) -> Class {
        match self {
            Code::Reply { reply, enhanced } => reply_class(reply, enhanced),
            Code::Zns(error) => super::zns::class(error),
            Code::Http { said: Some(class), .. } => class,
            Code::Http { status, said: None } => status_class(status),
            Code::Busy { .. }
            | Code::NotConnected
            | Code::NoAnswer
            | Code::TimedOut
            | Code::ConnectionLost
            | Code::Unreadable
            | Code::Closed
            | Code::Expired
            | Code::Stopped
            | Code::Recalled
            | Code::NotWritten(_) => Class::RetryLater,
            Code::Template(_) | Code::NoToken | Code::NoMechanism | Code::WrongForm => Class::Ours,
            Code::NeedsSmtpUtf8 => Class::Recipient,
            Code::AnotherInPlace => Class::Data,
        }
    }

    /// What a person does about a service that answers every message so.
    pub(super) fn mend(self) -> &'static str {
        match self {
            Code::Busy { .. } => {
                "nothing, if it is seldom: what waits is sent after that time; otherwise send slower, with per_second of \
                 the channel"
            }
            Code::Http { status: 300..=399 | 404 | 405 | 410, said: None } => {
                "correct the channel's url in pipeline.toml: what stands there takes no messages, or has moved, and a \
                 redirect is not followed; then run again, nothing is sent twice"
            }
            Code::Http { status: 401 | 403 | 407, .. } => {
                "put the right token or secret where the channel's points, or let the service admit this account; then \
                 run again, nothing is sent twice"
            }
            Code::Http { said: None, .. } if self.class() == Class::Data => {
                "ask whoever runs the service what it misses in our requests, and correct the channel's url and sender \
                 in pipeline.toml; then run again: what it refused so is sent, and nothing twice"
            }
            _ => {
                "look the code up, set the account, its quota or its templates right, then run again; nothing is sent \
                 twice"
            }
        }
    }
}

/// RFC 3463: what the subject and the detail of an enhanced status say; RFC 5321 where there is none.
fn reply_class(reply: u16, enhanced: Option<[u16; 3]>) -> Class {
    match (reply, enhanced) {
        // A mailbox over its quota may be emptied; a server that asks for patience gets it.
        (400..=499, _) | (_, Some([4, _, _] | [5, 2, 2])) | (552, None) => Class::RetryLater,
        (_, Some([5, 1, 7 | 8])) => Class::Ours,
        // Microsoft refuses unknown recipients with 5.4.1; a domain without a route has 5.4.4, a closed mailbox 5.7.13.
        (_, Some([5, 1, _] | [5, 2, _] | [5, 4, 1 | 4] | [5, 7, 13])) => Class::Recipient,
        (_, Some([5, 6, _] | [5, 3, 4])) => Class::Data,
        (_, Some([5, _, _])) => Class::Ours,
        (550 | 551 | 553 | 521 | 556, _) => Class::Recipient,
        _ => Class::Ours,
    }
}

/// What a status says where the service says no more (RFC 9110).
fn status_class(status: u16) -> Class {
    match status {
        400 | 413 | 415 | 422 => Class::Data,
        410 => Class::Recipient,
        402 => Class::Quota,
        408 | 425 | 429 | 500..=599 => Class::RetryLater,
        _ => Class::Ours,
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Reply { reply, enhanced: Some([class, subject, detail]) } => {
                write!(f, "{reply} {class}.{subject}.{detail}")
            }
            Code::Reply { reply, enhanced: None } => write!(f, "{reply}"),
            Code::Template(state) => write!(f, "zns template {}", state.word()),
            Code::Zns(error) => write!(f, "zns {error}"),
            Code::Http { status, said: Some(class) } => write!(f, "http {status} {}", class.word()),
            Code::Http { status, said: None } => write!(f, "http {status}"),
            Code::Busy { status, wait_seconds } => write!(f, "http {status}, again after {wait_seconds} s"),
            Code::NotConnected => f.write_str("no connection"),
            Code::NoAnswer => f.write_str("no complete SMTP answer"),
            Code::TimedOut => f.write_str("no answer in time"),
            Code::ConnectionLost => f.write_str("connection lost"),
            Code::Unreadable => f.write_str("answer cannot be read"),
            Code::Closed => f.write_str("channel takes nothing at this hour"),
            Code::Expired => f.write_str("its last day was over"),
            Code::Stopped => f.write_str("channel had stopped"),
            Code::Recalled => f.write_str("taken back before its turn"),
            Code::NoToken => f.write_str("no access token"),
            Code::WrongForm => f.write_str("not a message of this channel"),
            Code::NoMechanism => f.write_str("no common way to log in"),
            Code::NeedsSmtpUtf8 => f.write_str("server without SMTPUTF8"),
            Code::AnotherInPlace => f.write_str("another message of this key is in the folder"),
            Code::NotWritten(Some(number)) => write!(f, "file not written, system error {number}"),
            Code::NotWritten(None) => f.write_str("file not written"),
        }
    }
}
