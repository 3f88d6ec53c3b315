//! The way to the portal: a token, then the steps of the adapter, what each answer means, and when to ask again.
//!
//! ```text
//! POST token_url        grant_type=client_credentials (RFC 6749, 4.4)     → { access_token, token_type, expires_in }
//! POST url/so-ho-so     { MaTTHC, MaDonVi }                               → data: { MaHoSo }
//! POST url/tep-tin      the bytes; MaHoSo and HashTepTin as headers       → data: { IdTepTin, HashTepTin }
//! POST url/noi-ho-so    { service: "NoiHoSo", data: [dossier] }           → data: { MaHoSo }
//! POST url/trang-thai   { data: [{ MaHoSo }] }                            → data: [{ MaHoSo, TrangThaiHoSo, NoiDung? }]
//! every answer          { error_code: "00" | code, data }
//! 401  the token is not known any more      429, 503  Retry-After      409  DOSSIER_EXISTS      4xx  error_code
//! ```
//!
//! The first three steps carry an `Idempotency-Key` that begins with the dossier's own number: an answer that was lost
//! is given again, with the same number and the same file, and nothing is there twice. The paths and the names of the
//! headers are ours, for no public text gives them; the names within the messages are the portal's.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::payload::{self, Uploaded};
use super::{Error, Status};
use crate::delivery::Timeouts;
use crate::delivery::bearer::{Bearer, Patience};
use crate::delivery::service::{Answer, Service, Trust};
use crate::dossiers::{Attachment, Confirmed};
use crate::personal::{Personal, sha256};
use crate::pipeline::publication::Submission;

/// Dossiers that are asked about in one message.
pub const ASKED_MOST: usize = 100;

/// What the portal says of a dossier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its number there (`MaHoSo`).
    pub number: String,
    /// How it stands.
    pub status: Status,
    /// What the portal writes about it, which may name a person: why it was not accepted, what is to be added or paid.
    pub words: Option<Personal<String>>,
}

/// An open way to the portal.
pub struct Portal {
    service: Service,
    submission: Submission,
    bearer: Bearer,
    patience: Patience,
}

impl std::fmt::Debug for Portal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portal").field("service", &self.service.name()).finish_non_exhaustive()
    }
}

/// The documented envelope.
#[derive(Deserialize)]
struct Envelope {
    error_code: Value,
    #[serde(default)]
    data: Value,
}

/// One message and what it is about.
struct Message<'m> {
    /// The step and the dossier, for errors.
    what: &'m str,
    path: &'static str,
    headers: &'m [(&'m str, &'m str)],
    media_type: &'m str,
    body: &'m [u8],
}

/// What an answer means for what to do next.
enum Next {
    Done(Value),
    /// The token is not known any more.
    NewToken,
    /// Ask again: after so many seconds where the portal said so.
    Again {
        why: String,
        after_seconds: Option<u64>,
    },
}

impl Portal {
    /// Resolves the secrets and prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Secret`], [`Error::Authority`] and [`Error::Service`].
    pub fn open(submission: &Submission, patience: Patience) -> Result<Portal, Error> {
        let secret = submission.client_secret.resolve().map_err(Error::Secret)?;
        let identity = submission.identity.as_ref().map(|identity| identity.resolve());
        let identity = identity.transpose().map_err(Error::Secret)?;
        let read = |path: &std::path::PathBuf| {
            std::fs::read(path).map_err(|source| Error::Authority { path: path.clone(), source })
        };
        let authority = submission.authority.as_ref().map(read).transpose()?;
        let urls = [submission.url.as_str(), submission.token_url.as_str()];
        let trust = Trust { identity, authority, ..Trust::default() };
        let service = Service::open_known(&urls, Timeouts::default(), &trust).map_err(|error| match error {
            crate::delivery::Error::Service { service, why } => Error::Service { service, why },
            other => Error::Service { service: "-".into(), why: other.to_string() },
        })?;
        let scope = submission.scope.as_deref();
        let bearer = Bearer::new(&submission.token_url, &submission.client_id, secret, scope);
        Ok(Portal { service, submission: submission.clone(), bearer, patience })
    }

    /// The number under which a dossier is to be handed in; the same however often it is asked for.
    ///
    /// # Errors
    ///
    /// What is wrong with a dossier that no portal could take is said before anything leaves.
    pub async fn number(&mut self, confirmed: &Confirmed) -> Result<String, Error> {
        payload::check(confirmed)?;
        let body = json!({ "MaTTHC": confirmed.procedure, "MaDonVi": self.submission.department }).to_string();
        let what = format!("a number for dossier {}", confirmed.dossier);
        let key = format!("{}-number", confirmed.dossier);
        let headers = [("idempotency-key", key.as_str())];
        let message =
            Message { what: &what, path: "so-ho-so", headers: &headers, media_type: JSON, body: body.as_bytes() };
        let data = self.ask(&message).await?;
        let number = data.get("MaHoSo").and_then(Value::as_str).filter(|number| is_number(number));
        number.map(str::to_owned).ok_or_else(|| self.unreadable(&what))
    }

    /// Hands a dossier in under its number. It may be handed in again: it is taken once.
    ///
    /// # Errors
    ///
    /// Every variant that names the dossier says what became of it; [`Error::refusal`] tells whether trying again is of use.
    pub async fn submit(&mut self, confirmed: &Confirmed, number: &str) -> Result<(), Error> {
        payload::check(confirmed)?;
        let mut uploaded = Vec::new();
        for (at, attachment) in confirmed.attachments.iter().enumerate() {
            uploaded.push(self.upload(confirmed, number, at, attachment).await?);
        }
        let dossier = payload::of(confirmed, &self.submission, number, &uploaded)?;
        let body = Zeroizing::new(json!({ "service": "NoiHoSo", "data": [dossier.reveal()] }).to_string());
        let what = format!("the dossier {}", confirmed.dossier);
        let headers = [("idempotency-key", confirmed.dossier.as_str())];
        let message =
            Message { what: &what, path: "noi-ho-so", headers: &headers, media_type: JSON, body: body.as_bytes() };
        let data = match self.ask(&message).await {
            // It has forgotten the key and not the dossier: nobody else was given the number.
            Err(Error::Refused { status: 409, code, .. }) if code == EXISTS => return Ok(()),
            answer => answer?,
        };
        match data.get("MaHoSo").and_then(Value::as_str) == Some(number) {
            true => Ok(()),
            false => Err(self.unreadable(&what)),
        }
    }

    /// How these dossiers stand, by their numbers at the portal. One that it does not speak of is not in the answer.
    ///
    /// # Errors
    ///
    /// Where the portal gave no answer, or one that cannot be read. What it said of a first hundred is lost with an error
    /// in the second: it says it again.
    pub async fn standing(&mut self, numbers: &[String]) -> Result<Vec<Known>, Error> {
        let mut known = Vec::new();
        for part in numbers.chunks(ASKED_MOST) {
            let asked: Vec<Value> = part.iter().map(|number| json!({ "MaHoSo": number })).collect();
            let body = json!({ "service": "TraCuuHoSo", "data": asked }).to_string();
            let what = format!("the status of {} dossiers", part.len());
            let message =
                Message { what: &what, path: "trang-thai", headers: &[], media_type: JSON, body: body.as_bytes() };
            let data = self.ask(&message).await?;
            let Some(list) = data.as_array() else { return Err(self.unreadable(&what)) };
            for one in list {
                let said = status_of(one).ok_or_else(|| self.unreadable(&what))?;
                // It speaks of what it was asked about, and of each once.
                let is_asked = part.contains(&said.number) && known.iter().all(|k: &Known| k.number != said.number);
                if !is_asked {
                    return Err(self.unreadable(&what));
                }
                known.push(said);
            }
        }
        Ok(known)
    }

    async fn upload(
        &mut self,
        confirmed: &Confirmed,
        number: &str,
        at: usize,
        attachment: &Attachment,
    ) -> Result<Uploaded, Error> {
        let what = format!("file {} of dossier {}", at.saturating_add(1), confirmed.dossier);
        let key = format!("{}-file-{at}", confirmed.dossier);
        // By the bytes that leave, whatever was noted when they came.
        let hash = sha256(attachment.bytes.reveal());
        let headers = [("idempotency-key", key.as_str()), ("ma-ho-so", number), ("hash-tep-tin", hash.as_str())];
        let message = Message {
            what: &what,
            path: "tep-tin",
            headers: &headers,
            media_type: &attachment.media_type,
            body: attachment.bytes.reveal(),
        };
        let data = self.ask(&message).await?;
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let Some(id) = text("IdTepTin").filter(|id| is_number(id)) else { return Err(self.unreadable(&what)) };
        if !text("HashTepTin").is_some_and(|said| said.eq_ignore_ascii_case(&hash)) {
            let (service, dossier) = (self.service.name().to_owned(), confirmed.dossier.clone());
            return Err(Error::OtherHash { service, dossier });
        }
        Ok(Uploaded { id: id.to_owned() })
    }

    /// Sends a message until there is an answer that says something, or the patience is over.
    async fn ask(&mut self, message: &Message<'_>) -> Result<Value, Error> {
        let url = format!("{}/{}", self.submission.url, message.path);
        let (mut attempts, mut wait, mut is_renewed) = (0, self.patience.first_wait, false);
        loop {
            attempts += 1;
            let token = self.bearer.token(&self.service, self.patience).await;
            let token = token.map_err(|why| self.no_token(why))?;
            let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
            let mut headers = vec![("authorization", bearer.as_str())];
            headers.extend_from_slice(message.headers);
            let answer = self.service.post_as(&url, &headers, message.media_type, message.body.to_vec()).await;
            let (why, after_seconds) = match self.meaning(answer, message.what)? {
                Next::Done(data) => return Ok(data),
                Next::NewToken if !is_renewed => {
                    // It was good when it was given: one more is asked for, and no third.
                    self.bearer.forget();
                    is_renewed = true;
                    attempts -= 1;
                    continue;
                }
                Next::NewToken => return Err(self.no_token("it refuses the token that it gave".into())),
                Next::Again { why, after_seconds } => (why, after_seconds),
            };
            let (service, what) = (self.service.name().to_owned(), message.what.to_owned());
            let asked = after_seconds.map(Duration::from_secs);
            if let Some(asked) = asked.filter(|asked| *asked > self.patience.most_wait) {
                return Err(Error::Later { service, what, seconds: asked.as_secs() });
            }
            if attempts >= self.patience.attempts {
                return Err(Error::NoAnswer { service, what, why, attempts });
            }
            tokio::time::sleep(asked.unwrap_or(wait)).await;
            wait = wait.saturating_mul(2).min(self.patience.most_wait);
        }
    }

    fn meaning(&self, answer: Answer, what: &str) -> Result<Next, Error> {
        let again = |why: &str, after_seconds| Ok(Next::Again { why: why.to_owned(), after_seconds });
        let (status, after_seconds, body) = match answer {
            Answer::NotConnected => return again("no connection", None),
            Answer::Lost(_) => return again("no whole answer", None),
            Answer::Full { status, wait_seconds, body } => (status, wait_seconds.map(u64::from), body),
        };
        let said: Option<Envelope> = serde_json::from_slice(&body).ok();
        let code = said.as_ref().and_then(|said| code_of(&said.error_code));
        let refused = |code: Option<String>| {
            let (service, what) = (self.service.name().to_owned(), what.to_owned());
            Err(Error::Refused { service, what, status, code: code.unwrap_or_else(|| "-".to_owned()) })
        };
        match (status, said, code.as_deref()) {
            (200..=299, Some(said), Some("00" | "0")) => Ok(Next::Done(said.data)),
            // The older interfaces of the portal say with 200 what they refuse.
            (200..=299, Some(_), Some(_)) => refused(code),
            (200..=299, ..) => Err(self.unreadable(what)),
            (401, ..) => Ok(Next::NewToken),
            (408 | 425 | 429, ..) => again(&format!("status {status}"), after_seconds),
            (500.., ..) => again(&format!("status {status}"), after_seconds),
            _ => refused(code),
        }
    }

    fn unreadable(&self, what: &str) -> Error {
        Error::Unreadable { service: self.service.name().to_owned(), what: what.to_owned() }
    }

    fn no_token(&self, why: String) -> Error {
        Error::Token { service: self.service.name().to_owned(), why }
    }
}

const JSON: &str = "application/json";

/// The portal's code for a dossier that it has already.
const EXISTS: &str = "DOSSIER_EXISTS";

/// Whether a text is a number that the portal could give: of a dossier in any of its three shapes, or of a file.
fn is_number(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
}

/// A code of the portal, as far as it is one: what goes into the ledger holds no words of others.
fn code_of(said: &Value) -> Option<String> {
    let text = match said {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    Some(text.chars().filter(is_plain).take(64).collect())
}

/// What the portal says of one dossier: the status as a number or as a text of digits, as its interfaces differ.
fn status_of(said: &Value) -> Option<Known> {
    let number = said.get("MaHoSo")?.as_str()?.to_owned();
    let status = said.get("TrangThaiHoSo")?;
    let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
    let words = said.get("NoiDung").and_then(Value::as_str).map(str::trim).filter(|words| !words.is_empty());
    let words = words.map(|words| Personal::new(words.chars().take(WORDS_MOST).collect()));
    Some(Known { number, status: Status::from_number(status)?, words })
}

/// The most characters that are kept of what the portal writes.
const WORDS_MOST: usize = 2000;
