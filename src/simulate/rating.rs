//! The rating system of the national portal: tokens for client credentials, and snapshots of a period.
//!
//! It keeps what the documented envelope promises: a message is taken once by its key, units are taken or refused one by
//! one, a complete snapshot is never replaced by a partial one.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::{SECRET, Shared, answer, broken, held};

/// The name of the client.
pub const CLIENT_ID: &str = "simulated-client";

/// What the rating system does instead of taking what it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mood {
    /// How many messages it answers with 429 first.
    pub busy: u32,
    /// What it says then under `Retry-After`.
    pub retry_after_seconds: u64,
    /// How many messages it takes without its answer arriving.
    pub lost_answers: u32,
    /// Units that it refuses, each with its code.
    pub refuses: BTreeMap<String, String>,
}

/// A snapshot as the rating system has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filed {
    /// Whether it is complete.
    pub is_complete: bool,
    /// The metrics of each unit, by its code.
    pub units: BTreeMap<String, Value>,
    /// How many messages it came in.
    pub messages: u32,
}

/// What the rating system remembers.
#[derive(Debug, Default)]
pub(super) struct Rating {
    pub(super) mood: Mood,
    token: Option<String>,
    grants: u32,
    /// By idempotency key: the body and the answer.
    answers: BTreeMap<String, (Bytes, Value)>,
    filed: BTreeMap<String, Filed>,
    offered: u32,
}

impl Rating {
    pub(super) fn forget_token(&mut self) {
        self.token = None;
    }

    pub(super) fn grants(&self) -> u32 {
        self.grants
    }

    pub(super) fn offered(&self) -> u32 {
        self.offered
    }

    pub(super) fn filed(&self) -> BTreeMap<String, Filed> {
        self.filed.clone()
    }
}

/// `POST /rating/token`: RFC 6749, 4.4.
pub(super) async fn token(State(memory): State<Shared>, Form(form): Form<BTreeMap<String, String>>) -> Response {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if field("grant_type") != "client_credentials" {
        return answer(StatusCode::BAD_REQUEST, &json!({ "error": "unsupported_grant_type" }));
    }
    if field("client_id") != CLIENT_ID || field("client_secret") != SECRET {
        return answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
    }
    let mut memory = held(&memory);
    let rating = &mut memory.rating;
    rating.grants += 1;
    let token = format!("simulated-rating-token-{}", rating.grants);
    rating.token = Some(token.clone());
    answer(StatusCode::OK, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }))
}

/// `POST /rating/v1/snapshots`
pub(super) async fn snapshots(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut memory = held(&memory);
    let rating = &mut memory.rating;
    rating.offered += 1;
    let bearer = rating.token.as_ref().map(|token| format!("Bearer {token}"));
    if bearer.as_deref() != Some(header("authorization")) {
        return refused(StatusCode::UNAUTHORIZED, "INVALID_TOKEN");
    }
    if rating.mood.busy > 0 {
        rating.mood.busy -= 1;
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS");
        response.headers_mut().insert("retry-after", HeaderValue::from(rating.mood.retry_after_seconds));
        return response;
    }
    let key = header("idempotency-key").to_owned();
    if key.is_empty() {
        return refused(StatusCode::BAD_REQUEST, "NO_IDEMPOTENCY_KEY");
    }
    if let Some((known, said)) = rating.answers.get(&key) {
        return match *known == body {
            true => answer(StatusCode::OK, said),
            false => refused(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED"),
        };
    }
    let (status, said) = file(rating, &body);
    if status.is_success() {
        rating.answers.insert(key, (body, said.clone()));
    }
    if status.is_success() && rating.mood.lost_answers > 0 {
        rating.mood.lost_answers -= 1;
        return broken();
    }
    answer(status, &said)
}

/// `GET /rating/v1/snapshots`: what was taken, for whoever tries it out.
pub(super) async fn list(State(memory): State<Shared>) -> Response {
    let filed: BTreeMap<String, Value> = held(&memory)
        .rating
        .filed
        .iter()
        .map(|(period, filed)| (period.clone(), json!({ "complete": filed.is_complete, "units": filed.units })))
        .collect();
    answer(StatusCode::OK, &json!(filed))
}

fn refused(status: StatusCode, code: &str) -> Response {
    answer(status, &error(code))
}

fn error(code: &str) -> Value {
    json!({ "code": code, "message": code, "data": null })
}

/// Takes what can be taken of a message.
fn file(rating: &mut Rating, body: &[u8]) -> (StatusCode, Value) {
    let bad = |code: &str| (StatusCode::BAD_REQUEST, error(code));
    let Ok(message) = serde_json::from_slice::<Value>(body) else { return bad("NOT_JSON") };
    let at = |path: &str| message.pointer(path);
    if at("/version").and_then(Value::as_str) != Some("1.0") {
        return bad("UNSUPPORTED_VERSION");
    }
    let kind = at("/timeType").and_then(Value::as_str).unwrap_or_default();
    let number = at(&format!("/{kind}")).and_then(Value::as_i64);
    let (Some(year), Some(number)) = (at("/year").and_then(Value::as_i64), number) else { return bad("NO_PERIOD") };
    let status = at("/snapshot/status").and_then(Value::as_str);
    let Some(evaluations) = at("/evaluations").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return bad("NO_EVALUATIONS");
    };
    let is_complete = match status {
        Some("complete") => true,
        Some("partial") => false,
        _ => return bad("NO_STATUS"),
    };
    let filed = rating.filed.entry(format!("{kind} {year}-{number}")).or_default();
    if filed.is_complete && !is_complete {
        return (StatusCode::CONFLICT, error("COMPLETE_SNAPSHOT_EXISTS"));
    }
    let (mut accepted, mut rejected) = (Vec::new(), Vec::new());
    for evaluation in evaluations {
        let unit = evaluation.get("departmentCode").and_then(Value::as_str).unwrap_or_default().to_owned();
        match rating.mood.refuses.get(&unit).cloned().or_else(|| fault_of(evaluation)) {
            Some(code) => rejected.push(json!({ "departmentCode": unit, "code": code })),
            None => {
                filed.units.insert(unit.clone(), evaluation.get("metrics").cloned().unwrap_or_default());
                accepted.push(unit);
            }
        }
    }
    filed.messages += 1;
    let whole = at("/snapshot/units").and_then(Value::as_u64).and_then(|units| usize::try_from(units).ok());
    filed.is_complete |= is_complete && whole.is_some_and(|units| filed.units.len() >= units);
    let receipt = format!("R-{}", rating.answers.len() + 1);
    let (status, code) =
        if rejected.is_empty() { (StatusCode::CREATED, "OK") } else { (StatusCode::MULTI_STATUS, "PARTIAL") };
    let data = json!({ "receiptId": receipt, "accepted": accepted, "rejected": rejected });
    (status, json!({ "code": code, "message": "", "data": data }))
}

/// What is wrong with the figures of a unit, as the portal would check them.
fn fault_of(evaluation: &Value) -> Option<String> {
    let metrics = evaluation.get("metrics").and_then(Value::as_array).filter(|metrics| !metrics.is_empty());
    let Some(metrics) = metrics else { return Some("NO_METRICS".into()) };
    let codes: BTreeSet<&str> =
        metrics.iter().filter_map(|metric| metric.get("code").and_then(Value::as_str)).collect();
    let is_off = |metric: &Value| {
        let number = |name: &str| metric.get(name).and_then(Value::as_f64);
        number("ratio").is_some_and(|ratio| !(0.0..=1.0).contains(&ratio))
            || matches!((number("numerator"), number("denominator")), (Some(part), Some(whole)) if part > whole)
    };
    if codes.len() != metrics.len() {
        return Some("METRIC_TWICE".into());
    }
    metrics.iter().any(is_off).then(|| "RATIO_OUT_OF_RANGE".into())
}
