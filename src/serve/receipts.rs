//! Receipts of services that took short messages: `POST /receipts/<channel>`, signed.
//!
//! Text messages and webhooks sign as Standard Webhooks 1.0 says. Zalo signs its events in `X-ZEvent-Signature` with
//! `mac=` SHA-256 over application, body, time and the secret key of the official account. What is proven is kept in the
//! state folder until a run reads it: Zalo waits for two seconds, and a run may have the ledger. A rating that Zalo hands
//! over is kept as one of the page and not here: this folder is read by whoever reads the state folder. This module must
//! not know what a receipt says.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Desk;
use crate::bounces::receipt;
use crate::calendar::now;
use crate::delivery::signature;
use crate::fault::Explain;
use crate::personal::sha256;
use crate::pipeline::secret::{self, Secret};
use crate::pipeline::{ChannelKind, Pipeline};

/// Where receipts come in.
pub(super) const PATH: &str = "/receipts/{channel}";

/// The largest body that is read, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// Whose receipts are taken, by the name of the channel.
#[derive(Debug, Default)]
pub struct Receipts(BTreeMap<String, Signer>);

/// Who signs, and how.
#[derive(Debug)]
enum Signer {
    Standard(Secret),
    Zalo { app_id: String, secret: Secret },
}

impl Receipts {
    /// Reads the keys that the pipeline names.
    ///
    /// # Errors
    ///
    /// Where one of them cannot be had.
    pub fn of(pipeline: &Pipeline) -> Result<Receipts, secret::Error> {
        let mut signers = BTreeMap::new();
        for (name, reference) in pipeline.serve.iter().flat_map(|serve| &serve.receipts) {
            let secret = reference.resolve()?;
            let signer = match pipeline.channel(name).map(|channel| &channel.kind) {
                Some(ChannelKind::Zns(zns)) => Signer::Zalo { app_id: zns.app_id.clone(), secret },
                Some(_) => Signer::Standard(secret),
                None => continue,
            };
            signers.insert(name.clone(), signer);
        }
        Ok(Receipts(signers))
    }
}

impl Signer {
    fn is_theirs(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match self {
            Signer::Standard(secret) => {
                let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
                let signatures = header("webhook-signature");
                signature::verify(secret.reveal(), id, timestamp, signatures, body, now().as_second()).is_ok()
            }
            Signer::Zalo { app_id, secret } => {
                let said: Value = serde_json::from_slice(body).unwrap_or_default();
                let timestamp = match said.get("timestamp") {
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Number(number)) => number.to_string(),
                    _ => return false,
                };
                let signed = [app_id.as_bytes(), body, timestamp.as_bytes(), secret.reveal().as_bytes()].concat();
                let given = header("x-zevent-signature");
                let given = given.strip_prefix("mac=").unwrap_or(given).trim();
                // Over digests of both: how long the comparison takes says nothing about the tag.
                sha256(sha256(&signed).as_bytes()) == sha256(given.to_ascii_lowercase().as_bytes())
            }
        }
    }
}

/// Keeps what a service says, where it is proven to be the service.
pub(super) async fn take(
    State(desk): State<Arc<Desk>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(signer) = desk.receipts.0.get(&channel) else { return StatusCode::NOT_FOUND };
    if !signer.is_theirs(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let keeper = Arc::clone(&desk);
    let rating = matches!(signer, Signer::Zalo { .. }).then(|| feedback(&body)).flatten();
    let kept = tokio::task::spawn_blocking(move || match rating {
        Some(said) => keeper.keep_feedback(&said),
        None => receipt::keep(&keeper.state, Some(&channel), &body).map_err(|error| error.fault()),
    });
    match kept.await {
        Ok(Ok(())) => StatusCode::OK,
        Ok(Err(fault)) => {
            tracing::error!(code = fault.code, "a receipt could not be kept");
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What somebody answered to a template of Zalo that asks for a rating, where the event is of that kind.
fn feedback(body: &[u8]) -> Option<Value> {
    let said: Value = serde_json::from_slice(body).ok()?;
    (said.get("event_name")?.as_str()? == "user_feedback").then(|| said.get("message").cloned().unwrap_or_default())
}
