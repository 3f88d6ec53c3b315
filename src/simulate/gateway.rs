//! An SMS gateway and a webhook: one request each, answered by its status and a word.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::recipient::{PATIENCE, Recipient};
use super::{SECRET, Shared, answer, broken, held};
use crate::calendar::now;
use crate::delivery::signature;

/// `POST /sms`
pub(super) async fn sms(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if header(&headers, "authorization") != format!("Bearer {SECRET}") {
        return word(StatusCode::UNAUTHORIZED, "ours");
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return word(StatusCode::BAD_REQUEST, "data") };
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (id, to) = (text("id"), text("to"));
    if id.is_empty() || text("text").is_empty() || text("sender").is_empty() {
        return word(StatusCode::UNPROCESSABLE_ENTITY, "data");
    }
    let said = json!({ "sender": text("sender"), "text": text("text") });
    take(&memory, "sms", &id, &to, said)
}

/// `POST /webhook`
pub(super) async fn webhook(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let (id, timestamp) = (header(&headers, "webhook-id"), header(&headers, "webhook-timestamp"));
    let signatures = header(&headers, "webhook-signature");
    if signature::verify(SECRET, id, timestamp, signatures, &body, now().as_second()).is_err() {
        return word(StatusCode::UNAUTHORIZED, "ours");
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return word(StatusCode::BAD_REQUEST, "data") };
    let to = message.get("to");
    let to = to.and_then(|to| to.get("phone").or_else(|| to.get("email"))?.as_str()).unwrap_or_default().to_owned();
    take(&memory, "webhook", id, &to, message)
}

/// What becomes of a message: by whom it is for. One whose number was taken before is said to be known.
fn take(memory: &Shared, channel: &'static str, id: &str, to: &str, said: Value) -> Response {
    let mut memory = held(memory);
    if memory.has(channel, id) {
        return word(StatusCode::CONFLICT, "known");
    }
    let recipient = Recipient::of(to);
    let before = memory.offer(channel, to);
    match recipient {
        Recipient::Deferred if before < PATIENCE => return word(StatusCode::TOO_MANY_REQUESTS, "retry_later"),
        Recipient::HardBounce | Recipient::Refuses(_) => return word(StatusCode::UNPROCESSABLE_ENTITY, "recipient"),
        Recipient::Complaint if before > 0 => return word(StatusCode::UNPROCESSABLE_ENTITY, "opted_out"),
        Recipient::RequestLost => return answer(StatusCode::SERVICE_UNAVAILABLE, &json!({})),
        _ => {}
    }
    memory.take(channel, id, to, said);
    if recipient == Recipient::AnswerLost {
        return broken();
    }
    answer(StatusCode::ACCEPTED, &json!({ "id": id }))
}

fn word(status: StatusCode, word: &str) -> Response {
    answer(status, &json!({ "error": word }))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
