//! What services of short messages say later of what they took: receipts, kept in a folder until a run reads them.
//!
//! ```text
//! { "receipts": [ { "id": "<our number>", "status": "delivered" },
//!                 { "id": "<our number>", "status": "failed", "error": "recipient" } ] }
//! { "event_name": "user_received_message", "app_id": "…", "timestamp": "…",
//!   "message": { "msg_id": "<Zalo's number>", "tracking_id": "<our number>" } }
//! ```
//!
//! The first form is that of text messages and webhooks; the words of `error` are those with which they answer when a
//! message is given to them. The second is Zalo's. Whether a body comes from whom it says was proven before it is kept
//! here. A receipt is removed once what it says is durable: it may hold a number of the person.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Code, Error, Report, Verdict};
use crate::delivery::Class;
use crate::files;
use crate::ledger::accepted_as;
use crate::personal::sha256;

/// The folder of receipts that nobody has read yet, in the state folder.
const FOLDER: &str = "receipts";

/// The ending of their files.
const ENDING: &str = "json";

/// Receipts of one body that are read.
const RECEIPTS_MAX: usize = 10_000;

/// A body that was kept, and what it says.
#[derive(Debug)]
pub struct Kept {
    /// SHA-256 of its bytes, in hexadecimal.
    pub id: String,
    /// The channel whose service said it; none where a person brought it as a file.
    pub channel: Option<String>,
    /// What it says, of one message each.
    pub reports: Vec<Report>,
    path: PathBuf,
}

/// Keeps a body until it is read, with the channel whose service said it; the same body twice is one.
///
/// # Errors
///
/// Where the state folder cannot be written.
pub fn keep(state: &Path, channel: Option<&str>, body: &[u8]) -> Result<(), Error> {
    let folder = state.join(FOLDER);
    files::private_folder(&folder).map_err(unusable(&folder))?;
    // The name of a channel is a word of a pipeline, of letters, digits and few signs.
    let channel = channel.map_or_else(String::new, |channel| format!(".{channel}"));
    let path = folder.join(format!("{}{channel}.{ENDING}", sha256(body)));
    files::replace(&path, body).map_err(unusable(&path))
}

/// The bodies that wait, in order of their names; at most so many.
///
/// # Errors
///
/// Where the folder is there and cannot be read.
pub fn waiting(state: &Path, most: usize) -> Result<Vec<Kept>, Error> {
    let folder = state.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let listing = std::fs::read_dir(&folder).map_err(unusable(&folder))?;
    let is_whole = |path: &PathBuf| path.extension().is_some_and(|ending| ending == ENDING);
    let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).filter(is_whole).collect();
    paths.sort_unstable();
    paths.truncate(most);
    let read = |path: PathBuf| {
        let body = std::fs::read(&path).map_err(unusable(&path))?;
        let channel = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split_once('.'));
        let channel = channel.map(|(_, channel)| channel.to_owned());
        Ok(Kept { id: sha256(&body), channel, reports: read(&body), path })
    };
    paths.into_iter().map(read).collect()
}

/// Removes a body, after what it says is durable.
///
/// # Errors
///
/// Where it cannot be removed; it is then read again.
pub fn remove(kept: &Kept) -> Result<(), Error> {
    std::fs::remove_file(&kept.path).map_err(unusable(&kept.path))
}

/// What a body says, of one message each; one report that nobody can tell where it is nothing of the kind.
pub fn read(body: &[u8]) -> Vec<Report> {
    let Ok(said) = serde_json::from_slice::<Value>(body) else { return vec![Report::Unknown] };
    match said.get("receipts").and_then(Value::as_array) {
        Some(receipts) => {
            let receipts = receipts.iter().take(RECEIPTS_MAX);
            receipts.map(|one| of_service(one).unwrap_or(Report::Unknown)).collect()
        }
        None => vec![of_zalo(&said).unwrap_or(Report::Unknown)],
    }
}

fn of_service(one: &Value) -> Option<Report> {
    let message = number(one.get("id")?)?;
    let verdict = match (one.get("status")?.as_str()?, one.get("error").and_then(Value::as_str)) {
        ("delivered", _) => Verdict::Delivered,
        ("sent", _) => Verdict::Relayed,
        ("delayed", _) => Verdict::Delayed,
        // It was tried for as long as the service tries: the phone was off, or out of reach.
        ("expired", _) => Verdict::GaveUp,
        ("failed", said) => failed(said.and_then(Class::from_word)),
        _ => return None,
    };
    Some(Report::About { message, verdict, code: Code::default() })
}

fn failed(class: Option<Class>) -> Verdict {
    match class {
        Some(Class::Recipient) => Verdict::AddressWrong,
        Some(Class::OptedOut) => Verdict::Complaint,
        Some(Class::Ours | Class::Quota) => Verdict::Ours,
        Some(Class::RetryLater) => Verdict::GaveUp,
        Some(Class::Data) | None => Verdict::Refused,
    }
}

fn of_zalo(said: &Value) -> Option<Report> {
    let message = said.get("message")?;
    let verdict = match said.get("event_name")?.as_str()? {
        "user_received_message" => Verdict::Delivered,
        _ => return Some(Report::Information),
    };
    // By our number where Zalo says it; otherwise by the one that Zalo gave when it took the message.
    let ours = message.get("tracking_id").and_then(number);
    let message = match ours {
        Some(ours) => ours,
        None => accepted_as(&number(message.get("msg_id")?)?)?,
    };
    Some(Report::About { message, verdict, code: Code::default() })
}

fn unusable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Receipts { path: path.to_path_buf(), source }
}

/// A number of a message: letters, digits and few signs.
fn number(value: &Value) -> Option<String> {
    let text = value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))?;
    let is_number = !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_number.then_some(text)
}
