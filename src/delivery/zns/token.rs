//! Access to Zalo: a token for about a day, and a refresh token that is good once.
//!
//! Each renewal gives a new refresh token, and the old one is worth nothing from then on: it is sealed into the state
//! folder before the access token is used. A crash in the moment between costs an administrator a new consent, and the
//! error says so.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::calendar::now;
use crate::delivery::service::{Answer, Service};
use crate::delivery::vault::Vault;
use crate::delivery::{Code, Error};
use crate::personal::sha256;
use crate::pipeline::Zns;

/// A token is renewed this long before its end, in seconds: a batch must not outlive it.
const MARGIN_SECONDS: i64 = 1800;

/// `expires_in` where Zalo does not say, in seconds.
const LIFE_SECONDS: i64 = 90_000;

/// An access token. It is not printed, and wiped when it is dropped.
#[derive(Clone)]
pub(super) struct Access(Zeroizing<String>);

impl Access {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// What is kept, sealed.
#[derive(Serialize, Deserialize, Clone)]
struct Kept {
    access_token: String,
    /// Seconds since 1970.
    expires_at: i64,
    refresh_token: String,
    /// Of which configured refresh token these are the successors: a new one in the configuration begins anew.
    seed: String,
}

impl Drop for Kept {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}

/// The tokens of one channel.
pub(super) struct Tokens {
    name: String,
    vault: Vault,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tokens {
    /// What is kept for this channel; where it comes from another refresh token than the configured one, that begins.
    pub(super) fn open(name: &str, settings: &Zns, vault: Vault) -> Result<Tokens, Error> {
        let configured = settings.refresh_token.resolve().map_err(Error::Secret)?;
        let seed = sha256(configured.reveal().as_bytes());
        let kept: Option<Kept> = vault.read(name)?.and_then(|text| serde_json::from_str(text.reveal()).ok());
        let kept = kept.filter(|kept| kept.seed == seed).unwrap_or_else(|| Kept {
            access_token: String::new(),
            expires_at: 0,
            refresh_token: configured.reveal().to_owned(),
            seed,
        });
        Ok(Tokens { name: name.to_owned(), vault, kept: Mutex::new(kept) })
    }

    /// A token that is good for a while; one caller renews it, the others wait.
    pub(super) async fn current(&self, service: &Service, settings: &Zns) -> Result<Access, Error> {
        let mut kept = self.kept.lock().await;
        if kept.expires_at - MARGIN_SECONDS <= now().as_second() {
            *kept = self.renew(&kept, service, settings).await?;
        }
        Ok(Access(Zeroizing::new(kept.access_token.clone())))
    }

    /// Zalo no longer takes this token, before its time; nothing happens where it was renewed meanwhile.
    pub(super) async fn spoil(&self, access: &Access) {
        let mut kept = self.kept.lock().await;
        if kept.access_token == access.reveal() {
            kept.expires_at = 0;
        }
    }

    async fn renew(&self, kept: &Kept, service: &Service, settings: &Zns) -> Result<Kept, Error> {
        // A vault that cannot be written must not cost the only refresh token there is.
        self.vault.prove()?;
        let secret = settings.app_secret.resolve().map_err(Error::Secret)?;
        let url = format!("{}/v4/oa/access_token", settings.oauth_url);
        let form = [
            ("app_id", settings.app_id.as_str()),
            ("grant_type", "refresh_token"),
            ("refresh_token", kept.refresh_token.as_str()),
        ];
        let refused = |code| Error::Token { channel: self.name.clone(), code };
        let body = match service.post_form(&url, &[("secret_key", secret.reveal())], &form).await {
            Answer::Full { status: 200..=299, body, .. } => Zeroizing::new(body),
            Answer::Full { status, .. } => return Err(refused(Code::Http { status, said: None })),
            Answer::NotConnected => return Err(refused(Code::NotConnected)),
            Answer::Lost(code) => return Err(refused(code)),
        };
        let said: Answered = serde_json::from_slice(&body).map_err(|_| refused(Code::Unreadable))?;
        let (Some(access_token), Some(refresh_token)) = (said.access_token, said.refresh_token) else {
            return Err(refused(said.error.map_or(Code::Unreadable, Code::Zns)));
        };
        let life_seconds = said.expires_in.and_then(Seconds::number).unwrap_or(LIFE_SECONDS);
        let expires_at = now().as_second().saturating_add(life_seconds.max(2 * MARGIN_SECONDS));
        let renewed = Kept { access_token, expires_at, refresh_token, seed: kept.seed.clone() };
        // Text, numbers and nothing else: it can be written.
        let text = Zeroizing::new(serde_json::to_string(&renewed).unwrap_or_default());
        self.vault.write(&self.name, &text)?;
        Ok(renewed)
    }
}

/// Zalo's answer: the tokens, or an error.
#[derive(Deserialize)]
struct Answered {
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Seconds>,
    error: Option<i32>,
}

/// Seconds, as a number or as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(i64),
    Text(String),
}

impl Seconds {
    fn number(self) -> Option<i64> {
        match self {
            Seconds::Number(number) => Some(number),
            Seconds::Text(text) => text.parse().ok(),
        }
    }
}
