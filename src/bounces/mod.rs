//! What comes back: delivery reports, complaints and late receipts, read from a mailbox and understood.
//!
//! A report is a letter from a stranger: it is believed only where it names, by a tag that nobody else can make, a
//! message of ours. [`Reports`] reads the mailbox in batches; [`report::read`] says what one letter is;
//! [`Verdict::effect`] says what follows. Writing it down is the ledger's. A letter leaves the mailbox only after
//! that, so that a crash in between reads it again, and the ledger knows it by its bytes.
//!
//! No word of a report is kept or logged: it holds addresses. This chapter must not know what the message was about.

mod imap;
mod maildir;
pub mod receipt;
pub mod report;
mod verdict;

use std::path::{Path, PathBuf};

use crate::fault::{Explain, Place};
use crate::pipeline::mail::Mailbox;
use crate::pipeline::secret;

pub use report::{Code, Report};
pub use verdict::{Effect, Verdict};

/// Bytes of a letter that are looked at: a report says what it has to say before the message that it returns.
pub const BYTES_MAX: usize = 1 << 20;
/// Letters that are read before they are written down.
pub const BATCH: usize = 500;
/// How long letters that were read are kept, in days: they hold addresses and are needed only while somebody asks.
pub const KEPT_DAYS: u16 = 30;

/// A letter of the mailbox.
pub struct Letter {
    /// SHA-256 of what was read of it, in hexadecimal.
    pub id: String,
    /// Its bytes, at most [`BYTES_MAX`].
    pub bytes: Vec<u8>,
    place: Where,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Clone)]
enum Where {
    File(PathBuf),
    Uid(u32),
}

/// Where a letter goes when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// It was understood, or is nothing to be understood.
    Processed,
    /// A person should look at it.
    ToLookAt,
}

/// A mailbox that cannot be read. No variant holds a word of a letter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is no maildir.
    #[error("there is no maildir: it has no folder new")]
    NotMaildir {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be read or moved.
    #[error("the maildir cannot be used")]
    Maildir {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Receipts of services cannot be kept, read or removed.
    #[error("the receipts in the state folder cannot be used")]
    Receipts {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The password cannot be had.
    #[error("the password for the mailbox cannot be had")]
    Secret(#[source] secret::Error),
    /// There is no connection.
    #[error("the server of the mailbox cannot be reached")]
    Connect {
        /// `host:port`.
        server: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The connection is not protected.
    #[error("the connection to the mailbox cannot be protected: {why}")]
    Tls {
        /// `host:port`.
        server: String,
        /// What went wrong.
        why: String,
    },
    /// The account is refused.
    #[error("the server of the mailbox refuses the account")]
    Account {
        /// `host:port`.
        server: String,
    },
    /// Anything else that the server does. Its words may hold an address, and are not repeated.
    #[error("the server of the mailbox did not {doing}")]
    Server {
        /// `host:port`.
        server: String,
        /// What was asked of it.
        doing: &'static str,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NotMaildir { .. } => "bounces.no-maildir",
            Error::Maildir { .. } => "bounces.maildir-unusable",
            Error::Receipts { .. } => "bounces.receipts-unusable",
            Error::Secret(error) => error.code(),
            Error::Connect { .. } => "bounces.server-unreachable",
            Error::Tls { .. } => "bounces.connection-not-protected",
            Error::Account { .. } => "bounces.account-refused",
            Error::Server { .. } => "bounces.server-failed",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::NotMaildir { path } | Error::Maildir { path, .. } | Error::Receipts { path, .. } => {
                Place::file(path)
            }
            Error::Secret(error) => error.place(),
            Error::Connect { server, .. }
            | Error::Tls { server, .. }
            | Error::Account { server }
            | Error::Server { server, .. } => Place::Thing(format!("IMAP server {server}")),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::NotMaildir { .. } => {
                "correct mail.mailbox.path, or let the mail server deliver there once: it makes the maildir".into()
            }
            Error::Maildir { .. } => "let the service's account read and move files there; nothing is lost".into(),
            Error::Receipts { .. } => "make room, and let the service's account read and write there".into(),
            Error::Secret(error) => error.next(),
            Error::Connect { .. } => "check host, port and network; what waits there is read the next time".into(),
            Error::Tls { .. } => {
                "install the certificate of the server's authority on this machine, or correct mail.mailbox.host".into()
            }
            Error::Account { .. } => "correct the account or its password".into(),
            Error::Server { .. } => "run `chudong bounces` again; if it fails again, ask who runs the server".into(),
        }
    }
}

/// The mailbox, open.
#[derive(Debug)]
pub struct Reports(Kind);

#[derive(Debug)]
enum Kind {
    Maildir(maildir::Maildir),
    Imap(Box<imap::Folder>),
}

impl Reports {
    /// Opens the mailbox.
    ///
    /// # Errors
    ///
    /// Where there is none, or the server does not let us in.
    pub async fn open(mailbox: &Mailbox) -> Result<Reports, Error> {
        Ok(Reports(match mailbox {
            Mailbox::Maildir(path) => Kind::Maildir(maildir::Maildir::open(path)?),
            Mailbox::Imap(settings) => Kind::Imap(Box::new(imap::Folder::open(settings).await?)),
        }))
    }

    /// The next letters, at most [`BATCH`]; none when all were read. Letters that were given are given again until
    /// they are put away.
    ///
    /// # Errors
    ///
    /// Where the mailbox can no longer be read.
    pub async fn next(&mut self) -> Result<Vec<Letter>, Error> {
        match &mut self.0 {
            Kind::Maildir(maildir) => maildir.next(),
            Kind::Imap(folder) => folder.next().await,
        }
    }

    /// Puts a letter away, after what it says is durable.
    ///
    /// # Errors
    ///
    /// Where it cannot be moved; it is then read again.
    pub async fn put_away(&mut self, letter: &Letter, shelf: Shelf) -> Result<(), Error> {
        match (&mut self.0, &letter.place) {
            (Kind::Maildir(maildir), Where::File(path)) => maildir.put_away(path, &letter.id, shelf),
            (Kind::Imap(folder), Where::Uid(uid)) => folder.put_away(*uid).await,
            // A letter of another mailbox is not here.
            _ => Ok(()),
        }
    }

    /// Ends: removes letters that were put away more than [`KEPT_DAYS`] before `today`, or takes leave of the server.
    ///
    /// # Errors
    ///
    /// Where an old letter cannot be removed.
    pub async fn close(self, today: jiff::civil::Date) -> Result<(), Error> {
        match self.0 {
            Kind::Maildir(maildir) => maildir.forget(today),
            Kind::Imap(folder) => {
                folder.close().await;
                Ok(())
            }
        }
    }
}

fn unusable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Maildir { path: path.to_path_buf(), source }
}
