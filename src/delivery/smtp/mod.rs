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
mod lanes;
mod talk;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use self::connect::{Protection, Settings};
use self::lanes::Lanes;
use self::talk::Line;
use super::{Envelope, Error, Outcome, Permit, Timeouts, tls};
use crate::ledger::MessageKey;
use crate::pipeline::{Smtp, Tls};

/// How long a server may take to say goodbye; nothing depends on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A mail server and our connections to it.
pub(super) struct Server {
    name: String,
    /// One for each connection that the pipeline allows, which is made when it is first needed.
    lanes: Lanes<MessageKey>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).finish_non_exhaustive()
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
        let (name, first) = (settings.name(), settings.connect().await?);
        Ok(Server { name, lanes: Lanes::new(Arc::new(settings), first, smtp.connections) })
    }

    /// Gives letters to the connections, behind those that they have already.
    pub(super) fn feed(&mut self, letters: impl IntoIterator<Item = (MessageKey, Envelope)>, permit: &Arc<Permit>) {
        self.lanes.give(letters, permit);
    }

    /// How many letters have not ended.
    pub(super) fn under_way(&self) -> usize {
        self.lanes.under_way()
    }

    /// Waits until at most so many letters have not ended, and gives what became of the others.
    pub(super) async fn collect(&mut self, left: usize) -> (Vec<(MessageKey, Outcome)>, Option<Error>) {
        (self.lanes.ended(left).await, self.lanes.trouble())
    }

    /// Takes leave on every connection.
    pub(super) async fn close(self) {
        let quit = |line: Line| async move {
            // All messages have their outcome; a server that does not say goodbye changes none of them.
            let _ = timeout(QUIT_TIMEOUT, line.quit()).await;
        };
        join_all(self.lanes.rest().await.into_iter().map(quit)).await;
    }
}
