//! Making a connection: opened, protected, greeted, logged in. It must not know messages.

use std::error::Error as _;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::{Code, Error, Timeouts, tls};
use super::talk::{Line, is_goodbye, reply_code};

/// What a connection is made with.
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) credentials: Option<Credentials>,
    pub(super) hello: ClientId,
    pub(super) timeouts: Timeouts,
}

/// What stands between a connection and whoever listens.
pub(super) enum Protection {
    None,
    StartTls(TlsParameters),
    Wrapped(TlsConnector),
}

impl Settings {
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A connection that is protected, greeted and logged in.
    pub(super) async fn connect(&self) -> Result<Line, Error> {
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
        Ok(Line::new(connection, pipelines))
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
