//! Zalo Notification Service: an approved template to the Zalo account of a phone number.
//!
//! ```text
//! POST <url>/message/template   access_token: <token>
//! { "phone": "84…", "template_id": "…", "template_data": { … }, "tracking_id": "…" }
//! → { "error": 0, "message": "Success", "data": { "msg_id": "…", "quota": { … } } }
//! ```
//!
//! An answer says with `error` what happened, whatever the status; [`class`] reads it. After a silence or a 5xx nobody
//! knows whether Zalo took the message: its state is asked for by the number that we gave it, and it is never sent
//! again on a guess. Zalo takes nothing between 22:00 and 06:00, so nothing is offered then.

mod table;
mod template;
mod token;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::lanes::{Peer, send_all};
use super::service::{Answer, Service};
use super::{Body, Class, Code, Destination, Error, Outcome, Permit, Slip, Timeouts, Vault};
use crate::calendar::{now, vietnam};
use crate::pipeline::Zns;
use template::Templates;
use token::Tokens;

pub use table::{CODES, class};

/// How often the state of a message is asked for after a silence, and how long is waited before each time.
const STATUS_WAITS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// The official account, and our way to it.
#[derive(Debug)]
pub(super) struct Account {
    service: Service,
    settings: Zns,
    tokens: Tokens,
    templates: Templates,
    /// The numbers that Zalo gave to messages that it took, by their keys, until they are asked for.
    numbers: Mutex<Vec<(String, String)>>,
}

/// How many messages an account may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// In a day.
    pub daily: u32,
    /// Still today.
    pub remaining: u32,
}

impl Account {
    /// Reads the tokens that are kept, and gets an access token where none is good any more.
    pub(super) async fn open(name: &str, settings: &Zns, vault: Vault, timeouts: Timeouts) -> Result<Account, Error> {
        let service = Service::open(&[&settings.url, &settings.oauth_url], timeouts)?;
        let tokens = Tokens::open(name, settings, vault)?;
        tokens.current(&service, settings).await?;
        Ok(Account {
            service,
            settings: settings.clone(),
            tokens,
            templates: Templates::default(),
            numbers: Mutex::default(),
        })
    }

    /// Sends over several requests at once; outcomes are in the order of the messages.
    pub(super) async fn send(&self, slips: &[&Slip], permit: &Permit) -> (Vec<Outcome>, Option<Error>) {
        if self.settings.closed.contain(now().to_zoned(vietnam()).time()) {
            return (vec![Outcome::Deferred { code: Code::Closed }; slips.len()], None);
        }
        if let Err(error) = self.tokens.current(&self.service, &self.settings).await {
            return (vec![Outcome::Deferred { code: Code::NoToken }; slips.len()], Some(error));
        }
        self.ask_templates(slips).await;
        send_all(self, slips, self.settings.connections, permit).await
    }

    /// Asks, once for each template, whether it may be sent, before the first message is made of it.
    async fn ask_templates(&self, slips: &[&Slip]) {
        for id in self.templates.unknown(slips) {
            let Ok(token) = self.tokens.current(&self.service, &self.settings).await else { return };
            let url = format!("{}/template/info", self.settings.url);
            let query = [("template_id", id.as_str())];
            let answer = self.service.get(&url, &[("access_token", token.reveal())], &query).await;
            // Where Zalo does not say, it says so of the message.
            self.templates.learn(id, answered(&answer).ok().as_ref());
        }
    }

    /// The numbers that Zalo gave to messages since this was last asked, by their keys.
    pub(super) fn numbers(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remember(&self, slip: &Slip, said: &Value) {
        let number = said.get("data").and_then(|data| data.get("msg_id")?.as_str());
        let known = number.map(|number| (slip.key.clone(), number.to_owned()));
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).extend(known);
    }

    /// How many messages may still leave today; none where Zalo does not say.
    pub(super) async fn quota(&self) -> Option<Quota> {
        let token = self.tokens.current(&self.service, &self.settings).await.ok()?;
        let url = format!("{}/message/quota", self.settings.url);
        let answer = self.service.get(&url, &[("access_token", token.reveal())], &[]).await;
        let data = answered(&answer).ok()?;
        // The numbers come as text from some versions of the interface.
        let number = |key: &str| {
            let value = data.get("data")?.get(key)?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok()).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
        };
        Some(Quota { daily: number("dailyQuota")?, remaining: number("remainingQuota")? })
    }

    /// Asks what became of a message whose answer was lost. Only a yes is believed: that a message is not known yet
    /// may mean that it is still on its way.
    async fn settle(&self, slip: &Slip, code: Code) -> Outcome {
        let url = format!("{}/message/status", self.settings.url);
        let query = [("tracking_id", slip.message_id.as_str())];
        for wait in STATUS_WAITS {
            tokio::time::sleep(wait).await;
            let Ok(token) = self.tokens.current(&self.service, &self.settings).await else { break };
            let answer = self.service.get(&url, &[("access_token", token.reveal())], &query).await;
            let status = answered(&answer).ok().and_then(|said| said.get("data")?.get("status")?.as_i64());
            // 0 is taken, 1 is delivered, −1 is not known.
            if matches!(status, Some(0 | 1)) {
                return Outcome::Accepted;
            }
        }
        Outcome::Uncertain { code }
    }
}

impl Peer for Account {
    fn service(&self) -> &Service {
        &self.service
    }

    async fn send_one(&self, slip: &Slip) -> Outcome {
        let (Destination::Phone(phone), Body::Template { id, data }) = (&slip.to, &slip.body) else {
            return Outcome::Refused { code: Code::WrongForm };
        };
        if let Some(state) = self.templates.state(id) {
            return Outcome::Deferred { code: Code::Template(state) };
        }
        let mut body = json!({
            "phone": phone.reveal(),
            "template_id": id,
            "template_data": data,
            "tracking_id": slip.message_id,
        });
        if let (true, Some(body)) = (self.settings.is_development, body.as_object_mut()) {
            body.insert("mode".into(), "development".into());
        }
        let body = body.to_string();
        let mut is_renewed = false;
        loop {
            let Ok(token) = self.tokens.current(&self.service, &self.settings).await else {
                return Outcome::Deferred { code: Code::NoToken };
            };
            let url = format!("{}/message/template", self.settings.url);
            let headers = [("access_token", token.reveal())];
            let answer = self.service.post(&url, &headers, body.clone().into_bytes()).await;
            match answered(&answer) {
                Ok(said) => {
                    self.remember(slip, &said);
                    return Outcome::Accepted;
                }
                // A token may end before its time; Zalo has not taken the message, so a new one may carry it.
                Err(Unanswered::Error(error)) if is_token(error) && !is_renewed => {
                    is_renewed = true;
                    self.tokens.spoil(&token).await;
                }
                Err(Unanswered::Error(error)) => return refused(error),
                Err(Unanswered::Status(status)) => {
                    return Outcome::Deferred { code: Code::Http { status, said: None } };
                }
                Err(Unanswered::NotConnected) => return Outcome::Deferred { code: Code::NotConnected },
                Err(Unanswered::Busy(code)) => return Outcome::Deferred { code },
                Err(Unanswered::Lost(code)) => return self.settle(slip, code).await,
            }
        }
    }

    fn stops(&self, code: Code) -> bool {
        stops(code)
    }
}

/// Why there is no success in an answer.
enum Unanswered {
    Error(i32),
    /// An answer that is not Zalo's.
    Status(u16),
    NotConnected,
    Busy(Code),
    Lost(Code),
}

/// The JSON of an answer whose `error` is 0.
fn answered(answer: &Answer) -> Result<Value, Unanswered> {
    let (status, body) = match answer {
        // A gateway before Zalo that lets nobody in: Zalo itself answers with an error of its own.
        Answer::Full { status: status @ 429, wait_seconds: Some(wait_seconds), .. } => {
            return Err(Unanswered::Busy(Code::Busy { status: *status, wait_seconds: *wait_seconds }));
        }
        Answer::Full { status, body, .. } => (*status, body),
        Answer::NotConnected => return Err(Unanswered::NotConnected),
        Answer::Lost(code) => return Err(Unanswered::Lost(*code)),
    };
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let error = said.as_ref().and_then(|said| said.get("error")?.as_i64()).and_then(|error| i32::try_from(error).ok());
    match (said, error) {
        (Some(said), Some(0)) if status < 500 => Ok(said),
        (_, Some(error)) if error != 0 && status < 500 => Err(Unanswered::Error(error)),
        // Who answers so has no message of ours: a proxy, a wrong address, a service that wants patience.
        (None, _) if matches!(status, 300..=499) && status != 408 => Err(Unanswered::Status(status)),
        _ if status >= 300 => Err(Unanswered::Lost(Code::Http { status, said: None })),
        _ => Err(Unanswered::Lost(Code::Unreadable)),
    }
}

fn refused(error: i32) -> Outcome {
    let code = Code::Zns(error);
    if code.class().is_final() { Outcome::Refused { code } } else { Outcome::Deferred { code } }
}

/// The access token is not valid.
fn is_token(error: i32) -> bool {
    matches!(error, -124 | -216 | -220)
}

/// Whether a failure is that of the whole channel: sending on would fail each time.
fn stops(code: Code) -> bool {
    match code {
        // Whatever stands between us and Zalo answers each message alike.
        Code::NoToken | Code::Busy { .. } | Code::Http { status: 300..=499, .. } => true,
        // A template stops the messages made from it, and a person's own limit those to that person.
        Code::Template(_) | Code::Zns(-109 | -117 | -131 | -138 | -145 | -146 | -147 | -218 | -1441 | -1471) => false,
        Code::Zns(_) => matches!(code.class(), Class::Ours | Class::Quota) || matches!(code, Code::Zns(-133 | -234)),
        _ => false,
    }
}
