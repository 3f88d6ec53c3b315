//! What one letter of the mailbox is: a delivery report (RFC 3464), a complaint (RFC 5965), or nothing of the kind.
//!
//! The letter is written by a stranger and may be anything. Of all that it says three things are taken: which
//! message it is about, what was done, and a code. The message is known by the envelope sender to which the report
//! came, or that the returned message bears, whose tag nobody else can make; else by the Message-ID of the
//! returned message, 128 bits that only those know who had it.

use std::fmt;

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders};

use super::Verdict;
use crate::delivery::{self, Sign};
use crate::personal::PseudonymKey;

/// What a letter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It is about a message of ours.
    About {
        /// The local part of the Message-ID.
        message: String,
        /// What it says.
        verdict: Verdict,
        /// The code that it gives.
        code: Code,
    },
    /// It bears the form of an envelope sender of ours with a tag that is not ours, or names no message at all.
    Forged,
    /// A holiday notice, or another answer of a program.
    AutoReply,
    /// A report about us that asks for nothing: how signatures were found, in sum.
    Information,
    /// Nobody here can tell.
    Unknown,
}

/// The codes of a report: the reply of the server that was asked, and the enhanced status (RFC 3463).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Code {
    /// Three digits (RFC 5321).
    pub reply: Option<u16>,
    /// Class, subject, detail.
    pub enhanced: Option<[u16; 3]>,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reply, self.enhanced) {
            (Some(reply), Some([class, subject, detail])) => write!(f, "{reply} {class}.{subject}.{detail}"),
            (None, Some([class, subject, detail])) => write!(f, "{class}.{subject}.{detail}"),
            (Some(reply), None) => write!(f, "{reply}"),
            (None, None) => f.write_str("no code"),
        }
    }
}

/// What the server did, RFC 3464, 2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Failed,
    Delayed,
    Delivered,
    Relayed,
}

/// Reads a letter. `key` is that of the tags.
pub fn read(bytes: &[u8], key: &PseudonymKey) -> Report {
    let Some(letter) = MessageParser::new().parse(bytes) else { return Report::Unknown };
    let parts = Parts::of(&letter);
    let (verdict, code) = match verdict(&letter, &parts) {
        Ok(said) => said,
        Err(other) => return other,
    };
    match message(&letter, &parts, key) {
        Some(message) => Report::About { message, verdict, code },
        None => Report::Forged,
    }
}

/// The parts of a report, as text.
#[derive(Default)]
struct Parts {
    delivery: Option<String>,
    feedback: Option<String>,
    /// The headers of the message that came back.
    returned: Option<String>,
    text: String,
}

impl Parts {
    fn of(letter: &Message<'_>) -> Parts {
        let mut parts = Parts::default();
        // The first part is the whole letter; a letter of one part is its own text.
        for part in &letter.parts {
            let kind = part.content_type().map(|kind| {
                let subtype = kind.subtype().unwrap_or_default().to_ascii_lowercase();
                (kind.ctype().to_ascii_lowercase(), subtype)
            });
            let kind = kind.as_ref().map(|(kind, subtype)| (kind.as_str(), subtype.as_str()));
            let place = match kind {
                Some(("message", "delivery-status" | "global-delivery-status")) => &mut parts.delivery,
                Some(("message", "feedback-report")) => &mut parts.feedback,
                Some(("message", "rfc822" | "global" | "global-headers"))
                | Some(("text", "rfc822-headers" | "rfc822")) => &mut parts.returned,
                None | Some(("text", "plain")) if parts.text.is_empty() => {
                    parts.text = words(letter, part);
                    continue;
                }
                _ => continue,
            };
            place.get_or_insert_with(|| words(letter, part));
        }
        parts
    }
}

/// A part as text; of a message within the message, its bytes as they came.
fn words(letter: &Message<'_>, part: &MessagePart<'_>) -> String {
    let bytes = match part.message() {
        Some(_) => {
            let range = part.raw_body_offset() as usize..part.raw_end_offset() as usize;
            letter.raw_message().get(range).unwrap_or_default()
        }
        None => part.contents(),
    };
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the letter says, or what it is instead of a report.
fn verdict(letter: &Message<'_>, parts: &Parts) -> Result<(Verdict, Code), Report> {
    if let Some(feedback) = &parts.feedback {
        let kind = field(feedback, "Feedback-Type").unwrap_or_default().to_ascii_lowercase();
        return match kind.as_str() {
            // `opt-out` and `opt-out-list` are of drafts that some providers follow.
            "abuse" | "fraud" | "opt-out" | "opt-out-list" | "other" => Ok((Verdict::Complaint, Code::default())),
            _ => Err(Report::Information),
        };
    }
    if let Some(delivery) = &parts.delivery {
        return delivered(delivery).ok_or(Report::Unknown);
    }
    let header = |name: &str| header(letter, name).unwrap_or_default().to_ascii_lowercase();
    let is_answer = header("Auto-Submitted").starts_with("auto-replied")
        || ["X-Autoreply", "X-Autorespond", "X-Autoresponse"].iter().any(|name| letter.header_raw(*name).is_some())
        || ["auto_reply", "auto-reply", "junk"].contains(&header("Precedence").trim());
    // Reports of before RFC 3464, and of servers that never learned it: the code stands in the words.
    let from = header("From");
    let is_of_server = letter.header_raw("X-Failed-Recipients").is_some()
        || ["mailer-daemon@", "postmaster@"].iter().any(|name| from.contains(name));
    let code = code_in(&parts.text);
    match (is_of_server && code != Code::default(), is_answer) {
        (true, _) => Ok((Verdict::of(Action::Failed, code), code)),
        (false, true) => Err(Report::AutoReply),
        (false, false) => Err(Report::Unknown),
    }
}

/// What was done with the one recipient, and the code.
fn delivered(status: &str) -> Option<(Verdict, Code)> {
    let mut code = Code::default();
    if let Some(diagnostic) = field(status, "Diagnostic-Code") {
        code = code_in(diagnostic.split_once(';').map_or(diagnostic.as_str(), |(_, words)| words));
    }
    let stated = field(status, "Status").and_then(|status| enhanced(status.split_whitespace().next()?));
    // The server that was asked is more exact than the one that reports `5.0.0`; their classes must agree.
    code.enhanced = match (stated, code.enhanced) {
        (Some([class, 0, _]), Some(exact @ [exact_class, ..])) if class == exact_class => Some(exact),
        (stated, exact) => stated.or(exact),
    };
    let action = field(status, "Action").unwrap_or_default().to_ascii_lowercase();
    let action = match action.split_whitespace().next().unwrap_or_default() {
        "failed" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" => Action::Delivered,
        "relayed" | "expanded" => Action::Relayed,
        // Without the word the class of the code says it.
        _ => match code.enhanced? {
            [2, ..] => Action::Delivered,
            [4, ..] => Action::Delayed,
            _ => Action::Failed,
        },
    };
    Some((Verdict::of(action, code), code))
}

/// The message that the letter is about, by a tag that is ours or by its Message-ID.
fn message(letter: &Message<'_>, parts: &Parts, key: &PseudonymKey) -> Option<String> {
    let returned = parts.returned.as_deref().map(|text| text.split("\r\n\r\n").next().unwrap_or(text));
    let returned = returned.map(|text| text.split("\n\n").next().unwrap_or(text));
    let mut places: Vec<String> =
        ["Delivered-To", "X-Original-To", "Envelope-To", "To"].iter().filter_map(|name| header(letter, name)).collect();
    places.extend(parts.feedback.as_deref().and_then(|text| field(text, "Original-Mail-From")));
    places.extend(returned.and_then(|text| field(text, "Return-Path")));
    let mut is_forged = false;
    for word in places.iter().flat_map(|place| place.split(|c: char| c.is_whitespace() || "<>,;()\"".contains(c))) {
        match delivery::sign(word, key) {
            Sign::Message(message) => return Some(message),
            Sign::Forged => is_forged = true,
            Sign::None => {}
        }
    }
    if is_forged {
        return None;
    }
    let id = returned.and_then(|text| field(text, "Message-ID"))?;
    let local = id.trim().trim_matches(['<', '>']).split('@').next().unwrap_or_default();
    let is_ours = local.len() == 32 && local.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| local.to_ascii_lowercase())
}

/// A header of the letter itself, unfolded.
fn header(letter: &Message<'_>, name: &str) -> Option<String> {
    letter.header_raw(name).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The first field of this name, unfolded. Reports with errors in their form are common: every line is looked at.
fn field(text: &str, name: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for line in text.lines() {
        match &mut value {
            Some(value) if line.starts_with([' ', '\t']) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            Some(_) => break,
            None => {
                let found = line.split_once(':').filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
                value = found.map(|(_, rest)| rest.trim().to_owned());
            }
        }
    }
    value.filter(|value| !value.is_empty())
}

/// The first reply and the first enhanced status in words of a server: `550 5.1.1`, `550-5.1.1`, `(#5.1.1)`.
fn code_in(words: &str) -> Code {
    let mut code = Code::default();
    for word in words.split(|c: char| !(c.is_ascii_digit() || c == '.')) {
        let word = word.trim_matches('.');
        let is_reply = word.len() == 3 && word.starts_with(['4', '5']) && !word.contains('.');
        if code.reply.is_none() && is_reply {
            code.reply = word.parse().ok();
        }
        code.enhanced = code.enhanced.or_else(|| enhanced(word));
    }
    code
}

/// `5.1.1`; none where it is anything else, such as an address of a machine.
fn enhanced(text: &str) -> Option<[u16; 3]> {
    let mut numbers = text.split('.').map(|number| number.parse::<u16>().ok().filter(|_| number.len() <= 3));
    let found = [numbers.next()??, numbers.next()??, numbers.next()??];
    (numbers.next().is_none() && matches!(found, [2 | 4 | 5, 0..=9, _])).then_some(found)
}
