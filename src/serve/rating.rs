//! The page on which people rate: a token, the twelve questions of the form, a few words.
//!
//! A GET shows the form and changes nothing; a POST seals the answer with its day and forgets it. The page needs no
//! script, no cookie and no log-in. What it keeps says neither who answered nor when on that day; the token proves that
//! somebody used the service, once. A form that lacks something comes back as it was filled in. A rating that somebody
//! gave in Zalo is an answer like any other: the token is the number under which the agency had it asked for.

use std::fmt::Write;

use axum::extract::{Form, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;

use super::page::{escaped, frame};
use super::{Desk, dressed, language};
use crate::calendar::AsOf;
use crate::fault::{Explain, Fault, Place};
use crate::language::{Language, Text};
use crate::ledger::Ledger;
use crate::ledger::answers::{ANSWER_BYTES, Answers, sealed_answer};
use crate::personal::{PseudonymKey, SealingKey};
use crate::pipeline::blind::{Question, Scale};
use crate::satisfaction::answer::{Answer, TEXT_LETTERS_MAX};
use crate::satisfaction::{level_of, question_text, tokens};

/// The path of the form; a token may stand behind it.
pub(super) const PATH: &str = "/rate";

/// The largest form that is read, in bytes: every letter of the words may take twelve.
pub(super) const FORM_BYTES_MAX: usize = 16 * 1024;

/// What the rating page is made from.
#[derive(Debug)]
pub struct Rating {
    /// The scale of every question.
    pub scale: Scale,
    /// The key of the tokens' hashes.
    pub key: PseudonymKey,
    /// The key with which answers are sealed.
    pub seal: SealingKey,
}

/// What somebody has filled in so far.
#[derive(Default)]
struct Filled {
    token: String,
    levels: Vec<(Question, i64)>,
    text: String,
}

/// What is wrong with a form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// No token, or not so many letters.
    Token,
    /// The first question is not answered.
    Overall,
}

/// What became of a form.
enum Outcome {
    Kept,
    Lacks(Lack),
    /// Unknown, used, or of a month that was counted.
    NoToken,
}

/// The form, with nothing filled in.
pub(super) async fn form(State(desk): State<Arc<Desk>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let language = language(query.as_deref(), &headers);
    desk.form(StatusCode::OK, language, &Filled::default(), None)
}

/// The form, with the token that stands in the address.
pub(super) async fn form_of(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(query.as_deref(), &headers);
    let token = token.chars().take(2 * tokens::LETTERS_OF_TOKEN).collect();
    desk.form(StatusCode::OK, language, &Filled { token, ..Filled::default() }, None)
}

/// Takes an answer.
pub(super) async fn answer(
    State(desk): State<Arc<Desk>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let language = language(query.as_deref(), &headers);
    let Some(scale) = desk.rating.as_ref().map(|rating| rating.scale) else {
        return desk.form(StatusCode::NOT_FOUND, language, &Filled::default(), None);
    };
    let filled = Filled::read(&fields, scale);
    let writer = Arc::clone(&desk);
    let kept = tokio::task::spawn_blocking(move || (writer.keep(&filled), filled)).await;
    match kept {
        Ok((Ok(Outcome::Kept), _)) => desk.said(StatusCode::OK, language, THANKS),
        Ok((Ok(Outcome::Lacks(lack)), filled)) => {
            desk.form(StatusCode::UNPROCESSABLE_ENTITY, language, &filled, Some(lack))
        }
        Ok((Ok(Outcome::NoToken), _)) => desk.said(StatusCode::GONE, language, NO_TOKEN),
        Ok((Err(fault), _)) => {
            // The answer is not named, nor its token: the fault is the folder's or the ledger's.
            tracing::error!(code = fault.code, "an answer could not be kept: {}", fault.what);
            desk.said(StatusCode::SERVICE_UNAVAILABLE, language, NOT_KEPT)
        }
        Err(_) => desk.said(StatusCode::SERVICE_UNAVAILABLE, language, NOT_KEPT),
    }
}

impl Filled {
    fn read(fields: &[(String, String)], scale: Scale) -> Self {
        let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        let level = |word: &str, question| {
            let level = field(word)?.parse().ok().filter(|level| (1..=scale.levels()).contains(level))?;
            Some((question, level))
        };
        Filled {
            token: field("token").unwrap_or_default().chars().take(2 * tokens::LETTERS_OF_TOKEN).collect(),
            levels: Question::WORDS.iter().filter_map(|(word, question)| level(word, *question)).collect(),
            text: field("text").unwrap_or_default().chars().take(TEXT_LETTERS_MAX).collect(),
        }
    }

    /// What somebody answered to a template of Zalo that asks for a rating: one to five stars, the reasons that were
    /// ticked, and words.
    ///
    /// ```text
    /// { "tracking_id": "<token>", "rate": 4, "feedbacks": ["Nhanh"], "note": "…", "msg_id": "…", "submit_time": "…" }
    /// ```
    ///
    /// The other fields are not read: the time would tell when it was, the number of the message to whom it went.
    fn of_zalo(message: &Value) -> Self {
        let text = |name: &str| message.get(name).and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let stars = message.get("rate").and_then(|rate| rate.as_i64().or_else(|| rate.as_str()?.parse().ok()));
        let level = stars.filter(|level| (1..=Scale::Five.levels()).contains(level));
        let ticked = message.get("feedbacks").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let said: Vec<&str> = ticked.map(str::trim).chain([text("note")]).filter(|said| !said.is_empty()).collect();
        Filled {
            token: text("tracking_id").chars().take(2 * tokens::LETTERS_OF_TOKEN).collect(),
            levels: level.map(|level| (Question::Overall, level)).into_iter().collect(),
            text: said.join("\n").chars().take(TEXT_LETTERS_MAX).collect(),
        }
    }

    fn level(&self, question: Question) -> Option<i64> {
        self.levels.iter().find(|(known, _)| *known == question).map(|(_, level)| *level)
    }
}

impl Desk {
    /// Keeps a rating that was given in Zalo, where this agency takes ratings of five levels. What proves no use of the
    /// service, or was said before, is forgotten: the service has done its part, and would say it again otherwise.
    pub(super) fn keep_feedback(&self, said: &Value) -> Result<(), Fault> {
        if self.rating.as_ref().is_some_and(|rating| rating.scale == Scale::Five) {
            self.keep(&Filled::of_zalo(said))?;
        }
        Ok(())
    }

    /// Seals an answer and keeps it with its day. Nothing of it is left in this process afterwards.
    fn keep(&self, filled: &Filled) -> Result<Outcome, Fault> {
        let Some(rating) = &self.rating else { return Ok(Outcome::NoToken) };
        let letters = filled.token.chars().filter(char::is_ascii_alphanumeric).count();
        if letters != tokens::LETTERS_OF_TOKEN {
            return Ok(Outcome::Lacks(Lack::Token));
        }
        if filled.level(Question::Overall).is_none() {
            return Ok(Outcome::Lacks(Lack::Overall));
        }
        let hash = tokens::hash(&filled.token, &rating.key);
        let ledger = Ledger::read(&self.state).map_err(|error| error.fault())?;
        let has_two = self.pipeline.privacy.as_ref().is_some_and(|policy| policy.editions.is_some());
        let last_part = |month: &str| if has_two { format!("{month} second") } else { month.to_owned() };
        if ledger.open_token(&hash, last_part).map_err(|error| error.fault())?.is_none() {
            return Ok(Outcome::NoToken);
        }
        let day = AsOf::today().date();
        let answer = Answer::new(&filled.token, &filled.levels, &filled.text);
        let sealed = answer.to_text(ANSWER_BYTES).and_then(|text| rating.seal.seal(&sealed_answer(day), text.reveal()));
        let sealed = sealed.ok_or_else(|| {
            let place = Place::Thing("the rating page".into());
            Fault::new("serve.seal", place, "an answer cannot be sealed", "see that the system's random source works")
        })?;
        let is_first = Answers::of(&self.state).put(day, &hash, &sealed).map_err(|error| error.fault())?;
        Ok(if is_first { Outcome::Kept } else { Outcome::NoToken })
    }

    fn said(&self, status: StatusCode, language: Language, (title, text): (Words, Words)) -> Response {
        let (title, text) = (words(title, language), words(text, language));
        let body = format!("<p>{}</p>\n", escaped(text));
        self.framed(status, language, title, &body, false)
    }

    fn form(&self, status: StatusCode, language: Language, filled: &Filled, lack: Option<Lack>) -> Response {
        let Some(rating) = &self.rating else { return self.said(StatusCode::NOT_FOUND, language, NO_PAGE) };
        let body = form_html(rating.scale, language, filled, lack);
        self.framed(status, language, words(TITLE, language), &body, lack.is_none())
    }

    fn framed(&self, status: StatusCode, language: Language, title: &str, body: &str, has_other: bool) -> Response {
        let html = frame(&self.pipeline.agency, language, title, body, has_other);
        dressed((status, Html(html)).into_response())
    }
}

/// The form itself. Writing to a text cannot fail.
fn form_html(scale: Scale, language: Language, filled: &Filled, lack: Option<Lack>) -> String {
    let tag = language.tag();
    let say = |text: Words| escaped(words(text, language));
    let mut html = format!("<p>{}</p>\n", say(LEAD));
    if let Some(lack) = lack {
        let (text, to) = match lack {
            Lack::Token => (LACKS_TOKEN, "token"),
            Lack::Overall => (LACKS_OVERALL, "overall-1"),
        };
        let _ = writeln!(html, "<p class=\"error\" role=\"alert\"><a href=\"#{to}\">{}</a></p>", say(text));
    }
    let _ = writeln!(html, "<form method=\"post\" action=\"{PATH}?lang={tag}\">");
    let invalid = if lack == Some(Lack::Token) { " aria-invalid=\"true\"" } else { "" };
    let _ = writeln!(
        html,
        "<p><label for=\"token\">{}</label><br>\n<input id=\"token\" name=\"token\" value=\"{}\" required maxlength=\"52\" \
         autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" aria-describedby=\"token-hint\"{invalid}><br>\n\
         <span id=\"token-hint\">{}</span></p>",
        say(TOKEN),
        escaped(&filled.token),
        say(TOKEN_HINT),
    );
    for (word, question) in Question::WORDS {
        let _ = writeln!(html, "<fieldset>\n<legend>{}</legend>", escaped(question_text(question).get(language)));
        for level in 1..=scale.levels() {
            let name = level_of(scale, level).unwrap_or_else(|| Text::new("", ""));
            let checked = if filled.level(question) == Some(level) { " checked" } else { "" };
            let required = if question == Question::Overall { " required" } else { "" };
            let _ = writeln!(
                html,
                "<label><input type=\"radio\" id=\"{word}-{level}\" name=\"{word}\" value=\"{level}\"{checked}{required}> {}</label>",
                escaped(&capital(name.get(language)))
            );
        }
        html.push_str("</fieldset>\n");
    }
    let _ = writeln!(
        html,
        "<p><label for=\"text\">{}</label><br>\n<textarea id=\"text\" name=\"text\" rows=\"4\" maxlength=\"{TEXT_LETTERS_MAX}\" \
         aria-describedby=\"text-hint\">{}</textarea><br>\n<span id=\"text-hint\">{}</span></p>\n\
         <p><button type=\"submit\">{}</button></p>\n</form>",
        say(TEXT),
        escaped(&filled.text),
        say(TEXT_HINT),
        say(SEND),
    );
    html
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

type Words = (&'static str, &'static str);

fn words((vi, en): Words, language: Language) -> &'static str {
    match language {
        Language::Vi => vi,
        Language::En => en,
    }
}

const TITLE: Words = ("Đánh giá việc giải quyết hồ sơ", "Rate how your dossier was settled");
const LEAD: Words = (
    "Câu trả lời không gắn với tên hay hồ sơ của ông/bà: mã chỉ cho biết ông/bà đã dùng dịch vụ, và chỉ dùng được một lần. \
     Chỉ câu hỏi đầu tiên là bắt buộc.",
    "Your answers are not tied to your name or your dossier: the code only shows that you used the service, and works once. \
     Only the first question has to be answered.",
);
const TOKEN: Words = ("Mã đánh giá", "Rating code");
const TOKEN_HINT: Words = (
    "26 chữ và số trong tin nhắn hoặc trên giấy hẹn; viết hoa hay thường, có khoảng trắng hay không đều được.",
    "26 letters and digits in the message or on your receipt; capitals and spaces do not matter.",
);
const TEXT: Words = ("Ý kiến khác (không bắt buộc)", "Anything else (optional)");
const TEXT_HINT: Words = (
    "Xin đừng viết tên, số điện thoại hay số hồ sơ. Ý kiến được giữ riêng và không bao giờ được công bố.",
    "Please write no name, telephone number or dossier number. What you write is kept apart and never published.",
);
const SEND: Words = ("Gửi đánh giá", "Send");
const LACKS_TOKEN: Words = (
    "Chưa gửi được: mã đánh giá phải có đúng 26 chữ và số.",
    "Not sent yet: the rating code has to be 26 letters and digits.",
);
const LACKS_OVERALL: Words =
    ("Chưa gửi được: xin trả lời câu hỏi đầu tiên.", "Not sent yet: please answer the first question.");
const THANKS: (Words, Words) = (
    ("Cảm ơn ông/bà", "Thank you"),
    (
        "Đánh giá đã được ghi nhận. Mã của ông/bà không dùng được nữa.",
        "Your rating has been recorded. Your code cannot be used again.",
    ),
);
const NO_TOKEN: (Words, Words) = (
    ("Mã không dùng được", "This code cannot be used"),
    (
        "Mã không đúng, đã được dùng, hoặc đánh giá của tháng đó đã được tính xong. Không có gì được ghi nhận.",
        "It is not a valid code, it was used before, or the ratings of its month have been counted. Nothing was recorded.",
    ),
);
const NOT_KEPT: (Words, Words) = (
    ("Chưa ghi nhận được", "Not recorded yet"),
    (
        "Hệ thống đang bận nên đánh giá của ông/bà CHƯA được ghi nhận. Hãy thử lại sau ít phút.",
        "The system is busy and your rating has NOT been recorded. Please try again in a few minutes.",
    ),
);
const NO_PAGE: (Words, Words) = (
    ("Không có trang này", "There is no such page"),
    ("Cơ quan này không nhận đánh giá ở đây.", "This agency takes no ratings here."),
);
