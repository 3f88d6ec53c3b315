//! Zalo: tokens that are good once, approved templates, a quota, the state of a message.

use std::collections::BTreeMap;

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::recipient::{LATE, PATIENCE, Recipient};
use super::{APP_ID, REFRESH_TOKEN, SECRET, Shared, answer, broken, held};

const CHANNEL: &str = "zns";

/// The most characters of a `tracking_id`.
const TRACKING_CHARS_MAX: usize = 48;

/// The official account.
#[derive(Debug)]
pub(super) struct Zalo {
    access_token: Option<String>,
    refresh_token: String,
    renewals: u32,
    daily_quota: u32,
    used: u32,
    /// How often the state of a message was asked for.
    asked: BTreeMap<String, u32>,
    /// What was decided of templates; every other one is approved.
    judged: BTreeMap<String, &'static str>,
}

impl Zalo {
    pub(super) fn new(daily_quota: u32) -> Self {
        Zalo {
            access_token: None,
            refresh_token: REFRESH_TOKEN.to_owned(),
            renewals: 0,
            daily_quota,
            used: 0,
            asked: BTreeMap::new(),
            judged: BTreeMap::new(),
        }
    }

    pub(super) fn judge_template(&mut self, id: &str, status: &'static str) {
        self.judged.insert(id.to_owned(), status);
    }

    pub(super) fn forget_access_token(&mut self) {
        self.access_token = None;
    }

    pub(super) fn renewals(&self) -> u32 {
        self.renewals
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get("access_token").and_then(|token| token.to_str().ok());
        given.is_some() && given == self.access_token.as_deref()
    }

    fn quota(&self) -> Value {
        let remaining = self.daily_quota.saturating_sub(self.used);
        // Zalo gives both as text.
        json!({ "dailyQuota": self.daily_quota.to_string(), "remainingQuota": remaining.to_string() })
    }
}

fn said(error: i32, message: &str) -> Response {
    answer(StatusCode::OK, &json!({ "error": error, "message": message }))
}

/// `POST https://oauth.zaloapp.com/v4/oa/access_token`
pub(super) async fn access_token(
    State(memory): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let refused = |error: i32, name: &str| {
        let said = json!({ "error": error, "error_name": name, "error_reason": name, "error_description": name });
        answer(StatusCode::OK, &said)
    };
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if headers.get("secret_key").and_then(|key| key.to_str().ok()) != Some(SECRET) {
        return refused(-14004, "Invalid secret key");
    }
    if field("app_id") != APP_ID || field("grant_type") != "refresh_token" {
        return refused(-14002, "Invalid app id");
    }
    let mut memory = held(&memory);
    let zalo = &mut memory.zalo;
    if field("refresh_token") != zalo.refresh_token {
        return refused(-14014, "Invalid refresh token");
    }
    zalo.renewals += 1;
    let access_token = format!("simulated-access-token-{}", zalo.renewals);
    zalo.access_token = Some(access_token.clone());
    zalo.refresh_token = format!("simulated-refresh-token-{}", zalo.renewals);
    let said = json!({ "access_token": access_token, "refresh_token": zalo.refresh_token, "expires_in": "90000" });
    answer(StatusCode::OK, &said)
}

/// `GET …/message/quota`
pub(super) async fn quota(State(memory): State<Shared>, headers: HeaderMap) -> Response {
    let memory = held(&memory);
    if !memory.zalo.knows(&headers) {
        return said(-124, "Access token invalid");
    }
    answer(StatusCode::OK, &json!({ "error": 0, "message": "Success", "data": memory.zalo.quota() }))
}

/// `POST …/message/template`
pub(super) async fn template(State(memory): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let mut memory = held(&memory);
    if !memory.zalo.knows(&headers) {
        return said(-124, "Access token invalid");
    }
    let Ok(message) = serde_json::from_str::<Value>(&body) else { return said(-122, "Body data invalid") };
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (phone, template, tracking) = (text("phone"), text("template_id"), text("tracking_id"));
    let is_phone = phone.len() == 11 && phone.starts_with("84") && phone.bytes().all(|byte| byte.is_ascii_digit());
    if !is_phone {
        return said(-108, "Phone number invalid");
    }
    if template.is_empty() || !template.bytes().all(|byte| byte.is_ascii_digit()) {
        return said(-109, "Template ID invalid");
    }
    if tracking.is_empty() || tracking.chars().count() > TRACKING_CHARS_MAX {
        return said(-132, "Parameter invalid");
    }
    let data = message.get("template_data").filter(|data| data.as_object().is_some_and(|data| !data.is_empty()));
    let Some(data) = data.cloned() else { return said(-111, "Template data empty") };
    if memory.zalo.judged.get(&template).is_some_and(|status| *status != "ENABLE") {
        return said(-131, "Template not approved");
    }
    let recipient = Recipient::of(&phone);
    let before = memory.offer(CHANNEL, &phone);
    match recipient {
        Recipient::Refuses(error) => return said(error, "Refused"),
        Recipient::HardBounce => return said(-118, "Zalo account not existed"),
        Recipient::Deferred if before < PATIENCE => return said(-100, "Unknown error"),
        Recipient::Complaint if before > 0 => return said(-141, "User refuses to receive messages of this OA"),
        Recipient::RequestLost => return answer(StatusCode::SERVICE_UNAVAILABLE, &json!({})),
        _ => {}
    }
    if memory.zalo.used >= memory.zalo.daily_quota {
        return said(-144, "OA exceeded daily quota");
    }
    memory.zalo.used += 1;
    memory.take(CHANNEL, &tracking, &phone, json!({ "template": template, "data": data }));
    if recipient == Recipient::AnswerLost {
        return broken();
    }
    let quota = memory.zalo.quota();
    let data = json!({ "msg_id": format!("zns-{tracking}"), "sent_time": "0", "sending_mode": "1", "quota": quota });
    answer(StatusCode::OK, &json!({ "error": 0, "message": "Success", "data": data }))
}

/// `GET …/template/info`
pub(super) async fn info(
    State(memory): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let memory = held(&memory);
    if !memory.zalo.knows(&headers) {
        return said(-124, "Access token invalid");
    }
    let id = query.get("template_id").map(String::as_str).unwrap_or_default();
    let status = memory.zalo.judged.get(id).copied().unwrap_or("ENABLE");
    let data = json!({ "templateId": id, "templateName": "simulated", "status": status, "templateQuality": "HIGH" });
    answer(StatusCode::OK, &json!({ "error": 0, "message": "Success", "data": data }))
}

/// `GET …/message/status`: by Zalo's number of the message, or by ours.
pub(super) async fn status(
    State(memory): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let mut memory = held(&memory);
    if !memory.zalo.knows(&headers) {
        return said(-124, "Access token invalid");
    }
    let ours = query.get("message_id").and_then(|id| id.strip_prefix("zns-"));
    let Some(id) = ours.or(query.get("tracking_id").map(String::as_str)) else {
        return said(-107, "Message ID invalid");
    };
    let taken = memory.taken.get(&(CHANNEL, id.to_owned())).map(|taken| Recipient::of(&taken.to));
    let asked = memory.zalo.asked.entry(id.to_owned()).or_default();
    *asked += 1;
    let state = match taken {
        None => -1,
        Some(Recipient::LateReceipt) if *asked < LATE => 0,
        Some(_) => 1,
    };
    let data = json!({ "status": state, "message": "", "delivery_time": "0" });
    answer(StatusCode::OK, &json!({ "error": 0, "message": "Success", "data": data }))
}
