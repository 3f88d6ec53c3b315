//! A stand-in for the services that take messages: Zalo with its tokens, an SMS gateway, a webhook; and for the national
//! portal: its rating system, and the interface that takes dossiers.
//!
//! It listens on this machine alone, takes any message to a number of a [`recipient::Recipient`], and remembers what it
//! took, so that a test or a newcomer can see what would have left. It answers with the errors of the real services and
//! knows nothing of how ours reads them. It must not know a pipeline, a ledger or a person.

mod dossiers;
mod gateway;
mod rating;
mod recipient;
mod zalo;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fault::{Explain, Place};

pub use dossiers::{DossierMood, Held};
pub use rating::{CLIENT_ID, Filed, Mood};
pub use recipient::Recipient;

/// How many messages Zalo takes in a day, where nothing else is said.
pub const DAILY_QUOTA: u32 = 500;

/// The number of the application.
pub const APP_ID: &str = "1000000000000000001";

/// The secret key of the application, the token of the gateway, the key of the webhook.
pub const SECRET: &str = "simulated-secret";

/// The first refresh token; it is good once, as each of its successors.
pub const REFRESH_TOKEN: &str = "simulated-refresh-token-0";

/// The most bytes of a message: a dossier brings files with it.
const BODY_BYTES_MAX: usize = 32 << 20;

/// The stand-in cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would be reached from other machines, with messages that speak of people.
    #[error("{0} is not an address of this machine alone")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NotLoopback(_) => "simulate.not-loopback",
            Error::Listen { .. } => "simulate.cannot-listen",
        }
    }

    fn place(&self) -> Place {
        Place::Thing("--listen".into())
    }

    fn next(&self) -> String {
        match self {
            Error::NotLoopback(_) => "name 127.0.0.1 or [::1], with a port or 0".into(),
            Error::Listen { .. } => "name another port, or 0 for a free one".into(),
        }
    }
}

/// A message that was taken, or offered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// `zns`, `sms` or `webhook`.
    pub channel: &'static str,
    /// The number that the sender gave it.
    pub id: String,
    /// Where it goes.
    pub to: String,
    /// What it says, as JSON.
    pub said: Value,
    /// How often it was offered and taken: more than once is a message sent twice.
    pub times: u32,
}

/// A stand-in at work; it stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    memory: Shared,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

type Shared = Arc<Mutex<Memory>>;

/// What the services remember.
#[derive(Debug)]
struct Memory {
    zalo: zalo::Zalo,
    rating: rating::Rating,
    dossiers: dossiers::Dossiers,
    /// By channel and number.
    taken: BTreeMap<(&'static str, String), Taken>,
    /// How often a recipient was offered something, by channel and number.
    offered: BTreeMap<(&'static str, String), u32>,
}

fn held(memory: &Shared) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// Takes a message, or counts it once more.
    fn take(&mut self, channel: &'static str, id: &str, to: &str, said: Value) {
        let new = || Taken { channel, id: id.to_owned(), to: to.to_owned(), said, times: 0 };
        self.taken.entry((channel, id.to_owned())).or_insert_with(new).times += 1;
    }

    /// Whether a message of this number was taken.
    fn has(&self, channel: &'static str, id: &str) -> bool {
        self.taken.contains_key(&(channel, id.to_owned()))
    }

    /// Counts an offer to a recipient; gives how many there were before.
    fn offer(&mut self, channel: &'static str, to: &str) -> u32 {
        let offered = self.offered.entry((channel, to.to_owned())).or_default();
        *offered += 1;
        *offered - 1
    }
}

impl Simulator {
    /// Begins to listen. Only an address of this machine is taken.
    pub async fn start(listen: SocketAddr, daily_quota: u32) -> Result<Simulator, Error> {
        if !listen.ip().is_loopback() {
            return Err(Error::NotLoopback(listen));
        }
        let failed = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let memory: Shared = Arc::new(Mutex::new(Memory {
            zalo: zalo::Zalo::new(daily_quota),
            rating: rating::Rating::default(),
            dossiers: dossiers::Dossiers::default(),
            taken: BTreeMap::new(),
            offered: BTreeMap::new(),
        }));
        let (stop, stopped) = oneshot::channel::<()>();
        let services = services(Arc::clone(&memory));
        let task = tokio::spawn(async move {
            // Dropping the simulator ends this wait too. A listener that fails later has nobody left to tell.
            let serving = axum::serve(listener, services).with_graceful_shutdown(async move { drop(stopped.await) });
            let _ = serving.await;
        });
        Ok(Simulator { address, memory, stop: Some(stop), task: Some(task) })
    }

    /// Its address, `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was taken, by channel and number.
    pub fn taken(&self) -> Vec<Taken> {
        held(&self.memory).taken.values().cloned().collect()
    }

    /// Zalo forgets the access token before its time.
    pub fn forget_access_token(&self) {
        held(&self.memory).zalo.forget_access_token();
    }

    /// Zalo refuses or pauses a template from now on: `REJECT`, `DISABLE`, `PENDING_REVIEW`, or `ENABLE` again.
    pub fn judge_template(&self, id: &str, status: &'static str) {
        held(&self.memory).zalo.judge_template(id, status);
    }

    /// How often a new access token was given.
    pub fn renewals(&self) -> u32 {
        held(&self.memory).zalo.renewals()
    }

    /// What the rating system does from now on instead of taking what it is sent.
    pub fn set_mood(&self, mood: Mood) {
        held(&self.memory).rating.mood = mood;
    }

    /// The snapshots that the rating system has, by their period: `month 2026-10`.
    pub fn filed(&self) -> BTreeMap<String, Filed> {
        held(&self.memory).rating.filed()
    }

    /// How many messages the rating system was offered, and how many tokens it gave.
    pub fn rating_calls(&self) -> (u32, u32) {
        let memory = held(&self.memory);
        (memory.rating.offered(), memory.rating.grants())
    }

    /// The rating system forgets its token before its time.
    pub fn forget_rating_token(&self) {
        held(&self.memory).rating.forget_token();
    }

    /// What the portal does from now on instead of taking the dossiers that it is sent.
    pub fn set_dossier_mood(&self, mood: DossierMood) {
        held(&self.memory).dossiers.mood = mood;
    }

    /// The dossiers that the portal has, by their numbers there.
    pub fn dossiers(&self) -> BTreeMap<String, Held> {
        held(&self.memory).dossiers.held()
    }

    /// How many numbers of dossiers the portal gave.
    pub fn dossier_numbers(&self) -> usize {
        held(&self.memory).dossiers.numbers()
    }

    /// How many messages about dossiers the portal was offered, and how many tokens it gave for them.
    pub fn dossier_calls(&self) -> (u32, u32) {
        held(&self.memory).dossiers.calls()
    }

    /// A dossier stands so from now on, by its number at the portal.
    pub fn set_dossier_status(&self, number: &str, status: u64, words: &str) {
        held(&self.memory).dossiers.stands(number, status, words);
    }

    /// The portal forgets every key under which it took something, as one does after a day.
    pub fn forget_dossier_keys(&self) {
        held(&self.memory).dossiers.forget_keys();
    }

    /// The portal forgets the token of whoever hands dossiers in before its time.
    pub fn forget_dossier_token(&self) {
        held(&self.memory).dossiers.forget_token();
    }

    /// Stops listening; what is being answered is answered.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have stopped by itself.
            let _ = stop.send(());
        }
        if let Some(task) = self.task.take() {
            // A connection that a client keeps open would hold it for ever.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), task).await;
        }
    }
}

fn services(memory: Shared) -> Router {
    Router::new()
        .route("/oauth/v4/oa/access_token", post(zalo::access_token))
        .route("/zns/message/template", post(zalo::template))
        .route("/zns/message/quota", get(zalo::quota))
        .route("/zns/message/status", get(zalo::status))
        .route("/zns/template/info", get(zalo::info))
        .route("/sms", post(gateway::sms))
        .route("/webhook", post(gateway::webhook))
        .route("/rating/token", post(rating::token))
        .route("/rating/v1/snapshots", post(rating::snapshots).get(rating::list))
        .route("/portal/token", post(dossiers::token))
        .route("/portal/v1/so-ho-so", post(dossiers::number))
        .route("/portal/v1/tep-tin", post(dossiers::file))
        .route("/portal/v1/noi-ho-so", post(dossiers::submit))
        .route("/portal/v1/trang-thai", post(dossiers::standing))
        .route("/portal/v1/ho-so", get(dossiers::list))
        .route("/messages", get(messages))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(memory)
}

async fn messages(State(memory): State<Shared>) -> Response {
    let taken: Vec<Value> = held(&memory)
        .taken
        .values()
        .map(|one| json!({ "channel": one.channel, "id": one.id, "to": one.to, "said": one.said, "times": one.times }))
        .collect();
    answer(StatusCode::OK, &Value::from(taken))
}

/// An answer in JSON.
fn answer(status: StatusCode, said: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], said.to_string()).into_response()
}

/// An answer that begins and breaks off: the connection ends in the middle of it.
fn broken() -> Response {
    let parts = [Ok("{"), Err(std::io::Error::other("the line went dead"))];
    Response::new(Body::from_stream(futures::stream::iter(parts)))
}
