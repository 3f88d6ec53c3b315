//! One connection, and how its work is waited for.
//!
//! A connection belongs to the thread that works with it, and everything on it
//! is driven from [`Connection::run`]: the library's protocol, the rows taken
//! off beside it, the end of another reader, and the watch over a server that
//! has fallen silent. What a server says is shown to people only where it
//! cannot quote a value of a row.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Client, Config};

use super::decode::{Copied, CopyRows};
use super::tap::{Basin, Tap, Tapped};
use super::wire::{Protection, Wire};
use crate::pipeline::Server;
use crate::sources::{Batch, Error, Stop, Take};

/// How long to wait for a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a server to take our good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the server's signal to itself to break off an answer may take.
const CANCEL_SECONDS: u32 = 1;

/// How long one statement may run at the server: longer than the largest copy, shorter than a night.
const STATEMENT_TIMEOUT: &str = "2h";

/// How long to wait for a table that someone is altering.
const LOCK_TIMEOUT: &str = "60s";

/// How long our transaction may hold back the server's clean-up while we do nothing.
const IDLE_TIMEOUT: &str = "10min";

/// Where to connect, and as whom. It makes as many connections as are wanted.
pub(super) struct Target {
    server: Server,
    /// `host:port/database`, for messages.
    pub(super) name: String,
    config: Config,
    protection: Protection,
}

impl Target {
    /// Resolves the secret and reads the authorities; nothing is connected yet.
    pub(super) fn new(server: &Server, root: &Path) -> Result<Self, Error> {
        Ok(Target {
            name: format!("{}:{}/{}", server.host, server.port, server.database),
            config: config(server)?,
            protection: Protection::of(server, root)?,
            server: server.clone(),
        })
    }

    /// How many connections may read one table at once.
    pub(super) fn readers(&self) -> usize {
        usize::from(self.server.readers.max(1))
    }

    /// How long the server may say nothing while we wait for it.
    fn silence(&self) -> Duration {
        Duration::from_secs(u64::from(self.server.silence_seconds.max(1)))
    }

    /// What a failure means, told with the table that was read.
    pub(super) fn explain(&self, table: &str, failure: Failure) -> Error {
        let (server, table) = (self.name.clone(), table.to_owned());
        match failure {
            Failure::Library(error) => match error.code() {
                Some(_) if is_row_security(&error) => Error::HidesRows { server, table },
                Some(code) if *code == SqlState::QUERY_CANCELED => {
                    Error::BrokenOff { server, table, said: said(&error) }
                }
                Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                    Error::Denied { server, table, said: said(&error) }
                }
                _ => Error::Server { server, table, said: said(&error) },
            },
            Failure::Gone => Error::Server { server, table, said: "the connection was closed".to_owned() },
            Failure::Lost => {
                let said = "the connection was lost while another table was read".to_owned();
                Error::Server { server, table, said }
            }
            Failure::Silent => Error::Silent { server, table, seconds: self.server.silence_seconds.max(1) },
            Failure::Malformed => Error::Protocol { table },
            Failure::Halted => Error::Stopped,
            Failure::Ours(error) => error,
        }
    }
}

/// Why work on a connection did not end well.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused, failed or went away.
    Library(tokio_postgres::Error),
    /// The connection ended without a word.
    Gone,
    /// The connection ended before, while something else was read.
    Lost,
    /// The server says nothing more.
    Silent,
    /// The server sent what the format does not allow.
    Malformed,
    /// Another reader failed, and this one was told to stop.
    Halted,
    /// A fault on our side.
    Ours(Error),
}

impl Failure {
    /// Whether the server refused and waits for the next request, on a connection that is as good as before.
    fn is_answer(&self) -> bool {
        match self {
            Failure::Library(error) => {
                error.as_db_error().is_some_and(|db| db.parsed_severity() == Some(Severity::Error))
            }
            _ => false,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Failure::Library(error)
    }
}

/// Told to all readers of a table when one of them fails.
pub(super) type Halt = watch::Receiver<bool>;

/// A connection and its transaction.
pub(super) struct Connection {
    runtime: Runtime,
    /// None once it is closed.
    client: Option<Client>,
    protocol: tokio_postgres::Connection<Tap, Tap>,
    basin: Arc<Mutex<Basin>>,
    silence: Duration,
    /// Statements that go out together with what is run next: nobody waits for their answers alone.
    before: Vec<String>,
    /// Whether the server may still be spoken to.
    is_sound: bool,
    /// Whether it may not because we turned away from what it was sending.
    is_turned_away: bool,
}

impl Connection {
    /// Connects and runs `begin`.
    pub(super) fn open(target: &Target, begin: &str) -> Result<Self, Error> {
        Connection::open_and(target, begin, async |_| ()).map(|(connection, ())| connection)
    }

    /// Connects, runs `begin`, and asks in the same breath.
    pub(super) fn open_and<T>(
        target: &Target,
        begin: &str,
        ask: impl AsyncFnOnce(&Client) -> T,
    ) -> Result<(Self, T), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Runtime { source })?;
        let basin = Arc::default();
        let connecting = async {
            let wire = Wire::open(&target.server, &target.name, &target.protection).await?;
            let tap = Tap::new(wire, Arc::clone(&basin));
            target.config.connect_raw(tap, Tapped).await.map_err(|error| refused(&target.name, &error))
        };
        let connected = runtime.block_on(async { tokio::time::timeout(CONNECT_TIMEOUT, connecting).await });
        let seconds = CONNECT_TIMEOUT.as_secs();
        let (client, protocol) = connected.map_err(|_| Error::Unreachable {
            server: target.name.clone(),
            said: format!("it did not answer within {seconds} seconds"),
        })??;
        let silence = target.silence();
        let mut connection = Connection {
            runtime,
            client: Some(client),
            protocol,
            basin,
            silence,
            before: vec![begin.to_owned()],
            is_sound: true,
            is_turned_away: false,
        };
        let said =
            connection.run(None, None, async |client| Ok(ask(client).await)).map_err(|failure| match failure {
                Failure::Library(error) => refused(&target.name, &error),
                other => target.explain("the connection", other),
            })?;
        Ok((connection, said))
    }

    /// Has the server do this before whatever is run next. An error of it is the error of that.
    pub(super) fn before(&mut self, sql: &str) {
        self.before.push(sql.to_owned());
    }

    /// Copies the rows of a select into batches for `take`, and says what was received.
    pub(super) fn copy(
        &mut self,
        select: &str,
        rows: CopyRows,
        halt: Option<&Halt>,
        take: &Take<'_>,
    ) -> Result<Copied, Failure> {
        basin(&self.basin).rows = Some(rows);
        let copy = format!("copy ({select}) to stdout (format binary)");
        let copied = self.run(halt, Some(take), async |client| {
            let stream = client.copy_out(&copy).await?;
            let mut stream = pin!(stream);
            // The rows are taken off before they get here; what comes is the end, or an error.
            match poll_fn(|cx| futures::Stream::poll_next(stream.as_mut(), cx)).await {
                None => Ok(()),
                Some(Ok(_)) => Err(Failure::Malformed),
                Some(Err(error)) => Err(error.into()),
            }
        });
        let rows = basin(&self.basin).rows.take();
        copied?;
        let mut rows = rows.ok_or(Failure::Malformed)?;
        if let Some(batch) = rows.batch().map_err(Failure::Ours)? {
            hand_over(take, batch)?;
        }
        rows.finish().map_err(|_| Failure::Malformed)
    }

    /// Does the work, and drives everything that it waits for.
    pub(super) fn run<T>(
        &mut self,
        halt: Option<&Halt>,
        take: Option<&Take<'_>>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Connection { runtime, client, protocol, basin: shared, silence, before, is_sound, is_turned_away } = self;
        // What ended in the middle of its protocol cannot be asked again.
        let Some(client) = client.as_ref().filter(|_| *is_sound) else { return Err(Failure::Lost) };
        let before = std::mem::take(before).join("; ");
        let work = async {
            if before.is_empty() {
                return work(client).await;
            }
            // Requests go out in the order in which they are first looked at, and are answered in it.
            let (prepared, done) = futures::future::join(client.batch_execute(&before), work(client)).await;
            prepared?;
            done
        };
        let done = runtime.block_on(async {
            let mut work = pin!(work);
            let mut halted = pin!(wait_for(halt.cloned()));
            let mut watch = Watch::new(*silence);
            let mut ended = None;
            poll_fn(|cx| {
                loop {
                    if ended.is_none()
                        && let Poll::Ready(end) = Pin::new(&mut *protocol).poll(cx)
                    {
                        ended = Some(end.err());
                    }
                    match full_batch(shared) {
                        Ok(None) => break,
                        Ok(Some(batch)) => match take {
                            Some(take) => hand_over(take, batch)?,
                            None => return Poll::Ready(Err(Failure::Malformed)),
                        },
                        Err(failure) => return Poll::Ready(Err(failure)),
                    }
                }
                if let Poll::Ready(done) = work.as_mut().poll(cx) {
                    return Poll::Ready(done.map_err(|failure| better(failure, &mut ended)));
                }
                // Whoever waits for an answer on a connection that has ended would wait for ever.
                if let Some(end) = ended.take() {
                    return Poll::Ready(Err(end.map_or(Failure::Gone, Failure::Library)));
                }
                if halted.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(Failure::Halted));
                }
                watch.poll(cx, basin(shared).heard).map(Err)
            })
            .await
        });
        *is_sound = done.as_ref().err().is_none_or(Failure::is_answer);
        *is_turned_away = matches!(done, Err(Failure::Halted | Failure::Ours(_)));
        done
    }

    /// Where we turned away in the middle of an answer, has the server break it off, so that it can be spoken to
    /// again. The transaction is then to be rolled back to a savepoint.
    pub(super) fn turn_back(&mut self, target: &Target) {
        let Some(token) = self.client.as_ref().map(Client::cancel_token).filter(|_| self.is_turned_away) else {
            return;
        };
        // What still comes of the answer goes to the library, which drops it.
        *basin(&self.basin) = Basin::default();
        let cancelling = async {
            let wire = Wire::open(&target.server, &target.name, &target.protection).await.ok()?;
            token.cancel_query_raw(Tap::new(wire, Arc::default()), Tapped).await.ok()
        };
        let asked = self.runtime.block_on(async { tokio::time::timeout(CONNECT_TIMEOUT, cancelling).await });
        if !matches!(asked, Ok(Some(()))) {
            return;
        }
        self.is_sound = true;
        // An answer that was broken off leaves a failed transaction, which refuses this at once. One that had ended
        // before leaves the server's signal on its way: it must meet this, and nothing that comes after.
        let wait = format!("select pg_catalog.pg_sleep({CANCEL_SECONDS})");
        drop(self.run(None, None, async |client| Ok(client.batch_execute(&wait).await?)));
    }
}

/// A connection that broke says more than the work that it broke: "reset by peer" instead of "closed".
fn better(failure: Failure, ended: &mut Option<Option<tokio_postgres::Error>>) -> Failure {
    match (failure, ended.take().flatten()) {
        (Failure::Library(error), Some(end)) if error.is_closed() => Failure::Library(end),
        (failure, _) => failure,
    }
}

/// Whether the server still says something.
struct Watch {
    ticks: tokio::time::Interval,
    heard: u64,
    quiet: u32,
}

/// The watch looks so many times before it believes that a server is silent.
const LOOKS: u32 = 4;

impl Watch {
    fn new(silence: Duration) -> Self {
        let mut ticks = tokio::time::interval(silence / LOOKS);
        // While a batch is taken nobody listens: that is not the server's silence.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch { ticks, heard: 0, quiet: 0 }
    }

    fn poll(&mut self, cx: &mut std::task::Context<'_>, heard: u64) -> Poll<Failure> {
        while self.ticks.poll_tick(cx).is_ready() {
            self.quiet = if heard == self.heard { self.quiet + 1 } else { 0 };
            self.heard = heard;
            // The first look is made at once.
            if self.quiet > LOOKS {
                return Poll::Ready(Failure::Silent);
            }
        }
        Poll::Pending
    }
}

async fn wait_for(halt: Option<Halt>) {
    if let Some(mut halt) = halt
        && halt.wait_for(|halted| *halted).await.is_ok()
    {
        return;
    }
    // Nobody will ever call.
    std::future::pending().await
}

fn basin(shared: &Mutex<Basin>) -> MutexGuard<'_, Basin> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn full_batch(shared: &Mutex<Basin>) -> Result<Option<Batch>, Failure> {
    let mut basin = basin(shared);
    if basin.malformed {
        return Err(Failure::Malformed);
    }
    match &mut basin.rows {
        Some(rows) if rows.is_full() => rows.batch().map_err(Failure::Ours),
        _ => Ok(None),
    }
}

fn hand_over(take: &Take<'_>, batch: Batch) -> Result<(), Failure> {
    take(batch).map_err(|Stop| Failure::Ours(Error::Stopped))
}

impl Drop for Connection {
    /// Says good-bye, so that the server's log has no line about a client that vanished.
    fn drop(&mut self) {
        drop(self.client.take());
        if self.is_sound {
            let protocol = Pin::new(&mut self.protocol);
            let _ = self.runtime.block_on(async { tokio::time::timeout(CLOSE_TIMEOUT, protocol).await });
        }
    }
}

/// What every session begins with.
///
/// Without `row_security`, the server refuses a table whose policies would hide rows from us, instead of leaving
/// them out of what it gives and of what it counts. What is compiled for a statement (`jit`) costs more than our
/// statements gain by it, as they only fetch rows, and most by far when few rows have changed.
fn config(server: &Server) -> Result<Config, Error> {
    let mut config = Config::new();
    config
        .dbname(&server.database)
        .user(&server.user)
        .application_name("chudong")
        // The wire is protected, or need not be, before the library sees it.
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct)
        .options(format!(
            "-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout={LOCK_TIMEOUT} \
             -c idle_in_transaction_session_timeout={IDLE_TIMEOUT} -c default_transaction_read_only=on \
             -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_user_timeout=60000 \
             -c synchronize_seqscans=off -c DateStyle=ISO,YMD -c IntervalStyle=iso_8601 -c extra_float_digits=1 \
             -c row_security=off -c jit=off"
        ));
    if let Some(secret) = &server.password {
        config.password(secret.resolve()?.reveal());
    }
    Ok(config)
}

fn refused(server: &str, error: &tokio_postgres::Error) -> Error {
    let (server, said) = (server.to_owned(), said(error));
    match error.as_db_error() {
        Some(db) if *db.code() == SqlState::TOO_MANY_CONNECTIONS => Error::Full { server, said },
        // The server itself is not ready, or full.
        Some(db) if db.code().code().starts_with("57") || db.code().code().starts_with("53") => {
            Error::Unreachable { server, said }
        }
        Some(_) => Error::Refused { server, said },
        None => Error::Unreachable { server, said },
    }
}

/// Whether the server refused a table because it would have to hide rows. Its rights have the same code; its
/// messages are translated; the function that speaks is not.
fn is_row_security(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_some_and(|db| *db.code() == SqlState::INSUFFICIENT_PRIVILEGE && db.routine() == Some("check_enable_rls"))
}

/// What may be repeated of what the server said.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) if is_about_the_schema(db) => format!("{} ({})", db.message(), db.code().code()),
        // "invalid input syntax for type integer: \"Nguyễn …\"": a message of another class can quote a row.
        Some(db) => format!("SQLSTATE {}", db.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Whether the message speaks of names, rights and resources only, never of values.
fn is_about_the_schema(error: &DbError) -> bool {
    let class = error.code().code().get(..2).unwrap_or_default();
    // 08 connection, 28 authorisation, 3D database, 3F schema, 53 resources, 55 object state, 57 operator.
    ["08", "28", "3D", "3F", "53", "55", "57"].contains(&class)
        || [&SqlState::INSUFFICIENT_PRIVILEGE, &SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_COLUMN]
            .contains(&error.code())
}
