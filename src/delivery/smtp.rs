//! The mail server channel: SMTP (RFC 5321) over connections of our own.
//!
//! lettre's pool waits 43 ms on every message of a connection (Nagle's algorithm against
//! delayed acknowledgement), so the streams are opened here with `TCP_NODELAY`, and each
//! command is given by hand: only so is it known whether a message had begun to leave
//! when something broke. Every step has a time limit. Nothing is logged.

use std::collections::VecDeque;
use std::error::Error as _;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::{self, response};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::eml::stuffed;
use super::{Code, Envelope, Error, Outcome, Timeouts, tls};
use crate::pipeline::{Smtp, Tls};

/// How long a server may take to say goodbye; nothing depends on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A mail server and our connections to it.
pub(super) struct Server {
    settings: Arc<Settings>,
    /// One per connection that the pipeline allows; each is opened when it is first needed.
    lanes: Vec<Option<Line>>,
}

/// A connection that is ready for messages.
struct Line {
    smtp: AsyncSmtpConnection,
    /// Whether the server takes several commands at once (RFC 2920).
    pipelines: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.settings.name()).finish_non_exhaustive()
    }
}

/// What a connection is made with.
struct Settings {
    host: String,
    port: u16,
    protection: Protection,
    credentials: Option<Credentials>,
    hello: ClientId,
    timeouts: Timeouts,
}

enum Protection {
    None,
    StartTls(TlsParameters),
    Wrapped(TlsConnector),
}

impl Server {
    /// Makes the first connection and logs in. `domain` is that of the sender, and our name in `EHLO`.
    pub(super) async fn open(smtp: &Smtp, domain: &str, timeouts: Timeouts) -> Result<Server, Error> {
        let server = format!("{}:{}", smtp.host, smtp.port);
        let protection = match smtp.tls {
            Tls::None => Protection::None,
            Tls::StartTls => {
                let parameters = TlsParameters::new_rustls(smtp.host.clone());
                Protection::StartTls(parameters.map_err(|error| Error::Tls { server, why: error.to_string() })?)
            }
            Tls::Wrapped => Protection::Wrapped(tls::connector().map_err(|why| Error::Tls { server, why })?),
        };
        let credentials = match &smtp.credentials {
            Some((user, secret)) => {
                let secret = secret.resolve().map_err(Error::Secret)?;
                Some(Credentials::new(user.clone(), secret.reveal().to_owned()))
            }
            None => None,
        };
        let (host, port) = (smtp.host.clone(), smtp.port);
        let hello = ClientId::Domain(domain.to_owned());
        let settings = Settings { host, port, protection, credentials, hello, timeouts };
        let mut lanes = vec![Some(settings.connect().await?)];
        lanes.resize_with(smtp.connections.max(1), || None);
        Ok(Server { settings: Arc::new(settings), lanes })
    }

    /// Sends over all connections at once; outcomes are in the order of the messages.
    pub(super) async fn send(&mut self, envelopes: &[&Envelope]) -> (Vec<Outcome>, Option<Error>) {
        let work = Arc::new(Work {
            envelopes: envelopes.iter().map(|envelope| (*envelope).clone()).collect(),
            waiting: Mutex::new((0..envelopes.len()).collect()),
            outcomes: Mutex::new(vec![Outcome::Deferred { code: Code::NotConnected }; envelopes.len()]),
            trouble: Mutex::new(None),
        });
        self.work_off(&work, envelopes.len(), |_| true).await;
        // A connection that could not be made gives its message back, perhaps after the others had
        // finished. Those that stand take it; each round settles a message or loses a connection.
        while !held(&work.waiting).is_empty() && self.lanes.iter().any(Option::is_some) {
            self.work_off(&work, envelopes.len(), Option::is_some).await;
        }
        let is_done = held(&work.waiting).is_empty();
        let outcomes = std::mem::take(&mut *held(&work.outcomes));
        let trouble = held(&work.trouble).take();
        // A server that takes fewer connections than allowed is no trouble while one of them works.
        (outcomes, trouble.filter(|_| !is_done))
    }

    /// Lets some connections work, each in a task of its own, so that they share the cores.
    async fn work_off(&mut self, work: &Arc<Work>, most: usize, is_meant: impl Fn(&Option<Line>) -> bool) {
        let mut tasks = Vec::new();
        for (index, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| is_meant(lane)).take(most) {
            let (settings, work, mut line) = (Arc::clone(&self.settings), Arc::clone(work), lane.take());
            let task = tokio::spawn(async move {
                work_off(&settings, &mut line, &work).await;
                line
            });
            tasks.push((index, task));
        }
        for (index, task) in tasks {
            let line = task.await.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down: the connection is gone with it.
                Err(_) => None,
            });
            if let Some(lane) = self.lanes.get_mut(index) {
                *lane = line;
            }
        }
    }

    /// Takes leave on every connection.
    pub(super) async fn close(self) {
        let quit = |mut line: Line| async move {
            // All messages have their outcome; a server that does not say goodbye changes none of them.
            let _ = timeout(QUIT_TIMEOUT, line.smtp.quit()).await;
        };
        join_all(self.lanes.into_iter().flatten().map(quit)).await;
    }
}

/// What the connections share while they work.
struct Work {
    envelopes: Vec<Envelope>,
    /// Indexes of messages that nobody has begun.
    waiting: Mutex<VecDeque<usize>>,
    outcomes: Mutex<Vec<Outcome>>,
    /// The first connection that could not be made.
    trouble: Mutex<Option<Error>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection takes messages until none waits, or until it cannot be made again.
async fn work_off(settings: &Settings, lane: &mut Option<Line>, work: &Work) {
    loop {
        let Some(index) = held(&work.waiting).pop_front() else { return };
        let Some(envelope) = work.envelopes.get(index) else { return };
        match deliver(settings, lane, envelope).await {
            Ok(outcome) => {
                if let Some(place) = held(&work.outcomes).get_mut(index) {
                    *place = outcome;
                }
            }
            Err(error) => {
                // The message has not begun to leave: another connection may take it.
                held(&work.waiting).push_front(index);
                held(&work.trouble).get_or_insert(error);
                return;
            }
        }
    }
}

/// What can still be done with a connection after a message.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// It is ready for the next message.
    Ready,
    /// It is of no more use.
    Broken,
    /// It broke before the message began to leave: a new one may take the same message.
    Stale,
}

/// One message, on the connection of this lane or on a new one. Servers close idle connections
/// without a word, so a message that met such a one is tried once more on a fresh one.
async fn deliver(settings: &Settings, lane: &mut Option<Line>, envelope: &Envelope) -> Result<Outcome, Error> {
    if let Some(connection) = lane {
        let (outcome, after) = talk(connection, envelope, &settings.timeouts).await;
        if after == After::Ready {
            return Ok(outcome);
        }
        *lane = None;
        if after == After::Broken {
            return Ok(outcome);
        }
    }
    let mut connection = settings.connect().await?;
    let (outcome, after) = talk(&mut connection, envelope, &settings.timeouts).await;
    if after == After::Ready {
        *lane = Some(connection);
    }
    Ok(outcome)
}

/// The conversation about one message.
async fn talk(line: &mut Line, envelope: &Envelope, timeouts: &Timeouts) -> (Outcome, After) {
    let announced = announce(line, envelope, timeouts).await;
    let connection = &mut line.smtp;
    if let Err((outcome, after)) = announced {
        return match after {
            After::Ready => {
                // The server holds half of a transaction; it forgets it, or the connection goes.
                let reset = timeout(timeouts.command, connection.command(Rset)).await;
                (outcome, if matches!(reset, Ok(Ok(_))) { After::Ready } else { After::Broken })
            }
            after => (outcome, after),
        };
    }
    // From here on a silence does not tell whether the server has taken the message.
    match timeout(timeouts.data, contents(connection, &envelope.bytes)).await {
        Ok(Ok(reply)) if is_completion(&reply) => (Outcome::Accepted, After::Ready),
        Ok(Ok(_)) => (Outcome::Uncertain { code: Code::NoAnswer }, After::Broken),
        Ok(Err(error)) => match replied(&error) {
            Some(outcome) => (outcome, if is_goodbye(&error) { After::Broken } else { After::Ready }),
            None => (Outcome::Uncertain { code: Code::ConnectionLost }, After::Broken),
        },
        Err(_) => (Outcome::Uncertain { code: Code::TimedOut }, After::Broken),
    }
}

/// The message and its end in one packet: lettre sends the end in one of its own.
async fn contents(connection: &mut AsyncSmtpConnection, message: &[u8]) -> Result<response::Response, smtp::Error> {
    match std::str::from_utf8(&stuffed(message)) {
        Ok(text) => connection.command(text).await,
        Err(_) => connection.message(message).await,
    }
}

/// Sender, recipient and the word that the message follows; nothing of it has left before `Ok`.
async fn announce(line: &mut Line, envelope: &Envelope, timeouts: &Timeouts) -> Result<(), (Outcome, After)> {
    let pipelines = line.pipelines;
    let connection = &mut line.smtp;
    let (from, to) = (&envelope.from, envelope.to.reveal());
    let mut parameters = Vec::new();
    let is_international = !AsRef::<str>::as_ref(from).is_ascii() || !AsRef::<str>::as_ref(to).is_ascii();
    if is_international {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err((Outcome::Refused { code: Code::NeedsSmtpUtf8 }, After::Ready));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !envelope.bytes.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let mail = Mail::new(Some(from.clone()), parameters);
    let rcpt = Rcpt::new(to.clone(), Vec::new());
    let reply = if pipelines {
        together(connection, &format!("{mail}{rcpt}{Data}"), timeouts).await?
    } else {
        command(connection, mail, timeouts).await?;
        command(connection, rcpt, timeouts).await?;
        command(connection, Data, timeouts).await?
    };
    if reply.has_code(354) { Ok(()) } else { Err((Outcome::Deferred { code: Code::NoAnswer }, After::Broken)) }
}

/// The three commands in one packet, and their three replies: the last one, or the first that is a refusal.
async fn together(
    connection: &mut AsyncSmtpConnection,
    commands: &str,
    timeouts: &Timeouts,
) -> Result<response::Response, (Outcome, After)> {
    let first = command(connection, commands, timeouts).await;
    let second = reply_to(&first, connection, timeouts).await;
    let third = reply_to(&second, connection, timeouts).await;
    match (first.and(second), third) {
        (Ok(_), third) => third,
        // The server waits for a message that nobody would get: it gets none, and another connection.
        (Err((outcome, After::Ready)), Ok(_)) => Err((outcome, After::Broken)),
        (Err(refusal), _) => Err(refusal),
    }
}

/// The next reply, unless the connection broke at the one before.
async fn reply_to(
    before: &Result<response::Response, (Outcome, After)>,
    connection: &mut AsyncSmtpConnection,
    timeouts: &Timeouts,
) -> Result<response::Response, (Outcome, After)> {
    match before {
        Err((outcome, after @ (After::Broken | After::Stale))) => Err((*outcome, *after)),
        _ => read(timeout(timeouts.command, connection.read_response()).await),
    }
}

async fn command(
    connection: &mut AsyncSmtpConnection,
    command: impl fmt::Display,
    timeouts: &Timeouts,
) -> Result<response::Response, (Outcome, After)> {
    read(timeout(timeouts.command, connection.command(command)).await)
}

fn read(
    answer: Result<Result<response::Response, smtp::Error>, tokio::time::error::Elapsed>,
) -> Result<response::Response, (Outcome, After)> {
    match answer {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(match replied(&error) {
            Some(outcome) => (outcome, if is_goodbye(&error) { After::Stale } else { After::Ready }),
            None => (Outcome::Deferred { code: Code::NoAnswer }, After::Stale),
        }),
        Err(_) => Err((Outcome::Deferred { code: Code::TimedOut }, After::Broken)),
    }
}

impl Settings {
    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A connection that is protected, greeted and logged in.
    async fn connect(&self) -> Result<Line, Error> {
        let stream = self.stream().await?;
        let greeted = AsyncSmtpConnection::connect_with_transport(stream, &self.hello);
        let refused = |code| Error::Server { server: self.name(), code };
        let mut connection = timeout(self.timeouts.command, greeted)
            .await
            .map_err(|_| refused(Code::TimedOut))?
            .map_err(|error| refused(reply_code(&error).unwrap_or(Code::NoAnswer)))?;
        if let Protection::StartTls(parameters) = &self.protection {
            self.start_tls(&mut connection, parameters).await?;
        }
        if let Some(credentials) = &self.credentials {
            let refused = |code| Error::Account { server: self.name(), code };
            timeout(self.timeouts.command, connection.auth(DEFAULT_MECHANISMS, credentials))
                .await
                .map_err(|_| refused(Code::TimedOut))?
                .map_err(|error| {
                    let ours = if error.is_client() { Code::NoMechanism } else { Code::NoAnswer };
                    refused(reply_code(&error).unwrap_or(ours))
                })?;
        }
        let pipelines = self.pipelines(&mut connection).await?;
        Ok(Line { smtp: connection, pipelines })
    }

    /// Asks once more what the server offers: the library does not keep the word that we look for.
    async fn pipelines(&self, connection: &mut AsyncSmtpConnection) -> Result<bool, Error> {
        let refused = |code| Error::Server { server: self.name(), code };
        match timeout(self.timeouts.command, connection.command(Ehlo::new(self.hello.clone()))).await {
            Ok(Ok(reply)) => Ok(reply.message().any(|word| word.trim().eq_ignore_ascii_case("PIPELINING"))),
            // A server may refuse to be asked twice; then it is told one command at a time.
            Ok(Err(error)) if error.status().is_some() && !is_goodbye(&error) => Ok(false),
            Ok(Err(error)) => Err(refused(reply_code(&error).unwrap_or(Code::NoAnswer))),
            Err(_) => Err(refused(Code::TimedOut)),
        }
    }

    /// The stream below SMTP.
    async fn stream(&self) -> Result<Box<dyn AsyncTokioStream>, Error> {
        let failed = |source| Error::Connect { server: self.name(), source };
        let late = || failed(std::io::ErrorKind::TimedOut.into());
        let stream = timeout(self.timeouts.connect, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = stream.await.map_err(|_| late())?.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Protection::Wrapped(connector) = &self.protection else { return Ok(Box::new(stream)) };
        let wrapped = timeout(self.timeouts.connect, tls::wrap(connector, &self.host, stream)).await;
        match wrapped.map_err(|_| late())? {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Error::Tls { server: self.name(), why: error.to_string() }),
        }
    }

    /// `STARTTLS` or nothing: a server, or somebody between, that leaves it out gets no message.
    async fn start_tls(&self, connection: &mut AsyncSmtpConnection, parameters: &TlsParameters) -> Result<(), Error> {
        let failed = |why: String| Error::Tls { server: self.name(), why };
        if !connection.can_starttls() {
            return Err(failed("the server does not offer STARTTLS".into()));
        }
        match timeout(self.timeouts.command, connection.starttls(parameters.clone(), &self.hello)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(match (reply_code(&error), error.source()) {
                (Some(code), _) => format!("the server answered {code}"),
                (None, Some(source)) => source.to_string(),
                (None, None) => "the handshake failed".into(),
            })),
            Err(_) => Err(failed("no answer in time".into())),
        }
    }
}

/// What a reply of the server means for the message; none where the error is not a reply.
fn replied(error: &smtp::Error) -> Option<Outcome> {
    let code = reply_code(error)?;
    Some(if error.is_permanent() { Outcome::Refused { code } } else { Outcome::Deferred { code } })
}

/// Codes of a reply. Its words stay here: they may hold the recipient's address.
fn reply_code(error: &smtp::Error) -> Option<Code> {
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
fn is_goodbye(error: &smtp::Error) -> bool {
    error.status().is_some_and(|code| u16::from(code) == 421)
}

fn is_completion(reply: &response::Response) -> bool {
    reply.code().severity == response::Severity::PositiveCompletion
}
