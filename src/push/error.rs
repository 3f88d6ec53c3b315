//! What can go wrong on the way to the rating system. No variant holds a secret, a token, or words of an answer.

use crate::fault::{Explain, Place};
use crate::pipeline::secret;
use crate::tables;

/// Why the rating system was not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret of `[push]` cannot be had.
    #[error("a secret of the rating system cannot be had")]
    Secret(#[source] secret::Error),
    /// The file of the authority cannot be read.
    #[error("the certificate of the authority cannot be read")]
    Authority {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No connection can be prepared: a certificate is none.
    #[error("the way to {service} cannot be prepared: {why}")]
    Service {
        /// Host and port.
        service: String,
        /// Why.
        why: String,
    },
    /// No token was given.
    #[error("{service} gave no token: {why}")]
    Token {
        /// Host and port.
        service: String,
        /// Why: a status, or that there was no answer.
        why: String,
    },
    /// No answer, or one that says that the service is not well, however often it was asked.
    #[error("{service} did not take {period}: {why}, {attempts} times")]
    NoAnswer {
        /// Host and port.
        service: String,
        /// The period.
        period: String,
        /// What came instead of an answer.
        why: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// It asks for more patience than one run has.
    #[error("{service} asks for {seconds} seconds before it takes {period}")]
    Later {
        /// Host and port.
        service: String,
        /// The period.
        period: String,
        /// For how long.
        seconds: u64,
    },
    /// It has a complete snapshot and was offered a partial one.
    #[error("{service} has a complete snapshot of {period}, and this one is partial")]
    WouldOverwrite {
        /// Host and port.
        service: String,
        /// The period.
        period: String,
    },
    /// It refuses the message, and would refuse it again.
    #[error("{service} refused {period}: status {status}, {code}")]
    Refused {
        /// Host and port.
        service: String,
        /// The period.
        period: String,
        /// The status of HTTP.
        status: u16,
        /// Its own code, or `-`.
        code: String,
    },
    /// An answer that is not in the documented envelope: nobody knows what it took.
    #[error("the answer of {service} about {period} is not in the documented form")]
    Unreadable {
        /// Host and port.
        service: String,
        /// The period.
        period: String,
    },
    /// A published table cannot be read as one.
    #[error("the published table {table} cannot be told")]
    Table {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: tables::Error,
    },
    /// A snapshot cannot be written as JSON.
    #[error("the snapshot of {period} cannot be written as JSON")]
    Json {
        /// The period.
        period: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Secret(error) => error.code(),
            Error::Authority { .. } => "push.authority",
            Error::Service { .. } => "push.service",
            Error::Token { .. } => "push.no-token",
            Error::NoAnswer { .. } => "push.no-answer",
            Error::Later { .. } => "push.later",
            Error::WouldOverwrite { .. } => "push.would-overwrite",
            Error::Refused { .. } => "push.refused",
            Error::Unreadable { .. } => "push.unreadable",
            Error::Table { .. } => "push.table",
            Error::Json { .. } => "push.json",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Secret(error) => error.place(),
            Error::Authority { path, .. } => Place::file(path),
            Error::Service { service, .. }
            | Error::Token { service, .. }
            | Error::NoAnswer { service, .. }
            | Error::Later { service, .. }
            | Error::WouldOverwrite { service, .. }
            | Error::Refused { service, .. }
            | Error::Unreadable { service, .. } => Place::Thing(format!("rating system {service}")),
            Error::Table { table, .. } => Place::Table(table.clone()),
            Error::Json { period, .. } => Place::Thing(format!("period {period}")),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Secret(error) => error.next(),
            Error::Authority { .. } => "let the service's account read the file that [push] authority names".into(),
            Error::Service { .. } => "correct [push] identity and authority: certificates and keys in PEM".into(),
            Error::Token { .. } => {
                "compare client_id, client_secret and token_url with what the portal gave you".into()
            }
            Error::NoAnswer { .. } | Error::Later { .. } => {
                "run `chudong push` later; the message has a key by which the portal takes it once".into()
            }
            Error::WouldOverwrite { .. } => {
                "nothing, if a table was withdrawn on purpose; ask the portal to take its snapshot back otherwise"
                    .into()
            }
            Error::Refused { .. } => "ask the portal what the code means; nothing changed there".into(),
            Error::Unreadable { .. } => {
                "see that [push] url is that of the interface; running `chudong push` again repeats nothing".into()
            }
            Error::Table { .. } | Error::Json { .. } => {
                "report this with the code above: the program published a table that it cannot read".into()
            }
        }
    }
}
