//! The national portal, as far as it takes dossiers: tokens, numbers, files, dossiers, and how they stand.
//!
//! It keeps what the documented envelope promises: each step is taken once by its key, a dossier is taken only with
//! files that have arrived whole, and its number is the one that was given for it. It checks a dossier as the portal
//! would, by itself, and knows nothing of how ours is made.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::{SECRET, Shared, answer, broken, held, rating::CLIENT_ID};

/// What the portal does instead of taking what it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DossierMood {
    /// How many messages it answers with 429 first.
    pub busy: u32,
    /// What it says then under `Retry-After`.
    pub retry_after_seconds: u64,
    /// How many messages it answers with 503 first.
    pub unwell: u32,
    /// How many dossiers it takes without its answer arriving.
    pub lost_answers: u32,
    /// How many dossiers it takes and answers half a minute later.
    pub late_answers: u32,
    /// How many files it takes and says another hash of.
    pub other_hashes: u32,
    /// Kinds of files that it refuses, like `image/png`.
    pub refused_kinds: BTreeSet<String>,
    /// Procedures whose dossiers it refuses, each with its code.
    pub refused_procedures: BTreeMap<String, String>,
    /// Whether a dossier is one step further each time somebody asks.
    pub advances: bool,
}

/// A dossier as the portal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// What was handed in.
    pub dossier: Value,
    /// Its status, 1 to 10, or a number that is none.
    pub status: u64,
    /// What the portal writes about it.
    pub words: String,
    /// The files that came with it, by their numbers.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What the portal remembers.
#[derive(Debug, Default)]
pub(super) struct Dossiers {
    pub(super) mood: DossierMood,
    token: Option<String>,
    grants: u32,
    offered: u32,
    /// By path and idempotency key: the body and the answer.
    answers: BTreeMap<(&'static str, String), (Bytes, Value)>,
    /// Numbers that were given, with the procedure for which.
    numbers: BTreeMap<String, String>,
    /// By number: for which dossier, hash, bytes.
    files: BTreeMap<String, (String, String, Bytes)>,
    held: BTreeMap<String, Held>,
}

impl Dossiers {
    pub(super) fn held(&self) -> BTreeMap<String, Held> {
        self.held.clone()
    }

    pub(super) fn numbers(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn calls(&self) -> (u32, u32) {
        (self.offered, self.grants)
    }

    pub(super) fn forget_token(&mut self) {
        self.token = None;
    }

    pub(super) fn forget_keys(&mut self) {
        self.answers.clear();
    }

    pub(super) fn stands(&mut self, number: &str, status: u64, words: &str) {
        if let Some(held) = self.held.get_mut(number) {
            (held.status, held.words) = (status, words.to_owned());
        }
    }
}

/// `POST /portal/token`: RFC 6749, 4.4.
pub(super) async fn token(State(memory): State<Shared>, Form(form): Form<BTreeMap<String, String>>) -> Response {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if field("grant_type") != "client_credentials" {
        return answer(StatusCode::BAD_REQUEST, &json!({ "error": "unsupported_grant_type" }));
    }
    if field("client_id") != CLIENT_ID || field("client_secret") != SECRET {
        return answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
    }
    let mut memory = held(&memory);
    let portal = &mut memory.dossiers;
    portal.grants += 1;
    let token = format!("simulated-portal-token-{}", portal.grants);
    portal.token = Some(token.clone());
    answer(StatusCode::OK, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }))
}

/// `POST /portal/v1/so-ho-so`
pub(super) async fn number(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    step(&memory, &headers, "so-ho-so", &body, |portal| {
        let said: Value = serde_json::from_slice(&body).map_err(|_| bad("NOT_JSON"))?;
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (procedure, unit) = (text("MaTTHC"), text("MaDonVi"));
        if procedure.is_empty() || unit.is_empty() {
            return Err(bad("NO_PROCEDURE_OR_UNIT"));
        }
        let number = format!("{unit}-261123-{:07}", portal.numbers.len() + 1);
        portal.numbers.insert(number.clone(), procedure);
        Ok(json!({ "MaHoSo": number }))
    })
}

/// `POST /portal/v1/tep-tin`
pub(super) async fn file(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    step(&memory, &headers, "tep-tin", &body, |portal| {
        let (number, said) = (header(&headers, "ma-ho-so"), header(&headers, "hash-tep-tin"));
        let kind = header(&headers, "content-type");
        if !portal.numbers.contains_key(number) {
            return Err(bad("UNKNOWN_NUMBER"));
        }
        if portal.mood.refused_kinds.contains(kind) {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error("KIND_NOT_TAKEN")));
        }
        let mut hash = crate::personal::sha256(&body);
        if hash != said {
            return Err(bad("OTHER_HASH"));
        }
        let id = format!("T{:06}", portal.files.len() + 1);
        portal.files.insert(id.clone(), (number.to_owned(), hash.clone(), body.clone()));
        if portal.mood.other_hashes > 0 {
            portal.mood.other_hashes -= 1;
            hash = crate::personal::sha256(b"on the way it became another file");
        }
        Ok(json!({ "IdTepTin": id, "HashTepTin": hash }))
    })
}

/// `POST /portal/v1/noi-ho-so`
pub(super) async fn submit(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let response = step(&memory, &headers, "noi-ho-so", &body, |portal| {
        let said: Value = serde_json::from_slice(&body).map_err(|_| bad("NOT_JSON"))?;
        let one = said.get("data").and_then(Value::as_array).filter(|list| list.len() == 1);
        let Some(dossier) = one.and_then(|list| list.first()) else { return Err(bad("NOT_ONE_DOSSIER")) };
        if let Some(code) = fault_of(portal, dossier) {
            return Err(bad(&code));
        }
        let number = text(dossier, "MaHoSo").to_owned();
        if portal.held.contains_key(&number) {
            return Err((StatusCode::CONFLICT, error("DOSSIER_EXISTS")));
        }
        let files = ids(dossier).filter_map(|id| Some((id.to_owned(), portal.files.get(id)?.2.to_vec()))).collect();
        let held = Held { dossier: dossier.clone(), status: 1, words: String::new(), files };
        portal.held.insert(number.clone(), held);
        Ok(json!({ "MaHoSo": number }))
    });
    let is_late = {
        let mut memory = held(&memory);
        let mood = &mut memory.dossiers.mood;
        if response.status().is_success() && mood.lost_answers > 0 {
            mood.lost_answers -= 1;
            return broken();
        }
        let is_late = response.status().is_success() && mood.late_answers > 0;
        mood.late_answers = mood.late_answers.saturating_sub(u32::from(is_late));
        is_late
    };
    if is_late {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    }
    response
}

/// `POST /portal/v1/trang-thai`
pub(super) async fn standing(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    step(&memory, &headers, "trang-thai", &body, |portal| {
        let said: Value = serde_json::from_slice(&body).map_err(|_| bad("NOT_JSON"))?;
        let asked = said.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        let advances = portal.mood.advances;
        let mut known = Vec::new();
        for one in &asked {
            let number = text(one, "MaHoSo");
            let Some(held) = portal.held.get_mut(number) else { continue };
            if advances {
                held.status = match held.status {
                    1 => 2,
                    2 => 4,
                    4 => 9,
                    9 => 10,
                    other => other,
                };
            }
            known.push(json!({ "MaHoSo": number, "TrangThaiHoSo": held.status.to_string(), "NoiDung": held.words }));
        }
        Ok(Value::Array(known))
    })
}

/// `GET /portal/v1/ho-so`: what was taken, for whoever tries it out.
pub(super) async fn list(State(memory): State<Shared>) -> Response {
    let held: BTreeMap<String, Value> = held(&memory)
        .dossiers
        .held
        .iter()
        .map(|(number, held)| (number.clone(), json!({ "status": held.status, "dossier": held.dossier })))
        .collect();
    answer(StatusCode::OK, &json!(held))
}

/// One step: the token, the moods, the key; then what the step does, once.
fn step(
    memory: &Shared,
    headers: &HeaderMap,
    path: &'static str,
    body: &Bytes,
    act: impl FnOnce(&mut Dossiers) -> Result<Value, (StatusCode, Value)>,
) -> Response {
    let mut memory = held(memory);
    let portal = &mut memory.dossiers;
    portal.offered += 1;
    let bearer = portal.token.as_ref().map(|token| format!("Bearer {token}"));
    if bearer.as_deref() != Some(header(headers, "authorization")) {
        return answer(StatusCode::UNAUTHORIZED, &error("INVALID_TOKEN"));
    }
    if portal.mood.busy > 0 {
        portal.mood.busy -= 1;
        let mut response = answer(StatusCode::TOO_MANY_REQUESTS, &error("TOO_MANY_REQUESTS"));
        response.headers_mut().insert("retry-after", HeaderValue::from(portal.mood.retry_after_seconds));
        return response;
    }
    if portal.mood.unwell > 0 {
        portal.mood.unwell -= 1;
        return answer(StatusCode::SERVICE_UNAVAILABLE, &error("UNAVAILABLE"));
    }
    // Asking changes nothing, and needs no key.
    let key = (path, header(headers, "idempotency-key").to_owned());
    let is_asking = path == "trang-thai";
    if key.1.is_empty() && !is_asking {
        return answer(StatusCode::BAD_REQUEST, &error("NO_IDEMPOTENCY_KEY"));
    }
    if let Some((known, said)) = portal.answers.get(&key).filter(|_| !is_asking) {
        return match known == body {
            true => answer(StatusCode::OK, said),
            false => answer(StatusCode::UNPROCESSABLE_ENTITY, &error("IDEMPOTENCY_KEY_REUSED")),
        };
    }
    match act(portal) {
        Ok(data) => {
            let said = json!({ "error_code": "00", "message": "", "data": data });
            portal.answers.insert(key, (body.clone(), said.clone()));
            answer(StatusCode::OK, &said)
        }
        Err((status, said)) => answer(status, &said),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The files that a dossier names.
fn ids(dossier: &Value) -> impl Iterator<Item = &str> {
    let papers = dossier.get("TaiLieuNop").and_then(Value::as_array).into_iter().flatten();
    papers.map(|paper| text(paper, "TepDinhKemId"))
}

fn bad(code: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, error(code))
}

fn error(code: &str) -> Value {
    json!({ "error_code": code, "message": code, "data": null })
}

/// What is wrong with a dossier, as the portal would check it.
fn fault_of(portal: &Dossiers, dossier: &Value) -> Option<String> {
    let say = |code: &str| Some(code.to_owned());
    let number = text(dossier, "MaHoSo");
    let Some(procedure) = portal.numbers.get(number) else { return say("UNKNOWN_NUMBER") };
    if text(dossier, "MaTTHC") != procedure {
        return say("OTHER_PROCEDURE");
    }
    if let Some(code) = portal.mood.refused_procedures.get(procedure) {
        return say(code);
    }
    let is_digits =
        |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if text(dossier, "KenhThucHien") != "2" || text(dossier, "TrangThaiHoSo") != "1" {
        return say("CHANNEL_OR_STATUS");
    }
    let identity = text(dossier, "SoGiayToChuHoSo");
    let of_person = dossier.pointer("/DinhDanhCHS/0/SoDinhDanh").and_then(Value::as_str).unwrap_or_default();
    if !is_digits(identity, &[9, 12]) || of_person != identity || text(dossier, "ChuHoSo").trim().is_empty() {
        return say("IDENTITY");
    }
    if !is_digits(text(dossier, "NgayNopHoSo"), &[14]) {
        return say("TIMESTAMP");
    }
    let has_no_file = |id: &str| portal.files.get(id).is_none_or(|(of, ..)| of != number);
    if ids(dossier).any(has_no_file) {
        return say("UNKNOWN_FILE");
    }
    let others = serde_json::from_str::<Value>(text(dossier, "ThongTinKhac"));
    if !others.is_ok_and(|others| others.is_array()) {
        return say("OTHER_INFORMATION");
    }
    None
}
