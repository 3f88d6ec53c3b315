//! A signed request to a service of the agency's own, which brings the message to the person.
//!
//! ```text
//! POST <url>   webhook-id, webhook-timestamp, webhook-signature (Standard Webhooks 1.0)   idempotency-key
//! { "id": "…", "to": { "phone": "84…" }, "item": "…", "language": "vi", "subject": "…", "text": "…" }
//! ```
//!
//! The service answers 2xx when it has taken the message, and 409 when it had taken it before: it must know a message
//! by its number, for after a silence the same message is sent again.

use serde_json::json;

use super::lanes::Peer;
use super::service::{Service, Trust, outcome};
use super::{Body, Code, Destination, Error, Outcome, Slip, Timeouts, signature};
use crate::calendar::now;
use crate::pipeline::Webhook;
use crate::pipeline::secret::Secret;

/// A service that can be spoken to.
#[derive(Debug)]
pub(super) struct Hook {
    service: Service,
    settings: Webhook,
    secret: Secret,
}

impl Hook {
    pub(super) fn open(settings: &Webhook, timeouts: Timeouts) -> Result<Hook, Error> {
        let trust = Trust { is_public: !settings.is_private, ..Trust::default() };
        let service = Service::open_known(&[&settings.url], timeouts, &trust)?;
        let secret = settings.secret.resolve().map_err(Error::Secret)?;
        Ok(Hook { service, settings: settings.clone(), secret })
    }

    pub(super) fn connections(&self) -> usize {
        self.settings.connections
    }
}

impl Peer for Hook {
    fn service(&self) -> &Service {
        &self.service
    }

    async fn send_one(&self, slip: &Slip) -> Outcome {
        let Body::Text { subject, text } = &slip.body else {
            return Outcome::Refused { code: Code::WrongForm };
        };
        let to = match &slip.to {
            Destination::Phone(phone) => json!({ "phone": phone.reveal() }),
            Destination::Email(address) => json!({ "email": address.reveal().to_string() }),
        };
        let body = json!({
            "id": slip.message_id,
            "to": to,
            "item": slip.item,
            "language": slip.language.tag(),
            "subject": subject,
            "text": text,
        });
        let body = body.to_string().into_bytes();
        let timestamp = now().as_second().to_string();
        let signature = signature::sign(self.secret.reveal(), &slip.message_id, &timestamp, &body);
        let headers = [
            ("webhook-id", slip.message_id.as_str()),
            ("webhook-timestamp", timestamp.as_str()),
            ("webhook-signature", signature.as_str()),
            ("idempotency-key", slip.message_id.as_str()),
        ];
        outcome(&self.service.post(&self.settings.url, &headers, body).await, true)
    }
}
