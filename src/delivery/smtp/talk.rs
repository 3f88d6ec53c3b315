//! The conversation about messages on one connection: each message announced, sent and answered.
//!
//! A reply belongs to its command: replies come in the order of the commands, also where several commands were sent
//! together. This module must not know how a connection is made or who else has one.

use std::error::Error as _;
use std::sync::Arc;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::{self, response};
use tokio::time::timeout;

use super::super::eml::{in_seven_bits, stuff};
use super::super::{Address, Code, Envelope, Outcome, Timeouts};

/// What can still be done with a connection after a message.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum After {
    /// It is ready for the next message.
    Ready,
    /// It is of no more use.
    Broken,
    /// It broke before the message began to leave: a new one may take the same message.
    Stale,
}

/// A message in the words of the protocol.
pub(super) struct Parcel {
    from: Address,
    rcpt: String,
    /// Whether an address has letters beyond ASCII, which not every server takes.
    is_international: bool,
    /// Whether the message has octets beyond ASCII.
    is_eight_bit: bool,
    /// The message as it is: its dots are stuffed by the connection that sends it.
    text: Arc<String>,
}

impl Parcel {
    pub(super) fn of(envelope: &Envelope) -> Parcel {
        let (from, to) = (&envelope.from, envelope.to.reveal());
        let is_international = !AsRef::<str>::as_ref(from).is_ascii() || !AsRef::<str>::as_ref(to).is_ascii();
        Parcel {
            from: from.clone(),
            rcpt: Rcpt::new(to.clone(), Vec::new()).to_string(),
            is_international,
            is_eight_bit: !envelope.text.is_ascii(),
            text: Arc::clone(&envelope.text),
        }
    }
}

/// A connection that is ready for messages.
pub(super) struct Line {
    smtp: AsyncSmtpConnection,
    /// Whether the server takes several commands at once (RFC 2920).
    pipelines: bool,
    /// Whether it takes messages in 8 bits (RFC 6152).
    takes_eight_bits: bool,
    /// Whether the message that is given to it next was announced behind the one before it: its replies are due.
    is_announced: bool,
    /// What leaves in one write, kept for the next.
    buffer: String,
}

/// The reply to a command, or what it means for the message and the connection that there is none like it.
type Reply = Result<response::Response, (Outcome, After)>;

impl Line {
    pub(super) fn new(smtp: AsyncSmtpConnection, pipelines: bool) -> Line {
        let takes_eight_bits = smtp.server_info().supports_feature(Extension::EightBitMime);
        Line { smtp, pipelines, takes_eight_bits, is_announced: false, buffer: String::new() }
    }

    /// Whether the server takes several commands at once.
    pub(super) fn pipelines(&self) -> bool {
        self.pipelines
    }

    /// Whether the message that is given to it next was announced.
    pub(super) fn has_announced(&self) -> bool {
        self.is_announced
    }

    /// The conversation about one message. `next` is announced behind it where the server allows it, and must then
    /// be the next that this is called with.
    pub(super) async fn talk(
        &mut self,
        parcel: &Parcel,
        next: Option<&Parcel>,
        timeouts: &Timeouts,
    ) -> (Outcome, After) {
        if let Err((outcome, after)) = self.announced(parcel, timeouts).await {
            return match after {
                After::Ready => {
                    // The server holds half of a transaction; it forgets it, or the connection goes.
                    let reset = timeout(timeouts.command, self.smtp.command(Rset)).await;
                    (outcome, if matches!(reset, Ok(Ok(_))) { After::Ready } else { After::Broken })
                }
                after => (outcome, after),
            };
        }
        // From here on a silence does not tell whether the server has taken the message.
        let (outcome, after) = match timeout(timeouts.data, self.contents(parcel, next)).await {
            Ok(Ok(reply)) if is_completion(&reply) => (Outcome::Accepted, After::Ready),
            Ok(Ok(_)) => (Outcome::Uncertain { code: Code::NoAnswer }, After::Broken),
            Ok(Err(error)) => match replied(&error) {
                Some(outcome) => (outcome, if is_goodbye(&error) { After::Broken } else { After::Ready }),
                None => (Outcome::Uncertain { code: Code::ConnectionLost }, After::Broken),
            },
            Err(_) => (Outcome::Uncertain { code: Code::TimedOut }, After::Broken),
        };
        (outcome, after)
    }

    /// Takes leave.
    pub(super) async fn quit(mut self) {
        // All messages have their outcome; a server that does not say goodbye changes none of them.
        drop(self.smtp.quit().await);
    }

    /// The message and its end in one packet, with the announcement of the next: lettre sends the end in one of its
    /// own.
    async fn contents(&mut self, parcel: &Parcel, next: Option<&Parcel>) -> Result<response::Response, smtp::Error> {
        self.buffer.clear();
        if parcel.is_eight_bit && !self.takes_eight_bits {
            stuff(&in_seven_bits(&parcel.text), &mut self.buffer);
        } else {
            stuff(&parcel.text, &mut self.buffer);
        }
        if let Some(next) = next.filter(|next| self.pipelines && self.takes(next)) {
            self.is_announced = true;
            self.announce(next);
        }
        self.smtp.command(self.buffer.as_str()).await
    }

    /// Whether the server takes the addresses of a message.
    fn takes(&self, parcel: &Parcel) -> bool {
        !parcel.is_international || self.smtp.server_info().supports_feature(Extension::SmtpUtfEight)
    }

    /// The command that names the sender, and what the server must know of the message.
    fn mail(&self, parcel: &Parcel) -> String {
        let mut parameters = Vec::new();
        if parcel.is_international {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if parcel.is_eight_bit && self.takes_eight_bits {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Mail::new(Some(parcel.from.clone()), parameters).to_string()
    }

    /// Sender, recipient and the word that the message follows, for a server that takes several commands at once.
    fn announce(&mut self, parcel: &Parcel) {
        let mail = self.mail(parcel);
        self.buffer.push_str(&mail);
        self.buffer.push_str(&parcel.rcpt);
        self.buffer.push_str(&Data.to_string());
    }

    /// Sender, recipient and the word that the message follows; nothing of it has left before `Ok`.
    async fn announced(&mut self, parcel: &Parcel, timeouts: &Timeouts) -> Result<(), (Outcome, After)> {
        let reply = if std::mem::take(&mut self.is_announced) {
            let first = read(timeout(timeouts.command, self.smtp.read_response()).await);
            self.rest(first, timeouts).await?
        } else if !self.takes(parcel) {
            return Err((Outcome::Refused { code: Code::NeedsSmtpUtf8 }, After::Ready));
        } else if self.pipelines {
            self.buffer.clear();
            self.announce(parcel);
            let first = read(timeout(timeouts.command, self.smtp.command(self.buffer.as_str())).await);
            self.rest(first, timeouts).await?
        } else {
            self.command(&self.mail(parcel), timeouts).await?;
            self.command(&parcel.rcpt, timeouts).await?;
            self.command(&Data.to_string(), timeouts).await?
        };
        if reply.has_code(354) { Ok(()) } else { Err((Outcome::Deferred { code: Code::NoAnswer }, After::Broken)) }
    }

    /// After the reply to the first of three commands in one packet those to the others: the last one, or the first
    /// that is a refusal.
    async fn rest(&mut self, first: Reply, timeouts: &Timeouts) -> Reply {
        let second = self.reply_to(&first, timeouts).await;
        let third = self.reply_to(&second, timeouts).await;
        match (first.and(second), third) {
            (Ok(_), third) => third,
            // The server waits for a message that nobody would get: it gets none, and another connection.
            (Err((outcome, After::Ready)), Ok(_)) => Err((outcome, After::Broken)),
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// The next reply, unless the connection broke at the one before.
    async fn reply_to(&mut self, before: &Reply, timeouts: &Timeouts) -> Reply {
        match before {
            Err((outcome, after @ (After::Broken | After::Stale))) => Err((*outcome, *after)),
            _ => read(timeout(timeouts.command, self.smtp.read_response()).await),
        }
    }

    async fn command(&mut self, command: &str, timeouts: &Timeouts) -> Reply {
        read(timeout(timeouts.command, self.smtp.command(command)).await)
    }
}

fn read(answer: Result<Result<response::Response, smtp::Error>, tokio::time::error::Elapsed>) -> Reply {
    match answer {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(match replied(&error) {
            Some(outcome) => (outcome, if is_goodbye(&error) { After::Stale } else { After::Ready }),
            None => (Outcome::Deferred { code: Code::NoAnswer }, After::Stale),
        }),
        Err(_) => Err((Outcome::Deferred { code: Code::TimedOut }, After::Broken)),
    }
}

/// What a reply of the server means for the message; none where the error is not a reply.
fn replied(error: &smtp::Error) -> Option<Outcome> {
    let code = reply_code(error)?;
    Some(if error.is_permanent() { Outcome::Refused { code } } else { Outcome::Deferred { code } })
}

/// Codes of a reply. Its words stay here: they may hold the recipient's address.
pub(super) fn reply_code(error: &smtp::Error) -> Option<Code> {
    let reply = u16::from(error.status()?);
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    Some(Code::Reply { reply, enhanced: enhanced_status(&words) })
}

/// The enhanced status code with which a reply begins (RFC 2034), `4.7.1`.
fn enhanced_status(words: &str) -> Option<[u16; 3]> {
    let mut numbers = words.split_whitespace().next()?.split('.').map(|number| number.parse::<u16>().ok());
    let status = [numbers.next()??, numbers.next()??, numbers.next()??];
    let is_status =
        numbers.next().is_none() && matches!(status, [2 | 4 | 5, subject, detail] if subject < 1000 && detail < 1000);
    is_status.then_some(status)
}

/// 421: the server closes the connection.
pub(super) fn is_goodbye(error: &smtp::Error) -> bool {
    error.status().is_some_and(|code| u16::from(code) == 421)
}

fn is_completion(reply: &response::Response) -> bool {
    reply.code().severity == response::Severity::PositiveCompletion
}
