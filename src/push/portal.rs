//! The way to the rating system: a token, one message, what the answer means, and when to ask again.
//!
//! ```text
//! POST token_url     grant_type=client_credentials (RFC 6749, 4.4)      → { access_token, token_type, expires_in }
//! POST url/snapshots Authorization, Idempotency-Key; JSON               → { code, message, data }
//! 200, 201  code OK       data: { receiptId, accepted: [unit], rejected: [] }
//! 207       code PARTIAL  data: { receiptId, accepted: [unit], rejected: [{ departmentCode, code }] }
//! 401       the token is not known any more      409  COMPLETE_SNAPSHOT_EXISTS
//! 429, 503  Retry-After                          4xx  { code }
//! ```

use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Error, Snapshot};
use crate::delivery::Timeouts;
use crate::delivery::bearer::{Bearer, Patience};
use crate::delivery::service::{Answer, Service, Trust};
use crate::pipeline::publication::Push;

/// What the portal took of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its number for it.
    pub receipt: String,
    /// Units whose figures it took.
    pub accepted: Vec<String>,
    /// Units whose figures it refused, with its code.
    pub rejected: Vec<(String, String)>,
}

/// An open way to the portal.
pub struct Portal {
    service: Service,
    url: String,
    bearer: Bearer,
    patience: Patience,
}

impl std::fmt::Debug for Portal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portal").field("service", &self.service.name()).finish_non_exhaustive()
    }
}

/// The documented envelope.
#[derive(Deserialize)]
struct Envelope {
    code: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "receiptId")]
    receipt_id: String,
    accepted: Vec<String>,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    #[serde(rename = "departmentCode")]
    department_code: String,
    code: String,
}

/// What an answer means for what to do next.
enum Next {
    Done(Taken),
    /// The token is not known any more.
    NewToken,
    /// Ask again: after so many seconds where the portal said so.
    Again {
        why: String,
        after_seconds: Option<u64>,
    },
}

impl Portal {
    /// Resolves the secrets and prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Secret`], [`Error::Authority`] and [`Error::Service`].
    pub fn open(push: &Push, patience: Patience) -> Result<Portal, Error> {
        let secret = push.client_secret.resolve().map_err(Error::Secret)?;
        let identity = push.identity.as_ref().map(|identity| identity.resolve()).transpose().map_err(Error::Secret)?;
        let read = |path: &std::path::PathBuf| {
            std::fs::read(path).map_err(|source| Error::Authority { path: path.clone(), source })
        };
        let authority = push.authority.as_ref().map(read).transpose()?;
        let trust = Trust { identity, authority, ..Trust::default() };
        let urls = [push.url.as_str(), push.token_url.as_str()];
        let service = Service::open_known(&urls, Timeouts::default(), &trust).map_err(|error| match error {
            crate::delivery::Error::Service { service, why } => Error::Service { service, why },
            other => Error::Service { service: "-".into(), why: other.to_string() },
        })?;
        let bearer = Bearer::new(&push.token_url, &push.client_id, secret, push.scope.as_deref());
        Ok(Portal { service, url: push.url.clone(), bearer, patience })
    }

    /// Tells it these units of a snapshot. It may be told again: the message has a key by which it is taken once.
    ///
    /// # Errors
    ///
    /// Every variant that names the period says what became of it; after any of them it may be told again.
    pub async fn tell(&mut self, snapshot: &Snapshot, units: &[String]) -> Result<Taken, Error> {
        let body = snapshot.body(units)?;
        let key = snapshot.idempotency_key(units);
        let url = format!("{}/snapshots", self.url);
        let (mut attempts, mut wait, mut is_renewed) = (0, self.patience.first_wait, false);
        loop {
            attempts += 1;
            let token = self.token().await?;
            let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", key.as_str())];
            let answer = self.service.post(&url, &headers, body.clone()).await;
            let (why, after_seconds) = match self.meaning(answer, snapshot.period(), units)? {
                Next::Done(taken) => return Ok(taken),
                Next::NewToken if !is_renewed => {
                    // It was good when it was given: one more is asked for, and no third.
                    self.bearer.forget();
                    is_renewed = true;
                    attempts -= 1;
                    continue;
                }
                Next::NewToken => return Err(self.no_token("it refuses the token that it gave".into())),
                Next::Again { why, after_seconds } => (why, after_seconds),
            };
            let asked = after_seconds.map(Duration::from_secs);
            if let Some(asked) = asked.filter(|asked| *asked > self.patience.most_wait) {
                let (service, period) = (self.service.name().to_owned(), snapshot.period().to_owned());
                return Err(Error::Later { service, period, seconds: asked.as_secs() });
            }
            if attempts >= self.patience.attempts {
                let (service, period) = (self.service.name().to_owned(), snapshot.period().to_owned());
                return Err(Error::NoAnswer { service, period, why, attempts });
            }
            tokio::time::sleep(asked.unwrap_or(wait)).await;
            wait = wait.saturating_mul(2).min(self.patience.most_wait);
        }
    }

    /// What an answer about a message means.
    fn meaning(&self, answer: Answer, period: &str, units: &[String]) -> Result<Next, Error> {
        let again = |why: &str, after_seconds| Ok(Next::Again { why: why.to_owned(), after_seconds });
        let (service, period) = (self.service.name().to_owned(), period.to_owned());
        let (status, after_seconds, body) = match answer {
            Answer::NotConnected => return again("no connection", None),
            Answer::Lost(_) => return again("no whole answer", None),
            Answer::Full { status, wait_seconds, body } => (status, wait_seconds.map(u64::from), body),
        };
        let said: Option<Envelope> = serde_json::from_slice(&body).ok();
        let code = said.as_ref().map_or_else(|| "-".to_owned(), |said| plain(&said.code));
        match (status, said.and_then(|said| said.data)) {
            (200 | 201 | 207, Some(data)) => {
                let taken = taken(data);
                let named: Vec<&String> =
                    taken.accepted.iter().chain(taken.rejected.iter().map(|(unit, _)| unit)).collect();
                // Each unit is answered for, once: a receipt that leaves one out must not count it as taken.
                let is_whole = named.len() == units.len() && units.iter().all(|unit| named.contains(&unit));
                if is_whole { Ok(Next::Done(taken)) } else { Err(Error::Unreadable { service, period }) }
            }
            (200..=299, _) => Err(Error::Unreadable { service, period }),
            (401, _) => Ok(Next::NewToken),
            (409, _) if code == "COMPLETE_SNAPSHOT_EXISTS" => Err(Error::WouldOverwrite { service, period }),
            (408 | 425 | 429, _) => again(&format!("status {status}"), after_seconds),
            (500.., _) => again(&format!("status {status}"), after_seconds),
            _ => Err(Error::Refused { service, period, status, code }),
        }
    }

    /// The token; asked for when there is none.
    async fn token(&mut self) -> Result<Zeroizing<String>, Error> {
        let token = self.bearer.token(&self.service, self.patience).await;
        token.map_err(|why| self.no_token(why))
    }

    fn no_token(&self, why: String) -> Error {
        Error::Token { service: self.service.name().to_owned(), why }
    }
}

fn taken(data: Data) -> Taken {
    let rejected = data.rejected.into_iter().map(|one| (one.department_code, plain(&one.code))).collect();
    Taken { receipt: plain(&data.receipt_id), accepted: data.accepted, rejected }
}

/// A code or a number of the portal, as far as it is one: what goes into the ledger holds no words of others.
fn plain(text: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.chars().filter(is_plain).take(64).collect()
}
