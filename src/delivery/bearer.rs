//! The token of a service that knows its clients by OAuth 2.0 (RFC 6749, 4.4: client credentials), and how long is waited.
//!
//! The token lives in memory alone, and is asked for again when the service has forgotten it.

use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::service::{Answer, Service};
use crate::pipeline::secret::Secret;

/// How often a message is tried in one run, and how long is waited between.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts at one message.
    pub attempts: u32,
    /// The wait after the first attempt where the portal does not say; it doubles.
    pub first_wait: Duration,
    /// The longest wait; a portal that asks for more is left to a later run.
    pub most_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { attempts: 4, first_wait: Duration::from_secs(2), most_wait: Duration::from_secs(60) }
    }
}

/// A client of a service, and the token that it was given.
pub(crate) struct Bearer {
    url: String,
    client_id: String,
    secret: Secret,
    scope: Option<String>,
    token: Option<Zeroizing<String>>,
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
}

impl Bearer {
    /// A client that has not asked yet.
    pub(crate) fn new(url: &str, client_id: &str, secret: Secret, scope: Option<&str>) -> Self {
        let scope = scope.map(str::to_owned);
        Bearer { url: url.to_owned(), client_id: client_id.to_owned(), secret, scope, token: None }
    }

    /// The service does not know the token any more: the next one is asked for.
    pub(crate) fn forget(&mut self) {
        self.token = None;
    }

    /// The token, asked for where there is none; an error says why there is none to be had, without a word of the answer.
    pub(crate) async fn token(&mut self, service: &Service, patience: Patience) -> Result<Zeroizing<String>, String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.secret.reveal()),
        ];
        form.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        let mut wait = patience.first_wait;
        for attempt in 1.. {
            let why = match service.post_form(&self.url, &[], &form).await {
                Answer::Full { status: 200, body, .. } => {
                    let body = Zeroizing::new(body);
                    let granted: Option<Granted> = serde_json::from_slice(&body).ok();
                    let granted = granted.filter(|granted| granted.token_type.eq_ignore_ascii_case("bearer"));
                    let granted = granted.ok_or_else(|| "its answer holds no bearer token".to_owned())?;
                    let token = Zeroizing::new(granted.access_token);
                    self.token = Some(token.clone());
                    return Ok(token);
                }
                Answer::Full { status, .. } if status < 500 && status != 429 => return Err(format!("status {status}")),
                Answer::Full { status, .. } => format!("status {status}"),
                Answer::NotConnected => "no connection".into(),
                Answer::Lost(_) => "no whole answer".into(),
            };
            if attempt >= patience.attempts {
                return Err(format!("{why}, {attempt} times"));
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(patience.most_wait);
        }
        Err("it was not asked".into())
    }
}
