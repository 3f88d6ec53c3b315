//! Text messages to phones, by a gateway that takes JSON over HTTP.
//!
//! ```text
//! POST <url>   Authorization: Bearer <token>   Idempotency-Key: <id>
//! { "id": "…", "sender": "…", "to": "84…", "text": "…" }
//! ```
//!
//! 2xx is taken, 409 was taken before. Any other answer is read by its status, or by the word of a class in `error`:
//! `retry_later`, `data`, `recipient`, `opted_out`, `quota`, `ours`. A 5xx or a silence leaves open whether the message
//! was taken, unless the gateway promises to know a message by its number (`idempotent = true`).

use serde_json::json;

use super::lanes::Peer;
use super::service::{Answer, Service, outcome};
use super::{Body, Code, Destination, Error, Outcome, Slip, Timeouts};
use crate::pipeline::Gateway;
use crate::pipeline::secret::Secret;

/// A gateway that can be spoken to.
#[derive(Debug)]
pub(super) struct Sms {
    service: Service,
    settings: Gateway,
    token: Secret,
}

impl Sms {
    pub(super) fn open(settings: &Gateway, timeouts: Timeouts) -> Result<Sms, Error> {
        let service = Service::open(&[&settings.url], timeouts)?;
        let token = settings.token.resolve().map_err(Error::Secret)?;
        Ok(Sms { service, settings: settings.clone(), token })
    }

    pub(super) fn connections(&self) -> usize {
        self.settings.connections
    }
}

impl Peer for Sms {
    fn service(&self) -> &Service {
        &self.service
    }

    async fn send_one(&self, slip: &Slip) -> Outcome {
        let (Destination::Phone(phone), Body::Text { text, .. }) = (&slip.to, &slip.body) else {
            return Outcome::Refused { code: Code::WrongForm };
        };
        let text = fold(text, self.settings.keeps_diacritics);
        let body = json!({
            "id": slip.message_id,
            "sender": self.settings.sender,
            "to": phone.reveal(),
            "text": text,
        });
        let bearer = format!("Bearer {}", self.token.reveal());
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", slip.message_id.as_str())];
        let answer: Answer = self.service.post(&self.settings.url, &headers, body.to_string().into_bytes()).await;
        outcome(&answer, self.settings.is_idempotent)
    }
}

/// The text as it leaves: with its diacritics, or without.
fn fold(text: &str, keeps_diacritics: bool) -> String {
    if keeps_diacritics { text.to_owned() } else { crate::reminders::short::without_diacritics(text) }
}
