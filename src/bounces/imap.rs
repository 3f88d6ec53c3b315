//! A mailbox on a server: IMAP over TLS from the first byte (RFC 8314).
//!
//! A letter is copied before it is removed, or moved in one step where the server can (RFC 6851). Every step has a
//! time limit. The server's words are not repeated: they may hold an address. This module must not know what a
//! letter says.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_imap::Session;
use futures::TryStreamExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{BATCH, BYTES_MAX, Error, Letter, Where};
use crate::delivery::tls;
use crate::personal::sha256;
use crate::pipeline::mail::Imap;

/// How long one step may take.
const STEP: Duration = Duration::from_secs(60);
/// How long taking leave may take; nothing depends on it.
const LEAVE: Duration = Duration::from_secs(5);

/// The folder that is read.
pub struct Folder {
    session: Session<tls::Wrapped>,
    server: String,
    done: String,
    can_move: bool,
    can_expunge_one: bool,
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Folder {
    /// Connects, logs in and selects the folder; makes that of the letters that were read.
    pub(super) async fn open(settings: &Imap) -> Result<Folder, Error> {
        let server = format!("{}:{}", settings.host, settings.port);
        let password = settings.password.resolve().map_err(Error::Secret)?;
        let failed = |source| Error::Connect { server: server.clone(), source };
        let late = || failed(std::io::ErrorKind::TimedOut.into());
        let stream = timeout(STEP, TcpStream::connect((settings.host.as_str(), settings.port)));
        let stream = stream.await.map_err(|_| late())?.map_err(failed)?;
        let connector = tls::connector().map_err(|why| Error::Tls { server: server.clone(), why })?;
        let wrapped = timeout(STEP, tls::wrap(&connector, &settings.host, stream)).await.map_err(|_| late())?;
        let wrapped = wrapped.map_err(|error| Error::Tls { server: server.clone(), why: error.to_string() })?;
        let mut client = async_imap::Client::new(wrapped);
        let greeting = timeout(STEP, client.read_response()).await;
        if !matches!(greeting, Ok(Ok(Some(_)))) {
            return Err(Error::Server { server, doing: "greet" });
        }
        let login = timeout(STEP, client.login(&settings.user, password.reveal())).await.map_err(|_| late())?;
        let mut session = login.map_err(|_| Error::Account { server: server.clone() })?;
        let can = step(&server, "say what it can do", session.capabilities()).await?;
        let (can_move, can_expunge_one) = (can.has_str("MOVE"), can.has_str("UIDPLUS"));
        // It is there already, or the first letter that is put away says what is wrong.
        let _ = timeout(STEP, session.create(&settings.done)).await;
        step(&server, "open the folder", session.select(&settings.folder)).await?;
        Ok(Folder { session, server, done: settings.done.clone(), can_move, can_expunge_one })
    }

    /// The next letters, the oldest first.
    pub(super) async fn next(&mut self) -> Result<Vec<Letter>, Error> {
        let found = step(&self.server, "list the letters", self.session.uid_search("NOT DELETED")).await?;
        let mut uids: Vec<u32> = found.into_iter().collect();
        uids.sort_unstable();
        uids.truncate(BATCH);
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let asked = format!("(UID BODY.PEEK[]<0.{BYTES_MAX}>)");
        let session = &mut self.session;
        let read = async {
            let fetched = session.uid_fetch(&set, &asked).await?;
            fetched.try_collect::<Vec<_>>().await
        };
        let fetched = step(&self.server, "give the letters", read).await?;
        let letters = fetched.iter().filter_map(|fetch| {
            let bytes = fetch.body().unwrap_or_default().to_vec();
            Some(Letter { id: sha256(&bytes), bytes, place: Where::Uid(fetch.uid?) })
        });
        let letters: Vec<Letter> = letters.collect();
        // Letters without an end would be asked for without an end.
        if letters.is_empty() {
            Err(Error::Server { server: self.server.clone(), doing: "give the letters" })
        } else {
            Ok(letters)
        }
    }

    /// Moves a letter into the folder of those that were read.
    pub(super) async fn put_away(&mut self, uid: u32) -> Result<(), Error> {
        let uid = uid.to_string();
        if self.can_move {
            return step(&self.server, "move a letter", self.session.uid_mv(&uid, &self.done)).await;
        }
        step(&self.server, "copy a letter", self.session.uid_copy(&uid, &self.done)).await?;
        let session = &mut self.session;
        let can_expunge_one = self.can_expunge_one;
        let remove = async {
            session.uid_store(&uid, "+FLAGS.SILENT (\\Deleted)").await?.try_collect::<Vec<_>>().await?;
            // Without UIDPLUS a removal takes all that are marked; the mark alone keeps them from being read again.
            if can_expunge_one {
                session.uid_expunge(&uid).await?.try_collect::<Vec<_>>().await?;
            }
            Ok(())
        };
        step(&self.server, "remove a letter", remove).await
    }

    /// Takes leave.
    pub(super) async fn close(mut self) {
        // Every letter is put away; a server that does not say goodbye changes none of them.
        let _ = timeout(LEAVE, self.session.logout()).await;
    }
}

async fn step<T>(
    server: &str,
    doing: &'static str,
    work: impl Future<Output = async_imap::error::Result<T>>,
) -> Result<T, Error> {
    let failed = || Error::Server { server: server.to_owned(), doing };
    timeout(STEP, work).await.map_err(|_| failed())?.map_err(|_| failed())
}
