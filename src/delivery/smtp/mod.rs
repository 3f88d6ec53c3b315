//! The mail server channel: SMTP (RFC 5321) over connections of our own.
//!
//! lettre's pool waits 43 ms on every message of a connection (Nagle's algorithm against
//! delayed acknowledgement), so the streams are opened here with `TCP_NODELAY`, and each
//! command is given by hand: only so is it known whether a message had begun to leave
//! when something broke. Every step has a time limit. Nothing is logged.
//!
//! Where a server takes several commands at once (RFC 2920), the end of a message and the
//! announcement of the next one leave together: a message costs one journey to the server
//! and back. Of a message that was only announced nothing has left.

mod connect;
mod talk;

use std::collections::VecDeque;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use self::connect::{Protection, Settings};
use self::talk::{After, Line, Parcel};
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

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.settings.name()).finish_non_exhaustive()
    }
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
            parcels: envelopes.iter().map(|envelope| Parcel::of(envelope)).collect(),
            lanes: self.lanes.len(),
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
        let quit = |line: Line| async move {
            // All messages have their outcome; a server that does not say goodbye changes none of them.
            let _ = timeout(QUIT_TIMEOUT, line.quit()).await;
        };
        join_all(self.lanes.into_iter().flatten().map(quit)).await;
    }
}

/// What the connections share while they work.
struct Work {
    parcels: Vec<Parcel>,
    /// How many connections work.
    lanes: usize,
    /// Indexes of messages that nobody has begun.
    waiting: Mutex<VecDeque<usize>>,
    outcomes: Mutex<Vec<Outcome>>,
    /// The first connection that could not be made.
    trouble: Mutex<Option<Error>>,
}

impl Work {
    /// Takes the next message that nobody has begun, while more than so many of them wait.
    fn next(&self, left: usize) -> Option<(usize, &Parcel)> {
        let mut waiting = held(&self.waiting);
        let index = if waiting.len() > left { waiting.pop_front()? } else { return None };
        Some((index, self.parcels.get(index)?))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection takes messages until none waits, or until it cannot be made again.
async fn work_off(settings: &Settings, lane: &mut Option<Line>, work: &Work) {
    let mut ahead = None;
    while let Some((index, parcel)) = ahead.or_else(|| work.next(0)) {
        // Taken already, so that it can be announced behind this one. The last ones are left to whoever is free.
        let next = if lane.as_ref().is_some_and(Line::pipelines) { work.next(work.lanes) } else { None };
        match deliver(settings, lane, parcel, next.map(|(_, next)| next)).await {
            Ok(outcome) => {
                if let Some(place) = held(&work.outcomes).get_mut(index) {
                    *place = outcome;
                }
            }
            Err(error) => {
                // The messages have not begun to leave: another connection may take them.
                let mut waiting = held(&work.waiting);
                next.into_iter().for_each(|(next, _)| waiting.push_front(next));
                waiting.push_front(index);
                drop(waiting);
                held(&work.trouble).get_or_insert(error);
                return;
            }
        }
        ahead = next;
    }
}

/// One message, on the connection of this lane or on a new one, and the announcement of the next behind it. Servers
/// close idle connections without a word, so a message that met such a one is tried once more on a fresh one.
async fn deliver(
    settings: &Settings,
    lane: &mut Option<Line>,
    parcel: &Parcel,
    next: Option<&Parcel>,
) -> Result<Outcome, Error> {
    if let Some(line) = lane {
        let (outcome, after) = line.talk(parcel, next, &settings.timeouts).await;
        if after == After::Ready {
            return Ok(outcome);
        }
        *lane = None;
        if after == After::Broken {
            return Ok(outcome);
        }
    }
    let mut line = settings.connect().await?;
    let (outcome, after) = line.talk(parcel, next, &settings.timeouts).await;
    if after == After::Ready {
        *lane = Some(line);
    }
    Ok(outcome)
}
